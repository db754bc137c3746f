"""What the library takes: the situations of tests/situations, which are tested, as tables."""

import importlib
import inspect
from collections import Counter
from collections.abc import Iterable
from itertools import groupby
from typing import Any

from tests.situations.layers import ARCHITECTURES, LAYERS
from tests.situations.situation import all_situations


def families() -> str:
    """A table for each family: what users bring, and what comes of it."""
    return "\n\n".join(
        f"### {title_of(family)}\n\n{introduction_of(family)}{table(members)}"
        for family, members in groupby(all_situations(), key=lambda one: one.family)
    )


def refusals(kind: str) -> str:
    """What is "refused", or has "no script", and what to write instead."""
    rows = [f"| {title(one)} | {one.instead} |" for one in all_situations() if one.expected == kind]
    return "\n".join(["| What you bring | What to write instead |", "|---|---|", *rows])


def counts() -> str:
    """How many situations there are, and how many of each outcome."""
    every = all_situations()
    count = Counter(one.expected for one in every)
    still_open = sum(one.is_open for one in every)
    line = (
        f"{len(every)} situations: {count['equal']} come out equal, {count['told']} with a "
        f"warning, {count['no script']} train, but a part of their script must be supplied, and "
        f"{count['refused']} are refused. Besides, {len(LAYERS)} layers of torch and torchvision "
        f"with unusual arguments, and {len(ARCHITECTURES)} published architectures are written out "
        "in a script and made again."
    )
    return line + (f" Not yet so: {still_open} of them, marked below." if still_open else "")


def own_loop() -> str:
    """The source of the loop that trains a GAN, as the tests run it."""
    loops = module_of("own_loops")
    return f"```python\n{inspect.getsource(loops.gan_loop)}```"


def table(members: Iterable[Any]) -> str:
    """The situations of a family."""
    rows = [f"| {title(one)} | {outcome(one)} |" for one in members]
    return "\n".join(["| What you bring | What comes of it |", "|---|---|", *rows])


def title(one: Any) -> str:
    """A title, whose signs mean nothing in Markdown."""
    text: str = one.title
    for sign in "\\|*_{}":
        text = text.replace(sign, f"\\{sign}")
    return text


def outcome(one: Any) -> str:
    """What comes of it, in words."""
    words = {
        "equal": "works",
        "told": f"works, with a warning: {one.instead}",
        "no script": f"works, without a script; for one: {one.instead}",
        "refused": f"is refused; instead: {one.instead}",
    }[one.expected]
    return f"not yet: {words}" if one.is_open else words


def title_of(family: str) -> str:
    """A family's name: the first words of its file."""
    return first_line(family).partition(":")[0].rstrip(".")


def introduction_of(family: str) -> str:
    """What is in it: the rest of the first line."""
    rest = first_line(family).partition(": ")[2]
    return f"{rest[0].upper()}{rest[1:]}\n\n" if rest else ""


def first_line(family: str) -> str:
    """The first line of a file of situations."""
    return (module_of(family).__doc__ or "").splitlines()[0]


def module_of(family: str) -> Any:
    """A file of situations."""
    return importlib.import_module(f"tests.situations.{family}")
