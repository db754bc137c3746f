"""What a batch counts in a mean is what the loss averaged over, for every loss and kind of data.

The oracles are written by hand, in float64: there, rounding is far below any mistake.
"""

from functools import partial
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from fakes import OneByOne, Stream
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import tutorial as tl

EXACT = {"rtol": 0.0, "atol": 1e-12}
GENERATOR = torch.Generator().manual_seed(0)
X = torch.randn(61, 8, generator=GENERATOR, dtype=torch.float64)
Y = torch.arange(61) % 3
SOME = torch.where(torch.arange(61) % 4 == 1, -100, Y)  # a quarter is to ignore
GONE = torch.where(torch.arange(61) < 24, -100, Y)  # whole batches and groups are
SOFT = torch.softmax(torch.randn(61, 3, generator=GENERATOR, dtype=torch.float64), 1)
TEXT = torch.where(torch.rand(61, 5, generator=GENERATOR) < 0.4, -100, torch.arange(5) % 3)
WEIGHT = torch.tensor([1.0, 5.0, 0.2], dtype=torch.float64)
TARGET = torch.randn(61, 3, generator=GENERATOR, dtype=torch.float64)
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
    if kind == "stream" and name in ("soft labels, weights", "uint8"):
        pytest.skip("what labels a stream gives is not known beforehand")
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
