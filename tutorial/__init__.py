"""Understand training: the loop you read is the loop that ran.

Read the library in this order; each file has one job.

    loops.py       the lesson: fit, evaluate and predict as plain PyTorch
    unroll.py      from loops.py and a call's options to a plain loop
    model.py       Model: remembers the parts, chooses the options; contains no loop
    rehearsal.py   before a call runs: a look at the first samples
    fetching.py    how batches come from the data
    loading.py     Batches: a loader for data that lies in tensors
    labels.py      whether labels fit the loss and the predictions
    batches.py     what a batch holds, and what its parts are called in the loop
    inputs.py      InputSpec: what an input looks like
    measures.py    losses and metrics, by their names in the loop
    precision.py   mixed precision
    program.py     Program: a plain loop that can be read, run, changed, saved and proved
    script.py      from live objects back to the code that makes them
    objects.py     what an object is made of, and whether two are alike
    source.py      the source of a class or function, and the names it needs
    proof.py       runs a script in a fresh process and compares every bit
    history.py     History: what fit returns
    metrics.py     Accuracy, Precision, Recall, Auc
    callbacks/     callbacks: stop early, save, log, ...
    wiring.py      what callbacks are connected to
    checkpoint.py  saves and loads what was learned, in one piece
    checks.py      refuses bad input, in words that help
    processes.py   several processes that train together: launch, and how one joins the others
    sharing.py     the samples that they share out, and the counts that they put together
    sharding.py    a network in parts: each has a piece of every weight
    device.py      set_device, get_device, seed
    summary.py     a network's layers and parameters
    export.py      the network for use elsewhere: torch.export and ONNX
    display/       how a running loop shows itself: lines, a bar, live curves; code; figures
    mistakes.py    confusion: which classes are taken for which
    drawing.py     a drawn digit and a network: what it is taken for; the network in 8 bits
    widgets/       LivePlot and DrawDigit: each a class, and an ES module beside it
    data/          MNIST and its bundled files
    models.py      LeNet
    cell/          a notebook's cell with its calls unrolled, and the proof that both do the same
    magics.py      %load_ext tutorial
    exercises/     check: what of an answer is right, and where it first goes wrong
    grading/       lessons without solutions, and points for what students hand in
    cli.py         the command `tutorial`
    lessons.py     the lessons, as their notebooks tell of them
    server.py      the lessons for JupyterLab and Notebook 7
    labextension/  their buttons, launcher and panels, in TypeScript
    demo.py        `make demo`: all of it in one minute
"""

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from tutorial import callbacks as callbacks
    from tutorial import data as datasets
    from tutorial import metrics as metrics
    from tutorial import models as models
    from tutorial.device import get_device, seed, set_device
    from tutorial.display.figures import plot, show
    from tutorial.exercises import check
    from tutorial.history import History
    from tutorial.inputs import InputSpec
    from tutorial.loading import Batches
    from tutorial.mistakes import confusion
    from tutorial.model import Model
    from tutorial.processes import launch
    from tutorial.program import Program
    from tutorial.widgets.draw_digit import DrawDigit
    from tutorial.widgets.live_plot import LivePlot

__all__ = [
    "Batches",
    "DrawDigit",
    "History",
    "InputSpec",
    "LivePlot",
    "Model",
    "Program",
    "callbacks",
    "check",
    "confusion",
    "datasets",
    "get_device",
    "launch",
    "metrics",
    "models",
    "plot",
    "seed",
    "set_device",
    "show",
]

# Where the public names live. A file is read when one of its names is first used, so that
# `import tutorial` costs next to nothing.
_HOMES = {
    "Batches": "loading",
    "DrawDigit": "widgets.draw_digit",
    "History": "history",
    "InputSpec": "inputs",
    "LivePlot": "widgets.live_plot",
    "Model": "model",
    "Program": "program",
    "callbacks": "callbacks",
    "check": "exercises",
    "confusion": "mistakes",
    "datasets": "data",
    "get_device": "device",
    "launch": "processes",
    "metrics": "metrics",
    "models": "models",
    "plot": "display.figures",
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
    from tutorial.magics import load_ipython_extension as load

    load(ipython)


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
