"""Code in a notebook, in colours that follow the notebook's theme, light or dark."""

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


def highlighted(source: str) -> str:
    """The source as HTML that needs no style sheet."""
    from html import escape

    spans = []
    for kind, text in lex(source, PythonLexer(stripnl=False)):
        color = next(
            (COLORS[parent] for parent in reversed(kind.split()) if parent in COLORS), None
        )
        text = escape(text, quote=False)
        spans.append(f'<span style="color:{color}">{text}</span>' if color else text)
    style = "margin:0;padding:0.4em 0;overflow-x:auto;line-height:1.4;background:none"
    return f'<pre style="{style}"><code>{"".join(spans)}</code></pre>'
