"""Metrics, and what networks give back: dicts, dataclasses, outputs of many lengths."""

import dataclasses

import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.data import TensorDataset

import tutorial as tl

from .networks import mlp
from .situation import Case, Head, points, situation


def confusion():
    import torchmetrics

    return torchmetrics.ConfusionMatrix(task="multiclass", num_classes=3)


@situation(
    125,
    "torchmetrics.ConfusionMatrix: a metric that is no number",
)
def confusion_matrix() -> None:
    network, data, by_hand = mlp(), points(), confusion()
    model = tl.Model(network)
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1)
    model.prepare(optimizer, nn.CrossEntropyLoss(), confusion())
    history = model.fit(data, epochs=2, batch_size=4, verbose=0)
    assert [list(row) for row in history.rows] == [["epoch", "loss"]] * 2
    result = model.evaluate(data, batch_size=5, verbose=0)
    with torch.no_grad():
        by_hand.update(network(data.tensors[0]), data.tensors[1])
    assert torch.equal(result["multiclass_confusion_matrix"], by_hand.compute())


def torchmetric(kind: str, **options):
    import torchmetrics

    return getattr(torchmetrics, kind)(task="multiclass", num_classes=3, **options)


@situation(
    126,
    "torchmetrics: Accuracy, F1, AUROC, mean per class",
    each={
        "Accuracy": lambda: torchmetric("Accuracy", average="micro"),
        "F1Score": lambda: torchmetric("F1Score"),
        "AUROC": lambda: torchmetric("AUROC"),
        "macro": lambda: torchmetric("Recall", average="macro"),
    },
)
def torchmetrics_(make) -> None:
    network, data = mlp(), points()
    model, by_hand = tl.Model(network), make()
    model.prepare(torch.optim.SGD(network.parameters(), lr=0.0), nn.CrossEntropyLoss(), make())
    (found,) = (v for k, v in model.evaluate(data, batch_size=5, verbose=0).items() if k != "loss")
    with torch.no_grad():
        by_hand.update(network(data.tensors[0]), data.tensors[1])
    assert abs(found - float(by_hand.compute())) < 1e-6


def accuracy(y_hat, y):
    return (y_hat.argmax(1) == y).float().mean()


@situation(
    127,
    "a function or 'accuracy' as a metric, 'adam' as an optimizer",
    each={"function": (None, accuracy), "name": (None, "accuracy"), "adam": ("adam", None)},
    refused=r"metrics\.Accuracy|torch\.optim",
    instead="`tl.metrics.Accuracy()`, `torch.optim.Adam(model.parameters())`",
)
def by_word(given) -> None:
    optimizer, metric = given
    tl.Model(mlp()).prepare(optimizer, nn.CrossEntropyLoss(), metric)


class Hidden(nn.Module):
    """As with output_hidden_states=True."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Linear(4, 8), nn.Linear(8, 3)

    def forward(self, x):
        h = self.a(x)
        return {"logits": self.b(h), "hidden_states": (x, h)}


@situation(128, "a dict output with a tuple of hidden states")
def hidden_states() -> Case:
    def loss(logits, *rest):
        return F.cross_entropy(logits, rest[-1])

    return Case(Hidden(), loss, points(),
                step=lambda net, loss, batch: loss(net(batch[0])["logits"], batch[1]))  # fmt: skip


@situation(
    128,
    "predict(stack_outputs=True) with a tuple of hidden states",
    refused="Leave stack_outputs out",
    instead="`stack_outputs=False`",
)
def hidden_states_stacked() -> None:
    network, data = Hidden(), points()
    found = tl.Model(network).predict(data, batch_size=5, verbose=0, stack_outputs=True)
    with torch.no_grad():
        hand = network(data.tensors[0])
    assert torch.allclose(found["logits"], hand["logits"], atol=1e-6)
    assert torch.allclose(found["hidden_states"][1], hand["hidden_states"][1], atol=1e-6)


class WithScalar(Head):
    def forward(self, x):
        logits = self.fc(x)
        return {"loss": logits.mean(), "logits": logits}


@situation(
    128,
    "predict(stack_outputs=True), a scalar among the outputs",
    refused="Leave stack_outputs out",
    instead="`stack_outputs=False`",
)
def scalar_output() -> None:
    network, data = WithScalar(), points()
    found = tl.Model(network).predict(data, batch_size=5, verbose=0, stack_outputs=True)
    with torch.no_grad():
        assert torch.allclose(found["logits"], network(data.tensors[0])["logits"], atol=1e-6)


@dataclasses.dataclass
class Output:
    logits: torch.Tensor
    features: torch.Tensor


class GivesDataclass(Head):
    def forward(self, x):
        return Output(self.fc(x), x)


def dataclass_loss(output, y):
    return F.cross_entropy(output.logits, y)


@situation(130, "the network returns a dataclass")
def dataclass_output() -> Case:
    return Case(GivesDataclass(), dataclass_loss, points(), without=("predict",))


@situation(
    130,
    "the network returns a dataclass: predict(stack_outputs=True)",
    refused="stack_outputs",
    instead="`stack_outputs=False`",
)
def dataclass_stacked() -> None:
    tl.Model(GivesDataclass()).predict(points(), batch_size=5, verbose=0, stack_outputs=True)


class ManyLengths(Head):
    """As many outputs as the batch's longest sequence is long."""

    def forward(self, x):
        return self.fc(x)[:, None].expand(-1, 1 + len(x) % 3, -1)


@situation(
    131,
    "outputs of many lengths, predict(stack_outputs=True)",
    refused="stack_outputs",
    instead="`stack_outputs=False`, or pad them",
)
def many_lengths() -> None:
    tl.Model(ManyLengths()).predict(points(9), batch_size=5, verbose=0, stack_outputs=True)


@situation(131, "outputs of many lengths, predict")
def many_lengths_listed() -> Case:
    def loss(y_hat, y):
        return F.cross_entropy(y_hat.mean(1), y)

    return Case(ManyLengths(), loss, TensorDataset(torch.randn(9, 4), torch.arange(9) % 3))
