"""A process and all that come from it: how many they are, what memory they take, and their end."""

import os
import signal
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

PROC = Path("/proc")  # Linux only; elsewhere nothing is seen, and only the process group is ended


@dataclass(frozen=True)
class Process:
    """What Linux tells of a process."""

    parent: int
    begun: str  # when; numbers of processes come again
    memory: int  # bytes that it holds


class Family:
    """A process that leads a group of its own, and all processes that come from it.

    Attributes:
        count: how many they were when `look` was last called.
        memory: how many bytes they held then.
    """

    def __init__(self, leader: int) -> None:
        self.leader = leader
        self.count = 0
        self.memory = 0
        self._known: set[tuple[int, str]] = set()

    def look(self) -> None:
        """Count them. One whose parent has ended still belongs to them, if it was seen before."""
        there = running()
        members = {pid for pid, begun in self._known if pid in there and there[pid].begun == begun}
        new = {self.leader} & there.keys()
        while new:
            members |= new
            new = {pid for pid, process in there.items() if process.parent in members} - members
        self._known = {(pid, there[pid].begun) for pid in members}
        self.count = len(members)
        self.memory = sum(there[pid].memory for pid in members)

    def end(self) -> None:
        """End all of them, also those that begin meanwhile."""
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self.leader, signal.SIGKILL)
            self.look()
            for pid, _ in self._known:
                with suppress(ProcessLookupError, PermissionError):
                    os.kill(pid, signal.SIGKILL)
            if not self.count:
                return


def running() -> dict[int, Process]:
    """All processes of this machine that have not ended."""
    page = os.sysconf("SC_PAGE_SIZE")
    found = {}
    for directory in PROC.glob("[0-9]*"):
        with suppress(OSError):  # it has ended meanwhile
            line = (directory / "stat").read_text()
            fields = line[
                line.rindex(")") + 2 :
            ].split()  # behind the name, which may hold anything
            if fields[0] not in "ZX":
                found[int(directory.name)] = Process(
                    int(fields[1]), fields[19], int(fields[21]) * page
                )
    return found
