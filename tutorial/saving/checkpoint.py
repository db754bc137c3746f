"""Saving and loading what was learned: plain state_dicts in one file, never half-written."""

import os
import warnings
import zipfile
from collections import Counter, OrderedDict, deque
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import numpy as np
import torch
from torch import nn

from tutorial import checks
from tutorial.device import rng_state, set_rng_state
from tutorial.distributed.process_group import is_rank_zero
from tutorial.distributed.shard import full_state_dict, shard_state_dict
from tutorial.saving.parts import part_state

# What schedulers note in the optimizer's groups, beside its own options.
NOTED_BY_SCHEDULERS = (
    "initial_lr", "max_lr", "min_lr", "base_momentum", "max_momentum", "swa_lr",
)  # fmt: skip


def state_of(model: Any) -> dict[str, Any]:
    """Everything that a training needs to go on from here, as plain dicts, lists and tensors.

    Args:
        model: a `Model`, or anything else that has these: network, optimizer, scaler, schedulers,
            parts (what else has a state, by the code that leads to it: 'train_data.generator')
            and attributes (numbers that have changed, such as 'network.steps').

    Returns:
        The state_dicts 'network' and, where there are such parts, 'optimizer', 'scaler' and
        'schedulers'; the states of all 'parts', and the 'attributes'; and 'random', the state of
        Python's, NumPy's and PyTorch's random generators.
    """
    state: dict[str, Any] = {"network": full_state_dict(model.network), "random": rng_state()}
    for name in ("optimizer", "scaler"):
        if getattr(model, name) is not None:
            state[name] = full_state_dict(getattr(model, name))
    if model.schedulers:
        state["schedulers"] = [scheduler.state_dict() for scheduler in model.schedulers]
    parts, attributes = model.parts, model.attributes
    if parts:
        state["parts"] = {code: part_state(part) for code, part in parts.items()}
    if attributes:
        state["attributes"] = dict(attributes)
    if model.kept_workers:
        state["workers"] = list(model.kept_workers)
    return state


def write(path: str | Path, state: dict[str, Any]) -> Path:
    """Write the state to path, in one piece.

    It is written to a file beside it first, and then moved into place. So whenever the process is
    killed or the disk is full, the earlier file is still there, whole.

    Args:
        path: where to write; the ending .pt is added, missing directories are made.
        state: what `torch.save` writes and `torch.load(weights_only=True)` reads.

    Returns:
        The path, with its ending.

    Raises:
        OSError: the file cannot be written, such as on a full disk; an earlier one is left as it
            was.
        ValueError: it holds what `torch.load(weights_only=True)` does not read.
    """
    path, state = with_ending(path), loadable(state)
    if is_rank_zero():
        with replacing(path, "wb") as file:
            torch.save(state, file)
    return path


@contextmanager
def replacing(path: Path, mode: str, **options: Any) -> Iterator[IO[Any]]:
    """Open a file to write that takes the place of the one at path when all is written.

    Args:
        path: which file; missing directories are made.
        mode: as in `open`.
        **options: as in `open`.

    Raises:
        OSError: the file cannot be written; an earlier one is left as it was.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with open(beside, mode, **options) as file:
            yield file
            file.flush()
            os.fsync(file.fileno())  # on the disk, not only in the system's memory
        os.replace(beside, path)
    except (OSError, RuntimeError) as error:
        # Of a full disk torch.save makes a RuntimeError, in the context of the system's error.
        reason = error if isinstance(error, OSError) else error.__context__
        if not isinstance(reason, OSError):
            raise
        raise OSError(
            reason.errno, f"this file cannot be written: {reason.strerror}", str(path)
        ) from error
    finally:
        beside.unlink(missing_ok=True)


def read(path: str | Path, glance: bool = False) -> dict[str, Any]:
    """Read what `write` wrote.

    Args:
        path: the file, with or without its ending .pt.
        glance: leave the tensors on the disk until they are used, and do not look for damage in
            them.

    Returns:
        The state, on the CPU.

    Raises:
        FileNotFoundError: there is no such file; the message lists those that are there.
        ValueError: the file is damaged, or something else than a checkpoint.
    """
    path = with_ending(path)
    if not os.path.isfile(path):  # nor is one where the name is too long
        there = sorted(other.name for other in path.parent.glob("*.pt") if other.is_file())
        raise FileNotFoundError(
            f"path is {str(path)!r}, but there is no such file. In this directory there "
            f"{'are ' + ', '.join(there) if there else 'is no file that ends in .pt'}."
        )
    try:
        with zipfile.ZipFile(path) as parts:  # as torch.save writes it
            damaged = None if glance else parts.testzip()  # torch.load does not look at checksums
        if damaged is not None:
            raise zipfile.BadZipFile(f"the checksum of {damaged} is wrong")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it may be anything
            state = torch.load(path, map_location="cpu", weights_only=True, mmap=glance)
    except Exception as error:  # of many kinds, if the file is something else
        raise ValueError(
            f"path is {str(path)!r}, but this file is damaged, or was not written by model.save: "
            f"{type(error).__name__}: {str(error).partition('. ')[0]}. Load an earlier checkpoint."
        ) from error
    if not isinstance(state, dict) or not isinstance(state.get("network"), dict):
        raise ValueError(
            f"path is {str(path)!r}, but this file holds {_contents(state)}, and no 'network'. "
            "Load a file that model.save wrote; weights alone go into network.load_state_dict."
        )
    kinds = {"optimizer": dict, "scaler": dict, "random": dict, "schedulers": list}
    wrong = [name for name, kind in kinds.items() if not isinstance(state.get(name, kind()), kind)]
    if wrong:
        raise ValueError(
            f"path is {str(path)!r}, but this file holds {_contents(state[wrong[0]])} as "
            f"{wrong[0]!r}, which model.save does not write. Load an earlier checkpoint."
        )
    return state


def load_into(
    model: Any, state: dict[str, Any], skip_mismatch: bool, reset_optimizer: bool
) -> None:
    """Load what `state_of` gave: the network; unless reset_optimizer, its training too.

    Raises:
        ValueError: the state does not fit the model; nothing was changed.
    """
    optimizer = model.optimizer
    memory = None if reset_optimizer or optimizer is None else state.get("optimizer")
    if memory is not None:
        check_optimizer(optimizer, memory)
    fitted = load_network(model.network, state["network"], skip_mismatch)
    if memory is None or not fitted:
        return
    optimizer.load_state_dict(shard_state_dict(memory, optimizer))
    if model.scaler is not None and "scaler" in state:
        model.scaler.load_state_dict(state["scaler"])
    if "random" in state:
        set_rng_state(state["random"])
    model.loaded = {key: state.get(key, {}) for key in ("parts", "attributes")}
    restore_parts(model)
    schedulers = state.get("schedulers")
    if schedulers is not None and len(schedulers) == len(model.schedulers):
        for scheduler, saved in zip(model.schedulers, schedulers, strict=True):
            scheduler.load_state_dict(saved)
    elif schedulers is not None:  # they wait for the next fit
        model.loaded |= {"schedulers": schedulers, "groups": memory["param_groups"]}


def waiting(model: Any, schedulers: int) -> tuple[list[Any], list[dict[str, Any]]]:
    """What `load` has read for so many new schedulers: their states, and the groups' settings.

    Nothing, if it has read none, or another number of them.
    """
    states = model.loaded.get("schedulers", ())
    if not schedulers or len(states) != schedulers:
        return [], []
    scheduled = ("lr", "momentum", "betas", *NOTED_BY_SCHEDULERS)
    groups = model.loaded["groups"]
    return states, [{key: saved[key] for key in scheduled if key in saved} for saved in groups]


def restore_schedulers(model: Any, optimizer: Any) -> None:
    """Give the model's new schedulers the state that `load` has read."""
    states, groups = waiting(model, len(model.schedulers))
    if not states:
        return
    for scheduler, state in zip(model.schedulers, states, strict=True):
        scheduler.load_state_dict(state)
    for group, saved in zip(optimizer.param_groups, groups, strict=True):
        group.update(saved)  # a new scheduler has set them again
    model.loaded = {k: v for k, v in model.loaded.items() if k not in ("schedulers", "groups")}


def restore_parts(model: Any) -> None:
    """Give the model's parts the state that `load` has read; what is not here yet waits."""
    parts, attributes = (model.loaded.get(key, {}) for key in ("parts", "attributes"))
    left = model.stateful.load(parts, attributes)
    model.loaded = model.loaded | dict(zip(("parts", "attributes"), left, strict=True))


def load_network(
    network: nn.Module, weights: dict[str, Any], skip_mismatch: bool, dry: bool = False
) -> bool:
    """Load the weights that fit, after all were compared: nothing changes if one is refused.

    Args:
        network: gets the weights.
        weights: a state_dict.
        skip_mismatch: leave out what does not fit, with a warning, instead of refusing all.
        dry: compare only.

    Returns:
        Whether everything fitted.

    Raises:
        ValueError: something does not fit, and skip_mismatch is off.
    """
    own = network.state_dict()
    faults = [f"{name} is not in the file" for name in own if name not in weights]
    faults += [f"{name} is not in the network" for name in weights if name not in own]
    faults += [
        f"{name} has {shape_in(weights[name])} in the file, {shape_in(own[name])} in the network"
        for name in own
        if name in weights and shape_in(own[name]) != shape_in(weights[name])
    ]
    more = f"; and {len(faults) - 4} more" if len(faults) > 4 else ""
    if faults and not skip_mismatch:
        raise ValueError(
            f"the file does not fit the network: {'; '.join(faults[:4])}{more}. Make the network "
            "as it was when it was saved, "
            "or load what fits with skip_mismatch=True."
        )
    if dry:
        return not faults
    for fault in faults:
        checks.warn(f"load: {fault}; skipped")
    fitting = {
        name: weight
        for name, weight in weights.items()
        if name in own and shape_in(own[name]) == shape_in(weight)
    }
    network.load_state_dict(shard_state_dict({**own, **fitting}, network))
    return not faults


def shape_in(part: Any) -> str:
    """A part's shape, in words; an extra state of a layer, which may be anything, has none."""
    return f"shape {tuple(part.shape)}" if isinstance(part, torch.Tensor) else "no shape"


def check_optimizer(optimizer: torch.optim.Optimizer, state: dict[str, Any]) -> None:
    """Refuse an optimizer's memory that is of another optimizer."""
    counts = [
        [len(group["params"]) for group in s["param_groups"]]
        for s in (state, optimizer.state_dict())
    ]
    known = (*optimizer.param_groups[0], *NOTED_BY_SCHEDULERS)
    missing = [name for name in state["param_groups"][0] if name not in known]
    if counts[0] != counts[1] or missing:
        raise ValueError(
            f"the file's optimizer holds {counts[0]} parameters in its groups"
            f"{' and the options ' + ', '.join(missing) if missing else ''}; "
            f"{type(optimizer).__name__} here holds {counts[1]}. Prepare the model with the same "
            "kind of optimizer, or load the weights only: reset_optimizer=True."
        )


def with_ending(path: str | Path) -> Path:
    """The path, ending in .pt."""
    if not isinstance(path, str | os.PathLike):
        raise TypeError(f"path is {path!r}, but a file's name is expected, such as 'my_model'.")
    given, path = path, Path(path)
    if not path.name:
        raise ValueError(
            f"path is {str(given)!r}, but a file's name is expected, such as 'my_model'."
        )
    return path if path.suffix == ".pt" else path.with_name(path.name + ".pt")


def _contents(state: Any) -> str:
    if isinstance(state, dict):
        return "the names " + ", ".join(repr(name) for name in list(state)[:4])
    return f"a {type(state).__name__}"


def loadable(state: Any, name: str = "") -> Any:
    """The state as torch.load(weights_only=True) reads it back, or an error that names what it is.

    NumPy's numbers become Python's; a deque becomes a list, with a warning.

    Raises:
        ValueError: something in it cannot be read back.
    """
    deques: list[str] = []
    state = as_it_is_read(state, name, deques)
    if deques:
        # Scripts have this function, too: they know no line of the user's that made the call.
        warnings.warn(
            f"save: {deques[0]} is a deque, which torch.load(weights_only=True) does not read; it "
            "is saved as a list. Make a deque of it again in load_state_dict, or keep a list.",
            stacklevel=3,
        )
    return state


def as_it_is_read(state: Any, name: str, deques: list[str]) -> Any:
    """The same; the names of what is a deque are added to `deques`."""
    if isinstance(state, dict):
        names = {key: f"{name}[{key!r}]" if name else str(key) for key in state}
        pairs = {key: as_it_is_read(value, names[key], deques) for key, value in state.items()}
        known = type(state) in (dict, OrderedDict, Counter)
        return state if known and all(pairs[key] is state[key] for key in state) else pairs
    if isinstance(state, list | tuple | set | deque) and not hasattr(state, "_fields"):
        parts = [as_it_is_read(part, f"{name}[{i}]", deques) for i, part in enumerate(state)]
        if isinstance(state, deque):
            deques.append(name)
            return parts
        same = all(a is b for a, b in zip(parts, state, strict=True))
        return state if same else type(state)(parts)
    if isinstance(state, np.generic):
        return state.item()
    if state is None or isinstance(state, LOADABLE):
        return state
    raise ValueError(
        f"save: {name} is a {type(state).__name__}, which torch.load(weights_only=True) does not "
        "read back, so nothing was written. A state is made of tensors, numbers, text, and lists "
        "and dicts of these."
    )


# What torch.load(weights_only=True) reads, besides lists, tuples, sets and dicts.
LOADABLE = (
    *(bool, int, float, complex, str, bytes, bytearray),
    *(torch.Tensor, torch.dtype, torch.device, torch.Size),
)
