"""After an epoch all that a training needs is saved, to go on from here should it break off."""

from tutorial.loop.layers import fit_epoch
from tutorial.loop.options import CHECKPOINTS


@fit_epoch(CHECKPOINTS)
def save(epoch, step_losses, rows):
    ...
    for checkpoint in CHECKPOINTS:
        checkpoint.save(epoch, step_losses, rows)  # to go on from here, should it break off
