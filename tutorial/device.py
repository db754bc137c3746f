"""Devices and random seeds."""

import copy
import os
import random
from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import nn

from tutorial.parameters import Seed, checked, short

_chosen: torch.device | None = None


def set_device(name: str) -> torch.device:
    """Choose the device on which every `Model` made from now on trains.

    Args:
        name: 'cpu'; 'gpu' or 'cuda' (the first one), 'gpu:1' or 'cuda:1' (the second), ...; 'mps'.
            Numbers count the devices that CUDA_VISIBLE_DEVICES leaves visible.

    Returns:
        PyTorch's name for it.

    Raises:
        ValueError: the name is unknown, or the device is not there; the message lists what is.

    Example:
        >>> set_device("cpu")
        device(type='cpu')
    """
    global _chosen
    there = available()
    torch_name = name.replace("gpu", "cuda", 1) if isinstance(name, str) else ""
    torch_name = "cuda:0" if torch_name == "cuda" else torch_name
    if torch_name not in there:
        raise ValueError(
            f"set_device: name is {short(name)}, but this machine has "
            f"{', '.join(map(repr, there))}. Choose one of these ('gpu:0' is "
            "another name for 'cuda:0')."
        )
    _chosen = torch.device(torch_name)
    return _chosen


def get_device() -> str:
    """The device for new models: the chosen one; else the first GPU, if there is one; else 'cpu'.

    Of several processes (ranks) on a machine, each has a GPU of its own: rank 0 the first.

    Example:
        >>> _ = set_device("cpu")
        >>> get_device()
        'cpu'
    """
    if _chosen is not None:
        return str(_chosen)
    return f"cuda:{os.environ.get('LOCAL_RANK', 0)}" if torch.cuda.is_available() else "cpu"


def available() -> list[str]:
    """The names of this machine's devices, as PyTorch writes them."""
    gpus = [f"cuda:{i}" for i in range(torch.cuda.device_count())]
    return ["cpu", *gpus, *(["mps"] if torch.backends.mps.is_available() else [])]


def has_room(device: str, tensors: Iterable[torch.Tensor]) -> bool:
    """Whether a GPU has much more room than these tensors take: four times as much.

    Data to train on and data to evaluate on may both go there, and training itself needs some.
    """
    if not device.startswith("cuda"):
        return True
    free, _ = torch.cuda.mem_get_info(device)
    return 4 * sum(tensor.nbytes for tensor in tensors) <= free


def choose_fused(
    optimizer: torch.optim.Optimizer, network: nn.Module, scaled: bool = False
) -> None:
    """Use the optimizer's fused implementation where the choice was left open and it works.

    Args:
        optimizer: each of its groups is decided by its own weights and options.
        network: whose embeddings tell which gradients are sparse.
        scaled: is the loss scaled? Then all groups are fused, or none: a GradScaler leaves the
            scale to the optimizer or does it itself.
    """
    sparse = {
        id(weight)
        for module in network.modules()
        if getattr(module, "sparse", False) is True  # such as nn.Embedding(sparse=True)
        for weight in module.parameters(recurse=False)
    }
    groups = [g for g in optimizer.param_groups if can_be_fused(optimizer, g, sparse, scaled)]
    everywhere = len(groups) == len(optimizer.param_groups)
    if not groups or (scaled and not everywhere):
        return
    for group in groups:
        group["fused"] = True
    # As its constructor does; a group that is added later is then like the others.
    optimizer._step_supports_amp_scaling = True  # type: ignore[attr-defined]
    if everywhere:
        optimizer.defaults["fused"] = True


def can_be_fused(
    optimizer: torch.optim.Optimizer, group: dict[str, Any], sparse: set[int], scaled: bool
) -> bool:
    """Whether the fused implementation may be chosen for these weights, and works for them.

    Not for momentum with a scaled loss: where its first step overflows, and so is left out, torch's
    fused SGD goes on with a momentum that was never set.
    """
    weights = group["params"]
    if group.get("fused", False) is not None or group.get("foreach"):
        return False  # there is none, or the user has chosen
    if group.get("differentiable") or group.get("capturable"):
        return False
    if (scaled and group.get("momentum")) or any(id(weight) in sparse for weight in weights):
        return False
    if not all(weight.is_floating_point() for weight in weights):  # complex ones are not
        return False
    if len({weight.device.type for weight in weights}) != 1:
        return False
    return all(
        fused_step_works(optimizer, group, weight)
        for weight in {kind_of_weight(weight): weight for weight in weights}.values()
    )


def kind_of_weight(weight: torch.Tensor) -> tuple[Any, ...]:
    """What decides whether a fused step works for a weight: type, device, how it is sharded."""
    return type(weight), weight.dtype, weight.device, getattr(weight, "placements", None)


_TRIED: dict[tuple[Any, ...], bool] = {}


def fused_step_works(optimizer: torch.optim.Optimizer, group: dict[str, Any], weight: Any) -> bool:
    """Try it: one fused step with these options, on a single number of the weight's kind."""
    options = {name: value for name, value in group.items() if name != "params"}
    key = (type(optimizer), *kind_of_weight(weight), repr(options))
    if key not in _TRIED:
        number = torch.zeros(1, dtype=weight.dtype, device=weight.device)
        if hasattr(weight, "full_tensor"):  # a DTensor: of a network whose weights are sharded
            from torch.distributed.tensor import DTensor

            number = DTensor.from_local(number, weight.device_mesh, weight.placements)
        number.requires_grad_(True).grad = torch.zeros_like(number)
        trial: Any = type(optimizer).__new__(type(optimizer))
        begun = {
            name: torch.zeros_like(number)
            if isinstance(value, torch.Tensor) and value.shape == weight.shape != ()
            else copy.deepcopy(value)
            for name, value in optimizer.state.get(weight, {}).items()
        }
        tried = {**copy.deepcopy(options), "params": [number], "fused": True}
        state = defaultdict(dict, {number: begun} if begun else {})
        trial.__setstate__({"defaults": {}, "state": state, "param_groups": [tried]})  # no hooks
        try:
            if callable(getattr(trial, "train", None)):  # it has modes, as a network has
                trial.train()
            type(optimizer).step(trial)
            _TRIED[key] = True
        except Exception:  # whatever it is that cannot be done
            _TRIED[key] = False
    return _TRIED[key]


def seed(n: Seed) -> None:
    """Seed Python's, NumPy's and PyTorch's generators on every device (and so the data loaders).

    Weights, shuffling and dropout after `seed(n)` are the same in every run.

    Args:
        n: an integer from 0 to 2**32 - 1.

    Raises:
        ValueError: n is not such a number.

    Example:
        >>> seed(0)
        >>> a = torch.rand(2)
        >>> seed(0)
        >>> bool((torch.rand(2) == a).all())
        True
    """
    n = checked(seed, locals())["n"]
    random.seed(n)
    np.random.seed(n)
    torch.manual_seed(n)  # also seeds every GPU


def rng_state() -> dict[str, Any]:
    """The state of all random generators, loadable with `weights_only=True`."""
    name, keys, *rest = np.random.get_state()
    state: dict[str, Any] = {
        "torch": torch.get_rng_state(),
        "python": random.getstate(),
        "numpy": (name, torch.from_numpy(np.asarray(keys, dtype=np.int64)), *rest),
    }
    if torch.cuda.is_available():
        state["cuda"] = torch.cuda.get_rng_state_all()
    return state


def set_rng_state(state: dict[str, Any]) -> None:
    """Restore what `rng_state()` gave."""
    torch.set_rng_state(state["torch"])
    random.setstate(state["python"])
    name, keys, *rest = state["numpy"]
    np.random.set_state((name, keys.numpy(), *rest))
    if "cuda" in state and torch.cuda.is_available():
        torch.cuda.set_rng_state_all(state["cuda"])


@contextmanager
def unchanged_randomness() -> Iterator[None]:
    """Restore the state of all random generators on exit."""
    state = rng_state()
    try:
        yield
    finally:
        set_rng_state(state)


def flushes_denormals() -> bool:
    """Whether the CPU flushes denormals, numbers below 1e-38, to 0."""
    return bool(torch.tensor(1e-39) * 1.0 == 0)


def pass_back_once() -> None:
    """Let autograd make a plain pass.

    If its first one in a process is traced, as an export does, forked copies cannot use autograd.
    """
    first: Any = torch.ones(1, requires_grad=True)
    first.backward()


@contextmanager
def unchanged_settings() -> Iterator[None]:
    """Afterwards torch's settings that a program changes are as before.

    The CPU flushes denormals if it did before, and uses oneDNN and the fast path of attention.
    """
    one_dnn: Any = torch.backends.mkldnn
    before = flushes_denormals(), one_dnn.enabled, torch.backends.mha.get_fastpath_enabled()
    try:
        yield
    finally:
        torch.set_flush_denormal(before[0])
        one_dnn.enabled = before[1]
        torch.backends.mha.set_fastpath_enabled(before[2])
