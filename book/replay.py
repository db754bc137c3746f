"""Trainings that are played line by line; they are recorded when the book is made."""

import torch
from torch import nn
from torchvision.transforms import Normalize

import tutorial as tl

WRONG = """\
for x, y in DataLoader(train_data, batch_size=64):
    y_hat = network(x[0])
    loss = loss_fn(y_hat, y)
    loss.backward()
    optimizer.step()
    optimizer.zero_grad()
"""
# For each: the depth, and a loop of one's own or None.
REPLAYS = {"loop": ("loop", None), "gradients": ("gradients", None), "error": ("loop", WRONG)}


def page_of(name: str) -> str:
    """The player of two steps of training on MNIST."""
    depth, loop = REPLAYS[name]
    tl.seed(0)
    network = nn.Sequential(
        nn.Flatten(), nn.Linear(784, 128), nn.ReLU(), nn.Dropout(0.2), nn.Linear(128, 10)
    )
    model = tl.Model(network)
    model.prepare(torch.optim.SGD(model.parameters(), lr=0.1), nn.CrossEntropyLoss())
    train_data = tl.datasets.MNIST("train", Normalize([127.5], [127.5]))
    program = model.unroll("fit", train_data, depth=depth, loop=loop)
    return f"```{{raw}} html\n{program.replay(steps=2)._repr_html_()}\n```\n"
