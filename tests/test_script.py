"""What becomes code, and is the same again in a process of its own; and what must be supplied."""

from __future__ import annotations

import dataclasses
import enum
import functools
import itertools
import math
import random
import re
import subprocess
import sys
import warnings
from collections import OrderedDict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pytest
import torch
import torch.nn.functional as F
import torchmetrics
import torchmetrics.classification as tm
import torchvision
from torch import nn, optim
from torch.nn.functional import cross_entropy as crossed
from torch.utils.data import (
    BatchSampler,
    ConcatDataset,
    DataLoader,
    Dataset,
    IterableDataset,
    RandomSampler,
    Subset,
    TensorDataset,
    WeightedRandomSampler,
    random_split,
)
from torchvision import transforms

import tutorial as tl
from tutorial.unroll import proof
from tutorial.unroll.proof import flat, identical, run_copy
from tutorial.unroll.script import Script

if TYPE_CHECKING:
    from nowhere import Nothing

CHANCE = torch.Generator().manual_seed(0)
X, Y = torch.randn(20, 8, generator=CHANCE), torch.arange(20) % 3
DATA = TensorDataset(X, Y)
IMAGES = TensorDataset(torch.randn(6, 1, 8, 8, generator=CHANCE), torch.arange(6) % 3)
PHOTOS = TensorDataset(torch.randn(4, 3, 32, 32, generator=CHANCE), torch.arange(4) % 3)
WORDS = TensorDataset(torch.randn(9, 5, 8, generator=CHANCE), torch.arange(9) % 3)
Seq, Lin, CE = nn.Sequential, nn.Linear, nn.CrossEntropyLoss

# ---- what a user may write

HALF, THIRD = 0.5, math.sqrt(1 / 9)
FROZEN = Seq(Lin(3, 3), nn.Dropout()).eval()


def scaled(x: torch.Tensor) -> torch.Tensor:
    return x * HALF


def twice(function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    def doubled(*args: Any) -> Any:
        return function(*args) * 2

    return doubled


class Color(enum.Enum):
    RED = 1


class Sizes(NamedTuple):
    hidden: int = 5
    out: int = 3


@dataclasses.dataclass
class Config:
    hidden: int = 7
    rate: float = 0.1


class Kept(nn.Module):
    """It keeps its arguments."""

    text = """A text
  of two lines."""

    def __init__(self, hidden: int = 16, *, act: str = "relu") -> None:
        super().__init__()
        self.hidden, self.act = hidden, act
        self.first, self.last = nn.Linear(8, hidden), nn.Linear(hidden, 3)

    @property
    def width(self) -> int:
        return self.hidden

    @staticmethod
    def prepared(x: torch.Tensor) -> torch.Tensor:
        return scaled(x) + THIRD

    @twice
    def forward(self, x: torch.Tensor | Nothing) -> torch.Tensor:
        return self.last(getattr(F, self.act)(self.first(self.prepared(x))))


class Inherits(Kept):
    def __init__(self) -> None:
        super().__init__(self.narrow(), act="tanh")

    def narrow(self) -> int:
        return 4


class Stars(nn.Module):
    def __init__(self, *sizes: int, **options: Any) -> None:
        super().__init__()
        self.sizes, self.options = sizes, options
        pairs = itertools.pairwise(sizes)
        self.layers = nn.ModuleList(nn.Linear(a, b, **options) for a, b in pairs)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for layer in self.layers:
            x = layer(x)
        return x


class Forgets(nn.Module):
    """As most beginners write it: no argument is kept, or under another name."""

    def __init__(self, hidden: int, rate: float = 0.5) -> None:
        super().__init__()
        self.factor = rate
        self.layers = nn.ModuleDict({"in": Lin(8, hidden), "out": Lin(hidden, 3)})
        self.offset = nn.Parameter(torch.randn(3))
        self.register_buffer("noise", torch.randn(8), persistent=False)
        self.register_buffer("counted", torch.zeros(()))
        self.register_parameter("none", None)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.counted += 1
        return self.layers["out"](self.layers["in"](x + self.noise)) * self.factor + self.offset


class Configured(nn.Module):
    def __init__(self, config: Config, sizes: Sizes, color: Color) -> None:
        super().__init__()
        self.config, self.sizes, self.color = config, sizes, color
        self.layers = Seq(Lin(8, config.hidden), Lin(config.hidden, sizes.out))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layers(x) * self.sizes.hidden * (self.color is Color.RED)


@dataclasses.dataclass(eq=False)
class AsData(nn.Module):
    hidden: int

    def __post_init__(self) -> None:
        super().__init__()
        self.layers = Seq(Lin(8, self.hidden), Lin(self.hidden, 3))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layers(x)


class Tied(nn.Module):
    def __init__(self, words: int) -> None:
        super().__init__()
        self.embed = nn.Embedding(words, 8)
        self.out = nn.Linear(8, words, bias=False)
        self.out.weight = self.embed.weight

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.out(self.embed(x).mean(1))


class Recurrent(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.cells = nn.LSTM(8, 6, 2, batch_first=True, bidirectional=True)
        self.out = nn.Linear(12, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.out(self.cells(x)[0][:, -1])


class Apply(nn.Module):
    def __init__(self, function: Any) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.function(x)


class Times:
    def __init__(self, factor: float) -> None:
        self.factor = factor

    def __call__(self, y_hat: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return F.cross_entropy(y_hat, y) * self.factor


class Perceives(nn.Module):
    """A loss with weights of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.eyes = Seq(Lin(3, 3), nn.Dropout()).eval().requires_grad_(False)

    def forward(self, y_hat: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return F.cross_entropy(self.eyes(y_hat), y)


def through_frozen(y_hat: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    return crossed(FROZEN(y_hat), y)


def loss(y_hat: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """A name that the loop uses too."""
    return F.cross_entropy(y_hat, y)


def local_class(factor: float) -> nn.Module:
    class Local(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(8, 3)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.layer(x) * factor

    return Local()


def namesake() -> nn.Module:
    class Local(nn.Linear):
        def __init__(self) -> None:
            super().__init__(8, 3)
            self.register_buffer("drawn", torch.rand(()), persistent=False)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return super().forward(x) * self.drawn

    return Local()


class Share(tl.metrics.Metric):
    def __init__(self, label: int) -> None:
        self.label = label
        self.reset()

    def name(self) -> str:
        return "share"

    def reset(self) -> None:
        self.hits, self.count = 0, 0

    def update(self, y_hat: torch.Tensor, y: torch.Tensor) -> None:
        self.hits += int((y_hat.argmax(1) == self.label).sum())
        self.count += len(y)

    def compute(self) -> torch.Tensor:
        return torch.tensor(self.hits / max(self.count, 1))


class Counts(Dataset):
    def __init__(self, count: int) -> None:
        self.count = count

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
        return torch.arange(8.0) + index, index % 3


class Remade(Dataset):
    """Made of what its __init__ drew, which cannot be drawn again."""

    def __init__(self, count: int) -> None:
        self.rows = np.random.randn(count, 8).astype("float32")
        self.names = [f"{i}.png" for i in range(100)]
        self.about = {"mean": torch.zeros(8), "scale": np.float32(2)}
        self.sizes, self.color, self.table = Sizes(1), Color.RED, {"a_b": X[0], "a": {"b": X[1]}}

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> tuple[Any, int]:
        extra = self.table["a_b"].numpy() - self.table["a"]["b"].numpy()
        return self.rows[index] * self.about["scale"] + extra * self.sizes.hidden, index % 3


class Transformed(Dataset):
    def __init__(self, data: Dataset, transform: Callable[..., Any] | None = None) -> None:
        self.data, self.transform = data, transform

    def __len__(self) -> int:
        return len(self.data)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, Any]:
        x, y = self.data[index]
        return (x if self.transform is None else self.transform(x)), y


class Stream(IterableDataset):
    def __init__(self, count: int) -> None:
        self.count = count

    def __iter__(self) -> Iterator[tuple[torch.Tensor, int]]:
        return ((torch.arange(8.0) + i, i % 3) for i in range(self.count))


def noisy(x: torch.Tensor) -> torch.Tensor:
    return x + torch.randn_like(x) + random.random() + np.random.rand()


def gathered(rows: list[Any]) -> tuple[torch.Tensor, torch.Tensor]:
    return torch.stack([x for x, _ in rows]) * 2, torch.tensor([int(y) for _, y in rows])


# ---- what is written, and run again


def mlp() -> Seq:
    return Seq(Lin(8, 6), nn.ReLU(), Lin(6, 3))


def frozen_mlp() -> Seq:
    network = mlp()
    network[0].requires_grad_(False)
    return network


def shared_layer() -> Seq:
    layer, norm = Lin(8, 8), nn.BatchNorm1d(8)
    return Seq(layer, norm, nn.ReLU(), layer, norm, Lin(8, 3))


def untied_by_default() -> nn.Module:
    network = Forgets(3)
    network.layers["out"].bias = network.offset
    return network


def lazy(x: torch.Tensor, *layers: nn.Module) -> Seq:
    network = Seq(*layers)
    network(x)
    return network


NETWORKS: dict[str, Callable[[], Any]] = {
    "nested": lambda: Seq(Seq(Lin(8, 4), nn.Tanh()), Seq(nn.Dropout(0.2), Lin(4, 3, bias=False))),
    "named layers": lambda: Seq(OrderedDict(one=Lin(8, 4), two=Seq(OrderedDict(a=Lin(4, 3))))),
    "kept": lambda: Kept(9, act="gelu"),
    "defaults": Kept,
    "inherits": Inherits,
    "stars": lambda: Stars(8, 5, 3, bias=False),
    "forgets": lambda: Forgets(5, rate=0.1),
    "forgets inside": lambda: Seq(nn.ModuleList([Forgets(4)])[0], nn.ReLU()),
    "configured": lambda: Configured(Config(5), Sizes(2), Color.RED),
    "as data": lambda: AsData(5),
    "local class": lambda: local_class(2.5),
    "namesake": namesake,
    "functions": lambda: Seq(Lin(8, 3), Apply(torch.relu), Apply(F.gelu), Apply(scaled)),
    "method": lambda: Seq(
        Lin(8, 3), Apply(Kept().prepared), Apply(functools.partial(F.softmax, dim=1))
    ),
    "float64": lambda: (mlp().double(), TensorDataset(X.double(), Y)),
    "bfloat16": lambda: (Forgets(4).bfloat16(), TensorDataset(X.bfloat16(), Y)),
    "shared layer": shared_layer,
    "tied again": untied_by_default,
    "part": lambda: Seq(Lin(8, 8), Lin(8, 3), Lin(3, 3))[:2],
    "lazy": lambda: lazy(X, nn.LazyLinear(5), nn.LazyBatchNorm1d(), Lin(5, 3)),
    "norms": lambda: Seq(
        nn.LayerNorm(8), nn.BatchNorm1d(8, momentum=None, affine=False), Lin(8, 3)
    ),
    "convolutions": lambda: (
        Seq(
            nn.Conv2d(1, 4, (3, 5), padding=(1, 2), bias=False, padding_mode="circular"),
            nn.BatchNorm2d(4),
            nn.MaxPool2d((2, 2)),
            nn.Conv2d(4, 4, 3, padding="same", groups=2),
            nn.ConvTranspose2d(4, 2, 2, stride=2),
            nn.AdaptiveAvgPool2d((1, 1)),
            nn.Flatten(),
            Lin(2, 3),
        ),
        IMAGES,
    ),
    "recurrent": lambda: (Recurrent(), WORDS),
    "parametrized": lambda: nn.utils.parametrizations.weight_norm(Lin(8, 3)),
    "tied": lambda: (Tied(20), TensorDataset(torch.arange(40).reshape(8, 5) % 20, torch.arange(8))),
    "attention": lambda: (
        Seq(
            nn.TransformerEncoder(nn.TransformerEncoderLayer(8, 2, 16, batch_first=True), 2),
            nn.Flatten(),
            Lin(40, 3),
        ),
        WORDS,
    ),
    "resnet18": lambda: (torchvision.models.resnet18(num_classes=3), PHOTOS),
    "LeNet": lambda: (tl.models.LeNet(), TensorDataset(torch.randn(4, 1, 28, 28), torch.arange(4))),
}

OPTIMIZERS: dict[str, Callable[[Seq], Any]] = {
    "groups": lambda n: optim.Adam(
        [
            {"params": n[0].parameters(), "lr": torch.tensor(0.01)},
            {"params": n[2].parameters(), "lr": torch.tensor(0.02), "betas": (0.8, 0.9)},
        ],
        weight_decay=0.1,
    ),
    "options": lambda n: optim.SGD(n.parameters(), lr=0.1, momentum=0.9, nesterov=True),
    "a tensor": lambda n: optim.Adam(n.parameters(), lr=torch.tensor(0.01)),
    "named": lambda n: optim.AdamW(n.named_parameters(), lr=0.01, amsgrad=True),
    "reversed": lambda n: optim.RMSprop([*n.parameters()][::-1], lr=0.01, centered=True),
    "used before": lambda n: used_before(n),
}


def used_before(network: Seq) -> optim.Optimizer:
    optimizer = optim.Adam(network.parameters(), lr=0.05)
    network(X).sum().backward()
    optimizer.step()
    optimizer.zero_grad()
    return optimizer


def closed_over(factor: float) -> Callable[..., Any]:
    def closed(y_hat: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return F.cross_entropy(y_hat, y) * factor

    return closed


LOSSES: dict[str, Any] = {
    "options": CE(label_smoothing=0.1, weight=torch.tensor([1.0, 2, 3])),
    "function": F.cross_entropy,
    "partial": functools.partial(F.cross_entropy, weight=torch.ones(3), label_smoothing=0.1),
    "own function": loss,
    "closure": closed_over(0.4),
    "own class": Times(np.float64(0.3)),
    "bound method": Times(0.2).__call__,
    "with weights": Perceives(),
    "through a module": through_frozen,
}

METRICS: dict[str, Any] = {
    "ours": [tl.metrics.Accuracy(), tl.metrics.Accuracy(topk=(1, 2), name="best")],
    "own": Share(2),
    "torchmetrics": tm.MulticlassF1Score(3, average="none"),
    "collection": torchmetrics.MetricCollection(
        [tm.MulticlassAccuracy(3), tm.MulticlassRecall(3, top_k=2)], prefix="t_"
    ),
}


def mnist(*steps: Callable[..., Any]) -> tl.datasets.MNIST:
    return tl.datasets.MNIST("test", transforms.Compose(steps))


DATASETS: dict[str, Callable[[], Any]] = {
    "Subset": lambda: Subset(DATA, [3, 1, 7]),
    "ConcatDataset": lambda: ConcatDataset([DATA, Subset(DATA, [1, 2])]),
    "split": lambda: tuple(random_split(DATA, [15, 5])),
    "kept": lambda: Counts(9),
    "remade": lambda: Remade(9),
    "transform": lambda: Transformed(DATA, transforms.Compose([noisy, transforms.Lambda(noisy)])),
    "stream": lambda: Stream(9),
    "loader": lambda: DataLoader(DATA, 5, shuffle=True, drop_last=True, collate_fn=gathered),
    "loader of a stream": lambda: DataLoader(Stream(9), 4),
    "loader of samples": lambda: DataLoader([(X[i], Y[i]) for i in range(20)], 5),
    "sampler": lambda: DataLoader(DATA, 4, sampler=WeightedRandomSampler(X[:, 0].abs(), 12)),
    "sampler of batches": lambda: DataLoader(
        DATA, batch_size=None, sampler=BatchSampler(RandomSampler(DATA), 4, False)
    ),
    "batch_sampler": lambda: DataLoader(
        DATA, batch_sampler=BatchSampler(RandomSampler(DATA, True, 7), 4, True)
    ),
    "batches": lambda: [(X, Y), (X[:3], Y[:3])],
    "MNIST": lambda: Subset(mnist(transforms.RandomRotation(9), torch.flatten), range(30)),
}  # fmt: skip


def case_of(kind: str, name: str) -> tl.Program:
    """The program of a fit in which one part is special."""
    tl.seed(3)
    network, data = mlp(), DATA
    if kind == "network":
        made = NETWORKS[name]()
        network, data = made if isinstance(made, tuple) else (made, DATA)
    if kind == "data":
        data = DATASETS[name]()
        network = Lin(784, 10) if name == "MNIST" else network
    if kind == "frozen":
        network = frozen_mlp()
    choose = OPTIMIZERS[name] if kind == "optimizer" else lambda n: optim.Adam(n.parameters(), 0.01)
    model = tl.Model(network)
    model.prepare(
        choose(network),
        LOSSES[name] if kind == "loss" else CE(),
        METRICS[name] if kind == "metric" else None,
    )
    both = data if isinstance(data, tuple) else (data, data)
    return model.unroll("fit", *both, batch_size=8, epochs=2, clip_grad_norm=1.0)


CASES = [
    *(("network", name) for name in NETWORKS),
    *(("optimizer", name) for name in OPTIMIZERS),
    *(("loss", name) for name in LOSSES),
    *(("metric", name) for name in METRICS),
    *(("data", name) for name in DATASETS),
    ("frozen", "weights"),
]

RUN_ALL = """
import random, runpy, sys
from pathlib import Path
sys.modules["tutorial"] = None  # importing it is an error from here on
import numpy, torch
torch.set_num_threads(1)
for script in sorted(Path(sys.argv[1]).glob("*.py")):
    random.seed(5)
    numpy.random.seed(6)
    try:
        names = runpy.run_path(str(script))
    except Exception as error:
        script.with_suffix(".error").write_text(repr(error))
        continue
    kept = {k: names[k] for k in ("step_losses", "rows")}
    kept |= {k: names[k].state_dict() for k in ("network", "optimizer")}
    torch.save(kept, script.with_suffix(".result"))
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The scripts of all cases, and what they computed in one fresh process."""
    folder = tmp_path_factory.mktemp("scripts")
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*the predictions are probabilities")  # some are
        for number, case in enumerate(CASES):
            case_of(*case).save(folder / f"{number:03}.py")
    ran = subprocess.run(
        [sys.executable, "-I", "-c", RUN_ALL, folder], capture_output=True, text=True, cwd="/"
    )
    assert ran.returncode == 0, ran.stderr[-3000:]
    return folder


@pytest.mark.filterwarnings("ignore:.*the predictions are probabilities")
@pytest.mark.parametrize("number", range(len(CASES)), ids=map(" ".join, CASES))
def test_the_script_makes_it_again(number: int, folder: Path, capsys: Any) -> None:
    torch.set_num_threads(1)
    script = folder / f"{number:03}.py"
    text = script.read_text()
    error = script.with_suffix(".error")
    assert not error.exists(), error.read_text() + text
    assert "You must supply" not in text
    assert not re.search(r"^\s*(import|from) tutorial", text, re.MULTILINE)
    root = Path(tl.datasets.__file__).parent / "mnist"
    assert set(re.findall(r'"(/[^"]+)"', text)) <= {str(root)}  # no other absolute path
    here = flat(run_copy(case_of(*CASES[number])))
    there = flat(torch.load(script.with_suffix(".result"), weights_only=True))
    assert len(here) > 8
    assert [k for k in here | there if not identical(here.get(k), there.get(k))] == []


# ---- how it is written


def written(**parts: Any) -> str:
    script = Script()
    for name, value in parts.items():
        script.make(name, value)
    return "\n".join(script.lines)


def test_it_reads_as_one_would_write_it() -> None:
    network = Seq(nn.Flatten(), nn.Conv2d(1, 4, 3, padding=1), nn.ReLU(), Lin(4, 3, bias=False))
    assert written(network=network, loss_fn=CE(label_smoothing=0.1)) == (
        "network = nn.Sequential(\n"
        "    nn.Flatten(),\n"
        "    nn.Conv2d(1, 4, 3, padding=1),\n"
        "    nn.ReLU(),\n"
        "    nn.Linear(4, 3, bias=False),\n"
        ")\n"
        "loss_fn = nn.CrossEntropyLoss(label_smoothing=0.1)"
    )
    assert written(loss_fn=loss) == "loss_fn = loss"
    assert written(network=Stars(8, 3, bias=False)) == "network = Stars(8, 3, bias=False)"
    by_number = nn.ModuleDict({"0": Lin(8, 3)})
    assert written(network=by_number) == 'network = nn.ModuleDict({"0": nn.Linear(8, 3)})'


def test_weights_in_another_type_than_a_buffer_are_cast_one_by_one() -> None:
    network = nn.Sequential(Lin(4, 3), nn.BatchNorm1d(3))
    for weight in network.parameters():
        weight.data = weight.data.bfloat16()
    assert written(network=network).endswith("weight.data = weight.data.to(torch.bfloat16)")
    assert written(network=network.double()).endswith(").to(torch.float64)")


def test_what_two_share_is_written_once() -> None:
    one, other = random_split(DATA, [15, 5])
    lines = written(train_data=one, eval_data=other).splitlines()
    assert [line.split(" = ")[0] for line in lines] == ["train_data_0", "train_data", "eval_data"]
    assert written(train_data=one, eval_data=one).endswith("eval_data = train_data")


def test_only_the_data_that_the_script_names_is_saved() -> None:
    script = Script()
    for name, value in {
        "train_data": Remade(5),
        "eval_data": DATA,
        "batches": [(X, Y)] * 9,
    }.items():
        script.make(name, value)
    text = script.render("", "pass")
    assert set(re.findall(r'start\["(\w+)"\]', text)) - {"network", "random"} == script.saved.keys()


# ---- what must be supplied

UNSEEN: dict[str, Any] = {"nn": nn, "__name__": "unseen"}
exec(
    "class Unseen(nn.Linear):\n    def twice(self): return 2\n"
    "class Counted:\n    def __call__(self, y_hat, y): return (y_hat[:, 0] * y).mean()",
    UNSEEN,
)
step = 2.0


def uses_step(y_hat: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    return F.cross_entropy(y_hat, y) * step


def hooked() -> Seq:
    network = Seq(Lin(8, 3))
    network[0].register_forward_hook(lambda module, inputs, output: output * 2)
    return network


SUPPLY: dict[str, tuple[str, dict[str, Any], str]] = {
    "unseen class": ("network", {"network": UNSEEN["Unseen"](8, 3)}, "source of Unseen cannot be"),
    "hooks": ("network", {"network": hooked()}, "has hooks"),
    "lambda layer": ("network", {"network": Seq(Lin(8, 3), Apply(lambda x: x))}, "a lambda has no"),
    "lambda loss": ("loss_fn", {"loss": lambda a, b: CE()(a, b)}, "write a function with def"),
    "unseen loss": ("loss_fn", {"loss": UNSEEN["Counted"]()}, "write it to a file"),
    "the loop's name": ("step", {"loss": uses_step}, "rename yours"),
    "iterator": (
        "train_data",
        {"data": iter([(X, Y)])},
        "a list_iterator, which has no plain code",
    ),
    "lambda transform": ("train_data", {"data": Transformed(DATA, lambda x: x)}, "a lambda has no"),
    "two meanings": (
        "loss_fn",
        {"network": local_class(1.5), "loss": closed_over(2.5)},
        "factor would stand for two different things",
    ),
}


@pytest.mark.parametrize("case", SUPPLY)
def test_the_script_names_what_must_be_supplied(case: str, monkeypatch: Any) -> None:
    name, parts, why = SUPPLY[case]
    model = tl.Model(parts.get("network") or mlp())
    model.prepare(optim.SGD(model.parameters(), 0.1), parts.get("loss", CE()))
    program = model.unroll("fit", parts.get("data", DATA))
    text = program.script()
    compile(text, "script", "exec")
    head = text.split("\nimport", 1)[0]
    assert "# You must supply" in head
    assert re.search(rf"#   {name}: .*{re.escape(why)}", head)
    assert head.count("#   ") == 1  # the optimizer of such a network can be written
    assert name == "step" or f"# {name} = ...  (supply it here)" in text
    monkeypatch.setattr(proof, "fresh_process", None)  # no process is started in vain
    with pytest.raises(ValueError, match="the script cannot run alone") as error:
        program.verify()
    assert why in str(error.value)


def test_what_failed_once_fails_again() -> None:
    script = Script()
    for name in ("loss_fn", "other"):
        script.make(name, UNSEEN["Counted"]())
    assert script.supply["loss_fn"] == script.supply["other"]


# ---- notebooks

CELLS = [
    "import tutorial as tl, torch\nfrom torch import nn\nfrom dataclasses import dataclass",
    "@dataclass\nclass Config:\n    hidden: int = 4",
    "SCALE = 2.0\ndef scaled(x):\n    return x * SCALE",
    """class Net(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.config = config
        self.layers = nn.Sequential(nn.Linear(8, config.hidden), nn.Linear(config.hidden, 9))
    def forward(self, x):
        return self.layers(x)""",
    """class Net(nn.Module):  # once more, in another cell
    def __init__(self, config):
        super().__init__()
        self.config = config
        self.layers = nn.Sequential(nn.Linear(8, config.hidden), nn.Linear(config.hidden, 3))
    def forward(self, x):
        return scaled(self.layers(x))
class Plain(nn.Sequential):
    pass
class Share(tl.metrics.Metric):
    def name(self): return "share"
    def reset(self): self.n = 0
    def update(self, y_hat, y): self.n += len(y)
    def compute(self): return torch.tensor(self.n)""",
    """data = torch.utils.data.TensorDataset(torch.randn(20, 8), torch.arange(20) % 3)
model = tl.Model(Plain(Net(Config(5)), nn.ReLU()))
model.prepare(torch.optim.Adam(model.parameters()), nn.CrossEntropyLoss(), Share())
program = model.unroll("fit", data, epochs=2)
proof = program.verify()
assert proof, proof
assert "once more" in program.script() and "SCALE = 2.0" in program.script()
proof""",
]


def test_classes_of_a_notebook_become_a_script(new_process) -> None:
    import nbformat
    from nbclient import NotebookClient

    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(c) for c in CELLS])
    NotebookClient(notebook, kernel_name="python3", timeout=60).execute()
    assert "equal bit for bit" in notebook.cells[-1].outputs[-1].data["text/plain"]
