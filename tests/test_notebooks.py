"""The lessons: each is a pair, run from top to bottom, and its outputs are the same everywhere.

That the outputs are true is nbval's part: `make test` runs every notebook again and compares. To
change a lesson, change the .py, and make the .ipynb from it:

    jupytext --sync notebooks/NN_name.py
    jupyter nbconvert --to notebook --execute --inplace \
        --ExecutePreprocessor.record_timing=False notebooks/NN_name.ipynb
"""

import json
import re
from pathlib import Path
from typing import Any

import jupytext
import nbformat
import pytest

FOLDER = Path(__file__).parent.parent / "notebooks"
LESSONS = sorted({path.stem for path in FOLDER.iterdir() if path.suffix in (".py", ".ipynb")})

# What an output must not hold, because it differs between machines or between runs.
FORBIDDEN = {
    "a path of this machine": r"(?<![\w.~/])/(home|root|Users|work|tmp|var|opt|usr|mnt)/"
    r"|\b[A-Za-z]:\\\w|site-packages|ipykernel_\d",
    "a memory address": r"\b0x[0-9a-fA-F]{5,}\b",
    "a time of day": r"\b(\d+:)?\d\d:\d\d\b",
    "a duration": r"\b\d+(\.\d+)? ?(ns|us|µs|μs|ms|s|sec|seconds?|min|minutes?)\b",
    "a rate": r"\b\d+(\.\d+)? ?(it|steps|batches|samples|images)/s\b",
    "something that the network must bring": r"(src|href)=[\"']?(https?:)?//|url\(|@import",
}


@pytest.fixture(params=LESSONS)
def lesson(request: pytest.FixtureRequest) -> str:
    return request.param


def read(lesson: str) -> Any:
    return nbformat.read(FOLDER / f"{lesson}.ipynb", as_version=4)


def cells_of(notebook: Any) -> list[tuple[str, str, list[str]]]:
    return [
        (cell.cell_type, cell.source.rstrip(), cell.metadata.get("tags", []))
        for cell in notebook.cells
    ]


def code_cells(lesson: str) -> list[Any]:
    return [cell for cell in read(lesson).cells if cell.cell_type == "code" and cell.source.strip()]


def texts_of(output: Any) -> list[str]:
    """All that a reader of this output sees as text; not its pictures."""
    if output.output_type == "stream":
        return [output.text]
    if output.output_type == "error":
        return [output.evalue, *output.traceback]
    return [
        data if isinstance(data, str) else json.dumps(data)
        for kind, data in output.data.items()
        if not kind.startswith("image/") or kind == "image/svg+xml"
    ]


def found_in(text: str) -> list[str]:
    return [what for what, pattern in FORBIDDEN.items() if re.search(pattern, text)]


def test_there_are_lessons():
    assert LESSONS


def test_each_lesson_is_a_pair_that_says_the_same(lesson):
    source, notebook = FOLDER / f"{lesson}.py", FOLDER / f"{lesson}.ipynb"
    assert source.exists(), f"{notebook.name} has no .py beside it"
    assert notebook.exists(), f"{source.name} has no .ipynb beside it"
    written, shown = cells_of(jupytext.read(source)), cells_of(read(lesson))
    for number, (a, b) in enumerate(zip(written, shown, strict=False), start=1):
        assert a == b, f"cell {number} differs"
    assert len(written) == len(shown)


def test_each_notebook_is_valid(lesson):
    nbformat.validate(read(lesson))


def test_each_code_cell_was_run_in_order(lesson):
    counts = [cell.execution_count for cell in code_cells(lesson)]
    assert counts == list(range(1, len(counts) + 1))


def test_no_cell_failed_unless_it_should(lesson):
    for cell in code_cells(lesson):
        failed = any(output.output_type == "error" for output in cell.outputs)
        assert failed == ("raises-exception" in cell.metadata.get("tags", [])), cell.source


def test_outputs_are_the_same_on_every_machine(lesson):
    for cell in code_cells(lesson):
        assert "execution" not in cell.metadata, f"when it ran was noted:\n{cell.source}"
        for output in cell.outputs:
            for text in texts_of(output):
                assert found_in(text) == [], f"{cell.source}\n->\n{text}"


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("<a.B object at 0x7f95f014f4d0>", "a memory address"),
        ('File "/home/ada/lessons/fit.py", line 3', "a path of this machine"),
        ("C:\\Users\\ada", "a path of this machine"),
        ("epoch 1/5 [00:12<00:48]", "a time of day"),
        ("done in 12.5 s", "a duration"),
        ("931 steps/s", "a rate"),
        ('<script src="https://example.org/d3.js">', "something that the network must bring"),
    ],
)
def test_what_differs_between_machines_is_found(text, found):
    assert found in found_in(text)


@pytest.mark.parametrize(
    "text",
    [
        "epoch 1/5: loss 0.3357, acc 0.8984",
        "157 batches: 10000 samples",
        "x: (64, 1, 28, 28)",
        "File <unrolled fit 0a1b2c3d>, line 12",
        "['1.weight', '1.bias']",
        "<Figure size 528x224 with 12 Axes>",
        "logits[:, 0:10] / work",
    ],
)
def test_what_is_the_same_everywhere_is_allowed(text):
    assert found_in(text) == []
