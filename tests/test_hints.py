"""tl.hint: a question, a nudge; a solution after a try, and never in a course."""

import json
import re
from pathlib import Path
from typing import Any

import nbformat
import pytest

import tutorial as tl
from tutorial.course import hints, progress
from tutorial.course.exercises.registry import Exercise, exercises
from tutorial.course.grading.release import SEAL, find_lessons, for_students, read, solutions

SOLUTIONS = {
    name: code for path in find_lessons([]) for name, code in solutions(read(path)).items()
}
LESSON = read(find_lessons(["1"])[0])


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty directory, and a session in which nothing has been asked for yet."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(progress, "_of_this_session", {})
    monkeypatch.setattr(hints, "_calls", type(hints._calls)())
    return tmp_path


def write(notebook: dict[str, Any], name: str = "01_mine.ipynb") -> None:
    Path(name).write_text(json.dumps(notebook))


def third(name: str = "number_of_steps") -> hints.Hint:
    tl.hint(name), tl.hint(name)
    return tl.hint(name)


def wrong(samples: int, batch_size: int, epochs: int) -> int:
    return 0


# ---- what they say


def squeezed(code: str) -> str:
    return re.sub(r"\s|`", "", code.partition("#")[0])


@pytest.mark.parametrize("one", exercises().values(), ids=lambda one: one.name)
def test_every_exercise_has_two_hints_without_a_line_of_its_solution(one: Exercise) -> None:
    assert one.question.endswith("?")
    assert not one.nudge.endswith("?") or "." in one.nudge  # it tells something, too
    text = squeezed(f"{one.question} {one.nudge}")
    lines = [squeezed(line) for line in SOLUTIONS[one.name].splitlines()[1:]]
    assert lines
    assert [line for line in lines if len(line) > 6 and line in text] == []
    for words in (one.question, one.nudge):
        assert 40 < len(words) < 330, words
        assert words.count("`") % 2 == 0


def test_a_line_of_the_solution_would_be_found() -> None:
    text = squeezed("Take `correct += (y_hat.argmax(dim=1) == y).sum().item()` first.")
    lines = [squeezed(line) for line in SOLUTIONS["evaluate_by_hand"].splitlines()]
    assert any(line in text for line in lines if len(line) > 6)


def test_solutions_are_the_lessons_own_answers() -> None:
    assert SOLUTIONS.keys() == exercises().keys()
    for name, code in SOLUTIONS.items():
        compile(code, name, "exec")
        assert "###" not in code
    assert SOLUTIONS["largest_rate"] == (
        "def largest_rate(curvatures):\n    return 2 / max(curvatures)"
    )


# ---- one for each call


def test_first_a_question_then_a_nudge() -> None:
    one = exercises()["dropout"]
    assert tl.hint("dropout") == hints.Hint("dropout: hint 1 of 2", (one.question,))
    tl.hint("shift")
    assert tl.hint("dropout") == hints.Hint("dropout: hint 2 of 2", (one.question, one.nudge))


def test_an_unknown_name_is_an_error_with_those_that_are_like_it() -> None:
    with pytest.raises(ValueError, match="Do you mean 'dropout'"):
        tl.hint("droput")


def test_the_solution_comes_after_a_try() -> None:
    write(for_students(LESSON, self_study=True))
    said = third()
    assert (said.title, said.solution) == ("number_of_steps: both hints", "")
    assert "after a try of yours" in said.words[-1]
    tl.check("number_of_steps", None)  # no try
    tl.check("train_one_epoch", wrong)  # a try of something else
    assert not tl.hint("number_of_steps").solution
    tl.check("number_of_steps", wrong)
    said = tl.hint("number_of_steps")
    assert said.title == "number_of_steps: a solution"
    assert said.solution == SOLUTIONS["number_of_steps"]
    assert "    def number_of_steps(samples, batch_size, epochs):" in repr(said)


# ---- in a course there is none


COURSES = {
    "nothing but a notebook": for_students(LESSON),
    "a seal that was made up": {**for_students(LESSON), "metadata": {SEAL: "yes"}},
    "a seal of what has no solutions": for_students(for_students(LESSON), self_study=True),
}


@pytest.mark.parametrize("handed_out", COURSES.values(), ids=COURSES.keys())
def test_in_a_course_no_solution_is_shown(handed_out: dict[str, Any]) -> None:
    write(handed_out)
    tl.check("number_of_steps", wrong)
    said = third()
    assert said.solution == ""
    assert "solution" not in said.words[-1]


def test_one_notebook_of_a_course_closes_a_directory() -> None:
    write(for_students(LESSON, self_study=True))
    write(for_students(LESSON), "handed_out.ipynb")
    tl.check("number_of_steps", wrong)
    assert third().solution == ""
    Path("handed_out.ipynb").unlink()
    assert tl.hint("number_of_steps").solution


def test_where_there_is_no_copy_no_solution_is_shown() -> None:
    """Such as in the grader's process, whose directory is empty."""
    tl.check("number_of_steps", wrong)
    assert third().solution == ""


def test_where_the_lessons_have_no_solutions_there_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A teacher can take them away from a server."""
    (tmp_path / "server").mkdir()
    path = tmp_path / "server" / "01_a.ipynb"
    write(for_students(LESSON), str(path))
    monkeypatch.setattr("tutorial.course.lessons.find_lessons", lambda *_: [path])
    write(for_students(for_students(LESSON), self_study=True))
    tl.check("number_of_steps", wrong)
    assert third().solution == ""


def test_a_lesson_of_the_launcher_is_for_self_study_and_a_teachers_is_not(tmp_path: Path) -> None:
    from tutorial.course.cli import main
    from tutorial.course.lessons import lessons

    assert SEAL in lessons()[0].fresh()["metadata"]
    assert main(["student", "1", "--to", str(tmp_path / "a")]) == 0
    assert main(["student", "1", "--self-study", "--to", str(tmp_path / "b")]) == 0
    sealed = [SEAL in read(path)["metadata"] for path in sorted(tmp_path.glob("*/*.ipynb"))]
    assert sealed == [False, True]
    for path in tmp_path.glob("*/*.ipynb"):
        nbformat.validate(nbformat.read(path, as_version=4))


def test_a_hint_is_shown_as_html() -> None:
    said = hints.Hint("a: hint", ("Is `x < 2`?",), "y = 1")
    shown = said._repr_html_()
    assert "Is <code>x &lt; 2</code>?" in shown
    assert "<pre" in shown
