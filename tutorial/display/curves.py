"""What `fit` has noted so far, thinned to what a chart has room for."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tutorial.display.chart import Break, Chart, Point, axes, charts, charts_html

POINTS, ROWS = 120, 60  # so many are kept at most: a chart is about 300 pixels wide
RECENT = 5  # and of the last epochs, so many whatever their number


class Thinned:
    """A sequence of any length, of which at most `most` items are kept: each stands for `stride`.

    Args:
        most: an even number.
        merge: makes one item of several neighbours.

    Example:
        >>> last = Thinned(most=100, merge=lambda group: group[-1])
        >>> for step in range(1000):
        ...     last.add(step)
        >>> last.items[:3], last.stride
        ([15, 31, 47], 16)
    """

    def __init__(self, most: int, merge: Callable[[list[Any]], Any]) -> None:
        self.most = most
        self.merge = merge
        self.items: list[Any] = []
        self.group: list[Any] = []  # too few for an item of their own, yet
        self.stride = 1
        self.sent = 0  # so many items were in the news, and have not changed since

    def add(self, item: Any) -> None:
        """Append an item."""
        self.group.append(item)
        if len(self.group) == self.stride:
            self.items.append(self.merge(self.group))
            self.group = []
        if len(self.items) > self.most:  # an odd number: the last one waits
            pairs = zip(self.items[:-1:2], self.items[1::2], strict=True)
            self.group = [self.items[-1]] * self.stride
            self.items = [self.merge(list(pair)) for pair in pairs]
            self.stride *= 2
            self.sent = 0

    def news(self) -> dict[str, Any]:
        """The items that are new since the last time, and the place of the first of them."""
        at, self.sent = self.sent, len(self.items)
        return {"at": at, "items": self.items[at:]}

    def all(self) -> list[Any]:
        """All items, the last of which may stand for fewer."""
        return [*self.items, *([self.merge(self.group)] if self.group else [])]


class Curves:
    """What there is to draw of a training.

    Attributes:
        points: (step, loss) pairs: the mean loss of the steps up to this one. Steps count from 1.
        rows: (step, row) pairs: the step at which an epoch ended, and its row of the History.
        recent: the rows of the last epochs.
        lost: the first step whose loss is not finite, and what it is: 'nan' or 'inf'.
    """

    def __init__(self) -> None:
        self.steps = 0
        self.points = Thinned(POINTS, mean_of)
        self.rows = Thinned(ROWS, lambda group: group[-1])
        self.recent: list[dict[str, float]] = []
        self.lost: Break | None = None

    def add_losses(self, losses: Sequence[float]) -> None:
        """Append the losses of steps."""
        for loss in losses:
            self.steps += 1
            self.points.add((self.steps, loss))
            if self.lost is None and not math.isfinite(loss):
                self.lost = self.steps, "nan" if math.isnan(loss) else "inf"

    def add_rows(self, rows: Sequence[Mapping[str, float]]) -> None:
        """Append the rows of all epochs so far, which are taken to be equally long."""
        for number, row in enumerate(rows, start=1):
            self.rows.add((self.steps * number // len(rows), dict(row)))
        self.recent = [dict(row) for row in rows[-RECENT:]]

    def add_row(self, row: Mapping[str, float]) -> None:
        """Append the row of an epoch, which ended at the last step."""
        self.rows.add((self.steps, dict(row)))
        self.recent = [*self.recent, dict(row)][-RECENT:]

    def earlier(self) -> list[dict[str, float]]:
        """The rows before the recent ones: all, or of very many every second, fourth, ..."""
        first = self.recent[0]["epoch"] if self.recent else 0
        return [row for _, row in self.rows.items if row["epoch"] < first]

    def history(self) -> dict[str, Any]:
        """All of it, plain and small: with None for what is not finite."""
        points, rows = self.points.all(), self.rows.all()
        return {"points": plain_points(points), "rows": plain_rows(rows), **self.frame()}

    def news(self) -> dict[str, Any]:
        """What is new since the last time."""
        points, rows = self.points.news(), self.rows.news()
        points["items"], rows["items"] = plain_points(points["items"]), plain_rows(rows["items"])
        return {"points": points, "rows": rows, **self.frame()}

    def frame(self) -> dict[str, Any]:
        """What stands around the lines: the axes of each chart, and what is said of the steps."""
        chosen = {chart.name: [vars(axis) for axis in axes(chart)] for chart in self.charts()}
        return {"axes": chosen, "stride": self.points.stride, "lost": self.lost}

    def charts(self) -> list[Chart]:
        """The charts that show it."""
        return charts(self.points.all(), self.rows.all(), self.points.stride, self.lost)

    def html(self, further: str = "", tips: bool = True) -> str:
        """The picture as HTML, with the style sheet's classes, and further panels behind it."""
        return charts_html(self.charts(), further, tips)


def mean_of(group: list[Point]) -> Point:
    """One point for several neighbours: at the step of the last, with their mean loss.

    Where the loss becomes nan among them, of those before.
    """
    group = [point for point in group if math.isfinite(point[1])] or group[-1:]
    return group[-1][0], sum(loss for _, loss in group) / len(group)


def plain_points(points: Sequence[Point]) -> list[tuple[float, float | None]]:
    """Points as JSON can hold them, with six digits."""
    return [(step, plain(loss)) for step, loss in points]


def plain_rows(rows: Sequence[tuple[int, dict[str, float]]]) -> list[Any]:
    """Rows as JSON can hold them, with six digits."""
    return [(step, {name: plain(value) for name, value in row.items()}) for step, row in rows]


def plain(number: float) -> float | None:
    """An integer as it is, another number with six digits; None if it is nan or infinite."""
    if isinstance(number, int):
        return number
    return float(f"{number:.6g}") if math.isfinite(number) else None
