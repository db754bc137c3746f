"""Random calls: any network, loss, metric, data and options, against three oracles.

The loop by hand (random_by_hand.py) and, of a third of them, the saved script in a fresh process
agree with fit in every bit; and k small batches are one large one. What calls are made of is in
random_calls.py.

The examples are the same in every run. Others: CALLS_SEED=7 pytest tests/test_random.py -s, which
prints, too, how often each thing was drawn.
"""

import os
import re
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from multiprocessing.connection import Connection, Listener
from pathlib import Path
from typing import Any

import pytest
import random_by_hand as by_hand
import random_calls as tables
import torch
import warm
from hypothesis import HealthCheck, Phase, assume, given, reject, seed, settings
from random_calls import Call, calls
from torch.utils.data import DataLoader

import tutorial as tl
from tutorial.device import unchanged_settings
from tutorial.unroll.program import Program
from tutorial.unroll.proof import flat, identical

# What a call may warn of.
TOLD = (
    "Mismatch dtype between input and weight",  # torch's, of RMSNorm in 16 bits
    "Sparse invariant checks are implicitly disabled",  # torch's, once
    "neither a mean nor a sum over samples",
    "accumulate_grad_batches: the losses average over different things",
    r"has no effect: \w+_data is a DataLoader",  # which has that option already
    "the mean loss is nan",  # in float16
    # After two samples alike, normalized; of a class that weighs nothing.
    r"eval_data: the loss of the first batch is \[(inf|nan)\]",
    "nan for auc, which these data leave undefined",  # of one class alone
    r"Detected call of `lr_scheduler.step\(\)` before",  # all updates were left out, in float16
)
# What may be refused: nothing so far.
REFUSED: tuple[str, ...] = ()

# ---- by fit


def prepared(call: Call) -> tuple[tl.Model, dict[str, Any]]:
    """A model, and the arguments of fit."""
    parts = call.make()
    model = tl.Model(parts["network"], **({"labels": []} if call.model else {}))
    model.prepare(parts["optimizer"], parts["loss_fn"], parts["metrics"], call.precision)
    names = ("train_data", "eval_data", "callbacks")
    tl.seed(6)
    return model, call.options | {name: parts[name] for name in names if name in parts}


def fit(call: Call) -> dict[str, Any]:
    """What fit gives, in the same form as the loop by hand."""
    model, arguments = prepared(call)
    fits = [model.fit(**arguments, verbose=0) for _ in range(call.times)]
    logs = [callback.logs for callback in arguments["callbacks"] if hasattr(callback, "logs")]
    return {
        "step_losses": [history.step_losses for history in fits],
        "rows": [history.rows for history in fits],
        "network": model.network.state_dict(),
        "loss_fn": by_hand.state_of(model.loss_fn),
        "optimizer": model.optimizer.state_dict(),
        "recorded": logs[0] if logs else [],
        "random": by_hand.random_state(),
    }


@contextmanager
def as_told() -> Iterator[None]:
    """Refuse warnings that no call should give, and pass by a call that may be refused."""
    with warnings.catch_warnings(record=True) as caught, unchanged_settings():
        warnings.simplefilter("always")
        try:
            yield
        except (ValueError, TypeError) as error:
            if any(re.search(said, str(error)) for said in REFUSED):
                reject()
            raise
    for warning in caught:
        assert any(re.search(said, str(warning.message)) for said in TOLD), warning.message


# ---- the oracles


def fit_is_the_loop_by_hand(call: Call, found: Mapping[str, Any]) -> None:
    """Losses, weights, random numbers in every bit; means as Python's numbers are exact.

    A batch may count by its samples, or by its labels' numbers: one of the two loops it must be.
    """
    try:
        is_train(call, found)
    except AssertionError:
        is_train(replace(call, by_labels=True), found)


def is_train(call: Call, found: Mapping[str, Any]) -> None:
    """The same as what the loop by hand gives."""
    with warnings.catch_warnings(), unchanged_settings():
        warnings.simplefilter("ignore")
        expected = by_hand.train(call)
    for what in ("step_losses", "network", "loss_fn", "optimizer", "random"):
        assert_close(what, found[what], expected[what], 0.0)
    for what in ("rows", "recorded"):
        assert_close(what, found[what], expected[what], rounding_of_means(call))


def rounding_of_means(call: Call) -> float:
    """The sum of two losses is rounded as they are; all else is summed in 64 bits."""
    if call.names and call.precision != "32":
        return 1e-2
    if call.names and "float32" in call.chosen("dtype"):
        return 1e-6
    return 1e-12


def script_is_fit(call: Call, found: Mapping[str, Any], run: Callable[[Program], Any]) -> None:
    """The script alone, in a fresh process: all in every bit."""
    model, arguments = prepared(call)
    with as_told():
        for _ in range(call.times - 1):
            model.fit(**arguments, verbose=0)
        program = model.unroll("fit", **arguments, verbose=0)
    if "lambda" in call.parts["loss_fn"]:
        assert "a lambda has no source of its own" in program.script()
        return
    if call.times > 1 and call.callback == "EarlyStopping":  # it keeps the best weights so far
        assert "You must supply" in program.script()
        return
    if call.times > 1 and call.chosen("optimizer")[0] in ("ASGD", "NAdam"):
        return  # torch's load_state_dict casts numbers of theirs to the type of the weights
    script = run(program)
    found = {**found, "step_losses": found["step_losses"][-1], "rows": found["rows"][-1]}
    for what, value in script.items():
        assert_close(f"{what} of the script", value, found[what], 0.0)


def k_batches_are_one_large_one(call: Call) -> None:
    """In 64 bits: the training with large batches, by hand, and a mean over all data at once."""
    model, arguments = prepared(call)
    data, sizes = arguments["train_data"], arguments["batch_size"]
    size = sizes[0] if isinstance(sizes, tuple) else sizes
    with as_told():
        rows = model.fit(**arguments, verbose=0).rows
        weights = model.network.state_dict()
        result = model.evaluate(data, batch_size=size, verbose=0)
        y_hat = model.predict(data, batch_size=size, stack_outputs=True, verbose=0)
    with warnings.catch_warnings(), unchanged_settings():
        warnings.simplefilter("ignore")
        expected = by_hand.train(call, together=call.options["accumulate_grad_batches"])
        parts = call.make() | {"network": model.network, "loss_fn": model.loss_fn}
        whole = DataLoader(data, batch_size=len(data))
        mean = by_hand.evaluate(call, parts, whole)
        [batch] = whole
        outputs = by_hand.Seen(call, parts, batch).outputs
    assert_close("network", weights, expected["network"], 1e-12)
    assert_close("rows", [rows], expected["rows"], 1e-12)
    assert_close("evaluate", result, mean, 1e-12)
    assert_close("predict", by_hand.tensors_of(y_hat), outputs, 1e-12)


def assert_close(what: str, found: Any, expected: Any, rounding: float) -> None:
    """Refuse other numbers; in every bit, if there is no rounding."""
    a, b = flat(found), flat(expected)
    different = [key for key in a | b if not alike(a.get(key), b.get(key), rounding)]
    if different:
        key = different[0]
        raise AssertionError(
            f"{what}: {len(different)} of {len(a | b)} differ; {key}: {a.get(key)}, but "
            f"{b.get(key)} is expected"
        )


def alike(a: Any, b: Any, rounding: float) -> bool:
    if not rounding or type(a) is not type(b) or not isinstance(a, float | torch.Tensor):
        return identical(a, b)
    a, b = (torch.as_tensor(each, dtype=torch.float64) for each in (a, b))
    return a.shape == b.shape and torch.allclose(a, b, rounding, rounding, equal_nan=True)


# ---- scripts in one fresh process, each in a namespace of its own

RUN_EACH = """
import io, random, runpy, sys, traceback
from contextlib import redirect_stdout
from multiprocessing.connection import Client
sys.modules["tutorial"] = None  # importing it is an error from here on
import numpy as np, torch
torch.set_num_threads(1)

def results_of(script):
    with redirect_stdout(io.StringIO()):
        names = runpy.run_path(script)
    kept = {k: names[k] for k in ("step_losses", "rows")}
    kept |= {k: names[k].state_dict() for k in ("network", "optimizer")}
    loss_fn = names.get("loss_fn")
    kept["loss_fn"] = loss_fn.state_dict() if isinstance(loss_fn, torch.nn.Module) else {}
    kept["recorded"] = names["recorder"].logs if "recorder" in names else []
    kept["random"] = {
        "torch": torch.get_rng_state(),
        "numpy": torch.from_numpy(np.random.get_state()[1].astype(np.int64)),
        "python": list(random.getstate()[1]),
    }
    return kept

with Client(sys.argv[1]) as connection:
    while script := connection.recv():
        try:
            torch.save(results_of(script), script + ".results")
            connection.send("")
        except BaseException:
            connection.send(traceback.format_exc())
"""


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[Program], Any]]:
    """What a program leaves that is saved and run as a script."""
    folder = tmp_path_factory.mktemp("scripts")
    with Listener(str(folder / "socket")) as listener, ThreadPoolExecutor() as threads:
        process = threads.submit(warm.run, RUN_EACH, folder / "socket", cwd="/")
        with listener.accept() as connection:
            yield lambda program: results(program, folder, connection, process)
            connection.send(None)


def results(program: Program, folder: Path, connection: Connection, process: Future) -> Any:
    script = program.save(folder / "script.py")
    connection.send(str(script))
    while not connection.poll(1):
        assert not process.done(), process.result().stderr
    error = connection.recv()
    assert not error, error
    return torch.load(f"{script}.results", weights_only=True)


# ---- the examples


def examples(count: int) -> Callable[[Any], Any]:
    """So many examples: always the same, but for another CALLS_SEED."""
    number = os.environ.get("CALLS_SEED")
    same = settings(
        max_examples=count,
        derandomize=number is None,
        database=None,
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
        phases=[Phase.generate, Phase.shrink],
    )
    return lambda test: same(test if number is None else seed(int(number))(test))


def any_calls(count: int, run: Callable[[Program], Any]) -> list[Call]:
    """Check so many calls of any kind."""
    tried = list[Call]()

    @examples(count)
    @given(calls())
    def check(call: Call) -> None:
        with as_told():
            found = fit(call)
        fit_is_the_loop_by_hand(call, found)
        if call.as_script:
            script_is_fit(call, found, run)
        tried.append(call)

    check()
    return tried


def large_calls(count: int) -> list[Call]:
    """Check so many calls that accumulate."""
    tried = list[Call]()

    @examples(count)
    @given(calls(large=True))
    def check(call: Call) -> None:
        k_batches_are_one_large_one(call)
        tried.append(call)

    check()
    return tried


def test_a_hundred_calls(run: Callable[[Program], Any]) -> None:
    assert len(any_calls(100, run)) >= 100


def test_thirty_calls_that_accumulate() -> None:
    assert len(large_calls(30)) >= 30


@pytest.mark.slow
def test_thousands_of_calls_have_all_that_there_is(run: Callable[[Program], Any]) -> None:
    tried = any_calls(2000, run)
    count = Counter(choice for call in tried for choice in set(call.drawn))
    for table, names in WHAT_THERE_IS.items():
        print(f"\n{table}: ", *(f"{name} {count[table, name]}" for name in names), sep="  ")
    missing = [(t, n) for t, names in WHAT_THERE_IS.items() for n in names if not count[t, n]]
    assert len(tried) >= 2000
    assert not missing


@pytest.mark.slow
def test_hundreds_of_calls_that_accumulate() -> None:
    assert len(large_calls(700)) >= 700


@pytest.mark.parametrize("count", [3, pytest.param(40, marks=pytest.mark.slow)])
def test_some_scripts_each_in_a_process_of_its_own(count: int) -> None:
    @examples(count)
    @given(calls())
    def check(call: Call) -> None:
        assume("lambda" not in call.parts["loss_fn"])
        model, arguments = prepared(call)
        with as_told():
            proof = model.unroll("fit", **arguments, verbose=0).verify()
        assert proof, proof

    check()


WHAT_THERE_IS: dict[str, Any] = {
    "layer": {**tables.LAYERS, **tables.EMBEDDINGS, **tables.JOINS},
    "loss": tables.LOSSES,
    "losses together": tables.TOGETHER,
    "metric": tables.METRICS,
    "input": tables.INPUTS,
    "samples": tables.SAMPLES,
    "train data": tables.SOURCES,
    "eval data": tables.SOURCES,
    "optimizer": tables.OPTIMIZERS,
    "schedule": tables.SCHEDULES,
    "schedule by": ("step", "epoch"),
    "callback": tables.CALLBACKS,
    "dtype": ("float32", "float64"),
    "precision": tables.DTYPES,
    "option": (
        *("batch_size", "epochs", "shuffle", "accumulate_grad_batches", "clip_grad_norm"),
        *("eval_freq", "drop_last", "num_iters"),
    ),
}
