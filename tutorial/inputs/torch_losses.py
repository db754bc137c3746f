"""How torch's own losses reduce a batch: what is said to them tells it."""

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from tutorial.inputs.labels import BY_SHAPE
from tutorial.inputs.own_loss import asked_of
from tutorial.inputs.reduction import Compared, Reduction, has_length
from tutorial.inputs.structure import Path, code

IGNORED = -100  # the label that they ignore, if nothing else is said


def reduction_of(this: Compared) -> Reduction:
    """How this loss reduces a batch.

    Raises:
        ValueError: it returns a pair of which the second is not what the first averages over.
    """
    kind, said, place = said_by(this.variable, this.loss_fn)
    if not is_torchs(kind):
        return asked_of(this, said)
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
        count = f"({labels} != {ignored}).count_nonzero()"
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
    if isinstance(loss_fn, partial) and isinstance(loss_fn.func, nn.Module):
        return said_by(f"{variable}.func", loss_fn.func)
    if isinstance(loss_fn, partial):
        return loss_fn.func, loss_fn.keywords, lambda name: f'{variable}.keywords["{name}"]'
    if isinstance(getattr(loss_fn, "__self__", None), nn.Module):  # loss.forward
        return said_by(f"{variable}.__self__", loss_fn.__self__)
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
