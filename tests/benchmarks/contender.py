"""A contender as the race sees it: a process in its own environment, with a terminal of its own.

The terminal is real to it, so that its progress bar is on; nobody looks.
"""

import fcntl
import json
import os
import pty
import struct
import subprocess
import termios
import threading
import time
from dataclasses import asdict
from typing import Any

from environments import PEERS, ROOT, python_of
from peers.tasks import Task


class ContenderError(Exception):
    """A contender could not do what it was asked; says why."""


class Contender:
    """A process that can be asked to train, evaluate and predict.

    Args:
        name: the name of a file in peers/.
        threads: what it may compute with.

    Attributes:
        began: when its process was started.

    Raises:
        MissingError: its environment could not be made.
    """

    def __init__(self, name: str, threads: int = 1) -> None:
        self.name = name
        screen, terminal = pty.openpty()
        fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 100, 0, 0))
        answers, pipe = os.pipe()
        python = python_of(name)
        self.began = time.perf_counter()
        self.process = subprocess.Popen(
            [python, PEERS / "contend.py", name, str(pipe)],
            stdin=subprocess.PIPE,
            stdout=terminal,
            stderr=terminal,
            pass_fds=[pipe],
            text=True,
            env={
                **os.environ,
                "PYTHONPATH": str(ROOT),
                "OMP_NUM_THREADS": str(threads),
                "TERM": "xterm-256color",
            },
        )
        os.close(terminal)
        os.close(pipe)
        self.answers = os.fdopen(answers)
        self.shown = b""  # the end of what it showed
        threading.Thread(target=self._watch, args=[screen], daemon=True).start()

    def _watch(self, screen: int) -> None:
        try:
            while more := os.read(screen, 65536):
                self.shown = (self.shown + more)[-4000:]
        except OSError:  # it has closed its end
            os.close(screen)

    def send(self, do: str, task: Task) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps({"do": do, "task": asdict(task)}) + "\n")
        self.process.stdin.flush()

    def receive(self) -> dict[str, Any]:
        """Its next answer.

        Raises:
            ContenderError: it raised an error, or has ended.
        """
        answer = json.loads(self.answers.readline() or "{}")
        if not answer or "error" in answer:
            raise ContenderError(answer.get("error") or self.shown.decode(errors="replace"))
        return answer

    def ask(self, do: str, task: Task) -> dict[str, Any]:
        """What it says when it has done this; before its first answer it tells of its imports."""
        self.send(do, task)
        answer = self.receive()
        return self.receive() if "imports" in answer else answer

    def close(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.answers.close()
        self.process.kill()
        self.process.wait()
