"""Any object as code: inspect it, rebuild it, compare it with what the code builds."""

import types
import weakref
from collections.abc import Mapping
from functools import partial
from inspect import Parameter, signature
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn

from tutorial.unroll.source import bracketed, is_installed

if TYPE_CHECKING:
    from tutorial.unroll.script import Script

MISSING = object()
PLAIN = (list, tuple, dict, torch.Size)  # collections that are written as they are


class CannotWriteError(Exception):
    """There is no code for an object; the message says why."""


def no_code(value: Any, name: str) -> CannotWriteError:
    """The error for a value that nothing here fits."""
    return CannotWriteError(
        f"there is no plain code for {type(value).__qualname__} objects ({name})"
    )


def object_code(script: "Script", value: Any, name: str) -> str:
    """A call of its class, if its arguments can be found; else an object with its attributes.

    Raises:
        CannotWriteError: neither builds an object like this one.
    """
    cls = type(value)
    if not hasattr(value, "__dict__") or isinstance(value, list | tuple | dict | set):
        raise no_code(value, name)
    reference = script.reference(cls)
    try:
        arguments, keywords, sure = constructor_arguments(value)
        code = script.call(reference, arguments, keywords, name)
        if sure and (is_installed(cls) or cls.__module__.startswith("tutorial.")):
            return code
        if builds(script, code, value):
            return code
    except CannotWriteError:
        pass
    if isinstance(value, nn.Module):
        items = members(script, value, name)
        code = bracketed(f"{script.reference(rebuilt_module)}({reference}, {{", items, "})")
    else:
        code = f"{script.reference(rebuilt)}({reference}, {script.code(vars(value), name)})"
    if not builds(script, code, value):
        raise CannotWriteError(
            f"neither its arguments nor its attributes make a {cls.__name__} again"
        )
    return code


def members(script: "Script", module: nn.Module, name: str) -> list[str]:
    """The items of a dict with all that a module holds: attributes, weights, buffers, modules."""
    script.tool("nn", nn)
    passing = module._non_persistent_buffers_set
    items = {key: script.code(part, f"{name}_{key}") for key, part in attributes(module).items()}
    for key, buffer in module._buffers.items():
        if buffer is not None:
            saved = script.save(buffer.detach(), f"{name}_{key}")
            items[key] = f"nn.Buffer({saved}, persistent={key not in passing})"
    items |= {key: script.code(part, f"{name}_{key}") for key, part in module._modules.items()}
    return [f'"{key}": {code}' for key, code in items.items()]


def builds(script: "Script", code: str, value: Any) -> bool:
    """Whether the expression builds an object like this one."""
    try:
        return same(script.build(code), value)
    except Exception:  # of the user's class, or of comparing what it holds
        return False


# ---- what an object is made of


def constructor_arguments(value: Any) -> tuple[list[Any], dict[str, Any], bool]:
    """The arguments of __init__ that the object keeps under their own names (or with a _ before).

    Returns:
        Positional arguments, keywords, and whether every argument was found; where one was not, its
        default takes its place, which may be wrong.

    Raises:
        CannotWriteError: an argument without a default was not found.
    """
    arguments: list[Any] = []
    keywords: dict[str, Any] = {}
    sure = True
    if type(value).__init__ is object.__init__:
        return [], {}, True  # it takes none
    for name, parameter in signature(type(value).__init__).parameters.items():
        if name == "self":
            continue
        found = [a for a in (f"_{name}", name) if not callable(getattr(type(value), a, None))]
        kept: Any = next((getattr(value, a) for a in found if hasattr(value, a)), MISSING)
        sure = sure and (kept is not MISSING or parameter.kind is Parameter.VAR_KEYWORD)
        kept = parameter.default if kept is MISSING else kept
        if isinstance(parameter.default, bool) and (kept is None or isinstance(kept, torch.Tensor)):
            kept = kept is not None  # bias=True is kept as the bias itself
        kept = _one_number(value, kept)
        if parameter.kind is Parameter.VAR_POSITIONAL:
            arguments += [] if kept is Parameter.empty else kept
        elif parameter.kind is Parameter.VAR_KEYWORD:
            keywords |= kept if isinstance(kept, dict) else {}
        elif kept is Parameter.empty:
            raise CannotWriteError(
                f"{type(value).__name__} does not keep its argument {name}; "
                f"write self.{name} = {name} in its __init__"
            )
        elif parameter.default is Parameter.empty:
            arguments.append(kept)
        elif not same(kept, parameter.default):
            keywords[name] = kept
    return arguments, keywords, sure


def _one_number(owner: Any, value: Any) -> Any:
    """3 for the (3, 3) that PyTorch's convolutions make of a 3."""
    same_all = isinstance(value, tuple) and len(value) > 1 and len(set(map(repr, value))) == 1
    return value[0] if same_all and type(owner).__module__ == "torch.nn.modules.conv" else value


def attributes(module: nn.Module) -> dict[str, Any]:
    """A module's own attributes and parameters: what its class added to an empty module."""
    empty = vars(nn.Module())
    own = {k: v for k, v in vars(module).items() if k not in empty}
    return own | module._parameters


def stateful(names: Mapping[str, Any]) -> list[str]:
    """The names of what has a state to begin from, besides data, metrics and callbacks."""
    kinds = (torch.optim.Optimizer, torch.optim.lr_scheduler.LRScheduler, torch.amp.GradScaler)
    return [n for n, value in names.items() if n == "network" or isinstance(value, kinds)]


# ---- whether two are alike


def is_data(value: Any) -> bool:
    """Whether torch.load(weights_only=True) reads it back."""
    if type(value) is dict:
        return all(is_data(k) and is_data(v) for k, v in value.items())
    if type(value) in PLAIN:
        return all(map(is_data, value))
    return value is None or type(value) in (bool, int, float, str, torch.Tensor)


def same(a: Any, b: Any) -> bool:
    """Whether two objects are alike, apart from the values that a network's state brings."""
    if a is b:
        return True
    if type(a).__name__ != type(b).__name__:
        return False
    match a:
        case nn.Parameter():
            return bool(a.shape == b.shape)
        case torch.Tensor():
            return a.dtype == b.dtype and torch.equal(a, b)
        case np.ndarray():
            return a.dtype == b.dtype and np.array_equal(a, b)
        case nn.Module():
            return same(comparable(a), comparable(b))
        case dict():
            return a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
        case list() | tuple():
            return len(a) == len(b) and all(map(same, a, b))
        case type() | types.FunctionType() | types.MethodType():
            return bool(a.__name__ == b.__name__)  # one of them is a copy
        case partial():
            return same((a.func, a.args, a.keywords), (b.func, b.args, b.keywords))
        case weakref.ref():  # nn.LSTM keeps some to its own weights
            return True
        case _ if hasattr(a, "__dict__"):
            return same(vars(a), vars(b))
        case _:
            return bool(a == b)


def comparable(module: nn.Module) -> dict[str, Any]:
    """All that two like modules must have in common."""
    hooks = [list(hook.values()) for key, hook in vars(module).items() if key.endswith("_hooks")]
    passing = module._non_persistent_buffers_set
    buffers = {k: v for k, v in module._buffers.items() if v is not None}
    return {
        "": hooks,
        **{k: v for k, v in attributes(module).items() if v is not None},
        **{k: v if k in passing else v.shape for k, v in buffers.items()},
        **module._modules,
    }


# ---- a script holds a copy of these functions where it needs one


def rebuilt(cls: Any, attributes: dict[str, Any]) -> Any:
    """An object of the class with these attributes, made without calling its __init__."""
    made = cls.__new__(cls)
    vars(made).update(attributes)
    return made


def rebuilt_module(cls: Any, members: dict[str, Any]) -> Any:
    """A module of the class with these members, made without calling its __init__."""
    made = cls.__new__(cls)
    nn.Module.__init__(made)
    for name, value in members.items():
        setattr(made, name, value)
    return made
