"""The notebook in a real browser, with a real server and kernel: JupyterLab and Notebook 7."""

import io
import json
import re
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
import torch
from browser import PICTURES, READY, SETUP, Notebook

import tutorial as tl
from tutorial.display.chart import LOOKS, RED, TEXT
from tutorial.display.notebook import NotebookDisplay

pytest.importorskip("jupyterlab")
Image = pytest.importorskip("PIL.Image")
expect = pytest.importorskip("playwright.sync_api").expect


def saved_outputs(notebook: Notebook, cell: int) -> list[dict]:
    saved = nbformat.read(notebook.server.folder / notebook.name, as_version=4)
    return saved.cells[cell].outputs


# ---- the bar and the live plot


def test_fit_shows_a_bar_and_a_live_plot_and_they_stay(open_notebook) -> None:
    notebook = open_notebook(
        "history = model.fit(some, some, epochs=40, batch_size=20)",
        "model.evaluate(test_data); model.predict(test_data);",
    )
    notebook.run()
    fit = notebook.output(1)
    expect(fit.get_by_role("progressbar")).to_be_visible(timeout=60_000)
    expect(fit.locator(".tutorial-plot[data-points]")).to_be_visible(timeout=20_000)
    notebook.page.wait_for_function(
        "() => document.querySelector('.tutorial-plot')?.dataset.rows >= 2", timeout=60_000
    )
    plot = fit.locator(".tutorial-plot")
    assert not scrolled(fit)
    assert int(plot.get_attribute("data-points")) >= 20
    assert re.search(r"epoch \d+/40, .*step \d+/100: loss \d\.\d+, acc", fit.inner_text())
    assert re.search(r"steps/s, \d+:\d\d left", fit.inner_text())
    expect(fit.get_by_role("status")).to_contain_text("eval_acc")
    assert fit.get_by_role("img", name=re.compile("acc up to epoch")).count() == 1
    notebook.picture("fit_runs")

    expect(fit).to_contain_text("epoch 40/40: loss", timeout=120_000)
    expect(notebook.output(2)).to_contain_text("predict: 157 batches", timeout=60_000)
    expect(fit).not_to_contain_text("left")
    bar = fit.get_by_role("progressbar")
    assert bar.get_attribute("value") == bar.get_attribute("max") == "4000"
    image = fit.get_by_role("img", name=re.compile("acc up to epoch 40: train from"))
    assert image.evaluate("image => image.complete && image.naturalWidth > 0")
    last = fit.locator(".tutorial-chart").nth(1).locator("i").last
    last.hover()  # and read the values
    tip = last.evaluate("band => getComputedStyle(band, '::after').content")
    assert re.fullmatch(r'"epoch 40: train [\d.]+, eval [\d.]+"', tip)
    notebook.picture("fit_done")
    assert not scrolled(fit)
    table = fit.get_by_role("table", name="the last epochs")
    assert table.get_by_role("row").nth(-1).inner_text().split("\t")[0] == "40"
    folded = fit.get_by_role("cell", name="7", exact=True)
    expect(folded).to_be_hidden()
    fit.get_by_text("epochs 1 to 35").click()
    expect(folded).to_be_visible()


def scrolled(output) -> list[str]:
    """What of it has a scroll bar."""
    return output.locator("*").evaluate_all(
        "all => all.filter(e => e.scrollHeight > e.clientHeight && e.clientHeight &&"
        " getComputedStyle(e).overflowY === 'auto').map(e => e.className)"
    )


def test_a_file_that_is_opened_again_shows_the_curves_without_a_kernel(open_notebook) -> None:
    notebook = open_notebook("history = model.fit(some, some, epochs=2)")
    notebook.run()
    expect(notebook.output(1)).to_contain_text("epoch 2/2: loss", timeout=120_000)
    notebook.end()
    (output,) = saved_outputs(notebook, 1)
    assert output.data.keys() == {"text/plain", "text/html"}
    assert len(json.dumps(output)) < 50_000
    notebook.open()
    fit = notebook.output(1)
    expect(fit.get_by_role("progressbar")).to_be_visible(timeout=60_000)
    images = fit.get_by_role("img", name=re.compile("up to"))
    expect(images).to_have_count(2)
    for image in images.all():
        assert image.evaluate("image => image.complete && image.naturalWidth > 0")
    expect(fit).not_to_contain_text("Error")
    notebook.picture("opened_again")


def test_the_stop_button_stops_the_bar_and_the_next_fit_goes_on(open_notebook) -> None:
    notebook = open_notebook(
        "history = model.fit(some, some, epochs=10**6)",
        "again = model.fit(some, epochs=1)\nprint(history.interrupted, again.interrupted)",
    )
    notebook.run()
    fit = notebook.output(1)
    expect(fit).to_contain_text(re.compile(r"epoch \d+/1000000, .*step"), timeout=60_000)
    notebook.page.get_by_role("button", name=re.compile("Interrupt")).first.click()
    expect(fit).to_contain_text("stopped", timeout=20_000)
    notebook.picture("stopped")
    notebook.page.wait_for_function(READY, timeout=60_000)
    notebook.do("notebook:run-all-below")  # from the cell after it, which is the active one
    expect(notebook.output(2)).to_contain_text("True False", timeout=60_000)
    expect(fit).to_contain_text("stopped")


# ---- a fit whose page or kernel goes away


FOREVER = "history = model.fit(some, some, epochs=10**4, batch_size=20)"


def wait_for_a_snapshot(notebook: Notebook) -> None:
    """Until the curves are alive, and the file has some of them."""
    notebook.page.wait_for_function(
        "() => document.querySelector('.tutorial-plot')?.dataset.rows >= 3", timeout=60_000
    )
    saved = notebook.server.folder / notebook.name
    for _ in range(100):
        notebook.do("docmanager:save")
        notebook.page.wait_for_timeout(200)
        if "acc up to epoch" in saved.read_text():
            return
    raise AssertionError("no snapshot was saved in 20 seconds")


def restart(notebook: Notebook) -> None:
    """End what the kernel does, as a person would."""
    notebook.do("kernelmenu:restart")
    notebook.page.locator(".jp-Dialog .jp-mod-accept").click()


def expect_the_last_state(notebook: Notebook, pictures: str) -> None:
    """A bar, its words, the curves; and no word that was true only while it ran."""
    fit = notebook.output(1)
    expect(fit).to_contain_text("not finished", timeout=60_000)
    expect(fit).to_contain_text(re.compile(r"epoch \d+/10000, .*step \d+/100: loss"))
    expect(fit.get_by_role("progressbar")).to_be_visible()
    expect(fit.locator(f".tutorial-chart {pictures}")).to_have_count(2)
    for lie in ("left", "steps/s", "Error", "Loading", "not found"):
        expect(fit).not_to_contain_text(lie)


def test_a_page_that_is_opened_again_during_a_fit_shows_how_far_it_was(open_notebook) -> None:
    notebook = open_notebook(FOREVER)
    notebook.run()
    wait_for_a_snapshot(notebook)
    notebook.open()
    expect_the_last_state(notebook, "img")
    notebook.picture("reloaded_during_fit")
    (output,) = saved_outputs(notebook, 1)
    assert output.data.keys() == {"text/plain", "text/html"}
    restart(notebook)


def test_after_a_restart_during_a_fit_no_time_is_left(open_notebook) -> None:
    notebook = open_notebook(FOREVER)
    notebook.run()
    wait_for_a_snapshot(notebook)
    restart(notebook)
    expect_the_last_state(notebook, "svg, .tutorial-chart img")
    notebook.picture("restarted_during_fit")
    notebook.do("docmanager:save")
    notebook.page.wait_for_timeout(500)
    notebook.open()
    expect_the_last_state(notebook, "img")


# ---- a fit elsewhere than in a cell's own output


def test_a_fit_in_an_output_in_interact_and_by_a_button(open_notebook) -> None:
    """Live and at the end, also in a page that is loaded again, as long as there is the kernel."""
    notebook = open_notebook(
        "import ipywidgets\n"
        "out = ipywidgets.Output()\n"
        "display(out)\n"
        "with out:\n"
        "    history = model.fit(some, some, epochs=6)\n"
        "    print('after it')",
        "@ipywidgets.interact(epochs=(1, 9))\n"
        "def train(epochs=2):\n"
        "    model.fit(some, epochs=epochs)",
        "button, place = ipywidgets.Button(description='train'), ipywidgets.Output()\n"
        "@place.capture()\n"
        "def train(_):\n"
        "    model.fit(some, epochs=40)\n"
        "button.on_click(train)\n"
        "display(button, place)",
    )
    notebook.run()
    output, interact, button = (notebook.output(cell).first for cell in (1, 2, 3))
    expect(output).to_contain_text("epoch 6/6: loss", timeout=60_000)
    expect(output).to_contain_text("after it")
    expect(interact).to_contain_text("epoch 2/2: loss", timeout=60_000)
    notebook.page.wait_for_function(READY, timeout=60_000)
    track = interact.locator(".noUi-target")
    track.click(position={"x": track.bounding_box()["width"] - 2, "y": 2})
    expect(interact).to_contain_text("epoch 9/9: loss", timeout=60_000)
    expect(interact).not_to_contain_text("/2")
    button.get_by_role("button", name="train").click()
    expect(button.locator(".tutorial-chart svg")).to_have_count(2, timeout=60_000)  # alive
    expect(button).to_contain_text("epoch 40/40: loss", timeout=60_000)
    shown = ((output, "epoch 6/6"), (interact, "epoch 9/9"), (button, "epoch 40/40"))
    for place, _ in shown:
        expect(place.locator(".tutorial-chart img")).to_have_count(2)
    notebook.picture("elsewhere")
    notebook.do("docmanager:save")
    notebook.page.wait_for_timeout(1000)
    notebook.open()
    for place, told in shown:
        expect(place).to_contain_text(told, timeout=60_000)
        expect(place).not_to_contain_text("not finished")


def test_a_fit_in_a_thread(open_notebook) -> None:
    notebook = open_notebook(
        "model.fit(some, verbose=0)\n"
        "import threading\n"
        "threading.Thread(target=model.fit, args=(some,), kwargs={'epochs': 60}).start()",
    )
    notebook.run()
    expect(notebook.output(1).locator(".tutorial-chart svg")).to_have_count(2, timeout=60_000)
    expect(notebook.output(1)).to_contain_text("epoch 60/60: loss", timeout=60_000)
    expect(notebook.output(1).locator(".tutorial-chart img")).to_have_count(2)


def test_a_loss_that_becomes_nan_is_a_failure_that_is_marked(open_notebook) -> None:
    notebook = open_notebook(
        "rate = torch.optim.SGD(model.parameters(), lr=1e30)\n"
        "model.prepare(rate, nn.CrossEntropyLoss(), tl.metrics.Accuracy())\n"
        "history = model.fit(some, epochs=30)"
    )
    notebook.run()
    fit = notebook.output(1)
    expect(fit).to_contain_text("failed, the loss is nan from step", timeout=60_000)
    expect(fit).not_to_contain_text("JSON")
    expect(fit.get_by_role("img", name=re.compile("; nan from step"))).to_be_visible()
    notebook.picture("nan")


# ---- outputs elsewhere


def test_outputs_live_on_in_a_web_page_without_a_network(chromium, server, tmp_path) -> None:
    """nbconvert's page, and the bare HTML of an output: both load, and ask nobody for anything."""
    source = Path(server.folder) / "page.ipynb"
    server.write("page.ipynb", SETUP, "history = model.fit(some, some, epochs=2)")
    attended = (
        "from nbclient import NotebookClient as C\n"
        "import nbformat, sys\n"
        "class Attended(C):\n"
        "    async def async_start_new_kernel_client(self):\n"
        "        client = await super().async_start_new_kernel_client()\n"
        "        client.allow_stdin = True\n"
        "        return client\n"
        "notebook = nbformat.read(sys.argv[1], as_version=4)\n"
        "Attended(notebook, record_timing=False).execute()\n"
        "nbformat.write(notebook, sys.argv[1])\n"
    )
    subprocess.run([sys.executable, "-c", attended, source], check=True)
    convert = [sys.executable, "-m", "nbconvert", "--to", "html", "--embed-images"]
    subprocess.run([*convert, str(source)], check=True, capture_output=True)
    output = nbformat.read(source, as_version=4).cells[1].outputs[-1]
    assert output.data.keys() == {"text/plain", "text/html"}
    bare = tmp_path / "bare.html"
    bare.write_text(f"<!doctype html><title>t</title>{output.data['text/html']}", encoding="utf-8")
    for path in (source.with_suffix(".html"), bare):
        for scheme, width in (("light", 1000), ("dark", 360)):
            page = chromium.new_page(
                viewport={"width": width, "height": 700}, color_scheme=scheme, offline=True
            )
            page.goto(path.as_uri())
            images = page.get_by_role("img", name=re.compile("up to"))
            expect(images).to_have_count(2)
            for image in images.all():
                assert image.evaluate("image => image.complete && image.naturalWidth > 0")
                assert image.bounding_box()["width"] <= width
            page.screenshot(path=PICTURES / f"{path.stem}_{scheme}_{width}.png")
            page.close()


def test_where_jupyterlab_does_not_trust_a_file_the_curves_are_shown(chromium, server) -> None:
    """A file from somebody else: scripts, styles and inline SVG are taken out of it."""
    server.write("made.ipynb", SETUP)
    notebook = nbformat.read(server.folder / "made.ipynb", as_version=4)
    fit = NotebookDisplay()
    fit.text = "epoch 1/2, step 3/9: loss 1.5000"
    fit.curves.add_losses([2.0, 1.5, 1.0])
    fit.curves.add_row({"epoch": 1, "loss": 1.5})
    data = fit.forms("unfinished")
    notebook.cells[0].outputs = [nbformat.v4.new_output("display_data", data)]
    nbformat.write(notebook, server.folder / "made.ipynb")
    page = chromium.new_page()
    page.goto(f"{server.address}lab/tree/made.ipynb?reset")
    image = page.get_by_role("img", name=re.compile("loss up to step 3"))
    expect(image).to_be_visible(timeout=60_000)
    assert image.evaluate("image => image.naturalWidth > 0")
    output = page.locator(".jp-OutputArea")
    expect(output).to_contain_text("epoch 1/2, step 3/9: loss 1.5000 not finished")
    expect(output.get_by_role("cell", name="1.5000")).to_be_visible()
    page.close()


# ---- a program at its depths


def test_the_depth_of_a_program_is_chosen_where_the_notebook_has_keys_of_its_own(
    open_notebook,
) -> None:
    notebook = open_notebook('model.unroll("fit", some)', "x = 3")
    notebook.run()
    output = notebook.output(1)
    loop = output.get_by_role("radio", name="loop")
    loop.focus(timeout=60_000)
    for depth in ("optimizer", "gradients"):
        notebook.page.keyboard.press("ArrowDown")  # a shortcut of the notebook, elsewhere
        expect(output.get_by_role("radio", name=depth)).to_be_checked()
        expect(output.get_by_role("radio", name=depth)).to_be_focused()
        expect(output.locator("section:visible")).to_have_attribute("data-depth", depth)
    output.locator('[data-depth="gradients"]').get_by_text("d_W_3 = ").click()
    lines = output.get_by_role("listbox", name="the lines of gradients")
    lines.focus()
    notebook.page.keyboard.press("ArrowUp")
    chosen = lines.locator(f"#{lines.get_attribute('aria-activedescendant')}")
    expect(chosen).to_contain_text("d_x_2 = ")
    expect(output.locator('[data-depth="loop"] .lit')).to_contain_text("loss.backward()")
    notebook.picture("depths")


def test_where_jupyterlab_does_not_trust_a_file_the_programs_are_below_each_other(
    chromium, server
) -> None:
    model = tl.Model(torch.nn.Linear(8, 3))
    model.prepare(torch.optim.SGD(model.parameters(), lr=0.1), torch.nn.CrossEntropyLoss())
    program = model.unroll("train_batch", torch.randn(4, 8), torch.arange(4) % 3)
    server.write("programs.ipynb", SETUP)
    notebook = nbformat.read(server.folder / "programs.ipynb", as_version=4)
    data = {"text/plain": repr(program), "text/html": program._repr_html_()}
    notebook.cells[0].outputs = [nbformat.v4.new_output("display_data", data)]
    nbformat.write(notebook, server.folder / "programs.ipynb")
    page = chromium.new_page()
    page.goto(f"{server.address}lab/tree/programs.ipynb?reset")
    output = page.locator(".jp-OutputArea")
    for line in ("loss.backward()", "weight.add_(gradient, alpha=-0.1)", "d_W = d_y_hat.T @ x"):
        expect(output.get_by_text(line).first).to_be_visible(timeout=60_000)
    expect(output.get_by_role("radio")).to_have_count(0)
    PICTURES.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=PICTURES / "lab_programs_untrusted.png")
    page.close()


# ---- draw a digit


def test_a_digit_is_drawn_and_the_kernel_says_what_it_is(open_notebook) -> None:
    notebook = open_notebook("model.fit(some, epochs=5, verbose=0)\ntl.DrawDigit(model, transform)")
    notebook.run()
    widget = notebook.output(1)
    status = widget.get_by_role("status")
    expect(status).to_have_text("Draw a digit, or choose one", timeout=60_000)
    notebook.page.wait_for_function(READY, timeout=60_000)
    widget.get_by_role("button", name="Example 0").click()
    expect(status).to_contain_text("This looks like a 0", timeout=20_000)
    widget.get_by_role("button", name="Clear").click()
    expect(status).to_have_text("Draw a digit, or choose one")

    paper = widget.get_by_role("img", name=re.compile("Paper"))
    paper.scroll_into_view_if_needed()
    box = paper.bounding_box()
    mouse, middle = notebook.page.mouse, box["x"] + box["width"] / 2
    mouse.move(middle, box["y"] + 30)
    mouse.down()
    mouse.move(middle - 8, box["y"] + box["height"] - 30, steps=20)
    mouse.up()
    expect(status).to_contain_text("This looks like a 1", timeout=20_000)
    notebook.picture("drawn")


# ---- dark


@pytest.mark.parametrize("theme", ["JupyterLab Light", "JupyterLab Dark"])
def test_the_curves_read_well_in_both_themes(open_notebook, theme) -> None:
    notebook = open_notebook("history = model.fit(some, some, epochs=2)")
    notebook.page.wait_for_function(READY, timeout=60_000)
    notebook.page.evaluate(
        "theme => window.jupyterapp.commands.execute('apputils:change-theme', { theme })", theme
    )
    notebook.run()
    expect(notebook.output(1)).to_contain_text("epoch 2/2: loss", timeout=120_000)
    notebook.page.wait_for_timeout(500)
    kind = theme.split()[-1].lower()
    notebook.picture(kind)
    page = notebook.page.locator(".jp-Notebook").evaluate(
        "e => getComputedStyle(e).backgroundColor"
    )
    ground = "#" + "".join(f"{int(number):02x}" for number in re.findall(r"\d+", page)[:3])
    assert contrast(TEXT[kind], ground) > 4.5
    for color in (RED, *(look[0] for look in LOOKS.values())):
        assert contrast(color, ground) > 3
    image = notebook.output(1).get_by_role("img", name=re.compile("loss up to step"))
    assert TEXT[kind] in colors_of(image.screenshot())  # inside of an image, too


def colors_of(png: bytes) -> set[str]:
    """The colours of a picture."""
    with Image.open(io.BytesIO(png)) as picture:
        found = picture.convert("RGB").getcolors(maxcolors=2**24)
    return {"#" + "".join(f"{part:02x}" for part in color) for _, color in found}


def contrast(one: str, other: str) -> float:
    """The contrast of two colours, from 1 to 21: https://www.w3.org/TR/WCAG21/#dfn-contrast-ratio."""

    def luminance(color: str) -> float:
        parts = [int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


# ---- %%unroll


def test_a_cell_is_unrolled_side_by_side_and_into_the_next_cell(open_notebook) -> None:
    notebook = open_notebook(
        "%load_ext tutorial",
        "%%unroll --diff\nresult = model.evaluate(some, batch_size=500)",
        "%%unroll --insert\nresult = model.evaluate(some, batch_size=500)",
    )
    notebook.run()
    shown = notebook.output(2)
    expect(shown).to_contain_text("with torch.no_grad():", timeout=60_000)
    expect(shown).to_contain_text("result = model.evaluate(some, batch_size=500)")
    cells = notebook.page.locator(".jp-Notebook .jp-CodeCell")
    expect(cells).to_have_count(5, timeout=20_000)
    expect(cells.nth(4)).to_contain_text("tl.Batches(some, batch_size=500)")
    notebook.picture("unrolled")
