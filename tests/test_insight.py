"""What a network does while it learns: measured as by hand, and nothing changed by it."""

import warnings
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest
import torch
from torch import nn
from torch.utils.data import TensorDataset

import tutorial as tl
from tutorial.callbacks import Insight
from tutorial.display.insight import InsightPanel, insight_html, svg

X, Y = torch.linspace(-2, 2, 96 * 8).sin().reshape(96, 8), torch.arange(96) % 3


def data() -> TensorDataset:
    return TensorDataset(X, Y)


def network() -> nn.Sequential:
    torch.manual_seed(3)
    return nn.Sequential(nn.Linear(8, 6), nn.ReLU(), nn.Dropout(0.2), nn.Linear(6, 3))


def fitted(network: nn.Module, *callbacks: Any, data: Any = None, **options: Any) -> tl.Model:
    model = tl.Model(network)
    precision = options.pop("precision", "32")
    optimizer = options.pop("optimizer", torch.optim.SGD)
    learning = [weight for weight in model.parameters() if weight.requires_grad]
    model.prepare(optimizer(learning, lr=0.1), nn.CrossEntropyLoss(), precision=precision)
    tl.seed(5)
    settings = {"batch_size": 16, "epochs": 2, "verbose": 0} | options
    model.fit(TensorDataset(X, Y) if data is None else data, callbacks=list(callbacks), **settings)
    return model


# ---- against a loop by hand


def test_gradients_and_updates_are_those_of_a_loop_by_hand() -> None:
    insight = Insight(every=1)
    fitted(network(), insight, shuffle=False)
    own = network()
    optimizer = torch.optim.SGD(own.parameters(), lr=0.1)
    tl.seed(5)
    torch.empty((), dtype=torch.int64).random_()  # what a loader draws for its workers
    expected = []
    for begin in [*range(0, 96, 16)] * 2:
        if begin == 0 and expected:
            torch.empty((), dtype=torch.int64).random_()
        loss = nn.functional.cross_entropy(own(X[begin : begin + 16]), Y[begin : begin + 16])
        loss.backward()
        row = {}
        for name in ("0", "3"):
            layer = own[int(name)]
            gradient = torch.cat([layer.weight.grad.flatten(), layer.bias.grad])
            before = torch.cat([layer.weight.detach().flatten(), layer.bias.detach()])
            row[f"{name} Linear"] = (gradient.norm(), 0.1 * gradient.norm() / before.norm())
        expected.append(row)
        optimizer.step()
        optimizer.zero_grad()
    assert [row["step"] for row in insight.rows] == list(range(1, 13))
    for measured, by_hand in zip(insight.rows, expected, strict=True):
        for name, (gradient, update) in by_hand.items():
            found = measured["layers"][name]
            assert found["gradient"] == pytest.approx(float(gradient), rel=1e-4)
            assert found["update"] == pytest.approx(float(update), rel=1e-4)


def test_dead_units_and_activations_are_those_that_the_next_layer_gets() -> None:
    layers = nn.Sequential(nn.Linear(8, 4), nn.ReLU(), nn.Linear(4, 3))
    with torch.no_grad():
        layers[0].bias.copy_(torch.tensor([-100.0, 100.0, 100.0, -100.0]))
    insight = Insight(every=1)
    fitted(layers, insight, shuffle=False, batch_size=96, epochs=1)
    found = insight.rows[-1]["layers"]
    assert (found["0 Linear"]["dead"], found["2 Linear"]["dead"]) == (0.5, 0.0)
    histogram = insight.activations["0 Linear"]
    assert histogram["low"] == 0 and sum(histogram["counts"]) == 96 * 4
    assert histogram["counts"][0] == 96 * 2


def test_a_function_in_forward_counts_and_channels_are_units() -> None:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.head = nn.Conv2d(1, 4, 3), nn.Linear(4, 3)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            x = nn.functional.relu(self.conv(x))
            return self.head(x.mean((2, 3)))

    net = Net()
    with torch.no_grad():
        net.conv.bias.copy_(torch.tensor([-100.0, 100.0, 100.0, 100.0]))
    insight = Insight(every=1)
    images = TensorDataset(X.reshape(-1, 1, 8, 8).repeat(8, 1, 1, 1), Y)
    fitted(net, insight, data=images, epochs=1)
    assert insight.rows[-1]["layers"]["conv Conv2d"]["dead"] == 0.25


# ---- nothing is changed


class Shared(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer, self.head = nn.Linear(8, 8), nn.Linear(8, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(torch.tanh(self.layer(torch.tanh(self.layer(x)))))


class Recurrent(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.gru, self.head = nn.GRU(2, 5, batch_first=True), nn.Linear(5, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.gru(x.reshape(-1, 4, 2))[0][:, -1])


class Sparse(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.table, self.head = nn.Embedding(9, 4, sparse=True), nn.Linear(4, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.table((x.abs() * 4).long()).mean(1))


class Attention(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
        self.head = nn.Linear(8, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.layer(x[:, None].expand(-1, 3, -1)).mean(1))


class Two(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.unused = nn.Linear(8, 3), nn.Bilinear(8, 8, 3), nn.Linear(2, 2)

    def forward(self, x: torch.Tensor, z: torch.Tensor) -> torch.Tensor:
        return self.a(input=x) + self.b(x, z)


def frozen() -> nn.Module:
    net = network()
    net[0].requires_grad_(False)
    return net


CASES: dict[str, tuple[Callable[[], nn.Module], dict[str, Any]]] = {
    "dropout": (network, {}),
    "shared": (Shared, {}),
    "recurrent": (Recurrent, {}),
    "sparse": (Sparse, {}),
    "attention": (Attention, {}),
    "batch norm": (lambda: nn.Sequential(nn.Linear(8, 4), nn.BatchNorm1d(4), nn.Linear(4, 3)), {}),
    "two inputs": (Two, {"data": TensorDataset(X, X.flip(0), Y)}),
    "frozen": (frozen, {}),
    "one layer": (lambda: nn.Linear(8, 3), {}),
    "accumulate": (network, {"accumulate_grad_batches": 4}),
    "clip": (network, {"clip_grad_norm": 0.01}),
    "bf16-mixed": (network, {"precision": "bf16-mixed"}),
    "16-mixed": (network, {"precision": "16-mixed"}),
    "Adam": (network, {"optimizer": torch.optim.Adam}),
}


@pytest.mark.parametrize("name", CASES)
def test_it_changes_nothing_and_measures_each_layer(name: str) -> None:
    make, options = CASES[name]

    def begun(*callbacks: Any) -> tl.Model:
        torch.manual_seed(1)
        return fitted(make(), *callbacks, **options)

    insight = Insight(every=1)
    plain, measured = begun(), begun(insight)
    assert measured.history.step_losses == plain.history.step_losses
    there = plain.network.state_dict()
    assert all(torch.equal(w, there[n]) for n, w in measured.network.state_dict().items())
    assert hooks_of(measured) == 0
    assert len(insight.rows) == (4 if name == "accumulate" else 12)
    last = insight.rows[-1]["layers"]
    assert len(last) == sum(any(True for _ in m.parameters(False)) for m in make().modules())
    silent = {"frozen": ["0 Linear"], "two inputs": ["unused Linear"]}.get(name, [])
    assert [layer for layer, found in last.items() if found["update"] is None] == silent
    assert all(found["gradient"] > 0 for layer, found in last.items() if layer not in silent)
    assert all(layer in insight_html(insight) for layer in last)


def hooks_of(model: tl.Model) -> int:
    """Hooks that still look on."""
    optimizer: Any = model.optimizer
    on_modules = [(m._forward_hooks, m._forward_pre_hooks) for m in model.network.modules()]
    return (
        len(optimizer._optimizer_step_pre_hooks)
        + len(optimizer._optimizer_step_post_hooks)
        + sum(len(a) + len(b) for a, b in on_modules)
    )


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_its_hooks_are_removed_however_a_training_ends(error: type[BaseException]) -> None:
    class Ends(nn.Module):
        calls = 0

        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(8, 3)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            y_hat = self.layer(x)
            Ends.calls += 1
            if Ends.calls == 4:
                raise error("by itself")
            return y_hat

    model = tl.Model(Ends(), check=False)
    model.prepare(torch.optim.SGD(model.parameters(), lr=0.1), nn.CrossEntropyLoss())
    insight = Insight(every=1)
    if error is ValueError:
        with pytest.raises(ValueError, match=r"^by itself"):
            model.fit(data(), batch_size=16, verbose=0, callbacks=insight)
    else:
        assert model.fit(data(), batch_size=16, verbose=0, callbacks=insight).interrupted
    assert len(insight.rows) == 3 and hooks_of(model) == 0
    assert len(model.fit(data(), batch_size=16, verbose=0).step_losses) == 6
    assert len(insight.rows) == 3


def test_an_overflow_takes_no_step_and_the_next_update_is_measured() -> None:
    insight = Insight(every=1)
    model = tl.Model(network())
    model.prepare(
        torch.optim.SGD(model.parameters(), lr=0.1), nn.CrossEntropyLoss(), precision="16-mixed"
    )
    model.fit(data(), batch_size=96, verbose=0)
    model.scaler.update(2.0**40)  # scaled so far, float16 overflows until it was halved often
    model.fit(data(), batch_size=16, verbose=0, epochs=8, callbacks=insight)
    steps = [row["step"] for row in insight.rows]
    assert steps[-1] == 48 and hooks_of(model) == 0
    first = insight.rows[0]
    assert first["step"] > 1 or first["layers"]["0 Linear"] == {
        **first["layers"]["0 Linear"],
        "gradient": None,  # a fused step leaves the weights by itself
        "update": 0.0,
    }
    assert 0.01 < insight.rows[-1]["layers"]["0 Linear"]["gradient"] < 10  # not scaled any more


# ---- when


def test_by_the_clock_it_measures_four_times_a_second(monkeypatch) -> None:
    now = [100.0]
    monkeypatch.setattr("tutorial.callbacks.insight.time.monotonic", lambda: now[0])
    tick = tl.callbacks.LambdaCallback(
        on_train_batch_begin=lambda step, logs: now.__setitem__(0, now[0] + 0.1)
    )
    insight = Insight()
    fitted(network(), tick, insight, epochs=5)
    steps = [row["step"] for row in insight.rows]
    assert steps[0] == 1 and steps[-1] >= 28
    assert all(b - a >= 3 for a, b in pairwise(steps))


def test_of_many_measurements_every_second_one_is_left_out() -> None:
    insight = Insight(every=1)
    fitted(network(), insight, epochs=60)
    steps = [row["step"] for row in insight.rows]
    assert steps[0] == 1 and len(steps) <= 160 and steps[-1] > 350
    assert len({b - a for a, b in pairwise(steps)}) == 1


def test_every_is_refused_in_words() -> None:
    for wrong in (0, -1, 2.5, True, "all"):
        with pytest.raises(ValueError, match=r"every is .*, but an integer of at least 1, or None"):
            Insight(every=wrong)  # type: ignore[arg-type]


# ---- how it is shown


def test_its_place_in_the_loop_is_printed_and_the_script_is_equal() -> None:
    model = tl.Model(network())
    model.prepare(torch.optim.SGD(model.parameters(), lr=0.1), nn.CrossEntropyLoss())
    insight = Insight(every=2)
    program = model.unroll("fit", data(), callbacks=insight, batch_size=16)
    assert "    insight.on_train_batch_begin(step, {})\n" in program.source
    history = model.fit(data(), callbacks=insight, batch_size=16, verbose=0)
    assert program.verify(history)


def test_the_picture_stands_for_itself_and_has_a_text() -> None:
    insight = Insight(every=1)
    with pytest.raises(ValueError, match=r"Insight.plot: nothing was measured yet"):
        fitted(network(), Insight(every=1)) and insight.plot()
    fitted(network(), insight)
    html = insight.plot().html
    assert 'alt="what the network does, step 12; 0 Linear: update over weight' in html
    assert "http:" not in html.replace("http://www.w3.org/2000/svg", "").lower()
    assert "<script" not in html and "healthy" in html
    assert repr(insight.plot()).splitlines()[0] == "what the network does, step 12"
    assert svg(Insight()).count("<path") < 12  # empty axes


def test_of_many_layers_some_are_drawn() -> None:
    insight = Insight(every=1)
    fitted(nn.Sequential(*[nn.Linear(8, 8) for _ in range(40)], nn.Linear(8, 3)), insight)
    picture = svg(insight)
    assert picture.count("Linear</text>") == 12
    assert ">0 Linear<" in picture and ">40 Linear<" in picture


def test_numbers_that_are_none_are_not_drawn() -> None:
    insight = Insight(every=1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that the loss is nan
        fitted(network(), insight, data=TensorDataset(X * float("nan"), Y))
    assert insight.rows[-1]["layers"]["0 Linear"]["gradient"] is None
    assert "nan" not in svg(insight).replace("Linear", "")


def test_a_panel_is_drawn_again_in_longer_and_longer_intervals(monkeypatch) -> None:
    now = [100.0]
    monkeypatch.setattr("tutorial.display.insight.time.monotonic", lambda: now[0])
    insight = Insight(every=1)
    fitted(network(), insight)
    panel = InsightPanel(insight)
    drawn = []
    for _ in range(4000):
        now[0] += 0.25
        drawn.append(id(panel.data()))
    assert sum(a != b for a, b in pairwise(drawn)) < 100
