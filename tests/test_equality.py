"""The claim itself: fit, its script in a fresh process and a loop by hand agree in every bit.

The cases are drawn pairwise: every two values of every two options meet in some case.
"""

import copy
import itertools
import os
import random
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import by_hand
import pytest
import torch
import warm
from fakes import Recorder
from torch import nn
from torch.nn import functional as F
from torch.utils.data import TensorDataset

import tutorial as tl
from tutorial.device import unchanged_randomness
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
    "precision": ["32", "bf16-mixed", "bf16", "16-mixed"],
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


# Every pair of values, in five different surroundings: one a day, all five in `make test-all`.
TABLES = [pairwise(OPTIONS, seed) for seed in range(5)]
TODAY = int(os.environ["PAIRWISE_SEED"])
CASES = [
    pytest.param(seed, number, id=f"{seed}-{number}", marks=[pytest.mark.slow] * (seed != TODAY))
    for seed, table in enumerate(TABLES)
    for number in range(len(table))
]
EXAMPLE = TABLES[TODAY][0]


FIT = (
    "batch_size", "epochs", "eval_freq", "shuffle", "drop_last",
    "accumulate_grad_batches", "clip_grad_norm", "num_iters",
)  # fmt: skip


def prepared(case: dict[str, Any], folder: Path) -> tuple[tl.Model, dict[str, Any]]:
    p = by_hand.parts(case)
    model = tl.Model(p["network"])
    model.prepare(p["optimizer"], p["loss_fn"], p["metrics"], case["precision"])
    callbacks: list[tl.callbacks.Callback] = []
    if p["schedule"] is not None:
        by_epoch = case["schedule"] == "epoch"
        callbacks.append(tl.callbacks.LRScheduler(p["schedule"], by_epoch=by_epoch or None))
    if by_hand.stops(case):
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
def by_script(tmp_path_factory: pytest.TempPathFactory) -> Callable[[int, int], dict[str, Any]]:
    """The scripts of all cases of a table, run one after the other in one fresh process."""

    @cache
    def scripts(seed: int) -> Path:
        folder = tmp_path_factory.mktemp(f"scripts_{seed}")
        for number, case in enumerate(TABLES[seed]):
            model, call = prepared(case, folder / "saved" / f"{number:02}")
            model.unroll("fit", **call).save(folder / f"{number:02}.py")
        ran = warm.run(RUN_ALL, folder, cwd="/")
        assert ran.returncode == 0, ran.stderr
        return folder

    return lambda seed, number: torch.load(scripts(seed) / f"{number:02}.result", weights_only=True)


def differences(one: dict[str, Any], other: dict[str, Any]) -> list[str]:
    a, b = flat(one), flat(other)
    return [key for key in a | b if not identical(a.get(key), b.get(key))]


@pytest.mark.filterwarnings("ignore:Detected call of `lr_scheduler.step")  # all overflowed
@pytest.mark.filterwarnings("ignore:.*the mean loss is nan")  # in float16, and is nan by hand too
@pytest.mark.parametrize(("seed", "number"), CASES)
def test_fit_script_and_hand_are_equal_bit_for_bit(
    seed: int, number: int, by_script: Callable[[int, int], dict[str, Any]], tmp_path: Path
) -> None:
    torch.set_num_threads(1)
    case = TABLES[seed][number]
    fit = by_fit(case, tmp_path)
    assert len(fit["step_losses"]) >= min(case["num_iters"] or 2, 2)
    assert not differences(fit, by_script(seed, number))
    assert not differences(fit, by_hand.train(case))


# ---- what a mean is, asked of autograd and of one cross_entropy: in float64, without a loop

# One rounding, relative to the number: it has 24 bits in float32, 11 in float16, 8 in bfloat16.
ROUNDING = {"32": 2**-24, "16-mixed": 2**-11, "bf16-mixed": 2**-8, "bf16": 2**-8}


def with_one_mean(case: dict[str, Any], **options: Any) -> dict[str, Any]:
    """Without class weights for one of two losses: no mean over samples would be that of both."""
    two_heads = case["network"] == "two heads"
    return case | options | {"class_weights": case["class_weights"] and not two_heads}


def exact_copy(network: nn.Module) -> nn.Module:
    exact = copy.deepcopy(network).double()
    exact._forward_pre_hooks.clear()
    return exact


def sum_and_size(
    case: dict[str, Any], network: nn.Module, tensors: Sequence[torch.Tensor]
) -> tuple[torch.Tensor, float]:
    """The sum of the losses of samples, and by what it is divided for their mean."""
    *x, y = tensors[: len(tensors) // 2 + 1]
    y_hat = network(*(part.double() for part in x))
    weight = by_hand.CLASS_WEIGHTS.double() if case["class_weights"] else None
    size = len(y) if weight is None else weight[y].sum().item()
    if case["network"] == "two heads":
        y_hat, other = y_hat
        second = F.cross_entropy(other, tensors[-1], reduction="sum")
    first = F.cross_entropy(y_hat, y, weight, label_smoothing=0.1, reduction="sum")
    return first + second if case["network"] == "two heads" else first, size


@pytest.mark.parametrize(("seed", "number"), CASES)
def test_the_mean_loss_of_an_evaluation_is_one_cross_entropy_over_the_whole_set(
    seed: int, number: int, tmp_path: Path
) -> None:
    case = with_one_mean(TABLES[seed][number], eval_data=True)
    model, call = prepared(case, tmp_path)
    result = model.evaluate(call["eval_data"], batch_size=case["batch_size"], verbose=0)
    total, size = sum_and_size(case, exact_copy(model.network), call["eval_data"].whole())
    expected = pytest.approx(total.item() / size, rel=4 * ROUNDING[case["precision"]])
    assert result["loss"] == expected


@pytest.mark.parametrize(("seed", "number"), CASES)
def test_the_gradient_of_an_update_is_that_of_the_mean_over_its_samples(
    seed: int, number: int, tmp_path: Path
) -> None:
    case = with_one_mean(TABLES[seed][number], epochs=1, clip_grad_norm=None)
    group = case["accumulate_grad_batches"]
    samples = by_hand.parts(case)["samples"]
    model, call = prepared(case, tmp_path)
    network = model.network
    if model.scaler is not None:  # so that nothing overflows, and no update is left out
        model.scaler.load_state_dict(model.scaler.state_dict() | {"scale": 128.0})
    batches: list[tuple[torch.Tensor, list[torch.Tensor]]] = []
    errors: list[float] = []

    def note(_: nn.Module, x: tuple[torch.Tensor, ...]) -> None:
        """Of a batch: the random state from which dropout draws, and its samples."""
        if network.training:
            rows = (torch.cat(x, 1)[:, None] == samples.x).all(2).nonzero()[:, 1]
            batches.append((torch.get_rng_state(), [part[rows] for part in samples.whole()]))

    @unchanged_randomness()
    def compare(optimizer: Any, *_: Any) -> None:
        exact, total, size = exact_copy(network), torch.tensor(0.0), 0.0
        for random_state, tensors in batches[(len(batches) - 1) // group * group :]:
            torch.set_rng_state(random_state)
            of_batch = sum_and_size(case, exact, tensors)
            total, size = total + of_batch[0], size + of_batch[1]
        expected = torch.autograd.grad(total / size, [*exact.parameters()])
        scale = getattr(optimizer, "grad_scale", None) or 1.0  # fused, it divides by it itself
        found = [weight.grad.double() / scale for weight in network.parameters()]
        a, b = (torch.cat([grad.flatten() for grad in grads]) for grads in (found, expected))
        errors.append(((a - b).norm() / b.norm()).item())

    network.register_forward_pre_hook(note)
    model.optimizer.register_step_pre_hook(compare)
    model.fit(**call, verbose=0)
    assert len(errors) == -(-len(batches) // group)
    assert max(errors) < 32 * ROUNDING[case["precision"]]


# ---- the table


@pytest.mark.parametrize("table", TABLES)
def test_every_pair_of_options_is_in_every_table(table: list[dict[str, Any]]) -> None:
    for a, b in itertools.combinations(OPTIONS, 2):
        pairs = {(repr(case[a]), repr(case[b])) for case in table}
        assert len(pairs) == len(OPTIONS[a]) * len(OPTIONS[b])


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
    model, call = prepared(EXAMPLE, tmp_path)
    text = model.unroll("fit", **call).save(tmp_path / "fit.py").read_text()
    code = "\n".join(line.split("#")[0] for line in text.splitlines())
    assert "tutorial" not in code
