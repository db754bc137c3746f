"""The exercises of lesson 2: callbacks and checkpoints."""

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.data import TensorDataset

from tutorial.callbacks import Callback
from tutorial.course.exercises.compare import alike, near
from tutorial.course.exercises.record import flat
from tutorial.course.exercises.registry import Findings, exercise
from tutorial.course.exercises.verdict import Right, Wrong
from tutorial.model import Model

# ---- stop in time


@exercise(
    "when_to_stop",
    question="Go through `[3, 2, 2.5, 2.5, 1]` with `patience=2` on paper. What do you have to "
    "remember from one epoch to the next?",
    nudge="Two things: which epoch was best, and how many bad ones came in a row since then. A "
    "better loss sets the count back to 0. Stop as soon as the count reaches `patience`. "
    "Both answers count from 1.",
)
def when_to_stop(answer: Any) -> Findings:
    """The best epoch, and the one after which early stopping ends the training."""
    for losses, patience, what in (
        ([5, 4, 3, 4, 5, 6], 2, "a curve that falls and rises"),
        ([5, 6, 4, 5, 3, 2], 2, "single bad epochs"),
        ([5, 2, 4, 3, 4, 1], 2, "bad epochs that become less bad"),
        ([3, 3, 3, 3, 2], 2, "equal losses"),
        ([5, 4, 3], 3, "a curve that only falls"),
    ):
        expected = stopping(losses, patience)
        given = answer(list(losses), patience)
        if not isinstance(given, tuple | list) or len(given) != 2:
            yield Wrong(
                f"it returns {given!r:.60}, but a pair (best epoch, last epoch) is expected"
            )
        if tuple(given) != expected:
            yield Wrong(
                f"losses {losses}, patience {patience}: best and last epoch are {expected}, "
                f"not {tuple(given)}{why_stopping(tuple(given), losses, patience)}"
            )
        yield Right(f"{what}: {losses}, patience {patience}")


def stopping(
    losses: Sequence[float],
    patience: int,
    in_a_row: bool = True,
    equal_is_better: bool = False,
    than_before: bool = False,
) -> tuple[int, int]:
    """The best and the last epoch, counted from 1; the options are mistakes."""
    best, bad = 0, 0
    for epoch, loss in enumerate(losses):
        to_beat = losses[epoch - 1] if than_before and epoch else losses[best]
        if epoch == 0 or loss < to_beat or (equal_is_better and loss == to_beat):
            best, bad = epoch, 0 if in_a_row else bad
        else:
            bad += 1
        if bad == patience:
            return best + 1, epoch + 1
    return best + 1, len(losses)


def why_stopping(given: tuple[Any, ...], losses: Sequence[float], patience: int) -> str:
    """The mistake that gives this pair."""
    best, last = stopping(losses, patience)
    causes = {
        (best - 1, last - 1): "the first epoch is epoch 1, not 0",
        (last, best): "first the best epoch, then the last one",
        (losses.index(min(losses)) + 1, last): "after the last epoch, nothing more is known",
        stopping(losses, patience, than_before=True): "an epoch must beat the best one so far",
        stopping(losses, patience, equal_is_better=True): "an equal loss is no better one",
        stopping(losses, patience, in_a_row=False): "is it bad epochs in a row that you count?",
        stopping(losses, patience + 1): f"is it after {patience} bad epochs that you stop?",
        stopping(losses, max(1, patience - 1)): f"are {patience} bad epochs allowed for?",
    }
    return f": {causes[given]}" if given in causes else ""


# ---- a callback


@exercise(
    "halve_rate",
    "class",
    question="Which method of a callback is called after each epoch, and where does an optimizer "
    "keep its learning rates?",
    nudge="A callback has `self.model`, which has the optimizer. Its `param_groups` is a list "
    'of dicts, each with an entry `"lr"`. Change all of them in `on_epoch_end`.',
)
def halve_rate(answer: Any) -> Findings:
    """A callback that halves the learning rate after each epoch."""
    if not issubclass(answer, Callback):
        yield Wrong(f"{answer.__name__} is no callback: is it derived from tl.callbacks.Callback?")
    rates = rates_with(answer())  # of the two groups, before each of 3 epochs of 2 steps
    first, second = rates[0], rates[1]
    if len(set(first)) == 1:
        yield Wrong(
            f"the rate stays {first[0]:g} for 3 epochs: the optimizer reads the one in its "
            "param_groups; is that the one that changes, and does the hook have its right name?"
        )
    if not near(first[0], 0.8):
        yield Wrong(f"epoch 1, step 1: the rate is {first[0]:g}, not 0.8: no epoch is over yet")
    if not near(first[1], 0.8):
        yield Wrong(f"epoch 1, step 2: the rate is {first[1]:g}, not 0.8: is that after each step?")
    yield Right("epoch 1: the rate is 0.8")
    if not near(first[2], 0.4):
        yield Wrong(f"epoch 2: the rate is {first[2]:g}, not 0.4, which is half of it")
    if not near(first[4], 0.2):
        yield Wrong(f"epoch 3: the rate is {first[4]:g}, not 0.2: is it half of the one before?")
    yield Right("epochs 2 and 3: 0.4, then 0.2")
    if not near(second[4], 0.02):
        yield Wrong(
            f"an optimizer may have several parameter groups: the rate of a second one is "
            f"{second[4]:g} in epoch 3, not 0.02"
        )
    yield Right("the rate of each parameter group is halved")


def rates_with(callback: Callback) -> tuple[list[float], list[float]]:
    """The learning rates of two groups of weights, at each step of a training."""
    torch.manual_seed(1)
    network = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 2))
    groups = [
        {"params": network[0].parameters(), "lr": 0.8},
        {"params": network[1].parameters(), "lr": 0.08},
    ]
    model = Model(network)
    model.prepare(torch.optim.SGD(groups), nn.CrossEntropyLoss())
    rates: tuple[list[float], list[float]] = ([], [])

    def note(optimizer: torch.optim.Optimizer, *_: Any) -> None:
        for noted, group in zip(rates, optimizer.param_groups, strict=True):
            noted.append(float(group["lr"]))

    assert model.optimizer is not None
    model.optimizer.register_step_pre_hook(note)
    data = TensorDataset(torch.randn(8, 4), torch.arange(8) % 2)
    model.fit(data, epochs=3, batch_size=4, callbacks=callback, verbose=0)
    return rates


# ---- a checkpoint


@exercise(
    "checkpoint",
    "class",
    question="What must the file hold so that the next step is the same? Are the weights enough, "
    "or does the optimizer remember something, too?",
    nudge="Network and optimizer both have `state_dict()` and `load_state_dict()`. Put the two "
    "dicts into one dict, and write that with `torch.save`. To read it, `torch.load` "
    "needs `weights_only=True`.",
)
def checkpoint(answer: Any) -> Findings:
    """Save a training, and go on from there."""
    network, optimizer = begun(seed=1)
    steps(network, optimizer, 3)
    other, its_optimizer = begun(seed=2)
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "training.pt"
        answer().save(path, network, optimizer)
        if not path.exists():
            yield Wrong("save() has written no file at the path that it was given")
        try:
            torch.load(path, weights_only=True)
        except Exception:
            yield Wrong(
                "torch.load(path, weights_only=True) refuses the file: does it hold whole objects? "
                "A state_dict has only names and numbers"
            )
        yield Right("save() writes a file that holds only names and numbers")
        steps(network, optimizer, 1)  # the training goes on; what was saved must not
        saved = flat(network)
        answer().load(path, other, its_optimizer)
    untouched, _ = begun(seed=2)
    if alike(flat(other), flat(untouched)):
        yield Wrong("load() leaves the network as it was: where do its weights go?")
    network, optimizer = begun(seed=1)
    steps(network, optimizer, 3)
    if not alike(flat(other), flat(network)):
        later = alike(flat(other), saved)
        yield Wrong(
            "after load() the weights are not those at the time of save()"
            + (", but later ones: was a copy written?" if later else "")
        )
    yield Right("load() brings the weights back")
    steps(network, optimizer, 1)
    steps(other, its_optimizer, 1)
    if not alike(flat(other), flat(network)):
        yield Wrong(
            "the weights are back, but step 1 after load() is another one than without a break: "
            "what else has Adam learned?"
        )
    steps(network, optimizer, 3)
    steps(other, its_optimizer, 3)
    if not alike(flat(other), flat(network)):
        yield Wrong("the first step after load() is right, but the next ones are not")
    yield Right("the training goes on as without a break")


def begun(seed: int) -> tuple[nn.Linear, torch.optim.Adam]:
    """A network before its first step, and its optimizer."""
    torch.manual_seed(seed)
    network = nn.Linear(4, 3)
    return network, torch.optim.Adam(network.parameters(), lr=0.1)


def steps(network: nn.Module, optimizer: torch.optim.Optimizer, number: int) -> None:
    """Train for some steps, always on the same samples."""
    x = torch.linspace(-1, 1, 24).reshape(6, 4).sin()
    for _ in range(number):
        torch.autograd.backward(F.cross_entropy(network(x), torch.arange(6) % 3))
        optimizer.step()
        optimizer.zero_grad()
