"""Weights from elsewhere; timm's are tested with the vision transformer."""

from dataclasses import replace

import pytest
import torch

from odelib.models import CausalLM, CausalLMConfig, ViT, ViTConfig, from_gpt2, from_timm, to_gpt2


@pytest.fixture(scope="module")
def gpt2():
    """A small Hugging Face GPT-2 with random weights and ours with the same ones."""
    from transformers import GPT2Config, GPT2LMHeadModel

    torch.manual_seed(0)
    theirs = GPT2LMHeadModel(GPT2Config(vocab_size=31, n_positions=16, n_embd=24, n_layer=3, n_head=3)).eval()
    with torch.no_grad():
        for parameter in theirs.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    config = CausalLMConfig.preset("gpt2", vocab_size=31, max_tokens=16, dim=24, intervals=3, num_heads=3)
    ours = CausalLM(config).eval()
    ours.load_state_dict(from_gpt2(theirs.state_dict()))
    return theirs, ours


def test_the_usual_configuration_is_gpt2(gpt2):
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


def test_both_generate_the_same_text(gpt2):
    theirs, ours = gpt2
    prompt = torch.randint(31, (2, 4))
    expected = theirs.generate(
        prompt, max_new_tokens=10, do_sample=False, pad_token_id=0, eos_token_id=-1, attention_mask=torch.ones(2, 4)
    )
    assert torch.equal(ours.generate(prompt, 10), expected)


def test_weights_go_to_gpt2_and_back(gpt2):
    theirs, ours = gpt2
    theirs.load_state_dict(to_gpt2(ours.state_dict()))
    for state in (theirs.state_dict(), theirs.transformer.state_dict()):  # with the head, and without
        again = from_gpt2({**state, "h.0.attn.bias": torch.ones(1)})
        assert again.keys() == ours.state_dict().keys()
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


def test_a_part_without_counterpart_is_named():
    with pytest.raises(ValueError, match=r"'transformer.h.0.crossattention.c_attn.weight' has no counterpart"):
        from_gpt2({"h.0.crossattention.c_attn.weight": torch.zeros(1)})
    with pytest.raises(ValueError, match="expected a state dict of an odelib CausalLM"):
        to_gpt2({"head.weight": torch.zeros(1)})


@pytest.mark.parametrize(("preset", "name"), [("deit-small", "small"), ("deit-base", "base"), ("deit-tiny-32", "tiny")])
def test_presets_are_timms(preset, name):
    import timm

    size = {"img_size": 32, "patch_size": 4, "num_classes": 10} if preset.endswith("-32") else {}
    with torch.device("meta"):
        theirs = timm.create_model(f"deit_{name}_patch16_224", pretrained=False, **size)
        ours = ViT(ViTConfig.preset(preset))
    shapes = {name: tensor.shape for name, tensor in from_timm(theirs.state_dict()).items()}
    assert shapes == {name: tensor.shape for name, tensor in ours.state_dict().items()}
    assert ours.depth.fields[0].attention.sublayer.num_heads == theirs.blocks[0].attn.num_heads


def test_unknown_presets_are_refused():
    with pytest.raises(ValueError, match="unknown preset 'deit-tyni': the nearest valid name is 'deit-tiny'"):
        ViTConfig.preset("deit-tyni")
    with pytest.raises(ValueError, match="unknown preset 'gpt3': the nearest valid name is 'gpt2'"):
        CausalLMConfig.preset("gpt3")
