"""Depth: the same program, written out further.

    loop         network, loss, backward and optimizer as PyTorch has them
    optimizer    optimizer.step() and zero_grad() as arithmetic: the update rule

`model.unroll("fit", ..., depth="optimizer")` rewrites those lines of the loop and leaves the
others, so that every option of the call goes on working. What is computed is the same, bit for bit.

depths.py           a program at another depth, and what is refused
optimizer.py        puts the rule in the place of optimizer.step()
rules/              what each optimizer does to one weight
hyperparameters.py  the names in CAPITALS that the rules use
"""
