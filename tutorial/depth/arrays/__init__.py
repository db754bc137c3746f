"""NumPy alone: those of torch's operations that NumPy does not have, each in a few lines.

A program at depth "numpy" calls them by torch's names, with torch's arguments, and has at its top
the source of those that it calls. `softmax_backward` here is torch's of that name.

axes.py              one number for each axis, for each channel; one matrix for each axis
windows.py           all windows over an image, and their sum: convolution and pooling rest on them
convolution.py       convolutions and transposed ones, of one to three axes
unfolding.py         the windows as columns of a matrix
pooling.py           the largest or the mean number of each window
adaptive_pooling.py  so many windows as are asked for
padding.py           numbers around an image
resizing.py          images of another size
sampling.py          images read at any places
rearranging.py       pixels as channels; a slice in the place of another one
indexing.py          what is taken from places, and put at places, that other arrays tell
ordering.py          numbers in the order of their size
shapes.py            the same numbers in another shape
normalization.py     batch norm, layer norm, group norm
norms.py             lengths of vectors; weight norm
distances.py         of each point to each other one
products.py          products of matrices
activations.py       GELU, SiLU, ELU, ...
in_place.py          activations in the place of x
softmax.py           softmax and its logarithm
attention.py         softmax(q @ k.T) @ v
embedding.py         a row of W for each word
losses.py            how far numbers are from numbers
class_losses.py      how far scores are from labels
ctc.py               how far scores at steps are from a word
training.py          weights with gradients, an optimizer's state, batches, random numbers
metrics.py           accuracy, precision, recall
"""

from importlib import import_module
from inspect import getmembers, isclass, isfunction
from pkgutil import iter_modules

for file in iter_modules(__path__):
    module = import_module(f"{__name__}.{file.name}")
    globals().update(getmembers(module, isfunction) + getmembers(module, isclass))
