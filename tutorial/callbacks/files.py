"""Which files the callbacks of a fit write: each writer has its own, or it is refused."""

import os
import re
from collections.abc import Iterable
from itertools import combinations
from pathlib import Path
from typing import Any

from tutorial.callbacks.base import Callback
from tutorial.callbacks.logging import CSVLogger, TensorBoard
from tutorial.callbacks.saving import ModelCheckpoint
from tutorial.callbacks.stopping import EarlyStopping


def best_files(callbacks: Iterable[Callback], params: dict[str, Any]) -> dict[str, str]:
    """The names of the files of best models, by what each monitors, if a directory gets several.

    One that is alone there is called best_model.pt; these are best_model_acc.pt and the like.

    Raises:
        ValueError: two callbacks would write one file.
    """
    callbacks = list(callbacks)
    best = [callback for callback in callbacks if keeps_best(callback, params)]
    pairs = [(a, b) for a, b in combinations(best, 2) if folder(a, params) == folder(b, params)]
    for one, other in pairs:
        if monitored(one) == monitored(other) and rule(one, params) != rule(other, params):
            refuse(one, other, f"a best_model.pt for {monitored(one)!r}, by different rules")
    files: dict[str, str] = {}
    if any(monitored(one) != monitored(other) for one, other in pairs):
        for name in sorted({monitored(callback) for pair in pairs for callback in pair}):
            files[name] = file_for(name, files.values())
    for one, other in combinations(callbacks, 2):
        if both := own_place(one, params) & own_place(other, params):
            refuse(one, other, repr(both.pop()))
    return files


def places(callbacks: Iterable[Callback], params: dict[str, Any]) -> set[str]:
    """The files and directories into which callbacks write."""
    found = {place for callback in callbacks for place in own_place(callback, params)}
    best = [folder(callback, params) for callback in callbacks if keeps_best(callback, params)]
    return found | {place for place in best if place is not None}


def own_place(callback: Callback, params: dict[str, Any]) -> set[str]:
    """Where no other callback may write, as an absolute path."""
    if isinstance(callback, ModelCheckpoint):
        place = None if callback.best_only else folder(callback, params)
    elif isinstance(callback, CSVLogger | TensorBoard):
        written = callback.path if isinstance(callback, CSVLogger) else callback.log_dir
        place = os.path.realpath(written) if isinstance(written, str | os.PathLike) else None
    else:
        place = None
    return set() if place is None else {place}


def keeps_best(callback: Any, params: dict[str, Any]) -> bool:
    """Whether it writes the best model to a file."""
    if isinstance(callback, ModelCheckpoint):
        return callback.best_only
    stops = isinstance(callback, EarlyStopping) and callback.save_best_model
    return stops and folder(callback, params) is not None


def folder(callback: Any, params: dict[str, Any]) -> str | None:
    """The directory of its checkpoints."""
    place = getattr(callback, "save_dir", None) or params.get("save_dir")
    return os.path.realpath(place) if isinstance(place, str | Path) else None


def monitored(callback: Any) -> str:
    """What it monitors: 'loss' for 'eval_loss', too."""
    return str(callback.monitor).removeprefix("eval_")


def rule(callback: Any, params: dict[str, Any]) -> Any:
    """When a value of what it monitors is the best."""
    mode = callback.mode
    if mode == "auto":
        larger = params.get("larger_is_better", {}).get(monitored(callback))
        mode = "max" if larger else "min"
    return mode, getattr(callback, "min_delta", 0), callback.baseline


def file_for(name: str, others: Iterable[str]) -> str:
    """The file of the best model by this value, unlike the others also where A is a."""
    stem = "best_model_" + re.sub(r"[^\w.-]+", "_", name)[:60]
    while f"{stem}.pt".lower() in map(str.lower, others):
        stem += "_"
    return f"{stem}.pt"


def refuse(one: Callback, other: Callback, what: str) -> None:
    """Refuse two writers of one file."""
    kinds = [type(callback).__name__ for callback in (one, other)]
    both = f"two {kinds[0]}s" if kinds[0] == kinds[1] else " and ".join(kinds)
    leave = ", or EarlyStopping(save_best_model=False)" if "EarlyStopping" in kinds else ""
    raise ValueError(
        f"callbacks: {both} would write {what}, and each would replace what the other wrote. Give "
        f"one of them another place: its save_dir, log_dir or path{leave}."
    )
