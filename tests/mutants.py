"""Break each line of the loop and of its layers, and see which oracle notices: `make mutants`.

A mutant is the loop with one statement taken out, or with two neighbours in the other order. The
oracles (oracles.py) are asked in their order, those first that compare with the loop by hand. Only
those are asked that weave the mutated function at all.

    python tests/mutants.py               the table of all mutants, each with what noticed it
    python tests/mutants.py clip resume   of some files only
"""

import sys
import time
import warnings
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import libcst as cst
import oracles
import torch
from libcst import matchers as m

import tutorial as tl
from tutorial.device import unchanged_settings
from tutorial.loop.layers import LAYERS, PLACES
from tutorial.unroll import specialize, weave
from tutorial.unroll.unroll import unroll
from tutorial.unroll.weave import LOOPS, WeaveError, all_layers, is_dots, plain_functions

FILES = (*(f"{name}.py" for name in LOOPS), *(f"layers/{name}.py" for name in LAYERS))
REFUSED = "refused by the weaver"

# Mutants that change nothing that anybody could see.
EQUIVALENT: dict[str, str] = {
    'helpers.make_loader: `if split == "contiguous":` before `if loading == "as_is":`': (
        "what gives its own batches is never split into contiguous runs"
    ),
    'helpers.make_loader: `if loading == "per_sample" and split == "none":` '
    'before `if loading == "in_memory":`': "only one of the two can hold",
    "means.sum_over_all_samples: `for metric, output, label in METRICS:` before "
    '`samples += totals[1].item() if DEVICE == "cpu" else totals[1]`': (
        "what a metric counts does not depend on the number of samples"
    ),
}


@dataclass(frozen=True)
class Mutant:
    """A file of the loop with one change.

    Attributes:
        path: the file, in loop/.
        function: the function that is changed.
        change: what is changed, in words.
        changed: the function afterwards.
    """

    path: str
    function: str
    change: str
    changed: cst.FunctionDef = field(repr=False)

    def __str__(self) -> str:
        return f"{'.'.join(part(self))}: {self.change}"


# ---- make them


@cache
def functions(path: str) -> tuple[cst.FunctionDef, ...]:
    """The functions in a file of loop/, as they stand there."""
    return tuple(weave.functions_in(path))


@cache
def all_mutants() -> tuple[Mutant, ...]:
    """All mutants of all files, in the order of their lines."""
    return tuple(
        Mutant(path, function.name.value, change, function.with_changes(body=body))
        for path in FILES
        for function in functions(path)
        for change, body in changes(function.body, keep=not path.startswith("layers/"))
    )


def changes(block: Any, keep: bool) -> Iterator[tuple[str, Any]]:
    """Each way to change one thing in a block; with keep, `pass` stands where a line was."""
    statements: Sequence[Any] = block.body
    for i, node in enumerate(statements):
        before, after = statements[:i], statements[i + 1 :]
        if is_dots(node) or is_docstring(node):
            continue
        nothing = [PASS] if keep or len(statements) == 1 else []
        yield f"without `{shown(node)}`", block.with_changes(body=[*before, *nothing, *after])
        if after and not is_dots(after[0]) and not independent(node, after[0]):
            swapped = [*before, after[0], node, *after[1:]]
            yield f"`{shown(after[0])}` before `{shown(node)}`", block.with_changes(body=swapped)
        for name, inner in blocks_in(node):
            for change, body in changes(inner, keep):
                part = node.with_changes(**{name: wrapped(node, name, body)})
                yield change, block.with_changes(body=[*before, part, *after])


PASS = cst.parse_statement("pass")


def shown(node: Any) -> str:
    """The first line of a statement, without a comment."""
    return weave.shown(node).strip("`").partition("  #")[0]


def blocks_in(node: Any) -> Iterator[tuple[str, Any]]:
    """The blocks of a compound statement."""
    if isinstance(node, weave.COMPOUND):
        yield "body", node.body
        if isinstance(getattr(node, "orelse", None), cst.Else):
            yield "orelse", node.orelse.body


def wrapped(node: Any, name: str, body: Any) -> Any:
    return node.orelse.with_changes(body=body) if name == "orelse" else body


def is_docstring(node: Any) -> bool:
    return m.matches(node, m.SimpleStatementLine([m.Expr(m.SimpleString())]))


def independent(one: Any, other: Any) -> bool:
    """Whether two statements only assign, each what the other does not name: any order will do."""
    return not names_in(one) & names_in(other) and not any(
        m.findall(node, m.Call() | m.Return() | m.Break()) for node in (one, other)
    )


def names_in(node: Any) -> set[str]:
    return {name.value for name in m.findall(node, m.Name())}


# ---- put one in the place of the loop


@contextmanager
def in_place_of_the_loop(mutant: Mutant) -> Iterator[None]:
    """As long as the block runs, calls weave the mutant."""

    def functions_in(path: str) -> Sequence[cst.FunctionDef]:
        if path != mutant.path:
            return functions(path)
        return [
            mutant.changed if function.name.value == mutant.function else function
            for function in functions(path)
        ]

    functions(mutant.path)
    usual, weave.functions_in = weave.functions_in, functions_in
    forget()
    try:
        yield
    finally:
        weave.functions_in = usual
        forget()


def forget() -> None:
    """What was read and woven so far."""
    for cached in (plain_functions, all_layers, specialize.woven, unroll):
        cached.cache_clear()


# ---- who notices it?


def killer(mutant: Mutant) -> str:
    """The oracle that notices the mutant; '' if it survives."""
    for name in oracles.ORACLES:
        if part(mutant) not in woven_by(name):
            continue
        with in_place_of_the_loop(mutant):
            try:
                ask(name)
            except WeaveError:
                return REFUSED
            except Exception as error:
                return REFUSED if "WeaveError" in str(error) else name
    return ""


def part(mutant: Mutant) -> tuple[str, str]:
    """The file and the name of a function, as `woven_by` notes it."""
    return mutant.path.removeprefix("layers/").removesuffix(".py"), mutant.function


def ask(name: str) -> None:
    """Ask one oracle."""
    with warnings.catch_warnings(), unchanged_settings(), oracles.one_thread():
        warnings.simplefilter("ignore")
        tl.set_device("cpu")
        tl.seed(0)
        oracles.ORACLES[name]()


@cache
def woven_by(name: str) -> set[tuple[str, str]]:
    """The parts of the loop that an oracle weaves: (file, function). It may not fail."""
    usual = specialize.woven
    home = {
        function.name.value: path.removesuffix(".py")
        for path in FILES[: len(LOOPS)]
        for function in functions(path)
    }

    def noting(function: str, layers: tuple[weave.Layer, ...]) -> cst.FunctionDef:
        oracles.NOTED.add((home[function], function))
        oracles.NOTED.update(
            (each.file, each.name) for each in layers if PLACES[each.place][0] == function
        )
        return usual(function, layers)

    forget()
    oracles.NOTED.clear()
    specialize.woven = noting
    try:
        ask(name)
    finally:
        specialize.woven = usual
    return set(oracles.NOTED)


# ---- the table


def table(files: Sequence[str] = ()) -> int:
    """Print each mutant with what noticed it; how many survived without a reason."""
    killers: Counter[str] = Counter()
    holes = 0
    began = time.monotonic()
    for mutant in all_mutants():
        if files and part(mutant)[0] not in files:
            continue
        noticed = killer(mutant)
        if not noticed:
            reason = EQUIVALENT.get(str(mutant))
            holes += reason is None
            noticed = f"equivalent: {reason}" if reason else "NOBODY NOTICES"
        killers[noticed.partition(":")[0]] += 1
        print(f"{mutant} | {noticed}", flush=True)
    print(f"\n{sum(killers.values())} mutants in {time.monotonic() - began:.0f} s:")
    for name, count in killers.most_common():
        print(f"{count:5} {name}")
    return holes


if __name__ == "__main__":
    torch.set_num_threads(1)
    sys.exit(table(sys.argv[1:]) > 0)
