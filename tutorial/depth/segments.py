"""Where a loop goes through the network: the lines from `network(x)` to `backward()`."""

import ast
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import libcst as cst
from libcst import matchers as m

NETWORK = m.Call(m.Name("network"))
BACKWARD = m.Call(m.Attribute(attr=m.Name("backward")))
ITEM = m.Call(m.Attribute(attr=m.Name("item")))
NO_CODE = cst.Module([])


@dataclass(frozen=True)
class Segment:
    """Lines of a loop that go through the network.

    Attributes:
        code: all of it, as it stands in the loop.
        given: lines that only count what is in the batch, such as the labels that are to count.
        lines: the others, without the call of backward().
        counted: lines that make a number of what a loss says that it averaged over.
        learned_from: code for what backward() is called on; None if nothing is learned.
        unless: an `if` that says what the loss is where there is nothing to learn from.
        weight: what is 0 then.
        weights: pairs of one of several losses, and what is 0 where it has nothing to learn from.
        batch: how the loop names its batch: (x, y); None if it has names already.
    """

    code: str
    given: str
    lines: str
    counted: str
    learned_from: str | None
    unless: str
    weight: str
    weights: tuple[tuple[str, str], ...]
    batch: str | None

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
        given, lines, counted, learned_from = "", "", "", None
        unless, of_network = list[cst.If](), set[str]()
        for node in nodes:
            text = code_of(node)
            if learns and node is nodes[-1]:
                [back] = m.findall(node, BACKWARD)
                called = cst.ensure_type(cst.ensure_type(back, cst.Call).func, cst.Attribute)
                learned_from = code_of(called.value)
            elif isinstance(node, cst.If):
                unless.append(node)
            elif m.findall(node, ITEM) and names_in(node) <= of_network | {"item"}:
                counted += text
            elif goes_through(node) or names_in(node) & of_network:
                of_network |= set(assigned(node))
                lines += text
            else:
                given += text
        parts = [self.of_one_loss(node, nodes) for node in unless]
        alone = len(parts) == 1 and (learned_from is None or parts[0][0] in learned_from)
        return Segment(
            "".join(map(code_of, nodes)),
            given,
            lines,
            counted,
            learned_from,
            unless=code_of(*unless) if alone else "",
            weight=parts[0][2] if alone else "",
            weights=() if alone else tuple(part[1:] for part in parts),
            batch=batch,
        )

    def of_one_loss(self, unless: cst.If, nodes: list[Any]) -> tuple[str, str, str]:
        """What such an `if` sets, the loss that has computed it, and what is 0 then."""
        [name] = assigned(unless)
        weight = code_of(cst.ensure_type(unless.test, cst.Comparison).left)
        lines = [line for node in nodes for line in m.findall(node, m.Assign())]
        computed = [line for line in lines if name in assigned(line)[:1]]
        called = [loss for line in computed for loss in names_in(line) & self.losses]
        loss_fn = called[0] if called else ""
        return name, loss_fn, weight


def results_of(lines: str) -> list[str]:
    """The names that the lines assign, in order."""
    module = cst.parse_module(lines)
    return list(dict.fromkeys(name for node in module.body for name in assigned(node)))
