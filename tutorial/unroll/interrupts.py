"""Ctrl-C, or a notebook's stop button, ends a loop after the step that runs."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tutorial.display.report import Report

WAITING: list[Report] = []  # of the calls that end after their step, each inside the one before


def wait_for_the_step(number: int, frame: Any) -> None:
    """What SIGINT does meanwhile: it is reported to each loop. A second one does not wait."""
    if all(report.interrupted for report in WAITING):
        raise KeyboardInterrupt
    for report in WAITING:
        report.interrupted = True


OURS = (signal.default_int_handler, wait_for_the_step)  # not what somebody else has put there


@contextmanager
def interrupts_between_steps(report: Report | None) -> Iterator[None]:
    """An interrupt waits until `report.due` is asked, between two steps; with None, it does not."""
    usual = signal.getsignal(signal.SIGINT)
    in_main = threading.current_thread() is threading.main_thread()
    if report is None or not in_main or usual not in OURS:
        yield
        return
    WAITING.append(report)
    signal.signal(signal.SIGINT, wait_for_the_step)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, usual)
        WAITING.remove(report)
