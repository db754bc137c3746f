"""The loop of a call without a model, and which of its lines come from which argument."""

from collections.abc import Mapping
from difflib import SequenceMatcher
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
    "VALUES": (("acc", Code("accuracy"), None),),
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


def marked_loop(method: str, arguments: Mapping[str, Any]) -> list[tuple[str, list[str]]]:
    """The lines of a call's loop, each with the arguments that it would not be there without.

    Args:
        method: a method of Model, such as 'fit'.
        arguments: of the call, by name; and any of OTHER_ARGUMENTS. Data may be anything. Callbacks
            are given by the names of their classes.

    Raises:
        ValueError: there is no such argument, or it does not fit.

    Example:
        >>> [line.strip() for line, names in marked_loop("fit", {"clip_grad_norm": 1.0}) if names]
        ['nn.utils.clip_grad_norm_(network.parameters(), 1.0)  # no gradient too long']
    """
    lines = loop_of(method, arguments)
    marks: list[list[str]] = [[] for _ in lines]
    for name in arguments:
        others = {other: value for other, value in arguments.items() if other != name}
        for i in changed_lines(loop_of(method, others), lines):
            marks[i].append(name)
    return list(zip(lines, marks, strict=True))


def loop_of(method: str, arguments: Mapping[str, Any]) -> list[str]:
    """The lines of the loop."""
    options = dict(PLAIN)
    if method == "fit" and not str(arguments.get("device", "cpu")).startswith(("cuda", "mps")):
        options["FLUSH_DENORMAL"] = True
    for name, value in arguments.items():
        options |= options_of(method, name, value)
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
            f"loop: {method} has no argument {name!r}; it has {', '.join(known)}. Its loop also "
            f"depends on {', '.join(OTHER_ARGUMENTS)}."
        )
    if name == "callbacks":
        return hooks_of(str(value))
    given = {known: parameter.default for known, parameter in parameters.items()} | {name: value}
    value = checked(function, given)[name]
    if name == "batch_size":
        sizes = value if isinstance(value, tuple) else (value, value)
        return dict(zip(("BATCH_SIZE", "EVAL_BATCH_SIZE"), sizes, strict=True))
    special: dict[str, dict[str, Any]] = {
        "eval_data": {"EVAL_DATA": value is not None},
        "save_dir": {"CHECKPOINTS": (Code("model_checkpoint"),)} if value else {},
        "resume": {"RESUME": "checkpoints/3.pt", "FIRST_EPOCH": 4} if value else {},
    }
    plain = {name.upper(): value} if name.upper() in defaults() else {}
    return special.get(name, plain)


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
    found: dict[str, Any] | None = choices[name].get(str(value))
    if found is None:
        raise ValueError(f"loop: {name} is {value!r}, but one of {', '.join(choices[name])} fits.")
    return found


def hooks_of(names: str) -> dict[str, Any]:
    """The options that callbacks decide, by the names of their classes."""
    options: dict[str, Any] = {"CALLBACKS": ()}
    for name in names.strip("[]()").split(","):
        kind = getattr(callbacks, name.strip(), None)
        if not (isinstance(kind, type) and issubclass(kind, callbacks.Callback)):
            known = [n for n in callbacks.__all__ if n[0].isupper() and n != "HOOKS"]
            raise ValueError(f"loop: there is no callback {name!r}; there are {', '.join(known)}.")
        own = variable(kind.__new__(kind), options["CALLBACKS"])
        options["CALLBACKS"] += (own,)
        for hook in callbacks.HOOKS:
            if getattr(kind, hook) is not getattr(callbacks.Callback, hook):
                options[hook.upper()] = (*options.get(hook.upper(), ()), own)
    return options


def changed_lines(plain: list[str], lines: list[str]) -> list[int]:
    """The numbers, from 0, of the lines that are not in the plain loop; indents do not count."""
    before, after = ([" ".join(line.split()) for line in loop] for loop in (plain, lines))
    same = SequenceMatcher(None, before, after, autojunk=False)
    return [
        number
        for kind, *_, start, end in same.get_opcodes()
        if kind != "equal"
        for number in range(start, end)
    ]
