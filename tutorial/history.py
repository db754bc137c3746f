"""What a `fit` leaves behind: the losses of its steps and the means of its epochs."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class History:
    """The record of one `fit`.

    Attributes:
        step_losses: the loss of every step, a list of floats.
        rows: a dict for every finished epoch: 'epoch' (from 1), 'loss' (the mean over the epoch's
            samples), each metric, and the same with 'eval_' before it where it was evaluated.
        interrupted: whether a user's interrupt ended the fit early.

    Example:
        >>> History([2.3, 1.9], [{"epoch": 1, "loss": 2.1, "acc": 0.25}])
        epoch   loss     acc
            1  2.100  0.2500
        2 steps
    """

    def __init__(
        self,
        step_losses: list[float],
        rows: list[dict[str, float]],
        interrupted: bool = False,
    ) -> None:
        self.step_losses = step_losses
        self.rows = rows
        self.interrupted = interrupted

    def columns(self) -> list[str]:
        """The names in the rows, each once, in the order in which they first come."""
        return list(dict.fromkeys(name for row in self.rows for name in row))

    def frame(self) -> Any:
        """The rows as a pandas DataFrame, one row for each epoch.

        Raises:
            ImportError: pandas is not installed.
        """
        try:
            import pandas
        except ImportError:
            raise ImportError(
                "history.frame() needs pandas, which is not installed: pip install pandas. "
                "history.rows holds the same as a list of dicts."
            ) from None
        return pandas.DataFrame(self.rows, columns=self.columns())

    def plot(self) -> "Figure":
        """Draw the learning curves: on the left the loss, on the right the metrics, if any.

        The thin line is the loss of each step; circles are means over a whole epoch of training,
        squares the same for the evaluation data.

        Returns:
            A matplotlib Figure. A notebook shows it; `history.plot().savefig("curves.png")`.
        """
        from matplotlib import pyplot as plt
        from matplotlib.ticker import MaxNLocator

        metrics = [
            name
            for name in self.columns()
            if name not in ("epoch", "loss") and not name.startswith("eval_")
        ]
        count = 2 if metrics else 1
        figure, axes = plt.subplots(
            1, count, figsize=(5 * count, 3.2), squeeze=False, layout="constrained"
        )
        plt.close(figure)  # it is returned; a notebook must not show it twice
        loss_axes = axes[0, 0]
        steps = len(self.step_losses)
        per_epoch = steps / max(len(self.rows), 1)
        in_epochs = [(step + 1) / per_epoch for step in range(steps)]
        loss_axes.plot(in_epochs, self.step_losses, color="0.6", linewidth=0.4, label="each step")
        self._draw(loss_axes, "loss", "C0")
        loss_axes.set(xlabel="epoch", ylabel="loss")
        if metrics:
            for number, name in enumerate(metrics):
                self._draw(axes[0, 1], name, f"C{number}")
            axes[0, 1].set(xlabel="epoch", ylabel=metrics[0] if len(metrics) == 1 else "metrics")
        for one in axes[0]:
            one.xaxis.set_major_locator(MaxNLocator(integer=True))
            one.spines[["top", "right"]].set_visible(False)
            one.grid(alpha=0.3)
            one.legend(frameon=False)
        return figure

    def _draw(self, axes: Any, name: str, color: str) -> None:
        """The means of `name` over training, and over the evaluation data."""
        for key, label, style in (
            (name, f"train {name}", "o-"),
            (f"eval_{name}", f"eval {name}", "s--"),
        ):
            points = [(row["epoch"], row[key]) for row in self.rows if key in row]
            if points:
                axes.plot(*zip(*points, strict=True), style, color=color, label=label)

    def __repr__(self) -> str:
        names = self.columns()
        table = [names, *([_short(row.get(name)) for name in names] for row in self.rows)]
        widths = [max(map(len, column)) for column in zip(*table, strict=True)]
        lines = [
            "  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True))
            for row in table
            if names
        ]
        end = ", interrupted" if self.interrupted else ""
        count = len(self.step_losses)
        return "\n".join([*lines, f"{count} step{'' if count == 1 else 's'}{end}"])


def _short(number: float | None) -> str:
    """A count as it is; anything else with four significant digits."""
    if number is None or isinstance(number, int):
        return "" if number is None else str(number)
    return f"{number:#.4g}"
