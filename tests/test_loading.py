"""Batches gives what a DataLoader gives, and leaves chance where that leaves it."""

from typing import Any

import pytest
import torch
from fakes import OneByOne
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.utils.data import DataLoader, Subset, TensorDataset
from torchvision.transforms import Normalize, RandomRotation

import tutorial as tl
from tutorial.data.batches import Batches
from tutorial.device import has_room
from tutorial.inputs.data_source import look
from tutorial.unroll.unroll import unroll


def numbered(n: int) -> TensorDataset:
    """Samples that tell who they are."""
    return TensorDataset(torch.arange(n * 2.0).reshape(n, 2), torch.arange(n))


def passes(loader: Any) -> tuple[list[list[Any]], float]:
    """What two passes give after one seed, and the next number that chance gives."""
    tl.seed(3)
    batches = [[tensor.tolist() for tensor in batch] for _ in range(2) for batch in loader]
    return batches, torch.rand(()).item()


@given(
    n=st.integers(1, 40),
    batch_size=st.integers(1, 45),
    shuffle=st.booleans(),
    drop_last=st.booleans(),
)
def test_they_are_those_of_a_data_loader(n, batch_size, shuffle, drop_last) -> None:
    options = {"batch_size": batch_size, "shuffle": shuffle, "drop_last": drop_last}
    mine, usual = Batches(numbered(n), **options), DataLoader(numbered(n), **options)
    assert len(mine) == len(usual)
    assert passes(mine) == passes(usual)


def chosen(n: int) -> Any:
    """Some of n samples: the last one is number n - 1, or -1; or a range of them."""
    ranges = st.builds(range, st.integers(-n, n), st.integers(-n, n), st.sampled_from([1, 2, -3]))
    numbers = st.lists(st.integers(-n, n - 1), min_size=1)
    return numbers | ranges.filter(lambda some: len(some) and max(some) < n)


@given(st.data())
def test_so_are_those_of_a_subset_of_a_subset(data) -> None:
    some = data.draw(chosen(20))
    subset = Subset(Subset(numbered(20), some), data.draw(chosen(len(some))))
    assert passes(Batches(subset, 4, shuffle=True)) == passes(DataLoader(subset, 4, shuffle=True))
    labels = look("data", subset).labels()
    assert labels is not None
    assert labels.tolist() == [subset[i][1].item() for i in range(len(subset))]


@given(
    n=st.integers(1, 40),
    batch_size=st.integers(1, 9),
    world_size=st.integers(1, 5),
    drop_last=st.booleans(),
)
def test_several_processes_share_them_out(n, batch_size, world_size, drop_last) -> None:
    options = {"shuffle": True, "drop_last": drop_last}
    whole, drawn = passes(DataLoader(numbered(n), batch_size * world_size, **options))
    for rank in range(world_size):
        mine = Batches(numbered(n), batch_size, **options, rank=rank, world_size=world_size)
        part = slice(rank, None, world_size)
        parts = [
            [x[part], y[part]] if len(y) >= world_size else [x, y]  # too few are not divided
            for x, y in whole
        ]
        assert 2 * len(mine) == len(parts)
        assert passes(mine) == (parts, drawn)


def test_a_batch_is_a_copy() -> None:
    data = numbered(6)
    for shuffle in (True, False):
        for x, y in Batches(data, 4, shuffle):
            x.zero_()
            y.zero_()
    assert data.tensors[0].sum() == 66


def test_samples_are_kept_where_they_are_wanted() -> None:
    loader = Batches(numbered(6), batch_size=4, shuffle=True, device="meta")
    assert [(x.device.type, len(y)) for x, y in loader] == [("meta", 4), ("meta", 2)]


def test_what_does_not_lie_in_tensors_is_refused() -> None:
    for data in (OneByOne(numbered(5)), tl.datasets.MNIST("test", RandomRotation(5))):
        with pytest.raises(TypeError, match=f"data is {type(data).__name__}, but .* a DataLoader"):
            Batches(data, batch_size=2)
    with pytest.raises(ValueError, match="batch_size is 0, but an integer from 1"):
        Batches(numbered(5), batch_size=0)
    for rank in (-1, 2):
        with pytest.raises(ValueError, match=f"rank is {rank}, but of 2 processes one from 0 to 1"):
            Batches(numbered(5), batch_size=2, rank=rank, world_size=2)


# ---- where a Model uses it


class Darker(tl.datasets.MNIST):
    def __getitem__(self, index: Any) -> Any:
        x, y = super().__getitem__(index)
        return x / 2, y


class Longer(TensorDataset):
    def __getitem__(self, index: Any) -> Any:
        x, y = super().__getitem__(index)
        return torch.cat([x, x], -1), y


def test_it_is_for_what_is_fetched_as_it_lies() -> None:
    mnist, plain = tl.datasets.MNIST("test"), numbered(5)
    normalized = tl.datasets.MNIST("test", Normalize([0.0], [255.0]))
    for data in (plain, Subset(Subset(plain, [1, 2]), [0]), mnist, normalized):
        assert look("data", data).mode == "in_memory"
        assert look("data", data, num_workers=1).mode == "per_batch"
    for other, mode in (
        (tl.datasets.MNIST("test", RandomRotation(5)), "per_batch"),
        (OneByOne(plain), "per_sample"),
        (Longer(*plain.tensors), "per_sample"),
        (Darker("test"), "per_batch"),
        ([plain[:]], "as_is"),
    ):
        assert look("data", other).mode == mode


def test_on_a_gpu_the_samples_are_kept_there(monkeypatch) -> None:
    options = {"TRAIN_LOADING": "in_memory", "DEVICE": "cuda:0", "DEVICE_TYPE": "cuda"}
    source = unroll("fit", tuple(options.items()))
    line = 'train_loader = Batches(train_data, batch_size=64, shuffle=True, device="cuda:0")'
    assert line in source.splitlines()

    tensors = numbered(100).tensors  # 800 + 800 bytes
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (6400, 9000))
    assert has_room("cuda:0", tensors)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (6399, 9000))
    assert not has_room("cuda:0", tensors)
    assert has_room("cpu", tensors)


def test_without_room_there_a_loader_brings_the_batches(monkeypatch) -> None:
    model, data = tl.Model(nn.Linear(2, 3)), numbered(5)
    assert "test_loader = Batches(" in model.unroll("predict", data).source
    monkeypatch.setattr("tutorial.inputs.data_source.has_room", lambda device, tensors: False)
    assert "test_loader = DataLoader(" in model.unroll("predict", data).source


def test_labels_that_are_changed_later_count() -> None:
    mnist = tl.datasets.MNIST("test")
    mnist.targets = torch.zeros_like(mnist.targets)
    _, y = next(iter(Batches(mnist, 5)))
    assert y.tolist() == [0] * 5


@pytest.mark.parametrize("workers", [0, 1])
def test_one_trains_alike_with_either(workers: int) -> None:
    data = TensorDataset(torch.randn(70, 8), torch.arange(70) % 3)
    losses = []
    for given_data in (data, OneByOne(data)):
        tl.seed(0)
        model = tl.Model(nn.Sequential(nn.Linear(8, 3), nn.Dropout()))
        model.prepare(torch.optim.Adam(model.parameters()), nn.CrossEntropyLoss())
        source = model.unroll("fit", given_data, num_workers=workers).source
        assert ("Batches(" in source) == (given_data is data and workers == 0)
        history = model.fit(given_data, epochs=2, batch_size=16, num_workers=workers, verbose=0)
        losses.append(history.step_losses)
    assert losses[0] == losses[1]
