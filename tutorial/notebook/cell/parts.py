"""A cell's statements, in the order in which they run, and where calls stand in them."""

import ast
import io
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import accumulate
from typing import TypeGuard

from tutorial.model import METHODS
from tutorial.unroll.source import names_assigned

FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda)
LOOPS = (ast.For, ast.AsyncFor, ast.While)
COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)


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
MAKING = (*COMPREHENSIONS, ast.List, ast.Dict, ast.Set)


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
        magic: what stands there for IPython alone, such as `%time ...`; code does nothing then.
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
    magic: str = ""
    names: set[str] = field(init=False)  # all that it mentions
    reads: set[str] = field(init=False)  # those that it needs
    sets: set[str] = field(init=False)  # those that it binds
    imports: bool = field(init=False)  # whether it is `import ...`
    alters: set[str] = field(init=False)  # those whose objects it may alter

    def __post_init__(self) -> None:
        tree = ast.parse(self.code)
        self.names = names_in(tree)
        self.reads = read_in(tree)
        self.sets = names_assigned(self.code) | names_assigned(python_in(self.magic))
        self.alters = altered(tree)
        self.imports = any(isinstance(statement, ast.Import) for statement in tree.body)


class Cell:
    """A cell's source, in parts.

    Attributes:
        source: the source.
        runnable: the source in which lines that only IPython understands do nothing.
        names: all names that it mentions.
        parts: its parts, in order.
        ends: where each top-level statement ends, its line included.

    Raises:
        CellError: it is not Python.
    """

    def __init__(self, source: str) -> None:
        self.source = source
        self.runnable = runnable(source)
        lines = list(io.StringIO(self.runnable, newline=""))
        self.lines = [line.encode() for line in lines]
        self.starts = [0, *accumulate(map(len, lines))]
        tree = ast.parse(self.runnable)
        self.names = names_in(tree)
        self.blocks = 0
        self.parts = list(self._parts(tree.body, (), frozenset()))
        for part in self.parts:
            self.names |= names_in(ast.parse(python_in(part.magic)))
        ends = list(dict.fromkeys(self._line_end(self._span(node)[1]) for node in tree.body))
        self.ends = [*ends[:-1], len(source)] if ends else []

    # ---- places in the source

    def _span(self, node: ast.stmt | ast.expr) -> tuple[int, int]:
        """Where a node begins and ends."""
        assert node.end_lineno is not None and node.end_col_offset is not None
        start = self._place(node.lineno, node.col_offset)
        return start, self._place(node.end_lineno, node.end_col_offset)

    def _place(self, line: int, column: int) -> int:
        """The place of a syntax tree's line and column; a column counts bytes."""
        return self.starts[line - 1] + len(self.lines[line - 1][:column].decode())

    def _line_end(self, at: int) -> int:
        end = self.source.find("\n", at)
        return len(self.source) if end < 0 else end + 1

    def _before(self, at: int) -> str:
        """What stands before a place on its line."""
        return self.source[self.source.rfind("\n", 0, at) + 1 : at]

    def _text(self, node: ast.expr) -> str:
        """An expression as it is written, on one line."""
        text = self.source[slice(*self._span(node))]
        return ast.unparse(node) if "\n" in text else text

    # ---- parts

    def _parts(
        self,
        body: Sequence[ast.stmt],
        blocks: tuple[int, ...],
        changing: frozenset[str],
        indent: str = "",
    ) -> Iterator[Part]:
        """The parts of a block's statements."""
        row = end = 0
        for node in body:
            suites = [] if isinstance(node, FUNCTIONS) else list(self._suites(node))
            head = self._sites(node, head=True) if suites else []
            inside = any(self._sites(inner) for suite in suites for inner in suite)
            if not inside and all(site.stays for site in head):
                part = self._part(node, self._sites(node), blocks, changing)
                part.indent += indent
                if end and "\n" not in self.source[end : part.start]:
                    part.row = row
                row, end = part.row, part.end
                yield part
                continue
            yield self._part(node, head, blocks, changing, head=True)
            within = changing | (changed(node) if isinstance(node, LOOPS) else frozenset())
            for suite in suites:
                self.blocks += 1
                block = -self.blocks if isinstance(node, LOOPS) else self.blocks
                after_colon = self._before(self._span(suite[0])[0]).strip()
                yield from self._parts(
                    suite, (*blocks, block), within, "    " if after_colon else ""
                )

    def _part(
        self,
        node: ast.stmt,
        sites: list[Site],
        blocks: tuple[int, ...],
        changing: frozenset[str],
        head: bool = False,
    ) -> Part:
        start, end = self._span(node)
        code = ""
        if isinstance(node, ast.For) and head:  # look at its first item
            code = f"{ast.unparse(node.target)} = next(iter({ast.unparse(node.iter)}))"
        elif not head:
            nested = blocks and any(self._suites(node))
            decorated = getattr(node, "decorator_list", None)
            code = ast.unparse(node) if nested or decorated else self.runnable[start:end]
        before = self._before(start)
        indent = before[: len(before) - len(before.lstrip())]
        magic = self._magic(start, end)
        if magic:
            sites = self._behind(magic, start, node.lineno)
        return Part(
            code, sites, start, end, node.lineno, indent, start, blocks, changing, head, magic
        )

    def _magic(self, start: int, end: int) -> str:
        """What IPython alone understands of a simple statement."""
        written = self.source[start : self._line_end(start)].rstrip("\n")
        parsed = self.runnable[start : self._line_end(start)].rstrip("\n")
        return "" if written == parsed else written

    def _behind(self, magic: str, start: int, line: int) -> list[Site]:
        """The calls behind a magic: `%time model.fit(...)`."""
        python = python_in(magic)
        if not python:
            return []
        inner = Cell(python)
        shift = start + len(magic) - len(python)
        found = [site for part in inner.parts for site in part.sites]
        return [
            replace(site, start=site.start + shift, end=site.end + shift, line=line, stays=MAGIC)
            for site in found
        ]

    def _suites(self, node: ast.AST) -> Iterator[list[ast.stmt]]:
        """The blocks of a compound statement: of an `if` also those of its `elif` and `else`."""
        for _, value in ast.iter_fields(node):
            if not isinstance(value, list) or not value:
                continue
            if isinstance(value[0], ast.excepthandler | ast.match_case) or self._is_elif(value[0]):
                for inner in value:
                    yield from self._suites(inner)
            elif isinstance(value[0], ast.stmt):
                yield value

    def _is_elif(self, node: ast.AST) -> bool:
        return isinstance(node, ast.If) and self.source.startswith("elif", self._span(node)[0])

    # ---- calls

    def _sites(self, node: ast.stmt, head: bool = False) -> list[Site]:
        """The calls in a statement, in order; or only those in the head of a compound one."""
        sites = []
        for call, function, stays in self._calls(node, head):
            start, end = self._span(call)
            dot = self._span(function)[1] - len(function.attr)
            before = self.source[start:dot].rstrip()[:-1].rstrip()
            receiver = Argument(ast.unparse(function.value) if "\n" in before else before)
            if not receiver.is_plain:
                stays = NAMELESS
            arguments = (*map(self._argument, call.args), *map(self._argument, call.keywords))
            code = self.source[start:end]
            sites.append(
                Site(function.attr, receiver, arguments, code, start, end, call.lineno, stays)
            )
        return sorted(sites, key=lambda site: site.start)

    def _argument(self, node: ast.expr | ast.keyword) -> Argument:
        match node:
            case ast.keyword(arg=keyword, value=value):
                return Argument(self._text(value), keyword, "" if keyword else "**")
            case ast.Starred(value=value):
                return Argument(self._text(value), star="*")
        return Argument(self._text(node))

    def _calls(
        self, node: ast.AST, head: bool, stays: str | None = None
    ) -> Iterator[tuple[ast.Call, ast.Attribute, str | None]]:
        """Calls of fit, evaluate, ..., each with the reason why it is not sure to be made, once."""
        if isinstance(node, FUNCTIONS):
            stays = IN_A_FUNCTION
        if isinstance(node, COMPREHENSIONS):
            stays = IN_A_COMPREHENSION
        match node:
            case ast.Call(func=ast.Attribute(attr=method) as function) if method in METHODS:
                yield node, function, stays
        for name, value in ast.iter_fields(node):
            for i, inner in enumerate(value if isinstance(value, list) else [value]):
                if not isinstance(inner, ast.AST):
                    continue
                if head and isinstance(inner, ast.stmt) and not self._is_elif(inner):
                    continue
                maybe = (type(node), name) in CONDITIONAL or (isinstance(node, ast.BoolOp) and i)
                yield from self._calls(inner, head, ONLY_IF if maybe else stays)


# Why a call stays; and the way out.
IN_A_FUNCTION = "inside a function, it is known only when that is called"
IN_A_COMPREHENSION = "in a comprehension there is no place for a loop; use `for`"
MAGIC = "it stands behind a magic, which is for IPython alone"
NAMELESS = "its model has no name"
ONLY_IF = "it is made only under a condition, in the middle of a line"
WAYS_OUT = {
    IN_A_FUNCTION: "Write it in a cell of its own, with values for the function's arguments.",
    MAGIC: "Write %%time or %%timeit on the first line of the cell instead.",
    NAMELESS: "Give the model one, in a cell before.",
    ONLY_IF: "Write it on a line of its own, under `if`.",
}
CONDITIONAL = {
    (ast.IfExp, "body"),
    (ast.IfExp, "orelse"),
    (ast.If, "orelse"),
    (ast.While, "test"),
    (ast.Assert, "msg"),
}


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


def altered(tree: ast.AST, calls: bool = True) -> set[str]:
    """The names whose objects a statement alters: `a.b = c`, `a[0] += 1`, `a.append(b)`.

    In a loop, a call does not count: that is a training by hand, most likely.

    Args:
        tree: the statement.
        calls: whether a call counts at all.
    """
    found: set[str | None] = set()
    for node in ast.iter_child_nodes(tree):
        match node:
            case ast.For() | ast.While() | ast.FunctionDef() | ast.ClassDef():
                continue
            case ast.Expr(value=ast.Call(func=ast.Attribute() as function)) if calls:
                found.add(root(function))
            case (
                ast.Attribute(ctx=ast.Store() | ast.Del())
                | ast.Subscript(ctx=ast.Store() | ast.Del())
            ):
                found.add(root(node))
        found |= altered(node, calls)
    return {name for name in found if name is not None}


def changed(loop: ast.stmt) -> frozenset[str]:
    """The names that stand for something else, or something new, in another turn of a loop."""
    found = {name for node in ast.walk(loop) if renews(node) and (name := root(node))}
    return frozenset(names_assigned(ast.unparse(loop)) | found)


def renews(node: ast.AST) -> TypeGuard[ast.expr]:
    """Whether it is `a.b = ...`, `a[0] = ...` or `a.prepare`."""
    if isinstance(node, ast.Attribute) and node.attr == "prepare":
        return True
    return isinstance(node, ast.Attribute | ast.Subscript) and not isinstance(node.ctx, ast.Load)


# Where IPython's own begins in a line, which else is Python: `%time f()`, `!ls`, `files = !ls`.
FOR_IPYTHON = re.compile(r"^\s*(?:[\w., ]+=\s*)?(?=[%!])")


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
            python = FOR_IPYTHON.match(line)
            if not python:
                message = f"line {error.lineno}: {error.msg}: {line.strip()}"
                raise CellError(message) from None
            # A statement that does nothing and is as long; nothing else stands on the line.
            end = len(line.rstrip("\n"))
            lines[at] = python[0] + "0".ljust(end - python.end()) + line[end:]


def python_in(magic: str) -> str:
    """The Python behind a magic, `f()` of `%timeit -n 1 f()`; "" if there is none."""
    for word in re.finditer(r"(?<=\s)\S", magic):
        try:
            ast.parse(magic[word.start() :])
            return magic[word.start() :]
        except SyntaxError:
            continue
    return ""
