"""The configuration of a model from that of Hugging Face's transformers, which is not imported."""

import math
from collections.abc import Callable, Mapping
from typing import Any

from odelib.models.config import CausalLMConfig
from odelib.models.encoder import EncoderConfig
from odelib.names import choose

_ACTIVATIONS = {
    "gelu": "gelu",
    "gelu_python": "gelu",
    "gelu_new": "gelu-tanh",
    "gelu_fast": "gelu-tanh",
    "gelu_accurate": "gelu-tanh",
    "gelu_pytorch_tanh": "gelu-tanh",
    "gelu_python_tanh": "gelu-tanh",
}
# What a configuration that does not say so means.
_DEFAULTS: dict[str, dict[str, Any]] = {
    "gpt2": {
        "n_inner": None,
        "activation_function": "gelu_new",
        "layer_norm_epsilon": 1e-5,
        "tie_word_embeddings": True,
        "scale_attn_weights": True,
        "scale_attn_by_inverse_layer_idx": False,
        "add_cross_attention": False,
    },
    "gptj": {
        "n_inner": None,
        "activation_function": "gelu_new",
        "layer_norm_epsilon": 1e-5,
        "rotary_dim": 64,
        "tie_word_embeddings": False,
    },
    "gpt_neox": {
        "hidden_act": "gelu",
        "layer_norm_eps": 1e-5,
        "use_parallel_residual": True,
        "attention_bias": True,
        "tie_word_embeddings": False,
    },
    "bert": {
        "hidden_act": "gelu",
        "layer_norm_eps": 1e-12,
        "position_embedding_type": "absolute",
        "is_decoder": False,
    },
    "albert": {
        "hidden_act": "gelu_new",
        "layer_norm_eps": 1e-12,
        "position_embedding_type": "absolute",
        "num_hidden_groups": 1,
        "inner_group_num": 1,
        "embedding_size": 128,
    },
}


def config_from_transformers(config: Mapping[str, object]) -> CausalLMConfig | EncoderConfig:
    """Return the configuration of the `CausalLM` or the `Encoder` that computes what a model of transformers does.

    GPT-J's layer and, where ``use_parallel_residual`` holds, GPT-NeoX's are the step rule "euler"; GPT-2's, the other
    GPT-NeoX's and, with norms after the sums, those of BERT and ALBERT are "lie-trotter". Dropout is left at 0: its
    rates belong to a training, not to the weights. An encoder is given a head; `dataclasses.replace` takes it away.

    Args:
        config: What ``model.config.to_dict()`` returns, or ``config.json`` holds, of a GPT-2, GPT-J, GPT-NeoX
            (Pythia), BERT or ALBERT; ``model_type`` says which.

    Raises:
        ValueError: The architecture or an option of it is not covered, or a size is absent.
    """
    if config.get("model_type") is None:
        raise ValueError(f"this configuration names no model_type: give one of {', '.join(_READERS)}")
    kind = choose(str(config["model_type"]), _READERS, "model_type")
    try:
        return _READERS[kind](_Values(kind, config))
    except (TypeError, AttributeError, ZeroDivisionError) as error:
        reason = str(error).splitlines()[0]
        raise ValueError(f"this {kind} configuration has values of no use ({reason}): get it again") from error


class _Values:
    """The values of a configuration, or those that it means where it does not say."""

    def __init__(self, kind: str, given: Mapping[str, object]) -> None:
        self.kind = kind
        self.given: dict[str, Any] = {**_DEFAULTS[kind], **given}

    def __getitem__(self, name: str) -> Any:
        if name not in self.given:
            raise ValueError(f"this {self.kind} configuration has no {name!r}: give the whole of config.to_dict()")
        return self.given[name]

    def only(self, name: str, value: object) -> None:
        """Refuse an option that is not ``value``."""
        if self[name] != value:
            raise ValueError(f"{name} is {self[name]!r} in this {self.kind}, only {value!r} is covered: load another")


def _gpt(values: _Values) -> dict[str, Any]:
    """What GPT-2 and GPT-J name alike."""
    return {
        "dim": values["n_embd"],
        "num_heads": values["n_head"],
        "intervals": values["n_layer"],
        "mlp_ratio": _ratio(values["n_inner"] or 4 * values["n_embd"], values["n_embd"]),
        "activation": _activation(values["activation_function"]),
        "norm_eps": values["layer_norm_epsilon"],
        "vocab_size": values["vocab_size"],
        "max_tokens": values["n_positions"],
        "tied": values["tie_word_embeddings"],
    }


def _gpt2(values: _Values) -> CausalLMConfig:
    values.only("scale_attn_weights", True)
    values.only("scale_attn_by_inverse_layer_idx", False)
    values.only("add_cross_attention", False)
    return CausalLMConfig(**_gpt(values), step_rule="lie-trotter")


def _gptj(values: _Values) -> CausalLMConfig:
    if values["rotary_dim"] is None:
        raise ValueError("rotary_dim is None in this gptj, only a number is covered: load another")
    return CausalLMConfig(
        **_gpt(values),
        step_rule="euler",
        norm_place="shared",
        qkv_bias=False,
        proj_bias=False,
        head_bias=True,
        positions="rotary",
        rotary_dim=values["rotary_dim"],
    )


def _neox(values: _Values) -> CausalLMConfig:
    dim, num_heads = values["hidden_size"], values["num_attention_heads"]
    given = values.given  # newer configurations have what is said of the rotation in one place, older ones in several
    rotary = given.get("rope_parameters") or given.get("rope_scaling") or {}
    kind = rotary.get("rope_type", rotary.get("type", "default"))
    if kind != "default":
        raise ValueError(f"rope_type is {kind!r} in this gpt_neox, only 'default' is covered: load another")
    part = rotary.get("partial_rotary_factor", given.get("partial_rotary_factor", given.get("rotary_pct", 0.25)))
    return CausalLMConfig(
        dim=dim,
        num_heads=num_heads,
        intervals=values["num_hidden_layers"],
        mlp_ratio=_ratio(values["intermediate_size"], dim),
        activation=_activation(values["hidden_act"]),
        norm_eps=values["layer_norm_eps"],
        vocab_size=values["vocab_size"],
        max_tokens=values["max_position_embeddings"],
        tied=values["tie_word_embeddings"],
        step_rule="euler" if values["use_parallel_residual"] else "lie-trotter",
        qkv_bias=values["attention_bias"],
        proj_bias=values["attention_bias"],
        positions="rotary",
        rotary_dim=int(dim // num_heads * part),
        rotary_base=float(rotary.get("rope_theta", given.get("rotary_emb_base", given.get("rope_theta", 10_000.0)))),
    )


def _encoder(values: _Values) -> dict[str, Any]:
    """What BERT and ALBERT name alike."""
    values.only("position_embedding_type", "absolute")
    return {
        "dim": values["hidden_size"],
        "num_heads": values["num_attention_heads"],
        "mlp_ratio": _ratio(values["intermediate_size"], values["hidden_size"]),
        "activation": _activation(values["hidden_act"]),
        "norm_eps": values["layer_norm_eps"],
        "vocab_size": values["vocab_size"],
        "max_tokens": values["max_position_embeddings"],
    }


def _bert(values: _Values) -> EncoderConfig:
    values.only("is_decoder", False)
    return EncoderConfig(**_encoder(values), intervals=values["num_hidden_layers"])


def _albert(values: _Values) -> EncoderConfig:
    values.only("inner_group_num", 1)
    layers, groups = values["num_hidden_layers"], values["num_hidden_groups"]
    if layers % groups:
        raise ValueError(
            f"{layers} layers are in {groups} groups in this albert, which are not of equal size: load another"
        )
    return EncoderConfig(
        **_encoder(values), embed_dim=values["embedding_size"], intervals=groups, steps=layers // groups
    )


_READERS: dict[str, Callable[[_Values], CausalLMConfig | EncoderConfig]] = {
    "gpt2": _gpt2,
    "gptj": _gptj,
    "gpt_neox": _neox,
    "bert": _bert,
    "albert": _albert,
}


def _activation(name: str) -> Any:
    return _ACTIVATIONS[choose(name, _ACTIVATIONS, "activation for a layer of this package")]


def _ratio(hidden: int, dim: int) -> float:
    """The ``mlp_ratio`` from which a configuration makes exactly so many hidden units."""
    ratio = hidden / dim
    return ratio if int(dim * ratio) == hidden else math.nextafter(ratio, math.inf)
