"""CIFAR-10 and CIFAR-100 in their original python format, official or cut down to a subset."""

import codecs
import hashlib
import os
import pickle
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int64, Integer, UInt8

from odelib.data.downloads import Source, find_or_download
from odelib.data.fetch import Remote
from odelib.data.sets import Arrays, DataError

_SPLIT_SIZE = {"train": 50_000, "test": 10_000}

# Which images of the official set are in the subset, and the checksums of their pixels and labels.
_SUBSET = Path(__file__).with_name("cifar10_subset.npz")
_SUBSET_SHA256 = {
    "train": "a6cdfc5f19f5eb14169473df5eab18443d8b6486b46da2bd9386817ac222d2cc",
    "test": "63fc38825602b55e895bfd5738b273c17ff21ba2473009350daeac305d9c7378",
}


def cifar_source(name: str) -> Source:
    """Where "cifar10" or "cifar100" comes from: torchvision knows the address, the md5 sum and the file names."""
    official = _official(name)
    place, files = Path(official.base_folder), [*official.train_list, *official.test_list]
    return Source(
        name,
        (Remote(official.url, f"md5:{official.tgz_md5}"),),
        Path(name) / place,
        marks=(*(file for file, _ in files), official.meta["filename"]),
        others=(place,),
        archive=True,
    )


def load_cifar(name: str, root: str | os.PathLike[str] | None, download: bool) -> Arrays:
    """Load CIFAR-10 or CIFAR-100 (fine labels): images of shape (3, 32, 32).

    torchvision reads only files with the official md5 sums. Here complete and well-formed files with fewer images
    than the official ones are read as well, and the note then says that the set is a subset.

    Args:
        name: "cifar10" or "cifar100".
        root: Where to look, as for ``load_images``: for ``cifar-10-batches-py`` or ``cifar-100-python``, in a
            folder that is named like the set or in the data folder itself.
        download: Whether to download it when absent.

    Raises:
        DataError: It is absent and not downloaded, or a file is missing or damaged.
    """
    official, source = _official(name), cifar_source(name)
    found = find_or_download(source, root, download)
    label_key, num_classes = {"cifar10": ("labels", 10), "cifar100": ("fine_labels", 100)}[name]
    reader = _Reader(source.title, found, label_key, num_classes)
    classes = reader.class_names(official.meta["filename"], official.meta["key"])
    train_images, train_labels, train_official = reader.split("train", official.train_list)
    test_images, test_labels, test_official = reader.split("test", official.test_list)
    note = ""
    if not (train_official and test_official):
        note = (
            f"subset: {len(train_labels):,} train and {len(test_labels):,} test images, not the official "
            f"{source.title}; accuracies do not compare with published ones"
        )
    return Arrays(train_images, train_labels, test_images, test_labels, classes, note)


def load_cifar10_subset(root: str | os.PathLike[str] | None, download: bool) -> Arrays:
    """Load the 10,000 train and 2,000 test images of CIFAR-10 that the book's studies use, the same for everybody.

    They are chosen from the official set by their place in it. A folder that has just these images, as
    ``load_cifar`` reads subsets, serves as well: either way the pixels must be the committed ones.

    Args:
        root: As for ``load_cifar``.
        download: Whether to download CIFAR-10 when absent.

    Raises:
        DataError: CIFAR-10 is absent and not downloaded, a file is missing or damaged, or it has other images.
    """
    arrays = load_cifar("cifar10", root, download)
    train, test = (_chosen(arrays, split, places) for split, places in subset_places().items())
    note = (
        f"subset: {len(train[1]):,} train and {len(test[1]):,} test images, not the official CIFAR-10; accuracies do "
        "not compare with published ones"
    )
    return Arrays(*train, *test, arrays.classes, note)


def subset_places() -> dict[str, Int64[np.ndarray, " items"]]:
    """The places of the images of ``cifar10-subset`` in the official CIFAR-10, by split, from 0."""
    with np.load(_SUBSET, allow_pickle=False) as file:  # one bit for each image of the official set
        return {split: np.flatnonzero(np.unpackbits(file[split])) for split in ("train", "test")}


def _chosen(
    arrays: Arrays, split: str, places: Integer[np.ndarray, " items"]
) -> tuple[UInt8[np.ndarray, "items 3 32 32"], Int64[np.ndarray, " items"]]:
    images, labels = getattr(arrays, f"{split}_images"), getattr(arrays, f"{split}_labels")
    if len(images) == _SPLIT_SIZE[split]:
        images, labels = images[places], labels[places]
    found = hashlib.sha256(images.tobytes() + labels.astype(np.uint8).tobytes()).hexdigest()
    if found != _SUBSET_SHA256[split]:
        raise DataError(
            f"the CIFAR-10 folder has {len(images):,} {split} images, but not those of cifar10-subset (SHA-256 "
            f"{found[:12]}..., not {_SUBSET_SHA256[split][:12]}...): load the official CIFAR-10, which has them"
        )
    return images, labels


def _official(name: str) -> Any:
    from torchvision import datasets

    return {"cifar10": datasets.CIFAR10, "cifar100": datasets.CIFAR100}[name]


@dataclass(frozen=True)
class _Reader:
    """Reads the files of one folder and refuses damaged ones."""

    title: str
    folder: Path
    label_key: str
    num_classes: int

    def class_names(self, file: str, key: str) -> tuple[str, ...]:
        names = self.unpickle(file).get(key)
        if not (isinstance(names, list) and all(isinstance(name, str) for name in names)):
            raise self.damaged(file, f"its {key!r} are not a list of names")
        if len(names) != self.num_classes:
            raise self.damaged(file, f"it names {len(names)} classes instead of {self.num_classes}")
        return tuple(names)

    def split(
        self, split: str, files: Sequence[Sequence[str]]
    ) -> tuple[UInt8[np.ndarray, "items 3 32 32"], Int64[np.ndarray, " items"], bool]:
        """Read the files (name, official md5) of a split; the last item tells whether all are official."""
        batches = [self.batch(file, md5, _SPLIT_SIZE[split] // len(files)) for file, md5 in files]
        images, labels, official = zip(*batches, strict=True)
        return np.concatenate(images), np.concatenate(labels), all(official)

    def batch(
        self, file: str, md5: str, official_count: int
    ) -> tuple[UInt8[np.ndarray, "items 3 32 32"], Int64[np.ndarray, " items"], bool]:
        from torchvision.datasets.utils import check_integrity

        batch = self.unpickle(file)
        data, labels = batch.get("data"), batch.get(self.label_key)
        if not (isinstance(data, np.ndarray) and data.dtype == np.uint8 and data.shape[1:] == (3072,)):
            raise self.damaged(file, "its 'data' are not a uint8 array of shape (n, 3072)")
        if not (isinstance(labels, list) and all(isinstance(label, int) for label in labels)):
            raise self.damaged(file, f"its {self.label_key!r} are not a list of integers")
        if not 0 < len(labels) == len(data):
            raise self.damaged(file, f"it has {len(data)} images and {len(labels)} labels")
        if not 0 <= min(labels) <= max(labels) < self.num_classes:
            raise self.damaged(file, f"its labels are not all in 0 to {self.num_classes - 1}")
        official = check_integrity(self.folder / file, md5)
        if not official and len(data) >= official_count:
            raise self.damaged(file, f"it is not a subset, but its md5 sum is not the official {md5}")
        # A row is the red, then the green, then the blue plane, each row by row.
        return data.reshape(-1, 3, 32, 32), np.array(labels, dtype=np.int64), official

    def unpickle(self, file: str) -> dict[str, Any]:
        try:
            with open(self.folder / file, "rb") as stream:
                content = _ArrayUnpickler(stream, encoding="latin1").load()
        except FileNotFoundError as error:
            raise self.damaged(file, "it is missing") from error
        except Exception as error:
            # Reading a damaged pickle can raise nearly anything: EOFError, KeyError, MemoryError, ...
            raise self.damaged(file, f"reading it gives {type(error).__name__}: {error}") from error
        if not isinstance(content, dict):
            raise self.damaged(file, f"it holds a {type(content).__name__} instead of a dict")
        return content

    def damaged(self, file: str, what: str) -> DataError:
        return DataError(
            f"the {self.title} file {self.folder / file} is damaged or missing ({what}): remove the folder "
            f"{self.folder} and load {self.title} again, which downloads it, or put a whole copy there"
        )


# The constructors of arrays under the names that the files may use: NumPy has moved the first one, and the
# last one makes bytes where Python 3 has written with pickle protocol 2.
_ALLOWED = {
    ("numpy.core.multiarray", "_reconstruct"): np.empty(0).__reduce__()[0],
    ("numpy._core.multiarray", "_reconstruct"): np.empty(0).__reduce__()[0],
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): np.dtype,
    ("_codecs", "encode"): codecs.encode,
}


class _ArrayUnpickler(pickle.Unpickler):
    """Reads arrays, numbers, strings, lists and dicts, and nothing else.

    A pickle may name any function to be called while it is read, and any file may lie in a data folder, so
    nothing but the constructors of arrays is let through.
    """

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _ALLOWED:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}, which no image file needs")
        return _ALLOWED[module, name]
