import pytest
import torch
from torch import nn

from odelib.layers import MLP, MultiHeadAttention, Term, TransformerField
from odelib.solvers import solve, step_rule

F64 = torch.float64


def make_field(dim=24, num_heads=3, **options):
    torch.manual_seed(0)
    return TransformerField(dim, num_heads, 2.0, **options).to(F64)


def test_attention_equals_pytorch():
    torch.manual_seed(0)
    ours = MultiHeadAttention(24, 3)
    theirs = nn.MultiheadAttention(24, 3, batch_first=True)
    with torch.no_grad():
        theirs.in_proj_weight.copy_(ours.qkv.weight)
        theirs.in_proj_bias.copy_(ours.qkv.bias)
        theirs.out_proj.weight.copy_(ours.proj.weight)
        theirs.out_proj.bias.copy_(ours.proj.bias)
    x = torch.randn(2, 5, 24)
    torch.testing.assert_close(ours(x), theirs(x, x, x, need_weights=False)[0], rtol=1e-5, atol=1e-6)


def test_lie_trotter_step_equals_pytorchs_pre_norm_layer():
    field = make_field(norm_eps=1e-5)
    layer = nn.TransformerEncoderLayer(
        24, 3, 48, dropout=0.0, activation="gelu", norm_first=True, batch_first=True, dtype=F64
    )
    with torch.no_grad():
        layer.self_attn.in_proj_weight.copy_(field.attention.sublayer.qkv.weight)
        layer.self_attn.in_proj_bias.copy_(field.attention.sublayer.qkv.bias)
        layer.self_attn.out_proj.weight.copy_(field.attention.sublayer.proj.weight)
        layer.self_attn.out_proj.bias.copy_(field.attention.sublayer.proj.bias)
        layer.linear1.load_state_dict(field.mlp.sublayer.fc1.state_dict())
        layer.linear2.load_state_dict(field.mlp.sublayer.fc2.state_dict())
    x = torch.randn(2, 5, 24, dtype=F64)
    ours, _, _ = step_rule("lie-trotter").step(field, 0.0, 1.0, x, None)
    torch.testing.assert_close(ours, layer(x), rtol=1e-12, atol=1e-12)


def test_euler_step_is_the_parallel_layer():
    field = make_field()
    x = torch.randn(2, 5, 24, dtype=F64)
    by_hand = x + field.attention.sublayer(field.attention.norm(x)) + field.mlp.sublayer(field.mlp.norm(x))
    ours, _, _ = step_rule("euler").step(field, 0.0, 1.0, x, None)
    torch.testing.assert_close(ours, by_hand)


def test_strang_step_is_the_macaron_layer():
    field = make_field()
    x = torch.randn(2, 5, 24, dtype=F64)
    a, m = field.terms
    by_hand = x + 0.5 * m(0.0, x)
    by_hand = by_hand + a(0.0, by_hand)
    by_hand = by_hand + 0.5 * m(0.0, by_hand)
    ours, _, _ = step_rule("strang").step(field, 0.0, 1.0, x, None)
    torch.testing.assert_close(ours, by_hand)


def test_attention_does_not_depend_on_the_order_of_tokens():
    field = make_field()
    x = torch.randn(2, 7, 24, dtype=F64)
    order = torch.randperm(7)
    torch.testing.assert_close(field(0.0, x[:, order]), field(0.0, x)[:, order])


def test_noise_is_held_for_all_stages_and_off_in_eval():
    field = make_field(dropout=0.3, drop_path=0.2)
    x = torch.randn(8, 5, 24, dtype=F64)
    held = field.draw(x)
    torch.testing.assert_close(held(0.0, x), held(0.5, x), rtol=0, atol=0)
    assert not torch.equal(held(0.0, x), field.draw(x)(0.0, x)), "a new step draws anew"
    field.eval()
    assert field.draw(x) is field


def test_noise_keeps_the_mean_of_a_term():
    term = Term(nn.Identity(), nn.Identity(), dropout=0.25, drop_path=0.5)
    x = torch.ones(20_000, 1, 4, dtype=F64)
    drawn = term.draw(x)(0.0, x)
    assert drawn.mean().item() == pytest.approx(1.0, abs=0.03)
    scale = 1 / (0.75 * 0.5)
    torch.testing.assert_close(drawn.unique(), torch.tensor([0.0, scale], dtype=F64))
    whole = (drawn == 0).all(dim=-1).double().mean().item()
    assert whole == pytest.approx(0.5 + 0.5 * 0.25**4, abs=0.02), "drop_path takes the whole sample"


def test_gradients_pass_gradcheck():
    field = make_field(dim=4, num_heads=2)
    x = torch.randn(1, 3, 4, dtype=F64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: solve(field, x, (0.0, 1.0), rule="rk4", steps=2).ys[-1], (x,))


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: MultiHeadAttention(10, 3), "dim 10 is not divisible by num_heads 3"),
        (lambda: MLP(4, 0), "hidden width is 0"),
        (lambda: TransformerField(8, 2, dropout=1.5), "dropout is 1.5: it is a probability"),
        (lambda: TransformerField(8, 2, drop_path=-0.1), "drop_path is -0.1"),
    ],
)
def test_bad_sizes_are_refused(make, sentence):
    with pytest.raises(ValueError, match=sentence):
        make()
