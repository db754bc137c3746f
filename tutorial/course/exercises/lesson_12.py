"""The exercises of lesson 12: data parallel training."""

from typing import Any

import torch

from tutorial.course.exercises.compare import near
from tutorial.course.exercises.registry import Findings, exercise
from tutorial.course.exercises.verdict import Right, Wrong


@exercise(
    "fair_share",
    question="10 samples on 4 processes: where does the part of each begin, if none is more than "
    "one longer than another?",
    nudge="The part of `rank` begins after `rank / processes` of all samples, rounded down, "
    "and it ends where the next one begins. `//` rounds down.",
)
def fair_share(answer: Any) -> Findings:
    """A run of samples for each process."""
    for samples, processes in ((8, 2), (10, 4), (2, 3)):
        said = f"{samples} samples, {processes} processes"
        parts = [answer(samples, rank, processes) for rank in range(processes)]
        for rank, part in enumerate(parts):
            if not isinstance(part, list):
                yield Wrong(f"{said}: process {rank} gets {part!r:.40}, but a list is expected")
        given = [number for part in parts for number in part]
        missing = [number for number in range(samples) if number not in given]
        if missing:
            yield Wrong(f"{said}: nobody has sample {missing[0]}. Is there a remainder?")
        twice = [number for number in given if given.count(number) > 1]
        if twice:
            yield Wrong(f"{said}: sample {twice[0]} is there {given.count(twice[0])} times")
        if len(given) > samples:
            yield Wrong(f"{said}: {max(given)} is too large: the samples count from 0")
        if given != sorted(given):
            yield Wrong(
                f"{said}: process 0 has {parts[0]}, so the order is lost when the processes' "
                "results are put one behind the other. Are these neighbours?"
            )
        sizes = [len(part) for part in parts]
        if max(sizes) - min(sizes) > 1:
            yield Wrong(f"{said}: they have {sizes}. Can the remainder be spread more evenly?")
        yield Right(f"{said}: {', '.join(map(str, sizes))} samples, in order")


@exercise(
    "gradient_of_all",
    question="One process has 3 samples, another has 1. Whose gradient counts for more, and by "
    "how much?",
    nudge="A mean times its count is a sum. Add up the sums of all processes, and divide by "
    "the number of all samples.",
)
def gradient_of_all(answer: Any) -> Findings:
    """The gradient of a batch from those of its parts."""
    gradients = [torch.tensor([3.0, -1.0]), torch.tensor([1.0, 1.0]), torch.tensor([-2.0, 5.0])]
    for counts in ([32, 32, 32], [14, 13, 13], [3, 1, 1]):
        said = f"parts of {', '.join(map(str, counts))} samples"
        yours = answer([gradient.clone() for gradient in gradients], list(counts))
        if not isinstance(yours, torch.Tensor) or yours.shape != (2,):
            yield Wrong(f"{said}: it returns {yours!r:.60}, but a gradient (2,) is expected")
        samples = sum(counts)
        weighted = torch.stack([g * n for g, n in zip(gradients, counts, strict=True)]).sum(0)
        expected = weighted / samples
        causes = {
            "every process counts alike, but they have not the same number of samples": (
                torch.stack(gradients).mean(0)
            ),
            "that is a sum; the gradient of a mean loss is a mean": torch.stack(gradients).sum(0),
            "the samples' gradients are added up; divide by how many there are in all": weighted,
            "divide by the number of samples, not of processes": weighted / len(counts),
        }
        if not torch.allclose(yours, expected):
            told = (text for text, other in causes.items() if torch.allclose(yours, other))
            cause = next(told, "")
            yield Wrong(f"{said}: {shown(yours)}, not {shown(expected)}{cause and ': ' + cause}")
        yield Right(f"{said}: the mean over all {samples} samples")


@exercise(
    "bytes_sent",
    question="How large is one piece, and how many pieces does one process send on both ways "
    "around the ring?",
    nudge="All weights are cut into as many pieces as there are processes. Both ways have one "
    "round less than that. Try it with one process: does nothing remain?",
)
def bytes_sent(answer: Any) -> Findings:
    """What one process sends in a ring."""
    for weights, processes, bytes_each in ((1200, 1, 4), (1200, 3, 4), (1200, 2, 4), (1200, 3, 2)):
        some = "1 process" if processes == 1 else f"{processes} processes"
        said = f"{weights} weights of {bytes_each} bytes, {some}"
        yours = answer(weights, processes, bytes_each)
        if not isinstance(yours, int | float):
            yield Wrong(f"{said}: it returns {yours!r:.40}, but a number is expected")
        whole = weights * bytes_each
        expected = 2 * (processes - 1) * whole / processes
        causes = {
            "that is half the way: who tells all of the sums?": expected / 2,
            "each round sends one piece, not the whole gradient": expected * processes,
            "these are numbers; how many bytes has one?": expected / bytes_each,
            "one process alone has nobody to send to": 2 * whole / processes,
            "this does not depend on the number of processes, but it should": 2 * whole,
        }
        if not near(yours, expected):
            cause = next((text for text, other in causes.items() if near(yours, other)), "")
            yield Wrong(f"{said}: {yours:,.0f}, not {expected:,.0f}{cause and ': ' + cause}")
        yield Right(f"{said}: {expected:,.0f} bytes")


def shown(gradient: torch.Tensor) -> str:
    """A gradient with few digits."""
    return str([round(number, 3) for number in gradient.tolist()])
