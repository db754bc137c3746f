"""The proof that the unrolled cell does what the cell does: run both, compare every bit."""

import contextlib
import copy
import io
import linecache
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch

from tutorial.cell.lookahead import copied, instead_of_calls
from tutorial.cell.parts import CellError, runnable
from tutorial.cell.unrolled import UnrolledCell
from tutorial.device import unchanged_randomness
from tutorial.model import Model
from tutorial.program import flushing_restored
from tutorial.proof import Proof

RECORD = "_record_"  # the name under which the unrolled cell, while it is compared, tells its results


def prove(
    unrolled: UnrolledCell, namespace: dict[str, Any], run: Callable[[str], Any] | None = None
) -> Proof:
    """Run the unrolled cell on copies; then the cell itself, for real, from the same state.

    Args:
        unrolled: the cell.
        namespace: what its names stand for.
        run: runs the cell as it was, in the namespace; without it, `exec` does.

    Returns:
        A Proof: true if every weight, loss, mean and output is equal in every bit.

    Raises:
        CellError: the cell cannot be run twice.
    """
    refuse_to_write_twice(unrolled)
    there = run_copy(unrolled, namespace)
    results: list[tuple[str, Any]] = []
    with instead_of_calls(recorder(results)):
        if run is None:
            exec(compile(unrolled.cell.runnable, "<cell>", "exec"), namespace)
        else:
            run(unrolled.before)
    here = found(unrolled, namespace, results)
    return Proof("the cell", here, there, where="in the unrolled cell")


def refuse_to_write_twice(unrolled: UnrolledCell) -> None:
    """Refuse a cell that writes files: its second run would overwrite, or go on from, the first."""
    for call in unrolled.calls:
        wiring = call.program.wiring
        writers = [
            name
            for name, callback in wiring.callbacks.items()
            if any(getattr(callback, key, None) is not None for key in ("save_dir", "log_dir", "path"))
        ]
        if wiring.params.get("save_dir") is not None:
            writers.append(f"save_dir={wiring.params['save_dir']!r}")
        if writers:
            raise CellError(
                f"line {call.site.line}: the cell would be run twice, and this call writes files "
                f"({', '.join(writers)}). Leave that out to compare, or use "
                f'{call.site.receiver.code}.unroll("{call.site.method}", ...).verify(), which '
                "writes them elsewhere."
            )


def run_copy(unrolled: UnrolledCell, namespace: Mapping[str, Any]) -> dict[str, Any]:
    """What the unrolled cell computes, on copies of what it uses; its output is not shown."""
    results: list[tuple[str, Any]] = []
    source = runnable(unrolled.recording(RECORD))
    copies, once = copied(unrolled.cell.names | unrolled.names, namespace, {})
    if once:
        raise CellError(
            f"the cell would be run twice, and takes from {', '.join(sorted(once))}, an iterator, "
            "which cannot be copied."
        )
    names = {**namespace, **copies, RECORD: lambda *result: results.append(result)}
    file = "<unrolled cell>"
    linecache.cache[file] = (len(source), None, source.splitlines(keepends=True), file)
    quiet = io.StringIO()
    with (
        unchanged_randomness(),
        flushing_restored(),
        contextlib.redirect_stdout(quiet),
        contextlib.redirect_stderr(quiet),
        figures_closed(),
        instead_of_calls(recorder(results)),
    ):
        exec(compile(source, file, "exec"), names)
    return found(unrolled, names, results)
