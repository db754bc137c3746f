"""The lessons, as their notebooks tell of them, and as the Jupyter server hands them out."""

import json
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat
import pytest

from tutorial.course.grading.release import SEAL, seal_of
from tutorial.course.lessons import lessons

ROOT = Path(__file__).parent.parent
FOLDER = ROOT / "notebooks"

FIRST_CELL = """# 7 · A title

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
        assert len(lesson.exercises) >= 3
        heading = json.loads(lesson.path.read_text(encoding="utf-8"))["cells"][0]["source"][0]
        assert heading == f"# {lesson.number} · {lesson.title}\n"
    assert [lesson.number for lesson in found] == list(range(1, len(found) + 1))


def test_what_a_first_cell_says(tmp_path) -> None:
    write(tmp_path / "07_some.ipynb", FIRST_CELL)
    write(tmp_path / "notes.ipynb", "No lesson.")
    [lesson] = lessons(tmp_path)
    assert (lesson.name, lesson.title, lesson.minutes) == ("07_some", "A title", 45)
    assert lesson.goals == ("use fit and read what it does", "stop")


@pytest.mark.parametrize("lost", ["7 · ", "about 45 minutes", "\n- use", "**After"])
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
        assert fresh["metadata"] == {**seen["metadata"], SEAL: seal_of(seen)}
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
    for lesson, x in zip(lessons(), told, strict=True):
        assert (x["number"], x["title"], x["minutes"]) == (
            lesson.number,
            lesson.title,
            lesson.minutes,
        )
        assert (tuple(x["goals"]), tuple(x["exercises"])) == (lesson.goals, lesson.exercises)
    assert get(server, f"/{told[0]['name']}") == lessons()[0].fresh()


def test_the_server_names_the_lessons_if_there_is_no_such_one(server) -> None:
    with pytest.raises(urllib.error.HTTPError) as raised:
        get(server, "/08_never_written")
    assert raised.value.code == 404
    message = json.load(raised.value)["message"]
    assert message.startswith("There is no lesson '08_never_written'; there are 01_train")


# ---- in a browser


@pytest.fixture
def begun(server) -> Path:
    """The directory with a student's copies: lesson 1 is done, lesson 2 is begun."""
    directory = server.folder / "lessons"
    directory.mkdir(exist_ok=True)
    for lesson in lessons()[:2]:
        (directory / lesson.path.name).write_text(json.dumps(lesson.fresh()))
    solved = [*lessons()[0].exercises, lessons()[1].exercises[0]]
    note = directory / "lesson_progress.txt"
    note.write_text("# about\n" + "".join(f"{name} solved\n" for name in solved))
    return directory


@pytest.fixture
def open_page(chromium, server) -> Iterator[Any]:
    """Opens a page of the server in a window of some width and with a theme."""
    pages: list[Any] = []

    def open_it(path: str, width: int, theme: str, wait_for: str) -> Any:
        page = chromium.new_page(viewport={"width": width, "height": 807})
        pages.append(page)
        page.goto(f"{server.address}{path}")
        page.wait_for_selector(wait_for)
        page.evaluate(
            "theme => window.jupyterapp.commands.execute('apputils:change-theme', {theme})",
            f"JupyterLab {theme}",
        )
        return page

    yield open_it
    for page in pages:
        page.close()


CARD = '.jp-LauncherCard:has([data-icon^="tutorial:lesson-"])'


@pytest.mark.parametrize(
    ("theme", "width"),
    [("Light", 1400), pytest.param("Dark", 700, marks=pytest.mark.slow)],
)
def test_the_launcher_begins_with_the_lessons_and_how_far_they_are(
    open_page, begun: Path, theme: str, width: int
) -> None:
    page = open_page("lab?reset", width, theme, CARD)
    assert page.locator(".jp-Launcher-sectionTitle").first.inner_text() == "Lessons"
    cards = page.locator(CARD)
    assert cards.locator("p").all_inner_texts() == [f"{x.number} · {x.title}" for x in lessons()]
    icons = [card.locator("svg").get_attribute("data-icon") for card in cards.all()]
    states = ["done", "begun", *["open"] * (len(icons) - 2)]
    assert icons == [f"tutorial:lesson-{state}" for state in states]
    told = [card.get_attribute("title").splitlines() for card in cards.all()]
    assert [lines[0] for lines in told[:3]] == [
        "40 minutes · done",
        "40 minutes · 1 of 3 solved",
        "40 minutes",
    ]
    assert told[0][1] == f"• {lessons()[0].goals[0]}"
    page.screenshot(path=pictures() / f"lab_launcher_{theme.lower()}_{width}.png")
    for card in cards.all():  # all of a card can be seen: the line with the minutes, too
        assert card.locator("p").evaluate("p => p.scrollWidth <= p.clientWidth")
        assert card.evaluate(
            "card => {"
            "const label = card.querySelector('.jp-LauncherCard-label');"
            "const style = getComputedStyle(label, '::after');"
            "const pen = document.createElement('canvas').getContext('2d');"
            "pen.font = `${style.fontSize} ${style.fontFamily}`;"
            "const first = card.title.split('\\n')[0];"
            "return pen.measureText(first).width <= label.querySelector('p').clientWidth }"
        )
    if width == 1400:  # with all lessons, the next section is still in sight
        box = page.locator(".jp-Launcher-sectionTitle").nth(1).bounding_box()
        assert box["y"] + box["height"] < 807


def test_a_launcher_that_is_opened_later_knows_what_was_solved_since(open_page, begun) -> None:
    page = open_page("lab?reset", 1400, "Light", CARD)
    second = page.locator(CARD).nth(1)
    assert second.get_attribute("title").startswith("40 minutes · 1 of 3 solved")
    with (begun / "lesson_progress.txt").open("a") as file:
        file.write("".join(f"{name} solved\n" for name in lessons()[1].exercises))
    page.evaluate("() => { window.jupyterapp.commands.execute('launcher:create') }")
    page.wait_for_selector(f"{CARD}[title^='40 minutes · done'] >> nth=1", timeout=30_000)


def test_in_the_dialog_open_comes_first_and_start_over_stands_aside(open_page, begun) -> None:
    page = open_page("lab?reset", 700, "Light", CARD)
    page.evaluate("() => { window.jupyterapp.commands.execute('tutorial:lessons') }")
    dialog = page.get_by_role("dialog")
    page.wait_for_selector(".jp-Dialog input:checked")
    assert dialog.get_by_role("radio").nth(1).is_checked()  # the first one that is not done
    assert dialog.locator("b").all_inner_texts() == [f"{x.number} · {x.title}" for x in lessons()]
    assert dialog.locator("label span").all_inner_texts()[:3] == [
        "40 minutes · done",
        "40 minutes · 1 of 3 solved",
        "40 minutes",
    ]
    color = "button => getComputedStyle(button).backgroundColor"
    over, cancel, opens = (
        dialog.get_by_role("button", name=name) for name in ("Start over", "Cancel", "Open")
    )
    assert over.evaluate(color) == "rgba(0, 0, 0, 0)" != opens.evaluate(color)
    places = [button.bounding_box() for button in (over, cancel, opens)]
    assert places[0]["x"] + places[0]["width"] < places[1]["x"] < places[2]["x"]


def test_notebook_7_has_a_button_with_a_word(open_page) -> None:
    button = "[data-jp-item-name=lessons]"
    page = open_page("tree", 700, "Light", button)
    word = page.locator(button).get_by_text("Lessons", exact=True)
    word.wait_for(state="visible")
    page.screenshot(path=pictures() / "notebook_lessons.png")
    word.click()
    page.wait_for_selector(".tutorial-LessonChoice input:checked")


def pictures() -> Path:
    from browser import PICTURES

    PICTURES.mkdir(parents=True, exist_ok=True)
    return PICTURES


# ---- what `make lab` leaves out

LEARNER = ROOT / "tutorial/notebook/lab/learner"


def test_make_lab_leaves_out_what_is_for_work_on_the_library(monkeypatch) -> None:
    config = pytest.importorskip("jupyterlab_server.config")
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert f'JUPYTER_CONFIG_PATH="$(CURDIR)/{LEARNER.relative_to(ROOT)}:' in makefile
    monkeypatch.setenv("JUPYTER_CONFIG_PATH", str(LEARNER))
    disabled = config.get_static_page_config(level="all")["disabledExtensions"]
    assert {"@jupyter/nbgrader", "jupyterlab-jupytext"} <= {x for x in disabled if disabled[x]}


@pytest.mark.slow
def test_a_learners_lab_has_no_menu_of_nbgrader(chromium, tmp_path, monkeypatch) -> None:
    from browser import Server

    monkeypatch.setenv("JUPYTER_CONFIG_PATH", str(LEARNER))
    server = Server(tmp_path)
    page = chromium.new_page(viewport={"width": 1400, "height": 807})
    try:
        page.goto(f"{server.address}lab?reset")
        page.wait_for_selector(CARD)
        page.screenshot(path=pictures() / "lab_learner.png")
        titles = page.locator(".jp-Launcher-sectionTitle").all_inner_texts()
        assert titles == ["Lessons", "Notebook", "Console", "Other"]
        assert "Nbgrader" not in page.locator("#jp-MainMenu").inner_text()
        assert page.get_by_text("Create Assignment").count() == 0
    finally:
        page.close()
        server.stop()
