"""The display of a notebook: a bar and live curves, and a picture that stays when they are gone.

One call has one region of the output: text and HTML, never a widget's view. So whoever has only the
page, because the file was opened again, the kernel is gone, or nobody trusts the file yet, sees how
far the call had come. While it runs, a widget without a view of its own draws in that HTML.
"""

import math
import time
from html import escape
from pathlib import Path
from typing import Any
from uuid import uuid4

from IPython.display import display, update_display

from tutorial.display.bar import Bar
from tutorial.display.curves import STYLE, Curves
from tutorial.display.report import Live, Logs, join
from tutorial.display.widgets.live_plot import LivePlot

UPDATES = 170  # in one call, at most: each is a message from the kernel to the browser
SNAPSHOTS = 15  # so often, at most, the page is also given what would be left if the kernel ended


class NotebookDisplay(Live):
    """A bar with the means so far and, for `fit`, the live curves."""

    SECONDS = 0.25  # between two updates: so the display takes less than 1 % of a fit of 3 seconds
    APART = 3.0  # between two snapshots

    def __init__(self) -> None:
        self.bar = Bar()
        self.curves = Curves()
        self.losses: list[Any] | None = None  # the loop's own, of a fit
        self.updates = self.snapshots = 0
        self.next_snapshot = 0.0
        self.text = ""
        self.id = ""
        self.widget: LivePlot | None = None
        self.sent: list[Any] = []  # the panels' data

    # ---- what the loop calls

    def watch(self, step_losses: list[Any], rows: list[Any], num_iters: int | None) -> None:
        super().watch(step_losses, rows, num_iters)
        self.losses, self.bar.limit = step_losses, num_iters
        self.take_losses()
        self.curves.add_rows(rows)  # of a training that goes on

    def start(self, phase: str, loader: Any, epoch: int = 0, epochs: int = 1) -> None:
        self.fill()
        super().start(phase, loader, epoch, epochs)
        if not self.part:
            self.bar.start(epoch, epochs, self.steps)
        if not self.id:
            self.open()

    def update(self, step: int, logs: Logs) -> None:
        self.fill()
        self.text = join(f"{self.title}, {self.part}{self.place()}", logs)
        self.refresh()

    def finish(self, logs: Logs) -> None:
        self.fill()
        self.text = self.outcome(logs)
        if self.losses is not None:
            self.take_losses()
            self.curves.add_row(logs)
        if time.monotonic() >= self.next_update:
            self.refresh()
        super().finish(logs)

    def close(self, how: str = "done") -> None:
        if not self.id:
            return
        if how != "done":
            where = f"{self.title}, {self.part}{self.place()}" if self.title else self.text
            self.text = f"{where}: {how}"
        self.take_losses()
        update_display(self.forms(how), raw=True, display_id=self.id)
        if self.widget is not None:
            self.widget.layout.close()
            self.widget.close()

    # ---- the region

    def open(self) -> None:
        """Show the region; the widget follows if the call takes long enough to be watched."""
        self.text = self.title
        self.id = f"tutorial-{uuid4().hex}"
        display(self.forms("unfinished"), raw=True, display_id=self.id)
        self.next_update = time.monotonic() + self.SECONDS
        self.next_snapshot = time.monotonic() + self.APART

    def refresh(self) -> None:
        """Bring the region up to date, and find the moment for the next time."""
        self.take_losses()
        if self.widget is None:
            scripts = [{"title": p.title, "script": source(p.script)} for p in self.panels]
            self.widget = LivePlot(region=self.id, panels=scripts, drawn=self.state())
        elif self.updates & (self.updates - 1):
            self.widget.send(self.news())
        else:  # after 1, 2, 4, 8, ... updates all of it, in case that something was lost
            self.widget.drawn = self.state()
        self.updates += 1
        now = time.monotonic()
        self.next_update = now + self.pause(UPDATES - self.updates, self.SECONDS)
        if now >= self.next_snapshot:
            self.snapshots += 1
            self.next_snapshot = now + self.pause(SNAPSHOTS - self.snapshots, self.APART)
            update_display(self.forms("unfinished"), raw=True, display_id=self.id)

    def state(self) -> dict[str, Any]:
        """All that the widget draws."""
        self.sent = [panel.data() for panel in self.panels]
        return {
            "bar": self.bar.html(self.text),
            **self.curves.history(),
            "panels": self.sent,
        }

    def news(self) -> dict[str, Any]:
        """What of it is new since the last time."""
        news = {"bar": self.bar.html(self.text), **self.curves.news()}
        data = [panel.data() for panel in self.panels]
        if any(new is not old for new, old in zip(data, self.sent, strict=True)):
            news["panels"] = self.sent = data
        return news

    def pause(self, more: int, least: float) -> float:
        """Seconds until the next time, such that so many more are enough to the end."""
        if more <= 0:
            return math.inf
        so_far = time.monotonic() - self.bar.began
        left = self.bar.left()
        apart = math.inf if left is None else left / more
        return max(least, min(apart, so_far / 10))  # early on, what is left is a rough guess

    def forms(self, how: str) -> dict[str, str]:
        """The region without the widget: at the end, nothing in it differs from run to run."""
        further = "".join(
            f'<div class="tutorial-panel" role="group" aria-label="{escape(panel.title)}">'
            f"{panel.html()}</div>"
            for panel in self.panels
        )
        mark = f' data-tutorial="{self.id}"' if how == "unfinished" else ""
        shown = self.bar.html(self.text, how) + self.curves.html(further)
        html = f"<div{mark}><style>{STYLE}</style>{shown}</div>"
        return {"text/plain": self.text, "text/html": html}

    def fill(self) -> None:
        """Fill the bar up to the steps that are done, in the main part of an epoch."""
        if self.title and not self.part:
            self.bar.step(self.done)

    def take_losses(self) -> None:
        """See the losses of the steps since the last time."""
        from tutorial.callbacks.saving import floats  # by now torch is there

        if self.losses is not None:
            self.curves.add_losses(floats(self.losses[self.curves.steps :]))


def source(script: Path) -> str:
    """The text of a panel's script."""
    return script.read_text(encoding="utf-8")
