"""An interrupt may come at any moment: the model is whole afterwards, and goes on.

The interrupts are real: signals to another process (this file as a script), and the stop button of
a real Jupyter kernel. Both check themselves what they find afterwards: see `Interrupted`.
"""

import json
import math
import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch.utils.data import TensorDataset

import tutorial as tl
from tutorial import callbacks as cb
from tutorial.display import Report
from tutorial.saving import checkpoint

ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}


class Interrupted:
    """A model that is trained again and again, and what was found after each interrupt.

    Attributes:
        found: how often a fit ended in which way.
        faults: what was not as it should be; empty if all is well.
    """

    verbose = 0
    usual: Any = signal.default_int_handler  # what handles interrupts elsewhere

    def __init__(self, folder: str) -> None:
        tl.seed(0)
        x = torch.randn(150, 8)
        self.data = TensorDataset(x, (x @ torch.randn(8, 3)).argmax(1))
        self.folder = Path(folder)
        self.network = nn.Sequential(
            nn.Linear(8, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Dropout(0.1), nn.Linear(16, 3)
        )
        self.model = tl.Model(self.network)
        self.model.prepare(
            torch.optim.Adam(self.network.parameters(), lr=0.002),
            nn.CrossEntropyLoss(),
            tl.metrics.Accuracy(),
        )
        self.found: Counter[str] = Counter()
        self.faults: list[str] = []
        self.last: Any = None
        self.fit(1)  # what is done once is done now
        self.before = self.state(), self.updates(), self.flushing()
        self.last = None

    def fit(self, epochs: int) -> Any:
        self.last, self.asked = None, epochs
        self.last = self.model.fit(
            self.data,
            self.data,
            batch_size=32,
            epochs=epochs,
            save_dir=self.folder,
            callbacks=cb.EarlyStopping(patience=10**6, verbose=0, restore_best=False),
            verbose=self.verbose,
        )
        return self.last

    def next(self) -> None:
        """A fit that is interrupted; every fifth is so short that it may end before."""
        number = sum(self.found.values())
        self.verbose = number % 3
        self.fit(3 if number % 5 == 4 else 500)

    def state(self) -> list[torch.Tensor]:
        return [value.clone() for value in self.network.state_dict().values()]

    def flushing(self) -> bool:
        return bool(torch.tensor(1e-39) * 1.0 == 0)

    def updates(self) -> int:
        """How often the weights were updated; a fault if not all were updated equally often."""
        counts = {int(state["step"]) for state in self.model.optimizer.state.values()}
        self.expect(len(counts) < 2, f"numbers of updates: {counts}")
        return max(counts, default=0)

    def expect(self, right: bool, fault: str) -> None:
        if not right:
            self.faults.append(f"{sum(self.found.values())}: {fault}")

    def check(self, raised: bool) -> None:
        """See what an interrupt left behind.

        Args:
            raised: the last fit did not return, but raised KeyboardInterrupt.
        """
        state, updates, flushing = self.before
        done = self.updates() - updates
        how = "raised" if raised else "interrupted" if self.last.interrupted else "finished"
        if raised:
            changed = any(not torch.equal(a, b) for a, b in zip(state, self.state(), strict=True))
            # It may also come when fit is over, and before its result has a name here.
            over = done == 5 * self.asked
            self.expect(over or not (done or changed), f"it raised, but {done} steps were trained")
        else:
            steps, rows = len(self.last.step_losses), len(self.last.rows)
            self.expect(done == steps, f"{done} updates, but {steps} losses")
            self.expect(steps // 5 - 1 <= rows <= steps // 5, f"{steps} steps, but {rows} rows")
            self.expect(self.last.interrupted or rows == self.asked, f"ended after {rows} epochs")
            self.expect(all(map(math.isfinite, self.last.step_losses)), "a loss is not finite")
        self.expect(all(w.grad is None for w in self.network.parameters()), "a gradient is left")
        self.expect(all(bool(v.isfinite().all()) for v in self.state()), "weights are not finite")
        self.expect(self.flushing() == flushing, "the flushing of denormals is left changed")
        handler = signal.getsignal(signal.SIGINT)
        self.expect(handler in (signal.default_int_handler, self.usual), f"handler {handler}")
        for path in self.folder.iterdir():
            self.expect(path.suffix == ".pt", f"{path.name} is left")
        self.found[how] += 1
        self.before = self.state(), self.updates(), self.flushing()
        self.last = None  # the next interrupt may come before the next fit begins

    def files(self) -> None:
        """Look whether all files are whole; a new training writes its own ones."""
        for path in self.folder.iterdir():
            try:
                checkpoint.read(path)
            except ValueError as error:
                self.expect(False, str(error))
            path.unlink()

    def report(self) -> str:
        """What was found, at last, and whether the model learns as ever."""
        self.verbose = 0
        rows = self.fit(epochs=30).rows
        self.expect(not self.last.interrupted, "a later fit is called interrupted")
        self.expect(rows[-1]["eval_loss"] < rows[0]["eval_loss"] + 0.01, "it does not learn")
        self.expect(rows[-1]["eval_acc"] > 0.9, f"it learned little: {rows[-1]}")
        return json.dumps({"found": self.found, "faults": self.faults})


COUNT = 50


def delays(seed: int) -> list[float]:
    """Random moments, in seconds from the start of a cell or a fit."""
    return (0.3 * torch.rand(COUNT, generator=torch.Generator().manual_seed(seed))).tolist()


# ---- signals


def interrupt_often(folder: str) -> None:
    """Interrupt fits, each at a moment of its own; print what was found."""
    torch.set_num_threads(1)
    self = Interrupted(folder)
    for delay in delays(seed=0):
        raised = False
        timer = threading.Timer(delay, os.kill, (os.getpid(), signal.SIGINT))
        try:
            timer.start()
            self.next()
            timer.join()  # it may come only now
            time.sleep(0.01)
        except KeyboardInterrupt:
            raised = self.last is None
        timer.join()
        self.check(raised)
        self.files()
    print("\n" + self.report())


def look_at(report: str) -> None:
    """See that nothing is wrong, and that most interrupts came where they were meant to come."""
    noted = json.loads(report.splitlines()[-1])
    assert not noted["faults"], noted
    assert sum(noted["found"].values()) == COUNT
    assert noted["found"]["interrupted"] > COUNT / 2


@pytest.mark.slow
def test_signals_at_random_moments(tmp_path) -> None:
    ran = subprocess.run(
        [sys.executable, "-W", "error", __file__, tmp_path],
        env=ENVIRONMENT,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert ran.returncode == 0
    look_at(ran.stdout)


def test_an_interrupt_as_the_display_closes_loses_no_history(data, make_model) -> None:
    class Closing(Report):
        def close(self, how: str = "done") -> None:
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(0.05)

    model = make_model()
    try:
        history = model.unroll("fit", data).run(Closing())
    except KeyboardInterrupt:
        pytest.fail("the history is lost")
    assert history.interrupted
    assert len(history.rows) == 1
    assert all(weight.grad is None for weight in model.parameters())
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


TWICE = """
import os, signal, sys, time
import torch, tutorial as tl
from torch import nn
class Endless(nn.Linear):
    def forward(self, x):
        if self.training:
            print("now", flush=True)
            while True:
                time.sleep(0.01)
        return super().forward(x)
model = tl.Model(Endless(2, 2))
model.prepare(torch.optim.Adam(model.parameters()), nn.CrossEntropyLoss())
data = torch.utils.data.TensorDataset(torch.zeros(4, 2), torch.zeros(4).long())
history = model.fit(data, verbose=0, num_workers=int(sys.argv[1]))
assert history.interrupted and history.step_losses == []
assert all(weight.grad is None for weight in model.parameters())
assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
print("ended")
"""


def test_a_second_interrupt_ends_a_step_that_does_not_end() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", TWICE, "0"], env=ENVIRONMENT, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout.readline() == "now\n"
        process.send_signal(signal.SIGINT)
        time.sleep(0.3)
        assert process.poll() is None  # it waits for the end of the step
        process.send_signal(signal.SIGINT)
        assert process.stdout.read() == "ended\n"


WORKERS = """
import os, sys, time
import torch, tutorial as tl
from torch import nn
class Slow(torch.utils.data.Dataset):
    def __len__(self):
        return 40
    def __getitem__(self, i):
        time.sleep(0.02)
        return torch.randn(2), 1
model = tl.Model(nn.Linear(2, 2))
model.prepare(torch.optim.Adam(model.parameters()), nn.CrossEntropyLoss())
step = tl.callbacks.LambdaCallback(on_train_batch_end=lambda step, logs: print(step, flush=True))
for _ in range(2):
    history = model.fit(Slow(), batch_size=4, epochs=9, num_workers=2, verbose=0, callbacks=step)
    assert history.interrupted
    updates = {int(state["step"]) for state in model.optimizer.state.values()}
    print("ended", len(history.step_losses), *updates, flush=True)
"""


def test_ctrl_c_reaches_the_workers_too() -> None:
    """A terminal interrupts all processes at once."""
    with subprocess.Popen(
        [sys.executable, "-c", WORKERS],
        env=ENVIRONMENT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        updates = 0
        for _ in range(2):
            while process.stdout.readline() != "3\n":
                assert process.poll() is None
            time.sleep(0.03)
            os.killpg(process.pid, signal.SIGINT)
            while not (line := process.stdout.readline()).startswith("ended"):
                assert process.poll() is None, process.stderr.read()
            steps, *counts = map(int, line.split()[1:])
            updates += steps
            assert 4 <= steps <= 7
            assert counts == [updates]
        assert process.wait() == 0
        assert process.stderr.read() == ""


# ---- a Jupyter kernel

SETUP = """
import importlib.util, signal
spec = importlib.util.spec_from_file_location("test_interrupts", {file!r})
tests = importlib.util.module_from_spec(spec)
spec.loader.exec_module(tests)
usual = signal.getsignal(signal.SIGINT)
tests.torch.set_num_threads(1)
self = tests.Interrupted({folder!r})
self.usual = usual
"""


def test_the_stop_button_at_random_moments(kernel, tmp_path) -> None:
    kernel.run(SETUP.format(file=__file__, folder=str(tmp_path)))
    for delay in delays(seed=1):
        request = kernel.start("self.next()")
        time.sleep(delay)
        kernel.manager.interrupt_kernel()
        error, output = kernel.end(request)
        assert error in ("", "KeyboardInterrupt"), output
        kernel.run("self.check(raised=self.last is None); self.files()")
    look_at(kernel.run("print(self.report())"))
    assert kernel.manager.is_alive()


if __name__ == "__main__":
    interrupt_often(sys.argv[1])
