"""Typical wrong answers to the exercises of lesson 10, and what each is told."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch.utils.data import TensorDataset

import tutorial as tl

# ---- Amdahl's law


def new_time(times: dict[str, float], factors: dict[str, float]) -> float:
    return sum(seconds / factors.get(part, 1) for part, seconds in times.items())


def faster(times: dict[str, float], factors: dict[str, float]) -> float:
    return sum(times.values()) / new_time(times, factors)


FASTER: list[tuple[Callable[..., Any], str]] = [
    (new_time, "one part of three: 5.5, not 1.818: that is the new time"),
    (lambda t, f: 1 / faster(t, f), "0.55, not 1.818: that is the new time as a fraction"),
    (lambda t, f: 1 / new_time(t, f), "they do not sum to 1"),
    (
        lambda t, f: sum(s * f.get(p, 1) for p, s in t.items()) / sum(t.values()),
        "factors cannot be averaged",
    ),
    (
        lambda t, f: sum(t.values()) / (sum(t[p] / f[p] for p in f) or 1),
        "do the other parts take no time?",
    ),
    (lambda t, f: None, "it returns None, but a number"),
    (lambda t, f: 2.5, "one part of three: 2.5, not 1.818"),
]


@pytest.mark.parametrize(("answer", "told"), FASTER)
def test_wrong_laws(answer: Callable[..., Any], told: str) -> None:
    assert told in tl.check("faster_in_all", answer).fault


def test_the_law() -> None:
    def part_missing(times, factors):
        return sum(times.values()) / sum(seconds / factors[part] for part, seconds in times.items())

    assert "KeyError: 'forward'" in tl.check("faster_in_all", part_missing).fault
    assert tl.check("faster_in_all", faster)


# ---- transform once


def keep(
    data: Any,
    *,
    join: Callable[[list[Any]], torch.Tensor] = torch.stack,
    label: Callable[[int], Any] = lambda label: label,
    order: Callable[[list[Any]], list[Any]] = lambda samples: samples,
    pack: Callable[..., Any] = TensorDataset,
) -> Any:
    samples = order([data[i] for i in range(len(data))])
    return pack(join([x for x, _ in samples]), torch.tensor([label(y) for _, y in samples]))


KEPT: list[tuple[dict[str, Any], str]] = [
    ({"join": torch.cat, "pack": lambda x, y: TensorDataset(x)}, "a TensorDataset(images, labels)"),
    ({"join": lambda images: torch.cat(images)[:, None, None]}, "the shape (7, 1, 1, 4, 4), not"),
    ({"label": float}, "the type of the labels is torch.float32"),
    ({"label": lambda y: [y]}, "the labels have the shape (7, 1), not (7,)"),
    ({"order": lambda samples: samples[:3]}, "the shape (3, 1, 4, 4), not (7, 1, 4, 4)"),
    ({"order": lambda samples: samples[::-1]}, "the images are not those of the data, or in"),
    ({"label": lambda y: 0}, "the labels are not those of the data"),
    ({"pack": lambda x, y: (x, y)}, "a TensorDataset(images, labels)"),
]


@pytest.mark.parametrize(("fault", "told"), KEPT)
def test_wrong_tensors(fault: dict[str, Any], told: str) -> None:
    assert told in tl.check("kept_as_tensors", lambda data: keep(data, **fault)).fault


def test_each_fetch_counts() -> None:
    def twice(data):
        images = torch.stack([data[i][0] for i in range(len(data))])
        return TensorDataset(images, torch.tensor([data[i][1] for i in range(len(data))]))

    def by_iteration(data):
        images, labels = zip(*data, strict=True)
        return TensorDataset(torch.stack(images), torch.tensor(labels))

    assert "sample 0 is fetched 2 times" in tl.check("kept_as_tensors", twice).fault
    assert tl.check("kept_as_tensors", keep)
    assert tl.check("kept_as_tensors", by_iteration)


# ---- whole batches


def batches(
    data: Any,
    batch_size: int,
    *,
    order: Callable[[int], torch.Tensor] = torch.randperm,
    cut: Callable[[torch.Tensor, int], Any] = lambda order, size: order.split(size),
    fetch: Callable[[Any, torch.Tensor], Any] = lambda data, indices: data[indices],
) -> Any:
    for indices in cut(order(len(data)), batch_size):
        yield fetch(data, indices)


def one_by_one(data: Any, indices: torch.Tensor) -> Any:
    samples = [data[i] for i in indices]
    return torch.stack([x for x, _ in samples]), torch.stack([y for _, y in samples])


def whole_chunks(samples: int) -> torch.Tensor:
    chunks = torch.arange(samples).split(12)
    return torch.cat([chunks[i] for i in torch.randperm(len(chunks))])


def same_each_time(samples: int) -> torch.Tensor:
    return torch.randperm(samples, generator=torch.Generator().manual_seed(0))


BATCHES: list[tuple[dict[str, Any], str]] = [
    ({"order": torch.arange}, "in the order of the data: what shuffles them?"),
    ({"order": lambda n: torch.randint(n, (n,))}, "comes more than once, so others never come"),
    ({"order": same_each_time}, "both epochs have the same order"),
    ({"order": whole_chunks}, "in each of them are neighbours of the data"),
    ({"cut": lambda order, size: order.split(size)[:-1]}, "the short last one is missing"),
    ({"cut": lambda order, size: order.split(1)}, "batches of [1, 1, 1"),
    ({"fetch": one_by_one}, "data is indexed 60 times for 4 batches"),
    ({"fetch": lambda data, indices: indices}, "but a pair (x, y) is expected"),
    ({"fetch": lambda d, i: (d[i][0], i.flip(0))}, "x and y of a batch belong to different"),
]


@pytest.mark.parametrize(("fault", "told"), BATCHES)
def test_wrong_batches(fault: dict[str, Any], told: str) -> None:
    assert told in tl.check("shuffled_batches", lambda *given: batches(*given, **fault)).fault


def test_right_batches() -> None:
    assert "it returns None" in tl.check("shuffled_batches", lambda *_: None).fault
    assert tl.check("shuffled_batches", batches)
    assert tl.check("shuffled_batches", lambda *given: list(batches(*given)))


# ---- without waiting


def evaluate(
    network: Any,
    loss_fn: Any,
    eval_loader: Any,
    *,
    value: Callable[[torch.Tensor], Any] = lambda tensor: tensor,
    read: Callable[[Any], Any] = float,
    weigh: Callable[[int], int] = lambda size: size,
    mode: Callable[[Any], Any] = lambda network: network.eval(),
) -> dict[str, Any]:
    mode(network)
    loss_sum, correct, samples, whole = torch.zeros(()), torch.zeros(()), 0, 0
    with torch.no_grad():
        for x, y in eval_loader:
            y_hat = network(x)
            loss_sum = loss_sum + value(loss_fn(y_hat, y)) * weigh(len(x))
            correct = correct + value((y_hat.argmax(dim=1) == y).sum())
            samples, whole = samples + weigh(len(x)), whole + len(x)
    return {"loss": read(loss_sum) / samples, "acc": read(correct) / whole}


WAITING: list[tuple[dict[str, Any], str]] = [
    ({"value": torch.Tensor.item}, "10 values are read in 4 batches, the first by `item`"),
    ({"value": torch.Tensor.tolist}, "10 values are read in 4 batches, the first by `tolist`"),
    ({"value": float}, "10 values are read in 4 batches, the first by `__float__`"),
    ({"read": lambda tensor: tensor}, "the mean loss is a tensor, but a plain number"),
    ({"weigh": lambda size: 1}, "it counts every batch alike, but the last one is smaller"),
    ({"mode": lambda network: network.train()}, "dropout is still on"),
]


@pytest.mark.parametrize(("fault", "told"), WAITING)
def test_wrong_ways_to_wait(fault: dict[str, Any], told: str) -> None:
    verdict = tl.check("evaluate_without_waiting", lambda *given: evaluate(*given, **fault))
    assert told in verdict.fault


def test_without_waiting() -> None:
    def printed(network, loss_fn, eval_loader):
        for x, y in eval_loader:
            f"{loss_fn(network(x), y):.4f}"
        return evaluate(network, loss_fn, eval_loader)

    def nothing(*given):
        evaluate(*given)

    def half(*given):
        return {**evaluate(*given), "acc": evaluate(*given)["acc"] / 2}

    assert "it returns None" in tl.check("evaluate_without_waiting", nothing).fault
    assert "dropout is still on" in tl.check("evaluate_without_waiting", printed).fault
    assert tl.check("evaluate_without_waiting", evaluate)
    assert tl.check("evaluate_without_waiting", lambda *g: evaluate(*g, read=torch.Tensor.item))
