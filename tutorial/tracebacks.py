"""What an error shows: the user's own lines and those of the loop, on one screen.

    @readable        around a public function, or a class with public methods
    class Model: ...

All other lines, this library's, PyTorch's and Python's, say nothing of what to do. With
TUTORIAL_TRACEBACK=full in the environment they stay in the traceback.
"""

import inspect
import linecache
import os
import re
import sysconfig
import traceback
from collections.abc import Callable, Iterable, Iterator
from difflib import get_close_matches
from functools import wraps
from pathlib import Path
from types import FunctionType, TracebackType
from typing import Any, TypeVar, cast

LIBRARY = f"{Path(__file__).parent}{os.sep}"  # how the names of its files begin
PYTHON = f"{sysconfig.get_path('stdlib')}{os.sep}"
INSTALLED = re.compile(r"[/\\](site|dist)-packages[/\\]|^<(frozen|string|__array_function__)")

MAGIC = ("__init__", "__call__")

Public = TypeVar("Public", bound=Callable[..., Any])


def readable(public: Public) -> Public:
    """The function, but its errors show only the user's own lines and those of the loop.

    Of a class: its public methods, and what makes an object of it.
    """
    if isinstance(public, type):
        for name, method in list(vars(public).items()):
            if isinstance(method, FunctionType) and (name[0] != "_" or name in MAGIC):
                setattr(public, name, readable(method))
        return public

    @wraps(public)
    def called(*args: Any, **kwargs: Any) -> Any:
        __tracebackhide__ = True  # IPython and pytest then show no line of this function
        try:
            return public(*args, **kwargs)
        except BaseException as error:
            begun = error.__traceback__ is not None and error.__traceback__.tb_next is not None
            told = error if begun else misnamed(public, kwargs) or error
            # With TUTORIAL_TRACEBACK=full in the environment, no line is left out.
            raise shortened(told)  # noqa: B904

    return cast(Public, called)


def misnamed(function: Callable[..., Any], arguments: Iterable[str]) -> TypeError | None:
    """The error of an argument that the function does not have; it has a name that is like it."""
    parameters = inspect.signature(function).parameters
    names = [name for name in parameters if name != "self"]
    unknown = [name for name in arguments if name not in names]
    if not unknown or any(p.kind is p.VAR_KEYWORD for p in parameters.values()):
        return None
    like = get_close_matches(unknown[0], names, n=2)
    hint = f"Do you mean {' or '.join(like)}?" if like else f"It has {', '.join(names)}."
    called = function.__qualname__.removesuffix(".__init__")
    error = TypeError(f"{called} has no argument {unknown[0]!r}. {hint}")
    error.__suppress_context__ = True
    return error


def shortened(error: BaseException) -> BaseException:
    """The error, with the user's own lines and those of the loop alone.

    What the library did not raise on purpose is a fault of its own, and is left as it is.
    """
    ours, fault = of_the_library(error.__traceback__)
    if fault or os.environ.get("TUTORIAL_TRACEBACK") == "full":
        return error
    for each in chain(error):
        each.__traceback__ = own_lines(each.__traceback__)
        if each.args and isinstance(each.args[0], str):
            each.args = (own_text(each.args[0]), *each.args[1:])
    cause = error.__cause__
    if ours and cause is not None and str(cause) in str(error):  # which says it all
        error.__traceback__ = joined(error.__traceback__, cause.__traceback__)
        error.__cause__, error.__suppress_context__ = None, True
    return error


def of_the_library(tb: TracebackType | None) -> tuple[bool, bool]:
    """Whether an error arose in a line of this library, and whether that is no `raise`."""
    for frame, line in list(traceback.walk_tb(tb))[-1:]:
        file = frame.f_code.co_filename
        raised = linecache.getline(file, line).strip().startswith("raise")
        return file.startswith(LIBRARY), file.startswith(LIBRARY) and not raised
    return False, False


def chain(error: BaseException | None) -> Iterator[BaseException]:
    """An error, and those that led to it."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)


def is_own(file: str) -> bool:
    """Whether a line of this file is the user's, or the loop's."""
    return not (file.startswith((LIBRARY, PYTHON)) or INSTALLED.search(file))


def is_users(file: str) -> bool:
    """Whether a line of this file is the user's."""
    return is_own(file) and not file.startswith("<unrolled")


def own_lines(tb: TracebackType | None) -> TracebackType | None:
    """A traceback without the lines of what is installed."""
    shown = None
    for frame, line in reversed(list(traceback.walk_tb(tb))):
        if is_own(frame.f_code.co_filename):
            shown = TracebackType(shown, frame, frame.f_lasti, line)
    return shown


def joined(tb: TracebackType | None, deeper: TracebackType | None) -> TracebackType | None:
    """One traceback: the lines of the first, then those of the second."""
    for frame, line in reversed(list(traceback.walk_tb(tb))):
        deeper = TracebackType(deeper, frame, frame.f_lasti, line)
    return deeper


def own_text(text: str) -> str:
    """A message in which a worker process tells its traceback, shortened in the same way."""
    if "Original Traceback" not in text:
        return text
    lines, shown = [], True
    for line in text.splitlines():
        if place := re.match(r' +File "(.+)", line \d+', line):
            shown = is_own(place[1])
        elif not line.startswith("    "):
            shown = True
        lines += [line] if shown else []
    return type(text)("\n".join(lines))
