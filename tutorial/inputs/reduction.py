"""How a loss reduces a batch to one number: what it averages over, or that it sums.

For the mean over all batches to be the same for every batch size, and for k batches to act as one
large one, a batch must count as much as the loss has averaged over: mostly its samples; where some
labels are to be ignored, the others; with class weights, the sum of the labels' weights. Of torch's
losses this is known. Any other is asked: the loss of a batch is compared with those of its halves.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Literal

import torch

from tutorial.inputs.structure import Path, code
from tutorial.loop.options import Code


@dataclass(frozen=True)
class Reduction:
    """What a loss makes of a batch.

    Attributes:
        kind: a "mean", or a "sum" over the samples; or "neither", or it is "unknown": then the
            loop can only count it as a mean.
        weight: code for what it averages over, if that is not the number of samples.
        may_be_zero: whether that can be 0: then there is nothing to learn from the batch.
        is_zero: whether it is so of the first batch.
        given: whether the loss function returns a pair of the loss and its weight.
        parts: of several losses that one function returns, what each is: a "mean" or a "sum".
        each: of several loss functions of which each averages over something else, theirs.
        warning: what a user is to know of it.
    """

    kind: Literal["mean", "sum", "neither", "unknown"] = "mean"
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
        if self.each and other.each:
            return replace(self, each=tuple(map(Reduction.of_both, self.each, other.each)))
        if self.each:
            return self
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
        places: code for each tensor in that which comes from the batch; None for an output.
        device: where the network is.
    """

    variable: str
    loss_fn: Any
    label: Path | None
    y: Any
    every: torch.Tensor | None = None
    alike: bool = False
    given: tuple[list[Any], dict[str, Any]] | None = None
    places: tuple[str | None, ...] = ()
    device: str = "cpu"


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
