"""MNIST, the 70,000 handwritten digits, kept as one tensor and fetched in whole batches."""

import gzip
import hashlib
import math
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils.data import default_collate
from torchvision import datasets, transforms
from torchvision.transforms import v2

# Each file's sizes (as its header states them) and the MD5 of its bytes after gunzip.
FILES = {
    "train-images-idx3-ubyte.gz": ((60000, 28, 28), "6bbc9ace898e44ae57da46a324031adb"),
    "train-labels-idx1-ubyte.gz": ((60000,), "a25bea736e30d166cdddb491f175f624"),
    "t10k-images-idx3-ubyte.gz": ((10000, 28, 28), "2646ac647ad5339dbf082846283269ea"),
    "t10k-labels-idx1-ubyte.gz": ((10000,), "27ae3e4e09519cfbb04c329615203637"),
}

REPAIR = (
    "To repair it: pip install --force-reinstall --no-deps torch-tutorial, "
    "or put the standard MNIST gzip file there."
)


def read_idx(path: Path) -> torch.Tensor:
    """Read one of the four standard files, and make sure of every byte.

    An idx file is a header of big-endian 4-byte numbers, then the values, one byte each. The header
    holds 2048 + the number of dimensions (2051 for images, 2049 for labels), then the sizes.

    Args:
        path: The gzip file; its name is a key of `FILES`.

    Returns:
        uint8 tensor: images (N, 28, 28), 0 = paper to 255 = ink, or labels (N,), 0 to 9.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: The file is damaged, or is another one under this name.

    >>> read_idx(Path(__file__).parent / "mnist" / "t10k-labels-idx1-ubyte.gz")[:5]
    tensor([7, 2, 1, 0, 4], dtype=torch.uint8)
    """
    sizes, md5 = FILES[path.name]

    try:
        raw = gzip.decompress(path.read_bytes())
    except (FileNotFoundError, NotADirectoryError):
        raise FileNotFoundError(f"MNIST file not found: {path}. {REPAIR}") from None
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise ValueError(
            f"MNIST file damaged: {path}: expected a complete gzip file, but: {error}. {REPAIR}"
        ) from error

    # From the coarse to the fine, so that the message says as much as can be known.
    start = 4 + 4 * len(sizes)  # bytes in the header
    header = [int.from_bytes(raw[i : i + 4], "big") for i in range(0, start, 4)]
    for what, seen, expected in [
        ("header", header, [2048 + len(sizes), *sizes]),
        ("length in bytes", len(raw), start + math.prod(sizes)),
        ("MD5", hashlib.md5(raw, usedforsecurity=False).hexdigest(), md5),
    ]:
        if seen != expected:
            raise ValueError(
                f"MNIST file damaged: {path}: {what} is {seen}, expected {expected}. {REPAIR}"
            )

    # A bytearray, because a tensor must be free to change its memory and bytes are not.
    return torch.frombuffer(bytearray(raw), dtype=torch.uint8, offset=start).reshape(sizes)


def treats_all_alike(transform: Any) -> bool:
    """Tell whether a transform gives the same for one image as for that image among many.

    Such a transform needs to run only once, over all images together. It is known of `Normalize`,
    of None and of a `Compose` of these; any other may draw random numbers and runs at each fetch.

    >>> treats_all_alike(transforms.Normalize(mean=[127.5], std=[127.5]))
    True
    >>> treats_all_alike(transforms.RandomRotation(10))
    False
    """
    if type(transform) in (transforms.Compose, v2.Compose):
        return all(treats_all_alike(part) for part in transform.transforms)
    return transform is None or type(transform) in (transforms.Normalize, v2.Normalize)


class MNIST(datasets.MNIST):
    """The MNIST digits: a torchvision dataset that gives tensors, and whole batches at once.

    A sample is `(image, label)`: image float32 (1, 28, 28), 0 to 255 before the transform; label
    int64 (), 0 to 9. Indexed with one integer it gives a sample; with several (a list, a tensor, a
    slice) a batch (B, 1, 28, 28) and (B,). Everything fetched is a copy.

    The pixels and labels as read are in `data`, uint8 (N, 28, 28), and `targets`, int64 (N,). What
    a fetch copies is `images`, float32 (N, 1, 28, 28), made from `data` once, at construction.

    Args:
        mode: 'train' (60,000 samples) or 'test' (10,000).
        transform: Any callable of one image, float32 (1, 28, 28). `Normalize`, or a `Compose` of
            it, is applied once, to all images; any other at each fetch, image by image.
        root: Directory with the four standard gzip files; by default the one bundled here.

    Raises:
        ValueError: `mode` is neither of the two, or a file is damaged.
        FileNotFoundError: A file is missing; nothing is ever downloaded.

    >>> data = MNIST("test", transform=transforms.Normalize(mean=[127.5], std=[127.5]))
    >>> image, label = data[0]
    >>> image.shape, image.min(), image.max(), label
    (torch.Size([1, 28, 28]), tensor(-1.), tensor(1.), tensor(7))
    >>> x, y = data[[0, 1, 2]]
    >>> x.shape, y
    (torch.Size([3, 1, 28, 28]), tensor([7, 2, 1]))
    """

    # Says to a loader: a list of indices fetches one batch, so nothing is left to collate.
    whole_batches = True

    def __init__(
        self,
        mode: str = "train",
        transform: Callable[[torch.Tensor], Any] | None = None,
        root: str | Path | None = None,
    ) -> None:
        if mode not in ("train", "test"):
            raise ValueError(f"mode is {mode!r}, but 'train' or 'test' is expected.")
        if transform is not None and not callable(transform):
            raise TypeError(
                f"transform is {transform!r}, but a function of an image is expected, such as "
                "transforms.Normalize(mean=[127.5], std=[127.5])."
            )
        folder = Path(__file__).parent / "mnist" if root is None else Path(root).expanduser()

        # The grandparent's: torchvision's own MNIST would look for other files and download them.
        datasets.VisionDataset.__init__(self, root=folder, transform=transform)
        self.mode = mode
        self.train = mode == "train"

        prefix = "train" if self.train else "t10k"
        self.data = read_idx(folder / f"{prefix}-images-idx3-ubyte.gz")
        self.targets = read_idx(folder / f"{prefix}-labels-idx1-ubyte.gz").long()

        # What can be done once is done here; only the rest is left for each fetch.
        self.images = self.data.unsqueeze(1).float()  # (N, 1, 28, 28): one channel
        self.transform_each = None if treats_all_alike(transform) else transform
        if transform is not None and self.transform_each is None:
            for part in torch.split(self.images, 1000):  # all at once takes twice the memory
                part.copy_(transform(part))

    @property
    def tensors(self) -> tuple[torch.Tensor, torch.Tensor] | None:
        """All images and labels as they are fetched, or None if each fetch transforms them again.

        A subclass may fetch something else.
        """
        anew = self.transform_each is not None or type(self) is not MNIST
        return None if anew else (self.images, self.targets)

    def __len__(self) -> int:
        """Count the samples."""
        return len(self.images)

    def __getitem__(self, index: Any) -> tuple[Any, Any]:
        """Fetch one sample or, for several indices, one batch.

        Args:
            index: One integer, -N to N - 1, a negative one counting from the end; or several: a
                list or tensor of them, a slice, a mask.

        Returns:
            (image, label) or (x, y), as the class describes them. A batch holds the same values,
            in the same order, as its samples fetched one by one and collated.

        Raises:
            IndexError: An index is out of range.
        """
        several = isinstance(index, (list, slice)) or np.ndim(index) > 0
        if not several:
            return self.__getitems__([index])[0]
        x, y = self._gather(index)
        if self.transform_each is not None:
            x = default_collate([self.transform_each(image) for image in x])
        return x, y

    def __getitems__(self, indices: list[int]) -> list[tuple[Any, torch.Tensor]]:
        """Fetch a list of samples: what a plain `DataLoader` asks for, to collate them itself.

        Args:
            indices: B integers, -N to N - 1.

        Returns:
            B samples (image, label).
        """
        x, y = self._gather(indices)
        images = x if self.transform_each is None else map(self.transform_each, x)
        return list(zip(images, y, strict=True))

    def _gather(self, index: Any) -> tuple[torch.Tensor, torch.Tensor]:
        """Copy the chosen images (B, 1, 28, 28), before `transform_each`, and labels (B,)."""
        if isinstance(index, list) and index and min(index) >= 0 and max(index) < len(self):
            # As a sampler draws them. The quickest way from a list to a tensor is through NumPy.
            rows = torch.from_numpy(np.array(index))
        else:
            # Every other way to index is PyTorch's own, and so are its errors.
            rows = torch.arange(len(self))[index]
        # index_select takes half the time of self.images[rows].
        return self.images.index_select(0, rows), self.targets.index_select(0, rows)

    def download(self) -> None:
        """Do nothing, unlike the parent's: the files are here already."""
