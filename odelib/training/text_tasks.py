"""Text as tasks: characters to be continued, requests to be classified, sentences to be translated."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from jaxtyping import Int64
from torch import Tensor

from odelib.data import (
    END,
    PAD,
    START,
    CharacterData,
    IntentData,
    Subwords,
    TranslationData,
    bleu,
    bleu_counts,
    buckets,
    is_own,
    pad,
    windows,
)
from odelib.training.config import TrainConfig
from odelib.training.runtime import Runtime
from odelib.training.tasks import IGNORED, Batch, Task, epoch_generator


def character_task(data: CharacterData, config: TrainConfig, runtime: Runtime, *, width: int = 128) -> Task:
    """Continue a text character by character.

    The model is called with characters, int64 (batch, width), and gives logits (batch, width, vocabulary) for the
    character after each. An epoch cuts the training text into consecutive windows, at a place drawn anew, and shows
    each once. The held-out text is cut from its beginning; what fills no window at its end is left out.

    Args:
        data: The text.
        config: Batch sizes and seed; ``train_images`` is the number of characters.
        runtime: Where the batches are wanted.
        width: Characters in a window.

    Raises:
        ValueError: A text is too short for one window.
    """
    kept = _limit(config, len(data.train), data.name)
    text = runtime.hold(data.train[:kept])
    _check_width(width, kept, data, config)  # at once, not after the first epoch
    count = len(text) // width - 1  # as many windows fit in wherever the first one begins

    def shuffled(epoch: int) -> Iterator[Batch]:
        generator = epoch_generator(config.seed, epoch)
        offset = int(torch.randint(width, (), generator=generator))
        inputs, targets = windows(text, width, offset)
        yield from batches(inputs, targets, torch.randperm(count, generator=generator), config.batch_size)

    def batches(inputs: Tensor, targets: Tensor, order: Tensor, batch_size: int) -> Iterator[Batch]:
        for chosen in torch.split(order.to(inputs.device), batch_size):
            x, y = (part[chosen].to(runtime.device, non_blocking=True) for part in (inputs, targets))
            yield Batch((x,), y, y.numel())

    def measured(held_out: Tensor) -> Callable[[], Iterator[Batch]]:
        inputs, targets = windows(runtime.hold(held_out), width)
        return lambda: batches(inputs, targets, torch.arange(len(inputs)), config.eval_batch_size)

    return Task(
        name=data.name,
        unit="characters",
        count=count * width,
        steps=math.ceil(count / config.batch_size),
        sizes={"vocab_size": data.vocabulary.size, "max_tokens": width},
        epoch=shuffled,
        test=measured(data.test),
        validation=measured(data.validation) if validates(config) else None,
    )


def intent_task(data: IntentData, subwords: Subwords, config: TrainConfig, runtime: Runtime) -> Task:
    """Classify short texts.

    The model is called with subwords, int64 (batch, length), each text followed by END and filled up with PAD, and
    with a mask, bool (batch, length), True where there is no padding; it gives logits (batch, classes).

    Args:
        data: Texts and their classes.
        subwords: Learned from the training texts.
        config: Number of texts (``train_images``), batch sizes and seed.
        runtime: Where the batches are wanted.

    Raises:
        ValueError: There are fewer training texts than asked for.
    """
    kept = _limit(config, len(data.train_texts), data.name)
    texts = _Padded.of(_ended(subwords, data.train_texts[:kept]), runtime)
    held_out = {
        split: _Padded.of(_ended(subwords, getattr(data, f"{split}_texts")), runtime) for split in _held(config)
    }

    def batch(texts: _Padded, labels: Tensor, chosen: Tensor) -> Batch:
        tokens = texts.take(chosen)
        return Batch((tokens, tokens != PAD), labels[chosen].to(runtime.device, non_blocking=True), len(chosen))

    def shuffled(epoch: int) -> Iterator[Batch]:
        order = torch.randperm(kept, generator=epoch_generator(config.seed, epoch))
        return (batch(texts, data.train_labels, chosen) for chosen in torch.split(order, config.batch_size))

    def measured(split: str) -> Iterator[Batch]:
        labels, own = getattr(data, f"{split}_labels"), held_out[split]
        return (batch(own, labels, chosen) for chosen in buckets(own.lengths[:, None], config.eval_batch_size))

    return Task(
        name=data.name,
        unit="requests",
        count=kept,
        steps=math.ceil(kept / config.batch_size),
        sizes={
            "vocab_size": subwords.size,
            "max_tokens": max(each.longest for each in (texts, *held_out.values())),
            "num_classes": len(data.classes),
        },
        epoch=shuffled,
        test=lambda: measured("test"),
        validation=(lambda: measured("validation")) if validates(config) else None,
    )


def translation_task(data: TranslationData, subwords: Subwords, config: TrainConfig, runtime: Runtime) -> Task:
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

    Raises:
        ValueError: There are fewer training pairs than asked for.
    """
    kept = _limit(config, len(data.train_source), data.name)
    train = _Pairs.of(subwords, data.train_source[:kept], data.train_target[:kept], runtime)
    held_out = {
        split: _Pairs.of(subwords, getattr(data, f"{split}_source"), getattr(data, f"{split}_target"), runtime)
        for split in _held(config)
    }

    def shuffled(epoch: int) -> Iterator[Batch]:
        return train.batches(buckets(train.lengths, config.batch_size, epoch_generator(config.seed, epoch)))

    def measured(split: str) -> Iterator[Batch]:
        return held_out[split].batches(buckets(held_out[split].lengths, config.eval_batch_size))

    return Task(
        name=data.name,
        unit="subwords",
        count=int(train.target.lengths.sum()),
        steps=math.ceil(kept / config.batch_size),
        sizes={
            "vocab_size": subwords.size,
            "max_tokens": max(each.longest for each in (train, *held_out.values())),
        },
        epoch=shuffled,
        test=lambda: measured("test"),
        validation=(lambda: measured("validation")) if validates(config) else None,
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


def with_bleu(task: Task, data: TranslationData, subwords: Subwords, runtime: Runtime) -> Task:
    """The same task, which measures a model also by the BLEU of its own translations of the test sentences."""

    def written(model: Any) -> list[str]:
        def write(tokens: Tensor, mask: Tensor) -> Tensor:
            numbers, _ = model.translate(tokens, mask, start=START, end=END)
            return numbers  # type: ignore[no-any-return]

        return translations(write, data.test_source, subwords, runtime)

    return replace(
        task,
        scores=lambda model: {"bleu": bleu(written(model), data.test_target).score},
        items=lambda model: {"bleu": bleu_counts(written(model), data.test_target)},
    )


def _check_width(width: int, kept: int, data: CharacterData, config: TrainConfig) -> None:
    """Refuse windows that a text is too short for: it needs two to learn from, and one character more than one else."""
    held_out = {split: len(getattr(data, split)) for split in _held(config)}
    most = min(kept // 2, *(length - 1 for length in held_out.values()))
    if width > most:
        lengths = f"{kept} characters to learn from" + "".join(
            f", {n} of the {name} split" for name, n in held_out.items()
        )
        shorter = f", or windows of at most {most} (--max-tokens {most})" if most > 0 else ""
        raise ValueError(f"max_tokens is {width}, but {data.name} has {lengths}: give a longer text{shorter}")


def validates(config: TrainConfig) -> bool:
    """Whether a run on texts measures the validation split after each epoch."""
    return config.keep_best or is_own(config.data)


def _held(config: TrainConfig) -> tuple[str, ...]:
    return ("test", "validation") if validates(config) else ("test",)


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
