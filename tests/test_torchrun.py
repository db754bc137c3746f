"""The same script, unchanged, under torchrun: on one host, after a failure, and on two hosts."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

# tl.launch calls what torchrun calls: test_processes.py and test_equality.py are the quick way.
pytestmark = pytest.mark.slow

SCRIPT = """
import os, sys, torch, tutorial as tl
from tutorial.distributed.process_group import is_rank_zero
from torch import nn
from tutorial.callbacks import LambdaCallback

folder, dies_at = sys.argv[1], int(sys.argv[2])

def die(step, logs):
    ours = os.environ.get("RANK") == "1" and os.environ["TORCHELASTIC_RESTART_COUNT"] == "0"
    if ours and len(steps) == dies_at:
        os.kill(os.getpid(), 9)
    steps.append(step)

steps = []
tl.seed(0)
x = torch.randn(1000, 20).double()
data = torch.utils.data.TensorDataset(x, x[:, :10].argmax(1))
network = nn.Sequential(nn.Linear(20, 16), nn.ReLU(), nn.Linear(16, 10)).double()
model = tl.Model(network)
model.prepare(torch.optim.Adam(model.parameters()), nn.CrossEntropyLoss(), tl.metrics.Accuracy())
size = 64 // int(os.environ.get("WORLD_SIZE", 1))
spy = LambdaCallback(on_train_batch_begin=die)
options = dict(batch_size=size, epochs=3, callbacks=spy, save_dir=folder + "/saved", resume=True)
program = model.unroll("fit", data, batch_size=size, epochs=3)
program.save(folder + "/alone.py")
history = model.fit(data, **options)
if is_rank_zero():
    torch.save([history.step_losses, network.state_dict()], folder + "/result.pt")
"""


def torchrun(*arguments: Any, at: tuple[str, ...] = (), **env: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [*at, sys.executable, "-m", "torch.distributed.run", *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": os.getcwd(), **env},
    )


def finished(process: subprocess.Popen[str]) -> tuple[str, str]:
    try:
        out, err = process.communicate(timeout=120)
    finally:
        process.kill()
    return out, err


@pytest.fixture
def script(tmp_path: Path) -> Path:
    path = tmp_path / "train.py"
    path.write_text(SCRIPT)
    return path


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """What one process computes, which torchrun did not start."""
    folder = tmp_path_factory.mktemp("alone")
    (folder / "train.py").write_text(SCRIPT)
    subprocess.run(
        [sys.executable, folder / "train.py", folder, "-1"],
        check=True,
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": os.getcwd()},
    )
    return torch.load(folder / "result.pt")


def assert_as_alone(folder: Path, alone: Any) -> None:
    torch.testing.assert_close(torch.load(folder / "result.pt"), alone, rtol=0, atol=1e-10)


def test_the_same_script_and_its_unrolled_loop(script: Path, alone: Any) -> None:
    folder = script.parent
    process = torchrun("--standalone", "--nproc-per-node=2", script, folder, -1)
    out, err = finished(process)
    assert process.returncode == 0, err
    assert_as_alone(folder, alone)
    assert out.count("epoch 3/3: loss") == 1  # one of them shows
    # And the loop that ran, alone: the script that program.save wrote never imports tutorial.
    text = (folder / "alone.py").read_text()
    assert "import tutorial" not in text
    assert 'dist.init_process_group("gloo")' in text
    with open(folder / "alone.py", "a") as file:
        file.write(f'\nif rank == 0:\n    torch.save(step_losses, "{folder}/losses.pt")\n')
        file.write("dist.destroy_process_group()\n")
    process = torchrun("--standalone", "--nproc-per-node=2", folder / "alone.py")
    out, err = finished(process)
    assert process.returncode == 0, err
    assert torch.load(folder / "losses.pt") == torch.load(folder / "result.pt")[0]  # in every bit


def test_a_killed_worker_ends_the_job_and_a_restart_goes_on(script: Path, alone: Any) -> None:
    folder = script.parent
    process = torchrun(
        *("--standalone", "--nproc-per-node=2", "--max-restarts=1", script, folder, 20)
    )
    out, err = finished(process)
    assert process.returncode == 0, err
    assert "Signal 9 (SIGKILL)" in err or "exitcode: -9" in err
    assert out.count("epoch 1/3: loss") == 1  # not trained again
    assert out.count("epoch 3/3: loss") == 1
    assert_as_alone(folder, alone)


def test_without_a_restart_the_job_ends_with_a_clear_error(script: Path) -> None:
    process = torchrun("--standalone", "--nproc-per-node=2", script, script.parent, 20)
    out, err = finished(process)
    assert process.returncode != 0
    assert "Signal 9 (SIGKILL)" in err
    assert "rank      : 1" in err
    assert "epoch 3/3" not in out
    assert (script.parent / "saved/0.pt").exists()  # to go on from


@pytest.fixture
def hosts() -> Iterator[list[str]]:
    """Two hosts: network namespaces, joined by a cable."""
    if shutil.which("ip") is None or os.geteuid() != 0:
        pytest.skip("two hosts on one machine need root and the command ip")
    names = [f"tutorial-{os.getpid()}-{i}" for i in range(2)]
    made = subprocess.run(["ip", "netns", "add", names[0]], capture_output=True, text=True)
    if made.returncode != 0:
        pytest.skip(f"this machine allows no network namespaces: {made.stderr.strip()}")
    try:
        subprocess.run(["ip", "netns", "add", names[1]], check=True)
        cable = ["ip", "link", "add", "cable", "netns", names[0], "type", "veth", "peer", "name"]
        subprocess.run([*cable, "cable", "netns", names[1]], check=True)
        for i, name in enumerate(names):
            inside = ["ip", "-n", name]
            subprocess.run([*inside, "addr", "add", f"10.77.0.{i + 1}/24", "dev", "cable"])
            subprocess.run([*inside, "link", "set", "cable", "up"], check=True)
            subprocess.run([*inside, "link", "set", "lo", "up"], check=True)
        yield names
    finally:
        for name in names:
            subprocess.run(["ip", "netns", "del", name], capture_output=True)


def test_two_hosts(script: Path, hosts: list[str], alone: Any) -> None:
    folders = [script.parent / host for host in hosts]  # they share no file
    running = []
    for i, (host, folder) in enumerate(zip(hosts, folders, strict=True)):
        folder.mkdir()
        options = ("--nnodes=2", f"--node-rank={i}", "--nproc-per-node=1")
        where = ("--master-addr=10.77.0.1", "--master-port=29511")
        inside = ("ip", "netns", "exec", host)
        arguments = (*options, *where, script, folder, -1)
        running.append(torchrun(*arguments, at=inside, GLOO_SOCKET_IFNAME="cable"))
    said = [finished(process) for process in running]
    assert [process.returncode for process in running] == [0, 0], said
    assert_as_alone(folders[0], alone)
    assert said[0][0].count("epoch 3/3: loss") == 1
    assert "epoch" not in said[1][0]
    assert (folders[0] / "saved/final.pt").exists()
    assert list((folders[1]).iterdir()) == []
