"""The names in a program: what it imports, and how the objects of a call are called."""

import ast
import re
import unicodedata
from collections.abc import Collection, Iterable
from functools import cache
from importlib.resources import files
from itertools import count
from keyword import iskeyword
from typing import Any

import torch
from torch import distributed as dist
from torch import nn
from torch.utils.data import BatchSampler, DataLoader, RandomSampler, SequentialSampler, Subset

from tutorial.data.ahead import LookAhead
from tutorial.data.batches import Batches
from tutorial.distributed.process_group import broadcast_object
from tutorial.distributed.shard import shard_state_dict
from tutorial.distributed.split import RankSlice, all_reduced
from tutorial.loop import options
from tutorial.loop.options import Code
from tutorial.metrics import value_or_nan

# What a program may name besides the objects of its call.
TOOLS: dict[str, Any] = {
    "torch": torch,
    "nn": nn,
    "dist": dist,
    "BatchSampler": BatchSampler,
    "Batches": Batches,
    "DataLoader": DataLoader,
    "LookAhead": LookAhead,
    "RandomSampler": RandomSampler,
    "SequentialSampler": SequentialSampler,
    "RankSlice": RankSlice,
    "Subset": Subset,
    "all_reduced": all_reduced,
    "value_or_nan": value_or_nan,
    "broadcast_object": broadcast_object,
    "shard_state_dict": shard_state_dict,
}


LONGEST = 60  # characters of a variable, before its number
OF_DEPTHS = ("n", "weight", "gradient", "state", "group")  # what its forms written out use besides
OF_BATCHES = ("x", "y", "inputs", "labels", "batch", "text")  # what the loop may call its parts


def variable(thing: Any, taken: Collection[str], suffix: str = "") -> Code:
    """A name for the thing in the loop, by its class: early_stopping, then early_stopping_2.

    >>> variable(ValueError(), ["value_error"])
    'value_error_2'
    """
    return unlike(f"{words_of(type(thing))}{suffix}", taken)


def words_of(kind: type) -> str:
    """The name of a class as a variable has it: early_stopping for EarlyStopping."""
    words = kind.__name__.replace("NaN", "Nan")
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", words).lower()


def unlike(words: str, taken: Collection[str]) -> Code:
    """A variable for these words that is none of the taken ones, nor what the loop uses itself.

    >>> unlike("head-a", []), unlike("head_a", ["head_a"]), unlike("loss", []), unlike("lambda", [])
    ('head_a', 'head_a_2', 'loss_2', 'lambda_2')
    """
    stem = identifier(words)
    names = (Code(f"{stem}_{number}" if number > 1 else stem) for number in count(1))
    others = {*taken, *reserved_names(), *OF_BATCHES, *OF_DEPTHS}
    return next(name for name in names if name not in others and not iskeyword(name))


def unlike_each(words: Iterable[str], taken: Collection[str]) -> list[Code]:
    """Such a variable for each of these words, and none twice."""
    found: list[Code] = []
    for each in words:
        found.append(unlike(each, {*taken, *found}))
    return found


def identifier(words: str) -> str:
    """The words as a Python name: head_a for head-a; a letter that is none becomes _."""
    letters = unicodedata.normalize("NFKC", words)  # as Python takes a name
    name = "".join(c if f"_{c}".isidentifier() else "_" for c in letters)[:LONGEST].rstrip("_")
    return name if name.isidentifier() else f"_{name}"


def key_code(key: Any) -> str:
    r"""A dict's key as code, in double quotes: what Python reads back from it is the same key.

    >>> print(key_code('say "hi"\n'), key_code(0), key_code("\u2028"))
    "say \"hi\"\n" 0 "\u2028"
    """
    if isinstance(key, str):
        inner = repr(f'"{"".join(key)}')[2:-1]  # as it holds a ", it stands in single quotes
        return '"' + inner.replace("\\'", "'").replace('"', '\\"') + '"'
    if type(key) in (int, float, bool, type(None)):
        return repr(key)
    if type(key) is tuple:
        inner = ", ".join(map(key_code, key))
        return f"({inner},)" if len(key) == 1 else f"({inner})"
    raise ValueError(
        f"a dict has the key {key!r}, a {type(key).__name__}, which the loop cannot write down. "
        "Use text or a number."
    )


NO_LOOPS = ("__init__.py", "names.py", "options.py")


@cache
def reserved_names() -> set[str]:
    """All names that a program may use; an input's name must be another one."""
    folder = files("tutorial.loop")
    paths = [*folder.iterdir(), *folder.joinpath("layers").iterdir()]
    files_of_loops = [p for p in paths if p.name.endswith(".py") and p.name not in NO_LOOPS]
    sources = [path.read_text(encoding="utf-8") for path in files_of_loops]
    functions = [
        node
        for source in sources
        for node in ast.parse(source).body
        if isinstance(node, ast.FunctionDef)
    ]
    names = {n.id for f in functions for n in ast.walk(f) if isinstance(n, ast.Name)}
    arguments = {n.arg for f in functions for n in ast.walk(f) if isinstance(n, ast.arg)}
    known = {name for name in vars(options) if name.isupper()}
    return (names | arguments | known | TOOLS.keys()) - {"x", "y"}
