"""The windows of an image as columns of a matrix, and back."""

from tutorial.depth.arrays.axes import for_each_axis
from tutorial.depth.arrays.windows import (
    sum_of_windows,
    windows,
    with_padding,
    without_padding,
)


def im2col(x, size, dilation, padding, stride):
    """Each window of x (n, c, h, w) as a column of a matrix (n, c * u * v, windows)."""
    size, dilation, padding, stride = (
        for_each_axis(v, 2) for v in (size, dilation, padding, stride)
    )
    found = windows(with_padding(x, [(p, p) for p in padding]), size, stride, dilation)
    n, c, i, j, u, v = found.shape
    return found.transpose(0, 1, 4, 5, 2, 3).reshape(n, c * u * v, i * j)


def col2im(columns, shape, size, dilation, padding, stride):
    """The columns, added up where the windows were."""
    size, dilation, padding, stride = (
        for_each_axis(v, 2) for v in (size, dilation, padding, stride)
    )
    padded = [length + 2 * p for length, p in zip(shape, padding)]
    i, j = (
        (length - d * (width - 1) - 1) // step + 1
        for length, width, d, step in zip(padded, size, dilation, stride)
    )
    found = columns.reshape(len(columns), -1, *size, i, j).transpose(0, 1, 4, 5, 2, 3)
    x = sum_of_windows(found, padded, stride, dilation)
    return without_padding(x, [(p, p) for p in padding])
