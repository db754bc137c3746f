"""The curves of a training, drawn in the notebook while it runs."""

from pathlib import Path
from typing import Any
from uuid import uuid4

import anywidget
import traitlets

from tutorial.display.chart import STYLE, charts, charts_html
from tutorial.display.curves import Curves
from tutorial.parameters import short

HERE = Path(__file__).parent
NOTHING: dict[str, Any] = {
    **dict.fromkeys(("bar", "epochs", "final"), ""),
    "points": [],
    "rows": [],
    "axes": {},
    "stride": 1,
    "lost": None,
    "panels": [],
}


class LivePlot(anywidget.AnyWidget):
    """The loss by step, and each metric by epoch; train against eval.

    `fit` shows one while it runs in a notebook. One that is made from a History shows that.

    Args:
        history: a History, or None to begin with nothing.

    Attributes:
        drawn: what is drawn, as a dict: 'points', pairs of a step (from 1) and a loss; 'rows',
            pairs of a step and the row of the epoch that ended there; more of them, see `Curves`;
            'bar' and 'epochs', the table of the last ones, as HTML; 'panels', the data of further
            panels; 'final', HTML in place of it all.
        panels: of each further panel its title and its script; see `Panel`.
        region: the mark of the HTML in which it draws, wherever that stands in the page.

    Example:
        >>> from tutorial import History
        >>> LivePlot(History([2.3, 1.9], [{"epoch": 1, "loss": 2.1}]))
        LivePlot(2 points, 1 epoch)
    """

    _esm = HERE / "live_plot.js"
    _css = HERE / "live_plot.css"
    drawn: Any = traitlets.Dict(NOTHING).tag(sync=True)
    panels: Any = traitlets.List().tag(sync=True)
    region: Any = traitlets.Unicode().tag(sync=True)

    def __init__(self, history: Any = None, **traits: Any) -> None:
        if not hasattr(history, "step_losses") and history is not None:
            raise TypeError(
                f"history is {short(history)}, but a History is expected, as fit returns it."
            )
        if history is not None:
            curves = Curves()
            curves.add_losses(history.step_losses)
            curves.add_rows(history.rows)
            traits["drawn"] = {**NOTHING, **curves.history()}
        super().__init__(**{"region": uuid4().hex, **traits})

    def _repr_mimebundle_(self, **_: Any) -> tuple[dict[str, str], dict[str, str]]:
        """HTML that stays where the kernel is gone; until then, the widget draws in it."""
        shown = charts(*(self.drawn[name] for name in ("points", "rows", "stride", "lost")))
        curves = charts_html(shown)
        region = f'<div data-tutorial="{self.region}">{curves}</div>'
        return {"text/plain": repr(self), "text/html": f"<style>{STYLE}</style>{region}"}, {}

    def __repr__(self) -> str:
        points, rows = len(self.drawn["points"]), len(self.drawn["rows"])
        return f"LivePlot({points} points, {rows} epoch{'' if rows == 1 else 's'})"
