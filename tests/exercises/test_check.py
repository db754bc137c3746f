"""tl.check: what it says of answers that are none, and what it leaves alone."""

from typing import Any

import pytest
import torch

import tutorial as tl
from tutorial.course.exercises.registry import exercise
from tutorial.course.exercises.verdict import Right, Verdict, Wrong


def test_a_name_that_is_none_is_an_error_with_a_hint() -> None:
    with pytest.raises(ValueError, match="Do you mean 'train_one_epoch'"):
        tl.check("train_one_epok", len)
    with pytest.raises(ValueError, match="no exercise has this name"):
        tl.check(3, len)  # type: ignore[arg-type]


def test_two_exercises_of_one_name_are_refused() -> None:
    tl.check("cross_entropy", None)
    with pytest.raises(ValueError, match="two exercises 'cross_entropy'"):
        exercise("cross_entropy")(lambda answer: iter(()))


@pytest.mark.parametrize(
    ("name", "answer", "told"),
    [
        ("number_of_steps", None, "there is no answer yet"),
        ("number_of_steps", ..., "there is no answer yet"),
        (
            "number_of_steps",
            938,
            "the answer is 938, but a function is expected: give the function",
        ),
        ("number_of_steps", dict, "but a function is expected"),
        ("f1_score", tl.metrics.Accuracy(), "but a class is expected: give the class itself"),
        ("number_of_steps", lambda: 938, "your code stopped: TypeError"),
    ],
)
def test_answers_of_another_kind(name: str, answer: Any, told: str) -> None:
    assert told in tl.check(name, answer).fault


def test_an_error_in_the_answer_is_told_with_its_line() -> None:
    def divides(samples: int, batch_size: int, epochs: int) -> float:
        return samples / 0

    fault = tl.check("number_of_steps", divides).fault
    assert fault == "your code stopped in the line `return samples / 0`: " + (
        "ZeroDivisionError: division by zero"
    )


def test_an_answer_that_is_not_written_yet() -> None:
    def stub(*_: Any) -> None:
        raise NotImplementedError

    assert "no answer yet" in tl.check("train_one_epoch", stub).fault


def test_a_check_leaves_chance_and_settings_alone() -> None:
    def careless(samples: int, batch_size: int, epochs: int) -> int:
        torch.manual_seed(7)
        torch.set_grad_enabled(False)
        return 0

    before = torch.get_rng_state()
    tl.check("number_of_steps", careless)
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.is_grad_enabled()


def test_what_a_verdict_shows() -> None:
    good, bad = Verdict("a", [Right("one")]), Verdict("a", [Right("one"), Wrong("x < 2 & <b>")])
    assert good and not bad
    assert repr(bad) == "a: not yet\n  ✓ one\n  ✗ x < 2 & <b>"
    assert "x &lt; 2 &amp; &lt;b&gt;" in bad._repr_html_()
    assert "a: right" in good._repr_html_()
    good.require()
    with pytest.raises(AssertionError, match="x < 2"):
        bad.require()
