"""Lines of code in the library, room by room: without comments, docstrings and blank lines.

python tests/benchmarks/lines.py            the files as they are
python tests/benchmarks/lines.py 36edd00    beside those of a commit
"""

import ast
import io
import re
import subprocess
import sys
import tokenize
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).parents[2]
GLUE = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT}
GLUE |= {tokenize.ENCODING, tokenize.ENDMARKER}
WITH_DOCSTRING = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


def python_lines(source: str) -> int:
    """The lines on which a token of code stands."""
    lines: set[int] = set()
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type not in GLUE:
            lines |= set(range(token.start[0], token.end[0] + 1))
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, WITH_DOCSTRING) and ast.get_docstring(node) is not None:
            lines -= set(range(node.body[0].lineno, (node.body[0].end_lineno or 0) + 1))
    return len(lines)


def script_lines(source: str) -> int:
    """The same of JavaScript and TypeScript: comments are taken for such at the start of a line."""
    source = re.sub(r"^\s*/\*.*?\*/", "", source, flags=re.DOTALL | re.MULTILINE)
    return sum(not re.match(r"\s*(//|$)", line) for line in source.splitlines())


COUNTED = {".py": python_lines, ".js": script_lines, ".ts": script_lines}


def room_of(path: Path) -> str:
    """The folder below tutorial/; a single file stands for itself."""
    return path.parts[1] + "/" * (len(path.parts) > 2) if path.suffix == ".py" else "JS and TS"


def git(*arguments: str) -> str:
    """What git answers."""
    return subprocess.run(
        ["git", *arguments], cwd=ROOT, check=True, capture_output=True, text=True
    ).stdout


def count(revision: str = "") -> Counter[str]:
    """Lines of code by room: of a commit, or of the files as they are."""
    if revision:
        names = git("ls-tree", "-r", "--name-only", revision, "tutorial").splitlines()
    else:
        names = git("ls-files", "-co", "--exclude-standard", "tutorial").splitlines()
    lines: Counter[str] = Counter()
    for path in map(Path, names):
        if path.suffix not in COUNTED or "built" in path.parts:
            continue  # built/ is made from the TypeScript
        if not revision and not (ROOT / path).exists():
            continue  # deleted, and not yet for git
        text = git("show", f"{revision}:{path}") if revision else (ROOT / path).read_text("utf-8")
        lines[room_of(path)] += COUNTED[path.suffix](text)
    return lines


def main() -> None:
    """Print the table."""
    counts = {name or "now": count(name) for name in [*sys.argv[1:], ""]}
    print(f"{'lines of code':24}" + "".join(f"{name:>10}" for name in counts))
    for room in sorted({room for lines in counts.values() for room in lines}):
        print(f"{room:24}" + "".join(f"{lines[room]:10,}" for lines in counts.values()))
    totals = [lines.total() - lines["JS and TS"] for lines in counts.values()]
    print(f"{'Python, all':24}" + "".join(f"{total:10,}" for total in totals))
    if len(totals) == 2:
        print(f"{'change':24}{totals[1] / totals[0] - 1:>20.1%}")


if __name__ == "__main__":
    main()
