"""Optimizers: groups, schedules, sparse and complex weights, optimizers of one's own."""

from collections import deque
from functools import partial

import torch
from torch import nn
from torch.optim import lr_scheduler
from torch.utils.data import TensorDataset

import tutorial as tl
from tutorial.callbacks import LRScheduler

from .networks import ComplexNet, mlp
from .situation import Case, numbers, points, situation


class Bags(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.bag = nn.EmbeddingBag(20, 3, sparse=True)

    def forward(self, tokens):
        return self.bag(tokens)


def tokens() -> TensorDataset:
    return TensorDataset(torch.randint(0, 20, (12, 4)), torch.arange(12) % 3)


@situation(49, "EmbeddingBag(sparse=True), SparseAdam")
def sparse_adam() -> Case:
    return Case(Bags(), nn.CrossEntropyLoss(), tokens(), partial(torch.optim.SparseAdam, lr=0.1))


@situation(
    113,
    "sparse gradients with SGD, Adagrad",
    each={"SGD": torch.optim.SGD, "Adagrad": torch.optim.Adagrad},
)
def sparse(kind) -> Case:
    return Case(Bags(), nn.CrossEntropyLoss(), tokens(), partial(kind, lr=0.1))


class RealAndComplex(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.spectral, self.fc = ComplexNet(), nn.Linear(1, 1)

    def forward(self, x):
        return self.fc(self.spectral(x))


@situation(
    114,
    "real and complex weights, Adam, AdamW, SGD, RMSprop",
    each={
        "Adam": torch.optim.Adam,
        "AdamW": torch.optim.AdamW,
        "SGD": torch.optim.SGD,
        "RMSprop": torch.optim.RMSprop,
    },
)
def real_and_complex(kind) -> Case:
    return Case(RealAndComplex(), nn.MSELoss(), numbers(), partial(kind, lr=0.01))


@situation(50, "a frozen backbone, groups with their own lr, AdamW")
def frozen_backbone() -> Case:
    network = nn.Sequential(mlp(), nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 3))
    network[0].requires_grad_(False)
    optimizer = torch.optim.AdamW(
        [
            {"params": network[1].parameters(), "lr": 1e-3},
            {"params": network[3].parameters(), "lr": 1e-2, "weight_decay": 0.0},
        ]
    )
    return Case(network, nn.CrossEntropyLoss(), points(), optimizer)


@situation(51, "an optimizer of the head alone")
def head_alone() -> Case:
    network = mlp()
    network[0].requires_grad_(False)
    optimizer = torch.optim.SGD(network[2].parameters(), lr=0.1)
    return Case(network, nn.CrossEntropyLoss(), points(), optimizer)


@situation(
    51,
    "the same, and the rest is not frozen: it would never learn",
    refused=r"requires_grad_\(False\)",
    instead="freeze the rest: `weight.requires_grad_(False)`",
)
def head_alone_unfrozen() -> Case:
    network = mlp()
    optimizer = torch.optim.SGD(network[2].parameters(), lr=0.1)
    return Case(network, nn.CrossEntropyLoss(), points(), optimizer)


def scheduled(make, on: str, network=None) -> Case:
    """A schedule by step or by epoch."""
    network = network or mlp()
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1, momentum=0.9)
    scheduler = make(optimizer)

    def loop(case, loader):
        losses = []
        for _ in range(2):
            case.network.train()
            for x, y in loader:
                loss = case.loss(case.network(x), y)
                loss.backward()
                case.optimizer.step()
                case.optimizer.zero_grad()
                losses.append(loss.item())
                if on == "step":
                    scheduler.step()
            if on == "epoch":
                scheduler.step()
        return losses

    callback = LRScheduler(scheduler, by_step=on == "step")
    fit = {"callbacks": [callback]}
    return Case(network, nn.CrossEntropyLoss(), points(), optimizer, fit=fit, loop=loop)


@situation(52, "OneCycleLR by step")
def one_cycle() -> Case:
    make = partial(lr_scheduler.OneCycleLR, max_lr=0.2, total_steps=20)
    return scheduled(make, "step")


def sequential(optimizer):
    warm = lr_scheduler.LinearLR(optimizer, 0.1, total_iters=2)
    decay = lr_scheduler.ExponentialLR(optimizer, 0.9)
    return lr_scheduler.SequentialLR(optimizer, [warm, decay], milestones=[2])


def chained(optimizer):
    warm = lr_scheduler.ConstantLR(optimizer, 0.1, total_iters=2)
    return lr_scheduler.ChainedScheduler([warm, lr_scheduler.ExponentialLR(optimizer, 0.9)])


@situation(
    111,
    "SWALR, CosineAnnealingWarmRestarts, SequentialLR, ChainedScheduler, CyclicLR",
    each={
        "SWALR": partial(torch.optim.swa_utils.SWALR, swa_lr=0.05, anneal_epochs=3),
        "WarmRestarts": partial(lr_scheduler.CosineAnnealingWarmRestarts, T_0=2),
        "Sequential": sequential,
        "Chained": chained,
        "Cyclic": partial(lr_scheduler.CyclicLR, base_lr=0.01, max_lr=0.1, step_size_up=3),
    },
)
def schedules(make) -> Case:
    return scheduled(make, "step")


@situation(112, "LambdaLR with a lambda", unscripted="def", instead="`def` instead of `lambda`")
def lambda_lr() -> Case:
    return scheduled(partial(lr_scheduler.LambdaLR, lr_lambda=lambda epoch: 0.9**epoch), "epoch")


def decayed(epoch: int) -> float:
    return 0.9**epoch


@situation(
    112,
    "LambdaLR with a def, MultiplicativeLR",
    each={"LambdaLR": lr_scheduler.LambdaLR, "MultiplicativeLR": lr_scheduler.MultiplicativeLR},
)
def function_lr(kind) -> Case:
    return scheduled(partial(kind, lr_lambda=decayed), "epoch")


@situation(72, "torch.optim.Muon")
def muon() -> Case:
    network = nn.Sequential(nn.Linear(4, 8, bias=False), nn.ReLU(), nn.Linear(8, 3, bias=False))
    return Case(network, nn.CrossEntropyLoss(), points(), partial(torch.optim.Muon, lr=0.01))


@situation(74, "precision='bf16-mixed'")
def mixed() -> Case:
    def step(network, loss, batch):
        with torch.autocast("cpu", torch.bfloat16):
            return loss(network(batch[0]), batch[1])

    def predict(network, batch):
        with torch.autocast("cpu", torch.bfloat16):
            return network(batch[0])

    return Case(
        mlp(), nn.CrossEntropyLoss(), points(), step=step, predict=predict,
        prepare={"precision": "bf16-mixed"}, without=("predict",),
    )  # fmt: skip


class Lion(torch.optim.Optimizer):
    def __init__(self, params, lr=1e-3, beta=0.9) -> None:
        super().__init__(params, {"lr": lr, "beta": beta})

    @torch.no_grad()
    def step(self, closure=None):
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is not None:
                    m = self.state[p].setdefault("m", torch.zeros_like(p))
                    p.add_(m.lerp(p.grad, 1 - group["beta"]).sign(), alpha=-group["lr"])
                    m.lerp_(p.grad, 0.01)


class Outside(torch.optim.Optimizer):
    """An argument is kept outside of the groups."""

    def __init__(self, params, lr=0.1, power=1.0) -> None:
        super().__init__(params, {"lr": lr})
        self.power = power

    @torch.no_grad()
    def step(self, closure=None):
        for group in self.param_groups:
            for p in group["params"]:
                p.add_(p.grad.sign() * p.grad.abs() ** self.power, alpha=-group["lr"])


class Second(torch.optim.Optimizer):
    """A second argument that must be given."""

    def __init__(self, params, total_steps, lr=0.1) -> None:
        super().__init__(params, {"lr": lr})
        self.total_steps = total_steps
        self.done = 0

    @torch.no_grad()
    def step(self, closure=None):
        for group in self.param_groups:
            for p in group["params"]:
                p.add_(p.grad, alpha=-group["lr"] * max(0.0, 1 - self.done / self.total_steps))
        self.done += 1


class Remembers(torch.optim.Optimizer):
    """A deque in its state."""

    def __init__(self, params, lr=0.1) -> None:
        super().__init__(params, {"lr": lr})

    @torch.no_grad()
    def step(self, closure=None):
        for group in self.param_groups:
            for p in group["params"]:
                last = self.state[p].setdefault("last", deque(maxlen=2))
                last.append(p.grad.clone())
                p.add_(sum(last), alpha=-group["lr"])


@situation(100, "an optimizer of one's own: Lion")
def lion() -> Case:
    return Case(mlp(), nn.CrossEntropyLoss(), points(), Lion)


@situation(101, "an optimizer of one's own, an argument outside of its groups")
def outside() -> Case:
    return Case(mlp(), nn.CrossEntropyLoss(), points(), partial(Outside, power=2.0))


@situation(102, "an optimizer of one's own: a second argument, a counter")
def second_argument() -> Case:
    return Case(mlp(), nn.CrossEntropyLoss(), points(), partial(Second, total_steps=20))


@situation(
    174,
    "an optimizer of one's own with a deque in its state",
    told=r"\['last'\] is a deque",
    instead="a deque is saved as a list: make one of it again in load_state_dict",
)
def deque_in_state() -> Case:
    return Case(mlp(), nn.CrossEntropyLoss(), points(), Remembers)


class SAM(torch.optim.Optimizer):
    """Two passes for a step: it needs a closure, though the argument has a default."""

    def __init__(self, params, base, **options) -> None:
        super().__init__(params, options)
        self.base = base(self.param_groups, **options)

    def step(self, closure=None):
        assert closure is not None, "SAM needs a closure"
        closure()
        self.base.step()


@situation(
    103,
    "SAM: an optimizer that needs a closure",
    refused="loop=",
    instead="a loop of your own, `fit(..., loop=...)`",
)
def sam() -> Case:
    optimizer = partial(SAM, base=torch.optim.SGD, lr=0.1)
    without = ("evaluate", "predict")
    return Case(mlp(), nn.CrossEntropyLoss(), points(), optimizer, without=without, loop=never)


def never(case, loader):
    return []


@situation(104, "LBFGS", refused="loop=", instead="a loop of your own, `fit(..., loop=...)`")
def lbfgs() -> Case:
    return Case(mlp(), nn.CrossEntropyLoss(), points(), torch.optim.LBFGS, loop=never)


class Lookahead:
    """Around an optimizer, and no Optimizer itself."""

    def __init__(self, optimizer) -> None:
        self.optimizer = optimizer
        self.param_groups = optimizer.param_groups

    def step(self):
        self.optimizer.step()

    def zero_grad(self):
        self.optimizer.zero_grad()


@situation(
    105,
    "Lookahead, a wrapper that is no Optimizer",
    refused=r"torch\.optim",
    instead="a subclass of `torch.optim.Optimizer`",
)
def lookahead() -> None:
    network = mlp()
    optimizer = Lookahead(torch.optim.SGD(network.parameters(), lr=0.1))
    tl.Model(network).prepare(optimizer, nn.CrossEntropyLoss())


def schedule_free(trains: bool, callbacks=None) -> tuple[float, float]:
    """The validation loss in fit, and that of optimizer.eval()."""
    from schedulefree import SGDScheduleFree

    network, data = mlp(), points()
    optimizer = SGDScheduleFree(network.parameters(), lr=0.5)
    if trains:
        optimizer.train()
    model = tl.Model(network)
    model.prepare(optimizer, nn.CrossEntropyLoss())
    rows = model.fit(data, data, epochs=4, batch_size=4, verbose=0, callbacks=callbacks).rows
    optimizer.eval()
    return rows[-1]["eval_loss"], model.evaluate(data, verbose=0)["loss"]


@situation(106, "schedulefree, without optimizer.train()")
def schedule_free_untrained() -> None:
    found, right = schedule_free(trains=False)
    assert abs(found - right) < 1e-6, f"{found} while training, {right} after optimizer.eval()"


@situation(107, "schedulefree, optimizer.train() before, and validation data")
def schedule_free_evaluated() -> None:
    found, right = schedule_free(trains=True)
    assert abs(found - right) < 1e-6, f"{found} while training, {right} after optimizer.eval()"


class Switch(tl.callbacks.Callback):
    def on_epoch_begin(self, epoch, logs=None):
        self.model.optimizer.train()

    def on_eval_begin(self, logs=None):
        self.model.optimizer.eval()


@situation(108, "schedulefree with a callback that switches")
def schedule_free_switched() -> None:
    found, right = schedule_free(trains=True, callbacks=[Switch()])
    assert abs(found - right) < 1e-6, f"{found} while training, {right} after optimizer.eval()"


class Unfreeze(tl.callbacks.Callback):
    """Gradual unfreezing."""

    def on_epoch_begin(self, epoch, logs=None):
        if epoch == 1:
            first = self.model.network[0].requires_grad_(True)
            self.model.optimizer.add_param_group({"params": first.parameters(), "lr": 0.01})


@situation(178, "unfreeze and add_param_group in a callback")
def unfreeze() -> Case:
    network = mlp()
    network[0].requires_grad_(False)
    optimizer = torch.optim.SGD(network[2].parameters(), lr=0.1)

    def loop(case, loader):
        losses = []
        for epoch in range(2):
            if epoch == 1:
                first = case.network[0].requires_grad_(True)
                case.optimizer.add_param_group(
                    {"params": first.parameters(), "lr": 0.01,
                     "fused": case.optimizer.param_groups[0]["fused"]}
                )  # fmt: skip
            for x, y in loader:
                loss = case.loss(case.network(x), y)
                loss.backward()
                case.optimizer.step()
                case.optimizer.zero_grad()
                losses.append(loss.item())
        return losses

    return Case(
        network, nn.CrossEntropyLoss(), points(), optimizer, loop=loop, without=("load",),
        fit={"callbacks": [Unfreeze()]},
    )  # fmt: skip


def named_groups(parameters):
    parameters = list(parameters)
    return torch.optim.Adam([{"params": parameters[:2], "name": "body"},
                             {"params": parameters[2:], "name": "head"}], lr=0.01)  # fmt: skip


def tensor_lr(parameters):
    return torch.optim.Adam(parameters, lr=torch.tensor(0.01), foreach=False)


@situation(
    179,
    "groups with names, lr as a tensor, NAdam, RAdam, Adafactor, ASGD, Adamax, Rprop",
    each={
        "named groups": named_groups,
        "lr is a tensor": tensor_lr,
        "NAdam": torch.optim.NAdam,
        "RAdam": torch.optim.RAdam,
        "Adafactor": torch.optim.Adafactor,
        "ASGD": torch.optim.ASGD,
        "Adamax": torch.optim.Adamax,
        "Rprop": torch.optim.Rprop,
        "Adadelta": torch.optim.Adadelta,
    },
)
def other_optimizers(make) -> Case:
    return Case(mlp(), nn.CrossEntropyLoss(), points(), make, without=("evaluate", "predict"))


@situation(179, "named_parameters() for the optimizer")
def named_parameters() -> Case:
    network = mlp()
    optimizer = torch.optim.Adam(network.named_parameters(), lr=0.01)
    return Case(network, nn.CrossEntropyLoss(), points(), optimizer)


@situation(180, "compile=True")
def compile_option() -> None:
    """Compiled by a backend that changes nothing: the real one takes a minute."""
    losses = []
    for compiled in (False, True):
        torch.manual_seed(0)
        model = tl.Model(mlp())
        model.prepare(torch.optim.SGD(model.parameters(), lr=0.1), nn.CrossEntropyLoss())
        text = str(model.unroll("fit", points(), compile=compiled))
        losses.append("torch.compile" in text)
    assert losses == [False, True]
