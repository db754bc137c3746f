"""Typical wrong answers to the exercises of lesson 8, and what each is told."""

from collections.abc import Callable
from typing import Any

import pytest
import torch

import tutorial as tl

# ---- weight decay as a loss


def squares(network: Any, which: Callable[[torch.Tensor], bool] = lambda weight: True) -> Any:
    return sum(weight.square().sum() for weight in network.parameters() if which(weight))


def shrink(network: Any, weight_decay: float) -> torch.Tensor:
    term = weight_decay / 2 * squares(network)
    for weight in network.parameters():
        weight.data *= 1 - weight_decay
    return term


def halved_means(network: Any, weight_decay: float) -> Any:
    return weight_decay / 2 * sum(w.square().mean() for w in network.parameters())


DECAYS: list[tuple[Callable[..., Any], str]] = [
    (lambda n, wd: wd * squares(n), "0.weight: the gradient is 2 times the expected: a square"),
    (lambda n, wd: -wd / 2 * squares(n), "the loss must grow with the weights"),
    (lambda n, wd: squares(n) / 2, "weight_decay 0.1: 0.weight: the gradient is 10 times"),
    (halved_means, "a sum over all weights is meant, or a mean?"),
    (lambda n, wd: wd / 3 * squares(n), "0.667 times the expected"),
    (lambda n, wd: wd / 2 * squares(n).sqrt(), "times the expected"),
    (lambda n, wd: wd * sum(w.abs().sum() for w in n.parameters()), "are they squared?"),
    (lambda n, wd: wd * sum((w**3).sum() for w in n.parameters()), "is not weight_decay times"),
    (lambda n, wd: wd / 2 * squares(n, lambda w: w.ndim == 2), "0.bias has no gradient"),
    (lambda n, wd: (wd / 2 * squares(n)).item(), "but a tensor of shape () is expected"),
    (lambda n, wd: (wd / 2 * squares(n)).detach(), "the term has no graph"),
    (shrink, "the weights have changed"),
]


@pytest.mark.parametrize(("answer", "told"), DECAYS)
def test_wrong_decays(answer: Callable[..., Any], told: str) -> None:
    assert told in tl.check("decay_term", answer).fault


def test_the_right_term_is_the_option_of_sgd() -> None:
    def term(network: Any, weight_decay: float) -> Any:
        return weight_decay / 2 * squares(network)

    assert tl.check("decay_term", term)
    layers = [torch.nn.Linear(3, 2) for _ in range(2)]
    layers[1].load_state_dict(layers[0].state_dict())
    for layer, option in zip(layers, (0.0, 0.4), strict=True):
        loss = layer(torch.ones(1, 3)).sum() + (0 if option else term(layer, 0.4))
        loss.backward()
        torch.optim.SGD(layer.parameters(), lr=0.1, weight_decay=option).step()
    assert torch.allclose(layers[0].weight, layers[1].weight)


# ---- dropout


def drop(
    x: torch.Tensor,
    p: float,
    training: bool,
    *,
    evaluate: Callable[..., Any] = lambda x, p: x,
    draw: Callable[[torch.Tensor], torch.Tensor] = torch.rand_like,
    keep: Callable[..., torch.Tensor] = lambda chance, p: chance >= p,
    scale: Callable[[float], float] = lambda p: 1 / (1 - p),
) -> Any:
    return x * keep(draw(x), p) * scale(p) if training else evaluate(x, p)


def in_place(x: torch.Tensor, p: float, training: bool) -> torch.Tensor:
    return x.mul_(drop(torch.ones_like(x), p, training))


def always_the_same(x: torch.Tensor, p: float, training: bool) -> Any:
    torch.manual_seed(0)
    return drop(x, p, training)


def uneven(x: torch.Tensor, p: float, training: bool) -> Any:
    return drop(x * (1 + x) if training else x, p, training)


DROPS: list[tuple[Callable[..., Any], str]] = [
    (lambda x, p, training: drop(x, p, True), "in evaluation: x is changed: is training looked at"),
    (
        lambda *given: drop(*given, evaluate=lambda x, p: (1 - p) * x),
        "evaluation has nothing to do",
    ),
    (lambda *given: drop(*given, evaluate=lambda x, p: None), "in evaluation: it returns None"),
    (lambda x, p, training: None if training else x, "p 0.25: it returns None"),
    (lambda *given: drop(*given, keep=lambda chance, p: chance < p), "the probability to stay?"),
    (lambda *given: drop(*given, keep=lambda c, p: c >= 0), "0% of the numbers are 0: each number"),
    (lambda *given: drop(*given, keep=lambda c, p: c >= p / 2), "12% of the numbers are 0"),
    (lambda *given: drop(*given, draw=lambda x: torch.rand(len(x), 1)), "whole rows or columns"),
    (lambda *given: drop(*given, scale=lambda p: 1), "what makes up for the zeros?"),
    (lambda *given: drop(*given, scale=lambda p: 1 / p), "which fraction is left?"),
    (lambda *given: drop(*given, scale=lambda p: 1 - p), "is it made larger or smaller?"),
    (lambda *given: drop(*given, scale=lambda p: 1 + p), "does p make up for what is lost?"),
    (lambda *given: drop(*given, scale=lambda p: 5), "what is left is multiplied by 5"),
    (uneven, "not multiplied by the same number everywhere"),
    (in_place, "x itself is changed"),
    (always_the_same, "two calls drop the same places"),
]


@pytest.mark.parametrize(("answer", "told"), DROPS)
def test_wrong_dropouts(answer: Callable[..., Any], told: str) -> None:
    assert told in tl.check("dropout", answer).fault


def test_right_dropouts() -> None:
    assert tl.check("dropout", drop)

    def of_pytorch(x: Any, p: float, training: bool) -> Any:
        return torch.nn.Dropout(p).train(training)(x)

    fault = tl.check("dropout", of_pytorch).fault
    assert fault == "this is right, but it is the work of `dropout`: do it without"


# ---- shift


def moved(x: torch.Tensor, right: int, down: int, paper: float) -> torch.Tensor:
    y = torch.full_like(x, paper)
    height, width = x.shape[2:]
    y[:, :, max(down, 0) : height + down, max(right, 0) : width + right] = x[
        :, :, max(-down, 0) : height - down, max(-right, 0) : width - right
    ]
    return y


def written_to(x: torch.Tensor, right: int, down: int, paper: float) -> torch.Tensor:
    return x.copy_(moved(x, right, down, paper))


SHIFTS: list[tuple[Callable[..., Any], str]] = [
    (lambda x, r, d, p: x.roll((d, r), (2, 3)), "right 2, down 0: what leaves on one side"),
    (lambda x, r, d, p: x, "the images did not move"),
    (lambda x, r, d, p: moved(x, -r, -d, p), "that is the other direction"),
    (lambda x, r, d, p: moved(x, d, r, p), "to the right is along the last dimension"),
    (lambda x, r, d, p: moved(x, r, d, 0), "the free places are 0, but paper is -1"),
    (lambda x, r, d, p: moved(x, abs(r), d, p), "right -1, down 0: that is the other direction"),
    (lambda x, r, d, p: moved(x, r, min(d, 1), p) - r * d, "right 1, down -2: 2 of 2 images are"),
    (lambda x, r, d, p: moved(x, r, d, p)[..., : 6 - r], "the shape is (2, 1, 5, 4), but x has"),
    (lambda x, r, d, p: moved(x, r, d, p).tolist(), "but a tensor is expected"),
    (written_to, "right 2, down 0: x itself is changed"),
]


@pytest.mark.parametrize(("answer", "told"), SHIFTS)
def test_wrong_shifts(answer: Callable[..., Any], told: str) -> None:
    assert told in tl.check("shift", answer).fault


def test_a_right_shift() -> None:
    assert tl.check("shift", moved)
