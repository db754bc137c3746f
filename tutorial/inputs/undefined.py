"""A metric that few samples do not define: a correlation of one, an exact AUC of one class.

That is no reason to refuse it: at the end of an epoch, it has a value. So what fails with the first
batch is tried with other labels for the same predictions.
"""

import copy
from typing import Any

import torch

from tutorial.inputs.structure import first, leaves, tree_map

Given = tuple[list[Any], dict[str, Any]]  # arguments by place and by keyword

MOST = 4096  # predictions that are tried with other labels, at most


def value_of(metric: Any, given: Given, known: Any, labels: list[Any]) -> tuple[Any, str]:
    """What the metric computes of a batch, and why it may have no value; '' if it always has one.

    Args:
        metric: the metric; it is not changed.
        given: the arguments of its update.
        known: all labels of the data, if they lie together.
        labels: those of the arguments that are labels.

    Raises:
        Exception: it cannot measure these predictions, whatever the labels are.
    """
    measuring = updated(metric, given)
    try:
        return measuring.compute(), why_not_of_one(metric, given)
    except Exception as error:
        tensors = [y for y in labels if isinstance(y, torch.Tensor) and y.dim() and len(y)]
        if len(tensors) != 1:
            raise
        return value_of_other_labels(metric, given, tensors[0], known), str(error)


def updated(metric: Any, given: Given) -> Any:
    """A copy of the metric that has seen this alone."""
    metric = copy.deepcopy(metric)
    parts: Any = metric.modules() if isinstance(metric, torch.nn.Module) else ()
    for part in parts:
        if hasattr(part, "sync_on_compute"):
            part.sync_on_compute = False  # torchmetrics' ask other processes, which do not answer
    metric.reset()
    metric.update(*given[0], **given[1])
    return metric


def why_not_of_one(metric: Any, given: Given) -> str:
    """Why the metric has no value for the first sample alone; '' if it has one."""
    try:
        metric = updated(metric, first(1, given))
    except Exception:  # it takes no single one
        return ""
    try:
        metric.compute()
    except Exception as error:
        return str(error)
    return ""


def value_of_other_labels(metric: Any, given: Given, y: torch.Tensor, known: Any) -> Any:
    """What the metric computes of the same predictions, with labels of each kind.

    Args:
        metric: the metric.
        given: the arguments of its update for the first batch.
        y: that of the arguments which is the labels.
        known: all labels of the data, if they lie together.

    Raises:
        Exception: it computes nothing of these, either.
    """
    kinds = kinds_of_labels(y, known, classes_of(given, y))
    times = -(-min(max(2 * len(y), len(kinds)), MOST) // len(y))

    def changed(leaf: Any) -> Any:
        if leaf is y:
            return other_labels(y, kinds, times)
        fits = isinstance(leaf, torch.Tensor) and leaf.dim() and len(leaf) == len(y)
        return torch.cat([leaf] * times) if fits else leaf

    return updated(metric, tree_map(changed, given)).compute()


def classes_of(given: Given, y: torch.Tensor) -> int:
    """How many classes the predictions have scores for; 0 if they are no scores."""
    others = [leaf for _, leaf in leaves((), given) if leaf is not y]
    scores = [leaf for leaf in others if isinstance(leaf, torch.Tensor) and leaf.dim() > 1]
    return scores[0].shape[1] if scores else 0


def kinds_of_labels(y: torch.Tensor, known: torch.Tensor | None, classes: int) -> torch.Tensor:
    """The labels that there are in the data; where only one was seen, also those beside it."""
    kinds: torch.Tensor = torch.unique((y if known is None else known).to(y.device))
    if len(kinds) > 1:
        return kinds
    if not y.is_floating_point() and 0 <= kinds[0] < classes:
        return torch.arange(classes, device=y.device).to(y.dtype)
    beside = kinds - 1 if kinds[0] > 0 else kinds + 1
    return torch.cat([kinds, beside.to(kinds.dtype)])


def other_labels(y: torch.Tensor, kinds: torch.Tensor, times: int) -> torch.Tensor:
    """So many times as many labels, in turn of each kind, along each axis."""
    shape = (len(y) * times, *y.shape[1:])
    places = torch.zeros(shape, dtype=torch.int64, device=y.device)
    for axis, size in enumerate(shape):
        along = torch.arange(size, device=y.device)
        places += along.reshape(*[-1 if i == axis else 1 for i in range(len(shape))])
    return kinds[places % len(kinds)].to(y.dtype)
