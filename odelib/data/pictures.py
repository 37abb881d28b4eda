"""Picture files of any size and kind as pixels of one size."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import UInt8
from torch import Tensor

from odelib.data.sets import DataError

ENDINGS = {".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm", ".pgm"}
"""How the names of picture files end."""


class PictureError(DataError):
    """A picture cannot be read.

    Attributes:
        path: The file.
        reason: Why.
    """

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(path, reason)
        self.path, self.reason = path, reason

    def __str__(self) -> str:
        """One sentence."""
        return f"the picture {self.path} cannot be read ({self.reason}): replace it, or remove it"


def listed(bad: Sequence[PictureError], folder: Path | None = None) -> str:
    """Which pictures cannot be read, and why: up to five of them, then how many more.

    Args:
        bad: Their errors, at least one.
        folder: One that they all are in, to name them from there; None: by their paths as they are.
    """
    paths = [each.path if folder is None else each.path.relative_to(folder) for each in bad[:5]]
    shown = ", ".join(f"{path} ({each.reason})" for path, each in zip(paths, bad, strict=False))
    return shown + (f" and {len(bad) - 5} more" if len(bad) > 5 else "")


def refusal(bad: Sequence[PictureError]) -> DataError:
    """The sentence about pictures that cannot be read, where they are not to be left out."""
    what = "picture" if len(bad) == 1 else "pictures"
    return DataError(
        f"{len(bad)} {what} cannot be read: {listed(bad)}; replace what is damaged, or leave it out (--skip-bad)"
    )


def read_picture(path: Path, size: int, channels: int) -> UInt8[Tensor, "channels size size"]:
    """Read a picture: its shorter side is brought to ``size`` pixels, and what the longer one has more is cut off.

    Args:
        path: The file.
        size: Pixels of each side.
        channels: 1 for grey, 3 for colours; transparency is laid on black.

    Raises:
        PictureError: It cannot be read as a picture.
    """
    from PIL import Image, ImageOps

    with _opened(path) as opened:
        picture = ImageOps.exif_transpose(opened).convert("L" if channels == 1 else "RGB")
        fitted = ImageOps.fit(picture, (size, size), Image.Resampling.BILINEAR)
    pixels = np.asarray(fitted, dtype=np.uint8).reshape(size, size, channels)
    return torch.from_numpy(pixels.transpose(2, 0, 1).copy())


def measure_picture(path: Path) -> tuple[int, bool]:
    """The shorter side of a picture in pixels, and whether it is grey; the whole file is read, so damage is found.

    Raises:
        PictureError: It cannot be read as a picture.
    """
    with _opened(path) as opened:
        opened.load()
        return min(opened.size), opened.mode in ("1", "L", "LA", "I;16")


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    from PIL import Image

    try:
        with Image.open(path) as opened:
            yield opened
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        reason = getattr(error, "strerror", None) or "it is damaged or no picture"
        raise PictureError(path, reason) from error
