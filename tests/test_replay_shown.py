"""How a replay looks: its HTML and text, its player in a real browser, and the widget."""

import base64
import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from html import unescape
from pathlib import Path
from typing import Any

import nbformat
import pytest
import torch
from browser import PICTURES, READY, SETUP
from torch import nn
from torch.utils.data import TensorDataset
from traitlets import TraitError

import tutorial as tl
from tutorial.display.replay import STYLE, in_words, page, text
from tutorial.display.widgets.replay import ReplayPlayer

IMAGES = TensorDataset(torch.rand(24, 1, 6, 6), torch.arange(24) % 3)


LOOP = """
for i in range(0, 24, 8):
    x, y = train_data[i : i + 8]
    loss = loss_fn(network(x), y[:SHORT])
    loss.backward()
"""


def recorded(depth: str = "loop", loop: str | None = None) -> dict[str, Any]:
    """Two steps of a small network that reads images."""
    tl.seed(0)
    layers = [nn.Flatten(), nn.Linear(36, 8), nn.ReLU(), nn.Linear(8, 3)]
    model = tl.Model(nn.Sequential(*layers))
    model.prepare(torch.optim.SGD(model.parameters(), lr=0.1), nn.CrossEntropyLoss())
    program = model.unroll("fit", IMAGES, batch_size=8, depth=depth, loop=loop)
    recording: dict[str, Any] = program.replay(steps=2).recording
    return recording


def failed() -> dict[str, Any]:
    """A loop of one's own, in which the loss gets too few labels."""
    return recorded(loop=LOOP.replace("SHORT", "3"))


@pytest.fixture(scope="module")
def recording() -> dict[str, Any]:
    return recorded()


def moment(line: int, gone: tuple[str, ...] = (), **values: int) -> dict[str, Any]:
    return {"line": line, "epoch": 0, "step": 0, "set": values, "gone": [*gone], "weights": False}


def small(*values: dict[str, Any], lines: str = "x = f()") -> dict[str, Any]:
    """A recording of a line for each value, by hand."""
    moments = [moment(1), *(moment(1, x=i) for i in range(len(values)))]
    named = {"title": "f()", "lines": lines.splitlines(), "error": None, "cut": ""}
    return {**named, "moments": moments, "values": [*values]}


def tensor(kind: str, width: int, height: int, levels: list[int], **more: Any) -> dict[str, Any]:
    """A value with a picture from -1 to 1."""
    tile = {"kind": kind, "width": width, "height": height, "count": 1, "channels": 1}
    picture = {**tile, "low": -1.0, "high": 1.0, "coarse": False, **more}
    picture["data"] = base64.b64encode(bytes(levels)).decode()
    known = {"type": "tensor", "shape": [height, width], "dtype": "float32", "nan": 0}
    return {**known, "mean": 0.0, "min": -1.0, "max": 1.0, "picture": picture}


def told(recording: dict[str, Any]) -> dict[str, str]:
    """What each line changed, when it was run the last time."""
    return {code: change for _, code, change in in_words(recording)}


# ---- in words


def test_each_line_is_told_with_what_it_changed(recording) -> None:
    found = told(recording)
    assert found["y_hat = network(x)"] == "changes y_hat (8, 3)"
    weights = "network.1.weight, network.1.bias, network.3.weight, network.3.bias"
    assert found["loss.backward()"] == f"makes the gradients of {weights}"
    assert found["optimizer.zero_grad()"] == f"removes the gradients of {weights}"
    assert found["optimizer.step()"].startswith("changes network.1.weight (8, 36), network.1.bias ")
    assert found["rows = []"] == "makes rows = []"


def test_of_many_names_the_first_are_told() -> None:
    values = [{"type": "number", "text": str(i)} for i in range(9)]
    recording = small(*values)
    recording["moments"] = [moment(1, **{f"x{i}": i for i in range(9)})]
    assert told(recording)["x = f()"] == (
        "begins with x0 = 0, x1 = 1, x2 = 2, x3 = 3, x4 = 4, x5 = 5, 3 more"
    )


def test_as_text_it_is_a_short_table(recording) -> None:
    lines = text(recording).splitlines()
    assert lines[0] == f"Replay of {recording['title']}"
    assert re.fullmatch(r" *\d+  loss = loss_fn\(y_hat, y\) +makes loss = [\d.]+", lines[10])
    assert lines[-2:] == [
        f"... {len(recording['moments']) - 20} more",
        "Recorded until step 2 was done.",
    ]
    assert len(lines) == 23


def test_an_error_is_told_with_the_shapes_there() -> None:
    *_, (_, code, change) = in_words(failed())
    assert code == "loss = loss_fn(network(x), y[:3])"
    error, *_, shapes = change.splitlines()
    assert error.startswith("ValueError: Expected input batch_size (8)")
    assert shapes.startswith("The shapes there: x (8, 1, 6, 6), y (8,), network.1.weight (8, 36), ")
    assert shapes in text(failed())


# ---- the page


def test_it_holds_all_that_it_takes_and_is_the_same_every_time(recording) -> None:
    html = page(recording)
    assert html == page(recorded())
    assert "://" not in html
    assert not re.search(r"\n\s*\n", html)  # which would end it, as a part of Markdown
    assert not re.search(r"\bid=|\bsrc=|\bhref=|@import|url\(", html)


def test_where_nothing_may_run_it_reads_as_a_program_and_what_it_did(recording) -> None:
    html = re.sub(r"<(style|script).*?</\1>", "", page(recording), flags=re.DOTALL)
    read = unescape(re.sub(r"<[^>]*>", "", html))
    assert "\n".join(recording["lines"]) in read
    assert "loss.backward(): makes the gradients of network.1.weight" in read


def test_the_lessons_network_needs_little_room() -> None:
    tl.seed(0)
    layers = [nn.Flatten(), nn.Linear(784, 512), nn.ReLU(), nn.Dropout(0.2), nn.Linear(512, 10)]
    model = tl.Model(nn.Sequential(*layers))
    adam = torch.optim.Adam(model.parameters())
    model.prepare(adam, nn.CrossEntropyLoss(), tl.metrics.Accuracy())
    for depth in ("loop", "gradients"):
        program = model.unroll("fit", tl.datasets.MNIST("test"), depth=depth)
        assert len(page(program.replay(steps=2).recording).encode()) < 150_000


def contrast(a: str, b: str) -> float:
    """How well one colour reads on the other: WCAG's ratio, of which 4.5 are asked for."""

    def luminance(color: str) -> float:
        digits = color if len(color) == 7 else "#" + "".join(2 * digit for digit in color[1:])
        parts = (int(digits[i : i + 2], 16) / 255 for i in (1, 3, 5))
        linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    dark, light = sorted((luminance(a), luminance(b)))
    return (light + 0.05) / (dark + 0.05)


def test_each_colour_reads_well_in_both_themes() -> None:
    assert contrast("#000", "#ffffff") == pytest.approx(21)
    themes = [dict(re.findall(r"--(\w+): (#\w+);", block)) for block in STYLE.split("}")[:2]]
    assert themes[0].keys() == themes[1].keys()
    for theme in themes:
        for name in ("fg", "dim", "k", "s", "n"):
            for ground in ("bg", "lit"):
                assert contrast(theme[name], theme[ground]) >= 4.5, (name, ground)
        assert contrast(theme["bad"], theme["bg"]) >= 4.5
        for name in ("bar", "edge"):  # of a line, 3 are asked for
            assert contrast(theme[name], theme["bg"]) >= 3


# ---- in a browser


@pytest.fixture
def play(chromium, tmp_path) -> Iterator[Callable[..., Any]]:
    """A page with some recordings' players, without a network."""
    opened: list[Any] = []
    wrong: list[str] = []

    def open_page(*recordings: dict[str, Any], width: int = 1000, scripts: bool = True) -> Any:
        path = tmp_path / f"{len(opened)}.html"
        head = "<!doctype html><html lang=en><meta charset=utf-8><title>t</title>"
        players = "".join(page(recording) for recording in recordings)
        path.write_text(f"{head}<main><h1>t</h1>{players}</main>", encoding="utf-8")
        shown = chromium.new_page(
            viewport={"width": width, "height": 900}, offline=True, java_script_enabled=scripts
        )
        shown.on("pageerror", lambda error: wrong.append(str(error)))
        shown.on("request", lambda asked: asked.url == path.as_uri() or wrong.append(asked.url))
        shown.goto(path.as_uri())
        opened.append(shown)
        return shown

    yield open_page
    for shown in opened:
        shown.close()
    assert wrong == []


class Player:
    """A player, as a person sees it."""

    def __init__(self, page: Any, number: int = 0) -> None:
        self.page = page
        self.root = page.locator(".tutorial-replay").nth(number)

    def press(self, name: str) -> None:
        self.root.get_by_role("button", name=name, exact=True).click()

    def can(self, name: str) -> bool:
        return self.root.get_by_role("button", name=name).get_attribute("aria-disabled") == "false"

    @property
    def at(self) -> int:
        """Its place, from 0, as the slider says."""
        return int(self.root.get_by_role("slider").input_value())

    @property
    def line(self) -> str:
        [line] = self.root.locator('.l[aria-current="true"]').all_text_contents()
        return line.partition("  #")[0].strip()

    @property
    def said(self) -> str:
        return self.root.get_by_role("status").inner_text()

    @property
    def names(self) -> dict[str, str]:
        """The names that are to be seen, with all that is said of them."""
        return self.cells(".cell", "cell => cell.innerText")

    @property
    def lit(self) -> dict[str, str]:
        """What is lit up, and the word beside it."""
        return self.cells(".cell.lit", "cell => cell.querySelector('em').innerText")

    def cells(self, which: str, read: str) -> dict[str, str]:
        pairs = (
            f"cells => cells.map(cell => [cell.querySelector('button').innerText, ({read})(cell)])"
        )
        return dict(self.root.locator(f"{which}:visible").evaluate_all(pairs))

    def go(self, line: str) -> None:
        """To the next time that this line was run."""
        recording = json.loads(self.root.locator('[type="application/json"]').text_content())
        codes = [code.partition("  #")[0].strip() for code in recording["lines"]]
        moments = enumerate(recording["moments"])
        at = next(i for i, m in moments if i > self.at and codes[m["line"] - 1] == line)
        self.root.evaluate("(root, at) => root.go(at)", at)
        assert self.line == line


def test_it_goes_forward_and_back_by_button_and_by_key(play, recording) -> None:
    player = Player(play(recording))
    first = recording["lines"][recording["moments"][0]["line"] - 1]
    assert (player.at, player.line) == (0, first.partition("  #")[0].strip())
    assert player.lit == {}  # all is there, nothing has changed
    assert not player.can("Back")
    seen = [player.names]
    while player.can("Forward"):
        player.page.keyboard.press("ArrowRight") if player.at else player.press("Forward ▶")
        seen.append(player.names)
    assert len(seen) == len(recording["moments"])
    for names in reversed(seen):
        assert player.names == names
        player.page.keyboard.press("ArrowLeft")
    assert player.at == 0


def test_what_a_line_changed_is_lit_up_and_said(play, recording) -> None:
    player = Player(play(recording))
    player.go("y_hat = network(x)")
    assert player.lit == {"y_hat": "new"}
    player.go("loss.backward()")
    gradients = [f"network.{i}.{kind}.grad" for i in (1, 3) for kind in ("weight", "bias")]
    assert player.lit == dict.fromkeys(gradients, "new")
    assert re.fullmatch(
        r"line \d+, loss\.backward\(\): makes the gradients of network\.1\.weight, .*", player.said
    )
    player.go("optimizer.step()")
    assert player.lit == {name.removesuffix(".grad"): "changed" for name in gradients}
    assert re.search(r"moved by [\d.]+, [\d.]+\s%", player.names["network.1.weight"])
    player.go("optimizer.zero_grad()")
    assert player.lit == dict.fromkeys(gradients, "removed")
    player.press("Forward ▶")
    assert not player.names.keys() & {*gradients}


def test_a_value_is_told_with_shape_type_mean_smallest_and_largest(play, recording) -> None:
    player = Player(play(recording))
    player.go("loss = loss_fn(y_hat, y)")
    tl.seed(0)
    network = nn.Sequential(nn.Flatten(), nn.Linear(36, 8), nn.ReLU(), nn.Linear(8, 3))
    weight = network[1].weight
    mean, low, high = (f"{n.item():.4g}" for n in (weight.mean(), weight.min(), weight.max()))
    words = player.names["network.1.weight"].split()
    assert " ".join(words[1:]) == f"(8, 36) float32 mean {mean} min {low} max {high}"
    assert re.fullmatch(r"loss\s+new\s+[\d.]+", player.names["loss"])


def test_the_slider_goes_anywhere_and_says_where(play, recording) -> None:
    player = Player(play(recording))
    slider = player.root.get_by_role("slider", name="line that was run")
    slider.focus()
    for key, at in (("End", len(recording["moments"]) - 1), ("Home", 0), ("ArrowRight", 1)):
        player.page.keyboard.press(key)
        assert player.at == at
        assert player.line in player.said
    player.page.keyboard.press("End")
    count = len(recording["moments"])
    said = slider.get_attribute("aria-valuetext")
    assert said.endswith(f"epoch 1, step 2, {count} of {count} lines that were run")


def test_it_jumps_to_the_next_batch_and_to_the_next_change_of_a_weight(play, recording) -> None:
    player = Player(play(recording))
    batch, weight = "To the next batch", "To the next line that changes a weight"
    for place in ("epoch 1, step 1", "epoch 1, step 2"):
        player.press(batch)
        assert player.line.startswith("for step, (x, y) in enumerate(")
        assert place in player.root.inner_text()
        player.press(weight)
        assert player.line == "optimizer.step()"
    assert not player.can(batch)
    assert not player.can(weight)
    at = player.at
    player.root.get_by_role("button", name=weight).focus()
    player.page.keyboard.press("Enter")  # it keeps the focus, and does nothing
    assert player.at == at


def test_a_name_is_followed_through_the_steps(play, recording) -> None:
    player = Player(play(recording))
    label = player.root.get_by_role("button", name="network.3.bias", exact=True)
    label.focus()
    player.page.keyboard.press("Enter")
    assert label.get_attribute("aria-pressed") == "true"
    strip = player.root.get_by_role("region", name="one name through the steps")
    stops = strip.get_by_role("listitem").get_by_role("button")
    assert "network.3.bias changes at 3 moments" in strip.inner_text()
    assert stops.locator("canvas").count() == 3
    line = 1 + next(i for i, code in enumerate(recording["lines"]) if "optimizer.step()" in code)
    assert f"epoch 1, step 2, line {line}" in stops.nth(2).inner_text()
    stops.nth(2).click()
    assert player.line == "optimizer.step()"
    assert stops.nth(2).get_attribute("aria-current") == "true"
    player.page.keyboard.press("ArrowLeft")  # after the first change, before the second
    assert stops.nth(1).get_attribute("aria-current") == "true"
    strip.get_by_role("button", name="Stop following").click()
    assert not strip.is_visible()
    assert label.evaluate("label => label === document.activeElement")
    assert label.get_attribute("aria-pressed") == "false"


def test_two_players_do_not_disturb_each_other(play, recording) -> None:
    page = play(recording, recording)
    first, second = Player(page), Player(page, 1)
    first.press("Forward ▶")
    first.press("network.1.bias")
    assert (first.at, second.at) == (1, 0)
    assert not second.root.get_by_role("region").is_visible()
    second.press("To the next batch")
    page.keyboard.press("ArrowRight")
    assert first.at == 1
    assert page.locator("[id]").count() == 0


def test_keys_outside_of_it_and_with_alt_are_not_its_own(play, recording) -> None:
    player = Player(play(recording))
    player.page.keyboard.press("ArrowRight")
    player.root.get_by_role("button", name="Forward").focus()
    player.page.keyboard.press("Alt+ArrowRight")
    assert player.at == 0
    player.page.keyboard.press("ArrowRight")
    assert player.at == 1


def test_backward_goes_through_ones_own_layers(play) -> None:
    player = Player(play(recorded("gradients")))
    for line in ("d_x_2 = d_y_hat @ W_3", "d_W_3 = d_y_hat.T @ x_2", "d_W_1 = d_x_1.T @ x_0"):
        player.go(line)
        name = line.partition(" ")[0]
        assert player.lit == {name: "new"}
        gradient, value = (
            player.root.get_by_role("button", name=each, exact=True).bounding_box()
            for each in (name, name.removeprefix("d_"))
        )
        assert gradient["y"] == value["y"]
        assert gradient["x"] > value["x"] + 100
        box = player.root.get_by_role("group", name="the names and their values").bounding_box()
        assert box["y"] <= gradient["y"] < box["y"] + box["height"]  # it was brought into view
        current = player.root.locator('.l[aria-current="true"]').bounding_box()
        program = player.root.get_by_role("group", name="the program").bounding_box()
        assert program["y"] <= current["y"] < program["y"] + program["height"]


def test_an_error_ends_it_at_its_line(play) -> None:
    player = Player(play(failed()))
    player.root.get_by_role("slider").focus()
    player.page.keyboard.press("End")
    assert player.line == "loss = loss_fn(network(x), y[:3])"
    assert "ValueError: Expected input batch_size (8)" in player.said
    assert "x (8, 1, 6, 6), y (8,), network.1.weight (8, 36)" in player.said
    assert player.root.locator(".l.error").count() > 0
    assert not player.can("Forward")
    player.page.keyboard.press("ArrowLeft")
    assert player.line == "x, y = train_data[i : i + 8]"
    assert "ValueError" not in player.said


PIXEL = """([at, x, y]) => {
    const canvas = document.querySelectorAll("canvas")[at];
    return [...canvas.getContext("2d").getImageData(x, y, 1, 1).data];
}"""


def test_pictures_have_the_colours_of_their_numbers(play) -> None:
    grey = tensor("images", 2, 1, [0, 254])
    color = tensor("images", 1, 1, [254, 0, 127], channels=3)
    signs = tensor("matrix", 4, 1, [0, 127, 254, 255])
    tiles = tensor("maps", 1, 1, [0, 254], count=2)
    bars = tensor("bars", 2, 1, [0, 254])
    page = play(small(grey), small(color), small(signs), small(tiles), small(bars))
    for number in range(5):
        Player(page, number).press("Forward ▶")
    blue, orange, purple = [33, 102, 209, 255], [200, 90, 10, 255], [200, 0, 200, 255]
    expected = {
        (0, 0, 0): [0, 0, 0, 255],
        (0, 1, 0): [255, 255, 255, 255],
        (1, 0, 0): [255, 0, 128, 255],
        (2, 0, 0): blue,
        (2, 1, 0): [0, 0, 0, 0],  # 0 has no colour
        (2, 2, 0): orange,
        (2, 3, 0): purple,  # not finite
        (3, 0, 0): blue,
        (3, 2, 0): orange,  # the next tile, after a gap
        (4, 2, 30): blue,  # from the middle down
        (4, 2, 10): [0, 0, 0, 0],
        (4, 14, 10): orange,  # and up
    }
    for place, pixel in expected.items():
        assert page.evaluate(PIXEL, [*place]) == pytest.approx(pixel, abs=1), place


def test_a_picture_is_described_and_what_is_not_finite_is_counted(play) -> None:
    value = tensor("matrix", 2, 1, [0, 255], coarse=True) | {"nan": 3, "mean": "nan", "max": "inf"}
    player = Player(play(small(value)))
    player.press("Forward ▶")
    assert "mean nan" in player.names["x"]
    assert "max inf" in player.names["x"]
    assert "3 NaN or infinite" in player.names["x"]
    image = player.root.get_by_role("img")
    assert image.get_attribute("aria-label") == (
        "heat map of 1 by 2 cells, each the mean of several numbers"
    )


def test_a_text_cannot_become_markup(play) -> None:
    evil = "</script><img src=x onerror=window.hit=1>"
    recording = small({"type": "text", "text": evil}, lines=f"x = '{evil}'")
    recording["moments"][1]["set"] = {evil: 0, "constructor": 0}
    page = play({**recording, "title": evil, "cut": evil})
    player = Player(page)
    player.press("Forward ▶")
    assert player.lit == {evil: "new", "constructor": "new"}
    player.press("constructor")
    assert page.locator("img[src]").count() == 0
    assert page.evaluate("() => window.hit") is None


def test_without_a_script_program_and_words_can_be_read(play, recording) -> None:
    page = play(recording, scripts=False)
    assert page.get_by_text("makes the gradients of network.1.weight").first.is_visible()
    assert page.get_by_text("Recorded until step 2 was done.").is_visible()


@pytest.mark.parametrize("width", [360, 700, 1400])
@pytest.mark.parametrize("depth", ["loop", "gradients"])
def test_it_has_room_in_each_page(play, recording, width: int, depth: str) -> None:
    page = play(recording if depth == "loop" else recorded(depth), width=width)
    player = Player(page)
    player.go("optimizer.step()" if depth == "loop" else "d_W_3 = d_y_hat.T @ x_2")
    player.press("y_hat")
    program, names = (
        player.root.get_by_role("group", name=name).bounding_box()
        for name in ("the program", "the names and their values")
    )
    assert (program["y"] == names["y"]) == (width == 1400)
    assert page.evaluate("document.documentElement.scrollWidth") == width
    buttons = [each.bounding_box() for each in player.root.get_by_role("button").all()]
    assert min(box["height"] for box in buttons if box) >= 24  # for fingers
    PICTURES.mkdir(parents=True, exist_ok=True)
    for theme in ("light", "dark"):
        page.evaluate("theme => { document.documentElement.dataset.theme = theme }", theme)
        page.screenshot(path=PICTURES / f"replay_{depth}_{theme}_{width}.png")


# ---- the widget


def test_the_widget_shows_what_needs_no_widget(recording) -> None:
    player = ReplayPlayer(recording, moment=3)
    data, _ = player._repr_mimebundle_()
    assert data.keys() == {"text/plain", "text/html"}  # of which a saved notebook shows the latter
    assert data["text/html"] == page(recording, player._player, 3)
    assert data["text/plain"] == text(recording)
    assert repr(player) == repr(ReplayPlayer(recorded("gradients")))


def test_a_moment_is_in_the_recording(recording) -> None:
    player = ReplayPlayer(recording)
    last = len(recording["moments"]) - 1
    player.moment = last
    for moment in (-1, last + 1):
        with pytest.raises(TraitError, match=f"moment is {moment}, but a place from 0 to {last} "):
            player.moment = moment
    recording = {**small(), "error": {"line": 2, "text": "ValueError"}, "lines": ["f()", "g()"]}
    ReplayPlayer(recording).moment = 1  # the error's


def test_what_is_no_replay_is_refused() -> None:
    with pytest.raises(TypeError, match="recording is 'fit', but a Replay is expected"):
        ReplayPlayer("fit")


def test_python_drives_its_players_and_hears_of_their_moves(open_notebook) -> None:
    from playwright.sync_api import expect

    notebook = open_notebook(
        "import ipywidgets\n"
        "from tutorial.display.widgets.replay import ReplayPlayer\n"
        "program = model.unroll('fit', some)\n"
        "player = ReplayPlayer(program.replay(), moment=3)\n"
        "player",
        "ipywidgets.VBox([player])",
        "player.moment = 5",
        "program.replay()",
    )
    notebook.run()
    players = notebook.page.locator(".tutorial-replay")
    expect(players).to_have_count(3, timeout=60_000)
    notebook.page.wait_for_function(READY, timeout=60_000)
    driven, alone = [Player(notebook.page), Player(notebook.page, 1)], Player(notebook.page, 2)
    slider = driven[1].root.get_by_role("slider")
    expect(slider).to_have_value("5")
    assert [driven[0].at, alone.at] == [5, 0]
    driven[0].press("Forward ▶")
    notebook.page.keyboard.press("ArrowRight")  # a shortcut of the notebook, elsewhere
    expect(slider).to_have_value("7")
    for key in ("d", "d", "a", "ArrowDown"):
        notebook.page.keyboard.press(key)
    assert notebook.page.locator(".jp-Notebook .jp-Cell").count() == 5
    alone.press("Forward ▶")
    alone.press("To the next batch")
    assert "for step, (x, y) in enumerate(" in alone.line
    assert [player.at for player in driven] == [7, 7]
    notebook.picture("replay")
    notebook.end()  # saved, and without a kernel
    notebook.page.reload()
    expect(players.first).to_be_visible(timeout=60_000)
    reopened = Player(notebook.page)
    assert reopened.at == 3
    reopened.press("Forward ▶")
    assert reopened.at == 4


# ---- saved, exported, not trusted


def test_an_exported_notebook_plays_it_without_a_network(chromium, tmp_path, recording) -> None:
    bundle = {"text/plain": text(recording), "text/html": page(recording)}
    output = nbformat.v4.new_output("display_data", bundle)
    cell = nbformat.v4.new_code_cell("program.replay()", outputs=[output, output])
    source = tmp_path / "saved.ipynb"
    nbformat.write(nbformat.v4.new_notebook(cells=[cell]), source)
    convert = [sys.executable, "-m", "nbconvert", "--to", "html", "--embed-images", str(source)]
    subprocess.run(convert, check=True, capture_output=True)
    shown = chromium.new_page(offline=True)
    shown.goto(source.with_suffix(".html").as_uri())
    first, second = Player(shown), Player(shown, 1)
    first.press("To the next line that changes a weight")
    assert first.line == "optimizer.step()"
    assert second.at == 0
    PICTURES.mkdir(parents=True, exist_ok=True)
    shown.screenshot(path=PICTURES / "replay_exported.png")
    shown.close()


def test_where_jupyterlab_does_not_trust_a_file_it_can_be_read(chromium, server, recording) -> None:
    from playwright.sync_api import expect

    server.write("replay.ipynb", SETUP)
    path = Path(server.folder) / "replay.ipynb"
    notebook = nbformat.read(path, as_version=4)
    data = {"text/plain": text(recording), "text/html": page(recording)}
    notebook.cells[0].outputs = [nbformat.v4.new_output("display_data", data)]
    nbformat.write(notebook, path)
    shown = chromium.new_page()
    shown.goto(f"{server.address}lab/tree/replay.ipynb?reset")
    output = shown.locator(".jp-OutputArea")
    expect(output.get_by_text("makes the gradients of network.1.weight").first).to_be_visible(
        timeout=60_000
    )
    assert output.get_by_role("slider").count() == 0
    assert json.dumps(recording["moments"])[:60] not in output.inner_text()
    PICTURES.mkdir(parents=True, exist_ok=True)
    shown.screenshot(path=PICTURES / "lab_replay_untrusted.png")
    shown.close()
