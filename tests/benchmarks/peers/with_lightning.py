"""PyTorch Lightning: its Trainer, with its bar; logs and checkpoints are off."""

import logging
from collections.abc import Callable
from typing import Any

import pytorch_lightning as pl
import torch
from tasks import LEARNING_RATE, Task
from torch import nn
from torch.utils.data import DataLoader
from torchmetrics.classification import MulticlassAccuracy


class Lit(pl.LightningModule):
    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network
        self.loss_fn = nn.CrossEntropyLoss()
        self.accuracy = MulticlassAccuracy(10, average="micro")
        self.optimizer = torch.optim.Adam(network.parameters(), LEARNING_RATE)

    def training_step(self, batch: Any) -> torch.Tensor:
        x, y = batch
        loss = self.loss_fn(self.network(x), y)
        self.log("loss", loss, prog_bar=True)
        return loss

    def validation_step(self, batch: Any) -> None:
        x, y = batch
        y_hat = self.network(x)
        self.accuracy(y_hat, y)
        self.log("loss", self.loss_fn(y_hat, y))
        self.log("accuracy", self.accuracy)

    def predict_step(self, batch: Any) -> torch.Tensor:
        return self.network(batch[0])

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return self.optimizer


class Counting(pl.Callback):
    def __init__(self, on_step: Callable[[], None]) -> None:
        self.on_step = on_step

    def on_train_batch_end(self, *_: Any) -> None:
        self.on_step()


class Contender:
    def __init__(self, task: Task) -> None:
        logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
        data = task.data()
        self.train_loader = DataLoader(data, task.batch_size, shuffle=True)
        self.eval_loader = DataLoader(data, task.batch_size)
        self.lit = Lit(task.torch_network())

    def trainer(self, *callbacks: pl.Callback) -> pl.Trainer:
        return pl.Trainer(
            accelerator="cpu",
            max_epochs=1,
            logger=False,
            enable_checkpointing=False,
            enable_model_summary=False,
            callbacks=list(callbacks),
        )

    def train(self, on_step: Callable[[], None] | None = None) -> None:
        counting = [Counting(on_step)] if on_step else []
        self.trainer(*counting).fit(self.lit, self.train_loader)

    def evaluate(self) -> Any:
        (result,) = self.trainer().validate(self.lit, self.eval_loader, verbose=False)
        return result["loss"], result["accuracy"]

    def predict(self) -> Any:
        return self.trainer().predict(self.lit, self.eval_loader)
