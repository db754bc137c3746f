"""What a textbook writes: a DataLoader, and the loss now and then."""

from collections.abc import Callable
from typing import Any

import torch
from tasks import LEARNING_RATE, Task
from torch import nn
from torch.utils.data import DataLoader
from tqdm import tqdm


class Contender:
    def __init__(self, task: Task) -> None:
        self.data, self.batch_size = task.data(), task.batch_size
        self.network = task.torch_network()
        self.loss_fn = nn.CrossEntropyLoss()
        self.optimizer = torch.optim.Adam(self.network.parameters(), LEARNING_RATE)

    def train(self, on_step: Callable[[], None] | None = None) -> None:
        loader = tqdm(DataLoader(self.data, self.batch_size, shuffle=True))
        self.network.train()
        for step, (x, y) in enumerate(loader):
            self.optimizer.zero_grad()
            loss = self.loss_fn(self.network(x), y)
            loss.backward()
            self.optimizer.step()
            if step % 100 == 0:
                loader.set_postfix(loss=loss.item())
            if on_step:
                on_step()

    def evaluate(self) -> Any:
        self.network.eval()
        loss_sum, right = 0.0, 0
        with torch.no_grad():
            for x, y in DataLoader(self.data, self.batch_size):
                y_hat = self.network(x)
                loss_sum += self.loss_fn(y_hat, y).item() * len(x)
                right += (y_hat.argmax(1) == y).sum().item()
        return loss_sum / len(self.data), right / len(self.data)

    def predict(self) -> Any:
        self.network.eval()
        with torch.no_grad():
            return [self.network(x) for x, _ in DataLoader(self.data, self.batch_size)]
