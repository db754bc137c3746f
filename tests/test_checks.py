"""Bad input is refused in words that help, before anything has changed; good input is not."""

import os
import random
import sys
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
import torchmetrics
from fakes import Stream
from torch import nn
from torch.utils.data import (
    BatchSampler,
    ConcatDataset,
    DataLoader,
    Dataset,
    RandomSampler,
    StackDataset,
    Subset,
    TensorDataset,
)

import tutorial as tl
from tutorial.device import rng_state
from tutorial.inputs.data_source import look
from tutorial.unroll.proof import flat, identical

X, Y = torch.randn(20, 8, generator=torch.Generator().manual_seed(0)), torch.arange(20) % 3
GOOD = TensorDataset(X, Y)
CE = nn.CrossEntropyLoss


class Squeezed(nn.Linear):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return super().forward(x).squeeze(1)


class Rows(Dataset):
    """One sample at a time, as NumPy arrays and numbers."""

    def __init__(self, x: torch.Tensor = X, y: torch.Tensor = Y) -> None:
        self.x, self.y = x.numpy(), y.tolist()

    def __len__(self) -> int:
        return len(self.x)

    def __getitem__(self, index: int) -> tuple[np.ndarray, int]:
        return self.x[index], self.y[index]


class Foreign:
    """Such as a Hugging Face data set: no subclass of Dataset."""

    __len__ = Rows.__len__
    __getitem__ = Rows.__getitem__
    __init__ = Rows.__init__


class NoLength(Dataset):
    def __getitem__(self, index: int) -> int:
        return index


class Unreadable(Rows):
    def __getitem__(self, index: int) -> Any:
        random.random(), np.random.rand(), torch.rand(1)  # as an augmentation does
        raise OSError("cannot open 0.png")


def network_of(last: nn.Module | None = None) -> nn.Sequential:
    layers = nn.Sequential(nn.Linear(8, 8), nn.BatchNorm1d(8), nn.Dropout(), nn.Linear(8, 3))
    return layers if last is None else nn.Sequential(*layers[:3], last)


def prepared(loss: Any = None, last: nn.Module | None = None, metrics: Any = None) -> tl.Model:
    tl.seed(0)
    model = tl.Model(network_of(last))
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    model.prepare(optimizer, loss or CE(), metrics)
    return model


def trace(model: tl.Model) -> dict[str, Any]:
    """All that a refused call must leave as it was."""
    return flat(
        {
            "network": model.network.state_dict(),
            "optimizer": {} if model.optimizer is None else model.optimizer.state_dict(),
            "random": rng_state(),
            "modes": [module.training for module in model.network.modules()],
            "learns": [weight.requires_grad for weight in model.parameters()],
            "gradients": [weight.grad for weight in model.parameters()],
            "metrics": list(model.metrics),
        }
    )


def refused(model: tl.Model, *words: str, call: Callable[[], Any], kind: type = ValueError) -> None:
    """The call raises; its message has all these words; nothing has changed."""
    model.network.train()
    model.network[2].eval()  # modes that differ from layer to layer
    if model.optimizer is not None and model.network[0].weight.requires_grad:
        model.network(X).sum().backward()
        model.optimizer.step()  # so that it has a state
    random.random()
    before = {k: v.clone() if hasattr(v, "clone") else v for k, v in trace(model).items()}
    with pytest.raises(kind) as error:
        call()
    for word in words:
        assert word in str(error.value)
    after = trace(model)
    assert not [k for k in before | after if not identical(before.get(k), after.get(k))]


# ---- data: each in every role it can have

RANGE = ("there is a label", "3 classes", "labels from 0 to 2", "Number the classes from 0")


def changed(at: int, label: int) -> torch.Tensor:
    return torch.where(torch.arange(20) == at, label, Y)


LABELS: dict[str, tuple[Any, tuple[str, ...]]] = {
    "too large": (TensorDataset(X, changed(0, 3)), ("label 3", *RANGE)),
    "too large, late": (TensorDataset(X, changed(17, 7)), ("label 7", *RANGE)),
    "negative, late": (TensorDataset(X, changed(17, -1)), ("label -1", *RANGE)),
    "in a subset": (Subset(TensorDataset(X, changed(17, 3)), [1, 17]), RANGE),
    "in a loader": (DataLoader(TensorDataset(X, changed(17, 3)), 4), RANGE),
    "in a late batch": ([(X, Y), (X, changed(17, 3))], RANGE),
    "int32": (TensorDataset(X, Y.int()), ("torch.int32", "torch.int64", "y.long()")),
    "float": (TensorDataset(X, Y.float()), ("torch.float32", "torch.int64", "y.long()")),
    "one-hot": (TensorDataset(X, F.one_hot(Y)), ("(20, 3)", "one-hot", "argmax(1)", "y.float()")),
    "(N, 1)": (TensorDataset(X, Y[:, None]), ("(20, 1)", "shape (20,)", "y.squeeze(1)")),
    "too few": ([(X, Y[:5])], ("(20, 3)", "(5,)", "cannot compare")),
    "text": ([(X, "cat")], ("cannot compare", "'cat'")),
}

PAIR = ("pair (x, y)", "TensorDataset(x, y)")
DATA: dict[str, tuple[Any, tuple[str, ...]]] = {
    "two tensors": ((X, Y), ("a tensor of shape (20, 8)", *PAIR)),
    "two arrays": ((X.numpy(), Y.numpy()), ("a ndarray", *PAIR)),
    "a tensor": (X, ("a tensor of shape (20, 8)", *PAIR)),
    "an array": (X.numpy(), PAIR),
    "x alone": (TensorDataset(X), ("a list of 1", *PAIR)),
    "three": (TensorDataset(X, Y, Y), ("(20,) and torch.int64 and a tensor", "for one loss an")),
    "arrays": ([(X.numpy(), Y.numpy())], ("a ndarray", "torch.as_tensor(x)")),
    "features": (TensorDataset(X[:, 1:], Y), ("(20, 7)", "cannot take", "layer 0, Linear(8, 8)")),
    "float64": (TensorDataset(X.double(), Y), ("torch.float64", "x.to(torch.float32)")),
    "uint8": (TensorDataset(X.byte(), Y), ("torch.uint8", "x.to(torch.float32)")),
    "no samples": (TensorDataset(X[:0], Y[:0]), ("is empty", "at least one sample")),
    "no rows": (Rows(X[:0], Y[:0]), ("is empty", "at least one sample")),
    "no batches": ([], ("is empty", "at least one sample")),
    "empty loader": (DataLoader(TensorDataset(X[:0], Y[:0])), ("is empty",)),
    "all dropped": (DataLoader(GOOD, 64, drop_last=True), ("is empty", "drop_last=True")),
}


@pytest.mark.parametrize("case", LABELS | DATA)
def test_bad_data_is_refused(case: str) -> None:
    data, words = (LABELS | DATA)[case]
    model = prepared()
    refused(model, "train_data", *words, call=lambda: model.fit(data, verbose=0))
    refused(model, "eval_data", *words, call=lambda: model.fit(GOOD, data, verbose=0))
    refused(model, "eval_data", *words, call=lambda: model.evaluate(data, verbose=0))
    refused(model, "train_data", *words, call=lambda: model.unroll("fit", data))


@pytest.mark.parametrize(
    "data",
    [None, "mnist.csv", b"", 3, {"x": X}, object(), Rows, len, NoLength(), prepared()],
    ids=lambda value: getattr(value, "__name__", type(value).__name__),
)
def test_what_is_no_data_is_refused(data: Any) -> None:
    model = prepared()
    expected = ("Dataset", "DataLoader", "batches (x, y)", "TensorDataset(images, labels)")
    for name, call in (
        ("train_data", lambda: model.fit(data)),
        ("eval_data", lambda: model.evaluate(data)),
        ("test_data", lambda: model.predict(data)),
    ):
        seen = repr(data) if data is None or isinstance(data, str) else ""
        refused(model, f"{name} is {seen}", *expected, call=call, kind=TypeError)


def test_a_label_of_mnist_is_found_wherever_it_is() -> None:
    data = tl.datasets.MNIST("test")
    model = tl.Model(nn.Sequential(nn.Flatten(), nn.Linear(784, 9)))
    model.prepare(loss=CE())
    with pytest.raises(ValueError, match=r"there is a label 9, but .* 9 classes"):
        model.evaluate(data)
    nines = Subset(data, (data.targets < 9).nonzero().flatten().tolist()[:64])
    assert model.evaluate(nines, verbose=0)
    data.target_transform = len  # torchvision's own: what the loss will see is not known then
    assert look("test_data", data).labels() is None


@pytest.mark.parametrize("loss", [nn.MSELoss(), nn.BCEWithLogitsLoss(), partial(F.mse_loss)])
@pytest.mark.parametrize(
    ("last", "y", "words"),
    [
        (nn.Linear(8, 1), torch.rand(20), ("(20,)", "(20, 1)", "unsqueeze(1)", "squeeze(1)")),
        (Squeezed(8, 1), torch.rand(20, 1), ("(20, 1)", "(20,)", "unsqueeze(1)", "squeeze(1)")),
        (nn.Linear(8, 1), torch.rand(20, 2), ("(20, 2)", "(20, 1)", "last layer")),
    ],
    ids=["N and N1", "N1 and N", "N2 and N1"],
)
def test_shapes_that_would_broadcast_are_refused(
    loss: Any, last: nn.Module, y: torch.Tensor, words: tuple[str, ...]
) -> None:
    model = prepared(loss, last)
    refused(model, "train_data", *words, call=lambda: model.fit(TensorDataset(X, y)))


def test_a_loss_of_another_kind_is_explained() -> None:
    flat_out = prepared(CE(), Squeezed(8, 1))
    words = ("score for every class", "nn.BCEWithLogitsLoss()")
    refused(flat_out, *words, call=lambda: flat_out.fit(GOOD))
    binary = prepared(nn.BCEWithLogitsLoss(), nn.Linear(8, 1))
    whole = TensorDataset(X, Y[:, None] % 2)
    refused(binary, "torch.int64", "y.float()", call=lambda: binary.fit(whole))


def test_an_error_of_the_users_own_data_keeps_its_kind() -> None:
    model = prepared()
    refused(model, "cannot open 0.png", call=lambda: model.fit(Unreadable()), kind=OSError)
    with pytest.raises(OSError, match=r"0\.png") as error:
        model.fit(Unreadable())
    assert "first batch of train_data" in error.value.__notes__[0]


# ---- batches and passes


def test_data_that_ends_too_soon_is_refused() -> None:
    model = prepared()
    words = ("20 samples", "batch_size=64", "drop_last=True", "batch_size smaller")
    refused(model, *words, call=lambda: model.fit(GOOD, drop_last=True))
    once = iter([(X, Y), (X, Y)])
    words = ("is an iterator", "2 passes", "list of batches")
    refused(model, "train_data", *words, call=lambda: model.fit(once, epochs=2))
    refused(model, "eval_data", *words, call=lambda: model.fit(GOOD, once, epochs=2))
    assert len(list(once)) == 2  # not one batch of it was taken


@pytest.mark.parametrize("data", [iter([]), Stream([])], ids=["iterator", "stream"])
def test_data_that_gives_nothing_is_told(data: Any) -> None:
    model = prepared()
    before = flat(model.network.state_dict())
    for call in (model.fit, model.evaluate):
        with pytest.raises(ValueError, match="_data gave no batch; at least one is expected"):
            call(data, verbose=0)
    after = flat(model.network.state_dict())
    assert all(identical(before[key], after[key]) for key in before)


# ---- options

WHOLE = ("epochs", "batch_size", "eval_freq", "log_freq", "accumulate_grad_batches", "num_iters")


@pytest.mark.parametrize("value", [0, -1, 2.5, True, "3", float("nan"), [1]], ids=str)
@pytest.mark.parametrize("name", [*WHOLE, "clip_grad_norm"])
def test_a_bad_number_is_refused(name: str, value: Any) -> None:
    if (name, value) == ("clip_grad_norm", 2.5):
        return
    model = prepared()
    expected = "a finite number above 0" if name == "clip_grad_norm" else "an integer"
    least = ["at least 1"] if name in WHOLE and value != [1] else []
    words = (f"{name} is {value!r}", expected, *least)
    refused(model, *words, call=lambda: model.fit(GOOD, **{name: value}))


def test_more_bad_numbers_are_refused() -> None:
    model = prepared()
    for name in ("epochs", "batch_size", "eval_freq", "log_freq", "num_workers"):
        refused(model, f"{name} is None", call=partial(model.fit, GOOD, **{name: None}))
    refused(model, "num_workers is -1", "at least 0", call=lambda: model.fit(GOOD, num_workers=-1))
    refused(model, "clip_grad_norm", call=lambda: model.fit(GOOD, clip_grad_norm=float("inf")))
    refused(model, "a pair", "(1, 2, 3)", call=lambda: model.fit(GOOD, batch_size=(1, 2, 3)))
    refused(model, "batch_size is (8, 0)", call=lambda: model.fit(GOOD, GOOD, batch_size=(8, 0)))
    for call in (model.evaluate, model.predict):
        refused(model, "batch_size is 0", call=partial(call, GOOD, batch_size=0))
    refused(model, "num_iters is 0", call=lambda: model.evaluate(GOOD, num_iters=0))
    for name in ("num_iters", "clip_grad_norm"):
        assert model.fit(GOOD, verbose=0, **{name: None})


@pytest.mark.parametrize("method", ["fit", "evaluate", "predict"])
def test_verbose_has_three_values(method: str) -> None:
    model, words = prepared(), ("verbose is 3", "0, 1 or 2 is expected")
    refused(model, *words, call=lambda: getattr(model, method)(GOOD, verbose=3))
    getattr(model, method)(GOOD, verbose=2)


def test_a_directory_that_is_a_file_is_refused_before_training(tmp_path) -> None:
    file = tmp_path / "taken"
    file.write_text("precious")
    checkpoints, board = tl.callbacks.ModelCheckpoint, tl.callbacks.TensorBoard
    for name, arguments in {
        "save_dir": {"save_dir": file},
        "save_dir is": {"save_dir": str(file / "deeper")},
        "save_dir is '": {"callbacks": checkpoints(save_dir=file)},
        "log_dir": {"callbacks": board(file)},
    }.items():
        model, words = prepared(), (name, str(file), "is a file", "Give another")
        refused(
            model,
            *words,
            call=lambda m=model, a=arguments: m.fit(GOOD, verbose=0, **a),
            kind=NotADirectoryError,
        )
    assert file.read_text() == "precious"


@pytest.mark.filterwarnings("error")
def test_where_warnings_are_errors_prepare_changes_nothing() -> None:
    model, other = prepared(), nn.Linear(8, 3)
    before = dict(vars(model))
    with pytest.raises(UserWarning, match="parameters that are not the network's"):
        model.prepare(torch.optim.Adam(other.parameters()), nn.NLLLoss(), precision="bf16")
    assert vars(model) == before
    assert model.network[0].weight.dtype == torch.float32


def test_a_bad_loop_is_refused() -> None:
    model = prepared()
    for loop in (3, [1], b"pass"):
        refused(
            model, f"loop is {loop!r}", call=partial(model.fit, GOOD, loop=loop), kind=TypeError
        )
    words = ("loop is not valid Python", "line 2", "'for x in'")
    refused(model, *words, call=lambda: model.fit(GOOD, loop="x = 1\nfor x in"))


def test_bad_arguments_of_unroll_are_refused() -> None:
    model = prepared()
    refused(model, "'train'", "fit, evaluate, predict", call=lambda: model.unroll("train", GOOD))
    for call, word in (
        (lambda: model.unroll("fit"), "train_data"),
        (lambda: model.unroll("fit", GOOD, epoch=3), "'epoch'"),
        (lambda: model.unroll("predict", GOOD, epochs=3), "'epochs'"),
        (lambda: model.unroll("fit", GOOD).run(net=model.network), "net is no name"),
    ):
        refused(model, word, call=call, kind=TypeError)
    refused(model, "epochs is 0", call=lambda: model.unroll("fit", GOOD, epochs=0))


def test_an_unknown_device_is_refused_with_those_that_are_there() -> None:
    for name in ("gpu:99", "tpu", "cpu:0", 3, None, ""):
        with pytest.raises(ValueError, match=r"set_device: name is .*this machine has 'cpu'"):
            tl.set_device(name)
    assert tl.get_device() == "cpu"


# ---- network, optimizer, loss, metrics


def test_what_is_missing_is_named() -> None:
    bare = tl.Model(network_of())
    fix = "model.prepare(optimizer=torch.optim.Adam(model.parameters()), loss="
    for call in (lambda: bare.fit(GOOD), lambda: bare.train_batch(X, Y)):
        refused(bare, "no optimizer", fix, call=call)
    for call in (lambda: bare.evaluate(GOOD), lambda: bare.eval_batch(X, Y)):
        fix = "model.prepare(loss=nn.CrossEntropyLoss(), metrics="
        refused(bare, "no loss and no metric", fix, call=call)
    bare.prepare(torch.optim.SGD(bare.parameters()))
    refused(bare, "no loss", call=lambda: bare.fit(GOOD))
    with pytest.raises(TypeError, match=r"network is the class Linear, but an instance is"):
        tl.Model(nn.Linear)


@pytest.mark.filterwarnings("ignore:the optimizer holds 6 parameters that are not")
def test_an_optimizer_must_hold_what_is_to_learn() -> None:
    model = prepared()
    for held, missing in ((network_of().parameters(), "6 of"), (model.network[0].parameters(), 4)):
        model.prepare(torch.optim.Adam(held), CE())
        words = (
            f"does not hold {missing}",
            "weight",
            "model.parameters()",
            "requires_grad_(False)",
        )
        refused(model, *words, call=lambda: model.fit(GOOD))
    model.network[1:].requires_grad_(False)
    assert model.fit(GOOD, verbose=0)  # what is frozen need not be held
    model.network.requires_grad_(False)
    refused(model, "frozen", "network.requires_grad_(True)", call=lambda: model.fit(GOOD))


@pytest.mark.parametrize("optimizer", ["adam", 0.01, None])
def test_what_is_no_optimizer_is_refused(optimizer: Any) -> None:
    model = prepared()
    if optimizer is not None:
        words = (f"optimizer is {optimizer!r}", "torch.optim.Adam(model.parameters(), lr=1e-3)")
        refused(model, *words, call=lambda: model.prepare(optimizer, CE()), kind=TypeError)
    lbfgs = torch.optim.LBFGS(model.parameters())
    words = ("LBFGS", "closure", "torch.optim.Adam")
    refused(model, *words, call=lambda: model.prepare(lbfgs, CE()))


@pytest.mark.parametrize(
    ("loss", "words"),
    [
        (CE(reduction="none"), ("shape (20,)", "one number", 'reduction="mean"')),
        (lambda y_hat, y: 1.0, ("returns 1.0", "one number")),
        (lambda y_hat, y: CE()(y_hat.detach(), y), ("does not depend", "detach()")),
        (lambda y_hat: y_hat.mean(), ("cannot compare", "takes 1 positional argument")),
        (CE(weight=torch.ones(4)), ("cannot compare", "weight tensor")),
    ],
    ids=["vector", "number", "detached", "one argument", "weights"],
)
def test_a_bad_loss_is_refused(loss: Any, words: tuple[str, ...]) -> None:
    model = prepared(loss)
    refused(model, *words, call=lambda: model.fit(GOOD, verbose=0))


def test_what_cannot_be_called_is_no_loss() -> None:
    model = prepared()
    call = partial(model.prepare, None, "mse")
    refused(model, "loss is 'mse'", "nn.CrossEntropyLoss()", call=call, kind=TypeError)
    call = partial(model.prepare, None, CE)
    refused(model, "the class CrossEntropyLoss", "CrossEntropyLoss()", call=call, kind=TypeError)


@pytest.mark.parametrize(
    ("metrics", "kind", "words"),
    [
        ("acc", TypeError, ("'acc'", "Accuracy()")),
        (tl.metrics.Accuracy, TypeError, ("the class Accuracy", "Accuracy()")),
        ([[[tl.metrics.Accuracy()]]], TypeError, ("update(y_hat, y)",)),
        (len, TypeError, ("update(y_hat, y)",)),
        ([tl.metrics.Accuracy()] * 2, ValueError, ("two values as 'acc'", 'name="top1"')),
        (tl.metrics.Accuracy(name="loss"), ValueError, ("two values as 'loss'",)),
    ],
    ids=["text", "class", "nested", "function", "twice", "loss"],
)
def test_bad_metrics_are_refused(metrics: Any, kind: type, words: tuple[str, ...]) -> None:
    model = prepared()
    refused(model, *words, call=lambda: model.prepare(None, CE(), metrics), kind=kind)


def test_a_metric_that_does_not_fit_is_found_in_the_dry_run() -> None:
    model = prepared()
    for metric in (tl.metrics.Accuracy(topk=5), tl.metrics.Auc(), torchmetrics.MeanSquaredError()):
        before = repr(vars(metric))
        model.prepare(model.optimizer, CE(), metric)
        call = partial(model.fit, GOOD)
        refused(model, type(metric).__name__, "cannot measure", "(20, 3)", call=call)
        assert repr(vars(metric)) == before


# ---- what the end of a loop needs is tried at its beginning


class Returns(nn.Linear):
    """Returns what a function makes of its output."""

    def __init__(self, returned: Callable[[Any, Any], Any]) -> None:
        super().__init__(8, 3)
        self.returned = returned

    def forward(self, x: torch.Tensor) -> Any:
        return self.returned(super().forward(x), self.training)


STACKED: dict[str, tuple[Callable[[Any, Any], Any], tuple[str, ...]]] = {
    "a number": (lambda y, _: {"loss": y.mean(), "logits": y}, ('y_hat["loss"]', "shape ()")),
    "nested": (lambda y, _: {"hidden": (y, y)}, ('y_hat["hidden"]', "a tuple of 2")),
    "other sizes": (lambda y, _: y[:, : len(y) // 4], ("(12, 3)", "(8, 2)", "must match")),
}


@pytest.mark.parametrize("kind", STACKED)
def test_outputs_that_cannot_be_joined_are_refused_at_the_beginning(kind: str) -> None:
    returned, words = STACKED[kind]
    model = tl.Model(Returns(returned))
    with pytest.raises(ValueError, match="stack_outputs out") as error:
        model.predict(GOOD, batch_size=12, stack_outputs=True, verbose=0)
    for word in words:
        assert word in str(error.value)
    assert model.predict(GOOD, batch_size=12, verbose=0)


def test_what_is_nested_in_a_dict_is_predicted_as_it_is() -> None:
    model = tl.Model(Returns(lambda y, _: {"logits": y, "hidden": (y, [y])}))
    predicted = model.predict(GOOD, batch_size=12, verbose=0)
    assert [len(part) for part in predicted["logits"]] == [12, 8]
    assert [type(part) for part in predicted["hidden"]] == [tuple, tuple]


def test_a_last_batch_of_one_sample_is_refused_where_batch_norm_needs_two() -> None:
    model = prepared(last=nn.BatchNorm1d(8))
    words = ("last batch has one sample", "BatchNorm1d", "drop_last=True")
    refused(model, *words, call=lambda: model.fit(GOOD, batch_size=19))
    loader = DataLoader(GOOD, 19)
    refused(model, *words, call=lambda: model.fit(loader))
    model.fit(GOOD, batch_size=19, drop_last=True, verbose=0)
    model.evaluate(GOOD, batch_size=19, verbose=0)


def test_a_network_that_returns_more_in_training_is_tried_in_training() -> None:
    auxiliary = Returns(lambda y, training: (y, y) if training else y)
    model = tl.Model(auxiliary)

    def loss_fn(y_hat: Any, extra: Any, y: Any) -> Any:
        return CE()(y_hat, y) + CE()(extra, y)

    model.prepare(torch.optim.SGD(model.parameters(), lr=0.1), loss_fn)
    model.fit(GOOD, verbose=0)
    with pytest.raises(ValueError, match=r"in training mode .* Leave eval_data out"):
        model.fit(GOOD, GOOD, verbose=0)


def test_a_gradient_in_forward_needs_a_word_in_evaluation() -> None:
    def slope(y: torch.Tensor, _: bool) -> torch.Tensor:
        return torch.autograd.grad(y.sum(), y, create_graph=True)[0] + y

    model = tl.Model(Returns(slope))
    with pytest.raises(ValueError, match=r"with torch.enable_grad\(\):"):
        model.predict(GOOD, verbose=0)


def test_a_list_of_samples_is_no_list_of_batches() -> None:
    for label in (int, torch.tensor):
        samples = [(x, label(y)) for x, y in zip(X, Y.tolist(), strict=True)]
        assert len(prepared().fit(samples, batch_size=8, verbose=0).step_losses) == 3
    assert len(prepared().fit([(X[:8], Y[:8]), (X[8:], Y[8:])], verbose=0).step_losses) == 2


# ---- what is good is taken without a word (here a warning is an error)

CONV = nn.Conv2d(1, 3, 3, padding=1)
FINE: dict[str, Callable[[], Any]] = {
    "Dataset": Rows,
    "no Dataset": Foreign,
    "IterableDataset": lambda: Stream(GOOD),
    "loader": lambda: DataLoader(GOOD, 5, shuffle=True),
    "loader of a stream": lambda: DataLoader(Stream(GOOD), 5),
    "loader of batches": lambda: DataLoader([(X, Y)], batch_size=None),
    "loader with a sampler of batches": lambda: DataLoader(
        GOOD, batch_size=None, sampler=BatchSampler(RandomSampler(GOOD), 5, False)
    ),
    "list of batches": lambda: [(X, Y), (X[:3], Y[:3])],
    "lists in a tuple": lambda: ([X, Y],),
    "generator": lambda: ((x, y) for x, y in [(X, Y)]),
    "Subset": lambda: Subset(TensorDataset(X, changed(17, 3)), range(10)),
    "ConcatDataset": lambda: ConcatDataset([GOOD, GOOD]),
    "StackDataset": lambda: StackDataset(X, Y),
    "one sample": lambda: TensorDataset(X[:1], Y[:1]),
    "uint8 labels": lambda: TensorDataset(X, Y.byte()),
    "probabilities": lambda: TensorDataset(X, F.one_hot(Y).float()),
    "ignored labels": lambda: TensorDataset(X, changed(3, -100)),
    "labels that collate_fn repairs": lambda: DataLoader(
        TensorDataset(X, Y + 1),
        collate_fn=lambda rows: (rows[0][0][None], rows[0][1][None] - 1),
    ),
}


@pytest.mark.parametrize("case", FINE)
def test_good_data_is_taken(case: str) -> None:
    model = tl.Model(nn.Linear(8, 3))
    model.prepare(torch.optim.SGD(model.parameters(), lr=0.1), CE())
    history = model.fit(FINE[case](), FINE[case](), verbose=0)
    assert np.isfinite(history.step_losses).all()
    assert model.predict(FINE[case](), verbose=0)


@pytest.mark.parametrize(
    ("network", "x", "y", "loss"),
    [
        (nn.Linear(8, 3).double(), X.double(), Y, CE()),
        (nn.Linear(8, 3).bfloat16(), X.bfloat16(), Y, CE()),
        (nn.Linear(8, 3), X, changed(3, -1), CE(ignore_index=-1)),
        (nn.Linear(8, 3), X, changed(3, 9), partial(F.cross_entropy, ignore_index=9)),
        (nn.Linear(8, 1), X, torch.rand(20, 1), nn.MSELoss()),
        (CONV, torch.randn(5, 1, 6, 6), torch.randint(3, (5, 6, 6)), CE()),
        (nn.Embedding(5, 3), Y, Y, CE()),
        (nn.Linear(8, 3), X, Y, lambda y_hat, y: y_hat.logsumexp(1).mean()),
        (nn.Linear(8, 3), X, Y, nn.MultiMarginLoss()),
    ],
    ids=["float64", "bf16", "ignore", "partial", "mse", "pixels", "embedding", "own", "margin"],
)
def test_good_networks_and_losses_are_taken(
    network: nn.Module, x: torch.Tensor, y: torch.Tensor, loss: Any
) -> None:
    model = tl.Model(network)
    model.prepare(torch.optim.SGD(model.parameters(), lr=0.1), loss)
    assert len(model.fit(TensorDataset(x, y), verbose=0).step_losses) == 1


# ---- numbers of other kinds count as Python's


def test_numpys_numbers_are_taken_and_read_as_pythons() -> None:
    model = prepared()
    options = {"epochs": np.int64(2), "clip_grad_norm": np.float64(0.5), "num_iters": np.int32(3)}
    source = model.unroll("fit", GOOD, GOOD, batch_size=[np.int64(5), 6], **options).source
    assert "np." not in source and "for epoch in range(2):" in source
    assert "clip_grad_norm_(network.parameters(), 0.5)" in source
    assert "batch_size=5" in source and "batch_size=6" in source
    refused(model, "epochs is", "an integer", call=lambda: model.fit(GOOD, epochs=np.float64(2)))
    refused(model, "epochs is", call=lambda: model.fit(GOOD, epochs=np.True_))


def test_a_data_argument_is_looked_at_once() -> None:
    """The functions of the library through which it passes in one fit, but for the loop itself.

    And but for what notes where the fit began: that reads attributes, and calls nothing.
    """
    seen = []

    def room(frame: Any) -> str:
        return frame.f_code.co_filename.partition(f"{os.sep}tutorial{os.sep}")[2]

    def note(frame: Any, event: str, _: Any) -> None:
        rooms = room(frame)
        noting = "saving/fingerprints.py" in map(room, (frame, frame.f_back, frame.f_back.f_back))
        ours = event == "call" and rooms and not rooms.startswith(("loop", "data")) and not noting
        if ours and any(value is GOOD for value in frame.f_locals.values()):
            seen.append(f"{rooms}:{frame.f_code.co_qualname}")

    model = prepared()
    sys.setprofile(note)
    try:
        model.fit(GOOD, verbose=0)
    finally:
        sys.setprofile(None)
    assert seen[0] == "model.py:Model.fit"
    assert len(seen) <= 11, "\n".join(seen)
