"""The fifteen operations of RandAugment, on batches of raw pixels, with the strengths that timm gives them (``inc1``).

The numbers are those of Pillow's operations on 8 bits, to rounding. Six put a new value for each old one; four move a
picture away from a poorer one, or towards it; five move its pixels. Within one of the latter two kinds images differ in
no more than the poorer picture or the map of places, and go the rest of the way together.
"""

import math
from collections.abc import Callable, Mapping
from types import MappingProxyType

import torch
from jaxtyping import Float32, Int64, UInt8
from torch import Tensor
from torch.nn import functional as F

Pixels = UInt8[Tensor, "batch channels height width"]
Levels = Float32[Tensor, " batch"]

LEVELS = 10.0
"""The largest magnitude; a level is a magnitude in units of it."""


def apply(
    images: Pixels,
    chosen: Int64[Tensor, "layers batch"],
    level: Float32[Tensor, "layers batch"],
    side: Float32[Tensor, "layers batch"],
    fill: Float32[Tensor, "channels 1 1"],
) -> Pixels:
    """Apply operations to images, in each layer one to each image, or none.

    Args:
        images: Raw pixels.
        chosen: The place of the operation in ``OPERATIONS``; -1: none. On the CPU, as the next two.
        level: How strong it is, in [0, 1].
        side: 1 or -1: in which direction, where it has two.
        fill: The colour of what enters at the border, from 0 to 255.
    """
    signed, now = level * side, torch.arange(len(images))
    for layer in range(len(chosen)):
        order = chosen[layer].argsort(stable=True)  # images of one operation side by side, so that a part is a slice
        images, now = images.index_select(0, order.to(images.device)), now[order]
        chosen, level, signed = chosen[:, order], level[:, order], signed[:, order]
        first, *sizes = torch.bincount(chosen[layer] + 1, minlength=1 + len(OPERATIONS)).tolist()
        for change, known in ((_recolour, RECOLOURED), (_blend, POORER), (_move, MOVES)):
            own, sizes = sizes[: len(known)], sizes[len(known) :]
            part = slice(first, first := first + sum(own))
            images[part] = change(images[part], level[layer, part], signed[layer, part], own, fill)
    return images.index_select(0, now.argsort().to(images.device))


def _recolour(images: Tensor, level: Tensor, signed: Tensor, sizes: list[int], fill: Tensor) -> Tensor:
    levels = level.to(images.device)[:, None, None, None]
    parts = zip(RECOLOURED.values(), torch.split(images, sizes), torch.split(levels, sizes), strict=True)
    return torch.cat([of(*part) for of, *part in parts])


def _blend(images: Tensor, level: Tensor, signed: Tensor, sizes: list[int], fill: Tensor) -> Tensor:
    pixels = images.float()
    parts = zip(POORER.values(), torch.split(pixels, sizes), strict=True)
    poorer = torch.cat([of(own).expand_as(own) for of, own in parts])
    # The factor 1 changes nothing; below it lies the poorer picture, at 0, and beyond it its opposite.
    factor = (1.0 + 0.9 * signed).clamp(min=0.1).to(images.device)[:, None, None, None]
    return _pixels(torch.lerp(poorer, pixels, factor))


def _move(images: Tensor, level: Tensor, signed: Tensor, sizes: list[int], fill: Tensor) -> Tensor:
    height, width = images.shape[-2:]
    strength = torch.tensor([math.radians(30.0), 0.3, 0.3, 0.45 * width, 0.45 * height])
    which = torch.arange(len(MOVES)).repeat_interleave(torch.tensor(sizes))
    angle, *shear, right, down = (F.one_hot(which, len(MOVES)) * (strength[which] * signed)[:, None]).unbind(1)
    cos, sin, x, y = angle.cos(), angle.sin(), width / 2, height / 2
    across = cos, shear[0] - sin, x - cos * x + sin * y + right
    along = sin + shear[1], cos, y - sin * x - cos * y + down
    return warp(images, torch.stack([*across, *along], dim=1).view(-1, 2, 3), fill)


def _pixels(values: Tensor) -> Tensor:
    """Round numbers to pixels; they are overwritten."""
    return values.round_().clamp_(0, 255).to(torch.uint8)


def warp(images: Pixels, maps: Float32[Tensor, "batch 2 3"], fill: Float32[Tensor, "channels 1 1"]) -> Pixels:
    """Show each image through an affine map; what enters at the border is ``fill``.

    Args:
        images: Raw pixels.
        maps: Where a pixel of the result comes from, in pixels from the upper left corner: (x, y, 1) -> (x', y').
        fill: A colour.
    """
    height, width = images.shape[-2:]
    # grid_sample counts places from -1 to 1.
    maps = maps * torch.tensor([2.0 / width, 2.0 / height])[:, None] - torch.tensor([0.0, 0.0, 1.0])
    across, down, shift = maps.to(images.device)[..., None, None].unbind(2)
    columns, lines = (torch.arange(n, dtype=torch.float32, device=images.device) + 0.5 for n in (width, height))
    grid = across * columns + (down * lines[:, None] + shift)  # (batch, 2, height, width)
    moved = F.grid_sample(images.float().sub_(fill), grid.permute(0, 2, 3, 1), align_corners=False)
    return _pixels(moved.add_(fill))


# Other colours: pixels by the pixels and the levels, float (batch, 1, 1, 1).


def _auto_contrast(images: Tensor, level: Tensor) -> Tensor:
    flat = images.flatten(2)
    low, high = flat.amin(2, keepdim=True).double(), flat.amax(2, keepdim=True).double()
    scale = torch.full_like(low, 255.0) / (high - low).clamp(min=1.0)  # 255.0 / x would be 255.0 * (1 / x)
    values = torch.arange(256, dtype=torch.float64, device=images.device)
    table = (values * scale - low * scale).floor()  # as Pillow, which cuts off
    return _look_up(torch.where(high > low, table, values), flat.long()).view_as(images)


def _equalize(images: Tensor, level: Tensor) -> Tensor:
    flat = images.flatten(2).long()
    counts = torch.zeros(*flat.shape[:2], 256, device=images.device)  # in float32, which divides faster
    counts.scatter_add_(2, flat, torch.ones(1, device=images.device).expand_as(flat))
    last = counts.gather(2, flat.amax(2, keepdim=True))
    step = ((flat.shape[2] - last) / 255).floor_()
    table = ((step / 2).floor_() + counts.cumsum(2) - counts).div_(step.clamp(min=1)).floor_()
    return _look_up(torch.where(step > 0, table, torch.arange(256.0, device=images.device)), flat).view_as(images)


def _look_up(table: Tensor, places: Tensor) -> Tensor:
    return table.clamp_(0, 255).to(torch.uint8).gather(2, places)


def _invert(images: Tensor, level: Tensor) -> Tensor:
    return 255 - images


def _posterize(images: Tensor, level: Tensor) -> Tensor:
    kept = 4.0 - (4.0 * level).floor()  # bits
    return images & (256.0 - torch.exp2(8.0 - kept)).to(torch.uint8)


def _solarize(images: Tensor, level: Tensor) -> Tensor:
    return torch.where(images < 256.0 - (256.0 * level).floor(), images, 255 - images)


def _solarize_add(images: Tensor, level: Tensor) -> Tensor:
    more = (110.0 * level).floor().to(torch.uint8)
    return torch.where(images < 128, images + more, images)


# Poorer pictures: float, of the images' shape or one that stretches to it.


def _grey(pixels: Tensor) -> Tensor:
    if pixels.shape[1] == 1:
        return pixels
    weights = torch.tensor([0.299, 0.587, 0.114]).to(pixels.device)
    return (pixels * weights[:, None, None]).sum(1, keepdim=True).round_()


def _flat(pixels: Tensor) -> Tensor:
    return (_grey(pixels).mean(dim=(1, 2, 3), keepdim=True) + 0.5).floor()


def _smooth(pixels: Tensor) -> Tensor:
    lines = pixels[..., :-2, :] + pixels[..., 1:-1, :] + pixels[..., 2:, :]
    around = lines[..., :-2] + lines[..., 1:-1] + lines[..., 2:]  # a pooling takes far longer
    poorer = pixels.clone()
    poorer[..., 1:-1, 1:-1] = (around + 4.0 * pixels[..., 1:-1, 1:-1]) / 13.0
    return poorer.round_()


RECOLOURED: Mapping[str, Callable[[Tensor, Tensor], Tensor]] = MappingProxyType(
    {
        "auto contrast": _auto_contrast,
        "equalize": _equalize,
        "invert": _invert,
        "posterize": _posterize,
        "solarize": _solarize,
        "solarize add": _solarize_add,
    }
)
POORER: Mapping[str, Callable[[Tensor], Tensor]] = MappingProxyType(
    {"colour": _grey, "contrast": _flat, "brightness": torch.zeros_like, "sharpness": _smooth}
)
MOVES = ("rotate", "shear x", "shear y", "translate x", "translate y")
OPERATIONS = (*RECOLOURED, *POORER, *MOVES)
"""The names of all operations."""
