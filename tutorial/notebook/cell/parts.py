"""A cell's statements, in the order in which they run, and where calls stand in them."""

import ast
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeGuard

import libcst as cst
from libcst import matchers as m
from libcst.metadata import ByteSpanPositionProvider, MetadataWrapper

from tutorial.model import METHODS
from tutorial.unroll.source import names_assigned

FUNCTIONS = (cst.FunctionDef, cst.ClassDef, cst.Lambda)
CALL = m.Call(m.Attribute(attr=m.OneOf(*map(m.Name, METHODS))))
COMPREHENSIONS = (cst.ListComp, cst.SetComp, cst.DictComp, cst.GeneratorExp)


class CellError(ValueError):
    """The cell cannot be unrolled; the message says why, and what to do."""


@dataclass(frozen=True)
class Argument:
    """One argument of a call, as it is written."""

    code: str
    keyword: str | None = None
    star: str = ""

    @property
    def tree(self) -> ast.expr:
        """Its syntax tree."""
        return ast.parse(self.code, mode="eval").body

    @property
    def is_literal(self) -> bool:
        """Whether it is a value that is simply written down: 3, "acc", (64, 128)."""
        try:
            ast.literal_eval(self.tree)
        except ValueError:
            return False
        return True

    @property
    def is_plain(self) -> bool:
        """Whether reading it again gives the same: names, items, sums, but no call."""
        return not any(isinstance(node, DOING + MAKING) for node in ast.walk(self.tree))


# What does something, or makes something new each time.
DOING = (ast.Call, ast.NamedExpr, ast.Await, ast.Yield, ast.YieldFrom, ast.Lambda)
MAKING = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp, ast.List, ast.Dict, ast.Set)


@dataclass(frozen=True)
class Site:
    """A place where `something.fit(...)` and the like stands; what `something` is, is seen later.

    Attributes:
        method: 'fit', 'evaluate', ...
        receiver: the code of what stands before the dot.
        arguments: what stands in the brackets.
        code: all of it.
        start: where it begins in the cell; `end` is where it ends.
        line: its line, from 1.
        stays: why it cannot be unrolled where it stands; None if it can.
    """

    method: str
    receiver: Argument
    arguments: tuple[Argument, ...]
    code: str
    start: int
    end: int
    line: int
    stays: str | None


@dataclass
class Part:
    """A simple statement; a compound one without calls; or the head of a compound one with some.

    Attributes:
        code: what can be run ahead of time to know what later parts need.
        sites: the calls that stand in it.
        start: where it begins in the cell; `end` is where it ends.
        line: its line, from 1.
        indent: the white space before it.
        row: parts on one line have the same.
        blocks: the blocks around it, by numbers; those of loops are negative.
        changing: the names that loops around it change.
        head: whether it is the head of a compound statement.
    """

    code: str
    sites: list[Site]
    start: int
    end: int
    line: int
    indent: str
    row: int
    blocks: tuple[int, ...]
    changing: frozenset[str]
    head: bool = False
    names: set[str] = field(init=False)  # all that it mentions
    reads: set[str] = field(init=False)  # those that it needs
    sets: set[str] = field(init=False)  # those that it binds
    imports: bool = field(init=False)  # whether it is `import ...`
    alters: set[str] = field(init=False)  # those whose objects it may alter

    def __post_init__(self) -> None:
        tree = ast.parse(self.code)
        self.names = names_in(tree)
        self.reads = read_in(tree)
        self.sets = names_assigned(self.code)
        self.alters = altered(tree)
        self.imports = any(isinstance(statement, ast.Import) for statement in tree.body)


class Cell:
    """A cell's source, taken apart.

    Attributes:
        source: the source.
        runnable: the source in which lines that only IPython understands do nothing.
        parts: its parts, in order.
        ends: where each top-level statement ends, its line included.

    Raises:
        CellError: it is not Python.
    """

    def __init__(self, source: str) -> None:
        self.source = source
        self.runnable = runnable(source)
        wrapper = MetadataWrapper(cst.parse_module(self.runnable), unsafe_skip_copy=True)
        self.spans = wrapper.resolve(ByteSpanPositionProvider)
        self.bytes = source.encode()
        self.blocks = 0
        self.parts = list(self._parts(wrapper.module.body, (), frozenset()))
        ends = [self._line_end(self._span(node)[1]) for node in wrapper.module.body]
        self.ends = [*ends[:-1], len(source)] if ends else []

    @property
    def names(self) -> set[str]:
        """All names that it mentions."""
        return names_in(ast.parse(self.runnable))

    def _span(self, node: cst.CSTNode) -> tuple[int, int]:
        span = self.spans[node]
        start = len(self.bytes[: span.start].decode())
        return start, start + len(self.bytes[span.start : span.start + span.length].decode())

    def _line_end(self, at: int) -> int:
        end = self.source.find("\n", at)
        return len(self.source) if end < 0 else end + 1

    def _indent(self, at: int) -> str:
        line = self.source[self.source.rfind("\n", 0, at) + 1 : at]
        return line[: len(line) - len(line.lstrip())]

    def _parts(
        self, body: Sequence[Any], blocks: tuple[int, ...], changing: frozenset[str]
    ) -> Iterator[Part]:
        """The parts of a block's statements."""
        for node in body:
            if isinstance(node, cst.SimpleStatementLine):
                yield from self._simple(node.body, blocks, changing)
                continue
            suites = [] if isinstance(node, FUNCTIONS) else list(suites_of(node))
            inside = any(site for suite in suites for site in self._sites(suite, True))
            head = self._sites(node, False)
            if not inside and not any(site.stays is None for site in head):
                yield self._part(node, self._sites(node, True), blocks, changing)
                continue
            yield self._part(node, head, blocks, changing, head=True)
            loop = isinstance(node, cst.For | cst.While)
            within = changing | (changed(node) if loop else frozenset())
            for suite in suites:
                self.blocks += 1
                inner = (*blocks, -self.blocks if loop else self.blocks)
                if isinstance(suite, cst.SimpleStatementSuite):
                    yield from self._simple(suite.body, inner, within, one_line=True)
                else:
                    yield from self._parts(suite.body, inner, within)

    def _simple(
        self,
        smalls: Sequence[cst.BaseSmallStatement],
        blocks: tuple[int, ...],
        changing: frozenset[str],
        one_line: bool = False,
    ) -> Iterator[Part]:
        row = self._span(smalls[0])[0]
        for small in smalls:
            part = self._part(small, self._sites(small, True), blocks, changing)
            part.row = row
            if one_line:  # after the colon
                part.indent += "    "
            yield part

    def _part(
        self,
        node: cst.CSTNode,
        sites: list[Site],
        blocks: tuple[int, ...],
        changing: frozenset[str],
        head: bool = False,
    ) -> Part:
        start, end = self._span(node)
        if isinstance(node, cst.BaseSmallStatement):
            node = cst.SimpleStatementLine([node.with_changes(semicolon=cst.MaybeSentinel.DEFAULT)])
        code = cst.Module([node]).code if not head else ""  # type: ignore[list-item]
        if head and isinstance(node, cst.For):  # look at its first item
            target, items = (code_of(part) for part in (node.target, node.iter))
            code = f"{target} = next(iter({items}))\n"
        line = self.source.count("\n", 0, start) + 1
        indent = self._indent(start)
        return Part(code, sites, start, end, line, indent, start, blocks, changing, head)

    def _sites(self, node: cst.CSTNode, inside: bool) -> list[Site]:
        finder = Finder(inside)
        node.visit(finder)
        sites = []
        for call, stays in finder.found:
            start, end = self._span(call)
            function = cst.ensure_type(call.func, cst.Attribute)
            arguments = tuple(
                Argument(code_of(arg.value), arg.keyword.value if arg.keyword else None, arg.star)
                for arg in call.args
            )
            receiver = Argument(code_of(function.value))
            if not receiver.is_plain:
                continue
            line = self.source.count("\n", 0, start) + 1
            code = self.source[start:end]
            method = function.attr.value
            sites.append(Site(method, receiver, arguments, code, start, end, line, stays))
        return sorted(sites, key=lambda site: site.start)


class Finder(cst.CSTVisitor):
    """Finds calls of fit, evaluate, ..., and sees whether they are sure to be made, and once."""

    def __init__(self, inside: bool) -> None:
        super().__init__()
        self.inside = inside  # also in the blocks of a compound statement
        self.reasons: list[str] = []
        self.found: list[tuple[cst.Call, str | None]] = []

    def on_visit(self, node: cst.CSTNode) -> bool:
        """Note a call; note what it stands in."""
        if isinstance(node, cst.BaseSuite) and not self.inside:
            return False
        if isinstance(node, FUNCTIONS):
            self.reasons.append("inside a function, it is known only when that is called")
        elif isinstance(node, COMPREHENSIONS):
            self.reasons.append("in a comprehension there is no place for a loop; use `for`")
        elif isinstance(node, cst.Call) and m.matches(node, CALL):
            self.found.append((node, self.reasons[-1] if self.reasons else None))
        return super().on_visit(node)

    def on_leave(self, original_node: cst.CSTNode) -> None:
        """Forget what is left."""
        super().on_leave(original_node)
        if isinstance(original_node, FUNCTIONS + COMPREHENSIONS):
            self.reasons.pop()

    def on_visit_attribute(self, node: cst.CSTNode, attribute: str) -> None:
        """Note what is done only under a condition, or again and again."""
        if (type(node), attribute) in CONDITIONAL:
            self.reasons.append("it is made only under a condition, in the middle of a line")

    def on_leave_attribute(self, original_node: cst.CSTNode, attribute: str) -> None:
        """Forget it."""
        if (type(original_node), attribute) in CONDITIONAL:
            self.reasons.pop()


CONDITIONAL = {
    (cst.BooleanOperation, "right"),
    (cst.IfExp, "body"),
    (cst.IfExp, "orelse"),
    (cst.If, "orelse"),
    (cst.While, "test"),
    (cst.Assert, "msg"),
}


def suites_of(node: cst.CSTNode) -> Iterator[cst.BaseSuite]:
    """The blocks of a compound statement: of an `if` also those of its `else`."""
    for child in node.children:
        if isinstance(child, cst.BaseSuite):
            yield child
        elif isinstance(child, cst.If | cst.Else | cst.Finally | cst.ExceptHandler | cst.MatchCase):
            yield from suites_of(child)


def code_of(node: cst.CSTNode) -> str:
    """A part's code, on one line."""
    code = cst.Module([]).code_for_node(node).strip()
    return ast.unparse(ast.parse(code, mode="eval")) if "\n" in code else code


def names_in(tree: ast.AST) -> set[str]:
    """All names that the code mentions."""
    return {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}


def read_in(tree: ast.AST) -> set[str]:
    """The names whose values the code uses."""
    loaded = {n.id for n in ast.walk(tree) if isinstance(n, ast.Name) and type(n.ctx) is ast.Load}
    added = {n.target for n in ast.walk(tree) if isinstance(n, ast.AugAssign)}  # a += 1 uses a
    return loaded | {target.id for target in added if isinstance(target, ast.Name)}


def root(node: ast.expr) -> str | None:
    """The name that `a.b[c].d` begins with."""
    while isinstance(node, ast.Attribute | ast.Subscript | ast.Starred):
        node = node.value
    return node.id if isinstance(node, ast.Name) else None


def altered(tree: ast.AST) -> set[str]:
    """The names whose objects a statement alters: `a.b = c`, `a[0] += 1`, `a.append(b)`.

    In a loop, a call does not count: that is a training by hand, most likely.
    """
    found: set[str | None] = set()
    for node in ast.iter_child_nodes(tree):
        match node:
            case ast.For() | ast.While() | ast.FunctionDef() | ast.ClassDef():
                continue
            case ast.Expr(value=ast.Call(func=ast.Attribute() as function)):
                found.add(root(function))
            case (
                ast.Attribute(ctx=ast.Store() | ast.Del())
                | ast.Subscript(ctx=ast.Store() | ast.Del())
            ):
                found.add(root(node))
        found |= altered(node)
    return {name for name in found if name is not None}


def changed(loop: cst.For | cst.While) -> frozenset[str]:
    """The names that stand for something else, or something new, in another turn of a loop."""
    code = cst.Module([loop]).code
    found = {root(node) for node in ast.walk(ast.parse(code)) if renews(node)}
    return frozenset(names_assigned(code) | {name for name in found if name is not None})


def renews(node: ast.AST) -> TypeGuard[ast.expr]:
    """Whether it is `a.b = ...`, `a[0] = ...` or `a.prepare`."""
    if isinstance(node, ast.Attribute) and node.attr == "prepare":
        return True
    return isinstance(node, ast.Attribute | ast.Subscript) and not isinstance(node.ctx, ast.Load)


def runnable(source: str) -> str:
    """The source, in which lines for IPython (`%time ...`, `!ls`) are made to do nothing.

    Every other place stays where it is.

    Raises:
        CellError: the rest is not Python.
    """
    lines = source.splitlines(keepends=True)
    while True:
        try:
            ast.parse("".join(lines))
            return "".join(lines)
        except SyntaxError as error:
            at = (error.lineno or 1) - 1
            line = lines[at] if at < len(lines) else ""
            if not re.match(r"\s*[%!]", line):
                message = f"line {error.lineno}: {error.msg}: {line.strip()}"
                raise CellError(message) from None
            lines[at] = re.sub(r"[%!].*", lambda text: idle(text[0]), line)


def idle(text: str) -> str:
    """A statement that does nothing and takes as many bytes as the text."""
    return "0" + " " * (len(text.encode()) - 1)
