"""tutorial: its Model and its MNIST, as the README shows them."""

from collections.abc import Callable
from typing import Any

import torch
from tasks import LEARNING_RATE, Task
from torch import nn
from torch.utils.data import Subset

import tutorial as tl


def data_of(task: Task) -> Any:
    """The same images as everyone's, from our own dataset."""
    if task.transformed:
        return task.data()
    from torchvision.transforms import Normalize  # ours is timed without it

    data = tl.datasets.MNIST("train", Normalize([127.5], [127.5]))
    return data if task.samples == len(data) else Subset(data, range(task.samples))


class Contender:
    metrics = True

    def __init__(self, task: Task) -> None:
        self.data, self.batch_size = data_of(task), task.batch_size
        self.model = tl.Model(task.torch_network())
        self.model.prepare(
            torch.optim.Adam(self.model.parameters(), LEARNING_RATE),
            nn.CrossEntropyLoss(),
            tl.metrics.Accuracy() if self.metrics else None,
        )

    def train(self, on_step: Callable[[], None] | None = None) -> None:
        counting = on_step and tl.callbacks.LambdaCallback(on_train_batch_end=lambda *_: on_step())
        self.model.fit(self.data, batch_size=self.batch_size, callbacks=counting)

    def evaluate(self) -> Any:
        result = self.model.evaluate(self.data, batch_size=self.batch_size)
        return result["loss"], result.get("acc")

    def predict(self) -> Any:
        return list(self.model.predict(self.data, batch_size=self.batch_size)[0])
