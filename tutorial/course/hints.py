"""Hints for an exercise: a question, a nudge, and after a try the solution, one for each call.

What they say stands beside the exercise's check. The solution is the lesson's own. It is shown
only beside copies for self-study: see grading/release.py.
"""

import re
from collections import Counter
from dataclasses import dataclass
from html import escape

from tutorial.course.exercises.registry import named
from tutorial.course.grading.release import SEAL, read, seal_of, solutions
from tutorial.course.lessons import lessons
from tutorial.course.progress import copies_with, seen
from tutorial.display.highlight import highlighted

_calls: Counter[str] = Counter()  # how often a hint for each exercise was asked for

TRY_FIRST = (
    "The solution is shown after a try of yours: write an answer, even if it is wrong, check it "
    "with `tl.check`, and ask again."
)
NO_SOLUTION = (
    "These are all the hints. Is there a part of it that you can solve? Try that with small "
    "numbers, on paper, and look at what `tl.check` says."
)


@dataclass(frozen=True)
class Hint:
    """What `hint` returns.

    Attributes:
        title: the exercise, and which hint it is.
        words: the hints so far, in words.
        solution: code; nothing as long as there are hints, and in a course.
    """

    title: str
    words: tuple[str, ...]
    solution: str = ""

    def __repr__(self) -> str:
        code = ["", *(f"    {line}" for line in self.solution.splitlines())]
        return "\n".join([self.title, *(f"  {text}" for text in self.words), *code]).rstrip()

    def _repr_html_(self) -> str:
        paragraphs = "".join(
            f'<p style="margin:0.4em 0;max-width:45em;line-height:1.5">{with_code(text)}</p>'
            for text in self.words
        )
        code = highlighted(self.solution) if self.solution else ""
        return (
            '<div role="status" style="border-left:4px solid #3b78b8;padding:0.2em 0.8em">'
            f"<strong>{escape(self.title)}</strong>{paragraphs}{code}</div>"
        )


def with_code(text: str) -> str:
    """The text as HTML; what stands between backquotes is code."""
    return re.sub("`([^`]+)`", r"<code>\1</code>", escape(text, quote=False))


def hint(name: str) -> Hint:
    """Get a hint for an exercise; another one at the next call.

    First a question that leads to the idea, then a nudge in the right direction. After a try of
    yours, which `tl.check` has seen, the third call shows the solution; but not in a course.

    Args:
        name: the exercise's, as the lesson gives it.

    Returns:
        A Hint, which shows itself.

    Raises:
        ValueError: there is no exercise of this name.

    Example:
        >>> print(hint("dropout").title)
        dropout: hint 1 of 2
    """
    exercise = named(name)
    if not exercise.question:
        return Hint(f"{name}: no hints", ("This exercise has none.",))
    _calls[name] += 1
    if _calls[name] == 1:
        return Hint(f"{name}: hint 1 of 2", (exercise.question,))
    hints = (exercise.question, exercise.nudge)
    if _calls[name] == 2:
        return Hint(f"{name}: hint 2 of 2", hints)
    solution = solution_of(name)
    if not solution:
        return Hint(f"{name}: both hints", (*hints, NO_SOLUTION))
    if name not in seen():
        return Hint(f"{name}: both hints", (*hints, TRY_FIRST))
    return Hint(f"{name}: a solution", hints, solution)


def solution_of(name: str) -> str:
    """The lesson's own solution; nothing where it must not be seen, or is not on this machine."""
    for lesson in lessons():
        if name in lesson.exercises:
            complete = read(lesson.path)
            seals = [copy.get("metadata", {}).get(SEAL) for copy in copies_with(name)]
            for_self_study = bool(seals) and set(seals) == {seal_of(complete)}
            return solutions(complete).get(name, "") if for_self_study else ""
    return ""
