"""skorch: its NeuralNetClassifier, with its bar; it has no evaluation but scikit-learn's score."""

from collections.abc import Callable
from typing import Any

import torch
from skorch import NeuralNetClassifier
from skorch.callbacks import Callback, ProgressBar
from tasks import LEARNING_RATE, Task
from torch import nn


class Counting(Callback):
    def __init__(self, on_step: Callable[[], None]) -> None:
        self.on_step = on_step

    def on_batch_end(self, net: Any, **_: Any) -> None:
        self.on_step()


class Contender:
    def __init__(self, task: Task) -> None:
        self.data = task.data()
        self.x, self.y = (self.data, None) if task.transformed else self.data.tensors
        self.net = NeuralNetClassifier(
            task.torch_network(),
            criterion=nn.CrossEntropyLoss,
            optimizer=torch.optim.Adam,
            lr=LEARNING_RATE,
            batch_size=task.batch_size,
            max_epochs=1,
            train_split=None,
            iterator_train__shuffle=True,
            callbacks=[ProgressBar()],
            classes=list(range(10)),
        ).initialize()

    def train(self, on_step: Callable[[], None] | None = None) -> None:
        if on_step:
            self.net.callbacks_.append(("counting", Counting(on_step)))
        self.net.partial_fit(self.x, self.y)
        if on_step:
            self.net.callbacks_.pop()

    def evaluate(self) -> Any:
        return None, self.net.score(self.x, self.y)

    def predict(self) -> Any:
        return self.net.forward(self.x)
