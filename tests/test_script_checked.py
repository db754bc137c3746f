"""A script is what ran, or says what is not: each object that it makes is compared with its own.

The oracle is the object itself: the script's objects, made here from the saved file, compute what
those of the call compute, to the bit.
"""

import argparse
import collections
import copy
import functools
import importlib
import io
import logging
import operator
import random
import re
import sys
import threading
import types
from collections import OrderedDict, defaultdict, deque
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn, optim
from torch.nn.utils import parametrizations, parametrize
from torch.utils.data import DataLoader, Dataset, TensorDataset

import tutorial as tl

X, Y = torch.randn(16, 4, generator=torch.Generator().manual_seed(0)), torch.arange(16) % 3
DATA = TensorDataset(X, Y)
CE = nn.CrossEntropyLoss


def program_of(
    network: Any = None, loss: Any = None, data: Any = None, optimizer: Any = None, **options: Any
) -> tl.Program:
    model = tl.Model(nn.Linear(4, 3) if network is None else network)
    sgd = functools.partial(optim.SGD, lr=0.1)
    model.prepare((optimizer or sgd)(model.parameters()), loss or CE())
    return model.unroll("fit", DATA if data is None else data, batch_size=8, **options)


def head_of(program: tl.Program) -> list[str]:
    """What the script says at its top."""
    lines = program.script().splitlines()
    return [line for line in lines if line.startswith(("#   ", "# Not what ran"))]


def made(program: tl.Program, folder: Path) -> dict[str, Any]:
    """The objects that the saved script makes: all of it, but for the loop."""
    path = program.save(folder / "saved.py")
    text = path.read_text(encoding="utf-8")
    assert "You must supply" not in text and "Not what ran" not in text, text
    names = {"__file__": str(path), "__name__": "__main__"}
    exec(compile(text.removesuffix(program.source), str(path), "exec"), names)
    return names


def lines_of(program: tl.Program, *starts: str) -> list[str]:
    return [line for line in program.script().splitlines() if line.startswith(starts)]


# ---- values, not the line of the file

SCALE = 1.0
CONFIG = {"bias": 0.0}
ARGS = argparse.Namespace(power=1.0)
TABLE: dict[str, Any] = {}


def registered(cls: type) -> type:
    TABLE[cls.__name__] = cls
    return cls


class Constants(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(4, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return SCALE * self.fc(x).abs() ** ARGS.power + CONFIG["bias"]


ACTS = {"relu": torch.relu, "square": lambda x: x**2}
THRESHOLD = torch.tensor([0.5, -0.5, 0.0])


class Dispatched(nn.Module):
    def __init__(self, kind: str) -> None:
        super().__init__()
        self.kind, self.fc = kind, nn.Linear(4, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return ACTS[self.kind](self.fc(x) - THRESHOLD)


def test_a_table_with_a_lambda_is_the_files_statement(monkeypatch: Any, tmp_path: Path) -> None:
    program = program_of(Dispatched("square"))
    assert lines_of(program, "ACTS") == ['ACTS = {"relu": torch.relu, "square": lambda x: x**2}']
    assert torch.equal(made(program, tmp_path)["network"](X), program.names["network"](X))
    monkeypatch.setitem(ACTS, "square", lambda x: x**3)
    (line,) = head_of(program_of(Dispatched("square")))
    assert "ACTS['square'] is a lambda" in line


@registered
class Registered(Constants):
    pass


@registered
class AnotherOne(Constants):
    pass


def test_a_constant_that_was_set_again_has_its_value(monkeypatch: Any, tmp_path: Path) -> None:
    first = program_of(Constants())
    assert lines_of(first, "SCALE", "CONFIG") == ['CONFIG = {"bias": 0.0}', "SCALE = 1.0"]
    monkeypatch.setitem(globals(), "SCALE", 10.0)
    monkeypatch.setitem(CONFIG, "bias", 3.0)
    monkeypatch.setattr(ARGS, "power", 2.0)
    program = program_of(Constants())
    assert lines_of(program, "SCALE", "CONFIG", "ARGS") == [
        "ARGS = Namespace(power=2.0)",
        'CONFIG = {"bias": 3.0}',
        "SCALE = 10.0",
    ]
    again = made(program, tmp_path)["network"]
    assert torch.equal(again(X), program.names["network"](X))


def test_a_table_that_decorators_fill_is_filled_again(tmp_path: Path) -> None:
    program = program_of(Registered())
    assert lines_of(program, "TABLE") == ["TABLE: dict[str, Any] = {}"]
    assert set(made(program, tmp_path)["TABLE"]) == {"Registered"}


FILLED: dict[str, Any] = {}


class UsesFilled(Constants):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return FILLED["act"](self.fc(x))


def halved(x: torch.Tensor) -> torch.Tensor:
    return x / 2


def test_a_table_that_was_filled_by_hand_has_its_values(monkeypatch: Any, tmp_path: Path) -> None:
    for function in (F.gelu, halved):
        monkeypatch.setitem(FILLED, "act", function)
        program = program_of(UsesFilled())
        assert torch.equal(made(program, tmp_path)["network"](X), program.names["network"](X))


def test_a_method_of_pytorch_that_was_replaced_is_named(monkeypatch: Any) -> None:
    monkeypatch.setattr(nn.ReLU, "forward", lambda self, x: x)
    (line,) = head_of(program_of(nn.Sequential(nn.Linear(4, 3), nn.ReLU())))
    assert line.startswith("#   network: ReLU.forward was replaced")


# ---- functions are their code, and what they close over


class Chooses(nn.Module):
    """What `kind` says is kept only in a function."""

    def __init__(self, kind: str = "relu", factor: float = 1.0) -> None:
        super().__init__()
        self.a = nn.Linear(4, 3)
        self.act = (lambda h: h.relu()) if kind == "relu" else (lambda h: h.tanh())
        self.scaled = by(factor)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.scaled(self.act(self.a(x)))


def by(factor: float) -> Callable[[torch.Tensor], torch.Tensor]:
    def scaled(x: torch.Tensor, add: float = 0.0) -> torch.Tensor:
        return x * factor + add

    return scaled


class Calls(nn.Module):
    def __init__(self, function: Any) -> None:
        super().__init__()
        self.a, self.function = nn.Linear(4, 3), function

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.function(self.a(x))


def test_two_lambdas_are_not_alike(tmp_path: Path) -> None:
    program = program_of(Chooses())
    assert lines_of(program, "network =") == ["network = Chooses()"]
    made(program, tmp_path)
    (line,) = head_of(program_of(Chooses("tanh")))
    assert line.startswith("#   network: ") and "lambda" in line and "def" in line


def test_two_closures_are_not_alike(tmp_path: Path) -> None:
    network = Chooses(factor=3.0)
    network.act = F.relu
    program = program_of(network)
    assert torch.equal(made(program, tmp_path)["network"](X), network(X))
    assert "factor = 3.0" in program.script()


def test_a_lambda_that_its_class_makes_again_needs_no_def(tmp_path: Path) -> None:
    class Nested(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fc = nn.Linear(4, 3)
            self.after = [lambda x: x + 1, functools.partial(torch.mul, other=torch.tensor(2.0))]

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            for function in self.after:
                x = function(x)
            return self.fc(x)

    program = program_of(Nested())
    assert torch.equal(made(program, tmp_path)["network"](X), program.names["network"](X))


def test_functions_of_every_kind_are_written(tmp_path: Path) -> None:
    for function in (
        operator.neg,
        torch.Tensor.relu,
        operator.itemgetter(slice(None)),
        functools.partial(torch.clamp, min=0.0),
        operator.methodcaller("sigmoid"),
    ):
        program = program_of(Calls(function))
        again = made(program, tmp_path)["network"]
        assert torch.equal(again(X), program.names["network"](X)), function


# ---- modes and buffers


class Distill(nn.Module):
    def __init__(self, teacher: nn.Module) -> None:
        super().__init__()
        self.teacher = teacher

    def forward(self, y_hat: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return F.mse_loss(y_hat, self.teacher(y_hat)) + F.cross_entropy(y_hat, y)


def teacher() -> nn.Sequential:
    layers = nn.Sequential(nn.Linear(3, 3), nn.BatchNorm1d(3), nn.Dropout(0.5))
    return layers.requires_grad_(False)


class Encoded(Dataset):
    def __init__(self, encoder: nn.Module) -> None:
        self.encoder = encoder

    def __len__(self) -> int:
        return 16

    def __getitem__(self, i: int) -> tuple[torch.Tensor, torch.Tensor]:
        with torch.no_grad():
            return self.encoder(X[i : i + 1])[0], Y[i]


def modes(module: nn.Module) -> list[bool]:
    return [part.training for part in module.modules()]


def mixed() -> nn.Module:
    return Distill(nn.Sequential(teacher().eval(), nn.Dropout(0.1)))


def inside_out() -> nn.Module:
    loss = Distill(teacher()).eval()
    loss.teacher[2].train()
    return loss


@pytest.mark.parametrize(
    "make",
    [lambda: Distill(teacher().eval()), lambda: Distill(teacher()).eval(), mixed, inside_out],
    ids=["teacher in eval mode", "all", "a part of it", "a part is not"],
)
def test_the_parts_of_a_loss_have_their_modes(make: Any, tmp_path: Path) -> None:
    loss = make()
    again = made(program_of(loss=loss), tmp_path)["loss_fn"]
    assert modes(again) == modes(loss)
    assert not any(weight.requires_grad for weight in again.parameters())
    torch.manual_seed(1)
    here = loss(X[:, :3], Y)
    torch.manual_seed(1)
    assert torch.equal(again(X[:, :3], Y), here)


def test_a_frozen_encoder_in_a_data_set_has_its_mode(tmp_path: Path) -> None:
    encoder = nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4), nn.Dropout(0.5)).eval()
    for wrapped in (encoder, Wrapper(encoder)):
        data = Encoded(wrapped)
        again = made(program_of(data=data), tmp_path)["train_data"]
        assert modes(again.encoder) == modes(wrapped)
        assert torch.equal(again[3][0], data[3][0])


@pytest.mark.filterwarnings("ignore:loss_fn has weights")
def test_a_part_of_a_loss_may_be_frozen_and_of_another_type(tmp_path: Path) -> None:
    loss = Distill(nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3)))
    loss.teacher[0].weight.requires_grad_(False)
    again = made(program_of(loss=loss), tmp_path)["loss_fn"]
    assert [w.requires_grad for w in again.parameters()] == [False, True, True, True]
    x, loss = X[:, :3].double(), Distill(teacher()).double().eval()
    again = made(program_of(nn.Linear(4, 3).double(), loss, TensorDataset(X.double(), Y)), tmp_path)
    assert torch.equal(again["loss_fn"](x, Y), loss(x, Y))


class Wrapper(nn.Module):
    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.inner(x)


class Balanced(nn.Module):
    """Buffers and no weights."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("scale", torch.ones(()))

    def forward(self, y_hat: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return F.cross_entropy(y_hat, y) / self.scale


def test_a_loss_with_buffers_alone_has_their_values(tmp_path: Path) -> None:
    assert lines_of(program_of(loss=Balanced()), "loss_fn =") == ["loss_fn = Balanced()"]
    loss = Balanced()
    loss.scale.fill_(13.0)
    assert made(program_of(loss=loss), tmp_path)["loss_fn"].scale.item() == 13.0


class NoMask(nn.Module):
    """As timm's Swin has it: a mask that may be None."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.fc = nn.Linear(size, 3)
        self.register_buffer("mask", None)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.fc(x if self.mask is None else x * self.mask)


def test_a_buffer_may_be_none(tmp_path: Path) -> None:
    again = made(program_of(NoMask(4)), tmp_path)["network"]
    assert again._buffers == {"mask": None} and again(X).shape == (16, 3)


# ---- what was replaced


class Scaled(nn.Module):
    scale = 1.0

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(4, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.scale * self.fc(x)


class Replaced(Scaled):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.fc(x)


class Counts(Scaled):
    made = 0

    def __init__(self) -> None:
        super().__init__()
        type(self).made += 1


def tanh_forward(self: Any, x: torch.Tensor) -> torch.Tensor:
    return torch.tanh(self.fc(x))


def test_class_attributes_set_later_are_set_in_the_script(monkeypatch: Any, tmp_path: Path) -> None:
    monkeypatch.setattr(Scaled, "scale", 5.0)
    monkeypatch.setattr(Replaced, "forward", tanh_forward)
    monkeypatch.setattr(Replaced, "extra", [1, 2], raising=False)
    program = program_of(Scaled())
    assert lines_of(program, "Scaled.") == ["Scaled.scale = 5.0"]
    assert torch.equal(made(program, tmp_path)["network"](X), program.names["network"](X))
    program = program_of(Replaced())
    assert lines_of(program, "Replaced.") == [
        "Replaced.forward = tanh_forward",
        "Replaced.extra = [1, 2]",
    ]
    assert torch.equal(made(program, tmp_path)["network"](X), program.names["network"](X))


def test_a_class_that_counts_its_objects_is_left_alone(monkeypatch: Any, tmp_path: Path) -> None:
    monkeypatch.setattr(Counts, "made", 0)
    program = program_of(Counts())
    assert lines_of(program, "Counts.") == []
    assert made(program, tmp_path)["Counts"].made == 1


def test_a_method_replaced_by_a_lambda_is_named(monkeypatch: Any) -> None:
    monkeypatch.setattr(Replaced, "forward", lambda self, x: torch.tanh(self.fc(x)))
    (line,) = head_of(program_of(Replaced()))
    assert "Replaced.forward" in line and "lambda" in line


def test_forward_replaced_on_an_object_is_written_or_named(tmp_path: Path) -> None:
    network = nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 3))
    network[1].forward = torch.tanh
    program = program_of(network)
    assert torch.equal(made(program, tmp_path)["network"](X), network(X))
    network = Scaled()
    network.forward = types.MethodType(lambda self, x: torch.tanh(self.fc(x)), network)
    (line,) = head_of(program_of(network))
    assert "network.forward" in line and "class" in line


def doubled(module: nn.Module, inputs: Any, output: torch.Tensor) -> torch.Tensor:
    return output * 2


def with_keywords(module: nn.Module, inputs: Any, keywords: dict[str, Any]) -> Any:
    return (inputs[0] + 1,), keywords


def test_hooks_of_layers_are_registered_again(tmp_path: Path) -> None:
    network = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 3))
    network[0].register_forward_hook(doubled)
    network.register_forward_pre_hook(with_keywords, with_kwargs=True)
    program = program_of(network)
    assert lines_of(program, "network.get", "network.reg") == [
        "network.register_forward_pre_hook(with_keywords, with_kwargs=True)",
        'network.get_submodule("0").register_forward_hook(doubled)',
    ]
    assert torch.equal(made(program, tmp_path)["network"](X), network(X))
    network[1].weight.register_hook(lambda gradient: gradient * 2)
    (line,) = head_of(program_of(network))
    assert "weight has hooks" in line


# ---- the source as it is now


@pytest.fixture
def module(tmp_path: Path, monkeypatch: Any) -> Any:
    """Write a module of the user's and import it."""
    monkeypatch.syspath_prepend(str(tmp_path))
    names: list[str] = []

    def write(name: str, text: str) -> Any:
        (tmp_path / f"{name}.py").write_text(text)
        names.append(name)
        importlib.invalidate_caches()
        return importlib.import_module(name)

    yield write
    for name in names:
        sys.modules.pop(name, None)


NET = """
from torch import nn

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(4, 3)

    def forward(self, x):
        return self.fc(x)
"""


def test_a_file_edited_since_its_import_is_named(module: Any, tmp_path: Path) -> None:
    loaded = module("edited_net", NET)
    file = tmp_path / "edited_net.py"
    file.write_text(NET.replace("return self.fc(x)", "return 10 * self.fc(x)"))
    (line,) = head_of(program_of(loaded.Net()))
    assert "edited_net.py has changed since Net.forward" in line and "restart" in line


def test_a_class_that_only_moved_in_its_file_is_found(module: Any, tmp_path: Path) -> None:
    loaded = module("moved_net", NET)
    (tmp_path / "moved_net.py").write_text("def first():\n    return 1\n\n\n" + NET)
    program = program_of(loaded.Net())
    assert "class Net(nn.Module):" in program.script()
    assert torch.equal(made(program, tmp_path)["network"](X), program.names["network"](X))


OPS = """
def scale(x):
    return 2 * x
"""
USES_OPS = """
import {ops}
from torch import nn

class Tools(nn.Module):
    def scale(self, x):
        return x.relu()

class Net(nn.Module):
    '''It calls {ops}.scale.'''

    def __init__(self):
        super().__init__()
        self.fc, self.{ops} = nn.Linear(4, 3), Tools()

    def forward(self, x):
        return {ops}.scale(self.{ops}.scale(self.fc(x)))  # {ops}.scale
"""


def test_only_the_modules_own_name_is_replaced(module: Any, tmp_path: Path) -> None:
    module("own_ops", OPS)
    program = program_of(module("own_net", USES_OPS.format(ops="own_ops")).Net())
    assert "return scale(self.own_ops.scale(self.fc(x)))  # own_ops.scale" in program.script()
    assert torch.equal(made(program, tmp_path)["network"](X), program.names["network"](X))


def test_a_module_as_an_object_or_hidden_by_a_variable_is_named(module: Any) -> None:
    module("other_ops", OPS)
    text = NET.replace("from torch", "import other_ops\nfrom torch")
    as_object = text.replace("return self.fc(x)", 'return getattr(other_ops, "scale")(self.fc(x))')
    hidden = text.replace("return self", "scale = other_ops.scale(1)\n        return scale * self")
    (line,) = head_of(program_of(module("as_object", as_object).Net()))
    assert "the module other_ops is used as an object" in line
    (line,) = head_of(program_of(module("hidden", hidden).Net()))
    assert "other_ops.scale is hidden by a variable" in line


# ---- attributes of many kinds


class Holds(nn.Module):
    def __init__(self, thing: Any) -> None:
        super().__init__()
        self.thing, self.fc = thing, nn.Linear(4, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.fc(x)


class AttrDict(dict):
    __getattr__ = dict.__getitem__


class Word(str):
    pass


class Point:
    __slots__ = ("x", "y")

    def __init__(self, x: int, y: int) -> None:
        self.x, self.y = x, y


def words() -> list[str]:
    return ["a"]


THINGS: dict[str, Any] = {
    "OrderedDict": OrderedDict(b=1, a=2),
    "defaultdict": defaultdict(list, a=[1]),
    "Counter": collections.Counter("hello"),
    "deque": deque([1, 2], maxlen=3),
    "set": {3, 1, 2},
    "no set": set(),
    "frozenset": frozenset("ab"),
    "bytes": b"\x00\xff",
    "bytearray": bytearray(b"ab"),
    "complex": 1 - 2j,
    "slice": slice(1, None, 2),
    "Ellipsis": [..., None],
    "Namespace": argparse.Namespace(lr=0.1, layers=[1, 2]),
    "SimpleNamespace": types.SimpleNamespace(a=types.SimpleNamespace(b=1)),
    "AttrDict": AttrDict(a=1),
    "str": Word("word"),
    "slots": Point(1, 2),
    "union": int | None,
    "generic": list[int],
    "pattern": re.compile("a+", re.IGNORECASE),
    "strings": np.array(["a", "bc"]),
    "objects": np.array([{"a": 1}, None], dtype=object),
    "dates": np.array(["2020-01-01"], dtype="datetime64[D]"),
    "big endian": np.arange(3, dtype=">i4"),
    "backwards": np.arange(6.0)[::-2],
    "a single number": np.array(1),
    "columns first": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
    "infinite": [float("inf"), float("-inf")],
    "function": words,
    "module": F,
    "nan": torch.tensor([float("nan"), 1.0]),
    "many": list(range(3000)),
    "size": torch.Size([1, 2]),
    "proxy": {"a": (1, [2, {"b": {3}}])},
}


def alike(a: Any, b: Any) -> bool:
    """Equality, written for these things alone."""
    if isinstance(a, Point):
        return (a.x, a.y) == (b.x, b.y)
    if isinstance(a, np.ndarray):
        return a.tolist() == b.tolist() and a.dtype.kind == b.dtype.kind
    if isinstance(a, torch.Tensor):
        return torch.equal(a.nan_to_num(7), b.nan_to_num(7))
    if isinstance(a, types.FunctionType):
        return a() == b()
    if type(a).__name__ in ("AttrDict", "Word"):
        return type(a).__name__ == type(b).__name__ and type(a).__base__(a) == b
    return type(a) is type(b) and a == b


@pytest.mark.parametrize("kind", THINGS)
def test_an_attribute_of_any_kind_is_written(kind: str, tmp_path: Path) -> None:
    thing = THINGS[kind]
    before = thing if kind in ("module", "AttrDict") else copy.deepcopy(thing)
    re.purge()  # so that a pattern that is compiled again is another object
    again = made(program_of(Holds(thing)), tmp_path)["network"].thing
    assert alike(thing, again)
    assert kind in ("function", "objects") or alike(before, thing)
    if isinstance(thing, deque):
        assert again.maxlen == 3
    if isinstance(thing, defaultdict):
        assert again["new"] == []


def test_a_logger_is_got_by_its_name(tmp_path: Path) -> None:
    logger = logging.getLogger("a.b")
    assert made(program_of(Holds(logger)), tmp_path)["network"].thing is logger


class Draws(Dataset):
    def __init__(self, thing: Any, draw: Callable[[Any], float]) -> None:
        self.thing, self.draw = thing, draw

    def __len__(self) -> int:
        return 8

    def __getitem__(self, i: int) -> tuple[torch.Tensor, int]:
        return torch.ones(4) * i + self.draw(self.thing), i % 3


def gauss(thing: random.Random) -> float:
    return thing.gauss(0, 1)


def normal(thing: Any) -> float:
    return float(thing.normal())


def rand(thing: torch.Generator) -> float:
    return torch.rand((), generator=thing).item()


def read(thing: Any) -> float:
    return float(ord(thing.read(1) or "0"))


class MyRandom(random.Random):
    pass


SOURCES = {
    "random": (lambda: random.Random(5), gauss),
    "default_rng": (lambda: np.random.default_rng(5), normal),
    "MT19937": (lambda: np.random.Generator(np.random.MT19937(5)), normal),
    "RandomState": (lambda: np.random.RandomState(5), normal),
    "Generator": (lambda: torch.Generator().manual_seed(9), rand),
    "BytesIO": (lambda: io.BytesIO(bytes(range(9))), read),
    "StringIO": (lambda: io.StringIO("some text"), read),
}


@pytest.mark.parametrize("kind", SOURCES)
def test_what_has_a_state_inside_is_written_with_it(kind: str, tmp_path: Path) -> None:
    make, draw = SOURCES[kind]
    thing = make()
    draw(thing)  # it has been used
    data = Draws(thing, draw)
    again = made(program_of(data=data), tmp_path)["train_data"]
    assert [again[i][0][0].item() for i in range(4)] == [data[i][0][0].item() for i in range(4)]


@pytest.mark.parametrize(
    ("make", "word"),
    [
        (lambda: Path(__file__).open(), "an open file"),  # noqa: SIM115
        (threading.Lock, "a lock"),
        (lambda: (i for i in range(3)), "a generator"),
        (lambda: iter([1]), "a list_iterator"),
        (lambda: MyRandom(3), "a MyRandom"),
    ],
    ids=["file", "lock", "generator", "iterator", "subclass"],
)
def test_what_has_no_plain_code_is_named_with_its_attribute(make: Any, word: str) -> None:
    thing = make()
    (line,) = head_of(program_of(Holds(thing)))
    assert f"network.thing is {word}, which has no plain code" in line
    if hasattr(thing, "close"):
        thing.close()


def test_a_table_of_pandas_is_written_or_named(tmp_path: Path) -> None:
    pd = pytest.importorskip("pandas")
    table = pd.DataFrame({"a": [1.5, 2.5], "b": [1, 2], "c": ["x", "y"]})
    for thing in (table, table["c"], table.set_index("c")):
        again = made(program_of(Holds(thing)), tmp_path)["network"].thing
        assert again.equals(thing) and list(again.index) == list(thing.index)
    dates = pd.DataFrame({"when": pd.to_datetime(["2020-01-01"]).tz_localize("UTC")})
    program = program_of(Holds(dates.set_index("when", append=True)))
    assert all("network.thing is a DataFrame" in line for line in head_of(program))


# ---- parents, bases, names


class Block(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(4, 3)

    @staticmethod
    def create(gated: bool = False) -> nn.Module:
        return Gated() if gated else Block()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.fc(x)


class Gated(Block):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return super().forward(x).sigmoid()


@pytest.mark.parametrize("make", [Block, Gated, lambda: Block.create(gated=True)])
def test_a_base_may_name_its_subclass(make: Any, tmp_path: Path) -> None:
    program = program_of(make())
    assert torch.equal(made(program, tmp_path)["network"](X), program.names["network"](X))


class Child(nn.Module):
    def __init__(self, parent: nn.Module) -> None:
        super().__init__()
        self.parent, self.fc = [parent], nn.Linear(4, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.fc(x) * self.parent[0].factor


class Parent(nn.Module):
    def __init__(self, factor: float = 2.0) -> None:
        super().__init__()
        self.times = factor
        self.factor = factor * 2
        self.child = Child(self)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.child(x)


def test_a_child_may_know_its_parent(tmp_path: Path) -> None:
    program = program_of(Parent())
    again = made(program, tmp_path)["network"]
    assert again.child.parent[0] is again
    (line,) = head_of(program_of(Parent(3.0)))
    assert "network.child.parent[0] is network" in line


def test_a_fault_of_the_network_is_not_the_losss() -> None:
    program = program_of(Holds(threading.Lock()), loss=Distill(teacher()))
    assert [line.split(":")[0] for line in head_of(program)] == ["#   network"]


net = nn.Linear(4, 3)


def with_l1(y_hat: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    return F.cross_entropy(y_hat, y) + 0.1 * sum(p.abs().sum() for p in net.parameters())


def test_a_loss_may_name_the_network(tmp_path: Path) -> None:
    names = made(program_of(net, loss=with_l1), tmp_path)
    assert names["net"] is names["network"]
    assert torch.equal(names["loss_fn"](X[:, :3], Y), with_l1(X[:, :3], Y))


def test_a_loss_may_hold_a_part_of_the_network(tmp_path: Path) -> None:
    network = nn.Sequential(nn.Linear(4, 3), nn.Linear(3, 3))
    names = made(program_of(network, loss=Distill(network[1])), tmp_path)
    assert names["loss_fn"].teacher is names["network"][1]


class ArcFace(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.centers = nn.Parameter(torch.randn(3, 3))

    def forward(self, y_hat: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return F.cross_entropy(y_hat @ self.centers, y)


def test_an_optimizer_may_hold_a_losss_weights(tmp_path: Path) -> None:
    loss = ArcFace()

    def both(weights: Any) -> optim.Optimizer:
        return optim.SGD([*weights, *loss.parameters()], lr=0.1)

    program = program_of(loss=loss, optimizer=both)
    names = made(program, tmp_path)
    (group,) = names["optimizer"].param_groups
    assert group["params"][-1] is names["loss_fn"].centers and len(group["params"]) == 3


# ---- layers that PyTorch wraps


class Tagger(nn.Module):
    """It keeps no argument."""

    def __init__(self, kind: Any, **options: Any) -> None:
        super().__init__()
        self.rnn = kind(4, 6, batch_first=True, **options)
        self.fc = nn.Linear(6 * (1 + options.get("bidirectional", False)), 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.fc(self.rnn(x.unflatten(0, (-1, 4)))[0]).flatten(0, 1)


class Symmetric(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.triu() + x.triu(1).mT


def symmetric() -> nn.Module:
    layer = nn.Linear(4, 4)
    parametrize.register_parametrization(layer, "weight", Symmetric())
    return nn.Sequential(layer, nn.Linear(4, 3))


def both_norms() -> nn.Module:
    layer = parametrizations.weight_norm(nn.Linear(4, 3), dim=1)
    return parametrizations.spectral_norm(layer, n_power_iterations=2)


WRAPPED: dict[str, tuple[Callable[[], nn.Module], str]] = {
    "LSTM": (
        lambda: Tagger(nn.LSTM, num_layers=2, bidirectional=True),
        "nn.LSTM(4, 6, num_layers=2, batch_first=True, bidirectional=True)",
    ),
    "GRU": (lambda: Tagger(nn.GRU, bias=False), "nn.GRU(4, 6, bias=False, batch_first=True)"),
    "RNN": (
        lambda: Tagger(nn.RNN, nonlinearity="relu"),
        'nn.RNN(4, 6, batch_first=True, nonlinearity="relu")',
    ),
    "weight_norm": (
        lambda: nn.Sequential(parametrizations.weight_norm(nn.Linear(4, 3))),
        "nn.utils.parametrizations.weight_norm(nn.Linear(4, 3))",
    ),
    "spectral_norm": (
        lambda: nn.Sequential(parametrizations.spectral_norm(nn.Linear(4, 3))),
        "nn.utils.parametrizations.spectral_norm(nn.Linear(4, 3))",
    ),
    "orthogonal": (
        lambda: nn.Sequential(parametrizations.orthogonal(nn.Linear(4, 3))),
        "nn.utils.parametrizations.orthogonal(nn.Linear(4, 3)",
    ),
    "both": (both_norms, "n_power_iterations=2"),
    "own": (symmetric, "register_parametrization(nn.Linear(4, 4)"),
    "old weight_norm": (
        lambda: nn.Sequential(nn.utils.weight_norm(nn.Linear(4, 3), dim=1)),
        "nn.utils.weight_norm(nn.Linear(4, 3), dim=1)",
    ),
    "old spectral_norm": (
        lambda: nn.Sequential(nn.utils.spectral_norm(nn.Linear(4, 3))),
        "nn.utils.spectral_norm(nn.Linear(4, 3))",
    ),
}


@pytest.mark.filterwarnings("ignore::FutureWarning")
@pytest.mark.parametrize("kind", WRAPPED)
def test_a_layer_that_pytorch_wraps_is_written(kind: str, tmp_path: Path) -> None:
    make, code = WRAPPED[kind]
    program = program_of(make())
    network, again = program.names["network"], made(program, tmp_path)["network"]
    assert code in program.script().replace("\n        ", " ").replace("\n    ", " ")
    for mode in (True, False):
        network.train(mode)
        again.train(mode)
        assert torch.equal(again(X), network(X))


def test_a_compiled_network_is_written_with_its_compiler(tmp_path: Path) -> None:
    network = torch.compile(nn.Sequential(nn.Linear(4, 3)), backend="eager")
    program = program_of(network)
    assert lines_of(program, "network =") == [
        'network = torch.compile(nn.Sequential(nn.Linear(4, 3)), backend="eager")'
    ]
    assert torch.equal(made(program, tmp_path)["network"](X), network(X))


@pytest.mark.filterwarnings("ignore:.*deprecated")
@pytest.mark.parametrize("how", [torch.jit.script, torch.fx.symbolic_trace])
def test_a_network_without_source_is_named(how: Any) -> None:
    (line,) = head_of(program_of(how(nn.Sequential(nn.Linear(4, 3)))))
    assert line.startswith("#   network: network is a ") and "no plain code" in line


# ---- loaders and optimizers


class Doubling(DataLoader):
    def __iter__(self) -> Any:
        for x, y in super().__iter__():
            yield 2 * x, y


class Repeating(DataLoader):
    def __init__(self, data: Any, times: int, **options: Any) -> None:
        super().__init__(data, **options)
        self.times = times

    def __iter__(self) -> Any:
        for _ in range(self.times):
            yield from super().__iter__()


class Forgetful(DataLoader):
    def __init__(self, data: Any, times: int, **options: Any) -> None:
        super().__init__(data, **options)
        self.again = range(times)


def test_a_subclass_of_dataloader_is_itself(tmp_path: Path) -> None:
    for loader in (
        Doubling(DATA, 4, shuffle=True),
        Repeating(DATA, 2, batch_size=8, drop_last=True),
    ):
        again = made(program_of(data=loader), tmp_path)["train_data"]
        assert type(again).__name__ == type(loader).__name__
        for kind in (loader, again):
            torch.manual_seed(3)
            kind.found = [x for x, _ in kind]
        assert len(again.found) == len(loader.found)
        assert all(map(torch.equal, again.found, loader.found))
    (line,) = head_of(program_of(data=Forgetful(DATA, 2, batch_size=8)))
    assert "does not keep its argument times" in line


class Warm(optim.Optimizer):
    """An argument that is in no group, and is kept; another one is computed with."""

    def __init__(self, params: Any, lr: float, warmup: int = 10, factor: float = 1.0) -> None:
        super().__init__(params, {"lr": lr})
        self.warmup, self.twice, self.steps = warmup, 2 * factor, 0

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:
        self.steps += 1
        scale = self.twice * min(1.0, self.steps / self.warmup)
        for group in self.param_groups:
            for weight in group["params"]:
                weight -= group["lr"] * scale * weight.grad


class Wants(Warm):
    def __init__(self, params: Any, lr: float, momenta: list[float]) -> None:
        super().__init__(params, lr)
        self.count = len(momenta)


def test_an_optimizers_other_arguments_are_written(tmp_path: Path) -> None:
    program = program_of(optimizer=functools.partial(Warm, lr=0.1, warmup=40, factor=3.0))
    names = made(program, tmp_path)
    for network, optimizer in (
        (names["network"], names["optimizer"]),
        (program.names["network"], program.names["optimizer"]),
    ):
        F.cross_entropy(network(X), Y).backward()
        optimizer.step()
    assert torch.equal(names["network"].weight, program.names["network"].weight)
    (line,) = head_of(program_of(optimizer=functools.partial(Wants, lr=0.1, momenta=[1.0])))
    assert "Wants does not keep its argument momenta" in line


# ---- the state of the process


class Flips(Dataset):
    """It augments with random and numpy.random, as most do."""

    def __len__(self) -> int:
        return 16

    def __getitem__(self, i: int) -> tuple[torch.Tensor, torch.Tensor]:
        x = X[i].flip(0) if random.random() < 0.5 else X[i]
        return x + float(np.random.randn()), Y[i]


def test_the_script_sets_the_random_state_of_python_and_numpy(tmp_path: Path) -> None:
    program = program_of(data=Flips())
    program.remember()
    here = [random.random(), np.random.rand(), torch.rand(()).item()]
    made(program, tmp_path)
    assert [random.random(), np.random.rand(), torch.rand(()).item()] == here


def test_the_script_sets_the_type_of_new_tensors(tmp_path: Path) -> None:
    assert "set_default_dtype" not in program_of().script()
    torch.set_default_dtype(torch.float64)
    try:
        program = program_of(nn.Linear(4, 3), data=TensorDataset(X.double(), Y))
        text = program.script()
    finally:
        torch.set_default_dtype(torch.float32)
    assert "\ntorch.set_default_dtype(torch.float64)\n" in text


@pytest.mark.filterwarnings("ignore:loss_fn has weights")
def test_writing_touches_nothing_of_the_users(tmp_path: Path) -> None:
    class Touchy(nn.Module):
        """Its constructor changes what it is given."""

        def __init__(self, inner: nn.Module, values: torch.Tensor) -> None:
            super().__init__()
            self.inner, self.values = inner.eval(), values.mul_(2)
            inner.requires_grad_(False)

        def forward(self, y_hat: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
            return F.cross_entropy(self.inner(y_hat) * self.values, y)

    values, loss = torch.ones(3), Touchy(nn.Linear(3, 3), torch.ones(3))
    loss.inner.train().requires_grad_(True)
    loss.values = values
    network = nn.Linear(4, 3)
    program = program_of(network, loss=loss)
    drawn = torch.get_rng_state(), random.getstate(), np.random.get_state()[1].tolist()
    weights = copy.deepcopy(network.state_dict())
    names = made(program, tmp_path)
    program.names["network"].load_state_dict(weights)
    assert values.tolist() == [1, 1, 1] and loss.inner.training and network.training
    assert all(weight.requires_grad for weight in loss.parameters())
    assert names["loss_fn"].values.tolist() == [1, 1, 1] and names["loss_fn"].inner.training
    assert torch.equal(drawn[0], torch.get_rng_state()) and drawn[1] == random.getstate()
