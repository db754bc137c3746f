"""How a situation is written down.

    @situation(23, "regression (N, 1), batch norm, dropout")
    def regression() -> Case:
        network = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Dropout(), nn.Linear(8, 1))
        return Case(network, nn.MSELoss(), numbers())

It should come out equal to the loop by hand, in all that is tried. If not, the decorator says what
should come of it instead:

    told="..."      it works, with a warning in which this is found, which says what to be aware of
    unscripted="..."    it works, but has no script: at its top this is found: what to do for one
    refused="..."   an error in which this is found: what to do instead

open_rows.py names those that are not yet so.
"""

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset, IterableDataset, TensorDataset

from . import FAMILIES
from .open_rows import OPEN


@dataclass
class Case:
    """The parts of a training, made new for each comparison.

    Attributes:
        network, loss, data: as a user has them.
        optimizer: SGD, if none is given; or what makes one of the network's parameters.
        metrics: for prepare.
        step: by hand, what becomes of a batch: its loss.
        size: by hand, the samples in a batch; or what else the loss is a mean over.
        summed: the loss is a sum over the samples; what is reported is their mean.
        predict: by hand, what becomes of a batch where nothing is learned; None: the same call.
        model, prepare, fit: more arguments for these calls.
        loop: by hand, all of the training, where it is more than one step for each batch.
        without: what is not tried: 'evaluate', 'predict', 'load', 'alone', 'verify'.
    """

    network: nn.Module
    loss: Any
    data: Any
    optimizer: Any = None
    metrics: Any = None
    step: Callable[..., Any] = lambda network, loss, batch: loss(network(batch[0]), batch[1])
    size: Callable[[Any], int] = lambda batch: len(batch[-1])
    summed: bool = False
    predict: Callable[..., Any] | None = lambda network, batch: network(batch[0])
    model: Mapping[str, Any] = field(default_factory=dict)
    prepare: Mapping[str, Any] = field(default_factory=dict)
    fit: Mapping[str, Any] = field(default_factory=dict)
    loop: Callable[..., list[float]] | None = None
    without: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        self.fit = {"batch_size": 4, "epochs": 2, "verbose": 0} | dict(self.fit)
        if self.optimizer is None:
            self.optimizer = torch.optim.SGD(self.network.parameters(), lr=0.05)
        elif not isinstance(self.optimizer, torch.optim.Optimizer):
            self.optimizer = self.optimizer(self.network.parameters())

    @property
    def is_dataset(self) -> bool:
        """Whether the loader is made by the loop."""
        return isinstance(self.data, Dataset) and not isinstance(self.data, IterableDataset)

    def loader(self, shuffle: bool = False, batch_size: int | None = None) -> Any:
        """The batches, as one makes them by hand."""
        if not isinstance(self.data, Dataset):
            return self.data
        shuffle = shuffle and self.is_dataset
        return DataLoader(self.data, batch_size or self.fit["batch_size"], shuffle=shuffle)


@dataclass(frozen=True)
class Situation:
    """One row of the table.

    Attributes:
        number: in the list of what was once found; a brother has the same number.
        title: in words.
        make: makes a Case, or compares for itself.
        each: the arguments of `make`, if there are several cases, by their names.
        told, unscripted, refused: what should come of it, if it is not 'equal'.
        instead: for the book, what one writes where it is refused, or what the warning says.
        family: the file.
    """

    number: int
    title: str
    make: Callable[..., Case | None]
    each: Mapping[str, Any]
    told: str
    unscripted: str
    refused: str
    instead: str
    family: str

    @property
    def expected(self) -> str:
        """The outcome that the table should have."""
        if self.refused:
            return "refused"
        return "no script" if self.unscripted else "told" if self.told else "equal"

    @property
    def is_open(self) -> bool:
        """Whether it is not yet so."""
        return self.name in OPEN

    @property
    def name(self) -> str:
        """For a test."""
        return f"{self.number:03}-{self.make.__name__}"


SITUATIONS: list[Situation] = []


def situation(
    number: int,
    title: str,
    each: Mapping[str, Any] | None = None,
    told: str = "",
    unscripted: str = "",
    refused: str = "",
    instead: str = "",
) -> Callable[[Callable[..., Case | None]], Callable[..., Case | None]]:
    """Put what the function makes into the table."""

    def noted(make: Callable[..., Case | None]) -> Callable[..., Case | None]:
        family = make.__module__.rpartition(".")[2]
        one = Situation(number, title, make, each or {}, told, unscripted, refused, instead, family)
        SITUATIONS.append(one)
        return make

    return noted


def all_situations() -> list[Situation]:
    """The whole table, in the order of the families."""
    for family in FAMILIES:
        importlib.import_module(f".{family}", __package__)
    return sorted(SITUATIONS, key=lambda one: FAMILIES.index(one.family))


# ---- what is warned of

OF_A_BATCH = {
    "told": r"batch_size|mean over",
    "instead": "the loss is no mean over samples, so what is reported depends on `batch_size`",
}


# ---- small data


def points(samples: int = 12, features: int = 4, classes: int = 3) -> TensorDataset:
    """Points and their classes."""
    return TensorDataset(torch.randn(samples, features), torch.arange(samples) % classes)


def numbers(samples: int = 12, features: int = 4) -> TensorDataset:
    """Points and a number for each, (N, 1)."""
    x = torch.randn(samples, features)
    return TensorDataset(x, x.sum(1, keepdim=True))


def images(samples: int = 8, size: int = 32, classes: int = 3) -> TensorDataset:
    """Coloured images and their classes."""
    return TensorDataset(torch.randn(samples, 3, size, size), torch.arange(samples) % classes)


class Head(nn.Module):
    """The smallest network of a user's own."""

    def __init__(self, features: int = 4, classes: int = 3) -> None:
        super().__init__()
        self.fc = nn.Linear(features, classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.fc(x)
