"""What a metric reports: numbers, for the rows of a History; or more, such as a matrix."""

import copy
import warnings
from collections.abc import Mapping
from typing import Any, NamedTuple

from tutorial.checks import kind_of
from tutorial.loop.names import words_of
from tutorial.metrics import Metric

UNKNOWN = object()  # for a value that only data can tell


class Value(NamedTuple):
    """A value that a metric reports.

    Attributes:
        name: its name in reports.
        part: its key or place in what compute() returns; None: it is all of that.
        number: whether it is one number. If not, it stands only in what `evaluate` returns.
        undefined: why it may have no value, such as of few samples; '' if it always has one.
    """

    name: str
    part: Any = None
    number: bool = True
    undefined: str = ""


def values_in(metric: Any, value: Any, undefined: str = "") -> list[Value]:
    """The values in what compute() has returned; UNKNOWN counts as a number.

    A dict has one under each of its keys, if it has the same keys before there is data.

    Example:
        >>> values_in({}, {"f1": 0.5, "roc": ([0, 1], [0, 1])})
        [Value(name='f1', part='f1', number=True, undefined=''),
         Value(name='roc', part='roc', number=False, undefined='')]
        >>> values_in([], [[3, 0], [1, 2]])
        [Value(name='list', part=None, number=False, undefined='')]
    """
    names = names_of(metric)
    parts: list[tuple[str, Any]] = [(names, None)] if isinstance(names, str) else []
    if isinstance(names, list):
        parts = [(name, i) for i, name in enumerate(names)]
        value = value if count_of(value) == len(names) else UNKNOWN
    elif isinstance(value, Mapping):
        before = before_data(metric)
        if before is UNKNOWN or (isinstance(before, Mapping) and before.keys() == value.keys()):
            parts = [(str(key), key) for key in value]
    return [Value(name, k, is_number(part_of(value, k)), undefined) for name, k in parts]


def values_fit(metric: Any, value: Any) -> None:
    """Refuse None for a value, and several names for another number of values."""
    kind, names = type(metric).__name__, names_of(metric)
    if value is None or (isinstance(value, Mapping) and None in value.values()):
        raise ValueError(
            f"metrics holds {kind}, whose compute() gives {value}, but a value is expected. Let "
            "compute return it."
        )
    if isinstance(names, list) and count_of(value) != len(names):
        raise ValueError(
            f"metrics holds {kind}, whose name() gives {len(names)} names, but compute() "
            f"{kind_of(value)}. A value for each name is expected, in a list."
        )


def names_of(metric: Any) -> str | list[str]:
    """The name of a metric, or those of its several values."""
    names = metric.name() if isinstance(metric, Metric) else words_of(type(metric))
    return list(names) if isinstance(names, list | tuple) else str(names)


def count_of(value: Any) -> int:
    """How many values there are for several names."""
    several = isinstance(value, list | tuple) or getattr(value, "ndim", 0) > 0
    return len(value) if several else 1


def part_of(value: Any, part: Any) -> Any:
    """A part of a value, or all of it; what is not known has no parts."""
    return value if part is None or value is UNKNOWN else value[part]


def is_number(value: Any) -> bool:
    """Whether a row of a History can hold it."""
    if value is UNKNOWN:
        return True
    try:
        float(value)
    except (TypeError, ValueError, RuntimeError):
        return False
    return not isinstance(value, str | bytes)


def before_data(metric: Any) -> Any:
    """What a copy of the metric computes of nothing, if it can; torchmetrics' often can."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that it was not updated yet
        try:
            unused = copy.deepcopy(metric)
            unused.reset()
            return unused.compute()
        except Exception:
            return UNKNOWN
