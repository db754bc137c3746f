"""What a batch counts in a mean is what the loss averaged over, for every loss and kind of data.

The oracles are written by hand, in float64: there, rounding is far below any mistake.
"""

import warnings
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from fakes import OneByOne, Stream
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn.utils.rnn import pad_sequence
from torch.utils.data import DataLoader, TensorDataset
from torchvision.datasets import ImageFolder
from torchvision.ops import sigmoid_focal_loss as focal
from torchvision.transforms.functional import to_pil_image, to_tensor

import tutorial as tl

EXACT = {"rtol": 0.0, "atol": 1e-12}
GENERATOR = torch.Generator().manual_seed(0)
X = torch.randn(61, 8, generator=GENERATOR, dtype=torch.float64)
Y = torch.arange(61) % 3
SOME = torch.where(torch.arange(61) % 4 == 1, -100, Y)  # a quarter is to ignore
LATE = torch.where((torch.arange(61) % 4 == 1) & (torch.arange(61) > 24), -100, Y)
GONE = torch.where(torch.arange(61) < 24, -100, Y)  # whole batches and groups are
SOFT = torch.softmax(torch.randn(61, 3, generator=GENERATOR, dtype=torch.float64), 1)
TEXT = torch.where(torch.rand(61, 5, generator=GENERATOR) < 0.4, -100, torch.arange(5) % 3)
WEIGHT = torch.tensor([1.0, 5.0, 0.2], dtype=torch.float64)
TARGET = torch.randn(61, 3, generator=GENERATOR, dtype=torch.float64)
WEIGHTS_OF_SAMPLES = torch.rand(61, generator=GENERATOR, dtype=torch.float64)
CE, CALL = nn.CrossEntropyLoss, F.cross_entropy


class Tagger(nn.Module):
    """Scores of 3 classes at each of 5 places: (N, 3, 5)."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(8, 15)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.fc(x).unflatten(1, (3, 5))


def network_for(y: torch.Tensor) -> nn.Module:
    tl.seed(5)
    tagger = y.dim() == 2 and not y.is_floating_point()
    return (Tagger() if tagger else nn.Linear(8, 3)).double()


SGD = partial(torch.optim.SGD, lr=0.01)


def model_of(network: nn.Module, loss: Any, optimizer: Any = SGD) -> tl.Model:
    model = tl.Model(network)
    model.prepare(optimizer(model.parameters()), loss)
    return model


def one_by_one(x: torch.Tensor, y: torch.Tensor) -> OneByOne:
    return OneByOne(TensorDataset(x, y))


def stream(x: torch.Tensor, y: torch.Tensor) -> Stream:
    return Stream(TensorDataset(x, y))


KINDS: dict[str, Any] = {
    "tensors": TensorDataset,
    "samples": one_by_one,
    "loader": lambda x, y: DataLoader(TensorDataset(x, y), 9),
    "stream": stream,
}

# Means: torch says what they average over.
LOSSES: dict[str, tuple[Any, torch.Tensor]] = {
    "plain": (CE(), Y),
    "ignored": (CE(), SOME),
    "batches ignored": (CE(), GONE),
    "weights": (CE(WEIGHT), Y),
    "weights, ignored": (CE(WEIGHT), SOME),
    "weights, smoothed, ignored": (CE(WEIGHT, label_smoothing=0.1), SOME),
    "smoothed, batches ignored": (CE(label_smoothing=0.1), GONE),
    "a class without weight": (CE(torch.tensor([0.0, 1.0, 2.0]).double()), Y.sort().values),
    "a class ignored": (CE(ignore_index=2), Y),
    "soft labels": (CE(), SOFT),
    "soft labels, weights": (CE(WEIGHT), SOFT),
    "sequences": (CE(), TEXT),
    "sequences, weights": (CE(WEIGHT), TEXT),
    "uint8": (CE(WEIGHT), Y.byte()),
    "NLLLoss": (nn.NLLLoss(WEIGHT, ignore_index=1), Y),
    "a function": (CALL, SOME),
    "F.nll_loss": (F.nll_loss, SOME),
    "a partial": (partial(CALL, ignore_index=1), Y),
    "a partial, weights": (partial(CALL, weight=WEIGHT, label_smoothing=0.1), SOME),
    "a partial of F.nll_loss": (partial(F.nll_loss, weight=WEIGHT, ignore_index=0), Y),
    "MSELoss": (nn.MSELoss(), TARGET),
}

# Sums, which count per sample.
SUMS: dict[str, tuple[Any, torch.Tensor]] = {
    "MSELoss": (nn.MSELoss(reduction="sum"), TARGET),
    "CrossEntropyLoss": (CE(WEIGHT, reduction="sum"), Y),
    "a partial": (partial(CALL, reduction="sum"), Y),
    "a partial of F.mse_loss": (partial(F.mse_loss, reduction="sum"), TARGET),
}


TABLE = [*(("mean", name) for name in LOSSES), *(("sum", name) for name in SUMS)]


def case(table: str, name: str) -> tuple[Any, torch.Tensor]:
    return (SUMS if table == "sum" else LOSSES)[name]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("table", "name"), TABLE)
def test_the_loss_is_the_same_for_every_batch_size(table: str, name: str, kind: str) -> None:
    loss_fn, y = case(table, name)
    network = network_for(y)
    expected = loss_fn(network(X), y).item() / (len(X) if table == "sum" else 1)
    for batch_size in (61, 17, 5):
        result = model_of(network, loss_fn).evaluate(
            KINDS[kind](X, y), batch_size=batch_size, verbose=0
        )
        assert result["loss"] == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("kind", ["tensors", "samples"])
@pytest.mark.parametrize(("table", "name"), TABLE)
def test_k_batches_are_one_large_one(table: str, name: str, kind: str) -> None:
    loss_fn, y = case(table, name)
    results = []
    for batch_size, accumulate in ((24, 1), (8, 3), (4, 6)):  # 61 = 2 * 24 + 13
        model = model_of(network_for(y), loss_fn)
        history = model.fit(
            KINDS[kind](X, y), batch_size=batch_size, accumulate_grad_batches=accumulate,
            shuffle=False, epochs=2, verbose=0,
        )  # fmt: skip
        assert torch.isfinite(torch.tensor(history.step_losses)).all()
        results.append(([*model.parameters()], history.rows[0]["loss"]))
    by_hand = network_for(y)
    optimizer = SGD(by_hand.parameters())
    for _ in range(2):
        for x_part, y_part in zip(X.split(24), y.split(24), strict=True):
            loss = loss_fn(by_hand(x_part), y_part)
            if not loss.isnan():
                loss.backward()
                optimizer.step()
                optimizer.zero_grad()
    for weights, _ in results:
        torch.testing.assert_close(weights, [*by_hand.parameters()], **EXACT)


@pytest.mark.parametrize("accumulate", [1, 2])
@pytest.mark.parametrize("loss_fn", [CE(), CE(label_smoothing=0.1), CALL])
def test_nothing_to_learn_from_changes_nothing(loss_fn: Any, accumulate: int) -> None:
    """Not even with momentum and weight decay, which move weights without a gradient."""
    adam = partial(torch.optim.AdamW, lr=0.1)
    nothing = torch.full((61,), -100)
    model = model_of(network_for(Y), loss_fn, adam)
    model.fit(TensorDataset(X, Y), batch_size=20, verbose=0)
    before = {name: weight.clone() for name, weight in model.network.state_dict().items()}
    history = model.fit(
        one_by_one(X, nothing), one_by_one(X, nothing), batch_size=20, verbose=0,
        accumulate_grad_batches=accumulate,
    )  # fmt: skip
    assert history.rows == [{"epoch": 1, "loss": 0.0, "eval_loss": 0.0}]
    assert model.train_batch(X, nothing) == model.eval_batch(X, nothing) == {"loss": 0.0}
    torch.testing.assert_close(dict(model.network.state_dict()), before, **EXACT)
    model.train_batch(X, Y)
    assert not torch.equal(model.network.state_dict()["weight"], before["weight"])


def test_nothing_to_learn_from_is_printed_as_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    program = model_of(network_for(GONE), CE()).unroll(
        "fit", one_by_one(X, GONE), batch_size=8, log_freq=1, shuffle=False
    )
    program.run()
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(":")[0] for line in lines[:-1]] == [
        f"epoch 1 step {step}" for step in range(4, 9)
    ]


@pytest.mark.parametrize("name", SUMS)
def test_one_batch_of_a_sum_is_reported_for_each_sample(name: str) -> None:
    loss_fn, y = SUMS[name]
    model = model_of(network_for(y), loss_fn)
    expected = pytest.approx(loss_fn(model.network(X), y).item() / 61, abs=1e-12)
    assert model.eval_batch(X, y)["loss"] == expected
    assert model.train_batch(X, y)["loss"] == expected


# ---- losses of one's own


def class_weights(y_hat: Any, y: Any) -> Any:
    return F.cross_entropy(y_hat, y, weight=WEIGHT.to(y_hat.dtype))


def tokens(y_hat: Any, y: Any) -> Any:
    return F.cross_entropy(y_hat, y, ignore_index=-100)


def dice(y_hat: Any, y: Any) -> Any:
    p = y_hat.softmax(1)[:, 0]
    return 1 - 2 * (p * (y == 0)).sum() / (p.sum() + (y == 0).sum())


def contrastive(y_hat: Any, y: Any) -> Any:
    scores = F.normalize(y_hat) @ F.normalize(y_hat).T
    return F.cross_entropy(scores, torch.arange(len(y)))


def squares(y_hat: Any, y: Any) -> Any:
    return (y_hat - y).square().sum()


def per_sample(y_hat: Any, y: Any) -> Any:
    return (y_hat - y).square().sum(1).mean()


def weighed(y_hat: Any, y: Any) -> Any:
    return class_weights(y_hat, y), WEIGHT[y].sum()


def counted(y_hat: Any, y: Any) -> Any:
    return tokens(y_hat, y), (y != -100).sum().item()


def counted_by_a_tensor(y_hat: Any, y: Any) -> Any:
    return tokens(y_hat, y), (y != -100).sum()


class Focal(nn.Module):
    """A mean, and a sum where that is said."""

    def __init__(self, reduction: str = "mean") -> None:
        super().__init__()
        self.reduction = reduction

    def forward(self, y_hat: Any, y: Any) -> Any:
        loss = F.cross_entropy(y_hat, y, reduction="none")
        loss = (1 - (-loss).exp()) ** 2 * loss
        return loss.mean() if self.reduction == "mean" else loss.sum()


def late(y_hat: Any, y: Any) -> Any:
    """A mean over a mask that it makes itself."""
    real = y != -100
    return (F.cross_entropy(y_hat, y, reduction="none") * real).sum() / real.sum().clamp(min=1)


class Wrapped(nn.Module):
    """A loss in a loss."""

    def __init__(self) -> None:
        super().__init__()
        self.loss = CE(ignore_index=1)

    def forward(self, y_hat: Any, y: Any) -> Any:
        return self.loss(y_hat, y)


def hidden(y_hat: Any, y: Any) -> Any:
    return F.cross_entropy(y_hat, y, ignore_index=2)


class Flattened(CE):
    """A subclass with a forward of its own: class weights, and still a mean over them."""

    def forward(self, y_hat: Any, y: Any) -> Any:
        return super().forward(y_hat.double(), y), self.weight[y].sum()


OWN: dict[str, tuple[Any, torch.Tensor, Any]] = {
    "a sum": (squares, TARGET, lambda y_hat: squares(y_hat, TARGET) / 61),
    "a mean": (per_sample, TARGET, lambda y_hat: per_sample(y_hat, TARGET)),
    "a pair, class weights": (weighed, Y, lambda y_hat: class_weights(y_hat, Y)),
    "a pair, a count": (counted, TEXT, lambda y_hat: tokens(y_hat, TEXT)),
    "a pair, a tensor": (counted_by_a_tensor, GONE, lambda y_hat: tokens(y_hat, GONE)),
    "a pair, a module": (Flattened(WEIGHT), Y, lambda y_hat: class_weights(y_hat, Y)),
    "labels to ignore, at once": (tokens, TEXT, lambda y_hat: tokens(y_hat, TEXT)),
    "labels to ignore, later": (tokens, LATE, lambda y_hat: tokens(y_hat, LATE)),
    "labels to ignore, first": (tokens, GONE, lambda y_hat: tokens(y_hat, GONE)),
    "a mask of its own": (late, LATE, lambda y_hat: tokens(y_hat, LATE)),
    "a loss in a loss": (Wrapped(), Y, lambda y_hat: Wrapped()(y_hat, Y)),
    "a class to ignore": (hidden, Y, lambda y_hat: hidden(y_hat, Y)),
    "a method": (CE(ignore_index=1).forward, Y, lambda y_hat: Wrapped()(y_hat, Y)),
    "a partial of an object": (partial(CE(WEIGHT)), Y, lambda y_hat: class_weights(y_hat, Y)),
    "a module": (Focal(), Y, lambda y_hat: Focal()(y_hat, Y)),
    "a module that sums": (Focal("sum"), Y, lambda y_hat: Focal("sum")(y_hat, Y) / 61),
    "torchvision's": (
        partial(focal, reduction="sum"), F.one_hot(Y).double(),
        lambda y_hat: focal(y_hat, F.one_hot(Y).double(), reduction="sum") / 61,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", OWN)
def test_a_loss_of_ones_own_counts_as_it_is(name: str) -> None:
    loss_fn, y, expected = OWN[name]
    network = network_for(y)
    value = expected(network(X)).item()
    for batch_size in (61, 17, 5):
        for kind in (TensorDataset, one_by_one, stream):
            model = model_of(network, loss_fn)
            result = model.evaluate(kind(X, y), batch_size=batch_size, verbose=0)
            assert result["loss"] == pytest.approx(value, abs=1e-12)
    results = []
    for batch_size, accumulate in ((24, 1), (8, 3), (4, 6)):
        model = model_of(network_for(y), loss_fn)
        model.fit(
            TensorDataset(X, y), batch_size=batch_size, accumulate_grad_batches=accumulate,
            shuffle=False, verbose=0,
        )  # fmt: skip
        results.append([*model.parameters()])
    for other in results[1:]:
        torch.testing.assert_close(other, results[0], **EXACT)
    assert not torch.equal(results[0][0], next(network.parameters()))


MASKS = {
    "a mask": torch.arange(61) % 3 > 0,
    "a mask with gaps later": (torch.arange(61) % 4 > 0) | (torch.arange(61) < 30),
    "a mask with gaps first": torch.arange(61) > 30,
    "numbers": (torch.arange(61) % 3).double(),
}


@pytest.mark.parametrize("kind", [TensorDataset, lambda *parts: OneByOne(TensorDataset(*parts))])
@pytest.mark.parametrize("name", MASKS)
def test_a_mean_over_a_mask_is_one(name: str, kind: Any) -> None:
    def real(y_hat: Any, y: Any, mask: Any) -> Any:
        return ((y_hat - y).square().mean(1) * mask).sum() / mask.sum()

    def padded(y_hat: Any, y: Any, padding: Any) -> Any:
        return real(y_hat, y, ~padding)

    mask = MASKS[name]
    for loss_fn, part in ((real, mask), *([] if name == "numbers" else [(padded, ~mask)])):
        data, results = kind(X, TARGET, part), []
        network = network_for(TARGET)
        expected = real(network(X), TARGET, mask).item()
        for batch_size in (61, 17, 5, 1):
            result = model_of(network, loss_fn).evaluate(data, batch_size=batch_size, verbose=0)
            assert result["loss"] == pytest.approx(expected, abs=1e-12)
        for batch_size, accumulate in ((24, 1), (8, 3), (1, 24)):
            model = model_of(network_for(TARGET), loss_fn)
            model.fit(
                data, batch_size=batch_size, accumulate_grad_batches=accumulate, shuffle=False,
                verbose=0,
            )  # fmt: skip
            results.append([*model.parameters()])
        for other in results[1:]:
            torch.testing.assert_close(other, results[0], **EXACT)


@pytest.mark.parametrize("mask", [torch.arange(61) % 3 > 0, WEIGHTS_OF_SAMPLES])
def test_a_weight_may_be_the_sum_of_what_is_in_the_batch(mask: torch.Tensor) -> None:
    """Of numbers, too, which could learn, but do not."""

    def weighted(y_hat: Any, y: Any, mask: Any) -> Any:
        each = (y_hat - y).square().mean(1) * mask
        return each.sum() / mask.sum(), mask.sum()

    network = network_for(TARGET)
    expected = weighted(network(X), TARGET, mask)[0].item()
    for batch_size in (61, 17):
        model = model_of(network, weighted)
        result = model.evaluate(TensorDataset(X, TARGET, mask), batch_size=batch_size, verbose=0)
        assert result == {"loss": pytest.approx(expected, abs=1e-12)}


@pytest.mark.parametrize("loss_fn", [nn.MSELoss(), lambda y_hat, y: (y_hat - y).square().mean()])
def test_sequences_of_other_lengths_count_by_their_steps(loss_fn: Any) -> None:
    """Batches of one length each: a mean over all steps of all samples."""
    batches = [(x, x.roll(1, 0)) for x in (X[:8, None].expand(8, t, 8) for t in (2, 5, 3))]
    network = nn.Linear(8, 8).double()
    errors = torch.cat([(network(x) - y).square().flatten() for x, y in batches])
    result = model_of(network, loss_fn).evaluate(batches, verbose=0)
    assert result["loss"] == pytest.approx(errors.mean().item(), abs=1e-12)
    errors.mean().backward()
    expected = network.weight - 0.01 * network.weight.grad
    model_of(network, loss_fn).fit(batches, accumulate_grad_batches=3, verbose=0, shuffle=False)
    torch.testing.assert_close(network.weight, expected, **EXACT)


@pytest.mark.parametrize("of", ["random", "unchecked"])
def test_where_it_cannot_be_known_the_loop_says_what_it_assumes(of: str) -> None:
    def noisy(y_hat: Any, y: Any) -> Any:
        return F.cross_entropy(y_hat + torch.randn_like(y_hat), y)

    model = tl.Model(network_for(Y), check=of != "unchecked")
    model.prepare(SGD(model.parameters()), noisy)
    for call in ("fit", "evaluate"):
        source = model.unroll(call, TensorDataset(X, Y)).source
        assert "# assumes that the loss is a mean over samples" in source


@pytest.mark.parametrize(
    ("loss_fn", "y"),
    [(class_weights, Y), (dice, Y), (contrastive, Y)],
    ids=["class weights", "dice", "contrastive"],
)
def test_a_loss_that_is_no_mean_is_told_once(loss_fn: Any, y: torch.Tensor) -> None:
    model = model_of(network_for(y), loss_fn)
    data, sources = TensorDataset(X, y), list[str]()
    for call in (
        lambda: model.fit(data, TensorDataset(X, y), verbose=0),
        lambda: model.evaluate(TensorDataset(X, y), verbose=0),
        lambda: model.train_batch(X, y),
        lambda: sources.append(model.unroll("fit", data, accumulate_grad_batches=2).source),
    ):
        with pytest.warns(UserWarning, match="neither a mean nor a sum over samples") as told:
            call()
        assert len(told) == 1
        assert "return (loss, weight)" in str(told[0].message)
    assert "# assumes a mean over samples, which this loss is not" in sources[0]


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("batch_size", [61, 2, 1])
def test_a_loss_that_is_a_mean_is_not_told(batch_size: int) -> None:
    def noisy(y_hat: Any, y: Any) -> Any:
        return F.cross_entropy(y_hat + torch.randn_like(y_hat), y)

    def regularized(y_hat: Any, y: Any) -> Any:
        return F.cross_entropy(y_hat, y) + 0.1

    for loss_fn in (noisy, regularized, Focal(), nn.CrossEntropyLoss(), F.cross_entropy):
        model = model_of(network_for(Y), loss_fn)
        model.fit(TensorDataset(X, Y), batch_size=batch_size, num_iters=1, verbose=0)


@pytest.mark.parametrize("floating", [True, False])
def test_a_weight_may_be_made_of_labels_or_of_weights_in_the_data(floating: bool) -> None:
    def weighted(y_hat: Any, y: Any, weight: Any) -> Any:
        each = (y_hat - y).square().mean(1)
        return (weight * each).sum() / weight.sum(), weight.sum()

    shares = torch.rand(61, generator=GENERATOR, dtype=torch.float64)
    weight = shares if floating else (shares > 0.4).long()
    model = model_of(network_for(TARGET), weighted)
    with torch.no_grad():
        expected = weighted(model.network(X), TARGET, weight)[0].item()
    for batch_size in (61, 17, 1):
        result = model.evaluate(TensorDataset(X, TARGET, weight), batch_size=batch_size, verbose=0)
        assert result == {"loss": pytest.approx(expected, abs=1e-12)}


def test_of_two_losses_one_may_need_no_gradient() -> None:
    def two(y_hat: Any, y: Any) -> Any:
        return [F.cross_entropy(y_hat, y), F.cross_entropy(y_hat, y).detach()]

    class Own(torch.optim.SGD):
        pass

    model = model_of(network_for(Y), two, partial(Own, lr=0.01))
    assert list(model.fit(TensorDataset(X, Y), verbose=0).rows[0])[1:] == [
        "loss", "loss_0", "loss_1",
    ]  # fmt: skip


def test_two_losses_are_no_loss_and_its_weight() -> None:
    def two(y_hat: Any, y: Any) -> Any:
        return F.cross_entropy(y_hat, y), y_hat.square().mean()

    def one_apart(y_hat: Any, y: Any) -> Any:
        return F.cross_entropy(y_hat, y), F.cross_entropy(y_hat, y).detach()

    for loss_fn in (two, one_apart):
        result = model_of(network_for(Y), loss_fn).evaluate(TensorDataset(X, Y), verbose=0)
        assert list(result) == ["loss", "loss_0", "loss_1"]


def test_a_weight_that_is_none_is_refused() -> None:
    def hits(y_hat: Any, y: Any) -> Any:
        return F.cross_entropy(y_hat, y), (y_hat.argmax(1) == y).sum()

    with pytest.raises(ValueError, match="not what the loss averages over"):
        model_of(network_for(Y), hits).fit(TensorDataset(X, Y), verbose=0)


# ---- several losses


class Heads(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.heads = nn.ModuleList([nn.Linear(8, 3), nn.Linear(8, 3)])

    def forward(self, x: Any) -> Any:
        return tuple(head(x) for head in self.heads)


def heads() -> nn.Module:
    tl.seed(5)
    return Heads().double()


# Losses, labels, and the mean of each over all samples.
EACH: dict[str, tuple[Any, Any]] = {
    "class weights, a mean": ([CE(WEIGHT), nn.MSELoss()], (Y, TARGET)),
    "ignored, class weights": ([CE(), CE(WEIGHT)], (SOME, Y)),
    "batches ignored, a mean": ([CE(), nn.MSELoss()], (GONE, TARGET)),
    "the same labels ignored": ([CE(), CE()], (GONE,)),
    "a sum, a mean": ([nn.MSELoss(reduction="sum"), CE()], (TARGET, Y)),
    "sums": ([nn.MSELoss(reduction="sum"), CE(reduction="sum")], (TARGET, Y)),
    "a sum of ones own": ([squares, CE()], (TARGET, Y)),
}


@pytest.mark.parametrize("name", EACH)
def test_each_of_several_losses_counts_as_it_is(name: str) -> None:
    losses, labels = EACH[name]
    network = heads()
    with torch.no_grad():
        pairs = zip(network(X), labels * (2 // len(labels)), losses, strict=True)
        parts = [loss(y_hat, y).item() for y_hat, y, loss in pairs]
    sums = [loss is squares or loss.reduction == "sum" for loss in losses]
    parts = [part / 61 if is_sum else part for part, is_sum in zip(parts, sums, strict=True)]
    for batch_size in (61, 17, 5):
        result = model_of(network, losses).evaluate(
            TensorDataset(X, *labels), batch_size=batch_size, verbose=0
        )
        expected = {"loss": sum(parts), "loss_0": parts[0], "loss_1": parts[1]}
        assert result == pytest.approx(expected, abs=1e-12)
    frozen = model_of(network, losses, partial(torch.optim.SGD, lr=0.0))
    rows = frozen.fit(TensorDataset(X, *labels), batch_size=7, verbose=0).rows
    assert rows[0] == pytest.approx({"epoch": 1, **expected}, abs=1e-12)


def test_labels_to_ignore_in_the_training_data_of_one_of_two_losses() -> None:
    """In the validation data there are none."""
    data = TensorDataset(X, Y, SOME)
    model = model_of(heads(), [CE(WEIGHT), CE()], partial(torch.optim.SGD, lr=0.0))
    rows = model.fit(data, TensorDataset(X, Y, Y), batch_size=7, verbose=0).rows
    with torch.no_grad():
        expected = CE()(model.network(X)[1], SOME).item()
    assert rows[0]["loss_1"] == pytest.approx(expected, abs=1e-12)


def test_losses_that_differ_do_not_accumulate_to_one_batch_and_this_is_told() -> None:
    data = TensorDataset(X, Y, TARGET)
    with pytest.warns(UserWarning, match="average over different things"):
        model_of(heads(), EACH["class weights, a mean"][0]).fit(
            data, accumulate_grad_batches=2, verbose=0
        )


@pytest.mark.parametrize("name", ["sums", "the same labels ignored"])
def test_k_batches_of_several_alike_losses_are_one_large_one(name: str) -> None:
    losses, labels = EACH[name]
    results = []
    for batch_size, accumulate in ((24, 1), (8, 3), (4, 6)):
        model = model_of(heads(), losses)
        model.fit(
            TensorDataset(X, *labels), batch_size=batch_size, accumulate_grad_batches=accumulate,
            shuffle=False, verbose=0,
        )  # fmt: skip
        results.append([*model.parameters()])
    for other in results[1:]:
        torch.testing.assert_close(other, results[0], **EXACT)


@pytest.mark.parametrize("sums", [True, False])
@pytest.mark.parametrize("total", [True, False])
def test_several_losses_of_one_function(sums: bool, total: bool) -> None:
    def loss(y_hat: Any, y: Any) -> Any:
        by = 1 if sums else len(y)
        parts = {"far": squares(y_hat, y) / by, "size": y_hat.square().sum() / by}
        return parts | {"loss": parts["far"] + parts["size"]} if total else parts

    network = network_for(TARGET)
    with torch.no_grad():
        far = squares(network(X), TARGET).item() / 61
        size = network(X).square().sum().item() / 61
    for batch_size in (61, 17, 5):
        model = model_of(network, loss)
        result = model.evaluate(TensorDataset(X, TARGET), batch_size=batch_size, verbose=0)
        values = {"loss": far + size, "far": far, "size": size}
        assert result == pytest.approx(values, abs=1e-12)


# ---- what the samples of a batch are


def time_first(items: Any) -> Any:
    return pad_sequence([x for x, _ in items]), torch.tensor([y for _, y in items])


class Recurrent(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.gru, self.fc = nn.GRU(3, 4), nn.Linear(4, 3)

    def forward(self, x: Any) -> Any:
        return self.fc(self.gru(x)[1][-1])


@dataclass
class Graph:
    x: torch.Tensor


class OfGraphs(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(3, 3)

    def forward(self, graph: Any) -> Any:
        return self.fc(graph.x)


def graphs(items: Any) -> Any:
    return Graph(torch.stack([x[0] for x, _ in items])), torch.tensor([y for _, y in items])


def own_cross_entropy(y_hat: Any, y: Any) -> Any:
    return F.cross_entropy(y_hat, y)


@pytest.mark.parametrize("loss_fn", [CE(), CE(reduction="sum"), own_cross_entropy])
@pytest.mark.parametrize(
    ("collate", "network"), [(time_first, Recurrent), (graphs, OfGraphs)], ids=["(T, B, F)", "data"]
)
def test_samples_are_counted_where_x_does_not_say_it(
    collate: Any, network: Any, loss_fn: Any
) -> None:
    """Also where the first batch has as many time steps as samples."""
    lengths = [3, 2, 3, 9, 9, 8, 9, 1]
    items = [(torch.randn(n, 3, dtype=torch.float64), n % 3) for n in lengths]
    tl.seed(3)
    model = model_of(network().double(), loss_fn)
    with torch.no_grad():
        each = [
            F.cross_entropy(model.network(x), y).item()
            for x, y in (collate([item]) for item in items)
        ]
    if collate is time_first:  # padded ones end in zeros
        items = sorted(items, key=lambda item: len(item[0]))
    for batch_size in (3, 8) if collate is graphs else ():
        loader = DataLoader(items, batch_size, collate_fn=collate)
        result = model.evaluate(loader, verbose=0)["loss"]
        assert result == pytest.approx(sum(each) / len(each), abs=1e-12)
    loader = DataLoader(items, 3, collate_fn=collate)
    with torch.no_grad():
        parts = [(F.cross_entropy(model.network(x), y).item(), len(y)) for x, y in loader]
    expected = pytest.approx(sum(loss * n for loss, n in parts) / len(items), abs=1e-12)
    assert model.evaluate(loader, verbose=0)["loss"] == expected
    sizes: list[int] = []
    note = tl.callbacks.LambdaCallback(on_predict_batch_end=lambda _, logs: sizes.append(logs))
    model.predict(loader, verbose=0, callbacks=note)
    assert [logs["batch_size"] for logs in sizes] == [3, 3, 2]
    assert len(model.fit(loader, verbose=0, accumulate_grad_batches=2).step_losses) == 3


def test_padded_targets_of_other_lengths_count_by_their_numbers() -> None:
    def padded(items: Any) -> Any:
        x = pad_sequence(items, batch_first=True)
        return x, 2 * x

    items = [torch.randn(n, 3, dtype=torch.float64) for n in (2, 5, 1, 7, 3)]
    loader = DataLoader(items, 2, collate_fn=padded)
    model = model_of(nn.Linear(3, 3).double(), nn.MSELoss())
    with torch.no_grad():
        parts = [(F.mse_loss(model.network(x), y).item(), y.numel()) for x, y in loader]
    expected = sum(loss * n for loss, n in parts) / sum(n for _, n in parts)
    assert model.evaluate(loader, verbose=0)["loss"] == pytest.approx(expected, abs=1e-12)


def test_a_batch_without_any_length_is_refused_before_training() -> None:
    class Whole(OfGraphs):
        def forward(self, graph: Any) -> Any:
            return self.fc(graph.x).sum()

    def loss(y_hat: Any, graph: Any) -> Any:
        return y_hat.square() + graph.x.sum()

    loader = DataLoader([0, 1, 2], 2, collate_fn=lambda _: (Graph(torch.ones(3)), Graph(X)))
    model = model_of(Whole(), loss)
    with pytest.raises(ValueError, match="tells how many samples it holds"):
        model.fit(loader, verbose=0)


def test_labels_to_ignore_in_validation_data_alone() -> None:
    model = model_of(network_for(Y), CE())
    rows = model.fit(TensorDataset(X, Y), TensorDataset(X, SOME), batch_size=5, verbose=0).rows
    expected = CE()(model.network(X), SOME).item()
    assert rows[0]["eval_loss"] == pytest.approx(expected, abs=1e-12)


def test_an_image_folders_labels_are_known(tmp_path: Path) -> None:
    """So that its loop stays the plain one."""
    for name in ("cat", "dog"):
        (tmp_path / name).mkdir()
        to_pil_image(torch.rand(3, 4, 4)).save(tmp_path / name / "0.png")
    data = ImageFolder(str(tmp_path), to_tensor)
    model = model_of(nn.Sequential(nn.Flatten(), nn.Linear(48, 2)), CE())
    assert "samples += len(x)" in model.unroll("fit", data).source


def test_callbacks_are_told_of_samples_whatever_counts_in_the_mean() -> None:
    sizes: list[Any] = []
    note = tl.callbacks.LambdaCallback(
        on_train_batch_end=lambda _, logs: sizes.append(logs["batch_size"]),
        on_eval_batch_end=lambda _, logs: sizes.append(logs["batch_size"]),
    )
    model = model_of(network_for(Y), CE(WEIGHT))
    model.fit(TensorDataset(X, SOME), TensorDataset(X, SOME), 40, verbose=0, callbacks=note)
    assert sizes == [40, 21, 40, 21]


@pytest.mark.filterwarnings("error")
def test_a_batch_in_the_hand_without_labels_after_one_with_them() -> None:
    model = model_of(network_for(Y), CE())
    for y in (Y, SOME, torch.full_like(Y, -100), Y):
        expected = pytest.approx(CE()(model.network(X), y).nan_to_num().item(), abs=1e-12)
        assert model.eval_batch(X, y)["loss"] == expected
        assert model.train_batch(X, y)["loss"] == expected


@pytest.mark.slow
@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    count=st.integers(1, 23),
    share=st.floats(0, 1),
    batch_size=st.integers(1, 9),
    k=st.integers(1, 4),
    weights=st.none() | st.lists(st.sampled_from([0.0, 0.5, 3.0]), min_size=3, max_size=3),
    ignored=st.sampled_from([-100, 0, 7]),
    smoothing=st.sampled_from([0.0, 0.2]),
    reduction=st.sampled_from(["mean", "sum"]),
    call=st.booleans(),
    length=st.integers(0, 4),
    kind=st.sampled_from(["tensors", "samples"]),
)
def test_any_cross_entropy_is_one_large_batch(
    count: int, share: float, batch_size: int, k: int, weights: Any, ignored: int,
    smoothing: float, reduction: str, call: bool, length: int, kind: str,
) -> None:  # fmt: skip
    """k batches of a group are one large one, and all batches one mean; against torch itself."""
    assume(not (smoothing and 0.0 in (weights or [])))  # then torch's own loss can be infinite
    draw = torch.Generator().manual_seed(count * 31 + batch_size)
    x = torch.randn(count, 8, generator=draw, dtype=torch.float64)
    shape = (count, length) if length else (count,)
    y = torch.randint(0, 3, shape, generator=draw)
    y = torch.where(torch.rand(shape, generator=draw) < share, ignored, y)
    said: dict[str, Any] = {
        "weight": None if weights is None else torch.tensor(weights, dtype=torch.float64),
        "ignore_index": ignored, "label_smoothing": smoothing, "reduction": reduction,
    }  # fmt: skip
    loss_fn = partial(F.cross_entropy, **said) if call else CE(**said)

    def network() -> nn.Module:
        tl.seed(5)
        last = [nn.Linear(8, 3 * length), nn.Unflatten(1, (3, length))] if length else []
        return nn.Sequential(*(last or [nn.Linear(8, 3)])).double()

    model = model_of(network(), loss_fn)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of a loss that is nan
        mean = model.evaluate(KINDS[kind](x, y), batch_size=batch_size, verbose=0)["loss"]
        model.fit(
            KINDS[kind](x, y), batch_size=batch_size, accumulate_grad_batches=k,
            shuffle=False, verbose=0,
        )  # fmt: skip
    by_hand = network()
    whole = loss_fn(by_hand(x), y).nan_to_num().item()
    assert mean == pytest.approx(whole / (count if reduction == "sum" else 1), abs=1e-12)
    optimizer = SGD(by_hand.parameters())
    for x_part, y_part in zip(x.split(batch_size * k), y.split(batch_size * k), strict=True):
        loss = loss_fn(by_hand(x_part), y_part)
        if not loss.isnan():
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()
    torch.testing.assert_close([*model.parameters()], [*by_hand.parameters()], **EXACT)
