"""CONTRIBUTING.md keeps its word: its example really adds an option to fit."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
TEXT = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
STEP = r"^`([\w/.]+)`, (?:(after|in place of) `(.+?)`|a new file):\n\n```python\n(.*?)```"
STEPS = re.findall(STEP, TEXT, re.MULTILINE | re.DOTALL)

TRAINS = """
import torch, tutorial as tl
from torch import nn
from torch.utils.data import TensorDataset

def parts():
    tl.seed(1)
    network = nn.Linear(4, 3)
    data = TensorDataset(10 * torch.randn(40, 4), torch.randint(3, (40,)))
    return network, torch.optim.SGD(network.parameters(), lr=0.1), data

network, optimizer, data = parts()
model = tl.Model(network)
model.prepare(optimizer, nn.CrossEntropyLoss())
call = {"batch_size": 10, "shuffle": False, "verbose": 0, "clip_grad_value": 0.05}
print(model.unroll("fit", data, **call))
model.fit(data, **call)

by_hand, optimizer, data = parts()
for x, y in zip(data.tensors[0].split(10), data.tensors[1].split(10)):
    nn.functional.cross_entropy(by_hand(x), y).backward()
    nn.utils.clip_grad_value_(by_hand.parameters(), 0.05)
    optimizer.step()
    optimizer.zero_grad()
assert torch.allclose(by_hand.weight, network.weight, atol=1e-7)
model.prepare(torch.optim.Adam(network.parameters()), nn.CrossEntropyLoss(), precision="16-mixed")
model.fit(data, clip_grad_value=0.1, clip_grad_norm=1.0, accumulate_grad_batches=2, verbose=0)
try:
    model.fit(data, clip_grad_value=0)
except ValueError as error:
    print(error)
assert "clip_grad_value: limit each number" in tl.Model.fit.__doc__
"""


def test_the_example_adds_an_option(tmp_path: Path) -> None:
    """Each step is done on a copy of the library, which then trains with the new option."""
    assert len(STEPS) == 8
    shutil.copytree(
        ROOT / "tutorial", tmp_path / "tutorial", ignore=shutil.ignore_patterns("mnist", "lab")
    )
    for file, how, where, code in STEPS:
        path = tmp_path / file
        if not how:
            path.write_text(code, encoding="utf-8")
            continue
        lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
        [place] = [i for i, line in enumerate(lines) if line.strip().startswith(where)]
        path.write_text(
            "".join([*lines[: place + (how == "after")], code, *lines[place + 1 :]]),
            encoding="utf-8",
        )
    ran = subprocess.run(
        [sys.executable, "-c", TRAINS],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
    )
    assert ran.returncode == 0, ran.stderr
    assert "nn.utils.clip_grad_value_(network.parameters(), 0.05)\n" in ran.stdout
    assert "clip_grad_value is 0, but a finite number above 0 is expected, or None." in ran.stdout
