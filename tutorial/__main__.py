"""`make demo`: train on real data, look at the loop that did it, prove it, and look deeper."""

import time
from pathlib import Path
from textwrap import fill
from typing import Any

import torch
from torch import nn
from torch.utils.data import Dataset, TensorDataset
from torchvision.transforms import Normalize

import tutorial as tl
from tutorial.depth.depths import DEPTHS
from tutorial.unroll.program import Program
from tutorial.unroll.proof import Proof

BUILD = Path("build")
PICTURE = BUILD / "digits.png"


def main() -> None:
    """The lesson's main job, from the data to the proof."""
    tl.seed(0)
    transform = Normalize(mean=[127.5], std=[127.5])  # pixels 0..255 become -1..1
    train_data = tl.datasets.MNIST(mode="train", transform=transform)
    test_data = tl.datasets.MNIST(mode="test", transform=transform)
    network = nn.Sequential(
        nn.Flatten(),
        nn.Linear(784, 512),
        nn.ReLU(),
        nn.Dropout(0.2),
        nn.Linear(512, 10),
    )
    model = tl.Model(network)
    model.prepare(
        optimizer=torch.optim.Adam(model.parameters(), lr=1e-3),
        loss=nn.CrossEntropyLoss(),
        metrics=tl.metrics.Accuracy(),
    )

    say(f"Train on {len(train_data):,} digits, on {tl.get_device()}")
    program = model.unroll("fit", train_data, batch_size=64, epochs=1)  # remembers where we begin
    history = model.fit(train_data, batch_size=64, epochs=1)
    print(history)

    say(f"Evaluate on {len(test_data):,} others")
    print(model.evaluate(test_data, batch_size=1000, verbose=0))

    say("Predict")
    scores = model.predict(test_data, batch_size=1000, stack_outputs=True, verbose=0)[0]
    predicted = scores.argmax(dim=1)
    wrong = predicted != test_data.targets
    dozen = torch.cat([(~wrong).nonzero()[:9], wrong.nonzero()[:3]]).flatten()
    BUILD.mkdir(exist_ok=True)
    figure = tl.show(test_data.data[dozen], test_data.targets[dozen], predicted[dozen])
    figure.savefig(PICTURE, dpi=120)
    print(f"{int(wrong.sum())} of them wrong; a dozen are in {PICTURE}")

    say("The loop that model.fit ran, as a textbook prints it")
    print(program)

    say("The proof: the same loop as a script, alone in a fresh process")
    proof = program.verify(history)
    print(proof)

    few = TensorDataset(*train_data[:10_000])
    say(f"All the way down: the same call, written out further, on {len(few):,} of the digits")
    print(f"{keep(program)} lines  as above")
    proofs = [proof, *(prove_at(depth, model, few) for depth in DEPTHS[1:])]
    print(f"compared: {proofs[-1].counts}")
    notes = dict.fromkeys(one.note for one in proofs if one.note)
    print(*(fill(note, 79) for note in notes), sep="\n")
    print(f"To read them: {BUILD}/fit_{'.py, fit_'.join(DEPTHS)}.py")
    if not all(proofs):
        raise SystemExit(1)


def prove_at(depth: str, model: tl.Model, train_data: Dataset[Any]) -> Proof:
    """Prove that the call's program at this depth does the same; print how long it is."""
    began = time.perf_counter()
    program = model.unroll("fit", train_data, batch_size=64, epochs=1, depth=depth)
    proof = program.verify()
    seconds = time.perf_counter() - began
    print(f"{keep(program)} lines  {proof.verdict}, in {seconds:.0f} s", flush=True)
    return proof


def keep(program: Program) -> str:
    """Write the program's text into a file; say its depth and how many lines it has."""
    (BUILD / f"fit_{program.depth}.py").write_text(program.source, encoding="utf-8")
    return f"{program.depth:10}{len(program.source.splitlines()):3}"


def say(title: str) -> None:
    """Begin a part."""
    print(f"\n{title}\n{'-' * len(title)}", flush=True)


if __name__ == "__main__":
    main()
