"""Ways to write a network: parametrizations, shared layers, torch.func, compiled, traced."""

import torch
import torch.nn.utils.parametrize as parametrize
from torch import nn
from torch.func import functional_call, stack_module_state, vmap
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint
from torch.utils.data import TensorDataset

from .situation import Case, Head, numbers, points, situation


class Symmetric(nn.Module):
    def forward(self, weight):
        return weight.triu() + weight.triu(1).transpose(-1, -2)


def symmetric(layer: nn.Linear) -> nn.Module:
    parametrize.register_parametrization(layer, "weight", Symmetric())
    return layer


@situation(
    44,
    "weight_norm, spectral_norm, register_parametrization",
    each={
        "weight_norm": nn.utils.parametrizations.weight_norm,
        "spectral_norm": nn.utils.parametrizations.spectral_norm,
        "orthogonal": nn.utils.parametrizations.orthogonal,
        "register_parametrization": symmetric,
    },
)
def parametrized(around) -> Case:
    network = nn.Sequential(around(nn.Linear(4, 4)), nn.ReLU(), nn.Linear(4, 3))
    return Case(network, nn.CrossEntropyLoss(), points())


@situation(45, "nn.utils.weight_norm: the older one, with hooks")
def weight_norm_hooks() -> Case:
    return hooked(nn.utils.weight_norm)


@situation(46, "nn.utils.spectral_norm: the older one, with hooks")
def spectral_norm_hooks() -> Case:
    return hooked(nn.utils.spectral_norm)


def hooked(around) -> Case:
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # they are deprecated
        network = nn.Sequential(around(nn.Linear(4, 4)), nn.ReLU(), nn.Linear(4, 3))
    return Case(network, nn.CrossEntropyLoss(), points())


@situation(47, "parametrizations.spectral_norm of a convolution")
def spectral_convolution() -> Case:
    network = nn.Sequential(
        nn.utils.parametrizations.spectral_norm(nn.Conv1d(1, 2, 3)), nn.Flatten(), nn.Linear(4, 3)
    )
    x = torch.randn(12, 1, 4)
    return Case(network, nn.CrossEntropyLoss(), TensorDataset(x, torch.arange(12) % 3))


@situation(48, "a parametrization inside a class that does not keep its arguments")
def parametrized_inside() -> Case:
    class Net(nn.Module):
        def __init__(self, width):
            super().__init__()
            self.a = nn.utils.parametrizations.weight_norm(nn.Linear(4, width))
            self.b = symmetric(nn.Linear(width, width))
            self.c = nn.Linear(width, 3)

        def forward(self, x):
            return self.c(self.b(self.a(x).relu()))

    return Case(Net(5), nn.CrossEntropyLoss(), points())


class Checkpointed(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Linear(4, 8), nn.Linear(8, 3)
        self.dropout = nn.Dropout(0.2)

    def forward(self, x):
        h = checkpoint(lambda x: self.dropout(self.a(x)).relu(), x, use_reentrant=False)
        return self.b(h)


@situation(43, "gradient checkpointing")
def gradient_checkpointing() -> Case:
    return Case(Checkpointed(), nn.CrossEntropyLoss(), points())


class WithFunction(nn.Module):
    def __init__(self, function) -> None:
        super().__init__()
        self.function, self.fc = function, nn.Linear(4, 3)

    def forward(self, x):
        return self.fc(self.function(x))


@situation(
    54,
    "a layer with a lambda",
    unscripted="def",
    instead="`def` instead of `lambda`, at the top of a file",
)
def with_lambda() -> Case:
    return Case(WithFunction(lambda x: x.abs()), nn.CrossEntropyLoss(), points())


def absolute(x):
    return x.abs()


@situation(55, "the same with a def")
def with_def() -> Case:
    return Case(WithFunction(absolute), nn.CrossEntropyLoss(), points())


@situation(56, "a class defined in a function, closing over a number")
def closing() -> Case:
    scale = 3.0

    class Net(Head):
        def forward(self, x):
            return scale * self.fc(x)

    return Case(Net(), nn.CrossEntropyLoss(), points())


WIDTH = 6
LAYERS = {"relu": nn.ReLU, "tanh": nn.Tanh}


class Factory(nn.Module):
    def __init__(self, kind: str) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.Linear(4, WIDTH), LAYERS[kind](), nn.Linear(WIDTH, 3))

    def forward(self, x):
        return self.net(x)


def make(kind: str) -> nn.Module:
    return Factory(kind)


@situation(57, "a factory with globals")
def factory() -> Case:
    return Case(make("tanh"), nn.CrossEntropyLoss(), points())


class Config:
    def __init__(self, **kwargs) -> None:
        self.width = 8
        self.scale = 1.0
        vars(self).update(kwargs)


class Configured(nn.Module):
    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        self.a, self.b = nn.Linear(4, config.width), nn.Linear(config.width, 3)

    def forward(self, x):
        return self.config.scale * self.b(self.a(x).relu())


@situation(58, "a config object with **kwargs, of a user's class")
def configured() -> Case:
    return Case(Configured(Config(width=5, scale=2.0)), nn.CrossEntropyLoss(), points())


class Hyper(nn.Module):
    """A network makes another one's weights."""

    def __init__(self) -> None:
        super().__init__()
        self.code = nn.Parameter(torch.randn(2))
        self.make, self.target = nn.Linear(2, 15), nn.Linear(4, 3)

    def forward(self, x):
        w = self.make(self.code)
        return functional_call(self.target, {"weight": w[:12].view(3, 4), "bias": w[12:]}, (x,))


@situation(59, "hypernetwork, torch.func.functional_call")
def hypernetwork() -> Case:
    return Case(Hyper(), nn.CrossEntropyLoss(), points())


class Ensemble(nn.Module):
    def __init__(self, members: int) -> None:
        super().__init__()
        networks = [nn.Linear(4, 3) for _ in range(members)]
        params, _ = stack_module_state(networks)
        self.params = nn.ParameterDict(
            {name.replace(".", "_"): nn.Parameter(p.detach()) for name, p in params.items()}
        )
        self.base = nn.Linear(4, 3).requires_grad_(False)

    def forward(self, x):
        def one(params, x):
            return functional_call(self.base, params, (x,))

        return vmap(one, (0, None))(dict(self.params), x).mean(0)


@situation(60, "an ensemble with vmap")
def ensemble() -> Case:
    return Case(Ensemble(3), nn.CrossEntropyLoss(), points())


class Straight(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return x.sign()

    @staticmethod
    def backward(ctx, gradient):
        return gradient


class Binary(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Linear(4, 8), nn.Linear(8, 3)

    def forward(self, x):
        return self.b(Straight.apply(self.a(x)))


@situation(61, "a torch.autograd.Function of one's own")
def autograd_function() -> Case:
    return Case(Binary(), nn.CrossEntropyLoss(), points())


def mlp() -> nn.Module:
    return nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3))


@situation(62, "a network that torch.compile has made")
def compiled() -> Case:
    return Case(torch.compile(mlp(), backend="eager"), nn.CrossEntropyLoss(), points())


@situation(62, "the same, compiled in place: network.compile()")
def compiled_in_place() -> Case:
    network = mlp()
    network.compile(backend="eager")
    return Case(network, nn.CrossEntropyLoss(), points())


@situation(
    63,
    "a network of torch.jit.script",
    unscripted="give what was scripted",
    instead="the network that was scripted",
)
def scripted() -> Case:
    return Case(jit(torch.jit.script), nn.CrossEntropyLoss(), points())


@situation(
    63,
    "a network of torch.jit.trace",
    unscripted="give what was (scripted|traced)",
    instead="the network that was traced",
)
def traced() -> Case:
    return Case(
        jit(lambda network: torch.jit.trace(network, torch.randn(2, 4))),
        nn.CrossEntropyLoss(),
        points(),
    )


def jit(make) -> nn.Module:
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it is deprecated
        return make(mlp())


class Features(nn.Module):
    """An intermediate layer's output, by torchvision's feature extraction."""

    def __init__(self) -> None:
        super().__init__()
        from torchvision.models.feature_extraction import create_feature_extractor

        self.body = create_feature_extractor(mlp(), ["1"])
        self.head = nn.Linear(8, 3)

    def forward(self, x):
        return self.head(self.body(x)["1"])


@situation(64, "create_feature_extractor: an fx GraphModule inside")
def feature_extractor() -> Case:
    return Case(Features(), nn.CrossEntropyLoss(), points())


@situation(
    64,
    "torch.fx.symbolic_trace",
    unscripted="write its forward in a class of your own",
    instead="the network that was traced, or a class of your own",
)
def symbolically_traced() -> Case:
    return Case(torch.fx.symbolic_trace(mlp()), nn.CrossEntropyLoss(), points())


class LazyNet(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.LazyLinear(8), nn.LazyLinear(3)

    def forward(self, x):
        return self.b(self.a(x).relu())


@situation(
    71,
    "lazy layers that were not yet made",
    refused="network\\(x\\)",
    instead="the network called once, `network(x)`, before the optimizer is made",
)
def lazy() -> Case:
    return Case(LazyNet(), nn.CrossEntropyLoss(), points())


class Lists(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.weights = nn.ParameterList([torch.randn(4, 4) for _ in range(2)])
        self.biases = nn.ParameterDict({"a": torch.zeros(4), "b": torch.zeros(4)})
        self.layers = nn.ModuleDict({"out": nn.Linear(4, 3)})

    def forward(self, x):
        for weight, bias in zip(self.weights, self.biases.values(), strict=True):
            x = (x @ weight + bias).tanh()
        return self.layers["out"](x)


@situation(73, "ParameterList, ParameterDict, ModuleDict")
def lists() -> Case:
    return Case(Lists(), nn.CrossEntropyLoss(), points())


class Anything(Head):
    def forward(self, *args):
        return self.fc(args[0])


@situation(
    151,
    "forward(*args); nn.DataParallel",
    each={"*args": Anything, "DataParallel": lambda: nn.DataParallel(Head())},
)
def any_arguments(kind) -> Case:
    return Case(kind(), nn.CrossEntropyLoss(), points())


class Shared(nn.Module):
    """One layer and one batch norm used twice, tied weights."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.norm, self.b, self.head = (
            nn.Linear(4, 4), nn.BatchNorm1d(4), nn.Linear(4, 4), nn.Linear(4, 3)
        )  # fmt: skip
        self.b.weight = self.a.weight

    def forward(self, x):
        for _ in range(2):
            x = self.norm(self.b(self.a(x).relu()))
        return self.head(x)


@situation(171, "one layer used twice, one batch norm used twice, tied weights")
def shared() -> Case:
    return Case(Shared(), nn.CrossEntropyLoss(), points())


class LowRank(nn.Module):
    """As LoRA: around a layer that is frozen."""

    def __init__(self, layer: nn.Linear, rank: int) -> None:
        super().__init__()
        self.layer = layer.requires_grad_(False)
        self.a = nn.Parameter(0.1 * torch.randn(rank, layer.in_features))
        self.b = nn.Parameter(torch.zeros(layer.out_features, rank))

    def forward(self, x):
        return self.layer(x) + x @ self.a.T @ self.b.T


def injected() -> nn.Module:
    network = Factory("tanh")
    network.net[0] = LowRank(network.net[0], 2)
    return network


def extended() -> nn.Module:
    network = Factory("relu")
    network.net.append(nn.Linear(3, 3))
    network.net.add_module("last", nn.LayerNorm(3))
    return network


@situation(
    171,
    "a layer replaced or added after the network was made, as LoRA does",
    each={"replaced": injected, "added": extended},
)
def changed_layers(make) -> Case:
    network = make()
    weights = [p for p in network.parameters() if p.requires_grad]
    optimizer = torch.optim.SGD(weights, lr=0.05)
    return Case(network, nn.CrossEntropyLoss(), points(), optimizer)


def doubled(module, inputs, output):
    return 2 * output


@situation(45, "a forward hook that changes the output")
def forward_hook() -> Case:
    network = mlp()
    network[0].register_forward_hook(doubled)
    return Case(network, nn.CrossEntropyLoss(), points())


class Cached(nn.Module):
    """A buffer that is not saved, a plain tensor, a cache filled in forward."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(4, 3)
        self.register_buffer("scale", torch.ones(4), persistent=False)
        self.shift = torch.zeros(4)
        self.positions: dict[int, torch.Tensor] = {}

    def forward(self, x):
        if len(x) not in self.positions:
            self.positions[len(x)] = torch.linspace(0, 1, len(x))[:, None]
        return self.fc(x * self.scale + self.shift + self.positions[len(x)])


@situation(172, "a buffer that is not saved and a plain tensor, both changed; a cache in forward")
def cached() -> Case:
    network = Cached()
    network.scale.mul_(2)
    network.shift += 0.5
    return Case(network, nn.CrossEntropyLoss(), points(), without=("evaluate",))


@situation(65, "float64: network and data")
def doubles() -> Case:
    x = torch.randn(12, 4, dtype=torch.float64)
    data = TensorDataset(x, x.sum(1, keepdim=True))
    return Case(nn.Linear(4, 1).double(), nn.MSELoss(), data)


class ComplexNet(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.w = nn.Parameter(torch.randn(4, 1, dtype=torch.cfloat))

    def forward(self, x):
        return (x.to(torch.cfloat) @ self.w).abs()


@situation(66, "complex weights alone, Adam")
def complex_weights() -> Case:
    network = ComplexNet()
    return Case(network, nn.MSELoss(), numbers(), torch.optim.Adam(network.parameters(), lr=0.01))


class EnergyNet(nn.Module):
    """A physics-informed network: its derivative is part of its output."""

    def __init__(self, grad: bool) -> None:
        super().__init__()
        self.grad = grad
        self.net = nn.Sequential(nn.Linear(1, 8), nn.Tanh(), nn.Linear(8, 1))

    def forward(self, t):
        with torch.set_grad_enabled(self.grad or torch.is_grad_enabled()):
            t = t.requires_grad_(True)
            u = self.net(t)
            return u, torch.autograd.grad(u.sum(), t, create_graph=True)[0]


class PINN(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.Linear(1, 8), nn.Tanh(), nn.Linear(8, 1))

    def forward(self, t):
        t = t.requires_grad_(True)
        u = self.net(t)
        return u, torch.autograd.grad(u.sum(), t, create_graph=True)[0]


def decay(u, du, y):
    return ((du + u) ** 2).mean() + F.mse_loss(u, y)


def times() -> TensorDataset:
    t = torch.rand(8, 1)
    return TensorDataset(t, (-t).exp())


def decay_step(network, loss, batch):
    with torch.enable_grad():
        return loss(*network(batch[0].clone()), batch[1])


@situation(142, "a PINN (autograd.grad in forward): it trains")
def pinn() -> Case:
    return Case(PINN(), decay, times(), step=decay_step, without=("evaluate", "predict"))


@situation(
    142,
    "a PINN (autograd.grad in forward): to evaluate and predict",
    refused=r"torch\.enable_grad\(\)",
    instead="`with torch.enable_grad():` around what forward does",
)
def pinn_evaluated() -> None:
    import tutorial as tl

    model = tl.Model(PINN())
    model.prepare(None, decay)
    model.predict(times(), verbose=0)
    model.evaluate(times(), verbose=0)


@situation(143, "a PINN with torch.enable_grad() inside")
def pinn_enabled() -> Case:
    def predicted(network, batch):
        return [part.detach() for part in network(batch[0].clone())]

    return Case(EnergyNet(True), decay, times(), step=decay_step, predict=predicted)
