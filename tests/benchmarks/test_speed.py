"""Speed, as ratios of medians within one run (`make bench`), since machines are noisy.

One thread; every contender trains the same network on the same data, in turn, after a warm-up.
"""

import io
import statistics
import subprocess
import sys
import time
from collections.abc import Callable

import pytest
import torch
from torch import nn
from torch.utils.data import BatchSampler, DataLoader, RandomSampler, TensorDataset
from torchvision.transforms import Normalize

import tutorial as tl
from tutorial.display.terminal import TerminalBar

ROUNDS = 7


@pytest.fixture(scope="module")
def train_data() -> tl.datasets.MNIST:
    torch.set_num_threads(1)
    return tl.datasets.MNIST("train", Normalize([127.5], [127.5]))


def mlp() -> nn.Module:
    tl.seed(0)
    return nn.Sequential(
        nn.Flatten(), nn.Linear(784, 512), nn.ReLU(), nn.Dropout(0.2), nn.Linear(512, 10)
    )


def tiny() -> nn.Module:
    tl.seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(784, 10))


def by_hand(network: nn.Module, optimizer: torch.optim.Optimizer, x, y) -> None:
    """The fastest loop that one can write by hand: index slices of one tensor, nothing reported."""
    torch.set_flush_denormal(True)
    loss_fn = nn.CrossEntropyLoss()
    network.train()
    for rows in torch.randperm(len(x)).split(64):
        loss = loss_fn(network(x.index_select(0, rows)), y.index_select(0, rows))
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    torch.set_flush_denormal(False)


def by_hand_with_the_same_loader(
    network: nn.Module, optimizer: torch.optim.Optimizer, data
) -> None:
    """The unrolled loop without its bookkeeping: what `fit` itself adds is what is above this."""
    torch.set_flush_denormal(True)
    loss_fn = nn.CrossEntropyLoss()
    network.train()
    batches = BatchSampler(RandomSampler(data), 64, drop_last=False)
    for x, y in DataLoader(data, batch_size=None, sampler=batches):
        loss = loss_fn(network(x), y)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    torch.set_flush_denormal(False)


def textbook(network: nn.Module, optimizer: torch.optim.Optimizer, x, y) -> None:
    """What a textbook writes: a DataLoader over a TensorDataset."""
    loss_fn = nn.CrossEntropyLoss()
    network.train()
    for xb, yb in DataLoader(TensorDataset(x, y), batch_size=64, shuffle=True):
        loss = loss_fn(network(xb), yb)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()


def by_fit(network, optimizer, data, metrics, monkeypatch) -> Callable[[], None]:
    model = tl.Model(network)
    model.prepare(optimizer, nn.CrossEntropyLoss(), metrics)
    monkeypatch.setattr("tutorial.model.choose", lambda *_: TerminalBar())  # the bar is on
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    return lambda: model.fit(data)


def race(**contenders: Callable[[], None]) -> dict[str, float]:
    """The median seconds of each, run in turn; printed with the spread."""
    seconds: dict[str, list[float]] = {name: [] for name in contenders}
    for round_ in range(ROUNDS + 1):
        for name, run in contenders.items():
            start = time.perf_counter()
            run()
            if round_:  # the first one warms up
                seconds[name].append(time.perf_counter() - start)
    print()
    for name, all_ in seconds.items():
        print(f"  {name:24} {statistics.median(all_):7.3f} s  ({min(all_):.3f} - {max(all_):.3f})")
    return {name: statistics.median(all_) for name, all_ in seconds.items()}


def test_an_epoch_of_the_mlp(train_data, monkeypatch: pytest.MonkeyPatch) -> None:
    x, y = train_data.images, train_data.targets
    hand, book, ours, bare = mlp(), mlp(), mlp(), mlp()
    fused = torch.optim.Adam(hand.parameters(), fused=True)
    default = torch.optim.Adam(book.parameters())
    metrics = tl.metrics.Accuracy()
    medians = race(
        by_hand=lambda: by_hand(hand, fused, x, y),
        fit=by_fit(bare, torch.optim.Adam(bare.parameters()), train_data, None, monkeypatch),
        fit_with_accuracy=by_fit(
            ours, torch.optim.Adam(ours.parameters()), train_data, metrics, monkeypatch
        ),
        textbook=lambda: textbook(book, default, x, y),
    )
    for name in ("fit", "fit_with_accuracy"):
        print(f"  {name} / by_hand  = {medians[name] / medians['by_hand']:.3f}   (goal: <= 1.10)")
        print(f"  {name} / textbook = {medians[name] / medians['textbook']:.3f}   (goal: <  0.75)")


def test_the_overhead_of_a_step(train_data, monkeypatch: pytest.MonkeyPatch) -> None:
    x, y = train_data.images, train_data.targets
    hand, loaded, ours, counted = tiny(), tiny(), tiny(), tiny()
    fused = torch.optim.SGD(hand.parameters(), lr=0.01, fused=True)
    also_fused = torch.optim.SGD(loaded.parameters(), lr=0.01, fused=True)
    medians = race(
        by_hand=lambda: by_hand(hand, fused, x, y),
        same_loader=lambda: by_hand_with_the_same_loader(loaded, also_fused, train_data),
        fit=by_fit(
            ours, torch.optim.SGD(ours.parameters(), lr=0.01), train_data, None, monkeypatch
        ),
        fit_with_accuracy=by_fit(
            counted,
            torch.optim.SGD(counted.parameters(), lr=0.01),
            train_data,
            tl.metrics.Accuracy(),
            monkeypatch,
        ),
    )
    for name in ("fit", "fit_with_accuracy"):
        for base in ("by_hand", "same_loader"):
            overhead = (medians[name] - medians[base]) / 938 * 1e6
            print(f"  {name}: {overhead:.1f} µs a step over {base}   (goal for fit: <= 15)")


def test_evaluate_and_predict(train_data) -> None:
    network = mlp()
    model = tl.Model(network)
    model.prepare(loss=nn.CrossEntropyLoss())
    loss_fn = nn.CrossEntropyLoss()
    x, y = train_data.images, train_data.targets

    def evaluate_by_hand() -> None:
        network.eval()
        total = 0.0
        with torch.no_grad():
            for i in range(0, len(x), 64):
                total += loss_fn(network(x[i : i + 64]), y[i : i + 64]).item()

    def predict_by_hand() -> None:
        network.eval()
        with torch.no_grad():
            [network(x[i : i + 64]) for i in range(0, len(x), 64)]

    medians = race(
        evaluate_by_hand=evaluate_by_hand,
        evaluate=lambda: model.evaluate(train_data, verbose=0),
        predict_by_hand=predict_by_hand,
        predict=lambda: model.predict(train_data, verbose=0),
    )
    for name in ("evaluate", "predict"):
        print(f"  {name} / by hand = {medians[name] / medians[f'{name}_by_hand']:.3f}")


def alone(code: str) -> str:
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return ran.stdout.strip()


def test_import_time() -> None:
    code = (
        "import time, torch; t = time.perf_counter(); import tutorial; tutorial.seed; "
        "print(time.perf_counter() - t)"
    )
    seconds = [float(alone(code)) for _ in range(ROUNDS)]
    print(
        f"\n  import tutorial: {statistics.median(seconds):.4f} s over import torch (goal: <= 0.3)"
    )


PEAK = """
import resource, torch, tutorial as tl
from torch import nn
from torchvision.transforms import Normalize
import sys; sys.path.insert(0, {folder!r})
from test_speed import by_hand, mlp
data = tl.datasets.MNIST("train", Normalize([127.5], [127.5]))
network = mlp()
optimizer = torch.optim.Adam(network.parameters(), fused=True)
if {fit}:
    model = tl.Model(network)
    model.prepare(optimizer, nn.CrossEntropyLoss(), tl.metrics.Accuracy())
    model.fit(data, verbose=0)
else:
    by_hand(network, optimizer, data.images, data.targets)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


def test_peak_memory() -> None:
    from pathlib import Path

    folder = str(Path(__file__).parent)
    hand, fit = (int(alone(PEAK.format(folder=folder, fit=flag))) / 1024 for flag in (0, 1))
    print(f"\n  peak memory: by hand {hand:.0f} MB, fit {fit:.0f} MB")
    print(f"  fit / by hand = {fit / hand:.3f}   (goal: <= 1.2)")
