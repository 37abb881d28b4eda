import pytest
import torch

from odelib.models import CausalLM, CausalLMConfig, ViT, ViTConfig, from_gpt2, to_gpt2, to_timm


def test_names_in_wrappers_are_those_of_the_model():
    vit = ViT(ViTConfig(dim=16, num_heads=2, intervals=2, pool="class"))
    gpt = CausalLM(CausalLMConfig(dim=16, num_heads=2, intervals=2, vocab_size=11, max_tokens=8))
    for model, convert in ((vit, to_timm), (gpt, to_gpt2)):
        right = convert(model.state_dict())
        for wrapped in (
            torch.compile(model),
            torch.nn.DataParallel(model),
            torch.compile(torch.nn.DataParallel(model)),
        ):
            assert convert(wrapped.state_dict()).keys() == right.keys()


def test_a_name_that_comes_twice_is_refused():
    with pytest.raises(ValueError, match=r"'transformer.wte.weight' came twice, with and without 'transformer.'"):
        from_gpt2({"wte.weight": torch.zeros(2, 2), "transformer.wte.weight": torch.ones(2, 2)})
