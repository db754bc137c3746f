"""Adaptive pooling: so many windows as are asked for, which together cover x."""

import numpy as np

from tutorial.depth.arrays.axes import along_last_axes, for_each_axis
from tutorial.depth.arrays.pooling import largest, put_back


def adaptive_avg_pool2d(x, size):
    """The mean of each of so many windows, which together cover x."""
    return adaptive_avg_pool(x, for_each_axis(size, 2))


def adaptive_avg_pool2d_backward(d_y, x):
    """Each place of x gets its part of d_y: d_y over the size of the window."""
    return adaptive_avg_pool_backward(d_y, x, 2)


def adaptive_avg_pool3d(x, size):
    """The same with three axes."""
    return adaptive_avg_pool(x, for_each_axis(size, 3))


def adaptive_avg_pool3d_backward(d_y, x):
    """Each place of x gets its part of d_y."""
    return adaptive_avg_pool_backward(d_y, x, 3)


def adaptive_avg_pool(x, size):
    """The means along each of the last axes, one after the other."""
    return along_last_axes(x, [*map(means_of_parts, x.shape[-len(size) :], size)])


def adaptive_avg_pool_backward(d_y, x, rank):
    """The same with transposed matrices."""
    means = map(means_of_parts, x.shape[-rank:], d_y.shape[-rank:])
    return along_last_axes(d_y, [each.T for each in means])


def adaptive_max_pool2d(x, size):
    """The largest number of each of so many windows, which together cover x; and its place."""
    return adaptive_max_pool(x, for_each_axis(size, 2))


def adaptive_max_pool2d_backward(d_y, x, places):
    """d_y where each window had its largest number, 0 elsewhere."""
    return put_back(d_y, x, places, 2)


def adaptive_max_pool3d(x, size):
    """The same with three axes."""
    return adaptive_max_pool(x, for_each_axis(size, 3))


def adaptive_max_pool3d_backward(d_y, x, places):
    """d_y where each window had its largest number, 0 elsewhere."""
    return put_back(d_y, x, places, 3)


def adaptive_max_pool(x, size):
    """All windows as one array, of which the largest are taken."""
    rank, shape = len(size), x.shape[-len(size) :]
    numbers = np.arange(np.prod(shape)).reshape(shape)
    at = []
    for axis, part in enumerate(map(places_of_parts, shape, size)):
        axes = [1] * 2 * rank
        axes[axis], axes[rank + axis] = part.shape
        at.append(part.reshape(axes))
    return largest(x[..., *at], numbers[*at], rank)


def starts_and_ends(length, count):
    """Where each of so many parts begins and ends."""
    part = np.arange(count)[:, None]
    return part * length // count, -(-(part + 1) * length // count)


def means_of_parts(length, count):
    """The matrix that makes of a vector the means of its parts."""
    starts, ends = starts_and_ends(length, count)
    inside = (starts <= np.arange(length)) & (np.arange(length) < ends)
    return inside / inside.sum(1, keepdims=True)


def places_of_parts(length, count):
    """The places of each part; a shorter one has its last place again."""
    starts, ends = starts_and_ends(length, count)
    return np.minimum(starts + np.arange((ends - starts).max()), ends - 1)


def fractional_max_pool2d(x, size, count, drawn):
    """The largest number of each of so many windows, whose places are drawn at random."""
    rows, columns = (
        random_places(length, *how)
        for length, *how in zip(x.shape[-2:], size, count, (drawn[..., 1], drawn[..., 0]))
    )
    at = rows[:, :, :, None, :, None] * x.shape[-1] + columns[:, :, None, :, None, :]
    found = np.take_along_axis(x.reshape(*x.shape[:2], -1), at.reshape(*x.shape[:2], -1), 2)
    return largest(found.reshape(at.shape), at, 2)


def fractional_max_pool2d_backward(d_y, x, size, count, places):
    """d_y where each window had its largest number, 0 elsewhere."""
    return put_back(d_y, x, places, 2)


def random_places(length, size, count, drawn):
    """The places of each window along an axis; the last one ends where x does."""
    step = (length - size) / max(count - 1, 1)
    u = drawn[..., None]
    starts = np.floor((np.arange(count) + u) * step) - np.floor(u * step)
    starts[..., -1] = length - size
    return starts[..., None].astype(int) + np.arange(size)
