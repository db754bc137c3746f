"""Shuts this process in, with Linux's namespaces, before it runs somebody else's code.

`unshare` starts a process that has processes, mounts and a network of its own. Here it then makes
all files read-only but those of one small directory, and gives up the right to undo that.
"""

import ctypes
import os
from collections.abc import Sequence
from pathlib import Path

UNSHARE = ["unshare", "--user", "--map-root-user", "--net", "--pid", "--mount", "--ipc", "--fork"]
DEVICES = ("null", "zero", "full", "random", "urandom")  # all that a program needs

# From Linux's headers: mount.h, prctl.h, capability.h.
READ_ONLY, NO_SUID, NO_DEVICES, BIND, RECURSIVE, PRIVATE = 1, 2, 4, 4096, 16384, 1 << 18
MOUNT_SETATTR, HERE, AND_BELOW = 442, -100, 0x8000
DROP_FROM_BOUNDING_SET, NO_NEW_PRIVILEGES, CAPABILITY_VERSION = 24, 38, 0x20080522


def isolating(command: Sequence[str]) -> list[str]:
    """The command, in namespaces of its own, which end with it."""
    return [*UNSHARE, "--kill-child", "--", *command]


def shut_in(directory: Path, size: int) -> None:
    """From now on this process, and all that it starts, can write into this directory only.

    Args:
        directory: gets empty, and lives in memory.
        size: bytes that fit into it.

    Raises:
        OSError: this machine does not allow it.
    """
    options = f"size={size},mode=700".encode()
    _mount(b"none", "/", b"", RECURSIVE | PRIVATE)
    _all_read_only()
    _mount(b"tmpfs", "/run", b"tmpfs", NO_SUID | NO_DEVICES, b"size=1m")  # holds other's sockets
    _mount(b"tmpfs", str(directory), b"tmpfs", NO_SUID | NO_DEVICES, options)
    devices = directory / "dev"
    (devices / "shm").mkdir(parents=True)  # what worker processes of a DataLoader share
    for name in DEVICES:
        (devices / name).touch()
        _mount(f"/dev/{name}".encode(), str(devices / name), b"", BIND)
    _mount(str(devices).encode(), "/dev", b"", BIND | RECURSIVE)
    _mount(b"proc", "/proc", b"proc", READ_ONLY | NO_SUID | NO_DEVICES)
    os.chdir(directory)  # the one that was mounted, not the one that it hides
    _give_up_privileges()


def _mount(what: bytes, where: str, kind: bytes, flags: int, options: bytes = b"") -> None:
    _done(_libc().mount(what, where.encode(), kind, ctypes.c_ulong(flags), options), where)


def _all_read_only() -> None:
    attributes = (ctypes.c_uint64 * 4)(READ_ONLY, 0, 0, 0)  # what to set, to clear, ...
    size = ctypes.c_size_t(ctypes.sizeof(attributes))
    arguments = (MOUNT_SETATTR, HERE, b"/", AND_BELOW, ctypes.byref(attributes), size)
    _done(_libc().syscall(*arguments), "/")


def _give_up_privileges() -> None:
    """This process has root's powers over its own namespaces; without them nothing is undone."""
    libc = _libc()
    for capability in range(64):
        libc.prctl(DROP_FROM_BOUNDING_SET, capability, 0, 0, 0)  # fails for those beyond the last
    header = (ctypes.c_uint32 * 2)(CAPABILITY_VERSION, 0)
    _done(libc.capset(header, (ctypes.c_uint32 * 6)()), "capset")
    _done(libc.prctl(NO_NEW_PRIVILEGES, 1, 0, 0, 0), "prctl")


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def _done(result: int, what: str) -> None:
    if result:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), what)
