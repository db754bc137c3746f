"""Replay: what is recorded is what fit does, line by line; and nothing moves."""

import random
import sys
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn, optim
from torch.utils.data import DataLoader, TensorDataset

import tutorial as tl
from tutorial.metrics import Accuracy
from tutorial.unroll.proof import flat, identical
from tutorial.unroll.replay import Replay
from tutorial.unroll.replay.recorder import Recorder
from tutorial.unroll.replay.summaries import picture, summary


def data(samples: int = 20) -> TensorDataset:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(samples, 6, generator=generator)
    return TensorDataset(x, (x.sum(1) > 0).long())


def prepared(optimizer: Any = optim.Adam, **options: Any) -> tl.Model:
    tl.seed(0)
    network = nn.Sequential(nn.Linear(6, 5), nn.ReLU(), nn.Dropout(0.2), nn.Linear(5, 2))
    model = tl.Model(network)
    model.prepare(optimizer(network.parameters(), **options), nn.CrossEntropyLoss(), Accuracy())
    return model


def losses(replay: Replay, name: str = "loss") -> list[float]:
    """The loss after each line that has changed it."""
    moments, values = replay.recording["moments"], replay.recording["values"]
    return [values[m["set"][name]]["value"] for m in moments if name in m["set"]]


def line_of(replay: Replay, moment: dict[str, Any]) -> str:
    return replay.recording["lines"][moment["line"] - 1].partition("  #")[0].strip()


def changes(replay: Replay) -> dict[str, tuple[list[str], list[str]]]:
    """By the line that was run: the names that it has changed the last time, and has removed."""
    return {line_of(replay, m): ([*m["set"]], m["gone"]) for m in replay.recording["moments"]}


# ---- it is what fit does


@pytest.mark.parametrize("depth", ["loop", "optimizer", "gradients"])
@pytest.mark.parametrize("threads", [1, 2])
def test_the_losses_are_those_of_fit_in_every_bit(depth: str, threads: int) -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        model = prepared()
        replay = model.unroll("fit", data(), batch_size=8, depth=depth).replay(steps=3)
        fitted = prepared().fit(data(), batch_size=8, verbose=0)
    finally:
        torch.set_num_threads(before)
    assert losses(replay) == replay.step_losses == fitted.step_losses
    assert len(fitted.step_losses) == 3


def test_with_numpy_they_are_as_near_as_the_proof_demands() -> None:
    replay = prepared().unroll("fit", data(), batch_size=8, depth="numpy").replay()
    fitted = prepared().fit(data(), batch_size=8, verbose=0)
    assert losses(replay) == pytest.approx(fitted.step_losses[:2], rel=1e-6)
    assert {"x", "W_0", "W_0.grad", "d_W_0"} <= replay.at(len(replay) - 40).keys()
    assert replay.at(9)["x"]["type"] == "array"


def everything(model: tl.Model, *loaders: Any) -> dict[str, Any]:
    return flat(
        {
            "network": model.network.state_dict(),
            "optimizer": model.optimizer.state_dict(),
            "torch": torch.get_rng_state(),
            "numpy": np.random.get_state()[1].astype(np.int64).tolist(),
            "python": list(random.getstate()[1]),
            "modes": [m.training for m in model.network.modules()],
            "generators": [loader.generator.get_state() for loader in loaders],
            "grads": [w.grad for w in model.network.parameters() if w.grad is not None],
        }
    )


@pytest.mark.parametrize("forks", [True, False])
@pytest.mark.parametrize("depth", ["loop", "gradients", "numpy"])
def test_nothing_moves(depth: str, forks: bool, monkeypatch: Any) -> None:
    monkeypatch.setattr("tutorial.unroll.proof.can_fork", lambda model: forks)
    model = prepared()
    loader = DataLoader(data(), 8, shuffle=True, generator=torch.Generator().manual_seed(3))
    model.fit(loader, verbose=0)
    history, before = model.history, everything(model, loader)
    model.network.eval()
    before |= flat({"modes": [m.training for m in model.network.modules()]})
    model.unroll("fit", loader, data(), epochs=2, depth=depth).replay()
    after = everything(model, loader)
    assert [key for key in before | after if not identical(before.get(key), after.get(key))] == []
    assert model.history is history


def test_prints_of_the_loop_are_not_shown(capfd: Any) -> None:
    prepared().unroll("fit", data(), batch_size=1, log_freq=1, verbose=2).replay()
    assert capfd.readouterr() == ("", "")


def test_a_debugger_s_trace_function_is_back_afterwards(monkeypatch: Any) -> None:
    monkeypatch.setattr("tutorial.unroll.proof.can_fork", lambda model: False)

    def trace(frame: Any, event: str, argument: Any) -> None:
        return None

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        prepared().unroll("fit", data()).replay()
        assert sys.gettrace() is trace
    finally:
        sys.settrace(before)


# ---- what each line changes


@pytest.mark.parametrize("fused", [True, False])
def test_each_line_has_changed_what_it_changes(fused: bool) -> None:
    """A fused optimizer does not count its changes in a tensor's version: bits are compared."""
    replay = prepared(optim.SGD, lr=0.1, fused=fused).unroll("fit", data(), batch_size=8).replay()
    found = changes(replay)
    weights = [f"network.{i}.{kind}" for i in (0, 3) for kind in ("weight", "bias")]
    gradients = [f"{name}.grad" for name in weights]
    assert found["for step, (x, y) in enumerate(train_loader):"] == (["step", "x", "y"], [])
    assert found["y_hat = network(x)"] == (["y_hat"], [])
    assert found["loss = loss_fn(y_hat, y)"] == (["loss"], [])
    assert found["loss.backward()"] == (gradients, [])
    assert found["optimizer.step()"] == (weights, [])
    assert found["optimizer.zero_grad()"] == ([], gradients)
    learned = [m for m in replay.recording["moments"] if m["weights"]]
    assert [line_of(replay, m) for m in learned] == ["optimizer.step()"] * 2
    assert [(m["epoch"], m["step"]) for m in learned] == [(0, 0), (0, 1)]


def test_a_step_of_sgd_has_the_size_of_its_gradient() -> None:
    replay = prepared(optim.SGD, lr=0.25).unroll("fit", data(), batch_size=8).replay(1)
    (moment,) = (i for i, m in enumerate(replay.recording["moments"]) if m["weights"])
    before, after = replay.at(moment - 1), replay.at(moment)
    model = prepared(optim.SGD, lr=0.25)
    weight = model.network[0].weight.detach().clone()
    model.fit(data(), batch_size=8, num_iters=1, verbose=0)
    size = (model.network[0].weight - weight).norm().item()
    moved = after["network.0.weight"]["moved"]
    assert moved["size"] == pytest.approx(size, rel=1e-5)
    assert moved["share"] == pytest.approx(size / weight.norm().item(), rel=1e-5)
    assert "moved" not in before["network.0.weight"]


def test_at_depth_gradients_each_layer_has_its_line() -> None:
    found = changes(prepared().unroll("fit", data(), batch_size=8, depth="gradients").replay(1))
    assert found["d_W_3 = d_y_hat.T @ x_2"][0] == ["d_W_3"]
    assert any("W_0" in names for names, _ in found.values())
    assert not any(name.startswith("network.") for names, _ in found.values() for name in names)


def test_batch_norm_s_buffers_are_seen() -> None:
    tl.seed(0)
    network = nn.Sequential(nn.BatchNorm1d(6), nn.Linear(6, 2))
    model = tl.Model(network)
    model.prepare(optim.SGD(network.parameters(), lr=0.1), nn.CrossEntropyLoss())
    found = changes(model.unroll("fit", data(), batch_size=8).replay(1))
    buffers = ["network.0.running_mean", "network.0.running_var", "network.0.num_batches_tracked"]
    assert found["y_hat = network(x)"][0] == ["y_hat", *buffers]


def test_names_in_a_batch_that_is_a_dict() -> None:
    class Named(torch.utils.data.Dataset[Any]):
        def __len__(self) -> int:
            return 16

        def __getitem__(self, i: int) -> Any:
            return {"x": torch.full((6,), float(i)), "y": i % 2}

    def own(network: Any, train_data: Any, optimizer: Any, loss_fn: Any) -> list[float]:
        step_losses = []
        for batch in DataLoader(train_data, batch_size=8):
            loss = loss_fn(network(batch["x"]), batch["y"])
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()
            step_losses.append(loss.item())
        return step_losses

    model = prepared()
    replay = model.unroll("fit", Named(), batch_size=8, loop=own).replay(1)
    found = changes(replay)
    head = found["for batch in DataLoader(train_data, batch_size=8):"]
    assert head[0] == ["batch['x']", "batch['y']"]
    assert len(losses(replay)) == 1


class Convolutions(nn.Sequential):
    def __init__(self) -> None:
        super().__init__(
            nn.Unflatten(1, (1, 2, 3)), nn.Conv2d(1, 3, 2), nn.BatchNorm2d(3), nn.ReLU(),
            nn.Flatten(), nn.Linear(6, 2),
        )  # fmt: skip


class Recurrent(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.gru, self.head = nn.GRU(2, 4, batch_first=True), nn.Linear(4, 2)
        self.register_buffer("seen", torch.zeros(()))

    def forward(self, x: Any) -> Any:
        self.seen.data += len(x)
        return self.head(self.gru(x.reshape(-1, 3, 2))[0][:, -1])


AROUND = """
step_losses = []
weights = [*network.parameters()]
sums = network[0].weight.detach().numpy()
for x, y in Batches(train_data, batch_size=8):
    loss = loss_fn(network(x), y)
    loss.backward()
    for i in range(len(weights)):
        weights[i].data -= 0.1 * weights[i].grad
        weights[i].grad.data.mul_(0)
    sums *= 0.99
    network[3].bias.data[0] = 0.5
    with torch.no_grad():
        torch._foreach_mul_(weights, 0.999)
    row = network[3].weight.data[0]
    row *= 0.99
    step_losses.append(loss.item())
"""

RECORDED = {
    "fused": {"optimizer": partial(optim.SGD, lr=0.1, momentum=0.9, fused=True)},
    "foreach": {"optimizer": partial(optim.AdamW, foreach=True)},
    "convolutions": {"network": Convolutions},
    "convolutions, rule": {"network": Convolutions, "depth": "optimizer"},
    "convolutions, gradients": {"network": Convolutions, "depth": "gradients"},
    "convolutions, numpy": {"network": Convolutions, "depth": "numpy"},
    "recurrent": {"network": Recurrent},
    "accumulated": {"accumulate_grad_batches": 2, "clip_grad_norm": 0.1},
    "16 bits": {"precision": "bf16-mixed"},
    "evaluated": {"eval_data": True, "batch_size": 16},
    "own": {"loop": AROUND},
}


@pytest.mark.parametrize("case", RECORDED)
def test_what_is_not_compared_has_not_changed(case: str, monkeypatch: Any) -> None:
    """The same is recorded as where every value is compared bit by bit after every line."""
    options: dict[str, Any] = {"batch_size": 8, **RECORDED[case]}
    parts = {key: options.pop(key, None) for key in ("optimizer", "network", "precision")}
    if options.get("eval_data"):
        options["eval_data"] = data()
    recordings = []
    for suspects in (Recorder.suspects, lambda *_: lambda known: True):
        monkeypatch.setattr(Recorder, "suspects", suspects)
        model = prepared(parts["optimizer"] or optim.Adam)
        if parts["network"] or parts["precision"]:
            network = parts["network"]() if parts["network"] else model.network
            model = tl.Model(network)
            optimizer = optim.Adam(network.parameters())
            model.prepare(optimizer, nn.CrossEntropyLoss(), None, parts["precision"] or "32")
        tl.seed(1)
        recordings.append(model.unroll("fit", data(), **options).replay(2).recording)
        if case == "own":
            assert {m["line"] for m in recordings[0]["moments"] if m["weights"]} == {
                9,
                11,
                12,
                14,
                16,
            }
    quick, slow = recordings
    assert quick["moments"] == slow["moments"] and quick["values"] == slow["values"]


# ---- which lines


def test_of_an_evaluation_one_batch_is_recorded() -> None:
    replay = prepared().unroll("fit", data(4), data(), batch_size=4, epochs=2).replay()
    lines = [line_of(replay, m) for m in replay.recording["moments"]]
    assert lines.count("loss = loss_fn(y_hat, y)") == 3  # two steps, and one batch of evaluation
    assert "4 more batches of the evaluation" in replay.recording["cut"]
    trained = [loss for i, loss in enumerate(losses(replay)) if i in (0, 3)]  # 1 and 2: evaluation
    assert trained == prepared().fit(data(4), data(), 4, 2, verbose=0).step_losses


@pytest.mark.parametrize("method", ["evaluate", "predict"])
def test_a_pass_that_does_not_learn(method: str) -> None:
    replay = prepared().unroll(method, data(), batch_size=8).replay()
    assert [m["step"] for m in replay.recording["moments"]][-1] == 1
    assert not any(m["weights"] for m in replay.recording["moments"])


def test_a_call_without_a_loop_and_one_with_fewer_steps() -> None:
    x, y = data().tensors
    replay = prepared().unroll("train_batch", x, y).replay()
    assert sum(m["weights"] for m in replay.recording["moments"]) == 1
    assert replay.recording["cut"] == ""
    replay = prepared().unroll("fit", data(), batch_size=8).replay(100)
    assert len(losses(replay)) == 3 and replay.recording["cut"] == ""


OWN = """
step_losses = []

def update(network, rate):
    for weight in network.parameters():
        weight.data -= rate * weight.grad
        weight.grad = None

i = 0
while i < 20:
    x, y = train_data[i : i + 5]
    loss = loss_fn(network(x), y)
    loss.backward()
    update(network, 0.1)
    step_losses.append(loss.item())
    i += 5
"""


def test_a_loop_of_one_s_own_with_a_function_of_its_own() -> None:
    model = prepared()
    replay = model.unroll("fit", data(), loop=OWN).replay()
    assert losses(replay) == prepared().fit(data(), loop=OWN, verbose=0).step_losses[:2]
    moments = replay.recording["moments"]
    learned = [line_of(replay, m) for m in moments if m["weights"]]
    assert learned == ["weight.data -= rate * weight.grad"] * 8
    (call,) = {m["line"] for m in moments if line_of(replay, m) == "update(network, 0.1)"}
    assert next(m["gone"] for m in moments if m["line"] == call) == ["rate", "weight"]


def test_a_statement_of_several_lines_is_one(monkeypatch: Any) -> None:
    wide = OWN.replace(
        "loss_fn(network(x), y)",
        "loss_fn(\n        network(\n            x\n        ),\n        y,\n    )",
    )
    replay = prepared().unroll("fit", data(), loop=wide).replay()
    found = [m["line"] for m in replay.recording["moments"]]
    plain = prepared().unroll("fit", data(), loop=OWN).replay()
    assert len(found) == len(plain) and replay.step_losses == plain.step_losses
    assert found.count(12) == 2 and not {13, 14, 15, 16, 17} & {*found}


def test_an_error_ends_it_at_its_line_with_the_shapes_there() -> None:
    wrong = OWN.replace("loss_fn(network(x), y)", "loss_fn(network(x), y[:3])")
    replay = prepared().unroll("fit", data(), loop=wrong).replay()
    assert line_of(replay, replay.recording["moments"][-1]).startswith("loss = loss_fn(")
    assert replay.recording["error"]["line"] == 12
    assert "ValueError: Expected input batch_size (5)" in replay.error
    assert replay.at(len(replay) - 1)["x"]["shape"] == [5, 6]


def test_an_error_in_a_later_batch_and_in_what_the_loop_calls() -> None:
    class Breaks(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(6, 2)

        def forward(self, x: Any) -> Any:
            if len(x) < 8:
                raise RuntimeError("too short")
            return self.layer(x)

    network = Breaks()
    model = tl.Model(network)
    model.prepare(optim.SGD(network.parameters(), lr=0.1), nn.CrossEntropyLoss())
    replay = model.unroll("fit", data(), batch_size=8, shuffle=False).replay(5)
    assert line_of(replay, replay.recording["moments"][-1]) == "y_hat = network(x)"
    assert "RuntimeError: too short" in replay.error and "step 3" in replay.error
    assert replay.at(len(replay) - 1)["x"]["shape"] == [4, 6]


def test_callbacks_are_called_and_leave_no_file(tmp_path: Path) -> None:
    folder = tmp_path / "kept"
    model = prepared()
    callback = tl.callbacks.CSVLogger(str(folder / "log.csv"))
    program = model.unroll("fit", data(), batch_size=8, save_dir=str(folder), callbacks=[callback])
    program.replay(10)
    assert not folder.exists()


@pytest.mark.parametrize("steps", [0, -1, 1.5, "2", True])
def test_steps_are_refused_that_are_no_count(steps: Any) -> None:
    with pytest.raises((ValueError, TypeError), match="steps is"):
        prepared().unroll("fit", data()).replay(steps)


# ---- what is shown of a value


def test_a_summary_is_of_the_finite_numbers() -> None:
    numbers = torch.tensor([[1.0, float("nan"), -3.0], [float("inf"), 2.0, 4.0]])
    found = summary(numbers)
    assert (found["mean"], found["min"], found["max"], found["nan"]) == (1.0, -3.0, 4.0, 2)
    assert summary(torch.empty(0, 3))["picture"] is None
    assert summary(torch.tensor(float("nan")))["text"] == "nan"
    for odd in (torch.eye(3).to_sparse(), torch.ones(2, dtype=torch.complex64), np.array(["a"])):
        assert summary(odd)


@pytest.mark.parametrize(
    ("shape", "kind", "size"),
    [
        ((7,), "bars", (7, 1, 1)),
        ((500,), "bars", (48, 1, 1)),
        ((3, 5), "matrix", (5, 3, 1)),
        ((512, 784), "matrix", (24, 24, 1)),
        ((64, 1, 28, 28), "images", (28, 28, 4)),
        ((64, 3, 224, 224), "images", (28, 28, 4)),
        ((64, 16, 14, 14), "maps", (12, 12, 8)),
        ((6, 1, 5, 5), "maps", (5, 5, 6)),
        ((8, 4, 5), "maps", (5, 4, 8)),
    ],
)
def test_pictures(shape: tuple[int, ...], kind: str, size: tuple[int, int, int]) -> None:
    found = picture(torch.randn(shape))
    assert found is not None
    assert (found["width"], found["height"], found["count"]) == size
    assert found["kind"] == kind


def test_a_picture_holds_the_numbers() -> None:
    import base64

    found = picture(torch.tensor([[-2.0, 0.0], [1.0, float("nan")]]))
    assert found is not None
    assert [*base64.b64decode(found["data"])] == [0, 127, 190, 255]
    assert (found["low"], found["high"]) == (-2.0, 2.0)


# ---- whatever a loop of one's own names, and however it goes


def own_step(network: Any, loss_fn: Any, optimizer: Any, x: Any, y: Any) -> float:
    loss = loss_fn(network(x), y)
    loss.backward()
    optimizer.step()
    optimizer.zero_grad()
    return loss.item()


def replay_of_own(around: str = "pass", before: str = "pass") -> Replay:
    """A loop with such a line in each step, and such a one before it; fit runs it, too."""
    loop = OWN.replace("i = 0", f"{before}\ni = 0").replace("i += 5", f"i += 5\n    {around}")
    replay = prepared().unroll("fit", data(), loop=loop).replay()
    fitted = prepared().fit(data(), loop=loop, verbose=0)
    assert replay.error == "" and replay.step_losses == fitted.step_losses[:2]
    assert replay._repr_html_().encode()
    return replay


VALUES = {
    "a dict that holds itself": ("{'x': torch.ones(2)}; v['v'] = v", {"v['x']"}),
    "a list that holds itself": ("[1]; v.append(v)", {"v"}),
    "a very large integer": ("10**6000", {"v"}),
    "the other order of bytes": ("np.ones(3, '>f4')", {"v"}),
    "longer numbers": ("np.ones(3, np.longdouble)", {"v"}),
    "numbers of 8 bits": ("torch.ones(3).to(torch.float8_e4m3fn)", {"v"}),
    "nested": ("torch.nested.nested_tensor([torch.ones(1)], layout=torch.jagged)", {"v"}),
    "without numbers": ("[torch.empty((), device='meta')]", {"v"}),
    "a key of a class": ("{type('Key', (), {'__repr__': None})(): torch.ones(2)}", {"v[Key]"}),
    "data that cannot be had": ("type('D', (), {'data': property(lambda d: 1 / 0)})()", {"v"}),
}


@pytest.mark.parametrize("case", VALUES)
def test_what_a_name_stands_for_never_ends_a_replay(case: str) -> None:
    value, names = VALUES[case]
    replay = replay_of_own(before=f"import numpy as np, torch\nv = {value}")
    assert names <= replay.at(len(replay) - 1).keys()


def test_an_object_s_own_data_is_not_taken_for_a_weight() -> None:
    class Own:
        def __init__(self) -> None:
            self.data, self.targets = np.ones((50, 4)), [1]

    def own(network: Any, train_data: Any, optimizer: Any, loss_fn: Any) -> list[float]:
        samples = Own()
        losses = []
        for x, y in DataLoader(train_data, batch_size=8):
            losses.append(own_step(network, loss_fn, optimizer, x, y))
        assert samples
        return losses

    replay = prepared().unroll("fit", data(), loop=own).replay()
    assert replay.at(len(replay) - 1)["samples"] == {"type": "text", "text": "Own"}
    # The steps are counted, and their losses found, also where a function elsewhere takes them.
    assert replay.step_losses == prepared().fit(data(), loop=own, verbose=0).step_losses[:2]


AROUNDS = [
    "with torch.inference_mode(): z = network(x) * 2",
    "g = torch.func.grad(lambda w: (w * 2).sum())(x)",
    "each = torch.func.vmap(lambda row: row * 2)(x)",
    "for k in range(3): k * 2",
]


@pytest.mark.parametrize("around", AROUNDS)
def test_a_step_may_do_this(around: str) -> None:
    replay_of_own(around, before="import torch")


def test_stand_ins_of_a_function_that_is_differentiated() -> None:
    def own(network: Any, train_data: Any, loss_fn: Any) -> list[float]:
        weights, step_losses = dict(network.named_parameters()), []

        def measured(weights: Any, x: Any, y: Any) -> Any:
            y_hat = torch.func.functional_call(network, weights, (x,))
            return loss_fn(y_hat, y)

        for x, y in DataLoader(train_data, batch_size=8):
            gradients, loss = torch.func.grad_and_value(measured)(weights, x, y)
            for name in weights:
                weights[name].data -= 0.1 * gradients[name]
            step_losses.append(loss.item())
        return step_losses

    model = prepared()
    model.network[2].p = 0.0
    replay = model.unroll("fit", data(), loop=own).replay()
    assert replay.error == "" and len(replay.step_losses) >= 2


def test_integers_among_the_weights_may_change() -> None:
    class Counts(nn.Sequential):
        def __init__(self) -> None:
            super().__init__(nn.Linear(6, 2))
            self.count = nn.Parameter(torch.tensor([3, 4]), requires_grad=False)
            self.flag = nn.Parameter(torch.tensor([True]), requires_grad=False)

        def forward(self, x: Any) -> Any:
            self.count.data += 1
            self.flag.data = ~self.flag.data
            return super().forward(x)

    network = Counts()
    model = tl.Model(network)
    model.prepare(optim.SGD(network.parameters(), lr=0.1), nn.CrossEntropyLoss())
    replay = model.unroll("fit", data(), batch_size=8).replay(1)
    assert replay.error == ""
    assert replay.at(len(replay) - 1)["network.count"]["moved"]["size"] == pytest.approx(2**0.5)


@pytest.mark.parametrize(
    "first", ["for k in range(3):\n        k", "with open(name):\n        k = 1"]
)
def test_a_step_begins_with_a_loop_or_a_with(first: str, tmp_path: Path) -> None:
    name = tmp_path / "there"
    name.write_text("")
    lines = OWN.replace("while i < 20:", f"while True:\n    {first}\n    if i == 20: break")
    replay = prepared().unroll("fit", data(), loop=f"name = {str(name)!r}\n{lines}").replay()
    assert len(losses(replay)) == 2 and replay.error == ""
    assert "until step 2 was done" in replay.recording["cut"]


def test_a_loop_within_a_step_may_learn_too() -> None:
    inner = "loss_fn(network(x), y).backward()\n        update(network, 0.1)"
    loop = OWN.replace("    loss =", f"    for k in range(3):\n        {inner}\n    loss =")
    replay = prepared().unroll("fit", data(), loop=loop).replay()
    assert replay.step_losses == prepared().fit(data(), loop=loop, verbose=0).step_losses[:2]


def test_a_tensor_s_own_class_is_not_asked() -> None:
    refuses = "classmethod(lambda c, f, t, a=(), k=None: 1 / 0)"
    own = f"T = type('T', (torch.Tensor,), {{'__torch_function__': {refuses}}})"
    replay = replay_of_own(before=f"import torch\n{own}\nv = torch.ones(2).as_subclass(T)")
    assert replay.at(len(replay) - 1)["v"]["mean"] == 1.0


def test_characters_that_end_no_line_of_python() -> None:
    loop = f"s = 'a\x0cb\u2028c\x85d'\n\x0c\n{OWN}"
    replay = prepared().unroll("fit", data(), loop=loop).replay()
    lines = replay.recording["lines"]
    assert lines[0] == "s = 'a\x0cb\u2028c\x85d'"
    assert replay._repr_html_().count('<span class="l">') == len(lines)
    learned = [line_of(replay, m) for m in replay.recording["moments"] if m["weights"]]
    assert set(learned) == {"weight.data -= rate * weight.grad"}


def test_sys_exit_in_a_loop_ends_it_at_its_line(tmp_path: Path) -> None:
    wrong = OWN.replace("i += 5", "import sys; sys.exit('</script>\\ud800')")
    replay = prepared().unroll("fit", data(), loop=wrong).replay()
    assert replay.error.startswith("SystemExit: </script>")
    assert len(replay.step_losses) == 1
    page = replay.save(tmp_path / "replay.html").read_text(encoding="utf-8")
    assert page.count("</script>") == page.count("<script") == 2


def test_a_long_error_is_shortened() -> None:
    wrong = OWN.replace("i += 5", "raise RuntimeError('x' * 100_000 + 'end')")
    replay = prepared().unroll("fit", data(), loop=wrong).replay()
    assert len(replay.error) < 3000 and "end" in replay.error[-100:]


def test_a_loop_whose_lines_cannot_be_read_is_refused_in_words() -> None:
    exec("def made(network, train_data): return []", space := {})
    for loop in (partial(own_step), space["made"]):
        with pytest.raises(ValueError, match=r"replay: loop is .*lines cannot be read"):
            prepared().unroll("fit", data(), loop=loop).replay()


def test_an_error_beside_the_loop_is_fit_s_own() -> None:
    """Such as data that gives no batch: not a traceback of what records it."""

    class Nothing(torch.utils.data.IterableDataset[Any]):
        def __iter__(self) -> Any:
            return iter([])

    model = tl.Model(nn.Linear(6, 2), check=False)
    model.prepare(optim.SGD(model.network.parameters(), lr=0.1), nn.CrossEntropyLoss())
    for call in (model.fit, lambda data: model.unroll("fit", data).replay()):
        with pytest.raises(ValueError, match="gave no batch"):
            call(Nothing())


@pytest.mark.parametrize("path", [3, None, "", b"x", "a\0b"])
def test_a_path_is_refused_that_is_none(path: Any) -> None:
    with pytest.raises(ValueError, match=r"path is .*a file's name"):
        Replay({"title": "fit()", "error": None}, []).save(path)
