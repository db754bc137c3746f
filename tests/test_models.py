"""LeNet: its sizes, and each layer as PyTorch's functions compute it."""

import inspect

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from tutorial.models import LeNet


def count(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


@pytest.mark.parametrize(
    ("num_classes", "parameters", "shape"),
    [
        (10, 61_610, (2, 10)),
        (3, 61_015, (2, 3)),
        (0, 2_476, (2, 16, 5, 5)),
        (-1, 2_476, (2, 16, 5, 5)),
    ],
)
def test_parameters_and_shapes(num_classes, parameters, shape):
    network = LeNet(num_classes)
    assert network.num_classes == num_classes
    assert count(network) == parameters
    assert network(torch.randn(2, 1, 28, 28)).shape == shape


def test_each_layer_as_pytorchs_functions_compute_it():
    network, x = LeNet().eval(), torch.randn(4, 1, 28, 28)
    w = list(network.parameters())
    z = F.max_pool2d(F.relu(F.conv2d(x, w[0], w[1], padding=1)), 2)
    z = F.max_pool2d(F.relu(F.conv2d(z, w[2], w[3])), 2)
    # No activation between the fully connected layers: straight through all three.
    z = F.linear(F.linear(F.linear(z.flatten(1), w[4], w[5]), w[6], w[7]), w[8], w[9])
    torch.testing.assert_close(network(x), z)


def test_every_parameter_gets_a_gradient():
    network = LeNet()
    network(torch.randn(8, 1, 28, 28)).square().mean().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in network.parameters())


def test_its_source_runs_in_a_script_of_its_own():
    names = {"torch": torch, "nn": nn}
    exec(inspect.getsource(LeNet), names)
    assert count(names["LeNet"]()) == 61_610
