"""What every contender does: the same networks, from the same weights, on the same data.

Nothing here imports a framework until it is asked for its things, so that each process loads one.
"""

import gzip
import math
import random
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

MNIST = Path(__file__).parents[3] / "tutorial" / "data" / "mnist"
LEARNING_RATE = 1e-3  # of Adam

# The layers that learn: (outputs, inputs) or, of a convolution, (outputs, inputs, height, width).
SHAPES: dict[str, list[tuple[int, ...]]] = {
    "mlp": [(512, 784), (10, 512)],
    "tiny": [(10, 784)],
    "lenet": [(6, 1, 3, 3), (16, 6, 5, 5), (120, 400), (84, 120), (10, 84)],
}


@dataclass(frozen=True)
class Task:
    """An epoch, an evaluation or a prediction: which network, over how many samples, in batches.

    Attributes:
        network: 'mlp' (the lesson's), 'tiny' (nearly no work, so that the rest shows) or 'lenet'.
        batch_size: samples in a batch.
        samples: the first so many of MNIST's 60,000.
        transformed: whether Pillow turns every image a little, one by one, as it is fetched.
    """

    network: str
    batch_size: int = 64
    samples: int = 60_000
    transformed: bool = False

    def steps(self) -> int:
        """The batches of an epoch."""
        return math.ceil(self.samples / self.batch_size)

    def arrays(self) -> tuple[np.ndarray, np.ndarray]:
        """Images, float32 (N, 1, 28, 28) from -1 to 1, and labels, int64 (N,)."""
        x = read("train-images-idx3-ubyte.gz", 16)[: self.samples * 784].astype(np.float32)
        x -= 127.5  # in place: what comes next is also measured by its memory
        x /= 127.5
        y = read("train-labels-idx1-ubyte.gz", 8)[: self.samples].astype(np.int64)
        return x.reshape(-1, 1, 28, 28), y

    def weights(self) -> list[tuple[np.ndarray, np.ndarray]]:
        """The weight and bias of each layer at the start, drawn as PyTorch draws them."""
        draw = np.random.default_rng(0)
        bounds = [(shape, 1 / math.sqrt(math.prod(shape[1:]))) for shape in SHAPES[self.network]]
        return [
            (
                draw.uniform(-bound, bound, shape).astype(np.float32),
                draw.uniform(-bound, bound, shape[0]).astype(np.float32),
            )
            for shape, bound in bounds
        ]

    def data(self) -> Any:
        """What those over PyTorch train on."""
        import torch
        from torch.utils.data import Dataset, TensorDataset

        if self.transformed:
            return type("Turned", (Turned, Dataset), {})(*self.arrays())
        return TensorDataset(*map(torch.from_numpy, self.arrays()))

    def torch_network(self) -> Any:
        """The network in PyTorch."""
        import torch
        from torch import nn

        layers = {
            "mlp": lambda: [
                nn.Flatten(), nn.Linear(784, 512), nn.ReLU(), nn.Dropout(0.2), nn.Linear(512, 10)
            ],
            "tiny": lambda: [nn.Flatten(), nn.Linear(784, 10)],
            "lenet": lambda: [
                nn.Conv2d(1, 6, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
                nn.Conv2d(6, 16, 5), nn.ReLU(), nn.MaxPool2d(2),
                nn.Flatten(), nn.Linear(400, 120), nn.Linear(120, 84), nn.Linear(84, 10),
            ],
        }  # fmt: skip
        network = nn.Sequential(*layers[self.network]())
        arrays = [torch.from_numpy(array) for layer in self.weights() for array in layer]
        network.load_state_dict(dict(zip(network.state_dict(), arrays, strict=True)))
        return network


class Turned:
    """A dataset with a transform in Python: each image is turned by up to 10 degrees."""

    def __init__(self, x: np.ndarray, y: np.ndarray) -> None:
        from PIL import Image

        self.images = [Image.fromarray(np.uint8(image[0] * 127.5 + 127.5)) for image in x]
        self.labels = y

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, i: int) -> tuple[np.ndarray, np.int64]:
        image = self.images[i].rotate(random.uniform(-10, 10))
        return np.asarray(image, np.float32)[np.newaxis] / 127.5 - 1, self.labels[i]


def read(name: str, start: int) -> np.ndarray:
    """The bytes of one of MNIST's files, behind its header."""
    return np.frombuffer(gzip.decompress((MNIST / name).read_bytes()), np.uint8, offset=start)
