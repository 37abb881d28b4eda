import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from odelib.layers import Context, TransformerField, fuse_if_faster
from odelib.layers import fused as module

F64 = torch.float64
TOLERANCE = {torch.float32: 1e-6, F64: 1e-13, torch.bfloat16: 2e-2}


def values_and_gradients(field, x, context, fuse):
    field.fuse = fuse
    torch.manual_seed(1)
    given = field.given(context)
    given = type(given)(given.contexts, field.noise(x))
    field.zero_grad()
    x = x.detach().requires_grad_()
    out = field(0.0, x, given)
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
@settings(max_examples=60, deadline=None)
def test_two_products_equal_four(
    heads, tokens, batch, norm, place, activation, qkv_bias, qk_norm, causal, padded, dropout, dtype
):
    torch.manual_seed(0)
    field = TransformerField(
        16, heads, 2.0, norm=norm, norm_place=place, activation=activation, qkv_bias=qkv_bias, qk_norm=qk_norm,
        causal=causal, dropout=dropout, drop_path=dropout / 2,
    )  # fmt: skip
    with torch.no_grad():  # gains other than 1 and shifts other than 0
        for parameter in field.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    field.to(dtype)
    x = torch.randn(batch, tokens, 16, dtype=dtype)
    mask = torch.arange(tokens) < torch.randint(1, tokens + 1, (batch, 1))
    context = Context(mask=mask if padded else None)
    four, gradients = values_and_gradients(field, x, context, fuse=False)
    two, fused_gradients = values_and_gradients(field, x, context, fuse=True)
    rtol = TOLERANCE[dtype]
    torch.testing.assert_close(two, four, rtol=rtol, atol=rtol * float(four.detach().abs().max().clamp(min=1)))
    for ours, theirs in zip(fused_gradients, gradients, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=rtol, atol=rtol * float(theirs.abs().max().clamp(min=1)))


def test_the_state_dict_is_the_same():
    field = TransformerField(16, 2)
    names = list(field.state_dict())
    field.fuse = True
    assert list(field.state_dict()) == names


@pytest.mark.parametrize(("seconds", "chosen"), [((2.0, 1.0), True), ((1.0, 2.0), False), ((1.0, 1.0), False)])
def test_the_faster_form_is_chosen(monkeypatch, seconds, chosen):
    model = torch.nn.ModuleList([TransformerField(16, 2), TransformerField(16, 2, cross=True)])
    monkeypatch.setattr(module, "_seconds", lambda call: seconds[call()])
    assert fuse_if_faster(model, lambda: model[0].fuse, repeats=2) == seconds
    assert model[0].fuse is chosen
    assert model[1].fuse is False, "a field of three terms stays as it is"


def test_forms_that_cannot_be_fused_are_refused():
    field = TransformerField(16, 2, norm_place="post")
    field.fuse = True
    with pytest.raises(ValueError, match="only a sum of attention and MLP, normalised before"):
        field(0.0, torch.ones(1, 2, 16))
    with pytest.raises(ValueError, match="0 fields of the model can be fused"):
        fuse_if_faster(field, lambda: None)
    with pytest.raises(ValueError, match="0 repeats were asked for"):
        fuse_if_faster(TransformerField(16, 2), lambda: None, repeats=0)


@pytest.mark.parametrize(("rule", "steps"), [("euler", 1), ("rk4", 3), ("reversible(heun)", 2)])
def test_weights_are_folded_once_per_interval(monkeypatch, rule, steps):
    from odelib.layers import DepthBlock, DepthSchedule, depth

    folds = []
    monkeypatch.setattr(depth, "fold", lambda field: folds.append(field) or module.fold(field))
    block = DepthBlock([TransformerField(16, 2, dropout=0.2) for _ in range(2)], rule, DepthSchedule(2, steps))
    x, results = torch.randn(2, 5, 16), []
    for fuse in (False, True):
        for field in block.fields:
            field.fuse = fuse
        block.zero_grad()
        torch.manual_seed(0)
        out = block(x)
        out.square().mean().backward()
        results.append([out, *(p.grad for p in block.parameters())])
    assert folds == list(block.fields)
    for four, two in zip(*results, strict=True):
        torch.testing.assert_close(two, four, rtol=1e-5, atol=1e-6)
