"""Forward, loss and backward written out: every loss, gradient, weight and buffer, bit for bit."""

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from deep_networks import NETWORKS, SAMPLES, classes, mlp
from torch import Tensor, nn
from torch.utils.data import Dataset, TensorDataset

import tutorial as tl
from tutorial.callbacks import LambdaCallback, LRScheduler
from tutorial.depth.passes import one_by_one
from tutorial.unroll.proof import flat, identical

ALONE = {"foreach": False, "fused": False}


class Pairs(Dataset):
    """Samples of nested parts."""

    def __init__(self, *parts: Any) -> None:
        self.parts = parts

    def __len__(self) -> int:
        return SAMPLES

    def __getitem__(self, i: int) -> Any:
        return tuple(tuple(p[i] for p in part) if isinstance(part, tuple) else part[i]
                     for part in self.parts)  # fmt: skip


def data_of(parts: tuple[Any, ...]) -> Any:
    plain = all(isinstance(part, Tensor) for part in parts)
    return TensorDataset(*parts) if plain else Pairs(*parts)


def model_of(
    network: Callable[[], nn.Module], loss: Any, optimizer: Any = torch.optim.SGD, **prepared: Any
) -> tl.Model:
    tl.seed(0)
    model = tl.Model(network())
    model.prepare(optimizer(model.parameters(), lr=0.05, **ALONE), loss, **prepared)
    return model


def trained(
    make: Callable[[], tl.Model], data: Any, depth: str, **arguments: Any
) -> dict[str, Any]:
    """What some steps give: losses, weights, buffers, and where the random state is."""
    model = make()
    call = {"train_data": data, "batch_size": 4, "epochs": 2} | arguments
    if callable(call.get("callbacks")):
        call["callbacks"] = call["callbacks"](model)
    if depth == "loop":
        with one_by_one(model.network):
            history = model.fit(verbose=0, **call)
    else:
        program = model.unroll("fit", depth=depth, **call)
        for word in ("aten.", ".backward()", "network("):
            assert word not in program.source
        history = program.run()
    found = {"losses": history.step_losses, "rows": history.rows, "next": torch.rand(1)}
    return flat({**found, "state": model.network.state_dict(), "of": model.optimizer.state_dict()})


def same(one: dict[str, Any], other: dict[str, Any]) -> list[str]:
    """What differs."""
    return [key for key in one | other if not identical(one.get(key), other.get(key))]


LARGE = {"resnet18"}
EACH = [pytest.param(name, marks=[pytest.mark.slow] * (name in LARGE)) for name in NETWORKS]


@pytest.mark.parametrize("name", EACH)
def test_a_network_is_written_out(name: str) -> None:
    network, parts, loss = NETWORKS[name]
    torch.manual_seed(1)
    data = data_of(parts())
    make = partial(model_of, network, loss)
    assert same(trained(make, data, "loop"), trained(make, data, "gradients")) == []


@pytest.mark.parametrize("name", EACH)
def test_every_gradient_is_autograds(name: str) -> None:
    network, parts, loss = NETWORKS[name]
    torch.manual_seed(1)
    x, y = parts()
    found = []
    for depth in ("loop", "gradients"):
        model = model_of(network, loss)
        program = model.unroll("train_batch", x, y, update=False, depth=depth)
        with one_by_one(model.network):
            results = [program.run(), program.run()]  # the second one's are added
        found.append(flat([results, [weight.grad for weight in model.parameters()]]))
    assert same(*found) == []


X = torch.randn(SAMPLES, 64, generator=torch.Generator().manual_seed(3))
Y = classes()
SOME = torch.where(torch.arange(SAMPLES) % 4 == 1, -100, Y)
LATE = torch.where(torch.arange(SAMPLES) < 4, -100, Y)
TARGET = torch.randn(SAMPLES, 3, generator=torch.Generator().manual_seed(4))
WEIGHT = torch.tensor([1.0, 5.0, 0.2])


def own(y_hat: Tensor, y: Tensor) -> Tensor:
    return ((y_hat - y).abs() ** 1.5).mean() + 0.01 * y_hat.exp().sum(1).log().mean()


LOSSES: dict[str, tuple[Any, Tensor]] = {
    "weights": (nn.CrossEntropyLoss(WEIGHT), Y),
    "smoothed": (nn.CrossEntropyLoss(label_smoothing=0.1), Y),
    "weights, smoothed": (nn.CrossEntropyLoss(WEIGHT, label_smoothing=0.1), Y),
    "ignored": (nn.CrossEntropyLoss(), SOME),
    "ignored, weights": (nn.CrossEntropyLoss(WEIGHT, ignore_index=2), Y),
    "a batch without labels": (nn.CrossEntropyLoss(), LATE),
    "a sum": (nn.CrossEntropyLoss(reduction="sum"), Y),
    "a function": (F.cross_entropy, Y),
    "soft labels": (nn.CrossEntropyLoss(), TARGET.softmax(1)),
    "NLLLoss": (nn.NLLLoss(), Y),
    "MSELoss": (nn.MSELoss(), TARGET),
    "L1Loss": (nn.L1Loss(), TARGET),
    "SmoothL1Loss": (nn.SmoothL1Loss(beta=0.5), TARGET),
    "HuberLoss": (nn.HuberLoss(delta=0.7), TARGET),
    "BCEWithLogitsLoss": (nn.BCEWithLogitsLoss(), (TARGET > 0).float()),
    "BCEWithLogitsLoss, weights": (nn.BCEWithLogitsLoss(pos_weight=WEIGHT), (TARGET > 0).float()),
    "PoissonNLLLoss": (nn.PoissonNLLLoss(), TARGET.abs().round()),
    "KLDivLoss": (nn.KLDivLoss(reduction="batchmean"), TARGET.softmax(1)),
    "MultiMarginLoss": (nn.MultiMarginLoss(), Y),
    "SoftMarginLoss": (nn.SoftMarginLoss(), TARGET.sign()),
    "one's own": (own, TARGET),
}  # fmt: skip


def weighted(y_hat: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """A mean by the size of the label, and what was averaged over."""
    size = y.abs().mean(1)
    return ((y_hat - y).square().mean(1) * size).sum() / size.sum(), size.sum()


LOSSES["one's own, with a weight"] = weighted, TARGET


def small() -> nn.Module:
    return nn.Sequential(nn.Linear(64, 8), nn.ReLU(), nn.Dropout(0.3), nn.Linear(8, 3))


@pytest.mark.parametrize("accumulate", [1, 2])
@pytest.mark.parametrize("name", LOSSES)
def test_a_loss_is_written_out(name: str, accumulate: int) -> None:
    loss, y = LOSSES[name]
    make, data = partial(model_of, small, loss), TensorDataset(X, y)
    found = [
        trained(make, data, depth, accumulate_grad_batches=accumulate)
        for depth in ("loop", "gradients")
    ]
    assert same(*found) == []


class Heads(nn.Module):
    """Two outputs, or one with a mean and a variance."""

    def __init__(self, apart: bool = True) -> None:
        super().__init__()
        self.body, self.left, self.right = nn.Linear(64, 8), nn.Linear(8, 3), nn.Linear(8, 3)
        self.apart = apart

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        h = torch.tanh(self.body(x))
        return self.left(h), self.right(h) if self.apart else F.softplus(self.right(h)) + 0.1


@pytest.mark.filterwarnings("ignore:accumulate_grad_batches")
@pytest.mark.parametrize("accumulate", [1, 2])
@pytest.mark.parametrize("second", ["the same", "none ignored"])
def test_of_several_losses_each_may_have_nothing_to_learn_from(
    accumulate: int, second: str
) -> None:
    losses = [nn.CrossEntropyLoss(), nn.CrossEntropyLoss()]
    early = torch.where(torch.arange(SAMPLES) >= 8, -100, Y)
    data = Pairs((X,), (LATE, early if second == "the same" else Y))
    make = partial(model_of, Heads, losses)
    found = [
        trained(make, data, depth, accumulate_grad_batches=accumulate, shuffle=False)
        for depth in ("loop", "gradients")
    ]
    assert same(*found) == []
    assert all(value == value for key, value in found[0].items() if "losses" in key)  # not nan


def test_a_check_in_a_loss_is_a_line() -> None:
    make = partial(model_of, partial(Heads, apart=False), nn.GaussianNLLLoss())
    data = TensorDataset(X, TARGET)
    assert same(*(trained(make, data, depth) for depth in ("loop", "gradients"))) == []
    source = make().unroll("fit", data, depth="gradients").source
    assert 'assert not (y_hat_1 < 0).any(), "var has negative' in source


def test_a_tied_weight_is_cast_once() -> None:
    def tied() -> nn.Module:
        layer = nn.Linear(64, 64)
        return nn.Sequential(layer, nn.Tanh(), layer, nn.Linear(64, 3))

    make = partial(model_of, tied, nn.CrossEntropyLoss(), precision="bf16-mixed")
    assert same(*(trained(make, DATA, depth) for depth in ("loop", "gradients"))) == []


def halves(model: tl.Model) -> LambdaCallback:
    def halve(*_: Any) -> None:
        model.optimizer.param_groups[0]["lr"] /= 2

    return LambdaCallback(on_epoch_end=halve)


DATA = TensorDataset(X, Y)
OPTIONS: dict[str, dict[str, Any]] = {
    "evaluation": {"eval_data": DATA},
    "clipping": {"clip_grad_norm": 0.3},
    "a limit": {"num_iters": 4},
    "a schedule": {
        "callbacks": lambda model: LRScheduler(
            torch.optim.lr_scheduler.CosineAnnealingLR(model.optimizer, 10)
        )
    },
    "a callback": {"callbacks": halves},
    "drop_last": {"drop_last": True},
    "a batch of one": {"batch_size": 5},
}


@pytest.mark.parametrize("name", OPTIONS)
@pytest.mark.parametrize("optimizer", [torch.optim.SGD, torch.optim.Adam])
def test_each_option_goes_on_working(name: str, optimizer: Any) -> None:
    make = partial(model_of, small, nn.CrossEntropyLoss(), optimizer, metrics=tl.metrics.Accuracy())
    found = [trained(make, DATA, depth, **OPTIONS[name]) for depth in ("loop", "gradients")]
    assert same(*found) == []


def test_sixteen_bits() -> None:
    make = partial(model_of, small, nn.CrossEntropyLoss(), precision="bf16-mixed")
    assert same(*(trained(make, DATA, depth) for depth in ("loop", "gradients"))) == []
    source = make().unroll("fit", DATA, depth="gradients").source
    assert ".to(torch.bfloat16)" in source  # casts are lines


def test_frozen_weights() -> None:
    def frozen() -> nn.Module:
        network = small()
        network[0].requires_grad_(False)
        return network

    make = partial(model_of, frozen, nn.CrossEntropyLoss())
    assert same(*(trained(make, DATA, depth) for depth in ("loop", "gradients"))) == []


@pytest.mark.parametrize("method", ["evaluate", "predict"])
def test_passes_without_gradients(method: str) -> None:
    model = model_of(mlp, nn.CrossEntropyLoss())
    data = TensorDataset(X.view(-1, 1, 8, 8), Y)
    programs = [model.unroll(method, data, batch_size=4, depth=d) for d in ("loop", "gradients")]
    assert "network(" not in programs[1].source
    assert same(*(flat(program.run()) for program in programs)) == []


def test_the_proof_is_of_a_fresh_process() -> None:
    model = model_of(small, nn.CrossEntropyLoss())
    before = flat(model.network.state_dict())
    proof = model.unroll("fit", DATA, batch_size=4, depth="gradients").verify()
    assert proof and "at depth 'gradients' in a fresh process" in repr(proof)
    assert same(before, flat(model.network.state_dict())) == []


def test_a_line_that_is_wrong_is_noticed() -> None:
    program = model_of(small, nn.CrossEntropyLoss()).unroll("fit", DATA, depth="gradients")
    right = program.deeper
    program.deeper = lambda source: right(source).replace(
        "d_b_3 = d_y_hat.sum(0)", "d_b_3 = d_y_hat[0]"
    )
    assert program.source != right(program.as_called.source)
    assert not program.verify()


def test_the_mlp_is_short_enough_to_be_read() -> None:
    for optimizer, most in ((torch.optim.SGD, 55), (torch.optim.Adam, 65)):
        model = model_of(mlp, nn.CrossEntropyLoss(), optimizer)
        source = model.unroll(
            "fit", TensorDataset(X.view(-1, 1, 8, 8), Y), depth="gradients"
        ).source
        assert len([line for line in source.splitlines() if line.strip()]) <= most


@pytest.mark.parametrize("name", EACH)
def test_no_text_names_the_tracers_operations(name: str) -> None:
    """Every operation is one of torch's by its name, or a function with a line on what it does."""
    network, parts, loss = NETWORKS[name]
    program = model_of(network, loss).unroll("fit", data_of(parts()), depth="gradients")
    assert "aten." not in program.source
    for tool in program.tools.values():
        assert tool is F or (tool.__doc__ and "operation of this name" not in tool.__doc__)


class Generator(nn.Module):
    """Numbers from noise."""

    def __init__(self) -> None:
        super().__init__()
        self.body, self.out = nn.Linear(5, 8), nn.Linear(8, 4)

    def forward(self, z: Tensor) -> Tensor:
        return torch.tanh(self.out(torch.relu(self.body(z))))


class Fools(nn.Module):
    """A generator and a discriminator in a row; only the first is trained."""

    def __init__(self, generator: nn.Module, discriminator: nn.Module) -> None:
        super().__init__()
        self.generator, self.discriminator = generator, discriminator

    def forward(self, z: Tensor) -> Tensor:
        return self.discriminator(self.generator(z))


@pytest.mark.parametrize("depth", ["optimizer", "gradients"])
def test_a_gan(depth: str) -> None:
    """Steps of both in turn, the last with fewer samples: the losses and both networks."""
    found = []
    for level in ("loop", depth):
        tl.seed(0)
        generator = Generator()
        discriminator = nn.Sequential(
            nn.Linear(4, 8), nn.LeakyReLU(0.2), nn.Dropout(0.3), nn.Linear(8, 1)
        )
        critic, artist = tl.Model(discriminator), tl.Model(Fools(generator, discriminator))
        options = {"lr": 0.02, "betas": (0.5, 0.999), **ALONE}
        critic.prepare(
            torch.optim.Adam(discriminator.parameters(), **options), nn.BCEWithLogitsLoss()
        )
        artist.prepare(torch.optim.Adam(generator.parameters(), **options), nn.BCEWithLogitsLoss())
        losses = []
        for size in (4, 4, 3):
            real, z = torch.rand(size, 4), torch.randn(size, 5)
            with torch.no_grad():
                x = torch.cat([real, generator(z)])
            y = torch.cat([torch.ones(size, 1), torch.zeros(size, 1)])
            for model, inputs, labels in ((critic, x, y), (artist, z, torch.ones(size, 1))):
                discriminator.requires_grad_(model is critic)  # else it helps the generator
                losses.append(model.unroll("train_batch", inputs, labels, depth=level).run())
        states = [part.state_dict() for part in (generator, discriminator)]
        states += [model.optimizer.state_dict() for model in (critic, artist)]
        found.append(flat([losses, states, torch.rand(1)]))
    assert same(*found) == []


class Collides(nn.Module):
    """Its weights and layers are called as the loop calls its own things."""

    def __init__(self) -> None:
        super().__init__()
        self.step, self.samples = nn.Parameter(torch.ones(3)), nn.Parameter(torch.ones(3))
        self.register_buffer("loss", torch.ones(3))
        self.n, self.x, self.d_x = nn.Linear(64, 3), nn.Linear(3, 3), nn.Linear(3, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.d_x(self.x(self.n(x)) * self.step + self.samples) * self.loss


def test_what_has_no_form_of_its_own_is_listed_at_the_top() -> None:
    def smooth() -> nn.Module:
        return nn.Sequential(nn.Linear(64, 3), nn.Mish())

    make = partial(model_of, smooth, nn.CrossEntropyLoss())
    source = make().unroll("fit", DATA, depth="gradients").source
    assert source.startswith("# Operations of torch, by their names alone: mish, mish_backward\n")
    assert same(*(trained(make, DATA, depth) for depth in ("loop", "gradients"))) == []
    usual = model_of(small, nn.CrossEntropyLoss()).unroll("fit", DATA, depth="gradients").source
    assert "by their names alone" not in usual


def test_names_of_the_loop_stay_the_loops() -> None:
    make = partial(model_of, Collides, nn.CrossEntropyLoss())
    assert same(*(trained(make, DATA, depth) for depth in ("loop", "gradients"))) == []


# ---- what cannot be written out


class Branches(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(64, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(x) if x.sum() > 0 else -self.fc(x)


class Twice(torch.autograd.Function):
    @staticmethod
    def forward(_: Any, x: Tensor) -> Tensor:
        return 2 * x

    @staticmethod
    def backward(_: Any, d: Tensor) -> Tensor:
        return 2 * d


class OwnBackward(Branches):
    def forward(self, x: Tensor) -> Tensor:
        return Twice.apply(self.fc(x))


class Chooses(Branches):
    def forward(self, x: Tensor) -> Tensor:
        h = self.fc(x)
        return h + h[h > 0].sum()


class Counts(Branches):
    def __init__(self) -> None:
        super().__init__()
        self.calls = 0

    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        return self.fc(x) * self.calls


class Throws(Branches):
    def forward(self, x: Tensor) -> Tensor:
        import random

        return self.fc(x) * (1 if random.random() < 0.5 else 2)


class BySize(Branches):
    def forward(self, x: Tensor) -> Tensor:
        return self.fc(x) if len(x) % 7 else -self.fc(x)


@pytest.mark.parametrize(
    ("network", "words"),
    [
        (Branches, "asks for the value of a tensor"),
        (OwnBackward, "an autograd.Function of its own, Twice"),
        (Chooses, "values decide how many numbers"),
        (Counts, "network.calls"),
        (Throws, "draws from Python's random"),
        (BySize, "another number of samples"),
    ],
)
def test_what_cannot_be_written_out_is_refused(network: Any, words: str) -> None:
    model = model_of(network, nn.CrossEntropyLoss())
    before = flat(
        [model.network.state_dict(), vars(model.network).get("calls", 0), torch.get_rng_state()]
    )
    with pytest.raises(ValueError, match=words) as error:
        model.unroll("fit", DATA, depth="gradients")
    assert "depth='gradients'" in str(error.value) and "depth='optimizer'" in str(error.value)
    after = flat(
        [model.network.state_dict(), vars(model.network).get("calls", 0), torch.get_rng_state()]
    )
    assert same(before, after) == []
