"""Any object as code: inspect it, rebuild it, compare it with what the code builds."""

import copyreg
from collections.abc import Mapping
from contextlib import suppress
from inspect import Parameter, signature
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from tutorial.loop.names import key_code
from tutorial.unroll.alike import MISSING, OF_EVERY_MODULE, Comparison, hides, slot, slots
from tutorial.unroll.source import CannotWriteError, bracketed, home, is_installed
from tutorial.unroll.standard import named

if TYPE_CHECKING:
    from tutorial.unroll.script import Script

PLAIN = (list, tuple, dict, torch.Size)  # collections that are written as they are


def no_code(value: Any, path: str) -> CannotWriteError:
    """The error for a value that nothing here fits."""
    return CannotWriteError(f"{path} is {named(value)}, which has no plain code; supply it")


def object_code(script: "Script", value: Any, path: str) -> str:
    """A call of its class, if its arguments can be found; else an object with its attributes.

    Raises:
        CannotWriteError: neither builds an object like this one.
    """
    cls = type(value)
    if is_installed(cls) and home(cls) is None:  # such as a lock
        raise no_code(value, path)
    reference = script.reference(cls)
    difference: str | None = None
    for arguments in (constructor_arguments, no_arguments, items_of, recipe_of):
        try:
            with script.attempt():
                code = script.call(*arguments(script, reference, value), path)
                difference = script.difference(code, value, path)
                if difference is None:
                    return code
                raise CannotWriteError(difference)
        except CannotWriteError:
            pass
    if hides(cls) or not (hasattr(value, "__dict__") or slots(cls)):
        raise no_code(value, path)
    if isinstance(value, nn.Module):
        code = members_code(script, value, reference, path)
    else:
        own = vars(value) if hasattr(value, "__dict__") else {}
        filled = {key: slot(value, key) for key in slots(cls)}
        own = own | {key: part for key, part in filled.items() if part is not MISSING}
        items = [
            f"{key_code(key)}: {script.code(part, f'{path}.{key}')}" for key, part in own.items()
        ]
        code = f"{script.reference(rebuilt)}({reference}, {bracketed('{', items, '}')})"
    if found := script.difference(code, value, path):
        raise CannotWriteError(f"{found}: neither its arguments nor its attributes make it again")
    return code


def members_code(script: "Script", module: nn.Module, cls: str, path: str) -> str:
    """A module made of all that it holds: attributes, weights, buffers, modules."""
    script.tool("nn", nn)
    passing = module._non_persistent_buffers_set
    own = attributes(module)
    if "forward" in own and getattr(own["forward"], "__self__", None) is module:
        raise CannotWriteError(f"{path}.forward was replaced; write it in the class instead")
    items = {key: script.code(part, f"{path}.{key}") for key, part in own.items()}
    for key, buffer in module._buffers.items():
        if buffer is not None:
            saved = script.save(buffer.detach(), f"{path}.{key}")
            items[key] = f"nn.Buffer({saved}, persistent={key not in passing})"
    items |= {key: script.code(part, f"{path}.{key}") for key, part in module._modules.items()}
    parts = bracketed("{", [f"{key_code(key)}: {code}" for key, code in items.items()], "}")
    none = [key for key, buffer in module._buffers.items() if buffer is None]
    rest = f", {script.code(none, path)}" if none else ""
    return f"{script.reference(rebuilt_module)}({cls}, {parts}{rest})"


# ---- what an object is made of


def constructor_arguments(
    script: "Script", reference: str, value: Any, first: Any = MISSING
) -> tuple[str, list[Any], dict[str, Any]]:
    """A call of its class, with the arguments that the object keeps under their own names.

    One kept with a _ before its name counts, too; of one that is not kept, the default is taken,
    which may be wrong: so what it builds is compared with the object. `first` is the first one, if
    it is known from elsewhere.

    Raises:
        CannotWriteError: an argument without a default was not found.
    """
    arguments: list[Any] = []
    keywords: dict[str, Any] = {}
    for place, (name, parameter) in enumerate(parameters_of(type(value)).items()):
        kept = kept_argument(value, name)
        kept = first if kept is MISSING and place == 0 else kept
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
        elif parameter.default is Parameter.empty and parameter.kind is not Parameter.KEYWORD_ONLY:
            arguments.append(kept)
        elif parameter.default is Parameter.empty or not same(kept, parameter.default):
            keywords[name] = kept
    return reference, arguments, keywords


def no_arguments(
    script: "Script", reference: str, value: Any
) -> tuple[str, list[Any], dict[str, Any]]:
    """A call of its class without any: an argument may be kept as something else."""
    return reference, [], {}


def parameters_of(cls: type) -> dict[str, Parameter]:
    """What the constructor of a class takes.

    Raises:
        CannotWriteError: it does not tell.
    """
    init: Any = cls.__init__  # type: ignore[misc]
    if init is object.__init__ and cls.__new__ is object.__new__:  # type: ignore[comparison-overlap]
        return {}
    if cls in (nn.LSTM, nn.GRU, nn.RNN):
        init = nn.RNNBase.__init__
    try:
        parameters = dict(signature(init if init is not object.__init__ else cls).parameters)
    except (TypeError, ValueError) as error:
        raise CannotWriteError(str(error)) from error
    if init is nn.RNNBase.__init__:  # the three have no names for their own arguments
        del parameters["mode"]
        if cls is nn.RNN:
            parameters["nonlinearity"] = Parameter(
                "nonlinearity", Parameter.KEYWORD_ONLY, default="tanh"
            )
    if init is not object.__init__:
        parameters.pop("self", None)
    return parameters


def kept_argument(value: Any, name: str) -> Any:
    """What an object keeps of an argument of its constructor."""
    for place in (f"_{name}", name):
        if not callable(getattr(type(value), place, None)):
            with suppress(Exception):  # the user's own __getattr__ may raise any
                return getattr(value, place)
    return MISSING


def items_of(script: "Script", reference: str, value: Any) -> tuple[str, list[Any], dict[str, Any]]:
    """A call of its class with what it holds: a class made from dict, list, str, float ...

    Raises:
        CannotWriteError: it is none of these.
    """
    kinds: tuple[Any, ...] = (dict, list, tuple, set, frozenset, str, float, int, bytes)
    for kind in kinds:
        if isinstance(value, kind):
            return reference, [kind(value)], {}
    taken = parameters_of(type(value)).values()
    own = vars(value) if hasattr(value, "__dict__") else {}
    open_to_all = any(parameter.kind is Parameter.VAR_KEYWORD for parameter in taken)
    if open_to_all and all(map(str.isidentifier, own)) and not isinstance(value, nn.Module):
        return reference, [], own
    raise CannotWriteError("it holds no items")


def recipe_of(
    script: "Script", reference: str, value: Any
) -> tuple[str, list[Any], dict[str, Any]]:
    """The call with which it says that it can be made again, such as itemgetter(1).

    Raises:
        CannotWriteError: it says none, or needs more than a call.
    """
    if not hides(type(value)) and hasattr(value, "__dict__"):
        raise CannotWriteError("its attributes tell all")
    try:
        function, arguments, *rest = value.__reduce_ex__(2)
    except Exception as error:
        raise CannotWriteError(str(error)) from error
    if any(part is not None for part in rest) or function is copyreg.__newobj__:  # type: ignore[attr-defined]
        raise CannotWriteError("it has a state besides")
    if function is not type(value) and home(function) is None:
        raise CannotWriteError("it is made by a private function")
    return script.reference(function), list(arguments), {}


def _one_number(owner: Any, value: Any) -> Any:
    """3 for the (3, 3) that PyTorch's convolutions make of a 3."""
    same_all = isinstance(value, tuple) and len(value) > 1 and len(set(map(repr, value))) == 1
    return value[0] if same_all and type(owner).__module__ == "torch.nn.modules.conv" else value


def attributes(module: nn.Module) -> dict[str, Any]:
    """A module's own attributes and parameters: what its class added to an empty module."""
    own = {k: v for k, v in vars(module).items() if k not in OF_EVERY_MODULE and k != "training"}
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
    return value is None or type(value) in (bool, int, float, str, bytes, torch.Tensor)


def same(a: Any, b: Any) -> bool:
    """Whether two objects are alike."""
    return Comparison({}).alike(a, b)


# ---- a script holds a copy of these functions where it needs one


def rebuilt(cls: Any, attributes: dict[str, Any]) -> Any:
    """An object of the class with these attributes, made without calling its __init__."""
    made = cls.__new__(cls)
    for name, value in attributes.items():
        object.__setattr__(made, name, value)
    return made


def rebuilt_module(cls: Any, members: dict[str, Any], no_buffers: Any = ()) -> Any:
    """A module of the class with these members, made without calling its __init__."""
    made = cls.__new__(cls)
    nn.Module.__init__(made)
    for name in no_buffers:
        made.register_buffer(name, None)
    for name, value in members.items():
        setattr(made, name, value)
    return made
