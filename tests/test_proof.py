"""A proof leaves no trace, and says where two runs first differ."""

import copy
import os
import random
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import warm
from torch import nn
from torch.utils.data import DataLoader, Dataset, TensorDataset

import tutorial as tl
from tutorial.device import rng_state
from tutorial.unroll import program
from tutorial.unroll.proof import first_difference, flat, identical, run_copy

X = torch.arange(48.0).reshape(12, 4) / 48
Y = torch.arange(12) % 3


def made(network: Any = None) -> tl.Model:
    tl.seed(0)
    network = network or nn.Sequential(nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, 3))
    model = tl.Model(network)
    model.prepare(torch.optim.SGD(network.parameters(), lr=0.1), nn.CrossEntropyLoss())
    return model


# ---- no trace


class Appends(tl.callbacks.Callback):
    """A log of one's own."""

    def __init__(self, file: str) -> None:
        self.file = file

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        with open(self.file, "a") as file:
            file.write(f"{epoch}\n")


class Arranges(tl.callbacks.Callback):
    """It makes directories, writes, reads again, moves and removes."""

    def __init__(self, folder: str) -> None:
        self.folder = folder

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        place = Path(self.folder, "made", str(epoch))
        place.mkdir(parents=True, exist_ok=True)
        torch.save(self.model.network.state_dict(), place / "weights.pt")
        torch.load(place / "weights.pt", weights_only=True)
        os.replace(place / "weights.pt", place.parent / "newest.pt")
        (place.parent / "newest.pt").rename(place / "kept.pt")
        assert (place / "kept.pt").exists() and not (place.parent / "newest.pt").exists()
        Path(self.folder, "there.txt").unlink(missing_ok=True)


class Links(tl.callbacks.Callback):
    """What is not sent elsewhere is refused."""

    def __init__(self, folder: str) -> None:
        self.folder = folder

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        os.symlink(self.folder, os.path.join(self.folder, "link"))


class Counts(Dataset):
    """Its samples depend on all that can be a state, and an open file is one."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.read = 0
        self.rng = np.random.default_rng(0)
        self.flips = random.Random(0)

    def __len__(self) -> int:
        return len(X)

    def __getitem__(self, i: int) -> Any:
        self.read += 1
        moved = self.rng.random() + self.flips.random() + np.random.rand() + random.random()
        return X[i] + moved + self.read / 1000, Y[i]


def files_in(folder: Path) -> dict[str, str]:
    return {str(path.relative_to(folder)): path.read_text() for path in folder.rglob("*.txt")}


@pytest.mark.parametrize("kind", [Appends, Arranges])
def test_a_callbacks_files_are_as_before(kind: Any, tmp_path) -> None:
    (tmp_path / "there.txt").write_text("before\n")
    place = tmp_path / "there.txt" if kind is Appends else tmp_path
    proof = made().unroll("fit", TensorDataset(X, Y), epochs=2, callbacks=[kind(str(place))])
    assert proof.verify()
    assert [path.name for path in tmp_path.rglob("*")] == ["there.txt"]
    assert files_in(tmp_path) == {"there.txt": "before\n"}


def test_what_cannot_be_kept_apart_is_refused_with_its_file(tmp_path) -> None:
    program = made().unroll("fit", TensorDataset(X, Y), callbacks=[Links(str(tmp_path))])
    with pytest.raises(ValueError, match=r"os\.symlink would change .*link.*nothing was written"):
        program.verify()
    assert list(tmp_path.iterdir()) == []


class Reads(Counts):
    """It reads on in a file that is open."""

    def __init__(self, path: str) -> None:
        super().__init__(path)
        self.file = open(path)  # noqa: SIM115

    def __getitem__(self, i: int) -> Any:
        x, y = super().__getitem__(i)
        return x + float(self.file.readline()), y


def state_of(data: Counts, model: tl.Model) -> dict[str, Any]:
    return {
        "random": rng_state(),
        "data": [data.read, data.rng.bit_generator.state, data.flips.getstate()],
        "network": model.network.state_dict(),
        "optimizer": model.optimizer.state_dict(),
    }


def test_data_generators_and_open_files_are_as_before(tmp_path) -> None:
    (tmp_path / "numbers.txt").write_text("".join(f"{i}\n" for i in range(9999)))
    data, model = Reads(str(tmp_path / "numbers.txt")), made()
    program = model.unroll("fit", data, epochs=2, batch_size=4)
    before = copy.deepcopy(state_of(data, model))
    place = data.file.tell()
    with data.file:
        ran = run_copy(program)
        again = run_copy(program)
        assert data.file.tell() == place
        a, b = flat(before), flat(state_of(data, model))
        assert [key for key in a | b if not identical(a.get(key), b.get(key))] == []
        history = model.fit(data, epochs=2, batch_size=4, verbose=0)
    assert history.step_losses == ran["step_losses"] == again["step_losses"]


def test_a_data_set_with_a_state_is_proved_before_and_after_its_fit() -> None:
    data, model = Counts("unused"), made()
    program = model.unroll("fit", data, epochs=2, batch_size=4)
    assert program.verify()
    assert data.read == 0
    assert program.verify(model.fit(data, epochs=2, batch_size=4, verbose=0))


@pytest.mark.slow
def test_workers_that_stay_are_left_alone() -> None:
    loader = DataLoader(
        TensorDataset(X, Y), 4, shuffle=True, num_workers=1, persistent_workers=True
    )
    model = made()
    next(iter(loader))
    program = model.unroll("fit", loader, epochs=2)
    workers = [worker.pid for worker in loader._iterator._workers]
    assert program.verify()
    assert [worker.pid for worker in loader._iterator._workers] == workers
    assert all(worker.is_alive() for worker in loader._iterator._workers)
    assert program.verify(model.fit(loader, epochs=2, verbose=0))


# ---- own files, in a process of their own

IN_A_PROCESS = """
import sys
from pathlib import Path
from tutorial.unroll.own_files import OwnFiles
theirs, own = map(Path, sys.argv[1:])
OwnFiles(str(own)).begin()
import logging, os, shutil, tempfile, numpy, torch
(theirs / "a.txt").open("a").write("more")
assert (theirs / "a.txt").read_text() == "before, more"
os.makedirs(theirs / "new" / "deep", exist_ok=True)
os.makedirs(theirs / "new" / "deep", exist_ok=True)
numpy.save(theirs / "new" / "deep" / "x.npy", numpy.zeros(2))
assert numpy.load(theirs / "new" / "deep" / "x.npy").shape == (2,)
shutil.copy(theirs / "a.txt", theirs / "new")
assert (theirs / "new" / "a.txt").is_file()
os.remove(theirs / "b.txt")
assert not os.path.exists(theirs / "b.txt")
for refused in (
    lambda: (theirs / "missing" / "c.txt").write_text(""),
    lambda: open(theirs / "a.txt", "x"),
    lambda: os.truncate(theirs / "a.txt", 0),
    lambda: shutil.rmtree(theirs),
    lambda: os.link(theirs / "a.txt", theirs / "link"),
):
    try:
        refused()
    except OSError:
        continue
    raise AssertionError(refused)
with tempfile.TemporaryDirectory() as folder:
    Path(folder, "scratch").write_text("as usual")
handler = logging.FileHandler(theirs / "log.txt")
handler.emit(logging.LogRecord("a", 20, "b", 1, "said", (), None))
print("done")
"""


def test_what_is_written_goes_into_a_directory_of_its_own(tmp_path) -> None:
    theirs, own = tmp_path / "theirs", tmp_path / "own"
    theirs.mkdir()
    own.mkdir()
    (theirs / "a.txt").write_text("before, ")
    (theirs / "b.txt").write_text("b")
    ran = warm.run(warm.AS_USUAL + IN_A_PROCESS, theirs, own)
    assert ran.stdout == "done\n", ran.stderr
    assert files_in(theirs) == {"a.txt": "before, ", "b.txt": "b"}
    assert len(list(theirs.iterdir())) == 2


# ---- where


WRONG: dict[str, tuple[str, str, str]] = {
    "the data": (
        "enumerate(train_loader)",
        "enumerate(b for b in reversed(list(train_loader)))",
        r"step 1, the data: the batch that network gets \(line \d+: for step, ",
    ),
    "a layer": (
        "y_hat = network(x)",
        "network[1].forward = lambda x: x.sigmoid(); y_hat = network(x)",
        r"step 1, the output of layer 1 \(Tanh\) \(line \d+: y_hat = network\(x\)\)",
    ),
    "the loss": (
        "loss = loss_fn(y_hat, y)",
        "loss = loss_fn(2 * y_hat, y)",
        r"step 1, the loss that loss_fn gives \(line \d+: loss = loss_fn\(y_hat, y\)\)",
    ),
    "the gradient": (
        "loss.backward()",
        "(loss * 2).backward()",
        r"step 1, the gradient of 0\.weight \(line \d+: loss\.backward\(\)\)",
    ),
    "the update": (
        "optimizer.step()",
        "optimizer.param_groups[0]['lr'] = 0.2; optimizer.step()",
        r"step 1, the update of 0\.weight \(line \d+: optimizer\.step\(\)\)",
    ),
    "the weights": (
        "optimizer.zero_grad()",
        "network[2].bias.data += 1; optimizer.zero_grad()",
        r"step 2, 2\.bias as it is when the network is called",
    ),
}


@pytest.mark.parametrize("what", WRONG)
def test_it_says_where_the_runs_first_differ(what: str, monkeypatch) -> None:
    line, wrong, said = WRONG[what]
    model = made()
    unrolled = model.unroll("fit", TensorDataset(X, Y), batch_size=4)
    save = program.Program.save

    def save_wrong(self: Any, path: Any) -> Path:
        file = save(self, path)
        text = file.read_text()
        assert line in text
        file.write_text(text.replace(line, wrong))
        return file

    monkeypatch.setattr(program.Program, "save", save_wrong)
    proof = unrolled.verify()
    assert not proof
    assert proof.where is not None
    assert re.fullmatch(said + ".*", proof.where), proof.where
    assert f"it begins in {proof.where}" in repr(proof)


def test_a_difference_that_no_step_shows_has_no_place() -> None:
    events = [["batch", "network", "a", 1]]
    assert first_difference(events, list(events), "") is None
