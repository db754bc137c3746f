"""From the results to a page: speed.json and devices.json, and from them speed.md and speed.svg."""

import json
import math
from collections.abc import Callable, Iterable
from pathlib import Path
from statistics import median
from typing import Any

import matplotlib
from matplotlib import pyplot as plt

TITLES = {
    "limit": "by hand, the limit",
    "same_loader": "by hand, `fit`'s loader",
    "ours": "**tutorial**",
    "ours_loss_only": "tutorial, no metric",
    "textbook": "textbook loop",
    "with_accelerate": "Accelerate",
    "with_fastai": "fastai",
    "with_ignite": "Ignite",
    "with_keras": "Keras 3",
    "with_lightning": "Lightning",
    "with_paddle": "paddle.Model",
    "with_poutyne": "Poutyne",
    "with_skorch": "skorch",
}
NETWORKS = {"mlp": "MLP", "tiny": "one layer", "lenet": "LeNet"}
TWICE = ["with_keras", "with_paddle", "with_fastai", "with_lightning"]  # as slow, is the goal
NEARLY = ["with_poutyne", "with_skorch"]  # 1.7 times
RESULTS = Path(__file__).parent / "results"
DEVICES = "devices.json"  # what each device took: devices.py
Numbers = tuple[float, float, float]  # the median, the least, the most


def write(results: dict[str, Any], folder: Path) -> None:
    """Write what the race has measured, and its page."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "speed.json").write_text(json.dumps(results, indent=1) + "\n")
    write_page(folder)


def write_page(folder: Path) -> None:
    """Make the page and its picture anew from what was measured."""
    results, devices = measured_in(folder)
    (folder / "speed.md").write_text(markdown(results, devices))
    with matplotlib.rc_context(STYLE):
        plot(results).savefig(folder / "speed.svg", transparent=True, metadata={"Date": None})


def measured_in(folder: Path) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """What the race has measured; and what devices.py has, if it was run."""
    devices = folder / DEVICES
    return (
        json.loads((folder / "speed.json").read_text()),
        json.loads(devices.read_text()) if devices.exists() else [],
    )


# ---- numbers


class Races:
    """The seconds of all races, to be asked for ratios of neighbours in time."""

    def __init__(self, results: dict[str, Any]) -> None:
        self.rows = results["races"]

    def seconds(self, name: str, **race: Any) -> list[float]:
        wanted = {"transformed": False, "pass": "train", **race, "contender": name}
        found = [row for row in self.rows if row.items() >= wanted.items()]
        return found[0]["seconds"] if found else []

    def compared(
        self, name: str, base: str, by: Callable[[float, float], float], **race: Any
    ) -> Numbers | None:
        pairs = zip(self.seconds(name, **race), self.seconds(base, **race), strict=False)
        return summary(by(mine, other) for mine, other in pairs)

    def ratio(self, name: str, base: str = "limit", **race: Any) -> Numbers | None:
        return self.compared(name, base, lambda mine, other: mine / other, **race)

    def overhead(self, name: str, **race: Any) -> Numbers | None:
        """Microseconds in each step of the tiny network that are not the loop's own."""
        race = {"network": "tiny", "batch_size": 64, **race}
        steps = [math.ceil(row["samples"] / 64) for row in self.rows if row.items() >= race.items()]
        return self.compared(
            name, "same_loader", lambda mine, bare: (mine - bare) / steps[0] * 1e6, **race
        )

    def names(self) -> list[str]:
        """The contenders, the fastest first."""
        ran = {row["contender"] for row in self.rows}
        mlp = {"threads": 1, "network": "mlp", "batch_size": 64}
        placed = {name: self.ratio(name, **mlp) for name in TITLES if name in ran}
        return sorted((n for n in placed if placed[n]), key=lambda n: placed[n] or ())


def summary(values: Iterable[float]) -> Numbers | None:
    """The median and the spread, if there is something."""
    numbers = list(values)
    return (median(numbers), min(numbers), max(numbers)) if numbers else None


def shown(numbers: Numbers | None, digits: int = 2) -> str:
    """A cell of a table: the median, and below it the spread."""
    if numbers is None:
        return "–"
    middle, least, most = (f"{number:.{digits}f}" for number in numbers)
    return f"{middle} ({least} – {most})"


# ---- the page


def markdown(results: dict[str, Any], devices: list[dict[str, Any]]) -> str:
    """The page: what was measured, on what, and which goals are met."""
    races, machine, versions = Races(results), results["machine"], results["versions"]
    peers = ", ".join(f"{TITLES[name]} {v}" for name, v in versions.items() if name in TITLES)
    one = {"threads": 1}
    trained = [
        (f"{NETWORKS[network]}{', images turned' * turned}, {size}",
         {**one, "network": network, "batch_size": size, "transformed": turned})
        for size in (64, 1024)
        for network, turned in (("mlp", False), ("tiny", False), ("lenet", False), ("mlp", True))
    ]  # fmt: skip
    asked = [
        (f"{do}: {NETWORKS[network]}, {size}",
         {**one, "network": network, "batch_size": size, "pass": do})
        for do in ("evaluate", "predict")
        for network, size in (("mlp", 64), ("mlp", 1024), ("lenet", 64), ("lenet", 1024))
    ]  # fmt: skip
    two = [
        (title, {"threads": 2, "network": network, "batch_size": 64, "pass": do})
        for title, network, do in (
            ("fit: MLP, 64", "mlp", "train"),
            ("fit: one layer, 64", "tiny", "train"),
            ("evaluate: MLP, 64", "mlp", "evaluate"),
            ("predict: MLP, 64", "mlp", "predict"),
        )
    ]
    parts = [
        "# Speed",
        *claims(results),
        f"Measured on {machine['date']}: {machine['cpu']}, {machine['cores']} cores (load before: "
        f"{machine['load']:.1f}), Python {versions['python']}, PyTorch {versions['torch']}; "
        f"{peers}. `make bench` measures anew.",
        "Each number is a time as a multiple of the limit's: the fastest loop that one can write "
        "by hand, which shows nothing. It is the median of the rounds; in parentheses stand the "
        "least and the most. All begin with the same weights, take the same number of steps of "
        "Adam, and learn as much; each runs in a process of its own, with its progress bar on, as "
        "its documentation shows it. The number after a network is the batch size.",
        "## fit, one thread: an epoch",
        table(races, trained[:4]),
        table(races, trained[4:]),
        "## evaluate and predict, one thread",
        table(races, asked[:4]),
        table(races, asked[4:]),
        "## Two threads",
        table(races, two),
        "## Before the first step",
        "A new process: seconds of its imports (by hand, these are PyTorch's; paddle.Model stands "
        "on a framework of its own), seconds from its start to the end of the first step, and the "
        "most memory in an epoch of the MLP, with the data.",
        starts_table(results["starts"]),
        "## Goals",
        goals_table(races, results["starts"]),
        "A step's overhead is Python's work. On this machine the smallest operation of PyTorch, "
        f"`x.add_(1)` of ten numbers, takes {machine['call']:.1f} µs. With accuracy, the counting "
        "itself is part of the overhead: the loop by hand does not count while it trains.",
    ]
    if devices:
        parts += [
            "## Devices",
            "Seconds of `fit` on the devices at hand, a CPU with all its cores: of an epoch of the "
            "MLP; and of the whole training of a small convolutional network, with the part of "
            "the test data that it then reads rightly. The goals are for one NVIDIA H100.",
            devices_table(devices),
        ]
    for name, reason in results["left_out"].items():
        parts.append(f"Left out: {TITLES[name]}: {reason.strip().splitlines()[-1]}")
    return "\n\n".join(parts) + "\n"


def claims(results: dict[str, Any]) -> list[str]:
    """What the first page may say."""
    races, mlp = Races(results), {"threads": 1, "network": "mlp", "batch_size": 64}
    limit = races.ratio("ours", **mlp)
    times = [
        f"{ratio[0]:.1f} ({TITLES[name]})"
        for name in races.names()
        if name.startswith(("with_", "textbook")) and (ratio := races.ratio(name, "ours", **mlp))
    ]
    if limit is None or not times:
        return []
    return [
        f"An epoch of the lesson's network takes `fit` {limit[0]:.2f} times as long as the fastest "
        f"loop written by hand (one thread). As a multiple of that time: {', '.join(times)}."
    ]


def table(races: Races, columns: list[tuple[str, dict[str, Any]]]) -> str:
    """A row for each contender, the fastest first."""
    rows = [
        [TITLES[name], *(shown(races.ratio(name, **race)) for _, race in columns)]
        for name in races.names()
    ]
    return grid(["", *(title for title, _ in columns)], rows)


def starts_table(starts: dict[str, dict[str, list[float]]]) -> str:
    rows = [
        [
            TITLES[name],
            shown(summary(numbers["imports"])),
            shown(summary(numbers["first_step"]), 1),
            f"{median(numbers['peak']):.0f}",
        ]
        for name, numbers in sorted(starts.items(), key=lambda one: median(one[1]["first_step"]))
    ]
    return grid(["", "imports, s", "first step, s", "memory, MB"], rows)


def goals_table(races: Races, starts: dict[str, dict[str, list[float]]]) -> str:
    """What we want to reach, for one thread and for two."""
    goals: list[tuple[str, Callable[..., Numbers | None], dict[str, Any], float, bool]] = []
    mlp = {"network": "mlp", "batch_size": 64}

    def ratio(name: str, base: str) -> Callable[..., Numbers | None]:
        return lambda **race: races.ratio(name, base, **race)

    goals.append(("`fit` / limit", ratio("ours", "limit"), mlp, 1.05, True))
    for names, least in ((TWICE, 2.0), (NEARLY, 1.7)):
        for name in names:
            goals.append((f"{TITLES[name]} / `fit`", ratio(name, "ours"), mlp, least, False))
    for do in ("evaluate", "predict"):
        goals.append((f"`{do}` / limit", ratio("ours", "limit"), mlp | {"pass": do}, 1.05, True))
    for name, title in (("ours_loss_only", "no metric"), ("ours", "with accuracy")):
        goals.append(
            (f"`fit`, {title}: µs a step above its loop",
             lambda name=name, **race: races.overhead(name, **race), {}, 10, True)
        )  # fmt: skip
    rows = []
    for title, measured, race, goal, at_most in goals:
        row = [title, f"{'≤' if at_most else '≥'} {goal:g}"]
        for threads in (1, 2):
            numbers = measured(threads=threads, **race)
            met = numbers and (numbers[0] <= goal if at_most else numbers[0] >= goal)
            cell = shown(numbers, 1 if goal == 10 else 2)
            row.append(f"{cell} {'✓' if met else '✗'}" if numbers else cell)
        rows.append(row)
    torch, memory = (median(starts["limit"][what]) for what in ("imports", "peak"))
    imports = summary(seconds - torch for seconds in starts["ours"]["imports"])
    peak = summary(most / memory for most in starts["ours"]["peak"])
    for title, numbers, goal in (
        ("imports above PyTorch's, s", imports, 0.3),
        ("memory / limit", peak, 1.2),
    ):
        met = numbers and numbers[0] <= goal
        rows.append([title, f"≤ {goal:g}", f"{shown(numbers)} {'✓' if met else '✗'}", "–"])
    return grid(["", "goal", "1 thread", "2 threads"], rows)


def devices_table(devices: list[dict[str, Any]]) -> str:
    """A row for each device, and one for it with a compiled network."""
    rows = [
        [
            row["device"] + ", `compile=True`" * row["compiled"],
            row["torch"],
            *(shown(summary(row["epochs"][size])) for size in ("64", "1024")),
            f"{row['seconds']:.2f}",
            f"{row['accuracy']:.4f}",
        ]
        for row in devices
    ]
    goals = ["goal", "", "≤ 0.15", "≤ 0.02", "≤ 2", "≥ 0.99"]
    header = ["", "PyTorch", "MLP, 64", "MLP, 1024", "convolutions", "accuracy"]
    return grid(header, [*rows, goals])


def grid(header: list[str], rows: list[list[str]]) -> str:
    """A table in Markdown."""
    lines = [header, ["---", *["--:"] * (len(header) - 1)], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


# ---- the picture

INK = "#7a7a7a"  # reads on white and on black
OURS = "tab:blue"
STYLE = {
    "svg.fonttype": "none",  # text stays text
    "svg.hashsalt": "speed",  # the same picture from the same numbers
    **dict.fromkeys(
        ("text.color", "axes.labelcolor", "axes.edgecolor", "xtick.color", "ytick.color"), INK
    ),
}


def plot(results: dict[str, Any]) -> Any:
    """Dots with their spread: how many times the limit each takes, for an epoch of four tasks."""
    races = Races(results)
    names = races.names()[::-1]  # upwards
    panels = [
        ("MLP", {"network": "mlp"}),
        ("one layer: pure overhead", {"network": "tiny"}),
        ("LeNet", {"network": "lenet"}),
        ("MLP, images turned in Python", {"network": "mlp", "transformed": True}),
    ]
    with matplotlib.rc_context(STYLE):
        figure, axes = plt.subplots(2, 2, figsize=(8, 6.4), sharey=True, layout="constrained")
        plt.close(figure)
        for one, (title, race) in zip(axes.flat, panels, strict=True):
            for y, name in enumerate(names):
                numbers = races.ratio(name, threads=1, batch_size=64, **race)
                if numbers is None:
                    continue
                middle, least, most = numbers
                color = OURS if name == "ours" else INK
                one.plot([least, most], [y, y], color=color, linewidth=2, alpha=0.5)
                one.plot(middle, y, "o", color=color)
                one.annotate(
                    f"{middle:.2f}", (most, y), (6, 0), textcoords="offset points",
                    va="center", fontsize=8, color=color,
                )  # fmt: skip
            one.set_title(title, fontsize=10)
            one.set_yticks(range(len(names)), [TITLES[name].strip("*") for name in names])
            one.axvline(1, color=INK, linewidth=0.8, linestyle=":")
            one.set_xlim(0, one.get_xlim()[1] * 1.12)
            one.spines[["top", "right"]].set_visible(False)
        figure.supxlabel("time of an epoch, as a multiple of the limit (one thread, batch 64)")
    return figure
