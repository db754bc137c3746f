"""Muon: a matrix of momentum, made orthogonal by Newton's and Schulz's iteration, is the step.

Source: Jordan: Muon, an optimizer for hidden layers in neural networks, 2024.
"""

import torch

from tutorial.depth.hyperparameters import (
    ADJUST_LR_FN,
    EPS,
    LR,
    MOMENTUM,
    NESTEROV,
    NS_COEFFICIENTS,
    NS_STEPS,
    WEIGHT_DECAY,
)


def update(weight, gradient, state):
    """One step for one weight, a matrix."""
    if "momentum_buffer" not in state:  # the first step
        state["momentum_buffer"] = torch.zeros_like(gradient)
    state["momentum_buffer"].lerp_(gradient, 1 - MOMENTUM)
    if NESTEROV:
        gradient = gradient.lerp(state["momentum_buffer"], MOMENTUM)
    else:
        gradient = state["momentum_buffer"]
    height, width = weight.shape
    a, b, c = NS_COEFFICIENTS
    change = gradient.to(dtype=torch.bfloat16, copy=True)
    if height > width:
        change = change.T
    change.div_(change.norm().clamp(min=EPS))
    for _ in range(NS_STEPS):  # its singular values come near 1
        gram = change @ change.T
        change = torch.addmm(change, torch.addmm(gram, gram, gram, beta=b, alpha=c), change, beta=a)
    if height > width:
        change = change.T
    factor = 1.0
    if ADJUST_LR_FN is None or ADJUST_LR_FN == "original":
        factor = max(1, height / width) ** 0.5
    if ADJUST_LR_FN == "match_rms_adamw":
        factor = 0.2 * max(height, width) ** 0.5
    if ADJUST_LR_FN == "spectral_unclamped":
        factor = (height / width) ** 0.5
    weight.mul_(1 - LR * WEIGHT_DECAY)  # towards 0
    weight.add_(change, alpha=-LR * factor)
