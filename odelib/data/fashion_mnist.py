"""The full Fashion-MNIST, read from the original IDX files and verified by checksum."""

import os
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from odelib.data.downloads import Source, find_or_download, verified_content
from odelib.data.fetch import Remote
from odelib.data.sets import Arrays

FASHION_MNIST_CLASSES = (
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
)

# SHA-256 of the uncompressed files of github.com/zalandoresearch/fashion-mnist (data/fashion). They are taken
# after decompression because the .gz files in circulation differ in their headers: Debian's package
# dataset-fashion-mnist drops the file name and time from them. With name and time put back, Debian's files
# have the md5 sums that the authors publish and that torchvision checks, so the contents are the same.
FASHION_MNIST_SHA256 = {
    "train-images-idx3-ubyte": "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
    "train-labels-idx1-ubyte": "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
    "t10k-images-idx3-ubyte": "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
    "t10k-labels-idx1-ubyte": "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
}


def fashion_mnist_source() -> Source:
    """Where it comes from: torchvision knows the address and the md5 sums of the compressed files."""
    from torchvision import datasets

    official = datasets.FashionMNIST
    own, place = Path("fashion_mnist"), Path("FashionMNIST", "raw")
    return Source(
        "fashion-mnist",
        tuple(Remote(f"{official.mirrors[0]}{name}", f"md5:{md5}") for name, md5 in official.resources),
        own / place,
        marks=tuple(name + end for name in FASHION_MNIST_SHA256 for end in ("", ".gz")),
        others=(place, own, Path()),
    )


def load_fashion_mnist(root: str | os.PathLike[str] | None, download: bool) -> Arrays:
    """Load the full Fashion-MNIST: 60,000 train and 10,000 test images of shape (1, 28, 28).

    Args:
        root: Where to look, as for ``load_images``: for torchvision's ``FashionMNIST/raw``, or for the four files
            themselves, in a folder ``fashion_mnist`` or in the data folder itself.
        download: Whether to download it when absent.

    Raises:
        DataError: It is absent and not downloaded, or a file is not the official one.
    """
    found = find_or_download(fashion_mnist_source(), root, download)
    train_images, train_labels = read_fashion_mnist(found, "train")
    test_images, test_labels = read_fashion_mnist(found, "t10k")
    return Arrays(
        train_images[:, None],
        train_labels.astype(np.int64),
        test_images[:, None],
        test_labels.astype(np.int64),
        FASHION_MNIST_CLASSES,
    )


def read_fashion_mnist(
    folder: Path, split: str
) -> tuple[UInt8[np.ndarray, "items 28 28"], UInt8[np.ndarray, " items"]]:
    """Read the images and labels of one split of the official Fashion-MNIST.

    Args:
        folder: Holds the IDX files, either as they are or compressed (``.gz``).
        split: "train" (60,000 items) or "t10k" (10,000 items).

    Raises:
        DataError: A file is absent, cannot be read, or is not the official one.
    """
    images = _content(folder, f"{split}-images-idx3-ubyte")
    labels = _content(folder, f"{split}-labels-idx1-ubyte")
    # The checksum has settled what the headers say (16 bytes before the images, 8 before the labels).
    return (
        np.frombuffer(images, np.uint8, offset=16).reshape(-1, 28, 28),
        np.frombuffer(labels, np.uint8, offset=8),
    )


def _content(folder: Path, file: str) -> bytes:
    return verified_content("fashion-mnist", folder, file, FASHION_MNIST_SHA256[file])
