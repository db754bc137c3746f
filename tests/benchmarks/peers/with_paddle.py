"""paddle.Model: over PaddlePaddle's own tensors."""

from collections.abc import Callable
from typing import Any

import paddle
from paddle import nn
from tasks import LEARNING_RATE, Task, Turned


class Data(paddle.io.Dataset):
    """The samples, one by one: paddle takes them in no other way."""

    def __init__(self, x: Any, y: Any = None) -> None:
        super().__init__()
        self.x, self.y = x, y

    def __len__(self) -> int:
        return len(self.x)

    def __getitem__(self, i: int) -> Any:
        return self.x[i] if self.y is None else (self.x[i], self.y[i])


class Counting(paddle.callbacks.Callback):
    def __init__(self, on_step: Callable[[], None]) -> None:
        super().__init__()
        self.on_step = on_step

    def on_train_batch_end(self, step: int, logs: Any = None) -> None:
        self.on_step()


def network_of(task: Task) -> nn.Layer:
    parts = {
        "mlp": lambda: [
            nn.Flatten(), nn.Linear(784, 512), nn.ReLU(), nn.Dropout(0.2), nn.Linear(512, 10)
        ],
        "tiny": lambda: [nn.Flatten(), nn.Linear(784, 10)],
        "lenet": lambda: [
            nn.Conv2D(1, 6, 3, padding=1), nn.ReLU(), nn.MaxPool2D(2),
            nn.Conv2D(6, 16, 5), nn.ReLU(), nn.MaxPool2D(2),
            nn.Flatten(), nn.Linear(400, 120), nn.Linear(120, 84), nn.Linear(84, 10),
        ],
    }  # fmt: skip
    network = nn.Sequential(*parts[task.network]())
    arrays = [
        array
        for weight, bias in task.weights()
        for array in (weight.T if weight.ndim == 2 else weight, bias)
    ]
    network.set_state_dict(dict(zip(network.state_dict(), arrays, strict=True)))
    return network


class Contender:
    def __init__(self, task: Task) -> None:
        paddle.set_device("cpu")
        self.batch_size = task.batch_size
        x, y = task.arrays()
        self.data = Data(Turned(x, y)) if task.transformed else Data(x, y)
        self.x = Data(x)
        self.model = paddle.Model(network_of(task))
        self.model.prepare(
            paddle.optimizer.Adam(LEARNING_RATE, parameters=self.model.parameters()),
            nn.CrossEntropyLoss(),
            paddle.metric.Accuracy(),
        )

    def train(self, on_step: Callable[[], None] | None = None) -> None:
        counting = [Counting(on_step)] if on_step else None
        self.model.fit(
            self.data, batch_size=self.batch_size, epochs=1, verbose=1, callbacks=counting
        )

    def evaluate(self) -> Any:
        result = self.model.evaluate(self.data, batch_size=self.batch_size, verbose=1)
        return result["loss"][0], result["acc"]

    def predict(self) -> Any:
        return self.model.predict(
            self.x, batch_size=self.batch_size, stack_outputs=True, verbose=1
        )[0]
