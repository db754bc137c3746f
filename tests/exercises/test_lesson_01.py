"""Typical wrong answers to the exercises of lesson 1, and what each is told."""

import copy
import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional as F

import tutorial as tl

# ---- count the steps

STEPS: list[tuple[Callable[..., Any], str]] = [
    (lambda n, b, e: n // b * e, "Is the short last batch forgotten"),
    (lambda n, b, e: n / b * e, "A part of a step is a step"),
    (lambda n, b, e: (n // b + 1) * e, "Is there always a short last batch"),
    (lambda n, b, e: math.ceil(n / b), "Is that one epoch"),
    (lambda n, b, e: math.ceil(n * e / b), "Does each epoch end with a short batch"),
    (lambda n, b, e: None, "4 steps, not None: is it returned?"),
]


@pytest.mark.parametrize(("answer", "told"), STEPS)
def test_wrong_numbers_of_steps(answer: Callable[..., Any], told: str) -> None:
    assert told in tl.check("number_of_steps", answer).fault


# ---- train for one epoch: each of these is right but for one thing


def train(
    network: Any,
    loss_fn: Any,
    optimizer: Any,
    train_loader: Any,
    *,
    mode: bool = True,
    order: str = "backward step zero",
    change: Callable[[torch.Tensor], torch.Tensor] = lambda y_hat: y_hat,
    scale: float = 1.0,
    mean: str = "samples",
    steps: int | None = None,
) -> Any:
    network.train(mode)
    losses, sizes = [], []
    for x, y in list(train_loader)[:steps]:
        loss = loss_fn(change(network(x)), y)
        for part in order.split():
            if part == "backward":
                (loss * scale).backward()
            elif part == "step":
                optimizer.step()
            else:
                optimizer.zero_grad()
        losses.append(loss.item())
        sizes.append(len(x))
    weighted = sum(loss * size for loss, size in zip(losses, sizes, strict=True))
    return {
        "samples": weighted / sum(sizes),
        "batches": sum(losses) / len(losses),
        "last": losses[-1],
        "sum": weighted,
        "undivided": sum(losses) / sum(sizes),
        "tensor": torch.tensor(weighted / sum(sizes)),
        "none": None,
    }[mean]


TRAIN: list[tuple[dict[str, Any], str]] = [
    ({"order": "backward step"}, "step 2: your gradient is the one of this batch plus"),
    ({"order": "backward zero"}, "step 1: the weights did not move: is optimizer.step()"),
    ({"order": "step zero"}, "step 1: there is no gradient to follow: is loss.backward()"),
    ({"order": "zero step backward"}, "step 1: optimizer.step() comes before there is"),
    ({"order": "backward zero step"}, "step 1: the gradient is gone when optimizer.step()"),
    ({"order": "backward step step zero"}, "step 1: optimizer.step() is called 2 times"),
    ({"mode": False}, "step 1: dropout is off"),
    ({"change": lambda y_hat: y_hat.softmax(dim=1)}, "step 1: loss_fn gets probabilities"),
    ({"change": lambda y_hat: y_hat + 1e-3}, "step 1: loss_fn gets something else"),
    ({"scale": 2.0}, "step 1: your gradient is 2 times the expected"),
    ({"steps": 1}, "it ends after 1 of 4 batches"),
    ({"mean": "batches"}, "it counts every batch alike, but the last one is smaller"),
    ({"mean": "last"}, "that is the last batch alone"),
    ({"mean": "sum"}, "that is the sum over the samples"),
    ({"mean": "undivided"}, "how many samples does it stand for?"),
    ({"mean": "tensor"}, "is a tensor"),
    ({"mean": "none"}, "is it returned?"),
]


@pytest.mark.parametrize(("fault", "told"), TRAIN)
def test_wrong_trainings(fault: dict[str, Any], told: str) -> None:
    verdict = tl.check("train_one_epoch", lambda *parts: train(*parts, **fault))
    assert told in verdict.fault


@pytest.mark.parametrize("order", ["zero backward step", "backward step zero"])
def test_zero_grad_may_stand_in_both_places(order: str) -> None:
    assert tl.check("train_one_epoch", lambda *parts: train(*parts, order=order))


def test_trainings_that_go_wrong_in_the_data() -> None:
    def one_batch_again(network, loss_fn, optimizer, train_loader):
        first = next(iter(train_loader))
        return train(network, loss_fn, optimizer, [first for _ in train_loader])

    def changed_inputs(network, loss_fn, optimizer, train_loader):
        return train(network, loss_fn, optimizer, [(2 * x, y) for x, y in train_loader])

    def other_labels(network, loss_fn, optimizer, train_loader):
        return train(network, loss_fn, optimizer, [(x, y.roll(1)) for x, y in train_loader])

    for answer, told in (
        (one_batch_again, "step 2: the network gets the batch of step 1"),
        (changed_inputs, "step 1: the network gets (16, 8), which is not this step's batch"),
        (other_labels, "step 1: loss_fn gets other labels"),
    ):
        assert told in tl.check("train_one_epoch", answer).fault


def test_trainings_that_call_something_else() -> None:
    def of_a_copy(network, loss_fn, optimizer, train_loader):
        return train(copy.deepcopy(network), loss_fn, optimizer, train_loader)

    def of_numbers(network, loss_fn, optimizer, train_loader):
        return train(network, loss_fn, optimizer, list(enumerate(train_loader)))

    def leaves_out(network, loss_fn, optimizer, train_loader):
        whole = [(x, y) for x, y in train_loader if len(x) == 16]
        return train(network, loss_fn, optimizer, whole)

    def clips(network, loss_fn, optimizer, train_loader):
        network.train()
        for x, y in train_loader:
            loss_fn(network(x), y).backward()
            nn.utils.clip_grad_norm_(network.parameters(), 0.1)
            optimizer.step()

    def by_fit(network, loss_fn, optimizer, train_loader):
        model = tl.Model(network)
        model.prepare(optimizer, loss_fn)
        losses = model.fit(train_loader, verbose=0).step_losses
        return sum(loss * n for loss, n in zip(losses, (16, 16, 16, 6), strict=True)) / 54

    for answer, told in (
        (of_a_copy, "it is a copy of the network that is called"),
        (of_numbers, "TypeError: the network gets 0, but a tensor is expected"),
        (leaves_out, "it ends after 3 of 4 batches: is the short last one left out?"),
        (clips, "times the expected: is it clipped, or the loss divided"),
        (by_fit, "it is the work of `Model.fit`: do it without"),
        (lambda *parts: str(train(*parts)), "the mean loss is '1.2288903527789645', but a number"),
    ):
        assert told in tl.check("train_one_epoch", answer).fault


def test_trainings_that_bypass_what_they_are_given() -> None:
    def no_notes(*parts):
        with torch.no_grad():
            return train(*parts, order="step zero")

    def by_hand(network, loss_fn, optimizer, train_loader):
        network.train()
        for x, y in train_loader:
            loss_fn(network(x), y).backward()
            with torch.no_grad():
                for weight in network.parameters():
                    weight -= 0.1 * weight.grad
                    weight.grad = None
        return 0.0

    def shaken(network, loss_fn, optimizer, train_loader):
        result = train(network, loss_fn, optimizer, train_loader)
        next(network.parameters()).data += 1
        return result

    def own_loss(network, _, optimizer, train_loader):
        return train(network, F.cross_entropy, optimizer, train_loader)

    for answer, told in (
        (no_notes, "step 1: gradients are off"),
        (by_hand, "step 1: the weights moved, but not by the optimizer"),
        (shaken, "step 4: the gradient is right, but the weights moved otherwise"),
        (lambda *_: 0.0, "the network is never called"),
        (lambda n, f, o, data: train(n, f, o, [*data, *data]), "is called 8 times"),
        (lambda n, f, o, d: train(n, f, o, [(x, y + 9) for x, y in d]), "your code stopped"),
    ):
        assert told in tl.check("train_one_epoch", answer).fault
    assert tl.check("train_one_epoch", own_loss)


# ---- evaluate


def evaluate(
    network: Any,
    loss_fn: Any,
    eval_loader: Any,
    *,
    mode: bool = False,
    notes: bool = False,
    learn: bool = False,
    loss_of: str = "samples",
    acc_of: str = "samples",
) -> Any:
    network.train(mode)
    losses, right, sizes = [], [], []
    with torch.set_grad_enabled(notes):
        for x, y in eval_loader:
            y_hat = network(x)
            losses.append(loss_fn(y_hat, y).item())
            right.append((y_hat.argmax(dim=1) == y).float().mean().item())
            sizes.append(len(x))
            if learn:
                next(network.parameters()).data += 1

    def mean(parts: list[float], over: str) -> Any:
        weighted = sum(part * size for part, size in zip(parts, sizes, strict=True))
        whole = sum(a * b for a, b in zip(parts[:-1], sizes[:-1], strict=True)) / sum(sizes[:-1])
        return {
            "samples": weighted / sum(sizes),
            "batches": sum(parts) / len(parts),
            "percent": 100 * weighted / sum(sizes),
            "count": weighted,
            "whole": whole,
            "mixed": weighted / len(sizes),
        }[over]

    return {"loss": mean(losses, loss_of), "acc": mean(right, acc_of)}


EVALUATE: list[tuple[dict[str, Any], str]] = [
    ({"mode": True}, "evaluation, step 1: dropout is still on: network.eval()?"),
    ({"notes": True}, "evaluation, step 1: PyTorch records a graph"),
    ({"learn": True}, "evaluation, step 1: the weights moved"),
    ({"loss_of": "batches"}, "it counts every batch alike, but the last one is smaller"),
    ({"loss_of": "whole"}, "the short last batch is left out"),
    ({"loss_of": "mixed"}, "divided by the number of batches"),
    ({"acc_of": "batches"}, "the mean accuracy is 0.2396, not 0.2222: it counts every batch alike"),
    ({"acc_of": "percent"}, "a fraction is expected"),
    ({"acc_of": "count"}, "the sum over the samples"),
]


@pytest.mark.parametrize(("fault", "told"), EVALUATE)
def test_wrong_evaluations(fault: dict[str, Any], told: str) -> None:
    verdict = tl.check("evaluate_by_hand", lambda *parts: evaluate(*parts, **fault))
    assert told in verdict.fault


def test_evaluations_that_return_something_else() -> None:
    def pair(*parts):
        return tuple(evaluate(*parts).values())

    def more(*parts):
        return evaluate(*parts) | {"n": 54}

    def rounded(*parts):
        return {name: round(value, 4) for name, value in evaluate(*parts).items()}

    def by_evaluate(network, loss_fn, eval_loader):
        model = tl.Model(network)
        model.prepare(None, loss_fn, tl.metrics.Accuracy())
        return model.evaluate(eval_loader, verbose=0)

    for answer, told in (
        (pair, "a dict with 'loss' and 'acc'"),
        (more, "it returns a dict with 'loss', 'acc' and 'n', but one with 'loss' and 'acc' is"),
        (rounded, "is 1.1821, not 1.18208 (is it rounded?)"),
        (by_evaluate, "it is the work of `Model.evaluate`: do it without"),
    ):
        assert told in tl.check("evaluate_by_hand", answer).fault
    assert tl.check("evaluate_by_hand", evaluate)
