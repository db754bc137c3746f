"""Lengths of vectors."""

import numpy as np


def linalg_vector_norm(x, p=2, dim=None, keepdim=False):
    """(abs(x)**p).sum()**(1 / p) over these axes."""
    axes = tuple(range(x.ndim)) if dim is None else tuple(np.atleast_1d(dim))
    if abs(p) == float("inf"):
        return (np.max if p > 0 else np.min)(np.abs(x), axes, keepdims=keepdim)
    if p == 0:
        return 1.0 * np.count_nonzero(x, axes, keepdims=keepdim)
    return (np.abs(x) ** p).sum(axes, keepdims=keepdim) ** (1 / p)


def weight_norm_interface(v, g, dim=0):
    """W = g * v / the length of v's rows; and the lengths."""
    norms = np.sqrt((v**2).sum(all_but(dim, v), keepdims=True))
    return g * v / norms, norms


def weight_norm_interface_backward(d_W, v, g, norms, dim):
    """d_v, which does not change the length, and d_g, which only does that."""
    d_g = (d_W * v).sum(all_but(dim, v), keepdims=True) / norms
    return g / norms * (d_W - d_g * v / norms), d_g


def all_but(dim, x):
    """All axes but one."""
    return tuple(axis for axis in range(x.ndim) if axis != dim % x.ndim)


def embedding_renorm_(W, x, max_norm, norm_type):
    """Make each row of W that a word has, no longer than this; W itself is changed."""
    rows = np.unique(x)
    norms = linalg_vector_norm(W[rows], norm_type, 1, keepdim=True)
    W[rows] *= np.where(norms > max_norm, max_norm / (norms + 1e-7), 1)
    return W


def var_mean(x, dim, correction=1, keepdim=False):
    """The variance, with n - correction as its divisor, and the mean."""
    axes = tuple(np.atleast_1d(dim))
    return x.var(axes, ddof=correction, keepdims=keepdim), x.mean(axes, keepdims=keepdim)
