"""In which layer of a network an error arose: its place, what it gets, and what it takes."""

import re
import traceback
from collections.abc import Iterator
from dataclasses import dataclass
from difflib import get_close_matches
from math import prod

import torch
from torch import nn
from torch.nn.modules.batchnorm import _NormBase
from torch.nn.modules.conv import _ConvNd

from tutorial.parameters import short
from tutorial.tracebacks import is_own

NUMBERS = {nn.Linear: "in_features", nn.RNNBase: "input_size", nn.MultiheadAttention: "embed_dim"}
CHANNELS = {_ConvNd: "in_channels", _NormBase: "num_features", nn.GroupNorm: "num_channels"}


@dataclass(frozen=True)
class FailingLayer:
    """A layer in which an error arose.

    Attributes:
        place: where it is in the network, such as "3" or "body.lin"; nothing if it is all of it.
        module: the layer.
        x: its input, if it is a tensor.
    """

    place: str
    module: nn.Module
    x: torch.Tensor | None

    def __str__(self) -> str:
        """The layer in a sentence: layer 3, Linear(64, 10), gets 32 numbers, and takes 64."""
        where = f"layer {self.place}" if self.place else "the network"
        seen, taken, what = self.widths()
        if seen != taken:
            gets = f", gets {counted(seen, what)}, and takes {taken}"
        elif self.x is not None:
            gets = f", gets a tensor of shape {tuple(self.x.shape)} and {self.x.dtype}"
        else:
            gets = ""
        return f"{where}, {self.kind()}{gets}"

    def kind(self) -> str:
        """The layer as it is written."""
        if isinstance(self.module, nn.Linear):
            return (
                f"{type(self.module).__name__}{self.module.in_features, self.module.out_features}"
            )
        if isinstance(self.module, _NormBase):
            return f"{type(self.module).__name__}({self.module.num_features})"
        shown = short(self.module)
        return shown if len(shown) <= 60 else type(self.module).__name__

    def widths(self) -> tuple[int, int, str]:
        """How many numbers or channels the layer gets, how many it takes, and which of the two."""
        axis = 1
        if isinstance(self.module, _ConvNd):  # it may get a single image
            axis = 1 - self.module.weight.dim()
            if self.x is not None and self.x.dim() not in (-axis, 1 - axis):
                return 0, 0, ""
        for kinds, place, what in ((NUMBERS, -1, "number"), (CHANNELS, axis, "channel")):
            for kind, attribute in kinds.items():
                if isinstance(self.module, kind) and self.x is not None and self.x.dim() > 1:
                    return self.x.shape[place], getattr(self.module, attribute), what
        return 0, 0, ""

    def fix(self) -> str:
        """What to do, if the layer gets another number of things than it takes."""
        seen, taken, what = self.widths()
        if self.x is None or seen == taken:
            return ""
        if isinstance(self.module, nn.Linear):
            if self.x.dim() > 2 and prod(self.x.shape[1:]) == taken:
                return "Is nn.Flatten() missing before it?"
            made = f"{type(self.module).__name__}{seen, self.module.out_features}"
            return f"Make it {made}, or let it get {taken} numbers."
        if what == "channel" and self.x.shape[-1] == taken:
            return "Let the channels come first: x.movedim(-1, 1)."
        if isinstance(self.module, _ConvNd) and self.x.dim() == self.module.weight.dim() - 1:
            return "If it is a batch, it has no channels yet: x.unsqueeze(1)."
        return f"Let it take {counted(seen, what)}, or get {taken}."


def counted(number: int, what: str) -> str:
    """So many of these: 1 channel, 3 channels."""
    return f"{number} {what}{'' if number == 1 else 's'}"


def failing_layer(error: BaseException, network: nn.Module) -> FailingLayer | None:
    """The layer in which the error arose; None if it was in a line of the user's own."""
    places = {id(module): name for name, module in network.named_modules()}
    found = None
    for frame, _ in traceback.walk_tb(error.__traceback__):
        module = frame.f_locals.get("self")
        called = frame.f_code.co_name == "_call_impl"
        if called and isinstance(module, nn.Module) and id(module) in places:
            given = frame.f_locals.get("args") or (None,)
            x = given[0] if isinstance(given[0], torch.Tensor) else None
            found = FailingLayer(places[id(module)], module, x)
        elif is_own(frame.f_code.co_filename):
            found = None
    own = found is not None and not found.place and not found.widths()[1]
    return None if own else found  # of all the network there is nothing more to say


MISTAKES = (
    *(AttributeError, NameError, ImportError, KeyError, AssertionError, ZeroDivisionError),
    *(NotImplementedError, RecursionError),
)
OF_PYTHON = "object is not|unsupported operand|has no len"


def mistake_in(error: Exception, network: nn.Module) -> str:
    """What is wrong in the user's own code of the network; nothing if the inputs may be wrong."""
    if isinstance(error, NotImplementedError) and '"forward"' in str(error):
        layer = failing_layer(error, network)
        kind = type(layer.module if layer else network)
        like = get_close_matches("forward", vars(kind))
        lists = isinstance(layer.module if layer else network, nn.ModuleList | nn.ModuleDict)
        does = (
            "nn.Sequential calls its layers in turn" if lists else "there it says what to compute"
        )
        hint = f": is it misspelt, {like[0]}?" if like else f"; {does}"
        return f"{kind.__name__} has no method forward{hint}"
    own = [each for each in functions(error) if each]
    python = isinstance(error, TypeError) and re.search(OF_PYTHON, str(error))
    if not own or not (isinstance(error, MISTAKES) or python):
        return ""
    hint = ""
    if isinstance(error, AttributeError) and isinstance(error.obj, nn.Module):
        names = [*dict(error.obj.named_children()), *vars(error.obj)]
        like = get_close_matches(error.name, [name for name in names if name[0] != "_"])
        hint = f" Do you mean self.{like[0]}?" if like else ""
    return f"{own[-1]} stops: {type(error).__name__}: {error}.{hint}"


def functions(error: BaseException) -> Iterator[str]:
    """The functions of the user's own in a traceback: "Net.forward"."""
    for frame, _ in traceback.walk_tb(error.__traceback__):
        if is_own(frame.f_code.co_filename):
            yield frame.f_code.co_qualname.rpartition("<locals>.")[2]
