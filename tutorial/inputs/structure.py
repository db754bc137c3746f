"""What a batch holds: which of its parts are inputs, which are labels, and their names in the loop.

A plain batch is a pair (x, y). But there may be several inputs and labels, nested or in dicts, and
a network may give several outputs. The structure is inferred from a batch, see readings.py.

A part is known by its path: the variable that the loop binds, then keys, fields and places in it.
("x",) is written x, and ("batch", "image") is written batch["image"].
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import reduce
from keyword import iskeyword
from typing import Any
from unicodedata import normalize

import numpy as np
import torch
from torch.nn.utils.rnn import PackedSequence

from tutorial.inputs.matching import (
    Arguments,
    Part,
)
from tutorial.loop.names import key_code
from tutorial.loop.options import Code

Path = tuple[Any, ...]
Pattern = str | tuple["Pattern", ...]  # what an assignment binds: "x", or (("x_0", "x_1"), "y")


class Field(str):
    """The name of a field, as a step of a path: y_hat.mean."""

    __slots__ = ()


@dataclass(frozen=True)
class BatchStructure:
    """How a batch is unpacked, and what the loop calls its parts.

    Attributes:
        pattern: what the loop binds: ("x", "y"), (("image", "text"), "y"), ("inputs", "y") where
            the inputs are a dict, or "batch" where all is one dict.
        inputs: the paths of the inputs.
        labels: those of the labels.
        arguments: what the network is called with, by keyword or (None) by place, if that is not
            just the inputs.
        labels_unknown: whether only the loop will see if there are labels, which it does not need.
        said: the variables whose names the user gave: of InputSpecs, and of a NamedTuple's fields.
        optional: the labels that are left out where nothing compares them.
        names: the name of each input, as key, field, InputSpec or parameter of forward: a loss
            may ask for it.
        counts: code for the number of samples, by the part that tells it, where the first input
            does not.
        doubt: what to say if the network cannot be called like this.
    """

    pattern: Pattern = ("x", "y")
    inputs: tuple[Path, ...] = (("x",),)
    labels: tuple[Path, ...] = (("y",),)
    arguments: Arguments | None = None
    labels_unknown: bool = False
    said: tuple[str, ...] = ()
    optional: tuple[Path, ...] = ()
    names: tuple[str | None, ...] = field(default=(), compare=False)
    counts: tuple[tuple[Path, str], ...] | None = None
    doubt: str = ""

    def options(self) -> dict[str, Any]:
        """The options for `unroll` that differ from a plain (x, y) batch."""
        options: dict[str, Any] = {}
        if self.inputs != (("x",),):
            options["x"] = codes(self.inputs)
        if self.labels != (("y",),):
            options["y"] = codes(self.labels)
        if self.pattern != ("x", "y"):
            options["UNPACK"] = Code(pattern_code(self.pattern))
        if self.arguments is not None:
            options["NETWORK_CALL"] = Code(self.call_code())
        return options | ({"LABELS_UNKNOWN": True} if self.labels_unknown else {})

    def roots(self) -> set[str]:
        """The variables that hold the batch: x, y."""
        return {path[0] for path in (*self.inputs, *self.labels)} | set(variables(self.pattern))

    def unpack(self, batch: Any) -> dict[str, Any]:
        """The batch's parts by the names of their variables, as the loop's `for` binds them."""
        return bind(self.pattern, batch)

    def call_arguments(self, names: Mapping[str, Any]) -> tuple[list[Any], dict[str, Any]]:
        """What the network is called with, by place and by keyword."""
        return values_of(self.arguments or tuple((None, path) for path in self.inputs), names)

    def call_code(self) -> str:
        """The call of the network as code."""
        arguments = self.arguments or tuple((None, path) for path in self.inputs)
        return call_code("network", arguments)

    def label_parts(self) -> list[Part]:
        """The labels, with their names."""
        return [Part(path, self.name_of(path), path in self.optional) for path in self.labels]

    def whole_labels(self) -> Any:
        """All labels as one: labels, batch, or (y_0, y_1)."""
        roots = tuple(dict.fromkeys(path[:1] for path in self.labels))
        return roots[0] if len(roots) == 1 else roots or ("y",)

    def named_inputs(self) -> list[Part]:
        """The inputs that have names: a loss may ask for one."""
        pairs = zip(self.inputs, self.names, strict=False)
        return [Part(path, name) for path, name in pairs if name]

    def samples(self) -> str:
        """Code for the number of samples in a batch."""
        if self.counts is None:
            return f"len({code(self.inputs[0])})"
        for path, written in self.counts:
            if path in self.inputs or path in self.labels:
                return written
        raise ValueError(
            "no part of a batch tells how many samples it holds: none is a tensor or has a len(). "
            "Give the class of the batch a method __len__."
        )

    def name_of(self, path: Path) -> str | None:
        """The key, the field or the InputSpec's name of what stands there."""
        known = len(path) > 1 or path[0] in self.said
        return path[-1] if known and isinstance(path[-1], str) else None

    def using(self, used: Iterable[Path]) -> "BatchStructure":
        """The same without the optional labels that are not used."""
        roots = list(used)
        unused = [
            path
            for path in self.optional
            if not any(path[: len(root)] == root for root in roots) and path not in self.inputs
        ]
        labels = tuple(path for path in self.labels if path not in unused)
        kept = {path[0] for path in (*self.inputs, *labels)}
        gone = {path[0] for path in unused} - kept
        optional = tuple(path for path in self.optional if path not in unused)
        pattern = blanked(self.pattern, gone)
        return replace(self, pattern=pattern, labels=labels, optional=optional)


@dataclass(frozen=True)
class OutputStructure:
    """What a network returns.

    Attributes:
        pattern: what the loop binds: "y_hat", or ("y_hat_0", "y_hat_1").
        paths: the outputs' paths.
        keys: the keys, where the network returns a dict.
    """

    pattern: Pattern = "y_hat"
    paths: tuple[Path, ...] = (("y_hat",),)
    keys: tuple[Any, ...] | None = None

    @classmethod
    def of(cls, y_hat: Any) -> "OutputStructure":
        """The structure of such an output."""
        if isinstance(y_hat, Mapping):
            paths = tuple(path for path, _ in leaves(("y_hat",), y_hat))
            return cls("y_hat", paths, tuple(y_hat))
        if is_named_tuple(y_hat):
            return cls("y_hat", tuple(path for path, _ in leaves(("y_hat",), y_hat)))
        if is_nested(y_hat):
            names = numbered("y_hat", len(list(variables(y_hat))))
            return cls(pattern_of(y_hat, iter(names)), tuple((name,) for name in names))
        return cls()

    @classmethod
    def of_prediction(cls, y_hat: Any) -> "OutputStructure":
        """The same, but what is nested in a dict stays so: one prediction for each key."""
        found = cls.of(y_hat)
        paths = tuple(("y_hat", key) for key in y_hat) if found.keys is not None else found.paths
        return cls(found.pattern, paths, found.keys)

    def whole(self) -> Any:
        """All outputs as one: y_hat, or (y_hat_0, y_hat_1)."""
        return ("y_hat",) if self.pattern == "y_hat" else nested_paths(self.pattern)

    def parts(self) -> list[Part]:
        """The outputs, with their names."""
        named = [(path, path[-1] if len(path) > 1 else None) for path in self.paths]
        return [Part(path, name if isinstance(name, str) else None) for path, name in named]

    def options(self) -> dict[str, Any]:
        """The options for `unroll` that differ from a single tensor."""
        if self == OutputStructure():
            return {}
        options: dict[str, Any] = {"UNPACK_OUTPUT": Code(pattern_code(self.pattern))}
        if self.paths != (("y_hat",),):
            options["y_hat"] = codes(self.paths)
        if self.keys is not None:
            return options | {"OUTPUTS": "named", "OUTPUT_NAMES": self.keys}
        return options | {"OUTPUTS": "several"}


# ---- nested structures


def variables(nested: Any) -> Iterator[Any]:
    """What a pattern binds to names: all that is in tuples and lists."""
    if is_nested(nested):
        for part in nested:
            yield from variables(part)
    else:
        yield nested


def pattern_of(nested: Any, names: Iterator[str]) -> Pattern:
    """The pattern that unpacks tuples and lists: (("x_0", "x_1"), "y")."""
    if not is_nested(nested):
        return next(names)
    return tuple(pattern_of(part, names) for part in nested)


def nested_paths(pattern: Pattern) -> Any:
    """The paths of a pattern's variables, nested as these are."""
    return (pattern,) if isinstance(pattern, str) else tuple(map(nested_paths, pattern))


def bind(pattern: Pattern, value: Any) -> dict[str, Any]:
    """The names of a pattern and what they are bound to."""
    if isinstance(pattern, str):
        return {pattern: value}
    bound: dict[str, Any] = {}
    for part, inner in zip(pattern, value, strict=True):
        bound |= bind(part, inner)
    return bound


def leaves(path: Path, part: Any) -> Iterator[tuple[Path, Any]]:
    """The tensors in a part, each with its path."""
    if isinstance(part, Mapping):
        for key, value in part.items():
            yield from leaves((*path, key), value)
    elif is_named_tuple(part):
        for field, value in zip(part._fields, part, strict=True):
            yield from leaves((*path, Field(field)), value)
    elif is_nested(part):
        for i, value in enumerate(part):
            yield from leaves((*path, i), value)
    else:
        yield path, part


def value_at(path: Path, names: Mapping[str, Any]) -> Any:
    """What stands there; of several paths, a tuple."""
    if isinstance(path[0], tuple):
        return tuple(value_at(each, names) for each in path)
    return reduce(item, path, names)


def item(part: Any, key: Any) -> Any:
    """One step of a path."""
    return getattr(part, key) if isinstance(key, Field) else part[key]


def values_of(arguments: Arguments, names: Mapping[str, Any]) -> tuple[list[Any], dict[str, Any]]:
    """What a call gets, by place and by keyword."""
    by_place = [value_at(path, names) for keyword, path in arguments if keyword is None]
    by_name = {keyword: value_at(path, names) for keyword, path in arguments if keyword}
    return by_place, by_name


def tree_map(function: Callable[[Any], Any], nested: Any) -> Any:
    """The same nested structure with the function's results in place of its leaves."""
    if isinstance(nested, Mapping):
        return {key: tree_map(function, part) for key, part in nested.items()}
    if is_nested(nested):
        parts = [tree_map(function, part) for part in nested]
        return type(nested)(*parts) if is_named_tuple(nested) else parts
    return function(nested)


def is_array(part: Any) -> bool:
    """Whether it is a tensor or an array of NumPy's."""
    return isinstance(part, torch.Tensor | np.ndarray)


def is_nested(part: Any) -> bool:
    """Whether it is a tuple or a list of parts. A PackedSequence is a tuple, but one thing."""
    return isinstance(part, list | tuple) and not isinstance(part, PackedSequence)


def is_named_tuple(part: Any) -> bool:
    """Whether it is a tuple whose parts have names."""
    return is_nested(part) and hasattr(part, "_fields")


def blanked(pattern: Pattern, names: set[str]) -> Pattern:
    """The pattern with _ in place of these names."""
    if isinstance(pattern, str):
        return "_" if pattern in names else pattern
    return tuple(blanked(part, names) for part in pattern)


# ---- paths and patterns as code


def code(path: Path) -> Code:
    """The path as code, batch["image"]; of several paths, a tuple."""
    if isinstance(path[0], tuple):
        return Code(f"({', '.join(map(code, path))}{',' if len(path) == 1 else ''})")
    name, *keys = path
    return Code(name + "".join(map(item_code, keys)))


def call_code(function: str, arguments: Arguments) -> Code:
    """A call as code: network(image, text=text)."""
    named = {k: code(path) for k, path in arguments if k is not None}
    odd = [f"{key_code(k)}: {path}" for k, path in named.items() if not is_keyword(k)]
    written = [
        *(code(path) for k, path in arguments if k is None),
        *(f"{k}={path}" for k, path in named.items() if is_keyword(k)),
        *([f"**{{{', '.join(odd)}}}"] if odd else []),
    ]
    return Code(f"{function}({', '.join(written)})")


def is_keyword(name: str) -> bool:
    """Whether it can be written as the name of an argument, and Python takes it as it stands."""
    return name.isidentifier() and not iskeyword(name) and normalize("NFKC", name) == name


def item_code(key: Any) -> str:
    """An item of a dict or a list as code, ["image"]; or a field, .mean."""
    if isinstance(key, Field):
        return f".{key}"
    return f"[{key_code(key)}]"


def codes(paths: Sequence[Path]) -> tuple[Code, ...]:
    """Several paths as code."""
    return tuple(map(code, paths))


def pattern_code(pattern: Pattern) -> str:
    """The pattern as code: ((x_0, x_1), y)."""
    if isinstance(pattern, str):
        return pattern
    parts = [pattern_code(part) for part in pattern]
    return f"({', '.join(parts)}{',' if len(parts) == 1 else ''})"


def numbered(stem: str, count: int) -> list[str]:
    """x, or x_0, x_1, ..."""
    return [stem] if count == 1 else [f"{stem}_{i}" for i in range(count)]


def arguments(inputs: Any, make: Callable[[Any], Any]) -> tuple[list[Any], dict[str, Any]]:
    """What to call a network with, by place and by keyword, made of nested InputSpecs."""
    made = tree_map(make, inputs)
    return ([], made) if isinstance(made, dict) else (made, {})


def in_hand(inputs: Any, labels: Any) -> list[Any]:
    """A batch from the arguments of train_batch and the like; NumPy's arrays become tensors.

    Args:
        inputs: a tensor, or several in a list or a dict.
        labels: the same, or None.
    """
    parts = [[] if part is None else part for part in (inputs, labels)]
    nested = [part if isinstance(part, list | tuple) else [part] for part in parts]
    return list(tree_map(as_tensor, nested))


def as_tensor(leaf: Any) -> Any:
    """An array of NumPy's as a tensor; anything else as it is."""
    return torch.as_tensor(leaf) if isinstance(leaf, np.ndarray) else leaf


def first(count: int, batch: Any) -> Any:
    """The first samples of a batch."""
    return tree_map(
        lambda leaf: leaf[:count] if isinstance(leaf, torch.Tensor) and leaf.dim() else leaf, batch
    )
