"""tl.progress: what is solved is kept beside the lessons, whatever becomes of the file."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import tutorial as tl
from tutorial.course import progress
from tutorial.course.grading.release import find_lessons, for_students, read
from tutorial.course.progress import ABOUT, FILE, seen

LESSON = read(find_lessons(["1"])[0])


def right(samples: int, batch_size: int, epochs: int) -> int:
    return -(-samples // batch_size) * epochs


def wrong(samples: int, batch_size: int, epochs: int) -> int:
    return 0


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory with a copy for self-study, and a session that has done nothing yet."""
    monkeypatch.chdir(tmp_path)
    new_session(monkeypatch)
    write(for_students(LESSON, self_study=True))
    return tmp_path


def new_session(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "_of_this_session", {})


def write(notebook: dict[str, Any]) -> None:
    Path("01_mine.ipynb").write_text(json.dumps(notebook))


def test_what_is_begun_and_solved_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    tl.check("number_of_steps", None)
    assert not Path(FILE).exists()  # no try
    tl.check("number_of_steps", wrong)
    tl.check("number_of_steps", wrong)
    tl.check("number_of_steps", right)
    tl.check("number_of_steps", wrong)  # what is solved stays solved
    tl.check("train_one_epoch", wrong)
    expected = f"{ABOUT}number_of_steps begun\nnumber_of_steps solved\ntrain_one_epoch begun\n"
    assert Path(FILE).read_text() == expected
    new_session(monkeypatch)
    shown = tl.progress()
    assert shown.states == {"number_of_steps": "solved", "train_one_epoch": "begun"}
    assert list(shown.of(shown.lessons[0]).values()) == ["solved", "begun", "open"]
    assert shown.next == "Go on with train_one_epoch, in lesson 1."
    Path(FILE).unlink()
    assert tl.progress().states == {}


def test_several_kernels_may_write_at_once() -> None:
    code = (
        "import sys; from tutorial.course.progress import _note\n"
        "for i in range(50): _note('number_of_steps', 'solved'); _note(sys.argv[1], 'begun')"
    )
    names = ("train_one_epoch", "evaluate_by_hand")
    running = [subprocess.Popen([sys.executable, "-c", code, name]) for name in names]
    assert [process.wait(timeout=60) for process in running] == [0, 0]
    lines = Path(FILE).read_text().splitlines()
    assert len([line for line in lines if not line.startswith("#")]) == 200
    expected = {"number_of_steps": "solved"} | dict.fromkeys(names, "begun")
    assert seen() == expected


BROKEN = {
    "cut off": b"number_of_steps sol",
    "no text": bytes(range(256)) * 3,
    "other words": b"number_of_steps very solved\nshift\n\n solved\n{}",
    "from Windows": b"# \r\ntrain_one_epoch begun\r\n",
}


@pytest.mark.parametrize("broken", BROKEN.values(), ids=BROKEN.keys())
def test_a_broken_file_loses_no_more_than_what_is_broken(broken: bytes) -> None:
    Path(FILE).write_bytes(broken)
    assert tl.check("number_of_steps", right)
    assert Path(FILE).read_bytes().startswith(broken)
    assert seen()["number_of_steps"] == "solved"
    assert "1 of 42 exercises solved" in repr(tl.progress())


def test_where_it_cannot_be_written_the_session_remembers_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    Path(FILE).mkdir()  # also for root, whom no permission stops
    assert tl.check("number_of_steps", right)
    assert seen() == {"number_of_steps": "solved"}
    Path(FILE).rmdir()

    def no_write(*_: Any, **__: Any) -> None:
        raise PermissionError("read-only")

    new_session(monkeypatch)
    monkeypatch.setattr(Path, "open", no_write)
    assert not tl.check("number_of_steps", wrong)
    assert seen() == {"number_of_steps": "begun"}


@pytest.mark.skipif(sys.platform == "win32", reason="a directory that is in use stays there")
def test_where_the_directory_is_gone_a_check_still_works(here: Path) -> None:
    (here / "gone").mkdir()
    os.chdir(here / "gone")
    (here / "gone").rmdir()
    assert tl.check("number_of_steps", right)
    assert tl.progress().solved == 1


NOT_KEPT = {
    "in a course": for_students(LESSON),
    "in the lesson itself": LESSON,
    "where there is no lesson": None,
    "beside another lesson": for_students(read(find_lessons(["2"])[0]), self_study=True),
}


@pytest.mark.parametrize("notebook", NOT_KEPT.values(), ids=NOT_KEPT.keys())
def test_elsewhere_nothing_is_written(notebook: dict[str, Any] | None) -> None:
    Path("01_mine.ipynb").unlink()
    if notebook:
        write(notebook)
    assert tl.check("number_of_steps", right)
    assert not Path(FILE).exists()
    assert tl.progress().solved == 1  # this session knows it


def test_the_file_holds_nothing_of_an_answer() -> None:
    tl.check("number_of_steps", right)
    tl.check("evaluate_by_hand", wrong)
    for line in Path(FILE).read_text().splitlines()[1:]:
        assert line in ("number_of_steps solved", "evaluate_by_hand begun")


def test_as_text_and_as_a_table() -> None:
    shown = progress.Progress(tl.progress().lessons[:2], {"number_of_steps": "solved"})
    assert repr(shown) == (
        "1 of 6 exercises solved\n\n"
        " 1 · Train, evaluate, predict   ✓ ○ ○\n"
        " 2 · Callbacks and checkpoints  ○ ○ ○\n\n"
        "(○ open, ◐ begun, ✓ solved)\n"
        "Go on with train_one_epoch, in lesson 1."
    )
    html = shown._repr_html_()
    assert '<span role="img" aria-label="solved">✓</span> number_of_steps' in html
    assert "2 · Callbacks and checkpoints" in html
    everything = dict.fromkeys((n for x in shown.lessons for n in x.exercises), "solved")
    assert progress.Progress(shown.lessons, everything).next == "All of them are solved."
