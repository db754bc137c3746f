"""What is put at another place."""

import numpy as np


def select_scatter(x, y, dim, index):
    """x with y in the place of one of its slices."""
    x = x.copy()
    np.moveaxis(x, dim, 0)[index] = y
    return x


def slice_scatter(x, y, dim=0, start=None, end=None, step=1):
    """x with y in the place of some of its slices."""
    x = x.copy()
    np.moveaxis(x, dim, 0)[start:end:step] = np.moveaxis(y, dim, 0)
    return x
