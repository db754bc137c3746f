"""Each of torch's operations in NumPy gives what torch's own gives, forward and backward."""

import ast
import builtins
import inspect
import math
import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch import Tensor

from tutorial.depth import arrays, kernels

FUNCTIONS = {
    name: function
    for name, function in inspect.getmembers(arrays, inspect.isfunction)
    if function.__module__.startswith(arrays.__name__)
    and not function.__module__.endswith(("training", "metrics", "shapes"))  # test_depth_numpy.py
}


ATEN = torch.ops.aten
BARE = {  # a text has the operation itself, not torch's function of the same name
    "adaptive_avg_pool3d_backward": ATEN._adaptive_avg_pool3d_backward,
    "adaptive_max_pool2d": ATEN.adaptive_max_pool2d,
    "adaptive_max_pool3d": ATEN.adaptive_max_pool3d,
    "ctc_loss": ATEN._ctc_loss,
    "ctc_loss_backward": ATEN._ctc_loss_backward,
    "elu_": ATEN.elu_,
    "embedding_bag": ATEN._embedding_bag,
    "embedding_bag_backward": ATEN._embedding_bag_backward,
    "fractional_max_pool2d": ATEN.fractional_max_pool2d,
    "max_of": torch.max,
    "min_of": torch.min,
    "index_put": ATEN.index_put,
    "max_unpool2d": ATEN.max_unpool2d,
    "rrelu_with_noise_": ATEN.rrelu_with_noise_,
    "threshold_": torch.threshold_,
    "unfold": Tensor.unfold,
}


def torchs(name: str) -> Callable[..., Any] | None:
    """torch's operation of this name."""
    if name in BARE:
        return BARE[name]
    if name in vars(kernels):
        return getattr(kernels, name)
    for place in (F, torch, Tensor):
        if callable(getattr(place, name, None)):
            return getattr(place, name)
    for operation in (name, f"_{name}"):
        if hasattr(ATEN, operation):
            return getattr(ATEN, operation)
    return None


def in_numpy(part: Any) -> Any:
    """The same with arrays in the place of tensors."""
    if isinstance(part, Tensor):
        return part.detach().clone().numpy()
    if isinstance(part, tuple):
        return tuple(map(in_numpy, part))
    return part


def check(name: str, *args: Any, parts: int | None = None, **kwargs: Any) -> Any:
    """Compare both, and return what torch's gives.

    Args:
        name: of the function.
        args: its arguments.
        parts: how many of its results say something, if not all.
        kwargs: more arguments.
    """
    given = [in_numpy(arg) for arg in args]
    found = FUNCTIONS[name](*given, **{key: in_numpy(arg) for key, arg in kwargs.items()})
    operation: Any = torchs(name)
    expected = operation(*[a.clone() if isinstance(a, Tensor) else a for a in args], **kwargs)
    for one, other in zip(several(found)[:parts], several(expected)[:parts], strict=True):
        if name.endswith("_"):
            assert one is given[0]
        if other is not None:  # what is not wanted, is None
            assert one.shape == other.shape
            np.testing.assert_allclose(one, other.numpy(), rtol=1e-12, atol=1e-13)
            assert np.asarray(one).dtype == other.numpy().dtype
    return expected


def several(results: Any) -> tuple[Any, ...]:
    return results if isinstance(results, tuple) else (results,)


def random(*shape: int) -> Tensor:
    return torch.randn(shape, dtype=torch.float64, generator=GENERATOR)


def integers(high: int, *shape: int) -> Tensor:
    return torch.randint(high, shape, generator=GENERATOR)


no_hurry = settings(deadline=None, max_examples=60)  # the machine may be busy
GENERATOR = torch.Generator().manual_seed(17)


@pytest.fixture(autouse=True)
def same_numbers() -> None:
    """Which numbers a test has, does not depend on the tests before it."""
    GENERATOR.manual_seed(18)


# ---- a table: what each is tried with

EDGES = torch.tensor([-800, -30.0, -3, -1, -0.5, 0, 0.5, 1, 3, 6, 30, 800], dtype=torch.float64)
X = torch.cat([random(48) * 3, EDGES]).reshape(5, 12)  # with the places where formulas change
D = random(5, 12)
P = torch.cat([random(13, 3).sigmoid(), torch.tensor([[0.0, 1, 1]]).double()])
YES = (random(14, 3) > 0).double()
SIGNS = 2 * YES - 1
PAIR = (random(14, 3) * 2, random(14, 3))
W3 = random(3).abs()
SCORES, CLASSES = random(14, 3), integers(3, 14)
SOME = torch.where(torch.arange(14) % 3 == 0, -100, CLASSES)
LOG_P, NONE = SCORES.log_softmax(1), torch.full((14,), -100)
MAPS, PLACES = random(4, 3, 2, 5).log_softmax(1), integers(3, 4, 2, 5)
MASK = torch.triu(torch.full((5, 5), -float("inf")).double(), 1)
ROWS = torch.where(torch.tensor([[True], [False], [True]]), random(3, 4), -float("inf"))
ONE = torch.tensor(1.5).double()
EACH = random(14, 3)
V = random(4, 3)
POINTS = random(2, 4, 3), torch.cat([random(2, 4, 3), torch.zeros(2, 1, 3)], 1)
POINTS[0][:, 0] = 0  # one distance is 0
X3 = random(2, 3, 5, 6, 7)
MANY = torch.tensor(
    [[0, -1, 1], [2, 1, -1], [1, 2, 0], [-1, 0, 1], [1, 1, -1], [0, 2, -1], [2, 2, 2]]
)
MANY = MANY.repeat(2, 1)
IS_LABEL = ATEN.multilabel_margin_loss_forward(SCORES, MANY, 1)[1]

Case = tuple[Any, ...] | dict[str, Any]
CASES: dict[str, list[tuple[Any, ...]]] = {
    "relu": [(X,)],
    "tanh_backward": [(D, X.tanh())],
    "gelu": [(X,), (X, {"approximate": "tanh"})],
    "gelu_backward": [(D, X), (D, X, {"approximate": "tanh"})],
    "silu": [(X,)],
    "silu_backward": [(D, X)],
    "mish": [(X,)],
    "mish_backward": [(D, X)],
    "sigmoid": [(X,)],
    "erf": [(X,)],
    "softplus": [(X,), (X, 2, 3)],
    "softplus_backward": [(D, X, 1.0, 20.0), (D, X, 2, 3)],
    "log_sigmoid_forward": [(X,)],
    "log_sigmoid_backward": [(D, X, X.abs().neg().exp())],
    "elu": [(X,), (X, 0.7)],
    "elu_backward": [
        (D, 1.0, 1, 1, False, X), (D, 0.5, 1, 2.0, False, X), (D, 1.6, 1.05, 1, False, X),
        (D, 0.5, 1.5, 2.0, True, ATEN.elu(X, 0.5, 1.5, 2.0)),
    ],
    "celu": [(X,), (X, 0.5)],
    "leaky_relu": [(X,), (X, 0.1)],
    "threshold": [(X, 0.5, 2.0)],
    "prelu_kernel": [(X, random(12).expand(5, 12))],
    "prelu_kernel_backward": [(D, X, random(12).expand(5, 12))],
    "rrelu_with_noise": [(X, D, 0.125, 0.25, False)],
    "rrelu_with_noise_backward": [
        (D, X, random(5, 12).abs().where(X <= 0, 1), 0.125, 0.25, True, False),
        (D, X, D, 0.125, 0.25, False, False),
    ],
    "hardtanh": [(X,), (X, 0.0, 6.0)],
    "hardtanh_backward": [(D, X, -1.0, 1.0), (D, X, 0.0, 6.0)],
    "hardsigmoid": [(X,)],
    "hardsigmoid_backward": [(D, X)],
    "hardswish": [(X,)],
    "hardswish_backward": [(D, X)],
    "softshrink": [(X,), (X, 0.3)],
    "softshrink_backward": [(D, X, 0.5)],
    "hardshrink": [(X,), (X, 0.3)],
    "hardshrink_backward": [(D, X, 0.5)],
    "glu": [(X,), (X.T, 0)],
    "glu_backward": [(D[:, :6], X, -1), (D.T[:6], X.T, 0)],
    "logsumexp": [(X, 1), (X, 0, True), (ROWS, 1), (X3, [1, -1], True), (X3, [0, 2])],
    "softmax": [(X, 1), (X, 0)],
    "log_softmax": [(X, 1), (X, 0)],
    "_safe_softmax": [(X, 1), (ROWS, -1)],
    "softmax_backward": [(D, X.softmax(1), 1), (D, X.softmax(0), 0)],
    "log_softmax_backward": [(D, X.log_softmax(1), 1), (D, X.log_softmax(0), 0)],
    "embedding": [(integers(5, 3, 4), random(5, 2))],
    "embedding_backward": [
        (random(3, 4, 2), integers(5, 3, 4), 6, -1, False),
        (random(3, 4, 2), integers(3, 3, 4), 6, 1, False),
        (random(3, 4, 2), integers(5, 3, 4), 6, -1, True),
    ],
    "mse_loss": [PAIR, (*PAIR, {"reduction": "sum"}), (*PAIR, {"reduction": "none"})],
    "smooth_l1_loss": [
        PAIR, (*PAIR, {"reduction": "sum", "beta": 0.5}), (*PAIR, {"reduction": "none"}),
        (*PAIR, {"beta": 0.0}),
    ],
    "smooth_l1_loss_backward": [
        (ONE, *PAIR, 1, 1.0), (ONE, *PAIR, 2, 0.5), (EACH, *PAIR, 0, 0.5), (ONE, *PAIR, 1, 0.0),
    ],
    "huber_loss": [
        PAIR, (*PAIR, {"reduction": "sum", "delta": 0.5}), (*PAIR, {"reduction": "none"}),
    ],
    "huber_loss_backward": [(ONE, *PAIR, 1, 1.0), (ONE, *PAIR, 2, 0.5), (EACH, *PAIR, 0, 0.5)],
    "soft_margin_loss": [
        (SCORES, SIGNS), (SCORES, SIGNS, {"reduction": "sum"}),
        (SCORES, SIGNS, {"reduction": "none"}),
    ],
    "soft_margin_loss_backward": [
        (ONE, SCORES, SIGNS, 1), (ONE, SCORES, SIGNS, 2), (EACH, SCORES, SIGNS, 0)
    ],
    "binary_cross_entropy": [
        (P, YES), (P, YES, {"weight": W3, "reduction": "sum"}), (P, YES, {"reduction": "none"}),
    ],
    "binary_cross_entropy_backward": [
        (ONE, P, YES, None), (ONE, P, YES, W3.expand(14, 3), 2), (EACH, P, YES, None, 0),
    ],
    "binary_cross_entropy_with_logits": [
        (SCORES, YES), (SCORES * 100, YES), (SCORES, YES, {"pos_weight": W3}),
        (SCORES, YES, {"weight": W3, "pos_weight": W3, "reduction": "sum"}),
        (SCORES, YES, {"reduction": "none"}),
    ],
    "nll_loss": [
        (LOG_P, labels, weight, reduction, ignored)
        for labels, weight, ignored in [
            (CLASSES, None, -100), (CLASSES, W3, -100), (CLASSES, W3, 1), (SOME, None, -100),
            (SOME, W3, -100), (NONE, W3, -100),
        ]
        for reduction in (1, 2)
    ],
    "nll_loss2d": [
        (MAPS, PLACES, None, 1, -100), (MAPS, PLACES, W3, 1, 1), (MAPS, PLACES, W3, 2, -100),
    ],
    "nll_loss_backward": [
        (ONE, LOG_P, labels, weight, reduction, ignored, total)
        for labels, weight, ignored, total in [
            (CLASSES, None, -100, 14 * ONE), (CLASSES, W3, -100, ONE), (CLASSES, W3, 1, ONE),
            (SOME, None, -100, ONE), (SOME, W3, -100, ONE), (NONE, W3, -100, 0 * ONE),
        ]
        for reduction in (1, 2)
    ] + [(EACH[:, 0], LOG_P, SOME, W3, 0, -100, ONE)],
    "nll_loss2d_backward": [
        (ONE, MAPS, PLACES, None, 1, -100, 40 * ONE), (ONE, MAPS, PLACES, W3, 1, 1, ONE),
        (ONE, MAPS, PLACES, W3, 2, -100, ONE), (random(4, 2, 5), MAPS, PLACES, W3, 0, -100, ONE),
    ],
    "multi_margin_loss": [
        (SCORES, CLASSES), (SCORES, CLASSES, {"p": 2, "margin": 0.5, "weight": W3}),
        (SCORES, CLASSES, {"reduction": "sum"}), (SCORES, CLASSES, {"reduction": "none"}),
    ],
    "multi_margin_loss_backward": [
        (ONE, SCORES, CLASSES, 1, 1.0, None), (ONE, SCORES, CLASSES, 2, 0.5, W3),
        (ONE, SCORES, CLASSES, 1, 0.5, W3, 2), (EACH[:, 0], SCORES, CLASSES, 2, 1.0, None, 0),
    ],
    "multilabel_margin_loss_forward": [(SCORES, MANY, 1), (SCORES, MANY, 2), (SCORES, MANY, 0)],
    "multilabel_margin_loss_backward": [
        (d, SCORES, MANY, reduction, IS_LABEL)
        for d, reduction in ((ONE, 1), (ONE, 2), (EACH[:, 0], 0))
    ],
    "linalg_vector_norm": [
        (X3,), (X3, 2, [1], True), (X3, 1, [1, -1]), (X3, 3.0, [0]), (X3, float("inf"), [2]),
        (X3, -float("inf"), [2]), (X3.round(), 0, [1], True),
    ],
    "weight_norm_interface": [(random(4, 3), random(4, 1)), (random(4, 3, 2), random(1, 1, 2), 2)],
    "weight_norm_interface_backward": [
        (random(4, 3), V, random(4, 1), V.norm(dim=1, keepdim=True), 0),
        (random(4, 3), V, random(1, 3), V.norm(dim=0, keepdim=True), 1),
    ],
    "embedding_renorm_": [
        (random(5, 3), integers(4, 3, 4), 1.0, 2.0), (random(5, 3), integers(4, 3, 4), 1.0, 1.0)
    ],
    "addmm": [
        (random(4), random(3, 5), random(5, 4)),
        (random(4), random(3, 5), random(5, 4), {"beta": 0.5, "alpha": 2}),
    ],
    "baddbmm": [
        (random(2, 3, 4), random(2, 3, 5), random(2, 5, 4)),
        (random(2, 3, 4), random(2, 3, 5), random(2, 5, 4), {"beta": 0.5, "alpha": 2}),
    ],
    "trilinear": [
        (random(3, 4), random(5, 4, 6), random(3, 6), [1, 3], [0], [1, 2], [2, 3]),
        (random(3, 4), random(3, 5), random(3, 6), [2, 3], [1, 3], [1, 2], [0]),
    ],
    "constant_pad_nd": [
        (X3, [1, 2]), (X3, [0, 1, 2, 0], 2.5), (X3, [-1, 2, 1, -2, -1, -1], 1.0), (X3, [0, 0, 1, 0])
    ],
    "relu_": [(X,)], "silu_": [(X,)], "mish_": [(X,)], "hardsigmoid_": [(X,)],
    "hardswish_": [(X,)], "gelu_": [(X,), (X, {"approximate": "tanh"})], "celu_": [(X, 0.5)],
    "elu_": [(X, 0.5, 1.5, 2.0)], "leaky_relu_": [(X, 0.1)], "threshold_": [(X, 0.5, 2.0)],
    "hardtanh_": [(X, 0.0, 6.0)], "rrelu_with_noise_": [(X, D, 0.125, 0.25, False)],
    "gather": [(X, 0, integers(5, 3, 12)), (X, 1, integers(12, 2, 7)), (X, -1, integers(12, 5, 1))],
    "scatter": [
        (X, 0, torch.stack([torch.randperm(5)[:3] for _ in range(7)], 1), D),
        (X, -1, torch.stack([torch.randperm(12)[:4] for _ in range(5)]), D),
        (X, 1, integers(12, 5, 3), 2.5),
    ],
    "scatter_add": [(X, 0, integers(5, 3, 7), D), (X, -1, integers(12, 5, 9), D)],
    "index_select": [(X, 0, integers(5, 7)), (X, -1, integers(12, 3))],
    "index_add": [(X, 0, integers(5, 7), random(7, 12)), (X, -1, integers(12, 3), random(5, 3))],
    "index_put": [
        (X, (torch.tensor([1, 3]),), random(2, 12)),
        (X, (None, torch.tensor([1, 3, 5])), random(5, 3)),
        (X, (integers(5, 20), integers(12, 20)), random(20), True),
    ],
    "diagonal_backward": [
        (random(2, 3), [2, 3, 4], 0, 1, 2), (random(3, 2), [2, 3, 4], 1, 0, 2),
        (random(4, 1), [2, 4, 4], -1, 0, 2),
    ],
    "diag_embed": [(random(2, 3),), (random(2, 3), 1, 0, 2), (random(2, 3), -2)],
    "unfold": [(X, 1, 3, 2), (X, 0, 2, 1), (X, -1, 5, 3)],
    "unfold_backward": [(random(5, 5, 3), [5, 12], 1, 3, 2), (random(4, 12, 2), [5, 12], 0, 2, 1)],
    "max_unpool2d": [(random(2, 3, 1, 2), torch.tensor([[[5, 0]]]).expand(2, 3, 1, 2), [2, 4])],
    "max_of": [(D,), (D, 1), (D.round(), 0, True)],
    "min_of": [(D,), (D, 1), (D.round(), 0, True)],
    "fractional_max_pool2d": [
        (random(2, 3, 7, 9), [2, 3], [3, 4], torch.rand(2, 3, 2, generator=GENERATOR).double()),
        (random(2, 3, 7, 9), [2, 2], [1, 6], torch.rand(2, 3, 2, generator=GENERATOR).double()),
    ],
    "fractional_max_pool2d_backward": [
        (random(2, 3, 2, 4), random(2, 3, 5, 6), [2, 2], [2, 4], integers(30, 2, 3, 2, 4)),
    ],
    "sort": [(D,), (D, 0), (D, 1, True)],
    "topk": [(D, 3), (D, 2, 0), (D, 2, 0, False)],
    "median": [(D, 1), (D, 0, True)],
    "cummax": [(D, 1), (D, 0), (D.round(), 1)],
    "cummin": [(D, 1), (D, 0), (D.round(), 1)],
    "logcumsumexp": [(X, 1), (X, 0)],
    "cdist_forward": [(*POINTS, p, None) for p in (1.0, 2.0, 3.0, float("inf"))],
    "cdist_backward": [
        (random(2, 4, 5), *POINTS, p, ATEN._cdist_forward(*POINTS, p, None))
        for p in (1.0, 2.0, 3.0, float("inf"))
    ],
    "linalg_cross": [(random(5, 3), random(5, 3)), (random(2, 3, 5), random(2, 3, 5), {"dim": 1})],
    "var_mean": [(X3, [1]), (X3, [1, 2], {"correction": 0, "keepdim": True})],
    "im2col": [
        (X3[0], [2, 3], [1, 1], [0, 0], [1, 1]), (X3[1], [2, 3], [2, 1], [1, 2], [2, 1]),
    ],
    "col2im": [
        (random(2, 18, 16), [5, 6], [2, 3], [1, 1], [0, 0], [1, 1]),
        (random(2, 18, 18), [5, 8], [2, 3], [2, 2], [1, 1], [2, 1]),
    ],
    "pixel_shuffle": [(random(2, 8, 3, 5), 2), (random(2, 3, 9, 3, 5), 3)],
    "pixel_unshuffle": [(random(2, 2, 4, 6), 2), (random(2, 3, 2, 6, 9), 3)],
    "channel_shuffle": [(random(2, 6, 3), 2), (random(2, 6, 3, 4), 3)],
    "select_scatter": [(random(3, 4, 5), random(3, 5), 1, -1), (random(3, 4), random(4), 0, 2)],
    "slice_scatter": [
        (random(3, 6, 2), random(3, 2, 2), 1, 1, 6, 3), (random(3, 4), random(2, 4), 0, 1, 3),
        (random(3, 4), random(3, 4), 0, 0, 2**63 - 1),
    ],
}  # fmt: skip
TABLE = [(name, case) for name, cases in CASES.items() for case in cases]


@pytest.mark.parametrize(("name", "case"), TABLE, ids=[name for name, _ in TABLE])
def test_it_is_torchs(name: str, case: tuple[Any, ...]) -> None:
    kwargs = case[-1] if isinstance(case[-1], dict) else {}
    check(name, *case[: len(case) - bool(kwargs)], **kwargs)


# ---- convolution: any sizes


@st.composite
def convolutions(draw: st.DrawFn) -> dict[str, Any]:
    """A convolution's shapes and options."""
    rank = draw(st.integers(1, 3))
    each = [st.integers(1, 3), st.integers(0, 2), st.integers(1, 2)]
    stride, padding, dilation = (
        draw(st.one_of(one, st.tuples(*[one] * rank))) if rank > 1 else draw(one) for one in each
    )
    return {
        "rank": rank,
        "size": draw(st.tuples(*[st.integers(1, 3)] * rank)),
        "area": draw(st.tuples(*[st.integers(5, 7 if rank < 3 else 6)] * rank)),
        "channels": draw(st.tuples(st.integers(1, 2), st.integers(1, 3))),
        "n": draw(st.integers(1, 3)),
        "bias": draw(st.booleans()),
        "wanted": draw(st.booleans()),
        "options": {
            "stride": stride,
            "padding": padding,
            "dilation": dilation,
            "groups": draw(st.integers(1, 3)),
        },
    }


@no_hurry
@given(convolutions())
def test_a_convolution_is_torchs(drawn: dict[str, Any]) -> None:
    GENERATOR.manual_seed(18)
    c, o = drawn["channels"]
    options = drawn["options"]
    groups = options["groups"]
    x = random(drawn["n"], c * groups, *drawn["area"])
    W = random(o * groups, c, *drawn["size"])
    b = random(o * groups) if drawn["bias"] else None
    y = check(f"conv{drawn['rank']}d", x, W, b, **options)
    wanted = (drawn["wanted"], True, True)
    check("convolution_backward", random(*y.shape), x, W, **options, wanted=wanted)


@no_hurry
@given(convolutions(), st.integers(0, 2))
def test_a_transposed_convolution_is_torchs(drawn: dict[str, Any], more: int) -> None:
    GENERATOR.manual_seed(18)
    c, o = drawn["channels"]
    rank, options = drawn["rank"], drawn["options"]
    groups = options["groups"]
    least = [
        max(
            np.broadcast_to(options["stride"], rank)[i],
            np.broadcast_to(options["dilation"], rank)[i],
        )
        for i in range(rank)
    ]
    output_padding = tuple(min(more, int(n) - 1) for n in least)
    if output_padding == (0,) * rank:
        output_padding = 0
    options = {**options, "output_padding": output_padding}
    x = random(drawn["n"], c * groups, *drawn["area"])
    W = random(c * groups, o, *drawn["size"])
    b = random(o * groups) if drawn["bias"] else None
    y = check(f"conv_transpose{drawn['rank']}d", x, W, b, **options)
    wanted = (drawn["wanted"], True, True)
    check("convolution_backward", random(*y.shape), x, W, **options, transposed=True, wanted=wanted)


@pytest.mark.parametrize("rank", [1, 2, 3])
def test_what_is_not_said_of_a_convolution_is_as_in_torch(rank: int) -> None:
    x, W = random(2, 3, *(5, 6, 7)[:rank]), random(3, 3, *(2, 3, 2)[:rank])
    y = check(f"conv{rank}d", x, W)
    check("convolution_backward", random(*y.shape), x, W)
    y = check(f"conv_transpose{rank}d", x, W)
    check("convolution_backward", random(*y.shape), x, W, transposed=True)


# ---- pools


@st.composite
def pools(draw: st.DrawFn) -> tuple[tuple[int, ...], tuple[Any, ...], dict[str, Any]]:
    """An image's shape, a window's size, and the options of both pools."""
    shape = (draw(st.integers(1, 2)), 2, *draw(st.tuples(*[st.integers(4, 8)] * 2)))
    size = draw(st.tuples(*[st.integers(1, 4)] * 2))
    stride = draw(st.one_of(st.none(), st.tuples(*[st.integers(1, 4)] * 2)))
    padding = tuple(draw(st.integers(0, length // 2)) for length in size)
    return shape, size, {"stride": stride, "padding": padding, "ceil_mode": draw(st.booleans())}


@no_hurry
@given(pools(), st.integers(1, 2), st.booleans())
def test_a_max_pool_is_torchs(drawn: Any, dilation: int, same: bool) -> None:
    GENERATOR.manual_seed(18)
    shape, size, options = drawn
    assume(all(dilation * (s - 1) < n for s, n in zip(size, shape[2:], strict=True)))
    x = random(*shape)
    if same:  # numbers that are equal: the first one counts
        x = x.round()
    options["dilation"] = dilation
    check("max_pool2d", x, size, **options)
    y, places = check("max_pool2d", x, size, **options, return_indices=True)
    check("max_pool2d_backward", random(*y.shape), x, places, size, **options)


@no_hurry
@given(pools(), st.booleans(), st.one_of(st.none(), st.integers(1, 5)))
def test_an_average_pool_is_torchs(drawn: Any, with_padding: bool, divisor: int | None) -> None:
    GENERATOR.manual_seed(18)
    shape, size, options = drawn
    x = random(*shape)
    options |= {"count_include_pad": with_padding, "divisor_override": divisor}
    y = check("avg_pool2d", x, size, **options)
    given = [list(options["stride"] or []), list(options["padding"]), *[*options.values()][2:]]
    check("avg_pool2d_backward", random(*y.shape), x, list(size), *given)


def test_what_is_not_said_of_a_pool_is_as_in_torch() -> None:
    x = random(2, 3, 7, 9)  # the last window would go beyond
    y, places = check("max_pool2d", x, 2, return_indices=True)
    check("max_pool2d_backward", random(*y.shape), x, places, 2)
    check("avg_pool2d", x, 3)
    check("avg_pool3d", X3, 2)
    check("max_pool3d_with_indices", X3, [2, 2, 2])


def test_pools_with_three_axes_are_torchs() -> None:
    for options in ([[2, 2, 2], [1, 2, 2]], [[3, 2, 1], [2, 1, 2], [1, 1, 0]]):
        y, places = check("max_pool3d_with_indices", X3, *options)
        full = [*options, [0, 0, 0], [1, 1, 1], False] if len(options) == 2 else [
            *options, [1, 1, 1], False]  # fmt: skip
        check("max_pool3d_with_indices_backward", random(*y.shape), X3, *full, places)
        y = check("avg_pool3d", X3, *options)
        full = [*full[:3], False, True, None]
        check("avg_pool3d_backward", random(*y.shape), X3, *full)


@pytest.mark.parametrize("size", [1, (1, 2), (3, 4), (7, 3), (5, 2)])
def test_an_adaptive_average_pool_is_torchs(size: Any) -> None:
    x = random(2, 3, 5, 7)
    y = check("adaptive_avg_pool2d", x, size)
    check("adaptive_avg_pool2d_backward", random(*y.shape), x)


@pytest.mark.parametrize("size", [1, (1, 2), (3, 4), (7, 3), (5, 2)])
def test_an_adaptive_max_pool_is_torchs(size: Any) -> None:
    x = random(2, 3, 5, 7)
    aten_size = [size] * 2 if isinstance(size, int) else [*size]
    y, places = check("adaptive_max_pool2d", x, aten_size)
    check("adaptive_max_pool2d_backward", random(*y.shape), x, places)


def test_adaptive_pools_with_three_axes_are_torchs() -> None:
    y, places = check("adaptive_max_pool3d", X3, [2, 4, 3])
    check("adaptive_max_pool3d_backward", random(*y.shape), X3, places)
    y = check("adaptive_avg_pool3d", X3, [2, 4, 3])
    check("adaptive_avg_pool3d_backward", random(*y.shape), X3)


# ---- padding and other sizes


@pytest.mark.parametrize("kind", ["reflection", "replication"])
@pytest.mark.parametrize("rank", [1, 2, 3])
@pytest.mark.parametrize("pad", [[1, 1, 1, 1, 1, 1], [2, 0, 1, 3, 0, 2]])
def test_padding_is_torchs(kind: str, rank: int, pad: list[int]) -> None:
    x = random(2, 3, *(5, 6, 7)[:rank])
    y = check(f"{kind}_pad{rank}d", x, pad[: 2 * rank])
    check(f"{kind}_pad{rank}d_backward", random(*y.shape), x, pad[: 2 * rank])


RESIZED = [
    (f"upsample_{kind}{rank}d", rank, how)
    for rank, kinds in enumerate([("linear",), ("bilinear", "bicubic"), ("trilinear",)], start=1)
    for kind in ("nearest", "nearest_exact", *kinds)
    for how in ([()] if "nearest" in kind else [(True,), (False,)])
]


@pytest.mark.parametrize(("name", "rank", "how"), RESIZED)
@pytest.mark.parametrize("scale", [2.0, 3.0, 1.5, 0.6, 2.7, None])
def test_another_size_is_torchs(name: str, rank: int, how: Any, scale: float | None) -> None:
    x = random(2, 3, *(4, 5, 6)[:rank])
    size = [int(n * (scale or 1)) + (scale is None) * 3 for n in x.shape[2:]]
    scales = () if scale is None else (scale,) * rank
    y = check(name, x, size, *how, *scales)
    check(f"{name}_backward", random(*y.shape), size, [*x.shape], *how, *scales)


@pytest.mark.parametrize("mode", [0, 1])
@pytest.mark.parametrize("padding", [0, 1, 2])
@pytest.mark.parametrize("aligned", [True, False])
def test_sampling_is_torchs(mode: int, padding: int, aligned: bool) -> None:
    x, grid = random(2, 3, 4, 5), random(2, 6, 7, 2) * 1.5
    y = check("grid_sampler_2d", x, grid, mode, padding, aligned)
    how = (mode, padding, aligned, [True, True])
    check("grid_sampler_2d_backward", random(*y.shape), x, grid, *how)
    grid = check("affine_grid_generator", random(2, 2, 3), [2, 3, 4, 5], aligned)
    check("affine_grid_generator_backward", random(*grid.shape), [2, 3, 4, 5], aligned)


def test_bicubic_sampling_is_refused() -> None:
    with pytest.raises(ValueError, match="mode=2; expected 0"):
        arrays.grid_sampler_2d(np.ones((1, 1, 2, 2)), np.zeros((1, 1, 1, 2)), 2, 0, False)


# ---- bags and words

WORDS, OFFSETS = integers(5, 9), torch.tensor([0, 2, 2, 5])


@pytest.mark.parametrize("mode", [0, 1, 2])
@pytest.mark.parametrize("padding", [-1, 1])
@pytest.mark.parametrize("weighted", [True, False])
@pytest.mark.parametrize("last", [True, False])
def test_embedding_bag_is_torchs(mode: int, padding: int, weighted: bool, last: bool) -> None:
    weights = random(9) if weighted and mode == 0 else None
    offsets = torch.cat([OFFSETS, torch.tensor([9])]) if last else OFFSETS
    how = (WORDS, offsets, False, mode, False, weights, last, padding)
    _, *more = torchs("embedding_bag")(W := random(5, 3), *how)
    check("embedding_bag", W, *how, parts=1)
    _, *ours = arrays.embedding_bag(*map(in_numpy, (W, *how)))
    d = random(4, 3)
    how = (5, False, mode, False, weights, padding)
    expected = torchs("embedding_bag_backward")(d, WORDS, offsets, *more, *how)
    found = arrays.embedding_bag_backward(*map(in_numpy, (d, WORDS, offsets, *ours, *how)))
    np.testing.assert_allclose(found, expected, rtol=1e-12)


@pytest.mark.parametrize("blank", [0, 2])
@pytest.mark.parametrize("rows", [True, False])
@pytest.mark.parametrize("as_tensors", [True, False])
def test_ctc_is_torchs(blank: int, rows: bool, as_tensors: bool) -> None:
    log_p = random(7, 5, 4).log_softmax(2)
    y = torch.tensor([[1, 1, 3], [1, 3, 1], [3, 1, 0], [1, 0, 0], [3, 3, 3]])
    steps, letters = torch.tensor([7, 5, 7, 6, 4]), torch.tensor([3, 3, 2, 0, 3])
    if not rows:
        y = torch.cat([row[:n] for row, n in zip(y, letters, strict=True)])
    lengths = (steps, letters) if as_tensors else (steps.tolist(), letters.tolist())
    losses, alpha = check("ctc_loss", log_p, y, *lengths, blank, False, parts=1)
    assert losses.isinf().sum() == 1  # four steps are too few for a word that needs five
    _, ours = arrays.ctc_loss(*map(in_numpy, (log_p, y, *lengths)), blank)
    given = log_p, y, *lengths, losses
    for zero in (True, False):
        d = random(5)
        expected = torchs("ctc_loss_backward")(d, *given, alpha, blank, zero)
        found = arrays.ctc_loss_backward(*map(in_numpy, (d, *given)), ours, blank, zero)
        some = slice(None) if zero else losses.isfinite().numpy()  # of the other it is nan
        np.testing.assert_allclose(found[:, some], expected[:, some], rtol=1e-11, atol=1e-13)


# ---- normalization


@pytest.mark.parametrize("shape", [(6, 3), (4, 3, 5), (4, 3, 2, 5), (1, 3, 2, 5)])
@pytest.mark.parametrize("affine", [True, False])
@pytest.mark.parametrize("running", [True, False])
def test_batch_norm_is_torchs(shape: tuple[int, ...], affine: bool, running: bool) -> None:
    x, d = random(*shape) * 3 + 1, random(*shape)
    W, b = (random(3), random(3)) if affine else (None, None)
    stats = (random(3), random(3).abs()) if running else (None, None)
    _, mean, rstd = check("native_batch_norm", x, W, b, *stats, True, 0.1, 1e-3)
    wanted = (True, affine, affine)
    check("batch_norm_backward", d, x, W, mean, rstd, 1e-3, wanted=wanted)
    if running:
        check("native_batch_norm", x, W, b, *stats, False, 0.1, 1e-3, parts=1)
        check("batch_norm_backward", d, x, W, mean, rstd, 1e-3, running=stats, wanted=wanted)
        before = stats[0].clone()
        theirs = [part.clone() for part in stats]
        ours = [in_numpy(part) for part in stats]
        torch.native_batch_norm(x, W, b, *theirs, True, 0.3, 1e-5)
        arrays.native_batch_norm(*map(in_numpy, (x, W, b)), *ours, True, 0.3, 1e-5)
        assert not torch.equal(theirs[0], before)
        for one, other in zip(ours, theirs, strict=True):  # changed in place
            np.testing.assert_allclose(one, other, rtol=1e-12)


@pytest.mark.parametrize("shape", [(6, 3), (4, 2, 5), (4, 5, 2, 3)])
@pytest.mark.parametrize("last", [1, 2])
@pytest.mark.parametrize("affine", ["W, b", "W", ""])
def test_layer_norm_is_torchs(shape: tuple[int, ...], last: int, affine: str) -> None:
    x, d = random(*shape) * 3 + 1, random(*shape)
    of = list(shape[-last:])
    W, b = (random(*of) if name in affine else None for name in "Wb")
    _, mean, rstd = check("native_layer_norm", x, of, W, b, 1e-3)
    wanted = (True, W is not None, b is not None)
    check("layer_norm_backward", d, x, mean, rstd, W, b, wanted=wanted, shape=of)
    if W is not None:
        check("layer_norm_backward", d, x, mean, rstd, W, b, wanted=wanted)


@pytest.mark.parametrize("shape", [(6, 4), (4, 4, 5), (2, 4, 3, 5)])
@pytest.mark.parametrize("groups", [1, 2, 4])
@pytest.mark.parametrize("affine", [True, False])
def test_group_norm_is_torchs(shape: tuple[int, ...], groups: int, affine: bool) -> None:
    x, d = random(*shape) * 3 + 1, random(*shape)
    W, b = (random(4), random(4)) if affine else (None, None)
    sizes = (shape[0], 4, int(np.prod(shape[2:])), groups)
    _, mean, rstd = check("native_group_norm", x, W, b, *sizes, 1e-3)
    check("group_norm_backward", d, x, mean, rstd, W, *sizes, [True, affine, affine])


# ---- attention


@pytest.mark.parametrize(
    ("how", "more"),
    [
        ((), {}),
        ((0.0, True), {}),
        ((0.0, False), {"scale": 0.3}),
        ((0.0, False), {"attn_mask": MASK}),
        ((0.0, False), {"attn_mask": random(2, 3, 5, 5)}),
    ],
)
def test_attention_is_torchs(how: tuple[Any, ...], more: dict[str, Any]) -> None:
    q, k, v = (random(2, 3, 5, 4) for _ in range(3))
    y, sums = check("attention", q, k, v, *how, **more)
    how = how or (0.0, False)
    check("attention_backward", random(*y.shape), q, k, v, y, sums, *how, **more)


# ---- that nothing is left out

HERE = inspect.getsource(inspect.getmodule(in_numpy))  # type: ignore[arg-type]


def test_every_operation_is_tried() -> None:
    operations = {name for name in FUNCTIONS if torchs(name)}
    assert len(operations) > 80
    tried = {*CASES, *re.findall(r'"(\w+)"', HERE)}
    for n in (1, 2, 3):
        pads = [f"{kind}_pad{n}d" for kind in ("reflection", "replication")]
        tried |= {f"conv{n}d", f"conv_transpose{n}d", *pads, *(f"{pad}_backward" for pad in pads)}
    tried |= {f"{name}{way}" for name, *_ in RESIZED for way in ("", "_backward")}
    assert operations - tried == set()


@pytest.mark.parametrize("name", FUNCTIONS)
def test_it_can_be_copied_into_a_script(name: str) -> None:
    """It names numpy, math, other functions, and numbers or strings of its file."""
    source = inspect.getsource(FUNCTIONS[name])
    assert source.startswith(f"def {name}(")
    nodes = [*ast.walk(ast.parse(source))]
    own = {node.arg for node in nodes if isinstance(node, ast.arg)}
    named = [node for node in nodes if isinstance(node, ast.Name)]
    own |= {node.id for node in named if isinstance(node.ctx, ast.Store)}
    for other in {node.id for node in named} - own - {*dir(builtins)}:
        value = FUNCTIONS[name].__globals__[other]
        assert (
            value in (np, math) or FUNCTIONS.get(other) is value or isinstance(value, str | float)
        )


def test_what_is_no_operation_of_torch_is_part_of_one() -> None:
    sources = {name: inspect.getsource(function) for name, function in FUNCTIONS.items()}
    for name in FUNCTIONS:
        others = " ".join(source for other, source in sources.items() if other != name)
        assert torchs(name) or re.search(rf"\b{name}\b", others)
