"""History: what `fit` returns, the losses of its steps and the means of its epochs."""

from typing import TYPE_CHECKING, Any

from tutorial.display.table import aligned

if TYPE_CHECKING:
    from matplotlib.figure import Figure


SHOWN = 15  # epochs at the beginning, and as many at the end
WIDEST = 40  # characters of a column's name


class History:
    """The record of one `fit`; of many epochs, its text has the first and the last ones.

    Attributes:
        step_losses: the loss of every step, a list of floats.
        rows: a dict for every finished epoch: 'epoch' (from 1), 'loss' (the mean over the epoch's
            samples), each metric, and the same with `eval_` before it where it was evaluated.
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

        Returns:
            A matplotlib Figure. A notebook shows it; `history.plot().savefig("curves.png")`.
        """
        from tutorial.display.figures import plot

        return plot(self)

    def __repr__(self) -> str:
        names = self.columns()
        table = [[_short(row.get(name)) for name in names] for row in self.rows]
        if len(table) > 2 * SHOWN:
            table[SHOWN:-SHOWN] = [["..." for _ in names]]
        table = [[heading(name) for name in names], *table]
        count = len(self.step_losses)
        steps = f"{count} step{'' if count == 1 else 's'}"
        last = f"{steps}, interrupted" if self.interrupted else steps
        return "\n".join([*(aligned(table) if names else []), last])


def heading(name: str) -> str:
    """The name of a column, on one line."""
    plain = name if name.isprintable() else ascii(name)
    return plain if len(plain) <= WIDEST else f"{plain[:WIDEST]}..."


def _short(number: float | None) -> str:
    """A count as it is; anything else with four significant digits."""
    if number is None or isinstance(number, int):
        return "" if number is None else str(number)
    return f"{number:#.4g}"
