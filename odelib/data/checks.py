"""What data must be that a caller has made: one sentence each, as they are made and so before a run has a folder."""

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor


def check_images(name: str, images: Any, like: tuple[int, ...] | None = None) -> tuple[int, ...]:
    """Refuse images that are not raw pixels, (images, channels, height, width), of one square size.

    Args:
        name: What they are called.
        images: What came.
        like: Channels, height and width of the training images; None: these are they.

    Returns:
        Channels, height and width.
    """
    _check_tensor(name, images, torch.uint8, "raw pixels from 0 to 255")
    shape = tuple(images.shape)
    if len(shape) != 4:
        raise ValueError(
            f"{name} have the shape {shape}, expected (images, channels, height, width): grey images have one channel, "
            "which images[:, None] adds"
        )
    if like is None and shape[2] != shape[3]:
        raise ValueError(f"{name} have {shape[2]} x {shape[3]} pixels, expected squares: crop them or fill them up")
    if like is not None and shape[1:] != like:
        raise ValueError(
            f"{name} have {_size(shape[1:])}, expected those of train_images, {_size(like)}: bring all to one size"
        )
    return shape[1:]


def check_labels(name: str, labels: Any, count: int, classes: Sequence[str], what: str) -> None:
    """Refuse labels that are not one place in the classes, int64, for each of ``count`` items; ``what`` names these."""
    _check_tensor(name, labels, torch.int64, "places in the classes")
    if labels.ndim != 1:
        raise ValueError(f"{name} have the shape {tuple(labels.shape)}, expected ({count},): one label for each item")
    if not count == len(labels) > 0:
        raise ValueError(
            f"{name} are {len(labels)} labels for {count} {what}: give one label for each, and at least one"
        )
    least, most = int(labels.min()), int(labels.max())
    if not 0 <= least <= most < len(classes):
        raise ValueError(
            f"{name} are from {least} to {most}, expected 0 to {len(classes) - 1}, places in the {len(classes)} classes"
        )


def check_classes(classes: Any) -> None:
    """Refuse names of classes that are not texts or not distinct."""
    if not isinstance(classes, tuple | list) or not all(isinstance(each, str) for each in classes):
        raise ValueError(f"classes is {classes!r}, expected a tuple of names, such as ('cat', 'dog')")
    twice = [each for place, each in enumerate(classes) if each in classes[:place]]
    if twice:
        raise ValueError(f"classes has {twice[0]!r} twice: give each class a name of its own")


def check_statistics(name: str, values: Any, channels: int, *, positive: bool) -> None:
    """Refuse a mean or a standard deviation that is not one finite number for each channel."""
    listed = values if isinstance(values, tuple | list) else ()
    sound = [isinstance(each, int | float) and math.isfinite(each) and (each > 0 or not positive) for each in listed]
    if len(sound) != channels or not all(sound):
        raise ValueError(
            f"{name} is {values}, expected {channels} finite{' positive' if positive else ''} number(s), one for each "
            "channel: compute it from pixels between 0 and 1"
        )


def check_numbers(name: str, numbers: Any, below: int) -> None:
    """Refuse a text that is not numbers of characters, int64, (length,), all below the size of the vocabulary."""
    _check_tensor(name, numbers, torch.int64, "numbers of characters, as Characters.encode gives them")
    if numbers.ndim != 1:
        raise ValueError(f"{name} has the shape {tuple(numbers.shape)}, expected (length,): give one long text")
    if len(numbers) and not 0 <= int(numbers.min()) <= int(numbers.max()) < below:
        raise ValueError(
            f"{name} has numbers from {int(numbers.min())} to {int(numbers.max())}, expected 0 to {below - 1}, places "
            "in the vocabulary: encode the text by that"
        )


def _check_tensor(name: str, came: Any, dtype: torch.dtype, expected: str) -> None:
    if not isinstance(came, Tensor):
        raise ValueError(f"{name} came as {type(came).__name__}, expected a torch.Tensor: make one by torch.as_tensor")
    if came.dtype != dtype:
        raise ValueError(f"{name} are {came.dtype}, expected {dtype}: {expected}")


def _size(shape: tuple[int, ...]) -> str:
    return f"{shape[0]} channel(s) of {shape[1]} x {shape[2]} pixels"
