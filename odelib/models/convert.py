"""Weights from and to timm's vision transformers: the same tensors under other names."""

import re
from collections.abc import Mapping

from torch import Tensor

# (timm's name, ours), applied to the beginning of a parameter's name.
_NAMES = (
    ("patch_embed.proj", "embed.patch"),
    ("cls_token", "embed.class_token"),
    ("pos_embed", "embed.position"),
    ("blocks.{i}.norm1", "depth.fields.{i}.attention.norm"),
    ("blocks.{i}.attn", "depth.fields.{i}.attention.sublayer"),
    ("blocks.{i}.norm2", "depth.fields.{i}.mlp.norm"),
    ("blocks.{i}.mlp", "depth.fields.{i}.mlp.sublayer"),
    ("norm", "norm"),
    ("head", "head"),
)


def _rename(state: Mapping[str, Tensor], pairs: list[tuple[str, str]], source: str) -> dict[str, Tensor]:
    patterns = [(re.compile(re.escape(old).replace(r"\{i\}", r"(\d+)") + r"(?=\.|$)"), new) for old, new in pairs]
    renamed: dict[str, Tensor] = {}
    for name, tensor in state.items():
        for pattern, new in patterns:
            match = pattern.match(name)
            if match is not None:
                layer = match.group(1) if match.groups() else ""
                renamed[new.replace("{i}", layer) + name[match.end() :]] = tensor
                break
        else:
            raise ValueError(
                f"the parameter {name!r} has no counterpart: expected a state dict of {source}; "
                "models with further parts (distillation token, register tokens, layer scale) are not covered"
            )
    return renamed


def from_timm(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Rename the state dict of a timm ``VisionTransformer`` (DeiT, ViT) to that of `odelib.models.ViT`.

    Raises:
        ValueError: A parameter has no counterpart.
    """
    return _rename(state, list(_NAMES), "a plain timm VisionTransformer")


def to_timm(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Rename the state dict of an `odelib.models.ViT` to that of a timm ``VisionTransformer``.

    Raises:
        ValueError: A parameter has no counterpart.
    """
    return _rename(state, [(ours, timm) for timm, ours in _NAMES], "an odelib ViT")
