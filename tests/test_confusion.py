"""The confusion matrix, against scikit-learn's."""

import numpy as np
import pytest
import torch
from fakes import OneByOne
from sklearn.metrics import confusion_matrix
from torch import nn
from torch.utils.data import DataLoader

import tutorial as tl
from tutorial.display.confusion import Confusion


def expected_of(model, data) -> np.ndarray:
    x, y = data.tensors
    model.network.eval()
    with torch.no_grad():
        return confusion_matrix(y, model.network(x).argmax(1), labels=range(3))


@pytest.mark.parametrize("batch_size", [1, 32, 1000])
def test_the_counts_are_those_of_scikit_learn(make_model, data, batch_size) -> None:
    model = make_model()
    assert np.array_equal(tl.confusion(model, data, batch_size).matrix, expected_of(model, data))


def test_any_form_of_data_gives_the_same(make_model, data) -> None:
    model = make_model()
    x, y = data.tensors
    forms = [
        OneByOne(data),
        DataLoader(data, batch_size=7, shuffle=True),
        [(x[:100], y[:100]), (x[100:], y[100:, None])],
        ((x[i : i + 50], y[i : i + 50]) for i in (0, 50, 100)),
    ]
    for form in forms:
        assert np.array_equal(tl.confusion(model, form).matrix, expected_of(model, data))


def test_several_inputs() -> None:
    class Sum(nn.Module):
        def forward(self, a, b):
            return a + b

    a, b = torch.eye(3), torch.zeros(3, 3)
    matrix = tl.confusion(tl.Model(Sum()), [(a, b, torch.tensor([0, 1, 1]))]).matrix
    assert matrix.tolist() == [[1, 0, 0], [0, 1, 1], [0, 0, 0]]


def test_mode_and_chance_stay_as_they_were(make_model, data) -> None:
    model = make_model()
    model.network.train()
    chance = torch.get_rng_state()
    tl.confusion(model, DataLoader(data, batch_size=50, shuffle=True))
    assert all(module.training for module in model.network.modules())
    assert torch.equal(torch.get_rng_state(), chance)


def test_it_prints_as_a_table() -> None:
    assert repr(Confusion(np.array([[970, 0], [12, 1018]]))) == (
        "     0     1\n"
        "0  970     0\n"
        "1   12  1018\n"
        "rows: true class, columns: predicted class; 1,988 of 2,000 correct"
    )


def test_the_figure_has_each_count_in_its_place_and_can_be_read() -> None:
    matrix = np.array([[90, 10, 0], [0, 50, 50], [0, 0, 0]])  # there is nothing of class 2
    (axes,) = Confusion(matrix).plot().axes
    at = {text.get_position(): text for text in axes.texts}  # (column, row)
    assert {place: int(text.get_text()) for place, text in at.items()} == {
        (j, i): count for (i, j), count in np.ndenumerate(matrix)
    }
    assert (axes.get_ylabel(), axes.get_xlabel()) == ("true", "predicted")
    colors = axes.images[0].cmap(axes.images[0].get_array())[..., :3]
    for (j, i), text in at.items():
        darkness = 1 - colors[i, j].mean()
        assert text.get_color() == ("white" if darkness > 0.5 else "#111111")


def test_a_notebook_shows_the_figure() -> None:
    html = Confusion(np.array([[5, 1], [0, 4]]))._repr_html_()
    expected = "confusion matrix of 2 classes: 9 of 10 correct; most often 0 read as 1 1 times"
    assert f'alt="{expected}" style="width:' in html and "svg+xml;base64" in html


def test_many_classes_are_shown_without_numbers() -> None:
    figure = Confusion(np.eye(100, dtype=int)).plot()
    assert len(figure.axes[0].texts) == 0
    assert max(figure.get_size_inches()) <= 10


def test_its_name_stays_that_of_the_function() -> None:
    assert tl.confusion is tl.confusion
    assert callable(tl.confusion)


@pytest.mark.parametrize(
    ("network", "batches", "error", "said"),
    [
        (None, [], TypeError, "model is None, but a tutorial.Model is expected"),
        (nn.Identity(), [], ValueError, "data is empty"),
        (nn.Identity(), [torch.eye(3)], ValueError, r"data gives a tensor of shape \(3, 3\)"),
        (nn.Flatten(0), [(torch.eye(3), [0, 1, 2])], ValueError, r"model gives.*\(9,\)"),
        (nn.Identity(), [(torch.eye(3), torch.zeros(3))], ValueError, "labels are.*float32"),
        (nn.Identity(), [(torch.eye(3), torch.eye(3).long())], ValueError, r"labels are.*\(3, 3\)"),
        (nn.Identity(), [(torch.eye(3), torch.tensor([0, 1, 3]))], ValueError, "from 0 to 3"),
        (nn.Identity(), [(torch.eye(3), torch.tensor([0, 1, -1]))], ValueError, "from -1 to 1"),
    ],
)
def test_what_it_refuses(network, batches, error, said) -> None:
    model = network and tl.Model(network)
    with pytest.raises(error, match=said):
        tl.confusion(model, batches)


def test_many_classes_are_a_short_text_with_the_most_frequent_mistakes() -> None:
    counts = np.zeros((1000, 1000), dtype=np.int64)
    np.fill_diagonal(counts, 7)
    counts[3, 5], counts[999, 0], counts[0, 1] = 4, 9, 4
    lines = repr(Confusion(counts)).splitlines()
    assert [line.split() for line in lines[:-1]] == [
        ["true", "predicted", "samples"],
        *(["999", "0", "9"], ["0", "1", "4"], ["3", "5", "4"]),
    ]
    last = "the most frequent mistakes of 1000 classes; 7,000 of 7,017 correct; all in .matrix"
    assert lines[-1] == last
    busy = np.random.default_rng(0).integers(0, 9**9, (1000, 1000))
    assert len(repr(Confusion(busy))) < 1000
    assert len(repr(Confusion(np.eye(20, dtype=np.int64))).splitlines()) == 22
