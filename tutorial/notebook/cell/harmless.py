"""Runs code that has no effects: it stops before the user's own functions, and before a trace.

What a call needs from its cell is found out by running it, on copies, before the cell is run. So it
must be harmless: names, sums, and what PyTorch, NumPy, Python and `tutorial` compute. Whatever is
the user's own, a function, or the `__len__`, the property or the `+` of a class, may do
anything; it is not run. Of an effect Python itself tells, by its audit events.

Two things are looked at as `fit` itself looks at them: the items of data sets, and the names of
metrics.
"""

import inspect
import os
import site
import sys
import sysconfig
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

import torch

from tutorial.inputs.isolation import TRACES, WRITES
from tutorial.tracebacks import LIBRARY

LIBRARIES = (
    LIBRARY,
    f"{Path(torch.__file__).parent.parent}{os.sep}",
    *(f"{sysconfig.get_path(kind)}{os.sep}" for kind in ("stdlib", "platstdlib", "purelib")),
    f"{sysconfig.get_path('platlib')}{os.sep}",
    f"{site.getusersitepackages()}{os.sep}",
    "<frozen ",
)
COMPREHENSIONS = ("<listcomp>", "<setcomp>", "<dictcomp>", "<genexpr>")
ASK = ("torch.utils.data", "tutorial.data", "tutorial.model", "tutorial.metrics", "tutorial.loop")
EFFECTS = {
    "open": "writes a file",
    "builtins.input": "asks for an input",
    "os.chdir": "changes the directory",
    **dict.fromkeys(("os.putenv", "os.unsetenv"), "changes the environment"),
    **dict.fromkeys(TRACES, "has an effect outside of the notebook"),
}


class NotRun(BaseException):
    """The code was stopped before it did something.

    Attributes:
        what: the user's own code that would have run, such as "remove_old()"; "" for an effect.
        effect: what it would have done, such as "writes a file".
    """

    def __init__(self, what: str = "", effect: str = "") -> None:
        super().__init__(what or effect)
        self.what, self.effect = what, effect


@contextmanager
def harmless() -> Iterator[None]:
    """Inside, nothing of the user's own is run, and nothing has an effect outside of this process.

    Raises:
        NotRun: something would have been.
    """
    stopped: list[NotRun] = []

    def stop(what: str = "", effect: str = "") -> None:
        stopped.append(NotRun(what, effect))
        raise stopped[0]

    def look(frame: FrameType, event: str, function: Any) -> None:
        if event == "call" and is_own(frame.f_code, frame.f_globals) and not asked(frame):
            stop(called(frame.f_code))
        if event == "c_call" and function is time.sleep:
            stop(effect="waits")

    def refuse(event: str, arguments: tuple[Any, ...]) -> None:
        writes = event != "open" or (isinstance(arguments[2], int) and arguments[2] & WRITES)
        if event in EFFECTS and writes and not internal(sys._getframe(2)):
            stop(effect=EFFECTS[event])

    before = sys.getprofile(), threading.getprofile(), sys.dont_write_bytecode
    sys.dont_write_bytecode = True  # what is imported leaves no file
    threading.setprofile(look)
    with audited(refuse):
        sys.setprofile(look)
        try:
            yield
        finally:
            sys.setprofile(before[0])
            threading.setprofile(before[1])
            sys.dont_write_bytecode = before[2]
    if stopped:  # and somebody caught it
        raise stopped[0]


def is_own(code: CodeType, names: dict[str, Any]) -> bool:
    """Whether code is the user's own: not of a library, nor the lines of the cell themselves."""
    if in_library(code.co_filename):
        return False
    if code.co_filename.startswith("<"):  # there is no file
        is_function = code.co_flags & inspect.CO_OPTIMIZED and code.co_name not in COMPREHENSIONS
        by_dataclass = code.co_qualname.startswith("__create_fn__")
        return bool(is_function) and not by_dataclass and not of_library(names.get("__name__", ""))
    return True


@cache
def in_library(file: str) -> bool:
    """Whether a file is a library's."""
    return file.startswith(LIBRARIES)


def of_library(module: str) -> bool:
    """Whether a library made the code, as namedtuple does."""
    there = sys.modules.get(module)
    return module.startswith("namedtuple_") or in_library(getattr(there, "__file__", None) or "")


def callers(frame: FrameType | None) -> Iterator[FrameType]:
    """The code that runs, from inside out, up to the cell's own line."""
    while frame is not None and not frame.f_code.co_filename.startswith("<cell"):
        yield frame
        frame = frame.f_back


def asked(frame: FrameType) -> bool:
    """Whether a library asks what `fit` asks, too: an item of the data, a metric's name."""
    return any(each.f_globals.get("__name__", "").startswith(ASK) for each in callers(frame))


def internal(frame: FrameType) -> bool:
    """Whether an effect is a library's own affair: workers of a DataLoader, a cache at import."""
    for each in callers(frame):
        if is_own(each.f_code, each.f_globals):
            return False
        file, module = each.f_code.co_filename, each.f_globals.get("__name__", "")
        if file.startswith("<frozen importlib") or module.startswith("torch.utils.data"):
            return True
    return False


def called(code: CodeType) -> str:
    """A function, or a file that is imported, as part of a message."""
    if code.co_name == "<module>":
        return Path(code.co_filename).name
    return "a lambda" if code.co_name == "<lambda>" else f"{code.co_qualname}()"


# ---- Python's audit events: a hook stays for ever, so there is one, which asks who listens now

LISTENERS: list[Any] = []


@cache
def listen() -> None:
    """Hear Python's audit events from now on."""

    def hear(event: str, arguments: tuple[Any, ...]) -> None:
        if LISTENERS and LISTENERS[-1][0] == threading.get_ident():
            LISTENERS[-1][1](event, arguments)

    sys.addaudithook(hear)


@contextmanager
def audited(refuse: Any) -> Iterator[None]:
    """Inside, `refuse` is asked before each event, and may raise."""
    listen()
    LISTENERS.append((threading.get_ident(), refuse))
    try:
        yield
    finally:
        LISTENERS.pop()
