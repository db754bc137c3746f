"""What many tests share: small data, a small network, and a model around it."""

import os
import shutil
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from torch import nn
from torch.utils.data import TensorDataset

import tutorial as tl


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
