import pytest
import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from odelib import ViT, ViTConfig
from odelib.analysis import activation_memory, count_flops, count_parameters, field_flops
from odelib.layers import TransformerField


def test_parameters_shared_or_frozen():
    tied = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3))
    tied[1].weight = tied[0].weight
    assert count_parameters(tied) == 9 + 3 + 3
    tied[0].bias.requires_grad_(False)
    assert count_parameters(tied) == 9 + 3


@pytest.mark.parametrize(("tokens", "dim", "heads", "ratio"), [(5, 16, 2, 2.0), (17, 48, 3, 4.0), (2, 8, 1, 1.5)])
def test_the_counter_agrees_with_the_formula(tokens, dim, heads, ratio):
    field, x = TransformerField(dim, heads, ratio), torch.randn(3, tokens, dim)
    attention, mlp = field_flops(tokens, dim, int(dim * ratio))
    assert count_flops(field.attention, 0.0, x) == 3 * attention
    assert count_flops(field.mlp, 0.0, x) == 3 * mlp
    assert count_flops(field, 0.0, x) == 3 * (attention + mlp)


@pytest.mark.parametrize(
    ("rule", "attentions", "mlps"), [("euler", 1, 1), ("lie-trotter", 1, 1), ("strang", 1, 2), ("rk4", 4, 4)]
)
def test_a_whole_network_is_the_sum_of_its_parts(rule, attentions, mlps):
    config = ViTConfig.deit_tiny(step_rule=rule, intervals=3, steps=2)
    with torch.device("meta"):
        total = count_flops(ViT(config), torch.zeros(2, 3, 224, 224))
    attention, mlp = field_flops(tokens=197, dim=192, hidden=768)
    embedding, head = 2 * 196 * 192 * (3 * 16**2), 2 * 192 * 1000
    assert total == 2 * (embedding + 3 * 2 * (attentions * attention + mlps * mlp) + head)


def test_deit_tiny_has_its_published_size():
    """1.26 billion multiply-adds, as timm's tables have it, and as many parameters as timm's model."""
    with torch.device("meta"):
        deit = ViT(ViTConfig.deit_tiny())
        assert count_flops(deit, torch.zeros(1, 3, 224, 224)) / 2 == pytest.approx(1.26e9, rel=1e-2)
    assert count_parameters(deit) == 5_717_416


def test_memory_of_an_mlp_is_what_its_layers_need():
    """fc1 needs its input, which is given; GELU needs its input and fc2 needs its own: two hidden tensors."""
    mlp = nn.Sequential(nn.Linear(8, 32), nn.GELU(), nn.Linear(32, 8))
    x = torch.randn(5, 8)
    assert activation_memory(mlp, x) == 2 * 5 * 32 * 4
    assert activation_memory(mlp.double(), x.double()) == 2 * 5 * 32 * 8
    assert activation_memory(lambda y: mlp(y + 1.0), x.double()) == (5 * 8 + 2 * 5 * 32) * 8


def test_views_of_one_storage_count_once():
    x = torch.randn(4, 4, requires_grad=True)

    def twice(y):
        z = y.exp()  # saves its result
        return (z[0] * z[1]).sum() + (z * z).sum()  # these save it again, in parts and whole

    assert activation_memory(twice, x) == 4 * 4 * 4


def test_memory_grows_with_depth_and_not_with_checkpoints():
    def stack(count):
        return nn.Sequential(*(nn.Sequential(nn.Linear(8, 8), nn.GELU(), nn.Linear(8, 8)) for _ in range(count)))

    x = torch.randn(16, 8, requires_grad=True)
    sizes = [activation_memory(stack(count), x) for count in (1, 2, 3)]
    assert sizes[2] - sizes[1] == sizes[1] - sizes[0] == 3 * 16 * 8 * 4

    def recomputed(y):
        for layer in stack(3):
            y = checkpoint(layer, y, use_reentrant=False)
        return y

    assert activation_memory(recomputed, x) == 2 * 16 * 8 * 4  # the inputs of the second and the third


def test_no_gradient_no_memory():
    with torch.no_grad(), pytest.raises(ValueError, match="the result needs no gradient"):
        activation_memory(nn.Linear(2, 2), torch.ones(1, 2))


@pytest.mark.gpu
def test_on_cuda_its_own_counter_is_read():
    mlp = nn.Sequential(nn.Linear(64, 256), nn.GELU(), nn.Linear(256, 64)).cuda()
    x = torch.randn(512, 64, device="cuda")
    mlp(x)  # loads what the library keeps for all calls
    expected = (2 * 512 * 256 + 512 * 64) * 4
    assert activation_memory(mlp, x) == pytest.approx(expected, rel=0.05)
