"""Where a loop goes through the network: the lines from `network(x)` to `backward()`."""

import ast
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import libcst as cst
from libcst import matchers as m

from tutorial.depth.trace import CannotTraceError

NETWORK = m.Call(m.Name("network"))
BACKWARD = m.Call(m.Attribute(attr=m.Name("backward")))
NO_CODE = cst.Module([])


@dataclass(frozen=True)
class Segment:
    """Lines of a loop that go through the network.

    Attributes:
        given: lines that only count what is in the batch, such as the labels that are to count.
        lines: the others, without the call of backward().
        learned_from: code for what backward() is called on; None if nothing is learned.
        unless: an `if` that says what the loss is where there is nothing to learn from.
        weight: what is 0 then.
        batch: how the loop names its batch: (x, y); None if it has names already.
    """

    given: str
    lines: str
    learned_from: str | None
    unless: str
    weight: str
    batch: str | None

    @property
    def code(self) -> str:
        """All of it, as it stands in the loop."""
        backward = f"({self.learned_from}).backward()\n" if self.learns else ""
        return f"{self.given}{self.lines}{self.unless}{backward}"

    @property
    def key(self) -> tuple[str, str | None]:
        """What it is, wherever its comments stand."""
        return ast.unparse(ast.parse(self.code)), self.batch

    @property
    def learns(self) -> bool:
        """Whether gradients are computed."""
        return self.learned_from is not None


def code_of(*nodes: cst.CSTNode) -> str:
    """The nodes as code."""
    return "".join(NO_CODE.code_for_node(node) for node in nodes)


def names_in(node: cst.CSTNode, context: type = cst.Name) -> set[str]:
    """The names that a node mentions."""
    return {name.value for name in m.findall(node, m.Name()) if isinstance(name, cst.Name)}


def assigned(node: cst.CSTNode) -> list[str]:
    """The names that a statement assigns, in order."""
    found: list[str] = []
    for assign in m.findall(node, m.Assign()):
        for target in cst.ensure_type(assign, cst.Assign).targets:
            found += [
                name.value
                for name in m.findall(target.target, m.Name())
                if isinstance(name, cst.Name)
            ]
    return found


def goes_through(node: cst.CSTNode) -> bool:
    """Whether a statement calls the network itself, not in a loop of its own."""
    return bool(m.findall(node, NETWORK)) and not m.findall(node, m.For())


class Segments(cst.CSTTransformer):
    """Finds the segments of a loop; `write` gives what is to stand in the place of each.

    Args:
        losses: the variables of the losses.
    """

    def __init__(self, losses: Collection[str], write: Any) -> None:
        super().__init__()
        self.losses, self.write = set(losses), write
        self.batches: list[str] = []

    def visit_For(self, node: cst.For) -> None:  # noqa: N802
        target = node.target
        if isinstance(target, cst.Tuple) and m.matches(target.elements[0].value, m.Name("step")):
            self.batches.append(code_of(target.elements[1].value))

    def leave_For(self, original_node: cst.For, updated_node: cst.For) -> cst.For:  # noqa: N802
        target = original_node.target
        if isinstance(target, cst.Tuple) and m.matches(target.elements[0].value, m.Name("step")):
            body = cst.ensure_type(updated_node.body, cst.IndentedBlock)
            new = self.in_block([*body.body], self.batches.pop())
            return updated_node.with_changes(body=body.with_changes(body=new))
        return updated_node

    def leave_Module(  # noqa: N802
        self, original_node: cst.Module, updated_node: cst.Module
    ) -> cst.Module:
        return updated_node.with_changes(body=self.in_block([*updated_node.body], None))

    def in_block(self, body: list[Any], batch: str | None) -> list[Any]:
        """The block, with its segment written out, if it has one."""
        first = next((i for i, node in enumerate(body) if goes_through(node)), None)
        if first is None:
            return body
        back = next((i for i, node in enumerate(body) if m.findall(node, BACKWARD)), None)
        called = [i for i, node in enumerate(body) if self.losses & names_in(node) and i >= first]
        last = back if back is not None else max([first, *called])
        segment = self.segment(body[first : last + 1], batch, back is not None)
        _, *new = cst.parse_module(
            f"pass\n{self.write(segment)}"
        ).body  # else it had no first comment
        return [*body[:first], *new, *body[last + 1 :]]

    def segment(self, nodes: list[Any], batch: str | None, learns: bool) -> Segment:
        """The lines, sorted by what they do."""
        given, lines, unless, learned_from = [], [], list[cst.If](), None
        of_network: set[str] = set()
        for node in nodes:
            if learns and node is nodes[-1]:
                [back] = m.findall(node, BACKWARD)
                called = cst.ensure_type(cst.ensure_type(back, cst.Call).func, cst.Attribute)
                learned_from = code_of(called.value)
            elif isinstance(node, cst.If):
                unless.append(node)
            elif goes_through(node) or names_in(node) & of_network:
                of_network |= set(assigned(node))
                lines.append(code_of(node))
            else:
                given.append(code_of(node))
        if len(unless) > 1:
            raise CannotTraceError(
                "there are several losses, and for each there may be nothing to learn from"
            )
        tests = [cst.ensure_type(node.test, cst.Comparison) for node in unless]
        weight = code_of(*(test.left for test in tests))
        given_text, text = "".join(given), "".join(lines)
        return Segment(given_text, text, learned_from, code_of(*unless), weight, batch)


def results_of(lines: str) -> list[str]:
    """The names that the lines assign, in order."""
    module = cst.parse_module(lines)
    return list(dict.fromkeys(name for node in module.body for name in assigned(node)))
