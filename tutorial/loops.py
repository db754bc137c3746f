"""The lesson: training, evaluation and prediction, written out once, as plain PyTorch.

This is the whole program behind `Model`. Read `fit` first. A name in CAPITALS is an option: a thing
that a call decides before its loop begins. `model.unroll(...)`, and every call of `Model`, put the
options' values in, write the small functions out where they are called, and drop each branch that
is off. What is left is a plain loop; it is printed, and it is run. (`unroll.py` does that.)

The functions below also run as they stand, with the options' values that stand here.
"""

from typing import Any

import torch
from torch import nn
from torch.utils.data import BatchSampler, DataLoader, RandomSampler, SequentialSampler

# ---- options: what a call decides beforehand

EPOCHS = 1  # passes over the training data
NUM_ITERS: int | None = None  # at most so many steps, all epochs together
ACCUMULATE = 1  # batches that share one update
CLIP: float | None = None  # the largest length of the gradient, all weights together
UPDATE = True  # train_batch: make the step, or only collect gradients

TRAIN_FETCH = EVAL_FETCH = TEST_FETCH = "samples"  # how batches are made: see `loader`
BATCH_SIZE = EVAL_BATCH_SIZE = 64  # samples in one batch
SHUFFLE, DROP_LAST = True, False  # a new order in each epoch; leave out a short last batch
NUM_WORKERS = 0  # processes that load data; 0: this one

EVALUATE = False  # is there data to evaluate on while training?
EVAL_FREQ = 1  # evaluate after every so many epochs, and after the last
STACK = False  # predict: one tensor instead of one for each batch
LABELS = True  # predict: do the batches carry labels, (x, y), or are they x alone?

METRICS: tuple[Any, ...] = ()  # objects with reset(), update(y_hat, y) and compute()
VALUES: tuple[tuple[str, Any, Any], ...] = ()  # (name, metric, its part or None): what is reported

DEVICE = "cpu"  # where the network is
FLUSH_DENORMAL = False  # let a CPU count numbers below 1e-38 as 0
REPORT = False  # True: tell `report`; False: print, as a textbook does
LOG_FREQ = 10  # print at every so many steps


# ---- train


def fit(
    network: nn.Module,
    loss_fn: Any,
    optimizer: torch.optim.Optimizer,
    train_data: Any,
    eval_data: Any = None,
    report: Any = None,
) -> tuple[list[float], list[dict[str, float]]]:
    """Train: predict, measure how wrong that was, take one small step downhill; again and again."""
    if FLUSH_DENORMAL:
        torch.set_flush_denormal(True)  # numbers below 1e-38 become 0: they slow a CPU down
    train_loader = loader(train_data, TRAIN_FETCH, BATCH_SIZE, SHUFFLE, DROP_LAST)
    if EVALUATE:
        eval_loader = loader(eval_data, EVAL_FETCH, EVAL_BATCH_SIZE, False, False)
    step_losses: list[Any] = []
    rows: list[dict[str, float]] = []
    for epoch in range(EPOCHS):
        network.train()  # dropout and batch norm behave as in training
        for metric in METRICS:
            metric.reset()
        loss_sum, samples = 0.0, 0
        if ACCUMULATE > 1:
            group = 0  # samples since the last update
        if REPORT:
            report.start("train", train_loader, epoch, EPOCHS)
        for step, (x, y) in enumerate(train_loader):
            if DEVICE != "cpu":
                x, y = x.to(DEVICE), y.to(DEVICE)
            y_hat = network(x)  # forward: predict
            loss = loss_fn(y_hat, y)  # how wrong was it?
            if ACCUMULATE > 1:
                (loss * len(x)).backward()  # backward: add this batch's gradients to the group's
                group += len(x)
            if ACCUMULATE == 1:
                loss.backward()  # backward: a gradient for every weight
            if (
                ACCUMULATE == 1
                or (step + 1) % ACCUMULATE == 0
                or step + 1 == len(train_loader)
                or (NUM_ITERS is not None and len(step_losses) + 1 == NUM_ITERS)
            ):
                if ACCUMULATE > 1:
                    for weight in network.parameters():
                        if weight.grad is not None:
                            weight.grad /= group  # the mean over the group's samples
                    group = 0
                if CLIP is not None:
                    nn.utils.clip_grad_norm_(network.parameters(), CLIP)  # no step too long
                optimizer.step()  # one small step downhill
                optimizer.zero_grad()  # forget this batch's gradients
            step_losses.append(loss.item() if DEVICE == "cpu" else loss.detach())  # for the curve
            loss_sum += step_losses[-1] * len(x)  # so that the mean is over samples
            samples += len(x)
            for metric in METRICS:
                metric.update(y_hat, y)
            if REPORT and report.due(step):
                report.update(step, means(loss_sum, samples))
            if not REPORT and (step + 1) % LOG_FREQ == 0:
                print(f"epoch {epoch + 1} step {step + 1}: loss {loss_sum / samples:.4f}")
            if NUM_ITERS is not None and len(step_losses) == NUM_ITERS:
                break
        rows.append({"epoch": epoch + 1, **means(loss_sum, samples)})
        if EVALUATE and (
            EVAL_FREQ == 1
            or (epoch + 1) % EVAL_FREQ == 0
            or epoch + 1 == EPOCHS
            or (NUM_ITERS is not None and len(step_losses) == NUM_ITERS)
        ):
            result = measure(network, loss_fn, eval_loader, None, report)
            rows[-1].update({f"eval_{name}": number for name, number in result.items()})
        if REPORT:
            report.finish(rows[-1])
        if not REPORT:
            print({name: round(number, 4) for name, number in rows[-1].items()})
        if NUM_ITERS is not None and len(step_losses) == NUM_ITERS:
            break
    return step_losses, rows


# ---- evaluate


def evaluate(network: nn.Module, loss_fn: Any, eval_data: Any, report: Any = None) -> Any:
    """Evaluate: predict and measure, on data that was not trained on; learn nothing."""
    eval_loader = loader(eval_data, EVAL_FETCH, EVAL_BATCH_SIZE, False, False)
    result = measure(network, loss_fn, eval_loader, NUM_ITERS, report)
    if REPORT:
        report.finish(result)
    if not REPORT:
        print({name: round(number, 4) for name, number in result.items()})
    return result


def measure(network: Any, loss_fn: Any, eval_loader: Any, num_iters: Any, report: Any) -> Any:
    """The mean loss over all samples, and the metrics."""
    network.eval()  # dropout off; batch norm uses what it learned
    for metric in METRICS:
        metric.reset()
    loss_sum, samples = 0.0, 0
    if REPORT:
        report.start("evaluate", eval_loader)
    with torch.no_grad():  # no gradients: faster, and less memory
        for step, (x, y) in enumerate(eval_loader):
            if DEVICE != "cpu":
                x, y = x.to(DEVICE), y.to(DEVICE)
            y_hat = network(x)
            loss = loss_fn(y_hat, y)
            loss_sum += (loss.item() if DEVICE == "cpu" else loss) * len(x)
            samples += len(x)
            for metric in METRICS:
                metric.update(y_hat, y)
            if REPORT and report.due(step):
                report.update(step, means(loss_sum, samples))
            if num_iters is not None and step + 1 == num_iters:
                break
    return means(loss_sum, samples)


# ---- predict


def predict(network: nn.Module, test_data: Any, report: Any = None) -> Any:
    """Predict: only forward. Labels are not needed; where there are some, they are not used."""
    test_loader = loader(test_data, TEST_FETCH, BATCH_SIZE, False, False)
    network.eval()  # dropout off; batch norm uses what it learned
    y_hats: list[Any] = []
    if REPORT:
        report.start("predict", test_loader)
    with torch.no_grad():  # no gradients: faster, and less memory
        for step, batch in enumerate(test_loader):
            x = batch[0] if LABELS else batch
            if DEVICE != "cpu":
                x = x.to(DEVICE)
            y_hats.append(network(x) if DEVICE == "cpu" else network(x).cpu())
            if REPORT and report.due(step):
                report.update(step, {})
    outputs = [torch.cat(y_hats)] if STACK else [tuple(y_hats)]
    if REPORT:
        report.finish({})
    return outputs


# ---- one batch


def train_batch(network: Any, loss_fn: Any, optimizer: Any, x: Any, y: Any) -> Any:
    """Train on one batch that you hold in your hand."""
    network.train()  # dropout and batch norm behave as in training
    for metric in METRICS:
        metric.reset()
    if DEVICE != "cpu":
        x, y = x.to(DEVICE), y.to(DEVICE)
    y_hat = network(x)  # forward: predict
    loss = loss_fn(y_hat, y)  # how wrong was it?
    loss.backward()  # backward: a gradient for every weight, added to what is there
    if UPDATE:
        optimizer.step()  # one small step downhill
        optimizer.zero_grad()  # forget this batch's gradients
    for metric in METRICS:
        metric.update(y_hat, y)
    result = {
        "loss": loss.item(),
        **{name: float(value(metric, part)) for name, metric, part in VALUES},
    }
    return result


def eval_batch(network: Any, loss_fn: Any, x: Any, y: Any, report: Any = None) -> Any:
    """Measure one batch; learn nothing from it."""
    eval_loader = [(x, y)]
    result = measure(network, loss_fn, eval_loader, None, report)
    return result


def predict_batch(network: Any, x: Any) -> Any:
    """Predict one batch."""
    network.eval()  # dropout off; batch norm uses what it learned
    with torch.no_grad():
        outputs = [network(x) if DEVICE == "cpu" else network(x.to(DEVICE)).cpu()]
    return outputs


# ---- shared by the above, and written out where they are called


def loader(data: Any, fetch: str, batch_size: int, shuffle: bool, drop_last: bool) -> Any:
    """Batches from data: one index for a whole batch, sample by sample, or batches as they come."""
    if fetch == "given":
        return data
    if fetch == "samples":
        return DataLoader(
            data,
            batch_size=batch_size,
            shuffle=shuffle,
            drop_last=drop_last,
            num_workers=NUM_WORKERS,
        )
    order = RandomSampler(data) if shuffle else SequentialSampler(data)
    indices = BatchSampler(order, batch_size, drop_last=drop_last)  # a list for each batch
    return DataLoader(data, batch_size=None, sampler=indices, num_workers=NUM_WORKERS)


def means(loss_sum: Any, samples: int) -> dict[str, float]:
    """What is reported: the mean loss, and each metric's value, as plain numbers."""
    return {
        "loss": loss_sum / samples if DEVICE == "cpu" else float(loss_sum / samples),
        **{name: float(value(metric, part)) for name, metric, part in VALUES},
    }


def value(metric: Any, part: Any) -> Any:
    """A metric's value so far, or one part of it."""
    return metric.compute() if part is None else metric.compute()[part]
