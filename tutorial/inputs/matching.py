"""What goes where: parts of a batch and of an output, matched with the parameters of a callable.

By name, where names tell: in `loss(mu, target, var)`, mu and var get the outputs of these names,
and target the labels, in whatever order they come. What has no such name goes by its place: outputs
first, then labels.
"""

import inspect
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from inspect import Parameter
from itertools import combinations
from typing import Any, TypeVar

from torch import nn

Arguments = tuple[tuple[str | None, Any], ...]  # of a call: a keyword, or None, and a path

Way = TypeVar("Way")
Result = TypeVar("Result")

# What the field calls labels, as in torch's own losses, and what it calls predictions.
LABELS = {"target", "targets", "label", "labels", "label_ids", "y_true", "true", "truth", "gt"}
PREDICTIONS = {
    *("y_hat", "yhat", "y_pred", "pred", "preds", "prediction", "predictions", "logits", "scores"),
    *("input", "output", "outputs", "out", "probs", "probabilities"),
}

OF_PREDICTIONS = r"^pred_|^predicted_|_hat$|_pred$|_logits$|_scores$|_output$|_out$"
OF_LABELS = r"^true_|^gt_|_true$|_gt$|_labels?$|_targets?$"

# Two of a kind by other names: a contrastive loss compares the embeddings of two views.
TWINS = {
    *(("a", "b"), ("p", "q"), ("u", "v"), ("q", "k"), ("i", "j"), ("zi", "zj"), ("za", "zb")),
    *(("anchor", "positive"), ("query", "key"), ("left", "right"), ("first", "second")),
}


@dataclass(frozen=True)
class Signature:
    """What a callable can be given.

    Attributes:
        by_place: the names of the parameters that can be given by place, in order.
        by_keyword: those that can be given by keyword alone.
        required: those without a default.
        any_number: it takes any number of further ones, *args.
        any_names: it takes any further keywords, **kwargs.
    """

    by_place: tuple[str, ...] = ()
    by_keyword: tuple[str, ...] = ()
    required: frozenset[str] = frozenset()
    any_number: bool = False
    any_names: bool = False

    @classmethod
    def of(cls, function: Callable[..., Any]) -> "Signature":
        """The signature of a function, a partial, a method, or an object that can be called.

        >>> Signature.of(nn.GaussianNLLLoss().forward).by_place
        ('input', 'target', 'var')
        """
        try:
            given = inspect.signature(function).parameters.values()
        except (TypeError, ValueError):  # of a compiled function nothing is known
            return cls(any_number=True, any_names=True)
        placed = (Parameter.POSITIONAL_ONLY, Parameter.POSITIONAL_OR_KEYWORD)
        kinds = [each.kind for each in given]
        open_ended = (Parameter.VAR_POSITIONAL, Parameter.VAR_KEYWORD)
        return cls(
            tuple(each.name for each in given if each.kind in placed),
            tuple(each.name for each in given if each.kind is Parameter.KEYWORD_ONLY),
            frozenset(
                each.name
                for each in given
                if each.default is Parameter.empty and each.kind not in open_ended
            ),
            Parameter.VAR_POSITIONAL in kinds,
            Parameter.VAR_KEYWORD in kinds,
        )

    @property
    def names(self) -> tuple[str, ...]:
        """All parameters that have a name."""
        return self.by_place + self.by_keyword

    @property
    def needed(self) -> int | None:
        """How many must be given by place; None if it takes any number."""
        return None if self.any_number else len(self.required.intersection(self.by_place))

    @property
    def most(self) -> int | None:
        """How many can be given by place; None for any number."""
        return None if self.any_number else len(self.by_place)

    def twins(self) -> bool:
        """Whether the first two parameters are called as two of a kind: z1 and z2, z_i and z_j.

        >>> Signature(("z1", "z2"), required=frozenset(["z1", "z2"])).twins()
        True
        """
        if len(self.by_place) < 2 or not self.required >= set(self.by_place[:2]):
            return False
        pair = self.by_place[:2]
        stems = {re.sub(r"_?(\d+|_[a-z]|left|right|first|second)$", "", name) for name in pair}
        return (len(stems) == 1 and pair[0] != pair[1]) or pair in TWINS

    def labels(self) -> list[str]:
        """The parameters that are called as labels are.

        A `y` is the prediction in loss(y, t) and loss(y, target), but the label in loss(y_hat, y)
        and loss(y, y_pred).
        """
        sure = [name for name in self.names if name in LABELS]
        if sure or "y" not in self.names:
            return sure
        first = self.names[0] == "y"
        return ["y"] if not first or any(map(is_prediction, self.names)) else []


def signature_of_loss(loss_fn: Any) -> Signature:
    """The signature of a loss; of a module that of its forward."""
    return Signature.of(loss_fn.forward if isinstance(loss_fn, nn.Module) else loss_fn)


def signature_of_network(network: nn.Module) -> Signature:
    """What the network's forward takes; a wrapper that hands on all that it gets is looked through.

    >>> signature_of_network(nn.DataParallel(nn.Linear(1, 1))).by_place
    ('input',)
    """
    signature = Signature.of(network.forward)
    if signature.names or not signature.any_names:
        return signature
    children = list(network.children())
    named = [getattr(network, name, None) for name in ("_orig_mod", "module")]
    inner = [module for module in named if isinstance(module, nn.Module)] or children
    if len(inner) != 1:
        return signature
    takes = signature_of_network(inner[0])
    return takes if signature.any_number else replace(takes, by_place=(), by_keyword=takes.names)


def is_label(name: Any) -> bool:
    """Whether a key or a field of a batch is called as labels are."""
    return name in LABELS or name == "y"


def stem(name: str, affixes: str) -> str:
    """The name without what says that it is a prediction, or a label: digit_hat, digit_label."""
    return re.sub(affixes, "", name)


def alike(one: Any, other: Any) -> bool:
    """Whether two names mean one thing, predicted or true.

    >>> alike("digit_label", "digit"), alike("digit", "digit_logits"), alike("digit", "parity")
    (True, True, False)
    """
    if not isinstance(one, str) or not isinstance(other, str):
        return False
    stems = [stem(stem(name, OF_PREDICTIONS), OF_LABELS) for name in (one, other)]
    return one == other or (stems[0] == stems[1] and bool(stems[0]))


def is_prediction(name: str) -> bool:
    """Whether a parameter is called as predictions are."""
    return name in PREDICTIONS or name.endswith(("_hat", "_pred"))


@dataclass(frozen=True)
class Part:
    """A part of a batch or of an output that a callable may get.

    Attributes:
        path: where it stands.
        name: its key, its field, or the name of its InputSpec; None if it has none.
        optional: whether it may be left out.
    """

    path: Any
    name: str | None = None
    optional: bool = False


def matched(
    signature: Signature,
    outputs: Sequence[Part],
    labels: Sequence[Part],
    others: Sequence[Part] = (),
) -> list[Arguments]:
    """The ways to call it with all outputs and all labels that are not optional.

    At least one output is compared: a batch's `input` is not the `input` of torch's losses.

    Args:
        signature: what it takes.
        outputs: the network's outputs.
        labels: the labels.
        others: parts that are given to a parameter of their name, and to no other.

    Returns:
        No way, one, or one for each choice among the optional labels.

    Example:
        >>> y_hat, w, y = Part("y_hat"), Part("w", "weight"), Part("t", "target")
        >>> matched(Signature(("y_hat", "target", "weight")), [y_hat], [w, y])
        [((None, 'y_hat'), (None, 't'), (None, 'w'))]
    """
    for named in [others, ()] if others else [()]:  # in loss(x, y), x may well be the output
        taken = by_name(signature, outputs, labels, named)
        ways = ways_to_call(signature, outputs, labels, taken, spare=not named)
        ways = [way for way in ways if compares(way, outputs)]
        if ways:
            return ways
    return []


def compares(way: Arguments, outputs: Sequence[Part]) -> bool:
    """Whether a call is given one of the outputs, if there are any."""
    given = [path for _, path in way]
    return not outputs or any(part.path in given for part in outputs)


def ways_to_call(
    signature: Signature,
    outputs: Sequence[Part],
    labels: Sequence[Part],
    taken: dict[str, Part],
    spare: bool,
) -> list[Arguments]:
    """The ways to call it, once it is known what some parameters have taken by name.

    `spare`: whether parameters with a default take what else has no place.
    """
    used = list(taken.values())
    outputs = [part for part in outputs if part not in used]
    labels = [part for part in labels if part not in used]
    if signature.required <= taken.keys() and not signature.any_number:
        outputs = [part for part in outputs if part.name is None]  # names tell what it takes
    optional = [part for part in labels if part.optional]
    missing = len(signature.required - taken.keys()) - len(outputs) - len(labels) + len(optional)
    chosen = choices(optional, max(missing, 0))
    kept = [[part for part in labels if part not in optional or part in some] for some in chosen]
    ways = [by_place(signature, taken, outputs, some, spare) for some in kept]
    return [way for way in ways if way is not None]


def by_name(
    signature: Signature,
    outputs: Sequence[Part],
    labels: Sequence[Part],
    others: Sequence[Part],
) -> dict[str, Part]:
    """What the parameters get whose names tell."""
    called_labels = signature.labels()
    taken: dict[str, Part] = {}

    def free(parts: Iterable[Part]) -> list[Part]:
        return [part for part in parts if part not in taken.values()]

    for name in signature.names:  # digit_hat, digit: the first is the output, the second the label
        sources = outputs if stem(name, OF_PREDICTIONS) != name else labels
        if stem(name, OF_PREDICTIONS) != name or stem(name, OF_LABELS) != name:
            for part in [part for part in free(sources) if alike(part.name, name)][:1]:
                taken[name] = part
    for name in signature.names:
        predicted = name == "y" and name not in called_labels  # as in loss(y, t)
        sources = outputs if predicted else [*outputs, *labels, *others]
        named = [part for part in free(sources) if part.name == name]
        if named and name not in taken:
            taken[name] = named[0]
    for name in called_labels:
        here = free(labels) or [part for part in free(others) if is_label(part.name)]
        called = [part for part in here if is_label(part.name)]
        sure = called or [part for part in here if not part.optional]
        if name not in taken and name in signature.required and (sure or len(here) == 1):
            taken[name] = (sure or here)[0]
    return taken


def choices(optional: list[Part], count: int) -> list[tuple[Part, ...]]:
    """The choices of so many labels."""
    called = [part for part in optional if is_label(part.name)]
    return list(combinations(called if len(called) >= count else optional, count))


def by_place(
    signature: Signature,
    taken: dict[str, Part],
    outputs: list[Part],
    labels: list[Part],
    spare: bool,
) -> Arguments | None:
    """The call with the rest by place, if all have one."""
    taken, outputs, labels = dict(taken), list(outputs), list(labels)
    needed = [name for name in signature.names if name in signature.required - taken.keys()]
    others = [name for name in signature.by_place if spare and name not in (*taken, *needed)]
    for name in signature.labels():  # if a choice was made for it
        if name in needed and labels:
            taken[name] = labels.pop(0)
            needed.remove(name)
    rest = [*outputs, *labels]
    taken |= dict(zip([*needed, *others], rest, strict=False))
    more = rest[len(needed) + len(others) :]
    if len(rest) < len(needed) or (more and not signature.any_number):
        return None
    return written(signature, taken, more)


def written(signature: Signature, taken: dict[str, Part], more: list[Part]) -> Arguments:
    """The call in the order of the parameters; by keyword, what cannot stand at its place."""
    arguments: list[tuple[str | None, Any]] = []
    skipped = False
    for name in signature.by_place:
        if name in taken:
            arguments.append((name if skipped else None, taken[name].path))
        skipped = skipped or name not in taken
    arguments += [(None, part.path) for part in more]
    arguments += [(name, taken[name].path) for name in signature.by_keyword if name in taken]
    return tuple(arguments)


def the_one_that_runs(
    ways: Sequence[Sequence[Way]], run: Callable[[Way], Result], ambiguous: Callable[..., str]
) -> tuple[Way, Result]:
    """Of several ways the one that runs, and what it gives.

    Args:
        ways: lists of ways. The first list with a way that runs decides.
        run: tries a way; it raises an error if that does not run.
        ambiguous: what to say of the ways of one list that all run.

    Raises:
        ValueError: several ways of that list run.
        Exception: none runs; the error of the first way.
    """
    errors: list[Exception] = []
    for alike in ways:
        ran: list[tuple[Way, Result]] = []
        for way in alike:
            try:
                ran.append((way, run(way)))
            except Exception as error:
                errors.append(error)
        if len(ran) > 1:
            raise ValueError(ambiguous([way for way, _ in ran]))
        if ran:
            return ran[0]
    raise errors[0]
