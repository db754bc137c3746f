"""The progress bar of a notebook, as HTML: how far a call has come, and how long it will take."""

import time
from html import escape

# How a call ended, and the colour of its bar then; the word stands beside it, too.
COLORS = {
    **dict.fromkeys(("running", "unfinished"), "#2b7bd0"),
    "done": "#2e8f57",
    "stopped": "#c8690f",
    "failed": "#c3403a",
}


class Bar:
    """How far a call has come, over all its epochs.

    Attributes:
        done: steps that are behind us.
        total: all steps, or None where the data does not know its length.
        limit: the most steps that the call takes, if it has such a limit.
    """

    def __init__(self) -> None:
        self.done = 0
        self.total: int | None = None
        self.limit: int | None = None
        self.first: int | None = None  # where a training that goes on began
        self.before = 0  # steps of earlier epochs
        self.began = time.monotonic()

    def start(self, epoch: int, epochs: int, steps: int | None) -> None:
        """An epoch begins, the only one of an evaluation or a prediction; epoch counts from 0."""
        if self.first is None:
            self.first = self.done = epoch * (steps or 0)
        self.before = self.done
        self.total = self.limit if steps is None else min(epochs * steps, self.limit or 10**12)

    def step(self, done: int) -> None:
        """So many steps of this epoch are behind us."""
        self.done = self.before + done

    def speed(self) -> float:
        """Steps in a second, so far."""
        return (self.done - (self.first or 0)) / max(time.monotonic() - self.began, 1e-9)

    def left(self) -> float | None:
        """Seconds that the rest will take, or None if that cannot be known yet."""
        if self.total is None or self.speed() == 0:
            return None
        return max(self.total - self.done, 0) / self.speed()

    def html(self, text: str, how: str = "running", failed: bool = False) -> str:
        """The bar, what it says, and while it runs also the speed and the time left.

        Args:
            text: what it says: 'epoch 1/5, step 30/938: loss 0.2714'.
            how: 'running', 'done', 'stopped' or 'failed'; or 'unfinished', as far as anybody knows
                who reads this later.
            failed: it has the colour of a failure already.
        """
        running = how in ("running", "unfinished")
        end = self.done if how == "done" else self.total  # a callback may have ended it early
        value = f' value="{self.done}" max="{max(end or self.done, 1)}"'
        if running and self.total is None:
            value = ""  # it moves to and fro
        bar = (
            f'<progress{value} aria-label="{escape(text.partition(":")[0])}" '
            f'style="accent-color:{COLORS["failed" if failed else how]}"></progress>'
        )
        told = self.pace() if how == "running" else "not finished"
        small = f"<small>{told}</small>" if running else ""
        return f'<div class="tutorial-bar">{bar}<span>{escape(text)}</span> {small}</div>'

    def pace(self) -> str:
        """The speed and the time left: '931 steps/s, 0:12 left'."""
        left, speed = self.left(), self.speed()
        pace = f"{speed:.0f} steps/s" if speed >= 10 else f"{speed:.2g} steps/s"
        return pace if left is None else f"{pace}, {clock(left)} left"


def clock(seconds: float) -> str:
    """A duration as a clock shows it.

    Example:
        >>> clock(62.4), clock(3723)
        ('1:02', '1:02:03')
    """
    minutes, second = divmod(round(seconds), 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours}:{minute:02}:{second:02}" if hours else f"{minute}:{second:02}"
