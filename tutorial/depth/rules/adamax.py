"""Adamax: Adam that divides by the largest gradient, which fades.

Source: Kingma, Ba: Adam, 2015, section 7.1.
"""

import torch

from tutorial.depth.hyperparameters import BETA1, BETA2, EPS, LR, MAXIMIZE, WEIGHT_DECAY


def update(weight, gradient, state):
    """One step for one weight."""
    if "exp_avg" not in state:  # the first step
        state["step"] = torch.tensor(0.0)
        state["exp_avg"] = torch.zeros_like(weight)
        state["exp_inf"] = torch.zeros_like(weight)
    m, largest = state["exp_avg"], state["exp_inf"]
    state["step"] += 1
    t = state["step"].item()
    if MAXIMIZE:
        gradient = -gradient  # uphill
    if WEIGHT_DECAY != 0:
        gradient = gradient.add(weight, alpha=WEIGHT_DECAY)  # towards 0
    m.lerp_(gradient, 1 - BETA1)  # m = beta1 * m + (1 - beta1) * gradient
    torch.maximum(largest.mul_(BETA2), gradient.abs().add_(EPS), out=largest)
    weight.addcdiv_(m, largest, value=-LR / (1 - BETA1**t))
