"""Steps of sizes of their own: the network itself where nothing is changed, and two-step methods where something is."""

import pytest
import torch

from odelib.analysis import Surgery, count_layers, operate, permuted, with_scalars
from odelib.analysis.depth import depth_of
from odelib.models import Encoder, EncoderConfig, ViT, ViTConfig

SIZES = {"dim": 16, "num_heads": 2, "mlp_ratio": 2.0, "vocab_size": 11, "max_tokens": 12}
TOKENS = torch.tensor([[2, 5, 6, 7, 3], [2, 8, 3, 0, 0]])
MASK = TOKENS != 0


def encoder(**sizes):
    torch.manual_seed(0)
    return Encoder(EncoderConfig(**SIZES, **sizes)).double().eval()


@pytest.mark.parametrize("sizes", [{"intervals": 3}, {"intervals": 1, "steps": 4}])
@pytest.mark.parametrize("memory", [False, True])
def test_at_first_they_are_the_layers(sizes, memory):
    model = encoder(**sizes)
    other, depth = with_scalars(model, memory=memory)
    depth.double()
    torch.testing.assert_close(other(TOKENS, MASK), model(TOKENS, MASK))
    layers = count_layers(model)
    assert sum(scalar.numel() for scalar in depth.scalars) == layers + memory * (layers - 1)


def test_steps_are_as_long_together_as_the_network():
    model = encoder(intervals=1, steps=4)
    other, depth = with_scalars(model, skip=(3,))
    depth.double()
    assert depth.a.tolist() == pytest.approx([4 / 3] * 3)
    assert not torch.allclose(other(TOKENS), operate(model, Surgery(skip=(3,)))(TOKENS))


def test_a_two_step_method_is_adams_and_bashforths():
    model = encoder(intervals=1, steps=2)
    other, depth = with_scalars(model, memory=True)
    depth.double()
    with torch.no_grad():
        depth.a.copy_(torch.tensor([1.0, 1.5]))
        depth.b.fill_(-0.5)
    field, x = depth.fields[0], model.start(TOKENS)
    first = field(0.0, x)
    second = field(0.0, x + first)
    record = []
    torch.testing.assert_close(other(TOKENS, None, record), x + first + 1.5 * second - 0.5 * first)
    torch.testing.assert_close(record[1], x + first)


def test_only_scalars_have_gradients_and_all_of_them_do():
    model = encoder(intervals=3)
    other, depth = with_scalars(model, memory=True)
    depth.double()
    model.requires_grad_(False)
    other(TOKENS, MASK).square().mean().backward()
    assert all((scalar.grad != 0).all() for scalar in depth.scalars)
    assert all(weight.grad is None for weight in model.parameters())


def test_weight_sets_come_in_another_order_and_back():
    torch.manual_seed(0)
    model = ViT(ViTConfig(dim=16, num_heads=2, mlp_ratio=1.0, intervals=3, step_size=0.5)).eval()
    images = torch.randn(2, 1, 28, 28)
    other = permuted(model, [2, 0, 1])
    assert depth_of(other).schedule == model.depth.schedule
    assert not torch.allclose(other(images), model(images))
    torch.testing.assert_close(permuted(other, [1, 2, 0])(images), model(images))
    for order in ([0, 1], [0, 1, 1], [1, 2, 3]):
        with pytest.raises(ValueError, match="expected the numbers 0 to 2, each once"):
            permuted(model, order)
