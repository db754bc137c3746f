"""What a network does while it learns, layer by layer, as a picture: what `Insight` has measured.

Above, for each layer a line: the size of its updates over that of its weights, where the healthy
band from 0.0001 to 0.01 is shaded; below it, the size of its gradient. Then a row for each layer,
with the share of its dead units and a histogram of its activations.
"""

import math
import time
from collections.abc import Iterable, Sequence
from html import escape
from pathlib import Path
from typing import Any

from tutorial.display.logarithmic import LEFT, PLOT, RIGHT, WIDTH, Lines, axes, heading, image

TITLE = "what the network does"
ROW = 20  # the height of a layer's
HEALTHY = (1e-4, 1e-3, 1e-2)  # from, best, to
LAYERS = 12  # are shown, at most; of more, some that are evenly far apart
POINTS = 48  # of a line
# From the first layer to the last: they read on white and on black, also without colour's help,
# since each row has its line's dashes.
COLORS = ("#2b7bd0", "#1f8a83", "#2e8f57", "#7d8426", "#c8690f", "#c3403a", "#a5539e")
DASHES = ("", "6 3", "2 2")


class InsightPanel:
    """The picture beside the learning curves of a fit; see `Panel`."""

    title = TITLE
    script = Path(__file__).parent / "widgets" / "insight.js"

    def __init__(self, insight: Any) -> None:
        self.insight = insight
        self.sent = ""
        self.began = self.drawn = time.monotonic()

    def data(self) -> str:
        """The picture; it is drawn again in ever longer intervals, so that it costs little."""
        now = time.monotonic()
        if not self.sent or now - self.drawn >= (now - self.began) / 10:
            self.sent, self.drawn = svg(self.insight), now
        return self.sent

    def html(self) -> str:
        return insight_html(self.insight)


def panels_of(callbacks: Iterable[Any]) -> list[InsightPanel]:
    """A panel for each callback that measures such things."""
    return [InsightPanel(callback) for callback in callbacks if hasattr(callback, "activations")]


def insight_html(insight: Any) -> str:
    """The picture as HTML that needs no script, no style sheet and no network."""
    return image(svg(insight), alt_text(insight))


def svg(insight: Any) -> str:
    """The picture, in the colour of the text around it."""
    names = chosen(list(insight.rows[-1]["layers"]) if insight.rows else [])
    looks = {name: look(i, len(names)) for i, name in enumerate(names)}
    updates, gradients = (lines_of(insight.rows, names, what) for what in ("update", "gradient"))
    last = insight.rows[-1]["step"] if insight.rows else 0
    table = 2 * PLOT + 66
    height = table + ROW * max(len(names), 1) + 4
    parts = [
        f"<svg viewBox='0 0 {WIDTH} {height}' font-family='system-ui, sans-serif' font-size='11' "
        "fill='currentColor' role='img' aria-label='{}'>".format(escape(alt_text(insight))),
        axes(updates, looks, 0, "update / weight", "healthy: about 0.001", HEALTHY),
        axes(gradients, looks, PLOT + 26, "gradient", f"up to step {last}"),
        heading(table - 6, LEFT, "layer"),
        heading(table - 6, 186, "dead"),
        heading(table - 6, 230, "activations"),
        *(row(insight, name, looks[name], table + ROW * i) for i, name in enumerate(names)),
    ]
    return "".join([*parts, "</svg>"])


def chosen(names: Sequence[str]) -> list[str]:
    """Those of many layers that are shown."""
    if len(names) <= LAYERS:
        return list(names)
    return [names[round(i * (len(names) - 1) / (LAYERS - 1))] for i in range(LAYERS)]


def look(i: int, count: int) -> tuple[str, str]:
    """The colour and the dashes of a layer's line."""
    place = i * (len(COLORS) - 1) // max(count - 1, 1)
    return COLORS[place], DASHES[i % len(DASHES)]


def lines_of(rows: Sequence[dict[str, Any]], names: Sequence[str], what: str) -> Lines:
    """For each layer the steps, and the values there: None where there is none to draw."""
    some = [*rows[:: max(1, math.ceil(len(rows) / POINTS))], *rows[-1:]]
    return {
        name: [(r["step"], r["layers"].get(name, {}).get(what) or None) for r in some]
        for name in names
    }


def row(insight: Any, name: str, looks: tuple[str, str], top: int) -> str:
    """A layer: its line, its name, the share of its dead units, its activations."""
    color, dashes = looks
    base = top + ROW - 4
    dashed = f" stroke-dasharray='{dashes}'" if dashes else ""
    dead = insight.rows[-1]["layers"][name]["dead"]
    share = "" if dead is None else percent(dead)
    short = name if len(name) <= 22 else f"...{name[-20:]}"
    parts = [
        f"<path d='M14 {base - 4}H38' stroke='{color}' stroke-width='2'{dashed}/>",
        f"<text x='{LEFT}' y='{base}'>{escape(short)}</text>",
        f"<text x='216' y='{base}' text-anchor='end'>{share}</text>",
    ]
    if found := insight.activations.get(name):
        counts = found["counts"]
        wide = (WIDTH - RIGHT - 230) / len(counts)
        bars = "".join(
            f"M{230 + i * wide:.1f} {base}v-{(ROW - 5) * math.sqrt(count / max(counts)):.1f}"
            for i, count in enumerate(counts)
            if count
        )
        parts.append(f"<path d='{bars}' stroke='{color}' stroke-width='{wide - 1:.1f}'/>")
        if found["low"] < 0 < found["high"]:
            zero = 230 + (WIDTH - RIGHT - 230) * -found["low"] / (found["high"] - found["low"])
            parts.append(f"<path d='M{zero:.0f} {base}v3' stroke='currentColor'/>")
    return "".join(parts)


def percent(share: float) -> str:
    """A share, with one digit behind the point where it is small."""
    return f"{100 * share:.0f} %" if share >= 0.1 or not share else f"{100 * share:.1f} %"


def alt_text(insight: Any) -> str:
    """The picture in a few sentences, for those who cannot see it."""
    if not insight.rows:
        return f"{TITLE}: nothing was measured yet"
    last = insight.rows[-1]
    told = [f"{TITLE}, step {last['step']}"]
    for name in chosen(list(last["layers"])):
        found = last["layers"][name]
        numbers = [
            f"{what} {found[key]:.2g}"
            for what, key in (("update over weight", "update"), ("gradient", "gradient"))
            if found[key] is not None
        ]
        dead = [f"{percent(found['dead'])} dead"] if found["dead"] is not None else []
        told.append(f"{name}: {', '.join([*numbers, *dead]) or 'does not learn'}")
    return "; ".join(told)


class Picture:
    """A picture of what was measured; a notebook shows it.

    Attributes:
        html: the same as HTML that stands for itself.
    """

    def __init__(self, insight: Any) -> None:
        self.html = insight_html(insight)
        self.text = alt_text(insight)

    def __repr__(self) -> str:
        return self.text.replace("; ", "\n")

    def _repr_html_(self) -> str:
        return self.html
