"""The lessons as pages: copies of the notebooks, with their outputs, without the solutions."""

import re

from tutorial.course.grading.release import (
    Cell,
    Notebook,
    nbgrader_of,
    read,
    source_of,
    without_hidden_tests,
    without_solutions,
)
from tutorial.course.lessons import Lesson


def page_of(lesson: Lesson, below_title: str, terms: list[str]) -> Notebook:
    """A lesson as the book shows it.

    Args:
        lesson: the lesson.
        below_title: Markdown that comes between the title and the text.
        terms: what the glossary explains.
    """
    notebook = read(lesson.path)
    cells = [shown(cell, terms) for cell in notebook["cells"]]
    title, text = source_of(cells[0]).split("\n", 1)
    cells[0] = {**cells[0], "source": f"{title}\n\n{below_title}\n{text}"}
    return {**notebook, "cells": cells}


def shown(cell: Cell, terms: list[str]) -> Cell:
    """A cell as the book shows it: an exercise is open, and a term leads to what it means."""
    text = source_of(cell)
    if cell["cell_type"] == "markdown":
        return {**cell, "source": with_links(text, terms)}
    if nbgrader_of(cell):  # what the solution gave would look like the answer of a stub
        cell = {**cell, "outputs": [], "execution_count": None}
    return {**cell, "source": without_hidden_tests(without_solutions(text))}


def with_links(text: str, terms: list[str]) -> str:
    """The text in which each *term*, written so where a lesson brings it in, leads to its meaning.

    Example:
        >>> with_links("Two passes are two *epochs*, **not** *days*.", ["epoch"])
        'Two passes are two {term}`epochs <epoch>`, **not** *days*.'
    """
    for term in terms:
        text = re.sub(rf"(?<!\*)\*({term}s?)\*(?!\*)", rf"{{term}}`\1 <{term}>`", text)
    return text
