"""The exercises of lesson 13: gradients by hand, and the rule of an optimizer."""

import io
from collections.abc import Callable, Mapping, Sequence
from contextlib import redirect_stdout
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import TensorDataset

from tutorial.course.exercises.compare import alike, near
from tutorial.course.exercises.registry import Findings, exercise
from tutorial.course.exercises.verdict import Right, Wrong
from tutorial.model import Model


@exercise(
    "linear_backward",
    forbids=("Tensor.backward", "grad"),
    question="Which shapes have `d_x`, `d_W` and `d_b`, and which products of `d_y`, `x` and `W` "
    "have the same shapes?",
    nudge="Each gradient has the shape of what it belongs to. For one of them (n, outputs) "
    "meets (outputs, inputs). The next needs a transpose, so that the n samples are "
    "summed over. The bias was added to each row: what is the sum for it?",
)
def linear_backward(answer: Any) -> Findings:
    """What a linear layer hands down, and what it keeps for the optimizer."""
    for n, inputs, outputs in ((1, 3, 2), (5, 4, 3), (6, 6, 6)):
        case = f"{n} sample{'s' if n > 1 else ''}, {inputs} inputs, {outputs} outputs"
        x, W, b = torch.randn(n, inputs), torch.randn(outputs, inputs), torch.randn(outputs)
        d_y = torch.randn(n, outputs)
        right = by_autograd(lambda x, W, b: x @ W.T + b, d_y, x, W, b)
        expected = dict(zip(("d_x", "d_W", "d_b"), right, strict=True))
        others: dict[str, dict[str, Tensor]] = {
            "d_x": {},
            "d_W": {
                "it is divided by the number of samples: the mean is in d_y already": right[1] / n,
            },
            "d_b": {
                "it is the mean over the samples, but they add up: the mean is in d_y already": (
                    right[2] / n
                ),
            },
        }
        if n == inputs == outputs:  # here wrong products have the right shape, too
            others["d_x"] = {"the shape fits here, but W maps inputs to outputs": d_y @ W.T}
            others["d_W"] |= {
                "that is its transpose: rows of W are outputs": right[1].T,
                "the sum must go over the samples: which factor is to be transposed?": d_y @ x,
            }
            others["d_b"] = {"the sum must go over the samples, not the outputs": d_y.sum(1)}
        fault = first_fault(answer(d_y.clone(), x.clone(), W.clone()), expected, others)
        if fault:
            yield Wrong(f"{case}: {fault}")
        yield Right(f"{case}: as autograd finds them")
    text = values_of_the_text()
    expected = {name: text[name] for name in ("d_x_2", "d_W_3", "d_b_3")}
    fault = first_fault(answer(text["d_y_hat"], text["x_2"], text["W_3"]), expected, {})
    if fault:
        yield Wrong(f"in the text of depth 'gradients': {fault}")
    yield Right("in the text of depth 'gradients', in the place of its lines: the same")


@exercise(
    "relu_backward",
    question="If `x` grows by a little, how much does the output grow: where `x` is positive, and "
    "where it is not?",
    nudge="`d_x` is `d_y` times that slope. `torch.where` chooses between two tensors, place "
    "by place, and changes neither.",
)
def relu_backward(answer: Any) -> Findings:
    """What goes back through ReLU and LeakyReLU."""
    x = torch.tensor([[-2.0, -0.5, 0.0, 0.5], [3.0, -1.0, 1.0, -4.0]])
    d_y = torch.tensor([[1.0, -2.0, 3.0, -4.0], [-5.0, 6.0, 7.0, -8.0]])
    for slope, layer in ((0.0, "ReLU"), (0.1, "LeakyReLU(0.1)")):
        (right,) = by_autograd(lambda x, slope=slope: F.leaky_relu(x, slope), d_y, x)
        given = d_y.clone()
        yours = answer(given, x.clone()) if slope == 0 else answer(given, x.clone(), slope)
        others = {
            "that is what forward gives": F.leaky_relu(x, slope),
            "forward is multiplied with d_y; by how much does y grow if x grows?": (
                d_y * F.leaky_relu(x, slope)
            ),
            "where is it cut: by the sign of x, or by that of d_y?": torch.where(
                d_y > 0, d_y, slope * d_y
            ),
            "everything goes through; what of the negative inputs?": d_y,
            "the other way round: it is open where x is positive": torch.where(
                x > 0, slope * d_y, d_y
            ),
            "it is right but for an input of exactly 0: PyTorch takes the slope": torch.where(
                x >= 0, d_y, slope * d_y
            ),
            "that is the slope of the line alone; d_y comes from the layer above": torch.where(
                x > 0, 1.0, slope
            ),
            "that is ReLU's; what part goes through where x is negative?": torch.where(
                x > 0, d_y, 0.0
            ),
            "where x is negative, the slope multiplies d_y, it is not the gradient": torch.where(
                x > 0, d_y, slope
            ),
        }
        fault = fault_of("d_x", yours, right, others)
        if fault:
            yield Wrong(f"{layer}: {fault}")
        if not torch.equal(given, d_y):
            yield Wrong(f"{layer}: right, but d_y itself was changed; return a new tensor")
        yield Right(f"{layer}: as autograd finds it")
    text = values_of_the_text()
    fault = fault_of("d_x_1", answer(text["d_x_2"], text["x_1"]), text["d_x_1"], {})
    if fault:
        yield Wrong(f"in the text of depth 'gradients': {fault}")
    yield Right("in the text of depth 'gradients', in the place of its line: the same")


@exercise(
    "momentum_loop",
    question="Which line of the source moves the weight, and what must stand before it now?",
    nudge="`source.replace(old, new)` puts several lines in the place of one. Each needs the "
    "same indentation. A dict's `setdefault` gives what is there, or puts the start "
    "there: zeros in the shape of the weight. Then shrink, add the gradient, move.",
)
def momentum_loop(answer: Any) -> Findings:
    """A loop of plain SGD, changed into one with momentum."""
    source = plain_sgd().unroll("fit", few_samples(), epochs=2, depth="optimizer").source
    changed = answer(source)
    if not isinstance(changed, str):
        yield Wrong(f"it returns {changed!r:.40}, but the changed source is expected: a string")
    if changed == source:
        yield Wrong("the source is not changed: does the text that you replace stand in it?")
    try:
        compile(changed, "<your loop>", "exec")
    except SyntaxError as error:
        yield Wrong(
            f"line {error.lineno} of your loop is no Python: {(error.text or '').strip()!r} "
            f"({error.msg}); a new line needs the indentation of the one before"
        )
    yield Right("a loop that Python reads")
    try:
        yours = losses_of(changed)
    except Exception as error:
        yield Wrong(f"fit cannot run your loop: {type(error).__name__}: {error}")
    right = losses_by_rule(lambda velocity, gradient: 0.9 * velocity + gradient)
    causes = {
        "that is SGD without momentum: does the velocity stay until the next step?": (
            losses_by_rule(lambda velocity, gradient: gradient)
        ),
        "the new gradient counts in full, not only by 1 - 0.9": losses_by_rule(
            lambda velocity, gradient: 0.9 * velocity + 0.1 * gradient
        ),
        "the velocity does not fade: multiply it by 0.9": losses_by_rule(
            lambda velocity, gradient: velocity + gradient
        ),
        "the velocity is multiplied by 0.9, and the new gradient, too": losses_by_rule(
            lambda velocity, gradient: 0.9 * (velocity + gradient)
        ),
        "the weights move up, not down": losses_by_rule(
            lambda velocity, gradient: 0.9 * velocity + gradient, lr=-0.1
        ),
        "the step is ten times too long: where is 0.1?": losses_by_rule(
            lambda velocity, gradient: 0.9 * velocity + gradient, lr=1.0
        ),
        "the weights do not move any more": losses_by_rule(lambda v, g: 0 * g),
    }
    if len(yours) != len(right):
        yield Wrong(f"it has the losses of {len(yours)} steps, but there are {len(right)}")
    step = next((i for i, pair in enumerate(zip(yours, right, strict=True)) if not near(*pair)), -1)
    if step >= 0:
        same = [text for text, other in causes.items() if all(map(near, yours, other))]
        cause = f": {same[0]}" if same else f": it is {yours[step]:.4f}, not {right[step]:.4f}"
        yield Wrong(f"step {step + 1}: the loss is not that of SGD with momentum 0.9{cause}")
    yield Right(f"{len(right)} steps: the losses of SGD with momentum 0.9")


@exercise(
    "cross_entropy_backward",
    question="In lesson 4 you computed the gradient of the last bias. What was it for one row, "
    "before the mean?",
    nudge="The probabilities, minus 1 at the label; `F.one_hot` marks the labels. The loss is "
    "a mean over the samples, so its gradient is divided by their number.",
)
def cross_entropy_backward(answer: Any) -> Findings:
    """The gradient with which backward begins."""
    for n, classes in ((1, 3), (4, 3), (64, 10)):
        case = f"{n} sample{'s' if n > 1 else ''} of {classes} classes"
        y_hat, y = torch.randn(n, classes), torch.randint(classes, (n,))
        (right,) = by_autograd(lambda y_hat, y=y: F.cross_entropy(y_hat, y), torch.tensor(1), y_hat)
        p, wanted = y_hat.softmax(dim=1), F.one_hot(y, classes)
        others = {
            "the sign is the other one: does the loss grow or fall with the right score?": -right,
            "it is that of the sum over the samples, but the loss is their mean": n * right,
            "these are the probabilities; what part have the labels?": p / n,
            "these are the probabilities; what part have the labels, and the mean?": p,
            "it is divided by the number of classes, not of samples": n * right / classes,
            "are these scores? softmax makes probabilities": (y_hat - wanted) / n,
            "the probabilities of an image sum to 1: softmax goes along its row": (
                (y_hat.softmax(dim=0) - wanted) / n
            ),
        }
        fault = fault_of("d_y_hat", answer(y_hat.clone(), y), right, others)
        if fault:
            yield Wrong(f"{case}: {fault}")
        yield Right(f"{case}: as autograd finds it")
    large = torch.tensor([[1000.0, 0.0], [0.0, -1000.0]])
    (right,) = by_autograd(
        lambda large: F.cross_entropy(large, torch.tensor([1, 0])), torch.tensor(1), large
    )
    fault = fault_of("d_y_hat", answer(large.clone(), torch.tensor([1, 0])), right, {})
    if fault:
        yield Wrong(f"scores of 1,000: {fault}")
    yield Right("scores of 1,000: no overflow")
    text = values_of_the_text()
    fault = fault_of("d_y_hat", answer(text["y_hat"], text["y"]), text["d_y_hat"], {})
    if fault:
        yield Wrong(f"in the text of depth 'gradients': {fault}")
    yield Right("in the text of depth 'gradients', in the place of its lines: the same")


# ---- what is wrong with a gradient


def first_fault(
    yours: Any, expected: Mapping[str, Tensor], others: Mapping[str, Mapping[str, Tensor]]
) -> str:
    """What is wrong with the first of several gradients that is not right; nothing if all are."""
    names = ", ".join(expected)
    if not isinstance(yours, tuple | list) or len(yours) != len(expected):
        what = f"{len(yours)} values" if isinstance(yours, tuple | list) else f"{yours!r:.40}"
        return f"it returns {what}, but {len(expected)} gradients are expected: {names}"
    found = dict(zip(expected, yours, strict=True))
    faults = (fault_of(name, found[name], expected[name], others.get(name, {})) for name in found)
    return next(filter(None, faults), "")


def fault_of(name: str, yours: Any, right: Tensor, others: Mapping[str, Tensor]) -> str:
    """What is wrong with a gradient, and why, if it is one of the other tensors."""
    if not isinstance(yours, Tensor):
        return f"{name} is {yours!r:.40}, but a tensor is expected"
    if yours.shape != right.shape:
        return (
            f"{name} has shape {tuple(yours.shape)}, but a gradient has the shape of its thing, "
            f"{tuple(right.shape)}"
        )
    if yours.isnan().any() or yours.isinf().any():
        return f"{name} has nan or infinite numbers: is it an overflow of exp?"
    if alike(yours, right):
        return ""
    cause = next((text for text, other in others.items() if alike(yours, other)), "")
    return f"{name} is not what autograd finds" + (f": {cause}" if cause else "")


# ---- what is right, and what it runs on


def by_autograd(function: Callable[..., Tensor], d_y: Tensor, *given: Tensor) -> Sequence[Tensor]:
    """The gradients of what is given, if the gradient of the function's value is d_y."""
    leaves = [tensor.clone().requires_grad_() for tensor in given]
    return torch.autograd.grad(function(*leaves), leaves, d_y.to(torch.float32))


def values_of_the_text() -> dict[str, Any]:
    """What the names in a text of depth "gradients" stand for, once its backward pass is done."""
    network = nn.Sequential(nn.Flatten(), nn.Linear(12, 7), nn.ReLU(), nn.Linear(7, 4))
    model = Model(network)
    model.prepare(torch.optim.SGD(model.parameters(), lr=0.1), nn.CrossEntropyLoss())
    x, y = torch.randn(9, 3, 4), torch.randint(4, (9,))
    program = model.unroll("train_batch", x, y, depth="gradients")
    passes, _, _ = program.source.partition("for weight, gradient in")  # without the step
    names = {"torch": torch, **program.tools, **program.names}
    exec(passes, names)
    return names


def few_samples() -> TensorDataset:
    """150 samples in three classes: three batches, the last one short."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(150, 6, generator=generator)
    return TensorDataset(x, torch.randint(3, (150,), generator=generator))


def plain_sgd() -> Model:
    """A model with plain SGD, the same each time."""
    torch.manual_seed(2)
    model = Model(nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 3)))
    model.prepare(torch.optim.SGD(model.parameters(), lr=0.1), nn.CrossEntropyLoss())
    return model


def losses_of(loop: Any) -> list[float]:
    """The losses of each step, trained by this loop."""
    with redirect_stdout(io.StringIO()):
        return plain_sgd().fit(few_samples(), epochs=2, loop=loop, verbose=0).step_losses


def losses_by_rule(rule: Callable[[Tensor, Tensor], Tensor], lr: float = 0.1) -> list[float]:
    """The same, where this rule makes the next velocity of the last one and the gradient."""
    velocities: dict[Tensor, Tensor] = {}

    def update(optimizer: torch.optim.Optimizer, *_: Any) -> None:
        for weight in optimizer.param_groups[0]["params"]:
            velocities[weight] = rule(velocities.get(weight, 0 * weight.grad), weight.grad)
            weight.grad = velocities[weight] * lr / 0.1

    model = plain_sgd()
    assert model.optimizer is not None
    model.optimizer.register_step_pre_hook(update)
    return model.fit(few_samples(), epochs=2, verbose=0).step_losses
