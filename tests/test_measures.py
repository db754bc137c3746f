"""Losses and metrics of one output or several: by their names, and meaning the same as by hand."""

from typing import Any

import pytest
import torch
import torch.nn.functional as F
import torchmetrics
from fakes import OneByOne, Stream
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import tutorial as tl
from tutorial.inputs.objective import Measures
from tutorial.metrics import Accuracy, Mean

CHANCE = torch.Generator().manual_seed(0)
X = torch.randn(61, 8, generator=CHANCE)
Y, V = torch.arange(61) % 3, torch.arange(61) % 2
SOME = torch.where(torch.arange(61) % 4 == 1, -100, Y)  # a quarter is to ignore
WEIGHT = torch.tensor([1.0, 5.0, 0.2])
CE = nn.CrossEntropyLoss


class Heads(nn.Module):
    """Two outputs; with keys in a dict."""

    def __init__(self, *keys: str) -> None:
        super().__init__()
        self.keys = keys
        self.heads = nn.ModuleList([nn.Linear(8, 3), nn.Linear(8, 2)])

    def forward(self, x: torch.Tensor) -> Any:
        outputs = [head(x) for head in self.heads]
        return dict(zip(self.keys, outputs, strict=True)) if self.keys else outputs


def model_of(network: nn.Module, loss: Any, metrics: Any = None) -> tl.Model:
    model = tl.Model(network)
    model.prepare(torch.optim.SGD(model.parameters(), lr=0.1), loss, metrics)
    return model


# ---- several outputs


def hits(network: Heads) -> tuple[float, float]:
    """The fraction of right guesses of each head."""
    outputs = network(X)
    outputs = outputs.values() if isinstance(outputs, dict) else outputs
    first, second = (
        (out.argmax(1) == y).double().mean().item() for out, y in zip(outputs, (Y, V), strict=True)
    )
    return first, second


@pytest.mark.parametrize(
    ("keys", "metrics", "names"),
    [
        ((), [[Accuracy()], [Accuracy()]], ["acc_0", "acc_1"]),
        ((), ([Accuracy()], [Accuracy()]), ["acc_0", "acc_1"]),
        ((), [[Accuracy()], Accuracy(name="hits")], ["acc_0", "hits_1"]),
        ((), {0: Accuracy(), 1: [Accuracy()]}, ["acc_0", "acc_1"]),
        (("a", "b"), {"a": Accuracy(), "b": Accuracy()}, ["acc_a", "acc_b"]),
        (("a", "b"), {"b": Accuracy(), "a": Accuracy()}, ["acc_b", "acc_a"]),
        (("a", "b"), [[Accuracy()], [Accuracy()]], ["acc_0", "acc_1"]),
        ((), [[], [Accuracy()]], ["acc_1"]),
        ((), [None, [Accuracy()]], ["acc_1"]),
    ],
)
def test_metrics_of_several_outputs(keys: tuple[str, ...], metrics: Any, names: list[str]) -> None:
    losses: Any = dict(zip(keys, (CE(), CE()), strict=True)) if keys else [CE(), CE()]
    model = model_of(Heads(*keys), losses, metrics)
    result = model.evaluate(TensorDataset(X, Y, V), batch_size=7, verbose=0)
    parts = list(keys) if keys else ["loss_0", "loss_1"]
    assert list(result) == ["loss", *parts, *names]
    expected = {"acc": 0, "acc_0": 0, "acc_a": 0, "b": 1, "acc_1": 1, "hits_1": 1, "acc_b": 1}
    for name in names:
        assert result[name] == hits(model.network)[expected[name]]
    history = model.fit(TensorDataset(X, Y, V), verbose=0)
    assert list(history.rows[0]) == ["epoch", "loss", *parts, *names]


def test_a_metric_that_takes_all_outputs_gets_them() -> None:
    class Both:
        def reset(self) -> None:
            self.seen: list[int] = []

        def update(self, *everything: torch.Tensor) -> None:
            self.seen.append(len(everything))

        def compute(self) -> float:
            return sum(self.seen) / len(self.seen)

    result = model_of(Heads(), [CE(), CE()], Both()).eval_batch(X, [Y, V])
    assert result["both"] == 4.0


def test_torchmetrics_measure_each_output() -> None:
    metrics = [torchmetrics.Accuracy("multiclass", num_classes=n) for n in (3, 2)]
    model = model_of(Heads(), [CE(), CE()], [[metrics[0]], [metrics[1]]])
    result = model.eval_batch(X, [Y, V])
    shares = [result["multiclass_accuracy_0"], result["multiclass_accuracy_1"]]
    assert shares == pytest.approx(hits(model.network))


def test_two_outputs_may_share_one_label_and_one_may_have_no_loss() -> None:
    class Auxiliary(Heads):
        def forward(self, x: torch.Tensor) -> Any:
            return self.heads[0](x), self.heads[0](-x)

    model = model_of(Auxiliary(), [CE(), CE()])
    result = model.evaluate(TensorDataset(X, Y), verbose=0)
    assert result["loss_1"] == pytest.approx(F.cross_entropy(model.network(X)[1], Y).item())
    only = model_of(Auxiliary(), [CE()]).evaluate(TensorDataset(X, Y), verbose=0)
    assert list(only) == ["loss", "loss_0"]


@pytest.mark.parametrize(
    ("loss", "metrics", "words"),
    [
        ([CE(), CE(), CE()], None, "for the output 2, but the network's outputs are 0, 1"),
        ({"a": CE(), "c": CE()}, None, "for the output 'c', but .* outputs are 'a', 'b'"),
        ({"a": CE()}, {"z": Accuracy()}, "for the output 'z', but the network's outputs"),
        ({"a": CE()}, {"a": [Accuracy(), Accuracy()]}, "two values as 'acc_a'"),
        ({"loss": CE()}, None, "two values as 'loss'"),
    ],
)
def test_what_is_for_no_output_is_refused(loss: Any, metrics: Any, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        model_of(Heads("a", "b") if isinstance(loss, dict) else Heads(), loss, metrics).eval_batch(
            X, [Y, V]
        )


def test_a_loss_that_is_none_of_its_kind_is_refused() -> None:
    for loss in ([CE(), None], [CE, CE()], {"a": "mse"}):
        with pytest.raises(TypeError, match="loss is "):
            Measures(loss, None, "cpu")


def test_the_names_of_variables_and_reports() -> None:
    measures = Measures({"left-hand": CE(), "b": CE()}, {"b": [Accuracy((1, 2))]}, "cpu")
    assert list(measures.loss_fns) == ["loss_fn_left_hand", "loss_fn_b"]
    assert measures.names() == ["loss", "left-hand", "b", "acc_top1_b", "acc_top2_b"]
    assert Measures(None, None, "cpu").names() == []
    model = model_of(Heads("left-hand", "b"), {"left-hand": CE(), "b": CE()})
    assert "loss = loss_left_hand + loss_b" in model.unroll("eval_batch", X, [Y, V]).source


def test_mean_weighs_and_begins_anew() -> None:
    mean = Mean("loss_0")
    assert (mean.name(), mean.accumulate()) == ("loss_0", 0.0)
    weight = torch.tensor(2.0, requires_grad=True)
    mean.update(weight * 1, 3)
    mean.update(weight * 3, 1)
    assert mean.accumulate() == 3.0
    assert not mean.compute().requires_grad
    assert mean.compute().dtype == torch.float64
    mean.reset()
    assert mean.accumulate() == 0.0


# ---- class weights, and labels to ignore

FINE, WIDE = X.double(), WEIGHT.double()  # in float64, rounding is far below any mistake


def one_by_one(x: torch.Tensor, y: torch.Tensor) -> OneByOne:
    return OneByOne(TensorDataset(x, y))


WEIGHTED: dict[str, tuple[Any, Any, torch.Tensor]] = {
    "weights": (CE(WIDE), TensorDataset, Y),
    "weights, smoothed": (CE(WIDE, label_smoothing=0.1), TensorDataset, Y),
    "ignored": (CE(), TensorDataset, SOME),
    "both": (CE(WIDE), TensorDataset, SOME),
    "both, in a loader": (CE(WIDE), lambda x, y: DataLoader(TensorDataset(x, y), 9), SOME),
    "a class ignored": (CE(ignore_index=2), TensorDataset, Y),
    "NLLLoss": (nn.NLLLoss(WIDE, ignore_index=1), TensorDataset, Y),
    "in a list": ([CE(WIDE)], TensorDataset, Y),
    "uint8": (CE(WIDE), TensorDataset, Y.byte()),
    "probabilities": (CE(WIDE), TensorDataset, F.one_hot(Y).double()),
    "one at a time": (CE(WIDE), one_by_one, SOME),
    "one at a time, a class ignored": (CE(ignore_index=2), one_by_one, Y),
    "a stream": (CE(WIDE), lambda x, y: Stream(TensorDataset(x, y)), SOME),
}


@pytest.mark.parametrize("name", WEIGHTED)
def test_the_loss_is_the_same_for_every_batch_size_and_as_of_all_at_once(name: str) -> None:
    loss, kind, y = WEIGHTED[name]
    network = nn.Sequential(nn.Linear(8, 3), nn.LogSoftmax(1)).double()  # for which both losses do
    loss_fn = loss[0] if isinstance(loss, list) else loss
    expected = loss_fn(network(FINE), y).item()
    for batch_size in (61, 17, 5):
        result = model_of(network, loss).evaluate(kind(FINE, y), batch_size=batch_size, verbose=0)
        assert result["loss"] == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("y", [Y, SOME], ids=["labels", "some to ignore"])
@pytest.mark.parametrize("weight", [None, WIDE], ids=["plain", "weights"])
def test_accumulated_batches_equal_one_large_batch(y: torch.Tensor, weight: Any) -> None:
    results = []
    for batch_size, accumulate in ((24, 1), (8, 3), (4, 6)):  # 61 = 2 * 24 + 13
        tl.seed(5)
        model = model_of(nn.Linear(8, 3).double(), CE(weight))
        history = model.fit(
            TensorDataset(FINE, y),
            batch_size=batch_size,
            accumulate_grad_batches=accumulate,
            shuffle=False,
            epochs=2,
            verbose=0,
        )
        results.append((model.network.weight.detach(), len(history.step_losses)))
    assert [steps for _, steps in results] == [6, 16, 32]
    for other, _ in results[1:]:
        torch.testing.assert_close(other, results[0][0], rtol=0, atol=1e-12)


def test_class_weights_stand_in_the_loop_and_hold_for_fit_by_hand() -> None:
    tl.seed(3)
    model = model_of(nn.Linear(8, 3), CE(WEIGHT))
    source = model.unroll("fit", TensorDataset(X, Y)).source
    assert "batch_weight = loss_fn.weight[y].sum().item()" in source
    source = model.unroll("fit", one_by_one(X, SOME)).source
    assert "batch_weight = loss_fn.weight[y[y != -100]].sum().item()" in source
    history = model.fit(TensorDataset(X, Y), batch_size=20, verbose=0, shuffle=False)
    sizes = [WEIGHT[part].sum().item() for part in Y.split(20)]
    total = sum(loss * n for loss, n in zip(history.step_losses, sizes, strict=True))
    assert history.rows[0]["loss"] == pytest.approx(total / sum(sizes))
    assert "len(x)" in model_of(nn.Linear(8, 3), CE()).unroll("fit", TensorDataset(X, Y)).source
