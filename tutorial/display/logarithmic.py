"""A set of axes whose values go up in powers of ten, as SVG in the colour of the text around it."""

import math
from collections.abc import Mapping, Sequence
from html import escape

from tutorial.display import chart

WIDTH, LEFT, RIGHT = 360, 46, 10
PLOT = 92  # the height of a set of axes
RED = "#c3403a"
XMLNS = "http://www.w3.org/2000/svg"
# On pages whose themes are known; elsewhere, or if this is left out, the system's theme counts.
THEMES = (
    '<style>:is([data-jp-theme-light="false"],[data-theme="dark"],.vscode-dark) '
    ".tutorial-figure{color-scheme:dark}"
    ':is([data-jp-theme-light="true"],[data-theme="light"],.vscode-light) '
    ".tutorial-figure{color-scheme:light}</style>"
)

Lines = Mapping[str, Sequence[tuple[int, float | None]]]


def image(svg: str, alt: str) -> str:
    """The SVG as an image, which needs no script, no style sheet and no network."""
    named = svg.replace("<svg ", f"<svg xmlns='{XMLNS}' ", 1)
    style = "display:block;width:100%;max-width:440px"
    return THEMES + chart.image(named, alt, f'class="tutorial-figure" style="{style}" ')


def axes(
    lines: Lines,
    looks: Mapping[str, tuple[str, str]],
    top: int,
    title: str,
    note: str,
    band: Sequence[float] = (),
    mark: int | None = None,
) -> str:
    """One set of axes: steps to the right, values upward in powers of ten; and the lines in it.

    Args:
        lines: points by the line's name; None where a value is not to be drawn.
        looks: of each line the colour and the dashes.
        top: where it begins.
        title: what is measured; on the left, above it.
        note: on the right.
        band: a band that is shaded: from where, the best, to where.
        mark: a step to be marked.
    """
    values = [y for line in lines.values() for _, y in line if y]
    last = max((x for line in lines.values() for x, _ in line), default=1)
    low = math.floor(math.log10(min([*values, *band], default=1e-3)))
    high = max(math.ceil(math.log10(max([*values, *band], default=1))), low + 1)
    upper, lower = top + 20, top + 14 + PLOT - 8

    def x(step: float) -> float:
        return LEFT + (WIDTH - RIGHT - LEFT) * step / last

    def y(value: float) -> float:
        return lower - (lower - upper) * (math.log10(value) - low) / (high - low)

    parts = [
        heading(top + 12, LEFT, title),
        f"<text x='{WIDTH - RIGHT}' y='{top + 12}' text-anchor='end'>{escape(note)}</text>",
    ]
    if band:
        first, best, end = band
        parts.append(
            f"<rect x='{LEFT}' y='{y(end):.0f}' width='{WIDTH - RIGHT - LEFT}' "
            f"height='{y(first) - y(end):.0f}' fill='#2e8f57' fill-opacity='0.16'/>"
            f"<path d='M{LEFT} {y(best):.0f}H{WIDTH - RIGHT}' stroke='#2e8f57' "
            "stroke-dasharray='1 3'/>"
        )
    if mark is not None:
        parts.append(
            f"<path d='M{x(mark):.1f} {upper}V{lower}' stroke='{RED}' stroke-dasharray='3 2'/>"
        )
    apart = math.ceil((high - low) / 4)
    for power in range(low, high + 1, apart):
        at = y(10.0**power)
        parts.append(
            f"<path d='M{LEFT} {at:.0f}H{WIDTH - RIGHT}' stroke='currentColor' "
            "stroke-opacity='0.25'/>"
            f"<text x='{LEFT - 6}' y='{at + 4:.0f}' text-anchor='end'>{power_of_ten(power)}</text>"
        )
    for name, line in lines.items():
        color, dashes = looks[name]
        path, pen = "", "M"
        for step, value in line:
            path += f"{pen}{x(step):.0f} {y(value):.0f}" if value else ""
            pen = "L" if value else "M"
        dashed = f" stroke-dasharray='{dashes}'" if dashes else ""
        parts.append(f"<path d='{path}' fill='none' stroke='{color}' stroke-width='1.6'{dashed}/>")
    return "".join(parts)


def power_of_ten(power: int) -> str:
    """0.001, or 1e-5 where that would be long."""
    return f"{10.0**power:g}" if -4 <= power <= 4 else f"1e{power}"


def heading(y: int, x: int, text: str) -> str:
    """A title."""
    return f"<text x='{x}' y='{y}' font-weight='600'>{text}</text>"
