"""Images of another size: each new number is a weighted mean of those near it.

The weights of an axis are a matrix; backward has its transpose.
"""

import numpy as np

from tutorial.depth.arrays.axes import along_last_axes


def upsample_nearest1d(x, size, *scales):
    """y[i] = x[floor(i / scale)]."""
    return along_last_axes(x, nearest_weights(x.shape, size, scales, 0))


def upsample_nearest2d(x, size, *scales):
    """y[i, j] = x[floor(i / scale), floor(j / scale)]."""
    return along_last_axes(x, nearest_weights(x.shape, size, scales, 0))


def upsample_nearest3d(x, size, *scales):
    """The same with three axes."""
    return along_last_axes(x, nearest_weights(x.shape, size, scales, 0))


def upsample_nearest1d_backward(d_y, size, shape, *scales):
    """Each place of x gets the sum of what it was copied to."""
    return along_last_axes(d_y, transposed(nearest_weights(shape, size, scales, 0)))


def upsample_nearest2d_backward(d_y, size, shape, *scales):
    """Each place of x gets the sum of what it was copied to."""
    return along_last_axes(d_y, transposed(nearest_weights(shape, size, scales, 0)))


def upsample_nearest3d_backward(d_y, size, shape, *scales):
    """Each place of x gets the sum of what it was copied to."""
    return along_last_axes(d_y, transposed(nearest_weights(shape, size, scales, 0)))


def upsample_nearest_exact1d(x, size, *scales):
    """y[i] = x[floor((i + 1 / 2) / scale)]."""
    return along_last_axes(x, nearest_weights(x.shape, size, scales, 0.5))


def upsample_nearest_exact2d(x, size, *scales):
    """The same with two axes."""
    return along_last_axes(x, nearest_weights(x.shape, size, scales, 0.5))


def upsample_nearest_exact3d(x, size, *scales):
    """The same with three axes."""
    return along_last_axes(x, nearest_weights(x.shape, size, scales, 0.5))


def upsample_nearest_exact1d_backward(d_y, size, shape, *scales):
    """Each place of x gets the sum of what it was copied to."""
    return along_last_axes(d_y, transposed(nearest_weights(shape, size, scales, 0.5)))


def upsample_nearest_exact2d_backward(d_y, size, shape, *scales):
    """Each place of x gets the sum of what it was copied to."""
    return along_last_axes(d_y, transposed(nearest_weights(shape, size, scales, 0.5)))


def upsample_nearest_exact3d_backward(d_y, size, shape, *scales):
    """Each place of x gets the sum of what it was copied to."""
    return along_last_axes(d_y, transposed(nearest_weights(shape, size, scales, 0.5)))


def upsample_linear1d(x, size, align_corners, *scales):
    """The mean of the two nearest numbers, weighted by how near they are."""
    return along_last_axes(x, linear_weights(x.shape, size, align_corners, scales))


def upsample_bilinear2d(x, size, align_corners, *scales):
    """The mean of the four nearest numbers, weighted by how near they are."""
    return along_last_axes(x, linear_weights(x.shape, size, align_corners, scales))


def upsample_trilinear3d(x, size, align_corners, *scales):
    """The mean of the eight nearest numbers, weighted by how near they are."""
    return along_last_axes(x, linear_weights(x.shape, size, align_corners, scales))


def upsample_linear1d_backward(d_y, size, shape, align_corners, *scales):
    """Each place of x gets the sum of where it was used, with the same weights."""
    return along_last_axes(d_y, transposed(linear_weights(shape, size, align_corners, scales)))


def upsample_bilinear2d_backward(d_y, size, shape, align_corners, *scales):
    """Each place of x gets the sum of where it was used, with the same weights."""
    return along_last_axes(d_y, transposed(linear_weights(shape, size, align_corners, scales)))


def upsample_trilinear3d_backward(d_y, size, shape, align_corners, *scales):
    """Each place of x gets the sum of where it was used, with the same weights."""
    return along_last_axes(d_y, transposed(linear_weights(shape, size, align_corners, scales)))


def upsample_bicubic2d(x, size, align_corners, *scales):
    """Cubic curves through the sixteen nearest numbers."""
    return along_last_axes(x, cubic_weights(x.shape, size, align_corners, scales))


def upsample_bicubic2d_backward(d_y, size, shape, align_corners, *scales):
    """Each place of x gets the sum of where it was used, with the same weights."""
    return along_last_axes(d_y, transposed(cubic_weights(shape, size, align_corners, scales)))


def nearest_weights(shape, size, scales, middle):
    """For each axis the matrix that copies numbers of x to their places in y."""
    weights = []
    for length, count, ratio in ratios(shape, size, scales, align_corners=False):
        near = np.floor((np.arange(count) + middle) * ratio)
        near = np.minimum(near, length - 1)
        weights.append(1.0 * (near[:, None] == np.arange(length)))
    return weights


def linear_weights(shape, size, align_corners, scales):
    """For each axis the matrix that has 1 - distance for each two numbers that are near."""
    weights = []
    for length, count, ratio in ratios(shape, size, scales, align_corners):
        places = np.clip(places_in_x(count, ratio, align_corners), 0, length - 1)
        weights.append(np.maximum(1 - np.abs(places[:, None] - np.arange(length)), 0))
    return weights


def cubic_weights(shape, size, align_corners, scales):
    """For each axis the matrix of the cubic convolution kernel; beyond x are copies of its edge."""
    weights = []
    for length, count, ratio in ratios(shape, size, scales, align_corners):
        far = np.abs(places_in_x(count, ratio, align_corners)[:, None] - np.arange(-2, length + 3))
        inner = 1.25 * far**3 - 2.25 * far**2 + 1
        outer = -0.75 * far**3 + 3.75 * far**2 - 6 * far + 3
        kernel = np.where(far < 1, inner, np.where(far < 2, outer, 0))
        weights.append(kernel @ np.pad(np.eye(length), [(2, 3), (0, 0)], "edge"))
    return weights


def ratios(shape, size, scales, align_corners):
    """For each axis: its length, the new one, and how far apart neighbors of y are in x."""
    for length, count, scale in zip(shape[2:], size, scales or [None] * len(size)):
        if align_corners:
            yield length, count, (length - 1) / max(count - 1, 1)
        else:
            yield length, count, 1 / scale if scale else length / count


def places_in_x(count, ratio, align_corners):
    """Where in x the numbers of y lie; aligned are the corners' centers, or else their edges."""
    middle = 0 if align_corners else 0.5
    return (np.arange(count) + middle) * ratio - middle


def transposed(matrices):
    """The transpose of each."""
    return [matrix.T for matrix in matrices]
