"""The lessons as the book lists them: links, cards, times, and which builds on which."""

import os
import re
import tomllib
from html import escape
from pathlib import Path

from tutorial.course.grading.release import graded, read, source_of
from tutorial.course.lessons import Lesson

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]

# For the links to Colab and Binder. Set BOOK_REPOSITORY for a copy of yours.
REPOSITORY = os.environ.get(
    "BOOK_REPOSITORY",
    PROJECT.get("urls", {}).get("Repository", "https://github.com/OWNER/tutorial"),
)
BRANCH = "main"


def links_of(lesson: Lesson) -> str:
    """The line below a lesson's title."""
    file, owner = f"notebooks/{lesson.path.name}", REPOSITORY.removeprefix("https://github.com/")
    colab = f"https://colab.research.google.com/github/{owner}/blob/{BRANCH}/{file}"
    binder = f"https://mybinder.org/v2/gh/{owner}/{BRANCH}?urlpath=lab/tree/{file}"
    fresh = f"{{download}}`The notebook <../made/{lesson.path.name}>`"
    return (
        f":::{{div}} lesson-links\n{lesson.minutes} minutes · {fresh} · "
        f"[Open in Colab]({colab}) · [Open in Binder]({binder})\n:::\n"
    )


def number_of(lesson: Lesson) -> int:
    """The number in the lesson's name."""
    return int(lesson.name.partition("_")[0])


def contents(found: list[Lesson]) -> str:
    """The lessons in the book's table of contents."""
    entries = [f"{number_of(each)} · {each.title} <notebooks/{each.name}>" for each in found]
    options = ":hidden:\n:caption: Lessons\n"
    return "\n".join(["```{toctree}", options, *entries, "```", ""])


def cards(found: list[Lesson]) -> str:
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


def builds_on(lesson: Lesson) -> set[int]:
    """The numbers of the lessons that the first cell of a lesson names; or the first lesson."""
    cell = source_of(read(lesson.path)["cells"][0])
    named = " ".join(re.findall(r"[Ll]essons? (\d+(?:(?:, | and |, and )\d+)*)", cell))
    earlier = {int(n) for n in re.findall(r"\d+", named) if int(n) < number_of(lesson)}
    return earlier or {1} - {number_of(lesson)}


def timing(found: list[Lesson]) -> str:
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


def graph(found: list[Lesson]) -> str:
    """The lessons one below the other, and an arc from each to those that build on it."""
    row = 34
    left = 26 + row * len(found) // 5  # the longest arc fits: a curve reaches 3/4 of its depth
    short = {lesson.name: escape(lesson.title.partition(":")[0]) for lesson in found}
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
            f'<text x="{left + 16}" y="{end + 5}">{number_of(lesson)} · '
            f"{short[lesson.name]}</text></a>"
        )
    width = left + 50 + 9 * max(map(len, short.values()))
    height = row * len(found)
    needs = "; ".join(
        f"{number_of(lesson)} on {', '.join(map(str, sorted(builds_on(lesson))))}"
        for lesson in found
        if builds_on(lesson)
    )
    return (
        f'<svg class="graph" viewBox="0 0 {width} {height}" role="group" '
        f'aria-label="Which lesson builds on which: {needs}">{"".join(arcs + names)}</svg>\n'
    )


def colab() -> str:
    """How Colab gets the library."""
    return f"```text\n%pip install git+{REPOSITORY}\n```\n"


def install() -> str:
    """How a computer with make gets the lessons."""
    return f"```bash\ngit clone {REPOSITORY} tutorial\ncd tutorial\nmake lab\n```\n"
