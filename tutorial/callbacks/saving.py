"""Checkpoints."""

import math
import time
from pathlib import Path
from typing import Any

import torch

from tutorial.callbacks.base import Callback, expect, is_number, path_to, whole
from tutorial.callbacks.monitor import improves, larger_is_better, reported_name, worst
from tutorial.distributed.process_group import is_rank_zero
from tutorial.saving import checkpoint


class ModelCheckpoint(Callback):
    """Saves the training while it runs, so that it can go on from there.

    After epochs 0, save_freq, 2 save_freq, ... it writes save_dir/0.pt and so on; at the end
    save_dir/final.pt. A callback that stands before it in the list acts before the final file is
    written: put EarlyStopping there, and this file has the best weights.

    Args:
        save_freq: epochs from one file to the next, from 1.
        save_dir: the directory; without one, that of `fit(save_dir=...)`.
        best_only: in place of the numbered files, write save_dir/best_model.pt whenever the
            monitored value is better than ever; where there is data to evaluate on, that is the
            evaluation's value, and an epoch that is not evaluated does not count. Where callbacks
            keep the best by several values, the file is called best_model_acc.pt and the like.
        monitor: 'loss' or the name of a metric, as reported.
        mode: 'min' if less is better, 'max' if more is; 'auto': as the metric says by its
            higher_is_better, or as is known of such a name ('loss', 'f1'); else an error asks.

        baseline: with best_only, a value that already the first one must beat.
        keep: how many numbered files stay, the last ones; None: all of them.

    Raises:
        ValueError: an argument is not that; when training begins: there is no directory, nothing
            of that name is reported, or the network has a state that no file can hold.

    Example:
        >>> keep_best = ModelCheckpoint(save_dir="checkpoints", best_only=True, monitor="acc")
    """

    state_attributes = ("began", "epochs", "step_losses", "rows", "best", "cut")

    def __init__(
        self,
        save_freq: int = 1,
        save_dir: str | Path | None = None,
        best_only: bool = False,
        monitor: str = "loss",
        mode: str = "auto",
        baseline: float | None = None,
        keep: int | None = None,
    ) -> None:
        expect(whole(save_freq, 1), "save_freq", save_freq, "an integer of at least 1")
        expect(isinstance(best_only, bool), "best_only", best_only, "True or False")
        expect(mode in ("auto", "min", "max"), "mode", mode, "'auto', 'min' or 'max'")
        expect(baseline is None or is_number(baseline), "baseline", baseline, "a number or None")
        expect(keep is None or whole(keep, 1), "keep", keep, "an integer of at least 1, or None")
        self.save_freq = save_freq
        if save_dir is not None:
            save_dir = path_to("save_dir", save_dir, "the name of a directory, or None,")
        self.save_dir = save_dir
        self.best_only = best_only
        self.monitor = monitor
        self.mode = mode
        self.baseline = baseline
        self.keep = keep

    def on_train_begin(self, logs: Any = None) -> None:
        folder = self.params["save_dir"] if self.save_dir is None else self.save_dir
        if folder is None:
            raise ValueError(
                "ModelCheckpoint: save_dir is None, and so is that of fit, but a directory is "
                'expected. Write fit(..., save_dir="checkpoints").'
            )
        self.folder = Path(folder)
        checkpoint.loadable(self.model.network.state_dict(), "network")  # now, not after an epoch
        if self.best_only:
            self.name = reported_name(self.monitor, self.params["metrics"])
            self.name = f"eval_{self.name}" if self.params["evaluates"] else self.name
        self.larger = self.best_only and larger_is_better(self)
        self.best = worst(self.larger) if self.baseline is None else self.baseline
        self.began = self.params.get("began", time.time())  # the same for all of a training
        self.epochs = 0
        self.step_losses: list[float] = []
        self.rows: list[dict[str, float]] = []
        self.cut = False  # would a longer training have been another one in the last epoch?
        # So that a training can go on that breaks off in its first epoch; the last callback of all
        # writes this, when the others have begun.
        if self.params.get("start") and self is self.model.callbacks[-1]:
            self.write("start.pt", ended=False)

    def save(self, epoch: int, step_losses: list[Any], rows: list[dict[str, float]]) -> None:
        """Save what is due after this epoch; the loop calls it when all else is done.

        Args:
            epoch: from 0.
            step_losses: the loss of every step so far, numbers or tensors of shape ().
            rows: the means of every epoch so far.
        """
        new = step_losses[len(self.step_losses) :]
        self.step_losses = self.step_losses + floats(new)
        self.rows = rows
        self.epochs = epoch + 1
        self.cut = self.is_cut(len(new))
        if self.best_only:
            value = rows[-1].get(self.name, math.nan)
            if improves(value, self.best, self.larger):
                self.best = value
                files = self.params.get("best_files", {})
                self.write(files.get(self.name.removeprefix("eval_"), "best_model.pt"), ended=False)
        elif epoch % self.save_freq == 0:
            self.write(f"{epoch}.pt", ended=False)
            self.remove_earlier(epoch)

    def is_cut(self, steps: int) -> bool:
        """Whether this epoch was cut after so many steps, or evaluated only as it is the last."""
        ended = len(self.step_losses) == self.params.get("num_iters")
        last = ended or self.epochs == self.params["epochs"] or bool(self.model.stop_training)
        due = self.epochs % self.params.get("eval_freq", 1) == 0
        evaluated = last and not due and self.params["evaluates"]
        whole = steps == self.params["steps"] and not self.params.get("length_unsure")
        return (ended and not whole) or evaluated

    def remove_earlier(self, epoch: int) -> None:
        """Remove the file that is one too many; a training cannot go on from one that was cut."""
        if self.keep is not None and not self.cut and is_rank_zero():
            earlier = epoch - self.keep * self.save_freq
            (self.folder / f"{earlier}.pt").unlink(missing_ok=True)

    def on_train_end(self, logs: Any = None) -> None:
        self.write("final.pt", ended=True)

    def write(self, file: str, ended: bool) -> None:
        """Write the state of the model, and what `fit` needs to go on."""
        fit = {
            "epochs": self.epochs,
            "began": self.began,
            "ended": ended,
            "cut": self.cut,
            "stopped": bool(self.model.stop_training),
            "step_losses": self.step_losses,
            "rows": self.rows,
            "callbacks": [callback.state_dict() for callback in self.model.callbacks],
            "settings": self.params.get("settings", {}),
        }
        checkpoint.write(self.folder / file, {**checkpoint.state_of(self.model), "fit": fit})


def floats(losses: list[Any]) -> list[float]:
    """Losses as plain floats; those on a device are fetched in one go."""
    tensors = [loss for loss in losses if isinstance(loss, torch.Tensor)]
    fetched = iter(torch.stack(tensors).tolist() if tensors else [])
    return [next(fetched) if isinstance(loss, torch.Tensor) else float(loss) for loss in losses]
