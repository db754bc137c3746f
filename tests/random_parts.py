"""What users write themselves, for random_calls.py: layers, networks, losses, data sets, metrics.

A drawn call is a piece of code; it runs after `from random_parts import *`, so that what it names
is imported here, too.
"""

# ruff: noqa: F401

import random
from collections.abc import Iterator
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import torch
from fakes import Averaging, OneByOne, Recorder, Stream
from torch import nn, optim
from torch.nn import functional as F
from torch.nn.utils.parametrizations import spectral_norm, weight_norm
from torch.optim import lr_scheduler
from torch.utils.data import (
    BatchSampler,
    ConcatDataset,
    DataLoader,
    Dataset,
    RandomSampler,
    StackDataset,
    Subset,
    SubsetRandomSampler,
    TensorDataset,
    WeightedRandomSampler,
)

import tutorial as tl
from tutorial.callbacks import Callback, EarlyStopping, LRScheduler, ReduceLROnPlateau
from tutorial.metrics import Accuracy, Auc, Metric, Precision, Recall

# ---- layers


class Residual(nn.Module):
    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, x: Any) -> Any:
        return x + self.inner(x)


class Steps(nn.Module):
    """What a recurrent layer gives at each step; its last state is left out."""

    def __init__(self, recurrent: nn.Module) -> None:
        super().__init__()
        self.recurrent = recurrent

    def forward(self, x: Any) -> Any:
        return self.recurrent(x)[0]


class Attention(nn.Module):
    def __init__(self, features: int) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(features, 1, batch_first=True)

    def forward(self, x: Any) -> Any:
        return self.attention(x, x, x, need_weights=False)[0]


class Tied(nn.Module):
    """One layer under two names."""

    def __init__(self, features: int) -> None:
        super().__init__()
        self.first = nn.Linear(features, features)
        self.second = self.first

    def forward(self, x: Any) -> Any:
        return self.second(torch.tanh(self.first(x)))


def frozen(layer: nn.Module) -> nn.Module:
    """A layer that does not learn."""
    return layer.requires_grad_(False)


class SwapAxes(nn.Module):
    def forward(self, x: Any) -> Any:
        return x.transpose(1, 2)


class Gate(nn.Module):
    """A weight without a layer."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(()))

    def forward(self, x: Any) -> Any:
        return x * torch.sigmoid(self.scale)


class Noise(nn.Module):
    """Draws random numbers in training."""

    def forward(self, x: Any) -> Any:
        return x + 0.1 * torch.randn_like(x) if self.training else x


class RunningMean(nn.Module):
    """A buffer of whole numbers, and a mean over the batches so far."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("batches", torch.zeros((), dtype=torch.int64))
        self.register_buffer("mean", torch.zeros(()))

    def forward(self, x: Any) -> Any:
        if self.training:
            self.batches += 1
            self.mean.lerp_(x.detach().mean().to(self.mean.dtype), 0.1)
        return x - self.mean


# ---- networks with several inputs or outputs


class Cat(nn.Module):
    def forward(self, a: Any, b: Any) -> Any:
        return torch.cat([a, b], 1)


class Join(nn.Module):
    def __init__(self, left: nn.Module, right: nn.Module, join: nn.Module, head: nn.Module) -> None:
        super().__init__()
        self.left, self.right, self.join, self.head = left, right, join, head

    def forward(self, a: Any, b: Any) -> Any:
        return self.head(self.join(self.left(a), self.right(b)))


class Heads(nn.Module):
    """Several outputs of one body."""

    def __init__(self, body: nn.Module, *heads: nn.Module) -> None:
        super().__init__()
        self.body, self.heads = body, nn.ModuleList(heads)

    def forward(self, x: Any) -> Any:
        hidden = self.body(x)
        return tuple(head(hidden) for head in self.heads)


class AsDict(nn.Module):
    """One output, which has a name."""

    def __init__(self, body: nn.Module, head: nn.Module) -> None:
        super().__init__()
        self.body, self.head = body, head

    def forward(self, x: Any) -> Any:
        return {"logits": self.head(self.body(x))}


class NamedHeads(nn.Module):
    def __init__(self, body: nn.Module, left: nn.Module, right: nn.Module) -> None:
        super().__init__()
        self.body, self.left, self.right = body, left, right

    def forward(self, x: Any) -> Any:
        hidden = self.body(x)
        return {"left": self.left(hidden), "right": self.right(hidden)}


class Spread(nn.Module):
    """A mean and a variance."""

    def __init__(self, body: nn.Module, mean: nn.Module, var: nn.Module) -> None:
        super().__init__()
        self.body, self.mean, self.var = body, mean, var

    def forward(self, x: Any) -> Any:
        hidden = self.body(x)
        return self.mean(hidden), F.softplus(self.var(hidden)) + 0.1


# ---- losses


def own_cross_entropy(y_hat: Any, y: Any) -> Any:
    return F.cross_entropy(y_hat, y)


def own_mean(y_hat: Any, y: Any) -> Any:
    return (y_hat - y).square().flatten(1).mean(1).mean()


def own_sum(y_hat: Any, y: Any) -> Any:
    return (y_hat - y).square().sum()


def penalized(y_hat: Any, y: Any, strength: float = 0.1) -> Any:
    return F.mse_loss(y_hat, y) + strength * y_hat.square().mean()


def root(y_hat: Any, y: Any) -> Any:
    """No mean over samples, and no sum."""
    return F.mse_loss(y_hat, y).sqrt()


def counted(y_hat: Any, y: Any) -> Any:
    """The mean over the labels above 0, and how many they are; perhaps none."""
    counts = y > 0
    return (y_hat - y)[counts].square().sum() / counts.sum().clamp(min=1), counts.sum()


def in_parts(y_hat: Any, y: Any) -> Any:
    far, size = F.mse_loss(y_hat, y), y_hat.square().mean()
    return {"loss": far + 0.1 * size, "far": far, "size": size}


def as_list(y_hat: Any, y: Any) -> Any:
    return [F.mse_loss(y_hat, y), F.l1_loss(y_hat, y)]


def of_both(y_hat_0: Any, y_hat_1: Any, y_0: Any, y_1: Any) -> Any:
    return {"first": own_mean(y_hat_0, y_0), "second": own_mean(y_hat_1, y_1)}


def by_importance(y_hat: Any, y: Any, weight: Any) -> Any:
    """Each sample has a weight of its own; what was averaged over is their sum."""
    each = (y_hat - y).square().mean(1)
    return (weight * each).sum() / weight.sum(), weight.sum()


class Learned(nn.Module):
    """A loss with a weight that learns."""

    def __init__(self) -> None:
        super().__init__()
        self.log_scale = nn.Parameter(torch.zeros(()))

    def forward(self, y_hat: Any, y: Any) -> Any:
        return F.mse_loss(y_hat, y) * torch.exp(-self.log_scale) + self.log_scale


class Focal(nn.Module):
    def __init__(self, gamma: float = 2.0) -> None:
        super().__init__()
        self.gamma = gamma

    def forward(self, y_hat: Any, y: Any) -> Any:
        p = y_hat.softmax(1).gather(1, y[:, None])[:, 0]
        return ((1 - p) ** self.gamma * -p.log()).mean()


class Spoken(nn.Module):
    """CTC of scores (N, classes, steps) and whole words (N, letters)."""

    def forward(self, y_hat: Any, y: Any) -> Any:
        steps = torch.full((len(y),), y_hat.shape[2])
        letters = torch.full((len(y),), y.shape[1])
        return F.ctc_loss(y_hat.permute(2, 0, 1).log_softmax(2), y, steps, letters)


def decay(epoch: int) -> float:
    """A schedule."""
    return float(0.9**epoch)


# ---- data


class Dicts(Dataset):
    def __init__(self, **parts: torch.Tensor) -> None:
        self.parts = parts

    def __len__(self) -> int:
        return len(next(iter(self.parts.values())))

    def __getitem__(self, index: int) -> Any:
        return {key: part[index] for key, part in self.parts.items()}


class Nested(Dataset):
    """Samples ((a, b), y)."""

    def __init__(self, inputs: Any, labels: Any) -> None:
        self.inputs, self.labels = inputs, labels

    def __len__(self) -> int:
        return len(self.labels[0])

    def __getitem__(self, index: int) -> Any:
        x, y = (tuple(part[index] for part in some) for some in (self.inputs, self.labels))
        return (x, y[0]) if len(y) == 1 else (x, y)


class Sample(NamedTuple):
    input: Any
    label: Any


class Named(Dataset):
    def __init__(self, x: torch.Tensor, y: torch.Tensor) -> None:
        self.x, self.y = x, y

    def __len__(self) -> int:
        return len(self.x)

    def __getitem__(self, index: int) -> Any:
        return Sample(self.x[index], self.y[index])


class Augmented(Dataset):
    """Turns the inputs around, by chance: as PyTorch's, NumPy's and Python's random numbers say."""

    def __init__(self, x: torch.Tensor, *others: torch.Tensor) -> None:
        self.x, self.others = x, others

    def __len__(self) -> int:
        return len(self.x)

    def __getitem__(self, index: int) -> Any:
        numbers = random.random(), np.random.rand(), torch.rand(()).item()
        turned = sum(number < 0.5 for number in numbers) % 2
        x = self.x[index]
        return x.flip(-1) if turned else x, *(part[index] for part in self.others)


class AugmentedByItself(Augmented):
    """The same, by random numbers of its own."""

    def __init__(self, x: torch.Tensor, *others: torch.Tensor) -> None:
        super().__init__(x, *others)
        self.numpys = np.random.default_rng(3)
        self.torchs = torch.Generator().manual_seed(3)

    def __getitem__(self, index: int) -> Any:
        turned = self.numpys.random() + torch.rand((), generator=self.torchs).item() > 1
        x = self.x[index]
        return x.flip(-1) if turned else x, *(part[index] for part in self.others)


class Arrays(Augmented):
    """Samples of NumPy's."""

    def __getitem__(self, index: int) -> Any:
        return tuple(part[index].numpy() for part in (self.x, *self.others))


class StreamWithLength(Stream):
    def __len__(self) -> int:
        return len(self.data)


class Reread:
    """Batches that can be read again; nobody knows how many."""

    def __init__(self, loader: Any) -> None:
        self.batches = [*loader]

    def __iter__(self) -> Iterator[Any]:
        return iter(self.batches)


def as_dict(items: Any) -> Any:
    """A collate function."""
    return {
        "input": torch.stack([x for x, _ in items]),
        "label": torch.stack([y for _, y in items]),
    }


# ---- metrics and callbacks


class Largest:
    """What a metric must have, and no more."""

    def reset(self) -> None:
        self.value = torch.tensor(0.0)

    def update(self, y_hat: Any, y: Any) -> None:
        self.value = torch.maximum(self.value, y_hat.detach().float().abs().max())

    def compute(self) -> Any:
        return self.value


class MeanScore(Metric):
    sums = ("total", "count")

    def __init__(self) -> None:
        self.reset()

    def name(self) -> str:
        return "score"

    def reset(self) -> None:
        self.total: Any = torch.zeros((), dtype=torch.float64)
        self.count = 0

    def update(self, y_hat: Any, y: Any) -> None:
        self.total = self.total + y_hat.detach().double().reshape(len(y), -1).mean(1).sum()
        self.count += len(y)

    def compute(self) -> Any:
        return self.total / self.count


class StopAfter(Callback):
    """Ends the training after so many steps of an epoch."""

    def __init__(self, steps: int) -> None:
        self.steps = steps

    def on_train_batch_end(self, step: int, logs: Any = None) -> None:
        if step + 1 == self.steps:
            self.model.stop_training = True
