"""What a call costs before its first batch: looking at data, weaving, specializing, compiling.

CPU time from the call of `fit` to the first training step's forward pass. Cold: a combination of
options that this process has not seen. Warm: the same call again.
"""

import sys
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from time import process_time
from types import FrameType
from typing import Any

import pytest
import torch
from torch import nn
from torch.utils.data import TensorDataset

import tutorial as tl
from tutorial.unroll import program, specialize, unroll

LIBRARY = str(Path(tl.__file__).parent)
CALLS: dict[str, dict[str, Any]] = {
    "plain": {},
    "evaluation, clip, accumulate": {
        "eval_data": True, "clip_grad_norm": 1.0, "accumulate_grad_batches": 2, "num_iters": 9,
    },
}  # fmt: skip


class Timed(nn.Linear):
    """Notes when it is first called in training mode."""

    first: float | None = None

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.training and self.first is None:
            self.first = process_time()
            sys.setprofile(None)
        return super().forward(x)


def prepared(call: dict[str, Any]) -> tuple[tl.Model, dict[str, Any]]:
    data = TensorDataset(torch.randn(640, 8), torch.randint(3, (640,)))
    model = tl.Model(Timed(8, 3))
    optimizer = torch.optim.Adam(model.parameters())
    model.prepare(optimizer, nn.CrossEntropyLoss(), tl.metrics.Accuracy())
    given = {"eval_data": data} if call.get("eval_data") else {}
    return model, {"train_data": data, "verbose": 0, **call, **given}


def milliseconds(model: tl.Model, call: dict[str, Any]) -> float:
    """CPU time from the call to the first batch."""
    network: Any = model.network
    network.first = None
    begin = process_time()
    model.fit(**call)
    return (network.first - begin) * 1000


def forget() -> None:
    """Forget the programs, not the files of the loop: as for options that were never seen."""
    for cached in (unroll.unroll, specialize.woven, program.compiled):
        cached.cache_clear()


@pytest.mark.parametrize("name", CALLS)
def test_time_to_the_first_batch(name: str) -> None:
    model, call = prepared(CALLS[name])
    model.fit(**call)  # the files of the loop are read, once in a process
    cold, warm = [], []
    for _ in range(9):
        forget()
        cold.append(milliseconds(model, call))
        warm.append(milliseconds(model, call))
    print(f"\n{name}: cold {median(cold):.1f} ms, warm {median(warm):.1f} ms of CPU", end="; ")
    calls = list(library_calls(model, call))
    print(f"{len(calls)} library calls before the loop, warm")


def library_calls(model: tl.Model, call: dict[str, Any]) -> Iterator[str]:
    """The functions of the library that are called before the first batch."""
    seen: list[str] = []

    def note(frame: FrameType, event: str, _: Any) -> None:
        if event == "call" and frame.f_code.co_filename.startswith(LIBRARY):
            seen.append(frame.f_code.co_qualname)

    network: Any = model.network
    network.first = None
    sys.setprofile(note)
    try:
        model.fit(**call)
    finally:
        sys.setprofile(None)
    yield from seen
