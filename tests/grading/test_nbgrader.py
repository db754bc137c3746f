"""A school that has nbgrader can use the same lessons, and its students get the same points."""

import csv
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tutorial.course.grading.grade import grade
from tutorial.course.grading.release import (
    START,
    Notebook,
    find_lessons,
    for_students,
    nbgrader_of,
    read,
    source_of,
)

NAME = find_lessons(["1"])[0].name


@pytest.fixture
def nbgrader(tmp_path: Path) -> Callable[..., None]:
    """Runs a command of nbgrader in a course of its own."""
    if os.environ.get("CI"):
        import nbgrader as _  # noqa: F401
    else:
        pytest.importorskip("nbgrader")

    scripts = Path(sys.executable).parent  # nbgrader calls another program, alembic
    path = os.pathsep.join([str(scripts), os.environ["PATH"]])

    def run(*arguments: str) -> None:
        done = subprocess.run(
            [sys.executable, "-m", "nbgrader", *arguments],
            cwd=tmp_path,
            env={**os.environ, "PATH": path, "JUPYTER_CONFIG_DIR": str(tmp_path / "config")},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr

    (tmp_path / "nbgrader_config.py").write_text("c = get_config()\n")
    return run


def exercises_of(notebook: Notebook) -> Notebook:
    """The notebook from its first exercise on: nbgrader runs all cells, and the lesson is long."""
    cells = notebook["cells"]
    start = next(i for i, c in enumerate(cells) if START in c["metadata"].get("tags", []))
    return {**notebook, "cells": cells[start:]}


def written(path: Path, notebook: Notebook) -> None:
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps(notebook))


def sources(notebook: Notebook) -> list[str]:
    return [source_of(cell).strip() for cell in notebook["cells"]]


@pytest.mark.slow
def test_nbgrader_makes_the_same_notebook_and_gives_the_same_points(
    tmp_path: Path, nbgrader: Callable[..., Any]
) -> None:
    source = exercises_of(read(find_lessons(["1"])[0]))
    written(tmp_path / "source" / "lesson" / NAME, source)
    nbgrader("generate_assignment", "lesson")
    release = read(tmp_path / "release" / "lesson" / NAME)
    assert sources(release) == sources(for_students(source))

    solutions = {nbgrader_of(c).get("grade_id"): source_of(c) for c in source["cells"]}
    wrong = {
        "number_of_steps_answer": solutions["number_of_steps_answer"],
        "train_one_epoch_answer": solutions["train_one_epoch_answer"].replace(
            "optimizer.zero_grad()", "pass"
        ),
    }
    for student, answers in (("ada", solutions), ("bob", wrong)):
        cells = [
            {**cell, "source": answers.get(nbgrader_of(cell).get("grade_id"), source_of(cell))}
            if nbgrader_of(cell).get("solution")
            else cell
            for cell in release["cells"]
        ]
        written(tmp_path / "submitted" / student / "lesson" / NAME, {**release, "cells": cells})
    nbgrader("autograde", "lesson")
    nbgrader("export", "--to", "points.csv")
    rows = csv.DictReader((tmp_path / "points.csv").read_text().splitlines())
    theirs = {row["student_id"]: (float(row["score"]), float(row["max_score"])) for row in rows}
    ours = {r.student: (r.points, r.of) for r in grade(tmp_path / "submitted")}
    assert ours == theirs == {"ada": (7, 7), "bob": (1, 7)}
