"""Does it learn? On the full MNIST, with the lesson's networks."""

import statistics

import pytest
import torch
from torch import nn
from torchvision.transforms import Normalize

import tutorial as tl

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def mnist() -> tuple[tl.datasets.MNIST, tl.datasets.MNIST]:
    torch.set_num_threads(1)
    transform = Normalize(mean=[127.5], std=[127.5])
    return tl.datasets.MNIST("train", transform), tl.datasets.MNIST("test", transform)


class FaceNet(nn.Module):
    """The lesson's last network: LeNet as a backbone, and a head on its ten outputs."""

    def __init__(self) -> None:
        super().__init__()
        self.backbone = tl.models.LeNet()
        self.hidden = nn.Sequential(nn.Linear(10, 512), nn.ReLU(), nn.Dropout(0.2))
        self.head = nn.Linear(512, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.hidden(self.backbone(x)))


def mlp() -> nn.Module:
    return nn.Sequential(
        nn.Flatten(), nn.Linear(784, 512), nn.ReLU(), nn.Dropout(0.2), nn.Linear(512, 10)
    )


def trained(make, mnist, seed: int, epochs: int) -> tuple[tl.Model, tl.History]:
    tl.seed(seed)
    model = tl.Model(make())
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    model.prepare(optimizer, nn.CrossEntropyLoss(), tl.metrics.Accuracy())
    return model, model.fit(mnist[0], mnist[1], epochs=epochs, verbose=0, eval_freq=epochs)


def test_one_epoch_of_the_mlp_and_the_same_loss_for_every_batch_size(mnist) -> None:
    model, history = trained(mlp, mnist, seed=0, epochs=1)
    assert history.rows[-1]["eval_acc"] >= 0.94
    expected = history.rows[-1]["eval_loss"]
    for batch_size in (1, 100, 10_000):
        loss = model.evaluate(mnist[1], batch_size=batch_size, verbose=0)["loss"]
        assert loss == pytest.approx(expected, abs=1e-6)


def test_five_epochs_of_the_mlp_from_three_seeds(mnist) -> None:
    last = [trained(mlp, mnist, seed, epochs=5)[1].rows[-1] for seed in (0, 1, 2)]
    print(last)
    assert min(row["eval_acc"] for row in last) >= 0.964
    assert statistics.mean(row["eval_acc"] for row in last) >= 0.968
    assert statistics.mean(row["eval_loss"] for row in last) <= 0.11


def test_one_epoch_of_facenet(mnist) -> None:
    _, history = trained(FaceNet, mnist, seed=0, epochs=1)
    print(history.rows)
    assert history.rows[-1]["eval_acc"] >= 0.955
