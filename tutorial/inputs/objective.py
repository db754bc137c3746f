"""What the loop measures: losses and metrics, by the names of their variables in the loop."""

import copy
import re
import warnings
from collections.abc import Callable, Mapping
from inspect import Parameter, signature
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from tutorial import checks
from tutorial.inputs.structure import BatchStructure, OutputStructure, Path, code, codes
from tutorial.loop.names import reserved_names, variable
from tutorial.loop.options import Code
from tutorial.metrics import Mean, Metric

if TYPE_CHECKING:
    from tutorial.inputs.dry_run import DryRun


class Measures:
    """The losses and the metrics of a model.

    Attributes:
        loss_fns: the callables by variable: 'loss_fn', or 'loss_fn_0', ... for each output one.
        outputs: what output each of these, and each metric, is for; None: it gets all.
        metrics: the metrics by variable: 'accuracy'.
        values: what is reported of them: (name, variable, the part of its value or None).
    """

    def __init__(self, loss: Any, metrics: Any, device: str) -> None:
        self.loss_fns: dict[str, Callable[..., Any]] = {}
        self.outputs: dict[str, Any] = {}
        self.metrics: dict[str, Any] = {}
        self.values: list[tuple[str, Code, Any]] = []
        for key, loss_fn in by_output(loss):
            name = "loss_fn" if key is None else identifier(f"loss_fn_{key}")
            checks.loss_fits(loss_fn)
            self.loss_fns[name] = placed(loss_fn, device)
            self.outputs[name] = key
        several = isinstance(metrics, Mapping) or any(
            isinstance(some, list | tuple)
            for some in (metrics if isinstance(metrics, list | tuple) else [])
        )
        listed = metrics if several or isinstance(metrics, list | tuple) else [metrics]
        for key, some in by_output(listed) if several else [(None, listed)]:
            for metric in some if isinstance(some, list | tuple) else [some]:
                if metric is not None:
                    self._add_metric(metric, key, device)
        checks.names_differ([*self.loss_names(), *(name for name, _, _ in self.values)])

    def _add_metric(self, metric: Any, key: Any, device: str) -> None:
        checks.metric_fits(metric)
        name = variable(metric, self.metrics, "" if key is None else f"_{key}")
        self.metrics[name] = placed(metric, device)
        self.outputs[name] = key
        for reported, part in reported_by(metric, str(variable(metric, ()))):
            shown = reported if key is None else f"{reported}_{key}"
            self.values.append((shown, name, part))

    def loss_names(self) -> list[str]:
        """The names under which the losses of several outputs are reported."""
        keys = [self.outputs[loss_fn] for loss_fn in self.loss_fns]
        return [key if isinstance(key, str) else f"loss_{key}" for key in keys if key is not None]

    def names(self) -> list[str]:
        """All names in a report, but those of the parts that one loss_fn gives."""
        loss = ["loss"] if self.loss_fns else []
        return [*loss, *self.loss_names(), *(name for name, _, _ in self.values)]

    # ---- for one call, with the structure of its batches

    def compared(
        self, name: str, structure: BatchStructure, outputs: OutputStructure
    ) -> tuple[tuple[Path, ...], tuple[Path, ...]]:
        """The paths of what a loss_fn or metric compares: outputs and labels."""
        key, metrics = self.outputs[name], list(self.metrics)
        several = len(metrics) == len(outputs.paths) > 1
        if key is None and several and takes_two(self.metrics.get(name)):
            key = metrics.index(name)  # as many metrics as outputs: one for each
        if key is None:
            return outputs.paths, structure.labels
        place = place_of(key, outputs.paths, list(dict.fromkeys(self.outputs.values())))
        if place is None:
            there = outputs.keys or range(len(outputs.paths))
            raise ValueError(
                f"a loss or metric is for the output {key!r}, but the network's outputs are "
                f"{', '.join(map(repr, there))}. Name one of these."
            )
        label = place_of(key, structure.labels, [])
        label = min(place, len(structure.labels) - 1) if label is None else label
        return (outputs.paths[place],), structure.labels[label : label + 1]

    def options(
        self, seen: "DryRun", together: bool = False
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """The options of `unroll` for a call, and the means that it needs by their variables.

        Args:
            seen: what the dry run found.
            together: do several processes count?
        """
        options = seen.reduction.options()
        size = "batch_weight" if seen.reduction.weight else f"len({code(seen.structure.inputs[0])})"
        if not self.loss_fns:
            options["LOSSES"] = "none"
        of_outputs = self.loss_names()
        losses = {name: Code(variable_of(name)) for name in seen.losses or of_outputs}
        if seen.losses_have_keys:
            losses = {name: code(("losses", name)) for name in seen.losses}
        elif seen.losses:
            options["losses"] = tuple(losses.values())
        if losses:
            options |= {"LOSSES": "several", "TOTAL_LOSS": Code(" + ".join(losses.values()))}
        outputs = seen.outputs or OutputStructure()
        compared = {
            name: tuple(map(several, self.compared(name, seen.structure, outputs)))
            for name in (*self.loss_fns, *self.metrics)
        }
        if of_outputs:
            options["LOSSES"] = "each"
            options["LOSS_FNS"] = tuple(
                (loss, Code(variable), *compared[variable])
                for loss, variable in zip(losses.values(), self.loss_fns, strict=True)
            )
        means = {Code(f"{variable_of(name)}_mean"): (name, loss) for name, loss in losses.items()}
        options["METRICS"] = (
            *((mean, loss, Code(size)) for mean, (_, loss) in means.items()),
            *((name, *compared[name]) for name in self.metrics),
        )
        counters: dict[str, Any] = {mean: Mean(name) for mean, (name, _) in means.items()}
        own = [(name, mean, None) for mean, (name, _) in means.items()]
        values = [*own, *self.values]
        if together:
            counted = counters | self.metrics
            values = [(name, in_all(metric, counted), part) for name, metric, part in values]
        options["VALUES"] = tuple(values)
        return options, counters


def by_output(parts: Any) -> list[tuple[Any, Any]]:
    """Pairs of an output's key, or its number, and what is for it; one thing is for all: None."""
    if isinstance(parts, Mapping):
        return list(parts.items())
    if isinstance(parts, list | tuple):
        return list(enumerate(parts))
    return [] if parts is None else [(None, parts)]


def place_of(key: Any, paths: tuple[Path, ...], keys: list[Any]) -> int | None:
    """Which of the paths is meant by a key: y_hat["digit"] or digit by 'digit', else by order."""
    if isinstance(key, int):
        return key if key < len(paths) else None
    for place, path in enumerate(paths):
        if path[-1] == key:
            return place
    named = any(len(path) > 1 and isinstance(path[-1], str) for path in paths)
    return None if named or key not in keys or len(keys) > len(paths) else keys.index(key)


def takes_two(metric: Any) -> bool:
    """Whether the metric's update takes one output and its labels, and no more."""
    if metric is None:
        return False
    kinds = (Parameter.POSITIONAL_ONLY, Parameter.POSITIONAL_OR_KEYWORD)
    parameters = signature(metric.update).parameters.values()
    many = any(parameter.kind is Parameter.VAR_POSITIONAL for parameter in parameters)
    return not many and sum(parameter.kind in kinds for parameter in parameters) == 2


def in_all(metric: Code, metrics: Mapping[str, Any]) -> Code:
    """Code for a metric of several processes; torchmetrics' ask each other by themselves."""
    return Code(f"all_reduced({metric})") if hasattr(metrics[metric], "sums") else metric


def several(paths: tuple[Path, ...]) -> Any:
    """Code for one path, or a tuple of codes for several."""
    return code(paths[0]) if len(paths) == 1 else codes(paths)


def identifier(name: str) -> str:
    """The name as a variable's."""
    return re.sub(r"\W", "_", name)


def variable_of(loss: str) -> str:
    """The variable of a loss that is reported under this name: loss_digit for 'digit'."""
    name = identifier(loss if loss.startswith("loss_") else f"loss_{loss}")
    return f"{name}_" if name in reserved_names() else name


def placed(part: Any, device: str) -> Any:
    """A loss or metric that is a module, on the device."""
    return part.to(device) if isinstance(part, nn.Module) else part


def reported_by(metric: Any, kind: str) -> list[tuple[str, Any]]:
    """The names under which a metric reports, each with the part of its value that it means."""
    if isinstance(metric, Metric):
        names = metric.name()
        return [(names, None)] if isinstance(names, str) else [(n, i) for i, n in enumerate(names)]
    unused = copy.deepcopy(metric)  # torchmetrics: the form of its value tells
    unused.reset()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that it was not updated yet
        try:
            value = unused.compute()
        except Exception:  # it cannot say anything of nothing: one number, then
            value = None
    if isinstance(value, Mapping):
        return [(name, name) for name in value]
    if isinstance(value, torch.Tensor) and value.dim() == 1:
        return [(f"{kind}_{i}", i) for i in range(len(value))]
    return [(kind, None)]
