"""From live objects back to code: a standalone file that makes them anew and runs a program.

An object becomes code in the plainest way that is sure to be right:

- a number, a text, a list: as it is written;
- a class or function: imported, if it is installed; else its source is copied into the script,
  with all that it names (`tutorial`'s own classes too: a script never imports `tutorial`);
- an object: a call of its class with the arguments that it remembers, if that makes it again; else
  an empty object that is given the same attributes, and so on for each of them;
- a tensor, and what else is only data: saved beside the script, with the weights.

Where none of these works, the script says at its top what its reader must supply.
"""

import enum
import sys
import textwrap
import types
from collections import Counter, OrderedDict
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from inspect import signature
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.utils.data import (
    DataLoader,
    Dataset,
    IterableDataset,
    RandomSampler,
    SequentialSampler,
    default_collate,
    default_convert,
)

from tutorial.device import unchanged_randomness
from tutorial.unroll.objects import (
    MISSING,
    PLAIN,
    CannotWriteError,
    attributes,
    is_data,
    no_code,
    remade,
    remade_module,
    remembered_arguments,
    restored,
    same,
    tensors,
)
from tutorial.unroll.source import (
    constant_source,
    home,
    is_installed,
    names_assigned,
    outside_names,
    source_of,
    without_docstrings,
    without_modules,
)

LONGEST = 200  # characters; what is longer is saved as data
LAYERS = (nn.Sequential, nn.ModuleList, nn.ModuleDict)
LOADER_OPTIONS = ("num_workers", "collate_fn", "worker_init_fn", "generator", "persistent_workers")
WIDTH = 88  # columns; a call that is wider is broken into a line for each argument


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
        self.restoring = False  # inside a module whose whole state is loaded
        self.restores: list[str] = []  # the lines that load the state in which the call began
        self.restored_keys = {"random"}

    def make(self, name: str, value: Any) -> None:
        """Add the line that makes `value` under `name`; or a request to supply it."""
        try:
            known = self.network(value) if name == "network" else self.line(name, value)
            if known != name:
                self.lines.append(f"{name} = {known}")
        except (CannotWriteError, RecursionError) as reason:
            self.supply[name] = str(reason)
            self.lines.append(f"# {name} = ...  (supply it here)")
        text = "\n".join([*self.copies.values(), *self.lines])  # without what was only tried
        self.saved = {key: data for key, data in self.saved.items() if f'start["{key}"]' in text}

    def line(self, name: str, value: Any) -> str:
        """Add the line that makes `value`, unless there is one; the name that it then has."""
        write = self.object if isinstance(value, Dataset) else self.code
        code = self.name_of(value) or write(value, name)
        if code.isidentifier() and code in self.made | self.copies:
            return code
        self.mean(name, value)
        self.made[name] = value
        self.lines.append(f"{name} = {code}")
        return name

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
        load = 'torch.load(Path(__file__).with_suffix(".pt"), weights_only=True)'
        begin = [
            "# The file beside this one holds the state in which the call began:",
            f"start = {load}",
        ]
        paragraphs = [
            "\n".join(head),
            "\n".join(merged(self.imports.values())),
            "\n".join(begin),
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

    def wire(self, wiring: Any) -> None:
        """Add the lines that connect the callbacks, as `Wiring.connect` does."""
        self.imports["SimpleNamespace"] = "from types import SimpleNamespace"
        parts = [
            "network=network",
            "optimizer=optimizer" if "optimizer" in self.made else "optimizer=None",
            "scaler=scaler" if "scaler" in self.made else "scaler=None",
            f"schedulers=[{', '.join(wiring.schedulers)}]",
            f"generators=[{', '.join(wiring.generators)}]",
            f"callbacks=[{', '.join(wiring.callbacks)}]",
            "stop_training=False",
        ]
        self.lines += [
            bracketed("model = SimpleNamespace(", parts, ")"),
            "for callback in model.callbacks:\n"
            "    callback.set_model(model)\n"
            f"    callback.set_params({self.code(wiring.params, 'params')})",
        ]

    def restore(self, state: dict[str, Any], generators: list[str]) -> None:
        """Add the lines that bring all into the state in which the call began."""
        for name in state:
            if name in self.made or name in self.supply:
                self.restores.append(f'{name}.load_state_dict(start["{name}"])')
                self.restored_keys.add(name)
        for i, code in enumerate(generators):
            self.restores.append(f'{code}.set_state(start["generators"][{i}])')
            self.restored_keys.add("generators")
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
            case None | bool() | int():
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
            case torch.dtype() | range():
                return repr(value)
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
                return self.optimizer(value)
            case torch.Generator():  # its state is loaded afterwards
                self.lines.append(f"{name} = torch.Generator()")
                self.made[name] = value
                return name
            case torch.optim.lr_scheduler.LRScheduler():
                return self.scheduler(value, name)
            case torch.amp.GradScaler():
                return self.scaler(value)
            case DataLoader():
                return self.loader(value, name)
            case Dataset():  # on a line of its own: others may share it
                return self.line(name, value)
            case nn.Module():
                return self.module(value, name)
            case _:
                return self.object(value, name)

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

    # ---- networks

    def network(self, network: nn.Module) -> str:
        """Add the lines that make the network, all but its weights' values."""
        self.mean("network", network)
        self.weights = {id(weight): name for name, weight in network.named_parameters()}
        with self.state_comes_later():
            code = self.code(network, "network")
        weight = next(network.parameters(), torch.empty(0))
        types = {weight.dtype for weight in network.parameters()}
        if len(types) == 1 and weight.dtype != torch.float32:
            code += f".to({weight.dtype})"
        built = self.build(code)
        if list(built.state_dict()) != list(network.state_dict()):
            raise CannotWriteError("its weights have another order")
        casts = cast(built, network)
        weights = dict(network.named_parameters(remove_duplicate=False))
        kinds = [
            {k: v.dtype for k, v in m.state_dict().items() if k not in weights}
            for m in (built, network)
        ]
        if kinds[0] != kinds[1]:
            raise CannotWriteError("its buffers have another type")
        if weight.device.type != "cpu":
            code += f'.to("{weight.device}")'
        self.made["network"] = network
        self.lines += [f"network = {code}", *casts]
        self.lines += [*shared(built, network), *frozen(built, network)]
        return "network"

    @contextmanager
    def state_comes_later(self) -> Iterator[None]:
        outer, self.restoring = self.restoring, True
        try:
            yield
        finally:
            self.restoring = outer

    def module(self, module: nn.Module, name: str) -> str:
        if module._forward_hooks or module._forward_pre_hooks or module._backward_hooks:
            raise CannotWriteError(f"{type(module).__name__} has hooks, which have no plain code")
        write = self.layers if type(module) in LAYERS else self.object
        if self.restoring or not list(module.parameters()):
            return write(module, name)
        with self.state_comes_later():
            code = write(module, name) + ("" if module.training else ".eval()")
        state = self.code(dict(module.state_dict()), f"{name}_state")
        return f"{self.reference(restored)}({code}, {state})"

    def layers(self, module: Any, name: str) -> str:
        """A container of layers, as one writes it."""
        layers: dict[str, nn.Module] = module._modules
        cls = self.reference(type(module))
        if list(layers) == [str(i) for i in range(len(layers))]:
            if type(module) is nn.Sequential:
                return self.call(cls, layers.values(), {}, name)
            return f"{cls}({self.collection(list(layers.values()), name)})"
        code = self.collection(dict(layers), name)
        if type(module) is nn.Sequential:
            code = f"{self.reference(OrderedDict)}({code})"
        return f"{cls}({code})"

    # ---- optimizers and loaders

    def optimizer(self, optimizer: torch.optim.Optimizer) -> str:
        defaults = {k: p.default for k, p in signature(type(optimizer)).parameters.items()}
        cls = self.reference(type(optimizer))
        groups = []
        for i, group in enumerate(optimizer.param_groups):
            if any(id(weight) not in self.weights for weight in group["params"]):
                raise CannotWriteError("it holds weights that are not the network's")
            names = [self.weights[id(weight)] for weight in group["params"]]
            options = {
                key: self.code(value, f"optimizer_{i}_{key}")
                for key, value in group.items()
                if key in defaults and key != "params" and not same(value, defaults[key])
            }
            groups.append((names, options))
        if len(groups) == 1:
            names, options = groups[0]
            whole = names == list(self.weights.values())
            weights = "network.parameters()" if whole else weights_named(names)
            return bracketed(f"{cls}(", [weights, *(f"{k}={v}" for k, v in options.items())], ")")
        dicts = [
            bracketed(
                "{", [f'"{k}": {v}' for k, v in {"params": weights_named(n), **o}.items()], "}"
            )
            for n, o in groups
        ]
        return f"{cls}({bracketed('[', dicts, ']')})"

    def scheduler(self, scheduler: Any, name: str) -> str:
        """Its class with the arguments that it remembers; its state is loaded afterwards."""
        cls = self.reference(type(scheduler))
        if hasattr(scheduler, "lr_lambdas"):  # the functions are not in its state
            return self.call(cls, [scheduler.optimizer, scheduler.lr_lambdas], {}, name)
        try:
            arguments, keywords, _ = remembered_arguments(scheduler)
        except CannotWriteError:  # then its state must do
            self.restores.append(f"{name}.optimizer = optimizer")
            return f'{self.reference(remade)}({cls}, start["{name}"])'
        keywords.pop("last_epoch", None)
        arguments = [sorted(a.elements()) if isinstance(a, Counter) else a for a in arguments]
        return self.call(cls, arguments, keywords, name)

    def scaler(self, scaler: torch.amp.GradScaler) -> str:
        options = {
            "init_scale": scaler._init_scale,
            "growth_factor": scaler.get_growth_factor(),
            "backoff_factor": scaler.get_backoff_factor(),
            "growth_interval": scaler.get_growth_interval(),
        }
        usual = {key: p.default for key, p in signature(torch.amp.GradScaler).parameters.items()}
        chosen = {key: value for key, value in options.items() if value != usual[key]}
        return self.call("torch.amp.GradScaler", [scaler._device], chosen, "scaler")

    def loader(self, loader: DataLoader[Any], name: str) -> str:
        data = self.line(f"{name}_set", loader.dataset)
        order: Any = loader.sampler
        random = type(order) is RandomSampler
        plain = random and RandomSampler(order.data_source, generator=loader.generator)
        shuffle = random and vars(order) == vars(plain)
        options: dict[str, Any] = {}
        if loader.batch_sampler is not None and loader.batch_size is None:
            options["batch_sampler"] = loader.batch_sampler
        else:
            options["batch_size"] = loader.batch_size
            if shuffle and loader.batch_size is not None:
                options["shuffle"] = True
            elif type(order) is not SequentialSampler and not isinstance(
                loader.dataset, IterableDataset
            ):
                options["sampler"] = order
            options["drop_last"] = loader.drop_last
        options |= {key: getattr(loader, key) for key in LOADER_OPTIONS}
        defaults = signature(DataLoader).parameters
        chosen = {
            key: value
            for key, value in options.items()
            if not same(value, defaults[key].default)
            and value not in (default_collate, default_convert)
        }
        return bracketed(
            f"{self.reference(DataLoader)}(", [data, *self.codes([], chosen, name)], ")"
        )

    # ---- any other object

    def object(self, value: Any, name: str) -> str:
        cls = type(value)
        if not hasattr(value, "__dict__") or isinstance(value, list | tuple | dict | set):
            raise no_code(value, name)
        reference = self.reference(cls)
        try:
            arguments, keywords, sure = remembered_arguments(value)
            code = self.call(reference, arguments, keywords, name)
            if sure and (is_installed(cls) or cls.__module__.startswith("tutorial.")):
                return code
            if self.makes(code, value):
                return code
        except CannotWriteError:
            pass
        if isinstance(value, nn.Module):
            items = [f'"{k}": {self.code(v, f"{name}_{k}")}' for k, v in attributes(value).items()]
            items += [
                f'"{k}": nn.Buffer({self.save(v.detach(), f"{name}_{k}")}, '
                f"persistent={k not in value._non_persistent_buffers_set})"
                for k, v in value._buffers.items()
                if v is not None
            ]
            items += [f'"{k}": {self.code(v, f"{name}_{k}")}' for k, v in value._modules.items()]
            self.tool("nn", nn)
            code = bracketed(f"{self.reference(remade_module)}({reference}, {{", items, "})")
        else:
            code = f"{self.reference(remade)}({reference}, {self.code(vars(value), name)})"
        if not self.makes(code, value):
            raise CannotWriteError(
                f"neither its arguments nor its attributes make a {cls.__name__} again"
            )
        return code

    def makes(self, code: str, value: Any) -> bool:
        """Whether the expression makes an object like this one."""
        try:
            return same(self.build(code), value)
        except Exception:  # of the user's class, or of comparing what it holds
            return False

    def build(self, code: str) -> Any:
        """What the expression makes, with the script's own imports and copies."""
        namespace: dict[str, Any] = {"start": self.saved, "__name__": "__main__"}
        try:
            with unchanged_randomness():
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


def merged(imports: Collection[str]) -> list[str]:
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


def shared(built: nn.Module, network: nn.Module) -> list[str]:
    """The lines that tie weights (and buffers) of which the network has one under two names."""
    lines = []
    first: dict[int, str] = {}
    there = dict(tensors(built))
    for name, tensor in tensors(network):
        known = first.setdefault(id(tensor), name)
        if there[name] is not there[known]:
            lines.append(f"{member(name)} = {member(known)}")
    return lines


def frozen(built: nn.Module, network: nn.Module) -> list[str]:
    """The lines that freeze the weights which do not learn, and the like."""
    lines = []
    there = dict(built.named_parameters())
    for learns in (False, True):
        names = [
            name
            for name, weight in network.named_parameters()
            if weight.requires_grad == learns and there[name].requires_grad != learns
        ]
        if names:
            lines.append(
                f"for weight in {weights_named(names)}:\n    weight.requires_grad_({learns})"
            )
    return lines


def cast(built: nn.Module, network: nn.Module) -> list[str]:
    """The lines that give the weights their types, where these differ from weight to weight."""
    lines = []
    there = dict(built.named_parameters())
    own = dict(network.named_parameters())
    for dtype in dict.fromkeys(weight.dtype for weight in own.values()):
        names = [n for n, w in own.items() if w.dtype == dtype != there[n].dtype]
        if names:
            lines.append(
                f"for weight in {weights_named(names)}:\n    weight.data = weight.data.to({dtype})"
            )
    return lines


def member(name: str) -> str:
    """An expression for a weight of the network: network.get_submodule("0").weight."""
    layer, _, last = name.rpartition(".")
    return f'network.get_submodule("{layer}").{last}' if layer else f"network.{last}"


def weights_named(names: list[str]) -> str:
    """A list of these weights of the network."""
    return bracketed("[", [f'network.get_parameter("{name}")' for name in names], "]")


def bracketed(start: str, items: Iterable[str], end: str) -> str:
    """A call or a list, on one line if that is short, else on a line for each item."""
    items = list(items)
    line = start + ", ".join(items) + end
    if len(line) <= WIDTH and "\n" not in line:
        return line
    return f"{start}\n" + "".join(textwrap.indent(item, "    ") + ",\n" for item in items) + end
