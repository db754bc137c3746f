"""The limit: the fastest loops that one can write by hand; nothing is shown."""

from collections.abc import Callable, Iterator
from typing import Any

import torch
from tasks import LEARNING_RATE, Task
from torch import nn
from torch.utils.data import TensorDataset


class Contender:
    def __init__(self, task: Task) -> None:
        torch.set_flush_denormal(True)
        self.task, self.data = task, task.data()
        self.network = task.torch_network()
        self.loss_fn = nn.CrossEntropyLoss()
        self.optimizer = torch.optim.Adam(self.network.parameters(), LEARNING_RATE, fused=True)

    def shuffled(self) -> Iterator[Any]:
        batches = torch.randperm(self.task.samples).split(self.task.batch_size)
        if isinstance(self.data, TensorDataset):
            x, y = self.data.tensors
            return ((x.index_select(0, rows), y.index_select(0, rows)) for rows in batches)
        return (torch.utils.data.default_collate([self.data[i] for i in rows]) for rows in batches)

    def in_order(self) -> Iterator[Any]:
        x, y = self.data.tensors
        size = self.task.batch_size
        return ((x[i : i + size], y[i : i + size]) for i in range(0, len(x), size))

    def train(self, on_step: Callable[[], None] | None = None) -> None:
        self.network.train()
        for x, y in self.shuffled():
            loss = self.loss_fn(self.network(x), y)
            loss.backward()
            self.optimizer.step()
            self.optimizer.zero_grad()
            if on_step:
                on_step()

    def evaluate(self) -> Any:
        self.network.eval()
        loss_sum, right = torch.zeros(()), torch.zeros((), dtype=torch.long)
        with torch.no_grad():
            for x, y in self.in_order():
                y_hat = self.network(x)
                loss_sum += self.loss_fn(y_hat, y) * len(x)
                right += (y_hat.argmax(1) == y).sum()
        return loss_sum.item() / self.task.samples, right.item() / self.task.samples

    def predict(self) -> Any:
        self.network.eval()
        with torch.no_grad():
            return [self.network(x) for x, _ in self.in_order()]
