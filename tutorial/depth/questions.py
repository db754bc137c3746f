"""Lines that ask for the value of a tensor, only to refuse it: `if (var < 0).any(): raise ...`.

What is traced takes one way. A check does not part the ways: either it is passed, or all ends. So
it can be written down, as an `assert`.
"""

import ast
import inspect
import sys
import textwrap
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType
from unittest.mock import patch

import torch.nn.functional as F
from torch import Tensor
from torch.fx.experimental.proxy_tensor import disable_proxy_modes_tracing, get_proxy_mode


@dataclass(frozen=True)
class Check:
    """What a line has asserted of a tensor.

    Attributes:
        expected: the value that it let pass.
        message: what it says of the other one.
    """

    expected: bool
    message: str


@contextmanager
def answered(note: Callable[[Tensor, Check], None]) -> Iterator[None]:
    """While operations are recorded, let checks see values; other questions stay refused."""
    ask = Tensor.__bool__

    def answer(tensor: Tensor) -> bool:
        message = None if get_proxy_mode() is None else refusal(sys._getframe(1))
        if message is None:
            return ask(tensor)
        with disable_proxy_modes_tracing():
            value = ask(tensor.detach())
        note(tensor, Check(value, message))
        return value

    with patch.object(Tensor, "__bool__", answer), patch.object(F, "one_hot", one_hot):
        yield


def one_hot(labels: Tensor, num_classes: int = -1) -> Tensor:
    """F.one_hot without its own questions, which only refuse labels that are no classes."""
    if num_classes < 0:
        return ask_for_classes(labels)
    zeros = labels.new_zeros(*labels.shape, num_classes)
    return zeros.scatter_(-1, labels[..., None], 1)


ask_for_classes = F.one_hot


def refusal(frame: FrameType) -> str | None:
    """What the line that runs in this frame says when it refuses; None if it is no check."""
    try:
        lines, first = inspect.getsourcelines(frame.f_code)
        tree = ast.parse(textwrap.dedent("".join(lines)))
    except (OSError, SyntaxError, TypeError):  # no source, or a part of a statement
        return None
    line = frame.f_lineno - max(first, 1) + 1
    for node in ast.walk(tree):
        asking = getattr(node, "test", node)
        if not getattr(asking, "lineno", line + 1) <= line <= getattr(asking, "end_lineno", line):
            continue
        if isinstance(node, ast.Assert):
            return words(node.msg)
        if isinstance(node, ast.If) and isinstance(node.body[0], ast.Raise):
            return words(node.body[0].exc)
        if isinstance(node, ast.Return) and frame.f_back is not None:
            return refusal(frame.f_back)  # the caller asks
    return None


def words(said: ast.expr | None) -> str:
    """What an error says, as far as it stands there."""
    found = [part.value for part in ast.walk(said or ast.Pass()) if isinstance(part, ast.Constant)]
    return next((part for part in found if isinstance(part, str)), "this value is refused")
