"""A program at all of its depths, as a notebook shows it."""

from collections.abc import Collection

from torch import nn

from tutorial.depth.depths import DEPTHS, at_depth
from tutorial.depth.lines import together
from tutorial.display.depths import Written, control
from tutorial.unroll.program import Program

# What is written out without being asked for: it takes about a second. Other networks may take
# longer, such as those with layers that go through a sequence step by step.
LAYERS, WEIGHTS, STEP_BY_STEP = 16, 2_000_000, (nn.RNNBase, nn.RNNCellBase)


def shown(program: Program) -> str:
    """The program as HTML, with a control for the depth.

    Args:
        program: at the depth that is shown at first.
    """
    found = at_each_depth(program)
    sources = {depth: one.source for depth, one in found.items() if isinstance(one, Program)}
    missing = {depth: one for depth, one in found.items() if isinstance(one, str)}
    return at_depths(program.title, sources, missing, program.depth)


def at_depths(
    title: str,
    sources: dict[str, str],
    missing: dict[str, str],
    chosen: str,
    networks: Collection[str] = ("network",),
) -> str:
    """Sources at some depths, as HTML with a control for the depth.

    Args:
        title: of what.
        sources: the sources, by their depths.
        missing: why there is none at another depth.
        chosen: the depth that is shown at first.
        networks: how the network is named in them.
    """
    places = dict(zip(sources, together([*sources.values()], networks), strict=True))
    versions: dict[str, Written | str] = {
        depth: Written(sources[depth], places[depth]) if depth in sources else missing[depth]
        for depth in DEPTHS
        if depth in sources or depth in missing
    }
    if sources.get("optimizer") == sources["loop"] and chosen != "optimizer":
        versions["optimizer"] = "the same as loop, since nothing is learned here"
    return control(title, versions, chosen)


def at_each_depth(program: Program) -> dict[str, Program | str]:
    """The program at each depth, or why it is not there."""
    loop = program.as_called or program
    found: dict[str, Program | str] = {"loop": loop}
    for depth in DEPTHS[1:]:
        if depth == program.depth:
            found[depth] = program
        elif depth != "optimizer" and program.depth in ("loop", "optimizer") and is_large(loop):
            found[depth] = f'written out on demand: model.unroll(..., depth="{depth}")'
        else:
            try:
                found[depth] = at_depth(loop, depth)
            except Exception as error:  # whatever it is, the loop is shown
                found[depth] = str(error)
    return found


def is_large(program: Program) -> bool:
    """Whether it would take long to write out the network, or long to read it."""
    network = program.names["network"]
    layers = [module for module in network.modules() if not [*module.children()]]
    many = len(layers) > LAYERS or sum(weight.numel() for weight in network.parameters()) > WEIGHTS
    return many or any(isinstance(layer, STEP_BY_STEP) for layer in layers)
