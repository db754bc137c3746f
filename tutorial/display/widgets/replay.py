"""A replay that Python drives, and that tells Python where it is."""

from pathlib import Path
from typing import Any
from uuid import uuid4

import anywidget
import traitlets

from tutorial.display.replay import in_words, page, text
from tutorial.parameters import short


class ReplayPlayer(anywidget.AnyWidget):
    """The player of a replay, whose place Python can set and observe.

    It shows what `program.replay()` shows, so that a saved notebook plays it without a kernel, too.
    The widget only moves it, wherever it is shown.

    Args:
        recording: a Replay, or what its `recording` has.

    Attributes:
        recording: what was recorded, as a dict.
        moment: the place, from 0: how many lines were run before the one that is shown. One that
            is not in the recording is refused.

    Raises:
        TypeError: `recording` is no Replay.

    Example:
        >>> moments = [{"line": 1, "epoch": None, "step": None, "set": {}, "gone": []}] * 2
        >>> recording = {"title": "f()", "lines": ["f()"], "moments": moments, "values": []}
        >>> player = ReplayPlayer({**recording, "error": None, "cut": ""})
        >>> player.moment = 1
        >>> player
        ReplayPlayer: a widget; Jupyter shows it as a program that is played line by line
    """

    _esm = Path(__file__).with_suffix(".js")
    recording: Any = traitlets.Dict()
    moment: Any = traitlets.Int(0).tag(sync=True)
    _player: Any = traitlets.Unicode().tag(sync=True)  # its players on the page say whose they are
    _page: Any = traitlets.Unicode().tag(sync=True)

    def __init__(self, recording: Any, **traits: Any) -> None:
        found = getattr(recording, "recording", recording)
        if not isinstance(found, dict) or "moments" not in found:
            raise TypeError(
                f"recording is {short(recording)}, but a Replay is expected, as program.replay() "
                "returns it."
            )
        own = uuid4().hex
        super().__init__(recording=found, _player=own, _page=page(found, own), **traits)

    @traitlets.validate("moment")
    def _in_the_recording(self, proposal: Any) -> int:
        moment: int = proposal["value"]
        last = len(in_words(self.recording)) - 1
        if not 0 <= moment <= last:
            raise traitlets.TraitError(
                f"moment is {moment}, but a place from 0 to {last} is expected: as many lines were "
                "run before the one that is shown."
            )
        return moment

    def _repr_mimebundle_(self, **_: Any) -> tuple[dict[str, str], dict[str, str]]:
        html = page(self.recording, self._player, self.moment)
        return {"text/plain": text(self.recording), "text/html": html}, {}

    def __repr__(self) -> str:
        return "ReplayPlayer: a widget; Jupyter shows it as a program that is played line by line"
