"""How a loss of one's own reduces a batch: it is asked.

The loss of a batch is compared with the losses of its parts. It is their mean over the samples, or
their sum; or their mean over something that can be counted in a batch: labels that are not to
ignore, a mask, the steps of sequences. A batch may have no label to ignore and no gap in its mask
where later ones have some: so it is asked of a batch with gaps, too.
"""

import copy
import math
import warnings
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from operator import itemgetter
from typing import Any

import torch
from torch import Tensor, nn

from tutorial.inputs.reduction import Compared, Reduction, has_length
from tutorial.inputs.structure import leaves, tree_map

IGNORED = -100  # the label that losses ignore, if nothing else is said
MANY = 50  # labels of a batch that are tried as the one to ignore


class NotAskedError(Exception):
    """Of this loss it cannot be found out."""


def asked_of(this: Compared, said: dict[str, Any]) -> Reduction:
    """What the loss of the first batch is of the losses of its parts.

    Args:
        this: what it compares.
        said: what is said to the loss. Its `reduction` counts where the loss cannot be asked.

    Raises:
        ValueError: it returns a pair of which the second is not what the first averages over.
    """
    with torch.enable_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for dtype in (torch.float64, torch.float32):  # some losses take no float64
            with suppress(NotAskedError):
                return answer(Question.of(this, dtype), this, said.get("ignore_index", IGNORED))
    return Reduction("sum" if said.get("reduction") == "sum" else "unknown")


def answer(ask: "Question", this: Compared, ignored: Any) -> Reduction:
    """What the losses of parts of the batch say.

    Raises:
        NotAskedError: they say nothing.
        ValueError: it returns a pair of which the second is not what the first averages over.
    """
    whole = ask.loss()
    try:
        cuts = ask.cuts(whole)
    except NotAskedError:
        if whole.is_counted:
            return whole.given()
        if counted := averages_over(ask, this, ignored, is_mean=True):  # nothing in this batch
            return counted
        raise
    if whole.weight is not None:
        if all(whole.adds_up(cut, ask.alike) for cut in cuts):
            return whole.given()
        if not whole.is_counted:
            raise NotAskedError  # two losses, then
        raise ValueError(
            f"the loss function returns a pair of a loss and {float(whole.weight):g}, but that is "
            "not what the loss averages over: of two parts of the batch, it says something else. "
            "Return (loss, number), where loss * number is a sum over the samples; or the loss."
        )
    total, *parts = [reduction(whole, cuts, i, ask.alike) for i in range(len(whole.losses))]
    if not parts and (counted := averages_over(ask, this, ignored, total.kind == "mean")):
        return counted
    return replace(total, parts=tuple(part.kind for part in parts))


# ---- the loss of a part


@dataclass(frozen=True)
class Part:
    """What the loss says of some samples.

    Attributes:
        losses: the number; and the parts that it is made of, if there are some.
        weight: what it averaged over, if the loss says that.
        samples: how many they are.
    """

    losses: tuple[float, ...]
    weight: Any
    samples: int

    @property
    def loss(self) -> float:
        """The loss that is trained on."""
        return self.losses[0]

    @property
    def is_counted(self) -> bool:
        """Whether its weight is an integer: no second loss."""
        whole = isinstance(self.weight, int)
        return whole or (is_number(self.weight) and not self.weight.is_floating_point())

    def adds_up(self, cut: list["Part"], alike: Callable[[float, float], bool]) -> bool:
        """Whether the weights of the parts add up to this one's, and what they are weights of."""
        weight = sum(float(part.weight) for part in cut)
        total = sum(part.loss * float(part.weight) for part in cut if part.weight)
        own = self.loss * float(self.weight) if self.weight else 0.0
        return alike(float(self.weight), weight) and alike(own, total)

    def given(self) -> Reduction:
        """The reduction, with the weight that the loss says."""
        weight = "batch_weight.item()" if is_number(self.weight) else "batch_weight"
        return Reduction("mean", weight, may_be_zero=True, is_zero=not self.weight, given=True)


@dataclass(frozen=True)
class Question:
    """A loss and what it is called with.

    Attributes:
        loss_fn: the loss.
        given: what it is called with, by place and by keyword.
        parts: the tensors in that, and the numbers.
        places: for each, where it comes from in the batch, as code; None for an output.
        dtype: the type in which it computes.
    """

    loss_fn: Any
    given: Any
    parts: list[Any]
    places: tuple[str | None, ...]
    dtype: torch.dtype

    @classmethod
    def of(cls, this: Compared, dtype: torch.dtype) -> "Question":
        """Of the first batch. One sample is asked of as if it were three that differ a little.

        Raises:
            NotAskedError: nobody knows what lies in it.
        """
        if this.given is None or not all(this.given[:1]):
            raise NotAskedError
        parts = [to_ask(part, dtype) for _, part in leaves((), this.given)]
        if {len(part) for part in parts if has_length(part)} == {1}:
            outputs = [place is None for place in this.places]
            parts = [three(part, output) for part, output in zip(parts, outputs, strict=True)]
        return cls(this.loss_fn, this.given, parts, this.places, dtype)

    def alike(self, one: float, other: float) -> bool:
        """Whether two losses are equal but for rounding."""
        return math.isclose(
            one, other, rel_tol=1e-5 if self.dtype is torch.float64 else 1e-4, abs_tol=1e-7
        )

    def loss(self, cut: Callable[[Tensor], Tensor] = lambda part: part) -> Part:
        """What the loss says of the batch, or of what is cut from each tensor of it."""
        try:
            pairs = zip(self.parts, self.places, strict=True)
            each = iter([self.cut(part, cut, place is None) for part, place in pairs])
            by_place, by_name = tree_map(lambda _: next(each), self.given)
            returned = self.loss_fn(*by_place, **by_name)
        except Exception as error:  # it takes only what it gets
            raise NotAskedError from error
        sizes = {len(part) for _, part in leaves((), (by_place, by_name)) if has_length(part)}
        weight = None
        if type(returned) is tuple and len(returned) == 2:
            learns = isinstance(returned[1], Tensor) and returned[1].requires_grad
            if not learns and (is_number(returned[1]) or type(returned[1]) in (int, float)):
                returned, weight = returned
        several = isinstance(returned, dict | list | tuple)
        named = (
            returned if isinstance(returned, dict) else dict(enumerate(returned if several else ()))
        )
        if not all(is_number(each) for each in (named.values() if several else [returned])):
            raise NotAskedError
        numbers = {name: each.item() for name, each in named.items()}
        total = numbers.pop("loss", sum(numbers.values())) if several else returned.item()
        return Part((total, *numbers.values()), weight, sizes.pop() if len(sizes) == 1 else 0)

    def cut(self, part: Any, cut: Callable[[Tensor], Tensor], is_output: bool) -> Any:
        """What is cut from a part; gradients go to an output: a weight of labels has none."""
        part = cut(part) if has_length(part) else part
        floating = isinstance(part, Tensor) and part.is_floating_point()
        return part.detach().requires_grad_(is_output) if floating else part

    def cuts(self, whole: Part) -> list[list[Part]]:
        """What the loss says of the first samples and of the rest; cut at two places.

        Args:
            whole: what it says of all.

        Raises:
            NotAskedError: they cannot be cut, or the loss is another one at each call.
        """
        odd = self.loss().losses != whole.losses or not math.isfinite(whole.loss)
        nothing = whole.weight is not None and not whole.weight  # so that its mean is nan
        if whole.samples < 2 or (odd and not nothing):
            raise NotAskedError
        return [
            [self.loss(itemgetter(of)) for of in in_two(at)] for at in two_places(whole.samples)
        ]


def to_ask(part: Any, dtype: torch.dtype) -> Any:
    """A part with this type, if it is a tensor of floating-point numbers.

    Raises:
        NotAskedError: nobody knows what lies in it.
    """
    if not isinstance(part, Tensor):
        if not isinstance(part, int | float | str | None):
            raise NotAskedError
        return part
    return part.detach().to(dtype) if part.is_floating_point() else part.detach()


def three(part: Any, output: bool) -> Any:
    """Three samples for one; of an output, they differ, and probabilities stay probabilities."""
    if not has_length(part):
        return part
    parts = [part, part * 0.9, part * 0.8] if output and part.is_floating_point() else [part] * 3
    return torch.cat(parts)


def in_two(at: int) -> tuple[slice, slice]:
    """The two parts."""
    return slice(0, at), slice(at, None)


def two_places(size: int) -> list[int]:
    """Where to cut so many in two: in the middle and elsewhere."""
    return sorted({size // 2, max(size // 3, 1)})


def places(size: int) -> list[int]:
    """More of these, where equal counts on both sides of a cut could mislead."""
    return sorted({1, *two_places(size), *range(2, size, max(size // 4, 1))} & {*range(1, size)})


def is_number(part: Any) -> bool:
    """Whether it is a tensor of shape ()."""
    return isinstance(part, Tensor) and not part.dim()


# ---- what it averages over


def reduction(
    whole: Part, cuts: list[list[Part]], i: int, alike: Callable[[float, float], bool]
) -> Reduction:
    """What the i-th loss of the whole is of those of its parts: their mean, or their sum."""
    means = [sum(part.losses[i] * part.samples for part in cut) / whole.samples for cut in cuts]
    sums = [sum(part.losses[i] for part in cut) for cut in cuts]
    if all(alike(whole.losses[i], mean) for mean in means):
        return Reduction()
    if all(alike(whole.losses[i], total) for total in sums):
        return Reduction("sum")
    other = next(mean for mean in means if not alike(whole.losses[i], mean))
    return Reduction("neither", warning=NEITHER.format(whole.losses[i], other))


NEITHER = (
    "the loss of the first batch is {:.6g}, but two parts of it, as means over their "
    "samples, say {:.6g}: it is neither a mean nor a sum over samples. So the mean that is "
    "reported depends on batch_size, and accumulated batches are not one large one. If it averages "
    "over something else, such as tokens or class weights, let the function return (loss, weight): "
    "the loss, and over how much it averaged."
)


@dataclass(frozen=True)
class Count:
    """What a loss may average over.

    Attributes:
        place: which of the parts it is counted in.
        code: code for it.
        of: counts it in that part.
        gaps: makes gaps in that part; None if there is no way to.
        sure: whether it is known that there are such gaps in the data.
        axis: along which the batch is cut.
    """

    place: int
    code: str
    of: Callable[[Tensor], Any]
    gaps: Callable[[Tensor], Tensor] | None = None
    axis: int = 0


def averages_over(ask: Question, this: Compared, ignored: Any, is_mean: bool) -> Reduction | None:
    """What can be counted in a batch and is what the loss averages over.

    Args:
        ask: the loss and the first batch.
        this: what it compares.
        ignored: the label to ignore.
        is_mean: whether the loss of the first batch is a mean over its samples.
    """
    for count in counts(ask, this, ignored, is_mean):
        counted = ask.parts[count.place]
        asked = [] if is_mean and count.axis == 0 else [ask]
        if count.gaps is not None:
            asked.append(with_gaps(ask, count))
        if any(is_mean_over(count, question) for question in asked):
            may_be_zero = count.axis == 0
            code = f"{count.code}.item()" if may_be_zero else count.code
            return Reduction("mean", code, may_be_zero, is_zero=not count.of(counted))
    return None


def counts(ask: Question, this: Compared, ignored: Any, is_mean: bool) -> Iterator[Count]:
    """What may be counted in the parts that come from the batch."""
    for place, (part, code) in enumerate(zip(ask.parts, ask.places, strict=True)):
        if code is None or not has_length(part):
            continue
        whole = not part.is_floating_point() and part.dtype != torch.bool
        if whole:
            for label in dict.fromkeys([ignored, IGNORED]):
                if this.every is None or label in this.every:
                    yield ignoring(place, code, label)
            present = [] if is_mean else part.unique().tolist()
            yield from (ignoring(place, code, label) for label in present[:MANY])
        if part.dtype == torch.bool:
            yield Count(place, f"(~{code}).sum()", lambda mask: (~mask).sum(), padded)
        if (part >= 0).all():
            yield Count(place, f"{code}.sum()", torch.sum, masked)
        if is_mean and not this.alike and part.dim() > 1:  # sequences, maybe of other lengths
            yield Count(place, f"{code}.numel()", torch.numel, axis=1)


def ignoring(place: int, code: str, label: int) -> Count:
    """The labels that are not this one."""
    return Count(
        place,
        f"({code} != {label}).count_nonzero()",
        lambda labels: (labels != label).sum(),
        lambda labels: torch.where(
            every_third(labels), label, labels.masked_fill(labels == label, 0)
        ),
    )


def masked(mask: Tensor) -> Tensor:
    """A mask with gaps, and no other ones."""
    return mask.masked_fill(mask == 0, 1).masked_fill(every_third(mask), 0)


def padded(mask: Tensor) -> Tensor:
    """A mask of what is padding: every third."""
    return every_third(mask)


def every_third(part: Tensor) -> Tensor:
    """True for every third number."""
    return (torch.arange(part.numel(), device=part.device) % 3 == 1).view(part.shape)


def with_gaps(ask: Question, count: Count) -> Question:
    """The same question of a batch with gaps, asked on the CPU: a GPU does not outlive an error."""
    loss_fn = ask.loss_fn
    parts = [part.cpu() if isinstance(part, Tensor) else part for part in ask.parts]
    if any(isinstance(part, Tensor) and part.device.type != "cpu" for part in ask.parts):
        loss_fn = copy.deepcopy(loss_fn).cpu() if isinstance(loss_fn, nn.Module) else loss_fn
    if count.gaps is not None:
        parts[count.place] = count.gaps(parts[count.place])
    return replace(ask, loss_fn=loss_fn, parts=parts)


def is_mean_over(count: Count, ask: Question) -> bool:
    """Whether the loss is a mean over what is counted, and not over the samples, nor a sum."""
    counted = ask.parts[count.place]
    size = counted.shape[count.axis]

    def weighed(of: slice) -> tuple[Part, float]:
        cut = partial(along, axis=count.axis, size=size, of=of)
        return ask.loss(cut), float(count.of(cut(counted)))

    try:
        whole, total = ask.loss(), float(count.of(counted))
        cuts = [[weighed(of) for of in in_two(at)] for at in places(size)]
        sums = [sum(part.loss * weight for part, weight in cut if weight) for cut in cuts]
        plain = reduction(whole, [[part for part, _ in cut] for cut in cuts], 0, ask.alike)
        alike = all(ask.alike(whole.loss, each / total) for each in sums)
    except (NotAskedError, ZeroDivisionError):
        return False
    return alike and (count.axis > 0 or plain.kind == "neither")


def along(part: Tensor, axis: int, size: int, of: slice) -> Tensor:
    """Some samples; or some steps, which in scores may come after the classes."""
    if axis == 0:
        return part[of]
    if part.dim() > 1 and part.shape[1] == size:
        return part[:, of]
    return part[:, :, of] if part.dim() > 2 and part.shape[2] == size else part
