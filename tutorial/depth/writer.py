"""Writes traced operations as lines, layer by layer."""

import math
import re
from collections.abc import Iterator, Mapping
from itertools import count
from operator import getitem
from textwrap import indent
from typing import Any

import torch
from torch import Tensor, fx, nn

from tutorial.depth import kernels, operations
from tutorial.depth.names import Names
from tutorial.depth.operations import KERNELS, PLAIN, TABLE
from tutorial.depth.passes import Pass
from tutorial.depth.segments import Segment
from tutorial.depth.trace import BACKWARD, CannotTraceError

SAME = {"alias.default", "detach.default", "lift_fresh_copy.default"}  # another name for a tensor


class Writer:
    """Writes the traced operations as lines."""

    def __init__(
        self,
        segment: Segment,
        named: Names,
        network: nn.Module,
        passes: list[Pass],
        all_count: bool,
    ) -> None:
        self.all_count = all_count
        self.segment, self.named, self.network = segment, named, network
        self.one, self.other = passes
        self.traced = self.one.traced
        nodes, others = ([*each.traced.graph.nodes] for each in passes)
        if [n.target for n in nodes if n.op == "call_function"] != [
            n.target for n in others if n.op == "call_function"
        ]:
            raise CannotTraceError("another number of samples takes another way through it")
        self.twins = dict(zip(nodes, others, strict=True))
        self.nodes = nodes
        self.codes: dict[fx.Node, str] = {}
        self.taken = {*named.taken, *named.of.values()}
        self.tools: dict[str, Any] = {}
        self.uses_n = False
        self.lines: list[str] = []
        self.heading: tuple[str, str] | None = None
        self.turn: int | None = None  # the line where backward begins
        self.aliases: dict[fx.Node, fx.Node] = {}
        if any(node.op == "get_attr" for node in nodes):
            raise CannotTraceError(
                "there is a tensor in it that is no weight, no buffer, and not made in forward. "
                "Make it a buffer: self.register_buffer(...)"
            )
        self.simplify()

    # -- which operations are written at all

    def simplify(self) -> None:
        """Leave out other names for the same tensor, and what nobody reads."""
        self.transposes: dict[fx.Node, fx.Node] = {}
        for node in self.nodes:
            name = operation(node)
            if name in SAME:
                self.aliases[node] = self.real(node.args[0])
            elif (given := given_out(node)) is not None:
                self.aliases[given] = node  # it is what is computed into it
            elif name == "t.default":
                of = self.real(node.args[0])
                if of in self.transposes:
                    self.aliases[node] = self.transposes[of]
                else:
                    self.transposes[node] = of
        wanted = [self.real(node) for node in self.traced.results.values() if node is not None]
        self.uses: dict[fx.Node, int] = {}
        self.live: set[fx.Node] = set()
        waiting = [*wanted, *(node for node in self.nodes if changes_state(node))]
        for node in wanted:
            self.uses[node] = self.uses.get(node, 0) + 2  # it has a name of its own
        while waiting:
            node = waiting.pop()
            if node in self.live:
                continue
            self.live.add(node)
            for earlier in map(self.real, inputs_of(node)):
                self.uses[earlier] = self.uses.get(earlier, 0) + 1
                waiting.append(earlier)

    def real(self, node: Any) -> Any:
        """The operation behind another name."""
        while node in self.aliases:
            node = self.aliases[node]
        return node

    # -- lines

    def text(self) -> str:
        """The whole segment."""
        self.name_all()
        placeholders = [node for node in self.nodes if node.op == "placeholder"]
        for node, key in zip(placeholders, self.one.inputs, strict=True):
            self.codes[node] = self.named(key) if self.uses.get(node) else key
        in_place = [i for i, node in enumerate(self.nodes) if writes(node)]
        order = {node: i for i, node in enumerate(self.nodes)}
        for node in self.nodes:
            if node not in self.live or node.op != "call_function" or node in self.aliases:
                continue
            if operation(node) == "getitem" and is_several(node.args[0]):
                self.codes.setdefault(node, "")
                continue  # named in the line that gives them all
            self.write(node, order, in_place)
        turn = len(self.lines) if self.turn is None else self.turn
        forward, backward = self.lines[:turn], self.lines[turn:]
        forward += [*self.nested_results(), self.segment.unless]
        backward += self.gradients()
        if self.segment.weight and backward:
            backward = [f"if {self.segment.weight} > 0:\n", indent("".join(backward), "    ")]
        size = f"n = len({self.first_input()})  # samples in this batch\n"
        return "".join([self.segment.given, size * self.uses_n, *forward, *backward])

    def nested_results(self) -> Iterator[str]:
        """The lines that put results together again: y_hat = {"out": x_3}."""
        yield from (f"{name} = {self.codes[node]}\n" for name, node in self.same.items())
        for name, structure in self.one.structures.items():
            results = iter(
                self.codes[self.real(self.traced.results[key])]
                for key in self.traced.results
                if key.startswith(f"{name}@")
            )
            yield f"{name} = {nested_code(structure, results)}\n"

    def first_input(self) -> str:
        """The first part of the batch."""
        return next(key for key in self.one.inputs if " " not in key)

    def write(self, node: fx.Node, order: dict[fx.Node, int], in_place: list[int]) -> None:
        """The operation's line; or nothing yet, if its only reader has room for it."""
        code = self.expression(node)
        if self.fits_in(node, code, order, in_place):
            self.codes[node] = code
            return
        self.head(node)
        if is_several(node) and not self.is_plain(node):
            names = self.names_of_several(node)
            left = ", ".join(names) if len(names) > 1 else f"[{names[0]}]"
            self.lines.append(f"{left} = {code}\n")
            return
        if changes_state(node):
            self.lines.append(f"{code}\n")
            self.codes[node] = self.codes[self.real(node.args[0])]
            return
        if is_several(node):  # of which only the first is read
            [node] = [item for item in self.nodes if is_item_of(item, node) and item.args[1] == 0]
        name = self.name(node)
        self.codes[node] = name
        if code != name:
            self.lines.append(f"{name} = {code}\n")

    def fits_in(
        self, node: fx.Node, code: str, order: dict[fx.Node, int], in_place: list[int]
    ) -> bool:
        """Whether the operation is written inside of the one that reads it."""
        if node in self.given_names or is_several(node) or changes_state(node):
            return False
        if operation(node) == "ones_like.default":
            return self.uses.get(node, 0) == 1
        readers = [user for user in self.live if node in map(self.real, inputs_of(user))]
        if operation(node) == "t.default" and len(code) < 20:
            return True  # W_1.T
        longest = 75 if writes(node) else 50
        if self.uses.get(node, 0) != 1 or len(readers) != 1 or len(code) > longest:
            return False
        if operation(readers[0]) in READ_TWICE:
            return False
        begin, end = order[node], order[readers[0]]
        between = [i for i in in_place if begin < i < end]
        return not between and (self.place(node) == self.place(readers[0]))

    def place(self, node: fx.Node) -> tuple[str, str]:
        return self.traced.places.get(node, ("", ""))

    def head(self, node: fx.Node) -> None:
        """A comment with the layer's name, where another layer begins."""
        place = self.place(node)
        if place == self.heading:
            return
        self.heading = place
        path, phase = place
        if phase == BACKWARD and self.turn is None:
            self.turn = len(self.lines)
        way = "backward, " if phase == BACKWARD else ""
        self.lines.append(f"# {way}{self.title(path)}\n")

    def title(self, path: str) -> str:
        """1: Linear(784, 512)."""
        if path == "loss":
            return "the loss"
        if not path:
            return type(self.network).__name__
        module = self.network.get_submodule(path)
        return f"{path}: {type(module).__name__}({short(module.extra_repr())})"

    def gradients(self) -> Iterator[str]:
        """The lines that hand the gradients to the weights."""
        if not self.segment.learns:
            return
        found = [key for key in self.traced.results if key.startswith("d ")]
        pairs = []
        for key in found:
            node = self.real(self.traced.results[key])
            pairs.append((key[2:], self.codes[node]))
        paths = [f"network {path}" for path, _ in self.network.named_parameters()]
        codes = [code for _, code in pairs]
        if [key for key, _ in pairs] == paths:
            weights = "network.parameters()"
        else:
            weights = "(" + ", ".join(weight_code(key) for key, _ in pairs) + ",)"
        yield f"for weight, gradient in zip({weights}, {listed(codes)}):\n"
        yield "    weight.grad = gradient if weight.grad is None else weight.grad + gradient\n"

    # -- names

    def name_all(self) -> None:
        """A name for each operation that has a line."""
        self.names: dict[fx.Node, str] = {}
        self.given_names: set[fx.Node] = set()
        self.same: dict[str, fx.Node] = {}
        for key, node in self.traced.results.items():
            real = self.real(node)
            name = f"d_{self.named.of[key[2:]]}" if key.startswith("d ") else key
            name = name.replace(".", "_").replace("@", "_")
            if real in self.names or real.op == "placeholder":
                if "@" not in key and not key.startswith("d "):
                    self.same[name] = real  # two results are one
                continue
            self.names[real] = name
            self.given_names.add(real)
            self.taken.add(name)
        for node, path in self.traced.outputs.items():
            real = self.real(node)
            if real in self.live and real not in self.names and real.op != "placeholder":
                self.names[real] = self.free(f"x_{path.replace('.', '_')}")
                if self.uses.get(real, 0) > 0:
                    self.given_names.add(real)

    def name(self, node: fx.Node) -> str:
        """The name of an operation's result."""
        if node not in self.names:
            path, phase = self.place(node)
            of = self.traced.gradients.get(node)
            if of is not None and self.real(of) in self.names:
                self.names[node] = self.free(f"d_{self.names[self.real(of)]}")
            elif (hint := HINTS.get(operation(node))) is not None:
                self.names[node] = self.free(
                    "_".join(filter(None, [hint, path.replace("loss", "")]))
                )
            else:
                self.names[node] = self.numbered("d" if phase == BACKWARD else "h")
        return self.names[node]

    def numbered(self, stem: str) -> str:
        """h_1, h_2, ...: what has no name of its own."""
        return next(self.free(name) for i in count(1) if (name := f"{stem}_{i}") not in self.taken)

    def free(self, stem: str) -> str:
        """The name, or the first one of its kind that is not taken."""
        stem = re.sub(r"\W", "_", stem)
        name = next(
            each for i in count(1) if (each := f"{stem}_{i}" if i > 1 else stem) not in self.taken
        )
        self.taken.add(name)
        return name

    def names_of_several(self, node: fx.Node) -> list[str]:
        """The names on the left of an operation that gives several tensors."""
        items = {item.args[1]: item for item in self.nodes if is_item_of(item, node)}
        found = []
        for i in range(max(items) + 1 if items else 1):
            item = items.get(i)
            if item is None or item not in self.live:
                found.append("_")
                continue
            hints = SEVERAL.get(operation(node), ())
            path, _ = self.place(node)
            named = item in self.names or item in self.traced.gradients
            if not named and i < len(hints):
                self.names[item] = self.free("_".join([hints[i], *path.split(".")]))
            found.append(self.name(item))
            self.codes[item] = self.name(item)
        found += ["_"] * (LENGTHS.get(operation(node), len(found)) - len(found))
        return found

    # -- expressions

    def expression(self, node: fx.Node) -> str:
        """The operation as code."""
        twin = self.twins[node]
        arguments = [self.argument(a, b) for a, b in zip(node.args, twin.args, strict=True)]
        named = {key: self.argument(value, twin.kwargs[key]) for key, value in node.kwargs.items()}
        named = {k: v for k, v in named.items() if (k, v) != ("device", "'cpu'")}
        name = operation(node)
        self.refuse_choices(node)
        if name == "getitem":
            return f"{operations.atom(arguments[0])}[{arguments[1]}]"
        if name == "view.default" and (summed := self.sum_without_axis(node)):
            written = summed
        elif self.is_plain(node):
            written = PLAIN[name](*arguments)
        elif name in TABLE:
            written = TABLE[name](*arguments, **named)
        else:
            written = self.usual(name, arguments, named)
        for tool in set(re.findall(r"\b\w+(?=\()", written)) & KERNELS.keys():
            self.tools[tool] = KERNELS[tool]
        if "F." in written:
            self.tools["F"] = torch.nn.functional
        return written

    def sum_without_axis(self, node: fx.Node) -> str | None:
        """x.sum(0, keepdim=True).view([10]) as x.sum(0)."""
        of = self.real(node.args[0])
        sizes: Any = node.args[1]
        if operation(of) != "sum.dim_IntList" or not self.codes[of].endswith(", keepdim=True)"):
            return None
        x, axes = self.real(of.args[0]), of.args[1]
        shape = x.meta["val"].shape if "val" in x.meta else None
        if shape is None or [*sizes] != [s for i, s in enumerate(shape) if i not in axes]:
            return None
        return self.codes[of].removesuffix(", keepdim=True)") + ")"

    def refuse_choices(self, node: fx.Node) -> None:
        """Refuse an operation of whose result the size depends on values."""
        name = operation(node).partition(".")[0]
        indices: Any = node.args[1] if name in ("index", "index_put", "index_put_") else ()
        masks = [i for i in indices if i is not None and self.dtype(i) is torch.bool]
        if name in CHOOSE or (name == "index" and masks):
            place = self.title(self.place(node)[0])
            raise CannotTraceError(
                f"{place}: in {name}, values decide how many numbers there are, so another batch "
                "has other sizes. torch.where keeps the size"
            )

    def dtype(self, node: fx.Node) -> Any:
        """The type of an operation's result."""
        return getattr(node.meta.get("val"), "dtype", None)

    def is_plain(self, node: fx.Node) -> bool:
        """Whether it is a mean over labels that all count, and count the same."""
        if operation(node) not in PLAIN or not self.all_count:
            return False
        first = 2 if "forward" in operation(node) else 3
        return node.args[first : first + 2] == (None, 1)  # weight, reduction

    def usual(self, name: str, arguments: list[str], named: dict[str, str]) -> str:
        """An operation by its name in torch: a method, in place or not, or a function."""
        base = name.partition(".")[0]
        if hasattr(Tensor, base):
            return operations.method(base)(*arguments, **named)
        if hasattr(torch, base) and not base.startswith("_"):
            return operations.function(f"torch.{base}")(*arguments, **named)
        kernel = kernels.by_name(name)
        self.tools[kernel.__name__] = kernel
        return operations.call(kernel.__name__, arguments, named)

    def argument(self, value: Any, twin: Any) -> str:
        """An argument as code. A number that differs between the two batches is a size."""
        if isinstance(value, fx.Node):
            return self.codes[self.real(value)]
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
        factor = (twin - value) / (b - a)
        rest = value - factor * a
        if factor == int(factor) and rest == int(rest):
            times = "n" if factor == 1 else f"{int(factor)} * n"
            return times if rest == 0 else f"{times} + {int(rest)}"
        if value * a == twin * b:
            return f"{value * a:g} / n"
        raise CannotTraceError("a number in it depends on the number of samples in an odd way")


CHOOSE = {"nonzero", "masked_select", "_unique2", "unique_consecutive", "unique_dim", "bincount"}
READ_TWICE = {"select_backward.default", "slice_backward.default"}  # what they read, stands twice
HINTS = {
    "bernoulli_.float": "mask", "div_.Scalar": "mask", "empty_like.default": "mask",
    "_log_softmax.default": "log_p", "nll_loss_backward.default": "d_log_p",
    "_softmax.default": "p", "_softmax_backward_data.default": "d_scores",
}  # fmt: skip
SEVERAL = {
    "native_batch_norm.default": ("x", "mean", "rstd"),
    "native_layer_norm.default": ("x", "mean", "rstd"),
    "native_group_norm.default": ("x", "mean", "rstd"),
    "max_pool2d_with_indices.default": ("x", "places"),
    "convolution_backward.default": ("d_x", "d_W", "d_b"),
    "native_batch_norm_backward.default": ("d_x", "d_W", "d_b"),
    "native_layer_norm_backward.default": ("d_x", "d_W", "d_b"),
}
LENGTHS = {
    "native_batch_norm.default": 3, "native_layer_norm.default": 3, "native_group_norm.default": 3,
    "max_pool2d_with_indices.default": 2, "convolution_backward.default": 3,
    "native_batch_norm_backward.default": 3, "native_layer_norm_backward.default": 3,
    "native_group_norm_backward.default": 3,
    "_scaled_dot_product_flash_attention_for_cpu.default": 2,
    "_scaled_dot_product_flash_attention_for_cpu_backward.default": 3,
}  # fmt: skip


def nested_code(structure: Any, results: Iterator[str]) -> str:
    """A nested structure as code, with results in the place of its tensors."""
    if isinstance(structure, Mapping):
        items = [f"{key!r}: {nested_code(part, results)}" for key, part in structure.items()]
        return "{" + ", ".join(items) + "}"
    if isinstance(structure, list | tuple):
        parts = ", ".join(nested_code(part, results) for part in structure)
        single = "," * (len(structure) == 1)
        return f"[{parts}]" if isinstance(structure, list) else f"({parts}{single})"
    return next(results) if structure is Tensor else repr(structure)


def operation(node: fx.Node) -> str:
    """Its name, such as add.Tensor."""
    if node.op != "call_function":
        return node.op
    if node.target is getitem:
        return "getitem"
    name, _, overload = str(node.target).removeprefix("aten.").partition(".")
    if overload in ("out", "grad_input"):
        overload = "Tensor" if f"{name}.Tensor" in TABLE else "default"
    return f"{name}.{overload}"


def inputs_of(node: fx.Node) -> list[fx.Node]:
    """The operations whose results it reads."""
    return [earlier for earlier in node.all_input_nodes if earlier is not given_out(node)]


def given_out(node: fx.Node) -> fx.Node | None:
    """The empty tensor that an operation is given for its result: out=."""
    found: Any = node.kwargs.get("out", node.kwargs.get("grad_input"))
    return found if isinstance(found, fx.Node) and found.op == "call_function" else None


def is_several(node: Any) -> bool:
    """Whether it gives several tensors at once."""
    return isinstance(node, fx.Node) and any(operation(user) == "getitem" for user in node.users)


def is_item_of(item: fx.Node, node: fx.Node) -> bool:
    """Whether it is one of the several tensors that an operation gives."""
    return operation(item) == "getitem" and item.args[0] is node


def writes(node: fx.Node) -> bool:
    """Whether it changes a tensor in place."""
    name = operation(node).partition(".")[0]
    return name.endswith("_") and not name.endswith("__")


def changes_state(node: fx.Node) -> bool:
    """Whether it changes one of the inputs: a buffer."""
    changed: Any = node
    while writes(changed) or operation(changed) in SAME:
        changed = changed.args[0]
    return writes(node) and changed.op == "placeholder"


def weight_code(key: str) -> str:
    """network[1].weight would not read; network.get_parameter("1.weight") does."""
    variable, path = key.split(" ")
    return f'{variable}.get_parameter("{path}")'


def listed(codes: list[str]) -> str:
    """A list as code; a long one has lines of its own."""
    text = ", ".join(codes)
    if len(text) < 60:
        return f"[{text}]"
    lines = [""]
    for item in codes:
        if len(lines[-1]) + len(item) > 84:
            lines.append("")
        lines[-1] += f" {item},"
    return "[\n" + "".join(f"       {line}\n" for line in lines) + "    ]"


def short(shown: str) -> str:
    """in_features=784, out_features=512, bias=True as 784, 512."""
    usual = r"(bias|affine|track_running_stats|elementwise_affine)=True|inplace=(True|False)"
    usual += r"|start_dim=1, end_dim=-1|eps=1e-05|momentum=0.1|dilation=1|ceil_mode=False"
    shown = re.sub(rf"(, )?({usual})", "", shown).removeprefix(", ")
    return re.sub(r"(in|out)_features=|p=|normalized_shape=", "", shown)
