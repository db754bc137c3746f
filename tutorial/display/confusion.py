"""The confusion matrix: which classes are predicted for which, as a table and as a figure."""

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import DataLoader

from tutorial.checks import kind_of, shape_of
from tutorial.display.figures import new_figure
from tutorial.display.table import aligned
from tutorial.inputs.data_source import look
from tutorial.parameters import Count, checked
from tutorial.running import own_loader, randomness_kept

if TYPE_CHECKING:
    from tutorial.display.pictured import Figure

DARK = "#111111"  # on a light shade: it stays dark in a dark theme
WITH_NUMBERS = 20  # classes; with more of them, the counts would not be legible


class Confusion:
    """A confusion matrix; a notebook shows it as a figure.

    Of more than 20 classes, the text has the most frequent mistakes in place of the table.

    Attributes:
        matrix: integers, (C, C): in row i and column j, the samples of class i predicted as j.

    Example:
        >>> Confusion(np.array([[5, 1], [0, 4]]))
           0  1
        0  5  1
        1  0  4
        rows: true class, columns: predicted class; 9 of 10 correct
    """

    def __init__(self, matrix: NDArray[np.int64]) -> None:
        self.matrix = matrix

    def plot(self) -> "Figure":
        """Draw the table. The shade is the square root of a row's fraction, to show small ones.

        Returns:
            A matplotlib Figure.
        """
        classes = len(self.matrix)
        shade = np.sqrt(self.matrix / self.matrix.sum(axis=1, keepdims=True).clip(min=1))
        side = float(np.clip(0.5 * classes + 0.8, 2.5, 10))
        figure, ((axes,),) = new_figure(side, side)
        axes.imshow(shade, cmap="Blues", vmin=0, vmax=1)
        axes.set(xlabel="predicted", ylabel="true")
        if classes <= WITH_NUMBERS:
            axes.set(xticks=range(classes), yticks=range(classes))
            for (i, j), count in np.ndenumerate(self.matrix):
                color = "white" if shade[i, j] > 0.6 else DARK
                axes.text(j, i, str(count), ha="center", va="center", color=color, fontsize=9)
        figure.alt = self.in_words()
        return figure

    def _repr_html_(self) -> str:
        return self.plot()._repr_html_()

    def in_words(self) -> str:
        """The figure in a sentence, for those who cannot see it."""
        correct = f"{int(self.matrix.trace()):,} of {int(self.matrix.sum()):,} correct"
        wrong = [f"{i} read as {j} {count} times" for i, j, count in self.mistakes(3)]
        most = f"; most often {', '.join(wrong)}" if wrong else ""
        return f"confusion matrix of {len(self.matrix)} classes: {correct}{most}"

    def __repr__(self) -> str:
        names = range(len(self.matrix))
        correct = f"{int(self.matrix.trace()):,} of {int(self.matrix.sum()):,} correct"
        if len(names) > WITH_NUMBERS:
            table: list[list[Any]] = [["true", "predicted", "samples"], *self.mistakes(10)]
            last = f"the most frequent mistakes of {len(names)} classes; {correct}; all in .matrix"
        else:
            table = [["", *names], *([i, *self.matrix[i]] for i in names)]
            last = f"rows: true class, columns: predicted class; {correct}"
        return "\n".join([*aligned([list(map(str, row)) for row in table]), last])

    def mistakes(self, most: int) -> list[list[int]]:
        """The most frequent mistakes: true class, predicted class, samples."""
        wrong = self.matrix - np.diag(self.matrix.diagonal())
        order = np.argsort(-wrong, axis=None, kind="stable")[:most]
        pairs = zip(*np.unravel_index(order, wrong.shape), strict=True)
        return [[int(i), int(j), int(wrong[i, j])] for i, j in pairs if wrong[i, j]]


def confusion(model: Any, data: Any, batch_size: Count = 1000) -> Confusion:
    """Count which classes the model predicts for which: the confusion matrix.

    The network's mode and the state of the random generators stay as they were.

    Args:
        model: a Model that gives a score for each class, (N, C).
        data: a Dataset of pairs (x, y), a DataLoader, or an iterable of batches (x, y); y is the
            number of the class.
        batch_size: samples in a batch; the counts do not depend on it.

    Returns:
        A Confusion: `.matrix` has the counts, `.plot()` draws them.

    Raises:
        TypeError: model is not a Model.
        ValueError: the scores or the labels are not of these kinds, or there are none.

    Example:
        >>> import tutorial as tl
        >>> from torch.utils.data import TensorDataset
        >>> data = TensorDataset(torch.eye(3)[[0, 1, 2, 2]], torch.tensor([0, 1, 2, 1]))
        >>> confusion(tl.Model(torch.nn.Identity()), data).matrix
        array([[1, 0, 0],
               [0, 1, 1],
               [0, 0, 1]])
    """
    if isinstance(model, type) or not hasattr(model, "predict_batch"):
        raise TypeError(
            f"model is {kind_of(model)}, but a tutorial.Model is expected. Of a network make one: "
            "tutorial.Model(network)."
        )
    checked(confusion, locals())
    counts = torch.zeros(0, 0, dtype=torch.int64)
    with randomness_kept():
        as_is = look("data", data).mode == "as_is"
        for batch in own_loader(data if as_is else DataLoader(data, batch_size), aside=True):
            if not isinstance(batch, list | tuple) or len(batch) < 2:
                raise ValueError(f"data gives {kind_of(batch)}, but pairs (x, y) are expected.")
            *x, y = batch
            outputs = model.predict_batch(x[0] if len(x) == 1 else x)
            counts = _add(counts, outputs, y)
    if not len(counts):
        raise ValueError("data is empty, but at least one sample is expected.")
    return Confusion(counts.numpy())


def _add(counts: torch.Tensor, outputs: Any, y: Any) -> torch.Tensor:
    """The counts with those of one more batch."""
    y_hat = outputs[0] if isinstance(outputs, list) and len(outputs) == 1 else outputs
    if not isinstance(y_hat, torch.Tensor) or y_hat.ndim != 2 or y_hat.shape[1] < 2:
        raise ValueError(
            f"the model gives {kind_of(y_hat)}, but a tensor of shape (N, C) is expected: a score "
            "for each of at least 2 classes."
        )
    samples, classes = shape_of(y_hat)
    if not isinstance(y, torch.Tensor | np.ndarray) and not all(type(label) is int for label in y):
        raise ValueError(f"the labels are {kind_of(y)}, but integers are expected.")
    y = torch.as_tensor(y).cpu()
    if y.numel() != samples or y.is_floating_point():
        raise ValueError(
            f"the labels are {kind_of(y)}, but integers of shape ({samples},) are expected."
        )
    if y.min() < 0 or y.max() >= classes:
        raise ValueError(
            f"the labels go from {int(y.min())} to {int(y.max())}, but the model has a score for "
            f"the classes 0 to {classes - 1}."
        )
    places = y.flatten() * classes + y_hat.argmax(dim=1)
    new = torch.bincount(places, minlength=classes**2).reshape(classes, classes)
    return new if not len(counts) else counts + new
