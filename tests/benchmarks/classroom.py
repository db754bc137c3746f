"""A class, simulated: how long learners wait for a computer that they share."""

import heapq
import random
import statistics
from collections.abc import Sequence

HOUR = 3600.0
PATIENCE = 2.0  # seconds: a wait that nobody minds


def waits(
    learners: int,
    cores: int,
    cells: Sequence[float],
    think: float,
    seed: int = 0,
    hour: float = HOUR,
) -> list[float]:
    """How long each run of a cell waits for a free core, in a class of one hour.

    Learners come within the first five minutes. Each reads and thinks, runs a cell, and so on. The
    cells wait in one line; each has a core to itself, until it is done.

    Args:
        learners: how many there are, from 1.
        cores: how many cells can run at once, from 1.
        cells: the seconds of computing of the lessons' cells; each run is one of them, by chance.
        think: mean seconds between the end of a cell and the next (exponentially distributed).
        seed: of chance.
        hour: seconds.

    Returns:
        The seconds of waiting, in the order in which the cells were asked for.

    Example:
        >>> waits(1, 1, [3.0], think=60.0)[:3]
        [0.0, 0.0, 0.0]
    """
    chance = random.Random(seed)
    asked = [chance.uniform(0, 300) for _ in range(learners)]  # when each asks for a cell
    free = [0.0] * cores  # when each core is free
    heapq.heapify(asked)
    heapq.heapify(free)
    waited = []
    while asked and asked[0] < hour:
        now = heapq.heappop(asked)
        start = max(now, free[0])
        end = start + chance.choice(cells)
        heapq.heapreplace(free, end)
        heapq.heappush(asked, end + chance.expovariate(1 / think))
        waited.append(start - now)
    return waited


def cores_needed(learners: int, cells: Sequence[float], think: float) -> int:
    """The fewest cores with which 19 of 20 cells wait for less than `PATIENCE`."""
    busy = learners * statistics.fmean(cells) / (statistics.fmean(cells) + think)
    cores = max(1, int(busy))
    while late(waits(learners, cores, cells, think)) > PATIENCE:
        cores += max(1, cores // 50)
    return cores


def late(waited: Sequence[float]) -> float:
    """The wait that 19 of 20 do not exceed."""
    return sorted(waited)[int(0.95 * len(waited))]
