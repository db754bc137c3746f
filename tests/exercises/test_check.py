"""tl.check: what it says of answers that are none, and what it leaves alone."""

import io
import sys
import threading
from typing import Any

import pytest
import torch
from torch import nn

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
        ("number_of_steps", dict, "is the class dict, but a function is expected: write it with"),
        ("f1_score", tl.metrics.Accuracy(), "but a class is expected: give the class itself"),
        ("f1_score", lambda: 0.5, "but a class is expected: write it with class"),
        ("number_of_steps", lambda: 938, "cannot be called as it is asked for: <lambda>() takes 0"),
    ],
)
def test_answers_of_another_kind(name: str, answer: Any, told: str) -> None:
    assert told in tl.check(name, answer).fault


def test_an_error_in_the_answer_is_told_with_its_line() -> None:
    def divides(samples: int, batch_size: int, epochs: int) -> float:
        return samples / 0

    fault = tl.check("number_of_steps", divides).fault
    assert fault == (
        "your code stopped in the line `return samples / 0`, called with samples=100, "
        "batch_size=32, epochs=1: ZeroDivisionError: division by zero"
    )


def test_a_tensor_among_the_arguments_is_told_by_its_shape() -> None:
    def off(x: Any, right: int, down: int, paper: float) -> Any:
        return x[:, :, right - 100]

    assert "x=a tensor of shape (2, 1, 5, 6), right=0, " in tl.check("shift", off).fault


# ---- is it begun?


def test_an_answer_that_is_not_begun() -> None:
    def stub(*_: Any) -> None:
        """What is asked for."""
        # YOUR CODE HERE
        raise NotImplementedError()

    class Stub:
        def reset(self) -> None:
            raise NotImplementedError

        update = compute = reset

    for name, answer in (("train_one_epoch", stub), ("f1_score", Stub), ("f1_score", None)):
        verdict = tl.check(name, answer)
        assert repr(
            verdict
        ) == f"{name}: not begun\n  ○ there is no answer yet: write it in the " + ("cell above")
        assert not verdict
        assert "#c2403a" not in verdict._repr_html_()
        assert not verdict.begun


def test_the_line_of_the_stub_is_still_there() -> None:
    def below(samples: int, batch_size: int, epochs: int) -> int:
        steps = samples // batch_size
        raise NotImplementedError()
        return steps

    def above(samples: int, batch_size: int, epochs: int) -> int:
        raise NotImplementedError()
        return samples // batch_size

    class Half:
        def reset(self) -> None:
            self.count = 0

        def update(self, *_: Any) -> None:
            raise NotImplementedError

        compute = update

    for name, answer, where in (
        ("number_of_steps", below, "below"),
        ("number_of_steps", above, "above"),
        ("f1_score", Half, "update"),
    ):
        told = f"the line `raise NotImplementedError()` is still there, in {where}"
        assert tl.check(name, answer).fault == told


def test_what_pytorch_has_not_implemented_is_an_answer_all_the_same() -> None:
    def swapped(network: Any, loss_fn: Any, optimizer: Any, train_loader: Any) -> None:
        network.train()
        for x, y in train_loader:
            nn.functional.cross_entropy(y, network(x))

    fault = tl.check("train_one_epoch", swapped).fault
    assert "in the line `nn.functional.cross_entropy(y, network(x))`" in fault

    def given(network: Any, loss_fn: Any, optimizer: Any, train_loader: Any) -> None:
        network.train()
        for x, y in train_loader:
            loss_fn(y, network(x))

    assert "the labels first and then the predictions" in tl.check("train_one_epoch", given).fault


# ---- whatever ends an answer early is a finding


def exits(*_: Any) -> None:
    sys.exit()


def remembers(*_: Any) -> None:
    [0] * 10**15


def calls_itself(*_: Any) -> Any:
    return calls_itself()


def asks(*_: Any) -> int:
    return int(input())


def fails_in_a_thread(*_: Any) -> int:
    thread = threading.Thread(target=lambda: {}["key"])
    thread.start()
    thread.join()
    return 0


class MuteError(Exception):
    def __str__(self) -> str:
        raise ValueError("no words")


def is_mute(*_: Any) -> None:
    raise MuteError


def is_stopped(*_: Any) -> None:
    raise KeyboardInterrupt


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (exits, "your code ends Python in the line `sys.exit()`: let it return"),
        (remembers, "your code stopped in the line `[0] * 10**15`: MemoryError"),
        (calls_itself, "your code stopped in the line `return calls_itself()`: RecursionError"),
        (asks, "your code asks a question in the line `return int(input())`"),
        (fails_in_a_thread, 'lambda: {}["key"])`: KeyError'),
        (is_mute, "your code stopped in the line `raise MuteError`: MuteError"),
        (is_stopped, "stopped in your line `raise KeyboardInterrupt`"),
    ],
)
def test_what_ends_an_answer_early(answer: Any, told: str, monkeypatch, capsys) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO())
    before = threading.excepthook
    assert told in tl.check("number_of_steps", answer).fault
    assert threading.excepthook is before
    assert "Traceback" not in capsys.readouterr().err


def test_a_warning_shows_no_line_of_a_check(recwarn) -> None:
    def answer(y_hat: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return (nn.functional.cross_entropy(y_hat, y) * 2).requires_grad_()

    tl.check("cross_entropy", answer)
    assert not [each for each in recwarn if "exercises" in each.filename]


ENDLESS = """
import tutorial as tl
def f(samples, batch_size, epochs):
    print("begun")
    while True: pass
tl.check("number_of_steps", f)
"""


def test_stop_shows_no_line_of_a_check(kernel) -> None:
    request = kernel.start(ENDLESS)
    while not any(m["msg_type"] == "stream" for m in kernel.messages):
        kernel.messages.append(kernel.client.get_iopub_msg(timeout=60))
    kernel.manager.interrupt_kernel()
    error, _ = kernel.end(request)
    assert not error
    [shown] = kernel.sent("execute_result")
    assert "stopped in your line `while True: pass`" in shown["data"]["text/plain"]
    assert "expected = " not in str(kernel.messages)


def test_without_a_front_end_that_asks_input_is_told(kernel, monkeypatch) -> None:
    monkeypatch.setattr(kernel, "attended", False)
    kernel.run('def g(*_): return int(input("steps?"))\ntl.check("number_of_steps", g)')
    [shown] = kernel.sent("execute_result")
    assert 'in the line `def g(*_): return int(input("steps?"))`' in shown["data"]["text/plain"]


# ---- what it leaves alone, and shows


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
