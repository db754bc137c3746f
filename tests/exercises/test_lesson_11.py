"""Typical wrong answers to the exercises of lesson 11, and what each is told."""

import io
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import tutorial as tl

# ---- a file in one piece


def save(
    state: Any,
    path: Path,
    *,
    put: Callable[[Path, Path], Any] = lambda beside, path: beside.replace(path),
    tidy: bool = True,
    pass_on: bool = True,
) -> None:
    beside = path.with_suffix(".part")
    try:
        torch.save(state, beside)
        put(beside, path)
    except Exception:
        if tidy:
            beside.unlink()
        if pass_on:
            raise


def in_memory_first(state: Any, path: Path) -> None:
    whole = io.BytesIO()
    torch.save(state, whole)
    path.write_bytes(whole.getvalue())


def away_with_the_old(state: Any, path: Path) -> None:
    path.unlink(missing_ok=True)
    torch.save(state, path)


def never_again(state: Any, path: Path) -> None:
    if not path.exists() or "note" in state:
        save(state, path)


def copied(beside: Path, path: Path) -> None:
    shutil.copyfile(beside, path)
    beside.unlink()


SAVED: list[tuple[Callable[..., Any], str]] = [
    (torch.save, "saving fails in the middle: the good file of before is lost or damaged"),
    (away_with_the_old, "saving fails in the middle: the good file of before is lost"),
    (in_memory_first, "a second save: the old file itself is written to"),
    (never_again, "a second save: torch.load(path) does not give what was saved last"),
    (lambda state, path: save(state, path, tidy=False), "model.part is left in the directory"),
    (lambda state, path: save(state, path, pass_on=False), "nobody is told"),
    (lambda state, path: save(state, path, put=copied), "the old file itself is written to"),
    (lambda state, path: save(state, path, put=lambda *_: None), "a new file: torch.load(path)"),
    (lambda state, path: None, "a new file: torch.load(path) does not give"),
]


@pytest.mark.parametrize(("answer", "told"), SAVED)
def test_wrong_ways_to_save(answer: Callable[..., Any], told: str) -> None:
    assert told in tl.check("save_whole", answer).fault


def test_what_is_left_after_a_good_save() -> None:
    def linked(state, path):
        save(state, path, put=lambda beside, path: (path.unlink(True), path.hardlink_to(beside)))

    assert "a new file: model.part is left" in tl.check("save_whole", linked).fault
    assert tl.check("save_whole", save)


# ---- a network that needs no instructions


class Good(nn.Module):
    """The network; each class below has one fault."""

    def __init__(self, network, mean, std, classes):
        super().__init__()
        self.network, self.classes = network, classes
        self.keep(torch.tensor(mean), torch.tensor(std))

    def keep(self, mean, std):
        self.register_buffer("mean", mean)
        self.register_buffer("std", std)

    def prepare(self, pixels):
        return (pixels[:, None].float() - self.mean) / self.std

    def forward(self, pixels):
        return self.network(self.prepare(pixels)).softmax(dim=1)

    @torch.no_grad()
    def names(self, pixels):
        self.eval()
        return [self.classes[i] for i in self(pixels).argmax(dim=1)]


def prepared(how: Callable[..., Any]) -> type[Good]:
    class Other(Good):
        def prepare(self, pixels):
            return how(self, pixels[:, None].float())

    return Other


def answered(how: Callable[..., Any]) -> type[Good]:
    class Other(Good):
        def forward(self, pixels):
            return how(self.network(self.prepare(pixels)))

    return Other


class NotKept(Good):
    def keep(self, mean, std):
        self.mean, self.std = mean, std


class Learned(Good):
    def keep(self, mean, std):
        self.mean, self.std = nn.Parameter(mean), nn.Parameter(std)


class AnyMode(Good):
    @torch.no_grad()
    def names(self, pixels):
        return [self.classes[i] for i in self(pixels).argmax(dim=1)]


class Numbers(Good):
    def names(self, pixels):
        self.eval()
        return self(pixels).argmax(dim=1).tolist()


class OneForAll(Good):
    def names(self, pixels):
        return super().names(pixels)[:1] * len(pixels)


class NoNetwork(Good):
    def forward(self, pixels):
        return torch.zeros(5, 10)


class Plain:
    def __init__(self, *given): ...


PORTABLE: list[tuple[type, str]] = [
    (prepared(lambda self, x: x), "the pixels as they are"),
    (prepared(lambda self, x: x / 255), "these pixels are from 0 to 1"),
    (prepared(lambda self, x: (x / 255 - self.mean) / self.std), "not from 0 to 1"),
    (prepared(lambda self, x: x / self.std - self.mean), "first subtract the mean, then divide"),
    (prepared(lambda self, x: x / self.std), "is anything subtracted?"),
    (prepared(lambda self, x: x - self.mean), "is it divided by std?"),
    (prepared(lambda self, x: (x - x.mean()) / x.std()), "not those of this batch"),
    (prepared(lambda self, x: x * 3), "other numbers than in training"),
    (prepared(lambda self, x: x[:, 0]), "the network gets (5, 28, 28), not (5, 1, 28, 28)"),
    (answered(lambda scores: scores), "these are scores"),
    (answered(lambda scores: scores.softmax(dim=0)), "does each row sum to 1"),
    (answered(lambda scores: scores.log_softmax(dim=1)), "are these logarithms?"),
    (answered(lambda scores: scores.argmax(dim=1)), "a tensor (5, 10) is expected"),
    (answered(lambda scores: scores.sigmoid()), "not the probabilities of the classes"),
    (NoNetwork, "the network is never asked"),
    (NotKept, "mean is not in state_dict()"),
    (Learned, "mean and std are parameters"),
    (AnyMode, "names(pixels) after train():"),
    (Numbers, "names(pixels) after eval(): ["),
    (OneForAll, "names(pixels) after eval(): ["),
    (Plain, "Plain is no network"),
]


@pytest.mark.parametrize(("answer", "told"), PORTABLE)
def test_wrong_networks(answer: type, told: str) -> None:
    assert told in tl.check("portable", answer).fault


def test_a_right_network() -> None:
    assert tl.check("portable", Good)


# ---- what a client sends


def checked(
    rows: Any,
    *,
    whole: bool = True,
    shape: Callable[[Any], bool] = lambda rows: [len(row) for row in rows] == [28] * 28,
    low: float = 0,
    high: float = 255,
    message: str = "{0!r}: integers from 0 to 255 are expected",
    give: Callable[[torch.Tensor], Any] = lambda pixels: pixels.to(torch.uint8)[None],
) -> Any:
    if not isinstance(rows, list) or not all(isinstance(row, list) for row in rows):
        raise ValueError("lists of lists are expected")
    if not shape(rows):
        raise ValueError("28 rows of 28 are expected")
    for pixel in (pixel for row in rows for pixel in row):
        kinds = int if whole else int | float
        if not isinstance(pixel, kinds) or not low <= pixel <= high:
            raise ValueError(message.format(pixel))
    return give(torch.tensor(rows, dtype=torch.float64))


def unguarded(rows: Any) -> torch.Tensor:
    pixels = torch.tensor(rows)
    if pixels.shape != (28, 28):
        raise ValueError("28 rows of 28 are expected")
    for pixel in pixels.flatten().tolist():
        if pixel % 1 or not 0 <= pixel <= 255:
            raise ValueError(f"a pixel is {pixel}")
    return pixels.to(torch.uint8)[None]


CHECKED: list[tuple[dict[str, Any], str]] = [
    ({"shape": lambda rows: True}, "27 rows: it passes"),
    ({"shape": lambda rows: len(rows) == 28}, "28 rows of 27: it passes"),
    ({"shape": lambda rows: len(rows) >= 28}, "29 rows: it passes"),
    ({"high": 256}, "256: it passes, but a ValueError is expected"),
    ({"low": -9}, "-1: it passes"),
    ({"whole": False}, "a half: it passes"),
    ({"message": "bad pixel"}, "the message is 'bad pixel', which does not say 256"),
    ({"give": lambda pixels: pixels[None]}, "torch.float64 (1, 28, 28), but torch.uint8"),
    ({"give": lambda pixels: pixels.to(torch.uint8)}, "torch.uint8 (28, 28), but"),
    ({"give": lambda pixels: pixels.T.to(torch.uint8)[None]}, "other pixels come back"),
    ({"give": lambda pixels: None}, "it returns None"),
]


@pytest.mark.parametrize(("fault", "told"), CHECKED)
def test_wrong_checks(fault: dict[str, Any], told: str) -> None:
    assert told in tl.check("checked_pixels", lambda rows: checked(rows, **fault)).fault


def test_errors_of_another_kind_are_no_refusal() -> None:
    assert (
        "a string: TypeError, but a ValueError is expected"
        in tl.check("checked_pixels", unguarded).fault
    )
    assert tl.check("checked_pixels", checked)
