"""What `optimizer.step()` does to one weight: one optimizer, one file.

Each is the rule as its paper states it, in the operations that torch
runs one weight at a time (foreach=False, fused=False), so that it gives the same bits. A name in
CAPITALS is a hyperparameter, as in the loop an option: what it decides is decided before the rule
is written out, so that momentum=0 leaves no line of momentum.

sgd.py        momentum, Nesterov, dampening, weight decay
adam.py       Adam, AdamW, AMSGrad
nadam.py      Adam with Nesterov's look ahead
radam.py      Adam that begins as SGD
adamax.py     Adam with the largest gradient
rmsprop.py    each weight's step by the size of its gradients; centered, momentum
adagrad.py    steps that shrink
adadelta.py   no learning rate to choose
adafactor.py  a row and a column in place of a matrix of squares
rprop.py      only the sign of a gradient counts
asgd.py       and the average of all weights on the way
muon.py       a matrix's step is made orthogonal
"""
