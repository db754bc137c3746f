"""The whole cell, with the plain loop of each call in its place."""

import ast
import textwrap
from collections.abc import Mapping
from dataclasses import dataclass
from types import FunctionType
from typing import Any, NamedTuple

from tutorial.model import METHODS, Model
from tutorial.notebook.cell.harmless import NotRun, in_library
from tutorial.notebook.cell.lookahead import Call, evaluated, first_line, look_ahead
from tutorial.notebook.cell.naming import Bound, Writer, Written, own_name
from tutorial.notebook.cell.parts import (
    IN_A_FUNCTION,
    WAYS_OUT,
    Cell,
    CellError,
    Part,
    Site,
    names_in,
)
from tutorial.unroll.program import Program
from tutorial.unroll.replay import Replay
from tutorial.unroll.source import merged, names_assigned

WIDTH = 88
RECORD = "_record_"
SHOWN_BY_THE_LOOP = ("fit", "evaluate")  # their loops print what they return


class Pair(NamedTuple):
    """A piece of the cell, and what takes its place."""

    before: str
    after: str


@dataclass(frozen=True)
class UnrolledCell:
    """A cell, and the same cell with every call of a Model unrolled.

    Attributes:
        pairs: top-level statements, each with what takes its place. The first pair (after a cell
            magic such as %%time) has no statement: it holds the imports that the others need.
        calls: the calls that were unrolled.
        cell: the cell, in parts.
        networks: the names of the networks in the loops.
    """

    pairs: tuple[Pair, ...]
    calls: tuple[Call, ...]
    cell: Cell
    networks: frozenset[str] = frozenset()

    @property
    def before(self) -> str:
        """The cell as it was."""
        return self.cell.source

    @property
    def source(self) -> str:
        """The unrolled cell."""
        return "".join(pair.after for pair in self.pairs)

    @property
    def recording(self) -> str:
        """The unrolled cell, which also tells `RECORD` what each of its calls returns."""
        return Assembly(self.cell, list(self.calls), {}, recording=True).whole().source

    def __repr__(self) -> str:
        return self.source.rstrip("\n")

    def _repr_html_(self) -> str:
        from tutorial.display.highlight import highlighted

        return highlighted(self.source)


def unroll_cell(source: str, namespace: Mapping[str, Any], depth: str = "loop") -> UnrolledCell:
    """Write out a cell with the plain loop of each call of a `Model` in its place.

    Nothing is trained, and no object of the namespace changes. The rest of the cell stays as it is.
    Calls inside functions and comprehensions stay, too, and a comment says so.

    Args:
        source: the cell.
        namespace: what its names stand for, such as `globals()`.
        depth: how far: "loop", "optimizer" or "gradients", as for `model.unroll`.

    Returns:
        The UnrolledCell; its `source` can run in the same namespace.

    Raises:
        CellError: there is no call of a Model in the cell, or it needs what is not there yet.

    Example:
        >>> import torch, tutorial as tl
        >>> clf, points = tl.Model(torch.nn.Linear(1, 2)), torch.zeros(3, 1)
        >>> cell = "y_hat = clf.predict_batch(points)[0]  # logits"
        >>> print(unroll_cell(cell, globals() | locals()))
        # clf.predict_batch(points)
        network = clf.network
        network.eval()  # dropout off; batch norm uses what it learned
        with torch.no_grad():
            y_hat_2 = network(points)
        outputs = [y_hat_2]
        y_hat = outputs[0]  # logits
    """
    if depth == "numpy":
        raise CellError("in NumPy each call is a program of its own, so no cell is put together")
    cell = Cell(source)
    return Assembly(cell, calls_in(cell, namespace, depth), namespace).whole()


def calls_in(
    cell: Cell, namespace: Mapping[str, Any], depth: str, remember: bool = False
) -> list[Call]:
    """The calls of a Model in a cell.

    Raises:
        CellError: there is none.
    """
    calls = look_ahead(cell, namespace, depth, remember)
    if not calls:
        raise CellError(no_call(cell, namespace))
    return calls


def numpy_programs(source: str, namespace: Mapping[str, Any]) -> list[Program]:
    """Each call of a `Model` in a cell as a program with NumPy alone.

    Such a program has no names of the cell: it begins with arrays, and reads them from a file.

    Args:
        source: the cell.
        namespace: what its names stand for, such as `globals()`.

    Raises:
        CellError: there is no call of a Model in the cell, or one has no form in NumPy.
    """
    return [call.program for call in calls_in(Cell(source), namespace, "numpy")]


def replay_cell(
    source: str, namespace: Mapping[str, Any], depth: str = "loop", steps: int = 2, call: int = 1
) -> Replay:
    """Run the first steps of a call in a cell on copies, and show them line by line.

    The cell is not run, and nothing moves: not the model, not the random state.

    Args:
        source: the cell.
        namespace: what its names stand for, such as `globals()`.
        depth: how far the call is written out: "loop", "optimizer", "gradients" or "numpy".
        steps: how many steps of the loop over the batches.
        call: which of the cell's calls of a Model, from 1. It begins with the model as it is now:
            those before it in the cell are not run.

    Raises:
        CellError: there is no such call in the cell, or it needs what is not there yet.
    """
    calls = calls_in(Cell(source), namespace, depth, remember=True)
    if not 1 <= call <= len(calls):
        raise CellError(f"call is {call}, but the cell's calls of a Model are {len(calls)}.")
    try:
        return calls[call - 1].program.replay(steps)
    except (ValueError, RuntimeError) as error:
        raise CellError(f"line {calls[call - 1].site.line}: {error}") from error


class Assembly:
    """Puts the loops into the cell."""

    def __init__(
        self,
        cell: Cell,
        calls: list[Call],
        namespace: Mapping[str, Any],
        recording: bool = False,
    ) -> None:
        self.recording = recording
        self.cell = cell
        self.calls = calls
        self.namespace = namespace
        self.assigned = {n for call in calls for n in names_assigned(call.program.source)}
        own = {
            own_name(call, name, cell.names, self.assigned)
            for call in calls
            for name in call.program.names
        }
        self.taken = cell.names | {name for name in own if name is not None}
        self.bound = Bound()
        self.written: dict[int, Written] = {}  # by where the call starts

    def whole(self) -> UnrolledCell:
        """The unrolled cell."""
        edits = []  # where, until where, and what
        rows: dict[int, list[Part]] = {}
        for part in self.cell.parts:
            rows.setdefault(part.row, []).append(part)
        for row in rows.values():
            calls = [call for call in self.calls if call.part in row]
            stays = [site for part in row for site in part.sites if self.stays(site)]
            if calls:
                edits += self._head_edits(row[0]) if row[0].head else [self._row(row)]
            elif stays:
                lines = [f"# stays: {site.code.splitlines()[0]} ({site.stays})" for site in stays]
                text = "".join(f"{line}\n{row[0].indent}" for line in lines)
                edits.append((row[0].start, row[0].start, text))
        pairs: list[Pair] = []
        begin, after_a_loop = 0, False
        for end in self.cell.ends:
            before, after = self.cell.source[begin:end], self._edited(begin, end, edits)
            has_loop = any(begin <= call.site.start < end for call in self.calls)
            if after_a_loop and has_loop and not before.startswith("\n"):
                after = f"\n{after}"
            pairs.append(Pair(before, after))
            begin, after_a_loop = end, has_loop
        first = int(self.cell.source.startswith("%%"))  # %%time and the like stay on top
        pairs.insert(first, Pair("", self._head()))
        networks = frozenset(written.network for written in self.written.values())
        return UnrolledCell(tuple(pairs), tuple(self.calls), self.cell, networks)

    def stays(self, site: Site) -> bool:
        """Whether a call is a Model's, and stays."""
        value = evaluated(site.receiver, self.calls[-1].names)  # None: its names are a function's
        return site.stays is not None and isinstance(value, Model)

    def _edited(self, begin: int, end: int, edits: list[tuple[int, int, str]]) -> str:
        text, at = "", begin
        for start, stop, new in edits:
            if begin <= start < end:
                text += self.cell.source[at:start] + new
                at = stop
        return text + self.cell.source[at:end]

    def _row(self, row: list[Part]) -> tuple[int, int, str]:
        """What takes the place of the statements on one line."""
        source = self.cell.source
        start, end, indent = row[0].start, row[-1].end, row[0].indent
        lines: list[str] = []
        for part in row:
            rest = source[end:].partition("\n")[0]
            before = len(lines)
            lines += self._part(part)
            statement = self._statement(part)
            if statement is not None:
                lines.append(statement)
            elif part is row[-1] and len(lines) > before:  # its comment goes with the call
                lines[before] += rest.rstrip().lstrip(";")
                end += len(rest)
        if source[source.rfind("\n", 0, start) + 1 : start].strip():  # after a colon
            start = len(source[:start].rstrip(" "))
            lines.insert(0, "")
        return start, end, f"\n{indent}".join(lines)

    def _head_edits(self, part: Part) -> list[tuple[int, int, str]]:
        """What is put before a compound statement whose head has calls, and into that head."""
        text = "".join(f"{line}\n{part.indent}" for line in self._part(part))
        spans = [(c.site.start, c.site.end, self._result(c)) for c in self._calls(part)]
        return [(part.start, part.start, text), *spans]

    def _calls(self, part: Part) -> list[Call]:
        return [call for call in self.calls if call.part is part]

    def _result(self, call: Call) -> str:
        return self.written[call.site.start].result

    def _part(self, part: Part) -> list[str]:
        """The loops of a part's calls."""
        lines: list[str] = []
        taken = set(self.taken)
        for call in self._calls(part):
            first, *more = call.site.code.splitlines()
            more = textwrap.dedent("\n".join(more)).splitlines()
            lines += [f"# {line}" for line in (first, *more)]
            written = Writer(call, taken, self.assigned, self.bound, target_of(part, call)).write()
            lines += written.lines
            if self.recording:
                lines.append(f'{RECORD}("{call.site.method}", {written.result})')
            self.written[call.site.start] = written
            taken |= names_in(ast.parse(written.result))  # until the statement has used it
        return lines

    def _statement(self, part: Part) -> str | None:
        """The statement itself, with what its calls return; None if there is nothing left of it."""
        calls = self._calls(part)
        text, at = "", part.start
        for call in calls:
            text += self.cell.source[at : call.site.start] + self._result(call)
            at = call.site.end
        text += self.cell.source[at : part.end]
        match calls:
            case [call] if target_of(part, call) is not None and call.site.method != "fit":
                return None
            case [call] if text == self._result(call):
                hidden = self.cell.source[part.end :].lstrip().startswith(";")
                is_value = part is self.cell.parts[-1] and not part.blocks and not hidden
                shown = call.site.method in SHOWN_BY_THE_LOOP and not call.is_silent
                return text if is_value and not shown else None
        return text

    def _head(self) -> str:
        """The imports that the loops need, and what they overwrite."""
        first = self.calls[0].site.start
        there = {
            name
            for part in self.cell.parts
            if part.start < first and not part.blocks and "import " in part.code
            for name in part.sets
        }
        imports: dict[str, str] = {}
        for written in self.written.values():
            imports |= written.imports
        lines = merged([line for name, line in imports.items() if name not in there])
        sets = {name for written in self.written.values() for name in written.sets}
        lost = sets & self.namespace.keys() - {n for part in self.cell.parts for n in part.sets}
        lost -= {"_"}  # IPython's last result
        if lost:
            text = f"Running this overwrites your {', '.join(sorted(lost))}."
            lines += textwrap.wrap(text, WIDTH, initial_indent="# ", subsequent_indent="# ")
        return "".join(f"{line}\n" for line in lines) + "\n" * bool(lines)


def target_of(part: Part, call: Call) -> str | None:
    """The name, in `name = call`."""
    match ast.parse(part.code).body:
        case [ast.Assign(targets=[ast.Name(id=name)], value=ast.Call() as value)]:
            return name if ast.get_source_segment(part.code, value) == call.site.code else None
    return None


def no_call(cell: Cell, namespace: Mapping[str, Any]) -> str:
    """What to say of a cell without a call of a Model."""
    for site in (site for part in cell.parts for site in part.sites if site.stays):
        value = evaluated(site.receiver, namespace)
        if isinstance(value, Model | NameError | NotRun):  # or it may be one
            assert site.stays is not None
            way_out = WAYS_OUT.get(site.stays, "")
            reason = f"{first_line(site.code)} stays as it is: {site.stays}. {way_out}"
            return f"line {site.line}: {reason}".rstrip()
    for name in sorted(cell.names & namespace.keys()):
        inside = methods_in(namespace[name])
        if inside:
            return f"{name}() calls {inside}: {IN_A_FUNCTION}. {WAYS_OUT[IN_A_FUNCTION]}"
    models = [name for name, value in namespace.items() if isinstance(value, Model)]
    name = next((n for n in models if n in cell.names), next(iter(models), "model"))
    example = f"{name}.fit(train_data, epochs=1)"
    return (
        f"there is no call of a Model in this cell. Looked for: {', '.join(METHODS)} of a "
        f"tutorial.Model, such as {example}."
    )


def methods_in(value: Any) -> str:
    """The methods of a Model that a function of the notebook calls, in words."""
    is_own = isinstance(value, FunctionType) and not in_library(value.__code__.co_filename)
    return ", ".join(name for name in METHODS if is_own and name in value.__code__.co_names)
