"""Data sets, ready without a download: MNIST, the handwritten digits of the lesson.

The files lie beside this code, so every lesson starts at once, offline too, and always from the
same bytes.
"""

from tutorial.data.mnist import MNIST

__all__ = ["MNIST"]
