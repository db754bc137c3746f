"""Typical wrong answers to the exercises of lesson 3, and what each is told."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from sklearn.metrics import f1_score
from torch.nn import functional as F

import tutorial as tl
from tutorial.course.exercises.lesson_03 import counts_of, f1_of

# ---- a metric


class F1:
    """Right, but for what a class derived from it changes."""

    def reset(self) -> None:
        self.found, self.alarms, self.missed = 0, 0, 0

    def update(self, predicted: Any, truth: Any) -> None:
        found, alarms, missed = counts_of(predicted, truth)
        self.found += found
        self.alarms += alarms
        self.missed += missed

    def compute(self) -> Any:
        total = 2 * self.found + self.alarms + self.missed
        return 2 * self.found / total if total else 0.0


class NoReset:
    def update(self, predicted: Any, truth: Any) -> None: ...
    def compute(self) -> float:
        return 0.0


class Forgetful(F1):
    def reset(self) -> None:
        if not hasattr(self, "found"):
            super().reset()


class LastBatch(F1):
    def update(self, predicted: Any, truth: Any) -> None:
        super().reset()
        super().update(predicted, truth)


class MeanOfBatches(F1):
    def reset(self) -> None:
        self.scores: list[float] = []

    def update(self, predicted: Any, truth: Any) -> None:
        self.scores.append(f1_of(predicted, truth))

    def compute(self) -> float:
        return sum(self.scores) / len(self.scores)


class Precision(F1):
    def compute(self) -> float:
        return self.found / (self.found + self.alarms)


class Recall(F1):
    def compute(self) -> float:
        return self.found / (self.found + self.missed)


class PlainMean(F1):
    def compute(self) -> float:
        return (Precision.compute(self) + Recall.compute(self)) / 2


class DividesByZero(F1):
    def compute(self) -> float:
        return 2 * self.found / (2 * self.found + self.alarms + self.missed)


class Accuracy(F1):
    def reset(self) -> None:
        self.right, self.samples = 0, 0

    def update(self, predicted: Any, truth: Any) -> None:
        self.right += int((predicted == truth).sum())
        self.samples += len(truth)

    def compute(self) -> float:
        return self.right / self.samples


class ReturnsNothing(F1):
    def compute(self) -> None:
        return None


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (NoReset, "here is no reset"),
        (Forgetful, "does anything stay from before?"),
        (LastBatch, "that is the last batch alone"),
        (MeanOfBatches, "that is the mean of the batches"),
        (Precision, "12 samples in one batch: it is 0.6667, not 0.6154: that is the precision"),
        (Recall, "that is the recall"),
        (PlainMean, "that is the plain mean of precision and recall"),
        (Accuracy, "that is the accuracy"),
        (DividesByZero, "What is divided by 0?"),
        (ReturnsNothing, "compute() returns None"),
    ],
)
def test_wrong_metrics(answer: type, told: str) -> None:
    assert tl.check("f1_score", F1)
    assert told in tl.check("f1_score", answer).fault


def test_a_reset_that_forgets_one_count_is_seen() -> None:
    class KeepsOne(F1):
        def reset(self) -> None:
            missed = getattr(self, "missed", 0)
            super().reset()
            self.missed = missed

    assert "5, 5 and 2" in tl.check("f1_score", KeepsOne).fault


def test_the_right_f1_is_that_of_scikit_learn() -> None:
    predicted, truth = torch.randint(2, (2, 50))
    assert f1_of(predicted, truth) == pytest.approx(f1_score(truth, predicted))


# ---- a loss


def log_probabilities(y_hat: Any, y: Any) -> Any:
    return y_hat.log_softmax(dim=1)[range(len(y)), y]


LOSSES: list[tuple[Callable[..., Any], str]] = [
    (lambda y_hat, y: log_probabilities(y_hat, y).mean(), "what is the sign"),
    (lambda y_hat, y: -log_probabilities(y_hat, y).sum(), "that is the sum over the samples"),
    (lambda y_hat, y: -log_probabilities(y_hat, y), "it returns 4 numbers for 4 samples"),
    (lambda y_hat, y: -log_probabilities(y_hat, y).sum() / y_hat.numel(), "number of all scores"),
    (lambda y_hat, y: -log_probabilities(y_hat, y).mean().item(), "but a tensor is expected"),
    (lambda y_hat, y: -log_probabilities(y_hat, y).mean().detach(), "nothing can be learned"),
    (lambda y_hat, y: -y_hat.softmax(1)[range(len(y)), y].mean(), "where is the logarithm?"),
    (lambda y_hat, y: -y_hat.softmax(1)[range(len(y)), y].mean().log(), "first the logarithm"),
    (lambda y_hat, y: -y_hat[range(len(y)), y].mean(), "no logarithms of probabilities yet"),
    (lambda y_hat, y: -y_hat.log_softmax(0)[range(len(y)), y].mean(), "over which dim?"),
    (lambda y_hat, y: F.cross_entropy(y_hat.softmax(1), y), "is softmax taken twice?"),
    (
        lambda y_hat, y: -(y_hat.exp() / y_hat.exp().sum(1, True))[range(len(y)), y].log().mean(),
        "1000 times as large: the loss is nan",
    ),
    (
        lambda y_hat, y: F.cross_entropy(y_hat.detach(), y) + 0 * y_hat.sum(),
        "but not its gradient",
    ),
    (lambda y_hat, y: F.cross_entropy(y_hat, y) + 1, "the loss is"),
    (F.cross_entropy, "it is the work of `cross_entropy`: do it without"),
    (lambda y_hat, y: torch.nn.CrossEntropyLoss()(y_hat, y), "of `cross_entropy`: do it"),
]


@pytest.mark.parametrize(("answer", "told"), LOSSES)
def test_wrong_losses(answer: Callable[..., Any], told: str) -> None:
    assert told in tl.check("cross_entropy", answer).fault


# ---- a threshold


def chosen(
    probabilities: Any, truth: Any, recall: float, score: Callable[..., Any], choose: Any = max
) -> Any:
    """Of the thresholds at which the score is high enough, one."""
    return choose(t for t in probabilities.tolist() if score(probabilities, truth, t) >= recall)


def recall_of(probabilities: Any, truth: Any, threshold: float) -> Any:
    return (probabilities[truth == 1] >= threshold).float().mean()


THRESHOLDS: list[tuple[Callable[..., Any], str]] = [
    (lambda *data: chosen(*data, recall_of, min), "is that the lowest of them?"),
    (
        lambda *data: chosen(*data, lambda p, y, t: (y[p >= t] == 1).float().mean()),
        "only 0.2 of the positives are found: is it recall",
    ),
    (
        lambda *data: chosen(*data, lambda p, y, t: (p[y == 1] > t).float().mean()),
        "0.60 finds 0.6 of the positives, but so does a higher one",
    ),
    (lambda *data: None, "there is no answer yet"),
    (lambda *data: "0.5", "it returns '0.5', but a number is expected"),
]


@pytest.mark.parametrize(("answer", "told"), THRESHOLDS[:3] + THRESHOLDS[4:])
def test_wrong_thresholds(answer: Callable[..., Any], told: str) -> None:
    assert tl.check("highest_threshold", lambda *data: chosen(*data, recall_of))
    assert told in tl.check("highest_threshold", answer).fault
