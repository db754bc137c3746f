"""What is refused before a call runs, and what to write instead."""

import traceback
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import torch
from torch import nn

from tutorial import checks
from tutorial.checks import kind_of, kinds_of
from tutorial.inputs.data_source import DataSource
from tutorial.inputs.matching import Arguments, signature_of_loss, signature_of_network
from tutorial.inputs.structure import (
    BatchStructure,
    OutputStructure,
    bind,
    call_code,
    code,
    first,
    is_array,
    is_nested,
    leaves,
    variables,
)
from tutorial.inputs.trying import values


def step_fits(optimizer: torch.optim.Optimizer, losses: list[torch.Tensor]) -> None:
    """Refuse an optimizer of the user's that is not served by one step for each loss."""
    torch.autograd.backward([loss for loss in losses if loss.requires_grad], retain_graph=True)
    if hasattr(optimizer, "train"):  # only now: it may change the weights
        optimizer.train()
    try:
        optimizer.step()
    except Exception as error:
        reason = f"whose step() fails, {type(error).__name__}: {error}" if str(error) else ""
        raise ValueError(
            f"optimizer is {type(optimizer).__name__}, {reason or 'whose step() fails'}; "
            f"{checks.ONE_STEP}"
        ) from error


def labelled(name: str, batch: Any, model: Any, predicting: bool) -> None:
    """Refuse data without labels, where the loss asks for them."""
    losses = list(model.measures.loss_fns.values())
    if isinstance(batch, list) and len(batch) == 2 and isinstance(batch[1], list) and not batch[1]:
        batch = batch[0]  # train_batch(x), without labels
    alone = is_array(batch) or (is_nested(batch) and len(batch) == 1)
    unsaid = model.inputs is None and model.labels is None
    if alone and unsaid and not predicting and any(signature_of_loss(f).labels() for f in losses):
        raise ValueError(
            f"{name} gives {kind_of(batch)} for a batch, but a pair (x, y) of inputs and labels is "
            "expected. Two tensors become pairs with TensorDataset(x, y); an autoencoder's label "
            "is its input, TensorDataset(x, x); for a loss without labels, say that there are "
            "none: Model(network, labels=[])."
        )


def undecided(name: str, structures: list[BatchStructure], model: Any) -> str:
    """What to say where a batch can be read in several ways, and no name tells which is meant."""
    codes = [reading_code(structure, model.measures.loss_fns) for structure in structures]
    takes = signature_of_network(model.network).names[: len(structures[0].inputs)]
    names = dict(zip([path[0] for path in structures[-1].inputs], takes, strict=False))
    flat = [names.get(name, name) for name in variables(structures[-1].pattern)]
    listed = ", ".join(f"InputSpec(shape, name={each!r})" for each in flat)
    return (
        f"{name}: a batch can be read in {len(codes)} ways, and its parts have no names to tell "
        f"which is meant: {' or '.join(codes)}. Put the inputs into one tuple, "
        f"(({', '.join(takes)}), y); or give a dict with the keys {', '.join(map(repr, takes))}; "
        f"or name all parts in their order, such as Model(network, inputs=[{listed}]): what "
        "forward does not take by its name is a label."
    )


def reading_code(structure: BatchStructure, loss_fns: Mapping[str, Any]) -> str:
    """A reading as code, with the parts of the batch by their places."""
    if structure.pattern == "batch":
        return structure.call_code()
    places = {name: f"batch[{i}]" for i, name in enumerate(variables(structure.pattern))}
    x = [places.get(path[0], str(path[0])) for path in structure.inputs]
    y = [places.get(path[0], str(path[0])) for path in structure.labels]
    compared = f"; {next(iter(loss_fns))}({', '.join(['y_hat', *y])})" if loss_fns else ""
    return f"network({', '.join(x)}){compared}"


def modes_differ(network: nn.Module) -> str:
    """What to do about a network that returns more while it trains."""
    return (
        f"{type(network).__name__} returns other things in training mode than in evaluation mode, "
        "but one loss compares both with the labels. Leave eval_data out and evaluate with another "
        "loss after the fit; or let forward return the same in both."
    )


def stackable(name: str, y_hats: list[Any]) -> None:
    """Refuse to join what cannot be joined: the outputs of two batches tell."""
    first = OutputStructure.of_prediction(y_hats[0])
    parts = [values(first.paths, bind(first.pattern, y_hat)) for y_hat in y_hats]
    for path, *pair in zip(first.paths, *parts, strict=True):
        try:
            torch.cat(pair)
        except (TypeError, RuntimeError) as error:
            reason = str(error).partition(". ")[0].rstrip(".")
            raise ValueError(
                f"{name}: stack_outputs=True joins the batches of each output to one tensor, but "
                f"{code(path)} is {kinds_of(pair)}: {reason}. Leave "
                "stack_outputs out: each batch then stands alone in a tuple."
            ) from error


def unclear(name: str, function: str, outputs: OutputStructure, ways: list[Arguments]) -> str:
    """What to say where several calls can run, and no name tells which one is meant."""
    codes = " or ".join(call_code(function, way) for way in ways)
    firsts = {way[0][1] for way in ways}
    what, fix = (
        "labels",
        (
            "Give the label the name of the output or of the loss's parameter, or say which it is: "
            "Model(network, inputs=[...], labels=[InputSpec(shape, name=...)])."
        ),
    )
    if len(firsts) > 1 and firsts <= set(outputs.paths):
        key = repr(outputs.keys[0]) if outputs.keys else "0"
        what, fix = "outputs", f"Say which output each metric is for: metrics={{{key}: ...}}."
    return f"{name}: it is not clear which {what} are meant: {codes}. {fix}"


def last_batch_fits(
    source: DataSource, structure: BatchStructure, names: dict[str, Any], model: Any
) -> None:
    """Refuse a last batch of one sample where batch norm needs two for a variance."""
    norms = [m for m in model.network.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]
    if not norms or source.smallest_batch() != 1 or model.world_size > 1:  # then a batch is split
        return
    try:
        by_place, by_name = structure.call_arguments(first(1, names))
        with model.precision.autocast():
            model.network(*by_place, **by_name)
    except ValueError as error:
        if "more than 1 value per channel" not in str(error):
            return
        which = "one of its batches" if isinstance(source.data, list | tuple) else "its last batch"
        raise ValueError(
            f"{source.name}: {which} has one sample, of which {type(norms[0]).__name__} "
            "cannot take a variance. Leave it out, drop_last=True, or choose another batch_size."
        ) from error


def first_of(name: str, batches: Iterator[Any]) -> Any:
    """The first batch; refuse samples that cannot be put together to one."""
    try:
        return next(batches)
    except (RuntimeError, TypeError) as error:
        [*_, (frame, _)] = traceback.walk_tb(error.__traceback__)
        if not frame.f_code.co_filename.endswith("collate.py"):  # torch's: else it is the user's
            raise
        raise ValueError(
            f"{name}: its samples cannot be put together to a batch: {error}. Make them alike, or "
            "say how: DataLoader(data, batch_size, collate_fn=...)."
        ) from error


def filled(name: str, batch: Any, measured: bool) -> None:
    """Refuse a batch without values; and one without samples, of which there is no mean."""
    if batch is None:
        raise ValueError(
            f"{name} is None, but a tensor (N, ...) is expected, or several in a list or a dict."
        )
    for _, part in leaves((), batch):
        if isinstance(part, torch.Tensor) and part.is_meta:
            raise ValueError(
                f"{name} has {kind_of(part)} on the device 'meta', where tensors have a shape and "
                "no values. Give one with values."
            )
        if measured and isinstance(part, torch.Tensor) and part.shape[:1] == (0,):
            raise ValueError(
                f"{name} has {kind_of(part)}, but at least one sample is expected: of none there "
                "is no mean loss."
            )


def movable(name: str, parts: Iterable[tuple[str, Any]], device: str) -> None:
    """Refuse what the loop could not move to a GPU: lists and strings stay where they are."""
    for written, part in parts:
        if device != "cpu" and not hasattr(part, "to"):
            raise ValueError(
                f"{name}: {written} is {kind_of(part)}, which the loop cannot move to {device}: it "
                "has no method to(device). Make one tensor of it in collate_fn, or an object of a "
                "class with that method."
            )


def parts_fit(losses: Mapping[Any, Any]) -> None:
    """Refuse parts of a loss that are no numbers; beside a total they need not be tensors."""
    for key, part in losses.items():
        one = isinstance(part, torch.Tensor) and part.dim() == 0
        if not one and not (isinstance(part, int | float) and key != "loss" in losses):
            raise ValueError(
                f"the loss function returns {kind_of(part)} as {key!r}, but one number is "
                "expected, a tensor of shape (). Let it average over the batch, .mean(); or leave "
                "it out."
            )


def numbers_fit(name: str, listed: list[Any], learning: bool) -> None:
    """Refuse losses that are no numbers, or from which nothing can be learned."""
    for loss in listed:
        if not isinstance(loss, torch.Tensor) or loss.dim() != 0:
            fix = 'Let it average over the batch: reduction="mean", or loss.mean().'
            raise ValueError(
                f"the loss function returns {kind_of(loss)}, but one number is expected, a tensor "
                f"of shape (). {'Is `return` missing?' if loss is None else fix}"
            )
    if listed and learning and not any(loss.requires_grad for loss in listed):
        raise ValueError(
            "the loss does not depend on the network's weights, so nothing can be learned. "
            "Somewhere between them is a detach(), an item(), an argmax() or a torch.no_grad()."
        )
    if not all(torch.isfinite(loss).all() for loss in listed):
        checks.warn(
            f"{name}: the loss of the first batch is {[loss.item() for loss in listed]}, not a "
            "finite number. Look for nan, inf or a division by zero in the inputs and the loss."
        )


def specs_fit(name: str, structure: BatchStructure, x: list[Any], specs: Any) -> list[Any]:
    """The inputs' InputSpecs in order; refuse inputs that are not what Model(inputs=...) says."""
    named = {(root, spec.name): spec for spec in specs or () for root in ("inputs", "batch")}
    pairs = zip(structure.inputs, specs or (), strict=False)
    fitting = [named.get(path, spec) for path, spec in pairs]
    for path, value, spec in zip(structure.inputs, x, fitting, strict=False):
        sizes = zip(value.shape[1:], spec.shape[1:], strict=False)
        fit = value.dim() == len(spec.shape) and all(b is None or a == b for a, b in sizes)
        if not fit or value.dtype != spec.dtype:
            raise ValueError(
                f"{name}: the input {code(path)} is {kind_of(value)}, but Model(inputs=...) says "
                f"shape {spec.shape} and {spec.dtype}. Change the data, or the InputSpec."
            )
    return fitting
