"""Callbacks that stop a training, or slow it down, when it gets no better."""

import copy
import math
import warnings
from pathlib import Path
from typing import Any

import torch

from tutorial.callbacks.base import Callback, expect, from_0, is_number, whole
from tutorial.callbacks.monitor import evaluated_name, improves, larger_is_better, worst
from tutorial.distributed.process_group import is_rank_zero
from tutorial.saving import checkpoint


class EarlyStopping(Callback):
    """Ends a training when its evaluations do not get better any more.

    A value is better if it beats the best one so far by more than min_delta; nan never does.

    Args:
        monitor: 'loss' or the name of a metric, as the evaluations report it.
        mode: 'min' if less is better, 'max' if more is; 'auto': as the metric says by its
            higher_is_better, or as is known of such a name ('loss', 'f1'); else an error asks.
        patience: evaluations in a row that may be no better, from 0; with 0 as with 1, the first
            of them ends the training.
        verbose: 1: print a line when it ends the training; 0: do not.
        min_delta: by how much a value must be better to count, from 0, in the value's unit.
        baseline: a value that already the first one must beat.
        save_best_model: if `fit` has a save_dir, write save_dir/best_model.pt at each best value;
            best_model_acc.pt and the like, where callbacks keep the best by several values.
        restore_best: at the end, give the network the weights of the best evaluation.

    Raises:
        ValueError: an argument is not that; when training begins: there is no data to evaluate on,
            nothing of that name is reported, or mode is 'auto' and it is not known.

    Example:
        >>> stop = EarlyStopping(monitor="acc", patience=3)
    """

    state_attributes = ("best", "best_epoch", "best_weights", "wait", "saved", "ends", "epoch")

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
        expect(whole(patience, 0), "patience", patience, "an integer of at least 0")
        expect(from_0(min_delta), "min_delta", min_delta, "a finite number of at least 0")
        fits = baseline is None or (is_number(baseline) and not math.isnan(baseline))
        expect(fits, "baseline", baseline, "a number or None")
        expect(verbose in (0, 1), "verbose", verbose, "0 or 1")
        for name, value in (("save_best_model", save_best_model), ("restore_best", restore_best)):
            expect(isinstance(value, bool), name, value, "True or False")
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
        self.larger = larger_is_better(self)
        self.best = worst(self.larger) if self.baseline is None else self.baseline
        self.best_epoch: int | None = None
        self.best_weights: Any = None
        self.saved: str | None = None
        self.wait = 0  # evaluations since the best one
        self.ends = False
        self.epoch = 0

    def ends_in(self, state: dict[str, Any]) -> bool:
        return bool(state["wait"] >= self.patience)

    def load_state_dict(self, state: dict[str, Any]) -> None:
        super().load_state_dict(state)
        self.ends = self.ends and self.ends_in(state)  # it may have more patience now

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self.epoch = epoch + 1

    def on_eval_end(self, logs: Any = None) -> None:
        if not self.in_fit:
            return
        value = logs[self.name]
        if improves(value, self.best, self.larger, self.min_delta):
            self.best, self.best_epoch, self.wait = value, self.epoch, 0
            if self.restore_best:
                self.best_weights = copy.deepcopy(self.model.network.state_dict())
            if self.save_best_model and self.params["save_dir"] is not None:
                files = self.params.get("best_files", {})
                file = files.get(self.name.removeprefix("eval_"), "best_model.pt")
                path = Path(self.params["save_dir"]) / file
                self.saved = str(checkpoint.write(path, checkpoint.state_of(self.model)))
            return
        self.wait += 1
        if self.wait >= self.patience:
            self.model.stop_training = True
            self.ends = True

    def on_train_end(self, logs: Any = None) -> None:
        if self.ends and self.verbose and is_rank_zero():  # only now: no bar is in the way
            print(self.message())
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

    Do not give a scheduler, too: it would overwrite the learning rate.

    Args:
        monitor: 'loss' or the name of a metric, as the evaluations report it.
        factor: what the learning rate is multiplied by, above 0 and below 1.
        patience: evaluations in a row, none of them better, after which that is done; from 0, which
            is as 1.
        verbose: 1: print a line when it is done; 0: do not.
        mode: 'min' if less is better, 'max' if more is; 'auto': as the metric says by its
            higher_is_better, or as is known of such a name ('loss', 'f1'); else an error asks.
        min_delta: by how much a value must be better to count, from 0, in the value's unit.
        cooldown: from 0: after it, the counting starts with this evaluation (0 is as 1), as in
            Keras.
        min_lr: no learning rate is lowered below this.

    Raises:
        ValueError: an argument is not that; when training begins: there is no data to evaluate on,
            nothing of that name is reported, or mode is 'auto' and it is not known.

    Example:
        >>> slower = ReduceLROnPlateau(factor=0.5, patience=2)
    """

    state_attributes = ("best", "wait", "cooldown_counter")

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
        expect(whole(patience, 0), "patience", patience, "an integer of at least 0")
        expect(mode in ("auto", "min", "max"), "mode", mode, "'auto', 'min' or 'max'")
        expect(from_0(min_delta), "min_delta", min_delta, "a finite number of at least 0")
        expect(whole(cooldown, 0), "cooldown", cooldown, "an integer of at least 0")
        expect(verbose in (0, 1), "verbose", verbose, "0 or 1")
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
        self.larger = larger_is_better(self)
        self.best = worst(self.larger)
        self.wait = 0  # evaluations that were no better
        self.cooldown_counter = 0
        self.news = ""

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self.epoch = epoch + 1

    def on_eval_end(self, logs: Any = None) -> None:
        if not self.in_fit:
            return
        if self.cooldown_counter > 0:
            self.cooldown_counter -= 1
        value = logs[self.name]
        if improves(value, self.best, self.larger, self.min_delta):
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
            self.news = (
                f"epoch {self.epoch}: the learning rate is now {', '.join(rates)}, as "
                f"eval_{self.name} got no better than {self.best:.4g}."
            )
        return bool(groups)

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        if self.news and is_rank_zero():  # only now: no bar is in the way
            print(self.news)
        self.news = ""

    def on_train_end(self, logs: Any = None) -> None:
        self.on_epoch_begin(0)


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
