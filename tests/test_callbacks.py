"""Each callback against hand-written runs, and where it decides, against an oracle."""

import copy
import csv
import inspect
import math
import os
import re
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

import tutorial as tl
from tutorial import callbacks as cb
from tutorial.callbacks.files import best_files
from tutorial.callbacks.saving import floats
from tutorial.callbacks.stopping import copied
from tutorial.saving import checkpoint
from tutorial.unroll.proof import flat, identical
from tutorial.unroll.script import Script

PARAMS = {
    "epochs": 9,
    "steps": 3,
    "batch_size": 8,
    "verbose": 0,
    "metrics": ["loss", "acc"],
    "larger_is_better": {"loss": False, "acc": True},
    "evaluates": True,
    "save_dir": None,
}


def stand_in(*callbacks: cb.Callback, optimizer=torch.optim.Adam, **options) -> SimpleNamespace:
    """A model, as far as a callback looks at it, with the same weights in every call."""
    torch.manual_seed(1)
    network = nn.Sequential(nn.Linear(4, 5), nn.BatchNorm1d(5), nn.Linear(5, 3))
    return SimpleNamespace(
        network=network,
        optimizer=optimizer(network.parameters(), **({"lr": 0.1} | options)),
        scaler=None,
        schedulers=[],
        parts={},
        attributes={},
        kept_workers=[],
        callbacks=list(callbacks),
        stop_training=False,
    )


def begin(*callbacks: cb.Callback, model: SimpleNamespace | None = None, **params):
    """What comes before the first epoch."""
    model = model or stand_in(*callbacks)
    model.callbacks = list(callbacks)
    for callback in callbacks:
        callback.set_model(model)
        callback.set_params(PARAMS | params)
    for callback in callbacks:
        callback.on_train_begin({})
    return model


def batch(step: int) -> tuple[torch.Tensor, torch.Tensor]:
    chance = torch.Generator().manual_seed(step)
    x = torch.randn(8, 4, generator=chance)
    return x, torch.randint(3, (8,), generator=chance)


def train(model: SimpleNamespace, steps: range, bad: tuple[int, ...] = ()) -> None:
    """Real steps, with the hooks; where it is bad, the data has a nan in it."""
    loss_sum = 0.0
    for n, step in enumerate(steps):
        for callback in model.callbacks:
            callback.on_train_batch_begin(step, {})
        x, y = batch(step)
        loss = nn.functional.cross_entropy(model.network(x * (math.nan if step in bad else 1)), y)
        loss.backward()
        model.optimizer.step()
        model.optimizer.zero_grad()
        loss_sum += loss.item()
        for callback in model.callbacks:
            callback.on_train_batch_end(step, {"loss": loss_sum / (n + 1), "batch_size": 8})
        if model.stop_training:
            break


def evaluated(callback: cb.Callback, epoch: int, **logs: float) -> None:
    callback.on_epoch_begin(epoch, {})
    callback.on_epoch_end(epoch, {"epoch": epoch + 1, "loss": 7.0, "acc": 0.0})
    callback.on_eval_begin({})
    callback.on_eval_end(logs)


def state(model: SimpleNamespace) -> dict:
    return copy.deepcopy(live_state(model))


def live_state(model: SimpleNamespace) -> dict:
    return flat([model.network.state_dict(), model.optimizer.state_dict()])


def alike(a: dict, b: dict) -> bool:
    return a.keys() == b.keys() and all(identical(a[key], b[key]) for key in a)


def through_a_file(state: dict, path: Path) -> dict:
    checkpoint.write(path, {"network": {}, "it": state})
    return checkpoint.read(path)["it"]


# ---- what all have in common


def test_hooks_are_all_there_and_do_nothing() -> None:
    methods = {name for name in vars(cb.Callback) if name.startswith("on_")}
    assert set(cb.HOOKS) == methods and len(cb.HOOKS) == 14
    callback = cb.Callback()
    for hook in cb.HOOKS:
        method = getattr(callback, hook)
        first = [0] * (len(inspect.signature(method).parameters) - 1)
        assert method(*first) is None and method(*first, {"loss": 1.0}) is None
        assert not cb.overridden(callback, hook)
    assert callback.state_dict() == {}
    callback.load_state_dict({})


def test_overridden_sees_classes_their_bases_and_functions_of_one_object() -> None:
    class Own(cb.EarlyStopping):
        pass

    inherited = [hook for hook in cb.HOOKS if cb.overridden(Own(), hook)]
    assert inherited == ["on_train_begin", "on_epoch_end", "on_eval_end", "on_train_end"]
    late = cb.Callback()
    late.on_predict_end = lambda logs=None: None
    assert [hook for hook in cb.HOOKS if cb.overridden(late, hook)] == ["on_predict_end"]
    assert not any(cb.overridden(cb.ProgressBar(), hook) for hook in cb.HOOKS)


def scheduler() -> torch.optim.lr_scheduler.LRScheduler:
    return torch.optim.lr_scheduler.StepLR(stand_in().optimizer, 3)


EACH = [
    (cb.ProgressBar, {"log_freq": 3, "verbose": 2}),
    (cb.ModelCheckpoint, {"save_freq": 3, "save_dir": "a", "best_only": True, "monitor": "acc"}),
    (cb.EarlyStopping, {"patience": 2, "mode": "max", "baseline": 0.5, "restore_best": False}),
    (cb.ReduceLROnPlateau, {"factor": 0.5, "min_delta": 0.25, "cooldown": 2, "min_lr": 1e-5}),
    (cb.TerminateOnNaN, {}),
    (cb.TensorBoard, {"log_dir": "runs"}),
    (cb.CSVLogger, {"path": "log.csv"}),
    (cb.LambdaCallback, {"on_epoch_end": print}),
]


@pytest.mark.parametrize(("make", "arguments"), EACH)
def test_each_can_be_written_back_as_code_that_needs_no_tutorial(make, arguments) -> None:
    callback = make(**arguments)
    script = Script()
    code = script.code(callback, "callback")
    assert "import tutorial" not in script.render("", "") and not script.supply
    again = script.build(code)
    assert vars(again) == vars(callback) and type(again) is not type(callback)
    if make is not cb.LambdaCallback:
        assert {name: vars(callback)[name] for name in arguments} == arguments


def test_a_checkpoint_of_other_callbacks_is_refused() -> None:
    with pytest.raises(ValueError, match=r"ReduceLROnPlateau needs .*'wait'.*has .*'rows'.*same"):
        cb.ReduceLROnPlateau().load_state_dict({"rows": []})


def test_lambda_callback() -> None:
    seen = []
    callback = cb.LambdaCallback(
        on_train_batch_end=lambda step, logs: seen.append((step, logs)),
        on_train_end=lambda logs: seen.append(logs),
    )
    callback.on_train_batch_end(3, {"loss": 1.0})
    callback.on_epoch_end(0)
    callback.on_train_end({})
    assert seen == [(3, {"loss": 1.0}), {}]
    hooks = [hook for hook in cb.HOOKS if cb.overridden(callback, hook)]
    assert hooks == ["on_train_batch_end", "on_train_end"]
    with pytest.raises(TypeError, match=r"'on_batch_end' is no hook. Choose from on_train_begin, "):
        cb.LambdaCallback(on_batch_end=print)
    with pytest.raises(TypeError, match="on_train_end is 3, but a function is expected"):
        cb.LambdaCallback(on_train_end=3)


# ---- what is refused


@pytest.mark.parametrize(
    ("make", "arguments", "message"),
    [
        (cb.ProgressBar, {"log_freq": 0}, "log_freq is 0, but an integer of at least 1"),
        (cb.ProgressBar, {"log_freq": True}, "log_freq is True"),
        (cb.ProgressBar, {"verbose": 3}, "verbose is 3, but 0, 1 or 2 is expected"),
        (cb.ModelCheckpoint, {"save_freq": 0}, "save_freq is 0"),
        (cb.ModelCheckpoint, {"best_only": "no"}, "best_only is 'no', but True or False"),
        (cb.ModelCheckpoint, {"mode": "less"}, "mode is 'less', but 'auto', 'min' or 'max'"),
        (cb.ModelCheckpoint, {"keep": 0}, "keep is 0, but an integer of at least 1, or None"),
        (cb.ModelCheckpoint, {"baseline": True}, "baseline is True, but a number or None"),
        (cb.EarlyStopping, {"mode": None}, "mode is None"),
        (cb.EarlyStopping, {"patience": -1}, "patience is -1"),
        (cb.EarlyStopping, {"patience": 1.5}, "patience is 1.5"),
        (cb.EarlyStopping, {"min_delta": -0.1}, "min_delta is -0.1"),
        (cb.EarlyStopping, {"min_delta": "0"}, "min_delta is '0'"),
        (cb.EarlyStopping, {"min_delta": math.nan}, "min_delta is nan"),
        (cb.EarlyStopping, {"baseline": "0.5"}, "baseline is '0.5', but a number or None"),
        (cb.ReduceLROnPlateau, {"factor": 1}, "factor is 1, but a number above 0 and below 1"),
        (cb.ReduceLROnPlateau, {"factor": 0.0}, "factor is 0.0"),
        (cb.ReduceLROnPlateau, {"factor": None}, "factor is None"),
        (cb.ReduceLROnPlateau, {"patience": 0.5}, "patience is 0.5"),
        (cb.ReduceLROnPlateau, {"mode": "MIN"}, "mode is 'MIN'"),
        (cb.ReduceLROnPlateau, {"min_delta": -1}, "min_delta is -1"),
        (cb.ReduceLROnPlateau, {"cooldown": -1}, "cooldown is -1"),
        (cb.ReduceLROnPlateau, {"min_lr": -1e-3}, "min_lr is -0.001"),
    ],
)
def test_arguments_that_do_not_fit_are_refused(make, arguments, message) -> None:
    with pytest.raises(ValueError, match=message):
        make(**arguments)


@pytest.mark.parametrize("make", [cb.EarlyStopping, cb.ReduceLROnPlateau])
def test_what_cannot_be_monitored_is_refused_before_training(make) -> None:
    with pytest.raises(ValueError, match=f"eval_data is None, but {make.__name__} goes by"):
        begin(make(), evaluates=False)
    with pytest.raises(ValueError, match="monitor is 'eval_f1', but only 'loss', 'acc' can be"):
        begin(make(monitor="eval_f1"))
    with pytest.raises(ValueError, match="monitor is None"):
        begin(make(monitor=None))


@pytest.mark.parametrize(
    ("by_step", "by_epoch", "by"),
    [
        (None, None, "step"),
        (True, None, "step"),
        (None, False, "step"),
        (True, False, "step"),
        (None, True, "epoch"),
        (False, None, "epoch"),
        (False, True, "epoch"),
    ],
)
def test_a_scheduler_is_stepped_by_step_or_by_epoch(by_step, by_epoch, by) -> None:
    callback = cb.LRScheduler(scheduler(), by_step, by_epoch)
    assert callback.by == by and callback.state_dict() == {}
    assert (callback.by_step, callback.by_epoch) == (by_step, by_epoch)


def test_a_scheduler_that_the_loop_cannot_step_is_refused() -> None:
    for both in (True, False):
        with pytest.raises(ValueError, match=f"both {both}, but they are mutually exclusive"):
            cb.LRScheduler(scheduler(), by_step=both, by_epoch=both)
    with pytest.raises(ValueError, match="by_epoch is 1, but True, False or None"):
        cb.LRScheduler(scheduler(), by_epoch=1)
    with pytest.raises(TypeError, match=r"Use tutorial.callbacks.ReduceLROnPlateau"):
        cb.LRScheduler(torch.optim.lr_scheduler.ReduceLROnPlateau(stand_in().optimizer))
    with pytest.raises(TypeError, match=r"scheduler is 0.1, but one of torch.optim.lr_scheduler"):
        cb.LRScheduler(0.1)


# ---- EarlyStopping


numbers = st.one_of(st.integers(-4, 4).map(lambda n: n / 4), st.just(math.nan))
deltas = st.sampled_from([0, 0.25, 0.5])


@given(
    values=st.lists(numbers, min_size=1, max_size=12),
    mode=st.sampled_from(["min", "max"]),
    patience=st.integers(0, 4),
    min_delta=deltas,
    baseline=st.one_of(st.none(), numbers.filter(lambda v: v == v)),
)
def test_early_stopping_decides_as_an_oracle(values, mode, patience, min_delta, baseline) -> None:
    # The oracle turns "max" into "min", and finds the best evaluations first, then the end.
    costs = [value if mode == "min" else -value for value in values]
    bar = math.inf if baseline is None else baseline if mode == "min" else -baseline
    bests = []
    for i, cost in enumerate(costs):
        if bar - cost > min_delta:
            bar = cost
            bests.append(i)
    since = [i - max([b for b in bests if b <= i], default=-1) for i in range(len(costs))]
    end = next((i for i, n in enumerate(since) if n >= max(patience, 1)), len(costs) - 1)
    best = max([b for b in bests if b <= end], default=None)

    callback = cb.EarlyStopping("acc", mode, patience, 0, min_delta, baseline)
    model = begin(callback)
    weight = model.network[0].bias
    for epoch, value in enumerate(values):
        nn.init.constant_(weight, epoch)
        evaluated(callback, epoch, loss=math.nan, acc=value)
        if model.stop_training:
            break
    assert epoch == end
    assert callback.best_epoch == (None if best is None else best + 1)
    callback.on_train_end({})
    assert (weight == (end if best is None else best)).all()


def test_early_stopping_as_one_expects(capsys) -> None:
    for patience, values, epochs in [
        (0, [3, 2, 1], 3),  # better each time: goes on
        (0, [3, 2, 2, 1], 3),
        (1, [3, 2, 2, 1], 3),
        (2, [3, 2, 2, 2, 1], 4),
        (2, [3, 2, 2, 1, 2, 0.5], 6),
        (2, [math.nan, math.nan, 1], 2),
    ]:
        callback = cb.EarlyStopping(patience=patience, verbose=0)
        model = begin(callback)
        for epoch, value in enumerate(values):
            evaluated(callback, epoch, loss=value)
            if model.stop_training:
                break
        assert epoch + 1 == epochs
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("name", ["acc", "eval_acc"])
def test_auto_goes_by_what_fit_says_of_the_metric(name) -> None:
    callback = cb.EarlyStopping(monitor=name, verbose=0)
    model = begin(callback)
    evaluated(callback, 0, acc=0.5)
    evaluated(callback, 1, acc=0.6)
    assert callback.best == 0.6 and not model.stop_training
    evaluated(callback, 2, acc=0.6)
    assert model.stop_training


@pytest.mark.parametrize("name", ["f1_of_mine", "eval_f1_of_mine"])
@pytest.mark.parametrize("make", [cb.EarlyStopping, cb.ReduceLROnPlateau, cb.ModelCheckpoint])
def test_auto_asks_where_nobody_knows_what_is_better(make, name, tmp_path) -> None:
    best_only = {"best_only": True, "save_dir": tmp_path} if make is cb.ModelCheckpoint else {}
    reported = {"metrics": ["loss", "f1_of_mine"], "larger_is_better": {"f1_of_mine": None}}
    with pytest.raises(ValueError, match=rf"better or worse.*{make.__name__}\(..., mode=\"max\""):
        begin(make(monitor=name, **best_only), **reported)
    for mode in ("min", "max"):
        callback = make(monitor=name, mode=mode, **best_only)
        begin(callback, **reported)
        assert callback.larger == (mode == "max")


def test_early_stopping_brings_back_what_was_best_and_says_so(tmp_path, capsys) -> None:
    callback = cb.EarlyStopping(patience=2)
    model = begin(callback, save_dir=tmp_path / "deep")
    states = []
    for epoch, value in enumerate([0.5, 0.25, 0.75, 0.75]):
        train(model, range(3 * epoch, 3 * epoch + 3))
        states.append(state(model))
        evaluated(callback, epoch, loss=value)
    path = tmp_path / "deep" / "best_model.pt"
    assert capsys.readouterr().out == ""
    callback.on_train_end({})
    assert capsys.readouterr().out == (
        f"epoch 4: training ends early. The best eval_loss was 0.25, in epoch 2, saved in {path}.\n"
    )
    weights = flat([model.network.state_dict()])
    assert alike(weights, {name: states[1][name] for name in weights})
    saved = checkpoint.read(path)
    assert alike(flat([saved["network"], saved["optimizer"]]), states[1]) and "random" in saved


def test_early_stopping_keeps_the_last_weights_where_these_are_best_or_asked_for() -> None:
    for restore_best, values in [(True, [2, 1]), (False, [1, 2])]:
        callback = cb.EarlyStopping(restore_best=restore_best, save_best_model=False, verbose=0)
        model = begin(callback, save_dir="/proc/nothing can be written here")
        for epoch, value in enumerate(values):
            train(model, range(epoch, epoch + 1))
            evaluated(callback, epoch, loss=value)
        train(model, range(5, 6))
        last = state(model)
        callback.on_train_end({})
        assert alike(state(model), last)


def test_early_stopping_against_a_baseline_that_is_never_reached(capsys) -> None:
    callback = cb.EarlyStopping(baseline=0.125, patience=2)
    model = begin(callback)
    for epoch in range(2):
        evaluated(callback, epoch, loss=1 / (epoch + 1))
    assert model.stop_training and callback.best_weights is None
    last = state(model)
    callback.on_train_end({})
    assert capsys.readouterr().out.endswith("No eval_loss was better than 0.125.\n")
    assert alike(state(model), last)


@pytest.mark.parametrize("make", [cb.EarlyStopping, cb.ReduceLROnPlateau])
def test_an_evaluation_on_its_own_is_left_alone(make) -> None:
    callback = make()
    model = stand_in()
    for _ in range(2):  # before any training; then after one that was interrupted
        callback.set_model(model)
        callback.set_params(PARAMS)
        callback.on_eval_end({"loss": 9.0})
        begin(callback, model=model)
        evaluated(callback, 0, loss=1.0)
        assert callback.best == 1.0
    assert not model.stop_training


def test_a_second_training_begins_anew() -> None:
    callback = cb.EarlyStopping(patience=1, verbose=0)
    for _ in range(2):
        model = begin(callback)
        evaluated(callback, 0, loss=1.0)
        assert callback.wait == 0
        evaluated(callback, 1, loss=1.5)
        assert model.stop_training


def test_early_stopping_resumes_where_it_was(tmp_path) -> None:
    values = [3.0, 2.0, 2.5, 2.5, 2.5, 1.0]
    for cut in range(5):
        callback = cb.EarlyStopping(patience=3, verbose=0)
        model = begin(callback)
        for epoch, value in enumerate(values):
            if epoch == cut:
                kept = through_a_file(callback.state_dict(), tmp_path / "kept")
                callback = cb.EarlyStopping(patience=3, verbose=0)
                begin(callback, model=model)
                callback.load_state_dict(kept)
            train(model, range(epoch, epoch + 1))
            if epoch == 1:
                best = flat([copy.deepcopy(model.network.state_dict())])
            evaluated(callback, epoch, loss=value)
            if model.stop_training:
                break
        assert epoch == 4 and callback.best_epoch == 2
        callback.on_train_end({})
        assert alike(flat([model.network.state_dict()]), best)


# ---- ReduceLROnPlateau


def keras(values, mode, factor, patience, min_delta, cooldown, min_lr):
    """The learning rate after each evaluation, from 1.0 on, as Keras 3 writes it."""
    sign = -1 if mode == "min" else 1
    lr, best, wait, cooling = 1.0, -math.inf, 0, 0
    for value in values:
        if cooling > 0:
            cooling, wait = cooling - 1, 0
        if sign * value - min_delta > best:
            best, wait = sign * value, 0
        elif not cooling > 0:
            wait += 1
            if wait >= patience and lr > min_lr:
                lr = max(lr * factor, min_lr)
                cooling, wait = cooldown, 0
        yield lr


@given(
    values=st.lists(numbers, min_size=1, max_size=20),
    mode=st.sampled_from(["min", "max"]),
    factor=st.sampled_from([0.1, 0.5]),
    patience=st.integers(0, 3),
    min_delta=deltas,
    cooldown=st.integers(0, 3),
    min_lr=st.sampled_from([0, 0.01, 0.3, 2]),
    cut=st.integers(0, 20),
)
def test_reduce_lr_follows_keras_also_when_resumed(
    values, mode, factor, patience, min_delta, cooldown, min_lr, cut
) -> None:
    def make() -> cb.ReduceLROnPlateau:
        return cb.ReduceLROnPlateau(
            "eval_loss", factor, patience, 0, mode, min_delta, cooldown, min_lr
        )

    weight = nn.Parameter(torch.zeros(1))
    model = SimpleNamespace(optimizer=torch.optim.SGD([weight], lr=1.0))
    callback = make()
    begin(callback, model=model)
    rates = []
    for epoch, value in enumerate(values):
        if epoch == cut:
            kept, callback = callback.state_dict(), make()
            begin(callback, model=model)
            callback.load_state_dict(kept)
        evaluated(callback, epoch, loss=value)
        rates.append(model.optimizer.param_groups[0]["lr"])
    assert rates == list(keras(values, mode, factor, patience, min_delta, cooldown, min_lr))


def test_reduce_lr_is_still_cooling_when_it_resumes(tmp_path) -> None:
    callbacks = [cb.ReduceLROnPlateau(patience=1, cooldown=4, verbose=0) for _ in range(2)]
    model = begin(callbacks[0])
    for epoch in range(8):
        if epoch == 3:
            begin(callbacks[1], model=model)
            kept = through_a_file(callbacks[0].state_dict(), tmp_path / "kept")
            callbacks[1].load_state_dict(kept)
        evaluated(callbacks[epoch >= 3], epoch, loss=1.0)
        rate = model.optimizer.param_groups[0]["lr"]
        assert rate == pytest.approx(0.1 if epoch < 1 else 0.01 if epoch < 5 else 0.001)


def reduced(values: list[float], lr: object = 1.0, **options) -> list[float]:
    callback = cb.ReduceLROnPlateau(**({"factor": 0.5, "patience": 2} | options))
    model = stand_in(callback, optimizer=torch.optim.SGD, lr=lr)
    begin(callback, model=model)
    rates = []
    for epoch, value in enumerate(values):
        evaluated(callback, epoch, loss=value)
        rates.append(float(model.optimizer.param_groups[0]["lr"]))
    return rates


def test_reduce_lr_as_one_expects(capsys) -> None:
    flat_out = [1.0] * 7
    assert reduced(flat_out) == [1, 1, 0.5, 0.5, 0.25, 0.25, 0.125]
    assert reduced(flat_out, cooldown=1) == reduced(flat_out, cooldown=0)  # Keras counts so
    assert reduced(flat_out, cooldown=2) == [1, 1, 0.5, 0.5, 0.5, 0.25, 0.25]
    assert reduced(flat_out, min_lr=0.3) == [1, 1, 0.5, 0.5, 0.3, 0.3, 0.3]
    assert reduced([1, 0.99995, 0.9999]) == [1, 1, 0.5]  # less than min_delta is no progress
    capsys.readouterr()
    reduced(flat_out, min_lr=0.3)
    assert capsys.readouterr().out == (
        "epoch 3: the learning rate is now 0.5, as eval_loss got no better than 1.\n"
        "epoch 5: the learning rate is now 0.3, as eval_loss got no better than 1.\n"
    )
    reduced(flat_out, verbose=0)
    assert capsys.readouterr().out == ""


def test_reduce_lr_takes_each_group_and_tensors_in_their_place(capsys) -> None:
    callback = cb.ReduceLROnPlateau(patience=1, min_lr=0.1)
    rates = [torch.tensor(10.0), torch.tensor(0.1), torch.tensor(0.5)]
    weights = [nn.Parameter(torch.zeros(2)) for _ in rates]
    groups = [{"params": [w], "lr": lr} for w, lr in zip(weights, rates, strict=True)]
    model = SimpleNamespace(optimizer=torch.optim.Adam(groups, foreach=False, capturable=True))
    begin(callback, model=model)
    for epoch in range(5):
        evaluated(callback, epoch, loss=1.0)
    assert [float(lr) for lr in rates] == pytest.approx([0.1] * 3)  # the very same tensors
    printed = capsys.readouterr().out.splitlines()
    assert "is now 0.1, 1, as" in printed[0] and len(printed) == 2  # no 0.1 is lowered to 0.1


# ---- TerminateOnNaN

OPTIMIZERS = [
    (torch.optim.Adam, {}),
    (torch.optim.Adam, {"fused": True, "amsgrad": True}),
    (torch.optim.SGD, {}),
    (torch.optim.SGD, {"momentum": 0.9}),
    (torch.optim.RMSprop, {"lr": torch.tensor(0.1), "foreach": False}),
]


@pytest.mark.parametrize(("optimizer", "options"), OPTIMIZERS)
@pytest.mark.parametrize(("bad", "good"), [(0, 0), (1, 0), (2, 1), (5, 4)])
def test_nan_brings_back_the_state_before_the_last_good_step(optimizer, options, bad, good) -> None:
    callback = cb.TerminateOnNaN()
    model = stand_in(optimizer=optimizer, **options)
    begin(callback, model=model)
    callback.on_epoch_begin(0, {})
    place = "before it." if bad == 0 else f"before epoch 1 step {good + 1}, the last with a finite"
    with pytest.warns(UserWarning, match=f"epoch 1 step {bad + 1}: the loss is nan.*{place}"):
        train(model, range(9), bad=(bad,))
    assert model.stop_training

    other = stand_in(optimizer=optimizer, **options)
    train(other, range(good))
    assert alike(state(model), state(other))
    model.stop_training = False  # and both can go on
    train(model, range(20, 23))
    train(other, range(20, 23))
    assert alike(state(model), state(other))
    with pytest.warns(UserWarning, match="step 32: .* before epoch 1 step 31"):
        train(model, range(30, 33), bad=(31,))
    assert alike(state(model), state(other))


def test_nan_at_the_first_step_of_a_later_epoch() -> None:
    callback = cb.TerminateOnNaN()
    model = begin(callback)
    callback.on_epoch_begin(0, {})
    train(model, range(3))
    callback.on_epoch_begin(1, {})
    with pytest.warns(UserWarning, match="epoch 2 step 1: .* before epoch 1 step 3, the last"):
        train(model, range(3), bad=(0,))
    other = stand_in()
    train(other, range(2))
    assert alike(state(model), state(other))


def test_a_good_training_is_only_watched_and_the_copies_stay_in_their_place() -> None:
    callback = cb.TerminateOnNaN()
    model = begin(callback)
    callback.on_epoch_begin(0, {})
    train(model, range(4))

    def places() -> set[int]:
        parts = flat([callback.good, callback.trial]).values()
        return {part.data_ptr() for part in parts if isinstance(part, torch.Tensor)}

    before = places()
    train(model, range(4, 9))
    assert places() == before
    live = [part for part in live_state(model).values() if isinstance(part, torch.Tensor)]
    assert live and not {part.data_ptr() for part in live} & before
    other = stand_in()
    train(other, range(9))
    assert alike(state(model), state(other)) and not model.stop_training


def test_a_copy_keeps_the_versions_of_the_layers_and_follows_when_shapes_change() -> None:
    weights = stand_in().network.state_dict()
    assert copied(weights)._metadata == weights._metadata != {}
    first = {"a": torch.ones(2), "b": [torch.ones(1), 3], "c": None}
    early = copied(first)
    other = {"a": torch.zeros(3), "b": [torch.zeros(1), 4, torch.zeros(1)], "d": (0.9, "x")}
    late = copied(other, early)
    assert alike(flat([late]), flat([other])) and late["d"] == (0.9, "x") and "c" not in late
    assert late["b"][0] is not other["b"][0]


# ---- ModelCheckpoint


def epochs_of(model: SimpleNamespace, rows: list[dict[str, float]], losses: list | None = None):
    """Let every ModelCheckpoint save after each epoch, as the loop does."""
    step_losses: list = []
    for epoch in range(len(rows)):
        train(model, range(epoch, epoch + 1))
        step_losses.append(float(epoch) if losses is None else losses[epoch])
        for callback in model.callbacks:
            if isinstance(callback, cb.ModelCheckpoint):
                callback.save(epoch, step_losses, rows[: epoch + 1])


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_model_checkpoint_names_its_files_as_paddle_does(tmp_path) -> None:
    callback = cb.ModelCheckpoint(save_freq=3)
    model = begin(callback, save_dir=tmp_path)
    epochs_of(model, [{"epoch": n + 1, "loss": 1.0} for n in range(4)])
    assert files(tmp_path) == ["0.pt", "3.pt"]
    callback.on_train_end({})
    assert files(tmp_path) == ["0.pt", "3.pt", "final.pt"]


def test_model_checkpoint_writes_all_that_a_training_needs(tmp_path) -> None:
    stop, saver = cb.EarlyStopping(verbose=0), cb.ModelCheckpoint(save_dir=tmp_path / "own")
    began = time.time()
    model = begin(stop, saver, save_dir=tmp_path / "other")
    rows = [{"epoch": 1, "loss": 0.5, "eval_loss": 0.75}, {"epoch": 2, "loss": 0.25}]
    evaluated(stop, 0, loss=0.75)
    epochs_of(model, rows, [torch.tensor(0.5), torch.tensor(0.25)])
    saver.on_train_end(dict(rows[-1]))
    assert files(tmp_path / "own") == ["0.pt", "1.pt", "final.pt"]
    for file, epochs, ended in [("0", 1, False), ("1", 2, False), ("final", 2, True)]:
        saved = checkpoint.read(tmp_path / "own" / file)
        assert saved.keys() == {"network", "optimizer", "random", "fit"}
        fit = saved["fit"]
        assert (fit["epochs"], fit["ended"]) == (epochs, ended)
        assert (fit["step_losses"], fit["rows"]) == ([0.5, 0.25][:epochs], rows[:epochs])
        assert began <= fit["began"] <= time.time()
        assert len(fit["callbacks"]) == 2 and fit["callbacks"][0]["best"] == 0.75
    assert alike(flat([saved["network"], saved["optimizer"]]), state(model))


def test_model_checkpoint_resumes_and_its_lists_are_its_own(tmp_path) -> None:
    rows = [{"epoch": n + 1, "loss": 1.0} for n in range(3)]
    whole = cb.ModelCheckpoint(save_dir=tmp_path / "whole")
    epochs_of(begin(whole), rows[:2])
    saved = checkpoint.read(tmp_path / "whole" / "1")["fit"]

    again = cb.ModelCheckpoint(save_dir=tmp_path / "again")
    begin(again)
    again.load_state_dict(saved["callbacks"][0])
    again.on_train_end({})  # nothing was left to do
    final = checkpoint.read(tmp_path / "again" / "final")["fit"]
    assert final == saved | {"ended": True}
    step_losses = saved["step_losses"]  # as the loop goes on: in the very list
    step_losses.append(torch.tensor(0.125))
    again.save(2, step_losses, rows)
    final = checkpoint.read(tmp_path / "again" / "2")["fit"]
    assert final["step_losses"] == [0.0, 1.0, 0.125] and final["began"] == whole.began
    assert all(type(loss) is float for loss in final["step_losses"])
    assert final["epochs"] == 3 and final["rows"] == rows


@pytest.mark.parametrize("monitor", ["acc", "eval_acc"])
def test_best_only_goes_by_the_evaluations_if_there_are_any(monitor, tmp_path) -> None:
    saver = cb.ModelCheckpoint(save_dir=tmp_path, best_only=True, monitor=monitor)
    model = begin(saver)
    values = [None, math.nan, 0.5, 0.5, None, 0.75, 0.25]
    rows = [
        {"acc": epoch / 7} | ({} if value is None else {"eval_acc": value})
        for epoch, value in enumerate(values)
    ]
    written = []
    for epoch in range(len(rows)):
        saver.save(epoch, [0.0], rows[: epoch + 1])
        path = tmp_path / "best_model.pt"
        written.append(path.exists() and checkpoint.read(path)["fit"]["epochs"] == epoch + 1)
    assert written == [False, False, True, False, False, True, False]
    saver.on_train_end({})
    assert files(tmp_path) == ["best_model.pt", "final.pt"]
    assert saver.best == checkpoint.read(path)["fit"]["callbacks"][0]["best"] == 0.75

    saver = cb.ModelCheckpoint(save_dir=tmp_path / "train", best_only=True, monitor=monitor)
    begin(saver, model=model, evaluates=False)
    for epoch, acc in enumerate([0.5, 0.75, 0.25]):
        saver.save(epoch, [0.0], [{"acc": acc}])
    assert checkpoint.read(tmp_path / "train" / "best_model")["fit"]["epochs"] == 2


def test_model_checkpoint_is_refused_before_training() -> None:
    with pytest.raises(ValueError, match=r"save_dir is None, and so is that of fit.*Write fit\("):
        begin(cb.ModelCheckpoint())
    with pytest.raises(ValueError, match="monitor is 'f1', but only 'loss', 'acc' can be"):
        begin(cb.ModelCheckpoint(save_dir="x", best_only=True, monitor="f1"))
    begin(cb.ModelCheckpoint(save_dir="x", monitor="f1"))  # which does not matter then


def test_floats_keep_their_order_and_digits() -> None:
    losses = [0.1, torch.tensor(0.1), 3, torch.tensor(0.2, dtype=torch.float32)]
    assert floats(losses) == [0.1, torch.tensor(0.1).item(), 3.0, torch.tensor(0.2).item()]
    assert floats([]) == []


# ---- TensorBoard


def curves(folder: Path) -> dict[str, list[tuple[int, float]]]:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(folder)).Reload()
    return {
        tag: [(event.step, round(event.value, 4)) for event in events.Scalars(tag)]
        for tag in events.Tags()["scalars"]
    }


def board_epoch(board: cb.TensorBoard, epoch: int) -> None:
    board.on_epoch_begin(epoch, {})
    for step in range(2):
        board.on_train_batch_end(step, {"loss": epoch + step / 2, "acc": 0.5, "batch_size": 8})
    board.on_epoch_end(epoch, {"epoch": epoch + 1, "loss": 0.0})
    board.on_eval_end({"loss": 4.0 - epoch, "acc": 0.25})


def test_tensorboard_reads_the_curves_back(tmp_path) -> None:
    board = cb.TensorBoard(tmp_path / "runs")
    model = begin(board)
    board_epoch(board, 0)
    model.optimizer.param_groups[0]["lr"] = 0.01
    flushed = curves(tmp_path / "runs")
    assert flushed["train/loss"] == [(1, 0.0), (2, 0.5)]
    board_epoch(board, 1)
    board.on_train_end({})
    assert curves(tmp_path / "runs") == {
        "train/loss": [(1, 0.0), (2, 0.5), (3, 1.0), (4, 1.5)],
        "train/acc": [(step, 0.5) for step in (1, 2, 3, 4)],
        "train/lr": [(2, 0.1), (4, 0.01)],
        "eval/loss": [(1, 4.0), (2, 3.0)],
        "eval/acc": [(1, 0.25), (2, 0.25)],
    }
    board.set_params(PARAMS)
    board.on_eval_end({"loss": 9.0})  # an evaluation on its own


def test_tensorboard_resumes_its_steps(tmp_path) -> None:
    board = cb.TensorBoard(tmp_path)
    begin(board)
    board_epoch(board, 0)
    kept = through_a_file(board.state_dict(), tmp_path / "kept")
    assert kept == {"step": 2}
    board.on_epoch_begin(1, {})
    board.on_train_batch_end(0, {"loss": 99.0, "batch_size": 8})  # and here it broke off
    broken = board.writer
    begin(board)
    assert board.writer is None and broken.file_writer is None
    board.load_state_dict(kept)
    time.sleep(1.01 - time.time() % 1)  # tensorboard orders the files by the second
    board_epoch(board, 1)
    board.on_train_end({})
    assert curves(tmp_path)["train/loss"] == [(1, 0.0), (2, 0.5), (3, 1.0), (4, 1.5)]
    assert curves(tmp_path)["eval/loss"] == [(1, 4.0), (2, 3.0)]


def test_tensorboard_names_what_to_install(tmp_path, monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(ImportError, match=r'pip install "torch-tutorial\[tensorboard\]"'):
        begin(cb.TensorBoard(tmp_path))
    assert files(tmp_path) == []


# ---- CSVLogger


def test_csv_logger_has_a_line_for_each_epoch_and_later_columns(tmp_path) -> None:
    path = tmp_path / "deep" / "log.csv"
    log = cb.CSVLogger(path)
    begin(log)
    third = 1 / 3
    log.on_epoch_end(0, {"epoch": 1, "loss": third})
    assert path.read_text() == f"epoch,loss\n1,{third!r}\n"
    log.on_epoch_end(1, {"epoch": 2, "loss": math.nan, "acc": 0.1 + 0.2})
    log.on_eval_end({"loss": 1e-300, "acc": 1.0})
    assert path.read_bytes().decode() == (
        f"epoch,loss,acc,eval_loss,eval_acc\n1,{third!r},,,\n2,nan,0.30000000000000004,1e-300,1.0\n"
    )
    with open(path, newline="") as file:
        assert float(next(csv.DictReader(file))["loss"]) == third
    log.set_params(PARAMS)
    log.on_eval_end({"loss": 9.0})  # an evaluation on its own
    assert "9.0" not in path.read_text() and files(path.parent) == ["log.csv"]


def test_csv_logger_resumes_its_rows(tmp_path) -> None:
    log = cb.CSVLogger(str(tmp_path / "log.csv"))
    begin(log)
    log.on_epoch_end(0, {"epoch": 1, "loss": 0.5})
    log.on_eval_end({"loss": 0.25})
    kept = through_a_file(log.state_dict(), tmp_path / "kept")
    log.on_epoch_end(1, {"epoch": 2, "loss": 99.0})  # is forgotten: the checkpoint is older
    begin(log)
    log.load_state_dict(kept)
    log.on_epoch_end(1, {"epoch": 2, "loss": 0.125})
    assert (tmp_path / "log.csv").read_text() == "epoch,loss,eval_loss\n1,0.5,0.25\n2,0.125,\n"


def test_csv_logger_leaves_a_whole_file_when_it_cannot_write(tmp_path, monkeypatch) -> None:
    log = cb.CSVLogger(tmp_path / "log.csv")
    begin(log)
    log.on_epoch_end(0, {"epoch": 1, "loss": 0.5})

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(OSError, match="No space left"):
        log.on_epoch_end(1, {"epoch": 2, "loss": 0.25})
    assert (tmp_path / "log.csv").read_text() == "epoch,loss\n1,0.5\n"
    assert files(tmp_path) == ["log.csv"]


def test_csv_logger_is_refused_before_training_where_there_is_a_folder(
    tmp_path, make_model, data
) -> None:
    model = make_model()
    with pytest.raises(IsADirectoryError, match="that is a directory, and a file is expected"):
        model.fit(data, verbose=0, callbacks=cb.CSVLogger(tmp_path))
    assert model.history is None


# ---- each writer has its own file


def fit_of(make_model, data, more_data, *callbacks: cb.Callback, **options: Any) -> tl.Model:
    model = make_model([tl.metrics.Accuracy(), tl.metrics.Accuracy(name="a/B")])
    usual = {"batch_size": 32, "epochs": 5, "verbose": 0, "callbacks": list(callbacks)}
    model.fit(data, more_data, **usual | options)
    return model


def epoch_of(folder: Path, file: str) -> int:
    """After which epoch a file was written: its weights are those of the numbered one."""
    weights = checkpoint.read(folder / file)["network"]
    [epoch] = [
        i for i in range(5) if alike(weights, checkpoint.read(folder / f"{i}.pt")["network"])
    ]
    return epoch


def test_several_best_models_have_each_their_file(make_model, data, more_data, tmp_path) -> None:
    keepers = [cb.ModelCheckpoint(best_only=True, monitor=name, mode="max") for name in ("a/B",)]
    keepers += [cb.ModelCheckpoint(best_only=True), cb.ModelCheckpoint()]
    stop = cb.EarlyStopping("eval_acc", mode="min", patience=9, restore_best=False)
    model = fit_of(make_model, data, more_data, stop, *keepers, save_dir=tmp_path)
    best = {path.name for path in tmp_path.glob("best*")}
    assert best == {"best_model_a_B.pt", "best_model_acc.pt", "best_model_loss.pt"}
    column = {name: [row[f"eval_{name}"] for row in model.history.rows] for name in ("acc", "loss")}
    first = {
        "best_model_a_B.pt": column["acc"].index(max(column["acc"])),
        "best_model_acc.pt": column["acc"].index(min(column["acc"])),
        "best_model_loss.pt": column["loss"].index(min(column["loss"])),
    }
    assert {file: epoch_of(tmp_path, file) for file in best} == first
    assert len({*first.values()}) > 1
    assert stop.saved == str(tmp_path / "best_model_acc.pt")


def test_a_best_model_that_is_alone_in_its_directory(make_model, data, more_data, tmp_path) -> None:
    keepers = [cb.ModelCheckpoint(best_only=True), cb.EarlyStopping(patience=9)]
    fit_of(make_model, data, more_data, *keepers, save_dir=tmp_path / "a")  # by one rule
    keepers = [
        cb.ModelCheckpoint(best_only=True, monitor="acc", save_dir=tmp_path / "b"),
        cb.EarlyStopping(patience=9),
    ]
    fit_of(make_model, data, more_data, *keepers, save_dir=tmp_path / "c")
    for name in "abc":
        assert [path.name for path in (tmp_path / name).glob("best*")] == ["best_model.pt"]


def test_names_that_are_alike_as_files_have_files_of_their_own() -> None:
    best = [cb.ModelCheckpoint(best_only=True, monitor=name) for name in ("a/b", "A:B", "a b")]
    found = best_files(best, {"save_dir": "x", "larger_is_better": {}})
    assert found.keys() == {"a/b", "A:B", "a b"}
    assert len({file.lower() for file in found.values()}) == 3
    assert all(re.fullmatch(r"best_model_[\w.-]+\.pt", file) for file in found.values())


def two_of_one_place(place: Path) -> dict[str, list[cb.Callback]]:
    return {
        "two ModelCheckpoints would write": [cb.ModelCheckpoint(), cb.ModelCheckpoint(2, place)],
        "two ModelCheckpoints would write a best_model.pt for 'loss', by different rules": [
            cb.ModelCheckpoint(best_only=True),
            cb.ModelCheckpoint(best_only=True, mode="max"),
        ],
        "EarlyStopping and ModelCheckpoint would write a best_model.pt for 'loss'": [
            cb.EarlyStopping(min_delta=0.1),
            cb.ModelCheckpoint(best_only=True),
        ],
        "two EarlyStoppings would write a best_model.pt for 'acc'": [
            cb.EarlyStopping("acc", baseline=0.5),
            cb.EarlyStopping("acc"),
        ],
        "two CSVLoggers would write": [
            cb.CSVLogger(place / "log.csv"),
            cb.CSVLogger(place / "x" / ".." / "log.csv"),
        ],
        "two TensorBoards would write": [cb.TensorBoard(str(place)), cb.TensorBoard(place)],
    }


@pytest.mark.parametrize("words", two_of_one_place(Path()))
def test_two_writers_of_one_file_are_refused(words, make_model, data, more_data, tmp_path) -> None:
    callbacks = two_of_one_place(tmp_path)[words]
    with pytest.raises(ValueError, match=f"callbacks: {words}.*Give one of them another place"):
        fit_of(make_model, data, more_data, *callbacks, save_dir=tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_fit_inside_another_one_has_its_own_files(make_model, data, tmp_path) -> None:
    def inner(folder: Path, log: Path) -> cb.LambdaCallback:
        def fit(logs: Any) -> None:
            make_model().fit(data, save_dir=folder, verbose=0, callbacks=cb.CSVLogger(log))

        return cb.LambdaCallback(on_train_end=fit)

    log = tmp_path / "log.csv"
    other = tmp_path / "other.csv"
    company = [cb.CSVLogger(log), inner(tmp_path / "b", other)]
    make_model().fit(data, save_dir=tmp_path / "a", verbose=0, callbacks=company)
    for folder, its_log in (("a", other), ("c", log)):
        outer = [cb.CSVLogger(log), inner(tmp_path / folder, its_log)]
        with pytest.raises(RuntimeError, match="another fit that is running writes into"):
            make_model().fit(data, save_dir=tmp_path / "a", verbose=0, callbacks=outer)
    assert not (tmp_path / "c").exists()
    make_model().fit(data, save_dir=tmp_path / "a", verbose=0)  # nobody writes there any more


def test_only_the_last_files_are_kept(tmp_path) -> None:
    callback = cb.ModelCheckpoint(save_freq=2, keep=2)
    (tmp_path / "notes.pt").write_text("mine")
    model = begin(callback, save_dir=tmp_path, start=True)
    epochs_of(model, [{"epoch": n + 1, "loss": 1.0} for n in range(8)])
    assert files(tmp_path) == ["4.pt", "6.pt", "notes.pt", "start.pt"]
    callback.on_train_end({})
    assert files(tmp_path) == ["4.pt", "6.pt", "final.pt", "notes.pt", "start.pt"]


def test_the_best_must_beat_a_baseline(tmp_path) -> None:
    saver = cb.ModelCheckpoint(save_dir=tmp_path, best_only=True, monitor="acc", baseline=0.6)
    begin(saver, evaluates=False)
    written = []
    for epoch, acc in enumerate([0.5, 0.6, 0.7, 0.65]):
        saver.save(epoch, [0.0], [{"acc": acc}])
        path = tmp_path / "best_model.pt"
        written.append(path.exists() and checkpoint.read(path)["fit"]["epochs"] == epoch + 1)
    assert written == [False, False, True, False]
