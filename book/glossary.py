"""The glossary: the terms that it explains, and the page for Jupyter Book 2."""

import re
from pathlib import Path

PAGE = Path(__file__).with_name("names.md")


def terms() -> list[str]:
    """The terms that the glossary explains."""
    inside = re.search(r"\{glossary\}\n(.*?)\n```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert inside, f"{PAGE.name} has no glossary"
    return re.findall(r"^(\w.*)$", inside[1], re.MULTILINE)


def for_jupyter_book() -> str:
    r"""The page as Jupyter Book 2 reads it, with a colon before each meaning.

    Example:
        >>> glossary = for_jupyter_book().partition("{glossary}")[2]
        >>> print(*glossary.splitlines()[1:3], sep="\n")
        accuracy
        : The fraction of predictions that are correct, from 0 to 1.
    """
    text = PAGE.read_text(encoding="utf-8")
    return re.sub(r"(?m)^(\w.*\n)    (?=\S)", r"\1: ", text)
