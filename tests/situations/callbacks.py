"""Callbacks: averaged weights, files, functions, what verify() does with them."""

import copy
import tempfile

import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from tutorial.callbacks import Callback, LambdaCallback

from .networks import mlp
from .situation import Case, points, situation


class EMA(Callback):
    """Averages the weights; the average is made when the training begins."""

    def on_train_begin(self, logs=None):
        self.average = AveragedModel(self.model.network, multi_avg_fn=get_ema_multi_avg_fn(0.9))

    def on_train_batch_end(self, step, logs=None):
        self.average.update_parameters(self.model.network)


class GivenEMA(Callback):
    """The same, given its average."""

    def __init__(self, average) -> None:
        self.average = average

    def on_train_batch_end(self, step, logs=None):
        self.average.update_parameters(self.model.network)


@situation(109, "an EMA callback that makes its AveragedModel in on_train_begin")
def ema() -> Case:
    return Case(mlp(), nn.CrossEntropyLoss(), points(), fit={"callbacks": [EMA()]})


@situation(110, "an EMA callback that is given its AveragedModel")
def given_ema() -> Case:
    network = mlp()
    average = AveragedModel(network, multi_avg_fn=get_ema_multi_avg_fn(0.9))
    fit = {"callbacks": [GivenEMA(average)]}
    return Case(network, nn.CrossEntropyLoss(), points(), fit=fit)


@situation(181, "a callback with a lambda", unscripted="def", instead="`def` instead of `lambda`")
def lambda_callback() -> Case:
    callback = LambdaCallback(on_epoch_end=lambda epoch, logs: None)
    return Case(mlp(), nn.CrossEntropyLoss(), points(), fit={"callbacks": [callback]})


def nothing(epoch, logs):
    return None


@situation(181, "the same with a def")
def function_callback() -> Case:
    callback = LambdaCallback(on_epoch_end=nothing)
    return Case(mlp(), nn.CrossEntropyLoss(), points(), fit={"callbacks": [callback]})


class Writes(Callback):
    """Has an open file."""

    def __init__(self, file) -> None:
        self.file = file

    def on_epoch_end(self, epoch, logs=None):
        self.file.write(f"{epoch}\n")


@situation(
    182,
    "a callback with an open file",
    unscripted="You must supply.*file",
    instead="open the file in `on_train_begin`",
)
def open_file() -> Case:
    file = tempfile.TemporaryFile("w")  # noqa: SIM115 - it stays open
    fit = {"callbacks": [Writes(file)]}
    return Case(mlp(), nn.CrossEntropyLoss(), points(), fit=fit)


class Best(Callback):
    """Keeps a copy of the network."""

    def on_epoch_end(self, epoch, logs=None):
        self.best = copy.deepcopy(self.model.network.state_dict())


class Noise(Callback):
    """Changes weights and gradients itself."""

    def __init__(self, scale: float) -> None:
        self.scale = scale

    def on_train_batch_end(self, step, logs=None):
        with torch.no_grad():
            self.model.network[0].weight.add_(self.scale * torch.randn(8, 4))


@situation(109, "a callback that keeps the best weights, one that adds noise to them")
def noise() -> Case:
    def loop(case, loader):
        losses = []
        for _ in range(2):
            for x, y in loader:
                loss = case.loss(case.network(x), y)
                loss.backward()
                case.optimizer.step()
                case.optimizer.zero_grad()
                losses.append(loss.item())
                with torch.no_grad():
                    case.network[0].weight.add_(0.01 * torch.randn(8, 4))
        return losses

    fit = {"callbacks": [Best(), Noise(0.01)]}
    return Case(mlp(), nn.CrossEntropyLoss(), points(), fit=fit, loop=loop)
