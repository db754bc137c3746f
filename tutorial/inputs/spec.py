"""InputSpec: what an input or a label of a network looks like, said beforehand."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from keyword import iskeyword
from typing import Any

import torch

from tutorial.parameters import short


@dataclass(frozen=True)
class InputSpec:
    """The shape, type and name of one input or label.

    Args:
        shape: its sizes, the batch first; None (or -1) where a size may vary: (None, 1, 28, 28).
        dtype: its type, such as 'float32', 'int64' or torch.float32.
        name: its name in the unrolled loop, a Python name such as 'image'; without one it is x.

    Raises:
        ValueError: one of them is not that.

    Example:
        >>> image = InputSpec([None, 1, 28, 28], name="image")
        >>> image.shape, image.dtype
        ((None, 1, 28, 28), torch.float32)
        >>> image.example(2).shape
        torch.Size([2, 1, 28, 28])
    """

    shape: Sequence[int | None]
    dtype: str | torch.dtype = "float32"
    name: str | None = None

    def __post_init__(self) -> None:
        sizes = tuple(self.shape) if isinstance(self.shape, list | tuple | torch.Size) else ("?",)
        sizes = tuple(None if size == -1 else size for size in sizes)
        if any(size is not None and (type(size) is not int or size < 1) for size in sizes):
            raise ValueError(
                f"shape is {short(self.shape)}, but sizes from 1 are expected, with None where a "
                "size may vary: (None, 1, 28, 28)."
            )
        dtype = getattr(torch, self.dtype, None) if isinstance(self.dtype, str) else self.dtype
        if not isinstance(dtype, torch.dtype):
            raise ValueError(
                f"dtype is {short(self.dtype)}, but a type of torch is expected, such as 'float32'."
            )
        name = self.name if isinstance(self.name, str) else ""
        if self.name is not None and (not name.isidentifier() or iskeyword(name)):
            raise ValueError(
                f"name is {short(self.name)}, but a name as in Python is expected, such as "
                "'image': it stands in the unrolled loop."
            )
        object.__setattr__(self, "shape", sizes)
        object.__setattr__(self, "dtype", dtype)

    def example(self, size: int) -> torch.Tensor:
        """A tensor of zeros of this kind, with `size` wherever a size may vary."""
        assert isinstance(self.dtype, torch.dtype)
        return torch.zeros([size if n is None else n for n in self.shape], dtype=self.dtype)


def specs_of(name: str, given: Any) -> list[InputSpec] | None:
    """The InputSpecs in a list, as `Model` takes them: one, several, or a dict by their names."""
    if given is None:
        return None
    listed = list(given) if isinstance(given, list | tuple) else [given]
    if isinstance(given, Mapping):
        listed = list(given.values())
    for spec in listed:
        if not isinstance(spec, InputSpec):
            raise TypeError(
                f"{name} holds {short(spec)}, but InputSpec objects are expected, such as "
                'InputSpec((None, 1, 28, 28), name="image").'
            )
    if isinstance(given, Mapping):
        return [replace(spec, name=key) for key, spec in given.items()]
    return listed
