"""Data sets, ready without a download: MNIST, the handwritten digits of the lesson.

The files lie beside this code, so every lesson starts at once, offline too, and always from the
same bytes.

mnist.py    MNIST
batches.py  Batches: a loader for data that lies in tensors
ahead.py    LookAhead: a loader that knows which batch is the last
mnist/      the files, and their licence
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tutorial.data.mnist import MNIST

__all__ = ["MNIST"]


def __getattr__(name: str) -> Any:
    if name != "MNIST":
        raise AttributeError(f"tutorial.data has no {name!r}; it has {', '.join(__all__)}.")
    from tutorial.data.mnist import MNIST  # only now: it reads torchvision

    return MNIST
