"""What else has a state: found, saved, resumed and proved as the weights are."""

import collections
import functools
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel
from torch.utils.data import DataLoader, Dataset, Sampler, TensorDataset, WeightedRandomSampler

import tutorial as tl
from tutorial.saving.parts import Parts
from tutorial.unroll.proof import flat, identical

X = torch.arange(32.0).reshape(16, 2) / 32
Y = X.sum(1, keepdim=True)


class Points(Dataset):
    """Moved a little, by random numbers of the data set's own; a callback makes it harder."""

    def __init__(self, move: Any = None) -> None:
        self.move = move
        self.level = 1

    def __len__(self) -> int:
        return len(X)

    def __getitem__(self, i: int) -> Any:
        return X[i] + self.level * (self.move() if self.move else 0.0), Y[i]


class Torch(Points):
    def __init__(self) -> None:
        super().__init__()
        self.generator = torch.Generator().manual_seed(3)

    def move(self) -> Any:  # type: ignore[override]
        return torch.rand(2, generator=self.generator)


class Numpy(Points):
    def __init__(self, kind: Any = np.random.PCG64) -> None:
        self.rng = np.random.Generator(kind(3))
        super().__init__(self.rng.random)


class Old(Points):
    def __init__(self) -> None:
        self.transforms = [np.random.RandomState(3).rand]
        super().__init__(self.transforms[0])


class Pythons(Points):
    def __init__(self) -> None:
        self.known = {"flips": random.Random(3)}
        super().__init__(functools.partial(self.known["flips"].uniform, 0.0, 1.0))


OF_THE_MODULE = np.random.default_rng(3)


class OfTheModule(Points):
    """As most people write it with NumPy."""

    def __init__(self) -> None:
        OF_THE_MODULE.bit_generator.state = np.random.default_rng(3).bit_generator.state
        super().__init__(self.draw)

    def draw(self) -> float:
        return float(OF_THE_MODULE.random())


class Drawn(Sampler):
    """A sampler that draws from a generator of its own, and goes by what it has counted."""

    def __init__(self) -> None:
        self.rng = random.Random(4)
        self.passes = 0

    def __len__(self) -> int:
        return 8

    def __iter__(self) -> Any:
        self.passes += 1
        return (self.rng.randrange(self.passes, len(X)) for _ in range(8))


class Counted(Points):
    """It counts; that is a state, too."""

    def __init__(self) -> None:
        super().__init__(lambda: self.level / 10000)

    def __getitem__(self, i: int) -> Any:
        self.level += 1
        return super().__getitem__(i)


def moving(index: Any = None) -> Any:
    return DataLoader(Torch(), batch_size=4, collate_fn=functools.partial(collated, Numpy().move))


def collated(move: Any, samples: list[Any]) -> Any:
    x, y = zip(*samples, strict=True)
    return torch.stack(x) + move(), torch.stack(y)


DATA: dict[str, Any] = {
    "a torch generator": Torch,
    "a NumPy generator": Numpy,
    "Philox": lambda: Numpy(np.random.Philox),
    "a Mersenne twister": lambda: Numpy(np.random.MT19937),
    "a RandomState in a list": Old,
    "random.Random in a dict and a partial": Pythons,
    "a generator of the module": OfTheModule,
    "a counter": Counted,
    "a collate_fn that draws": moving,
    "a sampler": lambda: DataLoader(TensorDataset(X, Y), 4, sampler=Drawn()),
    "a weighted sampler": lambda: DataLoader(
        TensorDataset(X, Y),
        4,
        sampler=WeightedRandomSampler(
            torch.ones(16), 8, generator=torch.Generator().manual_seed(4)
        ),
    ),
    "workers": lambda: DataLoader(TensorDataset(X, Y), 4, shuffle=True, num_workers=1),
    "workers that stay": lambda: DataLoader(
        TensorDataset(X, Y), 4, shuffle=True, num_workers=1, persistent_workers=True
    ),
}


class Annealed(nn.Linear):
    """It counts its steps, in a number, in a buffer that is not saved, and in a list."""

    def __init__(self) -> None:
        super().__init__(2, 1)
        self.steps = 0
        self.seen: list[int] = []
        self.register_buffer("passing", torch.zeros(1), persistent=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.training:
            self.steps += 1
            self.seen.append(len(x))
            self.passing += 0.1
        return super().forward(x) / (1 + self.steps + len(self.seen) + self.passing)


class Centred(nn.Module):
    """A loss that learns, and has a buffer."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.rand(1))
        self.register_buffer("centre", torch.zeros(1))

    def forward(self, y_hat: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        with torch.no_grad():
            self.centre += 0.1 * (y_hat.mean() - self.centre)
        return ((y_hat - y - self.centre) ** 2 * self.scale**2).mean() + self.scale.square().sum()


class FunctionLoss:
    """A loss that is no module, and holds one."""

    def __init__(self) -> None:
        self.inner = Centred()

    def __call__(self, y_hat: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return self.inner(y_hat, y)


class Averages(tl.callbacks.Callback):
    """An average of the weights, made when the training begins; it acts on the network."""

    state_attributes = ("calls",)

    def on_train_begin(self, logs: Any = None) -> None:
        self.average = AveragedModel(self.model.network)
        self.calls = 0

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self.calls += 1
        self.average.update_parameters(self.model.network)
        with torch.no_grad():
            for weight, mean in zip(
                self.model.network.parameters(), self.average.module.parameters(), strict=True
            ):
                weight += 0.1 * self.calls * (mean - weight)


class Harder(tl.callbacks.Callback):
    """A curriculum."""

    def __init__(self, data: Any) -> None:
        self.data = data

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self.data.level += 1


def made(
    seed: int, loss: Any = nn.MSELoss, network: Any = None, optimizer: Any = torch.optim.SGD
) -> tl.Model:
    tl.seed(seed)
    network, loss_fn = (network or (lambda: nn.Linear(2, 1)))(), loss()
    inner = getattr(loss_fn, "inner", loss_fn)
    model = tl.Model(network)
    model.prepare(
        optimizer([*network.parameters(), *inner.parameters()], lr=0.05, momentum=0.5),
        loss_fn,
    )
    return model


def resumed(folder: Path, data: Any, callbacks: Any = None, **kind: Any) -> None:
    """A fit of 4 epochs, and one that breaks off after 2 and goes on in another process."""

    def fit(seed: int, epochs: int, **options: Any) -> Any:
        model, own = made(seed, **kind), data()
        company = callbacks(own) if callbacks else []
        tl.seed(seed + 1)
        options = {"epochs": epochs, "batch_size": 4, "callbacks": company, **options}
        history = model.fit(own, verbose=0, **options)
        losses = [loss_fn for loss_fn in (model.loss_fn,) if isinstance(loss_fn, nn.Module)]
        return history.step_losses, model.network.state_dict(), [x.state_dict() for x in losses]

    straight = fit(0, 4)
    fit(0, 2, save_dir=folder, resume=True)
    gone_on = fit(5, 4, save_dir=folder, resume=True)
    a, b = flat(list(straight)), flat(list(gone_on))
    assert [key for key in a | b if not identical(a.get(key), b.get(key))] == []


@pytest.mark.parametrize("kind", DATA)
def test_what_the_data_draws_and_counts_goes_on(kind: str, tmp_path) -> None:
    resumed(tmp_path, DATA[kind])


@pytest.mark.parametrize("loss", [Centred, FunctionLoss])
def test_a_loss_that_learns_goes_on(loss: Any, tmp_path) -> None:
    resumed(tmp_path, Points, loss=loss)


def test_what_a_network_counts_goes_on(tmp_path) -> None:
    resumed(tmp_path, Points, network=Annealed)


class Decaying(torch.optim.SGD):
    """An optimizer that counts in an attribute."""

    done = 0

    def step(self, closure: Any = None) -> Any:
        self.done += 1
        for group in self.param_groups:
            group["lr"] = 0.1 / self.done
        return super().step(closure)


def test_what_an_optimizer_counts_goes_on(tmp_path) -> None:
    resumed(tmp_path, Points, optimizer=Decaying)


def test_what_a_callback_makes_and_counts_goes_on(tmp_path) -> None:
    resumed(tmp_path, Points, lambda _: [Averages()])


def test_what_a_callback_sets_in_the_data_goes_on(tmp_path) -> None:
    resumed(tmp_path, lambda: Torch(), lambda data: [Harder(data)])


@pytest.mark.parametrize("kind", ["a NumPy generator", "a counter", "a sampler"])
def test_load_goes_on_with_the_parts(kind: str, tmp_path) -> None:
    straight, one, other = (made(seed, Centred, Annealed) for seed in (0, 0, 5))
    tl.seed(1)
    losses = straight.fit(DATA[kind](), batch_size=4, epochs=4, verbose=0).step_losses
    tl.seed(1)
    one.fit(DATA[kind](), batch_size=4, epochs=2, verbose=0)
    other.load(one.save(tmp_path / "between"))
    again = other.fit(DATA[kind](), batch_size=4, epochs=2, verbose=0).step_losses
    assert again == losses[len(again) :]


def test_a_call_begins_with_new_workers_as_with_a_new_loader() -> None:
    loader, losses = DATA["workers that stay"](), []
    for kept in (True, False):
        model = made(0)
        tl.seed(1)
        for _ in range(2):
            own = loader if kept else DATA["workers that stay"]()
            losses += model.fit(own, epochs=2, verbose=0).step_losses
    assert losses[: len(losses) // 2] == losses[len(losses) // 2 :]


def test_what_a_training_does_not_change_is_not_saved(tmp_path) -> None:
    model = made(0)
    model.fit(TensorDataset(X, Y), verbose=0, save_dir=tmp_path)
    saved = torch.load(tmp_path / "0.pt", weights_only=True)
    assert saved.keys() == {"network", "optimizer", "random", "fit"}


def test_data_is_let_go_after_the_call() -> None:
    model = made(0)
    data = Torch()
    model.fit(data, batch_size=4, verbose=0)
    assert list(model.parts) == ["train_data.generator"]
    assert data not in model.stateful.roots.values()


# ---- what cannot be saved


class Windowed(nn.Linear):
    """It keeps the last batches in what no file can hold."""

    def __init__(self) -> None:
        super().__init__(2, 1)
        self.window: Any = collections.deque([0.0], maxlen=2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.window.append(float(x.sum()))
        return super().forward(x)


class Reading(Points):
    def __init__(self, path: Path) -> None:
        super().__init__(lambda: float(self.file.readline() or 0))
        self.file = path.open()


def test_what_changes_and_cannot_be_saved_is_named_once(tmp_path) -> None:
    model = made(0, network=Windowed)
    with pytest.warns(UserWarning, match=r"network\.window is a deque that changes") as warned:
        model.fit(Points(), epochs=3, verbose=0, save_dir=tmp_path)
    assert len(warned) == 1
    assert "register_buffer" in str(warned[0].message)


def test_an_open_file_that_is_read_on_is_named(tmp_path) -> None:
    (tmp_path / "numbers.txt").write_text("1\n" * 99)
    data = Reading(tmp_path / "numbers.txt")
    with data.file, pytest.warns(UserWarning, match=r"train_data\.file is an open file"):
        made(0).fit(data, verbose=0, save_dir=tmp_path / "run")


# ---- the walk


def test_the_shortest_code_leads_to_each_part() -> None:
    data = DataLoader(Torch(), 4, shuffle=True, generator=torch.Generator())
    codes = Parts({"train_data": data, "loss_fn": Centred(), "optimizer": object()}).found()
    assert sorted(codes) == ["loss_fn", "train_data.dataset.generator", "train_data.generator"]
    for code, part in codes.items():
        assert eval(code, {"train_data": data, "loss_fn": codes["loss_fn"]}) is part


def test_the_generators_of_all_are_no_parts() -> None:
    class Everyones(Points):
        def __init__(self) -> None:
            super().__init__(random.random)
            self.old, self.generator = np.random.rand, torch.default_generator

    assert Parts({"train_data": Everyones()}).found() == {}


def test_large_data_is_not_looked_through() -> None:
    class Large(Points):
        def __init__(self) -> None:
            super().__init__()
            self.paths = ["a"] * 10**6
            self.samples = [(np.zeros(3), i) for i in range(10**4)]

    data = Large()
    parts = Parts({"train_data": data})
    data.paths.append("b")
    assert parts.attributes() == {}


def test_a_file_cannot_name_more_than_a_part(tmp_path) -> None:
    """A checkpoint is data: a code in it that would run something is left out."""
    parts = Parts({"network": nn.Linear(1, 1), "stop": tl.callbacks.Callback()}, ["stop"])
    for code in ("stop.f()", "stop.__class__.x", "os.x", "stop.a; b", 'stop["a" + b]', "stop.a[b]"):
        for kind in ("parts", "attributes"):
            assert not any(parts.lines({kind: {code: 1}}).values()), code
    found = parts.lines({"parts": {"stop.average": {}}, "attributes": {'stop.a[0]["b c"].d': 1}})
    assert found["PARTS"] == [("stop.average.load_state_dict", "stop.average")]
    assert found["ATTRIBUTES"] == [('stop.a[0]["b c"].d', "attributes", 'stop.a[0]["b c"].d')]


def test_other_data_is_refused(tmp_path) -> None:
    made(0).fit(Torch(), verbose=0, save_dir=tmp_path, resume=True)
    with pytest.raises(ValueError, match=r"train_data.generator is of the file, but not of this"):
        made(0).fit(Points(), epochs=2, verbose=0, save_dir=tmp_path, resume=True)


# ---- a loss that learns


class Regularized(nn.Module):
    """It has a weight of its own, and looks at the network's."""

    def __init__(self, network: nn.Module | None = None) -> None:
        super().__init__()
        self.inner, self.network = Centred(), network

    def forward(self, y_hat: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        penalty = sum(w.square().sum() for w in self.network.parameters()) if self.network else 0.0
        return self.inner(y_hat, y) + 0.01 * penalty


def by_hand(network: nn.Module, loss_fn: Any, clip: float | None, groups: int) -> list[float]:
    weights = list(dict.fromkeys([*network.parameters(), *loss_fn.parameters()]))
    optimizer = torch.optim.SGD(weights, lr=0.05, fused=True)
    losses = []
    for _ in range(2):
        for i, (x, y) in enumerate(zip(X.split(6), Y.split(6), strict=True)):
            loss = loss_fn(network(x), y)
            (loss * len(x) if groups > 1 else loss).backward()
            losses.append(loss.item())
            if (i + 1) % groups == 0 or i == 2:
                if groups > 1:
                    for weight in weights:
                        weight.grad /= 12 if i == 1 else 4
                if clip:
                    nn.utils.clip_grad_norm_(weights, clip)
                optimizer.step()
                optimizer.zero_grad()
    return losses


@pytest.mark.parametrize("shares", [False, True])
@pytest.mark.parametrize(("clip", "groups"), [(0.5, 1), (None, 2), (0.5, 2)])
def test_clipping_and_accumulation_go_over_the_losss_weights(shares, clip, groups) -> None:
    def parts() -> tuple[nn.Module, nn.Module]:
        tl.seed(0)
        network = nn.Linear(2, 1)
        return network, Regularized(network) if shares else Centred()

    expected = by_hand(*parts(), clip, groups)
    network, loss_fn = parts()
    model = tl.Model(network)
    weights = dict.fromkeys([*network.parameters(), *loss_fn.parameters()])
    model.prepare(torch.optim.SGD(weights, lr=0.05), loss_fn)
    history = model.fit(
        *(TensorDataset(X, Y), None, 6, 2),
        shuffle=False,
        verbose=0,
        clip_grad_norm=clip,
        accumulate_grad_batches=groups,
    )
    assert history.step_losses == expected


def test_the_class_weights_of_two_losses_go_into_a_file(tmp_path: Path) -> None:
    losses = [nn.CrossEntropyLoss(torch.tensor([1.0, number])) for number in (2.0, 3.0)]
    model = tl.Model(nn.Linear(2, 2))
    model.prepare(torch.optim.SGD(model.parameters()), losses)
    model.load(model.save(tmp_path / "model"))
    saved = torch.load(tmp_path / "model.pt", weights_only=True)
    assert list(saved["parts"]) == ["loss_fn_0", "loss_fn_1"]


def test_a_loss_whose_weights_nobody_trains_is_named() -> None:
    network = nn.Linear(2, 1)
    with pytest.warns(UserWarning, match=r"loss_fn has weights .* \(scale\): they will not learn"):
        tl.Model(network).prepare(torch.optim.SGD(network.parameters(), lr=0.1), Centred())


def train_with_a_loss(batch_size: int, inner: bool = False) -> Any:
    model = made(0, FunctionLoss if inner else Centred, lambda: nn.Linear(2, 1))
    model.loss_fn.to(torch.float64) if not inner else None
    model.network.double()
    data = TensorDataset(X.double(), Y.double())
    history = model.fit(data, batch_size=batch_size, epochs=2, verbose=0, clip_grad_norm=0.5)
    return history.step_losses, model.loss_fn.scale.item(), model.loss_fn.centre.item()


@pytest.mark.slow
def test_two_processes_train_the_loss_alike() -> None:
    first, second = tl.launch(train_with_a_loss, 4)
    assert first == second
    with pytest.raises(Exception, match="inside an object that is no module"):
        tl.launch(train_with_a_loss, 4, True)
