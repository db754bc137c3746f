"""Activations that put their result in the place of x."""

from tutorial.depth.arrays.activations import (
    celu,
    elu,
    gelu,
    hardsigmoid,
    hardswish,
    hardtanh,
    leaky_relu,
    mish,
    relu,
    rrelu_with_noise,
    silu,
    threshold,
)


def relu_(x):
    """x where x > 0, 0 elsewhere; in place of x."""
    x[...] = relu(x)
    return x


def gelu_(x, approximate="none"):
    """x * the probability that a normal random number is below x; in place of x."""
    x[...] = gelu(x, approximate)
    return x


def silu_(x):
    """x * sigmoid(x), in place of x."""
    x[...] = silu(x)
    return x


def mish_(x):
    """x * tanh(log(1 + exp(x))), in place of x."""
    x[...] = mish(x)
    return x


def elu_(x, alpha=1.0, scale=1.0, slope=1.0):
    """x where x > 0, alpha * (exp(x) - 1) elsewhere, times the scale; in place of x."""
    x[...] = elu(x, alpha, scale, slope)
    return x


def celu_(x, alpha=1.0):
    """x where x > 0, alpha * (exp(x / alpha) - 1) elsewhere; in place of x."""
    x[...] = celu(x, alpha)
    return x


def leaky_relu_(x, slope=0.01):
    """x where x > 0, slope * x elsewhere; in place of x."""
    x[...] = leaky_relu(x, slope)
    return x


def threshold_(x, limit, value):
    """x where x > limit, the value elsewhere; in place of x."""
    x[...] = threshold(x, limit, value)
    return x


def rrelu_with_noise_(x, noise, lower=1 / 8, upper=1 / 3, training=False):
    """x where x > 0, noise * x elsewhere; in place of x."""
    x[...] = rrelu_with_noise(x, noise, lower, upper, training)
    return x


def hardtanh_(x, low=-1.0, high=1.0):
    """x, but not below low nor above high; in place of x."""
    x[...] = hardtanh(x, low, high)
    return x


def hardsigmoid_(x):
    """(x + 3) / 6, but not below 0 nor above 1; in place of x."""
    x[...] = hardsigmoid(x)
    return x


def hardswish_(x):
    """x * hardsigmoid(x), in place of x."""
    x[...] = hardswish(x)
    return x
