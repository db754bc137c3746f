"""Accumulation: several small batches make one large one.

Their gradients add up. At the end of a group they are divided by its samples, so that k small
batches act as one large one; also where the last one is short.
"""

from typing import Any

from tutorial.data.ahead import LookAhead
from tutorial.loop.layers import fit, fit_epoch, fit_step
from tutorial.loop.options import (
    ACCUMULATE_GRAD_BATCHES,
    DISTRIBUTED,
    LAST_UNKNOWN,
    LOSS_REDUCTION,
    NUM_ITERS,
    WEIGHT_MAY_BE_ZERO,
    WEIGHTS,
)


@fit(ACCUMULATE_GRAD_BATCHES > 1 and LAST_UNKNOWN)
def know_the_last_batch(train_loader):
    ...
    train_loader = LookAhead(train_loader)  # it tells which batch is the last
    step_losses: list[Any] = []
    ...


@fit_epoch(ACCUMULATE_GRAD_BATCHES > 1 and LOSS_REDUCTION != "sum")
def begin_a_group():
    ...
    loss_sum, samples = 0.0, 0
    samples_in_group = 0  # samples since the last update
    ...


@fit_step(ACCUMULATE_GRAD_BATCHES > 1, takes_in=("clip", "schedule"))
def update_once_a_group(optimizer, train_loader, step, step_losses, samples_in_group):
    ...
    # An update after every so many batches, and after the last one.
    if (
        (step + 1) % ACCUMULATE_GRAD_BATCHES == 0
        or (train_loader.last if LAST_UNKNOWN else step + 1 == len(train_loader))
        or (NUM_ITERS is not None and len(step_losses) + 1 == NUM_ITERS)
    ) and (not WEIGHT_MAY_BE_ZERO or samples_in_group > 0):
        optimizer.step()
        optimizer.zero_grad()  # forget the group's gradients
    ...


@fit_step(ACCUMULATE_GRAD_BATCHES > 1 and LOSS_REDUCTION != "sum")
def by_its_samples(loss_fn, optimizer, x, y, y_hat, samples_in_group, totals, world_size):
    ...
    loss = loss_fn(y_hat, y)
    (loss * len(x)).backward()  # backward: it adds to the gradients that are there
    samples_in_group += totals[1] / world_size if DISTRIBUTED else len(x)
    optimizer.step()
    ...


@fit_step(ACCUMULATE_GRAD_BATCHES > 1 and LOSS_REDUCTION != "sum")
def mean_over_the_group(optimizer, samples_in_group):
    ...
    for parameter in WEIGHTS:
        if parameter.grad is not None:
            parameter.grad /= samples_in_group  # the mean over the group's samples
    samples_in_group = 0
    optimizer.step()
    ...


@fit_step(ACCUMULATE_GRAD_BATCHES > 1 and LOSS_REDUCTION == "sum")
def sum_over_the_group(loss):
    ...
    loss.backward()  # backward: it adds to the gradients that are there
    ...
