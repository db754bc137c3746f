"""All windows over an image, and back: what convolution and pooling rest on."""

import numpy as np


def windows(x, size, stride, dilation):
    """All windows over the last axes: x (.., h, w) gives (.., rows, columns, *size)."""
    spans = [step * (length - 1) + 1 for length, step in zip(size, dilation)]
    last_axes = tuple(range(-len(size), 0))
    found = np.lib.stride_tricks.sliding_window_view(x, spans, last_axes)
    return found[..., *[slice(None, None, step) for step in (*stride, *dilation)]]


def sum_of_windows(found, shape, stride, dilation):
    """Windows, added up where they were: what windows() is to forward, this is to backward."""
    rank = len(shape)
    places, size = found.shape[-2 * rank : -rank], found.shape[-rank:]
    x = np.zeros((*found.shape[: -2 * rank], *shape))
    for offset in np.ndindex(*size):  # all windows at once, one of their numbers at a time
        starts = [i * step for i, step in zip(offset, dilation)]
        at = [slice(i, i + n * step, step) for i, n, step in zip(starts, places, stride)]
        x[..., *at] += found[..., *offset]
    return x


def with_padding(x, sides, value=0):
    """x with so much before and after each of its last axes."""
    return np.pad(x, [(0, 0)] * (x.ndim - len(sides)) + list(sides), constant_values=value)


def without_padding(x, sides):
    """x without it."""
    last = zip(x.shape[-len(sides) :], sides)
    return x[..., *[slice(before, length - after) for length, (before, after) in last]]
