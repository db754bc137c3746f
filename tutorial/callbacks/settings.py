"""Settings of the loop itself, given as callbacks: what it displays, and its learning rates."""

from typing import Any

import torch

from tutorial.callbacks.base import Callback, expect, whole
from tutorial.parameters import short


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
        expect(whole(log_freq, 1), "log_freq", log_freq, "an integer of at least 1")
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
                f"scheduler is {short(scheduler)}, but one of torch.optim.lr_scheduler is "
                "expected, such as torch.optim.lr_scheduler.StepLR(optimizer, step_size=100)."
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
