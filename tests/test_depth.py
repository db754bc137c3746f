"""The same call at another depth: each option goes on working, and every bit is the same."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from fakes import OneByOne
from torch import nn
from torch.optim.lr_scheduler import CosineAnnealingLR, OneCycleLR
from torch.utils.data import TensorDataset

import tutorial as tl
from tutorial.callbacks import EarlyStopping, LambdaCallback, LRScheduler
from tutorial.unroll.proof import flat, identical

X = torch.randn(42, 4, generator=torch.Generator().manual_seed(0))
Y = torch.arange(42) % 3
DATA = TensorDataset(X, Y)
CE = nn.CrossEntropyLoss
ALONE = {"foreach": False, "fused": False}  # as the rules are: one weight after the other


def network() -> nn.Module:
    tl.seed(0)
    return nn.Sequential(
        nn.Linear(4, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(), nn.Linear(8, 3)
    )


def model_of(optimizer: Any = torch.optim.Adam, loss: Any = None, **prepared: Any) -> tl.Model:
    model = tl.Model(network())
    arguments = {"momentum": 0.9} if optimizer is torch.optim.SGD else {}
    made = optimizer(model.parameters(), lr=0.1, **arguments, **ALONE)
    model.prepare(made, loss or CE(), tl.metrics.Accuracy(), **prepared)
    return model


def scheduled(make: Callable[..., Any], **arguments: Any) -> Callable[[tl.Model], Any]:
    return lambda model: LRScheduler(make(model.optimizer, **arguments))


def halves(model: tl.Model) -> LambdaCallback:
    """A callback that sets a hyperparameter itself."""

    def halve(*_: Any) -> None:
        for group in model.optimizer.param_groups:
            group["lr"] /= 2
            group["weight_decay"] += 0.1

    return LambdaCallback(on_epoch_end=halve)


# Of a fit: its arguments; what makes its callbacks of the model.
CALLS: dict[str, tuple[dict[str, Any], Callable[[tl.Model], Any] | None]] = {
    "plain": ({}, None),
    "evaluation": ({"eval_data": DATA}, None),
    "accumulation": ({"accumulate_grad_batches": 3}, None),
    "clipping": ({"clip_grad_norm": 0.3}, None),
    "a limit": ({"num_iters": 7}, None),
    "a schedule": ({}, scheduled(CosineAnnealingLR, T_max=10)),
    "a cycle of lr and momentum": ({}, scheduled(OneCycleLR, max_lr=0.5, total_steps=30)),
    "early stopping": ({"eval_data": DATA}, lambda model: EarlyStopping(patience=0, verbose=0)),
    "a callback of one's own": ({}, halves),
}


def fitted(model: tl.Model, deep: bool, **arguments: Any) -> dict[str, Any]:
    """What a fit gives, at the loop's depth or one deeper."""
    tl.seed(3)
    call = {"train_data": DATA, "batch_size": 10, "epochs": 3} | arguments
    if deep:
        program = model.unroll("fit", depth="optimizer", **call)
        assert "optimizer.step()\n" not in program.source
        history = program.run()
    else:
        history = model.fit(verbose=0, **call)
    found = {"rows": history.rows, "losses": history.step_losses}
    states = model.network.state_dict(), model.optimizer.state_dict()
    return flat({**found, "network": states[0], "optimizer": states[1], "next": torch.rand(1)})


def same(one: dict[str, Any], other: dict[str, Any]) -> bool:
    return one.keys() == other.keys() and all(identical(v, other[k]) for k, v in one.items())


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("optimizer", [torch.optim.SGD, torch.optim.AdamW])
@pytest.mark.parametrize("name", CALLS)
def test_each_option_goes_on_working(name: str, optimizer: Any) -> None:
    arguments, callbacks = CALLS[name]
    results = []
    for deep in (False, True):
        model = model_of(optimizer)
        calls = {} if callbacks is None else {"callbacks": callbacks(model)}
        results.append(fitted(model, deep, **arguments, **calls))
    assert same(*results)


@pytest.mark.parametrize("data", [OneByOne(DATA), [(X[:20], Y[:20]), (X[20:], Y[20:])]])
def test_data_of_any_kind(data: Any) -> None:
    assert same(*(fitted(model_of(), deep, train_data=data) for deep in (False, True)))


def test_sixteen_bits() -> None:
    made = partial(model_of, torch.optim.SGD, precision="bf16-mixed")
    assert same(*(fitted(made(), deep) for deep in (False, True)))


class Learns(nn.Module):
    """A loss that learns, too."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(1))

    def forward(self, y_hat: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return nn.functional.cross_entropy(self.scale * y_hat, y)


def test_frozen_weights_groups_and_a_loss_that_learns() -> None:
    results = []
    for deep in (False, True):
        model = tl.Model(network())
        model.network[0].requires_grad_(False)
        loss = Learns()
        groups = [
            {"params": [*model.parameters()], "weight_decay": 0.1},
            {"params": [*loss.parameters()], "lr": 0.5},
        ]
        model.prepare(torch.optim.Adam(groups, lr=0.1, **ALONE), loss)
        results.append(fitted(model, deep) | {"scale": loss.scale})
    assert same(*results)


def test_a_training_that_goes_on_reads_what_its_checkpoint_says(tmp_path: Path) -> None:
    results = []
    for deep in (False, True):
        folder, model = tmp_path / str(deep), model_of()
        model.optimizer.param_groups[0]["weight_decay"] = 0.2
        fitted(model, False, save_dir=folder, epochs=1)
        again = model_of()
        results.append(fitted(again, deep, save_dir=folder, epochs=3, resume=True))
    assert same(*results)


def test_batches_in_the_hand() -> None:
    losses = []
    for deep in (False, True):
        model = model_of()
        for update in (False, True, True):
            call = {"inputs": X, "labels": Y, "update": update}
            if deep:
                losses.append(model.unroll("train_batch", depth="optimizer", **call).run())
            else:
                losses.append(model.train_batch(**call))
        assert all(weight.grad is None for weight in model.parameters())
    assert losses[:3] == losses[3:]


def test_nothing_is_learned_where_nothing_is_learned() -> None:
    model = model_of()
    for method in ("evaluate", "predict"):
        program = model.unroll(method, DATA, depth="optimizer")
        assert program.source == model.unroll(method, DATA).source


@pytest.mark.parametrize("fused", [True, False])
def test_the_proof_compares_with_the_optimizer_and_tells_of_its_other_ways(fused: bool) -> None:
    model = tl.Model(network())
    optimizer = torch.optim.Adam(model.parameters(), lr=0.1, foreach=False, fused=fused)
    model.prepare(optimizer, CE())
    before = flat(model.network.state_dict())
    program = model.unroll("fit", DATA, batch_size=10, depth="optimizer")
    proof = program.verify()
    assert proof and "at depth 'optimizer'" in repr(proof)
    assert ("fused step" in repr(proof)) == fused
    assert same(before, flat(model.network.state_dict()))
    assert optimizer.param_groups[0]["fused"] is fused  # what was prepared stays as it is


def test_a_rule_that_is_wrong_is_noticed() -> None:
    program = model_of().unroll("fit", DATA, batch_size=10, depth="optimizer")
    program.deeper = lambda source, deeper=program.deeper: deeper(source).replace(
        "1 - 0.9)", "0.2)"
    )
    proof = program.verify()
    assert not proof and "NOT equal" in repr(proof)


def test_the_deeper_loop_can_be_handed_back() -> None:
    model, other = model_of(), model_of()
    expected = fitted(model, True)
    tl.seed(3)
    call = {"batch_size": 10, "epochs": 3}
    program = other.unroll("fit", DATA, depth="optimizer", **call)
    history = other.fit(DATA, **call, verbose=0, loop=program)
    assert history.step_losses == expected_losses(expected)


def expected_losses(found: dict[str, Any]) -> list[float]:
    return [value for key, value in found.items() if key.startswith("losses")]


class Own(torch.optim.SGD):
    """An optimizer of one's own."""


def refused(optimizer: Any, words: str, **of: Any) -> Any:
    return pytest.param(optimizer, words, of, id=words)


@pytest.mark.parametrize(
    ("optimizer", "words", "of"),
    [
        refused(partial(Own, lr=0.1), "the update rule of Own is not known"),
        refused(partial(torch.optim.Adam, lr=torch.tensor(0.1)), "lr is a tensor"),
        refused(partial(torch.optim.Adam, differentiable=True), "differentiable=True"),
    ],
)
def test_what_cannot_be_written_out_is_refused(optimizer: Any, words: str, of: Any) -> None:
    model = tl.Model(network())
    model.prepare(optimizer(model.parameters()), CE())
    with pytest.raises(ValueError, match=words) as error:
        model.unroll("fit", DATA, depth="optimizer")
    assert "depth='optimizer'" in str(error.value)


def test_other_things_that_are_refused() -> None:
    model = model_of()
    with pytest.raises(ValueError, match="depth is 'deep', but one of loop, optimizer, gradients"):
        model.unroll("fit", DATA, depth="deep")
    with pytest.raises(ValueError, match="loop= brings one of yours"):
        model.unroll("fit", DATA, loop="step_losses, rows = [], []", depth="optimizer")
    model.optimizer.register_step_post_hook(lambda *_: None)
    with pytest.raises(ValueError, match="the optimizer has hooks"):
        model.unroll("fit", DATA, depth="optimizer")
    words = nn.Sequential(nn.Embedding(5, 3, sparse=True), nn.Flatten(), nn.Linear(3, 3))
    model = tl.Model(words)
    model.prepare(torch.optim.SGD(model.parameters(), lr=0.1), CE())
    data = TensorDataset(torch.arange(6)[:, None] % 5, Y[:6])
    with pytest.raises(ValueError, match=r"network\.0 has sparse gradients"):
        model.unroll("fit", data, depth="optimizer")
