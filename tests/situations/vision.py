"""Images: published networks of torchvision and timm, segmentation, auxiliary outputs."""

import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset
from torchvision import models

from .situation import Case, images, situation


@situation(1, "torchvision resnet18, SGD with momentum")
def resnet() -> Case:
    network = models.resnet18(num_classes=3)
    optimizer = torch.optim.SGD(network.parameters(), lr=0.01, momentum=0.9, weight_decay=1e-4)
    return Case(network, nn.CrossEntropyLoss(), images(), optimizer, fit={"epochs": 1})


@situation(1, "a torchvision ResNet, its body frozen and its head replaced")
def head_replaced() -> Case:
    network = models.ResNet(models.resnet.BasicBlock, [1, 1, 1, 1])
    network.requires_grad_(False)
    network.fc = nn.Sequential(nn.Dropout(0.2), nn.Linear(512, 3))
    optimizer = torch.optim.SGD(network.fc.parameters(), lr=0.01)
    return Case(network, nn.CrossEntropyLoss(), images(), optimizer, fit={"epochs": 1})


@situation(2, "torchvision VisionTransformer, AdamW, label smoothing")
def vision_transformer() -> Case:
    network = models.VisionTransformer(
        image_size=32, patch_size=8, num_layers=2, num_heads=2, hidden_dim=16, mlp_dim=32,
        num_classes=3, dropout=0.1,
    )  # fmt: skip
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-3)
    return Case(network, nn.CrossEntropyLoss(label_smoothing=0.1), images(), optimizer)


@situation(3, "torchvision mobilenet_v3_small")
def mobilenet() -> Case:
    network = models.mobilenet_v3_small(num_classes=3)
    return Case(network, nn.CrossEntropyLoss(), images(), fit={"epochs": 1})


@situation(4, "timm resnet10t")
def timm_resnet() -> Case:
    import timm

    network = timm.create_model("resnet10t", num_classes=3)
    return Case(network, nn.CrossEntropyLoss(), images(), fit={"epochs": 1})


@situation(5, "timm vit_tiny with drop_path")
def timm_vit() -> Case:
    import timm

    network = timm.create_model(
        "vit_tiny_patch16_224", img_size=32, depth=2, drop_path_rate=0.2, num_classes=3
    )
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-3)
    return Case(network, nn.CrossEntropyLoss(), images(), optimizer, fit={"epochs": 1})


@situation(156, "timm swin: a buffer that is None")
def timm_swin() -> Case:
    import timm

    network = timm.create_model(
        "swin_tiny_patch4_window7_224", img_size=32, window_size=4, depths=(1, 1), num_heads=(2, 2),
        embed_dim=16, num_classes=3,
    )  # fmt: skip
    return Case(network, nn.CrossEntropyLoss(), images(), fit={"epochs": 1})


@situation(30, "segmentation (N, C, H, W), ignore_index=255")
def segmentation() -> Case:
    network = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 4, 1))
    masks = torch.randint(0, 4, (8, 6, 6))
    masks[:, :2] = 255
    data = TensorDataset(torch.randn(8, 3, 6, 6), masks)
    return Case(network, nn.CrossEntropyLoss(ignore_index=255), data)


class TorchvisionSegmentation(nn.Module):
    """lraspp gives a dict: its 'out' is what is wanted."""

    def __init__(self) -> None:
        super().__init__()
        self.net = models.segmentation.lraspp_mobilenet_v3_large(
            weights=None, weights_backbone=None, num_classes=4
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.net(x)["out"]


@situation(30, "torchvision lraspp, its dict unpacked in a class around it")
def lraspp() -> Case:
    data = TensorDataset(torch.randn(4, 3, 32, 32), torch.randint(0, 4, (4, 32, 32)))
    fit = {"epochs": 1, "batch_size": 2}
    return Case(TorchvisionSegmentation(), nn.CrossEntropyLoss(), data, fit=fit)


class Auxiliary(nn.Module):
    """As Inception and GoogLeNet: a second head, in training only."""

    def __init__(self) -> None:
        super().__init__()
        self.out, self.aux = nn.Linear(4, 3), nn.Linear(4, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor | tuple[torch.Tensor, torch.Tensor]:
        return (self.out(x), self.aux(x)) if self.training else self.out(x)


def auxiliary_loss(y_hat, y_or_aux, y=None):
    """loss(out, aux, y) in training, loss(out, y) in evaluation."""
    if y is None:
        return F.cross_entropy(y_hat, y_or_aux)
    return F.cross_entropy(y_hat, y) + 0.4 * F.cross_entropy(y_or_aux, y)


def three(out, aux, y):
    return F.cross_entropy(out, y) + 0.4 * F.cross_entropy(aux, y)


def class_points() -> TensorDataset:
    return TensorDataset(torch.randn(12, 4), torch.arange(12) % 3)


@situation(146, "an auxiliary head in training only, loss(out, aux, y)")
def auxiliary() -> Case:
    def step(network, loss, batch):
        return loss(*network(batch[0]), batch[1])

    return Case(Auxiliary(), three, class_points(), step=step, without=("evaluate",))


@situation(146, "torchvision googlenet with its auxiliary heads")
def googlenet() -> Case:
    network = models.googlenet(num_classes=3, aux_logits=True, init_weights=False)

    def loss(y_hat, y):
        if isinstance(y_hat, tuple):
            return sum(F.cross_entropy(part, y) for part in y_hat)
        return F.cross_entropy(y_hat, y)

    data, fit = images(4, 64), {"epochs": 1, "batch_size": 2}
    return Case(network, loss, data, fit=fit, without=("load",))


@situation(147, "an auxiliary head, a loss that takes both kinds of output")
def auxiliary_either() -> Case:
    def loss(y_hat, y):
        if isinstance(y_hat, tuple):
            return three(*y_hat, y)
        return F.cross_entropy(y_hat, y)

    return Case(Auxiliary(), loss, class_points())


class Ragged(nn.Module):
    """A list of images of many sizes."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.fc = nn.Conv2d(3, 8, 1), nn.Linear(8, 2)

    def forward(self, images: list[torch.Tensor]) -> torch.Tensor:
        return self.fc(torch.stack([self.conv(image).mean((1, 2)) for image in images]))


def as_lists(items):
    return [image for image, _ in items], torch.tensor([label for _, label in items])


@situation(139, "a list of images of many sizes")
def ragged() -> Case:
    samples = [(torch.randn(3, size, 4), size % 2) for size in (2, 3, 4, 5, 6)]
    data = DataLoader(samples, 2, shuffle=True, collate_fn=as_lists)
    return Case(Ragged(), nn.CrossEntropyLoss(), data, without=("predict",))
