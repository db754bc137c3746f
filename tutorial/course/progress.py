"""What a student has begun and solved: `tl.check` notes it, and `tl.progress()` shows it.

It is noted in a file beside the lessons, and only beside copies for self-study (see
grading/release.py): not in a course, and not where the grader runs. Elsewhere this session alone
knows of it. A line is an exercise and how far it is, such as `number_of_steps solved`. Lines are
only added, each in one piece: so several kernels may write, and a broken line spoils no other one.
"""

from contextlib import suppress
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

from tutorial.course.grading.release import SEAL, Notebook, graded, read
from tutorial.course.lessons import Lesson, lessons

if TYPE_CHECKING:
    from tutorial.course.exercises.verdict import Verdict

FILE = "lesson_progress.txt"
ABOUT = "# The exercises that you have begun and solved. You may delete this file.\n"
STATES = ("open", "begun", "solved")  # what is solved stays solved
MARKS = {"open": "○", "begun": "◐", "solved": "✓"}

_of_this_session: dict[str, str] = {}  # what cannot be written


@dataclass(frozen=True)
class Progress:
    """How far each exercise is, lesson by lesson.

    Attributes:
        lessons: the lessons, in their order.
        states: "begun" or "solved" for each exercise that is not open.
    """

    lessons: list[Lesson]
    states: dict[str, str]

    def of(self, lesson: Lesson) -> dict[str, str]:
        """Its exercises, and how far each is: "open", "begun" or "solved"."""
        return {name: self.states.get(name, "open") for name in lesson.exercises}

    @property
    def solved(self) -> int:
        """How many exercises are solved."""
        return sum(list(self.of(lesson).values()).count("solved") for lesson in self.lessons)

    @property
    def title(self) -> str:
        """How many of how many."""
        of = sum(len(lesson.exercises) for lesson in self.lessons)
        return f"{self.solved} of {of} exercises solved"

    @property
    def next(self) -> str:
        """What to go on with, in words. One that is begun comes before those that are open."""
        for state in ("begun", "open"):
            for lesson in self.lessons:
                for name, its_state in self.of(lesson).items():
                    if its_state == state:
                        return f"Go on with {name}, in lesson {lesson.number}."
        return "All of them are solved."

    def __repr__(self) -> str:
        width = max((len(lesson.title) for lesson in self.lessons), default=0)
        rows = [
            f"{lesson.number:>2} · {lesson.title:{width}}  "
            f"{' '.join(MARKS[state] for state in self.of(lesson).values())}"
            for lesson in self.lessons
        ]
        legend = ", ".join(f"{mark} {state}" for state, mark in MARKS.items())
        return "\n".join([self.title, "", *rows, "", f"({legend})", self.next])

    def _repr_html_(self) -> str:
        """A table, which wraps where there is little room; it has the colours of the page."""
        rows = "".join(self._row(lesson) for lesson in self.lessons)
        return (
            f'<div style="max-width:52em"><strong>{self.title}.</strong> {escape(self.next)}'
            '<table style="width:100%;margin:0.6em 0;border-collapse:collapse;table-layout:auto">'
            f"<thead><tr>{''.join(map(_head, ('lesson', 'exercises', 'solved')))}</tr></thead>"
            f"<tbody>{rows}</tbody></table></div>"
        )

    def _row(self, lesson: Lesson) -> str:
        states = self.of(lesson)
        solved = list(states.values()).count("solved")
        exercises = " ".join(
            f'<span style="white-space:nowrap;margin-right:0.6em'
            f'{";font-weight:600" if state == "solved" else ""}">'
            f'<span role="img" aria-label="{state}">{MARKS[state]}</span> {escape(name)}</span>'
            for name, state in states.items()
        )
        return (
            f'<tr><th scope="row" style="{CELL};font-weight:inherit">'
            f"{lesson.number} · {escape(lesson.title)}</th>"
            f'<td style="{CELL}">{exercises}</td>'
            f'<td style="{CELL};white-space:nowrap">{solved} of {len(states)}</td></tr>'
        )


CELL = "text-align:left;vertical-align:top;padding:0.3em 0.6em;line-height:1.5"


def _head(text: str) -> str:
    return f'<th scope="col" style="{CELL}">{text}</th>'


def progress() -> Progress:
    """Show which exercises of the lessons are solved, which are begun, and which are open.

    `tl.check` notes it, in a file beside your copies of the lessons, `lesson_progress.txt`. Delete
    it to begin again. In a course nothing is noted: there it is what this session has checked.

    Returns:
        A Progress, which shows itself as a table.

    Example:
        >>> progress().states.get("an exercise that there is not")
    """
    return Progress(lessons(), seen())


def noted(verdict: "Verdict") -> "Verdict":
    """Note how far the exercise is; the verdict as it came."""
    state = "solved" if verdict else "begun" if verdict.begun else "open"
    if STATES.index(state) > STATES.index(seen().get(verdict.name, "open")):
        _note(verdict.name, state)
    return verdict


def seen() -> dict[str, str]:
    """The exercises that are begun or solved, as the file and this session know it."""
    states = dict(_of_this_session)
    with suppress(OSError):
        for line in Path(FILE).read_text(encoding="utf-8", errors="replace").splitlines():
            name, _, state = line.strip().partition(" ")
            if state in STATES[1:] and states.get(name) != "solved":
                states[name] = state
    return states


def _note(name: str, state: str) -> None:
    """Add a line to the file; what cannot be written is remembered."""
    copies = copies_with(name)
    try:
        if not copies or not all(SEAL in copy.get("metadata", {}) for copy in copies):
            raise PermissionError("these are no copies for self-study")
        with Path(FILE).open("a+b") as file:
            size = file.seek(0, 2)
            file.seek(max(0, size - 1))
            whole = file.read().endswith(b"\n")  # else the last line was cut off
            start = ABOUT if size == 0 else "" if whole else "\n"
            file.write(f"{start}{name} {state}\n".encode())
    except OSError:
        _of_this_session[name] = state


def copies_with(name: str) -> list[Notebook]:
    """The notebooks in this directory that have the exercise."""
    found = []
    with suppress(OSError):
        for path in Path.cwd().glob("*.ipynb"):
            with suppress(OSError, ValueError):
                if f'"{name}"'.encode() in path.read_bytes():
                    notebook = read(path)
                    found += [notebook] if name in graded(notebook) else []
    return found
