"""Galleries of images, and learning curves."""

import re
from base64 import b64decode

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure
from torch.utils.data import TensorDataset

import tutorial as tl
from tutorial.history import History

RED = "tab:red"


@pytest.fixture(scope="module")
def mnist() -> tl.datasets.MNIST:
    return tl.datasets.MNIST("test")


def titles(figure: Figure) -> list[str]:
    return [axes.get_title() for axes in figure.axes]


def framed(figure: Figure) -> list[bool]:
    return [axes.spines["top"].get_visible() for axes in figure.axes]


def pixels(figure: Figure) -> np.ndarray:
    return np.stack([axes.images[0].get_array() for axes in figure.axes])


def test_a_data_set_shows_its_first_samples_with_their_labels(mnist) -> None:
    figure = tl.show(mnist)
    assert titles(figure) == [f"is {label}" for label in mnist.targets[:12]]
    assert np.array_equal(pixels(figure), mnist.data[:12])
    assert framed(figure) == [False] * 12


@pytest.mark.parametrize("kind", ["classes", "scores", "a list", "gradients"])
def test_wrong_ones_are_marked_in_words_and_by_a_frame(mnist, kind) -> None:
    guesses = mnist.targets[:5].clone()
    guesses[3] = 8
    scores = torch.nn.functional.one_hot(guesses, 10).float()
    predictions = {
        "classes": guesses,
        "scores": scores,
        "a list": guesses.tolist(),
        "gradients": scores.requires_grad_(),
    }[kind]
    figure = tl.show(mnist.data[:5], mnist.targets[:5], predictions)
    assert titles(figure) == [
        "is 7, read as 7",
        "is 2, read as 2",
        "is 1, read as 1",
        "✗ is 0, read as 8",
        "is 4, read as 4",
    ]
    assert framed(figure) == [False, False, False, True, False]
    assert [axes.title.get_color() == RED for axes in figure.axes] == framed(figure)


def test_labels_or_predictions_alone_or_none_of_them(mnist) -> None:
    assert titles(tl.show(mnist.data[:2], mnist.targets[:2])) == ["is 7", "is 2"]
    assert titles(tl.show(mnist.data[:2], predictions=[1, 2])) == ["read as 1", "read as 2"]
    assert titles(tl.show(mnist.data[:2])) == ["", ""]


def test_all_forms_of_grey_images_show_the_same(mnist) -> None:
    expected = pixels(tl.show(mnist.data[:3]))
    forms = [mnist.data[:3].unsqueeze(1), mnist.data[:3].numpy(), TensorDataset(mnist.data[:3])]
    for images in forms:
        assert np.array_equal(pixels(tl.show(images)), expected)


def test_images_share_one_scale_of_grey() -> None:
    bright, dim = torch.eye(4), torch.eye(4) / 2
    figure = tl.show(torch.stack([bright, dim]))
    assert {axes.images[0].get_clim() for axes in figure.axes} == {(0.0, 1.0)}


def test_colours_are_brought_into_the_range_that_matplotlib_takes() -> None:
    x = torch.linspace(-1, 1, 2 * 3 * 4 * 5).reshape(2, 3, 4, 5)
    expected = ((x + 1) / 2).permute(0, 2, 3, 1)
    assert np.allclose(pixels(tl.show(x)), expected, atol=1e-6)


def test_the_count_and_the_rows() -> None:
    figure = tl.show(torch.rand(30, 4, 4), count=8)
    assert len(figure.axes) == 8
    assert figure.axes[0].get_gridspec().get_geometry() == (2, 6)
    assert len(tl.show(torch.rand(3, 4, 4)).axes) == 3


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"images": torch.rand(0, 4, 4)}, "images is empty"),
        ({"images": torch.rand(2, 5, 4, 4)}, r"an image has the shape \(5, 4, 4\)"),
        ({"images": torch.rand(2, 4, 4), "labels": [1]}, r"labels has the shape \(1,\), but for 2"),
        (
            {"images": torch.rand(2, 4, 4), "predictions": [torch.rand(2, 10)]},
            r"predictions has the shape \(1, 2, 10\).*take the first item: \[0\]",
        ),
        ({"images": torch.rand(2, 4, 4), "count": 0}, "count is 0, but an integer of at least"),
    ],
)
def test_what_show_refuses(arguments, said) -> None:
    with pytest.raises(ValueError, match=said):
        tl.show(**arguments)


# ---- curves

ROWS = [
    {"epoch": 1, "loss": 1.5, "acc": 0.5, "eval_loss": 1.25, "eval_acc": 0.25},
    {"epoch": 2, "loss": 0.5, "acc": 0.75, "eval_loss": 0.75, "eval_acc": 0.5},
]
ADAM = History([2.0, 1.0, 0.5, 0.25], ROWS)
SGD = History([2.5, 2.0], [{"epoch": 1, "loss": 2.25, "acc": 0.125, "auc": 0.5}])


def curves(axes) -> dict[str, list]:
    return {line.get_label(): line.get_xydata().tolist() for line in axes.lines}


def test_plot_of_one_training_is_that_of_its_history() -> None:
    ours, theirs = tl.plot(ADAM), ADAM.plot()
    assert [curves(axes) for axes in ours.axes] == [curves(axes) for axes in theirs.axes]


def test_several_trainings_share_each_part_of_the_figure() -> None:
    loss, acc, auc = tl.plot({"Adam": ADAM, "SGD": SGD}).axes
    assert curves(loss) == {
        "Adam: each step": [[0.5, 2.0], [1.0, 1.0], [1.5, 0.5], [2.0, 0.25]],
        "Adam: train loss": [[1, 1.5], [2, 0.5]],
        "Adam: eval loss": [[1, 1.25], [2, 0.75]],
        "SGD: each step": [[0.5, 2.5], [1.0, 2.0]],
        "SGD: train loss": [[1, 2.25]],
    }
    assert list(curves(acc)) == ["Adam: train acc", "Adam: eval acc", "SGD: train acc"]
    assert curves(auc) == {"SGD: train auc": [[1, 0.5]]}
    colors = {line.get_label().split(":")[0]: line.get_color() for line in acc.lines}
    assert colors["Adam"] != colors["SGD"]


@pytest.mark.parametrize("history", [None, {}, [ADAM], {"Adam": 3}])
def test_what_plot_refuses(history) -> None:
    with pytest.raises(TypeError, match="but a History is expected"):
        tl.plot(history)


def test_a_figure_is_not_shown_twice_in_a_notebook() -> None:
    from matplotlib import pyplot as plt

    tl.show(torch.rand(2, 4, 4))
    tl.plot(ADAM)
    assert plt.get_fignums() == []


# ---- as a notebook shows them


def svg_of(figure: Figure) -> str:
    source = re.search(r'src="data:image/svg\+xml;base64,([^"]*)"', figure._repr_html_())
    assert source is not None
    return b64decode(source[1]).decode()


def test_a_figure_has_an_alternative_text(mnist) -> None:
    gallery = tl.show(mnist, predictions=[7, 2, 8, *[0] * 9997], count=3)
    expected = "3 of 10,000 images: is 7, read as 7; is 2, read as 2; wrong: is 1, read as 8"
    assert gallery._repr_html_().partition('alt="')[2].startswith(f'{expected}"')
    assert tl.show(mnist.data[:4])._repr_html_().partition('alt="')[2].startswith('4 images"')
    expected = (
        'alt="learning curves, 2 epochs: loss from 1.5 to 0.5, acc from 0.5 to 0.75, '
        'eval_loss from 1.25 to 0.75, eval_acc from 0.25 to 0.5"'
    )
    assert expected in tl.plot(ADAM)._repr_html_()
    both = tl.plot({"<Adam>": ADAM, "SGD": SGD})._repr_html_()
    assert 'alt="&lt;Adam&gt;, 2 epochs: loss' in both and "; SGD, 1 epoch: loss 2.25, " in both
    assert "no means yet" in tl.plot(History([1.0, 0.5], []))._repr_html_()


def test_a_figure_follows_the_theme_and_is_the_same_each_time(mnist) -> None:
    for figure in (tl.plot(ADAM), tl.show(mnist, count=2)):
        svg = svg_of(figure)
        assert "prefers-color-scheme:dark" in svg and "#000000" not in svg
        assert "#ffffff" not in svg.partition('id="axes_1"')[0]  # no white sheet below it
    first, second = svg_of(tl.plot(ADAM)), svg_of(tl.plot(ADAM))
    assert first == second and len(first) < 35_000
