"""On a GPU, where there is one: the loop there, its script and a loop by hand agree as well."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from by_hand import update
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import tutorial as tl
from tutorial.unroll.proof import flat, identical

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device")

PRECISIONS = ["32", "16-mixed", "bf16", "bf16-mixed"]


@pytest.fixture(autouse=True)
def _on_the_gpu() -> Iterator[None]:
    tl.set_device("gpu")
    torch.use_deterministic_algorithms(True)
    yield
    torch.use_deterministic_algorithms(False)
    tl.set_device("cpu")


def parts() -> tuple[nn.Module, TensorDataset]:
    tl.seed(1)
    network = nn.Sequential(nn.Linear(8, 32), nn.ReLU(), nn.Dropout(), nn.Linear(32, 3))
    x = torch.randn(150, 8)
    return network, TensorDataset(x, (x @ torch.randn(8, 3)).argmax(1))


def prepared(precision: str) -> tuple[tl.Model, TensorDataset]:
    network, data = parts()
    model = tl.Model(network)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    model.prepare(optimizer, nn.CrossEntropyLoss(), tl.metrics.Accuracy(), precision)
    tl.seed(2)
    return model, data


def equal(a: Any, b: Any) -> bool:
    one, other = flat(a), flat(b)
    return one.keys() == other.keys() and all(identical(one[key], other[key]) for key in one)


@pytest.mark.parametrize("precision", PRECISIONS)
def test_fit_is_the_loop_by_hand(precision: str) -> None:
    model, data = prepared(precision)
    history = model.fit(data, epochs=2, batch_size=32, clip_grad_norm=1.0, verbose=0)
    network, data = parts()
    network.to("cuda:0")
    dtype = torch.float16 if precision == "16-mixed" else torch.bfloat16
    if precision == "bf16":
        network.to(dtype)
    optimizer = torch.optim.Adam(network.parameters(), lr=0.01, fused=True)
    scaler = torch.amp.GradScaler("cuda", enabled=precision == "16-mixed")
    losses = []
    tl.seed(2)
    for _ in range(2):
        for x, y in DataLoader(data, batch_size=32, shuffle=True):
            with torch.autocast("cuda", dtype, enabled=precision != "32"):
                loss = nn.functional.cross_entropy(network(x.to("cuda:0")), y.to("cuda:0"))
            scaler.scale(loss).backward()
            update(optimizer, scaler, clip_grad_norm=1.0)
            losses.append(loss.item())
    assert history.step_losses == losses
    assert equal(model.network.state_dict(), network.state_dict())
    assert equal(model.optimizer.state_dict(), optimizer.state_dict())
    assert next(model.parameters()).device == torch.device("cuda:0")


@pytest.mark.parametrize("precision", PRECISIONS)
def test_the_script_is_the_call(precision: str) -> None:
    model, data = prepared(precision)
    schedule = torch.optim.lr_scheduler.StepLR(model.optimizer, 2, 0.5)
    callbacks = [tl.callbacks.LRScheduler(schedule), tl.callbacks.EarlyStopping(patience=3)]
    call = {"accumulate_grad_batches": 2, "epochs": 2, "callbacks": callbacks}
    program = model.unroll("fit", data, data, **call)
    proof = program.verify()
    assert proof, proof
    proof = program.verify(model.fit(data, data, **call, verbose=0))
    assert proof, proof
    for method in ("evaluate", "predict"):
        proof = model.unroll(method, data).verify()
        assert proof, proof


def test_a_training_goes_on_where_it_was_killed(tmp_path: Path) -> None:
    class Killed(tl.callbacks.Callback):
        at: int | None = None

        def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
            if epoch == self.at:
                raise MemoryError

    results = []
    for folder, at in (("whole", None), ("killed", 2)):
        model, data = prepared("16-mixed")
        call = {"epochs": 4, "save_dir": tmp_path / folder, "resume": True, "verbose": 0}
        callback = Killed()
        callback.at = at
        if at is not None:
            with pytest.raises(MemoryError):
                model.fit(data, **call, callbacks=callback)
            model, data = prepared("16-mixed")
            tl.seed(77)
        history = model.fit(data, **call, callbacks=Killed())
        results.append(
            [history.step_losses, model.network.state_dict(), model.optimizer.state_dict()]
        )
    assert equal(*results)


def test_no_step_waits_for_the_gpu() -> None:
    class Watch(tl.callbacks.Callback):
        """Lets every wait raise an error, from the first step to the begin of the last."""

        def on_train_batch_begin(self, step: int, logs: Any = None) -> None:
            torch.cuda.set_sync_debug_mode("error" if step < 4 else "default")

    model, data = prepared("32")
    source = model.unroll("fit", data, batch_size=32).source
    assert 'Batches(train_data, batch_size=32, shuffle=True, device="cuda:0")' in source
    try:
        history = model.fit(data, epochs=2, batch_size=32, verbose=0, callbacks=Watch())
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert len(history.step_losses) == 10


def test_outputs_come_back_and_are_the_same_for_every_batch_size() -> None:
    model, data = prepared("32")
    assert model.predict(data, verbose=0)[0][0].device.type == "cpu"
    losses = {model.evaluate(data, batch_size=n, verbose=0)["loss"] for n in (7, 64, 150)}
    assert max(losses) - min(losses) < 1e-6
    assert model.train_batch(*data[:9]).keys() == {"loss", "acc"}


def test_a_checkpoint_of_a_gpu_is_read_on_a_cpu(tmp_path: Path) -> None:
    model, data = prepared("16-mixed")
    model.fit(data, verbose=0)
    path = model.save(tmp_path / "model")
    tl.set_device("cpu")
    other = tl.Model(parts()[0])
    other.load(path)
    [here], [there] = (m.predict(data, verbose=0, stack_outputs=True) for m in (other, model))
    torch.testing.assert_close(here, there.float(), rtol=0.05, atol=0.05)
