"""Prediction: only forward. Labels are not needed; where there are some, they are not used."""

from typing import Any

import torch
from torch.utils.data import DataLoader

from tutorial.loop.options import BATCH_SIZE


def predict(network: Any, test_data: Any) -> Any:
    """The network's outputs for all samples, in order."""
    test_loader = DataLoader(test_data, batch_size=BATCH_SIZE, shuffle=False)
    network.eval()  # dropout off; batch norm uses what it learned
    y_hats: list[Any] = []
    with torch.no_grad():  # no gradients: faster, and less memory
        for step, (x, _) in enumerate(test_loader):
            y_hat = network(x)
            y_hats.append(y_hat)
    outputs = [tuple(y_hats)]
    return outputs
