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

from tutorial.loop.names import key_code
from tutorial.unroll.alike import MISSING, of_optimizer
from tutorial.unroll.objects import (
    constructor_arguments,
    kept_argument,
    parameters_of,
    rebuilt,
    same,
)
from tutorial.unroll.source import CannotWriteError, bracketed

if TYPE_CHECKING:
    from tutorial.unroll.script import Script

LOADER_OPTIONS = ("num_workers", "collate_fn", "worker_init_fn", "generator", "persistent_workers")


def optimizer_code(script: "Script", optimizer: torch.optim.Optimizer, path: str) -> str:
    """Its class with the weights of each group, and the options that are not the default."""
    cls = script.reference(type(optimizer))
    defaults = defaults_of(type(optimizer))
    groups = []
    # Of several groups the constructor is told what each has; one that is added later gets it, too.
    of_all = optimizer.defaults if len(optimizer.param_groups) > 1 else {}
    usual = {k: of_all.get(k, value) for k, value in defaults.items()}
    for i, group in enumerate(optimizer.param_groups):
        if any(id(weight) not in script.weights for weight in group["params"]):
            raise CannotWriteError(
                f"{path} holds weights that are neither the network's nor a loss's"
            )
        options = {
            key: script.code(value, f"{path}[{i}].{key}")
            for key, value in group.items()
            if key in defaults and key != "params" and not same(value, usual[key])
        }
        groups.append(([script.weights[id(weight)] for weight in group["params"]], options))
    more = other_arguments(script, optimizer, path)
    if len(groups) > 1:
        dicts = [
            bracketed(
                "{",
                [f"{key_code(k)}: {v}" for k, v in {"params": listed(script, n), **o}.items()],
                "}",
            )
            for n, o in groups
        ]
        told = [
            f"{k}={script.code(value, f'{path}.{k}')}"
            for k, value in usual.items()
            if not same(value, defaults[k]) and k not in dict_of(more)
        ]
        code = bracketed(f"{cls}(", [bracketed("[", dicts, "]"), *told, *more], ")")
        code = f"{cls}({bracketed('[', dicts, ']')})" if not [*told, *more] else code
    else:
        names, options = groups[0]
        weights = listed(script, names)
        options = {key: value for key, value in options.items() if key not in dict_of(more)}
        code = bracketed(
            f"{cls}(", [weights, *(f"{k}={v}" for k, v in options.items()), *more], ")"
        )
    if not type(optimizer).__module__.startswith("torch.optim"):
        restore_attributes(script, code, optimizer, path)
    return code


def listed(script: "Script", names: list[str]) -> str:
    """A list of these weights; all of the network's are network.parameters()."""
    owners = {name: name.partition(".")[0] for name in script.weights.values()}
    whole = list(dict.fromkeys(owners[name] for name in names))
    if names == [name for owner in whole for name in owners if owners[name] == owner]:
        if whole == ["network"]:
            return "network.parameters()"
        return f"[{', '.join(f'*{owner}.parameters()' for owner in whole)}]"
    return bracketed("[", names, "]")


def dict_of(keywords: list[str]) -> dict[str, str]:
    """The names in `name=code` items."""
    return {item.partition("=")[0]: item for item in keywords}


def other_arguments(script: "Script", optimizer: torch.optim.Optimizer, path: str) -> list[str]:
    """The arguments of its constructor that are in no group, from the attributes that keep them.

    Raises:
        CannotWriteError: one that must be given is not kept.
    """
    found = []
    for name, parameter in list(parameters_of(type(optimizer)).items())[1:]:
        kinds = (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)
        if parameter.kind in kinds or all(name in group for group in optimizer.param_groups):
            continue
        kept = kept_argument(optimizer, name)
        kept = optimizer.defaults.get(name, MISSING) if kept is MISSING else kept
        if kept is MISSING and parameter.default is parameter.empty:
            raise CannotWriteError(
                f"{type(optimizer).__name__} does not keep its argument {name}; "
                f"write self.{name} = {name} in its __init__"
            )
        if kept is not MISSING and not same(kept, parameter.default):
            found.append(f"{name}={script.code(kept, f'{path}.{name}')}")
    return found


def restore_attributes(
    script: "Script", code: str, optimizer: torch.optim.Optimizer, path: str
) -> None:
    """Add the lines that set the attributes which its constructor sets otherwise."""
    built, own = of_optimizer(script.build(code)), of_optimizer(optimizer)
    for name in [name for name in own if name != ".param_groups"]:
        if script.compare(built.get(name, MISSING), own[name], f"{path}{name}") is not None:
            script.afterwards.append(f"{path}{name} = {script.code(own[name], f'{path}{name}')}")


def scheduler_code(script: "Script", scheduler: Any, name: str) -> str:
    """Its class with its constructor's arguments; its state is loaded afterwards."""
    cls = script.reference(type(scheduler))
    if hasattr(scheduler, "lr_lambdas"):  # the functions are not in its state
        return script.call(cls, [scheduler.optimizer, scheduler.lr_lambdas], {}, name)
    try:
        _, arguments, keywords = constructor_arguments(script, cls, scheduler)
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


def loader_code(script: "Script", loader: DataLoader[Any], path: str) -> str:
    """A DataLoader with the options that are not the default."""
    data = script.line(f"{path}.set", loader.dataset)
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
    cls = script.reference(type(loader))
    if type(loader).__init__ is DataLoader.__init__:
        code = bracketed(f"{cls}(", [data, *script.codes([], chosen, path)], ")")
    else:
        code = subclass_code(script, loader, cls, chosen, path)
    if found := script.difference(code, loader, path):
        raise CannotWriteError(found)
    return code


def subclass_code(
    script: "Script", loader: DataLoader[Any], cls: str, chosen: dict[str, Any], path: str
) -> str:
    """A loader of a class with a constructor of its own: its arguments, and what it passes on."""
    function, values, keywords = constructor_arguments(script, cls, loader, loader.dataset)
    parameters = parameters_of(type(loader)).values()
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters):
        keywords = chosen | keywords
    return script.call(function, values, keywords, path)


def shuffles(loader: DataLoader[Any]) -> bool:
    """Whether its sampler is the one that `shuffle=True` makes."""
    order = loader.sampler
    if type(order) is not RandomSampler:
        return False
    return vars(order) == vars(RandomSampler(order.data_source, generator=loader.generator))


def defaults_of(cls: type) -> dict[str, Any]:
    """The default of each argument of a constructor."""
    return {name: parameter.default for name, parameter in signature(cls).parameters.items()}
