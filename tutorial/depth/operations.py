"""The table: how each of torch's operations reads.

An entry makes a line's right side from the code of its arguments. What has an operator or a name in
torch is written with that; a backward kernel that has none, with its name in kernels.py.
"""

import ast
from collections.abc import Callable
from functools import lru_cache
from typing import Any

from tutorial.depth import kernels

Table = dict[str, Callable[..., str]]


@lru_cache(maxsize=4096)
def is_atom(code: str) -> bool:
    """Whether it needs no brackets, wherever it stands: a name, a call, x[0], x.T."""
    node = ast.parse(code, mode="eval").body
    return isinstance(node, ast.Name | ast.Call | ast.Subscript | ast.Attribute) or (
        isinstance(node, ast.Constant) and not code.startswith("-")
    )


def atom(code: str) -> str:
    """The code, in brackets where it needs some."""
    return code if is_atom(code) else f"({code})"


def factor(code: str) -> str:
    """The same for a factor: a power or a product on its left needs none."""
    node = ast.parse(code, mode="eval").body
    product = isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mult | ast.Div | ast.MatMult)
    return code if product else atom(code)


def operator(sign: str) -> Callable[..., str]:
    """X + y; with alpha, a function."""

    def written(x: str, y: str, alpha: str = "1", **_: str) -> str:
        if alpha != "1":
            name = {"+": "add", "-": "sub"}[sign]
            return f"torch.{name}({x}, {y}, alpha={alpha})"
        if sign in "+-":
            return f"{x} {sign} {factor(y)}"
        return f"{factor(x)} {sign} {atom(y)}"

    return written


def compared(sign: str) -> Callable[..., str]:
    """X < y."""
    return lambda x, y: f"{atom(x)} {sign} {atom(y)}"


COMPARISONS = {"lt": "<", "le": "<=", "gt": ">", "ge": ">=", "eq": "==", "ne": "!="}


def function(name: str, *usual: str) -> Callable[..., str]:
    """torch.relu(x); arguments at the end that are as usual go."""

    def written(*arguments: str, **named: str) -> str:
        given = list(arguments)
        while len(given) > len(arguments) - len(usual) and given:
            if given[-1] != usual[len(given) - len(arguments) - 1]:
                break
            given.pop()
        return call(name, given, named)

    return written


def method(name: str) -> Callable[..., str]:
    """x.view(...): an operation of a tensor."""

    def written(x: str, *arguments: str, **named: str) -> str:
        return call(f"{atom(x)}.{name}", arguments, named)

    return written


def spread(name: str) -> Callable[..., str]:
    """x.view(n, 784): an operation of a tensor with a list, each item of which is an argument."""

    def written(x: str, items: str, *more: str, **named: str) -> str:
        listed: Any = ast.parse(items, mode="eval").body
        given = [ast.unparse(item) for item in listed.elts]
        return call(f"{atom(x)}.{name}", given, {})

    return written


def call(name: str, arguments: Any, named: dict[str, str]) -> str:
    """A call as code; memory formats and devices, which change no number, are left out."""
    dropped = ("memory_format", "pin_memory", "layout", "non_blocking")
    keywords = [f"{key}={code}" for key, code in named.items() if key not in dropped]
    return f"{name}({', '.join([*arguments, *keywords])})"


def one(code: str) -> str:
    """[2, 2] as 2, where all of a list are equal."""
    items = ast.parse(code, mode="eval").body
    if isinstance(items, ast.List) and items.elts:
        texts = {ast.unparse(item) for item in items.elts}
        return texts.pop() if len(texts) == 1 else f"({', '.join(map(ast.unparse, items.elts))})"
    return code


# ---- forward


def reduced(name: str) -> Callable[..., str]:
    """x.sum(0, keepdim=True)."""

    def written(x: str, dims: str = "", keepdim: str = "False", **named: str) -> str:
        given = [one(dims) if dims.count(",") == 0 else dims] if dims else []
        more = {"keepdim": "True"} if keepdim == "True" else {}
        return call(f"{atom(x)}.{name}", given, more | named)

    return written


def convolution(
    x: str, W: str, b: str, stride: str, padding: str, dilation: str,
    transposed: str, output_padding: str, groups: str,
) -> str:  # fmt: skip
    """F.conv2d(x, W, b, stride=2)."""
    rank = len(ast.literal_eval(stride))
    name = f"F.conv{'_transpose' if transposed == 'True' else ''}{rank}d"
    options = {"stride": one(stride), "padding": one(padding), "dilation": one(dilation)}
    if transposed == "True":
        options["output_padding"] = one(output_padding)
    options["groups"] = groups
    usual = {"stride": "1", "padding": "0", "dilation": "1", "output_padding": "0", "groups": "1"}
    said = {key: code for key, code in options.items() if code != usual[key]}
    return call(name, [x, W] if b == "None" else [x, W, b], said)


def pooled(name: str, *keys: str) -> Callable[..., str]:
    """F.max_pool2d(x, 2): a stride that is the window's size says nothing."""

    def written(x: str, size: str, stride: str = "[]", *rest: str) -> str:
        size, stride = one(size), one(stride)
        said = {} if stride in ("[]", size) else {"stride": stride}
        usual = {"padding": "0", "dilation": "1", "ceil_mode": "False"}
        usual |= {"count_include_pad": "True", "divisor_override": "None"}
        rest_of = dict(zip(keys, map(one, rest), strict=False))
        said |= {key: code for key, code in rest_of.items() if code != usual[key]}
        said |= {"return_indices": "True"} if "max" in name else {}
        return call(name, [x, size], said)

    return written


def dropped_out(y: str, p: str = "0.5", **_: str) -> str:
    """Each is kept with this probability."""
    return f"{atom(y)}.bernoulli_({p})"


REDUCTIONS = {"0": '"none"', "1": '"mean"', "2": '"sum"'}


def loss(name: str, *keys: str) -> Callable[..., str]:
    """F.mse_loss(y_hat, y): arguments that are as usual say nothing."""
    usual = {
        "reduction": "1",
        "beta": "1.0",
        "delta": "1.0",
        "weight": "None",
        "pos_weight": "None",
    }
    usual |= {"p": "1", "margin": "1"}

    def written(y_hat: str, y: str, *rest: str) -> str:
        given = zip(keys, rest, strict=False)
        said = {key: code for key, code in given if code != usual[key]}
        if "reduction" in said:
            said["reduction"] = REDUCTIONS[said["reduction"]]
        return call(f"F.{name}", [y_hat, y], said)

    return written


FORWARD: Table = {
    "add.Tensor": operator("+"), "add.Scalar": operator("+"),
    "sub.Tensor": operator("-"), "sub.Scalar": operator("-"),
    "mul.Tensor": operator("*"), "mul.Scalar": operator("*"),
    "div.Tensor": operator("/"), "div.Scalar": operator("/"),
    **{
        f"{name}.{kind}": compared(sign)
        for name, sign in COMPARISONS.items()
        for kind in ("Tensor", "Scalar")
    },
    "pow.Tensor_Scalar": lambda x, p: f"{atom(x)} ** {atom(p)}",
    "pow.Scalar": lambda x, p: f"{atom(x)} ** {atom(p)}",
    "neg.default": lambda x: f"-{atom(x)}",
    "rsub.Scalar": lambda x, y, *_: f"{y} - {factor(x)}",
    "mm.default": operator("@"),
    "bmm.default": operator("@"),
    "addmm.default": function("torch.addmm"),
    "baddbmm.default": function("torch.baddbmm"),
    "t.default": lambda x: f"{atom(x)}.T",
    "relu.default": function("torch.relu"),
    "gelu.default": function("F.gelu"), "silu.default": function("F.silu"),
    "elu.default": function("F.elu", "1.0", "1", "1"),
    "leaky_relu.default": function("F.leaky_relu", "0.01"),
    "softplus.default": function("F.softplus", "1", "20"),
    "hardtanh.default": function("F.hardtanh", "-1.0", "1.0"),
    "_softmax.default": lambda x, dim, _: f"{atom(x)}.softmax({dim})",
    "_safe_softmax.default": function("torch._safe_softmax"),
    "_log_softmax.default": lambda x, dim, _: f"{atom(x)}.log_softmax({dim})",
    "convolution.default": convolution,
    "max_pool2d_with_indices.default": pooled("F.max_pool2d", "padding", "dilation", "ceil_mode"),
    "avg_pool2d.default": pooled(
        "F.avg_pool2d", "padding", "ceil_mode", "count_include_pad", "divisor_override"
    ),
    "_adaptive_avg_pool2d.default": lambda x, size: f"F.adaptive_avg_pool2d({x}, {one(size)})",
    "native_batch_norm.default": function("torch.native_batch_norm"),
    "native_layer_norm.default": function("torch.native_layer_norm"),
    "native_group_norm.default": function("torch.native_group_norm"),
    "embedding.default": lambda W, x, *_: f"F.embedding({x}, {W})",
    "_scaled_dot_product_flash_attention_for_cpu.default": function("attention"),
    "nll_loss_forward.default": function("nll_loss"),
    "nll_loss2d_forward.default": function("nll_loss2d"),
    "mse_loss.default": loss("mse_loss", "reduction"),
    "smooth_l1_loss.default": loss("smooth_l1_loss", "reduction", "beta"),
    "huber_loss.default": loss("huber_loss", "reduction", "delta"),
    "soft_margin_loss.default": loss("soft_margin_loss", "reduction"),
    "multi_margin_loss.default": loss("multi_margin_loss", "p", "margin", "weight", "reduction"),
    "binary_cross_entropy.default": loss("binary_cross_entropy", "weight", "reduction"),
    "binary_cross_entropy_with_logits.default": loss(
        "binary_cross_entropy_with_logits", "weight", "pos_weight", "reduction"
    ),
    "sum.default": reduced("sum"), "sum.dim_IntList": reduced("sum"),
    "mean.default": reduced("mean"), "mean.dim": reduced("mean"),
    "amax.default": reduced("amax"), "amin.default": reduced("amin"),
    "any.dim": reduced("any"), "all.dim": reduced("all"), "prod.dim_int": reduced("prod"),
    "bernoulli_.float": dropped_out,
    "slice.Tensor": lambda x, dim="0", start="None", end="None", step="1": sliced(
        x, dim, start, end, step
    ),
    "index.Tensor": lambda x, indices: indexed(x, indices),
    "index_put.default": function("index_put", "False"),
    "_to_copy.default": lambda x, dtype="", **_: f"{atom(x)}.to({dtype})",
    "full.default": lambda size, value, **named: call("torch.full", [size, value], named),
    "empty.memory_format": function("torch.empty"),
    "cat.default": function("torch.cat", "0"), "stack.default": function("torch.stack", "0"),
    "where.self": function("torch.where"), "triu.default": function("torch.triu", "0"),
    "_unsafe_view.default": spread("view"), "unsafe_split.Tensor": method("split"),
    "split.Tensor": method("split"), "expand.default": spread("expand"),
    "repeat.default": spread("repeat"),
    "view.default": spread("view"), "permute.default": spread("permute"),
    "clone.default": lambda x, memory_format="": (
        f"{atom(x)}.{'contiguous' if 'contiguous' in memory_format else 'clone'}()"
    ),
}  # fmt: skip


def indexed(x: str, indices: str) -> str:
    """x[i, :, j]; None is an axis as it is."""
    items: Any = ast.parse(indices, mode="eval").body
    listed = [":" if code == "None" else code for code in map(ast.unparse, items.elts)]
    return f"{atom(x)}[{', '.join(listed)}]"


def sliced(x: str, dim: str, start: str, end: str, step: str) -> str:
    """x[:, 1:3]."""
    largest = str(2**63 - 1)
    start = "" if start in ("None", "0") else start
    end = "" if end in ("None", largest) else end
    every = "" if step == "1" else f":{step}"
    if dim.startswith("-"):
        return f"{atom(x)}[..., {start}:{end}{every}{', :' * (-int(dim) - 1)}]"
    return f"{atom(x)}[{':, ' * int(dim)}{start}:{end}{every}]"


# ---- backward


def gradients_wanted(mask: str) -> dict[str, str]:
    """Which of d_x, d_W, d_b a kernel is to compute, if not all."""
    return {} if mask == "[True, True, True]" else {"wanted": f"({mask.strip('[]')})"}


def convolution_backward(
    d: str, x: str, W: str, bias: str, stride: str, padding: str, dilation: str,
    transposed: str, output_padding: str, groups: str, mask: str,
) -> str:  # fmt: skip
    """Arguments that are as usual are left out."""
    options = {"stride": one(stride), "padding": one(padding), "dilation": one(dilation)}
    options |= {"transposed": transposed, "output_padding": one(output_padding), "groups": groups}
    usual = {"stride": "1", "padding": "0", "dilation": "1", "output_padding": "0", "groups": "1"}
    usual |= {"transposed": "False"}
    said = {key: code for key, code in options.items() if code != usual[key]}
    return call("convolution_backward", [d, x, W], said | gradients_wanted(mask))


def batch_norm_backward(
    d: str, x: str, W: str, mean: str, var: str, of_x: str, rstd: str, training: str, eps: str,
    mask: str,
) -> str:  # fmt: skip
    """Arguments that are as usual are left out."""
    said = {} if eps == "1e-05" else {"eps": eps}
    said |= {} if training == "True" else {"running": f"({mean}, {var})"}
    return call("batch_norm_backward", [d, x, W, of_x, rstd], said | gradients_wanted(mask))


def layer_norm_backward(
    d: str, x: str, shape: str, mean: str, rstd: str, W: str, b: str, mask: str
) -> str:
    """Arguments that are as usual are left out."""
    if W == "None":
        return call(
            "layer_norm_backward",
            [d, x, mean, rstd, W, b],
            {"shape": shape} | gradients_wanted(mask),
        )
    return call("layer_norm_backward", [d, x, mean, rstd, W, b], gradients_wanted(mask))


def max_pool2d_backward(
    d: str, x: str, size: str, stride: str, padding: str, dilation: str, ceil: str, places: str
) -> str:
    """Arguments that are as usual are left out."""
    options = {"stride": one(stride), "padding": one(padding), "dilation": one(dilation)}
    usual = {"stride": one(size), "padding": "0", "dilation": "1"}
    said = {key: code for key, code in options.items() if code != usual[key] and code != "[]"}
    said |= {} if ceil == "False" else {"ceil_mode": ceil}
    return call("max_pool2d_backward", [d, x, places, one(size)], said)


class NotPlainError(Exception):
    """It has no plain form."""


def plain_nll_loss_backward(d: str, log_p: str, y: str, *_: str) -> str:
    """-1 / n at each label.

    Raises:
        NotPlainError: the gradient of the loss is not 1, or a number.
    """
    node: Any = ast.parse(d, mode="eval").body
    factor = "1"
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mult):
        node, factor = node.left, ast.unparse(node.right)
    if not ast.unparse(node).startswith("torch.ones_like(") or not factor.isidentifier() | (
        factor == "1"
    ):
        raise NotPlainError
    return f"torch.zeros_like({log_p}).scatter_(1, {y}[:, None], -{factor} / len({y}))"


# Where each label counts, and all count the same, the loss and its gradient have a plain form.
PLAIN: Table = {
    "nll_loss_forward.default": lambda log_p, y, *_: f"F.nll_loss({log_p}, {y})",
    "nll_loss_backward.default": plain_nll_loss_backward,
}


BACKWARD: Table = {
    "threshold_backward.default": lambda d, y, limit: (
        f"{atom(d)}.masked_fill({atom(y)} <= {limit}, 0)"
    ),
    "sigmoid_backward.default": lambda d, y: f"{factor(d)} * (1 - {factor(y)}) * {atom(y)}",
    "leaky_relu_backward.default": lambda d, x, slope, _: (
        f"torch.where({atom(x)} > 0, {d}, {factor(d)} * {slope})"
    ),
    "tanh_backward.default": function("tanh_backward"),
    "gelu_backward.default": function("gelu_backward"),
    "silu_backward.default": function("silu_backward"),
    "elu_backward.default": function("elu_backward"),
    "softplus_backward.default": function("softplus_backward"),
    "_log_softmax_backward_data.default": lambda d, y, dim, _: (
        f"log_softmax_backward({d}, {y}, {dim})"
    ),
    "_softmax_backward_data.default": lambda d, y, dim, _: f"softmax_backward({d}, {y}, {dim})",
    "nll_loss_backward.default": function("nll_loss_backward"),
    "nll_loss2d_backward.default": function("nll_loss2d_backward"),
    "mse_loss_backward.default": lambda d, a, b, reduction: (
        f"2 / {atom(a)}.numel() * ({a} - {factor(b)}) * {atom(d)}"
        if reduction == "1"
        else f"2 * ({a} - {factor(b)}) * {atom(d)}"
    ),
    "convolution_backward.default": convolution_backward,
    "native_batch_norm_backward.default": batch_norm_backward,
    "native_layer_norm_backward.default": layer_norm_backward,
    "native_group_norm_backward.default": function("group_norm_backward"),
    "max_pool2d_with_indices_backward.default": max_pool2d_backward,
    "avg_pool2d_backward.default": function("avg_pool2d_backward"),
    "_adaptive_avg_pool2d_backward.default": function("adaptive_avg_pool2d_backward"),
    "_scaled_dot_product_flash_attention_for_cpu_backward.default": function("attention_backward"),
    "embedding_dense_backward.default": function("embedding_backward"),
    "select_backward.default": lambda d, size, dim, index: (
        f"torch.select_scatter({atom(d)}.new_zeros({size}), {d}, {dim}, {index})"
    ),
    "slice_backward.default": lambda d, size, dim, start, end, step: (
        f"torch.slice_scatter({atom(d)}.new_zeros({size}), {d}, {dim}, {start}, {end}, {step})"
    ),
    "binary_cross_entropy_backward.default": function("binary_cross_entropy_backward"),
    "smooth_l1_loss_backward.default": function("smooth_l1_loss_backward"),
    "huber_loss_backward.default": function("huber_loss_backward"),
    "soft_margin_loss_backward.default": function("soft_margin_loss_backward"),
    "multi_margin_loss_backward.default": function("multi_margin_loss_backward"),
}  # fmt: skip

TABLE = FORWARD | BACKWARD

KERNELS = {name: value for name, value in vars(kernels).items() if callable(value)}
