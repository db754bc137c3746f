"""What a running loop tells, and to whom.

A program that runs calls `report` at five places (see loop/layers/report.py): `watch` before it
trains, `start` before a pass over the data, `due` after each step, `update` where `due` said yes,
and `finish` at the end of an epoch, an evaluation or a prediction. When all is over, `close` is
called. It is also where a user's interrupt takes effect: between two steps.
"""

import math
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext, redirect_stdout
from types import MappingProxyType
from typing import Any

from tutorial import checks
from tutorial.display.panel import Panel

Logs = Mapping[str, float]


class Report:
    """Tells nothing (verbose=0), and ends the loop after the step in which an interrupt came."""

    warned = False  # that the loss is not finite
    undefined: Mapping[str, str] = MappingProxyType(
        {}
    )  # of metrics with no value of few samples: why
    interrupted = False  # set from outside, when the user asks to stop
    title = ""  # what is running: 'epoch 1/5', 'evaluate' or 'predict'
    part = ""  # what of it, if not the main part: 'evaluate ' after the training of an epoch
    steps: int | None = None  # batches in this pass, where the loader knows
    done = 0  # batches of this pass that are behind us
    data = ""  # what this pass reads: 'train_data', ...
    rows: list[dict[str, float]] = []  # noqa: RUF012
    panels: Sequence[Panel] = ()  # further pictures of a training, where there are pictures
    rows_before = 0  # when this pass began
    may_be_empty = True  # of several ranks, one may have no batch; and an own loop may not say so

    def watch(
        self, step_losses: list[Any], rows: list[dict[str, float]], num_iters: int | None
    ) -> None:
        """A training begins, or goes on; the loop will append to these two lists."""
        self.rows = rows

    def start(self, phase: str, loader: Any, epoch: int = 0, epochs: int = 1) -> None:
        """A pass begins: phase is 'train', 'evaluate' or 'predict'; epoch counts from 0."""
        if self.title:
            self.check_pass()  # the training before an evaluation
        self.part = f"{phase} " if self.title else ""
        self.rows_before = len(self.rows)
        self.data = {"train": "train_data", "evaluate": "eval_data"}.get(phase, "test_data")
        self.title = self.title or (f"epoch {epoch + 1}/{epochs}" if phase == "train" else phase)
        self.steps = length(loader)
        self.done = 0

    def due(self, step: int) -> bool:
        """Whether this step (from 0) is one to `update` for.

        Raises:
            KeyboardInterrupt: the user asked to stop since the last step.
        """
        self.done = step + 1
        if self.interrupted:
            raise KeyboardInterrupt
        return False

    def update(self, step: int, logs: Logs) -> None:
        """So far the means are these."""

    def finish(self, logs: Logs) -> None:
        """An epoch, an evaluation or a prediction is done, with these means.

        Warns, once in a call, if the loss has become nan or infinite; else if a metric is nan.

        Raises:
            ValueError: it had no batch.
        """
        self.check_pass()
        if not self.warned and not math.isfinite(logs.get("loss", 0.0)):
            self.warned = True
            checks.warn(
                f"{self.title}: the mean loss is {logs['loss']}, so there is nothing to learn from "
                "it any more. Try a smaller learning rate or clip_grad_norm=1.0, or look for nan "
                "in the data. callbacks.TerminateOnNaN() ends a training at such a step, and keeps "
                "the last good weights."
            )
        gaps = [name for name, value in logs.items() if math.isnan(value)]
        if gaps and not self.warned:
            self.warned = True
            why = self.undefined.get(
                gaps[0].removeprefix("eval_"), "they may be of one class alone"
            )
            checks.warn(
                f"{self.title}: nan for {', '.join(gaps)}, which these data leave undefined: {why}"
            )
        self.title = ""

    def check_pass(self) -> None:
        """Refuse a pass that had no batch: its means would be those of nothing."""
        if self.done == 0 and not self.may_be_empty:
            del self.rows[self.rows_before :]  # such as the row of this epoch
            raise ValueError(
                f"{self.title}: {self.data} gave no batch; at least one is expected. What can be "
                "read only once, such as a generator, is used up after one pass: give a list of "
                "batches, or a Dataset."
            )

    def close(self, how: str = "done") -> None:
        """The call is over: it is 'done', or was 'stopped' by an interrupt, or 'failed'."""

    def place(self) -> str:
        """Where in the pass the loop is: 'step 30/938'."""
        return f"step {self.done}" + ("" if self.steps is None else f"/{self.steps}")

    def outcome(self, logs: Logs) -> str:
        """What came out of an epoch, an evaluation or a prediction, in a line."""
        return join(self.title, logs) if logs else f"{self.title}: {self.done} batches"


class Lines(Report):
    """One line for each epoch; with log_freq also one for every so many steps (verbose=2).

    The lines hold no times and no control characters: a log file stays readable, and two runs of
    a notebook print the same.
    """

    def __init__(self, log_freq: int | None = None) -> None:
        self.log_freq = log_freq

    def due(self, step: int) -> bool:
        super().due(step)
        return self.log_freq is not None and self.done % self.log_freq == 0

    def update(self, step: int, logs: Logs) -> None:
        print(join(f"{self.title} {self.part}{self.place()}", logs))

    def finish(self, logs: Logs) -> None:
        print(self.outcome(logs))
        super().finish(logs)


class Live(Report):
    """A display that a person watches: at most ten updates a second."""

    SECONDS = 0.1
    next_update = 0.0

    def due(self, step: int) -> bool:
        super().due(step)
        return time.monotonic() >= self.next_update

    def update(self, step: int, logs: Logs) -> None:
        self.next_update = time.monotonic() + self.SECONDS


@contextmanager
def no_closed_output() -> Iterator[None]:
    """Inside, nothing is printed where the output was closed: no training ends because of it."""
    with redirect_stdout(None) if getattr(sys.stdout, "closed", False) else nullcontext():
        yield


def length(loader: Any) -> int | None:
    """The number of batches, if the loader knows it; that of an IterableDataset does not."""
    try:
        return len(loader)
    except TypeError:
        return None


def join(title: str, logs: Logs) -> str:
    """The means behind a title: `epoch 1/5: loss 0.2714, acc 0.9201`."""
    means = ", ".join(f"{name} {written(value)}" for name, value in logs.items() if name != "epoch")
    return f"{title}: {means}" if means else title


def written(mean: float) -> str:
    """A mean as a person reads it: four digits behind the point; a very large one, four in all.

    Example:
        >>> written(0.27138), written(292258913572634849443840.0)
        ('0.2714', '2.923e+23')
    """
    return f"{mean:.4g}" if 1e6 <= abs(mean) < math.inf else f"{mean:.4f}"
