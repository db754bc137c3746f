"""A notebook's cell, with every call of a `Model` written out as the plain PyTorch that it runs.

Nothing here knows IPython: `unroll_cell` goes from a cell's source and the names of its notebook to
an `UnrolledCell`, and `prove` runs both and compares them. The magics call these; the buttons of
JupyterLab ask for an `Answer`.

    parts.py      a cell's statements, and where calls stand in them
    harmless.py   runs code that has no effects, and nothing of the user's own
    lookahead.py  what these calls are made with, found out without making them
    naming.py     one call's plain loop, in the user's own names
    unrolled.py   the whole cell; and a replay of one of its calls
    run_both.py   runs the cell and the unrolled cell, and compares every bit
    show.py       a cell beside what it unrolls to; the unrolled cell as JSON, for a front end
"""

from tutorial.notebook.cell.parts import CellError
from tutorial.notebook.cell.run_both import prove
from tutorial.notebook.cell.show import Answer, ReplayAnswer
from tutorial.notebook.cell.unrolled import (
    UnrolledCell,
    numpy_programs,
    replay_cell,
    unroll_cell,
)

__all__ = [
    "Answer",
    "CellError",
    "ReplayAnswer",
    "UnrolledCell",
    "numpy_programs",
    "prove",
    "replay_cell",
    "unroll_cell",
]
