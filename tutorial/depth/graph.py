"""A recorded operation: its name, what it reads, what it changes."""

from operator import getitem
from typing import Any

import torch
from torch import Tensor, fx

from tutorial.depth.operations import TABLE

SAME = {"alias.default", "detach.default", "lift_fresh_copy.default"}  # another name for a tensor


def operation(node: fx.Node) -> str:
    """Its name, such as add.Tensor."""
    if node.op != "call_function":
        return node.op
    if node.target is getitem:
        return "getitem"
    name, _, overload = str(node.target).removeprefix("aten.").partition(".")
    if overload in ("out", "grad_input"):
        overload = "Tensor" if f"{name}.Tensor" in TABLE else "default"
    return f"{name}.{overload}"


def is_same(node: fx.Node) -> bool:
    """Whether it only gives a tensor another name; a copy of a constant is a new one each time."""
    of: Any = node.args[0] if node.args else None
    fresh = operation(node) == "lift_fresh_copy.default" and of.op == "get_attr"
    return operation(node) in SAME and not fresh


def inputs_of(node: fx.Node) -> list[fx.Node]:
    """The operations whose results it reads."""
    return [earlier for earlier in node.all_input_nodes if earlier is not given_out(node)]


def out_of(node: fx.Node) -> fx.Node | None:
    """The tensor that an operation is given for its result: out=."""
    found: Any = node.kwargs.get("out", node.kwargs.get("grad_input"))
    return found if isinstance(found, fx.Node) else None


def given_out(node: fx.Node) -> fx.Node | None:
    """The same, where it is an empty one."""
    found = out_of(node)
    return found if found is not None and found.op == "call_function" else None


def is_several(node: Any) -> bool:
    """Whether it gives several tensors at once."""
    return isinstance(node, fx.Node) and any(operation(user) == "getitem" for user in node.users)


def is_item_of(item: fx.Node, node: fx.Node) -> bool:
    """Whether it is one of the several tensors that an operation gives."""
    return operation(item) == "getitem" and item.args[0] is node


def writes(node: fx.Node) -> bool:
    """Whether it changes a tensor in place."""
    schema = getattr(node.target, "_schema", None)
    is_mutable = schema is not None and schema.is_mutable
    return is_mutable and (out_of(node) is None or out_of(node) is not given_out(node))


def is_view(node: fx.Node) -> bool:
    """Whether its result has the memory of its first argument."""
    schema = getattr(node.target, "_schema", None)
    returned = schema.returns[0].alias_info if schema is not None and schema.returns else None
    return returned is not None and not returned.is_write


def base_of(node: Any) -> fx.Node:
    """Where the memory of a result comes from: an input, or the operation that has made it."""
    while True:
        if writes(node) and out_of(node) is not None:
            node = out_of(node)
        elif (
            writes(node)
            or is_view(node)
            or (operation(node) == "getitem" and is_view(node.args[0]))
        ):
            node = node.args[0]
        else:
            found: fx.Node = node
            return found


def changes_state(node: fx.Node) -> bool:
    """Whether it changes one of the inputs: a buffer."""
    return writes(node) and base_of(node).op == "placeholder"


def type_of(node: fx.Node) -> torch.dtype | None:
    """The type of an operation's result."""
    found = node.meta.get("val")
    return found.dtype if isinstance(found, Tensor) else None
