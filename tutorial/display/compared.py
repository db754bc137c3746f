"""Two runs beside each other, as HTML: in words, their curves, and how far apart they are."""

from html import escape
from typing import Any

from tutorial.display.logarithmic import PLOT, WIDTH, Lines, axes, image
from tutorial.display.table import html_table

APART = "how far apart"
POINTS = 120  # of a line
LOOKS = {"mine": ("#2b7bd0", ""), "theirs": ("#c8690f", "5 3"), "apart": ("#7d8426", "")}


def comparison_html(comparison: Any) -> str:
    """What `compare` has found, as HTML that needs nothing else."""
    verdict = escape(comparison.verdict())
    parts = [f'<div style="max-width:60em"><p style="margin:0.3em 0"><b>{verdict}</b></p>']
    reasons = False  # is a list open?
    for line in comparison.explanation():
        is_reason = line.startswith("- ")
        if is_reason != reasons:
            parts.append('<ul style="margin:0.2em 0">' if is_reason else "</ul>")
        reasons = is_reason
        shown = escape(line.removeprefix("- "))
        parts.append(f"<li>{shown}</li>" if is_reason else f'<p style="margin:0.3em 0">{shown}</p>')
    parts.append("</ul>" * reasons)
    if min(len(comparison.mine.step_losses), len(comparison.theirs.step_losses)) > 1:
        parts.append(image(svg(comparison), alt_text(comparison)))
    if table := comparison.last_means():
        parts.append(html_table(table, "the means of the last epoch that both have"))
    return "".join([*parts, "</div>"])


def svg(comparison: Any) -> str:
    """Both losses above, and how far they are apart below; where that begins, a line."""
    losses = {"mine": comparison.mine.step_losses, "theirs": comparison.theirs.step_losses}
    lines: Lines = {name: thinned(line) for name, line in losses.items()}
    pairs = zip(*losses.values(), strict=False)
    last = max(map(len, losses.values()))
    apart: Lines = {"apart": [*thinned([abs(a - b) for a, b in pairs]), (last, None)]}
    mark = None if comparison.step is None else comparison.step + 1
    below = "" if mark is None else axes(apart, LOOKS, PLOT + 26, APART, first(mark), mark=mark)
    height = (PLOT + 26) * (1 + bool(below)) - 6
    legend = "".join(
        f"<path d='M{x} 8h18' stroke='{LOOKS[name][0]}' stroke-width='2' "
        f"stroke-dasharray='{LOOKS[name][1]}'/><text x='{x + 22}' y='12'>{name}</text>"
        for x, name in ((96, "mine"), (156, "theirs"))
    )
    return (
        f"<svg viewBox='0 0 {WIDTH} {height}' font-family='system-ui, sans-serif' "
        f"font-size='11' fill='currentColor'>{legend}"
        f"{axes(lines, LOOKS, 0, 'loss', f'up to step {last:,}', mark=mark)}"
        f"{below}</svg>"
    )


def first(mark: int) -> str:
    """What the line says."""
    return f"from step {mark:,} on"


def thinned(losses: list[float]) -> list[tuple[int, float | None]]:
    """Some of the steps, evenly far apart; no value where a logarithm has none."""
    steps = [*range(0, len(losses), max(1, len(losses) // POINTS)), len(losses) - 1]
    return [(i + 1, losses[i] if 0 < losses[i] < float("inf") else None) for i in steps]


def alt_text(comparison: Any) -> str:
    """The picture in a sentence, for those who cannot see it."""
    told = [
        f"the loss of {name} from {run.step_losses[0]:.4g} to {run.step_losses[-1]:.4g}"
        for name, run in (("mine", comparison.mine), ("theirs", comparison.theirs))
    ]
    mark = None if comparison.step is None else comparison.step + 1
    return f"{told[0]}; {told[1]}; {'they are equal' if mark is None else f'apart {first(mark)}'}"
