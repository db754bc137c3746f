"""Numbers in the order of their size, and where they were."""

import numpy as np


def sort(x, dim=-1, descending=False):
    """x in order along an axis, and where each number was."""
    places = np.argsort(-x if descending else x, dim, kind="stable")
    return np.take_along_axis(x, places, dim), places


def topk(x, k, dim=-1, largest=True, in_order=True):
    """The k largest numbers along an axis, or the smallest; and where they are."""
    return tuple(np.take(part, range(k), dim) for part in sort(x, dim, largest))


def median(x, dim, keepdim=False):
    """The number in the middle along an axis, of two the smaller; and where it is."""
    middle = [(x.shape[dim] - 1) // 2]
    found = [np.take(part, middle, dim) for part in sort(x, dim)]
    return tuple(found if keepdim else [part.squeeze(dim) for part in found])


def cummax(x, dim):
    """The largest number up to each place, and where it was last."""
    y = np.maximum.accumulate(x, dim)
    here = np.moveaxis(
        np.broadcast_to(np.arange(x.shape[dim]), np.moveaxis(x, dim, -1).shape), -1, dim
    )
    return y, np.maximum.accumulate(np.where(x == y, here, 0), dim)


def cummin(x, dim):
    """The smallest number up to each place, and where it was last."""
    y, places = cummax(-x, dim)
    return -y, places


def max_of(x, dim=None, keepdim=False):
    """The largest number; along an axis also where it is."""
    if dim is None:
        return x.max()
    return x.max(dim, keepdims=keepdim), x.argmax(dim, keepdims=keepdim)


def min_of(x, dim=None, keepdim=False):
    """The smallest number; along an axis also where it is."""
    if dim is None:
        return x.min()
    return x.min(dim, keepdims=keepdim), x.argmin(dim, keepdims=keepdim)
