"""Every exercise of every lesson: its solution passes, and its stub does not."""

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tutorial.course.exercises.registry import exercises
from tutorial.course.grading.release import (
    START,
    find_lessons,
    for_students,
    graded,
    nbgrader_of,
    read,
    source_of,
)

LESSONS = [path for path in find_lessons([]) if graded(read(path))]


def exercise_cells(notebook: dict[str, Any]) -> list[dict[str, Any]]:
    """The code cells from the first exercise on."""
    cells = notebook["cells"]
    start = next(i for i, c in enumerate(cells) if START in c["metadata"].get("tags", []))
    return [cell for cell in cells[start:] if cell["cell_type"] == "code"]


@pytest.fixture(params=LESSONS, ids=lambda path: path.stem)
def lesson(request: pytest.FixtureRequest) -> Path:
    return request.param


def test_there_are_lessons_with_exercises() -> None:
    assert LESSONS


def test_every_check_belongs_to_one_exercise_of_one_lesson() -> None:
    asked = Counter(name for path in LESSONS for name in graded(read(path)))
    assert set(asked.values()) == {1}
    assert set(asked) == set(exercises())


def test_solutions_pass_all_tests_also_the_hidden_ones(lesson: Path) -> None:
    names: dict[str, Any] = {}
    for cell in exercise_cells(read(lesson)):
        exec(source_of(cell), names)


def test_stubs_pass_none(lesson: Path) -> None:
    complete = read(lesson)
    stubs = exercise_cells(for_students(complete))
    names: dict[str, Any] = {}
    failed = []
    for cell, stub in zip(exercise_cells(complete), stubs, strict=True):
        grades = nbgrader_of(cell).get("grade")
        try:
            exec(source_of(cell if grades else stub), names)
        except (AssertionError, NotImplementedError, NameError):
            failed += [nbgrader_of(cell)["grade_id"]] if grades else []
    assert failed == list(graded(complete))


def test_each_exercise_has_an_answer_and_points(lesson: Path) -> None:
    parts = [nbgrader_of(cell) for cell in exercise_cells(read(lesson)) if nbgrader_of(cell)]
    names = list(graded(read(lesson)))
    assert len(names) >= 3
    expected = [part for name in names for part in (f"{name}_answer", name)]
    assert [part["grade_id"] for part in parts] == expected
    assert all(part["points"] > 0 for part in parts if part["grade"])
    assert all(part["locked"] == part["grade"] != part["solution"] for part in parts)
