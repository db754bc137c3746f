"""What else has a state in the objects of a call: generators, samplers, losses, counters.

The network's weights and the optimizer's memory are not all that a training goes on with. A loss
may learn, a data set may draw from a generator of its own, a network may count its steps. Such
parts are found here, each under the code that leads to it: `train_data.dataset.rng`.
"""

import copy
import functools
import io
import itertools
import keyword
import random
import re
import sys
import sysconfig
import types
from collections import OrderedDict, deque
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from tutorial import checks
from tutorial.loop.names import key_code

GENERATORS = (torch.Generator, np.random.Generator, np.random.RandomState, random.Random)
OF_ALL = (torch.default_generator, np.random.mtrand._rand, random._inst)
MOST = 2000  # objects that are looked at, besides modules
LONGEST = 100  # items of a list or a dict that is looked into
INSTALLED = tuple(
    {sysconfig.get_path(key) for key in ("stdlib", "platstdlib", "purelib", "platlib")}
)


class Parts:
    """The parts of a call that have a state, besides the network's and the optimizer's own.

    Args:
        names: what the loop's names stand for.
        callbacks: the names of its callbacks.
        before: those of an earlier call of the same model: how the same network, loss and
            optimizer were at first is known from there.
    """

    def __init__(
        self, names: Mapping[str, Any], callbacks: Iterable[str] = (), before: "Parts | None" = None
    ) -> None:
        self.callbacks = set(callbacks)
        self.roots = {
            name: value
            for name, value in names.items()
            if name in ("network", "optimizer")
            or name.startswith("loss_fn")
            or name.endswith("_data")
        } | {name: names[name] for name in self.callbacks if name in names}
        self.others = [value for name, value in names.items() if name not in self.roots]
        self.began: dict[str, Any] = {}  # for each attribute, what tells whether it has changed
        known = set()
        if before is not None:
            known = {name for name, value in self.roots.items() if before.roots.get(name) is value}
            self.began = {c: sign for c, sign in before.began.items() if root_of(c) in known}
        self.began |= {code: sign for code, _, sign in self._signs(self.roots.keys() - known)}
        self.ended: tuple[dict[str, Any], dict[str, Any]] = {}, {}
        self.lost: dict[str, Any] = {}  # what has changed, and no file can hold
        self.warned: set[str] = set()

    def __getstate__(self) -> dict[str, Any]:
        return {**vars(self), "others": []}  # such as modules, which cannot be pickled

    def found(self) -> dict[str, Any]:
        """Generators, modules and what else has a state, by the code that leads to each."""
        network = self.roots.get("network")
        stated = set(network.modules()) if isinstance(network, nn.Module) else set()
        parts = dict(self.ended[0])
        saved_anyway = self.callbacks | {"optimizer"}
        for code, value in self._walk():
            if isinstance(value, nn.Module):
                if value not in stated and learns_or_counts(value):
                    parts[code] = value
                    stated |= set(value.modules())
            elif isinstance(value, GENERATORS) or (has_state(value) and code not in saved_anyway):
                parts[code] = value
        return parts

    def attributes(self) -> dict[str, Any]:
        """The attributes that have changed since the call began, as they are now."""
        changed = dict(self.ended[1])
        for code, value, sign in self._signs(self.roots):
            if code in self.began and same(self.began[code], sign):
                continue
            if is_plain(value):
                changed[code] = value
            elif code in self.began:
                self.lost.setdefault(code, value)
        return changed

    def warn_of_losses(self) -> None:
        """Name, once, what has changed and cannot be written to a file."""
        for code, value in self.lost.items():
            if code not in self.warned:
                self.warned.add(code)
                warn_of_a_loss(code, value)

    def kept_workers(self) -> list[str]:
        """The loaders whose workers run, and stay from one epoch to the next."""
        return [name for name, value in self.roots.items() if has_kept_workers(value)]

    def numbers_before(self) -> dict[str, Any]:
        """What the numbers that have changed were when the call began."""
        return {
            code: self.began[code]
            for code, _, sign in self._signs(self.roots)
            if isinstance(self.began.get(code, NO_SIGN), NUMBERS)
            and not same(self.began[code], sign)
        }

    def load(
        self, parts: Mapping[str, Any], attributes: Mapping[str, Any]
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """Give the parts that are here the state that they had in a file; the others are left."""
        here = self.found() if parts else {}
        for code in parts.keys() & here.keys():
            load_part_state(here[code], parts[code])
        owners = dict(self._walk()) if attributes else {}
        for code, value in attributes.items():
            owner, _, name = code.rpartition(".")
            if owner in owners:
                setattr(owners[owner], name, copy.copy(value))
        return (
            {code: state for code, state in parts.items() if code not in here},
            {c: value for c, value in attributes.items() if c.rpartition(".")[0] not in owners},
        )

    # ---- a training that goes on from a checkpoint

    def mismatch(self, saved: Collection[str]) -> str | None:
        """What has a state in the file and not here, or here and not in the file."""
        here = {code for code in self.found() if root_of(code) not in self.callbacks}
        there = {code for code in saved if root_of(code) not in self.callbacks}
        for code in sorted(here ^ there):
            which = "the file, but not of this call" if code in there else "this call, but not of"
            more = "" if code in there else " the file"
            return f"{code} is of {which}{more}"
        return None

    def lines(self, saved: Mapping[str, Any]) -> dict[str, list[tuple[str, ...]]]:
        """The options of the loop that load what a file holds, in pieces of code.

        What a callback makes when the training begins is not here yet. A code from the file that
        does more than to lead to an object is left out.
        """
        here = self.found()
        lines: dict[str, list[tuple[str, ...]]] = {"PARTS": [], "ATTRIBUTES": []}
        for code, state in saved.get("parts", {}).items():
            if code in here or (is_safe(code) and root_of(code) in self.callbacks):
                way, called = loading_code(code, state)
                if called:
                    lines["PARTS"].append((way, code))
                else:
                    lines["ATTRIBUTES"].append((way, "parts", code))
        for code in saved.get("attributes", {}):
            if is_safe(code) and root_of(code) in self.roots:
                lines["ATTRIBUTES"].append((code, "attributes", code))
        lines["KEPT_WORKERS"] = [(name,) for name in saved.get("workers", ()) if name in self.roots]
        return lines

    def end(self) -> None:
        """Let go of the data: the call is over. What had a state in it is remembered."""
        data = {name for name in self.roots if name.endswith("_data")}
        parts, attributes = self.found(), self.attributes()
        self.ended = (
            {code: part for code, part in parts.items() if root_of(code) in data},
            {code: value for code, value in attributes.items() if root_of(code) in data},
        )
        self.roots = {name: value for name, value in self.roots.items() if name not in data}
        self.began = {code: sign for code, sign in self.began.items() if root_of(code) not in data}

    def _walk(self) -> Iterator[tuple[str, Any]]:
        return walk(self.roots, [*self.others, *OF_ALL])

    def _signs(self, roots: Collection[str]) -> Iterator[tuple[str, Any, Any]]:
        """Each attribute that can tell whether it has changed: its code, it, and what tells.

        Not a callback's own: it says itself what it goes on with, in `state_attributes`.
        """
        others = [self.roots[name] for name in self.roots if name not in roots]
        for code, owner in walk(
            {name: self.roots[name] for name in roots}, [*self.others, *OF_ALL, *others]
        ):
            if watched(owner) and root_of(code) not in self.callbacks:
                for name, value in own_attributes(owner):
                    sign = sign_of(value)
                    if sign is not NO_SIGN:
                        yield f"{code}.{name}", value, sign


def modules_in(loss_fns: Mapping[str, Any]) -> dict[str, nn.Module]:
    """The modules of losses, which may learn: by the code that leads to each."""
    found = Parts(loss_fns).found()
    return {code: part for code, part in found.items() if isinstance(part, nn.Module)}


def root_of(code: str) -> str:
    """The name with which the code begins."""
    return re.split(r"\W", code, maxsplit=1)[0]


# ---- the walk


def walk(roots: Mapping[str, Any], known: list[Any]) -> Iterator[tuple[str, Any]]:
    """All objects inside these, each once, with the shortest code that leads to it."""
    seen = {id(value): value for value in known}
    queue = deque(roots.items())
    left = MOST
    while queue and left:
        code, value = queue.popleft()
        if id(value) in seen or isinstance(value, ATOMS) or type(value) is TensorDataset:
            continue
        if (
            type(value).__module__ == "tutorial.model"
        ):  # one that a callback trains: it saves itself
            continue
        seen[id(value)] = value  # kept, so that no other one gets its id
        left -= not isinstance(value, nn.Module)
        yield code, value
        if not isinstance(value, GENERATORS):
            queue.extend(inside(code, value))


ATOMS = (
    *(type(None), bool, int, float, complex, str, bytes, torch.Tensor, np.ndarray, np.generic),
    *(type, types.ModuleType, types.BuiltinFunctionType, torch.dtype, torch.device),
)


def inside(code: str, value: Any) -> Iterator[tuple[str, Any]]:
    """What the object holds: attributes, items, and what its functions name."""
    if isinstance(value, nn.Module):
        of_items = isinstance(value, nn.Sequential | nn.ModuleList)
        for name, child in value._modules.items():
            odd = f"{code}._modules[{key_code(name)}]"  # it may have any name
            if isinstance(value, nn.ModuleDict):
                yield f"{code}[{key_code(name)}]", child
            elif of_items and name.isdigit():
                yield f"{code}[{name}]", child
            else:
                yield f"{code}.{name}" if name.isidentifier() else odd, child
    elif isinstance(value, dict) and len(value) <= LONGEST:
        yield from (
            (f"{code}[{key_code(key)}]", item)
            for key, item in value.items()
            if type(key) in (str, int)
        )
    elif isinstance(value, list | tuple) and len(value) <= LONGEST:
        yield from ((f"{code}[{i}]", item) for i, item in enumerate(value))
    elif isinstance(value, functools.partial):
        yield f"{code}.func", value.func
        yield from inside(f"{code}.args", value.args)
        yield from inside(f"{code}.keywords", value.keywords)
    elif isinstance(value, types.MethodType):
        yield f"{code}.__self__", value.__self__
    elif isinstance(value, types.FunctionType):
        for i, cell in enumerate(value.__closure__ or ()):
            with_content = getattr(cell, "cell_contents", None)
            yield f"{code}.__closure__[{i}].cell_contents", with_content
    if isinstance(value, types.FunctionType | types.MethodType):
        yield from parts_named(code, value)
    else:
        kind: Any = type(value)
        for cls in own_classes(kind):
            yield from ((f"{code}.{n}", v) for n, v in vars(cls).items() if is_part(v))
            for name, function in list(vars(cls).items()):
                if isinstance(function, types.FunctionType):
                    yield from parts_named(f"{code}.{name}", function)
        yield from ((f"{code}.{name}", part) for name, part in own_attributes(value))


@functools.lru_cache(maxsize=1024)
def own_classes(cls: type) -> tuple[type, ...]:
    """The user's own classes among those that a class is made from."""
    return tuple(base for base in cls.__mro__ if not is_installed(base))


def parts_named(code: str, function: Any) -> Iterator[tuple[str, Any]]:
    """What has a state among the globals that a function names: rng in `rng.random()`."""
    if is_installed(function):
        return
    names = function.__globals__
    for name in function.__code__.co_names:
        if is_part(names.get(name)):
            yield f'{code}.__globals__["{name}"]', names[name]


def own_attributes(value: Any) -> list[tuple[str, Any]]:
    """The attributes of an object that are its own; of a module, not its weights."""
    if not hasattr(value, "__dict__") or isinstance(value, types.FunctionType | types.MethodType):
        return []
    held = dict(vars(value))
    if isinstance(value, nn.Module):
        passing = value._non_persistent_buffers_set  # which are not in its state_dict
        held = {k: v for k, v in held.items() if k not in OF_MODULES}
        held |= {k: v for k, v in value._buffers.items() if k in passing}
    if isinstance(value, DataLoader):
        held.pop("_iterator", None)
    if isinstance(value, torch.optim.Optimizer):
        held = {k: v for k, v in held.items() if k not in OF_OPTIMIZERS}
    if is_callback(value):
        held = {k: v for k, v in held.items() if k not in ("model", "params")}
        held = {k: v for k, v in held.items() if k not in value.state_attributes}
    return [
        (name, part)
        for name, part in held.items()
        if name.isidentifier() and not keyword.iskeyword(name) and not name.startswith("__")
    ]


OF_MODULES = set(vars(nn.Module()))
OF_OPTIMIZERS = set(vars(torch.optim.SGD([torch.zeros(1)]))) | {
    *("step", "grad_scale", "found_inf", "_opt_called", "_step_supports_amp_scaling"),
}


def has_kept_workers(value: Any) -> bool:
    """Whether it is a loader whose workers run, and wait for the next epoch."""
    return isinstance(value, DataLoader) and value._iterator is not None


def start_new_workers(names: Mapping[str, Any]) -> None:
    """A call begins with new workers, as a new loader would: those of an earlier call end."""
    for value in names.values():
        if has_kept_workers(value):
            value._iterator = None


def is_installed(thing: Any) -> bool:
    """Whether a class or function is of a library, not of the user's."""
    module = str(getattr(thing, "__module__", ""))
    if module.partition(".")[0] in ("tutorial", "torch", "builtins"):
        return True
    file = getattr(sys.modules.get(module), "__file__", None)
    return module != "__main__" and (file is None or file.startswith(INSTALLED))


def is_part(value: Any) -> bool:
    """Whether it has a state of its own: a generator, a module, and the like."""
    return isinstance(value, GENERATORS) or (has_state(value) and not isinstance(value, type))


def has_state(value: Any) -> bool:
    """Whether it gives its state, and takes it back."""
    verbs = ("state_dict", "load_state_dict")
    return all(callable(getattr(type(value), verb, None)) for verb in verbs)


def is_callback(value: Any) -> bool:
    """Whether it is told of the training."""  # its own __getattr__ may fail, and is not asked
    return hasattr(type(value), "set_params") and hasattr(type(value), "set_model")


def learns_or_counts(module: nn.Module) -> bool:
    """Whether a module has a state that may change: not if it only has frozen weights."""
    weights = list(module.parameters())
    frozen = bool(weights) and not any(weight.requires_grad for weight in weights)
    return not frozen and bool(module.state_dict())


# ---- attributes that change


def watched(owner: Any) -> bool:
    """Whether an object's attributes are looked at: a module's, a sampler's, the user's own."""
    if is_callback(owner):
        cls = type(owner)  # a callback that says itself what its state is
        says = owner.state_attributes or "state_dict" in vars(cls) or is_installed(cls)
        return not says
    if isinstance(owner, nn.Module | torch.utils.data.Sampler):
        return True
    of_optimizer = isinstance(
        owner, torch.optim.Optimizer
    )  # its state_dict has no more than torch's
    return not is_installed(type(owner)) and (of_optimizer or not has_state(owner))


NUMBERS = (type(None), bool, int, float, complex, str)
NO_SIGN = object()
SMALL = 1000  # items of a collection that is looked at


def sign_of(value: Any, items: Iterator[int] | None = None) -> Any:
    """What changes when the value does; NO_SIGN if nothing can tell."""
    items = itertools.count() if items is None else items
    if next(items) > SMALL:
        return NO_SIGN
    if isinstance(value, NUMBERS):
        return value
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, torch.Tensor):
        if value.requires_grad or value.is_inference():
            return NO_SIGN  # a weight, or what was computed in passing
        return ("tensor", value, value._version)
    if isinstance(value, np.ndarray):
        return ("array", value.tobytes()) if value.nbytes <= SMALL * 8 else NO_SIGN
    if isinstance(value, io.IOBase):
        return ("file", position(value))
    if isinstance(value, types.GeneratorType):
        return ("generator", value, value.gi_frame and value.gi_frame.f_lasti)
    if hasattr(type(value), "__next__") and not hasattr(value, "__dict__"):
        length = getattr(value, "__length_hint__", int)
        return ("iterator", repr(value), length())
    if isinstance(value, dict):
        value = [part for pair in value.items() for part in pair]
    if isinstance(value, set | frozenset):
        value = sorted(value, key=repr)
    if isinstance(value, list | tuple | deque):
        if len(value) > SMALL:
            return NO_SIGN
        signs = [sign_of(part, items) for part in value]
        return NO_SIGN if any(sign is NO_SIGN for sign in signs) else ("items", *signs)
    return NO_SIGN


def position(file: Any) -> Any:
    """Where an open file is read or written next."""
    try:
        return file.tell()
    except (OSError, ValueError):
        return None


def same(a: Any, b: Any) -> bool:
    """Whether two signs are alike."""
    if isinstance(a, tuple) and isinstance(b, tuple):
        return len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, NUMBERS) and isinstance(b, NUMBERS):
        return type(a) is type(b) and repr(a) == repr(b)
    return a is b


def is_plain(value: Any) -> bool:
    """Whether a file can hold it: numbers, text, tensors, and lists and dicts of these."""
    if type(value) in (list, tuple, set):
        return all(map(is_plain, value))
    if type(value) in (dict, OrderedDict):
        return all(type(key) in (str, int) and is_plain(item) for key, item in value.items())
    return isinstance(value, (*NUMBERS, torch.Tensor, np.generic))


def warn_of_a_loss(code: str, value: Any) -> None:
    """Name what changes in a training, and is not saved."""
    kind = "an open file" if isinstance(value, io.IOBase) else f"a {type(value).__name__}"
    checks.warn(
        f"{code} is {kind} that changes while the model trains, and a checkpoint cannot hold it: "
        "a training that goes on from there will not be the same. Keep it in a buffer "
        "(self.register_buffer), in a number, a list or a dict; or give its class state_dict() "
        "and load_state_dict()."
    )


# ---- the state of one part


def part_state(part: Any) -> Any:
    """The state of a generator, or of what has a state_dict, in a form that a file can hold."""
    if isinstance(part, torch.Generator):
        return part.get_state()
    if isinstance(part, random.Random):
        return part.getstate()
    if isinstance(part, np.random.Generator):
        return listed(part.bit_generator.state)
    if isinstance(part, np.random.RandomState):
        return listed(part.get_state())
    return part.state_dict()


def load_part_state(part: Any, state: Any) -> None:
    """Give a part such a state."""
    if isinstance(part, torch.Generator | np.random.RandomState):
        part.set_state(state)
    elif isinstance(part, random.Random):
        part.setstate(state)
    elif isinstance(part, np.random.Generator):
        part.bit_generator.state = state
    else:
        part.load_state_dict(state)


def listed(state: Any) -> Any:
    """The same dicts and tuples, with lists for NumPy's arrays."""
    if isinstance(state, dict):
        return {key: listed(item) for key, item in state.items()}
    if isinstance(state, tuple):
        return tuple(listed(item) for item in state)
    return state.tolist() if isinstance(state, np.ndarray) else state


def loading_code(code: str, state: Any) -> tuple[str, bool]:
    """The code that takes such a state back, and whether it is called with it: rng.set_state."""
    if isinstance(state, torch.Tensor) or (isinstance(state, tuple) and state[0] == "MT19937"):
        return f"{code}.set_state", True
    if isinstance(state, tuple):
        return f"{code}.setstate", True
    if isinstance(state, dict) and "bit_generator" in state:
        return f"{code}.bit_generator.state", False
    return f"{code}.load_state_dict", True


# A code from a file becomes a line of a program: no more than attributes and items may be in it.
SAFE = re.compile(r'[A-Za-z]\w*(\.(?!__)[A-Za-z_]\w*|\[\d+\]|\["([^"\\\r\n]|\\.)*"\])*')


def is_safe(code: str) -> bool:
    """Whether the code only leads from one object to a part of it."""
    return SAFE.fullmatch(code) is not None and not keyword.iskeyword(code)
