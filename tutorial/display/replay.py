"""A replay: a recording of a loop, shown line by line, as one piece of HTML or as a table.

It needs no kernel and no network. The HTML holds the program and, in words, what each line changed;
that is all that is left where a notebook takes the script away, since nobody has trusted the file
yet. The script makes a player of it: replay.js.
"""

import json
import re
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from tutorial.display.depths import CLASSES, KEYS
from tutorial.display.highlight import lines_of

# Without blank lines: for who reads HTML as a part of Markdown, one ends it.
STYLE, SCRIPT = (
    re.sub(r"\n\s*\n", "\n", Path(__file__).with_suffix(ending).read_text(encoding="utf-8"))
    for ending in (".css", ".js")
)
NAMES = 6  # are told of one line, at most
LINES = 20  # are in a table, at most
WIDTH = 40  # of a line of code in a table

Recording = Mapping[str, Any]  # book/replay.md describes these
Moment = Mapping[str, Any]
Value = Mapping[str, Any]
Names = dict[str, Value]
GONE: Value = {"text": ""}  # there is nothing to say of it


def page(recording: Recording, player: str = "", moment: int = 0) -> str:
    """A recording as HTML that plays it, with all that this takes.

    Args:
        recording: what `Replay.recording` has.
        player: the widget that drives it knows it by this.
        moment: where it begins.

    Example:
        >>> moments = [{"line": 1, "epoch": None, "step": None, "set": {"x": 0}, "gone": []}]
        >>> values = [{"type": "number", "text": "1"}]
        >>> recording = {"title": "f()", "lines": ["x = 1"], "moments": moments, "values": values}
        >>> page({**recording, "error": None, "cut": ""}).count("<script")
        2
    """
    program = "".join(
        f'<span class="l">{line}</span>'
        for line in lines_of("\n".join(recording["lines"]) + "\n", CLASSES)
    )
    told = "".join(
        f"<li>line {line}, <code>{escape(code)}</code>: {escape(change)}</li>"
        for line, code, change in in_words(recording)
    )
    cut = f'<p class="cut">{escape(cut_of(recording))}</p>' if recording["cut"] else ""
    data = json.dumps(recording, separators=(",", ":"), ensure_ascii=False).replace("<", "\\u003c")
    return (
        f'<div class="tutorial-replay" data-player="{player}" data-moment="{moment}">'
        f"<style>{STYLE}</style>"
        f'<p class="title">Replay of <code>{escape(recording["title"])}</code></p>'
        f'<div class="columns"><pre tabindex="0" role="group" aria-label="the program" {KEYS}>'
        f'<code>{program}</code></pre><ol class="told">{told}</ol></div>{cut}'
        f'<script type="application/json">{data}</script><script>{SCRIPT}</script></div>'
    )


def text(recording: Recording) -> str:
    """A recording as a table: each line that was run, and what it changed.

    Example:
        >>> moment = {"line": 1, "epoch": None, "step": None, "gone": []}
        >>> moments = [{**moment, "set": {"x": 0}}, {**moment, "set": {"x": 1}}]
        >>> values = [{"type": "number", "text": "1"}, {"type": "number", "text": "2"}]
        >>> recording = {"title": "f()", "lines": ["x = x + 1"], "moments": moments}
        >>> print(text({**recording, "values": values, "error": None, "cut": ""}))
        Replay of f()
          1  x = x + 1  begins with x = 1
          1  x = x + 1  changes x = 2
    """
    found = in_words(recording)
    shown = [*found[:LINES], *found[LINES:][-1:]] if recording["error"] else found[:LINES]
    widths = max((len(code) for _, code, _ in shown), default=0)
    table = [
        f"{line:>3}  {code[:WIDTH]:<{min(widths, WIDTH)}}  {change}" for line, code, change in shown
    ]
    more = [f"... {len(found) - len(shown)} more"] * (len(found) > len(shown))
    cut = [cut_of(recording)] * bool(recording["cut"])
    return "\n".join([f"Replay of {recording['title']}", *table, *more, *cut])


# ---- in words


def cut_of(recording: Recording) -> str:
    """What was left out, as a sentence."""
    cut: str = recording["cut"]
    return f"{cut[:1].upper()}{cut[1:]}."


def in_words(recording: Recording) -> list[tuple[int, str, str]]:
    """For each moment its line's number, the line, and what it changed; at the end, an error."""
    values, error = recording["values"], recording["error"]
    state: Names = {}
    found = []
    for moment in recording["moments"]:
        found.append((moment["line"], changes(moment, state, values)))
        state |= {name: values[index] for name, index in moment["set"].items()}
        for name in moment["gone"]:
            state.pop(name, None)
    if error:
        if found and found[-1][0] == error["line"]:
            found.pop()  # that line did not come to its end
        shapes = shapes_in(recording["lines"][error["line"] - 1], state)
        known = f"\nThe shapes there: {listed(shapes, len(shapes))}" if shapes else ""
        found.append((error["line"], error["text"] + known))
    codes = [code.partition("  # ")[0].strip().removesuffix(":") for code in recording["lines"]]
    return [(line, codes[line - 1], told) for line, told in found]


def changes(moment: Moment, state: Names, values: Sequence[Value]) -> str:
    """What a line changed, in words."""
    now = {name: values[index] for name, index in moment["set"].items()}
    new = {name: value for name, value in now.items() if name not in state}
    changed = {name: value for name, value in now.items() if name in state}
    gone = dict.fromkeys(moment["gone"], GONE)
    done = {"makes" if state else "begins with": new, "changes": changed, "removes": gone}
    told = [f"{verb} {told_of(names)}" for verb, names in done.items() if names]
    return "; ".join(told) or "changes no value"


def shapes_in(line: str, state: Names) -> Names:
    """The tensors that a line speaks of, those of the network last."""
    words = set(re.findall(r"\w+", line))
    here = [name for name in state if re.split(r"\W", name)[0] in words and "shape" in state[name]]
    return {name: state[name] for name in sorted(here, key=lambda name: name.count("."))}


def told_of(names: Names) -> str:
    """Names, and apart from them those of gradients."""
    gradients = {name.removesuffix(".grad"): GONE for name in names if name.endswith(".grad")}
    others = {name: value for name, value in names.items() if not name.endswith(".grad")}
    told = [listed(others)] if others else []
    told += [f"the gradients of {listed(gradients)}"] if gradients else []
    return " and ".join(told)


def listed(names: Names, most: int = NAMES) -> str:
    """Some names, each with what there is to say in a word."""
    shown = [name + brief(value) for name, value in [*names.items()][:most]]
    more = [f"{len(names) - most} more"] * (len(names) > most)
    return ", ".join([*shown, *more])


def brief(value: Value) -> str:
    """What there is to say of a value in a word: its shape, or what it is.

    Example:
        >>> brief({"type": "number", "text": "2"}), brief({"type": "tensor", "shape": [64]})
        (' = 2', ' (64,)')
    """
    if value.get("shape"):
        return f" {tuple(value['shape'])}"
    return f" = {value['text']}" if value.get("text") else ""
