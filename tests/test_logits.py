"""Logits for probabilities: known from the loss, whatever the numbers are; and the advice works."""

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
import torchmetrics
import torchmetrics.classification as tm
from sklearn.metrics import precision_score, recall_score, roc_auc_score
from torch import nn
from torch.nn import functional as F
from torch.utils.data import TensorDataset

import tutorial as tl
from tutorial.inputs.logits import taken_as
from tutorial.metrics import Auc, Precision, Recall

X = torch.randn(60, 4, generator=torch.Generator().manual_seed(0))
Y = (X[:, 0] > 0.2).long()


class Nested(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.BCEWithLogitsLoss()

    def forward(self, y_hat: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return 0.5 * self.inner(y_hat.squeeze(1), y.squeeze(1))


def focal(y_hat: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    p = torch.where(y == 1, y_hat.float().sigmoid(), 1 - y_hat.sigmoid())
    return (-((1 - p) ** 2) * p.log()).mean()


def tempered(y_hat: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    return -(F.log_softmax(y_hat / 2, dim=1) * F.one_hot(y, 2)).sum(1).mean()


def logistic(y_hat: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    return -F.logsigmoid(y_hat * (2 * y - 1)).mean()


ONE: dict[str, Any] = {  # one logit a sample
    "BCEWithLogitsLoss": nn.BCEWithLogitsLoss(),
    "with weights": nn.BCEWithLogitsLoss(pos_weight=torch.tensor([3.0])),
    "function": F.binary_cross_entropy_with_logits,
    "partial": partial(F.binary_cross_entropy_with_logits, pos_weight=torch.tensor(2.0)),
    "lambda": lambda y_hat, y: F.binary_cross_entropy_with_logits(
        input=y_hat[:, 0], target=y[:, 0]
    ),
    "nested": Nested(),
    "focal": focal,
    "logistic": logistic,
    "soft margin": lambda y_hat, y: F.soft_margin_loss(y_hat, 2 * y - 1),
}
TWO: dict[str, Any] = {  # a score for each of two classes
    "CrossEntropyLoss": nn.CrossEntropyLoss(),
    "smoothed": nn.CrossEntropyLoss(label_smoothing=0.1),
    "weighted": partial(F.cross_entropy, weight=torch.tensor([1.0, 2.0])),
    "tempered": tempered,
    "NLLLoss": nn.NLLLoss(),
}


class From0To1(nn.Module):
    """All its logits lie between 0 and 1: the numbers themselves tell nothing."""

    def __init__(self, outputs: int, last: Callable[..., Any] = lambda scores: scores) -> None:
        super().__init__()
        self.layer, self.last = nn.Linear(4, outputs), last
        nn.init.normal_(self.layer.weight, std=0.02)
        nn.init.constant_(self.layer.bias, 0.5)

    def forward(self, x: torch.Tensor) -> Any:
        return self.last(self.layer(x))


def prepared(loss: Any, metrics: Any, network: nn.Module) -> tl.Model:
    model = tl.Model(network)
    model.prepare(torch.optim.SGD(model.parameters(), lr=0.1), loss, metrics)
    return model


@pytest.mark.parametrize("make", [Precision, Recall, Auc])
@pytest.mark.parametrize("kind", [*ONE, *TWO])
def test_logits_are_refused_before_training_and_the_advice_is_right(kind: str, make: Any) -> None:
    torch.manual_seed(1)
    network = From0To1(1 if kind in ONE else 2, partial(F.log_softmax, dim=1) if kind == "NLLLoss"
                       else lambda scores: scores)  # fmt: skip
    data = TensorDataset(X, Y[:, None].float() if kind in ONE else Y)
    loss, before = (ONE | TWO)[kind], network.layer.weight.detach().clone()
    scores = network(X).detach()
    margin = scores[:, 0] if kind in ONE else scores[:, 1] - scores[:, 0]
    if make is Auc and kind in ONE:  # the order of logits is that of probabilities
        metric = make()
    else:
        model = prepared(loss, make(), network)
        for call in (partial(model.fit, data), partial(model.evaluate, data)):
            with pytest.raises(
                ValueError, match=rf"as logits.*{make.__name__}\(from_logits=True\)"
            ):
                call(verbose=0)
        assert torch.equal(network.layer.weight, before)
        metric = make(from_logits=True)
    oracle: Any = {Precision: precision_score, Recall: recall_score, Auc: roc_auc_score}[make]
    expected = oracle(Y, margin if make is Auc else margin >= 0)
    found = prepared(loss, metric, network).evaluate(data, batch_size=7, verbose=0)
    assert found[metric.name()] == pytest.approx(expected, abs=1e-6)


def test_probabilities_for_logits_are_refused_too() -> None:
    data = TensorDataset(X, Y[:, None].float())
    for loss in (
        nn.BCELoss(),
        lambda y_hat, y: -(y * y_hat.log() + (1 - y) * (1 - y_hat).log()).mean(),
    ):
        model = prepared(loss, Recall(from_logits=True), From0To1(1, torch.sigmoid))
        with pytest.raises(
            ValueError, match=r"as probabilities.*Leave from_logits out, Recall\(\)"
        ):
            model.fit(data, verbose=0)
        model.prepare(model.optimizer, loss, [Recall(), Precision(), Auc()])
        model.fit(data, verbose=0)


def test_of_two_outputs_the_one_that_is_no_logit_is_measured() -> None:
    network = From0To1(1, lambda scores: {"logits": scores, "p": torch.sigmoid(scores)})
    data = TensorDataset(X, Y[:, None].float())

    def loss(logits: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return F.binary_cross_entropy_with_logits(logits, y)

    model = prepared(loss, {"p": [Recall(), Precision()]}, network)
    assert model.evaluate(data, verbose=0)["recall_p"] == 1
    with pytest.raises(ValueError, match=r"as logits"):
        prepared(loss, {"logits": Recall()}, network).evaluate(data, verbose=0)


def test_each_of_several_losses_tells_of_its_output() -> None:
    network = From0To1(2, lambda scores: (torch.sigmoid(scores[:, 0]), scores[:, 1]))
    data = TensorDataset(X, Y.float(), Y.float())
    losses = [nn.BCELoss(), nn.BCEWithLogitsLoss()]
    fits = [[Recall()], [Recall(from_logits=True)]]
    assert prepared(losses, fits, network).evaluate(data, verbose=0)["recall_1"] == 1
    with pytest.raises(ValueError, match=r"as logits"):
        prepared(losses, [[Recall()], [Precision()]], network).evaluate(data, verbose=0)
    with pytest.raises(ValueError, match=r"as probabilities"):
        prepared(losses, fits[::-1], network).evaluate(data, verbose=0)


@pytest.mark.parametrize("kind", ["BCEWithLogitsLoss", "function", "partial"])
def test_a_sigmoid_before_a_loss_that_applies_one_gets_a_warning(kind: str) -> None:
    data = TensorDataset(X, Y[:, None].float())
    for network in (From0To1(1, torch.sigmoid), nn.Sequential(nn.Linear(4, 1), nn.Sigmoid())):
        with pytest.warns(UserWarning, match=r"ends in a sigmoid.*take nn\.BCELoss\(\)"):
            prepared(ONE[kind], None, network).fit(data, verbose=0)
    prepared(ONE[kind], None, From0To1(1)).fit(data, verbose=0)


def test_a_metric_of_ones_own_may_convert_logits() -> None:
    class Converts(Recall):
        def update(self, y_hat: torch.Tensor, y: torch.Tensor, weight: Any = None) -> None:
            super().update(torch.sigmoid(y_hat), y, weight)

    class Own(tl.metrics.Metric):
        from_logits = False

        def __init__(self) -> None:
            self.inner = Converts()

        def name(self) -> str:
            return "own"

        def reset(self) -> None:
            self.inner.reset()

        def update(self, y_hat: torch.Tensor, y: torch.Tensor) -> None:
            self.inner.update(y_hat, y)

        def compute(self) -> torch.Tensor:
            return self.inner.compute()

    data = TensorDataset(X, Y[:, None].float())
    model = prepared(nn.BCEWithLogitsLoss(), [Converts(), Own()], From0To1(1))
    found = model.evaluate(data, verbose=0)
    assert found["converts"] == found["own"] == 1


def test_what_a_loss_does_with_something_else_tells_nothing() -> None:
    y_hat, gate = torch.rand(4, 1), torch.randn(4, 1)
    assert taken_as(lambda: (y_hat * torch.sigmoid(gate)).sum(), [y_hat]) == {}
    assert taken_as(lambda: torch.sigmoid(y_hat @ y_hat.T).sum(), [y_hat]) == {}
    assert taken_as(lambda: torch.sigmoid(y_hat).missing, [y_hat]) == {0: ("logits", "sigmoid")}
    first, second = taken_as(
        lambda: (gate.chunk(2)[1][:, 0].logit(), y_hat.softmax(0)), [y_hat, gate]
    ).items()
    assert (first, second) == ((1, ("probabilities", "logit")), (0, ("logits", "softmax")))


@pytest.mark.parametrize(
    ("make", "name"),
    [
        (tm.BinaryRecall, "BinaryRecall"),
        (tm.BinaryAUROC, "BinaryAUROC"),
        (lambda: torchmetrics.MetricCollection([tm.BinaryF1Score()]), "BinaryF1Score"),
    ],
)
def test_torchmetrics_that_guess_from_a_batch_get_a_warning(make: Any, name: str) -> None:
    data = TensorDataset(X, Y[:, None].float())
    model = prepared(nn.BCEWithLogitsLoss(), make(), From0To1(1))
    with pytest.warns(UserWarning, match=rf"{name} gets logits.*from_logits=True") as seen:
        model.fit(data, data, verbose=0)
    assert len(seen) == 1
    prepared(nn.BCELoss(), make(), From0To1(1, torch.sigmoid)).fit(data, verbose=0)


def test_torchmetrics_of_several_classes_get_none() -> None:
    metrics = [tm.MulticlassRecall(2), tm.MulticlassAUROC(2)]
    prepared(nn.CrossEntropyLoss(), metrics, From0To1(2)).fit(TensorDataset(X, Y), verbose=0)
