"""A callback: what it is told while a model trains, and when.

A callback has hooks: methods such as `on_epoch_end`, which the loop calls at that moment. Override
those that you need; the loop calls no others. Its constructor only notes what was asked for. All
that changes in the course of a training begins in `on_train_begin`, so that an object can be used
again; and is named in `state_attributes`, so that a resumed training finds it.
"""

import copy
import math
import os
from typing import Any

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


class Callback:
    """Something that is told how a training, an evaluation or a prediction goes.

    `epoch` and `step` count from 0. `logs` is a new dict at each call, yours to keep:

    - empty in every hook that begins something, and in `on_predict_end`;
    - `on_train_batch_end`, `on_eval_batch_end`: the means over the samples so far, 'loss' and each
      metric, and the 'batch_size'; `on_predict_batch_end`: only the 'batch_size';
    - `on_epoch_end`: the 'epoch' (from 1), and the means over the epoch's training samples;
    - `on_eval_end`: the means over all samples of the evaluation;
    - `on_train_end`: the last epoch's row, where the evaluation's means have `eval_` before them.

    A hook may call the model itself, such as `self.model.predict_batch(x)`, or fit another one:
    that changes nothing of the training around it, not even its random numbers.

    Where an epoch is evaluated, that comes after its `on_epoch_end`. An error or an interrupt ends
    a training without `on_train_end`.

    Attributes:
        model: its parts are `model.network` and `model.optimizer`; `model.stop_training = True`
            ends the training, after the step if a hook of a training batch sets it, else after the
            epoch.
        params: what was asked for: 'epochs', 'steps' (batches in an epoch, or None if the data has
            no length), 'batch_size', 'verbose', 'metrics' (the names that are reported, 'loss'
            first), 'evaluates' (is there data to evaluate on?) and 'save_dir' (or None); and more
            that the library's own callbacks use.
        state_attributes: names of attributes that a resumed training needs: plain values and
            tensors.

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
    state_attributes: tuple[str, ...] = ()
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
        return {name: getattr(self, name) for name in self.state_attributes}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a `state_dict()`; this comes after `on_train_begin`."""
        if set(state) != set(self.state_attributes):
            raise ValueError(
                f"callbacks: {type(self).__name__} needs {sorted(self.state_attributes)} to "
                f"resume, but the checkpoint has {sorted(state)} in its place. "
                "Give the same callbacks, in the same order, as to the training that wrote the "
                "checkpoint."
            )
        for name in self.state_attributes:
            setattr(self, name, copy.copy(state[name]))

    def ends_in(self, state: dict[str, Any]) -> bool:
        """Whether it would end a training that an earlier one, with this `state_dict()`, ended."""
        return True

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
        >>> overridden(LambdaCallback(on_eval_end=print), "on_eval_end")
        True
        >>> overridden(Callback(), "on_eval_end")
        False
    """
    function = getattr(callback, hook)
    return getattr(function, "__func__", None) is not getattr(Callback, hook)


def expect(fits: bool, name: str, value: Any, expected: str) -> None:
    """Refuse an argument that does not fit."""
    if not fits:
        raise ValueError(f"{name} is {value!r}, but {expected} is expected.")


def whole(value: Any, least: int) -> bool:
    """Whether it is an integer from `least` on."""
    return isinstance(value, int) and not isinstance(value, bool) and value >= least


def is_number(value: Any) -> bool:
    """Whether it is a number, True and False left out."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def from_0(value: Any) -> bool:
    """Whether it is a finite number from 0 on."""
    return is_number(value) and 0 <= value < math.inf


def path_to(name: str, value: Any, expected: str) -> str:
    """A path as it was given, but ~ is the user's home; refuse what is no path."""
    named = isinstance(value, str | os.PathLike) and str(value) != "" and "\0" not in str(value)
    expect(named, name, value, expected)
    path: str = os.path.expanduser(value)
    return path
