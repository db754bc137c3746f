"""From a call's options to the text of its loop: choose layers, weave, specialize, write."""

from functools import cache, lru_cache
from itertools import count
from typing import Any

import libcst as cst
from libcst import matchers as m

from tutorial.loop import options
from tutorial.loop.options import Code, WrittenAs
from tutorial.unroll.specialize import Evaluator
from tutorial.unroll.spelling import Spelling, align_comments, literal, respelled
from tutorial.unroll.weave import all_layers


@lru_cache(maxsize=256)
def unroll(
    function: str,
    decided: tuple[tuple[str, Any], ...],
    names: tuple[tuple[str, str], ...] = (),
) -> str:
    """Write out one function of the loop for one call.

    Args:
        function: its name, such as 'fit'.
        decided: pairs of an option's name in capitals and its value. An option that is not named
            keeps the value that it has in loop/options.py.
        names: pairs of a name in the program and the code to write for it.

    Returns:
        The source of a plain program: the function's body, with all that is decided put in.

    Example:
        >>> print(unroll("predict_batch", ()))
        network.eval()  # dropout off; batch norm uses what it learned
        with torch.no_grad():
            y_hat = network(x)
        outputs = [y_hat]
        <BLANKLINE>
    """
    values = defaults() | {"METHOD": function} | dict(decided)
    plain = {k: v.value if isinstance(v, WrittenAs) else v for k, v in values.items()}
    layers = tuple(layer for layer in all_layers() if layer.is_on(plain))
    known = {name: literal(value) for name, value in values.items()}
    # While the rules work, each of several is a name, though it may be a piece: batch["image"].
    said = repr(decided)
    mark = next(mark for mark in map("_".__mul__, count(1)) if f"{mark}piece" not in said)
    pieces: dict[str, str] = {}
    for name, several in decided:
        if name.islower():
            marked = [f"{mark}piece_{len(pieces) + i}_" for i in range(len(several))]
            known[name] = literal(tuple(map(Code, marked)))
            pieces |= dict(zip(marked, several, strict=True))
    body = Evaluator(known, layers).body_of(function)
    if m.matches(body[-1], m.SimpleStatementLine([m.Return()])):
        body = body[:-1]  # a program has no caller to return to
    program = cst.Module(body)
    if names or values != plain:  # something is to be written in the user's words
        program = cst.ensure_type(program.visit(Spelling(dict(names))), cst.Module)
    code = program.code.lstrip("\n")
    for name, piece in pieces.items():
        code = code.replace(name, respelled(piece, dict(names)))
    return align_comments(code)


@cache
def defaults() -> dict[str, Any]:
    """The options' values where a call says nothing."""
    return {name: value for name, value in vars(options).items() if name.isupper()}
