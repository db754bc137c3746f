"""What users bring: networks, data, losses, optimizers, each compared with a loop by hand.

    python -m tests.situations                 runs them all, and prints the table
    python -m tests.situations losses 21 22    some families and numbers of it only
    python -m tests.situations --quick         without fresh processes

A file is a family. A situation in it is a short function that makes a `Case`, or that compares for
itself; what should come of it stands above it: see situation.py. runner.py compares.
"""

FAMILIES = (
    *("vision", "language", "sequences", "losses", "several", "networks", "scripts", "state"),
    *("optimizers", "data", "outputs", "callbacks", "own_loops", "notebooks"),
)
