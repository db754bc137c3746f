"""The API on one page: every public name with its signature and its one sentence; the command."""

import inspect
import os
import textwrap
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import tutorial as tl
from tutorial.course import cli

WITH_METHODS = (
    tl.Model,
    tl.Program,
    tl.History,
    tl.InputSpec,
    tl.callbacks.Callback,
    tl.metrics.Metric,
)


def public() -> Iterator[tuple[str, Any]]:
    """The names that users use and what they stand for: callbacks.EarlyStopping, ..."""
    for name in tl.__all__:
        value = getattr(tl, name)
        if isinstance(value, ModuleType):
            yield from ((f"{name}.{inner}", getattr(value, inner)) for inner in value.__all__)
        else:
            yield name, value


def members(thing: Any) -> Iterator[tuple[str, Any]]:
    """The public methods and properties of a class, of those that are used by name."""
    if thing in WITH_METHODS:
        for name, value in vars(thing).items():
            explained = inspect.isroutine(value) or isinstance(value, property)
            if explained and not name.startswith("_") and value.__doc__:
                yield name, value


def all_of_tutorial() -> str:
    """Every public name: its signature, its one sentence, and a link to the rest."""
    groups: dict[str, list[str]] = {}
    last = len(WITH_METHODS)
    order = {thing: place for place, thing in enumerate(WITH_METHODS)}
    for name, thing in sorted(public(), key=lambda item: order.get(item[1], last)):
        entries = groups.setdefault(name.rpartition(".")[0], [])
        entries.append(entry(name, thing, f"tl.{name}"))
        for inner, value in members(thing):
            entries.append(entry(f"{name}.{inner}", value, f"{thing.__name__}.{inner}", "  "))
    parts = []
    for group, entries in groups.items():
        title = f"tl.{group}" if group else "tl"
        parts += [f"## {title}\n", ":::{div} all", *entries, ":::\n"]
    return "\n".join(parts)


def entry(name: str, thing: Any, shown: str, indent: str = "") -> str:
    """A line of a list."""
    sentence = first_sentence(thing)
    return f"{indent}- {{py:obj}}`{shown} <tutorial.{name}>`{signature(thing)}<br>{sentence}"


def signature(thing: Any) -> str:
    """How it is called: names and defaults; its types are in the reference."""
    if not callable(thing):
        return ""
    given = inspect.signature(thing).parameters.values()
    plain = [p.replace(annotation=p.empty) for p in given if p.name != "self"]
    return f" `{inspect.Signature(plain)}`"


def first_sentence(thing: Any) -> str:
    """The first paragraph of a docstring, in one line of Markdown."""
    if isinstance(thing, tuple):
        return ", ".join(f"`{item}`" for item in thing)
    paragraph = (inspect.getdoc(thing) or "").partition("\n\n")[0]
    return " ".join(paragraph.replace("``", "`").split())


def commands() -> str:
    """What the command `tutorial` says of itself."""
    os.environ["COLUMNS"] = "88"
    parser = cli.parser()
    [choices] = [a.choices for a in parser._actions if isinstance(a.choices, dict)]
    texts = [parser.format_help(), *(each.format_help() for each in choices.values())]
    return "\n".join(f"```text\n{textwrap.dedent(text).strip()}\n```\n" for text in texts)
