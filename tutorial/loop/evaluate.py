"""Evaluation: predict and measure, on data that was not trained on; learn nothing."""

from typing import Any

import torch
from torch.utils.data import DataLoader

from tutorial.loop.helpers import means
from tutorial.loop.options import EVAL_BATCH_SIZE, METRICS


def evaluate(network: Any, loss_fn: Any, eval_data: Any) -> Any:
    """Evaluate, and print the result."""
    eval_loader = DataLoader(eval_data, batch_size=EVAL_BATCH_SIZE, shuffle=False)
    result = evaluation_pass(network, loss_fn, eval_loader)
    print({name: round(number, 4) for name, number in result.items()})
    return result


def evaluation_pass(network: Any, loss_fn: Any, eval_loader: Any) -> Any:
    """The mean loss over all samples, and the metrics; `fit` does it after an epoch, too."""
    network.eval()  # dropout off; batch norm uses what it learned
    for metric, _, _ in METRICS:
        metric.reset()
    loss_sum, samples = 0.0, 0
    with torch.no_grad():  # no gradients: faster, and less memory
        for step, (x, y) in enumerate(eval_loader):
            y_hat = network(x)
            loss = loss_fn(y_hat, y)
            loss_sum += loss.item() * len(x)
            samples += len(x)
            for metric, output, label in METRICS:
                metric.update(output, label)
    return means(loss_sum, samples)
