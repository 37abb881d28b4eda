"""Weights from and to timm's vision transformers."""

import math
from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor

from odelib.models.config import ViTConfig
from odelib.models.convert.rename import rename, reverse

_TIMM = (
    ("patch_embed.proj.weight", "embed.patch.weight"),
    ("patch_embed.proj.bias", "embed.patch.bias"),
    ("cls_token", "embed.class_token"),
    ("pos_embed", "embed.position"),
    ("blocks.{i}.norm1", "depth.fields.{i}.attention.norm"),
    ("blocks.{i}.attn", "depth.fields.{i}.attention.sublayer"),
    ("blocks.{i}.norm2", "depth.fields.{i}.mlp.norm"),
    ("blocks.{i}.mlp", "depth.fields.{i}.mlp.sublayer"),
    ("norm", "norm"),
    ("head", "head"),
)


def from_timm(state: Mapping[str, Tensor], config: ViTConfig | None = None) -> dict[str, Tensor]:
    """Rename the state dict of a timm ``VisionTransformer`` (DeiT, ViT) to that of `odelib.models.ViT`.

    Args:
        state: The state dict; the images that it was made for are square.
        config: Of the model that is to have the weights: where its ``image_size`` is another one, the positions are
            resampled as timm does. None: they are left as they are.

    Raises:
        ValueError: A parameter has no counterpart, or the positions are not those of a square image.
    """
    renamed = rename(state, _TIMM, "a plain timm VisionTransformer")
    position = renamed.get("embed.position")
    if config is not None and position is not None:
        side, front = config.image_size // config.patch_size, int("embed.class_token" in renamed)
        renamed["embed.position"] = _resample(position, side, front)
    return renamed


def to_timm(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Rename the state dict of an `odelib.models.ViT` to that of a timm ``VisionTransformer``.

    Raises:
        ValueError: A parameter has no counterpart.
    """
    return rename(state, reverse(_TIMM), "an odelib ViT")


def _resample(position: Tensor, side: int, front: int) -> Tensor:
    """Return the positions, (1, front + patches, dim), of ``side`` x ``side`` patches, by bicubic interpolation.

    Smoothed where there are fewer than before (``antialias``), as timm's ``resample_abs_pos_embed`` does.

    Args:
        position: The positions that there are.
        side: Patches along the side of the image.
        front: Tokens before the patches, which keep their positions.
    """
    first, patches = position[:, :front], position[:, front:]
    before = math.isqrt(patches.shape[1])
    if before * before != patches.shape[1]:
        raise ValueError(
            f"{position.shape[1]} positions came for {front} class token and a square of patches: models of other than "
            "square images, and those whose class token has no position (timm's no_embed_class), are not covered"
        )
    if before == side:
        return position
    grid = patches.reshape(1, before, before, -1).permute(0, 3, 1, 2)
    grid = grid.to(torch.promote_types(grid.dtype, torch.float32))  # interpolation in half precision is coarse
    grid = F.interpolate(grid, size=(side, side), mode="bicubic", antialias=True)
    return torch.cat([first, grid.permute(0, 2, 3, 1).flatten(1, 2).to(position.dtype)], dim=1)
