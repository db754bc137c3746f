"""Before a call runs: one or two samples go through network, losses and metrics.

So wrong data is refused before anything is trained, changed or lost, and it is seen how a batch is
to be taken apart, and what the network returns.
"""

import copy
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import nn

from tutorial.checks import kind_of, kinds_of
from tutorial.device import unchanged_randomness
from tutorial.inputs.data_source import DataSource
from tutorial.inputs.labels import labels_fit, pairs_fit, scores_fit, size_code
from tutorial.inputs.objective import Parts
from tutorial.inputs.spec import InputSpec
from tutorial.inputs.structure import Form, item, mapped, numbered, parameters, take_apart


@dataclass(frozen=True)
class Seen:
    """What a rehearsal found out.

    Attributes:
        form: how a batch is taken apart, and what the network returns.
        parts: what loss_fn returns, and how much a batch counts.
        inputs: an InputSpec for each input, nested as the network is called with them: in a list
            by place, in a dict by keyword; None if no sample could be looked at.
        unused: where several processes train, each with all weights: whether the loss depends on
            fewer than all of them.
    """

    form: Form
    parts: Parts
    inputs: Any = None
    unused: bool = False


def dry_run(source: DataSource, model: Any) -> Seen:
    """Send one or two samples through network, losses and metrics, and explain what fails.

    Nothing changes by it: the network is in evaluation mode, no gradient is kept, and chance goes
    on as if nothing had been drawn. An iterator is not touched, since a batch cannot be put back.

    Args:
        source: the data.
        model: the Model.

    Raises:
        ValueError: something does not fit; the message says what, and what to do.
    """
    training = source.name == "train_data"
    try:
        with as_before(model.network), torch.set_grad_enabled(training):
            return _dry_run(source, model) if source.can_look else declared(source.name, model)
    except Exception as error:
        error.add_note(f"(in a dry run with the first samples of {source.name}; nothing changed)")
        raise


@contextmanager
def as_before(network: nn.Module) -> Iterator[None]:
    """Evaluation mode inside; afterwards the modes of before, and chance as it was."""
    modes = {module: module.training for module in network.modules()}
    network.eval()
    try:
        with unchanged_randomness():
            yield
    finally:
        for module, mode in modes.items():
            module.training = mode


def declared(name: str, model: Any) -> Seen:
    """Of batches that cannot be looked at: what Model(inputs=..., labels=...) says of them."""
    predicting = name == "test_data"
    several = len(model.measures.loss_fns) if len(model.measures.loss_fns) > 1 else 1
    x = [spec.name for spec in model.inputs or ()]
    y = [spec.name for spec in model.labels or ()]
    x = [a or b for a, b in zip(x, numbered("x", len(x)), strict=True)] or ["x"]
    y = [a or b for a, b in zip(y, numbered("y", len(y)), strict=True)]
    y = y if model.labels is not None else numbered("y", several)
    unpacked = [*x, "*_"] if predicting else [*x, *y]
    unseen = predicting and len(x) == 1
    batch = f"({', '.join(unpacked)}{',' if len(unpacked) == 1 else ''})"
    form = Form(x[0] if unseen else batch, tuple(x), tuple(y), unseen=unseen)
    indices = torch.zeros(1, dtype=torch.int64)  # what the labels are, most likely
    size = size_code(form, model, indices, None) if len(y) == several == 1 else None
    if model.inputs is None or any(None in spec.shape[1:] for spec in model.inputs):
        form = form if several == 1 else form.with_output([0.0] * several)
        return Seen(form, Parts(size=size))
    name = f"{name}, as Model(inputs=..., labels=...) describes it"
    specs = [*model.inputs, *(model.labels or ())]
    names = dict(zip([*x, *y], (spec.example(2).to(model.device) for spec in specs), strict=False))
    y_hat = _network(name, form, names, tuple(values(form.x, names)), model)
    if predicting or model.labels is None:
        return Seen(form.with_output(y_hat), Parts(size=size))
    form, parts, _ = _measured(name, form, y_hat, names, None, model)
    return Seen(form, parts)


def _dry_run(source: DataSource, model: Any) -> Seen:
    """The dry run itself."""
    name, batch, predicting = source.name, source.first_samples(), source.name == "test_data"
    paired = isinstance(batch, Mapping) or (isinstance(batch, list | tuple) and len(batch) > 1)
    if not predicting and model.inputs is None and not paired:
        raise ValueError(
            f"{name} gives {kind_of(batch)} for a batch, but a pair (x, y) of inputs and labels is "
            "expected. Two tensors become pairs with TensorDataset(x, y)."
        )
    form = take_apart(batch, model.network, model.inputs, model.labels, predicting)
    names = mapped(form.unpack(batch), partial(moved, device=model.device))
    x = tuple(values(form.x, names))
    inputs = described(form, names, x, specs_fit(name, form, x, model.inputs))
    y_hat = _network(name, form, names, x, model)
    if predicting:
        return Seen(form.with_output(y_hat), Parts(), inputs)
    alone = len(form.y) == 1 and form.y[0] in names
    every = source.labels(list(names).index(form.y[0])) if alone else None
    form, parts, losses = _measured(name, form, y_hat, names, every, model)
    asked = name == "train_data" and model.processes > 1 and not model.sharded
    return Seen(form, parts, inputs, asked and some_unused(losses, model.network))


def _measured(
    name: str, form: Form, y_hat: Any, names: dict[str, Any], every: Any, model: Any
) -> tuple[Form, Parts, list[torch.Tensor]]:
    """The form with its outputs, and what the losses return, once all of it was seen to fit."""
    form, measures = form.with_output(y_hat), model.measures
    exec(f"{form.output or 'y_hat'} = _y_hat", {"_y_hat": y_hat}, names)
    losses: Any = []
    for variable, loss_fn in measures.loss_fns.items():
        codes = measures.compared(variable, form)
        guess, truth = (values(each, names) for each in codes)
        if len(guess) == len(truth) == 1:
            labels_fit(name, guess[0], truth[0], every, loss_fn)
        with model.precision.autocast():
            losses.append(_loss(name, loss_fn, guess, truth, sum(codes, ())))
        if name != "eval_data":  # one warning is enough
            scores_fit(name, guess, truth, loss_fn)
            pairs_fit(name, guess, truth, loss_fn)
    for variable, metric in measures.metrics.items():
        guess, truth = (values(codes, names) for codes in measures.compared(variable, form))
        _metric(name, metric, guess, truth)
    result = losses[0] if len(losses) == 1 else losses
    listed = numbers_of(result)
    numbers_fit(name, listed)
    size = size_code(form, model, values(form.y, names)[0], every) if len(form.y) == 1 else None
    return form, Parts(losses[0] if len(losses) == 1 else None, size), listed


def moved(leaf: Any, device: str) -> Any:
    """A tensor on the device; anything else as it is."""
    return leaf.to(device) if isinstance(leaf, torch.Tensor) else leaf


def values(codes: tuple[str, ...], names: dict[str, Any]) -> list[Any]:
    """What the codes stand for."""
    return [eval(code, {}, names) for code in codes]


def numbers_of(losses: Any) -> list[Any]:
    """One loss, or several in a list or a dict, as a list."""
    if isinstance(losses, Mapping):
        return list(losses.values())
    return list(losses) if isinstance(losses, list | tuple) else [losses]


def some_unused(losses: list[torch.Tensor], network: nn.Module) -> bool:
    """Whether there are weights to train on which the losses do not depend."""
    weights = [weight for weight in network.parameters() if weight.requires_grad]
    loss = torch.stack([loss.float() for loss in losses]).sum()
    gradients = torch.autograd.grad(loss, weights, allow_unused=True)
    return any(gradient is None for gradient in gradients)


def numbers_fit(name: str, listed: list[Any]) -> None:
    """Refuse losses that are no numbers, or from which nothing can be learned."""
    for loss in listed:
        if not isinstance(loss, torch.Tensor) or loss.dim() != 0:
            raise ValueError(
                f"the loss function returns {kind_of(loss)}, but one number is expected, a tensor "
                'of shape (). Let it average over the batch: reduction="mean", or loss.mean().'
            )
    if listed and name == "train_data" and not any(loss.requires_grad for loss in listed):
        raise ValueError(
            "the loss does not depend on the network's weights, so nothing can be learned. "
            "Somewhere between them is a detach(), an item(), an argmax() or a torch.no_grad()."
        )
    if not all(torch.isfinite(loss).all() for loss in listed):
        warnings.warn(
            f"{name}: the loss of the first samples is {[loss.item() for loss in listed]}, not a "
            "finite number. Look for nan, inf or a division by zero in the inputs and the loss.",
            stacklevel=2,
        )


def described(form: Form, names: dict[str, Any], x: tuple[Any, ...], specs: list[Any]) -> Any:
    """The inputs' InputSpecs, nested as the network is called; None if it takes other things."""
    if not all(isinstance(part, torch.Tensor) and part.dim() and part.numel() for part in x):
        return None
    seen = [InputSpec((None, *part.shape[1:]), part.dtype) for part in x]
    known = {id(part): spec for part, spec in zip(x, [*specs, *seen[len(specs) :]], strict=True)}
    return mapped(form.called_with(names), lambda part: known[id(part)])


def specs_fit(name: str, form: Form, x: tuple[Any, ...], specs: Any) -> list[Any]:
    """The inputs' InputSpecs in order; refuse inputs that are not what Model(inputs=...) says."""
    named = {item(code, spec.name): spec for spec in specs or () for code in ("inputs", "batch")}
    fitting = [named.get(code, said) for code, said in zip(form.x, specs or (), strict=False)]
    for code, value, spec in zip(form.x, x, fitting, strict=False):
        sizes = zip(value.shape[1:], spec.shape[1:], strict=False)
        fit = value.dim() == len(spec.shape) and all(b is None or a == b for a, b in sizes)
        if not fit or value.dtype != spec.dtype:
            raise ValueError(
                f"{name}: the input {code} is {kind_of(value)}, but Model(inputs=...) says shape "
                f"{spec.shape} and {spec.dtype}. Change the data, or the InputSpec."
            )
    return fitting


def _network(name: str, form: Form, names: dict[str, Any], x: tuple[Any, ...], model: Any) -> Any:
    """What the network returns."""
    network = model.network
    weight = next((p for p in network.parameters() if p.is_floating_point()), None)
    call = form.call or f"network({', '.join(form.x)})"
    try:
        with model.precision.autocast():
            return eval(call, {"network": network}, names)
    except Exception as error:
        fix = "Compare them with what the first layer expects."
        if not all(isinstance(part, torch.Tensor) for part in x):
            fix = "Make tensors of them: torch.as_tensor(x)."
        elif weight is not None and x[0].dtype != weight.dtype and "type" in str(error):
            fix = f"The weights are {weight.dtype}: convert the inputs, x.to({weight.dtype})."
        elif isinstance(error, TypeError) and "argument" in str(error):
            takes = ", ".join(parameters(network)) or "nothing"
            fix = (
                f"It is called as {call}, and forward takes ({takes}). Say what the inputs are: "
                "Model(network, inputs=[InputSpec(shape, name=...), ...])."
            )
        raise ValueError(
            f"{name}: the network cannot take its inputs, {kinds_of(x)}: {error}. {fix}"
        ) from error


def _loss(
    name: str, loss_fn: Any, guess: list[Any], truth: list[Any], codes: tuple[str, ...]
) -> Any:
    try:
        return loss_fn(*guess, *truth)
    except Exception as error:
        whole = any(isinstance(y, torch.Tensor) and not y.is_floating_point() for y in truth)
        fix = " Convert the labels: y.float()." if whole and "type" in str(error) else ""
        if len(guess) + len(truth) != 2 and isinstance(error, TypeError):
            fix = (
                f" It gets all outputs and all labels, loss({', '.join(codes)}); for one loss an "
                "output, give a list of them. If a batch is taken apart in a wrong way, say what "
                "it holds: Model(network, inputs=[InputSpec(shape), ...], labels=[...])."
            )
        raise ValueError(
            f"{name}: the loss cannot compare the predictions, {kinds_of(guess)}, with the labels, "
            f"{kinds_of(truth)}: {error}.{fix}"
        ) from error


def _metric(name: str, metric: Any, guess: list[Any], truth: list[Any]) -> None:
    metric = copy.deepcopy(metric)
    try:
        metric.reset()
        metric.update(*(y_hat.detach() for y_hat in guess), *truth)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # two samples may be few
            metric.compute()
    except Exception as error:
        raise ValueError(
            f"{name}: {type(metric).__name__} cannot measure the predictions, {kinds_of(guess)}, "
            f"by the labels, {kinds_of(truth)}: {error}"
        ) from error
