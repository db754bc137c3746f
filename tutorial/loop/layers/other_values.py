"""What a metric gives that is no number, such as a matrix: part of the result, not of a report."""

from tutorial.loop.helpers import value
from tutorial.loop.layers import eval_batch, evaluate, train_batch
from tutorial.loop.options import OTHER_VALUES


@evaluate(OTHER_VALUES)
@eval_batch(OTHER_VALUES)
@train_batch(OTHER_VALUES)
def other_values(result):
    ...
    result.update({name: value(metric, part, gaps) for name, metric, part, gaps in OTHER_VALUES})
    return result
