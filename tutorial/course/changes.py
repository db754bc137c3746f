"""The loop of a call without a model, and which of its lines come from which argument."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher, get_close_matches
from inspect import signature
from typing import Any

from tutorial import callbacks
from tutorial.loop.names import variable
from tutorial.loop.options import Code
from tutorial.model import Model
from tutorial.parameters import checked
from tutorial.unroll.unroll import defaults, unroll

# What a plain call has: its data in tensors, a loss, the accuracy, a CPU.
PLAIN: dict[str, Any] = {
    "TRAIN_LOADING": "in_memory",
    "EVAL_LOADING": "in_memory",
    "TEST_LOADING": "in_memory",
    "METRICS": ((Code("accuracy"), Code("y_hat"), Code("y")),),
    "VALUES": (("acc", Code("accuracy"), None, False),),
}
RANKS = {"DISTRIBUTED": True, "TRAIN_SPLIT": "strided"}
RANKS |= {"EVAL_SPLIT": "contiguous", "TEST_SPLIT": "contiguous"}
PRECISIONS: dict[str, dict[str, Any]] = {
    "32": {},
    "bf16-mixed": {"AUTOCAST": True},
    "bf16": {"AUTOCAST": True},
    "16-mixed": {"AUTOCAST": True, "AUTOCAST_DTYPE": Code("torch.float16"), "GRAD_SCALER": True},
}
SCHEDULES = {
    by: {"SCHEDULERS": ((0, Code("scheduler")),), f"{by.upper()}_SCHEDULERS": (Code("scheduler"),)}
    for by in ("step", "epoch")
}
# What is not an argument of the call, but changes its loop: said before it, or around it.
OTHER_ARGUMENTS = {
    "precision": "of prepare: 32, bf16-mixed, 16-mixed or bf16",
    "device": "of set_device: cuda:0, mps",
    "processes": "of torchrun: 2",
    "scheduler": "of callbacks.LRScheduler: by step or epoch",
}


@dataclass
class Line:
    """A line of a loop, and the arguments that it comes from.

    Attributes:
        code: the line.
        names: the arguments without which it would not be there, or stand elsewhere.
        change: '+' it is new, '-' it is gone, '>' it moved into another block, ' ' nothing.
    """

    code: str
    names: list[str]
    change: str = " "


def marked_loop(method: str, arguments: Mapping[str, Any]) -> list[Line]:
    """The lines of a call's loop, each with the arguments that change it.

    Args:
        method: a method of Model, such as 'fit'.
        arguments: of the call, by name; and any of OTHER_ARGUMENTS. Data may be anything. Callbacks
            are given by the names of their classes.

    Raises:
        ValueError: there is no such argument, or it does not fit.

    Example:
        >>> lines = marked_loop("fit", {"clip_grad_norm": 1.0})
        >>> [line.code.strip() for line in lines if line.change == "+"]
        ['nn.utils.clip_grad_norm_(network.parameters(), 1.0)  # no gradient too long']
    """
    if arguments.get("resume") and not (
        arguments.get("save_dir") and arguments.get("epochs", 1) != 1
    ):
        raise ValueError(
            "loop: resume goes on from a checkpoint of an earlier epoch. Give the directory and "
            "more epochs, as in: save_dir=checkpoints epochs=5 resume=True."
        )
    lines = [Line(code, []) for code in loop_of(method, arguments)]
    for name in arguments:
        others = {other: value for other, value in arguments.items() if other != name}
        now = [line for line in lines if line.change != "-"]
        places = {id(line): place for place, line in enumerate(lines)}
        gone: list[tuple[int, Line]] = []
        before, after = loop_of(method, others), [line.code for line in now]
        for kind, start, end, new_start, new_end in differences(before, after):
            if kind == "equal":
                for old, line in zip(before[start:end], now[new_start:new_end], strict=True):
                    if indent(old) != indent(line.code):
                        mark(line, name, ">")
                continue
            for line in now[new_start:new_end]:
                mark(line, name, "+")
            place = places[id(now[new_start])] if new_start < len(now) else len(lines)
            gone += [(place, Line(code, [name], "-")) for code in before[start:end]]
        for place, line in reversed(gone):
            lines.insert(place, line)
    return lines


def mark(line: Line, name: str, change: str) -> None:
    """Note that the argument changes the line."""
    line.names.append(name)
    line.change = "+" if "+" in (line.change, change) else change


def indent(code: str) -> int:
    """The blanks before a line."""
    return len(code) - len(code.lstrip())


def loop_of(method: str, arguments: Mapping[str, Any]) -> list[str]:
    """The lines of the loop."""
    options = dict(PLAIN)
    if method == "fit" and not str(arguments.get("device", "cpu")).startswith(("cuda", "mps")):
        options["FLUSH_DENORMAL"] = True
    for name, value in arguments.items():
        options |= options_of(method, name, value)
    if options.get("RESUME") is not None and arguments.get("save_dir"):
        options["RESUME"] = f"{arguments['save_dir']}/0.pt"
    return unroll(method, tuple(options.items())).splitlines()


def options_of(method: str, name: str, value: Any) -> dict[str, Any]:
    """The options that one argument decides."""
    if name in OTHER_ARGUMENTS:
        return other_options(name, value)
    function = getattr(Model, method)
    parameters = signature(function).parameters
    if name not in parameters or name in ("self", "loop"):
        known = [known for known in parameters if known not in ("self", "loop")]
        raise ValueError(
            f"loop: {method} has no argument {name!r}; {nearest(name, known)}it has "
            f"{', '.join(known)}. Its loop also depends on {', '.join(OTHER_ARGUMENTS)}."
        )
    if name == "callbacks":
        return hooks_of(str(value)) if value is not None else {}
    given = {known: parameter.default for known, parameter in parameters.items()} | {name: value}
    value = checked(function, given)[name]
    if name == "batch_size":
        sizes = value if isinstance(value, tuple) else (value, value)
        return dict(zip(("BATCH_SIZE", "EVAL_BATCH_SIZE"), sizes, strict=True))
    special: dict[str, dict[str, Any]] = {
        "eval_data": {"EVAL_DATA": value is not None},
        "save_dir": {"CHECKPOINTS": (Code("model_checkpoint"),)} if value else {},
        "resume": {"RESUME": "checkpoints/0.pt", "FIRST_EPOCH": 1} if value else {},
    }
    plain = {name.upper(): value} if name.upper() in defaults() else {}
    return special.get(name, plain)


def nearest(name: str, known: Iterable[str]) -> str:
    """What was probably meant, for a message."""
    close = [each for each in known if each.startswith(name)] or get_close_matches(
        name, list(known)
    )
    return f"perhaps {close[0]} is meant; " if close else ""


def other_options(name: str, value: Any) -> dict[str, Any]:
    """The options that something beside the call's arguments decides."""
    choices: dict[str, dict[str, Any]] = {
        "precision": PRECISIONS,
        "scheduler": SCHEDULES,
        "processes": {"1": {}, "2": RANKS},
        "device": {
            device: {"DEVICE": device, "DEVICE_TYPE": device.partition(":")[0]}
            for device in ("cpu", "cuda:0", "cuda:1", "mps")
        },
    }
    if name == "processes" and isinstance(value, int) and value > 2:
        value = 2  # the loop is the same for more
    value = "cuda:0" if value == "cuda" else value
    found: dict[str, Any] | None = choices[name].get(str(value))
    if found is None:
        raise ValueError(f"loop: {name} is {value!r}, but one of {', '.join(choices[name])} fits.")
    return found


def hooks_of(names: str) -> dict[str, Any]:
    """The options that callbacks decide, by the names of their classes."""
    options: dict[str, Any] = {"CALLBACKS": ()}
    for name in re.findall(r"\w+", re.sub(r"\([^()]*\)", "", names)):  # EarlyStopping("acc"), too
        kind = getattr(callbacks, name, None)
        if not (isinstance(kind, type) and issubclass(kind, callbacks.Callback)):
            known = [n for n in callbacks.__all__ if n[0].isupper() and n != "HOOKS"]
            raise ValueError(f"loop: there is no callback {name!r}; there are {', '.join(known)}.")
        own = variable(kind.__new__(kind), options["CALLBACKS"])
        options["CALLBACKS"] += (own,)
        for hook in callbacks.HOOKS:
            if getattr(kind, hook) is not getattr(callbacks.Callback, hook):
                options[hook.upper()] = (*options.get(hook.upper(), ()), own)
    return options


def differences(before: list[str], after: list[str]) -> Sequence[tuple[str, int, int, int, int]]:
    """Runs of lines that are equal or not, by their code; blanks and comments do not count."""
    old, new = ([bare(line) for line in lines] for lines in (before, after))
    return SequenceMatcher(None, old, new, autojunk=False).get_opcodes()


def bare(line: str) -> str:
    """A line's code."""
    return " ".join(re.sub(r"(?<=\S)  #.*", "", line).split())


def changed_lines(plain: list[str], lines: list[str]) -> list[int]:
    """The numbers, from 0, of the lines that are not in the plain loop; indents do not count."""
    return [
        number
        for kind, *_, start, end in differences(plain, lines)
        if kind != "equal"
        for number in range(start, end)
    ]
