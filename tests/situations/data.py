"""Data: data sets, loaders, samplers, collate functions, streams, graphs, what a sample holds."""

import dataclasses
import io
import tempfile
import threading
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.data import (
    BatchSampler,
    ConcatDataset,
    DataLoader,
    Dataset,
    IterableDataset,
    RandomSampler,
    Sampler,
    Subset,
    TensorDataset,
    WeightedRandomSampler,
    random_split,
)
from torchvision import datasets, transforms
from torchvision.transforms import v2

import tutorial as tl

from .networks import mlp
from .scripts import module
from .situation import Case, Head, points, situation


@situation(53, "random_split of a ConcatDataset, Subset")
def split() -> Case:
    both = ConcatDataset([points(), points()])
    first, _ = random_split(both, [16, 8])
    return Case(mlp(), nn.CrossEntropyLoss(), Subset(first, range(12)))


@situation(67, "WeightedRandomSampler")
def weighted_sampler() -> Case:
    data = points()
    sampler = WeightedRandomSampler(torch.rand(12), 12)
    return Case(mlp(), nn.CrossEntropyLoss(), DataLoader(data, 4, sampler=sampler),
                without=("evaluate", "predict"))  # fmt: skip


def scaled(items, scale: float):
    return scale * torch.stack([x for x, _ in items]), torch.stack([y for _, y in items])


@situation(68, "a loader with 2 workers that persist, a partial as collate_fn")
def persistent() -> Case:
    data = DataLoader(points(), 4, shuffle=True, num_workers=2, persistent_workers=True,
                      collate_fn=partial(scaled, scale=2.0))  # fmt: skip
    return Case(mlp(), nn.CrossEntropyLoss(), data, without=("evaluate", "predict"))


@situation(69, "collate_fn is a lambda", unscripted="def", instead="`def` instead of `lambda`")
def lambda_collate() -> Case:
    data = DataLoader(points(), 4, collate_fn=lambda items: scaled(items, 2.0))
    return Case(mlp(), nn.CrossEntropyLoss(), data)


class Doubling(DataLoader):
    """A prefetcher, a mixer, a repeating loader, ..."""

    def __iter__(self):
        for x, y in super().__iter__():
            yield 2 * x, y


@situation(99, "a DataLoader subclass with its own __iter__")
def loader_subclass() -> Case:
    data = Doubling(points(), 4, shuffle=True)
    return Case(mlp(), nn.CrossEntropyLoss(), data)


def batch_hard(z, y):
    """The farthest of one's own class, the nearest of another."""
    d = torch.cdist(z, z)
    own = y[:, None] == y[None]
    return F.relu(
        torch.stack([r[s].max() - r[~s].min() for r, s in zip(d, own, strict=True)]) + 0.2
    ).mean()


class FixedSize(nn.Module):
    """Made for batches of 4."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(4, 4)

    def forward(self, x):
        return self.fc(x).view(4, 2, 2).flatten(1)


class Whitening(nn.Module):
    """Needs more samples than features."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(4, 3)

    def forward(self, x):
        z = x - x.mean(0)
        return self.fc(z @ torch.linalg.inv(torch.linalg.cholesky(z.T @ z / len(z))).T)


def by_class() -> TensorDataset:
    return TensorDataset(torch.randn(32, 4), torch.arange(32) // 8)


@situation(115, "batch-hard triplets on data sorted by class")
def hard_triplets() -> Case:
    data = DataLoader(by_class(), 8, shuffle=True)
    return Case(nn.Linear(4, 3), batch_hard, data, without=("evaluate",))


@situation(
    115,
    "a network made for one batch size, a whitening layer",
    each={"fixed": FixedSize, "whitening": Whitening},
)
def whole_batches(kind) -> Case:
    data = TensorDataset(torch.randn(32, 4), torch.arange(32) % 3)
    size = 8 if kind is Whitening else 4
    return Case(kind(), nn.CrossEntropyLoss(), DataLoader(data, size, shuffle=True))


class Sized(Dataset):
    """Many sizes: the sampler gives (index, size)."""

    def __len__(self) -> int:
        return 12

    def __getitem__(self, key):
        i, size = key
        return torch.ones(4) * i * size / 12, i % 3


class SizedSampler(Sampler):
    def __iter__(self):
        return iter([(i, 1 + i % 2) for i in range(12)])

    def __len__(self) -> int:
        return 12


@situation(116, "a sampler of (index, size)")
def sampler_of_pairs() -> Case:
    data = DataLoader(Sized(), 4, sampler=SizedSampler())
    return Case(mlp(), nn.CrossEntropyLoss(), data)


class Alternating(Sampler):
    """Batches of one's own."""

    def __iter__(self):
        order = torch.randperm(12).tolist()
        return iter([order[:4], order[4:8], order[8:]])

    def __len__(self) -> int:
        return 3


def seeded_loader(data):
    return DataLoader(data, 4, shuffle=True, generator=torch.Generator().manual_seed(3))


@situation(
    117,
    "batch_sampler, one of one's own, a loader with a generator, prefetch_factor",
    each={
        "batch_sampler": lambda data: DataLoader(
            data, batch_sampler=BatchSampler(RandomSampler(data), 4, drop_last=False)
        ),
        "own": lambda data: DataLoader(data, batch_sampler=Alternating()),
        "generator": seeded_loader,
        "prefetch_factor": lambda data: DataLoader(data, 4, num_workers=1, prefetch_factor=4),
    },
)
def loaders(make) -> Case:
    without = ("evaluate", "predict")
    return Case(mlp(), nn.CrossEntropyLoss(), make(points()), without=without)


@situation(118, "a list of batches")
def list_of_batches() -> Case:
    x, y = points().tensors
    return Case(mlp(), nn.CrossEntropyLoss(), list(zip(x.split(4), y.split(4), strict=True)))


@situation(119, "a list of samples")
def list_of_samples() -> None:
    data = points()
    samples = list(data)
    losses = []
    for given in (samples, data):
        torch.manual_seed(0)
        model = tl.Model(mlp())
        model.prepare(torch.optim.SGD(model.parameters(), lr=0.1), nn.CrossEntropyLoss())
        losses.append(model.fit(given, batch_size=4, verbose=0).step_losses)
    assert losses[0] == losses[1], (
        f"{len(losses[0])} steps of a list, {len(losses[1])} of a Dataset"
    )


class Sample(NamedTuple):
    image: torch.Tensor
    label: int


class NamedSamples(Dataset):
    def __len__(self) -> int:
        return 12

    def __getitem__(self, i):
        return Sample(torch.ones(4) * i / 12, i % 3)


@situation(120, "NamedTuple samples")
def named_samples() -> Case:
    return Case(mlp(), nn.CrossEntropyLoss(), NamedSamples())


@dataclasses.dataclass
class Masked:
    x: torch.Tensor
    mask: torch.Tensor


def masked(items):
    x = torch.stack([x for x, _ in items])
    return Masked(x, torch.ones(len(x), 1)), torch.tensor([y for _, y in items])


class TakesMasked(Head):
    def forward(self, batch):
        return self.fc(batch.x * batch.mask)


@situation(121, "a batch is (dataclass, y)")
def dataclass_batch() -> Case:
    samples = [(torch.randn(4), i % 3) for i in range(8)]
    data = DataLoader(samples, 4, collate_fn=masked)
    return Case(TakesMasked(), nn.CrossEntropyLoss(), data)


# ---- graphs


def graphs():
    from torch_geometric.data import Data

    edges = torch.tensor([[0, 1, 2, 0], [1, 2, 0, 2]])
    return [Data(x=torch.randn(3, 4), edge_index=edges, y=torch.tensor([i % 3])) for i in range(8)]


def graph_network(pooled: bool) -> nn.Module:
    from .graphs import FullGraph, GraphNet

    return GraphNet() if pooled else FullGraph()


@situation(122, "PyG's DataLoader: a batch is one Data, which has x and y")
def pyg_loader() -> Case:
    from torch_geometric.loader import DataLoader as GraphLoader

    data = GraphLoader(graphs(), batch_size=4)
    return Case(graph_network(True), nn.CrossEntropyLoss(), data, size=lambda batch: len(batch.y),
                step=lambda network, loss, batch: loss(network(batch), batch.y),
                predict=lambda network, batch: network(batch))  # fmt: skip


def with_labels(items):
    from torch_geometric.data import Batch

    batch = Batch.from_data_list(items)
    return batch, batch.y


@situation(123, "PyG, collate_fn gives (data, y)")
def pyg_collate() -> Case:
    data = DataLoader(graphs(), 4, collate_fn=with_labels)
    return Case(graph_network(True), nn.CrossEntropyLoss(), data)


@situation(124, "PyG, the full graph (x, edge_index, y) in a list")
def full_graph() -> Case:
    edges = torch.randint(0, 6, (2, 12))
    data = [(torch.randn(6, 4), edges, torch.arange(6) % 3)]
    return Case(graph_network(False), nn.CrossEntropyLoss(), data,
                step=lambda network, loss, batch: loss(network(*batch[:2]), batch[2]),
                predict=lambda network, batch: network(*batch[:2]))  # fmt: skip


# ---- streams


class Stream(IterableDataset):
    def __init__(self, make) -> None:
        self.make = make

    def __iter__(self):
        for i in range(8):
            yield self.make(torch.arange(4.0) * (i - 4) / 8, torch.tensor(i % 3))


def pair(x, y):
    return x, y


def as_dict(x, y):
    return {"x": x, "y": y}


def triple(x, y):
    return x, y, torch.tensor(0.5)


@situation(
    132,
    "IterableDataset (x, y), in a DataLoader or alone",
    each={"alone": lambda: Stream(pair), "loader": lambda: DataLoader(Stream(pair), 4)},
)
def stream(make) -> Case:
    return Case(mlp(), nn.CrossEntropyLoss(), make())


class TakesX(Head):
    def forward(self, x):
        return self.fc(x)


def weighted(y_hat, y, weight):
    return (weight * F.cross_entropy(y_hat, y, reduction="none")).mean()


@situation(133, "IterableDataset of dicts")
def stream_of_dicts() -> Case:
    return Case(TakesX(), nn.CrossEntropyLoss(), DataLoader(Stream(as_dict), 4),
                size=lambda batch: len(batch["y"]),
                step=lambda network, loss, batch: loss(network(batch["x"]), batch["y"]),
                predict=lambda network, batch: network(batch["x"]))  # fmt: skip


@situation(133, "IterableDataset of triples, a loss of three")
def stream_of_triples() -> Case:
    return Case(TakesX(), weighted, DataLoader(Stream(triple), 4),
                step=lambda network, loss, batch: loss(network(batch[0]), *batch[1:]))  # fmt: skip


class Two(Head):
    def forward(self, x):
        return self.fc(x), x


@situation(133, "IterableDataset, two outputs, a dict of losses")
def stream_of_two() -> Case:
    def loss(a, h, y):
        return {"loss": F.cross_entropy(a, y) + 0.1 * h.mean(), "ce": F.cross_entropy(a, y)}

    return Case(Two(), loss, DataLoader(Stream(pair), 4),
                step=lambda net, loss, batch: loss(*net(batch[0]), batch[1])["loss"])  # fmt: skip


TRIPLE = {
    "inputs": [tl.InputSpec((None, 4), name="x")],
    "labels": [tl.InputSpec((None,), "int64", name="y"), tl.InputSpec((None,), name="weight")],
}


@situation(134, "IterableDataset of triples with InputSpecs")
def stream_with_specs() -> Case:
    return Case(TakesX(), weighted, DataLoader(Stream(triple), 4), model=TRIPLE,
                step=lambda network, loss, batch: loss(network(batch[0]), *batch[1:]))  # fmt: skip


@situation(
    135,
    "a generator of batches, one epoch",
    unscripted="list|Dataset",
    instead="a list, a Dataset or an IterableDataset",
)
def generator() -> Case:
    x, y = points().tensors
    batches = ((a, b) for a, b in zip(x.split(4), y.split(4), strict=True))
    without = ("load", "evaluate")
    return Case(mlp(), nn.CrossEntropyLoss(), batches, fit={"epochs": 1}, without=without)


# ---- what a sample holds


class WithPath(Dataset):
    def __len__(self) -> int:
        return 10

    def __getitem__(self, i):
        return torch.ones(4) * i / 10, i % 3, f"image_{i}.png"


def rest_ignored(y_hat, y, *path):
    return F.cross_entropy(y_hat, y)


@situation(136, "(x, y, path) from default_collate, a loss that ignores the path")
def with_path() -> Case:
    return Case(mlp(), rest_ignored, WithPath(), size=lambda batch: len(batch[0]))


@situation(136, "(x, y, path), InputSpecs for x and y alone")
def path_left_out() -> Case:
    specs = {"inputs": [tl.InputSpec((None, 4))], "labels": [tl.InputSpec((None,), "int64")]}
    return Case(mlp(), nn.CrossEntropyLoss(), WithPath(), model=specs,
                size=lambda batch: len(batch[0]))  # fmt: skip


class PathRows(Dataset):
    def __len__(self) -> int:
        return 10

    def __getitem__(self, i):
        return {"x": torch.ones(4) * i / 10, "path": f"image_{i}.png", "y": i % 3}


def by_key(network, loss, batch):
    return loss(network(batch["x"]), batch["y"])


@situation(137, "a dict with a path, InputSpecs for x and y")
def dict_with_path() -> Case:
    specs = {
        "inputs": [tl.InputSpec((None, 4), name="x")],
        "labels": [tl.InputSpec((None,), "int64", name="y")],
    }
    return Case(TakesX(), nn.CrossEntropyLoss(), PathRows(), step=by_key, model=specs,
                size=lambda batch: len(batch["x"]),
                predict=lambda network, batch: network(batch["x"]))  # fmt: skip


@situation(137, "a dict with a path, nothing said")
def dict_with_path_unsaid() -> Case:
    return Case(TakesX(), nn.CrossEntropyLoss(), PathRows(), step=by_key,
                size=lambda batch: len(batch["x"]),
                predict=lambda network, batch: network(batch["x"]))  # fmt: skip


class Words(nn.Module):
    """Takes a list of strings."""

    def __init__(self) -> None:
        super().__init__()
        self.embed, self.fc = nn.EmbeddingBag(8, 4), nn.Linear(4, 3)

    def forward(self, strings):
        tokens = [torch.tensor([ord(c) % 8 for c in string]) for string in strings]
        return self.fc(torch.cat([self.embed(t[None]) for t in tokens]))


class Strings(Dataset):
    def __len__(self) -> int:
        return 10

    def __getitem__(self, i):
        return "abcdefghijkl"[i : i + 3], i % 3


@situation(138, "a list of strings as x")
def strings() -> Case:
    return Case(Words(), nn.CrossEntropyLoss(), Strings())


@situation(
    152,
    "batch norm, and a last batch of one sample",
    refused="drop_last",
    instead="`drop_last=True`",
)
def batch_of_one() -> None:
    network = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Linear(8, 3))
    model = tl.Model(network)
    model.prepare(torch.optim.SGD(model.parameters(), lr=0.1), nn.CrossEntropyLoss())
    model.fit(points(9), batch_size=4, verbose=0)


# ---- data sets of every kind


def fake_v1() -> Dataset:
    steps = transforms.Compose([transforms.ToTensor(), transforms.Normalize([0.5] * 3, [0.5] * 3)])
    return datasets.FakeData(8, (3, 4, 4), 3, transform=steps)


def fake_v2() -> Dataset:
    steps = v2.Compose(
        [v2.ToImage(), v2.RandomHorizontalFlip(), v2.ToDtype(torch.float32, scale=True)]
    )
    return datasets.FakeData(8, (3, 4, 4), 3, transform=steps)


def image_folder() -> Dataset:
    from PIL import Image

    root = Path(tempfile.gettempdir(), "situations-images")
    for i in range(8):
        folder = root / f"class{i % 3}"
        folder.mkdir(parents=True, exist_ok=True)
        array = np.full((4, 4, 3), 20 * i, dtype=np.uint8)
        Image.fromarray(array).save(folder / f"{i}.png")
    return datasets.ImageFolder(str(root), transforms.ToTensor())


class Arrays(Dataset):
    def __init__(self) -> None:
        self.x = np.linspace(0, 1, 8 * 48, dtype=np.float32).reshape(8, 3, 4, 4)
        self.y = np.arange(8) % 3

    def __len__(self) -> int:
        return len(self.x)

    def __getitem__(self, i):
        return self.x[i], self.y[i]


class Csv(Dataset):
    """Reads its file when it is made."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.rows = np.loadtxt(path, delimiter=",", dtype=np.float32)

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, i):
        return torch.from_numpy(self.rows[i, :48]).view(3, 4, 4), int(self.rows[i, 48])


def csv() -> Dataset:
    path = Path(tempfile.gettempdir(), "situations.csv")
    rows = np.random.default_rng(0).normal(size=(8, 49))
    rows[:, 48] = np.arange(8) % 3
    np.savetxt(path, rows, delimiter=",")
    return Csv(str(path))


class Vocabulary(Dataset):
    """Strings, and the number of each word."""

    def __init__(self, strings: list[str]) -> None:
        self.strings = strings
        words = sorted({word for string in strings for word in string.split()})
        self.number = {word: i for i, word in enumerate(words)}

    def __len__(self) -> int:
        return len(self.strings)

    def __getitem__(self, i):
        counts = torch.zeros(48)
        for word in self.strings[i].split():
            counts[self.number[word]] += 1
        return counts.view(3, 4, 4), i % 3


def vocabulary() -> Dataset:
    return Vocabulary(["a cat sat", "a dog sat", "no cat", "no dog", "a cow", "no cow"])


def closure() -> Dataset:
    shift = 0.5

    class Shifted(Dataset):
        def __len__(self) -> int:
            return 8

        def __getitem__(self, i):
            return torch.full((3, 4, 4), i / 8) + shift, i % 3

    return Shifted()


@situation(
    184,
    "FakeData with transforms v1, v2; ImageFolder; csv; arrays; a vocabulary; a closure",
    each={
        "v1": fake_v1,
        "v2": fake_v2,
        "ImageFolder": image_folder,
        "csv": csv,
        "arrays": Arrays,
        "vocabulary": vocabulary,
        "closure": closure,
    },
)
def data_sets(make) -> Case:
    network = nn.Sequential(nn.Flatten(), nn.Linear(48, 3))
    without = ("evaluate", "predict")
    return Case(network, nn.CrossEntropyLoss(), make(), without=without)


@situation(185, "transforms.Lambda(lambda)", unscripted="def", instead="`def` instead of `lambda`")
def lambda_transform() -> Case:
    steps = transforms.Compose([transforms.ToTensor(), transforms.Lambda(lambda x: 2 * x)])
    network = nn.Sequential(nn.Flatten(), nn.Linear(48, 3))
    return Case(network, nn.CrossEntropyLoss(), datasets.FakeData(8, (3, 4, 4), 3, steps))


class Frame(Dataset):
    """A pandas DataFrame."""

    def __init__(self, df) -> None:
        self.df = df

    def __len__(self) -> int:
        return len(self.df)

    def __getitem__(self, i):
        row = self.df.iloc[i]
        return torch.tensor(row[["a", "b", "c", "d"]].to_numpy(np.float32)), int(row["y"])


@situation(186, "a pandas DataFrame in the data set")
def frame() -> Case:
    import pandas

    columns = {name: np.linspace(0, 1, 12) + i for i, name in enumerate("abcd")}
    data = Frame(pandas.DataFrame({**columns, "y": np.arange(12) % 3}))
    return Case(mlp(), nn.CrossEntropyLoss(), data)


class Locked(Dataset):
    def __init__(self) -> None:
        self.lock = threading.Lock()

    def __len__(self) -> int:
        return 12

    def __getitem__(self, i):
        with self.lock:
            return torch.ones(4) * i / 12, i % 3


class Cache(Dataset):
    def __init__(self) -> None:
        self.cache: dict[int, torch.Tensor] = {}

    def __len__(self) -> int:
        return 12

    def __getitem__(self, i):
        if i not in self.cache:
            self.cache[i] = torch.ones(4) * i / 12
        return self.cache[i], i % 3


@situation(
    187, "a lock in the data set", unscripted="lock", instead="make the lock where it is needed"
)
def lock() -> Case:
    return Case(mlp(), nn.CrossEntropyLoss(), Locked())


@situation(187, "a cache in the data set")
def cache() -> Case:
    return Case(mlp(), nn.CrossEntropyLoss(), Cache())


class ManyPaths(Dataset):
    def __init__(self, paths: list[str]) -> None:
        self.paths = paths

    def __len__(self) -> int:
        return 12

    def __getitem__(self, i):
        return torch.ones(4) * len(self.paths[i]) / 20, i % 3


@situation(188, "100 000 paths in the data set")
def many_paths() -> Case:
    data = ManyPaths([f"images/{i:06}.png" for i in range(100_000)])
    without = ("evaluate", "predict", "verify")
    return Case(mlp(), nn.CrossEntropyLoss(), data, without=without)


class Frozen(nn.Module):
    """What is wrapped around an encoder is in training mode, the encoder is not."""

    def __init__(self, encoder: nn.Module) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(self, x):
        return self.encoder(x)


class EncodedBy(Dataset):
    """A frozen encoder in the data set."""

    def __init__(self, encoder: nn.Module) -> None:
        self.encoder, self.x = encoder, torch.linspace(-1, 1, 48).view(12, 4)

    def __len__(self) -> int:
        return 12

    def __getitem__(self, i):
        with torch.no_grad():
            return self.encoder(self.x[i][None])[0], i % 3


@situation(97, "a frozen encoder in the data set, wrapped")
def frozen_encoder() -> Case:
    encoder = nn.Sequential(nn.Linear(4, 4), nn.Dropout(0.5), nn.BatchNorm1d(4)).eval()
    data = Subset(EncodedBy(Frozen(encoder.requires_grad_(False))), range(10))
    return Case(mlp(), nn.CrossEntropyLoss(), data)


@situation(
    148,
    "fit(x, y), fit((x, y)), numpy arrays, as in Keras",
    each={"x, y": "x, y", "(x, y)": "(x, y)", "numpy": "numpy"},
    refused="TensorDataset",
    instead="`TensorDataset(x, y)`",
)
def keras_style(how) -> None:
    x, y = points().tensors
    model = tl.Model(mlp())
    model.prepare(torch.optim.SGD(model.parameters(), lr=0.1), nn.CrossEntropyLoss())
    given = {"x, y": (x, y), "(x, y)": ((x, y),), "numpy": (x.numpy(), y.numpy())}[how]
    model.fit(*given, verbose=0)


SCALE_LAYER = """
from torch import nn

class Scale(nn.Module):
    def __init__(self, by):
        super().__init__()
        self.by = by
    def forward(self, x):
        return self.by * x
"""


@situation(189, "a package outside of site-packages, on PYTHONPATH")
def package_on_path() -> Case:
    module("elsewhere.__init__", "")
    scale = module("elsewhere.layers", SCALE_LAYER).Scale(2.0)
    return Case(nn.Sequential(scale, mlp()), nn.CrossEntropyLoss(), points())


class Bytes(Dataset):
    """Bytes that are read as a file."""

    def __init__(self) -> None:
        self.file = io.BytesIO(bytes(range(48)))

    def __len__(self) -> int:
        return 12

    def __getitem__(self, i):
        self.file.seek(4 * i)
        return torch.tensor(list(self.file.read(4))) / 48, i % 3


@situation(90, "io.BytesIO in the data set")
def bytes_io() -> Case:
    return Case(mlp(), nn.CrossEntropyLoss(), Bytes())
