import json

import pytest
from transformers import GPT2Config, GPTJConfig, GPTNeoXConfig

from odelib.models import CausalLMConfig, config_from_transformers
from odelib.models.convert.transformers import _ratio

# What the hub's config.json of pythia-70m says, in the words of the version that wrote it.
PYTHIA = {
    "architectures": ["GPTNeoXForCausalLM"],
    "bos_token_id": 0,
    "eos_token_id": 0,
    "hidden_act": "gelu",
    "hidden_size": 512,
    "initializer_range": 0.02,
    "intermediate_size": 2048,
    "layer_norm_eps": 1e-05,
    "max_position_embeddings": 2048,
    "model_type": "gpt_neox",
    "num_attention_heads": 8,
    "num_hidden_layers": 6,
    "rotary_emb_base": 10000,
    "rotary_pct": 0.25,
    "tie_word_embeddings": False,
    "torch_dtype": "float16",
    "transformers_version": "4.24.0",
    "use_cache": True,
    "use_parallel_residual": True,
    "vocab_size": 50304,
}


def test_pythia_in_old_words_and_new():
    config = config_from_transformers(PYTHIA)
    assert (config.step_rule, config.norm_place, config.rotary_dim, config.rotary_base) == ("euler", "pre", 16, 1e4)
    assert (config.qkv_bias, config.proj_bias, config.tied, config.head_bias) == (True, True, False, False)
    theirs = GPTNeoXConfig(**{key: value for key, value in PYTHIA.items() if key != "torch_dtype"})
    assert config_from_transformers(theirs.to_dict()) == config
    assert config_from_transformers({"model_type": "gpt_neox", **theirs.to_diff_dict()}) == config


@pytest.mark.parametrize("make", [GPT2Config, GPTJConfig, GPTNeoXConfig])
def test_a_file_says_what_the_object_says(make):
    theirs = make()
    assert config_from_transformers(json.loads(theirs.to_json_string())) == config_from_transformers(theirs.to_dict())


def test_gpt2_is_the_preset_and_gpt_j_is_parallel_with_one_norm():
    assert config_from_transformers(GPT2Config().to_dict()) == CausalLMConfig.preset("gpt2")
    config = config_from_transformers(GPTJConfig().to_dict())
    assert (config.step_rule, config.norm_place, config.rotary_dim) == ("euler", "shared", 64)
    assert (config.qkv_bias, config.proj_bias, config.tied, config.head_bias) == (False, False, False, True)


def test_hidden_widths_are_met_exactly():
    for dim in (24, 49, 192, 768, 1000, 4096):
        assert all(int(dim * _ratio(hidden, dim)) == hidden for hidden in range(1, 5 * dim))


@pytest.mark.parametrize(
    ("make", "changes", "sentence"),
    [
        (GPTNeoXConfig, {"model_type": "llama"}, "unknown model_type 'llama'.*valid: gpt2, gptj, gpt_neox"),
        (GPTNeoXConfig, {"hidden_act": "relu"}, "unknown activation for a layer of this package 'relu'"),
        (
            GPTNeoXConfig,
            {"rope_parameters": {"rope_type": "linear", "factor": 2.0}},
            "rope_type is 'linear' in this gpt_neox, only 'default' is covered",
        ),
        (GPTNeoXConfig, {"rope_parameters": {"partial_rotary_factor": 0.1}}, "rotary_dim is 9 where a head is 96 wide"),
        (GPT2Config, {"scale_attn_weights": False}, "scale_attn_weights is False in this gpt2, only True is covered"),
        (GPT2Config, {"scale_attn_by_inverse_layer_idx": True}, "scale_attn_by_inverse_layer_idx is True"),
        (GPT2Config, {"add_cross_attention": True}, "add_cross_attention is True"),
        (GPTJConfig, {"rotary_dim": 3}, "rotary_dim is 3"),
        (GPTJConfig, {"rotary_dim": None}, "rotary_dim is None"),
        (GPTJConfig, {"activation_function": "swish"}, "unknown activation"),
    ],
    ids=str,
)
def test_what_is_not_covered_is_refused(make, changes, sentence):
    with pytest.raises(ValueError, match=sentence):
        config_from_transformers(make().to_dict() | changes)


def test_absent_sizes_and_kinds_are_named():
    with pytest.raises(ValueError, match="this gptj configuration has no 'n_embd': give the whole"):
        config_from_transformers({"model_type": "gptj", "n_head": 4})
    with pytest.raises(ValueError, match="this configuration names no model_type"):
        config_from_transformers({})


def test_unknown_presets_are_refused():
    with pytest.raises(ValueError, match="unknown preset 'gpt3': the nearest valid name is 'gpt2'"):
        CausalLMConfig.preset("gpt3")
