"""History: what `fit` returns, the losses of its steps and the means of its epochs."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from tutorial.display.table import aligned, heading, html_table, pointed
from tutorial.parameters import File, checked

if TYPE_CHECKING:
    from matplotlib.figure import Figure


SHOWN = 15  # epochs at the beginning, and as many at the end


class History:
    """The record of one `fit`; of many epochs, its text has the first and the last ones.

    Attributes:
        step_losses: the loss of every step, a list of floats.
        rows: a dict for every finished epoch: 'epoch' (from 1), 'loss' (the mean over the epoch's
            samples), each metric, and the same with `eval_` before it where it was evaluated.
        interrupted: whether a user's interrupt ended the fit early.
        began: what is known of where the fit began, small and plain: its options, the seed,
            fingerprints of weights and data, ...; `tutorial.compare` reads it.

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
        began: dict[str, Any] | None = None,
    ) -> None:
        self.step_losses = step_losses
        self.rows = rows
        self.interrupted = interrupted
        self.began = began or {}

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

    def save(self, path: File) -> Path:
        """Write it to a file of JSON, to keep it or to hand it on: `History.load` reads it.

        Every digit is kept, and nothing in it can be run. It is never half-written.

        Args:
            path: where to write; the ending .json is added, missing directories are made.

        Returns:
            The path, with its ending.

        Raises:
            ValueError: path is no path.
            OSError: the file cannot be written.

        Example:
            >>> from tempfile import mkdtemp
            >>> path = History([2.3], []).save(f"{mkdtemp()}/mine")
            >>> path.name, History.load(path)
            ('mine.json', 1 step)
        """
        from tutorial import checks  # which take PyTorch to import
        from tutorial.saving import runs

        path = Path(checked(History.save, locals())["path"])
        checks.writable("path", runs.with_ending(path), is_file=True)
        return runs.write(path, vars(self))

    @classmethod
    def load(cls, path: File) -> "History":
        """Read a file that `save` wrote.

        Args:
            path: the file, with or without its ending.

        Returns:
            A History, equal to the one that was saved.

        Raises:
            FileNotFoundError: there is no such file.
            ValueError: the file is damaged, or was not written by `save`.
        """
        from tutorial.saving import runs

        return cls(**runs.read(Path(checked(History.load, {"path": path})["path"])))

    def __repr__(self) -> str:
        table = self._table()
        return "\n".join([*(aligned(table) if table else []), self._steps()])

    def _repr_html_(self) -> str:
        return html_table(self._table(), self._steps())

    def _table(self) -> list[list[str]]:
        """The names of the columns, and a row for each epoch that is shown."""
        names = self.columns()
        shown = [row for i, row in enumerate(self.rows) if self._is_shown(i)]
        columns = [[heading(name), *pointed([row.get(name) for row in shown])] for name in names]
        table = [list(row) for row in zip(*columns, strict=True)]
        if len(shown) < len(self.rows):
            table.insert(1 + SHOWN, ["..." for _ in names])
        return table

    def _is_shown(self, row: int) -> bool:
        return len(self.rows) <= 2 * SHOWN or not SHOWN <= row < len(self.rows) - SHOWN

    def _steps(self) -> str:
        count = len(self.step_losses)
        steps = f"{count} step{'' if count == 1 else 's'}"
        return f"{steps}, interrupted" if self.interrupted else steps
