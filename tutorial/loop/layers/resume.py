"""Resume: go on from a checkpoint, as if the training had never broken off."""

import torch

from tutorial.distributed.process_group import broadcast_object
from tutorial.distributed.shard import shard_state_dict
from tutorial.loop.layers import fit
from tutorial.loop.options import (
    ATTRIBUTES,
    DISTRIBUTED,
    EPOCHS,
    FIRST_EPOCH,
    GRAD_SCALER,
    KEPT_WORKERS,
    PARTS,
    RESUME,
    SCHEDULERS,
    SHARDED,
    STATEFUL_CALLBACKS,
)


@fit(RESUME is not None)
def go_on(network, optimizer, scaler, set_rng_state, rank):
    ...
    rows: list[dict[str, float]] = []
    if not DISTRIBUTED or rank == 0:
        saved = torch.load(RESUME, map_location="cpu", weights_only=True)  # where it broke off
    if DISTRIBUTED:
        saved = broadcast_object(saved if rank == 0 else None)  # on other machines it is not
    if SHARDED:  # of each tensor, this process's part
        network.load_state_dict(shard_state_dict(saved["network"], network))
        optimizer.load_state_dict(shard_state_dict(saved["optimizer"], optimizer))
    else:
        network.load_state_dict(saved["network"])
        optimizer.load_state_dict(saved["optimizer"])
    if GRAD_SCALER:
        scaler.load_state_dict(saved["scaler"])
    for i, scheduler in SCHEDULERS:
        scheduler.load_state_dict(saved["schedulers"][i])
    for i, callback in STATEFUL_CALLBACKS:
        callback.load_state_dict(saved["fit"]["callbacks"][i])
    for loader in KEPT_WORKERS:
        iter(loader)  # its workers start here, not in the first epoch
    for load_state, key in PARTS:
        load_state(saved["parts"][key])
    for attribute, kind, key in ATTRIBUTES:
        attribute = saved[kind][key]
    set_rng_state(saved["random"])  # the order of the data and dropout go on, too
    step_losses, rows = saved["fit"]["step_losses"], saved["fit"]["rows"]
    ...


@fit(FIRST_EPOCH != 0)
def skip_finished_epochs():
    ...
    for epoch in range(FIRST_EPOCH, EPOCHS):
        ...
    ...
