"""Losses of numbers, each with its derivative.

The reduction is "mean", "sum" or "none"; in backward operations torch says 1, 2 or 0 for them.
"""

import numpy as np


def reduced(losses, reduction):
    """Their mean, their sum, or all of them."""
    if reduction in ("none", 0):
        return losses
    return losses.mean() if reduction in ("mean", 1) else losses.sum()


def for_each_loss(d_loss, count, reduction):
    """The gradient of each of so many losses, of which the mean or the sum has d_loss."""
    return d_loss / count if reduction in ("mean", 1) else d_loss


def mse_loss(y_hat, y, reduction="mean"):
    """(y_hat - y)**2."""
    return reduced((y_hat - y) ** 2, reduction)


def smooth_l1_loss(a, b, reduction="mean", beta=1.0):
    """(a - b)**2 / (2 * beta); from beta on a line, abs(a - b) - beta / 2."""
    far = np.abs(a - b)
    return reduced(np.where(far < beta, far**2 / (2 * beta or 1), far - beta / 2), reduction)


def smooth_l1_loss_backward(d_loss, a, b, reduction, beta):
    """d_loss * ((a - b) / beta).clip(-1, 1) / a.size."""
    d_each = for_each_loss(d_loss, a.size, reduction)
    return d_each * (np.clip((a - b) / beta, -1, 1) if beta else np.sign(a - b))


def huber_loss(a, b, reduction="mean", delta=1.0):
    """(a - b)**2 / 2; from delta on a line, delta * (abs(a - b) - delta / 2)."""
    far = np.abs(a - b)
    return reduced(np.where(far < delta, far**2 / 2, delta * (far - delta / 2)), reduction)


def huber_loss_backward(d_loss, a, b, reduction, delta):
    """d_loss * (a - b).clip(-delta, delta) / a.size."""
    return for_each_loss(d_loss, a.size, reduction) * np.clip(a - b, -delta, delta)


def soft_margin_loss(y_hat, y, reduction="mean"):
    """log(1 + exp(-y * y_hat)), where y is 1 or -1."""
    return reduced(np.logaddexp(0, -y * y_hat), reduction)


def soft_margin_loss_backward(d_loss, y_hat, y, reduction):
    """-d_loss * y * sigmoid(-y * y_hat) / y.size."""
    return -for_each_loss(d_loss, y.size, reduction) * y * np.exp(-np.logaddexp(0, y * y_hat))


def binary_cross_entropy(p, y, weight=None, reduction="mean"):
    """-(y * log(p) + (1 - y) * log(1 - p)); no logarithm is below -100."""
    with np.errstate(divide="ignore"):
        log_p, log_q = np.maximum(np.log(p), -100), np.maximum(np.log1p(-p), -100)
    losses = -(y * log_p + (1 - y) * log_q)
    return reduced(losses if weight is None else losses * weight, reduction)


def binary_cross_entropy_backward(d_loss, p, y, weight=None, reduction="mean"):
    """d_loss * (p - y) / (p * (1 - p)) / p.size."""
    d_p = for_each_loss(d_loss, p.size, reduction) * (p - y) / np.maximum(p * (1 - p), 1e-12)
    return d_p if weight is None else d_p * weight


def binary_cross_entropy_with_logits(x, y, weight=None, pos_weight=None, reduction="mean"):
    """-(y * log(p) + (1 - y) * log(1 - p)), where p = sigmoid(x)."""
    positive = y if pos_weight is None else y * pos_weight
    losses = positive * np.logaddexp(0, -x) + (1 - y) * np.logaddexp(0, x)
    return reduced(losses if weight is None else losses * weight, reduction)
