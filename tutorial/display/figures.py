"""Figures by matplotlib: images with their labels and predictions; learning curves.

matplotlib is read when the first figure is drawn. A figure is returned, not shown: a notebook shows
the last value of a cell, and `figure.savefig("name.png")` writes a file.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from tutorial.parameters import Count, checked, short

if TYPE_CHECKING:
    from tutorial.display.pictured import Figure
    from tutorial.history import History

COLUMNS = 6  # images in a row
WRONG = "tab:red"  # reads on white and on black


def show(images: Any, labels: Any = None, predictions: Any = None, count: Count = 12) -> "Figure":
    """A gallery of images; those that are predicted wrongly are framed and marked with ✗.

    Args:
        images: a tensor or array, (N, height, width) or (N, channels, height, width), with 1 or 3
            channels; or a Dataset of images or of pairs (image, label).
        labels: their classes, (N,); by default those of the Dataset.
        predictions: the predicted classes, (N,); or a score for each class, (N, C), of which the
            largest counts.
        count: show at most so many, the first ones.

    Returns:
        A matplotlib Figure.

    Raises:
        ValueError: there are no images, a shape is not one of these, or there are not as many
            labels or predictions as images.

    Example:
        >>> from tutorial.data import MNIST
        >>> figure = show(MNIST("test"), predictions=[7, 2, 1, 0, 9, *[0] * 9995], count=5)
        >>> [axes.get_title() for axes in figure.axes[3:]]
        ['is 0, read as 0', '✗ is 4, read as 9']
    """
    count = checked(show, locals())["count"]
    if not hasattr(images, "__len__") or isinstance(images, str | Mapping):
        raise TypeError(
            f"images is {short(images)}, but a tensor (N, height, width), or a Dataset of images, "
            "is expected."
        )
    if len(images) == 0:
        raise ValueError("images is empty, but at least one image is expected.")
    labels = _one_each("labels", labels, images)
    predictions = _one_each("predictions", predictions, images)
    shown = min(count, len(images))
    samples = [images[i] for i in range(shown)]
    if isinstance(samples[0], tuple | list):
        if labels is None and len(samples[0]) > 1:
            labels = _array([sample[1] for sample in samples])
        samples = [sample[0] for sample in samples]
    each = [_picture(sample) for sample in samples]
    if len({picture.shape for picture in each}) > 1:
        raise ValueError(
            f"images have different shapes, {each[0].shape} and others, but one is expected. "
            "Resize them, or show them one by one."
        )
    pictures = np.stack(each)
    darkest, lightest = pictures.min(), pictures.max()
    if pictures.ndim == 4:  # in colour: from 0 to 1
        pictures = (pictures - darkest) / max(lightest - darkest, 1e-9)

    columns = min(shown, COLUMNS)
    rows = -(-shown // COLUMNS)
    figure, axes = new_figure(1.4 * columns, 1.6 * rows, rows, columns)
    for one in axes.flat[shown:]:
        one.remove()
    for i, (one, picture) in enumerate(zip(axes.flat, pictures, strict=False)):
        one.imshow(picture, cmap="gray_r", vmin=darkest, vmax=lightest)
        words = [] if labels is None else [f"is {labels[i]}"]
        words += [] if predictions is None else [f"read as {predictions[i]}"]
        wrong = len(words) == 2 and bool(labels[i] != predictions[i])
        title = one.set_title("✗ " * wrong + ", ".join(words), fontsize=9)
        one.set(xticks=[], yticks=[])
        one.spines[:].set(visible=wrong, color=WRONG, linewidth=2)
        if wrong:
            title.set_color(WRONG)
    figure.alt = gallery_text([one.get_title() for one in figure.axes], len(images))
    return figure


def gallery_text(titles: list[str], of: int) -> str:
    """A gallery in a sentence, for those who cannot see it."""
    told = "; ".join(title.replace("✗", "wrong:") for title in titles if title)
    count = f"{len(titles)} of {of:,} images" if of > len(titles) else f"{of} images"
    return f"{count}: {told}" if told else count


def new_figure(
    width: float, height: float, rows: int = 1, columns: int = 1
) -> tuple["Figure", Any]:
    """A figure, in inches, and its axes. It is returned: closed, a notebook shows it once."""
    from matplotlib import pyplot as plt

    from tutorial.display.pictured import Figure

    figure, axes = plt.subplots(
        rows,
        columns,
        figsize=(width, height),
        squeeze=False,
        layout="constrained",
        FigureClass=Figure,
    )
    plt.close(figure)
    return figure, axes  # type: ignore[return-value]


def _array(values: Any) -> Any:
    """A tensor from any device, a list or an array, as an array."""
    if isinstance(values, list):
        return np.array([_array(value) for value in values])
    return np.asarray(values.detach().cpu() if hasattr(values, "detach") else values)


def _one_each(name: str, values: Any, images: Any) -> Any:
    """One class for each image, from classes or from scores."""
    if values is None:
        return None
    array = _array(values)
    if array.ndim not in (1, 2) or len(array) != len(images):
        raise ValueError(
            f"{name} has the shape {array.shape}, but for {len(images)} images ({len(images)},) is "
            f"expected, or ({len(images)}, C) with a score for each class. Of "
            "model.predict(..., stack_outputs=True) take the first item: [0]."
        )
    return array.argmax(axis=1) if array.ndim == 2 else array


def _picture(image: Any) -> Any:
    """An image as matplotlib takes it: (height, width), or (height, width, 3) in colour."""
    array = _array(image)
    if array.dtype.kind not in "biuf":
        raise TypeError(f"an image is {short(image)}, but a tensor of numbers is expected.")
    array = array.astype(np.float32)
    if array.ndim == 3 and array.shape[0] in (1, 3):
        return array[0] if array.shape[0] == 1 else np.moveaxis(array, 0, 2)
    if array.ndim != 2:
        raise ValueError(
            f"an image has the shape {array.shape}, but (height, width) is expected, or (channels, "
            "height, width) with 1 or 3 channels."
        )
    return array


def plot(history: "History | Mapping[str, History]") -> "Figure":
    """The learning curves of a training: on the left the loss, on the right the metrics, if any.

    The thin line is the loss of each step; circles are means over a whole epoch of training,
    squares the same for the validation data. Several trainings have a colour each, and a part of
    the figure for each metric.

    Args:
        history: what `fit` returned; or several, by names: {"Adam": ..., "SGD": ...}.

    Returns:
        A matplotlib Figure.

    Raises:
        TypeError: it is neither of the two.

    Example:
        >>> from tutorial.history import History
        >>> run = History([2.3, 1.9], [{"epoch": 1, "loss": 2.1, "acc": 0.25}])
        >>> [line.get_label() for line in plot({"Adam": run, "SGD": run}).axes[1].lines]
        ['Adam: train acc', 'SGD: train acc']
    """
    from matplotlib.ticker import MaxNLocator

    runs = history if isinstance(history, Mapping) else {"": history}
    if not runs or not all(hasattr(run, "step_losses") for run in runs.values()):
        raise TypeError(
            f"history is {short(history)}, but a History is expected, as fit returns it, or a "
            'dict from names to Histories: plot({"Adam": history_1, "SGD": history_2}).'
        )
    columns = dict.fromkeys(name for run in runs.values() for name in run.columns())
    metrics = [
        name for name in columns if name not in ("epoch", "loss") and not name.startswith("eval_")
    ]
    parts = [["loss"], *([name] for name in metrics)] if len(runs) > 1 else [["loss"], metrics]
    parts = [names for names in parts if names]
    figure, (axes,) = new_figure(5 * len(parts), 3.2, 1, len(parts))
    alone = len(runs) == 1
    for i, (name, run) in enumerate(runs.items()):
        before = f"{name}: " if name else ""
        per_epoch = len(run.step_losses) / max(len(run.rows), 1)
        epochs = [step / per_epoch for step, _ in enumerate(run.step_losses, start=1)]
        color, label = "0.6" if alone else f"C{i}", f"{before}each step"
        axes[0].plot(epochs, run.step_losses, color=color, linewidth=0.4, label=label)
        for one, names in zip(axes, parts, strict=True):
            for j, measure in enumerate(names):
                _means(one, run, measure, f"C{j if alone else i}", before)
    for one, names in zip(axes, parts, strict=True):
        one.set(xlabel="epoch", ylabel=names[0] if len(names) == 1 else "metrics")
        one.xaxis.set_major_locator(MaxNLocator(integer=True))
        one.spines[["top", "right"]].set_visible(False)
        one.grid(alpha=0.3)
        one.legend(frameon=False)
    figure.alt = curves_text(runs)
    return figure


def curves_text(runs: "Mapping[str, History]") -> str:
    """Learning curves in a sentence, for those who cannot see them."""
    told = []
    for name, run in runs.items():
        means = [f"{m} {_ends(run, m)}" for m in run.columns() if m != "epoch"]
        epochs = f"{len(run.rows)} epoch{'' if len(run.rows) == 1 else 's'}"
        told.append(f"{name or 'learning curves'}, {epochs}: {', '.join(means) or 'no means yet'}")
    return "; ".join(told)


def _ends(run: "History", name: str) -> str:
    """The first and the last mean."""
    values = [row[name] for row in run.rows if name in row]
    return f"{values[0]:.3g}" if len(values) == 1 else f"from {values[0]:.3g} to {values[-1]:.3g}"


def _means(axes: Any, run: "History", name: str, color: str, before: str) -> None:
    """The means of `name` over training, and over the validation data."""
    for key, label, style in (
        (name, f"train {name}", "o-"),
        (f"eval_{name}", f"eval {name}", "s--"),
    ):
        points = [(row["epoch"], row[key]) for row in run.rows if key in row]
        if points:
            axes.plot(*zip(*points, strict=True), style, color=color, label=before + label)
