"""One batch that you hold in your hand: train on it, evaluate it, predict it."""

from typing import Any

import torch

from tutorial.loop.evaluate import evaluation_pass
from tutorial.loop.helpers import value
from tutorial.loop.options import METRICS, VALUES


def train_batch(network: Any, loss_fn: Any, optimizer: Any, x: Any, y: Any) -> Any:
    """Train on one batch."""
    network.train()  # dropout and batch norm behave as in training
    for metric, _, _ in METRICS:
        metric.reset()
    y_hat = network(x)  # forward: predict
    loss = loss_fn(y_hat, y)  # how wrong was it?
    loss.backward()  # backward: a gradient for every weight, added to what is there
    optimizer.step()  # one small step downhill
    optimizer.zero_grad()  # forget this batch's gradients
    for metric, output, label in METRICS:
        metric.update(output, label)
    result = {
        "loss": loss.item(),
        **{name: float(value(metric, part, gaps)) for name, metric, part, gaps in VALUES},
    }
    return result


def eval_batch(network: Any, loss_fn: Any, x: Any, y: Any) -> Any:
    """Measure one batch; learn nothing from it."""
    eval_loader = [(x, y)]
    result = evaluation_pass(network, loss_fn, eval_loader)
    return result


def predict_batch(network: Any, x: Any) -> Any:
    """Predict one batch."""
    network.eval()  # dropout off; batch norm uses what it learned
    with torch.no_grad():
        y_hat = network(x)
    outputs = [y_hat]
    return outputs
