"""Insight in a notebook: a panel that is alive while a fit runs, and a picture that stays."""

import json
from typing import Any

FIT = """
insight = tl.callbacks.Insight()
history = model.fit(some, epochs=40, callbacks=insight)
"""
AFTER = "insight.plot()"


def test_the_panel_lives_in_a_fit_and_stays(open_notebook: Any) -> None:
    notebook = open_notebook(FIT, AFTER)
    notebook.run()
    live = notebook.output(1).locator(".tutorial-panel svg")
    live.wait_for(timeout=60_000)
    assert live.get_attribute("aria-label").startswith("what the network does, step ")
    assert "1 Linear" in live.text_content() and "3 Linear" in live.text_content()
    notebook.picture("insight_live")
    image = notebook.output(1).locator(".tutorial-panel img")
    image.wait_for(timeout=60_000)
    notebook.output(2).locator("img").wait_for(timeout=60_000)
    image.scroll_into_view_if_needed()
    notebook.picture("insight_after")
    assert "3 Linear: update over weight" in image.get_attribute("alt")
    box = image.bounding_box()
    assert 200 < box["width"] <= 440 and box["height"] > 200
    notebook.end()
    saved = json.loads((notebook.server.folder / notebook.name).read_text())
    html = "".join(saved["cells"][1]["outputs"][0]["data"]["text/html"])
    assert "data:image/svg" in html and "update over weight" in html


PICTURES = [
    "tl.show(test_data, count=6)",
    "history.plot()",
    "tl.confusion(model, some)",
    "tl.compare(history, tl.History([2.0, 1.0, 0.5], []))",
    "history",
    "model.summary()",
]


def test_pictures_and_tables_read_well_in_the_dark_theme(open_notebook: Any) -> None:
    fit = "history = model.fit(some, epochs=3, verbose=0)"
    notebook = open_notebook(fit, *PICTURES)
    notebook.run()
    last = notebook.output(len(PICTURES) + 1)
    last.get_by_text("25,450 parameters").wait_for(timeout=60_000)
    notebook.page.evaluate(
        "() => window.jupyterapp.commands.execute('apputils:change-theme', "
        "{theme: 'JupyterLab Dark'})"
    )
    notebook.page.wait_for_selector("[data-jp-theme-light=false]", state="attached")
    texts = []
    for cell in (2, 3, 4, 5):
        image = notebook.output(cell).locator("img")
        image.scroll_into_view_if_needed()
        notebook.page.wait_for_timeout(200)
        notebook.picture(f"figure_{cell}_dark")
        texts.append(image.get_attribute("alt"))
        assert image.evaluate("image => getComputedStyle(image).colorScheme") == "dark"
        assert image.evaluate("image => image.naturalWidth") > 0
    starts = ("6 of 10,000 images: is 7;", "learning curves, 3 epochs:", "confusion matrix of 10")
    assert all(text.startswith(start) for text, start in zip(texts, starts, strict=False)), texts
    for cell in (6, 7):
        box = notebook.output(cell).get_by_role("group")
        assert box.locator("th").count() in (3, 5)
    last.scroll_into_view_if_needed()
    notebook.picture("tables_dark")
