"""An answer is run: an error in it, or the stop button, becomes a finding.

So no traceback is shown, in which lines of the check would stand, and with them the solution.
"""

import ast
import inspect
import re
import sys
import textwrap
import threading
import traceback
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import wraps
from pathlib import Path
from types import FrameType
from typing import Any

import torch

from tutorial.course.exercises.registry import Exercise
from tutorial.course.exercises.verdict import Open, Right, Wrong
from tutorial.parameters import short
from tutorial.tracebacks import LIBRARY, is_users

NO_ANSWER = Open("there is no answer yet: write it in the cell above")


UNCALLABLE = r"\(\) (takes|missing|got) "
BY_ANOTHER = "this is right, but it is the work of `{}`: do it without"
INSTALLED = (str(Path(torch.__file__).parent), LIBRARY)


class Attempt:
    """An answer, and how it was called last.

    Attributes:
        answer: the student's.
        arguments: those of its last call, if it is a function.
        returned_nothing: whether that returned None.
        called: the functions that it has called of those that are forbidden.
    """

    def __init__(self, answer: Any) -> None:
        self.answer = answer
        self.arguments: tuple[Any, ...] = ()
        self.returned_nothing = False
        self.called: list[str] = []

    def findings(self, exercise: Exercise) -> list[Open | Right | Wrong]:
        """What the exercise's check finds, up to the first fault."""
        found: list[Open | Right | Wrong] = []
        asked = self.noting(exercise.forbids) if exercise.kind == "function" else self.answer
        with unseen() as errors:
            try:
                for finding in exercise.find(asked):
                    found.append(self.with_return(finding))
                    if isinstance(finding, Wrong):
                        break
                else:
                    found += [Wrong(BY_ANOTHER.format(name)) for name in self.called[:1]]
            except BaseException as error:
                found.append(self.ended(error))
        if errors and isinstance(found[-1], Wrong):  # of a thread: that may be the cause
            found[-1] = self.ended(errors[0])
        return found

    def noting(self, forbids: tuple[str, ...]) -> Callable[..., Any]:
        """The answer as a function that notes how it is called."""

        @wraps(self.answer)
        def noting(*args: Any, **kwargs: Any) -> Any:
            self.arguments = args
            with calls_noted(forbids, self.called):
                returned = self.answer(*args, **kwargs)
            self.returned_nothing = returned is None
            return returned

        return noting

    def with_return(self, finding: Right | Wrong) -> Right | Wrong:
        """The finding; where None is what is wrong, with a question."""
        asks = "None" in finding.text and "returned?" not in finding.text
        if isinstance(finding, Wrong) and self.returned_nothing and asks:
            return Wrong(f"{finding.text.rstrip('.')}: is it returned?")
        return finding

    def ended(self, error: BaseException) -> Open | Wrong:
        """Why the answer ended early, and in which of its lines."""
        frames = [f for f in traceback.extract_tb(error.__traceback__) if is_users(f.filename)]
        line = (frames[-1].line or "") if frames else ""
        in_line = f" in the line `{line}`" if line else ""
        match error:
            case KeyboardInterrupt():
                return Wrong(f"stopped in your line `{line}`" if line else "stopped")
            case SystemExit():
                return Wrong(f"your code ends Python{in_line}: let it return something instead")
            case NotImplementedError() if not error.args and "raise" in line:
                where = frames[-1].name
                there = f"the line `raise NotImplementedError()` is still there, in {where}"
                return NO_ANSWER if is_stub(self.answer) else Wrong(there)
            case NotImplementedError() | EOFError() if "input(" in line:
                return Wrong(
                    f"your code asks a question{in_line}, and nobody answers: what it needs comes "
                    "in its arguments"
                )
            case TypeError() if not frames and re.search(UNCALLABLE, str(error)):
                return Wrong(f"your code cannot be called as it is asked for: {error}")
        told = f"{type(error).__name__}: {text_of(error)}".rstrip(": ")
        return Wrong(f"your code stopped{in_line}{self.with_arguments()}: {told}")

    def with_arguments(self) -> str:
        """With which arguments it was called, if some of them are plain values."""
        with suppress(TypeError, ValueError):
            named = inspect.signature(self.answer).bind(*self.arguments).arguments
            plain = any(isinstance(value, int | float | str) for value in named.values())
            shown = ", ".join(f"{name}={text_of_argument(named[name])}" for name in named)
            return f", called with {shown}" if plain and len(shown) <= 100 else ""
        return ""


@contextmanager
def calls_noted(names: tuple[str, ...], called: list[str]) -> Iterator[None]:
    """Inside, calls of installed functions of these names are noted."""

    def look(frame: FrameType, event: str, _: Any) -> None:
        code = frame.f_code
        if event == "call" and code.co_qualname in names and code.co_filename.startswith(INSTALLED):
            called.append(code.co_qualname.removesuffix(".__init__"))

    before = sys.getprofile()
    if names:
        sys.setprofile(look)
    try:
        yield
    finally:
        sys.setprofile(before)


@contextmanager
def unseen() -> Iterator[list[BaseException]]:
    """Inside, threads end without a traceback, and no line of a check is in a warning.

    Yields:
        The errors of the threads.
    """
    errors: list[BaseException] = []
    before = threading.excepthook
    threading.excepthook = lambda ended: errors.extend(filter(None, [ended.exc_value]))
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module=r"tutorial\.course\.exercises")
            yield errors
    finally:
        threading.excepthook = before


def is_stub(answer: Any) -> bool:
    """Whether no function of the answer has a line of the student's own."""
    methods = vars(answer).values() if isinstance(answer, type) else [inspect.unwrap(answer)]
    return not any(map(has_own_lines, filter(inspect.isfunction, methods)))


def has_own_lines(function: Callable[..., Any]) -> bool:
    """Whether there is more in it than its docstring, the lesson's lines and the stub's."""
    try:
        [tree] = ast.parse(textwrap.dedent(inspect.getsource(function))).body
    except (OSError, SyntaxError, ValueError):
        return False
    lines = [ast.unparse(line) for line in getattr(tree, "body", [])]
    given = ("'", '"', "pass", "...", "raise NotImplementedError", "super().__init__()")
    return not all(line.startswith(given) for line in lines)


def text_of(error: BaseException) -> str:
    """What an error says; a student's own kind may fail to."""
    try:
        return str(error)
    except Exception:
        return ""


def text_of_argument(value: Any) -> str:
    """An argument in a message."""
    if isinstance(value, torch.Tensor) and value.numel() > 1:
        return f"a tensor of shape {tuple(value.shape)}"
    return short(value, 30)
