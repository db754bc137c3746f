"""Convolution: the same weights at each place of an image; and its transpose."""

import numpy as np

from tutorial.depth.arrays.axes import by_channel, for_each_axis
from tutorial.depth.arrays.windows import (
    sum_of_windows,
    windows,
    with_padding,
    without_padding,
)

PLACES, OFFSETS = "ijk", "uvw"  # in formulas for np.einsum: of windows, and within a window


def conv1d(x, W, b=None, stride=1, padding=0, dilation=1, groups=1):
    """y[n, o, i] = b[o] + the sum of x[n, c, i + u] * W[o, c, u] over c and u."""
    return convolved(x, W, b, stride, padding, dilation, groups)


def conv2d(x, W, b=None, stride=1, padding=0, dilation=1, groups=1):
    """y[n, o, i, j] = b[o] + the sum of x[n, c, i + u, j + v] * W[o, c, u, v] over c, u, v."""
    return convolved(x, W, b, stride, padding, dilation, groups)


def conv3d(x, W, b=None, stride=1, padding=0, dilation=1, groups=1):
    """The same with three axes."""
    return convolved(x, W, b, stride, padding, dilation, groups)


def conv_transpose1d(x, W, b=None, stride=1, padding=0, output_padding=0, groups=1, dilation=1):
    """y[n, o, i + u] = b[o] + the sum of x[n, c, i] * W[c, o, u] over c and all such i and u."""
    return transposed_convolution(x, W, b, stride, padding, output_padding, groups, dilation)


def conv_transpose2d(x, W, b=None, stride=1, padding=0, output_padding=0, groups=1, dilation=1):
    """The same with two axes."""
    return transposed_convolution(x, W, b, stride, padding, output_padding, groups, dilation)


def conv_transpose3d(x, W, b=None, stride=1, padding=0, output_padding=0, groups=1, dilation=1):
    """The same with three axes."""
    return transposed_convolution(x, W, b, stride, padding, output_padding, groups, dilation)


def convolved(x, W, b, stride, padding, dilation, groups):
    """A convolution with as many axes as W has."""
    stride, padding, dilation = (for_each_axis(v, W.ndim - 2) for v in (stride, padding, dilation))
    found = windows(with_padding(x, [(p, p) for p in padding]), W.shape[2:], stride, dilation)
    y = einsum_by_group("nc{ijk}{uvw},oc{uvw}->no{ijk}", found, W, groups, (1, 0, 1))
    return y if b is None else y + by_channel(b, y)


def transposed_convolution(x, W, b, stride, padding, output_padding, groups, dilation):
    """A transposed convolution with as many axes as W has."""
    each = [for_each_axis(v, W.ndim - 2) for v in (stride, padding, dilation, output_padding)]
    shape = [
        (length - 1) * step - 2 * p + d * (size - 1) + more + 1
        for length, size, step, p, d, more in zip(x.shape[2:], W.shape[2:], *each)
    ]
    y = spread(x, W, shape, *each[:3], groups)
    return y if b is None else y + by_channel(b, y)


def spread(d_y, W, shape, stride, padding, dilation, groups):
    """Each number of d_y, times W, added to the window from which it came: W's transpose."""
    d_windows = einsum_by_group("no{ijk},oc{uvw}->nc{ijk}{uvw}", d_y, W, groups, (1, 0, 1))
    padded = [length + 2 * p for length, p in zip(shape, padding)]
    d_x = sum_of_windows(d_windows, padded, stride, dilation)
    return without_padding(d_x, [(p, p) for p in padding])


def convolution_backward(
    d_y,
    x,
    W,
    stride=1,
    padding=0,
    dilation=1,
    groups=1,
    transposed=False,
    output_padding=0,
    wanted=(True, True, True),
):
    """d_x is W's transpose over d_y; d_W[o, c, u] the sum of d_y[n, o, i] * x[n, c, i + u]."""
    stride, padding, dilation = (for_each_axis(v, W.ndim - 2) for v in (stride, padding, dilation))
    d_x = None
    if wanted[0] and transposed:
        d_x = convolved(d_y, W, None, stride, padding, dilation, groups)
        d_x = d_x[:, :, *map(slice, x.shape[2:])]
    elif wanted[0]:
        d_x = spread(d_y, W, x.shape[2:], stride, padding, dilation, groups)
    large, small = (d_y, x) if transposed else (x, d_y)
    found = windows(with_padding(large, [(p, p) for p in padding]), W.shape[2:], stride, dilation)
    found = found[:, :, *map(slice, small.shape[2:])]  # not those in output_padding
    d_W = einsum_by_group("nc{ijk}{uvw},no{ijk}->oc{uvw}", found, small, groups, (1, 1, 0))
    return d_x, d_W, d_y.sum((0, *range(2, d_y.ndim)))


def einsum_by_group(formula, a, b, groups, axes):
    """np.einsum for each group of channels; the axes are their places in a, b and the result."""
    rank = b.ndim - 2
    formula = formula.format(ijk=PLACES[:rank], uvw=OFFSETS[:rank])
    parts = zip(np.split(a, groups, axes[0]), np.split(b, groups, axes[1]))
    return np.concatenate([np.einsum(formula, *part, optimize=True) for part in parts], axes[2])
