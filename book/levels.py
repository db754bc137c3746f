"""Calls and options, and the loops that they run, as `model.unroll` gives them."""

import re
from functools import cache
from typing import Any

import torch
from torch import nn

import tutorial as tl
from tutorial.course.changes import changed_lines
from tutorial.depth.shown import shown

START = """\
network = nn.Sequential(nn.Flatten(), nn.Linear(784, 512), nn.ReLU(), nn.Linear(512, 10))
model = tl.Model(network)
model.prepare(torch.optim.Adam(model.parameters()), nn.CrossEntropyLoss(), tl.metrics.Accuracy())"""
FIT = "model.fit(train_data, epochs=5)"
HIGH_LEVEL = f"""\
train_data = tl.datasets.MNIST("train")
model = tl.Model(network)
model.prepare(
    optimizer,
    nn.CrossEntropyLoss(),
    tl.metrics.Accuracy(),
)
{FIT}"""
CALLS = {
    "Train": FIT,
    "Evaluate": "model.evaluate(test_data)",
    "Predict": "model.predict(test_data)",
    "One batch": "model.train_batch(x, y)",
}
OPTIONS = {
    "Validation": "model.fit(train_data, test_data, epochs=5)",
    "Gradient clipping": "model.fit(train_data, epochs=5, clip_grad_norm=1.0)",
    "Gradient accumulation": "model.fit(train_data, epochs=5, accumulate_grad_batches=4)",
    "Early stopping": (
        "stop = tl.callbacks.EarlyStopping('acc', patience=2)\n"
        "model.fit(train_data, test_data, epochs=5, callbacks=stop)"
    ),
    "Learning rate schedule": (
        "scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(model.optimizer, T_max=4690)\n"
        "model.fit(train_data, epochs=5, callbacks=tl.callbacks.LRScheduler(scheduler))"
    ),
    "Mixed precision": (
        "model.prepare(optimizer, nn.CrossEntropyLoss(), accuracy, precision='bf16-mixed')\n"
        "model.fit(train_data, epochs=5)"
    ),
    "Two processes": (
        "# torchrun --nproc-per-node=2 train.py\nmodel.fit(train_data, epochs=5, batch_size=32)"
    ),
}


@cache
def data() -> dict[str, Any]:
    """What stands for the data in the examples."""
    train_data = tl.datasets.MNIST("train")
    x, y = train_data[:64]
    return {"train_data": train_data, "test_data": tl.datasets.MNIST("test"), "x": x, "y": y}


def unrolled(code: str) -> str:
    """The loop that the last line of this code runs; the lines before it are run."""
    return tl.launch(loop_of, code)[0] if "torchrun" in code else loop_of(code)


def loop_of(code: str) -> str:
    """The same, in the process that asks."""
    return str(program_of(code)).strip()


def program_of(code: str) -> tl.Program:
    """The program of that call."""
    names: dict[str, Any] = {"torch": torch, "nn": nn, "tl": tl}
    exec(START, names)
    names |= {"optimizer": names["model"].optimizer, "accuracy": tl.metrics.Accuracy()}
    names |= data()
    *before, call = code.splitlines()
    exec("\n".join(before), names)
    program: tl.Program = eval(re.sub(r"model\.(\w+)\(", r'model.unroll("\1", ', call), names)
    return program


def block(code: str, marked: str = "") -> str:
    """Python code in Markdown."""
    options = f":emphasize-lines: {marked}\n" if marked else ""
    return f"```{{code-block}} python\n{options}\n{code}\n```\n"


def calls() -> str:
    """A tab for each call, with its program, and a control for the depth of that."""
    html = {code: f"```{{raw}} html\n{shown(program_of(code))}\n```\n" for code in CALLS.values()}
    return tabs({name: f"{block(code)}\n{html[code]}" for name, code in CALLS.items()})


def options() -> str:
    """A tab for each option, with the loop; the lines that it adds or changes are marked."""
    plain = unrolled(FIT).splitlines()

    def loop(code: str) -> str:
        lines = unrolled(code).splitlines()
        return block("\n".join(lines), ",".join(str(i + 1) for i in changed_lines(plain, lines)))

    return tabs({name: f"{block(code)}\n{loop(code)}" for name, code in OPTIONS.items()})


def tabs(contents: dict[str, str]) -> str:
    """Markdown in tabs."""
    items = [f":::{{tab-item}} {name}\n\n{text}:::\n" for name, text in contents.items()]
    return "\n".join(["::::{tab-set}\n", *items, "::::\n"])
