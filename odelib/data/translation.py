"""Multi30k, German and English sentence by sentence, and BLEU, by which translations are compared."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
from jaxtyping import Int32, Integer

from odelib.data.downloads import Source, find_or_download, verified_content
from odelib.data.fetch import Remote
from odelib.data.sets import DataError
from odelib.install import without

if TYPE_CHECKING:
    from sacrebleu.metrics.bleu import BLEU

Language = Literal["de", "en"]

_SPLITS = {"train": "train", "validation": "val", "test": "test_2016_flickr"}

# Files of one commit of github.com/multi30k/dataset (data/task1/raw), computed from a clone: SHA-256 of the compressed
# file, which is what the address gives, and of its content.
_SHA256 = {
    "train.de": (
        "726e39b2fa9eb9ffb6dc763fb35a179f80fae06ffc5d28b6ace5faa883de28a6",
        "2c2b73fd2b548fbcde3a875e0a78d6ee94d498bfdee6bd3eae3945779e9ddf72",
    ),
    "train.en": (
        "d79cfa999dd4c51d2cb42499b6796d5a882c3a8a961923c25a898c90f8bbd56f",
        "460a15fbd157e34a7a9957ee388c1ca247fe47af3ef25fb50442af6c274e0fc6",
    ),
    "val.de": (
        "f0cba2f995189cf5770f29a8a9a537a3ad3f51657ad873405082ff6863a5e75a",
        "660e09eb7e1da2f856ea13ee5ad3cf6d36b3d5b0b733c857e94c5747a3dfc660",
    ),
    "val.en": (
        "14f7d25ddd868909a9213e361768460edcacdd6ab9d1e77b92560dc10c10dc28",
        "1f2a23d992769b5b3d209b0a10dd0b77c08cceb1f20dfb97ed0aafa49d107227",
    ),
    "test_2016_flickr.de": (
        "9204244e408ccb38d2a55cfcd344df15005fc42a07a6e55ca6c52b6ababb8cc8",
        "4be6b5b3236b79c25475c6bb829800a7ce559e9ba7a1f6c2394fe4d40be46d16",
    ),
    "test_2016_flickr.en": (
        "611d361c6334bc7246101d48097c13cf5c4413c5befc793cc629934359d532d9",
        "399a4382932c1aadd3ceb9bef1008d388a64c76d4ae4e9d4728c6f4301cac182",
    ),
}

_ADDRESS = "https://raw.githubusercontent.com/multi30k/dataset/a3d2e0d26b56f3846f66a952536ffed4e401d05a/data/task1/raw"
MULTI30K = Source(
    "multi30k",
    tuple(Remote(f"{_ADDRESS}/{file}.gz", f"sha256:{packed}") for file, (packed, _) in _SHA256.items()),
    Path("multi30k"),
    marks=tuple(file + end for file in _SHA256 for end in ("", ".gz")),
)
"""Where Multi30k comes from."""


@dataclass(frozen=True, eq=False)
class TranslationData:
    """Sentences in two languages; the one at a place in ``..._target`` translates that in ``..._source``.

    Attributes:
        name: Its name in ``TEXT_SETS``.
        languages: Source and target language, as two letters each.
        train_source: Sentences to learn from.
        train_target: Their translations.
        validation_source: Sentences for choosing between models.
        validation_target: Their translations.
        test_source: Sentences for the final measurement.
        test_target: Their translations.
    """

    name: str
    languages: tuple[Language, Language]
    train_source: tuple[str, ...]
    train_target: tuple[str, ...]
    validation_source: tuple[str, ...]
    validation_target: tuple[str, ...]
    test_source: tuple[str, ...]
    test_target: tuple[str, ...]


@dataclass(frozen=True)
class Bleu:
    """A BLEU score, and how it was computed.

    Attributes:
        score: 0 to 100.
        signature: sacrebleu's signature, to be given wherever the score is.
    """

    score: float
    signature: str


def load_multi30k(
    source: Language = "de",
    target: Language = "en",
    root: str | os.PathLike[str] | None = None,
    download: bool = True,
) -> TranslationData:
    """Load Multi30k, task 1 (Elliott et al. 2016): 29,000 train, 1,014 validation and 1,000 test pairs (test 2016).

    Args:
        source: Language to translate from, "de" or "en".
        target: Language to translate into, the other one.
        root: Where to look and to download to; None as for ``load_images``.
        download: Whether to download it when absent.

    Raises:
        ValueError: The languages are not "de" and "en", in either order.
        DataError: It is absent and cannot be downloaded, or a file is missing or damaged.
    """
    if {source, target} != {"de", "en"}:
        raise ValueError(f"cannot translate from {source!r} to {target!r}: choose 'de' and 'en', or 'en' and 'de'")
    folder = find_or_download(MULTI30K, root, download)

    def sentences(split: str, language: str) -> tuple[str, ...]:
        file = f"{_SPLITS[split]}.{language}"
        # Not splitlines, which would also cut at the other line ends of Unicode.
        lines = verified_content("multi30k", folder, file, _SHA256[file][1]).decode().split("\n")[:-1]
        return tuple(line.strip() for line in lines)

    return TranslationData(
        "multi30k",
        (source, target),
        *(sentences(split, language) for split in _SPLITS for language in (source, target)),
    )


def bleu(hypotheses: Sequence[str], references: Sequence[str]) -> Bleu:
    """Measure translations of a corpus by BLEU (Papineni et al. 2002), as sacrebleu does (Post 2018, arXiv 1804.08771).

    Its defaults: one reference per sentence, case kept, tokenised by "13a". They must be plain text, not tokens.

    Args:
        hypotheses: What a model gave.
        references: The right translations, in the same order.

    Raises:
        ValueError: There are none, or not as many of the one as of the other.
        DataError: The package ``sacrebleu`` is not installed.
    """
    metric = _metric(hypotheses, references)
    score = metric.corpus_score(list(hypotheses), [list(references)]).score
    return Bleu(float(score), str(metric.get_signature()))


def bleu_counts(hypotheses: Sequence[str], references: Sequence[str]) -> Int32[np.ndarray, "sentences 10"]:
    """What the BLEU of a corpus is computed from, sentence by sentence: ``bleu_from`` takes the sum of any of them.

    Args:
        hypotheses: As for ``bleu``.
        references: Likewise.

    Returns:
        Of each sentence: how many of its 1-, 2-, 3- and 4-grams the reference has, how many it has itself, its length
        and that of the reference, in tokens.
    """
    metric = _metric(hypotheses, references, for_sentences=True)
    scores = [metric.sentence_score(*pair) for pair in zip(hypotheses, ([text] for text in references), strict=True)]
    return np.array([(*score.counts, *score.totals, score.sys_len, score.ref_len) for score in scores], np.int32)


def bleu_from(counts: Integer[np.ndarray, "10"]) -> float:
    """BLEU of the corpus whose sentences have these counts in sum; of all sentences it is that of ``bleu``."""
    from sacrebleu.metrics.bleu import BLEU

    *numbers, length, reference = (int(count) for count in counts)
    return float(BLEU.compute_bleu(numbers[:4], numbers[4:], length, reference, smooth_method="exp").score)


def _metric(hypotheses: Sequence[str], references: Sequence[str], for_sentences: bool = False) -> "BLEU":
    if not len(hypotheses) == len(references) > 0:
        raise ValueError(
            f"there are {len(hypotheses)} hypotheses and {len(references)} references: give one reference for each "
            "hypothesis, and at least one"
        )
    try:
        from sacrebleu.metrics.bleu import BLEU
    except ImportError as error:
        raise DataError(without("sacrebleu", "text", "BLEU")) from error
    return BLEU(effective_order=for_sentences)
