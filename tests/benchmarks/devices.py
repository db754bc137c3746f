"""What this machine's device can do (`make bench`): an epoch of the lesson's network, and 99 %.

The device is a GPU, where there is one; else the CPU with all its cores. Its figures go to
results/devices.json, beside those of other devices, and onto the page of the race.
"""

import datetime
import json
import os
import time
from itertools import pairwise
from typing import Any

import torch
from page import DEVICES, RESULTS, write_page
from peers.tasks import LEARNING_RATE, Task
from race import cpu
from torch import nn
from torchvision.transforms import Normalize

import tutorial as tl

BATCH_SIZES = 64, 1024
EPOCHS = 4  # the first one warms up


def main() -> None:
    path = RESULTS / DEVICES
    known = json.loads(path.read_text()) if path.exists() else []
    mine = [measured(compiled) for compiled in (False, True)]
    others = [row for row in known if row["device"] != mine[0]["device"]]
    path.write_text(json.dumps([*others, *mine], indent=1) + "\n")
    write_page(RESULTS)


def measured(compiled: bool) -> dict[str, Any]:
    """A row of the table: the device, and its seconds."""
    row: dict[str, Any] = {
        "device": name_of(tl.get_device()),
        "compiled": compiled,
        "date": datetime.date.today().isoformat(),
        "torch": torch.__version__,
        "epochs": {str(size): epochs(size, compiled) for size in BATCH_SIZES},
        **to_99_percent(compiled),
    }
    print(row, flush=True)
    return row


def name_of(device: str) -> str:
    if device.startswith("cuda"):
        return torch.cuda.get_device_name(device)
    return f"{cpu()}, {os.cpu_count()} cores"


def mnist(mode: str) -> Any:
    return tl.datasets.MNIST(mode, Normalize([127.5], [127.5]))


def epochs(batch_size: int, compiled: bool) -> list[float]:
    """Seconds of each epoch of the lesson's network, but for the first. (Its end waits for all.)"""
    tl.seed(0)
    model = tl.Model(Task("mlp").torch_network())
    optimizer = torch.optim.Adam(model.parameters(), LEARNING_RATE)
    model.prepare(optimizer, nn.CrossEntropyLoss(), tl.metrics.Accuracy())
    ends: list[float] = []
    clock = tl.callbacks.LambdaCallback(on_epoch_end=lambda *_: ends.append(time.perf_counter()))
    model.fit(
        mnist("train"), batch_size=batch_size, epochs=EPOCHS, callbacks=clock, compile=compiled
    )
    return [end - begin for begin, end in pairwise(ends)]


def to_99_percent(compiled: bool) -> dict[str, float]:
    """Seconds of the training of a small convolutional network, and how well it then reads."""
    tl.seed(0)
    network = nn.Sequential(
        *(nn.Conv2d(1, 16, 3), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Conv2d(16, 32, 3), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Flatten(), nn.Linear(800, 10)),
    )
    model, train_data = tl.Model(network), mnist("train")
    optimizer = torch.optim.Adam(model.parameters())
    steps = EPOCHS * -(-len(train_data) // 128)
    one_cycle = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=0.01, total_steps=steps + 1)
    model.prepare(optimizer, nn.CrossEntropyLoss(), tl.metrics.Accuracy())
    schedule = tl.callbacks.LRScheduler(one_cycle)
    began = time.perf_counter()
    model.fit(train_data, batch_size=128, epochs=EPOCHS, callbacks=schedule, compile=compiled)
    seconds = time.perf_counter() - began
    accuracy = model.evaluate(mnist("test"), batch_size=1000)["acc"]
    return {"seconds": seconds, "accuracy": accuracy}


if __name__ == "__main__":
    main()
