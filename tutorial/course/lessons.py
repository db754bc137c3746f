"""The lessons: what each is called, how long it takes, what one can do after it; a fresh copy.

All of it is read from the notebooks themselves.
"""

import re
from dataclasses import dataclass
from pathlib import Path

from tutorial.course.grading.release import (
    Notebook,
    find_lessons,
    for_students,
    graded,
    read,
    source_of,
)

TITLE = re.compile(r"# \d+ · (.+)")
MINUTES = re.compile(r"takes about (\d+) minutes")
GOALS = re.compile(r"\*\*After this lesson you can\*\*\n\n(- .+?)(?:\n\n|\Z)", re.DOTALL)


@dataclass(frozen=True)
class Lesson:
    """One lesson, as its notebook's first cell tells of it.

    Attributes:
        path: the notebook.
        title: its first heading.
        minutes: about how long it takes.
        goals: what you can do after it.
        exercises: their names.
    """

    path: Path
    title: str
    minutes: int
    goals: tuple[str, ...]
    exercises: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The notebook's name, without its ending."""
        return self.path.stem

    @property
    def number(self) -> int:
        """The number by which other lessons refer to it."""
        return int(self.name[:2])

    def fresh(self) -> Notebook:
        """The notebook for self-study: nothing in it has been run, and its exercises are open."""
        return for_students(read(self.path), self_study=True)


def lessons(directory: Path | None = None) -> list[Lesson]:
    """The lessons in their order.

    Args:
        directory: where the notebooks are; None stands for those that come with the library.

    Returns:
        A Lesson for each notebook.

    Raises:
        ValueError: a notebook's first cell does not tell what a Lesson holds.

    Example:
        >>> [lesson.title for lesson in lessons()]
        ['Train, evaluate, predict', ...]
    """
    return [described(path) for path in find_lessons([], directory)]


def described(path: Path) -> Lesson:
    """What a notebook's first cell says of it."""
    notebook = read(path)
    cell = source_of(notebook["cells"][0])
    title, minutes, goals = TITLE.match(cell), MINUTES.search(cell), GOALS.search(cell)
    if not (title and minutes and goals):
        raise ValueError(
            f"{path.name}: the first cell must have a heading such as '# 7 · A title', a sentence "
            "such as 'The lesson takes about 60 minutes.', and a list under '**After this lesson "
            f"you can**'. It is:\n{cell}"
        )
    items = (" ".join(item.split()) for item in goals[1].removeprefix("- ").split("\n- "))
    plain = (re.sub(r"[`*]", "", item).rstrip(";.") for item in items)
    return Lesson(path, title[1], int(minutes[1]), tuple(plain), tuple(graded(notebook)))
