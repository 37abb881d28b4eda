"""Text as numbers and back: characters, and subwords by byte-pair encoding."""

import hashlib
import os
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from jaxtyping import Int64
from torch import Tensor

from odelib.data.downloads import cache_folder
from odelib.data.sets import DataError
from odelib.files import replacing
from odelib.install import without

if TYPE_CHECKING:
    from tokenizers import Tokenizer

PAD, START, END = 0, 1, 2
"""Subwords that stand for no text: filling up a batch, the beginning and the end of a sentence."""

_MARKS = ("<pad>", "<start>", "<end>")
SMALLEST = 256 + len(_MARKS)
"""The fewest subwords that a vocabulary can have: the 256 bytes and the marks."""

_NOT_INSTALLED = without("tokenizers", "text", "a vocabulary of subwords")


@dataclass(frozen=True)
class Characters:
    """A vocabulary of single characters.

    Attributes:
        characters: Each character once; its place is its number.
    """

    characters: str

    def __post_init__(self) -> None:
        """Refuse a vocabulary in which a character has two numbers."""
        if len(self._numbers) < len(self.characters):
            raise ValueError(f"characters is {self.characters!r}, in which one occurs twice: give each once")

    @classmethod
    def of(cls, text: str) -> "Characters":
        """The characters of ``text``, in the order of Unicode."""
        return cls("".join(sorted(set(text))))

    @property
    def size(self) -> int:
        """Number of characters."""
        return len(self.characters)

    @cached_property
    def _numbers(self) -> dict[str, int]:
        return {character: number for number, character in enumerate(self.characters)}

    def encode(self, text: str) -> Int64[Tensor, " length"]:
        """The number of each character of ``text``.

        Raises:
            ValueError: A character is not in the vocabulary.
        """
        try:
            return torch.tensor([self._numbers[character] for character in text], dtype=torch.int64)
        except KeyError as error:
            raise ValueError(
                f"the character {error.args[0]!r} is not in the vocabulary of {self.size}: remove it from the text, or "
                "use only characters of the training text"
            ) from None

    def decode(self, numbers: Int64[Tensor, " length"] | Sequence[int]) -> str:
        """The text that ``encode`` turned into ``numbers``."""
        listed = numbers.tolist() if isinstance(numbers, Tensor) else numbers
        return "".join(self.characters[number] for number in listed)


class Subwords:
    """Byte-pair encoding (Sennrich et al. 2016, arXiv 1508.07909) of bytes, by the package ``tokenizers``.

    It begins with the 256 bytes and the three marks, so that every text can be written, and ``decode`` gives back
    what ``encode`` was given.

    Args:
        tokenizer: A trained tokenizer, as ``train`` makes it.
    """

    def __init__(self, tokenizer: "Tokenizer") -> None:
        self.tokenizer = tokenizer

    @classmethod
    def train(cls, texts: Sequence[str], size: int) -> "Subwords":
        """Learn the ``size`` most useful subwords of ``texts``; the same texts give the same ones.

        Args:
            texts: The training split, and only that.
            size: Number of subwords, marks included; texts with fewer pairs of subwords to join give fewer.

        Raises:
            ValueError: ``size`` leaves no room for the 256 bytes and the marks.
            DataError: The package ``tokenizers`` is not installed.
        """
        if size < SMALLEST:
            raise ValueError(f"size is {size}, expected at least {SMALLEST}: the 256 bytes and {len(_MARKS)} marks")
        _check_installed()
        from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

        tokenizer = Tokenizer(models.BPE())
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        tokenizer.decoder = decoders.ByteLevel()
        trainer = trainers.BpeTrainer(
            vocab_size=size,
            special_tokens=list(_MARKS),
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        )
        tokenizer.train_from_iterator(texts, trainer)
        # Else a text that spells a mark, such as "<end>", would be read as one and not come back.
        tokenizer.encode_special_tokens = True
        return cls(tokenizer)

    @classmethod
    def of(cls, text: str) -> "Subwords":
        """Read what ``to_json`` wrote.

        Raises:
            DataError: It is none of that, or ``tokenizers`` is not installed.
        """
        _check_installed()
        from tokenizers import Tokenizer

        try:
            tokenizer = Tokenizer.from_str(text)
        except Exception as error:  # tokenizers raises nothing more special
            raise DataError(f"these are no subwords ({error}): learn them again") from error
        tokenizer.encode_special_tokens = True
        return cls(tokenizer)

    def to_json(self) -> str:
        """The subwords as a text, which ``of`` reads."""
        return str(self.tokenizer.to_str())

    @classmethod
    def load(cls, path: Path) -> "Subwords":
        """Read what ``save`` wrote.

        Raises:
            DataError: The file cannot be read or holds no tokenizer, or ``tokenizers`` is not installed.
        """
        _check_installed()
        try:
            return cls.of(path.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError, DataError) as error:
            raise DataError(f"{path} holds no subwords ({error}): remove it, and they are learned again") from error

    def save(self, path: Path) -> None:
        """Write the subwords as JSON, whole or not at all.

        Raises:
            OSError: The folder cannot be made or written.
        """
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path, tag=str(os.getpid())) as partial:  # another process may save at the same time
            partial.write_text(self.tokenizer.to_str(pretty=True), encoding="utf-8")

    @property
    def size(self) -> int:
        """Number of subwords, marks included."""
        return int(self.tokenizer.get_vocab_size())

    def encode(self, texts: Sequence[str]) -> list[list[int]]:
        """The numbers of the subwords of each text, without marks."""
        return [encoding.ids for encoding in self.tokenizer.encode_batch(list(texts), add_special_tokens=False)]

    def decode(self, numbers: Sequence[int]) -> str:
        """The text of ``numbers``: up to the first END, marks left out."""
        kept = list(numbers[: numbers.index(END)] if END in numbers else numbers)
        return str(self.tokenizer.decode([number for number in kept if number >= len(_MARKS)]))


def _check_installed() -> None:
    try:
        import tokenizers  # noqa: F401  only whether it is there
    except ImportError as error:
        raise DataError(_NOT_INSTALLED) from error


def kept_subwords(texts: Sequence[str], size: int, name: str) -> Subwords:
    """Learn subwords once and keep them in the user's cache folder, in ``subwords/<name>-<size>-<digest>.json``.

    The digest is that of the texts, so that other texts never meet these subwords. Data folders are left as they
    are: they may be shared. Where the cache cannot be written, the subwords are learned each time.

    Args:
        texts: The training split.
        size: As in ``Subwords.train``.
        name: Name of the data set.

    Raises:
        ValueError: ``size`` is too small.
        DataError: The kept file is damaged, or ``tokenizers`` is not installed.
    """
    digest = hashlib.sha256("\n".join(texts).encode()).hexdigest()[:12]
    path = cache_folder() / "subwords" / f"{name}-{size}-{digest}.json"
    if path.is_file():
        return Subwords.load(path)
    subwords = Subwords.train(texts, size)
    with suppress(OSError):
        subwords.save(path)
    return subwords
