"""Export a network to files that run without its source: .pt2 for PyTorch, .onnx for others."""

import copy
import io
import logging
import os
import traceback
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stderr
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.export import Dim, ExportedProgram

from tutorial import checks
from tutorial.device import pass_back_once
from tutorial.inputs.spec import InputSpec
from tutorial.inputs.structure import arguments, tree_map
from tutorial.running import randomness_kept
from tutorial.saving.checkpoint import replacing

ENDINGS = (".pt", ".pt2", ".onnx")


def export(network: nn.Module, inputs: Any, path: str | Path) -> list[Path]:
    """Write a network for use elsewhere, as .pt2 and .onnx: how it predicts, and its weights.

    Neither file needs the network's source, nor this library. `torch.export.load(path).module()`
    gives a function on tensors; `onnxruntime.InferenceSession(path)` runs without PyTorch. Both
    predict as in evaluation mode, on the CPU. Each file is written in one piece; the network stays
    as it is.

    Args:
        network: any network whose forward takes tensors.
        inputs: an InputSpec for each input of forward, in a list in its order, or in a dict by
            keyword; a dict in the list is one input, which is a dict. A size that is None may vary
            in the files, too: the first is the batch.
        path: where to write; the endings are added, missing directories are made.

    Returns:
        The paths of the files: first .pt2, then .onnx. The .onnx file is left out, with a warning,
        where the packages for it are not installed, or ONNX lacks what the network computes.

    Raises:
        ValueError: the inputs do not fit the network, or its forward does not only compute with
            tensors (it chooses by their values, say), so that it cannot be exported.
        OSError: a file cannot be written; an earlier one is left as it was.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> network = nn.Sequential(nn.Linear(8, 3), nn.Dropout())
        >>> with TemporaryDirectory() as directory:
        ...     paths = export(network, [InputSpec((None, 8))], directory + "/model")
        ...     predict = torch.export.load(paths[0]).module()
        >>> [path.name for path in paths]
        ['model.pt2', 'model.onnx']
        >>> predict(torch.zeros(5, 8)).shape
        torch.Size([5, 3])
    """
    names = names_of(inputs)
    path = without_ending(path)
    checks.writable("path", path.with_name(f"{path.name}.pt2"), is_file=True)
    pass_back_once()
    with randomness_kept(), quiet():
        program = captured(network, inputs, names)
        in_memory = io.BytesIO()
        torch.export.save(program, in_memory)
        onnx, why_not = to_onnx(program, specs_of(inputs), names)
    paths = [write(path.with_name(f"{path.name}.pt2"), in_memory.getvalue())]
    onnx_path = path.with_name(f"{path.name}.onnx")
    if why_not:
        earlier = " The file of this name is an earlier one." if onnx_path.exists() else ""
        checks.warn(f"{onnx_path.name} was not written: {why_not}{earlier}")
    else:
        paths.append(write(onnx_path, onnx))
    return paths


def specs_of(inputs: Any) -> list[Any]:
    """The InputSpecs one after the other; in a dict their names are its keys."""
    specs: list[Any] = []
    for key, part in inputs.items() if isinstance(inputs, Mapping) else enumerate(inputs):
        if isinstance(part, Mapping):
            specs += specs_of(part)
        elif isinstance(key, str) and isinstance(part, InputSpec):
            specs.append(replace(part, name=key))
        else:
            specs.append(part)
    return specs


def names_of(inputs: Any) -> list[str]:
    """The inputs' names in ONNX: their own, else x, or x_0, x_1, ... where there are several."""
    specs = specs_of(inputs) if isinstance(inputs, list | tuple | Mapping) else []
    if not specs or not all(isinstance(spec, InputSpec) for spec in specs):
        raise ValueError(
            f"inputs is {inputs!r}, but a list with an InputSpec for each input is expected, such "
            "as [InputSpec((None, 1, 28, 28))]."
        )
    names = [spec.name or ("x" if len(specs) == 1 else f"x_{i}") for i, spec in enumerate(specs)]
    if len(set(names)) < len(names) or any(name.startswith("y_hat") for name in names):
        raise ValueError(
            f"inputs have the names {', '.join(names)}, but each needs a name of its own, and "
            "y_hat is the output. Rename one: InputSpec(..., name=...)."
        )
    return names


def without_ending(path: str | Path) -> Path:
    """The path that both files share: model, of model.pt2 and model.onnx."""
    path = Path(path)
    path = path.with_suffix("") if path.suffix in ENDINGS else path
    if not path.name:
        raise ValueError(
            f"path is {str(path)!r}, but a file's name is expected, such as 'my_model'."
        )
    return path


@contextmanager
def quiet() -> Iterator[None]:
    """Silence the exporters' logs and warnings."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with warnings.catch_warnings(), redirect_stderr(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)


def captured(network: nn.Module, inputs: Any, names: list[str]) -> ExportedProgram:
    """The network as a graph of tensor operations: what a copy of it computes on the CPU."""
    try:
        network = copy.deepcopy(network).cpu().eval()
    except Exception as error:
        raise ValueError(
            f"the network cannot be copied: {first_line(error)}. Keep no computed tensors in it, "
            "or only their .detach()."
        ) from error
    place, keyword = arguments(inputs, example)
    try:
        with torch.no_grad():
            network(*place, **keyword)
    except Exception as error:
        examples = map(example, specs_of(inputs))
        seen = ", ".join(f"{n} {tuple(x.shape)}" for n, x in zip(names, examples, strict=True))
        raise ValueError(
            f"inputs is {inputs!r}, but the network cannot take {seen}: {first_line(error)}. "
            "Give an InputSpec for each argument of forward, with a number for every size that "
            "must not vary."
        ) from error
    try:
        return torch.export.export(
            network,
            tuple(place),
            keyword,
            dynamic_shapes=tree_map(
                lambda spec: {a: Dim.DYNAMIC if a else Dim("batch") for a in open_axes(spec)},
                inputs,
            ),
        )
    except Exception as error:
        raise ValueError(f"the network cannot be exported: {reason_and_fix(error)}") from error


def open_axes(spec: InputSpec) -> list[int]:
    """The axes whose size may vary; 0 is the batch."""
    return [axis for axis, size in enumerate(spec.shape) if size is None]


def example(spec: InputSpec) -> torch.Tensor:
    """Zeros to try the network with: a batch of 2, and 64 for any other size that may vary.

    PyTorch takes a 1 for a size that stays 1; and 64 pixels are enough for six poolings.
    """
    sizes = [(64 if axis else 2) if size is None else size for axis, size in enumerate(spec.shape)]
    return InputSpec(sizes, spec.dtype).example(1)


def to_onnx(
    program: ExportedProgram, inputs: Sequence[InputSpec], names: list[str]
) -> tuple[bytes, str]:
    """The contents of an .onnx file, or, where it cannot be made, why not."""
    missing = [package for package in ("onnx", "onnxscript") if find_spec(package) is None]
    if missing:
        return b"", (
            f"{' and '.join(missing)} cannot be imported. To get them: "
            'pip install "torch-tutorial[export]".'
        )
    count = len(program.graph_signature.user_outputs)
    outputs = ["y_hat"] if count == 1 else [f"y_hat_{i}" for i in range(count)]
    try:
        onnx = torch.onnx.export(
            program, input_names=names, output_names=outputs, dynamo=True, verbose=False
        )
        assert onnx is not None  # it is None only where torch.onnx.export wrote to a file itself
        name_axes(onnx, inputs, names)
        return onnx.model_proto.SerializeToString(), ""
    except Exception as error:  # such as an operation that ONNX has not, or more than 2 GB
        return b"", f"{first_line(cause(error))}. The network itself is in the .pt2 file."


def name_axes(onnx: torch.onnx.ONNXProgram, inputs: Sequence[InputSpec], names: list[str]) -> None:
    """Call the sizes that may vary 'batch', and x_2 (axis 2 of x) and the like."""
    new_names: dict[Any, str] = {}
    for spec, name, tensor in zip(inputs, names, onnx.model.graph.inputs, strict=True):
        assert tensor.shape is not None
        for axis in open_axes(spec):
            new_names[str(tensor.shape[axis])] = f"{name}_{axis}" if axis else "batch"
    onnx.rename_axes(new_names)


def reason_and_fix(error: Exception) -> str:
    """What PyTorch says in a page, in two sentences."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [f for f in frames if f.name == "forward" and not f.filename.startswith(TORCH)]
    line = f", in line {own[-1].lineno} of {own[-1].filename}: {own[-1].line}" if own else ""
    if "data-dependent" in str(error):
        return (
            f"its forward chooses by the values in a tensor{line}. An exported network takes the "
            "same way for every input; compute both and choose with torch.where(condition, a, b)."
        )
    if "specialized" in str(error) or "Constraints violated" in str(error):
        return (
            "its forward works for one size only, where an InputSpec has None: "
            f"{first_line(error, 'specialized')}. Write x.shape[0] or -1 instead of a number in "
            "forward, or a number instead of None in the InputSpec."
        )
    return f"{first_line(error)}{line}. Use only torch's functions on tensors in forward."


TORCH = os.path.dirname(torch.__file__)


def cause(error: BaseException) -> BaseException:
    """The first of the errors that led to this one."""
    return error if error.__cause__ is None else cause(error.__cause__)


def first_line(error: BaseException, having: str = "") -> str:
    """The first line of an error's message that has such a word, without its full stop."""
    lines = [line for line in str(error).splitlines() if line.strip() and having in line]
    return (lines or [type(error).__name__])[0].strip(" -").partition(". ")[0].rstrip(".")


def write(path: Path, contents: bytes) -> Path:
    """Write a file in one piece: beside its place first, and then moved into it."""
    with replacing(path, "wb") as file:
        file.write(contents)
    return path
