"""What an image set is, which ones there are, and the error that loading one can raise."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from jaxtyping import Int64, UInt8
from torch import Tensor


class DataError(RuntimeError):
    """A data set is absent, damaged, or cannot be downloaded; the message is one sentence with the remedy."""


@dataclass(frozen=True)
class ImageSet:
    """What to know about an image set before using or citing it."""

    title: str
    licence: str
    citation: str
    url: str


@dataclass(frozen=True, eq=False)
class ImageData:
    """An image set in memory, on the CPU, with raw pixels.

    Attributes:
        name: Its name in ``IMAGE_SETS``.
        train_images: Pixels 0 to 255, dtype uint8, shape (train, channels, height, width).
        train_labels: Index into ``classes``, dtype int64, shape (train,).
        test_images: As ``train_images``, shape (test, channels, height, width).
        test_labels: As ``train_labels``, shape (test,).
        classes: Names of the classes, as the data set gives them.
        mean: Mean of the train images per channel, with pixels scaled to [0, 1].
        std: Standard deviation of the train images per channel, with pixels scaled to [0, 1].
        note: Empty for an official set; otherwise in what way this is not the official set.
    """

    name: str
    train_images: UInt8[Tensor, "train channels height width"]
    train_labels: Int64[Tensor, " train"]
    test_images: UInt8[Tensor, "test channels height width"]
    test_labels: Int64[Tensor, " test"]
    classes: tuple[str, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    note: str


@dataclass(frozen=True, eq=False)
class Arrays:
    """What a reader of files hands over: images, labels, class names and note, as in ``ImageData``."""

    train_images: UInt8[np.ndarray, "train channels height width"]
    train_labels: Int64[np.ndarray, " train"]
    test_images: UInt8[np.ndarray, "test channels height width"]
    test_labels: Int64[np.ndarray, " test"]
    classes: tuple[str, ...]
    note: str = ""


_FASHION_MNIST_CITATION = (
    "Han Xiao, Kashif Rasul, Roland Vollgraf (2017): Fashion-MNIST: a Novel Image Dataset for Benchmarking "
    "Machine Learning Algorithms, arXiv:1708.07747"
)
_CIFAR_LICENCE = "none stated by the authors, who ask to be cited"
_CIFAR_CITATION = (
    "Alex Krizhevsky (2009): Learning Multiple Layers of Features from Tiny Images, technical report, "
    "University of Toronto"
)

IMAGE_SETS: Mapping[str, ImageSet] = MappingProxyType(
    {
        "fashion-mnist-subset": ImageSet(
            title="Fashion-MNIST, stratified subset",
            licence="MIT, Copyright 2017 Zalando SE",
            citation=_FASHION_MNIST_CITATION,
            url="https://github.com/zalandoresearch/fashion-mnist",
        ),
        "fashion-mnist": ImageSet(
            title="Fashion-MNIST",
            licence="MIT, Copyright 2017 Zalando SE",
            citation=_FASHION_MNIST_CITATION,
            url="https://github.com/zalandoresearch/fashion-mnist",
        ),
        "cifar10": ImageSet(
            title="CIFAR-10",
            licence=_CIFAR_LICENCE,
            citation=_CIFAR_CITATION,
            url="https://www.cs.toronto.edu/~kriz/cifar.html",
        ),
        "cifar100": ImageSet(
            title="CIFAR-100",
            licence=_CIFAR_LICENCE,
            citation=_CIFAR_CITATION,
            url="https://www.cs.toronto.edu/~kriz/cifar.html",
        ),
    }
)
