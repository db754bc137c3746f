"""Losses of scores for classes, each with its derivative.

The reduction is "mean", "sum" or "none"; in backward operations torch says 1, 2 or 0 for them.
"""

import numpy as np

from tutorial.depth.arrays.losses import for_each_loss, reduced


def nll_loss(log_p, y, weight, reduction, ignored):
    """The mean of -log_p at the labels, weighted; and the sum of the weights."""
    weights = weights_of_labels(y, weight, ignored)
    at = np.where(y == ignored, 0, y)[:, None]
    losses = -weights * np.take_along_axis(log_p, at, 1)[:, 0]
    total = weights.sum()
    if reduction == 1:
        return losses.sum() / total if total else np.float64(np.nan), total
    return reduced(losses, reduction), total


def nll_loss_backward(d_loss, log_p, y, weight, reduction, ignored, total):
    """-d_loss * weight[y] / total at each label y that is not ignored, 0 elsewhere."""
    weights = weights_of_labels(y, weight, ignored)
    d_losses = for_each_loss(d_loss, total or 1, reduction)
    at = np.where(y == ignored, 0, y)[:, None]
    d_log_p = np.zeros_like(log_p)
    np.put_along_axis(d_log_p, at, -(d_losses * weights)[:, None], 1)
    return d_log_p


def nll_loss2d(log_p, y, weight, reduction, ignored):
    """The same, with a label for each place."""
    return nll_loss(log_p, y, weight, reduction, ignored)


def nll_loss2d_backward(d_loss, log_p, y, weight, reduction, ignored, total):
    """The same, with a label for each place."""
    return nll_loss_backward(d_loss, log_p, y, weight, reduction, ignored, total)


def weights_of_labels(y, weight, ignored):
    """The weight of each label; 0 if it is to be ignored."""
    counts = y != ignored
    return counts * (1.0 if weight is None else weight[np.where(counts, y, 0)])


def multi_margin_loss(y_hat, y, p=1, margin=1.0, weight=None, reduction="mean"):
    """The mean of max(0, margin - y_hat[y] + y_hat[i])**p over all i, but 0 for i = y."""
    return reduced(too_near(y_hat, y, p, margin, weight).sum(1) / y_hat.shape[1], reduction)


def too_near(y_hat, y, p, margin, weight):
    """How far each score comes within the margin of the label's; to the power of p, weighted."""
    label = np.take_along_axis(y_hat, y[:, None], 1)
    others = np.arange(y_hat.shape[1]) != y[:, None]
    near = others * np.maximum(margin - label + y_hat, 0)
    near = near**p if p else 1.0 * (near > 0)
    return near if weight is None else near * weight[y][:, None]


def multi_margin_loss_backward(d_loss, y_hat, y, p, margin, weight=None, reduction="mean"):
    """1 for each score that comes within the margin of the label's, minus their number for it."""
    d_losses = np.reshape(for_each_loss(d_loss, len(y), reduction), (-1, 1))
    d_others = d_losses * p * too_near(y_hat, y, p - 1, margin, weight) / y_hat.shape[1]
    d_y_hat = d_others.copy()
    np.put_along_axis(d_y_hat, y[:, None], -d_others.sum(1, keepdims=True), 1)
    return d_y_hat


def multilabel_margin_loss_forward(y_hat, y, reduction):
    """The mean of max(0, 1 - y_hat[label] + y_hat[i]) over all labels and all i that are none.

    The labels of a sample are the first numbers of y, up to the first -1. It gives also which
    classes are labels.
    """
    near, is_label, _, _ = labels_and_others(y_hat, y)
    return reduced(near.sum((1, 2)) / y_hat.shape[1], reduction), 1.0 * is_label


def multilabel_margin_loss_backward(d_loss, y_hat, y, reduction, is_label):
    """1 for each other score that comes within the margin of a label's, -1 for the label's."""
    near, _, at, rows = labels_and_others(y_hat, y)
    d_losses = for_each_loss(d_loss, len(y), reduction) / y_hat.shape[1]
    counts = (near > 0) * np.reshape(d_losses, (-1, 1, 1))
    d_y_hat = counts.sum(1)
    np.add.at(d_y_hat, (rows, at), -counts.sum(2))
    return d_y_hat


def labels_and_others(y_hat, y):
    """How far, for each label, each other score comes within its margin; and which are labels."""
    counts = np.cumprod(y >= 0, 1, dtype=bool)
    at, rows = np.where(counts, y, 0), np.arange(len(y))[:, None]
    is_label = np.zeros(y_hat.shape, dtype=bool)
    np.logical_or.at(is_label, (rows, at), counts)
    margins = 1 - y_hat[rows, at][:, :, None] + y_hat[:, None, :]
    pairs = counts[:, :, None] & ~is_label[:, None, :]
    return np.maximum(margins, 0) * pairs, is_label, at, rows
