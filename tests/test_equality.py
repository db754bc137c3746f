"""The claim itself: fit, its script in a fresh process and a loop by hand agree in every bit.

The cases are drawn pairwise: every two values of every two options meet in some case.
"""

import copy
import itertools
import random
from collections.abc import Callable
from contextlib import nullcontext
from inspect import signature
from pathlib import Path
from typing import Any

import pytest
import torch
import warm
from torch import nn
from torch.utils.data import DataLoader, Dataset, TensorDataset

import tutorial as tl
from tutorial import loops
from tutorial.unroll import specialize
from tutorial.unroll.proof import flat, identical

OPTIONS: dict[str, list[Any]] = {
    "optimizer": ["SGD", "Adam", "AdamW", "RMSprop", "Adagrad", "Adamax", "Adadelta"],
    "network": ["dropout", "batch norm", "two heads"],
    "class_weights": [False, True],
    "metrics": [0, 1, 2],
    "data": ["tensors", "samples", "loader", "batches", "dicts"],
    "eval_data": [False, True],
    "batch_size": [32, 50],  # of 150 samples: 4 * 32 + 22, and 3 * 50
    "epochs": [1, 3],
    "eval_freq": [1, 2],
    "shuffle": [False, True],
    "drop_last": [False, True],
    "accumulate_grad_batches": [1, 2, 3],
    "clip_grad_norm": [None, 0.5],
    "num_iters": [None, 2, 7],
    "schedule": [None, "step", "epoch"],
    "amp_configs": [None, "O1", "O2", "float16"],
    "callbacks": [None, "recorder", "early stopping"],
    "save_dir": [False, True],
}


def pairwise(options: dict[str, list[Any]], seed: int) -> list[dict[str, Any]]:
    """Few cases in which every pair of values of every two options occurs (greedy, seeded)."""
    chance = random.Random(seed)
    names = list(options)
    missing = {
        (a, u, b, v)
        for a, b in itertools.combinations(range(len(names)), 2)
        for u in range(len(options[names[a]]))
        for v in range(len(options[names[b]]))
    }
    cases = []
    while missing:
        tries = [[chance.randrange(len(options[name])) for name in names] for _ in range(60)]
        covered = [
            {(a, t[a], b, t[b]) for a, b in itertools.combinations(range(len(names)), 2)}
            for t in tries
        ]
        best = max(range(60), key=lambda i: len(covered[i] & missing))
        if covered[best] & missing:
            cases.append({n: options[n][i] for n, i in zip(names, tries[best], strict=True)})
        missing -= covered[best]
    return cases


# Every pair of values, in five different surroundings.
CASES = [case for seed in range(5) for case in pairwise(OPTIONS, seed)]


class Samples(Dataset):
    """A data set that must be asked for one sample at a time, and forgets how it was made."""

    def __init__(self, count: int, keys: tuple[str, ...] = ()) -> None:
        self.keys = keys
        self.x = torch.randn(count, 8)
        self.y = (self.x @ torch.randn(8, 3)).argmax(1)

    def whole(self) -> tuple[torch.Tensor, ...]:
        """The inputs and the labels; of two heads, two of each."""
        if "left" in self.keys:
            return self.x[:, :5], self.x[:, 5:], self.y, (self.y > 0).long()
        return self.x, self.y

    def __len__(self) -> int:
        return len(self.x)

    def __getitem__(self, index: int) -> Any:
        if not isinstance(index, int):
            raise TypeError("one at a time")
        return tuple(part[index] for part in self.whole())


class Dicts(Samples):
    def __getitem__(self, index: int) -> Any:
        return dict(zip(self.keys, super().__getitem__(index), strict=True))


class Normed(nn.Module):
    def __init__(self, hidden: int = 16) -> None:
        super().__init__()
        self.hidden = hidden
        self.layers = nn.Sequential(
            nn.Linear(8, hidden), nn.BatchNorm1d(hidden), nn.Linear(hidden, 3)
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layers(torch.tanh(x))


class TwoHeads(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.left, self.right = nn.Linear(5, 8), nn.Linear(3, 8)
        self.heads = nn.ModuleList([nn.Linear(8, 3), nn.Linear(8, 2)])

    def forward(self, left: torch.Tensor, right: torch.Tensor) -> list[torch.Tensor]:
        hidden = torch.relu(self.left(left) + self.right(right))
        return [head(hidden) for head in self.heads]


class Recorder(tl.callbacks.Callback):
    """Keeps what it is told."""

    def on_train_begin(self, logs: Any = None) -> None:
        self.logs: list[Any] = [logs]

    def on_train_batch_end(self, step: int, logs: Any = None) -> None:
        self.logs.append((step, logs))

    def on_eval_end(self, logs: Any = None) -> None:
        self.logs.append(logs)


def make_network(case: dict[str, Any]) -> nn.Module:
    if case["network"] == "batch norm":
        return Normed(12)
    if case["network"] == "two heads":
        return TwoHeads()
    return nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Dropout(), nn.Linear(16, 3))


KEYS = {
    "dropout": ("input", "label"),
    "batch norm": ("x", "label"),
    "two heads": ("left", "right", "label", "other"),
}


def parts(case: dict[str, Any], by_hand: bool = False) -> dict[str, Any]:
    """Network, optimizer, loss, metrics and data: the same at every call.

    By hand, one casts the weights for O2, and chooses the fused optimizer; `prepare` does it too.
    """
    tl.seed(5)
    keys = KEYS[case["network"]]
    kind = Dicts if case["data"] == "dicts" else Samples
    samples = kind(150, keys)
    given = {
        "tensors": TensorDataset(*samples.whole()),
        "samples": samples,
        "dicts": samples,
        "loader": DataLoader(
            samples,
            batch_size=case["batch_size"],
            shuffle=case["shuffle"],
            drop_last=case["drop_last"],
        ),
        "batches": list(zip(*(part.split(40) for part in samples.whole()), strict=True)),
    }
    network = make_network(case)
    kind_of_optimizer = getattr(torch.optim, case["optimizer"])
    options = {"momentum": 0.9, "nesterov": True} if case["optimizer"] == "SGD" else {}
    if by_hand and case["amp_configs"] == "O2":
        for module in network.modules():
            if isinstance(module, nn.Linear):
                module.to(torch.bfloat16)
    momentum_overflows = case["optimizer"] == "SGD" and case["amp_configs"] == "float16"
    if by_hand and "fused" in signature(kind_of_optimizer).parameters and not momentum_overflows:
        options["fused"] = True
    optimizer = kind_of_optimizer(network.parameters(), lr=0.05, **options)
    metrics: Any = [tl.metrics.Accuracy(), tl.metrics.Accuracy(topk=(1, 2), name="best")]
    metrics = metrics[: case["metrics"]]
    weight = torch.tensor([1.0, 2.0, 0.5]) if case["class_weights"] else None
    loss_fn: Any = nn.CrossEntropyLoss(weight, label_smoothing=0.1)
    if case["network"] == "two heads":
        loss_fn, metrics = [loss_fn, nn.CrossEntropyLoss()], [metrics, []]
    schedule = case["schedule"] and torch.optim.lr_scheduler.StepLR(optimizer, 2, 0.5)
    return {
        "network": network,
        "optimizer": optimizer,
        "loss_fn": loss_fn,
        "metrics": metrics,
        "train_data": given[case["data"]],
        "eval_data": kind(70, keys) if case["eval_data"] else None,
        "schedule": schedule,
    }


FIT = (
    "batch_size", "epochs", "eval_freq", "shuffle", "drop_last",
    "accumulate_grad_batches", "clip_grad_norm", "num_iters",
)  # fmt: skip


def stops(case: dict[str, Any]) -> bool:
    return case["callbacks"] == "early stopping" and case["eval_data"]


def prepared(case: dict[str, Any], folder: Path) -> tuple[tl.Model, dict[str, Any]]:
    p = parts(case)
    model = tl.Model(p["network"])
    amp = {"dtype": "float16"} if case["amp_configs"] == "float16" else case["amp_configs"]
    model.prepare(p["optimizer"], p["loss_fn"], p["metrics"], amp)
    callbacks: list[tl.callbacks.Callback] = []
    if p["schedule"] is not None:
        by_epoch = case["schedule"] == "epoch"
        callbacks.append(tl.callbacks.LRScheduler(p["schedule"], by_epoch=by_epoch or None))
    if stops(case):
        callbacks.append(tl.callbacks.EarlyStopping(verbose=0))
    elif case["callbacks"]:
        callbacks.append(Recorder())
    call = {name: case[name] for name in FIT} | {
        "train_data": p["train_data"],
        "eval_data": p["eval_data"],
        "callbacks": callbacks,
        "save_dir": folder if case["save_dir"] else None,
    }
    tl.seed(6)
    return model, call


def by_fit(case: dict[str, Any], folder: Path = Path("unused")) -> dict[str, Any]:
    model, call = prepared(case, folder)
    history = model.fit(**call, verbose=0)
    if case["save_dir"]:
        saved = torch.load(folder / "final.pt", weights_only=True)
        assert not differences(saved["network"], model.network.state_dict())
        assert saved["fit"]["step_losses"] == history.step_losses
    recorded = [c.logs for c in call["callbacks"] if isinstance(c, Recorder)]
    return {
        "step_losses": history.step_losses,
        "rows": history.rows,
        "network": model.network.state_dict(),
        "optimizer": model.optimizer.state_dict(),
        "recorded": recorded,
    }


def by_hand(case: dict[str, Any]) -> dict[str, Any]:
    """What a careful person writes without this library."""
    p = parts(case, by_hand=True)
    network, optimizer = p["network"], p["optimizer"]
    amp = case["amp_configs"]
    autocast = (
        torch.autocast("cpu", torch.float16 if amp == "float16" else torch.bfloat16)
        if amp
        else nullcontext()
    )
    scaler = torch.amp.GradScaler("cpu", enabled=amp == "float16")
    loader = p["train_data"]
    if case["data"] in ("tensors", "samples", "dicts"):
        loader = DataLoader(
            loader,
            batch_size=case["batch_size"],
            shuffle=case["shuffle"],
            drop_last=case["drop_last"],
        )

    def forward(batch: Any) -> tuple[list[torch.Tensor], list[torch.Tensor], torch.Tensor]:
        """The losses (of two heads: both), their sum in front; and the scores of the first head."""
        tensors = list(batch.values()) if isinstance(batch, dict) else list(batch)
        half = len(tensors) // 2
        with autocast:
            y_hat = network(*tensors[:half])
            if half == 1:
                losses = [p["loss_fn"](y_hat, tensors[1])]
            else:
                each = zip(p["loss_fn"], y_hat, tensors[2:], strict=True)
                losses = [fn(guess, truth) for fn, guess, truth in each]
                losses = [losses[0] + losses[1], *losses]
        return losses, tensors, y_hat if half == 1 else y_hat[0]

    def size(tensors: list[torch.Tensor]) -> float:
        """What a batch counts in a mean."""
        if case["class_weights"] and len(tensors) == 2:
            return p["loss_fn"].weight[tensors[1]].sum().item()
        return len(tensors[0])

    k, limit = case["accumulate_grad_batches"], case["num_iters"]
    tl.seed(6)
    step_losses: list[float] = []
    rows: list[dict[str, Any]] = []
    recorded: list[Any] = [{}]
    best, best_weights, worse = float("inf"), None, 0
    for epoch in range(case["epochs"]):
        network.train()
        means = Means(case)
        group = 0.0
        for i, batch in enumerate(loader):
            losses, tensors, y_hat = forward(batch)
            n = size(tensors)
            scaler.scale(losses[0] if k == 1 else losses[0] * n).backward()
            group += n
            step_losses.append(losses[0].item())
            if (i + 1) % k == 0 or i + 1 == len(loader) or len(step_losses) == limit:
                if k > 1:
                    for weight in network.parameters():
                        weight.grad /= group
                if case["clip_grad_norm"] is not None:
                    scaler.unscale_(optimizer)
                    nn.utils.clip_grad_norm_(network.parameters(), case["clip_grad_norm"])
                before = scaler.get_scale()
                scaler.step(optimizer)
                scaler.update()
                optimizer.zero_grad()
                group = 0.0
                if case["schedule"] == "step" and scaler.get_scale() >= before:
                    p["schedule"].step()
            means.update(losses, y_hat, tensors, n)
            recorded.append((i, means.value() | {"batch_size": n}))
            if len(step_losses) == limit:
                break
        rows.append({"epoch": epoch + 1} | means.value())
        if case["schedule"] == "epoch":
            p["schedule"].step()
        last = epoch + 1 == case["epochs"] or len(step_losses) == limit
        if p["eval_data"] is not None and (last or (epoch + 1) % case["eval_freq"] == 0):
            network.eval()
            means = Means(case)
            with torch.no_grad():
                for batch in DataLoader(p["eval_data"], batch_size=case["batch_size"]):
                    losses, tensors, y_hat = forward(batch)
                    means.update(losses, y_hat, tensors, size(tensors))
            rows[-1] |= {f"eval_{name}": value for name, value in means.value().items()}
            recorded.append(means.value())
            if stops(case):
                if means.value()["loss"] < best:
                    best, worse = means.value()["loss"], 0
                    best_weights = copy.deepcopy(network.state_dict())
                else:
                    worse = 1
                    break
        if len(step_losses) == limit:
            break
    if worse:
        network.load_state_dict(best_weights)
    return {
        "step_losses": step_losses,
        "rows": rows,
        "network": network.state_dict(),
        "optimizer": optimizer.state_dict(),
        "recorded": [recorded] if case["callbacks"] and not stops(case) else [],
    }


class Means:
    """The means so far of the losses and metrics of a case."""

    def __init__(self, case: dict[str, Any]) -> None:
        names = [[], ["acc"], ["acc", "best_top1", "best_top2"]][case["metrics"]]
        heads = case["network"] == "two heads"
        self.names = [f"{name}_0" if heads else name for name in names]
        self.losses = ["loss", "loss_0", "loss_1"] if heads else ["loss"]
        self.sums, self.weight, self.count = [0.0] * len(self.losses), 0.0, 0
        self.right = torch.zeros(3, dtype=torch.long)

    def update(self, losses: list[Any], y_hat: Any, tensors: list[Any], size: float) -> None:
        self.sums = [s + loss.item() * size for s, loss in zip(self.sums, losses, strict=True)]
        self.weight += size
        self.count += len(tensors[0])
        best = (
            y_hat.detach().sort(dim=1, descending=True).indices
            == tensors[len(tensors) // 2][:, None]
        )
        self.right += torch.stack([best[:, 0].sum(), best[:, 0].sum(), best[:, :2].sum()])

    def value(self) -> dict[str, float]:
        shares = [n / self.count for n in self.right.tolist()]
        return {
            **{name: s / self.weight for name, s in zip(self.losses, self.sums, strict=True)},
            **dict(zip(self.names, shares, strict=False)),
        }


RUN_ALL = """
import runpy, sys
from pathlib import Path
sys.modules["tutorial"] = None  # importing it is an error from here on
import torch
torch.set_num_threads(1)
for script in sorted(Path(sys.argv[1]).glob("*.py")):
    names = runpy.run_path(str(script))
    kept = {k: names[k] for k in ("step_losses", "rows")}
    kept |= {k: names[k].state_dict() for k in ("network", "optimizer")}
    kept["recorded"] = [names["recorder"].logs] if "recorder" in names else []
    torch.save(kept, script.with_suffix(".result"))
"""


@pytest.fixture(scope="module")
def by_script(tmp_path_factory: pytest.TempPathFactory) -> Callable[[int], dict[str, Any]]:
    """The scripts of all cases, run one after the other in one fresh process."""
    folder = tmp_path_factory.mktemp("scripts")
    for number, case in enumerate(CASES):
        model, call = prepared(case, folder / "saved" / f"{number:03}")
        model.unroll("fit", **call).save(folder / f"{number:03}.py")
    ran = warm.run(RUN_ALL, folder, cwd="/")
    assert ran.returncode == 0, ran.stderr
    return lambda number: torch.load(folder / f"{number:03}.result", weights_only=True)


def differences(one: dict[str, Any], other: dict[str, Any]) -> list[str]:
    a, b = flat(one), flat(other)
    return [key for key in a | b if not identical(a.get(key), b.get(key))]


@pytest.mark.filterwarnings("ignore:Detected call of `lr_scheduler.step")  # all overflowed
@pytest.mark.filterwarnings("ignore:.*the mean loss is nan")  # in float16, and is nan by hand too
@pytest.mark.parametrize("number", range(len(CASES)))
def test_fit_script_and_hand_are_equal_bit_for_bit(
    number: int, by_script: Callable[[int], dict[str, Any]], tmp_path: Path
) -> None:
    torch.set_num_threads(1)
    case = CASES[number]
    fit = by_fit(case, tmp_path)
    assert len(fit["step_losses"]) >= min(case["num_iters"] or 2, 2)
    assert not differences(fit, by_script(number))
    assert not differences(fit, by_hand(case))


def test_every_pair_of_options_is_among_the_cases() -> None:
    assert len(CASES) >= 200
    for a, b in itertools.combinations(OPTIONS, 2):
        pairs = {(repr(case[a]), repr(case[b])) for case in CASES}
        assert len(pairs) == len(OPTIONS[a]) * len(OPTIONS[b])


SABOTAGE = {
    "no zero_grad": ("optimizer.zero_grad()  # forget", "pass  # forget"),
    "zero_grad before step": (
        "optimizer.step()  # one small step downhill\n                optimizer.zero_grad()",
        "optimizer.zero_grad()\n                optimizer.step()",
    ),
    "step on no gradient": ("loss.backward()  # backward: a gradient for every weight\n", "pass\n"),
    "no train mode": ("network.train()  # dropout", "network.eval()  # dropout"),
    "sum for mean": ("loss_sum += step_losses[-1] * len(x)", "loss_sum += step_losses[-1]"),
    "metric not reset": ("metric.reset()\n        loss_sum", "pass\n        loss_sum"),
}


@pytest.mark.filterwarnings("ignore:optimizer.step.. while the network is in evaluation mode")
@pytest.mark.parametrize("name", SABOTAGE)
def test_a_broken_loop_is_noticed(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Break loops.py on purpose: the comparison with the loop by hand must see it."""
    import inspect

    source = inspect.getsource(loops)
    old, new = SABOTAGE[name]
    assert old in source
    monkeypatch.setattr(inspect, "getsource", lambda thing: source.replace(old, new))
    case = CASES[0] | {"metrics": 1, "epochs": 3, "network": "dropout", "eval_data": False}
    case |= {"num_iters": None, "accumulate_grad_batches": 1, "amp_configs": None}
    case |= {"callbacks": None, "save_dir": False, "class_weights": False, "schedule": None}
    specialize.functions.cache_clear()
    specialize.unroll.cache_clear()
    try:
        assert differences(by_fit(case), by_hand(case))
    finally:
        monkeypatch.undo()
        specialize.functions.cache_clear()
        specialize.unroll.cache_clear()
    assert not differences(by_fit(case), by_hand(case))


def test_accumulated_small_batches_equal_one_large_batch() -> None:
    """In float64, to rounding: also with a short last batch in a short last group."""
    results = []
    for batch_size, accumulate in ((24, 1), (8, 3), (4, 6)):
        tl.seed(5)
        x, y = torch.randn(61, 8, dtype=torch.float64), torch.randint(3, (61,))
        model = tl.Model(nn.Linear(8, 3).double())
        model.prepare(torch.optim.Adam(model.parameters(), lr=0.1), nn.CrossEntropyLoss())
        model.fit(
            TensorDataset(x, y),
            batch_size=batch_size,
            accumulate_grad_batches=accumulate,
            shuffle=False,
            epochs=3,
            verbose=0,
        )
        results.append(model.network.weight.detach())
    for other in results[1:]:
        torch.testing.assert_close(other, results[0], rtol=0, atol=1e-12)


def test_the_same_call_differs_with_another_seed_and_not_with_the_same(data, make_model) -> None:
    losses = []
    for seed in (1, 1, 2):
        model = make_model()
        tl.seed(seed)
        losses.append(model.fit(data, epochs=2, verbose=0).step_losses)
    assert losses[0] == losses[1] != losses[2]


def test_each_epoch_has_its_own_order(data) -> None:
    seen: list[torch.Tensor] = []

    class Watching(nn.Linear):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            if self.training:
                seen.append(x)
            return super().forward(x)

    model = tl.Model(Watching(8, 3))
    model.prepare(torch.optim.SGD(model.parameters(), lr=0.1), nn.CrossEntropyLoss())
    model.fit(data, batch_size=150, epochs=2, verbose=0)
    assert not torch.equal(seen[0], seen[1])
    assert torch.equal(seen[0].sort(0).values, seen[1].sort(0).values)


def test_the_folder_of_scripts_never_names_tutorial(tmp_path: Path) -> None:
    model, call = prepared(CASES[0], tmp_path)
    text = model.unroll("fit", **call).save(tmp_path / "fit.py").read_text()
    code = "\n".join(line.split("#")[0] for line in text.splitlines())
    assert "tutorial" not in code
