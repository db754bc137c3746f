"""The exercises of lesson 3: metrics and losses."""

import math
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from tutorial.course.exercises.compare import apart, near
from tutorial.course.exercises.registry import Findings, exercise
from tutorial.course.exercises.verdict import Right, Wrong

# ---- a metric


@exercise(
    "f1_score",
    "class",
    question="Can the F1 scores of two batches be averaged? If not, which numbers of a batch can "
    "simply be added up?",
    nudge="Count three things over all batches: predicted positive, positive in truth, and "
    "both at once. Precision and recall are quotients of these counts. Put them into the "
    "formula and simplify: one fraction is left. When is its denominator 0?",
)
def f1_score(answer: Any) -> Findings:
    """The F1 score, as a metric."""
    predicted = torch.tensor([1, 1, 1, 1, 0, 0, 1, 0, 1, 0, 0, 0])
    labels = torch.tensor([1, 1, 0, 1, 1, 0, 0, 1, 1, 0, 0, 1])
    metric = answer()
    missing = [verb for verb in ("reset", "update", "compute") if not hasattr(metric, verb)]
    if missing:
        yield Wrong(f"a metric has reset, update and compute; here is no {missing[0]}")
    metric.reset()
    metric.update(predicted, labels)
    fault = f1_fault(metric.compute(), [(predicted, labels)])
    if fault:
        yield Wrong(f"12 samples in one batch: {fault}")
    yield Right("12 samples in one batch")
    batches = list(zip(torch.split(predicted, 5), torch.split(labels, 5), strict=True))
    metric.reset()
    for batch in batches:
        metric.update(*batch)
    fault = f1_fault(metric.compute(), batches)
    if fault:
        yield Wrong(f"the same 12 samples in batches of 5, 5 and 2: {fault}")
    yield Right("the same 12 samples in batches of 5, 5 and 2")
    metric.reset()
    metric.update(*batches[0])
    if not near(float(metric.compute()), f1_of(*batches[0])):
        yield Wrong(
            "after reset() and one batch it is "
            f"{apart(float(metric.compute()), f1_of(*batches[0]))}: does anything stay from before?"
        )
    yield Right("reset() starts again")
    metric.reset()
    nothing = torch.zeros(3, dtype=torch.int64)
    metric.update(nothing, nothing)
    try:
        value = float(metric.compute())
    except ZeroDivisionError:
        value = math.nan
    if value != 0:
        yield Wrong(
            "nothing is positive, and nothing is predicted positive: 0 is expected, not "
            f"{value:g}. What is divided by 0?"
        )
    yield Right("without anything positive it is 0")


def counts_of(predicted: Tensor, labels: Tensor) -> tuple[int, int, int]:
    """Positives that were found, false alarms, and positives that were missed."""
    found = int(((predicted == 1) & (labels == 1)).sum())
    return found, int((predicted == 1).sum()) - found, int((labels == 1).sum()) - found


def f1_of(predicted: Tensor, labels: Tensor) -> float:
    """The F1 score of all samples."""
    found, alarms, missed = counts_of(predicted, labels)
    return 2 * found / (2 * found + alarms + missed)


def f1_fault(value: Any, batches: list[tuple[Tensor, Tensor]]) -> str:
    """What is wrong with an F1 score."""
    if not isinstance(value, int | float | Tensor):
        return f"compute() returns {value!r:.60}, but a number is expected"
    predicted, labels = (torch.cat(parts) for parts in zip(*batches, strict=True))
    found, alarms, missed = counts_of(predicted, labels)
    expected = f1_of(predicted, labels)
    if near(float(value), expected):
        return ""
    precision, recall = found / (found + alarms), found / (found + missed)
    causes = {
        precision: "that is the precision",
        recall: "that is the recall",
        (precision + recall) / 2: "that is the plain mean of precision and recall",
        float((predicted == labels).float().mean()): "that is the accuracy",
        f1_of(*batches[-1]): "that is the last batch alone",
        sum(f1_of(*batch) for batch in batches) / len(batches): (
            "that is the mean of the batches; which numbers can be added up instead?"
        ),
    }
    cause = next((text for other, text in causes.items() if near(float(value), other)), "")
    return f"it is {apart(float(value), expected)}" + (f": {cause}" if cause else "")


# ---- a loss


@exercise(
    "cross_entropy",
    forbids=("cross_entropy",),
    question="What is the cross-entropy of one image, if you know the probability that the "
    "network gives to its class?",
    nudge="Minus the logarithm of that probability. `exp` of 1,000 overflows, so do not take "
    "the softmax first and its logarithm afterwards: `F.log_softmax` does both at once. "
    "Then pick in each row the column of its label.",
)
def cross_entropy(answer: Any) -> Findings:
    """Cross-entropy, by hand."""
    y_hat = torch.tensor([[2.0, -1.0, 0.5], [0.3, 0.2, 0.1], [-1.0, 4.0, 1.0], [0.0, 1.5, 3.0]])
    y = torch.tensor([0, 2, 1, 1])
    y_hat.requires_grad_()
    loss = answer(y_hat, y)
    if not isinstance(loss, Tensor):
        yield Wrong(f"it returns {loss!r:.60}, but a tensor is expected, for a backward pass")
    expected = F.cross_entropy(y_hat, y)
    if loss.numel() != 1:
        yield Wrong(
            f"it returns {loss.numel()} numbers for {len(y)} samples: their mean is asked for"
        )
    if not near(loss.item(), expected.item()):
        chosen = y_hat.softmax(dim=1)[range(4), y]
        causes = {
            -expected.item(): "what is the sign of the logarithm of a probability?",
            4 * expected.item(): "that is the sum over the samples",
            expected.item() / 3: "that is divided by the number of all scores",
            -chosen.mean().item(): "where is the logarithm?",
            -chosen.mean().log().item(): "first the logarithm, then the mean",
            -y_hat[range(4), y].mean().item(): "the scores are no logarithms of probabilities yet",
            F.cross_entropy(y_hat.T[:, :3], y[:3]).item(): "softmax goes over the classes: dim=1",
            -y_hat.log_softmax(dim=0)[range(4), y].mean().item(): (
                "the probabilities of a sample must add up to 1: over which dim?"
            ),
            F.cross_entropy(y_hat.softmax(dim=1), y).item(): "is softmax taken twice?",
        }
        cause = next((text for v, text in causes.items() if near(loss.item(), v)), "")
        yield Wrong(
            f"4 samples: the loss is {apart(loss.item(), expected.item())}"
            + (f": {cause}" if cause else "")
        )
    yield Right("the loss of 4 samples")
    if not loss.requires_grad:
        yield Wrong("nothing can be learned from it: is it cut off by .item(), .data or no_grad()?")
    [gradient] = torch.autograd.grad(loss, y_hat)
    [right] = torch.autograd.grad(expected, y_hat)
    if not torch.allclose(gradient, right, atol=1e-5):
        yield Wrong("the loss is right, but not its gradient: is a part of it cut off?")
    yield Right("its gradient")
    large = answer(1000 * y_hat.detach(), y)
    if not near(float(large), F.cross_entropy(1000 * y_hat.detach(), y).item()):
        yield Wrong(
            f"scores that are 1000 times as large: the loss is {float(large):g}. exp(1000) is "
            "larger than any float: which function of PyTorch takes exp and log in one step?"
        )
    yield Right("the same for very large scores")


# ---- a threshold


@exercise(
    "highest_threshold",
    question="If the threshold becomes lower, can the recall fall? Which few numbers have to be "
    "tried?",
    nudge="For one threshold, the recall is the fraction of the positives whose probability is "
    "at least as high. Compute it for each probability in the list, keep those for which "
    "it is large enough, and return the largest of these.",
)
def highest_threshold(answer: Any) -> Findings:
    """The highest threshold at which enough of the positives are found."""
    probabilities = torch.tensor([0.95, 0.9, 0.8, 0.7, 0.6, 0.55, 0.4, 0.3, 0.2, 0.1])
    labels = torch.tensor([1, 0, 1, 1, 0, 1, 0, 1, 0, 0])
    order = torch.tensor([3, 8, 0, 5, 9, 1, 7, 2, 6, 4])  # in no order, as data comes
    for wanted in (0.6, 0.8, 1.0):
        given = answer(probabilities[order], labels[order], wanted)
        if not isinstance(given, int | float | Tensor) or isinstance(given, bool):
            yield Wrong(f"it returns {given!r:.60}, but a number is expected")
        value = float(given)
        fits = [t for t in probabilities.tolist() if recall_at(t, probabilities, labels) >= wanted]
        if not near(value, max(fits)):
            yield Wrong(
                f"recall {wanted}: {why_threshold(value, max(fits), wanted, probabilities, labels)}"
            )
        yield Right(f"recall {wanted}: {max(fits):.2f}")


def recall_at(threshold: float, probabilities: Tensor, labels: Tensor) -> float:
    """The fraction of the positives that have at least this probability."""
    return float((probabilities[labels == 1] >= threshold - 1e-6).float().mean())


def why_threshold(
    value: float, expected: float, wanted: float, probabilities: Tensor, labels: Tensor
) -> str:
    """What is wrong with a threshold."""
    recall = recall_at(value, probabilities, labels)
    if recall < wanted - 1e-6:
        return (
            f"at the threshold {value:.2f} only {recall:.1f} of the positives are found: is it "
            "recall that you compute, with >= on both sides?"
        )
    if near(value, float(probabilities.min())):
        return f"{value:.2f} finds enough, but so do higher ones: is that the lowest of them?"
    return f"{value:.2f} finds {recall:.1f} of the positives, but so does a higher one"
