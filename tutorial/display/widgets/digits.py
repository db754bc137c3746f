"""Classify a drawn digit; quantise a network to int8 for the web page."""

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import nn

from tutorial.checks import kind_of, shape_of
from tutorial.data.mnist import treats_all_alike
from tutorial.running import in_evaluation_mode

Transform = Callable[[torch.Tensor], torch.Tensor] | None

LIMIT = 450_000  # bytes of weights that a page may be given to carry


def network_of(model: Any) -> nn.Module:
    """The network of a Model, or the network itself.

    Raises:
        TypeError: model is neither.
    """
    network = getattr(model, "network", model)
    if not isinstance(network, nn.Module):
        raise TypeError(
            f"model is {kind_of(model)}, but a tutorial.Model is expected, or an nn.Module."
        )
    return network


def probabilities(network: nn.Module, transform: Transform, picture: bytes) -> list[float]:
    """The network's prediction for a picture: a probability for each digit.

    The network's mode and the state of the random generators stay as they were.

    Args:
        network: gives ten scores, (1, 10), for a picture (1, 1, 28, 28).
        transform: what the training data went through, as in `datasets.MNIST`.
        picture: 28 rows of 28 pixels, one byte each: 0 is paper, 255 ink.

    Raises:
        ValueError: the network cannot take the picture, or gives something else.

    Example:
        >>> fair = nn.Sequential(nn.Flatten(), nn.Linear(784, 10))
        >>> _ = nn.init.zeros_(fair[1].weight), nn.init.zeros_(fair[1].bias)
        >>> round(probabilities(fair, None, bytes(784))[7], 4)
        0.1
    """
    x = torch.frombuffer(bytearray(picture), dtype=torch.uint8).reshape(1, 28, 28).float()
    somewhere = next(network.parameters(), x)  # the device and the type of the weights
    with in_evaluation_mode(network=network) as own, torch.no_grad():
        x = (x if transform is None else transform(x)).unsqueeze(0).to(somewhere)
        try:
            y_hat = own["network"](x)
        except RuntimeError as error:
            raise ValueError(
                f"the network cannot take a picture, x of shape {shape_of(x)}: {error}. Draw for a "
                "network of MNIST's digits, with the transform that its training data had."
            ) from error
    if not isinstance(y_hat, torch.Tensor) or shape_of(y_hat) != (1, 10):
        raise ValueError(
            f"for a picture the network gives {kind_of(y_hat)}, but a tensor of shape (1, 10) is "
            "expected: a score for each digit."
        )
    if not y_hat.isfinite().all():
        raise ValueError(
            "the network's scores are not finite: its weights have become infinite or nan. Train "
            "it again with a smaller learning rate."
        )
    return y_hat[0].float().softmax(0).tolist()


def quantised(network: nn.Module, transform: Transform) -> dict[str, Any]:
    """The network as JavaScript takes it: each weight an integer from -127 to 127.

    A row of a weight matrix has a scale of its own, by which its largest weight becomes 127; so a
    weight is off by 1/254 of the largest one in its row, at most. Biases stay float32.

    Args:
        network: an nn.Sequential of Flatten, Linear, ReLU and Dropout.
        transform: None, Normalize or a Compose of it; it becomes x = scale * pixel + shift.

    Returns:
        {'scale': ..., 'shift': ..., 'layers': [...]}, a dict for each layer: {'kind': 'relu'}, or
        {'kind': 'linear', 'weight': int8, 'scale': float32, 'bias': float32}, all three as bytes.

    Raises:
        ValueError: a layer or the transform is of another kind, or the weights take too much room.

    Example:
        >>> network = nn.Sequential(nn.Flatten(), nn.Linear(784, 10))
        >>> len(quantised(network, None)["layers"][0]["weight"])
        7840
    """
    layers = list(_in_turn(network))
    first = layers[0] if layers else None
    if type(first) is not nn.Flatten:
        raise ValueError(
            f"the network begins with {first}, but embed=True needs nn.Flatten() there: a page "
            "takes a picture as one row of 784 pixels."
        )
    if not treats_all_alike(transform):
        raise ValueError(
            f"transform is {transform!r}, but embed=True takes Normalize, or a Compose of it. With "
            "embed=False it runs in Python, and may be anything."
        )
    linear = [layer for layer in layers if isinstance(layer, nn.Linear)]
    size = sum(layer.weight.numel() + 8 * layer.out_features for layer in linear)
    if size > LIMIT:
        raise ValueError(
            f"in 8 bits the network's weights take {size / 1000:,.0f} KB, but embed=True puts at "
            f"most {LIMIT // 1000} KB into a page. Take a smaller network (784-512-10 has 411 KB), "
            "or embed=False, which predicts in Python."
        )
    ends = torch.tensor([0.0, 255.0]).reshape(2, 1, 1, 1)
    paper, ink = (ends if transform is None else transform(ends)).flatten().tolist()
    return {
        "scale": (ink - paper) / 255,
        "shift": paper,
        "layers": [
            _quantised(layer) if isinstance(layer, nn.Linear) else {"kind": "relu"}
            for layer in layers
            if isinstance(layer, nn.Linear | nn.ReLU)  # the others change nothing in a prediction
        ],
    }


def _in_turn(network: nn.Module) -> Iterator[Any]:
    """The layers, in the order in which x passes through them."""
    if type(network) is nn.Sequential:
        for layer in network:
            yield from _in_turn(layer)
    elif type(network) in (nn.Flatten, nn.Linear, nn.ReLU, nn.Dropout):
        yield network
    else:
        raise ValueError(
            f"the network holds {type(network).__name__}, but embed=True knows nn.Sequential of "
            "Flatten, Linear, ReLU and Dropout. With embed=False it runs in Python, and may be "
            "any network."
        )


def _quantised(layer: nn.Linear) -> dict[str, Any]:
    """A linear layer with int8 weights: weight = scale of its row * int8."""
    weight = layer.weight.detach().cpu().float()
    scale = weight.abs().amax(dim=1, keepdim=True) / 127
    scale[scale == 0] = 1.0  # of a row of zeros: any scale will do
    bias = torch.zeros(len(weight)) if layer.bias is None else layer.bias.detach().cpu().float()
    return {
        "kind": "linear",
        "weight": (weight / scale).round().to(torch.int8).numpy().tobytes(),
        "scale": scale.numpy().astype("<f4").tobytes(),
        "bias": bias.numpy().astype("<f4").tobytes(),
    }
