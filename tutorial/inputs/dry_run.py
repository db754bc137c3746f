"""The dry run before a call: the first batch goes through network, losses and metrics.

So wrong data is refused before anything is trained, changed or lost, and the structure of a batch
is inferred, and that of what the network returns.
"""

import errno
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import torch
from torch import nn

from tutorial import checks
from tutorial.inputs.data_source import DataSource
from tutorial.inputs.isolation import UnknownError, is_known, without_trace
from tutorial.inputs.labels import labels_fit, pairs_fit, scores_fit, views_fit
from tutorial.inputs.logits import taken_as, wants_to_know, warn_of_guess
from tutorial.inputs.matching import Arguments, the_one_that_runs
from tutorial.inputs.metric_values import Value
from tutorial.inputs.readings import readings
from tutorial.inputs.reduction import Compared, Reduction, samples_code, together
from tutorial.inputs.refusals import (
    filled,
    first_of,
    labelled,
    last_batch_fits,
    modes_differ,
    movable,
    numbers_fit,
    parts_fit,
    specs_fit,
    stackable,
    step_fits,
    unclear,
    undecided,
)
from tutorial.inputs.spec import InputSpec
from tutorial.inputs.structure import (
    BatchStructure,
    OutputStructure,
    Path,
    bind,
    code,
    first,
    leaves,
    numbered,
    tree_map,
    value_at,
    values_of,
)
from tutorial.inputs.torch_losses import reduction_of
from tutorial.inputs.trying import call_loss, call_metric, call_network, compared_values, values


@dataclass(frozen=True)
class DryRun:
    """What a dry run found out.

    Attributes:
        structure: how a batch is unpacked.
        outputs: what the network returns; None if that was not found out: one tensor, then.
        losses: of several losses that one loss_fn returns, their names.
        losses_have_keys: whether it returns them in a dict.
        reduction: how the loss reduces a batch to one number.
        samples: code for the number of samples in a batch, if not what the structure says.
        inputs: an InputSpec for each input, nested as the network is called with them: in a list
            by place, in a dict by keyword; None if no sample could be looked at.
        calls: what each loss_fn and metric is called with.
        values: what each metric reports.
        unused: where several processes train, each with all weights: whether the loss depends on
            fewer than all of them.
    """

    structure: BatchStructure
    outputs: OutputStructure | None = None
    losses: tuple[str, ...] = ()
    losses_have_keys: bool = False
    reduction: Reduction = field(default_factory=Reduction)
    samples: str | None = None
    inputs: Any = None
    calls: Mapping[str, Arguments] = field(default_factory=dict)
    values: Mapping[str, list[Value]] = field(default_factory=dict)
    unused: bool = False


def dry_run(
    sources: list[DataSource], model: Any, training: bool = False, stacking: bool = False
) -> list[DryRun]:
    """Send the first batch of each source through network, losses and metrics; explain what fails.

    It is the batch that the loop's own loader gives first, and the network is in the mode in which
    it will run. Nothing changes by it, see isolation.py. What cannot be found out so, is not
    guessed: then an error comes from the loop, at its first step.

    Args:
        sources: the data; of a fit, the training data first.
        model: the Model.
        training: whether the network is trained on the first source.
        stacking: whether its outputs are joined to one tensor.

    Returns:
        What was found of each source.

    Raises:
        ValueError: something does not fit; the message says what, and what to do.
    """
    found: list[DryRun] = []
    if model.check:
        with suppress(UnknownError):
            look = partial(look_at, training=training, stacking=stacking)
            found = without_trace(look, sources, model)
    unseen = [declared(source.name, model) for source in sources[len(found) :]]
    if found:  # both must hold the same parts
        unseen = [replace(each, structure=found[0].structure) for each in unseen]
    return [*found, *unseen]


def look_at(
    sources: list[DataSource], model: Any, training: bool, stacking: bool
) -> Iterator[list[DryRun]]:
    """What is found, more and more: the structure of a batch, the outputs', then all."""
    found: list[DryRun] = []
    for source in sources:
        learning = training and source is sources[0]
        model.network.train(learning and not source.aside)  # where dropout draws
        try:
            with torch.set_grad_enabled(learning):
                for more in of_source(source, model, learning, stacking):
                    if found and more.outputs not in (None, found[0].outputs):
                        raise ValueError(modes_differ(model.network))
                    yield [*found, more]
        except UnknownError:
            raise
        except Exception as error:
            first = "" if source.name == "the batch" else "the first batch of "
            error.add_note(f"(in a dry run with {first}{source.name}; nothing changed)")
            raise
        if not found and more.reduction.warning:
            checks.warn(f"{source.name}: {more.reduction.warning}")
        found.append(more)


def of_source(source: DataSource, model: Any, learning: bool, stacking: bool) -> Iterator[DryRun]:
    """What is found of one source."""
    try:
        batches = source.batches()
        batch = first_of(source.name, batches)
    except (StopIteration, EOFError, ConnectionError) as error:  # a pipe or socket has no copy
        raise UnknownError from error
    except OSError as error:
        if error.errno in (errno.EBADF, errno.ENOTSOCK, errno.ENOTCONN):
            raise UnknownError from error
        raise
    name, predicting = source.name, source.name == "test_data"
    filled(f"{name}: a batch", batch, measured=not predicting)
    labelled(name, batch, model, predicting)
    structure = reading(name, batch, model, predicting, learning)
    names = tree_map(partial(moved, device=model.device), structure.unpack(batch))
    x = values(structure.inputs, names)
    movable(name, zip(map(code, structure.inputs), x, strict=True), model.device)
    fitting = specs_fit(name, structure, x, model.inputs)
    inputs = described(structure, names, x, fitting)
    yield (found := DryRun(structure, inputs=inputs))
    y_hat = call_network(name, structure, names, model)
    outputs = OutputStructure.of(y_hat)
    labels = () if predicting else structure.labels
    at = partial(value_at, names=names | bind(outputs.pattern, y_hat))
    samples = samples_code(structure.inputs[0], outputs.paths[0], labels, at, source.stacks)
    yield (found := replace(found, outputs=outputs, samples=samples))
    if predicting:
        yield replace(found, outputs=OutputStructure.of_prediction(y_hat))
        if stacking:
            again = next(batches, batch)
            names = tree_map(partial(moved, device=model.device), structure.unpack(again))
            stackable(name, [y_hat, call_network(name, structure, names, model)])
        return
    known = partial(stored_at, source, list(names))
    found, losses = measured(name, structure, y_hat, names, known, model, learning, source.stacks)
    used = found.structure.labels
    movable(name, ((code(path), at(path)) for path in used), model.device)
    samples = samples_code(structure.inputs[0], outputs.paths[0], used, at, source.stacks)
    asked = learning and model.world_size > 1 and not model.sharded
    unused = asked and some_unused(losses, model.network)
    yield replace(found, inputs=inputs, unused=unused, samples=samples)
    if learning and not is_known(model.optimizer):
        step_fits(model.optimizer, losses)
    if learning:
        last_batch_fits(source, structure, names, model)


def stored_at(source: DataSource, roots: list[str], label: Path) -> torch.Tensor | None:
    """All labels of one path, if they lie together; the roots are the variables of a batch."""
    return source.labels(roots.index(label[0])) if len(label) == 1 else None


def reading(name: str, batch: Any, model: Any, predicting: bool, learning: bool) -> BatchStructure:
    """How the batch is read: of several ways the one in which network, losses and metrics run."""
    losses = list(model.measures.loss_fns.values())
    said = (model.network, model.inputs, model.labels)
    ways = readings(batch, *said, predicting, losses)
    if len(ways) == len(ways[0]) == 1:
        return ways[0][0]
    in_full = readings(batch, *said, False, losses)
    places = [[(i, j) for j in range(len(alike))] for i, alike in enumerate(ways)]

    def run(place: tuple[int, int], with_loss: bool = True) -> None:
        structure = in_full[place[0]][place[1]]
        names = tree_map(partial(moved, device=model.device), structure.unpack(batch))
        y_hat = call_network(name, structure, names, model)
        if with_loss:
            measured(name, structure, y_hat, names, lambda _: None, model, learning)

    def asked(found: list[tuple[int, int]]) -> str:
        return undecided(name, [in_full[i][j] for i, j in found], model)

    if predicting:  # a test set may have no labels, or wrong ones: the loss is asked if it can be
        able = [[p for p in some if runs(partial(run, p, with_loss=False))] for some in places]
        comparing = [[p for p in some if losses and runs(partial(run, p))] for some in able]
        [some] = [some for some in (*comparing, *able) if some][:1] or places[:1]
        if len(some) > 1:
            raise ValueError(asked(some))
        i, j = some[0]
    else:
        (i, j), _ = the_one_that_runs(places, run, asked)
    return ways[i][j]


def runs(attempt: Callable[[], Any]) -> bool:
    """Whether it runs through."""
    try:
        attempt()
    except Exception:
        return False
    return True


def declared(name: str, model: Any) -> DryRun:
    """Of batches that were not looked at: what Model(inputs=..., labels=...) says of them."""
    predicting = name == "test_data"
    several = max(len(model.measures.loss_fns), 1)
    x = [spec.name for spec in model.inputs or ()]
    y = [spec.name for spec in model.labels or ()]
    x = [a or b for a, b in zip(x, numbered("x", len(x)), strict=True)] or ["x"]
    y = [a or b for a, b in zip(y, numbered("y", len(y)), strict=True)]
    y = y if model.labels is not None else numbered("y", several)
    unknown = predicting and len(x) == 1
    structure = BatchStructure(
        x[0] if unknown else (*x, *(["*_"] if predicting else y)),
        tuple((name,) for name in x),
        tuple((name,) for name in y),
        labels_unknown=unknown,
    )
    reduction = Reduction()
    if len(y) == len(model.measures.loss_fns) == 1:
        [(variable, loss_fn)] = model.measures.loss_fns.items()
        label, device = (y[0],), model.device
        indices = torch.zeros(1, dtype=torch.int64)  # what the labels are, most likely
        reduction = reduction_of(Compared(variable, loss_fn, label, indices, device=device))
    outputs = OutputStructure() if several == 1 else OutputStructure.of([0.0] * several)
    return DryRun(structure, outputs, reduction=reduction)


def measured(
    name: str,
    structure: BatchStructure,
    y_hat: Any,
    names: dict[str, Any],
    known: Callable[[Path], torch.Tensor | None],
    model: Any,
    learning: bool,
    alike: bool = True,
) -> tuple[DryRun, list[torch.Tensor]]:
    """What was found once losses and metrics were seen to fit, and the losses."""
    outputs, measures = OutputStructure.of(y_hat), model.measures
    names = names | bind(outputs.pattern, y_hat)
    losses: list[Any] = []
    reductions: list[Reduction] = []
    calls: dict[str, Arguments] = {}

    def loss_of(way: Arguments) -> Any:
        guess, truth = compared_values(way, names, outputs)
        if len(guess) == len(truth) == 1:
            labels_fit(name, guess[0], truth[0], known(label_of(way)), loss_fn)
        with model.precision.autocast():
            return call_loss(name, loss_fn, way, names, guess, truth)

    for variable, loss_fn in measures.loss_fns.items():
        ways = measures.ways(variable, structure, outputs)
        asked = partial(unclear, name, variable, outputs)
        calls[variable], loss = the_one_that_runs(ways, loss_of, asked)
        guess, truth = compared_values(calls[variable], names, outputs)
        alone = len(guess) == len(truth) == 1
        label = label_of(calls[variable]) if alone else None
        given = values_of(calls[variable], names)
        reductions.append(
            reduction_of(
                Compared(
                    variable,
                    loss_fn,
                    label,
                    truth[0] if alone else None,
                    known(label) if label else None,
                    alike,
                    given,
                    places_in(calls[variable], names),
                    model.device,
                )
            )
        )
        losses.append(loss[0] if reductions[-1].given else loss)
        if name != "eval_data":  # one warning is enough
            scores_fit(name, guess, truth, loss_fn)
            if not pairs_fit(name, first(2, guess), first(2, truth), loss_fn):
                reductions[-1] = replace(reductions[-1], warning="")  # of which that is the cause
            views_fit(name, value_at(structure.inputs[0], names), guess, truth, loss_fn)
    taken = taken_by_losses(measures, calls, names, outputs)
    reported: dict[str, list[Value]] = {}
    for variable, metric in measures.metrics.items():
        ways = measures.ways(variable, structure, outputs, calls)
        asked = partial(unclear, name, f"{variable}.update", outputs)
        measure = partial(call_metric, name, metric, names, outputs, taken, known)
        calls[variable], reported[variable] = the_one_that_runs(ways, measure, asked)
        if name != "eval_data":
            paths = [path for path in paths_of(calls[variable]) if path in taken]
            warn_of_guess(name, metric, [taken[path] for path in paths])
    structure = structure.using(path for way in calls.values() for path in paths_of(way))
    returned = losses[0] if len(losses) == 1 else None
    listed = numbers_of(losses if returned is None else returned)
    reduction = together(reductions)
    if not reduction.is_zero:  # of which the mean is nan
        numbers_fit(name, listed, learning)
    found = DryRun(
        structure,
        outputs,
        loss_names(returned),
        isinstance(returned, Mapping),
        reduction,
        calls=calls,
        values=reported,
    )
    return found, listed


def taken_by_losses(
    measures: Any, calls: Mapping[str, Arguments], names: dict[str, Any], outputs: OutputStructure
) -> dict[Path, tuple[str, str]]:
    """What the losses take outputs as, logits or probabilities, if a metric wants to know."""
    if not any(map(wants_to_know, measures.metrics.values())):
        return {}
    found: dict[Path, tuple[str, str]] = {}
    for variable, loss_fn in measures.loss_fns.items():
        by_place, by_name = values_of(calls[variable], names)
        taken = taken_as(partial(loss_fn, *by_place, **by_name), values(outputs.paths, names))
        found |= {outputs.paths[place]: what for place, what in taken.items()}
    return found


def label_of(way: Arguments) -> Path:
    """The path of the label in a call with an output and a label: what is no output."""
    paths = [path for _, path in way]
    named = [path for path in paths if not str(path[0]).startswith("y_hat")]
    label: Path = named[-1] if named else paths[-1]
    return label


def places_in(way: Arguments, names: dict[str, Any]) -> tuple[str | None, ...]:
    """Code for each tensor that a call gets from the batch, by place, then by keyword."""
    ordered = sorted(way, key=lambda argument: argument[0] is not None)
    paths = [
        leaf for path in paths_of(tuple(ordered)) for leaf, _ in leaves(path, value_at(path, names))
    ]
    return tuple(None if str(path[0]).startswith("y_hat") else code(path) for path in paths)


def paths_of(way: Arguments) -> list[Path]:
    """All paths in a call."""
    found: list[Path] = []
    for _, path in way:
        found += [path] if isinstance(path[0], str) else paths_of(tuple((None, p) for p in path))
    return found


def moved(leaf: Any, device: str) -> Any:
    """A tensor on the device; anything else as it is."""
    return leaf.to(device) if isinstance(leaf, torch.Tensor) else leaf


def loss_names(returned: Any) -> tuple[str, ...]:
    """The names of several losses that one loss_fn returns."""
    if isinstance(returned, Mapping):
        return tuple(returned)
    if isinstance(returned, list | tuple):
        return tuple(f"loss_{i}" for i in range(len(returned)))
    return ()


def numbers_of(losses: Any) -> list[Any]:
    """One loss, or several in a list or a dict, as a list; of a dict with a total that alone."""
    if isinstance(losses, Mapping):
        parts_fit(losses)
        return [losses["loss"]] if "loss" in losses else list(losses.values())
    return list(losses) if isinstance(losses, list | tuple) else [losses]


def some_unused(losses: list[torch.Tensor], network: nn.Module) -> bool:
    """Whether there are weights to train on which the losses do not depend."""
    weights = [weight for weight in network.parameters() if weight.requires_grad]
    loss = torch.stack([loss.float() for loss in losses]).sum()
    gradients = torch.autograd.grad(loss, weights, allow_unused=True, retain_graph=True)
    return any(gradient is None for gradient in gradients)


def described(
    structure: BatchStructure, names: dict[str, Any], x: list[Any], fitting: list[Any]
) -> Any:
    """The inputs' InputSpecs, nested as the network is called; None if it takes other things."""
    if not all(isinstance(part, torch.Tensor) and part.dim() and part.numel() for part in x):
        return None
    seen = [InputSpec((None, *part.shape[1:]), part.dtype) for part in x]
    pairs = zip(x, [*fitting, *seen[len(fitting) :]], strict=True)
    known = {id(part): spec for part, spec in pairs}
    by_place, by_name = structure.call_arguments(names)
    given = [part for _, part in leaves((), by_name or by_place)]
    if any(id(part) not in known for part in given):  # labels, too
        return None
    return tree_map(lambda part: known[id(part)], by_name or by_place)
