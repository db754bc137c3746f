"""A network's layers as a table: the shapes of inputs and outputs, and the parameters."""

from collections.abc import Mapping, Sequence
from itertools import chain
from typing import Any

import torch
import torchinfo
from torch import nn
from torchinfo.torchinfo import clear_cached_forward_pass

from tutorial.display import in_notebook
from tutorial.display.report import no_closed_output
from tutorial.display.table import html_table
from tutorial.inputs.spec import InputSpec
from tutorial.inputs.structure import arguments, leaves, tree_map
from tutorial.parameters import short
from tutorial.running import in_evaluation_mode

SHARED = "Parameters that layers share stand in each one's row, and count once in the total."
COLUMNS = ("input_size", "output_size", "num_params")


def summary(network: nn.Module, input_size: Any = None, dtype: Any = None) -> dict[str, int]:
    """Print a network's layers, the shapes of what passes through them, and their parameters.

    A notebook shows a table that fits a narrow window.

    One batch of zeros goes through the network, in evaluation mode; nothing changes by it. A
    parameter that several layers share counts once in the totals. Buffers, such as the running mean
    of a batch norm, are no parameters.

    Args:
        network: any network, on any device.
        input_size: the shape of an input, the batch first: (1, 784), or (None, 784) where the batch
            may have any size (None and -1 become 1); a number n is the shape (n,); an InputSpec;
            or a list of these, for a network with several inputs. A dict in their place gives the
            inputs by keyword; a dict in the list is one input, which is a dict.
        dtype: the inputs' type, such as 'int64' or torch.int64, or a list with one for each input;
            by default that of an InputSpec, and 'float32' otherwise.

    Returns:
        {'total_params': ..., 'trainable_params': ...}: all parameters, and those not frozen.

    Raises:
        TypeError: input_size is none of these.
        ValueError: input_size or dtype is missing or impossible, or the network cannot take such
            an input; the message then shows how far it came.

    Example:
        >>> summary(nn.Sequential(nn.Linear(3, 2), nn.ReLU()), (None, 3))
        ====...
        Layer (type (var_name))     Input Shape     Output Shape    Param #
        ====...
        Sequential (Sequential)     [1, 3]          [1, 2]          --
        ├─Linear (0)                [1, 3]          [1, 2]          8
        ├─ReLU (1)                  [1, 2]          [1, 2]          --
        ====...
        Total params: 8
        Trainable params: 8
        Non-trainable params: 0
        ====...
        {'total_params': 8, 'trainable_params': 8}
    """
    specs = specs_of(input_size, dtype)
    somewhere = next(chain(network.parameters(), network.buffers()), torch.empty(0)).device
    with in_evaluation_mode(network=network) as own, torch.no_grad():
        inputs = tree_map(lambda spec: spec.example(1).to(somewhere), specs)
        table = _table(own["network"], inputs, input_size)
    parameters = list(network.parameters())  # each once, whoever shares it
    total = sum(weight.numel() for weight in parameters)
    trainable = sum(weight.numel() for weight in parameters if weight.requires_grad)
    shared = table.total_params > total
    table.total_params, table.trainable_params = total, trainable
    table.input_size = None  # leaves out estimates of work and memory: they ignore sequences
    with no_closed_output():
        if in_notebook():
            from IPython.display import HTML, display

            display(HTML(as_html(table, shared)))  # type: ignore[no-untyped-call]
        else:
            print(table)
            if shared:
                print(SHARED)
    return {"total_params": total, "trainable_params": trainable}


def as_html(table: torchinfo.ModelStatistics, shared: bool) -> str:
    """The table as HTML, which fits a narrow window: of each layer output and parameters."""
    head = ["layer", "output", "parameters"]
    rows = [
        [
            "\u2002" * layer.depth + f"{layer.var_name} {layer.class_name}" * (layer.depth > 0)
            or layer.class_name,
            f"[{', '.join(map(str, layer.output_size))}]",
            f"{layer.leftover_params():,}" if layer.leftover_params() else "",
        ]
        for layer in table.summary_list
    ]
    frozen = table.total_params - table.trainable_params
    total = f"{table.total_params:,} parameters"
    told = f"{total}, of which {frozen:,} do not learn" if frozen else total
    return html_table([head, *rows], f"{told}. {SHARED}" if shared else told, words=1)


def specs_of(input_size: Any, dtype: Any = None) -> Any:
    """What `summary` is told of the inputs, as InputSpecs with at most one open size."""
    if input_size is None:
        raise ValueError(
            "input_size is None, and nothing else says what the network takes. Give the shape of a "
            "batch, such as input_size=(1, 1, 28, 28)."
        )
    if isinstance(input_size, Mapping):
        return {name: _spec(shape, dtype) for name, shape in input_size.items()}
    several = isinstance(input_size, list | tuple) and not all(map(_is_size, input_size))
    shapes = list(input_size) if several else [input_size]
    dtypes = list(dtype) if isinstance(dtype, list | tuple) else [dtype] * len(shapes)
    if len(dtypes) != len(shapes):
        raise ValueError(
            f"dtype is {short(dtype)}, which names {len(dtypes)} types, but input_size has "
            f"{len(shapes)} inputs. Give one type for each, or one for all."
        )
    return [
        specs_of(shape, kind) if isinstance(shape, Mapping) else _spec(shape, kind)
        for shape, kind in zip(shapes, dtypes, strict=True)
    ]


def _is_size(size: Any) -> bool:
    return size is None or (isinstance(size, int) and not isinstance(size, bool))


def _spec(shape: Any, dtype: Any) -> InputSpec:
    """One input, checked: sizes from 1 on, and at most one that is open."""
    if isinstance(shape, InputSpec):
        dtype = shape.dtype if dtype is None else dtype
        sizes: Sequence[Any] = shape.shape
    else:
        sizes = (shape,) if isinstance(shape, int) else shape
        if not isinstance(sizes, list | tuple) or not all(map(_is_size, sizes)):
            raise TypeError(
                f"input_size holds {short(shape)}, but the shape of a batch is expected, such as "
                "(1, 784), or an InputSpec, or a list of them for several inputs."
            )
        if not sizes:
            raise ValueError(
                f"input_size is {short(shape)}, but at least one size is expected, such as "
                "(1, 784)."
            )
        sizes = [None if size == -1 else size for size in sizes]
    wrong = [size for size in sizes if size is not None and size < 1]
    if wrong:
        raise ValueError(
            f"input_size holds {short(shape)}, but sizes from 1 on are expected, not {wrong[0]}; "
            "None or -1 only for the size of the batch."
        )
    if list(sizes).count(None) > 1:
        raise ValueError(
            f"input_size holds {short(shape)}, which leaves {list(sizes).count(None)} sizes open, "
            "but only that of the batch can be. Give numbers for the others: (None, 1, 28, 28)."
        )
    return InputSpec(sizes, "float32" if dtype is None else dtype)


def _table(network: nn.Module, inputs: Any, input_size: Any) -> torchinfo.ModelStatistics:
    try:
        return torchinfo.summary(
            network,
            input_data=inputs,
            verbose=0,
            col_names=COLUMNS,
            col_width=20,
            row_settings=("var_names",),
        )
    except RuntimeError as error:
        reason = str(error.__cause__).strip().partition("\n")[0].rstrip(".")
        layers, failed = _layers_that_ran(network, inputs)
        if not failed:  # the network is fine: torchinfo met an output that it does not know
            raise ValueError(
                f"the network runs, but torchinfo cannot make a table of it: {reason}. Let each "
                "layer return tensors, or a tuple, list or dict of them."
            ) from error.__cause__
        fix = "Give the shape that the network expects, the batch first"
        if "type" in reason:
            fix = "Give the type that this layer expects, such as dtype='int64' for an Embedding"
        types = " and ".join(dict.fromkeys(str(x.dtype) for _, x in leaves((), inputs)))
        raise ValueError(
            f"input_size is {short(input_size)} ({types}), but the network cannot take it: "
            f"{reason}.\n"
            + "".join(f"    {line}\n" for line in [*layers, failed])
            + f"{fix}; or change the layer that failed."
        ) from error.__cause__
    finally:
        clear_cached_forward_pass()  # in it, torchinfo would keep the network alive


def _layers_that_ran(network: nn.Module, inputs: Any, at_most: int = 8) -> tuple[list[str], str]:
    """Run the network again: lines for the last layers that ran, and one for that which failed."""
    names = {module: f"{name} {type(module).__name__}" for name, module in network.named_modules()}
    ran: list[str] = []
    running: list[str] = []

    def begin(module: nn.Module, x: Any) -> None:
        running.append(f"{names[module].strip()} failed, given {_shapes(x)}")

    def end(module: nn.Module, x: Any, y_hat: Any) -> None:
        running.pop()
        if not any(module.children()):
            ran.append(f"{names[module].strip()} gave {_shapes(y_hat)}")

    hooks = [module.register_forward_pre_hook(begin) for module in names]
    hooks += [module.register_forward_hook(end) for module in names]
    try:
        place, keyword = arguments(inputs, lambda x: x)
        network(*place, **keyword)
    except Exception:
        return ["..."] * (len(ran) > at_most) + ran[-at_most:], running[-1]
    finally:
        for hook in hooks:
            hook.remove()
    return ran, ""


def _shapes(value: Any) -> str:
    """The shapes of a tensor, or of several."""
    if isinstance(value, torch.Tensor):
        return str(tuple(value.shape))
    if isinstance(value, dict):
        return ", ".join(f"{name}: {_shapes(part)}" for name, part in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(_shapes(part) for part in value)
    return f"a {type(value).__name__}"
