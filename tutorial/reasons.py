"""Why two runs may differ: what was different where they began, in words.

Each run has noted its start (`unroll/beginning.py`) in dicts of dicts. A path through these, such
as `optimizer.lr`, says what a difference is about, and which loss it can change first.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

MOST = 3  # details of one reason
NOTHING = "nothing"  # in place of what one of the two does not have


@dataclass(frozen=True)
class Reason:
    """What was different when two runs began.

    Attributes:
        what: in words, such as 'the learning rate'.
        details: what it was in each, such as '0.01 in mine, 0.001 in theirs'.
        first: the first step, from 0, whose loss it can change.
        surely: whether it changes that one, and not only a later one.
        rounds: whether it changes no more than how sums are rounded.
    """

    what: str
    details: str
    first: int = 0
    surely: bool = False
    rounds: bool = False

    def __str__(self) -> str:
        return f"{self.what}: {self.details}"


@dataclass(frozen=True)
class Kind:
    """What a difference at such a path is about; the other attributes are those of a Reason."""

    path: str
    what: str
    first: int = 0
    surely: bool = False
    rounds: bool = False


# The first one that fits a path counts. In this order they are told.
KINDS = (
    Kind(r"seed", "the seed", surely=True),
    Kind(r"random\.?", "the random state"),
    Kind(r"network\.?", "the network", surely=True),
    Kind(r"weights\.", "the weights at the start", surely=True),
    Kind(r"(options|data(\..*)?)\.batch_size", "the batch size", surely=True),
    Kind(r"options\.shuffle", "the order of batches", surely=True),
    Kind(r"data\.(.*\.)?(?=\w*(sampler|generator))", "the order of batches", surely=True),
    Kind(r"data\.?", "the data"),
    Kind(r"options\.precision", "the precision", surely=True),
    Kind(r"loss\.(loss_fn\.|loss_fn$)?", "the loss"),
    Kind(r"optimizer\.lr", "the learning rate", first=1, surely=True),
    Kind(r"optimizer\.(?=fused|foreach)", "how the optimizer computes", first=1, rounds=True),
    Kind(r"optimizer\.memory.*", "what the optimizer remembers of earlier steps", first=1),
    Kind(r"optimizer\.?", "the optimizer", first=1),
    Kind(r"frozen", "the weights that do not learn", first=1),
    Kind(r"options\.accumulate_grad_batches", "accumulate_grad_batches", first=1),
    Kind(r"options\.clip_grad_norm", "clip_grad_norm", first=1),
    Kind(r"options\.processes", "the number of processes"),
    # A loader draws a random number for each pass, so the next epoch has another order.
    Kind(r"options\.evaluation", "evaluation between epochs", first=1),
    Kind(r"options\.", "the batches"),
    Kind(r"schedulers\.(scheduler\.|scheduler$)?", "the schedule of the learning rate", first=1),
    Kind(r"callbacks\.", "the callbacks", first=1),
    Kind(r"machine\.threads", "the number of threads", rounds=True),
    Kind(r"machine\.?", "the machine", rounds=True),
    Kind(r"", "the start"),  # whatever else a file notes of it
)


def differences(mine: Mapping[str, Any], theirs: Mapping[str, Any]) -> list[Reason]:
    """What was different where two runs began, the most telling first.

    Args:
        mine: where my run began; empty if that is not noted.
        theirs: the same of the other run.
    """
    parts = [
        name for name in mine if name in theirs and name not in ("loop", "own_loop", "resumed")
    ]
    same_code = python_of(mine) == python_of(theirs)
    found: dict[Kind, list[str]] = {}
    for name in parts:
        for path, a, b in differing(mine[name], theirs[name], name):
            if name == "weights" and plain(a) != plain(b):
                continue  # of another shape: that is the network
            if same_code or without_code(a) != without_code(b):
                kind = next(kind for kind in KINDS if re.match(kind.path, path))
                rest = re.sub(f"^{kind.path}", "", path)
                found.setdefault(kind, []).append(said(rest, a, b))
    kinds = {kind.what: kind for kind in found}
    if "the seed" in kinds:  # which sets the state of all generators
        found.pop(kinds.get("the random state"), None)  # type: ignore[arg-type]
    elif "the random state" in kinds and "seed" in mine:
        drawn = f"the same seed, {mine['seed']}, but after it other numbers were drawn"
        found[kinds["the random state"]].append(drawn)
    if "the network" in kinds:  # whose weights are then others
        found.pop(kinds.get("the weights that do not learn"), None)  # type: ignore[arg-type]
    together: dict[str, Reason] = {}
    for kind in filter(found.__contains__, KINDS):
        details = shortened(found[kind])
        if before := together.get(kind.what):
            details = f"{before.details}; {details}"
        together[kind.what] = Reason(kind.what, details, kind.first, kind.surely, kind.rounds)
    reasons = list(together.values())
    loops = differing_loops(mine.get("loop"), theirs.get("loop"))
    if loops and (mine.get("own_loop") or theirs.get("own_loop") or not reasons):
        reasons.append(Reason("the loop", loops))  # else it differs by what is told above
    return reasons


def python_of(began: Mapping[str, Any]) -> Any:
    """The version of Python, on which checksums of code depend."""
    machine = began.get("machine")
    return machine.get("python") if isinstance(machine, Mapping) else None


def differing(a: Any, b: Any, path: str) -> Iterator[tuple[str, Any, Any]]:
    """Where two descriptions differ, outermost first: the path, and both values there."""
    if isinstance(a, Mapping) and isinstance(b, Mapping):
        if without_code(a.get("")) != without_code(b.get("")):
            yield path, a.get("", NOTHING), b.get("", NOTHING)  # of another class: all is different
            return
        for name in {**a, **b}:
            inner = f"{path}.{name}" if name else path
            yield from differing(a.get(name, NOTHING), b.get(name, NOTHING), inner)
    elif a != b:
        yield path, a, b


# ---- in words


CODE = re.compile(r"(?<=\w):[0-9a-f]{8}\b")  # behind the name of a function or class
CHECKSUM = re.compile(r" [0-9a-f]{8}$")  # behind what it is of


def without_code(value: Any) -> Any:
    """The value without the checksums of code, which depend on the version of Python."""
    return CODE.sub("", value) if isinstance(value, str) else value


def said(name: str, a: Any, b: Any) -> str:
    """A difference in words: 'betas 0.9 in mine, 0.8 in theirs', 'tensors.0 has other numbers'."""
    one, other = plain(a), plain(b)
    if one != other:
        return f"{name} {one} in mine, {other} in theirs".strip()
    what = "code" if without_code(a) == without_code(b) else "numbers"
    return f"{name or one} has other {what}"


def plain(value: Any) -> str:
    """A value as it is read: without checksums."""
    if isinstance(value, Mapping):
        return plain(value.get("", "some"))
    return CHECKSUM.sub("", without_code(value)) if isinstance(value, str) else str(value)


def shortened(details: list[str]) -> str:
    """The first of many."""
    more = len(details) - MOST
    return "; ".join(details[:MOST]) + (f"; and {more} more" if more > 0 else "")


# ---- loops


NO_TRAINING = re.compile(r"\s*(report\.|print\(|if report\.due|if \(step \+ 1\) % \d+ == 0:|#|$)")


def differing_loops(mine: Any, theirs: Any) -> str:
    """The first lines that only one of two loops has, but for what they show and how long."""
    if not isinstance(mine, list) or not isinstance(theirs, list):
        return "" if mine == theirs else said("", named(mine), named(theirs))
    a, b = (list(filter(None, map(trained, lines))) for lines in (mine, theirs))
    only = [f"{line} only in mine" for line in a if line not in b]
    only += [f"{line} only in theirs" for line in b if line not in a]
    return shortened(only) if a != b and only else ("other lines" if a != b else "")


def named(loop: Any) -> str:
    """A loop of the library's, or the user's own by its name."""
    return "a written loop" if isinstance(loop, list) else str(loop)


def trained(line: str) -> str:
    """A line of a loop without its comment; nothing of one that only shows how it goes."""
    if NO_TRAINING.match(line):
        return ""
    code = re.sub(r"\s+#.*", "", line)
    return re.sub(r"range\(\d+(, \d+)?\)", "range(...)", code).strip()
