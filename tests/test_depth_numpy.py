"""The loop with NumPy alone: every loss, weight and mean within 1e-10 of PyTorch in 64 bits."""

import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from deep_networks import NETWORKS, SAMPLES, images, mlp
from test_depth_gradients import DATA, LOSSES, X, Y, data_of, model_of, same, small
from torch import nn
from torch.utils.data import DataLoader, Dataset, IterableDataset, TensorDataset

import tutorial as tl
from tutorial.callbacks import EarlyStopping, LRScheduler
from tutorial.depth import arrays
from tutorial.unroll.proof import flat

LARGE = {"resnet18"}
EACH = [pytest.param(name, marks=[pytest.mark.slow] * (name in LARGE)) for name in NETWORKS]


def farthest(program: Any) -> float:
    """How far NumPy's numbers are from PyTorch's."""
    names, expected = program.computed(), program.noted.results
    arrays = {name: weight.data for name, weight in names["network"].weights.items()}
    arrays |= names["network"].arrays
    kinds = ("step_losses", "rows", "result", "outputs")
    found = {kind: names[kind] for kind in kinds if kind in expected}
    found["network"] = {name: torch.as_tensor(array) for name, array in arrays.items()}
    assert len(found) > 1
    one, two = flat({kind: expected[kind] for kind in found}), flat(found)
    assert two.keys() <= one.keys()  # a tied weight has two names there
    pairs = [[torch.as_tensor(each[key]).double() for each in (one, two)] for key in two]
    return max(float(((a - b).abs() / a.abs().clamp(min=1)).max()) for a, b in pairs)


def fit(model: tl.Model, data: Any, **arguments: Any) -> Any:
    call = {"batch_size": 4, "epochs": 2} | arguments
    return model.unroll("fit", data, depth="numpy", **call)


@pytest.mark.parametrize("name", EACH)
def test_a_network_in_numpy(name: str) -> None:
    network, parts, loss = NETWORKS[name]
    torch.manual_seed(1)
    # With a small eps, rounding would count where a gradient is 0, as of a bias before batch norm.
    model = model_of(network, loss, partial(torch.optim.Adam, eps=1e-4))
    epochs = 2
    if name in LARGE:  # batch norm over few numbers makes rounding grow: by 100 in each step
        model, epochs = model_of(network, loss), 1
        model.optimizer.param_groups[0]["lr"] = 0.001
    program = fit(model, data_of(parts()), epochs=epochs)
    assert "torch." not in program.source
    assert farthest(program) < 1e-10


@pytest.mark.parametrize("accumulate", [1, 2])
@pytest.mark.parametrize("name", LOSSES)
def test_a_loss_in_numpy(name: str, accumulate: int) -> None:
    loss, y = LOSSES[name]
    data = TensorDataset(X, y)
    program = fit(model_of(small, loss), data, accumulate_grad_batches=accumulate)
    assert farthest(program) < 1e-10


OPTIMIZERS: dict[str, tuple[Any, dict[str, Any]]] = {
    "SGD": (torch.optim.SGD, {"momentum": 0.9, "dampening": 0.1, "weight_decay": 0.01}),
    "Nesterov": (torch.optim.SGD, {"momentum": 0.9, "nesterov": True, "maximize": True}),
    "AMSGrad": (torch.optim.Adam, {"amsgrad": True, "weight_decay": 0.01}),
    "AdamW": (torch.optim.AdamW, {"betas": (0.8, 0.9)}),
    "NAdam": (torch.optim.NAdam, {"weight_decay": 0.01}),
    "RAdam": (torch.optim.RAdam, {}),
    "Adamax": (torch.optim.Adamax, {}),
    "RMSprop": (torch.optim.RMSprop, {"momentum": 0.9, "centered": True}),
    "Adagrad": (torch.optim.Adagrad, {"lr_decay": 0.1}),
    "Adadelta": (torch.optim.Adadelta, {}),
    "Adafactor": (torch.optim.Adafactor, {}),
    "Rprop": (torch.optim.Rprop, {}),
    "ASGD": (torch.optim.ASGD, {}),
}


def smooth() -> nn.Module:
    return nn.Sequential(nn.Linear(64, 8), nn.Tanh(), nn.Dropout(0.3), nn.Linear(8, 3))


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_an_optimizer_in_numpy(name: str) -> None:
    cls, options = OPTIMIZERS[name]
    tl.seed(0)
    model = tl.Model(smooth())
    model.prepare(cls(model.parameters(), lr=0.01, **options), nn.CrossEntropyLoss())
    assert farthest(fit(model, DATA)) < 1e-10


def test_groups_frozen_weights_and_a_schedule() -> None:
    tl.seed(0)
    network = smooth()
    network[0].bias.requires_grad_(False)
    groups = [{"params": [network[0].weight], "lr": 0.1}, {"params": network[3].parameters()}]
    optimizer = torch.optim.SGD(groups, lr=0.02, momentum=0.5)
    model = tl.Model(network)
    model.prepare(optimizer, nn.CrossEntropyLoss())
    schedule = torch.optim.lr_scheduler.StepLR(optimizer, 1, 0.5)
    assert farthest(fit(model, DATA, callbacks=LRScheduler(schedule))) < 1e-10


def test_a_schedule_that_changes_momentum_too() -> None:
    tl.seed(0)
    model = tl.Model(smooth())
    optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
    model.prepare(optimizer, nn.CrossEntropyLoss())
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 0.1, total_steps=8)
    callback = LRScheduler(schedule, by_step=True)
    assert farthest(fit(model, DATA, callbacks=callback)) < 1e-10


def test_a_second_fit_goes_on_from_the_first() -> None:
    model = model_of(smooth, nn.CrossEntropyLoss(), torch.optim.Adam)
    model.fit(DATA, batch_size=4, verbose=0)
    assert farthest(fit(model, DATA)) < 1e-10


TWO = (TensorDataset(X, (Y > 0).float()[:, None]), nn.BCEWithLogitsLoss())
OPTIONS: dict[str, dict[str, Any]] = {
    "evaluation": {"eval_data": DATA},
    "clipping": {"clip_grad_norm": 0.3},
    "a limit": {"num_iters": 4, "accumulate_grad_batches": 3},
    "drop_last": {"drop_last": True},
}


@pytest.mark.parametrize("name", OPTIONS)
def test_an_option_in_numpy(name: str) -> None:
    metrics = [tl.metrics.Accuracy(), tl.metrics.Accuracy(topk=(1, 2), name="best")]
    model = model_of(small, nn.CrossEntropyLoss(), metrics=metrics)
    assert farthest(fit(model, DATA, **OPTIONS[name])) < 1e-10


def test_metrics_of_two_classes() -> None:
    data, loss = TWO
    metrics = [tl.metrics.Precision(from_logits=True), tl.metrics.Recall(from_logits=True)]
    network = partial(nn.Sequential, nn.Linear(64, 1))
    assert farthest(fit(model_of(network, loss, metrics=metrics), data, eval_data=data)) < 1e-10


@pytest.mark.parametrize("method", ["evaluate", "predict", "train_batch", "eval_batch"])
def test_other_calls_in_numpy(method: str) -> None:
    torch.manual_seed(0)
    x = images(8)
    model = model_of(mlp, nn.CrossEntropyLoss(), metrics=tl.metrics.Accuracy())
    given = [x, Y] if method.endswith("batch") else [TensorDataset(x, Y)]
    more = {} if method.endswith("batch") else {"batch_size": 4}
    assert farthest(model.unroll(method, *given, depth="numpy", **more)) < 1e-10


# ---- data of all kinds


class Noisy(Dataset):
    """Each time another sample."""

    def __len__(self) -> int:
        return SAMPLES

    def __getitem__(self, i: int) -> Any:
        return X[i] + torch.randn(64) / 10, Y[i]


class Stream(IterableDataset):
    def __iter__(self) -> Any:
        return zip(X, Y, strict=True)


@pytest.mark.parametrize("name", ["noisy", "stream", "loader"])
def test_batches_are_noted_as_they_came(name: str) -> None:
    data = {"noisy": Noisy(), "stream": Stream(), "loader": DataLoader(DATA, 5, shuffle=True)}[name]
    more = {"batch_size": None} if name == "loader" else {}
    arguments = {"train_data": data, "epochs": 2, "batch_size": 4} | more
    if name == "loader":
        del arguments["batch_size"]
    program = model_of(small, nn.CrossEntropyLoss()).unroll("fit", depth="numpy", **arguments)
    assert farthest(program) < 1e-10


# ---- a file of its own


def test_the_script_runs_where_no_torch_is(tmp_path: Path) -> None:
    model = model_of(small, nn.CrossEntropyLoss(), metrics=tl.metrics.Accuracy())
    before = flat([model.network.state_dict(), torch.get_rng_state()])
    program = fit(model, DATA, eval_data=DATA)
    path = program.save(tmp_path / "fit_numpy.py")
    assert same(before, flat([model.network.state_dict(), torch.get_rng_state()])) == []
    code = (
        "import sys, runpy; sys.modules['torch'] = sys.modules['tutorial'] = None; "
        f"names = runpy.run_path({str(path)!r}); print(names['step_losses'])"
    )
    ran = subprocess.run([sys.executable, "-I", "-c", code], capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    losses = eval(ran.stdout.splitlines()[-1])
    assert np.allclose(losses, program.noted.results["step_losses"], rtol=0, atol=1e-10)
    assert len(set(losses)) > 2


def test_the_proof_says_how_far_apart() -> None:
    program = fit(model_of(small, nn.CrossEntropyLoss()), DATA)
    proof = program.verify()
    assert proof
    assert "equal within 1e-10, at most " in repr(proof)
    assert "NumPy alone in a fresh process" in repr(proof)
    text = program.translation.text
    program.translation.text = text.replace("d_b_3 = d_y_hat.sum(0)", "d_b_3 = d_y_hat[0]")
    assert program.translation.text != text
    assert not program.verify()


class Scaled(nn.Module):
    """A buffer that no state_dict has, and a weight with two names."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("scale", torch.full((64,), 0.5), persistent=False)
        self.fc, self.out = nn.Linear(64, 64), nn.Linear(64, 64)
        self.out.weight = self.fc.weight

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.out(self.fc(x * self.scale).tanh())[:, :3]


def test_the_proof_of_a_buffer_that_is_not_saved() -> None:
    program = fit(model_of(Scaled, nn.CrossEntropyLoss()), DATA)
    proof = program.verify()
    assert proof, repr(proof)
    assert "3 weight tensors" in repr(proof)


def test_the_proof_of_predictions() -> None:
    model = model_of(mlp, nn.CrossEntropyLoss())
    proof = model.unroll("predict", images(8), batch_size=4, depth="numpy").verify()
    assert proof, repr(proof)


def test_run_leaves_the_weights_in_the_network() -> None:
    models = [model_of(small, nn.CrossEntropyLoss()) for _ in range(2)]
    history = fit(models[0], DATA).run()
    program = models[1].unroll("fit", DATA, batch_size=4, epochs=2)
    expected = program.run()
    assert np.allclose(history.step_losses, expected.step_losses, atol=1e-5)
    for one, other in zip(*(model.parameters() for model in models), strict=True):
        assert torch.allclose(one, other, atol=1e-5)


def test_the_mlp_is_short_enough_to_be_read() -> None:
    source = fit(model_of(mlp, nn.CrossEntropyLoss()), TensorDataset(images(8), Y)).source
    assert len([line for line in source.splitlines() if line.strip()]) <= 70


def test_each_line_says_from_which_line_it_comes() -> None:
    program = fit(model_of(small, nn.CrossEntropyLoss(), torch.optim.Adam), DATA, eval_data=DATA)
    above = program.gradients.source.splitlines()
    lines = program.source.splitlines()
    for line, origin in zip(lines, program.translation.lines, strict=True):
        name = line.split(" = ")[0].split(" += ")[0].strip()
        assert origin > 0, line
        if " = " in line and name.isidentifier():
            assert name in above[origin - 1], (line, above[origin - 1])
        if line.strip().startswith("# backward"):
            assert above[origin - 1].strip() == line.strip()


# ---- what has no form in NumPy


def test_what_numpy_has_not_is_refused() -> None:
    model = model_of(small, nn.CrossEntropyLoss(), precision="bf16-mixed")
    with pytest.raises(ValueError, match="precision other than '32'"):
        fit(model, DATA)
    model = model_of(small, nn.CrossEntropyLoss())
    with pytest.raises(ValueError, match="the callback early_stopping"):
        fit(model, DATA, eval_data=DATA, callbacks=EarlyStopping("loss"))
    model = model_of(small, nn.CrossEntropyLoss(), metrics=tl.metrics.Auc())
    with pytest.raises(ValueError, match=r"Auc has no NumPy form|two classes|Auc"):
        fit(model, DATA)


def test_numbers_of_32_bits_alone_are_refused() -> None:
    loss = partial(torch.nn.functional.cross_entropy, weight=torch.ones(3))
    with pytest.raises(ValueError, match=r"does not compute in 64 bits .* depth='gradients'"):
        fit(model_of(small, loss), DATA)


class Words(nn.Module):
    """A list of weights, indices in a list, largest numbers, repeated ones, a distribution."""

    def __init__(self) -> None:
        super().__init__()
        self.w = nn.ParameterList([torch.randn(64, 4) / 8, torch.randn(4, 3)])
        self.parts = nn.ModuleDict({"fc-1": nn.Linear(3, 3)})

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = (x @ self.w[0])[:, [2, 0, 3, 1]]
        h = h - h.amax(1, keepdim=True) + h.amin((0, 1), keepdim=True)
        mean = h[:, :2].repeat(1, 2)
        y = torch.distributions.Normal(mean, mean.exp()).rsample() @ self.w[1]
        return self.parts["fc-1"](y)


def test_words_that_networks_use() -> None:
    assert farthest(fit(model_of(Words, nn.CrossEntropyLoss()), DATA)) < 1e-10


class Constants(nn.Module):
    """Numbers that forward makes, and a weight whose name Python keeps for itself."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(64, 3)
        self.register_parameter("lambda", nn.Parameter(torch.ones(3)))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = self.fc(x) * getattr(self, "lambda") * torch.log(torch.tensor(2 * torch.pi))
        return h + torch.ones(3, 3) @ torch.rand(3)


def test_what_forward_makes_has_64_bits_too() -> None:
    program = fit(model_of(Constants, nn.CrossEntropyLoss()), DATA)
    assert farthest(program) < 1e-10
    assert "lambda_" in program.source
    assert torch.get_default_dtype() == torch.float32


def test_an_eps_is_that_of_64_bits() -> None:
    network = partial(nn.Sequential, nn.RMSNorm(64), nn.Linear(64, 3))
    assert farthest(fit(model_of(network, nn.CrossEntropyLoss()), DATA)) < 1e-10


class Collides(nn.Module):
    """A weight of it is called as a function is."""

    def __init__(self) -> None:
        super().__init__()
        self.fc, self.relu = nn.Linear(64, 3), nn.Parameter(torch.ones(3))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.fc(x.relu()) * self.relu


def test_a_name_that_numpy_needs_is_refused() -> None:
    with pytest.raises(ValueError, match="'relu', which a function in NumPy is called, too"):
        fit(model_of(Collides, nn.CrossEntropyLoss()), DATA)


class Odd(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(64, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.special.i0(self.fc(x))


def test_an_operation_is_named_with_its_layer() -> None:
    model = model_of(lambda: nn.Sequential(nn.Linear(64, 64), Odd()), nn.CrossEntropyLoss())
    before = flat(model.network.state_dict())
    with pytest.raises(ValueError, match=r"1: Odd\(\): \w*i0 has no NumPy form"):
        fit(model, DATA)
    assert same(before, flat(model.network.state_dict())) == []


# ---- shapes, as torch's methods give them


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("expand", (4, 2, 1, -1)), ("select", (-1, 2)), ("unbind", (1,)), ("unbind", ()),
        ("split", (2, 2)), ("split", ([1, 2], 2)), ("chunk", (2, 2)), ("squeeze", ()),
        ("squeeze", (1,)), ("squeeze", (0,)), ("squeeze", (-2,)),
    ],
)  # fmt: skip
def test_a_shape_is_torchs(name: str, arguments: tuple[Any, ...]) -> None:
    x = torch.arange(6.0).view(2, 1, 3)
    expected = getattr(x, name)(*arguments)
    found = getattr(arrays, name)(x.numpy(), *arguments)
    whole = isinstance(expected, torch.Tensor)
    for one, other in zip(*([e] if whole else e for e in (found, expected)), strict=True):
        assert np.array_equal(one, other.numpy())
        assert np.shares_memory(one, x.numpy())  # it is a view
