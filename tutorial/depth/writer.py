"""Writes traced operations as lines, layer by layer."""

import json
import re
from collections.abc import Iterator, Mapping
from textwrap import indent
from typing import Any

from torch import Tensor, fx, nn

from tutorial.depth.expressions import Expressions
from tutorial.depth.graph import changes_state, is_item_of, is_several, operation, out_of, writes
from tutorial.depth.live import Live
from tutorial.depth.names import Names, in_lines
from tutorial.depth.passes import Pass
from tutorial.depth.results import Results
from tutorial.depth.segments import Segment
from tutorial.depth.trace import BACKWARD

READ_TWICE = {"select_backward.default", "slice_backward.default"}  # what they read, stands twice


class Writer:
    """Writes the traced operations of a segment as lines.

    Args:
        segment: the loop's lines.
        named: the names of weights and buffers.
        network: the network.
        passes: two traced passes, with batches of different sizes.
        all_count: whether it is known that no label is to be ignored.
    """

    def __init__(
        self,
        segment: Segment,
        named: Names,
        network: nn.Module,
        passes: list[Pass],
        all_count: bool,
    ) -> None:
        self.segment, self.named, self.network = segment, named, network
        self.one, self.other = passes
        self.traced = self.one.traced
        self.live = Live(self.traced)
        self.expression = Expressions(self.one, self.other, self.live, named, all_count)
        self.codes, self.tools = self.expression.codes, self.expression.tools
        self.name_inputs()
        self.name = Results(self.traced, self.live, named)
        self.order = {node: i for i, node in enumerate(self.live.nodes)}
        self.in_place = [i for i, node in enumerate(self.live.nodes) if writes(node)]
        self.nothing = {self.live.real(k): v for k, v in self.traced.nothing.items()}
        self.checks = {self.live.real(k): v for k, v in self.traced.checks.items()}
        self.lines: list[str] = []
        self.heading: tuple[str, str] | None = None
        self.turn: int | None = None  # the line where backward begins

    def text(self) -> str:
        """The whole segment."""
        for node in self.live.nodes:
            if node in self.live and node.op == "call_function" and node not in self.codes:
                self.write(node)
        turn = len(self.lines) if self.turn is None else self.turn
        forward, backward = self.lines[:turn], self.lines[turn:]
        forward += [*self.nested_results(), *self.numbers(), self.segment.unless]
        backward += self.gradients()
        if self.segment.weight and backward:
            backward = [f"if {self.segment.weight} > 0:\n", indent("".join(backward), "    ")]
        size = f"n = len({self.first_input()})  # samples in this batch\n"
        head = [self.segment.given, size * self.expression.uses_n]
        self.named.local |= {*self.name.names.values()}
        return "".join([*head, *forward, *backward])

    def name_inputs(self) -> None:
        """Code for weights, buffers, parts of the batch, and constants."""
        inputs = iter(self.one.inputs)
        for node in self.live.nodes:
            if node.op == "placeholder":
                key = next(inputs)
                self.codes[node] = self.named(key) if self.live.uses.get(node) else key
            elif node.op == "get_attr" and self.live.uses.get(node):
                fresh = all(operation(user) == "lift_fresh_copy.default" for user in node.users)
                self.codes[node] = "" if fresh else self.expression.constant(node, self.network)

    def first_input(self) -> str:
        """The first part of the batch."""
        return next(key for key in self.one.inputs if " " not in key)

    # -- a line

    def write(self, node: fx.Node) -> None:
        """The operation's line; or nothing yet, if its only reader has room for it."""
        if operation(node) == "getitem" and is_several(node.args[0]):
            self.codes.setdefault(node, "")
            return  # named in the line that gives them all
        code = self.expression(node)
        if self.fits_in(node, code):
            self.codes[node] = code
            return
        self.head(node)
        if node in self.checks and self.live.uses.get(node, 0) == 0:
            self.codes[node] = code
        elif changes_state(node) or (writes(node) and not self.live.uses.get(node)):
            self.lines.append(f"{code}\n")
            self.codes[node] = self.changed(node)
        else:
            self.assign(node, code)
        self.after(node)

    def changed(self, node: fx.Node) -> str:
        """What an operation has changed in place, as code."""
        of: Any = out_of(node) or node.args[0]
        return self.codes[self.live.real(of)]

    def assign(self, node: fx.Node, code: str) -> None:
        """A line that gives the result its name, or several results theirs."""
        if is_several(node) and not self.expression.is_plain(node):
            parts = self.name.of_several(node)
            left = ", ".join(name for name, _ in parts)
            self.lines.append(f"{left if len(parts) > 1 else f'[{left}]'} = {code}\n")
            self.codes |= {item: name for name, item in parts if item is not None}
            return
        if is_several(node):  # of which only the first is read
            items = [item for item in self.live.nodes if is_item_of(item, node)]
            [node] = [item for item in items if item.args[1] == 0]
        self.codes[node] = name = self.name(node)
        if code != name:
            self.lines.append(f"{name} = {code}\n")

    def after(self, node: fx.Node) -> None:
        """What follows: a check; or 0, where there is nothing to learn from."""
        if (check := self.checks.get(node)) is not None:
            expected = self.codes[node] if check.expected else f"not {self.codes[node]}"
            self.lines.append(f"assert {expected}, {json.dumps(check.message)}\n")
        for each in [node, *(item for item in self.live.nodes if is_item_of(item, node))]:
            if each in self.nothing and self.codes.get(each):
                weight, y_hat = self.nothing[each]
                name = self.codes[each]
                nothing = f"torch.zeros_like({name})"
                if y_hat is not None:
                    nothing = f"0.0 * {self.codes[self.live.real(y_hat)]}.sum()"
                self.lines.append(f"if {weight} == 0:\n    {name} = {nothing}\n")

    def fits_in(self, node: fx.Node, code: str) -> bool:
        """Whether the operation is written inside of the one that reads it."""
        if node in self.name.given or node in self.nothing or node in self.checks:
            return False
        if is_several(node) or changes_state(node):
            return False
        uses = self.live.uses.get(node, 0)
        if operation(node) == "ones_like.default":
            return uses == 1
        if operation(node) == "t.default" and len(code) < 20:
            return True  # W_1.T
        readers = self.live.readers(node)
        longest = 75 if writes(node) else 50
        if uses != 1 or len(readers) != 1 or len(code) > longest:
            return False
        if operation(readers[0]) in READ_TWICE:
            return False
        begin, end = self.order[node], self.order[readers[0]]
        between = [i for i in self.in_place if begin < i < end]
        return not between and (self.place(node) == self.place(readers[0]))

    # -- headings

    def place(self, node: fx.Node) -> tuple[str, str]:
        """The layer to which it belongs, and the way: forward or backward."""
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

    # -- what the loop reads

    def nested_results(self) -> Iterator[str]:
        """The lines that put results together again: y_hat = {"out": x_3}."""
        yield from (f"{name} = {self.codes[node]}\n" for name, node in self.name.same.items())
        for name, structure in self.one.structures.items():
            results = iter(
                self.codes[self.live.real(self.traced.results[key])]
                for key in self.traced.results
                if key.startswith(f"{name}@")
            )
            yield f"{name} = {self.nested(structure, self.other.structures[name], results)}\n"

    def nested(self, structure: Any, twin: Any, results: Iterator[str]) -> str:
        """A nested structure as code, with results in the place of its tensors."""
        if isinstance(structure, Mapping):
            items = [
                f"{key!r}: {self.nested(part, twin[key], results)}"
                for key, part in structure.items()
            ]
            return "{" + ", ".join(items) + "}"
        if isinstance(structure, list | tuple):
            both = zip(structure, twin, strict=True)
            parts = ", ".join(self.nested(part, other, results) for part, other in both)
            single = "," * (len(structure) == 1)
            return f"[{parts}]" if isinstance(structure, list) else f"({parts}{single})"
        if structure is Tensor:
            return next(results)
        return self.expression.argument(structure, twin)

    def numbers(self) -> Iterator[str]:
        """The lines that make numbers of results: batch_weight = h_3.item()."""
        for key, node in self.traced.results.items():
            if key.endswith("@item"):
                code = self.codes[self.live.real(node)]
                yield f"{key.removesuffix('@item')} = {code}.item()\n"

    def gradients(self) -> Iterator[str]:
        """The lines that hand the gradients to the weights."""
        if not self.segment.learns:
            return
        found = [key for key in self.traced.results if key.startswith("d ")]
        pairs = []
        for key in found:
            node = self.live.real(self.traced.results[key])
            pairs.append((key[2:], self.codes[node]))
        paths = [f"network {path}" for path, _ in self.network.named_parameters()]
        codes = [code for _, code in pairs]
        if [key for key, _ in pairs] == paths:
            weights = "network.parameters()"
        else:
            weights = f"[{in_lines([weight_code(key) for key, _ in pairs], 4)}]"
        yield f"for weight, gradient in zip({weights}, [{in_lines(codes, 4)}]):\n"
        yield "    weight.grad = gradient if weight.grad is None else weight.grad + gradient\n"


def weight_code(key: str) -> str:
    """network[1].weight would not read; network.get_parameter("1.weight") does."""
    variable, path = key.split(" ")
    return f'{variable}.get_parameter("{path}")'


def short(shown: str) -> str:
    """in_features=784, out_features=512, bias=True as 784, 512."""
    usual = r"(bias|affine|track_running_stats|elementwise_affine)=True|inplace=(True|False)"
    usual += r"|start_dim=1, end_dim=-1|eps=1e-05|momentum=0.1|dilation=1|ceil_mode=False"
    shown = re.sub(rf"(, )?({usual})", "", shown).removeprefix(", ")
    return re.sub(r"(in|out)_features=|p=|normalized_shape=", "", shown)
