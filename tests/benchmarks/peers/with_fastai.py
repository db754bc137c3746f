"""fastai: its Learner, with its bar."""

from collections.abc import Callable
from typing import Any

from fastai.basics import (
    Adam,
    Callback,
    CancelValidException,
    CrossEntropyLossFlat,
    DataLoader,
    DataLoaders,
    Learner,
    accuracy,
)
from fastai.callback.progress import ProgressCallback  # noqa: F401  # importing it turns it on
from tasks import LEARNING_RATE, Task


class TrainOnly(Callback):
    """Leaves out the validation, which here is part of an epoch."""

    def before_validate(self) -> None:
        raise CancelValidException


class Counting(Callback):
    def __init__(self, on_step: Callable[[], None]) -> None:
        self.on_step = on_step

    def after_batch(self) -> None:
        self.on_step()


class Contender:
    def __init__(self, task: Task) -> None:
        data = task.data()
        loaders = DataLoaders(
            DataLoader(data, bs=task.batch_size, shuffle=True), DataLoader(data, bs=task.batch_size)
        )
        self.learner = Learner(
            loaders,
            task.torch_network(),
            CrossEntropyLossFlat(),
            opt_func=Adam,
            lr=LEARNING_RATE,
            metrics=accuracy,
        )

    def train(self, on_step: Callable[[], None] | None = None) -> None:
        counting = [Counting(on_step)] if on_step else []
        self.learner.fit(1, cbs=[TrainOnly(), *counting])

    def evaluate(self) -> Any:
        return tuple(self.learner.validate())

    def predict(self) -> Any:
        return self.learner.get_preds()[0]
