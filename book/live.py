"""Widgets that live in a page without Python: their state in the page, as ipywidgets embeds it.

static/widgets.js brings them to life.
"""

import json
import math
from functools import cache

import torch
from ipywidgets.embed import dependency_state, embed_data
from torch import nn
from torchvision.transforms import Normalize

import tutorial as tl

EPOCHS = 3
STATE = "application/vnd.jupyter.widget-state+json"
VIEW = "application/vnd.jupyter.widget-view+json"


@cache
def trained() -> tuple[tl.Model, tl.History]:
    """A network that reads digits, and how it learned: some seconds for each build."""
    torch.set_num_threads(1)
    tl.seed(0)
    transform = Normalize([127.5], [127.5])
    train_data = tl.datasets.MNIST("train", transform)
    test_data = tl.datasets.MNIST("test", transform)
    network = nn.Sequential(nn.Flatten(), nn.Linear(784, 128), nn.ReLU(), nn.Linear(128, 10))
    model = tl.Model(network)
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    model.prepare(optimizer, nn.CrossEntropyLoss(), tl.metrics.Accuracy())
    steps = EPOCHS * math.ceil(len(train_data) / 64)
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=steps)
    callback = tl.callbacks.LRScheduler(scheduler)
    return model, model.fit(train_data, test_data, epochs=EPOCHS, verbose=0, callbacks=callback)


def draw_digit() -> str:
    """A sheet of paper, and the network that was trained, in HTML."""
    model, _ = trained()
    return embedded(tl.DrawDigit(model, Normalize([127.5], [127.5]), embed=True))


def live_plot() -> str:
    """The curves of that training, in HTML."""
    return embedded(tl.LivePlot(trained()[1]))


def embedded(widget: object) -> str:
    """A widget in HTML, by the standard that notebooks follow, too."""
    # Not without the defaults: a widget's code is one, since it belongs to the class.
    state = dependency_state([widget], drop_defaults=False)
    data = embed_data([widget], drop_defaults=False, state=state)
    parts = [
        f'<script type="{kind}">{in_script(part)}</script>'
        for kind, part in ((STATE, data["manager_state"]), (VIEW, data["view_specs"][0]))
    ]
    return f'<div class="widget">{"".join(parts)}</div>\n'


def in_script(data: object) -> str:
    """JSON, written so that no "</" in it ends the script that holds it."""
    return json.dumps(data).replace("</", "<\\/")
