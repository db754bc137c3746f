"""Small data sets, networks and callbacks that several tests share."""

from typing import Any

import torch
from torch import nn
from torch.utils.data import Dataset, IterableDataset

import tutorial as tl


class OneByOne(Dataset):
    """The same data, but it must be asked for one sample at a time."""

    def __init__(self, data: Any) -> None:
        self.data = data

    def __len__(self) -> int:
        return len(self.data)

    def __getitem__(self, index: int) -> Any:
        if not isinstance(index, int):
            raise TypeError("one at a time")
        return self.data[index]


class Stream(IterableDataset):
    """The same data, and nobody knows what comes next."""

    def __init__(self, data: Any) -> None:
        self.data = data

    def __iter__(self) -> Any:
        return (self.data[i] for i in range(len(self.data)))


class Samples(Dataset):
    """A data set that must be asked for one sample at a time, and forgets how it was made."""

    def __init__(self, count: int, keys: tuple[str, ...] = ()) -> None:
        self.keys = keys
        self.x = torch.randn(count, 8)
        self.y = (self.x @ torch.randn(8, 3)).argmax(1)

    def whole(self) -> tuple[torch.Tensor, ...]:
        """The inputs and the labels; of two heads, two of each."""
        if "left" in self.keys:
            return self.x[:, :5], self.x[:, 5:], self.y, (self.y > 0).long()
        return self.x, self.y

    def __len__(self) -> int:
        return len(self.x)

    def __getitem__(self, index: int) -> Any:
        if not isinstance(index, int):
            raise TypeError("one at a time")
        return tuple(part[index] for part in self.whole())


class Dicts(Samples):
    def __getitem__(self, index: int) -> Any:
        return dict(zip(self.keys, super().__getitem__(index), strict=True))


class Normed(nn.Module):
    def __init__(self, hidden: int = 16) -> None:
        super().__init__()
        self.hidden = hidden
        self.layers = nn.Sequential(
            nn.Linear(8, hidden), nn.BatchNorm1d(hidden), nn.Linear(hidden, 3)
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layers(torch.tanh(x))


class TwoHeads(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.left, self.right = nn.Linear(5, 8), nn.Linear(3, 8)
        self.heads = nn.ModuleList([nn.Linear(8, 3), nn.Linear(8, 2)])

    def forward(self, left: torch.Tensor, right: torch.Tensor) -> list[torch.Tensor]:
        hidden = torch.tanh(self.left(left) + self.right(right))
        return [head(hidden) for head in self.heads]


class Averaging(torch.optim.SGD):
    """As schedule-free ones do: eval() gives the network the mean of its weights so far."""

    def __init__(self, params: Any, lr: float = 0.1, fused: bool | None = None) -> None:
        super().__init__(params, lr, fused=fused)
        for group in self.param_groups:
            group |= {"trains": False, "steps": 0}

    def train(self) -> None:
        self.turn(True)

    def eval(self) -> None:
        self.turn(False)

    @torch.no_grad()
    def turn(self, trains: bool) -> None:
        """Where the mode is another one, weights and means change places."""
        for group in self.param_groups:
            for weight in group["params"] if group["trains"] != trains else ():
                if weight in self.state:
                    mean = self.state[weight]["mean"]
                    last = weight.clone()
                    weight.copy_(mean)
                    mean.copy_(last)
            group["trains"] = trains

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:
        for group in self.param_groups:
            if not group["trains"]:
                raise RuntimeError("not in train mode")
            group["steps"] += 1
        super().step()
        for group in self.param_groups:
            for weight in group["params"]:
                mean = self.state[weight].setdefault("mean", torch.zeros_like(weight))
                mean.lerp_(weight, 1 / group["steps"])


class Recorder(tl.callbacks.Callback):
    """Keeps what it is told."""

    def on_train_begin(self, logs: Any = None) -> None:
        self.logs: list[Any] = [logs]

    def on_train_batch_end(self, step: int, logs: Any = None) -> None:
        self.logs.append((step, logs))

    def on_eval_end(self, logs: Any = None) -> None:
        self.logs.append(logs)
