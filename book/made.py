"""Writes the parts of the book that the library tells itself.

    notebooks/    the lessons, without the solutions
    made/         their cards, loops, the whole API, ...: the book's pages include these parts

So they can never be out of date. Git ignores both directories.
"""

import json
from pathlib import Path

import api
import copies
import course
import depths
import glossary
import levels
import live
import replay
import takes

from tutorial.course.lessons import lessons

BOOK = Path(__file__).parent
RESULTS = BOOK.parent / "tests" / "benchmarks" / "results"


def write_all() -> None:
    """Write every part, and remove what is left of lessons that are gone."""
    found = lessons()
    parts = {
        "made/cards.md": course.cards(found),
        "made/timing.md": course.timing(found),
        "made/graph.html": course.graph(found),
        "made/contents.md": course.contents(found),
        "made/install.md": course.install(),
        "made/colab.md": course.colab(),
        "made/high_level.md": levels.block(levels.HIGH_LEVEL),
        "made/low_level.md": levels.block(levels.unrolled(levels.FIT)),
        "made/calls.md": levels.calls(),
        "made/options.md": levels.options(),
        "made/all.md": api.all_of_tutorial(),
        "made/commands.md": api.commands(),
        "made/scale.md": (RESULTS / "scale.md").read_text(encoding="utf-8"),
        "made/speed.md": with_picture((RESULTS / "speed.md").read_text(encoding="utf-8")),
        "made/speed.svg": (RESULTS / "speed.svg").read_text(encoding="utf-8"),
        "made/takes.md": takes.families(),
        "made/takes_counts.md": takes.counts(),
        "made/takes_refused.md": takes.refusals("refused"),
        "made/takes_no_script.md": takes.refusals("no script"),
        "made/takes_own_loop.md": takes.own_loop(),
        "made/names.md": glossary.for_jupyter_book(),
        "made/draw_digit.html": live.draw_digit(),
        "made/live_plot.html": live.live_plot(),
    }
    for name in depths.NETWORKS:
        parts[f"made/depths_{name}.md"] = depths.page_of(name)
    for name in replay.REPLAYS:
        parts[f"made/replay_{name}.md"] = replay.page_of(name)
    for lesson in found:
        page = copies.page_of(lesson, course.links_of(lesson), glossary.terms())
        for place, notebook in (("notebooks", page), ("made", lesson.fresh())):
            text = json.dumps(notebook, ensure_ascii=False, indent=1)
            parts[f"{place}/{lesson.path.name}"] = text + "\n"
    for name, text in parts.items():
        write(BOOK / name, text)
    for path in [*BOOK.glob("made/*"), *BOOK.glob("notebooks/*")]:
        if str(path.relative_to(BOOK)) not in parts:
            path.unlink()


def with_picture(page: str) -> str:
    """The page on speed, with its picture before the first table."""
    picture = "![The time of an epoch with each trainer](made/speed.svg)"
    return page.replace("\n\n## ", f"\n\n{picture}\n\n## ", 1)


def write(path: Path, text: str) -> None:
    """Write a file, if it does not say so already: Sphinx reads again what is new."""
    if not path.exists() or path.read_text(encoding="utf-8") != text:
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    write_all()
