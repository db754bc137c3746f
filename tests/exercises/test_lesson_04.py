"""Typical wrong answers to the exercises of lesson 4, and what each is told."""

from collections.abc import Callable
from typing import Any

import pytest
import torch

import tutorial as tl

# ---- a gradient without backward


def gradient(y_hat: torch.Tensor, y: torch.Tensor, sign: float = 1.0) -> torch.Tensor:
    wanted = torch.nn.functional.one_hot(y, y_hat.shape[1])
    return sign * (y_hat.softmax(dim=1) - wanted)


GRADIENTS: list[tuple[Callable[..., Any], str]] = [
    (lambda y_hat, y: gradient(y_hat, y, -1).mean(0), "the sign is the other one"),
    (lambda y_hat, y: gradient(y_hat, y).sum(0), "it is the sum over the samples"),
    (lambda y_hat, y: y_hat.softmax(dim=1).mean(0), "what part have the labels?"),
    (lambda y_hat, y: (gradient(y_hat, y) - y_hat.softmax(1) + y_hat).mean(0), "are these scores?"),
    (lambda y_hat, y: gradient(y_hat, y), "so (3,): the loss is a mean over them"),
    (lambda y_hat, y: gradient(y_hat, y).mean(), "the shape is ()"),
    (lambda y_hat, y: 0.0, "a tensor is expected"),
    (lambda y_hat, y: torch.zeros(y_hat.shape[1]), "not what backward finds"),
]


@pytest.mark.parametrize(("answer", "told"), GRADIENTS)
def test_wrong_gradients(answer: Callable[..., Any], told: str) -> None:
    assert told in tl.check("bias_gradient", answer).fault


def test_the_gradient_is_right_in_any_form() -> None:
    assert tl.check("bias_gradient", lambda y_hat, y: gradient(y_hat, y).sum(0) / len(y))


# ---- a large batch in small parts


def accumulate(
    network: Any,
    loss_fn: Any,
    optimizer: Any,
    parts: Any,
    *,
    weigh: Callable[[int, int], float] = lambda size, samples: size / samples,
    clear: str = "end",
    steps: int = 1,
) -> None:
    samples = sum(len(x) for x, _ in parts)
    for x, y in parts:
        if clear == "before":
            optimizer.zero_grad()
        (loss_fn(network(x), y) * weigh(len(x), samples)).backward()
    if clear == "early":
        optimizer.zero_grad()
    for _ in range(steps):
        optimizer.step()
    if clear == "end":
        optimizer.zero_grad()


ACCUMULATED: list[tuple[dict[str, Any], str]] = [
    ({"weigh": lambda size, samples: 1}, "it is the sum of the parts' gradients"),
    ({"weigh": lambda size, samples: 1 / 3}, "each part counts alike, but the last one is smaller"),
    ({"weigh": lambda size, samples: size}, "divide by their number"),
    ({"weigh": lambda size, samples: size / 3}, "divided by the number of parts"),
    ({"weigh": lambda size, samples: 1, "clear": "before"}, "of the last part alone"),
    ({"weigh": lambda size, samples: size == 16}, "the gradient is not that of the large batch"),
    ({"clear": "early"}, "there is no gradient when the step is made"),
    ({"clear": "never"}, "the gradients are still there afterwards"),
    ({"steps": 0}, "optimizer.step() is called 0 times"),
    ({"steps": 3}, "optimizer.step() is called 3 times"),
]


@pytest.mark.parametrize(("fault", "told"), ACCUMULATED)
def test_wrong_accumulations(fault: dict[str, Any], told: str) -> None:
    verdict = tl.check("accumulated_step", lambda *given: accumulate(*given, **fault))
    assert told in verdict.fault


def test_accumulations_that_bypass_the_parts() -> None:
    def at_once(network, loss_fn, optimizer, parts):
        x, y = (torch.cat(tensors) for tensors in zip(*parts, strict=True))
        accumulate(network, loss_fn, optimizer, [(x, y)])

    def first_alone(network, loss_fn, optimizer, parts):
        accumulate(network, loss_fn, optimizer, parts, weigh=lambda *_: 0, clear="never", steps=0)
        x, y = parts[0]
        loss_fn(network[2](network[1](network[0](x))), y).backward()
        optimizer.step()

    def shaken(*given):
        accumulate(*given)
        next(given[0].parameters()).data += 1

    for answer, told in (
        (at_once, "the network gets batches of [38], but each part"),
        (first_alone, "it is that of the first part alone"),
        (shaken, "the gradient is right, but the weights are not"),
        (lambda *_: None, "the network gets batches of nothing"),
    ):
        assert told in tl.check("accumulated_step", answer).fault
    assert tl.check("accumulated_step", accumulate)


# ---- an optimizer by hand


def momentum(
    weights: Any,
    velocities: Any,
    lr: float,
    momentum: float,
    *,
    keep: bool = True,
    new: float = 1.0,
    way: float = -1.0,
    length: float | None = None,
) -> None:
    for weight, velocity in zip(weights, velocities, strict=True):
        moved = momentum * velocity + new * weight.grad
        if keep:
            velocity.copy_(moved)
        weight.data += way * (lr if length is None else length) * moved


MOMENTUM: list[tuple[dict[str, Any], str]] = [
    ({"keep": False}, "step 2: that is a step without momentum"),
    ({"new": 0.1}, "step 1: the new gradient counts in full"),
    ({"way": 1.0}, "step 1: the weights move up the gradient"),
    ({"length": 1.0}, "step 1: the step is ten times too long"),
    ({"length": 0.0}, "step 1: the weights did not move"),
    ({"length": 0.2}, "step 1: not where SGD of PyTorch"),
]


@pytest.mark.parametrize(("fault", "told"), MOMENTUM)
def test_wrong_momenta(fault: dict[str, Any], told: str) -> None:
    verdict = tl.check("momentum_step", lambda *given: momentum(*given, **fault))
    assert told in verdict.fault


def test_a_weight_must_be_changed_in_place_and_without_notes() -> None:
    def new_tensor(weights, velocities, lr, momentum):
        for weight, velocity in zip(weights, velocities, strict=True):
            velocity = momentum * velocity + weight.grad
            weight = weight - lr * velocity

    def with_notes(weights, velocities, lr, momentum):
        for weight in weights:
            weight -= lr * weight.grad

    assert (
        "`weight = weight - ...` makes a new tensor" in tl.check("momentum_step", new_tensor).fault
    )
    assert "in-place operation" in tl.check("momentum_step", with_notes).fault

    def moves_first(weights, velocities, lr, momentum):
        for weight, velocity in zip(weights, velocities, strict=True):
            weight.data -= lr * velocity
            velocity.mul_(momentum).add_(weight.grad)

    def does_nothing(*_):
        pass

    told = tl.check("momentum_step", moves_first).fault
    assert "are they moved by the velocity of the step before?" in told
    assert "and the velocities stay" in tl.check("momentum_step", does_nothing).fault
    assert tl.check("momentum_step", momentum)
