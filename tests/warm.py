"""Python programs in processes of their own, without the seconds that importing PyTorch takes.

`python warm.py ADDRESS` imports what most programs import, once, and runs each program that it is
given in a fork of itself: with arguments, environment, folder and open files of its own, as if
Python had been started for it. It never imports `tutorial`. `run` gives it a program, and
`python warm.py ADDRESS -f FILE` is a Jupyter kernel that does.
"""

import atexit
import gc
import importlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import ModuleType
from typing import Any, NoReturn

# Not Matplotlib: how it draws is decided when it is imported.
MODULES = ["torch", "torchvision", "libcst", "ipykernel.kernelapp", "ipywidgets"]
# A program that begins with it finds what this process finds; `tutorial`, from this checkout.
AS_USUAL = """
import os, sys
sys.path[:0] = filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))
"""
KERNEL = f"""{AS_USUAL}
from ipykernel import kernelapp
kernelapp.launch_new_instance(parent_handle=os.getppid())
"""
SIGNALS = [signal.SIGINT, signal.SIGTERM]

# ---- who has a program


@contextmanager
def warm_python() -> Iterator[None]:
    """While the block runs there is a warm Python, for this process and those that it starts.

    It is Jupyter's python3 kernel, too. It imports nothing before it is needed.
    """
    with tempfile.TemporaryDirectory() as folder:
        address = f"{folder}/socket"
        kernel = Path(folder, "kernels", "python3", "kernel.json")
        kernel.parent.mkdir(parents=True)
        command = [sys.executable, "-I", "-S", __file__, address, "-f", "{connection_file}"]
        spec = {"argv": command, "display_name": "Python 3", "language": "python"}
        kernel.write_text(json.dumps(spec))
        os.environ["WARM_PYTHON"], os.environ["JUPYTER_PATH"] = address, folder
        # It ends when its input does: however this process ends.
        command = [sys.executable, "-I", __file__, address]
        with subprocess.Popen(command, stdin=subprocess.PIPE) as python:
            assert python.stdin is not None
            yield
            python.stdin.close()


def run(
    code: str, *arguments: str | Path, cwd: str | Path | None = None
) -> "subprocess.CompletedProcess[str]":
    """What a program does: the same as if `python -I -c` had been started for it."""
    argv = ["-c", *map(str, arguments)]
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
        files = [0, out.fileno(), err.fileno()]
        with given(os.environ["WARM_PYTHON"], code, argv, files, cwd) as connection:
            status = int(connection.recv(100))
        out.seek(0)
        err.seek(0)
        return subprocess.CompletedProcess(argv, status, out.read(), err.read())


def be_a_kernel(address: str, *arguments: str) -> int:
    """Stand for a kernel that runs in a fork elsewhere: pass signals on to it; its exit status."""
    argv = ["ipykernel_launcher.py", *arguments]
    connection = given(address, KERNEL, argv, [0, 1, 2])
    for number in SIGNALS:
        signal.signal(number, lambda number, frame: connection.sendall(bytes([number])))
    return int(connection.recv(100))


def given(
    address: str, code: str, argv: list[str], files: list[int], cwd: str | Path | None = None
) -> socket.socket:
    """Give the warm Python a program; the connection to the process that runs it.

    A byte that is sent is a signal for the program; at its end there comes its exit status. When
    the connection is closed, the program is killed.
    """
    connection = socket.socket(socket.AF_UNIX)
    for wait in (0.1,) * 99 + (0,):  # the warm Python may have been started just now
        with suppress(FileNotFoundError, ConnectionRefusedError):
            connection.connect(address)
            break
        time.sleep(wait)
    folder = str(cwd or Path.cwd())
    program = {"code": code, "argv": argv, "environment": {**os.environ}, "folder": folder}
    message = json.dumps(program).encode()
    socket.send_fds(connection, [len(message).to_bytes(4)], files)
    connection.sendall(message)
    return connection


# ---- the warm Python


def serve(address: str) -> dict[str, Any]:
    """Fork for each program that comes; it returns in the forks only, with the program."""
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(address)
        listening.listen()
        while listening in select.select([listening, sys.stdin], [], [])[0]:
            connection, _ = listening.accept()
            for name in MODULES:
                importlib.import_module(name)
            gc.freeze()  # so that a fork shares the memory of what is there
            if os.fork() == 0:
                listening.close()
                return attended(connection)
            connection.close()
            with suppress(ChildProcessError):
                while os.waitpid(-1, os.WNOHANG)[0]:
                    pass
    os._exit(0)


def attended(connection: socket.socket) -> dict[str, Any]:
    """Receive a program and fork once more: here it is returned, there somebody attends it."""
    with connection:
        length, files, _, _ = socket.recv_fds(connection, 4, 3)
        message = connection.recv(int.from_bytes(length), socket.MSG_WAITALL)
        os.setsid()
        child = os.fork()
        if child != 0:
            for number in SIGNALS:
                signal.signal(number, signal.SIG_IGN)
            threading.Thread(target=pass_signals_on, args=(connection,), daemon=True).start()
            status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
            with suppress(BrokenPipeError):
                connection.sendall(str(status).encode())
            os._exit(0)
    for number, file in enumerate(files):
        os.dup2(file, number)
        os.close(file)
    program: dict[str, Any] = json.loads(message)
    return program


def pass_signals_on(connection: socket.socket) -> None:
    """To the program and the processes that it has started."""
    while number := connection.recv(1):
        os.killpg(0, number[0])
    os.killpg(0, signal.SIGKILL)


def become(program: dict[str, Any]) -> NoReturn:
    """Run a program as the main one of this process, which ends with it."""
    os.environ.clear()
    os.environ.update(program["environment"])
    os.chdir(program["folder"])
    sys.argv = program["argv"]
    sys.modules["numpy"].random.seed()  # each process has a chance of its own
    main = sys.modules["__main__"] = ModuleType("__main__")
    status: Any = 0
    try:
        exec(compile(program["code"], "<string>", "exec"), vars(main))
    except SystemExit as end:
        status = end.code or 0
    except BaseException:
        traceback.print_exc()
        status = 1
    atexit._run_exitfuncs()
    sys.stdout.flush()
    os._exit(status)  # at once: to take all modules apart, which are shared, would take a second


if __name__ == "__main__":
    if len(sys.argv) > 2:
        sys.exit(be_a_kernel(*sys.argv[1:]))
    become(serve(sys.argv[1]))
