"""Network, losses and backward written out, in the place of the lines that call them."""

from collections.abc import Mapping
from functools import partial
from typing import Any

import libcst as cst
from torch import Tensor, nn

from tutorial.depth.names import Names
from tutorial.depth.operations import NotPlainError
from tutorial.depth.passes import Pass, has_lstm, mapped, names_read, resized, trace
from tutorial.depth.segments import Segment, Segments
from tutorial.depth.writer import Writer
from tutorial.inputs.structure import leaves
from tutorial.unroll.spelling import align_comments

SIZES = (5, 7)  # of the two batches that are traced: what differs between them is their size
ONE_BY_ONE = "torch.backends.mkldnn.enabled = False  # else an LSTM would be one operation\n"


class WrittenOut:
    """A loop in which network, losses and backward are written out.

    Args:
        network: the network.
        losses: the losses, by their variables.
        batch: a batch as the loop's loader gives it; or, where the loop's names stand for it
            already, a dict of them.
        all_count: whether it is known that no label is to be ignored.
    """

    def __init__(
        self, network: nn.Module, losses: Mapping[str, Any], batch: Any, all_count: bool = False
    ) -> None:
        self.network, self.losses, self.batch = network, losses, batch
        self.all_count = all_count
        self.texts: dict[Segment, str] = {}
        self.tools: dict[str, Any] = {}
        self.named = Names(network, losses)

    def __call__(self, source: str) -> str:
        """The loop's source, written out."""
        program = cst.parse_module(source).visit(Segments(self.losses, self.write))
        head = ONE_BY_ONE if has_lstm(self.network) else ""
        head += self.named.definitions()
        text = cst.ensure_type(program, cst.Module).code
        return align_comments(f"{head}{text}")

    def write(self, segment: Segment) -> str:
        """A segment's text."""
        if segment not in self.texts:
            traces = [self.trace(segment, size) for size in SIZES]
            try:
                writer = Writer(segment, self.named, self.network, traces, self.all_count)
                self.texts[segment] = writer.text()
            except NotPlainError:
                writer = Writer(segment, self.named, self.network, traces, all_count=False)
                self.texts[segment] = writer.text()
            self.tools |= writer.tools
        return self.texts[segment]

    def trace(self, segment: Segment, size: int) -> "Pass":
        """Run the segment on copies, with so many samples."""
        names = self.batch
        if segment.batch is not None:
            names = {"batch_itself": self.batch}
            exec(f"{segment.batch} = batch_itself", names)
        read = names_read(segment)
        names = {name: value for name, value in names.items() if name in read}
        first = next(part for _, part in leaves((), names) if isinstance(part, Tensor))
        few = partial(resized, length=len(first), size=size)
        return trace(segment, self.network, self.losses, mapped(few, names), size)
