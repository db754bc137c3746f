"""Typical wrong answers to the exercises of lesson 5, and what each is told."""

from collections.abc import Callable
from typing import Any

import pytest
import torch

import tutorial as tl

# ---- predict


def predict(
    network: Any,
    loader: Any,
    *,
    mode: bool = False,
    notes: bool = False,
    give: Callable[[torch.Tensor], Any] = lambda y_hat: y_hat.argmax(dim=1),
    join: Callable[[Any], Any] = torch.cat,
) -> Any:
    network.train(mode)
    with torch.set_grad_enabled(notes):
        return join([give(network(x)) for x, _ in loader])


PREDICT: list[tuple[dict[str, Any], str]] = [
    ({"mode": True}, "prediction, step 1: dropout is still on"),
    ({"notes": True}, "prediction, step 1: PyTorch records a graph"),
    ({"join": list}, "it returns 4 pieces"),
    ({"join": lambda parts: None}, "it returns None"),
    ({"join": lambda parts: parts[-1]}, "the shape is (6,), not (54,): that is the last batch"),
    ({"join": lambda parts: torch.cat(parts[:3])}, "the shape is (48,), not (54,)"),
    ({"join": lambda parts: torch.cat(parts[::-1])}, "the right classes in another order"),
    ({"give": lambda y_hat: y_hat}, "these are scores, three for each sample"),
    ({"give": lambda y_hat: y_hat.argmax(dim=0)}, "the shape is (12,), not (54,): argmax over"),
    ({"give": lambda y_hat: y_hat.amax(dim=1)}, "class numbers are integers"),
    ({"give": lambda y_hat: y_hat.argmin(dim=1)}, "sample 1: class 2, not 0"),
]


@pytest.mark.parametrize(("fault", "told"), PREDICT)
def test_wrong_predictions(fault: dict[str, Any], told: str) -> None:
    assert told in tl.check("predict_digits", lambda *given: predict(*given, **fault)).fault


def test_a_right_prediction() -> None:
    assert tl.check("predict_digits", predict)


# ---- combine


def combine(results: Any, weigh: str = "samples", names: Any = ("loss", "acc")) -> dict[str, Any]:
    samples = sum(result["samples"] for result in results)

    def mean(name: str) -> Any:
        values = [result[name] for result in results]
        weighted = sum(result[name] * result["samples"] for result in results)
        return {
            "samples": weighted / samples,
            "parts": sum(values) / len(values),
            "sum": weighted,
            "tensor": torch.tensor(weighted / samples),
            "last": values[-1],
        }[weigh]

    return {**{name: mean(name) for name in names}, "samples": samples}


COMBINE: list[tuple[Callable[..., Any], str]] = [
    (
        lambda results: combine(results, "parts"),
        "the mean loss is 0.9167, not 0.575: it counts every part",
    ),
    (lambda results: combine(results, "sum"), "1 part: the mean loss is 300, not 0.5: that is the"),
    (lambda results: combine(results, "last"), "that is the last part alone"),
    (lambda results: combine(results, "tensor"), "the mean loss is a tensor"),
    (
        lambda results: combine(results, names=("loss",)),
        "a dict with 'loss' and 'samples', but one with 'loss', 'acc' and",
    ),
    (lambda results: combine(results) | {"samples": 600}, "3 parts: they have 1000 samples"),
    (
        lambda results: combine(results) | {"acc": combine(results, "parts")["acc"]},
        "the mean accuracy is 0.75, not 0.865",
    ),
    (lambda results: None, "it returns None"),
]


@pytest.mark.parametrize(("answer", "told"), COMBINE)
def test_wrong_combinations(answer: Callable[..., Any], told: str) -> None:
    assert told in tl.check("combine_results", answer).fault


def test_a_right_combination() -> None:
    assert tl.check("combine_results", combine)


# ---- the surest


def surest(
    logits: torch.Tensor,
    y: torch.Tensor,
    share: float,
    *,
    by: Callable[[torch.Tensor], torch.Tensor] = lambda logits: logits.softmax(dim=1).amax(dim=1),
    give: Callable[[torch.Tensor], Any] = lambda hits: hits.mean().item(),
) -> Any:
    order = by(logits).argsort(descending=True)[: round(share * len(y))]
    return give((logits.argmax(dim=1) == y)[order].float())


SUREST: list[tuple[dict[str, Any], str]] = [
    ({"by": lambda logits: -logits.softmax(dim=1).amax(dim=1)}, "0.4, not 1: those are the least"),
    ({"by": lambda logits: logits.amax(dim=1)}, "what does softmax say?"),
    ({"by": lambda logits: -torch.arange(len(logits))}, "are these simply the first ones?"),
    ({"give": lambda hits: hits.sum().item() / 10}, "divide by the number of those"),
    ({"give": lambda hits: 100 * hits.mean().item()}, "from 0 to 1, not percent"),
    ({"give": lambda hits: hits.mean()}, "a plain number is expected"),
    ({"give": lambda hits: None}, "it returns None"),
]


@pytest.mark.parametrize(("fault", "told"), SUREST)
def test_wrong_shares(fault: dict[str, Any], told: str) -> None:
    assert told in tl.check("accuracy_of_surest", lambda *given: surest(*given, **fault)).fault


def test_the_share_must_be_used() -> None:
    verdict = tl.check("accuracy_of_surest", lambda logits, y, share: surest(logits, y, 1.0))
    assert "the surest 5 of 10: 0.7, not 1: that is the accuracy on all" in verdict.fault
    assert tl.check("accuracy_of_surest", surest)
