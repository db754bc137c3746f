"""RMSprop: a step by the gradient over the root of its mean square.

Source: Tieleman, Hinton: Lecture 6.5, Neural networks for machine learning, 2012. Centered: Graves:
Generating sequences with recurrent neural networks, 2013.
"""

import torch

from tutorial.depth.hyperparameters import (
    ALPHA,
    CENTERED,
    EPS,
    LR,
    MAXIMIZE,
    MOMENTUM,
    WEIGHT_DECAY,
)


def update(weight, gradient, state):
    """One step for one weight."""
    if "square_avg" not in state:  # the first step
        state["step"] = torch.tensor(0.0)
        state["square_avg"] = torch.zeros_like(weight)
        if MOMENTUM > 0:
            state["momentum_buffer"] = torch.zeros_like(weight)
        if CENTERED:
            state["grad_avg"] = torch.zeros_like(weight)
    v = state["square_avg"]
    state["step"] += 1
    if MAXIMIZE:
        gradient = -gradient  # uphill
    if WEIGHT_DECAY != 0:
        gradient = gradient.add(weight, alpha=WEIGHT_DECAY)  # towards 0
    v.mul_(ALPHA).addcmul_(gradient, gradient, value=1 - ALPHA)  # the mean of its square
    if CENTERED:  # the square of the mean is taken off: the variance
        m = state["grad_avg"].lerp_(gradient, 1 - ALPHA)
        root = v.addcmul(m, m, value=-1).sqrt_().add_(EPS)
    else:
        root = v.sqrt().add_(EPS)
    if MOMENTUM > 0:
        state["momentum_buffer"].mul_(MOMENTUM).addcdiv_(gradient, root)
        weight.add_(state["momentum_buffer"], alpha=-LR)
    else:
        weight.addcdiv_(gradient, root, value=-LR)  # weight -= lr * gradient / root
