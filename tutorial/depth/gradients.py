"""Network, losses and backward written out, in the place of the lines that call them."""

from collections.abc import Collection, Mapping
from functools import partial
from typing import Any

import libcst as cst
import torch
from torch import Tensor, nn

from tutorial.depth.hooks import refuse_hooks
from tutorial.depth.kernels import without_form
from tutorial.depth.names import Names
from tutorial.depth.operations import NotPlainError
from tutorial.depth.passes import computed, mapped, names_read, resized, settings_for, trace
from tutorial.depth.segments import Segment, Segments
from tutorial.depth.trace import CannotTraceError
from tutorial.depth.writer import Writer
from tutorial.inputs.structure import leaves
from tutorial.unroll.proof import flat, identical
from tutorial.unroll.spelling import align_comments

SIZES = (5, 7)  # of the two batches that are traced: what differs between them is their size


class WrittenOut:
    """A loop in which network, losses and backward are written out.

    Args:
        network: the network.
        losses: the losses, by their variables.
        batch: a batch as the loop's loader gives it; or, where the loop's names stand for it
            already, a dict of them.
        all_count: whether it is known that no label is to be ignored.
        sizes: how many samples a batch may have; with these it is compared with PyTorch's own.
        by_names: whether the batch is a dict of the loop's names.
        taken: names that stand for something else already.
    """

    def __init__(
        self,
        network: nn.Module,
        losses: Mapping[str, Any],
        batch: Any,
        all_count: bool = False,
        sizes: Collection[int] = (4, 1),
        by_names: bool = False,
        taken: Collection[str] = (),
    ) -> None:
        self.network, self.losses, self.batch = network, losses, batch
        self.all_count, self.sizes, self.by_names = all_count, sizes, by_names
        self.texts: dict[tuple[str, str | None], str] = {}  # by the segment's key
        self.tools: dict[str, Any] = {}
        self.named = Names(network, losses, taken)

    def __call__(self, source: str) -> str:
        """The loop's source, written out."""
        refuse_hooks(self.network, self.losses)
        program = cst.parse_module(source).visit(Segments(self.losses, self.write))
        head = without_form(self.tools) + settings_for(self.network)
        head += self.named.definitions()
        text = cst.ensure_type(program, cst.Module).code
        return align_comments(f"{head}{text}")

    def write(self, segment: Segment) -> str:
        """A segment's text."""
        if segment.key not in self.texts:
            passes = [
                trace(segment, self.network, self.losses, self.samples(segment, size), size)
                for size in SIZES
            ]
            try:
                writer = Writer(segment, self.named, self.network, passes, self.all_count)
                text = writer.text()
            except NotPlainError:
                writer = Writer(segment, self.named, self.network, passes, all_count=False)
                text = writer.text()
            self.tools |= writer.tools
            self.check(segment, text)
            self.texts[segment.key] = text
        return self.texts[segment.key]

    def samples(self, segment: Segment, size: int, first: int = 0) -> dict[str, Any]:
        """So many samples from the first one on, under the names that the segment reads."""
        names = self.batch
        if segment.batch is not None and not self.by_names:
            names = {"batch_itself": self.batch}
            exec(f"{segment.batch} = batch_itself", names)
        read = names_read(segment)
        names = {name: value for name, value in names.items() if name in read}
        length = next(len(part) for _, part in leaves((), names) if isinstance(part, Tensor))
        few = partial(resized, length=length, size=size, first=first)
        taken: dict[str, Any] = mapped(few, names)
        return taken

    def check(self, segment: Segment, text: str) -> None:
        """Compute both, on copies, with batches of other sizes.

        Raises:
            CannotTraceError: they differ in a bit.
        """
        written = f"{self.named.definitions()}{text}"
        # One sample is tried often: for a single row, what differs is seldom seen.
        tries = [(size, first) for size in self.sizes for first in range(3 if size > 1 else 12)]
        for size, first in tries:
            run = partial(computed, segment=segment, network=self.network, losses=self.losses)
            try:
                expected = flat(run(segment.code, space=self.samples(segment, size, first)))
            except ValueError:  # such as of batch norm, which takes no single sample
                continue
            space = {**self.tools, **self.samples(segment, size, first)}
            try:
                found = flat(run(written, space=space))
            except Exception as error:
                [said, *_] = str(error).splitlines() or [""]
                raise CannotTraceError(
                    f"written out, the lines do not run ({type(error).__name__}: {said})"
                ) from error
            for name, value in expected.items():
                nothing = found.get(name) is None and not torch.as_tensor(value).any()
                if not identical(value, found.get(name)) and not nothing:
                    raise CannotTraceError(
                        f"written out, {name} of {size} sample{'s' * (size > 1)} is another one "
                        "than PyTorch's own, so something in it is not seen by its tracer, such "
                        "as what is done with .data"
                    )
