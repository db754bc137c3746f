"""What Model means by its numbers, and that nothing leaks from one call into the next."""

import copy
import io
import pickle
import subprocess
import sys

import numpy as np
import pytest
import torch
import torchmetrics
from fakes import Stream
from torch import nn
from torch.utils.data import DataLoader, Dataset, Subset, TensorDataset

import tutorial as tl
from tutorial.inputs.data_source import look
from tutorial.metrics import Accuracy, Auc

# ---- losses are means over samples


def true_loss(model: tl.Model, data: Dataset) -> float:
    x, y = data[:]
    model.network.eval()
    with torch.no_grad():
        return nn.functional.cross_entropy(model.network(x).double(), y).item()


@pytest.mark.parametrize("batch_size", [1, 7, 64, 1000])
def test_evaluate_gives_the_same_for_every_batch_size(data, make_model, batch_size: int) -> None:
    model = make_model(Accuracy())
    result = model.evaluate(data, batch_size=batch_size, verbose=0)
    assert list(result) == ["loss", "acc"]
    assert result["loss"] == pytest.approx(true_loss(model, data), abs=1e-6)


def test_a_row_is_the_mean_over_the_epochs_samples(data, make_model) -> None:
    history = make_model().fit(data, batch_size=64, epochs=2, verbose=0, shuffle=False)
    for epoch, row in enumerate(history.rows):
        losses = history.step_losses[3 * epoch : 3 * epoch + 3]
        assert row == {
            "epoch": epoch + 1,
            "loss": pytest.approx((losses[0] * 64 + losses[1] * 64 + losses[2] * 22) / 150),
        }


def test_metrics_begin_anew_in_every_pass(data, make_model) -> None:
    model = make_model(Accuracy())
    expected = model.evaluate(data, verbose=0)
    model.eval_batch(*data[:10])
    model.train_batch(*data[:10], update=False)
    assert model.evaluate(data, verbose=0) == expected
    history = model.fit(data, data, epochs=2, verbose=0)
    assert history.rows[1]["eval_acc"] == model.evaluate(data, verbose=0)["acc"]


def test_rows_hold_the_evaluation_beside_the_training(data, more_data, make_model) -> None:
    history = make_model(Accuracy()).fit(data, more_data, epochs=4, eval_freq=3, verbose=0)
    assert list(history.rows[3]) == ["epoch", "loss", "acc", "eval_loss", "eval_acc"]
    assert ["eval_loss" in row for row in history.rows] == [False, False, True, True]


# ---- num_iters


def test_num_iters_caps_training_steps_and_the_last_epoch_is_evaluated(
    data, more_data, make_model
) -> None:
    model = make_model()
    history = model.fit(
        data, more_data, batch_size=50, epochs=9, num_iters=7, eval_freq=5, verbose=0
    )
    assert len(history.step_losses) == 7
    assert len(history.rows) == 3
    evaluated = model.evaluate(more_data, verbose=0)["loss"]
    assert history.rows[-1]["eval_loss"] == pytest.approx(evaluated)
    assert len(model.fit(data, batch_size=50, epochs=2, verbose=0).step_losses) == 6  # no leak
    assert len(model.fit(data, batch_size=50, num_iters=99, verbose=0).step_losses) == 3


def test_evaluate_can_look_at_some_batches_only(data, make_model) -> None:
    model = make_model()
    part = model.evaluate(Subset(data, range(20)), verbose=0)
    assert model.evaluate(data, batch_size=10, num_iters=2, verbose=0)["loss"] == pytest.approx(
        part["loss"]
    )


# ---- predict


def test_predict_gives_every_row_in_order(data, make_model) -> None:
    model = make_model()
    stacked = model.predict(data, batch_size=64, stack_outputs=True, verbose=0)
    batches = model.predict(data, batch_size=64, verbose=0)
    assert [len(batch) for batch in batches[0]] == [64, 64, 22]
    assert torch.equal(torch.cat(batches[0]), stacked[0])
    torch.testing.assert_close(model.predict_batch(data[:][0])[0], stacked[0])
    assert not stacked[0].requires_grad


@pytest.mark.parametrize("form", ["pairs", "x alone", "loader", "list of x", "generator"])
def test_predict_reads_pairs_and_bare_inputs(data, make_model, form: str) -> None:
    x = data.tensors[0]
    given = {
        "pairs": data,
        "x alone": TensorDataset(x),
        "loader": DataLoader(data, batch_size=64),
        "list of x": list(x.split(64)),
        "generator": ((part, None) for part in x.split(64)),
    }[form]
    model = make_model()
    expected = model.predict(data, stack_outputs=True, verbose=0)[0]
    assert torch.equal(model.predict(given, stack_outputs=True, verbose=0)[0], expected)


def test_predict_works_before_prepare(data) -> None:
    assert tl.Model(nn.Linear(8, 3)).predict(data, stack_outputs=True, verbose=0)[0].shape == (
        150,
        3,
    )


# ---- one batch


def test_train_batch_is_one_step(data, make_model) -> None:
    one, other = make_model(Accuracy()), make_model(Accuracy())
    x, y = data[:32]
    tl.seed(2)
    expected = one.fit([(x, y)], verbose=0).rows[0]
    tl.seed(2)
    result = other.train_batch(x, y)
    assert result == {name: expected[name] for name in ("loss", "acc")}
    assert torch.equal(one.network[0].weight, other.network[0].weight)


def test_train_batch_can_collect_gradients(data, make_model) -> None:
    model = make_model()
    before = model.network[0].weight.detach().clone()
    model.train_batch(*data[:10], update=False)
    assert torch.equal(model.network[0].weight, before)
    model.train_batch(*data[10:20])
    assert not torch.equal(model.network[0].weight, before)


def test_a_wrong_batch_is_explained_and_changes_nothing(data, make_model) -> None:
    model = make_model()
    before = model.network[0].weight.detach().clone()
    x, y = data[:10]
    for call in (model.train_batch, model.eval_batch):
        with pytest.raises(
            ValueError, match="the batch: there is a label 7, but the network gives"
        ):
            call(x, y + 7 - y)
    assert torch.equal(model.network[0].weight, before)


def test_a_model_shows_what_it_holds_without_an_address(make_model) -> None:
    assert repr(make_model(Accuracy())) == (
        "Model(Sequential, optimizer=Adam, loss=CrossEntropyLoss, metrics=[acc], device=cpu)"
    )
    assert repr(tl.Model(nn.Linear(1, 1))) == "Model(Linear, device=cpu)"


def test_eval_batch_measures_this_batch_alone(data, make_model) -> None:
    model = make_model(Accuracy())
    model.eval_batch(*data[50:100])
    assert model.eval_batch(*data[:10]) == model.evaluate(Subset(data, range(10)), verbose=0)


# ---- data of all kinds


class Plain:
    """No Dataset, but it can be indexed and has a length."""

    def __init__(self, data: TensorDataset) -> None:
        self.data = data

    def __len__(self) -> int:
        return len(self.data)

    def __getitem__(self, i: int):
        return self.data[i]


@pytest.mark.parametrize(
    ("form", "mode"),
    [
        ("tensors", "in_memory"), ("subset", "in_memory"), ("plain", "per_sample"),
        ("stream", "per_sample"), ("loader", "as_is"), ("list", "as_is"), ("generator", "as_is"),
        ("workers", "per_sample"),
    ],
)  # fmt: skip
def test_any_data_will_do(data, make_model, form: str, mode: str) -> None:
    x, y = data.tensors
    given = {
        "tensors": data,
        "subset": Subset(data, range(150)),
        "plain": Plain(data),
        "workers": Plain(data),
        "stream": Stream(data),
        "loader": DataLoader(data, batch_size=50),
        "list": list(zip(x.split(50), y.split(50), strict=True)),
        "generator": zip(x.split(50), y.split(50), strict=True),
    }[form]
    assert look("train_data", given).mode == mode
    losses = []
    for batches in (list(zip(x.split(50), y.split(50), strict=True)), given):
        model = make_model()
        model.network[2].p = 0.0  # no chance but in the order, and there is no shuffling
        workers = 2 if form == "workers" and batches is given else 0
        history = model.fit(batches, batch_size=50, shuffle=False, num_workers=workers, verbose=0)
        losses.append(history.step_losses)
    assert len(losses[0]) == 3
    assert losses[0] == losses[1]


def test_a_pair_of_batch_sizes_is_for_training_and_evaluation(data, more_data, make_model) -> None:
    source = make_model().unroll("fit", data, more_data, batch_size=(50, 70)).source
    assert "train_loader = Batches(train_data, batch_size=50, shuffle=True)" in source
    assert "eval_loader = Batches(eval_data, batch_size=70)" in source


# ---- prepare


def test_a_fused_optimizer_is_chosen_where_the_choice_is_open() -> None:
    network = nn.Linear(8, 3)
    for make, fused in (
        (lambda p: torch.optim.Adam(p), True),
        (lambda p: torch.optim.SGD(p), True),
        (lambda p: torch.optim.Adam(p, fused=False), False),
        (lambda p: torch.optim.Adam(p, foreach=True), None),
        (lambda p: torch.optim.RMSprop(p), None),
    ):
        optimizer = make(network.parameters())
        tl.Model(network).prepare(optimizer, nn.CrossEntropyLoss())
        assert optimizer.param_groups[0].get("fused") is fused


def test_a_refused_prepare_changes_nothing(data, make_model) -> None:
    model = make_model(Accuracy())
    optimizer = torch.optim.Adam(model.parameters())
    for loss, metrics in ((nn.CrossEntropyLoss, None), (nn.CrossEntropyLoss(), [Accuracy] * 2)):
        with pytest.raises(TypeError):
            model.prepare(optimizer, loss, metrics)
        assert optimizer.param_groups[0]["fused"] is None
        assert model.optimizer is not optimizer
        assert list(model.metrics) == ["accuracy"]


def test_a_students_metric_may_divide_by_nothing_before_its_first_batch(data, make_model) -> None:
    class Share:
        def reset(self) -> None:
            self.hits = self.count = 0

        def update(self, y_hat: torch.Tensor, y: torch.Tensor) -> None:
            self.hits += int((y_hat.argmax(1) == y).sum())
            self.count += len(y)

        def compute(self) -> float:
            return self.hits / self.count

    model = make_model([Share(), Accuracy()])
    result = model.evaluate(data, verbose=0)
    assert result["share"] == result["acc"]


def test_a_learning_rate_may_be_numpys(data, make_model) -> None:
    import numpy as np

    proof = make_model(lr=np.float64(0.01)).unroll("fit", data).verify()
    assert proof, proof


@pytest.mark.parametrize(
    "wrong",
    [
        {"verbose": "3"},
        {"verbose": 3},
        {"verbose": -1},
        {"shuffle": "no"},
        {"drop_last": 1},
        {"batch_size": (8, 0)},
    ],
)
def test_options_of_the_wrong_kind_are_refused(data, make_model, wrong: dict) -> None:
    with pytest.raises(ValueError, match=f"{next(iter(wrong))} is .*, but .* expected"):
        make_model().fit(data, **wrong)


def test_prepare_can_be_called_again(data, make_model) -> None:
    model = make_model(Accuracy())
    model.prepare(torch.optim.SGD(model.parameters(), lr=0.1), nn.CrossEntropyLoss())
    assert list(model.evaluate(data, verbose=0)) == ["loss"]


def test_what_the_inputs_look_like_is_known_once_a_call_has_run(data, make_model) -> None:
    model = make_model()
    model.unroll("fit", data)
    with pytest.raises(TypeError):
        model.fit(data, loop=lambda nonsense: None)
    assert model.called_with is None
    model.predict(data, verbose=0)
    assert [spec.shape for spec in model.called_with] == [(None, 8)]


def test_torchmetrics_are_taken_as_they_are(data, make_model) -> None:
    collection = torchmetrics.MetricCollection(
        {"f1": torchmetrics.F1Score("multiclass", num_classes=3)}
    )
    each = torchmetrics.ClasswiseWrapper(
        torchmetrics.Accuracy("multiclass", num_classes=3, average=None)
    )
    model = make_model([torchmetrics.Accuracy("multiclass", num_classes=3), each, collection])
    names = ["multiclass_accuracy", *(f"multiclassaccuracy_{i}" for i in range(3)), "f1"]
    with pytest.raises(ValueError, match="two values"):
        make_model([each, each])
    result = model.evaluate(data, verbose=0)
    assert list(result) == ["loss", *names]
    y_hat, y = model.predict(data, stack_outputs=True, verbose=0)[0], data.tensors[1]
    assert result["f1"] == pytest.approx(
        torchmetrics.functional.f1_score(y_hat, y, "multiclass", num_classes=3).item()
    )
    history = model.fit(data, verbose=0)
    assert list(history.rows[0]) == ["epoch", "loss", *names]


def test_metrics_do_not_hold_the_graph_or_slow_the_loss(data, make_model) -> None:
    model = make_model([Accuracy(), Accuracy(topk=(1, 2), name="best")])
    model.fit(data, verbose=0)
    assert list(model.evaluate(data, verbose=0)) == ["loss", "acc", "best_top1", "best_top2"]


def test_a_binary_model_reports_auc() -> None:
    x = torch.randn(100, 2)
    data = TensorDataset(x, (x[:, :1] > 0).float())
    model = tl.Model(nn.Sequential(nn.Linear(2, 1), nn.Sigmoid()))
    model.prepare(torch.optim.Adam(model.parameters(), lr=0.1), nn.BCELoss(), Auc())
    assert model.fit(data, epochs=20, verbose=0).rows[-1]["auc"] > 0.95


# ---- unroll


def test_unroll_knows_the_arguments_of_every_method(data, make_model) -> None:
    model = make_model()
    with pytest.raises(ValueError, match="method is 'train', but one of fit, evaluate, predict"):
        model.unroll("train", data)
    with pytest.raises(TypeError, match=r"no argument 'epoch'\. Do you mean epochs"):
        model.unroll("fit", data, epoch=3)
    assert model.unroll("fit", data, epochs=3).title == "model.fit(train_data, epochs=3)"
    assert model.unroll("evaluate", data, num_iters=np.int64(3), verbose=0).title == (
        "model.evaluate(eval_data, num_iters=3)"
    )


def test_unroll_neither_trains_nor_draws(data, make_model) -> None:
    model = make_model()
    state = torch.get_rng_state()
    before = [p.clone() for p in model.parameters()]
    model.unroll("fit", data)
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(a, b) for a, b in zip(before, model.parameters(), strict=True))
    assert model.optimizer.state == {}


# ---- the price of import


def test_import_reads_nothing_heavy() -> None:
    """How long it takes is measured in tests/benchmarks."""
    code = (
        "import sys, torch, tutorial; "
        "heavy = {'torchvision', 'matplotlib', 'ipywidgets', 'IPython'}; "
        "assert not heavy & set(sys.modules); assert 'libcst' not in sys.modules; "
        "tutorial.Model; assert not heavy & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_public_names_are_all_there() -> None:
    assert set(tl.__all__) <= set(dir(tl))
    assert all(getattr(tl, name) is not None for name in tl.__all__)
    with pytest.raises(AttributeError, match=r"tutorial has no 'fit'; it has"):
        tl.fit  # noqa: B018


def test_without_a_loss_the_metrics_are_measured_alone(data, make_model) -> None:
    model = make_model()
    model.prepare(metrics=tl.metrics.Accuracy())
    x, y = data.tensors
    right = (model.network.eval()(x).argmax(1) == y).double()
    assert model.evaluate(data, batch_size=32) == {"acc": right.mean().item()}
    assert model.eval_batch(x[:5], y[:5]) == {"acc": pytest.approx(right[:5].mean().item())}
    program = model.unroll("evaluate", data)
    assert "loss" not in program.source
    assert program.verify()
    model.prepare(torch.optim.SGD(model.parameters()), metrics=tl.metrics.Accuracy())
    with pytest.raises(ValueError, match=r"the model has no loss\. Call"):
        model.fit(data)


@pytest.mark.parametrize("way", ["pickle", "torch.save", "deepcopy"])
def test_a_model_that_has_trained_is_pickled_and_copied(way: str, data, make_model) -> None:
    model = make_model(Accuracy())
    model.fit(data, verbose=0)
    if way == "pickle":
        other = pickle.loads(pickle.dumps(model))
    elif way == "deepcopy":
        other = copy.deepcopy(model)
    else:
        file = io.BytesIO()
        torch.save(model, file)
        file.seek(0)
        other = torch.load(file, weights_only=False)
    assert other.evaluate(data, verbose=0) == model.evaluate(data, verbose=0)
    tl.seed(1)
    history = model.fit(data, verbose=0)
    tl.seed(1)
    assert other.fit(data, verbose=0).step_losses == history.step_losses
