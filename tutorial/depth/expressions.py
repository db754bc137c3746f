"""An operation as code: the right side of its line."""

import math
import re
from typing import Any

import torch
from torch import Tensor, fx, nn

from tutorial.depth import kernels, operations
from tutorial.depth.graph import base_of, operation, out_of, type_of, writes
from tutorial.depth.live import Live
from tutorial.depth.names import Names
from tutorial.depth.operations import KERNELS, PLAIN, TABLE
from tutorial.depth.passes import Pass
from tutorial.depth.trace import CannotTraceError

# Of whose results the size depends on values.
CHOOSE = {"nonzero", "masked_select", "_unique2", "unique_consecutive", "unique_dim", "bincount"}
SHORT = 32  # so many numbers of a constant may stand in the text


class Expressions:
    """Writes operations as code.

    Args:
        one: a traced pass.
        other: the same of another size: what differs depends on the size.
        live: which operations of the first one are written.
        named: the names of weights, buffers and constants.
        all_count: whether it is known that no label is to be ignored.

    Attributes:
        codes: code for each result: its name, or what it is where it has no line of its own.
        tools: the functions that the code calls, by name.
        uses_n: whether it reads n, the number of samples.
    """

    def __init__(self, one: Pass, other: Pass, live: Live, named: Names, all_count: bool) -> None:
        self.one, self.other, self.live, self.named = one, other, live, named
        self.all_count = all_count
        others = [*other.traced.graph.nodes]
        if [n.target for n in live.nodes if n.op == "call_function"] != [
            n.target for n in others if n.op == "call_function"
        ]:
            raise CannotTraceError("another number of samples takes another way through it")
        self.twins = dict(zip(live.nodes, others, strict=True))
        self.codes: dict[fx.Node, str] = {}
        self.tools: dict[str, Any] = {}
        self.uses_n = False

    def __call__(self, node: fx.Node) -> str:
        """The operation as code."""
        if operation(node) == "lift_fresh_copy.default":  # torch.tensor(...), in forward
            return self.literal(self.live.real(node.args[0]))
        twin = self.twins[node]
        arguments = [self.argument(a, b) for a, b in zip(node.args, twin.args, strict=True)]
        named = {
            key: self.argument(value, twin.kwargs[key])
            for key, value in node.kwargs.items()
            if key not in ("out", "grad_input")
        }
        named = {k: v for k, v in named.items() if (k, v) != ("device", "'cpu'")}
        name = operation(node)
        self.refuse(node)
        try:
            written = self.right_side(node, arguments, named)
        except (SyntaxError, TypeError, ValueError, LookupError) as error:
            [base, *_] = name.split(".")
            raise CannotTraceError(
                f"{self.place(node)}: {base} is called with arguments that cannot be written"
            ) from error
        for tool in set(re.findall(r"\b\w+(?=\()", written)) & KERNELS.keys():
            self.tools[tool] = KERNELS[tool]
        if "F." in written:
            self.tools["F"] = torch.nn.functional
        out: Any = out_of(node)
        return f"{self.codes[out]}.copy_({written})" if out in self.codes else written

    def right_side(self, node: fx.Node, arguments: list[str], named: dict[str, str]) -> str:
        """The operation as the table has it, or by its name in torch."""
        name = operation(node)
        if name == "getitem":
            return f"{operations.atom(arguments[0])}[{arguments[1]}]"
        if name == "clone.default" and self.is_changed(node):
            return f"{operations.atom(arguments[0])}.clone()"
        if name == "view.default" and (summed := self.sum_without_axis(node)):
            return summed
        if self.is_plain(node):
            return PLAIN[name](*arguments)
        if name in TABLE:
            return TABLE[name](*arguments, **named)
        return self.usual(node, arguments, named)

    def is_changed(self, node: fx.Node) -> bool:
        """Whether a copy, or what it is a copy of, is changed in place."""
        of: Any = self.live.real(node.args[0])
        return bool({node, self.live.real(base_of(of))} & self.live.changes.keys())

    def usual(self, node: fx.Node, arguments: list[str], named: dict[str, str]) -> str:
        """An operation by its name in torch: a method, in place or not, or a function."""
        name = operation(node)
        base = name.partition(".")[0]
        if hasattr(Tensor, base) and isinstance(node.args[0], fx.Node):
            return operations.method(base)(*arguments, **named)
        room, _, rest = base.partition("_")
        if room in ("linalg", "special") and hasattr(getattr(torch, room), rest):
            return operations.function(f"torch.{room}.{rest}")(*arguments, **named)
        if hasattr(torch, base) and not base.startswith("_"):
            return operations.function(f"torch.{base}")(*arguments, **named)
        kernel = kernels.by_name(name)
        self.tools[kernel.__name__] = kernel
        return operations.call(kernel.__name__, arguments, named)

    def sum_without_axis(self, node: fx.Node) -> str | None:
        """x.sum(0, keepdim=True).view([10]) as x.sum(0)."""
        of = self.live.real(node.args[0])
        sizes: Any = node.args[1]
        if operation(of) != "sum.dim_IntList" or not self.codes[of].endswith(", keepdim=True)"):
            return None
        x, axes = self.live.real(of.args[0]), of.args[1]
        shape = x.meta["val"].shape if "val" in x.meta else None
        if shape is None or [*sizes] != [s for i, s in enumerate(shape) if i not in axes]:
            return None
        return self.codes[of].removesuffix(", keepdim=True)") + ")"

    def is_plain(self, node: fx.Node) -> bool:
        """Whether it is a mean over labels that all count, and count the same."""
        if operation(node) not in PLAIN or not self.all_count:
            return False
        first = 2 if "forward" in operation(node) else 3
        return node.args[first : first + 2] == (None, 1)  # weight, reduction

    def refuse(self, node: fx.Node) -> None:
        """Refuse an operation that would be another one with another batch."""
        name = operation(node).partition(".")[0]
        indices: Any = node.args[1] if name in ("index", "index_put", "index_put_") else ()
        masks = [i for i in indices if i is not None and type_of(i) is torch.bool]
        if name in CHOOSE or (name == "index" and masks):
            raise CannotTraceError(
                f"{self.place(node)}: in {name}, values decide how many numbers there are, so "
                "another batch has other sizes. torch.where keeps the size"
            )
        if writes(node) and base_of(node).op == "get_attr":
            raise CannotTraceError(
                f"{self.place(node)}: {name} changes a tensor that is no buffer, and that the next "
                "batch will read. Make it a buffer: self.register_buffer(...)"
            )

    def place(self, node: fx.Node) -> str:
        """Where an operation belongs, in words."""
        path, _ = self.one.traced.places.get(node, ("", ""))
        return "the loss" if path == "loss" else f"network.{path}" if path else "the network"

    # -- arguments

    def argument(self, value: Any, twin: Any) -> str:
        """An argument as code. A number that differs between the two batches is a size."""
        if isinstance(value, fx.Node):
            return self.codes[self.live.real(value)]
        if isinstance(value, list | tuple):
            items = [self.argument(a, b) for a, b in zip(value, twin, strict=True)]
            return f"[{', '.join(items)}]"
        if isinstance(value, torch.dtype):
            return str(value)
        if isinstance(value, torch.device):
            return repr(str(value))
        if isinstance(value, float) and not math.isfinite(value):
            return f'float("{value}")'
        if value == twin or not isinstance(value, int | float):
            return repr(value)
        return self.size(value, twin)

    def size(self, value: float, twin: float) -> str:
        """A number as code with n, the number of samples."""
        self.uses_n = True
        a, b = self.one.size, self.other.size
        if value * b**2 == twin * a**2:
            return f"{value / a**2:g} * n**2" if value != a**2 else "n**2"
        factor = (twin - value) / (b - a)
        rest = value - factor * a
        if factor == int(factor) and rest == int(rest):
            times = "n" if factor == 1 else f"{int(factor)} * n"
            sign = "+" if rest > 0 else "-"
            return times if rest == 0 else f"{times} {sign} {abs(int(rest))}"
        if value * a == twin * b:
            return f"{value * a:g} / n"
        raise CannotTraceError("a number in it depends on the number of samples in an odd way")

    def constant(self, node: fx.Node, network: nn.Module) -> str:
        """A tensor that is no input: it gets a name, if it stands for the same at each batch."""
        value = self.one.traced.constants[node]
        if not isinstance(value, Tensor):
            raise CannotTraceError(
                f"there is a {type(value).__name__} in it of its own; torch's usual random numbers "
                "would be a line"
            )
        for path, weight in [*network.named_parameters(), *network.named_buffers()]:
            if weight.untyped_storage().data_ptr() == value.untyped_storage().data_ptr():
                raise CannotTraceError(
                    f"network.{path} is read by something that does not get it from network(x), "
                    "such as a loss that knows the network. Compute it in forward, and return it"
                )
        if value.requires_grad:
            raise CannotTraceError(
                "there is a weight in it that is neither the network's nor the loss's. Make it a "
                "part of one of the two: self.layer = layer"
            )
        if value.numel() > SHORT:
            for path, module in network.named_modules():
                for name, own in vars(module).items():
                    if isinstance(own, Tensor) and alike(own, value):
                        where = f'network.get_submodule("{path}")' if path else "network"
                        return self.named.constant(f"{name}_{path}", f"{where}.{name}")
        return self.named.constant("constant", self.literal(node))

    def literal(self, node: fx.Node) -> str:
        """The same as torch.tensor(...)."""
        value = self.one.traced.constants[node]
        twin = self.other.traced.constants[self.twins[node]]
        usual = value.dtype in (torch.float32, torch.int64, torch.bool)
        dtype = "" if usual else f", dtype={value.dtype}"
        if value.dim() == 0 and not value.is_complex():
            return f"torch.tensor({self.argument(value.item(), twin.item())}{dtype})"
        if not alike(value, twin):
            raise CannotTraceError(
                f"{self.place(node)}: a tensor is made again for each batch, but not by torch's "
                "operations (.numpy(), .data)"
            )
        if value.numel() > SHORT or not alike(
            value, torch.tensor(value.tolist(), dtype=value.dtype)
        ):
            raise CannotTraceError(
                f"{self.place(node)}: there is a tensor in it that is no weight, no buffer, and "
                "not made in forward. Make it a buffer: self.register_buffer(...)"
            )
        return f"torch.tensor({value.tolist()}{dtype})"


def alike(one: Tensor, other: Tensor) -> bool:
    """Whether two tensors are the same in type, shape and each number."""
    same = one.dtype == other.dtype and one.shape == other.shape and one.device == other.device
    return same and torch.equal(one, other)
