"""On another device than the CPU: batches move there, and the loop does not wait for each loss."""

import torch

from tutorial.loop.layers import evaluate_step, fit_step, predict_batch, predict_step, train_batch
from tutorial.loop.options import DEVICE, LOSS_REDUCTION, LOSSES, METRICS


@fit_step(DEVICE != "cpu")
def no_waiting(optimizer, x, y, loss, step_losses, loss_sum):
    x, y = x.to(DEVICE), y.to(DEVICE)
    ...
    optimizer.zero_grad()
    step_losses.append(loss.detach())  # for the curve
    loss_sum += step_losses[-1] * len(x)
    ...


@evaluate_step(DEVICE != "cpu")
def move_the_batch(x, y):
    x, y = x.to(DEVICE), y.to(DEVICE)
    ...


@train_batch(DEVICE != "cpu")
def move_this_batch(x, y):
    ...
    for metric, _, _ in METRICS:
        metric.reset()
    x, y = x.to(DEVICE), y.to(DEVICE)
    ...


@evaluate_step(DEVICE != "cpu" and LOSSES != "none")
def sum_on_the_device(loss_fn, x, y, y_hat, loss_sum, samples):
    ...
    loss = loss_fn(y_hat, y)
    loss_sum += loss if LOSS_REDUCTION == "sum" else loss * len(x)
    samples += len(x)
    ...


@predict_step(DEVICE != "cpu")
def move_the_inputs(x):
    x = x.to(DEVICE)
    ...


@predict_step(DEVICE != "cpu")
def back_to_the_cpu(network, x, y_hats):
    ...
    y_hat = network(x)
    y_hats.append((...).cpu())


@predict_batch(DEVICE != "cpu")
def there_and_back(network, x, y_hat):
    ...
    x = x.to(DEVICE)
    with torch.no_grad():
        ...
    outputs = [y_hat.cpu()]
    return outputs
