"""The display of a notebook: a bar and live curves, and a picture that stays when they are gone.

One call has one region of the output: text and HTML, never a widget's view. So whoever has only the
page, because the file was opened again, the kernel is gone, or nobody trusts the file yet, sees how
far the call had come. While it runs, a widget without a view of its own draws in that HTML.
"""

import math
import time
from html import escape
from typing import Any
from uuid import uuid4

import ipywidgets
from IPython import get_ipython
from IPython.display import display, update_display
from ipywidgets.widgets.widget import _instances as widgets

from tutorial.display.bar import Bar
from tutorial.display.chart import STYLE
from tutorial.display.curves import Curves
from tutorial.display.epochs import FEW, table
from tutorial.display.report import Live, Logs, join
from tutorial.display.widgets.live_plot import NOTHING, LivePlot

UPDATES = 170  # in one call, at most: each is a message from the kernel to the browser
SNAPSHOTS = 15  # so often, at most, the page is also given what would be left if the kernel ended
FULL = 3  # fits in one cell whose curves stay open; those of more are folded
VIEW = "application/vnd.jupyter.widget-view+json"


class NotebookDisplay(Live):
    """A bar with the means so far and, for `fit`, the live curves."""

    SECONDS = 0.25  # between two updates: so the display takes less than 1 % of a fit of 3 seconds
    APART = 3.0  # between two snapshots

    cell = ""  # the request that is being answered, and how many fits it has shown
    fits = 0

    def __init__(self) -> None:
        self.bar = Bar()
        self.curves = Curves()
        self.losses: list[Any] | None = None  # the loop's own, of a fit
        self.updates = self.snapshots = 0
        self.next_snapshot = 0.0
        self.text = self.told = ""  # told: the means of the last update, and where that was
        self.epochs = 1
        self.failed = False  # that there is nothing to learn from the loss any more
        self.id = ""
        self.widget: LivePlot | None = None
        self.folded = False  # that the curves are folded at the end
        self.sent: list[Any] = []  # the panels' data
        self.sent_table = 0.0

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
            self.epochs = epochs
        self.told = ""
        if not self.id:
            self.open()

    def update(self, step: int, logs: Logs) -> None:
        self.fill()
        where = f"{self.part}{self.place()}"
        self.text = join(f"{self.title}, {where}", logs)
        self.told = f" ({join('', logs).removeprefix(': ')} at {where})" if logs else ""
        self.failed = not math.isfinite(logs.get("loss", 0.0))
        self.refresh()

    def finish(self, logs: Logs) -> None:
        self.fill()
        self.text = self.outcome(logs)
        self.failed = not math.isfinite(logs.get("loss", 0.0))
        if self.losses is not None:
            self.take_losses()
            self.curves.add_row(logs)
        if time.monotonic() >= self.next_update:
            self.refresh()
        super().finish(logs)

    def close(self, how: str = "done") -> None:
        if not self.id:
            return
        self.take_losses()
        if how != "done":
            where = f"{self.title}, {self.part}{self.place()}" if self.title else self.text
            self.text = f"{where}: {how}{self.told if self.title else ''}"
        elif self.failed:
            how, self.text = "failed", f"{self.text}: failed, the loss is {self.what_it_is()}"
        forms = self.forms(how)
        update_display(forms, raw=True, display_id=self.id)
        if any(isinstance(w, ipywidgets.Output) and w.msg_id for w in widgets.values()):
            # An Output takes no update of what it shows: the widget stays, and draws the end there.
            self.widget = self.widget or LivePlot(region=self.id)
            self.widget.drawn = {**NOTHING, "final": forms["text/html"]}
        elif self.widget is not None:
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
        if self.losses is not None:
            cell = cell_that_runs()
            fits = NotebookDisplay.fits + 1 if cell == NotebookDisplay.cell else 1
            NotebookDisplay.cell, NotebookDisplay.fits = cell, fits
            self.folded = fits > FULL

    def refresh(self) -> None:
        """Bring the region up to date, and find the moment for the next time."""
        self.take_losses()
        now = time.monotonic()
        if self.widget is None:
            scripts = [
                {"title": panel.title, "script": panel.script.read_text(encoding="utf-8")}
                for panel in self.panels
            ]
            self.widget = LivePlot(region=self.id, panels=scripts, drawn=self.state())
            if needs_a_view():
                self.next_snapshot = now
        elif self.updates & (self.updates - 1):
            self.widget.send(self.news())
        else:  # after 1, 2, 4, 8, ... updates all of it, in case that something was lost
            self.widget.drawn = self.state()
        self.updates += 1
        if now >= self.next_snapshot:
            self.snapshots += 1
            self.next_snapshot = now + self.pause(SNAPSHOTS - self.snapshots, self.APART)
            update_display(self.forms("unfinished"), raw=True, display_id=self.id)
        now = time.monotonic()
        self.next_update = now + self.pause(UPDATES - self.updates, self.SECONDS)

    def state(self) -> dict[str, Any]:
        """All that the widget draws."""
        self.sent = [panel.data() for panel in self.panels]
        return {
            **NOTHING,
            "bar": self.bar_html("running"),
            "epochs": table(self.curves.recent),
            **self.curves.history(),
            "panels": self.sent,
        }

    def news(self) -> dict[str, Any]:
        """What of it is new since the last time."""
        news = {"bar": self.bar_html("running"), **self.curves.news()}
        if time.monotonic() > self.sent_table + 1:  # of short epochs, not each
            self.sent_table = time.monotonic()
            news["epochs"] = self.last_epochs()
        data = [panel.data() for panel in self.panels]
        if any(new is not old for new, old in zip(data, self.sent, strict=True)):
            news["panels"] = self.sent = data
        return news

    def last_epochs(self) -> str:
        """The table while the loop runs: without what is folded."""
        earlier = self.curves.earlier()
        return table(self.curves.recent, earlier if len(earlier) <= FEW else ())

    def bar_html(self, how: str) -> str:
        """The bar; of a loss that is nan or infinite it has the colour of a failure."""
        return self.bar.html(self.text, how, self.failed)

    def what_it_is(self) -> str:
        """What the loss is, and since when: 'nan from step 4 on'."""
        if self.curves.lost is None:
            return "nan or infinite"
        step, word = self.curves.lost
        return f"{word} from step {step} on"

    def pause(self, more: int, least: float) -> float:
        """Seconds until the next time, such that so many more are enough to the end."""
        if more <= 0:
            return math.inf
        so_far = time.monotonic() - self.bar.began
        left = self.bar.left()
        apart = math.inf if left is None else left / more
        return max(least, min(apart, so_far / 10))  # early on, what is left is a rough guess

    def forms(self, how: str) -> dict[str, Any]:
        """The region without the widget: at the end, nothing in it differs from run to run."""
        unfinished = how == "unfinished"
        plot = self.curves.html(self.further(), tips=not (unfinished or self.folded))
        details = plot + table(self.curves.recent, self.curves.earlier())
        if self.folded and not unfinished:
            details = f"<details><summary>curves and epochs</summary>{details}</details>"
        mark = f' data-tutorial="{self.id}"' if unfinished else ""
        html = f"<div{mark}><style>{STYLE}</style>{self.bar_html(how)}{details}</div>"
        forms: dict[str, Any] = {"text/plain": self.lines(), "text/html": html}
        if unfinished and self.widget is not None and needs_a_view():
            id_ = self.widget.model_id
            forms[VIEW] = {"version_major": 2, "version_minor": 0, "model_id": id_}
        return forms

    def further(self) -> str:
        """The further panels as HTML."""
        return "".join(
            f'<div class="tutorial-panel" role="group" aria-label="{escape(panel.title)}">'
            f"{panel.html()}</div>"
            for panel in self.panels
        )

    def lines(self) -> str:
        """The region as text: a line for each of the last epochs, and where the loop is."""
        ends = [join(f"epoch {row['epoch']}/{self.epochs}", row) for row in self.curves.recent]
        more = ["..."] if self.curves.earlier() else []
        return "\n".join([*more, *(end for end in ends if end != self.text), self.text])

    def fill(self) -> None:
        """Fill the bar up to the steps that are done, in the main part of an epoch."""
        if self.title and not self.part:
            self.bar.step(self.done)

    def take_losses(self) -> None:
        """See the losses of the steps since the last time."""
        from tutorial.callbacks.saving import floats  # by now torch is there

        if self.losses is not None:
            self.curves.add_losses(floats(self.losses[self.curves.steps :]))


def cell_that_runs() -> str:
    """The request to the kernel that is being answered."""
    try:
        return str(get_ipython().kernel.get_parent()["header"]["msg_id"])
    except (AttributeError, KeyError):
        return ""


def needs_a_view() -> bool:
    """Whether the front end, VS Code or Colab, lets a widget draw nowhere but in its own view."""
    shell = get_ipython()
    return type(shell).__module__.startswith("google.colab") or (
        shell is not None and "__vsc_ipynb_file__" in shell.user_ns
    )
