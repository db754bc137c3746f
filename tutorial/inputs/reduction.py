"""How a loss reduces a batch to one number: what it averages over, or that it sums.

For the mean over all batches to be the same for every batch size, and for k batches to act as one
large one, a batch must count as much as the loss has averaged over: mostly its samples; where some
labels are to be ignored, the others; with class weights, the sum of the labels' weights.
"""

from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import nn

from tutorial.inputs.structure import Path, code
from tutorial.loop.options import Code

IGNORED = -100  # the label that torch's losses ignore, if nothing else is said


@dataclass(frozen=True)
class Reduction:
    """What a loss made of a batch.

    Attributes:
        kind: a "mean"; or a "sum" over the samples.
        weight: code for what it averaged over, if that is not the number of samples.
        may_be_zero: whether that can be 0: then there is nothing to learn from the batch.
        is_zero: whether it is so of the first samples.
    """

    kind: Literal["mean", "sum"] = "mean"
    weight: str | None = None
    may_be_zero: bool = False
    is_zero: bool = False

    def options(self) -> dict[str, Any]:
        """The options for `unroll` that differ from a mean over the samples."""
        options: dict[str, Any] = {}
        if self.kind != "mean":
            options["LOSS_REDUCTION"] = self.kind
        if self.weight:
            options["BATCH_WEIGHT"] = Code(self.weight)
        return options | ({"WEIGHT_MAY_BE_ZERO": True} if self.may_be_zero else {})


def reduction_of(model: Any, label: Path, y: Any, every: torch.Tensor | None) -> Reduction:
    """How the loss of a model reduces a batch, as far as its kind tells.

    Args:
        model: the Model.
        label: the path of the labels.
        y: the labels of the first samples.
        every: all labels, if they lie together; if not, some may be to ignore among them.
    """
    if len(model.measures.loss_fns) != 1 or not isinstance(y, torch.Tensor):
        return Reduction()
    [(variable, loss_fn)] = model.measures.loss_fns.items()
    kind, said, place = said_by(variable, loss_fn)
    if said.get("reduction") == "sum":
        return Reduction("sum")
    by_index = kind in (F.cross_entropy, F.nll_loss) and not y.is_floating_point()
    if not by_index or said.get("reduction", "mean") != "mean":
        return Reduction()
    weights, ignored = said.get("weight"), said.get("ignore_index", IGNORED)
    labels, count = str(code(label)), None
    some_ignored = every is None or ignored in every
    if some_ignored:
        count = f"({labels} != {ignored}).sum()"
        labels = f"{labels}[{labels} != {ignored}]"
    if weights is not None:
        labels += ".long()" if y.dtype == torch.uint8 else ""  # which torch would read as a mask
        count = f"{place('weight')}[{labels}].sum()"
    if count is None:
        return Reduction()
    may_be_zero = some_ignored or (weights is not None and 0 in weights)
    waits = model.device == "cpu" or may_be_zero  # a loop that asks whether it is 0 has to
    counting = y[y != ignored]
    is_zero = not (len(counting) if weights is None else weights[counting.long()].sum())
    return Reduction("mean", f"{count}.item()" if waits else count, may_be_zero, bool(is_zero))


# The losses with class weights and labels to ignore: as objects, and the functions they call.
CALLS: dict[Any, Any] = {nn.CrossEntropyLoss: F.cross_entropy, nn.NLLLoss: F.nll_loss}


def said_by(variable: str, loss_fn: Any) -> tuple[Any, dict[str, Any], Any]:
    """Which of torch's functions the loss is, what is said to it, and code for each of these."""
    if isinstance(loss_fn, partial):
        return loss_fn.func, loss_fn.keywords, lambda name: f'{variable}.keywords["{name}"]'
    for module, function in CALLS.items():
        if isinstance(loss_fn, module) and type(loss_fn).forward is module.forward:
            return function, vars(loss_fn) | loss_fn._buffers, lambda name: f"{variable}.{name}"
    said = {"reduction": getattr(loss_fn, "reduction", None) or "mean"}
    return loss_fn, said, lambda name: f"{variable}.{name}"
