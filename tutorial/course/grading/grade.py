"""Points for a directory of submissions, each run in a sandbox of its own."""

import json
import secrets
import shutil
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tutorial.course.grading.release import (
    START,
    Notebook,
    find_lessons,
    graded,
    nbgrader_of,
    parsed,
    read,
    source_of,
)
from tutorial.course.grading.sandbox import MB, Limits, Outcome, python, run

INSIDE = python("tutorial.course.grading.inside")
LARGEST = 50 * MB  # a submission; a larger one is not read


@dataclass(frozen=True)
class Submission:
    """A file that a student has handed in."""

    student: str
    path: Path
    data: bytes


@dataclass(frozen=True)
class Score:
    """The points for one exercise, and why they are not all that there are."""

    exercise: str
    points: float
    of: float
    message: str = ""


@dataclass
class Result:
    """What came out of one submission.

    Attributes:
        student: who handed it in: the name of the directory in which it lies, or of the file.
        file: its path in the directory that was graded.
        lesson: which one it is; nothing if that cannot be told.
        scores: one for each exercise.
        output: what it printed, cut off.
        remark: what the teacher should know.
    """

    student: str
    file: str
    lesson: str = ""
    scores: list[Score] = field(default_factory=list)
    output: str = ""
    remark: str = ""

    @property
    def points(self) -> float:
        """All points."""
        return sum(score.points for score in self.scores)

    @property
    def of(self) -> float:
        """All points that there are."""
        return sum(score.of for score in self.scores)


def grade(
    directory: Path,
    lessons: Path | None = None,
    limits: Limits | None = None,
    jobs: int = 1,
    isolated: bool | None = None,
    say: Callable[[Result], Any] = lambda result: None,
) -> list[Result]:
    """Grade every notebook below a directory.

    Args:
        directory: has a directory for each student, or a file for each student.
        lessons: where the lessons with their solutions are; None: this package's.
        limits: what a submission may take.
        jobs: how many run at the same time.
        isolated: in namespaces of their own? None: where this machine allows it.
        say: is called with each result.

    Returns:
        A Result for each notebook, in the order of the files.

    Raises:
        ValueError: there is no such directory, or there is no notebook in it.
    """
    if sys.platform == "win32":
        raise ValueError("grade needs Linux or macOS; on Windows, run it in WSL.")
    limits = limits or Limits()
    sources = {path.stem: read(path) for path in find_lessons([], lessons)}
    submissions = find_submissions(directory)  # all are read before the first one runs
    isolated = can_isolate(limits) if isolated is None else isolated

    def graded_one(submission: Submission) -> Result:
        result = grade_one(submission, directory, sources, limits, isolated)
        if restored(submissions):
            result.remark += " While it ran, submissions were changed or deleted; all are back."
        say(result)
        return result

    with ThreadPoolExecutor(jobs) as pool:
        return list(pool.map(graded_one, submissions))


def can_isolate(limits: Limits) -> bool:
    """Whether this machine lets a submission be shut in: it is tried."""
    if shutil.which("unshare") is None:
        return False
    return b'"done": true' in run(INSIDE, job([], "", limits), limits, isolated=True).report


def find_submissions(directory: Path) -> list[Submission]:
    """All notebooks below a directory.

    Raises:
        ValueError: there is no such directory, or there is no notebook in it.
    """
    if not directory.is_dir():
        raise ValueError(f"{directory} is not a directory; give the one with the submissions.")
    found = []
    for path in sorted(directory.rglob("*.ipynb")):
        inside = path.relative_to(directory)
        hidden = any(part.startswith(".") for part in inside.parts)  # such as .ipynb_checkpoints
        if not hidden and path.is_file() and not path.is_symlink():
            student = inside.parts[0] if len(inside.parts) > 1 else path.stem
            large = path.stat().st_size > LARGEST
            found.append(Submission(student, path, b"" if large else path.read_bytes()))
    if not found:
        raise ValueError(f"In {directory} there is no notebook (.ipynb).")
    return found


def grade_one(
    submission: Submission,
    directory: Path,
    sources: dict[str, Notebook],
    limits: Limits,
    isolated: bool,
) -> Result:
    """Run one submission, and give its points."""
    result = Result(submission.student, str(submission.path.relative_to(directory)))
    try:
        notebook = parsed(submission.data)
    except ValueError as error:
        large = "it is larger than 50 MB" if not submission.data else str(error)
        result.remark = f"The file is no notebook that can be read: {large}."
        return result
    result.lesson = lesson_of(notebook, submission.path.stem, sources)
    if not result.lesson:
        result.remark = "No exercise of a lesson was found in it."
        return result
    source = sources[result.lesson]
    secret = secrets.token_hex()
    outcome = run(INSIDE, job(cells_to_run(notebook, source), secret, limits), limits, isolated)
    told = facts_in(outcome, secret)
    result.scores = scores(source, told)
    result.output = outcome.output
    if outcome.stopped:
        result.remark = f"It was stopped: {outcome.stopped}."
    elif not any("done" in facts for facts in told):
        result.remark = "It was stopped: it ended before all was run."
    return result


def lesson_of(notebook: Notebook, name: str, sources: dict[str, Notebook]) -> str:
    """The lesson with which it shares most exercises; without any, the one in the file's name."""
    shared = {
        stem: len(graded(source).keys() & graded(notebook)) for stem, source in sources.items()
    }
    best = max(shared, key=lambda stem: shared[stem])
    if shared[best]:
        return best
    return next((stem for stem in sources if stem in name and graded(sources[stem])), "")


def cells_to_run(notebook: Notebook, source: Notebook) -> list[tuple[str, str]]:
    """The student's cells from the first exercise on, with the lesson's own tests among them.

    Of a graded cell that was copied, the last one counts; one that was deleted comes at the end.
    """
    cells = notebook["cells"]
    starts = [i for i, c in enumerate(cells) if START in (c.get("metadata", {}).get("tags") or [])]
    tests = {name: source_of(cell) for name, cell in graded(source).items()}
    last = graded(notebook)
    code = []
    for cell in cells[starts[0] if starts else 0 :]:
        if cell.get("cell_type") == "code":
            name = str(nbgrader_of(cell).get("grade_id"))
            if not nbgrader_of(cell).get("grade") or name not in tests:
                code.append((source_of(cell), ""))
            elif cell is last[name]:
                code.append((tests[name], name))
    there = {name for _, name in code}
    return code + [(text, name) for name, text in tests.items() if name not in there]


def job(cells: list[tuple[str, str]], secret: str, limits: Limits) -> bytes:
    """What the process inside reads."""
    facts = {"memory": limits.memory, "processes": limits.processes}
    return json.dumps({"secret": secret, "cells": cells, **facts}).encode()


def facts_in(outcome: Outcome, secret: str) -> list[dict[str, Any]]:
    """What the process inside has told; lines without the secret are from somebody else."""
    found = []
    for line in outcome.report.splitlines():
        with suppress(ValueError):
            facts = json.loads(line)
            if isinstance(facts, dict) and facts.get("secret") == secret:
                found.append(facts)
    return found


def scores(source: Notebook, told: list[dict[str, Any]]) -> list[Score]:
    """The points, from what the process inside has told."""
    ended = {facts["name"]: facts for facts in told if "name" in facts}
    begun = {facts["begun"] for facts in told if "begun" in facts}
    found = []
    for name, cell in graded(source).items():
        of = float(nbgrader_of(cell)["points"])
        why = "it was stopped in this exercise" if name in begun else "it was not reached"
        facts = ended.get(name, {"passed": False, "message": why})
        found.append(Score(name, of if facts["passed"] else 0.0, of, facts["message"]))
    return found


def restored(submissions: Sequence[Submission]) -> bool:
    """Put back each file that is gone or changed; was there one?"""
    lost = [s for s in submissions if s.data and not _unchanged(s)]
    for submission in lost:
        with suppress(OSError):
            submission.path.parent.mkdir(parents=True, exist_ok=True)
            submission.path.write_bytes(submission.data)
    return bool(lost)


def _unchanged(submission: Submission) -> bool:
    try:
        return submission.path.read_bytes() == submission.data
    except OSError:
        return False
