"""Embedding: a row of W for each word."""

import numpy as np


def embedding(x, W):
    """y[i] = W[x[i]]."""
    return W[x]


def embedding_backward(d_y, x, words, padding, by_count):
    """The sum of d_y over all places that have a word, for each word but the padding."""
    x, d_y = x.reshape(-1), d_y.reshape(x.size, -1)
    if by_count:
        d_y = d_y / np.bincount(x)[x][:, None]
    d_W = np.zeros((words, d_y.shape[1]))
    np.add.at(d_W, x, d_y * (x != padding)[:, None])
    return d_W
