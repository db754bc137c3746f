"""Small functions of the loops; a program has their lines where they are called."""

from typing import Any

import torch
from torch import distributed as dist
from torch.utils.data import BatchSampler, DataLoader, RandomSampler, SequentialSampler, Subset

from tutorial.data.batches import Batches
from tutorial.distributed.split import RankSlice
from tutorial.loop.options import (
    DEVICE,
    DISTRIBUTED,
    LOSSES,
    LOSSES_WEIGH,
    NUM_WORKERS,
    TOTAL_MEAN,
    VALUES,
    WEIGHT_MAY_BE_ZERO,
)
from tutorial.metrics import value_or_nan

rank, world_size = 0, 1  # in a program, the loop asks for them


def make_loader(
    data: Any, loading: str, batch_size: int, shuffle: bool, drop_last: bool, split: str
) -> Any:
    """Batches from data: from tensors in memory, by whole batches, per sample, or as it gives them.

    Of several processes, each works through all of the data (split "none"), takes a "strided" part
    of every batch, or has a "contiguous" part of whole batches.
    """
    if loading == "as_is":
        return RankSlice(data, rank, world_size) if split == "strided" else data
    if split == "contiguous":
        count = -(-len(data) // (batch_size * world_size)) * batch_size  # samples in whole batches
        order: Any = range(len(data))[rank * count : (rank + 1) * count]  # this rank's
    if loading == "in_memory":
        return Batches(
            Subset(data, order) if split == "contiguous" else data,
            batch_size=batch_size,
            shuffle=shuffle,
            drop_last=drop_last,
            device=DEVICE,
            rank=rank if split == "strided" else 0,
            world_size=world_size if split == "strided" else 1,
        )
    if loading == "per_sample" and split == "none":
        return DataLoader(
            data,
            batch_size=batch_size,
            shuffle=shuffle,
            drop_last=drop_last,
            num_workers=NUM_WORKERS,
        )
    if split != "contiguous":
        order = RandomSampler(data) if shuffle else SequentialSampler(data)
    if split == "strided":
        batches = BatchSampler(order, batch_size * world_size, drop_last=drop_last)
        indices: Any = RankSlice(batches, rank, world_size)  # this rank's samples of each batch
    else:
        indices = BatchSampler(order, batch_size, drop_last=drop_last)  # a list for each batch
    if loading == "per_sample":
        return DataLoader(data, batch_sampler=indices, num_workers=NUM_WORKERS)
    return DataLoader(data, batch_size=None, sampler=indices, num_workers=NUM_WORKERS)


def means(loss_sum: Any, samples: int) -> dict[str, float]:
    """What is reported: the mean loss, and each metric's value, as plain numbers."""
    return {
        **({} if LOSSES == "none" else {"loss": total_mean(loss_sum, samples)}),
        **{name: float(value(metric, part, gaps)) for name, metric, part, gaps in VALUES},
    }


def progress(loss_sum: Any, samples: int) -> dict[str, float]:
    """What a running pass shows; without communication between processes."""
    if not DISTRIBUTED:
        return means(loss_sum, samples)
    return {} if LOSSES == "none" else {"loss": mean(loss_sum, samples)}


def total_mean(loss_sum: Any, samples: int) -> Any:
    """The mean loss over all samples; of several losses that differ in that, the sum of theirs."""
    return float(TOTAL_MEAN) if LOSSES_WEIGH else mean(loss_sum, samples)


def mean(loss_sum: Any, samples: int) -> Any:
    """The mean over the samples so far."""
    if WEIGHT_MAY_BE_ZERO:
        return float(loss_sum / samples) if samples else 0.0
    return loss_sum / samples if DEVICE == "cpu" else float(loss_sum / samples)


def value(metric: Any, part: Any, gaps: bool) -> Any:
    """A metric's value so far, or one part of it; with gaps, it may be undefined."""
    if gaps:
        return value_or_nan(metric) if part is None else value_or_nan(metric, part)
    return metric.compute() if part is None else metric.compute()[part]


def any_rank(flag: bool) -> Any:
    """Whether it is so in any of the processes."""
    flags = torch.tensor(float(flag), device=DEVICE)
    dist.all_reduce(flags)
    return bool(flags)
