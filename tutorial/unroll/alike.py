"""Whether what a script builds is what the call works on, part by part."""

import dataclasses
import dis
import enum
import random
import sys
import types
import weakref
from collections import deque
from collections.abc import Iterator, Mapping
from functools import cached_property, lru_cache, partial
from pathlib import PurePath
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn.parameter import is_lazy
from torch.utils.data import DataLoader, TensorDataset

from tutorial.unroll.source import home, instructions, is_installed

MISSING = object()
RANDOM = (torch.Generator, random.Random, np.random.Generator, np.random.RandomState)
ONE_THING = (nn.Parameter, *RANDOM)  # where two use one, it must be one in the script, too
OF_A_CLASS = {
    "__slotnames__",
    "_backward_cls",
    "_autograd_function_id",
    "__dict__",
    "__weakref__",
    "__doc__",
    "__module__",
    "__annotations__",
    "_abc_impl",
}
OF_A_LOADER = (
    *("dataset", "sampler", "batch_sampler", "batch_size", "drop_last", "collate_fn"),
    *("num_workers", "worker_init_fn", "generator", "persistent_workers"),
)


class Comparison:
    """Compares objects of the call with those that the script's code makes.

    Args:
        spellings: of a function that a script copies, the code as it is in its own file.
        state: whether weights, and what else a state brings, must be equal in value.
        modes: whether modules must be in the same mode, training or evaluation.
    """

    def __init__(
        self,
        spellings: Mapping[Any, set[Any]],
        state: bool = True,
        modes: bool = True,
        whole: bool = False,
    ) -> None:
        self.spellings, self.state, self.modes, self.whole = spellings, state, modes, whole
        self.twins: dict[int, tuple[Any, Any, str]] = {}  # of each one thing: its like, where
        self.found: dict[tuple[int, int], tuple[str | None, Any, Any]] = {}  # of each pair

    def difference(self, live: Any, built: Any, path: str) -> str | None:
        """The first difference in words, such as "ACT is 'relu' in the script and 'gelu' here"."""
        if live is built:
            return None
        if live is MISSING or built is MISSING:
            here, there = ("not ", "") if live is MISSING else ("", "not ")
            return f"{path} is {there}there in the script and {here}there here"
        if self.whole and isinstance(live, ONE_THING):
            _, twin, where = self.twins.setdefault(id(live), (live, built, path))
            if twin is not built:
                return f"{path} is the same object as {where} here, but not in the script"
        pair = (id(live), id(built))
        if pair not in self.found:  # else they hold each other, or stand at several places
            self.found[pair] = (None, live, built)
            self.found[pair] = (self._compare(live, built, path), live, built)
        return self.found[pair][0]

    def _compare(self, live: Any, built: Any, path: str) -> str | None:
        if isinstance(live, type) and isinstance(built, type):
            return self._in_classes(live, built, path)
        kind, other = type(live), type(built)
        if kind is not other:
            if importable(kind) or kind.__name__ != other.__name__:
                return differ(live, built, path)
            if self.whole and (found := self.difference(kind, other, kind.__name__)):
                return found
        try:
            return self._in_parts(live, built, path)
        except Exception:  # such as of an open file
            return f"{path} is {described(live)}, which cannot be compared"

    def alike(self, live: Any, built: Any) -> bool:
        """Whether there is no difference."""
        return self.difference(live, built, "") is None

    def _in_parts(self, live: Any, built: Any, path: str) -> str | None:
        """What differs between two objects of one class."""
        match live:
            case torch.Tensor():
                return None if self._tensors(live, built) else differ(live, built, path)
            case np.ndarray() if live.dtype != object:
                nan = live.dtype.kind in "fc"
                like = live.dtype == built.dtype and np.array_equal(live, built, equal_nan=nan)
                return None if like else differ(live, built, path)
            case np.ndarray():
                return self._in_items([*live.flat], [*built.flat], path)
            case PurePath():
                return None if live == built else differ(live, built, path)
            case enum.Enum():
                return None if live.name == built.name else differ(live, built, path)
            case nn.Module():
                return self._in_attributes(self.of_module(live), self.of_module(built), path)
            case torch.optim.Optimizer():
                return self._in_attributes(of_optimizer(live), of_optimizer(built), path)
            case DataLoader():
                return self._in_attributes(of_loader(live), of_loader(built), path)
            case np.random.Generator():
                states = [generator.bit_generator.state for generator in (live, built)]
                return self.difference(states[0], states[1], f"{path}'s state")
            case np.random.RandomState():
                return self.difference(live.get_state(), built.get_state(), f"{path}'s state")
            case torch.Generator():
                same = not self.state or torch.equal(live.get_state(), built.get_state())
                return None if same else f"{path} has another state in the script"
            case types.FunctionType():
                return self._in_functions(live, built, path)
            case types.MethodType():
                return self.difference(live.__func__, built.__func__, path) or self.difference(
                    live.__self__, built.__self__, f"{path}.__self__"
                )
            case weakref.ref():
                return self.difference(live(), built(), path)
            case _ if type(live).__module__.partition(".")[0] == "pandas":
                return None if live.equals(built) else differ(live, built, path)
        ours, theirs = parts_of(live), parts_of(built)
        if ours is None or theirs is None:
            return None if equal(live, built) else differ(live, built, path)
        if found := self._in_attributes(ours, theirs, path):
            return found if path in found else differ(live, built, path)
        return None

    def _tensors(self, live: torch.Tensor, built: torch.Tensor) -> bool:
        if is_lazy(live):
            return type(live) is type(built)
        if live.shape != built.shape or live.layout != built.layout:
            return False
        learned = isinstance(live, nn.Parameter) and not self.state  # its value is loaded later
        if learned and not self.whole:
            return True
        if live.dtype != built.dtype or live.requires_grad != built.requires_grad:
            return False
        if learned or live.is_meta:
            return True
        a, b = live.detach(), built.detach().to(live.device)
        if a.layout != torch.strided:
            a, b = a.to_dense(), b.to_dense()
        return torch.equal(a, b) or bool(((a == b) | ((a != a) & (b != b))).all())

    def _in_items(self, live: list[Any], built: list[Any], path: str) -> str | None:
        if len(live) != len(built):
            return f"{path} has {len(built)} items in the script and {len(live)} here"
        found = (
            self.difference(a, b, f"{path}[{i}]")
            for i, (a, b) in enumerate(zip(live, built, strict=True))
        )
        return next(filter(None, found), None)

    def _in_attributes(self, live: dict[Any, Any], built: dict[Any, Any], path: str) -> str | None:
        for key in live | built:
            if key == ITEMS:
                found = self._in_items(live.get(key, []), built.get(key, []), path)
            else:
                one, other = live.get(key, MISSING), built.get(key, MISSING)
                found = self.difference(one, other, f"{path}{key}")
            if found is not None:
                return found
        return None

    # ---- classes and functions

    def _in_classes(self, live: type, built: type, path: str) -> str | None:
        if live.__name__ != built.__name__ or importable(live):
            return differ(live, built, path)
        if found := self._in_items(list(live.__bases__), list(built.__bases__), f"{path}'s bases"):
            return found
        return next(self.members(live, built, path), (None, None))[1]

    def members(self, live: Any, built: Any, path: str) -> Iterator[tuple[str, str]]:
        """The members in which a class or function differs from its copy, and how."""
        ours, theirs = vars(live), vars(built)
        for name in {**ours, **theirs}:
            if name in OF_A_CLASS or name == "__wrapped__":
                continue
            one, other = ours.get(name, MISSING), theirs.get(name, MISSING)
            if one is not MISSING and type(one).__name__ in ("getset_descriptor", "_tuplegetter"):
                continue
            if registered(one, other):
                continue
            if found := self.difference(one, other, f"{path}.{name}"):
                yield name, found

    def _in_functions(
        self, live: types.FunctionType, built: types.FunctionType, path: str
    ) -> str | None:
        ours, theirs = instructions(live.__code__), instructions(built.__code__)
        if ours != theirs and ours not in self.spellings.get(theirs, ()):
            return f"{path} is another function in the script than here ({described(live)})"
        defaults = [(f.__defaults__ or (), f.__kwdefaults__ or {}) for f in (live, built)]
        if found := self.difference(defaults[0], defaults[1], f"{path}'s defaults"):
            return found
        if live.__globals__ is built.__globals__ and not live.__closure__:
            return None
        here, there = surroundings(live), surroundings(built)
        if lost := [name for name in live.__code__.co_freevars if name in here.keys() - there]:
            return f"{path} needs {lost[0]}, which is not there in the script"
        for name in here.keys() & there.keys():
            if registered(here[name], there[name]):
                continue
            if found := self.difference(here[name], there[name], name):
                return found
        return None

    # ---- PyTorch's own

    def of_module(self, module: nn.Module) -> dict[str, Any]:
        """All that two like modules must have in common."""
        if hasattr(module, "_orig_mod"):  # torch.compile has wrapped it
            return {"": module._orig_mod}
        passing = module._non_persistent_buffers_set
        recomputed = {getattr(hook, "name", None) for hook in module._forward_pre_hooks.values()}
        own = {
            f".{key}": value
            for key, value in vars(module).items()
            if key not in OF_EVERY_MODULE and key not in recomputed
        }
        if not self.modes:
            own.pop(".training", None)
        hooks = {
            f"'s {key.strip('_')}": list(value.values())
            for key, value in vars(module).items()
            if self.whole and key in OF_EVERY_MODULE and key.endswith("_hooks")
        }
        buffers = {
            f".{key}": value if self.state or key in passing or value is None else self.shape(value)
            for key, value in module._buffers.items()
        }
        parts = {f".{key}": part for key, part in (module._parameters | module._modules).items()}
        return {**own, **hooks, **buffers, **parts}

    def shape(self, buffer: torch.Tensor) -> Any:
        """What must be alike in a buffer whose values are loaded later."""
        if is_lazy(buffer):
            return type(buffer).__name__
        return (buffer.shape, buffer.dtype) if self.whole else buffer.shape


OF_EVERY_MODULE = vars(nn.Module()).keys() - {"training"}
OF_EVERY_MODULE |= {"_is_torch_compile", "_compiled_call_impl"}  # how fast it is, not what it does
ITEMS = ("items",)  # the key, among the parts of an object, of what it holds in order


def of_optimizer(optimizer: torch.optim.Optimizer) -> dict[str, Any]:
    """What it has besides what its state brings, and what schedulers add to it."""
    base = vars(torch.optim.SGD([torch.zeros(1)], 0.1)).keys() | {"step", "_opt_called"}
    groups = [group["params"] for group in optimizer.param_groups]
    own = {f".{key}": value for key, value in vars(optimizer).items() if key not in base}
    official = type(optimizer).__module__.startswith("torch.optim")
    return {".param_groups": groups, **({} if official else own)}


SOME = TensorDataset(torch.zeros(1))


def of_loader(loader: DataLoader[Any]) -> dict[str, Any]:
    """What its batches depend on."""
    plain = vars(DataLoader[Any](SOME)).keys() - set(OF_A_LOADER) - {"_DataLoader__initialized"}
    own = {key: value for key, value in vars(loader).items() if key not in plain}
    own |= {key: getattr(loader, key) for key in OF_A_LOADER}
    return {f".{key}": value for key, value in own.items() if not key.startswith("_DataLoader_")}


def registered(live: Any, built: Any) -> bool:
    """Whether one is a table of classes or functions that other code has added to, too."""
    if type(live) is not dict or type(built) is not dict or not built.keys() <= live.keys():
        return False
    named = all(is_definition(value) for value in (*live.values(), *built.values()))
    return bool(live) and named and all(live[k].__name__ == built[k].__name__ for k in built)


def replaced_members(cls: type) -> Iterator[str]:
    """The methods of an installed class that are not the installed ones any more."""
    for base in cls.__mro__:
        for name, member in vars(base).items() if importable(base) else ():
            if isinstance(member, types.FunctionType) and not is_installed_code(member):
                yield f"{base.__name__}.{name}"


def is_installed_code(function: types.FunctionType) -> bool:
    """Whether a function was defined by an installed module, in a function of it or not."""
    name = function.__globals__.get("__name__", "")
    module, package = sys.modules.get(name), sys.modules.get(name.partition(".")[0])
    named = getattr(package, "__file__", None) is not None  # no namespace of the user's
    generated = named and package is not module and is_installed(package)  # as PyG does
    return module is None or is_installed(module) or generated


def is_definition(value: Any) -> bool:
    """Whether it is a class or function."""
    return isinstance(value, type | types.FunctionType)


def importable(cls: type) -> bool:
    """Whether a script imports this very class: not one that an installed module has made since."""
    return is_installed(cls) and home(cls) is not None


# ---- what objects are made of


def parts_of(value: Any) -> dict[Any, Any] | None:
    """An object's parts; None if Python sees none, as in a number or a string.

    Raises:
        TypeError: some are hidden, and it does not tell them: an open file, a lock.
    """
    parts: dict[Any, Any]
    match value:
        case property():
            return {"": value.fget, ".fset": value.fset, ".fdel": value.fdel}
        case staticmethod() | classmethod():
            return {"": value.__func__}
        case cached_property():
            return {"": value.func}
        case partial():
            parts = {".func": value.func, ".args": value.args, ".keywords": value.keywords}
        case types.GenericAlias() | types.UnionType():
            return {ITEMS: [getattr(value, "__origin__", None), *value.__args__]}
        case types.BuiltinMethodType():
            return {".__name__": value.__name__, ".__self__": value.__self__}
        case dict() | types.MappingProxyType():
            parts = {ITEMS: [part for pair in value.items() for part in pair]}
        case list() | tuple() | deque():
            parts = {ITEMS: list(value)}
        case set() | frozenset():
            parts = {ITEMS: sorted(value, key=repr)}
        case _ if type(value).__name__ == "_lru_cache_wrapper":
            return {"": value.__wrapped__}
        case _:
            parts = {}
    for name in ("default_factory", "maxlen", *slots(type(value))):
        if hasattr(type(value), name) and (part := slot(value, name)) is not MISSING:
            parts[f".{name}"] = part
    parts |= {f".{key}": part for key, part in getattr(value, "__dict__", {}).items()}
    if isinstance(value, dataclasses.Field):
        del parts[".type"]  # in a copy, hints are strings
    if not isinstance(value, OPEN) and hides(type(value)):
        if type(value) in (int, float, str, bytes, bool) or overrides_equality(type(value)):
            return None
        return parts | {"": inside(value)}
    return parts if parts or hasattr(value, "__dict__") else None


OPEN = (dict, list, tuple, deque, set, frozenset, partial)  # their items are their parts


def slots(cls: type) -> list[str]:
    """The names of its slots."""
    named = [vars(base).get("__slots__", ()) for base in cls.__mro__]
    each = [name for names in named for name in ([names] if isinstance(names, str) else names)]
    return [name for name in each if name not in ("__dict__", "__weakref__")]


def slot(value: Any, name: str) -> Any:
    """What is in a slot; MISSING if it is empty."""
    try:
        return object.__getattribute__(value, name)
    except AttributeError:
        return MISSING


def hides(cls: type) -> bool:
    """Whether its objects are larger than what Python sees of them: a part is in C."""
    seen = object.__basicsize__ + 8 * (2 + len(slots(cls)))  # __dict__, __weakref__, slots
    return bool(cls.__itemsize__ or cls.__basicsize__ > seen)


def overrides_equality(cls: type) -> bool:
    """Whether it is a class written in C that says what equal objects are."""
    return vars(cls).get("__eq__") is not None and is_installed(cls) and not cls.__dictoffset__


def inside(value: Any) -> tuple[Any, ...]:
    """What an object tells to be made again from, such as a random generator's state.

    Raises:
        TypeError: it does not tell.
    """
    parts = value.__reduce_ex__(4)
    return tuple(list(part) if isinstance(part, Iterator) else part for part in parts)


def equal(live: Any, built: Any) -> bool:
    """Whether two are equal in which Python sees no parts."""
    if getattr(type(live), "__eq__", None) is vars(object)["__eq__"]:
        return repr(inside(live)) == repr(inside(built))
    return bool(live == built or (live != live and built != built))


@lru_cache(maxsize=4096)
def globals_read(code: types.CodeType) -> frozenset[str]:
    """The global names that a function's code reads, and those inside it."""
    names = {
        step.argval
        for step in dis.get_instructions(code)
        if step.opname in ("LOAD_GLOBAL", "LOAD_NAME")
    }
    nested = [const for const in code.co_consts if isinstance(const, types.CodeType)]
    return frozenset(names).union(*map(globals_read, nested))


def surroundings(function: types.FunctionType) -> dict[str, Any]:
    """What the names mean that a function reads and does not assign: globals, and its closure."""
    code, scope = function.__code__, function.__globals__
    found = {name: scope[name] for name in globals_read(code) if name in scope}
    for name, cell in zip(code.co_freevars, function.__closure__ or (), strict=True):
        if name != "__class__" and cell != types.CellType():
            found[name] = cell.cell_contents
    return found


# ---- in words


def differ(live: Any, built: Any, path: str) -> str:
    """That two differ, with their values where these are short."""
    return f"{path} is {described(built)} in the script and {described(live)} here"


def described(value: Any) -> str:
    """A short value as it is, else its kind: 'gelu', a Tensor of shape (2, 3), a function."""
    if isinstance(value, torch.Tensor):
        kind = type(value).__name__
        return repr(value.item()) if value.numel() == 1 else f"a {kind} {tuple(value.shape)}"
    if isinstance(value, types.FunctionType):
        name = value.__name__
        return "a lambda" if name == "<lambda>" else f"the function {name}"
    if isinstance(value, type):
        return f"the class {value.__name__}"
    try:
        text = repr(value)
    except Exception:
        text = ""
    if text and len(text) <= 60 and "object at 0x" not in text and "\n" not in text:
        return text
    kind = type(value).__name__
    return f"{'an' if kind[0] in 'AEIOUaeiou' else 'a'} {kind}"
