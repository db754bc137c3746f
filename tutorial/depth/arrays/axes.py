"""One number for each axis, or for each channel."""

import numpy as np


def for_each_axis(value, count):
    """One number for each of so many axes: (2, 2) for 2."""
    values = (value,) if np.isscalar(value) else tuple(value)
    return values * count if len(values) == 1 else values


def by_channel(v, x):
    """A vector v, one number for each channel, so that it can be added to x (n, channels, ..)."""
    return v.reshape(1, -1, *[1] * (x.ndim - 2))
