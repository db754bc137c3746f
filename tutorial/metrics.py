"""Metrics: how good are the predictions, over a whole pass through the data?

A metric is a running count: `reset` sets it to zero, `update` adds a batch, `compute` gives the
value so far. The counts stay on the device of the predictions, so that no step waits for them.
NumPy's arrays do as well as tensors.
"""

from abc import ABC, abstractmethod
from typing import Any

import torch
from torch import Tensor

__all__ = ["Accuracy", "Auc", "Metric", "Precision", "Recall"]


class Metric(ABC):
    """What the training loop asks of a metric; the verbs are those of torchmetrics.

    Attributes:
        sums: the names of its counts. Where several processes (ranks) train, these are summed.
        joined: the names of its lists, such as of all predictions. These are joined there.
        higher_is_better: whether a larger value is better, as callbacks with mode="auto" must know;
            None if that is not known.

    >>> class Samples(Metric):
    ...     def name(self): return "samples"
    ...     def reset(self): self.count = 0
    ...     def update(self, y_hat, y): self.count += len(y)
    ...     def compute(self): return torch.tensor(self.count)
    >>> samples = Samples()
    >>> samples.reset()
    >>> samples.update(torch.zeros(64, 10), torch.zeros(64))
    >>> samples.accumulate()
    64
    """

    sums: tuple[str, ...] = ()
    joined: tuple[str, ...] = ()
    higher_is_better: bool | None = None

    @abstractmethod
    def reset(self) -> None:
        """Forget everything seen so far."""

    @abstractmethod
    def update(self, y_hat: Tensor, y: Tensor) -> None:
        """Add one batch of predictions `y_hat` and labels `y`."""

    @abstractmethod
    def compute(self) -> Tensor:
        """Return the value so far, as a tensor on the device of the predictions."""

    @abstractmethod
    def name(self) -> str | list[str]:
        """Return the key in reports, or one key for each value."""

    def accumulate(self) -> float | list[float]:
        """Return the value so far as a plain number, or a list of them (waits for the device)."""
        value: float | list[float] = self.compute().tolist()
        return value


def exact(device: torch.device) -> torch.dtype:
    """Return the type in which sums are exact enough; Apple's GPUs have no float64."""
    return torch.float32 if device.type == "mps" else torch.float64


def no_shares(rows: Tensor) -> Tensor:
    """Whether a row is neither one-hot nor holds shares that sum to 1."""
    rows = rows.float()
    return ~((rows >= 0).all(dim=1) & ((rows.sum(dim=1) - 1).abs() < 0.02)).all()


def weight_of_each(weight: Tensor, y: Tensor) -> Tensor:
    """What each label counts, in the shape of the labels: a sample's weight goes for all of its.

    >>> weight_of_each(torch.tensor([1.0, 2.0]), torch.zeros(2, 3)).tolist()
    [[1.0, 1.0, 1.0], [2.0, 2.0, 2.0]]
    """
    weight = torch.as_tensor(weight).detach()
    weight = weight.to(exact(weight.device))
    if weight.shape[:1] == y.shape[:1] and weight.numel() == y.numel():
        return weight.reshape(y.shape)
    if weight.shape[:1] == y.shape[:1] and weight.numel() == len(y):
        return weight.reshape(-1, *[1] * (y.ndim - 1)).expand(y.shape)
    raise ValueError(
        f"weight has shape {tuple(weight.shape)}, which does not fit y of shape {tuple(y.shape)}. "
        "Expected one weight a label, in the shape of y, or one a sample, (N,)."
    )


def no_weights(weight: Tensor) -> Tensor:
    """Whether one of them is negative, nan or infinite."""
    return ~((weight >= 0) & (weight < torch.inf)).all()


def check_weights(wrong: Tensor | bool, name: str) -> None:
    """Refuse weights that are none."""
    if wrong:
        raise ValueError(
            f"weight of the metric {name!r} was negative, nan or infinite. Expected what each "
            "label counts: finite numbers from 0 on; then reset() the metric."
        )


def fraction(part: Tensor | int, whole: Tensor | int) -> Tensor:
    """Return part / whole, 0 where there is nothing to count: 9711 of 10000 is 0.9711, in float64.

    >>> fraction(9711, 10000).item(), fraction(0, 0).item()
    (0.9711, 0.0)
    """
    part, whole = torch.as_tensor(part), torch.as_tensor(whole)
    part, whole = part.to(exact(part.device)), whole.to(exact(part.device))
    return part / torch.where(whole == 0, 1.0, whole)


def value_or_nan(metric: Any, part: Any = None) -> Any:
    """A metric's value so far, or one part of it; nan as long as too little data defines none.

    Args:
        metric: Anything with compute().
        part: A key of what that returns, or a place in it.

    >>> class Correlation:
    ...     def compute(self): raise ValueError("needs at least two samples")
    >>> value_or_nan(Correlation())
    nan
    """
    try:
        value = metric.compute()
    except (MemoryError, torch.cuda.OutOfMemoryError):  # which is no matter of the data
        raise
    except Exception:
        return torch.nan
    return value if part is None else value[part]


class Mean(Metric):
    """The mean of numbers that stand for batches, each weighted by what it averages over.

    `update` takes the number, a tensor of shape (), and the weight: such as the batch's samples.

    Args:
        name: Key in reports.

    >>> mean = Mean("loss_0")
    >>> mean.update(torch.tensor(2.0), 64)
    >>> mean.update(torch.tensor(5.0), 32)
    >>> mean.accumulate()
    3.0
    """

    sums = ("sum", "weight")

    def __init__(self, name: str = "mean") -> None:
        self.base_name = name
        self.reset()

    def name(self) -> str:
        return self.base_name

    def reset(self) -> None:
        self.sum: Tensor | int = 0
        self.weight: Tensor | float = 0

    def update(self, value: Tensor | float, weight: Tensor | float) -> None:
        if not isinstance(weight, Tensor) and weight == 0:
            return  # the mean of nothing is nan
        number = torch.as_tensor(value).detach()
        self.sum = self.sum + number.to(exact(number.device)) * weight
        self.weight = self.weight + weight

    def compute(self) -> Tensor:
        return torch.as_tensor(self.sum / self.weight if self.weight else 0.0)


def align(y_hat: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Bring every layout that `Accuracy` takes to one.

    Returns:
        Scores `(N, C, d...)`, and class numbers `(N, d...)`.

    Raises:
        ValueError: There are fewer than two classes, or the shapes do not fit.

    >>> scores, labels = align(torch.zeros(64, 28, 28, 10), torch.zeros(64, 28, 28))
    >>> scores.shape, labels.shape
    (torch.Size([64, 10, 28, 28]), torch.Size([64, 28, 28]))
    """
    y_hat, y = scores, labels = torch.as_tensor(y_hat), torch.as_tensor(y)
    if y_hat.dtype == torch.bool:
        scores = y_hat = y_hat.byte()  # there is no largest bool
    if not y.is_floating_point():
        labels = y = y.long()  # in 8 bits, 200 and -100 are none
    if y_hat.ndim == 2 and y.shape == y_hat.shape:
        labels = y.float().argmax(dim=1)  # one-hot rows to class numbers
    elif y_hat.ndim > 1 and y.shape != y_hat.shape[:1] + y_hat.shape[2:]:
        last = y_hat.shape[:-1]  # the shape of y if the classes stand last
        if y.shape in (last, (*last, 1)):
            scores, labels = y_hat.movedim(-1, 1), y.reshape(last)

    if scores.ndim < 2 or scores.shape[1] < 2:
        raise ValueError(
            f"y_hat has shape {tuple(y_hat.shape)}: fewer than two classes. Expected a score for "
            "every class, (N, C) with C >= 2. For one probability a sample use Precision, Recall "
            "or Auc."
        )
    if labels.shape != scores.shape[:1] + scores.shape[2:]:
        raise ValueError(
            f"y has shape {tuple(y.shape)}, which does not fit y_hat of shape "
            f"{tuple(y_hat.shape)}. Expected y (N,), (N, 1) or one-hot (N, C) for y_hat (N, C), or "
            "y (N, d...) for y_hat (N, C, d...). Reshape y to one class number for each prediction."
        )
    return scores, labels


class Accuracy(Metric):
    """The fraction of labels that are among the k best-scored classes.

    `update` takes scores `y_hat`, larger is likelier, `(N, C)`, with class numbers `y`, `(N,)` or
    `(N, 1)`, or one-hot `(N, C)`. For a label per pixel or token it takes `(N, C, d...)` with
    `(N, d...)`; or classes last, `(N, d..., C)` with `(N, d...)` or `(N, d..., 1)`, where only
    that fits. Where scores tie, top-1 takes the first class, as `argmax` does; a larger k leaves
    the order to `torch.topk`. A third argument is what each label counts, `(N,)` or `(N, d...)`;
    1 without it. Where none counts, the value is 0.

    Args:
        topk: How many predictions count: one k from 1 to C, or several to report side by side.
        name: Key in reports; each k is added to it, 'acc_top5', unless `topk` is 1.
        ignore_index: A label that does not count, such as -100, which torch's losses ignore.

    Raises:
        ValueError: `topk` is not that, there are fewer than two classes, or shapes do not fit. In
            `compute`: a label was no class, or a row for one-hot had not one 1.

    >>> metric = Accuracy()
    >>> metric.update(torch.tensor([[0.1, 0.9], [0.8, 0.2]]), torch.tensor([1, 1]))
    >>> metric.accumulate()
    0.5
    >>> Accuracy(topk=(1, 5)).name()
    ['acc_top1', 'acc_top5']
    """

    sums = ("correct", "total")
    higher_is_better = True

    def __init__(
        self,
        topk: int | tuple[int, ...] = (1,),
        name: str | None = None,
        ignore_index: int | None = None,
    ) -> None:
        self.ignore_index = ignore_index
        self.topk = tuple(topk) if isinstance(topk, tuple | list) else (topk,)
        whole = all(isinstance(k, int) and k >= 1 for k in self.topk)
        if not self.topk or not whole or len(set(self.topk)) < len(self.topk):
            raise ValueError(
                f"topk is {topk!r}. Expected integers from 1, none of them twice: "
                "write topk=1 or topk=(1, 5)."
            )
        self.base_name = name or "acc"
        self.reset()

    def name(self) -> str | list[str]:
        if self.topk == (1,):
            return self.base_name
        names = [f"{self.base_name}_top{k}" for k in self.topk]
        return names if len(names) > 1 else names[0]

    def reset(self) -> None:
        # Plain zeros: the first update makes them tensors, on whatever device y_hat lives.
        self.correct: list[Tensor | int] = [0 for _ in self.topk]
        self.total: Tensor | int = 0
        self.outside: Tensor | bool = False  # whether a label was no class
        self.no_shares: Tensor | bool = False  # whether a row was neither one-hot nor shares
        self.no_weights: Tensor | bool = False  # whether a weight was none

    def update(self, y_hat: Tensor, y: Tensor, weight: Tensor | None = None) -> None:
        scores, labels = align(y_hat, y)
        if labels.ndim == 1 and torch.as_tensor(y).shape == scores.shape:  # one-hot, or shares
            self.no_shares = self.no_shares | no_shares(torch.as_tensor(y))
        most, classes = max(self.topk), scores.shape[1]
        if most > classes:
            raise ValueError(
                f"topk asks for the best {most}, but y_hat of shape {tuple(y_hat.shape)} has only "
                f"{classes} classes. Expected 1 to {classes}: choose a smaller k."
            )
        if most == 1:
            best, found = scores.max(dim=1, keepdim=True)
        else:
            best, found = scores.topk(most, dim=1)  # best first
        hits = (found == labels.unsqueeze(1)) & (best[:, :1] == best[:, :1])  # nan is no prediction
        no_class = (labels < 0) | (labels >= classes)
        if labels.is_floating_point():
            no_class = no_class | (labels != labels.trunc())
        counts: Tensor | None = None  # what each label counts, if not all count 1
        if self.ignore_index is not None:
            counts = labels != self.ignore_index
            no_class = no_class & counts
            hits = hits & counts.unsqueeze(1)
        if weight is not None:
            weight = weight_of_each(weight, labels)
            self.no_weights = self.no_weights | no_weights(weight)
            counts = weight if counts is None else weight * counts
            hits = hits * weight.unsqueeze(1)
        correct = [hits[:, :k].sum() for k in self.topk]
        self.correct = [old + new for old, new in zip(self.correct, correct, strict=True)]
        self.total = self.total + (labels.numel() if counts is None else counts.sum())
        self.outside = self.outside | no_class.any()

    def check(self) -> None:
        """Refuse labels that are none. Only `compute` asks: looking makes the program wait."""
        if self.outside:
            raise ValueError(
                f"y of the metric {self.base_name!r} had labels that are no class. Expected 0 to "
                "C - 1. If they mark what is not to count, such as padding, say so: "
                f"{type(self).__name__}(ignore_index=-100); then reset() the metric."
            )
        if self.no_shares:
            raise ValueError(
                f"y of the metric {self.base_name!r} had the shape of y_hat, (N, C), but rows with "
                "several ones or none, or shares that do not sum to 1. Expected one class a "
                "sample: (N,), or one-hot. For several labels a sample take torchmetrics' "
                "MultilabelAccuracy."
            )
        check_weights(self.no_weights, self.base_name)

    def compute(self) -> Tensor:
        self.check()
        fractions = [fraction(correct, self.total) for correct in self.correct]
        return torch.stack(fractions) if len(fractions) > 1 else fractions[0]


def accuracy(y_hat: Tensor, y: Tensor, k: int = 1) -> Tensor:
    """Return the fraction of one batch whose label is among the k best-scored classes.

    Args:
        y_hat: Scores, `(N, C)` or what else `Accuracy` takes.
        y: Class numbers, `(N,)` or what else `Accuracy` takes.
        k: How many predictions count, 1 to C.

    Returns:
        A tensor without dimensions, 0 to 1.

    Raises:
        ValueError: As for `Accuracy(topk=k)`.

    >>> accuracy(torch.tensor([[0.1, 0.9], [0.8, 0.2]]), torch.tensor([1, 1])).item()
    0.5
    """
    metric = Accuracy(topk=k)
    metric.update(y_hat, y)
    return metric.compute()


class BinaryMetric(Metric):
    """Base of the metrics for two classes.

    `update` takes probabilities `y_hat` of class 1, from 0 to 1, `(N,)`, `(N, 1)` or `(N, 2)`
    (column 1 counts), with labels `y`, 0 or 1, `(N,)` or `(N, 1)`; and, if not all count 1, what
    each counts, `(N,)` or `(N, 1)`.

    Args:
        name: Key in reports; by default the class's name in small letters.
        ignore_index: A label that does not count, such as -100, which torch's losses ignore.
        from_logits: Whether `y_hat` are logits, as `nn.BCEWithLogitsLoss` and, for two columns,
            `nn.CrossEntropyLoss` take them, and not probabilities.

    Raises:
        ValueError: In `update`, the shapes do not fit; in `compute`, a `y_hat` was no probability,
            a label neither 0 nor 1, or a weight no finite number from 0 on.
    """

    higher_is_better = True

    def __init__(
        self,
        name: str | None = None,
        ignore_index: int | None = None,
        from_logits: bool = False,
    ) -> None:
        self.base_name = name or type(self).__name__.lower()
        self.ignore_index = ignore_index
        self.from_logits = from_logits
        self.reset()

    def name(self) -> str:
        return self.base_name

    def reset(self) -> None:
        self.lowest: Tensor | float = 0.0
        self.highest: Tensor | float = 1.0
        self.outside: Tensor | bool = False  # whether a label was neither 0 nor 1
        self.no_pair: Tensor | bool = False  # whether two columns did not sum to 1
        self.no_number: Tensor | bool = False  # whether a score was nan
        self.no_weights: Tensor | bool = False  # whether a weight was none

    def at_threshold(self, y_hat: Tensor) -> bool:
        """Whether it makes a difference what `y_hat` are: logits or probabilities."""
        return True

    def read(
        self, y_hat: Tensor, y: Tensor, weight: Tensor | None = None
    ) -> tuple[Tensor, Tensor, Tensor | None]:
        """Return a batch as scores `(N,)`, truth values `(N,)`, and what each counts."""
        p, y = torch.as_tensor(y_hat).detach(), torch.as_tensor(y)  # numbers without their graph
        bounded = not self.from_logits and self.at_threshold(p)
        p = p.to(torch.promote_types(p.dtype, torch.float32))  # float16 would make ties
        if p.ndim == 2 and p.shape[1] == 2:
            if bounded:
                self.no_pair = self.no_pair | ((p.sum(dim=1) - 1).abs() > 0.02).any()
            both = p.to(exact(p.device))  # of which the difference is exact
            p = both[:, 1] - both[:, 0] if self.from_logits else p[:, 1]
        p = p[:, 0] if p.ndim == 2 and p.shape[1] == 1 else p
        y = y[:, 0] if y.ndim == 2 and y.shape[1] == 1 else y
        y = y if y.is_floating_point() else y.long()  # in 8 bits, -100 is none
        if p.ndim != 1 or y.shape != p.shape:
            raise ValueError(
                f"y_hat has shape {tuple(y_hat.shape)} and y has shape {tuple(y.shape)}. Expected "
                "one probability a sample, y_hat (N,), (N, 1) or (N, 2), and one label, y (N,) or "
                "(N, 1). For more classes use Accuracy; for a label per pixel, flatten() both."
            )
        outside, counts = (y != 0) & (y != 1), None
        if weight is not None:
            counts = weight_of_each(weight, y)
            self.no_weights = self.no_weights | no_weights(counts)
        if self.ignore_index is not None:
            counted = y != self.ignore_index
            outside = outside & counted
            counts = counted if counts is None else counts * counted
        self.outside = self.outside | outside.any()
        self.no_number = self.no_number | p.isnan().any()
        if bounded and len(p) > 0:
            self.lowest = p.amin().clamp(max=self.lowest)
            self.highest = p.amax().clamp(min=self.highest)
        return p, y == 1, counts

    def check(self) -> None:
        """Refuse logits, and labels that are none. Only `compute` asks: looking makes one wait."""
        if self.no_number:
            raise ValueError(
                f"y_hat of the metric {self.base_name!r} was nan. Expected numbers: look for nan "
                "in the data, or try a smaller learning rate; then reset() the metric."
            )
        lowest, highest = float(self.lowest), float(self.highest)
        outside = lowest < 0 or highest > 1
        if outside or self.no_pair:
            seen = f"went from {lowest:.4g} to {highest:.4g}"
            seen = seen if outside else "had two columns, but rows that do not sum to 1"
            raise ValueError(
                f"y_hat of the metric {self.base_name!r} {seen}. Expected probabilities, 0 to 1. "
                f"If these are logits, say so, {type(self).__name__}(from_logits=True); or end the "
                "network in nn.Sigmoid() (two columns: nn.Softmax(dim=1)), with a loss that "
                "expects it. Then reset() the metric."
            )
        if self.outside:
            raise ValueError(
                f"y of the metric {self.base_name!r} had labels other than 0 and 1. Expected these "
                "two: 1 is positive. Number the classes so; if others mark what is not to count, "
                f"say so, {type(self).__name__}(ignore_index=-100); then reset() the metric."
            )
        check_weights(self.no_weights, self.base_name)


class BinaryCounts(BinaryMetric):
    """Base of precision and recall: a sample is predicted positive from a probability of 0.5 on."""

    sums = ("true_positives", "predicted_positive", "actual_positive")

    def reset(self) -> None:
        super().reset()
        self.true_positives: Tensor | int = 0
        self.predicted_positive: Tensor | int = 0
        self.actual_positive: Tensor | int = 0

    def update(self, y_hat: Tensor, y: Tensor, weight: Tensor | None = None) -> None:
        scores, actual, counts = self.read(y_hat, y, weight)
        predicted = scores >= (0.0 if self.from_logits else 0.5)
        both = predicted & actual
        if counts is not None:
            predicted, actual, both = predicted * counts, actual * counts, both * counts
        self.true_positives = self.true_positives + both.sum()
        self.predicted_positive = self.predicted_positive + predicted.sum()
        self.actual_positive = self.actual_positive + actual.sum()


class Precision(BinaryCounts):
    """The fraction of predicted positives that are positive (0 if none were predicted).

    >>> metric = Precision()
    >>> metric.update(torch.tensor([0.9, 0.5, 0.1, 0.2]), torch.tensor([1, 0, 1, 1]))
    >>> metric.accumulate()
    0.5
    """

    def compute(self) -> Tensor:
        self.check()
        return fraction(self.true_positives, self.predicted_positive)


class Recall(BinaryCounts):
    """The fraction of positives that are predicted positive (0 if there are none).

    >>> metric = Recall()
    >>> metric.update(torch.tensor([0.9, 0.5, 0.1, 0.2]), torch.tensor([1, 0, 1, 1]))
    >>> round(metric.accumulate(), 4)
    0.3333
    """

    def compute(self) -> Tensor:
        self.check()
        return fraction(self.true_positives, self.actual_positive)


class Auc(BinaryMetric):
    """Area under a curve over all thresholds, exact; nan until both classes were seen.

    'ROC': the probability that a positive scores above a negative, a tie counting half (Fawcett
    2006, doi:10.1016/j.patrec.2005.10.010). 'PR': average precision as in scikit-learn, the sum of
    (R_n - R_n-1) P_n, where R is recall and P precision at the n-th threshold. Each score is kept
    until `reset`, as each may be a threshold. Only their order counts: one score a sample, `(N,)`
    or `(N, 1)`, may be a logit, or any number that is larger for likelier positives.

    Args:
        curve: 'ROC' or 'PR'.
        name: Key in reports.
        ignore_index: A label that does not count.
        from_logits: Whether two columns are logits, as `nn.CrossEntropyLoss` takes them.

    Raises:
        ValueError: `curve` is not that.

    >>> metric = Auc()
    >>> metric.update(torch.tensor([0.1, 0.4, 0.35, 0.8]), torch.tensor([0, 0, 1, 1]))
    >>> metric.accumulate()
    0.75
    """

    joined = ("scores", "positives", "negatives")

    def __init__(
        self,
        curve: str = "ROC",
        name: str = "auc",
        ignore_index: int | None = None,
        from_logits: bool = False,
    ) -> None:
        if curve not in ("ROC", "PR"):
            raise ValueError(f"curve is {curve!r}. Expected 'ROC' or 'PR': write one of them.")
        self.curve = curve
        super().__init__(name, ignore_index, from_logits)

    def reset(self) -> None:
        super().reset()
        self.scores: list[Tensor] = []  # of each sample; and what it counts as which
        self.positives: list[Tensor] = []
        self.negatives: list[Tensor] = []

    def at_threshold(self, y_hat: Tensor) -> bool:
        return y_hat.ndim == 2 and y_hat.shape[1] == 2

    def update(self, y_hat: Tensor, y: Tensor, weight: Tensor | None = None) -> None:
        scores, actual, counts = self.read(y_hat, y, weight)
        whole = torch.ones_like(actual) if counts is None else counts
        self.scores.append(scores)
        self.positives.append(actual * whole)
        self.negatives.append(~actual * whole)

    def compute(self) -> Tensor:
        self.check()
        if not self.scores:
            return torch.tensor(torch.nan, dtype=torch.float64)
        # Lower the threshold from the highest score to the lowest: what lies above is predicted
        # positive.
        scores, order = torch.cat(self.scores).sort(descending=True)
        number = exact(scores.device)
        positives = torch.cat(self.positives)[order].to(number)
        negatives = torch.cat(self.negatives)[order].to(number)
        true_positives, false_positives = positives.cumsum(0), negatives.cumsum(0)
        # Samples of one score pass the threshold together: it is the last of them that counts.
        last = torch.ones_like(scores, dtype=torch.bool)
        last[:-1] = scores[1:] != scores[:-1]
        true_positives, false_positives = true_positives[last], false_positives[last]
        zero = true_positives.new_zeros(1)
        positives = torch.diff(true_positives, prepend=zero)
        negatives = torch.diff(false_positives, prepend=zero)
        all_positives, all_negatives = positives.sum(), negatives.sum()
        if self.curve == "ROC":
            # Trapezoids of twice the area: width * (left height + right height).
            doubled = (negatives * (2 * true_positives - positives)).sum()
            area = fraction(doubled, 2 * all_positives * all_negatives)
        else:
            precision = fraction(true_positives, true_positives + false_positives)
            area = fraction((positives * precision).sum(), all_positives)
        return torch.where((all_positives > 0) & (all_negatives > 0), area, torch.nan)
