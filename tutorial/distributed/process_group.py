"""The process group: several processes (ranks) that train together; how they start and join.

Under `torchrun --nproc-per-node=2 my_script.py` a script runs in two processes, on one machine or
on many. Each makes the same `Model` and calls the same `fit`; the loop then splits the data across
ranks and takes the mean of the gradients, by torch.distributed (see loop/layers/distributed.py).
"""

import atexit
import logging
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import torch
from torch import distributed as dist
from torch import nn

from tutorial.parameters import Count, checked, short

TIMEOUT = timedelta(minutes=10)  # how long a process waits for one that says nothing


def join() -> int:
    """Join the other processes, if a launcher started several; how many there are then.

    Returns:
        The number of processes that train together: 1 without a launcher.

    Raises:
        ValueError: there are more processes on this machine than GPUs for them; or a process group
            that was made by hand cannot send what is on the CPU.
    """
    if not dist.is_available():
        return 1
    if not dist.is_initialized():
        if not dist.is_torchelastic_launched() or int(os.environ["WORLD_SIZE"]) == 1:
            return 1
        gpus, here = torch.cuda.device_count(), int(os.environ["LOCAL_WORLD_SIZE"])
        if 0 < gpus < here:
            raise ValueError(
                f"{here} processes were started on this machine, but it has {gpus} GPUs, and one "
                f"for each is expected. Start {gpus}, or let all use the CPU: set "
                "CUDA_VISIBLE_DEVICES to nothing."
            )
        store, number, count = next(dist.rendezvous("env://"))  # type: ignore[attr-defined]
        if count == here:
            # On one host, torchrun keeps the store when it restarts the processes. What they noted
            # there before must not be found.
            start = os.environ["TORCHELASTIC_RESTART_COUNT"]
            store = dist.PrefixStore(start, store)  # type: ignore[attr-defined]
        backend = "cpu:gloo,cuda:nccl" if gpus else "gloo"
        dist.init_process_group(
            backend, store=store, rank=number, world_size=count, timeout=TIMEOUT
        )
        atexit.register(leave)
    elif dist.get_world_size() > 1 and "gloo" not in str(dist.get_backend_config()):
        raise ValueError(
            f"the process group has the backend {dist.get_backend()!r}, but one that also sends "
            'what is on the CPU is expected. Write init_process_group("cpu:gloo,cuda:nccl"), or '
            "leave it out: Model joins by itself."
        )
    return dist.get_world_size()


def leave() -> None:
    """Leave the other processes, when Python ends."""
    if ready():
        dist.destroy_process_group()


def ready() -> bool:
    """Whether this process has joined others."""
    return dist.is_available() and dist.is_initialized()


def is_rank_zero() -> bool:
    """Whether this is rank 0: the process that shows, prints and saves."""
    return not ready() or dist.get_rank() == 0


def broadcast_parameters(network: nn.Module) -> None:
    """Broadcast parameters and buffers from rank 0."""
    for tensor in (*network.parameters(), *network.buffers()):
        dist.broadcast(tensor.detach(), 0)


def broadcast_object(value: Any) -> Any:
    """Broadcast a value from rank 0."""
    if not ready():
        return value
    values = [value]
    dist.broadcast_object_list(values, 0)
    return values[0]


@contextmanager
def explain_peer_failure() -> Iterator[None]:
    """Explain an error that comes from another process's end; the launcher finds that one first."""
    try:
        yield
    except RuntimeError as error:
        if not ready() or not (isinstance(error, dist.DistError) or "gloo" in str(error)):
            raise
        time.sleep(PATIENCE)
        raise RuntimeError(
            "another process of this training has ended or cannot be reached, so this one ends, "
            "too. Look for the other one's error. With fit(save_dir=..., resume=True) the same "
            "call goes on from the last checkpoint; torchrun --max-restarts=3 makes it by itself."
        ) from error


PATIENCE = 2.0  # seconds: a launcher looks at its processes several times in that time


def launch(function: Callable[..., Any], *args: Any, processes: Count = 2) -> list[Any]:
    """Call a function in several processes at once, which train together: torchrun for a notebook.

    The processes are forks of this one, so they know all that is defined and loaded here; what they
    change, such as weights, is theirs alone. What is to come back, the function returns. Each
    computes with one thread.

    Args:
        function: what each process calls. It makes its Model itself.
        *args: what it is called with.
        processes: how many, from 1; at most one for each GPU, if there are GPUs.

    Returns:
        What the function returned in each process, in their order.

    Raises:
        ValueError: processes is no such number, or a GPU is in use here already.
        RuntimeError: one of the processes failed; the others were ended.

    Example:
        >>> def train():
        ...     model = Model(torch.nn.Linear(1, 1))
        ...     model.prepare(torch.optim.SGD(model.parameters(), lr=0.1), torch.nn.MSELoss())
        ...     return model.fit(TensorDataset(x, 2 * x), batch_size=4, verbose=0).step_losses
        >>> from torch.utils.data import TensorDataset
        >>> from tutorial import Model
        >>> x = torch.ones(8, 1)
        >>> losses = launch(train, processes=2)
        >>> len(losses), losses[0] == losses[1]
        (2, True)
    """
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    processes = checked(launch, locals())["processes"]
    if not callable(function):
        raise TypeError(
            f"function is {short(function)}, but a function is expected, which each process calls."
        )
    if torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
        raise ValueError(
            "launch: a GPU is in use here already, and a process that has one cannot be forked. "
            "Restart the kernel, and let the function make everything that is on a GPU."
        )
    config = LaunchConfig(
        min_nodes=1,
        max_nodes=1,
        nproc_per_node=processes,
        run_id=f"launch-{time.monotonic_ns()}",
        rdzv_backend="c10d",
        rdzv_endpoint="localhost:0",
        start_method="fork",
        max_restarts=0,
        monitor_interval=0.1,
    )
    try:
        with as_before():
            results = elastic_launch(config, call)(function, args)
    except ChildFailedError as failed:
        which, failure = failed.get_first_failure()
        raise RuntimeError(f"launch: process {which} {how(failure)}") from None
    return [results[rank] for rank in sorted(results)]


@contextmanager
def as_before() -> Iterator[None]:
    """Afterwards, signals and the launcher's log are as they were."""
    chatty = logging.getLogger("torch.distributed.elastic")
    level, main = chatty.level, threading.current_thread() is threading.main_thread()
    chatty.setLevel(logging.CRITICAL)  # it would tell of a failure in pages
    taken = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)
    handlers = {number: signal.getsignal(number) for number in taken}
    try:
        yield
    finally:
        chatty.setLevel(level)
        for number, handler in handlers.items() if main else ():
            signal.signal(number, handler)  # the launcher leaves its own there


def call(function: Callable[..., Any], args: tuple[Any, ...]) -> Any:
    """What each launched process does."""
    torch.set_num_threads(1)  # OpenMP's other threads do not survive a fork
    signal.signal(signal.SIGTERM, signal.SIG_DFL)  # the launcher's own handler waits for Python
    return function(*args)


def how(failure: Any) -> str:
    """How a process failed, in words."""
    if failure.exitcode < 0:
        return f"was killed by {failure.signal_name()}; the others were ended."
    told = failure.message
    if isinstance(told, dict):
        told = f"{told['message']}\n\n{told['extraInfo']['py_callstack']}"
    return f"failed: {told}"
