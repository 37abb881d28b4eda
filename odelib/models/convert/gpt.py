"""Weights from Hugging Face's decoders: GPT-2, whose layer is the usual one, GPT-J and GPT-NeoX, which are parallel."""

import re
from collections.abc import Mapping

import torch
from torch import Tensor

from odelib.models.config import CausalLMConfig
from odelib.models.convert.rename import rename, reverse

_ATTENTION, _MLP = "depth.fields.{i}.attention.sublayer", "depth.fields.{i}.mlp.sublayer"
_GPT2 = (
    ("wte", "embed.token"),
    ("wpe.weight", "embed.position"),
    ("h.{i}.ln_1", "depth.fields.{i}.attention.norm"),
    ("h.{i}.attn.c_attn", f"{_ATTENTION}.qkv"),
    ("h.{i}.attn.c_proj", f"{_ATTENTION}.proj"),
    ("h.{i}.ln_2", "depth.fields.{i}.mlp.norm"),
    ("h.{i}.mlp.c_fc", f"{_MLP}.fc1"),
    ("h.{i}.mlp.c_proj", f"{_MLP}.fc2"),
    ("ln_f", "norm"),
)
_GPTJ = (
    ("wte", "embed.token"),
    ("h.{i}.ln_1", "depth.fields.{i}.attention.norm"),
    ("h.{i}.attn.q_proj", f"{_ATTENTION}.q"),
    ("h.{i}.attn.k_proj", f"{_ATTENTION}.k"),
    ("h.{i}.attn.v_proj", f"{_ATTENTION}.v"),
    ("h.{i}.attn.out_proj", f"{_ATTENTION}.proj"),
    ("h.{i}.mlp.fc_in", f"{_MLP}.fc1"),
    ("h.{i}.mlp.fc_out", f"{_MLP}.fc2"),
    ("ln_f", "norm"),
)
_NEOX = (
    ("embed_in", "embed.token"),
    ("layers.{i}.input_layernorm", "depth.fields.{i}.attention.norm"),
    ("layers.{i}.attention.query_key_value", f"{_ATTENTION}.qkv"),
    ("layers.{i}.attention.dense", f"{_ATTENTION}.proj"),
    ("layers.{i}.post_attention_layernorm", "depth.fields.{i}.mlp.norm"),
    ("layers.{i}.mlp.dense_h_to_4h", f"{_MLP}.fc1"),
    ("layers.{i}.mlp.dense_4h_to_h", f"{_MLP}.fc2"),
    ("final_layer_norm", "norm"),
)
# What older versions of transformers stored beside the weights, and what no version reads: the causal mask of each
# layer, and the speeds of its rotation, which the configuration gives.
_CONSTANTS = re.compile(r"\.(attn|attention)\.(bias|masked_bias|rotary_emb\.inv_freq)$")
_HEAD = re.compile(r"(?:^|\.)(?:lm_head|embed_out)\.(weight|bias)$")


def from_gpt2(state: Mapping[str, Tensor], config: CausalLMConfig | None = None) -> dict[str, Tensor]:
    """Rename the state dict of a Hugging Face ``GPT2LMHeadModel`` or ``GPT2Model`` to that of `odelib.models.CausalLM`.

    Its linear maps hold their weights as (inputs, outputs), ours transposed.

    Args:
        state: The state dict.
        config: Of the model that is to have the weights, as `config_from_transformers` gives it. None: its head is
            tied to the token embedding.

    Raises:
        ValueError: A parameter has no counterpart, or a head came that is not tied, or none, against the configuration.
    """
    body, head = _parts(state)
    renamed = rename(body, _GPT2, "a Hugging Face GPT-2", "transformer.")
    return _turned(_with_head(renamed, head, tied=config is None or config.tied))


def to_gpt2(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Rename the state dict of an `odelib.models.CausalLM` to that of a Hugging Face ``GPT2LMHeadModel``.

    Raises:
        ValueError: A parameter has no counterpart, or there is no token embedding.
    """
    pairs = [*reverse(_GPT2), ("head.weight", "lm_head.weight")]
    renamed = rename(_turned(state), pairs, "an odelib CausalLM with learned positions and a head without bias")
    if "wte.weight" not in renamed:
        raise ValueError("there is no 'embed.token.weight': expected a state dict of an odelib CausalLM")
    head = renamed.pop("lm_head.weight", renamed["wte.weight"])
    return {**{f"transformer.{name}": tensor for name, tensor in renamed.items()}, "lm_head.weight": head}


def from_gptj(state: Mapping[str, Tensor], config: CausalLMConfig) -> dict[str, Tensor]:
    """Rename the state dict of a Hugging Face ``GPTJForCausalLM`` to that of `odelib.models.CausalLM`.

    Wang and Komatsuzaki 2021 (https://github.com/kingoflolz/mesh-transformer-jax): the parallel layer, x + A + M with
    one norm for both, whose maps to queries, keys and values are three matrices, ours one.

    Args:
        state: The state dict.
        config: Of the model that is to have the weights, as `config_from_transformers` gives it.

    Raises:
        ValueError: A parameter has no counterpart or is absent, or a head came that is not tied, or none, against the
            configuration.
    """
    body, head = _parts(state)
    renamed = rename(body, _GPTJ, "a Hugging Face GPT-J", "transformer.")
    for q in [name for name in renamed if name.endswith(".sublayer.q.weight")]:
        names = [q.replace(".q.", f".{part}.") for part in "qkv"]
        absent = [name for name in names if name not in renamed]
        if absent:
            raise ValueError(f"{q!r} came without {absent}: give the whole state dict of a Hugging Face GPT-J")
        renamed[q.replace(".q.", ".qkv.")] = torch.cat([renamed.pop(name) for name in names])
    norms = {name: tensor for name, tensor in renamed.items() if ".attention.norm." in name}
    renamed |= {name.replace("attention", "mlp"): tensor for name, tensor in norms.items()}  # both terms name it
    return _with_head(renamed, head, tied=config.tied)


def from_neox(state: Mapping[str, Tensor], config: CausalLMConfig) -> dict[str, Tensor]:
    """Rename the state dict of a Hugging Face ``GPTNeoXForCausalLM`` (Pythia) to that of `odelib.models.CausalLM`.

    Black et al. 2022 (arXiv 2204.06745): the parallel layer with a norm for each term, or the usual one. The rows of
    its map to queries, keys and values come head by head, and it turns entry i of a head with entry i + r / 2, r being
    the width of the turned part; ours come queries first, and neighbours are turned. Both are orders of rows.

    Args:
        state: The state dict.
        config: Of the model that is to have the weights, as `config_from_transformers` gives it.

    Raises:
        ValueError: A parameter has no counterpart, or a head came that is not tied, or none, against the configuration.
    """
    body, head = _parts(state)
    renamed = rename(body, _NEOX, "a Hugging Face GPT-NeoX", "gpt_neox.")
    order = _rows(config.dim, config.num_heads, config.rotary_dim or config.dim // config.num_heads)
    for name in [name for name in renamed if ".qkv." in name]:
        renamed[name] = renamed[name][order.to(renamed[name].device)]
    return _with_head(renamed, head, tied=config.tied)


def _rows(dim: int, num_heads: int, turned: int) -> Tensor:
    """Return for each of our rows of queries, keys and values, (3 dim,), which of GPT-NeoX's it is."""
    rows = torch.arange(3 * dim).view(num_heads, 3, dim // num_heads).transpose(0, 1)  # (3, heads, width)
    partners = torch.arange(turned).view(2, -1).T.flatten()  # 0, turned / 2, 1, turned / 2 + 1, ...
    rows[:2, :, :turned] = rows[:2, :, partners]  # of queries and keys
    return rows.flatten()


def _parts(state: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """The weights of the model below its head, and those of the head by "weight" and "bias"."""
    body, head = {}, {}
    for name, tensor in state.items():
        match = _HEAD.search(name)
        if match is not None:
            head[match.group(1)] = tensor
        elif not _CONSTANTS.search(name):
            body[name] = tensor
    return body, head


def _with_head(renamed: dict[str, Tensor], head: Mapping[str, Tensor], *, tied: bool) -> dict[str, Tensor]:
    """The renamed weights and those of the head, if it is what the configuration says."""
    weight, token = head.get("weight"), renamed.get("embed.token.weight")
    if tied and weight is not None and (token is None or not (weight is token or torch.equal(weight, token))):
        raise ValueError(
            "the head's weight is not that of the token embedding, and tied=True would leave it out: make the "
            "configuration with tied=False, and pass it with the state dict"
        )
    if not tied and weight is None:
        raise ValueError(
            "the state dict has no head, and the configuration says tied=False: give the state dict of the model with "
            "its head, or make the configuration with tied=True if the head is that of the token embedding"
        )
    own = {} if tied or weight is None else {"head.weight": weight}
    bias = {("head_bias" if tied else "head.bias"): head["bias"]} if "bias" in head else {}
    return {**renamed, **own, **bias}


def _turned(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The same tensors, with the weights of our linear maps transposed."""
    maps = re.compile(r"sublayer\.(qkv|proj|fc1|fc2)\.weight$")
    return {name: tensor.T.contiguous() if maps.search(name) else tensor for name, tensor in state.items()}
