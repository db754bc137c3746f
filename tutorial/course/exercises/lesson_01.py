"""The exercises of lesson 1: train, evaluate, predict."""

import math
from typing import Any

import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from tutorial.course.exercises.compare import (
    evaluation_fault,
    keys_fault,
    mean_fault,
    near,
    training_fault,
)
from tutorial.course.exercises.record import Loop, Recording, record
from tutorial.course.exercises.registry import Findings, exercise
from tutorial.course.exercises.verdict import Right, Wrong


@exercise(
    "number_of_steps",
    question="Take 100 samples in batches of 32. How many batches does one epoch have, and how "
    "long is the last one?",
    nudge="Count the full batches of an epoch first; then ask whether some samples are left "
    "over. Python's `divmod(a, b)` tells both at once. Each epoch has the same number of "
    "steps.",
)
def number_of_steps(answer: Any) -> Findings:
    """How many steps a training has."""
    for samples, batch_size, epochs in ((100, 32, 1), (96, 32, 1), (100, 32, 5), (60_000, 64, 2)):
        said = f"{samples:,} samples in batches of {batch_size}"
        said += f", {epochs} epochs" if epochs > 1 else ""
        expected = math.ceil(samples / batch_size) * epochs
        steps = answer(samples, batch_size, epochs)
        if steps != expected:
            causes = {
                samples / batch_size * epochs: "A part of a step is a step",
                samples // batch_size * epochs: "Is the short last batch forgotten",
                math.ceil(samples / batch_size): "Is that one epoch",
                math.ceil(samples * epochs / batch_size): "Does each epoch end with a short batch",
                (samples // batch_size + 1) * epochs: "Is there always a short last batch",
            }
            number = isinstance(steps, int | float)
            hint = f". {causes[steps]}?" if number and steps in causes else ""
            yield Wrong(f"{said}: {expected} steps, not {steps!r}{hint}")
        yield Right(f"{said}: {expected} steps")


@exercise(
    "train_one_epoch",
    forbids=("Model.fit", "Model.train_batch"),
    question="Which five things happen to each batch, and in which order? What must be set before "
    "the first one?",
    nudge="Begin with training mode, for the sake of dropout. For the mean over samples, a "
    "batch's loss counts as often as the batch has samples: multiply, add up, and divide "
    "once at the end. `.item()` makes a plain number.",
)
def train_one_epoch(answer: Any) -> Findings:
    """Train for one epoch, by hand; return the mean loss."""
    loader = small_loader()
    yours = recorded(lambda n, f, o: answer(n, f, o, loader), training=False)
    right = recorded(lambda n, f, o: right_training(n, f, o, loader), training=False)
    fault = training_fault(yours, right, len(loader))
    if fault:
        yield Wrong(fault)
    yield Right(f"all {len(loader)} steps: batches, losses, gradients and weights")
    fault = mean_fault("loss", yours.returned, right.losses, right.sizes)
    if fault:
        yield Wrong(f"epoch 1: {fault}")
    yield Right("the mean loss over the samples")


@exercise(
    "evaluate_by_hand",
    forbids=("Model.evaluate", "Model.eval_batch"),
    question="What does an evaluation leave out of the training loop, and which two things does "
    "it have instead?",
    nudge="Evaluation mode, and nothing is recorded for a backward pass. Keep three sums: "
    "losses times samples, correct answers, samples. `argmax(dim=1)` finds the predicted "
    "classes. Divide after the last batch.",
)
def evaluate_by_hand(answer: Any) -> Findings:
    """Measure loss and accuracy, by hand."""
    loader = small_loader()
    yours = recorded(lambda n, f, _: answer(n, f, loader), training=True)
    right = recorded(lambda n, f, _: right_evaluation(n, f, loader), training=True)
    fault = evaluation_fault(yours, right, len(loader))
    if fault:
        yield Wrong(f"evaluation, {fault}")
    yield Right(f"all {len(loader)} batches, without dropout and without learning")
    fault = keys_fault(yours.returned, "loss", "acc")
    if fault:
        yield Wrong(fault)
    fault = mean_fault("loss", yours.returned["loss"], right.losses, right.sizes)
    if fault:
        yield Wrong(fault)
    yield Right("the mean loss over the samples")
    shares = [
        float((step.y_hat.argmax(dim=1) == y).float().mean())
        for step, (_, y) in zip(right.steps, loader, strict=True)
    ]
    acc = yours.returned["acc"]
    if isinstance(acc, float) and near(acc, 100 * right.returned["acc"]):
        yield Wrong(f"the accuracy is {acc:.4g}: a fraction is expected, from 0 to 1, not percent")
    fault = mean_fault("accuracy", acc, shares, right.sizes)
    if fault:
        yield Wrong(fault)
    yield Right("the accuracy")


# ---- the right loops, and what all of them run on


def right_training(network: Any, loss_fn: Any, optimizer: Any, train_loader: Any) -> float:
    """One epoch."""
    network.train()
    loss_sum, samples = 0.0, 0
    for x, y in train_loader:
        loss = loss_fn(network(x), y)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        loss_sum += loss.item() * len(x)
        samples += len(x)
    return loss_sum / samples


def right_evaluation(network: Any, loss_fn: Any, eval_loader: Any) -> dict[str, float]:
    """Loss and accuracy."""
    network.eval()
    loss_sum, correct, samples = 0.0, 0, 0
    with torch.no_grad():
        for x, y in eval_loader:
            y_hat = network(x)
            loss_sum += loss_fn(y_hat, y).item() * len(x)
            correct += int((y_hat.argmax(dim=1) == y).sum())
            samples += len(x)
    return {"loss": loss_sum / samples, "acc": correct / samples}


def small_loader() -> DataLoader[Any]:
    """54 points of 3 classes, in batches of 16, 16, 16 and 6."""
    torch.manual_seed(3)
    x = torch.randn(54, 8)
    y = (x @ torch.randn(8, 3)).argmax(dim=1)
    return DataLoader(TensorDataset(x, y), batch_size=16, generator=torch.Generator())


def recorded(loop: Loop, training: bool) -> Recording:
    """What a loop does with a small network, which is the same each time.

    Args:
        loop: called with the network, a loss function and an optimizer.
        training: the mode in which the network comes: the wrong one, to see if the loop cares.
    """
    torch.manual_seed(2)
    network = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Dropout(0.5), nn.Linear(16, 3))
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1)
    return record(loop, network.train(training), nn.CrossEntropyLoss(), optimizer)
