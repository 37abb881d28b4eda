"""The vocabulary that a network of others was trained with: texts as its tokens, with its marks at both ends."""

import re
from collections.abc import Callable, Sequence
from pathlib import Path

from odelib.data.sets import DataError
from odelib.install import without

PIECES = "vocab.txt"
_SMILES = re.compile(  # what no other part matches is a token by itself
    r"%\(\d{3}\)|\[[^\]]+]|Br?|Cl?|N|O|S|P|F|I|b|c|n|o|s|p|\||\(|\)|\.|=|#|-|\+|\\|/|:|~|@|\?|>>?|\*|\$|%\d{2}|\d|."
)
"""Tokens of a SMILES string (Schwaller et al. 2019, doi 10.1021/acscentsci.9b00576)."""
_MOST_UNKNOWN = 0.1


class Vocabulary:
    """Tokens by number, and a way to cut a text into them.

    Args:
        tokens: The tokens, in the order of their numbers.
        cut: Cuts a text into tokens, or what may be some.

    Raises:
        DataError: A mark is missing.
    """

    def __init__(self, tokens: Sequence[str], cut: Callable[[str], Sequence[str]]) -> None:
        self.tokens, self.cut = tuple(tokens), cut
        self._numbers = {token: number for number, token in enumerate(tokens)}
        missing = [mark for mark in ("[PAD]", "[UNK]", "[CLS]", "[SEP]") if mark not in self._numbers]
        if missing:
            raise DataError(f"the vocabulary has no {', '.join(missing)}: give one of an encoder such as BERT")

    @classmethod
    def of(cls, folder: Path) -> "Vocabulary":
        """Read the vocabulary of a network in Hugging Face's layout, ``vocab.txt`` in its folder or above.

        Reactions are cut as SMILES where ``>>`` is a token, residues and other letters one by one where no token is
        longer; all else is cut into word pieces by the package ``tokenizers``, as BERT's own are.

        Raises:
            DataError: There is no such file, it is damaged, it has not BERT's marks, or ``tokenizers`` is needed and
                not installed.
        """
        path = next((place / PIECES for place in (folder, folder.parent) if (place / PIECES).is_file()), None)
        if path is None:
            raise DataError(f"there is no {PIECES} in {folder}: give the network's folder with its vocabulary")
        try:
            tokens = path.read_text(encoding="utf-8").removesuffix("\n").split("\n")
        except (OSError, UnicodeDecodeError) as error:
            raise DataError(f"{path} cannot be read ({error}): take the one that came with the weights") from error
        vocabulary = cls(tokens, list)
        if ">>" in tokens:
            vocabulary.cut = _SMILES.findall
        elif any(len(token) > 1 for token in tokens if not token.startswith("[")):
            vocabulary.cut = _pieces(folder, path)
        return vocabulary

    @property
    def mask(self) -> int:
        """Number of the token that hides another.

        Raises:
            DataError: There is none.
        """
        if "[MASK]" not in self._numbers:
            raise DataError("the vocabulary has no [MASK], so that no token can be hidden: take another network")
        return self._numbers["[MASK]"]

    @property
    def pad(self) -> int:
        """Number of the token that fills up a batch."""
        return self._numbers["[PAD]"]

    def encode(self, texts: Sequence[str], longest: int) -> list[list[int]]:
        """Return the numbers of the tokens of each text, the marks at both ends among them.

        Args:
            texts: The texts.
            longest: The most tokens that the network takes; what is beyond is left out.

        Raises:
            DataError: There is no text, or more than a tenth of all tokens are unknown.
        """
        if not texts:
            raise DataError("no text came: give at least one")
        numbers, unknown = self._numbers, self._numbers["[UNK]"]
        inner = [[numbers.get(token, unknown) for token in self.cut(text)][: longest - 2] for text in texts]
        if sum(row.count(unknown) for row in inner) > _MOST_UNKNOWN * sum(map(len, inner)):
            raise DataError(
                f"more than a tenth of these texts (the first is {texts[0][:40]!r}) is not in the vocabulary of the "
                f"network, which has {len(self.tokens)} tokens: measure it on data that it was made for"
            )
        return [[numbers["[CLS]"], *row, numbers["[SEP]"]] for row in inner]


def _pieces(folder: Path, path: Path) -> Callable[[str], list[str]]:
    import json

    try:
        from tokenizers import BertWordPieceTokenizer
    except ImportError as error:
        raise DataError(without("tokenizers", "text", "a vocabulary of word pieces")) from error
    settings, lower = folder / "tokenizer_config.json", True
    if settings.is_file():
        try:
            lower = bool(json.loads(settings.read_text(encoding="utf-8")).get("do_lower_case", True))
        except (OSError, ValueError, AttributeError) as error:
            raise DataError(f"{settings} is corrupt ({error}): take the one that came with the weights") from error
    tokenizer = BertWordPieceTokenizer(str(path), lowercase=lower)
    return lambda text: list(tokenizer.encode(text, add_special_tokens=False).tokens)
