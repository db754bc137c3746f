"""Code in a notebook, in colours that follow the notebook's theme, light or dark."""

from collections.abc import Mapping
from io import StringIO
from typing import Any

from pygments import lex
from pygments.lexers import PythonLexer
from pygments.token import Comment, Keyword, Name, Number, Operator, String

# JupyterLab and Notebook 7 set these variables in each theme; elsewhere the second colour counts.
# Both read well on white and on black.
COLORS = {
    Comment: "var(--jp-mirror-editor-comment-color, #5f8a8b)",
    Keyword: "var(--jp-mirror-editor-keyword-color, #2f8f2f)",
    Operator.Word: "var(--jp-mirror-editor-keyword-color, #2f8f2f)",
    String: "var(--jp-mirror-editor-string-color, #c2403a)",
    Number: "var(--jp-mirror-editor-number-color, #2f8f5f)",
    Name.Builtin: "var(--jp-mirror-editor-builtin-color, #2f8f2f)",
}
STYLES = {kind: f'style="color:{color}"' for kind, color in COLORS.items()}


# As in the cells of a notebook, whose outputs else have larger letters, and broken lines.
FONT = (
    "font-family:var(--jp-code-font-family,monospace);font-size:var(--jp-code-font-size,13px);"
    "line-height:var(--jp-code-line-height,1.4);white-space:pre;word-break:normal"
)

# By the keyboard, too: Jupyter must not take the arrow keys for itself.
SCROLLS = 'tabindex="0" role="group" data-lm-suppress-shortcuts="true"'


def highlighted(source: str) -> str:
    """The source as HTML that needs no style sheet; what is too long is scrolled to."""
    style = f"margin:0;padding:0.4em 0;overflow-x:auto;background:none;{FONT}"
    return f'<pre {SCROLLS} aria-label="code" style="{style}">{code_of(source)}</pre>'


def code_of(source: str) -> str:
    """The source as HTML in a `code` element."""
    style = "font:inherit;white-space:inherit;padding:0;background:none"
    return f'<code style="{style}">{"".join(lines_of(source, STYLES))}</code>'


def lines_of(source: str, attributes: Mapping[Any, str]) -> list[str]:
    """The source's lines as HTML, in which a span with such an attribute is around each token."""
    from html import escape

    lines = [""]
    for kind, text in lex(source, PythonLexer(stripnl=False)):
        parents = reversed(kind.split())
        attribute = next((attributes[each] for each in parents if each in attributes), None)
        for piece in StringIO(escape(text, quote=False)):  # at Python's ends of lines alone
            code = piece.rstrip("\n")
            lines[-1] += f"<span {attribute}>{code}</span>" if attribute and code else code
            if piece.endswith("\n"):
                lines[-1] += "\n"
                lines.append("")
    return lines if lines[-1] else lines[:-1]
