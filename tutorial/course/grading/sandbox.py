"""Runs a command that nobody trusts: shut in, watched, and ended when it takes too much."""

import os
import selectors
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tutorial.course.grading.isolation import isolating
from tutorial.course.grading.subprocesses import Family

MB, GB = 10**6, 10**9
LOOK = 0.1  # seconds between two looks at what it takes
PASSED_ON = ("PATH", "PYTHONPATH", "LANG", "LC_ALL", "VIRTUAL_ENV")  # nothing else: no secrets


@dataclass(frozen=True)
class Limits:
    """What one submission may take.

    Attributes:
        seconds: of time.
        memory: bytes, all its processes together.
        processes: at the same time.
        disk: bytes in files.
        output: bytes of what it prints that are kept; the rest is dropped.
    """

    seconds: float = 120
    memory: int = 3 * GB
    processes: int = 100
    disk: int = 500 * MB
    output: int = 20_000


@dataclass
class Outcome:
    """How a run went.

    Attributes:
        report: what it wrote into the pipe that it was given for that.
        output: what it printed, cut off.
        stopped: why it was ended from outside, or how it ended itself if that was no good end.
    """

    report: bytes = b""
    output: str = ""
    stopped: str = ""


@dataclass
class Kept:
    """The beginning of what comes out of a pipe."""

    most: int
    data: bytearray = field(default_factory=bytearray)
    dropped: int = 0

    def add(self, data: bytes) -> None:
        """Keep what fits."""
        fits = data[: max(0, self.most - len(self.data))]
        self.data += fits
        self.dropped += len(data) - len(fits)


def run(command: Sequence[str], job: bytes, limits: Limits, isolated: bool) -> Outcome:
    """Run a command in an empty directory of its own.

    It gets the job as its input, and behind its arguments: the number of a pipe for its report,
    the disk limit, and whether it is to shut itself in.

    Args:
        command: the program and its arguments.
        job: what it reads.
        limits: what it may take.
        isolated: in namespaces of its own?
    """
    # Who it is for may delete this directory, or fill it with what cannot be deleted.
    with (
        tempfile.TemporaryDirectory(prefix="graded-", ignore_cleanup_errors=True) as directory,
        tempfile.TemporaryFile() as stdin,
    ):
        stdin.write(job)
        stdin.seek(0)
        reading, writing = os.pipe()
        with open(reading, "rb", buffering=0) as report:
            command = [*command, str(writing), str(limits.disk), str(int(isolated))]
            process = subprocess.Popen(
                isolating(command) if isolated else command,
                stdin=stdin,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                pass_fds=[writing],
                cwd=directory,
                env=_environment(Path(directory)),
                start_new_session=True,
                bufsize=0,
            )
            os.close(writing)
            with process:  # closes its pipe, and waits
                try:
                    return _watched(process, report, limits)
                finally:
                    Family(process.pid).end()


def _environment(directory: Path) -> dict[str, str]:
    kept = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
    own = {name: str(directory) for name in ("HOME", "TMPDIR", "MPLCONFIGDIR", "IPYTHONDIR")}
    return {**kept, **own, "OMP_NUM_THREADS": "1", "MPLBACKEND": "agg", "CUDA_VISIBLE_DEVICES": ""}


def _watched(process: subprocess.Popen[bytes], report: Any, limits: Limits) -> Outcome:
    """Take in what the process says, until it ends or must be ended."""
    said, reported = Kept(limits.output), Kept(MB)
    family = Family(process.pid)
    stopped = ""
    begun = looked = time.monotonic()
    assert process.stdout is not None
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ, said)
        selector.register(report, selectors.EVENT_READ, reported)
        while process.poll() is None and not stopped:
            _take(selector, LOOK)
            now = time.monotonic()
            if now - looked >= LOOK:
                family.look()
                stopped = _too_much(family, now - begun, limits)
                looked = time.monotonic()
        family.end()
        process.wait()
        deadline = time.monotonic() + 1
        while _take(selector, 0) and time.monotonic() < deadline:
            pass  # what is still in the pipes
    cut = f"\n[{said.dropped:,} more bytes were dropped]" if said.dropped else ""
    output = bytes(said.data).decode(errors="replace") + cut
    return Outcome(bytes(reported.data), output, stopped or _bad_end(process.returncode))


def _take(selector: selectors.BaseSelector, wait: float) -> bool:
    """Read what is there; was there anything?"""
    ready = selector.select(wait) if selector.get_map() else []
    if not ready and wait and not selector.get_map():
        time.sleep(wait)  # it has closed its pipes, and runs on
    for key, _ in ready:
        data = os.read(key.fd, 65536)
        key.data.add(data)
        if not data:
            selector.unregister(key.fileobj)
    return bool(ready)


def _too_much(family: Family, seconds: float, limits: Limits) -> str:
    if seconds > limits.seconds:
        return f"it took longer than {limits.seconds:g} seconds"
    if family.memory > limits.memory:
        return f"it took more than {limits.memory / GB:g} GB of memory"
    if family.count > limits.processes:
        return f"it started more than {limits.processes} processes"
    return ""


def _bad_end(code: int) -> str:
    """How a process ended that was not ended from outside."""
    if code == 0:
        return ""
    number = -code if code < 0 else code - 128
    names = {4: "SIGILL", 6: "SIGABRT", 7: "SIGBUS", 8: "SIGFPE", 9: "SIGKILL", 11: "SIGSEGV"}
    return f"it crashed ({names[number]})" if number in names else f"it ended itself, with {code}"


def python(module: str) -> list[str]:
    """The command that runs a module with this Python."""
    return [sys.executable, "-m", module]
