"""One number for each axis, for each channel; one matrix for each axis."""

import numpy as np


def for_each_axis(value, count):
    """One number for each of so many axes: (2, 2) for 2."""
    values = (value,) if np.isscalar(value) else tuple(value)
    return values * count if len(values) == 1 else values


def by_channel(v, x):
    """A vector v, one number for each channel, so that it can be added to x (n, channels, ..)."""
    return v.reshape(1, -1, *[1] * (x.ndim - 2))


def along_last_axes(x, matrices):
    """Each of the last axes times its matrix: rows @ x @ columns.T, for two."""
    for axis, matrix in zip(range(-len(matrices), 0), matrices):
        x = np.moveaxis(np.moveaxis(x, axis, -1) @ matrix.T, -1, axis)
    return x
