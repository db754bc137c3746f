"""Network, losses and metrics, called with the first batch: an error says what to do."""

import copy
import warnings
from collections.abc import Iterable, Mapping
from typing import Any

import torch

from tutorial.checks import kind_of, kinds_of
from tutorial.inputs.logits import probabilities_fit
from tutorial.inputs.matching import Arguments, signature_of_network
from tutorial.inputs.structure import (
    BatchStructure,
    OutputStructure,
    Path,
    call_code,
    is_array,
    tree_map,
    value_at,
    values_of,
)


def compared_values(
    way: Arguments, names: dict[str, Any], outputs: OutputStructure
) -> tuple[list[Any], list[Any]]:
    """What a call compares: outputs and labels."""
    paths = [path for _, path in way]
    guess = [path for path in paths if path in outputs.paths or path == outputs.whole()]
    return values(guess, names), values([path for path in paths if path not in guess], names)


def detached(leaf: Any) -> Any:
    """A tensor without its gradient; anything else as it is."""
    return leaf.detach() if isinstance(leaf, torch.Tensor) else leaf


def values(paths: Iterable[Path], names: dict[str, Any]) -> list[Any]:
    """What stands there."""
    return [value_at(path, names) for path in paths]


def call_network(name: str, structure: BatchStructure, names: dict[str, Any], model: Any) -> Any:
    """What the network returns."""
    network = model.network
    x = values(structure.inputs, names)
    by_place, by_name = structure.call_arguments(names)
    weight = next((p for p in network.parameters() if p.is_floating_point()), None)
    try:
        with model.precision.autocast():
            return network(*by_place, **by_name)
    except Exception as error:
        fix = "Compare them with what the first layer expects."
        if not all(isinstance(part, torch.Tensor) for part in x):
            fix = "Make tensors of them: torch.as_tensor(x)."
        elif weight is not None and x[0].dtype != weight.dtype and "type" in str(error):
            fix = f"The weights are {weight.dtype}: convert the inputs, x.to({weight.dtype})."
        elif "does not require grad" in str(error) and not torch.is_grad_enabled():
            fix = (
                "evaluate and predict run under torch.no_grad(): where forward takes a gradient, "
                "write `with torch.enable_grad():` around it."
            )
        elif isinstance(error, TypeError) and "argument" in str(error):
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
        text = f"{name}: the network cannot take its inputs, {kinds_of(x)}: {error}. {fix}"
        raise ValueError(f"{name}: {structure.doubt}" if structure.doubt else text) from error


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


def call_metric(
    name: str,
    metric: Any,
    parts: list[Any],
    names: dict[str, Any],
    outputs: OutputStructure,
    taken: Mapping[Path, tuple[str, str]],
    way: Arguments,
) -> None:
    """See that a metric can measure, in a copy, and gives numbers."""
    for _, path in way:
        if path in taken:
            probabilities_fit(name, metric, value_at(path, names), taken[path])
    metric = copy.deepcopy(metric)
    metric.sync_on_compute = False  # torchmetrics' ask the other processes, which do not answer
    guess, truth = compared_values(way, names, outputs)
    by_place, by_name = values_of(way, tree_map(detached, names))
    try:
        metric.reset()
        metric.update(*by_place, **by_name)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # two samples may be few
            value = metric.compute()
    except Exception as error:
        raise ValueError(
            f"{name}: {type(metric).__name__} cannot measure the predictions, {kinds_of(guess)}, "
            f"by the labels, {kinds_of(truth)}: {error}"
        ) from error
    for part in parts:
        one = value if part is None else value[part]
        try:
            float(one)
        except (TypeError, ValueError, RuntimeError) as error:
            raise ValueError(
                f"metrics holds {type(metric).__name__}, whose value is {kind_of(one)}, but one "
                "number is expected for a report. Measure it after the training: update and "
                "compute it with what model.predict gives, or with tutorial.confusion."
            ) from error
