"""Tiny Shakespeare, character by character, and the requests of CLINC150 with their intents."""

import json
import os
from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Int64
from torch import Tensor

from odelib.data.checks import check_classes, check_labels, check_numbers
from odelib.data.downloads import Source, find_or_download, verified_content
from odelib.data.fetch import Remote
from odelib.data.tokens import Characters

# The addresses name a commit, so that what they give can never change. The checksums are those of the files of that
# commit, computed from a clone of each repository.
_SHAKESPEARE_SHA256 = "86c4e6aa9db7c042ec79f339dcb96d42b0075e16b8fc2e86bf0ca57e2dc565ed"
TINY_SHAKESPEARE = Source(
    "tiny-shakespeare",
    (
        Remote(
            "https://raw.githubusercontent.com/karpathy/char-rnn/6f9487a6fe5b420b7ca9afb0d7c078e37c1d1b4e/"
            "data/tinyshakespeare/input.txt",
            f"sha256:{_SHAKESPEARE_SHA256}",
        ),
    ),
    Path("tiny_shakespeare"),
    marks=("input.txt", "input.txt.gz"),
)
"""Where Tiny Shakespeare comes from."""

_CLINC150_SHA256 = "36923c3705a59e08fe9c3883d8bc2dd966ef93e22cb78ac41171782a698d56e0"
CLINC150 = Source(
    "clinc150",
    (
        Remote(
            "https://raw.githubusercontent.com/clinc/oos-eval/828f8093932c8fe6ca7936c3d2e52903b1c523de/"
            "data/data_full.json",
            f"sha256:{_CLINC150_SHA256}",
        ),
    ),
    Path("clinc150"),
    marks=("data_full.json", "data_full.json.gz"),
)
"""Where CLINC150 comes from."""


@dataclass(frozen=True, eq=False)
class CharacterData:
    """A long text as numbers of characters.

    Attributes:
        name: Its name in ``TEXT_SETS``.
        vocabulary: The characters, of the whole text.
        train: The first nine tenths, int64, shape (train,).
        validation: The next twentieth, int64, shape (validation,).
        test: The rest, int64, shape (test,).
        note: Empty for an official set; otherwise in what way this is not one.

    Raises:
        ValueError: A split is not numbers of characters of the vocabulary.
    """

    name: str
    vocabulary: Characters
    train: Int64[Tensor, " train"]
    validation: Int64[Tensor, " validation"]
    test: Int64[Tensor, " test"]
    note: str = ""

    def __post_init__(self) -> None:
        """Refuse what training would trip over later."""
        for split in ("train", "validation", "test"):
            check_numbers(split, getattr(self, split), self.vocabulary.size)


@dataclass(frozen=True, eq=False)
class IntentData:
    """Short texts, each with the number of its class.

    Attributes:
        name: Its name in ``TEXT_SETS``.
        train_texts: The texts to learn from.
        train_labels: Index into ``classes``, int64, shape (train,).
        validation_texts: Texts for choosing between models.
        validation_labels: As ``train_labels``, shape (validation,).
        test_texts: Texts for the final measurement.
        test_labels: As ``train_labels``, shape (test,).
        classes: Names of the classes, in alphabetical order.
        out_of_scope: Further texts of the test split, which belong to none of the classes.
        note: Empty for an official set; otherwise in what way this is not one.

    Raises:
        ValueError: A split has not one label for each text, a label is none of the classes', or a name of a class comes
            twice.
    """

    name: str
    train_texts: tuple[str, ...]
    train_labels: Int64[Tensor, " train"]
    validation_texts: tuple[str, ...]
    validation_labels: Int64[Tensor, " validation"]
    test_texts: tuple[str, ...]
    test_labels: Int64[Tensor, " test"]
    classes: tuple[str, ...]
    out_of_scope: tuple[str, ...]
    note: str = ""

    def __post_init__(self) -> None:
        """Refuse what training would trip over later."""
        check_classes(self.classes)
        for split in ("train", "validation", "test"):
            texts, labels = getattr(self, f"{split}_texts"), getattr(self, f"{split}_labels")
            if split != "validation" or len(texts) or len(labels):  # where nothing is chosen by them there need be none
                check_labels(f"{split}_labels", labels, len(texts), self.classes, "texts")


def load_tiny_shakespeare(root: str | os.PathLike[str] | None = None, download: bool = True) -> CharacterData:
    """Load Tiny Shakespeare: 1,003,854 characters to learn from, 55,770 for validation and 55,770 for testing.

    The splits are consecutive: 90 %, 5 % and 5 % of the text.

    Args:
        root: Where to look and to download to; None as for ``load_images``.
        download: Whether to download it when absent.

    Raises:
        DataError: It is absent and cannot be downloaded, or its file is damaged.
    """
    folder = find_or_download(TINY_SHAKESPEARE, root, download)
    text = verified_content("tiny-shakespeare", folder, "input.txt", _SHAKESPEARE_SHA256).decode()
    return split_characters("tiny-shakespeare", text, Characters.of(text))


def split_characters(name: str, text: str, vocabulary: Characters) -> CharacterData:
    """Cut a text into nine tenths to learn from, a twentieth for validation and the rest for testing."""
    numbers = vocabulary.encode(text)
    first, second = len(numbers) * 9 // 10, len(numbers) * 19 // 20
    return CharacterData(name, vocabulary, numbers[:first], numbers[first:second].clone(), numbers[second:].clone())


def load_clinc150(root: str | os.PathLike[str] | None = None, download: bool = True) -> IntentData:
    """Load CLINC150 (Larson et al. 2019): 100 train, 20 validation and 30 test requests for each of 150 intents.

    Two of the 4,500 test requests are train requests as well, word for word, in the original as here.

    Args:
        root: Where to look and to download to; None as for ``load_images``.
        download: Whether to download it when absent.

    Raises:
        DataError: It is absent and cannot be downloaded, or its file is damaged.
    """
    folder = find_or_download(CLINC150, root, download)
    splits = json.loads(verified_content("clinc150", folder, "data_full.json", _CLINC150_SHA256))
    classes = tuple(sorted({intent for _, intent in splits["train"]}))
    number = {name: i for i, name in enumerate(classes)}
    texts = {split: tuple(text for text, _ in rows) for split, rows in splits.items()}
    labels = {split: torch.tensor([number[k] for _, k in splits[split]]) for split in ("train", "val", "test")}
    return IntentData(
        name="clinc150",
        train_texts=texts["train"],
        train_labels=labels["train"],
        validation_texts=texts["val"],
        validation_labels=labels["val"],
        test_texts=texts["test"],
        test_labels=labels["test"],
        classes=classes,
        out_of_scope=texts["oos_test"],
    )
