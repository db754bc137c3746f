"""Notebooks: `%%unroll --run`, cells that are run again, classes that are written a second time."""

import itertools
import linecache
import sys
import types
from collections.abc import Iterator
from contextlib import contextmanager

from tutorial.notebook.cell import prove, unroll_cell

from .situation import situation

SETUP = """
import random, torch, tutorial as tl
from torch import nn
from torch.utils.data import Dataset, TensorDataset
torch.manual_seed(0)
data = TensorDataset(torch.randn(12, 4), torch.arange(12) % 3)
net = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3))
model = tl.Model(net)
model.prepare(torch.optim.SGD(net.parameters(), lr=0.1), nn.CrossEntropyLoss())
"""
NUMBERS = itertools.count()


class Notebook:
    """Its cells are compiled under the file names that Jupyter gives them."""

    def __init__(self) -> None:
        self.names: dict = {"__name__": "__main__"}
        self.run(SETUP)

    def run(self, cell: str) -> None:
        file = f"/tmp/ipykernel_1/{next(NUMBERS)}.py"
        linecache.cache[file] = (len(cell), None, cell.splitlines(keepends=True), file)
        exec(compile(cell, file, "exec"), self.names)

    def unroll(self, cell: str) -> str:
        """%%unroll --run: the text, if it does what the cell does."""
        unrolled = unroll_cell(cell, self.names)
        proof = prove(unrolled, self.names, self.run)
        assert proof, proof.line
        return unrolled.source

    def verify(self, call: str = "model.unroll('fit', data, batch_size=4)") -> None:
        proof = eval(call, self.names).verify()
        assert proof, proof.line


@contextmanager
def notebook() -> Iterator[Notebook]:
    """A notebook, in this process: it is what __main__ is."""
    main = sys.modules["__main__"]
    module = sys.modules["__main__"] = types.ModuleType("__main__")
    one = Notebook()
    module.__dict__.update(one.names)
    one.names = module.__dict__
    try:
        yield one
    finally:
        sys.modules["__main__"] = main


CELLS = {
    "fit, evaluate, predict": (
        "model.fit(data, batch_size=4, verbose=0)\nprint(model.evaluate(data, verbose=0)['loss'])\n"
        "guess = model.predict(data, verbose=0, stack_outputs=True)[0]\n"
    ),
    "a loop over lr": (
        "for lr in (0.1, 0.01):\n    optimizer = torch.optim.SGD(net.parameters(), lr=lr)\n"
        "    model.prepare(optimizer, nn.CrossEntropyLoss())\n"
        "    model.fit(data, batch_size=4, verbose=0)\n"
    ),
    "a loss that names the network": (
        "def penalized(y_hat, y):\n    squares = sum(w.square().sum() for w in net.parameters())\n"
        "    return nn.functional.cross_entropy(y_hat, y) + 0.01 * squares\n"
        "model.prepare(torch.optim.SGD(net.parameters(), lr=0.1), penalized)\n"
        "model.fit(data, batch_size=4, verbose=0)\n"
    ),
    "a lambda": (
        "model.prepare(torch.optim.SGD(net.parameters(), lr=0.1),\n"
        "    lambda y_hat, y: nn.functional.cross_entropy(y_hat, y))\n"
        "model.fit(data, batch_size=4, verbose=0)\n"
    ),
}


@situation(190, "%%unroll --run of fit, evaluate, predict; a loop over lr; a lambda loss", CELLS)
def unrolled_cells(cell) -> None:
    with notebook() as one:
        one.unroll(cell)


NETWORK = """
SCALE = 1.0
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(4, 3)
    def forward(self, x):
        return SCALE * self.fc(x)
"""
MODEL = """
net = Net()
model = tl.Model(net)
model.prepare(torch.optim.SGD(net.parameters(), lr=0.1), nn.CrossEntropyLoss())
"""


@situation(191, "a constant set again in a later cell")
def constant_again() -> None:
    with notebook() as one:
        for cell in (NETWORK, MODEL, "SCALE = 5.0\n"):
            one.run(cell)
        one.verify()
        one.unroll("model.fit(data, batch_size=4, verbose=0)\n")


@situation(191, "a class with methods written a second time, after the network was made")
def class_again() -> None:
    with notebook() as one:
        for cell in (NETWORK, MODEL, NETWORK.replace("return SCALE", "return 3 * SCALE")):
            one.run(cell)
        one.verify()


@situation(
    192,
    "a class without methods written a second time",
    refused="cell|again",
    instead="make the object again",
)
def settings_again() -> None:
    settings = "class Settings:\n    width = {}\n"
    network = """
class Net(nn.Module):
    def __init__(self, settings):
        super().__init__()
        self.settings = settings
        self.a, self.b = nn.Linear(4, settings.width), nn.Linear(settings.width, 3)
    def forward(self, x):
        return self.b(self.a(x)) / self.settings.width
"""
    with notebook() as one:
        one.run(settings.format(8))
        one.run(network)
        one.run(MODEL.replace("Net()", "Net(Settings)"))
        one.run(settings.format(2))
        one.verify()


@situation(
    193,
    "fit in a function, under a condition",
    each={
        "function": "def train():\n    model.fit(data, verbose=0)\ntrain()\n",
        "lambda": "train = lambda: model.fit(data, verbose=0)\ntrain()\n",
    },
    refused="unroll|call|line",
    instead="the call itself in the cell",
)
def inside(cell) -> None:
    with notebook() as one:
        one.unroll(cell)


COUNTER = """
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(4, 3)
        COUNT
    def forward(self, x):
        self.calls += 1
        return self.fc(x) / self.calls
"""
NOISY = """
class Noisy(Dataset):
    def __init__(self):
        self.generator = random.Random(0)
    def __len__(self):
        return 12
    def __getitem__(self, i):
        return torch.ones(4) * i / 12 + self.generator.random(), i % 3
data = Noisy()
"""
PARTS = {
    "counter": COUNTER.replace("COUNT", "self.calls = 0") + MODEL,
    "buffer": COUNTER.replace("COUNT", "self.register_buffer('calls', torch.zeros(()))") + MODEL,
    "generator": NOISY,
}


@situation(194, "%%unroll --run: a counter, a counter in a buffer, a data set's generator", PARTS)
def unrolled_state(cell) -> None:
    with notebook() as one:
        one.run(cell)
        one.unroll("model.fit(data, batch_size=4, verbose=0)\n")
