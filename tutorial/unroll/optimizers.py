"""Optimizers, schedulers, gradient scalers and data loaders as code."""

from collections import Counter
from inspect import signature
from typing import TYPE_CHECKING, Any

import torch
from torch.utils.data import (
    DataLoader,
    IterableDataset,
    RandomSampler,
    SequentialSampler,
    default_collate,
    default_convert,
)

from tutorial.unroll.networks import weights_named
from tutorial.unroll.objects import CannotWriteError, constructor_arguments, rebuilt, same
from tutorial.unroll.source import bracketed

if TYPE_CHECKING:
    from tutorial.unroll.script import Script

LOADER_OPTIONS = ("num_workers", "collate_fn", "worker_init_fn", "generator", "persistent_workers")


def optimizer_code(script: "Script", optimizer: torch.optim.Optimizer) -> str:
    """Its class with the weights of each group, and the options that are not the default."""
    start, defaults = f"{script.reference(type(optimizer))}(", defaults_of(type(optimizer))
    groups = []
    for i, group in enumerate(optimizer.param_groups):
        if any(id(weight) not in script.weights for weight in group["params"]):
            raise CannotWriteError("it holds weights that are not the network's")
        options = {
            key: script.code(value, f"optimizer_{i}_{key}")
            for key, value in group.items()
            if key in defaults and key != "params" and not same(value, defaults[key])
        }
        groups.append(([script.weights[id(weight)] for weight in group["params"]], options))
    if len(groups) > 1:
        dicts = [
            bracketed(
                "{", [f'"{k}": {v}' for k, v in {"params": weights_named(n), **o}.items()], "}"
            )
            for n, o in groups
        ]
        return f"{start}{bracketed('[', dicts, ']')})"
    names, options = groups[0]
    whole = names == list(script.weights.values())
    weights = "network.parameters()" if whole else weights_named(names)
    return bracketed(start, [weights, *(f"{k}={v}" for k, v in options.items())], ")")


def scheduler_code(script: "Script", scheduler: Any, name: str) -> str:
    """Its class with its constructor's arguments; its state is loaded afterwards."""
    cls = script.reference(type(scheduler))
    if hasattr(scheduler, "lr_lambdas"):  # the functions are not in its state
        return script.call(cls, [scheduler.optimizer, scheduler.lr_lambdas], {}, name)
    try:
        arguments, keywords, _ = constructor_arguments(scheduler)
    except CannotWriteError:  # then its state must do
        script.restores.append(f"{name}.optimizer = optimizer")
        return f'{script.reference(rebuilt)}({cls}, start["{name}"])'
    keywords.pop("last_epoch", None)
    arguments = [sorted(a.elements()) if isinstance(a, Counter) else a for a in arguments]
    return script.call(cls, arguments, keywords, name)


def scaler_code(script: "Script", scaler: torch.amp.GradScaler) -> str:
    """A gradient scaler with the options that are not the default."""
    options = {
        "init_scale": scaler._init_scale,
        "growth_factor": scaler.get_growth_factor(),
        "backoff_factor": scaler.get_backoff_factor(),
        "growth_interval": scaler.get_growth_interval(),
    }
    defaults = defaults_of(torch.amp.GradScaler)
    chosen = {key: value for key, value in options.items() if value != defaults[key]}
    return script.call("torch.amp.GradScaler", [scaler._device], chosen, "scaler")


def loader_code(script: "Script", loader: DataLoader[Any], name: str) -> str:
    """A DataLoader with the options that are not the default."""
    data = script.line(f"{name}_set", loader.dataset)
    order: Any = loader.sampler
    options: dict[str, Any] = {}
    if loader.batch_sampler is not None and loader.batch_size is None:
        options["batch_sampler"] = loader.batch_sampler
    else:
        options["batch_size"] = loader.batch_size
        if shuffles(loader) and loader.batch_size is not None:
            options["shuffle"] = True
        elif type(order) is not SequentialSampler and not isinstance(
            loader.dataset, IterableDataset
        ):
            options["sampler"] = order
        options["drop_last"] = loader.drop_last
    options |= {key: getattr(loader, key) for key in LOADER_OPTIONS}
    defaults = defaults_of(DataLoader)
    chosen = {
        key: value
        for key, value in options.items()
        if not same(value, defaults[key]) and value not in (default_collate, default_convert)
    }
    cls = script.reference(DataLoader)
    return bracketed(f"{cls}(", [data, *script.codes([], chosen, name)], ")")


def shuffles(loader: DataLoader[Any]) -> bool:
    """Whether its sampler is the one that `shuffle=True` makes."""
    order = loader.sampler
    if type(order) is not RandomSampler:
        return False
    return vars(order) == vars(RandomSampler(order.data_source, generator=loader.generator))


def defaults_of(cls: type) -> dict[str, Any]:
    """The default of each argument of a constructor."""
    return {name: parameter.default for name, parameter in signature(cls).parameters.items()}
