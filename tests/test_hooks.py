"""Callbacks in a running loop: when each hook is called, what it is told, and what it can do."""

import re
from typing import Any

import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader

import tutorial as tl
from tutorial.callbacks import (
    HOOKS,
    Callback,
    EarlyStopping,
    LambdaCallback,
    LRScheduler,
    ModelCheckpoint,
    ProgressBar,
    ReduceLROnPlateau,
)


def everything(calls: list[Any]) -> Callback:
    """A callback that notes each call of each hook."""

    def noting(hook: str) -> Any:
        return lambda *arguments: calls.append((hook, *arguments))

    return LambdaCallback(**{hook: noting(hook) for hook in HOOKS})


def test_hooks_come_in_the_order_of_the_reference(data, more_data, make_model) -> None:
    calls: list[Any] = []
    make_model().fit(
        data, more_data, batch_size=[64, 50], epochs=2, verbose=0, callbacks=everything(calls)
    )
    batches = [f"on_train_batch_{when} {step}" for step in range(3) for when in ("begin", "end")]
    evaluation = [f"on_eval_batch_{when} {step}" for step in range(2) for when in ("begin", "end")]
    expected = ["on_train_begin"]
    for epoch in range(2):
        expected += [f"on_epoch_begin {epoch}", *batches, f"on_epoch_end {epoch}"]
        expected += ["on_eval_begin", *evaluation, "on_eval_end"]
    expected.append("on_train_end")
    assert [" ".join(str(a) for a in call if not isinstance(a, dict)) for call in calls] == expected


def test_hooks_of_evaluate_and_predict(data, make_model) -> None:
    for method, phase in (("evaluate", "eval"), ("predict", "predict")):
        calls: list[Any] = []
        getattr(make_model(), method)(data, verbose=0, callbacks=[everything(calls)])
        names = [call[0] for call in calls]
        batch = [f"on_{phase}_batch_begin", f"on_{phase}_batch_end"]
        assert names == [f"on_{phase}_begin", *batch * 3, f"on_{phase}_end"]


def test_logs_are_fresh_and_means_over_the_samples_so_far(data, more_data, make_model) -> None:
    calls: list[Any] = []
    model = make_model(tl.metrics.Accuracy())
    history = model.fit(data, more_data, epochs=2, verbose=0, callbacks=[everything(calls)])
    logs = [call[-1] for call in calls]
    assert len({id(log) for log in logs}) == len(logs)  # no dict is given twice
    assert all(log == {} for call, log in zip(calls, logs, strict=True) if "_begin" in call[0])
    ends = [(c[1], c[2]) for c in calls if c[0] == "on_train_batch_end"][:3]
    losses, sizes = history.step_losses[:3], [64, 64, 22]
    for step, log in ends:
        weighed = sum(a * b for a, b in zip(losses[: step + 1], sizes, strict=False))
        assert log["loss"] == pytest.approx(weighed / sum(sizes[: step + 1]), rel=1e-12)
        assert log.keys() == {"loss", "acc", "batch_size"} and log["batch_size"] == sizes[step]
    [first, _] = [c[2] for c in calls if c[0] == "on_epoch_end"]
    assert first == {k: v for k, v in history.rows[0].items() if not k.startswith("eval_")}
    [first, _] = [c[1] for c in calls if c[0] == "on_eval_end"]
    assert first == {k[5:]: v for k, v in history.rows[0].items() if k.startswith("eval_")}
    assert calls[-1] == ("on_train_end", history.rows[-1])


def test_what_a_callback_does_to_its_logs_harms_nobody(data, make_model) -> None:
    def spoil(*arguments: Any) -> None:
        arguments[-1].clear()

    seen: list[Any] = []
    callbacks = [
        LambdaCallback(on_train_batch_end=spoil, on_epoch_end=spoil, on_train_end=spoil),
        LambdaCallback(on_epoch_end=lambda epoch, logs: seen.append(logs)),
    ]
    history = make_model().fit(data, verbose=0, callbacks=callbacks)
    assert history.rows == seen and "loss" in history.rows[0]


def test_a_callback_knows_the_model_and_the_call(data, more_data, make_model) -> None:
    known: dict[str, Any] = {}

    class Asking(Callback):
        def on_train_begin(self, logs: Any = None) -> None:
            known.update(self.params, model=self.model)

    model = make_model(tl.metrics.Accuracy())
    model.fit(data, more_data, batch_size=32, epochs=3, verbose=0, callbacks=[Asking()])
    assert known["model"] is model
    assert {k: known[k] for k in ("epochs", "steps", "batch_size", "verbose", "evaluates")} == {
        "epochs": 3, "steps": 5, "batch_size": 32, "verbose": 0, "evaluates": True,
    }  # fmt: skip
    assert known["metrics"] == ["loss", "acc"] and known["save_dir"] is None
    loader = DataLoader(data, batch_size=10, drop_last=True)
    model.fit(loader, verbose=0, callbacks=[Asking()])
    assert known["steps"] == 15 and known["epochs"] == 1


@pytest.mark.parametrize("hook", ["on_train_batch_end", "on_epoch_end", "on_eval_end"])
def test_a_callback_can_end_the_training_and_nothing_leaks(
    hook: str, data, more_data, make_model
) -> None:
    class Ending(Callback):
        pass

    def end(self: Any, *_: Any) -> None:
        self.model.stop_training = True

    setattr(Ending, hook, end)
    model = make_model()
    history = model.fit(data, more_data, epochs=3, verbose=0, callbacks=[Ending()])
    assert len(history.step_losses) == (1 if hook == "on_train_batch_end" else 3)
    assert len(history.rows) == 1 and "eval_loss" in history.rows[0]  # the last is evaluated
    assert not history.interrupted
    assert len(model.fit(data, epochs=3, verbose=0).rows) == 3


def test_only_hooks_that_do_something_stand_in_the_loop(data, more_data, make_model) -> None:
    class Watching(Callback):
        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            pass

    model = make_model()
    source = model.unroll("fit", data, callbacks=[Watching(), Watching()]).source
    assert re.findall(r"watching\w*\.\w+\(.*\)", source) == [
        "watching.on_epoch_end(epoch, dict(rows[-1]))",
        "watching_2.on_epoch_end(epoch, dict(rows[-1]))",
    ]
    plain = model.unroll("fit", data).source
    assert "model." not in plain and "on_" not in plain
    assert "logs" not in source  # means are computed for a batch only if somebody asks


@pytest.mark.parametrize("by", ["step", "epoch"])
@pytest.mark.parametrize("accumulate", [1, 2])
def test_a_scheduler_steps_once_an_update_or_an_epoch(by, accumulate, data, make_model) -> None:
    rates: list[float] = []
    model = make_model(optimizer=torch.optim.SGD, lr=1.0)
    scheduler = torch.optim.lr_scheduler.ExponentialLR(model.optimizer, 0.5)
    note = LambdaCallback(
        on_train_batch_end=lambda *_: rates.append(model.optimizer.param_groups[0]["lr"])
    )
    model.fit(
        data,
        epochs=2,
        callbacks=[LRScheduler(scheduler, by_epoch=by == "epoch" or None), note],
        accumulate_grad_batches=accumulate,
        verbose=0,
    )
    expected = {
        ("step", 1): [0.5, 0.25, 0.125, 0.0625, 0.03125, 0.015625],
        ("step", 2): [1.0, 0.5, 0.25, 0.25, 0.125, 0.0625],  # 2 updates in an epoch of 3 batches
        ("epoch", 1): [1.0] * 3 + [0.5] * 3,
        ("epoch", 2): [1.0] * 3 + [0.5] * 3,
    }
    assert rates == expected[by, accumulate]


def test_the_scheduler_stands_in_the_loop_after_the_step(data, make_model) -> None:
    model = make_model()
    scheduler = torch.optim.lr_scheduler.StepLR(model.optimizer, 1)
    lines = model.unroll("fit", data, callbacks=[LRScheduler(scheduler)]).source.splitlines()
    code = [line.split("  #")[0].strip() for line in lines]
    at = code.index("optimizer.step()")
    assert code[at : at + 3] == ["optimizer.step()", "optimizer.zero_grad()", "scheduler.step()"]


def halving(epoch: int) -> float:
    return 0.5**epoch


@pytest.mark.parametrize(
    "make",
    [
        lambda o: torch.optim.lr_scheduler.LambdaLR(o, halving),
        lambda o: torch.optim.lr_scheduler.OneCycleLR(o, 0.1, total_steps=20),
        lambda o: torch.optim.lr_scheduler.CosineAnnealingWarmRestarts(o, 4),
        lambda o: torch.optim.lr_scheduler.MultiStepLR(o, [2, 4]),
        lambda o: torch.optim.lr_scheduler.CyclicLR(o, 0.01, 0.1, cycle_momentum=False),
        lambda o: torch.optim.lr_scheduler.PolynomialLR(o, 5),
        lambda o: torch.optim.lr_scheduler.SequentialLR(
            o,
            [
                torch.optim.lr_scheduler.LinearLR(o, total_iters=2),
                torch.optim.lr_scheduler.ExponentialLR(o, 0.9),
            ],
            [2],
        ),
    ],
    ids=["lambda", "one cycle", "cosine", "multi-step", "cyclic", "polynomial", "sequential"],
)
def test_any_scheduler_of_torch_is_written_into_the_script(make, data, make_model) -> None:
    model = make_model()
    callbacks = [LRScheduler(make(model.optimizer))]
    model.fit(data, verbose=0, callbacks=callbacks)  # it has a state now
    program = model.unroll("fit", data, epochs=2, callbacks=callbacks)
    proof = program.verify(model.fit(data, epochs=2, verbose=0, callbacks=callbacks))
    assert proof, proof


def test_several_callbacks_at_once_verify_and_leave_files_alone(
    data, more_data, make_model, tmp_path
) -> None:
    model = make_model(tl.metrics.Accuracy())
    callbacks = [
        EarlyStopping("acc", patience=3, verbose=0),
        ReduceLROnPlateau(patience=1, verbose=0),
        tl.callbacks.CSVLogger(tmp_path / "log.csv"),
        tl.callbacks.TerminateOnNaN(),
    ]
    call = {"epochs": 3, "callbacks": callbacks, "save_dir": tmp_path / "saved"}
    program = model.unroll("fit", data, more_data, **call)
    history = model.fit(data, more_data, **call, verbose=0)
    files = {path: path.read_bytes() for path in tmp_path.rglob("*.*") if path.is_file()}
    assert len(files) >= 5
    for proof in (program.verify(), program.verify(history)):
        assert proof, proof
    assert {path: path.read_bytes() for path in tmp_path.rglob("*.*") if path.is_file()} == files


def test_the_names_of_checkpoints(data, more_data, make_model, tmp_path) -> None:
    stop = EarlyStopping(patience=9, verbose=0)
    make_model().fit(
        data, more_data, epochs=4, save_dir=tmp_path, save_freq=3, callbacks=[stop], verbose=0
    )
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "0.pt", "3.pt", "best_model.pt", "final.pt",
    ]  # fmt: skip


def test_a_checkpoint_of_ones_own_takes_the_place_of_fits(data, make_model, tmp_path) -> None:
    mine = ModelCheckpoint(save_freq=2, save_dir=tmp_path / "mine")
    make_model().fit(data, epochs=3, save_dir=tmp_path / "fits", callbacks=mine, verbose=0)
    assert sorted(path.name for path in (tmp_path / "mine").iterdir()) == [
        "0.pt",
        "2.pt",
        "final.pt",
    ]
    assert not (tmp_path / "fits").exists()


def test_a_progress_bar_among_the_callbacks_is_the_display(data, make_model, capsys) -> None:
    make_model().fit(data, batch_size=50, callbacks=[ProgressBar(verbose=2, log_freq=2)])
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(":")[0] for line in lines] == ["epoch 1/1 step 2/3", "epoch 1/1"]
    make_model().fit(data, verbose=2, callbacks=[ProgressBar(verbose=0)])
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ([nn.ReLU()], "callbacks holds ReLU"),
        ([EarlyStopping], "with brackets"),
        (EarlyStopping, "with brackets"),
        ("early", "callbacks holds 'early'"),
        ([lambda epoch: None], "Callback objects"),
        (3, "callbacks holds 3"),
    ],
    ids=["module", "class", "bare class", "text", "function", "number"],
)
def test_what_is_no_callback_is_refused(wrong: Any, words: str, data, make_model) -> None:
    with pytest.raises(TypeError, match=words):
        make_model().fit(data, callbacks=wrong)


def test_a_bare_scheduler_is_refused_with_the_fix(data, make_model) -> None:
    model = make_model()
    scheduler = torch.optim.lr_scheduler.StepLR(model.optimizer, 1)
    with pytest.raises(TypeError, match=r"wrap it, LRScheduler\(scheduler\)"):
        model.fit(data, callbacks=[scheduler])
    with pytest.raises(TypeError, match=r"wrap it, LRScheduler\(scheduler\)"):
        model.fit(data, callbacks=scheduler)


@pytest.mark.parametrize(
    ("callback", "words"),
    [(EarlyStopping(), "eval_data"), (EarlyStopping("accuracy"), "'accuracy'")],
    ids=["no data", "no such name"],
)
def test_a_callback_that_cannot_work_is_refused_before_training(
    callback, words, data, more_data, make_model
) -> None:
    model = make_model()
    before = [weight.clone() for weight in model.parameters()]
    with pytest.raises(ValueError, match=words):
        model.fit(data, None if words == "eval_data" else more_data, callbacks=[callback])
    assert all(map(torch.equal, before, model.parameters()))


def test_a_users_callback_that_was_used_before_verifies(data, make_model) -> None:
    class Collecting(Callback):
        def __init__(self) -> None:
            self.losses: list[float] = []

        def on_train_batch_end(self, step: int, logs: Any = None) -> None:
            self.losses.append(logs["loss"])

    model, mine = make_model(), Collecting()
    model.fit(data, verbose=0, callbacks=[mine])
    program = model.unroll("fit", data, callbacks=[mine])
    proof = program.verify(model.fit(data, verbose=0, callbacks=[mine]))
    assert proof, proof
    assert len(mine.losses) == 6
    proof = program.verify()
    assert proof and len(mine.losses) == 6


@pytest.mark.parametrize("guarded", [True, False])
def test_a_loss_that_is_no_number_is_told_of_once(data, make_model, guarded: bool) -> None:
    model = make_model(optimizer=torch.optim.SGD, lr=1e30)
    callbacks = [tl.callbacks.TerminateOnNaN()] if guarded else None
    with pytest.warns(UserWarning, match="loss is") as told:
        model.fit(data, epochs=3, batch_size=32, callbacks=callbacks, verbose=0)
    assert len(told) == 1
    assert ("training ended" in str(told[0].message)) == guarded


def test_a_callback_may_hold_what_cannot_be_copied(data, make_model) -> None:
    class Holding(Callback):
        def __init__(self) -> None:
            self.product = torch.ones(1, requires_grad=True) * 2

        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            logs["product"] = self.product

    assert "holding.on_epoch_end" in str(make_model().unroll("fit", data, callbacks=Holding()))


def test_what_the_inputs_look_like_is_not_learned_from_a_call_inside(data, make_model) -> None:
    network = nn.Sequential(nn.AdaptiveAvgPool1d(4), nn.Linear(4, 3))  # of inputs of any width
    model = tl.Model(network)
    model.prepare(torch.optim.SGD(model.parameters(), lr=0.1), nn.CrossEntropyLoss())
    narrow = LambdaCallback(on_epoch_end=lambda *_: model.predict_batch(torch.zeros(2, 5)))
    model.fit(data, verbose=0, callbacks=narrow)
    assert [spec.shape for spec in model.called_with] == [(None, 8)]
