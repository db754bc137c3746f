"""Losses: of every kind of mean, with weights and buffers, of several parts, with a teacher."""

import tempfile
from functools import partial

import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.data import TensorDataset

import tutorial as tl

from .runner import SEED, by_hand, fitted, model_of, run_path, same, seed
from .situation import OF_A_BATCH, Case, Head, numbers, points, situation


@situation(
    18,
    "autoencoder, the data set gives x alone",
    refused=r"\(x, x\)",
    instead="`TensorDataset(x, x)`: the input is its own label",
)
def x_alone() -> Case:
    def step(network, loss, batch):
        return loss(network(batch[0]), batch[0])

    return Case(nn.Linear(4, 4), nn.MSELoss(), TensorDataset(torch.randn(12, 4)), step=step)


@situation(19, "autoencoder, TensorDataset(x, x)")
def autoencoder() -> Case:
    x = torch.randn(12, 4)
    return Case(nn.Sequential(nn.Linear(4, 2), nn.Linear(2, 4)), nn.MSELoss(), TensorDataset(x, x))


class VAE(nn.Module):
    """As in PyTorch's examples."""

    def __init__(self) -> None:
        super().__init__()
        self.mu, self.logvar, self.decode = nn.Linear(4, 2), nn.Linear(4, 2), nn.Linear(2, 4)

    def forward(self, x):
        mu, logvar = self.mu(x), self.logvar(x)
        z = mu + torch.randn_like(mu) * (0.5 * logvar).exp() if self.training else mu
        return self.decode(z), mu, logvar


def vae_parts(x_hat, mu, logvar, x):
    divergence = -0.5 * torch.sum(1 + logvar - mu**2 - logvar.exp())
    return F.mse_loss(x_hat, x, reduction="sum"), divergence


def vae_loss(x_hat, mu, logvar, x):
    return sum(vae_parts(x_hat, mu, logvar, x))


def vae_losses(x_hat, mu, logvar, x):
    recon, kl = (part / len(x) for part in vae_parts(x_hat, mu, logvar, x))
    return {"loss": recon + kl, "recon": recon, "kl": kl}


def vae_data() -> TensorDataset:
    x = torch.randn(12, 4)
    return TensorDataset(x, x)


@situation(20, "VAE as in pytorch/examples: three outputs, a summed loss")
def vae() -> Case:
    def step(network, loss, batch):
        return loss(*network(batch[0]), batch[1])

    return Case(VAE(), vae_loss, vae_data(), step=step, summed=True)


@situation(21, "VAE, the loss gives {'loss': total, 'recon': ..., 'kl': ...}")
def vae_dict() -> Case:
    def step(network, loss, batch):
        return loss(*network(batch[0]), batch[1])["loss"]

    return Case(VAE(), vae_losses, vae_data(), step=step)


@situation(21, "a loss with the keys 'total' and 'epoch': they are summed, each is reported")
def losses_by_key() -> None:
    def loss(y_hat, y):
        return {"mse": F.mse_loss(y_hat, y), "l1": F.l1_loss(y_hat, y)}

    model = tl.Model(nn.Linear(4, 1))
    model.prepare(torch.optim.SGD(model.parameters(), lr=0.1), loss)
    (row,) = model.fit(numbers(), verbose=0).rows
    assert row["epoch"] == 1 and abs(row["loss"] - row["mse"] - row["l1"]) < 1e-6, row


@situation(21, "a loss with the key 'epoch'", refused="epoch", instead="another key than 'epoch'")
def loss_called_epoch() -> None:
    model = tl.Model(nn.Linear(4, 1))
    loss = lambda y_hat, y: {"epoch": F.mse_loss(y_hat, y)}  # noqa: E731
    model.prepare(torch.optim.SGD(model.parameters(), lr=0.1), loss)
    (row,) = model.fit(numbers(), verbose=0).rows
    assert row["epoch"] == 1, row


class MeanVariance(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.mu, self.var = nn.Linear(4, 1), nn.Linear(4, 1)

    def forward(self, x):
        return self.mu(x), F.softplus(self.var(x))


@situation(22, "mean and variance, nn.GaussianNLLLoss(input, target, var)")
def gaussian() -> Case:
    def step(network, loss, batch):
        mu, var = network(batch[0])
        return loss(mu, batch[1], var)

    return Case(MeanVariance(), nn.GaussianNLLLoss(), numbers(), step=step)


@situation(22, "the same in a function of one's own, (mu, target, var)")
def gaussian_function() -> Case:
    def loss(mu, target, var):
        return F.gaussian_nll_loss(mu, target, var)

    def step(network, loss, batch):
        mu, var = network(batch[0])
        return loss(mu, batch[1], var)

    return Case(MeanVariance(), loss, numbers(), step=step)


@situation(23, "regression (N, 1), batch norm, dropout")
def regression() -> Case:
    network = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Dropout(), nn.Linear(8, 1))
    return Case(network, nn.MSELoss(), numbers())


@situation(24, "multi-label, BCEWithLogitsLoss(pos_weight)")
def multi_label() -> Case:
    data = TensorDataset(torch.randn(12, 4), torch.randint(0, 2, (12, 3)).float())
    return Case(nn.Linear(4, 3), nn.BCEWithLogitsLoss(pos_weight=torch.tensor([1.0, 2, 3])), data)


WEIGHTS = torch.tensor([1.0, 5.0, 20.0])


@situation(25, "nn.CrossEntropyLoss(weight)")
def class_weights() -> Case:
    return Case(nn.Linear(4, 3), nn.CrossEntropyLoss(WEIGHTS), points())


def weighted(y_hat, y):
    return F.cross_entropy(y_hat, y, weight=WEIGHTS)


@situation(26, "class weights in a function", **OF_A_BATCH)
def weights_in_function() -> Case:
    return Case(nn.Linear(4, 3), weighted, points())


@situation(27, "class weights in functools.partial")
def weights_in_partial() -> Case:
    return Case(nn.Linear(4, 3), partial(F.cross_entropy, weight=WEIGHTS), points())


@situation(28, "nn.MSELoss(reduction='sum')")
def summed() -> Case:
    return Case(nn.Linear(4, 1), nn.MSELoss(reduction="sum"), numbers(), summed=True)


class Focal(nn.Module):
    def __init__(self, gamma: float = 2.0) -> None:
        super().__init__()
        self.gamma = gamma
        self.register_buffer("alpha", torch.tensor([1.0, 2.0, 3.0]))

    def forward(self, y_hat, y):
        log_p = F.log_softmax(y_hat, 1).gather(1, y[:, None]).squeeze(1)
        return (-self.alpha[y] * (1 - log_p.exp()) ** self.gamma * log_p).mean()


@situation(29, "focal loss, a module with a buffer")
def focal() -> Case:
    return Case(nn.Linear(4, 3), Focal(), points())


def dice(y_hat, y):
    """Not a mean over the samples: a ratio of sums."""
    p, t = y_hat.softmax(1), F.one_hot(y, 4).permute(0, 3, 1, 2)
    return 1 - (2 * (p * t).sum((0, 2, 3)) / (p + t).sum((0, 2, 3))).mean()


@situation(31, "dice loss", **OF_A_BATCH)
def dice_loss() -> Case:
    data = TensorDataset(torch.randn(8, 3, 6, 6), torch.randint(0, 4, (8, 6, 6)))
    return Case(nn.Conv2d(3, 4, 1), dice, data)


def sample_weights() -> TensorDataset:
    x = torch.randn(12, 4)
    return TensorDataset(x, torch.arange(12) % 3, torch.rand(12))


def weighted_mean(y_hat, y, w):
    return (w * F.cross_entropy(y_hat, y, reduction="none")).mean()


def weighted_step(network, loss, batch):
    return loss(network(batch[0]), batch[1], batch[2])


@situation(32, "TensorDataset(x, y, weight), a loss of three")
def weights_of_samples() -> Case:
    return Case(nn.Linear(4, 3), weighted_mean, sample_weights(), step=weighted_step)


@situation(33, "the same with Accuracy, of y alone")
def weights_and_metric() -> Case:
    accuracy = tl.metrics.Accuracy()
    return Case(nn.Linear(4, 3), weighted_mean, sample_weights(), None, accuracy, weighted_step)


class WeightedRows(torch.utils.data.Dataset):
    def __init__(self) -> None:
        self.x, self.w = torch.randn(8, 2), torch.rand(8, 1)
        self.t = 3 * self.x.sum(1, keepdim=True)

    def __len__(self) -> int:
        return 8

    def __getitem__(self, i):
        return {"x": self.x[i], "weight": self.w[i], "target": self.t[i]}


def weighted_mse(y_hat, target, weight):
    return (weight * (y_hat - target) ** 2).mean()


class Named(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(2, 1)

    def forward(self, x):
        return self.fc(x)


@situation(81, "a dict batch in another order, loss(y_hat, target, weight)")
def by_name() -> Case:
    return Case(
        Named(), weighted_mse, WeightedRows(), size=lambda batch: len(batch["x"]),
        step=lambda net, loss, batch: loss(net(batch["x"]), batch["target"], batch["weight"]),
        predict=lambda net, batch: net(batch["x"]),
    )  # fmt: skip


# ---- losses that hold something


class ArcFace(nn.Module):
    """Weights of its own, which are trained, too."""

    def __init__(self, features: int, classes: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(classes, features))

    def forward(self, z, y):
        cosine = F.linear(F.normalize(z), F.normalize(self.weight))
        return F.cross_entropy(8 * (cosine - 0.2 * F.one_hot(y, 3)), y)


class Center(nn.Module):
    """A centre for each class: a parameter."""

    def __init__(self, features: int, classes: int) -> None:
        super().__init__()
        self.centers = nn.Parameter(torch.randn(classes, features))

    def forward(self, z, y):
        return ((z - self.centers[y]) ** 2).sum(1).mean()


@situation(
    85,
    "ArcFace, center loss: weights of the loss in the optimizer",
    each={"ArcFace": ArcFace, "center": Center},
)
def loss_with_weights(kind) -> Case:
    network, loss = nn.Linear(4, 5), kind(5, 3)
    optimizer = torch.optim.Adam([*network.parameters(), *loss.parameters()], lr=0.01)
    return Case(network, loss, points(), optimizer)


@situation(85, "the same with clip_grad_norm: the loss's gradients are clipped, too")
def loss_clipped() -> Case:
    network, loss = nn.Linear(4, 5), ArcFace(5, 3)
    weights = [*network.parameters(), *loss.parameters()]

    def loop(case, loader):
        losses = []
        for _ in range(2):
            for x, y in loader:
                value = case.loss(case.network(x), y)
                value.backward()
                nn.utils.clip_grad_norm_(
                    [p for group in case.optimizer.param_groups for p in group["params"]], 0.1
                )
                case.optimizer.step()
                case.optimizer.zero_grad()
                losses.append(value.item())
        return losses

    optimizer = torch.optim.SGD(weights, lr=0.1)
    return Case(network, loss, points(), optimizer, fit={"clip_grad_norm": 0.1}, loop=loop)


@situation(86, "an L1 penalty that names the global network")
def penalty_by_name() -> None:
    def made() -> Case:
        global penalized
        seed(0)
        penalized = nn.Linear(4, 1)
        return Case(
            penalized,
            loss_with_l1,
            numbers(),
            torch.optim.SGD(penalized.parameters(), 0.1, fused=True),
        )

    losses = by_hand(made())
    case = made()
    seed(SEED)
    program = model_of(case).unroll("fit", case.data, **case.fit)
    with tempfile.TemporaryDirectory() as folder:
        names = run_path(program.save(f"{folder}/fit.py"))
    same("losses of the script", losses, names["step_losses"])
    same("losses", losses, fitted(made())[1])


penalized: nn.Module


def loss_with_l1(y_hat, y):
    return F.mse_loss(y_hat, y) + 0.1 * sum(p.abs().sum() for p in penalized.parameters())


class Penalized(nn.Module):
    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, y_hat, y):
        return F.mse_loss(y_hat, y) + 0.1 * sum(p.abs().sum() for p in self.network.parameters())


@situation(87, "an L1 penalty, the network given to a loss module")
def penalty_module() -> Case:
    network = nn.Linear(4, 1)
    return Case(network, Penalized(network), numbers())


class OwnLoss(Head):
    def loss(self, y_hat, y):
        return F.cross_entropy(y_hat, y) + 0.01 * self.fc.weight.square().sum()


@situation(88, "the loss is the network's method")
def loss_method() -> Case:
    network = OwnLoss()
    return Case(network, network.loss, points())


class Smooth:
    """An object that is called, and no module."""

    def __init__(self, beta: float) -> None:
        self.beta = beta

    def __call__(self, y_hat, y):
        return F.smooth_l1_loss(y_hat, y, beta=self.beta)


def scaled_loss(y_hat, y, scale=1.0):
    return scale * F.mse_loss(y_hat, y)


@situation(
    88,
    "the loss is an object with __call__, or a partial of a function of one's own",
    each={"object": lambda: Smooth(0.3), "partial": lambda: partial(scaled_loss, scale=2.0)},
)
def called_loss(make) -> Case:
    return Case(nn.Linear(4, 1), make(), numbers())


class Distill(nn.Module):
    """A teacher in the loss, in eval mode."""

    def __init__(self, teacher: nn.Module) -> None:
        super().__init__()
        self.teacher = teacher

    def forward(self, y_hat, y, x):
        with torch.no_grad():
            t = self.teacher(x)
        return F.mse_loss(y_hat, t) + F.cross_entropy(y_hat, y)


def teacher() -> nn.Module:
    layers = nn.Linear(4, 3), nn.BatchNorm1d(3), nn.Dropout(0.5)
    return nn.Sequential(*layers).eval().requires_grad_(False)


@situation(95, "distillation: a teacher in eval mode in the loss, (x, y, x)")
def distillation() -> Case:
    x = torch.randn(12, 4)
    data = TensorDataset(x, torch.arange(12) % 3, x)
    return Case(nn.Linear(4, 3), Distill(teacher()), data, step=weighted_step)


class WithTeacher(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.student, self.teacher = nn.Linear(4, 3), teacher()

    def train(self, mode: bool = True):
        super().train(mode)
        self.teacher.eval()
        return self

    def forward(self, x):
        with torch.no_grad():
            t = self.teacher(x)
        return self.student(x), t


@situation(96, "distillation: the teacher is in the network")
def teacher_in_network() -> Case:
    def loss(y_hat, t, y):
        return F.mse_loss(y_hat, t) + F.cross_entropy(y_hat, y)

    def step(network, loss, batch):
        return loss(*network(batch[0]), batch[1])

    network = WithTeacher()
    optimizer = torch.optim.SGD(network.student.parameters(), lr=0.05)
    return Case(network, loss, points(), optimizer, step=step)


class Scaled(nn.Module):
    """Buffers that the loss itself changes."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("scale", torch.ones(()))

    def forward(self, y_hat, y):
        value = F.mse_loss(y_hat, y)
        self.scale.mul_(0.9).add_(0.1 * value.detach())
        return value / self.scale


@situation(98, "a loss module with buffers that it changes, no parameters")
def loss_with_buffers() -> Case:
    return Case(nn.Linear(4, 1), Scaled(), numbers(), without=("evaluate",))


class Centred(nn.Module):
    """As DINO's: a centre follows the outputs."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("center", torch.zeros(3))

    def forward(self, y_hat, y):
        value = F.cross_entropy(y_hat - self.center, y)
        self.center.mul_(0.9).add_(0.1 * y_hat.detach().mean(0))
        return value


@situation(76, "a DINO-like loss with a centre (a buffer)")
def centred() -> Case:
    return Case(nn.Linear(4, 3), Centred(), points(), without=("evaluate",))


class Counting(nn.Module):
    """A loss that counts its calls in an attribute."""

    def __init__(self) -> None:
        super().__init__()
        self.calls = 0

    def forward(self, y_hat, y):
        self.calls += 1
        return F.mse_loss(y_hat, y) * min(1.0, self.calls / 4)


@situation(98, "a loss that is annealed by a counter in an attribute")
def annealed_loss() -> Case:
    return Case(nn.Linear(4, 1), Counting(), numbers(), without=("evaluate",))


# ---- several batches for one update


def by_accumulation(make, loss, data) -> None:
    """The weights after a batch of eight, and after four of two."""
    weights = []
    for size, batches in ((8, 1), (2, 4)):
        torch.manual_seed(1)
        model = tl.Model(make())
        model.prepare(torch.optim.SGD(model.parameters(), lr=0.1), loss)
        model.fit(
            data, batch_size=size, accumulate_grad_batches=batches, num_iters=batches,
            shuffle=False, verbose=0,
        )  # fmt: skip
        weights.append(next(model.parameters()).detach().clone())
    difference = (weights[0] - weights[1]).abs().max()
    assert difference < 1e-6, f"the weights differ by {difference:.2g}"


@situation(
    176,
    "accumulate_grad_batches: a summed loss, class weights, ignored labels",
    each={
        "summed": lambda: nn.MSELoss(reduction="sum"),
        "weights": lambda: nn.CrossEntropyLoss(WEIGHTS),
        "partial": lambda: partial(F.cross_entropy, weight=WEIGHTS),
        "ignored": lambda: nn.CrossEntropyLoss(ignore_index=1),
    },
)
def accumulated(make) -> None:
    loss = make()
    if isinstance(loss, nn.MSELoss):
        by_accumulation(lambda: nn.Linear(4, 1), loss, numbers(8))
    else:
        by_accumulation(lambda: nn.Linear(4, 3), loss, points(8))


@situation(176, "accumulate_grad_batches: class weights in a function", **OF_A_BATCH)
def accumulated_functions() -> None:
    by_accumulation(lambda: nn.Linear(4, 3), weighted, points(8))


@situation(176, "accumulate_grad_batches: a token loss in a function")
def accumulated_tokens() -> None:
    from .language import padded, token_loss

    by_accumulation(lambda: nn.Embedding(5, 5), token_loss, padded())
