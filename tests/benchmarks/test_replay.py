"""What recording costs: a recorded step beside a plain one (`make bench`)."""

from collections.abc import Callable
from contextlib import redirect_stdout
from functools import partial
from io import StringIO
from statistics import median
from time import process_time
from typing import Any

import pytest
import torch
from torch import nn
from torch.utils.data import Subset

import tutorial as tl
from tutorial.unroll.program import Program
from tutorial.unroll.proof import run_copy
from tutorial.unroll.replay import recorder_for

STEPS = {"plain": 30, "recorded": 8}


def mlp() -> tl.Model:
    tl.seed(0)
    network = nn.Sequential(
        nn.Flatten(), nn.Linear(784, 512), nn.ReLU(), nn.Dropout(0.2), nn.Linear(512, 10)
    )
    model = tl.Model(network)
    optimizer = torch.optim.Adam(network.parameters())
    model.prepare(optimizer, nn.CrossEntropyLoss(), tl.metrics.Accuracy())
    return model


def timed(program: Program, names: dict[str, Any], how: str) -> dict[str, Any]:
    """The seconds of CPU of the whole run, in a process of its own."""
    run: Callable[[], Any] = program.from_the_beginning(names)
    if how == "recorded":
        run = partial(recorder_for(program, 10**9).record, run)
    began = process_time()
    with redirect_stdout(StringIO()):
        run()
    return {"seconds": process_time() - began}


@pytest.mark.parametrize("depth", ["loop", "optimizer", "gradients"])
def test_a_recorded_step_beside_a_plain_one(depth: str) -> None:
    train_data = tl.datasets.MNIST("train")
    step = {}
    for how, steps in STEPS.items():
        took = []
        for count in (2, 2 + steps) * 3:
            data = Subset(train_data, range(64 * count))
            program = mlp().unroll("fit", data, depth=depth)
            program.remember()
            took.append(run_copy(program, partial(timed, how=how))["seconds"])
        step[how] = (median(took[1::2]) - median(took[::2])) / steps
    print(
        f"\ndepth {depth!r}: a step takes {step['plain'] * 1e3:.1f} ms, recorded "
        f"{step['recorded'] * 1e3:.1f} ms: {step['recorded'] / step['plain']:.1f} times as long "
        "(limit: 20)"
    )


def test_the_size_of_two_steps() -> None:
    for depth in ("loop", "optimizer", "gradients"):
        program = mlp().unroll("fit", tl.datasets.MNIST("train"), depth=depth)
        page = program.replay(steps=2)._repr_html_()
        print(f"\ndepth {depth!r}: {len(page) / 1000:.0f} KB of HTML (limit: 150 KB)")
