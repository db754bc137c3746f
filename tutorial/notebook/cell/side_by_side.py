"""A cell beside what it unrolls to: each statement beside the lines that it became."""

import shutil
import textwrap
from collections.abc import Iterator
from itertools import zip_longest

from tutorial.display.highlight import highlighted
from tutorial.notebook.cell.unrolled import UnrolledCell

HEADINGS = ("as written", "unrolled: what runs")
NARROW = 100  # columns of a terminal; below, the two stand below each other
GAP = " | "

# Each pair is a row. Where two columns do not fit, CSS puts the second below the first.
ROW = "display:flex;flex-wrap:wrap;gap:0 1em;border-top:1px solid rgba(128,128,128,.35)"
SIDE = "min-width:0;box-sizing:border-box;padding-left:.7em;border-left:3px solid "
SIDES = (f"flex:1 1 24em;{SIDE}rgba(128,128,128,.5)", f"flex:2 1 36em;{SIDE}#2f8f8f")


class SideBySide:
    """An unrolled cell as two columns: in a notebook as HTML, elsewhere as text."""

    def __init__(self, unrolled: UnrolledCell) -> None:
        self.unrolled = unrolled

    def __repr__(self) -> str:
        return self.text(shutil.get_terminal_size().columns)

    def _repr_html_(self) -> str:
        rows = [row("columnheader", *(f"<b>{heading}</b>" for heading in HEADINGS))]
        for before, after in self._pairs():
            rows.append(row("cell", *(highlighted(side) for side in (before, after))))
        return f'<div role="table" aria-label="{" and ".join(HEADINGS)}">{"".join(rows)}</div>'

    def text(self, width: int) -> str:
        """Two columns in so many columns of text; in few, one below the other."""
        lines = self._stacked() if width < NARROW else self._columns(width)
        return "\n".join(line.rstrip() for line in lines)

    def _pairs(self) -> Iterator[tuple[str, str]]:
        """The pairs, less the blank lines between them."""
        for pair in self.unrolled.pairs:
            if pair.before.strip() or pair.after.strip():
                yield pair.before.strip("\n"), pair.after.strip("\n")

    def _columns(self, width: int) -> Iterator[str]:
        longest = max(len(line) for line in [HEADINGS[0], *self.unrolled.before.splitlines()])
        left = min(longest, (width - len(GAP)) // 2)
        right = width - len(GAP) - left
        rule = "-" * left + "-+-" + "-" * right
        yield HEADINGS[0].ljust(left) + GAP + HEADINGS[1]
        for before, after in self._pairs():
            yield rule
            sides = (folded(before, left), folded(after, right))
            for a, b in zip_longest(*sides, fillvalue=""):
                yield a.ljust(left) + GAP + b

    def _stacked(self) -> Iterator[str]:
        for before, after in self._pairs():
            if before == after:
                yield from ("---- in both", before)
            else:
                yield from (f"---- {HEADINGS[0]}", before) if before else ()
                yield from (f"---- {HEADINGS[1]}", after)


def row(role: str, *sides: str) -> str:
    """One row of the two columns."""
    cells = (
        f'<div role="{role}" style="{style}">{side}</div>'
        for side, style in zip(sides, SIDES, strict=True)
    )
    return f'<div role="row" style="{ROW}">{"".join(cells)}</div>'


def folded(text: str, width: int) -> list[str]:
    """The lines of a text, those that are too long in pieces."""
    lines = []
    for line in text.splitlines():
        indent = line[: len(line) - len(line.lstrip())] + "    "
        lines += textwrap.wrap(line, width, subsequent_indent=indent[: width // 2]) or [""]
    return lines
