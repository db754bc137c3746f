"""Networks whose training is shown at each depth, as `model.unroll` writes it out."""

from typing import Any

import levels
import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.data import TensorDataset

import tutorial as tl
from tutorial.depth.shown import shown

MLP = """\
network = nn.Sequential(
    nn.Flatten(),
    nn.Linear(784, 128),
    nn.ReLU(),
    nn.Dropout(0.2),
    nn.Linear(128, 10),
)"""
LENET = """\
network = nn.Sequential(
    nn.Conv2d(1, 6, 5, padding=2),
    nn.ReLU(),
    nn.MaxPool2d(2),
    nn.Conv2d(6, 16, 5),
    nn.ReLU(),
    nn.MaxPool2d(2),
    nn.Flatten(),
    nn.Linear(400, 120),
    nn.ReLU(),
    nn.Linear(120, 10),
)"""
GPT = """\
class Block(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.heads = heads
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.proj = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.up, self.down = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(self, x):
        n, length, width = x.shape
        qkv = self.qkv(self.norm1(x)).view(n, length, 3, self.heads, width // self.heads)
        q, k, v = qkv.permute(2, 0, 3, 1, 4)
        attended = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.proj(attended.transpose(1, 2).reshape(n, length, width))
        return x + self.down(F.gelu(self.up(self.norm2(x))))


class GPT(nn.Module):
    def __init__(self, words=50, width=32, length=16):
        super().__init__()
        self.embed = nn.Embedding(words, width)
        self.place = nn.Parameter(0.02 * torch.randn(length, width))
        self.block = Block(width, heads=4)
        self.norm = nn.LayerNorm(width)
        self.out = nn.Linear(width, words, bias=False)
        self.out.weight = self.embed.weight

    def forward(self, x):
        x = self.embed(x) + self.place
        logits = self.out(self.norm(self.block(x)))
        return logits.transpose(1, 2)


network = GPT()"""
GRU = """\
class Reader(nn.Module):
    def __init__(self, words=50, width=16):
        super().__init__()
        self.embed = nn.Embedding(words, width)
        self.gru = nn.GRU(width, width, batch_first=True)
        self.out = nn.Linear(width, 2)

    def forward(self, x):
        each_step, last = self.gru(self.embed(x))
        return self.out(last[0])


network = Reader()"""


def images() -> TensorDataset:
    """Images of digits; only their shape matters."""
    return TensorDataset(torch.rand(130, 1, 28, 28), torch.randint(10, (130,)))


def texts() -> TensorDataset:
    """Sequences of 16 words; a label is the word that comes next."""
    words = torch.randint(50, (130, 17))
    return TensorDataset(words[:, :-1], words[:, 1:])


def reviews() -> TensorDataset:
    """Four words, of two classes."""
    return TensorDataset(torch.randint(50, (130, 4)), torch.randint(2, (130,)))


NETWORKS = {"mlp": (MLP, images), "lenet": (LENET, images), "gpt": (GPT, texts)}
NETWORKS["gru"] = GRU, reviews


def page_of(name: str) -> str:
    """A network's code, and below it the program of its `fit`, with a control for the depth."""
    code, data = NETWORKS[name]
    names: dict[str, Any] = {"torch": torch, "nn": nn, "F": F}
    tl.seed(0)
    exec(code, names)
    model = tl.Model(names["network"])
    model.prepare(torch.optim.SGD(model.parameters(), lr=0.1), nn.CrossEntropyLoss())
    program = model.unroll("fit", data(), epochs=5, depth="gradients")
    return f"{levels.block(code)}\n```{{raw}} html\n{shown(program)}\n```\n"
