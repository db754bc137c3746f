"""Mixed precision: equal to a loop by hand with torch.autocast and GradScaler, bit for bit."""

import shutil
from contextlib import nullcontext
from typing import Any

import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader

import tutorial as tl
from tutorial.precision import Precision
from tutorial.unroll.proof import flat, identical

FLOAT16 = {"dtype": "float16"}
HUGE = FLOAT16 | {"init_loss_scaling": 2.0**40}  # overflows float16, until it is scaled down
AMP: dict[str, Any] = {
    "off": None,
    "O0": "O0",
    "O1": "O1",
    "O2": "O2",
    "a dict": {"level": "O1", "dtype": torch.bfloat16},
    "float16": FLOAT16,
    "overflow": HUGE,
    "growing": FLOAT16 | {"init_loss_scaling": 8.0, "incr_every_n_steps": 2, "incr_ratio": 4.0},
    "not dynamic": FLOAT16 | {"use_dynamic_loss_scaling": False, "init_loss_scaling": 64},
    "bfloat16, scaled": {"level": "O2", "init_loss_scaling": 128.0, "decr_ratio": 0.25},
}
# Torch tells that its RMSNorm is slower with bfloat16 inputs and float32 weights, as in O2.
pytestmark = pytest.mark.filterwarnings("ignore:Mismatch dtype between input and weight")

SCALERS: dict[str, dict[str, Any]] = {
    "float16": {},
    "overflow": {"init_scale": 2.0**40},
    "growing": {"init_scale": 8.0, "growth_interval": 2, "growth_factor": 4.0},
    "not dynamic": {"init_scale": 64, "growth_interval": 2**31 - 1},
    "bfloat16, scaled": {"init_scale": 128.0, "backoff_factor": 0.25},
}


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


def prepared(amp: Any) -> tl.Model:
    tl.seed(1)
    model = tl.Model(Normed())
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    model.prepare(optimizer, nn.CrossEntropyLoss(), tl.metrics.Accuracy(), amp)
    tl.seed(2)
    return model


def by_fit(name: str, data: Any, **options: Any) -> dict[str, Any]:
    model = prepared(AMP[name])
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
    if name in ("O2", "bfloat16, scaled"):
        network.first.bfloat16()
        network.last.bfloat16()
    optimizer = torch.optim.Adam(network.parameters(), lr=0.01, fused=True)
    short = torch.float16 if name in SCALERS and "bfloat" not in name else torch.bfloat16
    scaler = torch.amp.GradScaler("cpu", enabled=name in SCALERS, **SCALERS.get(name, {}))
    tl.seed(2)
    loss_fn, loader, losses = nn.CrossEntropyLoss(), DataLoader(data, 32, shuffle=True), []
    for _ in range(2):
        group = 0
        for i, (x, y) in enumerate(loader):
            with nullcontext() if name in ("off", "O0") else torch.autocast("cpu", short):
                loss = loss_fn(network(x), y)
            weighed = loss * len(x) if accumulate_grad_batches > 1 else loss
            scaler.scale(weighed).backward()
            group += len(x)
            losses.append(loss.item())
            if (i + 1) % accumulate_grad_batches and i + 1 < len(loader):
                continue
            if accumulate_grad_batches > 1:
                for weight in network.parameters():
                    weight.grad /= group
            group = 0
            if clip_grad_norm is not None:
                scaler.unscale_(optimizer)
                nn.utils.clip_grad_norm_(network.parameters(), clip_grad_norm)
            scaler.step(optimizer)
            scaler.update()
            optimizer.zero_grad()
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
@pytest.mark.parametrize("name", AMP)
def test_fit_is_what_a_loop_by_hand_does(data, name: str, options: dict[str, Any]) -> None:
    fit = by_fit(name, data, **options)
    assert not differences(fit, by_hand(name, data, **options))
    if name not in ("off", "O0"):
        assert differences(fit["network"], by_fit("off", data, **options)["network"])


def test_the_script_leaves_the_same_steps_out(data) -> None:
    proof = prepared(HUGE).unroll("fit", data, batch_size=32, clip_grad_norm=0.3).verify()
    assert proof, proof
    assert proof.compared["scaler values"] == 5


def test_a_step_whose_gradient_overflows_is_left_out(data) -> None:
    model = prepared(HUGE)
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
    model, network = prepared(FLOAT16), prepared(None).network
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


def test_what_is_short_is_seen_in_the_loop_and_in_the_predictions(data) -> None:
    model = prepared("O1")
    source = model.unroll("fit", data).source
    assert 'with torch.autocast("cpu", torch.bfloat16):' in source
    assert "scaler" not in source
    assert model.predict_batch(data[:5][0])[0].dtype == torch.bfloat16
    source = prepared(FLOAT16).unroll("fit", data, clip_grad_norm=1.0).source
    lines = ("scaler.scale(loss).backward()", "scaler.unscale_(optimizer)", "clip_grad_norm_(")
    lines += ("scaler.step(optimizer)", "scaler.update()", "optimizer.zero_grad()")
    assert sorted(lines, key=source.index) == list(lines)
    assert "autocast" not in prepared("O0").unroll("fit", data).source


def test_o2_keeps_what_normalizes_in_float32() -> None:
    layers = nn.ModuleList([Normed(), nn.InstanceNorm2d(3, affine=True), nn.Conv2d(3, 3, 1)])
    Precision("O2").cast(layers, None)
    for module in layers.modules():
        own = list(module.parameters(recurse=False)) + list(module.buffers(recurse=False))
        short = isinstance(module, nn.Linear | nn.Conv2d)
        kinds = {tensor.dtype for tensor in own if tensor.is_floating_point()}
        assert kinds <= {torch.bfloat16 if short else torch.float32}
    other = Normed()
    Precision("O1").cast(other, None)
    assert {weight.dtype for weight in other.parameters()} == {torch.float32}


def test_evaluation_in_short_numbers_is_near_that_in_long_ones(data) -> None:
    exact = prepared(None).evaluate(data, verbose=0)
    for amp in ("O1", "O2", FLOAT16):
        result = prepared(amp).evaluate(data, batch_size=7, verbose=0)
        assert result["loss"] == pytest.approx(exact["loss"], rel=0.01)
        assert result == pytest.approx(prepared(amp).evaluate(data, verbose=0), rel=0.005)


# ---- configs


@pytest.mark.parametrize(
    ("device", "configs", "level", "dtype", "scaled"),
    [
        ("cpu", None, "O0", torch.bfloat16, False),
        ("cpu", "O1", "O1", torch.bfloat16, False),
        ("cuda:0", "O1", "O1", torch.float16, True),
        ("cuda:0", "O2", "O2", torch.bfloat16, False),
        ("cpu", {}, "O1", torch.bfloat16, False),
        ("cpu", {"level": "O0", "init_loss_scaling": 8}, "O0", torch.bfloat16, False),
        ("cpu", {"dtype": "torch.float16"}, "O1", torch.float16, True),
        ("cpu", {"incr_every_n_steps": 5}, "O1", torch.bfloat16, True),
    ],
)
@pytest.mark.filterwarnings("ignore:torch.cuda.amp.GradScaler is enabled, but CUDA is not")
def test_what_configs_mean(
    device: str, configs: Any, level: str, dtype: torch.dtype, scaled: bool
) -> None:
    precision = Precision(configs, device)
    assert (precision.level, precision.dtype) == (level, dtype)
    assert (precision.scaler is not None) == scaled
    if configs == {"incr_every_n_steps": 5}:
        assert precision.scaler.get_growth_interval() == 5


@pytest.mark.parametrize(
    ("configs", "words"),
    [
        ("O3", ("the level is 'O3'", "'O0' (off), 'O1' (mixed) or 'O2'")),
        (True, ("the level is True",)),
        (["O1"], ("the level is ['O1']",)),
        ({"level": "o1"}, ("the level is 'o1'",)),
        ({"test": 1}, ("'test' is no key", "'level', 'dtype'", "'incr_every_n_steps'")),
        ({"level": "O0", "test": 1}, ("'test' is no key",)),
        ({"custom_white_list": ["matmul"]}, ("no key", "torch.autocast(..., enabled=False)")),
        ({"use_fp16_guard": True}, ("'use_fp16_guard' is no key",)),
        ({"dtype": "float32"}, ("the dtype is 'float32'", "'float16' or 'bfloat16'")),
        ({"level": "O2", "dtype": "float16"}, ("too coarse", "bfloat16", "take 'O1'")),
        ({"init_loss_scaling": 0}, ("['init_loss_scaling'] is 0", "a number above 0")),
        ({"incr_ratio": 0.5}, ("['incr_ratio'] is 0.5", "above 1")),
        ({"decr_ratio": "half"}, ("['decr_ratio'] is 'half'", "between 0 and 1")),
        ({"incr_every_n_steps": 2.5}, ("is 2.5", "a whole number from 1")),
        ({"incr_every_n_steps": True}, ("is True", "a whole number from 1")),
        ({"use_dynamic_loss_scaling": "no"}, ("is 'no', but True or False",)),
    ],
    ids=str,
)
def test_unknown_configs_are_refused(configs: Any, words: tuple[str, ...]) -> None:
    model = prepared(None)
    optimizer = model.optimizer
    with pytest.raises(ValueError, match="amp_configs") as error:
        model.prepare(None, None, None, configs)
    for word in words:
        assert word in str(error.value)
    assert model.optimizer is optimizer and model.precision.level == "O0"


# ---- torch.compile


@pytest.mark.skipif(shutil.which("g++") is None, reason="torch.compile needs a C++ compiler: g++")
@pytest.mark.filterwarnings("ignore")  # what torch itself warns of while it compiles
def test_a_compiled_network_learns_the_same_and_stays_itself(data) -> None:
    eager, compiled = prepared(None), prepared(None)
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
    proof = prepared(None).unroll("fit", data, batch_size=50, compile=True).verify()
    assert proof, proof
