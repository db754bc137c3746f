"""Run the situations and print the table: python -m tests.situations"""

import os
import sys
import warnings
from collections import Counter
from collections.abc import Sequence
from itertools import groupby
from pathlib import Path

os.environ.setdefault("HF_HUB_OFFLINE", "1")
sys.path.insert(0, str(Path(__file__).parent.parent))  # for warm.py

import torch
import warm

from tutorial.unroll import proof

from .runner import COMPARISONS, OUTCOMES, Row, look_at
from .situation import Situation, all_situations


def table(situations: Sequence[Situation], fresh: bool) -> list[Row]:
    """Run and print them, the families one after the other."""
    rows = []
    for family, members in groupby(situations, key=lambda one: one.family):
        print(f"\n{family}\n")
        for one in members:
            rows.append(look_at(one, fresh))
            print(line(rows[-1]), flush=True)
    return rows


def line(row: Row) -> str:
    """A row, and what there is to say about it."""
    found = " ".join(
        f"{name}{'' if row.found[name] == 'equal' else f': {row.found[name]}'}"
        for name in [*COMPARISONS, "verify", "makes"]
        if name in row.found
    )
    mark = ("?" if row.situation.is_open else " ") if row.as_expected else "!"
    head = f"{mark} {row.situation.number:3} {row.situation.title:62} {row.outcome:14} {found}"
    notes = {}  # each once
    for note in row.notes:
        where, _, said = " ".join(note.split()).partition(": ")
        notes.setdefault(said.rpartition("where it is marked below:")[2], where)
    said = [f"        {where}: {note[:300]}" for note, where in notes.items()]
    return "\n".join([f"{head} ({row.seconds:.1f} s)", *said])


def main(arguments: Sequence[str]) -> int:
    """Print the table and how many there are of each outcome; 1 if a row is not as it should be."""
    fresh = "--quick" not in arguments
    wanted = [word for word in arguments if not word.startswith("--")]
    situations = [
        one
        for one in all_situations()
        if not wanted or {one.family, str(one.number), one.make.__name__} & set(wanted)
    ]
    proof.fresh_process = warm.run
    with warm.warm_python(), warnings.catch_warnings():
        rows = table(situations, fresh)
    count = Counter(row.outcome for row in rows)
    print()
    print(", ".join(f"{count[outcome]} {outcome}" for outcome in OUTCOMES), end="; ")
    print(f"{len(rows)} situations in {sum(row.seconds for row in rows):.0f} s")
    still_open = [row.situation.name for row in rows if row.as_expected and row.situation.is_open]
    if still_open:
        print("Not yet as it should be (?):", *still_open)
    others = [row for row in rows if not row.as_expected]
    if others:
        print("Not as the table should be (!):", *(row.situation.name for row in others))
    return int(bool(others))


if __name__ == "__main__":
    torch.set_num_threads(1)
    sys.exit(main(sys.argv[1:]))
