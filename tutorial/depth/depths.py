"""A program at another depth: what is written out further, and what cannot be."""

import ast
import copy
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from functools import cache, partial, reduce
from typing import Any

import torch
from torch import nn

from tutorial.callbacks import LambdaCallback
from tutorial.depth.gradients import WrittenOut
from tutorial.depth.noted import default_of_64_bits, doubled
from tutorial.depth.numpy_program import NumpyProgram
from tutorial.depth.optimizer import RULES, with_its_rule
from tutorial.depth.passes import mapped, settings_for
from tutorial.depth.trace import CannotTraceError
from tutorial.inputs.data_source import DataSource, look
from tutorial.inputs.isolation import without_trace
from tutorial.inputs.structure import leaves
from tutorial.loop.names import OF_DEPTHS
from tutorial.unroll.program import Program

DEPTHS = ("loop", "optimizer", "gradients", "numpy")


def at_depth(program: Program, depth: str) -> Program:
    """The same call, written out further.

    Args:
        program: the call's program at depth "loop", which remembers where it begins.
        depth: one of DEPTHS.

    Returns:
        A program that computes the same. `program.above` is the one to which it is equal, bit for
        bit: the call, where the optimizer takes one weight after the other.

    Raises:
        ValueError: there is no such depth, or something in the call cannot be written out.
    """
    if depth not in DEPTHS:
        raise ValueError(f"depth is {depth!r}, but one of {', '.join(DEPTHS)} is expected.")
    if depth == "loop":
        return program
    if program.loop is not None:
        raise ValueError(
            f"depth={depth!r} writes out our own loop, but loop= brings one of yours. Leave out "
            "one of the two."
        )
    check_names(program, depth)
    deeper, above = copy.copy(program), copy.copy(program)
    deeper.depth, deeper.as_called, deeper.above = depth, program, above
    steps: list[Callable[[str], str]] = []
    if program.function in ("fit", "train_batch"):  # elsewhere nothing is learned
        check_optimizer(program, depth)
        steps.append(optimizer_step(program))
        deeper.state = above.state = one_at_a_time(program.state)
    if depth != "optimizer":
        written = passes(program, in_64_bits=depth == "numpy")
        steps.append(written)
        deeper.tools = written.tools
        above.deeper = settings_for(program.names["network"]).__add__
    deeper.deeper = cache(lambda source: reduce(lambda text, step: step(text), steps, source))
    if depth == "numpy":
        return in_numpy(deeper)
    return deeper


def check_names(program: Program, depth: str) -> None:
    """Refuse parts of a batch that are called as the text calls its own things."""
    nodes = ast.walk(ast.parse(program.source))
    names = {node.id for node in nodes if isinstance(node, ast.Name)} & set(OF_DEPTHS)
    if names:
        raise ValueError(
            f"depth={depth!r}: a part of the batch is called {min(names)!r}, and so is something "
            "in this text. Give it another name in an InputSpec, or in your data."
        )


def in_numpy(gradients: Program) -> NumpyProgram:
    """A program at depth "gradients" with NumPy alone."""
    scheduled = bool(gradients.hooks.schedulers)
    return NumpyProgram(gradients, may_change(gradients) if scheduled else ())


# ---- the optimizer


def optimizer_step(program: Program) -> Callable[[str], str]:
    """What writes out the optimizer's step."""
    return partial(
        with_its_rule,
        optimizer=program.names["optimizer"],
        network=program.names["network"],
        changes=may_change(program),
        scheduled=bool(program.hooks.schedulers),
        taken=program.names,
    )


def may_change(program: Program) -> frozenset[str]:
    """The hyperparameters that a scheduler, a callback or a checkpoint may set while it runs."""
    every = frozenset(program.names["optimizer"].defaults)
    others = [call for call in program.hooks.callbacks.values() if not is_ours(call)]
    if others or program.option("RESUME") is not None:
        return every
    changed = {"lr"} if program.hooks.schedulers else set()
    for scheduler in map(program.names.get, program.hooks.schedulers):
        if not type(scheduler).__module__.startswith("torch."):
            return every
        if getattr(scheduler, "cycle_momentum", False):
            changed |= {"momentum", "betas"}
    return frozenset(changed)


def is_ours(callback: Any) -> bool:
    """Whether a callback is the library's, and runs no code of the user's."""
    ours = type(callback).__module__.startswith("tutorial.")
    return ours and not isinstance(callback, LambdaCallback)


def one_at_a_time(state: dict[str, Any] | None) -> dict[str, Any]:
    """The state in which the call begins, for an optimizer that takes weight after weight."""
    assert state is not None
    alone = {"foreach": False, "fused": False}
    groups = [
        group | {key: value for key, value in alone.items() if key in group}
        for group in state["optimizer"]["param_groups"]
    ]
    return state | {"optimizer": state["optimizer"] | {"param_groups": groups}}


def check_optimizer(program: Program, depth: str) -> None:
    """Refuse what has no rule, or would not be run by one."""
    optimizer = program.names["optimizer"]
    cls = type(optimizer).__name__
    said = f"depth={depth!r}: "
    if type(optimizer) not in RULES:
        raise ValueError(
            f"{said}the update rule of {cls} is not known. It is of "
            f"{', '.join(known.__name__ for known in RULES)}: take one of them, or depth='loop'."
        )
    hooks = ("_optimizer_step_pre_hooks", "_optimizer_step_post_hooks")
    if any(getattr(optimizer, name, None) for name in hooks):
        raise ValueError(
            f"{said}the optimizer has hooks, which run in its step(); written out, nobody would "
            "call them. Remove them, or put their lines into a callback."
        )
    for group in optimizer.param_groups:
        for key in ("capturable", "differentiable"):
            if group.get(key):
                raise ValueError(
                    f"{said}{cls}({key}=True) steps in another way. Make it without, or take "
                    "depth='loop'."
                )
        tensors = [key for key, value in group.items() if isinstance(value, torch.Tensor)]
        if tensors:
            raise ValueError(
                f"{said}{tensors[0]} is a tensor, but a number is expected: "
                f"{cls}(..., {tensors[0]}={group[tensors[0]].item():g})."
            )
        if any(weight.is_complex() for weight in group["params"]):
            raise ValueError(f"{said}complex weights are not written out; take depth='loop'.")
    for option, argument in REFUSED.items():
        if program.option(option):
            raise ValueError(
                f"{said}with {argument} another thing than the optimizer takes the step. Leave it "
                "out, or take depth='loop'."
            )
    for name, module in program.names["network"].named_modules():
        if isinstance(module, nn.Embedding | nn.EmbeddingBag) and module.sparse:
            raise ValueError(
                f"{said}network.{name} has sparse gradients, for which the rules are not written. "
                "Make it with sparse=False, or take depth='loop'."
            )


REFUSED = {"GRAD_SCALER": "precision='16-mixed'", "SHARDED": "shard=True"}


# ---- forward and backward


def passes(program: Program, in_64_bits: bool = False) -> WrittenOut:
    """What writes out the network, the losses and backward.

    Raises:
        ValueError: they cannot be.
    """
    network = program.names["network"]
    losses = {k: v for k, v in program.names.items() if k.startswith("loss_fn")}
    for option, argument in NOT_ALONE.items():
        if program.option(option):
            raise ValueError(f"depth='gradients': {argument} is not written out. Leave it out.")
    counts = program.option("LOSS_REDUCTION") in ("mean", "sum")
    all_count = counts and program.option("BATCH_WEIGHT") is None
    sources = sources_of(program)
    batch = first_batch(program, sources)
    if in_64_bits:  # there the smallest numbers are others, which some layers have in their formula
        network, losses = copy.deepcopy((network, losses))
        for module in (network, *losses.values()):
            if isinstance(module, nn.Module):
                module.double()
        batch = mapped(doubled, batch)
    written = WrittenOut(
        network, losses, batch, all_count, sizes_of(sources, batch), not sources, program.names
    )
    try:
        with default_of_64_bits() if in_64_bits else nullcontext():
            written(program.source)
    except (CannotTraceError, RuntimeError) as error:
        mixed = isinstance(error, RuntimeError) or "double" in str(error).lower()
        if in_64_bits and mixed:
            raise ValueError(
                "depth='numpy': the network or the loss does not compute in 64 bits "
                f"({str(error).partition(chr(10))[0]}). A tensor that is no weight is to be a "
                "buffer: self.register_buffer(...). Or take depth='gradients'."
            ) from error
        if isinstance(error, RuntimeError):
            raise
        raise ValueError(
            f"depth='gradients': {error}. Take depth='optimizer', or change that."
        ) from error
    return written


NOT_ALONE = {"DISTRIBUTED": "a training by several processes", "COMPILE": "compile=True"}


def sources_of(program: Program) -> list[DataSource]:
    """The data that the loop goes through."""
    sizes = {"eval_data": program.option("EVAL_BATCH_SIZE")}
    return [
        look(name, data, program.option("DEVICE"), 0, sizes.get(name, program.option("BATCH_SIZE")))
        for name, data in program.names.items()
        if name.endswith("_data")
    ]


def first_batch(program: Program, sources: list[DataSource]) -> Any:
    """The first batch that the loop will see; or the one that the call was given, by its names."""
    if not sources:
        return program.names

    def read(sources: list[DataSource], model: Any) -> Iterator[Any]:
        yield next(sources[0].batches())

    return without_trace(read, sources[:1], program.names["model"])


def sizes_of(sources: list[DataSource], batch: Any) -> set[int]:
    """How many samples batches have, as far as it is known; where it is not, one in the last."""
    first = next(len(part) for _, part in leaves((), batch) if isinstance(part, torch.Tensor))
    whole = {first, *(source.batch_size for source in sources if source.mode != "as_is")}
    return whole | {source.smallest_batch() or 1 for source in sources}
