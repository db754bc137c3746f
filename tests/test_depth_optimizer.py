"""optimizer.step() and zero_grad() written out are what torch runs, one weight at a time."""

import copy
import itertools
from textwrap import dedent
from typing import Any

import libcst as cst
import pytest
import torch
from torch import nn
from torch.utils.data import TensorDataset

import tutorial as tl
from tutorial.depth.names import taken_by_the_loop
from tutorial.depth.optimizer import RULES, rule, with_its_rule
from tutorial.unroll.proof import flat, identical
from tutorial.unroll.source import names_assigned

# What an optimizer can be made with. Each value is tried, and each pair of two of them.
CHOICES: dict[type, dict[str, list[Any]]] = {
    torch.optim.SGD: {
        "lr": [0.1], "momentum": [0, 0.9], "dampening": [0, 0.3], "weight_decay": [0, 0.1],
        "nesterov": [False, True], "maximize": [False, True],
    },
    torch.optim.Adam: {
        "lr": [0.1], "betas": [(0.9, 0.999), (0.5, 0.7)], "eps": [1e-8, 0.1],
        "weight_decay": [0, 0.1], "amsgrad": [False, True], "maximize": [False, True],
        "decoupled_weight_decay": [False, True],
    },
    torch.optim.AdamW: {
        "lr": [0.1], "weight_decay": [0.01, 0], "amsgrad": [False, True], "maximize": [False, True],
    },
    torch.optim.NAdam: {
        "lr": [0.1], "weight_decay": [0, 0.1], "momentum_decay": [4e-3, 0.5],
        "decoupled_weight_decay": [False, True], "maximize": [False, True],
    },
    torch.optim.RAdam: {
        "lr": [0.1], "betas": [(0.9, 0.999), (0.5, 0.7)], "weight_decay": [0, 0.1],
        "decoupled_weight_decay": [False, True], "maximize": [False, True],
    },
    torch.optim.Adamax: {
        "lr": [0.1], "betas": [(0.9, 0.999), (0.5, 0.7)], "weight_decay": [0, 0.1],
        "maximize": [False, True],
    },
    torch.optim.RMSprop: {
        "lr": [0.1], "alpha": [0.99, 0.5], "weight_decay": [0, 0.1], "momentum": [0, 0.9],
        "centered": [False, True], "maximize": [False, True],
    },
    torch.optim.Adagrad: {
        "lr": [0.1], "lr_decay": [0, 0.5], "weight_decay": [0, 0.1],
        "initial_accumulator_value": [0, 0.2], "maximize": [False, True],
    },
    torch.optim.Adadelta: {
        "lr": [1.0, 0.3], "rho": [0.9, 0.5], "weight_decay": [0, 0.1], "maximize": [False, True],
    },
    torch.optim.Adafactor: {
        "lr": [0.1], "beta2_decay": [-0.8, -0.5], "eps": [(None, 1e-3), (1e-2, 0.1)],
        "d": [1.0, 2.0], "weight_decay": [0, 0.1], "maximize": [False, True],
    },
    torch.optim.Rprop: {
        "lr": [0.1], "etas": [(0.5, 1.2), (0.3, 2.0)], "step_sizes": [(1e-6, 50), (0.05, 0.2)],
        "maximize": [False, True],
    },
    torch.optim.ASGD: {
        "lr": [0.1], "lambd": [1e-4, 0.1], "alpha": [0.75, 0.5], "t0": [1e6, 1],
        "weight_decay": [0, 0.1], "maximize": [False, True],
    },
    torch.optim.Muon: {
        "lr": [0.1], "momentum": [0.95, 0.5], "nesterov": [True, False], "weight_decay": [0.1, 0],
        "adjust_lr_fn": [None, "original", "match_rms_adamw", "spectral_unclamped"],
        "ns_steps": [5, 2],
    },
}  # fmt: skip


EVERY = {key for choices in CHOICES.values() for key in choices}


def made_with(cls: type) -> list[dict[str, Any]]:
    """The arguments of some optimizers of the class: any two choices stand together in one."""
    choices = CHOICES[cls]
    usual = {key: values[0] for key, values in choices.items()}
    found = [usual]
    for (one, ones), (other, others) in itertools.combinations(choices.items(), 2):
        found += [usual | {one: a, other: b} for a in ones[1:] or ones for b in others[1:]]
    if cls is torch.optim.SGD:  # Nesterov's form needs momentum, and has no dampening
        found = [f for f in found if not f["nesterov"] or (f["momentum"] and not f["dampening"])]
    return found


class Weights(nn.Module):
    """A matrix, a high one, a vector, one that is frozen, and one that gets no gradient."""

    def __init__(self, dtype: torch.dtype, matrices: bool) -> None:
        super().__init__()
        torch.manual_seed(0)
        shapes = [(3, 4), (5, 2), *([] if matrices else [(4,), (2, 3, 2, 2)]), (2, 2), (2, 3)]
        self.all = nn.ParameterList(torch.randn(shape, dtype=dtype) for shape in shapes)
        self.all[-2].requires_grad_(False)


def trained(source: str, network: Weights, optimizer: Any, steps: int = 5) -> list[Any]:
    """Run the lines after each of several backward passes; what was learned, and all state."""
    code, generator = compile(source, "<step>", "exec"), torch.Generator().manual_seed(1)
    for _ in range(steps):
        for weight in [*network.all][:-2]:
            random = torch.randn(weight.shape, generator=generator, dtype=weight.dtype)
            (weight * random + weight**2).sum().backward()
        exec(code, {"torch": torch, "network": network, "optimizer": optimizer})
    assert all(weight.grad is None for weight in network.parameters())
    return [network.state_dict(), optimizer.state_dict()["state"]]


CALLS = "optimizer.step()\noptimizer.zero_grad()\n"


def compare(cls: Any, dtype: torch.dtype, changes: set[str], **arguments: Any) -> None:
    """Train both ways, and compare every bit."""
    alone = {} if cls in (torch.optim.Muon, torch.optim.Adafactor) else {"foreach": False}
    networks = [Weights(dtype, matrices=cls is torch.optim.Muon) for _ in range(2)]
    optimizers = [cls(network.parameters(), **alone, **arguments) for network in networks]
    source = with_its_rule(CALLS, optimizers[1], networks[1], changes)
    assert "optimizer.step()\n" not in source and "zero_grad()" not in source
    expected = trained(CALLS, networks[0], optimizers[0])
    found = trained(source, networks[1], optimizers[1])
    for name, value in flat(expected).items():
        assert identical(value, flat(found)[name]), (arguments, name)
    assert flat(expected).keys() == flat(found).keys()


@pytest.mark.parametrize("cls", CHOICES, ids=lambda cls: cls.__name__)
@pytest.mark.parametrize("changes", [set(), {"lr"}, EVERY], ids=["none", "lr", "every"])
def test_the_rule_is_what_torch_runs(cls: Any, changes: set[str]) -> None:
    for arguments in made_with(cls):
        for dtype in (torch.float32, torch.float64, torch.bfloat16):
            compare(cls, dtype, changes, **arguments)


def test_each_optimizer_of_torch_has_a_rule_or_a_reason() -> None:
    all_of_them = {
        cls
        for cls in vars(torch.optim).values()
        if isinstance(cls, type) and issubclass(cls, torch.optim.Optimizer)
    }
    without = {torch.optim.Optimizer, torch.optim.LBFGS, torch.optim.SparseAdam}
    assert RULES.keys() == CHOICES.keys() == all_of_them - without


def test_what_is_0_leaves_no_line() -> None:
    network = nn.Linear(2, 2)
    for arguments, word in (
        ({"momentum": 0.9}, "momentum"), ({"weight_decay": 0.1}, "towards 0"),
        ({"maximize": True}, "uphill"),
    ):  # fmt: skip
        with_it = torch.optim.SGD(network.parameters(), lr=0.1, **arguments)
        plain = torch.optim.SGD(network.parameters(), lr=0.1)
        assert word in with_its_rule(CALLS, with_it, network, set())
        assert word not in with_its_rule(CALLS, plain, network, set())


@pytest.mark.parametrize("changes", [set(), EVERY], ids=["none", "every"])
def test_each_parameter_group_has_its_own_hyperparameters(changes: set[str]) -> None:
    def optimizer_of(network: Weights) -> Any:
        first, *others = network.parameters()
        groups = [{"params": [first], "lr": 0.5, "weight_decay": 0.3}, {"params": others}]
        return torch.optim.SGD(groups, lr=0.1, momentum=0.9, foreach=False)

    networks = [Weights(torch.float32, matrices=False) for _ in range(2)]
    optimizers = [optimizer_of(network) for network in networks]
    source = with_its_rule(CALLS, optimizers[1], networks[1], changes)
    assert 'for weight in group["params"]' in source and 'alpha=-group["lr"]' in source
    assert ("mul_(0.9)" in source) != bool(changes)
    expected = trained(CALLS, networks[0], optimizers[0])
    found = trained(source, networks[1], optimizers[1])
    assert all(identical(v, flat(found)[k]) for k, v in flat(expected).items())


def test_a_part_of_the_network_is_trained() -> None:
    networks = [Weights(torch.float32, matrices=False) for _ in range(2)]
    optimizers = [torch.optim.Adam([n.all[0]], foreach=False) for n in networks]
    source = with_its_rule("optimizer.step()\n", optimizers[1], networks[1], set())
    for network, optimizer, lines in zip(
        networks, optimizers, ("optimizer.step()\n", source), strict=True
    ):
        for weight in network.all:
            weight.grad = torch.ones_like(weight)
        exec(lines, {"torch": torch, "network": network, "optimizer": optimizer})
    assert all(map(torch.equal, networks[0].parameters(), networks[1].parameters()))


def test_what_was_learned_by_torch_goes_on_written_out() -> None:
    """The state is the optimizer's own: half of the steps in one way, half in the other."""
    network, whole = (Weights(torch.float32, matrices=False) for _ in range(2))
    optimizer, other = (torch.optim.Adam(n.parameters(), foreach=False) for n in (network, whole))
    source = with_its_rule(CALLS, optimizer, network, set())
    for lines, by_torch in ((CALLS, CALLS), (source, CALLS), (CALLS, CALLS)):
        found = trained(lines, network, optimizer, steps=2)
        expected = trained(by_torch, whole, other, steps=2)
        assert all(identical(v, flat(found)[k]) for k, v in flat(expected).items())
    assert (
        copy.deepcopy(optimizer).state_dict()["state"].keys() == other.state_dict()["state"].keys()
    )


@pytest.mark.parametrize("file", sorted(set(RULES.values())))
def test_a_rule_takes_no_name_of_the_loop(file: str) -> None:
    body = dedent(cst.Module([]).code_for_node(rule(file)))
    assert names_assigned(body) & taken_by_the_loop() <= {"gradient", "_"}


@pytest.mark.parametrize("depth", ["optimizer", "gradients"])
def test_names_of_the_call_stay_the_calls(depth: str) -> None:
    class M(tl.metrics.Accuracy):
        """Its variable is m, as Adam's mean; another one's is log_p, as the loss has it."""

    class LogP(tl.metrics.Accuracy):
        pass

    class State(tl.metrics.Accuracy):
        pass

    found = []
    for at in ("loop", depth):
        tl.seed(0)
        model = tl.Model(nn.Linear(4, 3))
        adam = torch.optim.Adam(model.parameters(), foreach=False, fused=False)
        metrics = [M(name="m"), LogP(name="log_p"), State(name="state")]
        model.prepare(adam, nn.CrossEntropyLoss(), metrics)
        data = TensorDataset(torch.randn(9, 4), torch.arange(9) % 3)
        program = model.unroll("fit", data, batch_size=4, depth=at)
        assert {"m", "log_p"} <= program.names.keys()
        found.append(program.run().rows)
    assert found[0] == found[1]
