"""An optimizer with a train() and an eval(): it is switched as the network is."""

from typing import Any

import torch
from fakes import Averaging
from torch import nn
from torch.utils.data import TensorDataset

import tutorial as tl
from tutorial.unroll.proof import flat, identical

X = torch.arange(48.0).reshape(12, 4) / 48
DATA = TensorDataset(X, torch.arange(12) % 3)


def made(seed: int = 0) -> tl.Model:
    tl.seed(seed)
    network = nn.Linear(4, 3)
    model = tl.Model(network)
    model.prepare(Averaging(network.parameters(), lr=0.5), nn.CrossEntropyLoss())
    return model


def test_fit_evaluates_and_leaves_what_was_learned() -> None:
    model = made()
    rows = model.fit(DATA, DATA, batch_size=4, epochs=3, verbose=0).rows
    assert not any(group["trains"] for group in model.optimizer.param_groups)
    learned = nn.CrossEntropyLoss()(model.network(X), DATA.tensors[1]).item()
    assert abs(rows[-1]["eval_loss"] - learned) < 1e-6
    assert model.evaluate(DATA, batch_size=4, verbose=0)["loss"] == rows[-1]["eval_loss"]
    before = [weight.clone() for weight in model.parameters()]
    model.predict(DATA, verbose=0)
    model.eval_batch(X, DATA.tensors[1])
    model.predict_batch(X)
    assert all(map(torch.equal, before, model.parameters()))
    model.optimizer.train()
    assert not all(map(torch.equal, before, model.parameters()))


def test_every_loop_with_it_is_proved() -> None:
    model = made()
    model.fit(DATA, batch_size=4, verbose=0)
    for method, *data in (
        ("fit", DATA, DATA),
        ("evaluate", DATA),
        ("predict", DATA),
        ("train_batch", X, DATA.tensors[1]),
    ):
        proof = model.unroll(method, *data).verify()
        assert proof, proof


def test_it_goes_on_from_a_checkpoint(tmp_path) -> None:
    def fit(seed: int, epochs: int, folder: str) -> Any:
        model = made(seed)
        tl.seed(seed + 1)
        options = {"save_dir": tmp_path / folder, "resume": True, "verbose": 0}
        history = model.fit(DATA, batch_size=4, epochs=epochs, **options)
        return history.step_losses, model.network.state_dict(), model.optimizer.state_dict()

    straight = fit(0, 4, "straight")
    fit(0, 2, "broken off")
    gone_on = fit(5, 4, "broken off")
    a, b = flat(list(straight)), flat(list(gone_on))
    assert [key for key in a | b if not identical(a.get(key), b.get(key))] == []


def test_a_checkpoint_holds_what_was_learned(tmp_path) -> None:
    model = made()
    model.fit(DATA, batch_size=4, epochs=2, verbose=0, save_dir=tmp_path)
    saved = torch.load(tmp_path / "1.pt", weights_only=True)
    assert not any(group["trains"] for group in saved["optimizer"]["param_groups"])
    assert torch.equal(saved["network"]["weight"], model.network.weight)


def test_a_second_fit_begins_with_what_was_learned() -> None:
    """Its dry run computes gradients before the optimizer changes the weights."""
    tl.seed(0)
    network = nn.Sequential(nn.Linear(4, 5), nn.Linear(5, 3))
    model = tl.Model(network)
    model.prepare(Averaging(network.parameters(), lr=0.1), nn.CrossEntropyLoss())
    for _ in range(2):
        assert len(model.fit(DATA, batch_size=4, verbose=0).step_losses) == 3
