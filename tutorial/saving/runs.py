"""A History as a file: JSON that a person can read, with every digit.

JSON knows no nan: it stands there as a word, "nan", "inf" or "-inf".
"""

import json
import math
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tutorial.distributed.process_group import is_rank_zero
from tutorial.parameters import short
from tutorial.saving.checkpoint import replacing

FORMAT = "tutorial.History, 1"
WORDS = ("nan", "inf", "-inf")


def write(path: Path, run: dict[str, Any]) -> Path:
    """Write a run in one piece: an earlier file is replaced, or left as it was.

    Args:
        path: where to write; the ending .json is added, missing directories are made.
        run: 'step_losses', 'rows', 'interrupted' and 'began', as a History has them.

    Returns:
        The path, with its ending.

    Raises:
        OSError: the file cannot be written.
        ValueError: a loop of the user's own has put something else than numbers there.
    """
    path, run = with_ending(path), in_words(run)
    for name, fits in PARTS.items():
        if not fits(run[name]):
            raise ValueError(
                f"history.{name} is {short(run[name], 60)}, but a file keeps numbers alone there, "
                "integers up to 2**53. Take the rest out first, or keep it in a file of its own."
            )
    text = json.dumps({"format": FORMAT, **run}, indent=1, allow_nan=False)
    if is_rank_zero():
        with replacing(path, "w", encoding="utf-8") as file:
            file.write(f"{text}\n")
    return path


def read(path: Path) -> dict[str, Any]:
    """Read what `write` wrote; nothing in the file is run.

    Raises:
        FileNotFoundError: there is no such file; the message lists those that are there.
        ValueError: the file is damaged, or was not written by history.save.
    """
    path = with_ending(path)
    if not os.path.isfile(path):
        there = sorted(other.name for other in path.parent.glob("*.json") if other.is_file())
        raise FileNotFoundError(
            f"path is {str(path)!r}, but there is no such file. In this directory there "
            f"{'are ' + ', '.join(there) if there else 'is no file that ends in .json'}."
        )
    try:
        run = json.loads(path.read_text(encoding="utf-8-sig"))  # an editor may have marked it
    except (ValueError, RecursionError) as error:
        raise refusal(path, f"it is no JSON: {error}") from None
    if not isinstance(run, dict) or not str(run.get("format")).startswith("tutorial.History"):
        raise refusal(path, f"it holds {short(run, 60)}")
    if run["format"] != FORMAT:
        raise refusal(path, f"it has the format {short(run['format'])}, of another version")
    for name, fits in PARTS.items():
        if not fits(run.get(name)):
            raise refusal(path, f"{name!r} is {short(run.get(name), 60)}")
    return {
        "step_losses": [float(loss) for loss in run["step_losses"]],
        "rows": [{name: number(value) for name, value in row.items()} for row in run["rows"]],
        "interrupted": run["interrupted"],
        "began": run["began"],
    }


def with_ending(path: Path) -> Path:
    """The path, ending in .json."""
    return path if path.suffix == ".json" else path.with_name(f"{path.name}.json")


def refusal(path: Path, why: str) -> ValueError:
    """The error for a file that is none of ours."""
    return ValueError(
        f"path is {str(path)!r}, but this file is damaged, or was not written by history.save: "
        f"{why}. Write it again: history.save({path.name!r})."
    )


def in_words(value: Any) -> Any:
    """The same for JSON: what is not finite as a word, and one number of an array as a number.

    >>> in_words([0.1, math.nan, {"loss": -math.inf}])
    [0.1, 'nan', {'loss': '-inf'}]
    """
    if isinstance(value, dict):
        return {name: in_words(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [in_words(part) for part in value]
    if getattr(value, "ndim", None) == 0:  # of NumPy's or PyTorch's
        value = value.item()
    return value if not isinstance(value, float) or math.isfinite(value) else str(value)


def number(value: Any) -> Any:
    """The number again."""
    return float(value) if isinstance(value, str) else value


def is_number(value: Any) -> bool:
    """Whether it stands for a number."""
    whole = type(value) is int and abs(value) <= 2**53  # a float holds no more
    return whole or isinstance(value, float) or value in WORDS


def is_row(row: Any) -> bool:
    """Whether it is what an epoch has to say."""
    named = isinstance(row, dict) and all(isinstance(name, str) for name in row)
    return named and all(map(is_number, row.values()))


def is_start(began: Any) -> bool:
    """Whether it is what a fit notes where it begins."""
    return isinstance(began, dict) and isinstance(began.get("machine", {}), dict)


PARTS: dict[str, Callable[[Any], bool]] = {
    "step_losses": lambda losses: isinstance(losses, list) and all(map(is_number, losses)),
    "rows": lambda rows: isinstance(rows, list) and all(map(is_row, rows)),
    "interrupted": lambda flag: isinstance(flag, bool),
    "began": is_start,
}
