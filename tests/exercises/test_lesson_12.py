"""Typical wrong answers to the exercises of lesson 12, and what each is told."""

from collections.abc import Callable
from typing import Any

import pytest
import torch

import tutorial as tl

# ---- a fair share


def share(samples: int, rank: int, processes: int) -> list[int]:
    return list(range(samples * rank // processes, samples * (rank + 1) // processes))


def rest_to_the_last(samples: int, rank: int, processes: int) -> list[int]:
    size = samples // processes
    return list(range(rank * size, samples if rank == processes - 1 else (rank + 1) * size))


SHARES: list[tuple[Callable[..., Any], str]] = [
    (lambda n, rank, p: list(range(n))[rank * (n // p) : (rank + 1) * (n // p)], "nobody has samp"),
    (lambda n, rank, p: list(range(rank, n, p)), "8 samples, 2 processes: process 0 has [0, 2, 4,"),
    (lambda n, rank, p: list(range(n)), "sample 0 is there 2 times"),
    (rest_to_the_last, "10 samples, 4 processes: they have [2, 2, 2, 4]. Can the remainder"),
    (lambda n, rank, p: [i + n * (i == -1) for i in share(n + 1, rank, p)], "8 is too large"),
    (
        lambda n, rank, p: range(n),
        "process 0 gets range(0, 8), but a list",
    ),
    (lambda n, rank, p: None, "process 0 gets None"),
]


@pytest.mark.parametrize(("answer", "told"), SHARES)
def test_wrong_shares(answer: Callable[..., Any], told: str) -> None:
    assert told in tl.check("fair_share", answer).fault


def test_a_fair_share() -> None:
    assert tl.check("fair_share", share)


# ---- the gradient of all


def combined(gradients: Any, counts: Any, by: str = "samples") -> torch.Tensor:
    weighted = torch.stack([g * n for g, n in zip(gradients, counts, strict=True)]).sum(0)
    divisor = {"samples": sum(counts), "processes": len(counts), "nothing": 1}[by]
    return weighted / divisor


GRADIENTS: list[tuple[Callable[..., Any], str]] = [
    (
        lambda gradients, counts: sum(gradients) / len(gradients),
        "parts of 14, 13, 13 samples: [0.667, 1.667], not [0.725, 1.6]: every process counts alike",
    ),
    (lambda gradients, counts: sum(gradients), "that is a sum"),
    (lambda gradients, counts: combined(gradients, counts, "nothing"), "divide by how many"),
    (lambda gradients, counts: combined(gradients, counts, "processes"), "not of processes"),
    (lambda gradients, counts: combined(gradients, counts).mean(), "a gradient (2,) is expected"),
    (lambda gradients, counts: None, "it returns None"),
]


@pytest.mark.parametrize(("answer", "told"), GRADIENTS)
def test_wrong_gradients(answer: Callable[..., Any], told: str) -> None:
    assert told in tl.check("gradient_of_all", answer).fault


def test_a_right_gradient() -> None:
    assert tl.check("gradient_of_all", combined)


# ---- bytes


def ring(weights: int, processes: int, bytes_each: int = 4) -> float:
    return 2 * (processes - 1) * weights * bytes_each / processes


BYTES: list[tuple[Callable[..., Any], str]] = [
    (lambda w, p, b: ring(w, p, b) / 2, "3,200, not 6,400: that is half the way"),
    (lambda w, p, b: 2 * (p - 1) * w * b, "each round sends one piece"),
    (lambda w, p, b: ring(w, p, 1), "how many bytes has one?"),
    (lambda w, p, b: 2 * w * b / p, "1 process: 9,600, not 0: one process alone"),
    (lambda w, p, b: ring(w, p), "of 2 bytes, 3 processes: 6,400, not 3,200"),
    (lambda w, p, b: (p > 1) * w * b * 2, "does not depend on the number of processes"),
    (lambda w, p, b: None, "it returns None"),
]


@pytest.mark.parametrize(("answer", "told"), BYTES)
def test_wrong_numbers_of_bytes(answer: Callable[..., Any], told: str) -> None:
    assert told in tl.check("bytes_sent", answer).fault


def test_the_right_number_of_bytes() -> None:
    assert tl.check("bytes_sent", ring)
