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


def pixel_shuffle(x, factor):
    """Channels as pixels: (.., c * f * f, h, w) as (.., c, h * f, w * f)."""
    *n, c, h, w = x.shape
    x = x.reshape(-1, c // factor**2, factor, factor, h, w).transpose(0, 1, 4, 2, 5, 3)
    return x.reshape(*n, c // factor**2, h * factor, w * factor)


def pixel_unshuffle(x, factor):
    """Pixels as channels: (.., c, h * f, w * f) as (.., c * f * f, h, w)."""
    *n, c, h, w = x.shape
    x = x.reshape(-1, c, h // factor, factor, w // factor, factor).transpose(0, 1, 3, 5, 2, 4)
    return x.reshape(*n, c * factor**2, h // factor, w // factor)


def channel_shuffle(x, groups):
    """The first channel of each group, then the second of each, ..."""
    n, c, *shape = x.shape
    return x.reshape(n, groups, c // groups, *shape).swapaxes(1, 2).reshape(x.shape)
