"""A loader that knows which batch is the last, also where the data does not know its length."""

from collections.abc import Iterator
from typing import Any


class LookAhead:
    """Gives the batches of a loader, and fetches the next one before: is there one more?

    Args:
        loader: what gives batches; its length is not asked for.

    Attributes:
        last: whether the batch that was given is the last one.

    Example:
        >>> loader = LookAhead(iter("abc"))
        >>> [(batch, loader.last) for batch in loader]
        [('a', False), ('b', False), ('c', True)]
    """

    last = False

    def __init__(self, loader: Any) -> None:
        self.loader = loader

    def __len__(self) -> int:
        return len(self.loader)

    def __iter__(self) -> Iterator[Any]:
        batches, end = iter(self.loader), object()
        batch = next(batches, end)
        while batch is not end:
            following = next(batches, end)
            self.last = following is end
            yield batch
            batch = following
