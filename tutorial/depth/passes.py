"""One pass over a few samples, on copies of network and losses: what is traced of a loop."""

import ast
import copy
import random
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from tutorial.depth.segments import Segment, results_of
from tutorial.depth.trace import CannotTraceError, Traced, Watch, record, tensors_in
from tutorial.device import unchanged_randomness, unchanged_settings
from tutorial.inputs.structure import code, leaves


def copies_of(network: nn.Module, losses: Mapping[str, Any]) -> tuple[nn.Module, dict[str, Any]]:
    """Copies to run on.

    Raises:
        CannotTraceError: there are none.
    """
    try:
        return copy.deepcopy((network, dict(losses)))
    except (RuntimeError, TypeError) as error:
        raise CannotTraceError(
            "copy.deepcopy fails for the network or a loss, so nothing can be tried on a copy. "
            "torch's older weight_norm and prune do so; torch.nn.utils.parametrizations do not"
        ) from error


@dataclass
class Pass:
    """A traced pass.

    Attributes:
        traced: the operations.
        inputs: code for each of the graph's inputs.
        size: how many samples it had.
        structures: of results that hold several tensors, how; Tensor stands for each.
    """

    traced: Traced
    inputs: list[str]
    size: int
    structures: dict[str, Any]


def trace(
    segment: Segment,
    network: nn.Module,
    losses: Mapping[str, Any],
    names: dict[str, Any],
    size: int,
) -> Pass:
    """Run a segment on copies of network and losses while its operations are recorded."""
    network, losses = copies_of(network, losses)
    network.train(segment.learns)
    modules = {"network": network} | {k: v for k, v in losses.items() if isinstance(v, nn.Module)}
    states = {
        (variable, path): tensor.detach()
        for variable, module in modules.items()
        for path, tensor in [*module.named_parameters(), *module.named_buffers()]
    }
    given: dict[str, Any] = {}
    exec(segment.given, {"torch": torch, **losses, **names}, given)
    parts = {path: part for path, part in leaves((), names) if isinstance(part, Tensor)}
    if segment.counted:  # whatever the network says of itself, a number is as good as another
        here = computed(segment.code, segment, network, losses, names)
        given |= {name: here[name] for name in results_of(segment.counted)}
    numbers = {k: torch.tensor(float(v)) for k, v in given.items()}
    learning = [
        key for key, tensor in states.items()
        if dict(modules[key[0]].named_parameters()).get(key[1], tensor).requires_grad
        and key[1] in dict(modules[key[0]].named_parameters())
    ]  # fmt: skip
    structures: dict[str, Any] = {}
    code_lines = compile(segment.lines, "<segment>", "exec")

    def run(watch: Any, tensors: list[Tensor]) -> dict[str, Tensor]:
        here = dict(zip([*states, *parts, *numbers], tensors, strict=True))
        state = {key: here[key] for key in states}
        # Also where nothing is learned: torch may choose by it how to multiply.
        state |= {key: state[key].detach().requires_grad_() for key in learning}
        of_batch = iter([here[path] for path in parts])
        values = mapped(lambda p: next(of_batch) if isinstance(p, Tensor) else p, names)
        space: dict[str, Any] = {"torch": torch, "nn": nn, **losses, **values}
        space |= {key: here[key] for key in numbers}
        for variable, module in modules.items():
            own = {path: state[variable, path] for v, path in states if v == variable}
            space[variable] = partial(called, module, own)
        space["network"] = partial(through, watch, space["network"])
        for variable, weight in segment.weights:
            space[variable] = partial(perhaps_nothing, watch, weight, space[variable])
        with torch.set_grad_enabled(segment.learns), casts_kept():
            exec(code_lines, space)
            found: dict[str, Tensor] = {}
            for name in results_of(segment.lines):
                result = space[name]
                if name in numbers:  # it is made a number of
                    found[f"{name}@item"], space[name] = result, here[name]
                elif isinstance(result, Tensor):
                    found[name] = result
                elif not is_plain(result):
                    raise CannotTraceError(
                        f"the network returns {type(result).__name__}, but tensors, or tuples, "
                        "lists and dicts of tensors, are expected"
                    )
                else:
                    structures[name] = mapped(kind_of_leaf, result)
                    found |= {f"{name}@{i}": part for i, part in enumerate(tensors_in(result))}
            if segment.learned_from is not None:
                total = eval(segment.learned_from, space)
                watch.owns("loss", total)
                weights = [state[key] for key in learning]
                gradients = torch.autograd.grad(total, weights, allow_unused=True)
                found |= {
                    f"d {variable} {path}": gradient
                    for (variable, path), gradient in zip(learning, gradients, strict=True)
                    if gradient is not None
                }
        return {name: tensor.detach() for name, tensor in found.items()}

    watched = dict(network.named_modules())
    before = attributes(modules), random.getstate(), repr(np.random.get_state())
    with unchanged_randomness(), one_by_one(network):
        traced = record(run, watched, [*states.values(), *parts.values(), *numbers.values()])
        refuse_hidden_state(modules, *before)
    inputs = [f"{variable} {path}" for variable, path in states]
    return Pass(traced, [*inputs, *map(str, map(code, parts)), *numbers], size, structures)


def is_plain(result: Any) -> bool:
    """Whether a result is made of dicts, lists, tuples and tensors alone."""
    if type(result) is dict:
        return all(map(is_plain, result.values()))
    if type(result) in (list, tuple):
        return all(map(is_plain, result))
    return isinstance(result, Tensor | int | float | str | None)


def kind_of_leaf(part: Any) -> Any:
    """Tensor for a tensor; anything else as it is."""
    return Tensor if isinstance(part, Tensor) else part


OF_TORCH = vars(nn.Module()).keys()  # its weights, buffers, modules and hooks


def attributes(modules: Mapping[str, nn.Module]) -> dict[str, Any]:
    """What tells whether the attributes of modules have changed; torch's own keep buffers."""
    return {
        f"{variable}.{path}.{name}".replace("..", "."): seen(value)
        for variable, whole in modules.items()
        for path, module in whole.named_modules()
        if not type(module).__module__.startswith("torch.")
        for name, value in vars(module).items()
        if name not in OF_TORCH
    }


def seen(value: Any) -> Any:
    """A number or string as it is; of a tensor, whether it is the same one, and unchanged."""
    if isinstance(value, Tensor):
        return f"tensor {id(value)}, changed {value._version} times"
    if isinstance(value, list | tuple):
        return [*map(seen, value)]
    if isinstance(value, Mapping):
        return {key: seen(part) for key, part in value.items()}
    return value if isinstance(value, int | float | str | bool | None) else type(value)


def refuse_hidden_state(
    modules: Mapping[str, nn.Module], before: dict[str, Any], python: Any, numpy: str
) -> None:
    """Refuse a forward that does not only depend on the batch, weights and torch's random state.

    Raises:
        CannotTraceError: it changed an attribute, or drew a random number of Python or NumPy.
    """
    for name, value in attributes(modules).items():
        if name not in before or value != before[name]:
            raise CannotTraceError(
                f"forward changes {name}, which would stay as it is, written out. Make it a "
                "buffer that is changed in place: self.register_buffer(...), self.x.copy_(...)"
            )
    if random.getstate() != python or repr(np.random.get_state()) != numpy:
        raise CannotTraceError(
            "forward draws from Python's random or NumPy's, so another batch may take another "
            "way; torch.rand would be a line"
        )


def computed(
    code: str,
    segment: Segment,
    network: nn.Module,
    losses: Mapping[str, Any],
    space: dict[str, Any],
) -> dict[str, Any]:
    """What some lines compute on copies: results, gradients, state, the next random number.

    Args:
        code: the segment's lines, or those that are written out.
        segment: the segment.
        network: the network.
        losses: the losses, by their variables.
        space: what else the lines name.
    """
    network, losses = copies_of(network, losses)
    network.train(segment.learns)
    modules = [network, *(loss for loss in losses.values() if isinstance(loss, nn.Module))]
    here: dict[str, Any] = {"torch": torch, "nn": nn, "network": network, **losses, **space}
    with unchanged_randomness(), one_by_one(network), torch.set_grad_enabled(segment.learns):
        exec(code, here)
        found = {name: here[name] for name in results_of(segment.lines)}
        after = [*(module.state_dict() for module in modules), torch.rand(1)]
    gradients = {path: weight.grad for path, weight in network.named_parameters()}
    return {"gradient": gradients, **found, "state": after}


def called(module: nn.Module, state: dict[str, Tensor], *args: Any, **kwargs: Any) -> Any:
    """A module with other weights and buffers."""
    return torch.func.functional_call(module, state, args, kwargs)


def settings_for(network: nn.Module) -> str:
    """The lines without which some layers of the network would be one operation for many."""
    lines = ""
    if any(isinstance(module, nn.LSTM) for module in network.modules()):
        lines += "torch.backends.mkldnn.enabled = False  # else an LSTM is one operation\n"
    attention = (nn.MultiheadAttention, nn.TransformerEncoderLayer)
    if any(isinstance(module, attention) for module in network.modules()):
        lines += (
            "torch.backends.mha.set_fastpath_enabled(False)  # else attention is one operation\n"
        )
    return lines


@contextmanager
def one_by_one(network: nn.Module) -> Iterator[None]:
    """With these settings."""
    with unchanged_settings():
        exec(settings_for(network), {"torch": torch})
        yield


@contextmanager
def casts_kept() -> Iterator[None]:
    """Autocast casts a weight once for all that read it, as it does when nothing is recorded."""
    before = torch.is_autocast_cache_enabled()
    torch.set_autocast_cache_enabled(True)
    try:
        yield
    finally:
        torch.clear_autocast_cache()
        torch.set_autocast_cache_enabled(before)


def perhaps_nothing(
    watch: Watch, weight: str, loss_fn: Callable[..., Any], y_hat: Tensor, *labels: Any
) -> Any:
    """One of several losses, which may have nothing to learn from: where its weight is 0."""
    counted = torch.ops.aten.alias(y_hat)
    loss = loss_fn(counted, *labels)
    watch.may_be_nothing(weight, loss, counted)
    return loss


def through(watch: Watch, network: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """The network's output; what comes after it belongs to the loss."""
    output = network(*args, **kwargs)
    watch.inside = ["loss"]
    return output


def resized(part: Any, length: int, size: int, first: int) -> Any:
    """So many samples of a batch's part, from the first one on, round and round."""
    if isinstance(part, Tensor) and part.dim() and len(part) == length:
        return part[torch.arange(first, first + size) % length]
    return part


def mapped(function: Callable[[Any], Any], nested: Any) -> Any:
    """The same nested structure with other leaves."""
    if isinstance(nested, Mapping):
        return {key: mapped(function, part) for key, part in nested.items()}
    if isinstance(nested, list | tuple):
        parts = [mapped(function, part) for part in nested]
        return type(nested)(*parts) if hasattr(nested, "_fields") else type(nested)(parts)
    return function(nested)


def names_read(segment: Segment) -> set[str]:
    """What the segment reads of the batch."""
    text = f"{segment.given}{segment.lines}{segment.learned_from or ''}"
    return {node.id for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Name)} - {
        "network",
        "torch",
        "nn",
    }
