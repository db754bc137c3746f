"""The claim itself: fit, its script in a fresh process and a loop by hand agree in every bit.

The cases are drawn pairwise: every two values of every two options meet in some case.
"""

import copy
import itertools
import os
import random
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path
from typing import Any

import by_hand
import pytest
import torch
import warm
from fakes import Recorder
from torch import distributed as dist
from torch import nn
from torch.nn import functional as F

import tutorial as tl
from tutorial.device import unchanged_randomness
from tutorial.distributed.process_group import is_rank_zero
from tutorial.unroll.proof import flat, identical

pytestmark = [
    pytest.mark.filterwarnings("ignore:Detected call of `lr_scheduler.step"),  # all overflowed
    pytest.mark.filterwarnings("ignore:.*the mean loss is nan"),  # in float16, by hand too
    pytest.mark.filterwarnings(
        "ignore:accumulate_grad_batches"
    ),  # class weights, in one of two losses
]

OPTIONS: dict[str, list[Any]] = {
    "optimizer": ["SGD", "Adam", "AdamW", "RMSprop", "Adagrad", "Adamax", "Adadelta", "Averaging"],
    "network": ["dropout", "batch norm", "two heads"],
    "class_weights": [False, True],
    "metrics": [0, 1, 2],
    "data": ["tensors", "samples", "loader", "batches", "dicts"],
    "eval_data": [False, True],
    "batch_size": [32, 50],  # of 155 samples: 4 * 32 + 27, and 3 * 50 + 5; of two processes, each
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
    "processes": [1, 2],
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
EXAMPLE = TABLES[TODAY][0] | {"processes": 1}


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
    if case["save_dir"] and is_rank_zero():
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


def differences(one: dict[str, Any], other: dict[str, Any]) -> list[str]:
    a, b = flat(one), flat(other)
    return [key for key in a | b if not identical(a.get(key), b.get(key))]


def fit_and_hand(case: dict[str, Any], folder: Path) -> dict[str, Any]:
    fit = by_fit(case, folder)
    return {"fit": fit, "differences": differences(fit, by_hand.train(case))}


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


def error_of_the_mean_loss(case: dict[str, Any], folder: Path) -> float:
    """Relative, of an evaluation: against one cross_entropy over the whole set."""
    case = with_one_mean(case, eval_data=True)
    model, call = prepared(case, folder)
    result = model.evaluate(call["eval_data"], batch_size=case["batch_size"], verbose=0)
    exact = exact_copy(model.network).eval()
    total, size = sum_and_size(case, exact, call["eval_data"].whole())
    return abs(result["loss"] / (total.item() / size) - 1)


def errors_of_the_gradients(case: dict[str, Any], folder: Path) -> list[float]:
    """Relative, of each update of an epoch: against autograd's, of its samples' mean loss."""
    case = with_one_mean(case, epochs=1, clip_grad_norm=None)
    group = case["accumulate_grad_batches"]
    samples = by_hand.parts(case)["samples"]
    model, call = prepared(case, folder)
    network = model.network
    if model.scaler is not None:  # so that nothing overflows, and no update is left out
        model.scaler.load_state_dict(model.scaler.state_dict() | {"scale": 128.0})
    batches: list[tuple[torch.Tensor, list[torch.Tensor]]] = []
    errors: dict[int, float] = {}  # by the batches so far: a step that calls another hooks twice

    def note(_: nn.Module, x: tuple[torch.Tensor, ...]) -> None:
        """Of a batch: the random state from which dropout draws, and its samples."""
        if network.training:
            rows = (torch.cat(x, 1)[:, None] == samples.x).all(2).nonzero()[:, 1]
            batches.append((torch.get_rng_state(), [part[rows] for part in samples.whole()]))

    @unchanged_randomness()
    @torch.enable_grad()  # an optimizer may be at work without gradients
    def compare(optimizer: Any, *_: Any) -> None:
        exact, total, size = exact_copy(network), torch.tensor(0.0), 0.0
        for random_state, tensors in batches[(len(batches) - 1) // group * group :]:
            torch.set_rng_state(random_state)
            of_batch = sum_and_size(case, exact, tensors)
            total, size = total + of_batch[0], size + of_batch[1]
        [size] = by_hand.over_all([size])
        expected = torch.autograd.grad(total / size, [*exact.parameters()])
        if case["processes"] > 1:
            for grad in expected:
                dist.all_reduce(grad)
        scale = getattr(optimizer, "grad_scale", None) or 1.0  # fused, it divides by it itself
        found = [weight.grad.double() / scale for weight in network.parameters()]
        a, b = (torch.cat([grad.flatten() for grad in grads]) for grads in (found, expected))
        errors[len(batches)] = ((a - b).norm() / b.norm()).item()

    network.register_forward_pre_hook(note)
    model.optimizer.register_step_pre_hook(compare)
    model.fit(**call, verbose=0)
    assert len(errors) == -(-len(batches) // group)
    return list(errors.values())


# ---- the cases, each in as many processes as it says; a table's cases of two share a launch

QUESTIONS = (fit_and_hand, error_of_the_mean_loss, errors_of_the_gradients)
Ask = Callable[[Callable[..., Any], int, int], list[Any]]


def answer(seed: int, folder: Path) -> None:
    """In each of two processes: ask all questions of their cases."""
    for number, case in enumerate(TABLES[seed]):
        for question in QUESTIONS if case["processes"] == 2 else ():
            found = question(case, folder / str(number))
            name = f"{question.__name__} {number} {dist.get_rank()}"
            torch.save(found, folder / name)


@pytest.fixture(scope="module")
def ask(tmp_path_factory: pytest.TempPathFactory) -> Ask:
    """The answer to a question of a case, from each of its processes."""

    @cache
    def answered(seed: int) -> Path:
        folder = tmp_path_factory.mktemp(f"answers_{seed}")
        tl.launch(answer, seed, folder)
        return folder

    def ask_it(question: Callable[..., Any], seed: int, number: int) -> list[Any]:
        case = TABLES[seed][number]
        torch.set_num_threads(1)
        if case["processes"] == 1:
            return [question(case, tmp_path_factory.mktemp("alone"))]
        files = [answered(seed) / f"{question.__name__} {number} {rank}" for rank in range(2)]
        return [torch.load(file, weights_only=True) for file in files]

    return ask_it


RUN_ALL = """
import runpy, sys
from pathlib import Path
sys.modules["tutorial"] = None  # importing it is an error from here on
import torch
from torch import distributed as dist
torch.set_num_threads(1)
folder, rank, processes = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
if processes > 1:  # once for all of them
    dist.init_process_group("gloo", f"file://{folder}/join", rank=rank, world_size=processes)
    dist.init_process_group = lambda *_: None
for script in sorted(folder.glob("*.py")):
    names = runpy.run_path(str(script))
    network = names["network"]
    kept = {k: names[k] for k in ("step_losses", "rows")}
    kept["network"] = getattr(network, "module", network).state_dict()
    kept["optimizer"] = names["optimizer"].state_dict()
    kept["recorded"] = [names["recorder"].logs] if "recorder" in names else []
    torch.save(kept, script.with_suffix(f".{rank}"))
"""


def write_scripts(seed: int, processes: int, folder: Path) -> None:
    for number, case in enumerate(TABLES[seed]):
        if case["processes"] == processes:
            model, call = prepared(case, folder / "saved" / f"{number:02}")
            program = model.unroll("fit", **call)
            if is_rank_zero():
                program.save(folder / f"{number:02}.py")


@pytest.fixture(scope="module")
def by_script(tmp_path_factory: pytest.TempPathFactory) -> Callable[[int, int], list[Any]]:
    """What the script of a case leaves, in each process. A table's run one after the other."""

    @cache
    def ran(seed: int, processes: int) -> Path:
        folder = tmp_path_factory.mktemp(f"scripts_{seed}_{processes}")
        if processes == 1:
            write_scripts(seed, 1, folder)
        else:
            tl.launch(write_scripts, seed, processes, folder)

        def run_all(rank: int) -> Any:
            return warm.run(RUN_ALL, folder, str(rank), str(processes), cwd="/")

        with ThreadPoolExecutor() as threads:
            for process in threads.map(run_all, range(processes)):
                assert process.returncode == 0, process.stderr
        return folder

    def results(seed: int, number: int) -> list[Any]:
        processes = TABLES[seed][number]["processes"]
        files = [ran(seed, processes) / f"{number:02}.{rank}" for rank in range(processes)]
        return [torch.load(file, weights_only=True) for file in files]

    return results


@pytest.mark.parametrize(("seed", "number"), CASES)
def test_fit_script_and_hand_are_equal_bit_for_bit(
    seed: int, number: int, ask: Ask, by_script: Callable[[int, int], list[Any]]
) -> None:
    answers = ask(fit_and_hand, seed, number)
    for found, script in zip(answers, by_script(seed, number), strict=True):
        assert found["fit"]["step_losses"]
        assert not found["differences"]
        assert not differences(found["fit"], script)
    assert not differences(answers[0]["fit"]["network"], answers[-1]["fit"]["network"])


@pytest.mark.parametrize(("seed", "number"), CASES)
def test_the_mean_loss_of_an_evaluation_is_one_cross_entropy_over_the_whole_set(
    seed: int, number: int, ask: Ask
) -> None:
    rounding = ROUNDING[TABLES[seed][number]["precision"]]
    assert max(ask(error_of_the_mean_loss, seed, number)) < 4 * rounding


@pytest.mark.parametrize(("seed", "number"), CASES)
def test_the_gradient_of_an_update_is_that_of_the_mean_over_its_samples(
    seed: int, number: int, ask: Ask
) -> None:
    rounding = ROUNDING[TABLES[seed][number]["precision"]]
    for errors in ask(errors_of_the_gradients, seed, number):
        assert max(errors) < 32 * rounding


# ---- the table


@pytest.mark.parametrize("table", TABLES)
def test_every_pair_of_options_is_in_every_table(table: list[dict[str, Any]]) -> None:
    for a, b in itertools.combinations(OPTIONS, 2):
        pairs = {(repr(case[a]), repr(case[b])) for case in table}
        assert len(pairs) == len(OPTIONS[a]) * len(OPTIONS[b])


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
