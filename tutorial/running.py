"""What belongs to a call stays in the call: a call inside another one changes nothing of it.

A call may begin while another one runs: in a callback that predicts, in a data set that asks a
teacher, in another thread. So each call that runs is noted here, with the objects it works on.
"""

import copy
import threading
from collections.abc import Collection, Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from torch import nn
from torch.utils.data import DataLoader

from tutorial.data.batches import Batches
from tutorial.device import rng_state, set_rng_state


@dataclass(eq=False)
class Run:
    """A call that runs.

    Attributes:
        method: of Model, such as 'fit'.
        names: what the call works on, by the names in its loop.
        places: the files and directories into which it writes.
        aside: it runs beside a call of another thread, and draws none of that one's random numbers.
        thread: who runs it.
    """

    method: str
    names: dict[str, Any] = field(default_factory=dict)
    places: Collection[str] = ()
    aside: bool = False
    thread: int = field(default_factory=threading.get_ident)

    @property
    def trains(self) -> bool:
        """Whether it changes weights."""
        return self.method in ("fit", "train_batch")

    def has_a_part_of(self, network: nn.Module) -> bool:
        """Whether it works on one of this network's modules, such as all of it."""
        return not set(network.modules()).isdisjoint(self.names["network"].modules())


RUNNING: list[Run] = []  # in all threads, the oldest first
CHANGED = threading.Condition()  # RUNNING has changed
PATIENCE = 60.0  # seconds that a training waits for an evaluation in another thread


@contextmanager
def begun(
    method: str, names: dict[str, Any], places: Collection[str] = ()
) -> Iterator[dict[str, Any]]:
    """Note that a call runs, and give it objects of its own for those that other calls use.

    Metrics count in copies, callbacks note in copies, and loaders draw from copies of their
    generators. Beside a call of another thread, the network is a view of the other one's.
    Afterwards each module has its mode of before; and of a call inside another one nothing is
    left: no gradient, no random number, no flag.

    Raises:
        RuntimeError: it trains, and so does a call of another thread with a part of the network; or
            it writes where another one does.
    """
    run = Run(method, places=places)
    with CHANGED:
        around = [other for other in RUNNING if other.thread == run.thread]
        beside = [other for other in RUNNING if other.thread != run.thread]
        rivals = [other for other in beside if other.has_a_part_of(names["network"])]
        if run.trains:
            refuse_two_trainings(method, rivals)
        refuse_two_writers(method, places)
        used = {id(value) for other in RUNNING for value in other.names.values()}
        run.aside = not run.trains and any(not other.aside for other in beside)
        for name in [name for name, value in names.items() if id(value) in used]:
            names = names | {name: own_callback(own_metric(names[name]))}
        if around or run.aside:
            names = {name: own_loader(value, run.aside) for name, value in names.items()}
        if run.aside:
            names = set_aside(names, share=not rivals)
        run.names = dict(names)  # to which the loop adds its own
        RUNNING.append(run)
    try:
        if run.trains:
            wait_for(rivals)
        with modes_put_back(names["network"]), gradients_on(), inside(around, run):
            if method == "fit":
                forget_gradients(names)  # no gradient of an earlier call counts
            yield names
    finally:
        with CHANGED:
            RUNNING.remove(run)
            CHANGED.notify_all()


@contextmanager
def gradients_on() -> Iterator[None]:
    """Inside, gradients are computed, also where an earlier cell has switched them off."""
    with torch.inference_mode(False), torch.enable_grad():
        yield


def refuse_two_trainings(method: str, rivals: list[Run]) -> None:
    """Refuse to train what another thread trains."""
    if any(other.trains for other in rivals):
        raise RuntimeError(
            f"{method}: this network, or a part of it, is being trained in another thread already, "
            "and two trainings at once would change the same weights. Wait until that call has "
            "returned (thread.join()); to evaluate and to predict meanwhile is fine."
        )


def refuse_two_writers(method: str, places: Collection[str]) -> None:
    """Refuse to write where a call that runs writes, too."""
    for place in [place for other in RUNNING for place in other.places if place in places]:
        raise RuntimeError(
            f"{method}: another fit that is running writes into {place!r}, too, and each would "
            "replace the other's files. Give this one another save_dir, log_dir or path."
        )


def wait_for(runs: list[Run]) -> None:
    """Wait until these have ended; what begins meanwhile does so on a view."""
    with CHANGED:
        if not CHANGED.wait_for(lambda: not set(runs) & set(RUNNING), PATIENCE):
            raise RuntimeError(
                f"fit: another thread evaluates this network since {PATIENCE:.0f} seconds, and a "
                "training would change its mode. Wait until that call has returned."
            )


def own_metric(value: Any) -> Any:
    """A metric as if it was never used; anything else as it is."""
    if not (hasattr(value, "reset") and hasattr(value, "update") and hasattr(value, "compute")):
        return value
    value = own_copy(value, {})
    value.reset()
    return value


def own_callback(value: Any) -> Any:
    """A callback that begins as this one is, and leaves it as it is; anything else as it is."""
    if not hasattr(value, "set_params"):
        return value
    value = copy.copy(value)
    for name in vars(value).keys() & value.state_attributes:
        setattr(value, name, own_copy(getattr(value, name), {}))
    return value


LOADERS = (DataLoader, Batches)


def own_loader(value: Any, aside: bool) -> Any:
    """A loader that shuffles as this one would, and leaves it as it is; anything else as it is.

    Args:
        value: the loader.
        aside: whether it leaves PyTorch's own generator as it is, too.
    """
    if not isinstance(value, LOADERS):
        return value
    shared = [v for k, v in vars(value).items() if "sampler" not in k and k != "generator"]
    value = own_copy(value, {id(part): part for part in shared})  # such as the data
    if isinstance(value, DataLoader):
        value._iterator = None  # of workers that stay
    for part in parts_that_draw(value).values() if aside else ():
        if hasattr(part, "generator") and part.generator is None:
            part.generator = torch.Generator()
    return value


def parts_that_draw(loader: Any) -> dict[str, Any]:
    """A loader and its samplers, by where they stand in it: each may have a generator."""
    batches = getattr(loader, "batch_sampler", None)
    return {
        "": loader,
        "sampler.": getattr(loader, "sampler", None),
        "batch_sampler.": batches,
        "batch_sampler.sampler.": getattr(batches, "sampler", None),
    }


def own_copy(value: Any, memo: dict[int, Any]) -> Any:
    """A copy; in it, the parts in memo are the same, and what has no copy, such as a lock."""
    if id(value) not in memo:
        with suppress(TypeError, RuntimeError):
            memo[id(value)] = copy.deepcopy(value, dict(memo))
    if id(value) not in memo:  # part by part, then
        memo[id(value)] = value
        with suppress(TypeError, RuntimeError):
            memo[id(value)] = own = copy.copy(value)
            parts = own if isinstance(own, dict) else vars(own)
            parts.update({name: own_copy(part, memo) for name, part in parts.items()})
    return memo[id(value)]


# ---- beside a call of another thread


def set_aside(names: dict[str, Any], share: bool) -> dict[str, Any]:
    """What a call works on beside one of another thread; with share, on the network itself."""
    own = dict(names)
    for name in names.keys() & {"DataLoader", "Batches"}:
        own[name] = partial(names[name], generator=torch.Generator())
    if not share:
        own["network"] = view(names["network"])
    if "model" in names:  # to which the callbacks are attached
        own["model"] = copy.copy(names["model"])
        own["model"].network = own["network"]
    return own


def view(network: nn.Module) -> nn.Module:
    """A network of the same tensors, with modes of its own."""
    parts = [
        part
        for module in network.modules()
        for held in (module._parameters, module._buffers, vars(module))
        for part in list(held.values())
    ]
    memo = {id(part): part for part in parts if isinstance(part, torch.Tensor)}
    view: nn.Module = own_copy(network, memo)
    return view


def runs_beside() -> bool:
    """Whether a call of another thread runs."""
    here = threading.get_ident()
    return any(run.thread != here for run in RUNNING)


@contextmanager
def randomness_kept() -> Iterator[None]:
    """Random numbers go on afterwards as if none had been drawn inside.

    Not where another thread draws some meanwhile: it would draw the same ones again.
    """
    here, state = threading.get_ident(), rng_state()

    def alone() -> bool:
        return all(other.aside or other.thread == here for other in RUNNING)

    was_alone = alone()
    try:
        yield
    finally:
        if was_alone and alone():
            set_rng_state(state)


@contextmanager
def in_evaluation_mode(**names: Any) -> Iterator[dict[str, Any]]:
    """To look at a network: nothing changes by what is done inside with what these are then."""
    with begun("predict_batch", names) as own, randomness_kept():
        own["network"].eval()
        yield own


# ---- inside another call of this thread


@contextmanager
def modes_put_back(network: nn.Module) -> Iterator[None]:
    """Each module is afterwards in the mode in which it was before: training or evaluation."""
    modes = {module: module.training for module in network.modules()}
    try:
        yield
    finally:
        for module, mode in modes.items():
            module.training = mode


@contextmanager
def inside(around: list[Run], run: Run) -> Iterator[None]:
    """Of a call inside others, nothing is left: what they go on with is as it was."""
    if not around:
        yield
        return
    with ExitStack() as stack:
        model = run.names.get("model")
        if model in [other.names["model"] for other in around if "model" in other.names]:
            stack.enter_context(of_the_last_fit_kept(model))
        if run.trains:
            stack.enter_context(gradients_kept(weights_of_others(around, run)))
        for kind in filter(torch.is_autocast_enabled, ("cpu", "cuda", "mps")):
            stack.enter_context(torch.autocast(kind, enabled=False))
        stack.enter_context(randomness_kept())
        yield


OF_THE_LAST_FIT = (
    *("stop_training", "callbacks", "schedulers", "stateful", "history", "loaded"),
    "called_with",
)


@contextmanager
def of_the_last_fit_kept(model: Any) -> Iterator[None]:
    """Afterwards the model has what the last fit left, or the one around this call has attached."""
    have = {name: value for name, value in vars(model).items() if name in OF_THE_LAST_FIT}
    try:
        yield
    finally:
        vars(model).update(have)


def weights_of_others(around: list[Run], run: Run) -> set[torch.Tensor]:
    """The weights whose gradients are none of this training's business."""
    others = {weight for other in around for weight in other.names["network"].parameters()}
    optimizer = run.names.get("optimizer")
    groups = [{"params": run.names["network"].parameters()}]
    groups = groups if optimizer is None else optimizer.param_groups
    own = {weight for group in groups for weight in group["params"]}
    # A fit begins without gradients; train_batch(update=False) adds to those that there are.
    return others | own if run.method == "fit" else others - own


def forget_gradients(names: dict[str, Any]) -> None:
    """Leave no gradient; a loop of one's own may have optimizers that are not known here."""
    names.get("optimizer", names["network"]).zero_grad()


@contextmanager
def gradients_kept(weights: Iterable[torch.Tensor]) -> Iterator[None]:
    """No gradients inside; afterwards those of before, such as half of an accumulated one."""
    gradients = [(weight, weight.grad) for weight in weights]
    for weight, _ in gradients:
        weight.grad = None
    try:
        yield
    finally:
        for weight, gradient in gradients:
            weight.grad = gradient


# ---- who is told of calls


class Watcher:
    """Is told of each run that begins in this context, and can refuse it by raising an error.

    Attributes:
        runs: whether calls are to run, and not only to be looked at on copies.
    """

    runs = True

    def begins(self, method: str) -> None:
        """A call of this method of Model is about to run."""

    def ended(self, method: str, result: Any) -> None:
        """It gave this result."""


NOBODY = Watcher()
WATCHER: ContextVar[Watcher] = ContextVar("watcher", default=NOBODY)


@contextmanager
def watched_by(watcher: Watcher) -> Iterator[None]:
    """Inside, in this context alone, the watcher is told of each run."""
    token = WATCHER.set(watcher)
    try:
        yield
    finally:
        WATCHER.reset(token)
