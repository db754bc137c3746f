"""What goes where: by name, where there are names; what stays unclear is refused, not guessed."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.utils.rnn import PackedSequence, pack_sequence
from torch.utils.data import DataLoader, Dataset, TensorDataset

import tutorial as tl
from tutorial import InputSpec
from tutorial.inputs.matching import Part, Signature, matched, signature_of_network
from tutorial.inputs.refusals import movable
from tutorial.metrics import Accuracy

CHANCE = torch.Generator().manual_seed(0)
X = torch.randn(12, 4, generator=CHANCE)
PRICE = 5 + torch.rand(12, 1, generator=CHANCE)
WEIGHT = torch.rand(12, 1, generator=CHANCE)
CLASS = torch.arange(12) % 2
TOKENS = torch.randint(0, 9, (12, 5), generator=CHANCE)
TAGS, MASK = TOKENS % 2, (TOKENS > 2).long()
CE = nn.CrossEntropyLoss


def own_loss(y_hat: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """A mean over the samples, whatever the labels are."""
    return -y_hat.log_softmax(1).gather(1, y[:, None]).mean()


class Rows(Dataset):
    """One sample at a time: what `make` gives for its number."""

    def __init__(self, make: Callable[[int], Any], length: int = 12) -> None:
        self.make, self.length = make, length

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, i: int) -> Any:
        return self.make(i)


class Net(nn.Module):
    def __init__(self, outputs: int = 2) -> None:
        super().__init__()
        self.fc = nn.Linear(4, outputs)

    def forward(self, x: Any) -> Any:
        return self.fc(x)


class Estimate(NamedTuple):
    mean: torch.Tensor
    var: torch.Tensor


def as_tuple(mean: Any, var: Any) -> Any:
    return mean, var


def as_dict(mean: Any, var: Any) -> Any:
    return {"var": var, "input": mean}


class MeanAndVariance(nn.Module):
    """Both, in a form of one's choice."""

    def __init__(self, form: Callable[[Any, Any], Any]) -> None:
        super().__init__()
        self.mean, self.var, self.form = nn.Linear(4, 1), nn.Linear(4, 1), form

    def forward(self, x: torch.Tensor) -> Any:
        return self.form(self.mean(x), F.softplus(self.var(x)))


class Tagger(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embedding, self.fc = nn.Embedding(9, 8), nn.Linear(8, 2)

    def forward(self, tokens: torch.Tensor, mask: torch.Tensor) -> Any:
        return self.fc(self.embedding(tokens) * mask[..., None]).transpose(1, 2)


class Heads(nn.Module):
    """Two outputs; only the first one is compared with classes, if `flat` is false."""

    def __init__(self, flat: bool = True, keys: tuple[str, ...] = ()) -> None:
        super().__init__()
        self.a, self.b, self.flat, self.keys = nn.Linear(4, 2), nn.Linear(4, 3), flat, keys

    def forward(self, x: torch.Tensor) -> Any:
        outputs = self.a(x), self.b(x) if self.flat else self.b(x)[:, None, None]
        return dict(zip(self.keys, outputs, strict=True)) if self.keys else outputs


def model_of(network: nn.Module, loss: Any, metrics: Any = None, **said: Any) -> tl.Model:
    model = tl.Model(network, **said)
    model.prepare(torch.optim.SGD(model.parameters(), lr=0.1), loss, metrics)
    return model


def lines(model: tl.Model, data: Any, method: str = "fit") -> list[str]:
    """The lines in which batches are unpacked, and network, loss_fn and metrics are called."""
    source = model.unroll(method, data, batch_size=4).source
    calls = (" enumerate(", "network(", "loss_fn(", ".update(", "loss = ")
    found = [line.split("  #")[0].strip() for line in source.splitlines()]
    return [line for line in found if any(call in line for call in calls)]


def whole_loss(model: tl.Model, data: Any) -> float:
    """The loss that one batch of all twelve samples has, as evaluate says."""
    return model.evaluate(data, batch_size=12, verbose=0)["loss"]


# ---- the loss: by the names of its parameters


@pytest.mark.parametrize(
    ("form", "call"),
    [
        (as_tuple, "loss_fn(y_hat_0, y, y_hat_1)"),
        (as_dict, 'loss_fn(y_hat["input"], y, y_hat["var"])'),
        (Estimate, "loss_fn(y_hat.mean, y, y_hat.var)"),
    ],
    ids=["tuple", "dict", "NamedTuple"],
)
def test_labels_stand_where_a_loss_of_torchs_has_its_target(form: Any, call: str) -> None:
    model, data = model_of(MeanAndVariance(form), nn.GaussianNLLLoss()), TensorDataset(X, PRICE)
    assert f"loss = {call}" in lines(model, data)
    network = model.network
    expected = F.gaussian_nll_loss(network.mean(X), PRICE, F.softplus(network.var(X)))
    assert whole_loss(model, data) == pytest.approx(expected.item())
    assert model.unroll("fit", data).verify()


@pytest.mark.parametrize("keys", [("x", "weight", "target"), ("target", "weight", "x")])
def test_a_dict_goes_to_the_loss_by_its_keys_whatever_their_order(keys: tuple[str, ...]) -> None:
    def weighted(y_hat: Any, target: Any, weight: Any) -> Any:
        return (weight * (y_hat - target) ** 2).mean()

    parts = {"x": X, "weight": WEIGHT, "target": PRICE}
    model, data = model_of(Net(1), weighted), Rows(lambda i: {key: parts[key][i] for key in keys})
    assert 'loss = loss_fn(y_hat, batch["target"], batch["weight"])' in lines(model, data)
    expected = weighted(model.network(X), PRICE, WEIGHT).item()
    assert whole_loss(model, data) == pytest.approx(expected)


P = Part
Y_HAT, Y = P("y_hat"), P("y")
MATCHED: dict[str, tuple[str, list[Part], list[Part], list[Part], list[str]]] = {
    "prediction first": ("y_hat, y", [Y_HAT], [Y], [], ["y_hat, y"]),
    "labels first": ("y_true, y_pred", [Y_HAT], [Y], [], ["y, y_hat"]),
    "labels first, as y": ("y, y_hat", [Y_HAT], [Y], [], ["y, y_hat"]),
    "y is the prediction": ("y, t", [Y_HAT], [Y], [], ["y_hat, y"]),
    "y is the prediction, in a dict": (
        "y, t", [Y_HAT], [P("b.y", "y", True)], [], ["y_hat, b.y"],
    ),
    "no names": ("a, b, c", [Y_HAT], [P("y_0"), P("y_1")], [], ["y_hat, y_0, y_1"]),
    "any number": ("*all", [P("a"), P("b")], [P("c"), P("d")], [], ["a, b, c, d"]),
    "any number of further ones": (
        "a, y, *more", [Y_HAT], [Y, P("s", None, True)], [], ["y_hat, y"],
    ),
    "no labels": ("anchor, positive, negative", [P("a"), P("p"), P("n")], [], [], ["a, p, n"]),
    "labels named as outputs": (
        "digit_hat, parity_hat, digit, parity", [P("o.p", "parity"), P("o.d", "digit")],
        [P("l.p", "parity", True), P("l.d", "digit", True)], [], ["o.d, o.p, l.d, l.p"],
    ),
    "by keyword alone": (
        "y_hat, *, target, weight=None", [Y_HAT], [Y, P("w", "weight", True)], [],
        ["y_hat, target=y, weight=w"],
    ),
    "a default takes a tensor": ("y_hat, y, w=None", [Y_HAT], [Y, P("w")], [], ["y_hat, y, w"]),
    "a default takes no key": (
        "y_hat, y, w=None", [Y_HAT], [Y, P("b.i", "i", True)], [], ["y_hat, y"],
    ),
    "a default that is skipped": (
        "y_hat, y, a=0, b=0", [Y_HAT], [Y, P("b.b", "b", True)], [], ["y_hat, y, b=b.b"],
    ),
    "no room": ("input, target", [Y_HAT], [Y, P("w")], [], []),
    "nothing for it": ("input, target, var", [Y_HAT], [Y], [], []),
    "one is called a label": (
        "a, b", [Y_HAT], [P("row", "row", True), P("label", "label", True)], [], ["y_hat, label"],
    ),
    "two might be meant": (
        "a, b", [Y_HAT], [P("i", "i", True), P("j", "j", True)], [], ["y_hat, i", "y_hat, j"],
    ),
    "an input": ("y_hat, y, x", [Y_HAT], [Y], [P("x", "x")], ["y_hat, y, x"]),
    "no input": ("x, y", [Y_HAT], [Y], [P("x", "x")], ["y_hat, y"]),
    "no input in a function of torch's": (
        "input, target, weight=None", [Y_HAT], [Y], [P("x", "input")], ["y_hat, y"],
    ),
    "no input in it, for an output with a name": (
        "input, target, weight=None", [P("o.out", "out")], [P("b.t", "target")],
        [P("b.i", "input")], ["o.out, b.t"],
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", MATCHED)
def test_parts_are_matched_with_parameters(name: str) -> None:
    parameters, outputs, labels, others, expected = MATCHED[name]
    function = eval(f"lambda {parameters}: None")
    ways = matched(Signature.of(function), outputs, labels, others)
    written = [", ".join(f"{k}={part}" if k else part for k, part in way) for way in ways]
    assert written == expected
    for way in ways:  # and Python agrees that it can be called like this
        function(*[part for k, part in way if not k], **{k: part for k, part in way if k})


def test_one_loss_over_the_dicts_of_outputs_and_labels() -> None:
    def both(outputs: Any, labels: Any) -> Any:
        return sum(F.cross_entropy(outputs[key], labels[key]) for key in ("digit", "parity"))

    model = model_of(Heads(keys=("digit", "parity")), both)
    pairs = Rows(lambda i: (X[i], {"parity": CLASS[i], "digit": CLASS[i]}))
    assert "loss = loss_fn(y_hat, labels)" in lines(model, pairs)
    rows = Rows(lambda i: {"x": X[i], "parity": CLASS[i], "digit": CLASS[i]})
    assert "loss = loss_fn(y_hat, batch)" in lines(model, rows)
    outputs = model.network(X)
    expected = both(outputs, {"digit": CLASS, "parity": CLASS}).item()
    assert whole_loss(model, pairs) == pytest.approx(expected)
    assert whole_loss(model, rows) == pytest.approx(expected)


def test_labels_without_names_that_may_be_meant_are_refused_with_both_calls() -> None:
    model = model_of(Net(), CE())
    data = Rows(lambda i: {"x": X[i], "digit": CLASS[i], "row": i % 2})
    with pytest.raises(ValueError, match="not clear which labels are meant") as error:
        model.fit(data)
    for call in ('loss_fn(y_hat, batch["digit"])', 'loss_fn(y_hat, batch["row"])'):
        assert call in str(error.value)
    said = {"inputs": [InputSpec((None, 4), name="x")]}
    said["labels"] = [InputSpec((None,), "int64", name="digit")]
    assert 'loss = loss_fn(y_hat, batch["digit"])' in lines(model_of(Net(), CE(), **said), data)


# ---- a loss that returns its parts


def test_a_total_is_trained_and_its_parts_are_reported() -> None:
    def loss(y_hat: Any, y: Any) -> Any:
        squared, absolute = F.mse_loss(y_hat, y), F.l1_loss(y_hat, y)
        return {"loss": squared + 0.1 * absolute, "mse": squared, "l1": absolute}

    model, data = model_of(Net(1), loss), TensorDataset(X, PRICE)
    expected = {name: part.item() for name, part in loss(model.network(X), PRICE).items()}
    assert model.evaluate(data, batch_size=12, verbose=0) == pytest.approx(expected)
    assert 'loss = losses["loss"]' in lines(model, data)
    history = model.fit(data, batch_size=12, verbose=0)
    assert history.step_losses == pytest.approx([expected["loss"]])
    assert history.rows == [pytest.approx({"epoch": 1, **expected})]
    assert model.unroll("fit", data).verify()


def test_parts_beside_a_total_may_be_plain_numbers() -> None:
    def loss(y_hat: Any, y: Any) -> Any:
        squared = F.mse_loss(y_hat, y)
        return {"loss": squared, "mse": squared.item(), "root": squared.detach().sqrt()}

    model, data = model_of(Net(1), loss), TensorDataset(X, PRICE)
    expected = F.mse_loss(model.network(X), PRICE).item()
    result = model.evaluate(data, batch_size=12, verbose=0)
    assert result == pytest.approx({"loss": expected, "mse": expected, "root": expected**0.5})
    model.fit(data, batch_size=5, verbose=0)
    each = model_of(Net(1), lambda y_hat, y: {"loss": F.mse_loss(y_hat, y), "each": y_hat - y})
    with pytest.raises(ValueError, match=r"returns a tensor of shape \(12, 1\).* as 'each'"):
        each.fit(data)


def test_parts_are_still_summed_where_none_is_the_total() -> None:
    data = TensorDataset(X, PRICE)
    for keys, names in ((("a b", "a-b"), ["a b", "a-b"]), ((0, 1), ["loss_0", "loss_1"])):
        model = model_of(
            Net(1), lambda y_hat, y, keys=keys: dict.fromkeys(keys, F.mse_loss(y_hat, y))
        )
        part = F.mse_loss(model.network(X), PRICE).item()
        result = model.evaluate(data, batch_size=5, verbose=0)
        assert list(result) == ["loss", *names]
        assert result == pytest.approx({"loss": 2 * part, **dict.fromkeys(names, part)})


@pytest.mark.parametrize("key", ["epoch", "acc"])
def test_a_part_has_no_name_that_is_reported_already(key: str) -> None:
    model = model_of(Net(), lambda y_hat, y: {key: F.cross_entropy(y_hat, y)}, Accuracy())
    with pytest.raises(ValueError, match=f"two values as '{key}'"):
        model.fit(TensorDataset(X, CLASS))


# ---- metrics: the output and the label that they can measure


def of_both(logits: Any, embedding: Any, y: Any) -> Any:
    return F.cross_entropy(logits, y) + embedding.pow(2).mean()


def test_a_metric_alone_measures_the_only_output() -> None:
    def of(a: Any, b: Any) -> Any:
        return F.cross_entropy(a, b)

    for loss in (None, of):  # no name tells that y_hat is a prediction
        model = model_of(Net(), loss, Accuracy())
        assert "acc" in model.evaluate(TensorDataset(X, CLASS), verbose=0)


def test_metrics_go_to_the_output_that_they_can_measure_not_by_their_number() -> None:
    model, data = (
        model_of(Heads(flat=False), of_both, [Accuracy(), Accuracy(name="again")]),
        TensorDataset(X, CLASS),
    )
    updates = [line for line in lines(model, data) if ".update(" in line]
    assert updates == ["accuracy.update(y_hat_0, y)", "accuracy_2.update(y_hat_0, y)"]
    right = (model.network(X)[0].argmax(1) == CLASS).double().mean().item()
    result = model.evaluate(data, verbose=0)
    assert (result["acc"], result["again"]) == (right, right)


@pytest.mark.parametrize("keys", [(), ("one", "two")])
def test_a_metric_that_can_measure_several_outputs_asks_which(keys: tuple[str, ...]) -> None:
    def of_two(one: Any, two: Any, y: Any) -> Any:
        return of_both(one, two, y)

    data = TensorDataset(X, CLASS)
    with pytest.raises(ValueError, match="not clear which outputs are meant") as error:
        model_of(Heads(keys=keys), of_two, Accuracy()).fit(data)
    first = keys[0] if keys else 0
    assert f"metrics={{{first!r}: ...}}" in str(error.value)
    model = model_of(Heads(keys=keys), of_two, {first: Accuracy()})
    assert list(model.evaluate(data, verbose=0)) == ["loss", f"acc_{first}"]


@pytest.mark.parametrize("keys", [(), ("logits", "embedding"), ("embedding", "logits")])
def test_metrics_go_to_what_is_called_a_prediction(keys: tuple[str, ...]) -> None:
    def of_these(logits: Any, embedding: Any, y: Any) -> Any:
        return of_both(logits, embedding, y)

    model = model_of(Heads(keys=keys), of_these, [Accuracy(), Accuracy(name="again")])
    result = model.evaluate(TensorDataset(X, CLASS), verbose=0)
    outputs = model.network(X)
    logits = outputs["logits"] if keys else outputs[0]
    assert result["acc"] == result["again"] == (logits.argmax(1) == CLASS).double().mean().item()


def test_a_metric_takes_the_label_that_the_loss_calls_so() -> None:
    def weighted(y_hat: Any, w: Any, y: Any) -> Any:
        return (F.cross_entropy(y_hat, y, reduction="none") * w).mean()

    data = Rows(lambda i: {"x": X[i], "w": WEIGHT[i, 0], "y": CLASS[i]})
    model = model_of(Net(), weighted, Accuracy())
    assert 'accuracy.update(y_hat, batch["y"])' in lines(model, data)
    triples = TensorDataset(X, CLASS, WEIGHT[:, 0])
    model = model_of(Net(), lambda y_hat, y, w: weighted(y_hat, w, y), Accuracy())
    assert "accuracy.update(y_hat, y_0)" in lines(model, triples)
    right = (model.network(X).argmax(1) == CLASS).double().mean().item()
    assert model.evaluate(triples, verbose=0)["acc"] == right


def test_heads_and_labels_meet_by_name_whatever_the_order_in_the_dict() -> None:
    parities = (CLASS + 1) % 2
    heads, losses = Heads(keys=("digit", "parity")), {"digit": CE(), "parity": CE()}
    expected = {
        "digit": F.cross_entropy(heads(X)["digit"], CLASS).item(),
        "parity": F.cross_entropy(heads(X)["parity"], parities).item(),
    }
    for suffix in ("", "_label", "_target"):
        labels = {f"parity{suffix}": parities, f"digit{suffix}": CLASS}
        data = Rows(lambda i, labels=labels: {"x": X[i], **{k: y[i] for k, y in labels.items()}})
        for loss in (losses, list(losses.values())):
            for metrics in ([[Accuracy()], [Accuracy()]], {0: Accuracy(), 1: Accuracy()}):
                model = model_of(heads, loss, metrics)
                result = list(model.evaluate(data, verbose=0).values())
                assert result[1:3] == pytest.approx(list(expected.values()))
                right = (heads(X)["digit"].argmax(1) == CLASS).double().mean().item()
                assert result[3] == right


def test_labels_of_other_names_are_not_taken_in_the_order_of_the_dict() -> None:
    data = Rows(lambda i: {"x": X[i], "first": CLASS[i], "second": 1 - CLASS[i]})
    losses = {"digit": CE(), "parity": CE()}
    with pytest.raises(ValueError, match=r"which labels are meant.*Give the label the name of the"):
        model_of(Heads(keys=("digit", "parity")), losses).fit(data)


def test_a_metric_takes_the_label_of_the_loss_though_others_come_first() -> None:
    def of_digit(y_hat: Any, digit: Any) -> Any:
        return F.cross_entropy(y_hat, digit)

    data = Rows(lambda i: {"row": i % 2, "x": X[i], "digit": CLASS[i]})
    model = model_of(Net(), of_digit, Accuracy())
    assert 'accuracy.update(y_hat, batch["digit"])' in lines(model, data)
    with pytest.raises(ValueError, match="which labels are meant"):
        model_of(Net(), None, Accuracy()).evaluate(data)


# ---- the network's inputs


class Tagged(NamedTuple):
    tokens: torch.Tensor
    labels: torch.Tensor
    mask: torch.Tensor


def test_a_batch_that_can_be_read_in_two_ways_is_refused_with_both() -> None:
    data = TensorDataset(TOKENS, TAGS, MASK)
    for call in ("fit", "evaluate", "predict"):
        with pytest.raises(ValueError, match="a batch can be read in 2 ways") as error:
            getattr(model_of(Tagger(), CE()), call)(data)
        for words in (
            "network(batch[0], batch[1]); loss_fn(y_hat, batch[2])",
            "network(batch[0], batch[2]); loss_fn(y_hat, batch[1])",
            "((tokens, mask), y)",
            "name='tokens'), InputSpec(shape, name='y'), InputSpec(shape, name='mask')]",
        ):
            assert words in str(error.value)


def test_what_does_not_look_alike_is_no_other_reading() -> None:
    """Though fc takes four numbers of four samples, as it takes the four features of each."""

    class Siamese(Net):
        def forward(self, a: Any, b: Any) -> Any:
            return self.fc(a), self.fc(b)

    def contrastive(za: Any, zb: Any, same: Any) -> Any:
        return (same * (za - zb).square().sum(-1)).mean()

    data = TensorDataset(X, -X, CLASS.float())
    model = model_of(Siamese(), contrastive)
    assert lines(model, data)[:2] == [
        "for step, (x_0, x_1, y) in enumerate(train_loader):",
        "y_hat_0, y_hat_1 = network(x_0, x_1)",
    ]
    assert len(model.predict(data, batch_size=4, verbose=0)) == 2


def test_what_was_not_clear_may_be_said_in_each_way_that_the_refusal_names() -> None:
    names = [InputSpec((None, 5), "int64", name) for name in ("tokens", "y", "mask")]
    ways = [
        (TensorDataset(TOKENS, TAGS, MASK), {"inputs": names}),
        (Rows(lambda i: ((TOKENS[i], MASK[i]), TAGS[i])), {}),
        (Rows(lambda i: {"tokens": TOKENS[i], "y": TAGS[i], "mask": MASK[i]}), {}),
        (Rows(lambda i: Tagged(TOKENS[i], TAGS[i], MASK[i])), {}),
        (TensorDataset(TOKENS, TAGS, MASK.float()), {}),  # one of the readings cannot run
    ]
    for data, said in ways:
        model = model_of(Tagger(), CE(), **said)
        expected = F.cross_entropy(model.network(TOKENS, MASK), TAGS).item()
        assert whole_loss(model, data) == pytest.approx(expected)
        predicted = model.predict(data, stack_outputs=True, verbose=0)[0]
        torch.testing.assert_close(predicted, model.network(TOKENS, MASK).detach())


def test_the_fields_of_a_named_tuple_are_its_names_in_the_loop() -> None:
    data = Rows(lambda i: Tagged(TOKENS[i], TAGS[i], MASK[i]))
    assert lines(model_of(Tagger(), own_loss), data) == [
        "for step, (tokens, labels, mask) in enumerate(train_loader):",
        "y_hat = network(tokens, mask)",
        "loss = loss_fn(y_hat, labels)",
    ]


class Handed(nn.Module):
    """A wrapper that hands on what it gets."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = Net()

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        return self.inner(*args, **kwargs)


class Keywords(Handed):
    def forward(self, **kwargs: Any) -> Any:
        return self.inner(**kwargs)


class Picks(Net):
    """Its one layer is no network that it hands on to."""

    def forward(self, **kwargs: Any) -> Any:
        return self.fc(kwargs["x"])


class Star(Net):
    def forward(self, *inputs: Any) -> Any:
        return self.fc(inputs[0])


class Features(Net):
    def forward(self, features: Any) -> Any:
        return self.fc(features["x"])


@pytest.mark.parametrize("kind", [Handed, Star, lambda: nn.DataParallel(Net())])
def test_a_network_of_any_arguments_predicts_what_it_was_trained_on(kind: Any) -> None:
    data, model = TensorDataset(X, CLASS), model_of(kind(), CE())
    assert "y_hat = network(x)" in lines(model, data)
    assert "y_hat = network(x)" in lines(model, data, "predict")
    model.fit(data, verbose=0)
    assert model.predict(data, stack_outputs=True, verbose=0)[0].shape == (12, 2)


def test_a_compiled_network_is_looked_through() -> None:
    assert signature_of_network(torch.compile(Net())).by_place == ("x",)


@pytest.mark.parametrize(
    ("network", "call"),
    [
        (Keywords, 'network(x=batch["x"])'),
        (Picks, 'network(x=batch["x"])'),
        (Handed, 'network(batch["x"])'),
        (Features, "network(batch)"),
        (lambda: nn.Sequential(nn.Linear(4, 2)), 'network(batch["x"])'),
    ],
)
def test_a_dict_goes_to_the_network_but_for_labels_and_strings(network: Any, call: str) -> None:
    data = Rows(lambda i: {"id": f"{i}", "labels": CLASS[i], "x": X[i]})
    model = model_of(network(), CE(), Accuracy())
    for method in ("fit", "predict"):
        assert f"y_hat = {call}" in lines(model, data, method)
    assert 'loss = loss_fn(y_hat, batch["labels"])' in lines(model, data)
    model.fit(data, verbose=0)


class WithItsLoss(Net):
    """As Hugging Face's networks: given labels, it returns the loss, too."""

    def forward(self, input_ids: Any = None, labels: Any = None) -> Any:
        logits = self.fc(input_ids)
        loss = {} if labels is None else {"loss": F.cross_entropy(logits, labels)}
        return {**loss, "logits": logits}


class Hands(nn.Module):
    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, **kwargs: Any) -> Any:
        return self.network(**kwargs)


def test_predict_gives_no_labels_to_a_network_that_has_its_own_loss() -> None:
    data = Rows(lambda i: {"input_ids": X[i], "labels": CLASS[i]})
    model = model_of(WithItsLoss(), lambda loss, logits: loss)
    assert 'y_hat = network(batch["input_ids"], batch["labels"])' in lines(model, data)
    model.fit(data, verbose=0)
    unlabelled = Rows(lambda i: {"input_ids": X[i], "labels": torch.tensor(-1)})
    predicted = model.predict(unlabelled, stack_outputs=True, verbose=0)
    torch.testing.assert_close(predicted["logits"], model.network(X)["logits"].detach())
    for network in (WithItsLoss(), Hands(WithItsLoss())):
        model = model_of(network, lambda loss: loss)  # the other outputs have names it does not ask
        assert 'loss = loss_fn(y_hat["loss"])' in lines(model, data)
        model.fit(data, verbose=0)
    model = model_of(WithItsLoss(), CE(), Accuracy())
    assert 'loss = loss_fn(y_hat["logits"], batch["labels"])' in lines(model, data)


# ---- one part as input and as label; none


class Sequences(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embedding, self.fc = nn.Embedding(9, 8), nn.Linear(8, 9)

    def forward(self, src: torch.Tensor, tgt: torch.Tensor) -> Any:
        return self.fc(self.embedding(src).mean(1, keepdim=True) + self.embedding(tgt))


def next_token(logits: Any, tgt: Any) -> Any:
    return F.cross_entropy(logits[:, :-1].flatten(0, 1), tgt[:, 1:].flatten())


def test_one_part_is_an_input_and_a_label() -> None:
    data = TensorDataset(TOKENS, TOKENS.flip(1))
    specs = [InputSpec((None, 5), "int64", name) for name in ("src", "tgt")]
    model = model_of(Sequences(), next_token, inputs=specs, labels=specs[1:])
    assert lines(model, data) == [
        "for step, (src, tgt) in enumerate(train_loader):",
        "y_hat = network(src, tgt)",
        "loss = loss_fn(y_hat, tgt)",
    ]
    expected = next_token(model.network(*data.tensors), data.tensors[1]).item()
    assert whole_loss(model, data) == pytest.approx(expected)
    model.fit(data, verbose=0)
    assert len(model.predict(data, verbose=0)[0]) == 1


def test_a_loss_may_ask_for_an_input_by_its_name() -> None:
    data = TensorDataset(TOKENS, TOKENS.flip(1))
    assert "loss = loss_fn(y_hat, x_1)" in lines(model_of(Sequences(), next_token), data)
    model = model_of(Net(4), lambda x_hat, x: F.mse_loss(x_hat, x))
    assert "loss = loss_fn(y_hat, x)" in lines(model, TensorDataset(X))


def test_a_batchs_input_is_not_what_torchs_losses_call_so() -> None:
    class Named(Net):
        def forward(self, input: Any) -> Any:
            return {"out": self.fc(input)}

    model = model_of(Named(4), nn.MSELoss())
    data = Rows(lambda i: {"input": X[i], "target": X[i]})
    assert 'loss = loss_fn(y_hat["out"], batch["target"])' in lines(model, data)
    assert whole_loss(model, data) == pytest.approx(F.mse_loss(model.network.fc(X), X).item())


def test_data_without_labels_says_what_to_do() -> None:
    with pytest.raises(ValueError, match=r"TensorDataset\(x, x\).*Model\(network, labels=\[\]\)"):
        model_of(Net(4), nn.MSELoss()).fit(TensorDataset(X))
    image = InputSpec((None, 4), name="image")
    model = model_of(Net(4), nn.MSELoss(), inputs=image, labels=image)
    assert "loss = loss_fn(y_hat, image)" in lines(model, TensorDataset(X))


def test_a_second_view_that_is_taken_for_a_label_is_warned_of() -> None:
    def contrast(z1: Any, z2: Any) -> Any:
        return (z1 - z2).pow(2).mean()

    with pytest.warns(UserWarning, match="z1 and z2, two of a kind.*labels=") as caught:
        model_of(Net(4), contrast).fit(TensorDataset(X, X + 1), verbose=0)
    assert len(caught) == 1

    class Both(Net):
        def forward(self, view_1: Any, view_2: Any) -> Any:
            return self.fc(view_1), self.fc(view_2)

    model, data = model_of(Both(4), contrast, labels=[]), TensorDataset(X, X + 1)
    assert "loss = loss_fn(y_hat_0, y_hat_1)" in lines(model, data)
    model.fit(data, verbose=0)  # and no warning, which would be an error here
    model_of(Net(4), contrast).fit(TensorDataset(X, X), verbose=0)  # an autoencoder
    model_of(Net(4), F.mse_loss).fit(TensorDataset(X, X + 1), verbose=0)


def test_classes_on_the_last_axis_are_refused_with_the_way_to_move_them() -> None:
    scores = nn.Embedding(9, 7)
    with pytest.raises(ValueError, match=r"classes last.*y_hat\.transpose\(1, 2\)"):
        model_of(scores, CE()).fit(TensorDataset(TOKENS, TAGS))

    class Moved(nn.Embedding):
        def forward(self, tokens: Any) -> Any:
            return super().forward(tokens).movedim(-1, 1)

    model_of(Moved(9, 7), CE()).fit(TensorDataset(TOKENS, TAGS), verbose=0)


class Three(Net):
    def forward(self, anchor: Any, positive: Any, negative: Any) -> Any:
        return self.fc(anchor), self.fc(positive), self.fc(negative)


@pytest.mark.parametrize("said", [{}, {"labels": []}])
def test_triplets_have_no_labels(said: dict[str, Any]) -> None:
    model = model_of(Three(), nn.TripletMarginLoss(), **said)
    data = TensorDataset(X, X + 0.1, -X)
    assert "y_hat_0, y_hat_1, y_hat_2 = network(x_0, x_1, x_2)" in lines(model, data)
    assert "loss = loss_fn(y_hat_0, y_hat_1, y_hat_2)" in lines(model, data)
    model.fit(data, verbose=0)


# ---- what is one thing, and what is left out


class Strings(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(1, 2)

    def forward(self, strings: list[str]) -> Any:
        return self.fc(torch.tensor([[float(len(string))] for string in strings]))


class Images(Net):
    def forward(self, images: list[torch.Tensor]) -> Any:
        return torch.stack([self.fc(image.mean((0, 1))) for image in images])


class Scaled(Images):
    """It could take four arguments; and so many images come."""

    def forward(self, images: list[torch.Tensor], a: Any = 1, b: Any = 1, c: Any = 1) -> Any:
        return super().forward(images) * a * b * c


class Packed(Net):
    def forward(self, x: PackedSequence) -> Any:
        return self.fc(x.data[: len(x.sorted_indices)])


@dataclass
class Masked:
    x: torch.Tensor
    mask: torch.Tensor


class OfMasked(Net):
    def forward(self, batch: Masked) -> Any:
        return self.fc(batch.x * batch.mask)


def columns(samples: list[Any]) -> tuple[list[Any], torch.Tensor]:
    return [x for x, _ in samples], torch.tensor([y for _, y in samples])


def packed(samples: list[Any]) -> Any:
    x, y = columns(samples)
    return pack_sequence(x, enforce_sorted=False), y


def masked(samples: list[Any]) -> Any:
    x, y = columns(samples)
    return Masked(torch.stack(x), torch.ones(len(y), 1)), y


RAGGED = [(torch.ones(3, n, 4), n % 2) for n in range(1, 8)]
WHOLE: dict[str, tuple[nn.Module, Any, str]] = {
    "strings": (Strings(), Rows(lambda i: ("a" * i, CLASS[i])), "len(y)"),
    "images of several sizes": (Images(), DataLoader(RAGGED, 4, collate_fn=columns), "len(y)"),
    "as many as forward has parameters": (
        Scaled(), DataLoader(RAGGED, 4, collate_fn=columns), "len(y)",
    ),
    "as many as an image has channels": (
        Images(), DataLoader(RAGGED, 3, collate_fn=columns), "len(y)",
    ),
    "a PackedSequence": (
        Packed(), DataLoader([(x[0], y) for x, y in RAGGED], 4, collate_fn=packed), "len(y)",
    ),
    "a dataclass": (
        OfMasked(), DataLoader(list(zip(X, CLASS.tolist(), strict=True)), 4, collate_fn=masked),
        "len(y)",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", WHOLE)
def test_what_is_one_thing_stays_whole(name: str) -> None:
    network, data, samples = WHOLE[name]
    model = model_of(network, own_loss, Accuracy())
    assert lines(model, data)[:3] == [
        "for step, (x, y) in enumerate(train_loader):",
        "y_hat = network(x)",
        "loss = loss_fn(y_hat, y)",
    ]
    assert samples in model.unroll("fit", data, batch_size=4).source
    history = model.fit(data, batch_size=4, verbose=0)
    results = [model.evaluate(data, batch_size=n, verbose=0)["loss"] for n in (1, 4, 12)]
    assert results == pytest.approx([results[0]] * 3)
    assert len(history.step_losses) in (2, 3)
    assert sum(map(len, model.predict(data, batch_size=4, verbose=0)[0])) in (7, 12)


@dataclass
class Labelled(Masked):
    y: torch.Tensor


def labelled(samples: list[Any]) -> Labelled:
    x, y = columns(samples)
    return Labelled(torch.stack(x), torch.ones(len(y), 1), y)


def of_object(y_hat: torch.Tensor, batch: Labelled) -> torch.Tensor:
    return F.cross_entropy(y_hat, batch.y)


def test_what_cannot_be_moved_to_a_gpu_is_refused() -> None:
    movable("train_data", [("x", X), ("y", Masked(X, X)), ("text", ["a"])], "cpu")
    movable("train_data", [("x", X)], "cuda:0")
    with pytest.raises(ValueError, match=r"text is a list of 1, which .* cannot move to cuda:0"):
        movable("train_data", [("x", X), ("text", ["a"])], "cuda:0")


def test_an_object_goes_to_the_network_as_it_is_and_to_a_loss_that_asks_for_it() -> None:
    @dataclass
    class Sized(Labelled):
        def __len__(self) -> int:
            return len(self.x)

    batches = [Sized(X[i : i + 6], torch.ones(6, 1), CLASS[i : i + 6]) for i in (0, 6)]
    model = model_of(OfMasked(), lambda y_hat, batch: F.cross_entropy(y_hat, batch.y))
    assert lines(model, batches) == [
        "for step, batch in enumerate(train_loader):",
        "y_hat = network(batch)",
        "loss = loss_fn(y_hat, batch)",
    ]
    expected = F.cross_entropy(model.network.fc(X), CLASS).item()
    assert whole_loss(model, batches) == pytest.approx(expected)


class OfColumns(Net):
    def forward(self, x: Any, mask: Any) -> Any:
        return self.fc(x * mask)


@pytest.mark.parametrize(
    ("network", "loss", "calls"),
    [
        (OfColumns, CE(), ("network(batch.x, batch.mask)", "loss_fn(y_hat, batch.y)")),
        (OfMasked, own_loss, ("network(batch)", "loss_fn(y_hat, batch.y)")),
        (OfMasked, of_object, ("network(batch)", "loss_fn(y_hat, batch)")),
    ],
)
def test_the_attributes_of_an_object_are_its_names(network: Any, loss: Any, calls: Any) -> None:
    data = DataLoader(list(zip(X, CLASS.tolist(), strict=True)), 4, collate_fn=labelled)
    model = model_of(network(), loss, Accuracy())
    written = lines(model, data)
    assert f"y_hat = {calls[0]}" in written
    assert f"loss = {calls[1]}" in written
    assert "accuracy.update(y_hat, batch.y)" in written
    assert whole_loss(model, data) == pytest.approx(own_loss(model.network.fc(X), CLASS).item())
    model.fit(data, verbose=0)
    assert len(model.predict(data, verbose=0)[0]) == 3


LEFT_OUT: dict[str, tuple[Any, dict[str, Any], str]] = {
    "a path": (lambda i: (X[i], CLASS[i], f"{i}.png"), {}, "(x, y, _)"),
    "a path before": (lambda i: (f"{i}.png", X[i], CLASS[i]), {}, "(_, x, y)"),
    "beyond what was said": (
        lambda i: (X[i], CLASS[i], i),
        {"inputs": InputSpec((None, 4)), "labels": InputSpec((None,), "int64")}, "(x, y, _)",
    ),
    "a key": (lambda i: {"x": X[i], "row": i, "label": CLASS[i], "path": "a"}, {}, "batch"),
}  # fmt: skip


@pytest.mark.parametrize("name", LEFT_OUT)
def test_a_part_is_left_out_that_nothing_names(name: str) -> None:
    make, said, pattern = LEFT_OUT[name]
    model, data = model_of(Net(), CE(), Accuracy(), **said), Rows(make)
    assert lines(model, data)[0] == f"for step, {pattern} in enumerate(train_loader):"
    expected = F.cross_entropy(model.network(X), CLASS).item()
    assert whole_loss(model, data) == pytest.approx(expected)
    model.fit(data, verbose=0)
    torch.testing.assert_close(
        model.predict(data, stack_outputs=True, verbose=0)[0], model.network(X).detach()
    )


def test_a_loss_gets_the_strings_that_it_asks_for() -> None:
    def by_length(y_hat: Any, strings: Any, y: Any) -> Any:
        return F.cross_entropy(y_hat, y) * len(strings[0])

    data = Rows(lambda i: (X[i], "four", CLASS[i]))
    model = model_of(Net(), by_length)
    assert "loss = loss_fn(y_hat, text, y)" in lines(model, data)
    assert whole_loss(model, data) == pytest.approx(
        4 * F.cross_entropy(model.network(X), CLASS).item()
    )


def test_a_tensor_too_many_is_not_left_out_in_silence() -> None:
    with pytest.raises(ValueError, match=r"loss\(y_hat, y_0, y_1\).*what is beyond these is left"):
        model_of(Net(), CE()).fit(TensorDataset(X, CLASS, CLASS))
