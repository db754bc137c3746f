"""From live objects back to code: a standalone file that makes them anew and runs a program.

An object becomes code in the plainest way that is sure to be right:

- a number, a text, a list: as it is written;
- a class or function: imported, if it is installed; else its source is copied into the script,
  with all that it names (`tutorial`'s own classes too: a script never imports `tutorial`);
- an object: a call of its class with the arguments that it remembers, if that makes it again; else
  an empty object that is given the same attributes;
- a tensor, and what else is only data: saved beside the script, with the weights.

Where none of these works, the script says at its top what its reader must supply.
"""

import types
from collections.abc import Iterable
from functools import partial
from inspect import Parameter, signature
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.utils.data import (
    BatchSampler,
    DataLoader,
    RandomSampler,
    SequentialSampler,
    default_collate,
    default_convert,
)

from tutorial.device import unchanged_randomness
from tutorial.source import (
    constant_source,
    home,
    is_installed,
    outside_names,
    source_of,
    without_docstrings,
)

MISSING = object()
LONGEST = 200  # characters; what is longer is saved as data


class CannotWriteError(Exception):
    """There is no code for an object; the message says why."""


class Script:
    """Collects the parts of a standalone file: imports, copied sources, objects, saved data."""

    def __init__(self) -> None:
        self.imports = {"Path": "from pathlib import Path", "torch": "import torch"}
        self.copies: dict[str, str] = {}  # a name -> the source that defines it
        self.meanings: dict[str, Any] = {}  # a name -> what it stands for in this script
        self.lines: list[str] = []  # `name = code`, in order
        self.supply: dict[str, str] = {}  # a name -> why there is no code for it
        self.saved: dict[str, Any] = {}  # data, by the key under which the script finds it
        self.weights: dict[int, str] = {}  # id of a parameter of the network -> its name

    def make(self, name: str, value: Any) -> None:
        """Add the line that makes `value` under `name`; or a request to supply it."""
        try:
            if name == "network":
                self.lines.append(f"network = {self.network(value)}")
            else:
                self.lines.append(f"{name} = {self.code(value, name)}")
        except CannotWriteError as reason:
            self.supply[name] = str(reason)
            self.lines.append(f"# {name} = ...  (supply it here)")

    def tool(self, name: str, value: Any) -> None:
        """Import what the program itself names, such as DataLoader."""
        if isinstance(value, types.ModuleType):
            self.bind(name, value, f"import {value.__name__} as {name}")
        else:
            self.reference(value)

    def render(self, title: str, program: str) -> str:
        """The whole file."""
        must = [f"#   {name}: {reason}" for name, reason in self.supply.items()]
        head = [
            f"# {title}",
            "# written out as the plain PyTorch program that it runs. It does not need `tutorial`.",
            *(["# You must supply, where it is marked below:", *must] if must else []),
        ]
        if self.copies:  # in copied sources a type hint may name what is not there
            head.append("from __future__ import annotations")
        load = 'torch.load(Path(__file__).with_suffix(".pt"), weights_only=True)'
        begin = [
            "# The file beside this one holds the state in which the call began:",
            f"start = {load}",
        ]
        restore = ['network.load_state_dict(start["network"])']
        if "optimizer" in self.meanings:
            restore.append('optimizer.load_state_dict(start["optimizer"])')
        restore.append('torch.set_rng_state(start["random"]["torch"])')
        if torch.cuda.is_available():
            restore.append('torch.cuda.set_rng_state_all(start["random"]["cuda"])')
        paragraphs = [
            "\n".join(head),
            "\n".join(merged(self.imports.values())),
            "\n".join(begin),
            *(f"\n{source}" for source in self.copies.values()),
            "\n" * bool(self.copies) + "\n".join(self.lines),
            "\n".join(restore),
            program,
        ]
        return "\n\n".join(paragraphs)

    # ---- objects

    def code(self, value: Any, name: str) -> str:
        """An expression that makes the value; `name` is the key for data that must be saved."""
        match value:
            case None | bool() | int():
                return repr(value)
            case str():
                return repr(value) if '"' in value else '"' + repr(value)[1:-1] + '"'
            case float():
                return repr(value) if abs(value) < float("inf") else f'float("{value}")'
            case torch.dtype():
                return str(value)
            case torch.device():
                return f'torch.device("{value}")'
            case range():
                return repr(value)
            case Path():
                return f"Path({self.code(str(value), name)})"
            case list() | tuple() | dict():
                return self.collection(value, name)
            case torch.Tensor():
                return self.save(value, name)
            case type() | types.FunctionType() | types.BuiltinFunctionType():
                return self.reference(value)
            case partial():
                self.imports["partial"] = "from functools import partial"
                function = self.code(value.func, name)
                return f"partial({self.join(function, value.args, value.keywords, name)})"
            case torch.optim.Optimizer():
                return self.optimizer(value)
            case DataLoader():
                return self.loader(value, name)
            case nn.Sequential() if type(value) is nn.Sequential and "0" in value._modules:
                return f"{self.reference(nn.Sequential)}({self.join('', list(value), {}, name)})"
            case _:
                return self.object(value, name)

    def collection(self, value: Any, name: str) -> str:
        if len(value) > LONGEST // 3:  # an item and its comma take three characters at least
            return self.save(value, name)
        if isinstance(value, dict):
            pairs = [(self.code(k, name), self.code(v, f"{name}_{k}")) for k, v in value.items()]
            code = "{" + ", ".join(f"{key}: {item}" for key, item in pairs) + "}"
        else:
            items = self.join("", value, {}, name) + ("," if len(value) == 1 else "")
            code = f"[{items.rstrip(',')}]" if isinstance(value, list) else f"({items})"
        return code if len(code) <= LONGEST else self.save(value, name)

    def join(self, first: str, values: Any, keywords: dict[str, Any], name: str) -> str:
        """The inside of a call's brackets."""
        items = [self.code(value, f"{name}_{i}") for i, value in enumerate(values)]
        items += [f"{key}={self.code(value, f'{name}_{key}')}" for key, value in keywords.items()]
        return ", ".join([first, *items] if first else items)

    def save(self, value: Any, name: str) -> str:
        if not is_data(value):
            raise CannotWriteError(f"there is no plain code for {type(value).__qualname__} objects")
        self.saved[name] = value
        return f'start["{name}"]'

    def network(self, network: nn.Module) -> str:
        code = self.code(network, "network")
        if {p.dtype for p in network.parameters()} == {torch.float64}:
            code += ".double()"
        if not is_same_module(self.build(code), network):
            raise CannotWriteError(
                f"{code} does not make it again; let each class keep every argument of its "
                "__init__ under the argument's name (self.hidden = hidden)"
            )
        device = next((p.device for p in network.parameters()), torch.device("cpu"))
        self.weights = {id(weight): name for name, weight in network.named_parameters()}
        return code if device.type == "cpu" else f'{code}.to("{device}")'

    def optimizer(self, optimizer: torch.optim.Optimizer) -> str:
        defaults = {k: p.default for k, p in signature(type(optimizer)).parameters.items()}
        groups = []
        for group in optimizer.param_groups:
            unknown = [p for p in group["params"] if id(p) not in self.weights]
            if unknown:
                raise CannotWriteError("it holds weights that are not the network's")
            names = [self.weights[id(p)] for p in group["params"]]
            chosen = {
                k: v for k, v in group.items() if k in defaults and not _equal(v, defaults[k])
            }
            groups.append((names, {k: v for k, v in chosen.items() if k != "params"}))
        self.meanings["optimizer"] = optimizer
        cls = self.reference(type(optimizer))
        if len(groups) == 1 and groups[0][0] == list(self.weights.values()):
            return f"{cls}({self.join('network.parameters()', [], groups[0][1], 'optimizer')})"
        parts = []
        for names, options in groups:
            weights = ", ".join(f'network.get_parameter("{name}")' for name in names)
            extra = "".join(f', "{k}": {self.code(v, "optimizer")}' for k, v in options.items())
            parts.append(f'{{"params": [{weights}]{extra}}}')
        return f"{cls}([{', '.join(parts)}])"

    def loader(self, loader: Any, name: str) -> str:
        batches = loader.batch_sampler if loader.batch_size is not None else loader.sampler
        order = getattr(batches, "sampler", None)
        shuffle = type(order) is RandomSampler and order.generator is None
        known = shuffle or type(order) is SequentialSampler
        if loader.generator is not None or type(batches) is not BatchSampler or not known:
            raise CannotWriteError("it is a DataLoader with a sampler or generator of its own")
        data = f"{name}_set"
        self.lines.append(f"{data} = {self.code(loader.dataset, data)}")
        if loader.batch_size is None:
            order_class = self.reference(type(order))
            size, drop_last = batches.batch_size, batches.drop_last
            sampler = f"{self.reference(BatchSampler)}({order_class}({data}), {size}, {drop_last})"
            arguments = f"{data}, batch_size=None, sampler={sampler}"
        else:
            arguments = f"{data}, batch_size={batches.batch_size}, shuffle={shuffle}"
            arguments += f", drop_last={batches.drop_last}"
        others: dict[str, Any] = {}
        if loader.collate_fn not in (default_collate, default_convert):
            others["collate_fn"] = loader.collate_fn
        if loader.num_workers:
            others["num_workers"] = loader.num_workers
        return f"{self.reference(DataLoader)}({self.join(arguments, [], others, name)})"

    def object(self, value: Any, name: str) -> str:
        cls = type(value)
        if not hasattr(value, "__dict__"):
            raise CannotWriteError(f"there is no plain code for {cls.__qualname__} objects")
        reference = self.reference(cls)
        try:
            arguments, keywords, sure = remembered_arguments(value)
            code = f"{reference}({self.join('', arguments, keywords, name)})"
            sure = sure and (is_installed(cls) or cls.__module__.startswith("tutorial."))
            if isinstance(value, nn.Module) or sure or _equal(vars(self.build(code)), vars(value)):
                return code
        except CannotWriteError:
            if isinstance(value, nn.Module):
                raise
        return f"{self.reference(remake)}({reference}, {self.code(vars(value), name)})"

    def build(self, code: str) -> Any:
        """What the expression makes, with the script's own imports and copies."""
        namespace: dict[str, Any] = {"start": self.saved, "__name__": "script"}
        try:
            with unchanged_randomness():
                for part in (*self.imports.values(), *self.copies.values()):
                    exec("from __future__ import annotations\n" + part, namespace)
                return eval(code, namespace)
        except Exception as error:
            raise CannotWriteError(f"{code} fails: {type(error).__name__}: {error}") from error

    # ---- classes and functions

    def reference(self, thing: Any) -> str:
        """An expression for a class or function, which is imported or copied if need be."""
        name = str(thing.__name__)
        if vars(torch).get(name) is thing:  # torch.relu and the like have no module
            return f"torch.{name}"
        if not is_installed(thing):
            self.copy(thing)
            return name
        path = home(thing)
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
        self.mean(name, thing)
        try:
            source = source_of(thing)
            if thing.__module__.startswith("tutorial."):
                source = without_docstrings(source)  # they are the library's; a script is short
            names = outside_names(thing, source)
        except (OSError, SyntaxError):  # a lambda's source is the line around it: no definition
            raise CannotWriteError(
                f"the source of {name} cannot be found; write it to a file"
            ) from None
        if name == "<lambda>":
            raise CannotWriteError("a lambda has no source of its own; write a function with def")
        for used, value in names.items():
            if isinstance(value, types.ModuleType):
                self.tool(used, value)
            elif isinstance(value, type | types.FunctionType) and used == value.__name__:
                if is_installed(value):
                    self.bind(used, value, f"from {home(value)} import {used}")
                else:
                    self.copy(value)
            else:
                self.mean(used, value)
                typed = constant_source(thing, used)
                self.copies[used] = typed or f"{used} = {self.code(value, used)}"
        self.copies[name] = source.rstrip()

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
        if name in self.meanings and self.meanings[name] is not value:
            raise CannotWriteError(f"{name} would stand for two different things in one script")
        self.meanings[name] = value


def merged(imports: Iterable[str]) -> list[str]:
    """The lines in order, with one line for all that comes from one module."""
    whole = sorted({line for line in imports if line.startswith("import ")})
    parts: dict[str, set[str]] = {}
    for line in imports:
        if line.startswith("from "):
            module, _, name = line.removeprefix("from ").partition(" import ")
            parts.setdefault(module, set()).add(name)
    return [
        *whole,
        *(f"from {module} import {', '.join(sorted(parts[module]))}" for module in sorted(parts)),
    ]


def remake(cls: Any, attributes: dict[str, Any]) -> Any:
    """An object of the class with these attributes, made without calling its __init__."""
    made = cls.__new__(cls)
    vars(made).update(attributes)
    return made


def remembered_arguments(value: Any) -> tuple[list[Any], dict[str, Any], bool]:
    """The arguments of __init__ that the object keeps under their own names (or with a _ before).

    Returns:
        Positional arguments, keywords, and whether every argument was found; where one was not, its
        default stands in for it, and may be wrong.
    """
    arguments: list[Any] = []
    keywords: dict[str, Any] = {}
    sure = True
    for name, parameter in signature(type(value).__init__).parameters.items():
        if name == "self" or parameter.kind is Parameter.VAR_KEYWORD:
            continue
        found = [a for a in (name, f"_{name}") if not callable(getattr(type(value), a, None))]
        kept: Any = next((getattr(value, a) for a in found if hasattr(value, a)), MISSING)
        sure = sure and kept is not MISSING
        kept = parameter.default if kept is MISSING else kept
        if isinstance(parameter.default, bool) and (kept is None or isinstance(kept, torch.Tensor)):
            kept = kept is not None  # bias=True is kept as the bias itself
        if parameter.kind is Parameter.VAR_POSITIONAL:
            arguments += [] if kept is Parameter.empty else kept
        elif kept is Parameter.empty:
            raise CannotWriteError(
                f"{type(value).__name__} does not keep its argument {name}; "
                f"write self.{name} = {name} in its __init__"
            )
        elif parameter.default is Parameter.empty:
            arguments.append(_one_number(value, kept))
        elif not _equal(kept, parameter.default):
            keywords[name] = _one_number(value, kept)
    return arguments, keywords, sure


def _one_number(owner: Any, value: Any) -> Any:
    """3 for the (3, 3) that PyTorch's layers make of a 3."""
    same = isinstance(value, tuple) and len(value) > 1 and len(set(map(repr, value))) == 1
    return value[0] if same and type(owner).__module__.startswith("torch.nn") else value


def is_data(value: Any) -> bool:
    """Whether torch.load(weights_only=True) reads it back."""
    if isinstance(value, dict):
        return all(is_data(k) and is_data(v) for k, v in value.items())
    if isinstance(value, list | tuple):
        return all(map(is_data, value))
    return value is None or type(value) in (bool, int, float, str, torch.Tensor, nn.Parameter)


def is_same_module(a: Any, b: nn.Module) -> bool:
    """Whether two modules have the same layers and weights of the same shapes."""
    if type(a).__name__ != type(b).__name__ or repr(a) != repr(b):
        return False
    shapes = [{k: (v.shape, v.dtype) for k, v in m.state_dict().items()} for m in (a, b)]
    return shapes[0] == shapes[1]


def _equal(a: Any, b: Any) -> bool:
    """Equality that tensors and containers of them know too."""
    if isinstance(a, torch.Tensor) or isinstance(b, torch.Tensor):
        return isinstance(a, torch.Tensor) and isinstance(b, torch.Tensor) and torch.equal(a, b)
    if isinstance(a, dict) and isinstance(b, dict):
        return a.keys() == b.keys() and all(_equal(a[k], b[k]) for k in a)
    if isinstance(a, list | tuple) and type(a) is type(b):
        return len(a) == len(b) and all(map(_equal, a, b))
    return bool(a is b or (type(a) is type(b) and a == b))
