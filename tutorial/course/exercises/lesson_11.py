"""The exercises of lesson 11: save, resume, export, serve."""

import math
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from tutorial.course.exercises.compare import alike
from tutorial.course.exercises.registry import Findings, exercise
from tutorial.course.exercises.verdict import Right, Wrong

# ---- a file in one piece


@exercise(
    "save_whole",
    question="At which moment may the old file go, and what must be true of the new one by then?",
    nudge="Write to a neighbour first: `path.with_name` makes its name. Only when it is "
    "complete, put it in the place of the old one. What stands in a `finally` is done "
    "after an error, too: there, remove what may be left.",
)
def save_whole(answer: Any) -> Findings:
    """Replace a file in a single act, or leave it as it was."""
    old, new = ({"weight": torch.randn(1000)} for _ in range(2))
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "model.pt"
        answer(old, path)
        if not holds(path, old):
            yield Wrong("a new file: torch.load(path) does not give what was saved")
        left = [other.name for other in Path(directory).iterdir() if other != path]
        if left:
            yield Wrong(f"a new file: {left[0]} is left in the directory")
        yield Right("a new file: torch.load(path) gives what was saved")
        try:
            answer({"weight": torch.zeros(1000), "note": Unsaveable()}, path)
        except OSError:
            raised = True
        else:
            raised = False
        if not holds(path, old):
            yield Wrong("saving fails in the middle: the good file of before is lost or damaged")
        left = [other.name for other in Path(directory).iterdir() if other != path]
        if left:
            yield Wrong(f"saving fails in the middle: {left[0]} is left in the directory")
        if not raised:
            yield Wrong("saving fails in the middle, and nobody is told: the error must pass on")
        yield Right("saving fails in the middle: the file of before is whole, and all is tidy")
        number = path.stat().st_ino
        answer(new, path)
        if not holds(path, new):
            yield Wrong("a second save: torch.load(path) does not give what was saved last")
        if path.stat().st_ino == number:
            yield Wrong(
                "a second save: the old file itself is written to; if the power is cut then, it is "
                "neither old nor new. What puts another file in its place?"
            )
        yield Right("a second save: another file in the place of the old one")


class Unsaveable:
    """An object at which saving breaks off."""

    def __reduce__(self) -> Any:
        raise OSError("the disk is full")


def holds(path: Path, state: dict[str, Tensor]) -> bool:
    """Whether a file can be read, and is this state."""
    try:
        read = torch.load(path, weights_only=True)
    except Exception:  # of many kinds, if the file is damaged
        return False
    return isinstance(read, dict) and torch.equal(read["weight"], state["weight"])


# ---- a network that needs no instructions


@exercise(
    "portable",
    "class",
    question="`mean` and `std` are not trained, but must be in the `state_dict()`. What does a "
    "module call such tensors?",
    nudge="`register_buffer` keeps them. In `forward`, go from bytes (N, 28, 28) to numbers "
    "(N, 1, 28, 28) step by step; the probabilities come last. `names` must give the "
    "same answer whatever the mode was: which mode does it need?",
)
def portable(answer: Any) -> Findings:
    """A network around a network that prepares its input and names its output."""
    mean, std, classes = 33.5, 78.25, list("abcdefghij")
    network = Watched()
    pixels = torch.zeros(5, 28, 28, dtype=torch.uint8)
    for i, picture in enumerate(pixels):  # ink in other rows of each, so that they are told apart
        picture[5 * i : 5 * i + 6] = torch.randint(0, 256, (6, 28))
    if not issubclass(answer, nn.Module):
        yield Wrong(f"{answer.__name__} is no network: is it derived from nn.Module?")
    mine = answer(network, mean, std, classes).eval()
    given = mine(pixels)
    if network.x is None:
        yield Wrong("the network is never asked: where is self.network(x)?")
    fault = preparation_fault(network.x, pixels, mean, std)
    if fault:
        yield Wrong(fault)
    yield Right("the network gets (N, 1, 28, 28), prepared as in training")
    logits = network(network.x)
    if not isinstance(given, Tensor) or given.shape != (5, 10):
        yield Wrong(f"it returns {given!r:.60}, but a tensor (5, 10) is expected for 5 pictures")
    if not alike(given, logits.softmax(dim=1)):
        causes = {
            "these are scores; what makes probabilities of them?": logits,
            "does each row sum to 1, or each column?": logits.softmax(dim=0),
            "are these logarithms?": logits.log_softmax(dim=1),
        }
        cause = next((text for text, other in causes.items() if alike(given, other)), "")
        yield Wrong("not the probabilities of the classes" + (f": {cause}" if cause else ""))
    yield Right("probabilities for each picture")
    saved = list(mine.state_dict().values())
    for name, value in (("mean", mean), ("std", std)):
        if not any(tensor.numel() == 1 and float(tensor) == value for tensor in saved):
            yield Wrong(f"{name} is not in state_dict(), so it does not travel: register_buffer?")
    if len(list(mine.parameters())) != len(list(network.parameters())):
        yield Wrong("mean and std are parameters, so an optimizer would change them")
    yield Right("mean and std are in its state_dict()")
    expected = [classes[i] for i in logits.argmax(dim=1)]
    for mode in ("eval", "train"):
        said = mine.train(mode == "train").names(pixels)
        if said != expected:
            hint = ": dropout is on; in which mode is the answer given?" if mode == "train" else ""
            yield Wrong(f"names(pixels) after {mode}(): {said!r:.60}, not {expected}{hint}")
        yield Right(f"names(pixels) after {mode}(): {expected}")


def preparation_fault(x: Any, pixels: Tensor, mean: float, std: float) -> str:
    """What is wrong with that which the inner network gets."""
    if x.shape != (5, 1, 28, 28):
        return f"5 pictures: the network gets {tuple(x.shape)}, not (5, 1, 28, 28)"
    plain = pixels[:, None].float()
    causes = {
        "": (plain - mean) / std,
        ": the pixels as they are": plain,
        ": first subtract the mean, then divide": plain / std - mean,
        ": mean and std are for pixels from 0 to 255, not from 0 to 1": (plain / 255 - mean) / std,
        ": is anything subtracted?": plain / std,
        ": is it divided by std?": plain - mean,
        ": these pixels are from 0 to 1": plain / 255,
        ": mean and std are those of the training, not those of this batch": (plain - plain.mean())
        / plain.std(),
    }
    cause = next((text for text, other in causes.items() if alike(x, other)), None)
    return "" if cause == "" else f"the network gets other numbers than in training{cause or ''}"


class Watched(nn.Module):
    """A network that keeps what it was given; dropout makes its mode count."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Flatten(), nn.Dropout(0.9), nn.Linear(784, 10))
        self.x: Tensor | None = None

    def forward(self, x: Tensor) -> Tensor:
        """Scores for ten classes."""
        self.x = x
        scores: Tensor = self.layers(x.float().reshape(len(x), -1))
        return scores


# ---- what a client sends


@exercise(
    "checked_pixels",
    question="What must hold for the whole, for each row, for each number? In which order can you "
    "look without an error of Python's own?",
    nudge="First the lists: 28 of them, each of 28. Then each number: from 0 to 255, and "
    "exactly an `int`; `True` passes for one in `isinstance`. Make the tensor last.",
)
def checked_pixels(answer: Any) -> Findings:
    """A picture that came from JSON; nothing else passes."""
    pictures = torch.randint(0, 256, (28, 28)), torch.zeros(28, 28), torch.full((28, 28), 255)
    for picture in pictures:
        given = answer(picture.int().tolist())
        if not isinstance(given, Tensor):
            yield Wrong(f"a good picture: it returns {given!r:.40}, but a tensor is expected")
        if given.shape != (1, 28, 28) or given.dtype != torch.uint8:
            yield Wrong(
                f"a good picture: {given.dtype} {tuple(given.shape)}, but torch.uint8 (1, 28, 28) "
                "is expected"
            )
        if not torch.equal(given[0], picture.to(torch.uint8)):
            yield Wrong("a good picture: other pixels come back than were sent")
    yield Right("good pictures pass, as bytes (1, 28, 28)")
    for kind, cases in BAD.items():
        for said, (spoil, number) in cases.items():
            rows = pictures[0].tolist()
            fault = refusal_fault(answer, spoil(rows), number)
            if fault:
                yield Wrong(f"{said}: {fault}")
        yield Right(f"{kind}: refused ({', '.join(cases)})")


def refusal_fault(answer: Any, rows: Any, number: str) -> str:
    """What is wrong with the refusal of something that is no picture."""
    try:
        answer(rows)
    except ValueError as error:
        if number not in str(error):
            return f"the message is {str(error)!r:.60}, which does not say {number}"
        return ""
    except NotImplementedError:
        raise
    except Exception as error:
        return (
            f"{type(error).__name__}, but a ValueError is expected: is it looked at before it is "
            "used?"
        )
    return "it passes, but a ValueError is expected"


def spoilt(value: Any) -> Callable[[Any], Any]:
    """Puts a value in the place of one pixel, the last of a row in the middle."""

    def spoil(rows: Any) -> Any:
        rows[13][27] = value
        return rows

    return spoil


# What is no picture: how a good one is spoilt, and what the message must say of it.
BAD: dict[str, dict[str, tuple[Callable[[Any], Any], str]]] = {
    "another shape": {
        "27 rows": (lambda rows: rows[1:], ""),
        "29 rows": (lambda rows: [*rows, rows[0]], ""),
        "a short row": (lambda rows: [*rows[:27], rows[27][1:]], ""),
        "28 rows of 27": (lambda rows: [row[1:] for row in rows], ""),
        "784 numbers in one list": (lambda rows: [number for row in rows for number in row], ""),
    },
    "another range": {
        "256": (spoilt(256), "256"),
        "-1": (spoilt(-1), "-1"),
        "a half": (spoilt(0.5), "0.5"),
        "not a number": (spoilt(math.nan), "nan"),
    },
    "something else": {
        "a string": (lambda rows: "a cat", ""),
        "null": (lambda rows: None, ""),
        "an object": (lambda rows: {"pixels": rows}, ""),
        "a string among the pixels": (spoilt("7"), ""),
        "null among the pixels": (spoilt(None), ""),
        "a list among the pixels": (spoilt([0]), ""),
    },
}
