"""A program with NumPy alone: read, run, saved, and compared with PyTorch."""

import ast
import copy
import inspect
import json
import re
import tempfile
from collections.abc import Callable, Iterable
from functools import cached_property
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from tutorial.depth import arrays
from tutorial.depth.in_numpy import NoNumpyFormError, Translation
from tutorial.depth.noted import NotedRun, doubled
from tutorial.history import History
from tutorial.inputs.structure import leaves
from tutorial.loop.names import key_code
from tutorial.parameters import Count, checked
from tutorial.unroll.program import Program, compiled, history_of
from tutorial.unroll.proof import Proof, failed, fresh_process
from tutorial.unroll.replay import Replay
from tutorial.unroll.script import Script
from tutorial.unroll.source import merged, names_assigned

WITHIN = 1e-10  # how near to PyTorch's the numbers must be, for numbers above 1 relative to these

ROUNDING = (
    "where a gradient is 0 but for rounding, as that of a bias before batch norm, a rule that "
    "divides by its size, as Adam's, makes rounding count"
)

# What the fresh process runs: the script, where neither tutorial nor torch can be imported.
RUNNER = """
import json, runpy, sys
sys.modules["tutorial"] = sys.modules["torch"] = None
import numpy as np
script, results = sys.argv[1:]
names = runpy.run_path(script, run_name="__main__")
network, optimizer = names["network"], names.get("optimizer")
kept = {f"network/{name}": weight.data for name, weight in network.weights.items()}
kept |= {f"network/{name}": array for name, array in network.arrays.items()}
for kind in ("step_losses", "rows", "result", "outputs"):
    if kind in names:
        kept[kind] = np.array(json.dumps(names[kind], default=lambda value: value.tolist()))
np.savez(results, **kept)
"""


class NumpyProgram(Program):
    """A program with NumPy alone.

    Its loop is that of depth "gradients", translated line by line. What NumPy does not have is read
    from a file: the samples of each batch, what is drawn at random, what a schedule sets. PyTorch
    runs the call for it once, on copies and in 64 bits, when the program is first run or saved.

    Args:
        gradients: the program at depth "gradients".
        changes: the hyperparameters that a scheduler may change.

    Raises:
        ValueError: something in it has no form in NumPy.
    """

    def __init__(self, gradients: Program, changes: Iterable[str]) -> None:
        vars(self).update(vars(gradients))
        self.changes = tuple(changes)
        self.depth = "numpy"
        self.gradients = gradients
        self.refuse_options()
        try:
            self.setup()
        except NoNumpyFormError as error:
            raise ValueError(
                f"depth='numpy': {error}. Take depth='gradients', or change that."
            ) from None

    def refuse_options(self) -> None:
        """Refuse what is no arithmetic, or is that of another machine."""
        for option, argument in REFUSED.items():
            if self.option(option):
                raise ValueError(
                    f"depth='numpy': {argument} has no NumPy form. Leave it out, or take "
                    "depth='gradients'."
                )
        if self.option("DEVICE") != "cpu":
            raise ValueError(
                f"depth='numpy': the network is on {self.option('DEVICE')}, but NumPy has the CPU "
                "alone. Move it there: set_device('cpu'), or take depth='gradients'."
            )
        if self.hooks.callbacks:
            raise ValueError(
                f"depth='numpy': the callback {next(iter(self.hooks.callbacks))} is PyTorch's side "
                "of the loop. Leave it out, or take depth='gradients'."
            )

    def refuse_names(self, source: str) -> None:
        """Refuse names of the call that are those of functions which the text calls."""
        clash = names_assigned(source) | self.names.keys()
        clash &= functions_for(source) | {"np", "start", "drawn"}
        if clash:
            raise NoNumpyFormError(f"{min(clash)!r}, which a function in NumPy is called, too,")

    @cached_property
    def translation(self) -> Translation:
        """The loop, and what it needs."""
        return Translation(self.gradients.source)

    @property
    def source(self) -> str:
        """The loop as it is read."""
        return self.translation.text

    @cached_property
    def noted(self) -> NotedRun:
        """What PyTorch's run in 64 bits has noted."""
        assert self.above is not None
        return NotedRun(self.above, self.scheduled())

    # ---- what stands before the loop

    def setup(self) -> list[str]:
        """The lines that make what the loop works with out of what the file holds.

        Raises:
            NoNumpyFormError: a metric or a loss has none.
        """
        source, lines = self.source, list[str]()
        self.refuse_names(source)
        used = {node.id for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Name)}
        for name in self.names:
            if name == "network":
                lines.append(
                    'network = Network(within(start, "weights/"), within(start, "buffers/"))'
                )
            elif name == "optimizer" and (name in used or self.hooks.schedulers):
                lines += self.optimizer()
            elif name in self.hooks.schedulers:
                lines.append(f'{name} = Scheduler(optimizer, **within(start, "{name}/"))')
            elif name.endswith("_data"):
                short = name.removesuffix("_data")
                lines.append(f"{name} = {self.nested(name, self.example(name))}")
                lines.append(f'{short}_order = start["{short}_order"]')
            elif name.startswith("loss_fn"):
                lines += self.loss(name)
            elif isinstance(self.names[name], Tensor | list | tuple | dict) and name in used:
                lines.append(f"{name} = {self.nested(name, self.names[name])}")
            elif name in used and name != "model":
                lines.append(f"{name} = {metric_code(name, self.names[name])}")
        if "drawn" in used:
            lines.append('drawn = Draws(start["drawn"])')
        return lines

    def example(self, name: str) -> Any:
        """A batch of some data, as far as it is known: else a pair."""
        if "noted" in vars(self):
            return self.noted.samples[name.removesuffix("_data")]
        return [torch.zeros(0), torch.zeros(0)]

    def nested(self, name: str, value: Any) -> str:
        """Code for arrays in nested lists and dicts: [start["x/0"], start["x/1"]]."""
        if isinstance(value, dict):
            parts = [f"{key_code(k)}: {self.nested(f'{name}/{k}', v)}" for k, v in value.items()]
            return "{" + ", ".join(parts) + "}"
        if isinstance(value, list | tuple):
            parts = [self.nested(f"{name}/{i}", part) for i, part in enumerate(value)]
            return "[" + ", ".join(parts) + "]"
        return f'start["{name}"]'

    def optimizer(self) -> list[str]:
        """The line that makes the optimizer: its groups, and the settings that the loop reads."""
        optimizer = self.names["optimizer"]
        known = {id(w): name for name, w in self.names["network"].named_parameters()}
        read = set(re.findall(r'\["(\w+)"\]', self.source)) | set(self.scheduled())
        groups = []
        assert self.state is not None
        for group, saved in zip(
            optimizer.param_groups, self.state["optimizer"]["param_groups"], strict=True
        ):
            names = [known.get(id(weight)) for weight in group["params"]]
            if None in names:
                raise NoNumpyFormError("the optimizer: a weight that is not the network's")
            whole = names == [*known.values()]
            weights = [f"network.get_parameter({key_code(str(name))})" for name in names]
            params = "[*network.parameters()]" if whole else f"[{', '.join(weights)}]"
            settings = [
                f'"{key}": {value!r}'
                for key, value in saved.items()
                if key in read and key != "params" and not isinstance(value, Tensor)
            ]
            groups.append("{" + ", ".join([f'"params": {params}', *settings]) + "}")
        return [f'optimizer = Optimizer([{", ".join(groups)}], within(start, "optimizer/"))']

    def scheduled(self) -> list[str]:
        """The settings that schedules may change, those that are numbers."""
        usual = self.names["optimizer"].defaults if self.hooks.schedulers else {}
        return [key for key in self.changes if isinstance(usual.get(key), float | tuple)]

    def loss(self, name: str) -> list[str]:
        """The line for the numbers that a loss has, if the loop reads them."""
        read = sorted(set(re.findall(rf"\b{name}\.(\w+)\b", self.source)))
        if not read:
            return []
        loss = self.names[name]
        if not isinstance(loss, nn.Module):
            raise NoNumpyFormError(f"{name}: a loss with options that the loop reads")
        if any(weight.requires_grad for weight in loss.parameters()):
            raise NoNumpyFormError(f"{name}: a loss that learns")
        parts = [f'{key}=start["{name}/{key}"]' for key in read]
        return [f"{name} = SimpleNamespace({', '.join(parts)})"]

    # ---- the file

    def start(self) -> dict[str, Any]:
        """What the file beside the script holds, by name."""
        assert self.state is not None
        network, found = self.names["network"], dict[str, Any]()
        now = dict(network.named_parameters()) | dict(network.named_buffers())
        began = now | self.state["network"]
        for kind, named in (
            ("weights", network.named_parameters()),
            ("buffers", network.named_buffers()),
        ):
            found |= {f"{kind}/{name}": as_array(began[name]) for name, _ in named}
        for name, value in self.names.items():
            if name.startswith("loss_fn") and isinstance(value, torch.nn.Module):
                found |= {f"{name}/{key}": as_array(v) for key, v in value.named_buffers()}
            elif not name.endswith("_data") and isinstance(value, Tensor | list | tuple | dict):
                found |= named_arrays(name, value)
        for i, state in self.state.get("optimizer", {}).get("state", {}).items():
            found |= {f"optimizer/{i}/{key}": as_array(value) for key, value in state.items()}
        for name in self.hooks.schedulers:
            found |= {f"{name}/{k}": v for k, v in self.noted.settings(name).items()}
        for name, order in self.noted.orders.items():
            found |= named_arrays(f"{name}_data", self.noted.samples[name], doubling=False)
            found[f"{name}_order"] = order.numpy()
        found["drawn"] = self.noted.drawn.numpy()
        return found

    def _script(self) -> tuple[str, dict[str, Any]]:
        """The text of a file that needs NumPy alone, and the arrays for the file beside it."""
        self.noted  # noqa: B018  (it knows the structure of the batches)
        script, setup = Script(), self.setup()
        script.imports = {"Path": "from pathlib import Path", "np": "import numpy as np"}
        text = "\n".join([*setup, self.source])
        if "SimpleNamespace(" in text:
            script.imports["SimpleNamespace"] = "from types import SimpleNamespace"
        for name in sorted(functions_for(text)):
            script.copy(getattr(arrays, name))
        script.imports.pop("torch", None)
        sources, _ = script.in_order()
        head = [
            f"# {self.title}",
            "# written out with NumPy alone. It needs neither `tutorial` nor PyTorch.",
        ]
        paragraphs = [
            "\n".join(head),
            "\n".join(merged(script.imports.values())),
            "# The file beside this one holds the state in which the call began, and what PyTorch "
            "drew:\n"
            'start = np.load(Path(__file__).with_suffix(".npz"))',
            *(f"\n{source}" for source in sources),
            "\n" + "\n".join(setup),
            self.source,
        ]
        return "\n\n".join(paragraphs), self.start()

    ending = ".npz"  # of the file beside the script

    def _save_data(self, data: dict[str, Any], path: Path) -> None:
        np.savez_compressed(path, **data)

    # ---- run

    def computed(self) -> dict[str, Any]:
        """Run the loop here: what its names stand for in the end, all of it arrays."""
        self.noted  # noqa: B018
        space = {"np": np, "SimpleNamespace": SimpleNamespace, **vars(arrays)}
        space["start"] = self.start()
        for text in ("\n".join(self.setup()), self.source):
            exec(compiled(self.function, text), space)
        return space

    def replay(self, steps: Count = 2) -> Replay:
        """Run the first steps with NumPy, and show them line by line: see `Program.replay`."""
        steps = checked(Program.replay, {"steps": steps})["steps"]
        other = copy.copy(self)
        if "noted" not in vars(self) and self.above is not None:
            vars(other)["noted"] = NotedRun(self.above, self.scheduled(), steps)
        return Program.replay(other, steps)

    def from_the_beginning(self, names: dict[str, Any]) -> Callable[[], Any]:
        """What runs the loop as it is read."""
        return self.computed

    def run(self, report: Any = None, **names: Any) -> Any:
        """Run the loop with NumPy; the network then has the weights that it has learned.

        Returns:
            What the call returns: a History, a dict of means, or a list of outputs.

        Raises:
            TypeError: objects are given, which a loop of arrays does not take.
        """
        if names or report is not None:
            raise TypeError("run: at depth 'numpy' it takes no arguments.")
        space, network = self.computed(), self.names["network"]
        made = space["network"]
        with torch.no_grad():
            for name, weight in network.named_parameters():
                weight.copy_(torch.as_tensor(made.weights[name].data))
            for name, buffer in network.named_buffers():
                buffer.copy_(torch.as_tensor(made.arrays[name]))
        if self.function != "fit":
            return space["outputs" if self.function.startswith("predict") else "result"]
        history = history_of(space, interrupted=False)
        self.names["model"].history = history
        return history

    def verify(self, history: History | None = None) -> Proof:
        """Compare NumPy's numbers with PyTorch's, in 64 bits.

        The script is run by a new Python process in which neither `tutorial` nor `torch` can be
        imported. Every loss, weight and mean must be within 1e-10 of what PyTorch's own layers,
        autograd and optimizer give in 64 bits.

        Returns:
            A Proof: true if they are; printing it tells the largest difference.
        """
        with tempfile.TemporaryDirectory() as folder:
            script = self.save(Path(folder) / "script.py")
            results = Path(folder) / "results.npz"
            ran = fresh_process(RUNNER, script, results)
            if ran.returncode != 0:
                raise failed("the script failed in the fresh process.", ran.stderr)
            there = dict(np.load(results))
        found: dict[str, Any] = {
            kind: with_tensors(json.loads(str(there[kind])), self.noted.results.get(kind))
            for kind in ("step_losses", "rows", "result", "outputs")
            if kind in there
        }
        saved = self.noted.results.get("network", {})  # a state_dict, without persistent=False
        names = {name: f"network/{name}" for name in saved if f"network/{name}" in there}
        found["network"] = {name: torch.from_numpy(there[key]) for name, key in names.items()}
        here = {kind: value for kind, value in self.noted.results.items() if kind in found}
        here["network"] = {k: v for k, v in here["network"].items() if k in found["network"]}
        runs = "PyTorch in 64 bits, here, and NumPy alone in a fresh process"
        proof = Proof(self.title, here, found, runs, ("in PyTorch", "in NumPy"), within=WITHIN)
        proof.note = "" if proof else ROUNDING
        return proof


REFUSED = {
    "AUTOCAST": "a precision other than '32'",
    "RESUME": "resume",
    "LEARNING_LOSSES": "a loss that learns",
    "OPTIMIZER_MODES": "an optimizer that has a train() and an eval()",
}
METRICS = {"Accuracy": ("topk", "ignore_index"), "Precision": ("from_logits",)}
METRICS |= {"Recall": ("from_logits",), "Mean": ()}


def functions_for(source: str) -> set[str]:
    """The functions and classes of arrays/ that some code calls, and those that they call."""
    found, waiting = set[str](), [source]
    while waiting:
        nodes = [*ast.walk(ast.parse(waiting.pop()))]
        called = {
            n.func.id for n in nodes if isinstance(n, ast.Call) if isinstance(n.func, ast.Name)
        }
        new = {name for name in called - found if callable(getattr(arrays, name, None))}
        found |= new
        waiting += [inspect.getsource(getattr(arrays, name)) for name in new]
    return found


def metric_code(name: str, metric: Any) -> str:
    """Code that makes a metric's form in NumPy.

    Raises:
        NoNumpyFormError: it has none.
    """
    cls = type(metric)
    ours = cls.__module__ == "tutorial.metrics" and cls.__name__ in METRICS
    if not ours:
        raise NoNumpyFormError(f"{name}: {cls.__name__} has no NumPy form")
    usual = {"topk": (1,), "ignore_index": None, "from_logits": False}
    given = {key: getattr(metric, key) for key in METRICS[cls.__name__]}
    if getattr(metric, "ignore_index", None) is not None and "ignore_index" not in given:
        raise NoNumpyFormError(f"{name}: {cls.__name__}(ignore_index=...) has no NumPy form")
    said = [f"{key}={value!r}" for key, value in given.items() if value != usual[key]]
    return f"{cls.__name__}({', '.join(said)})"


def as_array(value: Any) -> np.ndarray[Any, Any]:
    """A tensor or a number as an array, real numbers in 64 bits."""
    tensor: Tensor = doubled(torch.as_tensor(value)).detach().cpu()
    return tensor.numpy().copy()


def with_tensors(found: Any, like: Any) -> Any:
    """Lists of numbers as tensors, where PyTorch has tensors."""
    if isinstance(like, Tensor):
        return torch.tensor(found, dtype=like.dtype)
    if isinstance(like, dict) and len(like) == len(found):
        return {k: with_tensors(found[str(k)], part) for k, part in like.items()}
    if isinstance(like, list | tuple) and len(like) == len(found):
        return [with_tensors(*pair) for pair in zip(found, like, strict=True)]
    return found


def named_arrays(name: str, nested: Any, doubling: bool = True) -> dict[str, Any]:
    """The tensors in nested lists and dicts, each by the name under which the file has it."""
    return {
        "/".join([name, *map(str, path)]): as_array(part) if doubling else part.numpy()
        for path, part in leaves((), nested)
        if isinstance(part, Tensor)
    }
