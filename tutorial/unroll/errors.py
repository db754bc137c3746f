"""An error in a loop gets a note: the epoch, the step and the line; and what to do about it."""

import ast
import linecache
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from tutorial.inputs.failing_layer import failing_layer

# What can be found out by no look at the first batch, by words of torch's messages.
ADVICE = {
    "modified by an inplace operation": "Something is changed that backward needs as it was: look "
    "for +=, relu_() or inplace=True in forward and in the loss, and make a new tensor there.",
    "backward through the graph a second time": "Something is left of an earlier batch, or calls "
    "backward itself: what forward keeps for the next batch, it must keep as x.detach().",
    "more than 1 value per channel": "Batch norm takes a variance over a batch, which needs at "
    "least 2 samples: leave a shorter one out, drop_last=True.",
    "stack expects each tensor to be equal size": "Samples of different shapes make no batch: make "
    "them alike, or say how to put them together, DataLoader(..., collate_fn=...).",
    "is out of bounds.": "A label is no class: number them from 0, or give the last layer more "
    "outputs.",
    "shapes cannot be multiplied": "Has this batch another shape than the first one?",
    "must have the same dtype": "This batch has another type than the weights: x.float().",
}


@contextmanager
def says_where(namespace: Mapping[str, Any]) -> Iterator[None]:
    """An error gets a note with the epoch, the step and the line of the loop."""
    try:
        yield
    except Exception as error:
        frames = traceback.extract_tb(error.__traceback__)
        places = [i for i, f in enumerate(frames) if f.filename.startswith("<unrolled")]
        if places:
            frame = frames[places[-1]]
            line = (frame.line or "").partition("  #")[0].strip()
            counts = "".join(counted(frame, namespace, fetching=frame is not frames[-1]))
            error.add_note(f"(in {counts}line {frame.lineno} of the loop: {line})")
            layer = failing_layer(error, namespace["network"])
            if layer is not None:
                error.add_note(f"({layer})")
            for words, advice in ADVICE.items():
                if words in str(error) and not (layer and layer.fix()):
                    error.add_note(advice)
        raise


def counted(
    frame: traceback.FrameSummary, namespace: Mapping[str, Any], fetching: bool
) -> Iterator[str]:
    """The epoch and the step of a line: of those loops that it stands in.

    Where the line is the head of a loop, and something is called there, that fetches the next
    batch, which has no number yet: a report knows how many there were.
    """
    source = "".join(linecache.getlines(frame.filename))
    loops = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.For)]
    for loop in loops:
        if frame.lineno is None or not loop.lineno <= frame.lineno <= (loop.end_lineno or 0):
            continue
        targets = {node.id for node in ast.walk(loop.target) if isinstance(node, ast.Name)}
        for name in ("epoch", "step"):
            number, report = namespace.get(name), namespace["report"]
            if name == "step" and fetching and loop.lineno == frame.lineno:
                number = None if report is None else report.done
            if name in targets and isinstance(number, int):
                yield f"{name} {number + 1}, "


def of_the_loop(error: BaseException) -> bool:
    """Whether the error arose in a line of the loop itself, and not in what it calls."""
    deepest = traceback.extract_tb(error.__traceback__)[-1].filename
    return deepest.startswith("<unrolled") or deepest.endswith("program.py")
