"""Names of weights and buffers: W_1 and b_1, as in a formula."""

import re
from collections.abc import Collection, Mapping
from itertools import count
from keyword import iskeyword
from typing import Any

from torch import nn

from tutorial.loop.names import OF_BATCHES, OF_DEPTHS, reserved_names


class Names:
    """The names of weights and buffers in the text.

    Args:
        network: the network.
        losses: the losses, by their variables.
        taken: the names that the loop has, too: those of the call's metrics, say.
    """

    def __init__(
        self, network: nn.Module, losses: Mapping[str, Any], taken: Collection[str] = ()
    ) -> None:
        self.taken = {*taken_by_the_loop(), *taken}
        self.of: dict[str, str] = {}
        self.network = network
        for path, _ in [*network.named_parameters(), *network.named_buffers()]:
            name = state_name(path)
            while name in self.of.values() or name in self.taken:
                name += "_"
            self.of[f"network {path}"] = name
        for variable, loss in losses.items():
            if isinstance(loss, nn.Module):
                for kind in ("parameter", "buffer"):
                    for path, _ in getattr(loss, f"named_{kind}s")():
                        plain = all(map(str.isidentifier, path.split(".")))
                        named = f".{path}" if plain else f".get_{kind}({path!r})"
                        self.of[f"{variable} {path}"] = f"{variable}{named}"
        self.read: set[str] = set()
        self.constants: dict[str, str] = {}  # of each, its code
        self.local: set[str] = set()  # what the text calls its results

    def __call__(self, key: str) -> str:
        """The name of a weight, a buffer, or a part of the batch."""
        self.read.add(key)
        return self.of.get(key, key)

    def constant(self, stem: str, code: str) -> str:
        """The name of a tensor that stays as it is."""
        for name, known in self.constants.items():
            if known == code:
                return name
        stem = re.sub(r"\W", "_", stem).strip("_")
        taken = {*self.taken, *self.of.values(), *self.constants, *self.local}
        names = (f"{stem}_{i}" if i > 1 else stem for i in count(1))
        name = next(name for name in names if name not in taken)
        self.constants[name] = code
        return name

    def definitions(self) -> str:
        """The lines that give weights, buffers and constants their names."""
        lines = ""
        for kind, values in (("parameters", "weight"), ("buffers", "buffer")):
            keys = [f"network {path}" for path, _ in getattr(self.network, f"named_{kind}")()]
            names = [self.of[key] for key in keys]
            if any(key in self.read for key in keys):
                left = in_lines(names)
                left = f"[{left}]" if len(names) == 1 else f"({left})" if "\n" in left else left
                lines += f"{left} = ({values}.detach() for {values} in network.{kind}())\n"
        return lines + "".join(f"{name} = {code}\n" for name, code in self.constants.items())


def taken_by_the_loop() -> set[str]:
    """What the loop calls things itself."""
    return {*reserved_names(), *OF_BATCHES, *OF_DEPTHS}


def state_name(path: str) -> str:
    """W_1 for 1.weight, b_conv1 for conv1.bias, running_mean_layer1_0_bn1."""
    *where, what = path.split(".")
    short = {"weight": "W", "bias": "b"}.get(what, what)
    name = re.sub(r"\W", "_", "_".join([short, *where]))
    name += "_" * iskeyword(name)
    return f"W_{name}" if name[0].isdigit() else name  # of a ParameterList: W_0_w for w.0


def in_lines(items: list[str], margin: int = 0) -> str:
    """Items with commas between them; many have lines of their own, from this margin on."""
    text = ", ".join(items)
    if len(text) < 60:
        return text
    lines = [""]
    for item in items:
        if len(lines[-1]) + len(item) > 90 - margin:
            lines.append("")
        lines[-1] += f" {item},"
    indent = " " * (margin + 3)
    return "\n" + "".join(f"{indent}{line}\n" for line in lines) + " " * margin
