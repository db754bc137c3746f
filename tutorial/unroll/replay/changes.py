"""What a line has changed: which values may be others now, and whether they are, bit by bit."""

import math
import re
import weakref
from collections.abc import Iterator
from types import CodeType
from typing import Any

import numpy as np
import torch
from torch import Tensor

from tutorial.unroll.replay.names import DEEP, MEMBERS, is_array, is_shown
from tutorial.unroll.replay.summaries import as_tensor, lies_in_memory, plain, summary

# Functions in these files change nothing but what a line gives them, which is seen to anyhow.
OPENLY = (
    "torch/nn/functional.py",
    "torch/nn/_reduction.py",
    "torch/functional.py",
    "torch/_tensor.py",
    "torch/autograd/grad_mode.py",
    "torch/utils/_contextlib.py",
    "tutorial/depth/kernels.py",
)
# What changes numbers without a count.
HIDING = re.compile(r"\.data\b|numpy|_fused|_foreach|dlpack|\bset_\(|setattr|getattr")
READING = ("parameters", "named_parameters", "_named_members", "named_modules", "<lambda>")


class Kept:
    """A value as it was, to see whether it is still the same in every bit.

    >>> weight = torch.ones(2)
    >>> before = Kept(weight)
    >>> weight.data[1] = 4.0
    >>> before.is_still(weight), before.moved_to(Kept(weight))["size"]
    (False, 3.0)
    """

    def __init__(self, value: Any) -> None:
        dense = as_dense(value)
        self.tensor = None if dense is None else dense.clone()
        self.summary = summary(value)

    def is_still(self, value: Any) -> bool:
        """Whether it has not changed."""
        dense = as_dense(value)
        if dense is None or self.tensor is None:
            return dense is self.tensor and summary(value) == self.summary
        alike = dense.dtype == self.tensor.dtype and dense.shape == self.tensor.shape
        return alike and torch.equal(bits(dense), bits(self.tensor))

    def moved_to(self, other: "Kept") -> dict[str, Any] | None:
        """How far a weight has moved: the norm of the difference, and its share of the weight's."""
        if self.tensor is None or other.tensor is None:
            return None
        before, after = countable(self.tensor), countable(other.tensor)
        size, norm = (after - before).norm().item(), before.norm().item()
        return {"size": plain(size), "share": plain(size / norm if norm else math.inf)}


class Known:
    """What a name stood for: the object, where its numbers lie, and how they were."""

    def __init__(self, value: Any, place: Any, kept: Kept) -> None:
        # An array may go when the loop forgets it.
        self.object = weakref.ref(value) if is_array(value) else lambda: value
        self.version = version_of(value)
        self.place, self.span, self.kept = place, span(value), kept

    def is_the_same(self, value: Any) -> bool:
        """Whether it is the same object, and no operation of torch's has counted a change."""
        return self.object() is value and version_of(value) == self.version


def as_dense(value: Any) -> Tensor | None:
    """The tensor of a value that can be compared bit by bit; of others nothing."""
    if isinstance(value, np.ndarray):
        return as_tensor(value) if value.dtype.kind in "biufc" else None
    return value.detach() if lies_in_memory(value) else None


def countable(tensor: Tensor) -> Tensor:
    """A tensor with which one can calculate: not of integers, nor of 8 bits."""
    wide = tensor.element_size() > 1 and (tensor.is_floating_point() or tensor.is_complex())
    return tensor if wide else tensor.double()


def version_of(value: Any) -> Any:
    """How often torch's operations have changed a tensor; not equal to any where none counts."""
    if not isinstance(value, Tensor):
        return None
    return math.nan if value.is_inference() else value._version


BITS = {1: torch.uint8, 2: torch.int16, 4: torch.int32, 8: torch.int64}


def bits(tensor: Tensor) -> Tensor:
    """A tensor's bits as integers, of which nan equals nan, and 0.0 is not -0.0."""
    real = torch.view_as_real(tensor.resolve_conj()) if tensor.is_complex() else tensor
    return real.view(BITS[real.element_size()])


# ---- where values lie


def place_of(value: Any) -> Any:
    """Where the numbers of an array lie, and its shape; else which object, or which number it is.

    >>> weight = torch.ones(2, 3)
    >>> place_of(weight) == place_of(weight.detach()) != place_of(weight.T)
    True
    """
    if isinstance(value, PLAIN):
        return type(value), value if isinstance(value, int) else repr(value)
    if isinstance(value, np.ndarray):
        return "array", value.ctypes.data, value.shape, value.strides
    if lies_in_memory(value):
        return value.dtype, value.data_ptr(), value.shape, value.stride()
    return "object", id(value)


def span(value: Any) -> range:
    """The memory between the first and the last number of an array."""
    if isinstance(value, np.ndarray):
        return range(*np.lib.array_utils.byte_bounds(value))
    if not lies_in_memory(value) or not value.numel():
        return range(0)
    last = sum((n - 1) * step for n, step in zip(value.shape, value.stride(), strict=True))
    return range(value.data_ptr(), value.data_ptr() + (last + 1) * value.element_size())


def overlap(one: range, others: list[range]) -> bool:
    """Whether some memory is a part of one of the others.

    >>> overlap(range(4, 8), [range(6), range(20, 30)]), overlap(range(8, 12), [range(8)])
    (True, False)
    """
    return any(one.start < other.stop and other.start < one.stop for other in others)


# ---- what a line reaches


def parts_in(value: Any, depth: int = DEEP) -> Iterator[Any]:
    """A value, and all that is in it where it is a nest of lists and dicts."""
    yield value
    if depth and isinstance(value, list | tuple | dict):
        for item in value.values() if isinstance(value, dict) else value:
            yield from parts_in(item, depth - 1)


def is_open(value: Any, depth: int = DEEP) -> bool:
    """Whether all that it reaches can be seen: no object such as a network is in it."""
    if isinstance(value, list | tuple | dict):
        items = [*value.values()] if isinstance(value, dict) else value
        return depth > 0 and len(items) <= MEMBERS and all(is_open(i, depth - 1) for i in items)
    return isinstance(value, PLAIN | range) or is_array(value) or not is_shown("value", value)


PLAIN = bool | int | float | complex | str | None  # which cannot change


def changes_openly(code: CodeType) -> bool:
    """Whether a function changes at most what it is given.

    `backward` stands in torch/_tensor.py, too, and gives every weight its gradient.
    """
    file, name = code.co_filename, code.co_name
    if file.endswith("torch/nn/modules/module.py"):
        return name in READING
    return file.endswith(OPENLY) and name != "backward"
