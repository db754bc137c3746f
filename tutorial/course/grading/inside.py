"""Runs one submission. It stands in a process of its own, and never in the grader's.

    python -m tutorial.course.grading.inside PIPE DISK ISOLATED

The job comes as JSON from the input:

    {"secret": ..., "memory": ..., "processes": ..., "cells": [[source, name], ...]}

where a name is that of the exercise which the cell grades, or nothing. Each graded cell gives a
line of JSON into the pipe. A cell that fails does not keep the next ones from running.
"""

import json
import os
import resource
import sys
from pathlib import Path
from typing import Any

from tutorial.course.grading.isolation import shut_in

LONGEST = 2000  # characters of a message


def main(pipe: int, disk: int, isolated: bool) -> None:
    """Shut this process in, and run the cells."""
    if isolated:
        shut_in(Path.cwd(), disk)
    job = json.load(sys.stdin)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    limit(resource.RLIMIT_CORE, 0)
    limit(resource.RLIMIT_FSIZE, disk)
    limit(resource.RLIMIT_DATA, job["memory"])
    if isolated:  # elsewhere all processes of the user would count
        limit(resource.RLIMIT_NPROC, job["processes"])

    def tell(**facts: Any) -> None:
        os.write(pipe, (json.dumps({"secret": job["secret"], **facts}) + "\n").encode())

    run_cells(job["cells"], tell)
    tell(done=True)
    sys.stdout.flush()
    os._exit(0)  # whatever threads and processes the cells have left


def limit(what: int, most: int) -> None:
    """Set a limit that cannot be raised again; one that is lower already stays."""
    hard = resource.getrlimit(what)[1]
    most = most if hard == resource.RLIM_INFINITY else min(most, hard)
    resource.setrlimit(what, (most, most))


def run_cells(cells: list[tuple[str, str]], tell: Any) -> None:
    """Run the cells as a notebook does, and tell of the graded ones."""
    from IPython.core.interactiveshell import InteractiveShell
    from traitlets.config import Config

    config = Config(HistoryManager={"enabled": False})
    shell: Any = InteractiveShell.instance(config=config, colors="nocolor")
    for source, name in cells:
        if name:
            tell(begun=name)
        result = shell.run_cell(source)
        sys.stdout.flush()
        error = result.error_before_exec or result.error_in_exec
        if name:
            tell(name=name, passed=error is None, message=told(error)[:LONGEST])


def told(error: BaseException | None) -> str:
    """What a failed cell has to say."""
    if isinstance(error, AssertionError):
        return str(error) or "a hidden test failed"
    return "" if error is None else f"{type(error).__name__}: {error}"


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3] == "1")
