"""How a running loop shows itself: silent, in lines, or as a bar. The loop calls a `Report`."""

import sys

from tutorial.display.report import Lines, Report


def choose(verbose: int, log_freq: int) -> Report:
    """The report for one call.

    Args:
        verbose: 0: silent. 1: a progress bar on a terminal; elsewhere (a file, a pipe) a line for
            each epoch. 2: a line for every `log_freq` steps and each epoch.
        log_freq: steps between two lines of verbose=2.
    """
    if verbose == 0:
        return Report()
    if verbose == 2:
        return Lines(log_freq)
    if not sys.stderr.isatty():
        return Lines()
    from tutorial.display.terminal import TerminalBar

    return TerminalBar()
