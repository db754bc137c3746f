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

from tutorial.depth.questions import Check, answered
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
        constants: of some operations, the tensor that they stand for: one that is no input.
        nothing: of losses, and of gradients from them: what is 0 where there is nothing to learn
            from; and of a loss, what it has compared.
        checks: of some operations, what a line that would refuse their value has asserted of it.
    """

    graph: fx.Graph = field(default_factory=fx.Graph)
    results: dict[str, fx.Node] = field(default_factory=dict)
    places: dict[fx.Node, tuple[str, str]] = field(default_factory=dict)
    outputs: dict[fx.Node, str] = field(default_factory=dict)
    gradients: dict[fx.Node, fx.Node] = field(default_factory=dict)
    constants: dict[fx.Node, Tensor] = field(default_factory=dict)
    nothing: dict[fx.Node, tuple[str, fx.Node | None]] = field(default_factory=dict)
    checks: dict[fx.Node, Check] = field(default_factory=dict)


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
        self.buffers: list[dict[str, Any]] = []  # of the modules that run now, as they came
        for name, module in modules.items():
            module.register_forward_pre_hook(lambda *args, name=name: self.enters(name, args[0]))
            module.register_forward_hook(lambda *args, name=name: self.left(name, *args))

    def enters(self, name: str, module: nn.Module) -> None:
        """A module begins."""
        self.inside.append(name)
        self.buffers.append(dict(module.named_buffers(recurse=False)))

    def left(self, name: str, module: nn.Module, _: Any, output: Any) -> None:
        """A module has returned its output."""
        self.inside.pop()
        before = self.buffers.pop()
        for buffer, tensor in module.named_buffers(recurse=False):
            if before.get(buffer, tensor) is not tensor:
                raise CannotTraceError(
                    f"forward puts another tensor in the place of the buffer {buffer} of "
                    f"{f'network.{name}' if name else 'the network'}. Change it in place: "
                    f"self.{buffer}.copy_(...)"
                )
        for part in tensors_in(output):
            node = node_of(part)
            if node is not None and name:
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
                where = "the loss" if name == "loss" else f"network.{name}" if name else "forward"
                raise CannotTraceError(
                    f"{where} has an autograd.Function of its own, {type(made).__name__}: its "
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

    def may_be_nothing(self, weight: str, loss: Tensor, y_hat: Tensor) -> None:
        """A loss, and the gradient that it gives to an output, are 0 where its weight is 0."""
        node = node_of(loss)
        if node is not None:
            self.traced.nothing[node] = weight, node_of(y_hat)
        if y_hat.requires_grad:
            watched: Any = y_hat
            watched.register_hook(lambda gradient: self.nothing(weight, gradient))

    def nothing(self, weight: str, gradient: Tensor) -> None:
        """A gradient is 0 where this weight is 0."""
        node = node_of(gradient)
        if node is not None:
            self.traced.nothing[node] = weight, None

    def goes_back(self, name: str) -> None:
        """The backward of a module's operation begins."""
        self.inside, self.phase = [name], BACKWARD

    def where(self) -> str:
        """Where it is now, in words."""
        place = self.inside[-1]
        return "the loss" if place == "loss" else f"network.{place}" if place else "the network"

    def checked(self, tensor: Tensor, check: Check) -> None:
        """A line has refused no value of this tensor."""
        node = node_of(tensor)
        if node is not None:
            self.traced.checks[node] = check

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
        with answered(lambda tensor, check: watch.checked(tensor, check)):
            module = make_fx(noted, tracing_mode="real")(*inputs)
    except (RuntimeError, NotImplementedError) as error:
        if "tracing tensor" in str(error) or "data-dependent" in str(error).lower():
            raise CannotTraceError(
                f"{watch.where()} asks for the value of a tensor (an if, .item(), int()), "
                "so another batch may take another way"
            ) from error
        [said, *_] = str(error).splitlines() or [type(error).__name__]
        raise CannotTraceError(f"torch's tracer fails in {watch.where()}: {said}") from error
    traced, graph = watch.traced, module.graph
    traced.graph = graph
    traced.constants = {
        node: getattr(module, str(node.target)) for node in graph.nodes if node.op == "get_attr"
    }
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
