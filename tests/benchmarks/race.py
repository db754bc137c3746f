"""The race (`make bench`): our Model, hand-written loops and other trainers do the same work.

Each contender is a process in its own environment, with its progress bar on. They do each task in
turn, round by round, so that a ratio to the limit is one of neighbours in time, and a machine that
is slow for a while is slow for all. What came out goes to results/: speed.json, and made from it
speed.md and speed.svg.
"""

import argparse
import datetime
import os
import platform
import re
import time
import timeit
from contextlib import ExitStack, closing
from dataclasses import asdict, replace
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Any

from contender import Contender, ContenderError
from environments import PEERS, MissingError, python_of
from page import RESULTS, write
from peers.tasks import Task

NEAR = ["limit", "ours"]  # told apart by a few percent
OVERHEAD = ["same_loader", "ours_loss_only"]  # so are these, with the tiny network
ALL = [*NEAR, *OVERHEAD, "textbook", *sorted(path.stem for path in PEERS.glob("with_*.py"))]
ROUNDS, MORE = 3, 6  # for all; then, for those that are told apart by a few percent
ASK = ["evaluate", "predict"]
RACES: list[tuple[Task, list[str]]] = [
    (Task("mlp"), ["train"]),
    (Task("mlp", samples=30_000), ASK),
    (Task("tiny", samples=20_000), ["train"]),
    (Task("lenet", samples=6_000), ["train", *ASK]),
    (Task("mlp", samples=3_000, transformed=True), ["train"]),
    (Task("mlp", 1024, samples=30_000), ["train", *ASK]),
    (Task("tiny", 1024), ["train"]),
    (Task("lenet", 1024, samples=6_000), ["train", *ASK]),
    (Task("mlp", 1024, samples=3_000, transformed=True), ["train"]),
]
WITH_TWO_THREADS = RACES[:3]
ALIKE = 0.02, 2.0  # how far the accuracy may be from the limit's: so far, and so far / steps


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--part", type=float, default=1.0, help="of the samples: to try it out")
    parser.add_argument("--only", nargs="+", default=ALL, help="these, and the limit")
    parser.add_argument("--to", type=Path, default=RESULTS)
    options = parser.parse_args()
    names = [name for name in ALL if name in ("limit", *options.only)]
    results: dict[str, Any] = {"machine": machine(), "versions": versions(), "left_out": {}}
    results["starts"], results["races"] = {}, []
    for name in [name for name in names if name not in OVERHEAD]:
        try:
            results["starts"][name] = start(name, int(60_000 * options.part))
        except (MissingError, ContenderError) as error:
            print(f"{name} is left out: {error}", flush=True)
            results["left_out"][name] = str(error)
            names.remove(name)
    for threads, races in ((1, RACES), (2, WITH_TWO_THREADS)):
        with ExitStack() as stack:
            contenders = [Contender(name, threads) for name in names]
            for contender in contenders:
                stack.callback(contender.close)
            for task, passes in races:
                task = replace(task, samples=int(task.samples * options.part))
                also = OVERHEAD if task.network == "tiny" else []
                racing = [one for one in contenders if one.name in also or one.name not in OVERHEAD]
                results["races"] += race(racing, task, passes, threads)
    write(results, options.to)


def start(name: str, samples: int) -> dict[str, list[float]]:
    """A new process: seconds of its imports, seconds until its first step is done, its memory."""
    python_of(name)  # making it is not measured
    numbers: dict[str, list[float]] = {"imports": [], "first_step": [], "peak": []}
    for round_ in range(ROUNDS):
        with closing(Contender(name)) as contender:
            numbers["imports"].append(contender.receive()["imports"])
            contender.send("start", Task("mlp", 1024, samples))
            contender.receive()
            numbers["first_step"].append(time.perf_counter() - contender.began)
            if round_ == 0:  # once is enough: it is the same every time
                numbers["peak"].append(contender.receive()["peak"])
    print(
        f"{name:16}", {what: round(median(all_), 2) for what, all_ in numbers.items()}, flush=True
    )
    return numbers


def race(
    contenders: list[Contender], task: Task, passes: list[str], threads: int
) -> list[dict[str, Any]]:
    """The seconds of each contender in each round; a row for each contender and pass.

    All do the same: an epoch of a tenth of the samples has as many steps as it must have, and in
    the end all have learned as much. Else this is no race.
    """
    print(f"\n{task}, {threads} thread{'s' * (threads > 1)}", flush=True)
    warm_up = replace(task, samples=task.samples // 10)
    for contender in contenders:
        steps = contender.ask("count", warm_up)["steps"]
        assert steps == warm_up.steps(), f"{contender.name} takes {steps} steps"
        contender.ask("train", warm_up)
    seconds: dict[tuple[str, str], list[float]] = {}
    accuracy: dict[str, float] = {}
    for round_ in range(ROUNDS + MORE):
        for contender in contenders:
            if round_ < ROUNDS or contender.name in (*NEAR, *OVERHEAD):
                for do in passes:
                    took = contender.ask(do, task)["seconds"]
                    seconds.setdefault((contender.name, do), []).append(took)
        if round_ + 1 == ROUNDS and not task.transformed:
            for contender in contenders:
                accuracy[contender.name] = contender.ask("measure", task)["accuracy"]
    for name, got in accuracy.items():
        near = ALIKE[0] + ALIKE[1] / (ROUNDS * task.steps())  # few steps differ more by chance
        assert abs(got - accuracy["limit"]) < near, f"{name} has learned {accuracy}"
    for (name, do), all_ in seconds.items():
        ratios = [mine / limit for mine, limit in zip(all_, seconds["limit", do], strict=False)]
        print(f"  {do:8} {name:16} {median(all_):7.3f} s  {median(ratios):6.3f} of the limit")
    return [
        {"threads": threads, **asdict(task), "pass": do, "contender": name, "seconds": all_}
        | ({"accuracy": accuracy[name]} if accuracy else {})
        for (name, do), all_ in seconds.items()
    ]


def machine() -> dict[str, Any]:
    """What ran it, when, and what else ran there."""
    return {
        "cpu": cpu(),
        "cores": os.cpu_count(),
        "load": os.getloadavg()[0],
        "call": smallest_call(),
        "date": datetime.date.today().isoformat(),
    }


def cpu() -> str:
    """What the processor calls itself."""
    found = re.search(r"model name\s*:\s*(.*)", Path("/proc/cpuinfo").read_text())
    return found.group(1) if found else platform.machine()


def smallest_call() -> float:
    """Microseconds of the least that PyTorch can do: what Python and its machinery cost here."""
    import torch

    x = torch.zeros(10)
    return min(timeit.repeat(lambda: x.add_(1), number=10_000)) / 10_000 * 1e6


def versions() -> dict[str, str]:
    """The version of each contender, and of what is below all of them."""
    found = {"python": platform.python_version(), "torch": version("torch")}
    for pins in PEERS.glob("with_*.txt"):
        found[pins.stem] = pins.read_text().splitlines()[0].partition("==")[2]
    return found


if __name__ == "__main__":
    main()
