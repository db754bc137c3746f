"""Bad input is refused here, before anything is trained, changed or lost.

Each message names the argument, the value seen, what was expected, and the fix.
"""

import inspect
import os
import sys
import warnings
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.nn.parameter import is_lazy

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


LIBRARY = str(Path(__file__).parent)


def warn(message: str) -> None:
    """Warn, at the line of the user's own that made the call."""
    level, frame = 2, sys._getframe(1)
    while frame.f_back is not None and frame.f_code.co_filename.startswith(LIBRARY):
        level, frame = level + 1, frame.f_back
    warnings.warn(message, stacklevel=level)


ONE_STEP = (
    "the loop of fit takes one step for each loss. Choose another one, such as torch.optim.Adam; "
    "or write the loop yourself, def train(network, optimizer, loss_fn, train_data), and call "
    "model.fit(train_data, loop=train)."
)


def optimizer_fits(optimizer: Any) -> None:
    """Refuse what is no optimizer, or one that a plain loop cannot step."""
    several = optimizer.values() if isinstance(optimizer, Mapping) else optimizer
    if isinstance(several, Iterable) and all(isinstance(o, torch.optim.Optimizer) for o in several):
        kind = type(optimizer).__name__
        raise TypeError(f"optimizer is a {kind} of {len(optimizer)} optimizers, {OWN_LOOP}")
    if not isinstance(optimizer, torch.optim.Optimizer):
        raise TypeError(
            f"optimizer is {optimizer!r}, but a torch.optim optimizer is expected, such as "
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
    missing = [verb for verb in ("reset", "update", "compute") if not hasattr(metric, verb)]
    if missing or isinstance(metric, type):
        raise TypeError(
            f"metrics holds {metric!r}, but objects with reset(), update(y_hat, y) and compute() "
            "are expected, such as tutorial.metrics.Accuracy()."
        )


def names_differ(names: Sequence[str]) -> None:
    """Refuse two values of one name: one would hide the other.

    Args:
        names: under which losses of several outputs, or parts of a loss, and metrics report.
    """
    for name in names:
        evaluated = name.removeprefix("eval_") if name.startswith("eval_") else None
        if [*names, "loss", "epoch", "batch_size"].count(name) > 1 or evaluated in (*names, "loss"):
            raise ValueError(
                f"there would be two values as {name!r}, but each name can stand once, beside "
                "'loss', 'epoch' and 'batch_size', and the same with 'eval_' before it for "
                'evaluations. Give one of them a name of its own: Accuracy(name="top1"), or '
                "another key in a dict of losses."
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
            f"loss is {loss_fn!r}, but a callable loss(y_hat, y) is expected, such as "
            "nn.CrossEntropyLoss(); for several outputs a list or dict of them."
        )
    if isinstance(loss_fn, type):
        raise TypeError(
            f"loss is the class {loss_fn.__name__}, but an instance is expected: "
            f"{loss_fn.__name__}()."
        )


def loop_given(loop: Any) -> None:
    """Refuse a loop that cannot run."""
    if (
        loop is not None
        and not isinstance(loop, str)
        and not callable(loop)
        and not hasattr(loop, "source")
    ):
        raise TypeError(
            f"loop is {loop!r}, but a Program, its source as text, or a function is expected."
        )
    if isinstance(loop, str):
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


def directories_fit(save_dir: str | None, callbacks: Iterable[Any]) -> None:
    """Refuse to write into a directory that cannot be made, since a file has its name."""
    asked = [("save_dir", save_dir)]
    for callback in callbacks:
        asked += [(name, getattr(callback, name, None)) for name in ("save_dir", "log_dir")]
    for name, folder in asked:
        if not isinstance(folder, str | os.PathLike):
            continue
        for place in (Path(folder), *Path(folder).parents):
            if place.exists() and not place.is_dir():
                raise NotADirectoryError(
                    f"{name} is {str(folder)!r}, but {str(place)!r} is a file, and the name of a "
                    "directory is expected. Give another one, such as 'checkpoints'."
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
            "there are none. Let some learn: network.requires_grad_(True)."
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
            warnings.warn(
                f"{code} has weights that the optimizer does not hold ({', '.join(left[:3])}"
                f"{', ...' if len(left) > 3 else ''}): they will not learn. Give them to the "
                "optimizer, [*model.parameters(), *loss.parameters()], or freeze them: "
                "loss.requires_grad_(False).",
                stacklevel=3,
            )
    own = {id(weight) for module in (network, *losses.values()) for weight in module.parameters()}
    others = [w for group in optimizer.param_groups for w in group["params"] if id(w) not in own]
    if others:
        warnings.warn(
            f"the optimizer holds {len(others)} parameters that are not the network's: they get no "
            "gradient from it, and do not learn. Was the optimizer made for another network? Make "
            "it with model.parameters().",
            stacklevel=3,
        )


def metrics_add_up(metrics: Mapping[str, Any]) -> None:
    """Refuse a metric of which it is not known how the counts of several processes add up."""
    for metric in metrics.values():
        known = getattr(metric, "sums", ()) or getattr(metric, "joined", ())
        if not (known or hasattr(metric, "dist_sync_on_step")):
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
