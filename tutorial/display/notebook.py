"""The display of a notebook: a bar and live curves, and a picture that stays when they are gone.

One call has one region of the output, updated in its place. It has three forms, of which each
reader takes the best that it can show: a live widget, HTML, one line of text. When the call is
over, the widget gives way to the HTML: a file that is opened again has no kernel to ask.
"""

import math
import time
from typing import Any

import ipywidgets
from IPython.display import display, update_display

from tutorial.display.bar import Bar
from tutorial.display.curves import Curves
from tutorial.display.report import Live, Logs, join
from tutorial.display.widgets.live_plot import LivePlot

UPDATES = 170  # in one call, at most: each is two messages from the kernel to the browser
WIDGET = "application/vnd.jupyter.widget-view+json"


class NotebookDisplay(Live):
    """A bar with the means so far and, for `fit`, the live curves."""

    SECONDS = 0.25  # between two updates: so the display takes less than 1 % of a fit of 3 seconds

    def __init__(self) -> None:
        self.bar = Bar()
        self.curves = Curves()
        self.losses: list[Any] | None = None  # the loop's own, of a fit
        self.updates = 0
        self.text = ""
        self.plot: LivePlot | None = None
        self.widget: Any = None

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
        if self.widget is None:
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
        if self.widget is None:
            return
        if how != "done":
            where = f"{self.title}, {self.part}{self.place()}" if self.title else self.text
            self.text = f"{where}: {how}"
        if self.plot is not None:
            self.take_losses()
            self.plot.history = self.curves.history()
        self.line.value = self.bar.html(self.text, how)
        update_display(self.forms(how), raw=True, display_id=self.id)
        shown = [self.widget, *self.widget.children]
        for part in [*shown, *(widget.layout for widget in shown), self.line.style]:
            part.close()

    # ---- the region

    def open(self) -> None:
        """Show the region, in all three forms."""
        self.text = self.title
        self.line = ipywidgets.HTML(self.bar.html(self.text))
        self.plot = None if self.losses is None else LivePlot()
        self.widget = ipywidgets.VBox([w for w in (self.line, self.plot) if w is not None])
        self.id = f"tutorial-{self.widget.model_id}"
        view = {"version_major": 2, "version_minor": 0, "model_id": self.widget.model_id}
        display({**self.forms("running"), WIDGET: view}, raw=True, display_id=self.id)

    def refresh(self) -> None:
        """Bring the widget up to date, and find the moment for the next time."""
        self.line.value = self.bar.html(self.text)
        if self.plot is not None:
            self.take_losses()
            if self.updates % 10 == 1:  # all of it, in case that something was lost
                self.plot.history = self.curves.history()
            self.plot.tell(self.curves)
        self.updates += 1
        self.next_update = time.monotonic() + self.pause()

    def pause(self) -> float:
        """Seconds until the next update, such that there are enough updates to the end."""
        if self.updates >= UPDATES:
            return math.inf
        so_far = time.monotonic() - self.bar.began
        left = self.bar.left()
        apart = math.inf if left is None else left / (UPDATES - self.updates)
        return max(self.SECONDS, min(apart, so_far / 10))  # early on, what is left is a rough guess

    def forms(self, how: str) -> dict[str, str]:
        """The region for those who have no widgets: nothing in it differs from run to run."""
        bar = self.bar.html(self.text, how) if how != "running" else ""
        return {"text/plain": self.text, "text/html": bar + self.curves.html()}

    def fill(self) -> None:
        """Fill the bar up to the steps that are done, in the main part of an epoch."""
        if self.title and not self.part:
            self.bar.step(self.done)

    def take_losses(self) -> None:
        """See the losses of the steps since the last time."""
        from tutorial.callbacks.saving import floats  # by now torch is there

        if self.losses is not None:
            self.curves.add_losses(floats(self.losses[self.curves.steps :]))
