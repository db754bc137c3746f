"""The extension in JupyterLab and Notebook 7, in a real browser with a real server and kernel."""

import json
import re
import shutil
from collections.abc import Iterator
from typing import Any

import nbformat
import pytest
from browser import PICTURES, READY, Notebook

pytest.importorskip("jupyterlab")
expect = pytest.importorskip("playwright.sync_api").expect

CELL = "# train\nhistory = model.fit(some, epochs=2)\nprint(history)"


def cells(notebook: Notebook) -> Any:
    return notebook.page.locator(".jp-Notebook .jp-Cell")


def sources(notebook: Notebook) -> list[str]:
    """The notebook's cells, as the application has them."""
    return notebook.page.evaluate(
        "() => window.jupyterapp.shell.currentWidget.content.model.sharedModel.cells"
        ".map(cell => cell.getSource())"
    )


def select(notebook: Notebook, cell: int) -> None:
    """Select a cell, in command mode."""
    cells(notebook).nth(cell).locator(".jp-InputPrompt").click()


def run_first(notebook: Notebook) -> None:
    """Run the setup cell, and wait for its end."""
    notebook.page.wait_for_function(READY, timeout=60_000)
    select(notebook, 0)
    notebook.do("notebook:run-cell")
    expect(cells(notebook).nth(0).locator(".jp-InputPrompt")).to_have_text("[1]:", timeout=60_000)
    notebook.page.wait_for_function(READY, timeout=60_000)


def message(notebook: Notebook) -> Any:
    return notebook.page.get_by_role("alert")


def dismiss(notebook: Notebook, text: str) -> None:
    """See to it that a dialog says all of this, and close it."""
    dialog = notebook.page.get_by_role("dialog")
    expect(dialog).to_contain_text(text, timeout=30_000)
    dialog.get_by_role("button", name="Ok").click()
    expect(dialog).to_have_count(0)


# ---- Unroll


@pytest.mark.parametrize("open_notebook", ["lab", "notebook"], indirect=True)
def test_unroll_puts_the_loop_below_and_one_undo_takes_it_away(open_notebook) -> None:
    notebook = open_notebook(CELL, "x = 3")
    run_first(notebook)
    select(notebook, 1)
    notebook.page.get_by_role("button", name="Unroll", exact=True).click()
    expect(cells(notebook)).to_have_count(4, timeout=30_000)
    before, unrolled, after = sources(notebook)[1:]
    assert (before, after) == (CELL, "x = 3")
    assert "    for step, (x, y) in enumerate(train_loader):\n" in unrolled
    assert unrolled.endswith("history = tl.History(step_losses, rows)\nprint(history)")
    expect(cells(notebook).nth(2)).to_have_class(re.compile("jp-mod-selected"))
    notebook.picture("unrolled")

    notebook.page.keyboard.press("z")
    expect(cells(notebook)).to_have_count(3)
    assert sources(notebook)[1:] == [CELL, "x = 3"]

    select(notebook, 1)
    notebook.page.keyboard.press("u")
    expect(cells(notebook)).to_have_count(4, timeout=30_000)
    assert sources(notebook)[2] == unrolled
    notebook.do("notebook:run-cell")
    expect(notebook.output(2)).to_contain_text("64 steps", timeout=60_000)
    expect(cells(notebook).nth(2).locator(".jp-InputPrompt")).to_have_text("[2]:")


def test_a_cells_menu_has_the_commands_side_by_side(open_notebook) -> None:
    notebook = open_notebook(CELL)
    run_first(notebook)
    cells(notebook).nth(1).locator(".jp-InputPrompt").click(button="right")
    menu = notebook.page.get_by_role("menu")
    expect(menu.get_by_role("menuitem", name="Unroll Side by Side")).to_be_visible()
    names = menu.locator(".lm-Menu-itemLabel").all_inner_texts()
    ours = names.index("Unroll")
    assert names[ours : ours + 3] == ["Unroll", "Unroll Side by Side", "Replay"]
    notebook.picture("context_menu")
    menu.get_by_role("menuitem", name=re.compile("^Unroll( U)?$")).click()
    expect(cells(notebook)).to_have_count(3, timeout=30_000)


def test_where_there_is_nothing_to_unroll_a_message_says_why(open_notebook) -> None:
    notebook = open_notebook("x = 3", "import time; time.sleep(600)")
    run_first(notebook)
    select(notebook, 1)
    notebook.do("tutorial:unroll")
    expect(notebook.page.get_by_role("dialog")).to_be_visible(timeout=30_000)
    notebook.picture("nothing_to_unroll")
    dismiss(notebook, "such as model.fit(train_data, epochs=1).")

    select(notebook, 2)
    notebook.do("notebook:run-cell")
    expect(cells(notebook).nth(2).locator(".jp-InputPrompt")).to_have_text("[*]:")
    select(notebook, 1)
    notebook.do("tutorial:unroll")
    expect(message(notebook).filter(has_text="The kernel is busy.")).to_be_visible()
    notebook.do("notebook:interrupt-kernel")
    notebook.page.wait_for_function(READY, timeout=60_000)

    select(notebook, 1)
    notebook.do("notebook:change-cell-to-markdown")
    notebook.do("tutorial:unroll")
    expect(message(notebook).filter(has_text="Only a code cell")).to_be_visible()

    notebook.shut_down()
    select(notebook, 0)
    notebook.do("tutorial:unroll")
    expect(message(notebook).filter(has_text="No kernel is running.")).to_be_visible()
    assert len(sources(notebook)) == 3


@pytest.mark.parametrize("open_notebook", ["lab", "notebook"], indirect=True)
def test_while_a_cell_runs_a_message_says_so_and_nothing_comes_later(open_notebook) -> None:
    """A fit's bar and curves are widgets: while these send, the kernel's status reads idle."""
    notebook = open_notebook("model.fit(test_data, epochs=1000)", CELL)
    run_first(notebook)
    select(notebook, 1)
    notebook.do("notebook:run-cell")
    expect(notebook.output(1).locator("svg").first).to_be_visible(timeout=60_000)
    for said, command in enumerate(("unroll", "side-by-side", "replay"), 1):
        select(notebook, 2)
        notebook.do(f"tutorial:{command}")
        expect(message(notebook).filter(has_text="The kernel is busy.")).to_have_count(said)
    notebook.do("notebook:interrupt-kernel")
    expect(cells(notebook).nth(1).locator(".jp-InputPrompt")).to_have_text("[2]:", timeout=60_000)
    notebook.page.wait_for_timeout(1000)
    assert sources(notebook)[1:] == ["model.fit(test_data, epochs=1000)", CELL]
    expect(notebook.page.locator(".tutorial-Panel")).to_have_count(0)


def test_another_language_is_named(open_notebook, server) -> None:
    server.add_kernel("echo", ECHO)
    notebook = open_notebook(CELL)
    path = server.folder / notebook.name
    seen = nbformat.read(path, as_version=4)
    seen.metadata["kernelspec"] = {"name": "echo", "display_name": "echo", "language": "echo"}
    notebook.shut_down()  # else the page that opens now joins the session of the old kernel
    nbformat.write(seen, path)
    notebook.open()
    notebook.page.wait_for_function(READY, timeout=60_000)
    select(notebook, 1)
    notebook.do("tutorial:unroll")
    expect(message(notebook)).to_contain_text("this kernel runs echo.", timeout=30_000)


ECHO = """
from ipykernel.kernelapp import IPKernelApp
from ipykernel.kernelbase import Kernel

class Echo(Kernel):
    implementation = implementation_version = banner = "echo"
    language_info = {"name": "echo", "mimetype": "text/plain", "file_extension": ".txt"}

    def do_execute(self, code, *_, **__):
        return {"status": "ok", "execution_count": 0, "payload": [], "user_expressions": {}}

IPKernelApp.launch_instance(kernel_class=Echo)
"""


# ---- Side by side


@pytest.mark.parametrize("theme", ["JupyterLab Light", "JupyterLab Dark"])
def test_side_by_side_lights_up_what_belongs_together(open_notebook, theme: str) -> None:
    notebook = open_notebook(CELL)
    notebook.page.set_viewport_size({"width": 1600, "height": 900})  # room for two columns
    run_first(notebook)
    notebook.page.evaluate(
        "theme => window.jupyterapp.commands.execute('apputils:change-theme', {theme})", theme
    )
    select(notebook, 1)
    notebook.page.keyboard.press("Shift+U")
    table = notebook.page.get_by_role("table", name="As written, and unrolled")
    expect(table.get_by_role("columnheader")).to_have_text(["as written", "unrolled: what runs"])
    _, fit, last = table.get_by_role("row").all()
    before, after = fit.get_by_role("cell").all()
    assert before.inner_text() == "# train\nhistory = model.fit(some, epochs=2)"
    assert "\n        loss.backward()" in after.inner_text()
    assert before.bounding_box()["y"] == after.bounding_box()["y"]
    assert before.locator("span").count() > 0  # colours
    background = "cell => getComputedStyle(cell).backgroundColor"
    plain = before.evaluate(background)
    for light_up in (fit.hover, fit.focus):
        last.hover()
        expect(before).to_have_css("background-color", plain)
        light_up()
        expect(before).not_to_have_css("background-color", plain)
        expect(after).to_have_css("background-color", before.evaluate(background))
        expect(last.get_by_role("cell").first).to_have_css("background-color", plain)
        last.focus()
    fit.hover()
    notebook.picture(f"side_by_side_{theme.split()[-1].lower()}")

    notebook.page.evaluate("() => document.querySelector('.jp-Notebook').focus()")
    select(notebook, 0)
    notebook.do("tutorial:side-by-side")
    dismiss(notebook, "there is no call of a Model")
    expect(table).to_have_count(1)  # what was there stays


def test_the_depth_is_chosen_beside_the_cell_and_remembered(open_notebook) -> None:
    notebook = open_notebook(CELL, "model.evaluate(some)")
    run_first(notebook)
    select(notebook, 1)
    notebook.page.keyboard.press("Shift+U")
    choice = notebook.page.get_by_role("group", name="How deep?")
    expect(choice.get_by_role("radio", name="loop")).to_be_checked(timeout=30_000)
    choice.get_by_role("radio", name="loop").focus()
    table = notebook.page.get_by_role("table", name="As written, and unrolled")
    for depth, line in (("optimizer", "weight.addcdiv_("), ("gradients", "d_W_3 = ")):
        notebook.page.keyboard.press("ArrowDown")
        expect(table).to_contain_text(line, timeout=30_000)
        expect(choice.get_by_role("radio", name=depth)).to_be_checked()
        expect(choice.get_by_role("radio", name=depth)).to_be_focused()
    expect(table).to_contain_text("history = model.fit(some, epochs=2)")
    expect(choice.get_by_role("radio", name="numpy")).to_be_disabled()
    expect(choice).to_contain_text("in NumPy it is a program of its own: print(model.unroll(")
    notebook.picture("side_by_side_gradients")

    notebook.page.evaluate("() => document.querySelector('.jp-Notebook').focus()")
    select(notebook, 2)
    notebook.do("tutorial:side-by-side")
    expect(table).to_contain_text("model.evaluate(some)", timeout=30_000)
    expect(table).to_contain_text("torch.addmm(b_3, x_2, W_3.T)")
    expect(choice.get_by_role("radio", name="gradients")).to_be_checked()
    notebook.do("tutorial:side-by-side")
    choice.get_by_role("radio", name="loop").check()
    expect(table).to_contain_text("y_hat = network(x)", timeout=30_000)


WRAPS = """pre => {
    const lines = pre.textContent.replace(/\\n$/, "").split("\\n").length;
    const high = parseFloat(getComputedStyle(pre).lineHeight);
    return pre.getBoundingClientRect().height > (lines + 0.9) * high;
}"""
FONT = "node => ['fontFamily', 'fontSize'].map(key => getComputedStyle(node)[key])"


@pytest.mark.parametrize("width", [700, 1400])
def test_code_is_as_in_the_cells_and_what_is_too_long_is_scrolled_to(open_notebook, width) -> None:
    notebook = open_notebook(
        "%load_ext tutorial", f"%%unroll --diff\n{CELL}", "%unroll model.fit(some)"
    )
    page = notebook.page
    page.set_viewport_size({"width": width, "height": 900})
    run_first(notebook)
    notebook.run()
    table = notebook.output(2).get_by_role("table")
    expect(table).to_contain_text("loss.backward()", timeout=60_000)
    expect(notebook.output(3).locator("pre")).to_contain_text("loss.backward()", timeout=60_000)
    cell = cells(notebook).nth(2).locator(".cm-content")
    shown = [*table.locator("pre").all(), *notebook.output(3).locator("pre").all()]
    for code in shown:
        assert code.evaluate(FONT) == cell.evaluate(FONT)
        assert not code.evaluate(WRAPS)
    table.scroll_into_view_if_needed()
    notebook.picture(f"diff_{width}")
    scroller = table.locator("xpath=..")
    scroller.focus()
    if width == 700:
        for _ in range(3):
            page.keyboard.press("ArrowRight")
        page.wait_for_function("node => node.scrollLeft > 20", arg=scroller.element_handle())

    select(notebook, 2)
    notebook.do("tutorial:side-by-side")
    pair = page.get_by_role("table", name="As written, and unrolled")
    expect(pair).to_contain_text("loss.backward()", timeout=30_000)
    for code in pair.locator("pre").all():
        assert code.evaluate(FONT) == cell.evaluate(FONT)
        assert not code.evaluate(WRAPS)
        assert code.evaluate("node => getComputedStyle(node).overflowX") == "visible"
    notebook.picture(f"side_by_side_{width}")


# ---- Replay


@pytest.mark.parametrize("open_notebook", ["lab", "notebook"], indirect=True)
def test_replay_plays_the_first_steps_and_nothing_moves(open_notebook) -> None:
    look = "print(network[1].weight.sum().item(), torch.initial_seed())"
    notebook = open_notebook(CELL, look)
    run_first(notebook)
    select(notebook, 1)
    notebook.page.get_by_role("button", name="Replay", exact=True).click()
    player = notebook.page.locator(".tutorial-Panel .tutorial-replay")
    expect(player).to_contain_text("Replay of model.fit(train_data, epochs=2)", timeout=60_000)
    choice = notebook.page.get_by_role("group", name="How deep?")
    choice.get_by_role("radio", name="loop").check()  # it may remember another one
    expect(player).to_contain_text("1 of 30 lines that were run")
    player.get_by_role("button", name="Forward").click()
    expect(player).to_contain_text("2 of 30 lines that were run")
    notebook.picture("replay")
    choice.get_by_role("radio", name="gradients").check()
    expect(player).to_contain_text("d_W_3 = ", timeout=60_000)
    notebook.page.evaluate("() => document.querySelector('.jp-Notebook').focus()")
    select(notebook, 2)
    assert len(sources(notebook)) == 3
    notebook.do("tutorial:replay")
    dismiss(notebook, "This cell cannot be replayed")


# ---- Lessons


@pytest.fixture(params=["lab", pytest.param("notebook", marks=pytest.mark.slow)])
def home(request, chromium, server) -> Iterator[Any]:
    """The page on which one begins: JupyterLab's launcher, or Notebook 7's list of files."""
    context = chromium.new_context(viewport={"width": 1100, "height": 900})
    page = context.new_page()
    page.goto(server.address + ("lab?reset" if request.param == "lab" else "tree"))
    page.app = request.param
    begin = ".jp-LauncherCard" if request.param == "lab" else "[data-jp-item-name=lessons]"
    page.wait_for_selector(begin)
    yield page
    for opened in context.pages:
        if "/notebooks/" in opened.url or request.param == "lab":
            opened.evaluate("() => { window.jupyterapp.commands.execute('kernelmenu:shutdown') }")
    context.close()


def choose(home: Any, title: str, button: str) -> Any:
    """Choose a lesson in the dialog; the page on which it opens."""
    if home.app == "lab":
        home.evaluate("() => { window.jupyterapp.commands.execute('tutorial:lessons') }")
    else:
        home.locator("[data-jp-item-name=lessons]").get_by_text("Lessons").click()
    dialog = home.get_by_role("dialog")
    expect(dialog.get_by_role("radio").first).to_be_focused()
    dialog.get_by_role("radio", name=title).check()
    home.screenshot(path=PICTURES / f"{home.app}_lessons.png")
    if home.app == "lab":
        dialog.get_by_role("button", name=button).click()
        return home
    with home.context.expect_page() as opened:
        dialog.get_by_role("button", name=button).click()
    return opened.value


def test_a_lesson_opens_in_a_copy_which_is_never_overwritten(home, server) -> None:
    PICTURES.mkdir(parents=True, exist_ok=True)
    name = "02_callbacks_and_checkpoints"
    copy = server.folder / "lessons" / f"{name}.ipynb"
    shutil.rmtree(copy.parent, ignore_errors=True)
    page = choose(home, "Callbacks and checkpoints 40 minutes", "Open")
    expect(page.locator(".jp-Notebook")).to_contain_text(
        "After this lesson you can", timeout=60_000
    )
    fresh = json.loads(copy.read_text(encoding="utf-8"))
    assert not any(cell.get("outputs") for cell in fresh["cells"])

    page.evaluate(
        "() => { const open = window.jupyterapp.shell.currentWidget;"
        "open.content.model.sharedModel.getCell(0).setSource('# My own words');"
        "return open.context.save() }"
    )
    if page is not home:
        page.close()
    page = choose(home, "Callbacks and checkpoints 40 minutes", "Open")
    expect(page.locator(".jp-Notebook")).to_contain_text("My own words", timeout=60_000)

    if page is not home:
        page.close()
    page = choose(home, "Callbacks and checkpoints 40 minutes", "Start over")
    old = copy.with_name(f"{name}_old_1.ipynb")
    expect(home.get_by_role("alert")).to_contain_text(f"lessons/{old.name}", timeout=30_000)
    fresh_one = page.locator(".jp-Notebook:visible")
    expect(fresh_one).to_contain_text("After this lesson you can", timeout=60_000)
    assert "My own words" in old.read_text(encoding="utf-8")
    assert "My own words" not in copy.read_text(encoding="utf-8")


@pytest.mark.parametrize("home", ["lab"], indirect=True)
def test_the_launcher_shows_the_lessons(home, server) -> None:
    card = home.get_by_role("button", name="1 · Train, evaluate, predict")
    expect(card).to_be_visible(timeout=30_000)
    home.screenshot(path=PICTURES / "lab_launcher.png")
    card.focus()
    home.keyboard.press("Enter")
    expect(home.locator(".jp-Notebook")).to_contain_text("You have data.", timeout=60_000)
    assert (server.folder / "lessons/01_train_evaluate_predict.ipynb").exists()
