"""The proof that a script does what the call does: run it in a fresh process, compare every bit."""

import copy
import gc
import inspect
import io
import os
import re
import signal
import subprocess
import sys
import tempfile
import traceback
import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import redirect_stderr, redirect_stdout, suppress
from functools import partial
from itertools import takewhile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from tutorial.device import set_rng_state, unchanged_randomness
from tutorial.display.report import Report
from tutorial.history import History
from tutorial.inputs.isolation import can_fork
from tutorial.running import own_copy
from tutorial.saving.parts import Parts, has_kept_workers
from tutorial.unroll import own_files, trace
from tutorial.unroll.objects import stateful
from tutorial.unroll.own_files import OwnFiles, real_save, separate_open_files

if TYPE_CHECKING:
    from tutorial.unroll.program import Program

Run = Callable[["Program", dict[str, Any]], dict[str, Any]]  # a call, with objects of its own

# What the fresh process runs: the script, and around it only what makes the two runs comparable.
RUNNER = """
import runpy, sys
sys.modules["tutorial"] = None  # from here on, importing tutorial is an error
script, results, threads, own_folder, traced = sys.argv[1:]
torch.set_num_threads(int(threads))
OwnFiles(own_folder).begin()
trace = Trace()
if traced:
    trace.begin()
names = runpy.run_path(script, run_name="__main__")
kept = {k: names[k] for k in ("step_losses", "rows", "result", "outputs") if k in names}
names["network"] = getattr(names["network"], "_orig_mod", names["network"])  # not the compiled one
for k in names:
    if k in ("network", "optimizer", "scaler") or k.startswith(("scheduler", "loss_fn")):
        if hasattr(names[k], "state_dict"):
            kept[k] = names[k].state_dict()
if traced:
    kept["trace"] = trace.named(names)
real_save(plain(kept), results)
"""


class Proof:
    """What `verify` found. It is true if the two runs are equal in every bit.

    Attributes:
        within: how far they may be apart instead, if not 0: in numbers above 1, relative to these.
        farthest: how far they are apart then.
        compared: how many values of each kind were compared.
        difference: the first value that differs, in words; None if all are equal.
        where: where the runs first differ, in words: the step, the layer, and the loop's line; None
            if they are equal, or if it is not known.
        script_differs: what in the script is known not to be what it stands for.
        note: what else there is to know, such as how far another way to compute it is away.
    """

    def __init__(
        self,
        title: str,
        here: dict[str, Any],
        there: dict[str, Any],
        runs: str = "here, and as a script alone in a fresh process",
        places: tuple[str, str] = ("here", "in the script"),
        within: float = 0.0,
    ) -> None:
        self.title = title
        self.within, self.farthest = within, 0.0
        self.runs = runs
        self.places = places
        self.compared: dict[str, int] = {}
        self.difference: str | None = None
        self.where: str | None = None
        self.script_differs: list[str] = []
        self.note = ""
        for start, name in KINDS.items():
            for kind in here:
                if kind == start or re.fullmatch(rf"{start}_\w+", kind):
                    self._compare(name, flat(here[kind]), flat(there.get(kind)))

    def _compare(self, name: str, here: dict[str, Any], there: dict[str, Any]) -> None:
        self.compared[name] = self.compared.get(name, 0) + len(here)
        for key in [*here, *(k for k in there if k not in here)]:
            if self.difference is None and not self._equal(here.get(key), there.get(key)):
                a, b = (shown(values.get(key)) for values in (here, there))
                at_a, at_b = self.places
                self.difference = f"{name}, {key or 'value'}: {a} {at_a}, {b} {at_b}"

    def _equal(self, a: Any, b: Any) -> bool:
        if not self.within or a is None or b is None or torch.as_tensor(a).numel() == 0:
            return identical(a, b)
        one, other = torch.as_tensor(a).double(), torch.as_tensor(b).double()
        if one.shape != other.shape:
            return False
        apart = (one - other).abs() / one.abs().clamp(min=1.0)
        apart = torch.where(one.isnan() & other.isnan() | (one == other), 0.0, apart)
        self.farthest = max(self.farthest, float(apart.max()))
        return bool((apart <= self.within).all())  # which nan is not

    def __bool__(self) -> bool:
        return self.difference is None

    @property
    def line(self) -> str:
        """The result on one line."""
        return f"{self.verdict}: {self.counts}" if self else f"{self.verdict} ({self.counts})"

    @property
    def verdict(self) -> str:
        """Whether all is equal, or what is not and where that begins."""
        if self and self.within:
            return f"equal within {self.within:g}, at most {self.farthest:.1e} apart"
        if self:
            return "equal bit for bit"
        reasons = [f"it begins in {self.where}"] * bool(self.where) + self.script_differs
        return "; ".join([f"NOT equal: {self.difference}", *reasons])

    @property
    def counts(self) -> str:
        """What was compared."""
        return ", ".join(f"{count} {name}" for name, count in self.compared.items() if count)

    def __repr__(self) -> str:
        note = f"\n({self.note})" if self.note else ""
        return f"{self.title}\n{self.runs}: {self.verdict}\n({self.counts}){note}"


KINDS = {
    "step_losses": "step losses",
    "rows": "reported means",
    "result": "reported means",
    "outputs": "predictions",
    "network": "weight tensors",
    "optimizer": "optimizer values",
    "loss_fn": "values of the loss",
    "scheduler": "scheduler values",
    "scaler": "scaler values",
}


def prove(program: "Program", history: History | None = None) -> Proof:
    """Run the script in a fresh process and compare it with the call: see Program.verify."""
    if program.state is None:
        program.remember()
    threads = torch.get_num_threads()
    above = program.above or program
    if program.above is not None:  # a deeper one is compared with the one above it
        history = None
    if history is None and can_fork(program.names["model"]):
        threads = 1  # a forked process has one, so that the other one gets no more
    there = run_script(program, threads)
    here = run_copy(above) if history is None else results_of(program, program.names, history)
    proof = Proof(program.title, here, there)
    if program.as_called is not None:
        learns = program.function in ("fit", "train_batch")
        proof.runs = DEEPER.format(ONE_BY_ONE * learns, program.depth)
        if learns and steps_otherwise(program):
            proof.note = distance(here, run_copy(program.as_called))
    if not proof:
        proof.script_differs = list(getattr(program.script_parts, "differences", ()))
        if can_fork(program.names["model"]):
            with suppress(RuntimeError):  # such as a compiler that refuses to be looked at
                traces = run_copy(program, traced), run_script(program, 1, traced=True)
                here, there = (run["trace"] for run in traces)
                proof.where = first_difference(here, there, program.source)
    return proof


ONE_BY_ONE = "with the optimizer's own step for one weight after the other, "
DEEPER = "here, {}and as a script at depth {!r} in a fresh process"


def steps_otherwise(program: "Program") -> bool:
    """Whether the call's own optimizer steps in another way than one weight after the other."""
    groups = program.names["optimizer"].param_groups if "optimizer" in program.names else []
    return any(group.get("fused") or group.get("foreach") for group in groups)


def distance(one: dict[str, Any], other: dict[str, Any]) -> str:
    """How far two runs are apart, in words."""
    pairs = [(flat(one[key]), flat(other[key])) for key in ("network", "step_losses") if key in one]
    far = max(
        float((torch.as_tensor(a[key]).double() - torch.as_tensor(b[key]).double()).abs().max())
        for a, b in pairs
        for key in a
    )
    return (
        "the call itself takes the optimizer's fused step, which may round otherwise: its weights "
        f"and losses are {f'at most {far:.1e} away' if far else 'the same here'}"
    )


def run_script(program: "Program", threads: int, traced: bool = False) -> dict[str, Any]:
    """What the standalone script computes."""
    with tempfile.TemporaryDirectory() as folder:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "save: ")
            script = program.save(Path(folder) / "script.py")
        lines = script.read_text(encoding="utf-8").splitlines()
        head = "\n".join(takewhile(lambda line: line.startswith("#"), lines))
        if "# You must supply" in head:
            raise ValueError(f"verify: the script cannot run alone.\n{head}")
        results = Path(folder) / "results.pt"
        code = "\n".join(inspect.getsource(part) for part in (own_files, trace)) + RUNNER
        ran = fresh_process(code, script, results, str(threads), folder, "traced" * traced)
        if ran.returncode != 0:
            raise failed("the script failed in the fresh process.", ran.stderr)
        found: dict[str, Any] = torch.load(results, weights_only=True)
        return found


def failed(what: str, traceback: str, asked: str = "verify") -> Exception:
    """The error of a run; where it only was to leave no trace, one sentence."""
    reason = traceback.strip().rpartition("\n")[2]
    if "OSError: " in reason and " would change " in reason:
        return ValueError(
            f"{asked}: {reason.partition('OSError: ')[2]}, and a proof leaves no trace, so nothing "
            "is proved, and nothing was written. Leave that callback out of the call, or let it "
            "write with open()."
        )
    return RuntimeError(f"{asked}: {what}\n{traceback}")


def fresh_process(code: str, *arguments: str | Path) -> "subprocess.CompletedProcess[str]":
    """What a new Python process does, which knows nothing of this one or its directory."""
    return subprocess.run(
        [sys.executable, "-I", "-c", code, *arguments],
        capture_output=True,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": str(torch.get_num_threads())},
    )


# ---- the call itself, once more


def run_copy(
    program: "Program", run: Run | None = None, threads: int = 1, asked: str = "verify"
) -> dict[str, Any]:
    """What the call computes, from the state in which it began; nothing here is changed.

    A copy of this process runs it, if that can be: with its own copies of all objects and open
    files. Else it is run here, on copies of the objects.

    Args:
        program: the call.
        run: what is run in place of the whole call, with the program and its objects.
        threads: how many PyTorch may use there.
        asked: the method that an error names.
    """
    run = run or run_from_the_beginning
    with tempfile.TemporaryDirectory() as folder:
        if not can_fork(program.names["model"]):
            return run_on_copies(program, run)
        results = Path(folder) / "results.pt"
        for stream in filter(None, (sys.stdout, sys.stderr)):
            stream.flush()
        forked = partial(fork, program, folder, results, run, threads)
        if threads == 1:
            child = forked()
        else:  # OpenMP's threads are not forked; but a thread that has none yet can make some there
            with ThreadPoolExecutor(1) as forking:
                child = forking.submit(forked).result()
        try:
            os.waitpid(child, 0)
        except BaseException:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            raise
        if not results.exists():
            raise RuntimeError(f"{asked}: the process that ran the call here has died.")
        found: dict[str, Any] = torch.load(results, weights_only=True)
        if "error" in found:
            raise failed("the call failed.", found["error"], asked)
        return found


def fork(program: "Program", folder: str, results: Path, run: Run, threads: int) -> int:
    """The number of the new process, which runs the call."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of Python 3.12, where there are threads
        child = os.fork()
    if not child:
        run_in_child(program, folder, results, run, threads)
    return child


OF_THE_PARENT: list[Any] = []


def run_in_child(program: "Program", folder: str, results: Path, run: Run, threads: int) -> None:
    """In the forked process: run the call, write what it gives, and end without a trace."""
    found: dict[str, Any]
    try:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent ends this process then
        gc.freeze()  # what was copied is not finalized twice
        torch.set_num_threads(threads)
        separate_open_files(folder)
        OwnFiles(folder).begin()
        for value in filter(has_kept_workers, program.names.values()):
            OF_THE_PARENT.append(value._iterator)  # only the parent may end these workers
            value._iterator = None
        with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
            found = run(program, dict(program.names))
    except BaseException:
        found = {"error": traceback.format_exc()}
    try:
        real_save(trace.plain(found), results)
    finally:
        os._exit(0)


def run_on_copies(program: "Program", run: Run) -> dict[str, Any]:
    """The same in this process."""
    with tempfile.TemporaryDirectory() as folder:
        program = program.redirected_to(folder)
        # One copy for all, so that the optimizer's copy holds the weights of the network's.
        data = {name: value for name, value in program.names.items() if name.endswith("_data")}
        memo: dict[int, Any] = {}
        names = {n: own_copy(value, memo) for n, value in data.items()}
        names |= copy.deepcopy({n: v for n, v in program.names.items() if n not in data}, memo)
        if hasattr(program.names.get("optimizer"), "_step_supports_amp_scaling"):
            names["optimizer"]._step_supports_amp_scaling = True  # which its copy forgot
        with unchanged_randomness():
            return run(program, names)


def run_from_the_beginning(program: "Program", names: dict[str, Any]) -> dict[str, Any]:
    """Run the program with these objects, once they are as they were when the call began."""
    begin_again(program, names)
    return results_of(program, names, program.run(Report(), **names))


def traced(program: "Program", names: dict[str, Any]) -> dict[str, Any]:
    """The same, and what it computes step by step."""
    notes = trace.Trace()
    notes.begin()
    found = run_from_the_beginning(program, names)
    return {**found, "trace": notes.named(program.names)}


def begin_again(program: "Program", names: dict[str, Any]) -> None:
    """Put these objects and the random state where they were when the call began."""
    begin = program.state
    assert begin is not None
    names |= program.began
    for name in stateful(names):
        names[name].load_state_dict(copy.deepcopy(begin[name]))
    parts = Parts(names, program.hooks.callbacks)
    parts.load(copy.deepcopy(begin.get("parts", {})), program.numbers_before())
    names["model"].loaded = {}  # it is in the schedulers' state
    with warnings.catch_warnings():
        # A copied optimizer does not remember which scheduler looks at its steps.
        warnings.filterwarnings("ignore", "Seems like `optimizer.step")
        set_rng_state(begin["random"])


def results_of(program: "Program", names: dict[str, Any], result: Any) -> dict[str, Any]:
    """The same things that the fresh process saves."""
    if isinstance(result, History):
        found: dict[str, Any] = {"step_losses": result.step_losses, "rows": result.rows}
    else:
        found = {"outputs" if program.function.startswith("predict") else "result": result}
    network = names["network"]
    found["network"] = getattr(network, "_orig_mod", network).state_dict()  # not the compiled one
    for name in stateful(names):
        if name != "network" and program.function in ("fit", "train_batch"):
            found[name] = names[name].state_dict()
    return {key: trace.plain(value) for key, value in found.items()}


# ---- where two runs first differ

# Of each kind of event: what it is called, and how its line in the loop is found.
KINDS_OF_EVENTS = {
    "state": ("{} as it is when the network is called", None),
    "batch": ("the data: the batch that {} gets", r"\bfor (step, )?.* in .*(_loader|_data)\b"),
    "output": ("the output of {}", r"\bnetwork\("),
    "loss": ("the loss that {} gives", r"\bloss_fn\w*\("),
    "gradient": ("the gradient of {}", r"\.backward\(\)"),
    "update": ("the update of {}", r"\b(optimizer\.step\(|scaler\.step\()"),
}


def first_difference(here: list[Any], there: list[Any], source: str) -> str | None:
    """The first event in which two runs differ, in words, with the line of the loop."""
    for a, b in zip(here, there, strict=False):
        if a != b:
            kind, thing, _, step = a
            if kind in ("batch", "output") and thing.startswith("loss_fn"):
                kind = "loss"
            words, pattern = KINDS_OF_EVENTS[kind]
            text = words.format(thing)
            if a[:2] != b[:2]:
                text = f"{text}, where the script comes to {b[1]}"
            return f"step {step}, {text}{line_of(source, pattern)}"
    return None


def line_of(source: str, pattern: str | None) -> str:
    """The loop's line of this kind."""
    for number, line in enumerate(source.splitlines(), 1):
        if pattern and re.search(pattern, line):
            return f" (line {number}: {line.partition('  #')[0].strip()})"
    return ""


# ---- numbers


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
        return a.shape == b.shape and a.dtype == b.dtype and trace.bits(a) == trace.bits(b)
    return type(a) is type(b) and repr(a) == repr(b)


def shown(value: Any) -> str:
    """A number, or the kind of a tensor, as part of a message."""
    if isinstance(value, torch.Tensor) and value.numel() > 1:
        return f"a tensor {tuple(value.shape)} with mean {value.double().mean():.9g}"
    if isinstance(value, torch.Tensor | float):
        return f"{float(value):.9g}"
    return "nothing" if value is None else repr(value)
