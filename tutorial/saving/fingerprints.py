"""Any object as small, plain text: the same for the same object, in each process.

Of numbers that lie together, such as a weight, there is a checksum (CRC-32); of very many, that of
a part, taken evenly. Nothing is drawn, read from a disk or called: attributes are looked at as they
lie there. What belongs to a machine, such as a path, is left out.
"""

import functools
import math
import random
import types
import zlib
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import torch
from torch import nn

from tutorial.saving.parts import GENERATORS, is_installed, own_attributes, part_state

MOST_BYTES, MOST_OF_A_ROW = 2**17, 2**19  # of one tensor's checksum; with one axis, such as labels
OF_A_NETWORK = 2**22  # of all its weights together
MOST_ITEMS = 20  # of a list that is written as it is
MOST_OBJECTS = 300
PLAIN = (type(None), bool, int, float)


def fingerprint(value: Any, known: tuple[Any, ...] = ()) -> Any:
    """An object in text, numbers, and dicts of these: its class, and what it holds.

    Args:
        value: anything.
        known: objects that are left out.

    Example:
        >>> fingerprint(nn.Dropout(0.5))
        {'': 'Dropout', 'p': 0.5, 'inplace': False}
        >>> fingerprint({"lr": 0.1, "x": torch.zeros(2, 3)})
        {'lr': 0.1, 'x': 'float32 (2, 3) a3c1ca20'}
    """
    return _Look(known).at(value)


def checksum(tensor: torch.Tensor, most: int | None = None) -> str:
    """The type and shape of a tensor, and a checksum of its bits: of at most so many bytes."""
    kind = f"{str(tensor.dtype).removeprefix('torch.')} {tuple(tensor.shape)}"
    if most is None:
        most = MOST_OF_A_ROW if tensor.ndim == 1 else MOST_BYTES
    try:
        with torch.no_grad():
            part = tensor.detach()
            while part.numel() * part.element_size() > max(most, 2**12):
                longest = max(range(part.ndim), key=lambda axis: part.shape[axis])
                part = part[(slice(None),) * longest + (slice(None, None, 2),)]
            # A copy, since what numpy() has seen can never be resized again; FSDP does that.
            copied = part.to("cpu", copy=True).contiguous()
            bits: Any = copied.reshape(-1).view(torch.uint8).numpy()
        return f"{kind} {zlib.crc32(bits):08x}"
    except (RuntimeError, TypeError, NotImplementedError):  # sparse, sharded or without any bits
        return kind


def tensors(named: Mapping[str, torch.Tensor], most: int = OF_A_NETWORK) -> dict[str, str]:
    """A checksum for each of these; the larger ones share so many bytes."""
    total = sum(tensor.nbytes for tensor in named.values())
    return {
        name: checksum(tensor, most * tensor.nbytes // max(total, most) + 1)
        for name, tensor in named.items()
    }


def modules(network: nn.Module) -> dict[str, str]:
    """Each module of a network, by its name: its class, with its own plain attributes."""
    return {name: line_of(module) for name, module in network.named_modules()}


def line_of(module: nn.Module) -> str:
    """A module on a line, such as Dropout(p=0.5, inplace=False)."""
    private = is_installed(type(module))
    arguments = ", ".join(
        f"{name}={written(part)!r}"
        for name, part in own_attributes(module)
        if is_plain(part) and not (private and name.startswith("_")) and not _is_path(part)
    )
    return f"{code_of(type(module))}({arguments})"


def name_of(value: Any) -> str:
    """The name of a function, or of an object's class."""
    return code_of(value if isinstance(value, types.FunctionType) else type(value))


def code_of(thing: Any) -> str:
    """The name of a function or class; of the user's own, with a checksum of its code."""
    name = str(getattr(thing, "__qualname__", type(thing).__name__)).replace("<locals>.", "")
    if is_installed(thing):
        return name
    functions = vars(thing).values() if isinstance(thing, type) else [thing]
    codes = [f.__code__ for f in functions if isinstance(f, types.FunctionType)]
    return f"{name}:{_crc(repr([_instructions(code) for code in codes]))}" if codes else name


def _instructions(code: types.CodeType) -> Any:
    """What a function does: no line numbers, no names of files."""
    constants = [
        _instructions(c)
        if isinstance(c, types.CodeType)
        else sorted(map(repr, c))
        if isinstance(c, frozenset)
        else repr(c)
        for c in code.co_consts
    ]
    return code.co_code.hex(), code.co_names, code.co_varnames, constants


def _crc(text: str) -> str:
    return f"{zlib.crc32(text.encode()):08x}"


class _Look:
    """One look at an object and what it holds, each once."""

    def __init__(self, known: tuple[Any, ...]) -> None:
        self.seen = {id(value): value for value in known}

    def at(self, value: Any, depth: int = 6) -> Any:
        try:
            return self._at(value, depth)
        except Exception:  # of any kind: it is the user's object
            return type(value).__name__

    def _at(self, value: Any, depth: int) -> Any:
        if is_plain(value):
            return written(value)
        if isinstance(value, str):
            return f"text of {len(value)} {_crc(value)}"
        if isinstance(value, torch.Tensor):
            return written(value.item()) if value.ndim == 0 else checksum(value)
        if isinstance(value, np.generic):
            return written(value.item())
        if isinstance(value, np.ndarray):
            return checksum(torch.from_numpy(value)) if value.dtype.kind in "biufc" else "array"
        if isinstance(value, torch.dtype | torch.device):
            return str(value).removeprefix("torch.")
        if isinstance(value, type):
            return code_of(value)
        if id(value) in self.seen or len(self.seen) > MOST_OBJECTS or depth == 0:
            return type(value).__name__
        self.seen[id(value)] = value
        if isinstance(value, GENERATORS):
            return f"{type(value).__name__} {_crc(_state_text(value))}"
        if isinstance(value, list | tuple | set | frozenset | range):
            return self.sequence(value, depth)
        parts = {name: self.at(part, depth - 1) for name, part in self.parts(value)}
        if isinstance(value, Mapping):
            return parts
        return {"": name_of(value), **parts} if parts else name_of(value)

    def sequence(self, value: Any, depth: int) -> Any:
        """A short one as it is; a checksum of many numbers; else its length and first items."""
        items = sorted(value, key=repr) if isinstance(value, set | frozenset) else value
        if isinstance(value, list | tuple) and len(value) <= MOST_ITEMS and all_plain(value):
            return written(value)
        kind = f"{type(value).__name__} of {len(value)}"
        some = list(items[:: max(1, len(items) // 2**14)])
        if all_plain(some):
            return f"{kind} {_crc(repr(some))}"
        first = {str(i): self.at(part, depth - 1) for i, part in enumerate(items[:3])}
        return {"": kind, **first}

    def parts(self, value: Any) -> Iterator[tuple[str, Any]]:
        """What an object holds, by names."""
        if isinstance(value, Mapping):
            yield from ((str(key), value[key]) for key in list(value)[:MOST_ITEMS])
        elif isinstance(value, functools.partial):
            yield from (("func", value.func), ("args", value.args), *value.keywords.items())
        elif isinstance(value, types.MethodType):
            yield from (("", value.__func__), ("self", value.__self__))
        elif isinstance(value, types.FunctionType):
            yield from _constants_of(value)
        else:
            private = is_installed(type(value))
            for name, part in own_attributes(value):
                if not (private and name.startswith("_")) and not _is_path(part):
                    yield name, part
            if isinstance(value, nn.Module):
                yield from value.named_children()
                yield from value.named_parameters(recurse=False)
                yield from value.named_buffers(recurse=False)


def all_plain(values: Any) -> bool:
    """Whether each of them is."""
    return all(map(is_plain, values))


def is_plain(value: Any) -> bool:
    """Whether it is short, and written as it is."""
    if isinstance(value, tuple):
        return len(value) <= 4 and all_plain(value)
    return isinstance(value, PLAIN) or (isinstance(value, str) and len(value) <= 80)


def written(value: Any) -> Any:
    """A plain value as JSON has it: lists for tuples, a word for what is not finite."""
    if isinstance(value, list | tuple):
        return [written(part) for part in value]
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


def _is_path(value: Any) -> bool:
    return hasattr(value, "__fspath__") or (
        isinstance(value, str) and ("/" in value or "\\" in value)
    )


def _constants_of(function: types.FunctionType) -> Iterator[tuple[str, Any]]:
    """What a function knows from around it: its defaults, its closure, plain globals."""
    if is_installed(function):
        return
    yield from ((f"default {i}", part) for i, part in enumerate(function.__defaults__ or ()))
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=False):
        yield name, getattr(cell, "cell_contents", None)
    for name in function.__code__.co_names:
        if isinstance(function.__globals__.get(name), PLAIN) and name in function.__globals__:
            yield name, function.__globals__[name]


def _state_text(generator: Any) -> str:
    """The state of a random generator, as text."""
    state = generator.getstate() if isinstance(generator, random.Random) else part_state(generator)
    return str(state.tolist()) if isinstance(state, torch.Tensor) else repr(state)
