"""Serialise objects to source code: write a standalone script that rebuilds them and runs a loop.

An object becomes code in the plainest way that is sure to be right:

- a number, a string, a list: as it is written;
- a class or function: imported, if it is installed; else its source is copied into the script,
  with all that it names (`tutorial`'s own classes too: a script never imports `tutorial`);
- an object: a call of its class with its constructor's arguments, if that builds it; else an empty
  object that is given the same attributes, and so on for each of them (objects.py; networks.py and
  optimizers.py for what PyTorch has);
- a tensor, and what else is only data: saved beside the script, with the weights.

Where none of these works, the script says at its top what its reader must supply. Whatever is
written is also built here, and compared with the object that it stands for (alike.py): what differs
nevertheless is named at the top, too.
"""

import builtins
import copy
import enum
import random
import re
import sys
import types
import warnings
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset

from tutorial.loop.names import key_code
from tutorial.running import randomness_kept
from tutorial.saving.parts import loading_code, root_of
from tutorial.unroll.alike import MISSING, Comparison, replaced_members
from tutorial.unroll.networks import module_code, network_lines
from tutorial.unroll.objects import PLAIN, is_data, no_code, object_code, stateful
from tutorial.unroll.optimizers import loader_code, optimizer_code, scaler_code, scheduler_code
from tutorial.unroll.source import (
    CannotWriteError,
    assignment,
    bracketed,
    constant_source,
    first_needs,
    home,
    is_installed,
    is_own_module,
    merged,
    names_assigned,
    names_in_hints,
    names_read,
    outside_names,
    registers_itself,
    source_and_code,
    spellings_of,
    without_docstrings,
    without_modules,
)
from tutorial.unroll.standard import standard_code

LONGEST = 200  # characters; what is longer is saved as data


class Script:
    """Collects the parts of a standalone file: imports, copied sources, objects, saved data.

    Attributes:
        differences: how what the script makes is not what ran, a sentence for each.
    """

    def __init__(self) -> None:
        self.imports = {"Path": "from pathlib import Path", "torch": "import torch"}
        self.copies: dict[str, str] = {}  # a name -> the source that defines it
        self.meanings: dict[str, Any] = {"start": MISSING, "Path": Path, "torch": torch}
        self.needed: set[str] = set()  # names that the copied sources read
        self.lines: list[str] = []  # `name = code`, in order
        self.made: dict[str, Any] = {}  # the objects that these lines make, by name
        self.recipes: dict[str, str] = {}  # the lines for each of them
        self.parts: dict[int, str] = {}  # id of a part of the network -> an expression for it
        self.supply: dict[str, str] = {}  # a name -> why there is no code for it
        self.saved: dict[str, Any] = {}  # data, by the key under which the script finds it
        self.weights: dict[int, str] = {}  # id of a trainable weight -> an expression for it
        self.loads_state = False  # inside a module whose whole state is loaded afterwards
        self.hooks_later = False  # inside the network, whose hooks are registered afterwards
        self.afterwards: list[str] = []  # lines that belong to the object that is being written
        self.restores: list[str] = []  # the lines that load the state in which the call began
        self.restored_keys = {"random"}
        self.differences: list[str] = []
        self.copied: dict[str, Any] = {}  # the classes and functions of the copied sources
        self.spellings: dict[Any, set[Any]] = {}  # code of a copied source -> that of its file
        self.looked_at: set[type] = set()  # installed classes that are as they were installed
        self.open: dict[int, str] = {}  # id of an object that is being written -> its path
        self.workshop = Workshop(self)

    def make(self, name: str, value: Any) -> None:
        """Add the line that makes `value` under `name`; or a request to supply it."""
        try:
            with self.attempt():
                if name == "network":
                    self.network(value)
                elif (known := self.line(name, value)) != name:
                    self.define(name, value, known)
        except Exception as error:
            self.supply[name] = reason(error, name)
            self.lines.append(f"# {name} = ...  (supply it here)")
        text = "\n".join([*self.copies.values(), *self.lines, *self.restores])
        self.saved = {key: data for key, data in self.saved.items() if f'start["{key}"]' in text}

    def in_turn(self, names: Mapping[str, Any]) -> list[str]:
        """The names in order; losses come before an optimizer that holds weights of theirs."""
        optimizer, network = names.get("optimizer"), names.get("network")
        if optimizer is None or network is None:
            return list(names)
        own = set(map(id, network.parameters()))
        held = {id(weight) for group in optimizer.param_groups for weight in group["params"]}
        first = [
            name
            for name, value in names.items()
            if isinstance(value, nn.Module)
            and (value is network or held - own & set(map(id, value.parameters())))
        ]
        return list(dict.fromkeys([*first, *names])) if held - own else list(names)

    @contextmanager
    def attempt(self) -> Iterator[None]:
        """After an error inside, nothing is left of what was written meanwhile."""
        kept: tuple[str, ...] = (
            "imports",
            "copies",
            "meanings",
            "needed",
            "lines",
            "made",
            "recipes",
            "supply",
        )
        kept += ("saved", "restores", "copied", "loads_state", "afterwards")
        before = {name: copy.copy(getattr(self, name)) for name in kept}
        try:
            yield
        except BaseException:
            vars(self).update(before)
            raise

    def line(self, path: str, value: Any) -> str:
        """Add the line that makes `value`, unless there is one; the name that it then has."""
        name = key_of(path)
        code = self.name_of(value)
        if code is None:
            dataset = isinstance(value, Dataset) and not standard(value)
            code = object_code(self, value, path) if dataset else self.code(value, path)
        if code.isidentifier() and code in self.made | self.copies:
            return code
        self.define(name, value, code)
        return name

    def define(self, name: str, value: Any, code: str, *more: str) -> None:
        """Add the line `name = code`, and others that belong to it."""
        self.mean(name, value)
        self.made.setdefault(name, value)
        self.recipes[name] = "\n".join([f"{name} = {code}", *more, *self.afterwards])
        self.afterwards = []
        self.lines.append(self.recipes[name])
        if isinstance(value, nn.Module):
            for key, weight in value.named_parameters():
                self.weights.setdefault(id(weight), f"{name}.get_parameter({key_code(key)})")

    def stateful(self, path: str, value: Any, code: str, more: str) -> str:
        """Make an object on a line of its own, and give it its state on the next one."""
        name = key_of(path)
        while self.meanings.get(name, value) is not value:
            name += "_"
        self.define(name, value, code, f"{name}{more}")
        return name

    def network(self, network: nn.Module) -> None:
        """Add the lines that make the network, all but its weights' values."""
        self.mean("network", network)
        code, more = network_lines(self, network)
        self.define("network", network, code, *more)
        for name, part in (*network.named_modules(), *network.named_parameters()):
            if name and all(map(str.isidentifier, name.split("."))):
                self.parts.setdefault(id(part), f"network.{name}")
            elif name:
                kind = "parameter" if isinstance(part, nn.Parameter) else "submodule"
                self.parts.setdefault(id(part), f"network.get_{kind}({key_code(name)})")

    def name_of(self, value: Any) -> str | None:
        """The expression for an object that there is already."""
        made = next((name for name, other in self.made.items() if other is value), None)
        return made or self.parts.get(id(value))

    def tool(self, name: str, value: Any) -> None:
        """Import what the program itself names, such as DataLoader."""
        if isinstance(value, types.ModuleType):
            self.bind(name, value, f"import {value.__name__} as {name}")
        else:
            self.reference(value)

    def render(self, title: str, program: str) -> str:
        """The whole file."""
        read = {name for source in self.copies.values() for name in names_read(source)}
        for name in sorted(names_assigned(program) & (self.needed | read & vars(builtins).keys())):
            self.supply[name] = "the loop uses this name for something else; rename yours"
        must = [f"#   {name}: {reason}" for name, reason in self.supply.items()]
        head = [
            f"# {title}",
            "# written out as the plain PyTorch program that it runs. It does not need `tutorial`.",
            *(["# You must supply, where it is marked below:", *must] if must else []),
            *(f"# Not what ran: {difference}" for difference in self.differences),
        ]
        if self.copies:  # in copied sources a type hint may name what is not there
            head.append("from __future__ import annotations")
        early, lines = self.in_order()
        paragraphs = [
            "\n".join(head),
            "\n".join(merged(self.imports.values())),
            "# The file beside this one holds the state in which the call began:\n"
            'start = torch.load(Path(__file__).with_suffix(".pt"), weights_only=True)',
            *(f"\n{source}" for source in early),
            "\n" * bool(early) + "\n".join(lines),
            "\n".join(self.restores),
            program,
        ]
        return "\n\n".join(paragraphs)

    def in_order(self) -> tuple[list[str], list[str]]:
        """The copied sources, each after what it needs at once; and the lines.

        A source that needs an object at once, such as `net = network`, stands among the lines.
        """
        placed: dict[str, bool] = {}  # whether it needs an object, itself or by another one
        busy: set[str] = set()

        def place(name: str, runs: bool) -> None:
            if name in placed or name in busy:
                return
            busy.add(name)
            source = self.copies[name]
            at_once = first_needs(source)
            for other in sorted(names_read(source)) if runs else at_once:
                if other in self.copies:
                    place(other, runs=other in at_once)
            placed[name] = any(n in self.made or placed.get(n) for n in at_once)

        for name in self.copies:
            place(name, runs=False)
        early = [self.copies[name] for name, late in placed.items() if not late]
        late = [self.copies[name] for name, waits in placed.items() if waits]
        lines: list[str] = []
        there: set[str] = set()
        for line in self.lines:
            lines.append(line)
            there |= {name for name, recipe in self.recipes.items() if recipe == line}
            for source in list(late):
                needs = {n for n in first_needs(source) if n in self.made or placed.get(n)}
                if needs <= there:
                    lines.append(source)
                    late.remove(source)
                    there |= {name for name, text in self.copies.items() if text == source}
        return early, lines + late

    def check(self, state: Mapping[str, Any]) -> None:
        """Build all that the script builds, and compare it with what the call works on.

        What a class has got since it was defined is written after it; what differs besides is noted
        in `differences`.
        """
        changed = self.workshop.differing(self.made, state)
        if changed and [name for name in list(self.copied) if self.mend(name)]:
            changed = self.workshop.differing(self.made, state)
        self.differences += [one for one in changed if not one.startswith(tuple(self.supply))]

    def settings(self) -> None:
        """Add the lines that set what holds for the whole process, where it is not the usual."""
        for value, usual, line in (
            (torch.get_default_dtype(), torch.float32, "torch.set_default_dtype({})"),
            (str(torch.get_default_device()), "cpu", 'torch.set_default_device("{}")'),
            (
                torch.get_float32_matmul_precision(),
                "highest",
                'torch.set_float32_matmul_precision("{}")',
            ),
            (
                torch.are_deterministic_algorithms_enabled(),
                False,
                "torch.use_deterministic_algorithms({})",
            ),
        ):
            if value != usual:
                self.lines.append(line.format(value))

    def join(self) -> None:
        """Add the line by which a process joins the others that torchrun has started."""
        backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
        self.lines.insert(0, f'dist.init_process_group("{backend}")')

    def attach(self, hooks: Any, parts: Iterable[str]) -> None:
        """Add the lines that attach the callbacks, as `Hooks.attach` does."""
        self.imports["SimpleNamespace"] = "from types import SimpleNamespace"
        parts = [
            "network=network",
            "optimizer=optimizer" if "optimizer" in self.made else "optimizer=None",
            "scaler=scaler" if "scaler" in self.made else "scaler=None",
            f"schedulers=[{', '.join(hooks.schedulers)}]",
            bracketed("parts={", [f"{code!r}: {code}" for code in parts if self.has(code)], "}"),
            "attributes={}",
            "kept_workers=[]",
            f"callbacks=[{', '.join(hooks.callbacks)}]",
            "stop_training=False",
        ]
        self.lines += [
            bracketed("model = SimpleNamespace(", parts, ")"),
            "for callback in model.callbacks:\n"
            "    callback.set_model(model)\n"
            f"    callback.set_params({self.code(hooks.told(), 'params')})",
        ]

    def has(self, code: str) -> bool:
        """Whether the object to which the code leads is in the script."""
        return root_of(code) in self.made

    def restore(self, state: dict[str, Any], numbers: dict[str, Any]) -> None:
        """Add the lines that bring all into the state in which the call began."""
        for name in state:
            if name in self.made or name in self.supply:
                self.restores.append(f'{name}.load_state_dict(start["{name}"])')
                self.restored_keys.add(name)
        for code, part in state.get("parts", {}).items():
            if self.has(code):
                way, called = loading_code(code, part)
                saved = f'start["parts"][{code!r}]'
                self.restores.append(f"{way}({saved})" if called else f"{way} = {saved}")
                self.restored_keys.add("parts")
        for code, number in numbers.items():
            if self.has(code):
                self.restores.append(f"{code} = {self.code(number, code)}")
        for name, module, line in (
            ("random", random, '.setstate(start["random"]["python"])'),
            ("np", np, '.random.set_state(start["random"]["numpy"])'),
        ):
            free = self.meanings.get(name, module) is module
            name = name if free else f"the_{name}"
            self.tool(name, module)
            self.restores.append(f"{name}{line}")
        self.restores.append('torch.set_rng_state(start["random"]["torch"])')
        if torch.cuda.is_available():
            self.restores.append('torch.cuda.set_rng_state_all(start["random"]["cuda"])')

    # ---- objects

    def code(self, value: Any, path: str) -> str:
        """An expression that makes the value.

        Args:
            value: the value.
            path: where it stands, such as network.layers[0]; what must be saved has a key like it.

        Raises:
            CannotWriteError: there is none; the message names what stands in its way.
        """
        if known := self.name_of(value):
            return known
        if type(value) in SCALARS:
            return self.scalar(value)
        if id(value) in self.open:
            raise CannotWriteError(
                f"{path} is {self.open[id(value)]}, in which it stands: a circle has no plain code"
            )
        self.open[id(value)] = path
        try:
            return self.expression(value, path)
        finally:
            del self.open[id(value)]

    def scalar(self, value: Any) -> str:
        """A number, a string or the like, as one types it."""
        if isinstance(value, str):
            return repr(value) if '"' in value else '"' + repr(value)[1:-1] + '"'
        if isinstance(value, float) and not abs(value) < float("inf"):
            return f'float("{value}")'
        return repr(value)

    def expression(self, value: Any, path: str) -> str:
        """Code for what is no scalar: by its kind."""
        match value:
            case enum.Enum():
                member = f".{value.name}" if value.name in type(value).__members__ else ""
                return f"{self.reference(type(value))}{member or f'({value.value!r})'}"
            case np.generic():
                self.tool("np", np)
                return f"np.{value.dtype.name}({self.code(value.item(), path)})"
            case np.ndarray():
                return self.array(value, path)
            case torch.device():
                return f'torch.device("{value}")'
            case Path():
                return f"Path({self.code(str(value), path)})"
            case list() | tuple() | dict() | torch.Size() if type(value) in PLAIN:
                return self.collection(value, path)
            case tuple() if hasattr(type(value), "_fields"):  # a NamedTuple
                return self.call(self.reference(type(value)), value, {}, path)
            case nn.Parameter():
                frozen = "" if value.requires_grad else ", requires_grad=False"
                return f"nn.Parameter({self.save(value.detach(), path)}{frozen})"
            case torch.Tensor():
                return self.save(value, path)
            case types.FunctionType() if value.__name__ == "<lambda>":
                raise CannotWriteError(
                    f"{path} is a lambda, and a lambda has no source of its own; "
                    "write a function with def"
                )
            case type() | types.FunctionType():
                return self.reference(value)
            case types.MethodType():
                return f"{self.code(value.__self__, path)}.{value.__name__}"
            case partial() if type(value) is partial:
                self.imports["partial"] = "from functools import partial"
                return self.call("partial", [value.func, *value.args], value.keywords, path)
            case torch.optim.Optimizer():
                return optimizer_code(self, value, path)
            case torch.optim.lr_scheduler.LRScheduler():
                return scheduler_code(self, value, path)
            case torch.amp.GradScaler():
                return scaler_code(self, value)
            case DataLoader():
                return loader_code(self, value, path)
            case Dataset():  # on a line of its own: others may share it
                return self.line(path, value)
            case _ if code := standard_code(self, value, path):
                return code
            case nn.Module():
                return module_code(self, value, path)
            case _ if {"__wrapped__", "__qualname__"} <= getattr(value, "__dict__", {}).keys():
                return self.reference(value)  # such as a function with a cache
            case _:
                return object_code(self, value, path)

    def collection(self, value: Any, path: str) -> str:
        """A list, tuple or dict; what is long and only data is saved."""
        if isinstance(value, dict):
            pairs = [(self.code(k, path), self.code(v, f"{path}[{k!r}]")) for k, v in value.items()]
            code = bracketed("{", [f"{key}: {item}" for key, item in pairs], "}")
        elif isinstance(value, list):
            if len(value) > LONGEST and is_data(value):
                return self.save(value, path)
            code = bracketed("[", self.codes(value, {}, path), "]")
        else:
            items = self.codes(value, {}, path)
            code = f"({items[0]},)" if len(items) == 1 else bracketed("(", items, ")")
            code = f"torch.Size({code})" if type(value) is torch.Size else code
        if len(code) <= LONGEST or not is_data(value):
            return code
        return self.save(value, path)

    def array(self, value: Any, path: str) -> str:
        """A NumPy array: numbers by way of a tensor, anything else as a list."""
        kind = value.dtype.kind
        if type(value) is not np.ndarray or kind == "V":
            raise no_code(value, path)
        if kind in "biufc":
            try:
                native = np.asarray(value, value.dtype.newbyteorder("="), order="C")
                native = native if native.flags.writeable else native.copy()
                code = f"{self.save(torch.from_numpy(native), path)}.numpy()"
                return code + ("" if value.dtype.isnative else f'.astype("{value.dtype.str}")')
            except TypeError:  # a type that PyTorch does not have
                pass
        self.tool("np", np)
        times = value.astype(str) if kind in "mM" else value
        items = self.code(times.tolist(), path)
        return f'np.array({items}, dtype="{value.dtype}")'

    def codes(self, values: Iterable[Any], keywords: Mapping[str, Any], path: str) -> list[str]:
        """What stands in a call's brackets."""
        items = [self.code(value, f"{path}[{i}]") for i, value in enumerate(values)]
        return items + [f"{k}={self.code(v, f'{path}.{k}')}" for k, v in keywords.items()]

    def call(
        self, function: str, values: Iterable[Any], keywords: Mapping[str, Any], path: str
    ) -> str:
        """A call."""
        return bracketed(f"{function}(", self.codes(values, keywords, path), ")")

    def save(self, value: Any, path: str) -> str:
        """An expression for what is saved beside the script."""
        if not is_data(value):
            raise no_code(value, path)
        key = key_of(path)
        while self.saved.get(key, value) is not value:
            key += "_"
        self.saved[key] = value
        return f'start["{key}"]'

    def save_long(self, value: Any, path: str) -> str:
        """What stands in the script where it is short."""
        return repr(value) if len(value) <= LONGEST else self.save(value, path)

    # ---- what it builds

    def build(self, code: str) -> Any:
        """What the expression makes, with the script's own imports and copies."""
        return self.workshop.build(code)

    def compare(self, built: Any, live: Any, path: str) -> str | None:
        """How they differ, apart from what is loaded later."""
        state = not self.loads_state
        return Comparison(self.spellings, state, modes=state).difference(live, built, path)

    def difference(self, code: str, live: Any, path: str) -> str | None:
        """How what the expression builds differs from an object."""
        if self.loads_state and type(live).__module__.startswith("torch.nn."):
            with suppress(CannotWriteError), torch.device("meta"):  # weights cost nothing there
                if self.compare(self.build(code), live, path) is None:
                    return None
        return self.compare(self.build(code), live, path)

    def is_own(self, module: types.ModuleType) -> bool:
        """Whether a script cannot import it."""
        return is_own_module(module)

    # ---- classes and functions

    def reference(self, thing: Any) -> str:
        """An expression for a class or function, which is imported or copied if need be."""
        name = str(thing.__name__)
        if vars(torch).get(name) is thing:  # torch.relu and the like have no module
            return f"torch.{name}"
        outer, dot, rest = thing.__qualname__.partition(".")
        owner = getattr(sys.modules.get(thing.__module__), outer, None)
        if dot and owner is not None and "<locals>" not in rest:  # it stands in a class
            return f"{self.reference(owner)}.{rest}"
        if not is_installed(thing):
            self.copy(thing)
            return name
        self.refuse_replaced(thing)
        path = home(thing)
        if path is None:
            raise CannotWriteError(f"{name} cannot be imported from {thing.__module__}")
        if path.startswith("torch.nn"):
            self.tool("nn", nn)
            return f"{path.removeprefix('torch.')}.{name}"
        if path == "torch.optim":
            return f"torch.optim.{name}"
        if path != "builtins":
            self.bind(name, thing, f"from {path} import {name}")
        return name

    def refuse_replaced(self, thing: Any) -> None:
        """Refuse an installed class some of whose methods the user has replaced."""
        if isinstance(thing, type) and thing not in self.looked_at:
            if place := next(replaced_members(thing), None):
                raise CannotWriteError(
                    f"{place} was replaced since it was imported; write a class of your own instead"
                )
            self.looked_at.add(thing)

    def copy(self, thing: Any) -> None:
        """Copy the source of a class or function, after all that it names."""
        name = thing.__name__
        if self.meanings.get(name) is thing:
            return
        if name == "<lambda>":
            raise CannotWriteError("a lambda has no source of its own; write a function with def")
        self.mean(name, thing)
        with self.attempt():
            try:
                source, original = source_and_code(thing)
                if thing.__module__.startswith("tutorial."):
                    source = without_docstrings(source)  # they are the library's; a script is short
                source, names = without_modules(source, outside_names(thing, source))
                hints = names_in_hints(source)
                for used, value in names.items():
                    if used not in hints:
                        self.need(used, value, thing)
                    else:
                        with suppress(CannotWriteError), self.attempt():
                            self.need(used, value, thing)
            except (OSError, SyntaxError, TypeError) as error:
                del self.meanings[name]
                raise CannotWriteError(
                    f"the source of {name} cannot be found; write it to a file"
                ) from error
        self.copies[name] = source.rstrip()
        self.copied[name] = thing
        for written, own in spellings_of(original, self.copies[name], name):
            self.spellings.setdefault(written, set()).add(own)

    def mend(self, name: str) -> bool:
        """Write after a class or function what it has got since it was defined; whether it had."""
        thing = self.copied[name]
        built = self.workshop.space.get(name)
        if built is None:
            return False
        found = [member for member, _ in Comparison(self.spellings).members(thing, built, name)]
        for member in found:
            value = vars(thing).get(member, MISSING)
            place = f"{name}.{member}"
            try:
                with self.attempt():
                    code = (
                        f"del {place}"
                        if value is MISSING
                        else f"{place} = {self.code(value, place)}"
                    )
                    self.copies[place] = code
            except CannotWriteError as error:
                if isinstance(value, types.FunctionType | property | staticmethod | classmethod):
                    self.supply[place] = reason(error, place)
        return bool(found)

    def need(self, name: str, value: Any, user: Any) -> None:
        """Give the name its meaning, for the source of a class or function that uses it."""
        self.needed.add(name)
        if isinstance(value, types.ModuleType):
            self.tool(name, value)
        elif isinstance(value, type | types.FunctionType) and name == value.__name__:
            code = self.reference(value)
            if code != name:
                self.bind(name, value, f"from {home(value)} import {name}")
        elif self.meanings.get(name, MISSING) is not value:
            code = self.constant(name, value, user)
            if name in self.copies and self.meanings.get(name) is value:
                return  # what it holds needs it, too
            self.mean(name, value)
            self.copies[name] = code

    def constant(self, name: str, value: Any, user: Any) -> str:
        """The line that gives a name its value: as the file has it, if it is still the same."""
        line, first = constant_source(user, name, value) or ("", MISSING)
        items = list(value.values()) if isinstance(value, dict) else value
        table = isinstance(value, dict | list | set) and any(map(registers_itself, items))
        if line and (table or Comparison({}).alike(value, first)):
            return line
        try:
            with self.attempt():
                return f"{name} = {self.code(value, name)}"
        except CannotWriteError:
            if statement := self.statement(name, value, user):
                return statement
            raise

    def statement(self, name: str, value: Any, user: Any) -> str | None:
        """The statement of the file that gives a name its value, if it still gives this one."""
        with suppress(CannotWriteError), self.attempt():
            line, right = assignment(user, name, value) or ("", "")
            if line:
                source, names = without_modules(line, outside_names(user, line))
                for used, meaning in names.items():
                    self.need(used, meaning, user)
                right = source[len(line) - len(right) :] if source == line else ""
            if right and self.compare(self.build(right), value, name) is None:
                return source
            raise CannotWriteError(name)
        return None

    def bind(self, name: str, value: Any, line: str) -> None:
        self.mean(name, value)
        parent, _, last = line.removeprefix("import ").partition(" as ")[0].rpartition(".")
        if line == f"import {name} as {name}":
            line = f"import {name}"
        elif line.startswith("import") and parent and last == name:
            line = f"from {parent} import {last}"  # import torch.nn as nn, as most people write it
        self.imports[name] = line

    def mean(self, name: str, value: Any) -> None:
        """Let the name stand for the value; a name can stand for one thing only."""
        known = self.meanings.get(name, value)
        if known is not value and not (type(value) in (int, float, str) and known == value):
            raise CannotWriteError(
                f"{name} would stand for two different things in one script; rename one"
            )
        self.meanings[name] = value


SCALARS = (type(None), bool, int, float, str, range, torch.dtype)


def key_of(path: str) -> str:
    """A Python name like a path: network_layers_0 for network.layers[0]."""
    return re.sub(r"\W+", "_", path).strip("_")


def standard(value: Any) -> bool:
    """Whether code for it is written by its kind, not as an object."""
    return isinstance(value, DataLoader)


def reason(error: Exception, name: str) -> str:
    """Why there is no code for an object, in one line."""
    if isinstance(error, CannotWriteError):
        return " ".join(str(error).split())
    if isinstance(error, RecursionError):
        return f"{name} holds itself, or is nested too deep for plain code"
    return f"it cannot be written: {type(error).__name__}: {' '.join(str(error).split())[:200]}"


class Workshop:
    """Where a script's code is tried: its imports, copies and lines, each when it is needed."""

    def __init__(self, script: Script) -> None:
        self.script = script
        self.begin()

    def begin(self) -> None:
        """Begin with nothing."""
        self.space: dict[str, Any] = {"start": Start(self.script), "__name__": "__main__"}
        self.ran: dict[str, str] = {}

    def build(self, code: str) -> Any:
        """What an expression makes; only what it needs is run."""
        try:
            with trying():
                for name in sorted(names_read(code)):
                    self.provide(name)
                return eval(code, self.space)
        except Exception as error:
            shown = code if len(code) <= 60 else f"{code[:50]} ..."
            raise CannotWriteError(
                f"{shown} fails: {type(error).__name__}: {' '.join(str(error).split())[:200]}"
            ) from error

    def provide(self, name: str) -> None:
        """Give a name its meaning: import it, define it, or make it."""
        script = self.script
        source = (
            script.recipes.get(name) or script.copies.get(name) or script.imports.get(name) or ""
        )
        if self.ran.get(name) == source:
            return
        self.ran[name] = source
        at_once = first_needs(source)
        for other in at_once:
            self.provide(other)
        exec("from __future__ import annotations\n" + source, self.space)
        for other in sorted(names_read(source) - set(at_once)):
            self.provide(other)
        for place in [place for place in script.copies if place.startswith(f"{name}.")]:
            exec(script.copies[place], self.space)

    def differing(self, made: Mapping[str, Any], state: Mapping[str, Any]) -> list[str]:
        """Build all from the beginning, tell what differs from the objects; then load the state."""
        script = self.script
        self.begin()
        self.space["start"].state = state
        early, lines = script.in_order()
        found = self.failing([*script.imports.values(), *early, *lines])
        comparison = Comparison(script.spellings, whole=True)
        loaded = stateful(made)
        for name, live in made.items():
            comparison.state = name not in loaded
            comparison.modes = name != "network"
            if name in self.space:
                found += filter(None, [comparison.difference(live, self.space[name], name)])
        return found + self.failing(script.restores)

    def failing(self, parts: Iterable[str]) -> list[str]:
        """Run these; which of them fail, unless something must be supplied that they may need."""
        found = []
        for part in parts:
            try:
                with trying():
                    exec("from __future__ import annotations\n" + part, self.space)
            except Exception as error:
                shown = part.strip().splitlines()[0]
                found.append(f"`{shown}` fails: {type(error).__name__}: {error}")
        return [] if self.script.supply else found


class Start:
    """The saved data as a script finds it: its own."""

    def __init__(self, script: Script) -> None:
        self.script = script
        self.state: Mapping[str, Any] = {}

    def __getitem__(self, key: str) -> Any:
        data = self.state[key] if key in self.state else self.script.saved[key]
        if key == "network":  # its values are copied where they are loaded
            return copy.copy(data)
        large = isinstance(data, torch.Tensor) and data.nbytes > MOST
        return data if large else copy.deepcopy(data)


MOST = 2**28  # bytes; a tensor that is larger is not copied only to be compared


@contextmanager
def trying() -> Iterator[None]:
    """What is tried draws none of the user's random numbers, and warns of nothing."""
    with randomness_kept(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
