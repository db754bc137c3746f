"""Batches from data that lies in tensors."""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import Subset


class Batches:
    """What a DataLoader gives, for data that lies in tensors: each batch is fetched in one go.

    The batches are the same, in the same order, and as many random numbers are drawn for them.

    Args:
        data: a TensorDataset, or other data whose attribute `tensors` holds all samples as they are
            fetched: tensors of shapes (N, ...); or a Subset of such data.
        batch_size: samples in one batch, from 1.
        shuffle: whether each pass has a new order.
        drop_last: whether a short last batch is left out.
        device: where the samples are kept, and so the batches.
        rank: which of several processes this is, from 0.
        world_size: how many there are. Batches of `world_size * batch_size` samples are split
            across them: a rank takes every `world_size`-th sample, from its own on. A batch of
            fewer samples than ranks is not split: then each works on all of them.
        generator: what random numbers are drawn from; without one, PyTorch's own.

    Raises:
        TypeError: the samples of the data do not lie in tensors.
        ValueError: batch_size is less than 1, or there is no such rank.

    Example:
        >>> from torch.utils.data import TensorDataset
        >>> data = TensorDataset(torch.arange(5.0), torch.arange(5))
        >>> [y.tolist() for x, y in Batches(data, batch_size=2)]
        [[0, 1], [2, 3], [4]]
    """

    def __init__(
        self,
        data: Any,
        batch_size: int,
        shuffle: bool = False,
        drop_last: bool = False,
        device: str = "cpu",
        rank: int = 0,
        world_size: int = 1,
        generator: torch.Generator | None = None,
    ) -> None:
        rows, data = rows_of(data) if hasattr(data, "__len__") else (torch.arange(0), data)
        if getattr(data, "tensors", None) is None:
            raise TypeError(
                f"data is {type(data).__name__}, but samples that lie in `data.tensors` are "
                "expected. For other data take a DataLoader."
            )
        if not isinstance(batch_size, int) or batch_size < 1:
            raise ValueError(f"batch_size is {batch_size!r}, but an integer from 1 is expected.")
        if not 0 <= rank < world_size:
            raise ValueError(
                f"rank is {rank}, but of {world_size} processes one from 0 to {world_size - 1} is "
                "expected."
            )
        rows = torch.where(rows < 0, rows + len(data), rows)  # -1 is the last one
        self.rows = rows.to(device)
        self.tensors = [tensor.to(device) for tensor in data.tensors]
        self.batch_size, self.shuffle, self.drop_last = batch_size, shuffle, drop_last
        self.rank, self.world_size, self.generator = rank, world_size, generator

    def __len__(self) -> int:
        whole, rest = divmod(len(self.rows), self.batch_size * self.world_size)
        return whole + (rest > 0 and not self.drop_last)

    def __iter__(self) -> Iterator[list[Tensor]]:
        a_seed(self.generator)  # a DataLoader draws one for its workers
        rows = self.rows
        if self.shuffle:
            seed = a_seed(self.generator)
            order = torch.randperm(len(rows), generator=torch.Generator().manual_seed(seed))
            rows = rows[order.to(rows.device)]
        for batch in torch.split(rows, self.batch_size * self.world_size)[: len(self)]:
            if len(batch) >= self.world_size:
                batch = batch[self.rank :: self.world_size]  # alone: all of it
            yield [tensor.index_select(0, batch) for tensor in self.tensors]


def rows_of(data: Any) -> tuple[Tensor, Any]:
    """Which rows its samples are in the data of which Subsets were taken; and that data.

    Example:
        >>> rows, data = rows_of(Subset(Subset("abcdef", range(1, 6)), [4, 0]))
        >>> rows.tolist(), data
        ([5, 1], 'abcdef')
    """
    rows = torch.arange(len(data))
    while type(data) is Subset:
        chosen: Any = data.indices
        if isinstance(chosen, range):  # as_tensor would go through it number by number
            chosen = chosen.start + chosen.step * torch.arange(len(chosen))
        rows, data = torch.as_tensor(chosen, dtype=torch.int64)[rows], data.dataset
    return rows, data


def a_seed(generator: torch.Generator | None = None) -> int:
    """Draw a seed."""
    return int(torch.empty((), dtype=torch.int64).random_(generator=generator))
