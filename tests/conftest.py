"""How the tests are organized, and what many of them share.

A file tests a module or a promise: test_equality.py the first one of all, that a call, its script
in a fresh process and the loop by hand agree in every bit. What is compared with is written without
the library, in by_hand.py and oracles.py; mutants.py breaks each line of the loop, and prints which
of these notices (`make mutants`); situations/ has what users bring, each compared with a loop by
hand (`make situations` prints the table); misuses.py has what they do wrong, and the words that
they get (`python tests/misuses.py` prints them); data, networks and callbacks of several files are
in fakes.py; warm.py makes processes, browser.py drives notebooks, golden/ holds programs as they
are printed.
Random calls, of whatever a call can be made of, are compared with a loop by hand: test_random.py
and random_*.py.
`make test` takes ten minutes: it leaves out what is marked `slow`, and of the five tables of
options it takes the day's. Whatever has slow tests has a quick one, too. `make test-all`, and so
.ci/run, takes everything.

Shared are, below: small data, a small network and a model around it; a Jupyter kernel, server and
browser.
"""

import os
import re
import shutil
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date
from typing import Any

import pytest
import torch
import warm
from torch import nn
from torch.utils.data import TensorDataset

import tutorial as tl
from tutorial.unroll import proof

# One of the five tables of test_equality.py a day; the workers are told which by this process.
os.environ.setdefault("PAIRWISE_SEED", str(date.today().toordinal() % 5))

FRESH_PROCESS, proof.fresh_process = proof.fresh_process, warm.run


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--write-golden", action="store_true", help="write tests/golden anew")


def pytest_configure(config: pytest.Config) -> None:
    """Whoever begins the tests starts the warm Python, which all workers use."""
    if not hasattr(config, "workerinput"):
        python = warm.warm_python()
        python.__enter__()
        config.add_cleanup(lambda: python.__exit__(None, None, None))


def pytest_report_header() -> str:
    seed = os.environ["PAIRWISE_SEED"]
    return f"table of options: {seed} of 0 to 4; PAIRWISE_SEED={seed} make test takes it again"


# Networks that import transformers and torch_geometric, which takes seconds: only if they are used.
collect_ignore = ["situations/graphs.py", "situations/pretrained.py"]

# The files that take longest, by what they need alone on a core: two minutes down to 15 seconds.
LONGEST = [
    *(
        "test_random",
        "test_situations",
        "test_browser",
        "test_equality",
        "test_labextension",
        "test_torchrun",
    ),
    *("test_resume", "test_layers"),
    *("test_quality", "test_book", "test_processes", "01_train_evaluate_predict"),
    *("test_draw_digit", "test_packaging", "test_nbgrader", "test_script", "test_grade"),
    *("test_batches", "test_export", "test_interrupts", "11_save_resume_export_serve"),
    *(
        "02_callbacks_and_checkpoints",
        "10_from_slow_to_the_limit",
        "test_cell",
        "07_learning_rates",
    ),
]


# A shell that runs the tests in the background has them ignore interrupts, which many are about.
if threading.current_thread() is threading.main_thread():
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest files come first: in the end no worker waits for another one's last file."""
    place = {name: i for i, name in enumerate(LONGEST)}
    items.sort(key=lambda item: place.get(item.path.stem, len(place)))


@pytest.fixture
def new_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """The process of a proof, and a kernel, are made here as they are for users."""
    monkeypatch.setattr(proof, "fresh_process", FRESH_PROCESS)
    monkeypatch.delenv("JUPYTER_PATH")


@pytest.fixture(autouse=True)
def _begin_anew() -> Iterator[None]:
    tl.set_device("cpu")
    tl.seed(0)
    flushing = torch.tensor(1e-39) * 1.0 == 0
    yield
    assert (torch.tensor(1e-39) * 1.0 == 0) == flushing, "a test left flush-to-zero changed"


@pytest.fixture
def data() -> TensorDataset:
    """150 points in 8 dimensions, of 3 classes that a line tells apart; 150 = 4 * 32 + 22."""
    x = torch.randn(150, 8)
    return TensorDataset(x, (x @ torch.randn(8, 3)).argmax(1))


@pytest.fixture
def more_data() -> TensorDataset:
    x = torch.randn(70, 8)
    return TensorDataset(x, torch.randint(3, (70,)))


def small_network() -> nn.Sequential:
    return nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Dropout(0.2), nn.Linear(16, 3))


@pytest.fixture
def make_model() -> Callable[..., tl.Model]:
    """A prepared model: the same weights in every call."""

    def make(metrics: object = None, optimizer: Callable = torch.optim.Adam, **options: object):
        tl.seed(1)
        model = tl.Model(small_network())
        chosen = optimizer(model.parameters(), **({"lr": 0.01} | options))
        model.prepare(chosen, nn.CrossEntropyLoss(), metrics)
        return model

    return make


class Kernel:
    """A Jupyter kernel, in a process of its own.

    Attributes:
        attended: whether somebody could answer a question, as in a notebook's front end.
        messages: what the last cell sent, in order.
        request: the message's id.
    """

    attended = True
    request = ""

    def __init__(self, manager: Any, client: Any) -> None:
        self.manager, self.client = manager, client
        self.messages: list[dict[str, Any]] = []

    def start(self, code: str) -> str:
        """Start a cell; its message's id."""
        self.messages = []
        return self.client.execute(code, allow_stdin=self.attended)

    def end(self, request: str) -> tuple[str, str]:
        """Wait for the end of the cell; the name of its error ('' if none), and its output."""
        error, output = "", ""
        while True:
            message = self.client.get_iopub_msg(timeout=60)
            if message["parent_header"].get("msg_id") != request:
                continue
            self.messages.append(message)
            content = message["content"]
            if message["msg_type"] == "error":
                error = content["ename"]
                output += "\n".join(content["traceback"])
            elif message["msg_type"] == "stream":
                output += content["text"]
            elif message["msg_type"] == "status" and content["execution_state"] == "idle":
                break
        self.request = request
        return error, output

    @property
    def reply(self) -> dict[str, Any]:
        """What the kernel answered at the end of the last cell, if no interrupt got in its way."""
        while True:
            reply = self.client.get_shell_msg(timeout=60)
            if reply["parent_header"]["msg_id"] == self.request:
                content: dict[str, Any] = reply["content"]
                return content

    def run(self, code: str) -> str:
        """Run a cell that must not fail; its output."""
        error, output = self.end(self.start(code))
        assert not error, output
        return output

    def sent(self, *kinds: str) -> list[dict[str, Any]]:
        """What the last cell sent of these kinds, in order: the contents."""
        return [m["content"] for m in self.messages if m["msg_type"] in kinds]


@contextmanager
def new_kernel() -> Iterator[Kernel]:
    """A kernel, as long as the block runs."""
    jupyter_client = pytest.importorskip("jupyter_client")
    manager = jupyter_client.KernelManager(kernel_name="python3")
    ours = {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": "", "COLUMNS": "110"}
    manager.start_kernel(env={**os.environ, **ours}, stderr=subprocess.DEVNULL)
    client = manager.client()
    client.start_channels()
    try:
        client.wait_for_ready(timeout=60)
        yield Kernel(manager, client)
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)


@pytest.fixture(scope="module")
def kernel() -> Iterator[Kernel]:
    with new_kernel() as one:
        yield one


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    """A browser without a window, by Playwright.

    It ends with the module: while it is open, its event loop runs in this thread, and asyncio.run
    refuses to begin another.
    """
    missing = pytest.fail if os.environ.get("CI") else pytest.skip
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        missing("no Playwright here: pip install playwright")
    browser = shutil.which("chromium") or shutil.which("google-chrome")
    if browser is None:
        missing("no Chromium here: apt-get install chromium")
    with sync_playwright() as playwright:
        options = ["--no-sandbox", "--disable-gpu"]
        opened = playwright.chromium.launch(executable_path=browser, args=options)
        yield opened
        opened.close()


@pytest.fixture(scope="module")
def server(tmp_path_factory) -> Iterator[Any]:
    """A Jupyter server with this checkout's extension."""
    pytest.importorskip("jupyterlab")
    from browser import Server

    server = Server(tmp_path_factory.mktemp("jupyter"))
    yield server
    server.stop()


@pytest.fixture(params=["lab", pytest.param("notebook", marks=pytest.mark.slow)])
def open_notebook(request, chromium, server) -> Iterator[Any]:
    """Opens a notebook with the given cells after the setup cell."""
    from browser import SETUP, Notebook

    page = chromium.new_page(viewport={"width": 1100, "height": 900})
    opened: list[Notebook] = []

    def open_it(*cells: str) -> Notebook:
        name = re.sub(r"\W+", "_", request.node.name) + ".ipynb"
        server.write(name, SETUP, *cells)
        opened.append(Notebook(page, server, request.param, name))
        return opened[-1]

    yield open_it
    for notebook in opened:
        notebook.do("kernelmenu:shutdown")
    page.close()
