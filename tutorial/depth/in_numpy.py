"""The same text with NumPy alone: a loop at depth "gradients", translated line by line."""

import ast
import re
from collections.abc import Collection
from typing import Any

import libcst as cst
from libcst.metadata import MetadataWrapper, PositionProvider

from tutorial.depth import arrays
from tutorial.depth.dictionary import TYPES, entries
from tutorial.unroll.spelling import align_comments

# What only sets PyTorch up, or tells its modules how to behave: the text says it already.
DROPPED = (
    "network.train()",
    "network.eval()",
    "torch.set_flush_denormal(",
    "torch.backends.",
    "optimizer._opt_called =",
    "train_loader = LookAhead(",
)
# They are called as in torch.
SAME = {"parameters", "buffers", "get_parameter", "append", "items", "update", "reset", "compute"}
SAME |= {"item", "get", "step"}
BUILTINS = {"len", "range", "print", "zip", "enumerate", "float", "int", "round", "tuple", "list"}
BUILTINS |= {"max", "min", "abs", "dict", "isinstance", "sum"}
# What shows the same numbers in another shape: to write there is to write into the array.
VIEWS = {"reshape", "swapaxes", "transpose", "expand_dims", "T", "squeeze"}


class NoNumpyFormError(Exception):
    """An operation has no form in NumPy."""


class Translation:
    """A loop in NumPy.

    Attributes:
        text: the loop.
        lines: for each of its lines, the number of the line of the text it was translated from.
    """

    def __init__(self, source: str) -> None:
        wrapper = MetadataWrapper(cst.parse_module(source))
        translator = Translator(shared_names(source))
        module = wrapper.visit(translator)
        self.text = align_comments(module.code)
        places = MetadataWrapper(module, unsafe_skip_copy=True).resolve(PositionProvider)
        self.lines = [0] * len(self.text.splitlines())
        for node, origin in translator.origins:
            first, last = places[node].start.line, places[node].end.line
            if not isinstance(node, cst.SimpleStatementLine):
                last = first  # of a loop, its head
            above = [line for line in node.leading_lines if line.comment]
            for line in range(first - len(above), last + 1):
                self.lines[line - 1] = origin + min(line - first, 0)


class Translator(cst.CSTTransformer):
    """Translates each statement, and leaves comments where they are.

    Args:
        shared: the names whose numbers others may see, too.
    """

    METADATA_DEPENDENCIES = (PositionProvider,)

    def __init__(self, shared: Collection[str]) -> None:
        super().__init__()
        self.shared = shared
        self.heading = "the loop"  # the layer whose lines these are
        self.origins: list[tuple[Any, int]] = []

    def translated(self, node: cst.CSTNode) -> tuple[list[str], str]:
        """An expression in NumPy, and the statements that must run before it."""
        code = cst.Module([]).code_for_node(node)
        words = Words(self.heading, self.shared)
        tree = words.visit(ast.parse(code.strip(), mode="eval").body)
        new = written(tree)
        same = new == written(ast.parse(code.strip(), mode="eval").body)
        return words.before, code if same else new

    def note(self, node: Any, original: cst.CSTNode) -> Any:
        """Remember from which line a statement comes."""
        self.origins.append((node, self.get_metadata(PositionProvider, original).start.line))
        return node

    def leave_Module(  # noqa: N802
        self, original_node: cst.Module, updated_node: cst.Module
    ) -> cst.Module:
        return updated_node.with_changes(header=[])  # it lists operations that torch has by name

    def visit_SimpleStatementLine(self, node: cst.SimpleStatementLine) -> bool:  # noqa: N802
        for line in node.leading_lines:
            if line.comment and not line.comment.value.startswith("# An "):
                self.heading = line.comment.value.removeprefix("# ")
        return False  # it is translated as a whole

    def leave_SimpleStatementLine(  # noqa: N802
        self, original_node: cst.SimpleStatementLine, updated_node: cst.SimpleStatementLine
    ) -> Any:
        code = cst.Module([]).code_for_node(updated_node.with_changes(leading_lines=[]))
        if code.startswith(DROPPED):
            return cst.RemoveFromParent()
        [statement] = updated_node.body
        loader = loader_of(statement)
        if loader is not None:
            made = f"{loader}_loader = Batches({loader}_data, {loader}_order)"
            before: list[str] = []
            new: list[Any] = [cst.ensure_type(cst.parse_statement(made), cst.SimpleStatementLine)]
        else:
            before, new = self.statement(statement)
        statements = [cst.parse_statement(line) for line in before] + new
        if not statements:
            return cst.RemoveFromParent()
        first = cst.ensure_type(statements[0], cst.SimpleStatementLine)
        statements[0] = first.with_changes(leading_lines=updated_node.leading_lines)
        last = cst.ensure_type(statements[-1], cst.SimpleStatementLine)
        statements[-1] = last.with_changes(trailing_whitespace=updated_node.trailing_whitespace)
        for one in statements:
            self.note(one, original_node)
        return cst.FlattenSentinel(statements)

    def statement(self, node: Any) -> tuple[list[str], list[Any]]:
        """A statement in NumPy, and those that must run before it."""
        if isinstance(node, cst.Expr):
            before, code = self.translated(node.value)
            if before and is_place(ast.parse(code, mode="eval").body):
                return before, []  # all that it does is done
            if code == cst.Module([]).code_for_node(node.value):
                return before, [cst.SimpleStatementLine([node])]
            return [*before, code], []
        if isinstance(node, cst.Assign | cst.AugAssign) or (
            isinstance(node, cst.AnnAssign) and node.value is not None
        ):
            value: Any = node.value
            before, code = self.translated(value)
            changed: Any = node.with_changes(value=cst.parse_expression(code))
            if isinstance(node, cst.Assign):
                changed = changed.with_changes(targets=[*map(self.target, node.targets)])
            return before, [cst.SimpleStatementLine([changed])]
        if isinstance(node, cst.Assert):
            before, code = self.translated(node.test)
            asserted = node.with_changes(test=cst.parse_expression(code))
            return before, [cst.SimpleStatementLine([asserted])]
        return [], [cst.SimpleStatementLine([node])]

    def target(self, node: cst.AssignTarget) -> cst.AssignTarget:
        """What is assigned to: a name stays as it is, factor[factor.gt(0)] does not."""
        if not isinstance(node.target, cst.Subscript):
            return node
        return node.with_changes(target=cst.parse_expression(self.translated(node.target)[1]))

    def leave_With(self, original_node: cst.With, updated_node: cst.With) -> Any:  # noqa: N802
        """Without autograd there is nothing to switch off; what the line says is kept."""
        block = cst.ensure_type(updated_node.body, cst.IndentedBlock)
        said = block.header.comment.value if block.header.comment else ""
        body: list[Any] = [*block.body]
        if said.startswith("# optimizer.step()"):
            above = cst.EmptyLine(comment=cst.Comment(said))
            body[0] = self.replaced(body[0], leading_lines=[above, *body[0].leading_lines])
        return cst.FlattenSentinel(body)

    def replaced(self, node: Any, **changes: Any) -> Any:
        """The node with changes, of the same origin."""
        new = node.with_changes(**changes)
        self.origins = [(new if old is node else old, line) for old, line in self.origins]
        return new

    def leave_For(self, original_node: cst.For, updated_node: cst.For) -> Any:  # noqa: N802
        _, code = self.translated(updated_node.iter)
        new = updated_node.with_changes(iter=cst.parse_expression(code))
        return self.note(new, original_node)

    def leave_If(self, original_node: cst.If, updated_node: cst.If) -> Any:  # noqa: N802
        _, code = self.translated(updated_node.test)
        new = updated_node.with_changes(test=cst.parse_expression(code))
        return self.note(new, original_node)


class Words(ast.NodeTransformer):
    """Translates an expression.

    Args:
        heading: the layer to which it belongs.
        shared: the names whose numbers others may see, too.

    Attributes:
        before: statements that must run before it: operations in place.
    """

    def __init__(self, heading: str, shared: Collection[str]) -> None:
        self.heading, self.shared = heading, shared
        self.before: list[str] = []

    def refuse(self, what: str) -> NoNumpyFormError:
        """What has no form in NumPy, and where it stands."""
        return NoNumpyFormError(f"{self.heading}: {what} has no NumPy form")

    def visit_Name(self, node: ast.Name) -> ast.expr:
        """A weight has its numbers in .data, beside its gradient."""
        return ast.Attribute(node, "data") if node.id == "weight" else node

    def visit_Subscript(self, node: ast.Subscript) -> ast.expr:
        if ast.unparse(node.value) == "optimizer.state":
            return node
        return ast.Subscript(self.visit(node.value), self.visit(node.slice), node.ctx)

    def visit_Attribute(self, node: ast.Attribute) -> ast.expr:
        code = ast.unparse(node)
        if code == "weight.grad":
            return node
        if code in TYPES:
            return ast.parse(TYPES[code], mode="eval").body
        if re.fullmatch(r"torch(\.\w+)+", code):
            raise self.refuse(code)
        return ast.Attribute(self.visit(node.value), node.attr, node.ctx)

    def visit_GeneratorExp(self, node: ast.GeneratorExp) -> ast.expr:
        node.elt = self.visit(node.elt)
        for part in node.generators:  # whose targets are no weights yet
            part.iter = self.visit(part.iter)
        return node

    def visit_Call(self, node: ast.Call) -> ast.expr:
        function = ast.unparse(node.func)
        keywords = {str(k.arg): self.visit(k.value) for k in node.keywords}
        if re.fullmatch(r"(torch|F|nn)(\.\w+)+", function):
            return self.word(function, list(map(self.visit, node.args)), keywords)
        if isinstance(node.func, ast.Name):
            arguments = list(map(self.visit, node.args))
            if function in BUILTINS:
                return ast.Call(node.func, arguments, named(keywords))
            return self.tool(function, arguments, keywords)
        assert isinstance(node.func, ast.Attribute)
        method, x = node.func.attr, self.visit(node.func.value)
        arguments = [x, *map(self.visit, node.args)]
        if method in SAME and not entries().get(f".{method}"):
            return ast.Call(ast.Attribute(x, method), arguments[1:], named(keywords))
        if method.endswith("_"):
            new = self.word(f".{method[:-1]}", arguments, keywords)
            return self.in_place(x, new) if is_place(x) else new
        return self.word(f".{method}", arguments, keywords)

    def word(self, word: str, arguments: list[ast.expr], keywords: dict[str, ast.expr]) -> ast.expr:
        """A word of torch, by the dictionary; or by the function of arrays/ with its name."""
        entry = entries().get(word)
        found = entry(arguments, keywords) if entry is not None else None
        if found is None and word.startswith(".") and entries().get(f"torch{word}"):
            found = entries()[f"torch{word}"](arguments, keywords)
        if found is None and word.startswith("torch.") and entries().get(f".{word[6:]}"):
            found = entries()[f".{word[6:]}"](arguments, keywords)
        if found is not None:
            return without_empty(found)
        return self.tool(word.rpartition(".")[2], arguments, keywords, word)

    def tool(
        self,
        name: str,
        arguments: list[ast.expr],
        keywords: dict[str, ast.expr],
        word: str | None = None,
    ) -> ast.expr:
        """A call of a function of arrays/.

        Raises:
            NoNumpyFormError: it has none of this name.
        """
        if not callable(getattr(arrays, name, None)):
            raise self.refuse((word or name).lstrip("."))
        if name == "rrelu_with_noise" and len(arguments) > 4:  # it draws into its second argument
            noise = ast.unparse(arguments[1])
            self.before.append(f"{noise}[...] = drawn({noise}.shape)")
        return ast.Call(ast.Name(name), arguments, named(keywords))

    def in_place(self, x: ast.expr, new: ast.expr) -> ast.expr:
        """Write the new numbers into an array, before the statement; the array is what is read."""
        left, code = written(x), written(new)
        if is_place(new):  # such as a transpose: the numbers stay where they are
            self.before.append(f"{left} = {code}")
            return x
        if isinstance(new, ast.BinOp) and ast.unparse(new.left) == left:
            sign = SIGNS.get(type(new.op))
            if sign:
                self.before.append(f"{left} {sign}= {written(new.right)}")
                return x
        if isinstance(x, ast.Name) and left not in self.shared:
            self.before.append(f"{left} = {code}")
        else:
            self.before.append(f"{left}[...] = {code}")
        return x


SIGNS = {ast.Add: "+", ast.Sub: "-", ast.Mult: "*", ast.Div: "/"}


def written(node: ast.AST) -> str:
    """The node as code, with the quotes of this project."""
    return re.sub(r"'([^'\"\\]*)'", r'"\1"', ast.unparse(node))


SHARING = {"view", "transpose", "permute", "unsqueeze", "squeeze", "select", "split", "unbind"}
SHARING |= {"chunk", "expand", "detach", "T", "reshape", "contiguous", "slice"}


def shared_names(source: str) -> set[str]:
    """The names whose numbers another name shows, too, such as in another shape; and weights.

    >>> sorted(shared_names("a = b.view(3); c = a + 1; d = c.add_(e); f = d.exp()"))
    ['a', 'b', 'c', 'd']
    """
    found: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Assign):
            of = origin_of(node.value)
            if of is not None:
                names = {n.id for n in ast.walk(node.targets[0]) if isinstance(n, ast.Name)}
                found |= names | {of}
    return found


def origin_of(node: ast.expr) -> str | None:
    """The name of whose numbers an expression is a view; of what is no name, itself."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Subscript):
        return origin_of(node.value)
    if isinstance(node, ast.GeneratorExp):
        return ast.unparse(node)
    if isinstance(node, ast.Attribute) and node.attr in SHARING:
        return origin_of(node.value)
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
        method = node.func.attr
        in_place = method.endswith("_") and not method.endswith("__")
        if in_place or method in SHARING:
            return origin_of(node.func.value) or ast.unparse(node)
    return None


def named(keywords: dict[str, ast.expr]) -> list[ast.keyword]:
    """Keywords of a call; devices and the like, which change no number, are left out."""
    dropped = ("device", "layout", "pin_memory", "memory_format", "copy")
    return [ast.keyword(key, value) for key, value in keywords.items() if key not in dropped]


def without_empty(node: ast.expr) -> ast.expr:
    """np.empty_like(x).shape as x.shape, np.empty([2, 3]).shape as [2, 3]."""

    class Shapes(ast.NodeTransformer):
        def visit_Attribute(self, node: ast.Attribute) -> ast.expr:
            made = node.value
            if node.attr == "shape" and isinstance(made, ast.Call):
                if ast.unparse(made.func) == "np.empty_like":
                    return ast.Attribute(made.args[0], "shape")
                if ast.unparse(made.func) == "np.empty":
                    return made.args[0]
            return node

    found: ast.expr = Shapes().visit(node)
    if isinstance(found, ast.Call):  # of 64 bits they are anyway
        found.keywords = [k for k in found.keywords if ast.unparse(k.value) != "np.float64"]
    return found


def is_place(node: ast.expr) -> bool:
    """Whether it is an array that others may read: a name, or a view of one."""
    if isinstance(node, ast.Attribute):
        return node.attr in ("grad", "data") or (node.attr in VIEWS and is_place(node.value))
    if isinstance(node, ast.Subscript):
        return is_place(node.value)
    if isinstance(node, ast.Call):
        function = node.func
        viewed = function.attr if isinstance(function, ast.Attribute) else ast.unparse(function)
        of = node.args[0] if ast.unparse(function) in ("np.expand_dims", "squeeze") else None
        of = of or (function.value if isinstance(function, ast.Attribute) else None)
        return viewed in VIEWS and of is not None and is_place(of)
    return isinstance(node, ast.Name)


def loader_of(statement: Any) -> str | None:
    """The name of the data whose loader a statement makes: train."""
    if isinstance(statement, cst.Assign) and isinstance(statement.targets[0].target, cst.Name):
        name = statement.targets[0].target.value
        if name.endswith("_loader") and not isinstance(statement.value, cst.List):
            return name.removesuffix("_loader")
    return None
