"""How batches come from the data, and what can be seen of it beforehand."""

from typing import Any

import torch
from torch.utils.data import (
    DataLoader,
    Dataset,
    IterableDataset,
    Subset,
    TensorDataset,
    default_collate,
    default_convert,
)

from tutorial.checks import length_of
from tutorial.data.batches import rows_of
from tutorial.inputs.structure import variables


def fetch_of(data: Any) -> str:
    """How batches come from the data: see `loader` in loops.py."""
    whole = without_subsets(data)
    if type(whole) is TensorDataset or getattr(whole, "whole_batches", False):
        return "per_batch"  # it takes a list of indices, and gives one batch
    if isinstance(data, DataLoader | list | tuple):
        return "as_is"
    if isinstance(data, Dataset) or (hasattr(data, "__getitem__") and hasattr(data, "__len__")):
        return "per_sample"
    return "as_is"


def tensors_in(data: Any) -> Any:
    """The tensors in which all samples lie just as they are fetched, or None."""
    whole = without_subsets(data)
    return getattr(whole, "tensors", None) if fetch_of(whole) == "per_batch" else None


def without_subsets(data: Any) -> Any:
    """The data of which Subsets were taken."""
    while type(data) is Subset:
        data = data.dataset
    return data


def steps_in(data: Any, batch_size: int, drop_last: bool) -> int | None:
    """The batches in a pass over the data, if it knows its length."""
    length = length_of(data)
    if length is None or fetch_of(data) == "as_is":
        return length
    whole, rest = divmod(length, batch_size)
    return whole + (rest > 0 and not drop_last)


def first_samples(data: Any, fetch: str) -> Any:
    """A batch of the first one or two samples, or None where one cannot look without taking."""
    if isinstance(data, IterableDataset) or isinstance(
        getattr(data, "dataset", None), IterableDataset
    ):
        return None
    if isinstance(data, list | tuple):
        return data[0]
    if isinstance(data, DataLoader):
        if data.batch_size is None and data.batch_sampler is None:
            return None  # its sampler decides what an index is
        samples = [data.dataset[i] for i in range(min(2, len(data.dataset)))]  # type: ignore[arg-type]
        return data.collate_fn(samples)
    if fetch == "as_is":
        return None
    indices = list(range(min(2, len(data))))
    return data[indices] if fetch == "per_batch" else default_collate([data[i] for i in indices])


def all_labels(data: Any, place: int = 1) -> torch.Tensor | None:
    """All labels at once, where they lie together; else the first ones must do.

    Args:
        data: the data.
        place: where the labels stand among the parts of a batch.
    """
    labels: Any = None
    if isinstance(data, DataLoader):
        plain = data.collate_fn in (default_collate, default_convert)
        labels = all_labels(data.dataset, place) if plain else None
    elif type(data) is Subset:
        rows, whole = rows_of(data)
        labels = all_labels(whole, place)
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
