"""Weights from and to timm's vision transformers and Hugging Face's GPT-2: the same tensors under other names."""

import re
from collections.abc import Mapping, Sequence

from torch import Tensor

# (their name, ours), applied to the beginning of a parameter's name.
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
_GPT2 = (
    ("transformer.wte", "embed.token"),
    ("transformer.wpe.weight", "embed.position"),
    ("transformer.h.{i}.ln_1", "depth.fields.{i}.attention.norm"),
    ("transformer.h.{i}.attn.c_attn", "depth.fields.{i}.attention.sublayer.qkv"),
    ("transformer.h.{i}.attn.c_proj", "depth.fields.{i}.attention.sublayer.proj"),
    ("transformer.h.{i}.ln_2", "depth.fields.{i}.mlp.norm"),
    ("transformer.h.{i}.mlp.c_fc", "depth.fields.{i}.mlp.sublayer.fc1"),
    ("transformer.h.{i}.mlp.c_proj", "depth.fields.{i}.mlp.sublayer.fc2"),
    ("transformer.ln_f", "norm"),
)


def _rename(state: Mapping[str, Tensor], pairs: Sequence[tuple[str, str]], source: str) -> dict[str, Tensor]:
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
                "models with further parts (distillation token, register tokens, layer scale, convolutional stem) are "
                "not covered"
            )
    return renamed


def _back(pairs: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
    return [(ours, theirs) for theirs, ours in pairs]


def from_timm(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Rename the state dict of a timm ``VisionTransformer`` (DeiT, ViT) to that of `odelib.models.ViT`.

    Raises:
        ValueError: A parameter has no counterpart.
    """
    return _rename(state, _TIMM, "a plain timm VisionTransformer")


def to_timm(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Rename the state dict of an `odelib.models.ViT` to that of a timm ``VisionTransformer``.

    Raises:
        ValueError: A parameter has no counterpart.
    """
    return _rename(state, _back(_TIMM), "an odelib ViT")


def from_gpt2(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Rename the state dict of a Hugging Face ``GPT2LMHeadModel`` or ``GPT2Model`` to that of `odelib.models.CausalLM`.

    Its head is tied to the token embedding; its linear maps hold their weights as (inputs, outputs), ours transposed.

    Raises:
        ValueError: A parameter has no counterpart.
    """
    # Old files keep the causal mask of each layer; the head's weight is that of the embedding.
    needed = {
        name: tensor for name, tensor in state.items() if not re.search(r"\.attn\.(masked_)?bias$|^lm_head", name)
    }
    full = {name if name.startswith("transformer.") else f"transformer.{name}": t for name, t in needed.items()}
    return _turned(_rename(full, _GPT2, "a Hugging Face GPT-2"))


def to_gpt2(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Rename the state dict of an `odelib.models.CausalLM` to that of a Hugging Face ``GPT2LMHeadModel``.

    Raises:
        ValueError: A parameter has no counterpart.
    """
    renamed = _rename(_turned(state), _back(_GPT2), "an odelib CausalLM with learned positions and a tied head")
    return {**renamed, "lm_head.weight": renamed["transformer.wte.weight"]}


def _turned(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The same tensors, with the weights of our linear maps transposed."""
    maps = re.compile(r"sublayer\.(qkv|proj|fc1|fc2)\.weight$")
    return {name: tensor.T.contiguous() if maps.search(name) else tensor for name, tensor in state.items()}
