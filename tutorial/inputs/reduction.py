"""How a loss reduces a batch to one number: what it averages over, or that it sums.

For the mean over all batches to be the same for every batch size, and for k batches to act as one
large one, a batch must count as much as the loss has averaged over: mostly its samples; where some
labels are to be ignored, the others; with class weights, the sum of the labels' weights. Of torch's
losses this is known. Any other is asked: the loss of a batch is compared with those of its halves.
"""

import math
import warnings
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import nn

from tutorial.inputs.labels import BY_SHAPE
from tutorial.inputs.structure import Path, code, leaves, tree_map
from tutorial.loop.options import Code

IGNORED = -100  # the label that torch's losses ignore, if nothing else is said


@dataclass(frozen=True)
class Reduction:
    """What a loss makes of a batch.

    Attributes:
        kind: a "mean", or a "sum" over the samples; or "neither", and the loop can only count it
            as a mean.
        weight: code for what it averages over, if that is not the number of samples.
        may_be_zero: whether that can be 0: then there is nothing to learn from the batch.
        is_zero: whether it is so of the first batch.
        given: whether the loss function returns a pair of the loss and its weight.
        parts: of several losses that one function returns, what each is: a "mean" or a "sum".
        each: of several loss functions of which each averages over something else, theirs.
        warning: what a user is to know of it.
    """

    kind: Literal["mean", "sum", "neither"] = "mean"
    weight: str | None = None
    may_be_zero: bool = False
    is_zero: bool = False
    given: bool = False
    parts: tuple[str, ...] = ()
    each: tuple["Reduction", ...] = ()
    warning: str = ""

    def options(self) -> dict[str, Any]:
        """The options for `unroll` that differ from a mean over the samples."""
        options: dict[str, Any] = {}
        if self.kind != "mean":
            options["LOSS_REDUCTION"] = self.kind
        if self.weight:
            options["BATCH_WEIGHT"] = Code(self.weight)
        if self.given:
            options["LOSSES"] = "weighed"
        options |= {"LOSSES_WEIGH": True} if self.each else {}
        return options | ({"WEIGHT_MAY_BE_ZERO": True} if self.may_be_zero else {})

    def of_both(self, other: "Reduction") -> "Reduction":
        """Of training and validation data: some labels may be to ignore in one of them only."""
        return self if self.weight or other.kind != self.kind else replace(other, warning="")


def together(reductions: list[Reduction]) -> Reduction:
    """Of several losses, which are summed: one reduction, if they all have the same."""
    first, *rest = reductions or [Reduction()]
    if all((other.kind, other.weight) == (first.kind, first.weight) for other in rest):
        return first
    warned = next((other for other in reductions if other.warning), None)
    if warned is not None:
        return warned
    return Reduction(is_zero=any(each.is_zero for each in reductions), each=tuple(reductions))


@dataclass(frozen=True)
class Compared:
    """What a loss compares in the first batch.

    Attributes:
        variable: the loss's name in the loop.
        loss_fn: the loss.
        label: the path of the labels; None if it compares more than an output and labels.
        y: the labels.
        every: all labels, if they lie together; if not, some may be to ignore among them.
        alike: whether all samples are of one shape.
        given: what the loss is called with, by place and by keyword.
        device: where the network is.
    """

    variable: str
    loss_fn: Any
    label: Path | None
    y: Any
    every: torch.Tensor | None = None
    alike: bool = False
    given: tuple[list[Any], dict[str, Any]] | None = None
    device: str = "cpu"


def reduction_of(this: Compared) -> Reduction:
    """How this loss reduces a batch.

    Raises:
        ValueError: it returns a pair of which the second is not what the first averages over.
    """
    kind, said, place = said_by(this.variable, this.loss_fn)
    if not is_torchs(kind):
        return by_parts(this, said.get("reduction"))
    if said.get("reduction") == "sum":
        return Reduction("sum")
    if this.label is None or not isinstance(this.y, torch.Tensor):
        return Reduction()
    if kind in (F.cross_entropy, F.nll_loss) and not this.y.is_floating_point():
        return by_index(this, this.label, said, place)
    label = str(code(this.label))
    if this.alike or this.y.dim() < 2 or said.get("reduction") == "batchmean":
        return Reduction()
    if kind is F.cross_entropy:  # probabilities of the classes
        return Reduction(weight=f"{label}[:, 0].numel()" if this.y.dim() > 2 else None)
    return Reduction(weight=f"{label}.numel()" if kind in BY_SHAPE else None)


def by_index(
    this: Compared, label: Path, said: dict[str, Any], place: Callable[[str], str]
) -> Reduction:
    """Of a loss by class indices: the labels that are not to ignore; or the sum of their weights.

    Args:
        this: what it compares.
        label: the path of the labels.
        said: what is said to the loss.
        place: code for each of that.
    """
    weights, ignored = said.get("weight"), said.get("ignore_index", IGNORED)
    labels, count = str(code(label)), None
    some_ignored = this.every is None or ignored in this.every
    if some_ignored:
        count = f"({labels} != {ignored}).sum()"
        labels = f"{labels}[{labels} != {ignored}]"
    elif not this.alike and this.y.dim() > 1:
        return Reduction(weight=f"{labels}.numel()")
    if weights is not None:
        labels += ".long()" if this.y.dtype == torch.uint8 else ""  # torch would read it as a mask
        count = f"{place('weight')}[{labels}].sum()"
    if count is None:
        return Reduction()
    may_be_zero = some_ignored or (weights is not None and 0 in weights)
    waits = this.device == "cpu" or may_be_zero  # a loop that asks whether it is 0 has to
    counting = this.y[this.y != ignored].long()
    is_zero = not (len(counting) if weights is None else weights[counting].sum())
    return Reduction("mean", f"{count}.item()" if waits else count, may_be_zero, bool(is_zero))


def ignores_some(loss_fns: Mapping[str, Any], parts: Iterable[Any]) -> bool:
    """Whether there are labels among the parts of a batch that one of the losses ignores."""
    for variable, loss_fn in loss_fns.items():
        kind, said, _ = said_by(variable, loss_fn)
        if kind in CALLS.values():
            ignored = said.get("ignore_index", IGNORED)
            whole = [part for part in parts if has_length(part) and not part.is_floating_point()]
            if any(bool((part == ignored).any()) for part in whole):
                return True
    return False


# ---- torch's own losses

# Those with class weights and labels to ignore: as objects, and the functions they call.
CALLS: dict[Any, Any] = {nn.CrossEntropyLoss: F.cross_entropy, nn.NLLLoss: F.nll_loss}


def said_by(variable: str, loss_fn: Any) -> tuple[Any, dict[str, Any], Any]:
    """Which kind of loss it is, what is said to it, and code for each of these."""
    if isinstance(loss_fn, partial):
        return loss_fn.func, loss_fn.keywords, lambda name: f'{variable}.keywords["{name}"]'
    if not isinstance(loss_fn, nn.Module):
        return loss_fn, {"reduction": getattr(loss_fn, "reduction", None)}, None
    kind: Any = type(loss_fn)
    for base in kind.__mro__:  # a subclass with a forward of its own is a loss of its own
        if base.__module__ == nn.modules.loss.__name__ and base.forward is kind.forward:
            kind = CALLS.get(base, base)
            break
    return kind, vars(loss_fn) | loss_fn._buffers, lambda name: f"{variable}.{name}"


def is_torchs(kind: Any) -> bool:
    """Whether it is a loss of torch."""
    return getattr(kind, "__module__", "") in (F.__name__, nn.modules.loss.__name__, "torch._C._nn")


# ---- any other loss, asked


def by_parts(this: Compared, said: Any) -> Reduction:
    """What the loss of the first batch is of the losses of its parts: the mean, or the sum.

    Args:
        this: what it compares.
        said: its `reduction`, if it has such a thing; it counts if the loss cannot be asked.
    """
    with torch.enable_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for dtype in (torch.float64, torch.float32):  # some losses take no float64
            with suppress(NotAskedError):
                return asked(this, dtype)
    return Reduction("sum") if said == "sum" else Reduction()


class NotAskedError(Exception):
    """Of this loss it cannot be found out."""


def asked(this: Compared, dtype: torch.dtype) -> Reduction:
    """What the losses of parts of the batch say, computed with this type.

    Raises:
        NotAskedError: they say nothing.
    """
    ask = partial(part_of, this, dtype)
    whole = ask(slice(None))
    alike = partial(math.isclose, rel_tol=1e-5 if dtype is torch.float64 else 1e-4, abs_tol=1e-7)
    try:
        cuts = cut_in_two(whole, ask)
    except NotAskedError:
        if whole.is_counted:
            return whole.given()
        raise
    if whole.weight is not None:
        if all(whole.adds_up(cut, alike) for cut in cuts):
            return whole.given()
        if not whole.is_counted:
            raise NotAskedError  # two losses, then
        raise ValueError(
            f"the loss function returns a pair of a loss and {float(whole.weight):g}, but that is "
            "not what the loss averages over: of two parts of the batch, it says something else. "
            "Return (loss, number), where loss * number is a sum over the samples; or the loss."
        )
    kinds = []
    for i in range(len(whole.losses)):
        means = [sum(part.losses[i] * part.samples for part in cut) / whole.samples for cut in cuts]
        sums = [sum(part.losses[i] for part in cut) for cut in cuts]
        if all(alike(whole.losses[i], mean) for mean in means):
            kinds.append(Reduction())
        elif all(alike(whole.losses[i], total) for total in sums):
            kinds.append(Reduction("sum"))
        else:
            other = next(mean for mean in means if not alike(whole.losses[i], mean))
            kinds.append(Reduction("neither", warning=NEITHER.format(whole.losses[i], other)))
    total, *parts = kinds
    return replace(total, parts=tuple(part.kind for part in parts))


NEITHER = (
    "the loss of the first batch is {:.6g}, but two parts of it, as means over their "
    "samples, say {:.6g}: it is neither a mean nor a sum over samples. So the mean that is "
    "reported depends on batch_size, and accumulated batches are not one large one. If it averages "
    "over something else, such as tokens or class weights, let the function return (loss, weight): "
    "the loss, and over how much it averaged."
)


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


def cut_in_two(whole: Part, ask: Callable[[slice], Part]) -> list[list[Part]]:
    """What the loss says of the first samples and of the rest; cut at two places.

    Args:
        whole: what it says of all.
        ask: asks it of some.

    Raises:
        NotAskedError: they cannot be cut, or the loss is another one at each call.
    """
    again = ask(slice(None))
    odd = again.losses != whole.losses or not math.isfinite(whole.loss)
    if whole.samples < 2 or (odd and not is_nothing(whole)):
        raise NotAskedError
    places = {whole.samples // 2, max(whole.samples // 3, 1)}
    return [[ask(slice(0, at)), ask(slice(at, None))] for at in sorted(places)]


def is_nothing(part: Part) -> bool:
    """Whether it has no weight, so that its loss is nan."""
    return part.weight is not None and not part.weight


def part_of(this: Compared, dtype: torch.dtype, samples: slice) -> Part:
    """What the loss says of some of the samples."""
    try:
        by_place, by_name = tree_map(partial(cut, samples=samples, dtype=dtype), this.given)
        returned = this.loss_fn(*by_place, **by_name)
    except Exception as error:  # it takes only what it gets
        raise NotAskedError from error
    parts = [part for _, part in leaves((), (by_place, by_name))]
    sizes = {len(part) for part in parts if has_length(part)}
    weight = None
    if type(returned) is tuple and len(returned) == 2:
        learns = isinstance(returned[1], torch.Tensor) and returned[1].requires_grad
        if not learns and (is_number(returned[1]) or type(returned[1]) in (int, float)):
            returned, weight = returned
    several = isinstance(returned, dict | list | tuple)
    named = returned if isinstance(returned, dict) else dict(enumerate(returned if several else ()))
    if not all(is_number(each) for each in (named.values() if several else [returned])):
        raise NotAskedError
    numbers = {name: each.item() for name, each in named.items()}
    total = numbers.pop("loss", sum(numbers.values())) if several else returned.item()
    return Part((total, *numbers.values()), weight, sizes.pop() if len(sizes) == 1 else 0)


def is_number(part: Any) -> bool:
    """Whether it is a tensor of shape ()."""
    return isinstance(part, torch.Tensor) and not part.dim()


def cut(part: Any, samples: slice, dtype: torch.dtype) -> Any:
    """Some samples of a tensor, to which gradients go."""
    if not isinstance(part, torch.Tensor):
        if not isinstance(part, int | float | str | None):
            raise NotAskedError  # nobody knows what lies in it
        return part
    part = part.detach()[samples] if part.dim() else part.detach()
    return part.to(dtype).requires_grad_() if part.is_floating_point() else part


# ---- the number of samples


def samples_code(
    x: Path, y_hat: Path, labels: tuple[Path, ...], value: Callable[[Path], Any], sure: bool
) -> str | None:
    """Code for the number of samples in a batch, where the inputs may not tell it.

    Args:
        x: the path of the first input.
        y_hat: that of the first output.
        labels: those of the labels.
        value: what stands at a path.
        sure: whether the samples lie along the first axis of each tensor.
    """
    if sure and isinstance(value(x), torch.Tensor):
        return None
    sizes = {path: len(value(path)) for path in labels if has_length(value(path))}
    if sizes:  # of several, such as targets and their lengths, that with fewest
        return f"len({code(min(sizes, key=lambda path: sizes[path]))})"
    return f"len({code(y_hat)})" if has_length(value(y_hat)) else None


def has_length(part: Any) -> bool:
    """Whether it is a tensor with an axis."""
    return isinstance(part, torch.Tensor) and part.dim() > 0
