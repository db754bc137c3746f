"""What a batch holds, and whether it fits.

spec.py         InputSpec: what an input looks like
structure.py    the parts of a batch, and their names in the loop
data_source.py  how batches come from a data argument
labels.py       whether labels fit the loss and the predictions
objective.py    losses and metrics, by their names in the loop
dry_run.py      the first samples through network, loss and metrics, before a call runs
"""
