"""Values and names as code: how a program is written down."""

import io
import tokenize
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import libcst as cst

from tutorial.loop.names import key_code
from tutorial.loop.options import Code, WrittenAs

WIDEST = 48  # columns: a longer line does not move its neighbours' comments to the right


def literal(value: Any) -> cst.BaseExpression:
    """The value as code."""
    if isinstance(value, WrittenAs):
        return Known(literal(value.value), cst.parse_expression(value.code))
    return expression(_spell(value))


@lru_cache(maxsize=1024)
def expression(code: str) -> cst.BaseExpression:
    """The code as a tree."""
    return cst.parse_expression(code)


def _spell(value: Any) -> str:
    if isinstance(value, Code):
        return str(value)
    if isinstance(value, str):
        return key_code(value)  # as repr, with the quotes that we use
    if isinstance(value, tuple):
        items = [_spell(item) for item in value]
        return f"({', '.join(items)}{',' if len(items) == 1 else ''})"
    return repr(value)


@dataclass(frozen=True)
class Known(cst.BaseExpression):
    """A value that reads as itself while the rules decide; `Spelling` writes its code at last."""

    value: cst.BaseExpression
    code: cst.BaseExpression
    lpar: Sequence[cst.LeftParen] = ()
    rpar: Sequence[cst.RightParen] = ()

    def _visit_and_replace_children(self, visitor: cst.CSTVisitorT) -> "Known":
        return self  # the names in its code are the user's

    def _codegen_impl(self, state: Any) -> None:
        self.value._codegen(state)


# What needs no parentheses, wherever it stands.
ATOMS = (cst.Name, cst.Attribute, cst.Subscript, cst.Call, cst.BaseNumber, cst.BaseString)


class Spelling(cst.CSTTransformer):
    """Writes the code of what is `Known` in place of its value, and other code for some names."""

    def __init__(self, names: Mapping[str, str]) -> None:
        super().__init__()
        self.names = {name: cst.parse_expression(code) for name, code in names.items()}

    def leave_Known(self, original_node: Known, updated_node: Known) -> cst.BaseExpression:
        return in_parentheses(original_node.code)

    def leave_Name(self, original_node: cst.Name, updated_node: cst.Name) -> cst.BaseExpression:
        return in_parentheses(self.names.get(updated_node.value, updated_node))

    def leave_Attribute(self, original_node: cst.Attribute, updated_node: cst.Attribute) -> Any:
        return updated_node.with_changes(attr=original_node.attr)

    def leave_Arg(self, original_node: cst.Arg, updated_node: cst.Arg) -> cst.Arg:
        value: cst.BaseExpression = updated_node.value
        if isinstance(original_node.value, Known):
            value = original_node.value.code  # a comma ends it: no parentheses
        return updated_node.with_changes(keyword=original_node.keyword, value=value)


def in_parentheses(code: cst.BaseExpression) -> cst.BaseExpression:
    """The code so that it can stand anywhere."""
    if isinstance(code, ATOMS) or code.lpar:
        return code
    return code.with_changes(lpar=[cst.LeftParen()], rpar=[cst.RightParen()])


def respelled(source: str, names: Mapping[str, str]) -> str:
    """The source with other code for some of its names.

    >>> respelled("y_hat = network(x)", {"network": "clf.network"})
    'y_hat = clf.network(x)'
    """
    return cst.ensure_type(cst.parse_module(source).visit(Spelling(names)), cst.Module).code


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
