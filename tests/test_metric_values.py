"""What metrics report: numbers in rows and bars; a matrix, a curve in what evaluate returns."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
import torch
import torchmetrics
import torchmetrics.classification as tm
from torch import nn
from torch.utils.data import TensorDataset

import tutorial as tl
from tutorial.callbacks import CSVLogger, EarlyStopping, LambdaCallback, TensorBoard
from tutorial.inputs.metric_values import UNKNOWN, Value, values_in
from tutorial.unroll.proof import identical

X = torch.randn(30, 4, generator=torch.Generator().manual_seed(0))
DATA = TensorDataset(X, torch.arange(30) % 3)


class Keeps(tl.metrics.Metric):
    """Keeps the classes that it has seen, and computes what a function makes of them."""

    def __init__(self, compute: Any, *names: str) -> None:
        self.function, self.names = compute, list(names) or ["kept"]
        self.reset()

    def name(self) -> Any:
        return self.names if len(self.names) > 1 else self.names[0]

    def reset(self) -> None:
        self.seen: list[int] = []

    def update(self, y_hat: torch.Tensor, y: torch.Tensor) -> None:
        self.seen += y.tolist()

    def compute(self) -> Any:
        return self.function(self.seen)


def prepared(*metrics: Any) -> tl.Model:
    torch.manual_seed(0)
    model = tl.Model(nn.Linear(4, 3))
    model.prepare(torch.optim.SGD(model.parameters(), lr=0.1), nn.CrossEntropyLoss(), list(metrics))
    return model


def counts(seen: list[int]) -> torch.Tensor:
    return torch.bincount(torch.tensor(seen, dtype=torch.int64), minlength=3)


# A metric; and its values by name: is it a number?
SHAPES: dict[str, tuple[Any, dict[str, bool]]] = {
    "confusion matrix": (lambda: tm.MulticlassConfusionMatrix(3),
                         {"multiclass_confusion_matrix": False}),
    "ROC": (lambda: tm.MulticlassROC(3), {"multiclass_roc": False}),
    "ROC with thresholds": (lambda: tm.MulticlassROC(3, thresholds=5), {"multiclass_roc": False}),
    "precision-recall curve": (lambda: tm.MulticlassPrecisionRecallCurve(3),
                               {"multiclass_precision_recall_curve": False}),
    "per class": (lambda: tm.MulticlassF1Score(3, average="none"), {"multiclass_f1_score": False}),
    "AUROC per class": (lambda: tm.MulticlassAUROC(3, average="none"), {"multiclass_auroc": False}),
    "AUROC": (lambda: tm.MulticlassAUROC(3), {"multiclass_auroc": True}),
    "collection": (lambda: torchmetrics.MetricCollection(
        {"f1": tm.MulticlassF1Score(3), "roc": tm.MulticlassROC(3),
         "matrix": tm.MulticlassConfusionMatrix(3)}, prefix="v_"),
        {"v_f1": True, "v_matrix": False, "v_roc": False}),
    "class-wise": (lambda: torchmetrics.ClasswiseWrapper(tm.MulticlassAccuracy(3, average=None)),
                   {f"multiclassaccuracy_{i}": True for i in range(3)}),
    "own matrix": (lambda: Keeps(lambda seen: torch.diag(counts(seen)), "table"), {"table": False}),
    "own array": (lambda: Keeps(lambda seen: counts(seen).numpy()), {"kept": False}),
    "NumPy's number": (lambda: Keeps(lambda seen: np.float64(len(seen))), {"kept": True}),
    "array of one number": (lambda: Keeps(lambda seen: torch.tensor([[7.0]])), {"kept": True}),
    "plain number": (lambda: Keeps(len), {"kept": True}),
    "text": (lambda: Keeps(lambda seen: "12"), {"kept": False}),
    "list": (lambda: Keeps(list), {"kept": False}),
    "dict": (lambda: Keeps(lambda seen: {"n": len(seen), "table": counts(seen)}),
             {"n": True, "table": False}),
    "dict in a dict": (lambda: Keeps(lambda seen: {"n": len(seen), "deep": {"n": 1.0}}),
                       {"n": True, "deep": False}),
    "dict that grows": (lambda: Keeps(lambda seen: {c: seen.count(c) for c in seen}),
                        {"kept": False}),
    "growing vector": (lambda: Keeps(lambda seen: torch.tensor(seen)), {"kept": False}),
    "two numbers": (lambda: Keeps(lambda seen: (len(seen), 0.5), "n", "half"),
                    {"n": True, "half": True}),
    "number and matrix": (lambda: Keeps(lambda seen: (len(seen), counts(seen)), "n", "table"),
                          {"n": True, "table": False}),
    "nothing before data": (lambda: Keeps(lambda seen: {"first": seen[0] * 0.0, "all": seen}),
                            {"first": True, "all": False}),
}  # fmt: skip


@pytest.mark.filterwarnings("ignore:No (positive|negative) samples")  # torchmetrics', of few
@pytest.mark.parametrize("batch_size", [7, 30])
@pytest.mark.parametrize("kind", SHAPES)
def test_numbers_stand_in_rows_and_the_rest_in_what_evaluate_returns(
    kind: str, batch_size: int, tmp_path: Any, capsys: Any
) -> None:
    make, expected = SHAPES[kind]
    numbers = [name for name, number in expected.items() if number]
    logged: list[list[str]] = []
    look = LambdaCallback(on_eval_end=lambda logs: logged.append(list(logs)))
    logs = [look, CSVLogger(tmp_path / "log.csv"), TensorBoard(tmp_path / "board")]
    model = prepared(make(), tl.metrics.Accuracy())
    history = model.fit(DATA, DATA, batch_size=batch_size, verbose=2, log_freq=1, callbacks=logs)
    every = [*numbers, "acc"]
    assert list(history.rows[0]) == [
        "epoch",
        "loss",
        *every,
        "eval_loss",
        *(f"eval_{n}" for n in every),
    ]
    assert all(isinstance(value, int | float) for value in history.rows[0].values())
    assert logged == [["loss", *every]]

    by_hand, y_hat = make(), model.network(X).detach()
    by_hand.update(y_hat, DATA.tensors[1])
    value, result = by_hand.compute(), model.evaluate(DATA, batch_size=batch_size, verbose=2)
    assert list(result) == ["loss", *every, *(name for name in expected if name not in numbers)]
    if not isinstance(value, Mapping) or kind == "dict that grows":
        value = dict(zip(expected, value if len(expected) > 1 else [value], strict=True))
    for name, number in expected.items():
        if number:
            assert result[name] == pytest.approx(float(value[name]), abs=1e-6)
        else:
            assert same(result[name], value[name])
            assert f"{name} " not in capsys.readouterr().out
    for call in (model.eval_batch, model.train_batch):
        assert set(call(*DATA.tensors)) == {"loss", "acc", *expected}


def same(one: Any, other: Any) -> bool:
    if isinstance(one, Mapping):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(same, one, other))
    return bool(np.allclose(one, other, atol=1e-6)) if not isinstance(one, str) else one == other


def test_the_loop_of_an_evaluation_shows_it_and_is_proved() -> None:
    model = prepared(tm.MulticlassConfusionMatrix(3))
    program = model.unroll("evaluate", DATA)
    line = 'result.update({"multiclass_confusion_matrix": multiclass_confusion_matrix.compute()})'
    assert line in str(program)
    assert line not in str(model.unroll("fit", DATA, DATA))
    assert identical(
        program.run()["multiclass_confusion_matrix"],
        model.evaluate(DATA, verbose=0)["multiclass_confusion_matrix"],
    )
    assert program.verify()


@pytest.mark.parametrize("value", [None, {"a": 1.0, "b": None}])
def test_nothing_for_a_value_is_refused_before_training(value: Any) -> None:
    model = prepared(Keeps(lambda seen: value))
    before = model.network.weight.detach().clone()
    with pytest.raises(ValueError, match=r"holds Keeps, whose compute\(\) gives .*return it"):
        model.fit(DATA, verbose=0)
    assert torch.equal(model.network.weight, before)


def test_values_that_do_not_go_with_their_names_are_refused_before_training() -> None:
    model = prepared(Keeps(lambda seen: (1.0, 2.0, 3.0), "a", "b"))
    with pytest.raises(ValueError, match=r"name\(\) gives 2 names, but compute\(\) a tuple of 3"):
        model.fit(DATA, verbose=0)


def test_what_is_no_number_cannot_be_monitored() -> None:
    model = prepared(tm.MulticlassConfusionMatrix(3))
    with pytest.raises(ValueError, match="only 'loss' can be monitored"):
        model.fit(DATA, DATA, verbose=0, callbacks=EarlyStopping("multiclass_confusion_matrix"))


def test_a_name_that_only_data_tells_is_not_reported_twice() -> None:
    late = Keeps(lambda seen: {"acc": seen[0]})
    model = prepared(late, tl.metrics.Accuracy())
    with pytest.raises(ValueError, match="two values as 'acc'"):
        model.fit(DATA, verbose=0)


def test_of_what_is_not_known_it_is_said_that_it_is_a_number() -> None:
    assert values_in(Keeps(len), UNKNOWN) == [Value("kept")]
    assert values_in(Keeps(len, "a", "b"), UNKNOWN) == [Value("a", 0), Value("b", 1)]
