"""What else happens while a model trains: save, stop early, change the learning rate, keep a log.

A callback has hooks: methods such as `on_epoch_end`, which the loop calls at that moment. Override
those that you need; the loop calls no others. Its constructor only notes what was asked for. All
that changes in the course of a training begins in `on_train_begin`, so that an object can be used
again; and is named in `kept`, so that a resumed training finds it.
"""

import copy
import csv
import math
import os
import time
import warnings
from pathlib import Path
from typing import Any

import torch

from tutorial import checkpoint

# Every hook, in the order in which the loop calls them.
HOOKS = (
    "on_train_begin",
    "on_epoch_begin",
    "on_train_batch_begin",
    "on_train_batch_end",
    "on_epoch_end",
    "on_eval_begin",
    "on_eval_batch_begin",
    "on_eval_batch_end",
    "on_eval_end",
    "on_train_end",
    "on_predict_begin",
    "on_predict_batch_begin",
    "on_predict_batch_end",
    "on_predict_end",
)

# With mode="auto", larger is better where the name contains one of these.
LARGER_IS_BETTER = ("acc", "auc", "precision", "recall", "f1")


class Callback:
    """Something that is told how a training, an evaluation or a prediction goes.

    `epoch` and `step` count from 0. `logs` is a new dict at each call, yours to keep:

    - empty in every hook that begins something, and in `on_predict_end`;
    - `on_train_batch_end`, `on_eval_batch_end`: the means over the samples so far, 'loss' and each
      metric, and the 'batch_size'; `on_predict_batch_end`: only the 'batch_size';
    - `on_epoch_end`: the 'epoch' (from 1), and the means over the epoch's training samples;
    - `on_eval_end`: the means over all samples of the evaluation;
    - `on_train_end`: the last epoch's row, where the evaluation's means have 'eval_' before them.

    Where an epoch is evaluated, that comes after its `on_epoch_end`. An error or an interrupt ends
    a training without `on_train_end`.

    Attributes:
        model: its parts are `model.network` and `model.optimizer`; `model.stop_training = True`
            ends the training, after the step if a hook of a training batch sets it, else after the
            epoch.
        params: what was asked for: 'epochs', 'steps' (batches in an epoch, or None if the data has
            no length), 'batch_size', 'verbose', 'metrics' (the names that are reported, 'loss'
            first), 'evaluates' (is there data to evaluate on?) and 'save_dir' (or None).
        kept: names of attributes that a resumed training needs; plain values and tensors.

    Example:
        >>> class Countdown(Callback):
        ...     def on_epoch_begin(self, epoch, logs=None):
        ...         print(self.params["epochs"] - epoch)
        >>> countdown = Countdown()
        >>> countdown.set_params({"epochs": 5})
        >>> countdown.on_epoch_begin(1)
        4
    """

    model: Any
    params: dict[str, Any]
    kept: tuple[str, ...] = ()
    in_fit = False  # for those who set it in on_train_begin: is this evaluation a training's?

    def set_model(self, model: Any) -> None:
        """Get to know the model, before anything begins."""
        self.model = model

    def set_params(self, params: dict[str, Any]) -> None:
        """Get to know what was asked for, before anything begins."""
        self.params = params
        self.in_fit = False

    def state_dict(self) -> dict[str, Any]:
        """What a resumed training needs."""
        return {name: getattr(self, name) for name in self.kept}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a `state_dict()`; this comes after `on_train_begin`."""
        if set(state) != set(self.kept):
            raise ValueError(
                f"callbacks: {type(self).__name__} needs {sorted(self.kept)} to resume, but the "
                f"checkpoint has {sorted(state)} in its place. Give the same callbacks, in the "
                "same order, as to the training that wrote the checkpoint."
            )
        for name in self.kept:
            setattr(self, name, copy.copy(state[name]))

    def on_train_begin(self, logs: Any = None) -> None:
        """Training begins."""

    def on_train_end(self, logs: Any = None) -> None:
        """Training has ended."""

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """An epoch of training begins."""

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """An epoch of training has ended; if it is evaluated, that comes next."""

    def on_train_batch_begin(self, step: int, logs: Any = None) -> None:
        """A step of training begins."""

    def on_train_batch_end(self, step: int, logs: Any = None) -> None:
        """A step of training has ended."""

    def on_eval_begin(self, logs: Any = None) -> None:
        """An evaluation begins."""

    def on_eval_end(self, logs: Any = None) -> None:
        """An evaluation has ended."""

    def on_eval_batch_begin(self, step: int, logs: Any = None) -> None:
        """A batch is about to be evaluated."""

    def on_eval_batch_end(self, step: int, logs: Any = None) -> None:
        """A batch was evaluated."""

    def on_predict_begin(self, logs: Any = None) -> None:
        """A prediction begins."""

    def on_predict_end(self, logs: Any = None) -> None:
        """A prediction has ended."""

    def on_predict_batch_begin(self, step: int, logs: Any = None) -> None:
        """A batch is about to be predicted."""

    def on_predict_batch_end(self, step: int, logs: Any = None) -> None:
        """A batch was predicted."""


class LambdaCallback(Callback):
    """A callback made of functions.

    Args:
        **hooks: functions, each under the name of its hook and with that hook's arguments.

    Raises:
        TypeError: there is no such hook, or its value cannot be called.

    Example:
        >>> talk = LambdaCallback(on_epoch_end=lambda epoch, logs: print(epoch, logs["loss"]))
        >>> talk.on_epoch_end(0, {"epoch": 1, "loss": 0.25})
        0 0.25
    """

    def __init__(self, **hooks: Any) -> None:
        for name, function in hooks.items():
            if name not in HOOKS:
                raise TypeError(
                    f"LambdaCallback: {name!r} is no hook. Choose from {', '.join(HOOKS)}."
                )
            if not callable(function):
                raise TypeError(
                    f"LambdaCallback: {name} is {function!r}, but a function is expected, such as "
                    f"{name}=lambda *arguments: print(*arguments)."
                )
            setattr(self, name, function)
        self.hooks = hooks


def overridden(callback: Any, hook: str) -> bool:
    """Whether the callback does something there: its class overrides the hook, or it has its own.

    Args:
        callback: a Callback.
        hook: one of `HOOKS`.

    Example:
        >>> overridden(EarlyStopping(), "on_eval_end"), overridden(Callback(), "on_eval_end")
        (True, False)
    """
    function = getattr(callback, hook)
    return getattr(function, "__func__", None) is not getattr(Callback, hook)


# ---- settings of the loop itself, given as callbacks


class ProgressBar(Callback):
    """How `fit` shows itself, as a callback: it comes in place of fit's own two arguments.

    Args:
        log_freq: steps between two printed lines, from 1.
        verbose: 0 silent; 1 a progress bar; 2 a line for every log_freq steps.

    Raises:
        ValueError: it is not such a number.

    Example:
        >>> ProgressBar(log_freq=100, verbose=2).log_freq
        100
    """

    def __init__(self, log_freq: int = 10, verbose: int = 1) -> None:
        expect(whole(log_freq, 1), "log_freq", log_freq, "a whole number of at least 1")
        expect(whole(verbose, 0) and verbose <= 2, "verbose", verbose, "0, 1 or 2")
        self.log_freq = log_freq
        self.verbose = verbose


class LRScheduler(Callback):
    """A scheduler of torch, which changes the learning rate after each update or each epoch.

    The loop itself calls `scheduler.step()`.

    Args:
        scheduler: any of torch.optim.lr_scheduler, made for the model's optimizer.
        by_step: True, as without it: once for each update of the weights.
        by_epoch: True: once for each epoch.

    Raises:
        ValueError: both are True, or both are False.
        TypeError: it is no such scheduler, or one that must be told a loss.

    Example:
        >>> weight = torch.nn.Parameter(torch.zeros(1))
        >>> cosine = torch.optim.lr_scheduler.CosineAnnealingLR(torch.optim.SGD([weight]), T_max=9)
        >>> LRScheduler(cosine).by, LRScheduler(cosine, by_epoch=True).by
        ('step', 'epoch')
    """

    def __init__(
        self, scheduler: Any, by_step: bool | None = None, by_epoch: bool | None = None
    ) -> None:
        if isinstance(scheduler, torch.optim.lr_scheduler.ReduceLROnPlateau):
            raise TypeError(
                "scheduler is torch's ReduceLROnPlateau, which must be told a loss at each step, "
                "but one is expected that is not. Use tutorial.callbacks.ReduceLROnPlateau()."
            )
        if not isinstance(scheduler, torch.optim.lr_scheduler.LRScheduler):
            raise TypeError(
                f"scheduler is {scheduler!r}, but one of torch.optim.lr_scheduler is expected, "
                "such as torch.optim.lr_scheduler.StepLR(optimizer, step_size=100)."
            )
        for name, value in (("by_step", by_step), ("by_epoch", by_epoch)):
            expect(value is None or isinstance(value, bool), name, value, "True, False or None")
        if by_step is not None and by_step is by_epoch:
            raise ValueError(
                f"by_step and by_epoch are both {by_step}, but they are mutually exclusive: one "
                "True is expected. Write by_step=True or by_epoch=True, and leave out the other."
            )
        self.scheduler = scheduler
        self.by_step = by_step
        self.by_epoch = by_epoch

    @property
    def by(self) -> str:
        """When the loop steps it: after each 'step' that updates the weights, or each 'epoch'."""
        return "epoch" if self.by_epoch or self.by_step is False else "step"


# ---- save, stop, slow down


class ModelCheckpoint(Callback):
    """Saves the training while it runs, so that it can go on from there.

    After epochs 0, save_freq, 2 save_freq, ... it writes save_dir/0.pt and so on; at the end
    save_dir/final.pt. A callback that stands before it in the list acts before the final file is
    written: put EarlyStopping there, and this file has the best weights.

    Args:
        save_freq: epochs from one file to the next, from 1.
        save_dir: the folder; without one, that of `fit(save_dir=...)`.
        best_only: in place of the numbered files, write save_dir/best_model.pt whenever the
            monitored value is better than ever; where there is data to evaluate on, that is the
            evaluation's value, and an epoch that is not evaluated does not count.
        monitor: 'loss' or the name of a metric, as reported.
        mode: 'min' if less is better, 'max' if more is; 'auto' goes by the name.

    Raises:
        ValueError: an argument is not that; when training begins: there is no folder, or nothing
            of that name is reported.

    Example:
        >>> keep_best = ModelCheckpoint(save_dir="checkpoints", best_only=True, monitor="acc")
    """

    kept = ("began", "epochs", "step_losses", "rows", "best")

    def __init__(
        self,
        save_freq: int = 1,
        save_dir: str | Path | None = None,
        best_only: bool = False,
        monitor: str = "loss",
        mode: str = "auto",
    ) -> None:
        expect(whole(save_freq, 1), "save_freq", save_freq, "a whole number of at least 1")
        expect(isinstance(best_only, bool), "best_only", best_only, "True or False")
        expect(mode in ("auto", "min", "max"), "mode", mode, "'auto', 'min' or 'max'")
        self.save_freq = save_freq
        self.save_dir = save_dir
        self.best_only = best_only
        self.monitor = monitor
        self.mode = mode

    def on_train_begin(self, logs: Any = None) -> None:
        folder = self.params["save_dir"] if self.save_dir is None else self.save_dir
        if folder is None:
            raise ValueError(
                "ModelCheckpoint: save_dir is None, and so is that of fit, but a folder is "
                'expected. Write fit(..., save_dir="checkpoints").'
            )
        self.folder = Path(folder)
        if self.best_only:
            self.name = reported_name(self.monitor, self.params["metrics"])
            self.name = f"eval_{self.name}" if self.params["evaluates"] else self.name
        self.best = worst(self.monitor, self.mode)
        self.began = time.time()
        self.epochs = 0
        self.step_losses: list[float] = []
        self.rows: list[dict[str, float]] = []
        if self.params.get("start"):  # so that a training can go on that ends in its first epoch
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
        if self.best_only:
            value = rows[-1].get(self.name, math.nan)
            if improves(value, self.best, self.monitor, self.mode):
                self.best = value
                self.write("best_model.pt", ended=False)
        elif epoch % self.save_freq == 0:
            self.write(f"{epoch}.pt", ended=False)

    def on_train_end(self, logs: Any = None) -> None:
        self.write("final.pt", ended=True)

    def write(self, file: str, ended: bool) -> None:
        """Write the state of the model, and what `fit` needs to go on."""
        fit = {
            "epochs": self.epochs,
            "began": self.began,
            "ended": ended,
            "stopped": bool(self.model.stop_training),
            "step_losses": self.step_losses,
            "rows": self.rows,
            "callbacks": [callback.state_dict() for callback in self.model.callbacks],
        }
        checkpoint.write(self.folder / file, {**checkpoint.state_of(self.model), "fit": fit})


class EarlyStopping(Callback):
    """Ends a training when its evaluations do not get better any more.

    A value is better if it beats the best one so far by more than min_delta; nan never does.

    Args:
        monitor: 'loss' or the name of a metric, as the evaluations report it.
        mode: 'min' if less is better, 'max' if more is; 'auto' goes by the name.
        patience: evaluations in a row that may be no better, from 0; with 0 as with 1, the first
            of them ends the training.
        verbose: 1: print a line when it ends the training; 0: do not.
        min_delta: by how much a value must be better to count, from 0, in the value's unit.
        baseline: a value that already the first one must beat.
        save_best_model: if `fit` has a save_dir, write save_dir/best_model.pt at each best value.
        restore_best: at the end, give the network the weights of the best evaluation.

    Raises:
        ValueError: an argument is not that; when training begins: there is no data to evaluate on,
            or nothing of that name is reported.

    Example:
        >>> stop = EarlyStopping(monitor="acc", patience=3)
    """

    kept = ("best", "best_epoch", "best_weights", "wait", "saved")

    def __init__(
        self,
        monitor: str = "loss",
        mode: str = "auto",
        patience: int = 0,
        verbose: int = 1,
        min_delta: float = 0,
        baseline: float | None = None,
        save_best_model: bool = True,
        restore_best: bool = True,
    ) -> None:
        expect(mode in ("auto", "min", "max"), "mode", mode, "'auto', 'min' or 'max'")
        expect(whole(patience, 0), "patience", patience, "a whole number of at least 0")
        expect(from_0(min_delta), "min_delta", min_delta, "a finite number of at least 0")
        number = isinstance(baseline, int | float) and not isinstance(baseline, bool)
        expect(baseline is None or number, "baseline", baseline, "a number or None")
        self.monitor = monitor
        self.mode = mode
        self.patience = patience
        self.verbose = verbose
        self.min_delta = min_delta
        self.baseline = baseline
        self.save_best_model = save_best_model
        self.restore_best = restore_best

    def on_train_begin(self, logs: Any = None) -> None:
        self.name = evaluated_name(self)
        self.in_fit = True
        self.best = worst(self.monitor, self.mode) if self.baseline is None else self.baseline
        self.best_epoch: int | None = None
        self.best_weights: Any = None
        self.saved: str | None = None
        self.wait = 0  # evaluations since the best one

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self.epoch = epoch + 1

    def on_eval_end(self, logs: Any = None) -> None:
        if not self.in_fit:
            return
        value = logs[self.name]
        if improves(value, self.best, self.monitor, self.mode, self.min_delta):
            self.best, self.best_epoch, self.wait = value, self.epoch, 0
            if self.restore_best:
                self.best_weights = copy.deepcopy(self.model.network.state_dict())
            if self.save_best_model and self.params["save_dir"] is not None:
                path = Path(self.params["save_dir"]) / "best_model.pt"
                self.saved = str(checkpoint.write(path, checkpoint.state_of(self.model)))
            return
        self.wait += 1
        if self.wait >= self.patience:
            self.model.stop_training = True
            if self.verbose:
                print(self.message())

    def on_train_end(self, logs: Any = None) -> None:
        if self.restore_best and self.best_weights is not None and self.wait > 0:
            self.model.network.load_state_dict(self.best_weights)

    def message(self) -> str:
        """Why the training ends."""
        ends = f"epoch {self.epoch}: training ends early."
        if self.best_epoch is None:
            return f"{ends} No eval_{self.name} was better than {self.best:.4g}."
        where = "" if self.saved is None else f", saved in {self.saved}"
        best = f"The best eval_{self.name} was {self.best:.4g}, in epoch {self.best_epoch}"
        return f"{ends} {best}{where}."


class ReduceLROnPlateau(Callback):
    """Lowers the learning rate when the evaluations do not get better any more.

    Do not give a scheduler as well: it would set the learning rate anew.

    Args:
        monitor: 'loss' or the name of a metric, as the evaluations report it.
        factor: what the learning rate is multiplied by, above 0 and below 1.
        patience: evaluations in a row, none of them better, after which that is done; from 0, which
            is as 1.
        verbose: 1: print a line when it is done; 0: do not.
        mode: 'min' if less is better, 'max' if more is; 'auto' goes by the name.
        min_delta: by how much a value must be better to count, from 0, in the value's unit.
        cooldown: from 0: after it, the counting starts with this evaluation (0 is as 1), as in
            Keras.
        min_lr: no learning rate is lowered below this.

    Raises:
        ValueError: an argument is not that; when training begins: there is no data to evaluate on,
            or nothing of that name is reported.

    Example:
        >>> slower = ReduceLROnPlateau(factor=0.5, patience=2)
    """

    kept = ("best", "wait", "cooldown_counter")

    def __init__(
        self,
        monitor: str = "loss",
        factor: float = 0.1,
        patience: int = 10,
        verbose: int = 1,
        mode: str = "auto",
        min_delta: float = 1e-4,
        cooldown: int = 0,
        min_lr: float = 0,
    ) -> None:
        fits = from_0(factor) and 0 < factor < 1
        expect(fits, "factor", factor, "a number above 0 and below 1")
        expect(whole(patience, 0), "patience", patience, "a whole number of at least 0")
        expect(mode in ("auto", "min", "max"), "mode", mode, "'auto', 'min' or 'max'")
        expect(from_0(min_delta), "min_delta", min_delta, "a finite number of at least 0")
        expect(whole(cooldown, 0), "cooldown", cooldown, "a whole number of at least 0")
        expect(from_0(min_lr), "min_lr", min_lr, "a finite number of at least 0")
        self.monitor = monitor
        self.factor = factor
        self.patience = patience
        self.verbose = verbose
        self.mode = mode
        self.min_delta = min_delta
        self.cooldown = cooldown
        self.min_lr = min_lr

    def on_train_begin(self, logs: Any = None) -> None:
        self.name = evaluated_name(self)
        self.in_fit = True
        self.best = worst(self.monitor, self.mode)
        self.wait = 0  # evaluations that were no better
        self.cooldown_counter = 0

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self.epoch = epoch + 1

    def on_eval_end(self, logs: Any = None) -> None:
        if not self.in_fit:
            return
        if self.cooldown_counter > 0:
            self.cooldown_counter -= 1
        value = logs[self.name]
        if improves(value, self.best, self.monitor, self.mode, self.min_delta):
            self.best = value
            self.wait = 0
        elif self.cooldown_counter == 0:
            self.wait += 1
            if self.wait >= self.patience and self.reduce():
                self.cooldown_counter = self.cooldown
                self.wait = 0

    def reduce(self) -> bool:
        """Lower the learning rates; whether there was one to lower."""
        groups = [g for g in self.model.optimizer.param_groups if g["lr"] > self.min_lr]
        for group in groups:
            lr = max(float(group["lr"]) * self.factor, self.min_lr)
            if isinstance(group["lr"], torch.Tensor):
                group["lr"].fill_(lr)  # in its place: a captured step reads it there
            else:
                group["lr"] = lr
        if groups and self.verbose:
            rates = sorted({f"{float(group['lr']):.4g}" for group in groups})
            print(
                f"epoch {self.epoch}: the learning rate is now {', '.join(rates)}, as "
                f"eval_{self.name} got no better than {self.best:.4g}."
            )
        return bool(groups)


class TerminateOnNaN(Callback):
    """Ends a training whose loss is not a number any more, with the network as it was before.

    A loss of nan or inf is noticed a step too late: the step before it spoilt the weights. So
    network and optimizer go back to before the last step whose loss was finite. For that they are
    copied before every step: this takes the time to write all weights and the optimizer's numbers
    once, and the memory to hold them twice.

    Example:
        >>> guard = TerminateOnNaN()
    """

    good: Any = None  # network and optimizer before the last step with a finite loss
    trial: Any = None  # ... before the step that runs
    good_at = "before it"

    def on_train_begin(self, logs: Any = None) -> None:
        self.good = self.trial = None
        self.good_at = "before it"

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self.epoch = epoch + 1

    def on_train_batch_begin(self, step: int, logs: Any = None) -> None:
        parts = [self.model.network.state_dict(), self.model.optimizer.state_dict()]
        with torch.no_grad():
            self.trial = copied(parts, self.trial)

    def on_train_batch_end(self, step: int, logs: Any = None) -> None:
        if math.isfinite(logs["loss"]):
            self.good, self.trial = self.trial, self.good  # the older one is written over
            self.good_at = f"before epoch {self.epoch} step {step + 1}, the last with a finite loss"
            return
        network, optimizer = self.trial if self.good is None else self.good
        self.model.network.load_state_dict(network)
        self.model.optimizer.load_state_dict(optimizer)
        self.good = self.trial = None  # the optimizer may go on with these very tensors
        self.model.stop_training = True
        warnings.warn(
            f"epoch {self.epoch} step {step + 1}: the loss is {logs['loss']}, so training ended. "
            f"The network and the optimizer are as they were {self.good_at}. Try a smaller "
            "learning rate, clip_grad_norm=1.0, or look for nan in the data.",
            stacklevel=2,
        )


# ---- logs


class TensorBoard(Callback):
    """Writes the curves for TensorBoard: `tensorboard --logdir LOG_DIR` shows them.

    train/loss and train/(metric) have a point for every step, counted through all epochs, and
    train/lr one for every epoch at its last step; eval/... have one for every evaluated epoch.

    Args:
        log_dir: the folder; give every training one of its own.

    Raises:
        ImportError: when training begins: tensorboard is not installed.

    Example:
        >>> board = TensorBoard("runs/first")
    """

    kept = ("step",)
    writer: Any = None

    def __init__(self, log_dir: str | Path) -> None:
        self.log_dir = log_dir

    def on_train_begin(self, logs: Any = None) -> None:
        try:
            import torch.utils.tensorboard  # noqa: F401
        except ImportError:
            raise ImportError(
                "callbacks.TensorBoard needs tensorboard, which is not installed: "
                'pip install "torch-tutorial[tensorboard]".'
            ) from None
        self.on_train_end()  # of a training that broke off
        self.in_fit = True
        self.step = 0

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self.epoch = epoch + 1
        if self.writer is None:  # only now, when a resumed training knows its step
            from torch.utils.tensorboard import SummaryWriter

            purge = self.step + 1 if self.step else None  # from there on, points are obsolete
            self.writer = SummaryWriter(str(self.log_dir), purge_step=purge)

    def on_train_batch_end(self, step: int, logs: Any = None) -> None:
        self.step += 1
        for name, value in logs.items():
            if name != "batch_size":
                self.writer.add_scalar(f"train/{name}", value, self.step)

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        for i, group in enumerate(self.model.optimizer.param_groups):
            tag = f"train/lr_{i}" if i else "train/lr"
            self.writer.add_scalar(tag, float(group["lr"]), self.step)
        self.writer.flush()

    def on_eval_end(self, logs: Any = None) -> None:
        if self.in_fit:
            for name, value in logs.items():
                self.writer.add_scalar(f"eval/{name}", value, self.epoch)
            self.writer.flush()

    def on_train_end(self, logs: Any = None) -> None:
        if self.writer is not None:
            self.writer.close()
            self.writer = None


class CSVLogger(Callback):
    """Writes a table for a spreadsheet: a line for each epoch, with all that is reported.

    The file is written anew after each epoch, in one piece: whenever the process is killed, it is
    whole. Numbers stand there with all their digits.

    Args:
        path: the file, such as 'log.csv'. Missing folders are made, an earlier file is replaced.

    Raises:
        OSError: when training begins: the folder cannot be made, or path is a folder; later: the
            file cannot be written.

    Example:
        >>> log = CSVLogger("log.csv")
    """

    kept = ("rows",)

    def __init__(self, path: str | Path) -> None:
        self.path = path

    def on_train_begin(self, logs: Any = None) -> None:
        path = Path(self.path)
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.is_dir():
            raise IsADirectoryError(
                f"path is {str(path)!r}, which is a folder, but a file's name is expected, such as "
                f"{str(path / 'log.csv')!r}."
            )
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
        columns = list(dict.fromkeys(name for row in self.rows for name in row))
        path = Path(self.path)
        beside = path.with_name(f".{path.name}.{os.getpid()}")
        try:
            with open(beside, "w", newline="", encoding="utf-8") as file:
                table = csv.DictWriter(file, columns, lineterminator="\n")
                table.writeheader()
                table.writerows(self.rows)
            os.replace(beside, path)
        finally:
            beside.unlink(missing_ok=True)


# ---- shared by the above


def expect(fits: bool, name: str, value: Any, expected: str) -> None:
    """Refuse an argument that does not fit."""
    if not fits:
        raise ValueError(f"{name} is {value!r}, but {expected} is expected.")


def whole(value: Any, least: int) -> bool:
    """Whether it is a whole number from `least` on."""
    return isinstance(value, int) and not isinstance(value, bool) and value >= least


def from_0(value: Any) -> bool:
    """Whether it is a finite number from 0 on."""
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return number and 0 <= value < math.inf


def reported_name(monitor: str, names: list[str]) -> str:
    """The name under which an evaluation reports what is monitored: 'loss' for 'eval_loss'."""
    name = monitor if monitor in names else str(monitor).removeprefix("eval_")
    if name not in names:
        raise ValueError(
            f"monitor is {monitor!r}, but only {', '.join(map(repr, names))} can be monitored. "
            "Choose one of these, or give prepare a metric of that name."
        )
    return name


def evaluated_name(callback: Any) -> str:
    """What its evaluations report under the name that the callback monitors."""
    if not callback.params["evaluates"]:
        raise ValueError(
            f"eval_data is None, but {type(callback).__name__} goes by evaluations. Give fit some "
            f"eval_data, or leave out the {type(callback).__name__}."
        )
    return reported_name(callback.monitor, callback.params["metrics"])


def more_is_better(monitor: str, mode: str) -> bool:
    """Whether a larger value is the better one."""
    return mode == "max" or (mode == "auto" and any(name in monitor for name in LARGER_IS_BETTER))


def worst(monitor: str, mode: str) -> float:
    """A value that any other improves on."""
    return -math.inf if more_is_better(monitor, mode) else math.inf


def improves(value: float, best: float, monitor: str, mode: str, min_delta: float = 0) -> bool:
    """Whether the value is better than the best so far, by more than min_delta."""
    if more_is_better(monitor, mode):
        return value - min_delta > best
    return value + min_delta < best


def floats(losses: list[Any]) -> list[float]:
    """Losses as plain floats; those on a device are fetched in one go."""
    tensors = [loss for loss in losses if isinstance(loss, torch.Tensor)]
    fetched = iter(torch.stack(tensors).tolist() if tensors else [])
    return [next(fetched) if isinstance(loss, torch.Tensor) else float(loss) for loss in losses]


def copied(value: Any, earlier: Any = None) -> Any:
    """A copy of nested dicts, lists and tensors; it reuses the tensors of an earlier copy."""
    if isinstance(value, torch.Tensor):
        alike = isinstance(earlier, torch.Tensor) and (
            (value.shape, value.dtype, value.device)
            == (earlier.shape, earlier.dtype, earlier.device)
        )
        return earlier.copy_(value) if alike else value.detach().clone()
    if isinstance(value, dict):
        known = earlier if isinstance(earlier, dict) else {}
        copies = copy.copy(value)  # a state_dict has attributes, too
        copies.update({key: copied(part, known.get(key)) for key, part in value.items()})
        return copies
    if type(value) in (list, tuple):
        fits = type(earlier) is type(value) and len(earlier) == len(value)
        old = earlier if fits else [None] * len(value)
        return type(value)(copied(*pair) for pair in zip(value, old, strict=True))
    return copy.deepcopy(value)
