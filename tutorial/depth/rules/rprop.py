"""Rprop: each weight has its own step, longer while the gradient keeps its sign.

The size of the gradient does not count.

Source: Riedmiller, Braun: A direct adaptive method for faster backpropagation learning, 1993.
"""

import torch

from tutorial.depth.hyperparameters import (
    ETA_MINUS,
    ETA_PLUS,
    LONGEST_STEP,
    LR,
    MAXIMIZE,
    SHORTEST_STEP,
)


def update(weight, gradient, state):
    """One step for one weight."""
    if "prev" not in state:  # the first step
        state["step"] = torch.tensor(0.0)
        state["prev"] = torch.zeros_like(weight)
        state["step_size"] = torch.full_like(gradient, LR)
    state["step"] += 1
    if MAXIMIZE:
        gradient = -gradient  # uphill
    factor = gradient.mul(state["prev"]).sign()  # 1: the same sign as before; -1: it has turned
    factor[factor.gt(0)] = ETA_PLUS
    factor[factor.lt(0)] = ETA_MINUS
    factor[factor.eq(0)] = 1
    state["step_size"].mul_(factor).clamp_(SHORTEST_STEP, LONGEST_STEP)
    gradient = gradient.clone()
    gradient[factor.eq(ETA_MINUS)] = 0  # it went too far: no step this time
    weight.addcmul_(gradient.sign(), state["step_size"], value=-1)
    state["prev"].copy_(gradient)
