"""The progress bar of a terminal, by tqdm: one for each epoch."""

import sys
from typing import Any

from tqdm import tqdm

from tutorial.display.report import Live, Logs, join


class TerminalBar(Live):
    """A bar for each epoch, evaluation or prediction, with the means so far."""

    bar: Any = None

    def start(self, phase: str, loader: Any, epoch: int = 0, epochs: int = 1) -> None:
        super().start(phase, loader, epoch, epochs)
        if not self.part:  # the evaluation after an epoch's training shares the epoch's bar
            self.bar = tqdm(
                total=self.steps, desc=self.title, unit="step", file=sys.stderr, dynamic_ncols=True
            )

    def update(self, step: int, logs: Logs) -> None:
        super().update(step, logs)
        self.show(f"{self.part}{self.done}/{self.steps or '?'}" if self.part else "", logs)

    def finish(self, logs: Logs) -> None:
        self.show("", logs)
        self.close()
        super().finish(logs)

    def show(self, what: str, logs: Logs) -> None:
        self.bar.set_postfix_str(join(what, logs).removeprefix(": "), refresh=False)
        if not self.part:
            self.bar.n = self.done
        self.bar.refresh()

    def close(self) -> None:
        if self.bar is not None:
            if not self.part:
                self.bar.n = self.done
            self.bar.close()
        self.bar = None
