"""Layers whose weights are computed from others: weight_norm, spectral_norm, parametrizations."""

from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch.nn.utils import parametrizations as norms
from torch.nn.utils import parametrize
from torch.nn.utils.spectral_norm import SpectralNorm
from torch.nn.utils.weight_norm import WeightNorm

from tutorial.unroll.source import CannotWriteError, bracketed

if TYPE_CHECKING:
    from tutorial.unroll.script import Script


def reparametrized_code(script: "Script", module: nn.Module, path: str) -> str | None:
    """A call such as nn.utils.parametrizations.weight_norm(nn.Linear(4, 3)).

    Returns:
        None for a layer with weights of its own alone.

    Raises:
        CannotWriteError: the calls do not make it again.
    """
    if parametrize.is_parametrized(module):
        code = parametrized_code(script, module, path)
    elif hook := next((h for h in module._forward_pre_hooks.values() if norm_of(h)), None):
        code = normed_code(script, module, hook, path)
    else:
        return None
    if found := script.difference(code, module, path):
        raise CannotWriteError(found)
    return code


def parametrized_code(script: "Script", module: Any, path: str) -> str:
    """torch.nn.utils.parametrizations: a module for each weight, which computes it."""
    plain = shallow_copy(module, type(module).__bases__[0])
    plain._load_state_dict_pre_hooks = {}  # of weight_norm, which reads older files
    plain._modules = {k: v for k, v in module._modules.items() if k != "parametrizations"}
    plain._parameters = module._parameters | {
        name: nn.Parameter(torch.empty_like(getattr(module, name)))
        for name in module.parametrizations
    }
    code = script.code(plain, path)
    for name, parts in module.parametrizations.items():
        for part in parts:
            function, options = call_of(part)
            if function is parametrize.register_parametrization:
                inner = [code, f'"{name}"', script.code(part, f"{path}.parametrizations.{name}")]
                if parts.unsafe:
                    inner.append("unsafe=True")
            else:
                inner = [code] + ([f'name="{name}"'] if name != "weight" else [])
                inner += [f"{k}={script.code(v, path)}" for k, v in options.items()]
            code = bracketed(f"{script.reference(function)}(", inner, ")")
    return code


def call_of(part: nn.Module) -> tuple[Any, dict[str, Any]]:
    """The function that adds a parametrization, and those of its options that are unusual."""
    own: dict[str, Any] = vars(part)
    match type(part).__name__ if type(part).__module__ == norms.__name__ else "":
        case "_WeightNorm":
            return norms.weight_norm, unusual(dim=(own["dim"], 0))
        case "_SpectralNorm":
            powers, eps = own.get("n_power_iterations", 1), own["eps"]
            return norms.spectral_norm, unusual(
                n_power_iterations=(powers, 1), eps=(eps, 1e-12), dim=(own["dim"], 0)
            )
        case "_Orthogonal":
            which = own["orthogonal_map"].name
            return norms.orthogonal, {"orthogonal_map": which} | (
                {} if "base" in part._buffers else {"use_trivialization": False}
            )
    return parametrize.register_parametrization, {}


def normed_code(script: "Script", module: Any, hook: Any, path: str) -> str:
    """torch.nn.utils.weight_norm and spectral_norm, which compute a weight in a hook."""
    name, (function, options) = hook.name, norm_of(hook)
    own = {f"{name}_{end}" for end in ("g", "v", "orig", "u")}
    plain = shallow_copy(module, type(module))
    vars(plain).pop(name, None)
    plain._parameters = {k: v for k, v in module._parameters.items() if k not in own}
    plain._parameters[name] = nn.Parameter(torch.empty_like(getattr(module, name)))
    plain._buffers = {k: v for k, v in module._buffers.items() if k not in own}
    ours = (type(hook).__name__ + "StateDictHook", type(hook).__name__ + "LoadStateDictPreHook")
    for kind in ("_forward_pre_hooks", "_state_dict_hooks", "_load_state_dict_pre_hooks"):
        hooks = {
            key: other
            for key, other in vars(module)[kind].items()
            if other is not hook and type(getattr(other, "hook", other)).__name__ not in ours
        }
        setattr(plain, kind, hooks)
    inner = [script.code(plain, path)] + ([f'name="{name}"'] if name != "weight" else [])
    inner += [f"{k}={script.code(v, path)}" for k, v in options.items()]
    return bracketed(f"{script.reference(function)}(", inner, ")")


def shallow_copy(module: Any, cls: Any) -> Any:
    """A module of this class with the same parts."""
    made = cls.__new__(cls)
    vars(made).update(vars(module))
    return made


def norm_of(hook: Any) -> Any:
    """The function that adds such a hook, and those of its options that are unusual."""
    if isinstance(hook, WeightNorm):
        return nn.utils.weight_norm, unusual(dim=(hook.dim, 0))
    if isinstance(hook, SpectralNorm):
        return nn.utils.spectral_norm, unusual(
            n_power_iterations=(hook.n_power_iterations, 1),
            eps=(hook.eps, 1e-12),
            dim=(hook.dim, 0),
        )
    return None


def unusual(**options: tuple[Any, Any]) -> dict[str, Any]:
    """Those that are not their default; the default stands beside each."""
    return {name: value for name, (value, default) in options.items() if value != default}
