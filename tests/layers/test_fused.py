import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from odelib.layers import Context, DepthBlock, DepthSchedule, FusedTransformerField, TransformerField
from odelib.layers import fused as module

F64 = torch.float64
TOLERANCE = {torch.float32: 1e-6, F64: 1e-13, torch.bfloat16: 2e-2}


def both(*sizes, **options):
    """A field in its two forms, with the same weights."""
    plain, fused = TransformerField(*sizes, **options), FusedTransformerField(*sizes, **options)
    fused.load_state_dict(plain.state_dict())
    return plain, fused


def values_and_gradients(field, x, context):
    torch.manual_seed(1)
    held = field.bind(context).draw(x)
    field.zero_grad()
    x = x.detach().requires_grad_()
    out = held(0.0, x)
    out.float().square().mean().backward()
    return out, [x.grad, *(p.grad for p in field.parameters())]


@given(
    heads=st.sampled_from([1, 2, 4]),
    tokens=st.integers(1, 9),
    batch=st.integers(1, 3),
    norm=st.sampled_from(["layer", "rms"]),
    place=st.sampled_from(["pre", "shared"]),
    activation=st.sampled_from(["gelu", "swiglu"]),
    qkv_bias=st.booleans(),
    qk_norm=st.booleans(),
    causal=st.booleans(),
    padded=st.booleans(),
    dropout=st.sampled_from([0.0, 0.3]),
    dtype=st.sampled_from([torch.float32, F64, torch.bfloat16]),
)
@settings(max_examples=60)
def test_two_products_equal_four(
    heads, tokens, batch, norm, place, activation, qkv_bias, qk_norm, causal, padded, dropout, dtype
):
    torch.manual_seed(0)
    plain, fused = both(
        16, heads, 2.0, norm=norm, norm_place=place, activation=activation, qkv_bias=qkv_bias, qk_norm=qk_norm,
        causal=causal, dropout=dropout, drop_path=dropout / 2,
    )  # fmt: skip
    with torch.no_grad():  # gains other than 1 and shifts other than 0
        for parameter in plain.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    fused.load_state_dict(plain.state_dict())
    plain.to(dtype), fused.to(dtype)
    x = torch.randn(batch, tokens, 16, dtype=dtype)
    mask = torch.arange(tokens) < torch.randint(1, tokens + 1, (batch, 1))
    context = Context(mask=mask if padded else None)
    four, gradients = values_and_gradients(plain, x, context)
    two, fused_gradients = values_and_gradients(fused, x, context)
    rtol = TOLERANCE[dtype]
    torch.testing.assert_close(two, four, rtol=rtol, atol=rtol * float(four.detach().abs().max().clamp(min=1)))
    for ours, theirs in zip(fused_gradients, gradients, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=rtol, atol=rtol * float(theirs.abs().max().clamp(min=1)))


def test_the_state_dict_is_the_same():
    for place in ("pre", "shared"):
        plain, fused = both(16, 2, norm_place=place)
        assert list(fused.state_dict()) == list(plain.state_dict())
        assert list(fused.bind(Context()).state_dict()) == list(plain.state_dict())


def test_unbound_and_bound_are_the_same_and_follow_the_weights():
    plain, fused = both(16, 2)
    x = torch.randn(2, 5, 16)
    with torch.no_grad():
        for field in (plain, fused):
            field.attention.norm.weight.mul_(2.0)
    for form in (fused, fused.bind(Context())):
        torch.testing.assert_close(form(0.0, x), plain(0.0, x), rtol=1e-5, atol=1e-6)


class Adapted(nn.Linear):
    """A linear map with something added."""

    def forward(self, x):
        return super().forward(x) + 1.0


@pytest.mark.parametrize("part", ["attention.sublayer.qkv", "attention.sublayer.proj", "mlp.sublayer.fc1"])
@pytest.mark.parametrize("hook", [False, True])
def test_what_would_have_no_effect_is_refused(part, hook):
    field = FusedTransformerField(16, 2)
    linear = field.get_submodule(part)
    if hook:
        linear.register_forward_hook(lambda module, inputs, out: out + 1.0)
    else:
        field.set_submodule(part, Adapted(linear.in_features, linear.out_features))
    with pytest.raises(TypeError, match=r"would have no effect: choose the field 'transformer'"):
        field(0.0, torch.ones(1, 2, 16))


@pytest.mark.parametrize(("rule", "steps"), [("euler", 1), ("rk4", 3), ("reversible(heun)", 2)])
def test_weights_are_folded_once_per_interval(monkeypatch, rule, steps):
    folds, fold = [], module.fold
    monkeypatch.setattr(module, "fold", lambda field: folds.append(field) or fold(field))
    results, x = [], torch.randn(2, 5, 16)
    torch.manual_seed(0)
    for fields in zip(*(both(16, 2, dropout=0.2) for _ in range(2)), strict=True):
        block = DepthBlock(fields, rule, DepthSchedule(2, steps))
        torch.manual_seed(0)
        out = block(x)
        out.square().mean().backward()
        results.append([out, *(p.grad for p in block.parameters())])
    assert folds == list(block.fields)
    for four, two in zip(*results, strict=True):
        torch.testing.assert_close(two, four, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("weights", ["piecewise", "linear", "fourier"])
@pytest.mark.parametrize("gradient", ["backprop", "checkpoint", "reversible", "adjoint"])
def test_it_is_the_plain_field_under_every_schedule_and_gradient_mode(weights, gradient):
    torch.manual_seed(0)
    results, x = [], torch.randn(2, 5, 16, dtype=F64)
    for fields in zip(*(both(16, 2, 2.0) for _ in range(3)), strict=True):
        schedule = DepthSchedule(3 - (weights == "linear"), 2, 0.5, weights=weights)
        block = DepthBlock(fields, "midpoint", schedule, learn_step_size=True, gradient=gradient).to(F64)
        out = block(x)
        out.sin().sum().backward()
        results.append([out, *(p.grad for p in block.parameters())])
    for four, two in zip(*results, strict=True):
        torch.testing.assert_close(two, four, rtol=1e-10, atol=1e-12)
