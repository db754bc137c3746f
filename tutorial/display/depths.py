"""A program at its depths, as one piece of HTML with a control for the depth.

It needs no kernel and no network. The style sheet alone chooses the depth; the script lights up
what belongs to a line. Where a notebook leaves out both, since nobody has trusted the file yet, the
programs are one below the other, each with its name.
"""

from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import NamedTuple

from pygments.token import Comment, Keyword, Name, Number, Operator, String

from tutorial.display.highlight import lines_of

STYLE, SCRIPT = (
    Path(__file__).with_suffix(ending).read_text(encoding="utf-8") for ending in (".css", ".js")
)
CLASSES = {
    Comment: 'class="c"',
    Keyword: 'class="k"',
    Operator.Word: 'class="k"',
    String: 'class="s"',
    Number: 'class="n"',
    Name.Builtin: 'class="k"',
}

KEYS = "data-lm-suppress-shortcuts"  # what has it keeps its keys from JupyterLab's shortcuts


class Written(NamedTuple):
    """A program at one depth.

    Attributes:
        source: its source.
        places: for each line a pair: its part, which is the same at each depth, and its layer or 0.
    """

    source: str
    places: Sequence[tuple[int, int]]


def control(title: str, versions: Mapping[str, Written | str], chosen: str) -> str:
    """The control.

    Args:
        title: the call.
        versions: for each depth the program, or why there is none.
        chosen: the depth that is shown at first.

    Example:
        >>> html = control("f(x)", {"loop": Written("y = f(x)", [(0, 0)]), "numpy": "none"}, "loop")
        >>> html.count('name="depth"'), html.count("<section data")
        (2, 1)
    """
    choices = "".join(choice(depth, versions[depth], depth == chosen) for depth in versions)
    beside = f'<label><input type="checkbox" name="beside" {KEYS}>beside the loop</label>'
    missing: dict[str, list[str]] = {}  # depths, by the reason
    for depth, reason in versions.items():
        if isinstance(reason, str):
            missing.setdefault(reason, []).append(depth)
    reasons = "".join(
        f"<p><b>{', '.join(depths)}</b>: {escape(reason)}</p>" for reason, depths in missing.items()
    )
    programs = "".join(
        program(depth, written)
        for depth, written in versions.items()
        if isinstance(written, Written)
    )
    return (
        f'<div class="tutorial-depths"><style>{STYLE}</style>'
        # A form of its own keeps the radio buttons apart from those of another program.
        f'<form method="dialog" style="display:none"><fieldset><legend>How deep? <code>'
        f"{escape(title)}</code></legend>{choices}{beside}</fieldset></form>{reasons}"
        f'<div class="programs">{programs}</div>'
        f"<output></output><script>{SCRIPT}</script></div>"
    )


def choice(depth: str, written: Written | str, chosen: bool) -> str:
    """The radio button for a depth."""
    state = " disabled" * isinstance(written, str) + " checked" * chosen
    return f'<label><input type="radio" name="depth" value="{depth}"{state} {KEYS}>{depth}</label>'


def program(depth: str, written: Written) -> str:
    """A program, in which each line says to what it belongs."""
    coloured = lines_of(written.source, CLASSES)
    lines = "".join(
        f'<span class="l" data-p="{part}" data-k="{layer}">{line}</span>'
        for line, (part, layer) in zip(coloured, written.places, strict=True)
    ).replace(' data-k="0"', "")
    return (
        f'<section data-depth="{depth}"><b>{depth}</b><pre tabindex="0" role="group" '
        f'aria-label="{depth}" {KEYS}><code>{lines}</code></pre></section>'
    )
