"""Weave layers into the plain loop: one function of the loop and of the options that are on.

What a layer is, and how it says what it changes: see loop/layers/__init__.py. Here each layer is
read against the plain loop alone, and notes at its lines what is to be done with them. Then the
lines are written. What has no clear meaning is an error (`WeaveError`), never a guess.

It works on LibCST's concrete syntax tree, which keeps comments. Two statements are the same line if
their code is the same; comments do not count, and of a `for` only the variables.
"""

import ast
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from types import CodeType
from typing import Any

import libcst as cst
from libcst import matchers as m

from tutorial.loop.layers import LAYERS, PLACES

COMPOUND = (cst.For, cst.If, cst.With)
LOOPS = ("fit", "evaluate", "predict", "one_batch", "helpers")


class WeaveError(Exception):
    """A layer does not fit the loop, or two layers do not fit each other."""


# ---- the loop and the layers, as they stand in their files


@dataclass(frozen=True, eq=False)
class Layer:
    """A function of a file in layers/, at one of its places.

    Attributes:
        file: the name of its file, such as 'clip'.
        name: the function's name.
        place: where it belongs, such as 'fit_step'.
        when: the condition on the options, compiled.
        takes_in: the files whose lines beside a wrapped line belong inside, too.
        body: its statements.
    """

    file: str
    name: str
    place: str
    when: CodeType
    takes_in: tuple[str, ...]
    body: tuple[Any, ...]

    def is_on(self, options: Mapping[str, Any]) -> bool:
        """Whether the condition holds."""
        return bool(eval(self.when, {}, options))


@cache
def plain_functions() -> dict[str, cst.FunctionDef]:
    """The functions of the plain loops and their helpers, by name."""
    return {node.name.value: node for name in LOOPS for node in functions_in(f"{name}.py")}


@cache
def all_layers() -> tuple[Layer, ...]:
    """All layers, in the order in which their lines stand."""
    return tuple(
        layer
        for file in LAYERS
        for function in functions_in(f"layers/{file}.py")
        for layer in layers_of(file, function)
    )


def functions_in(path: str) -> Iterable[cst.FunctionDef]:
    """The functions in a file of loop/."""
    source = files("tutorial.loop").joinpath(path).read_text(encoding="utf-8")
    return (node for node in cst.parse_module(source).body if isinstance(node, cst.FunctionDef))


def layers_of(file: str, function: cst.FunctionDef) -> Iterable[Layer]:
    """A layer for each of the function's decorators: @place(when, takes_in=...)."""
    for decorator in function.decorators:
        mark = cst.ensure_type(decorator.decorator, cst.Call)
        place = cst.ensure_type(mark.func, cst.Name).value
        if place not in PLACES:
            raise WeaveError(
                f"{file}: {place} is no place of the loop; it has {', '.join(PLACES)}."
            )
        when, *more = mark.args
        takes_in = ast.literal_eval(code_of(more[0].value)) if more else ()
        condition = compile(code_of(when.value).replace("\n", " ").strip(), f"<{file}>", "eval")
        yield Layer(file, function.name.value, place, condition, takes_in, tuple(suite(function)))


# ---- a block of the plain loop, with what layers do to it


@dataclass
class Line:
    """A statement of the plain loop. What stands beside it comes in pairs (layer's file, node)."""

    node: Any
    body: "Block | None" = None
    before: list[tuple[str, Any]] = field(default_factory=list)
    after: list[tuple[str, Any]] = field(default_factory=list)
    instead: tuple[str, list[Any]] | None = None  # what replaces it
    filled: list[Any] = field(default_factory=list)  # statements with `...` where something stood
    iterates: Any = None  # what a `for` goes through instead
    comment: Any = None  # what a layer says of it instead


@dataclass
class Wrap:
    """A compound statement that a layer puts around the lines from first to last."""

    layer: Layer
    node: Any
    first: int
    last: int
    begin: list[Any]
    end: list[Any]


@dataclass
class Block:
    """The lines of a block, what layers put at its ends, and around its lines."""

    lines: list[Line]
    begin: list[tuple[str, Any]] = field(default_factory=list)
    end: list[tuple[str, Any]] = field(default_factory=list)
    wraps: list[Wrap] = field(default_factory=list)


def block_of(statements: Iterable[Any]) -> Block:
    """The statements as a block, before any layer."""
    return Block(
        [
            Line(node, block_of(suite(node)) if isinstance(node, COMPOUND) else None)
            for node in statements
        ]
    )


def weave(function: str, layers: Sequence[Layer]) -> cst.FunctionDef:
    """One function of the plain loop, woven together with layers.

    Args:
        function: its name, such as 'fit'.
        layers: those that are on, in order; those of other functions are left out.

    Raises:
        WeaveError: a layer does not fit the loop, or two do not fit each other.
    """
    plain = plain_functions()[function]
    docstring, *statements = suite(plain)
    whole = block_of(statements)
    for layer in layers:
        target, *path = PLACES[layer.place]
        if target == function:
            Reader(layer).read(layer.body, inner(whole, path))
    body = plain.body.with_changes(body=[docstring, *written(whole)])
    return plain.with_changes(body=body, decorators=())


def inner(block: Block, path: Sequence[str]) -> Block:
    """The block inside of the lines that begin so."""
    for head in path:
        [block] = [
            line.body for line in block.lines if line.body and key(line.node).startswith(head)
        ]
    return block


# ---- read a layer


class Reader:
    """Reads one layer against the plain loop, and notes at its lines what is to be done."""

    def __init__(self, layer: Layer) -> None:
        self.layer = layer

    def read(self, statements: Sequence[Any], block: Block) -> None:
        """Go through the layer's statements and the block's lines side by side."""
        at, dots = 0, False  # the block's next line; were there dots since the last one?
        new: list[Any] = []
        for node in statements:
            if is_dots(node):
                self.put(new, block.lines[at - 1].after if at else block.begin, unclear=dots)
                dots, new = True, []
            elif (span := self.span(node, block, at)) is not None:
                self.fill_gap(block, at, span[0], dots, new)
                self.meet(node, block, *span)
                at, dots, new = span[1] + 1, False, []
            else:
                self.check_order(node, block, at)
                new.append(node)
        if new or not dots:
            self.fill_gap(block, at, len(block.lines), dots, new)

    def span(self, node: Any, block: Block, at: int) -> tuple[int, int] | None:
        """The line of the block that this is; or the first and the last line that stand in it."""
        for i in range(at, len(block.lines)):
            if key(block.lines[i].node) == key(node):
                return i, i
        inside = suite(node) if isinstance(node, COMPOUND) else []
        spans = [span for each in inside if (span := self.span(each, block, at))]
        return (spans[0][0], spans[-1][1]) if spans else None

    def check_order(self, node: Any, block: Block, at: int) -> None:
        """Refuse a line of the loop once more, behind one that it stands before."""
        if key(node) in [key(line.node) for line in block.lines[:at]]:
            raise WeaveError(
                f"{self.layer.file}: {shown(node)} comes after "
                f"{shown(block.lines[at - 1].node)}, but in the loop it stands before it. A layer "
                "keeps the loop's order."
            )

    def put(self, new: list[Any], where: list[tuple[str, Any]], unclear: bool = False) -> None:
        """Put new statements beside a line, or at an end of a block."""
        if new and unclear:
            raise WeaveError(
                f"{self.layer.file}: there are dots before and after "
                f"{' '.join(map(shown, new))}, and none of these is a line of the loop in this "
                "block. Write the line that they go with beside them, as it stands in the loop."
            )
        where.extend((self.layer.file, node) for node in new)

    def fill_gap(self, block: Block, at: int, until: int, dots: bool, new: list[Any]) -> None:
        """What stands between two lines of the loop: beside the second, or in place of others."""
        gone = [] if dots else block.lines[at:until]
        if not gone:
            rest = block.lines[until:]
            self.put(new, rest[0].before if rest else block.end)
        elif not new:
            raise WeaveError(
                f"{self.layer.file} leaves out {shown(gone[0].node)}. Write `...` if it stays, "
                "or `pass` to take it out."
            )
        elif len(gone) > 1 and (at == 0 or until == len(block.lines)):
            raise WeaveError(
                f"{self.layer.file} {'begins' if at == 0 else 'ends'} without `...`, and would "
                f"take out {len(gone)} lines there, {shown(gone[0].node)} to "
                f"{shown(gone[-1].node)}. Write `...` if they stay."
            )
        elif len(gone) == len(new) == 1 and m.findall(new[0], m.Ellipsis()):
            gone[0].filled.append(new[0])
        else:
            rest_empty: list[list[Any]] = [[] for _ in gone[1:]]
            for line, nodes in zip(gone, [new, *rest_empty], strict=True):
                if line.instead:
                    raise WeaveError(
                        f"{line.instead[0]} and {self.layer.file} both replace {shown(line.node)}. "
                        "Let one of them say what happens where both are on."
                    )
                line.instead = self.layer.file, [node for node in nodes if not is_pass(node)]

    def meet(self, node: Any, block: Block, first: int, last: int) -> None:
        """A line of the loop once more, perhaps with more inside; or a new one around lines."""
        line = block.lines[first]
        if key(node) == key(line.node):
            if isinstance(node, cst.SimpleStatementLine) and node.trailing_whitespace.comment:
                line.comment = node.trailing_whitespace
            if isinstance(node, cst.For) and code_of(node.iter) != code_of(line.node.iter):
                line.iterates = node.iter
            if line.body and not all(map(is_dots, suite(node))):
                self.read(suite(node), line.body)
            return
        inside = Block(block.lines[first : last + 1])
        counts = len(inside.lines[0].before), len(inside.lines[-1].after)
        self.read(suite(node), inside)
        # What this layer put beside the first and the last line belongs inside.
        begin = inside.begin + taken(inside.lines[0].before, counts[0])
        end = taken(inside.lines[-1].after, counts[1]) + inside.end
        nodes = ([node for _, node in part] for part in (begin, end))
        block.wraps.append(Wrap(self.layer, node, first, last, *nodes))


def taken(pairs: list[tuple[str, Any]], start: int) -> list[tuple[str, Any]]:
    """The pairs from start on, which are removed from the list."""
    rest = pairs[start:]
    del pairs[start:]
    return rest


# ---- write the woven loop


def written(block: Block) -> list[Any]:
    """The block's statements, with all that layers do."""
    parts = [(i, i, written_line(line)) for i, line in enumerate(block.lines)]
    for wrap in block.wraps:
        beside = (*block.lines[wrap.first].before, *block.lines[wrap.last].after)
        for file, node in beside:
            if file not in (wrap.layer.file, *wrap.layer.takes_in):
                raise WeaveError(
                    f"{file} puts {shown(node)} beside a line that {wrap.layer.file} wraps: inside "
                    f"or outside? If inside, add {file!r} to its takes_in; else it must go with "
                    "another line."
                )
        inside = [part for part in parts if wrap.first <= part[0] and part[1] <= wrap.last]
        if not inside or (inside[0][0], inside[-1][1]) != (wrap.first, wrap.last):
            raise WeaveError(
                f"{wrap.layer.file} and another layer wrap lines that overlap: "
                f"{shown(block.lines[wrap.first].node)} to {shown(block.lines[wrap.last].node)}."
            )
        nodes = [*wrap.begin, *(node for part in inside for node in part[2]), *wrap.end]
        whole = with_body(wrap.node, nodes)
        at = parts.index(inside[0])
        parts[at : at + len(inside)] = [(wrap.first, wrap.last, [whole])]
    begin, end = ([node for _, node in part] for part in (block.begin, block.end))
    return [*begin, *(node for part in parts for node in part[2]), *end]


def written_line(line: Line) -> list[Any]:
    """A line of the loop, with what layers put beside it and in its place."""
    node = line.node
    if line.body is not None:
        node = with_body(node, written(line.body))
    if line.comment is not None:
        node = node.with_changes(trailing_whitespace=line.comment)
    if line.iterates is not None:
        node = node.with_changes(iter=line.iterates)
    nodes = [node] if line.instead is None else line.instead[1]
    beside = [*line.before, *line.after, *(("a layer", node) for node in line.filled)]
    if not nodes and beside:
        assert line.instead is not None
        raise WeaveError(
            f"{beside[0][0]} puts {shown(beside[0][1])} beside {shown(line.node)}, which "
            f"{line.instead[0]} takes out. Go with another line."
        )
    for pattern in line.filled:
        nodes = [filled(pattern, nodes[0]), *nodes[1:]]
    return [*(n for _, n in line.before), *nodes, *(n for _, n in line.after)]


def filled(pattern: Any, old: Any) -> Any:
    """The pattern, with what stood in the old statement in the place of its dots."""
    body = [filled_in(pattern.body[0], old.body[0])]
    return old.with_changes(body=body, trailing_whitespace=pattern.trailing_whitespace)


def filled_in(new: Any, old: Any) -> Any:
    """Follow the two as far inwards as they are alike: there the dots stand for what was there."""
    if type(new) is type(old):
        for name in ("value", "func"):
            part = getattr(new, name, None)
            if isinstance(part, cst.CSTNode) and m.findall(part, m.Ellipsis()):
                return new.with_changes(**{name: filled_in(part, getattr(old, name))})
        if isinstance(new, cst.Call) and len(new.args) == len(old.args) == 1:
            value = filled_in(new.args[0].value, old.args[0].value)
            return new.with_changes(args=[new.args[0].with_changes(value=value)])
    bare = old.with_changes(lpar=[], rpar=[]) if hasattr(old, "lpar") else old
    return m.replace(new, m.Ellipsis(), bare)


# ---- what a statement is


@cache
def key(node: Any) -> str:
    """What makes two statements the same line: the code; of a compound one, its first line."""
    match node:
        case cst.For():
            return f"for {code_of(node.target)}"
        case cst.If():
            return f"if {code_of(node.test)}"
        case cst.With():
            return f"with {', '.join(code_of(item.item) for item in node.items)}"
    code = code_of(node.with_changes(leading_lines=[]))
    return ast.dump(ast.parse(textwrap.dedent(code)))


@cache
def suite(node: Any) -> list[Any]:
    """The statements in a compound one, also where they stand behind its colon."""
    if isinstance(node.body, cst.SimpleStatementSuite):
        return [cst.SimpleStatementLine([part]) for part in node.body.body]
    return list(node.body.body)


def with_body(node: Any, statements: list[Any]) -> Any:
    """A compound statement with other statements inside."""
    if isinstance(node.body, cst.IndentedBlock):
        return node.with_changes(body=node.body.with_changes(body=statements))
    return node.with_changes(body=cst.IndentedBlock(statements))


@cache
def is_dots(node: Any) -> bool:
    """Whether it is `...`: what stays as it is."""
    return m.matches(node, m.SimpleStatementLine([m.Expr(m.Ellipsis())]))


def is_pass(node: Any) -> bool:
    """Whether it is `pass`: nothing in the place of a line."""
    return m.matches(node, m.SimpleStatementLine([m.Pass()]))


def shown(node: Any) -> str:
    """The first line of a statement, for a message."""
    code = code_of(node.with_changes(leading_lines=[])) if hasattr(node, "leading_lines") else ""
    return f"`{code.strip().splitlines()[0]}`"


def code_of(node: Any) -> str:
    """A node as code."""
    return cst.Module([]).code_for_node(node)
