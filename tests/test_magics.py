"""%load_ext tutorial in a real Jupyter kernel and in IPython's terminal."""

import os
import subprocess
import sys
from typing import Any

import pytest

import tutorial as tl

ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": "", "COLUMNS": "110"}

SETUP = """
import torch, tutorial as tl
from torch import nn
tl.seed(0)
digits = torch.utils.data.TensorDataset(torch.randn(70, 8), torch.arange(70) % 3)
net = nn.Linear(8, 3)
clf = tl.Model(net)
clf.prepare(torch.optim.SGD(net.parameters(), lr=0.1), nn.CrossEntropyLoss())
%load_ext tutorial
"""


class Magics:
    """A kernel that has loaded the magics."""

    def __init__(self, kernel: Any) -> None:
        self.kernel = kernel
        kernel.run(SETUP)

    def run(self, cell: str) -> tuple[list[Any], dict[str, Any]]:
        """What the cell shows, in order: texts, and dicts of MIME types; and its reply."""
        self.kernel.end(self.kernel.start(cell))
        sent = self.kernel.sent("stream", "display_data", "execute_result")
        return [content.get("text") or content["data"] for content in sent], self.kernel.reply

    def value(self, expression: str) -> str:
        """The repr of an expression."""
        return self.kernel.run(f"print(repr({expression}))").strip()


@pytest.fixture(scope="module")
def magics(kernel) -> Magics:
    kernel.attended = False  # the loops print lines
    return Magics(kernel)


def test_a_cell_is_shown_unrolled_and_not_run(magics) -> None:
    weights = magics.value("net.weight.sum().item()")
    shown, reply = magics.run('%%unroll\nprint("here")\nhistory = clf.fit(digits, epochs=2)\n')
    assert reply["status"] == "ok"
    [forms] = shown
    assert forms["text/plain"].startswith('print("here")\n# clf.fit(digits, epochs=2)\n')
    assert forms["text/plain"].endswith("\nhistory = tl.History(step_losses, rows)")
    assert "<span" in forms["text/html"]
    assert "epoch" in forms["text/html"]
    assert magics.value("net.weight.sum().item()") == weights
    assert magics.value("'history' in globals()") == "False"


def test_insert_puts_the_unrolled_cell_into_the_next_one(magics) -> None:
    shown, reply = magics.run("%%unroll --insert\nacc = clf.evaluate(digits)['loss']\n")
    assert not shown
    [payload] = reply["payload"]
    assert payload["source"] == "set_next_input"
    assert payload["replace"] is False
    assert payload["text"].endswith("\nacc = result['loss']\n")
    shown, reply = magics.run(payload["text"] + "\nassert acc == clf.evaluate(digits)['loss']")
    assert reply["status"] == "ok"


def test_run_runs_the_cell_and_says_that_both_are_equal(magics) -> None:
    cell = "history = clf.fit(digits, epochs=2)\nx = 3\nlen(history.rows)"
    shown, _ = magics.run(f"%%unroll --run\n{cell}")
    code, *lines, value, verdict = shown
    assert "for epoch in range(2):" in code["text/plain"]
    assert "epoch 2/2" in "".join(line if isinstance(line, str) else str(line) for line in lines)
    assert value["text/plain"] == "2"
    assert "both do the same" in verdict["text/html"]
    assert verdict["text/plain"].startswith(
        "equal bit for bit: 4 step losses, 4 reported means, 2 weight tensors"
    )
    assert (
        magics.value("(len(history.step_losses), x, 'step_losses' in globals())") == "(4, 3, False)"
    )


def test_an_answer_is_checked(magics) -> None:
    steps = "lambda samples, batch_size, epochs: samples // batch_size"
    [forms] = magics.run(f"%tl_check number_of_steps {steps}")[0]
    assert "Is the short last batch forgotten?" in forms["text/plain"]


def test_diff_shows_both(magics) -> None:
    [forms] = magics.run("%%unroll --diff\nclf.evaluate(digits)\n")[0]
    assert 'role="row"' in forms["text/html"]
    assert "\nclf.evaluate(digits) | # clf.evaluate(digits)\n" in forms["text/plain"]


def test_depth_writes_out_each_call_of_the_cell(magics) -> None:
    cell = "history = clf.fit(digits, epochs=2)\nclf.evaluate(digits)\n"
    [forms] = magics.run(f"%%unroll --depth gradients\n{cell}")[0]
    for code in (forms["text/plain"], forms["text/html"]):
        assert code.count("torch.addmm(b, x, W.T)") == 2
        assert "d_W = " in code
    assert "network(" not in forms["text/plain"]
    assert ".backward()" not in forms["text/plain"]
    assert forms["text/html"].count('type="radio" name="depth"') == 4
    assert 'value="gradients" checked' in forms["text/html"]
    [forms] = magics.run("%unroll --diff --depth optimizer clf.fit(digits)")[0]
    assert "weight.add_(gradient, alpha=-0.1)" in forms["text/plain"]
    assert 'role="row"' in forms["text/html"]
    shown, reply = magics.run("%%unroll --insert --depth=optimizer\nclf.fit(digits)")
    assert not shown
    assert "weight.add_(gradient, alpha=-0.1)" in reply["payload"][0]["text"]


def test_in_numpy_each_call_is_shown_as_a_program_of_its_own(magics) -> None:
    shown, _ = magics.run("%%unroll --depth numpy\nclf.fit(digits)\nclf.evaluate(digits)\n")
    assert len(shown) == 2
    for forms in shown:
        assert "torch" not in forms["text/plain"]
        assert " @ W.T" in forms["text/plain"]
        assert 'value="numpy" checked' in forms["text/html"]


def test_a_replay_shows_the_first_steps_and_nothing_moves(magics) -> None:
    state = "(net.weight.sum().item(), torch.rand(1, generator=torch.Generator().set_state("
    state += "torch.get_rng_state())).item(), 'history' in globals())"
    before = magics.value(state)
    cell = "tl.seed(3)\nhistory = clf.fit(digits, epochs=2, batch_size=16)\nclf.evaluate(digits)"
    [forms] = magics.run(f"%%replay --steps 3\n{cell}")[0]
    assert "Replay of <code>clf.fit(" in forms["text/html"] or "fit(" in forms["text/html"]
    assert "<script" in forms["text/html"]
    assert magics.value(state) == before
    magics.kernel.run(
        "from tutorial.notebook.cell import replay_cell\n"
        f"replay = replay_cell({cell!r}, globals(), steps=3)\n"
        "shown = replay.at(len(replay) - 1)['step_losses']['text']\n"
        "tl.seed(3); real = clf.fit(digits, epochs=2, batch_size=16, verbose=0).step_losses[:3]"
    )
    assert magics.value('shown == f\'[{", ".join(f"{loss:.4g}" for loss in real)}]\'') == "True"


@pytest.mark.parametrize("depth", ["optimizer", "gradients", "numpy"])
def test_a_replay_goes_to_each_depth(magics, depth) -> None:
    [forms] = magics.run(f"%replay --depth {depth} --steps 1 clf.fit(digits)")[0]
    assert "weight" in forms["text/plain"]
    assert "loss.backward()" not in forms["text/plain"] or depth == "optimizer"


def test_one_line(magics) -> None:
    """Braces and dollars are code here, not IPython's own."""
    [forms] = magics.run("%unroll acc = {'{x}': clf.evaluate(digits)}  # $x")[0]
    assert forms["text/plain"].endswith("\nacc = {'{x}': result}  # $x")


@pytest.mark.parametrize(
    ("cell", "message"),
    [
        ("%%unroll\nprint(clf)", "%%unroll: there is no call of a Model in this cell."),
        (
            "%%unroll\nclf.fit(digits, epochs=0)",
            "%%unroll: line 1, `clf.fit(digits, epochs=0)`: epochs",
        ),
        ("%%unroll --depth deep\nclf.fit(digits)", "%%unroll: line 1, `clf.fit(digits)`: depth"),
        (
            "%%unroll --insert --depth numpy\nclf.fit(digits)",
            "%%unroll: in NumPy each call is a program of its own, so no cell is put together",
        ),
        ("%%unroll --depth\nclf.fit(digits)", "argument --depth: expected one argument"),
        (
            "%%unroll --run --depth gradients\nclf.fit(digits)",
            "%%unroll: --run compares with the call itself",
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
        ("%replay", "%replay: give a call, such as %replay model.fit(train_data)"),
        ("%%replay --call 2\nclf.fit(digits)", "%%replay: call is 2, but the cell's calls"),
        ("%%replay --steps 0\nclf.fit(digits)", "%%replay: line 1: steps is 0"),
        ("%%replay\nprint(clf)", "%%replay: there is no call of a Model in this cell."),
        ("%tl_check 3", "%tl_check: give the name of an exercise and your answer"),
        ("%tl_check no_such_exercise 3", "%tl_check: "),
    ],
)
def test_what_is_wrong_is_said_in_one_line_without_a_traceback(magics, cell, message) -> None:
    reply = magics.run(cell)[1]
    assert reply["ename"] == "UsageError"
    assert reply["evalue"].startswith(message)
    assert len(reply["evalue"].splitlines()) == 1


def test_an_error_of_the_cell_is_its_own_and_nothing_is_said_of_equality(magics) -> None:
    shown, _ = magics.run("%%unroll --run --insert\nclf.evaluate(digits)\n1 / 0")
    assert "equal" not in str(shown)
    assert magics.value("tl.Model.fit.__module__") == "'tutorial.model'"


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
