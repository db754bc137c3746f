"""Predict: several outputs, each with its batches; one tensor for all batches (stack_outputs)."""

import torch

from tutorial.loop.layers import predict, predict_batch, predict_step
from tutorial.loop.options import OUTPUT_NAMES, OUTPUTS, STACK_OUTPUTS


@predict(STACK_OUTPUTS and OUTPUTS == "one")
def one_tensor(y_hats):
    ...
    with torch.no_grad():
        ...
    outputs = [torch.cat(y_hats)]
    return outputs


@predict_step(OUTPUTS != "one")
def a_tuple_for_each_batch(network, x, y_hats):
    ...
    y_hat = network(x)
    y_hats.append((...,))


@predict(OUTPUTS != "one")
def a_list_for_each_output(y_hats):
    ...
    with torch.no_grad():
        ...
    parts = zip(*y_hats, strict=True)  # for each output, its batches
    outputs = [torch.cat(part) for part in parts] if STACK_OUTPUTS else list(parts)
    if OUTPUTS == "named":
        outputs = dict(zip(OUTPUT_NAMES, outputs, strict=True))
    return outputs


@predict_batch(OUTPUTS == "named")
def in_a_dict(outputs):
    ...
    outputs = dict(zip(OUTPUT_NAMES, outputs, strict=True))
    return outputs
