"""Whether more is better: the metric says it, or its well-known name; nobody guesses."""

from typing import Any

import pytest
import torch
import torchmetrics
import torchmetrics.classification as tm
from torch import nn
from torch.utils.data import TensorDataset

import tutorial as tl
from tutorial.callbacks import EarlyStopping, ModelCheckpoint, ReduceLROnPlateau
from tutorial.inputs.direction import LARGER_IS_BETTER, SMALLER_IS_BETTER, larger_is_better


class Share(tl.metrics.Metric):
    """The share of right answers, under any name; it says nothing of its direction."""

    now = 0.0

    def __init__(self, *names: str) -> None:
        self.names = list(names)
        self.reset()

    def name(self) -> str | list[str]:
        return self.names if len(self.names) > 1 else self.names[0]

    def reset(self) -> None:
        self.right, self.count = torch.tensor(0), 0

    def update(self, y_hat: torch.Tensor, y: torch.Tensor) -> None:
        self.right = self.right + (y_hat.argmax(1) == y).sum()
        self.count += len(y)

    def compute(self) -> torch.Tensor:
        return torch.stack([self.right / max(self.count, 1)] * len(self.names)).squeeze()


class More(Share):
    higher_is_better = True


class Less(Share):
    higher_is_better = False


class Unclear(Share):
    higher_is_better = "max"  # type: ignore[assignment]  # which is neither True nor False


def prepared(metrics: Any, loss: Any = None) -> tl.Model:
    torch.manual_seed(0)
    model = tl.Model(nn.Linear(4, 3))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.5)
    model.prepare(optimizer, loss or nn.CrossEntropyLoss(), metrics)
    return model


DATA = TensorDataset(torch.randn(12, 4), torch.arange(12) % 3)
COLLECTION = {"kappa": tm.MulticlassCohenKappa(3), "miss": tm.MulticlassHammingDistance(3)}


@pytest.mark.parametrize(
    ("metric", "monitor", "larger"),
    [
        (tl.metrics.Accuracy(), "acc", True),
        (tl.metrics.Accuracy((1, 2), name="loss_of_rank"), "loss_of_rank_top2", True),
        (tl.metrics.Accuracy(name="mae"), "eval_mae", True),  # the metric itself knows better
        (tm.MulticlassCohenKappa(3), "multiclass_cohen_kappa", True),
        (tm.MulticlassHammingDistance(3), "eval_multiclass_hamming_distance", False),
        (tm.MulticlassCalibrationError(3), "multiclass_calibration_error", False),
        (torchmetrics.MetricCollection(COLLECTION, prefix="v_"), "v_kappa", True),
        (torchmetrics.MetricCollection(COLLECTION, postfix="_v"), "eval_miss_v", False),
        (torchmetrics.ClasswiseWrapper(tm.MulticlassF1Score(3, average=None)),
         "multiclassf1score_1", True),
        (More("error"), "error", True),
        (Less("acc"), "acc", False),
        (Less("a", "b"), "b", False),
        (More("eval_loss_of_mine"), "eval_loss_of_mine", True),
        (Share("F1"), "F1", True),
        (Share("average-precision"), "average-precision", True),
        (Share("Perplexity"), "eval_Perplexity", False),
        (Share("rmse"), "rmse", False),
        (Share("acc"), "acc", True),
        (Share("acc", "mae"), "mae", False),
        (Share("eval_acc"), "eval_acc", None),
        (Share("inaccuracy"), "inaccuracy", None),
        (Share("recall_cost"), "recall_cost", None),
        (Share("tf1"), "tf1", None),
        (Share("my_metric"), "my_metric", None),
        (Unclear("score"), "score", None),
        (tl.metrics.Accuracy(), "loss", False),
        (tl.metrics.Accuracy(), "eval_loss", False),
    ],
)  # fmt: skip
@pytest.mark.parametrize("make", [EarlyStopping, ReduceLROnPlateau, ModelCheckpoint])
def test_the_direction_is_known_or_asked_for(metric, monitor, larger, make, tmp_path) -> None:
    best_only = {"best_only": True, "save_dir": tmp_path} if make is ModelCheckpoint else {}
    model, callback = prepared(metric), make(monitor=monitor, **best_only)
    before = model.network.weight.detach().clone()
    if larger is None:
        with pytest.raises(ValueError, match=r"mode is 'auto'.*mode=\"max\""):
            model.fit(DATA, DATA, verbose=0, callbacks=callback)
        assert torch.equal(model.network.weight, before) and not list(tmp_path.iterdir())
        callback = make(monitor=monitor, mode="max", **best_only)
    model.fit(DATA, DATA, verbose=0, callbacks=callback)
    assert callback.larger == (larger is None or larger)


def test_losses_and_metrics_of_several_outputs_have_directions() -> None:
    class Two(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b = nn.Linear(4, 3), nn.Linear(4, 3)

        def forward(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
            return {"accuracy": self.a(x), "kind": self.b(x)}

    model = tl.Model(Two())
    losses = {"accuracy": nn.CrossEntropyLoss(), "kind": nn.CrossEntropyLoss()}
    metrics = {"accuracy": Share("acc"), "kind": [Share("odd"), tl.metrics.Accuracy()]}
    model.prepare(torch.optim.SGD(model.parameters(), lr=0.1), losses, metrics)
    data = TensorDataset(*DATA.tensors, DATA.tensors[1])
    expected = {
        "loss": False, "accuracy": False, "kind": False,
        "acc_accuracy": True, "odd_kind": None, "acc_kind": True,
    }  # fmt: skip
    assert model.measures.larger_is_better() == expected
    stop = EarlyStopping("accuracy", verbose=0)  # a loss, in spite of its name
    model.fit(data, data, verbose=0, callbacks=stop)
    assert stop.larger is False


def test_a_training_stops_after_the_best_of_a_metric_that_says_what_is_better() -> None:
    class Given(More):
        def compute(self) -> torch.Tensor:
            return torch.tensor(self.now)

    kappa = Given("cohen_loss")
    values = [0.014, -0.026, 0.045, -0.059, -0.055, 0.053]
    give = tl.callbacks.LambdaCallback(on_epoch_begin=lambda i, _: setattr(kappa, "now", values[i]))
    stop = EarlyStopping("cohen_loss", patience=2, verbose=0)
    history = prepared(kappa).fit(DATA, DATA, epochs=6, verbose=0, callbacks=[give, stop])
    assert (stop.best, stop.best_epoch, len(history.rows)) == (pytest.approx(0.045), 3, 5)


def test_a_well_known_name_is_known_in_full_and_once() -> None:
    assert not LARGER_IS_BETTER & SMALLER_IS_BETTER
    for name in sorted(LARGER_IS_BETTER | SMALLER_IS_BETTER):
        assert larger_is_better(object(), None, name) is (name in LARGER_IS_BETTER)
        assert larger_is_better(object(), None, f"my_{name}_x") is None
