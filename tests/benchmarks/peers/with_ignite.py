"""Ignite: its engines, with its bar."""

from collections.abc import Callable
from typing import Any

import torch
from ignite.engine import Events, create_supervised_evaluator, create_supervised_trainer
from ignite.handlers import ProgressBar
from ignite.metrics import Accuracy, Loss
from tasks import LEARNING_RATE, Task
from torch import nn
from torch.utils.data import DataLoader


class Contender:
    def __init__(self, task: Task) -> None:
        data = task.data()
        self.train_loader = DataLoader(data, task.batch_size, shuffle=True)
        self.eval_loader = DataLoader(data, task.batch_size)
        self.network = task.torch_network()
        loss_fn = nn.CrossEntropyLoss()
        optimizer = torch.optim.Adam(self.network.parameters(), LEARNING_RATE)
        self.trainer = create_supervised_trainer(self.network, optimizer, loss_fn)
        ProgressBar().attach(self.trainer, output_transform=lambda loss: {"loss": loss})
        self.evaluator = create_supervised_evaluator(
            self.network, {"loss": Loss(loss_fn), "accuracy": Accuracy()}
        )
        ProgressBar().attach(self.evaluator)

    def train(self, on_step: Callable[[], None] | None = None) -> None:
        counting = on_step and self.trainer.add_event_handler(Events.ITERATION_COMPLETED, on_step)
        self.trainer.run(self.train_loader, max_epochs=1)
        if counting:
            counting.remove()

    def evaluate(self) -> Any:
        metrics = self.evaluator.run(self.eval_loader).metrics
        return metrics["loss"], metrics["accuracy"]

    def predict(self) -> Any:
        y_hats: list[torch.Tensor] = []
        predictor = create_supervised_evaluator(self.network)
        ProgressBar().attach(predictor)
        predictor.add_event_handler(
            Events.ITERATION_COMPLETED, lambda engine: y_hats.append(engine.state.output[0])
        )
        predictor.run(self.eval_loader)
        return y_hats
