"""Mixed precision: equal to a loop by hand with torch.autocast and GradScaler, bit for bit."""

import shutil
from contextlib import nullcontext
from typing import Any

import pytest
import torch
from by_hand import update
from torch import nn
from torch.utils.data import DataLoader

import tutorial as tl
from tutorial.precision import Precision
from tutorial.unroll.proof import flat, identical

# How a model is prepared, and the settings of its GradScaler.
CASES: dict[str, tuple[str, dict[str, float]]] = {
    "off": ("32", {}),
    "bf16-mixed": ("bf16-mixed", {}),
    "bf16": ("bf16", {}),
    "16-mixed": ("16-mixed", {}),
    "overflow": ("16-mixed", {"scale": 2.0**40}),  # overflows float16, until it is scaled down
    "growing": ("16-mixed", {"scale": 8.0, "growth_interval": 2, "growth_factor": 4.0}),
}
# Torch tells that its RMSNorm is slower with bfloat16 inputs and float32 weights, as in O2.
pytestmark = pytest.mark.filterwarnings("ignore:Mismatch dtype between input and weight")


class Normed(nn.Module):
    """Layers with weights, and each kind of layer that normalizes."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(8, 12), nn.Linear(12, 3)
        self.batch, self.layer = nn.BatchNorm1d(12), nn.LayerNorm(12)
        self.group, self.rms = nn.GroupNorm(3, 12), nn.RMSNorm(12)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        hidden = self.layer(self.batch(self.first(x)))
        return self.last(self.rms(self.group(hidden)))


def prepared(name: str) -> tl.Model:
    precision, settings = CASES[name]
    tl.seed(1)
    model = tl.Model(Normed())
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    model.prepare(optimizer, nn.CrossEntropyLoss(), tl.metrics.Accuracy(), precision)
    if model.scaler is not None:
        model.scaler.load_state_dict(model.scaler.state_dict() | settings)
    tl.seed(2)
    return model


def by_fit(name: str, data: Any, **options: Any) -> dict[str, Any]:
    model = prepared(name)
    history = model.fit(data, batch_size=32, epochs=2, verbose=0, **options)
    state = {} if model.scaler is None else model.scaler.state_dict()
    return {
        "losses": history.step_losses,
        "network": model.network.state_dict(),
        "optimizer": model.optimizer.state_dict()["state"],
        "scaler": state,
    }


def by_hand(
    name: str, data: Any, accumulate_grad_batches: int = 1, clip_grad_norm: float | None = None
) -> dict[str, Any]:
    tl.seed(1)
    network = Normed()
    precision, settings = CASES[name]
    if precision == "bf16":
        network.first.bfloat16()
        network.last.bfloat16()
    optimizer = torch.optim.Adam(network.parameters(), lr=0.01, fused=True)
    dtype = torch.float16 if precision == "16-mixed" else torch.bfloat16
    scaler = torch.amp.GradScaler("cpu", enabled=precision == "16-mixed")
    scaler.load_state_dict(scaler.state_dict() | settings)
    tl.seed(2)
    loss_fn, loader, losses = nn.CrossEntropyLoss(), DataLoader(data, 32, shuffle=True), []
    for _ in range(2):
        group = 0
        for i, (x, y) in enumerate(loader):
            with nullcontext() if precision == "32" else torch.autocast("cpu", dtype):
                loss = loss_fn(network(x), y)
            weighed = loss * len(x) if accumulate_grad_batches > 1 else loss
            scaler.scale(weighed).backward()
            group += len(x)
            losses.append(loss.item())
            if (i + 1) % accumulate_grad_batches and i + 1 < len(loader):
                continue
            update(
                optimizer, scaler, group if accumulate_grad_batches > 1 else None, clip_grad_norm
            )
            group = 0
    return {
        "losses": losses,
        "network": network.state_dict(),
        "optimizer": optimizer.state_dict()["state"],
        "scaler": scaler.state_dict(),
    }


def differences(one: dict[str, Any], other: dict[str, Any]) -> list[str]:
    a, b = flat(one), flat(other)
    return [key for key in a | b if not identical(a.get(key), b.get(key))]


@pytest.mark.parametrize(
    "options",
    [{}, {"clip_grad_norm": 0.3}, {"accumulate_grad_batches": 2, "clip_grad_norm": 0.3}],
    ids=["plain", "clip", "accumulate and clip"],
)
@pytest.mark.parametrize("name", CASES)
def test_fit_is_what_a_loop_by_hand_does(data, name: str, options: dict[str, Any]) -> None:
    fit = by_fit(name, data, **options)
    assert not differences(fit, by_hand(name, data, **options))
    if name != "off":
        assert differences(fit["network"], by_fit("off", data, **options)["network"])


def test_the_script_leaves_the_same_steps_out(data) -> None:
    proof = prepared("overflow").unroll("fit", data, batch_size=32, clip_grad_norm=0.3).verify()
    assert proof, proof
    assert proof.compared["scaler values"] == 5


def test_a_step_whose_gradient_overflows_is_left_out(data) -> None:
    model = prepared("overflow")
    before = model.network.first.weight.detach().clone()
    for scale in (2.0**39, 2.0**38):  # each time it is halved
        result = model.train_batch(*data[:32])
        assert result["loss"] < 3  # it is reported as it is, not as it was scaled
        assert model.scaler.get_scale() == scale
        assert torch.equal(model.network.first.weight, before)
    for _ in range(40):
        model.train_batch(*data[:32])
    assert not torch.equal(model.network.first.weight, before)
    assert model.network.first.weight.isfinite().all()
    assert model.train_batch(*data[:32])["loss"] < result["loss"]


def test_train_batch_collects_scaled_gradients_for_one_step(data) -> None:
    model, network = prepared("16-mixed"), prepared("off").network
    model.train_batch(*data[:16], update=False)
    model.train_batch(*data[16:32])
    optimizer = torch.optim.Adam(network.parameters(), lr=0.01, fused=True)
    scaler = torch.amp.GradScaler("cpu")
    for x, y in (data[:16], data[16:32]):
        with torch.autocast("cpu", torch.float16):
            loss = nn.functional.cross_entropy(network(x), y)
        scaler.scale(loss).backward()
    scaler.step(optimizer)
    assert not differences(model.network.state_dict(), network.state_dict())


def test_autocast_is_seen_in_the_loop_and_in_the_predictions(data) -> None:
    model = prepared("bf16-mixed")
    source = model.unroll("fit", data).source
    assert 'with torch.autocast("cpu", torch.bfloat16):' in source
    assert "scaler" not in source
    assert model.predict_batch(data[:5][0])[0].dtype == torch.bfloat16
    source = prepared("16-mixed").unroll("fit", data, clip_grad_norm=1.0).source
    lines = ("scaler.scale(loss).backward()", "scaler.unscale_(optimizer)", "clip_grad_norm_(")
    lines += ("scaler.step(optimizer)", "scaler.update()", "optimizer.zero_grad()")
    assert sorted(lines, key=source.index) == list(lines)
    assert "autocast" not in prepared("off").unroll("fit", data).source


def test_bf16_keeps_normalization_layers_in_float32() -> None:
    layers = nn.ModuleList([Normed(), nn.InstanceNorm2d(3, affine=True), nn.Conv2d(3, 3, 1)])
    Precision("bf16").cast(layers, None)
    for module in layers.modules():
        own = list(module.parameters(recurse=False)) + list(module.buffers(recurse=False))
        short = isinstance(module, nn.Linear | nn.Conv2d)
        kinds = {tensor.dtype for tensor in own if tensor.is_floating_point()}
        assert kinds <= {torch.bfloat16 if short else torch.float32}
    other = Normed()
    Precision("bf16-mixed").cast(other, None)
    assert {weight.dtype for weight in other.parameters()} == {torch.float32}


def test_evaluation_in_16_bits_is_near_that_in_32(data) -> None:
    exact = prepared("off").evaluate(data, verbose=0)
    for name in ("bf16-mixed", "bf16", "16-mixed"):
        result = prepared(name).evaluate(data, batch_size=7, verbose=0)
        assert result["loss"] == pytest.approx(exact["loss"], rel=0.01)
        assert result == pytest.approx(prepared(name).evaluate(data, verbose=0), rel=0.005)


# ---- which precisions there are


@pytest.mark.parametrize(
    ("precision", "dtype", "scaled"),
    [
        ("32", torch.float32, False),
        ("bf16-mixed", torch.bfloat16, False),
        ("16-mixed", torch.float16, True),
        ("bf16", torch.bfloat16, False),
    ],
)
@pytest.mark.parametrize("device", ["cpu", "cuda:0"])
@pytest.mark.filterwarnings("ignore:torch.cuda.amp.GradScaler is enabled, but CUDA is not")
def test_a_precision_means_the_same_on_every_device(
    device: str, precision: str, dtype: torch.dtype, scaled: bool
) -> None:
    made = Precision(precision, device)
    assert (made.dtype, made.scaler is not None) == (dtype, scaled)
    assert made.mixed == (precision != "32")


@pytest.mark.parametrize(
    "precision",
    ["O0", "O1", "fp16", "BF16", "", None, 16, 32, True, {"level": "O1"}, ["32"], torch.bfloat16],
    ids=str,
)
def test_an_unknown_precision_is_refused(precision: Any) -> None:
    model = prepared("off")
    optimizer = model.optimizer
    with pytest.raises(ValueError, match=r"^precision is ") as error:
        model.prepare(None, None, None, precision)
    for word in (repr(precision), "'32' (off)", "'bf16-mixed'", "'16-mixed'", "or 'bf16'"):
        assert word in str(error.value)
    assert model.optimizer is optimizer and model.precision.name == "32"
    with pytest.raises(TypeError, match="amp_configs"):
        model.prepare(optimizer, amp_configs="O1")


def test_another_precision_takes_the_weights_back_to_float32() -> None:
    model = prepared("bf16")
    model.prepare(model.optimizer, nn.CrossEntropyLoss(), precision="16-mixed")
    assert {weight.dtype for weight in model.parameters()} == {torch.float32}


# ---- torch.compile


@pytest.mark.skipif(shutil.which("g++") is None, reason="torch.compile needs a C++ compiler: g++")
@pytest.mark.filterwarnings("ignore")  # what torch itself warns of while it compiles
def test_a_compiled_network_learns_the_same_and_stays_itself(data) -> None:
    eager, compiled = prepared("off"), prepared("off")
    network, keys = compiled.network, list(compiled.network.state_dict())
    expected = eager.fit(data, batch_size=50, shuffle=False, verbose=0)
    program = compiled.unroll("fit", data, batch_size=50, compile=True)
    assert "network = torch.compile(network) " in program.source
    history = compiled.fit(data, batch_size=50, shuffle=False, verbose=0, compile=True)
    assert history.step_losses == pytest.approx(expected.step_losses, abs=1e-4)
    assert compiled.network is network and list(network.state_dict()) == keys
    losses = [model.evaluate(data, verbose=0)["loss"] for model in (eager, compiled)]
    assert losses[0] == pytest.approx(losses[1], abs=0.01)
    assert len(compiled.fit(data, batch_size=50, verbose=0).step_losses) == 3  # now without
    proof = prepared("off").unroll("fit", data, batch_size=50, compile=True).verify()
    assert proof, proof
