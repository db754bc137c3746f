"""The names in a program: what it imports, and how the objects of a call are called."""

import ast
import re
from collections.abc import Collection
from functools import cache
from importlib.resources import files
from typing import Any

import torch
from torch import distributed as dist
from torch import nn
from torch.utils.data import BatchSampler, DataLoader, RandomSampler, SequentialSampler, Subset

from tutorial.data.batches import Batches
from tutorial.distributed.process_group import broadcast_object
from tutorial.distributed.shard import shard_state_dict
from tutorial.distributed.split import RankSlice, all_reduced
from tutorial.loop.options import Code

# What a program may name besides the objects of its call.
TOOLS: dict[str, Any] = {
    "torch": torch,
    "nn": nn,
    "dist": dist,
    "BatchSampler": BatchSampler,
    "Batches": Batches,
    "DataLoader": DataLoader,
    "RandomSampler": RandomSampler,
    "SequentialSampler": SequentialSampler,
    "RankSlice": RankSlice,
    "Subset": Subset,
    "all_reduced": all_reduced,
    "broadcast_object": broadcast_object,
    "shard_state_dict": shard_state_dict,
}


def variable(thing: Any, taken: Collection[str], suffix: str = "") -> Code:
    """A name for the thing in the loop, by its class: early_stopping, then early_stopping_2.

    >>> variable(ValueError(), ["value_error"])
    'value_error_2'
    """
    words = type(thing).__name__.replace("NaN", "Nan")
    kind = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", words).lower()
    stem = re.sub(r"\W", "_", kind + suffix)
    alike = [name for name in taken if re.fullmatch(rf"{stem}(_\d+)?", name)]
    return Code(f"{stem}_{len(alike) + 1}" if alike else stem)


@cache
def reserved_names() -> set[str]:
    """All names that a program may use; an input's name must be another one."""
    folder = files("tutorial.loop")
    paths = [*folder.iterdir(), *folder.joinpath("layers").iterdir()]
    sources = [path.read_text(encoding="utf-8") for path in paths if path.name.endswith(".py")]
    functions = [
        node
        for source in sources
        for node in ast.parse(source).body
        if isinstance(node, ast.FunctionDef)
    ]
    names = {n.id for f in functions for n in ast.walk(f) if isinstance(n, ast.Name)}
    arguments = {n.arg for f in functions for n in ast.walk(f) if isinstance(n, ast.arg)}
    return (names | arguments | TOOLS.keys()) - {"x", "y"}
