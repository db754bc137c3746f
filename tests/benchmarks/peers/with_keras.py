"""Keras 3 over PyTorch: its own layers and fit, with its bar."""

import os
from collections.abc import Callable
from typing import Any

os.environ["KERAS_BACKEND"] = "torch"

import keras
from keras import layers
from tasks import LEARNING_RATE, Task
from torch.utils.data import DataLoader


class Counting(keras.callbacks.Callback):
    def __init__(self, on_step: Callable[[], None]) -> None:
        super().__init__()
        self.on_step = on_step

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self.on_step()


def network_of(task: Task) -> keras.Model:
    keras.config.set_image_data_format("channels_first")  # PyTorch's: spares it the transposing
    parts = {
        "mlp": lambda: [
            layers.Flatten(), layers.Dense(512, "relu"), layers.Dropout(0.2), layers.Dense(10)
        ],
        "tiny": lambda: [layers.Flatten(), layers.Dense(10)],
        "lenet": lambda: [
            layers.Conv2D(6, 3, padding="same", activation="relu"), layers.MaxPooling2D(),
            layers.Conv2D(16, 5, activation="relu"), layers.MaxPooling2D(),
            layers.Flatten(), layers.Dense(120), layers.Dense(84), layers.Dense(10),
        ],
    }  # fmt: skip
    network = keras.Sequential([keras.Input((1, 28, 28)), *parts[task.network]()])
    arrays = [
        array
        for weight, bias in task.weights()
        for array in (weight.T if weight.ndim == 2 else weight.transpose(2, 3, 1, 0), bias)
    ]
    network.set_weights(arrays)
    return network


class Contender:
    def __init__(self, task: Task) -> None:
        self.task = task
        self.model = network_of(task)
        self.model.compile(
            keras.optimizers.Adam(LEARNING_RATE),
            keras.losses.SparseCategoricalCrossentropy(from_logits=True),
            metrics=["accuracy"],
        )
        if task.transformed:
            self.train_data = {"x": DataLoader(task.data(), task.batch_size, shuffle=True)}
        else:
            self.x, self.y = task.arrays()
            self.train_data = {"x": self.x, "y": self.y, "batch_size": task.batch_size}

    def train(self, on_step: Callable[[], None] | None = None) -> None:
        counting = [Counting(on_step)] if on_step else None
        self.model.fit(**self.train_data, epochs=1, callbacks=counting)

    def evaluate(self) -> Any:
        return tuple(self.model.evaluate(self.x, self.y, batch_size=self.task.batch_size))

    def predict(self) -> Any:
        return self.model.predict(self.x, batch_size=self.task.batch_size)
