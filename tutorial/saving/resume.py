"""Resume: which checkpoint a training goes on from, so that it goes on as one run would."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tutorial import checks
from tutorial.saving.checkpoint import check_optimizer, load_network, read
from tutorial.saving.parts import Parts


def newest(
    directory: str | Path, model: Any, hooks: Any, parts: Parts
) -> tuple[Path | None, dict[str, Any]]:
    """The checkpoint in a directory that a training goes on from: the newest that can be used.

    Of several trainings the one that began last counts, and of its checkpoints the one with most
    epochs. But if more is to be trained, one that was written at the end comes last, where it is
    not what a longer training would have been: see `is_an_end`. A file that is damaged or of
    another training is passed over, with a warning.

    Args:
        directory: where `fit(save_dir=...)` wrote.
        model: the Model that is to go on.
        hooks: the callbacks of the call.
        parts: what has a state in the objects of the call.

    Returns:
        The path and what the file holds; None and nothing if there is no checkpoint yet.

    Raises:
        ValueError: there are checkpoints, but none can be used; nothing was changed.
    """
    found: list[tuple[Any, Path]] = []
    faults: list[str] = []
    for path in sorted(Path(directory).glob("*.pt")):
        best = path.stem.startswith("best_model")
        if not (path.stem.isdigit() or path.stem in ("start", "final") or best):
            continue
        if not path.is_file():
            continue
        try:
            state = read(path, glance=True)
            if best and "fit" not in state:
                continue  # EarlyStopping's, which has no history
            fit = training_in(path, state)
            goes_on = not is_over(fit, hooks)
            rank = (fit["began"], not (goes_on and is_an_end(fit)), fit["epochs"], fit["ended"])
            found.append((rank, path))
        except ValueError as error:
            faults.append(str(error))
    for rank, path in sorted(found, reverse=True):
        try:
            state = read(path)
            check_resumed(path, state, model, hooks, parts)
        except ValueError as error:
            faults.append(str(error))
            continue
        if faults:
            checks.warn(f"{some(faults)} Going on from {str(path)!r}.")
        tell(path, state["fit"], hooks, exact=rank[1])
        return path, state
    if faults:
        raise ValueError(
            f"resume: no checkpoint in {str(directory)!r} can be used. {some(faults)} "
            "To start again, give another save_dir."
        )
    return None, {}


# ---- how far it has come


def first_epoch(fit: dict[str, Any], hooks: Any) -> int:
    """The epoch (from 0) in which a resumed training begins: `epochs`, if it is over."""
    epochs: int = hooks.params["epochs"]
    return epochs if is_over(fit, hooks) else fit["epochs"]


def is_over(fit: dict[str, Any], hooks: Any) -> bool:
    """Whether nothing is left to train."""
    epochs, steps = hooks.params["epochs"], hooks.params["num_iters"]
    all_steps = steps is not None and len(fit["step_losses"]) >= steps
    return bool(all_steps or is_stopped(fit, hooks) or fit["epochs"] >= epochs)


def is_stopped(fit: dict[str, Any], hooks: Any) -> bool:
    """Whether a callback ended it, and would end it again: one with more patience would not."""
    pairs = zip(hooks.callbacks.values(), fit["callbacks"], strict=False)
    who = [callback.ends_in(state) for callback, state in pairs if state.get("ends")]
    return bool(fit["stopped"] and (any(who) or not who))


def is_an_end(fit: dict[str, Any]) -> bool:
    """Whether it is not what a longer training would have been after this epoch.

    Its last epoch was cut by num_iters, or evaluated only because it was the last; or a callback
    may have given the network other weights when all was over.
    """
    return bool(fit["ended"] or fit["cut"])


def tell(path: Path, fit: dict[str, Any], hooks: Any, exact: bool) -> None:
    """Say that there is nothing to train, and what to change for that; or what is not as it was."""
    if is_over(fit, hooks):
        checks.warn(f"resume: {over(path, fit, hooks)}")
        return
    if not exact:
        checks.warn(
            f"resume: of this training, only {str(path)!r} can be used, which was written at its "
            f"end, after {len(fit['step_losses'])} steps: with more to train, the epoch before "
            "would have been another one, so what follows is not what one run would have done."
        )
    if others := list(changes(fit["settings"], hooks.params["settings"])):
        checks.warn(
            f"resume: {'; '.join(others)}. The training goes on from {str(path)!r}, but not as one "
            "run would have done. If that is not meant, give what was given when it began."
        )


def over(path: Path, fit: dict[str, Any], hooks: Any) -> str:
    """Why there is nothing to train, and which argument to raise."""
    steps, limit = len(fit["step_losses"]), hooks.params["num_iters"]
    if limit is not None and steps >= limit:
        return (
            f"{str(path)!r} is of a training that has made {steps} steps, and num_iters is "
            f"{limit}, so there is nothing to train. To go on, raise num_iters."
        )
    if is_stopped(fit, hooks):
        pairs = zip(hooks.callbacks.values(), fit["callbacks"], strict=False)
        who = [callback for callback, state in pairs if state.get("ends")]
        fix = f"raise the patience of {type(who[0]).__name__}" if who else "begin another training"
        again = "" if who else f" from its weights: model.load({str(path)!r}), and another save_dir"
        return (
            f"{str(path)!r} is of a training that a callback has ended, after {fit['epochs']} "
            f"epochs, so there is nothing to train. To go on, {fix}{again}."
        )
    return (
        f"{str(path)!r} is of a training that has finished its {fit['epochs']} epochs, so there is "
        f"nothing to train. To go on, raise epochs, which is {hooks.params['epochs']}."
    )


# ---- whether it is the same training


def check_resumed(path: Path, saved: dict[str, Any], model: Any, hooks: Any, parts: Parts) -> None:
    """Refuse a checkpoint of another training: nothing of it is loaded then."""
    try:
        load_network(model.network, saved["network"], skip_mismatch=False, dry=True)
        check_optimizer(model.optimizer, saved.get("optimizer", {"param_groups": [{"params": ()}]}))
    except ValueError as error:
        raise ValueError(f"resume: {str(path)!r} is of another training: {error}") from error
    kept = saved["fit"]["callbacks"]
    for name, have, there in (
        ("schedulers", len(hooks.schedulers), len(saved.get("schedulers", ()))),
        ("callbacks", len(hooks.callbacks), len(kept)),
        ("scalers", int(model.scaler is not None), int("scaler" in saved)),
    ):
        if have != there:
            raise ValueError(
                f"resume: {str(path)!r} is of a training with {there} {name}, but this call has "
                f"{have}. Give fit the same {name} as when the training began."
            )
    for scheduler, there in zip(
        hooks.schedulers.values(), saved.get("schedulers", ()), strict=True
    ):
        schedule_fits(scheduler, there)
    if fault := parts.mismatch(saved.get("parts", {})):
        raise ValueError(
            f"resume: {str(path)!r} is of another training: {fault}. Give fit the same data and "
            "loss as when the training began."
        )
    for callback, state in zip(hooks.callbacks.values(), kept, strict=True):
        if callback.state_attributes and set(state) != set(callback.state_attributes):
            raise ValueError(
                f"resume: {str(path)!r} has {sorted(state) or 'nothing'} in the place of the "
                f"callback {type(callback).__name__}, which needs "
                f"{sorted(callback.state_attributes)}. Give fit the same callbacks, in the same "
                "order, as when the training began."
            )


# What changes in a scheduler of torch while it runs; all else says which schedule it is.
PROGRESS = {"last_epoch", "_step_count", "_last_lr", "_get_lr_called_within_step", "_is_initial"}
PROGRESS |= {"T_cur", "T_i", "verbose"}


def schedule_fits(scheduler: Any, saved: dict[str, Any]) -> None:
    """Refuse another schedule than the one that the training began with."""
    if not type(scheduler).__module__.startswith("torch."):
        return
    settings = plain_settings(scheduler.state_dict())
    for name, there in sorted(plain_settings(saved).items(), key=lambda item: item[0].lstrip("_")):
        here = settings.get(name, there)
        if here != there:
            raise ValueError(
                f"resume: {type(scheduler).__name__} has {name}={here!r} in this call, but "
                f"{there!r} when the training began: the learning rates of its steps would have "
                "been others, so it cannot go on as one run. Give the same schedule; or begin "
                "another training from its weights: model.load(path, reset_optimizer=True), and "
                "another save_dir."
            )


def plain_settings(state: Any, name: str = "") -> dict[str, Any]:
    """What says which schedule it is, by its name; of several schedules, all of it."""
    if isinstance(state, Counter):
        return {name: sorted(state.elements())}  # MultiStepLR's milestones
    if isinstance(state, dict):
        parts = [(f"{name}.{key}" if name else key, state[key]) for key in state.keys() - PROGRESS]
    elif isinstance(state, list | tuple):
        parts = [(f"{name}[{i}]", part) for i, part in enumerate(state)]
    else:
        return {name: state} if isinstance(state, int | float | str) else {}
    return {key: value for part in parts for key, value in plain_settings(part[1], part[0]).items()}


def changes(then: dict[str, Any], now: dict[str, Any]) -> Iterator[str]:
    """What this call does otherwise than the one that wrote a checkpoint, in words."""
    for name, before in then.items():
        if name != "callbacks" and before != now.get(name, before):
            yield f"{name} was {before!r}, and is {now[name]!r} now"
    pairs = zip(then.get("callbacks", ()), now["callbacks"], strict=False)  # a script notes none
    for (kind, before), (other, after) in pairs:
        if kind != other:
            yield f"there was the callback {kind}, and now there is {other} in its place"
            continue
        for name in before:
            more_patience = (kind, name) == ("EarlyStopping", "patience") and (
                after[name] > before[name]
            )
            if before[name] != after[name] and not more_patience:
                yield f"{kind} had {name}={before[name]!r}, and has {after[name]!r} now"


def training_in(path: Path, state: dict[str, Any]) -> dict[str, Any]:
    """What the file holds of a training."""
    fit = state.get("fit")
    needed = ("began", "epochs", "ended", "stopped", "step_losses", "rows", "callbacks")
    if not isinstance(fit, dict) or any(name not in fit for name in (*needed, "cut", "settings")):
        raise ValueError(
            f"path is {str(path)!r}, but this file holds no training that can go on: fit did not "
            "write it. model.load reads what model.save wrote."
        )
    return fit


def some(faults: list[str]) -> str:
    """The first of them."""
    faults = list(dict.fromkeys(faults))
    more = f" (So it is with {len(faults) - 3} more.)" if len(faults) > 3 else ""
    return " ".join(faults[:3]) + more
