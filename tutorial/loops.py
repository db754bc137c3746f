"""The lesson: training, evaluation and prediction, written out once, as plain PyTorch.

This is the whole program behind `Model`. Read `fit` first. A name in CAPITALS is an option: a thing
that a call decides before its loop begins. `model.unroll(...)`, and every call of `Model`, put the
options' values in, write the small functions out where they are called, and drop each branch that
is off. What is left is a plain loop; it is printed, and it is run. (`unroll.py` does that.)

The functions below also run as they stand, with the options' values that stand here.
"""

from contextlib import nullcontext
from typing import Any

import torch
from torch import distributed as dist
from torch import nn
from torch.utils.data import BatchSampler, DataLoader, RandomSampler, SequentialSampler, Subset

from tutorial.data.batches import Batches
from tutorial.distributed.process_group import from_first
from tutorial.distributed.shard import parts_of
from tutorial.distributed.split import Share

# ---- options: what a call decides beforehand

EPOCHS, FIRST_EPOCH = 1, 0  # passes over the training data; where a resumed training begins
NUM_ITERS: int | None = None  # at most so many steps, all epochs together
ACCUMULATE_GRAD_BATCHES = 1  # batches that share one update
CLIP_GRAD_NORM: float | None = None  # the largest length of the gradient, all weights together
UPDATE = True  # train_batch: make the step, or only collect gradients
RESUME: str | None = None  # the checkpoint to go on from

TRAIN_LOADING = EVAL_LOADING = TEST_LOADING = "per_sample"  # how batches are made: see `loader`
BATCH_SIZE = EVAL_BATCH_SIZE = 64  # samples in one batch
SHUFFLE, DROP_LAST = True, False  # a new order in each epoch; leave out a short last batch
NUM_WORKERS = 0  # processes that load data; 0: this one
TRAIN_SPLIT = EVAL_SPLIT = TEST_SPLIT = "none"  # what of it is one process's: see `loader`
UNPACK = UNPACK_OUTPUT = NETWORK_CALL = BATCH_WEIGHT = (
    None  # where a batch is more than (x, y): see `unroll.py`
)

EVAL_DATA = False  # is there data to evaluate on while training?
EVAL_FREQ = 1  # evaluate after every so many epochs, and after the last
STACK_OUTPUTS = False  # predict: one tensor instead of one for each batch
LABELS_UNKNOWN = (
    False  # predict: whether there are labels in the batches is known only when they come
)
OUTPUTS, OUTPUT_NAMES = "one", ()  # predict: "one" tensor, or "several", or "named" in a dict

NONE: tuple[Any, ...] = ()
METRICS = NONE  # (object with reset(), update(...) and compute(), and what it is to compare)
VALUES = NONE  # (name, metric, its part or None): what is reported
LOSSES = "one"  # or "none", "several" that loss_fn gives at once, or "each" output has its own
TOTAL_LOSS, LOSS_FNS = 0.0, NONE  # the sum of several; and (loss, its loss_fn, what that compares)

SCHEDULERS, STEP_SCHEDULERS, EPOCH_SCHEDULERS = NONE, NONE, NONE  # change the learning rate
CALLBACKS, CHECKPOINTS = NONE, NONE  # those that may end the training; those that save
STATEFUL_CALLBACKS, GENERATORS = (
    NONE,
    NONE,
)  # callbacks that remember; what shuffles for a loader of your own
ON_TRAIN_BEGIN = ON_TRAIN_END = ON_EPOCH_BEGIN = ON_EPOCH_END = NONE  # callbacks to tell of this
ON_TRAIN_BATCH_BEGIN = ON_TRAIN_BATCH_END = ON_EVAL_BATCH_BEGIN = ON_EVAL_BATCH_END = NONE
ON_EVAL_BEGIN = ON_EVAL_END = ON_PREDICT_BEGIN = ON_PREDICT_END = NONE
ON_PREDICT_BATCH_BEGIN = ON_PREDICT_BATCH_END = NONE

DEVICE, DEVICE_TYPE = "cpu", "cpu"  # where the network is: "cuda:0", which is a "cuda"
DISTRIBUTED = False  # do several processes train together?
SHARDED = False  # has each of them only a part of every weight?
FIND_UNUSED_PARAMETERS = False  # are there weights on which the loss does not depend?
HAS_BUFFERS = False  # has the network numbers beside its weights, such as batch norm's?
rank, processes = 0, 1  # which of them this one is; a loop asks itself
AUTOCAST, AUTOCAST_DTYPE = False, torch.bfloat16  # compute the forward pass in shorter numbers
GRAD_SCALER = False  # float16: enlarge the loss, so that small gradients do not become 0
COMPILE = False  # make the network faster, for the price of a slow first step
FLUSH_DENORMAL = False  # let a CPU count numbers below 1e-38 as 0
REPORT = False  # True: tell `report`; False: print, as a textbook does
LOG_FREQ = 10  # print at every so many steps


# ---- train


def fit(
    network: Any,
    loss_fn: Any,
    optimizer: torch.optim.Optimizer,
    train_data: Any,
    eval_data: Any = None,
    scaler: Any = None,
    model: Any = None,
    set_random_state: Any = None,
    report: Any = None,
) -> tuple[list[float], list[dict[str, float]]]:
    """Train: predict, measure how wrong that was, take one small step downhill; again and again."""
    if FLUSH_DENORMAL:
        torch.set_flush_denormal(True)  # numbers below 1e-38 become 0: they slow a CPU down
    if DISTRIBUTED:
        rank, processes = dist.get_rank(), dist.get_world_size()  # which one am I, of how many?
    train_loader = loader(train_data, TRAIN_LOADING, BATCH_SIZE, SHUFFLE, DROP_LAST, TRAIN_SPLIT)
    if EVAL_DATA:
        eval_loader = loader(eval_data, EVAL_LOADING, EVAL_BATCH_SIZE, False, False, EVAL_SPLIT)
    step_losses: list[Any] = []
    rows: list[dict[str, float]] = []
    if CALLBACKS:
        model.stop_training = False  # a callback may set it
    for callback in ON_TRAIN_BEGIN:
        callback.on_train_begin({})
    if RESUME is not None:
        if not DISTRIBUTED or rank == 0:
            saved = torch.load(RESUME, map_location="cpu", weights_only=True)  # where it broke off
        if DISTRIBUTED:
            saved = from_first(saved if rank == 0 else None)  # on other machines it is not
        if SHARDED:  # of each tensor, this process's part
            network.load_state_dict(parts_of(saved["network"], network))
            optimizer.load_state_dict(parts_of(saved["optimizer"], optimizer))
        else:
            network.load_state_dict(saved["network"])
            optimizer.load_state_dict(saved["optimizer"])
        if GRAD_SCALER:
            scaler.load_state_dict(saved["scaler"])
        for i, scheduler in SCHEDULERS:
            scheduler.load_state_dict(saved["schedulers"][i])
        for i, callback in STATEFUL_CALLBACKS:
            callback.load_state_dict(saved["fit"]["callbacks"][i])
        for i, generator in GENERATORS:
            generator.set_state(saved["generators"][i])
        set_random_state(saved["random"])  # the order of the data and dropout go on as well
        step_losses, rows = saved["fit"]["step_losses"], saved["fit"]["rows"]
    if REPORT:
        report.watch(step_losses, rows, NUM_ITERS)
    if DISTRIBUTED and not SHARDED:
        # From here on, backward also takes the mean of the gradients over all processes.
        network = nn.parallel.DistributedDataParallel(
            network, forward_sync_buffers=False, find_unused_parameters=FIND_UNUSED_PARAMETERS
        )
    if COMPILE:
        network = torch.compile(network)  # faster, but its first step is slow
    for epoch in range(EPOCHS) if FIRST_EPOCH == 0 else range(FIRST_EPOCH, EPOCHS):
        for callback in ON_EPOCH_BEGIN:
            callback.on_epoch_begin(epoch, {})
        if DISTRIBUTED:
            chance = torch.get_rng_state()
            dist.broadcast(chance, 0)
            torch.set_rng_state(chance)  # so that all processes draw the same order
        network.train()  # dropout and batch norm behave as in training
        for metric, _, _ in METRICS:
            metric.reset()
        loss_sum, samples = 0.0, 0
        if ACCUMULATE_GRAD_BATCHES > 1:
            group = 0  # samples since the last update
        if REPORT:
            report.start("train", train_loader, epoch, EPOCHS)
        for step, (x, y) in enumerate(train_loader):
            for callback in ON_TRAIN_BATCH_BEGIN:
                callback.on_train_batch_begin(step, {})
            if DEVICE != "cpu":
                x, y = x.to(DEVICE), y.to(DEVICE)
            with autocast():
                y_hat = network(x)  # forward: predict
                loss = compare(loss_fn, y_hat, y)  # how wrong was it?
            if DISTRIBUTED:
                sums: Any = torch.stack([loss.detach(), torch.ones_like(loss)]).double() * len(x)
                dist.all_reduce(sums)  # over all processes: the samples' losses, and how many
            if DISTRIBUTED and ACCUMULATE_GRAD_BATCHES == 1:
                loss = loss * len(x) * processes / sums[1]  # so that the mean is over all samples
            if GRAD_SCALER:
                scaler.scale(loss if ACCUMULATE_GRAD_BATCHES == 1 else loss * len(x)).backward()
            if not GRAD_SCALER and ACCUMULATE_GRAD_BATCHES == 1:
                loss.backward()  # backward: a gradient for every weight
            if not GRAD_SCALER and ACCUMULATE_GRAD_BATCHES > 1:
                (loss * len(x)).backward()  # backward: a gradient for every weight
            if ACCUMULATE_GRAD_BATCHES > 1:
                group += sums[1] / processes if DISTRIBUTED else len(x)
            if (
                ACCUMULATE_GRAD_BATCHES == 1
                or (step + 1) % ACCUMULATE_GRAD_BATCHES == 0
                or step + 1 == len(train_loader)
                or (NUM_ITERS is not None and len(step_losses) + 1 == NUM_ITERS)
            ):
                if ACCUMULATE_GRAD_BATCHES > 1:
                    for weight in network.parameters():
                        if weight.grad is not None:
                            weight.grad /= group  # the mean over the group's samples
                    group = 0
                if CLIP_GRAD_NORM is not None and GRAD_SCALER:
                    scaler.unscale_(optimizer)
                if CLIP_GRAD_NORM is not None:
                    nn.utils.clip_grad_norm_(
                        network.parameters(), CLIP_GRAD_NORM
                    )  # no step too long
                if GRAD_SCALER and STEP_SCHEDULERS:
                    scale = scaler.get_scale()
                if GRAD_SCALER:
                    scaler.step(optimizer)  # one small step downhill, unless a gradient overflowed
                    scaler.update()  # then scale less
                else:
                    optimizer.step()  # one small step downhill
                optimizer.zero_grad()  # forget this batch's gradients
                for scheduler in STEP_SCHEDULERS:
                    if not GRAD_SCALER or scaler.get_scale() >= scale:  # else there was no step
                        scheduler.step()  # the next learning rate
            if DISTRIBUTED:
                loss = sums[0] / sums[1]  # the mean over the samples of all processes
            step_losses.append(loss.item() if DEVICE == "cpu" else loss.detach())  # for the curve
            if DISTRIBUTED:
                total = sums[1].item() if DEVICE == "cpu" else sums[1]
                loss_sum += step_losses[-1] * total
                samples += total
            else:
                loss_sum += step_losses[-1] * len(x)  # so that the mean is over samples
                samples += len(x)
            for metric, guess, truth in METRICS:
                metric.update(guess, truth)
            if ON_TRAIN_BATCH_END:
                logs = {**means(loss_sum, samples), "batch_size": len(x)}
            for callback in ON_TRAIN_BATCH_END:
                callback.on_train_batch_end(step, dict(logs))
            if DISTRIBUTED and (ON_TRAIN_BATCH_BEGIN or ON_TRAIN_BATCH_END):
                model.stop_training = in_any(model.stop_training)
            if REPORT and report.due(step):
                report.update(step, progress(loss_sum, samples))
            if not REPORT and (step + 1) % LOG_FREQ == 0 and (not DISTRIBUTED or rank == 0):
                print(f"epoch {epoch + 1} step {step + 1}: loss {loss_sum / samples:.4f}")
            if NUM_ITERS is not None and len(step_losses) == NUM_ITERS:
                break
            if (ON_TRAIN_BATCH_BEGIN or ON_TRAIN_BATCH_END) and model.stop_training:
                break
        rows.append({"epoch": epoch + 1, **means(loss_sum, samples)})
        for callback in ON_EPOCH_END:
            callback.on_epoch_end(epoch, dict(rows[-1]))
        if DISTRIBUTED and HAS_BUFFERS:
            for buffer in network.buffers():
                dist.broadcast(buffer, 0)  # such as batch norm's means: those of the first process
        if DISTRIBUTED and CALLBACKS:
            model.stop_training = in_any(model.stop_training)
        for scheduler in EPOCH_SCHEDULERS:
            scheduler.step()  # the next learning rate
        if EVAL_DATA and (
            EVAL_FREQ == 1
            or (epoch + 1) % EVAL_FREQ == 0
            or epoch + 1 == EPOCHS
            or (NUM_ITERS is not None and len(step_losses) == NUM_ITERS)
            or (CALLBACKS and model.stop_training)
        ):
            result = measure(network, loss_fn, eval_loader, None, report)
            rows[-1].update({f"eval_{name}": number for name, number in result.items()})
        if REPORT:
            report.finish(rows[-1])
        if not REPORT and (not DISTRIBUTED or rank == 0):
            print({name: round(number, 4) for name, number in rows[-1].items()})
        for checkpoint in CHECKPOINTS:
            checkpoint.save(epoch, step_losses, rows)  # to go on from here, should it break off
        if NUM_ITERS is not None and len(step_losses) == NUM_ITERS:
            break
        if CALLBACKS and model.stop_training:
            break
    for callback in ON_TRAIN_END:
        callback.on_train_end(dict(rows[-1]))
    return step_losses, rows


# ---- evaluate


def evaluate(network: nn.Module, loss_fn: Any, eval_data: Any, report: Any = None) -> Any:
    """Evaluate: predict and measure, on data that was not trained on; learn nothing."""
    if DISTRIBUTED:
        rank, processes = dist.get_rank(), dist.get_world_size()  # which one am I, of how many?
    eval_loader = loader(eval_data, EVAL_LOADING, EVAL_BATCH_SIZE, False, False, EVAL_SPLIT)
    result = measure(network, loss_fn, eval_loader, NUM_ITERS, report)
    if REPORT:
        report.finish(result)
    if not REPORT and (not DISTRIBUTED or rank == 0):
        print({name: round(number, 4) for name, number in result.items()})
    return result


def measure(network: Any, loss_fn: Any, eval_loader: Any, num_iters: Any, report: Any) -> Any:
    """The mean loss over all samples, and the metrics."""
    for callback in ON_EVAL_BEGIN:
        callback.on_eval_begin({})
    network.eval()  # dropout off; batch norm uses what it learned
    for metric, _, _ in METRICS:
        metric.reset()
    if LOSSES != "none":
        loss_sum, samples = 0.0, 0
    if REPORT:
        report.start("evaluate", eval_loader)
    with torch.no_grad():  # no gradients: faster, and less memory
        for step, (x, y) in enumerate(eval_loader):
            for callback in ON_EVAL_BATCH_BEGIN:
                callback.on_eval_batch_begin(step, {})
            if DEVICE != "cpu":
                x, y = x.to(DEVICE), y.to(DEVICE)
            with autocast():
                y_hat = network(x)
                if LOSSES != "none":
                    loss = compare(loss_fn, y_hat, y)
            if LOSSES != "none":
                loss_sum += (loss.item() if DEVICE == "cpu" else loss) * len(x)
                samples += len(x)
            for metric, guess, truth in METRICS:
                metric.update(guess, truth)
            if ON_EVAL_BATCH_END:
                logs = {**progress(loss_sum, samples), "batch_size": len(x)}
            for callback in ON_EVAL_BATCH_END:
                callback.on_eval_batch_end(step, dict(logs))
            if REPORT and report.due(step):
                report.update(step, progress(loss_sum, samples))
            if num_iters is not None and step + 1 == num_iters:
                break
    if EVAL_SPLIT == "contiguous" and LOSSES != "none":
        sums = torch.tensor([float(loss_sum), samples], dtype=torch.float64, device=DEVICE)
        dist.all_reduce(sums)  # over all processes
        loss_sum, samples = sums.tolist()
    if ON_EVAL_END:
        logs = means(loss_sum, samples)
    for callback in ON_EVAL_END:
        callback.on_eval_end(dict(logs))
    return means(loss_sum, samples)


# ---- predict


def predict(network: nn.Module, test_data: Any, report: Any = None) -> Any:
    """Predict: only forward. Labels are not needed; where there are some, they are not used."""
    if DISTRIBUTED:
        rank, processes = dist.get_rank(), dist.get_world_size()  # which one am I, of how many?
    test_loader = loader(test_data, TEST_LOADING, BATCH_SIZE, False, False, TEST_SPLIT)
    for callback in ON_PREDICT_BEGIN:
        callback.on_predict_begin({})
    network.eval()  # dropout off; batch norm uses what it learned
    y_hats: list[Any] = []
    if REPORT:
        report.start("predict", test_loader)
    with torch.no_grad():  # no gradients: faster, and less memory
        for step, (x, _) in enumerate(test_loader):
            if LABELS_UNKNOWN:
                x = x[0] if isinstance(x, list | tuple) else x  # labels are not needed
            for callback in ON_PREDICT_BATCH_BEGIN:
                callback.on_predict_batch_begin(step, {})
            if DEVICE != "cpu":
                x = x.to(DEVICE)
            with autocast():
                y_hat = network(x)
            if OUTPUTS == "one":
                y_hats.append(y_hat if DEVICE == "cpu" else y_hat.cpu())
            else:
                y_hats.append((y_hat if DEVICE == "cpu" else y_hat.cpu(),))
            for callback in ON_PREDICT_BATCH_END:
                callback.on_predict_batch_end(step, {"batch_size": len(x)})
            if REPORT and report.due(step):
                report.update(step, {})
    if TEST_SPLIT == "contiguous":
        runs: list[Any] = [None] * processes
        dist.all_gather_object(runs, y_hats)  # of all processes, in order
        y_hats = [y_hat for run in runs for y_hat in run]
    if OUTPUTS == "one":
        outputs: Any = [torch.cat(y_hats)] if STACK_OUTPUTS else [tuple(y_hats)]
    else:
        parts = zip(*y_hats, strict=True)  # for each output, its batches
        outputs = [torch.cat(part) for part in parts] if STACK_OUTPUTS else list(parts)
    if OUTPUTS == "named":
        outputs = dict(zip(OUTPUT_NAMES, outputs, strict=True))
    if REPORT:
        report.finish({})
    for callback in ON_PREDICT_END:
        callback.on_predict_end({})
    return outputs


# ---- one batch


def train_batch(
    network: Any, loss_fn: Any, optimizer: Any, x: Any, y: Any, scaler: Any = None
) -> Any:
    """Train on one batch that you hold in your hand."""
    network.train()  # dropout and batch norm behave as in training
    for metric, _, _ in METRICS:
        metric.reset()
    if DEVICE != "cpu":
        x, y = x.to(DEVICE), y.to(DEVICE)
    with autocast():
        y_hat = network(x)  # forward: predict
        loss = compare(loss_fn, y_hat, y)  # how wrong was it?
    if GRAD_SCALER:
        scaler.scale(loss).backward()
    else:
        loss.backward()  # backward: a gradient for every weight, added to what is there
    if DISTRIBUTED and UPDATE and not SHARDED:
        for weight in network.parameters():
            if weight.grad is not None:
                dist.all_reduce(weight.grad)
                weight.grad /= dist.get_world_size()  # the mean over all processes
    if UPDATE:
        if GRAD_SCALER:
            scaler.step(optimizer)  # one small step downhill, unless a gradient overflowed
            scaler.update()  # then scale less
        else:
            optimizer.step()  # one small step downhill
        optimizer.zero_grad()  # forget this batch's gradients
    for metric, guess, truth in METRICS:
        metric.update(guess, truth)
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
    if DEVICE != "cpu":
        x = x.to(DEVICE)
    with torch.no_grad():
        with autocast():
            y_hat = network(x)
    outputs: Any = [y_hat if DEVICE == "cpu" else y_hat.cpu()]
    if OUTPUTS == "named":
        outputs = dict(zip(OUTPUT_NAMES, outputs, strict=True))
    return outputs


# ---- shared by the above, and written out where they are called


def loader(
    data: Any, fetch: str, batch_size: int, shuffle: bool, drop_last: bool, share: str
) -> Any:
    """Batches from data: from tensors, by whole batches, sample by sample, or as they are given.

    Of several processes each works through "none" of the data, or takes a "strided" of every batch,
    or has a "contiguous" of whole batches.
    """
    if fetch == "as_is":
        return Share(data, rank, processes) if share == "strided" else data
    if share == "contiguous":
        count = -(-len(data) // (batch_size * processes)) * batch_size  # samples in whole batches
        order: Any = range(len(data))[rank * count : (rank + 1) * count]  # this process's
    if fetch == "in_memory":
        return Batches(
            Subset(data, order) if share == "contiguous" else data,
            batch_size=batch_size,
            shuffle=shuffle,
            drop_last=drop_last,
            device=DEVICE,
            rank=rank if share == "strided" else 0,
            processes=processes if share == "strided" else 1,
        )
    if fetch == "per_sample" and share == "none":
        return DataLoader(
            data,
            batch_size=batch_size,
            shuffle=shuffle,
            drop_last=drop_last,
            num_workers=NUM_WORKERS,
        )
    if share != "contiguous":
        order = RandomSampler(data) if shuffle else SequentialSampler(data)
    if share == "strided":
        batches = BatchSampler(order, batch_size * processes, drop_last=drop_last)
        indices: Any = Share(batches, rank, processes)  # of each batch this process's part
    else:
        indices = BatchSampler(order, batch_size, drop_last=drop_last)  # a list for each batch
    if fetch == "per_sample":
        return DataLoader(data, batch_sampler=indices, num_workers=NUM_WORKERS)
    return DataLoader(data, batch_size=None, sampler=indices, num_workers=NUM_WORKERS)


def in_any(flag: bool) -> Any:
    """Whether it is so in any of the processes."""
    flags = torch.tensor(float(flag), device=DEVICE)
    dist.all_reduce(flags)
    return bool(flags)


def autocast() -> Any:
    """Shorter numbers where that does no harm: matrix products, but not sums or the loss."""
    return torch.autocast(DEVICE_TYPE, AUTOCAST_DTYPE) if AUTOCAST else nullcontext()


def compare(loss_fn: Any, y_hat: Any, y: Any) -> Any:
    """How wrong the predictions are, as one number: of several losses, their sum."""
    if LOSSES == "several":
        losses = loss_fn(y_hat, y)
    for loss, its_loss_fn, guess, truth in LOSS_FNS:
        loss = its_loss_fn(guess, truth)
    return loss_fn(y_hat, y) if LOSSES == "one" else TOTAL_LOSS


def means(loss_sum: Any, samples: int) -> dict[str, float]:
    """What is reported: the mean loss, and each metric's value, as plain numbers."""
    return {
        **({} if LOSSES == "none" else {"loss": mean(loss_sum, samples)}),
        **{name: float(value(metric, part)) for name, metric, part in VALUES},
    }


def progress(loss_sum: Any, samples: int) -> dict[str, float]:
    """What a running pass shows; of several processes, only what needs no word with the others."""
    if not DISTRIBUTED:
        return means(loss_sum, samples)
    return {} if LOSSES == "none" else {"loss": mean(loss_sum, samples)}


def mean(loss_sum: Any, samples: int) -> Any:
    """The mean over the samples so far."""
    return loss_sum / samples if DEVICE == "cpu" else float(loss_sum / samples)


def value(metric: Any, part: Any) -> Any:
    """A metric's value so far, or one part of it."""
    return metric.compute() if part is None else metric.compute()[part]
