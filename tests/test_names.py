"""A name that a user gives never hides another one: each is its own, or refused before training."""

import ast
import csv
import unicodedata
from collections.abc import Iterable
from typing import Any, NamedTuple

import libcst as cst
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim.lr_scheduler import StepLR
from torch.utils.data import TensorDataset

import tutorial as tl
from tutorial import callbacks as cb
from tutorial.loop.names import identifier, key_code, reserved_names, unlike, variable
from tutorial.metrics import Accuracy, Metric

X, Y = torch.randn(12, 4, generator=torch.Generator().manual_seed(0)), torch.arange(12) % 3
DATA = TensorDataset(X, Y)

# Keys that are alike as Python names, or none at all, or that the loop or a script uses itself.
HOSTILE = (
    *("head-a", "head_a", "head a", 'q"1', "q'1", "a\\b", "a\\\\b", "a\nb", "{a}", "#", "%s"),
    *("é", "e\u0301", "ﬁ", "fi", "²", "2", "😀", "😁", "数", "\u2028", "\x85", "\ud800", "\0"),
    *("", " ", "lambda", "None", "x", "y", "y_hat", "y_hat_0", "step", "rows", "len", "zip"),
    *("loss_fn", "fn", "fn_a", "a", "a_mean", "a_weight", "sum", "sum_", "mean", "mean_"),
    *("model", "network", "start", "torch", "_piece_0_", "__piece_1_", "z" * 300, "z" * 299),
)


class Heads(nn.Module):
    """An output for each key."""

    def __init__(self, keys: Iterable[Any]) -> None:
        super().__init__()
        self.keys = list(keys)
        self.heads = nn.ModuleList(nn.Linear(4, 3) for _ in self.keys)

    def forward(self, x: Tensor) -> dict[Any, Tensor]:
        return {key: head(x) for key, head in zip(self.keys, self.heads, strict=True)}


def model_of(network: nn.Module, loss: Any = None, metrics: Any = None, **said: Any) -> tl.Model:
    model = tl.Model(network, **said)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    model.prepare(optimizer, nn.CrossEntropyLoss() if loss is None else loss, metrics)
    return model


# ---- variables and keys


@given(st.text())
@example("".join(HOSTILE))
@settings(deadline=None, max_examples=300)
def test_a_key_is_written_so_that_python_reads_the_same(key: str) -> None:
    code = key_code(key)
    assert ast.literal_eval(code) == key
    assert len(code.splitlines()) == 1 and code.startswith('"')
    code.encode()
    assert cst.ensure_type(cst.parse_expression(code), cst.SimpleString).evaluated_value == key


def test_other_keys_are_written_or_refused() -> None:
    for key in (0, -1, 1.5, True, None, ("a", 'b"'), (("a",), 1)):
        assert ast.literal_eval(key_code(key)) == key
    with pytest.raises(ValueError, match="object, which the loop cannot write down"):
        key_code(object())


@given(st.text(), st.text())
@example("ﬁ", "fi")
@example("head-a", "head_a")
@settings(deadline=None, max_examples=300)
def test_two_words_are_two_variables(one: str, other: str) -> None:
    first = unlike(one, [])
    second = unlike(other, [first])
    for name in (first, second):
        assert name == unicodedata.normalize("NFKC", name)
        assert cst.ensure_type(cst.parse_expression(name), cst.Name).value == name
        assert name not in reserved_names() and name not in ("x", "y")
        compile(f"{name} = 1", "", "exec")
    assert first != second


def test_variables_are_named_as_before() -> None:
    assert identifier("left hand") == "left_hand"
    taken: list[str] = []
    for _ in range(3):
        taken.append(variable(cb.EarlyStopping(), taken))
    assert taken == ["early_stopping", "early_stopping_2", "early_stopping_3"]


# ---- outputs, losses and metrics by keys


def by_hand(network: Heads, labels: list[Tensor]) -> dict[Any, float]:
    """The loss of each head."""
    with torch.no_grad():
        outputs = network(X)
    pairs = zip(network.keys, labels, strict=True)
    return {key: F.cross_entropy(outputs[key], label).item() for key, label in pairs}


def check_heads(keys: tuple[Any, ...]) -> tuple[tl.Model, TensorDataset]:
    """Each head is measured and learns under its own name."""
    labels = [Y.roll(i) for i in range(len(keys))]
    data = TensorDataset(X, *labels)
    losses, metrics = ({key: make() for key in keys} for make in (nn.CrossEntropyLoss, Accuracy))
    model = model_of(Heads(keys), losses, metrics)
    wanted = by_hand(model.network, labels)
    result = model.evaluate(data, batch_size=5, verbose=0)
    assert len(result) == 1 + 2 * len(keys)
    assert result["loss"] == pytest.approx(sum(wanted.values()), rel=1e-5)
    assert [result[key] for key in keys] == pytest.approx(list(wanted.values()), rel=1e-5)
    with torch.no_grad():
        outputs = model.network(X)
    right = [(outputs[k].argmax(1) == y).double().mean() for k, y in zip(keys, labels, strict=True)]
    assert [result[f"acc_{key}"] for key in keys] == pytest.approx([float(r) for r in right])
    predicted = model.predict(data, verbose=0, stack_outputs=True)
    assert list(predicted) == list(keys)
    assert all(torch.equal(predicted[key], outputs[key]) for key in keys)
    before = [head.weight.clone() for head in model.network.heads]
    model.fit(data, batch_size=5, verbose=0)
    after = [head.weight for head in model.network.heads]
    assert not any(torch.equal(*pair) for pair in zip(before, after, strict=True))
    return model, data


def test_each_of_many_hostile_keys_is_its_own_also_in_a_script(tmp_path) -> None:
    model, data = check_heads(HOSTILE)
    program = model.unroll("fit", data, batch_size=5)
    assert 'y_hat["head-a"]' in program.source and 'y_hat["head_a"]' in program.source
    proof = program.verify()
    assert proof, proof.difference
    assert program.save(tmp_path / "fit.py").read_text(encoding="utf-8")


@given(st.lists(st.text(max_size=8), min_size=2, max_size=3, unique=True))
@settings(deadline=None, max_examples=12)
def test_any_keys_are_their_own_or_refused(keys: list[str]) -> None:
    names = {*keys, *(f"acc_{key}" for key in keys)}
    given = {"loss", "epoch", "batch_size", *(f"eval_{name}" for name in {*names, "loss"})}
    if names & given or len(names) < 2 * len(keys):
        with pytest.raises(ValueError, match="two values as"):
            check_heads(tuple(keys))
    else:
        check_heads(tuple(keys))


@pytest.mark.parametrize("keys", [(0, 1), (1, 0), (2, 1), (True, "b"), ((1, 2), (1, 3)), (1.5, 2)])
def test_keys_that_are_no_text(keys: tuple[Any, Any]) -> None:
    model = model_of(Heads(keys), {key: nn.CrossEntropyLoss() for key in reversed(keys)})
    labels = [Y, Y.roll(1)]
    result = model.evaluate(TensorDataset(X, *labels), verbose=0)
    wanted = by_hand(model.network, labels)
    names = [key if isinstance(key, str) else f"loss_{key}" for key in keys]
    assert [result[name] for name in names] == pytest.approx(list(wanted.values()))
    assert list(model.predict(DATA, verbose=0)) == list(keys)


def test_a_key_that_cannot_be_written_is_refused() -> None:
    with pytest.raises(ValueError, match="which the loop cannot write down"):
        model_of(Heads([object(), 1])).evaluate(DATA, verbose=0)


class Keywords(nn.Module):
    """Takes inputs under any keyword."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 3)

    def forward(self, **inputs: Tensor) -> Tensor:
        self.seen = list(inputs)
        return self.layer(sum(inputs.values()))


class One(nn.Module):
    """Takes one input."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(x)


@pytest.mark.parametrize(
    "keys", [("a-b", "image"), ('q"1', "\n"), ("lambda", "step"), ("ﬁ", "fi"), ("network", "len")]
)
def test_the_keys_of_a_batch(keys: tuple[str, ...]) -> None:
    batches = [{**dict.fromkeys(keys, X[i : i + 4]), "label": Y[i : i + 4]} for i in (0, 4, 8)]
    network = Keywords()
    program = model_of(network).unroll("fit", batches)
    program.run(tl.display.Report())
    assert sorted(network.seen) == sorted(keys)
    [key, _] = keys
    batches = [{key: X[i : i + 4], "label": Y[i : i + 4]} for i in (0, 4, 8)]
    model = model_of(One())
    wanted = F.cross_entropy(model.network(X), Y).item()
    assert model.evaluate(batches, verbose=0)["loss"] == pytest.approx(wanted, rel=1e-5)


class Parts(nn.Module):
    """A loss in parts of these names."""

    def __init__(self, keys: Iterable[Any]) -> None:
        super().__init__()
        self.keys = list(keys)

    def forward(self, y_hat: Tensor, y: Tensor) -> dict[Any, Tensor]:
        return {key: F.cross_entropy(y_hat, y) * i for i, key in enumerate(self.keys, start=1)}


def test_each_part_of_a_loss_is_its_own_also_in_a_script(tmp_path) -> None:
    keys = ("l-1", "l_1", *HOSTILE[:12])
    model = model_of(nn.Linear(4, 3), Parts(keys), Accuracy())
    loss = F.cross_entropy(model.network(X), Y).item()
    result = model.evaluate(DATA, batch_size=5, verbose=0)
    assert list(result) == ["loss", *keys, "acc"]
    numbers = range(1, len(keys) + 1)
    assert [result[key] for key in keys] == pytest.approx([loss * i for i in numbers])
    proof = model.unroll("fit", DATA, batch_size=5).verify()
    assert proof, proof.difference
    log = cb.CSVLogger(tmp_path / "log.csv")
    [row] = model.fit(DATA, DATA, batch_size=5, verbose=0, callbacks=log).rows
    with open(tmp_path / "log.csv", newline="", encoding="utf-8") as file:
        [written] = csv.DictReader(file)
    assert {name: float(number) for name, number in written.items()} == row
    assert len(row) == 1 + 2 * (len(keys) + 2)


def test_a_part_of_a_loss_can_be_monitored(tmp_path) -> None:
    stop = cb.EarlyStopping("l-1", mode="min", patience=1, verbose=0)
    model = model_of(nn.Linear(4, 3), Parts(["l-1", "l_1"]))
    model.fit(DATA, DATA, epochs=2, verbose=0, callbacks=stop)
    assert stop.name == "l-1"


CE = nn.CrossEntropyLoss()
TAKEN = {
    "a metric: loss": (nn.Linear(4, 3), CE, Accuracy(name="loss")),
    "a metric: epoch": (nn.Linear(4, 3), CE, Accuracy(name="epoch")),
    "a metric: batch_size": (nn.Linear(4, 3), CE, Accuracy(name="batch_size")),
    "a metric: acc": (nn.Linear(4, 3), CE, [Accuracy(), Accuracy()]),
    "a metric: eval_acc": (nn.Linear(4, 3), CE, [Accuracy(), Accuracy(name="eval_acc")]),
    "a metric: eval_loss": (nn.Linear(4, 3), CE, Accuracy(name="eval_loss")),
    "an output: loss": (Heads(["loss", "b"]), {"loss": CE, "b": CE}, None),
    "an output: epoch": (Heads(["epoch", "b"]), {"epoch": CE, "b": CE}, None),
    "an output: batch_size": (Heads(["batch_size", "b"]), {"batch_size": CE, "b": CE}, None),
    "an output: eval_b": (Heads(["eval_b", "b"]), {"eval_b": CE, "b": CE}, None),
    "an output: loss_0": (Heads(["loss_0", 0]), {"loss_0": CE, 0: CE}, None),
    "an output: acc_b": (Heads(["acc_b", "b"]), {"acc_b": CE, "b": CE}, {"b": Accuracy()}),
    "a part: epoch": (nn.Linear(4, 3), Parts(["epoch", "b"]), None),
    "a part: batch_size": (nn.Linear(4, 3), Parts(["batch_size", "b"]), None),
    "a part: acc": (nn.Linear(4, 3), Parts(["acc", "b"]), Accuracy()),
    "a part: eval_acc": (nn.Linear(4, 3), Parts(["eval_acc", "b"]), Accuracy()),
    "a part: eval_loss": (nn.Linear(4, 3), Parts(["eval_loss", "b"]), None),
    "a part: loss_0": (nn.Linear(4, 3), Parts(["loss_0", 0]), None),
}


@pytest.mark.parametrize("case", TAKEN)
def test_a_name_that_is_reported_already_is_refused_before_training(case: str) -> None:
    network, loss, metrics = TAKEN[case]
    before = [weight.clone() for weight in network.parameters()]
    message = f"two values as '{case.partition(': ')[2]}', but each name can stand once"
    data = TensorDataset(X, Y, Y) if isinstance(network, Heads) else DATA
    with pytest.raises(ValueError, match=message):
        model_of(network, loss, metrics).fit(data, verbose=0)
    assert all(torch.equal(*pair) for pair in zip(before, network.parameters(), strict=True))


def test_names_that_look_taken_and_are_not() -> None:
    names = ["eval_b", "step", "lr", "x" * 300, "a\nb", "eval_eval_acc"]
    model = model_of(nn.Linear(4, 3), None, [Accuracy(), *(Accuracy(name=name) for name in names)])
    [row] = model.fit(DATA, DATA, verbose=0).rows
    assert list(row) == [
        *("epoch", "loss", "acc", *names, "eval_loss", "eval_acc"),
        *(f"eval_{name}" for name in names),
    ]


# ---- classes whose names are the loop's


class Counted(Metric):
    """Counts samples."""

    def name(self) -> str:
        return f"{type(self).__name__} seen"

    def reset(self) -> None:
        self.count = 0

    def update(self, y_hat: Tensor, y: Tensor) -> None:
        self.count += len(y)

    def compute(self) -> Tensor:
        return torch.tensor(self.count)


class Epochs(cb.Callback):
    """Counts epochs."""

    count = 0

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self.count += 1


OF_THE_LOOP = (
    *("Samples", "Loss", "Step", "Epoch", "Lambda", "Len", "X", "Y", "YHat", "Batch", "Inputs"),
    *("Optimizer", "Network", "Model", "Rows", "Zip", "Mean", "Metric", "Callback", "É", "_"),
    *("Start", "Torch", "Path", "LossFn", "Report", "TrainData", "Batches", "Scheduler"),
    *("Scheduler_2", "Saved", "Result", "EvalLoader", "StepLosses"),
)


def test_metrics_and_callbacks_whose_classes_are_called_as_the_loop_calls_things() -> None:
    metrics = [type(name, (Counted,), {})() for name in OF_THE_LOOP]
    counters = [type(name, (Epochs,), {})() for name in OF_THE_LOOP]
    model = model_of(nn.Linear(4, 3), None, metrics)
    schedulers = [cb.LRScheduler(StepLR(model.optimizer, 100)) for _ in range(3)]
    company = [*counters, *schedulers, Epochs()]
    program = model.unroll("fit", DATA, DATA, batch_size=5, epochs=2, callbacks=company)
    rows = model.fit(DATA, DATA, batch_size=5, epochs=2, verbose=0, callbacks=company).rows
    for row in rows:
        counts = [row[f"{e}{name} seen"] for e in ("", "eval_") for name in OF_THE_LOOP]
        assert counts == [12.0] * len(counts)
    assert [counter.count for counter in counters] == [2] * len(counters)
    assert {s.scheduler.last_epoch for s in schedulers} == {6}
    hand = model_of(nn.Linear(4, 3))
    assert not {"accuracy", *hand.metrics} & {*program.hooks.callbacks}
    assert len({*program.names}) == len(program.names)


class Accuracy2(cb.Callback):
    """A callback that is called as a metric is."""

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self.logs = logs


def test_a_callback_that_is_called_as_a_metric_is() -> None:
    callback = type("Accuracy", (Accuracy2,), {})()
    model = model_of(nn.Linear(4, 3), None, Accuracy())
    [row] = model.fit(DATA, verbose=0, callbacks=callback).rows
    assert callback.logs["acc"] == row["acc"]


# ---- parts of a batch


@pytest.mark.parametrize("name", ["y_hat", "loss", "step", "len", "torch", "rows", "EPOCHS"])
def test_an_input_is_not_called_as_the_loop_calls_something(name: str) -> None:
    with pytest.raises(ValueError, match=f"the name '{name}', which is used for something else"):
        tl.Model(nn.Linear(4, 3), inputs=tl.InputSpec((None, 4), name=name))


class Both(Heads):
    """Two outputs that have places."""

    def forward(self, x: Tensor) -> Any:
        return tuple(super().forward(x).values())


@pytest.mark.parametrize("name", ["early_stopping", "loss_a", "loss_a_mean", "start", "x_0"])
def test_an_input_may_be_called_as_something_that_has_another_name_then(name: str) -> None:
    data, said = TensorDataset(X, Y, Y), tl.InputSpec((None, 4), name=name)
    model = model_of(Heads("ab"), {"a": CE, "b": CE}, {"a": Accuracy()}, inputs=said)
    company = cb.EarlyStopping(patience=9, verbose=0)
    [row] = model.fit(data, data, batch_size=5, verbose=0, callbacks=company).rows
    assert row["eval_loss"] == pytest.approx(row["eval_a"] + row["eval_b"])
    assert company.best == row["eval_loss"]


def test_an_input_that_is_called_as_a_loss_or_an_output_is_refused() -> None:
    said = tl.InputSpec((None, 4), name="loss_fn_a")
    with pytest.raises(ValueError, match="the name 'loss_fn_a', which is used"):
        model_of(Heads("ab"), {"a": CE, "b": CE}, inputs=said)
    model = model_of(Both("ab"), [CE, CE], inputs=tl.InputSpec((None, 4), name="y_hat_0"))
    with pytest.raises(ValueError, match="called 'y_hat_0', which has another meaning"):
        model.fit(TensorDataset(X, Y, Y), verbose=0)


class Measured(NamedTuple):
    x: Tensor
    accuracy: Tensor


class Watched(NamedTuple):
    early_stopping: Tensor
    step: Tensor


def test_the_fields_of_a_batch() -> None:
    batches = [Measured(X[i : i + 4], Y[i : i + 4]) for i in range(0, 12, 4)]
    with pytest.raises(ValueError, match="a part of a batch is called 'accuracy'"):
        model_of(nn.Linear(4, 3), None, Accuracy()).fit(batches, verbose=0)
    batches = [Watched(X[i : i + 4], Y[i : i + 4]) for i in range(0, 12, 4)]
    stop = cb.EarlyStopping(patience=9, verbose=0)
    [row] = model_of(nn.Linear(4, 3)).fit(batches, batches, verbose=0, callbacks=stop).rows
    assert stop.best == row["eval_loss"]


def with_a_builtin(y_hat: Tensor, y: Tensor) -> Tensor:
    return sum([F.cross_entropy(y_hat, y)])


def test_a_script_in_which_an_input_hides_what_a_function_calls_says_so() -> None:
    for name, fits in (("abs", True), ("sum", False)):
        said = tl.InputSpec((None, 4), name=name)
        program = model_of(nn.Linear(4, 3), with_a_builtin, inputs=said).unroll("fit", DATA)
        text = program.script()
        assert ("sum: the loop uses this name for something else; rename yours" in text) != fits


# ---- modules


class Odd(nn.Module):
    """A layer and a buffer under names that are none in Python."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.name = name
        self.add_module(name, nn.Linear(4, 3))
        self.register_buffer(f"{name}!", torch.zeros(1))
        self.table = nn.ModuleDict({f"{name}?": Counter()})

    def forward(self, x: Tensor) -> Tensor:
        return self.table[f"{self.name}?"](self._modules[self.name](x))


class Counter(nn.Module):
    """Counts how often it was called while it trains."""

    calls = 0

    def forward(self, x: Tensor) -> Tensor:
        self.calls += self.training
        return x * (1 + 0.1 * self.calls)


def test_modules_with_odd_names_are_written_and_resumed(tmp_path) -> None:
    name = 'a"b\\c-d\n'
    proof = model_of(Odd(name)).unroll("fit", DATA, batch_size=5).verify()
    assert proof, proof.difference
    tl.seed(0)
    straight = model_of(Odd(name)).fit(DATA, batch_size=5, epochs=3, verbose=0)
    for epochs in (1, 3):
        tl.seed(0)
        options = {"epochs": epochs, "save_dir": tmp_path, "resume": True, "verbose": 0}
        model = model_of(Odd(name))
        resumed = model.fit(DATA, batch_size=5, **options)
    assert resumed.step_losses == straight.step_losses
    assert model.network.table[f"{name}?"].calls == 9


# ---- curves


def test_a_metric_is_not_called_as_the_curve_of_a_learning_rate(tmp_path) -> None:
    pytest.importorskip("tensorboard")
    model = model_of(nn.Linear(4, 3), None, Accuracy(name="lr"))
    with pytest.raises(ValueError, match="called 'lr', but train/lr is the curve of a learning"):
        model.fit(DATA, verbose=0, callbacks=cb.TensorBoard(tmp_path))
    model = model_of(nn.Linear(4, 3), None, Accuracy(name="lr_1"))
    model.fit(DATA, verbose=0, callbacks=cb.TensorBoard(tmp_path))
