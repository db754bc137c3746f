"""An exported network predicts the same in a process that has neither its source nor tutorial."""

import os
import subprocess
import sys

import numpy as np
import onnxruntime
import pytest
import torch
from torch import nn

import tutorial as tl
from tutorial.inputs.spec import InputSpec
from tutorial.saving.export import export


class Mlp(nn.Module):
    """Dropout and batch norm, which do in training what a prediction must not."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(8, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Dropout(), nn.Linear(16, 3)
        )

    def forward(self, x):
        return self.layers(x)


class TwoInputs(nn.Module):
    """Words of any number, and an image; a dict of two outputs."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(10, 4)
        self.layer = nn.Linear(4, 2)

    def forward(self, words, x):
        features = self.embedding(words).mean(1) + x
        return {"scores": self.layer(features), "features": features}


# Another Python: the .onnx files without torch, then the .pt2 files without tutorial.
ELSEWHERE = """
import sys
sys.modules["tutorial"] = None
import numpy as np, onnxruntime
given = np.load(sys.argv[1])
y_hat = {}
session = onnxruntime.InferenceSession("model.onnx")
names = [x.name for x in session.get_inputs()]
for n in (1, 7, 64):
    parts = session.run(None, {name: given[f"{name} {n}"] for name in names})
    y_hat |= {f"onnx {y.name} {n}": part for y, part in zip(session.get_outputs(), parts)}
assert "torch" not in sys.modules
import torch
predict = torch.export.load("model.pt2").module()
for n in (1, 7, 64):
    parts = predict(*(torch.from_numpy(given[f"{name} {n}"]) for name in names))
    parts = parts.values() if isinstance(parts, dict) else [parts]
    y_hat |= {f"pt2 {y.name} {n}": p.detach() for y, p in zip(session.get_outputs(), parts)}
np.savez(sys.argv[2], **y_hat)
"""


IMAGE = InputSpec((None, 1, 28, 28), name="image")


@pytest.mark.parametrize(
    ("make", "specs", "names"),
    [
        pytest.param(tl.models.LeNet, [IMAGE], ["image"], marks=pytest.mark.slow),
        pytest.param(Mlp, [InputSpec((None, 8))], ["x"], marks=pytest.mark.slow),
        (TwoInputs, [InputSpec((None, None), "int64"), InputSpec((None, 4))], ["x_0", "x_1"]),
    ],
)
def test_it_predicts_the_same_without_its_source(make, specs, names, tmp_path) -> None:
    network = make()
    x = [batch(spec, 32) for spec in specs]
    for _ in range(3):  # so that a batch norm has seen something
        network(*x)
    paths = export(network, specs, tmp_path / "deep" / "model")
    assert paths == [tmp_path / "deep" / "model.pt2", tmp_path / "deep" / "model.onnx"]
    assert sorted((tmp_path / "deep").iterdir()) == sorted(paths)  # no weights beside them

    network.eval()
    given, expected = {}, {}
    for n in (1, 7, 64):
        x = [batch(spec, n) for spec in specs]
        given |= {f"{name} {n}": part.numpy() for name, part in zip(names, x, strict=True)}
        y_hat = network(*x)
        parts = list(y_hat.values()) if isinstance(y_hat, dict) else [y_hat]
        for i, part in enumerate(parts):
            name = "y_hat" if len(parts) == 1 else f"y_hat_{i}"
            expected[f"onnx {name} {n}"] = expected[f"pt2 {name} {n}"] = part.detach()
    np.savez(tmp_path / "given.npz", **given)
    subprocess.run(
        [sys.executable, "-I", "-c", ELSEWHERE, tmp_path / "given.npz", tmp_path / "y_hat.npz"],
        cwd=tmp_path / "deep",
        check=True,
    )
    y_hat = np.load(tmp_path / "y_hat.npz")
    assert set(y_hat) == set(expected)
    for name in expected:
        np.testing.assert_allclose(y_hat[name], expected[name], rtol=1e-5, atol=1e-6)


def batch(spec: InputSpec, n: int) -> torch.Tensor:
    sizes = [(5 if axis else n) if size is None else size for axis, size in enumerate(spec.shape)]
    return torch.randn(sizes) if spec.dtype == torch.float32 else torch.randint(10, sizes)


class Parts(nn.Module):
    """Two inputs by keyword; of them, features is a dict."""

    def __init__(self) -> None:
        super().__init__()
        self.image, self.text, self.more = nn.Linear(8, 3), nn.Linear(4, 3), nn.Linear(2, 3)

    def forward(self, *, features, more):
        return self.image(features["image"]) + self.text(features["text"]) + self.more(more)


def test_inputs_by_keyword_and_in_dicts(tmp_path) -> None:
    network = Parts()
    specs = {
        "features": {"text": InputSpec((None, 4)), "image": InputSpec((None, 8))},
        "more": InputSpec((None, 2)),
    }
    pt2, onnx = export(network, specs, tmp_path / "model")
    x = {"text": torch.randn(7, 4), "image": torch.randn(7, 8), "more": torch.randn(7, 2)}
    more = x["more"]
    expected = network(features=x, more=more).detach()
    features = {"text": x["text"], "image": x["image"]}
    torch.testing.assert_close(
        torch.export.load(pt2).module()(features=features, more=more), expected
    )
    session = onnxruntime.InferenceSession(onnx)
    assert [part.name for part in session.get_inputs()] == ["text", "image", "more"]
    y_hat = session.run(None, {name: part.numpy() for name, part in x.items()})[0]
    np.testing.assert_allclose(y_hat, expected, rtol=1e-5, atol=1e-6)


def test_the_sizes_that_may_vary_have_names(tmp_path) -> None:
    import onnx

    network = nn.Sequential(nn.Conv2d(1, 2, 5), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    _, path = export(network, [InputSpec((None, 1, None, None))], tmp_path / "model")
    model = onnx.load(path)
    onnx.checker.check_model(model)
    sizes = [
        [size.dim_param or size.dim_value for size in tensor.type.tensor_type.shape.dim]
        for tensor in (model.graph.input[0], model.graph.output[0])
    ]
    assert sizes == [["batch", 1, "x_2", "x_3"], ["batch", 2]]


def test_nothing_changes_and_nothing_is_printed(tmp_path, capfd) -> None:
    network = Mlp()
    network.layers[1].eval()
    network(torch.randn(4, 8)).sum().backward()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    gradients = [weight.grad.clone() for weight in network.parameters()]
    modes = [module.training for module in network.modules()]
    tl.seed(5)
    expected = torch.rand(3)
    tl.seed(5)
    export(network, [InputSpec((None, 8))], tmp_path / "model")
    assert torch.equal(torch.rand(3), expected)
    assert [module.training for module in network.modules()] == modes
    assert all(torch.equal(before[name], value) for name, value in network.state_dict().items())
    pairs = zip(network.parameters(), gradients, strict=True)
    assert all(torch.equal(weight.grad, gradient) for weight, gradient in pairs)
    assert capfd.readouterr() == ("", "")


def test_without_the_packages_for_onnx_there_is_the_other_file(tmp_path, monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxscript", None)
    (tmp_path / "model.onnx").write_text("of another network")
    with pytest.warns(UserWarning, match="not written") as caught:
        paths = export(nn.Linear(8, 3), [InputSpec((None, 8))], tmp_path / "model")
    assert paths == [tmp_path / "model.pt2"]
    assert str(caught[0].message) == (
        "model.onnx was not written: onnxscript cannot be imported. To get them: "
        'pip install "torch-tutorial[export]". The file of this name is an earlier one.'
    )


class Svd(nn.Module):
    def forward(self, x):
        return torch.linalg.svdvals(x)


def test_what_onnx_lacks_is_in_the_other_file(tmp_path) -> None:
    with pytest.warns(UserWarning, match=r"model.onnx was not written: No ONNX function.*\.pt2"):
        paths = export(Svd(), [InputSpec((None, 8))], tmp_path / "model.pt2")
    assert paths == [tmp_path / "model.pt2"]
    assert torch.export.load(paths[0]).module()(torch.eye(8)).tolist() == [1.0] * 8


class ChoosesByValues(nn.Module):
    def forward(self, x):
        if x.sum() > 0:
            x = x + 1
        return x


class OneSize(nn.Module):
    def forward(self, x):
        return x.view(2, 8)


class NotTorch(nn.Module):
    def forward(self, x):
        return torch.from_numpy(np.sqrt(x.numpy()))


class KeepsWhatItComputed(nn.Linear):
    def forward(self, x):
        self.kept = super().forward(x)
        return self.kept


@pytest.mark.parametrize(
    ("network", "says"),
    [
        (ChoosesByValues(), r"values in a tensor, in line \d+ of .*if x.sum\(\) > 0.*torch.where"),
        (OneSize(), r"one size only.*constant \(2\)\. Write x.shape\[0\] or -1"),
        (NotTorch(), r"numpy.* in line \d+ of .*np.sqrt.*only torch's functions"),
        (nn.Linear(9, 3), r"shape=\(None, 8\).*cannot take x \(2, 8\): .*Give an InputSpec"),
        (TwoInputs(), r"missing 1 required.*an InputSpec for each argument"),
    ],
)
def test_an_error_says_why_and_what_to_do(network, says, tmp_path, capfd) -> None:
    with pytest.raises(ValueError, match=says):
        export(network, [InputSpec((None, 8))], tmp_path / "model")
    assert list(tmp_path.iterdir()) == []
    assert capfd.readouterr() == ("", "")


def test_a_network_that_cannot_be_copied(tmp_path) -> None:
    network = KeepsWhatItComputed(8, 3)
    network(torch.zeros(1, 8))
    with pytest.raises(ValueError, match=r"cannot be copied: .*\.detach\(\)"):
        export(network, [InputSpec((None, 8))], tmp_path / "model")


@pytest.mark.parametrize(
    ("inputs", "path", "says"),
    [
        ([], "model", r"inputs is \[\], but a list with an InputSpec for each input"),
        (InputSpec((None, 8)), "model", r"inputs is InputSpec.*, but a list"),
        ([(None, 8)], "model", r"inputs is \[\(None, 8\)\], but"),
        ([InputSpec((None, 8), name="y_hat")], "model", "y_hat is the output. Rename"),
        ([InputSpec((None, 8), name="a")] * 2, "model", "the names a, a, but each needs"),
        ([InputSpec((None, 8))], "", "path is '.', but a file's name is expected"),
    ],
)
def test_wrong_arguments(inputs, path, says) -> None:
    with pytest.raises(ValueError, match=says):
        export(nn.Linear(8, 3), inputs, path)


@pytest.mark.parametrize("name", ["model", "model.pt2", "model.onnx", "model.pt"])
def test_a_full_disk_loses_no_earlier_file(name, tmp_path, monkeypatch) -> None:
    before = {"model.pt2": b"earlier", "model.onnx": b"too"}
    for other, contents in before.items():
        (tmp_path / other).write_bytes(contents)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        export(nn.Linear(8, 3), [InputSpec((None, 8))], tmp_path / name)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before
