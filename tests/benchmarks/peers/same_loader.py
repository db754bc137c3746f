"""The loop that `fit` writes out, without its bookkeeping: all above this is what `fit` adds."""

from collections.abc import Iterator
from typing import Any

import limit
import ours
from tasks import Task
from torch.utils.data import BatchSampler, DataLoader, RandomSampler


class Contender(limit.Contender):
    def __init__(self, task: Task) -> None:
        super().__init__(task)
        self.loaded = ours.data_of(task)

    def shuffled(self) -> Iterator[Any]:
        batches = BatchSampler(RandomSampler(self.loaded), self.task.batch_size, drop_last=False)
        return iter(DataLoader(self.loaded, batch_size=None, sampler=batches))
