"""A limit on the steps: `num_iters` ends a training, or an evaluation, after so many."""

import torch

from tutorial.loop.layers import evaluate_pass, fit, fit_epoch
from tutorial.loop.options import EPOCHS, METHOD, NUM_ITERS


@fit_epoch(NUM_ITERS is not None)
def no_more_steps(train_loader, step_losses):
    ...
    for step, (x, y) in enumerate(train_loader):
        ...
        if len(step_losses) == NUM_ITERS:
            break
    ...


@fit(NUM_ITERS is not None)
def no_more_epochs(step_losses):
    ...
    for epoch in range(EPOCHS):
        ...
        if len(step_losses) == NUM_ITERS:
            break
    ...


@evaluate_pass(NUM_ITERS is not None and METHOD == "evaluate")
def no_more_batches(eval_loader):
    ...
    with torch.no_grad():
        for step, (x, y) in enumerate(eval_loader):
            ...
            if step + 1 == NUM_ITERS:
                break
    ...
