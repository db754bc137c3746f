"""The metrics against torchmetrics, scikit-learn and NumPy, and where we part from paddle."""

import doctest
import inspect
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import (
    accuracy_score,
    average_precision_score,
    precision_score,
    recall_score,
    roc_auc_score,
)
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode
from torchmetrics.functional.classification import multiclass_accuracy

from tutorial import metrics
from tutorial.metrics import Accuracy, Auc, Metric, Precision, Recall, accuracy

every_metric = pytest.mark.parametrize(
    "make",
    [
        Accuracy,
        lambda: Accuracy(topk=2),
        lambda: Accuracy(topk=(1, 2)),
        Precision,
        Recall,
        Auc,
        lambda: Auc("PR"),
    ],
)
Make = Callable[[], Metric]
seeds = st.integers(0, 2**32)
no_hurry = settings(max_examples=50, deadline=None)  # the machine may be busy


def two_columns(samples: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    """A batch that every metric takes: probabilities (N, 2) with many ties, and labels (N,)."""
    torch.manual_seed(seed)
    p = torch.randint(0, 9, (samples,)) / 8
    return torch.stack([1 - p, p], dim=1), torch.randint(0, 2, (samples,))


def state(metric: Metric) -> list[Tensor]:
    """Every tensor that the metric holds."""
    held = [part for v in vars(metric).values() for part in (v if isinstance(v, list) else [v])]
    return [v for v in held if isinstance(v, Tensor)]


def test_docstring_examples() -> None:
    results = doctest.testmod(metrics)
    assert results.attempted > 20 and results.failed == 0


# ---- values ------------------------------------------------------------------------------------


@no_hurry
@given(seeds, st.integers(1, 20), st.integers(2, 8), st.sampled_from([(), (9,), (9, 11)]))
def test_accuracy_agrees_with_torchmetrics_in_every_layout(
    seed: int, n: int, classes: int, d: tuple[int, ...]
) -> None:
    torch.manual_seed(seed)
    y = torch.randint(0, classes, (n, *d))
    last = torch.rand(n, *d, classes).argsort(dim=-1).float()  # no ties, so top-k is well defined
    second = last.movedim(-1, 1)
    layouts = [(second, y), (last, y), (last, y[..., None])]
    if d == ():
        one_hot = torch.nn.functional.one_hot(y, classes)
        layouts += [(last, one_hot), (last, one_hot.bool()), (last, 0.2 / classes + 0.8 * one_hot)]

    by_k = range(1, classes + 1)
    expected = [
        multiclass_accuracy(second, y, classes, average="micro", top_k=k).item() for k in by_k
    ]
    several = Accuracy(topk=tuple(by_k))
    for y_hat, labels in layouts:
        assert [accuracy(y_hat, labels, k).item() for k in by_k] == pytest.approx(expected)
        several.reset()
        several.update(y_hat, labels)
        assert several.accumulate() == pytest.approx(expected)


def test_where_both_layouts_fit_the_classes_stand_second() -> None:
    y_hat = torch.tensor([[[1.0, 2.0], [0.0, 1.0]]])  # (1, 2, 2): 0 wins along dim 1, 1 along dim 2
    assert accuracy(y_hat, torch.tensor([[0, 0]])) == 1
    assert accuracy(y_hat, torch.tensor([[[1], [1]]])) == 1  # (1, 2, 1) fits classes last only


def test_ties_and_labels_that_are_no_class() -> None:
    ties, y = torch.zeros(4, 4), torch.tensor([0, 0, 1, 3])
    assert accuracy(ties, y).item() == np.mean(ties.numpy().argmax(1) == y.numpy())


PADDED = torch.tensor([0, 1, -100, -100])


@pytest.mark.parametrize("k", [1, 2])
def test_labels_that_are_no_class_are_refused_unless_they_are_to_ignore(k: int) -> None:
    for labels in (PADDED, torch.tensor([0, 1, 4, 1])):
        with pytest.raises(ValueError, match=r"no class.*Accuracy\(ignore_index=-100\)"):
            accuracy(torch.eye(4), labels, k)
    metric = Accuracy(k, ignore_index=-100)
    metric.update(torch.eye(4), PADDED)
    assert metric.accumulate() == 1
    metric.update(torch.eye(4), torch.tensor([1, 0, 3, 2]) if k == 1 else PADDED)
    assert metric.accumulate() == (1 / 3 if k == 1 else 1)


def test_rows_with_several_ones_are_refused() -> None:
    several = torch.randint(0, 2, (20, 4), generator=torch.Generator().manual_seed(0))
    with pytest.raises(ValueError, match=r"several ones or none.*MultilabelAccuracy"):
        accuracy(torch.rand(20, 4), several)
    one_hot = torch.nn.functional.one_hot(torch.tensor([0, 1, 1]), 3)
    soft = torch.tensor([[0.8, 0.2, 0.0], [0.1, 0.9, 0.0], [0.3, 0.3, 0.4]])
    assert accuracy(torch.eye(3), one_hot).item() == pytest.approx(2 / 3)
    assert accuracy(torch.eye(3), soft).item() == 1


@no_hurry
@given(seeds, st.integers(2, 60))
def test_weights_are_as_in_sklearn(seed: int, n: int) -> None:
    torch.manual_seed(seed)
    p, y, weight = torch.rand(n).round(decimals=1), torch.randint(0, 2, (n,)), torch.rand(n)
    both = torch.stack([1 - p, p], dim=1)
    cases: list[tuple[Metric, float]] = [
        (Accuracy(), accuracy_score(y, both.argmax(1), sample_weight=weight)),
        (Precision(), precision_score(y, p >= 0.5, sample_weight=weight, zero_division=0)),
        (Recall(), recall_score(y, p >= 0.5, sample_weight=weight, zero_division=0)),
    ]
    if 0 < y.sum() < n:
        cases += [
            (Auc(), roc_auc_score(y, p, sample_weight=weight)),
            (Auc("PR"), average_precision_score(y, p, sample_weight=weight)),
        ]
    for metric, expected in cases:
        for part in torch.arange(n).split(7):
            metric.update(both[part], y[part], weight[part])
        assert metric.accumulate() == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("make", [Precision, Recall, Auc])
def test_binary_metrics_refuse_labels_that_are_neither_0_nor_1(make: Callable[..., Metric]) -> None:
    p = torch.tensor([0.9, 0.8, 0.2, 0.9])
    for labels in ([2, 2, 1, 1], [1, 1, 0, -100]):
        metric = make()
        metric.update(p, torch.tensor(labels))
        with pytest.raises(ValueError, match=r"labels other than 0 and 1.*ignore_index=-100"):
            metric.compute()
    metric, short = make(ignore_index=-100), make()
    metric.update(p, torch.tensor([1, 1, 0, -100]))
    short.update(p[:3], torch.tensor([1, 1, 0]))
    assert metric.accumulate() == short.accumulate() == 1


def test_accuracy_of_one_batch_is_a_scalar() -> None:
    value = accuracy(torch.eye(3), torch.tensor([0, 1, 1]))
    assert value.shape == ()
    assert value.item() == pytest.approx(2 / 3)


# Where probabilities may crowd: what is made of numbers from 0 to 1.
CROWDS: dict[str, Callable[[Tensor], Tensor]] = {
    "spread": lambda u: u,
    "ties": lambda u: u.round(decimals=2),
    "near 0": lambda u: u * 1e-6,
    "near 1": lambda u: 1 - u * 1e-9,
    "near a half": lambda u: 0.5 + (u - 0.5) * 1e-7,
    "both ends": lambda u: torch.where(u < 0.5, u**20, 1 - u**20),
    "one value": lambda u: u * 0 + 0.3,
}


@no_hurry
@given(seeds, st.integers(1, 60))
def test_precision_and_recall_agree_with_sklearn(seed: int, n: int) -> None:
    y_hat, y = two_columns(n, seed)
    called = y_hat[:, 1] >= 0.5  # p = 0.5 itself occurs often
    for metric, oracle in ((Precision(), precision_score), (Recall(), recall_score)):
        expected = oracle(y, called, zero_division=0)
        for p in (y_hat, y_hat[:, 1:], y_hat[:, 1], y_hat.half(), y_hat.double()):
            metric.reset()
            metric.update(p, y)
            metric.update(p, y[:, None])  # the same again, as a column
            assert metric.accumulate() == pytest.approx(expected)


@no_hurry
@given(seeds, st.integers(1, 60), st.sampled_from(list(CROWDS)), st.sampled_from(["ROC", "PR"]))
def test_auc_agrees_with_sklearn_wherever_scores_crowd(
    seed: int, n: int, crowd: str, curve: str
) -> None:
    torch.manual_seed(seed)
    p, y = CROWDS[crowd](torch.rand(n, dtype=torch.float64)), torch.randint(0, 2, (n,))
    metric = Auc(curve)
    for part in torch.arange(n).split(9):
        metric.update(p[part], y[part])
    expected = float("nan")  # with one class there is no curve
    if 0 < y.sum() < n:
        oracle = roc_auc_score if curve == "ROC" else average_precision_score
        expected = oracle(y, p)
    assert metric.accumulate() == pytest.approx(expected, abs=1e-9, nan_ok=True)


# Scores that are hard on a curve; each is made of numbers from 0 to 1, of labels and their weights.
HARD: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "spread": lambda u, y: u,
    "learned": lambda u, y: (u + y * 0.3) / 1.3,
    "perfect": lambda u, y: (u + y) / 2,
    "inverted": lambda u, y: (u + 1 - y) / 2,
    "two values": lambda u, y: (u + 0.2 * y > 0.6).double(),
    "one value": lambda u, y: u * 0 + 0.5,
    "many zeros": lambda u, y: torch.where(u < 0.9, 0.0, u),
    "near 0": lambda u, y: (u + y * 0.1) * 1e-7,
    "near 1": lambda u, y: 1 - (u + (1 - y) * 0.1) * 1e-9,
    "both ends": lambda u, y: torch.sigmoid(60 * (u - 0.5) + y),
    "neighbours": lambda u, y: 0.5 + (u * 4).round() * 2**-52 + y * 2**-51,
    "logits": lambda u, y: torch.logit(u, eps=1e-9) + y,
    "large logits": lambda u, y: 200 * (u - 0.5) + 5 * y,
    "infinite": lambda u, y: torch.where(u > 0.7, torch.inf, u) * (2 * (u > 0.1) - 1),
}
LABELS: dict[str, Callable[[int], Tensor]] = {
    "half": lambda n: torch.arange(n) % 2,
    "one positive": lambda n: torch.arange(n) == n // 3,
    "one negative": lambda n: torch.arange(n) != n // 3,
    "sorted": lambda n: torch.arange(n) > 0.9 * n,
}


@pytest.mark.parametrize("curve", ["ROC", "PR"])
@pytest.mark.parametrize("labels", LABELS)
@pytest.mark.parametrize("hard", HARD)
def test_auc_of_112_hard_cases_is_that_of_sklearn(hard: str, labels: str, curve: str) -> None:
    n, chance = 400, torch.Generator().manual_seed(len(hard) + len(labels))
    y = LABELS[labels](n).long()
    u, weight = torch.rand(2, n, dtype=torch.float64, generator=chance)
    scores = HARD[hard](u, y)
    for weights in (None, weight):
        whole, batched = Auc(curve), Auc(curve)
        given = () if weights is None else (weights,)
        whole.update(scores, y, *given)
        for part in torch.arange(n).split(67):
            batched.update(scores[part], y[part], *(w[part] for w in given))
        expected = area_by_hand(scores, y, torch.ones(n) if weights is None else weights, curve)
        assert whole.accumulate() == pytest.approx(expected, abs=1e-9)
        assert batched.accumulate() == whole.accumulate()
        if scores.isfinite().all():
            oracle = roc_auc_score if curve == "ROC" else average_precision_score
            assert whole.accumulate() == pytest.approx(
                oracle(y, scores, sample_weight=weights), abs=1e-9
            )


def area_by_hand(scores: Tensor, y: Tensor, weight: Tensor, curve: str) -> float:
    """Every pair of a positive and a negative, or every threshold, one by one."""
    weight = weight.double()
    positive, negative = weight * y, weight * (1 - y)
    if curve == "ROC":
        above = (scores[:, None] > scores).double() + 0.5 * (scores[:, None] == scores)
        pairs = positive[:, None] * negative
        return ((above * pairs).sum() / pairs.sum()).item()
    area, recall = 0.0, 0.0
    for threshold in scores.unique().flip(0):
        called = scores >= threshold
        true = positive[called].sum().item()
        area += (true / positive.sum().item() - recall) * true / weight[called].sum().item()
        recall = true / positive.sum().item()
    return area


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
@pytest.mark.parametrize("columns", [0, 1, 2])
def test_auc_of_logits_is_that_of_the_probabilities(dtype: torch.dtype, columns: int) -> None:
    torch.manual_seed(columns)
    y = torch.arange(400) % 2
    logits = (torch.randn(400, max(columns, 1)) * 3 + y[:, None]).to(dtype)
    exact = logits.double()
    margin = exact[:, -1] - exact[:, 0] if columns == 2 else exact[:, 0]
    metric = Auc(from_logits=columns == 2)
    metric.update(logits if columns else logits[:, 0], y)
    assert metric.accumulate() == pytest.approx(roc_auc_score(y, margin), abs=1e-12)


def test_auc_of_one_positive_in_10_000() -> None:
    scores, y = torch.linspace(0, 1e-4, 10_000), torch.zeros(10_000)
    for place in (0, 1, 4321, 9998, 9999):
        y.zero_()[place] = 1
        roc, pr = Auc(), Auc("PR")
        roc.update(scores, y)
        pr.update(scores, y)
        assert roc.accumulate() == pytest.approx(place / 9999, abs=1e-12)
        assert pr.accumulate() == pytest.approx(1 / (10_000 - place), abs=1e-12)


def test_auc_of_rare_events_is_exact() -> None:
    metric = Auc()
    metric.update(torch.tensor([1e-5, 2e-5, 1e-4, 2e-4]), torch.tensor([0, 0, 1, 1]))
    assert metric.accumulate() == 1


def test_double_precision_is_not_rounded_up_to_half() -> None:
    metric = Recall()
    metric.update(torch.tensor([0.5 - 1e-12, 0.5], dtype=torch.float64), torch.tensor([1, 1]))
    assert metric.accumulate() == 0.5


def test_auc_makes_no_ties_in_half_precision() -> None:
    p = torch.rand(500).to(torch.bfloat16)
    half, full = Auc(), Auc()
    half.update(p, torch.arange(500) % 2)
    full.update(p.float(), torch.arange(500) % 2)
    assert half.accumulate() == full.accumulate()


@every_metric
@no_hurry
@given(seed=seeds, sizes=st.lists(st.integers(0, 9), min_size=1, max_size=6))
def test_batches_do_not_change_the_value(make: Make, seed: int, sizes: list[int]) -> None:
    y_hat, y = two_columns(sum(sizes), seed)
    whole, batched = make(), make()
    whole.update(y_hat, y)
    for part, labels in zip(torch.split(y_hat, sizes), torch.split(y, sizes), strict=True):
        batched.update(part, labels)
    assert batched.accumulate() == pytest.approx(whole.accumulate(), rel=0, abs=0, nan_ok=True)


@every_metric
def test_before_any_update_the_value_is_zero_and_there_is_no_curve(make: Make) -> None:
    metric = make()
    for _ in range(2):
        value = metric.accumulate()
        assert np.isnan(value) if isinstance(metric, Auc) else value in (0.0, [0.0, 0.0])
        metric.update(torch.zeros(0, 2), torch.zeros(0))  # nor does an empty batch change it
    assert metric.compute().dtype == torch.float64


# ---- state: on the device, exact, without a graph ------------------------------------------------


@every_metric
def test_update_neither_leaves_the_device_nor_waits_for_it(make: Make) -> None:
    metric = make()
    assert state(metric) == []  # no device is chosen before data comes
    with FakeTensorMode():  # tensors without numbers: looking at a value raises an error
        y_hat, y = torch.rand(8, 2, device="cuda"), torch.ones(8, device="cuda")
        metric.update(y_hat, y)
        metric.update(y_hat, y)
        assert {v.device.type for v in state(metric)} == {"cuda"}
        if isinstance(metric, Auc):  # of how many thresholds there are, the numbers decide
            return
        # Ranges are the one thing that compute looks at.
        for name in (
            "lowest",
            "highest",
            *(n for n in vars(metric) if n.startswith("no_")),
            "outside",
        ):
            vars(metric).update({name: float(name == "highest")} if hasattr(metric, name) else {})
        assert metric.compute().device.type == "cuda"


@every_metric
def test_counts_are_whole_numbers_beyond_2_to_the_24(make: Make) -> None:
    metric = make()
    y_hat, y = torch.tensor([[0.0, 1.0]]), torch.tensor([1])
    metric.update(y_hat, y)
    counts = [v for v in state(metric) if v.dtype == torch.int64]
    if isinstance(metric, Auc):  # it keeps what it has seen
        return
    assert counts and not any(v.is_floating_point() for v in counts)
    for v in counts:
        v += 2**40
    metric.update(y_hat, y)
    after = [v for v in state(metric) if v.dtype == torch.int64]
    assert max(int(v.max()) for v in after) == 2**40 + 2


@every_metric
def test_no_gradient_graph_is_kept(make: Make) -> None:
    y_hat, y = two_columns(8)
    metric = make()
    metric.update(y_hat.requires_grad_() * 1, y)
    assert not any(v.requires_grad for v in [*state(metric), metric.compute()])


@every_metric
def test_a_pass_in_inference_mode_can_be_continued_outside(make: Make) -> None:
    y_hat, y = two_columns(8)
    metric, plain = make(), make()
    with torch.inference_mode():
        metric.update(y_hat, y)
    metric.update(y_hat, y)
    plain.update(y_hat, y)
    assert metric.accumulate() == plain.accumulate()


def test_the_source_stands_alone_in_a_script() -> None:
    imports = "from abc import ABC, abstractmethod\nimport torch\nfrom torch import Tensor\n"
    names = ("exact", "no_shares", "no_weights", "weight_of_each", "check_weights", "fraction")
    needed = [Metric, *(getattr(metrics, name) for name in names), metrics.align]
    parts = [inspect.getsource(part) for part in needed]
    script: dict[str, type[Accuracy]] = {}
    exec("\n".join([imports, *parts, inspect.getsource(Accuracy)]), script)
    metric = script["Accuracy"]()
    metric.update(torch.eye(3), torch.tensor([0, 1, 1]))
    assert metric.accumulate() == pytest.approx(2 / 3)


# ---- names, and paddle's quirks 6 to 9 -----------------------------------------------------------


def test_names() -> None:
    assert Accuracy().name() == Accuracy(topk=1).name() == "acc"
    assert Accuracy(topk=(5,)).name() == Accuracy(topk=5).name() == "acc_top5"
    assert Accuracy(topk=(1, 5)).name() == ["acc_top1", "acc_top5"]
    assert Accuracy(name="digit").name() == "digit"
    assert Accuracy(topk=(1, 5), name="digit").name() == ["digit_top1", "digit_top5"]
    assert [m.name() for m in (Precision(), Recall(), Auc())] == ["precision", "recall", "auc"]


def test_accumulate_gives_plain_numbers() -> None:
    y_hat, y = two_columns(8)
    for metric, kind in ((Accuracy(), float), (Accuracy(topk=(1, 2)), list), (Auc(), float)):
        metric.update(y_hat, y)
        assert type(metric.accumulate()) is kind


@every_metric
def test_quirk_6_reset_forgets_a_stray_batch(make: Make) -> None:
    metric, fresh = make(), make()
    metric.update(torch.rand(5, 2), torch.ones(5))
    metric.reset()
    assert vars(metric) == vars(fresh)


def test_quirk_7_one_rule_at_half_for_precision_and_recall() -> None:
    for metric in (Precision(), Recall()):
        metric.update(torch.tensor([0.5]), torch.tensor([1]))
        assert metric.accumulate() == 1.0


def test_quirk_8_pr_is_not_roc_and_a_batch_has_a_value() -> None:
    y_hat, y = torch.tensor([0.1, 0.4, 0.35, 0.8]), torch.tensor([0, 0, 1, 1])
    for curve, expected in (("ROC", 0.75), ("PR", 5 / 6)):
        metric = Auc(curve)
        metric.update(y_hat, y)
        assert metric.accumulate() == pytest.approx(expected)


def test_quirk_9_names_can_be_told_apart() -> None:
    names = [Precision(name="a"), Recall(name="b"), Auc(name="c"), Accuracy(name="d")]
    assert [m.name() for m in names] == list("abcd")


# ---- errors teach: the argument, the value seen, what was expected, the fix ----------------------


@pytest.mark.parametrize(
    ("y_hat", "y", "topk", "parts"),
    [
        ((4,), (4,), 1, ["y_hat", "(4,)", "fewer than two classes", "C >= 2", "use Precision"]),
        ((4, 1), (4, 1), 1, ["y_hat", "(4, 1)", "fewer than two classes", "use Precision"]),
        ((4, 1, 5, 5), (4, 5, 5), 1, ["(4, 1, 5, 5)", "fewer than two classes"]),
        ((), (), 1, ["y_hat", "()", "fewer than two classes"]),
        ((3,), (), 1, ["y_hat", "(3,)", "fewer than two classes"]),
        ((4, 3), (5,), 1, ["y has", "(5,)", "(4, 3)", "Expected y (N,)", "Reshape y"]),
        ((4, 3), (4, 2), 1, ["(4, 2)", "(4, 3)", "does not fit"]),
        ((4, 3), (1, 4), 1, ["(1, 4)", "(4, 3)", "does not fit"]),
        ((4, 3, 1, 1), (4,), 1, ["(4,)", "(4, 3, 1, 1)", "does not fit"]),
        ((4, 3), (4,), (1, 5), ["topk", "best 5", "3 classes", "Expected 1 to 3", "smaller k"]),
    ],
)
def test_accuracy_refuses_what_does_not_fit(
    y_hat: tuple[int, ...], y: tuple[int, ...], topk: int | tuple[int, ...], parts: list[str]
) -> None:
    metric = Accuracy(topk)
    with pytest.raises(ValueError, match="Expected") as error:
        metric.update(torch.zeros(y_hat), torch.zeros(y))
    assert all(part in str(error.value) for part in parts), error.value
    assert metric.accumulate() in (0.0, [0.0, 0.0])  # a refused batch counts for nothing


@pytest.mark.parametrize("topk", [(), 0, (1, 0), (5, 5), 1.5, None, (1, "5")])
def test_accuracy_refuses_an_impossible_topk(topk: object) -> None:
    with pytest.raises(ValueError, match=r"topk is .*Expected integers from 1.*write topk=1"):
        Accuracy(topk)  # type: ignore[arg-type]


def test_auc_refuses_impossible_settings() -> None:
    with pytest.raises(ValueError, match=r"curve is 'roc'\. Expected 'ROC' or 'PR': write"):
        Auc(curve="roc")


@pytest.mark.parametrize("make", [Precision, Recall, Auc])
@pytest.mark.parametrize(
    ("y_hat", "y"), [((4, 3), (4,)), ((4,), (5,)), ((4, 1), (1,)), ((4,), (4, 2)), ((), ())]
)
def test_binary_metrics_refuse_shapes(
    make: Make, y_hat: tuple[int, ...], y: tuple[int, ...]
) -> None:
    with pytest.raises(ValueError, match="Expected one") as error:
        make().update(torch.zeros(y_hat), torch.zeros(y))
    for part in (f"y_hat has shape {y_hat}", f"y has shape {y}", "use Accuracy"):
        assert part in str(error.value)


@pytest.mark.parametrize("make", [Precision, Recall])
@pytest.mark.parametrize(("bad", "seen"), [(-3.25, "-3.25 to 1"), (7.5, "0 to 7.5")])
def test_binary_metrics_refuse_logits_when_asked_for_the_value(
    make: Make, bad: float, seen: str
) -> None:
    metric = make()
    for p in (0.5, bad, 0.5):  # one bad value in the middle is enough
        metric.update(torch.tensor([p]), torch.tensor([1]))
    expected = rf"'{metric.name()}' went from {seen}\. Expected .*from_logits=True.*nn\.Sigmoid\(\)"
    with pytest.raises(ValueError, match=expected):
        metric.compute()
    metric.reset()
    metric.update(torch.tensor([0.0, 1.0]), torch.tensor([0, 1]))  # the ends belong to it
    assert metric.accumulate() == 1.0


NAN = float("nan")


def measure(metric: Metric, *parts: Any) -> Any:
    metric.update(*parts)
    return metric.accumulate()


@pytest.mark.parametrize(
    ("make", "y_hat", "y", "weight", "words"),
    [
        (Accuracy, torch.eye(3), [0, 1, 3], None, "labels that are no class"),
        (Accuracy, torch.eye(3), [0, -1, 2], None, "labels that are no class"),
        (Accuracy, torch.eye(3), [0.0, 0.5, 2.0], None, "labels that are no class"),
        (Accuracy, torch.eye(3), [0.0, NAN, 2.0], None, "labels that are no class"),
        (Accuracy, torch.eye(3), [[1, 0, 0], [0, 0, 0], [0, 0, 1]], None, "several ones or none"),
        (Accuracy, torch.eye(3), [[0.9, 0.9, 0.1]] * 3, None, "shares that do not sum to 1"),
        (Accuracy, torch.eye(3), [[2.0, -1.0, 0.0]] * 3, None, "shares that do not sum to 1"),
        (Accuracy, torch.eye(3), [[NAN, 0.0, 1.0]] * 3, None, "shares that do not sum to 1"),
        (Accuracy, torch.eye(3), [[0, 2, 1]] * 3, None, "shares that do not sum to 1"),
        (Accuracy, torch.eye(3), [0, 1, 2], [1.0, -1.0, 1.0], "weight .* was negative, nan"),
        (Accuracy, torch.eye(3), [0, 1, 2], [1.0, NAN, 1.0], "weight .* was negative, nan"),
        (Accuracy, torch.eye(3), [0, 1, 2], [1.0, torch.inf, 1.0], "weight .* was negative, nan"),
        (Accuracy, torch.eye(3), [0, 1, 2], [1.0, 1.0], r"weight has shape \(2,\)"),
        (Accuracy, torch.eye(3), [0, 1, 2], 1.0, r"weight has shape \(\)"),
        (Precision, [0.1, 0.9], [0, 2], None, "labels other than 0 and 1"),
        (Precision, [0.1, 0.9], [-1, 1], None, "labels other than 0 and 1"),
        (Precision, [0.1, 0.9], [0.1, 0.9], None, "labels other than 0 and 1"),
        (Precision, [0.1, 0.9], [NAN, 1.0], None, "labels other than 0 and 1"),
        (Precision, [0.1, NAN], [0, 1], None, "was nan"),
        (Precision, [0.1, -0.9], [0, 1], None, "from_logits=True"),
        (Precision, [0.1, torch.inf], [0, 1], None, "from_logits=True"),
        (Precision, [[0.1, 0.2], [0.5, 0.9]], [0, 1], None, "rows that do not sum to 1"),
        (Precision, [0.1, 0.9], [0, 1], [1.0, -1.0], "weight .* was negative, nan"),
        (Precision, [0.1, 0.9], [0, 1], [1.0, NAN], "weight .* was negative, nan"),
        (Precision, [0.1, 0.9], [0, 1], [[1.0, 1.0]], r"weight has shape \(1, 2\)"),
        (Precision, [0.1, 0.9], [[0, 1], [1, 0]], None, r"y has shape \(2, 2\)"),
        (Precision, [[[0.1]], [[0.9]]], [0, 1], None, r"y_hat has shape \(2, 1, 1\)"),
        (Auc, [0.1, NAN], [0, 1], None, "was nan"),
        (Auc, [[0.1, 0.2], [0.5, 0.9]], [0, 1], None, "rows that do not sum to 1"),
        (Auc, [[-1.0, 2.0], [0.5, 0.9]], [0, 1], None, r"Auc\(from_logits=True\)"),
        (Auc, [0.1, 0.9], [0, -100], None, "labels other than 0 and 1"),
        (Auc, [0.1, 0.9], [0, 1], [1.0, NAN], "weight .* was negative, nan"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("kind", [torch.as_tensor, np.asarray])
def test_what_cannot_be_measured_is_refused_in_words(
    make: Make, y_hat: Any, y: Any, weight: Any, words: str, kind: Callable[[Any], Any]
) -> None:
    parts = [kind(part) for part in (y_hat, y, weight) if part is not None]
    with pytest.raises(ValueError, match=words):
        measure(make(), *parts)


@pytest.mark.parametrize(
    ("make", "y_hat", "y", "weight", "value"),
    [
        # nan scores predict nothing, and so miss
        (Accuracy, [[NAN, NAN, NAN], [0.1, NAN, 0.3], [0.0, 0.0, 1.0]], [0, 1, 2], None, 1 / 3),
        (lambda: Accuracy(2), [[NAN, NAN, NAN], [0.1, NAN, 0.3], [0.0, 0.5, 1.0]], [0, 1, 1], None,
         1 / 3),
        (Accuracy, [[False, True], [True, False]], [True, True], None, 0.5),
        (Accuracy, [[3, 9, 1], [2, 0, 0]], [[1], [1]], None, 0.5),
        (Accuracy, [[1.0, 2.0], [3.0, 1.0]], [1.0, 1.0], None, 0.5),
        (Accuracy, [[1.0, 2.0], [3.0, 1.0]], [[0.2, 0.8], [0.9, 0.1]], None, 1.0),
        (Accuracy, [[1.0, 2.0], [3.0, 1.0]], [1, 1], [3.0, 1.0], 0.75),
        (Accuracy, [[1.0, 2.0], [3.0, 1.0]], [1, 1], [[3.0], [1.0]], 0.75),
        (Accuracy, [[1.0, 2.0], [3.0, 1.0]], [1, 1], [0.0, 0.0], 0.0),
        (Accuracy, [[[1.0, 2.0], [2.0, 1.0]], [[1.0, 2.0], [1.0, 2.0]]], [[1, 0], [1, 0]],
         [3.0, 1.0], 7 / 8),  # a sample's weight is that of each of its labels
        (lambda: Accuracy(ignore_index=-100), [[1.0, 2.0], [3.0, 1.0]], [-100, -100], None, 0.0),
        (lambda: Accuracy(ignore_index=-100), [[1.0, 2.0]] * 2, [1, -100], [2.0, 9.0], 1.0),
        (lambda: Accuracy(ignore_index=-100), np.ones((157, 157)), np.arange(157, dtype="uint8"),
         None, 1 / 157),  # label 156 is no -100
        (lambda: Accuracy(ignore_index=255), np.ones((2, 3)), np.array([0, 255], dtype="uint8"),
         None, 1.0),
        (Precision, [True, True, False], [1, 0, 1], None, 0.5),
        (Recall, [1, 1, 0], [1, 0, 1], None, 0.5),
        (Precision, [[0.3, 0.7], [0.2, 0.8]], [[1], [0]], None, 0.5),
        (Precision, [[0.9], [0.6]], [1, 0], [[3.0], [1.0]], 0.75),
        (Precision, [0.1, 0.2], [1, 0], None, 0.0),
        (Recall, [0.1, 0.2], [0, 0], None, 0.0),
        (lambda: Precision(from_logits=True), [0.0, 0.4, -0.1], [1, 0, 1], None, 0.5),
        (lambda: Recall(from_logits=True), [0.0, 0.4, -torch.inf], [1, 0, 1], None, 0.5),
        (lambda: Recall(from_logits=True), [[0.6, 0.7], [0.9, 0.8]], [1, 1], None, 0.5),
        (lambda: Precision(ignore_index=-100), np.array([0.9, 0.9]),
         np.array([1, 156], dtype="uint8"), None, None),
        (Auc, [1, 0, 1, 0], [True, False, False, False], None, 5 / 6),
        (Auc, [3.0, -7.0, 2.5], [1, 0, 1], None, 1.0),
        (Auc, [torch.inf, -torch.inf, torch.inf], [1, 0, 0], None, 0.75),
        (Auc, [0.1, 0.9], [1, 1], None, NAN),
        (Auc, [0.1, 0.9], [0, 0], None, NAN),
        (lambda: Auc("PR"), [0.1, 0.9], [0, 0], None, NAN),
        (Auc, [0.1, 0.9], [1, 0], [0.0, 1.0], NAN),
        (lambda: Auc(ignore_index=-1), [0.1, 0.9, 0.5], [0, 1, -1], None, 1.0),
    ],
)  # fmt: skip
@pytest.mark.parametrize("kind", [torch.as_tensor, np.asarray])
def test_what_is_unusual_is_measured_right(
    make: Make, y_hat: Any, y: Any, weight: Any, value: float | None, kind: Callable[[Any], Any]
) -> None:
    whole, batched = make(), make()
    parts = [kind(part) for part in (y_hat, y, weight) if part is not None]
    whole.update(*parts)
    for i in range(len(y)):
        batched.update(*(part[i : i + 1] for part in parts))
    if value is None:  # label 156 is neither 0 nor 1, nor -100
        with pytest.raises(ValueError, match="labels other than 0 and 1"):
            whole.compute()
        return
    assert whole.accumulate() == pytest.approx(value, nan_ok=True)
    assert batched.accumulate() == pytest.approx(value, nan_ok=True)


def test_precision_and_recall_of_logits_are_those_of_the_probabilities() -> None:
    torch.manual_seed(0)
    y, logits = torch.arange(500) % 2, torch.randn(500, 2) * 2
    called, margin = torch.sigmoid(logits[:, 0]) >= 0.5, logits[:, 1] > logits[:, 0]
    for make, oracle in ((Precision, precision_score), (Recall, recall_score)):
        for y_hat, predicted in ((logits[:, 0], called), (logits[:, :1], called), (logits, margin)):
            metric = make(from_logits=True)
            for part in torch.arange(500).split(77):
                metric.update(y_hat[part], y[part])
            assert metric.accumulate() == pytest.approx(oracle(y, predicted), abs=1e-12)


def test_a_metric_of_ones_own_must_be_complete() -> None:
    class Forgetful(Metric):
        def reset(self) -> None: ...

    with pytest.raises(TypeError, match=r"compute.*name.*update"):
        Forgetful()  # type: ignore[abstract]


@every_metric
def test_numpys_arrays_do_as_well(make: Make) -> None:
    one, other = make(), make()
    y_hat, y = two_columns(40)
    for labels in (y, y[:, None]):
        one.update(y_hat, labels)
        other.update(y_hat.numpy(), labels.numpy())
    assert one.accumulate() == other.accumulate() != 0
