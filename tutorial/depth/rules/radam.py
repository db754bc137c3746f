"""RAdam: Adam that begins without v, until enough squares of gradients were seen to trust it.

Source: Liu, Jiang, He, Chen, Liu, Gao, Han: On the variance of the adaptive learning rate and
beyond, 2020.
"""

import torch

from tutorial.depth.hyperparameters import (
    BETA1,
    BETA2,
    DECOUPLED_WEIGHT_DECAY,
    EPS,
    LR,
    MAXIMIZE,
    WEIGHT_DECAY,
)


def update(weight, gradient, state):
    """One step for one weight."""
    if "exp_avg" not in state:  # the first step
        state["step"] = torch.tensor(0.0)
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
    m.lerp_(gradient, 1 - BETA1)  # m = beta1 * m + (1 - beta1) * gradient
    v.mul_(BETA2).addcmul_(gradient, gradient, value=1 - BETA2)  # v: the same of its square
    m_hat, left = m / (1 - BETA1**t), 1 - BETA2**t
    rho_inf = 2 / (1 - BETA2) - 1
    rho = rho_inf - 2 * t * (BETA2**t) / left  # how many squares v has seen, about
    if rho > 5.0:
        rect = ((rho - 4) * (rho - 2) * rho_inf / ((rho_inf - 4) * (rho_inf - 2) * rho)) ** 0.5
        weight.add_(m_hat * LR * (left**0.5 / v.sqrt().add_(EPS)) * rect, alpha=-1.0)
    else:  # too few: as SGD with momentum
        weight.add_(m_hat * LR, alpha=-1.0)
