"""What a loop works with, in NumPy: weights with gradients, an optimizer's state, batches."""

import numpy as np


class Weight:
    """A weight: its numbers, and beside them the gradient of the loss."""

    def __init__(self, data):
        self.data, self.grad = data, None


class Network:
    """The weights and buffers of a network, by name."""

    def __init__(self, weights, buffers):
        self.weights = {name: Weight(in_64_bits(data)) for name, data in weights.items()}
        self.arrays = {name: in_64_bits(data) for name, data in buffers.items()}

    def parameters(self):
        """The weights."""
        return self.weights.values()

    def buffers(self):
        """The other arrays: running means, say."""
        return self.arrays.values()

    def get_parameter(self, name):
        """The weight with this name."""
        return self.weights[name]


class Optimizer:
    """Groups of weights with their settings, and for each weight what its updates need."""

    def __init__(self, groups, states):
        self.param_groups = groups
        weights = [weight for group in groups for weight in group["params"]]
        self.state = {weight: within(states, f"{i}/") for i, weight in enumerate(weights)}


class Scheduler:
    """Sets what a schedule gave when PyTorch ran the loop: lr[i][j] of the group j after step i."""

    def __init__(self, optimizer, **settings):
        self.optimizer, self.settings, self.steps = optimizer, settings, 0

    def step(self, *_):
        """The next learning rates."""
        for j, group in enumerate(self.optimizer.param_groups):
            group.update({key: values[self.steps][j] for key, values in self.settings.items()})
        self.steps += 1


class Batches:
    """Goes through the batches: rows of the data, in the order in which PyTorch took them.

    order[i][j] are the rows of the batch j when the loop goes through the data for the i-th time;
    rows of -1 are none.
    """

    def __init__(self, data, order):
        self.data, self.order, self.times = data, order, 0

    def __len__(self):
        return self.order.shape[1]

    def __iter__(self):
        passes = self.order[self.times]
        self.times += 1
        whole = [rows[rows >= 0] for rows in passes if rows.max(initial=-1) >= 0]
        for i, rows in enumerate(whole):
            self.last = i + 1 == len(whole)
            yield rows_of(self.data, rows)


class Draws:
    """Random numbers, in the order in which PyTorch drew them."""

    def __init__(self, numbers):
        self.numbers, self.used = numbers, 0

    def __call__(self, shape):
        """As many as an array of this shape has."""
        first, self.used = self.used, self.used + int(np.prod(shape))
        return self.numbers[first : self.used].reshape(shape).astype(np.float64)


def rows_of(data, rows):
    """These rows of all arrays in nested lists, tuples and dicts."""
    if isinstance(data, dict):
        return {key: rows_of(part, rows) for key, part in data.items()}
    if isinstance(data, (list, tuple)):
        return type(data)(rows_of(part, rows) for part in data)
    return in_64_bits(data[rows])


def in_64_bits(data):
    """An array as one of 64 bits, if it is of real numbers."""
    return data.astype(np.float64) if data.dtype.kind == "f" else data.copy()


def within(start, prefix):
    """The arrays whose names begin so, by the rest of their names.

    >>> within({"weights/W": 1, "weights/b": 2, "order": 3}, "weights/")
    {'W': 1, 'b': 2}
    """
    return {name[len(prefix) :]: start[name] for name in start if name.startswith(prefix)}


def clip_grad_norm(weights, longest):
    """Make the gradients shorter, all together, if they are longer than this."""
    gradients = [weight.grad for weight in weights if weight.grad is not None]
    length = np.sqrt(sum((gradient * gradient).sum() for gradient in gradients))
    for gradient in gradients:
        gradient *= min(1.0, longest / (length + 1e-6))


def clip_grad_value(weights, largest):
    """Bring each number of the gradients between -largest and largest."""
    for weight in weights:
        if weight.grad is not None:
            np.clip(weight.grad, -largest, largest, out=weight.grad)
