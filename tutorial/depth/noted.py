"""The call once more, with PyTorch in 64 bits: what is random in it, and what it gives.

NumPy has neither torch's random numbers nor its loaders. So a run of the call, on copies, notes
them: which samples are in each batch, what is drawn in the network (the masks of dropout), and what
schedules set. What that run gives is what NumPy's numbers are compared with.
"""

import copy
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import libcst as cst
import numpy as np
import torch
from libcst import matchers as m
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from tutorial.depth.passes import mapped
from tutorial.inputs.structure import leaves
from tutorial.unroll.own_files import real_save
from tutorial.unroll.program import Program
from tutorial.unroll.proof import run_copy, run_from_the_beginning
from tutorial.unroll.replay.recorder import Enough


class Notes(TorchDispatchMode):
    """What a run notes.

    Args:
        settings: the keys of a parameter group that schedules may change.
        steps: after so many batches of the first data the run ends; None: with the call.

    Attributes:
        samples: of each data, its samples in the order in which they came first: nested lists.
        orders: of each data, the rows of each batch of each pass.
        drawn: the random numbers that the network drew.
        schedules: of each scheduler, the settings after each of its steps.
    """

    def __init__(self, settings: Iterable[str], steps: int | None = None) -> None:
        super().__init__()
        self.settings, self.steps = tuple(settings), steps
        self.samples: dict[str, Samples] = {}
        self.orders: dict[str, list[list[list[int]]]] = {}
        self.lengths: dict[str, int] = {}
        self.drawn: list[Tensor] = []
        self.schedules: dict[str, list[list[dict[str, Any]]]] = {}
        self.loading = 0
        self.usual: torch.dtype | None = None  # the default type, while it is another one

    def __torch_dispatch__(
        self, operation: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        result = operation(*args, **(kwargs or {}))
        seeded = torch.Tag.nondeterministic_seeded in operation.tags
        if seeded and not self.loading and isinstance(result, Tensor):
            drawn = args[1] if "rrelu" in str(operation) else result  # it draws into a tensor
            self.drawn.append(drawn.detach().clone())
        return result

    def begin(self, **parts: Any) -> None:
        """All that is computed from here on has 64 bits."""
        for part in parts.values():
            if isinstance(part, nn.Module):
                part.double()
            elif isinstance(part, torch.optim.Optimizer):
                for state in part.state.values():
                    state |= {key: doubled(value) for key, value in state.items()}
        self.usual = torch.get_default_dtype()
        torch.set_default_dtype(torch.float64)
        self.__enter__()

    def leave(self) -> None:
        """All is as it was, also after an error."""
        if self.usual is not None:
            self.__exit__(None, None, None)
            torch.set_default_dtype(self.usual)
            self.usual = None

    def batches(self, name: str, loader: Any) -> Iterator[Any]:
        """A loader's batches in 64 bits; which samples they have is noted."""
        samples = self.samples.setdefault(name, Samples())
        order: list[list[int]] = []
        self.orders.setdefault(name, []).append(order)
        with suppress(TypeError):  # a stream has no length
            self.lengths[name] = len(loader)
        batches = None
        while True:
            if next(iter(self.orders)) == name and self.steps == sum(map(len, self.orders[name])):
                raise Enough
            self.loading += 1  # what is drawn meanwhile is the loader's, and of its own type
            torch.set_default_dtype(self.usual or torch.float32)
            try:
                batches = iter(loader) if batches is None else batches
                batch = next(batches)
            except StopIteration:
                return
            finally:
                self.loading -= 1
                torch.set_default_dtype(torch.float64)
            order.append(samples.rows(batch))
            yield mapped(doubled, batch)

    def schedule(self, name: str, optimizer: torch.optim.Optimizer) -> None:
        """A scheduler has made a step."""
        settings = [
            {key: group[key] for key in self.settings if key in group}
            for group in optimizer.param_groups
        ]
        self.schedules.setdefault(name, []).append(settings)

    def end(self, file: str) -> None:
        """Write down what was noted, for the process that asked for this run."""
        self.leave()
        samples = {name: of.arrays() for name, of in self.samples.items()}
        found = {"samples": samples, "schedules": self.schedules, "drawn": self.numbers()}
        found |= {"orders": {name: self.order(name) for name in self.orders}}
        real_save(found, file)

    def numbers(self) -> Tensor:
        """All that was drawn, one after the other; masks of 0 and 1 as bytes."""
        flat = [part.reshape(-1).double() for part in self.drawn]
        numbers = torch.cat(flat) if flat else torch.zeros(0)
        bits = bool(((numbers == 0) | (numbers == 1)).all())
        return numbers.to(torch.uint8) if bits else numbers

    def order(self, name: str) -> Tensor:
        """The rows of each batch of each pass; -1 where a batch, or a pass, has fewer."""
        passes = self.orders[name]
        count = max(self.lengths.get(name, 0), *(len(one) for one in passes))
        size = max((len(rows) for one in passes for rows in one), default=0)
        order = torch.full((len(passes), count, size), -1)
        for i, one in enumerate(passes):
            for j, rows in enumerate(one):
                order[i, j, : len(rows)] = torch.tensor(rows)
        return order


class Samples:
    """The samples that came, each once: what a batch has in one row of all its parts."""

    def __init__(self) -> None:
        self.known: dict[bytes, int] = {}
        self.batch: Any = None
        self.parts: list[list[Tensor]] = []

    def rows(self, batch: Any) -> list[int]:
        """The row of each sample in a batch.

        Raises:
            ValueError: the batch has parts that are no tensors with a row for each sample.
        """
        tensors = [part for _, part in leaves((), batch)]
        length = len(tensors[0]) if isinstance(tensors[0], Tensor) and tensors[0].dim() else 0
        for part in tensors:
            if not isinstance(part, Tensor) or not part.dim() or len(part) != length:
                raise ValueError(
                    "depth='numpy': a batch has a part that is no tensor with one row a sample; "
                    "take depth='gradients'."
                )
        if self.batch is None:
            self.batch, self.parts = batch, [[] for _ in tensors]
        arrays = [part.detach().cpu().contiguous().numpy() for part in tensors]
        found = []
        for i in range(length):
            key = b"".join(array[i].tobytes() for array in arrays)
            if key not in self.known:
                self.known[key] = len(self.known)
                for part, tensor in zip(self.parts, tensors, strict=True):
                    part.append(tensor[i].detach().cpu().clone())
            found.append(self.known[key])
        return found

    def arrays(self) -> Any:
        """All samples, in the structure of a batch.

        Raises:
            ValueError: they have several shapes.
        """
        shapes = [{tuple(sample.shape) for sample in part} for part in self.parts]
        if any(len(several) > 1 for several in shapes):
            raise ValueError(
                "depth='numpy': samples have several shapes, so they are no array. Pad them to "
                "one, or take depth='gradients'."
            )
        parts = iter([torch.stack(part) for part in self.parts])
        return mapped(lambda _: next(parts), self.batch)


@contextmanager
def default_of_64_bits() -> Iterator[None]:
    """What says nothing of its type has 64 bits."""
    usual = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    try:
        yield
    finally:
        torch.set_default_dtype(usual)


def doubled(value: Any) -> Any:
    """A tensor of real numbers in 64 bits; a single number, or anything else, as it is."""
    if isinstance(value, Tensor) and value.is_floating_point() and value.dim():
        return value.double()
    return value


class NotedRun:
    """A run of a call in 64 bits.

    Attributes:
        results: what it gave, as a proof compares it: step losses, weights, ...; nothing where
            it was ended after some steps.
        samples, orders, drawn, schedules: what was noted, see Notes.
    """

    def __init__(self, program: Program, settings: Iterable[str], steps: int | None = None) -> None:
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "notes.pt"
            notes = Notes(settings, steps)

            def run(program: Program, names: dict[str, Any]) -> dict[str, Any]:
                try:
                    return run_from_the_beginning(program, names)
                except Enough:
                    notes.end(str(file))
                    return {}

            try:
                self.results = run_copy(with_notes(program, notes, file), run)
            finally:
                notes.leave()
            noted = torch.load(file, weights_only=True)
        self.samples: dict[str, Any] = noted["samples"]
        self.orders: dict[str, Tensor] = noted["orders"]
        for data in [name for name in program.names if name.endswith("_data")]:
            # Data that was not read before the run ended.
            self.samples.setdefault(data.removesuffix("_data"), [])
            self.orders.setdefault(data.removesuffix("_data"), torch.zeros(1, 0, 0))
        self.drawn: Tensor = noted["drawn"]
        self.schedules: dict[str, list[list[dict[str, Any]]]] = noted["schedules"]

    def settings(self, scheduler: str) -> dict[str, np.ndarray[Any, Any]]:
        """What a schedule set, as arrays: lr[i][j] of group j after step i."""
        steps = self.schedules.get(scheduler, [])
        keys = steps[0][0] if steps else ()
        return {key: np.array([[g[key] for g in groups] for groups in steps]) for key in keys}


def with_notes(program: Program, notes: Notes, file: Path) -> Program:
    """A program that computes in 64 bits and notes what is random."""
    noted = copy.copy(program)
    noted.tools = {**program.tools, "notes": notes, "notes_file": str(file)}
    noted.names = {
        name: mapped(doubled, value) if isinstance(value, Tensor | list | tuple | dict) else value
        for name, value in program.names.items()
    }
    parts = [n for n in program.names if n in ("network", "optimizer") or n.startswith("loss_fn")]
    noted.deeper = lambda source: noting(program.deeper(source), parts)
    return noted


def noting(source: str, parts: Iterable[str]) -> str:
    """The loop, with lines that note."""
    begin = f"notes.begin({', '.join(f'{name}={name}' for name in parts)})\n"
    text = cst.ensure_type(cst.parse_module(source).visit(Noting()), cst.Module).code
    return f"{begin}{text}notes.end(notes_file)\n"


class Noting(cst.CSTTransformer):
    """Puts the loaders' batches, and the steps of schedulers, under notes."""

    def leave_For(self, original_node: cst.For, updated_node: cst.For) -> cst.For:  # noqa: N802
        called = m.Call(m.Name("enumerate"), [m.Arg(m.Name())])
        if not m.matches(updated_node.iter, called):
            return updated_node
        loader = cst.ensure_type(
            cst.ensure_type(updated_node.iter, cst.Call).args[0].value, cst.Name
        )
        name = loader.value.removesuffix("_loader")
        code = f'enumerate(notes.batches("{name}", {loader.value}))'
        return updated_node.with_changes(iter=cst.parse_expression(code))

    def leave_SimpleStatementLine(  # noqa: N802
        self, original_node: cst.SimpleStatementLine, updated_node: cst.SimpleStatementLine
    ) -> Any:
        step = m.Call(m.Attribute(m.Name(), m.Name("step")))
        if not m.matches(updated_node, m.SimpleStatementLine([m.Expr(step)])):
            return updated_node
        code = cst.Module([]).code_for_node(updated_node.body[0])
        name = code.partition(".")[0]
        if not name.startswith("scheduler"):
            return updated_node
        note = cst.parse_statement(f'notes.schedule("{name}", optimizer)')
        return cst.FlattenSentinel([updated_node, note])
