"""The exercises of lesson 8: reading curves, and remedies against overfitting."""

from typing import Any

import torch
from torch import nn

from tutorial.course.exercises.compare import alike, near
from tutorial.course.exercises.registry import Findings, exercise
from tutorial.course.exercises.verdict import Right, Wrong


@exercise(
    "decay_term",
    question="Weight decay adds `weight_decay * weight` to the gradient. Which function of the "
    "weight has this derivative?",
    nudge="The derivative of a square is twice the number, so a half is needed. Sum the "
    "squares of all parameters. It must stay a tensor, so that `backward` can go through "
    "it.",
)
def decay_term(answer: Any) -> Findings:
    """The term of a loss whose gradient is weight decay."""
    for weight_decay in (1.0, 0.1):
        case = f"weight_decay {weight_decay}"
        torch.manual_seed(1)
        network = nn.Sequential(nn.Linear(4, 6), nn.Linear(6, 3))
        before = [weight.detach().clone() for weight in network.parameters()]
        term = answer(network, weight_decay)
        if not isinstance(term, torch.Tensor) or term.shape != ():
            yield Wrong(f"{case}: it returns {term!r:.60}, but a tensor of shape () is expected")
        if not term.requires_grad:
            yield Wrong(
                f"{case}: the term has no graph, so it pulls at nothing: a detach(), a no_grad() "
                "or an item() on the way?"
            )
        named = dict(network.named_parameters())
        gradients = torch.autograd.grad(term, list(named.values()), allow_unused=True)
        for (name, weight), gradient in zip(named.items(), gradients, strict=True):
            if gradient is None:
                yield Wrong(f"{case}: {name} has no gradient: are all parameters in the term?")
            assert gradient is not None
            wanted = weight_decay * weight.detach()
            if not alike(gradient, wanted):
                yield Wrong(f"{case}: {name}: {why_decay(gradient, wanted, weight_decay)}")
        yield Right(f"{case}: the gradient of each parameter is {weight_decay:g} times its value")
        if not all(alike(a, b) for a, b in zip(named.values(), before, strict=True)):
            yield Wrong(f"{case}: the weights have changed; only their gradient should pull")
    yield Right("the weights stay as they are: the step is the optimizer's")


def why_decay(gradient: torch.Tensor, wanted: torch.Tensor, weight_decay: float) -> str:
    """The mistake that gives this gradient of the term."""
    times = float(gradient.flatten() @ wanted.flatten() / wanted.square().sum())
    if alike(gradient, times * wanted):
        causes = {
            "a square has a derivative with a 2 in it": 2.0,
            "the loss must grow with the weights, so that a step makes them smaller": -1.0,
            "what makes the pull weaker or stronger?": 1 / weight_decay,
            "a sum over all weights is meant, or a mean?": 1 / wanted.numel(),
        }
        cause = next((text for text, other in causes.items() if near(times, other)), "")
        return f"the gradient is {times:.3g} times the expected" + (f": {cause}" if cause else "")
    if alike(gradient.abs(), gradient.abs().mean().expand_as(gradient)):
        return "the pull is equally strong for all weights, large or small: are they squared?"
    return "the gradient is not weight_decay times the parameter"


@exercise(
    "dropout",
    forbids=("dropout",),
    question="If a fraction `p` of the numbers becomes 0, what must the others be multiplied by "
    "so that the mean stays the same?",
    nudge="Draw a random number between 0 and 1 for each place with `torch.rand_like`. "
    "Compared with `p`, they are a mask. Multiply by the mask, and divide by the "
    "fraction that is kept. In evaluation, `x` passes as it is.",
)
def dropout(answer: Any) -> Findings:
    """Dropout, by hand."""
    x = torch.rand(200, 100) + 0.5
    given = x.clone()
    same = answer(x, 0.25, False)
    if not isinstance(same, torch.Tensor) or same.shape != x.shape:
        yield Wrong(
            f"in evaluation: it returns {same!r:.60}, but a tensor of the shape of x is due"
        )
    if not alike(same, given):
        hint = (
            ": if training scales up, evaluation has nothing to do"
            if alike(same, 0.75 * given)
            else ": is training looked at?"
        )
        yield Wrong(f"in evaluation: x is changed{hint}")
    yield Right("in evaluation nothing happens")
    for p in (0.25, 0.6):
        y = answer(x, p, True)
        if not alike(x, given):
            yield Wrong("x itself is changed; make a new tensor")
        yield from dropped(y, given, p)
        if torch.equal(y == 0, answer(x, p, True) == 0):
            yield Wrong("in training: two calls drop the same places; each call must draw again")
    yield Right("each call makes a new choice, and x stays as it is")


def dropped(y: Any, x: torch.Tensor, p: float) -> Findings:
    """What dropout has made of x."""
    case = f"in training, p {p}"
    if not isinstance(y, torch.Tensor) or y.shape != x.shape:
        yield Wrong(f"{case}: it returns {y!r:.60}, but a tensor of the shape of x is expected")
    zeros = y == 0
    fraction = zeros.float().mean().item()
    if abs(fraction - p) > 0.05:
        hint = ""
        if abs(fraction - (1 - p)) < 0.05:
            hint = ": is p the probability to stay?"
        elif fraction in (0, 1):
            hint = ": each number is dropped independently"
        yield Wrong(f"{case}: {fraction:.0%} of the numbers are 0{hint}")
    rows, columns = zeros.float().mean(dim=1), zeros.float().mean(dim=0)
    if rows.std() > 0.2 or columns.std() > 0.2:
        yield Wrong(
            f"{case}: whole rows or columns become 0 together; each number is dropped independently"
        )
    yield Right(f"{case}: about {p:.0%} of the numbers are 0")
    factors = (y / x)[~zeros]
    if factors.std() > 1e-4:
        yield Wrong(f"{case}: what is left is not multiplied by the same number everywhere")
    factor, expected = factors.mean().item(), 1 / (1 - p)
    if not near(factor, expected):
        causes = {
            "so the mean becomes smaller: what makes up for the zeros?": 1.0,
            "which fraction is left?": 1 / p,
            "is it made larger or smaller?": 1 - p,
            "does p make up for what is lost?": 1 + p,
        }
        cause = next((text for text, other in causes.items() if near(factor, other)), "")
        yield Wrong(
            f"{case}: what is left is multiplied by {factor:.4g}, and the mean goes from "
            f"{x.mean():.3g} to {y.mean():.3g}" + (f": {cause}" if cause else "")
        )
    yield Right(f"{case}: what is left is made larger, so the mean stays")


@exercise(
    "shift",
    question="If there were a wide margin of paper around each image, what would be left to do "
    "for a shift?",
    nudge="`nn.functional.pad` makes margins: left, right, top, bottom. Give both sides a "
    "margin of `abs(right)`, and top and bottom one of `abs(down)`. The result is a "
    "window of the old size. If the picture moves to the right, the window moves to the "
    "left.",
)
def shift(answer: Any) -> Findings:
    """Images moved by some pixels, with paper where nothing comes in."""
    x = torch.arange(1.0, 61.0).reshape(2, 1, 5, 6)
    given = x.clone()
    for right, down in ((0, 0), (2, 0), (0, 1), (-1, 0), (0, -2), (1, -2)):
        case = f"right {right}, down {down}"
        y = answer(x, right, down, -1.0)
        if not torch.equal(x, given):
            yield Wrong(f"{case}: x itself is changed: is its memory written to? clone() copies")
        if not isinstance(y, torch.Tensor):
            yield Wrong(f"{case}: it returns {y!r:.60}, but a tensor is expected")
        if y.shape != x.shape:
            yield Wrong(f"{case}: the shape is {tuple(y.shape)}, but x has {tuple(x.shape)}")
        expected = shifted(x, right, down, -1.0)
        if not torch.equal(y, expected):
            causes = {
                "what leaves on one side comes in again on the other": x.roll(
                    (down, right), (2, 3)
                ),
                "the images did not move": x,
                "that is the other direction": shifted(x, -right, -down, -1.0),
                "to the right is along the last dimension, down along the one before": shifted(
                    x, down, right, -1.0
                ),
                "the free places are 0, but paper is -1 here": shifted(x, right, down, 0.0),
            }
            cause = next((text for text, other in causes.items() if torch.equal(y, other)), "")
            wrong = (y != expected).flatten(1).any(dim=1).sum()
            yield Wrong(
                f"{case}: {cause}" if cause else f"{case}: {wrong} of 2 images are not as expected"
            )
        yield Right(case)


def shifted(x: torch.Tensor, right: int, down: int, paper: float) -> torch.Tensor:
    """The right result, pixel by pixel."""
    height, width = x.shape[2:]
    y = torch.full_like(x, paper)
    for i in range(height):
        for j in range(width):
            if 0 <= i - down < height and 0 <= j - right < width:
                y[:, :, i, j] = x[:, :, i - down, j - right]
    return y
