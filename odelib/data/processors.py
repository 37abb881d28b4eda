"""From raw inputs to what a model is called with, and from its answers to words: what a run keeps of its data."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import torch
from jaxtyping import Float, Int64, UInt8
from torch import Tensor

from odelib.data.augment import normalise
from odelib.data.pictures import read_picture
from odelib.data.sequences import pad
from odelib.data.sets import ImageData
from odelib.data.text import CharacterData, IntentData
from odelib.data.tokens import END, SMALLEST, Characters, Subwords, kept_subwords
from odelib.data.translation import TranslationData
from odelib.names import choose

Data = ImageData | CharacterData | IntentData | TranslationData
"""What a model is trained on: images, characters, texts with labels, or pairs of texts."""


@dataclass(frozen=True)
class ImageProcessor:
    """Images of one size, normalised, and the names of their classes."""

    kind: ClassVar[str] = "images"
    image_size: int
    in_channels: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    classes: tuple[str, ...]

    @property
    def sizes(self) -> dict[str, int]:
        """What a model must offer."""
        return {
            "image_size": self.image_size,
            "in_channels": self.in_channels,
            "num_classes": len(self.classes),
        }

    def read(self, path: Path) -> UInt8[Tensor, "channels height width"]:
        """Read a picture as the model is to see it.

        Raises:
            DataError: It is no picture that can be read.
        """
        return read_picture(path, self.image_size, self.in_channels)

    def encode(
        self, images: UInt8[Tensor, "batch channels height width"]
    ) -> Float[Tensor, "batch channels height width"]:
        """Normalise raw pixels."""
        return normalise(images, self.mean, self.std)


@dataclass(frozen=True)
class CharacterProcessor:
    """The characters of a text."""

    kind: ClassVar[str] = "characters"
    characters: str

    @cached_property
    def vocabulary(self) -> Characters:
        """The characters with their numbers."""
        return Characters(self.characters)

    @property
    def sizes(self) -> dict[str, int]:
        """What a model must offer."""
        return {"vocab_size": self.vocabulary.size}


@dataclass(frozen=True)
class _SubwordProcessor:
    tokenizer: str
    """The subwords, as JSON of the package ``tokenizers``."""

    @cached_property
    def subwords(self) -> Subwords:
        """The subwords with their numbers."""
        return Subwords.of(self.tokenizer)

    def encode(self, texts: Sequence[str], longest: int) -> Int64[Tensor, "batch length"]:
        """Texts as subwords, each followed by END and filled up with PAD.

        Raises:
            ValueError: A text has more subwords than ``longest``, the positions of the model.
        """
        numbers = [[*each, END] for each in self.subwords.encode(texts)]
        for text, each in zip(texts, numbers, strict=True):
            if len(each) > longest:
                raise ValueError(
                    f"the text {text[:40]!r}{'...' * (len(text) > 40)} has {len(each)} subwords with its end, and the "
                    f"model has positions for {longest}: shorten it"
                )
        return pad(numbers)


@dataclass(frozen=True)
class TextProcessor(_SubwordProcessor):
    """Texts as subwords, and the names of their classes."""

    kind: ClassVar[str] = "texts"
    classes: tuple[str, ...]

    @property
    def sizes(self) -> dict[str, int]:
        """What a model must offer."""
        return {"vocab_size": self.subwords.size, "num_classes": len(self.classes)}


@dataclass(frozen=True)
class TranslationProcessor(_SubwordProcessor):
    """Sentences as subwords of both languages together."""

    kind: ClassVar[str] = "sentences"
    languages: tuple[str, str]

    @property
    def sizes(self) -> dict[str, int]:
        """What a model must offer."""
        return {"vocab_size": self.subwords.size}


Processor = ImageProcessor | CharacterProcessor | TextProcessor | TranslationProcessor
"""What turns a reader's own inputs into those of a model, as its training data were turned."""

_KINDS: dict[str, type[Processor]] = {
    kind.kind: kind for kind in (ImageProcessor, CharacterProcessor, TextProcessor, TranslationProcessor)
}


def processor_of(data: Data, subwords: int) -> Processor:
    """The processor of a data set.

    Args:
        data: The data.
        subwords: How many subwords to learn from the training texts, where there are such.

    Raises:
        ValueError: They are too few.
    """
    if isinstance(data, ImageData):
        _, channels, height, _ = data.train_images.shape
        return ImageProcessor(height, channels, data.mean, data.std, data.classes)
    if isinstance(data, CharacterData):
        return CharacterProcessor(data.vocabulary.characters)
    if subwords < SMALLEST:
        raise ValueError(
            f"subwords is {subwords}, expected at least {SMALLEST}, the 256 bytes and the marks, for {data.name}: ask "
            "for more (--subwords)"
        )
    if isinstance(data, IntentData):
        learned = kept_subwords(data.train_texts, subwords, data.name)
        return TextProcessor(learned.to_json(), data.classes)
    learned = kept_subwords((*data.train_source, *data.train_target), subwords, data.name)
    return TranslationProcessor(learned.to_json(), data.languages)


def to_dict(processor: Processor) -> dict[str, Any]:
    """A processor as plain values, ready for JSON; ``from_dict`` is its inverse."""
    return {"kind": processor.kind, **asdict(processor)}


def from_dict(values: Mapping[str, Any]) -> Processor:
    """Make a processor from plain values.

    Raises:
        ValueError: The kind is unknown.
        TypeError: Entries are missing or unknown.
    """
    given = {name: tuple(value) if isinstance(value, list) else value for name, value in values.items()}
    kind: Any = _KINDS[choose(str(given.pop("kind", None)), _KINDS, "kind of processor")]
    processor: Processor = kind(**given)
    return processor


def checksum(data: Data) -> str:
    """SHA-256 of all that a data set shows: the splits in their order, the labels, the names of the classes."""
    import hashlib

    found = hashlib.sha256()
    for name, value in sorted(vars(data).items()):
        if name in ("name", "note", "mean", "std") or value is None:
            continue
        found.update(name.encode())
        if isinstance(value, Tensor):
            found.update(str(tuple(value.shape)).encode())
            found.update(value.contiguous().flatten().view(torch.uint8).numpy().data)
        else:
            found.update(repr(value).encode())
    return found.hexdigest()
