"""A replay: the first steps of a call, line by line, with what each line has changed.

recorder.py   runs a loop under a trace function, and notes each line
lines.py      what is in a loop's text
names.py      what its names stand for
changes.py    what a line has changed
summaries.py  what is shown of a value
"""

import builtins
import inspect
import json
from collections.abc import Iterator
from contextlib import redirect_stdout, suppress
from functools import partial
from html import escape
from io import StringIO
from pathlib import Path
from types import CodeType
from typing import TYPE_CHECKING, Any

import torch

from tutorial import checks
from tutorial.callbacks.saving import floats
from tutorial.parameters import File, checked, short
from tutorial.running import RUNNING
from tutorial.unroll.program import compiled
from tutorial.unroll.proof import run_copy
from tutorial.unroll.replay.recorder import Recorder

if TYPE_CHECKING:
    from tutorial.unroll.program import Program


FOR_PHONES = '<meta name="viewport" content="width=device-width, initial-scale=1">'


class Replay:
    """The first steps of a call, to go through line by line: forward, back, and along one name.

    A notebook shows it as a player, which needs no kernel and no network; so does the file that
    `save` writes.

    Attributes:
        title: the call.
        recording: all of it as plain data: the lines, and for each line that was run what it
            changed.
        step_losses: the losses of the steps that were recorded, as `fit` would return them.
        error: the error in which the loop ended, or ''.
    """

    def __init__(self, recording: dict[str, Any], step_losses: list[float]) -> None:
        self.recording, self.step_losses = recording, step_losses
        self.title: str = recording["title"]
        self.error: str = (recording["error"] or {"text": ""})["text"]

    def __len__(self) -> int:
        """How many lines were run."""
        return len(self.recording["moments"])

    def at(self, moment: int) -> dict[str, Any]:
        """What each name stood for after so many lines, from 0: a dict of summaries."""
        state: dict[str, Any] = {}
        for step in self.recording["moments"][: moment + 1]:
            state |= {name: self.recording["values"][i] for name, i in step["set"].items()}
            for name in step["gone"]:
                state.pop(name, None)
        return state

    def save(self, path: File) -> Path:
        """Write a web page with the player, complete in one file.

        Args:
            path: where to write, such as 'replay.html'. Missing directories are made.

        Returns:
            The path.

        Raises:
            ValueError: path is no path.
            OSError: the file cannot be written.
        """
        path = Path(checked(Replay.save, {"path": path})["path"])
        checks.writable("path", path, is_file=True)
        path.parent.mkdir(parents=True, exist_ok=True)
        head = f'<meta charset="utf-8">{FOR_PHONES}<title>{escape(self.title)}</title>'
        path.write_text(f"<!DOCTYPE html>{head}{self._repr_html_()}", encoding="utf-8")
        return path

    def __repr__(self) -> str:
        from tutorial.display import replay

        return replay.text(self.recording)

    def _repr_html_(self) -> str:
        from tutorial.display import replay

        return replay.page(self.recording)


def replay_of(program: "Program", steps: int) -> Replay:
    """Run the first steps of a program on copies, and record them: see Program.replay."""
    if program.state is None:
        program.remember()
    threads = 1 if RUNNING else torch.get_num_threads()
    recorder_for(program, steps)  # it can be
    found = run_copy(program, partial(recorded, steps=steps), threads, "replay")
    if "refused" in found:  # not in the loop: the data gave no batch, say
        name, text = found["refused"]
        raise getattr(builtins, name, RuntimeError)(text)
    return Replay(json.loads(found["recording"]), found["step_losses"])


def recorded(program: "Program", names: dict[str, Any], steps: int) -> dict[str, Any]:
    """Record the first steps of a program with these objects, from where the call began."""
    run = program.from_the_beginning(names)
    recorder = recorder_for(program, steps)
    losses: list[float] = []
    with redirect_stdout(StringIO()):  # what the loop prints
        try:
            recorder.record(run)
        except (Exception, SystemExit) as error:
            return {"refused": [type(error).__name__, str(error)]}
    with suppress(TypeError, ValueError, RuntimeError):  # of a list of something else
        losses = floats(recorder.step_losses)
    return {
        "recording": json.dumps(recorder.recording(program.title)),
        "step_losses": losses,
    }


def recorder_for(program: "Program", steps: int) -> Recorder:
    """A recorder of the program's lines; of a student's own function, those of the function."""
    if callable(program.loop):
        try:
            code = inspect.unwrap(program.loop).__code__
            program.source  # noqa: B018
        except (AttributeError, OSError):
            raise ValueError(
                f"replay: loop is {short(program.loop)}, but its lines cannot be read. Write it as "
                "a function, with def, in a file or in a cell of a notebook."
            ) from None
        return Recorder(program.source, set(nested(code)).__contains__, steps, code.co_firstlineno)
    file = compiled(program.function, program.source).co_filename
    return Recorder(program.source, lambda code: code.co_filename == file, steps)


def nested(code: CodeType) -> Iterator[CodeType]:
    """The code of a function and of those that stand in it."""
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from nested(constant)
