"""Pooling: of each window the largest number, or the mean."""

import math

import numpy as np

from tutorial.depth.arrays.axes import for_each_axis
from tutorial.depth.arrays.windows import (
    sum_of_windows,
    windows,
    with_padding,
    without_padding,
)


def max_pool2d(x, size, stride=None, padding=0, dilation=1, ceil_mode=False, return_indices=False):
    """y[i, j] is the largest x[i + u, j + v]; and its place in x, with all numbers in a row."""
    y, places = max_pool(x, 2, size, stride, padding, dilation, ceil_mode)
    return (y, places) if return_indices else y


def max_pool2d_backward(d_y, x, places, size, stride=None, padding=0, dilation=1, ceil_mode=False):
    """d_y where each window had its largest number, 0 elsewhere."""
    return put_back(d_y, x, places, 2)


def max_pool3d_with_indices(x, size, stride=None, padding=0, dilation=1, ceil_mode=False):
    """The same with three axes."""
    return max_pool(x, 3, size, stride, padding, dilation, ceil_mode)


def max_pool3d_with_indices_backward(d_y, x, size, stride, padding, dilation, ceil_mode, places):
    """d_y where each window had its largest number, 0 elsewhere."""
    return put_back(d_y, x, places, 3)


def max_pool(x, rank, size, stride, padding, dilation, ceil_mode):
    """The largest number of each window over the last axes, and its place."""
    size, stride, padding, dilation = each_window(rank, size, stride, padding, dilation)
    sides = sides_of_pool(x.shape[-rank:], size, stride, padding, dilation, ceil_mode)
    numbers = np.arange(math.prod(x.shape[-rank:])).reshape(x.shape[-rank:])
    in_x = windows(with_padding(numbers, sides), size, stride, dilation)
    found = windows(with_padding(x, sides, -np.inf), size, stride, dilation)
    return largest(found, in_x, rank)


def largest(found, in_x, rank):
    """The largest number of each window, and where it is in x."""
    found = found.reshape(*found.shape[:-rank], -1)
    in_x = np.broadcast_to(in_x.reshape(*in_x.shape[:-rank], -1), found.shape)
    at = found.argmax(-1)[..., None]
    return np.take_along_axis(found, at, -1)[..., 0], np.take_along_axis(in_x, at, -1)[..., 0]


def put_back(d_y, x, places, rank):
    """d_y added at places of x, 0 elsewhere."""
    d_x = np.zeros((math.prod(x.shape[:-rank]), math.prod(x.shape[-rank:])))
    rows = np.arange(len(d_x))[:, None]
    np.add.at(d_x, (rows, places.reshape(len(d_x), -1)), d_y.reshape(len(d_x), -1))
    return d_x.reshape(x.shape)


def avg_pool2d(
    x, size, stride=None, padding=0, ceil_mode=False, count_include_pad=True, divisor_override=None
):
    """y[i, j] is the mean of all x[i + u, j + v]."""
    return avg_pool(x, 2, size, stride, padding, ceil_mode, count_include_pad, divisor_override)


def avg_pool2d_backward(
    d_y,
    x,
    size,
    stride=None,
    padding=0,
    ceil_mode=False,
    count_include_pad=True,
    divisor_override=None,
):
    """Each place of x gets its part of d_y: d_y over the size of the window."""
    return avg_pool_backward(
        d_y, x, 2, size, stride, padding, ceil_mode, count_include_pad, divisor_override
    )


def avg_pool3d(
    x, size, stride=None, padding=0, ceil_mode=False, count_include_pad=True, divisor_override=None
):
    """The same with three axes."""
    return avg_pool(x, 3, size, stride, padding, ceil_mode, count_include_pad, divisor_override)


def avg_pool3d_backward(
    d_y,
    x,
    size,
    stride=None,
    padding=0,
    ceil_mode=False,
    count_include_pad=True,
    divisor_override=None,
):
    """Each place of x gets its part of d_y."""
    return avg_pool_backward(
        d_y, x, 3, size, stride, padding, ceil_mode, count_include_pad, divisor_override
    )


def avg_pool(x, rank, size, stride, padding, ceil_mode, count_include_pad, divisor):
    """The mean of each window over the last axes."""
    size, stride, padding, dilation = each_window(rank, size, stride, padding, 1)
    sides = sides_of_pool(x.shape[-rank:], size, stride, padding, dilation, ceil_mode)
    found = windows(with_padding(x, sides), size, stride, dilation)
    counts = divisor or numbers_in_windows(x, sides, size, stride, padding, count_include_pad)
    return found.sum(tuple(range(-rank, 0))) / counts


def avg_pool_backward(d_y, x, rank, size, stride, padding, ceil_mode, count_include_pad, divisor):
    """d_y over the size of the window, to each number of the window."""
    size, stride, padding, dilation = each_window(rank, size, stride, padding, 1)
    sides = sides_of_pool(x.shape[-rank:], size, stride, padding, dilation, ceil_mode)
    counts = divisor or numbers_in_windows(x, sides, size, stride, padding, count_include_pad)
    each = (d_y / counts)[..., *[None] * rank]
    d_windows = np.broadcast_to(each, (*d_y.shape, *size))
    padded = [sum(side) + length for side, length in zip(sides, x.shape[-rank:])]
    return without_padding(sum_of_windows(d_windows, padded, stride, dilation), sides)


def numbers_in_windows(x, sides, size, stride, padding, count_include_pad):
    """How many numbers of x each window has; those of the padding count, or do not."""
    ones = with_padding(
        np.ones(x.shape[-len(size) :]), [(p, p) for p in padding], count_include_pad
    )
    beyond = [(0, after - p) for (_, after), p in zip(sides, padding)]
    found = windows(with_padding(ones, beyond), size, stride, (1,) * len(size))
    return found.sum(tuple(range(-len(size), 0)))


def each_window(rank, size, stride, padding, dilation):
    """Each for each axis; the stride is the window's size, if nothing is said."""
    return (for_each_axis(v, rank) for v in (size, stride or size, padding, dilation))


def sides_of_pool(shape, size, stride, padding, dilation, ceil_mode):
    """How much padding is before and after each axis; ceil_mode: with the last, incomplete one."""
    sides = []
    for length, width, step, p, d in zip(shape, size, stride, padding, dilation):
        span = d * (width - 1) + 1
        places = -(-(length + 2 * p - span) // step) + 1
        places -= (places - 1) * step >= length + p  # each window begins in x
        after = (places - 1) * step + span - length - p
        sides.append((p, max(p, after) if ceil_mode else p))
    return sides
