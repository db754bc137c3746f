"""What a cell's calls are made with, found out without making them.

A call's loop depends on its arguments: their values, the data's form, the network's output. Some of
that may come from statements before it, in the same cell. Those that a call needs are run here,
on copies; what they print is not shown, and the random state is restored.
"""

import contextlib
import copy
import inspect
import io
import types
import warnings
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from torch.utils.data import Dataset, IterableDataset

from tutorial import device
from tutorial.device import unchanged_randomness, unchanged_settings
from tutorial.model import Model, Seen
from tutorial.notebook.cell.parts import Argument, Cell, CellError, Part, Site, names_in
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


def look_ahead(cell: Cell, namespace: Mapping[str, Any], depth: str = "loop") -> list[Call]:
    """See what each call of a Model in the cell is made with; nothing is trained.

    Args:
        cell: the cell.
        namespace: what the user's names stand for. Neither it nor any object in it is changed.
        depth: how far the calls are written out.

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
            return Lookahead(cell, namespace, depth).calls
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

    def __init__(self, cell: Cell, namespace: Mapping[str, Any], depth: str = "loop") -> None:
        self.cell, self.depth = cell, depth
        self.candidates = {id(part): self._candidates(part, namespace) for part in cell.parts}
        run = self._needed(namespace)
        code = [part for part in cell.parts if id(part) in run]
        active = [a for part in cell.parts for s in self._sites(part) for a in s.arguments]
        mentioned = {name for part in code for name in part.names}
        mentioned |= {n for a in active if not a.is_plain for n in names_in(a.tree)}
        self.memo: dict[int, Any] = {}
        copies, self.iterators = copied(mentioned, namespace, self.memo)
        self.names = {**namespace, **copies}
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
                or isinstance(evaluated(site.receiver, namespace), Model | NameError)
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
            if (part.sets | alters) & needed or "import *" in part.code:
                run.add(id(part))
                needed |= part.names
        return run

    def _run(self, part: Part) -> None:
        """Run a part that a call needs."""
        self._check_names(part.reads, part.line, part.code)
        try:
            exec(compile(part.code, f"<cell, line {part.line}>", "exec"), self.names)
        except NotNowError:
            self.later |= dict.fromkeys(part.sets, part.line)
            return
        except StopIteration:
            raise CellError(f"line {part.line}: there is no first item to look at.") from None
        except Exception as error:
            raise CellError(
                f"line {part.line}, {first_line(part.code)}, fails: {type(error).__name__}: {error}"
            ) from error
        for name in part.sets:
            self.later.pop(name, None)

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
        model = evaluated(site.receiver, self.names)
        if isinstance(model, NameError):
            raise CellError(f"line {site.line}, {first_line(site.code)}: {model}.")
        if not isinstance(model, Model):
            return None
        if any(argument.star for argument in site.arguments):
            raise CellError(
                f"line {site.line}, {first_line(site.code)}: arguments with * or ** cannot be "
                "unrolled. Write them out."
            )
        inner = next((s for s in part.sites if site.start < s.start < site.end), None)
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
            arguments = bound(site)
            values = {name: eval(argument.code, self.names) for name, argument in arguments.items()}
            model = detached(model)  # as it is now; it may be prepared again
            program = model.unroll(site.method, depth=self.depth, **values)
        except NameError as error:
            raise CellError(f"line {site.line}, {first_line(site.code)}: {error}.") from None
        except Exception as error:
            raise CellError(f"line {site.line}, {first_line(site.code)}: {error}") from error
        if callable(program.loop):
            raise CellError(
                f"line {site.line}, {first_line(site.code)}, runs your own function as its loop: "
                "there is nothing to unroll."
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

    def _own(self, value: Any, part: Part) -> list[str]:
        """The user's names for an object."""
        return [
            name
            for name, known in self.names.items()
            if (known is value or self.memo.get(id(known), known) is value)
            and not name.startswith("_")
            and name not in self.stale | self.later.keys() | part.changing
        ]


def evaluated(argument: Argument, names: Mapping[str, Any]) -> Any:
    """What plain code stands for; the NameError if there is none; None if it fails."""
    try:
        return eval(argument.code, dict(names))
    except NameError as error:
        return error
    except Exception:
        return None


def bound(site: Site) -> dict[str, Argument]:
    """The arguments by their names."""
    by_place = [a for a in site.arguments if a.keyword is None]
    by_name = {a.keyword: a for a in site.arguments if a.keyword is not None}
    signature = inspect.signature(getattr(Model, site.method))
    arguments = signature.bind(None, *by_place, **by_name).arguments
    return {name: argument for name, argument in arguments.items() if name != "self"}


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
        for data in (value, getattr(value, "dataset", None)):
            if isinstance(data, Dataset) and not isinstance(data, IterableDataset):
                memo.setdefault(id(data), copy.copy(data))
    copies, once = {}, set()
    for name, value in there.items():
        try:
            copies[name] = copy.deepcopy(value, memo)
        except Exception:  # an open file, a generator, a module
            copies[name] = value
            if isinstance(value, Iterator):
                once.add(name)
    return copies, once


def first_line(code: str) -> str:
    """Code as part of a message."""
    line, *more = code.strip().splitlines()
    return f"`{line} ...`" if more else f"`{line}`"
