"""What a run computes, step by step, so that it can be told where two runs first differ.

This file runs where a proof runs, in a fresh process too, and so it imports nothing of `tutorial`.
"""

import hashlib
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.optim.optimizer import (
    register_optimizer_step_post_hook,
    register_optimizer_step_pre_hook,
)

MOST = 100_000  # events that are noted


class Trace:
    """Notes every batch, layer's output, gradient and update: what it is of, and its bits."""

    def __init__(self) -> None:
        self.events: list[tuple[str, Any, str, int]] = []
        self.depth, self.step = 0, 1

    def begin(self) -> None:
        """Note all from here on, of all modules and optimizers of this process."""
        module = nn.modules.module
        module.register_module_forward_pre_hook(self.before_a_module)
        module.register_module_forward_hook(self.after_a_module, always_call=True)
        register_optimizer_step_pre_hook(self.before_a_step)
        register_optimizer_step_post_hook(self.after_a_step)

    def note(self, kind: str, thing: Any, value: Any) -> None:
        """One event."""
        if len(self.events) < MOST:
            self.events.append((kind, thing, digest(value), self.step))

    def before_a_module(self, module: nn.Module, inputs: Any) -> None:
        """The batch with which a network is called; and first of all its state then."""
        if not self.depth:
            for name, value in module.state_dict().items():
                self.note("state", name, value)
            self.note("batch", module, inputs)
        self.depth += 1

    def after_a_module(self, module: nn.Module, inputs: Any, output: Any) -> None:
        """What a layer gives."""
        self.depth -= 1
        self.note("output", module, output)

    def before_a_step(self, optimizer: Any, *_: Any) -> None:
        """The gradients with which an update begins."""
        for weight in weights_of(optimizer):
            self.note("gradient", weight, weight.grad)

    def after_a_step(self, optimizer: Any, *_: Any) -> None:
        """The weights after it."""
        for weight in weights_of(optimizer):
            self.note("update", weight, weight)
        self.step += 1

    def named(self, names: Mapping[str, Any]) -> list[list[Any]]:
        """The events, with names for modules and weights: what two processes can compare."""
        known: dict[int, str] = {}
        for root, value in names.items():
            if isinstance(value, nn.Module):
                inner = "" if root == "network" else f"{root}."
                for name, module in value.named_modules():
                    kind = type(module).__name__
                    known.setdefault(id(module), f"layer {inner}{name} ({kind})" if name else root)
                for name, weight in value.named_parameters():
                    known.setdefault(id(weight), inner + name)
        return [
            [kind, thing if isinstance(thing, str) else known.get(id(thing), "?"), bits, step]
            for kind, thing, bits, step in self.events
        ]


def weights_of(optimizer: Any) -> Iterable[torch.Tensor]:
    """All that it moves."""
    return [weight for group in optimizer.param_groups for weight in group["params"]]


def digest(value: Any) -> str:
    """A fingerprint of all tensors and numbers in a nest."""
    found = hashlib.blake2b(digest_size=8)

    def add(part: Any) -> None:
        if isinstance(part, torch.Tensor):
            found.update(f"{tuple(part.shape)} {part.dtype}".encode())
            found.update(bits(part))
        elif isinstance(part, Mapping):
            for key, item in part.items():
                found.update(str(key).encode())
                add(item)
        elif isinstance(part, list | tuple):
            for item in part:
                add(item)
        elif isinstance(part, bool | int | float | str | None):
            found.update(repr(part).encode())

    add(value)
    return found.hexdigest()


def bits(tensor: torch.Tensor) -> bytes:
    """The tensor's memory."""
    dense = tensor.detach().cpu()
    dense = dense.to_dense() if dense.layout is not torch.strided else dense
    return dense.resolve_conj().flatten().contiguous().view(torch.uint8).numpy().tobytes()


def plain(value: Any) -> Any:
    """Numbers, text and tensors in dicts and lists, which torch.load(weights_only=True) reads."""
    for kind in (bool, int, float, str):  # without classes made from these, such as np.float64
        if isinstance(value, kind):
            return kind(value)
    if value is None:
        return None
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, torch.Tensor):
        return value.detach()
    if isinstance(value, Mapping):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, Iterable):
        return [plain(item) for item in value]
    return type(value).__name__  # its repr may hold its address
