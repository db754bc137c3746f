"""The loop that `fit` writes out, without its bookkeeping: what `fit` adds is what is above this."""

from collections.abc import Iterator
from typing import Any

import limit
from torch.utils.data import BatchSampler, DataLoader, RandomSampler


class Contender(limit.Contender):
    def shuffled(self) -> Iterator[Any]:
        batches = BatchSampler(RandomSampler(self.data), self.task.batch_size, drop_last=False)
        return iter(DataLoader(self.data, batch_size=None, sampler=batches))
