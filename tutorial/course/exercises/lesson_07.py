"""The exercises of lesson 7: learning rates and schedules."""

import math
from typing import Any

import torch
from torch import nn

from tutorial.course.exercises.compare import alike, apart, near, training_fault
from tutorial.course.exercises.record import Recording, flat, record
from tutorial.course.exercises.registry import Findings, exercise
from tutorial.course.exercises.verdict import Right, Wrong


@exercise(
    "largest_rate",
    question="Along one weight alone, a step of SGD multiplies it by `1 - lr * curvature`. For "
    "which rates does it not shrink?",
    nudge="It grows where this factor is below -1. So each curvature has a limit of its own. "
    "The training fails as soon as one of them is passed: which one is the first?",
)
def largest_rate(answer: Any) -> Findings:
    """The rate above which SGD leaves a valley of these curvatures."""
    for curvatures in ([1], [4], [3, 1, 10], [0.5, 0.1]):
        rate = answer(list(curvatures))
        steepest = max(curvatures)
        expected = 2 / steepest
        case = f"curvatures {curvatures}" if len(curvatures) > 1 else f"curvature {steepest}"
        if not isinstance(rate, int | float):
            yield Wrong(f"{case}: it returns {rate!r:.60}, but a number is expected")
        if not near(rate, expected):
            causes = {
                ". That is the rate which arrives in one step; may a step be longer?": 1 / steepest,
                ". The loss has a half in it: what is its gradient?": 1 / (2 * steepest),
                ". Does a steeper valley allow longer steps?": 2 * steepest,
                ". Which direction is the first that does not arrive?": 2 / min(curvatures),
                ". Is a mean of help? The rate is the same for all directions, and the first one "
                "that does not arrive spoils it": 2 * len(curvatures) / sum(curvatures),
            }
            cause = next((text for text, other in causes.items() if near(rate, other)), "")
            yield Wrong(
                f"{case}: {rate:.4g} is not the limit: with this rate, a step multiplies the "
                f"steepest weight by {1 - rate * steepest:.4g}{cause}"
            )
        yield Right(f"{case}: {expected:.4g}")


@exercise(
    "warm_up_factor",
    question="Take `warm_up=2` and `steps=6`. Which factors have the steps 0, 1, 2 and 4?",
    nudge="There are two cases. In the warm-up it is a fraction, which is 1 at its last step. "
    "After it, ask how much of the rest is done, from 0 to 1. The cosine goes from 1 at "
    "0 to -1 at π: shift and halve it so that it goes from 1 to 0.",
)
def warm_up_factor(answer: Any) -> Findings:
    """The factor of a schedule: up in equal parts, down along a cosine."""
    for warm_up, steps in ((0, 8), (4, 12), (1, 5)):
        for step in range(steps):
            case = f"step {step} of {steps}, warm-up {warm_up}"
            factor = answer(step, warm_up, steps)
            if not isinstance(factor, int | float):
                yield Wrong(f"{case}: it returns {factor!r:.60}, but a number is expected")
            expected = factor_of(step, warm_up, steps)
            if not near(factor, expected):
                cause = why_factor(factor, step, warm_up, steps)
                yield Wrong(f"{case}: {apart(factor, expected)}{cause}")
        yield Right(f"{steps} steps, warm-up {warm_up}")


def factor_of(step: int, warm_up: int, steps: int) -> float:
    """The right factor."""
    if step < warm_up:
        return (step + 1) / warm_up
    return half_wave((step - warm_up) / (steps - warm_up))


def half_wave(done: float) -> float:
    """From 1, when nothing is done, to 0, when all is."""
    return 0.5 * (1 + math.cos(math.pi * done))


def why_factor(factor: float, step: int, warm_up: int, steps: int) -> str:
    """The mistake that gives this factor."""
    if step < warm_up:
        causes = {
            "so a step is lost: steps count from 0": step / warm_up,
            "where is the warm-up?": half_wave(step / steps),
            "the warm-up and the cosine are both in it": (step + 1)
            / warm_up
            * half_wave(step / steps),
        }
    else:
        after, length = step - warm_up, steps - warm_up
        causes = {
            "the cosine begins after the warm-up, with 1": half_wave(step / steps),
            "is 0 reached after the training, or with its last step?": half_wave(
                after / max(length - 1, 1)
            ),
            "that is a whole wave, which comes up again": half_wave(2 * after / length),
            "this step is counted as done before it is made": half_wave((after + 1) / length),
            "how many steps are left for the cosine?": half_wave(after / steps),
            "that is a cosine from 1 to -1, and a rate is never negative": math.cos(
                math.pi * after / length
            ),
            "that is a straight line": 1 - after / length,
        }
    cause = next((text for text, other in causes.items() if near(factor, other)), "")
    return f": {cause}" if cause else ""


@exercise(
    "range_test",
    question="What must be kept before the first step, so that the network can be brought back? "
    "Does `state_dict()` alone keep it?",
    nudge="`state_dict()` holds the weights themselves, and they move: make a deep copy. In "
    "the loop, append the rate and the loss before the step, and look whether the last "
    "loss is more than four times the smallest. Multiply the rate in each of the "
    "`param_groups`.",
)
def range_test(answer: Any) -> Findings:
    """A loop that raises the learning rate at every step, and looks what the loss does."""
    for batches, factor, what in (
        (small_batches(5), 1.5, "five gentle steps"),
        (small_batches(30), 2.0, "30 batches, with rates that explode"),
    ):
        right = searched(right_test, *small(), batches, factor)
        network, optimizer = small()
        start = flat(network)
        made: list[tuple[float, ...]] = []  # the rates of all groups, at each step

        def note(changed: torch.optim.Optimizer, *_: Any, into: Any = made) -> None:
            into.append(tuple(group["lr"] for group in changed.param_groups))

        optimizer.register_step_pre_hook(note)
        yours = searched(answer, network, optimizer, batches, factor)
        yield from rates_found(made, factor)
        yield from steps_found(yours, right, len(batches))
        yield Right(f"{what}: {len(right.steps)} steps, each with its rate")
        yield from returned_found(yours.returned, made, right)
        yield Right(f"{what}: it returns rates and losses")
        if not alike(flat(network), start):
            yield Wrong(
                "afterwards the network is not as it was before: state_dict() gives the very "
                "tensors that the steps change. Was a copy made, and brought back?"
            )
        yield Right(f"{what}: the network is as it was")


def rates_found(made: list[tuple[float, ...]], factor: float) -> Findings:
    """Which rates the steps were made with, if those are wrong."""
    for step, rates in enumerate(made):
        for group, rate in enumerate(rates):
            first = (0.05, 0.01)[group]
            expected = first * factor**step
            if math.isclose(rate, expected, rel_tol=1e-6):
                continue
            causes = {
                "the first step is made with the rate that the optimizer came with": factor,
                "the rate stays: the optimizer reads the one in its param_groups": 1 / factor**step,
                "is it multiplied by factor, and not by the step?": 1 + (factor - 1) * step,
                "is it raised twice?": factor**step,
            }
            cause = next(
                (t for t, k in causes.items() if math.isclose(rate, k * expected, rel_tol=1e-6)), ""
            )
            if group == 1 and step > 0 and near(rate, first):
                cause = "the rate of the second group of weights stays: there is more than one"
            yield Wrong(
                f"step {step + 1}: it is made with the rate {apart(rate, expected)}"
                + (f": {cause}" if cause else "")
            )


def steps_found(yours: Recording, right: Recording, batches: int) -> Findings:
    """Where the loop goes another way than the right one."""
    done, wanted = len(yours.steps), len(right.steps)
    if done == 0:
        yield Wrong("the network is never called: where is y_hat = network(x)?")
    if done > wanted and wanted < batches:
        yield Wrong(
            f"it makes {done} steps, but the loss of step {wanted} is more than four times the "
            "lowest so far: there it ends"
        )
    if done < wanted:
        yield Wrong(
            f"it ends after {done} of {wanted} steps: is the loss of step {done} more than four "
            "times the lowest so far?"
        )
    if wanted < batches and yours.steps[-1].updates == 0:  # the loss that ends it needs no step
        del yours.steps[-1], right.steps[-1]
    else:
        yours.steps[-1].after = right.steps[-1].after  # by then the weights are brought back
    fault = training_fault(yours, right, batches)
    if fault:
        yield Wrong(fault)


def returned_found(returned: Any, made: list[tuple[float, ...]], right: Recording) -> Findings:
    """What is wrong with the two lists."""
    if not isinstance(returned, tuple | list) or len(returned) != 2:
        yield Wrong(f"it returns {returned!r:.60}, but two lists are expected: rates and losses")
    rates, losses = returned
    expected = right.returned[1]
    for name, values in (("rates", rates), ("losses", losses)):
        if not isinstance(values, list) or not all(isinstance(v, float) for v in values):
            yield Wrong(f"the {name} are {values!r:.60}, but a list of plain numbers is expected")
        if len(values) != len(expected):
            yield Wrong(f"{len(values)} {name}, but {len(expected)} losses were computed")
    for step, (loss, wanted) in enumerate(zip(losses, expected, strict=True), start=1):
        if not math.isclose(loss, wanted, rel_tol=1e-3):
            swapped = ": are the two lists swapped?" if loss == made[0][0] else ""
            yield Wrong(f"the loss of step {step} is {apart(wanted, loss)}{swapped}")
    for step, ((rate, *_), given) in enumerate(zip(made, rates, strict=False), start=1):
        if not math.isclose(rate, given, rel_tol=1e-6):
            yield Wrong(
                f"step {step} was made with the rate {rate:.4g}, but {given:.4g} is noted: "
                "before or after it is raised?"
            )


# ---- what is right, and what it runs on


def searched(
    search: Any, network: nn.Module, optimizer: torch.optim.Optimizer, batches: Any, factor: float
) -> Recording:
    """What a range test does."""
    return record(
        lambda n, f, o: search(n, f, o, batches, factor), network, nn.CrossEntropyLoss(), optimizer
    )


def right_test(network: Any, loss_fn: Any, optimizer: Any, batches: Any, factor: float) -> Any:
    """A range test."""
    rates, losses = [], []
    network.train()
    for x, y in batches:
        loss = loss_fn(network(x), y)
        loss.backward()
        rates.append(optimizer.param_groups[0]["lr"])
        losses.append(loss.item())
        optimizer.step()
        optimizer.zero_grad()
        if losses[-1] > 4 * min(losses):
            break
        for group in optimizer.param_groups:
            group["lr"] *= factor
    return rates, losses


def small() -> tuple[nn.Module, torch.optim.Optimizer]:
    """A network, the same each time, and an optimizer with two groups of its weights."""
    torch.manual_seed(3)
    network = nn.Sequential(nn.Linear(8, 16), nn.Tanh(), nn.Dropout(0.2), nn.Linear(16, 3))
    groups = [
        {"params": network[0].parameters(), "lr": 0.05},
        {"params": network[3].parameters(), "lr": 0.01},
    ]
    return network, torch.optim.SGD(groups)


def small_batches(number: int) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """Batches of 16 samples, the same each time."""
    torch.manual_seed(4)
    return [(torch.randn(16, 8), torch.randint(3, (16,))) for _ in range(number)]
