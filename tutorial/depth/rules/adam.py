"""Adam: a step along the mean gradient, as long for each weight as its gradients are sure.

m is a running mean of the gradients, v one of their squares. Both begin at 0, which is corrected.
Sources: Kingma, Ba: Adam, 2015. AdamW: Loshchilov, Hutter: Decoupled weight decay, 2019. AMSGrad:
Reddi, Kale, Kumar: On the convergence of Adam and beyond, 2018.
"""

import torch

from tutorial.depth.hyperparameters import (
    AMSGRAD,
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
        if AMSGRAD:
            state["max_exp_avg_sq"] = torch.zeros_like(weight)
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
    if AMSGRAD:
        v = torch.maximum(state["max_exp_avg_sq"], v, out=state["max_exp_avg_sq"])
    root = (v.sqrt() / (1 - BETA2**t) ** 0.5).add_(EPS)
    weight.addcdiv_(m, root, value=-LR / (1 - BETA1**t))  # weight -= lr * m_hat / root of v_hat
