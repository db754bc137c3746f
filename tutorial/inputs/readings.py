"""Read a batch: tell inputs from labels, and name them.

Names decide, where there are any: keys of a dict, fields of a NamedTuple, attributes of an object
and names of InputSpecs are looked for among the parameters of forward. Else the order does: a pair
with something nested in it is (inputs, labels); and of a flat batch the first parts are inputs, as
many as forward has parameters without a default. What is one thing stays whole.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

from torch import nn
from torch.nn.utils.rnn import PackedSequence

from tutorial.inputs.matching import (
    LABELS,
    Arguments,
    Signature,
    is_label,
    signature_of_loss,
    signature_of_network,
)
from tutorial.inputs.spec import InputSpec
from tutorial.inputs.structure import (
    BatchStructure,
    Field,
    Path,
    code,
    is_array,
    is_named_tuple,
    is_nested,
    leaves,
    numbered,
    pattern_of,
    variables,
)
from tutorial.loop.names import reserved_names


def readings(
    batch: Any,
    network: nn.Module,
    inputs: Sequence[InputSpec] | None = None,
    labels: Sequence[InputSpec] | None = None,
    predicting: bool = False,
    loss_fns: Iterable[Any] = (),
) -> list[list[BatchStructure]]:
    """The ways to read a batch, for the caller to try; where it is clear, that is one.

    The first list with a reading in which network and loss can run decides. If several of it can,
    it is not clear which one is meant.

    Args:
        batch: a tensor, or tensors in nested tuples, lists and dicts; or an object.
        network: what takes the inputs.
        inputs: what the inputs are, if that was said.
        labels: what the labels are, if that was said.
        predicting: labels are not needed, and have no names.
        loss_fns: the losses: where none has a parameter for labels, all parts may be inputs.

    Raises:
        ValueError: the batch does not hold what is said of it.
    """
    kind: type[Reader] = PartsReader if has_places(batch) else NamesReader
    return kind(batch, network, inputs, labels, predicting, loss_fns).readings()


def structure_of(*args: Any, **kwargs: Any) -> BatchStructure:
    """The first of the `readings` of a batch; it takes the same arguments."""
    return readings(*args, **kwargs)[0][0]


def has_places(batch: Any) -> bool:
    """Whether the parts of a batch are told by their places; those of a dict or an object by names.

    >>> has_places(([1.0, 2.0], [0, 1])), has_places({"x": [1.0, 2.0]})
    (True, False)
    """
    one = (PackedSequence, str, bytes, int, float)
    return is_nested(batch) or is_array(batch) or isinstance(batch, one)


class Reader(ABC):
    """What is known of a batch before its parts are looked at."""

    def __init__(
        self,
        batch: Any,
        network: nn.Module,
        inputs: Sequence[InputSpec] | None,
        labels: Sequence[InputSpec] | None,
        predicting: bool,
        loss_fns: Iterable[Any],
    ) -> None:
        self.batch, self.network, self.takes = batch, network, signature_of_network(network)
        self.inputs, self.labels, self.predicting = inputs, labels, predicting
        self.losses = list(map(signature_of_loss, loss_fns))

    @abstractmethod
    def readings(self) -> list[list[BatchStructure]]:
        """The ways to read the batch; what comes first is the convention."""

    def call_by_name(self, path: Path, keys: Iterable[str]) -> Arguments | None:
        """The network's call with parts that have the names of its parameters; None without them.

        By place, if they are the first ones; else with keywords.
        """
        of_names = {str(key): key for key in keys}
        names = [name for name in self.takes.names if name in of_names]
        if not names or not self.takes.required <= set(names):
            return None
        by_place = tuple(names) == self.takes.by_place[: len(names)]
        return tuple((None if by_place else name, (*path, of_names[name])) for name in names)

    def names_of(
        self, inputs: Sequence[Path], arguments: Arguments | None, said: Iterable[str] = ()
    ) -> tuple[str | None, ...]:
        """The name of each input: its key, its variable, if the user named it, or its parameter."""
        given = arguments or tuple((None, path) for path in inputs)
        parameters = dict(zip([path for _, path in given], self.takes.by_place, strict=False))
        return tuple(
            path[-1]
            if isinstance(path[-1], str) and (len(path) > 1 or path[0] in said)
            else parameters.get(path)
            for path in inputs
        )


# ---- parts that have places


@dataclass(frozen=True)
class Choice:
    """Which places hold inputs, and which labels; and the names that the user gave to parts."""

    x: list[int]
    y: list[int]
    names: list[str | None]


class PartsReader(Reader):
    """Reads a batch that is a tensor, a tuple or a list.

    Attributes:
        parts: what an assignment can bind, in order.
        fields: the name of each part of a NamedTuple; None for other parts.
    """

    def __init__(self, batch: Any, *said: Any) -> None:
        super().__init__(batch, *said)
        self.batch = with_wholes(batch, self.takes)
        self.parts = list(variables(self.batch))
        self.fields = list(fields_of(self.batch))

    def readings(self) -> list[list[BatchStructure]]:
        return [list(map(self.structure, alike)) for alike in self.choices() if alike]

    # ---- which parts are inputs, and which are labels

    def choices(self) -> list[list[Choice]]:
        """The choices; what comes first is the convention."""
        if self.inputs or self.labels:
            return [[self.by_specs() or self.in_order()]]
        everything = list(range(len(self.parts)))
        if self.labels is not None and not self.predicting:  # labels=[]: there are none
            most = len(self.parts) if self.takes.most is None else max(self.takes.most, 1)
            return [[Choice(everything[:most], [], self.fields)]]
        return [
            [Choice(x, [i for i in everything if i not in x], self.fields) for x in alike]
            for alike in self.inputs_among()
        ]

    def by_specs(self) -> Choice | None:
        """The parts by the InputSpecs' names: the fields have these names, or forward has."""
        x, y = ([spec.name for spec in specs or ()] for specs in (self.inputs, self.labels))
        if None in (*x, *y):
            return None
        if set(x) | set(y) <= set(self.fields) and x:
            rest = [i for i, name in enumerate(self.fields) if name not in x]
            labels = rest if self.labels is None else [self.fields.index(name) for name in y]
            return Choice([self.fields.index(name) for name in x], labels, self.fields)
        if self.labels is None and len(x) == len(self.parts):
            here = [i for i, name in enumerate(x) if name in self.takes.by_place]
            if self.takes.required <= {x[i] for i in here} and len(here) < len(x):
                return Choice(here, [i for i in range(len(x)) if i not in here], x)
        return None

    def in_order(self) -> Choice:
        """What Model(inputs=..., labels=...) says: inputs, then labels; the rest is left out."""
        x, y = list(self.inputs or ()), list(self.labels or ())
        again = {spec.name for spec in x if spec.name} & {spec.name for spec in y}
        labels = None if self.labels is None or self.predicting else len(y) - len(again)
        sizes = [len(list(leaves((), part))) for part in self.parts]
        everything = list(range(len(sizes)))
        for count in range(len(sizes) + 1):
            rest = sum(sizes[count:])
            right = sum(sizes[:count]) == len(x) if x else labels in (None, rest)
            for end in range(len(sizes), count - 1, -1):
                if right and labels in (None, sum(sizes[count:end])):
                    return self.named(everything[:count], everything[count:end])
        raise ValueError(
            f"a batch holds {sum(sizes)} tensors, but Model(inputs=..., labels=...) names "
            f"{len(x)} inputs and {len(y)} labels. Name each tensor once."
        )

    def named(self, x: list[int], y: list[int]) -> Choice:
        """The choice with the names that the InputSpecs give to whole parts."""
        names = list(self.fields)
        for places, specs in ((x, self.inputs), (y, self.labels)):
            if specs is not None and len(specs) == len(places):
                for i, spec in zip(places, specs, strict=True):
                    names[i] = spec.name or names[i]
        return Choice(x, y, names)

    def inputs_among(self) -> list[list[list[int]]]:
        """The places of the inputs, where only the batch itself and forward tell."""
        parts, takes = self.parts, self.takes
        fields = [i for i, field in enumerate(self.fields) if field in takes.by_place]
        if fields and takes.required <= {self.fields[i] for i in fields}:
            return [[fields]]
        if not is_nested(self.batch):
            return [[[0]]]
        if self.inputs_come_first():
            return [[list(range(len(list(variables(self.batch[0])))))]]
        order = [i for i, field in enumerate(self.fields) if not is_label(field)]
        order = order or list(range(len(parts)))
        if takes.needed is None:
            self.check_few()
            return [[order[: max(len(parts) - 1, 1)]]]
        labelled = not self.losses or any(loss.labels() or loss.any_number for loss in self.losses)
        all_may_be = self.predicting or (not labelled and takes.needed >= len(parts))
        count = min(max(takes.needed, 1), len(parts) if all_may_be else max(len(parts) - 1, 1))
        return self.ways_to_choose(order, count)

    def ways_to_choose(self, order: list[int], count: int) -> list[list[list[int]]]:
        """So many inputs: the first ones.

        Others might be meant too, if they look like these; or if the first ones cannot be inputs.
        """
        first = order[:count]
        plain = [i for i in order if not is_string(self.parts[i])]
        if count == 1:
            return [[first], [[i] for i in plain[:1] if [i] != first]]  # as in (path, x, y)
        ways = [list(way) for way in combinations(plain, count)][:9]
        others = [way for way in ways if way != first and way[0] == first[0]]
        rivals = [way for way in others if self.look_alike(way, first)]
        return [[first, *rivals], [way for way in others if way not in rivals]]

    def look_alike(self, one: list[int], other: list[int]) -> bool:
        """Whether the parts at these places have samples of the same shapes."""
        shapes = [[getattr(self.parts[i], "shape", ())[1:] for i in way] for way in (one, other)]
        return shapes[0] == shapes[1]

    def check_few(self) -> None:
        """Refuse to guess which of several parts are inputs, where forward takes any number."""
        if self.predicting and len(self.parts) > 2:
            raise ValueError(
                f"a batch holds {len(self.parts)} tensors, and {type(self.network).__name__}"
                ".forward takes any number of inputs, so it is not known which of them are labels. "
                "Say what the inputs are: "
                "Model(network, inputs=[InputSpec(shape, name=...), ...])."
            )

    def inputs_come_first(self) -> bool:
        """Whether the batch is (inputs, labels, ...), and the first part is all the inputs."""
        first, *rest = self.batch if len(self.batch) else [None]
        if len(rest) <= 1:
            return any(is_nested(part) or isinstance(part, Mapping) for part in (first, *rest))
        parts = len(list(variables(first)))
        return isinstance(first, Mapping) or (is_nested(first) and parts == self.takes.needed)

    # ---- their names in the loop

    def structure(self, choice: Choice) -> BatchStructure:
        """The structure of the batch, with this choice."""
        names = self.variables_of(choice)
        inputs, labels = (
            [leaf for i in places for leaf in leaves((names[i],), self.parts[i])]
            for places in (choice.x, choice.y)
        )
        x, y = (tuple(path for path, _ in part) for part in (inputs, labels))
        said = [names[i] for i, name in enumerate(choice.names) if name is not None]
        optional = [
            p for i in choice.y for p in y if p[0] == names[i] and self.may_go(choice, i, p)
        ]
        arguments = self.arguments(choice, names)
        bound = [n if i in choice.x or not self.predicting else "_" for i, n in enumerate(names)]
        return BatchStructure(
            pattern_of(self.batch, iter(bound)),
            x,
            self.with_inputs(x, y),
            arguments,
            said=tuple(said),
            optional=() if self.labels else tuple(optional),
            names=self.names_of(x, arguments, said),
            counts=counted(inputs, labels),
        )

    def variables_of(self, choice: Choice) -> list[str]:
        """The variable of each part: the name that the user gave; x, y; _ if it is left out."""
        names = ["_"] * len(self.parts)
        for stem, places in (("x", choice.x), ("y", choice.y)):
            for i, plain in zip(places, self.plain_names(stem, places), strict=True):
                said = choice.names[i]
                names[i] = plain if said is None else variable_for(said)
        return names

    def plain_names(self, stem: str, places: list[int]) -> list[str]:
        """x, or x_0, x_1, ...; inputs and labels for a dict of them; and `text` beside labels."""
        if len(places) == 1 and isinstance(self.parts[places[0]], Mapping):
            return [{"x": "inputs", "y": "labels"}[stem]]
        strings = [i for i in places if stem == "y" and is_string(self.parts[i])]
        if len(strings) == len(places):
            strings = []
        plain = iter(numbered(stem, len(places) - len(strings)))
        text = iter(numbered("text", len(strings)))
        return [next(text if i in strings else plain) for i in places]

    def may_go(self, choice: Choice, i: int, path: Path) -> bool:
        """Whether a label is left out where nothing compares it: what has a name, and strings."""
        named = choice.names[i] is not None or (len(path) > 1 and isinstance(path[-1], str))
        return named or is_string(self.parts[i])

    def with_inputs(self, x: tuple[Path, ...], y: tuple[Path, ...]) -> tuple[Path, ...]:
        """The labels, with those that are inputs, too: the InputSpecs have one name."""
        inputs, rest = {path[0]: path for path in x}, iter(y)
        again = [spec for spec in self.labels or () if spec.name in inputs]
        if not again or self.predicting:
            return y
        return tuple(inputs.get(str(spec.name)) or next(rest) for spec in self.labels or ())

    def arguments(self, choice: Choice, names: list[str]) -> Arguments | None:
        """What the network is called with, if that is not just the inputs by place."""
        x = [(names[i], self.parts[i]) for i in choice.x]
        if len(x) == 1 and isinstance(x[0][1], Mapping):
            return self.call_by_name((x[0][0],), x[0][1]) or whole_call(x[0][0])
        if any(isinstance(part, Mapping) for _, part in x):
            return tuple((None, (name,)) for name, _ in x)  # it takes a dict as it is
        said = [choice.names[i] for i in choice.x]
        if None in said or not set(said) <= set(self.takes.names):
            return None
        call = self.call_by_name((), [str(name) for name in said]) or ()
        call = tuple((keyword, (variable_for(str(path[0])),)) for keyword, path in call)
        return call if call != tuple((None, (name,)) for name, _ in x) else None


# ---- parts that have names


class NamesReader(Reader):
    """Reads a batch that is a dict; or an object, whose attributes are its parts.

    Attributes:
        parts: the parts by their keys; of an object those attributes for which something asks.
        called: the keys of labels: they are called so, or else a loss has a parameter of this name.
        plain: the other keys, but those of strings.
    """

    def __init__(self, batch: Any, *said: Any) -> None:
        super().__init__(batch, *said)
        compared = [name for loss in self.losses for name in loss.names]
        self.is_dict = isinstance(batch, Mapping)
        if self.is_dict:
            self.parts = {key: with_wholes(part, Signature()) for key, part in batch.items()}
        else:
            specs = [str(spec.name) for spec in (*(self.inputs or ()), *(self.labels or ()))]
            asked = [*self.takes.names, *specs, *sorted(LABELS), "y", *compared]
            self.parts = {Field(k): getattr(batch, k) for k in asked if hasattr(batch, k)}
        keys = list(self.parts)
        self.called = list(filter(is_label, keys)) or [key for key in keys if key in compared]
        others = [key for key in keys if key not in self.called]
        self.plain = [key for key in others if not is_string(self.parts[key])] or others

    def readings(self) -> list[list[BatchStructure]]:
        said = [str(spec.name) for spec in (*(self.inputs or ()), *(self.labels or ()))]
        if self.predicting:  # where no labels need be
            said = said[: len(self.inputs or ())]
        missing = [key for key in said if key not in self.parts]
        ways = self.ways()
        if missing or not ways:
            raise ValueError(self.explained(*missing[:1]))
        return [[self.structure(x, arguments) for x, arguments in ways]]

    def ways(self) -> list[tuple[list[str], Arguments | None]]:
        """The keys of the inputs, and what the network is called with."""
        takes = self.takes
        if self.inputs:
            keys = [str(spec.name) for spec in self.inputs]
            return [(keys, self.call_by_name(("batch",), keys))]
        keys = [name for name in takes.names if name in self.parts]
        if self.predicting:
            keys = [key for key in keys if key in takes.required or not is_label(key)]
        call = self.call_by_name(("batch",), [key for key in self.parts if key in keys])
        if call is not None:
            return [(keys, call)]
        own = Signature.of(self.network.forward)
        if self.is_dict and own.any_names and not own.names:
            return [(self.plain, tuple((key, ("batch", key)) for key in self.plain))]
        found: list[tuple[list[str], Arguments | None]] = []
        for key in self.plain:  # a dict in the dict
            part = self.parts[key]
            call = self.call_by_name(("batch", key), part) if isinstance(part, Mapping) else None
            found += [([key], call)] if call is not None else []
        if not found and (takes.needed in (None, 1) or len(takes.by_place) == 1):
            found = [(self.plain, None)] if self.is_dict and len(self.plain) == 1 else []
            found += [(self.plain if self.is_dict else [], whole_call("batch"))]
        return found

    def structure(self, x: list[str], arguments: Arguments | None) -> BatchStructure:
        """The structure with these inputs; the labels are what is left, or what was said."""
        rest = self.parts if self.is_dict else self.called
        y = [key for key in rest if key not in x]
        if self.labels is not None:
            y = [str(spec.name) for spec in self.labels]
        inputs, labels = self.leaves(x), self.leaves(y)
        whole = arguments == whole_call("batch")
        if not self.is_dict:
            inputs = [(("batch",), self.batch)] if whole else inputs
            labels = labels if labels or self.labels is not None else [(("batch",), self.batch)]
        paths = tuple(path for path, _ in inputs)
        return BatchStructure(
            "batch",
            paths,
            tuple(path for path, _ in labels),
            arguments,
            optional=tuple(path for path, _ in labels) if self.labels is None else (),
            names=self.names_of(paths, arguments),
            counts=counted(inputs, labels) if self.is_dict else counted([], [*labels, *inputs]),
            doubt=self.explained() if whole or (arguments is None and not self.inputs) else "",
        )

    def leaves(self, keys: Iterable[str]) -> list[tuple[Path, Any]]:
        """All leaves under these keys, with their paths."""
        own = {str(key): key for key in self.parts}
        there = [own[str(key)] for key in keys if str(key) in own]
        return [leaf for key in there for leaf in leaves(("batch", key), self.parts[key])]

    def explained(self, *missing: str) -> str:
        """What to say where the batch does not hold the inputs."""
        wrong = f"{missing[0]!r} is not among them" if missing else "none of them is an input"
        kind = "dict with the keys" if self.is_dict else f"{type(self.batch).__name__} with"
        return (
            f"a batch is a {kind} {', '.join(repr(str(key)) for key in self.parts)}, but {wrong}: "
            f"{type(self.network).__name__}.forward takes "
            f"{', '.join(self.takes.names) or 'nothing'}. Say which are the inputs: "
            "Model(network, inputs=[InputSpec(shape, name=key), ...])."
        )


def whole_call(variable: str) -> Arguments:
    """The call with one variable as it is."""
    return ((None, (variable,)),)


# ---- the number of samples


def counted(
    inputs: Sequence[tuple[Path, Any]], labels: Sequence[tuple[Path, Any]]
) -> tuple[tuple[Path, str], ...] | None:
    """Code for the number of samples, by part; None where the first input tells it."""
    if inputs and tells_samples(inputs[0][1]):
        return None
    parts = (*inputs, *labels)
    found = [(path, f"len({code(path)})") for path, part in parts if tells_samples(part)]
    packed = [path for path, part in inputs if isinstance(part, PackedSequence)]
    return (*found, *((path, f"{code(path)}.batch_sizes[0].item()") for path in packed))


def tells_samples(part: Any) -> bool:
    """Whether its len() is its number of samples."""
    if is_array(part):
        return bool(part.ndim)
    return hasattr(part, "__len__") and not isinstance(part, str | bytes | PackedSequence)


# ---- what is one thing


@dataclass(frozen=True)
class Whole:
    """A list or a tuple that is one thing: it is not unpacked."""

    value: Any

    def __len__(self) -> int:
        return len(self.value)


def with_wholes(batch: Any, takes: Signature) -> Any:
    """The batch with each list in it that is one thing as a Whole.

    These are lists of strings and of numbers; and lists with a tensor for every sample, such as
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
        room = (takes.most, takes.needed) if place == 0 else (None, None)
        parts.append(part_with_wholes(part, samples, *room))
    return type(batch)(*parts) if is_named_tuple(batch) else parts


def part_with_wholes(part: Any, samples: int | None, most: int | None, needed: int | None) -> Any:
    """The same of a part of a batch of so many samples, where a network takes so many inputs."""
    if not is_nested(part) or not len(part):
        return part
    if all(map(is_plain, part)):
        return Whole(part)
    sizes = [leaf.shape[0] for _, leaf in leaves((), part) if is_array(leaf) and leaf.ndim]
    one_each = samples in (None, len(part)) and any(size != samples for size in sizes)
    ragged = one_each and (samples is not None or len(set(sizes)) > 1)
    crowded = most is not None and len(part) > max(most, 1) and not is_named_tuple(part)
    if crowded or (ragged and needed != len(part)):
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


# ---- names


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
