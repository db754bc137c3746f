import json
import math
import os
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

import tutorial as tl
from tutorial.history import History

ROWS = [
    {"epoch": 1, "loss": 1.23456, "acc": 0.5, "eval_loss": 1.5, "eval_acc": 0.25},
    {"epoch": 2, "loss": 0.5, "acc": 0.75, "eval_loss": 0.75, "eval_acc": 0.5},
]


def test_it_prints_as_a_table_with_four_digits() -> None:
    assert repr(History([2.0, 1.0, 0.5, 0.25], ROWS)) == (
        "epoch    loss     acc  eval_loss  eval_acc\n"
        "    1  1.235   0.5000     1.500     0.2500\n"
        "    2  0.5000  0.7500     0.7500    0.5000\n"
        "4 steps"
    )


def test_it_says_that_it_was_interrupted() -> None:
    assert repr(History([2.0], [], interrupted=True)) == "1 step, interrupted"


def test_epochs_without_evaluation_leave_a_gap() -> None:
    rows = [{"epoch": 1, "loss": 0.5}, {"epoch": 2, "loss": 0.25, "eval_loss": 2.5}]
    assert repr(History([], rows)).splitlines()[1:3] == [
        "    1  0.5000           ",
        "    2  0.2500      2.500",
    ]


def test_the_frame_has_a_row_for_each_epoch() -> None:
    frame = History([], ROWS).frame()
    assert list(frame.columns) == ["epoch", "loss", "acc", "eval_loss", "eval_acc"]
    assert frame.to_dict("records") == ROWS


def test_without_pandas_the_frame_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(ImportError, match=r"pip install pandas.*history\.rows"):
        History([], ROWS).frame()


def test_the_plot_holds_every_step_and_every_mean() -> None:
    figure = History([2.0, 1.0, 0.5, 0.25], ROWS).plot()
    loss, metric = figure.axes
    lines = {line.get_label(): line.get_xydata().tolist() for line in loss.lines}
    assert lines["each step"] == [[0.5, 2.0], [1.0, 1.0], [1.5, 0.5], [2.0, 0.25]]
    assert lines["train loss"] == [[1, 1.23456], [2, 0.5]]
    assert lines["eval loss"] == [[1, 1.5], [2, 0.75]]
    assert {line.get_label() for line in metric.lines} == {"train acc", "eval acc"}
    train, evaluated = metric.lines
    assert train.get_marker() != evaluated.get_marker()  # it reads without colour too


def test_a_fit_without_metrics_or_finished_epochs_can_be_drawn() -> None:
    assert len(History([2.0, 1.0], [], interrupted=True).plot().axes) == 1


def test_a_long_history_is_a_short_text() -> None:
    names = ["loss", "a\nb", "x" * 300]
    rows = [{"epoch": i + 1, **dict.fromkeys(names, 0.5)} for i in range(1000)]
    text = repr(History([0.5] * 10_000, rows))
    assert len(text) < 3000
    lines = text.splitlines()
    assert lines[0].split() == ["epoch", "loss", r"'a\nb'", "x" * 40 + "..."]
    shown = [line.split()[0] for line in lines[1:-1]]
    assert shown == [*map(str, range(1, 16)), "...", *map(str, range(986, 1001))]
    assert lines[-1] == "10000 steps"
    assert len(repr(History([], rows[:30])).splitlines()) == 32  # all of it


def test_it_is_a_table_in_html_that_scrolls_by_itself() -> None:
    html = History([2.0, 1.0], [{"epoch": 1, "a<b": 1.5}, {"epoch": 2, "a<b": 0.75}])._repr_html_()
    assert "overflow-x:auto" in html and 'tabindex="0"' in html
    assert "a&lt;b</th>" in html and ">1.500 </td>" not in html
    assert ">1.500 </td>".replace(" ", "\u2007") in html  # as wide as a digit
    assert html.endswith("<div>2 steps</div>")
    assert History([2.0], [])._repr_html_() == "<div>1 step</div>"


NUMBERS = [0.1, 1 / 3, 5e-324, -0.0, 1e308, math.inf, -math.inf, 2.0]


def test_a_file_keeps_every_digit(tmp_path: Path) -> None:
    rows = [{"epoch": 1, "loss": 0.1 + 0.2, "acc": math.inf}]
    began = {"seed": 7, "weights": {"0.bias": "float32 (2,) 1a"}, "lr": [0.1, None]}
    history = History(NUMBERS, rows, interrupted=True, began=began)
    path = history.save(tmp_path / "made" / "mine.v2")
    assert path == tmp_path / "made" / "mine.v2.json"
    for asked in (path, tmp_path / "made" / "mine.v2"):
        loaded = History.load(asked)
        assert list(map(repr, loaded.step_losses)) == list(map(repr, NUMBERS))
        assert repr(vars(loaded)) == repr(vars(history))
    nan = History([math.nan], [{"loss": math.nan}])
    loaded = History.load(nan.save(path))  # an earlier file is replaced
    assert math.isnan(loaded.step_losses[0]) and math.isnan(loaded.rows[0]["loss"])
    assert os.listdir(path.parent) == [path.name]  # nothing is left beside it


def test_a_file_is_strict_json(tmp_path: Path) -> None:
    def refuse(word: str) -> None:
        raise AssertionError(word)

    text = History(NUMBERS, []).save(tmp_path / "a").read_text(encoding="utf-8")
    assert json.loads(text, parse_constant=refuse)["step_losses"][5:7] == ["inf", "-inf"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "it is no JSON"),
        ("[" * 100_000, "it is no JSON"),
        ("\xff\xfe", "it is no JSON"),
        ("[1, 2]", r"it holds \[1, 2\]"),
        ('{"cells": []}', "it holds {'cells': "),
        ('{"format": "tutorial.History, 9"}', "of another version"),
        ('"step_losses": ["two"]', r"'step_losses' is \['two'\]"),
        ('"step_losses": [true]', "'step_losses' is"),
        (f'"step_losses": [1{"0" * 400}]', "'step_losses' is"),
        ('"step_losses": {}', "'step_losses' is {}"),
        ('"rows": [[1]]', "'rows' is"),
        ('"rows": [{"loss": null}]', "'rows' is"),
        ('"interrupted": 1', "'interrupted' is 1"),
        ('"began": []', r"'began' is \[\]"),
        ('"began": {"machine": 3}', "'began' is"),
    ],
)
def test_what_save_did_not_write_is_refused(tmp_path: Path, text: str, words: str) -> None:
    path = History([2.0], []).save(tmp_path / "a")
    if text.startswith('"'):
        good = path.read_text(encoding="utf-8")
        text = json.dumps(json.loads(good) | json.loads("{" + text + "}"))
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(ValueError, match=rf"was not written by history.save: .*{words}"):
        History.load(path)


def test_paths_are_refused_in_words(tmp_path: Path) -> None:
    History([2.0], []).save(tmp_path / "there")
    with pytest.raises(FileNotFoundError, match=r"no such file.*are there\.json"):
        History.load(tmp_path / "gone")
    for wrong in (7, "", None, b"a"):
        with pytest.raises(ValueError, match=r"path is .*a file's name"):
            History.load(wrong)  # type: ignore[arg-type]
        with pytest.raises(ValueError, match=r"path is .*a file's name"):
            History([], []).save(wrong)  # type: ignore[arg-type]
    with pytest.raises(NotADirectoryError, match="is a file, and the name of a directory"):
        History([], []).save(tmp_path / "there.json" / "more")


def test_a_file_keeps_numbers_of_numpy_and_pytorch(tmp_path: Path) -> None:
    history = History([np.float32(0.5)], [{"epoch": np.int64(1), "loss": torch.tensor(0.25)}])
    loaded = History.load(history.save(tmp_path / "mine"))
    assert (loaded.step_losses, loaded.rows) == ([0.5], [{"epoch": 1, "loss": 0.25}])


@pytest.mark.parametrize("noted", ["words", None, True, [1, 2], 2**60])
def test_what_load_would_refuse_is_not_saved(tmp_path: Path, noted: object) -> None:
    """A loop of one's own may note anything; it is shown."""
    history = History([0.5], [{"epoch": 1, "noted": noted}])
    with pytest.raises(ValueError, match=r"history.rows is .*numbers alone"):
        history.save(tmp_path / "mine")
    assert not list(tmp_path.iterdir())
    assert str(noted or "") in repr(history) and repr(tl.compare(history, history))


def test_a_file_that_an_editor_has_marked_is_read(tmp_path: Path) -> None:
    path = History([0.5], []).save(tmp_path / "mine")
    path.write_text(path.read_text(), encoding="utf-8-sig")
    assert History.load(path).step_losses == [0.5]


def test_noting_where_a_fit_began_leaves_the_weights_memory_alone() -> None:
    """What numpy() has seen can never be resized again, and FSDP resizes weights."""
    network = torch.nn.Linear(3, 2)
    model = tl.Model(network)
    model.prepare(torch.optim.SGD(network.parameters(), lr=0.1), torch.nn.MSELoss())
    x = torch.ones(4, 3)
    model.fit(torch.utils.data.TensorDataset(x, x[:, :2].clone()), verbose=0)
    kept = [*network.parameters(), x]
    assert [tensor.untyped_storage().resizable() for tensor in kept] == [True] * 3
