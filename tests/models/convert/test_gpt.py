"""Hugging Face's decoders with random weights and ours with the same ones are the same functions."""

from dataclasses import replace

import pytest
import torch
from transformers import GPT2Config, GPT2LMHeadModel, GPTJConfig, GPTJForCausalLM, GPTNeoXConfig, GPTNeoXForCausalLM

from odelib.models import (
    CausalLM,
    CausalLMConfig,
    config_from_transformers,
    from_gpt2,
    from_gptj,
    from_neox,
    to_gpt2,
)

NO_TOKENS = {"bos_token_id": None, "eos_token_id": None}
GPT = {"vocab_size": 31, "n_positions": 16, "n_embd": 24, "n_layer": 3, "n_head": 3, **NO_TOKENS}
NEOX = {
    "vocab_size": 31,
    "max_position_embeddings": 16,
    "hidden_size": 24,
    "num_hidden_layers": 3,
    "num_attention_heads": 3,
    "intermediate_size": 96,
    **NO_TOKENS,
}
VARIANTS = [
    *(
        (GPT2LMHeadModel, GPT2Config, GPT, changes, from_gpt2)
        for changes in ({}, {"tie_word_embeddings": False}, {"n_inner": 50}, {"activation_function": "gelu"})
    ),
    *(
        (GPTJForCausalLM, GPTJConfig, {**GPT, "rotary_dim": 4}, changes, from_gptj)
        for changes in (
            {},
            {"rotary_dim": 8},  # the whole head
            {"rotary_dim": 2},
            {"tie_word_embeddings": True},
            {"n_inner": 50},
            {"activation_function": "gelu"},
            {"activation_function": "gelu_fast"},
        )
    ),
    *(
        (GPTNeoXForCausalLM, GPTNeoXConfig, NEOX, changes, from_neox)
        for changes in (
            {},
            {"use_parallel_residual": False},
            {"rotary_pct": 0.5, "rotary_emb_base": 500},
            {"rotary_pct": 1.0},
            {"rope_parameters": {"rope_type": "default", "rope_theta": 300.0, "partial_rotary_factor": 0.75}},
            {"attention_bias": False},
            {"attention_bias": False, "use_parallel_residual": False, "tie_word_embeddings": True},
            {"tie_word_embeddings": True},
            {"hidden_act": "gelu_new"},
            {"hidden_act": "gelu_fast"},
            {"intermediate_size": 50},
            {"vocab_size": 64},  # padded
        )
    ),
]


def pair(model, config, base, changes, convert):
    """Theirs with random weights, ours with the same ones, and the configuration."""
    torch.manual_seed(0)
    theirs = model(config(**base | changes)).eval()
    with torch.no_grad():  # they start biases and shifts at zero: random ones test them too
        for parameter in theirs.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    ours = CausalLM(config_from_transformers(theirs.config.to_dict())).eval()
    ours.load_state_dict(convert(theirs.state_dict(), ours.config))
    return theirs, ours


def name(case):
    return f"{case[0].__name__}-{case[3]}"


@pytest.fixture(scope="module")
def gpt2():
    """A small Hugging Face GPT-2 with random weights and ours, from the preset, with the same ones."""
    theirs, _ = pair(*VARIANTS[0])
    config = CausalLMConfig.preset("gpt2", vocab_size=31, max_tokens=16, dim=24, intervals=3, num_heads=3)
    ours = CausalLM(config).eval()
    ours.load_state_dict(from_gpt2(theirs.state_dict()))
    return theirs, ours


@pytest.mark.parametrize("case", VARIANTS, ids=name)
def test_logits_and_gradients_are_theirs(case):
    theirs, ours = pair(*case)
    convert = case[4]
    assert sum(p.numel() for p in ours.parameters()) == sum(p.numel() for p in theirs.parameters())
    tokens = torch.randint(ours.config.vocab_size, (2, 16))
    outs = ours(tokens), theirs(tokens).logits
    torch.testing.assert_close(*outs, rtol=0, atol=1e-5)
    for out in outs:
        torch.nn.functional.cross_entropy(out[:, :-1].flatten(0, 1), tokens[:, 1:].flatten()).backward()
    # The conversion is linear, so that it makes of their gradient ours.
    gradients = convert({name: p.grad for name, p in theirs.named_parameters()}, ours.config)
    assert gradients.keys() == ours.state_dict().keys()
    for name, parameter in ours.named_parameters():
        scale = float(parameter.grad.abs().max())
        torch.testing.assert_close(
            parameter.grad, gradients[name], rtol=0, atol=1e-4 * scale, msg=lambda m, n=name: f"{n}: {m}"
        )


@pytest.mark.parametrize("case", [case for case in VARIANTS if len(case[3]) == 0 or "rotary_pct" in case[3]], ids=name)
@pytest.mark.parametrize("cached", [True, False])
def test_both_generate_the_same_text(case, cached):
    theirs, ours = pair(*case)
    prompt = torch.randint(31, (2, 4))
    expected = theirs.generate(
        prompt, max_new_tokens=10, do_sample=False, pad_token_id=0, eos_token_id=-1, attention_mask=torch.ones(2, 4)
    )
    assert torch.equal(ours.generate(prompt, 10, cached=cached), expected)


@pytest.mark.parametrize("case", [VARIANTS[4], VARIANTS[11], VARIANTS[12]], ids=name)
def test_the_layers_are_parallel_and_other_rules_read_the_same_weights(case):
    theirs, ours = pair(*case)
    assert ours.config.step_rule == ("lie-trotter" if case[3] else "euler")
    other = CausalLM(replace(ours.config, step_rule="rk4", steps=2, step_size=0.5)).eval()
    other.load_state_dict(case[4](theirs.state_dict(), ours.config))
    tokens = torch.randint(31, (2, 16))
    assert other(tokens).isfinite().all()
    assert not torch.allclose(other(tokens), ours(tokens), atol=1e-3)


@pytest.mark.parametrize("case", [VARIANTS[4], VARIANTS[11], VARIANTS[16]], ids=name)
def test_the_fused_form_reads_the_same_weights(case):
    theirs, ours = pair(*case)
    fused = CausalLM(replace(ours.config, field="fused")).eval()
    fused.load_state_dict(ours.state_dict())
    tokens = torch.randint(31, (2, 16))
    torch.testing.assert_close(fused(tokens), theirs(tokens).logits, rtol=0, atol=1e-5)


def test_gradients_go_to_gpt2(gpt2):
    theirs, ours = gpt2
    assert sum(p.numel() for p in ours.parameters()) == sum(p.numel() for p in theirs.parameters())
    tokens = torch.randint(31, (2, 16))
    outs = ours(tokens), theirs(tokens).logits
    torch.testing.assert_close(*outs, rtol=0, atol=2e-5)
    for model, out in zip((ours, theirs), outs, strict=True):
        model.zero_grad()
        torch.nn.functional.cross_entropy(out[:, :-1].flatten(0, 1), tokens[:, 1:].flatten()).backward()
    gradients = to_gpt2({name: p.grad for name, p in ours.named_parameters()})
    for name, parameter in theirs.named_parameters():
        torch.testing.assert_close(
            gradients[name], parameter.grad, rtol=0, atol=1e-5, msg=lambda m, n=name: f"{n}: {m}"
        )


def test_weights_go_to_gpt2_and_back(gpt2):
    theirs, ours = gpt2
    theirs.load_state_dict(to_gpt2(ours.state_dict()))
    for state in (theirs.state_dict(), theirs.transformer.state_dict()):  # with the head, and without
        again = from_gpt2({**state, "h.0.attn.bias": torch.ones(1)})
        assert again.keys() == ours.state_dict().keys()
        assert all(torch.equal(again[name], value) for name, value in ours.state_dict().items())


def test_an_untied_head_goes_to_gpt2_and_back():
    theirs, ours = pair(*VARIANTS[1])
    assert not ours.config.tied
    state = to_gpt2(ours.state_dict())
    assert torch.equal(state["lm_head.weight"], theirs.lm_head.weight)
    assert not torch.equal(state["lm_head.weight"], state["transformer.wte.weight"])
    theirs.load_state_dict(state)
    again = from_gpt2(theirs.state_dict(), ours.config)
    assert all(torch.equal(again[name], value) for name, value in ours.state_dict().items())


@pytest.mark.parametrize(
    "changes", [{"step_rule": "euler"}, {"step_rule": "rk4", "steps": 2, "step_size": 0.5}], ids=str
)
def test_foreign_weights_serve_every_step_rule(gpt2, changes):
    theirs, ours = gpt2
    other = CausalLM(replace(ours.config, **changes)).eval()
    other.load_state_dict(from_gpt2(theirs.state_dict()))
    tokens = torch.randint(31, (2, 16))
    assert other(tokens).isfinite().all()
    assert not torch.allclose(other(tokens), ours(tokens), atol=1e-3)


@pytest.mark.parametrize("case", [VARIANTS[1], VARIANTS[4], VARIANTS[11]], ids=name)
def test_a_head_that_is_not_as_the_configuration_says_is_refused(case):
    theirs, ours = pair(*case)
    with pytest.raises(ValueError, match=r"head's weight is not that of the token embedding.*make .* tied=False"):
        case[4](theirs.state_dict(), replace(ours.config, tied=True))
    if case[4] is from_gpt2:
        with pytest.raises(ValueError, match="head's weight is not that of the token embedding"):
            from_gpt2(theirs.state_dict())
    without = {name: tensor for name, tensor in theirs.state_dict().items() if name != "lm_head.weight"}
    with pytest.raises(ValueError, match=r"has no head, and the configuration says tied=False"):
        case[4](without, ours.config)


def test_files_of_older_versions_are_read():
    theirs, ours = pair(*VARIANTS[11])
    state = {name.replace("lm_head.", "embed_out."): tensor for name, tensor in theirs.state_dict().items()}
    for constant in ("bias", "masked_bias", "rotary_emb.inv_freq"):
        state[f"gpt_neox.layers.0.attention.{constant}"] = torch.ones(1)
    again = from_neox(state, ours.config)
    assert again.keys() == ours.state_dict().keys()
    assert all(torch.equal(again[name], value) for name, value in ours.state_dict().items())


def test_a_part_without_counterpart_is_named():
    with pytest.raises(ValueError, match=r"'h.0.crossattention.c_attn.weight' has no counterpart"):
        from_gpt2({"h.0.crossattention.c_attn.weight": torch.zeros(1)})
    with pytest.raises(ValueError, match="expected a state dict of an odelib CausalLM"):
        to_gpt2({"head.weight": torch.zeros(1)})


@pytest.mark.parametrize("case", [VARIANTS[0], VARIANTS[4], VARIANTS[11]], ids=name)
def test_no_tensor_is_dropped(case):
    theirs, ours = pair(*case)
    for extra in ("score.weight", "transformer.h.0.attn.rotary.bias", "lm_head.scale", "h.0.ln_3.weight"):
        with pytest.raises(ValueError, match=f"{extra!r} has no counterpart"):
            case[4]({**theirs.state_dict(), extra: torch.zeros(1)}, ours.config)
    for lost in theirs.state_dict():
        if lost == "lm_head.weight":  # of a tied head; see above for the others
            continue
        kept = {name: tensor for name, tensor in theirs.state_dict().items() if name != lost}
        with pytest.raises((ValueError, RuntimeError), match=r"came without|[Mm]issing key|not that of the token"):
            ours.load_state_dict(case[4](kept, ours.config))


def test_parts_that_gpt2_lacks_are_refused():
    base = CausalLMConfig(dim=16, num_heads=2, intervals=1, vocab_size=11, max_tokens=8)
    for changes, part in (
        ({"qk_norm": True}, "q_norm"),
        ({"tied": False, "head_bias": True}, "head.bias"),
        ({"head_bias": True}, "head_bias"),
        ({"learn_step_size": True}, "log_scale"),
    ):
        with pytest.raises(ValueError, match=rf"{part}.* has no counterpart"):
            to_gpt2(CausalLM(replace(base, **changes)).state_dict())
