"""The results of the race agree: their numbers, their page, their picture, and the first page."""

import json
import re
from collections import Counter
from pathlib import Path

from benchmarks.page import Races, claims, markdown, plot

ROOT = Path(__file__).parent.parent
FOLDER = ROOT / "tests" / "benchmarks" / "results"
MEASURED = json.loads((FOLDER / "speed.json").read_text())


def claims_in(text: str) -> set[str]:
    """The sentences that compare speeds."""
    lines = [" ".join(paragraph.split()) for paragraph in text.split("\n\n")]
    sentences = [one for line in lines for one in re.split(r"(?<=\.) ", line)]
    return {one for one in sentences if re.search("multiple of|times as|times faster", one)}


def test_the_page_says_what_was_measured() -> None:
    assert (FOLDER / "speed.md").read_text() == markdown(MEASURED)


def test_the_picture_shows_what_was_measured() -> None:
    shown = re.findall(r">([^<>]+)</text>", (FOLDER / "speed.svg").read_text())
    texts = [text.get_text() for axes in plot(MEASURED).axes for text in axes.texts]
    assert len(texts) > 20
    assert Counter(texts) <= Counter(shown)


def test_everyone_took_part_or_is_said_to_be_left_out() -> None:
    peers = {path.stem for path in (FOLDER.parent / "peers").glob("with_*.txt")}
    assert peers - MEASURED["left_out"].keys() <= {row["contender"] for row in MEASURED["races"]}


def test_a_ratio_is_of_neighbours_in_time() -> None:
    rows = [
        {"threads": 1, "network": "mlp", "batch_size": 64, "samples": 640, "transformed": False,
         "pass": "train", "contender": name, "seconds": seconds}
        for name, seconds in (("limit", [1.0, 2.0, 4.0, 4.0]), ("ours", [1.5, 2.0, 8.0]))
    ]  # fmt: skip
    races = Races({"races": rows})
    assert races.ratio("ours", threads=1, network="mlp", batch_size=64) == (1.5, 1.0, 2.0)
    assert races.ratio("ours", threads=2) is None


def test_the_first_page_claims_what_was_measured() -> None:
    measured = claims_in("\n\n".join(claims(MEASURED)))
    assert len(measured) == 2
    assert claims_in((ROOT / "README.md").read_text(encoding="utf-8")) <= measured
