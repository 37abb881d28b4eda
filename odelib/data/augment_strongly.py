"""Strong augmentation, as recipes for small data sets use it: RandAugment, random erasing, mixup and CutMix.

All that is random is drawn on the CPU, for a whole batch at once, and so is known without asking the device; the images
are changed there. Nothing is read back.
"""

import math

import numpy as np
import torch
from jaxtyping import Float, Int64, UInt8
from torch import Tensor
from torch.nn import functional as F

from odelib.data.augment import Rows
from odelib.data.operations import LEVELS, OPERATIONS, apply

MAGNITUDE_STD = 0.5
APPLIED = 0.5
"""Probability of each of the two operations of an image."""


def rand_augment(
    images: UInt8[Tensor, "batch channels height width"],
    magnitude: float,
    *,
    generator: torch.Generator,
    rows: Rows | None = None,
    fill: tuple[float, ...] | None = None,
) -> UInt8[Tensor, "batch channels height width"]:
    """Apply up to two random operations to each image (RandAugment, Cubuk et al. 2020, arXiv 1909.13719).

    As strong as timm's ``rand-m9-mstd0.5-inc1`` for magnitude 9, which DeiT uses: two of fifteen operations, each
    applied with probability 1/2, at a magnitude drawn from a normal distribution around the given one, between 0 and
    10.

    Args:
        images: Raw pixels, of 1 or 3 channels.
        magnitude: Strength of the operations, above 0 and up to 10.
        generator: A CPU generator; it advances by the draws of the whole batch.
        rows: Which rows of a batch the images are. None: all.
        fill: Colour of what enters at the border, in units of pixels scaled to [0, 1]; None: grey.

    Raises:
        ValueError: The magnitude is out of range.
    """
    if not 0.0 < magnitude <= LEVELS:
        raise ValueError(f"magnitude is {magnitude}, expected a number above 0 and up to {LEVELS:g}")
    batch = len(images) if rows is None else rows.of
    chosen = torch.randint(len(OPERATIONS), (2, batch), generator=generator)
    applied = torch.rand(2, batch, generator=generator) < APPLIED
    level = (magnitude + MAGNITUDE_STD * torch.randn(2, batch, generator=generator)).clamp(0.0, LEVELS) / LEVELS
    sign = 1.0 - 2.0 * (torch.rand(2, batch, generator=generator) < 0.5).float()
    if rows is not None:
        chosen, applied, level, sign = (draw[:, rows.chosen] for draw in (chosen, applied, level, sign))
    grey = [255.0 * value for value in fill or (0.5,) * images.shape[1]]
    colour = torch.tensor(grey, dtype=torch.float32).to(images.device)[:, None, None]
    return apply(images, chosen.where(applied, -1), level, sign, colour)


def erase(
    images: Float[Tensor, "batch channels height width"],
    probability: float,
    *,
    generator: torch.Generator,
    rows: Rows | None = None,
) -> Float[Tensor, "batch channels height width"]:
    """Replace a random rectangle of some of the images by noise (random erasing, Zhong et al. 2020, arXiv 1708.04896).

    The rectangle has 2 to 33 % of the image's area and an aspect ratio of 0.3 to 3.3, as in timm.

    Args:
        images: Normalised images, so that noise of mean 0 and variance 1 is like them; they are overwritten.
        probability: Share of the images that lose a rectangle.
        generator: A CPU generator; it advances by the draws of the whole batch.
        rows: Which rows of a batch the images are. None: all.
    """
    batch, (channels, height, width) = len(images) if rows is None else rows.of, images.shape[1:]
    wanted = torch.rand(batch, generator=generator) < probability
    # Ten tries for a rectangle that fits in, of which the first one counts.
    area = height * width * torch.empty(10, batch).uniform_(0.02, 1 / 3, generator=generator)
    ratio = torch.empty(10, batch).uniform_(math.log(0.3), math.log(1 / 0.3), generator=generator).exp()
    tall, wide = (area * ratio).sqrt().round(), (area / ratio).sqrt().round()
    fits = (tall < height) & (wide < width)
    first = fits.int().argmax(dim=0, keepdim=True)
    tall, wide = tall.gather(0, first)[0], wide.gather(0, first)[0]
    top, left = (
        (room * torch.rand(batch, generator=generator)).floor() for room in (height - tall + 1, width - wide + 1)
    )
    wanted &= fits.any(dim=0)
    # As many numbers as there are pixels to replace, in the order of the images.
    counts = (channels * tall * wide * wanted).long()
    noise = torch.randn(int(counts.sum()), generator=generator)
    if rows is not None:
        own = torch.split(noise, counts.tolist())
        noise = torch.cat([own[i] for i in rows.chosen.tolist()])
        wanted, tall, wide, top, left = (draw[rows.chosen] for draw in (wanted, tall, wide, top, left))
    places, device = _places(wanted), images.device
    if not len(places):
        return images
    edges = torch.stack([top, top + tall, left, left + wide])[:, places].to(device)[:, :, None]
    lines, columns = torch.arange(height, device=device), torch.arange(width, device=device)
    inside = ((lines >= edges[0]) & (lines < edges[1]))[:, None, :, None] & (
        (columns >= edges[2]) & (columns < edges[3])
    )[:, None, None, :]
    at = places.to(device)
    part = images.index_select(0, at).masked_scatter_(inside, noise.to(device, images.dtype))
    return images.index_copy_(0, at, part)


def mix(
    images: Float[Tensor, "batch channels height width"],
    labels: Int64[Tensor, " batch"],
    classes: int,
    *,
    mixup: float,
    cutmix: float,
    generator: torch.Generator,
) -> tuple[Float[Tensor, "batch channels height width"], Float[Tensor, "batch classes"]]:
    """Mix each image with another one of the batch, and their classes in the same shares.

    Mixup (Zhang et al. 2018, arXiv 1710.09412) adds up the two; CutMix (Yun et al. 2019, arXiv 1905.04899) puts a
    rectangle of the one into the other. The share is drawn from Beta(a, a), once for the batch. The other image is
    the one before, and for the first one the last.

    Args:
        images: Normalised images; they may be overwritten.
        labels: Their classes.
        classes: Number of classes.
        mixup: Parameter a of mixup; 0: no mixup.
        cutmix: Parameter a of CutMix; 0: no CutMix. Where both are positive, a fair coin decides for each batch.
        generator: A CPU generator; it advances by one draw.

    Returns:
        The mixed images, and for each the probability of each class.

    Raises:
        ValueError: Both parameters are 0.
    """
    if mixup <= 0 and cutmix <= 0:
        raise ValueError(f"mixup is {mixup} and cutmix is {cutmix}: give at least one of them as a positive number")
    draws = np.random.default_rng(int(torch.randint(2**62, (), generator=generator)))
    cut = cutmix > 0 and (mixup <= 0 or draws.random() < 0.5)
    own = float(draws.beta(cutmix, cutmix) if cut else draws.beta(mixup, mixup))
    if cut:
        height, width = images.shape[-2:]
        side = math.sqrt(1.0 - own)
        centre, half = draws.integers(0, (height, width)), (int(side * height) // 2, int(side * width) // 2)
        top, bottom = max(int(centre[0]) - half[0], 0), min(int(centre[0]) + half[0], height)
        left, right = max(int(centre[1]) - half[1], 0), min(int(centre[1]) + half[1], width)
        mixed = images
        mixed[..., top:bottom, left:right] = images[..., top:bottom, left:right].roll(1, 0)
        own = 1.0 - (bottom - top) * (right - left) / (height * width)
    else:
        mixed = images * own
        mixed[1:].add_(images[:-1], alpha=1.0 - own)
        mixed[0].add_(images[-1], alpha=1.0 - own)
    shares = F.one_hot(labels, classes).to(images.dtype)
    return mixed, torch.lerp(shares.roll(1, 0), shares, own)


def _places(wanted: Tensor) -> Int64[Tensor, " places"]:
    """Where a mask on the CPU is true."""
    return torch.from_numpy(np.flatnonzero(wanted.numpy()))
