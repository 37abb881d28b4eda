"""A whole layer as a field: its Euler step is the layer, smaller steps are means of old state and new."""

import pytest
import torch

from odelib.layers import Context, DepthBlock, DepthSchedule, TransformerField, WholeLayer
from odelib.solvers import integrate


def make(place, **options):
    torch.manual_seed(0)
    field = TransformerField(16, 2, 2.0, norm_place=place, **options).double()
    with torch.no_grad():  # norms start as the identity
        for parameter in field.parameters():
            parameter.add_(0.2 * torch.randn_like(parameter))
    return field.eval(), torch.randn(2, 5, 16, dtype=torch.float64)


@pytest.mark.parametrize("place", ["pre", "shared", "post"])
@pytest.mark.parametrize("rule", ["lie-trotter", "euler", "rk4"])
def test_a_step_is_the_layer_and_half_a_step_the_mean(place, rule):
    field, x = make(place)
    layer = integrate(field, rule, x, t=0.0, h=1.0, steps=1)
    whole = WholeLayer(field, rule)
    torch.testing.assert_close(integrate(whole, "euler", x, t=0.0, h=1.0, steps=1), layer)
    half = integrate(whole, "euler", x, t=0.0, h=0.5, steps=1)
    torch.testing.assert_close(half, (x + layer) / 2)


def test_the_norm_of_a_smaller_step_is_no_step_and_the_whole_layers_field_is():
    field, x = make("post")
    small = 1e-6
    moved = field.attention.norm(x + small * field.attention.sublayer(x)) - x
    assert moved.abs().max() > 0.1  # the norm moves the state, however small the step
    assert (integrate(WholeLayer(field), "euler", x, t=0.0, h=small, steps=1) - x).abs().max() < 1e-4


def test_where_the_norm_forgets_the_state_the_field_pulls_at_rate_one():
    field, x = make("post")
    away = torch.ones_like(x)  # the mean of the entries, which the first norm does not see where attention adds nothing
    with torch.no_grad():
        for term in field.terms:
            for parameter in term.sublayer.parameters():
                parameter.zero_()
    whole = WholeLayer(field)
    torch.testing.assert_close(whole(0.0, x + 0.1 * away) - whole(0.0, x), -0.1 * away)


def test_masks_reach_the_field_inside_and_dropout_is_drawn_once_per_step():
    field, x = make("post", dropout=0.5)
    mask = torch.tensor([[True] * 5, [True] * 3 + [False] * 2])
    block = DepthBlock([WholeLayer(field)], "rk4", DepthSchedule(1, steps=2, step_size=0.5)).eval()
    first = block(x, context=Context(mask))
    other = torch.where(mask[..., None], x, 7.0)
    torch.testing.assert_close(block(other, context=Context(mask))[mask], first[mask])
    with pytest.raises(ValueError, match="memory came for a field that reads none"):
        block(x, context=Context(memory=x))
    whole = WholeLayer(field).train()
    held = whole.draw(x)
    assert torch.equal(held(0.0, x), held(0.0, x))
    assert not torch.equal(held(0.0, x), whole.draw(x)(0.0, x))
    assert whole.eval().draw(x) is whole


def test_an_unknown_rule_is_refused():
    with pytest.raises(ValueError, match="unknown step rule"):
        WholeLayer(make("pre")[0], "eler")
