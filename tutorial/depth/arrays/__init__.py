"""NumPy alone: those of torch's operations that NumPy does not have, each in a few lines.

A program at depth "numpy" calls them by torch's names, with torch's arguments, and has at its top
the source of those that it calls. `softmax_backward` here is torch's of that name.

axes.py             one number for each axis; one number for each channel
windows.py          all windows over an image, and their sum: what convolution and pooling rest on
convolution.py      convolutions and transposed ones, of one to three axes
pooling.py          the largest or the mean number of each window
normalization.py    batch norm, layer norm, group norm
activations.py      GELU, SiLU, ELU, ...
softmax.py          softmax and its logarithm
attention.py        softmax(q @ k.T) @ v
embedding.py        a row of W for each word
losses.py           how far numbers are from numbers
class_losses.py     how far scores are from labels
rearranging.py      what is put at another place
"""

from inspect import getmembers, isfunction

from tutorial.depth.arrays import (
    activations,
    attention,
    axes,
    class_losses,
    convolution,
    embedding,
    losses,
    normalization,
    pooling,
    rearranging,
    softmax,
    windows,
)

MODULES = (
    axes, windows, convolution, pooling, normalization, activations, softmax, attention, embedding,
    losses, class_losses, rearranging,
)  # fmt: skip
for module in MODULES:
    globals().update(getmembers(module, isfunction))
