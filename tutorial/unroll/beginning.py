"""Where a fit begins: what `tutorial.compare` needs to say why two runs differ.

Small and plain, so that a History and its file hold it. Nothing is drawn for it, and it takes about
a millisecond.
"""

import linecache
import platform
import random
from collections.abc import Mapping
from types import CodeType
from typing import Any

import numpy as np
import torch
from torch import nn

from tutorial.callbacks import CSVLogger, EarlyStopping, Insight, ModelCheckpoint, TensorBoard
from tutorial.saving.fingerprints import checksum, code_of, fingerprint, modules, tensors
from tutorial.unroll.hooks import Hooks

# Options that change what is learned; those of batches count only where the loop makes them.
OF_BATCHES = ("BATCH_SIZE", "SHUFFLE", "DROP_LAST", "NUM_WORKERS")
OF_UPDATES = ("ACCUMULATE_GRAD_BATCHES", "CLIP_GRAD_NORM")


def beginning(
    names: Mapping[str, Any], options: Mapping[str, Any], hooks: Hooks, loop: Any, own_loop: bool
) -> dict[str, Any]:
    """What is known of a fit before its first step.

    Args:
        names: what the loop's names stand for.
        options: what the call has decided.
        hooks: its callbacks and schedulers.
        loop: the code that runs: a program's, or a function of the user's own.
        own_loop: whether the loop was handed in.
    """
    network, optimizer = names["network"], names.get("optimizer")
    losses = {name: value for name, value in names.items() if name.startswith("loss_fn")}
    learned = {**network_tensors(network, ""), **loss_tensors(losses)}
    resumed = options.get("RESUME") is not None
    known = (network, optimizer, names["model"])
    return {
        "resumed": resumed,
        "options": options_of(names, options),
        **({} if resumed else {**randomness(), "weights": tensors(learned)}),
        "network": modules(network),
        "frozen": [name for name, weight in network.named_parameters() if not weight.requires_grad],
        "data": fingerprint(names.get("train_data")),
        "loss": {name: fingerprint(value, known) for name, value in losses.items()},
        "optimizer": None if optimizer is None else optimizer_at_start(optimizer, resumed),
        "schedulers": {name: fingerprint(value, known) for name, value in hooks.schedulers.items()},
        "callbacks": callbacks_of(hooks),
        "machine": machine(options),
        "own_loop": own_loop,
        "loop": code_of(loop) if callable(loop) else source_lines(loop),
    }


def options_of(names: Mapping[str, Any], options: Mapping[str, Any]) -> dict[str, Any]:
    """The call's own options, by the names of their arguments."""
    made_here = options.get("TRAIN_LOADING") != "as_is"
    asked = {name: options[name] for name in (*OF_UPDATES, *(OF_BATCHES if made_here else ()))}
    model = names["model"]
    also = {
        "precision": model.precision.name,
        "processes": model.world_size,
        "evaluation": f"every {options['EVAL_FREQ']} epochs" if options["EVAL_DATA"] else "never",
    }
    return {name.lower(): value for name, value in asked.items()} | also


ONLY_WATCH = (CSVLogger, EarlyStopping, Insight, ModelCheckpoint, TensorBoard)  # or end it


def callbacks_of(hooks: Hooks) -> dict[str, Any]:
    """The callbacks that may change what is learned, with their settings."""
    return {
        name: [code_of(type(callback)), settings]
        for (name, callback), (_, settings) in zip(
            hooks.callbacks.items(), hooks.settings(), strict=True
        )
        if not isinstance(callback, ONLY_WATCH)
    }


def randomness() -> dict[str, Any]:
    """The seed, and a checksum for the state of each random generator."""
    return {
        "seed": torch.initial_seed(),
        "random": {
            "torch": checksum(torch.get_rng_state()),
            "numpy": fingerprint(np.random.mtrand._rand),
            "python": fingerprint(random._inst),
        },
    }


def network_tensors(network: nn.Module, before: str) -> dict[str, torch.Tensor]:
    """The weights and buffers of a module, by their names."""
    found = dict(network.named_parameters()) | dict(network.named_buffers())
    return {f"{before}{name}": tensor for name, tensor in found.items()}


def loss_tensors(losses: Mapping[str, Any]) -> dict[str, torch.Tensor]:
    """The same of losses."""
    return {
        name: tensor
        for loss, value in losses.items()
        if isinstance(value, nn.Module)
        for name, tensor in network_tensors(value, f"{loss}.").items()
    }


def optimizer_at_start(optimizer: torch.optim.Optimizer, resumed: bool) -> dict[str, Any]:
    """Its class, the settings of its groups, and what it remembers of an earlier training."""
    groups = [
        {name: fingerprint(value) for name, value in group.items() if name != "params"}
        for group in optimizer.param_groups
    ]
    names = dict.fromkeys(name for group in groups for name in group)
    settings = {name: [group.get(name) for group in groups] for name in names}
    memory = {
        f"{i}.{name}": value
        for i, state in enumerate(optimizer.state.values())
        for name, value in state.items()
        if isinstance(value, torch.Tensor)
    }
    return {
        "": code_of(type(optimizer)),
        **{name: values[0] if len(values) == 1 else values for name, values in settings.items()},
        **(
            {} if resumed else {"memory": fingerprint(tensors(memory, 2**16)) if memory else "none"}
        ),
    }


def source_lines(code: CodeType) -> list[str]:
    """The lines of a program that was compiled, as tracebacks have them."""
    return [line.rstrip() for line in linecache.getlines(code.co_filename)]


def machine(options: Mapping[str, Any]) -> dict[str, Any]:
    """What decides how sums are rounded, and how code is compiled."""
    device = str(options.get("DEVICE", "cpu"))
    gpu = torch.cuda.get_device_name(device) if device.startswith("cuda") else None
    return {
        "torch": torch.__version__,
        "python": ".".join(platform.python_version_tuple()[:2]),
        "device": gpu or device.partition(":")[0],
        "processor": f"{platform.machine()} {torch.backends.cpu.get_cpu_capability()}",
        "threads": torch.get_num_threads(),
        "compile": options.get("COMPILE", False),
    }
