"""The table of operations, broken on purpose in several ways: each change is noticed.

What is written out is compared with PyTorch's own before it is shown; here that is left out, so
that it is the comparison of losses and gradients that must notice. `pytest -s` prints the table.
"""

import re
from typing import Any

import pytest
import torch
from deep_networks import NETWORKS
from test_depth_gradients import LOSSES, TARGET, X, Y, model_of, small
from torch import Tensor, nn

from tutorial.depth import expressions, gradients
from tutorial.depth.gradients import WrittenOut
from tutorial.depth.passes import one_by_one, trace
from tutorial.unroll.proof import flat, identical


def broken(result: Any) -> Any:
    """Another sign; of what has none, another value."""
    if not isinstance(result, Tensor):
        return type(result)(map(broken, result))
    return ~result if result.dtype == torch.bool else -result - (result.dtype == torch.int64)


def other_sign(written: Any) -> Any:
    return lambda *arguments, **named: f"broken({written(*arguments, **named)})"


def swapped(written: Any) -> Any:
    """The first two arguments swapped, where there are two."""

    def swap(*arguments: str, **named: str) -> str:
        first, second, *others = arguments if len(arguments) > 1 else (*arguments, "")
        return written(*filter(None, (second, first)), *others, **named)

    return swap


def without_sum(written: Any) -> Any:
    """The numbers themselves in the place of their sum or mean."""

    def leave_out(*arguments: str, **named: str) -> str:
        code = written(*arguments, **named)
        return arguments[0] if re.search(r"\.(sum|mean)\(", code) else code

    return leave_out


def without_transpose(written: Any) -> Any:
    return lambda *arguments, **named: re.sub(r"\.T\b", "", written(*arguments, **named))


WAYS = (other_sign, swapped, without_sum, without_transpose)
# Of these the two are as good as each other, or they are the sides of a comparison for equality.
EITHER_WAY = {
    "add.Tensor", "mul.Tensor", "eq.Tensor", "ne.Tensor", "mse_loss.default", "l1_loss.default",
    "huber_loss.default", "smooth_l1_loss.default", "mul.Scalar", "add.Scalar", "eq.Scalar",
    "ne.Scalar", "soft_margin_loss.default",
}  # fmt: skip


class Read(dict):
    """A table that notes what is read of it, and which ways to break that would change the text."""

    def __init__(self, table: Any) -> None:
        super().__init__(table)
        self.read, self.changes = set[str](), set[tuple[str, Any]]()

    def __getitem__(self, name: str) -> Any:
        self.read.add(name)
        written = super().__getitem__(name)

        def noted(*arguments: str, **named: str) -> str:
            code: str = written(*arguments, **named)
            for way in WAYS:
                try:
                    if way(written)(*arguments, **named) != code:
                        self.changes.add((name, way))
                except Exception:  # it cannot be written in this way
                    continue
            return code

        return noted


class Odds(nn.Module):
    """What none of the other networks has: comparisons, parts by their places, casts."""

    def __init__(self) -> None:
        super().__init__()
        self.fc, self.out = nn.Linear(64, 6), nn.Linear(6, 3)
        self.register_buffer("places", torch.tensor([0, 2, 4, 1, 3, 5]))

    def forward(self, x: Tensor) -> Tensor:
        h = self.fc(x)
        one, other = h[:, self.places].split([3, 3], 1)
        signs = [h > 0, h >= 0.1, h < 0.2, h <= 0.3, h != 0, h == 0]
        pairs = [one > other, one >= other, one < other, one <= other, one != other, one == other]
        weights = sum((i + 1) * each.float() for i, each in enumerate(signs))
        weights = weights + torch.cat(
            [sum((i + 1) * p.float() for i, p in enumerate(pairs))] * 2, 1
        )
        largest = h.amax(1, keepdim=True) - 2.0 ** h.amin(1, keepdim=True)
        large = (h > 0.5).any(1).float() + 2 * (h > -0.5).all(1).float()
        h = torch.where(h > 0, 1 - h, (h - 1) * 2) * weights.double().float()
        h = h + largest.repeat(1, 6) * large[:, None]
        scores = torch.baddbmm(h[:, None], h[:, :, None], h[:, None])
        return self.out((scores.softmax(-1) @ h[:, :, None])[:, :, 0])


def images_and(y: Any) -> tuple[Tensor, Any]:
    return torch.randn(len(X), 1, 8, 8), y


MORE: dict[str, tuple[Any, Any, Any]] = {
    "activations": (
        lambda: nn.Sequential(nn.Linear(64, 8), nn.ELU(), nn.Softplus(), nn.Hardtanh(-2, 0.9),
                              nn.Linear(8, 3)),
        nn.CrossEntropyLoss(), lambda: (X, Y),
    ),
    "groups": (
        lambda: nn.Sequential(nn.Conv2d(1, 4, 3), nn.GroupNorm(2, 4), nn.AdaptiveAvgPool2d(2),
                              nn.Flatten(), nn.Linear(16, 3)),
        nn.CrossEntropyLoss(), lambda: images_and(Y),
    ),
    "probabilities": (
        lambda: nn.Sequential(nn.Linear(64, 3), nn.Sigmoid()),
        nn.BCELoss(), lambda: (X, (TARGET > 0).float()),
    ),
    "odds": (Odds, nn.CrossEntropyLoss(), lambda: (X, Y)),
}  # fmt: skip


def batches() -> dict[str, tuple[Any, Any, Any]]:
    """Each network and each loss, with its batch."""
    found: dict[str, tuple[Any, Any, Any]] = {}
    for name, (network, parts, loss) in NETWORKS.items():
        if name != "resnet18":
            torch.manual_seed(1)
            found[name] = network, loss, parts()
    found |= {name: (network, loss, parts()) for name, (network, loss, parts) in MORE.items()}
    return found | {name: (small, loss, (X, y)) for name, (loss, y) in LOSSES.items()}


def step(network: Any, loss: Any, batch: Any, depth: str) -> dict[str, Any]:
    """The loss, the gradients and the state after a batch."""
    model = model_of(network, loss)
    program = model.unroll("train_batch", *batch, update=False, depth=depth)
    program.tools["broken"] = broken
    with one_by_one(model.network):
        result = program.run()
    gradients = [weight.grad for weight in model.parameters()]
    return flat([result, gradients, model.network.state_dict(), torch.rand(1)])


@pytest.mark.slow
def test_each_entry_that_is_broken_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(WrittenOut, "check", lambda *_: None)
    tables = {name: getattr(expressions, name) for name in ("TABLE", "PLAIN")}
    tried, noticed, read = set[tuple[str, str]](), set[tuple[str, str]](), set[str]()
    traced: dict[Any, Any] = {}  # each segment is traced once, and written again and again

    def trace_once(segment: Any, network: Any, losses: Any, names: Any, size: int) -> Any:
        if (segment.key, size) not in traced:
            traced[segment.key, size] = trace(segment, network, losses, names, size)
        return traced[segment.key, size]

    monkeypatch.setattr(gradients, "trace", trace_once)
    for network, loss, batch in batches().values():
        traced.clear()
        whole = {name: Read(table) for name, table in tables.items()}
        for name, table in whole.items():
            monkeypatch.setattr(expressions, name, table)
        expected = step(network, loss, batch, "gradients")
        for name, table in tables.items():
            monkeypatch.setattr(expressions, name, table)
        for name, table in tables.items():
            read |= whole[name].read
            for entry, way in whole[name].changes:
                change = entry, way.__name__
                if change in noticed:
                    continue
                monkeypatch.setattr(expressions, name, {**table, entry: way(table[entry])})
                try:
                    found = step(network, loss, batch, "gradients")
                except Exception:
                    same = False
                else:
                    same = all(identical(v, found.get(k)) for k, v in expected.items())
                tried.add(change)
                noticed |= set() if same else {change}
                monkeypatch.setattr(expressions, name, table)
    unnoticed = tried - noticed
    print(f"{len(read)} entries, {len(tried)} changes, {len(noticed)} noticed; not: {unnoticed}")
    assert {way for _, way in unnoticed} <= {"swapped"}
    assert {entry for entry, _ in unnoticed} <= EITHER_WAY
    assert {*tables["TABLE"], *tables["PLAIN"]} - read <= SELDOM


# No network here has them: other versions of torch write what these are for in another way.
SELDOM = {"empty.memory_format", "index_put.default", "split.Tensor", "sub.Scalar"}
SELDOM |= {"prod.dim_int"}  # its backward is refused
