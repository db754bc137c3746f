"""Metrics in NumPy: how good the predictions are, over all batches of a pass."""

import numpy as np


class Accuracy:
    """The fraction of samples whose label is among the k classes with the highest scores."""

    def __init__(self, topk=(1,), ignore_index=None):
        self.topk, self.ignore_index = topk, ignore_index

    def reset(self):
        """Forget everything seen so far."""
        self.correct, self.total = np.zeros(len(self.topk)), 0

    def update(self, y_hat, y):
        """Add one batch of scores (N, C, ...) and labels (N, ...), or one-hot (N, C)."""
        if y.shape == y_hat.shape:
            y = y.argmax(1)
        y = y.reshape(y_hat.shape[:1] + y_hat.shape[2:])
        best_first = np.argsort(-y_hat, axis=1, kind="stable")
        counts = np.ones(y.shape, bool) if self.ignore_index is None else y != self.ignore_index
        hits = (best_first == np.expand_dims(y, 1)) & np.expand_dims(counts, 1)
        self.correct += [hits[:, :k].sum() for k in self.topk]
        self.total += counts.sum()

    def compute(self):
        """The fractions so far, one for each k."""
        fractions = self.correct / self.total
        return fractions if len(fractions) > 1 else fractions[0]


class Precision:
    """The fraction of predicted positives that are positive."""

    def __init__(self, from_logits=False):
        self.limit = 0.0 if from_logits else 0.5

    def reset(self):
        """Forget everything seen so far."""
        self.both, self.predicted, self.actual = 0, 0, 0

    def update(self, y_hat, y):
        """Add one batch of probabilities and labels of 0 and 1."""
        if y_hat.ndim == 2 and y_hat.shape[1] == 2:  # of two columns the second is class 1
            y_hat = y_hat[:, 1] - y_hat[:, 0] if self.limit == 0 else y_hat[:, 1]
        predicted, actual = y_hat.reshape(-1) >= self.limit, y.reshape(-1) > 0.5
        self.both += (predicted & actual).sum()
        self.predicted += predicted.sum()
        self.actual += actual.sum()

    def compute(self):
        """The fraction so far; 0 if nothing was predicted positive."""
        return self.both / max(self.predicted, 1)


class Recall(Precision):
    """The fraction of positives that are predicted positive."""

    def compute(self):
        """The fraction so far; 0 if there were none."""
        return self.both / max(self.actual, 1)


class Mean:
    """The mean of numbers that stand for batches, each weighted by what it averages over."""

    def reset(self):
        """Forget everything seen so far."""
        self.sum, self.weight = 0.0, 0

    def update(self, number, weight):
        """Add the number of one batch."""
        if weight:
            self.sum, self.weight = self.sum + number * weight, self.weight + weight

    def compute(self):
        """The mean so far."""
        return self.sum / self.weight if self.weight else 0.0
