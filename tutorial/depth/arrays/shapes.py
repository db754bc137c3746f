"""The same numbers in another shape: what NumPy's own methods do not do as torch's do."""

import numpy as np


def expand(x, *sizes):
    """The array repeated along the axes where it has size 1; -1 leaves a size as it is."""
    old = (1,) * (len(sizes) - x.ndim) + x.shape
    return np.broadcast_to(x, [a if size == -1 else size for a, size in zip(old, sizes)])


def select(x, axis, i):
    """The i-th part along an axis."""
    return np.moveaxis(x, axis, 0)[i]


def unbind(x, axis=0):
    """All parts along an axis."""
    return list(np.moveaxis(x, axis, 0))


def split(x, size, axis=0):
    """Parts of this size along an axis, or of these sizes."""
    sizes = range(size, x.shape[axis], size) if isinstance(size, int) else np.cumsum(size)[:-1]
    return np.split(x, list(sizes), axis)


def chunk(x, count, axis=0):
    """So many parts of the same size along an axis."""
    return split(x, -(-x.shape[axis] // count), axis)


def squeeze(x, *axes):
    """Without the axes of size 1 among these; without any, if none is named."""
    axes = axes or range(x.ndim)
    return np.squeeze(x, tuple(axis for axis in axes if x.shape[axis] == 1))
