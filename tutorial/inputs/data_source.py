"""A data argument, looked at once: how batches come from it, and what is known of it beforehand."""

import copy
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch.utils.data import (
    BatchSampler,
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
from tutorial.data.batches import Batches, rows_of
from tutorial.device import has_room
from tutorial.inputs.structure import leaves, variables
from tutorial.loop.helpers import make_loader
from tutorial.running import own_loader


@dataclass(frozen=True)
class DataSource:
    """Everything known about one data argument, and how it is used.

    Attributes:
        name: what it is for: 'train_data', 'eval_data', 'test_data', or 'the batch'.
        data: the argument itself.
        mode: how batches come from it: all samples lie in tensors "in_memory", or are fetched
            "per_batch" or "per_sample"; or it gives batches, which are taken "as_is".
        length: its samples; of what gives batches, these; None if it does not know.
        loader: the data, if it is a DataLoader.
        is_stream: whether it is an IterableDataset, whose samples have no index.
        batch_size: samples in a batch; not for what gives batches.
        shuffle: whether each pass has a new order; not for those.
        drop_last: whether a short last batch is left out; not for those.
        aside: whether a look draws none of another thread's random numbers.
    """

    name: str
    data: Any
    mode: Literal["in_memory", "per_batch", "per_sample", "as_is"]
    length: int | None
    loader: DataLoader[Any] | None
    is_stream: bool
    batch_size: int
    shuffle: bool
    drop_last: bool
    aside: bool = False

    def steps(self) -> int | None:
        """The batches in one pass, if it knows its length."""
        if self.length is None or self.mode == "as_is":
            return self.length
        full, rest = divmod(self.length, self.batch_size)
        return full + (rest > 0 and not self.drop_last)

    @property
    def knows_length(self) -> bool:
        """Whether a pass surely has as many batches as it says: not if the user's own code says."""
        if isinstance(self.data, list | tuple | Batches):
            return True
        if self.mode != "as_is":
            return not self.is_stream
        if self.loader is None or isinstance(self.loader.dataset, IterableDataset):
            return False
        samplers = [self.loader.sampler, self.loader.batch_sampler]
        kinds = [type(sampler).__module__ for sampler in samplers if sampler is not None]
        return all(kind.startswith("torch.") for kind in kinds)

    def batches(self) -> Iterator[Any]:
        """The batches that the loop's loader gives."""
        data = self.data
        if self.loader is not None:
            data = copy.copy(self.loader)
            data.num_workers, data.timeout, data._iterator = 0, 0, None  # this process loads it
        loader = make_loader(data, self.mode, self.batch_size, self.shuffle, False, "none")
        return iter(own_loader(loader, aside=True) if self.aside else loader)

    def smallest_batch(self) -> int | None:
        """How many samples the smallest batch of a pass has, if that is known: the last one."""
        samples, size, dropped = self.length, self.batch_size, self.drop_last
        if self.loader is not None:
            batches = self.loader.batch_sampler
            if type(batches) is not BatchSampler:
                return None
            samples, size = length_of(batches.sampler), batches.batch_size
            dropped = batches.drop_last
        elif self.mode == "as_is":
            return shortest(self.data) if isinstance(self.data, list | tuple) else None
        return None if samples is None or dropped else (samples - 1) % size + 1

    def labels(self, place: int = 1) -> torch.Tensor | None:
        """All labels at once, where they lie together; `place`: where in a batch they stand."""
        if self.loader is None:
            return stored_labels(self.data, place)
        collated = self.loader.collate_fn in (default_collate, default_convert)
        return stored_labels(self.loader.dataset, place) if collated else None

    @property
    def stacks(self) -> bool:
        """Whether all samples are of one shape, and lie along the first axis of a batch."""
        if self.loader is not None and self.loader.collate_fn is not default_collate:
            return type(self.loader.dataset) is TensorDataset
        if self.loader is not None or self.mode != "as_is":
            return True
        return isinstance(self.data, list | tuple) and alike(self.data)

    # ---- what a call may need of it

    def check_full_batch(self) -> None:
        """Refuse to drop the only batch."""
        if self.drop_last and self.steps() == 0:
            raise ValueError(
                f"{self.name} has {self.length} samples, fewer than "
                f"batch_size={self.batch_size}, and drop_last=True leaves out a short batch, so "
                "nothing is left. Make batch_size smaller."
            )

    def check_filled(self) -> None:
        """Refuse a list with a batch of no samples."""
        if self.smallest_batch() == 0:
            raise ValueError(
                f"{self.name}: one of its batches has no samples, and of none there is no mean "
                "loss. Leave it out."
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
        """Whether it can be read only once. Its __iter__ is not called: that may count, or open."""
        return self.loader is None and hasattr(self.data, "__next__")


def look(
    name: str,
    data: Any,
    device: str = "cpu",
    num_workers: int = 0,
    batch_size: int = 1,
    shuffle: bool = False,
    drop_last: bool = False,
) -> DataSource:
    """Find out how batches come from the data. No sample is read.

    Args:
        name: the argument's name.
        data: the argument.
        device: where the network is. Samples that lie in tensors are kept there, if there is room.
        num_workers: processes that load the data.
        batch_size: samples in a batch.
        shuffle: whether each pass has a new order.
        drop_last: whether a short last batch is left out.

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
    is_stream = isinstance(data, IterableDataset)
    length = None if is_stream else length_of(data)
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
        if any(tensor.is_meta for tensor in tensors or ()):
            raise ValueError(
                f"{name} has tensors on the device 'meta', which have a shape and no values. Give "
                "some with values."
            )
        if tensors is not None and num_workers == 0 and has_room(device, tensors):
            mode = "in_memory"
    elif loader is None and not (isinstance(data, list | tuple) and not lists_samples(data)):
        mode = "per_sample" if indexed or isinstance(data, Dataset) else "as_is"
    shuffle = shuffle and not is_stream
    return DataSource(name, data, mode, length, loader, is_stream, batch_size, shuffle, drop_last)


def lists_samples(data: Any) -> bool:
    """Whether a list holds samples (x, 3), not batches: a label of one number tells."""
    first = data[0]
    if not isinstance(first, list | tuple) or len(first) != 2:
        return False
    label = first[1]
    return isinstance(label, int | float) or (hasattr(label, "shape") and label.shape == ())


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


def alike(batches: Any) -> bool:
    """Whether the tensors of each batch are equally long, and those of all batches of one shape."""
    shapes = set()
    for batch in batches:
        parts = [part for _, part in leaves((), batch)]
        if not all(isinstance(part, torch.Tensor) and part.dim() for part in parts):
            return False
        if len({len(part) for part in parts}) != 1:
            return False
        shapes.add(tuple(part.shape[1:] for part in parts))
    return len(shapes) == 1


def shortest(batches: Any) -> int | None:
    """How many samples the shortest of some batches has; None if they are no tensors."""
    firsts: list[Any] = [next((part for _, part in leaves((), batch)), 0) for batch in batches]
    tensors = all(isinstance(part, torch.Tensor) and part.dim() for part in firsts)
    return min(map(len, firsts)) if tensors else None


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
        labels = None if getattr(data, "target_transform", None) else getattr(data, "targets", None)
        if isinstance(labels, list) and all(type(label) is int for label in labels):
            labels = torch.tensor(labels)  # such as an ImageFolder's
    return labels if isinstance(labels, torch.Tensor) else None
