"""Bad input is refused here, before anything is trained, changed or lost.

Each message names the argument, the value seen, what was expected, and the fix.
"""

import inspect
import math
import os
import re
import sys
import tempfile
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import MappingProxyType
from typing import Any

import torch
from torch import nn
from torch.nn.parameter import is_lazy

from tutorial.parameters import short
from tutorial.tracebacks import is_users

OWN_LOOP = """\
but the loop of fit takes steps of one. For a GAN, an actor and a critic, or others that take turns,
write the loop yourself. fit runs it; unroll("fit", train_data, loop=train) saves and verifies it:

    def train(network, train_data):
        first = torch.optim.Adam(network.generator.parameters())
        second = torch.optim.Adam(network.discriminator.parameters())
        step_losses = []
        for x, y in DataLoader(train_data, batch_size=64, shuffle=True):
            ...  # losses, backward(), first.step(), second.step(), zero_grad()
            step_losses.append(loss.item())
        return step_losses

    model.fit(train_data, loop=train)"""


def warn(message: str) -> None:
    """Warn, at the line of the user's own that made the call."""
    level, frame = 2, sys._getframe(1)
    while frame.f_back is not None and not is_users(frame.f_code.co_filename):
        level, frame = level + 1, frame.f_back
    warnings.warn(message, stacklevel=level)


ONE_STEP = (
    "the loop of fit takes one step for each loss. Choose another one, such as torch.optim.Adam; "
    "or write the loop yourself, def train(network, optimizer, loss_fn, train_data), and call "
    "model.fit(train_data, loop=train)."
)


def made_of_class(name: str, value: Any, arguments: str = "") -> None:
    """Refuse a class where an object of it is meant: a pair of brackets is missing."""
    if isinstance(value, type):
        kind = value.__name__
        raise TypeError(
            f"{name} is the class {kind}, but an instance is expected: {kind}({arguments})."
        )


def optimizer_fits(optimizer: Any) -> None:
    """Refuse what is no optimizer, or one that a plain loop cannot step."""
    made_of_class("optimizer", optimizer, "model.parameters(), lr=1e-3")
    several = list(optimizer.values()) if isinstance(optimizer, Mapping) else optimizer
    listed = isinstance(several, list | tuple) and len(several) > 0
    if listed and all(isinstance(each, torch.optim.Optimizer) for each in several):
        kind = type(optimizer).__name__
        raise TypeError(f"optimizer is a {kind} of {len(optimizer)} optimizers, {OWN_LOOP}")
    if not isinstance(optimizer, torch.optim.Optimizer):
        raise TypeError(
            f"optimizer is {short(optimizer)}, but a torch.optim optimizer is expected, such as "
            "torch.optim.Adam(model.parameters(), lr=1e-3)."
        )
    closure = inspect.signature(type(optimizer).step).parameters.get("closure")
    if closure is not None and closure.default is closure.empty:
        raise ValueError(
            f"optimizer is {type(optimizer).__name__}, which computes the loss several times in a "
            f"step and needs a closure for that; {ONE_STEP}"
        )


def metric_fits(metric: Any) -> None:
    """Refuse what cannot measure."""
    made_of_class("a metric", metric)
    if any(not hasattr(metric, verb) for verb in ("reset", "update", "compute")):
        raise TypeError(
            f"metrics holds {short(metric)}, but objects with reset(), update(y_hat, y) and "
            "compute() are expected, such as tutorial.metrics.Accuracy()."
        )


def names_differ(names: Sequence[str], metrics: Mapping[str, Any] = MappingProxyType({})) -> None:
    """Refuse two values of one name: one would hide the other.

    Args:
        names: under which losses of several outputs, or parts of a loss, and metrics report.
        metrics: those behind the names.
    """
    for name in names:
        evaluated = name.removeprefix("eval_") if name.startswith("eval_") else None
        if [*names, "loss", "epoch", "batch_size"].count(name) > 1 or evaluated in (*names, "loss"):
            fix = 'Accuracy(name="top1")'
            if hasattr(metrics.get(name), "dist_sync_on_step"):  # torchmetrics' have no name
                fix = 'torchmetrics.MetricCollection({"top1": ..., "top5": ...})'
            raise ValueError(
                f"there would be two values as {name!r}, but each name can stand once, beside "
                "'loss', 'epoch' and 'batch_size', and the same with 'eval_' before it for "
                f"evaluations. Give one of them a name of its own: {fix}, or another key in a "
                "dict of losses."
            )


def specs_differ(inputs: Sequence[Any], labels: Sequence[Any], reserved: set[str]) -> None:
    """Refuse two inputs of one name, two labels, or a name that the loop uses for something else.

    An input and a label of one name are one part of a batch, which is both.
    """
    for name in [spec.name for spec in (*inputs, *labels) if spec.name is not None]:
        twice = any([spec.name for spec in specs].count(name) > 1 for specs in (inputs, labels))
        if twice or name in reserved:
            why = "twice" if twice else "for something else in the loop"
            raise ValueError(
                f"an input or label has the name {name!r}, which is used {why}. Choose another "
                "one: InputSpec(shape, name=...)."
            )


def loss_given(loss_fns: Mapping[str, Any]) -> None:
    """Refuse to measure without a loss."""
    if not loss_fns:
        raise ValueError(
            "the model has no loss. Call model.prepare(loss=nn.CrossEntropyLoss()) before."
        )


def measurable(loss_fns: Mapping[str, Any], metrics: Mapping[str, Any]) -> None:
    """Refuse to measure with neither a loss nor a metric."""
    if not loss_fns and not metrics:
        raise ValueError(
            "the model has no loss and no metric, so there is nothing to measure. Call "
            "model.prepare(loss=nn.CrossEntropyLoss(), metrics=tutorial.metrics.Accuracy()) before."
        )


def loss_fits(loss_fn: Any) -> None:
    """Refuse what cannot be called with predictions and labels."""
    if not callable(loss_fn):
        raise TypeError(
            f"loss is {short(loss_fn)}, but a callable loss(y_hat, y) is expected, such as "
            "nn.CrossEntropyLoss(); for several outputs a list or dict of them."
        )
    made_of_class("loss", loss_fn)


def loop_given(loop: Any, method: str) -> None:
    """Refuse a loop that cannot run, or is of another method."""
    if getattr(loop, "function", method) != method:
        raise ValueError(
            f"loop is the program of {loop.title}, but one of model.{method} is expected: "
            f'model.unroll("{method}", ...).'
        )
    if (
        loop is not None
        and not isinstance(loop, str)
        and not callable(loop)
        and not hasattr(loop, "source")
    ):
        raise TypeError(
            f"loop is {short(loop)}, but a Program, its source as text, or a function is expected."
        )
    if re.search(r"= Batches\(\w+, \w+_order\)", str(getattr(loop, "source", loop))):
        raise ValueError(
            "loop is a program of depth 'numpy', which trains arrays and no network of PyTorch's. "
            "Hand back one of depth 'loop', 'optimizer' or 'gradients'; to run a changed one in "
            "NumPy, save it, and change the file: program.save('fit_numpy.py')."
        )
    if isinstance(loop, str):
        if loop.endswith(".py"):
            raise ValueError(
                f"loop is {short(loop)}, but the source itself is expected, not the name of its "
                f"file: loop=Path({loop!r}).read_text()."
            )
        try:
            compile(loop, "<loop>", "exec")
        except SyntaxError as error:
            raise ValueError(
                f"loop is not valid Python: line {error.lineno}: {error.msg}: "
                f"{(error.text or '').strip()!r}."
            ) from error


def save_dir_given(save_dir: Any) -> None:
    """Refuse to resume where no checkpoint is left."""
    if save_dir is None:
        raise ValueError(
            "resume=True needs save_dir, the directory with the checkpoints: "
            'fit(..., save_dir="checkpoints", resume=True).'
        )


def writable(name: str, path: Path, is_file: bool = False) -> None:
    """Refuse a place where no file can be written: it is tried, and leaves no trace."""
    folder = path.parent if is_file else path
    what, example = ("file", f"my_file{path.suffix}") if is_file else ("directory", "checkpoints")
    seen, fix = f"{name} is {short(str(path))}, but", f"Give another one, such as {example!r}."
    try:
        for place in (folder, *folder.parents):
            if place.exists() and not place.is_dir():
                raise NotADirectoryError(
                    f"{seen} {str(place)!r} is a file, and the name of a directory is expected. "
                    f"{fix}"
                )
        if is_file and path.is_dir():
            raise IsADirectoryError(f"{seen} that is a directory, and a file is expected. {fix}")
        with made_for_now(folder):
            tempfile.TemporaryFile(dir=folder).close()
            (folder / f".{path.name}.{os.getpid()}").exists()  # too long, perhaps
    except OSError as error:
        if error.strerror is None:  # it is one of the above
            raise
        raise type(error)(
            f"{seen} this {what} cannot be written: {error.strerror}. {fix}"
        ) from error


@contextmanager
def made_for_now(folder: Path) -> Iterator[None]:
    """Inside, there is such a directory; those that were missing are gone again afterwards."""
    missing = [place for place in (folder, *folder.parents) if not os.path.exists(place)]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        yield
    finally:
        for place in missing:
            with suppress(OSError):  # it was not made, or somebody else uses it by now
                place.rmdir()


def on_a_device(network: nn.Module) -> None:
    """Refuse weights of which there is only the shape."""
    for name, part in (*network.named_parameters(), *network.named_buffers()):
        if part.is_meta:
            raise ValueError(
                f"network: {name} is on the device 'meta', where tensors have a shape and no "
                "values. Make the network without device='meta'."
            )


def made(network: nn.Module) -> None:
    """Refuse lazy layers whose weights do not exist yet: there is no state to begin from."""
    lazy = [name for name, weight in network.named_parameters() if is_lazy(weight)]
    if lazy:
        raise ValueError(
            f"{lazy[0]} has no values yet, as its layer is a lazy one that takes its size from the "
            "first input. Call the network once, network(x), before the optimizer is made."
        )


def trainable(network: nn.Module, optimizer: Any, loss_fns: Mapping[str, Any]) -> None:
    """Refuse to train without an optimizer, a loss, or an optimizer that moves the network."""
    if optimizer is None:
        raise ValueError(
            "the model has no optimizer. Call model.prepare(optimizer=torch.optim.Adam("
            "model.parameters()), loss=nn.CrossEntropyLoss()) before training."
        )
    loss_given(loss_fns)
    if not any(weight.requires_grad for weight in network.parameters()):
        raise ValueError(
            "the network has no trainable parameters: all are frozen (requires_grad=False), or "
            "there are none. Let some learn: network.requires_grad_(True). Layers in a Python list "
            "do not count: nn.ModuleList."
        )
    for name, weight in network.named_parameters():
        if weight.is_inference():
            raise ValueError(
                f"network: {name} was made under torch.inference_mode(), where no gradient is "
                "ever computed. Make the network outside of it."
            )
    held = {id(weight) for group in optimizer.param_groups for weight in group["params"]}
    forgotten = [
        name
        for name, weight in network.named_parameters()
        if weight.requires_grad and id(weight) not in held
    ]
    if forgotten:
        raise ValueError(
            f"the optimizer does not hold {len(forgotten)} of the network's parameters "
            f"({', '.join(forgotten[:3])}{', ...' if len(forgotten) > 3 else ''}), so they would "
            "never learn. Make it with this network's model.parameters(), or freeze what is not "
            "to learn: weight.requires_grad_(False)."
        )
    for group in optimizer.param_groups:
        if isinstance(lr := group.get("lr"), float) and not math.isfinite(lr):
            raise ValueError(
                f"the optimizer has the learning rate {lr}, but a finite number is "
                "expected, such as lr=1e-3."
            )


def scheduler_fits(scheduler: Any, optimizer: Any) -> None:
    """Refuse a scheduler that would change the learning rate of another optimizer."""
    groups = [id(group) for group in optimizer.param_groups]
    if not any(id(group) in groups for group in scheduler.optimizer.param_groups):
        kind = type(scheduler).__name__
        raise ValueError(
            f"callbacks: the {kind} of LRScheduler was made for another optimizer than the model "
            "has now, so the learning rate would stay as it is. Make it after prepare, and for "
            f"this one: {kind}(model.optimizer, ...)."
        )


def schedule_lasts(scheduler: Any, taken: int | None, steps: int | None) -> None:
    """Refuse a OneCycleLR that ends before the training does.

    Args:
        scheduler: it, or one that is made of several.
        taken: the steps that it has taken; None if each of its parts knows for itself.
        steps: those that it is to take; None if that is not known.
    """
    if steps is None:
        return
    for part, last in parts_of_schedule(scheduler, taken, steps):
        total = getattr(part, "total_steps", last)
        if isinstance(part, torch.optim.lr_scheduler.OneCycleLR) and last > total:
            before = f", after {taken} that it has taken already" if taken else ""
            raise ValueError(
                f"callbacks: OneCycleLR has total_steps={total}, but this training steps the "
                f"scheduler {steps} times{before}. Make it with total_steps={last}, "
                "or train for fewer epochs."
            )


def parts_of_schedule(scheduler: Any, taken: int | None, steps: int) -> Iterator[tuple[Any, int]]:
    """A scheduler, or those that it is made of, each with the number of its last step."""
    parts = getattr(scheduler, "_schedulers", None)
    if parts is None:
        yield scheduler, (taken or 0) + steps
    elif not hasattr(scheduler, "_milestones"):  # chained: all step each time
        for part in parts:
            yield from parts_of_schedule(part, part.last_epoch, steps)
    else:  # one after the other
        last = (taken or 0) + steps
        ends = [*scheduler._milestones, last + 1]
        for part, begin, end in zip(parts, [0, *scheduler._milestones], ends, strict=True):
            yield part, min(last, end - 1) - begin


def losses_average(losses: Sequence[str], sharded: bool) -> None:
    """Refuse a loss that learns where its gradients cannot be averaged over the processes."""
    inner = [loss for loss in losses if not loss.isidentifier()]
    if sharded or inner:
        raise ValueError(
            f"{(inner or losses)[0]} has weights that learn, and several processes cannot train "
            f"them {'beside sharded weights' if sharded else 'inside an object that is no module'}."
            " Make the loss an nn.Module that holds them, and leave out shard=True; or put these "
            "weights into the network."
        )


def warn_foreign_parameters(
    network: nn.Module, optimizer: torch.optim.Optimizer, losses: Mapping[str, nn.Module]
) -> None:
    """Warn of an optimizer that holds what is not the network's, or not all of a loss that learns.

    Args:
        network: the network.
        optimizer: what is to train it.
        losses: the modules of the losses, by the code that leads to each.
    """
    held = {id(weight) for group in optimizer.param_groups for weight in group["params"]}
    for code, loss in losses.items():
        left = [
            f"{name}.{weight}".lstrip(".")
            for name, module in loss.named_modules()
            if module.training  # else it only looks, as a teacher does
            for weight, value in module.named_parameters(recurse=False)
            if value.requires_grad and id(value) not in held
        ]
        if left:
            warn(
                f"{code} has weights that the optimizer does not hold ({', '.join(left[:3])}"
                f"{', ...' if len(left) > 3 else ''}): they will not learn. Give them to the "
                "optimizer, [*model.parameters(), *loss.parameters()], or freeze them: "
                "loss.requires_grad_(False)."
            )
    own = {id(weight) for module in (network, *losses.values()) for weight in module.parameters()}
    others = [w for group in optimizer.param_groups for w in group["params"] if id(w) not in own]
    if others:
        warn(
            f"the optimizer holds {len(others)} parameters that are not the network's: they get no "
            "gradient from it, and do not learn. Was the optimizer made for another network? Make "
            "it with model.parameters()."
        )


def metrics_add_up(metrics: Mapping[str, Any]) -> None:
    """Refuse a metric of which it is not known how the counts of several processes add up."""
    for metric in metrics.values():
        known = getattr(metric, "sums", ()) or getattr(metric, "joined", ())
        parts = metric.modules() if isinstance(metric, nn.Module) else ()  # of a MetricCollection
        if not known and not any(hasattr(part, "dist_sync_on_step") for part in parts):
            kind = type(metric).__name__
            raise TypeError(
                f"metrics holds {kind}, but of a metric for several processes it must be known "
                "which of its numbers add up. Name these attributes in its class: "
                f'class {kind}: sums = ("correct", "total").'
            )


def one_process(what: str, processes: int) -> None:
    """Refuse what only makes sense in one process."""
    if processes > 1:
        raise ValueError(
            f"{what}: {processes} processes train together, but one is expected. Do it in a script "
            "that runs alone."
        )


def shape_of(tensor: torch.Tensor) -> tuple[int, ...]:
    """The shape as a plain tuple, as messages show it."""
    return tuple(tensor.shape)


def kinds_of(values: Sequence[Any]) -> str:
    """What several values are; of many, the first ones."""
    shown = [kind_of(value) for value in values[:4]]
    more = [f"{len(values) - 4} more"] if len(values) > 4 else []
    return " and ".join([*shown, *more]) or "none"


def kind_of(value: Any) -> str:
    """What a value is, in a few words."""
    if value is None or isinstance(value, str | bytes | int | float):
        return repr(value)
    if isinstance(value, type):
        return f"the class {value.__name__}"
    if isinstance(value, torch.Tensor):
        return f"a tensor of shape {shape_of(value)} and {value.dtype}"
    if isinstance(value, list | tuple):
        return f"a {type(value).__name__} of {len(value)}"
    return f"a {type(value).__name__}"
