"""The weaver: what a layer can say, what is refused, and that all layers fit each other."""

import ast
import itertools
import re
from typing import Any

import libcst as cst
import pytest

from tutorial.loop.layers import PLACES
from tutorial.loop.options import Code
from tutorial.unroll import weave as weaver
from tutorial.unroll.unroll import defaults, unroll
from tutorial.unroll.weave import Layer, WeaveError, all_layers, code_of, layers_of, weave


def layers(**files: str) -> list[Layer]:
    """Layers, each file by its name and source."""
    return [
        layer
        for name, source in files.items()
        for function in cst.parse_module(source).body
        for layer in layers_of(name, cst.ensure_type(function, cst.FunctionDef))
    ]


def lines(function: str, **files: str) -> list[str]:
    """The woven function's lines, without the blanks around them and the comments."""
    source = code_of(weave(function, layers(**files)))
    return [line.split("  #")[0].strip() for line in source.splitlines()]


def layer(place: str, *body: str, more: str = "") -> str:
    return (
        f"@{place}(True{more})\ndef layer():\n" + "\n".join(f"    {line}" for line in body) + "\n"
    )


STEP = ["...", "optimizer.step()", "..."]


def test_new_lines_stand_beside_the_line_they_go_with() -> None:
    woven = lines("fit", a=layer("fit_step", "...", "before()", "optimizer.step()", "..."))
    assert woven[woven.index("before()") + 1] == "optimizer.step()"
    woven = lines("fit", a=layer("fit_step", "...", "optimizer.step()", "after()", "..."))
    assert woven[woven.index("after()") - 1] == "optimizer.step()"
    woven = lines("fit", a=layer("fit_step", "first()", "..."))
    assert woven[woven.index("first()") - 1] == "for step, (x, y) in enumerate(train_loader):"
    woven = lines("predict", a=layer("predict_step", "...", "last()"))
    assert woven[woven.index("last()") - 1] == "y_hats.append(y_hat)"


def test_what_replaces_a_line_stands_between_its_neighbours() -> None:
    body = ["...", "loss.backward()", "a()", "b()", "optimizer.zero_grad()", "..."]
    woven = lines("fit", a=layer("fit_step", *body))
    at = woven.index("a()")
    assert woven[at - 1 : at + 3] == ["loss.backward()", "a()", "b()", "optimizer.zero_grad()"]
    assert "optimizer.step()" not in woven


def test_pass_takes_a_line_out() -> None:
    body = ["...", "loss.backward()", "pass", "optimizer.zero_grad()", "..."]
    woven = lines("fit", a=layer("fit_step", *body))
    assert "optimizer.step()" not in woven
    assert "pass" not in woven


def test_an_if_around_lines_holds_them() -> None:
    body = [
        "...",
        "if due:",
        "    begin()",
        "    optimizer.step()",
        "    optimizer.zero_grad()",
        "...",
    ]
    source = code_of(weave("fit", layers(a=layer("fit_step", *body))))
    assert re.search(
        r"( +)if due:\n\1    begin\(\)\n\1    optimizer.step\(\).*\n\1    optimizer.zero_grad",
        source,
    )


def test_dots_in_an_expression_are_what_stood_there() -> None:
    one = layer("fit_step", "...", "loss = loss_fn(y_hat, y)", "scale(...).backward()", *STEP[1:])
    two = layer("fit_step", "...", "loss = loss_fn(y_hat, y)", "(loss * 2).backward()", *STEP[1:])
    assert "scale(loss).backward()" in lines("fit", a=one)
    assert "scale(loss * 2).backward()" in lines("fit", a=one, b=two)
    assert "scale(loss * 2).backward()" in lines("fit", b=two, a=one)


def test_a_for_can_go_through_something_else() -> None:
    woven = lines("fit", a=layer("fit", "...", "for epoch in range(3, EPOCHS):", "    ...", "..."))
    assert "for epoch in range(3, EPOCHS):" in woven


def test_comments_come_along() -> None:
    body = ["...", "loss.backward()", "a()  # new", "optimizer.zero_grad()  # in its words", "..."]
    source = code_of(weave("fit", layers(a=layer("fit_step", *body))))
    assert "a()  # new" in source
    assert "loss.backward()  # backward: a gradient for every weight" in source  # the loop's own
    assert "optimizer.zero_grad()  # in its words" in source


CLIP = layer("fit_step", "...", "clip()", "optimizer.step()", "...")
WRAP = ["...", "if due:", "    optimizer.step()", "    optimizer.zero_grad()", "..."]
REFUSED: dict[str, tuple[dict[str, str], str]] = {
    "two replace one line": (
        {
            "one": layer(
                "fit_step", "...", "loss.backward()", "a()", "optimizer.zero_grad()", "..."
            ),
            "two": layer(
                "fit_step", "...", "loss.backward()", "b()", "optimizer.zero_grad()", "..."
            ),
        },
        "one and two both replace `optimizer.step()",
    ),
    "a line is left out": (
        {
            "one": layer(
                "fit_step", "...", "optimizer.step()", "step_losses.append(loss.item())", "..."
            )
        },
        "one leaves out `optimizer.zero_grad()",
    ),
    "a line is left out at the end": (
        {"one": layer("fit_step", "...", "for metric, output, label in METRICS:", "    ...")},
        "one leaves out `if (step + 1) % LOG_FREQ == 0:`",
    ),
    "dots on both sides": (
        {"one": layer("fit_step", "...", "lost()", "...")},
        "one: there are dots before and after `lost()`, and none of these is a line of the loop",
    ),
    "a line of the loop that is misspelt": (
        {"one": layer("fit_step", "...", "before()", "optimiser.step()", "...")},
        "dots before and after `before()` `optimiser.step()`, and none of these is a line",
    ),
    "lines in another order": (
        {
            "one": layer(
                "fit_step", "...", "optimizer.zero_grad()", "a()", "optimizer.step()", "..."
            )
        },
        "one: `optimizer.step()` comes after `optimizer.zero_grad()",
    ),
    "the first dots are forgotten": (
        {"one": layer("fit_step", "a()", "optimizer.step()", "...")},
        "one begins without `...`, and would take out 3 lines there, `y_hat = network(x)",
    ),
    "the last dots are forgotten": (
        {"one": layer("fit_step", "...", "optimizer.step()", "a()")},
        "one ends without `...`, and would take out 6 lines there, `optimizer.zero_grad()",
    ),
    "beside a wrapped line": (
        {"one": CLIP, "two": layer("fit_step", *WRAP)},
        "one puts `clip()` beside a line that two wraps: inside or outside",
    ),
    "overlapping wraps": (
        {
            "one": layer("fit_step", *WRAP),
            "two": layer(
                "fit_step", "...", "if so:", "    loss.backward()", "    optimizer.step()", "..."
            ),
        },
        "two and another layer wrap lines that overlap",
    ),
    "beside what is taken out": (
        {
            "one": CLIP,
            "two": layer(
                "fit_step", "...", "loss.backward()", "pass", "optimizer.zero_grad()", "..."
            ),
        },
        "one puts `clip()` beside `optimizer.step()",
    ),
    "an unknown place": ({"one": "@fit_stage(True)\ndef f():\n    ...\n"}, "fit_stage"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_unclear_is_refused(case: str) -> None:
    files, said = REFUSED[case]
    with pytest.raises(WeaveError, match=re.escape(said)):
        weave("fit", layers(**files))


def test_a_layer_that_takes_the_other_one_in_is_clear() -> None:
    wrap = layer("fit_step", *WRAP, more=', takes_in=("one",)')
    woven = lines("fit", one=CLIP, two=wrap)
    assert woven[woven.index("if due:") + 1] == "clip()"


# ---- all of them


VALUES: dict[str, list[Any]] = {
    "NUM_ITERS": [7], "ACCUMULATE_GRAD_BATCHES": [4, 1], "CLIP_GRAD_NORM": [1.0],
    "RESUME": ["3.pt"], "FIRST_EPOCH": [3], "DEVICE": ["cuda:0", "cpu"], "METHOD": list(PLACES),
    "TRAIN_LOADING": ["in_memory", "per_sample"], "EVAL_LOADING": ["in_memory", "per_sample"],
    "TEST_LOADING": ["in_memory"], "TRAIN_SPLIT": ["none"], "EVAL_SPLIT": ["none", "contiguous"],
    "TEST_SPLIT": ["none", "contiguous"], "LOSSES": ["one", "none", "several", "each", "weighed"],
    "OUTPUTS": ["one", "several", "named"], "NUM_WORKERS": [0],
    "BATCH_WEIGHT": ["n.item()", None], "LOSS_REDUCTION": ["mean", "sum", "neither", "unknown"],
}  # fmt: skip


def together(*some: Layer) -> dict[str, Any] | None:
    """Options with which all of these layers are on, or None if there are none."""
    names = sorted({name for one in some for name in one.when.co_names})
    candidates = [
        VALUES.get(name) or ([(Code("thing"),), ()] if defaults()[name] == () else [True, False])
        for name in names
    ]
    for values in itertools.product(*candidates):
        options = defaults() | dict(zip(names, values, strict=True))
        if all(one.is_on(options) for one in some):
            return options
    return None


def test_every_layer_can_be_on() -> None:
    for one in all_layers():
        assert together(one) is not None, f"{one.file}.{one.name}"


@pytest.mark.parametrize("function", sorted({path[0] for path in PLACES.values()}))
def test_every_layer_is_woven_with_every_other_one(function: str) -> None:
    mine = [one for one in all_layers() if PLACES[one.place][0] == function]
    met = 0
    for pair in itertools.combinations(mine, 2):
        if together(*pair) is not None:
            ast.parse(code_of(weave(function, pair)))
            met += 1
    assert met >= len(mine) - 1


def test_an_evaluation_is_never_done_by_one_rank_alone() -> None:
    """Where `if rank == 0:` holds the print, lines beside the print must not get into it.

    Else only the first rank evaluates, and the next message of all ranks waits for ever.
    """
    options = {"DISTRIBUTED": True, "EVAL_DATA": True, "EVAL_SPLIT": "contiguous"}
    program = ast.parse(unroll("fit", tuple(options.items())))
    guards = [
        node
        for node in ast.walk(program)
        if isinstance(node, ast.If) and ast.unparse(node.test) == "rank == 0"
    ]
    assert guards
    for guard in guards:
        assert {ast.unparse(node)[:6] for node in guard.body} == {"print("}
    # And a layer that says "before the print" is refused, not guessed.
    beside = layer("fit_epoch", "...", "evaluate()", *PRINT)
    distributed = [one for one in all_layers() if one.name == "rank_0_prints_the_epoch"]
    with pytest.raises(WeaveError, match="evaluation puts `evaluate\\(\\)` beside a line"):
        weave("fit", [*layers(evaluation=beside), *distributed])


PRINT = ["print({name: round(number, 4) for name, number in rows[-1].items()})"]


def test_the_files_are_read_once() -> None:
    assert weaver.all_layers() is weaver.all_layers()
