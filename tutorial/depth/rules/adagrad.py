"""Adagrad: a step by the gradient over the root of the sum of all its squares, so steps shrink.

Source: Duchi, Hazan, Singer: Adaptive subgradient methods, 2011.
"""

from tutorial.depth.hyperparameters import EPS, LR, LR_DECAY, MAXIMIZE, WEIGHT_DECAY


def update(weight, gradient, state):
    """One step for one weight; the optimizer itself has made the state."""
    state["step"] += 1
    if MAXIMIZE:
        gradient = -gradient  # uphill
    if WEIGHT_DECAY != 0:
        gradient = gradient.add(weight, alpha=WEIGHT_DECAY)  # towards 0
    state["sum"].addcmul_(gradient, gradient, value=1)
    root = state["sum"].sqrt().add_(EPS)
    if LR_DECAY != 0:
        weight.addcdiv_(gradient, root, value=-LR / (1 + (state["step"].item() - 1) * LR_DECAY))
    else:
        weight.addcdiv_(gradient, root, value=-LR)  # weight -= lr * gradient / root
