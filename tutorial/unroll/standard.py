"""Objects of Python's standard library, NumPy and pandas as code."""

import argparse
import collections
import io
import logging
import random
import re
import types
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from tutorial.loop.names import key_code
from tutorial.unroll.source import CannotWriteError, bracketed, home

if TYPE_CHECKING:
    from tutorial.unroll.script import Script


def standard_code(script: "Script", value: Any, path: str) -> str | None:
    """An expression for an object of a well-known class; None if there is no special one.

    Raises:
        CannotWriteError: there can be no code for such an object.
    """
    if writer := WRITERS.get(type(value)):
        return writer(script, value, path)
    if type(value).__module__.partition(".")[0] == "pandas":
        return pandas_code(script, value, path)
    for kinds, advice in REFUSED.items():
        if isinstance(value, kinds):
            raise CannotWriteError(f"{path} is {named(value)}, which has no plain code: {advice}")
    return None


def named(value: Any) -> str:
    """The kind of a value: a list_iterator, an open file."""
    if isinstance(value, io.IOBase):
        return "an open file"
    if isinstance(value, types.FunctionType) and value.__name__ == "<lambda>":
        return "a lambda"
    kind = type(value).__qualname__
    return f"{'an' if kind[0] in 'AEIOUaeiou' else 'a'} {kind}"


REFUSED: dict[Any, str] = {
    (io.IOBase,): "keep its path, and open it where it is read",
    (types.GeneratorType, Iterator): "keep a list, or an object with __iter__",
    (torch.jit.ScriptModule, torch.jit.ScriptFunction): "give what was scripted instead",
    (torch.fx.GraphModule,): "write its forward in a class of your own",
}


# ---- collections


def empty_or(script: "Script", value: Any, inner: str) -> str:
    """A call of its class with this in its brackets, if it is not empty."""
    cls = script.reference(type(value))
    return f"{cls}({inner if value else ''})"


def mapping_code(script: "Script", value: Any, path: str) -> str:
    """OrderedDict({...})."""
    return empty_or(script, value, script.collection(dict(value), path))


def defaultdict_code(script: "Script", value: Any, path: str) -> str:
    """defaultdict(list, {...})."""
    factory = script.code(value.default_factory, f"{path}.default_factory")
    rest = f", {script.collection(dict(value), path)}" if value else ""
    return f"{script.reference(type(value))}({factory}{rest})"


def deque_code(script: "Script", value: Any, path: str) -> str:
    """deque([...], maxlen=3)."""
    most = [] if value.maxlen is None else [f"maxlen={value.maxlen}"]
    items = [script.collection(list(value), path)] if value or most else []
    return f"{script.reference(type(value))}({', '.join([*items, *most])})"


def set_code(script: "Script", value: Any, path: str) -> str:
    """{1, 2}, in an order that does not change."""
    items = [script.code(item, path) for item in value]
    inner = bracketed("{", sorted(items), "}") if value else ""
    return inner or "set()" if type(value) is set else f"frozenset({inner})"


def complex_code(script: "Script", value: Any, path: str) -> str:
    """complex(1.0, 2.0)."""
    return f"complex({script.code(value.real, path)}, {script.code(value.imag, path)})"


def slice_code(script: "Script", value: Any, path: str) -> str:
    """slice(1, 2, None)."""
    return script.call("slice", [value.start, value.stop, value.step], {}, path)


def namespace_code(script: "Script", value: Any, path: str) -> str:
    """Namespace(lr=0.1)."""
    fit = all(isinstance(key, str) and key.isidentifier() for key in vars(value))
    cls = script.reference(type(value))
    if fit:
        return script.call(cls, [], vars(value), path)
    return f"{cls}(**{script.collection(vars(value), path)})"


# ---- types, functions, modules


def union_code(script: "Script", value: Any, path: str) -> str:
    """A type such as int | None."""
    parts = [type(None) if part is None else part for part in value.__args__]
    return " | ".join("None" if p is type(None) else script.code(p, path) for p in parts)


def generic_code(script: "Script", value: Any, path: str) -> str:
    """list[int]."""
    inside = ", ".join(script.codes(value.__args__, {}, path))
    return f"{script.code(value.__origin__, path)}[{inside}]"


def method_of_class_code(script: "Script", value: Any, path: str) -> str:
    """torch.Tensor.relu."""
    return f"{script.reference(value.__objclass__)}.{value.__name__}"


def module_code(script: "Script", value: Any, path: str) -> str:
    """A module's own name, imported."""
    name: str = value.__name__.rpartition(".")[2]
    if script.is_own(value):
        raise CannotWriteError(f"{path} is your module {name}; keep what it holds instead")
    script.tool(name, value)
    return name


def importable_code(script: "Script", value: Any, path: str) -> str:
    """np.sin."""
    name = value.__name__
    for module in ("numpy", "math", "operator"):
        if getattr(__import__(module), name, None) is value:
            short = "np" if module == "numpy" else module
            script.tool(short, __import__(module))
            return f"{short}.{name}"
    raise CannotWriteError(f"{path} is {named(value)} that cannot be imported")


def builtin_code(script: "Script", value: Any, path: str) -> str:
    """torch.relu, or a method of an object, such as words.index."""
    owner = value.__self__
    if owner is None or isinstance(owner, types.ModuleType) or home(value) is not None:
        return script.reference(value)
    return f"{script.code(owner, f'{path}.__self__')}.{value.__name__}"


def pattern_code(script: "Script", value: Any, path: str) -> str:
    """re.compile("a+")."""
    script.tool("re", re)
    flags = int(value.flags & ~re.UNICODE) if isinstance(value.pattern, str) else int(value.flags)
    return f"re.compile({value.pattern!r}{f', {flags}' if flags else ''})"


def logger_code(script: "Script", value: Any, path: str) -> str:
    """logging.getLogger(name)."""
    script.tool("logging", logging)
    return f"logging.getLogger({key_code(value.name)})"


# ---- what has a state inside: made on a line of its own, and given the state on the next


def random_code(script: "Script", value: random.Random, path: str) -> str:
    """random.Random(), then setstate."""
    script.tool("random", random)
    state = script.save(value.getstate(), path)
    return script.stateful(path, value, "random.Random()", f".setstate({state})")


def generator_code(script: "Script", value: torch.Generator, path: str) -> str:
    """torch.Generator(), then set_state."""
    device = "" if value.device.type == "cpu" else f'"{value.device}"'
    state = script.save(value.get_state(), path)
    return script.stateful(path, value, f"torch.Generator({device})", f".set_state({state})")


def numpy_generator_code(script: "Script", value: np.random.Generator, path: str) -> str:
    """np.random.Generator(np.random.PCG64()), then its state."""
    script.tool("np", np)
    bits = value.bit_generator
    state = script.code(bits.state, f"{path}.state")
    made = f"np.random.Generator(np.random.{type(bits).__name__}())"
    return script.stateful(path, value, made, f".bit_generator.state = {state}")


def random_state_code(script: "Script", value: np.random.RandomState, path: str) -> str:
    """np.random.RandomState(), then set_state."""
    script.tool("np", np)
    name, keys, *rest = value.get_state(legacy=True)
    state = (name, torch.from_numpy(np.asarray(keys, dtype=np.int64)), *rest)
    saved = script.save(state, path)
    return script.stateful(path, value, "np.random.RandomState()", f".set_state({saved})")


def in_memory_code(script: "Script", value: Any, path: str) -> str:
    """BytesIO(b"..."), then seek."""
    if value.closed:
        raise CannotWriteError(f"{path} is a closed {type(value).__name__}; keep its content")
    content = script.save_long(value.getvalue(), path)
    cls = script.reference(type(value))
    if value.tell() == 0:
        return f"{cls}({content})"
    return script.stateful(path, value, f"{cls}({content})", f".seek({value.tell()})")


# ---- tables


def pandas_code(script: "Script", value: Any, path: str) -> str:
    """A DataFrame by its columns, a Series or Index by its values.

    Raises:
        CannotWriteError: they do not make it again, such as one with several levels.
    """
    import pandas as pd

    advice = "keep its columns as tensors, arrays or lists"
    script.tool("pd", pd)
    index = {} if not hasattr(value, "index") else {"index": list(value.index)}
    if index and value.index.equals(pd.RangeIndex(len(value))):
        index = {}
    try:
        if isinstance(value, pd.DataFrame):
            columns = {name: column_values(value[name]) for name in value.columns}
            code = script.call("pd.DataFrame", [columns], index, path)
        elif isinstance(value, pd.Series):
            name = {} if value.name is None else {"name": value.name}
            code = script.call("pd.Series", [column_values(value)], index | name, path)
        elif isinstance(value, pd.Index):
            code = script.call("pd.Index", [column_values(value)], {}, path)
        else:
            code = ""
        if hasattr(value, "index") and value.index.name is not None:
            code += f".rename_axis({script.code(value.index.name, path)})"
        built = script.build(code) if code else None
        if built is not None and value.equals(built) and str(kinds(value)) == str(kinds(built)):
            return code
    except (CannotWriteError, TypeError, ValueError):
        pass
    raise CannotWriteError(f"{path} is {named(value)}, which has no plain code: {advice}")


def column_values(column: Any) -> Any:
    """A column's numbers as an array, anything else as a list."""
    array = column.to_numpy()
    return array if array.dtype.kind in "biufc" else column.tolist()


def kinds(table: Any) -> Any:
    """The types of its columns, and what names its rows."""
    return getattr(table, "dtypes", None), getattr(table, "index", None)


WRITERS: dict[type, Callable[["Script", Any, str], str]] = {
    bytes: lambda script, value, path: script.save_long(value, path),
    bytearray: lambda script, value, path: f"bytearray({script.save_long(bytes(value), path)})",
    complex: complex_code,
    type(...): lambda script, value, path: "...",
    slice: slice_code,
    collections.OrderedDict: mapping_code,
    collections.Counter: mapping_code,
    collections.defaultdict: defaultdict_code,
    collections.deque: deque_code,
    set: set_code,
    frozenset: set_code,
    argparse.Namespace: namespace_code,
    types.SimpleNamespace: namespace_code,
    types.UnionType: union_code,
    types.GenericAlias: generic_code,
    types.MethodDescriptorType: method_of_class_code,
    types.WrapperDescriptorType: method_of_class_code,
    types.ModuleType: module_code,
    types.BuiltinFunctionType: builtin_code,
    np.ufunc: importable_code,
    re.Pattern: pattern_code,
    logging.Logger: logger_code,
    logging.RootLogger: logger_code,
    random.Random: random_code,
    np.random.Generator: numpy_generator_code,
    np.random.RandomState: random_state_code,
    torch.Generator: generator_code,
    io.BytesIO: in_memory_code,
    io.StringIO: in_memory_code,
}
