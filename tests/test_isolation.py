"""The dry run leaves no trace: all that it could touch is the same before and after."""

import io
import os
import random
import signal
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, Dataset, IterableDataset, TensorDataset

import tutorial as tl
from tutorial.inputs import isolation
from tutorial.inputs.isolation import UnknownError, in_fork
from tutorial.unroll.proof import flat, identical

X, Y = torch.randn(24, 4, generator=torch.Generator().manual_seed(0)), torch.arange(24) % 3


@pytest.fixture(params=["in a fork", "on copies"])
def way(request, monkeypatch) -> str:
    """How the dry run looks."""
    if request.param == "on copies":
        monkeypatch.setattr(isolation, "can_fork", lambda model: False)
    return request.param


class Everything(nn.Module):
    """A network whose forward changes all that a network can have."""

    def __init__(self) -> None:
        super().__init__()
        self.fc, self.momentum = nn.Linear(4, 3), nn.Linear(4, 3).requires_grad_(False)
        self.norm, self.dropout = nn.BatchNorm1d(3), nn.Dropout(0.5)
        self.register_buffer("queue", torch.zeros(8, 3))
        self.calls, self.state, self.seen = 0, None, [0]

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        assert len(x) == 8  # the loop's own batch
        self.calls += 1
        self.seen[0] += 1
        self.state = x.mean()
        with torch.no_grad():
            self.momentum.weight.mul_(0.9).add_(self.fc.weight, alpha=0.1)
            self.queue.copy_(self.fc(x))
        return self.dropout(self.norm(self.fc(x)))


class Centred(nn.Module):
    """A loss that keeps a running mean."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("centre", torch.zeros(()))
        self.calls = 0

    def forward(self, y_hat: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        self.calls += 1
        loss = F.cross_entropy(y_hat, y)
        self.centre.mul_(0.9).add_(loss.detach())
        return loss


class Drawing(Dataset):
    """Data that draws from every generator, and counts."""

    def __init__(self) -> None:
        self.numpy, self.python = np.random.default_rng(0), random.Random(0)
        self.torch, self.read = torch.Generator(), 0

    def __len__(self) -> int:
        return len(X)

    def __getitem__(self, i: int) -> tuple[torch.Tensor, torch.Tensor]:
        self.read += 1
        noise = self.numpy.normal() + self.python.gauss(0, 1) + random.random() + np.random.rand()
        return X[i] + noise + torch.rand(4, generator=self.torch) + torch.rand(4), Y[i]


def state_of(model: tl.Model, data: Drawing) -> dict[str, Any]:
    network: Any = model.network
    return {
        **{f"network {name}": t.clone() for name, t in network.state_dict().items()},
        "calls": (network.calls, network.state, list(network.seen)),
        "modes": [module.training for module in network.modules()],
        "centre": (model.loss_fn.centre.clone(), model.loss_fn.calls),
        "gradients": [weight.grad for weight in network.parameters()],
        "read": (data.read, data.torch.get_state(), data.python.getstate()),
        "numpy": str(data.numpy.bit_generator.state),
        "global": (torch.get_rng_state(), random.getstate(), str(np.random.get_state())),
        "metrics": [vars(metric).copy() for metric in model.metrics.values()],
    }


@pytest.mark.parametrize("method", ["fit", "evaluate", "predict", "fit and evaluate"])
def test_a_look_changes_nothing_of_network_loss_data_and_generators(method: str, way: str) -> None:
    tl.seed(0)
    model, data = tl.Model(Everything()), Drawing()
    learning = [*model.network.fc.parameters(), *model.network.norm.parameters()]
    model.prepare(torch.optim.SGD(learning, lr=0.1), Centred(), tl.metrics.Accuracy())
    before = flat(state_of(model, data))
    arguments = (data, data) if method == "fit and evaluate" else (data,)
    program = model.unroll(method.split()[0], *arguments, batch_size=8)
    after = flat(state_of(model, data))
    assert before.keys() == after.keys()
    assert {key for key in before if not identical(before[key], after[key])} == set()
    assert "for step, (x, " in program.source


def test_a_fit_is_what_the_loop_by_hand_does(way: str) -> None:
    def parts() -> tuple[Any, Any, Any, Any]:
        tl.seed(0)
        network = Everything()
        learning = [*network.fc.parameters(), *network.norm.parameters()]
        return network, torch.optim.SGD(learning, lr=0.1), Centred(), Drawing()

    network, optimizer, loss_fn, data = parts()
    by_hand = []
    for x, y in DataLoader(data, batch_size=8, shuffle=True):
        loss = loss_fn(network(x), y)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        by_hand.append(loss.item())
    other, optimizer, loss_fn, data = parts()
    model = tl.Model(other)
    model.prepare(optimizer, loss_fn)
    assert model.fit(data, batch_size=8, verbose=0).step_losses == by_hand
    for a, b in zip(other.state_dict().values(), network.state_dict().values(), strict=True):
        assert torch.equal(a, b)
    assert other.calls == network.calls == 3


class Lazily(Dataset):
    """Data in a file, which is opened when the first sample is read: by each worker, its own."""

    def __init__(self, path: Path) -> None:
        self.path, self.file = path, None

    def __len__(self) -> int:
        return 24

    def __getitem__(self, i: int) -> tuple[torch.Tensor, torch.Tensor]:
        self.file = self.file or open(self.path, "rb")  # noqa: SIM115
        self.file.seek(i)
        return X[i] + self.file.read(1)[0], Y[i]


@pytest.mark.filterwarnings("ignore:.*:pytest.PytestUnraisableExceptionWarning")  # the copy's file
def test_a_file_that_is_opened_lazily_stays_closed(way: str, tmp_path: Path) -> None:
    (tmp_path / "data").write_bytes(bytes(range(24)))
    data = Lazily(tmp_path / "data")
    model = tl.Model(nn.Linear(4, 3))
    model.unroll("predict", data)
    assert data.file is None


def lines_of(file: io.TextIOBase) -> Iterator[Any]:
    for line in file:
        yield torch.full((2, 4), float(line)), torch.tensor([0, 1])


def test_an_open_file_is_read_on_where_it_was(tmp_path: Path) -> None:
    path = tmp_path / "numbers.txt"
    path.write_text("".join(f"{i}\n" for i in range(5000)))
    with open(path) as file:
        assert file.readline() == "0\n"
        place = os.lseek(file.fileno(), 0, os.SEEK_CUR)
        model = tl.Model(nn.Linear(4, 3))
        model.unroll("predict", lines_of(file))
        assert os.lseek(file.fileno(), 0, os.SEEK_CUR) == place
        assert file.readline() == "1\n"


@pytest.mark.parametrize("write", ["append", "remove", "subprocess", "an open file"])
def test_a_look_writes_nothing(write: str, tmp_path: Path) -> None:
    log, other = tmp_path / "log.txt", tmp_path / "other.txt"
    other.write_text("there")
    with open(log, "w") as opened:

        class Logging(nn.Linear):
            def forward(self, x: torch.Tensor) -> torch.Tensor:
                match write:
                    case "append":
                        with open(log, "a") as file:
                            file.write("seen\n")
                    case "remove":
                        other.unlink(missing_ok=True)
                    case "subprocess":
                        os.system(f"echo seen >> {log}")
                    case _:
                        opened.write("seen\n")
                        opened.flush()
                return super().forward(x)

        model = tl.Model(Logging(4, 3))
        model.unroll("predict", TensorDataset(X, Y))
        assert (log.read_text(), other.exists()) == ("", True)
        model.predict(TensorDataset(X, Y), verbose=0)
        assert (log.read_text(), other.exists()) != ("", True)


class Stream(IterableDataset):
    """Samples of any kind, one after the other; it can be read only once."""

    def __init__(self, make: Callable[[torch.Tensor, torch.Tensor], Any]) -> None:
        self.samples = (make(x, y) for x, y in zip(X, Y, strict=True))

    def __iter__(self) -> Iterator[Any]:
        return self.samples


STREAMS: dict[str, tuple[Callable[..., Any], Callable[..., Any], str]] = {
    "pairs": (lambda x, y: (x, y), F.cross_entropy, "(x, y)"),
    "dicts": (lambda x, y: {"input": x, "y": y}, F.cross_entropy, "batch"),
    "triples": (
        lambda x, y: (x, y, y * 0.5),
        lambda y_hat, y, w: (w * F.cross_entropy(y_hat, y, reduction="none")).mean(),
        "(x, y_0, y_1)",
    ),
}


@pytest.mark.parametrize("kind", STREAMS)
@pytest.mark.parametrize("loader", [True, False])
def test_the_first_batch_of_a_stream_is_looked_at_and_trained_on(kind: str, loader: bool) -> None:
    make, loss_fn, bound = STREAMS[kind]
    data: Any = Stream(make)
    data = DataLoader(data, 8) if loader else data
    model = tl.Model(nn.Linear(4, 3))
    model.prepare(torch.optim.SGD(model.parameters(), lr=0.1), loss_fn)
    assert f"for step, {bound} in enumerate(" in model.unroll("fit", data, batch_size=8).source
    assert len(model.fit(data, batch_size=8, verbose=0).step_losses) == 3


def test_a_compiled_network_is_not_compiled_for_a_look() -> None:
    compiled = torch.zeros(1).share_memory_()  # also with a fork

    def backend(graph: Any, _: Any) -> Any:
        compiled.add_(1)
        return graph.forward

    model = tl.Model(torch.compile(nn.Linear(4, 3), backend=backend))
    model.unroll("predict", TensorDataset(X, Y))
    assert compiled == 0
    model.predict(TensorDataset(X, Y), verbose=0)
    assert compiled == 1


def test_without_a_check_nothing_is_looked_at() -> None:
    data = Drawing()
    model = tl.Model(nn.Linear(5, 3), check=False)
    model.prepare(torch.optim.SGD(model.parameters(), lr=0.1), nn.CrossEntropyLoss())
    assert "for step, (x, y) in enumerate(" in model.unroll("fit", data).source
    with pytest.raises(RuntimeError, match="shapes cannot be multiplied"):
        model.fit(data, verbose=0)
    assert data.read == 24


# ---- the fork itself


def test_a_fork_says_what_it_finds_and_changes_nothing() -> None:
    seen: list[int] = []

    def look() -> Iterator[Any]:
        for i in range(3):
            seen.append(i)
            yield list(seen), "x" * 300_000

    assert in_fork(look) == ([0, 1, 2], "x" * 300_000)
    assert seen == []


@dataclass
class OddError(Exception):
    """Cannot be sent to another process."""

    code: int
    lock: Any = None


def raises(error: BaseException) -> Callable[[], Iterator[Any]]:
    def look() -> Iterator[Any]:
        raise error
        yield

    return look


def test_an_error_of_the_fork_is_raised_here_with_its_line() -> None:
    with pytest.raises(ZeroDivisionError, match="by nothing") as error:
        in_fork(raises(ZeroDivisionError("by nothing")))
    assert "in look\n    raise error" in error.value.__notes__[0]
    with pytest.raises(RuntimeError, match="OddError"):
        in_fork(raises(OddError(3, lock=threading.Lock())))


def test_of_a_fork_that_dies_or_takes_too_long_what_it_found_counts(monkeypatch) -> None:
    monkeypatch.setattr(isolation, "PATIENCE", 0.5)

    def found_and(then: Callable[[], Any]) -> Callable[[], Iterator[Any]]:
        def look() -> Iterator[Any]:
            yield "structure"
            then()
            yield "all"

        return look

    begun = time.monotonic()
    assert in_fork(found_and(lambda: time.sleep(60))) == "structure"
    assert time.monotonic() - begun < 5
    assert in_fork(found_and(lambda: os.kill(os.getpid(), signal.SIGSEGV))) == "structure"
    with pytest.raises(UnknownError):
        in_fork(lambda: iter([]))


def test_no_process_and_no_open_file_is_left() -> None:
    def left() -> tuple[list[str], str]:
        children = Path(f"/proc/self/task/{os.getpid()}/children").read_text()
        return os.listdir("/proc/self/fd"), children

    before = left()
    for _ in range(5):
        in_fork(lambda: iter([1]))
    assert left() == before
