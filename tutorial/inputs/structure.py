"""What a batch holds: which of its parts are inputs, which are labels, and their names in the loop.

A plain batch is a pair (x, y). But there may be several inputs and labels, nested or in dicts, and
a network may give several outputs. A look at the first samples tells how to take them apart.
"""

import inspect
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from inspect import Parameter
from typing import Any

import numpy as np
import torch
from torch import nn

from tutorial.inputs.spec import InputSpec
from tutorial.loop.options import Code


@dataclass(frozen=True)
class Form:
    """How a batch is taken apart, and what the loop calls its parts.

    Attributes:
        batch: the pattern: '(x, y)', '((image, text), y)', '(inputs, y)' where the inputs are a
            dict, or 'batch' where all is one.
        x: the inputs: ('x',), ('image', 'text'), or ('batch["image"]', 'batch["text"]').
        y: the labels, likewise.
        call: how the network is called, if not with x.
        output: the pattern of what the network returns, if that is not one tensor.
        y_hat: its parts: ('y_hat_0', 'y_hat_1'), or ('y_hat["digit"]', 'y_hat["parity"]').
        keys: the keys, where the network returns a dict.
        unseen: whether only the loop will see if there are labels, which it does not need.
    """

    batch: str = "(x, y)"
    x: tuple[str, ...] = ("x",)
    y: tuple[str, ...] = ("y",)
    call: str | None = None
    output: str | None = None
    y_hat: tuple[str, ...] = ("y_hat",)
    keys: tuple[str, ...] | None = None
    unseen: bool = False

    def options(self) -> dict[str, Any]:
        """What of this is not plain, as options for `unroll`."""
        plain = Form()
        names = [
            name for name in ("x", "y", "y_hat") if getattr(self, name) != getattr(plain, name)
        ]
        options: dict[str, Any] = {name: tuple(map(Code, getattr(self, name))) for name in names}
        if self.batch != plain.batch:
            options["UNPACK"] = Code(self.batch)
        if self.call is not None:
            options["NETWORK_CALL"] = Code(self.call)
        if self.output is not None:
            options |= {"UNPACK_OUTPUT": Code(self.output), "OUTPUTS": "several"}
        if self.keys is not None:
            options |= {"OUTPUTS": "named", "OUTPUT_NAMES": self.keys}
        return options | ({"LABELS_UNKNOWN": True} if self.unseen else {})

    def unpack(self, batch: Any) -> dict[str, Any]:
        """The batch's parts by the names of their variables, as the loop's `for` binds them."""
        names: dict[str, Any] = {}
        exec(f"{self.batch} = batch", {"batch": batch}, names)
        return names

    def called_with(self, names: Mapping[str, Any]) -> Any:
        """What the network is called with: a list by place, or a dict by keyword."""
        call = self.call or f"network({', '.join(self.x)})"
        place, keyword = eval(call, {"network": lambda *x, **named: (list(x), named)}, dict(names))
        return keyword or place

    def with_output(self, y_hat: Any) -> "Form":
        """This form, for a network that returns such a thing."""
        if isinstance(y_hat, Mapping):
            parts = tuple(code for code, _ in pieces("y_hat", y_hat))
            return replace(self, output="y_hat", y_hat=parts, keys=tuple(map(str, y_hat)))
        if isinstance(y_hat, list | tuple):
            names = numbered("y_hat", len(list(variables(y_hat))))
            return replace(self, output=pattern(y_hat, iter(names)), y_hat=tuple(names))
        return self


def take_apart(
    batch: Any,
    network: nn.Module,
    inputs: Sequence[InputSpec] | None = None,
    labels: Sequence[InputSpec] | None = None,
    predicting: bool = False,
) -> Form:
    """Find out what in a batch are inputs and what are labels, and name them.

    If `inputs` are given, so many tensors are the inputs, and the rest are labels. Else a pair with
    a nest in it is (inputs, labels); and of a flat batch the network gets as many parts as its
    forward has arguments without a default. From a dict it gets those that forward can take.

    Args:
        batch: a tensor, or a nest of tuples, lists and dicts of tensors.
        network: what takes the inputs.
        inputs: what the inputs are, if that was said.
        labels: what the labels are, if that was said.
        predicting: labels are not needed, and have no names.

    Raises:
        ValueError: the batch does not hold what is said of it.
    """
    if isinstance(batch, Mapping):
        return of_dict(batch, network, inputs, labels)
    parts = list(variables(batch))
    count = inputs_among(batch, parts, network, inputs, labels, predicting)
    x_names = named("x", parts[:count], inputs)
    y_names = named("y", parts[count:], labels)
    x = [piece for name, part in zip(x_names, parts, strict=False) for piece in pieces(name, part)]
    y = [
        piece
        for name, part in zip(y_names, parts[count:], strict=True)
        for piece in pieces(name, part)
    ]
    call = None
    if any(isinstance(part, Mapping) for part in parts[:count]):
        call = f"network({', '.join(x_names)})"  # it takes a dict as it is
        if count == 1 and set(parts[0]) <= set(parameters(network)):
            call = call_by_names(x_names[0], parts[0], network)
    return Form(
        batch=pattern(batch, iter([*x_names, *(["_"] * len(y_names) if predicting else y_names)])),
        x=tuple(code for code, _ in x),
        y=tuple(code for code, _ in y),
        call=call,
    )


def of_dict(
    batch: Mapping[str, Any],
    network: nn.Module,
    inputs: Sequence[InputSpec] | None,
    labels: Sequence[InputSpec] | None,
) -> Form:
    """The form of a batch that is a dict: `batch`, and the parts that its keys name."""
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
    x = [piece for key in x_keys for piece in pieces(item("batch", key), batch[key])]
    y = [piece for key in y_keys for piece in pieces(item("batch", key), batch[key])]
    by_name = not inputs or set(x_keys) <= set(parameters(network))
    call = call_by_names("batch", x_keys, network) if by_name else None
    return Form("batch", tuple(code for code, _ in x), tuple(code for code, _ in y), call)


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
        sizes = [len(list(pieces("", part))) for part in parts]
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


def call_by_names(code: str, keys: Iterable[str], network: nn.Module) -> str:
    """The call of the network with a dict's items, whose keys are the names of its arguments.

    By place, if they are the first ones; else with keywords.
    """
    names = [name for name in parameters(network) if name in keys]
    if names == parameters(network, None)[: len(names)]:
        return f"network({', '.join(item(code, name) for name in names)})"
    return f"network({', '.join(f'{name}={item(code, name)}' for name in names)})"


# ---- nests, and code for their parts


def variables(nest: Any) -> Iterator[Any]:
    """What a pattern binds to names: all that is in tuples and lists."""
    if isinstance(nest, list | tuple):
        for part in nest:
            yield from variables(part)
    else:
        yield nest


def pattern(nest: Any, names: Iterator[str]) -> str:
    """The pattern that takes tuples and lists apart: '((x_0, x_1), y)'."""
    if not isinstance(nest, list | tuple):
        return next(names)
    parts = [pattern(part, names) for part in nest]
    return f"({', '.join(parts)}{',' if len(parts) == 1 else ''})"


def pieces(code: str, part: Any) -> Iterator[tuple[str, Any]]:
    """The tensors in a variable, each with its code: x, or x["image"] and so on for a dict."""
    if isinstance(part, Mapping):
        for key, value in part.items():
            yield from pieces(item(code, key), value)
    elif isinstance(part, list | tuple):
        for i, value in enumerate(part):
            yield from pieces(f"{code}[{i}]", value)
    else:
        yield code, part


def item(code: str, key: Any) -> str:
    """Code for an item of a dict."""
    return f"{code}[{json.dumps(key) if isinstance(key, str) else repr(key)}]"


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


def mapped(nest: Any, function: Callable[[Any], Any]) -> Any:
    """The nest with the function's results in place of its leaves."""
    if isinstance(nest, Mapping):
        return {key: mapped(part, function) for key, part in nest.items()}
    if isinstance(nest, list | tuple):
        return [mapped(part, function) for part in nest]
    return function(nest)


def arguments(inputs: Any, make: Callable[[Any], Any]) -> tuple[list[Any], dict[str, Any]]:
    """What to call a network with, by place and by keyword, made of InputSpecs in the same nest."""
    made = mapped(inputs, make)
    return ([], made) if isinstance(made, dict) else (made, {})


def in_hand(inputs: Any, labels: Any) -> list[Any]:
    """A batch from the arguments of train_batch and the like; NumPy's arrays become tensors.

    Args:
        inputs: a tensor, or several in a list or a dict.
        labels: the same, or None.
    """
    parts = [[] if part is None else part for part in (inputs, labels)]
    nests = [part if isinstance(part, list | tuple) else [part] for part in parts]
    return list(
        mapped(nests, lambda leaf: torch.as_tensor(leaf) if isinstance(leaf, np.ndarray) else leaf)
    )


def first_two(batch: Any) -> Any:
    """The first two samples of a batch."""
    return mapped(
        batch, lambda leaf: leaf[:2] if isinstance(leaf, torch.Tensor) and leaf.dim() else leaf
    )
