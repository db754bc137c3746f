"""The results of the race agree: their numbers, their page, their picture, and the first page."""

import re
from collections import Counter
from pathlib import Path

from benchmarks.page import RESULTS, Races, claims, markdown, measured_in, plot

ROOT = Path(__file__).parent.parent
MEASURED, DEVICES = measured_in(RESULTS)


def claims_in(text: str) -> set[str]:
    """The sentences that compare speeds."""
    lines = [" ".join(paragraph.split()) for paragraph in text.split("\n\n")]
    sentences = [one for line in lines for one in re.split(r"(?<=\.) ", line)]
    return {one for one in sentences if re.search("multiple of|times as|times faster", one)}


def test_the_page_says_what_was_measured() -> None:
    assert (RESULTS / "speed.md").read_text() == markdown(MEASURED, DEVICES)


def test_the_picture_shows_what_was_measured() -> None:
    shown = re.findall(r">([^<>]+)</text>", (RESULTS / "speed.svg").read_text())
    texts = [text.get_text() for axes in plot(MEASURED).axes for text in axes.texts]
    assert len(texts) > 20
    assert Counter(texts) <= Counter(shown)


def test_everyone_took_part_or_is_said_to_be_left_out() -> None:
    peers = {path.stem for path in (RESULTS.parent / "peers").glob("with_*.txt")}
    assert peers - MEASURED["left_out"].keys() <= {row["contender"] for row in MEASURED["races"]}


def test_every_device_was_measured_as_it_is_and_compiled() -> None:
    measured = Counter((row["device"], row["compiled"]) for row in DEVICES)
    assert set(measured.values()) == {1}
    assert all((device, not compiled) in measured for device, compiled in measured)


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
