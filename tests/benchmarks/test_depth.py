"""What depth "gradients" costs: to write it out, and to run it beside autograd (`make bench`)."""

from statistics import median
from time import perf_counter, process_time

import pytest
import torch
from torch import nn
from torch.utils.data import TensorDataset
from torchvision.models import resnet18

import tutorial as tl
from tutorial.display.report import Report
from tutorial.unroll.program import Program

ROUNDS = 9


def prepared(network: nn.Module, optimizer_of: type = torch.optim.Adam) -> tl.Model:
    model = tl.Model(network)
    optimizer = optimizer_of(model.parameters(), lr=1e-3)
    model.prepare(optimizer, nn.CrossEntropyLoss(), tl.metrics.Accuracy())
    return model


def images(count: int, *shape: int) -> TensorDataset:
    return TensorDataset(torch.randn(count, *shape), torch.randint(10, (count,)))


def mlp() -> nn.Module:
    return nn.Sequential(
        nn.Flatten(), nn.Linear(784, 512), nn.ReLU(), nn.Dropout(0.2), nn.Linear(512, 10)
    )


def seconds(program: Program) -> float:
    """Of one run."""
    began = perf_counter()
    program.run(Report())
    return perf_counter() - began


def test_the_time_to_write_it_out() -> None:
    for name, network, data, limit in (
        ("MLP", mlp(), images(640, 1, 28, 28), 1),
        ("ResNet-18", resnet18(num_classes=10), images(128, 3, 32, 32), 15),
    ):
        model = prepared(network)
        model.unroll("fit", data)  # what every call needs is loaded
        began, computed = perf_counter(), process_time()
        text = model.unroll("fit", data, depth="gradients").source
        took, computed = perf_counter() - began, process_time() - computed
        print(
            f"\n{name} at depth 'gradients': {len(text.splitlines())} lines, in {took:.2f} s, "
            f"{computed:.2f} s of CPU (limit: {limit} s)"
        )


@pytest.mark.parametrize("optimizer_of", [torch.optim.SGD, torch.optim.Adam])
def test_the_time_to_run_it(optimizer_of: type) -> None:
    data = images(6400, 1, 28, 28)
    model = prepared(mlp(), optimizer_of)
    programs = [
        model.unroll("fit", data, depth=depth) for depth in ("loop", "optimizer", "gradients")
    ]
    seconds(programs[0])  # the first one warms up
    rounds = [[seconds(program) for program in programs] for _ in range(ROUNDS)]
    for name, number in (("autograd", 1), ("the call, whose step is fused", 0)):
        ratios = sorted(times[2] / times[number] for times in rounds)
        limit = "; limit: 1.5" * (name == "autograd")
        print(
            f"\nMLP with {optimizer_of.__name__} at depth 'gradients' takes {median(ratios):.2f} "
            f"times as long as {name} ({ratios[0]:.2f} to {ratios[-1]:.2f}{limit})"
        )
