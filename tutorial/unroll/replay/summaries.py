"""What a replay shows of a value: shape, type, mean, smallest, largest, and a small picture."""

import base64
import math
from itertools import islice
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

Summary = dict[str, Any]

CELLS = 24  # on each side of a picture, at most: what is larger becomes coarser
IMAGE = 28  # pixels on each side of an image, at most
IMAGES, MAPS = 4, 8  # of these, so many
GREY = 254  # the highest level in a picture; 255 stands for nan and infinity
LONGEST = 60  # characters of a text
LARGEST = 2**53  # up to which a float holds each integer


def summary(value: Any) -> Summary:
    """What is shown of a value: plain data, which JSON can hold.

    >>> found = summary(torch.tensor([[1.0, 3.0]]))
    >>> found["shape"], found["mean"], found["picture"]["kind"]
    ([1, 2], 2.0, 'matrix')
    >>> summary(0.69314718)
    {'type': 'number', 'text': '0.6931', 'value': 0.69314718}
    """
    if isinstance(value, np.ndarray) and value.dtype.kind in "biufc":
        return {**summary_of_tensor(as_tensor(value)), "type": "array"}
    if isinstance(value, Tensor) and not value.is_nested:  # which has no shape
        return summary_of_tensor(value.detach())
    if isinstance(value, np.number | np.bool_):
        value = value.item()
    if isinstance(value, bool | int | float | complex):
        return {"type": "number", **both(value)}
    return {"type": "text", "text": described(value)}


def summary_of_tensor(tensor: Tensor) -> Summary:
    """Mean, smallest and largest of the finite numbers, and a picture."""
    found: Summary = {
        "type": "tensor",
        "shape": list(tensor.shape),
        "dtype": str(tensor.dtype).removeprefix("torch."),
    }
    if not lies_in_memory(tensor):
        kind = "" if tensor.layout is torch.strided else f"{tensor.layout}"
        return {**found, "text": kind, **measured(torch.empty(0)), "picture": None}
    real = tensor.abs() if tensor.is_complex() else tensor
    dense = real.to("cpu", torch.float64 if real.dtype == torch.float64 else torch.float32)
    if not tensor.dim():
        found |= both(tensor.item())
    return {**found, **measured(dense), "picture": picture(dense)}


def lies_in_memory(value: Any) -> bool:
    """Whether it is a tensor whose numbers lie in memory, where they can be read one by one.

    >>> lies_in_memory(torch.ones(2)), lies_in_memory(torch.ones(2, device="meta"))
    (True, False)
    """
    if not isinstance(value, Tensor) or value.layout is not torch.strided:
        return False
    if value.is_quantized or value.is_nested or value.device.type == "meta":
        return False
    try:
        value.data_ptr()
    except RuntimeError:  # a stand-in within torch.func.grad or vmap
        return False
    return True


def as_tensor(array: "np.ndarray[Any, Any]") -> Tensor:
    """A copy of an array as a tensor, which has the machine's own order of bytes.

    >>> as_tensor(np.array([1, 2], ">i4"))
    tensor([1, 2], dtype=torch.int32)
    """
    longest = {"f": np.float64, "c": np.complex128}.get(array.dtype.kind)
    longer = longest is not None and array.dtype.itemsize > np.dtype(longest).itemsize
    return torch.from_numpy(np.array(array, longest if longer else array.dtype.newbyteorder("=")))


def measured(numbers: Tensor) -> Summary:
    """The mean, the smallest, the largest; and how many have no value.

    >>> measured(torch.tensor([1.0, 2.0, float("nan")]))
    {'mean': 1.5, 'min': 1.0, 'max': 2.0, 'nan': 1}
    """
    mean = numbers.mean().item() if numbers.numel() else math.nan
    nan = 0
    if not math.isfinite(mean):
        finite = numbers[numbers.isfinite()]
        nan = numbers.numel() - finite.numel()
        numbers, mean = finite, finite.mean(dtype=torch.float64).item()
    low, high = (n.item() for n in numbers.aminmax()) if numbers.numel() else (math.nan, math.nan)
    return {"mean": plain(mean), "min": plain(low), "max": plain(high), "nan": nan}


def plain(value: float) -> float | str:
    """A number that JSON can hold: seven digits; nan and infinity as words."""
    return float(f"{value:.7g}") if math.isfinite(value) else str(value)


# ---- pictures


def picture(numbers: Tensor) -> Summary | None:
    """Images as images, matrices as heat maps, vectors as bars; nothing of a single number."""
    if numbers.numel() < 2:
        return None
    if numbers.dim() == 1:
        return drawn("bars", coarse(numbers[None, None], 1, 2 * CELLS), numbers)
    if numbers.dim() == 2:
        return drawn("matrix", coarse(numbers[None], CELLS, CELLS), numbers)
    if numbers.dim() == 4 and is_images(numbers):
        return drawn("images", coarse_images(numbers[:IMAGES]), numbers)
    rows, columns = numbers.shape[-2:]
    tiles = numbers[0] if numbers.dim() > 3 and len(numbers[0]) > 1 else numbers
    tiles = tiles.reshape(-1, rows, columns)[:MAPS]
    return drawn("maps", coarse(tiles, CELLS // 2, CELLS // 2), numbers)


def is_images(numbers: Tensor) -> bool:
    """Whether a batch looks like images: grey or in colours, and large enough to see."""
    _, channels, *size = numbers.shape
    return channels in (1, 3) and min(size) >= 8


def coarse(tiles: Tensor, rows: int, columns: int) -> Tensor:
    """Tiles (count, rows, columns), each cell the mean of several where there are too many.

    >>> coarse(torch.tensor([[[1.0, 3.0, 5.0, 7.0]]]), 1, 2)
    tensor([[[2., 6.]]])
    """
    size = min(tiles.shape[-2], rows), min(tiles.shape[-1], columns)
    if size == tiles.shape[-2:] or not tiles.numel():
        return tiles
    pooled: Tensor = torch.nn.functional.adaptive_avg_pool2d(tiles[:, None], size)[:, 0]
    return pooled


def coarse_images(images: Tensor) -> Tensor:
    """Images (count, channels, rows, columns) as (count, rows, columns, channels)."""
    count, channels, *size = images.shape
    tiles = coarse(images.reshape(count * channels, *size), IMAGE, IMAGE)
    return tiles.reshape(count, channels, *tiles.shape[1:]).movedim(1, -1)


def drawn(kind: str, tiles: Tensor, whole: Tensor) -> Summary | None:
    """A picture as bytes. Where there are numbers below 0, the middle level is 0."""
    cells = tiles.to(torch.float64, copy=True).numpy()  # what numpy() has seen keeps its size
    known = np.isfinite(cells)
    if not known.any():
        return None
    low, high = cells[known].min().item(), cells[known].max().item()
    if kind != "images":
        low, high = (-max(-low, high), max(-low, high)) if low < 0 else (0.0, high)
    levels = (np.where(known, cells - low, 0) / ((high - low) or 1.0) * GREY).round()
    levels = np.where(known, levels, 255).astype(np.uint8)
    count, height, width = tiles.shape[:3]
    return {
        "kind": kind,
        "width": width,
        "height": height,
        "count": count,
        "channels": tiles.shape[3] if kind == "images" else 1,
        "data": base64.b64encode(levels.tobytes()).decode(),
        "low": plain(low),
        "high": plain(high),
        "coarse": whole.shape[-1] > width or (whole.dim() > 1 and whole.shape[-2] > height),
    }


# ---- what is no tensor


def both(value: Any) -> Summary:
    """A number as it reads, and in full where it is real."""
    whole = isinstance(value, int) and abs(value) < LARGEST
    real = whole or (isinstance(value, float) and math.isfinite(value))
    return {"text": number(value), "value": value if real else None}


def number(value: Any) -> str:
    """A number with four digits; a whole one with all of them, but for the largest."""
    if isinstance(value, float | complex):
        return f"{value:.4g}"
    return str(value) if value.bit_length() <= 128 else f"an integer of {value.bit_length()} bits"


def described(value: Any, depth: int = 3) -> str:
    """A few words for anything else, for which none of the user's own code is run."""
    if type(value) in (list, tuple, dict) and not depth:
        text = "..."
    elif value is None or isinstance(value, str):
        text = repr(value[:LONGEST] if value else value)
    elif type(value) in (list, tuple):
        text = listed(value, depth)
    elif type(value) is dict:
        items = islice(value.items(), LONGEST)  # more there is no room for
        text = "{" + ", ".join(f"{said(key)}: {part(item, depth)}" for key, item in items) + "}"
    elif isinstance(value, torch.optim.Optimizer):
        rates = [number(float(group["lr"])) for group in value.param_groups if "lr" in group]
        text = f"{type(value).__name__}, lr {', '.join(dict.fromkeys(rates))}"
    else:
        text = ", ".join([type(value).__name__, *counts_of(value)])
    return text if len(text) <= LONGEST else text[: LONGEST - 3] + "..."


def counts_of(value: Any) -> list[str]:
    """The mode of a layer; what one of our metrics has counted."""
    if isinstance(value, nn.Module):
        return ["training" if value.training else "evaluating"]
    if getattr(type(value), "__module__", "") != "tutorial.metrics":
        return []
    return [f"{name} {part(getattr(value, name))}" for name in value.sums]


def said(key: Any) -> str:
    """The key of a dict; of the user's own classes none of their code is run."""
    parts = key if type(key) is tuple else [key]
    known = all(type(part) in (str, int, float, bool, type(None)) for part in parts)
    return repr(key)[:LONGEST] if known else type(key).__name__


def listed(values: Any, depth: int = 3) -> str:
    """A short list as it is; of a long one the end.

    >>> listed([0.5, 0.25]), listed(list(range(100)))
    ('[0.5, 0.25]', '[..., 97, 98, 99], 100 in all')
    """
    if len(values) <= 4:
        return f"[{', '.join(part(value, depth) for value in values)}]"
    last = ", ".join(part(value, depth) for value in values[-3:])
    return f"[..., {last}], {len(values)} in all"


def part(value: Any, depth: int = 3) -> str:
    """A member of a list or a dict."""
    if isinstance(value, Tensor | np.ndarray | np.generic) and not getattr(value, "is_nested", 0):
        kind = f"{type(value).__name__} {tuple(value.shape)}"
        known = isinstance(value, np.number | np.bool_) or lies_in_memory(value)
        return number(value.item()) if known and not value.ndim else kind
    return number(value) if isinstance(value, int | float) else described(value, depth - 1)
