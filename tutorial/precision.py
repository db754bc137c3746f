"""Mixed precision: the forward pass in short numbers, the weights and the sums in long ones."""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import nn

from tutorial.checks import yes_or_no

LEVELS = ("O0", "O1", "O2")

# The options of the loss's scaling: our name, and torch.amp.GradScaler's.
SCALING = {
    "init_loss_scaling": "init_scale",
    "incr_ratio": "growth_factor",
    "decr_ratio": "backoff_factor",
    "incr_every_n_steps": "growth_interval",
}

# What they must be.
EXPECTED: dict[str, tuple[str, Callable[[Any], bool]]] = {
    "init_loss_scaling": ("a number above 0", lambda value: 0 < value < float("inf")),
    "incr_ratio": ("a number above 1", lambda value: 1 < value < float("inf")),
    "decr_ratio": ("a number between 0 and 1", lambda value: 0 < value < 1),
    "incr_every_n_steps": ("a whole number from 1", lambda n: isinstance(n, int) and n >= 1),
}

# For lists of layers, which paddle has.
HINT = (
    " What torch.autocast casts cannot be listed: call such a layer in forward under "
    "torch.autocast(..., enabled=False)."
)

# Layers that sum over many numbers; their few weights stay in float32.
NORMS = (nn.modules.batchnorm._NormBase, nn.LayerNorm, nn.GroupNorm, nn.RMSNorm)


class Precision:
    """How a model computes: as `prepare(amp_configs=...)` says.

    Args:
        configs: None or 'O0': in float32 throughout. 'O1': what gains by it, such as matrix
            products, in short numbers (torch.autocast). 'O2': the network's weights are kept in
            bfloat16 too, but for normalizing layers. Or a dict with the key 'level' ('O1' if left
            out) and any of: 'dtype' ('float16' or 'bfloat16'), 'init_loss_scaling', 'incr_ratio',
            'decr_ratio', 'incr_every_n_steps', 'use_dynamic_loss_scaling'.
        device: where the model is. On a GPU 'O1' means float16, whose gradients are scaled so that
            small ones do not become 0 (torch.amp.GradScaler); on a CPU bfloat16, which needs no
            scaling.

    Raises:
        ValueError: the configs are not that.

    Example:
        >>> Precision("O1", "cpu").dtype
        torch.bfloat16
    """

    def __init__(self, configs: str | Mapping[str, Any] | None = None, device: str = "cpu") -> None:
        options = dict(configs) if isinstance(configs, Mapping) else {"level": configs or "O0"}
        self.level = options.pop("level", "O1")
        self.device_type = device.partition(":")[0]
        if self.level not in LEVELS:
            raise ValueError(
                f"amp_configs: the level is {self.level!r}, but 'O0' (off), 'O1' (mixed) or 'O2' "
                "(weights in bfloat16 too) is expected."
            )
        known = ("dtype", "use_dynamic_loss_scaling", *SCALING)
        unknown = [key for key in options if key not in known]
        if unknown:
            raise ValueError(
                f"amp_configs: {unknown[0]!r} is no key of it; the keys are 'level', "
                f"{', '.join(map(repr, known))}.{HINT if 'custom' in str(unknown[0]) else ''}"
            )
        short = self.device_type == "cuda" and self.level == "O1"
        name = options.pop("dtype", "float16" if short else "bfloat16")
        self.dtype = {"float16": torch.float16, "bfloat16": torch.bfloat16}.get(
            str(name).removeprefix("torch.")
        )
        if self.dtype is None:
            raise ValueError(
                f"amp_configs: the dtype is {name!r}, but 'float16' or 'bfloat16' is expected."
            )
        if self.level == "O2" and self.dtype == torch.float16:
            raise ValueError(
                "amp_configs: level 'O2' keeps the weights themselves in short numbers, and "
                "float16 is too coarse for that. Leave the dtype out (bfloat16), or take 'O1'."
            )
        scaled = self.dtype == torch.float16 or bool(options)
        dynamic = options.pop("use_dynamic_loss_scaling", scaled)
        yes_or_no(**{"amp_configs['use_dynamic_loss_scaling']": dynamic})
        for key, value in options.items():
            expected, fits = EXPECTED[key]
            if isinstance(value, bool) or not isinstance(value, int | float) or not fits(value):
                raise ValueError(f"amp_configs[{key!r}] is {value!r}, but {expected} is expected.")
        wanted = dynamic or bool(options)
        scaling: dict[str, Any] = {SCALING[key]: value for key, value in options.items()}
        if not dynamic:
            scaling["growth_interval"] = 2**31 - 1  # it never grows
        self.scaler: torch.amp.GradScaler | None = None
        if self.level != "O0" and wanted:
            self.scaler = torch.amp.GradScaler(self.device_type, **scaling)

    def autocast(self) -> AbstractContextManager[Any]:
        """What the forward pass runs in."""
        if self.level == "O0":
            return nullcontext()
        return torch.autocast(self.device_type, self.dtype)

    def cast(self, network: nn.Module, optimizer: torch.optim.Optimizer | None) -> None:
        """Bring the network's weights into the type that the level asks for."""
        if self.level != "O2":
            return
        for module in network.modules():
            if not isinstance(module, NORMS):
                for weight in module.parameters(recurse=False):
                    weight.data = weight.data.to(self.dtype)
        if optimizer is not None:  # what it remembers takes the type of its weights
            optimizer.load_state_dict(optimizer.state_dict())
