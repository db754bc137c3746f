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


def embedding_bag(
    W, x, offsets, by_count, mode, sparse, weights=None, include_last_offset=False, padding=-1
):
    """The sum, mean or largest of W's rows for the words of each bag, by mode 0, 1 or 2.

    It gives also each word's bag, how many words each has, and which words were the largest.
    """
    bags = words_of_bags(x, offsets[:-1] if include_last_offset else offsets, padding)
    rows = W[x] if weights is None else W[x] * weights[:, None]
    counts = np.array([len(at) for at in bags])
    y = np.array([rows[at].sum(0) for at in bags])
    largest = np.full(y.shape, -1)
    if mode == 1:
        y = y / np.maximum(counts, 1)[:, None]
    if mode == 2:
        for bag, at in enumerate(bags):
            if len(at):
                y[bag], largest[bag] = rows[at].max(0), x[at][rows[at].argmax(0)]
    return y, bag_of_each_word(x, offsets), counts, largest


def embedding_bag_backward(
    d_y,
    x,
    offsets,
    bag_of_word,
    counts,
    largest,
    words,
    by_count,
    mode,
    sparse,
    weights=None,
    padding=-1,
):
    """To each word's row of W the gradient of its bag."""
    if mode == 2:
        d_W = np.zeros((words, d_y.shape[1]))
        columns = np.broadcast_to(np.arange(d_y.shape[1]), d_y.shape)
        np.add.at(d_W, (largest[largest >= 0], columns[largest >= 0]), d_y[largest >= 0])
        return d_W
    if mode == 1:
        d_y = d_y / np.maximum(counts, 1)[:, None]
    d_rows = d_y[bag_of_each_word(x, offsets)]
    if weights is not None:
        d_rows = d_rows * weights[:, None]
    return embedding_backward(d_rows, x, words, padding, by_count)


def words_of_bags(x, offsets, padding):
    """Where in x the words of each bag are, without the padding."""
    bags = np.split(np.arange(len(x)), offsets[1:])
    return [at[x[at] != padding] for at in bags]


def bag_of_each_word(x, offsets):
    """The bag to which each word belongs: the last one that begins there or before."""
    return np.searchsorted(offsets, np.arange(len(x)), "right") - 1
