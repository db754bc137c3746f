"""The loop that `fit` writes out, without its bookkeeping: all above this is what `fit` adds."""

from collections.abc import Iterator
from typing import Any

import limit
import ours
from tasks import Task

from tutorial import Batches


class Contender(limit.Contender):
    def __init__(self, task: Task) -> None:
        super().__init__(task)
        self.loaded = ours.data_of(task)

    def shuffled(self) -> Iterator[Any]:
        return iter(Batches(self.loaded, self.task.batch_size, shuffle=True))
