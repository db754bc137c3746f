"""How batches come from the data: tensors in memory are cut, a loader is taken as it is."""

from typing import Any

from tutorial.loop.evaluate import evaluation_pass
from tutorial.loop.helpers import make_loader
from tutorial.loop.layers import evaluate, fit, predict, predict_step
from tutorial.loop.options import (
    BATCH_SIZE,
    DROP_LAST,
    EVAL_BATCH_SIZE,
    EVAL_LOADING,
    EVAL_SPLIT,
    LABELS_UNKNOWN,
    NUM_WORKERS,
    SHUFFLE,
    TEST_LOADING,
    TEST_SPLIT,
    TRAIN_LOADING,
    TRAIN_SPLIT,
)


@fit(TRAIN_LOADING != "per_sample" or TRAIN_SPLIT != "none" or DROP_LAST or NUM_WORKERS)
def training_batches(train_data):
    train_loader = make_loader(
        train_data, TRAIN_LOADING, BATCH_SIZE, SHUFFLE, DROP_LAST, TRAIN_SPLIT
    )
    step_losses: list[Any] = []
    ...


@evaluate(EVAL_LOADING != "per_sample" or EVAL_SPLIT != "none" or NUM_WORKERS)
def evaluation_batches(network, loss_fn, eval_data):
    eval_loader = make_loader(eval_data, EVAL_LOADING, EVAL_BATCH_SIZE, False, False, EVAL_SPLIT)
    result = evaluation_pass(network, loss_fn, eval_loader)
    ...


@predict(TEST_LOADING != "per_sample" or TEST_SPLIT != "none" or NUM_WORKERS)
def prediction_batches(network, test_data):
    test_loader = make_loader(test_data, TEST_LOADING, BATCH_SIZE, False, False, TEST_SPLIT)
    network.eval()
    ...


@predict_step(LABELS_UNKNOWN)
def without_labels(x):
    x = x[0] if isinstance(x, list | tuple) else x  # labels are not needed
    ...
