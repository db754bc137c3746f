"""What a batch holds: which of its parts are inputs, which are labels, and their names in the loop.

A plain batch is a pair (x, y). But there may be several inputs and labels, nested or in dicts, and
a network may give several outputs. The structure is inferred from a batch. What is one thing stays
whole: a list of strings, or of images of several sizes, a PackedSequence, an object of any class.

A part is known by its path: the variable that the loop binds, then keys, fields and places in it.
("x",) is written x, and ("batch", "image") is written batch["image"].
"""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import reduce
from itertools import combinations
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn.utils.rnn import PackedSequence

from tutorial.inputs.matching import (
    Arguments,
    Part,
    Signature,
    is_label,
    signature_of_loss,
    signature_of_network,
)
from tutorial.inputs.spec import InputSpec
from tutorial.loop.names import reserved_names
from tutorial.loop.options import Code

Path = tuple[Any, ...]
Pattern = str | tuple["Pattern", ...]  # what an assignment binds: "x", or (("x_0", "x_1"), "y")


class Field(str):
    """The name of a field, as a step of a path: y_hat.mean."""

    __slots__ = ()


@dataclass(frozen=True)
class Whole:
    """A list or a tuple that is one thing: it is not unpacked."""

    value: Any

    def __len__(self) -> int:
        return len(self.value)


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
    keys: tuple[str, ...] | None = None

    @classmethod
    def of(cls, y_hat: Any) -> "OutputStructure":
        """The structure of such an output."""
        if isinstance(y_hat, Mapping):
            paths = tuple(path for path, _ in leaves(("y_hat",), y_hat))
            return cls("y_hat", paths, tuple(map(str, y_hat)))
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


def structure_of(*args: Any, **kwargs: Any) -> BatchStructure:
    """The first of the `readings` of a batch; it takes the same arguments."""
    return readings(*args, **kwargs)[0]


def readings(
    batch: Any,
    network: nn.Module,
    inputs: Sequence[InputSpec] | None = None,
    labels: Sequence[InputSpec] | None = None,
    predicting: bool = False,
    loss_fns: Iterable[Any] = (),
) -> list[BatchStructure]:
    """The ways to tell inputs from labels in a batch, and to name them.

    Names decide, where there are any: the keys of a dict, the fields of a NamedTuple and the names
    of the InputSpecs are looked for among the parameters of forward. Else the order does: a pair
    with something nested in it is (inputs, labels); and of a flat batch the first parts are inputs,
    as many as forward has arguments without a default. Where it has several, others than the first
    might be meant, too: these readings follow, for the caller to try.

    Args:
        batch: a tensor, or tensors in nested tuples, lists and dicts.
        network: what takes the inputs.
        inputs: what the inputs are, if that was said.
        labels: what the labels are, if that was said.
        predicting: labels are not needed, and have no names.
        loss_fns: the losses: where none has a parameter for labels, all parts may be inputs.

    Raises:
        ValueError: the batch does not hold what is said of it.
    """
    if isinstance(batch, Mapping):
        return readings_of_dict(batch, network, inputs, labels, predicting, loss_fns)
    if not is_nested(batch) and not isinstance(batch, torch.Tensor | np.ndarray) and not inputs:
        whole = (("batch",),)  # an object that the network takes as it is; and maybe the loss
        counts = counted([(("batch",), batch)], [])
        return [BatchStructure("batch", whole, whole, optional=whole, counts=counts)]
    reader = Reader(batch, network, inputs, labels, predicting, loss_fns)
    return [reader.structure(*choice) for choice in reader.choices()]


class Reader:
    """Tells inputs from labels in a batch that is a tensor, a tuple or a list.

    Attributes:
        parts: what an assignment can bind, in order.
        fields: the name of each part, where a NamedTuple or the InputSpecs name it.
    """

    def __init__(
        self,
        batch: Any,
        network: nn.Module,
        inputs: Sequence[InputSpec] | None,
        labels: Sequence[InputSpec] | None,
        predicting: bool,
        loss_fns: Iterable[Any],
    ) -> None:
        self.network, self.takes = network, signature_of_network(network)
        self.inputs, self.labels, self.predicting = inputs, labels, predicting
        self.batch = with_wholes(batch, self.takes)
        self.parts = list(variables(self.batch))
        self.fields: list[str | None] = list(fields_of(self.batch))
        losses = list(map(signature_of_loss, loss_fns))
        self.labelled = not losses or any(loss.labels() or loss.any_number for loss in losses)

    # ---- which parts are inputs, and which are labels

    def choices(self) -> list[tuple[list[int], list[int]]]:
        """The places of the inputs and of the labels; what comes first is the convention."""
        everything = range(len(self.parts))
        if self.inputs or self.labels:
            return [self.as_said()]
        if self.labels is not None and not self.predicting:  # labels=[]: there are none
            most = self.takes.most if self.takes.most is not None else len(self.parts)
            return [(list(everything)[: max(most, 1)], [])]
        ways = [list(way) for way in self.inputs_among()]
        return [(way, [i for i in everything if i not in way]) for way in ways]

    def as_said(self) -> tuple[list[int], list[int]]:
        """What Model(inputs=..., labels=...) says: the parts in their order, or by their names."""
        inputs, labels = list(self.inputs or ()), list(self.labels or ())
        sizes = [len(list(leaves((), part))) for part in self.parts]
        everything = list(range(len(self.parts)))
        names = [spec.name for spec in inputs]
        if self.labels is None and len(names) == len(self.parts) and None not in names:
            by_name = [i for i, name in enumerate(names) if name in self.takes.by_place]
            if self.takes.required <= {names[i] for i in by_name} and len(by_name) < len(names):
                self.fields = list(names)
                return by_name, [i for i in everything if i not in by_name]
        again = [spec for spec in labels if spec.name in names and spec.name is not None]
        labels_said = None if self.labels is None or self.predicting else len(labels) - len(again)
        for count in range(len(self.parts) + 1):
            rest = sum(sizes[count:])
            if self.inputs and sum(sizes[:count]) != len(inputs):
                continue
            if not self.inputs and rest != labels_said and not self.predicting:
                continue
            if labels_said is None or not self.inputs or rest == labels_said:
                return everything[:count], everything[count:]
            for end in range(count, len(self.parts)):  # what is beyond them is not looked at
                if sum(sizes[count:end]) == labels_said:
                    return everything[:count], everything[count:end]
        raise ValueError(
            f"a batch holds {sum(sizes)} tensors, but Model(inputs=..., labels=...) names "
            f"{len(inputs)} inputs and {len(labels)} labels. Name each tensor once."
        )

    def inputs_among(self) -> Iterable[Iterable[int]]:
        """The places of the inputs, where only the batch itself and forward tell."""
        parts, takes = self.parts, self.takes
        named = [i for i, field in enumerate(self.fields) if field in takes.by_place]
        if named and takes.required <= {self.fields[i] for i in named}:
            return [named]
        if not is_nested(self.batch):
            return [[0]]
        if self.inputs_come_first():
            return [range(len(list(variables(self.batch[0]))))]
        order = [
            i for i, part in enumerate(parts) if not (self.fields[i] and is_label(self.fields[i]))
        ]
        order = order or list(range(len(parts)))
        if takes.needed is None:
            if self.predicting and len(parts) > 2:
                kind = type(self.network).__name__
                raise ValueError(
                    f"a batch holds {len(parts)} tensors, and {kind}.forward takes any "
                    "number of inputs, so it is not known which of them are labels. Say what the "
                    "inputs are: Model(network, inputs=[InputSpec(shape, name=...), ...])."
                )
            return [order[: max(len(parts) - 1, 1)]]
        without_labels = not self.labelled and takes.needed >= len(parts)
        most = len(parts) if self.predicting or without_labels else max(len(parts) - 1, 1)
        count = min(max(takes.needed, 1), most)
        first = order[:count]
        if count == len(parts) or (count == 1 and not is_string(parts[order[0]])):
            return [first]
        others = [i for i in order if not is_string(parts[i])]
        ways = [
            list(way) for way in combinations(others, count) if count > 1 or way[0] == others[0]
        ]
        kept = [way for way in ways if way != first and (count == 1 or way[0] == first[0])]
        return [first, *kept[:8]]

    def inputs_come_first(self) -> bool:
        """Whether the batch is (inputs, labels, ...), and the first part is all the inputs."""
        first, *rest = self.batch if is_nested(self.batch) else [None]
        nested = is_nested(first) or isinstance(first, Mapping)
        if len(rest) <= 1:
            return nested or any(is_nested(part) or isinstance(part, Mapping) for part in rest)
        size = len(list(variables(first)))
        return nested and (isinstance(first, Mapping) or size == self.takes.needed)

    # ---- their names in the loop

    def structure(self, x: list[int], y: list[int]) -> BatchStructure:
        """The structure where these places hold inputs, and these labels."""
        parts, names = self.parts, ["_"] * len(self.parts)
        for stem, places, specs in (("x", x, self.inputs), ("y", y, self.labels)):
            own = [self.fields[i] for i in places]
            stems = self.stems(stem, places)
            if specs is not None and len(specs) == len(places):
                own = [a or spec.name for a, spec in zip(own, specs, strict=True)]
            for i, name, plain in zip(places, own, stems, strict=True):
                self.fields[i] = name
                names[i] = plain if name is None else variable_for(name)
        paths = [[p for i in some for p, _ in leaves((names[i],), parts[i])] for some in (x, y)]
        again = [spec.name for spec in self.labels or () if spec.name in {names[i] for i in x}]
        if again and not self.predicting:  # a part that is both
            twice = {name: (name,) for name in again}
            others = iter(paths[1])
            paths[1] = [twice.get(str(spec.name)) or next(others) for spec in self.labels or ()]
        arguments = self.arguments([(names[i], parts[i]) for i in x])
        bound = ["_" if self.predicting and i not in x else name for i, name in enumerate(names)]
        fields = {variable_for(name) for name in self.fields if name}
        optional = [p for i in y for p, _ in leaves((names[i],), parts[i]) if self.may_go(i, p)]
        return BatchStructure(
            pattern_of(self.batch, iter(bound)),
            tuple(paths[0]),
            tuple(paths[1]),
            arguments,
            said=tuple(name for name in names if name in fields),
            optional=() if self.labels else tuple(optional),
            names=names_of_inputs(paths[0], arguments, self.takes, fields),
            counts=counted(self.values(names, x), self.values(names, y)),
        )

    def values(self, names: list[str], places: list[int]) -> list[tuple[Path, Any]]:
        """All leaves at these places, with their paths."""
        return [leaf for i in places for leaf in leaves((names[i],), self.parts[i])]

    def stems(self, stem: str, places: list[int]) -> list[str]:
        """x, or x_0, x_1, ...; inputs and labels for a dict of them; and `text` beside labels."""
        if len(places) == 1 and isinstance(self.parts[places[0]], Mapping):
            return [{"x": "inputs", "y": "labels"}[stem]]
        strings = [i for i in places if stem == "y" and is_string(self.parts[i])]
        if len(strings) == len(places):
            strings = []
        plain = iter(numbered(stem, len(places) - len(strings)))
        text = iter(numbered("text", len(strings)))
        return [next(text if i in strings else plain) for i in places]

    def may_go(self, i: int, path: Path) -> bool:
        """Whether a label is left out where nothing compares it: what has a name, and strings."""
        named = isinstance(path[-1], str) and len(path) > 1
        return named or self.fields[i] is not None or is_string(self.parts[i])

    def arguments(self, x: list[tuple[str, Any]]) -> Arguments | None:
        """What the network is called with, if that is not just the inputs by place."""
        if len(x) == 1 and isinstance(x[0][1], Mapping):
            name, part = x[0]
            return call_with_dict((name,), part, self.takes, list(part)) or whole_call(name)
        if any(isinstance(part, Mapping) for _, part in x):
            return tuple((None, (name,)) for name, _ in x)  # it takes a dict as it is
        names = [name for name, _ in x]
        wanted = [name for name in self.takes.names if name in names]
        by_name = set(wanted) == set(names) and names != wanted and None not in self.fields
        return call_with_dict((), dict.fromkeys(names), self.takes, names) if by_name else None


def readings_of_dict(
    batch: Mapping[str, Any],
    network: nn.Module,
    inputs: Sequence[InputSpec] | None,
    labels: Sequence[InputSpec] | None,
    predicting: bool,
    loss_fns: Iterable[Any],
) -> list[BatchStructure]:
    """The readings of a batch that is a dict: `batch`, and the parts that its keys name."""
    takes = signature_of_network(network)
    batch = {key: with_wholes(part, Signature()) for key, part in batch.items()}
    compared = {name for loss in loss_fns for name in signature_of_loss(loss).names}
    called = [key for key in batch if is_label(key)] or [key for key in batch if key in compared]
    plain = [key for key in batch if key not in called and not is_string(batch[key])]
    named = [key for key in takes.names if key in batch]
    named = [k for k in named if k in takes.required or not (predicting and is_label(k))]
    doubt = ""
    ways: list[tuple[list[str], Arguments | None]] = []
    if inputs:
        keys = [str(spec.name) for spec in inputs]
        ways = [(keys, call_with_dict(("batch",), keys, takes, keys))]
    elif named and takes.required.intersection(takes.by_place) <= set(named):
        ways = [(named, call_with_dict(("batch",), named, takes, named))]
    elif takes.any_names and not takes.required:
        ways = [(plain, tuple((key, ("batch", key)) for key in plain))]
    else:
        if takes.needed in (None, 1) or len(takes.by_place) == 1:  # it takes the dict as it is
            ways = [(plain or list(batch), whole_call("batch"))]
            ways += [(plain, None)] if len(plain) == 1 else []
        doubt = explained(network, takes, batch, None)
    y_keys = [str(spec.name) for spec in labels] if labels is not None else None
    said = [*(ways[0][0] if inputs else ()), *(() if predicting else y_keys or ())]
    missing = [key for key in said if key not in batch]
    if missing or not ways:
        raise ValueError(explained(network, takes, batch, missing[0] if missing else None))
    found = []
    for x_keys, arguments in ways:
        y = y_keys if y_keys is not None else [key for key in batch if key not in x_keys]
        x, labels_ = (
            tuple(p for key in keys if key in batch for p, _ in leaves(("batch", key), batch[key]))
            for keys in (x_keys, y)
        )
        pairs = [leaf for key in batch for leaf in leaves(("batch", key), batch[key])]
        found.append(
            BatchStructure(
                "batch",
                x,
                labels_,
                arguments,
                optional=labels_ if y_keys is None else (),
                names=names_of_inputs(x, arguments, takes, set()),
                counts=counted(
                    [pair for pair in pairs if pair[0] in x],
                    [pair for pair in pairs if pair[0] in labels_],
                ),
                doubt=doubt,
            )
        )
    return found


def names_of_inputs(
    paths: Sequence[Path], arguments: Arguments | None, takes: Signature, said: set[str]
) -> tuple[str | None, ...]:
    """The name of each input: its key, its variable, if the user named it, or its parameter."""
    given = arguments or tuple((None, path) for path in paths)
    places = dict(zip([path for _, path in given], takes.by_place, strict=False))
    names: list[str | None] = []
    for path in paths:
        known = len(path) > 1 or path[0] in said
        key = path[-1] if known and isinstance(path[-1], str) else None
        names.append(key or places.get(path))
    return tuple(names)


def counted(
    inputs: Sequence[tuple[Path, Any]], labels: Sequence[tuple[Path, Any]]
) -> tuple[tuple[Path, str], ...] | None:
    """Code for the number of samples, by part; None where the first input tells it."""
    if inputs and tells_samples(inputs[0][1]):
        return None
    found = [
        (path, f"len({code(path)})") for path, part in (*inputs, *labels) if tells_samples(part)
    ]
    packed = [path for path, part in inputs if isinstance(part, PackedSequence)]
    return (*found, *((path, f"{code(path)}.batch_sizes[0].item()") for path in packed))


def tells_samples(part: Any) -> bool:
    """Whether its len() is its number of samples."""
    if is_array(part):
        return bool(part.ndim)
    return hasattr(part, "__len__") and not isinstance(part, str | bytes | PackedSequence)


def explained(
    network: nn.Module, takes: Signature, batch: Mapping[str, Any], missing: str | None
) -> str:
    """What to say where a dict does not hold the inputs."""
    wrong = "none of them is an input" if missing is None else f"{missing!r} is not among them"
    return (
        f"a batch is a dict with the keys {', '.join(map(repr, batch))}, but {wrong}: "
        f"{type(network).__name__}.forward takes {', '.join(takes.names) or 'nothing'}."
        " Say which are the inputs: Model(network, inputs=[InputSpec(shape, name=key), ...])."
    )


def parameters(network: nn.Module) -> list[str]:
    """The names of the arguments that forward takes."""
    return list(signature_of_network(network).names)


def call_with_dict(
    path: Path, keys: Iterable[str], takes: Signature, wanted: Sequence[str]
) -> Arguments | None:
    """The network's arguments from a dict whose keys are their names; None if they are not.

    By place, if they are the first ones; else with keywords.
    """
    names = [name for name in takes.names if name in keys]
    required = takes.required.intersection(takes.by_place)
    if not names or not set(wanted) & set(names) or not required <= set(names):
        return None
    by_place = tuple(names) == takes.by_place[: len(names)]
    return tuple((None if by_place else name, (*path, name)) for name in names)


def whole_call(variable: str) -> Arguments:
    """The call with one variable as it is."""
    return ((None, (variable,)),)


# ---- what is one thing


def with_wholes(batch: Any, takes: Signature) -> Any:
    """The batch with each list in it that is one thing as a Whole.

    That are lists of strings and of numbers; and lists with a tensor for every sample, such as
    images of several sizes, which are known by their lengths, or by a network that has one
    parameter for them.
    """
    if not is_nested(batch):
        return batch
    if isinstance(batch, list) and batch and all(isinstance(part, str) for part in batch):
        return Whole(batch)
    samples = number_of_samples(batch)
    parts = []
    for place, part in enumerate(batch):
        room = takes.most if place == 0 else None
        needed = takes.needed if place == 0 else None
        parts.append(part_with_wholes(part, samples, room, needed))
    return type(batch)(*parts) if is_named_tuple(batch) else parts


def part_with_wholes(part: Any, samples: int | None, room: int | None, needed: int | None) -> Any:
    """The same of a part of a batch of so many samples, where a network takes so many inputs."""
    if not is_nested(part) or not len(part):
        return part
    if all(map(is_plain, part)):
        return Whole(part)
    sizes = [leaf.shape[0] for _, leaf in leaves((), part) if is_array(leaf) and leaf.ndim]
    one_each = samples in (None, len(part)) and any(size != samples for size in sizes)
    ragged = one_each and (samples is not None or len(set(sizes)) > 1)
    crowded = room is not None and len(part) > max(room, 1)
    if (ragged and needed != len(part)) or (crowded and not is_named_tuple(part)):
        return Whole(part)
    inner = [part_with_wholes(each, samples, None, None) for each in part]
    return type(part)(*inner) if is_named_tuple(part) else inner


def number_of_samples(batch: Any) -> int | None:
    """The samples in a batch, if that can be told: the first size of the last plain tensor."""
    beside = [part.shape[0] for part in batch if is_array(part) and part.ndim]
    if beside:
        return int(beside[-1])
    sizes = {leaf.shape[0] for _, leaf in leaves((), batch) if is_array(leaf) and leaf.ndim}
    return sizes.pop() if len(sizes) == 1 else None


def is_array(part: Any) -> bool:
    """Whether it is a tensor or an array of NumPy's."""
    return isinstance(part, torch.Tensor | np.ndarray)


def is_plain(part: Any) -> bool:
    """Whether it holds no tensor: a string, a number, an object, or a list of these."""
    if is_nested(part):
        return bool(len(part)) and all(map(is_plain, part))
    return not is_array(part) and not isinstance(part, Mapping)


def is_string(part: Any) -> bool:
    """Whether it is a string, or a list of strings."""
    if isinstance(part, Whole):
        return is_string(part.value)
    if is_nested(part):
        return bool(len(part)) and all(map(is_string, part))
    return isinstance(part, str | bytes)


def fields_of(nested: Any, field: str | None = None) -> Iterator[str | None]:
    """The name of each of a pattern's variables: the field of a NamedTuple, or None."""
    if not is_nested(nested):
        yield field
        return
    fields = nested._fields if is_named_tuple(nested) else [None] * len(nested)
    for name, part in zip(fields, nested, strict=True):
        yield from fields_of(part, name if not is_nested(part) else None)


def variable_for(field: str) -> str:
    """The field as a variable of the loop: step_, where the loop has a `step` itself."""
    return f"{field}_" if field in reserved_names() else field


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


def paths_in(names: Sequence[str], parts: Sequence[Any]) -> tuple[Path, ...]:
    """The paths of all tensors in some named parts."""
    pairs = zip(names, parts, strict=True)
    return tuple(path for name, part in pairs for path, _ in leaves((name,), part))


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
    written = [f"{keyword}={code(p)}" if keyword else code(p) for keyword, p in arguments]
    return Code(f"{function}({', '.join(written)})")


def item_code(key: Any) -> str:
    """An item of a dict or a list as code, ["image"]; or a field, .mean."""
    if isinstance(key, Field):
        return f".{key}"
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
