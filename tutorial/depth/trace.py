"""What forward, loss and backward really run: torch's tracer writes it down, layer by layer.

Lines of a loop are run on copies, with a few samples, while every operation is recorded, also those
of autograd. For each is noted to which module it belongs.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.fx.experimental.proxy_tensor import get_proxy_mode, get_proxy_slot, make_fx

from tutorial.device import pass_back_once

FORWARD, BACKWARD = "forward", "backward"


@dataclass
class Traced:
    """The operations of one pass over a batch.

    Attributes:
        graph: the operations, in the order in which they ran.
        results: of each name, the operation whose result it is.
        places: of each operation, the module to which it belongs, and "forward" or "backward".
        outputs: of some operations, the module whose output they are.
        gradients: of some operations, the one of whose result they are the gradient.
        branches: what was found that cannot be written down.
    """

    graph: fx.Graph = field(default_factory=fx.Graph)
    results: dict[str, fx.Node] = field(default_factory=dict)
    places: dict[fx.Node, tuple[str, str]] = field(default_factory=dict)
    outputs: dict[fx.Node, str] = field(default_factory=dict)
    gradients: dict[fx.Node, fx.Node] = field(default_factory=dict)


class Watch:
    """Notes which module runs while its operations are recorded, and whose gradient is due.

    Args:
        modules: modules by name, copies: they get hooks.
    """

    def __init__(self, modules: Mapping[str, nn.Module]) -> None:
        self.inside = [""]  # the modules that run now
        self.phase = FORWARD
        self.owners: dict[Any, str] = {}  # of autograd's nodes, the module that made them
        self.traced = Traced()
        for name, module in modules.items():
            module.register_forward_pre_hook(lambda *_, name=name: self.inside.append(name))
            module.register_forward_hook(lambda *args, name=name: self.left(name, args[-1]))

    def left(self, name: str, output: Any) -> None:
        """A module has returned its output."""
        self.inside.pop()
        for part in tensors_in(output):
            node = node_of(part)
            if node is not None:
                self.traced.outputs.setdefault(node, name)
            self.owns(name, part)

    def owns(self, name: str, output: Tensor) -> None:
        """What autograd has noted since, up to this output, is this module's."""
        self.expect(output)
        waiting = [output.grad_fn]
        while waiting:
            made = waiting.pop()
            if made is None or made in self.owners or type(made).__name__ == "AccumulateGrad":
                continue
            if isinstance(made, torch.autograd.function.BackwardCFunction):
                raise CannotTraceError(
                    f"{name} has an autograd.Function of its own, {type(made).__name__}: its "
                    "backward is Python code, which is no operation of torch"
                )
            self.owners[made] = name
            made.register_prehook(lambda *_, name=name: self.goes_back(name))
            waiting += [earlier for earlier, _ in made.next_functions]

    def expect(self, output: Tensor) -> None:
        """Note which operation gives the gradient of this output."""
        node = node_of(output)
        if node is not None and output.requires_grad:
            watched: Any = output  # its hooks carry no types
            watched.register_hook(lambda gradient: self.gradient(node, gradient))

    def gradient(self, of: fx.Node, gradient: Tensor) -> None:
        """The gradient of an operation's result is there."""
        node = node_of(gradient)
        if node is not None:
            self.traced.gradients.setdefault(node, of)

    def goes_back(self, name: str) -> None:
        """The backward of a module's operation begins."""
        self.inside, self.phase = [name], BACKWARD

    def recorded(self, node: fx.Node) -> None:
        """An operation was recorded."""
        self.traced.places[node] = (self.inside[-1], self.phase)


class CannotTraceError(Exception):
    """Something cannot be written down."""


def record(
    run: Callable[[Watch, list[Tensor]], dict[str, Tensor]],
    modules: Mapping[str, nn.Module],
    inputs: list[Tensor],
) -> Traced:
    """Run something and note its operations.

    Args:
        run: what to run: it gets the inputs, and returns results by name.
        modules: the modules in it, by name: copies.
        inputs: tensors.

    Raises:
        CannotTraceError: it does not only compute: it asks for a value of a tensor, say.
    """
    watch = Watch(modules)
    names: list[str] = []

    def noted(*tensors: Tensor) -> list[Tensor]:
        mode = get_proxy_mode()
        assert mode is not None
        graph: Any = mode.tracer.graph
        create = graph.create_node

        def create_and_note(*args: Any, **kwargs: Any) -> fx.Node:
            node: fx.Node = create(*args, **kwargs)
            watch.recorded(node)
            return node

        graph.create_node = create_and_note
        try:
            results = run(watch, list(tensors))
        finally:
            del graph.create_node
        names.extend(results)
        return list(results.values())

    pass_back_once()
    try:
        graph = make_fx(noted, tracing_mode="real")(*inputs).graph
    except RuntimeError as error:
        if "tracing tensor" in str(error) or "data-dependent" in str(error).lower():
            raise CannotTraceError(
                "the network or the loss asks for the value of a tensor (an if, .item(), int()), "
                "so another batch may take another way"
            ) from error
        raise
    traced = watch.traced
    traced.graph = graph
    [output] = [node for node in graph.nodes if node.op == "output"]
    traced.results = dict(zip(names, output.args[0], strict=True))
    return traced


def tensors_in(nested: Any) -> Iterator[Tensor]:
    """The tensors in an output."""
    if isinstance(nested, Tensor):
        yield nested
    elif isinstance(nested, Mapping):
        for part in nested.values():
            yield from tensors_in(part)
    elif isinstance(nested, list | tuple):
        for part in nested:
            yield from tensors_in(part)


def node_of(tensor: Tensor) -> fx.Node | None:
    """The operation whose result a tensor is, while it is recorded."""
    mode = get_proxy_mode()
    slot = None if mode is None else get_proxy_slot(tensor, mode.tracer, None)
    return None if slot is None else slot.proxy.node
