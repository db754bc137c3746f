"""Several losses, which are summed; or none, where only metrics are wanted."""

import torch

from tutorial.loop.layers import evaluate_pass, evaluate_step, fit_step, train_batch
from tutorial.loop.options import LOSS_FNS, LOSS_WEIGHTS, LOSSES, METRICS, TOTAL_LOSS


@fit_step(LOSSES == "several")
@train_batch(LOSSES == "several")
def several_at_once(network, loss_fn, x, y, y_hat, losses):
    ...
    y_hat = network(x)
    losses = loss_fn(y_hat, y)
    loss = TOTAL_LOSS
    loss.backward()
    ...


@fit_step(LOSSES == "each")
@train_batch(LOSSES == "each")
def one_for_each_output(network, x):
    ...
    y_hat = network(x)
    for loss, its_loss_fn, output, label in LOSS_FNS:
        loss = its_loss_fn(output, label)
    for its_weight, code, loss, output, may_be_zero in LOSS_WEIGHTS:
        its_weight = code  # what that loss averaged over
        if may_be_zero and its_weight == 0:
            loss = 0.0 * output.sum()  # it would be nan
    loss = TOTAL_LOSS
    loss.backward()
    ...


@evaluate_step(LOSSES == "several")
def evaluate_several_at_once(network, loss_fn, x, y, y_hat, loss_sum, samples):
    ...
    y_hat = network(x)
    losses = loss_fn(y_hat, y)
    loss = TOTAL_LOSS
    loss_sum += loss.item() * len(x)
    ...


@evaluate_step(LOSSES == "each")
def evaluate_one_for_each_output(network, x, loss_sum, samples):
    ...
    y_hat = network(x)
    for loss, its_loss_fn, output, label in LOSS_FNS:
        loss = its_loss_fn(output, label)
    for its_weight, code, loss, output, may_be_zero in LOSS_WEIGHTS:
        its_weight = code  # what that loss averaged over
        if may_be_zero and its_weight == 0:
            loss = 0.0 * output.sum()  # it would be nan
    loss = TOTAL_LOSS
    loss_sum += loss.item() * len(x)
    ...


@evaluate_pass(LOSSES == "none")
def only_metrics(network, eval_loader):
    ...
    for metric, _, _ in METRICS:
        metric.reset()
    pass
    with torch.no_grad():
        for step, (x, y) in enumerate(eval_loader):
            y_hat = network(x)
            pass
            for metric, output, label in METRICS:
                metric.update(output, label)
    ...
