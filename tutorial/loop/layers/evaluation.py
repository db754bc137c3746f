"""Evaluate while training: after every `eval_freq` epochs, and after the last."""

from typing import Any

from tutorial.loop.evaluate import evaluation_pass
from tutorial.loop.helpers import make_loader, means
from tutorial.loop.layers import fit, fit_epoch
from tutorial.loop.options import (
    CALLBACKS,
    EPOCHS,
    EVAL_BATCH_SIZE,
    EVAL_DATA,
    EVAL_FREQ,
    EVAL_LOADING,
    EVAL_SPLIT,
    NUM_ITERS,
)


@fit(EVAL_DATA)
def evaluation_batches(eval_data):
    ...
    eval_loader = make_loader(eval_data, EVAL_LOADING, EVAL_BATCH_SIZE, False, False, EVAL_SPLIT)
    step_losses: list[Any] = []
    ...


@fit_epoch(EVAL_DATA)
def evaluate_the_epoch(
    network, loss_fn, eval_loader, model, epoch, rows, step_losses, loss_sum, samples
):
    ...
    rows.append({"epoch": epoch + 1, **means(loss_sum, samples)})
    if (
        EVAL_FREQ == 1
        or (epoch + 1) % EVAL_FREQ == 0
        or epoch + 1 == EPOCHS
        or (NUM_ITERS is not None and len(step_losses) == NUM_ITERS)
        or (CALLBACKS and model.stop_training)
    ):
        result = evaluation_pass(network, loss_fn, eval_loader)
        rows[-1].update({f"eval_{name}": number for name, number in result.items()})
    ...
