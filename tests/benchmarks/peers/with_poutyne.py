"""Poutyne: its Model."""

from collections.abc import Callable
from typing import Any

import torch
from poutyne import Callback, Model
from tasks import LEARNING_RATE, Task


class Counting(Callback):
    def __init__(self, on_step: Callable[[], None]) -> None:
        super().__init__()
        self.on_step = on_step

    def on_train_batch_end(self, batch_number: int, logs: dict) -> None:
        self.on_step()


class Contender:
    def __init__(self, task: Task) -> None:
        self.data, self.batch_size = task.data(), task.batch_size
        network = task.torch_network()
        optimizer = torch.optim.Adam(network.parameters(), LEARNING_RATE)
        self.model = Model(network, optimizer, "cross_entropy", batch_metrics=["accuracy"])

    def train(self, on_step: Callable[[], None] | None = None) -> None:
        counting = [Counting(on_step)] if on_step else None
        self.model.fit_dataset(self.data, epochs=1, batch_size=self.batch_size, callbacks=counting)

    def evaluate(self) -> Any:
        loss, percent = self.model.evaluate_dataset(self.data, batch_size=self.batch_size)
        return loss, percent / 100

    def predict(self) -> Any:
        return self.model.predict_dataset(
            self.data, batch_size=self.batch_size, has_ground_truth=True
        )
