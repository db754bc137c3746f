"""Callbacks are called at their hooks, and each may end the training."""

from tutorial.loop.helpers import means, progress
from tutorial.loop.layers import (
    evaluate_pass,
    evaluate_step,
    fit,
    fit_epoch,
    fit_step,
    predict,
    predict_step,
)
from tutorial.loop.options import (
    CALLBACKS,
    EPOCHS,
    METRICS,
    ON_EPOCH_BEGIN,
    ON_EPOCH_END,
    ON_EVAL_BATCH_BEGIN,
    ON_EVAL_BATCH_END,
    ON_EVAL_BEGIN,
    ON_EVAL_END,
    ON_PREDICT_BATCH_BEGIN,
    ON_PREDICT_BATCH_END,
    ON_PREDICT_BEGIN,
    ON_PREDICT_END,
    ON_TRAIN_BATCH_BEGIN,
    ON_TRAIN_BATCH_END,
    ON_TRAIN_BEGIN,
    ON_TRAIN_END,
)


@fit(CALLBACKS)
def may_stop(model):
    ...
    rows: list[dict[str, float]] = []
    model.stop_training = False  # a callback may set it
    ...


@fit(ON_TRAIN_BEGIN)
def on_train_begin():
    ...
    rows: list[dict[str, float]] = []
    for callback in ON_TRAIN_BEGIN:
        callback.on_train_begin({})
    ...


@fit(ON_TRAIN_END)
def on_train_end(step_losses, rows):
    ...
    for callback in ON_TRAIN_END:
        callback.on_train_end(dict(rows[-1]))
    return step_losses, rows


@fit_epoch(ON_EPOCH_BEGIN)
def on_epoch_begin(epoch):
    for callback in ON_EPOCH_BEGIN:
        callback.on_epoch_begin(epoch, {})
    ...


@fit_epoch(ON_EPOCH_END)
def on_epoch_end(epoch, rows, loss_sum, samples):
    ...
    rows.append({"epoch": epoch + 1, **means(loss_sum, samples)})
    for callback in ON_EPOCH_END:
        callback.on_epoch_end(epoch, dict(rows[-1]))
    ...


@fit_step(ON_TRAIN_BATCH_BEGIN)
def on_train_batch_begin(step):
    for callback in ON_TRAIN_BATCH_BEGIN:
        callback.on_train_batch_begin(step, {})
    ...


@fit_step(ON_TRAIN_BATCH_END)
def on_train_batch_end(step, x, loss_sum, samples):
    ...
    for metric, output, label in METRICS:
        metric.update(output, label)
    logs = {**means(loss_sum, samples), "batch_size": len(x)}
    for callback in ON_TRAIN_BATCH_END:
        callback.on_train_batch_end(step, dict(logs))
    ...


@fit_epoch(ON_TRAIN_BATCH_BEGIN or ON_TRAIN_BATCH_END)
def stop_after_the_step(model, train_loader):
    ...
    for step, (x, y) in enumerate(train_loader):
        ...
        if model.stop_training:
            break
    ...


@fit(CALLBACKS)
def stop_after_the_epoch(model):
    ...
    for epoch in range(EPOCHS):
        ...
        if model.stop_training:
            break
    ...


@evaluate_pass(ON_EVAL_BEGIN)
def on_eval_begin(network):
    for callback in ON_EVAL_BEGIN:
        callback.on_eval_begin({})
    ...


@evaluate_step(ON_EVAL_BATCH_BEGIN)
def on_eval_batch_begin(step):
    for callback in ON_EVAL_BATCH_BEGIN:
        callback.on_eval_batch_begin(step, {})
    ...


@evaluate_step(ON_EVAL_BATCH_END)
def on_eval_batch_end(step, x, loss_sum, samples):
    ...
    for metric, output, label in METRICS:
        metric.update(output, label)
    logs = {**progress(loss_sum, samples), "batch_size": len(x)}
    for callback in ON_EVAL_BATCH_END:
        callback.on_eval_batch_end(step, dict(logs))
    ...


@evaluate_pass(ON_EVAL_END)
def on_eval_end(loss_sum, samples):
    ...
    logs = means(loss_sum, samples)
    for callback in ON_EVAL_END:
        callback.on_eval_end(dict(logs))
    return means(loss_sum, samples)


@predict(ON_PREDICT_BEGIN)
def on_predict_begin(network):
    ...
    for callback in ON_PREDICT_BEGIN:
        callback.on_predict_begin({})
    network.eval()
    ...


@predict_step(ON_PREDICT_BATCH_BEGIN)
def on_predict_batch_begin(step):
    for callback in ON_PREDICT_BATCH_BEGIN:
        callback.on_predict_batch_begin(step, {})
    ...


@predict_step(ON_PREDICT_BATCH_END)
def on_predict_batch_end(step, x):
    ...
    for callback in ON_PREDICT_BATCH_END:
        callback.on_predict_batch_end(step, {"batch_size": len(x)})


@predict(ON_PREDICT_END)
def on_predict_end(outputs):
    ...
    for callback in ON_PREDICT_END:
        callback.on_predict_end({})
    return outputs
