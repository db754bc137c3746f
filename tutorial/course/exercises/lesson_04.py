"""The exercises of lesson 4: the training loop, line by line."""

from typing import Any

import torch
from torch import nn

from tutorial.course.exercises.compare import alike, group_cause
from tutorial.course.exercises.record import record
from tutorial.course.exercises.registry import Findings, exercise
from tutorial.course.exercises.verdict import Right, Wrong


@exercise(
    "bias_gradient",
    forbids=("Tensor.backward", "grad"),
    question="Take one image and three classes, the second of which is its label. What are the "
    "three numbers of its gradient?",
    nudge="Begin with the probabilities, a row for each image. In each row, subtract 1 in the "
    "column of its label: index with the numbers of the rows and with the labels "
    "together. Then average over the batch.",
)
def bias_gradient(answer: Any) -> Findings:
    """The gradient of cross-entropy for the last bias, without a backward pass."""
    for samples, classes in ((1, 3), (4, 3), (64, 10)):
        case = f"{samples} sample{'s' if samples > 1 else ''} of {classes} classes"
        y_hat, y = torch.randn(samples, classes), torch.randint(classes, (samples,))
        yours = answer(y_hat, y)
        if not isinstance(yours, torch.Tensor):
            yield Wrong(f"{case}: it returns {yours!r:.40}, but a tensor is expected")
        expected = gradient_by_backward(y_hat, y)
        if yours.shape != expected.shape:
            hint = ": the loss is a mean over them" if yours.shape == y_hat.shape else ""
            yield Wrong(
                f"{case}: the shape is {tuple(yours.shape)}, but there is one bias for each class, "
                f"for all samples together, so {tuple(expected.shape)}{hint}"
            )
        if not alike(yours, expected):
            probability = y_hat.softmax(dim=1)
            causes = {
                "the sign is the other one: does the loss grow or fall?": -expected,
                "it is the sum over the samples, but the loss is their mean": samples * expected,
                "these are mean probabilities; what part have the labels?": probability.mean(0),
                "are these scores? softmax makes probabilities": expected
                - probability.mean(0)
                + y_hat.mean(0),
            }
            cause = next((text for text, other in causes.items() if alike(yours, other)), "")
            yield Wrong(f"{case}: not what backward finds" + (f": {cause}" if cause else ""))
        yield Right(f"{case}: as backward finds it")


@exercise(
    "accumulated_step",
    question="Two parts have 7 and 3 samples. How must their mean losses be weighted so that the "
    "sum is the mean over all 10?",
    nudge="The weight of a part is its samples divided by all samples, so count these first. "
    "Gradients add up from one `backward` to the next. Step once, after the last part, "
    "and leave nothing behind.",
)
def accumulated_step(answer: Any) -> Findings:
    """One step for several small batches, as if they were one large one."""
    x, y = torch.randn(38, 8), torch.randint(3, (38,))
    sizes = (16, 16, 6)
    parts = [(x[a:b], y[a:b]) for a, b in ((0, 16), (16, 32), (32, 38))]
    network, optimizer = small_network()
    yours = record(
        lambda n, f, o: answer(n, f, o, parts), network, nn.CrossEntropyLoss(), optimizer
    )
    large = small_network()
    right = record(
        lambda n, f, o: one_step(n, f, o, x, y), large[0], nn.CrossEntropyLoss(), large[1]
    )
    if sorted(yours.sizes) != sorted(sizes):
        yield Wrong(
            f"the network gets batches of {yours.sizes or 'nothing'}, but each part of "
            f"{list(sizes)} once is expected: the whole is too large for the memory"
        )
    yield Right("each part goes through the network once")
    updates = sum(step.updates for step in yours.steps)
    if updates != 1:
        yield Wrong(f"optimizer.step() is called {updates} times; all parts share one step")
    yield Right("one step")
    gradient, expected = yours.steps[-1].gradient, right.steps[0].gradient
    if gradient is None:
        yield Wrong("there is no gradient when the step is made: is it cleared too early?")
    assert gradient is not None and expected is not None
    if not alike(gradient, expected):
        each = [gradient_of(small_network()[0], part) for part in parts]
        cause = group_cause(gradient, each, sizes)
        yield Wrong("the gradient is not that of the large batch" + (f": {cause}" if cause else ""))
    yield Right("the gradient of the large batch")
    if not alike(yours.steps[-1].after, right.steps[0].after):
        yield Wrong("the gradient is right, but the weights are not: does anything move them?")
    if any(weight.grad is not None and weight.grad.any() for weight in network.parameters()):
        yield Wrong("the gradients are still there afterwards, for the next step to be added to")
    yield Right("the weights, and no gradient left behind")


@exercise(
    "momentum_step",
    question="Which changes first, the velocity or the weight? And which of the two does the "
    "gradient move?",
    nudge="First the velocity: shrink it, then add the gradient, both in place. Then the "
    "weight, against its velocity. `zip` goes through both lists together, and autograd "
    "must not record any of it.",
)
def momentum_step(answer: Any) -> Findings:
    """SGD with momentum, by hand, against PyTorch's own."""
    lr, momentum = 0.1, 0.9
    start, gradients = torch.randn(5), torch.randn(4, 5)
    weight, right = nn.Parameter(start.clone()), nn.Parameter(start.clone())
    optimizer = torch.optim.SGD([right], lr=lr, momentum=momentum)
    velocity = torch.zeros(5)
    for step, gradient in enumerate(gradients, start=1):
        before, last = weight.detach().clone(), velocity.clone()
        weight.grad, right.grad = gradient.clone(), gradient.clone()
        answer([weight], [velocity], lr, momentum)
        optimizer.step()
        if not alike(weight, right):
            way, moved = weight.detach() - before, not alike(velocity, last)
            cause = why_momentum(way, gradient, last, lr, momentum) or (
                UNMOVED[moved] if alike(way, 0 * way) else ""
            )
            yield Wrong(f"step {step}: {cause or 'not where SGD of PyTorch moves the weights'}")
        yield Right(f"step {step}: as PyTorch's SGD")


UNMOVED = {
    True: "the weights did not move, but the velocities did: are they moved by the velocity of the "
    "step before? Or does `weight = weight - ...` make a new tensor? The one in the list must "
    "change",
    False: "the weights did not move, and the velocities stay: `weight = weight - ...` makes a new "
    "tensor; those in the lists must change",
}


def why_momentum(
    way: torch.Tensor, gradient: torch.Tensor, last: torch.Tensor, lr: float, momentum: float
) -> str:
    """The mistake that moves a weight so, from the velocity of the step before."""
    causes = {
        "the weights move up the gradient, not down": lr * (momentum * last + gradient),
        "the step is ten times too long: where is lr?": -(momentum * last + gradient),
        "the new gradient counts in full, not only by 1 - momentum": -lr
        * (momentum * last + (1 - momentum) * gradient),
        "that is a step without momentum: is the velocity kept for the next step, in the tensor of "
        "the list?": -lr * gradient,
        "the weights move by the velocity of the step before: first comes its update": -lr * last,
        "the old velocity counts in full: where is momentum?": -lr * (last + gradient),
    }
    moved = not alike(way, 0 * way)
    return next((text for text, other in causes.items() if moved and alike(way, other)), "")


# ---- what is right, and what it runs on


def gradient_by_backward(y_hat: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """The gradient for a bias that is added to the scores."""
    bias = torch.zeros(y_hat.shape[1], requires_grad=True)
    loss = nn.functional.cross_entropy(y_hat + bias, y)
    return torch.autograd.grad(loss, bias)[0]


def small_network() -> tuple[nn.Module, torch.optim.Optimizer]:
    """A network without dropout, the same each time, and its optimizer."""
    torch.manual_seed(2)
    network = nn.Sequential(nn.Linear(8, 16), nn.Tanh(), nn.Linear(16, 3))
    return network, torch.optim.SGD(network.parameters(), lr=0.1)


def one_step(network: Any, loss_fn: Any, optimizer: Any, x: Any, y: Any) -> None:
    """One step on one batch."""
    loss_fn(network(x), y).backward()
    optimizer.step()
    optimizer.zero_grad()


def gradient_of(network: nn.Module, part: tuple[torch.Tensor, torch.Tensor]) -> torch.Tensor:
    """The gradient of one part's loss, all weights in a row."""
    loss = nn.functional.cross_entropy(network(part[0]), part[1])
    return torch.cat([g.flatten() for g in torch.autograd.grad(loss, list(network.parameters()))])
