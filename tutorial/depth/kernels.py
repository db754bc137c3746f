"""Operations of torch's backward that have no name in torch: here they have one.

What each computes stands beside it. A script at depth "gradients" has those that it needs at its
top. They are torch's own kernels, because a formula in several operations would round otherwise.
"""

import ast
import inspect
import linecache
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

BY_NAME = "torch's own operation of this name."
PLAIN_KERNEL = '''def {name}(*args, **kwargs):
    """{said}"""
    return torch.ops.aten.{operation}(*args, **kwargs)
'''


def by_name(operation: str) -> Callable[..., Any]:
    """A function for any other operation, with the operation's own name.

    >>> by_name("mish_backward.default").__name__
    'mish_backward'
    """
    name = operation.partition(".")[0].lstrip("_")
    if name not in globals():
        source = PLAIN_KERNEL.format(name=name, operation=operation, said=BY_NAME)
        file = f"<operation {operation}>"  # where inspect finds the source
        linecache.cache[file] = (len(source), None, source.splitlines(keepends=True), file)
        exec(compile(source, file, "exec"), globals())
    function: Callable[..., Any] = globals()[name]
    return function


def without_form(tools: Mapping[str, Any]) -> str:
    """The line at the top of a text that names the operations of which it only has the name."""
    names = sorted(name for name, tool in tools.items() if tool.__doc__ == BY_NAME)
    return f"# Operations of torch, by their names alone: {', '.join(names)}\n" if names else ""


def named_in(source: str) -> dict[str, Any]:
    """What a text of depth "gradients" names besides torch: F, and functions of this file.

    >>> list(named_in("loss = F.nll_loss(log_p, y)"))
    ['F']
    """
    functions = {name: value for name, value in globals().items() if inspect.isfunction(value)}
    known = {"F": torch.nn.functional, **functions}
    names = {node.id for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Name)}
    return {name: known[name] for name in sorted(names & known.keys())}


def tanh_backward(d_y: Tensor, y: Tensor) -> Tensor:
    """d_y * (1 - y**2)."""
    return torch.ops.aten.tanh_backward(d_y, y)


def gelu_backward(d_y: Tensor, x: Tensor, approximate: str = "none") -> Tensor:
    """d_y * (cdf(x) + x * pdf(x)), of the normal distribution."""
    return torch.ops.aten.gelu_backward(d_y, x, approximate=approximate)


def silu_backward(d_y: Tensor, x: Tensor) -> Tensor:
    """d_y * s * (1 + x * (1 - s)), where s = sigmoid(x)."""
    return torch.ops.aten.silu_backward(d_y, x)


def elu_backward(
    d_y: Tensor, alpha: float, scale: float, slope: float, of_y: bool, y: Tensor
) -> Tensor:
    """d_y where x > 0; d_y * (y + alpha) elsewhere."""
    return torch.ops.aten.elu_backward(d_y, alpha, scale, slope, of_y, y)


def softplus_backward(d_y: Tensor, x: Tensor, beta: float, threshold: float) -> Tensor:
    """d_y * sigmoid(beta * x)."""
    return torch.ops.aten.softplus_backward(d_y, x, beta, threshold)


def log_softmax_backward(d_y: Tensor, y: Tensor, dim: int) -> Tensor:
    """d_y - exp(y) * d_y.sum(dim)."""
    return torch._log_softmax_backward_data(d_y, y, dim, y.dtype)


def softmax_backward(d_y: Tensor, y: Tensor, dim: int) -> Tensor:
    """Y * (d_y - (d_y * y).sum(dim))."""
    return torch._softmax_backward_data(d_y, y, dim, y.dtype)


def nll_loss(
    log_p: Tensor, y: Tensor, weight: Any, reduction: int, ignored: int
) -> tuple[Tensor, Tensor]:
    """The mean of -log_p at the labels, weighted; and the sum of the weights."""
    return torch.ops.aten.nll_loss_forward(log_p, y, weight, reduction, ignored)


def nll_loss2d(
    log_p: Tensor, y: Tensor, weight: Any, reduction: int, ignored: int
) -> tuple[Tensor, Tensor]:
    """The same, with a label for each place."""
    return torch.ops.aten.nll_loss2d_forward(log_p, y, weight, reduction, ignored)


def nll_loss_backward(
    d_y: Tensor, log_p: Tensor, y: Tensor, weight: Any, reduction: int, ignored: int, total: Any
) -> Tensor:
    """-d_y * weight[y] / total at each label y that is not ignored, 0 elsewhere."""
    return torch.ops.aten.nll_loss_backward(d_y, log_p, y, weight, reduction, ignored, total)


def nll_loss2d_backward(
    d_y: Tensor, log_p: Tensor, y: Tensor, weight: Any, reduction: int, ignored: int, total: Any
) -> Tensor:
    """The same, with a label for each place."""
    return torch.ops.aten.nll_loss2d_backward(d_y, log_p, y, weight, reduction, ignored, total)


def convolution_backward(
    d_y: Tensor, x: Tensor, W: Tensor, stride: Any = 1, padding: Any = 0, dilation: Any = 1,
    groups: int = 1, transposed: bool = False, output_padding: Any = 0,
    wanted: tuple[bool, bool, bool] = (True, True, True),
) -> tuple[Tensor, Tensor, Tensor]:  # fmt: skip
    """Of y = W over all places of x, + b: d_x is W's transpose over d_y, d_W is d_y over x."""
    each = [v if isinstance(v, tuple) else (v,) * (W.dim() - 2)
            for v in (stride, padding, dilation, output_padding)]  # fmt: skip
    bias = [W.shape[1] * groups if transposed else W.shape[0]]
    return torch.ops.aten.convolution_backward(
        d_y, x, W, bias, *each[:3], transposed, each[3], groups, wanted
    )


def batch_norm_backward(
    d_y: Tensor, x: Tensor, W: Any, mean: Tensor, rstd: Tensor, eps: float = 1e-5,
    running: Any = None, wanted: tuple[bool, bool, bool] = (True, True, True),
) -> tuple[Tensor, Tensor, Tensor]:  # fmt: skip
    """Of y = W * (x - mean) / std + b, where mean and std are the batch's: d_x, d_W, d_b."""
    return torch.ops.aten.native_batch_norm_backward(
        d_y, x, W, *(running or (None, None)), mean, rstd, running is None, eps, wanted
    )


def layer_norm_backward(
    d_y: Tensor, x: Tensor, mean: Tensor, rstd: Tensor, W: Any, b: Any, shape: Any = None,
    wanted: tuple[bool, bool, bool] = (True, True, True),
) -> tuple[Tensor, Tensor, Tensor]:  # fmt: skip
    """Of y = W * (x - mean) / std + b, where mean and std are each sample's: d_x, d_W, d_b."""
    return torch.ops.aten.native_layer_norm_backward(
        d_y, x, shape or W.shape, mean, rstd, W, b, wanted
    )


def group_norm_backward(
    d_y: Tensor, x: Tensor, mean: Tensor, rstd: Tensor, W: Any, *sizes: Any
) -> tuple[Tensor, Tensor, Tensor]:
    """The same, where mean and std are those of a group of channels."""
    return torch.ops.aten.native_group_norm_backward(d_y, x, mean, rstd, W, *sizes)


def attention(q: Tensor, k: Tensor, v: Tensor, *how: Any, **more: Any) -> tuple[Tensor, Tensor]:
    """softmax(q @ k.T / sqrt(width)) @ v; and the logarithms of softmax's sums."""
    return torch._scaled_dot_product_flash_attention_for_cpu(q, k, v, *how, **more)


def attention_backward(d_y: Tensor, *of: Any, **more: Any) -> tuple[Tensor, Tensor, Tensor]:
    """d_q, d_k, d_v."""
    return torch.ops.aten._scaled_dot_product_flash_attention_for_cpu_backward(d_y, *of, **more)


def avg_pool2d_backward(d_y: Tensor, x: Tensor, *how: Any) -> Tensor:
    """Each place of x gets its part of d_y: d_y over the size of the window."""
    return torch.ops.aten.avg_pool2d_backward(d_y, x, *how)


def adaptive_avg_pool2d_backward(d_y: Tensor, x: Tensor) -> Tensor:
    """The same, with windows that cover x."""
    return torch.ops.aten._adaptive_avg_pool2d_backward(d_y, x)


def max_pool2d_backward(
    d_y: Tensor, x: Tensor, places: Tensor, size: Any, stride: Any = None, padding: Any = 0,
    dilation: Any = 1, ceil_mode: bool = False,
) -> Tensor:  # fmt: skip
    """d_y where each window had its largest number, 0 elsewhere."""
    each = [v if isinstance(v, tuple) else (v, v)
            for v in (size, stride or size, padding, dilation)]  # fmt: skip
    return torch.ops.aten.max_pool2d_with_indices_backward(d_y, x, *each, ceil_mode, places)


def upsample_backward(name: str, d_y: Tensor, *how: Any) -> Tensor:
    """Each place of x gets the sum of what it was copied to."""
    return getattr(torch.ops.aten, name)(d_y, *how)


def binary_cross_entropy_backward(
    d_loss: Tensor, p: Tensor, y: Tensor, weight: Any = None, reduction: int = 1
) -> Tensor:
    """d_loss * (p - y) / (p * (1 - p)) / p.numel()."""
    return torch.ops.aten.binary_cross_entropy_backward(d_loss, p, y, weight, reduction)


def embedding_backward(d_y: Tensor, x: Tensor, words: int, padding: int, by_count: bool) -> Tensor:
    """The sum of d_y over all places that have a word, for each word."""
    return torch.ops.aten.embedding_dense_backward(d_y, x, words, padding, by_count)


def index_put(x: Tensor, indices: list[Any], values: Tensor, accumulate: bool = False) -> Tensor:
    """A copy of x with the values at x[indices]; they are added to it, if they accumulate."""
    return torch.ops.aten.index_put(x, indices, values, accumulate)


def smooth_l1_loss_backward(
    d_loss: Tensor, a: Tensor, b: Tensor, reduction: int, beta: float
) -> Tensor:
    """d_loss * ((a - b) / beta).clamp(-1, 1) / a.numel()."""
    return torch.ops.aten.smooth_l1_loss_backward(d_loss, a, b, reduction, beta)


def huber_loss_backward(
    d_loss: Tensor, a: Tensor, b: Tensor, reduction: int, delta: float
) -> Tensor:
    """d_loss * (a - b).clamp(-delta, delta) / a.numel()."""
    return torch.ops.aten.huber_loss_backward(d_loss, a, b, reduction, delta)


def soft_margin_loss_backward(d_loss: Tensor, y_hat: Tensor, y: Tensor, reduction: int) -> Tensor:
    """-d_loss * y * sigmoid(-y * y_hat) / y.numel()."""
    return torch.ops.aten.soft_margin_loss_backward(d_loss, y_hat, y, reduction)


def multi_margin_loss_backward(
    d_loss: Tensor, y_hat: Tensor, y: Tensor, p: int, margin: float, weight: Any = None,
    reduction: int = 1,
) -> Tensor:  # fmt: skip
    """1 for each score that comes within the margin of the label's, minus their number for it."""
    return torch.ops.aten.multi_margin_loss_backward(d_loss, y_hat, y, p, margin, weight, reduction)
