"""The dry run before a call: the first batch goes through network, losses and metrics.

So wrong data is refused before anything is trained, changed or lost, and the structure of a batch
is inferred, and that of what the network returns.
"""

import copy
import errno
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import torch
from torch import nn

from tutorial import checks
from tutorial.checks import kind_of, kinds_of
from tutorial.inputs.data_source import DataSource
from tutorial.inputs.isolation import UnknownError, is_known, without_trace
from tutorial.inputs.labels import labels_fit, pairs_fit, scores_fit, views_fit
from tutorial.inputs.matching import (
    Arguments,
    signature_of_loss,
    signature_of_network,
    the_one_that_runs,
)
from tutorial.inputs.readings import readings
from tutorial.inputs.reduction import Compared, Reduction, reduction_of, samples_code, together
from tutorial.inputs.spec import InputSpec
from tutorial.inputs.structure import (
    BatchStructure,
    OutputStructure,
    Path,
    bind,
    call_code,
    code,
    first_two,
    is_array,
    is_nested,
    leaves,
    numbered,
    tree_map,
    value_at,
    values_of,
    variables,
)


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
            warnings.warn(f"{source.name}: {more.reduction.warning}", stacklevel=2)
        found.append(more)


def of_source(source: DataSource, model: Any, learning: bool, stacking: bool) -> Iterator[DryRun]:
    """What is found of one source."""
    try:
        batches = source.batches()
        batch = next(batches)
    except (StopIteration, EOFError, ConnectionError) as error:  # a pipe or socket has no copy
        raise UnknownError from error
    except OSError as error:
        if error.errno in (errno.EBADF, errno.ENOTSOCK, errno.ENOTCONN):
            raise UnknownError from error
        raise
    name, predicting = source.name, source.name == "test_data"
    labelled(name, batch, model, predicting)
    structure = reading(name, batch, model, predicting, learning)
    names = tree_map(partial(moved, device=model.device), structure.unpack(batch))
    x = values(structure.inputs, names)
    movable(name, zip(map(code, structure.inputs), x, strict=True), model.device)
    fitting = specs_fit(name, structure, x, model.inputs)
    inputs = described(structure, names, x, fitting)
    yield (found := DryRun(structure, inputs=inputs))
    y_hat = _network(name, structure, names, model)
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
            stackable(name, [y_hat, _network(name, structure, names, model)])
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


def step_fits(optimizer: torch.optim.Optimizer, losses: list[torch.Tensor]) -> None:
    """Refuse an optimizer of the user's that is not served by one step for each loss."""
    if hasattr(optimizer, "train"):
        optimizer.train()
    torch.autograd.backward(losses, retain_graph=True)
    try:
        optimizer.step()
    except Exception as error:
        reason = f"whose step() fails, {type(error).__name__}: {error}" if str(error) else ""
        raise ValueError(
            f"optimizer is {type(optimizer).__name__}, {reason or 'whose step() fails'}; "
            f"{checks.ONE_STEP}"
        ) from error


def stored_at(source: DataSource, roots: list[str], label: Path) -> torch.Tensor | None:
    """All labels of one path, if they lie together; the roots are the variables of a batch."""
    return source.labels(roots.index(label[0])) if len(label) == 1 else None


def labelled(name: str, batch: Any, model: Any, predicting: bool) -> None:
    """Refuse data without labels, where the loss asks for them."""
    losses = list(model.measures.loss_fns.values())
    alone = is_array(batch) or (is_nested(batch) and len(batch) == 1)
    unsaid = model.inputs is None and model.labels is None
    if alone and unsaid and not predicting and any(signature_of_loss(f).labels() for f in losses):
        raise ValueError(
            f"{name} gives {kind_of(batch)} for a batch, but a pair (x, y) of inputs and labels is "
            "expected. Two tensors become pairs with TensorDataset(x, y); an autoencoder's label "
            "is its input, TensorDataset(x, x); for a loss without labels, say that there are "
            "none: Model(network, labels=[])."
        )


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
        y_hat = _network(name, structure, names, model)
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
            return _loss(name, loss_fn, way, names, guess, truth)

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
                    model.device,
                )
            )
        )
        losses.append(loss[0] if reductions[-1].given else loss)
        if name != "eval_data":  # one warning is enough
            scores_fit(name, guess, truth, loss_fn)
            if not pairs_fit(name, first_two(guess), first_two(truth), loss_fn):
                reductions[-1] = replace(reductions[-1], warning="")  # of which that is the cause
            views_fit(name, value_at(structure.inputs[0], names), guess, truth, loss_fn)
    for variable, metric in measures.metrics.items():
        parts = [part for _, of, part in measures.values if of == variable]
        ways = measures.ways(variable, structure, outputs, calls)
        asked = partial(unclear, name, f"{variable}.update", outputs)
        measure = partial(_metric, name, metric, parts, names, outputs)
        calls[variable], _ = the_one_that_runs(ways, measure, asked)
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
    )
    return found, listed


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


def compared_values(
    way: Arguments, names: dict[str, Any], outputs: OutputStructure
) -> tuple[list[Any], list[Any]]:
    """What a call compares: outputs and labels."""
    paths = [path for _, path in way]
    guess = [path for path in paths if path in outputs.paths or path == outputs.whole()]
    return values(guess, names), values([path for path in paths if path not in guess], names)


def label_of(way: Arguments) -> Path:
    """The path of the label in a call with an output and a label: what is no output."""
    paths = [path for _, path in way]
    named = [path for path in paths if not str(path[0]).startswith("y_hat")]
    label: Path = named[-1] if named else paths[-1]
    return label


def paths_of(way: Arguments) -> list[Path]:
    """All paths in a call."""
    found: list[Path] = []
    for _, path in way:
        found += [path] if isinstance(path[0], str) else paths_of(tuple((None, p) for p in path))
    return found


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
    if not norms or source.last_batch() != 1 or model.world_size > 1:  # then a batch is split
        return
    try:
        by_place, by_name = structure.call_arguments(tree_map(first_one, names))
        with model.precision.autocast():
            model.network(*by_place, **by_name)
    except ValueError as error:
        if "more than 1 value per channel" not in str(error):
            return
        raise ValueError(
            f"{source.name}: its last batch has one sample, of which {type(norms[0]).__name__} "
            "cannot take a variance. Leave it out, drop_last=True, or choose another batch_size."
        ) from error


def first_one(leaf: Any) -> Any:
    """The first sample of a tensor; anything else as it is."""
    return leaf[:1] if isinstance(leaf, torch.Tensor) and leaf.dim() else leaf


def moved(leaf: Any, device: str) -> Any:
    """A tensor on the device; anything else as it is."""
    return leaf.to(device) if isinstance(leaf, torch.Tensor) else leaf


def movable(name: str, parts: Iterable[tuple[str, Any]], device: str) -> None:
    """Refuse what the loop could not move to a GPU: lists and strings stay where they are."""
    for written, part in parts:
        if device != "cpu" and not hasattr(part, "to"):
            raise ValueError(
                f"{name}: {written} is {kind_of(part)}, which the loop cannot move to {device}: it "
                "has no method to(device). Make one tensor of it in collate_fn, or an object of a "
                "class with that method."
            )


def detached(leaf: Any) -> Any:
    """A tensor without its gradient; anything else as it is."""
    return leaf.detach() if isinstance(leaf, torch.Tensor) else leaf


def values(paths: Iterable[Path], names: dict[str, Any]) -> list[Any]:
    """What stands there."""
    return [value_at(path, names) for path in paths]


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
            raise ValueError(
                f"the loss function returns {kind_of(loss)}, but one number is expected, a tensor "
                'of shape (). Let it average over the batch: reduction="mean", or loss.mean().'
            )
    if listed and learning and not any(loss.requires_grad for loss in listed):
        raise ValueError(
            "the loss does not depend on the network's weights, so nothing can be learned. "
            "Somewhere between them is a detach(), an item(), an argmax() or a torch.no_grad()."
        )
    if not all(torch.isfinite(loss).all() for loss in listed):
        warnings.warn(
            f"{name}: the loss of the first batch is {[loss.item() for loss in listed]}, not a "
            "finite number. Look for nan, inf or a division by zero in the inputs and the loss.",
            stacklevel=2,
        )


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


def _network(name: str, structure: BatchStructure, names: dict[str, Any], model: Any) -> Any:
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


def _loss(
    name: str,
    loss_fn: Any,
    way: Arguments,
    names: dict[str, Any],
    guess: list[Any],
    truth: list[Any],
) -> Any:
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


def _metric(
    name: str,
    metric: Any,
    parts: list[Any],
    names: dict[str, Any],
    outputs: OutputStructure,
    way: Arguments,
) -> None:
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
