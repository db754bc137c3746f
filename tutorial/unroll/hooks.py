"""The hooks of a loop: which callbacks it calls, and at which places."""

import inspect
import os
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from inspect import signature
from pathlib import Path
from typing import Any

import torch

from tutorial import checks
from tutorial.callbacks import (
    HOOKS,
    Callback,
    CSVLogger,
    Insight,
    LRScheduler,
    ModelCheckpoint,
    ProgressBar,
    TerminateOnNaN,
    overridden,
)
from tutorial.callbacks.files import best_files, places
from tutorial.loop.names import unlike, variable
from tutorial.loop.options import Code
from tutorial.parameters import short
from tutorial.running import WATCHER
from tutorial.saving import checkpoint
from tutorial.saving.parts import Parts, start_new_workers


@dataclass
class Hooks:
    """The callbacks and schedulers of one call, by the names of their variables in the loop.

    Attributes:
        params: what callbacks are told of the call: epochs, steps, metrics, ...
        callbacks: those that the loop calls, in order.
        schedulers: the learning rate schedulers, which the loop steps itself.
        by: 'step' or 'epoch', for each of them.
        bar: what to display, if a ProgressBar is among the callbacks.
        undefined: of metrics that few samples leave undefined: why they do.
    """

    params: dict[str, Any] = field(default_factory=dict)
    callbacks: dict[str, Callback] = field(default_factory=dict)
    schedulers: dict[str, Any] = field(default_factory=dict)
    by: dict[str, str] = field(default_factory=dict)
    bar: ProgressBar | None = None
    undefined: dict[str, str] = field(default_factory=dict)

    def options(self) -> dict[str, Any]:
        """The options of `unroll` for these."""
        checkpoints = [n for n, c in self.callbacks.items() if isinstance(c, ModelCheckpoint)]
        remember = [
            (i, Code(name))
            for i, (name, callback) in enumerate(self.callbacks.items())
            if callback.state_attributes
            or type(callback).load_state_dict is not Callback.load_state_dict
        ]
        hooked: dict[str, Any] = {
            hook.upper(): tuple(Code(n) for n, c in self.callbacks.items() if overridden(c, hook))
            for hook in HOOKS
        }
        return {
            **hooked,
            "CALLBACKS": tuple(Code(name) for name in self.callbacks if name not in checkpoints),
            "CHECKPOINTS": tuple(map(Code, checkpoints)),
            "STATEFUL_CALLBACKS": tuple(remember),
            "SCHEDULERS": tuple((i, Code(name)) for i, name in enumerate(self.schedulers)),
            "STEP_SCHEDULERS": tuple(Code(n) for n, by in self.by.items() if by == "step"),
            "EPOCH_SCHEDULERS": tuple(Code(n) for n, by in self.by.items() if by == "epoch"),
        }

    def folder(self) -> str | None:
        """Where checkpoints are written."""
        savers = [c for c in self.callbacks.values() if isinstance(c, ModelCheckpoint)]
        return None if not savers or savers[-1].save_dir is None else str(savers[-1].save_dir)

    def check_places(self) -> None:
        """Refuse files that cannot be written: now, not after an epoch."""
        asked = [("save_dir", self.params["save_dir"], False)]
        for callback in self.callbacks.values():
            for name in ("save_dir", "log_dir"):
                asked.append((name, getattr(callback, name, None), False))
            if isinstance(callback, CSVLogger):
                asked.append(("path", callback.path, True))
        for name, place, is_file in asked:
            if isinstance(place, str | os.PathLike):
                checks.writable(name, Path(place), is_file)

    def check_schedulers(self, model: Any, steps: Mapping[str, int | None], resumed: bool) -> None:
        """Refuse schedulers of another optimizer, and those that end before the training does.

        Args:
            model: whose optimizer it is.
            steps: how often a scheduler steps that goes by 'step', and one by 'epoch'; None if that
                is not known.
            resumed: whether they begin from a checkpoint, at which they were new.
        """
        states, _ = checkpoint.waiting(model, len(self.schedulers))
        for i, (name, scheduler) in enumerate(self.schedulers.items()):
            if WATCHER.get().runs:  # else it may be a copy, of which the optimizer is one, too
                checks.scheduler_fits(scheduler, model.optimizer)
            taken = 0 if resumed else (states[i] if states else vars(scheduler)).get("last_epoch")
            checks.schedule_lasts(scheduler, taken, steps[self.by[name]])

    def told(self) -> dict[str, Any]:
        """What callbacks are told: without what says nothing, or only a resume compares."""
        silent: dict[str, Any] = {
            "length_unsure": False,
            "compile": False,
            "best_files": {},
            "settings": self.params.get("settings"),
        }
        return {k: v for k, v in self.params.items() if k not in silent or v != silent[k]}

    def places(self) -> set[str]:
        """The files and directories into which the callbacks write."""
        return places(self.callbacks.values(), self.params)

    def settings(self) -> list[tuple[str, dict[str, Any]]]:
        """The kind of each callback, with those of its arguments that change what is trained."""
        return [(type(c).__name__, settings_of(c)) for c in self.callbacks.values()]

    def terminate_on_nan(self) -> bool:
        """Whether TerminateOnNaN is among the callbacks."""
        return any(isinstance(callback, TerminateOnNaN) for callback in self.callbacks.values())

    def let_go(self, names: dict[str, Any]) -> None:
        """Remove what looks on, such as in a step that an error ended."""
        for callback in [names[name] for name in self.callbacks]:
            if isinstance(callback, Insight):
                callback.let_go()

    def attach(self, names: dict[str, Any], fits: bool) -> None:
        """Attach callbacks and schedulers to the model, and the model to each callback.

        What a fit attaches stays there, for `save`, until the next one; other calls leave it.
        """
        model = names["model"]
        start_new_workers(names)
        callbacks = [names[name] for name in self.callbacks]
        if fits:
            model.stop_training = False
            model.callbacks = callbacks
            model.schedulers = [names[name] for name in self.schedulers]
            model.stateful = Parts(names, self.callbacks, before=model.stateful)
            checkpoint.restore_schedulers(model, names.get("optimizer"))
            checkpoint.restore_parts(model)
        for callback in callbacks:
            callback.set_model(model)
            callback.set_params(dict(self.params))


def register(
    callbacks: Any,
    params: dict[str, Any],
    save_freq: int = 1,
    taken: Collection[str] = (),
) -> Hooks:
    """Register the callbacks of a call: a name for each, in the order in which they are called.

    Args:
        callbacks: a Callback, a sequence of them, or None.
        params: what they are told of the call. If it has a 'save_dir', and no ModelCheckpoint is
            among the callbacks, one is added.
        save_freq: epochs between two checkpoints.
        taken: variables that have another meaning in the loop, such as metrics.

    Raises:
        TypeError: one of them is no Callback.
    """
    several = isinstance(callbacks, Iterable) and not isinstance(callbacks, Callback | str)
    listed = list(callbacks) if several else [] if callbacks is None else [callbacks]
    for i, callback in enumerate(listed):
        if not isinstance(callback, Callback):
            hint = "give an object, with brackets: " if isinstance(callback, type) else ""
            if isinstance(callback, torch.optim.lr_scheduler.LRScheduler):
                hint = "wrap it, LRScheduler(scheduler): "
            raise TypeError(
                f"callbacks holds {short(callback)}, but tutorial.callbacks.Callback objects are "
                f"expected; {hint}such as EarlyStopping(patience=2)."
            )
        check_hooks(callback)
        if any(same(callback, other) for other in listed[:i]):
            raise ValueError(
                f"callbacks holds the same {type(callback).__name__} twice, so it would be called "
                "twice at each hook. Leave one out, or make two objects."
            )
    if params.get("save_dir") and not any(isinstance(c, ModelCheckpoint) for c in listed):
        listed.append(ModelCheckpoint(save_freq))
    hooks = Hooks(params)
    # What saves comes last, so that it saves what the others did; and what saves all epochs after
    # what saves the best.
    for callback in sorted(listed, key=saves):
        others = {*taken, *hooks.callbacks, *hooks.schedulers}
        if isinstance(callback, ProgressBar):
            hooks.bar = callback
        elif isinstance(callback, LRScheduler):
            name = unlike("scheduler", others) if hooks.schedulers else "scheduler"
            hooks.schedulers[name], hooks.by[name] = callback.scheduler, callback.by
        else:
            hooks.callbacks[variable(callback, others)] = callback
    if params.get("epochs") is not None:  # a fit
        hooks.params["best_files"] = best_files(hooks.callbacks.values(), params)
    return hooks


def check_hooks(callback: Callback) -> None:
    """Refuse hooks that do not take what they are told: now, not after an epoch."""
    for hook in HOOKS:
        function = getattr(callback, hook)
        if str(function.__module__).startswith("tutorial."):
            continue
        told = list(inspect.signature(getattr(Callback, hook)).parameters)[1:]
        try:
            inspect.signature(function).bind(*told)
        except ValueError:  # one that is built in, and does not say what it takes
            continue
        except TypeError as error:
            raise TypeError(
                f"callbacks holds a {type(callback).__name__} whose {hook} cannot be called as "
                f"{hook}({', '.join(told)}): {error}. Give it these parameters."
            ) from None


def same(one: Callback, other: Callback) -> bool:
    """Whether these are one callback, or step one scheduler."""
    if isinstance(one, LRScheduler) and isinstance(other, LRScheduler):
        return one.scheduler is other.scheduler
    return one is other


# Arguments of callbacks that change nothing of what is trained.
BESIDE = {"verbose", "every", "save_dir", "log_dir", "path", "save_freq", "keep", "save_best_model"}


def settings_of(callback: Callback) -> dict[str, Any]:
    """The plain arguments of one of the library's, but those that train nothing."""
    if not type(callback).__module__.startswith("tutorial."):
        return {}  # what its attributes mean is not known
    names = signature(type(callback).__init__).parameters.keys() - BESIDE
    values = {name: vars(callback)[name] for name in sorted(names & vars(callback).keys())}
    plain = int | float | str | None
    return {name: value for name, value in values.items() if isinstance(value, plain)}


def saves(callback: Callback) -> int:
    """How much it saves: nothing, the best epoch, or every epoch."""
    return 2 - callback.best_only if isinstance(callback, ModelCheckpoint) else 0
