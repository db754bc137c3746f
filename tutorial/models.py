"""The networks that the lessons train."""

import torch
from torch import nn

__all__ = ["LeNet"]


class LeNet(nn.Module):
    """A small convolutional network for 28 x 28 images, after LeNet-5 (LeCun et al., 1998).

    There is no activation between the three fully connected layers. LeNet-5 had them, but the
    reference that this network repeats layer by layer, PaddlePaddle's `LeNet`, leaves them out. So
    the three together can compute no more than one linear layer 400 -> num_classes could: all that
    is nonlinear in this network is in `features`.

    Args:
        num_classes: Logits for each image; 0 or less leaves the fully connected layers out.

    >>> network = LeNet()
    >>> network(torch.zeros(64, 1, 28, 28)).shape
    torch.Size([64, 10])
    >>> sum(parameter.numel() for parameter in network.parameters())
    61610
    """

    def __init__(self, num_classes: int = 10) -> None:
        if not isinstance(num_classes, int) or isinstance(num_classes, bool):
            raise TypeError(f"num_classes is {num_classes!r}, but an integer is expected.")
        super().__init__()
        self.num_classes = num_classes

        # The shapes of one image on its way: (channels, height, width).
        self.features = nn.Sequential(
            nn.Conv2d(1, 6, kernel_size=3, padding=1),  # (6, 28, 28)
            nn.ReLU(),
            nn.MaxPool2d(kernel_size=2),  # (6, 14, 14)
            nn.Conv2d(6, 16, kernel_size=5),  # (16, 10, 10)
            nn.ReLU(),
            nn.MaxPool2d(kernel_size=2),  # (16, 5, 5)
        )
        if num_classes > 0:
            self.fc = nn.Sequential(
                nn.Linear(16 * 5 * 5, 120),
                nn.Linear(120, 84),
                nn.Linear(84, num_classes),
            )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Compute the logits, or the features where there are no classes.

        Args:
            x: Images, float32 (B, 1, 28, 28).

        Returns:
            Logits (B, num_classes); features (B, 16, 5, 5) where num_classes is 0 or less.
        """
        x = self.features(x)
        if self.num_classes > 0:
            x = self.fc(x.flatten(start_dim=1))
        return x
