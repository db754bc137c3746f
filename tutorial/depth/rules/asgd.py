"""ASGD: gradient descent with steps that shrink, and the average of the weights on the way.

Source: Polyak, Juditsky: Acceleration of stochastic approximation by averaging, 1992.
"""

import torch

from tutorial.depth.hyperparameters import ALPHA, LAMBD, LR, MAXIMIZE, T0, WEIGHT_DECAY


def update(weight, gradient, state):
    """One step for one weight."""
    if "ax" not in state:  # the first step
        state["step"], state["mu"] = torch.tensor(0.0), torch.tensor(1.0)
        state["eta"] = torch.tensor(float(LR))
        state["ax"] = torch.zeros_like(weight)
    average, mu, eta = state["ax"], state["mu"], state["eta"].item()
    state["step"] += 1
    t = state["step"].item()
    if MAXIMIZE:
        gradient = -gradient  # uphill
    if WEIGHT_DECAY != 0:
        gradient = gradient.add(weight, alpha=WEIGHT_DECAY)  # towards 0
    weight.mul_(1 - LAMBD * eta)
    weight.add_(gradient, alpha=-eta)
    if mu.item() != 1:
        average.add_(weight.sub(average).mul_(mu))
    else:
        average.copy_(weight)
    state["eta"].fill_(LR / ((1 + LAMBD * LR * t) ** ALPHA))  # the next step is shorter
    mu.fill_(1 / max(1, t - T0))
