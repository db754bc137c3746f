"""Grading: what a submission does to itself, it does to nobody else."""

import json
import os
import time
from pathlib import Path
from typing import Any

import pytest

from tutorial.course.grading.grade import Result, can_isolate, grade
from tutorial.course.grading.sandbox import GB, MB, Limits, _too_much
from tutorial.course.grading.subprocesses import PROC, Family, running

pytestmark = pytest.mark.skipif(os.name != "posix", reason="needs Linux or macOS")
SHIELDED = can_isolate(Limits())
MODES = [True, False] if SHIELDED else [False]
QUICK = Limits(seconds=20, memory=GB, disk=50 * MB)


def cell(source: str, **metadata: Any) -> dict[str, Any]:
    return {
        "cell_type": "code",
        "source": source,
        "metadata": metadata,
        "outputs": [],
        "execution_count": None,
    }


def graded_cell(name: str, source: str, points: int = 1) -> dict[str, Any]:
    parts = {"grade": True, "grade_id": name, "points": points, "solution": False}
    return cell(source, nbgrader=parts)


def written(path: Path, *cells: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    notebook = {"cells": list(cells), "metadata": {}, "nbformat": 4, "nbformat_minor": 5}
    path.write_text(json.dumps(notebook))


@pytest.fixture
def lessons(tmp_path: Path) -> Path:
    """One lesson with two exercises: a = 1, and b = 2."""
    written(
        tmp_path / "lessons" / "01_small.ipynb",
        graded_cell("a", "assert a == 1, 'a is not 1'"),
        graded_cell("b", "assert b == 2, 'b is not 2'", points=2),
    )
    return tmp_path / "lessons"


def hand_in(folder: Path, student: str, first: str, second: str = "b = 2") -> Path:
    """A submission: code for each of the two exercises."""
    path = folder / student / "01_small.ipynb"
    written(path, cell(first), graded_cell("a", "pass"), cell(second), graded_cell("b", "pass"))
    return path


def graded_with_neighbours(
    folder: Path, lessons: Path, first: str, isolated: bool, limits: Limits = QUICK
) -> Result:
    """The result of this code; those who hand in before and after it get all their points."""
    handed_in = folder / "handed in"
    for student in ("a", "z"):
        hand_in(handed_in, student, "a = 1")
    hand_in(handed_in, "middle", first)
    before = {path: path.read_bytes() for path in handed_in.rglob("*") if path.is_file()}
    results = grade(handed_in, lessons, limits, isolated=isolated)
    assert {path: path.read_bytes() for path in handed_in.rglob("*") if path.is_file()} == before
    assert [r.student for r in results] == ["a", "middle", "z"]
    assert results[0].points == results[2].points == 3
    return results[1]


# ---- what a submission may do wrong


@pytest.mark.parametrize("isolated", MODES)
@pytest.mark.parametrize(
    ("code", "remark"),
    [
        ("import os, signal\nos.kill(os.getpid(), signal.SIGSEGV)", ""),
        ("import ctypes\nctypes.string_at(0)", "it crashed (SIGSEGV)"),
        ("import os\nos._exit(0)", "it ended before all was run"),
        ("import os\nos._exit(7)", "it ended itself, with 7"),
        ("while True: pass", "it took longer than 6 seconds"),
        (
            "import os, sys\nos.close(1)\nos.close(2)\nwhile True: pass",
            "it took longer than 6 seconds",
        ),
        ("import os\nwhile True:\n    os.fork()", ""),  # which limit it meets first is chance
        (
            "import os, time\nfor _ in range(9):\n"
            "    if not os.fork():\n        a = bytearray(200_000_000)\n        time.sleep(60)\n"
            "time.sleep(60)",
            "it took more than 1 GB of memory",
        ),
    ],
    ids=["signal", "crash", "leave", "leave with 7", "endless", "silent", "fork bomb", "memory"],
)
def test_a_bad_end_costs_only_its_own_points(
    tmp_path: Path, lessons: Path, isolated: bool, code: str, remark: str
) -> None:
    if "while True:\n    os.fork()" in code and not isolated:
        pytest.skip("a fork bomb is let off only where it can be held")
    seconds = 6 if "longer" in remark else 20
    limits = Limits(seconds=seconds, memory=GB, processes=40, disk=50 * MB)
    result = graded_with_neighbours(tmp_path, lessons, code, isolated, limits)
    if remark:
        assert result.points == 0
        assert remark in result.remark
    assert result.scores[0].message


@pytest.mark.skipif(not PROC.is_dir(), reason="needs Linux")
def test_each_limit_has_its_own_reason() -> None:
    family = Family(os.getpid())
    family.look()
    assert "more than 0 processes" in _too_much(family, 0, Limits(processes=0))
    assert "more than 0.001 GB of memory" in _too_much(family, 0, Limits(memory=MB))
    assert "longer than 2 seconds" in _too_much(family, 3, Limits(seconds=2))
    assert _too_much(family, 0, Limits(memory=100 * GB)) == ""


@pytest.mark.parametrize("isolated", MODES)
def test_two_gigabytes_of_output_are_cut_off(tmp_path: Path, lessons: Path, isolated: bool) -> None:
    code = "line = 'x' * 1_000_000\nfor _ in range(2000):\n    print(line)\na = 1"
    limits = Limits(seconds=120, memory=GB)
    result = graded_with_neighbours(tmp_path, lessons, code, isolated, limits)
    assert result.points == 3
    assert len(result.output) < 1.1 * limits.output
    assert "more bytes were dropped" in result.output


@pytest.mark.parametrize("isolated", MODES)
@pytest.mark.parametrize(
    "code",
    [
        "import shutil\nshutil.rmtree({folder!r}, ignore_errors=True)\na = 1",
        "import pathlib\n[p.write_text('gone') for p in pathlib.Path({folder!r}).rglob('*') "
        "if p.is_file()]\n"
        "a = 1",
    ],
    ids=["deleted", "changed"],
)
def test_the_files_of_others_stay(tmp_path: Path, lessons: Path, isolated: bool, code: str) -> None:
    folder = str(tmp_path / "handed in")
    result = graded_with_neighbours(tmp_path, lessons, code.format(folder=folder), isolated)
    assert ("all are back" in result.remark) == (not isolated)


@pytest.mark.parametrize("isolated", MODES)
def test_its_own_folder_is_its_own(tmp_path: Path, lessons: Path, isolated: bool) -> None:
    code = (
        "import os, shutil, tempfile\nhere = os.getcwd()\n"
        "open('mine.txt', 'w').write('x')\nassert tempfile.gettempdir() == here\n"
        "shutil.rmtree(here, ignore_errors=True)\na = 1"
    )
    assert graded_with_neighbours(tmp_path, lessons, code, isolated).points == 3


@pytest.mark.parametrize("isolated", MODES)
def test_too_large_a_file_and_too_much_memory_are_errors_in_the_cell(
    tmp_path: Path, lessons: Path, isolated: bool
) -> None:
    hand_in(
        tmp_path / "in",
        "ada",
        "with open('large', 'wb') as file:\n    for _ in range(100): file.write(bytes(1_000_000))",
        "c = bytearray(2_000_000_000)\nb = 2",
    )
    [result] = grade(tmp_path / "in", lessons, QUICK, isolated=isolated)
    assert "OSError" in result.output
    assert "MemoryError" in result.output
    assert "NameError: name 'b'" in result.scores[1].message
    assert result.remark == ""


@pytest.mark.skipif(not SHIELDED, reason="this machine does not allow it")
@pytest.mark.parametrize(
    "code",
    [
        "import socket\nsocket.create_connection(('127.0.0.1', {port}), 2)",
        "import os\nassert os.listdir('/run')",
        "open({folder!r} + '/new', 'w')",
        "open('/proc/sys/kernel/core_pattern', 'a')",
        "import os\nos.mkdir('new')\nassert os.system('mount -o remount,rw,bind /') == 0",
        "import os\nassert os.system('mount -t proc proc new') == 0",
        "import os\nassert os.system('unshare -Urm mount -t proc proc new') == 0",
        "import os\nos.kill({pid}, 0)",
        "import os\nassert [n for n in os.listdir('/dev') if 'da' in n or n in ('mem', 'kvm')]",
    ],
    ids=[
        "network",
        "sockets",
        "files",
        "kernel",
        "remount",
        "proc",
        "proc again",
        "processes",
        "devices",
    ],
)
def test_what_is_shut_in_reaches_nothing_outside(tmp_path: Path, lessons: Path, code: str) -> None:
    import socket

    with socket.create_server(("127.0.0.1", 0)) as server:
        names = {"port": server.getsockname()[1], "folder": str(tmp_path), "pid": os.getpid()}
        hand_in(tmp_path / "in", "ada", f"{code.format(**names)}\na = 1")
        [result] = grade(tmp_path / "in", lessons, QUICK, isolated=True)
    assert [score.points for score in result.scores] == [0, 2], result.output
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("isolated", MODES)
def test_nothing_runs_on_when_all_is_over(tmp_path: Path, lessons: Path, isolated: bool) -> None:
    code = (
        "import subprocess, sys\n"
        "subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(98.7654)'], "
        "start_new_session=True)\nimport time\ntime.sleep(1)\na = 1"
    )
    hand_in(tmp_path / "in", "ada", code)
    [result] = grade(tmp_path / "in", lessons, QUICK, isolated=isolated)
    assert result.points == 3
    time.sleep(0.2)
    lines = [Path(f"/proc/{pid}/cmdline") for pid in running()]
    assert not [p for p in lines if p.exists() and b"98.7654" in p.read_bytes()]


def test_the_secrets_of_the_environment_stay_outside(
    tmp_path: Path, lessons: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOME_TOKEN", "secret")
    hand_in(tmp_path / "in", "ada", "import os\nassert 'SOME_TOKEN' not in os.environ\na = 1")
    [result] = grade(tmp_path / "in", lessons, QUICK, isolated=False)
    assert result.points == 3


def test_points_cannot_be_written_into_the_pipe_by_guessing(tmp_path: Path, lessons: Path) -> None:
    line = '{"secret": "", "name": "a", "passed": true, "message": ""}'
    code = f"import os\nfor fd in range(3, 30):\n    try: os.write(fd, b'''{line}\\n''')\n"
    code += "    except OSError: pass\nb = 2"
    hand_in(tmp_path / "in", "ada", "a = 0", code)  # a has failed when this runs
    [result] = grade(tmp_path / "in", lessons, QUICK, isolated=False)
    assert [score.points for score in result.scores] == [0, 2]


# ---- what is found in a folder


def test_what_students_do_to_notebooks(tmp_path: Path, lessons: Path) -> None:
    folder = tmp_path / "in"
    a, b = graded_cell("a", "pass"), graded_cell("b", "pass")
    written(folder / "copied" / "n.ipynb", a, cell("a, b = 1, 2"), a, b)
    written(folder / "deleted" / "01_small (2).ipynb", cell("a, b = 1, 2"))
    written(folder / "tests emptied" / "n.ipynb", cell("a = b = 0"), a, b)
    written(folder / "other" / "n.ipynb", cell("1"))
    written(folder / "flat.ipynb", cell("a = 1\n1 / 0"), a, cell("b = 2"), b)
    written(folder / "ada" / ".ipynb_checkpoints" / "n.ipynb", a, b)
    lesson = graded_cell("a", "pass"), cell("raise SystemExit"), cell("a, b = 1, 2"), a, b
    written(folder / "leaves" / "n.ipynb", *lesson)
    started = cell("1", tags=["exercises"])
    written(folder / "part" / "n.ipynb", cell("import os; os._exit(1)"), started, a, b)
    for name, text in (("broken", "{"), ("list", "[]"), ("deep", "[" * 10**6)):
        (folder / name).mkdir()
        (folder / name / "n.ipynb").write_text(text)
    results = {r.student: r for r in grade(folder, lessons, QUICK, jobs=2)}
    points = {student: r.points for student, r in results.items()}
    assert points == {
        "copied": 3,
        "deleted": 3,
        "tests emptied": 0,
        "other": 0,
        "flat": 3,
        "leaves": 3,
        "part": 0,
        "broken": 0,
        "list": 0,
        "deep": 0,
    }
    assert results["part"].remark == ""
    assert results["tests emptied"].scores[0].message == "a is not 1"
    assert "No exercise" in results["other"].remark
    assert "no notebook" in results["broken"].remark
    assert "no list of cells" in results["list"].remark
    assert "nested" in results["deep"].remark


def test_a_folder_without_notebooks_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="there is no notebook"):
        grade(tmp_path)
    with pytest.raises(ValueError, match="is not a directory"):
        grade(tmp_path / "nowhere")
