"""What a parameter takes, said in its annotation; `checked` compares and writes the messages.

def fit(self, train_data: Any, epochs: Count = 1, clip_grad_norm: Positive | None = None): ...
"""

import math
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from inspect import Parameter, signature
from numbers import Integral, Real
from operator import index
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

# ---- bounds, for `Annotated`


@dataclass(frozen=True)
class AtLeast:
    """The smallest value that fits."""

    least: float

    def holds(self, value: Any) -> bool:
        return bool(value >= self.least)

    def __str__(self) -> str:
        return f"of at least {self.least}"


@dataclass(frozen=True)
class AtMost:
    """The largest value that fits."""

    most: float

    def holds(self, value: Any) -> bool:
        return bool(value <= self.most)

    def __str__(self) -> str:
        return f"at most {self.most}"


@dataclass(frozen=True)
class Above:
    """Only larger values fit."""

    bound: float

    def holds(self, value: Any) -> bool:
        return bool(value > self.bound)

    def __str__(self) -> str:
        return f"above {self.bound}"


@dataclass(frozen=True)
class Named:
    """What no file can be called does not fit."""

    def holds(self, value: Any) -> bool:
        name = os.fspath(value)
        return bool(name) and "\0" not in name


@dataclass(frozen=True)
class Says:
    """What a message says is expected, where the type alone would not tell."""

    words: str

    def holds(self, value: Any) -> bool:
        return True


class Unsaid(int):
    """A default that is another object than the same number, said in a call."""


DEFAULT_BATCH_SIZE = Unsaid(64)


# ---- kinds of parameters

Natural = Annotated[int, AtLeast(0)]
Count = Annotated[int, AtLeast(1)]
Workers = Annotated[int, AtLeast(0), AtMost(1024)]
Verbosity = Annotated[int, AtLeast(0), AtMost(2), Says("0, 1 or 2")]
Seed = Annotated[int, AtLeast(0), AtMost(2**32 - 1), Says("an integer from 0 to 2**32 - 1")]
Positive = Annotated[float, Above(0)]
Directory = Annotated[
    str | os.PathLike[str], Named(), Says("the name of a directory, such as 'checkpoints',")
]
File = Annotated[str | os.PathLike[str], Named(), Says("a file's name, such as 'my_model',")]
BatchSize = Annotated[int, AtLeast(1), AtMost(2**63 - 1)]  # as torch counts
BatchSizes = (
    BatchSize
    | Annotated[
        tuple[BatchSize, BatchSize], Says("a pair of them: for training and for evaluation")
    ]
)


WORDS = {
    int: "an integer",
    float: "a finite number",
    bool: "True or False",
    str: "a string",
    NoneType: "None",
}


def checked(function: Callable[..., Any], arguments: Mapping[str, Any]) -> dict[str, Any]:
    """The function's arguments, each refused unless it fits its annotation.

    A parameter of another type than number, bool, string, path or None is taken as it is: it is
    checked where it is used. NumPy's numbers become Python's; in a path, ~ becomes the user's home.

    Args:
        function: whose parameters they are; `self` is left out.
        arguments: a value for each parameter; others are not looked at, so `locals()` will do.

    Raises:
        ValueError: an argument does not fit.

    Example:
        >>> def train(epochs: Count = 1, lr: Positive | None = None): ...
        >>> checked(train, {"epochs": 3, "lr": None})
        {'epochs': 3, 'lr': None}
        >>> checked(train, {"epochs": 3, "lr": 0})
        Traceback (most recent call last):
        ValueError: lr is 0, but a finite number above 0 is expected, or None.
    """
    taken = {}
    for name, parameter in parameters_of(function).items():
        value, kind = arguments[name], parameter.annotation
        if kind is Any or value is parameter.default:
            taken[name] = int(value) if isinstance(value, Unsaid) else value
            continue
        if not fits(value, kind):
            first, *others = expected(kind)
            raise ValueError(
                f"{name} is {short(value)}, but {first} is expected"
                f"{''.join(f', or {other}' for other in others)}."
            )
        several = kind is BatchSizes and isinstance(value, list | tuple)
        taken[name] = tuple(map(plain, value)) if several else plain(value)
        if is_path(kind):
            taken[name] = os.path.expanduser(value)
    return taken


@cache
def parameters_of(function: Callable[..., Any]) -> Mapping[str, Parameter]:
    """The function's parameters, less `self`."""
    parameters = signature(function).parameters
    return {name: parameter for name, parameter in parameters.items() if name != "self"}


def fits(value: Any, kind: Any) -> bool:
    """Whether the value is of that kind."""
    origin, parts = get_origin(kind), get_args(kind)
    if origin is Annotated:
        return fits(value, parts[0]) and all(bound.holds(value) for bound in kind.__metadata__)
    if origin in (Union, UnionType):
        return any(fits(value, part) for part in parts)
    if origin is Literal:
        return isinstance(value, str) and value in parts
    if origin is tuple:  # a list will do
        several = isinstance(value, list | tuple) and len(value) == len(parts)
        return several and all(map(fits, value, parts))
    if kind in (int, float):
        number = isinstance(value, Integral if kind is int else Real)
        return number and not isinstance(value, bool) and -math.inf < value < math.inf
    if kind in (bool, str, NoneType, os.PathLike[str]):
        return isinstance(value, origin or kind)
    return True


@cache
def is_path(kind: Any) -> bool:
    """Whether it names a file or a directory."""
    return kind == os.PathLike[str] or any(map(is_path, get_args(kind)))


def expected(kind: Any) -> list[str]:
    """What a message says of the kind, one item for each alternative."""
    parts = get_args(kind)
    if get_origin(kind) is Annotated:
        said = [bound.words for bound in kind.__metadata__ if isinstance(bound, Says)]
        return said or [f"{expected(parts[0])[0]} {' and '.join(map(str, kind.__metadata__))}"]
    if get_origin(kind) in (Union, UnionType):
        return [words for part in parts for words in expected(part)]
    if get_origin(kind) is Literal:
        *most, last = map(repr, parts)
        return [f"{', '.join(most)} or {last}"]
    return [WORDS[kind]]


def plain(value: Any) -> Any:
    """The value; a number of NumPy's as one of Python's, which reads as itself in a program."""
    if type(value) in (bool, int, float) or not isinstance(value, Real):
        return value
    return index(value) if isinstance(value, Integral) else float(value)


def short(value: Any, most: int = 100) -> str:
    """A value on one line, as a message shows it; the end of a long one is left out.

    >>> short(list(range(100)), most=20)
    '[0, 1, 2, 3, 4, 5, 6...'
    """
    line = " ".join(repr(value).split())
    return line if len(line) <= most else f"{line[:most]}..."
