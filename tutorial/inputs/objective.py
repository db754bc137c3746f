"""What the loop measures: losses and metrics, by the names of their variables in the loop."""

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from torch import nn

from tutorial import checks
from tutorial.inputs.direction import larger_is_better
from tutorial.inputs.matching import (
    Arguments,
    Part,
    Signature,
    alike,
    is_label,
    is_prediction,
    matched,
    signature_of_loss,
)
from tutorial.inputs.metric_values import Value, before_data, values_in
from tutorial.inputs.structure import (
    BatchStructure,
    OutputStructure,
    Path,
    call_code,
    code,
    codes,
    variables,
)
from tutorial.loop.names import unlike, unlike_each, variable
from tutorial.loop.options import Code
from tutorial.metrics import Mean

if TYPE_CHECKING:
    from tutorial.inputs.dry_run import DryRun
    from tutorial.inputs.reduction import Reduction


class Measures:
    """The losses and the metrics of a model.

    Attributes:
        loss_fns: the callables by variable: 'loss_fn', or 'loss_fn_0', ... for each output one.
        outputs: what output each of these, and each metric, is for; None: it gets all.
        metrics: the metrics by variable: 'accuracy'.
        before: what each metric reports, as far as it is known before there is data.
    """

    def __init__(self, loss: Any, metrics: Any, device: str) -> None:
        self.loss_fns: dict[str, Callable[..., Any]] = {}
        self.outputs: dict[str, Any] = {}
        self.metrics: dict[str, Any] = {}
        self.before: dict[str, list[Value]] = {}
        for key, loss_fn in by_output(loss):
            name = "loss_fn" if key is None else str(unlike(f"loss_fn_{key}", self.loss_fns))
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
        self.check_names()

    def _add_metric(self, metric: Any, key: Any, device: str) -> None:
        checks.metric_fits(metric)
        others = {*self.loss_fns, *self.metrics}
        name = variable(metric, others, "" if key is None else f"_{key}")
        self.metrics[name] = placed(metric, device)
        self.outputs[name] = key
        self.before[name] = values_in(metric, before_data(metric))

    def check_names(self, seen: "DryRun | None" = None) -> None:
        """Refuse two values of one name."""
        names = [(name, self.metrics[metric]) for name, metric, _ in self.values(seen)]
        losses = self.names_of_losses(seen)
        checks.names_differ([*losses, *(name for name, _ in names)], dict(names))

    def loss_names(self) -> list[str]:
        """The names under which the losses of several outputs are reported."""
        keys = [self.outputs[loss_fn] for loss_fn in self.loss_fns]
        return [reported_name(key) for key in keys if key is not None]

    def values(self, seen: "DryRun | None" = None) -> list[tuple[str, Code, Value]]:
        """What the metrics report, each with its name in reports and the metric's variable.

        Args:
            seen: what the dry run found; without it, what is known before there is data.
        """
        known = self.before | dict(seen.values if seen else {})
        keys = [(metric, self.outputs[metric]) for metric in self.metrics]
        return [
            (value.name if key is None else f"{value.name}_{key}", Code(metric), value)
            for metric, key in keys
            for value in known[metric]
        ]

    def names(self, seen: "DryRun | None" = None) -> list[str]:
        """The names of all numbers in a report."""
        loss = ["loss"] if self.loss_fns else []
        numbers = [name for name, _, value in self.values(seen) if value.number]
        return [*loss, *self.names_of_losses(seen), *numbers]

    def undefined(self, seen: "DryRun") -> dict[str, str]:
        """Of the numbers in a report that few samples leave undefined: why they do."""
        return {name: value.undefined for name, _, value in self.values(seen) if value.undefined}

    def names_of_losses(self, seen: "DryRun | None") -> list[str]:
        """The names of the losses beside their total: what one loss_fn returns, or of each its."""
        parts = [name for name in map(reported_name, seen.losses if seen else ()) if name != "loss"]
        return parts or self.loss_names()

    def larger_is_better(self, seen: "DryRun | None" = None) -> dict[str, bool | None]:
        """Of each number in a report, whether a larger one is better; None if it is unknown."""
        metrics = {
            name: larger_is_better(self.metrics[metric], value.part, value.name)
            for name, metric, value in self.values(seen)
            if value.number
        }
        return dict.fromkeys(["loss", *self.names_of_losses(seen)], False) | metrics

    # ---- for one call, with the structure of its batches

    def variables_beside(self, seen: "DryRun") -> set[str]:
        """The variables of losses, metrics, a batch's parts and outputs.

        Raises:
            ValueError: a part of a batch has the name of one that is no part of it.
        """
        outputs = seen.outputs or OutputStructure()
        others = {*self.loss_fns, *self.metrics, *variables(outputs.pattern)}
        parts = seen.structure.roots()
        if twice := sorted(others & parts):
            raise ValueError(
                f"a part of a batch is called {twice[0]!r}, which has another meaning in the loop. "
                "Give that input, label or field another name."
            )
        return others | parts

    def ways(
        self,
        name: str,
        structure: BatchStructure,
        outputs: OutputStructure,
        calls: Mapping[str, Arguments] = MappingProxyType({}),
    ) -> list[list[Arguments]]:
        """The ways to call a loss_fn or metric: the first ones that can run are those to take.

        If several of one list can run, it is not clear which one is meant.

        Args:
            name: its variable.
            structure: of the batches.
            outputs: the network's.
            calls: of the losses, as far as they are known: a metric compares the same labels.
        """
        of_output = partial(self.of_output, name, structure, outputs, calls)
        key = self.outputs[name]
        if key is not None:
            return [of_output(self.place_of_output(key, outputs))]
        if name in self.loss_fns:
            return ways_to_compare(signature_of_loss(self.loss_fns[name]), structure, outputs)
        takes = Signature.of(self.metrics[name].update)
        if takes.any_number and not takes.names:
            return [[in_order(outputs.paths, structure.labels)]]
        ways = ways_to_compare(takes, structure, outputs)
        if takes.needed != 2 or not structure.labels:
            return ways
        places = range(len(outputs.paths))
        called = [i for i in places if outputs.paths[i] in self.predictions(outputs, calls)]
        pairs = [[way for i in some for way in of_output(i)] for some in (called, places) if some]
        return [*pairs, *ways]

    def predictions(self, outputs: OutputStructure, calls: Mapping[str, Arguments]) -> list[Path]:
        """The outputs that are called predictions, by the network or by the loss: logits."""
        called = [part.path for part in outputs.parts() if is_prediction(part.name or "")]
        for loss, loss_fn in self.loss_fns.items():
            takes, call = signature_of_loss(loss_fn).by_place, calls.get(loss, ())
            given = [(key or name, path) for name, (key, path) in zip(takes, call, strict=False)]
            called += [path for name, path in given if is_prediction(name)]
        return called

    def place_of_output(self, key: Any, outputs: OutputStructure) -> int:
        """Which output a loss or metric is for."""
        place = place_of(key, outputs.paths, list(dict.fromkeys(self.outputs.values())))
        if place is None:
            there = outputs.keys or range(len(outputs.paths))
            raise ValueError(
                f"a loss or metric is for the output {key!r}, but the network's outputs are "
                f"{', '.join(map(repr, there))}. Name one of these. (In a "
                'report, a metric is called so: Accuracy(name="top1").)'
            )
        return place

    def of_output(
        self,
        name: str,
        structure: BatchStructure,
        outputs: OutputStructure,
        calls: Mapping[str, Arguments],
        place: int,
    ) -> list[Arguments]:
        """The ways to compare one output, mostly one.

        It is compared with the label that its loss compares with it; else with the one of its
        name; else by place. Where the labels all have other names, each is tried.
        """
        output, parts = outputs.parts()[place], structure.label_parts()
        given = output.name or self.outputs[name]
        of_loss = self.label_of_loss(output, structure, calls) if name in self.metrics else None
        named = [part for part in parts if alike(part.name, given)]
        called = [part for part in parts if is_label(part.name)]
        have_order = output.name is None and 1 < len(parts) == len(outputs.paths)
        if of_loss is not None:
            labels = [of_loss]
        elif named or not all(part.optional for part in parts) or have_order:
            labels = [(named or [parts[min(place, len(parts) - 1)]])[0].path]
        else:
            labels = [part.path for part in called[:1] or parts]
        return [in_order((output.path,), (label,)) for label in labels] or [
            in_order((output.path,), ())
        ]

    def label_of_loss(
        self, output: Part, structure: BatchStructure, calls: Mapping[str, Arguments]
    ) -> Path | None:
        """The label that a loss compares with an output: its one label, or what it calls so."""
        for loss, loss_fn in self.loss_fns.items():
            takes, call = signature_of_loss(loss_fn), calls.get(loss, ())
            paths = [path for _, path in call]
            labels = [path for path in paths if path in structure.labels]
            called = dict(zip(takes.by_place, paths, strict=False)) | dict(call)
            words = [called[name] for name in takes.labels() if called.get(name) in labels]
            if self.outputs[loss] is not None and output.path not in paths:
                continue
            if len(labels) == 1 or len(words) == 1:
                found: Path = labels[0] if len(labels) == 1 else words[0]
                return found
        return None

    def options(
        self, seen: "DryRun", together: bool = False, others: Iterable[str] = ()
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """The options of `unroll` for a call, and the means that it needs by their variables.

        Args:
            seen: what the dry run found.
            together: do several processes count?
            others: variables that have another meaning in this loop, such as callbacks.
        """
        options = seen.reduction.options()
        samples = seen.samples or seen.structure.samples()
        options |= {"SAMPLES": Code(samples)} if seen.structure.counts is not None else {}
        size = "batch_weight" if seen.reduction.weight else samples
        if seen.reduction.may_be_zero and seen.outputs and seen.outputs.paths != (("y_hat",),):
            options["AN_OUTPUT"] = code(seen.outputs.paths[0])
        if not self.loss_fns:
            options["LOSSES"] = "none"
        of_outputs = self.loss_names()
        reported = self.values(seen)
        self.check_names(seen)
        taken = {*others, *self.variables_beside(seen)}
        if seen.losses_have_keys:
            losses = {reported_name(key): code(("losses", key)) for key in seen.losses}
        else:
            names = list(seen.losses or of_outputs)
            losses = dict(zip(names, unlike_each(map(of_loss, names), taken), strict=True))
            options |= {"losses": tuple(losses.values())} if seen.losses else {}
        if losses:
            total = losses.pop("loss", None) or " + ".join(losses.values())
            options |= {"LOSSES": "several", "TOTAL_LOSS": Code(total)}
        outputs = seen.outputs or OutputStructure()
        calls = dict(seen.calls)
        for name in (*self.loss_fns, *self.metrics):
            if name not in calls:  # it was not looked at
                calls[name] = self.ways(name, seen.structure, outputs, calls)[0][0]
        plain = in_order(outputs.paths, seen.structure.labels)
        if calls.get("loss_fn", plain) != plain:
            options["LOSS_CALL"] = call_code("loss_fn", calls["loss_fn"])
        if of_outputs:
            options["LOSSES"] = "each"
            options["LOSS_FNS"] = tuple(
                (loss, Code(variable), *compared(calls[variable]))
                for loss, variable in zip(losses.values(), self.loss_fns, strict=True)
            )
        taken |= set(losses.values())
        weights = unlike_each([f"{of_loss(name)}_weight" for name in losses], taken)
        of_means = unlike_each([f"{of_loss(name)}_mean" for name in losses], taken | {*weights})
        means = dict(zip(of_means, losses.items(), strict=True))
        counted_as = weights_of_losses(seen.reduction, list(losses.values()), weights, size)
        options["METRICS"] = (
            *((mean, *counted) for mean, counted in zip(means, counted_as, strict=True)),
            *((name, *compared(calls[name])) for name in self.metrics),
        )
        counters: dict[str, Any] = {mean: Mean(name) for mean, (name, _) in means.items()}
        own = [(name, mean, Value(name)) for mean, (name, _) in means.items()]
        values = [*own, *reported]
        totals = list(means)
        if together:
            counted = counters | self.metrics
            values = [(name, in_all(metric, counted), value) for name, metric, value in values]
            totals = [in_all(mean, counted) for mean in totals]
        if seen.reduction.each:
            options["TOTAL_MEAN"] = Code(" + ".join(f"{mean}.compute()" for mean in totals))
            options["LOSS_WEIGHTS"] = tuple(
                (weight, Code(its.weight), loss, output, its.may_be_zero)
                for its, weight, (loss, _, output, _) in zip(
                    seen.reduction.each, weights, options["LOSS_FNS"], strict=True
                )
                if its.weight
            )
        for option, numbers in (("VALUES", True), ("OTHER_VALUES", False)):
            options[option] = tuple(
                (name, metric, value.part, bool(value.undefined))
                for name, metric, value in values
                if value.number is numbers
            )
        return options, counters


def weights_of_losses(
    reduction: "Reduction", losses: list[Code], weights: list[Code], size: str
) -> list[tuple[Code, Code]]:
    """How each of several losses counts in its mean: its value, and the weight of that."""
    counted = []
    for i, (loss, own_weight) in enumerate(zip(losses, weights, strict=True)):
        own = reduction.each[i] if reduction.each else None
        kind = own.kind if own else (*reduction.parts, *[reduction.kind] * len(losses))[i]
        weight = own_weight if own and own.weight else size
        counted.append((Code(f"{loss} / {weight}") if kind == "sum" else loss, Code(weight)))
    return counted


def by_output(parts: Any) -> list[tuple[Any, Any]]:
    """Pairs of an output's key, or its number, and what is for it; one thing is for all: None."""
    if isinstance(parts, Mapping):
        return list(parts.items())
    if isinstance(parts, list | tuple):
        return list(enumerate(parts))
    return [] if parts is None else [(None, parts)]


def place_of(key: Any, paths: tuple[Path, ...], keys: list[Any]) -> int | None:
    """Which of the paths is meant by a key: y_hat["digit"] or digit by 'digit', else by order."""
    for place, path in enumerate(paths):
        if path[-1] == key and (len(path) > 1 or isinstance(key, str)):
            return place
    if isinstance(key, int):
        return key if key < len(paths) else None
    named = any(len(path) > 1 and isinstance(path[-1], str) for path in paths)
    return None if named or key not in keys or len(keys) > len(paths) else keys.index(key)


def ways_to_compare(
    takes: Signature, structure: BatchStructure, outputs: OutputStructure
) -> list[list[Arguments]]:
    """The ways to give outputs and labels to what takes them: each by itself, or all as they are.

    A dict of outputs, or of labels, may be one argument: loss(outputs, labels).
    """
    guess, truth = outputs.parts(), structure.label_parts()
    ways = [matched(takes, guess, truth, structure.named_inputs())]
    compared = [part for part in guess if part.name != "loss" or "loss" in takes.names]
    if len(compared) < len(guess):  # the network's own loss is not what another one compares
        ways[0] = matched(takes, compared, truth, structure.named_inputs()) or ways[0]
    ways[0] = ways[0] or [in_order(outputs.paths, structure.labels)]  # which fails, and says why
    all_outputs, all_labels = [Part(outputs.whole())], [Part(structure.whole_labels())]
    dict_of_labels = len(truth) > 1 or any(len(path) > 1 for path in structure.labels)
    for some in [all_outputs, guess] if outputs.keys or len(guess) > 1 else [guess]:
        for others in [all_labels, truth] if dict_of_labels else [truth]:
            if some is not guess or others is not truth:
                ways.append(matched(takes, some, others))
    return [each for each in ways if each]


def in_order(outputs: tuple[Path, ...], labels: tuple[Path, ...]) -> Arguments:
    """A call with the outputs, and then the labels."""
    return tuple((None, path) for path in (*outputs, *labels))


def compared(arguments: Arguments) -> tuple[Any, Any]:
    """What is compared, as code: an output and a label, or all that is given, and no more."""
    paths = tuple(path for _, path in arguments)
    return (code(paths[0]), code(paths[1])) if len(paths) == 2 else (several(paths), ())


def reported_name(key: Any) -> str:
    """The name under which a loss is reported that has this key, or this number."""
    return key if isinstance(key, str) else f"loss_{key}"


def in_all(metric: Code, metrics: Mapping[str, Any]) -> Code:
    """Code for a metric of several processes; torchmetrics' ask each other by themselves."""
    return Code(f"all_reduced({metric})") if hasattr(metrics[metric], "sums") else metric


def several(paths: tuple[Path, ...]) -> Any:
    """Code for one path, or a tuple of codes for several."""
    return code(paths[0]) if len(paths) == 1 else codes(paths)


def of_loss(name: str) -> str:
    """What the variable of a loss is called that is reported under this name: loss_digit."""
    return name if name.startswith("loss_") else f"loss_{name}"


def placed(part: Any, device: str) -> Any:
    """A loss or metric that is a module, on the device."""
    return part.to(device) if isinstance(part, nn.Module) else part
