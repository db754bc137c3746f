"""What is monitored, and when it has become better."""

import math
from typing import Any


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


def larger_is_better(callback: Any) -> bool:
    """Whether a larger value of what the callback monitors is better: its mode says it, or fit."""
    if callback.mode != "auto":
        return bool(callback.mode == "max")
    name = reported_name(callback.monitor, callback.params["metrics"])
    larger = callback.params["larger_is_better"].get(name)
    if larger is None:
        raise ValueError(
            f"mode is 'auto', but it is not known whether a larger {name!r} is better or worse. "
            f'Say it, {type(callback).__name__}(..., mode="max") or mode="min"; or in the '
            "metric's class, higher_is_better = True or False."
        )
    return bool(larger)


def worst(larger: bool) -> float:
    """A value that any other improves on."""
    return -math.inf if larger else math.inf


def improves(value: float, best: float, larger: bool, min_delta: float = 0) -> bool:
    """Whether the value is better than the best so far, by more than min_delta."""
    return value - min_delta > best if larger else value + min_delta < best
