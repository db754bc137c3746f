"""Adafactor: of a matrix of squares of gradients, only the means of rows and columns are kept.

Source: Shazeer, Stern: Adafactor, adaptive learning rates with sublinear memory cost, 2018.
"""

import torch

from tutorial.depth.hyperparameters import (
    BETA2_DECAY,
    EPS1,
    EPS2,
    LR,
    MAXIMIZE,
    WEIGHT_DECAY,
    D,
)


def update(weight, gradient, state):
    """One step for one weight."""
    if "step" not in state:  # the first step
        state["step"] = torch.tensor(0.0)
        if gradient.dim() > 1:
            state["row_var"] = torch.zeros_like(gradient[..., :1])
            state["col_var"] = torch.zeros_like(gradient[..., :1, :])
        else:
            state["variance"] = torch.zeros_like(gradient)
    if MAXIMIZE:
        gradient = -gradient  # uphill
    state["step"] += 1
    t = state["step"].item()
    eps = EPS1 or torch.finfo(weight.dtype).eps
    new = t**BETA2_DECAY  # what the newest squares count in the means
    size = max(EPS2, weight.norm(2).item() / weight.numel() ** 0.5) * min(LR, 1 / t**0.5)
    if WEIGHT_DECAY != 0:
        weight.mul_(1 - LR * WEIGHT_DECAY)  # towards 0
    if gradient.dim() > 1:
        squares = torch.linalg.vector_norm(gradient, dim=-1, keepdim=True).square_()
        of_rows = state["row_var"].lerp_(squares.div_(gradient.size(-1)), new)
        squares = torch.linalg.vector_norm(gradient, dim=-2, keepdim=True).square_()
        of_columns = state["col_var"].lerp_(squares.div_(gradient.size(-2)), new)
        v = (of_rows @ of_columns).div_(of_rows.mean(dim=-2, keepdim=True).clamp_(min=eps))
    else:
        v = state["variance"].lerp_(gradient * gradient, new).clone()
    delta = v.clamp_(min=eps * eps).rsqrt_().mul_(gradient)
    longest = max(1.0, delta.norm(2).item() / ((delta.numel() ** 0.5) * D))
    weight.add_(delta, alpha=-size / longest)
