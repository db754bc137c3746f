"""Learning curves as a drawing: what `fit` has noted so far, thinned, and drawn as SVG.

The picture stands for itself: it needs no script, no style sheet and no network, and its greys and
colours read well on white and on black. So it survives in a saved notebook, on a static page and in
a file that nobody has trusted yet. `widgets/live_plot.js` draws the same picture while a loop runs.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from typing import Any
from urllib.parse import quote

POINTS, ROWS = 120, 60  # so many are kept at most: a panel is about 300 pixels wide

# A panel's size, and the room around its axes: left, right, above, below. All in pixels.
WIDTH, HEIGHT = 360, 200
LEFT, RIGHT, TOP, BOTTOM = 46, 10, 26, 34
GREY = "#7a7a7a"
LOOKS = {  # of a line, and of its marks; told apart without colour, too
    "each step": ("#9a9a9a", "", ""),
    "train": ("#2b7bd0", "", "circle"),
    "eval": ("#c8690f", "5 3", "square"),
}

STYLE = (Path(__file__).parent / "widgets" / "live_plot.css").read_text(encoding="utf-8")

Point = tuple[float, float]


class Thinned:
    """A sequence of any length, of which at most `most` items are kept: each stands for `stride`.

    Args:
        most: an even number.
        merge: makes one item of several neighbours.

    Example:
        >>> last = Thinned(most=100, merge=lambda group: group[-1])
        >>> for step in range(1000):
        ...     last.add(step)
        >>> last.items[:3], last.stride
        ([15, 31, 47], 16)
    """

    def __init__(self, most: int, merge: Callable[[list[Any]], Any]) -> None:
        self.most = most
        self.merge = merge
        self.items: list[Any] = []
        self.group: list[Any] = []  # too few for an item of their own, yet
        self.stride = 1
        self.sent = 0  # so many items were in the news, and have not changed since

    def add(self, item: Any) -> None:
        """Append an item."""
        self.group.append(item)
        if len(self.group) == self.stride:
            self.items.append(self.merge(self.group))
            self.group = []
        if len(self.items) > self.most:  # an odd number: the last one waits
            pairs = zip(self.items[:-1:2], self.items[1::2], strict=True)
            self.group = [self.items[-1]] * self.stride
            self.items = [self.merge(list(pair)) for pair in pairs]
            self.stride *= 2
            self.sent = 0

    def news(self) -> dict[str, Any]:
        """The items that are new since the last time, and the place of the first of them."""
        at, self.sent = self.sent, len(self.items)
        return {"at": at, "items": self.items[at:]}

    def all(self) -> list[Any]:
        """All items, the last of which may stand for fewer."""
        return [*self.items, *([self.merge(self.group)] if self.group else [])]


class Curves:
    """What there is to draw of a training.

    Attributes:
        points: (step, loss) pairs: the mean loss of the steps up to this one. Steps count from 1.
        rows: (step, row) pairs: the step at which an epoch ended, and its row of the History.
    """

    def __init__(self) -> None:
        self.steps = 0
        self.points = Thinned(POINTS, mean_of)
        self.rows = Thinned(ROWS, lambda group: group[-1])

    def add_losses(self, losses: Sequence[float]) -> None:
        """Append the losses of steps."""
        for loss in losses:
            self.steps += 1
            self.points.add((self.steps, loss))

    def add_rows(self, rows: Sequence[Mapping[str, float]]) -> None:
        """Append the rows of all epochs so far, which are taken to be equally long."""
        for number, row in enumerate(rows, start=1):
            self.rows.add((self.steps * number // len(rows), dict(row)))

    def add_row(self, row: Mapping[str, float]) -> None:
        """Append the row of an epoch, which ended at the last step."""
        self.rows.add((self.steps, dict(row)))

    def history(self) -> dict[str, Any]:
        """All of it, plain and small."""
        return {"points": self.points.all(), "rows": self.rows.all(), "axes": self.axes()}

    def news(self) -> dict[str, Any]:
        """What is new since the last time."""
        return {"points": self.points.news(), "rows": self.rows.news(), "axes": self.axes()}

    def axes(self) -> dict[str, Any]:
        """The two axes of each chart."""
        found = charts(self.points.all(), self.rows.all())
        return {chart.name: [vars(axis) for axis in axes(chart)] for chart in found}

    def html(self, further: str = "") -> str:
        """The picture as HTML, with the style sheet's classes, and further panels behind it."""
        return curves_html(self.points.all(), self.rows.all(), further)


def mean_of(group: list[Point]) -> Point:
    """One point for several neighbours: at the step of the last, with their mean loss."""
    return group[-1][0], sum(loss for _, loss in group) / len(group)


# ---- from numbers to charts


@dataclass
class Chart:
    """One set of axes: a measure, over steps or over epochs.

    Attributes:
        name: the measure, such as 'loss'.
        unit: what stands below: 'step' or 'epoch'.
        lines: the points of each line by what it is: 'each step', 'train', 'eval'.
    """

    name: str
    unit: str
    lines: dict[str, list[Point]] = field(default_factory=dict)


def charts(points: Sequence[Point], rows: Sequence[tuple[int, Mapping[str, float]]]) -> list[Chart]:
    """The loss by step, and each other measure by epoch; train against eval."""
    loss = Chart("loss", "step", {"each step": list(points)} if points else {})
    found = {"loss": loss}
    for step, row in rows:
        for key, number in row.items():
            if key == "epoch":
                continue
            name, line = key.removeprefix("eval_"), "eval" if key.startswith("eval_") else "train"
            chart = found.setdefault(name, Chart(name, "epoch"))
            x = step if chart is loss else row["epoch"]
            chart.lines.setdefault(line, []).append((x, number))
    return [chart for chart in found.values() if chart.lines]


# ---- from charts to pictures


def curves_html(
    points: Sequence[Point],
    rows: Sequence[tuple[int, Mapping[str, float]]],
    further: str = "",
) -> str:
    """The charts, each an image, with its values where a pointer rests on it."""
    shown = "".join(
        f'<div class="tutorial-chart"><img alt="{escape(alt_text(chart))}" '
        f'src="data:image/svg+xml,{quote(svg(chart), safe=SAFE)}">{tips(chart)}</div>'
        for chart in charts(points, rows)
    )
    return f'<div class="tutorial-plot">{shown}{further}</div>' if shown or further else ""


SAFE = " ='/:;,.()-"  # what need not be escaped in a data URL between double quotes


def svg(chart: Chart) -> str:
    """One chart as SVG."""
    x_axis, y_axis = axes(chart)
    x, y = x_axis.place(LEFT, WIDTH - RIGHT), y_axis.place(HEIGHT - BOTTOM, TOP)
    right, bottom = WIDTH - RIGHT, HEIGHT - BOTTOM
    parts = [
        f"<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 {WIDTH} {HEIGHT}' "
        f"font-family='system-ui, sans-serif' font-size='11' fill='{GREY}'>",
        f"<text x='{LEFT}' y='14' font-size='13' font-weight='600'>{escape(chart.name)}</text>",
    ]
    for value, label in y_axis.ticks:
        parts.append(
            f"<path d='M{LEFT} {y(value):.1f}H{right}' stroke='{GREY}' stroke-opacity='0.25'/>"
            f"<text x='{LEFT - 6}' y='{y(value) + 4:.1f}' text-anchor='end'>"
            f"{label}</text>"
        )
    for value, label in x_axis.ticks:
        parts.append(
            f"<text x='{x(value):.1f}' y='{bottom + 15}' text-anchor='middle'>{label}</text>"
        )
    parts.append(f"<text x='{right}' y='{HEIGHT - 4}' text-anchor='end'>{chart.unit}</text>")
    place = right
    for name in reversed(chart.lines):  # the legend, from the right
        place -= 6 * len(name) + 26
        parts.append(drawn(name, [(place, 10), (place + 18, 10)], [(place + 9, 10)]))
        parts.append(f"<text x='{place + 22}' y='14'>{name}</text>")
    for name, line in chart.lines.items():
        at = [(x(a), y(b)) if math.isfinite(b) else None for a, b in line]
        parts.append(drawn(name, at, [p for p in at if p] if len(line) <= 40 else at[-1:]))
    return "".join([*parts, "</svg>"])


def drawn(name: str, line: Sequence[Point | None], marks: Sequence[Point | None]) -> str:
    """A line, broken where a value is not finite, and the marks on it."""
    color, dashes, mark = LOOKS[name]
    path, pen = "", "M"
    for point in line:
        path += f"{pen}{point[0]:.1f} {point[1]:.1f}" if point else ""
        pen = "L" if point else "M"
    width = 1.8 if mark else 1
    dashed = f" stroke-dasharray='{dashes}'" if dashes else ""
    parts = [f"<path d='{path}' fill='none' stroke='{color}' stroke-width='{width}'{dashed}/>"]
    for px, py in (point for point in marks if point and mark):
        if mark == "circle":
            parts.append(f"<circle cx='{px:.1f}' cy='{py:.1f}' r='3' fill='{color}'/>")
        else:
            parts.append(
                f"<rect x='{px - 3:.1f}' y='{py - 3:.1f}' width='6' height='6' fill='{color}'/>"
            )
    return "".join(parts)


def tips(chart: Chart) -> str:
    """Tooltips: the values at each place, shown while a pointer rests there."""
    texts: dict[float, list[str]] = {}
    for name, line in chart.lines.items():
        for x, y in line:
            texts.setdefault(x, []).append(f"{name} {y:.4g}")
    x_axis, _ = axes(chart)
    place = x_axis.place(100 * LEFT / WIDTH, 100 * (1 - RIGHT / WIDTH))
    places = sorted(texts)
    parts = []
    before, after = [x_axis.low, *places[:-1]], [*places[1:], x_axis.high]
    for a, x, b in zip(before, places, after, strict=True):
        left, right = place((a + x) / 2), place((x + b) / 2)
        parts.append(
            f'<i style="left:{left:.1f}%;width:{right - left:.1f}%" '
            f'data-tip="{chart.unit} {x:.0f}: {", ".join(texts[x])}"></i>'
        )
    return "".join(parts)


def alt_text(chart: Chart) -> str:
    """The alternative text: the picture in a sentence, for those who cannot see it."""
    lines = [
        f"{name} from {line[0][1]:.4g} to {line[-1][1]:.4g}" for name, line in chart.lines.items()
    ]
    last = max(x for line in chart.lines.values() for x, _ in line)
    return f"{chart.name} up to {chart.unit} {last:.0f}: {'; '.join(lines)}"


# ---- axes


@dataclass
class Axis:
    """Where an axis begins and ends, and the values that are marked on it, with their labels."""

    low: float
    high: float
    ticks: list[tuple[float, str]]

    def place(self, start: float, end: float) -> Callable[[float], float]:
        """From values to places between start and end."""
        return lambda value: start + (end - start) * (value - self.low) / (self.high - self.low)


def axes(chart: Chart) -> tuple[Axis, Axis]:
    """The two axes of a chart. Steps and epochs begin at 0; values between round numbers."""
    xs = [x for line in chart.lines.values() for x, _ in line]
    ys = [y for line in chart.lines.values() for _, y in line if math.isfinite(y)]
    marks, _ = round_numbers(0, max(xs), least=1)
    marks = [mark for mark in marks if mark <= max(xs)]
    x_axis = Axis(0, max(xs), labelled(marks, 0))
    marks, digits = round_numbers(min(ys, default=0), max(ys, default=1))
    return x_axis, Axis(marks[0], marks[-1], labelled(marks, digits))


def labelled(marks: list[float], digits: int) -> list[tuple[float, str]]:
    """The marks of an axis as they are written, short enough for their place."""
    short = digits <= 4 and max(map(abs, marks)) < 1e7
    return [(mark, f"{mark:.{digits}f}" if short else f"{mark:.1e}") for mark in marks]


def round_numbers(low: float, high: float, least: float = 0) -> tuple[list[float], int]:
    """Up to seven round numbers, evenly spaced, from `low` or below to `high` or above.

    Args:
        low: the smallest value.
        high: the largest value.
        least: they are at least so far apart.

    Returns:
        The numbers, and how many digits behind the point they need.

    Example:
        >>> round_numbers(0.13, 0.87)
        ([0.0, 0.2, 0.4, 0.6, 0.8, 1.0], 1)
    """
    largest = max(abs(low), abs(high), 1e-30)
    spread = high - low if high - low > 1e-6 * largest else largest
    power = 10.0 ** math.floor(math.log10(spread / 5))
    size = max(least, next(n * power for n in (1, 2, 5, 10) if n * power * 5 >= spread))
    first, last = math.floor(low / size), math.ceil(high / size)
    digits = max(0, -math.floor(math.log10(size)))
    numbers = range(first, max(last, first + 1) + 1)
    return [round(size * number, digits) for number in numbers], digits
