"""Mixed precision: the forward pass in 16 bits; weights and reductions in float32."""

from contextlib import AbstractContextManager, nullcontext
from typing import Annotated, Literal

import torch
from torch import nn

from tutorial.parameters import Says

PrecisionName = Annotated[
    Literal["32", "bf16-mixed", "16-mixed", "bf16"],
    Says(
        "'32' (off), 'bf16-mixed' (autocast to bfloat16), '16-mixed' (autocast to float16, with a "
        "GradScaler) or 'bf16' (weights in bfloat16, too)"
    ),
]

# The type in which the forward pass computes.
DTYPES = {
    "32": torch.float32,
    "bf16-mixed": torch.bfloat16,
    "16-mixed": torch.float16,
    "bf16": torch.bfloat16,
}

# Layers that reduce over many values; their few weights stay in float32.
NORMS = (nn.modules.batchnorm._NormBase, nn.LayerNorm, nn.GroupNorm, nn.RMSNorm)


class Precision:
    """How a model computes: as `prepare(precision=...)` says.

    Args:
        name: '32': in float32 throughout. 'bf16-mixed': what gains by it, such as matrix products,
            in bfloat16 (torch.autocast). '16-mixed': the same in float16; its gradients are scaled,
            so that small ones do not become 0 (torch.amp.GradScaler). 'bf16': as 'bf16-mixed', and
            the weights are bfloat16 too, but for normalization layers.
        device: where the model is.

    Attributes:
        dtype: the type in which the forward pass computes.
        mixed: whether it runs under torch.autocast.
        scaler: the GradScaler, if the gradients are scaled.

    Example:
        >>> Precision("bf16-mixed", "cpu").dtype
        torch.bfloat16
    """

    def __init__(self, name: PrecisionName = "32", device: str = "cpu") -> None:
        self.name, self.dtype = name, DTYPES[name]
        self.mixed = self.dtype is not torch.float32
        self.device_type = device.partition(":")[0]
        self.scaler: torch.amp.GradScaler | None = None
        if self.dtype is torch.float16:
            self.scaler = torch.amp.GradScaler(self.device_type)

    def autocast(self) -> AbstractContextManager[object]:
        """The context of the forward pass."""
        return torch.autocast(self.device_type, self.dtype) if self.mixed else nullcontext()

    def cast(self, network: nn.Module, optimizer: torch.optim.Optimizer | None) -> None:
        """Cast the weights to bfloat16, if the precision is 'bf16'."""
        if self.name != "bf16":
            return
        for module in network.modules():
            if not isinstance(module, NORMS):
                for weight in module.parameters(recurse=False):
                    weight.data = weight.data.to(self.dtype)
        if optimizer is not None:  # its state takes the type of the weights
            optimizer.load_state_dict(optimizer.state_dict())
