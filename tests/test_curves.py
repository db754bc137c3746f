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

from tutorial.display.curves import (
    POINTS,
    Curves,
    Thinned,
    axes,
    charts,
    labelled,
    mean_of,
    round_numbers,
    svg,
)

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
        "each step": [(1, 2.0), (2, 1.5)],
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


@given(st.integers(1, 10**7))
def test_steps_are_marked_by_whole_numbers_from_0_to_the_last(steps: int) -> None:
    (chart,) = charts([(steps, 1.0)], [])
    across, _ = axes(chart)
    assert (across.low, across.high) == (0, steps)
    ticks = [tick for tick, _ in across.ticks]
    assert ticks[0] == 0
    assert ticks[-1] <= steps
    assert all(float(tick).is_integer() for tick in ticks)


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
