"""The table, its totals, and that nothing is changed by making it."""

import gc
import re
import weakref
from typing import Any

import pytest
import torch
from torch import nn

import tutorial as tl
from tutorial.display.summary import summary
from tutorial.inputs.spec import InputSpec


def mlp() -> nn.Sequential:
    return nn.Sequential(
        nn.Flatten(), nn.Linear(784, 512), nn.ReLU(), nn.Dropout(0.2), nn.Linear(512, 10)
    )


class FaceNet(nn.Module):
    """A ready network, and two layers behind it."""

    def __init__(self) -> None:
        super().__init__()
        self.backbone = tl.models.LeNet()
        self.out_layer_1 = nn.Sequential(nn.Linear(10, 512), nn.ReLU(), nn.Dropout(0.2))
        self.out_layer_2 = nn.Linear(512, 10)

    def forward(self, x):
        return self.out_layer_2(self.out_layer_1(self.backbone(x)))


class OwnParameter(nn.Module):
    """Twelve parameters of the network itself, beside a layer."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(3, 4))
        self.layer = nn.ReLU()

    def forward(self, x):
        return self.layer(x @ self.weight)


class Shared(nn.Module):
    """One weight in two layers, and one layer under two names."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Linear(4, 4), nn.Linear(4, 4)
        self.b.weight = self.a.weight
        self.c = self.a

    def forward(self, x):
        return self.c(self.b(self.a(x)))


class TwoInputs(nn.Module):
    """Words and an image; a dict of outputs."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(10, 4)
        self.layer = nn.Linear(4, 2)

    def forward(self, words, x):
        features = self.embedding(words).mean(1) + x
        return {"features": features, "scores": self.layer(features)}


class TakesADict(nn.Linear):
    def __init__(self) -> None:
        super().__init__(3, 2)

    def forward(self, parts):
        return super().forward(parts["x"] + parts["y"])


def half_frozen() -> nn.Sequential:
    network = nn.Sequential(nn.Linear(4, 5), nn.Linear(5, 2))
    network[0].requires_grad_(False)
    return network


def conv_and_norm() -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(1, 6, 3), nn.BatchNorm2d(6))


IMAGE = (None, 1, 28, 28)


@pytest.mark.parametrize(
    ("network", "input_size", "dtype", "total", "trainable"),
    [
        (mlp(), IMAGE, None, 407_050, 407_050),
        (tl.models.LeNet(), IMAGE, None, 61_610, 61_610),
        (tl.models.LeNet(0), (-1, 1, 28, 28), None, 2_476, 2_476),
        (FaceNet(), [1, 1, 28, 28], None, 72_372, 72_372),
        (OwnParameter(), (1, 3), None, 12, 12),
        (Shared(), (1, 4), None, 24, 24),
        (half_frozen(), (2, 4), None, 37, 12),
        (conv_and_norm(), (1, 1, 8, 8), None, 72, 72),  # not 84: running means are not learned
        (nn.ReLU(), 3, None, 0, 0),
        (nn.Linear(3, 2), 3, None, 8, 8),
        (nn.Linear(3, 2).double(), (1, 3), torch.float64, 8, 8),
        (nn.Embedding(10, 4), (1, 3), "int64", 40, 40),
        (nn.Embedding(10, 4), InputSpec((None, 3), "int64"), None, 40, 40),
        (nn.Embedding(10, 4), InputSpec((None, 3)), "int64", 40, 40),
        (nn.LSTM(3, 5), (7, 1, 3), None, 200, 200),
        (TwoInputs(), [(1, 3), (1, 4)], ["int64", None], 50, 50),
        (TwoInputs(), [InputSpec((None, 3), "int64"), (None, 4)], None, 50, 50),
        (TwoInputs(), {"x": (None, 4), "words": InputSpec((None, 3), "int64")}, None, 50, 50),
        (TakesADict(), [{"x": (None, 3), "y": (None, 3)}], None, 8, 8),
    ],
)
def test_the_totals_printed_and_returned(
    network, input_size, dtype, total, trainable, capsys
) -> None:
    counts = summary(network, input_size, dtype)
    assert counts == {"total_params": total, "trainable_params": trainable}
    assert all(type(count) is int for count in counts.values())
    printed = capsys.readouterr().out
    assert f"\nTotal params: {total:,}\nTrainable params: {trainable:,}\n" in printed
    assert f"\nNon-trainable params: {total - trainable:,}\n" in printed


TABLE = """\
====================================================================================================
Layer (type (var_name))                  Input Shape          Output Shape         Param #
====================================================================================================
LeNet (LeNet)                            [1, 1, 28, 28]       [1, 10]              --
├─Sequential (features)                  [1, 1, 28, 28]       [1, 16, 5, 5]        --
│    └─Conv2d (0)                        [1, 1, 28, 28]       [1, 6, 28, 28]       60
│    └─ReLU (1)                          [1, 6, 28, 28]       [1, 6, 28, 28]       --
│    └─MaxPool2d (2)                     [1, 6, 28, 28]       [1, 6, 14, 14]       --
│    └─Conv2d (3)                        [1, 6, 14, 14]       [1, 16, 10, 10]      2,416
│    └─ReLU (4)                          [1, 16, 10, 10]      [1, 16, 10, 10]      --
│    └─MaxPool2d (5)                     [1, 16, 10, 10]      [1, 16, 5, 5]        --
├─Sequential (fc)                        [1, 400]             [1, 10]              --
│    └─Linear (0)                        [1, 400]             [1, 120]             48,120
│    └─Linear (1)                        [1, 120]             [1, 84]              10,164
│    └─Linear (2)                        [1, 84]              [1, 10]              (850)
====================================================================================================
Total params: 61,610
Trainable params: 60,760
Non-trainable params: 850
====================================================================================================
"""


def test_the_table(capsys) -> None:
    network = tl.models.LeNet()
    network.fc[2].requires_grad_(False)
    summary(network, IMAGE)
    assert capsys.readouterr() == (TABLE, "")


def test_rows_that_share_a_parameter_are_explained(capsys) -> None:
    summary(Shared(), (1, 4))
    last = capsys.readouterr().out.splitlines()[-1]
    assert last == (
        "Parameters that layers share stand in each one's row, and count once in the total."
    )


@pytest.mark.parametrize("size", [(1, 1, 8, 8), (1, 1, 0, 0), (1, 3, 8, 8)])
def test_nothing_changes(size) -> None:
    network = conv_and_norm()
    network.append(nn.Dropout())
    network[1].eval()
    network(torch.randn(4, 1, 8, 8)).sum().backward()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    gradients = [weight.grad.clone() for weight in network.parameters()]
    modes = [module.training for module in network.modules()]
    tl.seed(5)
    expected = torch.rand(3)
    tl.seed(5)
    if size == (1, 1, 8, 8):
        summary(network, size)
    else:
        with pytest.raises(ValueError, match="input_size"):
            summary(network, size)
    assert torch.equal(torch.rand(3), expected)
    assert [module.training for module in network.modules()] == modes
    assert all(torch.equal(before[name], value) for name, value in network.state_dict().items())
    pairs = zip(network.parameters(), gradients, strict=True)
    assert all(torch.equal(weight.grad, gradient) for weight, gradient in pairs)
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in network.modules())
    assert torch.is_grad_enabled()


def test_the_network_can_be_forgotten() -> None:
    network = mlp()
    summary(network, IMAGE)
    alive = weakref.ref(network)
    del network
    gc.collect()
    assert alive() is None


def test_an_error_shows_how_far_the_input_came() -> None:
    with pytest.raises(ValueError, match="cannot be multiplied") as caught:
        summary(tl.models.LeNet(), (1, 1, 40, 40))
    first, *layers, last = str(caught.value).splitlines()
    assert first.startswith(
        "input_size is (1, 1, 40, 40) (torch.float32), but the network cannot take it: "
    )
    assert layers == [
        "    features.0 Conv2d gave (1, 6, 40, 40)",
        "    features.1 ReLU gave (1, 6, 40, 40)",
        "    features.2 MaxPool2d gave (1, 6, 20, 20)",
        "    features.3 Conv2d gave (1, 16, 16, 16)",
        "    features.4 ReLU gave (1, 16, 16, 16)",
        "    features.5 MaxPool2d gave (1, 16, 8, 8)",
        "    fc.0 Linear failed, given (1, 1024)",
    ]
    assert last == (
        "Give the shape that the network expects, the batch first; or change the layer that failed."
    )


def test_an_error_deep_in_a_network_stays_short() -> None:
    network = nn.Sequential(*[nn.ReLU() for _ in range(100)], nn.Linear(4, 2))
    with pytest.raises(ValueError, match=r"\.\.\.\n    92 ReLU gave") as caught:
        summary(network, (1, 3))
    assert len(str(caught.value).splitlines()) == 12


class Point:
    """Something that torchinfo does not know."""


class GivesAPoint(nn.Module):
    def forward(self, x):
        return Point()


@pytest.mark.parametrize(
    ("network", "input_size", "dtype", "error", "says"),
    [
        (mlp(), None, None, ValueError, r"input_size is None.*Give the shape of a batch"),
        (mlp(), (1, -8), None, ValueError, r"holds \(1, -8\), but sizes from 1 on .*not -8"),
        (mlp(), (None, 0), None, ValueError, "sizes from 1 on"),
        (mlp(), 0, None, ValueError, "sizes from 1 on"),
        (mlp(), (None, -1), None, ValueError, "leaves 2 sizes open, but only that of the batch"),
        (mlp(), InputSpec((None, None)), None, ValueError, "leaves 2 sizes open"),
        (mlp(), (), None, ValueError, r"input_size is \(\), but at least one"),
        (mlp(), [(1, 784), []], None, ValueError, r"input_size is \[\], but at least one"),
        (mlp(), "784", None, TypeError, "input_size holds '784', but the shape of a batch"),
        (mlp(), (1, 2.5), None, TypeError, "input_size holds 1, but|holds 2.5"),
        (mlp(), True, None, TypeError, "input_size holds True"),
        (mlp(), (1, 784), "float31", ValueError, "dtype is 'float31'"),
        (mlp(), (1, 784), ["int64"] * 2, ValueError, "names 2 types, but .* 1 inputs"),
        (nn.Embedding(9, 4), (1, 3), None, ValueError, "Embedding failed.*\n.*dtype='int64'"),
        (TwoInputs(), (1, 3), None, ValueError, "missing 1 required"),
        (TwoInputs(), {"x": (1, 4), "y": 3}, None, ValueError, "unexpected keyword argument 'y'"),
        (TakesADict(), [{"x": 3, "y": "3"}], None, TypeError, "input_size holds '3'"),
        (GivesAPoint(), (1, 3), None, ValueError, "runs, but torchinfo cannot make a table"),
    ],
)
def test_an_error_says_what_to_do(network, input_size, dtype, error, says, capsys) -> None:
    with pytest.raises(error, match=says):
        summary(network, input_size, dtype)
    assert capsys.readouterr() == ("", "")


def test_a_notebook_shows_a_table_that_scrolls_by_itself(monkeypatch, capsys) -> None:
    import IPython.display

    shown: list[Any] = []
    monkeypatch.setattr("tutorial.display.summary.in_notebook", lambda: True)
    monkeypatch.setattr(IPython.display, "display", shown.append)
    network = mlp()
    network[1].requires_grad_(False)
    assert summary(network, (None, 784))["total_params"] == 407_050
    assert capsys.readouterr().out == ""
    html = shown[0].data
    cells = re.findall(r"<td[^>]*>([^<]*)</td>", html)
    assert [cell.strip() for cell in cells[:6]] == [
        *("Sequential", "[1, 10]", ""),
        *("0 Flatten", "[1, 784]", ""),
    ]
    assert "401,920" in cells and "overflow-x:auto" in html
    assert html.endswith("<div>407,050 parameters, of which 401,920 do not learn</div>")
    summary(OwnParameter(), (2, 3))
    assert ">12</td>" in shown[1].data  # the network's own
    summary(Shared(), (2, 4))
    assert "count once in the total" in shown[2].data
