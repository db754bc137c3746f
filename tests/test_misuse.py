"""What goes wrong in other trainers, silently or in riddles: here it is right, or it is explained.

The numbers are those of the quirks in the list that this library was measured by. What is refused
is also in test_checks.py; here is the rest of the list.
"""

import warnings
from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from fakes import Stream
from torch import nn
from torch.utils.data import TensorDataset

import tutorial as tl
from tutorial.device import rng_state
from tutorial.metrics import Accuracy, Auc, Precision, Recall
from tutorial.unroll.proof import flat, identical

X = torch.randn(20, 8, generator=torch.Generator().manual_seed(0))
Y = torch.arange(20) % 3
GOOD = TensorDataset(X, Y)
CE = nn.CrossEntropyLoss


def prepared(network: nn.Module | None = None, loss: Any = None, metrics: Any = None) -> tl.Model:
    tl.seed(0)
    model = tl.Model(network or nn.Sequential(nn.Linear(8, 8), nn.Dropout(), nn.Linear(8, 3)))
    model.prepare(torch.optim.Adam(model.parameters(), lr=0.01), loss or CE(), metrics)
    return model


def trace(model: tl.Model) -> dict[str, Any]:
    """All that a refused call must leave as it was."""
    optimizer = {} if model.optimizer is None else model.optimizer.state_dict()
    modes = [module.training for module in model.network.modules()]
    state = {"network": model.network.state_dict(), "optimizer": optimizer, "modes": modes}
    kept = flat(state | {"chance": rng_state()})
    return {key: part.clone() if hasattr(part, "clone") else part for key, part in kept.items()}


# (number of the quirk, or the method of the table of errors): a call, its error, and its words
REFUSED: dict[str, tuple[Callable[[tl.Model], Any], type[Exception], tuple[str, ...]]] = {
    "Model: no network": (
        lambda m: tl.Model([m.network]), TypeError,
        ("network is [Sequential", "nn.Module is expected", "nn.Sequential("),
    ),
    "Model: a name that is no name": (
        lambda m: tl.Model(m.network, tl.InputSpec((None, 8), name="1st")), ValueError,
        ("name is '1st'", "as in Python"),
    ),
    "fit: no data": (lambda m: m.fit(None), TypeError, ("train_data is None", "TensorDataset(")),
    "fit: three batch sizes": (
        lambda m: m.fit(GOOD, batch_size=[1, 2, 3]), ValueError,
        ("batch_size is [1, 2, 3]", "a pair of them", "for training and for evaluation"),
    ),
    "evaluate: None": (lambda m: m.evaluate(None), TypeError, ("eval_data is None", "DataLoader")),
    "predict: None": (lambda m: m.predict(None), TypeError, ("test_data is None", "DataLoader")),
    "evaluate: before prepare": (
        lambda m: tl.Model(m.network).evaluate(GOOD), ValueError,
        ("no loss", "model.prepare(loss="),
    ),
    "train_batch: no optimizer": (
        lambda m: tl.Model(m.network).train_batch(X, Y), ValueError,
        ("no optimizer", "torch.optim.Adam("),
    ),
    "prepare: no metric": (
        lambda m: m.prepare(None, CE(), "acc"), TypeError,
        ("metrics holds 'acc'", "tutorial.metrics.Accuracy()"),
    ),
    "save: shape not known": (
        lambda m: tl.Model(m.network).save("never", training=False), ValueError,
        ("save(training=False)", "not known yet", "inputs=InputSpec((None, 1, 28, 28))"),
    ),
    "load: no such file": (
        lambda m: m.load("nowhere/at_all"), FileNotFoundError, ("nowhere/at_all",),
    ),
    "2: evaluate on nothing": (
        lambda m: m.evaluate(TensorDataset(X[:0], Y[:0])), ValueError, ("eval_data is empty",),
    ),
    "4: num_iters=0": (
        lambda m: m.fit(GOOD, num_iters=0), ValueError,
        ("num_iters is 0", "at least 1", "or None"),
    ),
    "8: an unknown curve": (
        lambda m: Auc(curve="P"), ValueError, ("curve is 'P'", "'ROC' or 'PR'"),
    ),
    "8: Auc of scores": (
        lambda m: m.prepare(m.optimizer, CE(), Auc()) or m.evaluate(GOOD), ValueError,
        ("Auc cannot measure", "(20, 3)", "one probability a sample", "For more classes use Acc"),
    ),
    "9: two of one name": (
        lambda m: m.prepare(None, CE(), [Accuracy(), Accuracy()]), ValueError,
        ("two values as 'acc'", 'Accuracy(name="top1")'),
    ),
    "11: a group without end": (
        lambda m: m.fit(Stream(GOOD), accumulate_grad_batches=2), TypeError,
        ("train_data has no length", "accumulate_grad_batches", "Give a Dataset"),
    ),
    "17: labels (N, 1)": (
        lambda m: m.prepare(m.optimizer, CE(label_smoothing=0.1))
        or m.fit(TensorDataset(X, Y[:, None])),
        ValueError, ("(20, 1)", "class indices of shape (20,)", "y.squeeze(1)"),
    ),
    "20: a label of the wrong kind": (
        lambda m: m.train_batch(X, Y.float()), ValueError,
        ("the batch: the labels are torch.float32", "torch.int64", "y.long()"),
    ),
    "fit: a class among the callbacks": (
        lambda m: m.fit(GOOD, callbacks=tl.callbacks.CSVLogger), TypeError,
        ("callbacks holds <class", "with brackets"),
    ),
    "fit: no folder": (
        lambda m: m.fit(GOOD, save_dir=3), ValueError,
        ("save_dir is 3", "the name of a directory", "or None"),
    ),
    "fit: a folder without a name": (
        lambda m: m.fit(GOOD, save_dir=""), ValueError,
        ("save_dir is ''", "the name of a directory"),
    ),
    "20: lists of numbers": (
        lambda m: m.train_batch(X.tolist(), Y.tolist()), ValueError,
        ("cannot take its inputs", "a list of 20", "Make tensors of them: torch.as_tensor(x)"),
    ),
    "load: no path": (
        lambda m: m.load(None), ValueError, ("path is None", "a file's name", "'my_model'"),
    ),
    "22: save to ''": (
        lambda m: m.save(""), ValueError, ("path is ''", "a file's name", "is expected"),
    ),
    "23: batch_size=4.0": (
        lambda m: m.fit(GOOD, batch_size=4.0), ValueError,
        ("batch_size is 4.0", "an integer of at least 1"),
    ),
    "23: epochs=0": (
        lambda m: m.fit(GOOD, epochs=0), ValueError, ("epochs is 0", "at least 1"),
    ),
    "23: eval_freq=0": (
        lambda m: m.fit(GOOD, GOOD, eval_freq=0), ValueError, ("eval_freq is 0", "at least 1"),
    ),
    "23: log_freq=0": (
        lambda m: m.evaluate(GOOD, log_freq=0), ValueError, ("log_freq is 0", "at least 1"),
    ),
    "23: save_freq=0": (
        lambda m: m.fit(GOOD, save_freq=0), ValueError, ("save_freq is 0", "at least 1"),
    ),
    "23: no loss": (
        lambda m: m.prepare(m.optimizer) or m.fit(GOOD), ValueError, ("no loss",),
    ),
    "23: gpu where there is none": (
        lambda m: tl.set_device("gpu:99"), ValueError, ("name is 'gpu:99'", "this machine has"),
    ),
    "24: a loss of other arguments": (
        lambda m: m.prepare(m.optimizer, lambda a, b, y: CE()(a, y)) or m.fit(GOOD), ValueError,
        ("the loss cannot compare", "(20, 3)", "missing 1 required positional argument"),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_misuse_is_refused_and_changes_nothing(name: str, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    call, kind, words = REFUSED[name]
    model = prepared(metrics=Accuracy())
    model.train_batch(X, Y)
    model.network[1].eval()  # modes that differ from layer to layer
    before = trace(model)
    with pytest.raises(kind) as error:
        call(model)
    for word in words:
        assert word in str(error.value)
    after = trace(model)
    assert not [key for key in before | after if not identical(before.get(key), after.get(key))]
    assert not list(tmp_path.iterdir())


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
