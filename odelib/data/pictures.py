"""Picture files of any size and kind as pixels of one size."""

import os
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
UNREAD_ENDINGS = {
    *(".avif", ".heic", ".heif", ".jxl", ".jp2", ".j2k", ".jpx", ".jfif", ".jpe", ".apng", ".svg", ".svgz", ".eps"),
    *(".psd", ".psb", ".xcf", ".ai", ".ico", ".tga", ".pcx", ".pbm", ".pnm", ".pfm", ".exr", ".hdr", ".dds", ".dcm"),
    *(".raw", ".dng", ".cr2", ".cr3", ".nef", ".arw", ".orf", ".rw2", ".raf", ".pef", ".srw"),
}
"""How the names of picture files end that are not read."""
_SIXTEEN_BITS = ("I;16", "I;16B", "I;16L", "I;16N")
_GREY = ("1", "L", "LA", *_SIXTEEN_BITS)


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


def pictures_in(folder: Path) -> list[Path]:
    """The pictures in a folder and the folders below, and what was to be one and cannot be read.

    The latter, so that nobody misses it unawares: links that lead nowhere, and pictures in formats that are not read.
    Hidden ones of them and files of other kinds are none.
    """
    return sorted(each for each in folder.rglob("*") if _is_meant(each))


def _is_meant(path: Path) -> bool:
    ending = path.suffix.lower()
    if ending in ENDINGS and path.is_file():
        return True
    return not path.name.startswith(".") and (_is_dangling(path) or (ending in UNREAD_ENDINGS and path.is_file()))


def _is_dangling(path: Path) -> bool:
    return path.is_symlink() and not os.path.exists(path)


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
        PictureError: It cannot be read as a picture, or its pixels have more than 16 bits.
    """
    from PIL import Image, ImageOps

    with _opened(path) as opened:
        _check_mode(opened, path)
        upright = _in_eight_bits(ImageOps.exif_transpose(opened), deep=_is_deep(opened))
        picture = upright.convert("L" if channels == 1 else "RGB")
        fitted = ImageOps.fit(picture, (size, size), Image.Resampling.BILINEAR)
    pixels = np.asarray(fitted, dtype=np.uint8).reshape(size, size, channels)
    return torch.from_numpy(pixels.transpose(2, 0, 1).copy())


def measure_picture(path: Path) -> tuple[int, bool]:
    """The shorter side of a picture in pixels, and whether it is grey; the whole file is read, so damage is found.

    Raises:
        PictureError: It cannot be read as a picture, or is in a format that is not read.
    """
    # Some versions of Pillow read some of these, and the same data must be split alike on every machine.
    if path.suffix.lower() in UNREAD_ENDINGS:
        raise PictureError(path, _reason(path))
    with _opened(path) as opened:
        _check_mode(opened, path)
        opened.load()
        return min(opened.size), opened.mode in _GREY or _is_deep(opened)


def _is_deep(picture: Any) -> bool:
    # Pillow holds a PGM file of 16 bits, and before version 11 such a PNG file, in 32, with values below 65536.
    return picture.mode in _SIXTEEN_BITS or (picture.mode == "I" and picture.format in ("PNG", "PPM"))


def _check_mode(picture: Any, path: Path) -> None:
    """Refuse pixels of which nobody knows what is white: those of 32 bits and floating-point ones."""
    if picture.mode in ("I", "F") and not _is_deep(picture):
        what = "32-bit whole numbers" if picture.mode == "I" else "floating-point numbers"
        raise PictureError(path, f"its mode is {picture.mode}, {what}; save it with 8 or 16 bits per pixel")


def _in_eight_bits(picture: Any, *, deep: bool) -> Any:
    """The upper eight of 16 bits, as Pillow itself reads colours of 16; its conversion of grey would clip at 255."""
    from PIL import Image

    return Image.fromarray((np.asarray(picture) >> 8).astype(np.uint8)) if deep else picture


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    from PIL import Image

    try:
        with Image.open(path) as opened:
            yield opened
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise PictureError(path, _reason(path, error)) from error


def _reason(path: Path, error: Exception | None = None) -> str:
    if _is_dangling(path):
        return f"it is a link to {os.readlink(path)}, which is not there"
    said = getattr(error, "strerror", None)
    if said is None and path.suffix.lower() in UNREAD_ENDINGS:
        return f"pictures in {path.suffix.lower()} are not read; save it as .png or .jpg"
    return said or "it is damaged or no picture"
