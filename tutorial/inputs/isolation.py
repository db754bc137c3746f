"""A look without a trace: find something out so that nothing of the user's changes by it.

A forked copy of this process does the looking. What it changes in memory is its own, and gone with
it: weights, counters, generators, iterators. The open files it opens once more for itself, so that
they stay where they were read to; and it may not write. Where no fork can be made, such as beside a
GPU, copies of the objects are looked at.
"""

import bdb
import copy
import gc
import os
import pickle
import select
import signal
import stat
import sys
import time
import traceback
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from types import BuiltinFunctionType, FunctionType
from typing import Any, NoReturn

import numpy as np
import torch
from torch import distributed as dist
from torch import nn
from torch.utils.data import ConcatDataset, DataLoader, Dataset, Sampler, Subset, TensorDataset

from tutorial import checks
from tutorial.data.batches import Batches
from tutorial.inputs.data_source import DataSource
from tutorial.running import (
    gradients_on,
    modes_put_back,
    own_copy,
    own_loader,
    randomness_kept,
    runs_beside,
)
from tutorial.tracebacks import own_lines

PATIENCE = 10.0  # seconds for a look
WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
# What would leave a trace outside of the process, by the names of Python's audit events.
TRACES = (
    *("os.remove", "os.rename", "os.mkdir", "os.rmdir", "os.truncate", "os.link", "os.symlink"),
    *("os.chmod", "os.chown", "os.kill", "os.system", "os.fork", "os.exec", "os.posix_spawn"),
    *("subprocess.Popen", "socket.connect", "socket.bind", "socket.sendto", "signal.pthread_kill"),
)


class UnknownError(Exception):
    """It cannot be found out without a trace."""


def without_trace(
    look: Callable[[list[DataSource], Any], Iterator[Any]], sources: list[DataSource], model: Any
) -> Any:
    """The last of what a look finds.

    Args:
        look: yields what it has found so far, more and more; each must be pickled.
        sources: data that it reads.
        model: the Model of which it uses network, losses and metrics.

    Raises:
        UnknownError: it found nothing without leaving a trace.
        Exception: what the look raised; and it warns of what the look warned of.
    """
    model = eager(model)
    with gradients_on():
        if has_own_code(sources, model) and can_fork(model):
            return in_fork(partial(look, sources, model))
        with randomness_kept(), buffers_kept(model):
            return last(look(*copies(sources, model)))


def eager(model: Any) -> Any:
    """The Model with its network as it was before torch.compile, which would take its time."""
    if not hasattr(model.network, "_orig_mod"):
        return model
    model = copy.copy(model)
    model.network = model.network._orig_mod
    return model


def last(found: Iterable[Any]) -> Any:
    """The last one."""
    for each in found:  # noqa: B007
        pass
    return each


# ---- in a fork, or on copies?


def can_fork(model: Any) -> bool:
    """Whether a copy of this process can do what this one can, and alone."""
    cuda_is_used: bool = torch.cuda.is_initialized()  # type: ignore[no-untyped-call]
    if cuda_is_used or sys.platform != "linux" or model.device != "cpu":
        return False
    tensors = [*model.network.parameters(), *model.network.buffers()]
    shared = any(tensor.is_shared() for tensor in tensors)  # even with a copy of the process
    # A call of another thread may hold a lock, which would stay locked.
    return not (runs_beside() or shared or model.sharded)


KNOWN = ("torch", "torchvision", "torchmetrics", "tutorial", "functools", "builtins", "numpy")


def has_own_code(sources: list[DataSource], model: Any) -> bool:
    """Whether it would run code of the user's, of which it is not known what it changes."""
    measures = [*model.measures.loss_fns.values(), *model.measures.metrics.values()]
    parts = [model.network, model.optimizer, *measures, *(source.data for source in sources)]
    return not all(map(is_known, parts))


def is_known(part: Any) -> bool:
    """Whether it is wholly made of parts of PyTorch, or of this library."""
    kind = part if isinstance(part, type | FunctionType | BuiltinFunctionType) else type(part)
    if str(kind.__module__).partition(".")[0] not in KNOWN:
        return False
    match part:
        case nn.Module():
            hooks = (part._forward_hooks, part._forward_pre_hooks, part._backward_hooks)
            own = any(hooks) or "forward" in vars(part)
            return not own and all(map(is_known, part.children()))
        case DataLoader():
            code = (part.collate_fn, part.sampler, part.batch_sampler, part.worker_init_fn)
            return all(map(is_known, (part.dataset, *code)))
        case Subset():
            return is_known(part.dataset)
        case ConcatDataset():
            return all(map(is_known, part.datasets))
        case partial():
            return all(map(is_known, (part.func, *part.args, *part.keywords.values())))
        case torch.optim.Optimizer():
            return "step" not in vars(part)  # which some wrap
        case TensorDataset() | torch.Tensor() | Batches() | Sampler() | None:
            return True
        case dict():
            return all(map(is_known, part.values()))
        case list() | tuple():
            return len(part) <= MANY and all(map(is_known, part))
        case Dataset():  # such as MNIST with a transform
            return getattr(part, "whole_batches", False) is True
        case _:
            return not hasattr(part, "__next__")


MANY = 1000  # items of a list


def copies(sources: list[DataSource], model: Any) -> tuple[list[DataSource], Any]:
    """The data and the Model with a state of their own; weights and large arrays are shared."""
    other = copy.copy(model)
    other.optimizer = None  # it would move the weights
    if not model.sharded:  # its weights are parts, which belong together
        measures = [*model.measures.loss_fns.values(), *model.measures.metrics.values()]
        modules = [p for p in (model.network, *measures) if isinstance(p, nn.Module)]
        weights = [weight for module in modules for weight in module.parameters()]
        memo = {id(weight): weight for weight in weights if weight.requires_grad}
        own = own_copy({"network": model.network, "measures": model.measures}, memo)
        vars(other).update(own)
    return list(map(copied_data, sources)), other


def copied_data(source: DataSource) -> DataSource:
    """Data that draws, reads and counts for itself."""
    if hasattr(source.data, "__next__"):
        raise UnknownError("an iterator has no copy")
    aside = runs_beside()
    own: Any = own_loader(source.data, aside)
    if not is_known(source.data):
        own = own_copy(own, {id(array): array for array in arrays_in(source.data)})
    loader = own if source.loader is not None else None
    return replace(source, data=own, loader=loader, aside=aside)


def arrays_in(value: Any, depth: int = 4) -> Iterator[Any]:
    """The tensors and arrays in an object: the large part of it."""
    if isinstance(value, torch.Tensor | np.ndarray):
        yield value
    elif depth:
        parts = value if isinstance(value, list | tuple) else getattr(value, "__dict__", value)
        parts = list(parts.values()) if isinstance(parts, dict) else parts
        for part in parts[:MANY] if isinstance(parts, list | tuple) else ():
            yield from arrays_in(part, depth - 1)


@contextmanager
def buffers_kept(model: Any) -> Iterator[None]:
    """The buffers and modes of a network that cannot be copied are afterwards as before."""
    if not model.sharded:
        yield
        return
    kept = [(buffer, buffer.clone()) for buffer in model.network.buffers()]
    with modes_put_back(model.network):
        yield
    with torch.no_grad():
        for buffer, before in kept:
            buffer.copy_(before)


# ---- in a fork


def in_fork(look: Callable[[], Iterator[Any]]) -> Any:
    """The last of what a look finds, in a forked copy of this process.

    Args:
        look: yields what it has found so far, more and more; each must be pickled.

    Raises:
        UnknownError: it found nothing: it took too long, wanted to write, or died.
        Exception: what the look raised; and it warns of what the look warned of.
    """
    reading, writing = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of other threads: none is needed
        child = os.fork()
    if child == 0:
        _look_and_exit(look, writing)
    os.close(writing)
    try:
        messages = list(_messages(reading, time.monotonic() + PATIENCE))
    finally:
        os.close(reading)
        os.kill(child, signal.SIGKILL)  # it has said all, or has had its time
        os.waitpid(child, 0)
    found = [value for kind, value in messages if kind == "found"]
    for kind, value in messages:
        if kind == "warning":
            checks.warn(value)
        if kind == "error":
            raise value
    if not found:
        raise UnknownError
    return found[-1]


def _messages(reading: int, end: float) -> Iterator[tuple[str, Any]]:
    """What the copy says, until it ends or the time is over."""
    said = b""
    while select.select([reading], [], [], max(end - time.monotonic(), 0))[0]:
        part = os.read(reading, 1 << 16)
        said += part
        while len(said) >= 8 and len(said) >= 8 + int.from_bytes(said[:8]):
            size = 8 + int.from_bytes(said[:8])
            message = pickle.loads(said[8:size])
            if message[0] == "end":
                return
            yield message
            said = said[size:]
        if not part:  # it died
            return


# ---- in the copy


def _look_and_exit(look: Callable[[], Iterator[Any]], writing: int) -> NoReturn:
    """Look, say what was found, and end without any cleaning up, which is the first process's."""
    try:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        gc.disable()  # no finalizer runs twice
        torch.set_num_threads(1)  # the other threads were not copied
        sys.dont_write_bytecode = True
        if dist.is_available() and dist.is_initialized():  # the other ranks would not answer
            dist.distributed_c10d._update_default_pg(None)
        sys.settrace(None)  # a debugger waits in the loop, not here
        bdb.Bdb.set_trace = lambda *_, **__: None  # type: ignore[method-assign]
        _own_files(writing)
        wrote: list[str] = []
        sys.addaudithook(lambda event, arguments: _refuse_traces(event, arguments, wrote))

        def say(kind: str, value: Any) -> None:
            message = pickle.dumps((kind, value))
            os.write(writing, len(message).to_bytes(8) + message)

        checks.warn = partial(say, "warning")  # what else is warned of, the loop warns of again
        try:
            for found in look():
                if wrote:
                    break
                say("found", found)
        except UnknownError:
            pass
        except Exception as error:
            if not wrote and not any(word in str(error) for word in ("fork", "process group")):
                say("error", portable(error))
        say("end", None)
    finally:
        os._exit(0)


def _own_files(writing: int) -> None:
    """Read the open files from a place of its own; write nowhere."""
    import fcntl  # not on Windows, where there is no fork

    nowhere = os.open(os.devnull, os.O_RDWR)
    for name in os.listdir("/proc/self/fd"):
        file = int(name)
        if file in (writing, nowhere):
            continue
        try:
            kind, way = os.fstat(file).st_mode, fcntl.fcntl(file, fcntl.F_GETFL) & os.O_ACCMODE
            if stat.S_ISREG(kind) and way != os.O_WRONLY:
                own = os.open(f"/proc/self/fd/{file}", os.O_RDONLY)
                os.lseek(own, os.lseek(file, 0, os.SEEK_CUR), os.SEEK_SET)
                os.dup2(own, file)
            elif not stat.S_ISDIR(kind) and not (stat.S_ISCHR(kind) and not os.isatty(file)):
                os.dup2(nowhere, file)
        except OSError:  # closed meanwhile
            continue
    sys.stdout = sys.stderr = os.fdopen(nowhere, "w")  # what is printed, the loop prints again


def _refuse_traces(event: str, arguments: tuple[Any, ...], wrote: list[str]) -> None:
    """Refuse what would leave a trace."""
    opens_to_write = event == "open" and isinstance(arguments[2], int) and arguments[2] & WRITES
    if (opens_to_write and arguments[0] != os.devnull) or event in TRACES:
        wrote.append(event)
        raise UnknownError(event)


def portable(error: Exception) -> Exception:
    """The error as another process can read it, with a note on where it arose."""
    deepest: BaseException = error
    while deepest.__cause__ is not None:
        deepest = deepest.__cause__
    if place := own_line(deepest):  # as the traceback stays behind
        error.add_note(place)
    try:
        pickle.loads(pickle.dumps(error))
        return error
    except Exception:
        return RuntimeError(f"{type(error).__name__}: {error}")


def own_line(error: BaseException) -> str:
    """The line of the user's own code that was last at work."""
    lines = traceback.extract_tb(own_lines(error.__traceback__))
    return "".join(traceback.format_list(lines[-1:])).rstrip()
