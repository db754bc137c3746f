"""What one learner costs, measured, and what classes of several sizes then need.

`make bench` writes results/scale.md, which the book's page on scale shows.
"""

import json
import os
import shutil
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import jupytext
import pytest
import torch
from benchmarks.classroom import cores_needed
from conftest import Kernel, new_kernel

import tutorial as tl
from tutorial.course.lessons import described as lesson_of

HERE = Path(__file__).parent
LESSONS = sorted((HERE.parent.parent / "notebooks").glob("*.py"))
MB = 1e6
# How many learn, and which part of them at the same time. The parts are assumed.
CLASSES = {"a class": (30, 1.0), "a university": (1_000, 0.3), "an open course": (100_000, 0.05)}


def memory(pid: int, kind: str) -> float:
    """Bytes of a process: 'Pss' counts what is shared by its share, 'Private_Dirty' its own."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return 1024 * sum(int(line.split()[1]) for line in lines if line.startswith(f"{kind}:"))


def cpu(pid: int) -> float:
    """Seconds of computing so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def pid_of(kernel: Kernel) -> int:
    return int(kernel.run("import os; print(os.getpid())"))


def starts() -> dict[str, float]:
    """Seconds until a kernel answers, and until it has loaded the library."""
    begin = time.perf_counter()
    with new_kernel() as one:
        ready = time.perf_counter()
        one.run("import torch, torchvision, tutorial as tl; tl.Model; tl.datasets")
        return {"kernel": ready - begin, "imports": time.perf_counter() - ready}


def lesson_costs(path: Path) -> dict[str, Any]:
    """What the cells of a lesson compute, in seconds, and the most memory after a cell."""
    cells = [c for c in jupytext.read(path).cells if c.cell_type == "code"]
    with new_kernel() as one:
        one.attended = False
        pid, seconds, most = pid_of(one), [], 0.0
        for cell in cells:
            before = cpu(pid)
            one.run(cell.source)
            seconds.append(cpu(pid) - before)
            most = max(most, memory(pid, "Private_Dirty"))
    return {
        "lesson": path.stem,
        "seconds": seconds,
        "memory": most,
        "minutes": lesson_of(path.with_suffix(".ipynb")).minutes,
    }


def shared_memory(kernels: int = 3) -> dict[str, float]:
    """Bytes of a kernel that has trained, alone and as one of several."""
    running = [new_kernel() for _ in range(kernels)]
    ones = [one.__enter__() for one in running]
    try:
        for one in ones:
            one.run(TRAIN)
        pids = [pid_of(one) for one in ones]
        each = [memory(pid, "Pss") for pid in pids]
        own = [memory(pid, "Private_Dirty") for pid in pids]
        return {"of several": sum(each) / kernels, "own": sum(own) / kernels}
    finally:
        for one in running:
            one.__exit__(None, None, None)


TRAIN = """
import torch, tutorial as tl
from torch import nn
from torchvision.transforms import Normalize
train_data = tl.datasets.MNIST("train", Normalize([127.5], [127.5]))
network = nn.Sequential(nn.Flatten(), nn.Linear(784, 512), nn.ReLU(), nn.Linear(512, 10))
model = tl.Model(network)
model.prepare(torch.optim.Adam(model.parameters()), nn.CrossEntropyLoss(), tl.metrics.Accuracy())
history = model.fit(train_data, epochs=2)
"""


def messages() -> dict[str, float]:
    """What a training sends to the browser, each second."""
    with new_kernel() as one:
        begin = time.perf_counter()
        one.run(TRAIN)
        seconds = time.perf_counter() - begin
        sent = [m for m in one.messages if m["msg_type"] != "status"]
        size = sum(len(json.dumps(m["content"], default=str)) for m in sent)
        return {"a second": len(sent) / seconds, "bytes a second": size / seconds}


def grading(tmp_path: Path, submissions: int = 4) -> dict[str, float]:
    """Seconds for one submission, and what a core grades in an hour."""
    lesson = HERE.parent.parent / "notebooks" / "05_unroll_evaluate_and_predict.ipynb"
    for i in range(submissions):
        (tmp_path / f"student_{i}").mkdir()
        shutil.copy(lesson, tmp_path / f"student_{i}")
    begin = time.perf_counter()
    command = [sys.executable, "-m", "tutorial.course.cli", "grade", str(tmp_path)]
    subprocess.run(command, check=True, capture_output=True, cwd=tmp_path)
    seconds = (time.perf_counter() - begin) / submissions
    return {"seconds": seconds, "an hour": 3600 / seconds}


def needs(costs: list[dict[str, Any]], own: float) -> list[dict[str, Any]]:
    """For each size of a class: who is there at once, and the cores and memory for them."""
    cells = [seconds for cost in costs for seconds in cost["seconds"]]
    think = sum(60 * cost["minutes"] for cost in costs) / len(cells)
    rows = []
    for name, (learners, part) in CLASSES.items():
        at_once = round(learners * part)
        simulated = min(at_once, 2000)  # a site of so many; beyond it, sites stand side by side
        sites = at_once / simulated
        cores = cores_needed(simulated, cells, think) * sites
        rows.append(
            {
                "course": name,
                "learners": learners,
                "at once": at_once,
                "cores": round(cores),
                "memory": own * at_once,
            }
        )
    return rows


@pytest.mark.usefixtures("new_process")  # kernels as users have them, not the warm ones of tests
def test_what_a_learner_costs(tmp_path: Path) -> None:
    begun = [starts() for _ in range(3)]
    costs = [lesson_costs(path) for path in LESSONS]
    shared, sent, graded = shared_memory(), messages(), grading(tmp_path)
    own = max(shared["own"], *(cost["memory"] for cost in costs))
    rows = needs(costs, own)
    results = {
        "measured": datetime.now(UTC).date().isoformat(),
        "machine": f"{os.cpu_count()} cores",
        "versions": {"torch": torch.__version__, "tutorial": tl.__version__},
        "start": {name: sorted(b[name] for b in begun)[1] for name in begun[0]},
        "lessons": [
            {
                "lesson": cost["lesson"],
                "minutes": cost["minutes"],
                "cells": len(cost["seconds"]),
                "computing": sum(cost["seconds"]),
                "longest cell": max(cost["seconds"]),
                "memory": cost["memory"],
            }
            for cost in costs
        ],
        "memory": shared,
        "messages": sent,
        "grading": graded,
        "classes": rows,
    }
    (HERE / "results/scale.md").write_text(as_tables(results))
    print("\n" + as_tables(results))


def as_tables(results: dict[str, Any]) -> str:
    """The results in Markdown, for the book."""
    shared, sent, graded = (results[name] for name in ("memory", "messages", "grading"))
    start = results["start"]
    lines = [
        f"Measured on {results['measured']}, {results['machine']}, "
        f"PyTorch {results['versions']['torch'].partition('+')[0]}, one thread for each learner.",
        "",
        "| one learner | |",
        "|---|---|",
        f"| a kernel answers after | {start['kernel']:.1f} s |",
        f"| ... and has loaded PyTorch and the library after | {start['imports']:.1f} s more |",
        f"| memory of its own, after training on all of MNIST | {shared['own'] / MB:.0f} MB |",
        f"| ... with its part of what kernels share | {shared['of several'] / MB:.0f} MB |",
        f"| messages to the browser while it trains | {sent['a second']:.1f} a second |",
        f"| ... and their size | {sent['bytes a second'] / 1e3:.1f} kB a second |",
        f"| grading one hand-in of lesson 5 | {graded['seconds']:.1f} s |",
        f"| ... so one process grades | {graded['an hour']:,.0f} an hour |",
        "",
        "| lesson | minutes | cells | computing | longest cell | memory |",
        "|---|---|---|---|---|---|",
        *(
            f"| {row['lesson'][:2]} | {row['minutes']} | {row['cells']} | {row['computing']:.0f} s "
            f"| {row['longest cell']:.1f} s | {row['memory'] / MB:.0f} MB |"
            for row in results["lessons"]
        ),
        "",
        "| | learners | at once | cores | memory |",
        "|---|---|---|---|---|",
        *(
            f"| {row['course']} | {row['learners']:,} | {row['at once']:,} | {row['cores']:,} "
            f"| {row['memory'] / 1e9:,.0f} GB |"
            for row in results["classes"]
        ),
    ]
    return "\n".join(lines) + "\n"
