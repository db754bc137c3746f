"""Typical wrong answers to the exercises of lesson 7, and what each is told."""

import copy
import math
from collections.abc import Callable
from typing import Any

import pytest
import torch

import tutorial as tl

# ---- the limit

RATES: list[tuple[Callable[..., Any], str]] = [
    (lambda c: 1 / max(c), "by 0. That is the rate which arrives"),
    (lambda c: 1 / (2 * max(c)), "The loss has a half in it"),
    (lambda c: 2 * max(c), "by -31. Does a steeper valley allow longer steps?"),
    (lambda c: 2 / min(c), "Which direction is the first that does not arrive?"),
    (lambda c: 2 / (sum(c) / len(c)), "Is a mean of help?"),
    (lambda c: 1.9 / max(c), "a step multiplies the steepest weight by -0.9"),
    (lambda c: [2 / one for one in c], "but a number is expected"),
]


@pytest.mark.parametrize(("answer", "told"), RATES)
def test_wrong_limits(answer: Callable[..., Any], told: str) -> None:
    assert told in tl.check("largest_rate", answer).fault


# ---- warm-up and cosine


def factor(
    step: int,
    warm_up: int,
    steps: int,
    *,
    up: Callable[[int, int], float] = lambda step, warm_up: (step + 1) / warm_up,
    start: int = 1,  # of the cosine: 1 after the warm-up, 0 with the training
    end: int = 0,
    length: int = 1,
    wave: Callable[[float], float] = lambda done: 0.5 * (1 + math.cos(math.pi * done)),
) -> float:
    if step < warm_up:
        return up(step, warm_up)
    return wave((step - start * warm_up) / (steps - length * warm_up - end))


FACTORS: list[tuple[dict[str, Any], str]] = [
    ({"up": lambda step, n: step / n}, "step 0 of 12, warm-up 4: 0, not 0.25: so a step is lost"),
    ({"up": lambda step, n: 0.5 + 0.5 * math.cos(math.pi * step / 12)}, "where is the warm-up?"),
    ({"start": 0, "length": 0}, "the cosine begins after the warm-up, with 1"),
    ({"length": 0}, "how many steps are left for the cosine?"),
    ({"end": 1}, "is 0 reached after the training, or with its last step?"),
    ({"wave": lambda done: math.cos(math.pi * done)}, "a rate is never negative"),
    ({"wave": lambda done: 0.5 + 0.5 * math.cos(2 * math.pi * done)}, "that is a whole wave"),
    ({"wave": lambda done: 1 - done}, "that is a straight line"),
    ({"wave": lambda done: 0.5 + 0.5 * math.cos(math.pi * done + math.pi / 8)}, "counted as done"),
    ({"wave": lambda done: 0.7}, "step 0 of 8, warm-up 0: 0.7, not 1"),
    ({"wave": lambda done: None}, "but a number is expected"),
]


@pytest.mark.parametrize(("fault", "told"), FACTORS)
def test_wrong_factors(fault: dict[str, Any], told: str) -> None:
    verdict = tl.check("warm_up_factor", lambda *given: factor(*given, **fault))
    assert told in verdict.fault


def test_the_right_factor_is_that_of_torch() -> None:
    assert tl.check("warm_up_factor", factor)
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    cosine = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=8)
    for step in range(8):
        assert abs(optimizer.param_groups[0]["lr"] - factor(step, 0, 8)) < 1e-9
        optimizer.step()
        cosine.step()


# ---- a range test


def raise_all(optimizer: Any, factor: float) -> None:
    for group in optimizer.param_groups:
        group["lr"] *= factor


def raise_first(optimizer: Any, factor: float) -> None:
    optimizer.param_groups[0]["lr"] *= factor


def raise_another(optimizer: Any, factor: float) -> None:
    optimizer.lr = 0.1 * factor


def search(
    network: Any,
    loss_fn: Any,
    optimizer: Any,
    train_loader: Any,
    factor: float,
    *,
    keep: Callable[[Any], Any] = copy.deepcopy,
    change: Callable[[Any, float], None] = raise_all,
    first: bool = False,
    note_late: bool = False,
    clear: bool = True,
    times: float = 4,
    early: bool = False,
    number: Callable[[torch.Tensor], Any] = torch.Tensor.item,
    give: Callable[[list[Any], list[Any]], Any] = lambda rates, losses: (rates, losses),
) -> Any:
    before = keep(network.state_dict())
    rates: list[Any] = []
    losses: list[Any] = []
    network.train()
    for x, y in train_loader:
        if first:
            change(optimizer, factor)
        loss = loss_fn(network(x), y)
        losses.append(number(loss))
        rate = optimizer.param_groups[0]["lr"]
        ends = losses[-1] > times * min(losses)
        if early and ends:
            rates.append(rate)
            break
        loss.backward()
        optimizer.step()
        if clear:
            optimizer.zero_grad()
        if not first:
            change(optimizer, factor)
        rates.append(optimizer.param_groups[0]["lr"] if note_late else rate)
        if ends:
            break
    network.load_state_dict(before)
    return give(rates, losses)


SEARCHES: list[tuple[dict[str, Any], str]] = [
    ({"first": True}, "step 1: it is made with the rate 0.075, not 0.05: the first step is made"),
    ({"change": lambda *_: None}, "step 2: it is made with the rate 0.05, not 0.075: the rate"),
    ({"change": raise_another}, "the optimizer reads the one in its param_groups"),
    ({"change": raise_first}, "the rate of the second group of weights stays"),
    ({"clear": False}, "step 2: your gradient is the one of this batch plus"),
    ({"times": 6}, "is more than four times the lowest so far: there it ends"),
    ({"times": 2}, "it ends after 11 of 12 steps"),
    ({"note_late": True}, "but 0.075 is noted: before or after it is raised?"),
    ({"number": torch.Tensor.detach}, "the losses are"),
    ({"give": lambda rates, losses: losses}, "but two lists are expected"),
    ({"give": lambda rates, losses: (losses, rates)}, "are the two lists swapped?"),
    ({"give": lambda rates, losses: (rates[1:], losses)}, "4 rates, but 5 losses were computed"),
    ({"keep": lambda state: state}, "the network is not as it was before"),
]


@pytest.mark.parametrize(("fault", "told"), SEARCHES)
def test_wrong_searches(fault: dict[str, Any], told: str) -> None:
    verdict = tl.check("range_test", lambda *given: search(*given, **fault))
    assert told in verdict.fault


def test_a_search_without_a_step() -> None:
    assert "the network is never called" in tl.check("range_test", lambda *_: ([], [])).fault


@pytest.mark.parametrize("early", [True, False])
def test_the_last_step_may_be_made_or_not(early: bool) -> None:
    assert tl.check("range_test", lambda *given: search(*given, early=early))
