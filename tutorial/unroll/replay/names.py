"""What a loop's names stand for: which of them are shown, and the weights of its network."""

from collections.abc import Iterator, Mapping
from types import BuiltinFunctionType, FunctionType, MethodType, ModuleType
from typing import Any

import numpy as np
from torch import Tensor, nn

from tutorial.loop.names import TOOLS
from tutorial.unroll.replay.summaries import said

WEIGHTS = 40  # of the network, the first ones, which are shown
MEMBERS = 100  # of a list or dict, which are looked at
DEEP = 6  # so far into lists of lists; one may hold itself


def is_shown(name: str, value: Any) -> bool:
    """Whether it is a value of the loop's, rather than one of its tools."""
    tool = isinstance(value, ModuleType | type) or value is TOOLS.get(name, ...)
    called = isinstance(value, FunctionType | BuiltinFunctionType | MethodType)
    return not (tool or called or name in ("model", "report") or name[0] == "_")


def parts_of(named: Mapping[str, Any], depth: int = DEEP) -> Iterator[tuple[str, Any]]:
    """Names with their values; of a batch that is a dict or a tuple each part, as x['image']."""
    for name, value in named.items():
        if is_weight(value):
            value = value.data
        if depth and is_batch(value):
            parts = {f"{name}[{said(key)}]": part for key, part in members(value).items()}
            yield from parts_of(parts, depth - 1)
        else:
            yield name, value


def is_weight(value: Any) -> bool:
    """Whether it is a weight at depth "numpy"."""
    return list(getattr(value, "__dict__", ())) == ["data", "grad"]


def is_batch(value: Any) -> bool:
    """Whether it is a dict or a tuple with tensors, each of which is shown."""
    nest = isinstance(value, dict | tuple) and len(value) <= MEMBERS
    return nest and any(map(is_array, members(value).values()))


def members(value: Any) -> dict[Any, Any]:
    """The parts of a dict or a tuple by their keys."""
    return dict(value) if isinstance(value, dict) else dict(enumerate(value))


def weights_of(network: Any) -> Iterator[tuple[str, Any, Any, bool]]:
    """The network's weights and buffers: name, value, gradient, and whether it is a weight."""
    found: list[tuple[str, Any, Any, bool]] = []
    if isinstance(network, nn.Module):
        found += [(n, w, w.grad, True) for n, w in network.named_parameters()]
        found += [(n, buffer, None, False) for n, buffer in network.named_buffers()]
    elif hasattr(network, "weights") and hasattr(network, "arrays"):  # of depth "numpy"
        found += [(n, w.data, w.grad, True) for n, w in network.weights.items()]
        found += [(n, buffer, None, False) for n, buffer in network.arrays.items()]
    for name, *rest in found[:WEIGHTS]:
        yield f"network.{name}", *rest


def is_array(value: Any) -> bool:
    """Whether it has numbers, a shape and a type."""
    return isinstance(value, Tensor | np.ndarray)
