"""Typical wrong answers to the exercises of lesson 6, and what each is told."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch.utils.data import DataLoader

import tutorial as tl

# ---- triplets


def triplets(
    place: torch.Tensor,
    y: torch.Tensor,
    margin: float,
    *,
    distance: Callable[..., torch.Tensor] = torch.cdist,
    itself: bool = False,
    sign: float = 1.0,
    least: float = 0.0,
    gap: float = 1.0,
    mean: Callable[[torch.Tensor], Any] = lambda costs: costs.sum() / max(len(costs), 1),
) -> Any:
    apart = distance(place, place)
    same = y[:, None] == y[None, :]
    pairs = same if itself else same & ~torch.eye(len(y), dtype=torch.bool)
    costs = sign * (apart[:, :, None] - apart[:, None, :]) + gap * margin
    return mean(costs[pairs[:, :, None] & ~same[:, None, :]].clamp(min=least))


def by_root(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    return (a[:, None] - b[None, :]).square().sum(dim=2).sqrt()


TRIPLETS: list[tuple[dict[str, Any], str]] = [
    ({"mean": torch.mean}, "no two images of one digit: nan, not 0: the mean of nothing"),
    ({"mean": torch.sum}, "it is the sum; a loss is a mean"),
    ({"least": -99}, "triplets that cost nothing: -1.5, not 0: a triplet that is good enough"),
    ({"mean": lambda costs: costs.sum() / max((costs > 0).sum(), 1)}, "over all triplets, also"),
    ({"sign": -1.0}, "near and far are mixed up"),
    ({"gap": 0.0}, "where is the margin?"),
    ({"itself": True}, "an image forms no triplet with itself"),
    ({"distance": lambda a, b: torch.cdist(a, b).square()}, "not its square"),
    ({"distance": by_root}, "the root of 0, the distance of an image to itself, has none"),
    ({"distance": lambda a, b: torch.cdist(a, b.detach())}, "its gradient is not: a detach()?"),
    ({"mean": lambda costs: costs.mean().detach()}, "the loss has no graph"),
    ({"mean": lambda costs: 0.0}, "a tensor of shape () is expected"),
    ({"mean": lambda costs: costs}, "a tensor of shape () is expected"),
]


@pytest.mark.parametrize(("fault", "told"), TRIPLETS)
def test_wrong_triplets(fault: dict[str, Any], told: str) -> None:
    assert told in tl.check("triplet_loss", lambda *given: triplets(*given, **fault)).fault


def test_right_triplets() -> None:
    assert tl.check("triplet_loss", triplets)


# ---- the worst confusion


class Confused:
    """The metric; each class below has one fault."""

    def reset(self) -> None:
        self.counts = torch.zeros(10, 10)

    def update(self, y_hat: torch.Tensor, y: torch.Tensor) -> None:
        self.counts += (10 * y + y_hat.argmax(dim=1)).bincount(minlength=100).view(10, 10)

    def mistakes(self) -> torch.Tensor:
        return self.counts.clone().fill_diagonal_(0)

    def compute(self) -> Any:
        return self.mistakes().max() / self.counts.sum()


class CountsTheRight(Confused):
    def mistakes(self):
        return self.counts


class Number(Confused):
    def compute(self):
        return self.mistakes().max()


class OfMistakes(Confused):
    def compute(self):
        return self.mistakes().max() / self.mistakes().sum()


class OfTheDigit(Confused):
    def compute(self):
        return (self.mistakes() / self.counts.sum(dim=1, keepdim=True).clamp(min=1)).max()


class BothWays(Confused):
    def mistakes(self):
        return super().mistakes() + super().mistakes().T


class LastBatch(Confused):
    def update(self, y_hat, y):
        self.reset()
        super().update(y_hat, y)


class MeanOfBatches(Confused):
    def reset(self):
        self.shares = []

    def update(self, y_hat, y):
        super().reset()
        super().update(y_hat, y)
        self.shares.append(super().compute())

    def compute(self):
        return sum(self.shares) / len(self.shares)


class NeverForgets(Confused):
    def __init__(self):
        super().reset()

    def reset(self):
        pass


class NoCompute:
    def reset(self): ...

    def update(self, y_hat, y): ...


CONFUSED: list[tuple[type, str]] = [
    (CountsTheRight, "one batch: 0.3333, not 0.25: are the right answers counted?"),
    (Number, "one batch: 3, not 0.25: that is a number of images"),
    (OfMistakes, "a fraction of the mistakes, not of all"),
    (OfTheDigit, "a fraction of the images of this digit"),
    (BothWays, "are two kinds of mistake"),
    (LastBatch, "batches of 8 and 4: 0.75, not 0.25: that is the last batch alone"),
    (MeanOfBatches, "batches of 8 and 4: 0.5, not 0.25: the mean of the batches"),
    (NeverForgets, "after a reset, four right answers: 0.2143, not 0"),
    (NoCompute, "compute is missing"),
]


@pytest.mark.parametrize(("answer", "told"), CONFUSED)
def test_wrong_confusions(answer: type, told: str) -> None:
    assert told in tl.check("most_confused", answer).fault


def test_a_right_metric() -> None:
    assert tl.check("most_confused", Confused)
    assert "give the class itself" in tl.check("most_confused", Confused()).fault


# ---- train the head only


def train(
    network: Any,
    loss_fn: Any,
    optimizer: Any,
    train_data: Any,
    *,
    freeze: bool = True,
    thaw: bool = True,
    change: Callable[[Any], Any] = lambda network: None,
    size: int = 32,
    number: Callable[[torch.Tensor], Any] = torch.Tensor.item,
    step: Callable[[Any], None] = lambda optimizer: optimizer.step(),
    give: Callable[[list[Any]], Any] = lambda losses: losses,
) -> Any:
    network.backbone.requires_grad_(not freeze)
    losses = []
    for x, y in DataLoader(train_data, batch_size=size, shuffle=True):
        loss = loss_fn(network(x), y)
        loss.backward()
        change(network)
        step(optimizer)
        optimizer.zero_grad()
        losses.append(number(loss))
    network.backbone.requires_grad_(thaw)
    return give(losses)


def no_slope(network: Any) -> None:
    network.backbone.zero_grad(set_to_none=False)


HEAD: list[tuple[dict[str, Any], str]] = [
    ({"freeze": False}, "the backbone moved: requires_grad says"),
    ({"freeze": False, "change": no_slope}, "its gradient is 0, but weight decay pulls at it"),
    ({"change": lambda network: network.head.zero_grad()}, "the head did not move: is it frozen"),
    ({"thaw": False}, "some weights stay frozen"),
    ({"size": 70}, "1 steps, but 70 samples in batches of 32 make 3"),
    ({"step": lambda optimizer: None}, "no step was made"),
    ({"number": torch.Tensor.detach}, "a list of plain numbers is expected"),
    ({"give": lambda losses: None}, "it returns None, but a list"),
    ({"give": lambda losses: losses[:1]}, "it returns 1 numbers, which are not the losses"),
]


@pytest.mark.parametrize(("fault", "told"), HEAD)
def test_wrong_heads(fault: dict[str, Any], told: str) -> None:
    assert told in tl.check("train_head", lambda *given: train(*given, **fault)).fault


def test_a_frozen_head_is_told_by_pytorch() -> None:
    def all_frozen(network, *rest):
        network.head.requires_grad_(False)
        return train(network, *rest)

    assert (
        "your code stopped in the line `loss.backward()`"
        in tl.check("train_head", all_frozen).fault
    )


def test_the_backbone_may_be_passed_without_notes() -> None:
    def features_first(network, loss_fn, optimizer, train_data):
        losses = []
        for x, y in DataLoader(train_data, batch_size=32):
            with torch.no_grad():
                features = network.backbone(x)
            loss = loss_fn(network.head(features), y)
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()
            losses.append(loss.item())
        return losses

    assert tl.check("train_head", features_first)
    assert tl.check("train_head", train)
