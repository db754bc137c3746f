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
from tutorial.device import unchanged_randomness
from tutorial.inputs.structure import code, leaves


@dataclass
class Pass:
    """A traced pass.

    Attributes:
        traced: the operations.
        inputs: code for each of the graph's inputs.
        size: how many samples it had.
    """

    traced: Traced
    inputs: list[str]
    size: int


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
    code_lines = compile(segment.lines, "<segment>", "exec")

    def run(watch: Any, tensors: list[Tensor]) -> dict[str, Tensor]:
        here = dict(zip([*states, *parts, *numbers], tensors, strict=True))
        state = {key: here[key] for key in states}
        if segment.learns:
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
            found = {n: space[n] for n in results_of(segment.lines)}
            found = {n: value for n, value in found.items() if isinstance(value, Tensor)}
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
    with unchanged_randomness(), one_dnn(not has_lstm(network)):
        traced = record(run, watched, [*states.values(), *parts.values(), *numbers.values()])
        refuse_hidden_state(network, *before)
    inputs = [f"{variable} {path}" for variable, path in states]
    return Pass(traced, [*inputs, *map(str, map(code, parts)), *numbers], size)


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


def called(module: nn.Module, state: dict[str, Tensor], *args: Any, **kwargs: Any) -> Any:
    """A module with other weights and buffers."""
    return torch.func.functional_call(module, state, args, kwargs)


@contextmanager
def one_dnn(enabled: bool) -> Iterator[None]:
    """With oneDNN's operations, if they were on, or without them."""
    backend: Any = torch.backends.mkldnn
    before = backend.enabled
    backend.enabled = before and enabled
    try:
        yield
    finally:
        backend.enabled = before


def has_lstm(network: nn.Module) -> bool:
    """Whether there is an LSTM in it, which oneDNN would run as one operation."""
    return any(isinstance(module, nn.LSTM) for module in network.modules())


def through(watch: Watch, network: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """The network's output; what comes after it belongs to the loss."""
    watch.inside = [""]
    output = network(*args, **kwargs)
    watch.inside = ["loss"]
    for part in tensors_in(output):
        watch.owns("", part)
    return output


def resized(part: Any, length: int, size: int) -> Any:
    """So many samples of a batch's part."""
    if isinstance(part, Tensor) and part.dim() and len(part) == length:
        return part[torch.arange(size) % length]
    return part


def mapped(function: Callable[[Any], Any], nested: Any) -> Any:
    """The same nested structure with other leaves."""
    if isinstance(nested, Mapping):
        return {key: mapped(function, part) for key, part in nested.items()}
    if isinstance(nested, list | tuple):
        return type(nested)(mapped(function, part) for part in nested)
    return function(nested)


def names_read(segment: Segment) -> set[str]:
    """What the segment reads of the batch."""
    text = f"{segment.given}{segment.lines}{segment.learned_from or ''}"
    return {node.id for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Name)} - {
        "network",
        "torch",
        "nn",
    }
