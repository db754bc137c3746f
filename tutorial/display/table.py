"""A table: in lines of characters, and as HTML."""

from collections.abc import Sequence
from html import escape
from typing import Any

# It scrolls by itself where a window is narrower; its lines are drawn in the page's own colour.
BOX = "overflow-x:auto;max-width:100%"
TABLE = "border-collapse:collapse;margin:0;font-variant-numeric:tabular-nums"
CELL = "text-align:right;padding:0.15em 0.7em;white-space:pre"
WIDEST = 40  # characters of a column's name
HEAD = f"{CELL};border-bottom:1px solid;font-weight:600"


def aligned(table: list[list[str]]) -> list[str]:
    """The rows as lines, each column as wide as its widest cell.

    Example:
        >>> aligned([["epoch", "loss"], ["1", "2.100"]])
        ['epoch   loss', '    1  2.100']
    """
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    return ["  ".join(map(str.rjust, row, widths)) for row in table]


def pointed(numbers: Sequence[float | None]) -> list[str]:
    """A column of numbers, point under point: a count as it is, others with four digits that count.

    Example:
        >>> pointed([1.622, 0.79412, None])
        ['1.622 ', '0.7941', '']
    """
    texts = ["" if n is None else text_of(n) for n in numbers]
    behind = [len(text.partition(".")[2]) for text in texts]
    return [
        text + " " * (max(behind) - digits) if digits else text
        for text, digits in zip(texts, behind, strict=True)
    ]


def text_of(value: Any) -> str:
    """A number with four digits that count; what else a loop of one's own notes, as it is."""
    if isinstance(value, int):
        return str(value)
    try:
        return f"{value:#.4g}"
    except (TypeError, ValueError):
        return heading(str(value))


def heading(name: str) -> str:
    """The name of a column, on one line."""
    plain = name if name.isprintable() else ascii(name)
    return plain if len(plain) <= WIDEST else f"{plain[:WIDEST]}..."


def html_table(table: list[list[str]], caption: str, words: int = 0) -> str:
    """The table as HTML that needs no style sheet; what is too wide for a window is scrolled to.

    Args:
        table: its rows, the first of which is the head.
        caption: what stands below.
        words: so many columns hold words, and begin on the left.
    """
    below = f"<div>{escape(caption)}</div>"
    if not table:
        return below
    head, *rows = table
    names = _row('th scope="col"', HEAD, head, words)
    lines = "".join(_row("td", CELL, row, words) for row in rows)
    return (
        f'<div style="{BOX}" tabindex="0" role="group" aria-label="{escape(caption)}">'
        f'<table style="{TABLE}"><thead>{names}</thead><tbody>{lines}</tbody></table>'
        f"</div>{below}"
    )


def _row(tag: str, style: str, cells: list[str], words: int) -> str:
    left = style.replace("right", "left")
    end = tag.partition(" ")[0]
    shown = [
        f'<{tag} style="{left if i < words else style}">{_padded(cell)}</{end}>'
        for i, cell in enumerate(cells)
    ]
    return f"<tr>{''.join(shown)}</tr>"


def _padded(cell: str) -> str:
    """The cell; what fills it up to the point of the others is as wide as digits are."""
    text = cell.rstrip()
    return escape(text) + "\u2007" * (len(cell) - len(text))
