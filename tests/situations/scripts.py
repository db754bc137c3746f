"""What a script is written from: constants, arguments that nobody keeps, modules, attributes."""

import argparse
import atexit
import collections
import dataclasses
import enum
import importlib
import logging
import sys
import tempfile
import types
from functools import cache, partial
from pathlib import Path

import numpy as np
import torch
from torch import nn

from .situation import Case, Head, numbers, points, situation

SCALE = 1.0
CONFIG = {"bias": 0.0}
ARGS = argparse.Namespace(power=1.0)


class Constants(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(4, 1)

    def forward(self, x):
        return SCALE * self.fc(x) + CONFIG["bias"]


class FromArguments(Constants):
    def forward(self, x):
        return self.fc(x).abs() ** ARGS.power


SCALE = 10.0  # set again, by a sweep or from the command line
CONFIG.update(bias=3.0)
ARGS.power = 2.0


@situation(92, "a constant that is set again, a config dict that is changed")
def constants() -> Case:
    return Case(Constants(), nn.MSELoss(), numbers(), rate(1e-3))


def rate(lr: float):
    return lambda parameters: torch.optim.SGD(parameters, lr=lr)


@situation(93, "a global argparse.Namespace")
def namespace() -> Case:
    return Case(FromArguments(), nn.MSELoss(), numbers(), rate(1e-3))


def absolute(x):
    return x.abs()


THRESHOLD = torch.tensor([0.5, -0.5, 0.0])
FACTORS = [1.0]
FACTORS.append(3.0)
ACTIVATIONS = {"relu": torch.relu, "abs": absolute, "tanh": torch.tanh}


class Dispatched(nn.Module):
    """A tensor, a list and a dict of functions, all global; a default from one of them."""

    def __init__(self, kind: str, factor: float = FACTORS[-1]) -> None:
        super().__init__()
        self.kind, self.factor, self.fc = kind, factor, nn.Linear(4, 3)

    def forward(self, x):
        return ACTIVATIONS[self.kind](self.fc(x) - THRESHOLD) * self.factor * len(FACTORS)


@situation(92, "a global tensor, a global list that grew, a global dict of functions")
def global_objects() -> Case:
    return Case(Dispatched("tanh"), nn.CrossEntropyLoss(), points(), rate(1e-2))


class Kind(nn.Module):
    """What `kind` says is kept in a function only."""

    def __init__(self, kind: str = "relu") -> None:
        super().__init__()
        self.a, self.b = nn.Linear(4, 8), nn.Linear(8, 1)
        self.act = (lambda h: h.relu()) if kind == "relu" else (lambda h: h.tanh())

    def forward(self, x):
        return self.b(self.act(self.a(x)))


class Power(nn.Module):
    """The same, in a closure."""

    def __init__(self, power: float = 1.0) -> None:
        super().__init__()

        def raised(h):
            return h.abs() ** power

        self.a, self.b, self.act = nn.Linear(4, 8), nn.Linear(8, 1), raised

    def forward(self, x):
        return self.b(self.act(self.a(x)))


@situation(
    94,
    "an activation chosen by an argument that is not kept: a lambda, a closure",
    each={"lambda": lambda: Kind("tanh"), "closure": lambda: Power(2.0)},
    unscripted=r"write a function with def|does not keep|makes? it again",
    instead="keep the argument: `self.kind = kind`",
)
def not_kept(make) -> Case:
    return Case(make(), nn.MSELoss(), numbers())


class Kept(Kind):
    """With the argument kept it can be written."""

    def __init__(self, kind: str = "relu") -> None:
        super().__init__(kind)
        self.kind = kind


@situation(94, "the same, and the argument is kept")
def kept_argument() -> Case:
    return Case(Kept("tanh"), nn.MSELoss(), numbers())


# ---- packages and modules


@cache
def folder() -> Path:
    """What is imported from it is read again later; it is removed in the end."""
    made = tempfile.TemporaryDirectory(prefix="situations-")
    atexit.register(made.cleanup)
    sys.path.append(made.name)
    return Path(made.name)


def module(name: str, text: str) -> types.ModuleType:
    """A module of a user's own, imported."""
    path = folder().joinpath(*name.split(".")).with_suffix(".py")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    importlib.invalidate_caches()
    sys.modules.pop(name, None)
    return importlib.import_module(name.removesuffix(".__init__"))


NET = """
from torch import nn

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(4, 3)

    def forward(self, x):
        return self.fc(x)
"""


PACKAGE = {
    "__init__": "",
    "registry": """
REGISTRY = {}

def register(kind):
    REGISTRY[kind.__name__] = kind
    return kind
""",
    "blocks": """
import logging
import torch.nn.functional as Fn
from torch import nn as N
from .registry import register
log = logging.getLogger(__name__)

@register
class Block(N.Module):
    def __init__(self, n):
        super().__init__()
        self.fc = N.Linear(n, n)
    def forward(self, x):
        log.debug("block")
        return Fn.relu(self.fc(x))
""",
    "net": """
from torch import nn
from . import blocks as B
from .registry import REGISTRY

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = REGISTRY["Block"](4)
        self.more = B.Block(4)
        self.head = nn.Linear(4, 3)
    def forward(self, x):
        return self.head(self.more(self.body(x)))
""",
}


@situation(161, "a package with relative imports, aliases, a logger, a registry")
def package() -> Case:
    *_, net = [module(f"mine_pkg.{name}", text) for name, text in PACKAGE.items()]
    return Case(net.Net(), nn.CrossEntropyLoss(), points())


@situation(
    162,
    "two classes of one name in two modules",
    unscripted="[Rr]ename",
    instead="rename one of them",
)
def one_name() -> Case:
    one = module("mine_a", NET)
    two = module("mine_b", NET.replace("return self.fc(x)", "return self.fc(x).relu()"))
    network = nn.Sequential(nn.Linear(4, 4), one.Net(), nn.Linear(3, 4), two.Net())
    return Case(network, nn.CrossEntropyLoss(), points())


class Block(nn.Module):
    """Names its subclass."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(4, 3)

    @staticmethod
    def create(gated: bool = False) -> "Block":
        return Gated() if gated else Block()

    def forward(self, x):
        return self.fc(x)


class Gated(Block):
    def forward(self, x):
        return super().forward(x).sigmoid()


class Registered(nn.Module):
    """A registry of its subclasses."""

    kinds: dict[str, type] = {}  # noqa: RUF012

    def __init_subclass__(cls) -> None:
        Registered.kinds[cls.__name__] = cls

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(4, 3)

    def forward(self, x):
        return self.fc(x)


class RegisteredGate(Registered):
    def forward(self, x):
        return super().forward(x).sigmoid()


@situation(
    163,
    "a base class that names its subclass; a registry of subclasses",
    each={"base": Block, "sub": Gated, "registry": RegisteredGate},
)
def names_its_subclass(kind) -> Case:
    return Case(kind(), nn.CrossEntropyLoss(), points())


OPS_NET = """
import ops
from torch import nn

class Tools(nn.Module):
    def scale(self, x):
        return x.relu()

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(4, 3)
        self.ops = Tools()
    def forward(self, x):
        # ops.scale is called on self.ops.scale
        return ops.scale(self.ops.scale(self.fc(x)))
"""


@situation(164, "an attribute self.ops and a module ops")
def attribute_and_module() -> Case:
    module("ops", "def scale(x):\n    return 2 * x\n")
    return Case(module("ops_net", OPS_NET).Net(), nn.CrossEntropyLoss(), points())


rows, step, samples, start, network = 2.0, 0.5, 1.0, 1.0, 1.0


def Batches(x):  # noqa: N802
    return x


class OurNames(Head):
    def forward(self, x):
        return Batches(self.fc(x)) * rows * step * samples * start * network


@situation(
    165,
    "the user's own rows, step, samples, start, network, Batches",
    unscripted="[Rr]ename",
    instead="other names",
)
def our_names() -> Case:
    return Case(OurNames(), nn.CrossEntropyLoss(), points())


def set_attribute() -> nn.Module:
    class Scaled(Head):
        scale = 1.0

        def forward(self, x):
            return self.scale * self.fc(x)

    Scaled.scale = 5.0
    return Scaled()


def replaced_method() -> nn.Module:
    class Replaced(Head):
        pass

    Replaced.forward = lambda self, x: torch.tanh(self.fc(x))
    return Replaced()


def replaced_forward() -> nn.Module:
    network = nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 3))
    network[1].forward = torch.tanh
    return network


@situation(166, "a class attribute set later")
def class_attribute() -> Case:
    return Case(set_attribute(), nn.CrossEntropyLoss(), points())


@situation(
    166,
    "a method of the class replaced; a layer's forward replaced",
    each={"method": replaced_method, "layer": replaced_forward},
    unscripted="forward",
    instead="a class with this forward",
)
def replaced(make) -> Case:
    return Case(make(), nn.CrossEntropyLoss(), points())


@situation(
    167,
    "the source file is edited after it was imported",
    unscripted="changed|edited|reload|import",
    instead="import it again, or restart",
)
def edited() -> Case:
    name = f"edited_{len(list(folder().glob('edited_*')))}"
    network = module(name, NET).Net()
    path = folder() / f"{name}.py"
    path.write_text(NET.replace("return self.fc(x)", "return 10 * self.fc(x)"), encoding="utf-8")
    return Case(network, nn.CrossEntropyLoss(), points())


def own_forward() -> nn.Module:
    network = Head()
    network.forward = types.MethodType(lambda self, x: torch.tanh(self.fc(x)), network)
    return network


class Child(nn.Module):
    def __init__(self, parent: nn.Module) -> None:
        super().__init__()
        self.parent, self.fc = [parent], nn.Linear(4, 3)

    def forward(self, x):
        return self.fc(x) * self.parent[0].scale


class Parent(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.scale = 2.0
        self.child = Child(self)

    def forward(self, x):
        return self.child(x)


@situation(
    168, "network.forward replaced", unscripted="forward", instead="a class with this forward"
)
def forward_replaced() -> Case:
    return Case(own_forward(), nn.CrossEntropyLoss(), points())


@situation(168, "a child that knows its parent")
def child_knows_parent() -> Case:
    return Case(Parent(), nn.CrossEntropyLoss(), points())


class Attribute(nn.Module):
    """self.args = args"""

    def __init__(self, args) -> None:
        super().__init__()
        self.args, self.fc = args, nn.Linear(4, 3)

    def forward(self, x):
        return self.fc(x)


class AttrDict(dict):
    __getattr__ = dict.__getitem__
    __setattr__ = dict.__setitem__


@situation(
    169,
    "self.args: Namespace, OrderedDict, defaultdict, set, deque, bytes, logger, ...",
    each={
        "Namespace": lambda: argparse.Namespace(a=1, b=[1, 2]),
        "OrderedDict": lambda: collections.OrderedDict(a=1),
        "defaultdict": lambda: collections.defaultdict(list, a=[1]),
        "set": lambda: {1, 2},
        "frozenset": lambda: frozenset({1}),
        "deque": lambda: collections.deque([1, 2], maxlen=3),
        "bytes": lambda: b"abc",
        "complex": lambda: 1 + 2j,
        "slice": lambda: slice(1, None),
        "range": lambda: range(3),
        "AttrDict": lambda: AttrDict(a=1),
        "Counter": lambda: collections.Counter("abca"),
        "logger": lambda: logging.getLogger("mine"),
        "ellipsis": lambda: ...,
    },
)
def attribute(make) -> Case:
    without = ("evaluate", "predict", "load", "verify")
    return Case(Attribute(make()), nn.CrossEntropyLoss(), points(), without=without)


@dataclasses.dataclass
class Settings:
    width: int = 3
    names: tuple[str, ...] = ("a",)


class Colour(enum.Enum):
    RED = 1
    BLUE = 2


@situation(
    170,
    "self.args: dataclass, SimpleNamespace, enum, partial, Path, numpy, dtype, device",
    each={
        "dataclass": lambda: Settings(4),
        "SimpleNamespace": lambda: types.SimpleNamespace(a=1),
        "enum": lambda: Colour.BLUE,
        "partial": lambda: partial(torch.clamp, min=0.0),
        "Path": lambda: Path("a/b"),
        "numpy number": lambda: np.float32(0.5),
        "numpy array": lambda: np.arange(3),
        "dtype": lambda: torch.float64,
        "device": lambda: torch.device("cpu"),
        "Size": lambda: torch.Size([1, 2]),
    },
)
def plain_attribute(make) -> Case:
    without = ("evaluate", "predict", "load", "verify")
    return Case(Attribute(make()), nn.CrossEntropyLoss(), points(), without=without)


class Defaults(nn.Module):
    """Tensors are made in forward, of the default type."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(4, 1)

    def forward(self, x):
        return self.fc(x) + torch.full((1,), 1 / 3)


@situation(175, "torch.set_default_dtype(float64), tensors made in forward")
def default_dtype() -> Case:
    torch.set_default_dtype(torch.float64)
    return Case(Defaults(), nn.MSELoss(), numbers())
