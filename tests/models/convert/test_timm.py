"""Weights of timm's vision transformers; that the models are equal is tested with ours."""

import pytest
import timm
import torch
from timm.layers import resample_abs_pos_embed
from timm.models import VisionTransformer

from odelib.models import ViT, ViTConfig, from_timm

SMALL = {"patch_size": 4, "embed_dim": 24, "depth": 2, "num_heads": 3, "num_classes": 5}
MEAN = {"class_token": False, "global_pool": "avg", "fc_norm": False}
OURS = {"patch_size": 4, "dim": 24, "intervals": 2, "num_heads": 3, "num_classes": 5, "in_channels": 3}


@pytest.mark.parametrize(("preset", "name"), [("deit-small", "small"), ("deit-base", "base"), ("deit-tiny-32", "tiny")])
def test_presets_are_timms(preset, name):
    size = {"img_size": 32, "patch_size": 4, "num_classes": 10} if preset.endswith("-32") else {}
    with torch.device("meta"):
        theirs = timm.create_model(f"deit_{name}_patch16_224", pretrained=False, **size)
        ours = ViT(ViTConfig.preset(preset))
    shapes = {name: tensor.shape for name, tensor in from_timm(theirs.state_dict()).items()}
    assert shapes == {name: tensor.shape for name, tensor in ours.state_dict().items()}
    assert ours.depth.fields[0].attention.sublayer.num_heads == theirs.blocks[0].attn.num_heads


@pytest.mark.parametrize("size", [16, 20, 32, 40, 64])
@pytest.mark.parametrize("pool", ["class", "mean"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_positions_are_resampled_as_timm_does(size, pool, dtype):
    torch.manual_seed(0)
    theirs = VisionTransformer(img_size=32, **SMALL, **(MEAN if pool == "mean" else {})).eval()
    with torch.no_grad():
        theirs.pos_embed.normal_()
    config = ViTConfig(**OURS, image_size=size, pool=pool, step_rule="lie-trotter")
    front = int(pool == "class")
    expected = resample_abs_pos_embed(theirs.pos_embed, [size // 4] * 2, num_prefix_tokens=front)
    state = from_timm({name: tensor.to(dtype) for name, tensor in theirs.state_dict().items()}, config)
    assert state["embed.position"].dtype == dtype
    tolerance = 1e-5 if dtype != torch.bfloat16 else 0.05
    torch.testing.assert_close(state["embed.position"].float(), expected, rtol=0, atol=tolerance)
    if dtype == torch.float32:
        ours = ViT(config).eval()
        ours.load_state_dict(state)
        theirs.set_input_size(img_size=size)
        images = torch.randn(2, 3, size, size)
        torch.testing.assert_close(ours(images), theirs(images), rtol=0, atol=1e-5)


def test_positions_of_the_same_size_are_left_alone():
    theirs = VisionTransformer(img_size=32, **SMALL)
    state = theirs.state_dict()
    for config in (None, ViTConfig(**OURS, image_size=32, pool="class")):
        assert from_timm(state, config)["embed.position"] is state["pos_embed"]


@pytest.mark.parametrize("options", [{"img_size": (32, 16)}, {"img_size": 32, "no_embed_class": True}], ids=str)
def test_positions_of_no_square_are_refused(options):
    with pytest.raises(ValueError, match=r"positions came for 1 class token and a square of patches.*not covered"):
        from_timm(VisionTransformer(**options, **SMALL).state_dict(), ViTConfig(**OURS, image_size=32, pool="class"))


@pytest.mark.parametrize(
    ("options", "part"),
    [
        ({"reg_tokens": 2}, "reg_token"),
        ({"pre_norm": True}, "norm_pre"),
        ({"global_pool": "avg"}, "fc_norm"),
        ({"init_values": 0.1}, "ls1"),
        ({"global_pool": "map"}, "attn_pool"),
    ],
    ids=str,
)
def test_no_tensor_is_dropped(options, part):
    state = VisionTransformer(img_size=32, **SMALL, **options).state_dict()
    config = ViTConfig(**OURS, image_size=32, pool="class")
    with pytest.raises(ValueError, match=rf"{part}.* has no counterpart"):
        from_timm(state, config)


def test_unknown_presets_are_refused():
    with pytest.raises(ValueError, match="unknown preset 'deit-tyni': the nearest valid name is 'deit-tiny'"):
        ViTConfig.preset("deit-tyni")
