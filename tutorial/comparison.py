"""Two runs compared: the first step at which they differ, by how much, and the likely reason.

A History notes where its fit began (`unroll/beginning.py`). What is different there is a possible
reason; whether it is a likely one, the first step tells: another start of the weights shows in the
first loss, another learning rate not before the second.
"""

import math
from itertools import zip_longest
from pathlib import Path
from typing import Any

from tutorial.display.compared import comparison_html
from tutorial.display.table import aligned
from tutorial.history import History
from tutorial.parameters import short
from tutorial.reasons import Reason, differences

ROUNDING = 1e-5  # a first difference that is smaller, as a part of the loss, may be of rounding


class Comparison:
    """What `compare` has found: print it, or let a notebook show it.

    Attributes:
        mine, theirs: the two Histories.
        step: the first step, from 0, whose losses differ; None if no step's do.
        difference: my loss at this step less theirs; None if no step's differ.
        reasons: what is likely to have caused it, each with `what` and `details`.
        others: what was different, too, but would have shown at another step.
    """

    def __init__(self, mine: History, theirs: History) -> None:
        self.mine, self.theirs = mine, theirs
        pairs = zip(mine.step_losses, theirs.step_losses, strict=False)
        self.step = next((i for i, (a, b) in enumerate(pairs) if not same(a, b)), None)
        found = [] if self.step is None else list(differences(mine.began, theirs.began))
        self.reasons = [reason for reason in found if self._may_be(reason)]
        self.others = [reason for reason in found if reason not in self.reasons]

    @property
    def difference(self) -> float | None:
        if self.step is None:
            return None
        return self.mine.step_losses[self.step] - self.theirs.step_losses[self.step]

    @property
    def equal(self) -> bool:
        """Whether all is equal: the loss of each step, and the means of each epoch."""
        steps = len(self.mine.step_losses) == len(self.theirs.step_losses)
        return steps and self.step is None and self._row() is None

    def __repr__(self) -> str:
        text = [self.verdict(), *self.explanation()]
        table = self.last_means()
        return "\n".join([*text, *(["", *aligned(table)] if table else [])])

    def _repr_html_(self) -> str:
        return comparison_html(self)

    # ---- in words

    def verdict(self) -> str:
        """The first difference, or that there is none, in a sentence or two."""
        mine, theirs = len(self.mine.step_losses), len(self.theirs.step_losses)
        both = min(mine, theirs)
        if self.step is None:
            if both == 0:
                return "There is no step to compare: a run has none."
            longer = "mine" if mine > theirs else "theirs"
            if mine != theirs:
                return (
                    f"Equal in every bit as far as both go, {steps(both)}; {longer} goes on for "
                    f"{steps(abs(mine - theirs))} more."
                )
            row = self._row()
            return f"Equal in every bit: {steps(both)}" + (f"; but {row}." if row else ".")
        a, b = (run.step_losses[self.step] for run in (self.mine, self.theirs))
        before = f"Equal in every bit: the first {steps(self.step)}. " if self.step else ""
        if not (math.isfinite(a) and math.isfinite(b)):
            size = ""
        elif self.relative() < ROUNDING and all(reason.rounds for reason in self.reasons):
            size = f", {abs(a - b):.1e} apart, which is as little as rounding makes"
        else:
            size = f", {abs(a - b):.3g} apart"
        shown = " and ".join(f"{x} in {name}" for x, name in zip(digits(a, b), SIDES, strict=True))
        return f"{before}The runs differ from step {self.step + 1} on: its loss is {shown}{size}."

    def explanation(self) -> list[str]:
        """The likely reason, or that it cannot be known, in lines."""
        if self.step is None:
            return []
        if missing := [
            name for name, run in zip(SIDES, (self.mine, self.theirs), strict=True) if not run.began
        ]:
            return [
                f"The reason cannot be known: of {' and '.join(missing)} it is not noted where it "
                "began. `fit` notes it, and `history.save` keeps it."
            ]
        lines = []
        if self.reasons:
            lines = ["Likely because of", *(f"- {reason}" for reason in self.reasons)]
            if self.others:
                lines += ["Different, too, but that would have shown at another step:"]
        elif self.others:
            lines = [
                "The reason cannot be known. These are different, but would have shown at another "
                "step, or by more:"
            ]
        else:
            lines = [UNKNOWN_BUT_SMALL if self.relative() < ROUNDING else UNKNOWN]
        lines += [f"- {reason}" for reason in self.others]
        if resumed := [
            name
            for name, run in zip(SIDES, (self.mine, self.theirs), strict=True)
            if run.began.get("resumed")
        ]:
            went = "went on from a checkpoint"
            lines.append(f"{' and '.join(resumed).capitalize()} {went}: its start is not noted.")
        return lines

    def last_means(self) -> list[list[str]]:
        """The means of the last epoch that both have, as rows of text."""
        rows = list(zip(self.mine.rows, self.theirs.rows, strict=False))
        if not rows:
            return []
        mine, theirs = rows[-1]
        names = [name for name in mine if name in theirs and name != "epoch"]
        means = [[name, *digits(mine[name], theirs[name])] for name in names]
        return [[f"epoch {len(rows)}", *SIDES], *means]

    # ---- how much

    def relative(self) -> float:
        """The first difference as a part of the loss."""
        assert self.step is not None
        a, b = (run.step_losses[self.step] for run in (self.mine, self.theirs))
        if not (math.isfinite(a) and math.isfinite(b)):
            return math.inf
        return abs(a - b) / max(abs(a), abs(b))

    def _may_be(self, reason: Reason) -> bool:
        """Whether it would show first where the runs first differ."""
        assert self.step is not None
        if reason.rounds and self.relative() > 10 * ROUNDING:
            return False
        return self.step == reason.first or (self.step > reason.first and not reason.surely)

    def _row(self) -> str | None:
        """The first mean of an epoch that differs, in words."""
        for number, rows in enumerate(zip_longest(self.mine.rows, self.theirs.rows), start=1):
            mine, theirs = ({} if row is None else row for row in rows)
            for name in {**mine, **theirs}:
                a, b = (row.get(name) for row in (mine, theirs))
                if a is None or b is None:
                    return f"only {'theirs' if a is None else 'mine'} has {name} of epoch {number}"
                if not same(a, b):
                    shown = " and ".join(digits(a, b))
                    return f"{name} of epoch {number} is {shown}"
        return None


SIDES = ("mine", "theirs")
UNKNOWN = (
    "The reason cannot be known: all that is noted of the start is equal, such as seed, weights, "
    "data, order, optimizer and loss. Not noted are: functions that your functions call, what a "
    "data set reads or draws for itself, and what was changed while it ran."
)
UNKNOWN_BUT_SMALL = (
    "The reason cannot be known: all that is noted of the start is equal. Some operations round "
    "differently each time, such as sums of several threads or on a GPU."
)


def compare(mine: "History | str | Path", theirs: "History | str | Path") -> Comparison:
    """Find the first step at which two runs differ, by how much, and the likely reason.

    Args:
        mine: a History, as `fit` returns it; or the path of a file that `history.save` wrote.
        theirs: the same of the other run.

    Returns:
        A Comparison; its text tells all, a notebook also shows both curves.

    Raises:
        TypeError: one of them is neither.
        FileNotFoundError, ValueError: there is no such file, or `history.save` did not write it.

    Example:
        >>> compare(History([2.3, 1.9], []), History([2.3, 1.9], []))
        Equal in every bit: 2 steps.
        >>> compare(History([2.3, 1.9], []), History([2.3, 1.8], [])).step
        1
    """
    return Comparison(a_history("mine", mine), a_history("theirs", theirs))


def a_history(name: str, run: Any) -> History:
    """The run, read from its file if it is a path."""
    if isinstance(run, str | Path):
        return History.load(run)
    if not isinstance(run, History):
        raise TypeError(
            f"{name} is {short(run)}, but a History is expected, as fit returns it, or the path "
            "of a file that history.save wrote."
        )
    return run


def same(a: float, b: float) -> bool:
    """Whether two numbers are equal, nan to nan."""
    return bool(a == b or (a != a and b != b))


def steps(count: int) -> str:
    """So many steps, in words."""
    return f"{count:,} step{'' if count == 1 else 's'}"


def digits(a: float, b: float) -> tuple[str, str]:
    """Two numbers with four digits that count, or as many as show that they differ.

    >>> digits(0.5, 0.25), digits(0.1, 0.1 + 1e-9)
    (('0.5000', '0.2500'), ('0.100000000', '0.100000001'))
    """
    if not all(isinstance(number, int | float) for number in (a, b)):
        return str(a), str(b)  # what a loop of one's own has noted
    for count in range(4, 18):
        shown = f"{a:#.{count}g}", f"{b:#.{count}g}"
        if shown[0] != shown[1] or same(a, b):
            break
    return shown
