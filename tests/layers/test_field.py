import pytest
import torch
from torch import nn

from odelib.layers import MLP, Context, FusedTransformerField, MultiHeadAttention, Term, TransformerField
from odelib.solvers import STEP_RULES, solve, step_rule

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


def copy_attention(ours, theirs):
    theirs.in_proj_weight.copy_(ours.qkv.weight)
    theirs.in_proj_bias.copy_(ours.qkv.bias)
    theirs.out_proj.load_state_dict(ours.proj.state_dict())


def step(field, x, rule="lie-trotter", context=None):
    return solve(field.bind(context or Context()), x, (0.0, 1.0), rule=rule).ys[-1]


@pytest.mark.parametrize("place", ["pre", "post"])
@pytest.mark.parametrize("causal", [False, True])
def test_lie_trotter_step_equals_pytorchs_encoder_layer(place, causal):
    field = make_field(norm_eps=1e-5, norm_place=place, causal=causal)
    layer = nn.TransformerEncoderLayer(
        24, 3, 48, dropout=0.0, activation="gelu", norm_first=place == "pre", batch_first=True, dtype=F64
    )
    with torch.no_grad():
        copy_attention(field.attention.sublayer, layer.self_attn)
        layer.linear1.load_state_dict(field.mlp.sublayer.fc1.state_dict())
        layer.linear2.load_state_dict(field.mlp.sublayer.fc2.state_dict())
    x = torch.randn(2, 5, 24, dtype=F64)
    mask = torch.tensor([[True] * 5, [True] * 3 + [False] * 2])
    theirs = layer(
        x,
        src_mask=torch.ones(5, 5, dtype=torch.bool).triu(1) if causal else None,
        src_key_padding_mask=~mask,
        is_causal=causal,
    )
    torch.testing.assert_close(step(field, x, "lie-trotter", Context(mask)), theirs, rtol=1e-12, atol=1e-12)


def test_lie_trotter_step_of_three_terms_equals_pytorchs_decoder_layer():
    field = make_field(norm_eps=1e-5, causal=True, cross=True)
    layer = nn.TransformerDecoderLayer(
        24, 3, 48, dropout=0.0, activation="gelu", norm_first=True, batch_first=True, dtype=F64
    )
    with torch.no_grad():
        copy_attention(field.attention.sublayer, layer.self_attn)
        copy_attention(field.cross.sublayer, layer.multihead_attn)
        layer.linear1.load_state_dict(field.mlp.sublayer.fc1.state_dict())
        layer.linear2.load_state_dict(field.mlp.sublayer.fc2.state_dict())
    x, memory = torch.randn(2, 5, 24, dtype=F64), torch.randn(2, 4, 24, dtype=F64)
    mask = torch.tensor([[True] * 4, [True] * 2 + [False] * 2])
    future = torch.ones(5, 5, dtype=torch.bool).triu(1)
    theirs = layer(x, memory, tgt_mask=future, memory_key_padding_mask=~mask)
    ours = step(field, x, "lie-trotter", Context(memory=memory, memory_mask=mask))
    torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=1e-12)
    assert step_rule("lie-trotter").evaluations(len(field.terms)) == 1


@pytest.mark.parametrize("style", ["GPT-J", "ViT-22B"])
def test_euler_step_with_one_norm_equals_timms_parallel_block(style):
    from timm.models.vision_transformer import ParallelScalingBlock

    vit = style == "ViT-22B"  # it normalises queries and keys, and their projection has no bias
    torch.manual_seed(0)
    theirs = ParallelScalingBlock(24, 3, 2.0, qkv_bias=not vit, qk_norm=vit).to(F64)
    field = make_field(norm_place="shared", norm_eps=theirs.in_norm.eps, qkv_bias=not vit, qk_norm=vit, causal=not vit)
    with torch.no_grad():
        for parameter in theirs.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
        attention, mlp = field.attention.sublayer, field.mlp.sublayer
        field.attention.norm.load_state_dict(theirs.in_norm.state_dict())
        mlp.fc1.weight.copy_(theirs.in_proj.weight[:48])
        attention.qkv.weight.copy_(theirs.in_proj.weight[48:])
        if vit:
            mlp.fc1.bias.copy_(theirs.mlp_bias)
            attention.q_norm.load_state_dict(theirs.q_norm.state_dict())
            attention.k_norm.load_state_dict(theirs.k_norm.state_dict())
        else:
            mlp.fc1.bias.copy_(theirs.in_proj.bias[:48])
            attention.qkv.bias.copy_(theirs.in_proj.bias[48:])
        attention.proj.load_state_dict(theirs.attn_out_proj.state_dict())
        mlp.fc2.load_state_dict(theirs.mlp_out_proj.state_dict())
    x = torch.randn(2, 5, 24, dtype=F64, requires_grad=True)
    two_products = FusedTransformerField(
        24, 3, 2.0, norm_place="shared", norm_eps=theirs.in_norm.eps, qkv_bias=not vit, qk_norm=vit, causal=not vit
    ).to(F64)
    two_products.load_state_dict(field.state_dict())
    for form in (field, two_products):
        outs = step(form, x, "euler"), theirs(x, is_causal=not vit)
        torch.testing.assert_close(*outs, rtol=1e-12, atol=1e-12)
        gradients = [torch.autograd.grad(out.sin().sum(), x)[0] for out in outs]
        torch.testing.assert_close(*gradients, rtol=1e-12, atol=1e-12)
    assert sum(p.numel() for p in field.parameters()) == sum(p.numel() for p in theirs.parameters())


def test_rms_norm_and_swiglu_by_hand():
    field = make_field(norm="rms", activation="swiglu")
    x = torch.randn(2, 5, 24, dtype=F64)
    with torch.no_grad():
        field.mlp.norm.weight.copy_(torch.randn(24))
    z = field.mlp.norm.weight * x / (x.square().mean(dim=2, keepdim=True) + 1e-6).sqrt()
    gate, value = field.mlp.sublayer.fc1(z).split(48, dim=2)
    by_hand = field.mlp.sublayer.fc2(gate * torch.sigmoid(gate) * value)
    torch.testing.assert_close(field.mlp(0.0, x), by_hand)


@pytest.mark.parametrize("place", ["pre", "shared", "post"])
@pytest.mark.parametrize("cross", [False, True])
def test_the_field_is_the_sum_of_its_terms(place, cross):
    field = make_field(norm_place=place, cross=cross, dropout=0.2)
    x = torch.randn(2, 5, 24, dtype=F64)
    context = Context(memory=torch.randn(2, 3, 24, dtype=F64)) if cross else Context()
    held = field.bind(context).draw(x)
    torch.testing.assert_close(held(0.0, x), sum(term(0.0, x) for term in held.terms))


@pytest.mark.parametrize("rule", [*STEP_RULES, "strang(midpoint)"])
@pytest.mark.parametrize("place", ["pre", "shared"])
def test_a_causal_field_leaks_nothing_under_any_step_rule(rule, place):
    field = make_field(causal=True, norm_place=place, rotary=True)
    x = torch.randn(1, 6, 24, dtype=F64)
    changed = x.clone()
    changed[:, 3:] += torch.randn(1, 3, 24, dtype=F64)
    one, other = (solve(field, y, (0.0, 1.0), rule=rule, steps=2).ys[-1] for y in (x, changed))
    assert torch.equal(one[:, :3], other[:, :3])
    assert not torch.allclose(one[:, 3:], other[:, 3:])


@pytest.mark.parametrize("rule", ["euler", "lie-trotter", "strang", "rk4"])
def test_padding_changes_nothing(rule):
    field = make_field()
    x = torch.randn(2, 6, 24, dtype=F64)
    mask = torch.tensor([[True] * 4 + [False] * 2] * 2)
    short = step(field, x[:, :4], rule)
    torch.testing.assert_close(step(field, x, rule, Context(mask))[:, :4], short, rtol=1e-12, atol=1e-12)


def test_euler_step_is_the_parallel_layer():
    field = make_field()
    x = torch.randn(2, 5, 24, dtype=F64)
    by_hand = x + field.attention.sublayer(field.attention.norm(x)) + field.mlp.sublayer(field.mlp.norm(x))
    ours = step(field, x, "euler")
    torch.testing.assert_close(ours, by_hand)


def test_strang_step_is_the_macaron_layer():
    field = make_field()
    x = torch.randn(2, 5, 24, dtype=F64)
    a, m = field.terms
    by_hand = x + 0.5 * m(0.0, x)
    by_hand = by_hand + a(0.0, by_hand)
    by_hand = by_hand + 0.5 * m(0.0, by_hand)
    ours = step(field, x, "strang")
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


@pytest.mark.parametrize("rule", ["euler", "lie-trotter"])
def test_hooks_and_later_changes_reach_a_field_that_is_bound_and_drawn(rule):
    field, called = make_field(dropout=0.2, cross=True), []
    context = Context(memory=torch.randn(2, 3, 24, dtype=F64))
    bound = field.bind(context)
    for name, part in field.named_modules():
        part.register_forward_hook(lambda *call, name=name: called.append(name))
    x = torch.randn(2, 5, 24, dtype=F64)
    step(field, x, rule, context)
    expected = {name for name, _ in field.named_modules()} - ({""} if rule == "lie-trotter" else set())
    assert set(called) == expected
    with torch.no_grad():
        field.mlp.sublayer.fc2.bias.add_(1.0)
    torch.testing.assert_close(bound.mlp(0.0, x), field.mlp(0.0, x), rtol=0, atol=0)
    assert bound.training == field.training
    assert [id(weight) for weight in bound.parameters()] == [id(weight) for weight in field.parameters()]


def test_binding_and_drawing_leave_the_field_as_it_was():
    field = make_field(dropout=0.3, cross=True)
    x, context = torch.randn(2, 5, 24, dtype=F64), Context(memory=torch.randn(2, 3, 24, dtype=F64))
    held = field.bind(context).draw(x)
    assert field.attention.keep is None
    assert field.cross.sublayer.context is None
    with pytest.raises(ValueError, match="no memory came for a field that reads one"):
        field(0.0, x)
    again = field.draw(x).bind(context)  # in the other order
    again.attention.keep, again.cross.keep, again.mlp.keep = (term.keep for term in held.terms)
    torch.testing.assert_close(again(0.0, x), held(0.0, x), rtol=0, atol=0)


@pytest.mark.parametrize("part", ["attention", "attention.sublayer", "mlp"])
def test_what_is_bound_and_drawn_has_effect_where_a_part_was_compiled_or_wrapped(part):
    from torch.distributed.algorithms._checkpoint.checkpoint_wrapper import checkpoint_wrapper

    x, context = torch.randn(2, 5, 24, dtype=F64), Context(torch.tensor([[True] * 5, [True] * 3 + [False] * 2]))

    def held(field):
        torch.manual_seed(1)
        return field.bind(context).draw(x)(0.0, x)

    expected, field = held(make_field(dropout=0.3)), make_field(dropout=0.3)
    field.get_submodule(part).compile(backend="eager")
    torch.testing.assert_close(held(field), expected)
    for wrap in (checkpoint_wrapper, lambda module: torch.compile(module, backend="eager")):
        field = make_field(dropout=0.3)
        field.set_submodule(part, wrap(field.get_submodule(part)))
        torch.testing.assert_close(held(field), expected)
    field = make_field(dropout=0.3)
    field.get_submodule(part).forward = lambda *inputs: x
    with pytest.raises(
        TypeError, match="was replaced on the object, so that what is bound or drawn would have no effect"
    ):
        held(field)


def test_one_norm_for_all_terms_is_computed_once():
    for cross in (False, True):
        field, called = make_field(norm_place="shared", cross=cross), []
        field.attention.norm.register_forward_hook(lambda *call, called=called: called.append(1))
        x, context = torch.randn(2, 5, 24, dtype=F64), Context(memory=torch.randn(2, 3, 24, dtype=F64))
        field.bind(context if cross else Context())(0.0, x)
        assert len(called) == 1


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
        (lambda: TransformerField(8, 2, norm="layr"), "unknown norm 'layr': the nearest valid name is 'layer'"),
        (lambda: TransformerField(8, 2, norm_place="first"), "unknown norm_place 'first'"),
        (lambda: TransformerField(8, 2, activation="relu"), "unknown activation 'relu'"),
        (lambda: TransformerField(8, 2, cross=True)(0.0, torch.ones(1, 2, 8)), "no memory came"),
        (lambda: TransformerField(8, 2).bind(Context(memory=torch.ones(1, 2, 8))), "a memory came for a field"),
        (lambda: FusedTransformerField(8, 2, norm_place="post"), "only a sum of attention and MLP, normalised before"),
        (lambda: FusedTransformerField(8, 2, cross=True), "only a sum of attention and MLP, normalised before"),
    ],
)
def test_bad_sizes_are_refused(make, sentence):
    with pytest.raises(ValueError, match=sentence):
        make()
