"""How a running loop shows itself: silent, in lines, or as a bar. The loop calls a `Report`.

report.py     Report: what the loop calls; Lines
terminal.py   a progress bar at a terminal
notebook.py   a progress bar and live curves in a notebook
bar.py        the bar as HTML
curves.py     what a fit has noted, thinned
chart.py      learning curves as SVG
epochs.py     the means of the epochs as a small table
panel.py      Panel: what a further picture beside them has to have
figures.py    learning curves and samples as matplotlib figures
pictured.py   a figure with an alternative text, in the colours of a notebook's theme
confusion.py  which classes are predicted for which
table.py      a table in lines of characters
logarithmic.py  a set of axes whose values go up in powers of ten
insight.py    what a network does while it learns, layer by layer
compared.py   two runs beside each other
summary.py    a network's layers and parameters
highlight.py  a program as coloured HTML
depths.py     a program at its depths, with a control, and a style sheet and script beside it
replay.py     a recording of a loop, shown line by line, with a style sheet and script beside it
widgets/      LivePlot and DrawDigit: each a class, and an ES module beside it
"""

import os
import sys
from contextlib import suppress
from typing import Any

from tutorial.display.report import Lines, Report


def choose(verbose: int, log_freq: int) -> Report:
    """The report for one call.

    Args:
        verbose: 0: silent. 1: a progress bar on a terminal, in a notebook also live curves;
            elsewhere (a file, a pipe, a notebook that runs unattended) a line for each epoch. 2: a
            line for every `log_freq` steps and each epoch.
        log_freq: steps between two lines of verbose=2.
    """
    if verbose == 0:
        return Report()
    if verbose == 2:
        return Lines(log_freq)
    if in_notebook():
        from tutorial.display.notebook import NotebookDisplay

        return NotebookDisplay()
    if not is_terminal("stderr"):
        return Lines()
    from tutorial.display.terminal import TerminalBar

    return TerminalBar()


def is_terminal(name: str) -> bool:
    """Whether stdout or stderr is a terminal. A program without a console has neither."""
    with suppress(AttributeError, ValueError):
        return bool(getattr(sys, name).isatty())
    return False


def in_notebook() -> bool:
    """Whether a person watches a Jupyter front end.

    nbclient, nbval and papermill run a notebook unattended: they tell the kernel that nobody could
    answer a question. And what `launch` forks off a kernel cannot speak to the front end.
    """
    return bool(getattr(a_kernel(), "_allow_stdin", False))


def a_kernel() -> Any:
    """The Jupyter kernel of this process, if it is one."""
    if "IPython" not in sys.modules or "TORCHELASTIC_RUN_ID" in os.environ:
        return None
    from IPython import get_ipython

    return getattr(get_ipython(), "kernel", None)
