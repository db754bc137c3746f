"""A metric that few samples do not define is measured where it is defined, and is nan elsewhere."""

import math
import warnings
from typing import Any

import numpy as np
import pytest
import torch
import torchmetrics
from fakes import OneByOne
from sklearn.metrics import r2_score, roc_auc_score
from torch import nn
from torch.utils.data import TensorDataset
from torchmetrics.regression import MeanSquaredError, R2Score, SpearmanCorrCoef

import tutorial as tl
from tutorial.callbacks import EarlyStopping
from tutorial.inputs.undefined import kinds_of_labels, other_labels
from tutorial.metrics import value_or_nan

X = torch.randn(30, 4, generator=torch.Generator().manual_seed(0))
SORTED = torch.arange(30) // 10  # as ImageFolder sorts


class Exact(tl.metrics.Metric):
    """Keeps everything; scikit-learn computes."""

    def __init__(self, score: Any, error: type[Exception] = ValueError) -> None:
        self.score, self.error = score, error
        self.reset()

    def name(self) -> str:
        return "exact"

    def reset(self) -> None:
        self.kept: list[tuple[np.ndarray, np.ndarray]] = []

    def update(self, y_hat: torch.Tensor, y: torch.Tensor) -> None:
        self.kept.append((y_hat.detach().numpy(), y.numpy()))

    def compute(self) -> Any:
        try:
            y_hat, y = (np.concatenate(parts) for parts in zip(*self.kept, strict=True))
            with warnings.catch_warnings():
                warnings.simplefilter("error")  # newer ones give nan, and warn
                return self.score(y, y_hat)
        except Exception as error:
            raise self.error(f"needs more data: {error}") from error


def of_two(y: np.ndarray, y_hat: np.ndarray) -> Any:
    return roc_auc_score(y, y_hat)


def of_three(y: np.ndarray, y_hat: np.ndarray) -> Any:
    p = np.exp(y_hat - y_hat.max(axis=1, keepdims=True))
    return roc_auc_score(y, p / p.sum(axis=1, keepdims=True), multi_class="ovr", labels=[0, 1, 2])


def binary(metric: Any, y: torch.Tensor = SORTED > 0) -> tuple[tl.Model, TensorDataset]:
    model = tl.Model(nn.Sequential(nn.Linear(4, 1), nn.Sigmoid()))
    return prepared(model, nn.BCELoss(), metric), TensorDataset(X, y[:, None].float())


def classes(metric: Any) -> tuple[tl.Model, TensorDataset]:
    return prepared(tl.Model(nn.Linear(4, 3)), nn.CrossEntropyLoss(), metric), TensorDataset(
        X, SORTED
    )


def regression(metric: Any) -> tuple[tl.Model, TensorDataset]:
    data = TensorDataset(X, X[:, :1].round())
    return prepared(tl.Model(nn.Linear(4, 1)), nn.MSELoss(), metric), data


def prepared(model: tl.Model, loss: Any, metric: Any) -> tl.Model:
    model.prepare(torch.optim.SGD(model.parameters(), lr=0.1), loss, metric)
    return model


CASES: dict[str, Any] = {
    "two classes": lambda: (*binary(Exact(of_two)), of_two),
    "RuntimeError": lambda: (*binary(Exact(of_two, RuntimeError)), of_two),
    "ZeroDivisionError": lambda: (*binary(Exact(of_two, ZeroDivisionError)), of_two),
    "three classes": lambda: (*classes(Exact(of_three)), of_three),
    "R2Score": lambda: (*regression(R2Score()), r2_score),
    "a collection": lambda: (*regression(
        torchmetrics.MetricCollection({"r2": R2Score(), "mse": MeanSquaredError()})), r2_score),
}  # fmt: skip


@pytest.mark.parametrize("batch_size", [1, 7, 30])
@pytest.mark.parametrize("form", [lambda data: data, OneByOne], ids=["in memory", "one by one"])
@pytest.mark.parametrize("kind", CASES)
def test_it_is_measured_over_all_the_data(kind: str, form: Any, batch_size: int) -> None:
    torch.manual_seed(0)
    model, data, score = CASES[kind]()
    before = [weight.detach().clone() for weight in model.parameters()]
    result = model.evaluate(form(data), batch_size=batch_size, verbose=2, log_freq=1)
    x, y = data.tensors
    expected = score(y.numpy(), model.network(x).detach().numpy())
    [name] = result.keys() & {"exact", "r2_score", "r2"}
    assert result[name] == pytest.approx(expected, abs=1e-5)
    assert all(map(torch.equal, before, model.parameters()))
    for shuffle in (False, True):
        history = model.fit(
            form(data), form(data), batch_size=batch_size, epochs=2, shuffle=shuffle, verbose=2,
            log_freq=1, callbacks=tl.callbacks.LambdaCallback(on_train_batch_end=lambda *_: None),
        )  # fmt: skip
        assert all(math.isfinite(value) for row in history.rows for value in row.values())


def test_a_metric_that_is_always_defined_leaves_no_trace_in_the_loop() -> None:
    model, data = binary([tl.metrics.Auc(), tl.metrics.Recall(), Exact(lambda y, y_hat: 0.5)])
    assert "value_or_nan" not in str(model.unroll("fit", data, data))
    model, data, _ = CASES["two classes"]()
    assert '"exact": float(value_or_nan(exact))' in str(model.unroll("fit", data))


def test_a_lack_of_memory_is_an_error() -> None:
    for error in (MemoryError, torch.cuda.OutOfMemoryError):
        with pytest.raises(error):
            value_or_nan(Exact(wrong, error))
    assert math.isnan(value_or_nan(Exact(wrong, RuntimeError)))


def test_its_loop_is_proved() -> None:
    model, data, _ = CASES["R2Score"]()
    program = model.unroll("fit", data, batch_size=1, shuffle=False)
    assert program.verify()


@pytest.mark.parametrize("metric", [Exact(of_two), tl.metrics.Auc(name="exact")])
def test_data_that_leaves_it_undefined_gives_nan_and_one_warning_that_says_why(metric: Any) -> None:
    model, data = binary(metric)
    one_class = TensorDataset(X[:10], torch.zeros(10, 1))
    why = "one class"
    stop = EarlyStopping("exact", mode="max", patience=9, verbose=0)
    with pytest.warns(UserWarning, match=rf"epoch 1/3: nan for eval_exact.*{why}") as seen:
        history = model.fit(data, one_class, epochs=3, batch_size=7, verbose=0, callbacks=stop)
    assert len(seen) == 1 and len(history.rows) == 3
    assert all(math.isnan(row["eval_exact"]) and row["exact"] > 0 for row in history.rows)
    with pytest.warns(UserWarning, match=rf"evaluate: nan for exact.*{why}"):
        assert math.isnan(model.evaluate(one_class, verbose=0)["exact"])
    assert math.isnan(model.eval_batch(*one_class.tensors)["exact"])


class Grad(Exact):
    """What a metric must not do: an array of what has a gradient."""

    def update(self, y_hat: torch.Tensor, y: torch.Tensor) -> None:
        self.tensors = [y_hat, y]

    def compute(self) -> Any:
        y_hat, y = self.tensors
        if len(y.unique()) < 2:
            raise ValueError("one class")
        return self.score(y.numpy(), y_hat.numpy())


def wrong(y: np.ndarray, y_hat: np.ndarray) -> Any:
    raise TypeError("this never works")


@pytest.mark.parametrize(
    ("metric", "labels", "words"),
    [
        (Exact(wrong), SORTED > 0, "this never works"),
        (Exact(wrong), torch.arange(30) % 2, "this never works"),
        (Grad(of_two), SORTED > 0, "requires grad"),
        (Exact(lambda y, y_hat: of_two(y, y_hat[:-1])), SORTED > 0, "inconsistent numbers"),
        (tl.metrics.Recall(), SORTED * 0 + 2, "labels other than 0 and 1"),
        (tl.metrics.Recall(), (SORTED > 0) * -100, "labels other than 0 and 1"),
        (tl.metrics.Auc(), (SORTED > 0) * 101 - 100, "labels other than 0 and 1"),
    ],
)
def test_what_no_labels_would_mend_is_refused_before_training(
    metric: Any, labels: torch.Tensor, words: str
) -> None:
    model, data = binary(metric, labels)
    model.prepare(model.optimizer, lambda y_hat, y: (y_hat - y).square().mean(), metric)
    before = model.network[0].weight.detach().clone()
    with pytest.raises(ValueError, match=rf"cannot measure.*{words}"):
        model.fit(data, batch_size=10, shuffle=False, verbose=0)
    assert torch.equal(model.network[0].weight, before)


def test_labels_that_come_later_are_looked_at_before_training() -> None:
    torch.manual_seed(0)
    one_hot = nn.functional.one_hot(SORTED, 3).float()
    several = one_hot.clone()
    several[-1] = 1
    for y, words in (
        (several, "several ones or none"),
        (one_hot.index_fill(0, torch.tensor([29]), 0.0), "several ones or none"),
        (torch.where(SORTED == 2, -100, SORTED), "labels that are no class"),
    ):
        loss = nn.CrossEntropyLoss() if y.dtype == torch.int64 else nn.BCEWithLogitsLoss()
        model = prepared(tl.Model(nn.Linear(4, 3)), loss, tl.metrics.Accuracy())
        with pytest.raises(ValueError, match=words):
            model.fit(TensorDataset(X, y), batch_size=4, shuffle=False, verbose=0)
    model = prepared(tl.Model(nn.Linear(4, 3)), nn.BCEWithLogitsLoss(), tl.metrics.Accuracy())
    assert model.fit(TensorDataset(X, one_hot), verbose=0)


def test_labels_of_tokens_that_come_later_are_looked_at_before_training() -> None:
    def loss(y_hat: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return nn.functional.cross_entropy(y_hat.flatten(0, 1), y.flatten())

    x, y = torch.randn(12, 5, 4), torch.arange(60).reshape(12, 5) % 3
    y[-1, -1] = -100
    for metric in (tl.metrics.Accuracy(), tl.metrics.Accuracy(ignore_index=-1)):
        model = prepared(tl.Model(nn.Linear(4, 3)), loss, metric)
        with pytest.raises(ValueError, match="labels that are no class"):
            model.fit(TensorDataset(x, y), batch_size=4, shuffle=False, verbose=0)
    model.prepare(model.optimizer, loss, tl.metrics.Accuracy(ignore_index=-100))
    assert model.fit(TensorDataset(x, y), batch_size=4, verbose=0)


def test_other_labels_are_of_each_kind() -> None:
    y = torch.zeros(4, 2, dtype=torch.int64)
    assert kinds_of_labels(y, None, 0).tolist() == [0, 1]
    assert kinds_of_labels(y + 1, None, 0).tolist() == [1, 0]
    assert kinds_of_labels(y, None, 3).tolist() == [0, 1, 2]
    assert kinds_of_labels(y, torch.tensor([4, 2, 4]), 9).tolist() == [2, 4]
    assert kinds_of_labels(y - 100, None, 3).tolist() == [-100, -99]
    assert other_labels(y, torch.tensor([5, 7]), 1).tolist() == [[5, 7], [7, 5], [5, 7], [7, 5]]


def test_a_correlation_of_ranks_is_that_of_all() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that it keeps everything
        model, data = regression(SpearmanCorrCoefOfColumns())
    assert -1 <= model.fit(data, batch_size=1, verbose=0).rows[0]["rank"] <= 1


class SpearmanCorrCoefOfColumns(tl.metrics.Metric):
    def __init__(self) -> None:
        self.inner = SpearmanCorrCoef()

    def name(self) -> str:
        return "rank"

    def reset(self) -> None:
        self.inner.reset()

    def update(self, y_hat: torch.Tensor, y: torch.Tensor) -> None:
        self.inner.update(y_hat.flatten(), y.flatten())

    def compute(self) -> torch.Tensor:
        return self.inner.compute()
