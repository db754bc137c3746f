import random
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import tutorial as tl
from tutorial import device
from tutorial.device import choose_fused, rng_state, set_rng_state, unchanged_randomness


def draw() -> tuple:
    return random.random(), np.random.rand(), torch.rand(1).item()


def test_a_seed_repeats_python_numpy_and_torch() -> None:
    tl.seed(7)
    first = draw()
    tl.seed(7)
    assert draw() == first
    tl.seed(8)
    assert draw() != first


@pytest.mark.parametrize("n", [-1, 2**32, 1.5, "7", None])
def test_a_wrong_seed_is_refused(n: object) -> None:
    with pytest.raises(ValueError, match=r"n is .*, but an integer from 0 to"):
        tl.seed(n)


def test_the_state_of_chance_survives_torch_save(tmp_path) -> None:
    torch.save(rng_state(), tmp_path / "chance.pt")
    first = draw()
    set_rng_state(torch.load(tmp_path / "chance.pt", weights_only=True))
    assert draw() == first


def test_unchanged_randomness_leaves_no_trace_even_after_an_error() -> None:
    tl.seed(7)
    first = draw()
    tl.seed(7)
    with pytest.raises(ZeroDivisionError), unchanged_randomness():
        draw()[0] / 0
    assert draw() == first


def test_models_go_to_the_chosen_device() -> None:
    assert str(tl.set_device("cpu")) == tl.get_device() == "cpu"
    assert tl.Model(nn.Linear(1, 1)).device == "cpu"


@pytest.mark.parametrize("name", ["gpu:9", "cuda:9", "tpu", "cpu:1", "", None, 3])
def test_an_unknown_device_is_refused_with_what_there_is(name: object) -> None:
    with pytest.raises(ValueError, match=r"name is .*, but this machine has 'cpu'"):
        tl.set_device(name)
    assert tl.get_device() == "cpu"


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
def test_without_a_gpu_gpu_is_refused() -> None:
    with pytest.raises(ValueError, match="name is 'gpu', but this machine has 'cpu'"):
        tl.set_device("gpu")


def test_gpu_is_another_name_for_cuda(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tutorial.device.available", lambda: ["cpu", "cuda:0", "cuda:1"])
    assert tl.set_device("gpu") == tl.set_device("gpu:0") == torch.device("cuda:0")
    assert tl.set_device("gpu:1") == torch.device("cuda:1")
    tl.set_device("cpu")


# ---- fused


class ComplexAndReal(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.real = nn.Parameter(torch.ones(3))
        self.complex = nn.Parameter(torch.ones(3, dtype=torch.cfloat))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return (x * self.real).sum(1, keepdim=True) + (x * self.complex).abs().sum(1, keepdim=True)


def one_step(make: Callable[..., torch.optim.Optimizer], network: nn.Module, x, loss_fn, y) -> Any:
    """The options of each group and the weights after a fit of one step."""
    model = tl.Model(network)
    model.prepare(make(network.parameters()), loss_fn)
    model.fit([(x, y)], verbose=0)
    return [g["fused"] for g in model.optimizer.param_groups], list(network.parameters())


@pytest.mark.filterwarnings("ignore:Sparse invariant checks")  # of torch.optim.Adagrad
@pytest.mark.parametrize("kind", [torch.optim.SGD, torch.optim.Adagrad])
def test_sparse_gradients_are_not_fused(kind: type) -> None:
    network = nn.Sequential(nn.EmbeddingBag(9, 4, sparse=True), nn.Linear(4, 2))
    x, y = torch.arange(8).reshape(4, 2), torch.tensor([0, 1, 0, 1])
    assert one_step(lambda w: kind(w, lr=0.1), network, x, nn.CrossEntropyLoss(), y)[0] == [None]


def test_only_the_groups_that_can_be_fused_are() -> None:
    network = nn.Sequential(nn.EmbeddingBag(9, 4, sparse=True), nn.Linear(4, 2))
    groups = [{"params": list(layer.parameters())} for layer in network]
    x, y = torch.arange(8).reshape(4, 2), torch.tensor([0, 1, 0, 1])
    loss_fn = nn.CrossEntropyLoss()
    fused, _ = one_step(lambda _: torch.optim.SGD(groups, lr=0.1), network, x, loss_fn, y)
    assert fused == [None, True]


@pytest.mark.parametrize("used", [False, True])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
@pytest.mark.parametrize("kind", ["SGD", "Adam", "AdamW", "Adagrad"])
def test_plain_weights_are_fused(kind: str, dtype: torch.dtype, used: bool) -> None:
    network = nn.Linear(3, 2).to(dtype)
    optimizer = getattr(torch.optim, kind)(network.parameters(), lr=0.1)
    if used:
        network(torch.ones(1, 3, dtype=dtype)).sum().backward()
        optimizer.step()
    choose_fused(optimizer, network)
    assert optimizer.param_groups[0]["fused"]


@pytest.mark.parametrize("kind", [torch.optim.SGD, torch.optim.Adam, torch.optim.AdamW])
def test_complex_weights_are_not_fused(kind: type) -> None:
    x, y = torch.arange(12.0).reshape(4, 3), torch.ones(4, 1)
    network = ComplexAndReal()
    fused, weights = one_step(lambda w: kind(w, lr=0.1), network, x, nn.MSELoss(), y)
    by_hand = ComplexAndReal()
    optimizer = kind(by_hand.parameters(), lr=0.1)
    nn.MSELoss()(by_hand(x), y).backward()
    optimizer.step()
    assert fused == [None]
    assert all(map(torch.equal, weights, by_hand.parameters()))


class NotFused(torch.optim.SGD):
    """It accepts the option, and cannot do it; and nobody must see that it was tried."""

    steps = 0

    def step(self, closure: Any = None) -> Any:
        NotFused.steps += not self.param_groups[0]["fused"]
        if self.param_groups[0]["fused"]:
            raise NotImplementedError
        return super().step(closure)


def test_fused_is_tried_once_for_a_kind_of_weight() -> None:
    network = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 1).double())
    groups = [{"params": list(layer.parameters())} for layer in network]
    optimizer = torch.optim.Adam(groups, lr=0.1)
    optimizer.register_step_pre_hook(lambda *_: pytest.fail("the user's hooks are not called"))
    before = [weight.clone() for weight in network.parameters()]
    with unchanged_randomness():
        choose_fused(optimizer, network)
    assert [group["fused"] for group in optimizer.param_groups] == [True, True]
    assert not optimizer.state and all(map(torch.equal, before, network.parameters()))
    known = dict(device._TRIED)
    choose_fused(torch.optim.Adam(groups, lr=0.1), network)
    assert known == device._TRIED
    cannot = NotFused(network.parameters(), lr=0.1)
    choose_fused(cannot, network)
    assert cannot.param_groups[0]["fused"] is None
    assert NotFused.steps == 0


def test_with_a_scaled_loss_all_groups_are_fused_or_none() -> None:
    network = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 1))
    groups = [{"params": network[0].parameters(), "fused": False}, {"params": [network[1].weight]}]
    optimizer = torch.optim.Adam(groups)
    choose_fused(optimizer, network, scaled=True)
    assert [group["fused"] for group in optimizer.param_groups] == [False, None]
    choose_fused(optimizer, network)
    assert [group["fused"] for group in optimizer.param_groups] == [False, True]


class Unfreeze(tl.callbacks.Callback):
    """Gradual unfreezing: in the second epoch the first layer learns, too."""

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        if epoch == 1:
            weights = self.model.network[0].requires_grad_(True).parameters()
            self.model.optimizer.add_param_group({"params": weights, "lr": 0.01})


@pytest.mark.parametrize("groups", [1, 2])
def test_a_group_that_a_callback_adds_is_fused_as_the_others(groups: int) -> None:
    network = nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 3))
    network[0].requires_grad_(False)
    model = tl.Model(network)
    last = network[2]
    weights = [{"params": [last.weight], "lr": 0.2}, {"params": [last.bias], "momentum": 0.5}]
    optimizer = torch.optim.SGD(weights if groups == 2 else last.parameters(), lr=0.1)
    model.prepare(optimizer, nn.CrossEntropyLoss())
    data = [(torch.randn(6, 4), torch.arange(6) % 3)]
    program = model.unroll("fit", data, epochs=2, callbacks=[Unfreeze()])
    assert program.verify()
    model.fit(data, epochs=2, callbacks=[Unfreeze()], verbose=0)
    assert all(group["fused"] for group in model.optimizer.param_groups)
    assert len(model.optimizer.param_groups) == groups + 1
