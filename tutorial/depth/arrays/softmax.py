"""Softmax and its logarithm."""

import numpy as np


def logsumexp(x, dim, keepdim=False):
    """log(exp(x).sum(dim)), also where exp(x) is too large."""
    axes = tuple(np.atleast_1d(dim))
    largest = x.max(axes, keepdims=True)
    largest = np.where(np.isfinite(largest), largest, 0)
    with np.errstate(divide="ignore"):  # of -inf alone it is -inf
        found = np.log(np.exp(x - largest).sum(axes, keepdims=True)) + largest
    return found if keepdim else found.squeeze(axes)


def log_softmax(x, dim):
    """x - log(exp(x).sum(dim))."""
    return x - logsumexp(x, dim, keepdim=True)


def softmax(x, dim):
    """exp(x) / exp(x).sum(dim)."""
    p = np.exp(x - x.max(dim, keepdims=True))
    return p / p.sum(dim, keepdims=True)


def _safe_softmax(x, dim):
    """The same; 0 where all x are -inf."""
    p = np.exp(x - np.maximum(x.max(dim, keepdims=True), np.finfo(float).min))
    return p / np.maximum(p.sum(dim, keepdims=True), np.finfo(float).tiny)


def log_softmax_backward(d_y, y, dim):
    """d_y - exp(y) * d_y.sum(dim)."""
    return d_y - np.exp(y) * d_y.sum(dim, keepdims=True)


def softmax_backward(d_y, y, dim):
    """Y * (d_y - (d_y * y).sum(dim))."""
    return y * (d_y - (d_y * y).sum(dim, keepdims=True))


def logcumsumexp(x, dim):
    """log(exp(x).cumsum(dim)), also where exp(x) is too large."""
    return np.logaddexp.accumulate(x, dim)
