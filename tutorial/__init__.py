"""Understand training: the loop you read is the loop that ran.

Read the library in this order; each file has one job.

    loops.py       the lesson: fit, evaluate and predict as plain PyTorch
    unroll.py      from loops.py and a call's options to a plain loop
    model.py       Model: remembers the parts, chooses the options; contains no loop
    program.py     Program: a plain loop that can be read, run, changed, saved and proved
    script.py      from live objects back to the code that makes them
    objects.py     what an object is made of, and whether two are alike
    source.py      the source of a class or function, and the names it needs
    proof.py       runs a script in a fresh process and compares every bit
    history.py     History: what fit returns
    metrics.py     Accuracy, Precision, Recall, Auc
    checkpoint.py  saves and loads what was learned, in one piece
    checks.py      refuses bad input, in words that help
    device.py      set_device, get_device, seed
    display/       how a running loop shows itself: silent, lines, a bar; and code in colours
    data/          MNIST and its bundled files
    models.py      LeNet
    demo.py        `make demo`: all of it in one minute
"""

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from tutorial import data as datasets
    from tutorial import metrics as metrics
    from tutorial import models as models
    from tutorial.device import get_device, seed, set_device
    from tutorial.history import History
    from tutorial.model import Model
    from tutorial.program import Program

__all__ = [
    "History",
    "Model",
    "Program",
    "datasets",
    "get_device",
    "metrics",
    "models",
    "seed",
    "set_device",
]

# Where the public names live. A file is read when one of its names is first used, so that
# `import tutorial` costs next to nothing.
_HOMES = {
    "History": "history",
    "Model": "model",
    "Program": "program",
    "datasets": "data",
    "get_device": "device",
    "metrics": "metrics",
    "models": "models",
    "seed": "device",
    "set_device": "device",
}


def __getattr__(name: str) -> Any:
    from importlib import import_module

    if name not in _HOMES:
        raise AttributeError(f"tutorial has no {name!r}; it has {', '.join(__all__)}.")
    home = import_module(f"tutorial.{_HOMES[name]}")
    return getattr(home, name, home)


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
