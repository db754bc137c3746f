"""What is written goes into a directory of its own: a proof leaves no trace in the user's files.

This file runs where a proof runs, in a fresh process too, and so it imports nothing of `tutorial`.
"""

import builtins
import io
import os
import shutil
import stat
import sys
import tempfile
from collections.abc import Callable
from typing import Any

import torch

# Caches of programs that run here, and what is no file.
NOT_THE_USERS = (
    "/dev/",
    "/proc/",
    os.path.expanduser("~/.cache/"),
    os.path.expanduser("~/.triton/"),
)
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
REAL = {
    name: getattr(os, name)
    for name in ("open", "mkdir", "remove", "rename", "rmdir", "stat", "chmod", "utime")
}
real_open, real_save = builtins.open, torch.save


class OwnFiles:
    """Sends all that this process writes from now on into `folder`, and finds it there again.

    What cannot be sent there, such as a link that is made, is refused with an OSError.
    """

    def __init__(self, folder: str) -> None:
        self.folder = os.path.realpath(folder)
        self.removed: set[str] = set()

    def begin(self) -> None:
        """Replace the functions that write; for good, as long as this process lives."""
        tempfile.tempdir = self.folder
        sys.dont_write_bytecode = True
        builtins.open = io.open = self.open
        torch.save = torch.serialization.save = self.save  # type: ignore[assignment]
        os.open = self.os_open
        os.stat = lambda path, **options: REAL["stat"](self.found(path), **options)
        os.mkdir = self.unless_relative("mkdir", lambda path, *mode: (self.new(path), *mode))
        os.chmod = self.unless_relative("chmod", lambda path, *more: (self.changed(path), *more))
        os.utime = self.unless_relative("utime", lambda path, *more: (self.changed(path), *more))
        os.rmdir = self.unless_relative("rmdir", self.gone)
        os.remove = os.unlink = self.unless_relative("remove", self.gone)
        os.rename = os.replace = self.unless_relative("rename", self.moved)
        sys.addaudithook(self.refuse)

    # ---- where a file is

    def is_free(self, path: Any) -> bool:
        """Whether it may be written where it is."""
        if isinstance(path, int):
            return True
        full = os.path.abspath(os.fsdecode(path))
        inductor = f"{os.sep}torchinductor_" in full  # what torch.compile makes
        return full.startswith((self.folder + os.sep, *NOT_THE_USERS)) or inductor

    def own(self, path: Any) -> str:
        """Where the file is that stands for this one."""
        return self.folder + "/files" + os.path.abspath(os.fsdecode(path))

    def found(self, path: Any) -> Any:
        """Where to read it."""
        if self.is_free(path):
            return path
        own = self.own(path)
        return own if os.path.lexists(own) or own in self.removed else path

    def new(self, path: Any, copied: bool = False) -> Any:
        """Where to write it: its directory is there, if the user's is."""
        if self.is_free(path):
            return path
        own, at = self.own(path), self.found(path)
        REAL["stat"](self.found(os.path.dirname(os.path.abspath(os.fsdecode(path)))))
        self.make(os.path.dirname(own))
        if copied and at != own and os.path.isfile(at):
            with real_open(at, "rb") as old, real_open(own, "wb") as file:
                shutil.copyfileobj(old, file)
        self.removed.discard(own)
        return own

    def make(self, folder: str) -> None:
        """Make a directory of our own, and those above it."""
        if not os.path.lexists(folder):
            self.make(os.path.dirname(folder))
            REAL["mkdir"](folder)

    # ---- what is replaced

    def open(self, file: Any, mode: str = "r", *options: Any, **more: Any) -> Any:
        """Open it where it is now; to write, in our directory."""
        if "opener" in more or len(options) > 5 or isinstance(file, int):
            return real_open(file, mode, *options, **more)
        if set(mode) & set("wax+"):
            if "x" in mode and os.path.exists(file):
                raise FileExistsError(17, "File exists", file)
            return real_open(self.new(file, copied="w" not in mode), mode, *options, **more)
        return real_open(self.found(file), mode, *options, **more)

    def os_open(self, path: Any, flags: int, mode: int = 0o777, *, dir_fd: Any = None) -> int:
        """The same for `os.open`."""
        if dir_fd is not None:
            return int(REAL["open"](path, flags, mode, dir_fd=dir_fd))
        at = self.new(path, copied=not flags & os.O_TRUNC) if flags & WRITING else self.found(path)
        return int(REAL["open"](at, flags, mode))

    def save(self, value: Any, f: Any, *options: Any, **more: Any) -> None:
        """`torch.save`, which else opens the file itself."""
        if isinstance(f, str | os.PathLike):
            with self.open(f, "wb") as file:
                real_save(value, file, *options, **more)
        else:
            real_save(value, f, *options, **more)

    def unless_relative(self, name: str, places: Callable[..., Any]) -> Any:
        """A function of `os` with other places for its paths; not where these are in a dir_fd."""

        def function(*paths: Any, **options: Any) -> None:
            if any(value is not None for key, value in options.items() if key.endswith("dir_fd")):
                REAL[name](*paths, **options)
            elif (there := places(*paths)) is not None:
                REAL[name](*there, **options)

        return function

    def changed(self, path: Any) -> Any:
        """Our copy of a file whose times or rights are to change; an open file has its own."""
        return path if isinstance(path, int) else self.new(path, copied=True)

    def gone(self, path: Any) -> tuple[Any] | None:
        """What to remove: if it is the user's, nothing; it is only not seen any more."""
        at = self.found(path)
        REAL["stat"](at, follow_symlinks=False)  # it must be there
        if self.is_free(path):
            return (path,)
        self.removed.add(self.own(path))
        return (at,) if at == self.own(path) else None

    def moved(self, source: Any, target: Any) -> tuple[Any, Any]:
        """What to move where; the user's own file stays."""
        if self.is_free(source):
            return source, self.new(target)
        own = self.new(source, copied=True)
        self.removed.add(own)
        return own, self.new(target)

    def refuse(self, event: str, arguments: tuple[Any, ...]) -> None:
        """Refuse what would change the user's files all the same."""
        if event in CHANGING:
            path = arguments[CHANGING[event]]
            if event == "open" and not (arguments[2] or 0) & WRITING:
                return
            last = None if event in ("open", "os.truncate") else arguments[-1]
            relative = isinstance(last, int) and last >= 0  # to a directory that is open
            if not relative and not self.is_free(path):
                raise OSError(f"{event} would change {os.fsdecode(path)!r}")


# What tells Python's audit hooks of a change, and which of its arguments is the path.
CHANGING = {
    **dict.fromkeys(("open", "os.mkdir", "os.rmdir", "os.remove", "os.truncate", "os.utime"), 0),
    **dict.fromkeys(("os.chmod", "os.rename", "shutil.rmtree"), 0),
    **dict.fromkeys(("os.link", "os.symlink"), 1),
}


def separate_open_files(folder: str) -> None:
    """In a forked process: each file that was open gets a position of its own.

    One that was open to be written is replaced by a copy.
    """
    import fcntl

    for number in map(int, os.listdir("/proc/self/fd")):
        try:
            if number < 3 or not stat.S_ISREG(os.fstat(number).st_mode):
                continue
            place = os.lseek(number, 0, os.SEEK_CUR)
            flags = fcntl.fcntl(number, fcntl.F_GETFL)
            source = f"/proc/self/fd/{number}"
            if flags & os.O_ACCMODE != os.O_RDONLY:
                source = os.path.join(folder, f"open_{number}")
                shutil.copyfile(os.readlink(f"/proc/self/fd/{number}"), source)
            again = os.open(source, flags & ~(os.O_TRUNC | os.O_EXCL | os.O_CREAT))
            os.lseek(again, place, os.SEEK_SET)
            os.dup2(again, number, os.get_inheritable(number))
            os.close(again)
        except OSError:  # it is gone meanwhile, or cannot be read
            continue
