"""The lessons as notebooks, and what of a lesson its students get.

A notebook is JSON; nothing more is needed to read and write it. The marks and the metadata are
those of nbgrader, so that a school which has it can use the same files.

A copy for *self-study* carries a seal in its metadata. Only beside such copies is noted what has
been solved, and only there does `tl.hint` show a solution, in the end. What a course hands out, by
`tutorial student` or by nbgrader, has none. A seal is made of the lesson's solutions: who could
write one into a notebook needs it no more.
"""

import hashlib
import json
import re
from pathlib import Path
from typing import Any

Notebook = dict[str, Any]
Cell = dict[str, Any]

STUB = ["# YOUR CODE HERE", "raise NotImplementedError()"]  # the same as nbgrader's
START = "exercises"  # the tag of the cell from which on a notebook is graded
SEAL = "torch_tutorial_self_study"  # where a copy's seal is, in its metadata


def lessons_directory() -> Path:
    """Where the lessons are: in the installed package, or in a checkout."""
    package = Path(__file__).parents[2]
    inside = package / "notebooks"
    return inside if inside.is_dir() else package.parent / "notebooks"


def find_lessons(names: list[str], directory: Path | None = None) -> list[Path]:
    """The notebooks of lessons, by number or by name; all of them if no name is given.

    Args:
        names: such as "1", "01" or "01_train_evaluate_predict".
        directory: where the notebooks are; None: this package's.

    Raises:
        ValueError: there is no lesson of this name; the message lists what there is.

    Example:
        >>> [path.stem for path in find_lessons(["1"])]
        ['01_train_evaluate_predict']
    """
    directory = directory or lessons_directory()
    there = sorted(directory.glob("[0-9][0-9]_*.ipynb"))
    if not there:
        raise ValueError(f"In {directory} there is no lesson, such as 01_name.ipynb.")
    found = []
    for name in names:
        number = name.zfill(2)
        like = [path for path in there if path.stem == name or path.stem[:2] == number]
        if not like:
            stems = ", ".join(path.stem for path in there)
            raise ValueError(f"There is no lesson {name!r}. There are: {stems}.")
        found += like
    return found or there


def read(path: Path) -> Notebook:
    """A notebook from its file.

    Raises:
        ValueError: the file holds no notebook.
    """
    try:
        return parsed(path.read_bytes())
    except ValueError as error:
        raise ValueError(f"{path.name} is no notebook: {error}") from None


def parsed(data: bytes) -> Notebook:
    """A notebook from the bytes of its file, whoever has written them.

    Raises:
        ValueError: they are no notebook.
    """
    try:
        notebook: Notebook = json.loads(data)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    cells = notebook.get("cells") if isinstance(notebook, dict) else None
    if not isinstance(cells, list):
        raise ValueError("it has no list of cells")
    for cell in cells:
        if not isinstance(cell, dict) or not isinstance(cell.get("metadata", {}), dict):
            raise ValueError("one of its cells is none")
        source = cell.get("source", "")
        if not isinstance(source, str) and not (
            isinstance(source, list) and all(isinstance(line, str) for line in source)
        ):
            raise ValueError("a cell's source is not a string")
    return notebook


def source_of(cell: Cell) -> str:
    """The source of a cell, which a file holds as one string or as lines."""
    source = cell.get("source", "")
    return source if isinstance(source, str) else "".join(source)


def nbgrader_of(cell: Cell) -> dict[str, Any]:
    """What nbgrader's metadata say of a cell; nothing if it is no part of an exercise."""
    found = cell.get("metadata", {}).get("nbgrader", {})
    return found if isinstance(found, dict) else {}


def graded(notebook: Notebook) -> dict[str, Cell]:
    """The cells that give points, by the name of their exercise."""
    return {
        found["grade_id"]: cell
        for cell in notebook["cells"]
        if (found := nbgrader_of(cell)).get("grade") and isinstance(found.get("grade_id"), str)
    }


def for_students(notebook: Notebook, self_study: bool = False) -> Notebook:
    """The notebook without solutions, hidden tests and outputs; sealed, if for self-study."""
    metadata = {**notebook["metadata"], SEAL: seal_of(notebook)} if self_study else None
    cells = []
    for cell in notebook["cells"]:
        text = source_of(cell)
        if cell["cell_type"] == "code":
            text = without_hidden_tests(without_solutions(text))
            cell = {**cell, "outputs": [], "execution_count": None}
        cells.append({**cell, "source": text.splitlines(keepends=True)})
    return {**notebook, "metadata": metadata or notebook["metadata"], "cells": cells}


def seal_of(lesson: Notebook) -> str:
    """The seal of copies of this lesson, which has its solutions."""
    return hashlib.sha256(json.dumps(solutions(lesson)).encode()).hexdigest()


def solutions(lesson: Notebook) -> dict[str, str]:
    """The answers that are in it, by the name of their exercise; none in what students get."""
    return {
        str(nbgrader_of(cell).get("grade_id")).removesuffix("_answer"): _without_marks(text)
        for cell in lesson["cells"]
        if (text := source_of(cell)) != without_solutions(text) and nbgrader_of(cell)
    }


def _without_marks(source: str) -> str:
    marks = re.compile(r"\s*### (BEGIN|END) SOLUTION\s*")
    return "\n".join(line for line in source.splitlines() if not marks.fullmatch(line)).rstrip()


def without_solutions(source: str) -> str:
    """A stub in the place of each solution, as far to the right as the solution stood.

    Example:
        >>> print(without_solutions('''def double(a):
        ...     ### BEGIN SOLUTION
        ...     return 2 * a
        ...     ### END SOLUTION'''))
        def double(a):
            # YOUR CODE HERE
            raise NotImplementedError()
    """
    return _without(source, "SOLUTION", STUB)


def without_hidden_tests(source: str) -> str:
    """The source without the tests that students don't see."""
    return _without(source, "HIDDEN TESTS", [])


def _without(source: str, what: str, instead: list[str]) -> str:
    """The source with other lines in the place of each marked part."""
    lines: list[str] = []
    inside = False
    for line in source.splitlines():
        if re.fullmatch(rf"\s*### BEGIN {what}\s*", line):
            if inside:
                raise ValueError(f"### BEGIN {what} stands twice before ### END {what}.")
            inside = True
            indent = line[: len(line) - len(line.lstrip())]
            lines += [indent + text for text in instead]
        elif re.fullmatch(rf"\s*### END {what}\s*", line):
            if not inside:
                raise ValueError(f"### END {what} stands without ### BEGIN {what} before it.")
            inside = False
        elif not inside:
            lines.append(line)
    if inside:
        raise ValueError(f"### BEGIN {what} has no ### END {what}.")
    return "\n".join(lines)
