"""Depth: the same program, written out further.

    loop         network, loss, backward and optimizer as PyTorch has them
    optimizer    optimizer.step() and zero_grad() as arithmetic: the update rule
    gradients    the network, the losses and backward, too: layer by layer, without autograd

`model.unroll("fit", ..., depth="gradients")` rewrites those lines of the loop and leaves the
others, so that every option of the call goes on working. What is computed is the same, bit for bit.

depths.py           a program at another depth, and what is refused
optimizer.py        puts the rule in the place of optimizer.step()
rules/              what each optimizer does to one weight
hyperparameters.py  the names in CAPITALS that the rules use
gradients.py        puts forward and backward in the place of network(x) ... loss.backward()
segments.py         where in a loop those lines are
passes.py           runs them on copies, with a few samples
trace.py            notes each operation, and the layer to which it belongs
writer.py           writes the operations as lines
names.py            W_1 and b_1: the names of weights and buffers
operations.py       the table: how each operation reads
kernels.py          torch's backward operations that have no name in torch
arrays/             the same operations in NumPy
lines.py            which lines belong together, from depth to depth
shown.py            a program at all of its depths, as a notebook shows it
"""
