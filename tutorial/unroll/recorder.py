"""Runs a loop under a trace function, and notes after each line what that line has changed."""

import ast
import math
import re
import sys
import weakref
from collections.abc import Callable, Iterator, Mapping
from types import (
    BuiltinFunctionType,
    CodeType,
    FrameType,
    FunctionType,
    MethodType,
    ModuleType,
)
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from tutorial.loop.names import TOOLS
from tutorial.unroll.summaries import Summary, plain, summary

MOST = 3000  # lines that are recorded
MEMBERS = 100  # of a list, which are looked at
WEIGHTS = 40  # of the network, the first ones, which are shown
# Functions in these files change nothing but what a line gives them, which is seen to anyhow.
OPENLY = (
    "torch/nn/functional.py",
    "torch/nn/_reduction.py",
    "torch/functional.py",
    "torch/_tensor.py",
    "torch/autograd/grad_mode.py",
    "torch/utils/_contextlib.py",
    "tutorial/depth/kernels.py",
)
# What changes numbers without a count.
HIDING = re.compile(r"\.data\b|numpy|_fused|_foreach|dlpack|\bset_\(|setattr|getattr")
READING = ("parameters", "named_parameters", "_named_members", "named_modules", "<lambda>")
ASIDE = ("<listcomp>", "<setcomp>", "<dictcomp>", "<genexpr>", "<lambda>")  # inside a line


class Enough(BaseException):
    """The steps that were asked for are recorded: the loop ends here."""


class Loop:
    """A loop over batches.

    Attributes:
        lines: from its head to its end.
        main: it is the loop whose steps are counted; of others, one step is recorded.
        steps: of this pass, those that are done.
        left_out: of all passes, those that were not recorded.
    """

    def __init__(self, node: ast.For | ast.While, main: bool) -> None:
        self.lines = range(node.lineno, (node.end_lineno or node.lineno) + 1)
        self.first = node.body[0].lineno
        self.main = main
        self.steps = self.left_out = 0

    def ends_a_step(self, line: int, before: int) -> bool:
        """Whether a step is over when this line follows that one."""
        back = line == self.lines[0] or (line == self.first and before >= line)
        return back and before in self.lines


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
        self.lines, self.first_line = source.splitlines(), first_line
        self.loops = loops_over_batches(tree)
        self.names, self.turns = names_in(tree), targets_in(tree)
        self.moments: list[dict[str, Any]] = []
        self.values: list[Summary] = []
        self.known: dict[str, Known] = {}
        self.weights: set[str] = set()
        self.heads = first_lines(tree)
        self.on_line = {line: names_in(node) for node in statements(tree) for line in [node.lineno]}
        self.at: dict[FrameType, int] = {}  # the line that each frame runs
        self.done = 0  # steps of the main loop
        self.called = True  # a function that may change anything, since the last line
        self.quiet: Loop | None = None  # a loop of which no more is recorded
        self.step_losses: list[Any] = []  # the loop's own
        self.error: dict[str, Any] | None = None

    def record(self, run: Callable[[], Any]) -> None:
        """Run the loop until it has done its steps, has ended or has failed."""
        before = sys.gettrace()
        sys.settrace(self.enter)
        try:
            run()
        except Enough:
            pass
        except Exception as error:
            sys.settrace(before)
            line = self.line_of_error(error)
            if line is None:  # it arose before the loop
                raise
            notes = getattr(error, "__notes__", [])
            text = "\n".join([f"{type(error).__name__}: {error}", *notes])
            self.error = {"line": line, "text": text}
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
        with torch.no_grad(), torch.autocast("cpu", enabled=False):
            visible = self.visible(frame)
            changed = self.changed(visible, self.suspects(frame, line))
        self.called = False
        self.step_losses = visible.get("step_losses", self.step_losses)
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
        named = [space[name] for name in self.on_line.get(line, ()) if name in space]
        hides = HIDING.search(self.lines[line - 1]) and not all(map(is_open, named))
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


# ---- what is in the loop's text


def loops_over_batches(tree: ast.AST) -> list[Loop]:
    r"""The loop whose steps count, which learns if any does; and those that read a loader besides.

    >>> tree = ast.parse("for x in eval_loader: pass\nfor x in data:\n    loss.backward()")
    >>> [(loop.lines[0], loop.main) for loop in loops_over_batches(tree)]
    [(1, False), (2, True)]
    """
    nodes = [node for node in ast.walk(tree) if isinstance(node, ast.For | ast.While)]
    learning = [node for node in nodes if learns(node)]
    reading = [node for node in nodes if isinstance(node, ast.For) and reads_a_loader(node.iter)]
    main = (learning[-1:] or reading[:1] or [None])[0]  # ast.walk meets the innermost last
    aside = [node for node in reading if node is not main and not holds(node, main)]
    return [Loop(node, node is main) for node in nodes if node is main or node in aside]


def learns(node: ast.AST) -> bool:
    """Whether a loop goes back through the network, or notes the loss of a step."""
    return any(
        part.func.attr in ("backward", "train_batch")
        or ast.unparse(part.func) in ("step_losses.append", "optimizer.step")
        for part in ast.walk(node)
        if isinstance(part, ast.Call) and isinstance(part.func, ast.Attribute)
    )


def reads_a_loader(expression: ast.AST) -> bool:
    """Whether it goes through batches."""
    return any(name.endswith("loader") for name in names_in(expression))


def holds(node: ast.AST, inner: ast.AST | None) -> bool:
    """Whether one stands in the other."""
    return any(part is inner for part in ast.walk(node))


def statements(tree: ast.AST) -> Iterator[Any]:
    """Each statement; of one that holds others, its head."""
    for node in ast.walk(tree):
        if isinstance(node, ast.stmt):
            head = {k: [] if k in BODIES else v for k, v in ast.iter_fields(node)}
            yield ast.copy_location(type(node)(**head), node)


def first_lines(tree: ast.AST) -> dict[int, int]:
    """For each line of a statement, or of the head of one, that has several: the first of them."""
    found = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.stmt):
            body = getattr(node, "body", None)
            last = body[0].lineno - 1 if body else node.end_lineno or node.lineno
            if last > node.lineno and not isinstance(node, ast.FunctionDef | ast.ClassDef):
                found |= dict.fromkeys(range(node.lineno, last + 1), node.lineno)
    return found


BODIES = ("body", "orelse", "finalbody", "handlers", "cases")


def names_in(tree: ast.AST) -> list[str]:
    r"""All names, parameters too, in the order in which they stand.

    >>> names_in(ast.parse("b = a\na = f(c)"))
    ['b', 'a', 'f', 'c']
    """
    named = [node for node in ast.walk(tree) if isinstance(node, ast.Name | ast.arg)]
    named.sort(key=lambda node: (node.lineno, node.col_offset))
    return list(dict.fromkeys(n.id if isinstance(n, ast.Name) else n.arg for n in named))


def targets_in(tree: ast.AST) -> set[str]:
    """The names that `for` gives to one thing after the other."""
    loops = [node for node in ast.walk(tree) if isinstance(node, ast.For)]
    return {name for loop in loops for name in names_in(loop.target)}


# ---- what its names stand for


def is_shown(name: str, value: Any) -> bool:
    """Whether it is a value of the loop's, rather than one of its tools."""
    tool = isinstance(value, ModuleType | type) or value is TOOLS.get(name, ...)
    called = isinstance(value, FunctionType | BuiltinFunctionType | MethodType)
    return not (tool or called or name in ("model", "report") or name[0] == "_")


def parts_of(named: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Names with their values; of a batch that is a dict or a tuple each part, as x['image']."""
    for name, value in named.items():
        if isinstance(getattr(value, "data", None), np.ndarray) and not is_array(value):
            value = value.data  # a weight at depth "numpy"
        if isinstance(value, dict | tuple) and any(map(is_array, members(value).values())):
            yield from parts_of({f"{name}[{key!r}]": v for key, v in members(value).items()})
        else:
            yield name, value


def members(value: Any) -> dict[Any, Any]:
    """The parts of a dict or a tuple by their keys."""
    return dict(value) if isinstance(value, dict) else dict(enumerate(value))


def weights_of(network: Any) -> Iterator[tuple[str, Any, Any, bool]]:
    """The network's weights and buffers: name, value, gradient, and whether it is a weight."""
    found: list[tuple[str, Any, Any, bool]] = []
    if isinstance(network, nn.Module):
        found += [(n, w, w.grad, True) for n, w in network.named_parameters()]
        found += [(n, buffer, None, False) for n, buffer in network.named_buffers()]
    elif hasattr(network, "weights") and hasattr(network, "arrays"):  # of depth "numpy"
        found += [(n, w.data, w.grad, True) for n, w in network.weights.items()]
        found += [(n, buffer, None, False) for n, buffer in network.arrays.items()]
    for name, *rest in found[:WEIGHTS]:
        yield f"network.{name}", *rest


def parts_in(value: Any) -> Iterator[Any]:
    """A value, and all that is in it where it is a nest of lists and dicts."""
    yield value
    if isinstance(value, list | tuple | dict):
        for item in value.values() if isinstance(value, dict) else value:
            yield from parts_in(item)


def is_open(value: Any) -> bool:
    """Whether all that it reaches can be seen: no object such as a network is in it."""
    if isinstance(value, list | tuple | dict):
        items = [*value.values()] if isinstance(value, dict) else value
        return len(items) <= MEMBERS and all(map(is_open, items))
    return isinstance(value, PLAIN | range) or is_array(value) or not is_shown("value", value)


PLAIN = bool | int | float | complex | str | None  # which cannot change


def changes_openly(code: CodeType) -> bool:
    """Whether a function changes at most what it is given.

    `backward` stands in torch/_tensor.py, too, and gives every weight its gradient.
    """
    file, name = code.co_filename, code.co_name
    if file.endswith("torch/nn/modules/module.py"):
        return name in READING
    return file.endswith(OPENLY) and name != "backward"


def is_array(value: Any) -> bool:
    """Whether it has numbers, a shape and a type."""
    return isinstance(value, Tensor | np.ndarray)


def place_of(value: Any) -> Any:
    """Where the numbers of an array lie, and its shape; else which object, or which number it is.

    >>> weight = torch.ones(2, 3)
    >>> place_of(weight) == place_of(weight.detach()) != place_of(weight.T)
    True
    """
    if isinstance(value, PLAIN):
        return type(value), repr(value)
    if isinstance(value, np.ndarray):
        return "array", value.ctypes.data, value.shape, value.strides
    if isinstance(value, Tensor) and value.layout is torch.strided:
        return value.dtype, value.data_ptr(), value.shape, value.stride()
    return "object", id(value)


def span(value: Any) -> range:
    """The memory between the first and the last number of an array."""
    if isinstance(value, np.ndarray):
        return range(*np.lib.array_utils.byte_bounds(value))
    if not isinstance(value, Tensor) or value.layout is not torch.strided or not value.numel():
        return range(0)
    last = sum((n - 1) * step for n, step in zip(value.shape, value.stride(), strict=True))
    return range(value.data_ptr(), value.data_ptr() + (last + 1) * value.element_size())


def overlap(one: range, others: list[range]) -> bool:
    """Whether some memory is a part of one of the others.

    >>> overlap(range(4, 8), [range(6), range(20, 30)]), overlap(range(8, 12), [range(8)])
    (True, False)
    """
    return any(one.start < other.stop and other.start < one.stop for other in others)


def whole(value: Any) -> int | None:
    """A count; nothing where the name stands for something else."""
    return value if type(value) is int else None


class Kept:
    """A value as it was, to see whether it is still the same in every bit.

    >>> weight = torch.ones(2)
    >>> before = Kept(weight)
    >>> weight.data[1] = 4.0
    >>> before.is_still(weight), before.moved_to(Kept(weight))["size"]
    (False, 3.0)
    """

    def __init__(self, value: Any) -> None:
        dense = as_dense(value)
        self.tensor = None if dense is None else dense.clone()
        self.summary = summary(value)

    def is_still(self, value: Any) -> bool:
        """Whether it has not changed."""
        dense = as_dense(value)
        if dense is None or self.tensor is None:
            return dense is self.tensor and summary(value) == self.summary
        alike = dense.dtype == self.tensor.dtype and dense.shape == self.tensor.shape
        return alike and torch.equal(bits(dense), bits(self.tensor))

    def moved_to(self, other: "Kept") -> dict[str, Any] | None:
        """How far a weight has moved: the norm of the difference, and its share of the weight's."""
        if self.tensor is None or other.tensor is None:
            return None
        size = (other.tensor - self.tensor).norm().item()
        norm = self.tensor.norm().item()
        return {"size": plain(size), "share": plain(size / norm if norm else math.inf)}


class Known:
    """What a name stood for: the object, where its numbers lie, and how they were."""

    def __init__(self, value: Any, place: Any, kept: Kept) -> None:
        # An array may go when the loop forgets it.
        self.object = weakref.ref(value) if is_array(value) else lambda: value
        self.version = getattr(value, "_version", None)
        self.place, self.span, self.kept = place, span(value), kept

    def is_the_same(self, value: Any) -> bool:
        """Whether it is the same object, and no operation of torch's has counted a change."""
        return self.object() is value and getattr(value, "_version", None) == self.version


def as_dense(value: Any) -> Tensor | None:
    """The tensor of a value that can be compared bit by bit; of others nothing."""
    if isinstance(value, np.ndarray):
        return torch.from_numpy(np.array(value)) if value.dtype.kind in "biufc" else None
    if not isinstance(value, Tensor) or value.layout is not torch.strided:
        return None
    if value.is_quantized or value.device.type == "meta":
        return None
    return value.detach()


BITS = {1: torch.uint8, 2: torch.int16, 4: torch.int32, 8: torch.int64}


def bits(tensor: Tensor) -> Tensor:
    """A tensor's bits as integers, of which nan equals nan, and 0.0 is not -0.0."""
    real = torch.view_as_real(tensor.resolve_conj()) if tensor.is_complex() else tensor
    return real.view(BITS[real.element_size()])
