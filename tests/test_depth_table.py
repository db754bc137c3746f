"""The table of operations, broken on purpose: each entry that the tests' networks use is noticed.

What is written out is compared with PyTorch's own before it is shown; here that is left out, so
that it is the comparison of losses and gradients that must notice. `pytest -s` prints the table.
"""

from typing import Any

import pytest
import torch
from deep_networks import NETWORKS
from test_depth_gradients import LOSSES, X, model_of, small
from torch import Tensor

from tutorial.depth import expressions
from tutorial.depth.gradients import WrittenOut
from tutorial.depth.passes import one_by_one
from tutorial.unroll.proof import flat, identical


def broken(result: Any) -> Any:
    """Another sign; of what has none, another value."""
    if not isinstance(result, Tensor):
        return type(result)(map(broken, result))
    return ~result if result.dtype == torch.bool else -result - (result.dtype == torch.int64)


class Broken(dict):
    """A table in which one entry is broken; it notes what is read."""

    def __init__(self, table: Any, name: str, read: set[str]) -> None:
        super().__init__(table)
        self.name, self.read = name, read

    def __getitem__(self, name: str) -> Any:
        self.read.add(name)
        written = super().__getitem__(name)
        if name != self.name:
            return written
        return lambda *arguments, **named: f"broken({written(*arguments, **named)})"


def batches() -> dict[str, tuple[Any, Any, Any]]:
    """Each network and each loss, with its batch."""
    found: dict[str, tuple[Any, Any, Any]] = {}
    for name, (network, parts, loss) in NETWORKS.items():
        if name != "resnet18":
            torch.manual_seed(1)
            found[name] = network, loss, parts()
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
    tried, unnoticed = set[str](), set[str]()
    for network, loss, batch in batches().values():
        read: dict[str, set[str]] = {name: set() for name in tables}
        for name, table in tables.items():
            monkeypatch.setattr(expressions, name, Broken(table, "", read[name]))
        expected = step(network, loss, batch, "gradients")
        for name, table in tables.items():
            for entry in sorted(read[name]):
                if f"{name} {entry}" in tried - unnoticed:
                    continue
                monkeypatch.setattr(expressions, name, Broken(table, entry, set()))
                tried.add(f"{name} {entry}")
                try:
                    found = step(network, loss, batch, "gradients")
                except Exception:
                    same = False
                else:
                    same = all(identical(v, found.get(k)) for k, v in expected.items())
                unnoticed.discard(f"{name} {entry}")
                unnoticed |= {f"{name} {entry}"} if same else set()
                monkeypatch.setattr(expressions, name, table)
    print(f"{len(tried)} entries broken, {len(tried - unnoticed)} noticed; not: {unnoticed}")
    assert unnoticed == set()
    assert len(tried) >= 70
