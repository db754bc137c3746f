"""The proof that a script does what the call does: run it in a fresh process, compare every bit."""

import copy
import os
import subprocess
import sys
import tempfile
import warnings
from itertools import takewhile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from tutorial.device import set_rng_state, unchanged_randomness
from tutorial.display.report import Report
from tutorial.history import History
from tutorial.unroll.objects import stateful

if TYPE_CHECKING:
    from tutorial.unroll.program import Program

# What the fresh process runs: the script, and around it only what makes the two runs comparable.
RUNNER = """
import random, runpy, sys
sys.modules["tutorial"] = None  # from here on, importing tutorial is an error
import numpy, torch
script, results, threads = sys.argv[1:]
torch.set_num_threads(int(threads))
state = torch.load(script.removesuffix(".py") + ".pt", weights_only=True)["random"]
random.setstate(state["python"])
name, keys, *rest = state["numpy"]
numpy.random.set_state((name, keys.numpy(), *rest))
names = runpy.run_path(script, run_name="__main__")
kept = {k: names[k] for k in ("step_losses", "rows", "result", "outputs") if k in names}
names["network"] = getattr(names["network"], "_orig_mod", names["network"])  # not the compiled one
for k in names:
    if k in ("network", "optimizer", "scaler") or k.startswith("scheduler"):
        kept[k] = names[k].state_dict()
torch.save(kept, results)
"""


class Proof:
    """What `verify` found. It is true if the two runs are equal in every bit.

    Attributes:
        compared: how many values of each kind were compared.
        difference: the first value that differs, in words; None if all are equal.
    """

    def __init__(
        self,
        title: str,
        here: dict[str, Any],
        there: dict[str, Any],
        runs: str = "here, and as a script alone in a fresh process",
        where: tuple[str, str] = ("here", "in the script"),
    ) -> None:
        self.title = title
        self.runs = runs
        self.where = where
        self.compared: dict[str, int] = {}
        self.difference: str | None = None
        for kind, name in KINDS.items():
            if kind in here:
                self._compare(name, flat(here.get(kind)), flat(there.get(kind)))

    def _compare(self, name: str, here: dict[str, Any], there: dict[str, Any]) -> None:
        self.compared[name] = self.compared.get(name, 0) + len(here)
        for key in [*here, *(k for k in there if k not in here)]:
            if self.difference is None and not identical(here.get(key), there.get(key)):
                a, b = (shown(values.get(key)) for values in (here, there))
                at_a, at_b = self.where
                self.difference = f"{name}, {key or 'value'}: {a} {at_a}, {b} {at_b}"

    def __bool__(self) -> bool:
        return self.difference is None

    @property
    def line(self) -> str:
        """The result on one line."""
        return f"{self.verdict}: {self.counts}" if self else f"{self.verdict} ({self.counts})"

    @property
    def verdict(self) -> str:
        """Whether all is equal, or what is not."""
        return "equal bit for bit" if self else f"NOT equal: {self.difference}"

    @property
    def counts(self) -> str:
        """What was compared."""
        return ", ".join(f"{count} {name}" for name, count in self.compared.items() if count)

    def __repr__(self) -> str:
        return f"{self.title}\n{self.runs}: {self.verdict}\n({self.counts})"


KINDS = {
    "step_losses": "step losses",
    "rows": "reported means",
    "result": "reported means",
    "outputs": "predictions",
    "network": "weight tensors",
    "optimizer": "optimizer values",
    "scheduler": "scheduler values",
    "scaler": "scaler values",
}


def prove(program: "Program", history: History | None = None) -> Proof:
    """Run the script in a fresh process and compare it with the call: see Program.verify."""
    if program.state is None:
        program.remember()
    there = run_script(program)
    here = run_copy(program) if history is None else results_of(program, program.names, history)
    return Proof(program.title, here, there)


def run_script(program: "Program") -> dict[str, Any]:
    """What the standalone script computes."""
    with tempfile.TemporaryDirectory() as folder:
        script = program.redirected_to(folder).save(Path(folder) / "script.py")
        lines = script.read_text(encoding="utf-8").splitlines()
        head = "\n".join(takewhile(lambda line: line.startswith("#"), lines))
        if "# You must supply" in head:
            raise ValueError(f"verify: the script cannot run alone.\n{head}")
        results = Path(folder) / "results.pt"
        ran = fresh_process(RUNNER, script, results, str(torch.get_num_threads()))
        if ran.returncode != 0:
            raise RuntimeError(f"verify: the script failed in the fresh process.\n{ran.stderr}")
        found: dict[str, Any] = torch.load(results, weights_only=True)
        return found


def fresh_process(code: str, *arguments: str | Path) -> "subprocess.CompletedProcess[str]":
    """What a new Python process does, which knows nothing of this one or its directory."""
    return subprocess.run(
        [sys.executable, "-I", "-c", code, *arguments],
        capture_output=True,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": str(torch.get_num_threads())},
    )


def run_copy(program: "Program") -> dict[str, Any]:
    """What the call computes, on copies of the model's objects and from the same state."""
    begin = program.state
    assert begin is not None
    data = {name: value for name, value in program.names.items() if name.endswith("_data")}
    with tempfile.TemporaryDirectory() as folder:
        program = program.redirected_to(folder)
        # One deepcopy for all, so that the optimizer's copy holds the weights of the network's.
        names = copy.deepcopy({k: v for k, v in program.names.items() if k not in data}) | data
        for name in stateful(names):
            names[name].load_state_dict(copy.deepcopy(begin[name]))
        names["model"].loaded = {}  # it is in the schedulers' state
        if hasattr(program.names.get("optimizer"), "_step_supports_amp_scaling"):
            names["optimizer"]._step_supports_amp_scaling = True  # which its copy forgot
        generators = program.hooks.generators_in(names)
        before = [generator.get_state() for generator in generators]
        for generator, state in zip(generators, begin.get("generators", ()), strict=True):
            generator.set_state(state)
        with unchanged_randomness(), warnings.catch_warnings():
            # A copied optimizer does not remember which scheduler looks at its steps.
            warnings.filterwarnings("ignore", "Seems like `optimizer.step")
            set_rng_state(begin["random"])
            result = program.run(Report(), **names)
        for generator, state in zip(generators, before, strict=True):
            generator.set_state(state)
    return results_of(program, names, result)


def results_of(program: "Program", names: dict[str, Any], result: Any) -> dict[str, Any]:
    """The same things that the fresh process saves."""
    if isinstance(result, History):
        found: dict[str, Any] = {"step_losses": result.step_losses, "rows": result.rows}
    else:
        found = {"outputs" if program.function.startswith("predict") else "result": result}
    found["network"] = names["network"].state_dict()
    for name in stateful(names):
        if program.function in ("fit", "train_batch"):
            found[name] = names[name].state_dict()
    return found


def flat(value: Any, path: str = "") -> dict[str, Any]:
    """The numbers and tensors in a nest of dicts and lists, each under its path."""
    if value is None:
        return {}
    if isinstance(value, dict):
        parts = [flat(item, f"{path}.{key}" if path else str(key)) for key, item in value.items()]
    elif isinstance(value, list | tuple):
        parts = [flat(item, f"{path}[{i}]") for i, item in enumerate(value)]
    else:
        return {path: value}
    return {key: item for part in parts for key, item in part.items()}


def identical(a: Any, b: Any) -> bool:
    """Equality of every bit: not-a-number equals itself, 0.0 does not equal -0.0."""
    if isinstance(a, float | int) and isinstance(b, torch.Tensor):
        b = b.item()  # a loss that the loop kept on the device
    if isinstance(a, torch.Tensor) and isinstance(b, torch.Tensor):
        return a.shape == b.shape and a.dtype == b.dtype and bits(a) == bits(b)
    return type(a) is type(b) and repr(a) == repr(b)


def bits(tensor: torch.Tensor) -> bytes:
    """The tensor's memory."""
    return tensor.detach().cpu().flatten().contiguous().view(torch.uint8).numpy().tobytes()


def shown(value: Any) -> str:
    """A number, or the kind of a tensor, as part of a message."""
    if isinstance(value, torch.Tensor) and value.numel() > 1:
        return f"a tensor {tuple(value.shape)} with mean {value.double().mean():.9g}"
    if isinstance(value, torch.Tensor | float):
        return f"{float(value):.9g}"
    return "nothing" if value is None else repr(value)
