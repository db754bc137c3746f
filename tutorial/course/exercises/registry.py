"""Which exercises there are: each has a name, and a function that checks an answer."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from difflib import get_close_matches
from importlib import import_module
from pkgutil import iter_modules
from typing import Any, Literal

from tutorial.course.exercises.verdict import Right, Wrong
from tutorial.parameters import short

Findings = Iterator[Right | Wrong]
Kind = Literal["function", "class", "number"]


@dataclass(frozen=True)
class Exercise:
    """An exercise: what an answer must be, how it is checked, and what helps: see `tl.hint`."""

    name: str
    kind: Kind
    find: Callable[[Any], Findings]
    question: str = ""
    nudge: str = ""
    forbids: tuple[str, ...] = ()


_exercises: dict[str, Exercise] = {}


def exercise(
    name: str,
    kind: Kind = "function",
    question: str = "",
    nudge: str = "",
    forbids: tuple[str, ...] = (),
) -> Callable[[Callable[[Any], Findings]], Callable[[Any], Findings]]:
    """Make the function below the check of an exercise.

    Args:
        name: what students write in `tl.check(name, ...)`; no other exercise has it.
        kind: what an answer must be: a "function", a "class" or a "number".
        question: the first hint, for those who ask for one: a question that leads to the idea.
        nudge: the second hint: how to begin, and what is easily missed; no line of the solution.
        forbids: functions of PyTorch and of this library that an answer may not call, such as
            "Tensor.backward".

    Raises:
        ValueError: another exercise has this name.
    """

    def register(find: Callable[[Any], Findings]) -> Callable[[Any], Findings]:
        if name in _exercises:
            raise ValueError(f"There are two exercises {name!r}; give one of them another name.")
        _exercises[name] = Exercise(name, kind, find, question, nudge, forbids)
        return find

    return register


def exercises() -> dict[str, Exercise]:
    """All of them, by name: those of every file lesson_NN.py in this directory."""
    package = import_module("tutorial.course.exercises")
    for module in iter_modules(package.__path__):
        if module.name.startswith("lesson_"):
            import_module(f"tutorial.course.exercises.{module.name}")
    return _exercises


def named(name: Any) -> Exercise:
    """The exercise of this name.

    Raises:
        ValueError: there is none; the message has names that are like it.
    """
    known = exercises()
    if not isinstance(name, str) or name not in known:
        like = get_close_matches(str(name), known, n=3, cutoff=0.5) or sorted(known)[:5]
        raise ValueError(
            f"check: name is {short(name)}, but no exercise has this name. "
            f"Do you mean {' or '.join(map(repr, like))}?"
        )
    return known[name]
