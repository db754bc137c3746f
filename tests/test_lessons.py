"""The lessons, as their notebooks tell of them, and as the Jupyter server hands them out."""

import json
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import nbformat
import pytest

from tutorial.course.lessons import lessons

FOLDER = Path(__file__).parent.parent / "notebooks"

FIRST_CELL = """# A title

Text. The lesson takes about 45 minutes.

**After this lesson you can**

- use `fit` and *read* what
  it does;
- stop.

You should know lesson 1.
"""


def write(path: Path, first_cell: str) -> None:
    cells = [nbformat.v4.new_markdown_cell(first_cell)]
    nbformat.write(nbformat.v4.new_notebook(cells=cells), path)


def test_every_notebook_is_a_lesson_and_tells_of_itself() -> None:
    found = lessons()
    assert [lesson.name for lesson in found] == sorted(path.stem for path in FOLDER.glob("*.ipynb"))
    for lesson in found:
        assert 10 <= lesson.minutes <= 120
        assert 3 <= len(lesson.goals) <= 6


def test_what_a_first_cell_says(tmp_path) -> None:
    write(tmp_path / "07_some.ipynb", FIRST_CELL)
    write(tmp_path / "notes.ipynb", "No lesson.")
    [lesson] = lessons(tmp_path)
    assert (lesson.name, lesson.title, lesson.minutes) == ("07_some", "A title", 45)
    assert lesson.goals == ("use fit and read what it does", "stop")


@pytest.mark.parametrize("lost", ["# A title", "about 45 minutes", "\n- use", "**After"])
def test_a_first_cell_that_says_too_little_is_named(tmp_path, lost: str) -> None:
    write(tmp_path / "07_some.ipynb", FIRST_CELL.replace(lost, ""))
    with pytest.raises(ValueError, match=r"07_some.ipynb: the first cell must have a heading"):
        lessons(tmp_path)


def test_a_fresh_copy_has_all_cells_but_no_output_and_no_solution() -> None:
    for lesson in lessons():
        fresh, seen = lesson.fresh(), json.loads(lesson.path.read_text(encoding="utf-8"))
        pairs = zip(fresh["cells"], seen["cells"], strict=True)
        open_cells = [a for a, b in pairs if "".join(a["source"]) != "".join(b["source"])]
        assert len(open_cells) >= 3  # an exercise each
        assert all(cell["metadata"]["nbgrader"] for cell in open_cells)
        assert "### BEGIN" not in json.dumps(fresh)
        assert any(cell.get("outputs") for cell in seen["cells"])
        assert not any(c.get("outputs") or c.get("execution_count") for c in fresh["cells"])
        nbformat.validate(nbformat.from_dict(fresh))


def test_a_server_does_not_load_torch_for_them() -> None:
    code = "import sys, tutorial.notebook.lab.server; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


def get(server: Any, path: str) -> Any:
    with urllib.request.urlopen(f"{server.address}tutorial/lessons{path}") as response:
        return json.load(response)


def test_the_server_tells_of_the_lessons_and_hands_them_out(server) -> None:
    told = get(server, "")
    assert [(x["title"], x["minutes"], tuple(x["goals"])) for x in told] == [
        (lesson.title, lesson.minutes, lesson.goals) for lesson in lessons()
    ]
    assert get(server, f"/{told[0]['name']}") == lessons()[0].fresh()


def test_the_server_names_the_lessons_if_there_is_no_such_one(server) -> None:
    with pytest.raises(urllib.error.HTTPError) as raised:
        get(server, "/08_never_written")
    assert raised.value.code == 404
    message = json.load(raised.value)["message"]
    assert message.startswith("There is no lesson '08_never_written'; there are 01_train")
