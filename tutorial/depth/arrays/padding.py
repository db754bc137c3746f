"""Padding: numbers around an image."""

import numpy as np

from tutorial.depth.arrays.axes import along_last_axes
from tutorial.depth.arrays.windows import with_padding, without_padding


def constant_pad_nd(x, pad, value=0):
    """x with so many numbers before and after its last axes; fewer than 0: x without them."""
    sides = sides_of_pad(pad)
    x = without_padding(x, [(max(-before, 0), max(-after, 0)) for before, after in sides])
    return with_padding(x, [(max(before, 0), max(after, 0)) for before, after in sides], value)


def reflection_pad1d(x, pad):
    """x between its mirror images: c b | a b c | b a."""
    return padded_with_itself(x, pad, "reflect")


def reflection_pad2d(x, pad):
    """The same with two axes."""
    return padded_with_itself(x, pad, "reflect")


def reflection_pad3d(x, pad):
    """The same with three axes."""
    return padded_with_itself(x, pad, "reflect")


def reflection_pad1d_backward(d_y, x, pad):
    """Each place of x gets the sum of what it was copied to."""
    return padded_with_itself_backward(d_y, x, pad, "reflect")


def reflection_pad2d_backward(d_y, x, pad):
    """Each place of x gets the sum of what it was copied to."""
    return padded_with_itself_backward(d_y, x, pad, "reflect")


def reflection_pad3d_backward(d_y, x, pad):
    """Each place of x gets the sum of what it was copied to."""
    return padded_with_itself_backward(d_y, x, pad, "reflect")


def replication_pad1d(x, pad):
    """x between copies of its first and its last number: a a | a b c | c c."""
    return padded_with_itself(x, pad, "edge")


def replication_pad2d(x, pad):
    """The same with two axes."""
    return padded_with_itself(x, pad, "edge")


def replication_pad3d(x, pad):
    """The same with three axes."""
    return padded_with_itself(x, pad, "edge")


def replication_pad1d_backward(d_y, x, pad):
    """Each place of x gets the sum of what it was copied to."""
    return padded_with_itself_backward(d_y, x, pad, "edge")


def replication_pad2d_backward(d_y, x, pad):
    """Each place of x gets the sum of what it was copied to."""
    return padded_with_itself_backward(d_y, x, pad, "edge")


def replication_pad3d_backward(d_y, x, pad):
    """Each place of x gets the sum of what it was copied to."""
    return padded_with_itself_backward(d_y, x, pad, "edge")


def padded_with_itself(x, pad, mode):
    """x with copies of its own numbers around it."""
    sides = sides_of_pad(pad)
    return np.pad(x, [(0, 0)] * (x.ndim - len(sides)) + sides, mode)


def padded_with_itself_backward(d_y, x, pad, mode):
    """The copies as one matrix for each axis, transposed."""
    sides = sides_of_pad(pad)
    lengths = x.shape[-len(sides) :]
    copies = [np.pad(np.eye(length), [side, (0, 0)], mode) for length, side in zip(lengths, sides)]
    return along_last_axes(d_y, [each.T for each in copies])


def sides_of_pad(pad):
    """How much is before and after each of the last axes; torch begins with the last one."""
    return [(pad[i], pad[i + 1]) for i in range(0, len(pad), 2)][::-1]
