"""Two runs compared: in each test just what its name says was changed."""

import math
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset, TensorDataset

import tutorial as tl
from tutorial.history import History

X = torch.linspace(-1, 1, 96 * 8).sin().reshape(96, 8).clone()
Y = torch.arange(96) % 3


def fill(network: nn.Module) -> None:
    """Weights without a random number."""
    for number, weight in enumerate(network.parameters(), start=1):
        with torch.no_grad():
            weight.copy_(torch.arange(weight.numel()).mul(number).sin().reshape(weight.shape))


class Parts:
    """What a run is made of; each test changes some of it."""

    def __init__(self) -> None:
        self.network: nn.Module = nn.Sequential(nn.Linear(8, 6), nn.ReLU(), nn.Linear(6, 3))
        fill(self.network)
        self.data: Any = TensorDataset(X.clone(), Y.clone())
        self.optimizer: Callable[..., Any] = torch.optim.SGD
        self.settings: dict[str, Any] = {"lr": 0.1}
        self.loss: Any = nn.CrossEntropyLoss()
        self.seed = 0
        self.options: dict[str, Any] = {"batch_size": 16, "epochs": 2}
        self.precision = "32"

    def run(self) -> History:
        model = tl.Model(self.network)
        optimizer = self.optimizer(model.parameters(), **self.settings)
        model.prepare(optimizer, self.loss, precision=self.precision)
        tl.seed(self.seed)
        return model.fit(self.data, verbose=0, **self.options)


def run(change: Callable[[Parts], Any] = lambda parts: None) -> History:
    parts = Parts()
    change(parts)
    return parts.run()


@pytest.fixture(scope="module")
def theirs() -> History:
    tl.set_device("cpu")
    return run()


def first_difference(mine: History, theirs: History) -> int:
    """By NumPy's eyes: none of the library's code."""
    losses = zip(mine.step_losses, theirs.step_losses, strict=False)
    return next(i for i, (a, b) in enumerate(losses) if a != b)


def test_equal_runs_are_told_so(theirs) -> None:
    again = tl.compare(run(), theirs)
    assert repr(again).startswith("Equal in every bit: 12 steps.")
    assert again.equal and (again.step, again.difference, again.reasons) == (None, None, [])


# ---- one change


class Shifted(Dataset):
    """Samples that are computed when they are fetched."""

    def __init__(self, shift: float) -> None:
        self.shift = shift

    def __len__(self) -> int:
        return 96

    def __getitem__(self, i: int) -> tuple[torch.Tensor, torch.Tensor]:
        return X[i] + self.shift, Y[i]


def scaled_loss(factor: float) -> Callable[..., torch.Tensor]:
    def my_loss(y_hat: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return factor * nn.functional.cross_entropy(y_hat, y)

    return my_loss


def own_loss(y_hat: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    return nn.functional.cross_entropy(y_hat, y)


def set_to(name: str, value: Any) -> Callable[[Parts], None]:
    return lambda parts: setattr(parts, name, value)


def option(**options: Any) -> Callable[[Parts], None]:
    return lambda parts: parts.options.update(options)


def setting(**settings: Any) -> Callable[[Parts], None]:
    return lambda parts: parts.settings.update(settings)


def one_weight(parts: Parts) -> None:
    with torch.no_grad():
        parts.network[2].bias[1] += 0.5


def one_label(parts: Parts) -> None:
    parts.data.tensors[1][40] = (Y[40] + 1) % 3


def with_loader(**options: Any) -> Callable[[Parts], None]:
    def change(parts: Parts) -> None:
        parts.data = DataLoader(parts.data, **({"batch_size": 16, "shuffle": True} | options))

    return change


def generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def smaller(parts: Parts) -> None:
    parts.network = nn.Sequential(nn.Linear(8, 5), nn.ReLU(), nn.Linear(5, 3))
    fill(parts.network)


def frozen(parts: Parts) -> None:
    parts.network[0].requires_grad_(False)


def with_dropout(p: float) -> Callable[[Parts], None]:
    return lambda parts: parts.network.insert(1, nn.Dropout(p))


nothing = with_loader()
ONE = {
    "the seed": (set_to("seed", 1), None, 0, r"1 in mine, 0 in theirs"),
    "the network, smaller": (smaller, None, 0, r"0 Linear\(in_features=8, out_features=5\) in"),
    "the network, dropout": (with_dropout(0.1), with_dropout(0.6), 0, r"1 Dropout\(p=0.1, .*0.6"),
    "the weights at the start": (one_weight, None, 0, "^2.bias has other numbers$"),
    "the batch size": (option(batch_size=8), None, 0, "^8 in mine, 16 in theirs$"),
    "the batch size, of a loader": (with_loader(batch_size=8), nothing, 0, "8 in mine, 16 in"),
    "the order of batches": (option(shuffle=False), None, 0, "^False in mine, True in theirs$"),
    "the order of batches, of a loader": (
        with_loader(generator=generator(1)),
        with_loader(generator=generator(2)),
        0,
        "generator has other numbers",
    ),
    "the order of batches, in turn": (with_loader(shuffle=False), nothing, 0, "Sequential.*Rand"),
    "the data": (one_label, None, None, "^tensors.1 has other numbers$"),
    "the data, another class": (set_to("data", Shifted(0.5)), None, 0, "^Shifted in mine, Tensor"),
    "the data, computed": (
        set_to("data", Shifted(0.5)),
        set_to("data", Shifted(0.0)),
        0,
        "^shift 0.5 in mine, 0.0 in theirs$",
    ),
    "the loss": (
        set_to("loss", nn.CrossEntropyLoss(label_smoothing=0.1)),
        None,
        0,
        "^label_smoothing 0.1 in mine, 0.0 in theirs$",
    ),
    "the loss, what it knows": (
        set_to("loss", scaled_loss(0.5)),
        set_to("loss", scaled_loss(0.25)),
        0,
        "^factor 0.5 in mine, 0.25 in theirs$",
    ),
    "the loss, a function": (
        set_to("loss", scaled_loss(2.0)),
        set_to("loss", own_loss),
        0,
        "my_loss in mine, own_loss in theirs",
    ),
    "the precision": (set_to("precision", "bf16-mixed"), None, 0, "bf16-mixed in mine, 32"),
    "the learning rate": (setting(lr=0.01), None, 1, "^0.01 in mine, 0.1 in theirs$"),
    "the optimizer": (set_to("optimizer", torch.optim.Adam), None, 1, "^Adam in mine, SGD in"),
    "the optimizer, momentum": (setting(momentum=0.9), None, 2, "^momentum 0.9 in mine, 0 in"),
    "the weights that do not learn": (frozen, None, 1, r"\['0.weight', '0.bias'\] in mine, \[\]"),
    "clip_grad_norm": (option(clip_grad_norm=0.01), None, 1, "^0.01 in mine, None in theirs$"),
    "accumulate_grad_batches": (option(accumulate_grad_batches=2), None, 1, "2 in mine, 1 in"),
    "evaluation between epochs": (
        option(eval_data=TensorDataset(X, Y)), None, 6, "^every 1 epochs in mine, never in theirs$"
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", ONE)
def test_the_one_thing_that_was_changed_is_named(name: str, theirs: History) -> None:
    change, other, step, details = ONE[name]
    mine, theirs = run(change), theirs if other is None else run(other)
    found = tl.compare(mine, theirs)
    assert [reason.what for reason in found.reasons] == [name.partition(",")[0]], found
    assert found.others == []
    (reason,) = found.reasons
    assert re.search(details, reason.details), reason.details
    at = first_difference(mine, theirs)
    assert found.step == at and (step is None or at == step)
    assert found.difference == mine.step_losses[at] - theirs.step_losses[at]
    assert f"from step {at + 1} on" in repr(found) and str(reason) in repr(found)


def with_loop(old: str = "", new: str = "") -> Callable[[Parts], None]:
    """The library's loop, handed back, with a line changed."""

    def change(parts: Parts) -> None:
        model = tl.Model(parts.network)
        model.prepare(parts.optimizer(model.parameters(), **parts.settings), parts.loss)
        source = model.unroll("fit", parts.data, **parts.options).source
        assert old in source
        parts.options["loop"] = source.replace(old, new)

    return change


def test_a_loop_of_ones_own_is_told_by_its_lines(theirs: History) -> None:
    assert tl.compare(run(with_loop()), theirs).equal
    double = with_loop("        loss.backward()", "        (2 * loss).backward()")
    (reason,) = tl.compare(run(double), theirs).reasons
    assert reason.what == "the loop"
    assert "(2 * loss).backward() only in mine; loss.backward() only in theirs" in reason.details
    both_changed = tl.compare(run(both(setting(lr=0.01), double)), theirs)
    assert [r.what for r in both_changed.reasons] == ["the learning rate", "the loop"]


def test_schedules_and_callbacks_are_told_but_not_those_that_only_watch(theirs: History) -> None:
    class Halve(tl.callbacks.Callback):
        def on_train_batch_begin(self, step: int, logs: Any = None) -> None:
            self.model.optimizer.param_groups[0]["lr"] *= 0.5

    def halving(parts: Parts) -> None:
        parts.options["callbacks"] = [Halve(), tl.callbacks.Insight()]

    found = tl.compare(run(halving), theirs)
    assert [reason.what for reason in found.reasons] == ["the callbacks"]
    assert "Halve" in found.reasons[0].details and found.step == 1
    assert tl.compare(run(option(callbacks=tl.callbacks.Insight())), theirs).equal

    def scheduled(parts: Parts) -> None:
        made: list[Any] = []

        def optimizer(parameters: Any, **settings: Any) -> torch.optim.Optimizer:
            made.append(torch.optim.SGD(parameters, **settings))
            schedule = torch.optim.lr_scheduler.StepLR(made[0], 1, gamma=0.5)
            parts.options["callbacks"] = tl.callbacks.LRScheduler(schedule)
            return made[0]

        parts.optimizer = optimizer

    found = tl.compare(run(scheduled), theirs)
    assert "the schedule of the learning rate" in [r.what for r in (*found.reasons, *found.others)]
    assert found.step == 2  # the first update still has the whole rate


def test_a_run_that_was_resumed_says_so(theirs: History, tmp_path: Path) -> None:
    kept = option(save_dir=tmp_path, resume=True)
    run(both(kept, option(epochs=1)))
    resumed = run(kept)
    assert tl.compare(resumed, theirs).equal
    found = tl.compare(changed(resumed, 9, 0.5), theirs)
    assert "Mine went on from a checkpoint: its start is not noted." in repr(found)


@pytest.mark.parametrize("began", [{"machine": 3}, {"new": {"a": 1}}, {"network": []}])
def test_a_file_may_note_other_things(theirs: History, began: dict[str, Any]) -> None:
    other = History([9.0], [], began={**theirs.began, **began})
    own = History([8.0], [], began={**theirs.began, "new": 1})
    assert repr(tl.compare(own, other))
    assert repr(tl.compare(History([8.0], [], began=began), theirs))


# ---- two changes


def both(*changes: Callable[[Parts], None]) -> Callable[[Parts], None]:
    def change(parts: Parts) -> None:
        for one in changes:
            one(parts)

    return change


TWO = {
    "shown at once": (
        [set_to("seed", 1), one_weight],
        ["the seed", "the weights at the start"],
        [],
    ),
    "the second shows later": (
        [option(batch_size=8), setting(lr=0.01)],
        ["the batch size"],
        ["the learning rate"],
    ),
    "both show later": (
        [setting(lr=0.01), option(clip_grad_norm=0.01)],
        ["the learning rate", "clip_grad_norm"],
        [],
    ),
    "another seed that is not used": (
        [option(shuffle=False), setting(lr=0.01), set_to("seed", 1)],
        ["the learning rate"],
        ["the seed"],
    ),
    "network and data": ([with_dropout(0.5), one_label], ["the network", "the data"], []),
}


@pytest.mark.parametrize("name", TWO)
def test_of_two_changes_both_are_told_and_what_cannot_be_the_first_is_set_apart(name) -> None:
    changes, reasons, others = TWO[name]
    unchanged = option(shuffle=False) if "not used" in name else lambda parts: None
    found = tl.compare(run(both(*changes)), run(unchanged))
    assert [reason.what for reason in found.reasons] == reasons
    assert [reason.what for reason in found.others] == others
    assert ("would have shown at another step" in repr(found)) == bool(others)


# ---- no reason


SECRET = {"scale": 1.0}


def loss_with_a_secret(y_hat: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    return SECRET["scale"] * nn.functional.cross_entropy(y_hat, y)


def test_where_the_reason_cannot_be_known_it_says_so(monkeypatch) -> None:
    theirs = run(set_to("loss", loss_with_a_secret))
    monkeypatch.setitem(SECRET, "scale", 1.5)
    found = tl.compare(run(set_to("loss", loss_with_a_secret)), theirs)
    assert (found.step, found.reasons, found.others) == (0, [], [])
    assert "The reason cannot be known: all that is noted of the start is equal" in repr(found)
    assert "functions that your functions call" in repr(found)


def test_what_would_have_shown_at_another_step_is_not_made_the_reason(monkeypatch) -> None:
    theirs = run(both(set_to("loss", loss_with_a_secret), setting(lr=0.01)))
    monkeypatch.setitem(SECRET, "scale", 1.5)
    found = tl.compare(run(set_to("loss", loss_with_a_secret)), theirs)
    assert found.reasons == [] and [reason.what for reason in found.others] == ["the learning rate"]
    assert "The reason cannot be known. These are different, but would have shown" in repr(found)


def changed(history: History, step: int, by: float, **noted: Any) -> History:
    """The same run with another loss at a step, and other things noted of its start."""
    losses = [loss + by * (i >= step) for i, loss in enumerate(history.step_losses)]
    began = history.began | {name: history.began[name] | values for name, values in noted.items()}
    return History(losses, history.rows, began=began)


def test_threads_are_a_reason_only_for_what_rounding_makes(theirs: History) -> None:
    little = tl.compare(changed(theirs, 3, 1e-7, machine={"threads": 8}), theirs)
    assert [reason.what for reason in little.reasons] == ["the number of threads"]
    assert "as little as rounding makes" in repr(little)
    much = tl.compare(changed(theirs, 3, 0.1, machine={"threads": 8}), theirs)
    assert much.reasons == [] and [r.what for r in much.others] == ["the number of threads"]
    other = tl.compare(changed(theirs, 0, 1e-7, machine={"processor": "arm64 NEON"}), theirs)
    assert [reason.what for reason in other.reasons] == ["the machine"]
    unknown = tl.compare(changed(theirs, 3, 1e-7), theirs)
    assert "Some operations round differently each time" in repr(unknown)


def test_code_is_not_compared_between_versions_of_python(theirs: History) -> None:
    mine, other = run(set_to("loss", own_loss)), run(set_to("loss", own_loss))
    other.began["loss"] = {"loss_fn": "own_loss:00000000"}
    assert tl.compare(changed(mine, 0, 0.1), other).reasons[0].details == "own_loss has other code"
    other.began["machine"] = other.began["machine"] | {"python": "3.99"}
    found = tl.compare(changed(mine, 0, 0.1), other)
    assert found.reasons == [] and [reason.what for reason in found.others] == ["the machine"]


def test_the_random_state_after_the_same_seed(theirs: History) -> None:
    parts = Parts()
    model = tl.Model(parts.network)
    model.prepare(torch.optim.SGD(model.parameters(), lr=0.1), parts.loss)
    tl.seed(0)
    torch.rand(1)
    mine = model.fit(parts.data, verbose=0, **parts.options)
    (reason,) = tl.compare(mine, theirs).reasons
    assert reason.what == "the random state"
    assert "the same seed, 0, but after it other numbers were drawn" in reason.details


# ---- what else is told


def test_a_run_that_goes_on_is_equal_as_far_as_both_go(theirs: History) -> None:
    found = tl.compare(run(option(epochs=3)), theirs)
    assert found.step is None and not found.equal
    expected = "Equal in every bit as far as both go, 12 steps; mine goes on for 6 steps more."
    assert repr(found).startswith(expected)
    assert "theirs goes on for 6 steps" in repr(tl.compare(theirs, run(option(epochs=3))))


def test_equal_steps_with_other_validation_data_are_told(theirs: History) -> None:
    evaluated = [run(option(eval_data=TensorDataset(X[:count], Y[:count]))) for count in (8, 16)]
    found = tl.compare(*evaluated)
    assert not found.equal and found.step is None
    assert re.match(
        r"Equal in every bit: 12 steps; but eval_loss of epoch 1 is [\d.]+ and", repr(found)
    )
    once = [option(epochs=1), both(option(epochs=1, eval_data=TensorDataset(X[:8], Y[:8])))]
    found = tl.compare(run(once[1]), run(once[0]))
    assert "6 steps; but only mine has eval_loss of epoch 1." in repr(found)


@pytest.mark.parametrize(
    ("a", "b", "step", "words"),
    [
        ([1.0, math.nan], [1.0, math.nan], None, "Equal in every bit: 2 steps."),
        ([1.0, math.nan], [1.0, 2.0], 1, "its loss is nan in mine and 2.000 in theirs."),
        ([math.inf], [-math.inf], 0, "its loss is inf in mine and -inf in theirs."),
        (
            [0.1],
            [math.nextafter(0.1, 1)],
            0,
            "0.10000000000000001 in mine and 0.10000000000000002 in theirs",
        ),
        ([], [], None, "There is no step to compare"),
        ([0.0], [-0.0], None, "Equal in every bit"),
    ],
)
def test_losses_that_are_no_numbers_or_close(a, b, step, words) -> None:
    found = tl.compare(History(a, []), History(b, []))
    assert found.step == step and words in repr(found)


def test_in_a_notebook_it_is_text_curves_and_a_table(theirs: History) -> None:
    found = tl.compare(run(setting(lr=0.01)), theirs)
    html = found._repr_html_()
    for line in [found.verdict(), *found.explanation()]:
        assert line.removeprefix("- ") in html
    assert html.count("<li>") == html.count("</li>") == 1 and html.count("</ul>") == 1
    alternative = re.search('<img [^>]*alt="([^"]*)"', html)
    assert alternative and alternative[1].endswith("; apart from step 2 on")
    assert "how far apart" in html and "epoch 2</th>" in html
    assert "http:" not in html.replace("http://www.w3.org/2000/svg", "") and "<script" not in html
    equal = tl.compare(theirs, theirs)._repr_html_()
    assert "how far apart" not in equal and "they are equal" in equal and "<ul" not in equal
    one = tl.compare(History([math.nan], []), History([-1.0], []))._repr_html_()
    assert "<img" not in one  # no curve of one step
    tl.compare(History([math.nan, -1.0], []), History([-1.0, math.inf], []))._repr_html_()


def test_without_a_noted_start_it_says_whose(theirs: History) -> None:
    found = tl.compare(History([0.5], []), theirs)
    assert "The reason cannot be known: of mine it is not noted where it began" in repr(found)


def test_files_are_compared_too_also_of_another_process(tmp_path: Path, theirs: History) -> None:
    path = theirs.save(tmp_path / "theirs")
    found = tl.compare(str(path), path)
    assert found.equal and repr(found) == repr(tl.compare(theirs, theirs))
    reasons = tl.compare(run(setting(lr=0.01)), tmp_path / "theirs").reasons
    assert [reason.what for reason in reasons] == ["the learning rate"]
    with pytest.raises(TypeError, match=r"theirs is 7, but a History is expected, .* or the path"):
        tl.compare(theirs, 7)  # type: ignore[arg-type]
    with pytest.raises(FileNotFoundError, match="no such file"):
        tl.compare(tmp_path / "gone", theirs)


@pytest.mark.slow
def test_the_same_run_in_another_process_began_equally(tmp_path: Path, theirs: History) -> None:
    program = "import test_comparison as t, sys; t.run().save(sys.argv[1])"
    environment = {**os.environ, "PYTHONHASHSEED": "77", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", program, str(tmp_path / "there")]
    subprocess.run(command, cwd=Path(__file__).parent, env=environment, check=True)
    there = History.load(tmp_path / "there")
    own = {k: v for k, v in theirs.began["machine"].items() if k != "threads"}
    assert {k: v for k, v in there.began["machine"].items() if k != "threads"} == own
    for name in theirs.began.keys() - {"machine"}:
        assert there.began[name] == theirs.began[name], name


# ---- what noting the start costs


def test_noting_the_start_draws_no_number_and_reads_no_sample() -> None:
    class Counting(Shifted):
        reads = 0

        def __getitem__(self, i: int) -> Any:
            Counting.reads += 1
            return super().__getitem__(i)

    from tutorial.saving.fingerprints import fingerprint

    before = torch.get_rng_state()
    noted = fingerprint(DataLoader(Counting(0.5), batch_size=4, shuffle=True))
    assert Counting.reads == 0 and torch.equal(torch.get_rng_state(), before)
    assert noted["batch_size"] == 4 and noted["dataset"]["shift"] == 0.5
    assert noted["sampler"][""] == "RandomSampler"
