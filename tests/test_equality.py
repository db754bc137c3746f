"""The claim itself: fit, its script in a fresh process and a loop by hand agree in every bit.

The cases are drawn pairwise: every two values of every two options meet in some case.
"""

import itertools
import random
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
from tutorial import loops, unroll
from tutorial.proof import flat, identical

OPTIONS: dict[str, list[Any]] = {
    "optimizer": ["SGD", "Adam", "AdamW", "RMSprop", "Adagrad"],
    "network": ["dropout", "batch norm"],
    "metrics": [0, 1, 2],
    "data": ["tensors", "samples", "loader", "batches"],
    "eval_data": [False, True],
    "batch_size": [32, 50],  # of 150 samples: 4 * 32 + 22, and 3 * 50
    "epochs": [1, 3],
    "eval_freq": [1, 2],
    "shuffle": [False, True],
    "drop_last": [False, True],
    "accumulate_grad_batches": [1, 2, 3],
    "clip_grad_norm": [None, 0.5],
    "num_iters": [None, 2, 7],
}


def pairwise(options: dict[str, list[Any]]) -> list[dict[str, Any]]:
    """Few cases in which every pair of values of every two options occurs (greedy, seeded)."""
    chance = random.Random(0)
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


CASES = pairwise(OPTIONS)


class Samples(Dataset):
    """A data set that must be asked for one sample at a time, and forgets how it was made."""

    def __init__(self, count: int) -> None:
        self.x = torch.randn(count, 8)
        self.y = (self.x @ torch.randn(8, 3)).argmax(1)

    def __len__(self) -> int:
        return len(self.x)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, torch.Tensor]:
        if not isinstance(index, int):
            raise TypeError("one at a time")
        return self.x[index], self.y[index]


class Normed(nn.Module):
    def __init__(self, hidden: int = 16) -> None:
        super().__init__()
        self.hidden = hidden
        self.layers = nn.Sequential(
            nn.Linear(8, hidden), nn.BatchNorm1d(hidden), nn.Linear(hidden, 3)
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layers(torch.tanh(x))


def parts(case: dict[str, Any]) -> dict[str, Any]:
    """Network, optimizer, loss, metrics and data: the same at every call."""
    tl.seed(5)
    samples = Samples(150)
    given = {
        "tensors": TensorDataset(samples.x, samples.y),
        "samples": samples,
        "loader": DataLoader(
            samples,
            batch_size=case["batch_size"],
            shuffle=case["shuffle"],
            drop_last=case["drop_last"],
        ),
        "batches": list(zip(samples.x.split(40), samples.y.split(40), strict=True)),
    }
    if case["network"] == "dropout":
        network: nn.Module = nn.Sequential(
            nn.Linear(8, 16), nn.ReLU(), nn.Dropout(), nn.Linear(16, 3)
        )
    else:
        network = Normed(12)
    options = {"momentum": 0.9, "nesterov": True} if case["optimizer"] == "SGD" else {}
    optimizer = getattr(torch.optim, case["optimizer"])(network.parameters(), lr=0.05, **options)
    metrics = [tl.metrics.Accuracy(), tl.metrics.Accuracy(topk=(1, 2), name="best")]
    return {
        "network": network,
        "optimizer": optimizer,
        "loss_fn": nn.CrossEntropyLoss(label_smoothing=0.1),
        "metrics": metrics[: case["metrics"]],
        "train_data": given[case["data"]],
        "eval_data": Samples(70) if case["eval_data"] else None,
    }


FIT = (
    "batch_size", "epochs", "eval_freq", "shuffle", "drop_last",
    "accumulate_grad_batches", "clip_grad_norm", "num_iters",
)  # fmt: skip


def prepared(case: dict[str, Any]) -> tuple[tl.Model, dict[str, Any]]:
    p = parts(case)
    model = tl.Model(p["network"])
    model.prepare(p["optimizer"], p["loss_fn"], p["metrics"])
    call = {name: case[name] for name in FIT} | {
        "train_data": p["train_data"],
        "eval_data": p["eval_data"],
    }
    tl.seed(6)
    return model, call


def by_fit(case: dict[str, Any]) -> dict[str, Any]:
    model, call = prepared(case)
    history = model.fit(**call, verbose=0)
    return {
        "step_losses": history.step_losses,
        "rows": history.rows,
        "network": model.network.state_dict(),
        "optimizer": model.optimizer.state_dict(),
    }


def by_hand(case: dict[str, Any]) -> dict[str, Any]:
    """What a careful person writes without this library."""
    p = parts(case)
    network, optimizer, loss_fn = p["network"], p["optimizer"], p["loss_fn"]
    if "fused" in optimizer.defaults:  # as `prepare` chooses it, and the unrolled script shows it
        optimizer.param_groups[0]["fused"] = True
    loader = p["train_data"]
    if case["data"] in ("tensors", "samples"):
        loader = DataLoader(
            loader,
            batch_size=case["batch_size"],
            shuffle=case["shuffle"],
            drop_last=case["drop_last"],
        )
    k, limit = case["accumulate_grad_batches"], case["num_iters"]
    tl.seed(6)
    step_losses, rows = [], []
    for epoch in range(case["epochs"]):
        network.train()
        counted, total, right = 0, 0.0, torch.zeros(3, dtype=torch.long)
        group = 0
        for i, (x, y) in enumerate(loader):
            y_hat = network(x)
            loss = loss_fn(y_hat, y)
            (loss if k == 1 else loss * len(x)).backward()
            group += len(x)
            step_losses.append(loss.item())
            if (i + 1) % k == 0 or i + 1 == len(loader) or len(step_losses) == limit:
                if k > 1:
                    for weight in network.parameters():
                        weight.grad /= group
                if case["clip_grad_norm"] is not None:
                    nn.utils.clip_grad_norm_(network.parameters(), case["clip_grad_norm"])
                optimizer.step()
                optimizer.zero_grad()
                group = 0
            total, counted = total + loss.item() * len(x), counted + len(x)
            right += hits(y_hat, y)
            if len(step_losses) == limit:
                break
        rows.append({"epoch": epoch + 1, "loss": total / counted, **shares(right, counted, case)})
        last = epoch + 1 == case["epochs"] or len(step_losses) == limit
        if p["eval_data"] is not None and (last or (epoch + 1) % case["eval_freq"] == 0):
            network.eval()
            counted, total, right = 0, 0.0, torch.zeros(3, dtype=torch.long)
            with torch.no_grad():
                for x, y in DataLoader(p["eval_data"], batch_size=case["batch_size"]):
                    y_hat = network(x)
                    total, counted = total + loss_fn(y_hat, y).item() * len(x), counted + len(x)
                    right += hits(y_hat, y)
            rows[-1]["eval_loss"] = total / counted
            rows[-1] |= {f"eval_{k}": v for k, v in shares(right, counted, case).items()}
        if len(step_losses) == limit:
            break
    return {
        "step_losses": step_losses,
        "rows": rows,
        "network": network.state_dict(),
        "optimizer": optimizer.state_dict(),
    }


def hits(y_hat: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """How many labels are among the best one (twice: two metrics ask) and the best two guesses."""
    best = y_hat.detach().sort(dim=1, descending=True).indices == y[:, None]
    return torch.stack([best[:, 0].sum(), best[:, 0].sum(), best[:, :2].sum()])


def shares(right: torch.Tensor, counted: int, case: dict[str, Any]) -> dict[str, float]:
    names = [[], ["acc"], ["acc", "best_top1", "best_top2"]][case["metrics"]]
    return {name: n / counted for name, n in zip(names, right.tolist(), strict=False)}


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
    torch.save(kept, script.with_suffix(".result"))
"""


@pytest.fixture(scope="module")
def by_script(tmp_path_factory: pytest.TempPathFactory) -> Callable[[int], dict[str, Any]]:
    """The scripts of all cases, run one after the other in one fresh process."""
    folder = tmp_path_factory.mktemp("scripts")
    for number, case in enumerate(CASES):
        model, call = prepared(case)
        model.unroll("fit", **call).save(folder / f"{number:03}.py")
    ran = subprocess.run(
        [sys.executable, "-I", "-c", RUN_ALL, str(folder)], capture_output=True, text=True, cwd="/"
    )
    assert ran.returncode == 0, ran.stderr
    return lambda number: torch.load(folder / f"{number:03}.result", weights_only=True)


def differences(one: dict[str, Any], other: dict[str, Any]) -> list[str]:
    a, b = flat(one), flat(other)
    return [key for key in a | b if not identical(a.get(key), b.get(key))]


@pytest.mark.parametrize("number", range(len(CASES)))
def test_fit_script_and_hand_are_equal_bit_for_bit(
    number: int, by_script: Callable[[int], dict[str, Any]]
) -> None:
    torch.set_num_threads(1)
    case = CASES[number]
    fit = by_fit(case)
    assert len(fit["step_losses"]) >= min(case["num_iters"] or 2, 2)
    assert not differences(fit, by_script(number))
    assert not differences(fit, by_hand(case))


def test_every_pair_of_options_is_among_the_cases() -> None:
    assert 20 <= len(CASES) <= 80
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
    case |= {"num_iters": None, "accumulate_grad_batches": 1}
    unroll.functions.cache_clear()
    unroll.unroll.cache_clear()
    try:
        assert differences(by_fit(case), by_hand(case))
    finally:
        monkeypatch.undo()
        unroll.functions.cache_clear()
        unroll.unroll.cache_clear()
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
    model, call = prepared(CASES[0])
    text = model.unroll("fit", **call).save(tmp_path / "fit.py").read_text()
    code = "\n".join(line.split("#")[0] for line in text.splitlines())
    assert "tutorial" not in code
