"""A further panel beside the learning curves of a fit: what the display asks of it."""

from pathlib import Path
from typing import Any, Protocol


class Panel(Protocol):
    """A picture that grows while a loop runs; drawn by a script, and once more for what stays.

    Attributes:
        title: what it shows, for those who cannot see it.
        script: an ES module that imports nothing. Its default export is a function from `data()`
            to HTML; the display calls it at each piece of news.
    """

    title: str
    script: Path

    def data(self) -> Any:
        """All that is to be drawn now, a few KB: lists, dicts, strings, finite numbers and None.

        While nothing is new, the same object as before: it is not sent again.
        """

    def html(self) -> str:
        """The same picture as HTML that needs no script, no style sheet and no network."""
