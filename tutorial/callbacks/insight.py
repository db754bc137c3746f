"""Insight: what a network does while it learns, layer by layer.

Nothing of it changes the training. Where a measurement is due, hooks of PyTorch look on for one
step: at what each layer gets (`register_forward_pre_hook`), at the gradients and the weights before
`optimizer.step()`, and at the weights after it (`register_step_pre_hook`, `..._post_hook`). They
draw no random number, and are removed after that step, or when the call ends, however it does.
"""

import math
import time
from typing import Any

import torch
from torch import nn

from tutorial.callbacks.base import Callback, expect, whole
from tutorial.distributed.process_group import is_rank_zero

SECONDS = 0.25  # between two measurements
SHARE = 0.02  # of the time, at most, for measuring
KEPT = 160  # measurements; then every second one is left out
SAMPLE = 2**14  # activations in a histogram
BINS = 24


class Insight(Callback):
    """Measures, for each layer, how it learns; a notebook draws it beside the learning curves.

    - The size of the gradient: its norm, over all weights of the layer. Where it falls from layer
      to layer, it vanishes (Glorot and Bengio, 2010); where it grows by the step, it explodes.
    - The size of the update over that of the weights: `|after - before| / |before|`, norms both.
      About 0.001 is healthy; much less learns slowly, much more is unstable (Stanford CS231n,
      "Neural Networks Part 3", ratio of weights to updates).
    - The share of dead units: those that give 0 for each sample of the batch, as a ReLU may.
    - A histogram of the activations: what the layer gives, as the next one gets it.

    A layer is a module with weights of its own. Four times a second at most, and in no more than
    2 % of the time, it is measured; several processes measure the first one's part. A network that
    torch.compile has compiled is not looked into: gradients and updates are there, activations not.

    Args:
        every: measure every so many steps, from the first one on; without it, by the clock.

    Attributes:
        rows: a dict for each measurement: the 'step', from 1 on, and 'layers': for each layer, such
            as '1 Linear', a dict with 'gradient', 'update' and 'dead'; None where there is none.
        activations: for each layer its last histogram, a dict with 'low', 'high' and 'counts'.

    Raises:
        ValueError: every is not such a number.

    Example:
        >>> insight = Insight(every=10)
        >>> insight.rows
        []
    """

    state_attributes = ("steps",)
    picture: Any = None  # a class for pictures of it, where there are any: see call.py

    def __init__(self, every: int | None = None) -> None:
        fits = every is None or whole(every, 1)
        expect(fits, "every", every, "an integer of at least 1, or None,")
        self.every = every
        self.steps = 0
        self.rows: list[dict[str, Any]] = []
        self.activations: dict[str, dict[str, Any]] = {}

    def on_train_begin(self, logs: Any = None) -> None:
        self.let_go()
        self.steps = 0
        self.rows, self.activations = [], {}
        self.seen, self.stride = 0, 1  # measurements so far, of which every so many are kept
        self.next_look = 0.0
        self.looks = is_rank_zero()
        named = self.model.network.named_modules()
        self.layers = {
            f"{name} {type(module).__name__}".strip(): module
            for name, module in named
            if any(True for _ in module.parameters(recurse=False))
        }

    def on_train_batch_begin(self, step: int, logs: Any = None) -> None:
        self.steps += 1
        if self.looks and not self.handles and self.is_due():
            self.look()

    def on_train_end(self, logs: Any = None) -> None:
        self.let_go()

    def plot(self) -> Any:
        """Draw what was measured.

        Returns:
            A picture, which a notebook shows; printed, it is the last measurement in words.
            `Path("insight.html").write_text(insight.plot().html)` writes it to a file.

        Raises:
            ValueError: nothing was measured yet.
        """
        if not self.rows:
            raise ValueError(
                "Insight.plot: nothing was measured yet. Give it to a training first: "
                "model.fit(..., callbacks=insight)."
            )
        return self.picture(self)

    def is_due(self) -> bool:
        """Whether this step is one to measure."""
        if self.every is not None:
            return (self.steps - 1) % self.every == 0
        return time.monotonic() >= self.next_look

    # ---- one step is looked at

    handles: tuple[Any, ...] = ()  # of the hooks that look on

    def look(self) -> None:
        """Let hooks look on until the next update."""
        self.given: dict[str, torch.Tensor] = {}  # what each layer gives, as the next one gets it
        self.last: str | None = None  # the layer that ran last
        self.before: dict[nn.Parameter, torch.Tensor] = {}
        self.took = 0.0
        optimizer = self.model.optimizer
        compiled = self.params.get("compile", False)
        modules = {} if compiled else self.layers
        self.handles = (
            optimizer.register_step_pre_hook(self.before_step),
            optimizer.register_step_post_hook(self.after_step),
            *(m.register_forward_pre_hook(self.getting(name)) for name, m in modules.items()),
            *(m.register_forward_hook(self.giving(name)) for name, m in modules.items()),
        )

    def let_go(self) -> None:
        """Remove the hooks, and what they have seen."""
        for handle in self.handles:
            handle.remove()
        self.handles = ()
        self.given, self.before = {}, {}

    def getting(self, name: str) -> Any:
        """A hook that sees what this layer gets: it is what the one before gives."""

        def hook(module: nn.Module, x: Any) -> None:
            if self.last is not None and x and isinstance(x[0], torch.Tensor):
                self.given[self.last] = x[0].detach()

        return hook

    def giving(self, name: str) -> Any:
        """A hook that sees what this layer gives; what follows it may still change that."""

        def hook(module: nn.Module, x: Any, y: Any) -> None:
            first = y[0] if isinstance(y, tuple | list) and y else y
            if isinstance(first, torch.Tensor):
                self.given[name] = first.detach()
            self.last = name

        return hook

    def before_step(self, optimizer: Any, *_: Any) -> None:
        began = time.perf_counter()
        scale = getattr(optimizer, "grad_scale", None)  # a fused step divides by it
        with torch.no_grad():
            learning = {w for group in optimizer.param_groups for w in group["params"]}
            self.scale = 1.0 if scale is None else float(scale)
            weights = {w for m in self.layers.values() for w in m.parameters(recurse=False)}
            self.before = {w: local(w).clone() for w in weights & learning if w.grad is not None}
            self.sizes = {
                name: [norm(own), norm([w.grad for w in own])]
                for name, own in self.own_weights().items()
            }
        self.took += time.perf_counter() - began

    def after_step(self, optimizer: Any, *_: Any) -> None:
        began = time.perf_counter()
        with torch.no_grad():
            changes = {
                name: norm([local(w) - self.before[w] for w in own])
                for name, own in self.own_weights().items()
            }
            self.note(changes)
        self.let_go()
        self.took += time.perf_counter() - began
        self.next_look = time.monotonic() + max(SECONDS, self.took / SHARE)

    def own_weights(self) -> dict[str, list[nn.Parameter]]:
        """Of each layer, the weights that this step changes."""
        return {
            name: [w for w in module.parameters(recurse=False) if w in self.before]
            for name, module in self.layers.items()
        }

    def note(self, changes: dict[str, torch.Tensor]) -> None:
        """Keep one measurement."""
        numbers = [torch.stack([*self.sizes[name], change]) for name, change in changes.items()]
        fetched = torch.stack(numbers).tolist() if numbers else []  # in one go, from a GPU
        layers = {}
        for name, (size, gradient, change) in zip(changes, fetched, strict=True):
            activation = self.given.get(name)
            dead = None if activation is None else dead_share(activation, self.layers[name])
            learned = bool(self.own_weights()[name])
            layers[name] = {
                "gradient": finite(gradient / self.scale) if learned else None,
                "update": finite(change / size) if learned and size else None,
                "dead": dead,
            }
            if histogram := None if activation is None else histogram_of(activation):
                self.activations[name] = histogram
        if self.seen % self.stride == 0:
            self.rows.append({"step": self.steps, "layers": layers})
        self.seen += 1
        if len(self.rows) > KEPT:
            del self.rows[1::2]
            self.stride *= 2


def local(tensor: torch.Tensor) -> torch.Tensor:
    """A tensor without its gradient; of one that is sharded, this process's part."""
    tensor = tensor.detach()
    return tensor.to_local() if hasattr(tensor, "to_local") else tensor


def norm(tensors: Any) -> torch.Tensor:
    """The norm of all their numbers together."""
    parts = [local(t) for t in tensors]
    parts = [t.coalesce().values() if t.is_sparse else t for t in parts]
    norms = [torch.linalg.vector_norm(t if t.is_complex() else t.float()) for t in parts]
    return torch.linalg.vector_norm(torch.stack(norms).float()) if norms else torch.zeros(())


def finite(number: float) -> float | None:
    """The number, if it is one."""
    return number if math.isfinite(number) else None


def dead_share(activation: torch.Tensor, layer: nn.Module) -> float | None:
    """How many of the units give 0 for each sample: of a convolution, its channels are units."""
    if activation.ndim < 2 or not activation.numel():
        return None
    channels = isinstance(layer, nn.modules.conv._ConvNd | nn.modules.batchnorm._BatchNorm)
    unit = 1 if channels or activation.ndim == 2 else activation.ndim - 1
    others = [axis for axis in range(activation.ndim) if axis != unit]
    return float((activation != 0).sum(dim=others).eq(0).float().mean())


def histogram_of(activation: torch.Tensor) -> dict[str, Any] | None:
    """How often the values come, in bins of equal width; of many, of some of them."""
    if activation.is_complex():
        return None
    values = activation.reshape(-1)
    values = values[:: max(1, values.numel() // SAMPLE)].float()
    values = values[values.isfinite()]
    if not values.numel():
        return None
    low, high = float(values.min()), float(values.max())
    if low == high:
        low, high = low - 0.5, high + 0.5
    counts = torch.histc(values.cpu(), BINS, low, high).int().tolist()
    return {"low": low, "high": high, "counts": counts}
