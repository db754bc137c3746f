"""What a person sees while a loop runs, in a terminal, a file and a pipe."""

import fcntl
import io
import os
import pty
import re
import struct
import sys
import termios
import textwrap
from typing import Any

import pytest
import warm
from hypothesis import given
from hypothesis import strategies as st

from tutorial.display import choose
from tutorial.display.highlight import highlighted
from tutorial.display.report import Lines, Live, Report, join

PROGRAM = """
    import torch, tutorial as tl
    from torch import nn
    from torch.utils.data import TensorDataset
    tl.seed(0)
    data = TensorDataset(torch.randn(90, 4), torch.randint(3, (90,)))
    model = tl.Model(nn.Linear(4, 3))
    model.prepare(torch.optim.SGD(model.parameters()), nn.CrossEntropyLoss(), tl.metrics.Accuracy())
    model.fit(data, data, epochs=2, batch_size=30, verbose={verbose}, log_freq=2)
    model.evaluate(data, verbose={verbose})
    model.predict(data, verbose={verbose})
"""


TALKING = """
    import sys, time
    from tutorial.callbacks import LambdaCallback
    def step(step, logs):
        time.sleep(0.11)  # so that the bar is drawn in each step
        print("step", step)
    def evaluated(logs):
        print("two", end=" ")
        print("pieces\\nof a text")
        print("an error", file=sys.stderr)
    talk = LambdaCallback(on_train_batch_end=step, on_eval_end=evaluated)
    model.fit(data, data, epochs=1, batch_size=30, callbacks=talk)
    assert (sys.stdout, sys.stderr) == (sys.__stdout__, sys.__stderr__)
"""


def command(verbose: int, more: str = "") -> list[str]:
    program = textwrap.dedent(PROGRAM.format(verbose=verbose)) + textwrap.dedent(more)
    return [sys.executable, "-c", program]


def in_a_pipe(verbose: int) -> str:
    ran = warm.run(warm.AS_USUAL + textwrap.dedent(PROGRAM.format(verbose=verbose)))
    assert ran.stderr == ""
    return ran.stdout


def in_a_terminal(verbose: int, columns: int = 100, more: str = "") -> str:
    """What a terminal of this width is sent, all on one stream."""
    pid, terminal = pty.fork()
    if pid == 0:
        fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", 30, columns, 0, 0))
        os.execv(sys.executable, command(verbose, more))
    sent = b""
    while True:
        try:
            sent += (chunk := os.read(terminal, 4096))
        except OSError:  # Linux's way to say that the other end closed
            break
        if not chunk:
            break
    assert os.waitpid(pid, 0)[1] == 0, sent
    return sent.decode()


def test_in_a_pipe_there_is_one_line_for_each_epoch_and_no_control_character() -> None:
    out = in_a_pipe(verbose=1)
    assert not re.search(r"[\x00-\x09\x0b-\x1f]", out)
    number = r"\d\.\d{4}"
    means = f"loss {number}, acc {number}, eval_loss {number}, eval_acc {number}"
    evaluated = rf"evaluate: loss {number}, acc {number}"
    assert re.fullmatch(
        rf"epoch 1/2: {means}\nepoch 2/2: {means}\n{evaluated}\npredict: 2 batches\n", out
    )


def test_verbose_0_says_nothing() -> None:
    assert in_a_pipe(verbose=0) == ""


def test_verbose_2_adds_a_line_for_every_log_freq_steps() -> None:
    lines = [line.split(":")[0] for line in in_a_pipe(verbose=2).splitlines()]
    epoch = ["epoch {}/2 step 2/3", "epoch {}/2 evaluate step 2/3", "epoch {}/2"]
    assert lines == [
        *(line.format(1) for line in epoch),
        *(line.format(2) for line in epoch),
        "evaluate",  # whose log_freq is 10
        "predict",
    ]


@pytest.mark.parametrize("columns", [100, pytest.param(40, marks=pytest.mark.slow)])
def test_in_a_terminal_there_is_a_bar_that_ends_full(columns: int) -> None:
    sent = in_a_terminal(verbose=1, columns=columns)
    lines = [line.split("\r")[-1] for line in sent.replace("\r\n", "\n").split("\n")]
    lines = [line for line in lines if line.strip()]
    assert [re.split(r":| \|", line)[0] for line in lines] == [
        "epoch 1/2",
        "epoch 2/2",
        "evaluate",
        "predict",
    ]
    assert all(len(line) <= columns for line in lines)
    if columns == 100:
        assert "3/3" in lines[0]
        assert re.search(r"loss \d\.\d{4}, acc \d\.\d{4}, eval_loss", lines[0])


def test_what_is_printed_meanwhile_stands_on_its_own_lines_above_the_bar() -> None:
    sent = in_a_terminal(verbose=0, more=TALKING)
    lines = [line.split("\r")[-1] for line in sent.replace("\r\n", "\n").split("\n")]
    *printed, bar, end = lines
    assert printed == ["step 0", "step 1", "step 2", "two pieces", "of a text", "an error"]
    assert bar.startswith("epoch 1/1 |") and "3/3" in bar and end == ""
    first = sent[: sent.index("step 1")]
    assert re.search(r"\repoch 1/1 \|.{16}\| 1/3", first)  # the bar goes on


def test_a_live_display_is_updated_at_most_ten_times_a_second(monkeypatch) -> None:
    clock = [100.0]
    monkeypatch.setattr("time.monotonic", lambda: clock[0])
    live, updates = Live(), 0
    for step in range(10_000):  # 10,000 steps in 5 seconds
        clock[0] += 0.0005
        if live.due(step):
            live.update(step, {})
            updates += 1
    assert 45 <= updates <= 51


@pytest.mark.parametrize("report", [Report(), Lines(), Lines(3), Live()])
def test_every_display_ends_the_loop_at_an_interrupt(report: Report) -> None:
    report.due(0)
    report.interrupted = True
    with pytest.raises(KeyboardInterrupt):
        report.due(1)
    assert report.done == 2


def test_choose_follows_verbose_and_the_terminal(monkeypatch) -> None:
    assert type(choose(0, 10)) is Report
    assert type(choose(2, 7)) is Lines
    monkeypatch.setattr("sys.stderr", io.StringIO())
    assert type(choose(1, 10)) is Lines


def test_join_leaves_out_the_epoch_and_writes_four_digits() -> None:
    assert join("epoch 1/5", {"epoch": 1, "loss": 0.27141, "acc": 1}) == (
        "epoch 1/5: loss 0.2714, acc 1.0000"
    )
    assert join("predict", {}) == "predict"


@given(st.text(alphabet=st.characters(codec="utf-8", exclude_categories=["Cs", "Cc"])))
def test_highlighted_code_holds_the_code(text: str) -> None:
    """Whatever the source, the page shows it, and runs nothing of it."""
    from html import unescape

    html = highlighted(f"x = {text!r}  # {text}\n")
    assert unescape(re.sub(r"<[^>]*>", "", html)) == f"x = {text!r}  # {text}\n"
    assert "<script" not in html


class OnlyWrites:
    """As some editors replace a stream: it has no isatty()."""

    def write(self, text: str) -> int:
        return len(text)

    def flush(self) -> None: ...


@pytest.mark.parametrize("stream", ["stdout", "stderr"])
@pytest.mark.parametrize("instead", [None, OnlyWrites()])
@pytest.mark.parametrize("verbose", [1, 2])
def test_a_program_without_a_console_trains(
    stream: str, instead: Any, verbose: int, data, make_model, monkeypatch
) -> None:
    monkeypatch.setattr(sys, stream, instead)
    assert len(make_model().fit(data, verbose=verbose).rows) == 1
