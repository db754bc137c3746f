"""A random call by hand: what a careful person writes without this library, for random_calls.py.

It is plain PyTorch. It knows of a call what its author knows: which parts of a batch are labels,
and what the loss averages over.
"""

import copy
import math
import random
from collections.abc import Iterable
from typing import Any

import numpy as np
import torch
from random_calls import Call, Loss, autocast, to_bfloat16
from torch import nn
from torch.utils.data import DataLoader, IterableDataset

import tutorial as tl

FUSED = (torch.optim.SGD, torch.optim.Adam, torch.optim.AdamW, torch.optim.Adagrad)
DEFAULTS = {
    "accumulate_grad_batches": 1, "num_iters": None, "clip_grad_norm": None, "eval_freq": 1,
}  # fmt: skip


def train(call: Call, together: int = 1) -> dict[str, Any]:
    """Train by hand; with so many of the call's batches together in one."""
    parts = prepared(call)
    loss_fn, optimizer = parts["loss_fn"], parts["optimizer"]
    scaler = torch.amp.GradScaler("cpu", enabled=call.precision == "16-mixed")
    tl.seed(6)
    fits = [fit(call, parts, scaler, together) for _ in range(call.times)]
    torch.set_flush_denormal(False)
    return {
        "step_losses": [step_losses for step_losses, _, _ in fits],
        "rows": [rows for _, rows, _ in fits],
        "network": parts["network"].state_dict(),
        "loss_fn": state_of(loss_fn),
        "optimizer": optimizer.state_dict(),
        "recorded": fits[-1][2] if call.callback == "Recorder" else [],
        "random": random_state(),
    }


def fit(
    call: Call, parts: dict[str, Any], scaler: Any, together: int
) -> tuple[list[float], list[dict[str, float]], list[Any]]:
    """One training: the losses of all steps, the rows, and what a callback is told."""
    network, optimizer, callbacks = parts["network"], parts["optimizer"], parts["callbacks"]
    options = DEFAULTS | call.options
    k = options["accumulate_grad_batches"] // together
    loader, eval_loader = loaders(call, parts, together)
    step_losses, rows, recorded = list[float](), list[dict[str, float]](), list[Any]([{}])
    best, best_weights, worse, ends = float("inf"), None, 0, False
    for epoch in range(options["epochs"]):
        turn(parts, "train")
        means, group = Means(call), 0.0
        for step, batch in enumerate(loader):
            seen = Seen(call, parts, batch)
            grows = k > 1 and call.losses[0].kind != "sum"  # a sum adds up by itself
            scaler.scale(seen.loss * seen.weight if grows else seen.loss).backward()
            group += seen.weight
            step_losses.append(seen.loss.item())
            ends = len(step_losses) == options["num_iters"]
            if ((step + 1) % k == 0 or is_last(step, loader) or ends) and group > 0:
                if grows:
                    divide_gradients(parts["weights"], group)
                update(parts, scaler, options["clip_grad_norm"], "step" in call.by)
                group = 0.0
            means.add(seen)
            recorded.append((step, means.value() | {"batch_size": seen.samples}))
            ends = ends or (call.callback == "StopAfter" and callbacks[-1].steps == step + 1)
            if ends:
                break
        rows.append({"epoch": epoch + 1} | means.value())
        if "epoch" in call.by:
            parts["scheduler"].step()
        if eval_loader is not None and (
            (epoch + 1) % options["eval_freq"] == 0 or epoch + 1 == options["epochs"] or ends
        ):
            result = evaluate(call, parts, eval_loader)
            rows[-1] |= {f"eval_{name}": number for name, number in result.items()}
            recorded.append(result)
            worse = 0 if result["loss"] < best else worse + 1
            best = min(result["loss"], best)
            if call.callback == "ReduceLROnPlateau" and worse >= callbacks[-1].patience:
                worse = 0
                for weights in optimizer.param_groups:
                    weights["lr"] *= 0.5
            if call.callback == "EarlyStopping":
                ends = ends or worse >= callbacks[-1].patience
                if worse == 0:
                    best_weights = copy.deepcopy(network.state_dict())
        if ends:
            break
    optimizer.zero_grad()  # of a group that was cut off
    if hasattr(optimizer, "eval"):
        optimizer.eval()
    if worse and best_weights is not None:
        network.load_state_dict(best_weights)
    return step_losses, rows, recorded


def state_of(loss_fn: Any) -> Any:
    """What a loss has learned."""
    return loss_fn.state_dict() if isinstance(loss_fn, nn.Module) else {}


def random_state() -> dict[str, Any]:
    """How the random numbers of PyTorch, NumPy and Python go on."""
    return {
        "torch": torch.get_rng_state(),
        "numpy": torch.from_numpy(np.random.get_state()[1].astype(np.int64)),
        "python": list(random.getstate()[1]),
    }


def evaluate(call: Call, parts: dict[str, Any], loader: Iterable[Any]) -> dict[str, float]:
    """The means over all batches, without learning."""
    turn(parts, "eval")
    means = Means(call)
    with torch.no_grad():
        for batch in loader:
            means.add(Seen(call, parts, batch))
    return means.value()


def prepared(call: Call) -> dict[str, Any]:
    """The parts of a call, as it computes with them: 16 bits, fused optimizers, no denormals."""
    parts = call.make()
    optimizer = parts["optimizer"]
    if call.precision == "bf16":
        to_bfloat16(parts["network"])
        optimizer.load_state_dict(optimizer.state_dict())  # its numbers, too
    momentum_overflows = call.precision == "16-mixed" and optimizer.defaults.get("momentum")
    is_sparse = "Embedding, sparse" in call.chosen("layer")
    if isinstance(optimizer, FUSED) and not momentum_overflows and not is_sparse:
        optimizer._step_supports_amp_scaling = True
        for group in optimizer.param_groups:
            group["fused"] = True
    torch.set_flush_denormal(True)
    return parts


def turn(parts: dict[str, Any], mode: str) -> None:
    """Put the network, and an optimizer that has modes, into one."""
    for part in (parts["network"], parts["optimizer"]):
        if hasattr(part, mode):
            getattr(part, mode)()


# ---- data


def loaders(call: Call, parts: dict[str, Any], together: int) -> tuple[Any, Any]:
    """What gives the batches for training and for evaluation, if there is one."""
    sizes = call.options["batch_size"]
    size, eval_size = sizes if isinstance(sizes, tuple) else (sizes, sizes)
    shuffle, drop_last = (call.options.get(name, default) for name, default in ORDER.items())
    loader = loader_of(parts["train_data"], size * together, shuffle, drop_last)
    if "eval_data" not in parts:
        return loader, None
    return loader, loader_of(parts["eval_data"], eval_size)


ORDER = {"shuffle": True, "drop_last": False}


def loader_of(data: Any, size: int, shuffle: bool = False, drop_last: bool = False) -> Any:
    """Batches of data; what gives batches stays as it is."""
    is_samples = isinstance(data, list) and is_sample(data[0])
    if not is_samples and not isinstance(data, torch.utils.data.Dataset):
        return data
    shuffle = shuffle and not isinstance(data, IterableDataset)
    return DataLoader(data, batch_size=size, shuffle=shuffle, drop_last=drop_last)


def is_sample(item: Any) -> bool:
    """Whether it is (x, y) with a single label."""
    return isinstance(item, tuple) and item[-1].ndim == 0


def is_last(step: int, loader: Any) -> bool:
    """Whether it is the last step of an epoch, where one can know."""
    try:
        return step + 1 == len(loader)
    except TypeError:
        return False


def tensors_of(batch: Any) -> list[torch.Tensor]:
    """The tensors of a batch, or of what a network returns, in order."""
    if isinstance(batch, torch.Tensor):
        return [batch]
    parts = batch.values() if isinstance(batch, dict) else batch
    return [tensor for part in parts for tensor in tensors_of(part)]


# ---- a batch


class Seen:
    """What becomes of a batch.

    Attributes:
        loss: what is trained on.
        weight: what the batch counts in the mean of the loss.
        parts: several losses by their names, each with what it counts.
    """

    def __init__(self, call: Call, parts: dict[str, Any], batch: Any) -> None:
        tensors = tensors_of(batch)
        x, self.labels = tensors[: call.inputs], tensors[call.inputs :]
        self.samples, self.kind = len(x[0]), call.losses[0].kind
        self.count = self.samples
        if call.by_labels and self.labels:
            self.count = self.labels[0].numel()
        with autocast(call.precision):
            self.outputs = tensors_of(parts["network"](*x))
            self.loss, self.weight, self.parts = self.compare(call, parts["loss_fn"])
        if self.weight == 0:  # torch's mean would be nan
            self.loss = 0.0 * self.outputs[0].sum()

    def compare(self, call: Call, loss_fn: Any) -> tuple[Any, Any, dict[str, Any]]:
        """The loss, its weight, and several losses."""
        if isinstance(loss_fn, list | dict):
            fns = loss_fn.values() if isinstance(loss_fn, dict) else loss_fn
            each = {}
            for fn, loss, name, y_hat, y in zip(
                fns, call.losses, call.names, self.outputs, self.labels, strict=True
            ):
                weight = weight_of(call, loss, y, fn)
                each[name] = fn(y_hat, y) if weight else 0.0 * y_hat.sum(), weight
            (first, _), (second, _) = each.values()
            return first + second, self.count, each
        given = [*self.outputs, *self.labels]
        if call.losses[0].head == "spread":  # a loss of the mean, the label and the variance
            given = [given[0], given[2], given[1]]
        returned = loss_fn(*given)
        if call.losses[0].kind == "pair":
            return returned[0], returned[1].item(), {}
        if isinstance(returned, list):
            returned = {f"loss_{i}": loss for i, loss in enumerate(returned)}
        if isinstance(returned, dict):
            each = {name: (loss, self.count) for name, loss in returned.items()}
            total = each.pop("loss", (sum(returned.values()),))[0]
            return total, self.count, each
        y = self.labels[0] if self.labels else self.outputs[0]
        return returned, weight_of(call, call.losses[0], y, loss_fn), {}


def weight_of(call: Call, loss: Loss, y: torch.Tensor, loss_fn: Any) -> Any:
    """What a batch counts in the mean of a loss."""
    by_labels = call.by_labels and loss.weight == "len(y)"
    return eval("y.numel()" if by_labels else loss.weight, {"y": y, "loss_fn": loss_fn})


def divide_gradients(weights: list[torch.Tensor], by: float) -> None:
    """The mean over a group."""
    for weight in weights:
        if weight.grad is not None:
            weight.grad /= by


def update(parts: dict[str, Any], scaler: Any, clip_grad_norm: float | None, by_step: bool) -> None:
    """The gradients clipped; one step, unless one overflowed; the next learning rate."""
    optimizer = parts["optimizer"]
    if clip_grad_norm is not None:
        scaler.unscale_(optimizer)
        nn.utils.clip_grad_norm_(parts["weights"], clip_grad_norm)
    before = scaler.get_scale()
    scaler.step(optimizer)
    scaler.update()
    optimizer.zero_grad()
    if by_step and scaler.get_scale() >= before:
        parts["scheduler"].step()


# ---- what is reported


class Means:
    """The means so far: of the loss, of each of several losses, and what the metrics say."""

    def __init__(self, call: Call) -> None:
        self.call, self.all = call, list[Seen]()
        self.losses: dict[str, list[tuple[float, float]]] = {}

    def add(self, seen: Seen) -> None:
        self.all.append(seen)
        loss = seen.loss.item()
        by = loss / seen.weight if seen.kind == "sum" else loss
        for name, pair in {"loss": (by, seen.weight), **seen.parts}.items():
            self.losses.setdefault(name, []).append((float(pair[0]), pair[1]))

    def value(self) -> dict[str, float]:
        means = {name: mean(pairs) for name, pairs in self.losses.items()}
        if self.call.names:
            means["loss"] = sum(means[name] for name in self.call.names)
        y_hat, y = (torch.cat([part[0] for part in parts]) if parts[0] else None for parts in (
            [seen.outputs for seen in self.all], [seen.labels for seen in self.all]
        ))  # fmt: skip
        of_output = f"_{self.call.names[0].removeprefix('loss_')}" if self.call.names else ""
        for metric in self.call.chosen("metric"):
            numbers = METRICS[metric](y_hat.detach(), y)
            means |= {f"{name}{of_output}": number for name, number in numbers.items()}
        return means


def mean(pairs: list[tuple[float, float]]) -> float:
    """The mean of numbers with weights; 0 if these are all 0."""
    weight = sum(weight for _, weight in pairs)
    return sum(number * its for number, its in pairs if its) / weight if weight else 0.0


def accuracy(y_hat: Any, y: Any, k: int = 1) -> float:
    """The share of the labels that are among the k best-scored classes."""
    scores, labels = y_hat.movedim(1, -1).flatten(0, -2), y.flatten()
    scores, labels = scores[labels != -100], labels[labels != -100]
    best = scores.sort(dim=1, descending=True, stable=True).indices[:, :k]
    return (best == labels[:, None]).sum().item() / max(len(labels), 1)


def share(part: Any, whole: Any) -> float:
    """The share of those for which the second holds that the first holds for."""
    return (part & whole).sum().item() / max(whole.sum().item(), 1)


def auc(y_hat: Any, y: Any) -> float:
    """How often a positive scores above a negative; a tie counts half. Of one class: nan."""
    above = y_hat[y == 1][:, None] - y_hat[y == 0]
    wins = ((above > 0).sum() + (above == 0).sum() / 2).item()
    return wins / above.numel() if above.numel() else math.nan


METRICS: dict[str, Any] = {
    "Accuracy": lambda y_hat, y: {"acc": accuracy(y_hat, y)},
    "Accuracy, topk": lambda y_hat, y: {
        "acc_top1": accuracy(y_hat, y), "acc_top2": accuracy(y_hat, y, 2)
    },
    "Accuracy, ignore_index": lambda y_hat, y: {"acc": accuracy(y_hat, y)},
    "Precision": lambda y_hat, y: {"precision": share(y == 1, y_hat >= 0.5)},
    "Recall": lambda y_hat, y: {"recall": share(y_hat >= 0.5, y == 1)},
    "Auc": lambda y_hat, y: {"auc": auc(y_hat, y)},
    "own, no Metric": lambda y_hat, y: {"largest": y_hat.abs().max().float().item()},
    "own Metric": lambda y_hat, y: {
        "score": y_hat.double().reshape(len(y), -1).mean(1).mean().item()
    },
}  # fmt: skip
