"""The last batch is known also where data says a wrong length, or none."""

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim.lr_scheduler import StepLR
from torch.utils.data import DataLoader, IterableDataset, RandomSampler, Sampler, TensorDataset

import tutorial as tl
from tutorial import callbacks as cb
from tutorial.data.ahead import LookAhead
from tutorial.inputs.data_source import look

GENERATOR = torch.Generator().manual_seed(0)
X, Y = torch.randn(22, 4, generator=GENERATOR), torch.randint(2, (22,), generator=GENERATOR)
DATA = TensorDataset(X, Y)  # 22 = 4 * 5 + 2: 5 batches


class Stream(IterableDataset):
    """22 samples, but its len() may say something else."""

    def __init__(self, length: int | None) -> None:
        self.length = length

    def __len__(self) -> int:
        if self.length is None:
            raise TypeError("nobody knows")
        return self.length

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        return iter(zip(X, Y, strict=True))


class Own:
    """Five batches, but its len() may say something else."""

    def __init__(self, length: int | None) -> None:
        self.length = length

    def __len__(self) -> int:
        if self.length is None:
            raise TypeError("nobody knows")
        return self.length // 5

    def __iter__(self) -> Iterator[Any]:
        return iter(DataLoader(DATA, 5))


class Lying(Sampler):
    """All samples in order, but its len() may say something else."""

    def __init__(self, length: int | None) -> None:
        self.length = length

    def __len__(self) -> int:
        return 22 if self.length is None else self.length

    def __iter__(self) -> Iterator[int]:
        return iter(range(22))


KINDS = {
    "a loader of a stream": lambda length: DataLoader(Stream(length), 5),
    "a stream": Stream,
    "an iterable": Own,
    "a sampler": lambda length: DataLoader(DATA, 5, sampler=Lying(length)),
}


def model_of() -> tl.Model:
    tl.seed(0)
    model = tl.Model(nn.Sequential(nn.Linear(4, 3), nn.Tanh(), nn.Linear(3, 2)).double())
    model.prepare(torch.optim.Adam(model.parameters(), lr=0.1), nn.CrossEntropyLoss())
    return model


def by_hand(group: int, epochs: int, limit: int | None) -> list[Tensor]:
    """Updates with whole groups of batches, each as one large batch; the last ones are shorter."""
    model, left = model_of(), limit or 1000
    schedule = StepLR(model.optimizer, 2)
    for _ in range(epochs):
        for start in range(0, 5, group):
            size = min(group, 5 - start, left)
            if size <= 0:
                break
            x, y = X[start * 5 : (start + size) * 5].double(), Y[start * 5 : (start + size) * 5]
            F.cross_entropy(model.network(x), y).backward()
            nn.utils.clip_grad_norm_(model.parameters(), 0.3)
            model.optimizer.step()
            model.optimizer.zero_grad()
            schedule.step()
            left -= size
    return [weight.detach() for weight in model.parameters()]


class Doubles(nn.Module):
    """The network of a model, for numbers in float32."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: Tensor) -> Tensor:
        return self.network(x.double())


@pytest.mark.filterwarnings("ignore:Length of IterableDataset")
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("length", [22, 40, 12, 5, None])
@pytest.mark.parametrize(("group", "limit"), [(2, None), (3, None), (3, 7), (7, None), (2, 3)])
def test_the_last_update_is_made(kind: str, length: int | None, group: int, limit: Any) -> None:
    model = model_of()
    model.network = Doubles(model.network)
    data = KINDS[kind](length)
    options = {"accumulate_grad_batches": group, "num_iters": limit, "clip_grad_norm": 0.3}
    schedule = cb.LRScheduler(StepLR(model.optimizer, 2))
    history = model.fit(data, epochs=2, batch_size=5, verbose=0, callbacks=schedule, **options)
    assert len(history.step_losses) == min(limit or 10, 10)
    wanted = by_hand(group, 2, limit)
    for weight, other in zip(model.parameters(), wanted, strict=True):
        torch.testing.assert_close(weight.detach(), other, rtol=1e-9, atol=1e-12)


@pytest.mark.filterwarnings("ignore:Length of IterableDataset")
def test_it_is_printed_only_where_it_is_needed_and_its_script_runs() -> None:
    def program(data: Any, **options: Any) -> Any:
        return model_of_floats().unroll("fit", data, batch_size=5, **options)

    def model_of_floats() -> tl.Model:
        model = model_of()
        model.network = Doubles(model.network)
        return model

    unsure = program(DataLoader(Stream(40), 5), accumulate_grad_batches=3, epochs=2)
    assert "LookAhead" in unsure.source
    assert unsure.verify()
    for sure in (DATA, DataLoader(DATA, 5), list(DataLoader(DATA, 5))):
        assert "LookAhead" not in program(sure, accumulate_grad_batches=3).source
    assert "LookAhead" not in program(DataLoader(Stream(40), 5)).source


@pytest.mark.parametrize(
    ("data", "known"),
    [
        (DATA, True),
        (DataLoader(DATA, 5, shuffle=True), True),
        (DataLoader(DATA, batch_size=None, sampler=RandomSampler(DATA)), True),
        (tl.Batches(DATA, 5), True),
        ([(X, Y)], True),
        (DataLoader(DATA, 5, sampler=Lying(3)), False),
        (DataLoader(Stream(22), 5), False),
        (Own(22), False),
        (Stream(22), False),
    ],
)
def test_whose_length_is_sure(data: Any, known: bool) -> None:
    assert look("train_data", data).knows_length == known


def test_it_gives_all_batches_and_the_length_of_its_loader() -> None:
    for count in range(4):
        loader = LookAhead(list(range(count)))
        assert len(loader) == count
        for _ in range(2):
            told = [(item, loader.last) for item in loader]
            assert told == [(i, i == count - 1) for i in range(count)]
