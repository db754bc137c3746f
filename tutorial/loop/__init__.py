"""The lesson: training, evaluation and prediction as plain PyTorch. Read fit.py first.

fit.py        the training loop; it runs as it stands
evaluate.py   the evaluation loop
predict.py    the prediction loop
one_batch.py  the same for one batch that you hold in your hand
layers/       one option, one file: the loop once more, with `...` for what stays
helpers.py    small functions of the loops, written out where they are called
options.py    what a call decides before its loop begins
names.py      the names in a program: what it imports, variables, reserved names
"""
