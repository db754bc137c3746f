"""Logs: a file for a spreadsheet, and TensorBoard."""

import csv
from pathlib import Path
from typing import Any

from tutorial.callbacks.base import Callback, path_to
from tutorial.distributed.process_group import is_rank_zero
from tutorial.saving import checkpoint


class TensorBoard(Callback):
    """Writes the curves for TensorBoard: `tensorboard --logdir LOG_DIR` shows them.

    train/loss and train/(metric) have a point for every step, counted through all epochs, and
    train/lr one for every epoch at its last step; eval/... have one for every evaluated epoch.

    Args:
        log_dir: the directory; give every training one of its own.

    Raises:
        ValueError: log_dir is no path.
        ImportError: when training begins: tensorboard is not installed.

    Example:
        >>> board = TensorBoard("runs/first")
    """

    state_attributes = ("step",)
    writer: Any = None

    def __init__(self, log_dir: str | Path) -> None:
        self.log_dir = path_to("log_dir", log_dir, "the name of a directory, such as 'runs/first',")

    def on_train_begin(self, logs: Any = None) -> None:
        try:
            import torch.utils.tensorboard  # noqa: F401
        except ImportError:
            raise ImportError(
                "callbacks.TensorBoard needs tensorboard, which is not installed: "
                'pip install "torch-tutorial[tensorboard]".'
            ) from None
        rates = [f"lr_{i}" if i else "lr" for i in range(len(self.model.optimizer.param_groups))]
        if named := sorted({*rates} & {*self.params["metrics"]}):
            raise ValueError(
                f"TensorBoard: a loss or metric is called {named[0]!r}, but train/{named[0]} is "
                "the curve of a learning rate. Give it another name."
            )
        self.on_train_end()  # of a training that broke off
        self.in_fit = True
        self.step = 0

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self.epoch = epoch + 1
        if self.writer is None and is_rank_zero():  # a resumed training knows its step only now
            from torch.utils.tensorboard import SummaryWriter

            purge = self.step + 1 if self.step else None  # from there on, points are obsolete
            self.writer = SummaryWriter(self.log_dir, purge_step=purge)

    def on_train_batch_end(self, step: int, logs: Any = None) -> None:
        self.step += 1
        for name, value in logs.items() if self.writer is not None else ():
            if name != "batch_size":
                self.writer.add_scalar(f"train/{name}", value, self.step)

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        if self.writer is None:
            return  # of several processes, the first one writes
        for i, group in enumerate(self.model.optimizer.param_groups):
            tag = f"train/lr_{i}" if i else "train/lr"
            self.writer.add_scalar(tag, float(group["lr"]), self.step)
        self.writer.flush()

    def on_eval_end(self, logs: Any = None) -> None:
        if self.in_fit and self.writer is not None:
            for name, value in logs.items():
                self.writer.add_scalar(f"eval/{name}", value, self.epoch)
            self.writer.flush()

    def on_train_end(self, logs: Any = None) -> None:
        if self.writer is not None:
            self.writer.close()
            self.writer = None


class CSVLogger(Callback):
    """Writes a table for a spreadsheet: a line for each epoch, with all that is reported.

    The file is written again after each epoch, in one piece: whenever the process is killed, it is
    whole. Numbers stand there with all their digits.

    Args:
        path: the file, such as 'log.csv'. Missing directories are made, an earlier
            file is replaced.

    Raises:
        ValueError: path is no path.
        OSError: before training: the directory cannot be made, or path is one; later: the file
            cannot be written.

    Example:
        >>> log = CSVLogger("log.csv")
    """

    state_attributes = ("rows",)

    def __init__(self, path: str | Path) -> None:
        self.path = path_to("path", path, "a file's name, such as 'log.csv',")

    def on_train_begin(self, logs: Any = None) -> None:
        self.in_fit = True
        self.rows: list[dict[str, float]] = []

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self.rows.append(logs)
        self.write()

    def on_eval_end(self, logs: Any = None) -> None:
        if self.in_fit:
            self.rows[-1].update({f"eval_{name}": value for name, value in logs.items()})
            self.write()

    def write(self) -> None:
        """Write all rows to a file beside it, and move that into place."""
        if not is_rank_zero():
            return  # of several processes, the first one writes
        columns = list(dict.fromkeys(name for row in self.rows for name in row))
        path = Path(self.path)
        with checkpoint.replacing(path, "w", newline="", encoding="utf-8") as file:
            table = csv.DictWriter(file, columns, lineterminator="\n")
            table.writeheader()
            table.writerows(self.rows)
