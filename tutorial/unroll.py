"""From the general program in `loops.py` and one call's options to the plain loop of that call.

This is a small partial evaluator: it does now the part of the work that does not depend on the
data, and leaves the rest as a program. Its rules, each a `leave_` method below:

- a name whose value is known is replaced by the value;
- an `if`, `and`, `or` or `a if b else c` whose test is decided keeps only the side that counts;
- a `for` or a comprehension over a known tuple is written out, once for each item;
- a call of a function of `loops.py` is replaced by the body of that function;
- an argument that only repeats the callee's default says nothing, and goes.

It works on LibCST's concrete syntax tree, which keeps comments. A comment lives and dies with the
line it belongs to.
"""

import inspect
import io
import json
import tokenize
import warnings
from collections.abc import Mapping, Sequence
from functools import cache, lru_cache
from typing import Any

import libcst as cst
from libcst import matchers as m

from tutorial import loops

Statement = cst.SimpleStatementLine | cst.BaseCompoundStatement

WIDEST = 48  # columns: a longer line does not move its neighbours' comments to the right


class Code(str):
    """A piece of code as an option's value, such as the name of a metric's variable."""

    __slots__ = ()


@lru_cache(maxsize=256)
def unroll(function: str, options: tuple[tuple[str, Any], ...]) -> str:
    """Write out one function of `loops.py` for one call.

    Args:
        function: its name, such as 'fit'.
        options: pairs of an option's name in capitals and its value. An option that is not named
            keeps the value that it has in `loops.py`.

    Returns:
        The source of a plain program: the function's body, with all that is decided put in.

    Example:
        >>> print(unroll("predict_batch", ()))
        network.eval()  # dropout off; batch norm uses what it learned
        with torch.no_grad():
            outputs = [network(x)]
        <BLANKLINE>
    """
    values = {name: getattr(loops, name) for name in vars(loops) if name.isupper()}
    known = {name: literal(value) for name, value in (values | dict(options)).items()}
    body = Evaluator(known).body_of(function)
    if m.matches(body[-1], m.SimpleStatementLine([m.Return()])):
        body = body[:-1]  # a program has no caller to return to
    return align_comments(cst.Module(body).code.lstrip("\n"))


@cache
def functions() -> dict[str, cst.FunctionDef]:
    """The syntax trees of the functions of `loops.py`, by name."""
    module = cst.parse_module(inspect.getsource(loops))
    return {node.name.value: node for node in module.body if isinstance(node, cst.FunctionDef)}


def literal(value: Any) -> cst.BaseExpression:
    """The value as code."""
    return cst.parse_expression(_spell(value))


def _spell(value: Any) -> str:
    if isinstance(value, Code):
        return str(value)
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)  # as repr, with the quotes that we use
    if isinstance(value, tuple):
        return "(" + "".join(f"{_spell(item)}, " for item in value) + ")"
    return repr(value)


class Evaluator(cst.CSTTransformer):
    """Puts in what is known and keeps what is left. `known` maps names to expressions."""

    def __init__(self, known: Mapping[str, cst.BaseExpression]) -> None:
        super().__init__()
        self.known = known

    # ---- names

    def leave_Name(self, original_node: cst.Name, updated_node: cst.Name) -> cst.BaseExpression:
        return self.known.get(updated_node.value, updated_node)

    def leave_Attribute(self, original_node: cst.Attribute, updated_node: cst.Attribute) -> Any:
        return updated_node.with_changes(attr=original_node.attr)  # in a.b, b is not a variable

    def leave_AnnAssign(self, original_node: cst.AnnAssign, updated_node: cst.AnnAssign) -> Any:
        assert updated_node.value is not None
        return cst.Assign([cst.AssignTarget(updated_node.target)], updated_node.value)

    # ---- decisions

    def leave_If(self, original_node: cst.If, updated_node: cst.If) -> Any:
        decided, truth = decide(updated_node.test)
        if not decided:
            test = updated_node.test.with_changes(lpar=[], rpar=[])  # it may fit on a line now
            return updated_node.with_changes(test=test)
        if truth:
            return _flatten(updated_node.leading_lines, _statements(updated_node.body))
        if updated_node.orelse is None:
            return cst.RemoveFromParent()
        branch = cst.ensure_type(updated_node.orelse, cst.Else)  # loops.py has no elif
        return _flatten(branch.leading_lines, _statements(branch.body))

    def leave_IfExp(self, original_node: cst.IfExp, updated_node: cst.IfExp) -> Any:
        decided, truth = decide(updated_node.test)
        if not decided:
            return updated_node
        return updated_node.body if truth else updated_node.orelse

    def leave_BooleanOperation(
        self, original_node: cst.BooleanOperation, updated_node: cst.BooleanOperation
    ) -> cst.BaseExpression:
        winner = isinstance(
            updated_node.operator, cst.Or
        )  # True or x is True; False and x is False
        for side, other in (
            (updated_node.left, updated_node.right),
            (updated_node.right, updated_node.left),
        ):
            decided, truth = decide(side)
            if decided:
                return side if truth == winner else other
        return updated_node.with_changes(
            operator=cst.Or() if winner else cst.And()  # on one line
        )

    # ---- loops over what is known

    def leave_For(self, original_node: cst.For, updated_node: cst.For) -> Any:
        if not isinstance(updated_node.iter, cst.Tuple):
            return updated_node
        statements: list[Statement] = []
        for element in updated_node.iter.elements:
            each = Evaluator(_bind(updated_node.target, element.value))
            body = cst.ensure_type(updated_node.body.visit(each), cst.IndentedBlock)
            statements += _statements(body)
        return _flatten(updated_node.leading_lines, statements)

    def leave_DictComp(self, original_node: cst.DictComp, updated_node: cst.DictComp) -> Any:
        source = updated_node.for_in.iter
        if not isinstance(source, cst.Tuple):
            return updated_node
        elements = []
        for item in source.elements:
            names = _bind(updated_node.for_in.target, item.value)
            key, value = _visit(updated_node.key, names), _visit(updated_node.value, names)
            elements.append(cst.DictElement(key, value))
        return cst.Dict(elements)

    # ---- what is written out joins its surroundings

    def leave_Dict(self, original_node: cst.Dict, updated_node: cst.Dict) -> cst.Dict:
        elements: list[cst.BaseDictElement] = []
        for element in updated_node.elements:
            if isinstance(element, cst.StarredDictElement) and isinstance(element.value, cst.Dict):
                elements += element.value.elements
            else:
                elements.append(element)
        plain = [element.with_changes(comma=cst.MaybeSentinel.DEFAULT) for element in elements]
        return cst.Dict(plain)

    def leave_Arg(self, original_node: cst.Arg, updated_node: cst.Arg) -> Any:
        return updated_node.with_changes(
            keyword=original_node.keyword,  # in f(a=b), a is not a variable
            comma=cst.MaybeSentinel.DEFAULT,
            whitespace_after_arg=cst.SimpleWhitespace(""),
        )

    # ---- calls

    def leave_Call(self, original_node: cst.Call, updated_node: cst.Call) -> cst.BaseExpression:
        call = updated_node.with_changes(
            args=_without_defaults(updated_node),
            whitespace_before_args=cst.SimpleWhitespace(""),
        )
        match self._inline(call):
            case [cst.SimpleStatementLine(body=[cst.Return(value=cst.BaseExpression() as value)])]:
                return value  # a function of one expression
        return call

    def leave_SimpleStatementLine(
        self, original_node: cst.SimpleStatementLine, updated_node: cst.SimpleStatementLine
    ) -> Any:
        match updated_node.body[0]:
            case cst.Assign(targets=[cst.AssignTarget(target=target)], value=cst.Call() as call):
                body = self._inline(call)
            case _:
                return updated_node
        if not body:
            return updated_node
        # A function of several lines: its body, and its value under the name that the caller chose.
        last = cst.ensure_type(body[-1], cst.SimpleStatementLine)
        value = cst.ensure_type(last.body[0], cst.Return).value
        assert value is not None
        assign = cst.Assign([cst.AssignTarget(target)], value)
        return _flatten(updated_node.leading_lines, [*body[:-1], last.with_changes(body=[assign])])

    def _inline(self, call: cst.Call) -> list[Statement]:
        """The body of the called function, with the arguments put in, if it is of `loops.py`."""
        if not isinstance(call.func, cst.Name) or call.func.value not in functions():
            return []
        names = [p.name.value for p in functions()[call.func.value].params.params]
        arguments = dict(zip(names, (arg.value for arg in call.args), strict=True))
        return Evaluator({**self.known, **arguments}).body_of(call.func.value)

    def body_of(self, function: str) -> list[Statement]:
        """The function's statements after its docstring, evaluated, up to the first sure return."""
        block = cst.ensure_type(functions()[function].body.visit(self), cst.IndentedBlock)
        body = []
        for statement in _statements(block)[1:]:
            body.append(statement)
            if m.matches(statement, m.SimpleStatementLine([m.Return()])):
                break
        return body


def decide(test: cst.BaseExpression) -> tuple[bool, bool]:
    """Whether a test holds no name any more, so that its truth is sure; and that truth."""
    if m.findall(test, m.Name() & ~m.Name("True") & ~m.Name("False") & ~m.Name("None")):
        return False, False
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SyntaxWarning)  # `7 is not None` looks odd, and is meant
        return True, bool(eval(cst.Module([]).code_for_node(test), {"__builtins__": {}}))


def align_comments(source: str) -> str:
    """Put the comments at the ends of neighbouring lines into one column."""
    lines = source.splitlines()
    starts = {
        token.start[0] - 1: token.start[1]
        for token in tokenize.generate_tokens(io.StringIO(source).readline)
        if token.type == tokenize.COMMENT and token.line[: token.start[1]].strip()
    }
    code = {i: lines[i][:at].rstrip() for i, at in starts.items()}
    column = max((len(text) for text in code.values() if len(text) <= WIDEST), default=0)
    for i, at in starts.items():
        lines[i] = code[i].ljust(column) + "  " + lines[i][at:]
    return "\n".join(lines) + "\n"


def _bind(target: cst.BaseExpression, value: cst.BaseExpression) -> dict[str, cst.BaseExpression]:
    """The names that `target = value` binds."""
    if isinstance(target, cst.Name):
        return {target.value: value}
    targets = cst.ensure_type(target, cst.Tuple).elements
    values = cst.ensure_type(value, cst.Tuple).elements
    pairs = zip(targets, values, strict=True)
    return {cst.ensure_type(t.value, cst.Name).value: v.value for t, v in pairs}


def _visit(node: cst.BaseExpression, names: Mapping[str, cst.BaseExpression]) -> Any:
    return node.visit(Evaluator(names))


def _statements(block: cst.BaseSuite) -> list[Statement]:
    body = cst.ensure_type(block, cst.IndentedBlock).body
    return [s for s in body if isinstance(s, cst.SimpleStatementLine | cst.BaseCompoundStatement)]


def _flatten(comments: Sequence[cst.EmptyLine], statements: Sequence[Statement]) -> Any:
    """The statements in place of the one that they come from, under its comments."""
    if not statements:
        return cst.RemoveFromParent()
    first, *rest = statements
    lines = [*comments, *getattr(first, "leading_lines", ())]
    return cst.FlattenSentinel([first.with_changes(leading_lines=lines), *rest])


def _without_defaults(call: cst.Call) -> list[cst.Arg]:
    """The call's arguments, less the keywords that repeat the default of a class or function."""
    callee = getattr(loops, call.func.value, None) if isinstance(call.func, cst.Name) else None
    if callee is None:
        return list(call.args)
    parameters = inspect.signature(callee).parameters
    return [
        arg
        for arg in call.args
        if arg.keyword is None
        or not decide(arg.value)[0]
        or eval(cst.Module([]).code_for_node(arg.value)) != parameters[arg.keyword.value].default
    ]
