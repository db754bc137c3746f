"""A chart as SVG: learning curves over steps or epochs.

The picture stands for itself: it needs no script, no style sheet and no network, and follows a dark
theme. So it survives in a saved notebook, on a static page and in a file that nobody has trusted
yet. `widgets/live_plot.js` draws the same picture while a loop runs.
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from urllib.parse import quote

# A chart's size, and the least room around its axes: left, right, above, below. All in pixels.
WIDTH, HEIGHT = 360, 200
LEFT, RIGHT, TOP, BOTTOM = 46, 10, 26, 34
DIGIT = 6.6  # pixels of a character of 11 pixels, at most
LOOKS = {  # of a line, and of its marks; told apart without colour, too
    "steps": ("#8a8a8a", "", ""),
    "train": ("#2b7bd0", "", "circle"),
    "eval": ("#c8690f", "5 3", "square"),
}
RED = "#c3403a"
TEXT = {"light": "#595959", "dark": "#b3b3b3"}  # in an image; elsewhere the text's own colour

STYLE = (Path(__file__).parent / "widgets" / "live_plot.css").read_text(encoding="utf-8")

Point = tuple[float, float]
Break = tuple[int, str]  # the step at which a loss is nan or infinite, and what it is


@dataclass
class Chart:
    """One set of axes: a measure, over steps or over epochs.

    Attributes:
        name: the measure, such as 'loss'.
        unit: what stands below: 'step' or 'epoch'.
        lines: the points of each line by what it is: 'steps', 'train', 'eval'.
        stride: of so many steps a point of 'steps' is the mean.
        lost: where the loss became nan or infinite, if it did.
    """

    name: str
    unit: str
    lines: dict[str, list[Point]] = field(default_factory=dict)
    stride: int = 1
    lost: Break | None = None


def charts(
    points: Sequence[Point],
    rows: Sequence[tuple[int, Mapping[str, float]]],
    stride: int = 1,
    lost: Break | None = None,
) -> list[Chart]:
    """The loss by step, and each other measure by epoch; train against eval."""
    loss = Chart("loss", "step", {"steps": list(points)} if points else {}, stride, lost)
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


def charts_html(charts: Iterable[Chart], further: str = "", with_tips: bool = True) -> str:
    """The charts, each an image, with its values where a pointer rests on it."""
    shown = "".join(
        f'<div class="tutorial-chart">{image(svg(chart), alt_text(chart))}'
        f"{tips(chart) if with_tips else ''}</div>"
        for chart in charts
    )
    return f'<div class="tutorial-plot">{shown}{further}</div>' if shown or further else ""


# ---- a picture


SAFE = " ='/:;,.()-"  # what need not be escaped in a data URL between double quotes


def image(svg: str, alt: str, attributes: str = "") -> str:
    """SVG as an image, in which `currentColor` reads well on the page's white or black.

    Inside of an image `currentColor` would be black. The image knows whether the page's
    color-scheme is dark: live_plot.css sets that for the pages whose themes it knows. It takes
    more attributes of HTML's, each with a space behind it.
    """
    opening, rest = svg.split(">", 1)
    style = (
        f"<style>svg{{color:{TEXT['light']}}}"
        f"@media(prefers-color-scheme:dark){{svg{{color:{TEXT['dark']}}}}}</style>"
    )
    source = quote(f"{opening}>{style}{rest}", safe=SAFE)
    return f'<img {attributes}alt="{escape(alt)}" src="data:image/svg+xml,{source}">'


def svg(chart: Chart) -> str:
    """One chart as SVG."""
    x_axis, y_axis = axes(chart)
    left, right, bottom = left_of(y_axis), WIDTH - RIGHT, HEIGHT - BOTTOM
    x, y = x_axis.place(left, right), y_axis.place(bottom, TOP)
    parts = [
        f"<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 {WIDTH} {HEIGHT}' "
        f"font-family='system-ui, sans-serif' font-size='11' fill='currentColor'>",
        f"<text x='{left}' y='14' font-size='13' font-weight='600'>{escape(chart.name)}</text>",
    ]
    for value, label in y_axis.ticks:
        parts.append(
            f"<path d='M{left} {y(value):.1f}H{right}' stroke='currentColor' stroke-opacity='0.2'/>"
            f"<text x='{left - 6}' y='{y(value) + 4:.1f}' text-anchor='end'>{label}</text>"
        )
    for value, label in x_axis.ticks:
        at = min(x(value), WIDTH - 2 - DIGIT / 2 * len(label))  # no label is cut off
        parts.append(f"<text x='{at:.1f}' y='{bottom + 15}' text-anchor='middle'>{label}</text>")
    parts.append(f"<text x='{right}' y='{HEIGHT - 4}' text-anchor='end'>{chart.unit}</text>")
    place = right
    for name in reversed(chart.lines):  # the legend, from the right
        label = label_of(name, chart.stride)
        place -= 6 * len(label) + 26
        parts.append(drawn(name, [(place, 10), (place + 18, 10)], [(place + 9, 10)]))
        parts.append(f"<text x='{place + 22}' y='14'>{label}</text>")
    for name, line in chart.lines.items():
        at_line = [(x(a), y(b)) if is_number(b) else None for a, b in line]
        marks = [p for p in at_line if p] if len(line) <= 40 else at_line[-1:]
        parts.append(drawn(name, at_line, marks))
        if len(line) == 1 and at_line[0] and chart.unit == "epoch":
            px, py = at_line[0]
            shift, anchor = (-8, "end") if name == "eval" else (8, "start")
            parts.append(
                f"<text x='{px + shift:.1f}' y='{py + 4:.1f}' text-anchor='{anchor}'>"
                f"{short(line[0][1])}</text>"
            )
    if chart.lost:
        parts.append(mark_of(chart.lost, x(chart.lost[0]), right))
    return "".join([*parts, "</svg>"])


def label_of(name: str, stride: int) -> str:
    """What the legend says of a line."""
    if name != "steps":
        return name
    return "each step" if stride == 1 else f"mean of {stride} steps"


def drawn(name: str, line: Sequence[Point | None], marks: Sequence[Point | None]) -> str:
    """A line, broken where there is no number, and the marks on it."""
    color, dashes, mark = LOOKS[name]
    path, pen = "", "M"
    for i, point in enumerate(line):
        path += f"{pen}{point[0]:.1f} {point[1]:.1f}" if point else ""
        if point and pen == "M" and not mark and not any(line[i + 1 : i + 2]):
            path += "h1"  # alone between two breaks
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


def mark_of(lost: Break, x: float, right: float) -> str:
    """Where the loss became nan or infinite."""
    step, word = lost
    shift, anchor = (-5, "end") if x > right / 2 else (5, "start")
    return (
        f"<path d='M{x:.1f} {TOP}V{HEIGHT - BOTTOM}' stroke='{RED}' stroke-width='1.5'/>"
        f"<text x='{x + shift:.1f}' y='{TOP + 14}' text-anchor='{anchor}'>"
        f"{word} from step {step} on</text>"
    )


def tips(chart: Chart) -> str:
    """Tooltips: the values at each place, shown while a pointer rests there."""
    texts: dict[float, list[str]] = {}
    for name, line in chart.lines.items():
        before = 0.0
        for x, y in line:
            label = label_of(name, round(x - before) if name == "steps" else 1)
            texts.setdefault(x, []).append(f"{label} {short(y)}")
            before = x
    x_axis, y_axis = axes(chart)
    place = x_axis.place(100 * left_of(y_axis) / WIDTH, 100 * (1 - RIGHT / WIDTH))
    places = sorted(texts)
    parts = []
    before_it, after = [x_axis.low, *places[:-1]], [*places[1:], x_axis.high]
    for a, x, b in zip(before_it, places, after, strict=True):
        left, at, right = place((a + x) / 2), place(x), place((x + b) / 2)
        share = (at - left) / max(right - left, 1e-9)
        side = ' class="right"' if at > 50 else ""
        parts.append(
            f'<i{side} style="left:{left:.1f}%;width:{right - left:.1f}%;--at:{100 * share:.0f}%" '
            f'data-tip="{chart.unit} {x:.0f}: {", ".join(texts[x])}"></i>'
        )
    return "".join(parts)


def alt_text(chart: Chart) -> str:
    """The alternative text: the picture in a sentence, for those who cannot see it."""
    lines = [
        f"{label_of(name, chart.stride)} from {short(line[0][1])} to {short(line[-1][1])}"
        for name, line in chart.lines.items()
    ]
    last = max(x for line in chart.lines.values() for x, _ in line)
    lost = f"; {chart.lost[1]} from step {chart.lost[0]} on" if chart.lost else ""
    return f"{chart.name} up to {chart.unit} {last:.0f}: {'; '.join(lines)}{lost}"


def short(number: float | None) -> str:
    """Four significant digits."""
    return f"{math.nan if number is None else number:.4g}"


def is_number(value: float | None) -> bool:
    """Whether it can be drawn."""
    return value is not None and math.isfinite(value)


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


def left_of(y_axis: Axis) -> float:
    """Where the axes begin: to their left is room for the longest label."""
    return max(LEFT, 8 + DIGIT * max(len(label) for _, label in y_axis.ticks))


def axes(chart: Chart) -> tuple[Axis, Axis]:
    """The two axes of a chart: steps from 0, epochs from 1; values between round numbers."""
    xs = [x for line in chart.lines.values() for x, _ in line]
    ys = [y for line in chart.lines.values() for _, y in line if is_number(y)]
    last, first = max(xs), 0 if chart.unit == "step" else min(xs)
    if last == 1 or first == last:  # alone, in the middle
        x_axis = Axis(last - 1, last + 1, labelled([last], 0))
    else:
        marks, _ = round_numbers(first, last, least=1)
        x_axis = Axis(first, last, labelled([m for m in marks if first <= m <= last], 0))
    marks, digits = round_numbers(min(ys, default=0), max(ys, default=1))
    return x_axis, Axis(marks[0], marks[-1], labelled(marks, digits))


def labelled(marks: list[float], digits: int) -> list[tuple[float, str]]:
    """The marks of an axis as they are written, short enough for their place."""
    if digits <= 4 and max(map(abs, marks)) < 1e6:
        return [(mark, f"{mark:.{digits}f}") for mark in marks]
    for digits in range(6):  # as many as tell them apart
        labels = [scientific(mark, digits) for mark in marks]
        if len(set(labels)) == len(labels):
            break
    return list(zip(marks, labels, strict=True))


def scientific(number: float, digits: int) -> str:
    """A number as short as it can be: 1.5e24."""
    mantissa, exponent = f"{number:.{digits}e}".split("e")
    return f"{mantissa}e{int(exponent)}" if number else "0"


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
    largest = max(abs(low), abs(high))
    spread = high - low if high - low > 1e-6 * largest else largest or 1.0
    spread = max(spread, 1e-30)
    power = 10.0 ** math.floor(math.log10(spread / 5))
    size = max(least, next(n * power for n in (1, 2, 5, 10) if n * power * 5 >= spread))
    first, last = math.floor(low / size), math.ceil(high / size)
    if first == last:  # below a share that is 1: no share is larger
        first, last = (first - 1, last) if high > 0 else (first, last + 1)
    digits = max(0, -math.floor(math.log10(size)))
    numbers = range(first, last + 1)
    return [round(size * number, digits) for number in numbers], digits
