"""How the results of operations are named: x_1 and d_x_1, as in a formula."""

import re
from itertools import count
from typing import Any

from torch import fx

from tutorial.depth.graph import is_item_of, operation
from tutorial.depth.live import Live
from tutorial.depth.names import Names
from tutorial.depth.trace import BACKWARD, Traced

# What is known of a result by its operation: a stem, to which the layer's name is added.
HINTS = {
    "bernoulli_.float": "mask", "div_.Scalar": "mask", "empty_like.default": "mask",
    "_log_softmax.default": "log_p", "nll_loss_backward.default": "d_log_p",
    "_softmax.default": "p", "_softmax_backward_data.default": "d_scores",
}  # fmt: skip
# And of operations that give several; each has so many, also where not all are read.
NORM, NORM_BACKWARD = ("x", "mean", "rstd"), ("d_x", "d_W", "d_b")
SEVERAL = {
    "native_batch_norm.default": NORM, "native_layer_norm.default": NORM,
    "native_group_norm.default": NORM, "native_batch_norm_backward.default": NORM_BACKWARD,
    "native_layer_norm_backward.default": NORM_BACKWARD,
    "convolution_backward.default": ("d_x", "d_W", "d_b"),
    "max_pool2d_with_indices.default": ("x", "places"),
}  # fmt: skip
LENGTHS = {name: len(hints) for name, hints in SEVERAL.items()} | {
    "native_group_norm_backward.default": 3,
    "_scaled_dot_product_flash_attention_for_cpu.default": 2,
    "_scaled_dot_product_flash_attention_for_cpu_backward.default": 3,
}


class Results:
    """The names of operations' results.

    Attributes:
        given: the operations whose names are known before their lines are written: results of the
            loop, gradients of weights, outputs of layers.
        same: results of the loop that are another's result, or an input, by name.
    """

    def __init__(self, traced: Traced, live: Live, named: Names) -> None:
        self.traced, self.live = traced, live
        self.taken = {*named.taken, *named.of.values(), *named.constants}
        self.names: dict[fx.Node, str] = {}
        self.given: set[fx.Node] = set()
        self.same: dict[str, fx.Node] = {}
        self.name_results(named)
        self.name_outputs()

    def name_results(self, named: Names) -> None:
        """What the loop reads: loss, y_hat, and the gradients."""
        for key, node in self.traced.results.items():
            real, plain = self.live.real(node), "@" not in key and not key.startswith("d ")
            if real in self.names or real.op == "placeholder":
                if plain:
                    self.same[key] = real  # two results are one
            elif not key.endswith("@item"):
                name = f"d_{named.of[key[2:]]}" if key.startswith("d ") else key
                self.names[real] = name = re.sub(r"[.@]", "_", name)
                self.given.add(real)
                self.taken.add(name)

    def name_outputs(self) -> None:
        """What a layer gives: x_ and the layer's name."""
        for node, path in self.traced.outputs.items():
            real = self.live.real(node)
            if real in self.live and real not in self.names and real.op != "placeholder":
                self.names[real] = self.free(f"x_{path}")
                if self.live.uses.get(real, 0) > 0:
                    self.given.add(real)

    def __call__(self, node: fx.Node) -> str:
        """The name of an operation's result."""
        if node not in self.names:
            path, phase = self.traced.places.get(node, ("", ""))
            of = self.traced.gradients.get(node)
            if of is not None and self.live.real(of) in self.names:
                self.names[node] = self.free(f"d_{self.names[self.live.real(of)]}")
            elif (hint := HINTS.get(operation(node))) is not None:
                self.names[node] = self.free(
                    "_".join(filter(None, [hint, path.replace("loss", "")]))
                )
            else:
                self.names[node] = self.numbered("d" if phase == BACKWARD else "h")
        return self.names[node]

    def numbered(self, stem: str) -> str:
        """h_1, h_2, ...: what has no name of its own."""
        return next(self.free(name) for i in count(1) if (name := f"{stem}_{i}") not in self.taken)

    def free(self, stem: str) -> str:
        """The name, or the first one of its kind that is not taken."""
        stem = re.sub(r"\W", "_", stem)
        name = next(
            each for i in count(1) if (each := f"{stem}_{i}" if i > 1 else stem) not in self.taken
        )
        self.taken.add(name)
        return name

    def of_several(self, node: fx.Node) -> list[tuple[str, fx.Node | None]]:
        """The names on the left of an operation that gives several tensors; `_` is not read."""
        items: dict[Any, fx.Node] = {
            item.args[1]: item for item in self.live.nodes if is_item_of(item, node)
        }
        hints, (path, _) = SEVERAL.get(operation(node), ()), self.traced.places.get(node, ("", ""))
        length = LENGTHS.get(operation(node), 1 + max(items, default=0))
        found: list[tuple[str, fx.Node | None]] = []
        for i in range(length):
            item = items.get(i)
            if item is None or item not in self.live:
                found.append(("_", None))
                continue
            named = item in self.names or item in self.traced.gradients
            if not named and i < len(hints):
                self.names[item] = self.free("_".join(filter(None, [hints[i], path])))
            found.append((self(item), item))
        return found
