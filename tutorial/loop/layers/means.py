"""What a batch counts in a mean, where that is not its samples: what the loss averaged over.

Such as the labels that are not to ignore, or the sum of the class weights; a loss that is a sum
over the samples needs none. Of a batch without any such label nothing can be learned.
"""

import torch
from torch import distributed as dist

from tutorial.loop.helpers import value
from tutorial.loop.layers import evaluate_step, fit_step, train_batch
from tutorial.loop.options import (
    ACCUMULATE_GRAD_BATCHES,
    AN_OUTPUT,
    BATCH_WEIGHT,
    DEVICE,
    DISTRIBUTED,
    LOG_FREQ,
    LOSS_REDUCTION,
    LOSSES,
    METRICS,
    REPORT,
    UPDATE,
    VALUES,
    WEIGHT_MAY_BE_ZERO,
)


@fit_step(LOSSES == "weighed")
@train_batch(LOSSES == "weighed")
def loss_and_weight(network, loss_fn, x, y, y_hat):
    ...
    y_hat = network(x)
    loss, batch_weight = loss_fn(y_hat, y)  # how wrong was it, as a mean over how much?
    loss.backward()
    ...


@evaluate_step(LOSSES == "weighed")
def loss_and_weight_to_evaluate(network, loss_fn, x, y, y_hat, loss_sum):
    ...
    y_hat = network(x)
    loss, batch_weight = loss_fn(y_hat, y)
    loss_sum += loss.item() * len(x)
    ...


@fit_step(BATCH_WEIGHT not in (None, "batch_weight"))
@train_batch(BATCH_WEIGHT not in (None, "batch_weight") and WEIGHT_MAY_BE_ZERO)
def weigh_the_batch(loss):
    ...
    batch_weight = BATCH_WEIGHT  # what the loss averaged over
    loss.backward()
    ...


@evaluate_step(BATCH_WEIGHT not in (None, "batch_weight") and LOSSES != "none")
def weigh_the_evaluated_batch(x, loss, loss_sum):
    ...
    batch_weight = BATCH_WEIGHT  # what the loss averaged over
    loss_sum += loss.item() * len(x)
    ...


@fit_step(WEIGHT_MAY_BE_ZERO)
@train_batch(WEIGHT_MAY_BE_ZERO)
def nothing_to_learn(loss, batch_weight):
    ...
    if batch_weight == 0:
        loss = 0.0 * AN_OUTPUT.sum()  # nothing to learn from: it would be nan
    loss.backward()
    ...


@evaluate_step(WEIGHT_MAY_BE_ZERO and LOSSES != "none")
def nothing_to_measure(x, loss, batch_weight, loss_sum):
    ...
    if batch_weight == 0:
        loss = 0.0 * AN_OUTPUT.sum()  # it would be nan
    loss_sum += loss.item() * len(x)
    ...


@fit_step(WEIGHT_MAY_BE_ZERO and ACCUMULATE_GRAD_BATCHES == 1, takes_in=("clip", "schedule"))
def no_step_for_nothing(optimizer, batch_weight, totals):
    ...
    if (totals[1] if DISTRIBUTED else batch_weight) > 0:
        optimizer.step()
        optimizer.zero_grad()
    ...


@fit_step(WEIGHT_MAY_BE_ZERO and not REPORT and not DISTRIBUTED)
def print_a_mean_of_something(epoch, step, loss_sum, samples):
    ...
    for metric, output, label in METRICS:
        metric.update(output, label)
    if (step + 1) % LOG_FREQ == 0 and samples > 0:
        print(f"epoch {epoch + 1} step {step + 1}: loss {loss_sum / samples:.4f}")


@train_batch(WEIGHT_MAY_BE_ZERO and UPDATE)
def no_step_for_this_batch(optimizer, batch_weight):
    ...
    if batch_weight > 0:
        optimizer.step()
        optimizer.zero_grad()
    ...


@fit_step(LOSS_REDUCTION == "sum" and not DISTRIBUTED)
def a_sum(x, loss, step_losses, loss_sum, samples):
    ...
    step_losses.append(loss.item())
    loss_sum += step_losses[-1]  # it is a sum over the samples
    samples += len(x)
    ...


@fit_step(DISTRIBUTED and LOSS_REDUCTION == "sum")
def sum_over_all_samples(x, loss, world_size, step_losses, loss_sum, samples):
    ...
    totals = torch.stack([loss.detach(), torch.full_like(loss, len(x))]).double()
    dist.all_reduce(totals)  # over all ranks: the samples' losses, and how many
    loss = loss * world_size  # so that the mean over the ranks is the sum over all samples
    loss.backward()
    ...
    loss = totals[0]  # the sum over the samples of all ranks
    step_losses.append(loss.item())
    loss_sum += step_losses[-1]
    samples += totals[1].item() if DEVICE == "cpu" else totals[1]
    for metric, output, label in METRICS:
        metric.update(output, label)
    ...


@evaluate_step(LOSS_REDUCTION == "sum" and DEVICE == "cpu" and LOSSES != "none")
def a_sum_to_evaluate(loss_fn, x, y, y_hat, loss_sum, samples):
    ...
    loss = loss_fn(y_hat, y)
    loss_sum += loss.item()  # it is a sum over the samples
    samples += len(x)
    ...


@train_batch(LOSS_REDUCTION == "sum")
def a_sum_of_one_batch(x, loss):
    ...
    for metric, output, label in METRICS:
        metric.update(output, label)
    result = {
        "loss": loss.item() / len(x),
        **{name: float(value(metric, part, gaps)) for name, metric, part, gaps in VALUES},
    }
    return result


@fit_step(LOSS_REDUCTION == "neither" and not DISTRIBUTED)
def no_mean(loss_sum, step_losses, x):
    ...
    loss_sum += step_losses[-1] * len(x)  # assumes a mean over samples, which this loss is not
    ...


@evaluate_step(LOSS_REDUCTION == "neither" and DEVICE == "cpu" and LOSSES != "none")
def no_mean_to_evaluate(loss_sum, loss, x):
    ...
    loss_sum += loss.item() * len(x)  # assumes a mean over samples, which this loss is not
    ...


@fit_step(LOSS_REDUCTION == "unknown" and not DISTRIBUTED)
def maybe_no_mean(loss_sum, step_losses, x):
    ...
    loss_sum += step_losses[-1] * len(x)  # assumes that the loss is a mean over samples
    ...


@evaluate_step(LOSS_REDUCTION == "unknown" and DEVICE == "cpu" and LOSSES != "none")
def maybe_no_mean_to_evaluate(loss_sum, loss, x):
    ...
    loss_sum += loss.item() * len(x)  # assumes that the loss is a mean over samples
    ...
