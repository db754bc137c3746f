"""Hooks: written out, a network calls nobody, so that those of a user would be left out."""

from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import nn
from torch.nn.modules import module as of_all

from tutorial.depth.trace import CannotTraceError

OF_MODULES = (
    "_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks",
)  # fmt: skip
OF_WEIGHTS = ("_backward_hooks", "_post_accumulate_grad_hooks")


def refuse_hooks(network: nn.Module, losses: Mapping[str, Any]) -> None:
    """Refuse hooks of a user's, and networks that are no Python code.

    Raises:
        CannotTraceError: there is one.
    """
    parts = {"network": network} | {k: v for k, v in losses.items() if isinstance(v, nn.Module)}
    for variable, whole in parts.items():
        for path, module in whole.named_modules():
            if isinstance(module, torch.jit.ScriptModule):
                raise CannotTraceError(f"{said(variable, path)} is TorchScript, no Python code")
            if any(of_users(module, OF_MODULES)):
                raise CannotTraceError(
                    f"{said(variable, path)} has a hook, which nobody would call. Put its lines "
                    "into forward"
                )
        for path, weight in whole.named_parameters():
            if any(of_users(weight, OF_WEIGHTS)):
                raise CannotTraceError(
                    f"{said(variable, path)} has a hook, which nobody would call. Put its lines "
                    "into a callback"
                )
    if any(getattr(of_all, f"_global{name}", None) for name in OF_MODULES):
        raise CannotTraceError("there is a hook of all modules, which nobody would call. Remove it")


def of_users(part: Any, kinds: tuple[str, ...]) -> Iterator[Any]:
    """The hooks of a module or a weight that are not torch's own, as spectral_norm's is."""
    for kind in kinds:
        for hook in (getattr(part, kind, None) or {}).values():
            owner = getattr(hook, "__module__", None) or type(hook).__module__
            if not owner.startswith("torch."):
                yield hook


def said(variable: str, path: str) -> str:
    """network.0.weight."""
    return f"{variable}.{path}" if path else variable
