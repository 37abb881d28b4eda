"""Training batches as a function of (seed, epoch) alone: a resumed run sees the same images in the same order."""

import math
from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from odelib.data import ImageData, Rows, augment, erase, mix, normalise, rand_augment
from odelib.training.config import TrainConfig
from odelib.training.runtime import Runtime


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
        images = self.images[chosen].to(self.device, non_blocking=True)
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
