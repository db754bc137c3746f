"""What is no `fit`: several optimizers, losses that the network computes, environments.

It is refused, and the message shows the few lines of a loop of one's own. Such a loop is given to
`fit(..., loop=...)`, and is then shown, proved and run again like the library's.
"""

import tempfile
from pathlib import Path

import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, Dataset, TensorDataset

import tutorial as tl

from .runner import run_path, same, seed
from .situation import situation

OWN_LOOP = "`fit(..., loop=...)` with a loop of your own"


class GAN(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.g, self.d = nn.Linear(2, 4), nn.Linear(4, 1)

    def forward(self, z):
        return self.d(self.g(z))


@situation(141, "GAN: two optimizers in prepare", refused="loop=", instead=OWN_LOOP)
def gan_prepared() -> None:
    network = GAN()
    optimizers = [torch.optim.Adam(part.parameters()) for part in (network.g, network.d)]
    tl.Model(network).prepare(optimizers, nn.BCEWithLogitsLoss())


def gan_loop(network, optimizer, loss_fn, train_data):
    """Two optimizers: the model's is that of the discriminator."""
    generator = torch.optim.Adam(network.g.parameters(), lr=0.01)
    step_losses = []
    for (x,) in DataLoader(train_data, 4, shuffle=True):
        z = torch.randn(len(x), 2)
        real, fake = network.d(x), network.d(network.g(z).detach())
        loss = loss_fn(real, torch.ones_like(real)) + loss_fn(fake, torch.zeros_like(fake))
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        fooled = loss_fn(network(z), torch.ones(len(x), 1))
        fooled.backward()
        generator.step()
        network.zero_grad()
        step_losses.append(loss.item() + fooled.item())
    return step_losses


class ActorCritic(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.actor, self.critic = nn.Linear(3, 2), nn.Linear(3, 1)

    def forward(self, state):
        return torch.distributions.Categorical(logits=self.actor(state)), self.critic(state)


class Walk:
    """An environment: right is rewarded."""

    def reset(self):
        self.place = 0.0
        return torch.tensor([self.place, 1.0, 0.0])

    def step(self, action):
        self.place += 0.1 if action == 1 else -0.1
        return torch.tensor([self.place, 1.0, 0.0]), self.place


def actor_critic_loop(network, optimizer, train_data):
    """Two optimizers; train_data is the environment."""
    critic = torch.optim.Adam(network.critic.parameters(), lr=0.01)
    step_losses, state = [], train_data.reset()
    for _ in range(6):
        policy, value = network(state)
        action = policy.sample()
        state, reward = train_data.step(action)
        advantage = reward - value
        loss = -(policy.log_prob(action) * advantage.detach()).mean() + advantage.square().mean()
        loss.backward()
        optimizer.step()
        critic.step()
        network.zero_grad()
        step_losses.append(loss.item())
    return step_losses


class Detector(nn.Module):
    """In training it is given targets and gives its losses, as torchvision's detectors do."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(12, 4)

    def forward(self, images, targets=None):
        boxes = [self.fc(image.flatten()) for image in images]
        if not self.training:
            return [{"boxes": box} for box in boxes]
        pairs = zip(boxes, targets, strict=True)
        return {"boxes": sum(F.l1_loss(box, target["boxes"]) for box, target in pairs)}


class Scenes(Dataset):
    def __len__(self) -> int:
        return 6

    def __getitem__(self, i):
        return torch.full((3, 2, 2), i / 6), {"boxes": torch.ones(4) * i / 6}


def as_lists(items):
    return [image for image, _ in items], [target for _, target in items]


@situation(
    140,
    "detection: targets go into forward, which gives the losses",
    refused="loop=|loss",
    instead=OWN_LOOP,
)
def detection() -> None:
    network = Detector()
    model = tl.Model(network)
    model.prepare(torch.optim.SGD(network.parameters(), lr=0.1), lambda losses: losses["boxes"])
    model.fit(DataLoader(Scenes(), 2, collate_fn=as_lists), verbose=0)


def detection_loop(network, optimizer, train_data):
    """The network computes its losses itself."""
    network.train()
    step_losses = []
    for images, targets in DataLoader(train_data, 2, shuffle=True, collate_fn=as_lists):
        loss = sum(network(images, targets).values())
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        step_losses.append(loss.item())
    return step_losses


def sam_loop(network, optimizer, loss_fn, train_data):
    """Two passes for a step: up to the worst weights near by, and from there."""
    step_losses = []
    for x, y in DataLoader(train_data, 4, shuffle=True):
        loss = loss_fn(network(x), y)
        loss.backward()
        with torch.no_grad():
            ups = [0.05 * p.grad / (p.grad.norm() + 1e-12) for p in network.parameters()]
            for p, up in zip(network.parameters(), ups, strict=True):
                p.add_(up)
        optimizer.zero_grad()
        loss_fn(network(x), y).backward()
        with torch.no_grad():
            for p, up in zip(network.parameters(), ups, strict=True):
                p.sub_(up)
        optimizer.step()
        optimizer.zero_grad()
        step_losses.append(loss.item())
    return step_losses


def gan() -> tuple:
    network = GAN()
    optimizer = torch.optim.Adam(network.d.parameters(), lr=0.01)
    return network, optimizer, nn.BCEWithLogitsLoss(), TensorDataset(torch.randn(12, 4)), gan_loop


def actor_critic() -> tuple:
    network = ActorCritic()
    optimizer = torch.optim.Adam(network.actor.parameters(), lr=0.01)
    return network, optimizer, None, Walk(), actor_critic_loop


def detector() -> tuple:
    network = Detector()
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1)
    return network, optimizer, None, Scenes(), detection_loop


def sharpness_aware() -> tuple:
    network = nn.Linear(4, 3)
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1)
    data = TensorDataset(torch.randn(12, 4), torch.arange(12) % 3)
    return network, optimizer, nn.CrossEntropyLoss(), data, sam_loop


@situation(
    141,
    "a loop of one's own: GAN, actor-critic, detection, SAM",
    each={"GAN": gan, "actor-critic": actor_critic, "detection": detector, "SAM": sharpness_aware},
)
def own_loop(parts) -> None:
    """It is run, shown in the program and in the history, run alone, and proved."""
    seed(0)
    network, optimizer, loss_fn, data, loop = parts()
    for group in optimizer.param_groups:
        group["fused"] = True
    seed(7)
    given = {"network": network, "optimizer": optimizer, "loss_fn": loss_fn, "train_data": data}
    wanted = loop.__code__.co_varnames[: loop.__code__.co_argcount]
    hand = loop(**{name: given[name] for name in wanted})

    seed(0)
    network, optimizer, loss_fn, data, loop = parts()
    model = tl.Model(network)
    model.prepare(optimizer, loss_fn)
    seed(7)
    program = model.unroll("fit", data, loop=loop)
    assert "zero_grad()" in program.source, f"the program shows:\n{program.source}"
    history = model.fit(data, loop=loop, verbose=0)
    same("losses", hand, history.step_losses)
    same("the model's history", hand, model.history.step_losses)
    with tempfile.TemporaryDirectory() as folder:
        path = program.save(Path(folder) / "own.py")
        seed(8)
        same("the script's losses", hand, run_path(path)["step_losses"])
    proof = program.verify(history)
    assert proof, proof.line


@situation(140, "torchvision's ssdlite: a loop of one's own trains it")
def ssdlite() -> None:
    from torchvision.models.detection import ssdlite320_mobilenet_v3_large

    seed(0)
    network = ssdlite320_mobilenet_v3_large(weights=None, weights_backbone=None, num_classes=2)
    model = tl.Model(network)
    model.prepare(torch.optim.SGD(network.parameters(), lr=1e-3))
    box = {"boxes": torch.tensor([[2.0, 2.0, 20.0, 20.0]]), "labels": torch.tensor([1])}
    data = [(torch.rand(3, 64, 64), box)] * 2
    history = model.fit(data, loop=detection_loop, verbose=0)
    assert len(history.step_losses) == 1
