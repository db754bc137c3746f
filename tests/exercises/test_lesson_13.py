"""Typical wrong answers to the exercises of lesson 13, and what each is told."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

import tutorial as tl

# ---- a linear layer


def linear(d_y: Tensor, x: Tensor, W: Tensor) -> tuple[Tensor, ...]:
    return d_y @ W, d_y.T @ x, d_y.sum(0)


def only_square(d_y: Tensor, x: Tensor, W: Tensor, wrong: Callable[..., Any]) -> Any:
    """Right, but where all sizes are equal, so that the shape of a wrong one fits."""
    return wrong(d_y, x, W) if len(set(W.shape) | set(x.shape)) == 1 else linear(d_y, x, W)


LINEAR: list[tuple[Callable[..., Any], str]] = [
    (lambda d_y, x, W: d_y @ W, "but 3 gradients are expected: d_x, d_W, d_b"),
    (lambda d_y, x, W: None, "it returns None"),
    (lambda d_y, x, W: (d_y @ W, d_y.T @ x), "it returns 2 values"),
    (lambda d_y, x, W: (d_y @ W, x.T @ d_y, d_y.sum(0)), "d_W has shape (3, 2), but a gradient"),
    (lambda d_y, x, W: (d_y @ W, d_y.T @ x, d_y.sum()), "d_b has shape ()"),
    (lambda d_y, x, W: (d_y @ W, d_y.T @ x, 1.0), "d_b is 1.0, but a tensor"),
    (lambda d_y, x, W: (d_y @ W, d_y.T @ x / len(x), d_y.sum(0)), "the mean is in d_y already"),
    (lambda d_y, x, W: (d_y @ W, d_y.T @ x, d_y.mean(0)), "d_b is not what autograd finds: it is"),
    (lambda d_y, x, W: (0 * x, d_y.T @ x, d_y.sum(0)), "d_x is not what autograd finds"),
]
SQUARE: list[tuple[Callable[..., Any], str]] = [
    (lambda d_y, x, W: (d_y @ W.T, d_y.T @ x, d_y.sum(0)), "W maps inputs to outputs"),
    (lambda d_y, x, W: (d_y @ W, x.T @ d_y, d_y.sum(0)), "that is its transpose"),
    (lambda d_y, x, W: (d_y @ W, d_y @ x, d_y.sum(0)), "which factor is to be transposed?"),
    (lambda d_y, x, W: (d_y @ W, d_y.T @ x, d_y.sum(1)), "over the samples, not the outputs"),
]


@pytest.mark.parametrize(("answer", "told"), LINEAR)
def test_wrong_linear_layers(answer: Callable[..., Any], told: str) -> None:
    assert told in tl.check("linear_backward", answer).fault


@pytest.mark.parametrize(("wrong", "told"), SQUARE)
def test_wrong_products_of_the_right_shape(wrong: Callable[..., Any], told: str) -> None:
    fault = tl.check("linear_backward", lambda *given: only_square(*given, wrong)).fault
    assert fault.startswith("6 samples") and told in fault


def test_a_linear_layer_is_compared_with_the_text_of_a_network() -> None:
    def only_small(d_y, x, W):
        return linear(d_y, x, W) if len(d_y) < 9 else linear(2 * d_y, x, W)

    assert (
        "in the text of depth 'gradients': d_x_2" in tl.check("linear_backward", only_small).fault
    )
    assert tl.check("linear_backward", linear)
    assert tl.check("linear_backward", lambda d_y, x, W: list(linear(d_y, x, W)))


# ---- ReLU


def relu(d_y: Tensor, x: Tensor, slope: float = 0.0) -> Tensor:
    return torch.where(x > 0, d_y, slope * d_y)


RELU: list[tuple[Callable[..., Any], str]] = [
    (lambda d_y, x, slope=0: F.leaky_relu(x, slope), "ReLU: d_x is not what autograd finds: that"),
    (lambda d_y, x, slope=0: d_y * F.leaky_relu(x, slope), "forward is multiplied with d_y"),
    (lambda d_y, x, slope=0: relu(d_y, d_y, slope), "the sign of x, or by that of d_y?"),
    (lambda d_y, x, slope=0: d_y, "everything goes through"),
    (lambda d_y, x, slope=0: relu(d_y, -x, slope), "not what autograd finds"),
    (lambda d_y, x, slope=0: torch.where(x > 0, slope * d_y, d_y), "the other way round"),
    (lambda d_y, x, slope=0: torch.where(x >= 0, d_y, slope * d_y), "an input of exactly 0"),
    (lambda d_y, x, slope=0: (x > 0).float(), "the slope of the line alone"),
    (lambda d_y, x, slope=0: relu(d_y, x), "LeakyReLU(0.1): d_x is not what autograd finds: that"),
    (lambda d_y, x, slope=0: torch.where(x > 0, d_y, slope), "the slope multiplies d_y"),
    (lambda d_y, x, slope=0: d_y.mul_(torch.where(x > 0, 1, slope)), "d_y itself was changed"),
    (lambda d_y, x, slope=0: d_y[0], "d_x has shape (4,)"),
    (lambda d_y, x, slope=0: relu(d_y, x, slope) * (1 + (len(x) == 9)), "in the text of depth"),
]


@pytest.mark.parametrize(("answer", "told"), RELU)
def test_wrong_relus(answer: Callable[..., Any], told: str) -> None:
    assert told in tl.check("relu_backward", answer).fault


def test_a_relu_is_right_in_any_form() -> None:
    assert tl.check("relu_backward", relu)
    assert tl.check("relu_backward", lambda d_y, x, slope=0: d_y * ((x > 0) + slope * (x <= 0)))


# ---- the rule of the optimizer

STEP = "weight.add_(gradient, alpha=-0.1)"


def momentum(
    source: str, keep: str = "mul_(0.9).add_(gradient)", move: str = "add_(velocity, alpha=-0.1)"
) -> str:
    memory = 'optimizer.state[weight].setdefault("velocity", torch.zeros_like(weight))'
    indent = "\n" + " " * 20
    return source.replace(STEP, f"velocity = {memory}{indent}velocity.{keep}{indent}weight.{move}")


RULES: list[tuple[Callable[..., Any], str]] = [
    (lambda source: None, "the changed source is expected: a string"),
    (lambda source: source, "the source is not changed"),
    (lambda source: source.replace(STEP, "velocity = 0\nx"), "is no Python"),
    (lambda source: source.replace(STEP, "weight -= 0.1 * velocity"), "NameError"),
    (lambda source: source.replace("# how wrong", "# so wrong"),
     "that is SGD without momentum"),
    (lambda source: momentum(source, "mul_(0.9).add_(gradient, alpha=0.1)"), "counts in full"),
    (lambda source: momentum(source, "add_(gradient)"), "the velocity does not fade"),
    (lambda source: momentum(source, "add_(gradient).mul_(0.9)"), "and the new gradient, too"),
    (lambda source: momentum(source, move="add_(velocity, alpha=0.1)"), "the weights move up"),
    (lambda source: momentum(source, move="add_(velocity, alpha=-1)"), "ten times too long"),
    (lambda source: momentum(source, move="add_(velocity, alpha=-0)"), "do not move any more"),
    (lambda source: momentum(source, "mul_(0.5).add_(gradient)"), "step 3: the loss is not that"),
    (lambda source: momentum(source).replace("range(2)", "range(1)"), "the losses of 3 steps"),
]  # fmt: skip


@pytest.mark.parametrize(("answer", "told"), RULES)
def test_wrong_rules(answer: Callable[..., Any], told: str) -> None:
    assert told in tl.check("momentum_loop", answer).fault


def test_a_rule_is_right_in_any_form() -> None:
    def in_a_dict(source):
        first = source.replace("step_losses = []", "step_losses, velocity = [], {}")
        indent = "\n" + " " * 20
        return first.replace(
            STEP,
            f"velocity[weight] = 0.9 * velocity.get(weight, 0) + gradient{indent}"
            "weight -= 0.1 * velocity[weight]",
        )

    assert tl.check("momentum_loop", momentum)
    assert tl.check("momentum_loop", in_a_dict)


# ---- softmax and cross-entropy


def scores(y_hat: Tensor, y: Tensor, p: Tensor | None = None, parts: float = 0) -> Tensor:
    p = y_hat.softmax(dim=1) if p is None else p
    return (p - F.one_hot(y, y_hat.shape[1])) / (parts or len(y))


ENTROPY: list[tuple[Callable[..., Any], str]] = [
    (lambda y_hat, y: -scores(y_hat, y), "the sign is the other one"),
    (lambda y_hat, y: scores(y_hat, y, parts=1), "4 samples of 3 classes: d_y_hat is not what"),
    (lambda y_hat, y: y_hat.softmax(1) / len(y), "what part have the labels?"),
    (lambda y_hat, y: y_hat.softmax(1), "what part have the labels"),
    (lambda y_hat, y: scores(y_hat, y, parts=y_hat.shape[1]), "number of classes, not of samples"),
    (lambda y_hat, y: scores(y_hat, y, y_hat), "softmax makes probabilities"),
    (lambda y_hat, y: scores(y_hat, y, y_hat.softmax(0)), "softmax goes along its row"),
    (lambda y_hat, y: scores(y_hat, y).mean(0), "d_y_hat has shape (3,)"),
    (lambda y_hat, y: scores(y_hat, y, y_hat.exp() / y_hat.exp().sum(1, keepdim=True)),
     "scores of 1,000: d_y_hat has nan or infinite numbers"),
    (lambda y_hat, y: scores(y_hat, y) * (1 + (len(y) == 9)), "in the text of depth 'gradients'"),
]  # fmt: skip


@pytest.mark.parametrize(("answer", "told"), ENTROPY)
def test_wrong_gradients_of_the_scores(answer: Callable[..., Any], told: str) -> None:
    assert told in tl.check("cross_entropy_backward", answer).fault


def test_the_gradient_of_the_scores() -> None:
    assert tl.check("cross_entropy_backward", scores)
