"""The exercises of lesson 6: custom networks, losses, metrics and loops."""

import math
from itertools import product
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import TensorDataset

from tutorial.course.exercises.compare import alike, apart, near
from tutorial.course.exercises.record import flat, sloping
from tutorial.course.exercises.registry import Findings, exercise
from tutorial.course.exercises.verdict import Right, Wrong


@exercise(
    "triplet_loss",
    question="Which three conditions make `a`, `b` and `c` a triplet, and what shape has a tensor "
    "with one cost for each of them?",
    nudge="`torch.cdist` gives all distances, (B, B). With one more axis, by `None`, they are "
    "(B, B, 1) and (B, 1, B): the difference has a cost for each `a`, `b`, `c`. Make a "
    "mask of this shape from the labels. What is the mean if the mask is empty?",
)
def triplet_loss(answer: Any) -> Findings:
    """The mean over all triplets of a batch; 0 where there is none."""
    place = torch.tensor([[0.0, 0.0], [1.0, 0.0], [0.0, 3.0], [4.0, 0.0], [0.0, 1.5]])
    cases = {
        "three images of two digits": ([0, 1, 4], [3, 3, 8], 2.0),
        "triplets that cost nothing": ([0, 1, 3], [3, 3, 8], 1.0),
        "all five images": ([0, 1, 2, 3, 4], [3, 3, 8, 8, 8], 1.0),
        "no two images of one digit": ([0, 1, 2], [1, 2, 3], 1.0),
        "all images of one digit": ([0, 1, 2], [3, 3, 3], 1.0),
    }
    for said, (rows, digits, margin) in cases.items():
        points, y = place[rows].requires_grad_(), torch.tensor(digits)
        yours = answer(points, y, margin)
        if not isinstance(yours, Tensor) or yours.shape != ():
            yield Wrong(f"{said}: it returns {yours!r:.60}, but a tensor of shape () is expected")
        costs = triplets(points, y, margin)
        expected = mean(costs.clamp(min=0))
        value = float(yours.detach())
        if not near(value, float(expected.detach())):
            others = {
                "an image forms no triplet with itself": triplets(points, y, margin, itself=True),
                "the distance itself is wanted, not its square": triplets(
                    points, y, margin, power=2
                ),
                "where is the margin?": costs - margin,
                "near and far are mixed up: which distance shall be small?": 2 * margin - costs,
            }
            causes = {
                "the mean of nothing": math.nan,
                "it is the sum; a loss is a mean": float(costs.detach().clamp(min=0).sum()),
                "a triplet that is good enough costs 0, not less": float(mean(costs.detach())),
                "the mean is over all triplets, also those that cost nothing": float(
                    mean(costs.detach()[costs > 0])
                ),
                **{
                    text: float(mean(other.detach().clamp(min=0))) for text, other in others.items()
                },
            }
            cause = next((text for text, v in causes.items() if same(value, v)), "")
            yield Wrong(
                f"{said}: {apart(value, float(expected))}" + (f": {cause}" if cause else "")
            )
        if expected > 0 and not yours.requires_grad:
            yield Wrong(f"{said}: the loss has no graph, so nothing can be learned from it")
        if expected > 0:
            slope = gradient(yours, points)
            if slope.isnan().any():
                yield Wrong(
                    f"{said}: the value is right, but its gradient is nan: the root of 0, the "
                    "distance of an image to itself, has none. torch.cdist takes care of that"
                )
            if not alike(slope, gradient(expected, points)):
                yield Wrong(f"{said}: the value is right, but its gradient is not: a detach()?")
        yield Right(f"{said}: {expected:.4g}")


@exercise(
    "most_confused",
    kind="class",
    question="Which 100 numbers must be kept from one batch to the next, so that the worst "
    "mistake of all data is known at the end?",
    nudge="A table of counts, label by prediction. Ten times the label plus the prediction is "
    "one number for each pair. `torch.bincount` with `minlength` counts them, and `view` "
    "makes a table again. What was right stands on the diagonal: clear that, in a copy.",
)
def most_confused(answer: Any) -> Findings:
    """A metric that counts pairs of classes over all batches."""
    y = torch.tensor([0, 0, 0, 0, 0, 1, 1, 1, 2, 2, 2, 2])
    said = torch.tensor([0, 0, 0, 0, 1, 1, 2, 2, 1, 1, 1, 2])
    y_hat = nn.functional.one_hot(said, 10).float()
    metric = answer()
    for name in ("reset", "update", "compute"):
        if not callable(getattr(metric, name, None)):
            yield Wrong(f"a metric has three methods, but {name} is missing")
    expected = 3 / 12  # three times a 2 is predicted as a 1
    in_one = {
        "are the right answers counted? Only mistakes confuse": 4 / 12,
        "that is a number of images; a fraction of all is wanted": 3.0,
        "that is a fraction of the mistakes, not of all images": 3 / 6,
        "that is a fraction of the images of this digit, not of all": 3 / 4,
        "1 read as 2, and 2 read as 1, are two kinds of mistake": 5 / 12,
    }
    in_two = {
        "that is the last batch alone": 3 / 4,
        "the mean of the batches is not that of all images": (2 / 8 + 3 / 4) / 2,
    }
    for case, ends, causes in (
        ("one batch", (12,), in_one),
        ("batches of 8 and 4", (8, 12), in_two),
    ):
        metric.reset()
        for start, end in zip((0, *ends), ends, strict=False):
            metric.update(y_hat[start:end], y[start:end])
        value = float(metric.compute())
        if not near(value, expected):
            cause = next((text for text, v in causes.items() if near(value, v)), "")
            yield Wrong(f"{case}: {apart(value, expected)}" + (f": {cause}" if cause else ""))
        yield Right(f"{case}: {expected:.4g}")
    metric.reset()
    metric.update(y_hat[:4], y[:4])
    value = float(metric.compute())
    if value != 0:
        yield Wrong(f"after a reset, four right answers: {value:.4g}, not 0: is all forgotten?")
    yield Right("after a reset, four right answers: 0")


@exercise(
    "train_head",
    question="Adam with weight decay moves a weight whose gradient is 0. What does it do with a "
    "weight whose gradient is `None`?",
    nudge="Freeze the backbone before the loop: for what requires no gradient, none is made. "
    "The loop is the usual one, shuffled, in batches of 32. After it, the backbone must "
    "require gradients again.",
)
def train_head(answer: Any) -> Findings:
    """A loop for fit that trains the head and leaves the backbone as it is."""
    torch.manual_seed(2)
    network = Small()
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1, weight_decay=0.1)
    x = torch.randn(70, 8)
    data = TensorDataset(x, (x @ torch.randn(8, 3)).argmax(dim=1))
    loss_fn = Noted()
    slopes: list[bool] = []  # for each step: has the backbone a gradient other than 0?
    optimizer.register_step_pre_hook(lambda *_: slopes.append(sloping(network.backbone)))
    frozen, moving = flat(network.backbone), flat(network.head)
    losses = answer(network, loss_fn, optimizer, data)
    if not slopes:
        yield Wrong("no step was made: is optimizer.step() called?")
    if alike(flat(network.head), moving):
        yield Wrong("the head did not move: is it frozen, too?")
    yield Right("the head is trained")
    if not alike(flat(network.backbone), frozen):
        hint = (
            "requires_grad says for which weights backward computes a gradient"
            if any(slopes)
            else "its gradient is 0, but weight decay pulls at it. Only a weight whose gradient is "
            "None is left alone"
        )
        yield Wrong(f"the backbone moved: {hint}")
    yield Right("the backbone is as it was")
    if len(slopes) != 3:
        yield Wrong(f"{len(slopes)} steps, but 70 samples in batches of 32 make 3 in one epoch")
    if not all(weight.requires_grad for weight in network.parameters()):
        yield Wrong("some weights stay frozen, so the next fit cannot train them: requires_grad?")
    yield Right("three steps, and all weights can be trained again afterwards")
    if not isinstance(losses, list) or not all(isinstance(loss, float) for loss in losses):
        yield Wrong(f"it returns {losses!r:.60}, but a list of plain numbers is expected: .item()?")
    if losses != loss_fn.losses:
        yield Wrong(f"it returns {len(losses)} numbers, which are not the losses of the 3 steps")
    yield Right("the loss of each step")


# ---- what is right, and what it runs on


def triplets(
    place: Tensor, y: Tensor, margin: float, itself: bool = False, power: int = 1
) -> Tensor:
    """What each triplet costs, good ones less than 0: an image, one like it, one unlike it."""
    distance = torch.cdist(place, place) ** power
    costs = [
        distance[a, b] - distance[a, c] + margin
        for a, b, c in product(range(len(y)), repeat=3)
        if y[a] == y[b] and y[a] != y[c] and (a != b or itself)
    ]
    return torch.stack(costs) if costs else torch.zeros(0)


def mean(values: Tensor) -> Tensor:
    """The mean; 0 where there are no values."""
    return values.sum() / max(len(values), 1)


def gradient(loss: Tensor, place: Tensor) -> Tensor:
    """Where the loss grows."""
    return torch.autograd.grad(loss, place, retain_graph=True)[0]


def same(a: float, b: float) -> bool:
    """Equality but for rounding; not-a-number equals itself."""
    return near(a, b) or (math.isnan(a) and math.isnan(b))


class Small(nn.Module):
    """A backbone and a head."""

    def __init__(self) -> None:
        super().__init__()
        self.backbone = nn.Sequential(nn.Linear(8, 16), nn.Tanh())
        self.head = nn.Linear(16, 3)

    def forward(self, x: Tensor) -> Tensor:
        """Scores for three classes."""
        scores: Tensor = self.head(self.backbone(x))
        return scores


class Noted(nn.Module):
    """A loss function that notes its values."""

    def __init__(self) -> None:
        super().__init__()
        self.losses: list[float] = []

    def forward(self, y_hat: Tensor, y: Tensor) -> Tensor:
        """Cross-entropy."""
        loss = nn.functional.cross_entropy(y_hat, y)
        self.losses.append(loss.item())
        return loss
