"""The live plot's ES module, in a real browser: it draws what Python draws, and keeps up."""

import json
import math
import re
from collections.abc import Callable

import pytest

from tutorial import History
from tutorial.display.chart import svg
from tutorial.display.chart import tips as chart_tips
from tutorial.display.curves import Curves, plain_points
from tutorial.display.widgets.live_plot import NOTHING, LivePlot

MODULE = str(LivePlot._esm)

# What anywidget hands to a module: a model with the widget's traits.
SETUP = """async ([source, traits]) => {
    const url = URL.createObjectURL(new Blob([source], { type: "text/javascript" }));
    const { default: widget, ...functions } = await import(url);
    const handlers = {};
    const model = {
        get: (name) => traits[name],
        set: (name, value) => { traits[name] = value; model.emit("change:" + name); },
        on: (event, handler) => { (handlers[event] ??= new Set()).add(handler); },
        off: (event, handler) => handlers[event].delete(handler),
        emit: (event, news) => { for (const handler of handlers[event] ?? []) handler(news); },
    };
    window.close_model = await widget.initialize({ model });
    const el = document.body.appendChild(document.createElement("div"));
    Object.assign(window, { model, el, functions, handlers });
    window.close_view = await widget.render({ model, el });
}"""


def curves_of(epochs: int) -> Curves:
    curves = Curves()
    for epoch in range(epochs):
        curves.add_losses([2.345 / (1.5 + epoch + step / 100) for step in range(100)])
        means = {"loss": 2 / (epoch + 1.7), "acc": 0.9123 + 0.004 * epoch}
        evaluated = {f"eval_{name}": 0.97 * mean for name, mean in means.items()}
        curves.add_row({"epoch": epoch + 1, **means, **evaluated})
    return curves


WHOLE = "(whole) => model.set('drawn', { ...model.get('drawn'), ...whole })"


@pytest.fixture
def page(chromium):
    page = chromium.new_page()
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    yield page
    page.close()
    assert errors == []


def show(page, drawn: dict, **traits: object) -> None:
    shown = {"drawn": {**NOTHING, **plain(drawn)}, "panels": [], "region": "r", **traits}
    page.evaluate(SETUP, [MODULE, shown])


def plain(history: dict) -> dict:
    """As it comes over the wire."""
    return json.loads(json.dumps(history))


def numbers(drawing: str) -> list[float]:
    return [float(number) for number in re.findall(r"-?\d+\.?\d*", drawing)]


def diverged() -> Curves:
    curves = curves_of(1)
    curves.add_losses([1e9, math.nan, 2.5, math.nan, 1e24])
    curves.add_row({"epoch": 2, "loss": math.nan, "acc": 0.1, "eval_loss": 3e-7})
    return curves


@pytest.mark.parametrize("made", [lambda: curves_of(1), lambda: curves_of(3), diverged])
def test_python_and_the_browser_draw_the_same_picture(page, made: Callable[[], Curves]) -> None:
    draw_the_same(page, made())


def test_python_and_the_browser_draw_the_same_picture_of_many_epochs(page) -> None:
    draw_the_same(page, curves_of(70))


def draw_the_same(page, curves: Curves) -> None:
    show(page, curves.history())
    drawn = page.evaluate(
        "() => { const { points, rows, axes, stride, lost } = model.get('drawn');"
        "const all = functions.charts(points, rows, stride, lost);"
        "return all.map((it) => functions.svg(it, axes[it.name])); }"
    )
    tips = page.locator("[data-tip]").evaluate_all("all => all.map(it => it.outerHTML)")
    same_numbers("".join(tips), "".join(map(chart_tips, curves.charts())))
    ours = [svg(chart) for chart in curves.charts()]
    assert len(drawn) == len(ours) == 2
    for theirs, mine in zip(drawn, ours, strict=True):
        same_numbers(theirs, mine)


def same_numbers(theirs: str, mine: str) -> None:
    assert re.sub(r"-?\d+\.?\d*", "#", theirs) == re.sub(r"-?\d+\.?\d*", "#", mine)
    assert numbers(theirs) == pytest.approx(numbers(mine), abs=1.01, rel=1e-3)  # a half, rounded


def test_it_keeps_up_with_the_news(page) -> None:
    curves = Curves()
    show(page, NOTHING)
    for step in range(300):
        curves.add_losses([1 / (step + 1)])
        if step % 7 == 0:
            page.evaluate("(news) => model.emit('msg:custom', news)", plain(curves.news()))
    heard = page.evaluate("() => model.get('drawn').points")
    assert heard == plain({"points": plain_points(curves.points.items[: len(heard)])})["points"]
    assert len(heard) >= 295 // curves.points.stride
    assert page.locator(".tutorial-plot").get_attribute("data-points") == str(len(heard))


def test_after_lost_news_it_waits_for_the_whole(page) -> None:
    show(page, NOTHING)
    lost = {"points": {"at": 5, "items": [[6, 1.0]]}, "rows": {"at": 0, "items": []}}
    page.evaluate("(news) => model.emit('msg:custom', news)", lost)
    assert page.evaluate("() => model.get('drawn').points") == []
    whole = plain(curves_of(2).history())
    page.evaluate(WHOLE, whole)
    plot = page.locator(".tutorial-plot")
    assert plot.get_attribute("data-points") == str(len(whole["points"]))
    assert plot.get_attribute("data-rows") == "2"


def test_those_who_listen_hear_each_epoch(page) -> None:
    show(page, plain(curves_of(1).history()))
    assert page.get_by_role("status").inner_text().startswith("epoch 1: loss 1.1765, acc 0.9123")
    page.evaluate(WHOLE, plain(curves_of(2).history()))
    assert page.get_by_role("status").inner_text().startswith("epoch 2: loss")
    images = page.get_by_role("img", name=re.compile("up to")).all()
    names = [image.get_attribute("aria-label") for image in images]
    assert [name.partition(":")[0] for name in names] == [
        "loss up to step 200",
        "acc up to epoch 2",
    ]


def test_a_name_cannot_become_markup(page) -> None:
    curves = Curves()
    curves.add_row({"epoch": 1, "<img src=x onerror=window.hit=1>": 1.0})
    show(page, curves.history())
    assert page.locator("img").count() == 0
    assert page.evaluate("() => window.hit") is None


def test_a_view_that_is_closed_listens_no_more(page) -> None:
    show(page, NOTHING)
    listening = page.evaluate("() => handlers['change:drawn'].size")
    page.evaluate("() => close_view()")
    assert page.evaluate("() => handlers['change:drawn'].size") == listening - 1


def test_a_history_can_be_shown_alive() -> None:
    rows = [{"epoch": 1, "loss": 2.0}, {"epoch": 2, "loss": 1.5}]
    plot = LivePlot(History([2.5, 1.5, 1.6, 1.4], rows))
    assert plot.drawn["points"] == [(1, 2.5), (2, 1.5), (3, 1.6), (4, 1.4)]
    assert plot.drawn["rows"] == [(2, rows[0]), (4, rows[1])]
    assert repr(plot) == "LivePlot(4 points, 2 epochs)"


# ---- the region in a page


REGION = "<!doctype html><div id='here'><div data-tutorial='r'>epoch 1/9</div></div>"


def test_it_draws_in_the_region_that_stands_in_the_page_also_when_that_is_written_anew(
    page,
) -> None:
    page.set_content(REGION)
    show(page, {"bar": "<p>epoch 2/9</p>", **curves_of(2).history()})
    region = page.locator("[data-tutorial]")
    assert region.inner_text().startswith("epoch 2/9")
    assert region.locator("svg").count() == 2
    page.evaluate("() => { here.innerHTML = '<div data-tutorial=\"r\">epoch 1/9</div>'.repeat(2) }")
    for copy in region.all():
        assert copy.inner_text().startswith("epoch 2/9")
        assert copy.locator("svg").count() == 2
    page.evaluate("() => { close_model(); here.innerHTML = '<div data-tutorial=\"r\">end</div>' }")
    assert region.inner_text() == "end"


def test_without_news_for_half_a_minute_or_without_a_kernel_no_time_is_left(page) -> None:
    page.clock.install()
    page.set_content(REGION)
    bar = "<p>epoch 2/9 <small>12 steps/s, 0:09 left</small></p>"
    show(page, {"bar": bar})
    pace = page.locator("[data-tutorial] small")
    page.evaluate(WHOLE, {"bar": bar})
    page.clock.run_for(20_000)
    page.evaluate(WHOLE, {"bar": bar})
    page.clock.run_for(20_000)
    assert "left" in pace.inner_text()
    page.clock.run_for(20_000)
    assert pace.inner_text() == "not finished"
    page.evaluate(WHOLE, {"bar": bar})
    assert "left" in pace.inner_text()
    page.evaluate("() => model.emit('comm_live_update')")
    assert pace.inner_text() == "not finished"


def test_a_further_panel_is_drawn_by_its_own_script(page) -> None:
    script = "export default ({ height }) => `<b>${height} high</b>`;"
    show(page, NOTHING, panels=[{"title": "a <tower>", "script": script}])
    panel = page.get_by_role("group", name="a <tower>")
    assert panel.count() == 0
    page.evaluate(WHOLE, {"panels": [{"height": 3}]})
    assert panel.inner_text() == "3 high"
    page.evaluate(
        "(news) => model.emit('msg:custom', news)", {**plain(Curves().news()), "bar": "<p>on</p>"}
    )
    assert panel.inner_text() == "3 high"  # nothing is new of it
    assert page.locator("p").inner_text() == "on"


def test_of_a_history_it_stays_where_there_is_no_kernel(page, tmp_path) -> None:
    """In a page that nbconvert makes of a notebook as JupyterLab saves it, without a network."""
    nbconvert, nbformat = pytest.importorskip("nbconvert"), pytest.importorskip("nbformat")
    plot = LivePlot(History([2.5, 1.5], [{"epoch": 1, "loss": 2.0, "acc": 0.5}]))
    data, metadata = plot._repr_mimebundle_()
    output = nbformat.v4.new_output("display_data", data=data, metadata=metadata)
    cell = nbformat.v4.new_code_cell("plot", outputs=[output], execution_count=1)
    html, _ = nbconvert.HTMLExporter().from_notebook_node(nbformat.v4.new_notebook(cells=[cell]))
    (tmp_path / "page.html").write_text(html, encoding="utf-8")
    page.context.set_offline(True)
    page.goto((tmp_path / "page.html").as_uri())
    assert page.locator(".tutorial-plot img").count() == 2

    page.goto("about:blank")  # while there is a kernel, the widget draws in it
    page.set_content(data["text/html"])
    show(page, plain(plot.drawn), region=plot.region)
    assert page.locator(f"[data-tutorial='{plot.region}'] .tutorial-plot").get_attribute(
        "data-points"
    ) == str(len(plot.drawn["points"]))
