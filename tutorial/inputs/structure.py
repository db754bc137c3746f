"""What a batch holds: which of its parts are inputs, which are labels, and their names in the loop.

A plain batch is a pair (x, y). But there may be several inputs and labels, nested or in dicts, and
a network may give several outputs. The structure is inferred from the first samples.

A part is known by its path: the variable that the loop binds, then keys and places in it. ("x",) is
written x, and ("batch", "image") is written batch["image"].
"""

import inspect
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from inspect import Parameter
from operator import getitem
from typing import Any

import numpy as np
import torch
from torch import nn

from tutorial.inputs.spec import InputSpec
from tutorial.loop.options import Code

Path = tuple[Any, ...]
Pattern = str | tuple["Pattern", ...]  # what an assignment binds: "x", or (("x_0", "x_1"), "y")


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
    """

    pattern: Pattern = ("x", "y")
    inputs: tuple[Path, ...] = (("x",),)
    labels: tuple[Path, ...] = (("y",),)
    arguments: tuple[tuple[str | None, Path], ...] | None = None
    labels_unknown: bool = False

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

    def unpack(self, batch: Any) -> dict[str, Any]:
        """The batch's parts by the names of their variables, as the loop's `for` binds them."""
        return bind(self.pattern, batch)

    def call_arguments(self, names: Mapping[str, Any]) -> tuple[list[Any], dict[str, Any]]:
        """What the network is called with, by place and by keyword."""
        arguments = self.arguments or [(None, path) for path in self.inputs]
        by_place = [value_at(path, names) for keyword, path in arguments if keyword is None]
        by_name = {keyword: value_at(path, names) for keyword, path in arguments if keyword}
        return by_place, by_name

    def call_code(self) -> str:
        """The call of the network as code."""
        arguments = self.arguments or [(None, path) for path in self.inputs]
        written = [f"{keyword}={code(p)}" if keyword else code(p) for keyword, p in arguments]
        return f"network({', '.join(written)})"


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
    keys: tuple[str, ...] | None = None

    @classmethod
    def of(cls, y_hat: Any) -> "OutputStructure":
        """The structure of such an output."""
        if isinstance(y_hat, Mapping):
            paths = tuple(path for path, _ in leaves(("y_hat",), y_hat))
            return cls("y_hat", paths, tuple(map(str, y_hat)))
        if isinstance(y_hat, list | tuple):
            names = numbered("y_hat", len(list(variables(y_hat))))
            return cls(pattern_of(y_hat, iter(names)), tuple((name,) for name in names))
        return cls()

    @classmethod
    def of_prediction(cls, y_hat: Any) -> "OutputStructure":
        """The same, but what is nested in a dict stays so: one prediction for each key."""
        found = cls.of(y_hat)
        paths = tuple(("y_hat", key) for key in y_hat) if found.keys is not None else found.paths
        return cls(found.pattern, paths, found.keys)

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


def structure_of(
    batch: Any,
    network: nn.Module,
    inputs: Sequence[InputSpec] | None = None,
    labels: Sequence[InputSpec] | None = None,
    predicting: bool = False,
) -> BatchStructure:
    """Find out what in a batch are inputs and what are labels, and name them.

    If `inputs` are given, so many tensors are the inputs, and the rest are labels. Else a pair with
    something nested in it is (inputs, labels); and of a flat batch the network gets as many parts
    as its forward has arguments without a default. From a dict it gets those that forward can take.

    Args:
        batch: a tensor, or tensors in nested tuples, lists and dicts.
        network: what takes the inputs.
        inputs: what the inputs are, if that was said.
        labels: what the labels are, if that was said.
        predicting: labels are not needed, and have no names.

    Raises:
        ValueError: the batch does not hold what is said of it.
    """
    if isinstance(batch, Mapping):
        return structure_of_dict(batch, network, inputs, labels)
    parts = list(variables(batch))
    count = inputs_among(batch, parts, network, inputs, labels, predicting)
    x_names = named("x", parts[:count], inputs)
    y_names = named("y", parts[count:], labels)
    arguments: tuple[tuple[str | None, Path], ...] | None = None
    if any(isinstance(part, Mapping) for part in parts[:count]):
        arguments = tuple((None, (name,)) for name in x_names)  # it takes a dict as it is
        if count == 1 and set(parts[0]) <= set(parameters(network)):
            arguments = arguments_by_name((x_names[0],), parts[0], network)
    bound = [*x_names, *(["_"] * len(y_names) if predicting else y_names)]
    return BatchStructure(
        pattern_of(batch, iter(bound)),
        paths_in(x_names, parts[:count]),
        paths_in(y_names, parts[count:]),
        arguments,
    )


def structure_of_dict(
    batch: Mapping[str, Any],
    network: nn.Module,
    inputs: Sequence[InputSpec] | None,
    labels: Sequence[InputSpec] | None,
) -> BatchStructure:
    """The structure of a batch that is a dict: `batch`, and the parts that its keys name."""
    takes = [name for name in parameters(network) if name in batch]
    x_keys = [str(spec.name) for spec in inputs] if inputs else takes
    rest = [key for key in batch if key not in x_keys]
    y_keys = [str(spec.name) for spec in labels] if labels is not None else rest
    missing = [key for key in (*x_keys, *y_keys) if key not in batch]
    if missing or not x_keys:
        raise ValueError(
            f"a batch is a dict with the keys {', '.join(map(repr, batch))}, but "
            f"{f'{missing[0]!r} is not among them' if missing else 'none of them is an input'}: "
            f"{type(network).__name__}.forward takes {', '.join(parameters(network)) or 'nothing'}."
            " Say which are the inputs: Model(network, inputs=[InputSpec(shape, name=key), ...])."
        )
    x = [path for key in x_keys for path, _ in leaves(("batch", key), batch[key])]
    y = [path for key in y_keys for path, _ in leaves(("batch", key), batch[key])]
    by_name = not inputs or set(x_keys) <= set(parameters(network))
    arguments = arguments_by_name(("batch",), x_keys, network) if by_name else None
    return BatchStructure("batch", tuple(x), tuple(y), arguments)


def inputs_among(
    batch: Any,
    parts: list[Any],
    network: nn.Module,
    inputs: Sequence[InputSpec] | None,
    labels: Sequence[InputSpec] | None,
    predicting: bool,
) -> int:
    """How many of the parts are inputs: the first ones."""
    if inputs or (labels and not predicting):
        sizes = [len(list(leaves((), part))) for part in parts]
        said = len(inputs) if inputs else sum(sizes) - len(labels or ())
        for count in range(len(parts) + 1):
            if sum(sizes[:count]) == said and (labels is None or predicting or not inputs):
                return count
            if sum(sizes[:count]) == said and sum(sizes[count:]) == len(labels or ()):
                return count
        raise ValueError(
            f"a batch holds {sum(sizes)} tensors, but Model(inputs=..., labels=...) names "
            f"{len(inputs or ())} inputs and {len(labels or ())} labels. Name each tensor once."
        )
    if not isinstance(batch, list | tuple):
        return 1
    if len(batch) <= 2 and any(isinstance(part, list | tuple | Mapping) for part in batch):
        return len(list(variables(batch[0])))
    needed = required(network)
    if needed is None and predicting and len(parts) > 1:
        raise ValueError(
            f"a batch holds {len(parts)} tensors, and {type(network).__name__}.forward takes any "
            "number of inputs, so it is not known which of them are labels. Say what the inputs "
            "are: Model(network, inputs=[InputSpec(shape, name=...), ...])."
        )
    most = len(parts) if predicting or len(parts) == 1 else len(parts) - 1
    return most if needed is None else min(max(needed, 1), most)


# ---- the network's arguments


def parameters(network: nn.Module, also: Any = Parameter.KEYWORD_ONLY) -> list[str]:
    """The names of the arguments that forward takes; with also=None those without a keyword."""
    kinds = (Parameter.POSITIONAL_ONLY, Parameter.POSITIONAL_OR_KEYWORD, also)
    given = inspect.signature(network.forward).parameters.values()
    return [parameter.name for parameter in given if parameter.kind in kinds]


def required(network: nn.Module) -> int | None:
    """How many arguments forward must be given by place; None if it takes any number."""
    given = inspect.signature(network.forward).parameters
    if any(parameter.kind is Parameter.VAR_POSITIONAL for parameter in given.values()):
        return None
    return sum(given[name].default is Parameter.empty for name in parameters(network, None))


def arguments_by_name(
    path: Path, keys: Iterable[str], network: nn.Module
) -> tuple[tuple[str | None, Path], ...]:
    """The network's arguments from a dict whose keys are their names.

    By place, if they are the first ones; else with keywords.
    """
    names = [name for name in parameters(network) if name in keys]
    by_place = names == parameters(network, None)[: len(names)]
    return tuple((None if by_place else name, (*path, name)) for name in names)


# ---- nested structures


def variables(nested: Any) -> Iterator[Any]:
    """What a pattern binds to names: all that is in tuples and lists."""
    if isinstance(nested, list | tuple):
        for part in nested:
            yield from variables(part)
    else:
        yield nested


def pattern_of(nested: Any, names: Iterator[str]) -> Pattern:
    """The pattern that unpacks tuples and lists: (("x_0", "x_1"), "y")."""
    if not isinstance(nested, list | tuple):
        return next(names)
    return tuple(pattern_of(part, names) for part in nested)


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
    elif isinstance(part, list | tuple):
        for i, value in enumerate(part):
            yield from leaves((*path, i), value)
    else:
        yield path, part


def paths_in(names: Sequence[str], parts: Sequence[Any]) -> tuple[Path, ...]:
    """The paths of all tensors in some named parts."""
    pairs = zip(names, parts, strict=True)
    return tuple(path for name, part in pairs for path, _ in leaves((name,), part))


def value_at(path: Path, names: Mapping[str, Any]) -> Any:
    """What stands there."""
    return reduce(getitem, path, names)


def tree_map(function: Callable[[Any], Any], nested: Any) -> Any:
    """The same nested structure with the function's results in place of its leaves."""
    if isinstance(nested, Mapping):
        return {key: tree_map(function, part) for key, part in nested.items()}
    if isinstance(nested, list | tuple):
        return [tree_map(function, part) for part in nested]
    return function(nested)


# ---- paths and patterns as code


def code(path: Path) -> Code:
    """The path as code: batch["image"]."""
    name, *keys = path
    return Code(name + "".join(map(item_code, keys)))


def item_code(key: Any) -> str:
    """An item of a dict or a list as code: ["image"]."""
    return f"[{json.dumps(key) if isinstance(key, str) else repr(key)}]"


def codes(paths: Sequence[Path]) -> tuple[Code, ...]:
    """Several paths as code."""
    return tuple(map(code, paths))


def pattern_code(pattern: Pattern) -> str:
    """The pattern as code: ((x_0, x_1), y)."""
    if isinstance(pattern, str):
        return pattern
    parts = [pattern_code(part) for part in pattern]
    return f"({', '.join(parts)}{',' if len(parts) == 1 else ''})"


def named(stem: str, parts: Sequence[Any], specs: Sequence[InputSpec] | None) -> list[str]:
    """Names for the inputs or the labels: those that were said, else x, or x_0, x_1, ..."""
    if len(parts) == 1 and isinstance(parts[0], Mapping):
        return [{"x": "inputs", "y": "labels"}[stem]]  # a dict of them
    names = numbered(stem, len(parts))
    if specs is not None and len(specs) == len(parts):
        return [spec.name or name for spec, name in zip(specs, names, strict=True)]
    return names


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


def first_two(batch: Any) -> Any:
    """The first two samples of a batch."""
    return tree_map(
        lambda leaf: leaf[:2] if isinstance(leaf, torch.Tensor) and leaf.dim() else leaf, batch
    )
