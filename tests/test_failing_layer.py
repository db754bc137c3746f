"""A network that cannot compute: the layer is named, or the line of the user's own."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn
from torch.utils.data import TensorDataset

import tutorial as tl

X, Y = torch.zeros(6, 1, 8, 8), torch.arange(6) % 3


def told(network: nn.Module, x: torch.Tensor = X) -> str:
    """What the refusal says of such a network."""
    model = tl.Model(network)
    model.prepare(torch.optim.SGD(model.parameters(), lr=0.1), nn.CrossEntropyLoss())
    with pytest.raises(ValueError, match="train_data: ") as error:
        model.fit(TensorDataset(x, Y), verbose=0)
    assert model.history is None
    return str(error.value)


class Block(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.hidden = nn.Linear(16, 8)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.hidden(x)


def flat(*layers: nn.Module) -> nn.Sequential:
    return nn.Sequential(nn.Flatten(), *layers)


LAYERS: list[tuple[Callable[[], nn.Module], str, str]] = [
    (
        lambda: flat(nn.Linear(64, 32), nn.ReLU(), nn.Linear(46, 3)),
        "layer 3, Linear(46, 3), gets 32 numbers, and takes 46",
        "Make it Linear(32, 3), or let it get 46 numbers.",
    ),
    (
        lambda: nn.Sequential(nn.Linear(64, 3)),
        "layer 0, Linear(64, 3), gets 8 numbers",
        "Is nn.Flatten() missing before it?",
    ),
    (lambda: nn.Linear(3, 3), "the network, Linear(3, 3), gets 8 numbers", "Make it Linear(8, 3)"),
    (lambda: flat(nn.Linear(64, 4), Block()), "layer 2.hidden, Linear(16, 8), gets 4 numbers", ""),
    (
        lambda: nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten()),
        "layer 0, Conv2d(3, 4, kernel_size=(3, 3), stride=(1, 1)), gets 1 channel, and takes 3",
        "Let it take 1 channel, or get 3.",
    ),
    (
        lambda: nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(5), nn.Flatten()),
        "layer 1, BatchNorm2d(5), gets 4 channels, and takes 5",
        "Let it take 4 channels, or get 5.",
    ),
    (lambda: flat(nn.Unflatten(1, (8, 8)), nn.GRU(4, 3)), "layer 2, GRU(4, 3), gets 8 numbers", ""),
    (
        lambda: nn.Sequential(nn.Conv1d(1, 4, 3), nn.Flatten()),
        "layer 0, Conv1d(1, 4, kernel_size=(3,), stride=(1,)), gets a tensor of shape (6, 1, 8, 8)",
        "",
    ),
]


@pytest.mark.parametrize(("network", "layer", "fix"), LAYERS)
def test_the_layer_that_fails_is_named(
    network: Callable[[], nn.Module], layer: str, fix: str
) -> None:
    message = told(network())
    assert layer in message
    assert fix in message
    assert "first layer" not in message


def test_images_without_channels_or_with_the_channels_last() -> None:
    network = nn.Sequential(nn.Conv2d(1, 4, 3), nn.Flatten(), nn.Linear(144, 3))
    assert "no channels yet: x.unsqueeze(1)" in told(network, X[:, 0])
    assert "channels come first: x.movedim(-1, 1)" in told(network, X.movedim(1, -1))


class Own(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.hidden = nn.Linear(64, 3)
        self.layers = [nn.Linear(3, 3)]


class Typo(Own):
    def forward(self, x: torch.Tensor) -> Any:
        return self.hiden(x)


class Unknown(Own):
    def forward(self, x: torch.Tensor) -> Any:
        return self.hidden(images)  # type: ignore[name-defined]  # noqa: F821


class NoReturn(Own):
    def forward(self, x: torch.Tensor) -> None:
        self.hidden(x.flatten(1))


class Misspelt(Own):
    def foward(self, x: torch.Tensor) -> Any:
        return self.hidden(x.flatten(1))


class Calls(Own):
    def forward(self, x: torch.Tensor) -> Any:
        return self.layers(x)  # type: ignore[operator]


class Inside(Own):
    def __init__(self) -> None:
        super().__init__()
        self.inner = Misspelt()

    def forward(self, x: torch.Tensor) -> Any:
        return self.inner(x)


class View(Own):
    def forward(self, x: torch.Tensor) -> Any:
        return self.hidden(x.view(6, 65))


MISTAKES = [
    (Typo, "Typo.forward stops: AttributeError: 'Typo' object has no attribute 'hiden'. Do you"),
    (Typo, "Do you mean self.hidden?"),
    (Unknown, "Unknown.forward stops: NameError: name 'images' is not defined."),
    (NoReturn, "the network returns None: is `return` missing in its forward?"),
    (Misspelt, "Misspelt has no method forward: is it misspelt, foward?"),
    (Calls, "Calls.forward stops: TypeError: 'list' object is not callable."),
    (Inside, "Misspelt has no method forward"),
]


@pytest.mark.parametrize(("network", "words"), MISTAKES)
def test_a_mistake_in_forward_is_not_blamed_on_the_data(network: Any, words: str) -> None:
    message = told(network())
    assert words in message
    assert "cannot take its inputs" not in message


def test_what_may_be_the_inputs_fault_shows_both() -> None:
    message = told(View())
    assert "cannot take its inputs, a tensor of shape (6, 1, 8, 8)" in message
    assert message.endswith("shape '[6, 65]' is invalid for input of size 384.")


def test_the_layer_is_named_at_a_later_step_too() -> None:
    model = tl.Model(flat(nn.Linear(64, 3)))
    model.prepare(torch.optim.SGD(model.parameters(), lr=0.1), nn.CrossEntropyLoss())
    with pytest.raises(RuntimeError, match="shapes cannot be multiplied") as error:
        model.fit([(X, Y), (X[:, :, 1:], Y)], verbose=0)
    where, layer = error.value.__notes__
    assert where.startswith("(in epoch 1, step 2")
    assert layer == "(layer 1, Linear(64, 3), gets 56 numbers, and takes 64)"


def test_a_loss_that_returns_nothing() -> None:
    model = tl.Model(flat(nn.Linear(64, 3)))
    model.prepare(torch.optim.SGD(model.parameters(), lr=0.1), lambda y_hat, y: None)
    with pytest.raises(ValueError, match=r"returns None, but one number .* `return` missing"):
        model.fit(TensorDataset(X, Y), verbose=0)
