"""A plain program: to read, run, step into, change, save and prove."""

import ast
import copy
import dataclasses
import inspect
import linecache
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from functools import lru_cache, partial
from hashlib import sha256
from pathlib import Path
from types import CodeType
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from tutorial import checks
from tutorial.callbacks.saving import floats
from tutorial.device import rng_state, unchanged_settings
from tutorial.display.report import Report, no_closed_output
from tutorial.distributed import process_group
from tutorial.distributed.process_group import explain_peer_failure
from tutorial.history import History
from tutorial.loop.names import TOOLS
from tutorial.parameters import Count, File, checked, short
from tutorial.running import WATCHER, begun, forget_gradients, own_metric
from tutorial.saving.checkpoint import loadable, waiting
from tutorial.saving.parts import Parts, part_state
from tutorial.tracebacks import readable
from tutorial.unroll.beginning import beginning
from tutorial.unroll.errors import of_the_loop, says_where
from tutorial.unroll.hooks import Hooks
from tutorial.unroll.interrupts import interrupts_between_steps
from tutorial.unroll.objects import stateful
from tutorial.unroll.script import Script
from tutorial.unroll.source import source_of
from tutorial.unroll.unroll import defaults, unroll

if TYPE_CHECKING:
    from tutorial.unroll.proof import Proof
    from tutorial.unroll.replay import Replay

RESULTS = {"predict": "outputs", "predict_batch": "outputs"}  # the others: result


@readable
class Program:
    """The plain loop of one call of a `Model`, together with the objects that it works on.

    `print(program)` shows the loop. `program.run()` runs it on the model's own network, as the call
    would, and prints as a textbook does. A changed copy of `program.source` can be handed back:
    `model.fit(..., loop=changed)`.

    Attributes:
        title: the call, as one would type it.
        source: the loop.
        names: what the loop's names stand for: network, optimizer, train_data, ...
    """

    def __init__(
        self,
        function: str,
        title: str,
        options: Mapping[str, Any],
        names: Mapping[str, Any],
        loop: "Program | str | Callable[..., Any] | None" = None,
        hooks: Hooks | None = None,
        inputs: Any = None,
    ) -> None:
        self.function = function
        self.title = title
        self.options = tuple(options.items())
        self.names = dict(names)
        self.hooks = hooks or Hooks()  # the callbacks, and what they are told
        self.inputs = inputs  # InputSpecs, as the network is called
        # The student's own loop, in place of ours.
        self.loop: str | Callable[..., Any] | None = (
            (loop.loop or loop.source) if isinstance(loop, Program) else loop
        )
        # Where the call began, once `remember` was called: its state, and its callbacks.
        self.state: dict[str, Any] | None = None
        # At another depth than the loop's: what writes its lines out, what they name besides, the
        # program as called, and the one to which it is to be equal.
        self.depth = "loop"
        self.deeper: Callable[[str], str] = unchanged
        self.tools: dict[str, Any] = {}
        self.as_called: Program | None = None
        self.above: Program | None = None
        self.as_html: Callable[[Program], str] | None = None  # at all depths
        self.began: dict[str, Any] = {}
        self.parts: Parts | None = None  # what has a state besides, such as a generator
        self.script_parts: Script | None = None  # of the script that was written last

    def option(self, name: str) -> Any:
        """What the call has decided about an option."""
        return dict(self.options).get(name, defaults()[name])

    def every_option(self) -> dict[str, Any]:
        """What the call has decided, and the defaults of all else."""
        return {**defaults(), **dict(self.options)}

    @property
    def source(self) -> str:
        """The loop as it is read; it prints as a textbook does."""
        if callable(self.loop):
            return f"{source_of(self.loop)}\n\n{call_of(self.loop)}"
        if isinstance(self.loop, str):
            return self.loop
        return self.deeper(unroll(self.function, self.options))

    @property
    def reporting_source(self) -> str:
        """The loop as `Model` runs it: the same, but for `report(...)` in place of `print(...)`."""
        if isinstance(self.loop, str):
            return self.loop
        return self.deeper(unroll(self.function, (*self.options, ("REPORT", True))))

    # ---- run

    def run(self, report: Report | None = None, **names: Any) -> Any:
        """Run the loop.

        Args:
            report: who is told how it goes; without one, the loop prints.
            **names: other objects for the loop's names, such as network=my_network.

        Returns:
            What the call returns: a History, a dict of means, or a list of outputs.

        Raises:
            TypeError: a name that the loop does not have.
        """
        unknown = names.keys() - self.names.keys()
        if unknown:
            raise TypeError(
                f"run: {', '.join(sorted(unknown))} is no name of this program; "
                f"its names are {', '.join(self.names)}."
            )
        if not isinstance(names.get("network", self.names["network"]), nn.Module):
            raise TypeError(
                f"run: network is {short(names['network'])}, but an nn.Module is expected."
            )
        if not isinstance(report, Report | None):
            raise TypeError(f"run: report is {short(report)}, but a Report is expected, or None.")
        fits, alone = self.function == "fit", not self.option("DISTRIBUTED")
        # A student's own loop may have no report.due(), for which an interrupt could wait.
        # And of several processes, each could stop at another step: there it ends them all.
        patient = report if self.loop is None and alone else None
        if patient is not None:
            patient.may_be_empty = False
        watcher = WATCHER.get()
        watcher.begins(self.function)
        how = "failed"
        names = {**TOOLS, **self.names, **names, "report": report}
        code = self._code(names)
        names = {**self.tools, **names}
        with (
            no_closed_output(),
            begun(self.function, names, self.hooks.places() if fits else ()) as namespace,
            interrupts_between_steps(patient),
            as_it_was_unless_trained(namespace, code) if fits else nullcontext(),
        ):
            self.hooks.attach(namespace, fits)
            if self.inputs:
                namespace["model"].called_with = self.inputs
            own = self.loop is not None
            began = beginning(namespace, self.every_option(), self.hooks, code, own) if fits else {}
            if report is not None and self.hooks.terminate_on_nan():
                report.warned = True  # it is a callback that will tell
            try:
                with unchanged_settings(), explain_peer_failure(), says_where(namespace):
                    if callable(code):
                        namespace["step_losses"] = call_by_names(code, namespace)
                    else:
                        exec(code, namespace)
                if namespace.get("samples") == 0 and "step" not in namespace:
                    raise ZeroDivisionError  # not one batch
                how = "done"
            except KeyboardInterrupt:
                how = "stopped"
                if not fits or not alone:
                    raise
            except ZeroDivisionError as error:
                if namespace.get("samples") != 0 or not of_the_loop(error):
                    raise
                if patient is not None:
                    patient.check_pass()
                raise ValueError(
                    f"{self.title}: the data gave no batch; at least one is expected."
                ) from None
            finally:
                if report is not None:
                    report.close(how)
                if fits:
                    self.hooks.let_go(namespace)
                    forget_gradients(namespace)  # and no half-made one is left
                    asked = report is not None and report.interrupted  # perhaps after the last step
                    history = history_of(namespace, how == "stopped" or asked, began)
                    namespace["model"].history = history
                    namespace["model"].stateful.end()
            result = history if fits else namespace[RESULTS.get(self.function, "result")]
        watcher.ended(self.function, result)
        return result

    def _code(self, names: Mapping[str, Any]) -> CodeType | Callable[..., Any]:
        """What runs: the loop's code, or the student's function."""
        if callable(self.loop):
            names_fit(self.loop, names)
            return self.loop
        source = self.source if names["report"] is None else self.reporting_source
        return compiled(self.function, source)

    # ---- a file of its own

    def script(self) -> str:
        """A standalone file: imports, network, data and the loop; it never imports `tutorial`.

        It reads the state in which the call began from a file beside it; `save` writes both. What
        cannot be written out as code is named at its top, for the reader to supply.
        """
        return self._script()[0]

    def save(self, path: File) -> Path:
        """Write the script to path, and beside it its starting state: .pt, or .npz for NumPy.

        Where several processes train, the first one writes; `torchrun` runs the script.

        Args:
            path: where to write, such as 'my_fit.py'. Missing directories are made.

        Returns:
            The path.

        Raises:
            ValueError: path is no path, or ends in .pt or .npz, as the state does.
            OSError: the file cannot be written.
        """
        path = self.place_of_script(path)
        text, data = self._script()
        if process_group.is_rank_zero():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
            self._save_data(data, path.with_suffix(self.ending))
        return path

    ending = ".pt"  # of the file beside the script

    def _save_data(self, data: dict[str, Any], path: Path) -> None:
        torch.save(loadable(data), path)

    def place_of_script(self, path: File) -> Path:
        """The path of a script, once it is known that it can be written."""
        path = Path(checked(Program.save, {"path": path})["path"])
        if path.suffix == self.ending:
            raise ValueError(
                f"path is {str(path)!r}, but {self.ending} is the ending of the state beside the "
                f"script. Save the script as {str(path.with_suffix('.py'))!r}."
            )
        checks.writable("path", path, is_file=True)
        return path

    def verify(self, history: History | None = None) -> "Proof":
        """Prove that the script does what the call does: in a fresh process, bit for bit.

        The script is run by a new Python process in which `tutorial` cannot be imported, from the
        state in which the call began. Every loss, weight and optimizer tensor is compared.

        Args:
            history: what `model.fit` returned, if that very call was made since `unroll`: then the
                script is compared with it and with the model as it is now. Without it, the call is
                run once more here, on copies; so it is for a program that is written out deeper.

        Returns:
            A Proof: true if everything is equal; printing it tells what was compared.

        Raises:
            ValueError: a part of the script must be supplied by hand, so it cannot run alone.
        """
        from tutorial.unroll.proof import prove

        if not isinstance(history, History | None):
            raise TypeError(
                f"verify: history is {short(history)}, but what model.fit returned is expected, or "
                "None."
            )
        checks.one_process("verify", process_group.join())
        return prove(self, history)

    def replay(self, steps: Count = 2) -> "Replay":
        """Run the first steps of the call on copies, and show them line by line.

        Nothing of the model, its data's order or the random state changes. The losses are those of
        the call, bit for bit.

        Args:
            steps: how many steps of the loop over the batches; fewer, if the call ends before.

        Returns:
            A Replay: in a notebook, a player in which to go forward and back. An error in the loop
            ends it at the line that failed.

        Raises:
            ValueError: steps is no integer from 1; or several processes train.
        """
        from tutorial.unroll.replay import replay_of

        steps = checked(Program.replay, {"steps": steps})["steps"]
        checks.one_process("replay", process_group.join())
        return replay_of(self, steps)

    def from_the_beginning(self, names: dict[str, Any]) -> Callable[[], Any]:
        """What runs the loop as it is read, with these objects, from where the call began."""
        from tutorial.unroll.proof import begin_again

        begin_again(self, names)
        return partial(self.run, None, **names)

    def redirected_to(self, folder: str) -> "Program":
        """This program, but its callbacks write their files into another directory."""
        other = copy.copy(self)
        current = self.hooks.callbacks | self.began
        moved = {name: copy.copy(callback) for name, callback in current.items()}
        for name, callback in moved.items():
            for place in ("save_dir", "log_dir", "path"):
                if getattr(callback, place, None) is not None:
                    setattr(callback, place, str(Path(folder) / name))
        params = dict(self.hooks.params)
        if params.get("save_dir") is not None:
            params["save_dir"] = folder
        other.names = {**self.names, **moved}
        other.began = {}
        other.hooks = dataclasses.replace(self.hooks, callbacks=moved, params=params)
        return other

    def remember(self) -> None:
        """Keep a copy of the state in which the call begins: weights, optimizer, random state."""
        self.state = {"random": rng_state()}
        for name in stateful(self.names):
            self.state[name] = copy.deepcopy(self.names[name].state_dict())
        if self.function == "fit" and self.hooks.schedulers:
            states, groups = waiting(self.names["model"], len(self.hooks.schedulers))
            self.state |= copy.deepcopy(dict(zip(self.hooks.schedulers, states, strict=False)))
            for group, saved in zip(self.state["optimizer"]["param_groups"], groups, strict=False):
                group.update(saved)
        self.began = {n: detached(callback) for n, callback in self.hooks.callbacks.items()}
        self.parts = Parts(self.names, self.hooks.callbacks)
        loaded = getattr(self.names.get("model"), "loaded", {}).get("parts", {})
        found = {code: part_state(part) for code, part in self.parts.found().items()}
        waiting_states = {code: state for code, state in loaded.items() if code in found}
        self.state["parts"] = copy.deepcopy(found | waiting_states)

    def numbers_before(self) -> dict[str, Any]:
        """The numbers that have changed since the call began, as they were: of an attribute."""
        return {} if self.parts is None else self.parts.numbers_before()

    def _script(self) -> tuple[str, dict[str, Any]]:
        """The script's text, and the data for the file beside it."""
        if self.state is None:
            self.remember()
        assert self.state is not None
        script, source = Script(), self.source
        self.script_parts = script
        if callable(self.loop):
            script.copy(self.loop)
            source = call_of(self.loop)
        nodes = ast.walk(ast.parse(source))
        used = {node.id for node in nodes if isinstance(node, ast.Name)}
        tools = {**TOOLS, **self.tools}
        for name in used & tools.keys():
            script.tool(name, tools[name])
        own = self.loop is not None and self.function == "fit"
        if self.hooks.schedulers or self.hooks.callbacks or self.above or own:
            used.add("optimizer")  # its settings are compared, also where no line names it
        script.settings()
        for name in script.in_turn(self.names):
            value = self.names[name]
            if name in used and name != "model":
                script.make(name, own_metric(self.began.get(name, value)))
        script.restore(self.state, self.numbers_before())
        script.check(self.state)
        if "dist" in used:
            script.join()
        if self.hooks.callbacks.keys() & used:
            script.attach(self.hooks, self.parts.found() if self.parts else {})
        kept = {key: self.state[key] for key in self.state if key in script.restored_keys}
        return script.render(self.title, source), {**kept, **script.saved}

    # ---- how it looks

    def __str__(self) -> str:
        return self.source

    def __repr__(self) -> str:
        return self.source.rstrip()

    def _repr_html_(self) -> str:
        from tutorial.display.highlight import highlighted

        if self.as_html is None or self.loop is not None:
            return highlighted(self.source)
        return self.as_html(self)


def unchanged(source: str) -> str:
    """The loop as it is: not written out further."""
    return source


@lru_cache(maxsize=256)
def compiled(function: str, source: str) -> CodeType:
    """The code of a program, known to tracebacks, `pdb` and `inspect` by a file name of its own."""
    file = f"<unrolled {function} {sha256(source.encode()).hexdigest()[:8]}>"
    linecache.cache[file] = (len(source), None, source.splitlines(keepends=True), file)
    return compile(source, file, "exec")


def names_fit(function: Callable[..., Any], namespace: Mapping[str, Any]) -> None:
    """Refuse a function that asks for what the loop does not have."""
    wanted = inspect.signature(function).parameters
    missing = [name for name, p in wanted.items() if name not in namespace and p.default is p.empty]
    if missing:
        raise TypeError(
            f"loop: {function.__name__} asks for {', '.join(missing)}, but a loop is given only "
            f"{', '.join(name for name in namespace if name not in TOOLS)}."
        )


def call_of(function: Callable[..., Any]) -> str:
    """The line that calls the student's function."""
    return (
        f"step_losses = {function.__name__}({', '.join(inspect.signature(function).parameters)})\n"
    )


def call_by_names(function: Callable[..., Any], namespace: Mapping[str, Any]) -> Any:
    """Call the student's function with those of the loop's names that are its parameters."""
    wanted = inspect.signature(function).parameters
    return function(**{name: namespace[name] for name in wanted if name in namespace})


@contextmanager
def as_it_was_unless_trained(
    namespace: Mapping[str, Any], code: CodeType | Callable[..., Any]
) -> Iterator[None]:
    """After an error before the first loss, the model is as it was.

    It still has what the last fit has left, what `load` has read, and its learning rates. Of a
    function that trains it is not known how far it came; nor of a loop without a `loss`.
    """
    model, optimizer = namespace["model"], namespace.get("optimizer")
    groups = [] if optimizer is None else optimizer.param_groups
    remembered, settings = dict(vars(model)), [dict(group) for group in groups]
    names_loss = isinstance(code, CodeType) and "loss" in code.co_names
    try:
        yield
    except BaseException:
        if names_loss and "loss" not in namespace and not namespace.get("step_losses"):
            vars(model).update(remembered)
            for group, before in zip(groups, settings, strict=True):
                group.clear()
                group.update(before)
        raise


def detached(callback: Any) -> Any:
    """A copy of a callback as it is now, without the model that it is attached to."""
    copied = copy.copy(callback)
    for name in ("model", "params"):
        vars(copied).pop(name, None)
    try:
        return copy.deepcopy(copied)
    except (TypeError, RuntimeError):  # such as an open file, or a tensor that has a gradient
        return copied


def history_of(
    namespace: Mapping[str, Any], interrupted: bool, began: dict[str, Any] | None = None
) -> History:
    """What a loop has noted until now."""
    noted, rows = namespace.get("step_losses") or [], namespace.get("rows", [])
    losses: list[float] = []
    try:
        losses = floats(noted)
    except RuntimeError:  # a device that failed gives nothing back
        pass
    except (TypeError, ValueError):
        raise TypeError(
            f"loop: step_losses is {short(noted)}, but a list with the loss of each step is "
            "expected: numbers, or tensors of shape ()."
        ) from None
    return History(losses, rows, interrupted, began)
