"""Adadelta: a step as long as the last steps were, by how the gradient compares with the last ones.

Source: Zeiler: ADADELTA, an adaptive learning rate method, 2012.
"""

import torch

from tutorial.depth.hyperparameters import EPS, LR, MAXIMIZE, RHO, WEIGHT_DECAY


def update(weight, gradient, state):
    """One step for one weight."""
    if "square_avg" not in state:  # the first step
        state["step"] = torch.tensor(0.0)
        state["square_avg"] = torch.zeros_like(weight)
        state["acc_delta"] = torch.zeros_like(weight)
    v, steps = state["square_avg"], state["acc_delta"]
    state["step"] += 1
    if MAXIMIZE:
        gradient = -gradient  # uphill
    if WEIGHT_DECAY != 0:
        gradient = gradient.add(weight, alpha=WEIGHT_DECAY)  # towards 0
    v.mul_(RHO).addcmul_(gradient, gradient, value=1 - RHO)  # the mean of its square
    delta = steps.add(EPS).sqrt_().div_(v.add(EPS).sqrt_()).mul_(gradient)
    steps.mul_(RHO).addcmul_(delta, delta, value=1 - RHO)  # the mean square of the steps
    weight.add_(delta, alpha=-LR)
