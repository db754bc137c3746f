"""The exercises of lesson 10: from slow to the limit."""

from collections import Counter
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils.data import TensorDataset

from tutorial.course.exercises.compare import apart, evaluation_fault, keys_fault, mean_fault, near
from tutorial.course.exercises.lesson_01 import recorded, right_evaluation, small_loader
from tutorial.course.exercises.registry import Findings, exercise
from tutorial.course.exercises.verdict import Right, Wrong


@exercise(
    "faster_in_all",
    question="A part of 3 seconds becomes 4 times as fast. How long does it take then? And a part "
    "that is not in `factors`?",
    nudge="Compare the sum of all times before with the sum after. For a part without a "
    "factor, `dict.get` can give a value of your choice: which one changes nothing?",
)
def faster_in_all(answer: Any) -> Findings:
    """How many times as fast a whole becomes, whose parts become faster."""
    three = {"data": 6.0, "forward": 3.0, "backward": 1.0}
    cases: tuple[tuple[str, dict[str, float], dict[str, float]], ...] = (
        ("one part of three", three, {"data": 4.0}),
        ("two parts", three, {"data": 3.0, "forward": 2.0}),
        ("times as fractions", {"data": 0.5, "forward": 0.5}, {"data": 10.0}),
        ("nothing", {"data": 0.5, "forward": 1.5}, {}),
    )
    for said, times, factors in cases:
        whole = sum(times.values())
        touched = {part: times[part] / factor for part, factor in factors.items()}
        rest = whole - sum(times[part] for part in factors)
        expected = whole / (rest + sum(touched.values()))
        faster = answer(dict(times), dict(factors))
        if not isinstance(faster, int | float):
            yield Wrong(f"{said}: it returns {faster!r:.40}, but a number is expected")
        if not near(faster, expected):
            causes = {
                "that is the new time; how many times as fast is it?": whole / expected,
                "that is the new time as a fraction of the old one; invert it": 1 / expected,
                "the times are not fractions here: they do not sum to 1": 1 / (whole / expected),
                "factors cannot be averaged, but times can be added": (
                    rest + sum(times[part] * factor for part, factor in factors.items())
                )
                / whole,
                "do the other parts take no time?": whole / (sum(touched.values()) or 1),
            }
            cause = next((text for text, other in causes.items() if near(faster, other)), "")
            yield Wrong(f"{said}: {apart(faster, expected)}" + (f": {cause}" if cause else ""))
        yield Right(f"{said}: {expected:.4g}")


@exercise(
    "kept_as_tensors",
    question="How often does your code write `data[i]` for one sample?",
    nudge="Fetch each pair once, and put its halves into two lists. `torch.stack` makes one "
    "tensor of the images. A tensor that is made of a list of Python's integers holds "
    "integers.",
)
def kept_as_tensors(answer: Any) -> Findings:
    """A dataset's samples, each fetched once, as tensors."""
    data = Fetched(7)
    kept = answer(data)
    if not isinstance(kept, TensorDataset) or len(kept.tensors) != 2:
        yield Wrong(f"it returns {kept!r:.60}, but a TensorDataset(images, labels) is expected")
    images, labels = kept.tensors
    for what, seen, expected in (
        ("images", images, data.images),
        ("labels", labels, torch.arange(7).flip(0)),
    ):
        if seen.shape != expected.shape:
            yield Wrong(
                f"the {what} have the shape {tuple(seen.shape)}, not {tuple(expected.shape)}"
            )
        if what == "labels" and seen.is_floating_point():
            yield Wrong(f"the type of the labels is {seen.dtype}; they are integers")
        if not torch.equal(seen, expected):
            yield Wrong(f"the {what} are not those of the data, or in another order")
        yield Right(f"the {what}: {tuple(expected.shape)}")
    most, times = data.fetched.most_common(1)[0]
    if times > 1:
        yield Wrong(f"sample {most} is fetched {times} times; each fetch is expensive")
    yield Right("each sample is fetched once")


@exercise(
    "shuffled_batches",
    question="If you had the numbers of all samples in a random order, what would a batch be?",
    nudge="`torch.randperm` gives the order. A tensor has `split`, which cuts it into parts of "
    "one size, the last one shorter. Index `data` with each part, and `yield` what you "
    "get.",
)
def shuffled_batches(answer: Any) -> Findings:
    """One epoch of whole batches, in a new order."""
    data = Indexed(60)
    orders = []
    for epoch in (1, 2):
        data.calls = 0
        given = answer(data, 16)
        if not isinstance(given, Iterable):
            yield Wrong(f"it returns {given!r:.40}, but one can not go through that: yield?")
        batches = list(given)
        unlike = [batch for batch in batches if not isinstance(batch, tuple) or len(batch) != 2]
        if unlike:
            yield Wrong(f"a batch is {unlike[0]!r:.60}, but a pair (x, y) is expected")
        sizes = [len(x) for x, _ in batches]
        if sizes != [16, 16, 16, 12]:
            hint = ": the short last one is missing" if sizes == [16, 16, 16] else ""
            yield Wrong(
                f"60 samples, batch_size 16: batches of {sizes}, not [16, 16, 16, 12]{hint}"
            )
        if data.calls != len(batches):
            yield Wrong(f"data is indexed {data.calls} times for {len(batches)} batches")
        order = torch.cat([x for x, _ in batches])
        if not torch.equal(order, torch.cat([y for _, y in batches])):
            yield Wrong(
                "x and y of a batch belong to different samples: are they indexed together?"
            )
        times = order.bincount(minlength=60)
        if times.max() > 1:
            yield Wrong(f"sample {int(times.argmax())} comes more than once, so others never come")
        yield Right(f"epoch {epoch}: every sample once, in batches of {sizes}, one index for each")
        orders.append(order)
    steps = (orders[0].diff() == 1).sum()
    if steps == 59:
        yield Wrong("the samples come in the order of the data: what shuffles them?")
    if steps > 30:
        yield Wrong("the batches are shuffled, but in each of them are neighbours of the data")
    if torch.equal(*orders):
        yield Wrong("both epochs have the same order; each call should draw a new one")
    yield Right("a random order, and another one in the second epoch")


@exercise(
    "evaluate_without_waiting",
    question="While the loop runs, what should a sum be: a number or a tensor?",
    nudge="Begin both sums as tensors, and add tensors to them: nothing has to be read. How "
    "many samples there were is known without asking the device. After the loop, read "
    "two values.",
)
def evaluate_without_waiting(answer: Any) -> Findings:
    """Loss and accuracy, with no value read in the loop."""
    loader = list(small_loader())  # a DataLoader would itself read a seed
    right = recorded(lambda n, f, _: right_evaluation(n, f, loader), training=True)
    with Reads() as reads:
        yours = recorded(lambda n, f, _: reads.watch(answer)(n, f, loader), training=True)
    fault = evaluation_fault(yours, right, len(loader))
    if fault:
        yield Wrong(f"evaluation, {fault}")
    yield Right(f"all {len(loader)} batches, without dropout and without learning")
    result = yours.returned
    fault = keys_fault(result, "loss", "acc")
    if fault:
        yield Wrong(fault)
    shares = [
        float((step.y_hat.argmax(dim=1) == y).float().mean())
        for step, (_, y) in zip(right.steps, loader, strict=True)
    ]
    for name, said, parts in (("loss", "loss", right.losses), ("acc", "accuracy", shares)):
        fault = mean_fault(said, result[name], parts, right.sizes)
        if fault:
            yield Wrong(fault)
        yield Right(f"the {said}, over all samples")
    if reads.number > 2:
        yield Wrong(
            f"{reads.number} values are read in {len(loader)} batches, the first by "
            f"`{reads.first}`: can the sums stay tensors until the end?"
        )
    yield Right(f"{reads.number} values are read")


# ---- data that counts, and a count of waiting


class Fetched:
    """A dataset in the style of torchvision that counts how often each sample is fetched."""

    def __init__(self, samples: int) -> None:
        self.images = torch.randn(samples, 1, 4, 4)
        self.fetched: Counter[int] = Counter()

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        if not 0 <= index < len(self):
            raise IndexError(f"there is no sample {index}")
        self.fetched[index] += 1
        return self.images[index].clone(), len(self) - 1 - index


class Indexed:
    """A dataset that takes several indices at once, and counts how often it is asked."""

    def __init__(self, samples: int) -> None:
        self.numbers = torch.arange(samples)
        self.calls = 0

    def __len__(self) -> int:
        return len(self.numbers)

    def __getitem__(self, index: Any) -> tuple[Tensor, Tensor]:
        self.calls += 1
        return self.numbers[index], self.numbers[index].clone()


class Reads(TorchFunctionMode):
    """Counts how often the value of a tensor is read, for which a graphics card must wait."""

    NAMES = (
        "item", "tolist", "numpy", "cpu", "__float__", "__int__", "__bool__", "__index__",
        "__array__", "__format__", "__repr__",
    )  # fmt: skip

    def __init__(self) -> None:
        super().__init__()
        self.number = 0
        self.first = ""
        self.watching = False

    def watch(self, function: Any) -> Any:
        """The function; while it runs, reads count."""

        def watched(*given: Any) -> Any:
            self.watching = True
            try:
                return function(*given)
            finally:
                self.watching = False

        return watched

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = getattr(func, "__name__", "")
        if self.watching and name in self.NAMES:
            self.number += 1
            self.first = self.first or name
        return func(*args, **(kwargs or {}))
