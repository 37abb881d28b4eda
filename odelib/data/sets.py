"""What a data set is, which ones there are, and the error that loading one can raise."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

import numpy as np
from jaxtyping import Int64, UInt8
from torch import Tensor

from odelib.data.checks import check_classes, check_images, check_labels, check_statistics


class DataError(RuntimeError):
    """A data set is absent, damaged, or cannot be downloaded; the message is one sentence with the remedy."""


@dataclass(frozen=True)
class DataSet:
    """What to know about a data set before using or citing it."""

    title: str
    """Its name in the field's own spelling."""
    what: str
    """What an item is and what is to be learned from it."""
    sizes: str
    """Items per split, and what there is to download."""
    licence: str
    """Terms of use, as the authors state them."""
    citation: str
    """Whom to name."""
    url: str
    """The authors' own page."""
    model_sizes: Mapping[str, int] = field(default_factory=dict)
    """What they ask of a model, as far as it is known without loading them."""


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
        validation_images: As ``train_images``, to choose between epochs or models by; None where there are none.
        validation_labels: As ``train_labels``; None likewise.

    Raises:
        ValueError: The images are not raw pixels of one square size, a split is empty, a label is none of the classes',
            a name of a class comes twice, or mean or std are no finite numbers, one for each channel.
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
    validation_images: UInt8[Tensor, "validation channels height width"] | None = None
    validation_labels: Int64[Tensor, " validation"] | None = None

    def __post_init__(self) -> None:
        """Refuse what training would trip over later, or would silently take for something else."""
        check_classes(self.classes)
        size = check_images("train_images", self.train_images)
        check_labels("train_labels", self.train_labels, len(self.train_images), self.classes, "images")
        check_images("test_images", self.test_images, size)
        check_labels("test_labels", self.test_labels, len(self.test_images), self.classes, "images")
        if (self.validation_images is None) != (self.validation_labels is None):
            raise ValueError("validation_images or validation_labels came alone: give both, or neither")
        if self.validation_images is not None:
            check_images("validation_images", self.validation_images, size)
            count = len(self.validation_images)
            check_labels("validation_labels", self.validation_labels, count, self.classes, "images")
        check_statistics("mean", self.mean, size[0], positive=False)
        check_statistics("std", self.std, size[0], positive=True)


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
_GREY = {"image_size": 28, "in_channels": 1, "num_classes": 10}
_COLOUR = {"image_size": 32, "in_channels": 3, "num_classes": 10}
_CIFAR_LICENCE = "none stated by the authors, who ask to be cited"
_CIFAR_CITATION = (
    "Alex Krizhevsky (2009): Learning Multiple Layers of Features from Tiny Images, technical report, "
    "University of Toronto"
)

IMAGE_SETS: Mapping[str, DataSet] = MappingProxyType(
    {
        "fashion-mnist-subset": DataSet(
            title="Fashion-MNIST, stratified subset",
            what="grey images of 28 x 28 pixels of clothes, in 10 classes",
            sizes="6,000 train and 1,000 test images; 3 MB, which come with the package",
            licence="MIT, Copyright 2017 Zalando SE",
            citation=_FASHION_MNIST_CITATION,
            url="https://github.com/zalandoresearch/fashion-mnist",
            model_sizes=_GREY,
        ),
        "fashion-mnist": DataSet(
            title="Fashion-MNIST",
            what="grey images of 28 x 28 pixels of clothes, in 10 classes",
            sizes="60,000 train and 10,000 test images; 31 MB to download",
            licence="MIT, Copyright 2017 Zalando SE",
            citation=_FASHION_MNIST_CITATION,
            url="https://github.com/zalandoresearch/fashion-mnist",
            model_sizes=_GREY,
        ),
        "cifar10": DataSet(
            title="CIFAR-10",
            what="colour photographs of 32 x 32 pixels of animals and vehicles, in 10 classes",
            sizes="50,000 train and 10,000 test images; 170 MB to download",
            licence=_CIFAR_LICENCE,
            citation=_CIFAR_CITATION,
            url="https://www.cs.toronto.edu/~kriz/cifar.html",
            model_sizes=_COLOUR,
        ),
        "cifar10-subset": DataSet(
            title="CIFAR-10, stratified subset",
            what="colour photographs of 32 x 32 pixels of animals and vehicles, in 10 classes",
            sizes="10,000 train and 2,000 test images of CIFAR-10, which is downloaded",
            licence=_CIFAR_LICENCE,
            citation=_CIFAR_CITATION,
            url="https://www.cs.toronto.edu/~kriz/cifar.html",
            model_sizes=_COLOUR,
        ),
        "cifar100": DataSet(
            title="CIFAR-100",
            what="colour photographs of 32 x 32 pixels, in 100 classes",
            sizes="50,000 train and 10,000 test images; 169 MB to download",
            licence=_CIFAR_LICENCE,
            citation=_CIFAR_CITATION,
            url="https://www.cs.toronto.edu/~kriz/cifar.html",
            model_sizes={"image_size": 32, "in_channels": 3, "num_classes": 100},
        ),
    }
)
"""The image sets by name, each with what to know before using it."""

TEXT_SETS: Mapping[str, DataSet] = MappingProxyType(
    {
        "tiny-shakespeare": DataSet(
            title="Tiny Shakespeare",
            what="scenes from Shakespeare's plays as one text, to be continued character by character",
            sizes="1,115,394 characters, 65 different ones, the last tenth held out; 1.1 MB to download",
            licence="public domain; the repository stands under the MIT licence",
            citation="Andrej Karpathy (2015): char-rnn, github.com/karpathy/char-rnn",
            url="https://github.com/karpathy/char-rnn",
        ),
        "clinc150": DataSet(
            title="CLINC150",
            what="English requests to an assistant, each with one of 150 intents, and some outside all of them",
            sizes="15,000 train, 3,000 validation and 4,500 test requests, 1,200 out of scope; 2.5 MB to download",
            licence="CC BY 3.0",
            citation=(
                "Stefan Larson, Anish Mahendran, Joseph J. Peper, Christopher Clarke, Andrew Lee, Parker Hill, "
                "Jonathan K. Kummerfeld, Kevin Leach, Michael A. Laurenzano, Lingjia Tang, Jason Mars (2019): An "
                "Evaluation Dataset for Intent Classification and Out-of-Scope Prediction, EMNLP-IJCNLP, "
                "arXiv:1909.02027"
            ),
            url="https://github.com/clinc/oos-eval",
        ),
        "multi30k": DataSet(
            title="Multi30k",
            what="descriptions of photographs in German and English, translated sentence by sentence",
            sizes="29,000 train, 1,014 validation and 1,000 test pairs (test 2016); 1.3 MB to download",
            licence=("none stated; derived from Flickr30K, whose images are for non-commercial research and education"),
            citation=(
                "Desmond Elliott, Stella Frank, Khalil Sima'an, Lucia Specia (2016): Multi30K: Multilingual "
                "English-German Image Descriptions, Workshop on Vision and Language, doi:10.18653/v1/W16-3210"
            ),
            url="https://github.com/multi30k/dataset",
        ),
    }
)
"""The text sets by name."""

DATA_SETS: Mapping[str, DataSet] = MappingProxyType({**IMAGE_SETS, **TEXT_SETS})
"""All data sets by name."""
