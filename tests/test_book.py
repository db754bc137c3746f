"""The book, as `make book` builds it: its pages in a real browser, with no network."""

import doctest
import functools
import html
import http.server
import json
import os
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest

from tutorial.course.grading.release import read, source_of
from tutorial.course.lessons import lessons
from tutorial.depth.depths import DEPTHS

pytest.importorskip("sphinx")
pytest.importorskip("myst_nb")

import api
import copies
import course
import glossary
from browser import PICTURES
from situations.situation import all_situations

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
LESSONS = [lesson.path for lesson in lessons()]


@pytest.fixture(scope="module")
def book() -> Path:
    """The folder of the built book. A warning would be an error."""
    make = ["make", "-o", ".venv/.ready", "book", f"PY={sys.executable}"]
    done = subprocess.run(make, cwd=ROOT, text=True, capture_output=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "build/book/index.html" in done.stdout
    return ROOT / "build" / "book"


@pytest.fixture(scope="module")
def pages(book) -> dict[str, str]:
    """The source of each page, by its path."""
    found = {str(path.relative_to(book)): path.read_text("utf-8") for path in book.rglob("*.html")}
    return {name: text for name, text in found.items() if not name.startswith("_static")}


def text_of(page: str) -> str:
    """What a reader sees of a page: its source without the tags."""
    return html.unescape(re.sub(r"<[^>]+>", "", page))


def without_ends(text: str) -> str:
    """The text without the blanks at the ends of its lines, which nobody sees."""
    return re.sub(r"[ \t]+$", "", text, flags=re.MULTILINE).strip()


# ---- what is in it


def test_every_lesson_is_in_the_book_and_on_the_first_page(pages) -> None:
    for lesson in lessons():
        page = text_of(pages[f"notebooks/{lesson.name}.html"])
        assert f"{lesson.minutes} minutes · The notebook · Open in Colab · Open in Binder" in page
        number = int(lesson.name[:2])
        for where in ("index.html", "teacher.html"):
            assert f"{number} · {lesson.title}" in text_of(pages[where])
            assert f'href="notebooks/{lesson.name}.html"' in pages[where]


def test_the_outputs_are_the_stored_ones(pages) -> None:
    for path in LESSONS:
        page = without_ends(text_of(pages[f"notebooks/{path.stem}.html"]))
        for cell in read(path)["cells"]:
            if "nbgrader" in cell["metadata"]:
                continue
            for output in cell.get("outputs", []):
                assert without_ends("".join(output.get("text", ""))) in page


def test_the_exercises_are_open(book, pages) -> None:
    for path in LESSONS:
        cells = [source_of(cell) for cell in read(path)["cells"]]
        solutions = re.findall(
            r"### BEGIN SOLUTION\n(.*?)\s*### END SOLUTION", "\n".join(cells), flags=re.DOTALL
        )
        assert len(solutions) >= 3
        page = text_of(pages[f"notebooks/{path.stem}.html"])
        assert page.count("# YOUR CODE HERE") == len(solutions)
        [download] = book.glob(f"_downloads/*/{path.name}")
        handed_out = "\n".join(source_of(cell) for cell in read(download)["cells"])
        for solution in solutions:
            if solution.count("\n") >= 2:  # one line may be shown by the lesson, too
                assert solution not in page
                assert solution not in handed_out
        assert "HIDDEN TESTS" not in page + handed_out


def test_colab_and_binder_open_files_that_exist(pages) -> None:
    opened = set()
    for name, page in pages.items():
        for url in re.findall(r'href="(https://(?:colab|mybinder)[^"]+)"', page):
            file = url.partition("/blob/main/" if "colab" in url else "lab/tree/")[2]
            assert (ROOT / file).exists()
            assert Path(file).stem == Path(name).stem
            opened.add((url[8:13], file))
    assert len(opened) == 2 * len(LESSONS)


def test_a_term_leads_to_what_it_means(pages) -> None:
    first = pages["notebooks/01_train_evaluate_predict.html"]
    assert 'href="../names.html#term-epoch"' in first
    assert "<math" in pages["names.html"]


def test_every_public_name_is_in_the_reference_and_on_one_page(pages) -> None:
    reference = "".join(page for name, page in pages.items() if name.startswith("reference/"))
    names = dict(api.public())
    assert {"Model", "callbacks.EarlyStopping", "metrics.Auc", "datasets.MNIST"} <= names.keys()
    names |= {f"Model.{name}": None for name in ("fit", "evaluate", "predict", "unroll", "save")}
    for name in names:
        assert f'id="tutorial.{name}"' in reference, name
        assert f'#tutorial.{name}"' in pages["all.html"], name


def test_the_loop_on_the_first_page_is_the_one_in_the_readme(pages) -> None:
    loop = re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL)[1]
    assert loop in text_of(pages["index.html"])


def test_what_it_takes_has_every_situation_and_what_is_refused(pages) -> None:
    def words(text: str) -> str:
        return " ".join(re.findall(r"\w+", text))  # typography changes quotes and dots

    parts = pages["what_it_takes.html"].split('id="what-works"', 1)
    before, works = (words(text_of(part)) for part in parts)
    for one in all_situations():
        assert words(one.title) in works, one.name
        if one.expected in ("refused", "no script"):
            assert words(one.title) in before, one.name
        assert bool(one.instead) == (one.expected != "equal"), one.name
    assert "generator step" in before


def test_the_lines_that_an_option_adds_are_marked(pages) -> None:
    tab = pages["levels.html"].partition("clip_grad_norm")[2].partition("sd-tab-label")[0]
    marked = re.findall(r'<span class="hll">(.*?)\n</span>', tab, flags=re.DOTALL)
    assert [text_of(line).split("  # ")[0].strip() for line in marked] == [
        "nn.utils.clip_grad_norm_(network.parameters(), 1.0)"
    ]


def test_four_networks_are_written_out_at_each_depth(pages) -> None:
    page = pages["depths.html"]
    for depth in DEPTHS:
        assert page.count(f'<section data-depth="{depth}"') == 4
    for layer in (
        "1: Linear(784, 128)",
        "0: Conv2d(1, 6, ",
        "embed: Embedding(50, 32)",
        "gru: GRU",
    ):
        assert f"# backward, {layer}" in text_of(page)


def test_a_lesson_builds_on_those_that_its_first_cell_names() -> None:
    found = {lesson.name[:2]: course.builds_on(lesson) for lesson in lessons()}
    assert found["01"] == set()
    assert found["05"] == {1, 4}
    assert found["06"] == {1, 3, 4}


def test_the_examples_of_its_own_code_are_true() -> None:
    for module in (copies, glossary):
        results = doctest.testmod(module, optionflags=doctest.ELLIPSIS)
        assert results.attempted
        assert not results.failed


# ---- links


def test_every_link_inside_of_the_book_leads_somewhere(book, pages) -> None:
    ids = {name: set(re.findall(r'\bid="([^"]+)"', page)) for name, page in pages.items()}
    followed = 0
    for name, page in pages.items():
        for link in re.findall(r'\b(?:href|src)="([^"]+)"', page):
            if re.match(r"\w+:", link):
                continue
            path, _, anchor = html.unescape(unquote(link)).partition("#")
            target = (book / name).parent / path.partition("?")[0] if path else book / name
            assert target.exists(), f"{name}: {link}"
            inside = str(target.resolve().relative_to(book))
            if anchor and inside in ids:
                assert anchor in ids[inside] | {"", "top"}, f"{name}: {link}"
            followed += 1
    assert followed > 1000


def test_nothing_is_taken_from_another_host(book, pages) -> None:
    for name, page in pages.items():
        # The name of SVG's language inside of an image's own data is no address to load from.
        tags = re.findall(r"<(?:script|link|img|iframe|source)\b[^>]*>", page)
        taken = [tag for tag in tags if re.search(r"\b(?:src|href|srcset)=[\"']?https?://", tag)]
        assert taken == [], name
    for path in book.rglob("*.css"):
        assert not re.search(r"(url\(|@import) *[\"']?(https?:)?//", path.read_text("utf-8")), path
    for path in [*book.rglob("*.js"), *book.rglob("*.html")]:
        hosts = re.findall(r"jsdelivr|unpkg|cdnjs|googleapis|polyfill\.io", path.read_text("utf-8"))
        assert hosts == [], path


# ---- in a browser


@pytest.fixture(scope="module")
def address(book) -> Iterator[str]:
    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_: Any) -> None:
            pass

    handler = functools.partial(Quiet, directory=str(book))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    server.server_close()


@pytest.fixture
def page(chromium, address) -> Iterator[Any]:
    """A page that may ask this server alone; in the end, nothing must have gone wrong."""
    page = chromium.new_page(viewport={"width": 1280, "height": 900})
    wrong: list[str] = []

    elsewhere = re.compile(rf"^(?!{re.escape(address)}|file:|data:|blob:)")
    page.route(elsewhere, lambda route: route.abort())  # and so it failed
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("requestfailed", lambda request: wrong.append(request.url))
    page.on("response", lambda r: wrong.append(f"{r.status} {r.url}") if r.status >= 400 else None)
    page.on("console", lambda m: wrong.append(m.text) if m.type in ("error", "warning") else None)
    yield page
    page.close()
    assert wrong == []


def test_every_page_loads_and_fits_a_phone(page, pages, address) -> None:
    page.set_viewport_size({"width": 360, "height": 800})
    for name in pages:
        page.goto(address + name, wait_until="networkidle")  # what comes late is not cut off
        assert page.locator("h1:visible").count() == 1, name
        assert page.evaluate("document.documentElement.scrollWidth") == 360, name


SEVEN = [(60, 60), (200, 60), (150, 140), (120, 230)]
ONE = [(140, 40), (140, 240)]


def draw(page: Any, points: list[tuple[int, int]]) -> None:
    """With the mouse; points are in units of the paper, 280 x 280."""
    paper = page.locator(".paper")
    paper.scroll_into_view_if_needed()
    box = paper.bounding_box()
    x, y = ([box[side] + p[i] * box["width"] / 280 for p in points] for i, side in enumerate("xy"))
    page.mouse.move(x[0], y[0])
    page.mouse.down()
    for place in zip(x[1:], y[1:], strict=True):
        page.mouse.move(*place, steps=8)
    page.mouse.up()


@pytest.mark.parametrize("where", ["widgets.html", "file"])
def test_a_digit_is_drawn_and_the_page_says_what_it_is(page, book, address, where) -> None:
    page.goto((book / "index.html").as_uri() if where == "file" else address + where)
    answer = page.locator(".tutorial-draw-digit").get_by_role("status")
    for digit, points in ((7, SEVEN), (1, ONE)):
        draw(page, points)
        page.wait_for_function(
            "start => document.querySelector('.tutorial-draw-digit [role=status]')"
            ".textContent.startsWith(start)",
            arg=f"This looks like a {digit}, ",
            timeout=5_000,
        )
        page.get_by_role("button", name="Clear").click()
        assert answer.inner_text() == "Draw a digit, or choose one"
    right = 0
    for digit in range(10):
        page.get_by_role("button", name=f"Example {digit}").click()
        right += f" {digit}, " in answer.inner_text()
    assert right >= 9


def test_the_live_plot_shows_how_the_network_learned(page, address) -> None:
    page.goto(f"{address}widgets.html")
    plot = page.locator(".tutorial-plot")
    assert int(plot.get_attribute("data-rows")) >= 2
    assert plot.locator("svg").count() == 2
    accuracy = re.search(r"eval_acc ([\d.]+)", page.locator(".tutorial-status").inner_text())
    assert float(accuracy[1]) > 0.96


def test_tabs_switch(page, address) -> None:
    page.goto(f"{address}levels.html")
    calls = page.locator(".sd-tab-set").first
    assert calls.get_by_text("loss.backward()").first.is_visible()
    calls.get_by_text("Evaluate", exact=True).click()
    assert calls.get_by_text("model.evaluate(test_data)").is_visible()
    assert not calls.get_by_text("loss.backward()").first.is_visible()


def test_a_call_is_shown_at_each_depth(page, address) -> None:
    page.goto(f"{address}levels.html")
    control = page.locator(".tutorial-depths").first
    control.get_by_role("radio", name="loop").focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    gradients = control.locator('[data-depth="gradients"]')
    assert gradients.is_visible()
    assert not control.locator('[data-depth="loop"]').is_visible()
    gradients.get_by_text("d_W_3 = ").click()
    assert "d_b_3 = d_y_hat.sum(0)" in "".join(gradients.locator(".lit").all_text_contents())
    for theme in ("light", "dark"):
        page.evaluate("theme => { document.documentElement.dataset.theme = theme }", theme)
        PICTURES.mkdir(parents=True, exist_ok=True)
        control.screenshot(path=PICTURES / f"book_depths_{theme}.png")
    control.get_by_role("radio", name="loop").check()
    lit = control.locator('[data-depth="loop"] .lit')
    assert lit.is_visible()
    assert lit.text_content().startswith("        loss.backward()")


def test_a_training_is_played_line_by_line(page, address) -> None:
    page.goto(f"{address}replay.html")
    loop, gradients, error = page.locator(".tutorial-replay").all()
    loop.get_by_role("button", name="To the next line that changes a weight").click()
    page.keyboard.press("ArrowLeft")
    assert "loss.backward(): makes the gradients" in loop.get_by_role("status").inner_text()
    gradients.get_by_role("button", name="W_4", exact=True).click()
    assert "W_4 changes at 3 moments" in gradients.inner_text()
    error.get_by_role("slider").focus()
    page.keyboard.press("End")
    assert "The shapes there: y (64,), y_hat (1, 10)" in error.get_by_role("status").inner_text()
    for theme in ("light", "dark"):
        page.evaluate("theme => { document.documentElement.dataset.theme = theme }", theme)
        PICTURES.mkdir(parents=True, exist_ok=True)
        loop.screenshot(path=PICTURES / f"book_replay_{theme}.png")


def test_search_finds(page, address) -> None:
    page.goto(f"{address}search.html?q=EarlyStopping")
    results = page.locator("#search-results li a")
    results.first.wait_for(timeout=10_000)
    found = " ".join(results.evaluate_all("links => links.map(link => link.href)"))
    assert "reference/callbacks.html" in found
    assert "notebooks/02_callbacks_and_checkpoints.html" in found


# ---- Jupyter Book 2


@pytest.mark.slow
def test_jupyter_book_2_reads_the_pages_too(book, tmp_path) -> None:
    """Its themes are downloaded, so it is only asked whether it understands the pages."""
    missing = pytest.fail if os.environ.get("CI") else pytest.skip
    command = Path(sys.executable).with_name("jupyter-book")
    if shutil.which("node") is None or not command.exists():
        missing("no Node, or no Jupyter Book 2 here")
    copy = tmp_path / "book"
    shutil.copytree(ROOT / "book", copy, ignore=shutil.ignore_patterns("_build", "__pycache__"))
    settings = copy / "myst.yml"
    text = settings.read_text("utf-8").replace("template: book-theme", "template: ./theme")
    settings.write_text(text, "utf-8")
    (copy / "theme").mkdir()
    theme = {"jtex": "v1", "title": "none", "version": "1.0.0"}
    theme |= {"build": {"install": "true", "start": "true"}}
    (copy / "theme" / "template.yml").write_text(json.dumps(theme))
    build = [command, "build", "--site", "--strict"]
    done = subprocess.run(build, cwd=copy, text=True, capture_output=True, timeout=120)
    said = done.stdout + done.stderr
    assert done.returncode == 0, said
    assert "target was not found" not in said, said
    assert len(re.findall(r"Built notebooks/\S+\.ipynb in", said)) == len(LESSONS)
