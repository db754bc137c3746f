"""What people do wrong, and the words that they get: the table of test_misuse.py.

    python tests/misuses.py          prints each misuse with its message
    python tests/misuses.py fit      those whose name has this word

A row has a call, the kind of error, and words that the message must hold: the argument, the value
seen, what is expected, and the fix. Whatever is refused has changed nothing and left no file.
"""

import os
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
import torchmetrics
from torch import nn
from torch.optim import lr_scheduler
from torch.utils.data import (
    BatchSampler,
    DataLoader,
    Dataset,
    SequentialSampler,
    Subset,
    TensorDataset,
)

import tutorial as tl
from tutorial import callbacks as cb
from tutorial.device import rng_state
from tutorial.metrics import Accuracy, Auc, Precision
from tutorial.unroll.proof import flat, identical

X = torch.randn(20, 8, generator=torch.Generator().manual_seed(0))
Y = torch.arange(20) % 3
GOOD = TensorDataset(X, Y)
IMAGES = torch.zeros(5, 6, 6)
CE = nn.CrossEntropyLoss
NAN = float("nan")


def small() -> nn.Module:
    return nn.Sequential(nn.Linear(8, 8), nn.Dropout(), nn.Linear(8, 3))


def prepared(network: nn.Module | None = None, loss: Any = None, metrics: Any = None) -> tl.Model:
    tl.seed(0)
    model = tl.Model(network or small())
    model.prepare(torch.optim.Adam(model.parameters(), lr=0.01), loss or CE(), metrics)
    return model


@dataclass
class Misuse:
    """A row of the table.

    Attributes:
        call: what is done with a prepared model; and with what was given to it.
        error: the kind of error.
        words: what its message must hold.
        given: makes that of the model, before.
        network: makes the model's network.
        loss: its loss.
    """

    call: Callable[..., Any]
    error: type[Exception]
    words: tuple[str, ...]
    given: Callable[[tl.Model], Any] | None = None
    network: Callable[[], nn.Module] = small
    loss: Any = CE()  # noqa: RUF009

    def prepare(self) -> tuple[tl.Model, Callable[[], Any]]:
        """A model, and the call to be made."""
        model = prepared(self.network(), self.loss, Accuracy())
        if self.network is small:
            model.network[1].eval()  # modes that differ from layer to layer
            CE()(model.network(X), Y).backward()
            model.optimizer.step()  # which has a state then
            model.optimizer.zero_grad()
        if self.given is None:
            return model, lambda: self.call(model)
        given = self.given(model)
        return model, lambda: self.call(model, given)


MISUSES: dict[str, Misuse] = {}


def row(
    name: str, call: Callable[..., Any], error: type[Exception], *words: str, **more: Any
) -> None:
    assert name not in MISUSES, name
    MISUSES[name] = Misuse(call, error, words, **more)


def rows(name: str, values: Any, call: Callable[..., Any], *words: str) -> None:
    """A row for each value: the message shows it."""
    for value in values:
        seen = f"{name.rpartition(' ')[2]} is {value!r}"
        row(f"{name}={value!r}", lambda m, v=value: call(m, v), ValueError, seen, *words)


def fit(**arguments: Any) -> Callable[[tl.Model], Any]:
    return lambda m: m.fit(GOOD, verbose=0, **arguments)


class Own(Dataset):
    """Samples that a function makes."""

    def __init__(self, sample: Callable[[int], Any], count: int = 20) -> None:
        self.sample, self.count = sample, count

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> Any:
        return self.sample(index)


class Returns(nn.Module):
    """A network that returns what a function makes of its scores."""

    def __init__(self, returned: Callable[[torch.Tensor], Any]) -> None:
        super().__init__()
        self.scores, self.returned = nn.Linear(8, 3), returned

    def forward(self, x: torch.Tensor) -> Any:
        return self.returned(self.scores(x))


class Unmade(nn.Module):
    def __init__(self) -> None:
        pass


class Normed(nn.Sequential):
    def __init__(self) -> None:
        super().__init__(nn.Linear(8, 8), nn.BatchNorm1d(8), nn.Linear(8, 3))


def returns(returned: Callable[[torch.Tensor], Any]) -> dict[str, Any]:
    return {"network": lambda: Returns(returned)}


# fmt: off
# ---- Model, InputSpec

row("Model: None", lambda m: tl.Model(None), TypeError, "network is None", "nn.Module is expected")
row("Model: a class", lambda m: tl.Model(nn.Linear), TypeError,
    "network is the class Linear", "an instance is expected: Linear(...)")
row("Model: called as a network", lambda m: m(X), TypeError,
    "a Model cannot be called", "model.network(x)", "model.predict_batch(x)")
row("Model: a list", lambda m: tl.Model([m.network]), TypeError,
    "network is [Sequential", "nn.Module is expected", "nn.Sequential(")
row("Model: a function", lambda m: tl.Model(len), TypeError, "network is <built-in function len>")
row("Model: a tensor", lambda m: tl.Model(X), TypeError, "network is tensor([[", "..., but an")
row("Model: a Model", lambda m: tl.Model(m), TypeError, "network is Model(Sequential")
row("Model: no super().__init__()", lambda m: tl.Model(Unmade()), TypeError, "network is a Unmade",
    "begin with super().__init__()")
row("Model: on the device meta", lambda m: tl.Model(nn.Linear(8, 3, device="meta")), ValueError,
    "network: weight is on the device 'meta'", "no values", "without device='meta'")
row("Model: sizes for an InputSpec", lambda m: tl.Model(m.network, (None, 8)), TypeError,
    "inputs holds None", "InputSpec objects are expected", "InputSpec((None, 1, 28, 28)")
row("Model: a dict of sizes", lambda m: tl.Model(m.network, {"x": (None, 8)}), TypeError,
    "inputs holds (None, 8)", "InputSpec objects are expected")
row("Model: the class InputSpec", lambda m: tl.Model(m.network, tl.InputSpec), TypeError,
    "inputs holds <class", "InputSpec objects are expected")
row("Model: labels=3", lambda m: tl.Model(m.network, labels=3), TypeError, "labels holds 3")
row("Model: an optimizer", lambda m: tl.Model(m.network, m.optimizer, CE()), TypeError,
    "inputs holds Adam (", "InputSpec objects are expected")
row("Model: two inputs of one name",
    lambda m: tl.Model(m.network, [tl.InputSpec((None, 8), name="a")] * 2), ValueError,
    "the name 'a'", "used twice", "InputSpec(shape, name=...)")
row("Model: a name of the loop", lambda m: tl.Model(m.network, tl.InputSpec((8,), name="network")),
    ValueError, "the name 'network'", "something else in the loop", "Choose another")
rows("Model: shard", (1, None, "yes"), lambda m, v: tl.Model(m.network, shard=v), "True or False")
rows("Model: check", (0, "no"), lambda m, v: tl.Model(m.network, check=v), "True or False")
rows("InputSpec: shape", (None, 8, "8", (0, 8), (None, -2), (None, 2.5), (True, 8)),
     lambda m, v: tl.InputSpec(v), "sizes from 1 are expected", "(None, 1, 28, 28)")
rows("InputSpec: dtype", (None, "float99", float, 3, np.float32),
     lambda m, v: tl.InputSpec((None, 8), v), "a type of torch is expected", "'float32'")
rows("InputSpec: name", ("1st", "class", "", 3, "a b"),
     lambda m, v: tl.InputSpec((None, 8), name=v), "a name as in Python", "'image'")

# ---- prepare

OPTIMIZER = ("a torch.optim optimizer is expected", "torch.optim.Adam(model.parameters(), lr=1e-3)")
for value in ("adam", 0.01, [], {}, CE()):
    row(f"prepare: optimizer={value!r}", lambda m, v=value: m.prepare(v, CE()), TypeError,
        f"optimizer is {value!r}", *OPTIMIZER)
row("prepare: the class of an optimizer", lambda m: m.prepare(torch.optim.Adam, CE()), TypeError,
    "optimizer is the class Adam", "Adam(model.parameters(), lr=1e-3)")
row("prepare: parameters", lambda m: m.prepare(m.parameters(), CE()), TypeError,
    "optimizer is <generator", *OPTIMIZER)
row("prepare: a scheduler", lambda m, s: m.prepare(s, CE()), TypeError, "optimizer is <torch.optim",
    *OPTIMIZER, given=lambda m: lr_scheduler.StepLR(m.optimizer, 1))
row("prepare: loss and optimizer swapped", lambda m: m.prepare(CE(), m.optimizer), TypeError,
    "optimizer is CrossEntropyLoss()", *OPTIMIZER)
row("prepare: several optimizers", lambda m: m.prepare([m.optimizer] * 2, CE()), TypeError,
    "a list of 2 optimizers", "steps of one", "model.fit(train_data, loop=train)")
row("prepare: LBFGS", lambda m: m.prepare(torch.optim.LBFGS(m.parameters()), CE()), ValueError,
    "optimizer is LBFGS", "needs a closure", "such as torch.optim.Adam")
for value in ("mse", 0.5, {CE}, ["mse"]):
    shown = "'mse'" if value == ["mse"] else repr(value)
    row(f"prepare: loss={value!r}", lambda m, v=value: m.prepare(m.optimizer, v), TypeError,
        f"loss is {shown}", "a callable loss(y_hat, y) is expected", "nn.CrossEntropyLoss()")
row("prepare: a metric for the loss", lambda m: m.prepare(m.optimizer, Accuracy()), TypeError,
    "loss is <tutorial.metrics.Accuracy", "a callable loss(y_hat, y) is expected")
row("prepare: the class of a loss", lambda m: m.prepare(m.optimizer, CE), TypeError,
    "loss is the class CrossEntropyLoss", "an instance is expected", "CrossEntropyLoss()")
row("prepare: the class of a metric", lambda m: m.prepare(None, CE(), [Accuracy]), TypeError,
    "a metric is the class Accuracy", "an instance is expected: Accuracy()")
for value in ("acc", ["acc"], len, CE()):
    shown = repr(value[0] if isinstance(value, list) else value)
    row(f"prepare: metrics={value!r}", lambda m, v=value: m.prepare(None, CE(), v), TypeError,
        f"metrics holds {shown}", "update(y_hat, y)", "tutorial.metrics.Accuracy()")
row("fit: metrics by their names", lambda m: m.prepare(m.optimizer, CE(), {"acc": Accuracy()}) or
    m.fit(GOOD), ValueError, "the output 'acc'", "the network's outputs are 0",
    'Accuracy(name="top1")')
row("prepare: two of one name", lambda m: m.prepare(None, CE(), [Accuracy(), Accuracy()]),
    ValueError, "two values as 'acc'", "each name can stand once", 'Accuracy(name="top1")')
row("prepare: two of torchmetrics' of one class",
    lambda m: m.prepare(None, CE(), [top(1), top(2)]), ValueError,
    "two values as 'multiclass_accuracy'", "each name can stand once",
    'torchmetrics.MetricCollection({"top1": ..., "top5": ...})')
rows("prepare: precision", ("16", 16, None, "fp16", True, torch.bfloat16),
     lambda m, v: m.prepare(m.optimizer, CE(), None, v), "'bf16-mixed'", "is expected")


def in_inference_mode(make: Callable[[], nn.Module]) -> nn.Module:
    with torch.inference_mode():
        return make()


def top(k: int) -> Any:
    return torchmetrics.Accuracy(task="multiclass", num_classes=3, top_k=k)


# ---- what is to learn

row("fit: no optimizer", lambda m: tl.Model(m.network).fit(GOOD), ValueError,
    "no optimizer", "model.prepare(optimizer=torch.optim.Adam(")
row("train_batch: no optimizer", lambda m: tl.Model(m.network).train_batch(X, Y), ValueError,
    "no optimizer", "torch.optim.Adam(")
row("fit: no loss", lambda m: m.prepare(m.optimizer) or m.fit(GOOD), ValueError,
    "no loss", "model.prepare(loss=nn.CrossEntropyLoss())")
row("evaluate: before prepare", lambda m: tl.Model(m.network).evaluate(GOOD), ValueError,
    "no loss and no metric", "model.prepare(loss=")
row("fit: all frozen", lambda m, _: m.fit(GOOD), ValueError, "no trainable parameters",
    "network.requires_grad_(True)", given=lambda m: m.network.requires_grad_(False))
row("train_batch: all frozen", lambda m, _: m.train_batch(X, Y), ValueError,
    "no trainable parameters", given=lambda m: m.network.requires_grad_(False))
row("fit: a layer that came later", lambda m, _: m.fit(GOOD), ValueError,
    "does not hold 2 of the network's parameters (2.weight, 2.bias)", "model.parameters()",
    given=lambda m: m.network.__setitem__(2, nn.Linear(8, 3)))
row("fit: a learning rate of nan", lambda m, _: m.fit(GOOD), ValueError, "the learning rate nan",
    "a finite number", "lr=1e-3", given=lambda m: m.optimizer.param_groups[0].update(lr=NAN))
row("fit: a network of inference mode", fit(), ValueError,
    "0.weight was made under torch.inference_mode()", "Make the network outside of it",
    network=lambda: in_inference_mode(small))
DETACHED = ("does not depend on the network's weights", "detach()", "torch.no_grad()")
row("fit: forward detaches", fit(), ValueError, *DETACHED, **returns(torch.Tensor.detach))
row("train_batch: forward detaches", lambda m: m.train_batch(X, Y), ValueError, *DETACHED,
    **returns(torch.Tensor.detach))
row("fit: forward returns classes", fit(), ValueError, "train_data: the predictions",
    "(20,)", "a score for every class", **returns(lambda y: y.argmax(1)))
row("fit: forward returns an array", fit(), ValueError, "the predictions, a ndarray",
    "must be Tensor", **returns(lambda y: y.detach().numpy()))
row("fit: forward returns nothing", fit(), ValueError, "is `return` missing in its forward?",
    **returns(lambda y: None))
row("fit: no forward", fit(), ValueError, "ModuleList has no method forward; nn.Sequential calls",
    network=lambda: nn.ModuleList([nn.Linear(8, 3)]))
row("fit: weights in float64", fit(), ValueError, "a tensor of shape (20, 8) and torch.float32",
    "The weights are torch.float64", "x.to(torch.float64)",
    network=lambda: nn.Linear(8, 3).double())
row("fit: a loss of other arguments", fit(), ValueError, "the loss cannot compare", "(20, 3)",
    "missing 1 required positional argument", loss=lambda a, b, y: CE()(a, y))
row("fit: a loss for each sample", fit(), ValueError, "shape (20,)", "one number is expected",
    'reduction="mean"', loss=CE(reduction="none"))
row("fit: a metric for probabilities", lambda m: m.prepare(m.optimizer, CE(), Auc()) or m.fit(GOOD),
    ValueError, "Auc cannot measure", "(20, 3)", "For more classes use Acc")

# ---- batch norm and batches of one

VARIANCE = ("one sample, of which BatchNorm1d cannot take a variance", "drop_last=True")
row("fit: a last batch of one", fit(batch_size=19), ValueError,
    "train_data: its last batch has", *VARIANCE, network=Normed)
row("fit: a loader's last batch of one", lambda m: m.fit(DataLoader(GOOD, 19)), ValueError,
    "train_data: its last batch has", *VARIANCE, network=Normed)
row("fit: a sampler's last batch of one",
    lambda m: m.fit(DataLoader(GOOD,
    batch_sampler=BatchSampler(SequentialSampler(GOOD), 19, False))),
    ValueError, "train_data: its last batch has", *VARIANCE, network=Normed)
row("fit: a batch of one in a list", lambda m: m.fit([(X, Y), (X[:1], Y[:1])]), ValueError,
    "train_data: one of its batches has", *VARIANCE, network=Normed)
row("fit: batch_size=1", fit(batch_size=1), ValueError, "(1, 8)", "at least 2 samples",
    "a larger batch_size", network=Normed)
row("train_batch: one for batch norm", lambda m: m.train_batch(X[:1], Y[:1]), ValueError, "(1, 8)",
    "at least 2 samples", network=Normed)

# ---- data

DATA = ("a Dataset (with its length), a DataLoader or an iterable of batches (x, y) is expected",
        "TensorDataset(images, labels)")
for name, value, shown in (
    ("None", None, "None"), ("a file's name", "mnist.csv", "'mnist.csv'"), ("a number", 3, "3"),
    ("a dict", {"x": X, "y": Y}, "a dict"), ("a class", TensorDataset, "the class TensorDataset"),
    ("a path", Path("data"), "a PosixPath"), ("a History", tl.History([], []), "a History"),
):
    row(f"fit: {name} for data", lambda m, v=value: m.fit(v), TypeError, f"train_data is {shown}",
        *DATA)
    row(f"predict: {name} for data", lambda m, v=value: m.predict(v), TypeError,
        f"test_data is {shown}", *DATA)
    if value is not None:
        row(f"fit: {name} for eval_data", lambda m, v=value: m.fit(GOOD, v), TypeError,
            f"eval_data is {shown}", *DATA)
row("evaluate: None for data", lambda m: m.evaluate(None), TypeError, "eval_data is None", *DATA)
row("fit: a batch size for eval_data", lambda m: m.fit(GOOD, 64), TypeError, "eval_data is 64",
    *DATA)
PAIR = ("a pair (x, y) of inputs and labels is expected", "TensorDataset(x, y)")
row("fit: x alone", lambda m: m.fit(X), ValueError, "train_data gives a tensor of shape (20, 8)",
    *PAIR)
row("fit: x and y", lambda m: m.fit(X, Y), ValueError, "train_data gives a tensor", *PAIR)
row("fit: (x, y)", lambda m: m.fit((X, Y)), ValueError, "train_data gives a tensor", *PAIR)
row("fit: an array", lambda m: m.fit(X.numpy()), ValueError, "train_data gives", *PAIR)
row("evaluate: x and y", lambda m: m.evaluate(X, Y), ValueError, "batch_size is tensor(")
row("fit: no labels", lambda m: m.fit(TensorDataset(X)), ValueError,
    "train_data gives a list of 1", *PAIR)
row("fit: three parts", lambda m: m.fit(TensorDataset(X, Y, Y)), ValueError,
    "the loss cannot compare", "loss(y_hat, y_0, y_1)", "Model(network, inputs=")
row("fit: x and y swapped", lambda m: m.fit(TensorDataset(Y, X)), ValueError,
    "train_data: the network cannot take its inputs, a tensor of shape (20,)", "torch.int64")
row("fit: x in float64", lambda m: m.fit(TensorDataset(X.double(), Y)), ValueError,
    "torch.float64", "The weights are torch.float32", "x.to(torch.float32)")
row("fit: whole numbers for x", lambda m: m.fit(TensorDataset(X.long(), Y)), ValueError,
    "torch.int64", "The weights are torch.float32", "x.to(torch.float32)")
row("fit: too few features", lambda m: m.fit(TensorDataset(X[:, 1:], Y)), ValueError,
    "(20, 7)", "cannot take its inputs", "layer 0, Linear(8, 8), gets 7 numbers, and takes 8",
    "Make it Linear(7, 8), or")
row("fit: text for x", lambda m: m.fit([(["a"] * 20, Y)]), ValueError, "a list of 20",
    "torch.as_tensor(x)")
row("fit: text for y", lambda m: m.fit(Own(lambda i: (X[i], "cat"))), ValueError,
    "the loss cannot compare", "a list of 20")
row("fit: labels in float", lambda m: m.fit(TensorDataset(X, Y.float())), ValueError,
    "the labels are torch.float32", "torch.int64", "y.long()")
row("fit: labels (N, 1)", lambda m: m.fit(TensorDataset(X, Y[:, None])), ValueError,
    "(20, 1)", "class indices of shape (20,)", "y.squeeze(1)")
row("fit: labels one-hot", lambda m: m.fit(TensorDataset(X, F.one_hot(Y))), ValueError,
    "(20, 3)", "one-hot", "y.argmax(1)")
row("fit: a label too large, deep in the data",
    lambda m: m.fit(TensorDataset(X, torch.where(torch.arange(20) == 17, 7, Y)), batch_size=4),
    ValueError, "there is a label 7", "labels from 0 to 2", "Number the classes from 0")
row("fit: labels below 0", lambda m: m.fit(TensorDataset(X, Y - 1)), ValueError,
    "there is a label -1", "labels from 0 to 2")
row("fit: more inputs than labels", lambda m: m.fit([(X, Y[:5])]), ValueError, "(20, 3)", "(5,)",
    "the loss cannot compare")
row("fit: on the device meta", lambda m: m.fit(TensorDataset(X.to("meta"), Y.to("meta"))),
    ValueError, "train_data has tensors on the device 'meta'", "no values", "Give some with values")
row("fit: no samples", lambda m: m.fit(TensorDataset(X[:0], Y[:0])), ValueError,
    "train_data is empty (its length is 0)", "at least one sample is expected")
row("fit: an empty list", lambda m: m.fit([]), ValueError, "train_data is empty")
row("fit: an empty Subset", lambda m: m.fit(Subset(GOOD, [])), ValueError, "train_data is empty")
row("fit: no samples in eval_data", lambda m: m.fit(GOOD, TensorDataset(X[:0], Y[:0])), ValueError,
    "eval_data is empty")
row("evaluate: no samples", lambda m: m.evaluate(TensorDataset(X[:0], Y[:0])), ValueError,
    "eval_data is empty")
row("predict: no samples", lambda m: m.predict(TensorDataset(X[:0])), ValueError,
    "test_data is empty")
row("fit: a loader that drops all", lambda m: m.fit(DataLoader(GOOD, 64, drop_last=True)),
    ValueError, "train_data is empty", "drop_last=True leaves out a short batch")
row("fit: drop_last with too few samples", fit(batch_size=64, drop_last=True), ValueError,
    "train_data has 20 samples, fewer than batch_size=64", "Make batch_size smaller")
row("fit: a batch of no samples", lambda m: m.fit([(X, Y), (X[:0], Y[:0])]), ValueError,
    "train_data: one of its batches has no samples", "Leave it out")
row("fit: a first batch of no samples", lambda m: m.fit(iter([(X[:0], Y[:0])])), ValueError,
    "train_data: a batch has a tensor of shape (0, 8)", "at least one sample is expected")
row("fit: None for a batch", lambda m: m.fit([None]), ValueError, "train_data: a batch is None",
    "is expected")
row("fit: samples of None", lambda m: m.fit(Own(lambda i: None)), ValueError,
    "its samples cannot be put together to a batch", "NoneType", "collate_fn=")
row("fit: samples of many lengths", lambda m: m.fit(Own(lambda i: (X[i, : 5 + i % 3], Y[i]))),
    ValueError, "train_data: its samples cannot be put together", "[5]", "[7]", "collate_fn=")
row("fit: a loader without batches", lambda m: m.fit(DataLoader(GOOD, batch_size=None)), ValueError,
    "train_data: the predictions have shape (3,)", "shape (N, classes)")
row("fit: a loader that does not stack",
    lambda m: m.fit(DataLoader(GOOD, 5, collate_fn=lambda samples: samples)), ValueError,
    "cannot take its inputs", "a list of", "torch.as_tensor(x)")
row("fit: the first sample cannot be read",
    lambda m: m.fit(Own(lambda i: (_ for _ in ()).throw(OSError("cannot read 0.png")))), OSError,
    "cannot read 0.png")
ONCE = ("is an iterator, which is used up after one pass", "2 passes", "a list of batches")
row("fit: a generator for two epochs", lambda m: m.fit((b for b in [(X, Y)]), epochs=2), ValueError,
    "train_data", *ONCE)
row("fit: a generator to evaluate on twice",
    lambda m: m.fit(GOOD, map(tuple, [(X, Y)]), epochs=2), ValueError, "eval_data", *ONCE)
row("fit: a generator that is used up", lambda m: m.fit(used_up(), verbose=0), ValueError,
    "epoch 1/1: train_data gave no batch", "at least one is expected", "give a list of batches")
row("evaluate: a generator that is used up", lambda m: m.evaluate(used_up(), verbose=0), ValueError,
    "evaluate: eval_data gave no batch", "at least one is expected", "give a list of batches")
row("predict: a generator that is used up", lambda m: m.predict(used_up(), verbose=0), ValueError,
    "predict: test_data gave no batch", "at least one is expected", "give a list of batches")
row("fit: to resume a generator", lambda m: m.fit(used_up(), save_dir="c", resume=True), ValueError,
    "resume is True", "train_data is an iterator", "Give a Dataset")


def used_up() -> Iterator[Any]:
    batches = iter([(X, Y)])
    list(batches)
    return batches


# ---- numbers, and yes or no

COUNT = (0, -1, 2.0, True, "3", NAN, float("inf"), [1], torch.tensor(2))
for name in ("epochs", "eval_freq", "log_freq", "save_freq", "accumulate_grad_batches"):
    rows(f"fit: {name}", (*COUNT, None), lambda m, v, n=name: m.fit(GOOD, **{n: v}),
         "an integer of at least 1 is expected")
rows("fit: num_iters", COUNT, lambda m, v: m.fit(GOOD, num_iters=v), "of at least 1", "or None")
rows("fit: batch_size", (*COUNT, None, 10**30, (5,), (1, 2, 3), (8, 0)),
     lambda m, v: m.fit(GOOD, batch_size=v),
     "an integer of at least 1", "a pair of them: for training and for evaluation")
for method in ("evaluate", "predict"):
    rows(f"{method}: batch_size", (0, 2.5, None, 10**30),
         lambda m, v, f=method: getattr(m, f)(GOOD, batch_size=v), "an integer of at least 1")
    rows(f"{method}: num_workers", (-1, 1.5), lambda m, v,
         f=method: getattr(m, f)(GOOD, num_workers=v),
         "an integer of at least 0")
rows("fit: num_workers", (-1, 1.5, True, None, "2", 10**6), lambda m, v: m.fit(GOOD, num_workers=v),
     "an integer of at least 0 and at most 1024 is expected")
rows("fit: verbose", (-1, 3, True, "yes", None), lambda m, v: m.fit(GOOD, verbose=v), "0, 1 or 2")
rows("fit: clip_grad_norm", (0, -1.0, True, "1", NAN, float("inf")),
     lambda m, v: m.fit(GOOD, clip_grad_norm=v), "a finite number above 0 is expected", "or None")
for name in ("drop_last", "shuffle", "resume", "compile"):
    rows(f"fit: {name}", (1, None, "yes"), lambda m, v, n=name: m.fit(GOOD, **{n: v}),
         "True or False")
rows("predict: stack_outputs", (1, "yes"), lambda m, v: m.predict(GOOD, stack_outputs=v), "True or")
rows("train_batch: update", (1, None), lambda m, v: m.train_batch(X, Y, update=v), "True or False")
row("fit: an argument of its optimizer", fit(lr=0.1), TypeError, "no argument 'lr'. It has ")

row("fit: a misspelt argument", fit(epoch=2), TypeError, "no argument 'epoch'. Do you mean epochs?")
row("prepare: a misspelt argument", lambda m: m.prepare(optimiser=None), TypeError,
    "no argument 'optimiser'. Do you mean optimizer?")
row("fit: single samples from an iterator", lambda m: m.fit((x[None], 1) for x in X), ValueError,
    "with the labels, 1", "a tensor of labels", "Single samples (x, y) go into a list")

# ---- files and directories

LONG = "a" * 300
FILES = ("Give another one",)
WRITERS: dict[str, tuple[str, Callable[[tl.Model, Any], Any]]] = {
    "fit: save_dir": ("save_dir", lambda m, v: m.fit(GOOD, save_dir=v, verbose=0)),
    "ModelCheckpoint: save_dir":
        ("save_dir", lambda m, v: m.fit(GOOD, callbacks=cb.ModelCheckpoint(save_dir=v), verbose=0)),
    "TensorBoard: log_dir":
        ("log_dir", lambda m, v: m.fit(GOOD, callbacks=cb.TensorBoard(v), verbose=0)),
    "CSVLogger: path": ("path", lambda m, v: m.fit(GOOD, callbacks=cb.CSVLogger(v), verbose=0)),
    "save: path": ("path", lambda m, v: m.save(v)),
    "export: path": ("path", lambda m, v: exported(m, v)),
    "Program.save: path": ("path", lambda m, v: m.unroll("fit", GOOD).save(v)),
}
for name, (argument, call) in WRITERS.items():
    for value in (3, b"x", "", ["a"], True, "a\0b"):
        row(f"{name}={value!r}", lambda m, v=value, c=call: c(m, v), ValueError,
            f"{argument} is {value!r}", "is expected")
    row(f"{name} below a file", lambda m, c=call: c(m, "taken/deep/x"), NotADirectoryError,
        f"{argument} is 'taken/deep/x", "'taken' is a file", "a directory is expected", *FILES)
    row(f"{name} of 300 characters", lambda m, c=call: c(m, LONG), OSError, f"{argument} is 'aaa",
        "cannot be written: File name too long", *FILES)
    row(f"{name} of 300 characters, below", lambda m, c=call: c(m, f"new/{LONG}"), OSError,
        f"{argument} is 'new/aaa", "cannot be written: File name too long", *FILES)
    row(f"{name} where nothing can be written", lambda m, c=call: c(m, "/proc/x/y"),
        FileNotFoundError,
        f"{argument} is '/proc/x/y", "cannot be written", *FILES)
for name in ("fit: save_dir", "ModelCheckpoint: save_dir", "TensorBoard: log_dir"):
    argument, call = WRITERS[name]
    row(f"{name} is a file", lambda m, c=call: c(m, "taken"), NotADirectoryError,
        f"{argument} is 'taken'", "is a file", *FILES)
for name in ("CSVLogger: path", "Program.save: path"):
    argument, call = WRITERS[name]
    row(f"{name} is a directory", lambda m, c=call: c(m, "folder"), IsADirectoryError,
        "path is 'folder'", "is a directory", "a file is expected", *FILES)
row("save: path is a directory", lambda m: m.save("folder"), IsADirectoryError,
    "path is 'folder.pt'", "is a directory", *FILES)
row("Program.save: a name for its state", lambda m: m.unroll("fit", GOOD).save("a.pt"), ValueError,
    "path is 'a.pt'", "the state beside the script", "'a.py'")
row("ModelCheckpoint: no directory", fit(callbacks=cb.ModelCheckpoint()), ValueError,
    "save_dir is None", 'fit(..., save_dir="checkpoints")')
row("fit: to resume from nowhere", fit(resume=True), ValueError, "resume=True needs save_dir",
    'save_dir="checkpoints"')
rows("load: path", (None, 3, "", b"x"), lambda m, v: m.load(v), "a file's name, such as 'my_model'")
row("load: no such file", lambda m: m.load("nowhere"), FileNotFoundError,
    "path is 'nowhere.pt'", "there is no such file", "there are text.pt")
row("load: a name that is too long", lambda m: m.load(LONG), FileNotFoundError, "no such file")
row("load: a directory", lambda m: m.load("folder"), FileNotFoundError, "path is 'folder.pt'")
row("load: some text", lambda m: m.load("text"), ValueError, "path is 'text.pt'",
    "damaged, or was not written by model.save", "Load an earlier checkpoint")
rows("load: skip_mismatch", (1, None), lambda m, v: m.load("x", skip_mismatch=v), "True or False")
rows("load: reset_optimizer", (1, "no"), lambda m, v: m.load("x", reset_optimizer=v),
     "True or False")
rows("save: training", (1, None, "yes"), lambda m, v: m.save("x", training=v), "True or False")
row("save: what the inputs look like is not known",
    lambda m: tl.Model(m.network).save("never", training=False), ValueError,
    "save(training=False)", "not known yet", "inputs=InputSpec((None, 1, 28, 28))")


def exported(model: tl.Model, path: Any) -> Any:
    return tl.Model(model.network, tl.InputSpec((None, 8))).save(path, training=False)


def changed(**parts: Any) -> Callable[[tl.Model], Any]:
    """Writes a checkpoint in which some parts are others."""

    def write(model: tl.Model) -> None:
        state = torch.load(model.save("changed"))
        torch.save({**state, **parts}, "changed.pt")

    return write


for part, value in {"network": 3, "optimizer": 3, "random": [1], "schedulers": 2}.items():
    row(f"load: a file whose {part} is {value}", lambda m, _: m.load("changed"), ValueError,
        "path is 'changed.pt'", "model.save", given=changed(**{part: value}))
row("load: another network's weights", lambda m, _: m.load("changed"), ValueError,
    "does not fit the network", "0.weight is not in the file", "skip_mismatch=True",
    given=changed(network={"a": X}))
row("load: another network's optimizer", lambda m, _: m.load("changed"), ValueError,
    "the file's optimizer holds [1] parameters", "Adam here holds [4]", "reset_optimizer=True",
    given=changed(optimizer=torch.optim.Adam([X]).state_dict()))

# ---- callbacks

CALLBACKS = ("tutorial.callbacks.Callback objects are expected", "EarlyStopping(patience=2)")
for value in (cb.EarlyStopping, "early", print, 0, False):
    row(f"fit: callbacks={value!r}", fit(callbacks=value), TypeError, f"callbacks holds {value!r}",
        *CALLBACKS)
row("fit: None among the callbacks", fit(callbacks=[None]), TypeError, "callbacks holds None",
    *CALLBACKS)
row("fit: a dict of callbacks", fit(callbacks={"a": cb.TerminateOnNaN()}), TypeError,
    "callbacks holds 'a'", *CALLBACKS)
row("fit: callbacks in two lists", fit(callbacks=[[cb.TerminateOnNaN()]]), TypeError,
    "callbacks holds [<tutorial", *CALLBACKS)
row("fit: a scheduler for a callback", lambda m, s: m.fit(GOOD, callbacks=s), TypeError,
    "callbacks holds <torch.optim", "wrap it, LRScheduler(scheduler)",
    given=lambda m: lr_scheduler.StepLR(m.optimizer, 1))
row("fit: one callback twice", fit(callbacks=[cb.TerminateOnNaN()] * 2), ValueError,
    "the same TerminateOnNaN twice", "make two objects")
row("fit: a hook of too few parameters",
    fit(callbacks=cb.LambdaCallback(on_epoch_end=lambda epoch: None)), TypeError,
    "callbacks holds a LambdaCallback", "on_epoch_end(epoch, logs)", "Give it these parameters")


class Forgetful(cb.Callback):
    def on_train_batch_end(self, step: int) -> None:  # type: ignore[override]
        pass


row("fit: a hook that forgets logs", fit(callbacks=Forgetful()), TypeError, "a Forgetful",
    "on_train_batch_end(step, logs)", "too many positional arguments")
row("LambdaCallback: no such hook", lambda m: cb.LambdaCallback(on_epoch=print), TypeError,
    "'on_epoch' is no hook", "Choose from on_train_begin")
row("LambdaCallback: no function", lambda m: cb.LambdaCallback(on_epoch_end=3), TypeError,
    "on_epoch_end is 3", "a function is expected")
WATCHING = {
    "EarlyStopping": cb.EarlyStopping,
    "ReduceLROnPlateau": cb.ReduceLROnPlateau,
    "ModelCheckpoint": lambda **more: cb.ModelCheckpoint(save_dir="c", best_only=True, **more),
}
for name, make in WATCHING.items():
    for value in ("acc2", "val_loss", 3):
        row(f"{name}: monitor={value!r}",
            lambda m, f=make, v=value: m.fit(GOOD, GOOD, callbacks=f(monitor=v), verbose=0),
            ValueError, f"monitor is {value!r}", "'loss', 'acc'", "Choose one of these")
    rows(f"{name}: mode", ("up", None, "MAX"), lambda m, v, f=make: f(mode=v),
         "'auto', 'min' or 'max'")
for name in ("EarlyStopping", "ReduceLROnPlateau"):
    make = WATCHING[name]
    row(f"{name}: nothing to evaluate on", lambda m, f=make: m.fit(GOOD, callbacks=f(), verbose=0),
        ValueError, "eval_data is None", name, "Give fit some")
    rows(f"{name}: patience", (-1, 2.5, True, "3"), lambda m, v, f=make: f(patience=v),
         "at least 0")
    rows(f"{name}: min_delta", (-1, NAN, "3"), lambda m, v, f=make: f(min_delta=v),
         "a finite number")
    rows(f"{name}: verbose", (3, "yes", -1), lambda m, v, f=make: f(verbose=v), "0 or 1")
rows("EarlyStopping: baseline", (NAN, True, "3"), lambda m, v: cb.EarlyStopping(baseline=v),
     "a number")
rows("EarlyStopping: restore_best", (1, "yes"), lambda m, v: cb.EarlyStopping(restore_best=v),
     "True or")
rows("EarlyStopping: save_best_model", (1, None), lambda m, v: cb.EarlyStopping(save_best_model=v),
     "True or False")
rows("ReduceLROnPlateau: factor", (0, 1, 2, -0.5, "x", NAN), lambda m,
     v: cb.ReduceLROnPlateau(factor=v),
     "a number above 0 and below 1")
rows("ReduceLROnPlateau: cooldown", (-1, 2.5), lambda m, v: cb.ReduceLROnPlateau(cooldown=v),
     "at least 0")
rows("ReduceLROnPlateau: min_lr", (-1, NAN), lambda m, v: cb.ReduceLROnPlateau(min_lr=v),
     "at least 0")
rows("ModelCheckpoint: save_freq", (0, 2.5, True), lambda m, v: cb.ModelCheckpoint(save_freq=v),
     "at least 1")
rows("ModelCheckpoint: best_only", (1, "yes"), lambda m, v: cb.ModelCheckpoint(best_only=v),
     "True or False")
rows("ProgressBar: log_freq", (0, 2.5, "3"), lambda m, v: cb.ProgressBar(log_freq=v), "at least 1")
rows("ProgressBar: verbose", (3, -1, None), lambda m, v: cb.ProgressBar(verbose=v), "0, 1 or 2")

# ---- schedulers


def scheduled(**arguments: Any) -> Callable[[tl.Model, Any], Any]:
    defaults = {"batch_size": 5, "epochs": 2, "verbose": 0}  # 8 steps
    return lambda m, s: m.fit(GOOD, **(defaults | arguments), callbacks=cb.LRScheduler(s))


def one_cycle(total_steps: int) -> Callable[[tl.Model], Any]:
    return lambda m: lr_scheduler.OneCycleLR(m.optimizer, 0.5, total_steps=total_steps)


def after_the_first(model: tl.Model) -> Any:
    first, second = lr_scheduler.ConstantLR(model.optimizer), one_cycle(4)(model)
    return lr_scheduler.SequentialLR(model.optimizer, [first, second], [2])


def replaced(make: Callable[[tl.Model], Any]) -> Callable[[tl.Model], Any]:
    """A scheduler of the optimizer before prepare was called again."""

    def scheduler(model: tl.Model) -> Any:
        earlier = make(model)
        model.prepare(torch.optim.Adam(model.parameters(), lr=0.1), CE())
        return earlier

    return scheduler


OTHER = ("made for another optimizer than the model has now", "(model.optimizer, ...)")
row("LRScheduler: of an earlier optimizer", scheduled(), ValueError, "OneCycleLR", *OTHER,
    given=replaced(one_cycle(50)))
row("LRScheduler: two of an earlier optimizer", scheduled(), ValueError, "SequentialLR", *OTHER,
    given=replaced(after_the_first))
row("LRScheduler: of an optimizer that the model has not", scheduled(), ValueError, "StepLR",
    *OTHER,
    given=lambda m: lr_scheduler.StepLR(torch.optim.Adam(m.parameters()), 1))
row("LRScheduler: too few steps", scheduled(), ValueError,
    "OneCycleLR has total_steps=6", "this training steps the scheduler 8 times",
    "Make it with total_steps=8", given=one_cycle(6))
row("LRScheduler: too few steps, accumulated", scheduled(accumulate_grad_batches=3), ValueError,
    "total_steps=3", "4 times", "total_steps=4", given=one_cycle(3))
row("LRScheduler: too few steps, after another", scheduled(), ValueError,
    "total_steps=4", "8 times", "total_steps=6", given=after_the_first)
row("LRScheduler: too few epochs",
    lambda m, s: m.fit(GOOD, epochs=3, callbacks=cb.LRScheduler(s, by_epoch=True)), ValueError,
    "total_steps=2", "3 times", "total_steps=3", given=one_cycle(2))
row("LRScheduler: too few steps are left", scheduled(), ValueError, "total_steps=9",
    "8 times, after "
    "4 that it has taken", "total_steps=12", given=lambda m: stepped(one_cycle(9)(m), 4))
row("LRScheduler: one scheduler twice",
    lambda m, s: m.fit(GOOD, callbacks=[cb.LRScheduler(s), cb.LRScheduler(s)]), ValueError,
    "the same LRScheduler twice", given=lambda m: lr_scheduler.StepLR(m.optimizer, 1))
for value in (None, lr_scheduler.StepLR, 0.1):
    row(f"LRScheduler: {value!r}", lambda m, v=value: cb.LRScheduler(v), TypeError,
        f"scheduler is {value!r}", "one of torch.optim.lr_scheduler is expected", "StepLR(")
row("LRScheduler: an optimizer", lambda m: cb.LRScheduler(m.optimizer), TypeError,
    "scheduler is Adam (", "StepLR(optimizer, step_size=100)")
row("LRScheduler: torch's ReduceLROnPlateau", lambda m, s: cb.LRScheduler(s), TypeError,
    "must be told a loss", "tutorial.callbacks.ReduceLROnPlateau()",
    given=lambda m: lr_scheduler.ReduceLROnPlateau(m.optimizer))
row("LRScheduler: by step and by epoch", lambda m, s: cb.LRScheduler(s, True, True), ValueError,
    "by_step and by_epoch are both True", "mutually exclusive",
    given=lambda m: lr_scheduler.StepLR(m.optimizer, 1))


def stepped(scheduler: Any, steps: int) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that the optimizer took none
        for _ in range(steps):
            scheduler.step()
    return scheduler


# ---- one batch

for method in ("train_batch", "eval_batch"):
    call_of = lambda m, x, y, f=method: getattr(m, f)(x, y)  # noqa: E731
    for name, x, y, words in (
        ("None", None, None, ("inputs is None", "a tensor (N, ...) is expected")),
        ("no labels", X, None, ("the batch gives", "pair (x, y)")),
        ("x and y swapped", Y, X, ("the batch: the network cannot take its inputs", "(20,)")),
        ("text", "x", "y",
        ("the network cannot take its inputs, a list of 1", "torch.as_tensor(x)")),
        ("lists", X.tolist(), Y.tolist(), ("a list of 20", "torch.as_tensor(x)")),
        ("one sample", X[0], Y[0], ("(3,)", "shape (N, classes)")),
        ("no samples", X[:0], Y[:0], ("(0, 8)", "at least one sample is expected")),
        ("fewer labels", X, Y[:5], ("the loss cannot compare", "(20, 3)", "(5,)")),
        ("float64", X.double(), Y, ("torch.float64", "x.to(torch.float32)")),
        ("on the device meta", X.to("meta"), Y.to("meta"), ("inputs has", "'meta'", "no values")),
        ("a data set", GOOD, None, ("the batch gives", "pair (x, y)")),
        ("a label too large", X, Y + 9, ("Number the classes from 0",)),
        ("labels in float", X, Y.float(), ("the labels are torch.float32", "y.long()")),
    ):
        row(f"{method}: {name}", lambda m, c=call_of, x=x, y=y: c(m, x, y), ValueError, *words)
for name, x, words in (
    ("None", None, ("inputs is None", "a tensor (N, ...) is expected")),
    ("text", "x", ("cannot take its inputs, a list of 1", "torch.as_tensor(x)")),
    ("float64", X.double(), ("torch.float64", "x.to(torch.float32)")),
    ("on the device meta", X.to("meta"), ("inputs has", "'meta'", "no values")),
):
    row(f"predict_batch: {name}", lambda m, x=x: m.predict_batch(x), ValueError, *words)

# ---- unroll, Program, a loop of one's own

for value in ("train", None, ["fit"], 3):
    row(f"unroll: method={value!r}", lambda m, v=value: m.unroll(v, GOOD), ValueError,
        f"method is {value!r}", "one of fit, evaluate, predict")
row("unroll: no data", lambda m: m.unroll("fit"), TypeError, "'train_data'")
row("unroll: epochs=0", lambda m: m.unroll("fit", GOOD, epochs=0), ValueError, "epochs is 0")
row("Program.run: an unknown name", lambda m: m.unroll("fit", GOOD).run(net=m.network), TypeError,
    "net is no name of this program", "its names are network")
row("Program.run: text for the network", lambda m: m.unroll("fit", GOOD).run(network="x"),
    TypeError,
    "network is 'x'", "an nn.Module is expected")
row("Program.run: text for the report", lambda m: m.unroll("fit", GOOD).run("yes"), TypeError,
    "report is 'yes'", "a Report is expected")
for value in ("x", [1.0], 3):
    row(f"Program.verify: history={value!r}", lambda m, v=value: m.unroll("fit", GOOD).verify(v),
        TypeError, f"history is {value!r}", "what model.fit returned")
for value in (3, [1], b"pass"):
    row(f"fit: loop={value!r}", fit(loop=value), TypeError, f"loop is {value!r}",
        "a Program, its source as text, or a function is expected")
row("fit: a loop that is no Python", fit(loop="x = 1\nfor x in"), ValueError,
    "loop is not valid Python", "line 2", "'for x in'")
row("fit: a file's name for a loop", fit(loop="my_loop.py"), ValueError, "loop is 'my_loop.py'",
    "the source itself is expected", "read_text()")
row("fit: the loop of predict", lambda m: m.fit(GOOD, loop=m.unroll("predict", GOOD)), ValueError,
    "the program of model.predict(test_data)", "one of model.fit is expected")
row("fit: a loop that asks for more", fit(loop=lambda network, data: []), TypeError,
    "asks for data", "a loop is given only network")
row("fit: a loop that returns text", fit(loop=lambda network: "abc"), TypeError,
    "step_losses is 'abc'", "a list with the loss of each step is expected")

# ---- summary, device, seed

for value in ("x", 2.5, X, True):
    row(f"summary: {type(value).__name__}", lambda m, v=value: m.summary(v), TypeError,
        "input_size holds", "the shape of a batch is expected", "(1, 784)")
for value in ((0, 8), (None, None), (), -3):
    row(f"summary: {value!r}", lambda m, v=value: m.summary(v), ValueError, "input_size",
        repr(value), "size")
row("summary: another shape", lambda m: m.summary((1, 9)), ValueError, "input_size is (1, 9)",
    "0 Linear failed, given (1, 9)", "Give the shape that the network expects")
row("summary: another type", lambda m: m.summary((1, 8), "int64"), ValueError, "torch.int64",
    "Give the type that this layer expects")
row("summary: no type", lambda m: m.summary((1, 8), "float99"), ValueError, "dtype is 'float99'")
row("summary: nothing known", lambda m: tl.Model(m.network).summary(), ValueError,
    "not known yet", "InputSpec((None, 1, 28, 28))")
for value in ("gpu:99", "tpu", "cpu:0", 3, None, "", "CPU", torch.device("cpu")):
    row(f"set_device: {value!r}", lambda m, v=value: tl.set_device(v), ValueError,
        f"name is {value!r}", "this machine has 'cpu'", "Choose one of these")
rows("seed: n", (-1, 2**32, 1.5, True, None, "0", NAN), lambda m, v: tl.seed(v),
     "an integer from 0 to 2**32 - 1 is expected")

# ---- data sets, loaders, figures, metrics, processes

rows("MNIST: mode", ("Test", "val", None, True, 3), lambda m, v: tl.datasets.MNIST(v),
     "'train' or 'test' is expected")
row("MNIST: text for a transform", lambda m: tl.datasets.MNIST("test", "normalize"), TypeError,
    "transform is 'normalize'", "a function of an image", "transforms.Normalize(")
for value in ("nowhere", "taken"):
    row(f"MNIST: root={value!r}", lambda m, v=value: tl.datasets.MNIST("test", root=v),
        FileNotFoundError, f"MNIST file not found: {value}/", "To repair it")
row("datasets: unknown", lambda m: tl.datasets.CIFAR10, AttributeError, "no 'CIFAR10'", "MNIST")
row("tl: unknown", lambda m: tl.fit, AttributeError, "tutorial has no 'fit'", "it has Batches")
rows("Batches: batch_size", (0, -1, 2.5, "3", None), lambda m, v: tl.Batches(GOOD, v),
     "an integer from 1 is expected")
for value in (None, X, [1], 3):
    row(f"Batches: {type(value).__name__}", lambda m, v=value: tl.Batches(v, 5), TypeError,
        f"data is {type(value).__name__}", "data.tensors", "take a DataLoader")
row("Batches: no such rank", lambda m: tl.Batches(GOOD, 5, rank=2, world_size=2), ValueError,
    "rank is 2", "one from 0 to 1 is expected")
for value in (None, GOOD, tl.Model):
    row(f"confusion: model is {type(value).__name__}", lambda m, v=value: tl.confusion(v, GOOD),
        TypeError, "model is", "a tutorial.Model is expected", "tutorial.Model(network)")
row("confusion: None", lambda m: tl.confusion(m, None), TypeError, "data is None", *DATA)
row("confusion: x and y", lambda m: tl.confusion(m, X, Y), ValueError, "batch_size is tensor(")
row("confusion: labels in float", lambda m: tl.confusion(m, TensorDataset(X, Y.float())),
    ValueError,
    "the labels are", "integers of shape (20,) are expected")
row("confusion: text for labels", lambda m: tl.confusion(m, [(X, ["a"] * 20)]), ValueError,
    "the labels are a list of", "integers are expected")
row("confusion: a label too large", lambda m: tl.confusion(m, TensorDataset(X, Y + 9)), ValueError,
    "the labels go from 9 to 11", "classes 0 to 2")
row("confusion: no samples", lambda m: tl.confusion(m, TensorDataset(X[:0], Y[:0])), ValueError,
    "data is empty")
for value in (None, 3, "abc", {0: X}):
    row(f"show: {value!r:.9}", lambda m, v=value: tl.show(v), TypeError, "images is",
        "a tensor (N, height, width), or a Dataset of images, is expected")
row("show: none", lambda m: tl.show(IMAGES[:0]), ValueError, "images is empty")
row("show: text", lambda m: tl.show(["a", "b"]), TypeError, "an image is 'a'",
    "a tensor of numbers")
row("show: of two sizes", lambda m: tl.show([torch.zeros(5, 5), torch.zeros(4, 4)]), ValueError,
    "images have different shapes, (5, 5) and others", "Resize them")
row("show: four channels", lambda m: tl.show(torch.zeros(2, 4, 5, 5)), ValueError,
    "(4, 5, 5)", "with 1 or 3 channels")
rows("show: count", (0, 2.5, "3", True), lambda m, v: tl.show(IMAGES, count=v), "at least 1")
for name in ("labels", "predictions"):
    row(f"show: too few {name}", lambda m, n=name: tl.show(IMAGES, **{n: [1, 2]}), ValueError,
        f"{name} has the shape (2,)", "for 5 images (5,) is expected")
for value in (None, 3, {}, [1]):
    row(f"plot: {value!r}", lambda m, v=value: tl.plot(v), TypeError, f"history is {value!r}",
        "a History is expected", 'plot({"Adam": history_1')
    if value is not None:
        row(f"LivePlot: {value!r}", lambda m, v=value: tl.LivePlot(v), TypeError,
            f"history is {value!r}", "a History is expected")
row("DrawDigit: None", lambda m: tl.DrawDigit(None), TypeError, "model is None", "nn.Module")
row("DrawDigit: another network", lambda m: tl.DrawDigit(m), ValueError, "cannot take a picture",
    "(1, 1, 28, 28)", "MNIST's digits")
for value in ("nothing", None, ["a"]):
    row(f"check: name={value!r}", lambda m, v=value: tl.check(v, 3), ValueError,
        f"name is {value!r}", "no exercise has this name", "Do you mean")
rows("launch: processes", (0, -1, "2", None, True), lambda m, v: tl.launch(print, processes=v),
     "an integer of at least 1 is expected")
for value in (None, "train"):
    row(f"launch: {value!r}", lambda m, v=value: tl.launch(v, processes=1), TypeError,
        f"function is {value!r}", "a function is expected")
for value in ("10", 2.5, None):
    row(f"LeNet: {value!r}", lambda m, v=value: tl.models.LeNet(v), TypeError,
        f"num_classes is {value!r}", "an integer is expected")
for value in (0, -1, "5", None, 2.5, (), (1, 1)):
    row(f"Accuracy: topk={value!r}", lambda m, v=value: Accuracy(topk=v), ValueError,
        f"topk is {value!r}", "Expected integers from 1", "topk=(1, 5)")
for value in ("P", "roc", None):
    row(f"Auc: curve={value!r}", lambda m, v=value: Auc(curve=v), ValueError,
        f"curve is {value!r}", "'ROC' or 'PR'")
row("Accuracy: fewer labels", lambda m: Accuracy().update(X, Y[:4]), ValueError, "(20, 8)", "(4,)")
row("Precision: scores of three classes", lambda m: Precision().update(X[:, :3], Y), ValueError,
    "(20, 3)", "one probability a sample", "use Accuracy")


# fmt: on
# ---- what becomes of each


def trace(model: tl.Model) -> dict[str, Any]:
    """All that a refused call must leave as it was."""
    optimizer = {} if model.optimizer is None else model.optimizer.state_dict()
    modes = [module.training for module in model.network.modules()]
    state = {"network": model.network.state_dict(), "optimizer": optimizer, "modes": modes}
    kept = flat(state | {"random": rng_state()})
    return {key: part.clone() if hasattr(part, "clone") else part for key, part in kept.items()}


@dataclass
class Outcome:
    """What became of a misuse: its error, what has changed, and the files that it has left."""

    error: Exception | None
    changed: list[str]
    files: list[str]

    def verdict(self, misuse: Misuse) -> str:
        """How it was refused, in a word or two."""
        if self.error is None:
            return "silent"
        if any(key.startswith(("network", "optimizer")) for key in self.changed) or self.files:
            return "late"
        if type(self.error) is not misuse.error:
            return "other words"
        missing = [word for word in misuse.words if word not in str(self.error)]
        return "other words" if missing else "refused"


def become(misuse: Misuse) -> Outcome:
    """Do it, in the current directory."""
    Path("taken").write_text("precious")
    Path("text.pt").write_text("no checkpoint")
    for folder in ("folder", "folder.pt"):
        Path(folder).mkdir()
    model, call = misuse.prepare()
    before, there, error = trace(model), sorted(Path().rglob("*")), None
    try:
        call()
    except Exception as raised:
        error = raised
    after = trace(model)
    changed = [k for k in before | after if not identical(before.get(k), after.get(k))]
    files = sorted(set(Path().rglob("*")) - set(there))
    return Outcome(error, changed, list(map(str, files)))


def print_table(word: str = "") -> None:
    """Print each misuse whose name has this word with its message, and how many were refused."""
    verdicts: dict[str, int] = {}
    tl.set_device("cpu")
    for name, misuse in MISUSES.items():
        if word not in name:
            continue
        here = os.getcwd()
        with tempfile.TemporaryDirectory() as folder:
            os.chdir(folder)
            try:
                with warnings.catch_warnings(action="ignore"):
                    outcome = become(misuse)
            finally:
                os.chdir(here)
        verdict = outcome.verdict(misuse)
        verdicts[verdict] = verdicts.get(verdict, 0) + 1
        mark = "" if verdict == "refused" else f"[{verdict}] "
        message = "no error" if outcome.error is None else str(outcome.error)
        print(f"{mark}{name}\n    {type(outcome.error).__name__}: {message}\n")
    print(f"{sum(verdicts.values())} misuses:", verdicts)


if __name__ == "__main__":
    print_table(*sys.argv[1:])
