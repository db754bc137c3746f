import sys

import pytest

from tutorial.history import History

ROWS = [
    {"epoch": 1, "loss": 1.23456, "acc": 0.5, "eval_loss": 1.5, "eval_acc": 0.25},
    {"epoch": 2, "loss": 0.5, "acc": 0.75, "eval_loss": 0.75, "eval_acc": 0.5},
]


def test_it_prints_as_a_table_with_four_digits() -> None:
    assert repr(History([2.0, 1.0, 0.5, 0.25], ROWS)) == (
        "epoch    loss     acc  eval_loss  eval_acc\n"
        "    1   1.235  0.5000      1.500    0.2500\n"
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
