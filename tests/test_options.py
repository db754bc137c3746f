"""One option, one name, two places: a parameter of fit that lacks something is named here."""

import re
from inspect import signature

import pytest
from test_equality import FIT, OPTIONS
from test_golden import CASES
from test_loop import FOLDER, options_read

import tutorial as tl
from tutorial.loop.layers import LAYERS
from tutorial.unroll.unroll import defaults

PARAMETERS = [name for name in signature(tl.Model.fit).parameters if name != "self"]

# Parameters that change no line of the loop.
NO_LINE = {
    "train_data": "what the loop goes through; how its batches come is the layer `loading`",
    "save_freq": "the checkpoint callback counts epochs itself",
    "verbose": "chooses the display, which the layer `report` calls",
    "loop": "takes the place of the loop",
}
# Parameters whose option has another name, or goes by the object that they make.
MEANT_BY = {"save_dir": "CHECKPOINTS"}
# Parameters that are not in the table of tests/test_equality.py.
ELSEWHERE = {
    "log_freq": "only prints: tests/test_display.py",
    "save_freq": "tests/test_callbacks.py",
    "verbose": "tests/test_display.py",
    "num_workers": "starts processes for each case: tests/test_model.py",
    "resume": "tests/test_resume.py: killed at random moments",
    "compile": "its results differ by rounding: tests/test_precision.py",
    "loop": "tests/test_program.py",
}
ROWS = {"train_data": "data"}
PREPARED = ("data", "eval_data", "callbacks", "save_dir")  # what `prepared` makes of the row


def option_of(name: str) -> str:
    return MEANT_BY.get(name, name.upper())


@pytest.mark.parametrize("name", PARAMETERS)
def test_a_parameter_has_its_lines_in_the_loop(name: str) -> None:
    if name in NO_LINE:
        return
    assert option_of(name) in defaults(), "it needs a line in tutorial/loop/options.py"
    files = [FOLDER / "fit.py", *(FOLDER / "layers" / f"{layer}.py" for layer in LAYERS)]
    assert any(option_of(name) in options_read(path) for path in files), (
        "it needs a layer that is in LAYERS"
    )


@pytest.mark.parametrize("name", PARAMETERS)
def test_a_parameter_has_a_line_in_the_docstring(name: str) -> None:
    described = re.search(rf"^ +{name}: \S", tl.Model.fit.__doc__ or "", re.M)
    assert described, "it needs a line in the docstring of fit"


@pytest.mark.parametrize("name", PARAMETERS)
def test_a_parameter_has_a_row_in_the_equality_table(name: str) -> None:
    row = ROWS.get(name, name)
    assert (row in OPTIONS) != (name in ELSEWHERE), "it needs a row in OPTIONS, or a reason here"
    if row in OPTIONS:
        assert row in (*FIT, *PREPARED), "its row must reach the call: its name goes into FIT"


@pytest.mark.parametrize("name", PARAMETERS)
def test_a_parameter_has_a_golden_program(name: str) -> None:
    if name in NO_LINE or option_of(name) in options_read(FOLDER / "fit.py"):
        return  # of the plain loop: each of them shows it
    named = {
        option for case, options in CASES.items() if case.startswith("fit") for option in options
    }
    assert option_of(name) in named, "it needs a case in tests/test_golden.py"


def test_what_these_lists_say_is_needed() -> None:
    for listed in (NO_LINE, ELSEWHERE, ROWS, MEANT_BY):
        assert set(listed) <= set(PARAMETERS)
