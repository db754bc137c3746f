"""Several processes, real ones: what they compute together is what one computes alone."""

import copy
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import torchmetrics
from fakes import OneByOne, Stream
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.utils.data import DataLoader, DistributedSampler, TensorDataset

import tutorial as tl
from tutorial.callbacks import EarlyStopping, LambdaCallback, LRScheduler
from tutorial.distributed.shard import full_state_dict
from tutorial.distributed.split import RankSlice

WEIGHT = torch.tensor([1.0, 5.0, 0.2]).double()  # of the classes
N = 151  # with batches of 60: 60, 60, 31, and so 11 + 10 + 10 for three processes


def samples(count: int = N, seed: int = 0) -> TensorDataset:
    chance = torch.Generator().manual_seed(seed)
    x = torch.randn(count, 8, generator=chance, dtype=torch.float64)
    return TensorDataset(x, (x @ torch.randn(8, 3, generator=chance).double()).argmax(1))


def prepared(**options: Any) -> tl.Model:
    tl.seed(0)
    network = nn.Sequential(nn.Linear(8, 16), nn.Tanh(), nn.Linear(16, 3)).double()
    model = tl.Model(network, shard=options.pop("shard", False))
    weight = options.pop("weight", None)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
    metrics = options.pop("metrics", tl.metrics.Accuracy())
    model.prepare(optimizer, nn.CrossEntropyLoss(weight), metrics)
    return model


def outcome(model: tl.Model, history: tl.History) -> dict[str, Any]:
    """All that a training leaves behind, as plain numbers."""
    weights = [weight.tolist() for weight in full_state_dict(model.network).values()]
    return {"step_losses": history.step_losses, "rows": history.rows, "weights": weights}


def plain(batch_size: int) -> Any:
    model = prepared()
    return outcome(model, model.fit(samples(), samples(37), batch_size, epochs=3, verbose=0))


def one_by_one(batch_size: int) -> Any:
    model, data = prepared(weight=WEIGHT), OneByOne(samples())
    history = model.fit(data, data, batch_size, epochs=2, verbose=0, drop_last=True)
    return outcome(model, history)


def with_workers(batch_size: int) -> Any:
    """Other processes load whole batches."""
    model = prepared()
    call = {"batch_size": batch_size, "epochs": 2, "num_workers": 1}
    source = model.unroll("fit", samples(), samples(37), **call).source
    assert source.count("batch_size=None, sampler=indices, num_workers=1)") == 2
    return outcome(model, model.fit(samples(), samples(37), **call, verbose=0))


def accumulated(batch_size: int) -> Any:
    model = prepared()
    scheduler = torch.optim.lr_scheduler.StepLR(model.optimizer, 2, 0.5)
    history = model.fit(
        *(samples(), samples(37), batch_size),
        epochs=3,
        verbose=0,
        accumulate_grad_batches=2,
        clip_grad_norm=0.1,
        callbacks=[LRScheduler(scheduler), EarlyStopping("acc", patience=1, verbose=0)],
    )
    return outcome(model, history)


def weighted(batch_size: int) -> Any:
    model = prepared(weight=WEIGHT)
    return outcome(model, model.fit(samples(), batch_size=batch_size, shuffle=False, verbose=0))


def own_loader(batch_size: int) -> Any:
    """A loader of one's own makes the batches of all, whatever the number of processes."""
    model = prepared()
    loader = DataLoader(samples(), 60, shuffle=True)
    return outcome(model, model.fit(loader, loader, epochs=2, verbose=0, num_iters=5))


class TwoHeads(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.left, self.right = nn.Linear(8, 3), nn.Linear(8, 2)

    def forward(self, image: torch.Tensor) -> dict[str, torch.Tensor]:
        return {"three": self.left(image), "two": self.right(image)}


def two_heads(batch_size: int) -> Any:
    """Two losses, and batches that are dicts."""
    tl.seed(0)
    model = tl.Model(TwoHeads().double())
    losses = {"three": nn.CrossEntropyLoss(), "two": nn.CrossEntropyLoss()}
    metrics = {"two": tl.metrics.Accuracy()}
    model.prepare(torch.optim.SGD(model.parameters(), lr=0.1), losses, metrics)
    x, y = samples().tensors
    batches = [
        {"image": x[i : i + 60], "three": y[i : i + 60], "two": y[i : i + 60] % 2}
        for i in range(0, N, 60)
    ]
    return outcome(model, model.fit(batches, batches, epochs=2, verbose=0))


class OneHead(TwoHeads):
    """A second head is there, but nothing is made of it."""

    def forward(self, image: torch.Tensor) -> Any:
        return self.left(image)


def unused_head(batch_size: int) -> Any:
    tl.seed(0)
    model = tl.Model(OneHead().double())
    model.prepare(torch.optim.SGD(model.parameters(), lr=0.1), nn.CrossEntropyLoss())
    return outcome(model, model.fit(samples(), batch_size=batch_size, epochs=2, verbose=0))


def sharded(batch_size: int) -> Any:
    model = prepared(shard=True)
    history = model.fit(samples(), samples(37), batch_size, epochs=2, verbose=0, clip_grad_norm=0.1)
    return outcome(model, history)


def sharded_with_momentum(batch_size: int) -> Any:
    """An optimizer whose fused step does not know sharded weights."""
    tl.seed(0)
    model = tl.Model(nn.Linear(8, 3).double(), shard=True)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    model.prepare(optimizer, nn.CrossEntropyLoss())
    return outcome(model, model.fit(samples(), None, batch_size, epochs=2, verbose=0))


TRAININGS = (
    *(plain, one_by_one, with_workers, accumulated, weighted),
    *(own_loader, two_heads, unused_head, sharded),
)


@pytest.mark.parametrize(
    ("train", "processes"),
    [
        *((train, 2) for train in TRAININGS),
        pytest.param(sharded_with_momentum, 2, marks=pytest.mark.slow),
        *(pytest.param(train, 3, marks=pytest.mark.slow) for train in (plain, own_loader, sharded)),
    ],
)
def test_together_they_train_as_one_does_alone(train: Callable[[int], Any], processes: int) -> None:
    alone = train(60)
    for together in tl.launch(train, 60 // processes, processes=processes):
        assert_close(together, alone)


def assert_close(together: Any, alone: Any) -> None:
    assert [len(row) for row in together["rows"]] == [len(row) for row in alone["rows"]]
    for kind in alone:
        torch.testing.assert_close(together[kind], alone[kind], rtol=0, atol=1e-10)


# ---- evaluate and predict


def measured(count: int, shard: bool = False) -> Any:
    binary = [tl.metrics.Precision(), tl.metrics.Recall(), tl.metrics.Auc()]
    data = samples(count)
    tl.seed(0)
    model = tl.Model(nn.Sequential(nn.Linear(8, 1), nn.Sigmoid()).double(), shard=shard)
    model.prepare(None, nn.BCELoss(), binary)
    labels = (data.tensors[1] == 0).double()[:, None]
    result = model.evaluate(TensorDataset(data.tensors[0], labels), batch_size=4, verbose=0)
    batches = model.predict(data, batch_size=4, verbose=0)[0]
    return result, [batch.tolist() for batch in batches]


def all_measured() -> list[Any]:
    return [measured(count) for count in (1, 4, 9, 51)]


@pytest.mark.filterwarnings("ignore:evaluate. nan for auc")  # one sample is of one class
def test_each_evaluates_a_run_and_all_know_all() -> None:
    alone = all_measured()
    for together in tl.launch(all_measured, processes=3):
        for (all_of_it, predicted), (result, batches) in zip(together, alone, strict=True):
            assert all_of_it == pytest.approx(result, abs=1e-12, nan_ok=True)
            assert predicted == batches  # the very batches of one process, in order


def test_parts_of_weights_evaluate_alike() -> None:
    result, batches = measured(9)
    [(all_of_it, predicted), _] = tl.launch(measured, 9, True)
    assert all_of_it == pytest.approx(result, abs=1e-12)
    torch.testing.assert_close(predicted, batches, rtol=0, atol=1e-12)


class Wrong(tl.metrics.Metric):
    """How many are wrong; a metric of one's own."""

    sums = ("count",)

    def name(self) -> str:
        return "wrong"

    def reset(self) -> None:
        self.count = 0

    def update(self, y_hat: Any, y: Any) -> None:
        self.count += int((y_hat.argmax(1) != y).sum())

    def compute(self) -> torch.Tensor:
        return torch.tensor(self.count)


def with_all_metrics() -> Any:
    theirs = torchmetrics.classification.MulticlassF1Score(3)
    model = prepared(metrics=[tl.metrics.Accuracy((1, 2)), Wrong(), theirs])
    model.fit(samples(), samples(37), 20, verbose=0)
    return model.evaluate(samples(50), batch_size=4, verbose=0)


def test_metrics_of_all_kinds_count_what_all_processes_see() -> None:
    alone = with_all_metrics()
    for together in tl.launch(with_all_metrics):  # 2 x 20 differs, so the weights do
        assert together["wrong"] == round((1 - together["acc_top1"]) * 50)
        assert together.keys() == alone.keys()
    assert tl.launch(evaluated_only) == [evaluated_only()] * 2


def evaluated_only() -> Any:
    theirs = torchmetrics.MetricCollection(
        {
            "f1": torchmetrics.classification.MulticlassF1Score(3),
            "matrix": torchmetrics.classification.MulticlassConfusionMatrix(3),
        }
    )
    model = prepared(metrics=[tl.metrics.Accuracy((1, 2)), Wrong(), AllClasses(), theirs])
    result = model.evaluate(samples(50), batch_size=4, verbose=0)
    matrix = result.pop("matrix").tolist()
    return {name: round(value, 6) for name, value in result.items()} | {"matrix": matrix}


class AllClasses(tl.metrics.Metric):
    """How many samples there are, once each class was seen."""

    joined = ("seen",)

    def name(self) -> str:
        return "samples"

    def reset(self) -> None:
        self.seen: list[torch.Tensor] = []

    def update(self, y_hat: Any, y: Any) -> None:
        self.seen.append(y)

    def compute(self) -> Any:
        seen = torch.cat(self.seen)
        if len(seen.unique()) < 3:
            raise ValueError("some classes were not seen")
        return float(len(seen))


# ---- shares


@given(
    sizes=st.lists(st.integers(1, 40), max_size=5),
    processes=st.integers(1, 7),
)
def test_the_parts_of_a_batch_are_the_batch(sizes: list[int], processes: int) -> None:
    batches = [list(range(100 * i, 100 * i + size)) for i, size in enumerate(sizes)]
    shares = [list(RankSlice(batches, rank, processes)) for rank in range(processes)]
    for batch, *parts in zip(batches, *shares, strict=True):
        if len(batch) < processes:  # all work on all of it
            assert parts == [batch] * processes
        else:
            assert sorted(i for part in parts for i in part) == batch
            assert max(map(len, parts)) - min(map(len, parts)) <= 1


def test_a_share_of_tensors_keeps_their_nest() -> None:
    x, y = torch.arange(10).reshape(5, 2), torch.arange(5)
    [(inputs, label)] = RankSlice([({"image": x}, y)], rank=1, world_size=2)
    assert inputs["image"].tolist() == x[1::2].tolist()
    assert label.tolist() == [1, 3]
    assert len(RankSlice([1, 2, 3], 0, 2)) == 3


# ---- what only several processes have


def unrolled() -> str:
    model = prepared()
    return "".join(
        model.unroll(method, samples()).source for method in ("fit", "evaluate", "predict")
    )


def test_the_lines_are_there_only_for_several_processes() -> None:
    alone, [first, second] = unrolled(), tl.launch(unrolled)
    assert first == second  # one program for all
    for line in (
        "rank, world_size = dist.get_rank(), dist.get_world_size()",
        "network = nn.parallel.DistributedDataParallel(network, forward_sync_buffers=False)",
        "64, shuffle=True, rank=rank, world_size=world_size)",
        "order = range(len(test_data))[rank * count : (rank + 1) * count]",
        "test_loader = Batches(Subset(test_data, order), batch_size=64)",
        "dist.all_reduce(totals)",
        "dist.all_gather_object(runs, y_hats)",
    ):
        assert line in first
        assert line not in alone
    assert "dist." not in alone
    assert "dist." not in tl.launch(unrolled, processes=1)[0]


def unlike() -> Any:
    tl.seed(dist_rank())  # each has weights of its own
    network = nn.Sequential(nn.Linear(8, 16), nn.BatchNorm1d(16), nn.Linear(16, 3)).double()
    model = tl.Model(network)
    began = copy.deepcopy(network.state_dict())
    model.prepare(torch.optim.SGD(model.parameters(), lr=0.1), nn.CrossEntropyLoss())
    model.fit(samples(), batch_size=20, epochs=2, verbose=0)
    ended = network.state_dict()
    return [{name: value.tolist() for name, value in state.items()} for state in (began, ended)]


def dist_rank() -> int:
    return int(os.environ.get("RANK", 0))


def test_all_begin_and_end_with_the_same_network() -> None:
    first, second = tl.launch(unlike)
    assert first == second
    assert first[0] != first[1]
    assert unlike()[0] == first[0]  # that of the first process


class Noted(OneByOne):
    """It notes which samples it was asked for."""

    def __init__(self) -> None:
        super().__init__(samples())
        self.asked: list[int] = []

    def __getitem__(self, i: int) -> Any:
        self.asked.append(i)
        return super().__getitem__(i)


def asked_for() -> list[int]:
    model, data = prepared(), Noted()
    tl.seed(dist_rank())  # each would draw an order of its own
    model.fit(data, batch_size=20, epochs=2, verbose=0)
    return data.asked


def test_all_draw_one_order_so_every_sample_is_used_once() -> None:
    asked = [i for each in tl.launch(asked_for) for i in each]
    assert sorted(asked) == sorted([*range(N), *range(N)])  # the look before leaves no trace


def by_hand() -> Any:
    model = prepared()
    x, y = samples(40).tensors
    half = slice(dist_rank() * 20, dist_rank() * 20 + 20) if "RANK" in os.environ else slice(40)
    for _ in range(3):
        model.train_batch(x[half], y[half])
    return [weight.tolist() for weight in model.parameters()]


def test_train_batch_takes_the_mean_over_all() -> None:
    for weights in tl.launch(by_hand):
        torch.testing.assert_close(weights, by_hand(), rtol=0, atol=1e-10)


def stopped_by_the_second() -> Any:
    def stop(epoch: int, logs: Any) -> None:
        model.stop_training = dist_rank() == 1

    model = prepared()
    history = model.fit(
        *(samples(), samples(37)),
        epochs=5,
        eval_freq=2,
        verbose=0,
        callbacks=LambdaCallback(on_epoch_end=stop),
    )
    return history.rows


def test_one_may_end_the_training_of_all() -> None:
    first, second = tl.launch(stopped_by_the_second)
    assert len(first) == 1
    assert "eval_loss" in first[0]
    assert first == second


def printed(folder: Path) -> None:
    model = prepared()
    with open(folder / f"{dist_rank()}.txt", "w") as file:
        os.dup2(file.fileno(), 1)
        model.fit(samples(), samples(37), 30, save_dir=folder)
        program = model.unroll("evaluate", samples())
        program.run()
        model.save(folder / f"saved_by_{dist_rank()}")
        print("", flush=True)


def test_the_first_one_shows_and_saves(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    tl.launch(printed, tmp_path)
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == ["0.pt", "0.txt", "1.txt", "final.pt", "saved_by_0.pt"]


def halves() -> Any:
    model = prepared(shard=True)
    model.fit(samples(), batch_size=20, verbose=0)
    tensors = [*model.parameters()]
    tensors += [state["exp_avg"] for state in model.optimizer.state.values()]
    assert all(weight.grad is None for weight in model.parameters())
    return sum(t.to_local().numel() for t in tensors), sum(t.numel() for t in tensors)


def test_parts_of_weights_need_a_part_of_the_memory() -> None:
    [(first, whole), (second, _)] = tl.launch(halves)
    assert first + second == whole
    assert first == pytest.approx(whole / 2, rel=0.1)


def resumed(folder: Path, epochs: int, shard: bool) -> Any:
    model = prepared(shard=shard)
    history = model.fit(
        *(samples(), samples(37), 30), epochs=epochs, verbose=0, save_dir=folder, resume=True
    )
    return outcome(model, history)


@pytest.mark.parametrize("shard", [False, True])
def test_a_training_goes_on_exactly_and_in_any_number_of_processes(
    tmp_path: Path, shard: bool
) -> None:
    tl.launch(resumed, tmp_path / "a", 1, shard)
    [broken_off, _] = tl.launch(resumed, tmp_path / "a", 3, shard)
    [in_one_go, _] = tl.launch(resumed, tmp_path / "b", 3, shard)
    assert broken_off == in_one_go  # in every bit
    alone = resumed(tmp_path / "a", 4, shard=False)
    assert alone["step_losses"][: len(in_one_go["step_losses"])] == in_one_go["step_losses"]


# ---- what goes wrong


def fails() -> None:
    if dist_rank() == 1:
        raise ZeroDivisionError("something of the second one's")
    model = prepared()
    model.fit(samples(), verbose=0)


def test_a_failure_of_one_is_told_with_its_reason() -> None:
    with pytest.raises(RuntimeError, match=r"process 1 failed: ZeroDivisionError: something of"):
        tl.launch(fails)


def killed_in_fit() -> None:
    def kill(step: int, logs: Any) -> None:
        if dist_rank() == 1 and step == 1:
            os.kill(os.getpid(), 9)

    prepared().fit(samples(), verbose=0, callbacks=LambdaCallback(on_train_batch_end=kill))


def test_a_killed_one_ends_all_and_is_named() -> None:
    with pytest.raises(RuntimeError, match="process 1 was killed by SIGKILL; the others were"):
        tl.launch(killed_in_fit)


def test_a_launch_leaves_signals_as_they_were() -> None:
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)
    before = [signal.getsignal(number) for number in numbers]
    tl.launch(dist_rank)
    assert [signal.getsignal(number) for number in numbers] == before


def test_launch_refuses_what_is_no_number() -> None:
    with pytest.raises(ValueError, match="processes is 0, but an integer of at least 1"):
        tl.launch(print, processes=0)


def refused() -> list[str]:
    model, said = prepared(), []
    loader = DataLoader(samples(), sampler=DistributedSampler(samples(), 2, dist_rank()))
    for call in (
        lambda: model.fit(loader, verbose=0),
        lambda: model.evaluate(Stream(samples()), verbose=0),
        lambda: prepared(metrics=Unknown()).evaluate(samples(), verbose=0),
        lambda: model.unroll("predict", samples()).verify(),
    ):
        try:
            call()
        except (TypeError, ValueError) as error:
            said.append(str(error).split("\n")[0])
    return said


class Unknown(Wrong):
    sums = ()


def test_what_cannot_be_shared_is_refused() -> None:
    assert refused() == []  # alone, all of it is fine
    for said in tl.launch(refused):
        assert [line[: line.index(",")] for line in said] == [
            "train_data has a DistributedSampler",
            "eval_data is an IterableDataset",
            "metrics holds Unknown",
            "verify: 2 processes train together",
        ]
