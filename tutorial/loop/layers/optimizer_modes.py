"""An optimizer with modes of its own, as a network has: those that need no schedule.

In training, gradients are computed at one point. What was learned is an average of such points, and
eval() gives it to the network.
"""

from tutorial.loop.layers import (
    evaluate_pass,
    fit,
    fit_epoch,
    predict,
    predict_batch,
    train_batch,
)
from tutorial.loop.options import CHECKPOINTS, OPTIMIZER_MODES


@fit_epoch(OPTIMIZER_MODES)
@train_batch(OPTIMIZER_MODES)
def train_mode(network, optimizer):
    ...
    network.train()
    optimizer.train()  # the weights at which gradients are computed
    ...


@evaluate_pass(OPTIMIZER_MODES)
@predict(OPTIMIZER_MODES)
@predict_batch(OPTIMIZER_MODES)
def eval_mode(network, optimizer):
    ...
    network.eval()
    optimizer.eval()  # the weights that were learned
    ...


@fit_epoch(OPTIMIZER_MODES and CHECKPOINTS)
def eval_mode_to_save(optimizer):
    ...
    optimizer.eval()  # the weights that were learned


@fit(OPTIMIZER_MODES)
def eval_mode_at_the_end(optimizer, step_losses, rows):
    ...
    optimizer.eval()  # the weights that were learned
    return step_losses, rows
