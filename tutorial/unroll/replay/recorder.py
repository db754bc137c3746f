"""Runs a loop under a trace function, and notes after each line what that line has changed."""

import ast
import re
import sys
from collections.abc import Callable, Mapping
from traceback import format_exception_only
from types import CodeType, FrameType
from typing import Any

import torch

from tutorial.unroll.replay.changes import (
    HIDING,
    Kept,
    Known,
    changes_openly,
    is_open,
    overlap,
    parts_in,
    place_of,
    span,
)
from tutorial.unroll.replay.lines import (
    Loop,
    first_lines,
    loops_over_batches,
    name_of_losses,
    names_in,
    statements,
    targets_in,
)
from tutorial.unroll.replay.names import is_shown, parts_of, weights_of
from tutorial.unroll.replay.summaries import Summary

MOST = 3000  # lines that are recorded
LONGEST = 2000  # characters of an error
ASIDE = ("<listcomp>", "<setcomp>", "<dictcomp>", "<genexpr>", "<lambda>")  # inside a line


class Enough(BaseException):
    """The steps that were asked for are recorded: the loop ends here."""


class Recorder:
    """Records the first steps of a loop: the lines that run, and the values that they change.

    Args:
        source: the loop.
        is_its_code: whether a code object is the loop's.
        steps: how many to record.
        first_line: where, in its file, the loop begins.
    """

    def __init__(
        self, source: str, is_its_code: Callable[[CodeType], bool], steps: int, first_line: int = 1
    ) -> None:
        tree = ast.parse(source)
        self.is_its_code, self.steps = is_its_code, steps
        # Not splitlines: a form feed ends none of Python's lines.
        self.lines, self.first_line = re.split(r"\r\n|\r|\n", source.rstrip()), first_line
        self.loops = loops_over_batches(tree)
        self.names, self.turns = names_in(tree), targets_in(tree)
        self.moments: list[dict[str, Any]] = []
        self.values: list[Summary] = []
        self.known: dict[str, Known] = {}
        self.weights: set[str] = set()
        self.heads = first_lines(tree)
        begun = statements(tree).items()  # by the line in which they begin
        self.named = {line: [n for each in some for n in names_in(each)] for line, some in begun}
        self.hiding = {
            line for line, some in begun if HIDING.search("\n".join(map(ast.unparse, some)))
        }
        self.at: dict[FrameType, int] = {}  # the line that each frame runs
        self.done = 0  # steps of the main loop
        self.called = True  # a function that may change anything, since the last line
        self.quiet: Loop | None = None  # a loop of which no more is recorded
        self.losses = name_of_losses(tree)
        self.step_losses: list[Any] = []  # the loop's own, as far as it is recorded
        self.error: dict[str, Any] | None = None

    def record(self, run: Callable[[], Any]) -> None:
        """Run the loop until it has done its steps, has ended or has failed."""
        before = sys.gettrace()
        sys.settrace(self.enter)
        try:
            run()
        except Enough:
            pass
        except (Exception, SystemExit) as error:
            sys.settrace(before)
            line = self.line_of_error(error)
            if line is None:  # it arose before the loop, or after it
                raise
            told = "".join(format_exception_only(error)).strip()
            self.error = {"line": line, "text": shortened(told)}
        finally:
            sys.settrace(before)
            self.at.clear()

    # ---- what Python calls

    def enter(self, frame: FrameType, event: str, argument: Any) -> Any:
        """A function is called: look into it if it is the loop's."""
        code = frame.f_code
        self.called = self.called or not changes_openly(code)
        return self.step_in if code.co_name not in ASIDE and self.is_its_code(code) else None

    def step_in(self, frame: FrameType, event: str, argument: Any) -> Any:
        """A line is about to run, or the function returns: the line before is done."""
        if event in ("line", "return"):
            line, before = self.line_of(frame.f_lineno), self.at.get(frame)
            if event == "line" and line == before and line in self.heads:
                return self.step_in  # another line of the same statement
            if before is not None:
                self.note(frame, before)
                del self.at[frame]
            if event == "line":
                if before is not None:
                    self.count(line, before)
                self.at[frame] = line
        return self.step_in

    # ---- which lines

    def line_of(self, number: int) -> int:
        """The line of the loop that has this number in its file; the first of its statement."""
        line = number - self.first_line + 1
        return self.heads.get(line, line)

    def count(self, line: int, before: int) -> None:
        """Count the steps of the loops over batches, and end where there are enough."""
        for loop in self.loops:
            if before not in loop.lines:
                loop.steps = 0  # of another pass
            elif loop.ends_a_step(line, before):
                loop.steps += 1
                self.done += loop.main
                if self.done == self.steps:
                    raise Enough
                if not loop.main:
                    self.quiet = loop
                    loop.left_out += loop.steps > 1

    def note(self, frame: FrameType, line: int) -> None:
        """Record a line that has just been run."""
        if self.quiet is not None:
            if self.line_of(frame.f_lineno) in self.quiet.lines:
                return
            self.quiet = None
        if len(self.moments) == MOST:
            raise Enough
        own_code = torch._C.DisableTorchFunction()  # of a tensor's class, which is not run
        with torch.no_grad(), torch.autocast("cpu", enabled=False), own_code:
            visible = self.visible(frame)
            changed = self.changed(visible, self.suspects(frame, line))
        self.called = False
        losses = visible.get(self.losses)
        self.step_losses = [*losses] if isinstance(losses, list) else self.step_losses
        gone = [name for name in self.known if name not in visible]
        for name in gone:
            del self.known[name]
        self.moments.append(
            {
                "line": line,
                "epoch": whole(visible.get("epoch")),
                "step": whole(visible.get("step")),
                "set": {name: self.index(found) for name, found in changed.items()},
                "gone": gone,
                "weights": any("moved" in found for found in changed.values()),
            }
        )

    def suspects(self, frame: FrameType, line: int) -> Callable[["Known"], bool]:
        """Whether a line may have changed a value without a trace in a tensor's version.

        It may so change what it names. And anything, where it has called a function (a fused
        optimizer does not count its changes), or goes around the count of an object's tensors.
        """
        space = {**frame.f_globals, **frame.f_locals}
        named = [space[name] for name in self.named.get(line, ()) if name in space]
        hides = line in self.hiding and not all(map(is_open, named))
        if self.called or hides:
            return lambda known: True
        parts = [part for value in named for part in parts_in(value)]
        memory, objects = [*map(span, parts)], {*map(id, parts)}
        for name, known in self.known.items():
            owner = self.known.get(name.removesuffix(".grad"))
            if owner is not None and owner is not known and overlap(owner.span, memory):
                memory.append(known.span)  # the gradient of a weight that is named
        return lambda known: id(known.object()) in objects or overlap(known.span, memory)

    def changed(
        self, visible: Mapping[str, Any], suspect: Callable[["Known"], bool]
    ) -> dict[str, Summary]:
        """What is new, or other than it was; of a weight also how far it has moved."""
        found: dict[str, Summary] = {}
        kept = {known.place: known.kept for known in self.known.values()}  # aliases share one
        looked_at = set[Any]()
        for name, value in visible.items():
            before = self.known.get(name)
            if before is not None and before.is_the_same(value) and not suspect(before):
                continue
            place = place_of(value)
            if place not in looked_at:
                old = kept.get(place)
                kept[place] = old if old is not None and old.is_still(value) else Kept(value)
                looked_at.add(place)
            now = kept[place]
            if before is None or before.kept is not now:
                found[name] = now.summary
                if before is not None and name in self.weights and before.place == place:
                    found[name] = {**now.summary, "moved": before.kept.moved_to(now)}
            self.known[name] = Known(value, place, now)
        return found

    def index(self, found: Summary) -> int:
        """Where a summary is among the values."""
        if found in self.values[-200:]:
            return len(self.values) - 1 - self.values[::-1].index(found)
        self.values.append(found)
        return len(self.values) - 1

    # ---- which names

    def visible(self, frame: FrameType) -> dict[str, Any]:
        """Every name in reach that the loop has, and the weights of its network.

        A weight goes by the loop's own name for it, as W_1, where there is one.
        """
        space = {**frame.f_globals, **frame.f_locals}
        named = {n: space[n] for n in self.names if n in space and is_shown(n, space[n])}
        found = dict(parts_of(named))
        called = {self.place(n, v): n for n, v in found.items() if n not in self.turns}
        self.weights = set()
        for name, weight, gradient, learns in weights_of(space.get("network")):
            own = called.get(self.place(name, weight), name)
            found[own] = weight
            if learns:
                self.weights.add(own)
            if gradient is not None:
                found[f"{own}.grad"] = gradient
        return found

    def place(self, name: str, value: Any) -> Any:
        """Where the numbers of what a name stands for lie."""
        known = self.known.get(name)
        return known.place if known and known.object() is value else place_of(value)

    def line_of_error(self, error: BaseException) -> int | None:
        """The line of the loop in which an error arose."""
        line, traceback = None, error.__traceback__
        while traceback is not None:
            if self.is_its_code(traceback.tb_frame.f_code):
                line = self.line_of(traceback.tb_lineno)
            traceback = traceback.tb_next
        return line

    @property
    def cut(self) -> str:
        """What of the call was not recorded, in words."""
        said = []
        if self.error is None and self.done == self.steps:
            said.append(f"recorded until step {self.done} was done")
        elif len(self.moments) == MOST:
            said.append(f"recorded until {MOST} lines had run")
        left_out = sum(loop.left_out for loop in self.loops)
        if left_out:
            said.append(f"{left_out} more batches of the evaluation were run, but not recorded")
        return "; ".join(said)

    def recording(self, title: str) -> dict[str, Any]:
        """All of it, as plain data."""
        return {
            "title": title,
            "lines": self.lines,
            "moments": self.moments,
            "values": self.values,
            "error": self.error,
            "cut": self.cut,
        }


def shortened(text: str) -> str:
    """The begin and the end of a long text, as characters that each file can hold."""
    text = text.encode("utf-8", "backslashreplace").decode()
    half = LONGEST // 2
    return text if len(text) <= LONGEST else f"{text[:half]} ... {text[-half:]}"


def whole(value: Any) -> int | None:
    """A count; nothing where the name stands for something else."""
    return value if type(value) is int else None
