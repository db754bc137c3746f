"""The proof that the unrolled cell does what the cell does: run both, compare every bit."""

import ast
import contextlib
import copy
import io
import linecache
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from typing import Any

from torch.utils.data import DataLoader, Dataset

from tutorial.device import rng_state, set_rng_state, unchanged_randomness, unchanged_settings
from tutorial.history import History
from tutorial.model import Model
from tutorial.notebook.cell.lookahead import copied
from tutorial.notebook.cell.parts import CellError, names_in, runnable
from tutorial.notebook.cell.unrolled import RECORD, UnrolledCell
from tutorial.running import Watcher, watched_by
from tutorial.saving.parts import GENERATORS, load_part_state, part_state, walk
from tutorial.unroll.proof import Proof

Results = list[tuple[str, Any]]  # methods, and what they returned


@contextlib.contextmanager
def silence() -> Iterator[None]:
    """Nothing that is printed inside is seen."""
    nowhere = io.StringIO()
    with contextlib.redirect_stdout(nowhere), contextlib.redirect_stderr(nowhere):
        yield


def prove(
    unrolled: UnrolledCell,
    namespace: dict[str, Any],
    run: Callable[[str], Any] | None = None,
    quiet: Callable[[], AbstractContextManager[Any]] = silence,
) -> Proof:
    """Run the unrolled cell on copies; then the cell itself, for real, from the same state.

    Args:
        unrolled: the cell.
        namespace: what its names stand for.
        run: runs the cell as it was, in the namespace; without it, `exec` does.
        quiet: in what the unrolled cell runs, so that it shows nothing.

    Returns:
        A Proof: true if every weight, loss, mean and output is equal in every bit.

    Raises:
        CellError: the cell cannot be run twice; it was not run at all.

    Example:
        >>> import torch, tutorial as tl
        >>> from tutorial.notebook.cell import unroll_cell
        >>> clf, points = tl.Model(torch.nn.Linear(1, 2)), torch.zeros(3, 1)
        >>> names = dict(locals())
        >>> prove(unroll_cell("clf.predict_batch(points)", names), names)
        the cell
        as it is, and unrolled: equal bit for bit
        (1 predictions, 2 weight tensors)
    """
    refuse_to_write_twice(unrolled)
    failed, there = "", {}
    mentioned = names_in(ast.parse(runnable(unrolled.recording))) | unrolled.cell.names
    chance, twin = rng_state(), {**namespace, **copied(mentioned, namespace, {})[0]}
    try:
        there = run_copy(unrolled, runnable(unrolled.recording), namespace, quiet)
    except CellError:
        raise
    except Exception as error:  # perhaps the cell itself fails, too, and says so
        failed = f"the unrolled cell fails: {type(error).__name__}: {error}"
    results: Results = []
    with watched_by(Noting(results)):
        if run is None:
            exec(compile(unrolled.cell.runnable, "<cell>", "exec"), namespace)
        else:
            run(unrolled.before)
    here = found(unrolled, namespace, results)
    where = "in the cell", "in the unrolled cell"
    proof = Proof("the cell", here, there, "as it is, and unrolled", where)
    if any(isinstance(result, History) and result.interrupted for _, result in results):
        failed = "the cell was interrupted"
    if not proof and not failed:
        with unchanged_randomness():
            set_rng_state(chance)
            with contextlib.suppress(Exception):  # such as of a file that is closed now
                again = run_copy(unrolled, unrolled.cell.runnable, twin, quiet)
                failed = by_itself(Proof("", here, again, places=("at first", "then")))
    proof.difference = failed or proof.difference
    return proof


def by_itself(twice: Proof) -> str:
    """What to say of a cell that does not do the same twice; "" if it does."""
    if twice:
        return ""
    return (
        "run twice, the cell itself gives something else each time, so nothing can be said of the "
        f"unrolled one. Does it use the time, a file, or a counter? {twice.difference}"
    )


def refuse_to_write_twice(unrolled: UnrolledCell) -> None:
    """Refuse a cell that writes files: its second run would overwrite, or go on from, the first."""
    for call in unrolled.calls:
        hooks = call.program.hooks
        writers = [
            name
            for name, callback in hooks.callbacks.items()
            if any(vars(callback).get(key) is not None for key in ("save_dir", "log_dir", "path"))
        ]
        if hooks.params.get("save_dir") is not None:
            writers.append(f"save_dir={hooks.params['save_dir']!r}")
        if writers:
            raise CellError(
                f"line {call.site.line}: the cell would be run twice, and this call writes files "
                f"({', '.join(writers)}). Leave that out to compare, or use "
                f'{call.site.receiver.code}.unroll("{call.site.method}", ...).verify(), which '
                "writes them elsewhere."
            )


def run_copy(
    unrolled: UnrolledCell,
    source: str,
    namespace: Mapping[str, Any],
    quiet: Callable[[], AbstractContextManager[Any]],
) -> dict[str, Any]:
    """What the cell computes, written in one way or the other, on copies of all that it uses."""
    mentioned = names_in(ast.parse(source)) | unrolled.cell.names
    copies, once = copied(mentioned, namespace, {})
    if once:
        raise CellError(
            f"the cell would be run twice, and takes from {', '.join(sorted(once))}: what an "
            "iterator gave, it does not give again. Use a list or a DataLoader."
        )
    results: Results = []
    names = {**namespace, **copies, RECORD: lambda *result: results.append(result)}
    file = "<unrolled cell>" if RECORD in source else "<cell again>"
    linecache.cache[file] = (len(source), None, source.splitlines(keepends=True), file)
    with (
        quiet(),
        unchanged_randomness(),
        unchanged_settings(),
        warnings.catch_warnings(),
        new_figures_closed(),
        generators_put_back({name: namespace.get(name) for name in mentioned}),
        watched_by(Noting(results)),
    ):
        warnings.simplefilter("ignore")  # the cell itself will say it
        exec(compile(source, file, "exec"), names)
    return found(unrolled, names, results)


class Noting(Watcher):
    """Notes what each call of a Model returns."""

    def __init__(self, results: Results) -> None:
        self.results = results

    def ended(self, method: str, result: Any) -> None:
        self.results.append((method, result))


@contextlib.contextmanager
def generators_put_back(names: Mapping[str, Any]) -> Iterator[None]:
    """What data sets draw from, which are not copied, is afterwards where it was."""
    data = {name: value for name, value in names.items() if isinstance(value, Dataset | DataLoader)}
    generators = [part for _, part in walk(data, []) if isinstance(part, GENERATORS)]
    states = [copy.deepcopy(part_state(generator)) for generator in generators]
    try:
        yield
    finally:
        for generator, state in zip(generators, states, strict=True):
            load_part_state(generator, state)


@contextlib.contextmanager
def new_figures_closed() -> Iterator[None]:
    """Figures that are made inside are not shown."""
    pyplot = sys.modules.get("matplotlib.pyplot")
    before = set(pyplot.get_fignums()) if pyplot else set()
    try:
        yield
    finally:
        for number in set(pyplot.get_fignums()) - before if pyplot else ():
            pyplot.close(number)  # type: ignore[union-attr]


def found(unrolled: UnrolledCell, names: dict[str, Any], results: Results) -> dict[str, Any]:
    """All that is compared: what the calls returned, and the state that they left."""
    kinds: dict[str, Any] = {"step_losses": [], "rows": [], "result": [], "outputs": []}
    for method, result in results:
        if isinstance(result, History):
            kinds["step_losses"].append(result.step_losses)
            kinds["rows"].append(result.rows)
        else:
            kinds["outputs" if method.startswith("predict") else "result"].append(result)
    states: dict[str, Any] = {"network": {}, "optimizer": {}, "scaler": {}}
    for code in dict.fromkeys(call.site.receiver.code for call in unrolled.calls):
        model = eval(code, names)
        assert isinstance(model, Model)
        for kind, state in states.items():
            part = getattr(model, kind)
            if part is not None:
                state[code] = part.state_dict()
    return {**kinds, **states}
