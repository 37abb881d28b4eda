import math
from itertools import pairwise

import pytest
import torch

from odelib.models import ViT, ViTConfig
from odelib.training import Runtime, TrainConfig
from odelib.training.optim import adamw, decay_groups, learning_rate


def test_warm_up_is_a_line_and_decay_half_a_cosine() -> None:
    rate = [learning_rate(step, peak=2.0, warmup=4, total=12) for step in range(12)]
    assert rate[:4] == [0.5, 1.0, 1.5, 2.0]
    assert rate[4] == 2.0
    assert rate[8] == pytest.approx(1.0)
    assert rate[11] == pytest.approx(1 + math.cos(7 * math.pi / 8))
    assert all(late < early for early, late in pairwise(rate[4:]))


def test_no_warm_up_starts_at_the_peak() -> None:
    assert learning_rate(0, peak=0.3, warmup=0, total=5) == 0.3


@pytest.mark.parametrize("pool", ["mean", "class"])
def test_only_the_weights_of_linear_maps_decay(pool: str) -> None:
    model = ViT(ViTConfig(dim=8, num_heads=2, intervals=2, pool=pool))  # type: ignore[arg-type]
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    decaying, exempt = ([names[id(p)] for p in group] for group in decay_groups(model))
    assert sorted(decaying + exempt) == sorted(names.values())
    assert all(name.endswith("weight") and "norm" not in name for name in decaying)
    assert {"embed.patch.weight", "head.weight", "depth.fields.1.mlp.sublayer.fc1.weight"} <= set(decaying)
    assert {"embed.position", "norm.weight", "head.bias"} <= set(exempt)
    assert ("embed.class_token" in exempt) == (pool == "class")


def test_frozen_parameters_are_left_out() -> None:
    model = ViT(ViTConfig(dim=8, num_heads=2))
    model.head.requires_grad_(False)
    both = [id(parameter) for group in decay_groups(model) for parameter in group]
    assert id(model.head.weight) not in both
    assert id(model.head.bias) not in both


def test_adamw_takes_decay_and_kernels_from_configuration_and_runtime() -> None:
    runtime = Runtime(torch.device("cpu"), torch.float32, fused=True)
    optimizer = adamw(ViT(ViTConfig(dim=8, num_heads=2)), TrainConfig(weight_decay=0.2), runtime)
    assert [group["weight_decay"] for group in optimizer.param_groups] == [0.2, 0.0]
    assert all(group["fused"] for group in optimizer.param_groups)
