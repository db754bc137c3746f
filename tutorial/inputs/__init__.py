"""What a batch holds, and whether it fits.

spec.py         InputSpec: what an input looks like
matching.py     what goes where: parts matched with parameters, by name
readings.py     which parts of a batch are inputs, and which are labels
structure.py    the parts of a batch, and their names in the loop
data_source.py  how batches come from a data argument
reduction.py    how a loss reduces a batch to one number
torch_losses.py  torch's own: what is said to them tells it
own_loss.py     any other: it is asked, with parts of a batch
labels.py       whether labels fit the loss and the predictions
logits.py       logits or probabilities: what the loss takes an output as
objective.py    losses and metrics, by their names in the loop
metric_values.py  what a metric reports: numbers, or more than that
undefined.py    a metric that few samples do not define
direction.py    whether more of what is reported is better
dry_run.py      the first batch through network, loss and metrics, before a call runs
trying.py       these called, so that an error says what to do
failing_layer.py  in which layer of a network an error arose
refusals.py     what is refused then, and what to write instead
isolation.py    a look without a trace: in a copy of this process, or on copies
"""
