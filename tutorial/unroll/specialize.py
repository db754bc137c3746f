"""From the woven loop and one call's options to the plain loop of that call.

This is a small partial evaluator: it does now the part of the work that does not depend on the
data, and leaves the rest as a program. Its rules, each a `leave_` method below:

- a name whose value is known is replaced by the value;
- an `if`, `and`, `or` or `a if b else c` whose test is decided keeps only the side that counts;
- a `for` or a comprehension over a known tuple is written out, once for each item;
- a call of a function in loop/ is replaced by the body of that function;
- an argument that only repeats the callee's default says nothing, and goes;
- where x, y or y_hat is several tensors, so is what is written: `network(x)` becomes
  `network(image, text)`, and `y_hat = ...` becomes `y_hat_0, y_hat_1 = ...`. UNPACK says how a
  batch `(x, y)` is unpacked, UNPACK_OUTPUT the same of the network's output, NETWORK_CALL and
  LOSS_CALL how network and loss_fn are called, SAMPLES what takes the place of `len(x)`; but where
  a batch has another weight, BATCH_WEIGHT, than its samples, `batch_weight` does.

It works on LibCST's concrete syntax tree, which keeps comments. A comment lives and dies with the
line it belongs to.
"""

import ast
import inspect
import re
import warnings
from collections.abc import Mapping, Sequence
from functools import cached_property, lru_cache
from typing import Any

import libcst as cst
from libcst import matchers as m
from libcst.helpers import get_full_name_for_node

from tutorial.loop.names import TOOLS
from tutorial.unroll.spelling import Known
from tutorial.unroll.weave import Layer, plain_functions, weave

# What is written in another way where a batch is more than one x and one y.
OF_BATCHES = m.Tuple([m.Element(m.Name("step")), m.Element(m.Tuple())])
LEN_X = m.Call(m.Name("len"), [m.Arg(m.Name("x"))])
NETWORK_X = m.Call(m.Name("network"), [m.Arg(m.Name("x"))])
LOSS_FN_Y = m.Call(m.Name("loss_fn"), [m.Arg(m.Name("y_hat")), m.Arg(m.Name("y"))])

PUNCTUATION = {
    *(cst.SimpleWhitespace, cst.ParenthesizedWhitespace, cst.TrailingWhitespace, cst.EmptyLine),
    *(cst.Comma, cst.Dot, cst.Colon, cst.AssignEqual, cst.LeftParen, cst.RightParen),
    *(cst.Newline, cst.Comment),
}

# What an option changes beside the places where its name stands.
CHANGED_BY = {
    "BATCH_WEIGHT": "len",
    "SAMPLES": "len",
    "NETWORK_CALL": "network",
    "LOSS_CALL": "loss_fn",
    "UNPACK_OUTPUT": "y_hat",
}

Statement = cst.SimpleStatementLine | cst.BaseCompoundStatement

LONGEST = 83  # columns: a longer dict is written with an item on each line


@lru_cache(maxsize=256)
def woven(function: str, layers: tuple[Layer, ...]) -> cst.FunctionDef:
    """A function of the plain loop with the layers that are on."""
    return weave(function, layers)


class Evaluator(cst.CSTTransformer):
    """Puts in what is known and keeps what is left. `known` maps names to expressions."""

    def __init__(
        self, known: Mapping[str, cst.BaseExpression], layers: tuple[Layer, ...] = ()
    ) -> None:
        super().__init__()
        self.layers = layers
        # A variable that is several: x, of which each is written. (An option is in capitals.)
        self.several = {k: v for k, v in known.items() if isinstance(v, cst.Tuple) and k.islower()}
        self.known = {k: v for k, v in known.items() if k not in self.several}
        self.bodies: dict[cst.Call, list[Statement]] = {}  # of calls whose statement comes next
        self.inlined: dict[str, list[Statement]] = {}  # what stands for a call, by its code

    @cached_property
    def concerned(self) -> set[str]:
        """The names that can change a statement; one without any of them stays as it is."""
        changed = {
            k for k, v in self.known.items() if not (isinstance(v, cst.Name) and v.value == k)
        }
        names = changed | self.several.keys() | plain_functions().keys()
        return names | {name for option, name in CHANGED_BY.items() if self.says(option)}

    def on_visit(self, node: cst.CSTNode) -> bool:
        # There is nothing to evaluate in spaces, commas and brackets, and they are many.
        if type(node) in PUNCTUATION:
            return False
        if isinstance(node, cst.SimpleStatementLine) and self.concerned.isdisjoint(mentioned(node)):
            return isinstance(node.body[0], cst.AnnAssign)
        return super().on_visit(node)

    def on_visit_attribute(self, node: cst.CSTNode, attribute: str) -> None:
        """No rule is about an attribute alone; LibCST would look for one at each."""

    def on_leave_attribute(self, original_node: cst.CSTNode, attribute: str) -> None:
        """The same."""

    # ---- names

    def leave_Name(self, original_node: cst.Name, updated_node: cst.Name) -> cst.BaseExpression:
        return self.known.get(updated_node.value, updated_node)

    def leave_Attribute(self, original_node: cst.Attribute, updated_node: cst.Attribute) -> Any:
        return updated_node.with_changes(attr=original_node.attr)  # in a.b, b is not a variable

    def leave_AnnAssign(self, original_node: cst.AnnAssign, updated_node: cst.AnnAssign) -> Any:
        assert updated_node.value is not None
        return cst.Assign([cst.AssignTarget(updated_node.target)], updated_node.value)

    # ---- several in place of one

    def each(self, node: Any) -> list[Any]:
        """The node, written once for each of the variable that it mentions."""
        for name, items in self.several.items():
            if m.findall(node, m.Name(name)):
                return [_visit(node, {name: item.value}) for item in items.elements]
        return [node]

    def leave_Tuple(self, original_node: cst.Tuple, updated_node: cst.Tuple) -> cst.Tuple:
        elements = [each for element in updated_node.elements for each in self.each(element)]
        if len(elements) == len(updated_node.elements):
            return updated_node.with_changes(elements=elements)
        plain = [element.with_changes(comma=cst.MaybeSentinel.DEFAULT) for element in elements]
        return updated_node.with_changes(elements=plain)

    def leave_List(self, original_node: cst.List, updated_node: cst.List) -> cst.List:
        elements = [each for element in updated_node.elements for each in self.each(element)]
        plain = [element.with_changes(comma=cst.MaybeSentinel.DEFAULT) for element in elements]
        return updated_node.with_changes(elements=plain)

    def leave_Assign(self, original_node: cst.Assign, updated_node: cst.Assign) -> cst.Assign:
        target, value = updated_node.targets[0].target, updated_node.value
        if not isinstance(target, cst.Name) or target.value not in self.several:
            return updated_node
        whole: Any = self.several[target.value].with_changes(lpar=[], rpar=[])
        if len(whole.elements) == 1:  # it only has another name
            whole = whole.elements[0].value
        if target.value == "y_hat" and self.says("UNPACK_OUTPUT"):
            whole = self.known["UNPACK_OUTPUT"]
            if isinstance(whole, cst.Tuple) and len(whole.elements) > 1:
                whole = whole.with_changes(lpar=[], rpar=[])
        values = self.each(value)
        value = values[0]
        if len(values) > 1:
            value = cst.Tuple([cst.Element(each) for each in values], lpar=[], rpar=[])
        return updated_node.with_changes(targets=[cst.AssignTarget(whole)], value=value)

    def says(self, option: str) -> bool:
        """Whether the option says something else than usual."""
        return option in self.known and not m.matches(self.known[option], m.Name("None"))

    # ---- decisions

    def visit_If(self, node: cst.If) -> bool:
        return False  # the test first: what it leaves out need not be looked at

    def leave_If(self, original_node: cst.If, updated_node: cst.If) -> Any:
        test: Any = original_node.test.visit(self)
        branch: Any = original_node.orelse  # a loop has no elif
        decided, truth = decide(test)
        if not decided:
            return original_node.with_changes(
                test=test.with_changes(lpar=[], rpar=[]),  # it may fit on a line now
                body=original_node.body.visit(self),
                orelse=branch and branch.visit(self),
            )
        if truth:
            branch = original_node
        elif branch is None:
            return cst.RemoveFromParent()
        return _flatten(branch.leading_lines, _statements(branch.body.visit(self)))

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
                left = side if truth == winner else other
                bare = isinstance(left, cst.BooleanOperation) and not left.lpar
                brackets = updated_node.lpar and bare  # which still hold several
                return _in_brackets(left) if brackets else left
        return updated_node.with_changes(
            operator=cst.Or() if winner else cst.And()  # on one line
        )

    # ---- loops over what is known

    def leave_For(self, original_node: cst.For, updated_node: cst.For) -> Any:
        if not isinstance(updated_node.iter, cst.Tuple):
            if m.matches(original_node.target, OF_BATCHES) and self.says("UNPACK"):
                step = cst.ensure_type(updated_node.target, cst.Tuple).elements[0]
                target = cst.Tuple([step, cst.Element(self.known["UNPACK"])], lpar=[], rpar=[])
                return updated_node.with_changes(target=target)
            return updated_node
        statements: list[Statement] = []
        for element in updated_node.iter.elements:
            each = Evaluator(_bind(updated_node.target, element.value), self.layers)
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
        merged = cst.Dict(plain)
        if len(cst.Module([]).code_for_node(merged)) <= LONGEST:
            return merged
        item = cst.ParenthesizedWhitespace(indent=True, last_line=cst.SimpleWhitespace("    "))
        end = cst.ParenthesizedWhitespace(indent=True)
        commas = [cst.Comma(whitespace_after=item)] * (len(plain) - 1)
        return cst.Dict(  # an item on each line
            [
                element.with_changes(comma=comma)
                for element, comma in zip(
                    plain, [*commas, cst.Comma(whitespace_after=end)], strict=True
                )
            ],
            lbrace=cst.LeftCurlyBrace(whitespace_after=item),
        )

    def leave_Arg(self, original_node: cst.Arg, updated_node: cst.Arg) -> Any:
        return updated_node.with_changes(
            keyword=original_node.keyword,  # in f(a=b), a is not a variable
            comma=cst.MaybeSentinel.DEFAULT,
            whitespace_after_arg=cst.SimpleWhitespace(""),
        )

    # ---- calls

    def samples(self, len_x: cst.BaseExpression) -> Any:
        """What stands for `len(x)` where it is the number of samples."""
        return self.known["SAMPLES"] if self.says("SAMPLES") else self.each(len_x)[0]

    def leave_DictElement(
        self, original_node: cst.DictElement, updated_node: cst.DictElement
    ) -> cst.DictElement:
        """In what is told to callbacks, a batch counts by its samples."""
        if m.matches(original_node.value, LEN_X):
            return updated_node.with_changes(value=self.samples(original_node.value))
        return updated_node

    def leave_Call(self, original_node: cst.Call, updated_node: cst.Call) -> cst.BaseExpression:
        if m.matches(original_node, LEN_X):
            weighs = self.says("BATCH_WEIGHT")
            return cst.Name("batch_weight") if weighs else self.samples(updated_node)
        if m.matches(original_node, NETWORK_X) and self.says("NETWORK_CALL"):
            return self.known["NETWORK_CALL"]
        if m.matches(original_node, LOSS_FN_Y) and self.says("LOSS_CALL"):
            return self.known["LOSS_CALL"]
        match self._inline(updated_node):
            case [cst.SimpleStatementLine(body=[cst.Return(value=cst.BaseExpression() as value)])]:
                return value  # a function of one expression
            case []:
                arguments = _without_defaults(updated_node)
                return updated_node.with_changes(
                    args=[each for argument in arguments for each in self.each(argument)],
                    whitespace_before_args=cst.SimpleWhitespace(""),
                )
            case body:  # a function of several lines: the statement around it takes them
                self.bodies[updated_node] = body
        return updated_node

    def leave_SimpleStatementLine(
        self, original_node: cst.SimpleStatementLine, updated_node: cst.SimpleStatementLine
    ) -> Any:
        match updated_node.body[0]:
            case cst.Assign(targets=[cst.AssignTarget(target=target)], value=cst.Call() as call):
                body = self.bodies.pop(call, [])
            case _:
                return updated_node
        if not body:
            return updated_node
        # The body, and its value under the name that the caller chose.
        last = cst.ensure_type(body[-1], cst.SimpleStatementLine)
        value = cst.ensure_type(last.body[0], cst.Return).value
        assert value is not None
        assign = cst.Assign([cst.AssignTarget(target)], value)
        return _flatten(updated_node.leading_lines, [*body[:-1], last.with_changes(body=[assign])])

    def _inline(self, call: cst.Call) -> list[Statement]:
        """The body of the called function, with the arguments put in, if it is the loop's."""
        if not isinstance(call.func, cst.Name) or call.func.value not in plain_functions():
            return []
        code = cst.Module([]).code_for_node(call)
        if code not in self.inlined:
            names = [p.name.value for p in plain_functions()[call.func.value].params.params]
            arguments = dict(zip(names, (arg.value for arg in call.args), strict=True))
            inner = Evaluator({**self.known, **arguments, **self.several}, self.layers)
            inner.inlined = self.inlined
            self.inlined[code] = inner.body_of(call.func.value)
        return self.inlined[code]

    def body_of(self, function: str) -> list[Statement]:
        """The function's statements after its docstring, evaluated, up to the first sure return."""
        block = cst.ensure_type(woven(function, self.layers).body.visit(self), cst.IndentedBlock)
        body = []
        for statement in _statements(block)[1:]:
            body.append(statement)
            if m.matches(statement, m.SimpleStatementLine([m.Return()])):
                break
        return body


@lru_cache(maxsize=4096)
def mentioned(statement: cst.SimpleStatementLine) -> frozenset[str]:
    """The names in a statement."""
    return frozenset(re.findall(r"[A-Za-z_]\w*", cst.Module([]).code_for_node(statement)))


def decide(test: cst.BaseExpression) -> tuple[bool, bool]:
    """Whether a test holds no name any more, so that its truth is sure; and that truth."""
    if isinstance(test, cst.Tuple):
        return True, bool(test.elements)
    code = cst.Module([]).code_for_node(test)
    if any(isinstance(node, ast.Name) for node in ast.walk(ast.parse(f"({code})"))):
        return False, False
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SyntaxWarning)  # `7 is not None` looks odd, and is meant
        return True, bool(eval(code, {"__builtins__": {}}))


def _bind(target: cst.BaseExpression, value: cst.BaseExpression) -> dict[str, cst.BaseExpression]:
    """The names that `target = value` binds."""
    if isinstance(target, cst.Name):
        return {target.value: value}
    targets = cst.ensure_type(target, cst.Tuple).elements
    values = cst.ensure_type(value, cst.Tuple).elements
    pairs = zip(targets, values, strict=True)
    return {cst.ensure_type(t.value, cst.Name).value: v.value for t, v in pairs}


def _in_brackets(node: cst.BaseExpression) -> cst.BaseExpression:
    return node.with_changes(lpar=[cst.LeftParen()], rpar=[cst.RightParen()])


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
    first, *rest = (get_full_name_for_node(call.func) or "?").split(".")
    callee: Any = TOOLS.get(first)
    for name in rest:
        callee = getattr(callee, name, None)
    if not (inspect.isclass(callee) or inspect.isfunction(callee)):
        return list(call.args)
    try:
        parameters = inspect.signature(callee).parameters
    except ValueError:  # a class written in C, such as torch.finfo
        return list(call.args)
    return [
        arg
        for arg in call.args
        if arg.keyword is None
        or isinstance(arg.value, Known)  # what a user has written is said
        or not decide(arg.value)[0]
        or eval(cst.Module([]).code_for_node(arg.value)) != parameters[arg.keyword.value].default
    ]
