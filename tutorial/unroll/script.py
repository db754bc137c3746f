"""Serialise objects to source code: write a standalone script that rebuilds them and runs a loop.

An object becomes code in the plainest way that is sure to be right:

- a number, a string, a list: as it is written;
- a class or function: imported, if it is installed; else its source is copied into the script,
  with all that it names (`tutorial`'s own classes too: a script never imports `tutorial`);
- an object: a call of its class with its constructor's arguments, if that builds it; else an empty
  object that is given the same attributes, and so on for each of them (objects.py; networks.py and
  optimizers.py for what PyTorch has);
- a tensor, and what else is only data: saved beside the script, with the weights.

Where none of these works, the script says at its top what its reader must supply.
"""

import enum
import sys
import types
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset

from tutorial.running import randomness_kept
from tutorial.saving.parts import loading_code, root_of
from tutorial.unroll.networks import module_code, network_lines
from tutorial.unroll.objects import (
    MISSING,
    PLAIN,
    CannotWriteError,
    is_data,
    no_code,
    object_code,
)
from tutorial.unroll.optimizers import loader_code, optimizer_code, scaler_code, scheduler_code
from tutorial.unroll.source import (
    bracketed,
    constant_source,
    home,
    is_installed,
    merged,
    names_assigned,
    outside_names,
    source_of,
    without_docstrings,
    without_modules,
)

LONGEST = 200  # characters; what is longer is saved as data


class Script:
    """Collects the parts of a standalone file: imports, copied sources, objects, saved data."""

    def __init__(self) -> None:
        self.imports = {"Path": "from pathlib import Path", "torch": "import torch"}
        self.copies: dict[str, str] = {}  # a name -> the source that defines it
        self.meanings: dict[str, Any] = {"start": MISSING, "Path": Path, "torch": torch}
        self.needed: set[str] = set()  # names that the copied sources read
        self.lines: list[str] = []  # `name = code`, in order
        self.made: dict[str, Any] = {}  # the objects that these lines make, by name
        self.supply: dict[str, str] = {}  # a name -> why there is no code for it
        self.saved: dict[str, Any] = {}  # data, by the key under which the script finds it
        self.weights: dict[int, str] = {}  # id of a parameter of the network -> its name
        self.loads_state = False  # inside a module whose whole state is loaded afterwards
        self.restores: list[str] = []  # the lines that load the state in which the call began
        self.restored_keys = {"random"}

    def make(self, name: str, value: Any) -> None:
        """Add the line that makes `value` under `name`; or a request to supply it."""
        try:
            if name == "network":
                self.network(value)
            elif (known := self.line(name, value)) != name:
                self.lines.append(f"{name} = {known}")
        except (CannotWriteError, RecursionError) as reason:
            self.supply[name] = str(reason)
            self.lines.append(f"# {name} = ...  (supply it here)")
        text = "\n".join([*self.copies.values(), *self.lines])  # without what was only tried
        self.saved = {key: data for key, data in self.saved.items() if f'start["{key}"]' in text}

    def line(self, name: str, value: Any) -> str:
        """Add the line that makes `value`, unless there is one; the name that it then has."""
        code = self.name_of(value) or (
            object_code(self, value, name) if isinstance(value, Dataset) else self.code(value, name)
        )
        if code.isidentifier() and code in self.made | self.copies:
            return code
        self.mean(name, value)
        self.made[name] = value
        self.lines.append(f"{name} = {code}")
        return name

    def network(self, network: nn.Module) -> None:
        """Add the lines that make the network, all but its weights' values."""
        self.mean("network", network)
        code, more = network_lines(self, network)
        self.made["network"] = network
        self.lines += [f"network = {code}", *more]

    def name_of(self, value: Any) -> str | None:
        return next((name for name, other in self.made.items() if other is value), None)

    def tool(self, name: str, value: Any) -> None:
        """Import what the program itself names, such as DataLoader."""
        if isinstance(value, types.ModuleType):
            self.bind(name, value, f"import {value.__name__} as {name}")
        else:
            self.reference(value)

    def render(self, title: str, program: str) -> str:
        """The whole file."""
        for name in sorted(names_assigned(program) & self.needed):
            self.supply[name] = "the loop uses this name for something else; rename yours"
        must = [f"#   {name}: {reason}" for name, reason in self.supply.items()]
        head = [
            f"# {title}",
            "# written out as the plain PyTorch program that it runs. It does not need `tutorial`.",
            *(["# You must supply, where it is marked below:", *must] if must else []),
        ]
        if self.copies:  # in copied sources a type hint may name what is not there
            head.append("from __future__ import annotations")
        paragraphs = [
            "\n".join(head),
            "\n".join(merged(self.imports.values())),
            "# The file beside this one holds the state in which the call began:\n"
            'start = torch.load(Path(__file__).with_suffix(".pt"), weights_only=True)',
            *(f"\n{source}" for source in self.copies.values()),
            "\n" * bool(self.copies) + "\n".join(self.lines),
            "\n".join(self.restores),
            program,
        ]
        return "\n\n".join(paragraphs)

    def join(self) -> None:
        """Add the line by which a process joins the others that torchrun has started."""
        backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
        self.lines.append(f'dist.init_process_group("{backend}")')

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
            f"    callback.set_params({self.code(hooks.params, 'params')})",
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
        self.restores.append('torch.set_rng_state(start["random"]["torch"])')
        if torch.cuda.is_available():
            self.restores.append('torch.cuda.set_rng_state_all(start["random"]["cuda"])')

    # ---- objects

    def code(self, value: Any, name: str) -> str:
        """An expression that makes the value; `name` is the key for data that must be saved."""
        if known := self.name_of(value):
            return known
        match value:
            case enum.Enum():
                return f"{self.reference(type(value))}.{value.name}"
            case None | bool() | int() | range() | torch.dtype():
                return repr(value)
            case str():
                return repr(value) if '"' in value else '"' + repr(value)[1:-1] + '"'
            case np.generic():
                self.tool("np", np)
                return f"np.{value.dtype.name}({self.code(value.item(), name)})"
            case float():
                return repr(value) if abs(value) < float("inf") else f'float("{value}")'
            case np.ndarray() if value.dtype.kind in "biuf":
                return f"{self.save(torch.from_numpy(value), name)}.numpy()"
            case torch.device():
                return f'torch.device("{value}")'
            case Path():
                return f"Path({self.code(str(value), name)})"
            case list() | tuple() | dict() | torch.Size() if type(value) in PLAIN:
                return self.collection(value, name)
            case tuple() if hasattr(value, "_fields"):  # a NamedTuple
                return self.call(self.reference(type(value)), value, {}, name)
            case nn.Parameter():
                return f"nn.Parameter({self.save(value.detach(), name)})"
            case torch.Tensor():
                return self.save(value, name)
            case type() | types.FunctionType() | types.BuiltinFunctionType():
                return self.reference(value)
            case types.MethodType():
                return f"{self.code(value.__self__, name)}.{value.__name__}"
            case partial():
                self.imports["partial"] = "from functools import partial"
                return self.call("partial", [value.func, *value.args], value.keywords, name)
            case torch.optim.Optimizer():
                return optimizer_code(self, value)
            case torch.Generator():  # its state is loaded afterwards
                self.lines.append(f"{name} = torch.Generator()")
                self.made[name] = value
                return name
            case torch.optim.lr_scheduler.LRScheduler():
                return scheduler_code(self, value, name)
            case torch.amp.GradScaler():
                return scaler_code(self, value)
            case DataLoader():
                return loader_code(self, value, name)
            case Dataset():  # on a line of its own: others may share it
                return self.line(name, value)
            case nn.Module():
                return module_code(self, value, name)
            case _:
                return object_code(self, value, name)

    def collection(self, value: Any, name: str) -> str:
        if isinstance(value, dict):
            pairs = [(self.code(k, name), self.code(v, f"{name}_{k}")) for k, v in value.items()]
            code = bracketed("{", [f"{key}: {item}" for key, item in pairs], "}")
        elif isinstance(value, list):
            code = bracketed("[", self.codes(value, {}, name), "]")
        else:
            items = self.codes(value, {}, name)
            code = f"({items[0]},)" if len(items) == 1 else bracketed("(", items, ")")
        if len(code) <= LONGEST or not is_data(value):
            return code
        return self.save(value, name)

    def codes(self, values: Iterable[Any], keywords: dict[str, Any], name: str) -> list[str]:
        """What stands in a call's brackets."""
        items = [self.code(value, f"{name}_{i}") for i, value in enumerate(values)]
        return items + [f"{k}={self.code(v, f'{name}_{k}')}" for k, v in keywords.items()]

    def call(
        self, function: str, values: Iterable[Any], keywords: dict[str, Any], name: str
    ) -> str:
        return bracketed(f"{function}(", self.codes(values, keywords, name), ")")

    def save(self, value: Any, name: str) -> str:
        if not is_data(value):
            raise no_code(value, name)
        while self.saved.get(name, value) is not value:
            name += "_"
        self.saved[name] = value
        return f'start["{name}"]'

    def build(self, code: str) -> Any:
        """What the expression makes, with the script's own imports and copies."""
        namespace: dict[str, Any] = {"start": self.saved, "__name__": "__main__"}
        try:
            with randomness_kept():
                for part in (*self.imports.values(), *self.copies.values()):
                    exec("from __future__ import annotations\n" + part, namespace)
                return eval(code, namespace | self.made)
        except Exception as error:
            raise CannotWriteError(f"{code} fails: {type(error).__name__}: {error}") from error

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

    def copy(self, thing: Any) -> None:
        """Copy the source of a class or function, after all that it names."""
        name = thing.__name__
        if self.meanings.get(name) is thing:
            return
        if name == "<lambda>":
            raise CannotWriteError("a lambda has no source of its own; write a function with def")
        self.mean(name, thing)
        try:
            source = source_of(thing)
            if thing.__module__.startswith("tutorial."):
                source = without_docstrings(source)  # they are the library's; a script is short
            names = outside_names(thing, source)
            source, parts = without_modules(source, names)
            for used, value in (names | parts).items():
                self.need(used, value, thing)
        except (OSError, SyntaxError, CannotWriteError) as error:
            del self.meanings[name]
            if isinstance(error, CannotWriteError):
                raise
            raise CannotWriteError(
                f"the source of {name} cannot be found; write it to a file"
            ) from None
        self.copies[name] = source.rstrip()

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
            code = constant_source(user, name) or f"{name} = {self.code(value, name)}"
            self.mean(name, value)
            self.copies[name] = code

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
            raise CannotWriteError(f"{name} would stand for two different things in one script")
        self.meanings[name] = value
