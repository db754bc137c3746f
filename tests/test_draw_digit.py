"""Draw a digit: the Python side, and the ES module in a real browser."""

import base64
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from ipywidgets.embed import dependency_state, embed_data
from ipywidgets.widgets.widget import _remove_buffers
from torch import nn
from torchvision.transforms import Compose, Normalize, RandomRotation
from traitlets import TraitError

import tutorial as tl
from tutorial.display.widgets.digits import quantised
from tutorial.display.widgets.draw_digit import EXAMPLES, DrawDigit

TRANSFORM = Normalize(mean=[127.5], std=[127.5])
FILES = Path(tl.__file__).parent / "display/widgets"


def lesson_network(hidden: int = 512) -> nn.Sequential:
    return nn.Sequential(
        nn.Flatten(), nn.Linear(784, hidden), nn.ReLU(), nn.Dropout(0.2), nn.Linear(hidden, 10)
    )


@pytest.fixture(scope="module")
def test_data() -> tl.datasets.MNIST:
    return tl.datasets.MNIST("test", TRANSFORM)


@pytest.fixture(scope="module")
def model() -> tl.Model:
    """The lesson's network after one epoch: seconds, and it reads 95 % of the digits."""
    tl.set_device("cpu")
    tl.seed(0)
    model = tl.Model(lesson_network())
    model.prepare(torch.optim.Adam(model.parameters(), lr=1e-3), nn.CrossEntropyLoss())
    model.fit(tl.datasets.MNIST("train", TRANSFORM), verbose=0)
    return model


# ---- in Python


def test_the_probabilities_are_the_softmax_of_the_networks_scores(model, test_data) -> None:
    widget = DrawDigit(model, TRANSFORM)
    assert widget.probabilities == []
    for i in (0, 1, 2):
        widget.picture = test_data.data[i].numpy().tobytes()
        model.network.eval()
        expected = model.network(test_data.images[i : i + 1]).softmax(1)[0]
        torch.testing.assert_close(torch.tensor(widget.probabilities), expected)
    widget.picture = b""
    assert widget.probabilities == []


def test_it_answers_as_the_network_is_at_that_moment(test_data) -> None:
    network = lesson_network(4)
    widget = DrawDigit(network)
    widget.picture = test_data.data[0].numpy().tobytes()
    before = widget.probabilities
    with torch.no_grad():
        network[-1].bias[3] += 1000
    widget.picture = test_data.data[1].numpy().tobytes()
    assert widget.probabilities != before
    assert widget.probabilities[3] == pytest.approx(1)


def test_mode_and_chance_stay_as_they_were(test_data) -> None:
    network = lesson_network(8).train()
    network[3].eval()  # somebody's choice
    chance = torch.get_rng_state()
    widget = DrawDigit(network, RandomRotation(10))  # a transform that draws
    widget.picture = test_data.data[0].numpy().tobytes()
    assert [layer.training for layer in network] == [True, True, True, False, True]
    assert torch.equal(torch.get_rng_state(), chance)


def test_half_precision_networks_answer_too(test_data) -> None:
    network = lesson_network(8)
    widget = DrawDigit(network.bfloat16(), TRANSFORM)
    widget.picture = test_data.data[0].numpy().tobytes()
    assert sum(widget.probabilities) == pytest.approx(1)


def test_what_goes_wrong_later_is_said_in_the_widget(test_data) -> None:
    network = lesson_network(4)
    widget = DrawDigit(network)
    with torch.no_grad():
        network[1].weight.fill_(torch.nan)
    widget.picture = test_data.data[0].numpy().tobytes()
    assert widget.probabilities == []
    assert "not finite" in widget.problem


def test_the_examples_are_one_of_each_digit(test_data) -> None:
    assert test_data.targets[EXAMPLES].tolist() == list(range(10))
    examples = np.frombuffer(DrawDigit(lesson_network(4)).examples, np.uint8)
    assert np.array_equal(examples.reshape(10, 28, 28), test_data.data[EXAMPLES].numpy())


def test_it_prints_the_same_every_time() -> None:
    assert repr(DrawDigit(lesson_network(4))) == repr(DrawDigit(lesson_network(5)))


def test_a_picture_has_one_size() -> None:
    with pytest.raises(TraitError, match="picture has 5 bytes, but 28 \\* 28 = 784 are expected"):
        DrawDigit(lesson_network(4)).picture = bytes(5)


@pytest.mark.parametrize(
    ("model", "transform", "embed", "error", "said"),
    [
        ("LeNet", None, False, TypeError, "model is 'LeNet', but a tutorial.Model is expected"),
        (lesson_network(4), None, "no", ValueError, "embed is 'no', but True or False"),
        (nn.Linear(784, 10), None, False, ValueError, r"cannot take a picture.*\(1, 1, 28, 28\)"),
        (nn.Linear(28, 10), None, False, ValueError, r"gives a tensor of shape \(1, 1, 28, 10\)"),
        (nn.Flatten(), None, True, ValueError, r"shape \(1, 10\) is expected"),
        (tl.models.LeNet(), None, True, ValueError, "the network holds LeNet, but embed=True"),
        (
            nn.Sequential(nn.ReLU(), *lesson_network(4)),
            None,
            True,
            ValueError,
            r"begins with ReLU\(\), but",
        ),
        (lesson_network(4), RandomRotation(10), True, ValueError, "transform is RandomRotation"),
        (lesson_network(600), None, True, ValueError, "take 481 KB, but embed=True puts at most"),
    ],
)
def test_what_it_refuses(model, transform, embed, error, said) -> None:
    with pytest.raises(error, match=f"(?s){said}"):
        DrawDigit(model, transform, embed)


def test_eight_bits_are_the_network_up_to_rounding(test_data) -> None:
    """Worked out in NumPy from the bytes, as the page does it in JavaScript."""
    inner = nn.Sequential(nn.Linear(784, 16, bias=False), nn.ReLU())
    network = nn.Sequential(nn.Flatten(), inner, nn.Dropout(0.5), nn.Linear(16, 10)).eval()
    with torch.no_grad():
        inner[0].weight[5] = 0  # a row without a scale of its own
    transform = Compose([Normalize([100.0], [50.0]), Normalize([0.5], [2.0])])
    embedded = quantised(network, transform)
    assert [layer["kind"] for layer in embedded["layers"]] == ["linear", "relu", "linear"]

    x = test_data.data[:100].flatten(1).numpy() * embedded["scale"] + embedded["shift"]
    for layer in embedded["layers"]:
        if layer["kind"] == "relu":
            x = np.maximum(x, 0)
            continue
        scale, bias = (np.frombuffer(layer[name], "<f4") for name in ("scale", "bias"))
        weight = np.frombuffer(layer["weight"], np.int8).reshape(len(bias), -1)
        assert set(np.abs(weight).max(axis=1)) <= {0, 127}
        assert (scale > 0).all()
        x = x @ (weight * scale[:, None]).T + bias
    expected = network(transform(test_data.data[:100].unsqueeze(1).float())).detach().numpy()
    assert np.abs(x - expected).max() < 0.02 * np.abs(expected).max()


def test_the_lessons_network_fits_into_a_page(model) -> None:
    widget = DrawDigit(model, TRANSFORM, embed=True)
    layers = widget.embedded["layers"]
    weights = sum(len(part) for layer in layers for part in layer.values() if type(part) is bytes)
    saved = len(
        json.dumps(
            embed_data(
                [widget], drop_defaults=False, state=dependency_state([widget], drop_defaults=False)
            )
        )
    )
    print(f"weights {weights:,} bytes; as saved, all in all, {saved:,} bytes")
    assert weights <= 450_000
    assert saved < 4 / 3 * weights + 45_000  # a file of text: base64 takes 4 letters for 3 bytes


# ---- in a browser

PAGE = """
<!doctype html><html lang="en"><meta charset="utf-8"><title>Draw a digit</title>
<meta name="viewport" content="width=device-width"><link rel="stylesheet" href="draw_digit.css">
<style>:root { color-scheme: light dark } body { margin: 0 }</style><div id="here"></div>
<script type="module">
  import widget, { predict, toPicture, unpack } from "./draw_digit.js";

  class Model { // what anywidget hands to render: values that Python shares
    listeners = {};
    constructor(state) { this.state = state; }
    get(name) { return this.state[name]; }
    set(name, value) {
      this.state[name] = value;
      (this.listeners[`change:${name}`] ?? []).forEach((listener) => listener());
    }
    on(event, listener) { (this.listeners[event] ??= []).push(listener); }
    async save_changes() {
      if (!window.python || this.get("embedded").layers) return;
      const answer = await python([...bytes(this.get("picture"))]);
      for (const name in answer) this.set(name, answer[name]);
    }
  }
  const bytes = (view) => new Uint8Array(view.buffer, view.byteOffset, view.byteLength);
  const decoded = (text) => Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));

  window.show = ([state, paths, buffers]) => { // as ipywidgets puts a widget's state together
    paths.forEach((path, i) => {
      const holder = path.slice(0, -1).reduce((part, key) => part[key], state);
      holder[path.at(-1)] = new DataView(decoded(buffers[i]).buffer);
    });
    window.model = new Model(state);
    widget.render({ model, el: document.querySelector("#here") });
  };
  window.guesses = (text) => { // of many pictures
    const [network, pictures] = [unpack(model.get("embedded")), decoded(text)];
    const guesses = Array.from({ length: pictures.length / 784 }, (_, i) =>
      predict(network, pictures.slice(784 * i, 784 * (i + 1))));
    return JSON.stringify(guesses); // one text travels faster than many numbers
  };
  window.picture = () => [...bytes(model.get("picture"))];
  window.toPicture = (strokes) => [...toPicture(strokes)];
</script>
"""


@pytest.fixture
def shown(chromium: Any) -> Iterator[Callable]:
    """Opens a page with a widget; in the end makes sure that it asked for no file but its own."""
    asked_for: list[str] = []
    contexts: list[Any] = []

    def serve(route: Any) -> None:
        name = route.request.url.rsplit("/", 1)[-1]
        asked_for.append(route.request.url)
        if name in ("draw_digit.js", "draw_digit.css"):
            route.fulfill(path=FILES / name)
        else:
            route.fulfill(body=PAGE, content_type="text/html")

    def show(widget: DrawDigit, **options: Any) -> Any:
        size = {"width": options.pop("width", 700), "height": 760}
        contexts.append(chromium.new_context(viewport=size, **options))
        page = contexts[-1].new_page()
        page.on("pageerror", lambda error: pytest.fail(str(error)))
        page.route("**/*", serve)
        page.goto("http://page.test/")
        if not widget.embedded:

            def answer(picture: list[int]) -> dict[str, Any]:
                widget.picture = bytes(picture)
                return {"probabilities": widget.probabilities, "problem": widget.problem}

            page.expose_function("python", answer)
        state, paths, buffers = _remove_buffers(widget.get_state())
        page.evaluate("show", [state, paths, [base64.b64encode(b).decode() for b in buffers]])
        return page

    yield show
    for context in contexts:
        context.close()
    own = {f"http://page.test/{name}" for name in ("", "draw_digit.js", "draw_digit.css")}
    assert set(asked_for) == own


SEVEN = [(60, 60), (200, 60), (150, 140), (120, 230)]


def draw(page: Any, points: list[tuple[int, int]]) -> None:
    """With the mouse; points are in units of the paper, 280 x 280."""
    box = page.locator(".paper").bounding_box()
    at = [
        (box["x"] + x * box["width"] / 280, box["y"] + y * box["height"] / 280) for x, y in points
    ]
    page.mouse.move(*at[0])
    page.mouse.down()
    for place in at[1:]:
        page.mouse.move(*place, steps=8)
    page.mouse.up()


def status(page: Any) -> str:
    return page.get_by_role("status").inner_text()


def wait_for(page: Any, start: str = "This looks like") -> str:
    page.wait_for_function(
        f"document.querySelector('[role=status]').innerText.startsWith({start!r})"
    )
    page.wait_for_timeout(250)  # the last points of a stroke
    return status(page)


def probabilities(page: Any) -> list[float]:
    return page.evaluate("model.get('probabilities')")


@pytest.mark.slow
def test_the_page_reads_the_test_set_as_pytorch_does(model, test_data, shown) -> None:
    page = shown(DrawDigit(model, TRANSFORM, embed=True))
    pictures = base64.b64encode(test_data.data.numpy().tobytes()).decode()
    in_the_page = torch.tensor(json.loads(page.evaluate("guesses", pictures)))
    model.network.eval()
    with torch.no_grad():
        in_python = model.network(test_data.images).softmax(1)
    same = (in_the_page.argmax(1) == in_python.argmax(1)).double().mean()
    print(
        f"the same guess for {same:.2%}; largest difference of a probability:",
        f"{(in_the_page - in_python).abs().max():.4f}",
    )
    assert same >= 0.99
    assert (in_the_page - in_python).abs().mean() < 0.001


@pytest.mark.parametrize("embed", [True, False])
def test_it_predicts_while_one_draws(model, shown, embed) -> None:
    page = shown(DrawDigit(model, TRANSFORM, embed=embed))
    assert status(page) == "Draw a digit, or choose one"
    assert page.locator(".hint").is_visible()
    assert page.locator(".paper .print").is_hidden()
    draw(page, SEVEN)
    assert wait_for(page).startswith("This looks like a 7, ")
    assert page.locator(".hint").is_hidden()
    assert page.locator(".paper .print").is_hidden()  # the strokes alone
    first = page.evaluate("picture()")
    assert sum(probabilities(page)) == pytest.approx(1)
    draw(page, [(80, 150), (200, 150)])
    wait_for(page)
    assert page.evaluate("picture()") != first
    page.get_by_role("button", name="Clear").click()
    assert status(page) == "Draw a digit, or choose one"
    assert page.evaluate("picture()") == probabilities(page) == []
    assert page.locator("path").get_attribute("d") == ""
    draw(page, [(140, 50), (140, 230)])
    assert wait_for(page).startswith("This looks like a 1, ")


def test_a_finger_draws_and_a_second_one_does_not(model, shown) -> None:
    page = shown(DrawDigit(model, TRANSFORM, embed=True), has_touch=True, width=320)
    box = page.locator(".paper").bounding_box()
    touch = page.context.new_cdp_session(page)

    def send(kind: str, *points: tuple[int, int]) -> None:
        places = [
            {
                "x": box["x"] + x * box["width"] / 280,
                "y": box["y"] + y * box["height"] / 280,
                "id": i,
            }
            for i, (x, y) in enumerate(points)
        ]
        touch.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": places})

    send("touchStart", SEVEN[0])
    for point in SEVEN[1:]:
        send("touchMove", point)
    send("touchStart", SEVEN[-1], (20, 20))
    send("touchMove", SEVEN[-1], (20, 250))
    send("touchEnd")
    assert wait_for(page).startswith("This looks like a 7, ")
    assert sum(probabilities(page)) == pytest.approx(1)
    assert page.locator("path").get_attribute("d").count("M") == 1
    assert page.evaluate("scrollY") == 0


def test_the_keyboard_alone_is_enough(model, shown) -> None:
    page = shown(DrawDigit(model, TRANSFORM, embed=True))
    page.keyboard.press("Tab")  # to Clear
    said = []
    for digit in range(10):
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.ariaLabel") == f"Example {digit}"
        page.keyboard.press("Enter")
        said.append(status(page))
        row = page.locator("tr.best").inner_text().split()  # the answer once more, as a table
        assert said[-1].endswith(f"{row[0]}, {' '.join(row[1:])}")
    right = [f"looks like {'an' if d == 8 else 'a'} {d}, " in text for d, text in enumerate(said)]
    assert sum(right) >= 9, said
    for _ in range(10):
        page.keyboard.press("Shift+Tab")
    page.keyboard.press("Space")
    assert status(page) == "Draw a digit, or choose one"


def test_strokes_become_a_picture_as_mnist_was_made(model, test_data, shown) -> None:
    page = shown(DrawDigit(model, TRANSFORM, embed=True))
    large = np.array(SEVEN, dtype=float)

    def picture_of(points: np.ndarray) -> np.ndarray:
        return np.array(page.evaluate("toPicture", [points.tolist()])).reshape(28, 28)

    picture = picture_of(large)
    assert picture.max() == 255
    rows, columns = picture.max(1).nonzero()[0], picture.max(0).nonzero()[0]
    assert 20 <= max(np.ptp(rows), np.ptp(columns)) + 1 <= 21  # 20 pixels of ink, their edges soft
    centre = (picture.sum(1) @ np.arange(28), picture.sum(0) @ np.arange(28)) / picture.sum()
    theirs = test_data.data.double()
    theirs = theirs.sum(2) @ torch.arange(28.0).double() / theirs.sum((1, 2))
    assert centre == pytest.approx([theirs.mean().item()] * 2, abs=theirs.std().item())

    small_in_a_corner = picture_of(large * 0.6 + [100, 20])
    assert np.abs(small_in_a_corner - picture).max() <= 2
    dot = picture_of(np.array([[30.0, 30.0]]))
    assert 2 <= np.ptp(dot.max(1).nonzero()[0]) + 1 <= 4


def test_strokes_over_an_example_add_to_it(model, test_data, shown) -> None:
    page = shown(DrawDigit(model, TRANSFORM, embed=True))
    page.get_by_role("button", name="Example 3").click()
    three = test_data.data[EXAMPLES[3]].flatten().numpy()
    assert page.evaluate("picture()") == three.tolist()
    draw(page, [(20, 20), (20, 250)])
    wait_for(page)
    both = np.array(page.evaluate("picture()"))
    assert (both >= three).all()
    assert (both > three).reshape(28, 28)[:, :4].any()


def test_a_saved_page_shows_the_drawing_and_goes_on_from_it(model, test_data, shown) -> None:
    widget = DrawDigit(model, TRANSFORM)
    widget.picture = test_data.data[EXAMPLES[8]].numpy().tobytes()
    page = shown(widget)
    assert status(page).startswith("This looks like an 8, ")
    assert page.locator(".paper .print").is_visible()


def test_a_picture_from_python_is_shown_and_read(model, test_data, shown) -> None:
    page = shown(DrawDigit(model, TRANSFORM, embed=True))
    page.evaluate(
        "picture => model.set('picture', new DataView(new Uint8Array(picture).buffer))",
        test_data.data[EXAMPLES[4]].flatten().tolist(),
    )
    assert status(page).startswith("This looks like a 4, ")


def test_without_an_answer_it_says_why(shown) -> None:
    network = lesson_network(4)
    widget = DrawDigit(network)
    page = shown(widget)
    with torch.no_grad():
        network[1].weight.fill_(torch.nan)
    page.get_by_role("button", name="Example 3").click()
    assert "not finite" in wait_for(page, "the network's scores")
    page.evaluate("() => { window.python = () => new Promise(() => {}) }")  # a busy kernel
    page.get_by_role("button", name="Example 4").click()
    wait_for(page, "No answer: Python is busy")
    assert page.locator("tr.best").count() == 0  # nothing old is shown as if it were the answer


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [320, 1000])
def test_it_fits_the_page_and_reads_in_light_and_dark(model, shown, width, scheme) -> None:
    page = shown(DrawDigit(model, TRANSFORM, embed=True), width=width, color_scheme=scheme)
    page.get_by_role("button", name="Example 5").click()
    assert page.evaluate("document.documentElement.scrollWidth") == width
    seen = "getComputedStyle(document.querySelector('.tutorial-draw-digit'))"
    lights = [
        sum(map(int, page.evaluate(f"{seen}.{name}").strip("rgb()").split(",")))
        for name in ("color", "backgroundColor")
    ]
    assert (lights[0] < lights[1]) == (scheme == "light")
    assert abs(lights[0] - lights[1]) > 500  # of 765: ink is far from paper
    for button in page.get_by_role("button").all():
        box = button.bounding_box()
        assert min(box["width"], box["height"]) >= 44


# ---- where the kernel is gone


def exported(widget: Any, directory: Path) -> str:
    """The address of a page that nbconvert makes of a notebook as JupyterLab saves it."""
    nbconvert, nbformat = pytest.importorskip("nbconvert"), pytest.importorskip("nbformat")
    data, _ = widget._repr_mimebundle_()
    output = nbformat.v4.new_output("execute_result", data=data, execution_count=1)
    cell = nbformat.v4.new_code_cell("widget", outputs=[output], execution_count=1)
    html, _ = nbconvert.HTMLExporter().from_notebook_node(nbformat.v4.new_notebook(cells=[cell]))
    path = directory / "page.html"
    path.write_text(html, encoding="utf-8")
    return path.as_uri()


@pytest.fixture
def offline(chromium: Any) -> Iterator[Any]:
    """A page without a network."""
    context = chromium.new_context(viewport={"width": 700, "height": 760}, offline=True)
    page = context.new_page()
    page.on("pageerror", lambda error: pytest.fail(str(error)))
    yield page
    context.close()


def test_an_exported_page_predicts_with_the_embedded_network(model, offline, tmp_path) -> None:
    widget = DrawDigit(model, TRANSFORM, embed=True)
    offline.goto(exported(widget, tmp_path))
    offline.get_by_role("button", name="Example 5").click()
    assert status(offline).startswith("This looks like a 5, ")
    draw(offline, SEVEN)
    wait_for(offline)
    assert len((tmp_path / "page.html").read_bytes()) < 1_200_000  # nbconvert's own styles, too


def test_an_exported_page_says_what_it_takes_where_the_network_is_in_python(
    offline, tmp_path
) -> None:
    offline.goto(exported(DrawDigit(lesson_network(4)), tmp_path))
    assert "With embed=True it is in the page." in offline.locator("body").inner_text()


def test_without_a_script_there_is_a_sentence(model) -> None:
    """Such as in a notebook that nobody has trusted yet."""
    html = DrawDigit(model, TRANSFORM, embed=True)._repr_mimebundle_()[0]["text/html"]
    shown, script = html.split("<script>")
    assert (
        "<p>Draw a digit here: for that, this page must be allowed to run its script.</p>" in shown
    )
    assert script.count("</script>") == 1


CELLS = (
    """asks = tl.DrawDigit(network)
asks""",
    """alone = tl.DrawDigit(network, embed=True)
alone""",
)


def test_in_a_notebook_it_works_with_a_kernel_and_tells_what_is_left_without(open_notebook) -> None:
    notebook = open_notebook(
        *CELLS, "print(*(round(sum(x.probabilities), 3) for x in (asks, alone)))"
    )
    notebook.run()
    sheets = [notebook.output(cell) for cell in (1, 2)]
    for sheet in sheets:
        sheet.get_by_role("button", name="Example 3").click(timeout=60_000)
        sheet.get_by_text("This looks like").wait_for()
    notebook.page.evaluate(
        "() => { const app = window.jupyterapp;"
        "app.shell.currentWidget.content.activeCellIndex = 3;"
        "app.commands.execute('notebook:run-cell') }"
    )
    notebook.output(3).get_by_text("1.0 1.0").wait_for(timeout=30_000)  # Python has both answers
    notebook.end()
    notebook.open()
    for sheet in sheets:
        sheet.wait_for()
    sheets[0].get_by_text("for that, run this cell").wait_for(timeout=30_000)
    sheets[1].get_by_role("button", name="Example 3").click(timeout=30_000)
    sheets[1].get_by_text("This looks like").wait_for()
    assert notebook.page.get_by_text("Loading widget").count() == 0
