"""Accelerate: a textbook's loop, with what its quick tour changes in it."""

from collections.abc import Callable
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.utils import tqdm
from tasks import LEARNING_RATE, Task
from torch import nn
from torch.utils.data import DataLoader


class Contender:
    def __init__(self, task: Task) -> None:
        data = task.data()
        network = task.torch_network()
        self.accelerator = Accelerator(cpu=True)
        self.samples = task.samples
        self.loss_fn = nn.CrossEntropyLoss()
        self.network, self.optimizer, self.train_loader, self.eval_loader = (
            self.accelerator.prepare(
                network,
                torch.optim.Adam(network.parameters(), LEARNING_RATE),
                DataLoader(data, task.batch_size, shuffle=True),
                DataLoader(data, task.batch_size),
            )
        )

    def train(self, on_step: Callable[[], None] | None = None) -> None:
        loader = tqdm(self.train_loader)
        self.network.train()
        for step, (x, y) in enumerate(loader):
            self.optimizer.zero_grad()
            loss = self.loss_fn(self.network(x), y)
            self.accelerator.backward(loss)
            self.optimizer.step()
            if step % 100 == 0:
                loader.set_postfix(loss=loss.item())
            if on_step:
                on_step()

    def evaluate(self) -> Any:
        self.network.eval()
        loss_sum, right = 0.0, 0
        with torch.no_grad():
            for x, y in self.eval_loader:
                y_hat, y = self.accelerator.gather_for_metrics((self.network(x), y))
                loss_sum += self.loss_fn(y_hat, y).item() * len(x)
                right += (y_hat.argmax(1) == y).sum().item()
        return loss_sum / self.samples, right / self.samples

    def predict(self) -> Any:
        self.network.eval()
        with torch.no_grad():
            return [
                self.accelerator.gather_for_metrics(self.network(x)) for x, _ in self.eval_loader
            ]
