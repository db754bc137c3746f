"""Normalization: x - mean over the standard deviation; what they are of makes the difference."""

import numpy as np

from tutorial.depth.arrays.axes import by_channel


def native_batch_norm(x, W, b, running_mean, running_var, training, momentum, eps):
    """y = W * (x - mean) / sqrt(var + eps) + b, of each channel; and mean and 1 / sqrt."""
    axes = (0, *range(2, x.ndim))
    mean, var = (x.mean(axes), x.var(axes)) if training else (running_mean, running_var)
    if training and running_mean is not None:
        n = x.size / mean.size
        running_mean += momentum * (mean - running_mean)
        running_var += momentum * (var * n / (n - 1) - running_var)
    rstd = 1 / np.sqrt(var + eps)
    y = (x - by_channel(mean, x)) * by_channel(rstd, x)
    return scaled_by_channel(y, W, b), mean, rstd


def batch_norm_backward(d_y, x, W, mean, rstd, eps=1e-5, running=None, wanted=(True, True, True)):
    """d_x, d_W, d_b; mean and rstd depend on x, too, unless they are the running ones."""
    axes = (0, *range(2, x.ndim))
    if running is not None:
        mean, rstd = running[0], 1 / np.sqrt(running[1] + eps)
    x_hat = (x - by_channel(mean, x)) * by_channel(rstd, x)
    d_x_hat = scaled_by_channel(d_y, W, None)
    if running is None:
        d_x_hat = without_mean_and_scale(d_x_hat, x_hat, axes)
    return d_x_hat * by_channel(rstd, x), (d_y * x_hat).sum(axes), d_y.sum(axes)


def native_layer_norm(x, shape, W, b, eps):
    """y = W * (x - mean) / sqrt(var + eps) + b, of each sample; and mean and 1 / sqrt."""
    axes = tuple(range(-len(shape), 0))
    mean, var = x.mean(axes, keepdims=True), x.var(axes, keepdims=True)
    rstd = 1 / np.sqrt(var + eps)
    y = (x - mean) * rstd
    y = y if W is None else y * W
    return y if b is None else y + b, mean, rstd


def layer_norm_backward(d_y, x, mean, rstd, W, b, shape=None, wanted=(True, True, True)):
    """d_x, d_W, d_b; mean and rstd depend on x, too."""
    rank = len(shape or W.shape)
    others, axes = tuple(range(x.ndim - rank)), tuple(range(-rank, 0))
    x_hat = (x - mean) * rstd
    d_x_hat = d_y if W is None else d_y * W
    d_x = rstd * without_mean_and_scale(d_x_hat, x_hat, axes)
    return d_x, (d_y * x_hat).sum(others), d_y.sum(others)


def native_group_norm(x, W, b, n, channels, size, groups, eps):
    """y = W * (x - mean) / sqrt(var + eps) + b, of each group of channels of each sample."""
    grouped = x.reshape(n, groups, -1)
    mean, rstd = grouped.mean(-1), 1 / np.sqrt(grouped.var(-1) + eps)
    y = (grouped - mean[..., None]) * rstd[..., None]
    return scaled_by_channel(y.reshape(x.shape), W, b), mean, rstd


def group_norm_backward(
    d_y, x, mean, rstd, W, n, channels, size, groups, wanted=(True, True, True)
):
    """d_x, d_W, d_b; mean and rstd depend on x, too."""
    axes = (0, *range(2, x.ndim))
    x_hat = (x.reshape(n, groups, -1) - mean[..., None]) * rstd[..., None]
    d_x_hat = scaled_by_channel(d_y, W, None).reshape(x_hat.shape)
    d_x = rstd[..., None] * without_mean_and_scale(d_x_hat, x_hat, -1)
    return d_x.reshape(x.shape), (d_y * x_hat.reshape(x.shape)).sum(axes), d_y.sum(axes)


def without_mean_and_scale(d_x_hat, x_hat, axes):
    """What of d_x_hat does not change the mean, nor the scale, which x_hat has lost."""
    mean = d_x_hat.mean(axes, keepdims=True)
    return d_x_hat - mean - x_hat * (d_x_hat * x_hat).mean(axes, keepdims=True)


def scaled_by_channel(x, W, b):
    """W * x + b, each as far as there is one."""
    x = x if W is None else x * by_channel(W, x)
    return x if b is None else x + by_channel(b, x)
