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
