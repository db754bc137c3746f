"""What is in a loop's text: its loops over batches, its statements, its names."""

import ast
from typing import Any


class Loop:
    """A loop over batches.

    Attributes:
        lines: from its head to its end.
        main: it is the loop whose steps are counted; of others, one step is recorded.
        steps: of this pass, those that are done.
        left_out: of all passes, those that were not recorded.
    """

    def __init__(self, node: ast.For | ast.While, main: bool) -> None:
        self.lines = range(node.lineno, (node.end_lineno or node.lineno) + 1)
        self.body = node.body if isinstance(node, ast.While) else []
        self.main = main
        self.steps = self.left_out = 0

    def ends_a_step(self, line: int, before: int) -> bool:
        """Whether a step is over when this line follows that one."""
        return before in self.lines and (line == self.lines[0] or self.begins_again(line, before))

    def begins_again(self, line: int, before: int) -> bool:
        """Whether it goes back to the first line of its body: `while True` is not asked again."""
        if not self.body or line != self.body[0].lineno or before < line:
            return False
        # A loop or a `with`, too, comes back to where it begins.
        inner = isinstance(self.body[0], ast.For | ast.While | ast.With)
        return before > (self.body[0].end_lineno or line) or not inner


def loops_over_batches(tree: ast.Module) -> list[Loop]:
    r"""The loop whose steps count, which learns if any does; and those that read a loader besides.

    >>> tree = ast.parse("for x in eval_loader: pass\nfor x in data:\n    loss.backward()")
    >>> [(loop.lines[0], loop.main) for loop in loops_over_batches(tree)]
    [(1, False), (2, True)]
    """
    nodes = [node for node in ast.walk(tree) if isinstance(node, ast.For | ast.While)]
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
    teachers = {function.name for function in functions if learns(function)}
    learning = [node for node in nodes if learns(node) or calls(node, teachers)]
    noting = [node for node in nodes if appends(node, name_of_losses(tree))]
    reading = [node for node in nodes if isinstance(node, ast.For) and reads_a_loader(node.iter)]
    # ast.walk meets the innermost last; in a step, another loop may learn, too.
    main = (noting[-1:] or learning[-1:] or reading[:1] or [None])[0]
    aside = [node for node in reading if node is not main and not holds(node, main)]
    return [Loop(node, node is main) for node in nodes if node is main or node in aside]


def learns(node: ast.AST) -> bool:
    """Whether a loop goes back through the network, or takes a step."""
    return any(
        part.func.attr in ("backward", "train_batch") or ast.unparse(part.func) == "optimizer.step"
        for part in ast.walk(node)
        if isinstance(part, ast.Call) and isinstance(part.func, ast.Attribute)
    )


def appends(node: ast.AST, losses: str) -> bool:
    """Whether it notes the loss of a step in this list."""
    called = [ast.unparse(part.func) for part in ast.walk(node) if isinstance(part, ast.Call)]
    return f"{losses}.append" in called


def calls(node: ast.AST, functions: set[str]) -> bool:
    """Whether it calls one of these."""
    called = [part.func for part in ast.walk(node) if isinstance(part, ast.Call)]
    return any(isinstance(name, ast.Name) and name.id in functions for name in called)


def reads_a_loader(expression: ast.AST) -> bool:
    """Whether it goes through batches."""
    return any(name.lower().endswith(("loader", "batches")) for name in names_in(expression))


def name_of_losses(tree: ast.Module) -> str:
    r"""What the loop calls the list of its losses: a function returns it.

    >>> name_of_losses(ast.parse("def train(network):\n    losses = []\n    return losses"))
    'losses'
    """
    for function in tree.body[:1]:
        last = function.body[-1] if isinstance(function, ast.FunctionDef) else None
        if isinstance(last, ast.Return) and isinstance(last.value, ast.Name):
            return last.value.id
    return "step_losses"


def holds(node: ast.AST, inner: ast.AST | None) -> bool:
    """Whether one stands in the other."""
    return any(part is inner for part in ast.walk(node))


def statements(tree: ast.AST) -> dict[int, list[Any]]:
    r"""By the line in which they begin: the statements; of one that holds others, its head.

    >>> [head] = statements(ast.parse("while x:\n    y = 1"))[1]
    >>> names_in(head)
    ['x']
    """
    found: dict[int, list[Any]] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.stmt):
            head = {k: [] if k in BODIES else v for k, v in ast.iter_fields(node)}
            alone = ast.copy_location(type(node)(**head), node)
            found.setdefault(node.lineno, []).append(alone)
    return found


def first_lines(tree: ast.AST) -> dict[int, int]:
    """For each line of a statement, or of the head of one, that has several: the first of them."""
    found: dict[int, int] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.stmt):
            body = getattr(node, "body", None)
            last = body[0].lineno - 1 if body else node.end_lineno or node.lineno
            if last > node.lineno and not isinstance(node, ast.FunctionDef | ast.ClassDef):
                found |= dict.fromkeys(range(node.lineno, last + 1), node.lineno)
    return found


BODIES = ("body", "orelse", "finalbody", "handlers", "cases")


def names_in(tree: ast.AST) -> list[str]:
    r"""All names, parameters too, in the order in which they stand.

    >>> names_in(ast.parse("b = a\na = f(c)"))
    ['b', 'a', 'f', 'c']
    """
    named = [node for node in ast.walk(tree) if isinstance(node, ast.Name | ast.arg)]
    named.sort(key=lambda node: (node.lineno, node.col_offset))
    return list(dict.fromkeys(n.id if isinstance(n, ast.Name) else n.arg for n in named))


def targets_in(tree: ast.AST) -> set[str]:
    """The names that `for` gives to one thing after the other."""
    loops = [node for node in ast.walk(tree) if isinstance(node, ast.For)]
    return {name for loop in loops for name in names_in(loop.target)}
