"""Writes the parts of the book that the library tells itself.

    notebooks/    the lessons, without the solutions
    made/         their cards, loops, the whole API, ...: the book's pages include these parts

So they can never be out of date. Git ignores both folders.
"""

import inspect
import json
import os
import re
import textwrap
import tomllib
from collections.abc import Iterator
from difflib import SequenceMatcher
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import copies
import live
import torch
from torch import nn

import tutorial as tl
from tutorial import cli, lessons
from tutorial.grading.lessons import graded, read, source_of

BOOK = Path(__file__).parent
ROOT = BOOK.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]

# For the links to Colab and Binder. Set BOOK_REPOSITORY for a copy of yours.
REPOSITORY = os.environ.get(
    "BOOK_REPOSITORY",
    PROJECT.get("urls", {}).get("Repository", "https://github.com/OWNER/tutorial"),
)
BRANCH = "main"


def write_all() -> None:
    """Write every part."""
    found = lessons.lessons()
    terms = terms_of(BOOK / "names.md")
    for lesson in found:
        as_json("notebooks", lesson.path, copies.page_of(lesson, links_of(lesson), terms))
        as_json("made", lesson.path, lesson.fresh())
    parts = {
        "cards.md": cards(found),
        "timing.md": timing(found),
        "install.md": install(),
        "colab.md": f"```text\n%pip install git+{REPOSITORY}\n```\n",
        "graph.html": graph(found),
        "contents.md": contents(found),
        "high_level.md": block(HIGH_LEVEL),
        "low_level.md": block(unrolled(FIT)),
        "calls.md": calls(),
        "options.md": options(),
        "all.md": all_of_tutorial(),
        "commands.md": commands(),
        "names.md": for_jupyter_book(BOOK / "names.md"),
        "draw_digit.html": live.draw_digit(),
        "live_plot.html": live.live_plot(),
    }
    for name, text in parts.items():
        write(BOOK / "made" / name, text)


def as_json(folder: str, path: Path, notebook: dict[str, Any]) -> None:
    """Write a notebook."""
    write(BOOK / folder / path.name, json.dumps(notebook, ensure_ascii=False, indent=1) + "\n")


def write(path: Path, text: str) -> None:
    """Write a file, if it does not say so already: Sphinx reads again what is new."""
    if not path.exists() or path.read_text(encoding="utf-8") != text:
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")


# ---- the lessons


def links_of(lesson: lessons.Lesson) -> str:
    """The line below a lesson's title."""
    file, owner = f"notebooks/{lesson.path.name}", REPOSITORY.removeprefix("https://github.com/")
    colab = f"https://colab.research.google.com/github/{owner}/blob/{BRANCH}/{file}"
    binder = f"https://mybinder.org/v2/gh/{owner}/{BRANCH}?urlpath=lab/tree/{file}"
    fresh = f"{{download}}`The notebook <../made/{lesson.path.name}>`"
    return (
        f":::{{div}} lesson-links\n{lesson.minutes} minutes · {fresh} · "
        f"[Open in Colab]({colab}) · [Open in Binder]({binder})\n:::\n"
    )


def number_of(lesson: lessons.Lesson) -> int:
    """The number in the lesson's name."""
    return int(lesson.name.partition("_")[0])


def contents(found: list[lessons.Lesson]) -> str:
    """The lessons in the book's table of contents."""
    entries = [f"{number_of(each)} · {each.title} <notebooks/{each.name}>" for each in found]
    options = ":hidden:\n:caption: Lessons\n"
    return "\n".join(["```{toctree}", options, *entries, "```", ""])


def cards(found: list[lessons.Lesson]) -> str:
    """A card for each lesson."""
    parts = ["::::{grid} 1 2 2 3\n:gutter: 3\n"]
    for lesson in found:
        goals = "\n".join(f"- {goal}" for goal in lesson.goals[:3])
        parts.append(
            f":::{{grid-item-card}} {number_of(lesson)} · {lesson.title}\n"
            f":link: notebooks/{lesson.name}\n:link-type: doc\n\n"
            f"{goals}\n\n{lesson.minutes} minutes\n:::\n"
        )
    return "\n".join([*parts, "::::\n"])


def builds_on(lesson: lessons.Lesson) -> set[int]:
    """The numbers of the lessons that the first cell of a lesson names; or the first lesson."""
    cell = source_of(read(lesson.path)["cells"][0])
    named = " ".join(re.findall(r"[Ll]essons? (\d+(?:(?:, | and |, and )\d+)*)", cell))
    earlier = {int(n) for n in re.findall(r"\d+", named) if int(n) < number_of(lesson)}
    return earlier or {1} - {number_of(lesson)}


def timing(found: list[lessons.Lesson]) -> str:
    """A table: how long each lesson takes, what it builds on, how many exercises it has."""
    rows = ["| lesson | minutes | builds on | exercises |", "|---|--:|---|--:|"]
    for lesson in found:
        needs = ", ".join(map(str, sorted(builds_on(lesson)))) or "–"
        exercises = len(graded(read(lesson.path)))
        rows.append(
            f"| [{number_of(lesson)} · {lesson.title}](notebooks/{lesson.name}) | {lesson.minutes} "
            f"| {needs} | {exercises} |"
        )
    return "\n".join([*rows, f"| all | {sum(lesson.minutes for lesson in found)} | | |", ""])


def install() -> str:
    """How a computer with make gets the lessons."""
    return f"```bash\ngit clone {REPOSITORY} tutorial\ncd tutorial\nmake lab\n```\n"


def graph(found: list[lessons.Lesson]) -> str:
    """The lessons one below the other, and an arc from each to those that build on it."""
    row = 34
    left = 30 + row * len(found) // 4  # the longest arc fits
    place = {number_of(lesson): row * i + row / 2 for i, lesson in enumerate(found)}
    arcs, names = [], []
    for lesson in found:
        end = place[number_of(lesson)]
        for earlier in sorted(builds_on(lesson) & place.keys()):
            start = place[earlier]
            depth = 16 + (end - start) / 4
            arcs.append(
                f'<path d="M{left} {start}C{left - depth} {start} {left - depth} {end} '
                f'{left} {end}"/>'
            )
        names.append(
            f'<a href="notebooks/{lesson.name}.html"><circle cx="{left}" cy="{end}" r="5"/>'
            f'<text x="{left + 16}" y="{end + 5}">{number_of(lesson)} · {lesson.title}</text></a>'
        )
    height = row * len(found)
    needs = "; ".join(
        f"{number_of(lesson)} on {', '.join(map(str, sorted(builds_on(lesson))))}"
        for lesson in found
        if builds_on(lesson)
    )
    return (
        f'<svg class="graph" viewBox="0 0 {left + 300} {height}" role="img" '
        f'aria-label="Which lesson builds on which: {needs}">{"".join(arcs + names)}</svg>\n'
    )


def terms_of(page: Path) -> list[str]:
    """The terms that a page's glossary explains."""
    inside = re.search(r"\{glossary\}\n(.*?)\n```", page.read_text(encoding="utf-8"), re.DOTALL)
    assert inside, f"{page.name} has no glossary"
    return re.findall(r"^(\w.*)$", inside[1], re.MULTILINE)


def for_jupyter_book(page: Path) -> str:
    r"""A page with a glossary as Jupyter Book 2 reads it: a colon before each meaning.

    Example:
        >>> glossary = for_jupyter_book(BOOK / "names.md").partition("{glossary}")[2]
        >>> print(*glossary.splitlines()[1:3], sep="\n")
        accuracy
        : The share of predictions that are right: from 0 to 1.
    """
    text = page.read_text(encoding="utf-8")
    return re.sub(r"(?m)^(\w.*\n)    (?=\S)", r"\1: ", text)


# ---- both levels

START = """\
network = nn.Sequential(nn.Flatten(), nn.Linear(784, 512), nn.ReLU(), nn.Linear(512, 10))
model = tl.Model(network)
model.prepare(torch.optim.Adam(model.parameters()), nn.CrossEntropyLoss(), tl.metrics.Accuracy())"""
FIT = "model.fit(train_data, epochs=5)"
HIGH_LEVEL = f"""\
train_data = tl.datasets.MNIST("train")
model = tl.Model(network)
model.prepare(
    optimizer,
    nn.CrossEntropyLoss(),
    tl.metrics.Accuracy(),
)
{FIT}"""
CALLS = {
    "Train": FIT,
    "Evaluate": "model.evaluate(test_data)",
    "Predict": "model.predict(test_data)",
    "One batch": "model.train_batch(x, y)",
}
OPTIONS = {
    "Evaluate, too": "model.fit(train_data, test_data, epochs=5)",
    "Clip": "model.fit(train_data, epochs=5, clip_grad_norm=1.0)",
    "Accumulate": "model.fit(train_data, epochs=5, accumulate_grad_batches=4)",
    "Stop early": (
        "stop = tl.callbacks.EarlyStopping('acc', patience=2)\n"
        "model.fit(train_data, test_data, epochs=5, callbacks=stop)"
    ),
    "Schedule": (
        "scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(model.optimizer, T_max=4690)\n"
        "model.fit(train_data, epochs=5, callbacks=tl.callbacks.LRScheduler(scheduler))"
    ),
    "Mixed precision": (
        "model.prepare(optimizer, nn.CrossEntropyLoss(), accuracy, amp_configs='O1')\n"
        "model.fit(train_data, epochs=5)"
    ),
}


@cache
def data() -> dict[str, Any]:
    """What stands for the data in the examples."""
    train_data = tl.datasets.MNIST("train")
    x, y = train_data[:64]
    return {"train_data": train_data, "test_data": tl.datasets.MNIST("test"), "x": x, "y": y}


def unrolled(code: str) -> str:
    """The loop that the last line of this code runs; the lines before it are run."""
    names: dict[str, Any] = {"torch": torch, "nn": nn, "tl": tl}
    exec(START, names)
    names |= {"optimizer": names["model"].optimizer, "accuracy": tl.metrics.Accuracy()}
    names |= data()
    *before, call = code.splitlines()
    exec("\n".join(before), names)
    return str(eval(re.sub(r"model\.(\w+)\(", r'model.unroll("\1", ', call), names)).strip()


def block(code: str, marked: str = "") -> str:
    """Python code in Markdown."""
    options = f":emphasize-lines: {marked}\n" if marked else ""
    return f"```{{code-block}} python\n{options}\n{code}\n```\n"


def calls() -> str:
    """A tab for each call, with its loop."""
    return tabs({name: f"{block(code)}\n{block(unrolled(code))}" for name, code in CALLS.items()})


def options() -> str:
    """A tab for each option, with the loop; the lines that it adds or changes are marked."""
    plain = unrolled(FIT).splitlines()

    def loop(code: str) -> str:
        lines = unrolled(code).splitlines()
        same = SequenceMatcher(None, stripped(plain), stripped(lines), autojunk=False)
        changed = [
            number + 1
            for kind, *_, start, end in same.get_opcodes()
            if kind != "equal"
            for number in range(start, end)
        ]
        return block("\n".join(lines), ",".join(map(str, changed)))

    return tabs({name: f"{block(code)}\n{loop(code)}" for name, code in OPTIONS.items()})


def stripped(lines: list[str]) -> list[str]:
    """Lines without the blanks around them: a line that only moved to the right is the same."""
    return [re.sub(r"\s+", " ", line.strip()) for line in lines]


def tabs(contents: dict[str, str]) -> str:
    """Markdown in tabs."""
    items = [f":::{{tab-item}} {name}\n\n{text}:::\n" for name, text in contents.items()]
    return "\n".join(["::::{tab-set}\n", *items, "::::\n"])


# ---- all of tutorial

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
        group = groups.setdefault(name.rpartition(".")[0], [])
        group.append(entry(name, thing, f"tl.{name}"))
        for inner, value in members(thing):
            group.append(entry(f"{name}.{inner}", value, f"{thing.__name__}.{inner}", "  "))
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


if __name__ == "__main__":
    write_all()
