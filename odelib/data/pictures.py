"""Picture files of any size and kind as pixels of one size."""

from pathlib import Path

import numpy as np
import torch
from jaxtyping import UInt8
from torch import Tensor

from odelib.data.sets import DataError

ENDINGS = {".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm", ".pgm"}
"""How the names of picture files end."""


def read_picture(path: Path, size: int, channels: int) -> UInt8[Tensor, "channels size size"]:
    """Read a picture: its shorter side is brought to ``size`` pixels, and what the longer one has more is cut off.

    Args:
        path: The file.
        size: Pixels of each side.
        channels: 1 for grey, 3 for colours; transparency is laid on black.

    Raises:
        DataError: It cannot be read as a picture.
    """
    from PIL import Image, ImageOps

    try:
        with Image.open(path) as opened:
            picture = ImageOps.exif_transpose(opened).convert("L" if channels == 1 else "RGB")
        fitted = ImageOps.fit(picture, (size, size), Image.Resampling.BILINEAR)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        reason = getattr(error, "strerror", None) or "it is damaged or no picture"
        raise DataError(f"the picture {path} cannot be read ({reason}): replace it, or remove it") from error
    pixels = np.asarray(fitted, dtype=np.uint8).reshape(size, size, channels)
    return torch.from_numpy(pixels.transpose(2, 0, 1).copy())


def measure_picture(path: Path) -> tuple[int, bool]:
    """The shorter side of a picture in pixels, and whether it is grey; the whole file is read, so damage is found.

    Raises:
        DataError: It cannot be read as a picture.
    """
    from PIL import Image

    try:
        with Image.open(path) as opened:
            opened.load()
            return min(opened.size), opened.mode in ("1", "L", "LA", "I;16")
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        reason = getattr(error, "strerror", None) or "it is damaged or no picture"
        raise DataError(f"the picture {path} cannot be read ({reason})") from error
