"""The page of other libraries' names: what it calls ours is there."""

import inspect
import re
from pathlib import Path

import tutorial as tl

PAGE = (Path(__file__).parent.parent / "book" / "coming_from.md").read_text(encoding="utf-8")
OURS = (tl, tl.callbacks, tl.metrics, tl.Model, tl.History, tl.metrics.Accuracy)
CALLED = (tl.Model, tl.Model.prepare, tl.Model.fit, tl.Model.save, tl.History, tl.InputSpec)
OTHERS = {"torchrun", "py", "Dataset", "DataLoader"}  # PyTorch's
EXAMPLES = {"tl", "acc", "model", "history", "train", "data", "scheduler", "stop_training"}


def test_what_the_first_column_names_is_there() -> None:
    names = {name for owner in OURS for name in dir(owner)} | {*tl.callbacks.HOOKS}
    for function in (*CALLED, tl.metrics.Accuracy, tl.launch):
        names |= inspect.signature(function).parameters.keys()
    cells = re.findall(r"^\| ([^|]+) \|", PAGE, flags=re.MULTILINE)
    code = " ".join(code for cell in cells for code in re.findall(r"`([^`]+)`", cell))
    told = set(re.findall(r"[a-zA-Z]\w+", re.sub(r'"[^"]*"|True|False', "", code)))
    assert len(told) > 60
    assert told - names - OTHERS - EXAMPLES == set()
