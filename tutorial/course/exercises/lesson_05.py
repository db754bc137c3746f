"""The exercises of lesson 5: evaluate and predict, line by line."""

from typing import Any

import torch

from tutorial.course.exercises.compare import apart, evaluation_fault, keys_fault, mean_fault, near
from tutorial.course.exercises.lesson_01 import recorded, small_loader
from tutorial.course.exercises.registry import Findings, exercise
from tutorial.course.exercises.verdict import Right, Wrong


@exercise(
    "predict_digits",
    forbids=("Model.predict", "Model.predict_batch"),
    question="What turns dropout off, and what becomes of a batch of scores before you keep it?",
    nudge="Evaluation mode, no gradients, and for each batch the place of the largest score. "
    "Collect the batches in a list. `torch.cat` joins them in their order.",
)
def predict_digits(answer: Any) -> Findings:
    """The class of each sample, in order."""
    loader = small_loader()
    yours = recorded(lambda n, f, _: answer(n, loader), training=True)
    right = recorded(lambda n, f, _: right_prediction(n, loader), training=True)
    fault = evaluation_fault(yours, right, len(loader))
    if fault:
        yield Wrong(f"prediction, {fault}")
    yield Right(f"all {len(loader)} batches, without dropout and without learning")
    said, expected = yours.returned, right.returned
    if isinstance(said, list | tuple):
        yield Wrong(f"it returns {len(said)} pieces, but one tensor is expected: torch.cat joins")
    if not isinstance(said, torch.Tensor):
        yield Wrong(f"it returns {said!r:.60}, but a tensor is expected: is it returned?")
    if said.shape == (len(expected), 3):
        yield Wrong("these are scores, three for each sample; which class has the highest one?")
    if said.shape != expected.shape:
        last = yours.steps[-1].x
        causes = {
            (len(last),): ": that is the last batch alone",
            (3 * len(loader),): ": argmax over the samples? dim=1 are the classes",
        }
        hint = causes.get(tuple(said.shape), "")
        yield Wrong(f"the shape is {tuple(said.shape)}, not {tuple(expected.shape)}{hint}")
    if said.is_floating_point():
        yield Wrong(f"the type is {said.dtype}; class numbers are integers: argmax gives them")
    if not torch.equal(said, expected):
        first = int((said != expected).nonzero()[0])
        backwards = torch.equal(said.sort().values, expected.sort().values)
        hint = ": these are the right classes in another order" if backwards else ""
        yield Wrong(f"sample {first + 1}: class {said[first]}, not {expected[first]}{hint}")
    yield Right("the class of each sample, in the order of the data")


@exercise(
    "combine_results",
    question="One computer had 1 sample, another one 3. Is the accuracy of all 4 the mean of the "
    "two accuracies?",
    nudge="Make a sum of each mean again: the mean times its samples. Add up these sums, and "
    "the samples, and divide at the end.",
)
def combine_results(answer: Any) -> Findings:
    """Several evaluations, of different sizes, to one."""
    parts = [
        {"loss": 0.5, "acc": 0.9, "samples": 600},
        {"loss": 0.25, "acc": 0.95, "samples": 300},
        {"loss": 2.0, "acc": 0.4, "samples": 100},
    ]
    for case in (parts[:1], parts):
        said = f"{len(case)} part{'s' if len(case) > 1 else ''}"
        yours = answer([dict(part) for part in case])
        fault = keys_fault(yours, "loss", "acc", "samples")
        if fault:
            yield Wrong(f"{said}: {fault}")
        sizes = [int(part["samples"]) for part in case]
        for name, full in (("loss", "loss"), ("acc", "accuracy")):
            fault = mean_fault(full, yours[name], [part[name] for part in case], sizes)
            if fault:
                yield Wrong(f"{said}: {fault.replace('batch', 'part')}")
        if yours["samples"] != sum(sizes):
            yield Wrong(f"{said}: they have {sum(sizes)} samples, not {yours['samples']!r}")
        yield Right(f"{said}: loss, accuracy and samples")


@exercise(
    "accuracy_of_surest",
    question="Is the network surer where its largest score is larger, or must a score be compared "
    "with the others of its row?",
    nudge="Make probabilities first. The largest of a row says how sure the network is, and "
    "its place which digit: `max(dim=1)` gives both. `argsort` tells the order. Keep as "
    "many as the share says, and compare their digits with their labels.",
)
def accuracy_of_surest(answer: Any) -> Findings:
    """The accuracy on those samples of which the network is surest."""
    # The largest scores are not the surest: where they are large, the other class is close.
    first = torch.tensor([0.5, 9.0, 0.0, 8.0, 2.0, 0.0, 7.3, 0.0, 1.5, 0.3])
    second = torch.tensor([0.0, 8.8, 1.0, 7.6, 0.0, 3.0, 6.7, 0.7, 0.0, 0.0])
    logits = torch.stack([first, second], dim=1)
    y = torch.tensor([0, 1, 1, 0, 0, 1, 1, 1, 0, 1])
    hits = logits.argmax(dim=1) == y
    sure = logits.softmax(dim=1).amax(dim=1)
    for count in (10, 5, 8):
        said = f"the surest {count} of {len(y)}"

        def acc(order: torch.Tensor, count: int = count) -> float:
            return float(hits[order[:count]].float().mean())

        yours = answer(logits, y, count / len(y))
        expected = acc(sure.argsort(descending=True))
        if isinstance(yours, torch.Tensor):
            yield Wrong(f"{said}: a plain number is expected: .item() takes it out of the tensor")
        if not isinstance(yours, int | float):
            yield Wrong(f"{said}: it returns {yours!r:.40}, but a number is expected")
        if not near(yours, expected):
            causes = {
                "those are the least sure ones": acc(sure.argsort()),
                "the largest scores are not the surest: what does softmax say?": acc(
                    logits.amax(dim=1).argsort(descending=True)
                ),
                "that is the accuracy on all": float(hits.float().mean()),
                "are these simply the first ones?": acc(torch.arange(len(y))),
                "a fraction is expected, from 0 to 1, not percent": 100 * expected,
                "divide by the number of those that you look at": expected * count / len(y),
            }
            cause = next((text for text, other in causes.items() if near(yours, other)), "")
            yield Wrong(f"{said}: {apart(yours, expected)}" + (f": {cause}" if cause else ""))
        yield Right(f"{said}: {expected:.4g}")


# ---- what is right


def right_prediction(network: Any, loader: Any) -> torch.Tensor:
    """The class of each sample."""
    network.eval()
    with torch.no_grad():
        return torch.cat([network(x).argmax(dim=1) for x, _ in loader])
