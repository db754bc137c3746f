"""What a loop does, measured: each forward pass, loss, gradient and step, in order.

A loop is a function. It is called with a network, a loss and an optimizer that note what happens to
them; the loop itself sees nothing of this. So a loop may be written in any way: what counts is what
it does.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn

from tutorial.parameters import short

Loop = Callable[[nn.Module, nn.Module, torch.optim.Optimizer], Any]


@dataclass
class Loss:
    """One call of the loss function."""

    y_hat: Any
    y: Any
    value: torch.Tensor
    backward: bool = False  # has a backward pass begun here?

    def begin_backward(self, _: torch.Tensor) -> None:
        """The backward pass begins."""
        self.backward = True


@dataclass
class Step:
    """A forward pass, and all that happens before the next one."""

    x: torch.Tensor
    training: bool  # is every layer in training mode?
    evaluating: bool  # is every layer in evaluation mode?
    gradients_on: bool  # does PyTorch record a graph?
    before: torch.Tensor  # all weights
    after: torch.Tensor  # the same, when the next forward pass begins
    y_hat: Any = None
    losses: list[Loss] = field(default_factory=list)
    updates: int = 0  # calls of optimizer.step
    early: bool = False  # was optimizer.step called before the backward pass?
    gradient: torch.Tensor | None = None  # of all weights, when optimizer.step was called


@dataclass
class Recording:
    """All that a loop did, and what it returned."""

    steps: list[Step] = field(default_factory=list)
    returned: Any = None
    other: str = ""  # what was called instead: a copy of the network

    @property
    def losses(self) -> list[float]:
        """The loss of every step."""
        return [float(step.losses[0].value) for step in self.steps]

    @property
    def sizes(self) -> list[int]:
        """The samples of every step."""
        return [len(step.x) for step in self.steps]


class RecordedLoss(nn.Module):
    """A loss function that notes what it is given and what it returns."""

    def __init__(self, loss_fn: Callable[..., torch.Tensor], recording: Recording) -> None:
        super().__init__()
        self.loss_fn = loss_fn
        self.recording = recording

    def forward(self, y_hat: Any, y: Any) -> torch.Tensor:
        """The loss."""
        tensors = isinstance(y_hat, torch.Tensor) and isinstance(y, torch.Tensor)
        if tensors and y.is_floating_point() and not y_hat.is_floating_point():
            raise TypeError(
                "loss_fn gets the labels first and then the predictions: loss_fn(y_hat, y)?"
            )
        value = self.loss_fn(y_hat, y)
        if self.recording.steps:
            noted = Loss(_copy(y_hat), _copy(y), value.detach().clone())
            self.recording.steps[-1].losses.append(noted)
            if value.requires_grad:
                value.register_hook(noted.begin_backward)  # type: ignore[no-untyped-call]
        return value


def record(
    loop: Loop,
    network: nn.Module,
    loss_fn: Callable[..., torch.Tensor],
    optimizer: torch.optim.Optimizer,
) -> Recording:
    """Run a loop and note what it does.

    The seed is set again in each forward pass, so that two loops have the same dropout.

    Args:
        loop: called with a network, a loss function and an optimizer.
        network: is trained by the loop.
        loss_fn: compares predictions and labels.
        optimizer: of the network's weights.
    """
    recording = Recording()
    steps = recording.steps

    def begin(called: nn.Module, inputs: tuple[Any, ...]) -> None:
        if called is not network:
            recording.other = "copy of the network"
            return
        if not inputs or not isinstance(inputs[0], torch.Tensor):
            given = short(inputs[0], 40) if inputs else "nothing"
            raise TypeError(f"the network gets {given}, but a tensor is expected")
        weights = flat(network)
        if steps:
            steps[-1].after = weights
        modes = {layer.training for layer in network.modules()}
        x = inputs[0].detach().clone()
        gradients_on = torch.is_grad_enabled()
        steps.append(Step(x, modes == {True}, modes == {False}, gradients_on, weights, weights))
        torch.manual_seed(len(steps))

    def end(called: nn.Module, _: Any, y_hat: Any) -> None:
        if called is network:
            steps[-1].y_hat = _copy(y_hat)

    def update(*_: Any) -> None:
        if steps:
            step = steps[-1]
            step.early = not any(loss.backward for loss in step.losses)
            step.gradient = _gradient(network)
            step.updates += 1

    hooks = [
        network.register_forward_pre_hook(begin),
        network.register_forward_hook(end),
        optimizer.register_step_pre_hook(update),
    ]
    try:
        recording.returned = loop(network, RecordedLoss(loss_fn, recording), optimizer)
    finally:
        for hook in hooks:
            hook.remove()
    if steps:
        steps[-1].after = flat(network)
    return recording


def flat(network: nn.Module) -> torch.Tensor:
    """All weights in a row."""
    return torch.cat([weight.detach().flatten() for weight in network.parameters()])


def sloping(network: nn.Module) -> bool:
    """Whether a weight has a gradient other than 0."""
    return any(w.grad is not None and bool(w.grad.any()) for w in network.parameters())


def _gradient(network: nn.Module) -> torch.Tensor | None:
    """All gradients in a row, 0 where there is none; None if there is none at all."""

    def parts() -> Iterator[torch.Tensor]:
        for weight in network.parameters():
            grad = torch.zeros_like(weight) if weight.grad is None else weight.grad
            yield grad.detach().flatten()

    there = any(weight.grad is not None for weight in network.parameters())
    return torch.cat(list(parts())) if there else None


def _copy(value: Any) -> Any:
    """A tensor as it is now; anything else itself."""
    return value.detach().clone() if isinstance(value, torch.Tensor) else value
