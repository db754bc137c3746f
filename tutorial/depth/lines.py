"""Which lines of a program belong together, from depth to depth."""

import re
from collections.abc import Collection, Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple

SHORT = {  # what is written out, by what its line in the loop has
    ".backward()": "backward",
    ".step()": "step",
    ".zero_grad()": "zero_grad",
}
HEADING = re.compile(r" *# (backward, )?(.*)")  # above the lines of a layer
HANDS = re.compile(r" *for \w+, \w+ in zip\(")  # the gradients, to the weights
FORGETS = re.compile(r" *for .*:\n(.*:\n)? *\w+\.grad = None")


class Place(NamedTuple):
    """To what a line belongs.

    Attributes:
        part: the line of the loop, from 0, that it is or that it writes out.
        layer: a number for each layer, from 1, whose forward and backward are two parts; else 0.
    """

    part: int
    layer: int = 0


def together(sources: Sequence[str], networks: Collection[str] = ("network",)) -> list[list[Place]]:
    r"""For each line of each source, to what it belongs.

    Args:
        sources: a program at the depths "loop", "optimizer" and "gradients", or the first of them.
        networks: how the network is named in them.

    Example:
        >>> loop = "y_hat = network(x)"
        >>> written = "# 0: Linear(2, 3)\nx_0 = torch.mm(x, W_0.T)\n# 1: ReLU()\ny_hat = x_0.relu()"
        >>> [place.layer for place in together([loop, loop, written])[2]]
        [1, 1, 2, 2]
    """
    lines = [source.splitlines() for source in sources]
    places = [[Place(part) for part in range(len(lines[0]))]]
    same: dict[int, int] = {}  # of lines of the loop that are written out as one, the first one
    layers: dict[str, int] = {}
    for upper, lower in pairwise(lines):
        parts = [place.part for place in places[-1]]
        places.append([])
        does = {"network": next((i for i, line in enumerate(upper) if calls(line, networks)), 0)}
        for short, long in replaced(upper, lower):
            if isinstance(short, int):  # a line that stays
                places[-1].append(places[-2][short])
                continue
            kinds = [*short_kinds([upper[i] for i in short], networks)]
            if "network" in kinds:
                does = {}
            for i, kind in zip(short, kinds, strict=True):
                same[parts[i]] = parts[does.setdefault(kind, i)]
            first = kinds[0] if kinds else "network"
            for kind, title in long_kinds([lower[i] for i in long], first):
                layer = layers.setdefault(title, len(layers) + 1) if title else 0
                places[-1].append(Place(parts[does.get(kind, does["network"])], layer))
    return [[Place(same.get(part, part), layer) for part, layer in each] for each in places]


def translated(places: Sequence[Place], origins: Sequence[int]) -> list[Place]:
    """For each line of a translation, to what it belongs.

    Args:
        places: of the lines that were translated.
        origins: for each line, which of them it translates, from 1; 0: the same as the one above.

    Example:
        >>> translated([Place(3), Place(4, 1)], [1, 2, 0])
        [Place(part=3, layer=0), Place(part=4, layer=1), Place(part=4, layer=1)]
    """
    found: list[Place] = []
    for origin in origins:
        found.append(places[origin - 1] if origin or not found else found[-1])
    return found


def replaced(upper: list[str], lower: list[str]) -> Iterator[tuple[int | range, range]]:
    """The lines of one source, and the lines of the other that stand in their place, in order.

    Yields:
        For a line that stays, its number and where it is; else a range of lines, and what is there
        in their place.
    """
    i = j = 0
    for kept_i, kept_j in [*kept(upper, lower), (len(upper), len(lower))]:
        if i < kept_i or j < kept_j:
            yield range(i, kept_i), range(j, kept_j)
        if kept_i < len(upper):
            yield kept_i, range(kept_j, kept_j + 1)
        i, j = kept_i + 1, kept_j + 1


def kept(upper: list[str], lower: list[str]) -> Iterator[tuple[int, int]]:
    """The lines that stay: the longest common subsequence."""
    upper, lower = ([code(line) for line in lines] for lines in (upper, lower))
    longest = [[0] * (len(lower) + 1) for _ in range(len(upper) + 1)]  # from here to both ends
    for i in reversed(range(len(upper))):
        for j in reversed(range(len(lower))):
            both = longest[i + 1][j + 1] + 1 if upper[i] == lower[j] else 0
            longest[i][j] = max(both, longest[i + 1][j], longest[i][j + 1])
    i = j = 0
    while i < len(upper) and j < len(lower):
        if upper[i] == lower[j] and longest[i][j] == longest[i + 1][j + 1] + 1:
            yield i, j
            i, j = i + 1, j + 1
        elif longest[i][j] == longest[i][j + 1]:
            j += 1
        else:
            i += 1


def code(line: str) -> str:
    """The line without the comment behind it, which may stand further right at another depth."""
    return line if line.lstrip().startswith("#") else line.partition("  #")[0].rstrip()


def calls(line: str, networks: Collection[str]) -> bool:
    """Whether a line goes through the network."""
    return any(f"= {network}(" in line for network in networks)


def short_kinds(lines: list[str], networks: Collection[str]) -> Iterator[str]:
    """What each of these lines of a loop does, which are to be written out."""
    found = [calls(line, networks) for line in lines]
    kind = "network" if any(found) else "loss"  # also above it, where torch.autocast stands
    for line, calls_network in zip(lines, found, strict=True):
        kind = next((kind for sign, kind in SHORT.items() if sign in code(line)), kind)
        yield kind
        kind = "loss" if calls_network else kind


def long_kinds(lines: list[str], kind: str) -> Iterator[tuple[str, str]]:
    """What each of the lines that stand in their place does, and the title of its layer.

    Args:
        lines: the lines.
        kind: what the first of them does, unless it says something else.
    """
    title = ""
    for i, line in enumerate(lines):
        heading = HEADING.fullmatch(line)
        if "# optimizer.step()" in line:
            kind, title = "step", ""
        elif FORGETS.match("\n".join(lines[i:])):
            kind, title = "zero_grad", ""
        elif HANDS.match(line) or line.endswith(" > 0:"):  # is there something to learn from?
            kind, title = "backward", ""
        elif heading and kind not in ("step", "zero_grad"):
            back, title = heading.groups()
            kind = "backward" if back else "loss" if title == "the loss" else "network"
        yield kind, title
