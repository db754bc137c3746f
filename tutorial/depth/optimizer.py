"""The optimizer's lines, written out: `step()` as its update rule, and `zero_grad()`."""

import re
from collections.abc import Collection, Set
from functools import cache
from importlib.resources import files
from textwrap import indent
from typing import Any

import libcst as cst
import torch
from libcst import matchers as m
from torch import nn

from tutorial.depth import hyperparameters
from tutorial.loop.options import Code
from tutorial.unroll.source import names_assigned
from tutorial.unroll.specialize import Evaluator
from tutorial.unroll.spelling import align_comments, literal

# The optimizers whose rule is known, each with the file of rules/ that has it.
RULES: dict[type, str] = {
    torch.optim.SGD: "sgd",
    torch.optim.Adam: "adam",
    torch.optim.AdamW: "adam",
    torch.optim.NAdam: "nadam",
    torch.optim.RAdam: "radam",
    torch.optim.Adamax: "adamax",
    torch.optim.RMSprop: "rmsprop",
    torch.optim.Adagrad: "adagrad",
    torch.optim.Adadelta: "adadelta",
    torch.optim.Adafactor: "adafactor",
    torch.optim.Rprop: "rprop",
    torch.optim.ASGD: "asgd",
    torch.optim.Muon: "muon",
}

STEP, ZERO_GRAD = (
    m.SimpleStatementLine([m.Expr(m.Call(m.Attribute(m.Name("optimizer"), m.Name(method))))])
    for method in ("step", "zero_grad")
)


def with_its_rule(
    source: str,
    optimizer: Any,
    network: nn.Module,
    changes: Set[str],
    scheduled: bool = False,
    taken: Collection[str] = (),
) -> str:
    """A loop in which the optimizer's calls are written out.

    Args:
        source: the loop.
        optimizer: the optimizer, one of those in RULES.
        network: the network that it trains.
        changes: the hyperparameters that may change while the loop runs, as a scheduler changes
            lr; the others are written as numbers.
        scheduled: whether a scheduler asks whether the optimizer has made its step.
        taken: names that stand for something else, so that the rule's variables are called m_.

    Example:
        >>> network = torch.nn.Linear(1, 1)
        >>> sgd = torch.optim.SGD(network.parameters(), lr=0.1)
        >>> print(with_its_rule("optimizer.step()", sgd, network, changes=set()))
        with torch.no_grad():  # optimizer.step(): SGD
            for weight in network.parameters():
                gradient = weight.grad
                if gradient is not None:
                    weight.add_(gradient, alpha=-0.1)  # weight -= lr * gradient
        <BLANKLINE>
    """
    written = Written(optimizer, network, changes, scheduled, taken)
    program = cst.parse_module(source).visit(written)
    return align_comments(cst.ensure_type(program, cst.Module).code)


class Written(cst.CSTTransformer):
    """Puts the written-out lines in the place of the optimizer's calls."""

    def __init__(
        self,
        optimizer: Any,
        network: nn.Module,
        changes: Set[str],
        scheduled: bool,
        taken: Collection[str],
    ) -> None:
        super().__init__()
        loops, update = loops_of(optimizer, network), update_of(optimizer, changes, taken)
        reads_group = "group[" in update and len(loops) == 1
        group = ["group = optimizer.param_groups[0]"] * reads_group
        state = ["state = optimizer.state[weight]"] * ("state" in update)
        heads = [
            f"with torch.no_grad():  # optimizer.step(): {type(optimizer).__name__}",
            *group,
            *loops,
            "gradient = weight.grad",
            "if gradient is not None:",
        ]
        self.step = statements(heads, [*state, *update.splitlines()])
        if scheduled:
            self.step += statements(
                [], ["optimizer._opt_called = True  # the scheduler asks for it"]
            )
        self.zero_grad = statements(loops, ["weight.grad = None  # forget this batch's gradients"])

    def leave_SimpleStatementLine(  # noqa: N802
        self, original_node: cst.SimpleStatementLine, updated_node: cst.SimpleStatementLine
    ) -> Any:
        if m.matches(original_node, STEP):
            return cst.FlattenSentinel(self.step)
        if m.matches(original_node, ZERO_GRAD):
            return cst.FlattenSentinel(self.zero_grad)
        return updated_node


def statements(heads: list[str], body: list[str]) -> Any:
    """The body as statements, inside of the heads that end in a colon, each inside of the last."""
    text, depth = "", 0
    for line in heads:
        text += "    " * depth + line + "\n"
        depth += line.partition("  #")[0].endswith(":")
    return [*cst.parse_module(text + indent("\n".join(body), "    " * depth) + "\n").body]


def loops_of(optimizer: Any, network: nn.Module) -> list[str]:
    """The heads of the loops over all weights that the optimizer has."""
    groups = optimizer.param_groups
    if len(groups) > 1:
        return ["for group in optimizer.param_groups:", 'for weight in group["params"]:']
    whole = [*map(id, groups[0]["params"])] == [*map(id, network.parameters())]
    weights = "network.parameters()" if whole else 'optimizer.param_groups[0]["params"]'
    return [f"for weight in {weights}:"]


def update_of(optimizer: Any, changes: Set[str], taken: Collection[str] = ()) -> str:
    """The rule for one weight, with the optimizer's hyperparameters put in.

    Args:
        optimizer: one of those in RULES.
        changes: those that may change, so that the rule must read them at each step.
        taken: names that the rule's own variables must not have.
    """
    groups = [hyperparameters.of_group(group) for group in optimizer.param_groups]
    known = {}
    for name, (value, key, code) in groups[0].items():
        alike = all(group[name][0] == value for group in groups)
        known[name] = literal(value if alike and key not in changes else Code(code))
    body = rule(RULES[type(optimizer)]).visit(Evaluator(known))
    statements = cst.ensure_type(body, cst.IndentedBlock).body[1:]  # after the docstring
    update = "".join(cst.Module([]).code_for_node(statement) for statement in statements)
    for name in names_assigned(update) & set(taken):
        update = re.sub(rf"\b{name}\b", f"{name}_", update)
    return update


@cache
def rule(file: str) -> cst.BaseSuite:
    """The body of the function `update` in a file of rules/."""
    source = files("tutorial.depth.rules").joinpath(f"{file}.py").read_text(encoding="utf-8")
    [function] = [n for n in cst.parse_module(source).body if isinstance(n, cst.FunctionDef)]
    return function.body
