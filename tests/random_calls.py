"""Random calls of fit, for Hypothesis: networks, losses, metrics, data, optimizers and options.

A call is a piece of code, and so are its parts: what is drawn is chosen from the tables below, and
a call that fails is shown as a program that can be run. What the loop by hand must know of it is
kept beside it, see `Call`.
"""

import linecache
import warnings
from collections.abc import Iterable
from contextlib import nullcontext
from dataclasses import dataclass
from functools import cache, partial
from math import prod
from typing import Any

import random_parts
import torch
from hypothesis import strategies as st
from torch import nn

# ---- layers: for samples with so many axes; {first} and {last} are their sizes, {n} a new one


LAYERS: dict[str, tuple[tuple[int, ...], str]] = {
    "Linear": ((1, 2, 3), "nn.Linear({last}, {n})"),
    "weight_norm": ((1, 2), "weight_norm(nn.Linear({last}, {n}))"),
    "spectral_norm": ((1, 2), "spectral_norm(nn.Linear({last}, {n}))"),
    "Conv1d": ((2,), "nn.Conv1d({first}, {n}, 2, padding=1)"),
    "Conv2d": ((3,), "nn.Conv2d({first}, {n}, 3, stride=2, padding=1)"),
    "Conv2d, depthwise": ((3,), "nn.Conv2d({first}, {first}, 2, groups={first}, bias=False)"),
    "Conv3d": ((4,), "nn.Conv3d({first}, {n}, 2)"),
    "ConvTranspose1d": ((2,), "nn.ConvTranspose1d({first}, {n}, 2)"),
    "ConvTranspose2d": ((3,), "nn.ConvTranspose2d({first}, {n}, 2)"),
    "BatchNorm1d": ((1, 2), "nn.BatchNorm1d({first})"),
    "BatchNorm1d, momentum=None": ((1, 2), "nn.BatchNorm1d({first}, momentum=None)"),
    "BatchNorm2d": ((3,), "nn.BatchNorm2d({first})"),
    "BatchNorm3d": ((4,), "nn.BatchNorm3d({first})"),
    "InstanceNorm1d": ((2,), "nn.InstanceNorm1d({first}, affine=True)"),
    "InstanceNorm2d": ((3,), "nn.InstanceNorm2d({first}, track_running_stats=True)"),
    "LayerNorm": ((1, 2, 3), "nn.LayerNorm({last})"),
    "GroupNorm": ((1, 2, 3, 4), "nn.GroupNorm(1, {first})"),
    "RMSNorm": ((1, 2, 3), "nn.RMSNorm({last})"),
    "LocalResponseNorm": ((2, 3), "nn.LocalResponseNorm(2)"),
    "Dropout": ((1, 2, 3, 4), "nn.Dropout(0.3)"),
    "Dropout1d": ((2,), "nn.Dropout1d(0.3)"),
    "Dropout2d": ((3,), "nn.Dropout2d(0.3)"),
    "AlphaDropout": ((1, 2, 3), "nn.AlphaDropout(0.2)"),
    "RReLU": ((1, 2), "nn.RReLU()"),
    "RNN": ((2,), "Steps(nn.RNN({last}, {n}, batch_first=True))"),
    "GRU": ((2,), "Steps(nn.GRU({last}, {n}, batch_first=True))"),
    "LSTM": ((2,), "Steps(nn.LSTM({last}, {n}, batch_first=True, bidirectional=True))"),
    "LSTM, dropout": ((2,), "Steps(nn.LSTM({last}, {n}, 2, batch_first=True, dropout=0.2))"),
    "MultiheadAttention": ((2,), "Attention({last})"),
    "TransformerEncoderLayer": (
        (2,),
        "nn.TransformerEncoderLayer({last}, 1, 4, batch_first=True)",
    ),
    "MaxPool1d": ((2,), "nn.MaxPool1d(2)"),
    "AvgPool1d": ((2,), "nn.AvgPool1d(2)"),
    "AdaptiveAvgPool1d": ((2,), "nn.AdaptiveAvgPool1d(2)"),
    "MaxPool2d": ((3,), "nn.MaxPool2d(2)"),
    "AvgPool2d": ((3,), "nn.AvgPool2d(2)"),
    "AdaptiveAvgPool2d": ((3,), "nn.AdaptiveAvgPool2d((1, 2))"),
    "AdaptiveMaxPool2d": ((3,), "nn.AdaptiveMaxPool2d(2)"),
    "MaxPool3d": ((4,), "nn.MaxPool3d(2, stride=1)"),
    "AdaptiveAvgPool3d": ((4,), "nn.AdaptiveAvgPool3d(1)"),
    "Tanh": ((1, 2, 3, 4), "nn.Tanh()"),
    "ReLU": ((1, 2, 3, 4), "nn.ReLU()"),
    "LeakyReLU": ((1, 3), "nn.LeakyReLU(0.1)"),
    "PReLU": ((1, 2, 3, 4), "nn.PReLU({first})"),
    "GELU": ((1, 2, 3), "nn.GELU()"),
    "SiLU": ((1, 2, 3), "nn.SiLU()"),
    "ELU": ((1, 2), "nn.ELU()"),
    "Mish": ((1, 2), "nn.Mish()"),
    "Softplus": ((1, 3), "nn.Softplus()"),
    "GLU": ((1, 2, 3), "nn.GLU()"),
    "Softmax": ((1, 2), "nn.Softmax(dim=-1)"),
    "Flatten": ((2, 3, 4), "nn.Flatten()"),
    "Flatten, some axes": ((3, 4), "nn.Flatten(2)"),
    "Unflatten": ((1,), "nn.Unflatten(1, (1, {first}))"),
    "Upsample": ((2, 3), "nn.Upsample(scale_factor=2)"),
    "PixelShuffle": ((3,), "nn.Sequential(nn.Conv2d({first}, 4, 1), nn.PixelShuffle(2))"),
    "PixelUnshuffle": ((3,), "nn.PixelUnshuffle(2)"),
    "ZeroPad2d": ((3,), "nn.ZeroPad2d(1)"),
    "ReflectionPad1d": ((2,), "nn.ReflectionPad1d(1)"),
    "Unfold": ((3,), "nn.Unfold(2)"),
    "Identity": ((1, 2, 3), "nn.Identity()"),
    "residual block": ((1, 2), "Residual(nn.Sequential(nn.Linear({last}, {last}), nn.Tanh()))"),
    "residual block, dropout": (
        (1,),
        "Residual(nn.Sequential(nn.Dropout(0.3), nn.Linear({last}, {last})))",
    ),
    "one layer twice": ((1, 2), "Tied({last})"),
    "frozen": ((1, 2), "frozen(nn.Linear({last}, {n}))"),
    "SwapAxes": ((2,), "SwapAxes()"),
    "own weight": ((1, 2, 3), "Gate()"),
    "own buffers": ((1, 2, 3), "RunningMean()"),
    "own random numbers": ((1, 2, 3), "Noise()"),
}
# What takes whole numbers, first of all.
EMBEDDINGS = {
    "Embedding": "nn.Embedding(5, {n})",
    "Embedding, padding_idx": "nn.Embedding(5, {n}, padding_idx=0)",
    "Embedding, max_norm": "nn.Embedding(5, {n}, max_norm=1.0)",
    "Embedding, sparse": "nn.Embedding(5, {n}, sparse=True)",
    "EmbeddingBag": 'nn.EmbeddingBag(5, {n}, mode="sum")',
}
# In training, these make of a sample what others, or random numbers, want.
NOT_BY_SAMPLE = {
    *(name for name in LAYERS if name.startswith(("BatchNorm", "InstanceNorm2d"))),
    *(name for name in LAYERS if "ropout" in name or "random" in name),
    *("RReLU", "TransformerEncoderLayer", "spectral_norm", "own buffers", "Embedding, max_norm"),
}
INPUTS: dict[str, tuple[int, ...]] = {
    "vector": (4,),
    "signal": (3, 6),
    "image": (2, 4, 4),
    "volume": (1, 3, 3, 3),
    "tokens": (4,),
}
JOINS = {"Bilinear": "nn.Bilinear({left}, {right}, 3)", "Cat": "Cat()"}

# ---- labels, and the losses that compare them

LABELS = {
    "classes": "torch.randint(0, 3, ({count},))",
    "some ignored": (
        "torch.where(torch.rand({count}) < 0.4, -100, torch.randint(0, 3, ({count},)))"
    ),
    "first ignored": (
        "torch.where(torch.arange({count}) < {some}, -100, torch.randint(0, 3, ({count},)))"
    ),
    "positions": "torch.randint(0, 3, ({count}, 2))",
    "positions, some ignored": (
        "torch.where(torch.rand({count}, 2) < 0.5, -100, torch.randint(0, 3, ({count}, 2)))"
    ),
    "shares": "torch.randn({count}, 3).softmax(1){double}",
    "numbers": "torch.randn({count}, 3){double}",
    "one number": "torch.randn({count}){double}",
    "yes or no": "torch.randint(0, 2, ({count}, 1)).float(){double}",
    "many yes or no": "torch.randint(0, 2, ({count}, 3)).float(){double}",
    "counts": "torch.poisson(torch.ones({count}, 3)){double}",
    "signs": "2.0 * torch.randint(0, 2, ({count}, 3)){double} - 1.0",
    "one sign": "2.0 * torch.randint(0, 2, ({count},)){double} - 1.0",
    "importance": "torch.rand({count}){double}",
    "words": "torch.randint(1, 3, ({count}, 2))",
}
IGNORING = ("some ignored", "first ignored", "positions, some ignored")

# What follows a network's body, of {size} numbers; of several outputs, each is one.
HEADS = {
    "scores": "nn.Linear({size}, 3)",
    "scores at positions": "nn.Linear({size}, 6), nn.Unflatten(1, (3, 2))",
    "letters": "nn.Linear({size}, 12), nn.Unflatten(1, (3, 4))",
    "log": "nn.Linear({size}, 3), nn.LogSoftmax(1)",
    "one": "nn.Linear({size}, 1)",
    "probability": "nn.Linear({size}, 1), nn.Sigmoid()",
    "flat": "nn.Linear({size}, 1), nn.Flatten(0)",
}
# Networks with several outputs: what makes them, and the head of each.
SEVERAL = {
    "two": ("Heads", ("scores", "scores")),
    "two flat": ("Heads", ("flat", "flat")),
    "three": ("Heads", ("scores", "scores", "scores")),
    "spread": ("Spread", ("scores", "scores")),
}


@dataclass(frozen=True)
class Loss:
    """A loss, and what it needs.

    Attributes:
        code: makes it.
        labels: a key of LABELS; "" if it compares outputs alone.
        also: another one, for a second label.
        head: a key of HEADS, or of SEVERAL.
        weight: what a batch counts in the mean, as code: what the loss averages over.
        kind: a "mean"; a "sum" over samples; "neither"; or it returns a "pair" (loss, weight).
    """

    code: str
    labels: str
    head: str
    weight: str = "len(y)"
    kind: str = "mean"
    also: str = ""


SOME = "(y != -100).sum().item()"
WEIGHT = "torch.tensor([1.0, 2.0, 0.5]){double}"
LOSSES: dict[str, Loss] = {
    "CrossEntropyLoss": Loss("nn.CrossEntropyLoss()", "classes", "scores"),
    "CrossEntropyLoss, smoothed": Loss(
        "nn.CrossEntropyLoss(label_smoothing=0.1)", "classes", "scores"
    ),
    "CrossEntropyLoss, weights": Loss(
        f"nn.CrossEntropyLoss({WEIGHT})", "classes", "scores", "loss_fn.weight[y].sum().item()"
    ),
    "CrossEntropyLoss, a weight of 0": Loss(
        "nn.CrossEntropyLoss(torch.tensor([0.0, 1.0, 2.0]){double})", "classes", "scores",
        "loss_fn.weight[y].sum().item()",
    ),
    "CrossEntropyLoss, ignored": Loss("nn.CrossEntropyLoss()", "some ignored", "scores", SOME),
    "CrossEntropyLoss, batches ignored": Loss(
        "nn.CrossEntropyLoss(label_smoothing=0.1)", "first ignored", "scores", SOME
    ),
    "CrossEntropyLoss, a class ignored": Loss(
        "nn.CrossEntropyLoss(ignore_index=1)", "classes", "scores", "(y != 1).sum().item()"
    ),
    "CrossEntropyLoss, weights, ignored": Loss(
        f"nn.CrossEntropyLoss({WEIGHT})", "some ignored", "scores",
        "loss_fn.weight[y[y != -100]].sum().item()",
    ),
    "CrossEntropyLoss, positions": Loss(
        "nn.CrossEntropyLoss()", "positions", "scores at positions"
    ),
    "CrossEntropyLoss, positions ignored": Loss(
        "nn.CrossEntropyLoss()", "positions, some ignored", "scores at positions", SOME
    ),
    "CrossEntropyLoss, shares": Loss("nn.CrossEntropyLoss()", "shares", "scores"),
    "CrossEntropyLoss, sum": Loss(
        'nn.CrossEntropyLoss(reduction="sum")', "classes", "scores", kind="sum"
    ),
    "F.cross_entropy": Loss("F.cross_entropy", "some ignored", "scores", SOME),
    "partial(F.cross_entropy)": Loss(
        f"partial(F.cross_entropy, weight={WEIGHT}, label_smoothing=0.2)", "classes", "scores",
        'loss_fn.keywords["weight"][y].sum().item()',
    ),
    "NLLLoss": Loss("nn.NLLLoss()", "classes", "log"),
    "F.nll_loss": Loss("F.nll_loss", "some ignored", "log", SOME),
    "MultiMarginLoss": Loss("nn.MultiMarginLoss()", "classes", "scores"),
    "MSELoss": Loss("nn.MSELoss()", "numbers", "scores"),
    "MSELoss, sum": Loss('nn.MSELoss(reduction="sum")', "numbers", "scores", kind="sum"),
    "MSELoss, one number": Loss("nn.MSELoss()", "one number", "flat"),
    "F.mse_loss": Loss("F.mse_loss", "numbers", "scores"),
    "partial(F.mse_loss)": Loss(
        'partial(F.mse_loss, reduction="sum")', "numbers", "scores", kind="sum"
    ),
    "L1Loss": Loss("nn.L1Loss()", "numbers", "scores"),
    "SmoothL1Loss": Loss("nn.SmoothL1Loss(beta=0.5)", "numbers", "scores"),
    "HuberLoss": Loss("nn.HuberLoss()", "one number", "flat"),
    "BCELoss": Loss("nn.BCELoss()", "yes or no", "probability"),
    "F.binary_cross_entropy": Loss("F.binary_cross_entropy", "yes or no", "probability"),
    "MSELoss, probability": Loss("nn.MSELoss()", "yes or no", "probability"),
    "BCEWithLogitsLoss": Loss("nn.BCEWithLogitsLoss()", "yes or no", "one"),
    "BCEWithLogitsLoss, pos_weight": Loss(
        f"nn.BCEWithLogitsLoss(pos_weight={WEIGHT})", "many yes or no", "scores"
    ),
    "MultiLabelSoftMarginLoss": Loss(
        "nn.MultiLabelSoftMarginLoss()", "many yes or no", "scores"
    ),
    "SoftMarginLoss": Loss("nn.SoftMarginLoss()", "signs", "scores"),
    "HingeEmbeddingLoss": Loss("nn.HingeEmbeddingLoss()", "signs", "scores"),
    "KLDivLoss": Loss('nn.KLDivLoss(reduction="batchmean")', "shares", "log"),
    "PoissonNLLLoss": Loss("nn.PoissonNLLLoss()", "counts", "scores"),
    "GaussianNLLLoss": Loss("nn.GaussianNLLLoss()", "numbers", "spread"),
    "CosineEmbeddingLoss": Loss("nn.CosineEmbeddingLoss(margin=0.2)", "one sign", "two"),
    "MarginRankingLoss": Loss("nn.MarginRankingLoss(margin=0.1)", "one sign", "two flat"),
    "TripletMarginLoss": Loss("nn.TripletMarginLoss()", "", "three"),
    "CTC": Loss("Spoken()", "words", "letters"),
    "own cross entropy": Loss("own_cross_entropy", "classes", "scores"),
    "own module": Loss("Focal()", "classes", "scores"),
    "own mean": Loss("own_mean", "numbers", "scores"),
    "own sum": Loss("own_sum", "numbers", "scores", kind="sum"),
    "own, with an option": Loss("partial(penalized, strength=0.5)", "numbers", "scores"),
    "own root": Loss("root", "numbers", "scores", kind="neither"),
    "own lambda": Loss("lambda y_hat, y: (y_hat - y).abs().mean()", "numbers", "scores"),
    "own, weighted samples": Loss(
        "by_importance", "numbers", "scores", kind="pair", also="importance"
    ),
    "own, learns": Loss("Learned(){double}", "numbers", "scores"),
    "own (loss, weight)": Loss("counted", "numbers", "scores", kind="pair"),
    "own dict": Loss("in_parts", "numbers", "scores"),
    "own list": Loss("as_list", "numbers", "scores"),
}  # fmt: skip
# Of two outputs, each may have one of these; as a list, as a dict, or in one function.
ONE_OF_TWO = tuple(
    name
    for name, loss in LOSSES.items()
    if loss.head in HEADS
    and loss.kind == "mean"
    and name not in ("own dict", "own list", "own, learns")
)
# Two losses: what makes the network for them, and the names under which they are reported.
TOGETHER = {
    "a list": ("Heads", ("loss_0", "loss_1")),
    "a dict": ("NamedHeads", ("left", "right")),
    "one function": ("Heads", ("first", "second")),
}

# ---- metrics: for these labels and outputs

METRICS: dict[str, tuple[str, tuple[str, ...]]] = {
    "Accuracy": ("Accuracy()", ("classes", "positions")),
    "Accuracy, topk": ("Accuracy(topk=(1, 2))", ("classes", "positions")),
    "Accuracy, ignore_index": ("Accuracy(ignore_index=-100)", ("classes", *IGNORING)),
    "Precision": ("Precision()", ("probability",)),
    "Recall": ("Recall()", ("probability",)),
    "Auc": ("Auc()", ("probability",)),
    "own, no Metric": ("Largest()", tuple(LABELS)),
    "own Metric": ("MeanScore()", tuple(LABELS)),
}

# ---- data: what a sample is, and what gives samples or batches

SAMPLES = {
    "TensorDataset": "TensorDataset({all})",
    "one by one": "OneByOne(TensorDataset({all}))",
    "StackDataset": "StackDataset({all})",
    "dict": "Dicts({named})",
    "StackDataset, dict": "StackDataset({named})",
    "augmented": "Augmented({all})",
    "augmented by itself": "AugmentedByItself({all})",
    "NumPy": "Arrays({all})",
    "nested": "Nested(({x}), ({y}))",
    "NamedTuple": "Named({all})",
}


@dataclass(frozen=True)
class Source:
    """What gives samples, or batches.

    Attributes:
        code: makes it of {samples}, which are {count}; a batch has {size}.
        more: how many samples it has more than these.
        batches: whether it gives batches.
        has_length: whether len() tells how many there are.
    """

    code: str
    more: int = 0
    batches: bool = False
    has_length: bool = True


given = partial(Source, batches=True)
SOURCES: dict[str, Source] = {
    "a Dataset": Source("{samples}"),
    "Subset": Source("Subset({samples}, range(1, {count}))", -1),
    "Subset, mixed": Source("Subset({samples}, torch.randperm({count}).tolist())"),
    "ConcatDataset": Source("ConcatDataset([{samples}, Subset({samples}, [1, 0])])", 2),
    "a list of samples": Source("[*{samples}]"),
    "stream": Source("Stream({samples})", has_length=False),
    # A stream's length is not relied on: it may be wrong.
    "stream with a length": Source("StreamWithLength({samples})", has_length=False),
    "a list of batches": given("[*DataLoader({samples}, {size})]"),
    "an iterable of batches": given("Reread(DataLoader({samples}, {size}))", has_length=False),
    "DataLoader": given("DataLoader({samples}, {size})"),
    "DataLoader, shuffled": given("DataLoader({samples}, {size}, shuffle=True, drop_last=True)"),
    "DataLoader, generator": given(
        "DataLoader({samples}, {size}, shuffle=True, generator=torch.Generator().manual_seed(3))"
    ),
    "DataLoader, sampler": given(
        "DataLoader({samples}, {size}, sampler=WeightedRandomSampler([1.0] * {count}, {count}))"
    ),
    "DataLoader, batch_sampler": given(
        "DataLoader({samples}, batch_sampler=BatchSampler(SubsetRandomSampler(range({count})), "
        "{size}, False))"
    ),
    "DataLoader of a stream": given("DataLoader(Stream({samples}), {size})", has_length=False),
    "DataLoader, collate_fn": given("DataLoader({samples}, {size}, collate_fn=as_dict)"),
    "Batches": given("tl.Batches({samples}, {size}, shuffle=True)"),
}

# ---- optimizers and schedules

OPTIMIZERS = {
    "SGD": "optim.SGD(weights, lr=0.05)",
    "SGD, momentum": "optim.SGD(weights, lr=0.05, momentum=0.9, nesterov=True)",
    "SGD, weight_decay": "optim.SGD(weights, lr=0.05, weight_decay=0.1)",
    "SGD, groups": (
        "optim.SGD([{'params': weights[:1], 'lr': 0.01}, {'params': weights[1:]}], lr=0.05)"
    ),
    "Adam": "optim.Adam(weights, lr=0.01)",
    "Adam, amsgrad": "optim.Adam(weights, lr=0.01, amsgrad=True)",
    "AdamW": "optim.AdamW(weights, lr=0.01)",
    "RMSprop": "optim.RMSprop(weights, lr=0.01, momentum=0.5)",
    "Adagrad": "optim.Adagrad(weights, lr=0.05)",
    "Adamax": "optim.Adamax(weights, lr=0.01)",
    "Adadelta": "optim.Adadelta(weights, lr=0.5)",
    "NAdam": "optim.NAdam(weights, lr=0.01)",
    "RAdam": "optim.RAdam(weights, lr=0.01)",
    "Rprop": "optim.Rprop(weights, lr=0.01)",
    "ASGD": "optim.ASGD(weights, lr=0.05)",
    "an optimizer with modes": "Averaging(weights, lr=0.05)",
}
LINEAR = tuple(name for name in OPTIMIZERS if name.startswith("SGD"))  # of a gradient, not its sign
SCHEDULES = {
    "StepLR": "lr_scheduler.StepLR(optimizer, 2, 0.5)",
    "ExponentialLR": "lr_scheduler.ExponentialLR(optimizer, 0.8)",
    "CosineAnnealingLR": "lr_scheduler.CosineAnnealingLR(optimizer, 5)",
    "LambdaLR": "lr_scheduler.LambdaLR(optimizer, decay)",
    "MultiStepLR": "lr_scheduler.MultiStepLR(optimizer, [1, 3])",
    "OneCycleLR": "lr_scheduler.OneCycleLR(optimizer, 0.1, 200, cycle_momentum=False)",
    "LinearLR": "lr_scheduler.LinearLR(optimizer, 0.3, total_iters=3)",
}
DTYPES = {"bf16-mixed": torch.bfloat16, "bf16": torch.bfloat16, "16-mixed": torch.float16}
CALLBACKS = {
    "Recorder": "Recorder()",
    "StopAfter": "StopAfter({some})",
    "ReduceLROnPlateau": "ReduceLROnPlateau(factor=0.5, patience={some}, verbose=0)",
    "EarlyStopping": "EarlyStopping(patience={some}, verbose=0)",
}

# ---- a call


@dataclass(frozen=True)
class Call:
    """A call of fit, as code.

    Attributes:
        parts: the call's variables in their order, and the code that makes each.
        options: of fit.
        times: how often it is made, one after the other.
        as_script: whether its script is tried, too, which takes as long as all else.
        model: what else is said to Model.
        precision: what it is computed in.
        drawn: what was chosen, and from which table: ("loss", "MSELoss").
        inputs: how many of a batch's tensors are inputs; the others are labels.
        losses: the losses, one or for each output one: what must be known of them by hand.
        names: of several losses the names under which they are reported.
        by_labels: whether by hand a batch counts by its labels' numbers, not by its samples: k for
            each, so that the mean is the same but for rounding.
    """

    parts: dict[str, str]
    options: dict[str, Any]
    times: int
    as_script: bool
    model: str
    precision: str
    drawn: tuple[tuple[str, str], ...]
    inputs: int
    losses: tuple[Loss, ...]
    names: tuple[str, ...]
    by_labels: bool = False

    def chosen(self, table: str) -> list[str]:
        """What was chosen from a table."""
        return [name for kind, name in self.drawn if kind == table]

    @property
    def by(self) -> list[str]:
        """When its scheduler steps: after each "step" or "epoch"."""
        return self.chosen("schedule by")

    @property
    def callback(self) -> str:
        """The callback besides the scheduler, or ""."""
        return "".join(self.chosen("callback"))

    @property
    def lines(self) -> list[str]:
        """The code of the parts."""
        return ["tl.seed(5)", *(f"{name} = {code}" for name, code in self.parts.items())]

    def __repr__(self) -> str:
        data = [name for name in ("train_data", "eval_data") if name in self.parts]
        said = [f"{name}={value!r}" for name, value in self.options.items()]
        arguments = ", ".join([*data, *said, "callbacks=callbacks", "verbose=0"])
        return "\n".join(
            [
                "",
                "from random_parts import *",
                *self.lines,
                f"model = tl.Model(network{self.model})",
                f"model.prepare(optimizer, loss_fn, metrics, {self.precision!r})",
                "tl.seed(6)",
                *[f"print(model.fit({arguments}).rows)"] * self.times,
                "",
            ]
        )

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        """What Hypothesis shows of a call that fails."""
        printer.text(repr(self))

    def make(self) -> dict[str, Any]:
        """The parts by their variables: new ones, but the same at every call."""
        code, file = "\n".join(self.lines), "<call>"
        linecache.cache[file] = (len(code), None, code.splitlines(keepends=True), file)
        names = public_names()
        exec(compile(code, file, "exec"), names)
        return {name: names[name] for name in self.parts}


def public_names() -> dict[str, Any]:
    """What there is after `from random_parts import *`."""
    return {name: part for name, part in vars(random_parts).items() if name[0] != "_"}


# ---- drawing: each function chooses one thing


class Choice:
    """Chooses, and notes what was chosen from which table.

    Attributes:
        large: of k accumulated batches shall be asked whether they are one large one.
        drawn: what was chosen: ("loss", "MSELoss").
    """

    def __init__(self, numbers: bytes, large: bool) -> None:
        self.numbers, self.large = iter(numbers), large
        self.drawn: list[tuple[str, str]] = []

    def number(self, low: int, high: int) -> int:
        """A whole number; the simplest is the lowest."""
        drawn = int.from_bytes([next(self.numbers), next(self.numbers)])
        return low + drawn % (high - low + 1)

    def one_in(self, n: int) -> bool:
        """True once in n times."""
        return self.number(1, n) == n

    def among(self, things: Iterable[Any]) -> Any:
        """One of these."""
        listed = [*things]
        return listed[self.number(0, len(listed) - 1)]

    def of(self, table: str, names: Iterable[str]) -> str:
        """One of these names, which is noted."""
        name: str = self.among(names)
        self.drawn.append((table, name))
        return name


def calls(large: bool = False) -> st.SearchStrategy[Call]:
    """Any call; or, large, one of which k accumulated batches must be one large one.

    All numbers are drawn at once: else most examples would be variations of others.
    """
    numbers = st.binary(min_size=300, max_size=300)
    return numbers.map(lambda numbers: call_of(Choice(numbers, large)))


def call_of(choice: Choice) -> Call:
    """The call that is chosen."""
    as_script = choice.one_in(3)
    dtype = choice.of("dtype", ["float64"] if choice.large else ["float32", "float64"])
    double = ".double()" if dtype == "float64" else ""
    names = {"count": choice.number(5, 14), "some": choice.number(1, 4), "double": double}
    together, losses = some_losses(choice)
    network = some_network(choice, together, losses)
    kinds = kinds_of_labels(losses)
    parts = Parts(
        {name: input_code(kind).format(**names) for name, kind in network.inputs.items()},
        {name: LABELS[kind].format(**names) for name, kind in kinds.items()},
        [*kinds.values()] in (["classes"], ["one number"], ["one sign"]),
    )
    data, sizes = some_data(choice, network, parts, names["count"])
    metrics = some_metrics(choice, losses, together)
    scheduler, callbacks = some_callbacks(choice, "eval_data" in data, names["some"])
    return Call(
        parts={
            **parts.inputs,
            **parts.labels,
            "network": network.code + double,
            "loss_fn": loss_code(together, losses).format(**names),
            "metrics": metrics,
            **some_optimizer(choice, losses),
            **scheduler,
            **data,
            "callbacks": f"[{', '.join(callbacks)}]",
        },
        precision="32" if double else some_precision(choice, network, losses),
        options=some_options(choice, sizes),
        times=1 if choice.large else 1 + choice.one_in(6),
        as_script=as_script,
        model="" if parts.labels else ", labels=[]",
        inputs=len(parts.inputs),
        losses=losses,
        names=TOGETHER[together][1] if together else (),
        drawn=tuple(choice.drawn),
    )


# ---- losses


def some_losses(choice: Choice) -> tuple[str, tuple[Loss, ...]]:
    """How several losses go together, or ""; and the losses."""
    if choice.large or not choice.one_in(6):
        able = [name for name, loss in LOSSES.items() if not choice.large or loss.kind != "neither"]
        return "", (LOSSES[choice.of("loss", able)],)
    together = choice.of("losses together", TOGETHER)
    if together == "one function":
        return together, (LOSSES["own mean"],) * 2
    return together, tuple(LOSSES[choice.of("loss", ONE_OF_TWO)] for _ in range(2))


def kinds_of_labels(losses: tuple[Loss, ...]) -> dict[str, str]:
    """The labels' variables, each with a key of LABELS."""
    if len(losses) == 2:
        return {f"y_{i}": loss.labels for i, loss in enumerate(losses)}
    kinds = {"y": losses[0].labels, "weight": losses[0].also}
    return {name: kind for name, kind in kinds.items() if kind}


def loss_code(together: str, losses: tuple[Loss, ...]) -> str:
    """What is given to prepare."""
    codes = [loss.code for loss in losses]
    if together == "one function":
        return "of_both"
    if together == "a dict":
        return f"dict(left={codes[0]}, right={codes[1]})"
    return f"[{', '.join(codes)}]" if together else codes[0]


# ---- networks


@dataclass(frozen=True)
class Network:
    """A network as code, and the kinds of its inputs by their variables."""

    code: str
    inputs: dict[str, str]

    @property
    def is_plain(self) -> bool:
        """Whether it is one layer after the other."""
        return self.code.startswith("nn.Sequential")

    def takes(self, samples: int, precision: str = "32") -> bool:
        """Whether it can be trained with so many samples, in this precision."""
        x = [
            torch.ones(samples, *INPUTS[kind]).to(torch.int64 if kind == "tokens" else None)
            for kind in self.inputs.values()
        ]
        network = eval(self.code, public_names())
        if precision == "bf16":
            to_bfloat16(network)
        try:
            with autocast(precision), warnings.catch_warnings():
                warnings.simplefilter("ignore")
                y_hat = network(*x)
            parts = y_hat.values() if isinstance(y_hat, dict) else y_hat
            sum(part.sum() for part in parts).backward()
        except (RuntimeError, ValueError):
            return False
        return True


@dataclass(frozen=True)
class Body:
    """Layers as code, and how many numbers of a sample they give."""

    code: str
    size: int


def some_network(choice: Choice, together: str, losses: tuple[Loss, ...]) -> Network:
    """A network for one kind of input, or two, and for these losses."""
    two = not together and losses[0].head in HEADS and choice.one_in(6)
    inputs = {name: choice.of("input", INPUTS) for name in ("ab" if two else "x")}
    body, *others = [some_body(choice, kind) for kind in inputs.values()]
    if others:
        join = choice.of("layer", JOINS)
        size = 3 if join == "Bilinear" else body.size + others[0].size
        joined = JOINS[join].format(left=body.size, right=others[0].size)
        head = sequential(HEADS[losses[0].head].format(size=size))
        return Network(f"Join({body.code}, {others[0].code}, {joined}, {head})", inputs)
    kind, heads = SEVERAL.get(losses[0].head, ("", (losses[0].head,)))
    if together:
        kind, heads = TOGETHER[together][0], tuple(loss.head for loss in losses)
    kind = kind or ("AsDict" if choice.one_in(8) else "")
    each = [sequential(HEADS[head].format(size=body.size)) for head in heads]
    code = f"{kind}({', '.join([body.code, *each])})" if kind else sequential(body.code, *each)
    return Network(code, inputs)


def input_code(kind: str) -> str:
    """The inputs, as code."""
    sizes = ", ".join(map(str, ("{count}", *INPUTS[kind])))
    if kind == "tokens":
        return f"torch.randint(0, 5, ({sizes}))"
    return f"torch.randn({sizes}){{double}}"


def some_body(choice: Choice, kind: str) -> Body:
    """A few layers, and what makes vectors of what they give."""
    shape, codes = INPUTS[kind], list[str]()
    for i in range(choice.number(1, 4)):
        embeds = kind == "tokens" and i == 0
        table: Any = EMBEDDINGS if embeds else LAYERS
        fitting = [name for name in table if embeds or len(shape) in LAYERS[name][0]]
        if choice.large:  # each sample must be on its own
            fitting = [name for name in fitting if name not in NOT_BY_SAMPLE]
        name, width = choice.of("layer", fitting), choice.number(1, 4)
        code = table[name] if embeds else table[name][1]
        code = code.format(first=shape[0], last=shape[-1], n=width)
        after = shape_after(code, shape, embeds)
        if after is None:
            choice.drawn.pop()
        else:
            codes, shape = [*codes, code], after
    return Body(sequential(*codes, "nn.Flatten()"), prod(shape))


@cache
def shape_after(code: str, shape: tuple[int, ...], tokens: bool) -> tuple[int, ...] | None:
    """The shape of a sample after a layer; None if it does not take it, or gives too much."""
    x = torch.zeros(2, *shape, dtype=torch.int64 if tokens else torch.float32)
    try:
        after = eval(code, public_names())(x).shape[1:]
    except (RuntimeError, ValueError, AssertionError):
        return None
    return tuple(after) if 0 < prod(after) <= 96 else None


def sequential(*codes: str) -> str:
    """Layers one after the other, as code."""
    return f"nn.Sequential({', '.join(codes)})"


def autocast(precision: str) -> Any:
    """The context of a forward pass in this precision."""
    return torch.autocast("cpu", DTYPES[precision]) if precision in DTYPES else nullcontext()


def to_bfloat16(network: nn.Module) -> None:
    """Make the weights bfloat16, but not those of a normalization."""
    for module in network.modules():
        if not isinstance(module, NORMS):
            for weight in module.parameters(recurse=False):
                weight.data = weight.data.bfloat16()


NORMS = (nn.modules.batchnorm._NormBase, nn.LayerNorm, nn.GroupNorm, nn.RMSNorm)

# ---- data


@dataclass(frozen=True)
class Parts:
    """What samples are made of: variables and their code; is the label one number?"""

    inputs: dict[str, str]
    labels: dict[str, str]
    is_scalar: bool


def some_data(
    choice: Choice, network: Network, parts: Parts, count: int
) -> tuple[dict[str, str], dict[str, int]]:
    """The data as code; and the sizes of their batches."""
    sample = choice.of("samples", fitting_samples(choice, parts))
    keys = keys_for(network, parts)
    fitting = fitting_sources(choice, sample, network, parts)
    alone = network.takes(1)
    data, sizes = dict[str, str](), dict[str, int]()
    for variable in ["train_data", "eval_data"][: 1 + choice.one_in(2)]:
        name = choice.of(variable.replace("_", " "), fitting)
        source, rows = SOURCES[name], "[2:]" if data else ""
        total = count - 2 * bool(rows)
        samples = SAMPLES[sample].format(
            all=", ".join(f"{part}{rows}" for part in keys),
            named=", ".join(f"{key}={part}{rows}" for part, key in keys.items()),
            x="".join(f"{part}{rows}, " for part in parts.inputs),
            y="".join(f"{part}{rows}, " for part in parts.labels),
        )
        able = [
            n
            for n in range(1, min(total + source.more, 6) + 1)
            if alone or (n > 1 and (total + source.more) % n != 1)
        ]
        sizes[variable] = choice.among(able)
        data[variable] = source.code.format(samples=samples, count=total, size=sizes[variable])
        is_dict = "collate_fn" in name  # then that of the other one, too
        fitting = [other for other in fitting if ("collate_fn" in other) == is_dict]
    return data, sizes


def keys_for(network: Network, parts: Parts) -> dict[str, str]:
    """The key in a dict of each part: for inputs, forward's name."""
    inputs = {"x": "input"} if network.is_plain else {name: name for name in parts.inputs}
    labels = ["left", "right"] if "NamedHeads" in network.code else ["label", "other"]
    labels = ["label", "weight"] if "weight" in parts.labels else labels
    return inputs | dict(zip(parts.labels, labels, strict=False))


def fitting_samples(choice: Choice, parts: Parts) -> list[str]:
    """How a sample with these parts may look."""
    inputs, labels = len(parts.inputs), len(parts.labels)
    odd = {
        "nested": labels > 0 and inputs + labels > 2,
        "NamedTuple": inputs == labels == 1,
        "augmented": not choice.large,
        "augmented by itself": not choice.large,
    }
    return [name for name in SAMPLES if odd.get(name, True)]


def fitting_sources(choice: Choice, sample: str, network: Network, parts: Parts) -> list[str]:
    """What may give such samples."""
    pairs = sample in ("TensorDataset", "one by one", "StackDataset", "NumPy")
    of_tensors = pairs and sample != "NumPy" and network.is_plain
    odd = {
        "a list of samples": pairs and parts.is_scalar and len(parts.inputs) == 1,
        "DataLoader, collate_fn": of_tensors and len(parts.labels) == 1,
        "Batches": sample == "TensorDataset",
    }
    return [
        name
        for name, source in SOURCES.items()
        if odd.get(name, True) and not (choice.large and (source.batches or not source.has_length))
    ]


# ---- what else a call is made of


def some_metrics(choice: Choice, losses: tuple[Loss, ...], together: str) -> str:
    """Up to two metrics of the one output, or of the first one, as code."""
    known = {losses[0].labels, losses[0].head} if losses[0].head in HEADS else set()
    fitting = [name for name, (_, what) in METRICS.items() if known & set(what)]
    if together == "one function" or not fitting or choice.one_in(2):
        return "[]"
    names = [choice.of("metric", fitting)]
    if choice.one_in(3):
        other = METRICS[names[0]][0].partition("(")[0]  # two of a class would have one name
        names += [choice.of("metric", [n for n in fitting if other not in METRICS[n][0]])]
    listed = f"[{', '.join(METRICS[name][0] for name in names)}]"
    return {"a list": f"[{listed}, []]", "a dict": f"dict(left={listed})"}.get(together, listed)


def some_optimizer(choice: Choice, losses: tuple[Loss, ...]) -> dict[str, str]:
    """An optimizer, and what it trains, as code."""
    fitting = LINEAR if choice.large else tuple(OPTIMIZERS)
    if ("layer", "Embedding, sparse") in choice.drawn:
        fitting = ("SGD",) if choice.large else ("SGD", "Adagrad")
    learns = ["network", *["loss_fn"] * (losses[0].code.startswith("Learned"))]
    weights = ", ".join(f"*{part}.parameters()" for part in learns)
    return {
        "weights": f"[{weights}]",
        "optimizer": OPTIMIZERS[choice.of("optimizer", fitting)],
    }


def some_callbacks(choice: Choice, evaluates: bool, some: int) -> tuple[dict[str, str], list[str]]:
    """A scheduler or none, and the callbacks, as code."""
    scheduler, callbacks = dict[str, str](), list[str]()
    if choice.one_in(3):
        scheduler["scheduler"] = SCHEDULES[choice.of("schedule", SCHEDULES)]
        by = choice.of("schedule by", ["step", "epoch"])
        callbacks.append(f"LRScheduler(scheduler, by_{by}=True)")
    if choice.one_in(3) and not choice.large:
        fitting = [name for name in CALLBACKS if evaluates or name in ("Recorder", "StopAfter")]
        callbacks.append(CALLBACKS[choice.of("callback", fitting)].format(some=some))
    return scheduler, callbacks


def some_precision(choice: Choice, network: Network, losses: tuple[Loss, ...]) -> str:
    """What is computed in: 16 bits where network and loss can."""
    precision = choice.of("precision", DTYPES) if choice.one_in(3) else ""
    odd = {"BCELoss", "F.binary_cross_entropy", "MultiMarginLoss"}  # torch has no such kernels
    able = not any(name in loss.code for loss in losses for name in odd)
    if precision and not (able and network.takes(2, precision)):
        choice.drawn.pop()
    return dict(choice.drawn).get("precision", "32")


def some_options(choice: Choice, sizes: dict[str, int]) -> dict[str, Any]:
    """The options of fit."""
    train, *evaluation = sizes.values()
    options: dict[str, Any] = {"batch_size": (train, *evaluation) if evaluation else train}
    chosen: dict[str, Any] = dict(choice.drawn)
    source = chosen["train data"]  # what a collate_fn gives, counts by its numbers
    has_length = SOURCES[source].has_length and "collate_fn" not in source
    options["epochs"] = choice.number(1, 3)
    if choice.one_in(2):
        options["shuffle"] = False
    if has_length and (choice.large or choice.one_in(3)):
        options["accumulate_grad_batches"] = choice.number(2, 4)
    if choice.one_in(4) and ("layer", "Embedding, sparse") not in choice.drawn:
        options["clip_grad_norm"] = choice.among([0.5, 0.01])
    if evaluation and choice.one_in(4):
        options["eval_freq"] = 2
    if choice.one_in(4) and not choice.large:
        options["drop_last"] = True
    if choice.one_in(4) and not choice.large:
        options["num_iters"] = choice.number(1, 8)
    choice.drawn += [("option", name) for name in options]
    return options
