"""Activations, each with its derivative."""

import math

import numpy as np

ONE_SIXTH = float(np.float32(1 / 6))  # hardsigmoid_backward has 32 bits of it, in torch, too


def sigmoid(x):
    """1 / (1 + exp(-x)), also where exp(-x) is too large."""
    return np.exp(-np.logaddexp(0, -x))


def tanh_backward(d_y, y):
    """d_y * (1 - y**2)."""
    return d_y * (1 - y**2)


def relu(x):
    """x where x > 0, 0 elsewhere."""
    return np.maximum(x, 0)


def erf(x):
    """2 / sqrt(pi) * the integral of exp(-t**2) from 0 to x."""
    return np.vectorize(math.erf, otypes=[float])(x)


def gelu(x, approximate="none"):
    """x * the probability that a normal random number is below x."""
    if approximate == "tanh":
        return x * 0.5 * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))
    return x * 0.5 * (1 + erf(x / math.sqrt(2)))


def gelu_backward(d_y, x, approximate="none"):
    """d_y * (cdf(x) + x * pdf(x)), of the normal distribution."""
    if approximate == "tanh":
        scale = math.sqrt(2 / math.pi)
        t = np.tanh(scale * (x + 0.044715 * x**3))
        d_t = (1 - t**2) * scale * (1 + 3 * 0.044715 * x**2)
        return d_y * 0.5 * (1 + t + x * d_t)
    cdf = 0.5 * (1 + erf(x / math.sqrt(2)))
    pdf = np.exp(-(x**2) / 2) / math.sqrt(2 * math.pi)
    return d_y * (cdf + x * pdf)


def silu(x):
    """x * sigmoid(x)."""
    return x * sigmoid(x)


def silu_backward(d_y, x):
    """d_y * s * (1 + x * (1 - s)), where s = sigmoid(x)."""
    s = sigmoid(x)
    return d_y * s * (1 + x * (1 - s))


def mish(x):
    """x * tanh(log(1 + exp(x)))."""
    return x * np.tanh(np.logaddexp(0, x))


def mish_backward(d_y, x):
    """d_y * (t + x * (1 - t**2) * sigmoid(x)), where t = tanh(log(1 + exp(x)))."""
    t = np.tanh(np.logaddexp(0, x))
    return d_y * (t + x * (1 - t**2) * sigmoid(x))


def softplus(x, beta=1.0, threshold=20.0):
    """log(1 + exp(beta * x)) / beta; x where beta * x is above the threshold."""
    return np.where(beta * x > threshold, x, np.logaddexp(0, beta * x) / beta)


def softplus_backward(d_y, x, beta, threshold):
    """d_y * sigmoid(beta * x)."""
    return np.where(beta * x > threshold, d_y, d_y * sigmoid(beta * x))


def log_sigmoid_forward(x):
    """log(sigmoid(x)); and exp(-abs(x)), which backward reads."""
    small = np.exp(-np.abs(x))
    return np.minimum(x, 0) - np.log1p(small), small


def log_sigmoid_backward(d_y, x, small):
    """d_y * sigmoid(-x), where small = exp(-abs(x))."""
    return d_y * np.where(x < 0, 1, small) / (1 + small)


def elu(x, alpha=1.0, scale=1.0, slope=1.0):
    """x where x > 0, alpha * (exp(x) - 1) elsewhere; times the scale."""
    return scale * np.where(x > 0, x, alpha * np.expm1(np.minimum(x, 0) * slope))


def elu_backward(d_y, alpha, scale, slope, of_y, y):
    """d_y where x > 0; d_y * (y + alpha) elsewhere, which is d_y * alpha * exp(x)."""
    below = np.minimum(y, 0)
    grown = below + alpha * scale if of_y else alpha * scale * np.exp(below * slope)
    return d_y * np.where(y > 0, scale, slope * grown)


def celu(x, alpha=1.0):
    """x where x > 0, alpha * (exp(x / alpha) - 1) elsewhere."""
    return elu(x, alpha, 1.0, 1 / alpha)


def leaky_relu(x, slope=0.01):
    """x where x > 0, slope * x elsewhere."""
    return np.where(x > 0, x, x * slope)


def threshold(x, limit, value):
    """x where x > limit, the value elsewhere."""
    return np.where(x > limit, x, value)


def prelu_kernel(x, W):
    """x where x > 0, W * x elsewhere."""
    return np.where(x > 0, x, W * x)


def prelu_kernel_backward(d_y, x, W):
    """d_x and, for each number of x, d_W."""
    return np.where(x > 0, d_y, W * d_y), np.where(x > 0, 0, x * d_y)


def rrelu_with_noise(x, noise, lower=1 / 8, upper=1 / 3, training=False):
    """x where x > 0, noise * x elsewhere; in evaluation the middle of lower and upper."""
    return np.where(x > 0, x, x * (noise if training else (lower + upper) / 2))


def rrelu_with_noise_backward(d_y, x, noise, lower, upper, training, of_y):
    """d_y where x > 0, noise * d_y elsewhere."""
    return np.where(x > 0, d_y, d_y * (noise if training else (lower + upper) / 2))


def hardtanh(x, low=-1.0, high=1.0):
    """x, but not below low nor above high."""
    return np.clip(x, low, high)


def hardtanh_backward(d_y, x, low, high):
    """d_y where x is between them, 0 elsewhere."""
    return d_y * ((low < x) & (x < high))


def hardsigmoid(x):
    """(x + 3) / 6, but not below 0 nor above 1."""
    return np.clip(x + 3, 0, 6) / 6


def hardsigmoid_backward(d_y, x):
    """d_y / 6 where y is between them, 0 elsewhere."""
    return d_y * ONE_SIXTH * ((x > -3) & (x < 3))


def hardswish(x):
    """x * hardsigmoid(x)."""
    return x * hardsigmoid(x)


def hardswish_backward(d_y, x):
    """d_y * (x / 3 + 1 / 2) from -3 to 3, 0 below, d_y above."""
    return d_y * np.where(x <= -3, 0, np.where(x >= 3, 1, x / 3 + 0.5))


def softshrink(x, limit=0.5):
    """x nearer to 0 by the limit; 0 where it is nearer already."""
    return x - np.clip(x, -limit, limit)


def softshrink_backward(d_y, x, limit):
    """d_y where y is not 0."""
    return d_y * (np.abs(x) > limit)


def hardshrink(x, limit=0.5):
    """x, but 0 where it is as near to 0 as the limit."""
    return x * (np.abs(x) > limit)


def hardshrink_backward(d_y, x, limit):
    """d_y where y is not 0."""
    return d_y * (np.abs(x) > limit)


def glu(x, dim=-1):
    """a * sigmoid(b), where a and b are the halves of x."""
    a, b = np.split(x, 2, dim)
    return a * sigmoid(b)


def glu_backward(d_y, x, dim):
    """d_a and d_b as one array."""
    a, b = np.split(x, 2, dim)
    s = sigmoid(b)
    return np.concatenate([d_y * s, d_y * a * s * (1 - s)], dim)
