"""Typical wrong answers to the exercises of lesson 2, and what each is told."""

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch

import tutorial as tl
from tutorial.course.exercises.lesson_02 import stopping

# ---- when to stop

STOP: list[tuple[Callable[..., Any], str]] = [
    (lambda losses, p: stopping(losses, p)[1], "a pair (best epoch, last epoch) is expected"),
    (lambda losses, p: tuple(n - 1 for n in stopping(losses, p)), "the first epoch is epoch 1"),
    (lambda losses, p: stopping(losses, p)[::-1], "first the best epoch, then the last one"),
    (
        lambda losses, p: (losses.index(min(losses)) + 1, stopping(losses, p)[1]),
        "after the last epoch, nothing more is known",
    ),
    (lambda losses, p: stopping(losses, p, in_a_row=False), "in a row"),
    (lambda losses, p: stopping(losses, p, than_before=True), "must beat the best one so far"),
    (lambda losses, p: stopping(losses, p, equal_is_better=True), "an equal loss is no better"),
    (lambda losses, p: stopping(losses, p + 1), "is it after 2 bad epochs that you stop?"),
    (lambda losses, p: stopping(losses, p - 1), "are 2 bad epochs allowed for?"),
]


@pytest.mark.parametrize(("answer", "told"), STOP)
def test_wrong_ends(answer: Callable[..., Any], told: str) -> None:
    assert told in tl.check("when_to_stop", answer).fault


@pytest.mark.parametrize("losses", [[5, 4, 3, 4, 5, 6], [5, 6, 4, 5, 3, 2], [3, 3, 3, 3, 2]])
def test_the_right_end_is_that_of_early_stopping(losses: list[float]) -> None:
    class Told(tl.callbacks.EarlyStopping):
        def on_eval_end(self, logs: Any = None) -> None:
            super().on_eval_end({"loss": next(given)})

    given = iter(map(float, losses))
    stop = Told("loss", patience=2)
    model = tl.Model(torch.nn.Linear(2, 2))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    model.prepare(optimizer, torch.nn.CrossEntropyLoss())
    batches = [(torch.eye(2), torch.tensor([0, 1]))]
    history = model.fit(batches, batches, epochs=len(losses), callbacks=stop, verbose=0)
    assert (stop.best_epoch, len(history.rows)) == stopping(losses, 2)


# ---- a callback


class AfterEachStep(tl.callbacks.Callback):
    def on_train_batch_end(self, step: int, logs: Any = None) -> None:
        for group in self.model.optimizer.param_groups:
            group["lr"] /= 2


class AtTheBeginning(tl.callbacks.Callback):
    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        for group in self.model.optimizer.param_groups:
            group["lr"] /= 2


class AnotherAttribute(tl.callbacks.Callback):
    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self.model.optimizer.lr = 0.1


class WrongName(tl.callbacks.Callback):
    def on_end_of_epoch(self, epoch: int, logs: Any = None) -> None:
        raise AssertionError("nobody calls this")


class OnlyOneGroup(tl.callbacks.Callback):
    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self.model.optimizer.param_groups[0]["lr"] /= 2


class OnlyOnce(tl.callbacks.Callback):
    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        for group, rate in zip(self.model.optimizer.param_groups, (0.4, 0.04), strict=True):
            group["lr"] = rate


class Doubles(tl.callbacks.Callback):
    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        for group in self.model.optimizer.param_groups:
            group["lr"] *= 2


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (dict, "dict is no callback"),
        (AfterEachStep, "epoch 1, step 2: the rate is 0.4, not 0.8: is that after each step?"),
        (AtTheBeginning, "epoch 1, step 1: the rate is 0.4, not 0.8: no epoch is over yet"),
        (AnotherAttribute, "the rate stays 0.8 for 3 epochs"),
        (WrongName, "does the hook have its right name?"),
        (OnlyOneGroup, "the rate of a second one is 0.08 in epoch 3, not 0.02"),
        (OnlyOnce, "epoch 3: the rate is 0.4, not 0.2"),
        (Doubles, "epoch 2: the rate is 1.6, not 0.4"),
    ],
)
def test_wrong_callbacks(answer: type, told: str) -> None:
    assert told in tl.check("halve_rate", answer).fault


# ---- a checkpoint


class Right:
    def save(self, path: Any, network: Any, optimizer: Any) -> None:
        parts = {"network": network.state_dict(), "optimizer": optimizer.state_dict()}
        torch.save(parts, path)

    def load(self, path: Any, network: Any, optimizer: Any) -> None:
        saved = torch.load(path, weights_only=True)
        network.load_state_dict(saved["network"])
        optimizer.load_state_dict(saved["optimizer"])


class WritesNothing(Right):
    def save(self, path: Any, network: Any, optimizer: Any) -> None:
        network.state_dict()


class WritesObjects(Right):
    def save(self, path: Any, network: Any, optimizer: Any) -> None:
        torch.save(network, path)


class ForgetsTheOptimizer(Right):
    def load(self, path: Any, network: Any, optimizer: Any) -> None:
        network.load_state_dict(torch.load(path, weights_only=True)["network"])


class ReturnsAnother(Right):
    def load(self, path: Any, network: Any, optimizer: Any) -> Any:
        network = copy.deepcopy(network)
        network.load_state_dict(torch.load(path, weights_only=True)["network"])
        return network


class OnlyTheBias(Right):
    def load(self, path: Any, network: Any, optimizer: Any) -> None:
        network.bias.data = torch.load(path, weights_only=True)["network"]["bias"]


class InMemory(Right):
    kept: Any = None

    def save(self, path: Any, network: Any, optimizer: Any) -> None:
        super().save(path, network, optimizer)
        InMemory.kept = network.state_dict()

    def load(self, path: Any, network: Any, optimizer: Any) -> None:
        network.load_state_dict(InMemory.kept)


class ForgetsHowManySteps(Right):
    def load(self, path: Any, network: Any, optimizer: Any) -> None:
        super().load(path, network, optimizer)
        optimizer.param_groups[0]["betas"] = (0.9, 0.9)


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (WritesNothing, "has written no file"),
        (WritesObjects, "does it hold whole objects?"),
        (ForgetsTheOptimizer, "what else has Adam learned?"),
        (ReturnsAnother, "load() leaves the network as it was"),
        (OnlyTheBias, "the weights are not those at the time of save()"),
        (InMemory, "but later ones: was a copy written?"),
        (ForgetsHowManySteps, "after load()"),
    ],
)
def test_wrong_checkpoints(answer: type, told: str) -> None:
    assert tl.check("checkpoint", Right)
    assert told in tl.check("checkpoint", answer).fault
