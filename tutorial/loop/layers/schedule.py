"""Schedules: the learning rate changes after each update, or after each epoch."""

from tutorial.loop.helpers import means
from tutorial.loop.layers import fit_epoch, fit_step
from tutorial.loop.options import EPOCH_SCHEDULERS, GRAD_SCALER, STEP_SCHEDULERS


@fit_step(STEP_SCHEDULERS)
def after_each_update(optimizer, scaler):
    ...
    if GRAD_SCALER:
        scale = scaler.get_scale()
    optimizer.step()
    optimizer.zero_grad()
    for scheduler in STEP_SCHEDULERS:
        if not GRAD_SCALER or scaler.get_scale() >= scale:  # else there was no step
            scheduler.step()  # the next learning rate
    ...


@fit_epoch(EPOCH_SCHEDULERS)
def after_each_epoch(epoch, rows, loss_sum, samples):
    ...
    rows.append({"epoch": epoch + 1, **means(loss_sum, samples)})
    for scheduler in EPOCH_SCHEDULERS:
        scheduler.step()  # the next learning rate
    ...
