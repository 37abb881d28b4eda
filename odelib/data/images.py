"""Load an image set by its name: the bundled Fashion-MNIST subset, or a full set from a folder or the net."""

import hashlib
import io
import os
from pathlib import Path

import numpy as np
import torch
from jaxtyping import UInt8
from torch import Tensor

from odelib.data.cifar import load_cifar, load_cifar10_subset
from odelib.data.fashion_mnist import FASHION_MNIST_CLASSES, load_fashion_mnist
from odelib.data.sets import IMAGE_SETS, Arrays, DataError, ImageData
from odelib.install import REPOSITORY
from odelib.names import choose

SUBSET_FILE = Path(__file__).with_name("fashion_mnist_subset.npz")
SUBSET_SHA256 = "aeaa0222fa0575494cce123992ac25034a01866d50a487f6749bcf3937fa422f"


def load_images(name: str, root: str | os.PathLike[str] | None = None, download: bool = True) -> ImageData:
    """Load an image set into memory.

    Args:
        name: A name in ``IMAGE_SETS``. "fashion-mnist-subset" comes with the package and needs no folder.
        root: Folder in which a full set is looked for and into which it is downloaded when absent. If None, it is
            looked for in the folder that the environment variable ODELIB_DATA names, if it is set, and then in the
            user's cache folder (``$XDG_CACHE_HOME/odelib``, which is ``~/.cache/odelib`` where nothing else is
            set), and downloaded into the first of them.
        download: Whether an absent set is downloaded (with its checksum verified).

    Returns:
        The images as uint8 tensors of shape (n, channels, height, width), the labels as int64 tensors.

    Raises:
        ValueError: The name is unknown.
        DataError: The set is absent and cannot be downloaded, or a file is damaged.
    """
    choose(name, IMAGE_SETS, "image set")
    if name == "fashion-mnist-subset":
        arrays = _bundled_subset()
    elif name == "fashion-mnist":
        arrays = load_fashion_mnist(root, download)
    elif name == "cifar10-subset":
        arrays = load_cifar10_subset(root, download)
    else:
        arrays = load_cifar(name, root, download)
    train_images = _tensor(arrays.train_images)
    mean, std = channel_statistics(train_images)
    return ImageData(
        name=name,
        train_images=train_images,
        train_labels=_tensor(arrays.train_labels),
        test_images=_tensor(arrays.test_images),
        test_labels=_tensor(arrays.test_labels),
        classes=arrays.classes,
        mean=mean,
        std=std,
        note=arrays.note,
    )


def channel_statistics(
    images: UInt8[Tensor, "batch channels height width"],
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return mean and (population) standard deviation per channel, with pixels scaled to [0, 1].

    They are computed from the 256 counts of each channel in float64, so without a floating-point copy of
    the images and independently of their order.
    """
    values = torch.arange(256, dtype=torch.float64) / 255
    means, deviations = [], []
    for channel in images.unbind(1):
        weights = torch.bincount(channel.flatten(), minlength=256).double() / channel.numel()
        mean = (weights * values).sum()
        means.append(mean.item())
        deviations.append((weights * (values - mean).square()).sum().sqrt().item())
    return tuple(means), tuple(deviations)


def _bundled_subset() -> Arrays:
    what = f"the bundled image file {SUBSET_FILE}"
    remedy = f"reinstall odelib (pip install --force-reinstall git+{REPOSITORY})"
    try:
        content = SUBSET_FILE.read_bytes()
    except OSError as error:
        raise DataError(f"{what} cannot be read ({error.strerror}): {remedy}") from error
    found = hashlib.sha256(content).hexdigest()
    if found != SUBSET_SHA256:
        raise DataError(f"{what} is damaged (SHA-256 {found[:12]}..., not {SUBSET_SHA256[:12]}...): {remedy}")
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
    except RuntimeError as error:  # from zipfile, where Python was built without liblzma
        raise DataError(f"{what} cannot be unpacked ({error}): use a Python with the module lzma") from error
    return Arrays(
        arrays["x_train"][:, None],
        arrays["y_train"].astype(np.int64),
        arrays["x_test"][:, None],
        arrays["y_test"].astype(np.int64),
        FASHION_MNIST_CLASSES,
        "subset: the first 600 train and 100 test images of each class, not the official Fashion-MNIST; "
        "accuracies do not compare with published ones",
    )


def _tensor(array: np.ndarray) -> Tensor:
    # A copy where NumPy's memory is read-only: PyTorch cannot mark a tensor so, and would write through.
    return torch.from_numpy(array if array.flags.writeable else array.copy())
