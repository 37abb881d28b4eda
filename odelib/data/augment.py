"""Light augmentation of image batches, on the device on which the images are."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float32, Int64, Num, UInt8
from torch import Tensor


@dataclass(frozen=True, eq=False)
class Rows:
    """Some rows of a batch. They are varied as they would be in the whole batch, and so is the generator advanced."""

    chosen: Int64[Tensor, " rows"]
    """Which rows, on the CPU."""
    of: int
    """Rows of the whole batch."""


def augment(
    images: Num[Tensor, "batch channels height width"],
    *,
    shift: int,
    flip: bool,
    generator: torch.Generator,
    rows: Rows | None = None,
) -> Num[Tensor, "batch channels height width"]:
    """Translate each image by up to ``shift`` pixels along each axis and, perhaps, mirror it.

    Each image has its own draw: two offsets, uniform on -shift to shift, and a fair coin for the mirror image
    (left and right exchanged before the translation). What enters at the border is zero. The draws are made
    on the CPU, so results do not depend on the device and nothing is read back from it. As many numbers are
    drawn whatever ``shift`` and ``flip`` are, so switching ``flip`` leaves the offsets as they were.

    Args:
        images: Any dtype; it is kept.
        shift: Largest translation in pixels, 0 for none.
        flip: Whether to mirror about half of the images.
        generator: A CPU generator; it advances.
        rows: Which rows of a batch the images are. None: all.

    Raises:
        ValueError: ``shift`` is negative or ``generator`` is not on the CPU.
    """
    if shift < 0:
        raise ValueError(f"shift must be 0 or a positive number of pixels, got {shift}")
    if generator.device.type != "cpu":
        raise ValueError(f"generator must be a CPU generator, got one on {generator.device}")
    device = images.device
    drawn = len(images) if rows is None else rows.of
    offsets = torch.randint(-shift, shift + 1, (2, drawn, 1), generator=generator)
    mirrored = torch.rand(drawn, 1, generator=generator) < 0.5
    if rows is not None:
        offsets, mirrored = offsets[:, rows.chosen], mirrored[rows.chosen]
    at = torch.from_numpy(np.flatnonzero(mirrored.numpy())) if flip else torch.empty(0, dtype=torch.int64)
    which = torch.arange(len(images)).index_copy(0, at, len(images) + torch.arange(len(at)))
    # A translation is a window of the image within a border of zeros. What begins in memory with the window's first
    # pixel, and is as long as an image with its border, has the window in its upper left corner: so one piece of
    # memory is copied for each image, and not one for each line.
    count, (channels, height, width) = len(images) + len(at), images.shape[1:]
    size = channels, height + 2 * shift, width + 2 * shift
    length = math.prod(size)
    memory = images.new_zeros(count * length + 2 * shift * (size[2] + 1))
    inner = memory[: count * length].view(count, *size)[..., shift : shift + height, shift : shift + width]
    inner[: len(images)] = images
    inner[len(images) :] = images.index_select(0, at.to(device)).flip(-1)
    places = shift - offsets[:, :, 0]
    begins = which * length + places[0] * size[2] + places[1]
    pieces = memory.unfold(0, length, 1).index_select(0, begins.to(device)).view(-1, *size)
    return pieces[..., :height, :width].contiguous()


def normalise(
    images: UInt8[Tensor, "batch channels height width"], mean: Sequence[float], std: Sequence[float]
) -> Float32[Tensor, "batch channels height width"]:
    """Scale pixels from 0..255 to [0, 1], subtract the mean and divide by the standard deviation.

    Args:
        images: Raw pixels.
        mean: Mean of each channel, in units of the scaled pixels (``ImageData.mean``).
        std: Standard deviation of each channel, likewise (``ImageData.std``).

    Raises:
        ValueError: There is not one mean and one positive standard deviation for each channel.
    """
    channels = images.shape[1]
    if not len(mean) == len(std) == channels:
        raise ValueError(
            f"mean and std must have one value for each of the {channels} channel(s) of the images, "
            f"got {len(mean)} and {len(std)}"
        )
    if not all(value > 0 for value in std):
        raise ValueError(f"std must be positive, got {tuple(std)}: a constant channel cannot be normalised")
    centre = torch.tensor(mean, dtype=torch.float32, device=images.device)[:, None, None]
    scale = torch.tensor(std, dtype=torch.float32, device=images.device)[:, None, None]
    return images.to(torch.float32).div_(255).sub_(centre).div_(scale)
