"""Training batches as a function of (seed, epoch) alone: a resumed run sees the same images in the same order."""

import math
from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from odelib.data import ImageData, augment, erase, mix, normalise, rand_augment
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
        self.device = runtime.device
        self.images = runtime.hold(data.train_images[:count])
        self.labels = data.train_labels[:count].to(self.images.device)

    @property
    def steps(self) -> int:
        """Batches per epoch; the last one may be smaller."""
        return math.ceil(len(self.images) / self.config.batch_size)

    def epoch(self, epoch: int) -> Iterator[tuple[Tensor, Tensor]]:
        """The batches of an epoch, counted from 0.

        Yields:
            Normalised images, float32 (batch, channels, height, width), and labels, int64 (batch,); where images are
            mixed, the probabilities of the classes instead, float32 (batch, classes).
        """
        config = self.config
        generator = epoch_generator(self.config.seed, epoch)
        order = torch.randperm(len(self.images), generator=generator).to(self.images.device)
        for chosen in torch.split(order, self.config.batch_size):
            images = self.images[chosen].to(self.device, non_blocking=True)
            labels = self.labels[chosen].to(self.device, non_blocking=True)
            images = augment(images, shift=config.shift, flip=config.flip, generator=generator)
            # What is switched off draws nothing, so that the plain recipe sees the same images for ever.
            if config.rand_augment:
                images = rand_augment(images, config.rand_augment, generator=generator)
            images = normalise(images, self.data.mean, self.data.std)
            if config.erasing:
                images = erase(images, config.erasing, generator=generator)
            if config.mixup or config.cutmix:
                classes = len(self.data.classes)
                images, labels = mix(
                    images, labels, classes, mixup=config.mixup, cutmix=config.cutmix, generator=generator
                )
            yield images, labels
