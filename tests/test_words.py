"""The field's words: what a reader learns here must be found in a search engine and in a paper.

`WORDS` has words that only we would use, and the field's word for each. They are looked for in
prose: Markdown, comments, docstrings and messages; not in names, nor in code between backquotes.
"""

import ast
import io
import re
import tokenize
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

# Where they are looked for.
PLACES = [
    "*.md",
    "book/*.md",
    "book/*.py",
    "book/reference/*.md",
    "notebooks/*.py",
    "tutorial/**/*.py",
]

WORDS = {
    r"chances?": "random state, seed or probability",
    r"rehears\w+": "dry run",
    r"wir(ed|ing)": "hooks",
    r"(take|takes|taken|taking|took)( \w+)? apart": "unpack",
    r"share[sd]? out|sharing out": "split (across ranks)",
    r"anew": "again or new",
    r"as well(?! as)": "too or also",
    r"whole numbers?": "integer",
    r"folders?": "directory",
    r"texts": "strings or source code",
    r"by heart": "memorize",
    r"(short|long) numbers?": "16-bit or float32",
    r"numbers beside": "buffers",
    r"can learn": "trainable",
    r"called positive": "predicted positive",
    r"(take|takes|taken|took) (it )?for (a|the|it)": "predicted as",
    r"table of mistakes": "confusion matrix",
    r"evaluation (data|images|set)": "validation data",
    r"(keep|keeps|kept)( \w+)? books": "bookkeeping",
    r"(take|takes|taken|taking|took) notes": "record a graph (autograd)",
    r"company": "the name of what is there",
    r"no number any more": "NaN",
}
BANNED = {
    re.compile(rf"\b(?:{word})\b".replace(" ", r"[\s#]+"), re.IGNORECASE): instead
    for word, instead in WORDS.items()
}


def prose_of(path: Path) -> str:
    """The prose in a file, on the lines where it stands; all else is left out."""
    source = path.read_text(encoding="utf-8")
    lines = [""] * (source.count("\n") + 1)
    if path.suffix == ".md":
        code = False
        for number, line in enumerate(source.splitlines()):
            code ^= bool(re.match(r"```(python|bash|text)?$", line))
            lines[number] = "" if code else line
    else:
        for token in tokenize.generate_tokens(io.StringIO(source).readline):
            if token.type == tokenize.COMMENT:
                lines[token.start[0] - 1] = token.string
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                for number, line in enumerate(node.value.splitlines(), start=node.lineno):
                    lines[min(number, node.end_lineno or 0) - 1] += f" {line}"
    return re.sub(
        r"`[^`\n]+(\n[^`\n]+)?`", lambda code: "\n" * code[0].count("\n"), "\n".join(lines)
    )


def private_words(path: Path) -> list[str]:
    """The words in a file that are not the field's, with its word for each."""
    prose = prose_of(path)
    return [
        f"{path.name}, line {prose.count(chr(10), 0, found.start()) + 1}: {found[0]!r}: {instead}"
        for pattern, instead in BANNED.items()
        for found in pattern.finditer(prose)
    ]


FILES = sorted({path for place in PLACES for path in ROOT.glob(place)})


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_prose_has_the_fields_words(path: Path) -> None:
    assert private_words(path) == []


def test_a_private_word_is_found_in_prose_and_not_in_code(tmp_path: Path) -> None:
    page, module = tmp_path / "page.md", tmp_path / "module.py"
    page.write_text(
        "A `folder`.\n\n```python\nfolder = 1  # anew\n```\n\nA whole\nnumber, by chance.\n"
    )
    module.write_text('folder = 1  # made anew\nprint(f"{folder} is a folder")\n')
    assert private_words(page) == [
        "page.md, line 8: 'chance': random state, seed or probability",
        "page.md, line 7: 'whole\\nnumber': integer",
    ]
    assert private_words(module) == [
        "module.py, line 1: 'anew': again or new",
        "module.py, line 2: 'folder': directory",
    ]
