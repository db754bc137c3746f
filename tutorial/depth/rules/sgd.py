"""Stochastic gradient descent: a step against the gradient.

With momentum, against a sum of the gradients so far, older ones less. Nesterov's form looks one
step ahead. Source: Sutskever, Martens, Dahl, Hinton: On the importance of initialization and
momentum in deep learning, 2013.
"""

from tutorial.depth.hyperparameters import (
    DAMPENING,
    LR,
    MAXIMIZE,
    MOMENTUM,
    NESTEROV,
    WEIGHT_DECAY,
)


def update(weight, gradient, state):
    """One step for one weight."""
    if MAXIMIZE:
        gradient = -gradient  # uphill
    if WEIGHT_DECAY != 0:
        gradient = gradient.add(weight, alpha=WEIGHT_DECAY)  # towards 0
    if MOMENTUM != 0:
        if state.get("momentum_buffer") is None:
            state["momentum_buffer"] = gradient.detach().clone()
        else:  # what is left of the last steps, and this one
            state["momentum_buffer"].mul_(MOMENTUM)
            if DAMPENING != 0:
                state["momentum_buffer"].add_(gradient, alpha=1 - DAMPENING)
            else:
                state["momentum_buffer"].add_(gradient)
        if NESTEROV:
            gradient = gradient.add(state["momentum_buffer"], alpha=MOMENTUM)
        else:
            gradient = state["momentum_buffer"]
    weight.add_(gradient, alpha=-LR)  # weight -= lr * gradient
