"""Several processes (ranks) train together, each on a part of every batch.

With sharded weights (`Model(..., shard=True)`) torch averages the gradients itself.
"""

import torch
from torch import distributed as dist
from torch import nn

from tutorial.loop.helpers import any_rank, means
from tutorial.loop.layers import (
    evaluate,
    evaluate_pass,
    fit,
    fit_epoch,
    fit_step,
    predict,
    train_batch,
)
from tutorial.loop.options import (
    ACCUMULATE_GRAD_BATCHES,
    BUFFERS,
    CALLBACKS,
    DEVICE,
    DISTRIBUTED,
    EPOCHS,
    EVAL_SPLIT,
    FIND_UNUSED_PARAMETERS,
    HAS_BUFFERS,
    LEARNING_LOSSES,
    LOG_FREQ,
    LOSS_REDUCTION,
    LOSSES,
    METRICS,
    ON_TRAIN_BATCH_BEGIN,
    ON_TRAIN_BATCH_END,
    REPORT,
    SHARDED,
    TEST_SPLIT,
    UPDATE,
    WEIGHT_MAY_BE_ZERO,
    WEIGHTS,
)


@fit(DISTRIBUTED)
@evaluate(DISTRIBUTED)
@predict(DISTRIBUTED)
def which_process():
    rank, world_size = dist.get_rank(), dist.get_world_size()  # which one am I, of how many?
    ...


@fit(DISTRIBUTED and not SHARDED)
def average_gradients(network):
    ...
    # From here on, backward also takes the mean of the gradients over all ranks.
    network = nn.parallel.DistributedDataParallel(
        network, forward_sync_buffers=False, find_unused_parameters=FIND_UNUSED_PARAMETERS
    )
    for epoch in range(EPOCHS):
        ...
    ...


@fit(DISTRIBUTED and LEARNING_LOSSES)
def average_gradients_of_the_loss():
    ...
    for loss in LEARNING_LOSSES:
        loss = nn.parallel.DistributedDataParallel(loss, forward_sync_buffers=False)
    for epoch in range(EPOCHS):
        ...
    ...


@fit_epoch(DISTRIBUTED)
def same_order(network):
    ...
    random_state = torch.get_rng_state()
    dist.broadcast(random_state, 0)
    torch.set_rng_state(random_state)  # so that all ranks draw the same order
    network.train()
    ...


@fit_step(DISTRIBUTED and LOSS_REDUCTION != "sum")
def mean_over_all_samples(x, loss, world_size, step_losses, loss_sum, samples):
    ...
    totals = torch.stack([loss.detach(), torch.ones_like(loss)]).double() * len(x)
    dist.all_reduce(totals)  # over all ranks: the samples' losses, and how many
    if ACCUMULATE_GRAD_BATCHES == 1 and (not WEIGHT_MAY_BE_ZERO or totals[1] > 0):
        loss = loss * len(x) * world_size / totals[1]  # so that the mean is over all samples
    loss.backward()
    ...
    if not WEIGHT_MAY_BE_ZERO or totals[1] > 0:
        loss = totals[0] / totals[1]  # the mean over the samples of all ranks
    step_losses.append(loss.item())
    total = totals[1].item() if DEVICE == "cpu" else totals[1]
    loss_sum += step_losses[-1] * total
    samples += total
    for metric, output, label in METRICS:
        metric.update(output, label)
    ...


@fit_step(DISTRIBUTED and (ON_TRAIN_BATCH_BEGIN or ON_TRAIN_BATCH_END))
def stop_together_after_the_step(model, step):
    ...
    model.stop_training = any_rank(model.stop_training)
    if (step + 1) % LOG_FREQ == 0:
        ...


@fit_step(DISTRIBUTED and not REPORT)
def rank_0_prints(rank, step, epoch, loss_sum, samples):
    ...
    for metric, output, label in METRICS:
        metric.update(output, label)
    if (step + 1) % LOG_FREQ == 0 and rank == 0 and (not WEIGHT_MAY_BE_ZERO or samples > 0):
        print(f"epoch {epoch + 1} step {step + 1}: loss {loss_sum / samples:.4f}")


@fit_epoch(DISTRIBUTED and not REPORT)
def rank_0_prints_the_epoch(rank, rows):
    ...
    if rank == 0:
        print({name: round(number, 4) for name, number in rows[-1].items()})


@evaluate(DISTRIBUTED and not REPORT)
def rank_0_prints_the_result(rank, result):
    ...
    if rank == 0:
        print({name: round(number, 4) for name, number in result.items()})
    return result


@fit_epoch(DISTRIBUTED and HAS_BUFFERS)
def same_buffers(network, epoch, rows, loss_sum, samples):
    ...
    rows.append({"epoch": epoch + 1, **means(loss_sum, samples)})
    for buffer in BUFFERS:
        dist.broadcast(buffer, 0)  # such as batch norm's means: those of rank 0
    ...


@fit_epoch(DISTRIBUTED and CALLBACKS)
def stop_together_after_the_epoch(model, epoch, rows, loss_sum, samples):
    ...
    rows.append({"epoch": epoch + 1, **means(loss_sum, samples)})
    model.stop_training = any_rank(model.stop_training)
    ...


@evaluate_pass(EVAL_SPLIT == "contiguous" and LOSSES != "none")
def loss_of_all_ranks(loss_sum, samples):
    ...
    with torch.no_grad():
        ...
    totals = torch.tensor([float(loss_sum), samples], dtype=torch.float64, device=DEVICE)
    dist.all_reduce(totals)  # over all ranks
    loss_sum, samples = totals.tolist()
    ...


@predict(TEST_SPLIT == "contiguous")
def outputs_of_all_ranks(world_size, y_hats):
    ...
    with torch.no_grad():
        ...
    runs = [None] * world_size
    dist.all_gather_object(runs, y_hats)  # of all ranks, in order
    y_hats = [y_hat for run in runs for y_hat in run]
    ...


@train_batch(DISTRIBUTED and UPDATE and not SHARDED)
def mean_gradient(network, loss):
    ...
    loss.backward()
    for parameter in WEIGHTS:
        if parameter.grad is not None:
            dist.all_reduce(parameter.grad)
            if LOSS_REDUCTION != "sum":
                parameter.grad /= dist.get_world_size()  # the mean over all ranks
    ...
