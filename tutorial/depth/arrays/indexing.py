"""Numbers taken from places, and put at places, that other arrays tell."""

import math

import numpy as np


def at_places(index, dim):
    """An index for x: along dim what index says, along the other axes where it says it."""
    at = list(np.indices(index.shape, sparse=True))
    at[dim] = index
    return tuple(at)


def gather(x, dim, index):
    """y[i, j] = x[index[i, j], j], for dim 0."""
    return x[at_places(index, dim)]


def scatter(x, dim, index, y):
    """x with y[i, j] at x[index[i, j], j], for dim 0."""
    x = x.copy()
    x[at_places(index, dim)] = y if np.isscalar(y) else y[*map(slice, index.shape)]
    return x


def scatter_add(x, dim, index, y):
    """x with y[i, j] added to x[index[i, j], j], for dim 0."""
    x = x.copy()
    np.add.at(x, at_places(index, dim), y[*map(slice, index.shape)])
    return x


def index_select(x, dim, index):
    """Some slices of x."""
    return np.take(x, index, dim)


def index_add(x, dim, index, y):
    """x with each slice of y added to a slice of x."""
    x = x.copy()
    np.add.at(np.moveaxis(x, dim, 0), index, np.moveaxis(y, dim, 0))
    return x


def index_put(x, indices, y, accumulate=False):
    """x with y at x[indices], or added to it; None takes all of an axis."""
    x, at = x.copy(), tuple(slice(None) if i is None else i for i in indices)
    if accumulate:
        np.add.at(x, at, y)
    else:
        x[at] = y
    return x


def diagonal_backward(d_y, shape, offset, first, second):
    """d_y on the diagonal, 0 elsewhere."""
    d_x = np.zeros(shape)
    diagonal = np.diagonal(np.moveaxis(d_x, (first, second), (-2, -1)), offset, -2, -1)
    diagonal.flags.writeable = True
    diagonal[...] = d_y
    return d_x


def diag_embed(x, offset=0, first=-2, second=-1):
    """Each vector of the last axis on the diagonal of a matrix."""
    n = x.shape[-1] + abs(offset)
    shape, axes = (*x.shape[:-1], n, n), (first % (x.ndim + 1), second % (x.ndim + 1))
    y = diagonal_backward(x, shape, offset, -2, -1)
    return np.moveaxis(y, (-2, -1), axes)


def unfold(x, dim, size, step):
    """All windows along an axis; their numbers are the last axis."""
    dim %= x.ndim
    found = np.lib.stride_tricks.sliding_window_view(x, size, dim)
    return np.moveaxis(np.moveaxis(found, dim, 0)[::step], 0, dim)


def unfold_backward(d_y, shape, dim, size, step):
    """The windows, added up where they were."""
    d_x = np.zeros(shape)
    places = unfold(np.arange(math.prod(shape)).reshape(shape), dim, size, step)
    np.add.at(d_x.reshape(-1), places, d_y)
    return d_x


def max_unpool2d(x, places, size):
    """Each number at its place in the larger image, 0 elsewhere."""
    y = np.zeros((math.prod(x.shape[:-2]), math.prod(size)))
    rows = np.arange(len(y))[:, None]
    y[rows, places.reshape(len(y), -1)] = x.reshape(len(y), -1)
    return y.reshape(*x.shape[:-2], *size)
