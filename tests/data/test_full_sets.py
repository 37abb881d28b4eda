"""The full image sets: reading them, and refusing what is damaged."""

import gzip
import hashlib
import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torchvision import datasets

from odelib.data import DataError, cifar, fashion_mnist, load_images
from odelib.data.sets import Arrays

CifarWriter = Callable[..., Path]


# Real data


@pytest.mark.parametrize(
    ("name", "train", "test", "classes"), [("cifar10", 10_000, 2_000, 10), ("cifar100", 20_000, 4_000, 100)]
)
def test_real_cifar_subset(real_data: Path, name: str, train: int, test: int, classes: int) -> None:
    if not (real_data / name).is_dir():
        pytest.skip(f"{real_data / name} does not exist")
    data = load_images(name, root=real_data, download=False)
    if not data.note:
        pytest.skip(f"{real_data / name} holds the official set, not a subset")
    assert data.train_images.shape == (train, 3, 32, 32)
    assert data.test_images.shape == (test, 3, 32, 32)
    assert data.train_labels.bincount().tolist() == [train // classes] * classes
    assert data.test_labels.bincount().tolist() == [test // classes] * classes
    assert len(data.classes) == classes
    assert data.note.startswith(f"subset: {train:,} train and {test:,} test images, not the official CIFAR-")


def _in_the_official_set(small: Arrays) -> Arrays:
    """Arrays as large as the official ones, with the subset's images at their places and black ones elsewhere."""
    full = {}
    for split, places in cifar.subset_places().items():
        for what in ("images", "labels"):
            part = getattr(small, f"{split}_{what}")
            full[f"{split}_{what}"] = np.zeros((cifar._SPLIT_SIZE[split], *part.shape[1:]), part.dtype)
            full[f"{split}_{what}"][places] = part
    return Arrays(**full, classes=small.classes)


def test_the_full_download_gives_the_pixels_of_the_subset(real_data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    here = load_images("cifar10-subset", root=real_data, download=False)  # from whichever lies there, or refused
    small = Arrays(
        *(getattr(here, name).numpy() for name in ("train_images", "train_labels", "test_images", "test_labels")),
        here.classes,
    )
    full = _in_the_official_set(small)
    monkeypatch.setattr(cifar, "load_cifar", lambda *_: full)
    there = load_images("cifar10-subset", root=real_data, download=False)
    for name in ("train_images", "train_labels", "test_images", "test_labels"):
        assert torch.equal(getattr(here, name), getattr(there, name)), name
    assert here.note == there.note
    assert (here.mean, here.std) == (there.mean, there.std)
    full.train_images[cifar.subset_places()["train"][17], 2, 31, 31] ^= 1
    with pytest.raises(DataError, match=r"10,000 train images, but not those of cifar10-subset"):
        load_images("cifar10-subset", root=real_data, download=False)


def test_another_subset_is_refused(tmp_path: Path, write_cifar: CifarWriter) -> None:
    write_cifar(tmp_path)
    with pytest.raises(DataError, match=r"15 train images, but not those .*: load the official CIFAR-10"):
        load_images("cifar10-subset", root=tmp_path, download=False)


def test_full_fashion_mnist_from_the_original_files(original_fashion_mnist: Path) -> None:
    data = load_images("fashion-mnist", root=original_fashion_mnist, download=False)
    assert data.train_images.shape == (60_000, 1, 28, 28)
    assert data.test_images.shape == (10_000, 1, 28, 28)
    assert data.train_labels.bincount().tolist() == [6_000] * 10
    assert data.note == ""
    # The statistics that are in common use for this set.
    assert data.mean == pytest.approx((0.2860,), abs=5e-5)
    assert data.std == pytest.approx((0.3530,), abs=5e-5)


# A small CIFAR in the original format


@pytest.mark.parametrize("name", ["cifar10", "cifar100"])
@pytest.mark.parametrize("own_folder", [True, False])
def test_reads_the_original_format(
    tmp_path: Path,
    write_cifar: CifarWriter,
    name: str,
    own_folder: bool,
) -> None:
    folder = write_cifar(tmp_path / name if own_folder else tmp_path, name)
    data = load_images(name, root=tmp_path, download=False)
    files = ["data_batch_1", "data_batch_2"] if name == "cifar10" else ["train"]
    batches = [pickle.loads((folder / file).read_bytes()) for file in files]
    rows = np.concatenate([batch["data"] for batch in batches])
    key = "labels" if name == "cifar10" else "fine_labels"
    assert len(data.train_images) == (15 if name == "cifar10" else 3)
    assert data.train_images.dtype == torch.uint8
    # Channel, row and column of a pixel by its place in the row of 3,072 numbers.
    for channel, row, column in ((0, 0, 0), (1, 0, 5), (2, 31, 30)):
        plane = rows[:, 1024 * channel + 32 * row + column]
        assert data.train_images[: len(rows), channel, row, column].tolist() == plane.tolist()
    assert data.train_labels[: len(rows)].tolist() == [k for batch in batches for k in batch[key]]
    assert data.classes[:2] == ("class 0", "class 1")
    assert data.note.startswith("subset: ")


def test_official_files_have_no_note(
    tmp_path: Path,
    write_cifar: CifarWriter,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    folder = write_cifar(tmp_path, "cifar100")
    for split in ("train", "test"):
        md5 = hashlib.md5((folder / split).read_bytes()).hexdigest()
        monkeypatch.setattr(datasets.CIFAR100, f"{split}_list", [[split, md5]])
    assert load_images("cifar100", root=tmp_path, download=False).note == ""


def test_changed_file_of_full_size_is_not_taken_for_a_subset(
    tmp_path: Path, write_cifar: CifarWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_cifar(tmp_path, "cifar100", per_file=7)
    monkeypatch.setitem(cifar._SPLIT_SIZE, "train", 7)
    with pytest.raises(DataError, match=r"train is damaged .* not a subset, but its md5 sum"):
        load_images("cifar100", root=tmp_path, download=False)


def good_batch(count: int = 2) -> dict[str, object]:
    return {"data": np.zeros((count, 3072), np.uint8), "labels": [0] * count}


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (good_batch() | {"data": np.zeros((2, 3071), np.uint8)}, "not a uint8 array of shape"),
        (good_batch() | {"data": np.zeros((2, 3072), np.int64)}, "not a uint8 array of shape"),
        (good_batch() | {"data": [1, 2]}, "not a uint8 array of shape"),
        (good_batch() | {"labels": [0]}, "2 images and 1 labels"),
        (good_batch() | {"labels": ["cat", "dog"]}, "not a list of integers"),
        (good_batch() | {"labels": [0, 10]}, "not all in 0 to 9"),
        (good_batch() | {"labels": [-1, 0]}, "not all in 0 to 9"),
        (good_batch(0), "0 images and 0 labels"),
        ({"labels": [0]}, "not a uint8 array of shape"),
        ([1, 2], "a list instead of a dict"),
        (good_batch() | {"extra": Path("x")}, "asks for pathlib"),
    ],
)
def test_malformed_batch_is_named(
    tmp_path: Path,
    write_cifar: CifarWriter,
    content: object,
    what: str,
) -> None:
    path = write_cifar(tmp_path) / "data_batch_4"
    path.write_bytes(pickle.dumps(content, protocol=4))
    with pytest.raises(DataError, match=f"data_batch_4 is damaged or missing .*{what}.*remove the folder"):
        load_images("cifar10", root=tmp_path)


@pytest.mark.parametrize("kept", [0, 1, 40, 5_000, -1])
def test_truncated_batch_is_named(tmp_path: Path, write_cifar: CifarWriter, kept: int) -> None:
    path = write_cifar(tmp_path) / "test_batch"
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(DataError, match=r"test_batch is damaged or missing .*remove the folder"):
        load_images("cifar10", root=tmp_path)


@pytest.mark.parametrize("file", ["data_batch_2", "batches.meta"])
def test_missing_file_is_named(tmp_path: Path, write_cifar: CifarWriter, file: str) -> None:
    (write_cifar(tmp_path) / file).unlink()
    with pytest.raises(DataError, match=rf"{file} is damaged or missing \(it is missing\): remove"):
        load_images("cifar10", root=tmp_path)


@pytest.mark.parametrize(
    ("names", "what"), [(["a"] * 9, "9 classes instead of 10"), (list(range(10)), "not a list of names")]
)
def test_wrong_class_names_are_refused(
    tmp_path: Path, write_cifar: CifarWriter, names: list[object], what: str
) -> None:
    (write_cifar(tmp_path) / "batches.meta").write_bytes(pickle.dumps({"label_names": names}, protocol=2))
    with pytest.raises(DataError, match=rf"batches\.meta is damaged .*{what}"):
        load_images("cifar10", root=tmp_path)


class Trap:
    """A pickle of this creates a file when a plain unpickler reads it."""

    def __init__(self, victim: Path) -> None:
        self.victim = victim

    def __reduce__(self) -> tuple[object, tuple[str, str]]:
        return open, (str(self.victim), "w")


def test_pickle_that_calls_a_function_is_refused_unread(tmp_path: Path, write_cifar: CifarWriter) -> None:
    victim = tmp_path / "victim"
    path = write_cifar(tmp_path) / "data_batch_1"
    path.write_bytes(pickle.dumps(good_batch() | {"trap": Trap(victim)}, protocol=2))
    with pytest.raises(DataError, match=r"data_batch_1 is damaged .*asks for \w+\.open, which no image"):
        load_images("cifar10", root=tmp_path)
    assert not victim.exists()
    pickle.loads(path.read_bytes())["trap"].close()
    assert victim.exists()  # the trap does work


# Fashion-MNIST


@pytest.mark.parametrize(
    "place",
    ["FashionMNIST/raw", "fashion_mnist/FashionMNIST/raw", "fashion_mnist", "."],
)
def test_fashion_mnist_is_found_and_verified(
    tmp_path: Path, write_idx: Callable[[Path, int], None], monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    write_idx(tmp_path / place, 2)
    with pytest.raises(DataError, match=r"train-images-idx3-ubyte\.gz is damaged or not the official one"):
        load_images("fashion-mnist", root=tmp_path)
    for name in fashion_mnist.FASHION_MNIST_SHA256:
        content = gzip.decompress((tmp_path / place / f"{name}.gz").read_bytes())
        monkeypatch.setitem(fashion_mnist.FASHION_MNIST_SHA256, name, hashlib.sha256(content).hexdigest())
    data = load_images("fashion-mnist", root=tmp_path)
    assert data.train_images.shape == (20, 1, 28, 28)
    assert data.train_labels.bincount().tolist() == [2] * 10
    assert data.note == ""
