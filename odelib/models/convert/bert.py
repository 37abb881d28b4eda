"""Weights from Hugging Face's encoders: BERT, with a weight set per layer, and ALBERT, which shares them."""

import re
from collections.abc import Mapping

import torch
from torch import Tensor

from odelib.models.convert.rename import rename
from odelib.models.encoder import EncoderConfig

_FIELD = "depth.fields.{i}"
_BERT = (
    ("embeddings.word_embeddings", "embed.token"),
    ("embeddings.position_embeddings.weight", "embed.position"),
    ("embeddings.LayerNorm", "embed_norm"),
    ("encoder.layer.{i}.attention.self.query", f"{_FIELD}.attention.sublayer.q"),
    ("encoder.layer.{i}.attention.self.key", f"{_FIELD}.attention.sublayer.k"),
    ("encoder.layer.{i}.attention.self.value", f"{_FIELD}.attention.sublayer.v"),
    ("encoder.layer.{i}.attention.output.dense", f"{_FIELD}.attention.sublayer.proj"),
    ("encoder.layer.{i}.attention.output.LayerNorm", f"{_FIELD}.attention.norm"),
    ("encoder.layer.{i}.intermediate.dense", f"{_FIELD}.mlp.sublayer.fc1"),
    ("encoder.layer.{i}.output.dense", f"{_FIELD}.mlp.sublayer.fc2"),
    ("encoder.layer.{i}.output.LayerNorm", f"{_FIELD}.mlp.norm"),
    ("cls.predictions.transform.dense", "head.0"),
    ("cls.predictions.transform.LayerNorm", "head.2"),
    ("cls.predictions.bias", "head_bias"),
)
_GROUP = "encoder.albert_layer_groups.{i}.albert_layers.0"
_ALBERT = (
    ("embeddings.word_embeddings", "embed.token"),
    ("embeddings.position_embeddings.weight", "embed.position"),
    ("embeddings.LayerNorm", "embed_norm"),
    ("encoder.embedding_hidden_mapping_in", "embed_proj"),
    (f"{_GROUP}.attention.query", f"{_FIELD}.attention.sublayer.q"),
    (f"{_GROUP}.attention.key", f"{_FIELD}.attention.sublayer.k"),
    (f"{_GROUP}.attention.value", f"{_FIELD}.attention.sublayer.v"),
    (f"{_GROUP}.attention.dense", f"{_FIELD}.attention.sublayer.proj"),
    (f"{_GROUP}.attention.LayerNorm", f"{_FIELD}.attention.norm"),
    (f"{_GROUP}.ffn", f"{_FIELD}.mlp.sublayer.fc1"),
    (f"{_GROUP}.ffn_output", f"{_FIELD}.mlp.sublayer.fc2"),
    (f"{_GROUP}.full_layer_layer_norm", f"{_FIELD}.mlp.norm"),
    ("predictions.dense", "head.0"),
    ("predictions.LayerNorm", "head.2"),
    ("predictions.bias", "head_bias"),
)
_TYPES = "embeddings.token_type_embeddings.weight"
_DECODER = re.compile(r"(?:^|\.)predictions\.decoder\.(weight|bias)$")
# What reads the first token's state, and heads that are trained on it: no part of the states or of the guesses.
_LEFT_OUT = re.compile(r"^(pooler|classifier|sop_classifier)\.|^cls\.(?!predictions\.)|position_ids$")


def from_bert(state: Mapping[str, Tensor], config: EncoderConfig) -> dict[str, Tensor]:
    """Rename the state dict of a Hugging Face BERT (MiniLM's too) to that of `odelib.models.Encoder`.

    Of the two segments' vectors the first is kept; poolers, and heads that read what they pool, are left out.

    Args:
        state: The state dict.
        config: Of the model that is to have the weights, as `config_from_transformers` gives it.

    Raises:
        ValueError: A parameter has no counterpart or is absent, or the head is not tied to the token embedding.
    """
    return _renamed(state, config, _BERT, "a Hugging Face BERT", "bert.")


def from_albert(state: Mapping[str, Tensor], config: EncoderConfig) -> dict[str, Tensor]:
    """Rename the state dict of a Hugging Face ALBERT to that of `odelib.models.Encoder`; as `from_bert`.

    A group of layers that share their weights is an interval of depth.
    """
    return _renamed(state, config, _ALBERT, "a Hugging Face ALBERT", "albert.")


def _renamed(
    state: Mapping[str, Tensor], config: EncoderConfig, pairs: tuple[tuple[str, str], ...], source: str, prefix: str
) -> dict[str, Tensor]:
    body, types, decoder = {}, None, {}
    for name, tensor in state.items():
        plain = name.removeprefix(prefix)
        plain = re.sub(r"gamma$", "weight", re.sub(r"beta$", "bias", plain))  # names of before 2019
        match = _DECODER.search(plain)
        if match is not None:
            decoder[match.group(1)] = tensor
        elif plain == _TYPES:
            types = tensor
        elif not _LEFT_OUT.search(plain):
            body[plain] = tensor
    if not config.head:
        body = {name: tensor for name, tensor in body.items() if "predictions." not in name}
    renamed = rename(body, pairs, source)
    _check_tied(renamed, decoder if config.head else {})
    if types is not None:
        renamed["embed_segment"] = types[0]
    return _joined(renamed, source)


def _check_tied(renamed: Mapping[str, Tensor], decoder: Mapping[str, Tensor]) -> None:
    for name, own in (("weight", "embed.token.weight"), ("bias", "head_bias")):
        if name in decoder and not (own in renamed and torch.equal(decoder[name], renamed[own])):
            raise ValueError(
                f"the decoder's {name} in the head is not the {own} of the network: heads of their own are not "
                "covered, so load a network whose head is tied to the token embedding"
            )


def _joined(renamed: dict[str, Tensor], source: str) -> dict[str, Tensor]:
    """The same with queries, keys and values of a layer as one matrix."""
    for first in [name for name in renamed if ".sublayer.q." in name]:
        names = [first.replace(".q.", f".{part}.") for part in "qkv"]
        absent = [name for name in names if name not in renamed]
        if absent:
            raise ValueError(f"{first!r} came without {absent}: give the whole state dict of {source}")
        renamed[first.replace(".q.", ".qkv.")] = torch.cat([renamed.pop(name) for name in names])
    return renamed
