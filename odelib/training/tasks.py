"""What a run learns, as a value: batches to learn from and batches to be measured on.

Classifying images or requests, continuing a text and translating are one problem to the loop: at some places of a
batch the model gives logits, and one class is wanted there. So loss and accuracy are the same for all of them, and
a task is nothing but its batches.
"""

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Int64, Num
from torch import Tensor, nn

from odelib.data import ImageData, Rows, augment, erase, mix, normalise, rand_augment
from odelib.training.config import TrainConfig
from odelib.training.processes import Part as Part  # what a batch is cut into
from odelib.training.processes import Processes
from odelib.training.runtime import Runtime

IGNORED = -100
"""The target at a place where no class is wanted, such as padding."""


@dataclass(frozen=True, eq=False)
class Batch:
    """One batch, on the device of the run."""

    inputs: tuple[Tensor, ...]
    """What the model is called with."""
    targets: Tensor
    """Class wanted at each place for which the model gives logits: int64, of their shape without the last axis; or
    the probability wanted of each class there, floating point, of their whole shape."""
    count: int
    """Targets of the whole batch that are not IGNORED; known without reading the device."""
    whole: int | None = None
    """Rows of the batch, where inputs and targets are but this process's rows of it; None: they are all."""

    def pieces(self, processes: Processes, number: int = 1) -> list[tuple[tuple[Tensor, ...], Tensor, Part]]:
        """What this process computes, in at most ``number`` nearly equal pieces: inputs, targets, and which rows."""
        parts = processes.parts(len(self.targets) if self.whole is None else self.whole, number)
        tensors = (*self.inputs, self.targets)
        if self.whole is None:
            cut = [[tensor[part.first : part.last] for part in parts] for tensor in tensors]
        else:
            cut = [list(torch.split(tensor, [part.last - part.first for part in parts])) for tensor in tensors]
        return [(tuple(piece[:-1]), piece[-1], part) for *piece, part in zip(*cut, parts, strict=True)]


@dataclass(frozen=True)
class Task:
    """Batches, and what to know about them."""

    name: str
    """The data set."""
    unit: str
    """What is counted: images, characters, ..."""
    count: int
    """How many of them an epoch shows."""
    steps: int
    """Batches per epoch."""
    sizes: Mapping[str, int]
    """What the model must offer, such as ``num_classes``, ``vocab_size`` and ``max_tokens``."""
    epoch: Callable[[int], Iterator[Batch]]
    """The training batches of an epoch, counted from 0; a function of the seed and the epoch alone. Each process
    makes the same ones, whole or its rows of them."""
    test: Callable[[], Iterator[Batch]]
    """The batches to measure on; the same each time."""
    validation: Callable[[], Iterator[Batch]] | None = None
    """Likewise those to choose an epoch by; None where the run has no use for them."""
    scores: Callable[[nn.Module], dict[str, float]] = lambda model: {}
    """What is measured of a trained model besides loss and accuracy, by name."""
    items: Callable[[nn.Module], dict[str, np.ndarray]] = lambda model: {}
    """What these scores are computed from, one row for each thing that is measured."""


def loss_of(
    logits: Float[Tensor, "... classes"],
    targets: Num[Tensor, "..."],
    *,
    label_smoothing: float = 0.0,
    reduction: str = "mean",
) -> Float[Tensor, ""]:
    """Cross-entropy in nats over all places where a class is wanted, computed in float32.

    The targets are those of a ``Batch``: classes, or the probability of each class.
    """
    flat = logits.float().flatten(0, -2)
    if targets.is_floating_point():
        return F.cross_entropy(flat, targets.flatten(0, -2), label_smoothing=label_smoothing, reduction=reduction)
    return F.cross_entropy(
        flat, targets.flatten(), ignore_index=IGNORED, label_smoothing=label_smoothing, reduction=reduction
    )


def hits_of(logits: Float[Tensor, "... classes"], targets: Num[Tensor, "..."]) -> Int64[Tensor, ""]:
    """Number of places where the largest logit is that of the wanted class, or of the most probable one wanted."""
    if targets.is_floating_point():
        targets = targets.argmax(dim=-1)
    return (logits.argmax(dim=-1) == targets).sum()


def epoch_generator(seed: int, epoch: int) -> torch.Generator:
    """A CPU generator whose stream depends on the seed and the epoch (counted from 0), and on nothing else."""
    mixed = np.random.SeedSequence([seed, epoch]).generate_state(1, np.uint64)[0]
    return torch.Generator().manual_seed(int(mixed))


class TrainingSet:
    """The training images of a run, moved to the device once, cut into shuffled, augmented batches there.

    Args:
        data: The image set.
        config: Number of images, batch size, augmentation and seed.
        runtime: Where the batches are wanted.
    """

    def __init__(self, data: ImageData, config: TrainConfig, runtime: Runtime) -> None:
        count = len(data.train_images) if config.train_images is None else config.train_images
        if count > len(data.train_images):
            raise ValueError(
                f"train_images is {count}, but {data.name} has {len(data.train_images)}: ask for at most so many"
            )
        self.data = data
        self.config = config
        self.device, self.processes = runtime.device, runtime.processes
        self.images = runtime.hold(data.train_images[:count])
        self.labels = data.train_labels[:count].to(self.images.device)

    @property
    def steps(self) -> int:
        """Batches per epoch; the last one may be smaller."""
        return math.ceil(len(self.images) / self.config.batch_size)

    @property
    def sizes(self) -> list[int]:
        """Images in each batch of an epoch."""
        size = self.config.batch_size
        return [min(size, len(self.images) - first) for first in range(0, len(self.images), size)]

    def epoch(self, epoch: int) -> Iterator[tuple[Tensor, Tensor]]:
        """The batches of an epoch, counted from 0; of each, the rows that this process computes.

        Yields:
            Normalised images, float32 (batch, channels, height, width), and labels, int64 (batch,); where images are
            mixed, the probabilities of the classes instead, float32 (batch, classes).
        """
        generator = epoch_generator(self.config.seed, epoch)
        order = torch.randperm(len(self.images), generator=generator)
        for chosen in torch.split(order, self.config.batch_size):
            if self.processes.world_size == 1:
                yield self._batch(chosen, generator, None)
                continue
            mine = self.processes.rows(len(chosen), self.config.accumulate)
            # An image is mixed with the one before it, so these are needed too.
            needed = torch.unique(torch.cat((mine, (mine - 1) % len(chosen)))) if self._mixes else mine
            images, labels = self._batch(chosen[needed], generator, Rows(needed, len(chosen)))
            kept = torch.searchsorted(needed, mine).to(images.device)
            yield images[kept], labels[kept]

    @property
    def _mixes(self) -> bool:
        return bool(self.config.mixup or self.config.cutmix)

    def _batch(self, chosen: Tensor, generator: torch.Generator, rows: Rows | None) -> tuple[Tensor, Tensor]:
        config = self.config
        chosen = chosen.to(self.images.device)
        images = self.images.index_select(0, chosen).to(self.device, non_blocking=True)  # faster than by brackets
        labels = self.labels[chosen].to(self.device, non_blocking=True)
        images = augment(images, shift=config.shift, flip=config.flip, generator=generator, rows=rows)
        # What is switched off draws nothing, so that the plain recipe sees the same images for ever.
        if config.rand_augment:
            images = rand_augment(images, config.rand_augment, generator=generator, rows=rows, fill=self.data.mean)
        images = normalise(images, self.data.mean, self.data.std)
        if config.erasing:
            images = erase(images, config.erasing, generator=generator, rows=rows)
        if self._mixes:
            classes = len(self.data.classes)
            images, labels = mix(images, labels, classes, mixup=config.mixup, cutmix=config.cutmix, generator=generator)
        return images, labels


def image_task(data: ImageData, config: TrainConfig, runtime: Runtime) -> Task:
    """Classify images: shuffled and augmented for training, as they are for measuring.

    The model is called with normalised images, float32 (batch, channels, height, width), and gives logits
    (batch, classes).

    Args:
        data: The image set.
        config: Number of images, batch sizes, augmentation and seed.
        runtime: Where the batches are wanted.

    Raises:
        ValueError: There are fewer training images than asked for.
    """
    training = TrainingSet(data, config, runtime)

    def shown(epoch: int) -> Iterator[Batch]:
        for size, (images, labels) in zip(training.sizes, training.epoch(epoch), strict=True):
            yield Batch((images,), labels, size, whole=size)

    def measured(images: Tensor, labels: Tensor) -> Callable[[], Iterator[Batch]]:
        return lambda: _batches(images, labels, data, config.eval_batch_size, runtime)

    return Task(
        name=data.name,
        unit="images",
        count=len(training.images),
        steps=training.steps,
        sizes=image_sizes(data),
        epoch=shown,
        test=measured(data.test_images, data.test_labels),
        validation=(
            None
            if data.validation_images is None or data.validation_labels is None
            else measured(data.validation_images, data.validation_labels)
        ),
    )


def image_sizes(data: ImageData) -> dict[str, int]:
    """What a model of these images must offer: ``image_size``, ``in_channels`` and ``num_classes``."""
    _, channels, height, _ = data.train_images.shape
    return {"image_size": height, "in_channels": channels, "num_classes": len(data.classes)}


def test_images(data: ImageData, batch_size: int, runtime: Runtime) -> Iterator[Batch]:
    """Yield the normalised test images and their labels in batches of at most ``batch_size``."""
    return _batches(data.test_images, data.test_labels, data, batch_size, runtime)


def _batches(images: Tensor, labels: Tensor, data: ImageData, batch_size: int, runtime: Runtime) -> Iterator[Batch]:
    images, labels = runtime.hold(images), labels.to(runtime.device)
    for x, target in zip(torch.split(images, batch_size), torch.split(labels, batch_size), strict=True):
        yield Batch((normalise(x.to(runtime.device), data.mean, data.std),), target, len(target))
