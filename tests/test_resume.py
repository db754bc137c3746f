"""A training that is killed, at any moment, and started again ends as if nothing had happened.

The trainings run in forks of one warm process, which is this file as a script: see `serve`. There
a kill is a real one (SIGKILL), and what goes on is another process, with other seeds.
"""

import copy
import errno
import gc
import io
import json
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import traceback
import warnings
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import warm
from torch import nn
from torch.optim.lr_scheduler import CosineAnnealingLR, ExponentialLR, LambdaLR, StepLR
from torch.utils.data import DataLoader, Dataset

import tutorial as tl
from tutorial import callbacks as cb
from tutorial.device import rng_state
from tutorial.saving import checkpoint
from tutorial.unroll.proof import flat, identical

# ---- a training, and the moments at which it can be killed

MOMENTS: list[str] = []  # those that are behind this process
WHAT_HAPPENS: dict[int, Callable[[], None]] = {}  # at which moment


def moment(name: str) -> None:
    MOMENTS.append(name)
    WHAT_HAPPENS.get(len(MOMENTS) - 1, int)()


class Augmented(Dataset):
    """22 points; each time one is read, chance of three kinds moves it."""

    def __init__(self, size: int = 22) -> None:
        self.x = torch.randn(size, 4, generator=torch.Generator().manual_seed(1))
        self.y = (self.x.sum(1) > 0).long()

    def __len__(self) -> int:
        return len(self.x)

    def __getitem__(self, i: int) -> tuple[torch.Tensor, torch.Tensor]:
        chance = [*torch.rand(2).tolist(), np.random.rand(), random.random()]
        return self.x[i] + 0.1 * torch.tensor(chance), self.y[i]


def call(
    kind: str = "", seed: int = 0, width: int = 8, **options: Any
) -> tuple[tl.Model, dict[str, Any]]:
    """A new model, and a call of its fit, which works in the current folder.

    Args:
        kind: what is special about it.
        seed: of all chance, the first weights too.
        width: of the network.
        **options: of fit, beside the usual ones.
    """
    tl.seed(seed)
    network = nn.Sequential(
        nn.Linear(4, width), nn.BatchNorm1d(width), nn.ReLU(), nn.Dropout(0.3), nn.Linear(width, 2)
    )
    network.register_forward_hook(lambda *_: moment("forward"))
    model = tl.Model(network)
    model.prepare(
        torch.optim.Adam(model.parameters(), lr=0.02),
        nn.CrossEntropyLoss(),
        tl.metrics.Accuracy(),
        precision="16-mixed" if kind == "16-mixed" else "32",
    )
    if model.scaler is not None:
        model.scaler.set_growth_interval(3)
    model.optimizer.register_step_post_hook(lambda *_: moment("update"))
    # 'stops' calls a larger loss a better one: so the first epoch is the best, and it soon stops.
    wanted = {"mode": "max", "patience": 2} if kind == "stops" else {"patience": 99}
    callbacks = [
        cb.EarlyStopping(verbose=0, **wanted),
        cb.CSVLogger("log.csv"),
        cb.LambdaCallback(on_train_batch_end=lambda *_: moment("step")),
    ]
    if kind == "plateau":
        callbacks.append(cb.ReduceLROnPlateau(patience=1, min_delta=1.0, verbose=0))
    else:
        scheduler = ExponentialLR(model.optimizer, 0.9)
        callbacks.append(cb.LRScheduler(scheduler, by_epoch=kind == "by epoch"))
    if kind == "best too":
        callbacks += [cb.ModelCheckpoint(), cb.ModelCheckpoint(best_only=True, monitor="acc")]
    data: Any = Augmented()
    if kind == "loader":
        generator = torch.Generator().manual_seed(seed)
        data = DataLoader(data, batch_size=5, shuffle=True, generator=generator)
    usual = {
        "train_data": data,
        "eval_data": Augmented(9),
        "batch_size": 5,
        "epochs": 3,
        "save_dir": ".",
        "resume": True,
        "accumulate_grad_batches": 2,
        "callbacks": callbacks,
        "verbose": 0,
    }
    return model, usual | options


def train(**options: Any) -> dict[str, Any]:
    """Fit, in a new process; all that there is afterwards."""
    model, options = call(**options)
    with warnings.catch_warnings(record=True, action="always") as warned:
        history = model.fit(**options)
    names = ("final", "best_model_loss" if Path("best_model_loss.pt").exists() else "best_model")
    final, best = (torch.load(f"{name}.pt", weights_only=True) for name in names)
    stopping = options["callbacks"][0].state_dict()
    return {
        **checkpoint.state_of(model),
        "step_losses": history.step_losses,
        "rows": history.rows,
        "interrupted": history.interrupted,
        "csv": Path("log.csv").read_text(),
        "stopping": stopping,
        "best file": best["network"],
        "final file": [{**final, "fit": None}, final["fit"]["step_losses"], final["fit"]["rows"]],
        "warned": [str(w.message) for w in warned if "nothing to train" not in str(w.message)],
        "moments": MOMENTS,
    }


def difference(a: dict[str, Any], b: dict[str, Any]) -> list[str]:
    """What differs between two results."""
    left, right = (flat({**one, "moments": None}) for one in (a, b))
    return [key for key in left | right if not identical(left.get(key), right.get(key))]


# ---- the process that runs them


def watch_files() -> None:
    """Moments in the midst of writing a checkpoint, too."""
    save, replace = torch.save, os.replace

    def slowly(state: Any, file: Any) -> None:
        whole = io.BytesIO()
        save(state, whole)
        file.write(whole.getvalue()[:1000])
        file.flush()
        moment("half written")
        file.write(whole.getvalue()[1000:])

    def noted(*paths: Any) -> None:
        moment("not yet in place")
        replace(*paths)
        moment("in place")

    torch.save, os.replace = slowly, noted  # type: ignore[assignment]


def kill() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def limit() -> None:
    """From now on the system refuses to write more than 3 KB into a file of this process."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (3000, resource.RLIM_INFINITY))


def fill() -> None:
    """Leave no room on the disk."""
    with suppress(OSError), open("fill", "wb", buffering=0) as file:
        while file.write(bytes(1000)):
            pass


def one_training(
    folder: str, results: str, what: str = "", at: int | None = None, **options: Any
) -> None:
    """Train and save the results; or at a moment there happens what shall: kill, limit or fill."""
    os.chdir(folder)
    warnings.simplefilter("error")
    MOMENTS.clear()
    if at is not None:
        WHAT_HAPPENS[at] = {"kill": kill, "limit": limit, "fill": fill}[what]
    save = torch.save
    watch_files()
    try:
        found = train(**options)
    except OSError as error:
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2)
        found = {"error": error.errno, "file": error.filename, "message": str(error)}
    save(found, results)


def serve() -> None:
    """Run a training in a fork for each line of the input, which holds its options."""
    torch.set_num_threads(1)
    for line in sys.stdin:
        task = json.loads(line)
        options = {k: v for k, v in task.items() if k not in ("folder", "results", "what", "at")}
        with suppress(ValueError), warnings.catch_warnings():  # so that forks of it know the loop
            warnings.simplefilter("ignore")
            os.chdir(task["folder"])
            model, options = call(**options)
            _ = model.unroll("fit", **options).reporting_source
        os.chdir("/")
        gc.collect()
        gc.freeze()  # so that a fork shares the memory of what is there
        child = os.fork()
        if child == 0:
            try:
                one_training(**task)
            except BaseException:
                traceback.print_exc()
                os._exit(1)
            os._exit(0)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
    os._exit(0)


ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}


class Runner:
    """Runs trainings in processes of their own."""

    def __init__(self, server: subprocess.Popen, folder: Path) -> None:
        self.server, self.folder = server, folder
        self.known: dict[str, dict[str, Any]] = {}

    def __call__(self, folder: Path, **options: Any) -> dict[str, Any] | None:
        """The results; None if it was killed."""
        folder.mkdir(exist_ok=True)
        results = self.folder / "results"
        task = {"folder": str(folder), "results": str(results), **options}
        self.server.stdin.write(json.dumps(task) + "\n")
        self.server.stdin.flush()
        code = int(self.server.stdout.readline())
        if code == -signal.SIGKILL:
            return None
        assert code == 0, "the training failed: see its traceback above"
        return torch.load(results, weights_only=False)

    def straight(self, **options: Any) -> dict[str, Any]:
        """The results of a training that was never killed."""
        key = json.dumps(options)
        if key not in self.known:
            self.known[key] = self(self.folder / f"straight {len(self.known)}", **options)
        return self.known[key]

    def killed(self, folder: Path, at: int, **options: Any) -> None:
        assert self(folder, what="kill", at=at, **options) is None

    def resumed(self, folder: Path, seed: int = 1000, **options: Any) -> dict[str, Any] | None:
        """Go on in another process, where chance is another; but from the very beginning, if the
        first checkpoint was not yet written."""
        begun = (folder / "start.pt").exists()
        return self(folder, seed=seed if begun else 0, **options)


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Iterator[Runner]:
    with subprocess.Popen(
        [sys.executable, __file__],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=ENVIRONMENT,
        text=True,
    ) as server:
        yield Runner(server, tmp_path_factory.mktemp("runs"))
        server.stdin.close()


# ---- killed and resumed


def test_the_straight_run_is_what_it_should_be(run) -> None:
    straight = run.straight()
    assert len(straight["step_losses"]) == 15
    assert straight["moments"].count("update") == 9  # 2 + 2 + 1 batches in an epoch of 5
    assert [row["epoch"] for row in straight["rows"]] == [1, 2, 3]
    assert "eval_acc" in straight["csv"].splitlines()[0]
    assert difference(straight, run.straight(seed=1))  # chance matters
    assert not difference(straight, run(run.folder / "again"))


@pytest.mark.parametrize("stride", [13, pytest.param(1, marks=pytest.mark.slow)])
def test_killed_at_every_moment(run, tmp_path, stride: int) -> None:
    straight = run.straight()
    different = {}
    for i, name in list(enumerate(straight["moments"]))[::stride]:
        folder = tmp_path / str(i)
        run.killed(folder, i)
        if found := difference(straight, run.resumed(folder, seed=i)):
            different[f"{i}: {name}"] = found
    assert not different
    assert len(straight["moments"]) > 80


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_killed_again_and_again(run, tmp_path, seed: int) -> None:
    chance = random.Random(seed)
    results: list[Any] = [None]
    while results[-1] is None:
        at = chance.randrange(15, 45)  # an epoch has about 30 moments
        results.append(run.resumed(tmp_path, seed=len(results), what="kill", at=at))
    assert len(results) > 3
    assert not difference(run.straight(), results[-1])


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("", {"eval_freq": 2}),
        ("", {"save_freq": 2, "epochs": 4}),
        ("", {"num_iters": 12}),
        ("", {"num_workers": 2}),
        ("", {"clip_grad_norm": 0.5, "drop_last": True, "accumulate_grad_batches": 1}),
        ("stops", {"epochs": 5}),
        ("stops", {"epochs": 5, "save_freq": 2}),
        ("plateau", {}),
        ("by epoch", {}),
        ("loader", {}),
        ("16-mixed", {}),
        ("best too", {}),
    ],
    ids=lambda value: value if isinstance(value, str) else ", ".join(value),
)
def test_killed_in_trainings_of_all_kinds(run, tmp_path, kind: str, options: dict) -> None:
    straight = run.straight(kind=kind, **options)
    last = len(straight["moments"]) - 1
    for at, share in ((last // 4, 1.1), (last * 3 // 4, 0.8), (last, 0.5)):
        folder = tmp_path / str(at)
        run.killed(folder, at, kind=kind, **options)
        resumed = run.resumed(folder, kind=kind, **options)
        assert not difference(straight, resumed), f"killed at {at} of {last}"
        assert len(resumed["moments"]) < share * last  # it did not begin anew


@pytest.mark.slow
def test_two_processes_that_share_nothing(run, tmp_path) -> None:
    for more in ({"what": "kill", "at": 50}, {"seed": 5}):
        task = {"folder": str(tmp_path), "results": str(tmp_path / "results"), **more}
        ran = subprocess.run([sys.executable, __file__, json.dumps(task)], env=ENVIRONMENT)
        assert ran.returncode == (-signal.SIGKILL if "at" in more else 0)
    result = torch.load(tmp_path / "results", weights_only=False)
    assert not difference(run.straight(), result)
    code = (
        "import sys; sys.modules['tutorial'] = None; import pathlib, torch; from torch import nn\n"
        "network = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(), "
        "nn.Linear(8, 2))\n"
        "optimizer = torch.optim.Adam(network.parameters())\n"
        "for path in pathlib.Path(sys.argv[1]).glob('*.pt'):\n"
        "    state = torch.load(path, weights_only=True)\n"
        "    network.load_state_dict(state['network'])\n"
        "    optimizer.load_state_dict(state['optimizer'])\n"
        "    print(path.name)\n"
    )
    opened = warm.run(code, tmp_path)
    files = {"start.pt", "0.pt", "1.pt", "2.pt", "final.pt", "best_model.pt"}
    assert set(opened.stdout.split()) == files


# ---- resumed where nothing broke off


def test_a_finished_training_is_not_trained_any_more(run, tmp_path) -> None:
    run(tmp_path)
    again = run(tmp_path, seed=5)
    assert not difference(run.straight(), again)
    assert "update" not in again["moments"]


@pytest.mark.parametrize("kind", ["", "stops"])
@pytest.mark.parametrize("save_freq", [1, 2])
def test_more_epochs_than_before(run, tmp_path, kind: str, save_freq: int) -> None:
    """'stops' takes the first epoch for the best, and brings its weights back at the end."""
    options = {"kind": kind, "save_freq": save_freq}
    run(tmp_path, epochs=2, **options)
    straight = run.straight(epochs=3, **options)
    assert not difference(straight, run(tmp_path, seed=5, epochs=3, **options))


def test_a_training_that_stopped_does_not_go_on(run, tmp_path) -> None:
    stopped = run(tmp_path, kind="stops", epochs=9)
    assert len(stopped["rows"]) == 3
    again = run(tmp_path, kind="stops", epochs=20, seed=5)
    assert not difference(stopped, again)
    assert "update" not in again["moments"]


def test_num_iters_counts_the_steps_before(run, tmp_path) -> None:
    run(tmp_path, num_iters=12)
    again = run(tmp_path, num_iters=12, seed=5)
    assert not difference(run.straight(num_iters=12), again)
    assert "update" not in again["moments"]


# ---- more is asked of a training than before: it goes on as one run would, or says why not


def told(model: tl.Model, folder: Path, company: Any, **options: Any) -> tuple[Any, list[str]]:
    """A resumed fit's result, with all that there is afterwards; and what it warned of."""
    with warnings.catch_warnings(record=True, action="always") as warned:
        usual = {"batch_size": 32, "verbose": 0, "callbacks": company(model), "epochs": 6}
        history = model.fit(save_dir=folder, resume=True, **usual | options)
    state = checkpoint.state_of(model)
    messages = [str(warning.message) for warning in warned]
    return flat([state, history.step_losses, history.rows]), messages


@pytest.fixture
def goes_on(make_model, data, more_data, tmp_path) -> Callable[..., list[str]]:
    """Ask for less, then for more: compares with what one run does, and gives the words."""

    def check(first: dict, then: dict, before: Any = None, after: Any = None) -> list[str]:
        before = before or (lambda model: [])
        after = after or before
        both = {"train_data": data, "eval_data": more_data}
        told(make_model(tl.metrics.Accuracy()), tmp_path / "cut", before, **both | first)
        model = make_model(tl.metrics.Accuracy())
        tl.seed(99)
        resumed, messages = told(model, tmp_path / "cut", after, **both | then)
        straight, _ = told(
            make_model(tl.metrics.Accuracy()), tmp_path / "one", after, **both | then
        )
        assert alike(resumed, straight)
        return messages

    return check


def best_only(mode: str) -> Callable[[tl.Model], list[cb.Callback]]:
    """The loss of the evaluations grows: with 'max', each epoch is the best."""
    return lambda model: [cb.ModelCheckpoint(best_only=True, mode=mode)]


MORE = {  # 5 steps in an epoch; what was asked for at first, and then
    "epochs": ({"epochs": 2}, {}),
    "a cut epoch": ({"num_iters": 7}, {"num_iters": 18}),
    "a cut epoch, no limit then": ({"num_iters": 7}, {"epochs": 3}),
    "a cut first epoch": ({"num_iters": 3}, {"num_iters": 8}),
    "a limit at an epoch's end": ({"num_iters": 10}, {"num_iters": 18}),
    "a cut epoch, accumulated": (
        {"num_iters": 8, "accumulate_grad_batches": 3},
        {"num_iters": 23, "accumulate_grad_batches": 3},
    ),
    "a cut epoch, evaluated": ({"num_iters": 8, "eval_freq": 3}, {"num_iters": 23, "eval_freq": 3}),
    "a last epoch, evaluated": ({"epochs": 3, "eval_freq": 2}, {"eval_freq": 2}),
    "a limit, evaluated": ({"num_iters": 15, "eval_freq": 2}, {"eval_freq": 2}),
    "save_freq": ({"epochs": 4, "save_freq": 3}, {"save_freq": 3}),
    "save_freq, a cut epoch": ({"num_iters": 17, "save_freq": 2}, {"save_freq": 2}),
}


@pytest.mark.parametrize(
    ("case", "kept"),
    [
        (case, kept)
        for case in MORE
        for kept in ("all", "the last one", "the best")
        if kept == "all" or "save_freq" not in case  # a ModelCheckpoint has its own
    ],
)
def test_more_is_asked(goes_on, case: str, kept: str) -> None:
    company = {
        "all": None,
        "the last one": lambda model: [cb.ModelCheckpoint(keep=1)],
        "the best": best_only("min"),
    }[kept]
    assert goes_on(*MORE[case], company) == []


def test_the_best_model_is_gone_on_from(goes_on, tmp_path) -> None:
    assert goes_on({"epochs": 4}, {}, best_only("max")) == []
    for name in ("cut", "one"):
        assert {path.name for path in (tmp_path / name).iterdir()} == {
            *("start.pt", "best_model.pt", "final.pt"),
        }


def test_the_best_model_is_what_is_read(make_model, data, more_data, tmp_path) -> None:
    model, both = make_model(), {"train_data": data, "eval_data": more_data, "batch_size": 32}
    told(model, tmp_path, best_only("max"), **both | {"epochs": 4})
    options = {"epochs": 6, "save_dir": tmp_path, "resume": True, "callbacks": best_only("max")(0)}
    source = make_model().unroll("fit", **both, **options).source
    assert "best_model.pt" in source and "for epoch in range(4, 6)" in source


def stops(patience: int, **options: Any) -> Callable[[tl.Model], list[cb.Callback]]:
    """The loss of the evaluations grows: so it ends soon."""
    usual = {"patience": patience, "verbose": 0}
    return lambda model: [cb.EarlyStopping(**usual | options)]


@pytest.mark.parametrize("options", [{}, {"save_freq": 2}, {"eval_freq": 2}], ids=str)
@pytest.mark.parametrize("epochs", [4, 9])
def test_more_patience(goes_on, epochs: int, options: dict) -> None:
    options = options | {"epochs": epochs}
    assert goes_on(options, options | {"epochs": 9}, stops(1), stops(3)) == []


def test_less_patience_is_said(make_model, data, more_data, tmp_path) -> None:
    both = {"train_data": data, "eval_data": more_data}
    told(make_model(), tmp_path, stops(9), epochs=2, **both)
    _, [message] = told(make_model(), tmp_path, stops(5), **both)
    assert "EarlyStopping had patience=9, and has 5 now. The training goes on from" in message


Rates = torch.optim.lr_scheduler
SCHEDULES: dict[str, Callable[[Any, int], Any]] = {
    "OneCycleLR": lambda o, steps: Rates.OneCycleLR(o, 0.1, total_steps=steps),
    "CosineAnnealingLR": Rates.CosineAnnealingLR,
    "PolynomialLR": Rates.PolynomialLR,
    "LinearLR": lambda o, steps: Rates.LinearLR(o, total_iters=steps),
    "StepLR": StepLR,
    "MultiStepLR": lambda o, steps: Rates.MultiStepLR(o, [steps // 2, steps]),
    "CyclicLR": lambda o, steps: Rates.CyclicLR(o, 0.1, 0.2, steps, cycle_momentum=False),
    "CosineAnnealingWarmRestarts": Rates.CosineAnnealingWarmRestarts,
    "SequentialLR": lambda o, steps: Rates.SequentialLR(
        o, [Rates.LinearLR(o), StepLR(o, 2)], milestones=[steps]
    ),
}


@pytest.mark.parametrize("kind", SCHEDULES)
def test_a_schedule_goes_on_and_another_one_is_refused(goes_on, kind: str) -> None:
    def company(steps: int) -> Callable[[tl.Model], list[cb.Callback]]:
        return lambda model: [cb.LRScheduler(SCHEDULES[kind](model.optimizer, steps))]

    assert goes_on({"epochs": 2}, {}, company(30)) == []
    with pytest.raises(ValueError, match=f"{kind} has .* in this call, but .* when the training"):
        goes_on({"epochs": 2}, {}, company(30), company(60))


def test_a_schedule_of_ones_own_is_taken_as_it_is(goes_on) -> None:
    class Slower(Rates.LRScheduler):
        calls = 0

        def get_lr(self) -> list[float]:
            self.calls += 1
            return [group["lr"] * 0.9 for group in self.optimizer.param_groups]

    assert goes_on({"epochs": 2}, {}, lambda model: [cb.LRScheduler(Slower(model.optimizer))]) == []


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"epochs": 2}, "has finished its 2 epochs, so .* raise epochs, which is 2"),
        ({"epochs": 1}, "has finished its 2 epochs, so .* raise epochs, which is 1"),
        ({"num_iters": 10}, "has made 10 steps, and num_iters is 10, .* raise num_iters"),
        ({"num_iters": 4}, "has made 10 steps, and num_iters is 4, .* raise num_iters"),
    ],
    ids=str,
)
def test_nothing_is_left_to_train(make_model, data, tmp_path, options: dict, words: str) -> None:
    make_model().fit(data, epochs=2, batch_size=32, save_dir=tmp_path, verbose=0)
    model = make_model()
    with pytest.warns(UserWarning, match=f"final.pt' is of a training that {words}"):
        history = model.fit(
            data, **{"epochs": 9} | options, save_dir=tmp_path, resume=True, verbose=0
        )
    assert len(history.step_losses) == 10


def test_a_callback_that_ended_it_is_named(make_model, data, more_data, tmp_path) -> None:
    both = {"train_data": data, "eval_data": more_data, "epochs": 20}
    told(make_model(), tmp_path / "a", stops(2), **both)
    _, [message] = told(make_model(), tmp_path / "a", stops(2), **both)
    assert "that a callback has ended, after" in message
    assert message.endswith("To go on, raise the patience of EarlyStopping.")

    def ends(model: tl.Model) -> list[cb.Callback]:
        return [cb.LambdaCallback(on_epoch_end=lambda *_: setattr(model, "stop_training", True))]

    told(make_model(), tmp_path / "b", ends, **both)
    _, [message] = told(make_model(), tmp_path / "b", ends, **both)
    assert "ended, after 1 epochs" in message and "model.load(" in message


def test_what_changed_is_said(make_model, data, more_data, tmp_path) -> None:
    def one(model: tl.Model) -> list[cb.Callback]:
        return [cb.ReduceLROnPlateau(factor=0.5), cb.LambdaCallback()]

    def other(model: tl.Model) -> list[cb.Callback]:
        return [cb.ReduceLROnPlateau(factor=0.1), cb.TerminateOnNaN()]

    both = {"train_data": data, "eval_data": more_data}
    told(make_model(), tmp_path, one, epochs=2, **both)
    options = {"batch_size": 16, "clip_grad_norm": 1.0, "drop_last": True}
    _, [message] = told(make_model(), tmp_path, other, **both, **options)
    for words in (
        "batch_size was 32, and is 16 now",
        "drop_last was False, and is True now",
        "clip_grad_norm was None, and is 1.0 now",
        "the number of batches in an epoch was 5, and is 9 now",
        "ReduceLROnPlateau had factor=0.5, and has 0.1 now",
        "there was the callback LambdaCallback, and now there is TerminateOnNaN in its place",
        "but not as one run would have done",
    ):
        assert words in message
    _, messages = told(make_model(), tmp_path, other, **both, **options | {"epochs": 8})
    assert messages == []  # it was said once


def test_a_callback_of_ones_own_may_have_any_attributes(make_model, data, tmp_path) -> None:
    class Counts(cb.Callback):
        def __init__(self, left: int) -> None:
            self.left = left

        def on_train_batch_end(self, step: int, logs: Any = None) -> None:
            self.left -= 1

    both = {"train_data": data}
    told(make_model(), tmp_path, lambda model: [Counts(3)], epochs=1, **both)
    assert told(make_model(), tmp_path, lambda model: [Counts(40)], epochs=2, **both)[1] == []


def test_another_learning_rate_or_optimizer_is_said(make_model, data, tmp_path) -> None:
    def run(model: tl.Model, epochs: int, folder: str = "a") -> list[str]:
        options = {"train_data": data, "epochs": epochs}
        return told(model, tmp_path / folder, lambda model: [], **options)[1]

    assert run(make_model(), 1) == run(make_model(), 2) == []
    [message] = run(make_model(lr=0.1), 3)
    assert "resume: the optimizer's lr was 0.01, and is 0.1 now. The training goes on" in message
    [message] = run(make_model(lr=0.1, optimizer=torch.optim.AdamW), 4)
    assert "the optimizer was 'Adam', and is 'AdamW' now" in message
    model = make_model()
    assert run(model, 1, "b") == []
    model.optimizer.param_groups[0]["lr"] = 0.5  # it is not new: this may be a schedule's
    assert run(model, 2, "b") == []


def test_a_stream_that_says_too_few_batches_may_be_cut_there(make_model, data, tmp_path) -> None:
    class Short(torch.utils.data.IterableDataset):
        def __len__(self) -> int:
            return 3 * 32

        def __iter__(self) -> Iterator[Any]:
            return iter(data)

    def run(folder: str, limit: int) -> Any:
        loader = DataLoader(Short(), 32)
        options = {"train_data": loader, "num_iters": limit}
        return told(make_model(), tmp_path / folder, lambda model: [], **options)[0]

    run("cut", 3)
    assert alike(run("cut", 12), run("one", 12))


def test_where_only_the_end_is_left(make_model, data, more_data, tmp_path) -> None:
    both = {"train_data": data, "eval_data": more_data}
    told(make_model(), tmp_path, stops(99), num_iters=7, **both)
    for path in tmp_path.glob("[s0-9]*.pt"):
        path.unlink()
    _, [message] = told(make_model(), tmp_path, stops(99), **both)
    assert "only" in message and "after 7 steps" in message and "not what one run" in message


def test_interrupted_or_failed_in_an_epoch(make_model, data, more_data, tmp_path) -> None:
    """What the epoch had done is done again."""
    both = {"train_data": data, "eval_data": more_data}
    straight, _ = told(make_model(), tmp_path / "one", lambda model: [cb.LambdaCallback()], **both)
    for error in (KeyboardInterrupt, RuntimeError):

        def fail(model: tl.Model, error: type = error) -> list[cb.Callback]:
            def hook(step: int, logs: Any) -> None:
                if len(counted) == 12:
                    raise error
                counted.append(step)

            counted: list[int] = []
            return [cb.LambdaCallback(on_train_batch_end=hook)]

        folder = tmp_path / error.__name__
        with suppress(RuntimeError):
            told(make_model(), folder, fail, **both)
        tl.seed(3)
        resumed, messages = told(make_model(), folder, lambda m: [cb.LambdaCallback()], **both)
        assert alike(resumed, straight) and messages == []


# ---- damaged and foreign files


@pytest.fixture(scope="module")
def killed_in_epoch_3(run) -> Path:
    steps = [i for i, name in enumerate(run.straight()["moments"]) if name == "step"]
    folder = run.folder / "killed in epoch 3"
    run.killed(folder, steps[12])
    return folder


@pytest.fixture
def broken_off(killed_in_epoch_3, tmp_path) -> Path:
    """A training of which start.pt, 0.pt and 1.pt are there, and a best_model.pt."""
    files = {path.name for path in shutil.copytree(killed_in_epoch_3, tmp_path / "a").iterdir()}
    assert files == {"start.pt", "0.pt", "1.pt", "best_model.pt", "log.csv"}
    return tmp_path / "a"


def pickled(value: Any) -> bytes:
    file = io.BytesIO()
    torch.save(value, file)
    return file.getvalue()


def numpy_file() -> bytes:
    file = io.BytesIO()
    np.save(file, np.arange(9.0))
    return file.getvalue()


def without(name: str, raw: bytes) -> bytes:
    state = torch.load(io.BytesIO(raw), weights_only=True)
    del state[name]
    return pickled(state)


def flipped(raw: bytes) -> bytes:
    """With one bit of a weight the other way."""
    weight = torch.load(io.BytesIO(raw), weights_only=True)["network"]["0.weight"]
    at = raw.index(weight.numpy().tobytes())
    return raw[:at] + bytes([raw[at] ^ 1]) + raw[at + 1 :]


DAMAGES = {
    "empty": lambda raw: b"",
    "one byte": lambda raw: raw[:1],
    "its head": lambda raw: raw[:1000],
    "half": lambda raw: raw[: len(raw) // 2],
    "all but a byte": lambda raw: raw[:-1],
    "zeros": lambda raw: bytes(len(raw)),
    "a bit": flipped,
    "text": lambda raw: b"epoch,loss\n1,0.5\n",
    "short text": lambda raw: b"0",
    "NumPy": lambda raw: numpy_file(),
    "weights": lambda raw: pickled(nn.Linear(2, 2).state_dict()),
    "a module": lambda raw: pickled(nn.Linear(2, 2)),
    "a list": lambda raw: pickled([1, 2]),
    "model.save": lambda raw: without("fit", raw),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_file_is_passed_over(run, broken_off, damage: str) -> None:
    path = broken_off / "1.pt"
    path.write_bytes(DAMAGES[damage](path.read_bytes()))
    (broken_off / "7.pt").write_bytes(DAMAGES[damage]((broken_off / "0.pt").read_bytes()))
    resumed = run.resumed(broken_off)
    [message] = resumed.pop("warned")
    assert not difference(run.straight(), resumed)
    assert message.count("but this file") == 2
    assert "'1.pt'" in message and "'7.pt'" in message
    assert message.endswith("Going on from '0.pt'.")


def test_a_checkpoint_of_another_network_is_passed_over(run, broken_off, tmp_path_factory) -> None:
    other = tmp_path_factory.mktemp("other")
    run(other, width=9)
    (other / "2.pt").rename(broken_off / "2.pt")
    resumed = run.resumed(broken_off)
    [message] = resumed.pop("warned")
    assert not difference(run.straight(), resumed)
    assert "'2.pt'" in message
    assert "has shape (9, 4) in the file, shape (8, 4) in the network" in message


def test_files_that_are_no_checkpoints_are_left_alone(run, broken_off) -> None:
    (broken_off / "notes.pt").write_text("mine")
    (broken_off / "9.pt").mkdir()
    resumed = run.resumed(broken_off)
    assert not difference(run.straight(), resumed)
    assert (broken_off / "notes.pt").read_text() == "mine"


# ---- what is refused, before anything changes


def everything(model: tl.Model, folder: Path) -> dict[str, Any]:
    """The state of the model, all chance, and all files."""
    files = {path.name: path.read_bytes() for path in folder.iterdir()}
    return copy.deepcopy(flat([checkpoint.state_of(model), files]))


def alike(a: dict[str, Any], b: dict[str, Any]) -> bool:
    return a.keys() == b.keys() and all(identical(a[key], b[key]) for key in a)


def refused(model: tl.Model, data: Any, folder: Path, match: str, company: Any = None) -> None:
    before = everything(model, folder)
    with pytest.raises(ValueError, match=match):
        model.fit(data, data, save_dir=folder, resume=True, verbose=0, epochs=9, callbacks=company)
    assert alike(before, everything(model, folder))


@pytest.fixture
def trained(make_model, data, tmp_path) -> Path:
    """The folder of a training with Adam, EarlyStopping and CSVLogger."""
    company = [cb.EarlyStopping(verbose=0, patience=9), cb.CSVLogger(tmp_path / "log")]
    make_model().fit(data, data, epochs=2, save_dir=tmp_path, verbose=0, callbacks=company)
    return tmp_path


def test_another_training_is_refused(make_model, data, trained) -> None:
    stopping, log = cb.EarlyStopping(verbose=0, patience=9), cb.CSVLogger(trained / "log")
    model = make_model()
    refused(model, data, trained, r"with 3 callbacks, but this call has 1")
    refused(model, data, trained, r"the callback CSVLogger, which needs", [log, stopping])
    scheduler = cb.LRScheduler(StepLR(model.optimizer, 2))
    refused(model, data, trained, r"with 0 schedulers, but", [stopping, log, scheduler])
    sgd = make_model(optimizer=torch.optim.SGD)
    refused(sgd, data, trained, r"the file's optimizer holds .*betas", [stopping, log])
    loader = DataLoader(data, generator=torch.Generator())
    refused(
        model,
        loader,
        trained,
        r"train_data.generator is of this call, but not of the file",
        [stopping, log],
    )
    scaled = make_model()
    scaled.prepare(scaled.optimizer, nn.CrossEntropyLoss(), precision="16-mixed")
    refused(scaled, data, trained, r"with 0 scalers, but", [stopping, log])
    other = tl.Model(nn.Linear(8, 3))
    other.prepare(torch.optim.Adam(other.parameters()), nn.CrossEntropyLoss())
    refused(other, data, trained, r"weight is not in the file", [stopping, log])


def test_a_folder_in_which_all_is_damaged_is_refused(make_model, data, trained) -> None:
    for path in trained.glob("*.pt"):
        path.write_bytes(path.read_bytes()[:-9])
    refused(make_model(), data, trained, r"no checkpoint in .* can be used.*1\.pt.*damaged")


def test_an_optimizer_with_numpys_numbers_can_be_resumed(make_model, data, tmp_path) -> None:
    rate = np.linspace(0.01, 0.02, 3)[1]
    straight = make_model(lr=rate).fit(data, epochs=2, verbose=0)
    make_model(lr=rate).fit(data, epochs=1, save_dir=tmp_path, verbose=0)
    resumed = make_model(lr=rate).fit(data, epochs=2, save_dir=tmp_path, resume=True, verbose=0)
    assert resumed.step_losses == straight.step_losses


# ---- a full disk


def small_disk(folder: Path) -> bool:
    """Mount a disk of 250 KB there; whether this was allowed."""
    folder.mkdir()
    options = ["-t", "tmpfs", "-o", "size=250k", "tmpfs", folder]
    return subprocess.run(["mount", *options], capture_output=True).returncode == 0


@pytest.mark.parametrize("what", ["fill", "limit"])
def test_a_full_disk_loses_no_checkpoint(run, tmp_path, what: str) -> None:
    disk = tmp_path / "disk"
    if what == "fill" and not small_disk(disk):
        pytest.skip("only an administrator can mount a small disk")
    try:
        for at in range(5, 80, 7):
            full = run(disk, what=what, at=at)
            (disk / "fill").unlink(missing_ok=True)
            assert full["error"] == (errno.ENOSPC if what == "fill" else errno.EFBIG)
            assert Path(full["file"]).suffix in (".pt", ".csv")
            assert "cannot be written" in full["message"]
            left = list(disk.iterdir())
            assert {path.suffix for path in left} <= {".pt", ".csv"}  # nothing half-written
            assert all(checkpoint.read(path) for path in disk.glob("*.pt"))
            assert not difference(run.straight(), run.resumed(disk))
            for path in disk.iterdir():
                path.unlink()
    finally:
        if what == "fill":
            subprocess.run(["umount", disk], check=True)


# ---- unroll, save, load


def test_a_resumed_fit_can_be_read_and_proved(make_model, data, more_data, tmp_path) -> None:
    def options(model: tl.Model, epochs: int) -> dict[str, Any]:
        scheduler = cb.LRScheduler(StepLR(model.optimizer, 3, gamma=0.5))
        stopping = cb.EarlyStopping(mode="max", patience=9, verbose=0)
        return {
            "eval_data": more_data,
            "batch_size": 32,
            "epochs": epochs,
            "save_dir": tmp_path / "run",
            "resume": True,
            "callbacks": [scheduler, stopping, cb.CSVLogger(tmp_path / "run" / "log.csv")],
        }

    model = make_model(tl.metrics.Accuracy())
    model.fit(data, **options(model, 2), verbose=0)
    model = make_model(tl.metrics.Accuracy())
    tl.seed(9)
    resumed = options(model, 4)
    before = everything(model, tmp_path / "run")
    program = model.unroll("fit", data, **resumed)
    proof = program.verify()
    assert proof, proof.difference
    assert alike(before, everything(model, tmp_path / "run"))
    assert "where it broke off" in program.source
    history = program.run(tl.display.Report())
    assert len(history.rows) == 4
    assert program.verify(history)


def warm_up(optimizer: torch.optim.Optimizer) -> LambdaLR:
    return LambdaLR(optimizer, lambda update: min(1.0, (update + 1) / 14))


@pytest.mark.parametrize("kind", [warm_up, lambda o: CosineAnnealingLR(o, 30), None])
@pytest.mark.parametrize("when", ["before load", "after load", "of the last fit"])
@pytest.mark.parametrize("scaled", [False, True])
def test_load_goes_on_where_save_was(data, make_model, tmp_path, kind, when, scaled) -> None:
    """fit(2), save, load, fit(2) is fit(4): with its scheduler, scaler and chance."""

    def made() -> tl.Model:
        model = make_model()
        if scaled:
            model.prepare(model.optimizer, nn.CrossEntropyLoss(), precision="16-mixed")
            model.scaler.set_growth_interval(4)
        return model

    def company(model: tl.Model) -> list[cb.Callback]:
        return [] if kind is None else [cb.LRScheduler(kind(model.optimizer))]

    options = {"batch_size": 32, "verbose": 0}
    straight, one, other = made(), made(), made()
    tl.seed(2)
    losses = straight.fit(data, epochs=4, callbacks=company(straight), **options).step_losses
    chance = rng_state()
    tl.seed(2)
    one.fit(data, epochs=2, callbacks=company(one), **options)
    path = one.save(tmp_path / "between")
    tl.seed(3)
    schedulers = company(other)
    if when == "of the last fit":
        other.fit(data, callbacks=schedulers, **options)
    other.load(path)
    if when == "after load":
        schedulers = company(other)
    again = other.fit(data, epochs=2, callbacks=schedulers, **options)
    assert again.step_losses == losses[10:]
    a, b = (
        flat([m.network.state_dict(), m.optimizer.state_dict(), m.scaler and m.scaler.state_dict()])
        for m in (straight, other)
    )
    assert [key for key in a | b if not identical(a.get(key), b.get(key))] == []
    a, b = flat(chance), flat(rng_state())
    assert all(identical(a[key], b[key]) for key in a)


if __name__ == "__main__":
    if len(sys.argv) > 1:
        torch.set_num_threads(1)
        one_training(**json.loads(sys.argv[1]))
    else:
        serve()
