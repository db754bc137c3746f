"""What goes wrong in other trainers, silently or in riddles: here it is right, or it is explained.

What is refused stands in misuses.py, in one table; here is what shows only at its step, and what is
no misuse: it works. The numbers are those of the quirks in the list that this library was measured
by.
"""

import copy
import io
import pickle
import sys
import traceback
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from misuses import CE, GOOD, MISUSES, Own, X, Y, become, prepared, print_table
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import tutorial as tl
from tutorial.callbacks import (
    CSVLogger,
    EarlyStopping,
    LambdaCallback,
    LRScheduler,
    ModelCheckpoint,
    TensorBoard,
)
from tutorial.metrics import Accuracy, Precision, Recall
from tutorial.unroll.proof import flat, identical


@pytest.mark.parametrize("name", MISUSES)
def test_misuse_is_refused_and_changes_nothing(name: str, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    outcome, misuse = become(MISUSES[name]), MISUSES[name]
    assert type(outcome.error) is misuse.error, outcome.error
    for word in misuse.words:
        assert word in str(outcome.error)
    assert (outcome.changed, outcome.files) == ([], [])
    assert len(str(outcome.error)) < 900


def test_the_table_can_be_printed(capsys) -> None:
    print_table("fit: epochs=0")
    printed = capsys.readouterr().out
    assert "fit: epochs=0\n    ValueError: epochs is 0, but an integer of at least 1" in printed
    assert "1 misuses: {'refused': 1}" in printed


# ---- what can only show at its step


def failing(at: int, error: Exception) -> Own:
    """Data of which one sample cannot be read."""

    def sample(i: int) -> Any:
        if i == at:
            raise error
        return X[i], Y[i]

    return Own(sample)


def stream(*batches: Any) -> Iterator[Any]:
    for batch in batches:
        if isinstance(batch, Exception):
            raise batch
        yield batch


class Passes:
    """It can be read so often, and then it is empty: nobody knows beforehand."""

    def __init__(self, times: int) -> None:
        self.left = times

    def __iter__(self) -> Iterator[Any]:
        if self.left:
            self.left -= 1
            yield X, Y


def raises(hook: str, at: int = 0) -> LambdaCallback:
    def fail(number: int, logs: Any) -> None:
        if number == at:
            raise RuntimeError("a callback failed")

    return LambdaCallback(**{hook: fail})


BATCH = (X, Y)
EPOCH_OF_4 = {"batch_size": 5, "shuffle": False}

# a call, its error, its words and those of its note; the steps and epochs that the history has then
LATE: dict[str, tuple[Callable[[tl.Model], Any], type[Exception], str, str, int, int]] = {
    "a bad sample": (
        lambda m: m.fit(failing(13, OSError("no 13.png")), **EPOCH_OF_4, verbose=0),
        OSError, "no 13.png", "(in epoch 1, step 3, line 11 of the loop: for step, (x, y)", 2, 0,
    ),
    "a bad sample, in the second epoch": (
        lambda m: m.fit(DataLoader(Countdown(27), 5), epochs=2, verbose=0),
        OSError, "used up", "(in epoch 2, step 2, line", 5, 1,
    ),
    "a bad first sample, in the second epoch": (
        lambda m: m.fit(DataLoader(Countdown(20), 5), epochs=2, verbose=0),
        OSError, "used up", "(in epoch 2, step 1, line", 4, 1,
    ),
    "a bad sample to evaluate on": (
        lambda m: m.fit(GOOD, failing(13, OSError("no 13.png")), **EPOCH_OF_4, verbose=0),
        OSError, "no 13.png", "(in epoch 1, step 3, line 41 of the loop: for step, (x, y)", 4, 1,
    ),
    "a loader that fails": (
        lambda m: m.fit(stream(BATCH, BATCH, ConnectionError("gone")), verbose=0),
        ConnectionError, "gone", "(in epoch 1, step 3, line", 2, 0,
    ),
    "a worker that fails": (
        lambda m: m.fit(failing(13, OSError("no 13.png")), **EPOCH_OF_4, num_workers=1, verbose=0),
        OSError, "no 13.png", "(in epoch 1, step 3, line", 2, 0,
    ),
    "a batch of another width": (
        lambda m: m.fit(stream(BATCH, BATCH, (X[:, 1:], Y)), verbose=0),
        RuntimeError, "20x7", "(in epoch 1, step 3, line 12 of the loop: y_hat = network(x))", 2, 0,
    ),
    "a batch with a label too large": (
        lambda m: m.fit(stream(BATCH, (X, Y + 9)), verbose=0),
        IndexError, "Target 9", "(in epoch 1, step 2, line 13 of the loop: loss = loss_fn", 1, 0,
    ),
    "no batch": (
        lambda m: m.fit(stream(BATCH, None), verbose=0),
        TypeError, "NoneType", "(in epoch 1, step 2, line 11 of the loop: for step, (x, y)", 1, 0,
    ),
    "a callback before an epoch": (
        lambda m: m.fit(GOOD, epochs=2, callbacks=raises("on_epoch_begin", at=1), verbose=0),
        RuntimeError, "a callback failed", "(in epoch 2, line", 1, 1,
    ),
    "a callback after a step": (
        lambda m: m.fit(GOOD, batch_size=5, callbacks=raises("on_train_batch_end"), verbose=0),
        RuntimeError, "a callback failed", "(in epoch 1, step 1, line", 1, 0,
    ),
    "a callback after an epoch": (
        lambda m: m.fit(GOOD, batch_size=5, callbacks=raises("on_epoch_end"), verbose=0),
        RuntimeError, "a callback failed", "(in epoch 1, line", 4, 1,
    ),
    "training data that is used up": (
        lambda m: m.fit(Passes(2), epochs=3, verbose=0), ValueError,
        "epoch 3/3: train_data gave no batch; at least one is expected", "(in epoch 3, line", 2, 2,
    ),
    "validation data that is used up": (
        lambda m: m.fit(GOOD, Passes(1), epochs=3, verbose=0), ValueError,
        "epoch 2/3: eval_data gave no batch; at least one is expected", "(in epoch 2, line", 2, 2,
    ),
}  # fmt: skip


class Countdown(Own):
    """Data that can be read so many times, and a look at it does not count."""

    def __init__(self, left: int) -> None:
        self.left = left
        super().__init__(self.read)

    def read(self, i: int) -> Any:
        self.left -= 1
        if self.left < 0:
            raise OSError("used up")
        return X[i], Y[i]


@pytest.mark.parametrize("name", LATE)
def test_what_shows_at_its_step_names_it(name: str) -> None:
    call, kind, words, note, steps, epochs = LATE[name]
    model = prepared(metrics=Accuracy())
    with pytest.raises(kind, match=words.replace("(", r"\(")) as error:
        call(model)
    assert [text for text in error.value.__notes__ if text.startswith(note)]
    assert model.history is not None
    assert (len(model.history.step_losses), len(model.history.rows)) == (steps, epochs)


class Changing(nn.Linear):
    """It changes in place what backward needs."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y_hat = torch.sigmoid(super().forward(x))
        y_hat += 1
        return y_hat


class Keeping(nn.Linear):
    """It keeps a state for the next batch, and all that it was computed from."""

    state: Any = 0.0

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y_hat = super().forward(x) + self.state
        self.state = y_hat.mean()
        return y_hat


@pytest.mark.parametrize(
    ("network", "step", "advice"),
    [(Changing, 1, "make a new tensor there"), (Keeping, 2, "keep as x.detach()")],
)
def test_torchs_riddles_come_with_advice(network: Any, step: int, advice: str) -> None:
    with pytest.raises(RuntimeError) as error:
        prepared(network(8, 3)).fit(GOOD, batch_size=5, verbose=0)
    place, note = error.value.__notes__
    assert place == f"(in epoch 1, step {step}, line 13 of the loop: loss.backward())"
    assert advice in note


def test_a_division_by_zero_of_the_users_is_no_empty_pass() -> None:
    loader = DataLoader(GOOD, 5, num_workers=1, worker_init_fn=lambda number: 1 // 0)
    with pytest.raises(ZeroDivisionError) as error:
        prepared().fit(loader, verbose=0)
    assert "(in epoch 1, step 1, line" in error.value.__notes__[0]


@pytest.mark.parametrize("call", ["evaluate", "predict"])
def test_what_fails_in_an_evaluation_names_its_step(call: str) -> None:
    with pytest.raises(OSError, match=r"no 13\.png") as error:
        getattr(prepared(), call)(failing(13, OSError("no 13.png")), batch_size=5, verbose=0)
    assert "(in step 3, line" in error.value.__notes__[0]


def test_what_counts_its_passes_is_not_asked_for_one_beforehand() -> None:
    class Counting:
        passes = 0

        def __iter__(self) -> Iterator[Any]:
            self.passes += 1
            return iter([BATCH])

    data = Counting()
    prepared().fit(data, epochs=3, verbose=0)
    assert data.passes == 3


# ---- the traceback of a refusal is short


class Forward(nn.Linear):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return super().forward(x)


@pytest.mark.parametrize("network", [nn.Linear, Forward])
@pytest.mark.parametrize("misuse", ["data", "number", "loop"])
def test_a_refusal_fits_on_a_screen(network: Any, misuse: str) -> None:
    model = prepared(network(8, 3))
    bad: dict[str, Any] = {"loop": "for x in"} if misuse == "loop" else {}
    bad |= {"epochs": 0} if misuse == "number" else {}
    for call in (model.fit, lambda *a, **k: model.unroll("fit", *a, **k)):
        with pytest.raises(ValueError, match=r"cannot take|epochs is 0|Python") as error:
            call(TensorDataset(X[:, 1:] if misuse == "data" else X, Y), **bad)
        shown = "".join(traceback.format_exception(error.value)).splitlines()
        assert len(shown) < 35
        assert any(line.startswith("ValueError: ") for line in shown[-5:])
        ours = [line for line in shown if "/tutorial/" in line]
        assert len(ours) <= 2  # the public method, and what it calls
        if misuse == "data" and network is Forward:
            assert any("super().forward(x)" in line for line in shown)


def test_a_fault_of_the_library_keeps_its_traceback() -> None:
    model = prepared()
    model.measures = None  # type: ignore[assignment]
    with pytest.raises(AttributeError) as error:
        model.fit(GOOD, verbose=0)
    assert "in decide" in "".join(traceback.format_exception(error.value))


# ---- what is no misuse: it works


@pytest.mark.parametrize("how", ["no_grad", "set_grad_enabled", "inference_mode"])
def test_gradients_switched_off_in_an_earlier_cell_do_not_matter(how: str) -> None:
    expected = prepared().fit(GOOD, GOOD, batch_size=5, verbose=0)
    one = prepared().train_batch(X, Y)

    def off() -> Any:
        return {
            "no_grad": torch.no_grad,
            "set_grad_enabled": lambda: torch.set_grad_enabled(False),
            "inference_mode": torch.inference_mode,
        }[how]()

    for network in (None, Forward(8, 3)):
        model = prepared(network)
        with off():
            history = model.fit(GOOD, GOOD, batch_size=5, verbose=0)
            evaluated = model.evaluate(GOOD, verbose=0)
            assert not torch.is_grad_enabled()
        if network is None:
            assert history.step_losses == expected.step_losses
            assert history.rows == expected.rows
        assert history.rows[-1]["eval_loss"] == pytest.approx(evaluated["loss"])
    other = prepared()
    with off():
        assert other.train_batch(X, Y) == one
        assert model.predict_batch(X)[0].shape == (20, 3)


HOME = [
    ("save_dir", lambda m: m.fit(GOOD, save_dir="~/a", verbose=0), "a/final.pt"),
    ("resume", lambda m: m.fit(GOOD, save_dir="~/a", resume=True, verbose=0), "a/final.pt"),
    (
        "ModelCheckpoint",
        lambda m: m.fit(GOOD, callbacks=ModelCheckpoint(save_dir="~/a"), verbose=0),
        "a/final.pt",
    ),
    ("CSVLogger", lambda m: m.fit(GOOD, callbacks=CSVLogger("~/a.csv"), verbose=0), "a.csv"),
    ("TensorBoard", lambda m: m.fit(GOOD, callbacks=TensorBoard("~/a"), verbose=0), "a/events*"),
    ("save", lambda m: m.load(m.save("~/a")) or m.load("~/a"), "a.pt"),
    ("Program.save", lambda m: m.unroll("fit", GOOD).save("~/a.py"), "a.py"),
]


@pytest.mark.parametrize(("call", "file"), [pytest.param(*c, id=n) for n, *c in HOME])
def test_a_tilde_is_the_users_home(
    call: Callable[[tl.Model], Any], file: str, tmp_path, monkeypatch
) -> None:
    home, here = tmp_path / "home", tmp_path / "here"
    home.mkdir(), here.mkdir()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.chdir(here)
    call(prepared())
    assert list(home.glob(file))
    assert not list(here.iterdir())


class Writes:
    """An output that knows how to write, and nothing else."""

    def write(self, text: str) -> int:
        return len(text)


def closed() -> io.StringIO:
    stream = io.StringIO()
    stream.close()
    return stream


@pytest.mark.parametrize("verbose", [0, 1, 2])
@pytest.mark.parametrize("output", [lambda: None, Writes, closed], ids=["none", "write", "closed"])
@pytest.mark.parametrize("name", ["stdout", "stderr"])
def test_an_odd_output_ends_no_training(
    name: str, output: Callable[[], Any], verbose: int, monkeypatch
) -> None:
    model = prepared(metrics=Accuracy())
    monkeypatch.setattr(sys, name, output())
    stop = EarlyStopping(patience=1, min_delta=100.0)
    assert len(model.fit(GOOD, GOOD, epochs=3, callbacks=stop, verbose=verbose).rows) == 2
    model.evaluate(GOOD, verbose=verbose)
    model.predict(GOOD, verbose=verbose)
    model.summary((1, 8))


def pickled(model: tl.Model) -> Any:
    return pickle.loads(pickle.dumps(model))


def saved_whole(model: tl.Model) -> Any:
    file = io.BytesIO()
    torch.save(model, file)
    file.seek(0)
    return torch.load(file, weights_only=False)


@pytest.mark.parametrize("copied", [pickled, copy.deepcopy, saved_whole])
@pytest.mark.parametrize("trained", [False, True])
def test_a_model_can_be_copied_whole(copied: Callable[[tl.Model], Any], trained: bool) -> None:
    model = prepared(metrics=Accuracy())
    if trained:
        scheduler = torch.optim.lr_scheduler.StepLR(model.optimizer, 2)
        callbacks = [EarlyStopping(save_best_model=False), LRScheduler(scheduler)]
        model.fit(GOOD, GOOD, batch_size=5, callbacks=callbacks, verbose=0)
    other = copied(model)
    tl.seed(1)
    expected = model.fit(GOOD, GOOD, batch_size=5, verbose=0)
    tl.seed(1)
    history = other.fit(GOOD, GOOD, batch_size=5, verbose=0)
    assert (history.step_losses, history.rows) == (expected.step_losses, expected.rows)
    weights, others = flat(model.network.state_dict()), flat(other.network.state_dict())
    assert all(identical(weights[key], others[key]) for key in weights)


# ---- what is not refused means what it says


def test_3_and_4_nothing_of_one_call_is_left_for_the_next() -> None:
    model = prepared()
    stop = tl.callbacks.EarlyStopping(patience=1, min_delta=100.0, verbose=0)
    assert len(model.fit(GOOD, GOOD, epochs=9, callbacks=stop, verbose=0).rows) == 2
    assert len(model.fit(GOOD, epochs=3, verbose=0).rows) == 3
    history = model.fit(GOOD, GOOD, batch_size=10, epochs=3, num_iters=5, verbose=0)
    assert (len(history.step_losses), len(history.rows)) == (5, 3)
    assert "eval_loss" in history.rows[-1]
    model.fit(GOOD, batch_size=4, accumulate_grad_batches=4, num_iters=3, verbose=0)
    assert all(weight.grad is None for weight in model.parameters())


def test_5_patience_0_goes_on_while_it_improves() -> None:
    model = prepared(nn.Linear(8, 3))
    stop = tl.callbacks.EarlyStopping(patience=0, verbose=0)
    assert len(model.fit(GOOD, GOOD, epochs=4, callbacks=stop, verbose=0).rows) == 4


def test_6_a_stray_batch_changes_no_metric() -> None:
    model = prepared(metrics=Accuracy())
    expected = model.evaluate(GOOD, verbose=0)
    model.eval_batch(X[:3], Y[:3])
    assert model.evaluate(GOOD, verbose=0) == expected


def test_7_a_half_is_positive_for_precision_and_for_recall() -> None:
    for metric in (Precision(), Recall()):
        metric.update(torch.tensor([0.5, 0.4]), torch.tensor([1, 0]))
        assert metric.accumulate() == 1.0


def test_18_and_19_what_was_learned_goes_on_in_a_second_model(tmp_path) -> None:
    model = prepared(nn.Sequential(nn.Linear(8, 8), nn.Linear(8, 3)))
    again = prepared(nn.Sequential(nn.Linear(8, 8), nn.Linear(8, 3)))
    other = prepared(nn.Sequential(nn.Linear(8, 8), nn.Linear(8, 4)))
    model.train_batch(X, Y)
    path = model.save(tmp_path / "one")
    again.load(path)
    assert again.train_batch(X, Y) == model.train_batch(X, Y)
    messages = warned(lambda: other.load(path, skip_mismatch=True))
    assert "1.weight" in messages[0] and len(messages) == 2
    assert torch.equal(other.network[0].weight, torch.load(path)["network"]["0.weight"])


def test_20_and_21_bare_labels_and_flat_outputs_will_do() -> None:
    model = prepared()
    expected = model.eval_batch([X], [Y])
    assert model.eval_batch(X.numpy(), Y.numpy()) == model.eval_batch(X, Y) == expected
    flat_out = tl.Model(nn.Sequential(nn.Linear(8, 1), nn.Flatten(0)))
    [y_hat] = flat_out.predict(GOOD, batch_size=7, stack_outputs=True, verbose=0)
    assert y_hat.shape == (20,)


# ---- warnings: once each, and with the fix


def warned(call: Callable[[], Any]) -> list[str]:
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        call()
    return [str(warning.message) for warning in seen]


def test_an_optimizer_of_another_network_is_warned_of_once() -> None:
    model = prepared()
    both = [*model.parameters(), *nn.Linear(3, 3).parameters()]
    optimizer = torch.optim.SGD(both, lr=0.1)
    [message] = warned(lambda: model.prepare(optimizer, CE()))
    assert "2 parameters that are not the network's" in message
    assert "model.parameters()" in message
    assert warned(lambda: model.fit(GOOD, epochs=2, verbose=0)) == []


@pytest.mark.parametrize("loss", [CE(), F.cross_entropy], ids=["module", "function"])
def test_softmax_before_cross_entropy_is_warned_of_once(loss: Any) -> None:
    twice = prepared(nn.Sequential(nn.Linear(8, 3), nn.Softmax(1)), loss)
    [message] = warned(lambda: twice.fit(GOOD, GOOD, epochs=3, verbose=0))
    assert "train_data: the predictions are probabilities" in message
    assert "Remove nn.Softmax" in message and "nn.NLLLoss()" in message
    other = prepared(nn.Sequential(nn.Linear(8, 3), nn.Softmax(1)), loss)
    calls = [lambda: other.train_batch(X, Y)] * 3
    assert len([message for call in calls for message in warned(call)]) == 1


def test_other_ends_of_a_network_are_not_warned_of() -> None:
    last = (nn.Identity(), nn.ReLU(), nn.Sigmoid(), nn.LogSoftmax(1))
    for layer in last:
        model = prepared(nn.Sequential(nn.Linear(8, 3), layer))
        assert warned(lambda: model.fit(GOOD, verbose=0)) == []  # noqa: B023
    probabilities = TensorDataset(X, F.one_hot(Y).float())
    for loss, data in ((nn.MSELoss(), probabilities), (lambda p, y: F.nll_loss(p.log(), y), GOOD)):
        model = prepared(nn.Sequential(nn.Linear(8, 3), nn.Softmax(1)), loss)
        assert warned(lambda: model.fit(data, verbose=0)) == []  # noqa: B023


def own_loss(y_hat: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    return ((y_hat - y) ** 2).mean()


OWN_LOSSES: dict[str, Callable[..., Any]] = {
    "mean": own_loss,
    "sum": lambda y_hat, y: ((y_hat - y) ** 2).sum(),
    "squeezes": lambda y_hat, y: own_loss(y_hat.squeeze(1), y),
    "takes only (N,)": lambda y_hat, y: F.binary_cross_entropy_with_logits(y_hat.squeeze(1), y),
}


@pytest.mark.parametrize("kind", OWN_LOSSES)
def test_a_loss_of_ones_own_that_would_broadcast_is_warned_of_once(kind: str) -> None:
    y = torch.rand(20, generator=torch.Generator().manual_seed(1))
    model = prepared(nn.Linear(8, 1), OWN_LOSSES[kind])
    messages = warned(lambda: model.fit(TensorDataset(X, y), TensorDataset(X, y), verbose=0))
    assert len(messages) == (kind in ("mean", "sum"))
    for message in messages:
        assert "train_data: the labels of 2 samples have shape (2,)" in message
        assert "predictions (2, 1)" in message and "y.unsqueeze(1)" in message
    if "squeeze" not in kind and "(N,)" not in kind:
        assert warned(lambda: model.fit(TensorDataset(X, y[:, None]), verbose=0)) == []


def test_a_loss_that_is_not_finite_is_warned_of() -> None:
    broken = TensorDataset(torch.where(torch.arange(20)[:, None] == 0, torch.nan, X), Y)
    model = prepared()
    first = warned(lambda: model.evaluate(broken, verbose=0))[0]
    assert "eval_data: the loss of the first batch is [nan]" in first
    assert "nan, inf or a division by zero" in first
    late = TensorDataset(X.index_fill(0, torch.tensor([19]), torch.inf), Y)
    [message] = warned(
        lambda: prepared().fit(late, batch_size=4, epochs=2, shuffle=False, verbose=0)
    )
    assert "the mean loss is nan" in message and "learning rate" in message


def test_a_warning_points_at_the_users_own_line() -> None:
    class Own(nn.Linear):
        """It is looked at in a fork; a layer of PyTorch's on a copy."""

    broken = TensorDataset(torch.where(torch.arange(20)[:, None] == 0, torch.nan, X), Y)
    for network in (Own(8, 3), nn.Linear(8, 3)):
        with pytest.warns(UserWarning, match="not a finite number") as seen:
            prepared(network).unroll("evaluate", broken)
        assert {warning.filename for warning in seen} == {__file__}


# ---- options that a loader has already


def loader_of(**options: Any) -> DataLoader:
    return DataLoader(GOOD, batch_size=5, **options)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (
            {"batch_size": 64},
            "batch_size=64 has no effect: train_data is a DataLoader with batch_s",
        ),
        ({"num_workers": 1}, "num_workers=1 has no effect"),
        ({"drop_last": True}, "drop_last=True has no effect"),
    ],
)
def test_an_option_without_effect_is_told(options: dict[str, Any], told: str) -> None:
    with pytest.warns(UserWarning, match=told) as seen:
        prepared().fit(loader_of(), verbose=0, **options)
    assert {warning.filename for warning in seen} == {__file__}


def test_an_option_that_a_loader_has_is_fine(recwarn) -> None:
    prepared().fit(loader_of(), verbose=0, batch_size=5)
    prepared().fit(loader_of(), GOOD, verbose=0, batch_size=7)  # of the validation data
    prepared().fit(loader_of(), verbose=0)
    assert not recwarn.list


# ---- a warning names the user's line


def test_a_warning_from_within_the_loop_names_the_users_line() -> None:
    model = prepared()
    model.optimizer.param_groups[0]["lr"] = 1e38
    with pytest.warns(UserWarning, match="the mean loss is") as seen:
        model.fit(GOOD, epochs=3, verbose=0)
    assert {warning.filename for warning in seen} == {__file__}
