"""train_batch(update=False): only add this batch's gradients to those that are there."""

from tutorial.loop.layers import train_batch
from tutorial.loop.options import METRICS, UPDATE


@train_batch(not UPDATE)
def no_step(loss):
    ...
    loss.backward()
    pass
    for metric, output, label in METRICS:
        metric.update(output, label)
    ...
