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
    network, losses = copy.deepcopy((network, dict(losses)))
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
        with torch.set_grad_enabled(segment.learns):
            exec(code_lines, space)
            found: dict[str, Tensor] = {}
            for name in results_of(segment.lines):
                result = space[name]
                if isinstance(result, Tensor):
                    found[name] = result
                elif not is_plain(result):
                    raise CannotTraceError(f"the network returns {type(result).__name__}")
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

    watched = {path: part for path, part in network.named_modules() if path}
    before = attributes(network), random.getstate(), repr(np.random.get_state())
    with unchanged_randomness(), one_by_one(network):
        traced = record(run, watched, [*states.values(), *parts.values(), *numbers.values()])
        refuse_hidden_state(network, *before)
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


def attributes(network: nn.Module) -> dict[str, Any]:
    """The numbers, strings and flags that modules have in their attributes."""
    return {
        f"network.{path}.{name}".replace("..", "."): value
        for path, module in network.named_modules()
        for name, value in vars(module).items()
        if isinstance(value, int | float | str | bool) and name != "training"
    }


def refuse_hidden_state(
    network: nn.Module, before: dict[str, Any], python: Any, numpy: str
) -> None:
    """Refuse a forward that does not only depend on the batch, weights and torch's random state.

    Raises:
        CannotTraceError: it changed an attribute, or drew a random number of Python or NumPy.
    """
    after = attributes(network)
    for name, value in after.items():
        if value != before.get(name, value):
            raise CannotTraceError(
                f"forward changes {name} from {before[name]} to {value}, so another batch may "
                "take another way"
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
    network, losses = copy.deepcopy((network, dict(losses)))
    network.train(segment.learns)
    modules = [network, *(loss for loss in losses.values() if isinstance(loss, nn.Module))]
    here: dict[str, Any] = {"torch": torch, "nn": nn, "network": network, **losses, **space}
    with unchanged_randomness(), one_by_one(network), torch.set_grad_enabled(segment.learns):
        exec(code, here)
        found = {name: here[name] for name in results_of(segment.lines)}
        after = [*(module.state_dict() for module in modules), torch.rand(1)]
    return {"gradients": [w.grad for w in network.parameters()], **found, "state": after}


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


def through(watch: Watch, network: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """The network's output; what comes after it belongs to the loss."""
    watch.inside = [""]
    output = network(*args, **kwargs)
    watch.inside = ["loss"]
    for part in tensors_in(output):
        watch.owns("", part)
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
