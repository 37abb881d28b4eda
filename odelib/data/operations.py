"""The fifteen operations of RandAugment, on batches of raw pixels, with the strengths that timm gives them (``inc1``).

Each takes pixels uint8 (batch, channels, height, width), a level in [0, 1] for each image and a side, 1 or -1. The
numbers are those of Pillow's operations on 8 bits, to rounding.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum, auto
from types import MappingProxyType

import torch
from jaxtyping import Float32, UInt8
from torch import Tensor
from torch.nn import functional as F

Pixels = UInt8[Tensor, "batch channels height width"]
Levels = Float32[Tensor, " batch"]

LEVELS = 10.0
"""The largest magnitude; a level is a magnitude in units of it."""


class Operation(Enum):
    """How an operation works."""

    WARP = auto()
    """By an affine map of places, float (batch, 2, 3), as `warp` takes it."""
    TABLE = auto()
    """By a table of 256 new values for each channel."""
    BLEND = auto()
    """By moving away from, or towards, a poorer picture."""


@dataclass(frozen=True)
class _Known:
    kind: Operation
    of: Callable[..., Tensor]

    def apply(self, images: Pixels, level: Levels, side: Levels) -> Pixels:
        """Apply a table or a blend."""
        device = images.device
        if self.kind is Operation.TABLE:
            table = self.of(images, level.to(device)[:, None, None]).round_().clamp_(0, 255).to(torch.uint8)
            table = table.expand(*images.shape[:2], 256)
            return table.gather(2, images.flatten(2).long()).view_as(images)
        # The factor 1 changes nothing; below it lies the poorer picture, at 0, and beyond it its opposite.
        factor = (1.0 + 0.9 * level * side).clamp(min=0.1).to(device)[:, None, None, None]
        pixels = images.float()
        return torch.lerp(self.of(pixels), pixels, factor).round_().clamp_(0, 255).to(torch.uint8)


def warp(images: Pixels, maps: Float32[Tensor, "batch 2 3"], fill: Float32[Tensor, "channels 1 1"]) -> Pixels:
    """Show each image through an affine map; what enters at the border is ``fill``.

    Args:
        images: Raw pixels.
        maps: Where a pixel of the result comes from, in pixels from the upper left corner: (x, y, 1) -> (x', y').
        fill: A colour.
    """
    height, width = images.shape[-2:]
    # grid_sample counts places from -1 to 1.
    scale = torch.tensor([2.0 / width, 2.0 / height])[:, None]
    back = torch.tensor([[width / 2, 0.0, width / 2], [0.0, height / 2, height / 2], [0.0, 0.0, 1.0]])
    theta = scale * (maps @ back) - torch.tensor([[0.0, 0.0, 1.0], [0.0, 0.0, 1.0]])
    grid = F.affine_grid(theta.to(images.device), list(images.shape), align_corners=False)
    shown = F.grid_sample(images.float().sub_(fill), grid, mode="bilinear", padding_mode="zeros", align_corners=False)
    return shown.add_(fill).round_().clamp_(0, 255).to(torch.uint8)


def _rotate(signed: Tensor, height: int, width: int) -> Tensor:
    angle = torch.deg2rad(30.0 * signed)
    cos, sin, cx, cy = angle.cos(), angle.sin(), width / 2, height / 2
    return torch.stack([cos, -sin, cx - cos * cx + sin * cy, sin, cos, cy - sin * cx - cos * cy], dim=1).view(-1, 2, 3)


def _moved(row: int, column: int, strength: float, side: int | None = None) -> Callable[[Tensor, int, int], Tensor]:
    def of(signed: Tensor, height: int, width: int) -> Tensor:
        maps = torch.eye(2, 3).repeat(len(signed), 1, 1)
        maps[:, row, column] = maps[:, row, column] + strength * signed * (1 if side is None else (height, width)[side])
        return maps

    return of


# Tables: float (batch, channels or 1, 256).


def _steps(images: Tensor) -> Tensor:
    return torch.arange(256, dtype=torch.float32, device=images.device)


def _auto_contrast(images: Tensor, level: Tensor) -> Tensor:
    flat = images.flatten(2)
    low, high = flat.amin(2, keepdim=True).double(), flat.amax(2, keepdim=True).double()
    scale = torch.full_like(low, 255.0) / (high - low).clamp(min=1.0)  # 255.0 / x would be 255.0 * (1 / x)
    stretched = (_steps(images) * scale - low * scale).floor().float()  # as Pillow, which cuts off
    return torch.where(high > low, stretched, _steps(images))


def _equalize(images: Tensor, level: Tensor) -> Tensor:
    batch, channels = images.shape[:2]
    flat = images.flatten(2).long()
    counts = torch.zeros(batch, channels, 256, dtype=torch.int64, device=images.device)
    counts.scatter_add_(2, flat, torch.ones_like(flat))
    last = counts.gather(2, flat.amax(2, keepdim=True))
    step = (flat.shape[2] - last) // 255
    before = counts.cumsum(2) - counts
    table = ((step // 2 + before) // step.clamp(min=1)).float()
    return torch.where(step > 0, table, _steps(images))


def _invert(images: Tensor, level: Tensor) -> Tensor:
    return 255.0 - _steps(images).expand(len(images), 1, 256)


def _posterize(images: Tensor, level: Tensor) -> Tensor:
    kept = 4.0 - (4.0 * level).floor()  # bits
    width = torch.exp2(8.0 - kept)
    return (_steps(images) / width).floor() * width


def _solarize(images: Tensor, level: Tensor) -> Tensor:
    steps = _steps(images)
    return torch.where(steps < 256.0 - (256.0 * level).floor(), steps, 255.0 - steps)


def _solarize_add(images: Tensor, level: Tensor) -> Tensor:
    steps = _steps(images)
    return torch.where(steps < 128.0, (steps + (110.0 * level).floor().clamp(max=128.0)).clamp(max=255.0), steps)


# The poorer pictures that a blend moves from: float, of the images' shape or one that stretches to it.


def _grey(pixels: Tensor) -> Tensor:
    if pixels.shape[1] == 1:
        return pixels
    weights = torch.tensor([0.299, 0.587, 0.114]).to(pixels.device)
    return (pixels * weights[:, None, None]).sum(1, keepdim=True).round_()


def _flat(pixels: Tensor) -> Tensor:
    return (_grey(pixels).mean(dim=(1, 2, 3), keepdim=True) + 0.5).floor()


def _smooth(pixels: Tensor) -> Tensor:
    around = 9.0 * F.avg_pool2d(pixels, 3, stride=1)
    poorer = pixels.clone()
    poorer[..., 1:-1, 1:-1] = (around + 4.0 * pixels[..., 1:-1, 1:-1]) / 13.0
    return poorer.round_()


OPERATIONS: Mapping[str, _Known] = MappingProxyType(
    {
        "auto contrast": _Known(Operation.TABLE, _auto_contrast),
        "equalize": _Known(Operation.TABLE, _equalize),
        "invert": _Known(Operation.TABLE, _invert),
        "rotate": _Known(Operation.WARP, _rotate),
        "posterize": _Known(Operation.TABLE, _posterize),
        "solarize": _Known(Operation.TABLE, _solarize),
        "solarize add": _Known(Operation.TABLE, _solarize_add),
        "colour": _Known(Operation.BLEND, _grey),
        "contrast": _Known(Operation.BLEND, _flat),
        "brightness": _Known(Operation.BLEND, torch.zeros_like),
        "sharpness": _Known(Operation.BLEND, _smooth),
        "shear x": _Known(Operation.WARP, _moved(0, 1, 0.3)),
        "shear y": _Known(Operation.WARP, _moved(1, 0, 0.3)),
        "translate x": _Known(Operation.WARP, _moved(0, 2, 0.45, side=1)),
        "translate y": _Known(Operation.WARP, _moved(1, 2, 0.45, side=0)),
    }
)
"""The operations by name, in timm's order."""
