"""The progress bar of a terminal, by tqdm: one for each epoch.

What is printed while it is shown, such as by a callback, stands above it, on lines of its own.
"""

import sys
from typing import Any

from tqdm import tqdm

from tutorial.display import is_terminal
from tutorial.display.report import Live, Logs, join

# What matters most stands first: a narrow terminal cuts off the end.
FORMAT = "{desc} |{bar:16}| {n_fmt}/{total_fmt}{postfix} [{elapsed}<{remaining}, {rate_fmt}]"


class TerminalBar(Live):
    """A bar for each epoch, evaluation or prediction, with the means so far."""

    bar: Any = None

    def start(self, phase: str, loader: Any, epoch: int = 0, epochs: int = 1) -> None:
        self.fill()
        super().start(phase, loader, epoch, epochs)
        if not self.part:  # the evaluation after an epoch's training shares the epoch's bar
            self.bar = tqdm(
                total=self.steps,
                desc=self.title,
                unit="step",
                file=sys.stderr,
                dynamic_ncols=True,
                bar_format=FORMAT,
            )
            for name in filter(is_terminal, ("stdout", "stderr")):
                setattr(sys, name, Above(getattr(sys, name), self.bar))

    def update(self, step: int, logs: Logs) -> None:
        super().update(step, logs)
        part = f"{self.part}{self.done}/{self.steps or '?'}" if self.part else ""
        self.show(join(part, logs))

    def finish(self, logs: Logs) -> None:
        self.show(join("", logs))
        self.close()
        super().finish(logs)

    def show(self, means: str) -> None:
        self.fill()
        self.bar.set_postfix_str(means.removeprefix(": "))

    def fill(self) -> None:
        """Fill the bar up to the steps that are done, in the main part."""
        if self.bar is not None and not self.part:
            self.bar.n = self.done

    def close(self, how: str = "done") -> None:
        if self.bar is not None:
            self.fill()
            for name in ("stdout", "stderr"):
                if getattr(getattr(sys, name), "bar", None) is self.bar:
                    setattr(sys, name, getattr(sys, name).stream)
            self.bar.close()
        self.bar = None


class Above:
    """A stream to the terminal on which a bar is shown: its lines stand above the bar."""

    def __init__(self, stream: Any, bar: Any) -> None:
        self.stream, self.bar = stream, bar
        self.within_a_line = False

    def write(self, text: str) -> Any:
        """Write; the bar makes room, and is drawn again after the end of a line."""
        if text and not self.within_a_line:
            self.bar.clear()
        written = self.stream.write(text)
        if text:
            self.within_a_line = not text.endswith("\n")
        if text and not self.within_a_line:
            self.stream.flush()
            self.bar.refresh()
        return written

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)
