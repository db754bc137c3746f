"""What networks do besides: it is written out in every bit, or refused, and nothing changed."""

import random
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from test_depth_gradients import ALONE, Twice, same, trained
from torch import Tensor, nn, optim
from torch.nn.utils import parametrizations, prune
from torch.nn.utils.parametrize import register_parametrization
from torch.utils.checkpoint import checkpoint
from torch.utils.data import TensorDataset

import tutorial as tl
from tutorial.depth import operations
from tutorial.unroll.proof import flat

X = torch.randn(11, 4, generator=torch.Generator().manual_seed(0))
Y = torch.arange(11) % 3


class Network(nn.Module):
    """Two layers, and what tricks are done with."""

    def __init__(self, forward: Callable[[Any, Tensor], Tensor]) -> None:
        super().__init__()
        self.does = forward
        self.fc, self.out = nn.Linear(4, 6), nn.Linear(6, 3)
        self.w = nn.Parameter(torch.randn(6, 6))
        self.register_buffer("count", torch.zeros(6))
        self.tensor, self.last, self.calls = torch.arange(6.0) / 5, None, 0
        self.large = torch.randn(6, 6).tril()
        self.generator: Any = None

    def forward(self, x: Tensor) -> Tensor:
        return self.does(self, x)


# ---- a forward: equal, or the words that refuse it

EQUAL: dict[str, Callable[[Any, Tensor], Tensor]] = {}
REFUSED: dict[str, tuple[Callable[[Any, Tensor], Tensor], str]] = {}


def equal(forward: Any) -> Any:
    EQUAL[forward.__name__] = forward
    return forward


def refused(words: str) -> Any:
    def kept(forward: Any) -> Any:
        REFUSED[forward.__name__] = forward, words
        return forward

    return kept


@equal
def adds_in_place(self: Any, x: Tensor) -> Tensor:
    x += 1
    h = self.fc(x)
    h += 1
    return self.out(F.relu_(h))


@equal
def writes_parts(self: Any, x: Tensor) -> Tensor:
    h = torch.zeros(len(x), 6)
    h[:, :4] = x
    h[:, 4:] = self.fc(x)[:, :2]
    h[h < 0] = 0
    return self.out(h.masked_fill_(h > 2, 2))


@equal
def in_place_through_a_view(self: Any, x: Tensor) -> Tensor:
    h = self.fc(x) * 1
    h.view(-1)[::2].mul_(2)
    h[:, 0].fill_(1)
    return self.out(h)


@equal
def constants(self: Any, x: Tensor) -> Tensor:
    made = torch.tensor([1.0, 2, 3, 4, 5, 6])
    made[0] = 7
    return self.out((self.fc(x) * self.tensor) @ self.large + made / torch.tensor(len(x)))


@equal
def no_gradients_inside(self: Any, x: Tensor) -> Tensor:
    with torch.no_grad():
        mean = self.fc(x).mean()
        self.fc.weight.clamp_(-0.4, 0.4)
    return self.out(self.fc(x) - mean)


@equal
def buffers_in_place(self: Any, x: Tensor) -> Tensor:
    self.count += 1
    self.count[0] += x.detach().mean()
    return self.out(self.fc(x) / self.count)


@equal
def is_checkpointed(self: Any, x: Tensor) -> Tensor:
    return self.out(checkpoint(self.fc, x, use_reentrant=False))


@equal
def checks_its_input(self: Any, x: Tensor) -> Tensor:
    if x.isnan().any():
        raise ValueError("x has a nan")
    assert x.abs().max() < 1e6, "x is too large"
    return self.out(self.fc(x))


@equal
def draws(self: Any, x: Tensor) -> Tensor:
    h = self.fc(x)[torch.randperm(len(x))]
    places = torch.randint(6, (len(x),))
    h = h * h[torch.arange(len(x)), places][:, None] + torch.randn_like(h)
    return self.out(h + F.gumbel_softmax(h) + h.gather(1, torch.multinomial(h.softmax(1), 1)))


@equal
def is_a_distribution(self: Any, x: Tensor) -> Tensor:
    mean, log_std = self.fc(x).chunk(2, 1)
    return torch.distributions.Normal(mean, log_std.exp()).rsample()


@equal
def compares_samples(self: Any, x: Tensor) -> Tensor:
    h = self.fc(x)
    return self.out(h) + ((h @ h.T).softmax(1) ** 2).mean() + (h @ h.T).sum() / len(x) ** 2


@equal
def sorts(self: Any, x: Tensor) -> Tensor:
    h = self.fc(x)
    best, _ = h.topk(3)
    return best + h.gather(1, h.argsort(1)[:, :3]) + h.sort(1)[0][:, :3] + h.max(1, True)[0]


@equal
def gathers(self: Any, x: Tensor) -> Tensor:
    h, places = self.fc(x), torch.zeros(len(x), 6, dtype=torch.long)
    h = torch.zeros_like(h).scatter_add(1, places, h) + h.index_select(1, torch.arange(6) // 2)
    return self.out(h + F.one_hot(x.argmax(1), 6))


@equal
def straight_through(self: Any, x: Tensor) -> Tensor:
    h = self.fc(x)
    return self.out(h + (h.sign() - h).detach())


@equal
def other_axes(self: Any, x: Tensor) -> Tensor:
    h = torch.stack([self.fc(x), self.fc(x).flip(1)]).mean(0).unfold(1, 3, 1).mean(-1)
    h = F.pad(h.repeat(1, 2), (0, 0))[:, :6].roll(1, 1).clamp(-1, 1)
    return self.out(torch.einsum("bi,ij->bj", h.cumsum(1), self.w))


@equal
def a_gradient_inside(self: Any, x: Tensor) -> Tensor:
    x = x.detach().requires_grad_()
    (slope,) = torch.autograd.grad(self.fc(x).square().sum(), x, create_graph=True)
    return self.out(self.fc(x)) + slope.square().sum()


@refused("asks for the value")
def branches(self: Any, x: Tensor) -> Tensor:
    return self.out(self.fc(x) if x.sum() > 0 else -self.fc(x))


@refused("asks for the value")
def repeats_by_data(self: Any, x: Tensor) -> Tensor:
    h = self.fc(x)
    for _ in range(int(x.abs().max())):
        h = torch.tanh(h)
    return self.out(h)


@refused("values decide how many numbers")
def chooses(self: Any, x: Tensor) -> Tensor:
    h = self.fc(x)
    return self.out(h) + h[h > 0].sum()


@refused("is seen|is not seen by its tracer, such as what is done with .data")
def sets_data(self: Any, x: Tensor) -> Tensor:
    h = self.fc(x)
    h.data = h.data * 2
    return self.out(h)


@refused("made again for each batch, but not by torch's operations")
def asks_numpy(self: Any, x: Tensor) -> Tensor:
    return self.out(self.fc(x) * torch.from_numpy(np.sort(x.detach().numpy().sum(0))[:1]))


@refused("another tensor in the place of the buffer count of the network")
def replaces_a_buffer(self: Any, x: Tensor) -> Tensor:
    self.count = self.count + 1
    return self.out(self.fc(x) * self.count)


@refused("forward changes network.tensor")
def changes_an_attribute(self: Any, x: Tensor) -> Tensor:
    self.tensor = self.tensor + 1
    return self.out(self.fc(x) * self.tensor)


@refused("forward changes network.tensor")
def changes_an_attribute_in_place(self: Any, x: Tensor) -> Tensor:
    self.tensor.add_(1)
    return self.out(self.fc(x) * self.tensor)


@equal
def a_number_first(self: Any, x: Tensor) -> Tensor:
    h = self.fc(x)
    return self.out(2.0**h + torch.polygamma(1, h.abs() + 1))


@refused("forward changes network.last")
def keeps_a_tensor(self: Any, x: Tensor) -> Tensor:
    h = self.fc(x)
    self.last = h.detach()
    return self.out(h)


@refused("forward changes network.calls")
def counts_its_calls(self: Any, x: Tensor) -> Tensor:
    self.calls += 1
    return self.out(self.fc(x)) / self.calls


@refused("draws from Python's random")
def throws_a_coin(self: Any, x: Tensor) -> Tensor:
    return self.out(self.fc(x)) * (1 if random.random() < 0.5 else 2)


@refused("a Generator in it of its own")
def has_a_generator(self: Any, x: Tensor) -> Tensor:
    if self.generator is None:
        return self.out(self.fc(x))
    return self.out(self.fc(x) + torch.randn(len(x), 6, generator=self.generator))


@refused("depends on the number of samples in an odd way")
def halves_the_batch(self: Any, x: Tensor) -> Tensor:
    half = len(x) // 2
    return self.out(torch.cat([self.fc(x[:half]), self.fc(x[half:])]))


@refused("torch's tracer fails in the network")
def nests(self: Any, x: Tensor) -> Tensor:
    return self.out(self.fc(torch.nested.nested_tensor([*x]).to_padded_tensor(0.0)))


def model_of(network: nn.Module, loss_fn: Any = None, optimizer: Any = None) -> tl.Model:
    model = tl.Model(network)
    made = optim.SGD(network.parameters(), lr=0.05, momentum=0.9, **ALONE)
    model.prepare(optimizer or made, loss_fn or nn.CrossEntropyLoss())
    return model


def network_of(forward: Any) -> nn.Module:
    tl.seed(0)
    network = Network(forward)
    if forward is has_a_generator:
        network.generator = torch.Generator().manual_seed(1)
    return network


def is_equal(make: Callable[[], tl.Model]) -> None:
    found = []
    for depth in ("loop", "gradients"):
        # What changes its input in place changes the data.
        found.append(trained(make, TensorDataset(X.clone(), Y), depth))
    assert same(*found) == []


def is_refused(model: tl.Model, words: str, x: Tensor = X) -> None:
    """In a sentence or two, which say what to do; and nothing has changed."""

    def state() -> Any:
        hooks = [
            (len(part._forward_hooks), len(part._forward_pre_hooks))
            for part in model.network.modules()
        ]
        random_state = torch.get_rng_state(), random.getstate(), repr(np.random.get_state())
        grads = [weight.grad for weight in model.network.parameters()]
        own = {k: v for k, v in vars(model.network).items() if not k.startswith("_")}
        return flat([dict(model.network.state_dict()), hooks, random_state, grads, own, X, Y])

    before = {k: v.clone() if isinstance(v, Tensor) else v for k, v in state().items()}
    with pytest.raises(ValueError, match=words) as error:
        model.unroll("fit", TensorDataset(x, Y), batch_size=4, depth="gradients")
    assert "depth='gradients'" in str(error.value) and str(error.value).count(". ") <= 3
    assert "depth='optimizer'" in str(error.value) or "depth='loop'" in str(error.value)
    assert same(before, state()) == []


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", EQUAL)
def test_a_forward_is_written_out(name: str) -> None:
    is_equal(lambda: model_of(network_of(EQUAL[name])))


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", REFUSED)
def test_a_forward_is_refused(name: str) -> None:
    forward, words = REFUSED[name]
    is_refused(model_of(network_of(forward)), words)


# ---- what is done to a network or a loss from outside


class Exp(nn.Module):
    def forward(self, w: Tensor) -> Tensor:
        return w.exp()


class Complex(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.w = nn.Parameter(torch.randn(4, 3, dtype=torch.complex64))

    def forward(self, x: Tensor) -> Tensor:
        return (x.to(torch.complex64) @ self.w).abs()


class Decays(nn.Module):
    """A loss that has a weight of the network's, or keeps a number."""

    def __init__(self, weight: Any = None) -> None:
        super().__init__()
        self.weight, self.calls = weight, 1

    def forward(self, y_hat: Tensor, y: Tensor) -> Tensor:
        self.calls += self.weight is None
        more = 0.0 if self.weight is None else self.weight.square().sum()
        return F.cross_entropy(y_hat, y) / self.calls + more


def knows(layer: nn.Module) -> Callable[[Tensor, Tensor], Tensor]:
    """A loss with a layer of its own, which is no module."""
    return lambda y_hat, y: F.cross_entropy(layer(y_hat), y)


def layers() -> Any:
    tl.seed(0)
    return nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 3))


def with_first(change: Callable[[nn.Module], Any]) -> Callable[[], tl.Model]:
    """A model whose first layer is changed."""

    def make() -> tl.Model:
        network = layers()
        change(network[0])
        return model_of(network)

    return make


def with_loss(make_loss: Callable[[nn.Module], Any]) -> Callable[[], tl.Model]:
    """A model with a loss that may know the network."""

    def make() -> tl.Model:
        network = layers()
        return model_of(network, make_loss(network))

    return make


def between(make_layer: Callable[[], nn.Module]) -> Callable[[], tl.Model]:
    """A model with one more layer."""

    def make() -> tl.Model:
        tl.seed(0)
        return model_of(nn.Sequential(nn.Linear(4, 6), make_layer(), nn.Linear(6, 3)))

    return make


OUTSIDE_EQUAL: dict[str, Callable[[], tl.Model]] = {
    "a parametrization": with_first(lambda f: register_parametrization(f, "weight", Exp())),
    "spectral_norm": with_first(parametrizations.spectral_norm),
    "weight_norm": with_first(parametrizations.weight_norm),
    "orthogonal": with_first(parametrizations.orthogonal),
    "older spectral_norm": with_first(nn.utils.spectral_norm),
    "frozen": with_first(lambda first: first.requires_grad_(False)),
    "RReLU": between(nn.RReLU),
    "Dropout": between(nn.Dropout),
    "batch norm without statistics": between(lambda: nn.BatchNorm1d(6, track_running_stats=False)),
    "a weight that is the loss's, too": with_loss(lambda network: Decays(network[0].weight)),
    "one-hot labels": with_loss(lambda _: lambda a, b: F.mse_loss(a, F.one_hot(b, 3).float())),
    "class weights of a function": with_loss(
        lambda _: partial(F.cross_entropy, weight=torch.tensor([1.0, 2.0, 0.5]))
    ),
    "class weights in a function": with_loss(
        lambda _: lambda a, b: F.cross_entropy(a, b, weight=torch.tensor([1.0, 2.0, 0.5]))
    ),
}

OUTSIDE_REFUSED: dict[str, tuple[Callable[[], tl.Model], str]] = {
    "a forward hook": (
        with_first(lambda first: first.register_forward_hook(lambda *args: args[-1] * 2)),
        "network.0 has a hook, which nobody would call",
    ),
    "a forward pre-hook": (
        with_first(lambda first: first.register_forward_pre_hook(lambda *_: None)),
        "network.0 has a hook",
    ),
    "a backward hook": (
        with_first(lambda first: first.register_full_backward_hook(lambda *_: None)),
        "network.0 has a hook",
    ),
    "a weight's hook": (
        with_first(lambda first: first.weight.register_hook(lambda d: d.clamp(-0.1, 0.1))),
        "network.0.weight has a hook, which nobody would call. Put its lines into a callback",
    ),
    "older weight_norm": (with_first(nn.utils.weight_norm), "copy.deepcopy fails"),
    "prune": (
        with_first(lambda first: prune.l1_unstructured(first, "weight", 0.3)),
        "copy.deepcopy fails",
    ),
    "compiled": (
        lambda: model_of(torch.compile(layers(), backend="eager")),
        "torch's tracer fails in the network: .*dynamo",
    ),
    "TorchScript": (lambda: model_of(torch.jit.trace(layers(), X)), "network is TorchScript"),
    "DataParallel": (lambda: model_of(nn.DataParallel(layers())), "nn.DataParallel"),
    "complex weights": (lambda: model_of(Complex()), "complex weights are not written out"),
    "sparse gradients": (
        with_first(lambda first: first.register_module("words", nn.Embedding(5, 3, sparse=True))),
        "network.0.words has sparse gradients",
    ),
    "an autograd.Function in the loss": (
        with_loss(lambda _: lambda a, b: F.cross_entropy(Twice.apply(a), b)),
        "the loss has an autograd.Function of its own, Twice",
    ),
    "a loss that knows the network": (
        with_loss(
            lambda network: lambda a, b: F.cross_entropy(a, b) + network[0].weight.square().sum()
        ),
        "network.0.weight is read by something that does not get it from",
    ),
    "a loss with weights that are nobody's": (
        with_loss(lambda _: knows(nn.Linear(3, 3))),
        "a weight in it that is neither the network's nor the loss's",
    ),
    "a loss that counts": (with_loss(lambda _: Decays()), "forward changes loss_fn.calls"),
    "a loss that keeps its values": (
        with_loss(lambda _: lambda a, b: F.cross_entropy(a, b) * (a.sum().item() > 0)),
        "the loss asks for the value of a tensor",
    ),
    "batch norm with a mean of all": (
        between(lambda: nn.BatchNorm1d(6, momentum=None)),
        "network.1 asks for the value of a tensor",
    ),
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", OUTSIDE_EQUAL)
def test_what_is_done_from_outside_is_written_out(name: str) -> None:
    is_equal(OUTSIDE_EQUAL[name])


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", OUTSIDE_REFUSED)
def test_what_is_done_from_outside_is_refused(name: str) -> None:
    make, words = OUTSIDE_REFUSED[name]
    is_refused(make(), words)


@pytest.mark.parametrize("broken", ["a number after a point .", "written.no_such_method()"])
def test_a_line_that_cannot_be_written_is_refused(
    broken: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(operations.TABLE, "relu.default", lambda x: operations.atom(broken))
    is_refused(model_of(layers()), "relu is called with arguments|the lines do not run")


def test_lbfgs_is_refused_wherever_it_is_used() -> None:
    network = layers()
    with pytest.raises(ValueError, match="LBFGS, which computes the loss several times"):
        model_of(network, optimizer=optim.LBFGS(network.parameters())).unroll(
            "fit", TensorDataset(X, Y), depth="optimizer"
        )
