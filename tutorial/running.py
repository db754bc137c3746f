"""What belongs to a call stays in the call: a call inside another one changes nothing of it.

A call may begin while another one runs: in a callback that predicts, in a data set that asks a
teacher, in another thread. So each call that runs is noted here, with the objects it works on.
"""

import copy
import threading
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from torch import nn
from torch.utils.data import DataLoader

from tutorial.device import unchanged_randomness


@dataclass(eq=False)
class Run:
    """A call that runs.

    Attributes:
        method: of Model, such as 'fit'.
        names: what the call works on, by the names in its loop.
        aside: it runs beside a call of another thread, and draws none of that one's random numbers.
        thread: who runs it.
    """

    method: str
    names: dict[str, Any] = field(default_factory=dict)
    aside: bool = False
    thread: int = field(default_factory=threading.get_ident)

    @property
    def trains(self) -> bool:
        """Whether it changes weights."""
        return self.method in ("fit", "train_batch")


RUNNING: list[Run] = []  # in all threads, the oldest first
CHANGED = threading.Condition()  # RUNNING has changed
PATIENCE = 60.0  # seconds that a training waits for an evaluation in another thread


@contextmanager
def begun(method: str, names: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Note that a call runs, and give it objects of its own for those that other calls use.

    Metrics count in copies, and loaders draw from copies of their generators. Beside a call of
    another thread, callbacks note in copies, too, and the network is a view of the other one's.
    Afterwards each module has its mode of before; and of a call inside another one nothing is
    left: no gradient, no random number, no flag.

    Raises:
        RuntimeError: it trains, and so does a call of another thread with the same network.
    """
    run = Run(method)
    with CHANGED:
        around = [other for other in RUNNING if other.thread == run.thread]
        beside = [other for other in RUNNING if other.thread != run.thread]
        rivals = [o for o in beside if o.names.get("network") is names["network"]]
        if run.trains:
            refuse_two_trainings(method, rivals)
        used = {id(value) for other in RUNNING for value in other.names.values()}
        run.aside = not run.trains and any(not other.aside for other in beside)
        names = {name: own_metric(v) if id(v) in used else v for name, v in names.items()}
        if around or run.aside:
            names = {name: own_loader(value) for name, value in names.items()}
        if run.aside:
            names = set_aside(names, used, share=not rivals)
        run.names = dict(names)  # to which the loop adds its own
        RUNNING.append(run)
    try:
        if run.trains:
            wait_for(rivals)
        with modes_put_back(names["network"]), torch.enable_grad(), inside(around, run):
            if method == "fit":
                names["optimizer"].zero_grad()  # no gradient of an earlier call counts
            yield names
    finally:
        with CHANGED:
            RUNNING.remove(run)
            CHANGED.notify_all()


def refuse_two_trainings(method: str, rivals: list[Run]) -> None:
    """Refuse to train what another thread trains."""
    if any(other.trains for other in rivals):
        raise RuntimeError(
            f"{method}: this network is being trained in another thread already, and two trainings "
            "at once would change the same weights. Wait until that call has returned "
            "(thread.join()); to evaluate and to predict meanwhile is fine."
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
    value = copy.deepcopy(value)
    value.reset()
    return value


def own_loader(value: Any) -> Any:
    """A loader that shuffles as this one would, and leaves it as it is; anything else as it is."""
    if not isinstance(value, DataLoader):
        return value
    shared = [v for k, v in vars(value).items() if "sampler" not in k and k != "generator"]
    value = copy.deepcopy(value, {id(part): part for part in shared})  # such as the data
    value._iterator = None  # of workers that stay
    if value.generator is None:
        value.generator = torch.Generator()  # each pass draws a number for its workers
    return value


# ---- beside a call of another thread


def set_aside(names: dict[str, Any], used: set[int], share: bool) -> dict[str, Any]:
    """What a call works on beside one of another thread; with share, on the network itself."""
    own = dict(names)
    for name, value in names.items():
        if name in ("DataLoader", "Batches"):
            own[name] = partial(value, generator=torch.Generator())
        elif id(value) in used and hasattr(value, "set_params"):
            own[name] = copy.copy(value)
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
    return copy.deepcopy(network, memo)


def randomness_kept() -> AbstractContextManager[None]:
    """Random numbers go on afterwards as if none had been drawn inside.

    Not where another thread draws some meanwhile: it would draw the same ones again.
    """
    here = threading.get_ident()
    alone = all(other.aside or other.thread == here for other in RUNNING)
    return unchanged_randomness() if alone else nullcontext()


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
    put_back = [
        *attributes_kept(around, run),
        *([gradients_kept(run.names["optimizer"])] if run.method == "fit" else []),
        randomness_kept(),
    ]
    with ExitStack() as stack:
        for kept in put_back:
            stack.enter_context(kept)
        yield


def attributes_kept(around: list[Run], run: Run) -> Iterator[AbstractContextManager[None]]:
    """The model knows the callbacks around this call; callbacks given to both, their training."""
    attached = [value for value in run.names.values() if hasattr(value, "set_params")]
    used = {id(value) for other in around for value in other.names.values()}
    for callback in attached:
        if id(callback) in used:
            yield values_kept(callback, (*callback.state_attributes, "model", "params", "in_fit"))
    if attached or run.method == "fit":
        yield values_kept(run.names["model"], OF_THE_LAST_FIT)


OF_THE_LAST_FIT = ("stop_training", "callbacks", "schedulers", "generators", "history")


@contextmanager
def values_kept(owner: Any, names: Iterable[str]) -> Iterator[None]:
    """Afterwards the owner's attributes of these names are as they were, or missing as before."""
    have = {name: value for name, value in vars(owner).items() if name in names}
    have = {n: copy.copy(v) if isinstance(v, list | dict) else v for n, v in have.items()}
    try:
        yield
    finally:
        for name in names:
            vars(owner).pop(name, None)
        vars(owner).update(have)


@contextmanager
def gradients_kept(optimizer: torch.optim.Optimizer) -> Iterator[None]:
    """No gradients inside; afterwards those of before, such as half of an accumulated one."""
    weights = [weight for group in optimizer.param_groups for weight in group["params"]]
    gradients = [weight.grad for weight in weights]
    optimizer.zero_grad()
    try:
        yield
    finally:
        for weight, gradient in zip(weights, gradients, strict=True):
            weight.grad = gradient


# ---- who is told of calls


class Watcher:
    """Is told of each run that begins in this context, and can refuse it by raising an error."""

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
