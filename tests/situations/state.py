"""What changes while it runs: queues, counters, files, generators, and what a checkpoint keeps."""

import random
import tempfile
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset, Sampler, TensorDataset

import tutorial as tl

from .runner import seed
from .situation import Case, Head, numbers, points, situation


class Momentum(nn.Module):
    """As MoCo: a key encoder follows, a queue is filled."""

    def __init__(self) -> None:
        super().__init__()
        self.q, self.k = nn.Linear(4, 3), nn.Linear(4, 3).requires_grad_(False)
        self.register_buffer("queue", torch.randn(16, 3))
        self.register_buffer("ptr", torch.zeros((), dtype=torch.long))

    def forward(self, x):
        with torch.no_grad():
            for a, b in zip(self.q.parameters(), self.k.parameters(), strict=True):
                b.mul_(0.9).add_(a, alpha=0.1)
            p = int(self.ptr)
            self.queue[p : p + len(x)] = self.k(x)
            self.ptr.fill_((p + len(x)) % 16)
        return self.q(x) @ self.queue.T


@situation(75, "MoCo: momentum encoder and queue updated in forward")
def moco() -> Case:
    network = Momentum()
    data = TensorDataset(torch.randn(16, 4), torch.arange(16))
    optimizer = torch.optim.SGD(network.q.parameters(), lr=0.1)
    without = ("evaluate", "predict")
    fit = {"batch_size": 8}
    return Case(network, nn.CrossEntropyLoss(), data, optimizer, fit=fit, without=without)


@situation(75, "unroll() alone leaves weights, buffers and data as they are")
def no_trace() -> None:
    network = Momentum()
    data = TensorDataset(torch.randn(16, 4), torch.arange(16))
    model = tl.Model(network)
    model.prepare(torch.optim.SGD(network.q.parameters(), lr=0.1), nn.CrossEntropyLoss())
    before = {key: value.clone() for key, value in network.state_dict().items()}
    model.unroll("fit", data, batch_size=8)
    changed = [k for k, v in network.state_dict().items() if not torch.equal(v, before[k])]
    assert changed == [], f"unroll changed {changed}"


class Counts:
    """Notes that it was used."""

    def __init__(self) -> None:
        self.used = 0

    def __call__(self, items):
        self.used += 1
        return torch.utils.data.default_collate(items)


class CountingData(Dataset):
    def __init__(self) -> None:
        self.used = 0

    def __len__(self) -> int:
        return 12

    def __getitem__(self, i):
        self.used += 1
        return torch.ones(4) * i / 12, i % 3


class CountingSampler(Sampler):
    def __init__(self) -> None:
        self.used = 0

    def __iter__(self):
        self.used += 1
        return iter(random.sample(range(12), 12))

    def __len__(self) -> int:
        return 12


class CountingLoss(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.used, self.seen = 0, []

    def forward(self, y_hat, y):
        self.used += 1
        self.seen.append(float(y_hat.mean()))
        return nn.functional.cross_entropy(y_hat, y)


class CountingMetric:
    def __init__(self) -> None:
        self.used, self.total = 0, 0.0

    def reset(self):
        self.total = 0.0

    def update(self, y_hat, y):
        self.used += 1
        self.total += len(y)

    def compute(self):
        return self.total


@situation(75, "unroll() alone: data, sampler, collate_fn, network, loss and metric are not used")
def nothing_is_used() -> None:
    network, loss, data, sampler = Annealed(), CountingLoss(), CountingData(), CountingSampler()
    collate, metric = Counts(), CountingMetric()
    loader = DataLoader(data, 4, sampler=sampler, collate_fn=collate)
    model = tl.Model(network)
    model.prepare(torch.optim.SGD(network.parameters(), lr=0.1), loss, metric)
    random_state = random.getstate(), torch.get_rng_state().tolist()
    model.unroll("fit", loader, loader)
    model.unroll("evaluate", data)
    model.unroll("predict", loader)
    used = [part.used for part in (loss, data, sampler, collate, metric)]
    assert used == [0] * 5 and network.calls == 0 and loss.seen == [], (used, network.calls)
    assert random_state == (random.getstate(), torch.get_rng_state().tolist())


class Stateful(nn.Module):
    """The hidden state goes on from batch to batch."""

    def __init__(self) -> None:
        super().__init__()
        self.rnn, self.fc = nn.GRU(3, 4, batch_first=True), nn.Linear(4, 2)
        self.h = None

    def forward(self, x):
        out, h = self.rnn(x, self.h)
        self.h = h.detach()
        return self.fc(out[:, -1])


def long_sequence() -> tuple[torch.Tensor, torch.Tensor]:
    return torch.randn(12, 5, 3), torch.randint(0, 2, (12,))


@situation(77, "a stateful RNN, a list of batches")
def stateful_batches() -> Case:
    x, y = long_sequence()
    batches = [(x[i : i + 4], y[i : i + 4]) for i in (0, 4, 8)]
    return Case(Stateful(), nn.CrossEntropyLoss(), batches, without=("evaluate", "predict"))


@situation(78, "a stateful RNN, TensorDataset")
def stateful_dataset() -> Case:
    data, without = TensorDataset(*long_sequence()), ("evaluate", "predict")
    return Case(Stateful(), nn.CrossEntropyLoss(), data, without=without)


class Annealed(Head):
    """Counts its calls, in Python."""

    def __init__(self) -> None:
        super().__init__()
        self.calls = 0

    def forward(self, x):
        self.calls += 1
        return self.fc(x) * min(1.0, self.calls / 5)


class AnnealedBuffer(Head):
    """Counts its calls, in a buffer."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("calls", torch.zeros(()))

    def forward(self, x):
        self.calls += 1
        return self.fc(x) * (self.calls / 5).clamp(max=1)


@situation(79, "forward counts its calls in an attribute")
def counter() -> Case:
    return Case(Annealed(), nn.CrossEntropyLoss(), points(), without=("evaluate", "predict"))


@situation(79, "forward counts its calls in a buffer")
def counter_buffer() -> Case:
    return Case(AnnealedBuffer(), nn.CrossEntropyLoss(), points(), without=("evaluate", "predict"))


class Records(Dataset):
    """A file that each worker opens for itself, as with h5py."""

    def __init__(self, path: str, samples: int) -> None:
        self.path, self.samples, self.file = path, samples, None

    def __len__(self) -> int:
        return self.samples

    def __getitem__(self, i):
        if self.file is None:
            self.file = open(self.path, "rb")  # noqa: SIM115 - it stays open
        self.file.seek(4 * 2000 * i)
        bytes_read = self.file.read(4 * 2000)
        return torch.from_numpy(np.frombuffer(bytes_read, np.float32).copy())[::100], float(i)


class Nothing(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.w = nn.Parameter(torch.zeros(1))

    def forward(self, x):
        return x + 0 * self.w


@situation(80, "a file opened lazily in __getitem__, num_workers=4")
def lazy_file() -> None:
    opened = []

    class Watched(Records):
        def __getitem__(self, i):
            if self.file is None:
                opened.append(torch.utils.data.get_worker_info())
            return super().__getitem__(i)

    with tempfile.TemporaryDirectory() as folder:
        path = f"{folder}/data.bin"
        np.repeat(np.arange(64, dtype=np.float32), 2000).tofile(path)
        wrong = 0

        def loss(x, y):
            nonlocal wrong
            wrong += int((x != y[:, None]).any(1).sum())
            return x.mean() * 0

        data = Watched(path, 64)
        model = tl.Model(Nothing())
        model.prepare(torch.optim.SGD(model.parameters(), lr=0.0), loss)
        model.unroll("fit", data, batch_size=4, num_workers=4)
        assert data.file is None, "unroll has opened the file, which the workers then share"
        model.fit(data, batch_size=4, num_workers=4, verbose=0)
        assert data.file is None and opened == [], "the file was opened in this process"
        assert wrong == 0, f"{wrong} of 64 samples have another one's bytes"


class Flips(Dataset):
    """Augments with random and numpy.random, as most do."""

    def __len__(self) -> int:
        return 12

    def __getitem__(self, i):
        x = torch.arange(4.0) * i / 12
        flipped = x.flip(0) if random.random() < 0.5 else x
        return flipped + 0.1 * float(np.random.randn()), x[:1]


@situation(89, "random and numpy.random in the data set")
def python_random() -> Case:
    return Case(nn.Linear(4, 1), nn.MSELoss(), Flips(), without=("evaluate", "predict"))


class Noisy(Dataset):
    """A data set with a generator of its own."""

    def __init__(self, draw, generator) -> None:
        self.x, self.draw, self.generator = torch.arange(32.0).view(8, 4) / 32, draw, generator

    def __len__(self) -> int:
        return 8

    def __getitem__(self, i):
        return self.x[i] + self.draw(self.generator), self.x[i, :1]


def gauss(generator):
    return generator.gauss(0, 1)


def randn(generator):
    return torch.randn(1, generator=generator)


def normal(generator):
    return float(generator.normal())


@situation(
    90,
    "a data set with random.Random or torch.Generator of its own",
    each={
        "Random": lambda: Noisy(gauss, random.Random(5)),
        "Generator": lambda: Noisy(randn, torch.Generator().manual_seed(9)),
    },
)
def own_generator(make) -> Case:
    return Case(nn.Linear(4, 1), nn.MSELoss(), make(), without=("evaluate", "predict"))


@situation(
    91,
    "a data set with np.random.Generator or RandomState of its own",
    each={"Generator": np.random.default_rng, "RandomState": np.random.RandomState},
)
def numpy_generator(kind) -> Case:
    data = Noisy(normal, kind(0))
    return Case(nn.Linear(4, 1), nn.MSELoss(), data, without=("evaluate", "predict"))


# ---- what a checkpoint keeps


class Extra(Head):
    def __init__(self) -> None:
        super().__init__()
        self.names = ["a", "b"]

    def get_extra_state(self):
        return {"names": self.names}

    def set_extra_state(self, state):
        self.names = state["names"]


@situation(173, "get_extra_state")
def extra_state() -> Case:
    return Case(Extra(), nn.CrossEntropyLoss(), points())


@situation(173, "get_extra_state: what load reads is what save wrote")
def extra_state_loaded() -> None:
    network, new = Extra(), Extra()
    network.names = ["c"]
    model, other = tl.Model(network), tl.Model(new)
    with tempfile.TemporaryDirectory() as folder:
        other.load(model.save(f"{folder}/model"))
    assert new.names == ["c"], new.names


def resumed(make, told: bool = False) -> None:
    """Four epochs in one, and broken off after two."""
    losses = []
    with tempfile.TemporaryDirectory() as folder:
        for parts, save_dir in (((4,), None), ((2, 4), folder)):
            for epochs in parts:
                seed(0)
                network, data = make()
                model = tl.Model(network)
                model.prepare(torch.optim.SGD(model.parameters(), lr=0.1), nn.MSELoss())
                seed(1 if epochs == parts[0] else 2)
                kept = {"save_dir": save_dir, "resume": True} if save_dir else {}
                losses.append(model.fit(data, epochs=epochs, batch_size=4, verbose=0, **kept))
    whole, _, again = losses
    assert again.step_losses == whole.step_losses, (
        f"after two epochs {whole.step_losses[len(whole.step_losses) // 2]:.4f}, "
        f"resumed {again.step_losses[len(again.step_losses) // 2]:.4f}"
    )


class Counted(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.fc, self.calls = nn.Linear(4, 1), 0

    def forward(self, x):
        self.calls += 1
        return self.fc(x) / self.calls


@situation(177, "resume: a loader whose workers persist")
def resumed_workers() -> None:
    resumed(lambda: (nn.Linear(4, 1), DataLoader(
        numbers(8), 4, shuffle=True, num_workers=1, persistent_workers=True)))  # fmt: skip


@situation(
    177,
    "resume: a data set with a generator of its own",
    each={
        "numpy": lambda: Noisy(normal, np.random.default_rng(0)),
        "torch": lambda: Noisy(randn, torch.Generator().manual_seed(9)),
        "random": lambda: Noisy(gauss, random.Random(5)),
    },
)
def resumed_generator(data) -> None:
    resumed(lambda: (nn.Linear(4, 1), data()))


class Stratified(Sampler):
    """A sampler with a generator and a counter of its own."""

    def __init__(self) -> None:
        self.random, self.epoch = random.Random(3), 0

    def __iter__(self):
        self.epoch += 1
        order = self.random.sample(range(8), 8)
        return iter(order if self.epoch % 2 else order[::-1])

    def __len__(self) -> int:
        return 8


class Jitter:
    """A collate_fn with a generator of its own."""

    def __init__(self) -> None:
        self.generator = np.random.default_rng(1)

    def __call__(self, items):
        x, y = torch.utils.data.default_collate(items)
        return x + float(self.generator.normal()), y


@situation(
    177,
    "resume: a sampler or a collate_fn with a generator of its own",
    each={
        "sampler": lambda: DataLoader(numbers(8), 4, sampler=Stratified()),
        "collate_fn": lambda: DataLoader(numbers(8), 4, shuffle=True, collate_fn=Jitter()),
    },
)
def resumed_loader(loader) -> None:
    resumed(lambda: (nn.Linear(4, 1), loader()))


@situation(177, "resume: random and numpy.random in the data set")
def resumed_python_random() -> None:
    resumed(lambda: (nn.Linear(4, 1), Flips()))


@situation(177, "resume: a counter in an attribute of the network")
def resumed_counter() -> None:
    resumed(lambda: (Counted(), numbers(8)))


@situation(183, "a callback that appends to a file: verify() leaves it alone")
def appends() -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "log.txt")
        path.touch()
        network = nn.Linear(4, 1)
        model = tl.Model(network)
        model.prepare(torch.optim.SGD(network.parameters(), lr=0.1), nn.MSELoss())
        program = model.unroll("fit", numbers(), epochs=2, callbacks=[Appends(str(path))])
        proof = program.verify()
        lines = path.read_text().splitlines()
        assert proof, proof.line
        assert lines == [], f"nothing was trained yet; {len(lines)} lines in the user's log"


class Appends(tl.callbacks.Callback):
    def __init__(self, file: str) -> None:
        self.file = file

    def on_epoch_end(self, epoch, logs=None):
        with open(self.file, "a") as file:
            file.write(f"{epoch} {logs['loss']:.3f}\n")
