"""Networks that are written out to the last operation, each with a little data."""

from collections.abc import Callable
from typing import Any

import torch
import torchvision
from torch import Tensor, nn

SAMPLES = 11  # in batches of 4: the last one is short


class Gpt(nn.Module):
    """Two blocks with causal attention; the last layer's weights are the embedding's."""

    def __init__(self, words: int = 12, width: int = 8, length: int = 6) -> None:
        super().__init__()
        self.embed = nn.Embedding(words, width)
        self.place = nn.Parameter(torch.randn(length, width))
        blocks = [
            nn.TransformerEncoderLayer(width, 2, 16, dropout=0.1, batch_first=True)
            for _ in range(2)
        ]
        self.blocks = nn.ModuleList(blocks)
        self.out = nn.Linear(width, words, bias=False)
        self.out.weight = self.embed.weight

    def forward(self, x: Tensor) -> Tensor:
        mask = nn.Transformer.generate_square_subsequent_mask(x.shape[1])
        h = self.embed(x) + self.place[: x.shape[1]]
        for block in self.blocks:
            h = block(h, src_mask=mask)
        return self.out(h).transpose(1, 2)


class Recurrent(nn.Module):
    """An embedding, a recurrent layer, and a linear one on its last output."""

    def __init__(self, kind: Any) -> None:
        super().__init__()
        self.embed, self.cell, self.out = nn.Embedding(12, 6), kind, nn.Linear(5, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.out(self.cell(self.embed(x))[0][:, -1])


class TwoHeads(nn.Module):
    """Two inputs and two outputs."""

    def __init__(self) -> None:
        super().__init__()
        self.left, self.right = nn.Linear(4, 6), nn.Linear(3, 6)
        self.kind, self.size = nn.Linear(6, 3), nn.Linear(6, 1)

    def forward(self, a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
        h = torch.tanh(self.left(a) + self.right(b))
        return self.kind(h), self.size(h)


class Residual(nn.Module):
    """A function of PyTorch's in forward, a sum, and a layer that is used twice."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.twice, self.last = nn.Linear(4, 6), nn.Linear(6, 6), nn.Linear(6, 3)

    def forward(self, x: Tensor) -> Tensor:
        h = nn.functional.silu(self.first(x))
        h = h + torch.relu(self.twice(h))
        return self.last(h * self.twice(h).sigmoid())


def images(size: int, channels: int = 1) -> Tensor:
    return torch.rand(SAMPLES, channels, size, size)


def words() -> Tensor:
    return torch.randint(12, (SAMPLES, 6))


def mlp() -> nn.Module:
    return nn.Sequential(
        nn.Flatten(), nn.Linear(64, 16), nn.ReLU(), nn.Dropout(0.2), nn.Linear(16, 3)
    )


def lenet() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(1, 4, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(4, 6, 3), nn.ReLU(),
        nn.MaxPool2d(2), nn.Flatten(), nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 3),
    )  # fmt: skip


def normed() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.GELU(), nn.AvgPool2d(2),
        nn.Conv2d(4, 6, 3, stride=2, padding=1, groups=2), nn.BatchNorm2d(6), nn.SiLU(),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.LayerNorm(6), nn.Tanh(), nn.Linear(6, 3),
    )  # fmt: skip


def autoencoder() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(1, 4, 3, stride=2, padding=1), nn.LeakyReLU(), nn.ConvTranspose2d(4, 1, 2, 2),
        nn.Sigmoid(),
    )  # fmt: skip


def vit() -> nn.Module:
    return torchvision.models.VisionTransformer(
        image_size=8, patch_size=4, num_layers=1, num_heads=2, hidden_dim=8, mlp_dim=16,
        num_classes=3,
    )  # fmt: skip


def resnet18() -> nn.Module:
    return torchvision.models.resnet18(num_classes=3)


def classes(count: int = 3) -> Tensor:
    return torch.arange(SAMPLES) % count


# Of each: the network, its data, and its loss; for two heads, both losses.
NETWORKS: dict[str, tuple[Callable[[], nn.Module], Callable[[], tuple[Any, ...]], Any]] = {
    "mlp": (mlp, lambda: (images(8), classes()), nn.CrossEntropyLoss()),
    "lenet": (lenet, lambda: (images(8), classes()), nn.CrossEntropyLoss()),
    "batch norm": (normed, lambda: (images(8), classes()), nn.CrossEntropyLoss()),
    "gpt": (Gpt, lambda: (words(), words()), nn.CrossEntropyLoss()),
    "gru": (
        lambda: Recurrent(nn.GRU(6, 5, batch_first=True)),
        lambda: (words(), classes()), nn.CrossEntropyLoss(),
    ),
    "lstm": (
        lambda: Recurrent(nn.LSTM(6, 5, batch_first=True)),
        lambda: (words(), classes()), nn.CrossEntropyLoss(),
    ),
    "vit": (vit, lambda: (images(8, 3), classes()), nn.CrossEntropyLoss()),
    "autoencoder": (autoencoder, lambda: (x := images(8), x), nn.MSELoss()),
    "two heads": (
        TwoHeads,
        lambda: ((torch.randn(SAMPLES, 4), torch.randn(SAMPLES, 3)),
                 (classes(), torch.randn(SAMPLES, 1))),
        [nn.CrossEntropyLoss(), nn.MSELoss()],
    ),
    "residual": (Residual, lambda: (torch.randn(SAMPLES, 4), classes()), nn.CrossEntropyLoss()),
    "resnet18": (resnet18, lambda: (images(32, 3), classes()), nn.CrossEntropyLoss()),
}  # fmt: skip
