"""What is saved comes back in every bit, and a file is never half-written."""

import collections
import os
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
import torch
import warm
from torch import nn

import tutorial as tl
from tutorial.saving import checkpoint
from tutorial.unroll.proof import flat, identical


def state(model: tl.Model) -> dict:
    return flat([model.network.state_dict(), model.optimizer.state_dict()])


@pytest.mark.parametrize("optimizer", [torch.optim.Adam, torch.optim.SGD, torch.optim.Adagrad])
def test_training_goes_on_as_if_it_had_not_stopped(data, make_model, optimizer, tmp_path) -> None:
    one, other = make_model(optimizer=optimizer), make_model(optimizer=optimizer)
    one.fit(data, epochs=2, verbose=0)
    path = one.save(tmp_path / "deep" / "model")
    assert path == tmp_path / "deep" / "model.pt"
    other.load(tmp_path / "deep" / "model")
    for model in (one, other):
        tl.seed(3)
        model.fit(data, verbose=0)
    a, b = state(one), state(other)
    assert a.keys() == b.keys()
    assert all(identical(a[key], b[key]) for key in a)


def test_the_file_opens_without_this_library(data, make_model, tmp_path) -> None:
    model = make_model()
    model.fit(data, verbose=0)
    path = model.save(tmp_path / "model.pt")
    code = (
        "import sys; sys.modules['tutorial'] = None; import torch; "
        f"state = torch.load({str(path)!r}, weights_only=True); "
        "network = torch.nn.Sequential(torch.nn.Linear(8, 16), torch.nn.ReLU(), "
        "torch.nn.Dropout(), torch.nn.Linear(16, 3)); "
        "network.load_state_dict(state['network']); "
        "torch.optim.Adam(network.parameters()).load_state_dict(state['optimizer'])"
    )
    ran = warm.run(code)
    assert ran.returncode == 0, ran.stderr


def test_a_model_without_an_optimizer_can_be_saved_and_loaded(data, make_model, tmp_path) -> None:
    model = make_model()
    model.save(tmp_path / "whole")
    bare = tl.Model(make_model().network)
    bare.network[0].weight.data.zero_()
    bare.load(tmp_path / "whole")
    assert torch.equal(bare.network[0].weight, model.network[0].weight)
    bare.save(tmp_path / "bare")
    model.load(tmp_path / "bare")


def test_a_full_disk_loses_no_earlier_file(data, make_model, tmp_path, monkeypatch) -> None:
    model = make_model()
    path = model.save(tmp_path / "model")
    before = path.read_bytes()

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        model.save(path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]  # and no rest lies about


NO_SPACE = """
import resource, signal, sys
import tutorial as tl
from torch import nn
model = tl.Model(nn.Linear(1000, 100))
model.save(sys.argv[1])
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # let the write fail, as on a full disk
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
model.network.weight.data.zero_()
try:
    model.save(sys.argv[1])
except OSError as error:
    print(error)
"""


def test_a_write_that_the_system_refuses_loses_no_earlier_file(tmp_path) -> None:
    path = tmp_path / "model.pt"
    ran = subprocess.run(
        [sys.executable, "-c", NO_SPACE, path], capture_output=True, text=True, check=True
    )
    assert "cannot be written" in ran.stdout or "too large" in ran.stdout
    assert checkpoint.read(path)["network"]["weight"].abs().sum() > 0
    assert list(tmp_path.iterdir()) == [path]


# ---- what is refused, and that nothing changes then


def refused(
    model: tl.Model, path, match: str, error: type[Exception] = ValueError, **options
) -> None:
    before = {key: value.clone() for key, value in state(model).items() if hasattr(value, "clone")}
    with pytest.raises(error, match=match):
        model.load(path, **options)
    after = state(model)
    assert all(torch.equal(before[key], after[key]) for key in before)


def test_a_missing_file_is_named_with_those_that_are_there(make_model, tmp_path) -> None:
    model = make_model()
    refused(model, tmp_path / "a", r"a\.pt.*no file that ends in \.pt", FileNotFoundError)
    model.save(tmp_path / "b")
    refused(model, tmp_path / "a", r"there are b\.pt", FileNotFoundError)


@pytest.mark.parametrize("keep", [0, 1, 100, 0.5, 0.99])
def test_a_truncated_file_is_refused(make_model, tmp_path, keep: float) -> None:
    model = make_model()
    path = model.save(tmp_path / "model")
    raw = path.read_bytes()
    path.write_bytes(raw[: int(keep * len(raw)) if keep < 1 else int(keep)])
    refused(model, path, "this file is damaged, or was not written by model.save")


def test_a_foreign_file_is_refused(make_model, tmp_path) -> None:
    model = make_model()
    (tmp_path / "text.pt").write_text("weights")
    refused(model, tmp_path / "text.pt", "damaged, or was not written")
    torch.save(model.network.state_dict(), tmp_path / "weights.pt")
    refused(model, tmp_path / "weights.pt", r"'0\.weight'.*network\.load_state_dict")
    torch.save([1, 2], tmp_path / "list.pt")
    refused(model, tmp_path / "list.pt", "holds a list")
    state = checkpoint.state_of(model)
    state["network"] = dict.fromkeys(state["network"], 3)
    torch.save(state, tmp_path / "numbers.pt")
    refused(model, tmp_path / "numbers.pt", r"0\.weight has no shape in the file, shape \(16, 8\)")


class Counting(nn.Linear):
    """A layer with an extra state, which is no tensor."""

    calls = 0

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.calls += self.training
        return super().forward(x)

    def get_extra_state(self) -> dict:
        return {"calls": self.calls}

    def set_extra_state(self, state: dict) -> None:
        self.calls = state["calls"]


def test_an_extra_state_comes_back_too(data, tmp_path) -> None:
    def counting() -> tl.Model:
        model = tl.Model(nn.Sequential(Counting(8, 3)))
        model.prepare(torch.optim.SGD(model.parameters(), lr=0.1), nn.CrossEntropyLoss())
        return model

    model, other = counting(), counting()
    model.fit(data, verbose=0, save_dir=tmp_path / "run")
    assert model.network[0].calls == 3
    other.load(model.save(tmp_path / "one"))
    assert other.network[0].calls == 3
    resumed = counting()
    resumed.fit(data, epochs=2, verbose=0, save_dir=tmp_path / "run", resume=True)
    assert resumed.network[0].calls == 6


class Scheme:
    """What only this program knows."""


class Strange(Counting):
    def get_extra_state(self) -> dict:
        return {"calls": self.calls, "scheme": Scheme()}


def test_a_state_that_no_file_can_hold_is_refused_when_it_is_written(data, tmp_path) -> None:
    model = tl.Model(nn.Sequential(Strange(8, 3)))
    model.prepare(torch.optim.SGD(model.parameters(), lr=0.1), nn.CrossEntropyLoss())
    before = [weight.clone() for weight in model.parameters()]
    said = r"network\['0\._extra_state'\]\['scheme'\] is a Scheme, which torch\.load"
    with pytest.raises(ValueError, match=said):
        model.fit(data, verbose=0, save_dir=tmp_path / "run")
    assert all(map(torch.equal, before, model.parameters()))  # before anything was trained
    with pytest.raises(ValueError, match=said):
        model.save(tmp_path / "one")
    assert not (tmp_path / "one.pt").exists()


class Recent(torch.optim.SGD):
    """It keeps its last gradients' sizes in a deque, and NumPy's numbers."""

    def step(self, closure: Any = None) -> Any:
        for weight in self.param_groups[0]["params"]:
            recent = self.state[weight].setdefault("recent", collections.deque(maxlen=2))
            recent.append(weight.grad.norm().item())
            self.state[weight]["steps"] = np.float64(len(recent))
        return super().step(closure)

    def load_state_dict(self, state: Any) -> None:
        super().load_state_dict(state)
        for memory in self.state.values():
            memory["recent"] = collections.deque(memory["recent"], maxlen=2)


def test_a_deque_is_saved_as_a_list_and_named(data, make_model, tmp_path) -> None:
    one, other = (make_model(optimizer=Recent) for _ in range(2))
    one.fit(data, verbose=0)
    with pytest.warns(UserWarning, match=r"optimizer\['state'\]\[0\]\['recent'\] is a deque"):
        path = one.save(tmp_path / "one")
    other.load(path)
    recent = [[m["recent"] for m in model.optimizer.state.values()] for model in (one, other)]
    assert recent[0] == recent[1]
    assert one.unroll("fit", data).verify()


def test_other_shapes_and_names_are_refused_or_skipped(data, make_model, tmp_path) -> None:
    small = make_model()
    small.fit(data, verbose=0)
    path = small.save(tmp_path / "small")
    network = nn.Sequential(
        nn.Linear(8, 16), nn.ReLU(), nn.Dropout(), nn.Linear(16, 5), nn.Linear(5, 3)
    )
    model = tl.Model(network)
    model.prepare(torch.optim.Adam(model.parameters()), nn.CrossEntropyLoss())
    refused(model, path, "the file's optimizer holds")
    refused(model, path, r"4\.weight is not in the file.*3\.weight has shape", reset_optimizer=True)
    with pytest.warns(UserWarning, match="load: .*; skipped"):
        model.load(path, skip_mismatch=True, reset_optimizer=True)
    assert torch.equal(network[0].weight, small.network[0].weight)
    assert not model.optimizer.state_dict()["state"]


def test_another_optimizer_is_refused(data, make_model, tmp_path) -> None:
    model = make_model()
    model.fit(data, verbose=0)
    path = model.save(tmp_path / "adam")
    other = make_model(optimizer=torch.optim.SGD)
    refused(other, path, r"options betas.*reset_optimizer=True")
    other.load(path, reset_optimizer=True)
    assert torch.equal(other.network[0].weight, model.network[0].weight)


@pytest.mark.parametrize("path", ["", ".", "/"])
def test_a_path_without_a_name_is_refused(make_model, path: str) -> None:
    with pytest.raises(ValueError, match="but a file's name is expected"):
        checkpoint.with_ending(path)


# ---- what is only looked at, or refused, uses up nothing of what was loaded


def halving(model: tl.Model) -> tl.callbacks.LRScheduler:
    scheduler = torch.optim.lr_scheduler.StepLR(model.optimizer, 1, gamma=0.5)
    return tl.callbacks.LRScheduler(scheduler, by_epoch=True)


def saved(model: tl.Model, folder) -> dict:
    return flat(torch.load(model.save(folder / "saved"), weights_only=True))


def test_unroll_leaves_what_load_has_read_for_the_fit(data, make_model, tmp_path) -> None:
    model = make_model()
    model.fit(data, epochs=3, verbose=0, callbacks=halving(model))
    path = model.save(tmp_path / "model")
    ways = [lambda model: None, lambda model: model.unroll("fit", data, callbacks=halving(model))]
    schedulers, rates, programs = [], [], []
    for first in ways:
        model = make_model()
        model.load(path)
        programs.append(first(model))
        model.fit(data, verbose=0, callbacks=halving(model))
        schedulers.append(model.schedulers[0].state_dict())
        rates.append(model.optimizer.param_groups[0]["lr"])
    assert schedulers[0] == schedulers[1] and schedulers[0]["last_epoch"] == 4
    assert rates == [0.01 / 16] * 2
    begin = programs[1].state  # its script goes on from there, too
    assert begin["scheduler"]["last_epoch"] == 3
    assert begin["optimizer"]["param_groups"][0]["lr"] == 0.01 / 8


def test_a_refused_fit_leaves_what_load_has_read(data, make_model, tmp_path) -> None:
    model = make_model()
    model.fit(data, epochs=3, verbose=0, callbacks=halving(model))
    path = model.save(tmp_path / "model")
    model = make_model()
    model.load(path)
    company = [halving(model), tl.callbacks.EarlyStopping("nope")]
    before = saved(model, tmp_path)
    with pytest.raises(ValueError, match="nope"):
        model.fit(data, data, verbose=0, callbacks=company)
    after = saved(model, tmp_path)
    assert before.keys() == after.keys() and all(identical(before[k], after[k]) for k in before)
    model.fit(data, verbose=0, callbacks=halving(model))
    assert model.schedulers[0].last_epoch == 4


def test_a_refused_fit_leaves_what_the_last_one_left(data, make_model, tmp_path) -> None:
    model = make_model()
    history = model.fit(data, verbose=0, callbacks=halving(model))
    before, scheduler = saved(model, tmp_path), model.schedulers[0]

    def stumbling(*_) -> None:
        raise RuntimeError("stumbled")

    for wrong in (
        {"callbacks": [halving(model), tl.callbacks.CSVLogger(tmp_path)]},
        {"callbacks": tl.callbacks.EarlyStopping("nope")},
        {"callbacks": tl.callbacks.LambdaCallback(on_train_batch_begin=stumbling)},
        {"loop": lambda network, learning_rate: None},
    ):
        with pytest.raises((ValueError, OSError, TypeError, RuntimeError)):
            model.fit(data, data, verbose=0, **wrong)
        assert model.history is history and model.schedulers == [scheduler]
    after = saved(model, tmp_path)
    learned = [key for key in before if key.startswith(("network", "schedulers"))]
    assert after.keys() == before.keys() and "schedulers[0].last_epoch" in learned
    assert all(identical(before[key], after[key]) for key in learned)


def test_after_an_error_in_the_training_its_history_is_there(data, make_model) -> None:
    model = make_model()
    model.fit(data, verbose=0)

    def stumbling(step: int, logs: dict) -> None:
        if step == 1:
            raise RuntimeError("stumbled")

    with pytest.raises(RuntimeError, match="stumbled"):
        model.fit(
            data, verbose=0, callbacks=tl.callbacks.LambdaCallback(on_train_batch_begin=stumbling)
        )
    assert len(model.history.step_losses) == 1
