"""Networks as code: layers as one writes them, and what their constructors do not say."""

from collections import OrderedDict
from collections.abc import Iterator
from itertools import chain
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from tutorial.loop.names import key_code
from tutorial.unroll.alike import OF_EVERY_MODULE
from tutorial.unroll.objects import object_code
from tutorial.unroll.reparametrized import norm_of, reparametrized_code
from tutorial.unroll.source import CannotWriteError, bracketed

if TYPE_CHECKING:
    from tutorial.unroll.script import Script

CONTAINERS = (nn.Sequential, nn.ModuleList, nn.ModuleDict)


def network_lines(script: "Script", network: nn.Module) -> tuple[str, list[str]]:
    """An expression for the network, all but its weights' values; and the lines that mend it.

    Raises:
        CannotWriteError: what the expression builds differs from the network.
    """
    own = dict(network.named_parameters())
    script.weights |= {
        id(weight): f"network.get_parameter({key_code(name)})" for name, weight in own.items()
    }
    script.loads_state = script.hooks_later = True  # of the whole network, afterwards
    try:
        code = script.code(network, "network")
    finally:
        script.loads_state = script.hooks_later = False
    # Weights and buffers of one type are cast together; of weights alone, each is cast, below.
    tensors = chain(own.values(), network.buffers())
    dtypes = {t.dtype for t in tensors if t.is_floating_point() or t.is_complex()}
    if len(dtypes) == 1 and dtypes != {torch.float32}:
        code += f".to({dtypes.pop()})"
    built = script.build(code)
    if list(built.state_dict()) != list(network.state_dict()):
        raise CannotWriteError("its weights have another order")
    there = dict(built.named_parameters())
    lines = [
        for_each(
            [name for name, weight in own.items() if weight.dtype == dtype != there[name].dtype],
            f"weight.data = weight.data.to({dtype})",
        )
        for dtype in dict.fromkeys(weight.dtype for weight in own.values())
    ]
    if buffer_dtypes(built) != buffer_dtypes(network):
        raise CannotWriteError("its buffers have another type")
    if (device := next(chain(own.values(), [torch.empty(0)])).device).type != "cpu":
        code += f'.to("{device}")'
    lines += tied(built, network)
    for trainable in (False, True):
        names = [
            name
            for name, weight in own.items()
            if weight.requires_grad == trainable != there[name].requires_grad
        ]
        lines.append(for_each(names, f"weight.requires_grad_({trainable})"))
    lines += hook_lines(script, network)
    lines += [
        f"{member(name)}.compile()" if name else "network.compile()"
        for name, module in network.named_modules()
        if "_compiled_call_impl" in vars(module)
    ]
    return code, list(filter(None, lines))


def module_code(script: "Script", module: nn.Module, path: str) -> str:
    """A module inside a network, whose state is loaded with it; or one with a state of its own."""
    if script.loads_state:
        return layer_code(script, module, path)
    script.loads_state = True
    try:
        code = layer_code(script, module, path)
    finally:
        script.loads_state = False
    if not module.training:
        code += ".eval()"
    weights, built = dict(module.named_parameters()), script.build(code)
    dtypes = {weight.dtype for weight in weights.values()}
    if len(dtypes) == 1 and dtypes != {weight.dtype for weight in built.parameters()}:
        code += f".to({dtypes.pop()})"
    trained = dict(built.named_parameters())
    frozen = [name for name, weight in weights.items() if not weight.requires_grad]
    if frozen != [name for name, weight in trained.items() if not weight.requires_grad]:
        if len(frozen) == len(weights):
            code += ".requires_grad_(False)"
        else:
            code = f"{script.reference(with_frozen)}({code}, {script.code(frozen, path)})"
    if modes(built) != modes(module):
        changed = {name: mode for name, mode in modes(module).items() if mode != modes(built)[name]}
        code = f"{script.reference(in_modes)}({code}, {script.code(changed, path)})"
        built = script.build(code)
    if script.compare(built, module, path) is None:
        return code
    state = script.code(dict(module.state_dict()), f"{path}.state")
    code = f"{script.reference(restored)}({code}, {state})"
    if found := script.compare(script.build(code), module, path):
        raise CannotWriteError(found)
    return code


def layer_code(script: "Script", module: Any, path: str) -> str:
    """A module all but its state: containers as one writes them, others as objects."""
    if hasattr(module, "_orig_mod"):  # torch.compile has wrapped it
        return f"torch.compile({layer_code(script, module._orig_mod, path)}{backend(module)})"
    if code := reparametrized_code(script, module, path):
        return code
    if not script.hooks_later:
        refuse_hooks(module, path)
    plain = vars(module).keys() <= OF_EVERY_MODULE | {"training"}
    if type(module) in CONTAINERS and plain:
        return container_code(script, module, path)
    return object_code(script, module, path)


def backend(module: Any) -> str:
    """The argument of torch.compile that says which compiler, if it is not the usual one."""
    compiler = module.dynamo_ctx.callback
    while inner := getattr(compiler, "_torchdynamo_orig_backend", None):
        compiler = inner
    name = getattr(compiler, "_compiler_name", None) or getattr(compiler, "compiler_name", None)
    return "" if name in (None, "inductor") else f', backend="{name}"'


def refuse_hooks(module: nn.Module, path: str) -> None:
    """Refuse what a hook would do besides."""
    if any(vars(module)[kind] for kind in HOOKS):
        raise CannotWriteError(
            f"{path}, {type(module).__name__}, has hooks, which have no plain code; "
            "do in its forward what they do"
        )
    refuse_hooks_of_weights(module, path)


HOOKS = {  # where a module keeps its hooks, and how they get there
    "_forward_pre_hooks": "register_forward_pre_hook",
    "_forward_hooks": "register_forward_hook",
    "_backward_pre_hooks": "register_full_backward_pre_hook",
    "_backward_hooks": "register_full_backward_hook",
}


def hook_lines(script: "Script", network: nn.Module) -> list[str]:
    """The lines that register the hooks of its layers, where these are functions with a name."""
    lines = []
    for name, module in network.named_modules():
        place = f"network.get_submodule({key_code(name)})" if name else "network"
        for kind, register in HOOKS.items():
            for key, hook in vars(module)[kind].items():
                if norm_of(hook):  # its layer is written as a call that adds it
                    continue
                try:
                    code = script.code(hook, f"{place}'s hook")
                except CannotWriteError as error:
                    raise CannotWriteError(
                        f"{place} has hooks without plain code: {error}"
                    ) from None
                with_kwargs = key in vars(module).get(f"{kind}_with_kwargs", ())
                lines.append(f"{place}.{register}({code}{', with_kwargs=True' * with_kwargs})")
        refuse_hooks_of_weights(module, place)
    return lines


def refuse_hooks_of_weights(module: nn.Module, path: str) -> None:
    """Refuse what a hook of a weight would do."""
    for name, weight in module._parameters.items():
        if weight is not None and (
            weight._backward_hooks or getattr(weight, "_post_accumulate_grad_hooks", None)
        ):
            raise CannotWriteError(f"{path}.{name} has hooks, which have no plain code")


def container_code(script: "Script", module: Any, path: str) -> str:
    """A container of layers, as one writes it."""
    layers: dict[str, nn.Module] = module._modules
    cls, kind = script.reference(type(module)), type(module)
    numbered = kind is not nn.ModuleDict and list(layers) == [str(i) for i in range(len(layers))]
    if numbered and kind is nn.Sequential:
        return script.call(cls, layers.values(), {}, path)
    code = script.collection(list(layers.values()) if numbered else dict(layers), path)
    if kind is nn.Sequential:
        code = f"{script.reference(OrderedDict)}({code})"
    return f"{cls}({code})"


def restored(module: Any, state: dict[str, Any]) -> Any:
    """The module with these weights. A script holds a copy of this function where it needs one."""
    module.load_state_dict(state)
    return module


def in_modes(module: Any, modes: dict[str, bool]) -> Any:
    """The module, some of its parts in training mode or not. A script holds a copy where needed."""
    for name, training in modes.items():
        module.get_submodule(name).training = training
    return module


def with_frozen(module: Any, names: list[str]) -> Any:
    """The module, of whose weights these are not trained. A script holds a copy where needed."""
    for name, weight in module.named_parameters():
        weight.requires_grad_(name not in names)
    return module


# ---- what a constructor does not say


def modes(module: nn.Module) -> dict[str, bool]:
    """Of each of its modules, whether it is in training mode."""
    return {name: part.training for name, part in module.named_modules()}


def buffer_dtypes(module: nn.Module) -> dict[str, torch.dtype]:
    """The type of each buffer in its state."""
    weights = dict(module.named_parameters(remove_duplicate=False))
    state = module.state_dict().items()
    return {name: t.dtype for name, t in state if name not in weights and hasattr(t, "dtype")}


def tied(built: nn.Module, network: nn.Module) -> Iterator[str]:
    """The lines that tie weights (and buffers) of which the network has one under two names."""
    first: dict[int, str] = {}
    there = dict(tensors(built))
    for name, tensor in tensors(network):
        known = first.setdefault(id(tensor), name)
        if there[name] is not there[known]:
            yield f"{member(name)} = {member(known)}"


def tensors(module: nn.Module) -> Iterator[tuple[str, torch.Tensor]]:
    """Its weights and buffers, each under all its names."""
    yield from module.named_parameters(remove_duplicate=False)
    yield from module.named_buffers(remove_duplicate=False)


def member(name: str) -> str:
    """An expression for a tensor of the network: network.get_submodule("0").weight."""
    layer, _, last = name.rpartition(".")
    return f"network.get_submodule({key_code(layer)}).{last}" if layer else f"network.{last}"


def weights_named(names: list[str]) -> str:
    """A list of these weights of the network."""
    return bracketed("[", [f"network.get_parameter({key_code(name)})" for name in names], "]")


def for_each(names: list[str], line: str) -> str:
    """A loop over these weights of the network; nothing where there are none."""
    return f"for weight in {weights_named(names)}:\n    {line}" if names else ""
