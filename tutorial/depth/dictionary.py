"""From torch to NumPy: how each of torch's words reads there.

On the left is a call as torch has it; its arguments have names, `*sizes` stands for several, and
what has a value may be left out. On the right is the same in NumPy.

What NumPy has no word for is a function of arrays/ with torch's name, and needs no entry here.
"""

import ast
import copy
from dataclasses import dataclass
from functools import cache

DICTIONARY = {
    # ---- arithmetic
    "torch.addmm(b, x, W, beta=1, alpha=1)": "beta * b + alpha * x @ W",
    "torch.baddbmm(b, x, W, beta=1, alpha=1)": "beta * b + alpha * x @ W",
    "torch.add(x, y, alpha=1)": "x + alpha * y",
    "torch.sub(x, y, alpha=1)": "x - alpha * y",
    "x.add(y, alpha=1)": "x + alpha * y",
    "x.sub(y, alpha=1)": "x - alpha * y",
    "x.mul(y)": "x * y",
    "x.div(y)": "x / y",
    "x.neg()": "-x",
    "x.pow(y)": "x ** y",
    "x.square()": "x * x",
    "x.lerp(y, weight)": "x + weight * (y - x)",
    "x.addcmul(y, z, value=1)": "x + value * y * z",
    "x.addcdiv(y, z, value=1)": "x + value * y / z",
    "x.reciprocal()": "1 / x",
    "x.sigmoid()": "1 / (1 + np.exp(-x))",
    "x.sqrt()": "np.sqrt(x)",
    "x.rsqrt()": "1 / np.sqrt(x)",
    "x.exp()": "np.exp(x)",
    "x.expm1()": "np.expm1(x)",
    "x.log()": "np.log(x)",
    "x.log1p()": "np.log1p(x)",
    "x.log2()": "np.log2(x)",
    "x.sin()": "np.sin(x)",
    "x.cos()": "np.cos(x)",
    "x.tanh()": "np.tanh(x)",
    "x.tan()": "np.tan(x)",
    "x.sinh()": "np.sinh(x)",
    "x.cosh()": "np.cosh(x)",
    "x.asin()": "np.arcsin(x)",
    "x.acos()": "np.arccos(x)",
    "x.atan()": "np.arctan(x)",
    "x.asinh()": "np.arcsinh(x)",
    "x.acosh()": "np.arccosh(x)",
    "x.atanh()": "np.arctanh(x)",
    "x.atan2(y)": "np.arctan2(x, y)",
    "x.hypot(y)": "np.hypot(x, y)",
    "x.abs()": "np.abs(x)",
    "x.sign()": "np.sign(x)",
    "x.sgn()": "np.sign(x)",
    "x.floor()": "np.floor(x)",
    "x.ceil()": "np.ceil(x)",
    "x.round()": "np.round(x)",
    "x.trunc()": "np.trunc(x)",
    "x.clamp(min=None, max=None)": "np.clip(x, min, max)",
    "x.clamp_min(min)": "np.maximum(x, min)",
    "x.clamp_max(max)": "np.minimum(x, max)",
    "x.maximum(y)": "np.maximum(x, y)",
    "x.minimum(y)": "np.minimum(x, y)",
    "torch.maximum(x, y, out=None)": "np.maximum(x, y, out=out)",
    "torch.minimum(x, y)": "np.minimum(x, y)",
    "torch.xlogy(x, y)": "x * np.log(np.where(x == 0, 1, y))",
    "x.matmul(y)": "x @ y",
    "x.mm(y)": "x @ y",
    "x.bmm(y)": "x @ y",
    "x.mv(y)": "x @ y",
    "x.dot(y)": "x @ y",
    # ---- comparisons
    "x.eq(y)": "x == y",
    "x.ne(y)": "x != y",
    "x.lt(y)": "x < y",
    "x.le(y)": "x <= y",
    "x.gt(y)": "x > y",
    "x.ge(y)": "x >= y",
    "x.bitwise_not()": "~x",
    "x.logical_not()": "~x",
    "x.bitwise_and(y)": "x & y",
    "x.logical_and(y)": "x & y",
    "x.bitwise_or(y)": "x | y",
    "x.logical_or(y)": "x | y",
    "x.isnan()": "np.isnan(x)",
    "x.count_nonzero()": "(x != 0).sum()",
    "torch.where(condition, x, y)": "np.where(condition, x, y)",
    "x.masked_fill(mask, value)": "np.where(mask, value, x)",
    "F.nll_loss(log_p, y)": "-log_p[np.arange(len(y)), y].mean()",
    # ---- sums
    "x.sum(*axes, keepdim=False)": "x.sum(*axes, keepdims=keepdim)",
    "x.mean(*axes, keepdim=False)": "x.mean(*axes, keepdims=keepdim)",
    "x.prod(*axes, keepdim=False)": "x.prod(*axes, keepdims=keepdim)",
    "x.amax(*axes, keepdim=False)": "x.max(*axes, keepdims=keepdim)",
    "x.amin(*axes, keepdim=False)": "x.min(*axes, keepdims=keepdim)",
    "x.any(*axes, keepdim=False)": "x.any(*axes, keepdims=keepdim)",
    "x.all(*axes, keepdim=False)": "x.all(*axes, keepdims=keepdim)",
    "x._is_all_true()": "x.all()",
    "x.argmax(*axes)": "x.argmax(*axes)",
    "x.cumsum(axis)": "np.cumsum(x, axis)",
    "x.cumprod(axis)": "np.cumprod(x, axis)",
    "x.norm(p=2, axes=None, keepdim=False)": "linalg_vector_norm(x, p, axes, keepdim)",
    "x.var(axes, correction, keepdim=False)": "x.var(axes, ddof=correction, keepdims=keepdim)",
    "x.std(axes, correction, keepdim=False)": "x.std(axes, ddof=correction, keepdims=keepdim)",
    "x.max(axis=None, keepdim=False)": "max_of(x, axis, keepdim)",
    "x.min(axis=None, keepdim=False)": "min_of(x, axis, keepdim)",
    "x.vdot(y)": "np.vdot(x, y)",
    "torch.linalg.vector_norm(x, p=2, dim=None, keepdim=False)": (
        "linalg_vector_norm(x, p, dim, keepdim)"
    ),
    # ---- shapes
    "x.view(*sizes)": "x.reshape(*sizes)",
    "x.reshape(*sizes)": "x.reshape(*sizes)",
    "x.transpose(i, j)": "x.swapaxes(i, j)",
    "x.permute(*axes)": "x.transpose(*axes)",
    "x.unsqueeze(axis)": "np.expand_dims(x, axis)",
    "x.repeat(*times)": "np.tile(x, (*times,))",
    "x.flip(axes)": "np.flip(x, tuple(axes))",
    "x.roll(shifts, axes=None)": "np.roll(x, shifts, axes)",
    "x.rot90(k, axes)": "np.rot90(x, k, axes)",
    "x.diagonal(offset=0, i=0, j=1)": "np.diagonal(x, offset, i, j)",
    "x.split_with_sizes(sizes, axis=0)": "split(x, sizes, axis)",
    "x.contiguous()": "x",
    "x.detach()": "x",
    "x.clone()": "x.copy()",
    "x.numel()": "x.size",
    "x.dim()": "x.ndim",
    "x.size(axis)": "x.shape[axis]",
    "torch.cat(arrays, axis=0)": "np.concatenate(arrays, axis)",
    "torch.stack(arrays, axis=0)": "np.stack(arrays, axis)",
    "x.to(type)": "x.astype(type)",
    "x.triu(k=0)": "np.triu(x, k)",
    "x.tril(k=0)": "np.tril(x, k)",
    "torch.triu(x, k=0)": "np.triu(x, k)",
    "torch.tril(x, k=0)": "np.tril(x, k)",
    # ---- new ones
    "torch.zeros_like(x, dtype=None)": "np.zeros_like(x, dtype=dtype)",
    "torch.ones_like(x, dtype=None)": "np.ones_like(x, dtype=dtype)",
    "torch.full_like(x, value, dtype=None)": "np.full_like(x, value, dtype=dtype)",
    "torch.empty_like(x, dtype=None)": "np.empty_like(x, dtype=dtype)",
    "torch.zeros(sizes, dtype=None)": "np.zeros(sizes, dtype=dtype)",
    "torch.ones(sizes, dtype=None)": "np.ones(sizes, dtype=dtype)",
    "torch.full(sizes, value, dtype=None)": "np.full(sizes, value, dtype=dtype)",
    "torch.empty(sizes, dtype=None)": "np.empty(sizes, dtype=dtype)",
    "torch.arange(*ends, dtype=None)": "np.arange(*ends, dtype=dtype)",
    "torch.tensor(number, dtype=None)": "np.array(number, dtype=dtype)",
    "torch.finfo(type)": "np.finfo(type)",
    "torch.scalar_tensor(number, dtype=None)": "np.array(number, dtype=dtype)",
    "x.new_zeros(sizes, dtype=None)": "np.zeros(sizes, dtype=dtype)",
    "x.new_empty(sizes)": "np.empty(sizes)",
    "x.new_ones(sizes)": "np.ones(sizes)",
    "x.new_full(sizes, value)": "np.full(sizes, value)",
    "x.zero()": "np.zeros_like(x)",
    "x.fill(value)": "np.full_like(x, value)",
    "x.copy(y)": "y",
    # ---- random numbers, as they were drawn when PyTorch ran the loop
    "x.bernoulli(p=None)": "drawn(x.shape)",
    "x.normal(mean=0, std=1)": "drawn(x.shape)",
    "x.uniform(low=0, high=1)": "drawn(x.shape)",
    "x.exponential(rate=1)": "drawn(x.shape)",
    "torch.rand_like(x)": "drawn(x.shape)",
    "torch.randn_like(x)": "drawn(x.shape)",
    "torch.rand(sizes, dtype=None)": "drawn(sizes)",
    "torch.randn(sizes)": "drawn(sizes)",
    "torch.randperm(count)": "drawn([count]).astype(np.int64)",
    # ---- the loop
    "nn.utils.clip_grad_norm_(weights, longest)": "clip_grad_norm(weights, longest)",
    "nn.utils.clip_grad_value_(weights, largest)": "clip_grad_value(weights, largest)",
}

TYPES = {
    "torch.float32": "np.float64", "torch.float64": "np.float64", "torch.int64": "np.int64",
    "torch.int32": "np.int32", "torch.uint8": "np.uint8", "torch.bool": "np.bool_",
}  # fmt: skip


@dataclass
class Entry:
    """A line of the dictionary.

    Attributes:
        names: of the arguments on the left, in order.
        several: the one that stands for all that follow.
        usual: values of those that may be left out.
        result: what is on the right.
    """

    names: list[str]
    several: str | None
    usual: dict[str, ast.expr]
    result: ast.expr

    def __call__(self, arguments: list[ast.expr], keywords: dict[str, ast.expr]) -> ast.expr | None:
        """The right side with these arguments; None if they do not fit the left one."""
        if self.several == "axes" and "dim" in keywords:
            arguments = [*arguments, keywords.pop("dim")]
        names = self.names[: len(arguments)]
        rest = arguments[len(self.names) :]
        if rest and self.several is None:
            names += [*self.usual][: len(rest)]
            rest = []
        if len(names) + len(rest) < len(arguments):
            return None
        given = dict(zip(names, arguments, strict=False)) | keywords
        if not set(self.names) <= given.keys() <= {*self.names, *self.usual}:
            return None
        put = Put({**self.usual, **given}, {self.several: rest}, self.usual)
        found: ast.expr = put.visit(copy.deepcopy(self.result))
        return found


class Put(ast.NodeTransformer):
    """Puts arguments in the place of their names."""

    def __init__(
        self,
        given: dict[str, ast.expr],
        several: dict[str | None, list[ast.expr]],
        usual: dict[str, ast.expr],
    ) -> None:
        self.given, self.several, self.usual = given, several, usual

    def visit_Name(self, node: ast.Name) -> ast.expr:
        return self.given.get(node.id, node)

    def spread(self, parts: list[ast.expr]) -> list[ast.expr]:
        """The parts, with several in the place of *sizes."""
        found: list[ast.expr] = []
        for part in parts:
            if isinstance(part, ast.Starred) and isinstance(part.value, ast.Name):
                found += self.several[part.value.id]
            else:
                found.append(self.visit(part))
        return found

    def visit_Call(self, node: ast.Call) -> ast.expr:
        """A call; arguments at its end that are as usual are left out."""
        node.func = self.visit(node.func)
        last = node.args[-1] if node.args else None
        both = ast.unparse(node.func) == "np.clip"  # which wants both limits
        if isinstance(last, ast.Name) and self.is_usual(last.id) and not both:
            node.args.pop()
        node.args = self.spread(node.args)
        if isinstance(node.func, ast.Attribute) and node.func.attr in OVER_AXES:
            node.args = [ast.Tuple(a.elts) if isinstance(a, ast.List) else a for a in node.args]
        node.keywords = [
            ast.keyword(k.arg, self.visit(k.value))
            for k in node.keywords
            if not (isinstance(k.value, ast.Name) and self.is_usual(k.value.id))
        ]
        return node

    def visit_Tuple(self, node: ast.Tuple) -> ast.expr:
        return ast.Tuple(self.spread(node.elts))

    def visit_BinOp(self, node: ast.BinOp) -> ast.expr:
        """1 * x is x."""
        left, right = self.visit(node.left), self.visit(node.right)
        if isinstance(node.op, ast.Mult) and isinstance(left, ast.Constant) and left.value == 1:
            return right  # type: ignore[no-any-return]
        if isinstance(node.op, ast.Add) and is_negative(right):
            return ast.BinOp(left, ast.Sub(), positive(right))
        return ast.BinOp(left, node.op, right)

    def is_usual(self, name: str) -> bool:
        """Whether an argument is as usual."""
        usual, given = self.usual.get(name), self.given.get(name)
        return usual is not None and given is not None and ast.dump(usual) == ast.dump(given)


# They take several axes as a tuple.
OVER_AXES = {"sum", "mean", "var", "std", "prod", "max", "min", "any", "all"}


def is_negative(node: ast.expr) -> bool:
    """Whether a product begins with a minus."""
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mult | ast.Div | ast.MatMult):
        return is_negative(node.left)
    return isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub)


def positive(node: ast.expr) -> ast.expr:
    """The product without it."""
    if isinstance(node, ast.BinOp):
        return ast.BinOp(positive(node.left), node.op, node.right)
    assert isinstance(node, ast.UnaryOp)
    return node.operand


@cache
def entries() -> dict[str, Entry]:
    """The dictionary by its words: torch.addmm, .view."""
    found = {}
    for left, right in DICTIONARY.items():
        call = ast.parse(left, mode="eval").body
        assert isinstance(call, ast.Call)
        names = [argument.id for argument in call.args if isinstance(argument, ast.Name)]
        stars = [argument.value for argument in call.args if isinstance(argument, ast.Starred)]
        several = stars[0].id if stars and isinstance(stars[0], ast.Name) else None
        usual = {str(k.arg): k.value for k in call.keywords}
        word = ast.unparse(call.func)
        if word.startswith("x."):
            word, names = word.removeprefix("x"), ["x", *names]
        found[word] = Entry(names, several, usual, ast.parse(right, mode="eval").body)
    return found
