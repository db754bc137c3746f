"""A display in place of print: what `Model` runs, and all in which it differs from what is read."""

import torch

from tutorial.loop.evaluate import evaluation_pass
from tutorial.loop.helpers import means, progress
from tutorial.loop.layers import (
    evaluate,
    evaluate_pass,
    evaluate_step,
    fit,
    fit_epoch,
    fit_step,
    predict,
    predict_step,
)
from tutorial.loop.options import EPOCHS, METRICS, NUM_ITERS, REPORT


@fit(REPORT)
def watch(report, step_losses, rows):
    ...
    report.watch(step_losses, rows, NUM_ITERS)
    for epoch in range(EPOCHS):
        ...
    ...


@fit_epoch(REPORT)
def report_the_epoch(report, train_loader, epoch, rows, loss_sum, samples):
    ...
    report.start("train", train_loader, epoch, EPOCHS)
    for step, (x, y) in enumerate(train_loader):
        ...
    rows.append({"epoch": epoch + 1, **means(loss_sum, samples)})
    report.finish(rows[-1])


@fit_step(REPORT)
def report_the_step(report, step, loss_sum, samples):
    ...
    for metric, output, label in METRICS:
        metric.update(output, label)
    if report.due(step):
        report.update(step, progress(loss_sum, samples))


@evaluate(REPORT)
def report_the_result(report, network, loss_fn, eval_loader):
    ...
    result = evaluation_pass(network, loss_fn, eval_loader)
    report.finish(result)
    return result


@evaluate_pass(REPORT)
def report_the_evaluation(report, eval_loader):
    ...
    report.start("evaluate", eval_loader)
    with torch.no_grad():
        ...
    ...


@evaluate_step(REPORT)
def report_the_batch(report, step, loss_sum, samples):
    ...
    for metric, output, label in METRICS:
        metric.update(output, label)
    if report.due(step):
        report.update(step, progress(loss_sum, samples))
    ...


@predict(REPORT)
def report_the_prediction(report, test_loader, y_hats):
    ...
    report.start("predict", test_loader)
    with torch.no_grad():
        ...
    outputs = [tuple(y_hats)]
    report.finish({})
    ...


@predict_step(REPORT)
def report_the_predicted_batch(report, step):
    ...
    if report.due(step):
        report.update(step, {})
