"""Two loops side by side: the first thing in which one differs from the other, in words.

Each function below looks at one thing, and returns what is wrong with it, or nothing.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch

from tutorial.course.exercises.record import Recording, Step
from tutorial.parameters import short


def training_fault(yours: Recording, right: Recording, batches: int) -> str:
    """Where a training first differs from the right one, from the same weights and data.

    Args:
        yours: what the student's loop did.
        right: what the right loop did.
        batches: in one epoch.
    """
    return _first_fault(yours, right, batches, TRAINING)


def evaluation_fault(yours: Recording, right: Recording, batches: int) -> str:
    """The same for an evaluation or a prediction, which must not learn."""
    return _first_fault(yours, right, batches, EVALUATION)


def mean_fault(name: str, value: Any, parts: Sequence[float], sizes: Sequence[int]) -> str:
    """What is wrong with a mean over samples.

    Args:
        name: what it is a mean of, such as "loss".
        value: the student's.
        parts: the means of the batches.
        sizes: the samples in each batch.

    Example:
        >>> mean_fault("loss", 2.0, [1.0, 3.0], [30, 10])
        'the mean loss is 2, not 1.5: it counts every batch alike, but the last one is smaller'
    """
    if isinstance(value, torch.Tensor):
        return (
            f"the mean {name} is a tensor, but a plain number is expected: .item() takes it out, "
            "and lets go of all that a backward pass would need"
        )
    if not isinstance(value, int | float):
        hint = ": is it returned?" if value is None else ""
        return f"the mean {name} is {short(value, 60)}, but a number is expected{hint}"
    weighted = [part * size for part, size in zip(parts, sizes, strict=True)]
    expected = sum(weighted) / sum(sizes)
    if near(value, expected):
        return ""
    causes = {
        "it counts every batch alike, but the last one is smaller": sum(parts) / len(parts),
        "that is the last batch alone": parts[-1],
        "that is the first batch alone": parts[0],
        "that is the sum over the samples; divide it by their number": sum(weighted),
        "that is the sum over the batches; a mean is a sum divided by a number": sum(parts),
        f"the {name} of a batch is a mean already: how many samples does it stand for?": (
            sum(parts) / sum(sizes)
        ),
        "the sum over the samples is divided by the number of batches": sum(weighted) / len(parts),
        "the short last batch is left out": sum(weighted[:-1]) / (sum(sizes[:-1]) or 1),
    }
    cause = next((text for text, other in causes.items() if near(value, other)), "")
    return f"the mean {name} is {apart(value, expected)}" + (f": {cause}" if cause else "")


def keys_fault(value: Any, *names: str) -> str:
    """What is wrong with a dict that should have these keys.

    Example:
        >>> keys_fault({"loss": 0.1, "n": 3}, "loss", "acc")
        "it returns a dict with 'loss' and 'n', but one with 'loss' and 'acc' is expected"
    """
    if not isinstance(value, dict):
        return f"it returns {short(value, 60)}, but a dict with {listed(names)} is expected"
    if set(value) != set(names):
        seen = f"a dict with {listed(value)}" if value else "an empty dict"
        return f"it returns {seen}, but one with {listed(names)} is expected"
    return ""


def listed(names: Iterable[Any]) -> str:
    """Names in a sentence."""
    *most, last = map(repr, names)
    return f"{', '.join(most)} and {last}" if most else last


def apart(value: float, expected: float) -> str:
    """Two numbers in a sentence, with as many digits as tell them apart.

    Example:
        >>> apart(2.0, 1.5)
        '2, not 1.5'
        >>> apart(1.1823, 1.18233)
        '1.1823, not 1.18233 (is it rounded?)'
    """
    for digits in range(4, 18):
        one, other = f"{value:.{digits}g}", f"{expected:.{digits}g}"
        if one != other:
            break
    rounded = any(value == round(expected, digits) for digits in range(2, 7))
    return f"{one}, not {other}{' (is it rounded?)' if rounded else ''}"


def group_cause(gradient: torch.Tensor, parts: Sequence[torch.Tensor], sizes: Sequence[int]) -> str:
    """Why a gradient is not that of several batches together; nothing if that is not known.

    Args:
        gradient: the student's.
        parts: the gradients of the batches, each of a mean over the batch.
        sizes: the samples in each batch.

    Example:
        >>> group_cause(torch.tensor([6.0]), [torch.tensor([2.0]), torch.tensor([4.0])], [8, 8])
        "it is the sum of the parts' gradients; a mean is wanted"
    """
    means = torch.stack(list(parts))
    sums = torch.stack([part * size for part, size in zip(parts, sizes, strict=True)]).sum(0)
    causes = {
        "it is that of the last part alone: what clears the others?": parts[-1],
        "it is that of the first part alone": parts[0],
        "it is the sum of the parts' gradients; a mean is wanted": means.sum(0),
        "each part counts alike, but the last one is smaller": means.mean(0),
        "it is the sum over the samples; divide by their number": sums,
        "it is the sum over the samples, divided by the number of parts": sums / len(parts),
    }
    return next((text for text, other in causes.items() if alike(gradient, other)), "")


def near(a: float, b: float) -> bool:
    """Equality but for rounding."""
    return abs(a - b) <= 1e-5 * max(1.0, abs(b))


def alike(a: Any, b: Any) -> bool:
    """Equality of two tensors but for rounding."""
    if not isinstance(a, torch.Tensor) or not isinstance(b, torch.Tensor) or a.shape != b.shape:
        return False
    a, b = a.double(), b.double()
    return bool((a - b).norm() <= 1e-4 * b.norm() + 1e-9)


# ---- step by step

Look = Callable[[Step, Step, list[Step], list[Step]], str]


def _first_fault(yours: Recording, right: Recording, batches: int, looks: Sequence[Look]) -> str:
    """What the first look that finds something says, at the first step where one does."""
    for i, (step, expected) in enumerate(zip(yours.steps, right.steps, strict=False)):
        for look in looks:
            fault = look(step, expected, yours.steps[:i], right.steps)
            if fault:
                return f"{_place(i, batches, len(right.steps))}: {fault}"
    done, wanted = len(yours.steps), len(right.steps)
    if done == 0 and yours.other:
        return f"it is a {yours.other} that is called; the network that is given stays as it is"
    if done == 0:
        return "the network is never called: where is y_hat = network(x)?"
    if done < wanted:
        shorter = [len(step.x) < len(right.steps[0].x) for step in right.steps[done:]]
        why = "is the short last one left out?" if shorter == [True] else ""
        return f"it ends after {done} of {wanted} batches: {why or RETURN}"
    if done > wanted:
        return f"the network is called {done} times, but there are {wanted} batches to go through"
    return ""


RETURN = "does a return or a break stand in the loop?"


def _place(i: int, batches: int, steps: int) -> str:
    """The step's name, counted from 1, with its epoch if there are several."""
    epoch, step = divmod(i, batches)
    return f"epoch {epoch + 1}, step {step + 1}" if steps > batches else f"step {step + 1}"


def _mode(step: Step, expected: Step, *_: Any) -> str:
    if expected.training and not step.training:
        return "dropout is off, as in an evaluation: network.train()?"
    if expected.evaluating and not step.evaluating:
        return "dropout is still on: network.eval()?"
    return ""


def _grad_mode(step: Step, expected: Step, *_: Any) -> str:
    if expected.gradients_on and not step.gradients_on:
        return "gradients are off, so nothing can be learned: what stands in torch.no_grad()?"
    if step.gradients_on and not expected.gradients_on:
        return "PyTorch records a graph for a backward pass that never comes: torch.no_grad()?"
    return ""


def _batch(step: Step, expected: Step, _: Any, right: list[Step]) -> str:
    if alike(step.x, expected.x):
        return ""
    again = [i for i, other in enumerate(right) if alike(step.x, other.x)]
    if again:
        return f"the network gets the batch of step {again[0] + 1} instead of its own"
    return (
        f"the network gets {tuple(step.x.shape)}, which is not this step's batch of "
        f"{tuple(expected.x.shape)} from the loader: is x changed on the way?"
    )


def _loss(step: Step, expected: Step, *_: Any) -> str:
    if not step.losses or not expected.losses:
        return ""  # the loss was computed in another way; what comes of it is looked at
    loss, wanted = step.losses[0], expected.losses[0]
    if not alike(loss.y, wanted.y):
        return "loss_fn gets other labels than those of this batch: loss_fn(y_hat, y)?"
    if alike(loss.y_hat, wanted.y_hat):
        return ""
    if alike(loss.y_hat, wanted.y_hat.softmax(dim=-1)):
        return "loss_fn gets probabilities, but it takes the logits as the network gives them"
    return "loss_fn gets something else than what the network gave for this batch"


def _gradient(step: Step, expected: Step, before: list[Step], _: Any) -> str:
    if expected.gradient is None:
        return ""
    if step.updates == 0:
        still = alike(step.after, step.before)
        return (
            f"the weights {'did not move' if still else 'moved, but not by the optimizer'}: "
            "is optimizer.step() called?"
        )
    backward = any(loss.backward for loss in step.losses)
    if step.early and step.losses and backward:
        return "optimizer.step() comes before there is a gradient to follow: loss.backward() first?"
    if step.gradient is None or not step.gradient.any():
        return (
            "the gradient is gone when optimizer.step() is called: is it cleared too early?"
            if backward
            else "there is no gradient to follow: is loss.backward() called?"
        )
    if alike(step.gradient, expected.gradient):
        return ""
    last = before[-1].gradient if before else None
    times = float(step.gradient @ expected.gradient / (expected.gradient @ expected.gradient))
    if last is not None and alike(step.gradient - last, expected.gradient):
        return (
            "your gradient is the one of this batch plus that of the step before "
            f"({float(step.gradient.norm() / expected.gradient.norm()):.2g} times as long as "
            "expected): is it zeroed?"
        )
    if alike(step.gradient, times * expected.gradient):
        why = "what is backward() called on?" if times > 1 or times < 0 else SHORTER
        return f"your gradient is {times:.3g} times the expected: {why}"
    return "your gradient is not that of this batch's loss"


SHORTER = "is it clipped, or the loss divided by something?"


def _weights(step: Step, expected: Step, *_: Any) -> str:
    if step.updates > 1:
        return f"optimizer.step() is called {step.updates} times for one batch"
    if not alike(step.after, expected.after):
        return "the gradient is right, but the weights moved otherwise: does anything change them?"
    return ""


def _unchanged(step: Step, *_: Any) -> str:
    if step.updates or not alike(step.after, step.before):
        return "the weights moved, but an evaluation must not learn: no backward(), no step()"
    return ""


TRAINING = (_mode, _grad_mode, _batch, _loss, _gradient, _weights)
EVALUATION = (_mode, _unchanged, _batch, _loss, _grad_mode)
