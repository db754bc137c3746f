"""Which lines belong together, against pairs that are written down by hand."""

from typing import Any

import pytest
import torch
from torch import nn
from torch.utils.data import TensorDataset

import tutorial as tl
from tutorial.callbacks import LRScheduler
from tutorial.depth.lines import code, together, translated

DATA = TensorDataset(torch.randn(10, 8), torch.arange(10) % 3)
DEPTHS = ("loop", "optimizer", "gradients")

FORWARD = """
# 0: Linear(8, 5)
x_0 = torch.addmm(b_0, x, W_0.T)
# 1: ReLU()
x_1 = torch.relu(x_0)
# 2: Linear(5, 3)
y_hat = torch.addmm(b_2, x_1, W_2.T)
"""
WRITTEN = {
    "y_hat = network(x)": f"""
W_0, b_0, W_2, b_2 = (weight.detach() for weight in network.parameters())
{FORWARD}
""",
    "loss = loss_fn(y_hat, y)": """
# the loss
log_p = y_hat.log_softmax(1)
loss = F.nll_loss(log_p, y)
""",
    "loss.backward()": """
# backward, the loss
d_log_p = torch.zeros_like(log_p).scatter_(1, y[:, None], -1 / len(y))
d_y_hat = log_softmax_backward(d_log_p, log_p, 1)
# backward, 2: Linear(5, 3)
d_x_1 = d_y_hat @ W_2
d_W_2 = d_y_hat.T @ x_1
d_b_2 = d_y_hat.sum(0)
# backward, 1: ReLU()
d_x_0 = d_x_1.masked_fill(x_1 <= 0, 0)
# backward, 0: Linear(8, 5)
d_W_0 = d_x_0.T @ x
d_b_0 = d_x_0.sum(0)
for weight, gradient in zip(network.parameters(), [d_W_0, d_b_0, d_W_2, d_b_2]):
weight.grad = gradient if weight.grad is None else weight.grad + gradient
""",
    "optimizer.zero_grad()": """
for weight in network.parameters():
weight.grad = None
""",
}
STEP = """
with torch.no_grad():
for weight in network.parameters():
gradient = weight.grad
if gradient is not None:
"""
SGD = f"{STEP} weight.add_(gradient, alpha=-0.1)"
ADAM = f"""{STEP}
state = optimizer.state[weight]
if "exp_avg" not in state:
state["step"] = torch.tensor(0.0)
state["exp_avg"] = torch.zeros_like(weight)
state["exp_avg_sq"] = torch.zeros_like(weight)
m, v = state["exp_avg"], state["exp_avg_sq"]
state["step"] += 1
t = state["step"].item()
m.lerp_(gradient, 1 - 0.9)
v.mul_(0.999).addcmul_(gradient, gradient, value=1 - 0.999)
root = (v.sqrt() / (1 - 0.999**t) ** 0.5).add_(1e-08)
weight.addcdiv_(m, root, value=-0.1 / (1 - 0.9**t))
"""


def network() -> nn.Module:
    return nn.Sequential(nn.Linear(8, 5), nn.ReLU(), nn.Linear(5, 3))


def prepared(optimizer: Any = torch.optim.SGD, of: nn.Module | None = None, **given: Any) -> Any:
    model = tl.Model(network() if of is None else of)
    loss = given.pop("loss", nn.CrossEntropyLoss())
    model.prepare(optimizer(model.parameters(), lr=0.1), loss, **given)
    return model


def sources_of(model: Any, method: str, *args: Any, **kwargs: Any) -> list[str]:
    return [model.unroll(method, *args, depth=depth, **kwargs).source for depth in DEPTHS]


def stripped(text: str) -> list[str]:
    return [code(line).strip() for line in text.splitlines() if line.strip()]


def by_part(source: str, places: Any) -> dict[int, list[str]]:
    """The lines of each part, in order."""
    found: dict[int, list[str]] = {}
    for line, place in zip(stripped(source), places, strict=True):
        found.setdefault(place.part, []).append(line)
    return found


def check_pairs(sources: list[str], written: dict[str, str]) -> None:
    """Each line of the loop is itself at each depth, or what is written down for it."""
    loop, *deeper = map(by_part, sources, together(sources))
    assert [line for lines in loop.values() for line in lines] == stripped(sources[0])
    for parts, learned_at in zip(deeper, (False, True), strict=True):
        assert parts.keys() == loop.keys()
        seen: set[str] = set()
        for part, lines in loop.items():
            [line] = lines
            of_optimizer = line.startswith("optimizer.")
            expected = written.get(line, line) if of_optimizer or learned_at else line
            if line not in seen:  # of two passes the first one is that of training
                assert parts[part] == stripped(expected), line
            seen.add(line)


@pytest.mark.parametrize(("optimizer", "rule"), [(torch.optim.SGD, SGD), (torch.optim.Adam, ADAM)])
def test_each_line_of_fit_is_with_what_it_writes_out(optimizer: Any, rule: str) -> None:
    sources = sources_of(prepared(optimizer), "fit", DATA)
    check_pairs(sources, WRITTEN | {"optimizer.step()": rule})


def test_a_pass_over_the_validation_data_is_another_part() -> None:
    sources = sources_of(prepared(), "fit", DATA, DATA)
    check_pairs(sources, WRITTEN | {"optimizer.step()": SGD})
    places = together(sources)
    parts = by_part(sources[2], places[2])
    evaluated = max(i for i, line in enumerate(stripped(sources[0])) if "network(x)" in line)
    assert parts[evaluated] == stripped(FORWARD)
    assert parts[evaluated + 1] == ["# the loss", "loss = F.nll_loss(y_hat.log_softmax(1), y)"]


def test_accumulated_gradients_and_a_scheduler() -> None:
    model = prepared()
    scheduler = LRScheduler(torch.optim.lr_scheduler.StepLR(model.optimizer, 2))
    options = {"accumulate_grad_batches": 2, "clip_grad_norm": 1.0, "callbacks": scheduler}
    sources = sources_of(model, "fit", DATA, **options)
    group = STEP.replace("for", "group = optimizer.param_groups[0]\nfor", 1)
    rule = f'{group} weight.add_(gradient, alpha=-group["lr"])\noptimizer._opt_called = True'
    forward = WRITTEN["y_hat = network(x)"].replace("# 0", "n = len(x)\n# 0", 1)
    check_pairs(
        sources,
        {
            **WRITTEN,
            "y_hat = network(x)": forward,
            "(loss * len(x)).backward()": WRITTEN["loss.backward()"].replace("-1 /", "-n /"),
            "optimizer.step()": rule,
        },
    )


def test_lines_in_numpy_are_with_those_that_they_translate() -> None:
    """Some are left out, such as network.train(); the others stand in the same order."""
    model = prepared(torch.optim.Adam)
    gradients = model.unroll("fit", DATA, depth="gradients").source
    numpy = model.unroll("fit", DATA, depth="numpy")
    loop = model.unroll("fit", DATA).source
    optimizer = model.unroll("fit", DATA, depth="optimizer").source
    of_gradients = together([loop, optimizer, gradients])[2]
    places = translated(of_gradients, numpy.translation.lines)
    found = by_part(numpy.source, places)
    lines = stripped(loop)
    assert found[lines.index("loss = loss_fn(y_hat, y)")] == [
        *("# the loss", "log_p = log_softmax(y_hat, 1)"),
        "loss = -log_p[np.arange(len(y)), y].mean()",
    ]
    [*_, last] = found[lines.index("optimizer.step()")]
    assert last.startswith("weight.data -= ")
    assert found[lines.index("optimizer.zero_grad()")] == stripped(WRITTEN["optimizer.zero_grad()"])
    assert found[lines.index("loss.backward()")][:2] == [
        "# backward, the loss",
        "d_log_p = scatter(np.zeros_like(log_p), 1, y[:, None], -1 / len(y))",
    ]
    assert lines.index("network.train()") not in found
    layers = {place.layer for place in places}
    assert layers == {place.layer for place in of_gradients}


def test_forward_and_backward_of_a_layer_have_its_number() -> None:
    sources = sources_of(prepared(), "fit", DATA, DATA)
    layers: dict[int, list[str]] = {}
    for line, place in zip(stripped(sources[2]), together(sources)[2], strict=True):
        layers.setdefault(place.layer, []).append(line)
    titled = {lines[0].removeprefix("# "): lines for layer, lines in layers.items() if layer}
    assert titled.keys() == {"0: Linear(8, 5)", "1: ReLU()", "2: Linear(5, 3)", "the loss"}
    forward = ["# 2: Linear(5, 3)", "y_hat = torch.addmm(b_2, x_1, W_2.T)"]
    assert titled["2: Linear(5, 3)"] == [
        *forward,
        *("# backward, 2: Linear(5, 3)", "d_x_1 = d_y_hat @ W_2"),
        *("d_W_2 = d_y_hat.T @ x_1", "d_b_2 = d_y_hat.sum(0)"),
        *forward,  # with the validation data
    ]


class TwoHeads(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Linear(8, 3), nn.Linear(8, 3)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return self.a(x), self.b(x)


LOSSES = [nn.CrossEntropyLoss(ignore_index=-1), nn.CrossEntropyLoss()]
LABELS = torch.arange(10) % 3
CALLS: dict[str, Any] = {
    "two losses": lambda: sources_of(
        prepared(of=TwoHeads(), loss=LOSSES), "fit", TensorDataset(DATA.tensors[0], LABELS, LABELS)
    ),
    "16 bits": lambda: sources_of(prepared(precision="bf16-mixed"), "fit", DATA, DATA),
    "labels to ignore": lambda: sources_of(
        prepared(loss=nn.CrossEntropyLoss(ignore_index=0)), "fit", DATA, accumulate_grad_batches=3
    ),
    "one batch": lambda: sources_of(prepared(), "train_batch", *DATA[:4]),
    "evaluate": lambda: sources_of(prepared(), "evaluate", DATA),
    "predict": lambda: sources_of(prepared(), "predict", DATA),
}


@pytest.mark.parametrize("name", CALLS)
def test_every_part_is_at_every_depth_and_in_order(name: str) -> None:
    sources = CALLS[name]()
    places = together(sources)
    loop = [code(line) for line in sources[0].splitlines()]
    for source, each in zip(sources, places, strict=True):
        assert len(each) == len(source.splitlines())
        assert {place.part for place in each} == {place.part for place in places[0]}
    in_order = -1
    for line, place in zip(map(code, sources[2].splitlines()), places[2], strict=True):
        of = loop[place.part]
        if line in loop:
            assert line == of
        elif "# backward, " in line:
            assert ".backward()" in of
        elif line.endswith("# the loss"):
            assert "loss_fn" in of
        elif line.lstrip().startswith("# "):
            assert "network(" in of or "autocast" in of
        # What is defined first of all, and what only counts labels, may stand further above.
        if not line.startswith("W_") and "count_nonzero" not in line:
            assert place.part >= in_order
            in_order = place.part
