"""What the loops must do, on tiny data, each time against a few lines without this library.

Each function of ORACLES fails where a loop does something else. Most take some milliseconds: they
are what mutants.py asks whether it notices that a line of the loop is gone.
"""

import inspect
import io
import multiprocessing
import os
import pickle
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, redirect_stdout
from datetime import date, timedelta
from importlib import import_module
from multiprocessing.connection import wait
from pathlib import Path
from typing import Any

import torch
from torch import distributed as dist
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset

os.environ.setdefault("PAIRWISE_SEED", str(date.today().toordinal() % 5))

import by_hand
from fakes import OneByOne
from test_equality import OPTIONS, by_fit, differences
from test_golden import CASES, FOLDER

import tutorial as tl
from tutorial.callbacks import Callback, EarlyStopping, LambdaCallback, LRScheduler
from tutorial.callbacks.base import HOOKS
from tutorial.device import flushes_denormals
from tutorial.display.report import Report
from tutorial.distributed import process_group
from tutorial.distributed.shard import full_state_dict
from tutorial.loop.names import TOOLS
from tutorial.loop.options import Code
from tutorial.unroll.unroll import unroll
from tutorial.unroll.weave import code_of, plain_functions

ORACLES: dict[str, Callable[[], None]] = {}  # in the order in which mutants.py asks them
EQUAL = {"rtol": 0.0, "atol": 1e-10}


def oracle(check: Callable[[], None]) -> Callable[[], None]:
    """An oracle: its docstring's first line, which says what it compares, is its name."""
    ORACLES[str(check.__doc__).splitlines()[0].rstrip(".")] = check
    return check


# ---- small things


CHANCE = torch.Generator().manual_seed(0)
X = torch.randn(10, 4, generator=CHANCE, dtype=torch.float64)
Y = torch.arange(10) % 3
DATA, FIVE = TensorDataset(X, Y), TensorDataset(X[:5], Y[:5])
SAMPLES = OneByOne(DATA)
BATCHES = [slice(0, 4), slice(4, 8), slice(8, 10)]  # of 4


def linear() -> nn.Module:
    return nn.Linear(4, 3).double()


def tiny(
    network: nn.Module | None = None, lr: float = 0.1, loss: Any = None, metrics: Any = None, **more
) -> tl.Model:
    """A model that is the same at each call; with lr=0 its losses are known beforehand."""
    tl.seed(2)
    model = tl.Model(network or linear(), shard=more.get("shard", False))
    optimizer = more.get("optimizer", torch.optim.SGD)(model.parameters(), lr=lr)
    precision = more.get("precision", "32")
    model.prepare(optimizer, loss or nn.CrossEntropyLoss(), metrics, precision)
    return model


def state(model: tl.Model) -> dict[str, Any]:
    return {
        "network": full_state_dict(model.network),
        "optimizer": full_state_dict(model.optimizer),
    }


def equal(one: Any, other: Any) -> None:
    torch.testing.assert_close(one, other, **EQUAL)


def same_bits(one: Any, other: Any) -> None:
    assert not differences({"": one}, {"": other})


def rounded(nest: Any, digits: int = 9) -> Any:
    """Where numbers are compared together with other things."""
    if isinstance(nest, dict):
        return {key: rounded(value, digits) for key, value in nest.items()}
    if isinstance(nest, list | tuple):
        return [rounded(value, digits) for value in nest]
    return round(nest, digits) if isinstance(nest, float) else nest


def means(network: nn.Module, count: int) -> dict[str, float]:
    """The mean loss and the accuracy over the first samples."""
    with torch.no_grad():
        y_hat = network(X[:count])
    right = (y_hat.argmax(1) == Y[:count]).double().mean().item()
    return {"loss": F.cross_entropy(y_hat, Y[:count]).item(), "acc": right}


def updated(network: nn.Module, grads: Iterable[torch.Tensor]) -> list[torch.Tensor]:
    """The weights after one update by these gradients."""
    return [w.detach() - 0.1 * g for w, g in zip(network.parameters(), grads, strict=True)]


def weights_of(network: nn.Module) -> list[torch.Tensor]:
    return [weight.detach() for weight in network.parameters()]


def printed(function: Callable[[], Any]) -> str:
    with redirect_stdout(io.StringIO()) as text:
        function()
    return text.getvalue()


def run(function: str, names: dict[str, Any], **options: Any) -> dict[str, Any]:
    """Run one function of the loop for these options; its variables."""
    namespace = TOOLS | names
    with redirect_stdout(io.StringIO()):
        exec(unroll(function, tuple(options.items())), namespace)
    return namespace


# ---- the loop by hand: every loss, row, weight and number of the optimizer, bit for bit


PLAIN = {name: values[0] for name, values in OPTIONS.items()}


def as_by_hand(**options: Any) -> None:
    case = PLAIN | options
    with tempfile.TemporaryDirectory() as folder:
        same_bits(by_fit(case, Path(folder)), by_hand.train(case))


@oracle
def by_hand_plain() -> None:
    """The loop by hand."""
    as_by_hand(epochs=3, shuffle=True, metrics=1)


@oracle
def by_hand_measured() -> None:
    """The loop by hand: evaluation, metrics, class weights, a recorder."""
    as_by_hand(
        network="batch norm", data="samples", class_weights=True, metrics=2, epochs=3,
        eval_data=True, eval_freq=2, drop_last=True, callbacks="recorder",
    )  # fmt: skip


@oracle
def by_hand_groups() -> None:
    """The loop by hand: accumulation, clipping, a schedule for each update, float16, a limit."""
    as_by_hand(
        epochs=3, accumulate_grad_batches=2, clip_grad_norm=0.5, schedule="step",
        precision="16-mixed", num_iters=8, eval_data=True,
    )  # fmt: skip


@oracle
def by_hand_two_heads() -> None:
    """The loop by hand: two losses, batches that are dicts, bfloat16, a schedule by epochs."""
    as_by_hand(
        network="two heads", data="dicts", metrics=2, epochs=2, schedule="epoch",
        precision="bf16-mixed", eval_data=True, clip_grad_norm=0.5,
    )  # fmt: skip


@oracle
def by_hand_stopped() -> None:
    """The loop by hand: early stopping, a loader of one's own, checkpoints."""
    as_by_hand(
        data="loader", epochs=3, eval_data=True, callbacks="early stopping", save_dir=True
    )  # fmt: skip


# ---- callbacks


class Everything(Callback):
    """Notes every hook with its arguments; the updates so far, and whether the network trains."""

    def __init__(self) -> None:
        self.notes: list[Any] = []
        self.steps = 0

    def note(self, *what: Any) -> None:
        self.notes.append([*what, self.steps, self.model.network.training])


for _hook in HOOKS:

    def _told(self: Everything, *arguments: Any, hook: str = _hook, **_: Any) -> None:
        self.note(hook, *arguments)

    setattr(Everything, _hook, _told)


def watched(**prepare: Any) -> tuple[tl.Model, Everything]:
    model, noted = tiny(lr=0.0, metrics=tl.metrics.Accuracy(), **prepare), Everything()

    def count(*_: Any) -> None:
        noted.steps += 1

    model.optimizer.register_step_post_hook(count)
    return model, noted


@oracle
def hooks_of_fit() -> None:
    """All hooks of fit: order, arguments, updates so far, eval mode."""
    model, noted = watched()
    model.fit(
        DATA, FIVE, batch_size=4, epochs=2, shuffle=False, callbacks=noted,
        verbose=0,
    )  # fmt: skip
    network = model.network
    evaluated = {f"eval_{name}": value for name, value in means(network, 5).items()}
    expected: list[Any] = [["on_train_begin", {}, 0, True]]
    for epoch in range(2):
        row = {"epoch": epoch + 1} | means(network, 10)
        n = 3 * epoch
        training = epoch == 0  # as the evaluation left it, until the epoch's network.train()
        expected += [
            ["on_epoch_begin", epoch, {}, n, training],
            ["on_train_batch_begin", 0, {}, n, True],
            ["on_train_batch_end", 0, means(network, 4) | {"batch_size": 4}, n + 1, True],
            ["on_train_batch_begin", 1, {}, n + 1, True],
            ["on_train_batch_end", 1, means(network, 8) | {"batch_size": 4}, n + 2, True],
            ["on_train_batch_begin", 2, {}, n + 2, True],
            ["on_train_batch_end", 2, means(network, 10) | {"batch_size": 2}, n + 3, True],
            ["on_epoch_end", epoch, row, n + 3, True],
            ["on_eval_begin", {}, n + 3, True],
            ["on_eval_batch_begin", 0, {}, n + 3, False],
            ["on_eval_batch_end", 0, means(network, 4) | {"batch_size": 4}, n + 3, False],
            ["on_eval_batch_begin", 1, {}, n + 3, False],
            ["on_eval_batch_end", 1, means(network, 5) | {"batch_size": 1}, n + 3, False],
            ["on_eval_end", means(network, 5), n + 3, False],
        ]
    expected.append(["on_train_end", row | evaluated, 6, False])
    assert rounded(noted.notes) == rounded(expected)


@oracle
def hooks_of_predict() -> None:
    """All hooks of predict."""
    model, noted = watched()
    model.predict(DATA, batch_size=8, callbacks=noted, verbose=0)
    assert noted.notes == [
        ["on_predict_begin", {}, 0, True],
        ["on_predict_batch_begin", 0, {}, 0, False],
        ["on_predict_batch_end", 0, {"batch_size": 8}, 0, False],
        ["on_predict_batch_begin", 1, {}, 0, False],
        ["on_predict_batch_end", 1, {"batch_size": 2}, 0, False],
        ["on_predict_end", {}, 0, False],
    ]


def steps_until(**hook: Callable[..., bool]) -> list[int]:
    """The steps and the epochs of a training that a hook ends where its function says so."""
    model = tiny()
    [(name, ends)] = hook.items()

    def maybe_stop(at: int, logs: Any) -> None:
        model.stop_training = model.stop_training or ends(at)

    history = model.fit(
        DATA, FIVE, batch_size=4, epochs=4, eval_freq=9, verbose=0,
        callbacks=LambdaCallback(**{name: maybe_stop}),
    )  # fmt: skip
    assert "eval_loss" in history.rows[-1]  # the last epoch is evaluated
    return [len(history.step_losses), len(history.rows)]


@oracle
def learning_rates_that_callbacks_see() -> None:
    """The learning rates that callbacks see: that of the epoch; that of the next step."""
    for by_epoch, expected in (
        (True, [0.8, 0.8, 0.8, 0.4, 0.4, 0.4]),
        (None, [0.8, 0.4, 0.4, 0.4, 0.2, 0.2]),
    ):
        model, seen = tiny(lr=0.8), []

        def note(*_: Any, model: Any = model, seen: Any = seen) -> None:
            seen.append(model.optimizer.param_groups[0]["lr"])

        hooks = ("on_epoch_begin", "on_train_batch_end", "on_epoch_end")
        scheduler = torch.optim.lr_scheduler.ExponentialLR(model.optimizer, 0.5)
        callbacks = [
            LRScheduler(scheduler, by_epoch=by_epoch),
            LambdaCallback(**dict.fromkeys(hooks, note)),
        ]
        model.fit(DATA, batch_size=10, epochs=2, callbacks=callbacks, verbose=0)
        assert seen == expected


@oracle
def a_callback_stops() -> None:
    """A callback ends the training: after the step, after the epoch."""
    assert steps_until(on_train_batch_end=lambda step: step == 1) == [2, 1]
    assert steps_until(on_train_batch_begin=lambda step: step == 1) == [2, 1]
    assert steps_until(on_epoch_end=lambda epoch: epoch == 1) == [6, 2]


@oracle
def a_program_forgets_an_earlier_stop() -> None:
    """A program begins to train, though an earlier training was stopped."""
    model = tiny()
    program = model.unroll("fit", DATA, batch_size=4, epochs=2, callbacks=Everything())
    names = TOOLS | program.names
    program.hooks.attach(names, True)
    model.stop_training = True
    printed(lambda: exec(program.source, names))
    assert len(names["step_losses"]) == 6


# ---- what is printed, or reported


def line(place: str, network: nn.Module, count: int) -> str:
    return f"{place}: loss {means(network, count)['loss']:.4f}\n"


def row(epoch: int, network: nn.Module, evaluated: bool = False) -> str:
    numbers = {"epoch": epoch, "loss": means(network, 10)["loss"]}
    if evaluated:
        numbers["eval_loss"] = means(network, 5)["loss"]
    return f"{rounded(numbers, 4)}\n"


@oracle
def what_fit_prints() -> None:
    """A program prints."""
    model = tiny(lr=0.0)
    program = model.unroll(
        "fit", DATA, FIVE, batch_size=4, epochs=2, log_freq=2, eval_freq=2, shuffle=False
    )
    expected = "".join(
        line(f"epoch {epoch} step 2", model.network, 8) + row(epoch, model.network, epoch == 2)
        for epoch in (1, 2)
    )
    assert printed(program.run) == expected


@oracle
def what_evaluate_prints() -> None:
    """A program of evaluate prints."""
    model = tiny()
    loss = rounded({"loss": means(model.network, 10)["loss"]}, 4)
    assert printed(model.unroll("evaluate", DATA).run) == f"{loss}\n"


class Notes(Report):
    """Notes what it is told."""

    def __init__(self) -> None:
        self.notes: list[Any] = []

    def watch(self, step_losses: Any, rows: Any, num_iters: Any) -> None:
        assert step_losses is not None and rows is not step_losses
        self.lists = step_losses, rows
        self.notes.append(["watch", len(step_losses), len(rows), num_iters])

    def start(self, phase: str, loader: Any, *epochs: Any) -> None:
        self.notes.append(["start", phase, len(loader), *epochs])

    def due(self, step: int) -> bool:
        self.notes.append(["due", step])
        return step == 1

    def update(self, step: int, logs: Any) -> None:
        self.notes.append(["update", step, dict(logs)])

    def finish(self, logs: Any) -> None:
        self.notes.append(["finish", dict(logs)])


@oracle
def what_fit_reports() -> None:
    """What fit tells its display."""
    model, report = tiny(lr=0.0, metrics=tl.metrics.Accuracy()), Notes()
    history = model.unroll("fit", DATA, FIVE, batch_size=4, shuffle=False, num_iters=9).run(report)

    evaluated = {f"eval_{name}": value for name, value in means(model.network, 5).items()}
    assert rounded(report.notes) == rounded(
        [
            ["watch", 0, 0, 9],
            ["start", "train", 3, 0, 1],
            ["due", 0], ["due", 1], ["update", 1, means(model.network, 8)], ["due", 2],
            ["start", "evaluate", 2],
            ["due", 0], ["due", 1], ["update", 1, means(model.network, 5)],
            ["finish", {"epoch": 1} | means(model.network, 10) | evaluated],
        ]
    )  # fmt: skip
    assert report.lists == (history.step_losses, history.rows)


@oracle
def what_others_report() -> None:
    """What evaluate and predict tell their display."""
    model, report = tiny(), Notes()
    expected = means(model.network, 5)["loss"]
    model.unroll("evaluate", FIVE, batch_size=3).run(report)
    assert rounded(report.notes) == rounded(
        [
            ["start", "evaluate", 2],
            ["due", 0], ["due", 1], ["update", 1, {"loss": expected}],
            ["finish", {"loss": expected}],
        ]
    )  # fmt: skip
    report = Notes()
    model.unroll("predict", FIVE, batch_size=3).run(report)
    assert report.notes == [
        ["start", "predict", 2], ["due", 0], ["due", 1], ["update", 1, {}], ["finish", {}],
    ]  # fmt: skip


# ---- evaluate and predict


@oracle
def evaluate_is_one_cross_entropy() -> None:
    """evaluate against F.cross_entropy over all samples; with a limit, over some."""
    model = tiny(nn.Sequential(linear(), nn.Dropout()), metrics=tl.metrics.Accuracy())
    network = model.network[0]
    for _ in range(2):  # and the metric begins anew each time
        model.network.train()
        equal(model.evaluate(DATA, batch_size=4, verbose=0), means(network, 10))
    equal(model.evaluate(DATA, batch_size=4, num_iters=2, verbose=0), means(network, 8))
    for data in (DataLoader(DATA, 4), SAMPLES):
        equal(model.evaluate(data, batch_size=4, verbose=0), means(network, 10))
        equal(model.evaluate(data, batch_size=4, num_iters=2, verbose=0), means(network, 8))


@oracle
def evaluate_without_gradients() -> None:
    """evaluate and predict make no gradients."""
    modes: list[bool] = []
    network = linear()
    network.register_forward_hook(lambda *_: modes.append(torch.is_grad_enabled()))
    model = tiny(network)
    for method in (model.evaluate, model.predict):
        modes.clear()
        method(DATA, verbose=0)
        assert not modes[-1]
    modes.clear()
    model.eval_batch(X, Y)
    assert not modes[-1]
    model.predict_batch(X)
    assert not modes[-1]


@oracle
def evaluate_without_a_loss() -> None:
    """evaluate without a loss: only metrics."""
    model = tl.Model(nn.Sequential(linear(), nn.Dropout()))
    model.prepare(metrics=tl.metrics.Accuracy())
    for data in (DATA, FIVE):  # and the metric begins anew each time
        model.network.train()
        expected = means(model.network[0], len(data))["acc"]
        equal(model.evaluate(data, batch_size=4, verbose=0), {"acc": expected})


class TwoOutputs(nn.Module):
    """Two outputs: in a tuple, or in a dict."""

    def __init__(self, keys: tuple[str, ...] = ()) -> None:
        super().__init__()
        self.keys = keys
        self.heads = nn.ModuleList([linear(), linear()])
        self.dropout = nn.Dropout()

    def forward(self, x: torch.Tensor) -> Any:
        outputs = tuple(self.dropout(head(x)) for head in self.heads)
        return dict(zip(self.keys, outputs, strict=True)) if self.keys else outputs

    def plain(self, x: torch.Tensor) -> list[torch.Tensor]:
        return [head(x).detach() for head in self.heads]


@oracle
def several_losses_at_once() -> None:
    """Several losses of one function: fit, evaluate, train_batch; it is called once for a batch."""
    sizes: list[int] = []

    def both(y_hat: Any, other: Any, y: Any) -> list[Any]:
        sizes.append(len(y))
        return [F.cross_entropy(y_hat, y), F.cross_entropy(other, y)]

    as_two_losses(tiny(TwoOutputs().eval(), loss=both))
    assert [size for size in sizes if size > 2] == [4, 4, 10, 10]  # the model tries it with two


@oracle
def a_loss_for_each_output() -> None:
    """A loss for each output: fit, evaluate, train_batch."""
    as_two_losses(tiny(TwoOutputs().eval(), loss=[nn.CrossEntropyLoss(), nn.CrossEntropyLoss()]))


def as_two_losses(model: tl.Model) -> None:
    network = model.network
    network.dropout.p = 0.0

    def losses() -> dict[str, float]:
        first, second = (F.cross_entropy(y_hat, Y).item() for y_hat in network.plain(X))
        return {"loss": first + second, "loss_0": first, "loss_1": second}

    def after_an_update() -> list[torch.Tensor]:
        loss = sum(F.cross_entropy(head(X), Y) for head in network.heads)
        return updated(network, torch.autograd.grad(loss, [*network.parameters()]))

    equal(model.evaluate(DATA, batch_size=4, verbose=0), losses())
    before, weights = losses(), after_an_update()
    equal(model.train_batch(X, Y), before)
    equal(weights_of(network), weights)
    before, weights = losses(), after_an_update()
    history = model.fit(DATA, batch_size=10, verbose=0)
    equal(history.rows, [{"epoch": 1} | before])
    equal(history.step_losses, [before["loss"]])
    equal(weights_of(network), weights)


@oracle
def predict_is_the_network() -> None:
    """predict against network(x): by batches, in one tensor, from a loader, from x alone."""
    network = nn.Sequential(linear(), nn.Dropout())
    model = tiny(network)
    y_hat = network[0](X).detach()
    batches = [tuple(y_hat[at] for at in BATCHES)]
    loader = [X[at] for at in BATCHES]
    for data in (DATA, loader, DataLoader(DATA, 4), SAMPLES):
        network.train()
        equal(model.predict(data, batch_size=4, verbose=0), batches)
        network.train()
        equal(model.predict(data, batch_size=4, verbose=0, stack_outputs=True), [y_hat])
    network.train()
    equal(model.predict_batch(X), [y_hat])


@oracle
def predict_finds_the_inputs() -> None:
    """predict where only the loop sees whether there are labels."""
    network = linear()
    for data in ([[X]], [(X, Y)], [X]):
        names = {"network": network, "test_data": data}
        found = run(
            "predict", names, TEST_LOADING="as_is", UNPACK=Code("x"), LABELS_UNKNOWN=True
        )  # fmt: skip
        equal(found["outputs"], [(network(X).detach(),)])


@oracle
def predict_several_outputs() -> None:
    """predict with several outputs: in lists, stacked, in a dict."""
    for keys in ((), ("one", "two")):
        network = TwoOutputs(keys)
        model = tiny(network)
        y_hats = network.plain(X)
        batches = [tuple(y_hat[at] for at in BATCHES) for y_hat in y_hats]
        expected: Any = dict(zip(keys, batches, strict=True)) if keys else batches
        equal(model.predict(DATA, batch_size=4, verbose=0), expected)
        expected = dict(zip(keys, y_hats, strict=True)) if keys else y_hats
        equal(model.predict(DATA, batch_size=4, verbose=0, stack_outputs=True), expected)
        equal(model.predict_batch(X), expected)


# ---- one batch


@oracle
def one_batch_by_hand() -> None:
    """train_batch by hand, with and without its update; eval_batch."""
    network = nn.Sequential(linear(), nn.Identity())
    model = tiny(network.eval(), metrics=tl.metrics.Accuracy())
    equal(model.eval_batch(X, Y), means(network, 10))
    trained: list[bool] = []
    for x, y in ((X, Y), (X[:5], Y[:5])):  # and the metric begins anew each time
        before = means(network, len(x))
        F.cross_entropy(network(x), y).backward()
        added = [weight.grad.clone() for weight in network.parameters()]
        network.zero_grad()
        trained.clear()
        watching = network.register_forward_hook(lambda *_: trained.append(network.training))
        model.eval_batch(X[5:], Y[5:])
        for count in (1, 2):
            equal(model.train_batch(x, y, update=False), before)
            equal([w.grad for w in network.parameters()], [count * grad for grad in added])
        assert trained[-3:] == [False, True, True]
        watching.remove()
        weights = updated(network, [3 * grad for grad in added])
        equal(model.train_batch(x, y), before)  # the third time, and now the step
        equal(weights_of(network), weights)
        assert all(w.grad is None for w in network.parameters())


@oracle
def one_batch_in_16_bits() -> None:
    """Batches, evaluate and predict in 16 bits, against torch.autocast."""
    x = X.float()
    for precision, dtype in (("bf16-mixed", torch.bfloat16), ("16-mixed", torch.float16)):
        tl.seed(2)
        network = nn.Sequential(nn.Linear(4, 3), nn.Identity())
        model = tl.Model(network)
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        model.prepare(optimizer, nn.CrossEntropyLoss(), precision=precision)
        scaler = torch.amp.GradScaler("cpu", init_scale=128.0)
        if model.scaler is not None:
            model.scaler.load_state_dict(scaler.state_dict() | {"growth_interval": 1})
        with torch.autocast("cpu", dtype):
            y_hat = network(x)
            loss = F.cross_entropy(y_hat, Y)
        same_bits(model.predict_batch(x), [y_hat.detach()])
        data = TensorDataset(x, Y)
        same_bits(model.predict(data, verbose=0), [(y_hat.detach(),)])
        expected = {"loss": loss.item()}
        equal(model.evaluate(data, verbose=0), expected)
        same_bits(model.eval_batch(x, Y), expected)
        scale = 1.0 if model.scaler is None else 128.0
        (loss * scale).backward()
        grads = [weight.grad / scale for weight in network.parameters()]
        network.zero_grad()
        same_bits(model.train_batch(x, Y, update=False), expected)
        same_bits([w.grad for w in network.parameters()], [g * scale for g in grads])
        network.zero_grad()
        weights = updated(network, grads)
        same_bits(model.train_batch(x, Y), expected)
        torch.testing.assert_close(weights_of(network), weights)
        assert all(w.grad is None for w in network.parameters())
        if model.scaler is not None:  # the update went well, so the scale grows
            assert model.scaler.get_scale() == 256.0
            before = [w.detach().clone() for w in network.parameters()]
            assert not torch.isfinite(torch.tensor(model.train_batch(x * float("inf"), Y)["loss"]))
            same_bits(weights_of(network), before)  # no step
            assert model.scaler.get_scale() == 128.0


# ---- how batches are made


def batches_seen(function: str, **options: Any) -> list[list[int]]:
    """The samples of each batch that the network gets; of seven, by two."""
    seen: list[list[int]] = []

    class Watching(nn.Linear):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            seen.append(x[:, 0].int().tolist())
            return super().forward(x)

    x = torch.arange(7.0)[:, None].expand(7, 2)
    network = Watching(2, 3)
    data: Any = TensorDataset(x, torch.zeros(7, dtype=torch.long))
    if "as_is" in options.values():
        data = [data[i : i + 2] for i in range(0, 7, 2)]
    names = {
        "network": network, "loss_fn": nn.CrossEntropyLoss(), "train_data": data,
        "optimizer": torch.optim.SGD(network.parameters(), lr=0.1), "eval_data": data,
        "rank": RANK, "world_size": 2,
    }  # fmt: skip
    run(function, names, BATCH_SIZE=2, EVAL_BATCH_SIZE=2, **options)
    return seen


RANK = 1
LOADING = ("in_memory", "per_batch", "per_sample")


@oracle
def batches_in_memory() -> None:
    """The samples in each batch, where all are in memory."""
    samples_in_batches("in_memory")


@oracle
def batches_by_batch() -> None:
    """The samples in each batch, where whole batches are read."""
    samples_in_batches("per_batch")


@oracle
def batches_by_sample() -> None:
    """The samples in each batch, where samples are read."""
    samples_in_batches("per_sample")


def samples_in_batches(loading: str) -> None:
    own = [[0, 1], [2, 3], [4, 5], [6]]
    how = {"TRAIN_LOADING": loading, "SHUFFLE": False}
    assert batches_seen("fit", **how) == own
    assert batches_seen("fit", DROP_LAST=True, **how) == own[:3]
    assert batches_seen("fit", TRAIN_SPLIT="strided", **how) == [[1, 3], [5]]
    strided = batches_seen("fit", TRAIN_SPLIT="strided", DROP_LAST=True, **how)
    assert strided == [[1, 3]]
    evaluated = {"EVAL_LOADING": loading, "LOSSES": "none", "EVAL_SPLIT": "contiguous"}
    assert batches_seen("evaluate", **evaluated) == [[4, 5], [6]]
    tl.seed(3)
    shuffled = batches_seen("fit", TRAIN_LOADING=loading, EPOCHS=2)
    epochs = [[i for batch in shuffled[at : at + 4] for i in batch] for at in (0, 4)]
    assert [sorted(epoch) for epoch in epochs] == [[*range(7)]] * 2
    assert epochs[0] != epochs[1]
    tl.seed(3)
    strided = batches_seen("fit", TRAIN_LOADING=loading, TRAIN_SPLIT="strided")
    tl.seed(3)
    assert strided != batches_seen("fit", TRAIN_SPLIT="strided", **how)


@oracle
def batches_as_given() -> None:
    """The samples in each batch of one's own."""
    how = {"TRAIN_LOADING": "as_is"}
    assert batches_seen("fit", **how) == [[0, 1], [2, 3], [4, 5], [6]]
    assert batches_seen("fit", TRAIN_SPLIT="strided", **how) == [[1], [3], [5], [6]]


# ---- further options


@oracle
def denormals_are_flushed() -> None:
    """While fit runs on a CPU, denormals are 0."""
    flushed: list[bool] = []
    spy = LambdaCallback(on_epoch_begin=lambda *_: flushed.append(flushes_denormals()))
    tiny().fit(DATA, callbacks=spy, verbose=0)
    assert flushed == [True]


@oracle
def the_network_is_compiled_once() -> None:
    """torch.compile is called once, and what it gives is trained."""
    made: list[nn.Module] = []
    calls: list[int] = []

    class Compiled(nn.Module):
        def __init__(self, network: nn.Module) -> None:
            super().__init__()
            self.network = network
            made.append(network)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            calls.append(len(x))
            return self.network(x)

    model, usual = tiny(), torch.compile
    torch.compile = Compiled
    try:
        model.fit(DATA, batch_size=4, epochs=2, compile=True, verbose=0)
    finally:
        torch.compile = usual
    assert made == [model.network]
    assert calls == [4, 4, 2] * 2


def resumable(folder: str, seed: int, epochs: int) -> Any:
    """A training that goes on from where the folder's last one ended; all that it leaves behind."""
    tl.seed(2)
    network = nn.Sequential(nn.Linear(4, 3), nn.Dropout())
    model = tiny(network, precision="16-mixed")
    model.scaler.set_growth_interval(4)
    tl.seed(seed)
    generator = torch.Generator().manual_seed(seed)
    data = TensorDataset(X.float(), Y)
    loader = DataLoader(data, 4, shuffle=True, generator=generator)
    scheduler = torch.optim.lr_scheduler.ExponentialLR(model.optimizer, 0.9)
    stopping = EarlyStopping(mode="max", patience=9, verbose=0)  # the first epoch is its best
    history = model.fit(
        loader, data, epochs=epochs, verbose=0, save_dir=folder, resume=True,
        callbacks=[LRScheduler(scheduler), stopping],
    )  # fmt: skip
    return {
        **state(model), "losses": history.step_losses, "rows": history.rows,
        "scaler": model.scaler.state_dict(), "scheduler": scheduler.state_dict(),
        "stopping": stopping.state_dict() | {"saved": None}, "generator": generator.get_state(),
        "random": torch.get_rng_state(),
    }  # fmt: skip


@oracle
def a_resumed_training_is_one_training() -> None:
    """A training that goes on from a checkpoint is one that never broke off, bit for bit."""
    with tempfile.TemporaryDirectory() as whole, tempfile.TemporaryDirectory() as parts:
        at_once = resumable(whole, 1, 2)
        resumable(parts, 1, 1)
        same_bits(resumable(parts, 2, 2), at_once)


@oracle
def a_plain_training_is_resumed() -> None:
    """A textbook program goes on from a checkpoint: its losses and rows, and its update."""
    with tempfile.TemporaryDirectory() as folder:
        tiny().fit(DATA, batch_size=4, epochs=1, save_dir=folder, verbose=0)
        model = tiny(lr=0.7)
        options = {"batch_size": 4, "epochs": 2, "save_dir": folder, "resume": True, "verbose": 0}
        assert len(model.fit(DATA, **options).rows) == 2
        assert model.optimizer.param_groups[0]["lr"] == 0.1
        assert (Path(folder) / "0.pt").exists()
        assert (Path(folder) / "1.pt").exists()


# ---- what a batch counts in a mean


@oracle
def a_batch_counts_as_the_loss_averaged() -> None:
    """Means and updates of sums, of labels to ignore, and of a loss that says its weight."""

    def own(y_hat: Any, y: Any) -> Any:
        return F.cross_entropy(y_hat, y), (y != -100).sum()

    gone = torch.where(torch.arange(10) < 4, -100, Y)
    total = nn.CrossEntropyLoss(reduction="sum")
    for loss, y, by in ((F.cross_entropy, gone, 1), (total, Y, 10), (own, gone, 1)):
        plain = (lambda a, b: own(a, b)[0]) if loss is own else loss
        data = TensorDataset(X, y)
        mean = plain(tiny(lr=0.0).network(X), y).item() / by
        model = tiny(lr=0.0, loss=loss)
        equal(model.evaluate(data, batch_size=4, verbose=0), {"loss": mean})
        rows = model.fit(data, data, batch_size=4, verbose=0).rows
        equal(rows, [{"epoch": 1, "loss": mean, "eval_loss": mean}])
        equal(model.train_batch(X, y), {"loss": mean})
        for k, batches in ((1, BATCHES), (2, [slice(0, 8), slice(8, 10)])):
            model, by_hand_ = tiny(loss=loss), tiny().network
            model.fit(data, batch_size=4, accumulate_grad_batches=k, shuffle=False, verbose=0)
            for at in batches:
                value = plain(by_hand_(X[at]), y[at])
                if not value.isnan():
                    grads = torch.autograd.grad(value, [*by_hand_.parameters()])
                    with torch.no_grad():
                        for weight, new in zip(
                            by_hand_.parameters(), updated(by_hand_, grads), strict=True
                        ):
                            weight.copy_(new)
            equal(weights_of(model.network), weights_of(by_hand_))
    model = tiny(loss=nn.CrossEntropyLoss(), optimizer=torch.optim.Adam)
    model.train_batch(X, Y)
    before = [weight.clone() for weight in weights_of(model.network)]
    nothing = torch.full((10,), -100)
    for k in (1, 2):
        model.fit(samples_of(nothing), batch_size=4, accumulate_grad_batches=k, verbose=0)
    assert model.train_batch(X, nothing) == model.eval_batch(X, nothing) == {"loss": 0.0}
    same_bits(weights_of(model.network), before)
    model = tiny(lr=0.0, loss=nn.CrossEntropyLoss(), metrics=tl.metrics.Accuracy(ignore_index=-100))
    program = model.unroll("fit", samples_of(gone), batch_size=4, log_freq=1, shuffle=False)
    *steps, row = printed(program.run).splitlines()
    assert [line.split(":")[0] for line in steps] == ["epoch 1 step 2", "epoch 1 step 3"]
    right = (model.network(X).argmax(1) == gone)[gone != -100]
    assert f"'acc': {round(right.double().mean().item(), 4)}" in row


def samples_of(y: torch.Tensor) -> OneByOne:
    return OneByOne(TensorDataset(X, y))


# ---- another device: a tensor that is somewhere else until it is moved


class Elsewhere(torch.Tensor):
    """A tensor on a device where this network cannot use it."""

    def to(self, *_: Any, **__: Any) -> torch.Tensor:
        return self.as_subclass(torch.Tensor)

    cpu = to


def elsewhere(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.clone().as_subclass(Elsewhere)


class Here(nn.Linear):
    """It takes only what was moved, and what it gives is somewhere else again."""

    gives_elsewhere = False

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        assert type(x) is torch.Tensor
        y_hat = super().forward(x)
        return elsewhere(y_hat) if self.gives_elsewhere else y_hat


def on_another_device(function: str, **options: Any) -> dict[str, Any]:
    tl.seed(2)
    network = Here(4, 3).double()
    network.gives_elsewhere = "predict" in function
    batches = [(elsewhere(X[at]), elsewhere(Y[at])) for at in BATCHES]

    def loss_fn(y_hat: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        assert type(y) is torch.Tensor
        return F.cross_entropy(y_hat, y)

    names = {
        "network": network, "loss_fn": loss_fn, "train_data": batches, "eval_data": batches,
        "test_data": batches, "optimizer": torch.optim.SGD(network.parameters(), lr=0.0),
        "x": batches[0][0], "y": batches[0][1],
    }  # fmt: skip
    loading = dict.fromkeys(("TRAIN_LOADING", "EVAL_LOADING", "TEST_LOADING"), "as_is")
    return run(function, names, DEVICE="cpu:0", **loading, **options)


@oracle
def training_on_a_device() -> None:
    """On another device: batches are moved, losses stay there."""
    names = on_another_device("fit", EVAL_DATA=True)
    loss = means(names["network"], 10)["loss"]
    equal(names["rows"], [{"epoch": 1, "loss": loss, "eval_loss": loss}])
    with torch.no_grad():
        losses = [F.cross_entropy(names["network"](X[at]), Y[at]) for at in BATCHES]
    equal(names["step_losses"], losses)
    assert not any(loss.requires_grad for loss in names["step_losses"])


@oracle
def others_on_a_device() -> None:
    """On another device: evaluate, predict and single batches."""
    names = on_another_device("evaluate")
    network = names["network"]
    equal(names["result"], {"loss": means(network, 10)["loss"]})
    items: list[Any] = []
    usual, torch.Tensor.item = torch.Tensor.item, lambda tensor: items.append(1) or usual(tensor)
    try:
        on_another_device("evaluate")
    finally:
        torch.Tensor.item = usual
    assert not items  # it waits for no loss
    for function in ("train_batch", "eval_batch"):
        result = on_another_device(function)["result"]
        equal(result, {"loss": means(network, 4)["loss"]})
    [y_hats] = on_another_device("predict")["outputs"]
    assert {type(y_hat) for y_hat in y_hats} == {torch.Tensor}
    with torch.no_grad():
        expected = tuple(nn.Linear.forward(network, X[at]) for at in BATCHES)
    equal(y_hats, expected)
    [y_hat] = on_another_device("predict_batch")["outputs"]
    assert type(y_hat) is torch.Tensor
    equal(y_hat, expected[0])


# ---- two processes, real ones: forks of this one, which talk by gloo


def together(function: Callable[[int], Any]) -> list[Any]:
    """What a function of the rank returns in each of two processes that train together."""
    fork = multiprocessing.get_context("fork")
    with tempfile.TemporaryDirectory() as folder:
        ends = [fork.Pipe(duplex=False) for _ in range(2)]
        members = [
            fork.Process(target=member, args=(function, rank, f"{folder}/store", ends[rank][1]))
            for rank in range(2)
        ]
        for process in members:
            process.start()
        for _, sending in ends:
            sending.close()
        results: dict[Any, Any] = {}
        try:
            waiting = [receiving for receiving, _ in ends]
            while waiting:
                ready = wait(waiting, timeout=60)
                assert ready, "the two processes wait for each other"
                for end in ready:
                    results[end] = pickle.loads(end.recv_bytes())
                    waiting.remove(end)
                    if isinstance(results[end], BaseException):
                        raise results[end]
        finally:
            for process in members:
                process.kill()
                process.join()
        return [results[end] for end, _ in ends]


NOTED: set[tuple[str, str]] = set()  # parts of the loop that were woven: see mutants.py


def member(function: Callable[[int], Any], rank: int, store: str, sending: Any) -> None:
    """One of the two processes."""
    try:
        os.environ["GLOO_SOCKET_IFNAME"] = "lo"
        dist.init_process_group(
            "gloo",
            store=dist.FileStore(store, 2),
            rank=rank,
            world_size=2,
            timeout=timedelta(seconds=30),
        )
        process_group.PATIENCE = 0.0
        result: Any = function(rank), NOTED
    except BaseException as error:
        result = AssertionError(f"{type(error).__name__}: {error}")
    sending.send_bytes(pickle.dumps(result))


def both_ranks(function: Callable[[int], Any]) -> list[Any]:
    returned = together(function)
    for _, noted in returned:
        NOTED.update(noted)
    return [value for value, _ in returned]


def outcome(model: tl.Model, history: tl.History) -> dict[str, Any]:
    return {"losses": history.step_losses, "rows": history.rows, **state(model)}


def as_alone(train: Callable[[int, int], Any]) -> None:
    """Two processes with batches of 2 are one with batches of 4; their ranks are 0 and 1."""
    alone = train(4, 0)
    for result in both_ranks(lambda rank: train(2, rank)):
        equal(result, alone)


@oracle
def two_processes_train() -> None:
    """Two processes train as one: losses, weights, evaluation, a metric; the order of the first."""

    def train(batch_size: int, rank: int) -> Any:
        model = tiny(metrics=tl.metrics.Accuracy())
        tl.seed(5 + rank)
        return outcome(model, model.fit(DATA, FIVE, batch_size, epochs=2, verbose=0))

    as_alone(train)


@oracle
def two_processes_accumulate() -> None:
    """Two processes train as one: accumulation, clipping, class weights."""

    def train(batch_size: int, rank: int) -> Any:
        model = tiny(loss=nn.CrossEntropyLoss(torch.tensor([1.0, 5.0, 0.2]).double()))
        options = {"accumulate_grad_batches": 2, "clip_grad_norm": 0.1}
        tl.seed(5 + rank)
        return outcome(
            model, model.fit(DATA, batch_size=batch_size, epochs=2, verbose=0, **options)
        )

    as_alone(train)


@oracle
def two_processes_count_alike() -> None:
    """Two processes train as one: sums, labels to ignore, batches of them, a loss's own weight."""

    def own(y_hat: Any, y: Any) -> Any:
        return F.cross_entropy(y_hat, y), (y != -100).sum()

    def train(batch_size: int, rank: int) -> Any:
        found = []
        gone = torch.where(torch.arange(10) < 5, -100, Y)
        for loss in (nn.CrossEntropyLoss(), nn.CrossEntropyLoss(reduction="sum"), own):
            for k in (1, 2):
                model = tiny(loss=loss, metrics=tl.metrics.Accuracy(ignore_index=-100))
                history = model.fit(
                    TensorDataset(X, gone), TensorDataset(X, gone), batch_size, verbose=0,
                    epochs=2, accumulate_grad_batches=k, shuffle=False,
                )  # fmt: skip
                found.append(outcome(model, history))
        model = tiny(loss=nn.CrossEntropyLoss(reduction="sum"))
        part = slice(rank, None, 4 // batch_size)
        model.train_batch(X[part], Y[part])
        return [*found, weights_of(model.network)]

    as_alone(train)


@oracle
def two_processes_stop_together() -> None:
    """Two processes stop together, after the step and after the epoch, if one of them says so."""

    def train(rank: int) -> Any:
        ended = []
        for hook, when in (("on_train_batch_end", 0), ("on_epoch_end", 1)):
            model = tiny()

            def maybe_stop(at: int, logs: Any, model: Any = model, when: int = when) -> None:
                model.stop_training = model.stop_training or (rank == 1 and at == when)

            history = model.fit(
                DATA, batch_size=2, epochs=3, verbose=0,
                callbacks=LambdaCallback(**{hook: maybe_stop}),
            )  # fmt: skip
            ended.append([len(history.step_losses), len(history.rows)])
        return ended

    assert both_ranks(train) == [[[1, 1], [6, 2]]] * 2


@oracle
def two_processes_print_once() -> None:
    """Of two processes the first one prints."""

    def run_it(rank: int) -> Any:
        model = tiny(lr=0.0)
        fit = model.unroll("fit", DATA, FIVE, batch_size=2, log_freq=2, shuffle=False)
        return printed(fit.run), printed(model.unroll("evaluate", DATA).run)

    network = tiny().network
    evaluated = rounded({"loss": means(network, 10)["loss"]}, 4)
    fitted = line("epoch 1 step 2", network, 8) + row(1, network, evaluated=True)
    assert both_ranks(run_it) == [(fitted, f"{evaluated}\n"), ("", "")]


@oracle
def two_processes_keep_buffers_alike() -> None:
    """Two processes have the same running means of batch norm: those of the first."""

    def train(rank: int) -> Any:
        network = nn.Sequential(nn.BatchNorm1d(4), nn.Linear(4, 3)).double()
        model = tiny(network)
        model.fit(DATA, FIVE, batch_size=3, verbose=0, shuffle=False)
        return network.state_dict()

    first, second = both_ranks(train)
    same_bits(first, second)
    batch_norm = nn.BatchNorm1d(4).double()
    batch_norm(X[0:6:2])  # the first one's part of each batch
    batch_norm(X[6:10:2])
    same_bits(first["0.running_mean"], batch_norm.running_mean)


@oracle
def two_processes_predict() -> None:
    """Two processes predict and evaluate as one."""

    def measure(batch_size: int, rank: int) -> Any:
        model = tiny(metrics=tl.metrics.Accuracy())
        noted = LambdaCallback(on_predict_batch_end=lambda *_: None)
        return [
            model.predict(DATA, 4, verbose=0, callbacks=noted),
            model.evaluate(DATA, batch_size, verbose=0),
            model.evaluate(DataLoader(DATA, 4), verbose=0),
        ]

    as_alone(measure)


@oracle
def two_processes_train_a_batch() -> None:
    """train_batch of two processes: the mean of their gradients."""

    def train(rank: int) -> Any:
        model = tiny()
        half = slice(5 * rank, 5 * rank + 5)
        model.train_batch(X[half], Y[half], update=False)
        grads = [w.grad.clone() for w in model.parameters()]
        model.optimizer.zero_grad()
        model.train_batch(X[half], Y[half])
        return grads, weights_of(model.network)

    network = tiny().network
    for rank, (grads, weights) in enumerate(both_ranks(train)):
        half = slice(5 * rank, 5 * rank + 5)
        own = torch.autograd.grad(
            F.cross_entropy(network(X[half]), Y[half]), [*network.parameters()]
        )
        equal(grads, [*own])
        mean = torch.autograd.grad(F.cross_entropy(network(X), Y), [*network.parameters()])
        equal(weights, updated(network, mean))


@oracle
def two_processes_resume() -> None:
    """Two processes go on from a checkpoint."""
    resumed_in_two(shard=False)


@oracle
def two_processes_resume_parts() -> None:
    """Two processes, each with a part of the weights, go on from a checkpoint."""
    from torch.distributed import fsdp  # here, so that the two need not

    assert fsdp
    resumed_in_two(shard=True)


def resumed_in_two(shard: bool) -> None:
    def train(folder: str, seed: int, epochs: int) -> Any:
        tl.seed(2)
        model = tiny(linear(), shard=shard, optimizer=torch.optim.Adam)
        tl.seed(seed)
        scheduler = torch.optim.lr_scheduler.ExponentialLR(model.optimizer, 0.9)
        history = model.fit(
            DATA, FIVE, 2, epochs=epochs, verbose=0, save_dir=folder, resume=True,
            callbacks=LRScheduler(scheduler),
        )  # fmt: skip
        return outcome(model, history)

    with tempfile.TemporaryDirectory() as whole, tempfile.TemporaryDirectory() as parts:

        def both(rank: int) -> Any:
            train(parts, 1, 1)
            return train(whole, 1, 2), train(parts, 2, 2)

        for at_once, resumed in both_ranks(both):
            equal(resumed, at_once)


# ---- the loops as they stand in their files


@oracle
def the_loops_as_they_stand() -> None:
    """The loops as they stand, called as functions."""
    for name in ("fit", "evaluate", "predict", "train_batch", "eval_batch", "predict_batch"):
        network = linear()
        data = {"train_data": SAMPLES, "eval_data": SAMPLES, "test_data": SAMPLES, "x": X, "y": Y}
        optimizer = torch.optim.SGD(network.parameters(), lr=0.0)
        names = {
            "network": network, "loss_fn": F.cross_entropy, "optimizer": optimizer, **data,
        }  # fmt: skip
        loss, y_hat = means(network, 10)["loss"], network(X).detach()
        function = as_it_stands(name)
        arguments = [names[parameter] for parameter in inspect.signature(function).parameters]
        with redirect_stdout(io.StringIO()):
            returned = function(*arguments)
        expected: Any = {
            "fit": ([loss], [{"epoch": 1, "loss": loss}]),
            "predict": [(y_hat,)],
            "predict_batch": [y_hat],
        }
        equal(returned, expected.get(name, {"loss": loss}))


def as_it_stands(name: str) -> Any:
    """One of the loops: not its program, but the function itself."""
    file = {"fit": "fit", "evaluate": "evaluate", "predict": "predict"}.get(name, "one_batch")
    NOTED.add((file, name))
    scope = dict(vars(import_module(f"tutorial.loop.{file}")))
    exec(code_of(plain_functions()[name]), scope)
    return scope[name]


# ---- golden programs: see test_golden.py


def golden(case: str, options: dict[str, Any]) -> Callable[[], None]:
    path = FOLDER / f"{case.replace(',', '').replace(' ', '_')}.txt"

    def as_written() -> None:
        assert unroll(case.split()[0], tuple(options.items())) == path.read_text(encoding="utf-8")

    return as_written


for _case, _options in CASES.items():
    ORACLES[f"The golden program: {_case}"] = golden(_case, _options)


# ---- run them


@contextmanager
def one_thread() -> Iterator[None]:
    """Torch computes with one thread: what is this small is faster so, and can be forked."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
