"""Understand training: the loop you read is the loop that ran.

The rooms, in the order in which to read them. Each has a map of its files in its `__init__.py`.

    loop/          READ FIRST, fit.py: training, evaluation and prediction as plain PyTorch
    model.py       Model: remembers the parts; contains no loop
    call.py        one call of a Model: its arguments, and what is decided before its loop begins
    callbacks/     stop early, save, log, change the learning rate, ...
    unroll/        from a call to its loop; Program: read, run, change, save and prove it
    depth/         the same loop, written out further: rule, forward, backward; with NumPy alone
    inputs/        what a batch holds, and whether it fits network, loss and metrics
    saving/        checkpoints, and the network for use elsewhere
    distributed/   several processes (ranks) that train together
    data/          MNIST and its bundled files; Batches, a loader for data that lies in tensors
    display/       how a running loop shows itself; figures, tables, widgets
    notebook/      %load_ext tutorial, cells with their calls unrolled, JupyterLab's buttons
    course/        the command `tutorial`, lessons, exercises, grading
    __main__.py    `make demo`: all of it in one minute

    history.py     History: what fit returns
    comparison.py  two runs: the first step at which they differ, and the likely reason
    reasons.py     what was different where they began, in words
    metrics.py     Accuracy, Precision, Recall, Auc
    models.py      LeNet
    device.py      set_device, get_device, seed
    precision.py   mixed precision
    running.py     what belongs to a call stays in the call: calls inside calls, and in threads
    parameters.py  what a parameter takes, said in its annotation
    tracebacks.py  what an error shows: the user's own lines and those of the loop
    checks.py      refuses a network, loss, metric or optimizer that cannot be trained
"""

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from tutorial import callbacks as callbacks
    from tutorial import data as datasets
    from tutorial import metrics as metrics
    from tutorial import models as models
    from tutorial.comparison import compare
    from tutorial.course.exercises import check
    from tutorial.course.hints import hint
    from tutorial.course.progress import progress
    from tutorial.data.batches import Batches
    from tutorial.device import get_device, seed, set_device
    from tutorial.display.confusion import confusion
    from tutorial.display.figures import plot, show
    from tutorial.display.widgets.draw_digit import DrawDigit
    from tutorial.display.widgets.live_plot import LivePlot
    from tutorial.display.widgets.replay import ReplayPlayer
    from tutorial.distributed.process_group import launch
    from tutorial.history import History
    from tutorial.inputs.spec import InputSpec
    from tutorial.model import Model
    from tutorial.unroll.program import Program

__all__ = [
    "Batches",
    "DrawDigit",
    "History",
    "InputSpec",
    "LivePlot",
    "Model",
    "Program",
    "ReplayPlayer",
    "callbacks",
    "check",
    "compare",
    "confusion",
    "datasets",
    "get_device",
    "hint",
    "launch",
    "metrics",
    "models",
    "plot",
    "progress",
    "seed",
    "set_device",
    "show",
]

# Where the public names live. A file is read when one of its names is first used, so that
# `import tutorial` costs next to nothing.
_HOMES = {
    "Batches": "data.batches",
    "DrawDigit": "display.widgets.draw_digit",
    "History": "history",
    "InputSpec": "inputs.spec",
    "LivePlot": "display.widgets.live_plot",
    "Model": "model",
    "Program": "unroll.program",
    "ReplayPlayer": "display.widgets.replay",
    "callbacks": "callbacks",
    "check": "course.exercises",
    "compare": "comparison",
    "confusion": "display.confusion",
    "datasets": "data",
    "get_device": "device",
    "hint": "course.hints",
    "launch": "distributed.process_group",
    "metrics": "metrics",
    "models": "models",
    "plot": "display.figures",
    "progress": "course.progress",
    "seed": "device",
    "set_device": "device",
    "show": "display.figures",
}


def __getattr__(name: str) -> Any:
    from importlib import import_module

    if name not in _HOMES:
        raise AttributeError(f"tutorial has no {name!r}; it has {', '.join(__all__)}.")
    home = import_module(f"tutorial.{_HOMES[name]}")
    return getattr(home, name, home)


def load_ipython_extension(ipython: Any) -> None:
    """Add the magics %%unroll, %unroll and %tl_check: what `%load_ext tutorial` calls."""
    from tutorial.notebook.magics import load_ipython_extension as load

    load(ipython)


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
