"""Products of matrices."""

import numpy as np


def addmm(b, x, W, beta=1, alpha=1):
    """b + x @ W."""
    return beta * b + alpha * (x @ W)


def baddbmm(b, x, W, beta=1, alpha=1):
    """b + x @ W, for each matrix of a batch."""
    return beta * b + alpha * (x @ W)


def trilinear(a, b, c, expand_a, expand_b, expand_c, summed, unroll=1):
    """The sum of a * b * c over some axes; before, each gets axes that it does not have."""
    product = np.expand_dims(a, tuple(expand_a)) * np.expand_dims(b, tuple(expand_b))
    return (product * np.expand_dims(c, tuple(expand_c))).sum(tuple(summed))


def linalg_cross(a, b, dim=-1):
    """The vector product along an axis of three numbers."""
    return np.cross(a, b, axis=dim)
