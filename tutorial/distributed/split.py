"""Split batches across ranks; sum metric counts over ranks."""

import copy
from typing import Any

import torch
from torch import distributed as dist


class RankSlice:
    """One rank's slice of each batch: every `processes`-th sample, from its rank on.

    Fewer samples than processes are not split: then each rank works on all of them.

    Args:
        batches: lists of indices, or batches: tensors (N, ...), or tuples, lists or dicts of them.
        rank: which of the processes this is, from 0.
        processes: how many there are, the world size.

    Example:
        >>> list(RankSlice([[3, 1, 4, 0], [2]], rank=1, world_size=2))
        [[1, 0], [2]]
    """

    def __init__(self, batches: Any, rank: int, world_size: int) -> None:
        self.batches, self.rank, self.world_size = batches, rank, world_size

    def __len__(self) -> int:
        return len(self.batches)

    def __iter__(self) -> Any:
        return map(self.part, self.batches)

    def part(self, batch: Any) -> Any:
        """This process's part of one batch."""
        if isinstance(batch, dict):
            return {name: self.part(tensor) for name, tensor in batch.items()}
        if isinstance(batch, tuple | list) and not isinstance(batch[0], int):
            return [self.part(tensor) for tensor in batch]
        return batch if len(batch) < self.world_size else batch[self.rank :: self.world_size]


def all_reduced(metric: Any) -> Any:
    """The metric with its counts summed over all ranks.

    Args:
        metric: `metric.sums` names those of its attributes that add up: numbers, tensors, or lists
            of these. `metric.joined` names lists that grow, of which the ranks' are joined.
    """
    joined = getattr(metric, "joined", ())
    names = [*metric.sums, *joined]
    of_all: list[Any] = [None] * dist.get_world_size()
    dist.all_gather_object(of_all, [on_cpu(getattr(metric, name)) for name in names])
    whole = copy.copy(metric)
    for name, *values in zip(names, *of_all, strict=True):
        if name in joined:
            setattr(whole, name, [part for parts in values for part in parts])
        elif isinstance(values[0], list):
            setattr(whole, name, [*map(sum, zip(*values, strict=True))])
        else:
            setattr(whole, name, sum(values))
    return whole


def on_cpu(count: Any) -> Any:
    """The count on the CPU, where every rank can add it to its own."""
    if isinstance(count, list):
        return [on_cpu(each) for each in count]
    return count.cpu() if isinstance(count, torch.Tensor) else count
