"""One call's plain loop in the user's own names, and the lines that bind what has none.

A name of the loop becomes

- the user's own name for that object, if there is one: `net` for `network`;
- what the user wrote as an argument: `digits` for `train_data`, `N_EPOCHS` for the epochs;
- else it stays, and a line before the loop binds it: `accuracy = clf.metrics["accuracy"]`.

Where the user's cell has another use for a name of the loop, the loop's gets a number: `epoch_2`.
"""

import ast
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from importlib import import_module
from itertools import count
from numbers import Real
from operator import attrgetter
from typing import Any

import numpy as np
from torch import nn

from tutorial.data.batches import Batches
from tutorial.device import flushes_denormals
from tutorial.loop.names import TOOLS
from tutorial.loop.options import WrittenAs
from tutorial.metrics import Mean
from tutorial.notebook.cell.lookahead import Call
from tutorial.notebook.cell.parts import Argument, names_in
from tutorial.unroll.program import RESULTS
from tutorial.unroll.script import Script
from tutorial.unroll.source import bracketed, names_assigned
from tutorial.unroll.spelling import align_comments, respelled
from tutorial.unroll.unroll import unroll

AS_WRITTEN = ("EPOCHS", "BATCH_SIZE", "EVAL_BATCH_SIZE", "LOG_FREQ", "NUM_WORKERS")  # by name
NUMBERS = ("epochs", "batch_size", "log_freq", "num_workers", "inputs", "labels")  # as they come
WIDTH = 88  # columns of a line that binds several names


@dataclass
class Bound:
    """Which names are bound to which objects already, and in which blocks of the cell."""

    names: dict[str, tuple[str, Any, tuple[int, ...]]] = field(default_factory=dict)

    def holds(self, name: str, code: str, value: Any, blocks: tuple[int, ...]) -> bool:
        """Whether the line `name = code` would do nothing."""
        known, there, where = self.names.get(name, ("", None, ()))
        inside = blocks[: len(where)] == where and all(b > 0 for b in blocks[len(where) :])
        return known == code and there is value and inside


@dataclass
class Written:
    """One call, written out.

    Attributes:
        lines: what takes its place: what is bound first, and the loop.
        result: code for what the call returns.
        sets: the names that the lines bind.
        imports: import lines that they need, by the name that these bind.
        network: the network's name in them.
    """

    lines: list[str]
    result: str
    sets: set[str]
    imports: dict[str, str]
    network: str


class Writer:
    """Writes out one call.

    Args:
        call: the call.
        taken: names that the loop must not bind, since the cell uses them.
        assigned: names that some loop of the cell assigns.
        bound: what earlier calls of the cell have bound; what this one binds is added.
        target: the name to which the cell assigns what the call returns, and nothing else.
    """

    def __init__(
        self, call: Call, taken: set[str], assigned: set[str], bound: Bound, target: str | None
    ) -> None:
        self.call = call
        self.program = call.program
        self.taken = taken
        self.assigned = assigned
        self.bound = bound
        self.imports: dict[str, str] = {}
        self.codes: dict[str, str] = {}  # what is written for a name of the loop
        self.bindings: list[tuple[str, str]] = []  # name and code, in order
        self.options = self._options()
        self.loops_own = names_in(ast.parse(self.program.source))
        plain = self._source({})
        self.used = names_in(ast.parse(plain))
        self.own_assigned = names_assigned(plain)
        self.target = target if call.site.method != "fit" else None

    # ---- the whole

    def write(self) -> Written:
        """Write it out."""
        result = RESULTS.get(self.call.site.method, "result")
        for name in self.own_assigned - self.program.names.keys():
            self.codes[name] = self.free(name)
        if self.target is not None:
            self.codes[result] = self.target
        for name, value in self.program.names.items():
            if name in self.used or (name in self.program.hooks.callbacks):
                self._place(name, value)
        for name in self.used & (TOOLS | self.program.tools).keys():
            self._place_tool(name)
        loop = self._source(self.codes).rstrip("\n").splitlines()
        if self.call.is_silent and self.program.loop is None:
            loop = silent(loop)
        lines = [*self._turn_lines(), *self._binding_lines(), *self._hooks_lines()]
        if self.call.gradients:
            optimizer = self.codes["optimizer"]
            lines.append(f"{optimizer}.zero_grad()  # no gradient of an earlier call counts")
        lines += loop
        if ("FLUSH_DENORMAL", True) in self.options and not flushes_denormals():
            lines.append("torch.set_flush_denormal(False)  # as it was")
        if any(code.startswith("torch.") for _, code in self.bindings):
            self._place_tool("torch")
        sets = {self.codes.get(name, name) for name in self.own_assigned}
        return Written(
            lines,
            self._result(self.codes.get(result, result)),
            sets | {name for name, _ in self.bindings},
            self.imports,
            self.codes.get("network", "network"),
        )

    def _source(self, codes: dict[str, str]) -> str:
        """The loop, with these codes for its names."""
        program = self.program
        if isinstance(program.loop, str):
            return respelled(program.loop, codes)
        if program.depth != "loop":
            deeper = program.deeper(unroll(program.function, self._in_numbers()))
            return align_comments(respelled(deeper, codes))
        return unroll(program.function, tuple(self.options), tuple(sorted(codes.items())))

    def _result(self, name: str) -> str:
        """Code for what the call returns."""
        if self.call.site.method != "fit":
            return name
        losses, rows = (self.codes.get(n, n) for n in ("step_losses", "rows"))
        if self.call.model.device != "cpu":  # there the loop does not wait for each number
            losses = f"[float(loss) for loss in {losses}]"
        return f"{self._library('History')}({losses}, {rows})"

    def _library(self, name: str) -> str:
        """Code for a public name of `tutorial`, and its import if it needs one."""
        tutorial = import_module("tutorial")
        thing = getattr(tutorial, name)
        for known, value in self.call.names.items():
            if value is tutorial and not known.startswith("_"):
                return f"{known}.{name}"
            if value is thing and known == name:
                return name
        self.imports[name] = f"from tutorial import {name}"
        return name

    def free(self, name: str) -> str:
        """The name, with a number if the cell has another use for it."""
        if name not in self.taken:
            return name
        return next(new for i in count(2) if (new := f"{name}_{i}") not in self.taken)

    def is_free(self, name: str) -> bool:
        """Whether no loop of the cell gives this name of the user another meaning."""
        return name in self.taken or name not in self.assigned

    # ---- options

    def _options(self) -> list[tuple[str, Any]]:
        """The loop's options, each with the code that the user wrote for it."""
        options = []
        for option, value in self.program.options:
            name = "batch_size" if option == "EVAL_BATCH_SIZE" else option.lower()
            argument, given = self.call.arguments.get(name), self.call.values.get(name)
            if argument is not None and isinstance(given, list | tuple) and name == "batch_size":
                place = int(option == "EVAL_BATCH_SIZE")
                argument = item_of(argument, place, partial(self._once, name))
                given = given[place]
            decided = isinstance(value, int | float) and isinstance(given, Real) and given == value
            if argument is not None and decided and not argument.is_literal:
                value = WrittenAs(value, self._once(name, argument))
            options.append((option, value))
        return options

    def _in_numbers(self) -> tuple[tuple[str, Any], ...]:
        """The options, with the user's code only for those that no operation reads."""
        return tuple(
            (option, value.value)
            if isinstance(value, WrittenAs)
            and (option not in AS_WRITTEN or names_in(ast.parse(value.code)) & self.loops_own)
            else (option, value)
            for option, value in self.options
        )

    def _once(self, name: str, argument: Argument) -> str:
        """Code that may stand in several places: what is made again each time gets a name."""
        if argument.is_plain:
            return argument.code
        known = {code: name for name, code in self.bindings}
        if argument.code not in known:
            known[argument.code] = self.free(name)
            self.bindings.append((known[argument.code], argument.code))
        return known[argument.code]

    # ---- objects

    def _place(self, name: str, value: Any) -> None:
        """Decide what is written for an object of the loop, and bind it if it has no name."""
        code = self._code(name, value)
        own = code.isidentifier() and self.is_free(code)
        if name == "model" or (own and name not in self.own_assigned):
            self.codes[name] = code
            return
        same = code == name in self._data()  # x, y = x.to(...) leaves what the user's names mean
        self.codes[name] = new = name if same else self.free(name)
        changing = name in self.own_assigned
        if code != new and (changing or not self.bound.holds(new, code, value, self.blocks)):
            self.bindings.append((new, code))
        self.bound.names[new] = (code, None if changing else value, self.blocks)

    @property
    def blocks(self) -> tuple[int, ...]:
        return self.call.part.blocks

    def _code(self, name: str, value: Any) -> str:
        """Code for an object of the loop: the user's own name for it, if there is one."""
        own = own_name(self.call, name, self.taken, self.assigned)
        receiver, model = self.call.site.receiver.code, self.call.model
        hooks = self.program.hooks
        if name == "model":
            return receiver
        if name in self._data():
            return self._data()[name]
        if own is not None:
            return own
        if name in hooks.callbacks or name in hooks.schedulers:
            return self._callback(name, value)
        if name in model.metrics:
            return f'{receiver}.metrics["{name}"]'
        if name in model.measures.loss_fns and name != "loss_fn":
            return f'{receiver}.measures.loss_fns["{name}"]'
        if isinstance(value, Mean):
            self.imports["Mean"] = "from tutorial.metrics import Mean"
            return f'Mean("{value.name()}")'
        if name == "set_rng_state":
            self.imports[name] = f"from tutorial.device import {name}"
            return name
        return f"{receiver}.{name}"

    def _data(self) -> dict[str, str]:
        """Code for the data, by its names in the loop."""
        names = list(self.program.names)
        names = names[names.index("model") + 1 :]
        arguments = self.call.arguments
        if "batch" not in self.call.site.method:
            return {name: arguments[name].code for name in names if name in arguments}
        codes = [
            code
            for name in ("inputs", "labels")
            if name in arguments
            for code in codes_in(arguments[name], self.call.values[name], partial(self._once, name))
        ]
        return dict(zip(names, codes, strict=True))

    def _callback(self, name: str, value: Any) -> str:
        """Code for a callback, or for the scheduler in one."""
        argument, given = self.call.arguments.get("callbacks"), self.call.values.get("callbacks")
        part = ".scheduler" if name in self.program.hooks.schedulers else ""
        listed = list(given) if isinstance(given, list | tuple) else [given]
        for place, callback in enumerate(listed):
            mine = value is callback or value is getattr(callback, "scheduler", None)
            if argument is not None and mine:
                if isinstance(given, list | tuple):
                    argument = item_of(argument, place, partial(self._once, "callbacks"))
                return argument.code + part
        self.imports["ModelCheckpoint"] = "from tutorial.callbacks import ModelCheckpoint"
        return f"ModelCheckpoint({value.save_freq})"

    # ---- lines

    def _binding_lines(self) -> Iterator[str]:
        """The lines that bind names; plain parts of the model share one, and so do names."""
        receiver = f"{self.call.site.receiver.code}."
        parts = [b for b in self.bindings if b[1].removeprefix(receiver).isidentifier()]
        for group in (
            [part for part in parts if part[1].startswith(receiver)],
            [part for part in parts if not part[1].startswith(receiver)],
        ):
            line = f"{', '.join(n for n, _ in group)} = {', '.join(c for _, c in group)}"
            if group and len(line) <= WIDTH:
                yield line
            else:
                yield from (f"{name} = {code}" for name, code in group)
        yield from (f"{name} = {code}" for name, code in self.bindings if (name, code) not in parts)

    def _turn_lines(self) -> Iterator[str]:
        """What is to be said of a call in a loop, if another turn may need other lines."""
        site, arguments = self.call.site, self.call.arguments.items()
        decide = [argument for name, argument in arguments if name not in NUMBERS]
        names = {name for code in (site.receiver, *decide) for name in names_in(code.tree)}
        if names & self.call.part.changing:
            first = ", ".join(sorted(names & self.call.part.changing))
            yield f"# (written for the first {first}; another one may need other lines)"

    def _hooks_lines(self) -> Iterator[str]:
        """The lines that tell callbacks of the model and the call, as `Hooks.attach` does."""
        hooks = self.program.hooks
        if not hooks.callbacks:
            return
        model, callback = self.call.site.receiver.code, self.free("callback")
        parts = {
            "callbacks": [self.codes[name] for name in hooks.callbacks],
            "schedulers": [self.codes[name] for name in hooks.schedulers],
        }
        for part, codes in parts.items():
            yield f"{model}.{part} = [{', '.join(codes)}]"
        spelled = {k: v.code for k, v in self.options if isinstance(v, WrittenAs)}
        written = {"epochs": spelled.get("EPOCHS"), "batch_size": spelled.get("BATCH_SIZE")}
        items = [
            f'"{name}": {written.get(name) or Script().code(value, name)}'
            for name, value in hooks.told().items()
            if name != "began"
        ]
        yield f"for {callback} in {model}.callbacks:"
        yield f"    {callback}.set_model({model})"
        told = bracketed("{", items, "}")
        yield from (f"    {line}" for line in f"{callback}.set_params({told})".splitlines())
        self.own_assigned.add("callback")
        self.codes["callback"] = callback

    def _place_tool(self, name: str) -> None:
        """See to it that a name that the loop takes from a library is there."""
        tool = (TOOLS | self.program.tools)[name]
        if self.call.names.get(name) is tool:
            return
        if name in self.program.tools and name in self.call.names:
            self.own_assigned.add(name)  # the import overwrites it
        if name == "torch":
            self.imports[name] = "import torch"
        elif tool is nn:
            self.imports[name] = "from torch import nn"
        elif tool is Batches:
            self.codes[name] = self._library(name)
        elif tool is nn.functional:
            self.imports[name] = f"import torch.nn.functional as {name}"
        elif name in self.program.tools:
            self.imports[name] = f"from {tool.__module__} import {name}"
        else:
            self.imports[name] = f"from torch.utils.data import {name}"


def silent(lines: list[str]) -> list[str]:
    """A loop without what it prints."""
    tree = ast.parse("\n".join(lines))
    prints = [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.stmt) and all(map(is_print, getattr(node, "body", [node])))
    ]
    gone = {n for node in prints for n in range(node.lineno, (node.end_lineno or 0) + 1)}
    return [line for number, line in enumerate(lines, 1) if number not in gone]


def is_print(node: ast.stmt) -> bool:
    """Whether it is `print(...)`."""
    match node:
        case ast.Expr(value=ast.Call(func=ast.Name(id="print"))):
            return True
    return False


def own_name(call: Call, name: str, taken: set[str], assigned: set[str]) -> str | None:
    """The user's own name for an object of the loop, if the cell's loops leave it as it is."""
    own = [known for known in call.own.get(name, ()) if known in taken or known not in assigned]
    return None if not own else name if name in own else own[0]


def item_of(
    argument: Argument, place: int, once: Callable[[Argument], str] = attrgetter("code")
) -> Argument:
    """What is written for one item of a list or tuple.

    Args:
        argument: what is written for the whole.
        place: which item.
        once: from an argument that may stand only once to code that may stand again.
    """
    tree = argument.tree
    if isinstance(tree, ast.List | ast.Tuple) and not any(
        isinstance(item, ast.Starred) for item in tree.elts
    ):
        return Argument(ast.get_source_segment(argument.code, tree.elts[place]) or "")
    return Argument(f"{once(argument)}[{place}]")


def codes_in(argument: Argument, value: Any, once: Callable[[Argument], str]) -> Iterator[str]:
    """Code for each part of an argument of train_batch and the like."""
    if isinstance(value, list | tuple):
        for place, item in enumerate(value):
            yield from codes_in(item_of(argument, place, once), item, once)
    elif value is not None:
        is_array = isinstance(value, np.ndarray)
        yield f"torch.as_tensor({argument.code})" if is_array else argument.code
