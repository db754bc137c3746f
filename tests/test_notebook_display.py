"""What a real Jupyter kernel sends while a loop runs: one region, as text and HTML, and little."""

import json
import math
import re
import time
from datetime import timedelta
from itertools import pairwise

import pytest

from tutorial.display.bar import COLORS, Bar, clock
from tutorial.display.notebook import UPDATES, VIEW, NotebookDisplay
from tutorial.display.report import join

SETUP = """
import time, torch, tutorial as tl
from torch import nn
from torch.utils.data import TensorDataset
torch.set_num_threads(1)
tl.seed(0)
x = torch.randn(6000, 8)
data = TensorDataset(x, (x @ torch.randn(8, 3)).argmax(1))
network = nn.Linear(8, 3)
model = tl.Model(network)
sgd = torch.optim.SGD(model.parameters(), lr=0.1)
model.prepare(sgd, nn.CrossEntropyLoss(), tl.metrics.Accuracy())
"""


@pytest.fixture(scope="module")
def lesson(kernel):
    kernel.run(SETUP)
    kernel.run("model.fit(data, epochs=1)")  # what is loaded once is loaded now
    return kernel


def bytes_of(message: dict) -> int:
    return len(json.dumps(message["content"]))


# ---- one region


@pytest.mark.parametrize(
    ("call", "told"),
    [
        ("model.fit(data, data, epochs=2, batch_size=100)", "epoch 2/2"),
        ("model.evaluate(data)", "evaluate"),
        ("model.predict(data)", "predict: 94 batches"),
    ],
)
def test_one_region_that_is_updated_in_its_place(lesson, call, told) -> None:
    assert lesson.run(f"result = {call}") == ""
    (shown,), (final,) = lesson.sent("display_data"), lesson.sent("update_display_data")
    assert shown["transient"] == final["transient"]
    for message in (shown, final):  # no widget's view: a page without its kernel would miss it
        assert message["data"].keys() == {"text/plain", "text/html"}
    assert "not finished" in shown["data"]["text/html"]
    assert "not finished" not in final["data"]["text/html"]
    assert lesson.sent("clear_output") == []
    *_, line = final["data"]["text/plain"].splitlines()
    assert line.startswith(told)
    assert line.replace("'", "&#x27;") in final["data"]["text/html"]
    assert ("<img" in final["data"]["text/html"]) == call.startswith("model.fit")


def test_what_stays_holds_no_time_and_is_the_same_again(lesson) -> None:
    finals = []
    for _ in range(2):
        lesson.run("tl.seed(1); network.reset_parameters()")
        lesson.run("history = model.fit(data, data, epochs=2)")
        (final,) = lesson.sent("update_display_data")
        finals.append(final["data"])
    assert finals[0] == finals[1]
    assert not re.search(r"steps/s|left|\d:\d\d", finals[0]["text/plain"])
    assert "steps/s" not in finals[0]["text/html"]


def test_the_curves_at_the_end_are_the_history(lesson) -> None:
    lesson.run(
        "from tutorial.display.notebook import NotebookDisplay\n"
        "displays, usual = [], NotebookDisplay.close\n"
        "NotebookDisplay.close = lambda self, how: (displays.append(self), usual(self, how))"
    )
    try:
        lesson.run("history = model.fit(data, data, epochs=3, batch_size=100)")
    finally:
        lesson.run("NotebookDisplay.close = usual")
    lesson.run(
        "curves = displays[0].curves\n"
        "assert [row for _, row in curves.rows.all()] == history.rows == curves.recent\n"
        "assert [step for step, _ in curves.rows.all()] == [60, 120, 180]\n"
        "points = curves.points.all()\n"
        "assert len(points) == 90\n"
        "for (step, mean), a in zip(points, range(0, 180, 2)):\n"
        "    assert step == a + 2\n"
        "    assert abs(mean - sum(history.step_losses[a:a + 2]) / 2) < 1e-12"
    )


def test_a_resumed_training_shows_all_its_curves(lesson, tmp_path) -> None:
    fit = "model.fit(data, epochs={}, batch_size=600, save_dir={!r}, resume=True)"
    lesson.run(fit.format(2, str(tmp_path)) + ";")
    lesson.run(fit.format(4, str(tmp_path)) + ";")
    (final,) = lesson.sent("update_display_data")
    html = final["data"]["text/html"]
    lines = final["data"]["text/plain"].splitlines()
    assert [line.partition(":")[0] for line in lines] == [f"epoch {n}/4" for n in (1, 2, 3, 4)]
    assert [f"epoch {epoch}: train" in html for epoch in range(1, 6)] == [True] * 4 + [False]


# ---- little is sent


def test_few_updates_a_second_and_400_messages_at_most(lesson) -> None:
    """3,000 steps of a millisecond, and a short pause at each."""
    lesson.run(
        "class Slow(nn.Linear):\n"
        "    def forward(self, x):\n"
        "        time.sleep(0.001)\n"
        "        return super().forward(x)\n"
        "slow = tl.Model(Slow(8, 3))\n"
        "slow.prepare(torch.optim.SGD(slow.parameters(), lr=0.1), nn.CrossEntropyLoss())"
    )
    lesson.run("history = slow.fit(data, epochs=10, batch_size=20)")
    assert len(lesson.messages) <= 400
    assert sum(map(bytes_of, lesson.messages)) < 400_000
    times = [
        message["header"]["date"]
        for message in lesson.messages
        if message["msg_type"] == "comm_msg" and "<progress" in str(message["content"])
    ]
    assert len(times) >= 8
    gaps = [later - earlier for earlier, later in pairwise(times)]
    assert sum(gaps, timedelta()) / len(gaps) > timedelta(seconds=0.2)
    *_, final = lesson.sent("update_display_data")
    assert len(json.dumps(final)) < 50_000
    assert lesson.sent("comm_open")
    assert not open_comms(lesson)  # nothing is left behind


def open_comms(kernel) -> set[str]:
    opened = {content["comm_id"] for content in kernel.sent("comm_open")}
    return opened - {content["comm_id"] for content in kernel.sent("comm_close")}


def test_a_day_of_training_gets_no_more_updates_than_a_minute(monkeypatch) -> None:
    clock_time = [0.0]
    monkeypatch.setattr("time.monotonic", lambda: clock_time[0])
    for steps, seconds in ((938, 0.003), (938, 1.0), (10_000, 10.0), (None, 1.0)):
        display = NotebookDisplay()
        display.bar.start(0, 5, steps)
        display.refresh = lambda display=display: None  # only when
        counts = [0] * 5
        for epoch in range(5):
            for step in range(steps or 1000):
                clock_time[0] += seconds
                display.bar.done = epoch * (steps or 1000) + step
                if clock_time[0] >= display.next_update:
                    display.updates += 1
                    counts[epoch] += 1
                    apart = display.pause(UPDATES - display.updates, display.SECONDS)
                    display.next_update = clock_time[0] + apart
        assert sum(counts) <= UPDATES
        if steps:
            assert counts[-1] >= 10  # they last until the end


# ---- how a call ends


def test_an_error_leaves_the_bar_closed_and_says_so(lesson) -> None:
    error, _ = lesson.end(
        lesson.start(
            "def fails(step, logs):\n"
            "    if step == 3: raise RuntimeError('on purpose')\n"
            "model.fit(data, callbacks=tl.callbacks.LambdaCallback(on_train_batch_end=fails))"
        )
    )
    assert error == "RuntimeError"
    (final,) = lesson.sent("update_display_data")
    assert re.fullmatch(r"epoch 1/1, step \d+/94: failed", final["data"]["text/plain"])
    assert not open_comms(lesson)


def test_the_stop_button_leaves_a_stopped_bar_and_the_next_fit_goes_on(lesson) -> None:
    lesson.run("before = [w.clone() for w in network.parameters()]")
    request = lesson.start("history = model.fit(data, data, epochs=10**6)")
    time.sleep(1.5)
    lesson.manager.interrupt_kernel()
    assert lesson.end(request) == ("", "")
    *_, final = lesson.sent("update_display_data")
    line = (
        r"epoch \d+/1000000, (evaluate )?step \d+/94: stopped"
        r"( \(loss \d\.\d{4}, acc \d\.\d{4} at (evaluate )?step \d+/94\))?"
    )
    *epochs, last = final["data"]["text/plain"].splitlines()
    assert re.fullmatch(line, last)
    assert re.match(r"epoch \d+/1000000: loss", epochs[-1])
    assert "<img" in final["data"]["text/html"]
    assert not open_comms(lesson)
    lesson.run("assert history.interrupted and history.step_losses")
    lesson.run("again = model.fit(data, epochs=1); assert not again.interrupted and again.rows")


def test_without_somebody_who_watches_there_are_lines(lesson) -> None:
    """As nbclient, nbval and papermill run a notebook."""
    lesson.attended = False
    try:
        output = lesson.run("history = model.fit(data, data, epochs=2); model.predict(data);")
    finally:
        del lesson.attended
    assert [line.partition(":")[0] for line in output.splitlines()] == [
        "epoch 1/2",
        "epoch 2/2",
        "predict",
    ]
    assert not lesson.sent("display_data", "comm_open")


# ---- the bar


def test_the_bar_knows_speed_and_time_left(monkeypatch) -> None:
    now = [50.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    bar = Bar()
    bar.start(0, 4, 100)
    assert bar.left() is None
    now[0] += 2
    bar.step(50)
    assert (bar.speed(), bar.left()) == (25, 14)
    assert 'value="50" max="400"' in bar.html("epoch 1/4")
    assert "25 steps/s, 0:14 left" in bar.html("epoch 1/4")
    assert "left" not in bar.html("epoch 1/4", "stopped")
    bar.step(100)
    bar.start(1, 4, 100)
    bar.step(10)
    assert bar.done == 110


def test_the_bar_of_a_resumed_training_begins_where_it_was(monkeypatch) -> None:
    now = [0.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    bar = Bar()
    bar.start(2, 4, 100)
    now[0] = 1
    bar.step(10)
    assert (bar.done, bar.speed(), bar.left()) == (210, 10, 19)


def test_the_bar_knows_the_limit_of_steps_and_a_length_that_is_not_known() -> None:
    bar = Bar()
    bar.limit = 30
    bar.start(0, 10, 100)
    assert bar.total == 30
    unknown = Bar()
    unknown.start(0, 2, None)
    unknown.step(7)
    assert "value" not in unknown.html("predict").partition("aria")[0]
    assert 'value="7" max="7"' in unknown.html("predict", "done")


@pytest.mark.parametrize(("seconds", "shown"), [(0.2, "0:00"), (59.7, "1:00"), (7322, "2:02:02")])
def test_clock(seconds: float, shown: str) -> None:
    assert clock(seconds) == shown


def test_a_fit_that_fails_after_its_last_step_says_so(lesson) -> None:
    lesson.run(
        "class Late(tl.callbacks.Callback):\n"
        "    def on_train_end(self, logs=None):\n"
        "        raise RuntimeError('late')"
    )
    error, _ = lesson.end(lesson.start("model.fit(data, epochs=1, callbacks=Late())"))
    assert error == "RuntimeError"
    (final,) = lesson.sent("update_display_data")
    *_, line = final["data"]["text/plain"].splitlines()
    assert re.fullmatch(r"epoch 1/1: loss [\d.]+, acc [\d.]+: failed", line)


def test_processes_that_train_together_print_lines_and_only_the_first_does(lesson) -> None:
    lesson.run(
        "def train():\n"
        "    network = nn.Linear(8, 3)\n"
        "    model = tl.Model(network)\n"
        "    model.prepare(torch.optim.SGD(model.parameters(), lr=0.1), nn.CrossEntropyLoss())\n"
        "    return model.fit(data, epochs=2).step_losses"
    )
    told = lesson.run("print('steps:', [len(losses) for losses in tl.launch(train)])")
    assert re.findall("epoch ./2", told) == ["epoch 1/2", "epoch 2/2"]
    assert "steps: [94, 94]" in told  # 2 x 64 samples in each: 47 steps in an epoch
    assert lesson.sent("display_data", "comm_open") == []


# ---- a loss that is nan, an Output, many fits in a cell


DIVERGES = (
    "tl.seed(0); wild = nn.Linear(8, 3); diverges = tl.Model(wild)\n"
    "rate = torch.optim.SGD(wild.parameters(), lr=1e38)\n"
    "diverges.prepare(rate, nn.CrossEntropyLoss(), tl.metrics.Accuracy())\n"
    "nap = tl.callbacks.LambdaCallback(on_epoch_end=lambda *_: time.sleep(0.3))\n"
)


def test_a_loss_that_is_nan_writes_nothing_of_jupyter_and_the_bar_says_failed(lesson) -> None:
    output = lesson.run(DIVERGES + "history = diverges.fit(data, epochs=3, callbacks=nap)")
    assert "the mean loss is nan" in output
    assert "JSON" not in output
    assert "serializ" not in output
    *_, final = lesson.sent("update_display_data")
    line = final["data"]["text/plain"].splitlines()[-1]
    assert re.fullmatch(
        r"epoch 3/3: loss nan, acc [\d.]+: failed, the loss is nan from step \d+ on", line
    )
    assert f"accent-color:{COLORS['failed']}" in final["data"]["text/html"]
    assert "nan from step " in final["data"]["text/html"]
    lesson.run("result = diverges.evaluate(data)")
    *_, final = lesson.sent("update_display_data")
    assert "failed" in final["data"]["text/plain"]
    assert f"accent-color:{COLORS['failed']}" in final["data"]["text/html"]


def test_inside_of_an_output_the_widget_stays_and_shows_the_end(lesson) -> None:
    lesson.run(
        "import ipywidgets\n"
        "out = ipywidgets.Output()\n"
        "with out:\n"
        "    history = model.fit(data, epochs=2)"
    )
    (shown,) = lesson.sent("display_data")
    mark = re.search(r'data-tutorial="([\w-]+)"', shown["data"]["text/html"])[1]
    *_, final = lesson.sent("update_display_data")
    states = [content["data"]["state"] for content in lesson.sent("comm_open")]
    states += [content["data"].get("state", {}) for content in lesson.sent("comm_msg")]
    assert mark in [state.get("region") for state in states]
    drawn = [state["drawn"]["final"] for state in states if "drawn" in state]
    assert drawn[-1] == final["data"]["text/html"]
    lesson.run("out.close(); ipywidgets.Widget.close_all()")


def test_of_many_fits_in_a_cell_the_curves_are_folded_and_little_is_sent(lesson) -> None:
    lesson.run("for _ in range(20):\n    history = model.fit(data, epochs=2, batch_size=600)")
    finals = [message["data"]["text/html"] for message in lesson.sent("update_display_data")]
    ids = [message["transient"]["display_id"] for message in lesson.sent("display_data")]
    assert len(set(ids)) == 20
    last = {m["transient"]["display_id"]: m for m in lesson.sent("update_display_data")}
    folded = ["<summary>curves" in last[one]["data"]["text/html"] for one in ids]
    assert folded == [False] * 3 + [True] * 17
    assert all("epoch 2/2: loss" in html for html in finals[-17:])
    print(len(lesson.messages), "messages,", sum(map(bytes_of, lesson.messages)), "bytes")
    assert len(lesson.messages) < 150
    assert sum(map(bytes_of, lesson.messages)) < 20 * 20_000
    lesson.run("history = model.fit(data, epochs=2, batch_size=600)")
    (final,) = lesson.sent("update_display_data")
    assert "<summary>curves" not in final["data"]["text/html"]  # of another cell


@pytest.mark.parametrize("name", ["__vsc_ipynb_file__"])
def test_where_a_widget_draws_only_in_its_own_view_the_view_is_shown_while_it_runs(
    lesson, name
) -> None:
    lesson.run(
        f"{name} = 'a.ipynb'\n"
        "nap = tl.callbacks.LambdaCallback(on_epoch_end=lambda *_: time.sleep(0.3))\n"
        "try:\n"
        "    history = model.fit(data, epochs=3, callbacks=nap)\n"
        "finally:\n"
        f"    del {name}"
    )
    *shown, final = lesson.sent("update_display_data")
    assert all(VIEW in message["data"] for message in shown)
    assert shown
    assert VIEW not in final["data"]


def test_the_numbers_of_a_loss_that_is_large_stay_short() -> None:
    assert join("epoch 1/1", {"loss": 292258913572634849443840.0, "acc": 0.1}) == (
        "epoch 1/1: loss 2.923e+23, acc 0.1000"
    )
    assert join("", {"a": 999_999.5, "b": math.nan, "c": math.inf}) == (
        ": a 999999.5000, b nan, c inf"
    )
