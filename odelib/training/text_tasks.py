"""Text as tasks: characters to be continued, requests to be classified, sentences to be translated."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Int64
from torch import Tensor

from odelib.data import END, PAD, START, CharacterData, IntentData, Subwords, TranslationData, buckets, pad, windows
from odelib.training.batches import epoch_generator
from odelib.training.config import TrainConfig
from odelib.training.runtime import Runtime
from odelib.training.tasks import IGNORED, Batch, Task

Split = Literal["test", "validation"]


def character_task(
    data: CharacterData, config: TrainConfig, runtime: Runtime, *, width: int = 128, split: Split = "test"
) -> Task:
    """Continue a text character by character.

    The model is called with characters, int64 (batch, width), and gives logits (batch, width, vocabulary) for the
    character after each. An epoch cuts the training text into consecutive windows, at a place drawn anew, and shows
    each once. The held-out text is cut from its beginning; what fills no window at its end is left out.

    Args:
        data: The text.
        config: Batch sizes and seed; ``train_images`` is the number of characters.
        runtime: Where the batches are wanted.
        width: Characters in a window.
        split: What to measure on: "test", or "validation" to choose between models.

    Raises:
        ValueError: A text is too short for one window.
    """
    kept = _limit(config, len(data.train), data.name)
    text, held_out = runtime.hold(data.train[:kept]), runtime.hold(getattr(data, split))
    count = len(text) // width - 1  # as many windows fit in wherever the first one begins
    if count < 1:
        raise ValueError(f"{len(text)} characters are too few for windows of {width}: choose a smaller width")
    windows(held_out, width)  # refuse at once, not after the first epoch

    def shuffled(epoch: int) -> Iterator[Batch]:
        generator = epoch_generator(config.seed, epoch)
        offset = int(torch.randint(width, (), generator=generator))
        inputs, targets = windows(text, width, offset)
        yield from batches(inputs, targets, torch.randperm(count, generator=generator), config.batch_size)

    def batches(inputs: Tensor, targets: Tensor, order: Tensor, batch_size: int) -> Iterator[Batch]:
        for chosen in torch.split(order.to(inputs.device), batch_size):
            x, y = (part[chosen].to(runtime.device, non_blocking=True) for part in (inputs, targets))
            yield Batch((x,), y, y.numel())

    def test() -> Iterator[Batch]:
        inputs, targets = windows(held_out, width)
        return batches(inputs, targets, torch.arange(len(inputs)), config.eval_batch_size)

    return Task(
        name=data.name,
        unit="characters",
        count=count * width,
        steps=math.ceil(count / config.batch_size),
        sizes={"vocab_size": data.vocabulary.size, "max_tokens": width},
        epoch=shuffled,
        test=test,
    )


def intent_task(
    data: IntentData, subwords: Subwords, config: TrainConfig, runtime: Runtime, *, split: Split = "test"
) -> Task:
    """Classify short texts.

    The model is called with subwords, int64 (batch, length), each text followed by END and filled up with PAD, and
    with a mask, bool (batch, length), True where there is no padding; it gives logits (batch, classes).

    Args:
        data: Texts and their classes.
        subwords: Learned from the training texts.
        config: Number of texts (``train_images``), batch sizes and seed.
        runtime: Where the batches are wanted.
        split: What to measure on: "test", or "validation" to choose between models.

    Raises:
        ValueError: There are fewer training texts than asked for.
    """
    kept = _limit(config, len(data.train_texts), data.name)
    texts = _Padded.of(_ended(subwords, data.train_texts[:kept]), runtime)
    held_out = _Padded.of(_ended(subwords, getattr(data, f"{split}_texts")), runtime)

    def batch(texts: _Padded, labels: Tensor, chosen: Tensor) -> Batch:
        tokens = texts.take(chosen)
        return Batch((tokens, tokens != PAD), labels[chosen].to(runtime.device, non_blocking=True), len(chosen))

    def shuffled(epoch: int) -> Iterator[Batch]:
        order = torch.randperm(kept, generator=epoch_generator(config.seed, epoch))
        return (batch(texts, data.train_labels, chosen) for chosen in torch.split(order, config.batch_size))

    def test() -> Iterator[Batch]:
        labels = getattr(data, f"{split}_labels")
        order = buckets(held_out.lengths[:, None], config.eval_batch_size)
        return (batch(held_out, labels, chosen) for chosen in order)

    return Task(
        name=data.name,
        unit="requests",
        count=kept,
        steps=math.ceil(kept / config.batch_size),
        sizes={
            "vocab_size": subwords.size,
            "max_tokens": max(texts.longest, held_out.longest),
            "num_classes": len(data.classes),
        },
        epoch=shuffled,
        test=test,
    )


def translation_task(
    data: TranslationData, subwords: Subwords, config: TrainConfig, runtime: Runtime, *, split: Split = "test"
) -> Task:
    """Translate sentences, given the right beginning of each translation.

    The model is called with source subwords followed by END, int64 (batch, source); target subwords preceded by
    START, int64 (batch, target); and a mask of the source, bool (batch, source), True where there is no padding.
    It gives logits (batch, target, vocabulary) for the subword after each of the target, the last being END. Pairs
    of nearly equal lengths share a batch.

    Args:
        data: Pairs of sentences.
        subwords: Learned from both languages of the training pairs.
        config: Number of pairs (``train_images``), batch sizes in pairs, and seed.
        runtime: Where the batches are wanted.
        split: What to measure on: "test", or "validation" to choose between models.

    Raises:
        ValueError: There are fewer training pairs than asked for.
    """
    kept = _limit(config, len(data.train_source), data.name)
    train = _Pairs.of(subwords, data.train_source[:kept], data.train_target[:kept], runtime)
    held_out = _Pairs.of(subwords, getattr(data, f"{split}_source"), getattr(data, f"{split}_target"), runtime)

    def shuffled(epoch: int) -> Iterator[Batch]:
        return train.batches(buckets(train.lengths, config.batch_size, epoch_generator(config.seed, epoch)))

    return Task(
        name=data.name,
        unit="subwords",
        count=int(train.target.lengths.sum()),
        steps=math.ceil(kept / config.batch_size),
        sizes={"vocab_size": subwords.size, "max_tokens": max(train.longest, held_out.longest)},
        epoch=shuffled,
        test=lambda: held_out.batches(buckets(held_out.lengths, config.eval_batch_size)),
    )


def translations(
    translate: Callable[[Tensor, Tensor], Tensor],
    sentences: Sequence[str],
    subwords: Subwords,
    runtime: Runtime,
    *,
    batch_size: int = 100,
) -> list[str]:
    """Translate sentences by a model that writes its own beginnings, ready for ``bleu``.

    Args:
        translate: Gives the subwords of the translations, integers (batch, target), up to END and then anything,
            for source subwords and their mask as ``translation_task`` gives them.
        sentences: What to translate.
        subwords: Those that the model was trained with.
        runtime: Where and in which number format.
        batch_size: Sentences per batch; those of nearly equal lengths share one.

    Returns:
        The translations, in the order of the sentences.
    """
    sources = _Padded.of(_ended(subwords, sentences), runtime)
    texts = [""] * len(sentences)
    for chosen in buckets(sources.lengths[:, None], batch_size):
        tokens = sources.take(chosen)
        with torch.inference_mode(), runtime.autocast():
            written = translate(tokens, tokens != PAD)
        for place, numbers in zip(chosen.tolist(), written.tolist(), strict=True):
            texts[place] = subwords.decode(numbers)
    return texts


def _limit(config: TrainConfig, available: int, name: str) -> int:
    wanted = available if config.train_images is None else config.train_images
    if wanted > available:
        raise ValueError(f"train_images is {wanted}, but {name} has {available}: ask for at most so many")
    return wanted


def _ended(subwords: Subwords, texts: Sequence[str]) -> list[list[int]]:
    return [[*numbers, END] for numbers in subwords.encode(texts)]


@dataclass(frozen=True, eq=False)
class _Padded:
    """Sequences as one table, on the device if it fits there, and their lengths, which stay on the CPU."""

    table: Int64[Tensor, "items longest"]
    lengths: Int64[Tensor, " items"]
    runtime: Runtime

    @classmethod
    def of(cls, sequences: Sequence[Sequence[int]], runtime: Runtime) -> "_Padded":
        return cls(runtime.hold(pad(sequences)), torch.tensor([len(sequence) for sequence in sequences]), runtime)

    @property
    def longest(self) -> int:
        return self.table.shape[1]

    def take(self, chosen: Tensor) -> Int64[Tensor, "batch length"]:
        """The chosen sequences, no wider than the longest of them."""
        rows = self.table[chosen.to(self.table.device), : int(self.lengths[chosen].max())]
        return rows.to(self.runtime.device, non_blocking=True)


@dataclass(frozen=True, eq=False)
class _Pairs:
    source: _Padded
    target: _Padded

    @classmethod
    def of(cls, subwords: Subwords, source: Sequence[str], target: Sequence[str], runtime: Runtime) -> "_Pairs":
        return cls(_Padded.of(_ended(subwords, source), runtime), _Padded.of(_ended(subwords, target), runtime))

    @property
    def lengths(self) -> Int64[Tensor, "items 2"]:
        return torch.stack((self.target.lengths, self.source.lengths), dim=1)

    @property
    def longest(self) -> int:
        return max(self.source.longest, self.target.longest)

    def batches(self, order: Sequence[Tensor]) -> Iterator[Batch]:
        for chosen in order:
            source, wanted = self.source.take(chosen), self.target.take(chosen)
            start = torch.full_like(wanted[:, :1], START)
            inputs = (source, torch.cat((start, wanted[:, :-1]), dim=1), source != PAD)
            targets = wanted.masked_fill(wanted == PAD, IGNORED)
            yield Batch(inputs, targets, int(self.target.lengths[chosen].sum()))
