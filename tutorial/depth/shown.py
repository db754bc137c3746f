"""A program at all of its depths, as a notebook shows it."""

import re
from collections.abc import Callable, Collection, Sequence
from typing import Any

from torch import nn

from tutorial.depth.depths import DEPTHS, at_depth, in_numpy
from tutorial.depth.lines import together, translated
from tutorial.depth.numpy_program import NumpyProgram
from tutorial.display.depths import Written, control
from tutorial.unroll.program import Program

# What is written out without being asked for: it takes about a second. Other networks may take
# longer, such as those with layers that go through a sequence step by step.
LAYERS, WEIGHTS, STEP_BY_STEP = 12, 2_000_000, (nn.RNNBase, nn.RNNCellBase)
ON_DEMAND = "written out on demand, by model.unroll(..., depth=...)"


def shown(program: Program) -> str:
    """The program as HTML, with a control for the depth.

    Args:
        program: at the depth that is shown at first.
    """
    found = at_each_depth(program)
    sources = {depth: one.source for depth, one in found.items() if isinstance(one, Program)}
    missing = {depth: one for depth, one in found.items() if isinstance(one, str)}
    numpy = found["numpy"]
    origins = numpy.translation.lines if isinstance(numpy, NumpyProgram) else []
    return at_depths(program.title, sources, missing, program.depth, origins=origins)


def at_depths(
    title: str,
    sources: dict[str, str],
    missing: dict[str, str],
    chosen: str,
    networks: Collection[str] = ("network",),
    origins: Sequence[int] = (),
) -> str:
    """Sources at some depths, as HTML with a control for the depth.

    Args:
        title: of what.
        sources: the sources, by their depths.
        missing: why there is none at another depth.
        chosen: the depth that is shown at first.
        networks: how the network is named in them.
        origins: of each line at depth "numpy", its line at depth "gradients", from 1.
    """
    traced = {depth: source for depth, source in sources.items() if depth != "numpy"}
    places = dict(zip(traced, together([*traced.values()], networks), strict=True))
    if "numpy" in sources:
        places["numpy"] = translated(places["gradients"], origins)
    versions: dict[str, Written | str] = {
        depth: Written(sources[depth], places[depth]) if depth in sources else missing[depth]
        for depth in DEPTHS
    }
    if sources.get("optimizer") == sources["loop"] and chosen != "optimizer":
        versions["optimizer"] = "the same as loop, since nothing is learned here"
    return control(title, versions, chosen)


def at_each_depth(program: Program) -> dict[str, Program | str]:
    """The program at each depth, or why it is not there."""
    loop = program.as_called or program
    found: dict[str, Program | str] = {"loop": loop, program.depth: program}
    if isinstance(program, NumpyProgram):
        found["gradients"] = program.gradients
    if "optimizer" not in found:
        found["optimizer"] = tried(at_depth, loop, "optimizer")
    if "gradients" not in found:
        found["gradients"] = ON_DEMAND if is_large(loop) else tried(at_depth, loop, "gradients")
    gradients = found["gradients"]
    if "numpy" not in found:
        traced = isinstance(gradients, Program)
        found["numpy"] = tried(in_numpy, gradients) if traced else gradients
    return {depth: found[depth] for depth in DEPTHS}


def tried(make: Callable[..., Program], *args: Any) -> Program | str:
    """What is made, or why it cannot be: whatever that is, the loop is shown."""
    try:
        return make(*args)
    except Exception as error:
        return re.sub(r"^depth='\w+': ", "", str(error))


def is_large(program: Program) -> bool:
    """Whether it would take long to write out the network, or long to read it."""
    network = program.names["network"]
    layers = [module for module in network.modules() if not [*module.children()]]
    many = len(layers) > LAYERS or sum(weight.numel() for weight in network.parameters()) > WEIGHTS
    return many or any(isinstance(layer, STEP_BY_STEP) for layer in layers)
