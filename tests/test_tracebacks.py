"""What a beginner sees of an error: one screen, with their own lines and the loop's."""

import pdb
import re
import traceback
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

import tutorial as tl
from tutorial.tracebacks import own_text, readable

# ---- in a notebook

SETUP = """
import torch, tutorial as tl
from torch import nn
from torch.utils.data import DataLoader, Dataset, TensorDataset
X, Y = torch.randn(320, 1, 28, 28), torch.randint(10, (320,))
data = TensorDataset(X, Y)
batches = [(X[:64], Y[:64])] * 3 + [(X[:64, :, :20], Y[:64])]

def model(*layers, loss=nn.CrossEntropyLoss(), metrics=None):
    network = layers[0] if len(layers) == 1 else nn.Sequential(*layers)
    made = tl.Model(network)
    made.prepare(torch.optim.SGD(made.parameters(), lr=0.1), loss, metrics)
    return made

def mlp(**more):
    return model(nn.Flatten(), nn.Linear(784, 10), **more)

class Counts:
    def __init__(self):
        self.count = 0
    def at_4(self):
        self.count += 1
        if self.count == 4:
            raise KeyError("at 4")

class Hits(Counts):
    def reset(self): pass
    def update(self, y_hat, y): self.at_4()
    def compute(self): return 1.0

class Callback(tl.callbacks.Callback):
    def on_train_batch_end(self, step, logs=None):
        if step == 3:
            raise KeyError("at 4")

class Network(nn.Module, Counts):
    def __init__(self):
        super().__init__()
        self.count = 0
        self.layer = nn.Linear(784, 10)
    def forward(self, x):
        self.at_4()
        return self.layer(x.flatten(1))

class Data(Dataset):
    def __len__(self): return 320
    def __getitem__(self, i):
        return X[i], Y[i + 1]

def collate(samples):
    if len(samples) < 64:
        raise KeyError("at 4")
    return torch.stack([x for x, _ in samples]), torch.stack([y for _, y in samples])

def own(network, optimizer, loss_fn, train_data):
    for x, y in DataLoader(train_data, 64):
        loss_fn(network(x), y.labels)
"""

# A cell; words that must be there: of the message, and of lines of the user's and of the loop.
CELLS = {
    "a layer of another size": (
        "model(nn.Flatten(), nn.Linear(748, 10)).fit(data)",
        ["748"],
    ),
    "no epochs": ("mlp().fit(data, epochs=0)", ["epochs is 0"]),
    "a name": ("mlp().fit(data, epoch=2)", ["Do you mean epochs?"]),
    "too few classes": ("model(nn.Flatten(), nn.Linear(784, 9)).fit(data)", ["a label 9"]),
    "a type": ("mlp().fit(TensorDataset(X.double(), Y))", ["x.to(torch.float32)"]),
    "a loss": ("mlp(loss=nn.MSELoss()).fit(data)", ["the predictions (64, 10)"]),
    "a batch, later": (
        "mlp().fit(batches)",
        ["step 4", "y_hat = network(x)", "(64x560 and 784x10)"],
    ),
    "in evaluate": ("mlp().evaluate(batches)", ["step 4", "y_hat = network(x)"]),
    "in predict": ("mlp().predict(batches)", ["step 4", "y_hat = network(x)"]),
    "in train_batch": ("mlp().train_batch(X[:, :, :5], Y)", ["(320x140 and 784x10)"]),
    "at depth gradients": (
        "mlp().unroll('fit', batches, depth='gradients').run()",
        ["step 4", "x_0 = x.view(n, 784)"],
    ),
    "in a network": ("model(Network()).fit(data)", ["step 4", "self.at_4()", "y_hat = network(x)"]),
    "in a metric": ("mlp(metrics=Hits()).fit(data)", ["step 4", "self.at_4()", "hits.update("]),
    "in a callback": (
        "mlp().fit(data, callbacks=Callback())",
        ["step 4", 'raise KeyError("at 4")', ".on_train_batch_end(step, dict(logs))"],
    ),
    "in the data": ("mlp().fit(Data(), shuffle=False)", ["return X[i], Y[i + 1]", "step 5"]),
    "in a worker": (
        "mlp().fit(DataLoader(data, 60, collate_fn=collate, num_workers=1))",
        ['raise KeyError("at 4")'],
    ),
    "in a loop of one's own": ("mlp().fit(data, loop=own)", ["loss_fn(network(x), y.labels)"]),
}


@pytest.fixture(scope="module")
def notebook(kernel: Any) -> Any:
    kernel.run(SETUP)
    return kernel


@pytest.mark.parametrize("name", CELLS)
def test_an_error_in_a_notebook_fits_on_one_screen(name: str, notebook: Any) -> None:
    cell, words = CELLS[name]
    error, _ = notebook.end(notebook.start(cell))
    assert error
    shown = re.sub(r"\x1b\[[0-9;]*m", "", "\n".join(notebook.sent("error")[0]["traceback"]))
    for word in [*words, cell]:
        assert word in shown
    assert len(shown.splitlines()) <= 27
    assert len(re.findall(r"^File .*(tutorial|torch|python3\.\d+)/", shown, re.MULTILINE)) <= 1


def test_stop_in_a_notebook_shows_the_line_where_it_was(notebook: Any) -> None:
    request = notebook.start("mlp().predict([X] * 100_000)")
    while not notebook.messages or notebook.messages[-1]["msg_type"] != "display_data":
        notebook.messages.append(notebook.client.get_iopub_msg(timeout=60))
    notebook.manager.interrupt_kernel()
    assert notebook.end(request)[0] == "KeyboardInterrupt"
    [shown] = notebook.sent("error")
    assert len("\n".join(shown["traceback"]).splitlines()) <= 25


# ---- anywhere


class Typo(nn.Linear):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if len(x) < 32:  # such as the last batch
            raise LookupError("a short batch")
        return super().forward(x)


def shown(call: Callable[[], Any]) -> tuple[list[str], BaseException]:
    """The functions in the traceback of an error, and the error."""
    with pytest.raises(Exception, match=r"\w") as caught:
        call()
    frames = traceback.extract_tb(caught.value.__traceback__)
    return [frame.name for frame in frames[2:]], caught.value


def fails(data: Any, network: nn.Module) -> Callable[[], Any]:
    model = tl.Model(network)
    model.prepare(torch.optim.SGD(model.parameters(), lr=0.1), nn.CrossEntropyLoss())
    return lambda: model.fit(data, batch_size=64, verbose=0)


def test_own_lines_and_those_of_the_loop_are_shown(data) -> None:
    lines, error = shown(fails(data, Typo(8, 3)))
    assert lines == ["called", "<module>", "forward"]
    assert "step 3" in error.__notes__[0]


def test_a_debugger_begins_in_the_line_of_ones_own(data) -> None:
    _, error = shown(fails(data, Typo(8, 3)))
    debugger = pdb.Pdb(nosigint=True)
    debugger.reset()
    stack, place = debugger.get_stack(None, error.__traceback__)
    assert stack[place][0].f_code.co_name == "forward"
    assert len(stack[place][0].f_locals["x"]) == 22
    assert stack[place - 1][0].f_code.co_filename.startswith("<unrolled")


def test_a_switch_shows_all_lines(data, monkeypatch) -> None:
    monkeypatch.setenv("TUTORIAL_TRACEBACK", "full")
    lines, _ = shown(fails(data, Typo(8, 3)))
    assert {"_run", "run", "_call_impl"} < set(lines)


def test_what_led_to_an_error_is_shown_if_the_message_does_not_tell() -> None:
    @readable
    def chained() -> None:
        try:
            {}["key"]
        except KeyError as error:
            raise ValueError("no such thing") from error

    _, error = shown(chained)
    assert isinstance(error.__cause__, KeyError)


def test_a_misspelt_argument() -> None:
    model = tl.Model(nn.Linear(8, 3))
    for call, told in (
        (
            lambda: model.fit(None, epoch=2),
            "Model.fit has no argument 'epoch'. Do you mean epochs?",
        ),
        (lambda: model.prepare(optimiser=None), "Do you mean optimizer?"),
        (lambda: tl.Model(network=nn.Linear(8, 3), label=[]), "Model has no argument 'label'"),
        (lambda: model.parameters(True), "takes 1 positional argument but 2 were given"),
    ):
        _, error = shown(call)
        assert told in str(error)
        assert isinstance(error, TypeError)
        assert "The above exception" not in "".join(traceback.format_exception(error))


def test_a_function_with_any_names_takes_any() -> None:
    @readable
    def anything(a: int, **others: int) -> Any:
        return others

    assert anything(1, b=2) == {"b": 2}
    _, error = shown(lambda: anything(b=2))
    assert "missing 1 required positional argument" in str(error)


def test_the_text_of_a_worker_is_shortened_in_the_same_way() -> None:
    text = (
        "Caught KeyError in DataLoader worker process 0.\n"
        "Original Traceback (most recent call last):\n"
        f'  File "{torch.__file__}", line 1, in fetch\n'
        "    data = self.collate_fn(data)\n"
        "           ^^^^^^^\n"
        '  File "/home/me/train.py", line 3, in collate\n'
        '    return samples["x"]\n'
        "KeyError: 'x'\n"
    )
    assert own_text(text).splitlines() == [
        "Caught KeyError in DataLoader worker process 0.",
        "Original Traceback (most recent call last):",
        '  File "/home/me/train.py", line 3, in collate',
        '    return samples["x"]',
        "KeyError: 'x'",
    ]
    assert own_text("File away") == "File away"
