"""Saving and loading what was learned: plain state_dicts in one file, never half-written."""

import os
import pickle
import warnings
from pathlib import Path
from typing import Any

import torch
from torch import nn

from tutorial.device import random_state


def state_of(model: Any) -> dict[str, Any]:
    """Everything that a training needs to go on from here, as plain dicts, lists and tensors.

    Args:
        model: a `Model`, or anything else that has these parts: network, optimizer, scaler,
            schedulers and generators (those that shuffle for a loader).

    Returns:
        The state_dicts 'network' and, where there are such parts, 'optimizer', 'scaler',
        'schedulers' and 'generators'; and 'random', all chance as it stands.
    """
    state: dict[str, Any] = {"network": model.network.state_dict(), "random": random_state()}
    for name in ("optimizer", "scaler"):
        if getattr(model, name) is not None:
            state[name] = getattr(model, name).state_dict()
    if model.schedulers:
        state["schedulers"] = [scheduler.state_dict() for scheduler in model.schedulers]
    if model.generators:
        state["generators"] = [generator.get_state() for generator in model.generators]
    return state


def write(path: str | Path, state: dict[str, Any]) -> Path:
    """Write the state to path, in one piece.

    It is written to a file beside it first, and then moved into place. So whenever the process is
    killed or the disk is full, the earlier file is still there, whole.

    Args:
        path: where to write; the ending .pt is added, missing folders are made.
        state: what `torch.save` writes and `torch.load(weights_only=True)` reads.

    Returns:
        The path, with its ending.

    Raises:
        OSError: the file cannot be written; an earlier one is left as it was.
    """
    path = with_ending(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with open(beside, "wb") as file:
            torch.save(state, file)
            file.flush()
            os.fsync(file.fileno())  # on the disk, not only in the system's memory
        os.replace(beside, path)
    except RuntimeError as error:  # what torch.save makes of a full disk
        raise OSError(f"path is {str(path)!r}, but it cannot be written: {error}") from error
    finally:
        beside.unlink(missing_ok=True)
    return path


def read(path: str | Path) -> dict[str, Any]:
    """Read what `write` wrote.

    Args:
        path: the file, with or without its ending .pt.

    Returns:
        The state, on the CPU.

    Raises:
        FileNotFoundError: there is no such file; the message lists those that are there.
        ValueError: the file is damaged, or something else than a checkpoint.
    """
    path = with_ending(path)
    if not path.is_file():
        there = sorted(other.name for other in path.parent.glob("*.pt"))
        raise FileNotFoundError(
            f"path is {str(path)!r}, but there is no such file. In this folder there "
            f"{'are ' + ', '.join(there) if there else 'is no file that ends in .pt'}."
        )
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except (RuntimeError, OSError, EOFError, pickle.UnpicklingError, ValueError, KeyError) as error:
        raise ValueError(
            f"path is {str(path)!r}, but this file is damaged, or was not written by model.save: "
            f"{type(error).__name__}: {str(error).partition('. ')[0]}. Load an earlier checkpoint."
        ) from error
    if not isinstance(state, dict) or "network" not in state:
        raise ValueError(
            f"path is {str(path)!r}, but this file holds {_contents(state)}, and no 'network'. "
            "Load a file that model.save wrote; weights alone go into network.load_state_dict."
        )
    return state


def newest(folder: str | Path) -> tuple[Path | None, dict[str, Any]]:
    """The checkpoint in the folder that a training goes on from: the newest that can be read.

    Of several trainings the one that began last counts, and of its checkpoints the one with most
    epochs. A file that cannot be read is passed over, with a warning.

    Args:
        folder: where `fit(save_dir=...)` wrote.

    Returns:
        The path and what the file holds; None and nothing if there is no checkpoint yet.

    Raises:
        ValueError: there are checkpoints, but none can be read.
    """
    found: list[tuple[Any, Path, dict[str, Any]]] = []
    damaged = []
    for path in sorted(Path(folder).glob("*.pt")):
        if not (path.stem.isdigit() or path.stem in ("start", "final")):
            continue  # such as best_model: it has no history
        try:
            state = read(path)
            fit = state["fit"]
            found.append(((fit["began"], fit["epochs"], fit["ended"]), path, state))
        except (ValueError, KeyError) as error:
            damaged.append(f"{path.name}: {error}")
    if damaged and not found:
        raise ValueError(f"no checkpoint in {str(folder)!r} can be read. {'; '.join(damaged)}")
    if not found:
        return None, {}
    _, path, state = max(found, key=lambda one: one[0])
    for fault in damaged:
        warnings.warn(f"{fault} Going on from {path.name}.", stacklevel=4)
    return path, state


def check_resumed(path: Path, saved: dict[str, Any], model: Any, wiring: Any) -> None:
    """Refuse a checkpoint of another training: nothing of it is loaded then."""
    load_network(model.network, saved["network"], skip_mismatch=False, dry=True)
    check_optimizer(model.optimizer, saved["optimizer"])
    for name, have, kept in (
        ("schedulers", len(wiring.schedulers), len(saved.get("schedulers", ()))),
        ("callbacks", len(wiring.callbacks), len(saved["fit"]["callbacks"])),
        ("scalers", int(model.scaler is not None), int("scaler" in saved)),
        ("generators", len(wiring.generators), len(saved.get("generators", ()))),
    ):
        if have != kept:
            raise ValueError(
                f"resume: {str(path)!r} is of a training with {kept} {name}, but this call has "
                f"{have}. Give fit the same {name} as when the training began."
            )


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
        f"{name} has shape {tuple(weights[name].shape)} in the file, {tuple(own[name].shape)} in "
        "the network"
        for name in own
        if name in weights and own[name].shape != weights[name].shape
    ]
    if faults and not skip_mismatch:
        raise ValueError(
            f"the file does not fit the network: {'; '.join(faults[:4])}"
            f"{'; ...' if len(faults) > 4 else ''}. Make the network as it was when it was saved, "
            "or load what fits with skip_mismatch=True."
        )
    if dry:
        return not faults
    for fault in faults:
        warnings.warn(f"load: {fault}; skipped", stacklevel=3)
    fitting = {
        name: weight
        for name, weight in weights.items()
        if name in own and own[name].shape == weight.shape
    }
    network.load_state_dict({**own, **fitting})
    return not faults


def check_optimizer(optimizer: torch.optim.Optimizer, state: dict[str, Any]) -> None:
    """Refuse an optimizer's memory that is of another optimizer."""
    counts = [
        [len(group["params"]) for group in s["param_groups"]]
        for s in (state, optimizer.state_dict())
    ]
    missing = [name for name in state["param_groups"][0] if name not in optimizer.param_groups[0]]
    if counts[0] != counts[1] or missing:
        raise ValueError(
            f"the file's optimizer holds {counts[0]} parameters in its groups"
            f"{' and the options ' + ', '.join(missing) if missing else ''}; "
            f"{type(optimizer).__name__} here holds {counts[1]}. Prepare the model with the same "
            "kind of optimizer, or load the weights only: reset_optimizer=True."
        )


def with_ending(path: str | Path) -> Path:
    """The path, ending in .pt."""
    path = Path(path)
    if not path.name:
        raise ValueError(
            f"path is {str(path)!r}, but a file's name is expected, such as 'my_model'."
        )
    return path if path.suffix == ".pt" else path.with_name(path.name + ".pt")


def _contents(state: Any) -> str:
    if isinstance(state, dict):
        return "the names " + ", ".join(repr(name) for name in list(state)[:4])
    return f"a {type(state).__name__}"
