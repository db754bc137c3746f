"""Logits or probabilities: what the loss takes an output as, a metric must know."""

from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any

import torch
from torch.overrides import TorchFunctionMode

from tutorial import checks
from tutorial.metrics import BinaryMetric

# Functions by their names, as F, torch and Tensor have each under its own.
OF_LOGITS = {
    "binary_cross_entropy_with_logits", "cross_entropy", "soft_margin_loss", "softmax", "sigmoid",
    "multilabel_soft_margin_loss", "log_softmax", "logsigmoid", "log_sigmoid", "nll_loss",
}  # fmt: skip
OF_PROBABILITIES = {"binary_cross_entropy", "log", "logit"}
# What comes out of these is of the same kind as what goes in.
SAME_KIND = {
    "squeeze", "unsqueeze", "view", "reshape", "flatten", "ravel", "transpose", "permute",
    "movedim", "contiguous", "clone", "__getitem__", "select", "chunk", "split", "unbind", "to",
    "float", "double", "half", "bfloat16", "clamp", "clip", "mul", "div", "true_divide",
}  # fmt: skip


class Taken(TorchFunctionMode):
    """While it is on, it notes what the functions that are called take an output as.

    Args:
        outputs: tensors.

    Attributes:
        taken: of each output by its place: 'logits' or 'probabilities', and the function's name.
    """

    def __init__(self, outputs: Iterable[Any]) -> None:
        super().__init__()
        self.taken: dict[int, tuple[str, str]] = {}
        self.made = list(enumerate(outputs))  # and what is made of them: (place, tensor)

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        name = getattr(func, "__name__", "")
        given = args[0] if args else (kwargs or {}).get("input")
        place = next((i for i, made in self.made if made is given), None)
        if place is None:
            return result
        for kind, functions in (("logits", OF_LOGITS), ("probabilities", OF_PROBABILITIES)):
            if name in functions:
                self.taken.setdefault(place, (kind, name))
        if name in SAME_KIND:
            parts = result if isinstance(result, list | tuple) else [result]
            self.made += [(place, part) for part in parts]
        return result


def taken_as(loss: Callable[[], Any], outputs: list[Any]) -> dict[int, tuple[str, str]]:
    """What a loss takes each output as, by its place, as far as that can be seen.

    Example:
        >>> from torch.nn import functional as F
        >>> y_hat, y = torch.zeros(3, 1), torch.ones(3, 1)
        >>> taken_as(lambda: F.binary_cross_entropy_with_logits(y_hat, y), [y_hat])
        {0: ('logits', 'binary_cross_entropy_with_logits')}
        >>> taken_as(lambda: (y_hat.squeeze(1) - y.squeeze(1)).square().mean(), [y_hat])
        {}
    """
    watching = Taken(outputs)
    with suppress(Exception), torch.no_grad(), watching:  # such as a compiled loss
        loss()
    return watching.taken


def probabilities_fit(name: str, metric: Any, y_hat: Any, taken: tuple[str, str] | None) -> None:
    """Refuse logits where a metric expects probabilities, and the other way round.

    Args:
        name: of the data.
        metric: any; of ours, those for two classes say which they expect.
        y_hat: what it measures.
        taken: what the loss takes that as, if this is known.
    """
    if taken is None or not expects_one(metric) or not metric.at_threshold(y_hat):
        return
    (kind, function), said = taken, metric.from_logits
    own, expected = type(metric).__name__, "logits" if said else "probabilities"
    if kind != expected:
        fix = f"Leave from_logits out, {own}()." if said else f"Say so: {own}(from_logits=True)."
        raise ValueError(
            f"{name}: {own} expects {expected}, but the loss takes the predictions as {kind}: "
            f"{function}(y_hat, ...). {fix}"
        )


def expects_one(metric: Any) -> bool:
    """Whether it is one of ours for two classes, as it is: a class of one's own may convert."""
    ours = isinstance(metric, BinaryMetric)
    return ours and type(metric).update.__module__ == BinaryMetric.__module__


def wants_to_know(metric: Any) -> bool:
    """Whether it makes a difference to the metric what an output is."""
    return expects_one(metric) or bool(guessing(metric))


def guessing(metric: Any) -> list[str]:
    """Metrics of torchmetrics that guess from each batch alone: in 0 to 1 it is probabilities."""
    members = metric.modules() if isinstance(metric, torch.nn.Module) else ()
    kinds = {type(member) for member in members}
    return sorted(
        kind.__name__
        for kind in kinds
        if kind.__module__.startswith("torchmetrics.classification")
        and kind.__name__.startswith(("Binary", "Multilabel"))
    )


def warn_of_guess(name: str, metric: Any, taken: Iterable[tuple[str, str]]) -> None:
    """Warn of a metric that gets logits, and takes those of some batches for probabilities."""
    found = guessing(metric)
    if found and any(kind == "logits" for kind, _ in taken):
        checks.warn(
            f"{name}: {found[0]} gets logits, as the loss takes them, but takes those of a batch "
            "for probabilities where all lie between 0 and 1, and then measures something else. "
            "Let the network give probabilities, with nn.Sigmoid() and nn.BCELoss(); or take one "
            "of tutorial.metrics, Recall(from_logits=True)."
        )
