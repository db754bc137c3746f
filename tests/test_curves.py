"""Learning curves: what is kept of them, and how they are drawn."""

import json
import math
import re
import xml.etree.ElementTree as ET
from html.parser import HTMLParser
from itertools import pairwise
from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tutorial.display.chart import axes, charts, labelled, round_numbers, svg
from tutorial.display.curves import POINTS, Curves, Thinned, mean_of
from tutorial.display.epochs import table

SVG = "{http://www.w3.org/2000/svg}"
finite = st.floats(-1e6, 1e6)


def curves_of(steps: int, epochs: int, metrics: int = 1) -> Curves:
    curves = Curves()
    for epoch in range(epochs):
        curves.add_losses([2 / (1 + epoch + step / steps) for step in range(steps)])
        names = ["loss", *(f"metric_{i}" for i in range(metrics))]
        means = dict.fromkeys(names, 1.23456789 / (epoch + 1))
        evaluated = {f"eval_{name}": 2.3456789 / (epoch + 1) for name in names}
        curves.add_row({"epoch": epoch + 1, **means, **evaluated})
    return curves


# ---- thinned


@given(st.lists(finite, max_size=1000))
def test_thinned_means_stand_for_all_numbers(numbers: list[float]) -> None:
    thinned = Thinned(10, mean_of)
    for step, number in enumerate(numbers, start=1):
        thinned.add((step, number))
    assert len(thinned.items) <= 10
    kept = [mean for _, mean in thinned.items]
    for i, mean in enumerate(kept):
        group = numbers[i * thinned.stride : (i + 1) * thinned.stride]
        assert mean == pytest.approx(sum(group) / len(group), abs=1e-6)
    assert [step for step, _ in thinned.all()][-1:] == [len(numbers)][: len(numbers)]
    rest = len(numbers) - len(kept) * thinned.stride
    assert 0 <= rest < thinned.stride
    assert (len(thinned.all()) > len(kept)) == (rest > 0)


@given(st.lists(st.integers(0, 40), max_size=40))
def test_news_add_up_to_all_items(portions: list[int]) -> None:
    """Whoever hears all news knows all items, also when they were thinned in between."""
    thinned, heard, step = Thinned(10, mean_of), [], 0
    for portion in portions:
        for _ in range(portion):
            step += 1
            thinned.add((step, float(step)))
        news = thinned.news()
        assert news["at"] <= len(heard)
        heard[news["at"] :] = news["items"]
        assert heard == thinned.items


# ---- panels


def test_a_chart_for_the_loss_by_step_and_for_each_metric_by_epoch() -> None:
    loss, acc = charts(
        [(1, 2.0), (2, 1.5)],
        [
            (2, {"epoch": 1, "loss": 1.75, "acc": 0.5, "eval_loss": 1.6, "eval_acc": 0.6}),
            (4, {"epoch": 2, "loss": 1.25, "acc": 0.7}),
        ],
    )
    assert (loss.name, loss.unit, acc.name, acc.unit) == ("loss", "step", "acc", "epoch")
    assert loss.lines == {
        "steps": [(1, 2.0), (2, 1.5)],
        "train": [(2, 1.75), (4, 1.25)],
        "eval": [(2, 1.6)],
    }
    assert acc.lines == {"train": [(1, 0.5), (2, 0.7)], "eval": [(1, 0.6)]}


def test_without_anything_there_is_nothing_to_draw() -> None:
    assert charts([], []) == []
    assert Curves().html() == ""


# ---- axes


@given(finite, finite)
def test_round_numbers_reach_around_the_values_and_are_few(a: float, b: float) -> None:
    low, high = sorted((a, b))
    numbers, digits = round_numbers(low, high)
    slack = 1e-9 * max(1, abs(low), abs(high))
    assert 2 <= len(numbers) <= 8
    assert numbers[0] <= low + slack
    assert numbers[-1] >= high - slack
    sizes = [y - x for x, y in pairwise(numbers)]
    assert sizes == pytest.approx([sizes[0]] * len(sizes), rel=1e-4)
    assert f"{sizes[0]:.4e}"[0] in "125"
    if high - low > 0.2 * max(abs(low), abs(high)):
        labels = {label for _, label in labelled(numbers, digits)}
        assert len(labels) >= len(numbers) - 1


@given(st.integers(2, 10**7))
def test_steps_are_marked_by_whole_numbers_from_0_to_the_last(steps: int) -> None:
    (chart,) = charts([(steps, 1.0)], [])
    across, _ = axes(chart)
    assert (across.low, across.high) == (0, steps)
    ticks = [tick for tick, _ in across.ticks]
    assert ticks[0] == 0
    assert ticks[-1] <= steps
    assert all(float(tick).is_integer() for tick in ticks)


@given(st.floats(0, 1), st.floats(0, 1))
def test_no_axis_of_shares_goes_above_1_or_below_0(a: float, b: float) -> None:
    for values in ((a, b), (a,), (1.0,), (0.0, 1.0)):
        (chart,) = charts([], [(1, {"epoch": 1, "acc": value}) for value in values])
        _, up = axes(chart)
        assert up.low <= min(values) <= max(values) <= up.high
        assert up.high <= 1
        assert up.low >= 0


@pytest.mark.parametrize(
    ("low", "high", "last"),
    [
        (0, 5.5e24, "6e24"),
        (-2.4e-13, 0, "0"),
        (0, 999_999, "1e6"),
        (1234500, 1234567, "1.23458e6"),
        (2.3, 2.31, "2.310"),
    ],
)
def test_labels_are_short_and_differ(low: float, high: float, last: str) -> None:
    labels = [label for _, label in labelled(*round_numbers(low, high))]
    assert labels[-1] == last
    assert len(set(labels)) == len(labels)


@pytest.mark.parametrize("steps", [1000, 3000, 123_456, 10**7])
@pytest.mark.parametrize("loss", [1e-9, 0.5, 5.5e24, -1.25e-12, 123_456.0])
def test_no_number_on_an_axis_is_cut_off(steps: int, loss: float) -> None:
    (chart,) = charts([(1, 0.0), (steps, loss)], [])
    for text in ET.fromstring(svg(chart)).iter(f"{SVG}text"):
        wide = 6.2 * len(text.text)  # pixels, of digits
        share = {"middle": 0.5, "end": 1.0}.get(text.get("text-anchor"), 0.0)
        left = float(text.get("x")) - share * wide
        assert left >= 0
        assert left + wide <= 360 or text.text in ("loss", "each step")


def test_a_point_that_is_alone_stands_in_the_middle_with_its_value() -> None:
    (loss, acc) = charts([(1, 2.0)], [(1, {"epoch": 1, "loss": 2.0, "acc": 0.75})])
    for chart in (loss, acc):
        across, _ = axes(chart)
        assert across.place(0, 100)(1) == 50
        assert [label for _, label in across.ticks] == ["1"]
    assert "0.75" in [text.text for text in ET.fromstring(svg(acc)).iter(f"{SVG}text")]


# ---- pictures


class Page(HTMLParser):
    """The pictures and tips of a page."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.images: list[dict] = []
        self.tips: list[str] = []
        self.tags: set[str] = set()
        self.feed(html)

    def handle_starttag(self, tag: str, attributes: list) -> None:
        self.tags.add(tag)
        if tag == "img":
            self.images.append(dict(attributes))
        if tag == "i":
            self.tips.append(dict(attributes)["data-tip"])


def test_the_picture_needs_nothing_else_and_says_the_values() -> None:
    html = curves_of(steps=10, epochs=3).html()
    page = Page(html)
    assert page.tags == {"div", "img", "i"}  # no script
    assert not re.search(r"url\(|@import|//(?!www\.w3\.org/2000/svg)", unquote(html))
    assert [image["alt"].split(" up to")[0] for image in page.images] == ["loss", "metric_0"]
    assert "eval from 2.346 to 0.7819" in page.images[0]["alt"]
    assert "step 10: each step 1.053, train 1.235, eval 2.346" in page.tips
    assert "epoch 2: train 0.6173, eval 1.173" in page.tips


def test_the_marks_stand_where_the_values_are() -> None:
    """Read the values back from the drawing, by its axis."""
    history = curves_of(steps=10, epochs=3).history()
    _, metric = charts(history["points"], history["rows"])
    root = ET.fromstring(svg(metric))
    _, y_axis = axes(metric)
    labels = [e for e in root.iter(f"{SVG}text") if e.get("text-anchor") == "end"][:-1]
    heights = {float(e.text): float(e.get("y")) - 4 for e in labels}
    low, high = min(heights), max(heights)
    for mark, (_, value) in zip(
        list(root.iter(f"{SVG}circle"))[-3:], metric.lines["train"], strict=True
    ):
        share = (float(mark.get("cy")) - heights[low]) / (heights[high] - heights[low])
        assert low + share * (high - low) == pytest.approx(value, abs=0.01)
    assert (low, high) == (y_axis.low, y_axis.high)


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_a_value_that_is_no_number_breaks_the_line(bad: float) -> None:
    (chart,) = charts([(1, 2.0), (2, 1.5), (3, bad), (4, 1.0), (5, 0.5)], [])
    line = [e.get("d") for e in ET.fromstring(svg(chart)).iter(f"{SVG}path")][-1]
    assert line.count("M") == 2
    assert line.count("L") == 2
    (chart,) = charts([(1, 2.0), (2, bad), (3, 1.0), (4, bad)], [])
    line = [e.get("d") for e in ET.fromstring(svg(chart)).iter(f"{SVG}path")][-1]
    assert line.count("h1") == 2  # each of the two alone is seen
    (chart,) = charts([(1, bad)], [(1, {"epoch": 1, "loss": bad})])
    ET.fromstring(svg(chart))


@given(st.text(alphabet=st.characters(codec="utf-8", exclude_categories=["Cs", "Cc"]), min_size=1))
def test_any_name_of_a_metric_can_be_shown(name: str) -> None:
    curves = Curves()
    curves.add_row({"epoch": 1, f"m_{name}": 0.5})
    page = Page(curves.html())
    assert page.images[0]["alt"].startswith(f"m_{name} up to epoch 1")
    source = unquote(page.images[0]["src"].removeprefix("data:image/svg+xml,"))
    assert next(ET.fromstring(source).iter(f"{SVG}text")).text == f"m_{name}"


@pytest.mark.parametrize(("steps", "epochs"), [(100_000, 1), (10, 1000), (1000, 100)])
def test_a_long_training_stays_small(steps: int, epochs: int) -> None:
    curves = curves_of(steps, epochs, metrics=2)
    assert len(curves.html()) < 50_000
    assert len(json.dumps(curves.history())) < 15_000
    assert POINTS / 2 <= len(curves.points.items) <= POINTS


def test_the_label_says_of_how_many_steps_the_line_is_the_mean() -> None:
    losses = [float(step % 7) for step in range(1, 1901)]
    curves = Curves()
    curves.add_losses(losses)
    (image,) = Page(curves.html()).images
    stride = curves.points.stride
    assert stride > 1
    assert f"mean of {stride} steps from" in image["alt"]
    assert f">mean of {stride} steps<" in unquote(image["src"])
    for tip in Page(curves.html()).tips:
        step, count, mean = re.fullmatch(r"step (\d+): mean of (\d+) steps (.+)", tip).groups()
        group = losses[int(step) - int(count) : int(step)]
        assert float(mean) == pytest.approx(sum(group) / len(group), rel=1e-3)


@pytest.mark.parametrize(("bad", "word"), [(math.nan, "nan"), (math.inf, "inf")])
@pytest.mark.parametrize("step", [2, 250, 999])
def test_where_the_loss_became_nan_there_is_a_mark(bad: float, word: str, step: int) -> None:
    curves = Curves()
    curves.add_losses([1 / n for n in range(1, step)] + [bad] * (1000 - step))
    curves.add_row({"epoch": 1, "loss": bad})
    text = json.dumps(curves.history(), allow_nan=False)  # as a strict reader wants it
    assert json.loads(text)["lost"] == [step, word]
    json.dumps(curves.news(), allow_nan=False)
    (chart,) = curves.charts()
    root = ET.fromstring(svg(chart))
    assert f"{word} from step {step} on" in [e.text for e in root.iter(f"{SVG}text")]
    mark = [e for e in root.iter(f"{SVG}path") if e.get("stroke") == "#c3403a"]
    across, up = axes(chart)
    x = float(re.match(r"M([\d.]+)", mark[0].get("d"))[1])
    assert x == pytest.approx(across.place(46, 350)(step), abs=0.1)
    known = [1 / n for n in range(1, step)]
    assert up.high >= max(known[curves.points.stride :], default=1)
    assert up.high <= 2
    assert f"; {word} from step {step} on" in Page(curves.html()).images[0]["alt"]


# ---- the table of the epochs


def test_the_table_has_all_epochs_and_folds_what_is_before_the_last_ones() -> None:
    few = curves_of(steps=2, epochs=8)
    html = table(few.recent, few.earlier())
    assert "<details>" not in html
    assert [f"<td>{epoch}</td>" in html for epoch in range(1, 10)] == [True] * 8 + [False]
    many = curves_of(steps=2, epochs=40)
    folded, _, open_ = table(many.recent, many.earlier()).partition("</details>")
    assert "<summary>epochs 1 to 35</summary>" in folded
    assert all(f"<td>{epoch}</td>" in folded for epoch in range(1, 36))
    assert all(f"<td>{epoch}</td>" in open_ for epoch in range(36, 41))
    assert "<td>1.2346</td>" in table(curves_of(2, 1).recent)
    very_many = curves_of(steps=2, epochs=1000)
    html = table(very_many.recent, very_many.earlier())
    assert "1 of 32" in html
    assert all(f"<td>{epoch}</td>" in html for epoch in (32, 960, 996, 997, 998, 999, 1000))
    assert len(html) < 5000
    assert table([]) == ""


def test_the_table_leaves_room_for_what_an_epoch_does_not_have() -> None:
    html = table([{"epoch": 1, "loss": math.nan}, {"epoch": 2, "loss": 3e23, "eval_<b>": 0.5}])
    assert "<td>nan</td><td></td>" in html
    assert "<td>3e+23</td><td>0.5000</td>" in html
    assert "eval_&lt;b&gt;" in html
