"""Depth: the same program, written out further.

    loop         network, loss, backward and optimizer as PyTorch has them
    optimizer    optimizer.step() and zero_grad() as arithmetic: the update rule
    gradients    the network, the losses and backward, too: layer by layer, without autograd
    numpy        the same text with NumPy alone

`model.unroll("fit", ..., depth="gradients")` rewrites those lines of the loop and leaves the
others, so that every option of the call goes on working. What is computed is the same, bit for bit;
with NumPy, within 1e-10 of PyTorch in 64 bits.

depths.py           a program at another depth, and what is refused
optimizer.py        puts the rule in the place of optimizer.step()
rules/              what each optimizer does to one weight
hyperparameters.py  the names in CAPITALS that the rules use
gradients.py        puts forward and backward in the place of network(x) ... loss.backward()
segments.py         where in a loop those lines are
passes.py           runs them on copies, with a few samples
hooks.py            which nobody would call
trace.py            notes each operation, and the layer to which it belongs
questions.py        lines that only ask for a value to refuse it
graph.py            what an operation reads, and what it changes
live.py             which operations are written
results.py          how their results are named
expressions.py      an operation as code
writer.py           writes the operations as lines
names.py            W_1 and b_1: the names of weights and buffers
operations.py       the table: how each operation reads
kernels.py          torch's backward operations that have no name in torch
in_numpy.py         the text of depth "gradients" in NumPy, line by line
dictionary.py       from torch to NumPy: how each word reads there
arrays/             what NumPy has no word for: convolution, batch norm, attention, ...
noted.py            PyTorch's run in 64 bits, which notes what is random
numpy_program.py    a program with NumPy alone: run, saved, compared
lines.py            which lines belong together, from depth to depth
shown.py            a program at all of its depths, as a notebook shows it
"""
