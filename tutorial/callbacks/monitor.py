"""What is monitored, and when it has become better."""

import math
from typing import Any

# With mode="auto", larger is better where the name contains one of these.
LARGER_IS_BETTER = ("acc", "auc", "precision", "recall", "f1")


def reported_name(monitor: str, names: list[str]) -> str:
    """The name under which an evaluation reports what is monitored: 'loss' for 'eval_loss'."""
    name = monitor if monitor in names else str(monitor).removeprefix("eval_")
    if name not in names:
        raise ValueError(
            f"monitor is {monitor!r}, but only {', '.join(map(repr, names))} can be monitored. "
            "Choose one of these, or give prepare a metric of that name."
        )
    return name


def evaluated_name(callback: Any) -> str:
    """What its evaluations report under the name that the callback monitors."""
    if not callback.params["evaluates"]:
        raise ValueError(
            f"eval_data is None, but {type(callback).__name__} goes by evaluations. Give fit some "
            f"eval_data, or leave out the {type(callback).__name__}."
        )
    return reported_name(callback.monitor, callback.params["metrics"])


def more_is_better(monitor: str, mode: str) -> bool:
    """Whether a larger value is the better one."""
    return mode == "max" or (mode == "auto" and any(name in monitor for name in LARGER_IS_BETTER))


def worst(monitor: str, mode: str) -> float:
    """A value that any other improves on."""
    return -math.inf if more_is_better(monitor, mode) else math.inf


def improves(value: float, best: float, monitor: str, mode: str, min_delta: float = 0) -> bool:
    """Whether the value is better than the best so far, by more than min_delta."""
    if more_is_better(monitor, mode):
        return value - min_delta > best
    return value + min_delta < best
