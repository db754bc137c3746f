"""Clipping: no update's gradient is longer than `clip_grad_norm`, all weights taken together."""

from torch import nn

from tutorial.loop.layers import fit_step
from tutorial.loop.options import CLIP_GRAD_NORM, GRAD_SCALER, WEIGHTS


@fit_step(CLIP_GRAD_NORM is not None)
def clip(optimizer, scaler):
    ...
    if GRAD_SCALER:
        scaler.unscale_(optimizer)
    nn.utils.clip_grad_norm_(WEIGHTS, CLIP_GRAD_NORM)  # no gradient too long
    optimizer.step()
    ...
