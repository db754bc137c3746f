"""What a cell's calls are made with, found out without making them.

A call's loop depends on its arguments: their values, the data's form, the network's output. Some of
that may come from statements before it, in the same cell. Those that a call needs are run here,
on copies, as far as that is harmless: what needs the user's own functions, or has effects, is said
instead. What they print is not shown, and the random state is restored.
"""

import ast
import contextlib
import copy
import inspect
import io
import re
import types
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from torch.utils.data import DataLoader, Dataset, IterableDataset, Subset

from tutorial import device
from tutorial.data.batches import Batches
from tutorial.device import unchanged_randomness, unchanged_settings
from tutorial.model import Model, Seen
from tutorial.notebook.cell.harmless import NotRun, harmless
from tutorial.notebook.cell.parts import (
    NAMELESS,
    Argument,
    Cell,
    CellError,
    Part,
    Site,
    altered,
    names_in,
)
from tutorial.running import Watcher, watched_by
from tutorial.unroll.program import Program


@dataclass
class Call:
    """A call of a Model, and all that is known of it beforehand.

    Attributes:
        site: where it stands.
        part: the part of the cell in which it stands.
        model: the Model as it is at this call.
        arguments: what is written for each argument, by the argument's name.
        values: what that is.
        program: the call's plain loop, with the objects that it works on.
        own: the user's own names for these objects, by their names in the loop.
        names: what all names stand for, where the call stands.
        gradients: whether there may be gradients that a fit must forget first.
    """

    site: Site
    part: Part
    model: Model
    arguments: dict[str, Argument]
    values: dict[str, Any]
    program: Program
    own: dict[str, list[str]]
    names: dict[str, Any]
    gradients: bool = False

    @property
    def is_silent(self) -> bool:
        """Whether the call prints nothing: verbose=0."""
        return bool(self.values.get("verbose", 1) == 0)


def look_ahead(
    cell: Cell, namespace: Mapping[str, Any], depth: str = "loop", remember: bool = False
) -> list[Call]:
    """See what each call of a Model in the cell is made with; nothing is trained.

    Args:
        cell: the cell.
        namespace: what the user's names stand for. Neither it nor any object in it is changed.
        depth: how far the calls are written out.
        remember: whether their programs keep the state in which they begin: with the cell's seed.

    Returns:
        The calls that can be unrolled, in order.

    Raises:
        CellError: what a call needs is not there, or the call itself would be refused.
    """
    quiet = io.StringIO()
    chosen = device._chosen
    with (
        unchanged_randomness(),
        unchanged_settings(),
        contextlib.redirect_stdout(quiet),
        contextlib.redirect_stderr(quiet),
        warnings.catch_warnings(),
        watched_by(NothingRuns()),
    ):
        warnings.simplefilter("ignore")  # the cell itself will say it
        try:
            return Lookahead(cell, namespace, depth, remember).calls
        finally:
            device._chosen = chosen


class NotNowError(Exception):
    """Something that is run ahead of time makes a call of a Model."""


class NothingRuns(Watcher):
    """Refuses every run while we look ahead."""

    runs = False

    def begins(self, method: str) -> None:
        raise NotNowError(method)


class Lookahead:
    """Goes through a cell once, from top to bottom."""

    def __init__(
        self,
        cell: Cell,
        namespace: Mapping[str, Any],
        depth: str = "loop",
        remember: bool = False,
    ) -> None:
        self.cell, self.depth, self.remember = cell, depth, remember
        self.candidates = {id(part): self._candidates(part, namespace) for part in cell.parts}
        run = self._needed(namespace)
        code = [part for part in cell.parts if id(part) in run]
        active = [a for part in cell.parts for s in self._sites(part) for a in s.arguments]
        mentioned = {name for part in code for name in part.names}
        mentioned |= {n for a in active if not a.is_plain for n in names_in(a.tree)}
        self.memo: dict[int, Any] = {}
        copies, self.iterators = copied(mentioned, namespace, self.memo)
        self.names = {**namespace, **copies}
        self.namespace = namespace
        self.later: dict[str, int] = {}  # names that only the calls themselves will give, by line
        self.stale = {n for part in cell.parts if id(part) not in run for n in part.sets}
        self.calls: list[Call] = []
        for part in cell.parts:
            found = [call for site in self._sites(part) if (call := self._look(site, part))]
            if found:
                self.calls += found
                self.later |= dict.fromkeys(part.sets, part.line)
            elif id(part) in run:
                self._run(part)

    def _candidates(self, part: Part, namespace: Mapping[str, Any]) -> list[Site]:
        """The sites in the part that may be a Model's."""
        return [
            site
            for site in part.sites
            if site.stays is None
            and (
                names_in(site.receiver.tree) & {n for p in self.cell.parts for n in p.sets}
                or isinstance(evaluated(site.receiver, namespace), Model | NameError | NotRun)
            )
        ]

    def _sites(self, part: Part) -> list[Site]:
        return self.candidates[id(part)]

    def _needed(self, namespace: Mapping[str, Any]) -> set[int]:
        """The parts that define or alter what the calls need, going backwards from these."""
        needed: set[str] = set()
        run: set[int] = set()
        modules = {n for n, value in namespace.items() if isinstance(value, types.ModuleType)}
        modules |= {n for part in self.cell.parts if part.imports for n in part.sets}
        for part in reversed(self.cell.parts):
            for site in self._sites(part):
                for code in (site.receiver, *site.arguments):
                    needed |= names_in(code.tree)
            # torch.save(...) and the like alter nothing that a call needs.
            alters = part.alters if ".set_device(" in part.code else part.alters - modules
            for site in self._sites(part):  # a call of a Model is not run
                if isinstance(evaluated(site.receiver, namespace), Model):
                    alters = alters - names_in(site.receiver.tree)
            seeds = self.remember and re.match(r"[\w.]*\b(manual_)?seed\(", part.code)
            if (part.sets | alters) & needed or seeds or "import *" in part.code:
                run.add(id(part))
                needed |= part.names
        return run

    def _run(self, part: Part) -> None:
        """Run a part that a call needs, if that is harmless."""
        self._check_names(part.reads, part.line, part.code)
        where = f"line {part.line}, {first_line(part.magic or part.code)}"
        if part.magic:
            raise CellError(f"{where}, is for IPython and not run here. {BEFORE}")
        for name in self._changed_for_good(part):
            raise CellError(f"{where}, changes {name} itself, of which there is no copy. {BEFORE}")
        if catches_all(part):
            raise CellError(f"{where}, may catch anything, and is not run here. {BEFORE}")
        try:
            with harmless():
                exec(compile(part.code, f"<cell, line {part.line}>", "exec"), self.names)
        except NotNowError:
            self.later |= dict.fromkeys(part.sets, part.line)
            return
        except NotRun as stopped:
            names = ", ".join(sorted(part.sets)) or "the line"
            raise CellError(f"{where}: {not_run(stopped, names, BY_LINE)}") from None
        except StopIteration:
            raise CellError(f"line {part.line}: there is no first item to look at.") from None
        except Exception as error:
            raise CellError(f"{where}, fails: {type(error).__name__}: {error}") from error
        for name in part.sets:
            self.later.pop(name, None)

    def _changed_for_good(self, part: Part) -> Iterator[str]:
        """The names of objects that the part would change, and of which it has no whole copy."""
        tree = ast.parse(part.code)
        stored, rebound = altered(tree, calls=False), attributes_set(tree)
        for name in sorted(part.alters & self.names.keys()):
            value = self.names[name]
            within = isinstance(value, DataLoader | Batches) and ".dataset" in part.code
            is_data = within or isinstance(value, Dataset)
            has_functions = callable(value) or isinstance(value, types.ModuleType)
            is_real = value is self.namespace.get(name) and (name in stored or not has_functions)
            if is_real or (is_data and name not in rebound):
                yield name

    def _check_names(self, names: Iterable[str], line: int, code: str) -> None:
        """Refuse to use what is not there yet, or what can be used only once."""
        for name in sorted(names):
            if name in self.later:
                raise CellError(
                    f"line {line}, {first_line(code)}, needs {name}, which is known only after the "
                    f"call of the model in line {self.later[name]}. Run that in a cell before."
                )
            if name in self.iterators and name in self.names:
                raise CellError(
                    f"line {line}, {first_line(code)}, takes from the iterator {name}, and what is "
                    "taken cannot be put back. Take the batch in a cell before, by a name."
                )

    def _look(self, site: Site, part: Part) -> Call | None:
        """See what a call is made with; None if it is no Model's."""
        self._check_names(names_in(site.receiver.tree), site.line, site.code)
        where = f"line {site.line}, {first_line(site.code)}"
        model = evaluated(site.receiver, self.names)
        if isinstance(model, NotRun):
            raise CellError(f"{where}: {not_run(model, site.receiver.code, BY_NAME)}")
        if isinstance(model, NameError):
            raise CellError(f"{where}: {model}.")
        if not isinstance(model, Model):
            return None
        named = [other for other in part.sites if other.stays != NAMELESS]
        inner = next((other for other in named if site.start < other.start < site.end), None)
        if inner is not None:
            raise CellError(
                f"line {site.line}: {site.method} needs what {first_line(inner.code)} gives. Give "
                "that a name, in a cell before."
            )
        for argument in site.arguments:
            names = names_in(argument.tree)  # to name an iterator takes nothing from it
            names = names & self.later.keys() if argument.is_plain else names
            self._check_names(names, site.line, site.code)
        try:
            arguments, values = self._arguments(site)
            model = detached(model)  # as it is now; it may be prepared again
            program = model.unroll(site.method, depth=self.depth, **values)
            if self.remember:
                program.remember()
        except NameError as error:
            raise CellError(f"{where}: {error}.") from None
        except Exception as error:
            raise CellError(f"{where}: {error}") from error
        if callable(program.loop):
            raise CellError(
                f"{where}, runs your own function as its loop: there is nothing to unroll."
            )
        own = {name: self._own(value, part) for name, value in program.names.items()}
        if names_in(site.receiver.tree) & part.changing:
            own = {}
        call = Call(site, part, model, arguments, values, program, own, dict(self.names))
        call.gradients = site.method == "fit" and (
            any(weight.grad is not None for weight in model.parameters())
            or any(other.site.method == "train_batch" for other in self.calls)
            or ".backward(" in self.cell.source
        )
        return call

    def _arguments(self, site: Site) -> tuple[dict[str, Argument], dict[str, Any]]:
        """What is written for each argument, and what that is."""
        written: list[Argument] = []
        for argument in site.arguments:
            written += spread(argument, self.names) if argument.star else [argument]
        arguments = bound(site.method, written)
        values = {}
        for name, argument in arguments.items():
            try:
                values[name] = value_of(argument, self.names)
            except NotRun as stopped:
                raise CellError(not_run(stopped, name, BY_NAME)) from None
        return arguments, values

    def _own(self, value: Any, part: Part) -> list[str]:
        """The user's names for an object."""
        return [
            name
            for name, known in self.names.items()
            if (known is value or self.memo.get(id(known), known) is value)
            and not name.startswith("_")
            and name not in self.stale | self.later.keys() | part.changing
        ]


def value_of(argument: Argument, names: Mapping[str, Any]) -> Any:
    """What code stands for.

    Raises:
        NotRun: only the user's own code would tell.
    """
    with harmless():
        return eval(compile(argument.code, "<cell>", "eval"), dict(names))


def evaluated(argument: Argument, names: Mapping[str, Any]) -> Any:
    """What plain code stands for; None if it fails.

    The NameError if there is none; a NotRun if only the user's own code would tell.
    """
    try:
        return value_of(argument, names)
    except (NameError, NotRun) as error:
        return error
    except Exception:
        return None


def spread(argument: Argument, names: Mapping[str, Any]) -> list[Argument]:
    """The arguments that `*batch` or `**options` stands for, each as an item of it."""
    value = evaluated(argument, names) if argument.is_plain else None
    if argument.star == "**" and type(value) is dict:
        return [Argument(f"{argument.code}[{key!r}]", key) for key in value]
    if argument.star == "*" and isinstance(value, list | tuple):
        return [Argument(f"{argument.code}[{place}]") for place in range(len(value))]
    kind = "dict" if argument.star == "**" else "list or tuple"
    raise ValueError(
        f"{argument.star}{argument.code} can be written out if it is the name of a {kind}: give "
        "it one in a cell before."
    )


def bound(method: str, written: Iterable[Argument]) -> dict[str, Argument]:
    """The arguments by their names."""
    by_place = [a for a in written if a.keyword is None]
    by_name = {a.keyword: a for a in written if a.keyword is not None}
    signature = inspect.signature(getattr(Model, method))
    arguments = signature.bind(None, *by_place, **by_name).arguments
    return {name: argument for name, argument in arguments.items() if name != "self"}


# ---- what is not run

BEFORE = "Run that in a cell before."
BY_LINE = "Run that line in a cell before, or write the value."
BY_NAME = "Give it a name in a cell before."


def not_run(stopped: NotRun, names: str, way_out: str) -> str:
    """What to say of code that was stopped."""
    if stopped.what:
        come = "come" if ", " in names else "comes"
        return f"{names} {come} from {stopped.what}, which unrolling does not run. {way_out}"
    return f"this {stopped.effect}, which unrolling does not do. {way_out}"


def attributes_set(tree: ast.AST) -> set[str]:
    """The names in `name.attribute = ...`, which changes nothing inside of what they stand for."""
    assigned = [n for node in ast.walk(tree) if isinstance(node, ast.Assign) for n in node.targets]
    return {
        target.value.id
        for target in assigned
        if isinstance(target, ast.Attribute) and isinstance(target.value, ast.Name)
    }


def catches_all(part: Part) -> bool:
    """Whether code could go on after it was stopped."""
    tries = [node for node in ast.walk(ast.parse(part.code)) if isinstance(node, ast.Try)]
    return any(
        node.finalbody or any(not h.type or "Base" in ast.unparse(h.type) for h in node.handlers)
        for node in tries
    )


def detached(model: Model) -> Model:
    """A Model of the same parts; what it notes down, the original does not."""
    other = copy.copy(model)
    other._seen = Seen(model._seen)
    other.loaded = {}
    return other


def copied(
    names: Iterable[str], namespace: Mapping[str, Any], memo: dict[int, Any]
) -> tuple[dict[str, Any], set[str]]:
    """Copies of what the names stand for: one joint deepcopy, so that they belong together.

    Data sets are not copied in depth: they may be large, and no call changes them.

    Args:
        names: the names.
        namespace: what they stand for.
        memo: deepcopy's memory of what is a copy of what.

    Returns:
        The copies by name; what cannot be copied is shared. And the names of iterators that are so.
    """
    there = {name: namespace[name] for name in sorted(names) if name in namespace}
    for value in there.values():
        for data in (value, value.dataset if isinstance(value, DataLoader | Subset) else None):
            if isinstance(data, Dataset) and not isinstance(data, IterableDataset):
                memo.setdefault(id(data), copy_of(data, copy.copy))
    copies, once = {}, set()
    for name, value in there.items():
        copies[name] = copy_of(value, partial(copy.deepcopy, memo=memo))
        if copies[name] is value and isinstance(value, Iterator):
            once.add(name)
    return copies, once


def copy_of(value: Any, make: Callable[[Any], Any]) -> Any:
    """A copy; the thing itself, if it has none: an open file, a module, or its own way to copy."""
    try:
        with harmless():
            return make(value)
    except (Exception, NotRun):
        return value


def first_line(code: str) -> str:
    """Code as part of a message."""
    line, *more = code.strip().splitlines()
    return f"`{line} ...`" if more else f"`{line}`"
