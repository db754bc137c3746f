"""Compares a situation with the loop by hand, in all that a user does with it."""

import io
import os
import random
import re
import runpy
import sys
import tempfile
import time
import traceback
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

import tutorial as tl
from tutorial.device import unchanged_settings

from .situation import Case, Situation

LIBRARY = str(Path(tl.__file__).parent)
SEED = 7  # of what is drawn in a training
# From what is best to what is worst.
OUTCOMES = ("equal", "told", "no script", "refused", "FAILS", "SILENTLY WRONG")


@dataclass
class Row:
    """What came of a situation.

    Attributes:
        found: the outcome of each comparison: 'fit', 'evaluate', ...
        notes: a line on each that is not equal.
        seconds: how long it took.
    """

    situation: Situation
    found: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def outcome(self) -> str:
        """The worst of all."""
        return max(self.found.values(), key=OUTCOMES.index, default="equal")

    @property
    def as_expected(self) -> bool:
        """Whether the table says so."""
        return (self.outcome == self.situation.expected) != self.situation.is_open


class DiffersError(Exception):
    """What was computed is not what the loop by hand computes."""


class MustSupplyError(Exception):
    """The script says that it cannot run alone."""


def look_at(situation: Situation, fresh: bool = False) -> Row:
    """Try all that a user does with it; with fresh, run the script in a fresh process, too."""
    row, began = Row(situation), time.perf_counter()
    tried = {**COMPARISONS, **({"verify": verify, "replay": replay} if fresh else {})}
    for label, argument in (situation.each or {"": None}).items():
        make = maker(situation, *([argument] if situation.each else []))
        with attempt(row, "makes", label):
            case = make()
            if case is None:
                continue
            for name, compare in tried.items():
                if name not in case.without:
                    with attempt(row, name, label):
                        compare(make)
    row.seconds = time.perf_counter() - began
    return row


def maker(situation: Situation, *arguments: Any) -> Callable[[], Case | None]:
    """Makes the case again, with the same numbers."""

    def make() -> Case | None:
        seed(0)
        return situation.make(*arguments)

    return make


@contextmanager
def attempt(row: Row, name: str, label: str) -> Iterator[None]:
    """Note the outcome of a comparison, by what is raised and what is warned of in the block."""
    situation, outcome, note = row.situation, "equal", ""
    dtype = torch.get_default_dtype()
    quiet = redirect_stdout(io.StringIO())
    with warnings.catch_warnings(record=True) as caught, unchanged_settings(), quiet:
        warnings.simplefilter("always")
        try:
            yield
        except (DiffersError, AssertionError) as error:
            outcome, note = "SILENTLY WRONG", str(error) or "not what was asserted"
        except Exception as error:
            note, outcome = told_by(error), "FAILS"
            if is_ours(error) and is_in(note, situation.refused):
                outcome = "refused"
            elif name in ("alone", "verify") and is_in(note, situation.unscripted):
                outcome = "no script"
            if outcome == "FAILS" and os.environ.get("DEBUG"):
                traceback.print_exc()
        finally:
            torch.set_default_dtype(dtype)
    may_differ = ("evaluate", "load", "makes")  # if it is said: never what is trained
    if outcome == "equal" or (outcome == "SILENTLY WRONG" and name in may_differ):
        for message in map(str, (warning.message for warning in caught)):
            if is_in(message, situation.told):
                outcome, note = "told", message
    if name != "makes" or outcome != "equal":
        row.found[name] = max(row.found.get(name, "equal"), outcome, key=OUTCOMES.index)
    if note:
        row.notes.append(f"{name}{label and f' ({label})'}: {note}")


def told_by(error: BaseException) -> str:
    """An error as the user reads it."""
    return "\n".join([f"{type(error).__name__}: {error}", *getattr(error, "__notes__", ())])


def is_in(text: str, said: str) -> bool:
    """Whether it says what the table wants."""
    return bool(said) and re.search(said, text, re.DOTALL) is not None


def is_ours(error: BaseException) -> bool:
    """Whether the library raised it: a refusal, and no accident."""
    if isinstance(error, MustSupplyError):
        return True
    frames = traceback.extract_tb(error.__traceback__)
    return bool(frames) and frames[-1].filename.startswith(LIBRARY)


# ---- the two ways


def by_hand(case: Case) -> list[float]:
    """The losses of the loop that one writes without the library."""
    torch.set_flush_denormal(True)
    seed(SEED)
    loader = case.loader(shuffle=case.fit.get("shuffle", True))
    if case.loop:
        return case.loop(case, loader)
    losses = []
    for _ in range(case.fit["epochs"]):
        case.network.train()
        for batch in loader:
            loss = case.step(case.network, case.loss, batch)
            loss.backward()
            case.optimizer.step()
            case.optimizer.zero_grad()
            losses.append(loss.item())
    return losses


def model_of(case: Case) -> tl.Model:
    """The case as the library takes it."""
    model = tl.Model(case.network, **case.model)
    model.prepare(case.optimizer, case.loss, case.metrics, **case.prepare)
    return model


def fitted(case: Case) -> tuple[tl.Model, list[float]]:
    """A model that was trained, and its losses."""
    model = model_of(case)
    seed(SEED)
    return model, model.fit(case.data, **case.fit).step_losses


def seed(number: int) -> None:
    """Seed all that draws."""
    random.seed(number)
    np.random.seed(number)
    torch.manual_seed(number)


# ---- the comparisons: each is given what makes the case again


def fit(make: Callable[[], Case]) -> None:
    """A training, after it was looked at: losses and weights, in every bit."""
    case, hand = make(), make()
    model = model_of(case)
    model.unroll("fit", case.data, **case.fit)
    for group, ours in zip(hand.optimizer.param_groups, case.optimizer.param_groups, strict=True):
        if ours.get("fused"):  # the same sum in another order
            group["fused"] = True
    losses = by_hand(hand)
    seed(SEED)
    same("losses", losses, model.fit(case.data, **case.fit).step_losses)
    same("weights", state_of(hand), state_of(case))


def evaluate(make: Callable[[], Case]) -> None:
    """The mean loss over all samples, whatever the batches are."""
    case = make()
    model = model_of(case)
    whole = len(case.data) if case.is_dataset else None
    for size in (5, whole) if whole else (None,):
        seed(SEED)
        given = {"batch_size": size} if size else {}
        found = model.evaluate(case.data, verbose=0, **given)["loss"]
        hand = make()
        seed(SEED)
        close("evaluate", evaluated_by_hand(hand, whole), found)


def evaluated_by_hand(case: Case, batch_size: int | None) -> float:
    """The mean loss: of a data set, its loss as one batch."""
    case.network.eval()
    total, samples = 0.0, 0
    with torch.no_grad():
        for batch in case.loader(batch_size=batch_size):
            loss = case.step(case.network, case.loss, batch).item()
            total += loss if case.summed else loss * case.size(batch)
            samples += case.size(batch)
    return total / samples


def predict(make: Callable[[], Case]) -> None:
    """The outputs for each batch."""
    case, hand = make(), make()
    seed(SEED)
    found = model_of(case).predict(case.data, batch_size=hand.fit["batch_size"], verbose=0)
    hand.network.eval()
    seed(SEED)
    with torch.no_grad():
        outputs = [tensors(hand.predict(hand.network, batch)) for batch in hand.loader()]
    same("predict", [list(output) for output in zip(*outputs, strict=True)], by_output(found))


def load(make: Callable[[], Case]) -> None:
    """What is loaded in a new model goes on as the first one does."""
    case, new = make(), make()
    model, _ = fitted(case)
    with tempfile.TemporaryDirectory() as folder:
        path = model.save(f"{folder}/model")
        goes_on = model.fit(case.data, **case.fit).step_losses
        other = model_of(new)
        other.load(path)
    same("losses", goes_on, other.fit(new.data, **new.fit).step_losses)


def alone(make: Callable[[], Case]) -> None:
    """The script, from random numbers of another seed."""
    case = make()
    seed(SEED)
    program = model_of(case).unroll("fit", case.data, **case.fit)
    with tempfile.TemporaryDirectory() as folder:
        path = program.save(f"{folder}/fit.py")
        head = re.match("(#.*\n)*", path.read_text(encoding="utf-8"))[0]
        if "You must supply" in head:
            raise MustSupplyError(head)
        seed(SEED + 1)
        torch.set_default_dtype(torch.float32)
        names = run_path(path)
    same("losses of the script", by_hand_as(make), [float(loss) for loss in names["step_losses"]])


def by_hand_as(make: Callable[[], Case]) -> list[float]:
    """The losses by hand, with the optimizers' implementation that the library chooses."""
    case, hand = make(), make()
    model_of(case)
    for group, ours in zip(hand.optimizer.param_groups, case.optimizer.param_groups, strict=True):
        if ours.get("fused"):
            group["fused"] = True
    return by_hand(hand)


def run_path(path: Path) -> dict[str, Any]:
    """What a script computes, in this process; it cannot import the library."""
    hidden = {name: sys.modules[name] for name in sys.modules if name.split(".")[0] == "tutorial"}
    sys.modules.update(dict.fromkeys(hidden))
    try:
        return runpy.run_path(str(path), run_name="__main__")
    finally:
        sys.modules.update(hidden)


def verify(make: Callable[[], Case]) -> None:
    """The library's own proof, in a fresh process."""
    case = make()
    seed(SEED)
    proof = model_of(case).unroll("fit", case.data, **case.fit).verify()
    if not proof:
        raise DiffersError(proof.line)


def replay(make: Callable[[], Case]) -> None:
    """The first steps once more, line by line."""
    case, other = make(), make()
    seed(SEED)
    replayed = model_of(case).unroll("fit", case.data, **case.fit).replay(2)
    if replayed.error:
        raise DiffersError(replayed.error)
    found = replayed.step_losses
    same("losses of the replay", fitted(other)[1][: len(found)], found)
    if not found:
        raise DiffersError("the replay has no loss")


COMPARISONS = {
    "fit": fit, "evaluate": evaluate, "predict": predict, "load": load, "alone": alone,
}  # fmt: skip

# ---- equality


def same(what: str, hand: Any, found: Any) -> None:
    """Refuse what is not equal bit for bit."""
    if isinstance(hand, dict):
        hand, found = list(hand.values()), list(found.values())
    if len(hand) != len(found):
        raise DiffersError(f"{what}: {len(hand)} by hand, {len(found)} here")
    for i, (a, b) in enumerate(zip(hand, found, strict=True)):
        if isinstance(a, list):
            same(f"{what} [{i}]", a, b)
        elif isinstance(a, torch.Tensor):
            if not (a.shape == b.shape and torch.equal(a.nan_to_num(7.5), b.nan_to_num(7.5))):
                raise DiffersError(f"{what} [{i}]: {tuple(a.shape)} by hand differs")
        elif a != b and not (a != a and b != b):
            raise DiffersError(f"{what} [{i}]: {a:.9g} by hand, {b:.9g} here")


def close(what: str, hand: float, found: float) -> None:
    """Refuse what differs by more than rounding."""
    if not abs(hand - found) <= 1e-4 * max(1e-2, abs(hand)):
        raise DiffersError(f"{what}: {hand:.6g} by hand, {found:.6g} here")


def state_of(case: Case) -> dict[str, torch.Tensor]:
    """Weights and buffers of network and loss."""
    state = dict(case.network.state_dict())
    if isinstance(case.loss, nn.Module):
        state |= {f"loss.{key}": value for key, value in case.loss.state_dict().items()}
    return {key: value for key, value in state.items() if isinstance(value, torch.Tensor)}


def tensors(output: Any) -> list[torch.Tensor]:
    """The tensors in what a network returns, in order."""
    if isinstance(output, torch.Tensor):
        return [output]
    if isinstance(output, dict):
        output = output.values()
    if isinstance(output, list | tuple) or type(output).__name__ == "dict_values":
        return [tensor for part in output for tensor in tensors(part)]
    return []


def by_output(found: Any) -> list[list[torch.Tensor]]:
    """What predict returns: for each output, the tensors of all batches."""
    parts = list(found.values()) if isinstance(found, dict) else found
    transposed = []
    for part in parts:
        batches = [tensors(batch) for batch in part]
        transposed += [list(output) for output in zip(*batches, strict=True)]
    return transposed
