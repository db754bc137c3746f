"""A data argument, looked at once: how batches come from it, and what is known of it beforehand."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch.utils.data import (
    DataLoader,
    Dataset,
    DistributedSampler,
    IterableDataset,
    Subset,
    TensorDataset,
    default_collate,
    default_convert,
)

from tutorial.checks import kind_of
from tutorial.data.batches import rows_of
from tutorial.device import has_room
from tutorial.inputs.structure import variables
from tutorial.running import LOADERS, parts_that_draw


@dataclass(frozen=True)
class DataSource:
    """Everything known about one data argument.

    Attributes:
        name: what it is for: 'train_data', 'eval_data', 'test_data', or 'the batch'.
        data: the argument itself.
        mode: how batches come from it: all samples lie in tensors "in_memory", or are fetched
            "per_batch" or "per_sample"; or it gives batches, which are taken "as_is".
        length: its samples; of what gives batches, these; None if it does not know.
        loader: the data, if it is a DataLoader.
        is_stream: whether it is an IterableDataset, whose samples have no index.
        can_look: whether its first samples can be read without taking them from it.
    """

    name: str
    data: Any
    mode: Literal["in_memory", "per_batch", "per_sample", "as_is"]
    length: int | None
    loader: DataLoader[Any] | None
    is_stream: bool
    can_look: bool

    def steps(self, batch_size: int, drop_last: bool = False) -> int | None:
        """The batches in one pass, if it knows its length."""
        if self.length is None or self.mode == "as_is":
            return self.length
        full, rest = divmod(self.length, batch_size)
        return full + (rest > 0 and not drop_last)

    def first_samples(self) -> Any:
        """A batch of the first one or two samples."""
        if self.loader is not None:
            stored: Any = self.loader.dataset
            return self.loader.collate_fn([stored[i] for i in range(min(2, len(stored)))])
        if self.mode == "as_is":
            return self.data[0]
        indices = list(range(min(2, len(self.data))))
        if self.mode == "per_sample":
            return default_collate([self.data[i] for i in indices])
        return self.data[indices]

    def labels(self, place: int = 1) -> torch.Tensor | None:
        """All labels at once, where they lie together; `place`: where in a batch they stand."""
        if self.loader is None:
            return stored_labels(self.data, place)
        collated = self.loader.collate_fn in (default_collate, default_convert)
        return stored_labels(self.loader.dataset, place) if collated else None

    @property
    def generators(self) -> list[str]:
        """Code for the random generators of a loader: what shuffles for it."""
        if not isinstance(self.data, LOADERS):
            return []
        found: list[Any] = [None]
        codes = []
        for place, part in parts_that_draw(self.data).items():
            generator = getattr(part, "generator", None)
            if not any(generator is known for known in found):
                found.append(generator)
                codes.append(f"{self.name}.{place}generator")
        return codes

    # ---- what a call may need of it

    def check_length(self, argument: str) -> None:
        """Refuse data without a length where the loop must know its last batch beforehand."""
        if self.length is None:
            raise TypeError(
                f"{self.name} has no length (len({self.name}) fails), but {argument} needs to know "
                "which batch is the last. Give a Dataset or a list of batches, or leave that "
                "option out."
            )

    def check_full_batch(self, batch_size: int) -> None:
        """Refuse to drop the only batch."""
        if self.length is not None and self.mode != "as_is" and self.length < batch_size:
            raise ValueError(
                f"{self.name} has {self.length} samples, fewer than batch_size={batch_size}, and "
                "drop_last=True leaves out a short batch, so nothing is left. Make batch_size "
                "smaller."
            )

    def check_reiterable(self, passes: int) -> None:
        """Refuse an iterator for several passes."""
        if passes > 1 and self.is_iterator():
            raise ValueError(
                f"{self.name} is an iterator, which is used up after one pass, but {passes} passes "
                "are to be made. Give something that can be read again, such as a list of batches."
            )

    def check_resumable(self) -> None:
        """Refuse an iterator where a killed training is to go on."""
        if self.is_iterator():
            raise ValueError(
                f"resume is True, but {self.name} is an iterator, which cannot be put back to "
                "where a training broke off. Give a Dataset or a DataLoader."
            )

    def check_distributable(self, processes: int) -> None:
        """Refuse data for several processes that cannot be split among them, or is already."""
        if processes == 1:
            return
        if self.is_stream:
            raise TypeError(
                f"{self.name} is an IterableDataset, but {processes} processes split it by index. "
                "Give a DataLoader over it: each process then takes its part of every batch."
            )
        batches = getattr(self.data, "batch_sampler", None)
        samplers = (getattr(self.data, "sampler", None), getattr(batches, "sampler", None))
        if any(isinstance(sampler, DistributedSampler) for sampler in samplers):
            raise ValueError(
                f"{self.name} has a DistributedSampler, which repeats samples, but here each "
                f"sample counts once. Give the data set itself as {self.name}, or a loader without "
                "it: the samples are split among the processes."
            )

    def is_iterator(self) -> bool:
        """Whether it can be read only once."""
        data = self.data
        if self.loader is not None:
            return False
        return hasattr(data, "__next__") or (hasattr(data, "__iter__") and iter(data) is data)


def look(name: str, data: Any, device: str = "cpu", num_workers: int = 0) -> DataSource:
    """Find out how batches come from the data. No sample is read.

    Args:
        name: the argument's name.
        data: the argument.
        device: where the network is. Samples that lie in tensors are kept there, if there is room.
        num_workers: processes that load the data.

    Raises:
        TypeError: no batch can come from it.
        ValueError: it is empty.
    """
    iterable = hasattr(data, "__iter__")
    indexed = hasattr(data, "__getitem__") and hasattr(data, "__len__")
    if isinstance(data, type | str | bytes | Mapping) or not (iterable or indexed):
        raise TypeError(
            f"{name} is {kind_of(data)}, but a Dataset (with its length), a DataLoader or an "
            "iterable of batches (x, y) is expected, such as TensorDataset(images, labels)."
        )
    loader = data if isinstance(data, DataLoader) else None
    streams = [isinstance(each, IterableDataset) for each in (data, getattr(data, "dataset", None))]
    length = None if streams[0] else length_of(data)
    if length == 0:
        dropped = getattr(data, "drop_last", False)
        raise ValueError(
            f"{name} is empty (its length is 0), but at least one sample is expected."
            f"{' Its drop_last=True leaves out a short batch.' if dropped else ''}"
        )
    stored = without_subsets(data)
    mode: Literal["in_memory", "per_batch", "per_sample", "as_is"] = "as_is"
    if type(stored) is TensorDataset or getattr(stored, "whole_batches", False):
        mode = "per_batch"  # it takes a list of indices, and gives one batch
        tensors = getattr(stored, "tensors", None)  # in which all samples lie as they are fetched
        if tensors is not None and num_workers == 0 and has_room(device, tensors):
            mode = "in_memory"
    elif loader is None and not isinstance(data, list | tuple):
        mode = "per_sample" if indexed or isinstance(data, Dataset) else "as_is"
    # Without batches a loader's sampler decides what an index is.
    by_index = loader is None or loader.batch_size is not None or loader.batch_sampler is not None
    can_look = by_index and not any(streams)
    if mode == "as_is" and loader is None:
        can_look = isinstance(data, list | tuple)
    return DataSource(name, data, mode, length, loader, streams[0], can_look)


def length_of(data: Any) -> int | None:
    """The length, where there is one."""
    try:
        return len(data)
    except TypeError:
        return None


def without_subsets(data: Any) -> Any:
    """The data of which Subsets were taken."""
    while type(data) is Subset:
        data = data.dataset
    return data


def stored_labels(data: Any, place: int) -> torch.Tensor | None:
    """All labels of what holds them together: tensors, batches, or a data set of torchvision."""
    labels: Any = None
    if type(data) is Subset:
        rows, whole = rows_of(data)
        labels = stored_labels(whole, place)
        labels = None if labels is None else labels[rows]
    elif isinstance(data, list | tuple):  # of batches
        parts = [list(variables(batch))[place:][:1] for batch in data]
        if all(part and isinstance(part[0], torch.Tensor) for part in parts):
            labels = torch.cat([part[0].flatten() for part in parts])
    elif type(data) is TensorDataset:
        labels = data.tensors[place]
    elif type(data).__module__.startswith(("torchvision.", "tutorial.")):
        labels = getattr(data, "targets", None) if data.target_transform is None else None
    return labels if isinstance(labels, torch.Tensor) else None
