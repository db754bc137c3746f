"""NAdam: Adam with Nesterov's look ahead.

Source: Dozat: Incorporating Nesterov momentum into Adam, 2016.
"""

import torch

from tutorial.depth.hyperparameters import (
    BETA1,
    BETA2,
    DECOUPLED_WEIGHT_DECAY,
    EPS,
    LR,
    MAXIMIZE,
    MOMENTUM_DECAY,
    WEIGHT_DECAY,
)


def update(weight, gradient, state):
    """One step for one weight."""
    if "exp_avg" not in state:  # the first step
        state["step"], state["mu_product"] = torch.tensor(0.0), torch.tensor(1.0)
        state["exp_avg"] = torch.zeros_like(weight)
        state["exp_avg_sq"] = torch.zeros_like(weight)
    m, v = state["exp_avg"], state["exp_avg_sq"]
    state["step"] += 1
    t = state["step"].item()
    if MAXIMIZE:
        gradient = -gradient  # uphill
    if WEIGHT_DECAY != 0 and DECOUPLED_WEIGHT_DECAY:
        weight.mul_(1 - LR * WEIGHT_DECAY)  # towards 0
    if WEIGHT_DECAY != 0 and not DECOUPLED_WEIGHT_DECAY:
        gradient = gradient.add(weight, alpha=WEIGHT_DECAY)  # towards 0
    mu = BETA1 * (1.0 - 0.5 * (0.96 ** (t * MOMENTUM_DECAY)))  # the momentum of this step
    mu_next = BETA1 * (1.0 - 0.5 * (0.96 ** ((t + 1) * MOMENTUM_DECAY)))  # and of the next
    state["mu_product"] *= mu
    product = state["mu_product"].item()
    m.lerp_(gradient, 1 - BETA1)  # m = beta1 * m + (1 - beta1) * gradient
    v.mul_(BETA2).addcmul_(gradient, gradient, value=1 - BETA2)  # v: the same of its square
    root = v.div(1 - BETA2**t).sqrt().add_(EPS)
    weight.addcdiv_(gradient, root, value=-LR * (1.0 - mu) / (1.0 - product))
    weight.addcdiv_(m, root, value=-LR * mu_next / (1.0 - product * mu_next))
