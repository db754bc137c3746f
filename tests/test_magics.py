"""%load_ext tutorial in a real Jupyter kernel and in IPython's terminal."""

import os
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import jupyter_client
import pytest

import tutorial as tl

ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": "", "COLUMNS": "110"}

SETUP = """
import torch, tutorial as tl
from torch import nn
from torch.utils.data import BatchSampler, DataLoader, RandomSampler, SequentialSampler
tl.seed(0)
digits = torch.utils.data.TensorDataset(torch.randn(70, 8), torch.arange(70) % 3)
net = nn.Linear(8, 3)
clf = tl.Model(net)
clf.prepare(torch.optim.SGD(net.parameters(), lr=0.1), nn.CrossEntropyLoss())
%load_ext tutorial
"""


class Kernel:
    """A Jupyter kernel, in a process of its own."""

    def __init__(self, client: Any) -> None:
        self.client = client

    def run(self, cell: str) -> tuple[list[Any], dict[str, Any]]:
        """What the cell shows, in order: texts, and dicts of MIME types; and its reply."""
        shown: list[Any] = []

        def see(message: dict[str, Any]) -> None:
            content = message["content"]
            if message["msg_type"] == "stream":
                shown.append(content["text"])
            elif "data" in content:
                shown.append(content["data"])

        reply = self.client.execute_interactive(cell, timeout=60, output_hook=see)["content"]
        return shown, reply

    def value(self, expression: str) -> str:
        """The repr of an expression."""
        return self.run(f"print(repr({expression}))")[0][0].strip()


@pytest.fixture(scope="module")
def kernel() -> Iterator[Kernel]:
    manager = jupyter_client.KernelManager(kernel_name="python3")
    manager.start_kernel(env=ENVIRONMENT, stderr=subprocess.DEVNULL)
    client = manager.client()
    client.start_channels()
    try:
        client.wait_for_ready(timeout=60)
        kernel = Kernel(client)
        assert kernel.run(SETUP)[1]["status"] == "ok"
        yield kernel
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)


def test_a_cell_is_shown_unrolled_and_not_run(kernel) -> None:
    weights = kernel.value("net.weight.sum().item()")
    shown, reply = kernel.run('%%unroll\nprint("here")\nhistory = clf.fit(digits, epochs=2)\n')
    assert reply["status"] == "ok"
    [forms] = shown
    assert forms["text/plain"].startswith('print("here")\n# clf.fit(digits, epochs=2)\n')
    assert forms["text/plain"].endswith("\nhistory = tl.History(step_losses, rows)")
    assert "<span" in forms["text/html"]
    assert "epoch" in forms["text/html"]
    assert kernel.value("net.weight.sum().item()") == weights
    assert kernel.value("'history' in globals()") == "False"


def test_insert_puts_the_unrolled_cell_into_the_next_one(kernel) -> None:
    shown, reply = kernel.run("%%unroll --insert\nacc = clf.evaluate(digits)['loss']\n")
    assert not shown
    [payload] = reply["payload"]
    assert payload["source"] == "set_next_input"
    assert payload["replace"] is False
    assert payload["text"].endswith("\nacc = result['loss']\n")
    shown, reply = kernel.run(payload["text"] + "\nassert acc == clf.evaluate(digits)['loss']")
    assert reply["status"] == "ok"


def test_run_runs_the_cell_and_says_that_both_are_equal(kernel) -> None:
    cell = "history = clf.fit(digits, epochs=2)\nx = 3\nlen(history.rows)"
    shown, _ = kernel.run(f"%%unroll --run\n{cell}")
    code, *lines, value, verdict = shown
    assert "for epoch in range(2):" in code["text/plain"]
    assert "epoch 2/2" in "".join(line if isinstance(line, str) else str(line) for line in lines)
    assert value["text/plain"] == "2"
    assert verdict.startswith(
        "equal bit for bit: 4 step losses, 4 reported means, 2 weight tensors"
    )
    assert (
        kernel.value("(len(history.step_losses), x, 'step_losses' in globals())") == "(4, 3, False)"
    )


def test_diff_shows_both(kernel) -> None:
    [forms] = kernel.run("%%unroll --diff\nclf.evaluate(digits)\n")[0]
    assert 'role="row"' in forms["text/html"]
    assert "\nclf.evaluate(digits) | # clf.evaluate(digits)\n" in forms["text/plain"]


def test_one_line(kernel) -> None:
    """Braces and dollars are code here, not IPython's own."""
    [forms] = kernel.run("%unroll acc = {'{x}': clf.evaluate(digits)}  # $x")[0]
    assert forms["text/plain"].endswith("\nacc = {'{x}': result}  # $x")


@pytest.mark.parametrize(
    ("cell", "message"),
    [
        ("%%unroll\nprint(clf)", "%%unroll: there is no call of a Model in this cell."),
        (
            "%%unroll\nclf.fit(digits, epochs=0)",
            "%%unroll: line 1, `clf.fit(digits, epochs=0)`: epochs",
        ),
        ("%%unroll --wrong\nclf.fit(digits)", "unrecognized arguments: --wrong"),
        (
            "%%unroll clf\nclf.fit(digits)",
            "%%unroll: clf is no option; the code stands in the lines",
        ),
        ("%unroll", "%unroll: give a call, such as %unroll model.fit(train_data)"),
        ("%unroll clf.fit(", "%unroll: line 1: '(' was never closed: clf.fit("),
        (
            "%unroll --run clf.fit(digits, save_dir='x')",
            "%unroll: line 1: the cell would be run twice",
        ),
        ("%tl_check 3", "%tl_check is reserved for the exercises of the lessons"),
    ],
)
def test_what_is_wrong_is_said_in_one_line_without_a_traceback(kernel, cell, message) -> None:
    reply = kernel.run(cell)[1]
    assert reply["ename"] == "UsageError"
    assert reply["evalue"].startswith(message)
    assert len(reply["evalue"].splitlines()) == 1


def test_an_error_of_the_cell_is_its_own_and_nothing_is_said_of_equality(kernel) -> None:
    shown, _ = kernel.run("%%unroll --run --insert\nclf.evaluate(digits)\n1 / 0")
    assert "equal" not in str(shown)
    assert kernel.value("tl.Model.fit.__module__") == "'tutorial.model'"


def test_in_ipythons_terminal(tmp_path) -> None:
    typed = f"""{SETUP}
%unroll --run loss = clf.evaluate(digits)['loss']
%unroll --diff clf.evaluate(digits)
%unroll 3
"""
    ran = subprocess.run(
        [sys.executable, "-m", "IPython", "--simple-prompt", "--no-banner", "--colors=NoColor"],
        input=typed,
        capture_output=True,
        text=True,
        env={**ENVIRONMENT, "IPYTHONDIR": str(tmp_path)},
    )
    assert "loss = result['loss']\n" in ran.stdout
    assert "equal bit for bit: 1 reported means, 2 weight tensors, " in ran.stdout
    assert "as written           | unrolled: what runs\n" in ran.stdout
    assert (
        "UsageError: %unroll: there is no call of a Model in this cell." in ran.stdout + ran.stderr
    )
    assert "Traceback" not in ran.stdout + ran.stderr


def test_import_tutorial_needs_no_ipython() -> None:
    code = (
        "import sys, tutorial; assert 'IPython' not in sys.modules; tutorial.load_ipython_extension"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
    assert callable(tl.load_ipython_extension)
