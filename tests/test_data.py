"""MNIST, against torchvision's own reading of the same files, and with files damaged on purpose."""

import gzip
import hashlib
import inspect
import random
import shutil
from pathlib import Path

import pytest
import torch
import torchvision
from fakes import OneByOne
from hypothesis import given
from hypothesis import strategies as st
from torch.utils.data import BatchSampler, DataLoader, RandomSampler, Subset, default_collate
from torchvision import transforms
from torchvision.transforms import v2

from tutorial.data import MNIST, mnist

FOLDER = Path(mnist.__file__).parent / "mnist"
LABELS = "t10k-labels-idx1-ubyte.gz"
NORMALIZE = transforms.Normalize(mean=[127.5], std=[127.5])
COUNTS = {  # how often each digit 0 to 9 occurs
    "train": [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949],
    "test": [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009],
}


@pytest.fixture(scope="module")
def raw():
    """The test images as they are, 0 to 255."""
    return MNIST("test")


@pytest.fixture(scope="module")
def augmented():
    """The test images with a transform that draws random numbers for each image."""
    return MNIST("test", transform=transforms.Compose([NORMALIZE, jitter]))


def jitter(image):
    """A random transform with randomness from PyTorch and from Python."""
    return image.roll(random.randrange(28), dims=-1) + torch.rand(1)


def same(a, b):
    """Equal in structure, type and every bit."""
    torch.testing.assert_close(a, b, rtol=0, atol=0)


# ---- the files -----------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["train", "test"])
def test_reads_what_torchvision_reads(mode, tmp_path):
    (tmp_path / "MNIST" / "raw").mkdir(parents=True)
    for file in FOLDER.glob("*.gz"):
        raw_file = tmp_path / "MNIST" / "raw" / file.stem
        raw_file.write_bytes(gzip.decompress(file.read_bytes()))
    theirs, ours = torchvision.datasets.MNIST(tmp_path, train=mode == "train"), MNIST(mode)

    assert isinstance(ours, torchvision.datasets.MNIST)
    same(ours.data, theirs.data)
    same(ours.targets, theirs.targets)
    assert len(ours) == len(theirs) == sum(COUNTS[mode])
    assert ours.targets.bincount().tolist() == COUNTS[mode]
    assert (ours.classes, ours.class_to_idx) == (theirs.classes, theirs.class_to_idx)
    assert repr(ours) == repr(theirs).replace(str(tmp_path), str(FOLDER))


def test_repr_names_the_transform(augmented):
    assert repr(augmented).startswith("Dataset MNIST\n    Number of datapoints: 10000\n")
    assert "Split: Test\n" in repr(augmented)
    assert repr(NORMALIZE) in repr(augmented)


def test_the_licence_tells_the_truth_about_the_files():
    rows = [line for line in (FOLDER / "LICENSE.md").read_text().splitlines() if ".gz | " in line]
    assert len(rows) == len(mnist.FILES) == len(list(FOLDER.glob("*.gz"))) == 4
    for row in rows:
        name, _, size, raw_size, md5 = (cell.strip() for cell in row.strip("|").split("|"))
        packed = (FOLDER / name).read_bytes()
        unpacked = gzip.decompress(packed)
        assert (size, raw_size) == (f"{len(packed):,}", f"{len(unpacked):,}")
        assert md5 == mnist.FILES[name][1] == hashlib.md5(unpacked).hexdigest()
        # Deterministic: the header holds no flags (so no name) and no time.
        assert packed[3:8] == bytes(5)


def cut(name, share):
    return lambda folder: (folder / name).write_bytes(
        (folder / name).read_bytes()[: int(share * (folder / name).stat().st_size)]
    )


def flip(position, bits):
    def damage(folder):
        damaged = bytearray((folder / LABELS).read_bytes())
        damaged[position] ^= bits
        (folder / LABELS).write_bytes(damaged)

    return damage


def rewrite(change):
    """Change the bytes within, and pack them again as a gzip file that is quite in order."""
    return lambda folder: (folder / LABELS).write_bytes(
        gzip.compress(change(gzip.decompress((folder / LABELS).read_bytes())))
    )


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (cut(LABELS, 0.5), "end-of-stream"),
        (cut("t10k-images-idx3-ubyte.gz", 0.999), "end-of-stream"),
        (cut(LABELS, 0), r"header is \[0, 0\], expected \[2049, 10000\]"),
        (flip(2000, 1), "gzip"),
        (flip(-1, 1), "gzip"),
        (flip(10, 2), "invalid block type"),  # the first byte after the header of gzip itself
        (lambda folder: (folder / LABELS).write_text("<html>Not Found"), "Not a gzipped file"),
        (rewrite(lambda raw: b"\0\0\x08\x03" + raw[4:]), r"header is \[2051, 10000\]"),
        (rewrite(lambda raw: raw[:6] + b"\0\0" + raw[8:]), r"header is \[2049, 0\]"),
        (rewrite(lambda raw: raw[:-1]), "length in bytes is 10007, expected 10008"),
        (rewrite(lambda raw: raw + b"\0"), "length in bytes is 10009, expected 10008"),
        (rewrite(lambda raw: raw[:-1] + b"\0"), "MD5 is .*, expected 27ae3e4e09519cfbb04c32961520"),
    ],
)
def test_a_damaged_file_is_named_with_its_repair(damage, message, tmp_path):
    folder = shutil.copytree(FOLDER, tmp_path / "copy")
    assert len(MNIST("test", root=str(folder))) == 10_000
    damage(folder)
    with pytest.raises(ValueError, match=message) as error:
        MNIST("test", root=folder)
    assert f"MNIST file damaged: {folder / 't10k-'}" in str(error.value)
    assert "pip install --force-reinstall --no-deps torch-tutorial" in str(error.value)


@pytest.mark.parametrize("name", sorted(mnist.FILES))
def test_a_missing_file_is_named_with_its_repair(name, tmp_path):
    folder = shutil.copytree(FOLDER, tmp_path / "copy")
    (folder / name).unlink()
    mode = "train" if name.startswith("train") else "test"
    with pytest.raises(FileNotFoundError, match="pip install --force-reinstall") as error:
        MNIST(mode, root=folder)
    assert f"MNIST file not found: {folder / name}. " in str(error.value)


@pytest.mark.parametrize("mode", ["Train", "eval", "", None, "./data"])
def test_an_unknown_mode_is_told_the_two(mode):
    with pytest.raises(ValueError, match=f"mode is {mode!r}, but 'train' or 'test' is expected"):
        MNIST(mode)


def test_root_may_start_at_home(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    (tmp_path / "digits").symlink_to(FOLDER)
    assert len(MNIST("test", root="~/digits")) == 10_000


def test_never_downloads(raw, monkeypatch):
    def refuse(*_, **__):
        raise AssertionError("a download was tried")

    monkeypatch.setattr(torchvision.datasets.mnist, "download_and_extract_archive", refuse)
    raw.download()


# ---- one sample ----------------------------------------------------------------------------------


def test_a_sample(raw):
    image, label = raw[5]
    same(image, raw.data[5].unsqueeze(0).float())
    same(label, torch.tensor(1))
    assert (image.min(), image.max()) == (0, 254)
    for index in (-9_995, torch.tensor(5), raw.targets[15]):
        same(raw[index], (image, label))


@pytest.mark.parametrize("index", [10_000, -10_001, [0, 10_000], [-10_001]])
def test_out_of_range_is_an_index_error_that_tells_the_size(raw, index):
    with pytest.raises(IndexError, match="10000"):
        raw[index]


def test_iteration_ends(raw):
    labels = [label for _, label in raw]
    same(torch.stack(labels), raw.targets)


def test_what_was_fetched_is_a_copy(raw):
    before = raw.images[:3].clone()
    for image, _ in (raw[0], raw[[0, 1]], raw[:3], raw.__getitems__([0])[0]):
        image.zero_()
    same(raw.images[:3], before)


# ---- transforms ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "transform",
    [
        NORMALIZE,
        v2.Normalize(mean=[33.3], std=[78.6]),
        transforms.Normalize(mean=[33.3], std=[78.6], inplace=True),
        transforms.Compose([NORMALIZE, NORMALIZE]),
        v2.Compose([NORMALIZE, transforms.Compose([v2.Normalize(mean=[0.1], std=[0.3])])]),
    ],
)
def test_normalize_is_applied_once_as_if_to_each(raw, transform):
    data = MNIST("test", transform)
    assert data.transform_each is None and data.transform is transform
    assert data.images.shape == (10_000, 1, 28, 28) and data.images.dtype == torch.float32
    each = [transform(image.float()) for image in raw.data[:200].unsqueeze(1)]
    same(data.images[:200], torch.stack(each))
    same(data[:200], (torch.stack(each), raw.targets[:200]))


def test_the_lessons_images_lie_between_minus_one_and_one():
    data = MNIST(transform=NORMALIZE)
    assert (len(data), data.train) == (60_000, True)
    assert data.images.aminmax() == (-1, 1)
    # The mean and spread of MNIST's training images, known as 0.1307 and 0.3081 of 0 to 1.
    pixels = (data.images + 1) / 2
    assert abs(pixels.mean() - 0.1307) < 1e-4 and abs(pixels.std() - 0.3081) < 1e-4


class Shouting(transforms.Normalize):
    """A Normalize that someone has changed: nothing is known of it."""


@pytest.mark.parametrize(
    "transform", [Shouting([0.0], [1.0]), jitter, v2.Compose([NORMALIZE, jitter])]
)
def test_any_other_transform_runs_at_each_fetch(transform):
    data = MNIST("test", transform)
    assert data.transform_each is transform
    same(data.images, data.data.unsqueeze(1).float())


def test_a_transform_sees_one_image_and_may_change_it(raw):
    seen = []

    def spoil(image):
        seen.append((image.shape, image.dtype))
        return image.mul_(-1)

    data = MNIST("test", spoil)
    assert seen == []
    for _ in range(2):
        same(data[7][0], -raw[7][0])
        same(data[[7, 8]][0], -raw[[7, 8]][0])
        same(data[7:9][0], -raw[7:9][0])
    assert seen == 10 * [((1, 28, 28), torch.float32)]


def test_a_transforms_result_is_passed_on_as_it_is(raw):
    data = MNIST("test", lambda image: {"ink": float(image.mean()), "size": "28 x 28"})
    assert data[0][0] == {"ink": float(raw[0][0].mean()), "size": "28 x 28"}
    x, y = data[[0, 1]]
    same(x["ink"], torch.tensor([data[0][0]["ink"], data[1][0]["ink"]], dtype=torch.float64))
    assert x["size"] == ["28 x 28", "28 x 28"] and y.tolist() == [7, 2]


# ---- batches -------------------------------------------------------------------------------------


@given(
    indices=st.lists(st.integers(-10_000, 9_999), min_size=1, max_size=70), seed=st.integers(0, 9)
)
def test_a_batch_is_its_samples_collated(raw, augmented, indices, seed):
    fetches = [
        lambda data: data[indices],
        lambda data: data[torch.tensor(indices)],
        lambda data: tuple(default_collate(data.__getitems__(indices))),
        lambda data: tuple(default_collate([data[i] for i in indices])),
    ]
    for data in (raw, augmented):
        batches = []
        for fetch in fetches:
            torch.manual_seed(seed)
            random.seed(seed)
            batches.append(fetch(data))
        for batch in batches[1:]:
            same(batch, batches[0])
    expected = raw.data[indices].unsqueeze(1).float(), raw.targets[indices]
    same(raw[indices], expected)


def test_other_ways_to_name_several(raw):
    same(raw[[]], (torch.empty(0, 1, 28, 28), torch.empty(0, dtype=torch.int64)))
    same(raw[10:30:2], raw[list(range(10, 30, 2))])
    same(raw[torch.tensor([4, -1]).numpy()], raw[[4, 9_999]])
    threes, labels = raw[raw.targets == 3]
    assert labels.unique().tolist() == [3] and len(threes) == COUNTS["test"][3]


@pytest.mark.parametrize("index", [1.5, [1.5], "3", None, {}])
def test_what_is_no_index_is_refused(raw, index):
    with pytest.raises((TypeError, IndexError, RuntimeError)):
        raw[index]


@pytest.mark.parametrize("name", ["raw", "augmented"])
def test_loaders_give_the_same_batches_one_by_one_and_whole(name, request):
    data = request.getfixturevalue(name)

    def batches(dataset, whole):
        torch.manual_seed(7)
        random.seed(7)
        shuffled = RandomSampler(range(1000), generator=torch.Generator().manual_seed(1))
        sampler = BatchSampler(shuffled, 64, drop_last=False)
        if whole:
            return list(DataLoader(dataset, batch_size=None, sampler=sampler))
        return list(DataLoader(dataset, batch_sampler=sampler))

    assert MNIST.whole_batches is True
    whole = batches(data, whole=True)
    assert [len(y) for _, y in whole] == 15 * [64] + [40]
    same(whole, batches(data, whole=False))
    same(whole, batches(OneByOne(data), whole=False))


def test_a_subset_and_worker_processes(raw):
    rows = [3, 1, 4, 1, 5, 9, 2, 6]
    loader = DataLoader(Subset(raw, rows), batch_size=4, num_workers=1)
    x, y = (torch.cat(parts) for parts in zip(*loader, strict=True))
    same((x, y), raw[rows])


def test_the_source_runs_in_a_script_of_its_own(raw):
    names = {"__name__": "script"}  # as a script pasted into a notebook: there is no __file__
    source = inspect.getsource(mnist)
    assert "tutorial" not in source.replace("torch-tutorial", "")
    exec(source, names)
    same(names["MNIST"]("test", root=str(FOLDER))[:9], raw[:9])
