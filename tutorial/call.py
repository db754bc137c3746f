"""One call of a Model: its arguments, and all that is decided before its loop begins."""

import math
import time
import weakref
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from inspect import Parameter
from types import MappingProxyType
from typing import Any

import torch

from tutorial import checks
from tutorial.callbacks import Insight
from tutorial.depth.kernels import named_in
from tutorial.device import set_rng_state
from tutorial.display import choose
from tutorial.display.insight import Picture, panels_of
from tutorial.display.report import Report
from tutorial.distributed import process_group
from tutorial.inputs.data_source import DataSource, look
from tutorial.inputs.dry_run import DryRun, declared, dry_run
from tutorial.inputs.readings import structure_of
from tutorial.inputs.refusals import filled
from tutorial.inputs.structure import (
    BatchStructure,
    OutputStructure,
    in_hand,
    leaves,
    pattern_code,
)
from tutorial.inputs.torch_losses import ignores_some
from tutorial.loop.options import Code
from tutorial.parameters import checked, parameters_of
from tutorial.saving import resume
from tutorial.saving.parts import Parts, modules_in
from tutorial.unroll.hooks import Hooks, register
from tutorial.unroll.program import Program
from tutorial.unroll.unroll import defaults

Insight.picture = Picture  # the callback measures, and the display draws


@dataclass(frozen=True)
class Call:
    """A method of `Model` and its arguments: complete, checked, never changed.

    Attributes:
        method: 'fit', 'evaluate', 'predict', 'train_batch', 'eval_batch' or 'predict_batch'.
        arguments: a value for each of its parameters.
        parameters: these.
        said: those that are not the default.
    """

    method: str
    arguments: Mapping[str, Any]
    parameters: Mapping[str, Parameter]
    said: frozenset[str]

    @classmethod
    def of(cls, function: Callable[..., Any], arguments: Mapping[str, Any]) -> "Call":
        """The call of this method; refuse arguments that do not fit."""
        fitting, parameters = (
            MappingProxyType(checked(function, arguments)),
            parameters_of(function),
        )
        said = {name for name in parameters if arguments[name] is not parameters[name].default}
        return cls(function.__name__, fitting, parameters, frozenset(said))

    @property
    def over_one_batch(self) -> bool:
        """Whether it works on a batch in the hand, not on a data set."""
        return "inputs" in self.arguments

    @property
    def own_function(self) -> bool:
        """Whether it runs a function of the user's own as its loop."""
        return callable(self.arguments.get("loop"))

    def batch_sizes(self) -> tuple[int, int]:
        """The batch sizes for training and for evaluation."""
        size = self.arguments["batch_size"]
        return size if isinstance(size, tuple) else (size, size)

    def options(self) -> dict[str, Any]:
        """The options that the arguments are: a parameter's name in capitals is its option's."""
        named = {name.upper(): value for name, value in self.arguments.items()}
        return {option: value for option, value in named.items() if option in defaults()}

    def title(self) -> str:
        """The call as one would type it: data by its name; options that are not the default."""
        parts = []
        for name, value in self.arguments.items():
            default = self.parameters[name].default
            if value is default or name in ("verbose", "loop"):
                continue
            if default is Parameter.empty or name == "labels":
                parts.append(name)
            elif name in ("eval_data", "callbacks"):
                parts.append(f"{name}={name}")
            elif value != default:
                parts.append(f"{name}={value!r}")
        return f"model.{self.method}({', '.join(parts)})"


def decide(model: Any, call: Call) -> Program:
    """Decide all that a call can decide beforehand, and write the program of its loop.

    Nothing is trained by it, and no weight, metric or random state is changed.

    Raises:
        TypeError, ValueError: the call cannot be made as it is.
    """
    checks.made(model.network)
    if call.method in ("fit", "train_batch") and not call.own_function:  # which may need none
        checks.trainable(model.network, model.optimizer, model.measures.loss_fns)
    if call.method in ("evaluate", "eval_batch"):
        checks.measurable(model.measures.loss_fns, model.metrics)
    checks.loop_given(call.arguments.get("loop"), call.method)
    return decide_batch(model, call) if call.over_one_batch else decide_pass(model, call)


# ---- over whole data sets


def decide_pass(model: Any, call: Call) -> Program:
    """The program of fit, evaluate or predict."""
    sources = list(sources_of(model, call))
    check_sources(call, sources, model.world_size)
    seen = first_look(model, call, sources)
    check_structures(seen[0].structure, seen[-1].structure)
    reduction = seen[0].reduction.of_both(seen[-1].reduction)
    if reduction.each and call.arguments.get("accumulate_grad_batches", 1) > 1:
        checks.warn(DIFFER)
    hooks = register(
        call.arguments["callbacks"],
        params_of(model, call, sources, seen[0]),
        call.arguments.get("save_freq", 1),
        taken={*model.measures.loss_fns, *model.metrics, *seen[0].structure.roots()},
    )
    hooks.undefined = model.measures.undefined(seen[0])
    if call.method == "fit":
        hooks.params["settings"] = settings_of(model, call, sources, hooks)
    if call.method == "fit" and process_group.is_rank_zero():
        hooks.check_places()
    train_size, eval_size = call.batch_sizes()
    options = call.options() | {
        "BATCH_SIZE": train_size,
        "EVAL_BATCH_SIZE": eval_size,
        "EVAL_DATA": len(sources) == 2,
        "SHUFFLE": sources[0].shuffle,
        "LAST_UNKNOWN": not sources[0].knows_length,
        "RESUME": None,
    }
    for source in sources:
        role = source.name.removesuffix("_data").upper()
        options |= {f"{role}_LOADING": source.mode, f"{role}_SPLIT": split_of(source, model)}
    if hooks.bar is not None:
        options["LOG_FREQ"] = hooks.bar.log_freq
    data = {source.name: source.data for source in sources}
    if call.arguments.get("resume"):
        resumed = resume_options(model, call, hooks, data)
        options |= resumed
        data |= {"set_rng_state": set_rng_state} if resumed else {}
    if hooks.schedulers and call.method == "fit" and model.optimizer is not None:
        steps = scheduled_steps(model, call, sources[0])
        hooks.check_schedulers(model, steps, resumed=options["RESUME"] is not None)
    return program_of(model, call, options, data, replace(seen[0], reduction=reduction), hooks)


DIFFER = (
    "accumulate_grad_batches: the losses average over different things, such as samples and class "
    "weights, and the gradients of a group are divided once, by its samples: they are not quite "
    "those of one large batch. They are with reduction='sum' for each of them."
)


def sources_of(model: Any, call: Call) -> Iterator[DataSource]:
    """The data arguments: of a fit, the training data first."""
    sizes = call.batch_sizes()
    for name, data in call.arguments.items():
        if not name.endswith("_data") or data is call.parameters[name].default:
            continue
        trained_on = name == "train_data"
        if trained_on and call.own_function and not hasattr(data, "__iter__"):
            yield DataSource(name, data, "as_is", None, None, False, sizes[0], False, False)
            continue  # such as the environment of a game
        yield look(
            name,
            data,
            model.device,
            call.arguments["num_workers"],
            batch_size=sizes[0 if trained_on or call.method != "fit" else 1],
            shuffle=trained_on and call.arguments["shuffle"],
            drop_last=trained_on and call.arguments["drop_last"],
        )


def check_sources(call: Call, sources: list[DataSource], processes: int) -> None:
    """Refuse data that does not go with the other arguments."""
    for source in sources:
        source.check_distributable(processes)
        if call.method != "predict":
            source.check_filled()
        source.check_reiterable(call.arguments.get("epochs", 1))
    warn_of_options_without_effect(call, sources)
    train = sources[0]
    train.check_full_batch()
    if call.arguments.get("resume"):
        checks.save_dir_given(call.arguments["save_dir"])
        train.check_resumable()


def warn_of_options_without_effect(call: Call, sources: list[DataSource]) -> None:
    """Warn of options on batches that say something else than a loader, which makes them itself."""
    if call.own_function or any(source.loader is None for source in sources):
        return
    arguments = {**call.arguments, "batch_size": call.batch_sizes()[0]}
    for name in ("batch_size", "drop_last", "num_workers"):
        has, said = getattr(sources[0].loader, name), arguments.get(name)
        if name in call.said and said != has:
            checks.warn(
                f"{name}={said!r} has no effect: {sources[0].name} is a DataLoader with {name}="
                f"{has!r}. Say it there, or give the Dataset itself."
            )


def first_look(model: Any, call: Call, sources: list[DataSource]) -> list[DryRun]:
    """What a dry run finds, or has found when an earlier call had the same data."""
    fitting = call.method == "fit"
    stacking = call.arguments.get("stack_outputs", False)
    key = (
        fitting,
        stacking,
        *((source.name, id(source.data), source.batch_size) for source in sources),
    )
    found: list[DryRun]
    data, found = model._seen.get(key, ([], []))
    there = [id(known()) for known in data]
    if call.own_function:  # which does with batches what it likes
        return [declared(source.name, model) for source in sources]
    if there != [id(source.data) for source in sources]:
        found = dry_run(sources, model, fitting, stacking)
        with suppress(TypeError):  # such as a list, to which there are no weak references
            model._seen[key] = ([weakref.ref(source.data) for source in sources], found)
    return found


def check_structures(train: BatchStructure, evaluated: BatchStructure) -> None:
    """Refuse validation data with another structure than the training data."""
    if replace(train, arguments=None) != replace(evaluated, arguments=None):
        raise ValueError(
            f"train_data gives batches {pattern_code(train.pattern)}, but eval_data "
            f"{pattern_code(evaluated.pattern)}. Both must hold the same parts in the same order."
        )


def scheduled_steps(model: Any, call: Call, source: DataSource) -> dict[str, int | None]:
    """How often a scheduler steps in a fit: after each update, or after each epoch."""
    batches, epochs = source.steps(), call.arguments["epochs"]
    if batches is None or call.arguments["loop"] is not None or model.world_size > 1:
        return {"step": None, "epoch": None}
    taken = min(epochs * batches, call.arguments["num_iters"] or math.inf)
    whole, rest = divmod(int(taken), batches)
    group = call.arguments["accumulate_grad_batches"]
    updates = whole * math.ceil(batches / group) + math.ceil(rest / group)
    return {"step": updates, "epoch": whole + (rest > 0)}


def split_of(source: DataSource, model: Any) -> str:
    """How the ranks split the data: each batch "strided", or "contiguous" runs of whole batches."""
    if model.world_size == 1:
        return "none"
    if source.name == "train_data":
        return "strided"
    # With sharded weights, all ranks must take as many steps.
    return "none" if model.sharded or source.mode == "as_is" else "contiguous"


def params_of(model: Any, call: Call, sources: list[DataSource], seen: DryRun) -> dict[str, Any]:
    """What callbacks are told of the call."""
    size, save_dir = call.batch_sizes()[0], call.arguments.get("save_dir")
    return {
        "epochs": call.arguments.get("epochs"),
        "num_iters": call.arguments.get("num_iters"),
        "eval_freq": call.arguments.get("eval_freq", 1),
        "steps": sources[0].steps(),
        "compile": call.arguments.get("compile", False),
        "length_unsure": not sources[0].knows_length,
        "batch_size": size,
        "verbose": call.arguments["verbose"],
        "metrics": model.measures.names(seen),
        "larger_is_better": model.measures.larger_is_better(seen),
        "evaluates": sources[-1].name == "eval_data",
        "began": time.time(),
        "save_dir": None if save_dir is None else str(save_dir),
    }


def settings_of(model: Any, call: Call, sources: list[DataSource], hooks: Hooks) -> dict[str, Any]:
    """What a training that goes on from a checkpoint should have as it was."""
    same = ("batch_size", "drop_last", "shuffle", "eval_freq", "accumulate_grad_batches")
    return {
        **{name: call.arguments[name] for name in (*same, "clip_grad_norm")},
        "precision": model.precision.name,
        "the number of batches in an epoch": sources[0].steps(),
        **optimizer_settings(model, hooks),
        "callbacks": hooks.settings(),
    }


def optimizer_settings(model: Any, hooks: Hooks) -> dict[str, Any]:
    """The optimizer and its options, where nothing has changed these yet."""
    optimizer = model.optimizer
    if optimizer is None or optimizer.state or hooks.schedulers:
        return {}
    groups = [
        {name: value for name, value in group.items() if isinstance(value, float | tuple)}
        for group in optimizer.param_groups
    ]
    named = {f"the optimizer's {n}": [group.get(n) for group in groups] for n in groups[0]}
    single = {name: values[0] if len(values) == 1 else values for name, values in named.items()}
    return {"the optimizer": type(optimizer).__name__, **single}


def resume_options(model: Any, call: Call, hooks: Hooks, data: Mapping[str, Any]) -> dict[str, Any]:
    """Where a killed training goes on: its newest checkpoint, if there is one yet."""
    folder = hooks.folder() or hooks.params["save_dir"]
    first = process_group.is_rank_zero()
    parts = Parts(
        {
            "network": model.network,
            "optimizer": model.optimizer,
            **model.measures.loss_fns,
            **data,
            **hooks.callbacks,
        },
        hooks.callbacks,
    )
    found = resume.newest(folder, model, hooks, parts) if first else None
    path, saved = process_group.broadcast_object(found)
    hooks.params["start"] = path is None
    if path is None:
        return {}
    return {
        "RESUME": str(path),
        "FIRST_EPOCH": resume.first_epoch(saved["fit"], hooks),
        **{name: tuple(map(as_code, each)) for name, each in parts.lines(saved).items()},
    }


def as_code(codes: tuple[str, ...]) -> tuple[Any, ...]:
    """The first is code, the others are keys."""
    return Code(codes[0]), *codes[1:]


def report_of(call: Call, hooks: Hooks) -> Report:
    """Who is told how a call goes: a ProgressBar's wishes count; ranks above 0 are silent."""
    verbose, log_freq = call.arguments["verbose"], call.arguments.get("log_freq", 10)
    if hooks.bar is not None:
        verbose, log_freq = hooks.bar.verbose, hooks.bar.log_freq
    report = choose(verbose if process_group.is_rank_zero() else 0, log_freq)
    report.undefined = hooks.undefined
    report.panels = panels_of(hooks.callbacks.values())
    return report


# ---- over one batch


def decide_batch(model: Any, call: Call) -> Program:
    """The program of train_batch, eval_batch or predict_batch."""
    batch = batch_of(call)
    predicting = call.method == "predict_batch"
    filled("inputs", call.arguments["inputs"], measured=not predicting)
    structure = structure_of(batch, model.network, model.inputs, model.labels, predicting)
    parts = [part for _, part in leaves((), batch)]
    ignores = not predicting and ignores_some(model.measures.loss_fns, parts)
    key = (predicting, ignores, structure, *map(signature_of, parts))
    if key not in model._seen:  # the first batch of its kind
        model._seen[key] = look_at_batch(model, call)
    seen = model._seen[key]
    # The program has the batch's parts already: there is nothing to unpack.
    flat = replace(seen, structure=replace(seen.structure, pattern=BatchStructure().pattern))
    return program_of(model, call, call.options(), structure.unpack(batch), flat, Hooks())


def look_at_batch(model: Any, call: Call) -> DryRun:
    """What a dry run with the batch finds; or a better error than the loop's, if it finds one."""
    return dry_run([batch_source(call, batch_of(call))], model, call.method == "train_batch")[0]


def batch_of(call: Call) -> Any:
    """The batch that the arguments make."""
    return in_hand(call.arguments["inputs"], call.arguments.get("labels"))


def batch_source(call: Call, batch: Any) -> DataSource:
    """One batch as a data source."""
    return look("test_data" if call.method == "predict_batch" else "the batch", [batch])


def signature_of(part: Any) -> Any:
    """What makes batches alike: the shape of a sample, and its type."""
    return (part.shape[1:], part.dtype) if isinstance(part, torch.Tensor) else type(part)


# ---- options and names


def learning_options(model: Any, together: bool) -> dict[str, Any]:
    """All weights that learn, and all buffers: those of losses, too, where there are some."""
    losses = modules_in(model.measures.loss_fns)
    own = set(model.network.parameters())
    groups = [] if model.optimizer is None else model.optimizer.param_groups
    learning = {weight for group in groups for weight in group["params"]} - own
    learners = [c for c, loss in losses.items() if not learning.isdisjoint(loss.parameters())]
    with_buffers = [code for code, loss in losses.items() if any(True for _ in loss.buffers())]
    if together and learners:
        checks.losses_average(learners, model.sharded)
    weights = all_of("parameters", ["network", *learners])
    if any(not own.isdisjoint(losses[code].parameters()) for code in learners):
        weights = Code(f"dict.fromkeys({weights})")  # some are of both, and each counts once
    own_buffers = any(True for _ in model.network.buffers())
    return {
        "WEIGHTS": weights,
        "BUFFERS": all_of(
            "buffers", ["network"] * (own_buffers or not with_buffers) + with_buffers
        ),
        "HAS_BUFFERS": own_buffers or bool(with_buffers),
        "LEARNING_LOSSES": tuple(map(Code, learners)),
    }


def all_of(kind: str, modules: list[str]) -> Code:
    """Code for the weights or buffers of all these modules."""
    each = [f"{module}.{kind}()" for module in modules]
    return Code(f"[{', '.join(f'*{one}' for one in each)}]" if len(each) > 1 else "".join(each))


def has_modes(optimizer: Any) -> bool:
    """Whether the optimizer itself has a train() and an eval(), such as a schedule-free one."""
    return all(callable(getattr(optimizer, mode, None)) for mode in ("train", "eval"))


def program_of(
    model: Any,
    call: Call,
    options: dict[str, Any],
    data: dict[str, Any],
    seen: DryRun,
    hooks: Hooks,
) -> Program:
    """The program of a call: its options, and what its names stand for."""
    together = model.world_size > 1 and call.method in ("fit", "evaluate")
    if together:
        checks.metrics_add_up(model.metrics)
    # A function of the user's own measures by itself.
    others = {*hooks.callbacks, *hooks.schedulers, *data}
    measured, means = (
        ({}, {})
        if call.own_function or "predict" in call.method
        else model.measures.options(seen, together, others)
    )
    options = {
        **options,
        **seen.structure.options(),
        **(seen.outputs or OutputStructure()).options(),
        **measured,
        **({"SAMPLES": Code(seen.samples)} if seen.samples else {}),
        **hooks.options(),
        "DEVICE": model.device,
        "DEVICE_TYPE": model.device.partition(":")[0],
        "AUTOCAST": model.precision.mixed,
        "AUTOCAST_DTYPE": Code(str(model.precision.dtype)),
        "OPTIMIZER_MODES": has_modes(model.optimizer),
        "GRAD_SCALER": model.scaler is not None,
        "DISTRIBUTED": model.world_size > 1,
        "SHARDED": model.sharded,
        "FIND_UNUSED_PARAMETERS": seen.unused,
        **learning_options(model, together),
        "FLUSH_DENORMAL": call.method == "fit" and model.device == "cpu",
    }
    names = {
        "network": model.network,
        "optimizer": model.optimizer,
        **model.measures.loss_fns,
        **model.metrics,
        **means,
        **hooks.schedulers,
        "scaler": model.scaler,
        **hooks.callbacks,
        "model": model,
        **data,
    }
    names = {name: value for name, value in names.items() if value is not None}
    loop = call.arguments.get("loop")
    program = Program(call.method, call.title(), options, names, loop, hooks, seen.inputs)
    if isinstance(program.loop, str):  # perhaps it was written out at another depth
        program.tools = named_in(program.loop)
    return program
