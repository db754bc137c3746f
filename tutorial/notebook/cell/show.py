"""Show an unrolled cell: beside the cell that it came from; or as JSON, for a front end."""

import shutil
import textwrap
from collections.abc import Iterator, Mapping
from html import escape
from itertools import zip_longest
from typing import Any

from tutorial.display.highlight import FONT, SCROLLS, code_of
from tutorial.notebook.cell.parts import CellError
from tutorial.notebook.cell.unrolled import UnrolledCell, replay_cell, unroll_cell
from tutorial.unroll.proof import Proof

HEADINGS = ("as written", "unrolled: what runs")
NARROW = 100  # columns of a terminal; in fewer, the two stand below each other
GAP = " | "

# Each pair is a row. Where two columns do not fit, CSS puts the second below the first. The left
# one has as much room as its lines need; what is too long, one scrolls to, and the left one stays.
ROW = "display:flex;flex-wrap:wrap;border-top:1px solid rgba(128,128,128,.35)"
SIDE = "box-sizing:border-box;padding:.3em 1em .3em .7em;border-left:3px solid "
LEFT = (
    f"{SIDE}rgba(128,128,128,.5);position:sticky;left:0;background:var(--jp-layout-color0,Canvas)"
)
RIGHT = f"{SIDE}#2f8f8f"
AROUND = 4  # columns that these paddings take
READABLE = 64  # columns of a loop; what is out of sight then is the end of comments


class SideBySide:
    """Each statement of a cell beside the lines that it became: in a notebook HTML, else text."""

    def __init__(self, unrolled: UnrolledCell) -> None:
        self.pairs = [  # without the blank lines around them
            (pair.before.strip("\n"), pair.after.strip("\n"))
            for pair in unrolled.pairs
            if pair.before.strip() or pair.after.strip()
        ]

    def __repr__(self) -> str:
        return self.text(shutil.get_terminal_size().columns)

    def _repr_html_(self) -> str:
        label = " and ".join(HEADINGS)
        rows = [self._row("columnheader", *(f"<b>{heading}</b>" for heading in HEADINGS))]
        rows += [self._row("cell", *map(_code, pair)) for pair in self.pairs]
        table = f'<div role="table" aria-label="{label}">{"".join(rows)}</div>'
        style = f"overflow-x:auto;{FONT}"
        return f'<div {SCROLLS} aria-label="{label}" style="{style}">{table}</div>'

    def _row(self, role: str, left: str, right: str) -> str:
        """One row of the two columns."""
        wide, high = self._columns_of(0), min(self._columns_of(1), READABLE)
        styles = f"flex:0 0 {wide}ch;{LEFT}", f"flex:1 0 {high}ch;min-width:0;{RIGHT}"
        cells = (
            f'<div role="{role}" style="{style}">{side}</div>'
            for side, style in zip((left, right), styles, strict=True)
        )
        return f'<div role="row" style="{ROW}">{"".join(cells)}</div>'

    def _columns_of(self, side: int) -> int:
        """How wide a side is, in letters."""
        lines = [line for pair in self.pairs for line in pair[side].splitlines()]
        return max(map(len, [HEADINGS[side], *lines])) + AROUND

    def text(self, width: int) -> str:
        """Two columns in so many columns of text; in few, one below the other."""
        lines = self._stacked() if width < NARROW else self._columns(width)
        return "\n".join(line.rstrip() for line in lines)

    def _columns(self, width: int) -> Iterator[str]:
        written = [HEADINGS[0], *(line for before, _ in self.pairs for line in before.splitlines())]
        left = min(max(map(len, written)), (width - len(GAP)) // 2)
        right = width - len(GAP) - left
        yield HEADINGS[0].ljust(left) + GAP + HEADINGS[1]
        for before, after in self.pairs:
            yield "-" * left + "-+-" + "-" * right
            sides = (_folded(before, left), _folded(after, right))
            for a, b in zip_longest(*sides, fillvalue=""):
                yield a.ljust(left) + GAP + b

    def _stacked(self) -> Iterator[str]:
        for before, after in self.pairs:
            if before == after:
                yield from ("---- in both", before)
            else:
                yield from (f"---- {HEADINGS[0]}", before) if before else ()
                yield from (f"---- {HEADINGS[1]}", after)


def _code(source: str) -> str:
    """Code that its surroundings scroll."""
    style = f"margin:0;padding:0;background:none;overflow:visible;{FONT}"
    return f'<pre style="{style}">{code_of(source)}</pre>'


def _folded(text: str, width: int) -> list[str]:
    """The lines of a text, those that are too long folded."""
    lines = []
    for line in text.splitlines():
        indent = line[: len(line) - len(line.lstrip())] + "    "
        lines += textwrap.wrap(line, width, subsequent_indent=indent[: width // 2]) or [""]
    return lines


class Verdict:
    """What `prove` found about a cell, in a notebook with a colour at its side."""

    def __init__(self, proof: Proof) -> None:
        self.proof = proof

    def __repr__(self) -> str:
        return self.proof.line

    def _repr_html_(self) -> str:
        edge, title = ("#2f8f2f", "both do the same") if self.proof else ("#c2403a", "not proved")
        return (
            f'<div role="status" style="border-left:4px solid {edge};padding:0.2em 0.8em">'
            f"<strong>{title}</strong><br>{escape(self.proof.line)}</div>"
        )


ON_ITS_OWN = "in NumPy each call is a program of its own: %%unroll --depth numpy"


class AtDepths:
    """An unrolled cell, in a notebook with a control for the depth.

    Args:
        unrolled: the cell, at the depth that is shown at first.
        namespace: what its names stand for.
        depth: this depth.
    """

    def __init__(self, unrolled: UnrolledCell, namespace: Mapping[str, Any], depth: str) -> None:
        self.unrolled, self.depth = unrolled, depth
        self.sources: dict[str, str] = {depth: unrolled.source}
        self.missing: dict[str, str] = {}
        for other in ("loop", "optimizer"):  # what is asked for may take long, these don't
            if other not in self.sources:
                try:
                    self.sources[other] = unroll_cell(unrolled.before, namespace, other).source
                except CellError as error:
                    self.missing[other] = str(error)

    def __repr__(self) -> str:
        return repr(self.unrolled)

    def _repr_html_(self) -> str:
        from tutorial.depth.depths import DEPTHS  # the tracer takes its time to import
        from tutorial.depth.shown import at_depths

        sources = {depth: self.sources[depth] for depth in DEPTHS if depth in self.sources}
        on_demand = "written out on demand: %%unroll --depth gradients"
        missing = {"gradients": on_demand, "numpy": ON_ITS_OWN, **self.missing}
        calls = ", ".join(call.site.code for call in self.unrolled.calls)
        return at_depths(calls, sources, missing, self.depth, self.unrolled.networks)


class ReplayAnswer:
    """The replay of a cell's first call as JSON: `html`, a page that plays it; or `error`.

    Args:
        source: the cell. A first line `%%unroll` or `%%replay` counts for nothing.
        namespace: what its names stand for, such as `globals()`.
        depth: how far the call is written out.
    """

    def __init__(self, source: str, namespace: Mapping[str, Any], depth: str = "loop") -> None:
        self.json: dict[str, Any]
        try:
            self.json = {"html": replay_cell(source, namespace, depth)._repr_html_()}
        except CellError as error:
            self.json = {"error": str(error)}

    def _repr_json_(self) -> dict[str, Any]:
        return self.json


class Answer:
    """The unrolled cell as JSON: `source` and `pairs`; or `error`, a message.

    A front end asks for it by an expression, which leaves no trace in the notebook: neither a name
    nor an entry in its history.

    Args:
        source: the cell. A first line `%%unroll` is left out.
        namespace: what its names stand for, such as `globals()`.
        depth: how far its calls are written out.

    Example:
        >>> import torch, tutorial as tl
        >>> clf, points = tl.Model(torch.nn.Linear(1, 2)), torch.zeros(3, 1)
        >>> Answer("clf.predict_batch(points)", globals() | locals()).json.keys()
        dict_keys(['source', 'pairs'])
        >>> Answer("print(points)", {}).json["error"]
        'there is no call of a Model in this cell. Looked for: ...
    """

    def __init__(self, source: str, namespace: Mapping[str, Any], depth: str = "loop") -> None:
        self.json: dict[str, Any]
        try:
            pairs = list(unroll_cell(source, namespace, depth).pairs)
        except CellError as error:
            self.json = {"error": str(error)}
            return
        if pairs[0].before.startswith("%%unroll"):
            del pairs[0]
        unrolled = "".join(pair.after for pair in pairs).strip("\n")
        self.json = {"source": unrolled, "pairs": [pair._asdict() for pair in pairs]}

    def _repr_json_(self) -> dict[str, Any]:
        return self.json
