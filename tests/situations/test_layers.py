"""Layers with unusual arguments, and published architectures.

Each is written out as the code of a script, made again from that, and compared in both modes.
"""

import io
import os
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import pytest
import torch
import torchvision.ops as ops
from torch import nn

import tutorial as tl

from .layers import ARCHITECTURES, LAYERS
from .runner import run_path, same, seed, tensors

os.environ.setdefault("HF_HUB_OFFLINE", "1")
pytestmark = pytest.mark.filterwarnings("default")


def inputs_for(shapes: tuple[Any, ...]) -> list[torch.Tensor]:
    if shapes[:1] == ("long",):
        return [torch.randint(0, 9, shape) for shape in shapes[1:]]
    return [torch.randn(shape) for shape in shapes]


def made_again(network: nn.Module, folder: Path) -> nn.Module:
    """What the code in the script makes."""
    model = tl.Model(nn.Sequential(nn.Flatten(), nn.Linear(2, 2)))
    program = model.unroll("predict_batch", torch.zeros(1, 2))
    program.names["network"] = network  # it is not called: it may take any inputs
    program.remember()
    path = program.save(folder / "network.py")
    text = path.read_text(encoding="utf-8")
    assert "You must supply" not in text, text
    *before, _, _ = text.partition("\nnetwork.eval()")
    path.write_text("".join(before), encoding="utf-8")
    with redirect_stdout(io.StringIO()):
        return run_path(path)["network"]


def compare(network: nn.Module, other: nn.Module, *inputs: Any, **named: Any) -> None:
    """The same state, and the same outputs in both modes."""
    same("state", dict(network.state_dict()), dict(other.state_dict()))
    assert list(network.state_dict()) == list(other.state_dict())
    assert str(network) == str(other)
    for training in (False, True) if inputs or named else ():
        outputs = []
        for one in (network, other):
            one.train(training)
            seed(3)
            with torch.no_grad():
                outputs.append(tensors(one(*inputs, **named)))
        same(f"outputs, {training=}", *outputs)


@pytest.mark.parametrize("layer", LAYERS)
def test_a_layer_is_made_again(layer: str, tmp_path: Path) -> None:
    network = eval(layer, {"nn": nn, "ops": ops, "torch": torch})
    network.requires_grad_(False)
    network.train()
    compare(network, made_again(network, tmp_path), *inputs_for(LAYERS[layer]))


@pytest.mark.slow
@pytest.mark.parametrize("name", ARCHITECTURES)
def test_an_architecture_is_made_again(name: str, tmp_path: Path) -> None:
    seed(0)
    network, shape = ARCHITECTURES[name]()
    other = made_again(network, tmp_path)
    if shape != "tokens":
        compare(network, other, torch.randn(shape))
        return
    tokens = torch.randint(1, 30, (2, 5))
    decoded = {"decoder_input_ids": tokens} if name in ("t5", "bart") else {}
    compare(network, other, input_ids=tokens, **decoded)
