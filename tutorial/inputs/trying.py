"""Network, losses and metrics, called with the first batch: an error says what to do."""

import warnings
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from torch import nn

from tutorial.checks import kinds_of
from tutorial.inputs.failing_layer import failing_layer, mistake_in
from tutorial.inputs.logits import probabilities_fit
from tutorial.inputs.matching import Arguments, signature_of_network
from tutorial.inputs.metric_values import Value, values_fit, values_in
from tutorial.inputs.structure import (
    BatchStructure,
    OutputStructure,
    Path,
    call_code,
    is_array,
    value_at,
    values_of,
)
from tutorial.inputs.undefined import updated, value_of
from tutorial.metrics import Accuracy, BinaryMetric


def compared_values(
    way: Arguments, names: dict[str, Any], outputs: OutputStructure
) -> tuple[list[Any], list[Any]]:
    """What a call compares: outputs and labels."""
    paths = [path for _, path in way]
    guess = [path for path in paths if path in outputs.paths or path == outputs.whole()]
    return values(guess, names), values([path for path in paths if path not in guess], names)


def values(paths: Iterable[Path], names: dict[str, Any]) -> list[Any]:
    """What stands there."""
    return [value_at(path, names) for path in paths]


def call_network(name: str, structure: BatchStructure, names: dict[str, Any], model: Any) -> Any:
    """What the network returns."""
    network = model.network
    x = values(structure.inputs, names)
    by_place, by_name = structure.call_arguments(names)
    try:
        with model.precision.autocast():
            y_hat = network(*by_place, **by_name)
    except Exception as error:
        if structure.doubt:
            raise ValueError(f"{name}: {structure.doubt}") from error
        if mistake := mistake_in(error, network):
            raise ValueError(f"{name}: {mistake}") from error
        layer = failing_layer(error, network)
        fix = fix_of(error, network, x) or (layer.fix() if layer else "")
        if isinstance(error, TypeError) and "argument" in str(error) and not fix:
            takes = ", ".join(signature_of_network(network).names) or "nothing"
            fix = (
                f"It is called as {structure.call_code()}, and forward takes ({takes}). Say what "
                "the inputs are: Model(network, inputs=[InputSpec(shape, name=...), ...])."
            )
        if network.training and not all(map(is_array, names.values())):  # such as boxes
            fix += (
                " If forward computes the loss itself, write the loop yourself: "
                "def train(network, optimizer, train_data), and model.fit(train_data, loop=train)."
            )
        where = f"{layer} ({error})" if layer else error
        text = f"{name}: the network cannot take its inputs, {kinds_of(x)}: {where}. {fix}"
        raise ValueError(text.rstrip()) from error
    if y_hat is None:
        raise ValueError(f"{name}: the network returns None: is `return` missing in its forward?")
    return y_hat


def fix_of(error: Exception, network: nn.Module, x: list[Any]) -> str:
    """What to do about the network's inputs, or about how it computes with them."""
    weight = next((p for p in network.parameters() if p.is_floating_point()), None)
    if not all(isinstance(part, torch.Tensor) for part in x):
        return "Make tensors of them: torch.as_tensor(x)."
    if weight is not None and x[0].dtype != weight.dtype and "type" in str(error):
        return f"The weights are {weight.dtype}: convert the inputs, x.to({weight.dtype})."
    if "more than 1 value per channel" in str(error):
        return (
            "Batch norm takes a variance over a batch, which needs at least 2 samples: choose "
            "a larger batch_size."
        )
    if "does not require grad" in str(error) and not torch.is_grad_enabled():
        return (
            "evaluate and predict run under torch.no_grad(): where forward takes a gradient, "
            "write `with torch.enable_grad():` around it."
        )
    return ""


def call_loss(
    name: str,
    loss_fn: Any,
    way: Arguments,
    names: dict[str, Any],
    guess: list[Any],
    truth: list[Any],
) -> Any:
    """What the loss returns."""
    by_place, by_name = values_of(way, names)
    try:
        return loss_fn(*by_place, **by_name)
    except Exception as error:
        whole = any(isinstance(y, torch.Tensor) and not y.is_floating_point() for y in truth)
        fix = " Convert the labels: y.float()." if whole and "type" in str(error) else ""
        if any(isinstance(y, int | float | list) for y in truth):
            fix = (
                " Each batch needs a tensor of labels, torch.tensor([...]). Single samples (x, y) "
                "go into a list or a Dataset, of which batches are made."
            )
        if len(guess) + len(truth) != 2 and isinstance(error, TypeError):
            fix = (
                f" It is called as {call_code('loss', way)}; for one loss an output, give a list "
                "of them. If a batch is unpacked in a wrong way, say what it holds: "
                "Model(network, inputs=[InputSpec(shape), ...], labels=[...]); what is beyond "
                "these is left out, and labels=[] says that there are none."
            )
        raise ValueError(
            f"{name}: the loss cannot compare the predictions, {kinds_of(guess)}, with the labels, "
            f"{kinds_of(truth)}: {error}.{fix}"
        ) from error


MOST = 10**6  # numbers in labels that are looked at before a call


def take_each_label(metric: Any, y_hat: Any, y: Any, all_labels: torch.Tensor) -> None:
    """See that a metric of ours takes the labels that come later, too.

    Of class numbers, the least and the largest tell; rows of zeros and ones are all looked at.
    """
    if all_labels.shape[1:] != y.shape[1:] or not 0 < all_labels.numel() <= MOST:
        return
    rows = all_labels.to(y.device)
    if y.shape != y_hat.shape or rows.numel() == len(rows):
        kinds = torch.unique(rows)
        kinds = torch.cat([kinds[:4], kinds[-4:]])
        rows = kinds.reshape(-1, *[1] * (y.dim() - 1)).expand(-1, *y.shape[1:])
    updated(metric, ([y_hat[:1].expand(len(rows), *y_hat.shape[1:]), rows], {})).compute()


def call_metric(
    name: str,
    metric: Any,
    names: dict[str, Any],
    outputs: OutputStructure,
    taken: Mapping[Path, tuple[str, str]],
    known: Callable[[Path], torch.Tensor | None],
    way: Arguments,
) -> list[Value]:
    """What a metric reports; see that it can measure, in a copy."""
    for _, path in way:
        if path in taken:
            probabilities_fit(name, metric, value_at(path, names), taken[path])
    (guess, truth), given = compared_values(way, names, outputs), values_of(way, names)
    labels = [path for _, path in way if any(value_at(path, names) is y for y in truth)]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a batch may be little data
            all_labels = known(labels[0]) if labels else None
            value, undefined = value_of(metric, given, all_labels, truth)
            if isinstance(metric, Accuracy | BinaryMetric) and all_labels is not None:
                take_each_label(metric, guess[0], truth[0], all_labels)
    except Exception as error:
        raise ValueError(
            f"{name}: {type(metric).__name__} cannot measure the predictions, {kinds_of(guess)}, "
            f"by the labels, {kinds_of(truth)}: {error}"
        ) from error
    values_fit(metric, value)
    return values_in(metric, value, undefined)
