"""An environment for each peer: build/peers/NAME, with what peers/NAME.txt asks for.

It also sees the library's own packages, so that PyTorch is the same for all, and is there once.
"""

import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

ROOT = Path(__file__).parents[2]
PEERS = Path(__file__).parent / "peers"
CONSTRAINTS = ROOT / "tests" / "constraints.txt"  # no peer may bring another PyTorch


class MissingError(Exception):
    """An environment could not be made; says why."""


def python_of(peer: str) -> Path:
    """The Python that runs a peer: its own environment's, made if need be, or this one.

    Args:
        peer: the name of a file in peers/, such as 'with_keras'.

    Raises:
        MissingError: a package cannot be had.
    """
    wanted = PEERS / f"{peer}.txt"
    if not wanted.exists():
        return Path(sys.executable)
    folder = ROOT / "build" / "peers" / peer
    python, done = folder / "bin" / "python", folder / "done.txt"
    if done.exists() and done.read_text() == wanted.read_text():
        return python
    print(f"making {folder.relative_to(ROOT)}", flush=True)
    venv.create(folder, clear=True, with_pip=True)
    here = sysconfig.get_path("purelib")
    (site,) = folder.glob("lib/python*/site-packages")
    (site / "shared.pth").write_text(f"{here}\n")
    install = [python, "-m", "pip", "install", "--disable-pip-version-check", "--quiet"]
    ran = subprocess.run(
        [*install, "-r", wanted, "-c", CONSTRAINTS], capture_output=True, text=True
    )
    if ran.returncode:
        (*_, reason) = ["pip failed", *ran.stderr.strip().splitlines()]
        raise MissingError(f"{peer}: {reason}")
    done.write_text(wanted.read_text())
    return python
