"""Shard weights across ranks (FSDP2)."""

from typing import Any

from torch import distributed as dist
from torch import nn


def shard_weights(network: nn.Module) -> None:
    """Leave to each rank a shard of every weight, layer by layer."""
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import fully_shard

    device = next(network.parameters()).device.type
    mesh = init_device_mesh(device, (dist.get_world_size(),))
    for layer in network.children():  # so that only one layer at a time has its whole weights
        if any(True for _ in layer.parameters()):
            fully_shard(layer, mesh=mesh)
    fully_shard(network, mesh=mesh)


def full_state_dict(owner: Any) -> dict[str, Any]:
    """The full state_dict of a sharded network or its optimizer, or of any other.

    All ranks must call it at the same time, where the network is sharded.
    """
    state: dict[str, Any] = gathered(owner.state_dict())
    return state


def gathered(value: Any) -> Any:
    """The same dicts and lists, with full tensors for sharded ones."""
    if isinstance(value, dict):
        return {name: gathered(each) for name, each in value.items()}
    if isinstance(value, list):
        return [gathered(each) for each in value]
    return value.full_tensor() if hasattr(value, "full_tensor") else value


def shard_state_dict(state: dict[str, Any], owner: Any) -> dict[str, Any]:
    """A full state_dict, each tensor sharded as it is in the owner: what this rank loads."""
    if isinstance(owner, nn.Module):
        own = owner.state_dict()
        return {name: part_like(own.get(name), value) for name, value in state.items()}
    weights = [weight for group in owner.param_groups for weight in group["params"]]
    memory = {
        i: {name: part_like(weights[i], value) for name, value in numbers.items()}
        for i, numbers in state["state"].items()
    }
    return {**state, "state": memory}


def part_like(own: Any, value: Any) -> Any:
    """This rank's shard of a full tensor, where its own of the same shape is sharded."""
    if not hasattr(own, "full_tensor") or getattr(value, "shape", None) != own.shape:
        return value
    from torch.distributed.tensor import distribute_tensor

    # Each process has the whole tensor, and cuts its own part out.
    return distribute_tensor(
        value.to(own.device), own.device_mesh, own.placements, src_data_rank=None
    )
