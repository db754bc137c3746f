"""The exercises of lesson 9: accumulation, clipping, mixed precision."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from tutorial.course.exercises.compare import alike, group_cause, near
from tutorial.course.exercises.lesson_04 import gradient_of, small_network
from tutorial.course.exercises.record import Recording, flat, record, sloping
from tutorial.course.exercises.registry import Findings, exercise
from tutorial.course.exercises.verdict import Right, Wrong

# ---- groups of batches


@exercise(
    "train_in_groups",
    question="The last group may have fewer batches, one of them short. By how many samples must "
    "its gradient be divided?",
    nudge="Let `backward` add up sums instead of means: a loss times its samples. Count the "
    "samples of the group. When it is full, or the epoch ends, divide each gradient by "
    "the count and make the update. Then begin to count again.",
)
def train_in_groups(answer: Any) -> Findings:
    """An epoch with one update for every k batches, as of one large batch."""
    x, y = torch.randn(70, 8), torch.randint(3, (70,))
    data = TensorDataset(x, y)
    batches = list(DataLoader(data, batch_size=16))  # 16, 16, 16, 16 and 6
    for k in (2, 3):
        loader = DataLoader(data, batch_size=16)
        yours = recorded(lambda n, f, o, k=k, loader=loader: answer(n, f, o, loader, k))
        groups = [batches[i : i + k] for i in range(0, len(batches), k)]
        fault = update_fault(yours, groups, k) or gradients_fault(yours, groups)
        if fault:
            yield Wrong(f"k = {k}: {fault}")
        yield Right(f"k = {k}: {len(groups)} updates, each with the gradient of its whole group")
    left = recorded(lambda n, f, o: gradient_left(answer, n, f, o, batches))
    if left.returned:
        yield Wrong("a gradient is still there at the end, for the next epoch to be added to")
    yield Right("no gradient is left behind")


def update_fault(yours: Recording, groups: list[Any], k: int) -> str:
    """Whether the updates come where a group ends."""
    sizes = [len(x) for group in groups for x, _ in group]
    if yours.sizes != sizes:
        return f"the network gets batches of {yours.sizes or 'nothing'}, not {sizes}"
    for i, step in enumerate(yours.steps, start=1):
        ends = i % k == 0 or i == len(sizes)
        if step.updates > 1:
            return f"batch {i}: optimizer.step() is called {step.updates} times"
        if step.updates and not ends:
            return f"batch {i}: there is an update, but its group has {k} batches"
        if ends and not step.updates:
            last = i == len(sizes)
            hint = ": the last group is a short one; who makes its update?" if last else ""
            return f"batch {i}: a group ends here, but there is no update{hint}"
    return ""


def gradients_fault(yours: Recording, groups: list[Any]) -> str:
    """Whether the gradient of each update is that of its whole group."""
    done, before = 0, None
    for number, group in enumerate(groups, start=1):
        network, _ = small_network()
        nn.utils.vector_to_parameters(yours.steps[done].before, network.parameters())
        done += len(group)
        gradient = yours.steps[done - 1].gradient
        x, y = (torch.cat(tensors) for tensors in zip(*group, strict=True))
        expected = gradient_of(network, (x, y))
        if gradient is None or not gradient.any():
            return f"update {number}: there is no gradient: is it cleared too early?"
        if not alike(gradient, expected):
            sizes = [len(x) for x, _ in group]
            each = [gradient_of(network, part) for part in group]
            cause = group_cause(gradient, each, sizes)
            times = times_as_long(gradient, expected)
            if before is not None and times_as_long(gradient - expected, before):
                cause = "that of the group before is still in it: is it cleared?"
            elif not cause and times:
                cause = (
                    f"it is {times:.3g} times the expected: by how many samples is it divided, and "
                    f"how many does this group of {' + '.join(map(str, sizes))} have?"
                )
            elif not cause and times_as_long(gradient, each[-1]):
                cause = "only the last batch of the group is in it: what clears the others?"
            return f"update {number}: not the gradient of its whole group" + (
                f": {cause}" if cause else ""
            )
        before = gradient
    return ""


def times_as_long(gradient: Tensor, other: Tensor) -> float:
    """How many times as long as the other a gradient is; 0 if it points elsewhere."""
    times = float(gradient @ other / (other @ other))
    return times if alike(gradient, times * other) else 0.0


def recorded(loop: Any) -> Recording:
    """What a loop does with a small network, which is the same each time."""
    network, optimizer = small_network()
    return record(loop, network, nn.CrossEntropyLoss(), optimizer)


def gradient_left(answer: Any, network: Any, loss_fn: Any, optimizer: Any, batches: Any) -> bool:
    """Whether there is a gradient after an epoch."""
    answer(network, loss_fn, optimizer, batches, 2)
    return sloping(network)


# ---- the length of a gradient


@exercise(
    "clip_by_hand",
    forbids=("clip_grad_norm_", "clip_grads_with_norm_", "get_total_norm"),
    question="How long is a vector that is made of all numbers of all gradients?",
    nudge="The square root of the sum of all squares, over all tensors. Leave out weights "
    "without a gradient. If it is too long, multiply every gradient by the same factor, "
    "in place: which factor makes it exactly as long as `limit`?",
)
def clip_by_hand(answer: Any) -> Findings:
    """Shorten the gradient of all weights together, if it is too long."""
    cases = {
        "a gradient that is too long": 3.5,  # its length is 7
        "one that is short enough": 10.0,
        "one just as long as the limit": 7.0,
    }
    for said, limit in cases.items():
        gradients = [torch.tensor([2.0, -3.0]), torch.tensor([[6.0]])]
        weights = [nn.Parameter(torch.ones(2)), nn.Parameter(torch.ones(4))]
        weights += [nn.Parameter(torch.ones(1, 1))]
        for weight, gradient in zip((weights[0], weights[2]), gradients, strict=True):
            weight.grad = gradient.clone()  # the one between them has none
        length = answer(weights, limit)
        flat = torch.cat([g.flatten() for g in gradients])
        if any(weight.grad is None for weight in (weights[0], weights[2])):
            yield Wrong(f"{said}: a gradient is gone; it should only be shortened")
        clipped = torch.cat([weights[i].grad.flatten() for i in (0, 2)])  # type: ignore[union-attr]
        factor = min(1.0, limit / 7)
        if not alike(clipped, factor * flat):
            causes = {
                "it is as it was: is `weight.grad` changed in place?": flat,
                "it is shorter than the limit, so it should stay as it is": flat * limit / 7,
                "each weight is cut to the limit alone; it is for all of them together": torch.cat(
                    [g.flatten() * min(1, limit / float(g.norm())) for g in gradients]
                ),
                "each number is cut to the limit; then the direction changes": flat.clamp(
                    -limit, limit
                ),
                "the length is the root of the sum of the squares: is there a root?": flat
                * min(1, limit / 49),
                "lengths of several weights cannot be added, but their squares can": flat
                * min(1, limit / (13**0.5 + 6)),
                "its length becomes 1, but the limit is another one": flat / 7,
            }
            cause = next((text for text, other in causes.items() if alike(clipped, other)), "")
            yield Wrong(f"{said}: not what is expected" + (f": {cause}" if cause else ""))
        if isinstance(length, Tensor):
            yield Wrong(f"{said}: a plain number is expected: .item() takes it out of the tensor")
        if not isinstance(length, int | float):
            yield Wrong(f"{said}: it returns {length!r:.40}, but the length is expected")
        if not near(length, 7):
            hint = ": that is the length afterwards" if near(length, limit) else ""
            yield Wrong(f"{said}: the length before is 7, not {length:.4g}{hint}")
        yield Right(f"{said}: length 7, limit {limit:g}")


# ---- 16-bit numbers


@exercise(
    "counts_to",
    question="What becomes of `n + 1` where the numbers of this dtype lie more than 1 from each "
    "other?",
    nudge="Count with a tensor of this dtype, not with Python's integers: so each sum is "
    "rounded. Go on as long as adding 1 makes it larger.",
)
def counts_to(answer: Any) -> Findings:
    """Where adding 1 has no effect any more."""
    for dtype, expected in ((torch.bfloat16, 256), (torch.float16, 2048)):
        n = answer(dtype)
        if isinstance(n, Tensor):
            yield Wrong(f"{dtype}: a plain number is expected: .item() takes it out of the tensor")
        if not isinstance(n, int | float):
            yield Wrong(f"{dtype}: it returns {n!r:.40}, but a number is expected")
        if n != expected:
            info = torch.finfo(dtype)
            causes = {
                float(expected - 1): "one more is possible",
                float(expected + 1): "is this number one that the kind can hold?",
                float(expected / 2): "one more is possible: try it",
                info.eps: "that is the spacing at 1; the spacing grows with the numbers",
                info.max: "this is the largest number, but counting ends far earlier",
            }
            hint = f": {causes[n]}" if n in causes else ""
            yield Wrong(f"{dtype}: not {n:.6g}{hint}")
        yield Right(f"{dtype}: {expected}")


# ---- a scaled loss


@exercise(
    "scaled_step",
    forbids=("GradScaler.__init__",),
    question="In which order do these come: the step, clearing, dividing by `scale`, the backward "
    "pass, looking whether all is finite?",
    nudge="Divide each `weight.grad` in place right after the backward pass. Look at all of "
    "them before you decide: a single one that is not finite is enough to leave out the "
    "step. Clear them in both cases.",
)
def scaled_step(answer: Any) -> Findings:
    """A step whose gradients go back enlarged, and are checked before they are used."""
    torch.manual_seed(1)
    x, y = torch.randn(6, 4), torch.randint(3, (6,))
    start = ThreeWays(1.0)
    expected = gradient_of(start, (x, y))
    network = ThreeWays(1.0)
    arrived, used, scale = one_step(answer, network, x, y, 1024.0)
    if arrived is None:
        yield Wrong("no gradient comes to the weights: is backward() called?")
    assert arrived is not None
    if not alike(arrived, 1024 * expected):
        plain = alike(arrived, expected)
        hint = ": the loss goes back as it is, so small gradients are lost on their way"
        yield Wrong(f"the gradients are not enlarged by the scale{hint if plain else ''}")
    yield Right("the gradients go back enlarged")
    if used is None:
        yield Wrong("no step is made, although all gradients are finite")
    assert used is not None
    if not alike(used, expected):
        times = times_as_long(used, expected)
        hint = f": it is {times:.4g} times as long" if times else ""
        yield Wrong(f"the step is not made with the true gradient{hint}")
    if not alike(flat(network), flat(start) - 0.1 * expected):
        yield Wrong("the gradient is right, but the weights are not: is there more than one step?")
    if scale != 1024.0:
        yield Wrong(f"all went well, so the scale stays 1024; it returns {scale!r:.40}")
    if sloping(network):
        yield Wrong("the gradient is still there afterwards, for the next step to be added to")
    yield Right("a step with the true gradient; the scale stays")
    for said, scale in (("some gradients overflow", 1e20), ("all gradients overflow", 1e39)):
        network = ThreeWays(1e20)
        _, used, halved = one_step(answer, network, x, y, scale)
        if used is not None:
            hint = ": are all weights looked at?" if scale == 1e20 else ""
            yield Wrong(f"{said}: a step is made all the same{hint}")
        if not alike(flat(network), flat(start)):
            yield Wrong(f"{said}: the weights moved, but not by the optimizer")
        if halved != scale / 2:
            yield Wrong(f"{said}: half the scale is expected, {scale / 2:g}, not {halved!r:.40}")
        if sloping(network):
            yield Wrong(f"{said}: the gradient is still there afterwards; the next one is added")
        yield Right(f"{said}: no step, and half the scale")


def one_step(
    answer: Any, network: nn.Module, x: Tensor, y: Tensor, scale: float
) -> tuple[Tensor | None, Tensor | None, Any]:
    """The gradient as it arrives, and as the step uses it; and what is returned."""
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1)
    arrived: dict[int, Tensor] = {}
    used: list[Tensor] = []
    for i, weight in enumerate(network.parameters()):
        weight.register_hook(  # type: ignore[no-untyped-call]
            lambda g, i=i: arrived.update({i: g.clone().flatten()})
        )

    def note(*_: Any) -> None:
        used.append(torch.cat([w.grad.flatten() for w in network.parameters()]))  # type: ignore[union-attr]

    optimizer.register_step_pre_hook(note)
    returned = answer(network, nn.CrossEntropyLoss(), optimizer, x, y, scale)
    row = torch.cat([arrived[i] for i in sorted(arrived)]) if arrived else None
    return row, used[-1] if used else None, returned


class ThreeWays(nn.Module):
    """Scores in three ways; the gradient of the second one is as many times as large."""

    def __init__(self, times: float) -> None:
        super().__init__()
        torch.manual_seed(2)
        self.times = times
        self.first = nn.Parameter(torch.randn(4, 3))
        self.large = nn.Parameter(torch.zeros(4, 3))
        self.last = nn.Parameter(torch.randn(4, 3))

    def forward(self, x: Tensor) -> Tensor:
        """Scores for three classes."""
        return x @ self.first + self.times * x @ self.large + x.sin() @ self.last
