"""Typical wrong answers to the exercises of lesson 9, and what each is told."""

from collections.abc import Callable
from typing import Any

import pytest
import torch

import tutorial as tl

# ---- an epoch in groups


def train(
    network: Any,
    loss_fn: Any,
    optimizer: Any,
    train_loader: Any,
    k: int,
    *,
    weigh: Callable[[int], float] = lambda size: size,
    divide: Callable[[int, int], float] = lambda samples, k: samples,
    ends: Callable[[int, int, int], bool] = lambda i, k, last: i % k == 0 or i == last,
    clear: str = "group",
    steps: int = 1,
) -> None:
    group = 0
    for i, (x, y) in enumerate(train_loader, start=1):
        (loss_fn(network(x), y) * weigh(len(x))).backward()
        group += len(x)
        last = i == len(train_loader)
        if ends(i, k, len(train_loader)):
            for weight in network.parameters():
                weight.grad /= divide(group, k)
            if clear == "early":
                optimizer.zero_grad()
            for _ in range(steps):
                optimizer.step()
            group = 0
            if clear == "group" or (clear == "not at the end" and not last):
                optimizer.zero_grad()
        if clear == "batch":
            optimizer.zero_grad()


GROUPS: list[tuple[dict[str, Any], str]] = [
    ({"ends": lambda i, k, last: i % k == 0}, "the last group is a short one; who makes its"),
    ({"ends": lambda i, k, last: True}, "batch 1: there is an update, but its group has 2"),
    ({"ends": lambda i, k, last: i == last}, "batch 2: a group ends here, but there is no update"),
    ({"weigh": lambda size: 1, "divide": lambda *_: 1}, "it is the sum of the parts' gradients"),
    ({"divide": lambda *_: 1}, "it is the sum over the samples; divide"),
    ({"divide": lambda samples, k: k}, "the sum over the samples, divided by the number of parts"),
    ({"divide": lambda samples, k: 16 * k}, "update 3: not the gradient of its whole group: it is"),
    ({"weigh": lambda size: 1, "divide": lambda samples, k: -(-samples // 16)}, "counts alike"),
    ({"clear": "never"}, "that of the group before is still in it"),
    ({"clear": "batch"}, "only the last batch of the group is in it"),
    ({"clear": "early"}, "update 1: there is no gradient: is it cleared too early?"),
    ({"clear": "not at the end"}, "a gradient is still there at the end"),
    ({"steps": 2}, "batch 2: optimizer.step() is called 2 times"),
]


@pytest.mark.parametrize(("fault", "told"), GROUPS)
def test_wrong_groups(fault: dict[str, Any], told: str) -> None:
    assert told in tl.check("train_in_groups", lambda *given: train(*given, **fault)).fault


def test_groups_that_skip_batches() -> None:
    def one_batch(network, loss_fn, optimizer, train_loader, k):
        train(network, loss_fn, optimizer, list(train_loader)[:1], k)

    assert (
        "batches of [16], not [16, 16, 16, 16, 6]" in tl.check("train_in_groups", one_batch).fault
    )
    assert "batches of nothing" in tl.check("train_in_groups", lambda *_: None).fault
    assert tl.check("train_in_groups", train)


# ---- the length of a gradient


def clip(
    weights: Any,
    limit: float,
    *,
    length_of: Callable[[list[Any]], float] = lambda g: (
        sum(x.square().sum().item() for x in g) ** 0.5
    ),
    factor: Callable[[float, float], float] = lambda limit, length: min(1, limit / length),
    give: Callable[[float, float], Any] = lambda length, limit: length,
) -> Any:
    gradients = [weight.grad for weight in weights if weight.grad is not None]
    length = length_of(gradients)
    for gradient in gradients:
        gradient *= factor(limit, length)
    return give(length, limit)


def each_alone(weights: Any, limit: float) -> float:
    for weight in weights:
        if weight.grad is not None:
            weight.grad *= min(1, limit / weight.grad.norm())
    return 7.0


def each_number(weights: Any, limit: float) -> float:
    for weight in weights:
        if weight.grad is not None:
            weight.grad.clamp_(-limit, limit)
    return 7.0


def a_new_tensor(weights: Any, limit: float) -> float:
    for weight in weights:
        gradient = weight.grad
        if gradient is not None:
            gradient = gradient * limit / 7
    return 7.0


def gone(weights: Any, limit: float) -> float:
    for weight in weights:
        weight.grad = None
    return 7.0


CLIPPED: list[tuple[Callable[..., Any], str]] = [
    (each_alone, "too long: not what is expected: each weight is cut to the limit alone"),
    (each_number, "each number is cut to the limit"),
    (a_new_tensor, "it is as it was: is `weight.grad` changed in place?"),
    (gone, "a gradient is gone"),
]

CLIPPED_BY: list[tuple[dict[str, Any], str]] = [
    ({"factor": lambda limit, length: limit / length}, "short enough: not what is expected: it is"),
    ({"factor": lambda limit, length: 1 / length}, "its length becomes 1"),
    ({"length_of": lambda g: sum(x.square().sum().item() for x in g)}, "is there a root?"),
    (
        {"length_of": lambda g: sum(x.norm().item() for x in g)},
        "cannot be added, but their squares",
    ),
    ({"give": lambda length, limit: torch.tensor(length)}, ".item() takes it out"),
    ({"give": lambda length, limit: None}, "it returns None, but the length"),
    ({"give": min}, "not 3.5: that is the length afterwards"),
]


@pytest.mark.parametrize(("answer", "told"), CLIPPED)
def test_wrong_ways_to_clip(answer: Callable[..., Any], told: str) -> None:
    assert told in tl.check("clip_by_hand", answer).fault


@pytest.mark.parametrize(("fault", "told"), CLIPPED_BY)
def test_wrong_lengths(fault: dict[str, Any], told: str) -> None:
    assert told in tl.check("clip_by_hand", lambda *given: clip(*given, **fault)).fault


def test_a_weight_without_a_gradient_is_told_by_python() -> None:
    def all_have_one(weights, limit):
        return sum(weight.grad.square().sum() for weight in weights) ** 0.5

    assert "'NoneType' object has no attribute" in tl.check("clip_by_hand", all_have_one).fault
    assert tl.check("clip_by_hand", clip)


# ---- 16-bit numbers


def count(dtype: torch.dtype) -> float:
    n = torch.tensor(0, dtype=dtype)
    while n + 1 > n:
        n += 1
    return n.item()


COUNTS: list[tuple[Callable[[torch.dtype], Any], str]] = [
    (lambda dtype: count(dtype) - 1, "torch.bfloat16: not 255: one more is possible"),
    (lambda dtype: count(dtype) + 1, "not 257: is this number one that the kind can hold?"),
    (lambda dtype: 1 / torch.finfo(dtype).eps, "not 128: one more is possible: try it"),
    (lambda dtype: torch.finfo(dtype).eps, "that is the spacing at 1"),
    (lambda dtype: torch.finfo(dtype).max, "counting ends far earlier"),
    (lambda dtype: 256, "torch.float16: not 256"),
    (lambda dtype: torch.tensor(256), ".item() takes it out"),
    (lambda dtype: None, "it returns None, but a number"),
]


@pytest.mark.parametrize(("answer", "told"), COUNTS)
def test_wrong_ends_of_counting(answer: Callable[[torch.dtype], Any], told: str) -> None:
    assert told in tl.check("counts_to", answer).fault


def test_the_end_of_counting() -> None:
    assert tl.check("counts_to", count)


# ---- a scaled loss


def scaled(
    network: Any,
    loss_fn: Any,
    optimizer: Any,
    x: Any,
    y: Any,
    scale: float,
    *,
    enlarge: bool = True,
    divide: bool = True,
    looked_at: slice = slice(None),
    halve: float = 2,
    give: Callable[[float], Any] = lambda scale: scale,
    clear: str = "always",
    steps: int = 1,
) -> Any:
    (loss_fn(network(x), y) * (scale if enlarge else 1)).backward()
    weights = list(network.parameters())
    for weight in weights:
        weight.grad /= scale if divide else 1
    finite = all(torch.isfinite(weight.grad).all() for weight in weights[looked_at])
    for _ in range(steps):
        if finite:
            optimizer.step()
    if clear == "always" or (clear == "after a step" and finite):
        optimizer.zero_grad()
    return give(scale if finite else scale / halve)


SCALED: list[tuple[dict[str, Any], str]] = [
    ({"enlarge": False}, "not enlarged by the scale: the loss goes back as it is"),
    ({"divide": False}, "not made with the true gradient: it is 1024 times as long"),
    ({"steps": 0}, "no step is made, although"),
    ({"steps": 2}, "the gradient is right, but the weights are not"),
    ({"give": lambda scale: None}, "so the scale stays 1024; it returns None"),
    ({"clear": "never"}, "the gradient is still there afterwards"),
    ({"clear": "after a step"}, "some gradients overflow: the gradient is still there"),
    ({"looked_at": slice(0, 0)}, "some gradients overflow: a step is made all the same: are all"),
    ({"looked_at": slice(0, 1)}, "some gradients overflow: a step is made all the same: are all"),
    ({"looked_at": slice(2, 3)}, "some gradients overflow: a step is made all the same: are all"),
    ({"halve": 1}, "half the scale is expected, 5e+19, not 1e+20"),
]


@pytest.mark.parametrize(("fault", "told"), SCALED)
def test_wrong_scalings(fault: dict[str, Any], told: str) -> None:
    assert told in tl.check("scaled_step", lambda *given: scaled(*given, **fault)).fault


def test_scalings_that_bypass_the_optimizer() -> None:
    def shaken(network, *rest):
        scale = scaled(network, *rest)
        if scale < 1e19:
            return scale
        network.first.data += 1
        return scale

    assert "is backward() called?" in tl.check("scaled_step", lambda *_: 1024.0).fault
    assert "the weights moved, but not by the optimizer" in tl.check("scaled_step", shaken).fault
    assert tl.check("scaled_step", scaled)
