import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode

from odelib.layers import Context, KeyValueCache, MultiHeadAttention
from odelib.layers.attention import attend, explicit_attention, rotate

F64 = torch.float64


def make(**options):
    torch.manual_seed(0)
    return MultiHeadAttention(24, 3, **options).to(F64)


def pytorchs(ours):
    theirs = nn.MultiheadAttention(24, 3, batch_first=True, dtype=F64)
    with torch.no_grad():
        theirs.in_proj_weight.copy_(ours.qkv.weight)
        theirs.in_proj_bias.copy_(ours.qkv.bias)
        theirs.out_proj.weight.copy_(ours.proj.weight)
        theirs.out_proj.bias.copy_(ours.proj.bias)
    return theirs


@given(
    queries=st.integers(1, 6),
    keys=st.integers(1, 6),
    causal=st.booleans(),
    padded=st.booleans(),
    cross=st.booleans(),
    seed=st.integers(0, 99),
)
@settings(max_examples=60)
def test_equals_pytorchs_attention_under_all_masks(queries, keys, causal, padded, cross, seed):
    ours = make(causal=causal, cross=cross)
    torch.manual_seed(seed)
    x, memory = torch.randn(2, queries, 24, dtype=F64), torch.randn(2, keys, 24, dtype=F64)
    source = memory if cross else x
    mask = torch.rand(2, source.shape[1]) < 0.6
    mask[:, 0] = True  # a query that may read nothing has no defined value
    mask = mask if padded else None
    context = Context(memory=memory, memory_mask=mask) if cross else Context(mask)
    future = torch.ones(queries, queries, dtype=torch.bool).triu(1) if causal and not cross else None
    theirs, _ = pytorchs(ours)(
        x, source, source, key_padding_mask=None if mask is None else ~mask, attn_mask=future, need_weights=False
    )
    torch.testing.assert_close(ours.bind(context)(x), theirs, rtol=1e-10, atol=1e-12)


@given(
    dtype=st.sampled_from([torch.float32, F64, torch.bfloat16]),
    tokens=st.integers(1, 9),
    kind=st.sampled_from(["all", "causal", "mask"]),
)
@settings(max_examples=30)
def test_both_kernels_agree_in_values_and_gradients(dtype, tokens, kind):
    torch.manual_seed(0)
    q, k, v = (torch.randn(2, 3, tokens, 8, dtype=dtype, requires_grad=True) for _ in range(3))
    keys = torch.arange(tokens) < torch.tensor([[tokens], [1]])
    read = {"all": False, "causal": True, "mask": keys[:, None, None]}[kind]
    tolerance = {torch.float32: 1e-5, F64: 1e-12, torch.bfloat16: 0.05}[dtype]
    flags = {"is_causal": read} if isinstance(read, bool) else {"attn_mask": read}
    fused = nn.functional.scaled_dot_product_attention(q, k, v, **flags)
    for ours in (attend(q, k, v, read), explicit_attention(q, k, v, read)):
        torch.testing.assert_close(ours, fused, rtol=tolerance, atol=tolerance)
        for one, other in zip(
            torch.autograd.grad(ours.float().sin().sum(), (q, k, v)),
            torch.autograd.grad(fused.float().sin().sum(), (q, k, v), retain_graph=True),
            strict=True,
        ):
            torch.testing.assert_close(one, other, rtol=tolerance, atol=2 * tolerance)


def test_a_row_of_padding_alone_is_finite():
    q, k, v = (torch.randn(2, 1, 3, 4, requires_grad=True) for _ in range(3))
    read = torch.tensor([[True, True, False], [False, False, False]])[:, None, None]
    for out in (attend(q, k, v, read), explicit_attention(q, k, v, read)):
        assert out.isfinite().all()
        assert all(g.isfinite().all() for g in torch.autograd.grad(out.sum(), (q, k, v)))


def test_rotary_positions_enter_by_their_difference():
    torch.manual_seed(0)
    q, k = torch.randn(1, 1, 6, 8, dtype=F64), torch.randn(1, 1, 6, 8, dtype=F64)
    scores = [rotate(q, start) @ rotate(k, start).transpose(2, 3) for start in (0, 17)]
    torch.testing.assert_close(scores[0], scores[1], rtol=1e-5, atol=1e-5)  # the angles are float32
    torch.testing.assert_close(rotate(q).norm(dim=3), q.norm(dim=3), rtol=1e-6, atol=0)
    assert not torch.allclose(rotate(q)[:, :, 1:], q[:, :, 1:])


@pytest.mark.parametrize("start", [0, 2000])
@pytest.mark.parametrize("turned", [8, 4, 2])
def test_rotary_positions_are_those_of_gpt_j(start, turned):
    from transformers.models.gptj.modeling_gptj import apply_rotary_pos_emb, create_sinusoidal_positions

    x = torch.randn(2, 5, 3, 8)  # (batch, tokens, heads, width)
    sin, cos = create_sinusoidal_positions(start + 5, turned)[None, start:].chunk(2, dim=-1)
    theirs = torch.cat([apply_rotary_pos_emb(x[..., :turned], sin, cos), x[..., turned:]], dim=3)
    ours = rotate(x.transpose(1, 2), start, rotary_dim=turned)
    torch.testing.assert_close(ours, theirs.transpose(1, 2))
    if turned == 8:
        assert torch.equal(rotate(x.transpose(1, 2), start), ours)


@pytest.mark.parametrize("start", [0, 2000])
@pytest.mark.parametrize("turned", [8, 4, 2])
def test_rotary_positions_are_those_of_gpt_neox_in_another_order(start, turned):
    from transformers.models.gpt_neox.modeling_gpt_neox import apply_rotary_pos_emb

    x = torch.randn(2, 3, 5, 8)
    speeds = 1.0 / 500.0 ** (torch.arange(0, turned, 2) / turned)
    angles = torch.outer(torch.arange(start, start + 5).float(), speeds).repeat(1, 2)[None]
    theirs, _ = apply_rotary_pos_emb(x, x, angles.cos(), angles.sin())
    order = [*torch.arange(turned).view(2, -1).T.flatten().tolist(), *range(turned, 8)]
    torch.testing.assert_close(rotate(x[..., order], start, 500.0, turned), theirs[..., order])


def test_only_rotary_attention_knows_the_order_of_its_past():
    x = torch.randn(1, 6, 24, dtype=F64)
    order = torch.tensor([2, 0, 1, 4, 3, 5])
    for rotary in (False, True):
        attention = make(causal=True, rotary=rotary)
        same = torch.allclose(attention(x)[:, -1], attention(x[:, order])[:, -1])
        assert same != rotary


@pytest.mark.parametrize(
    "options",
    [{}, {"rotary": True}, {"qk_norm": True}, {"rotary": True, "rotary_dim": 4, "rotary_base": 100.0}],
    ids=str,
)
@pytest.mark.parametrize("parts", [(5,), (1, 1, 1, 1, 1), (2, 3), (4, 1)], ids=str)
def test_a_cache_changes_no_number(options, parts):
    attention = make(causal=True, **options)
    x = torch.randn(2, 5, 24, dtype=F64)
    cache = KeyValueCache(5)
    out = []
    for piece in x.split(parts, dim=1):
        out.append(attention.bind(Context(cache=cache))(piece))
        cache.advance(piece.shape[1])
    torch.testing.assert_close(torch.cat(out, dim=1), attention(x), rtol=1e-10, atol=1e-12)
    with pytest.raises(ValueError, match="room for 5 tokens and 6 came"):
        attention.bind(Context(cache=cache))(x[:, :1])


def test_a_cache_keeps_the_memory_and_follows_the_rows():
    attention = make(cross=True)
    x, memory = torch.randn(3, 2, 24, dtype=F64), torch.randn(3, 4, 24, dtype=F64)
    cache = KeyValueCache(9)
    rows = torch.tensor([2, 2, 0])
    with_cache = attention.bind(Context(memory=memory, cache=cache))(x)
    torch.testing.assert_close(with_cache, attention.bind(Context(memory=memory))(x))
    cache.advance(2)
    cache.select(rows)
    kept = attention.bind(Context(memory=memory * float("nan"), cache=cache))(x)  # the memory is not read again
    torch.testing.assert_close(kept, attention.bind(Context(memory=memory[rows]))(x))


@pytest.mark.usefixtures("attention_on_fake_cuda")
def test_padding_changes_nothing_on_cuda_without_a_cuda_device():
    with FakeTensorMode(), torch.device("cuda"), torch.no_grad():
        attention = MultiHeadAttention(24, 3, causal=True, rotary=True, qk_norm=True)
        crossed = MultiHeadAttention(24, 3, qk_norm=True, cross=True)
        x, mask = torch.ones(2, 5, 24), torch.ones(2, 5, dtype=torch.bool)
        memory = torch.ones(2, 7, 24)
        for context in (Context(), Context(mask=mask), Context(cache=KeyValueCache(5))):
            assert attention.bind(context)(x).device.type == "cuda"
        assert crossed.bind(Context(memory=memory))(x).device.type == "cuda"


def test_biases_and_the_turned_part_are_as_asked():
    for qkv in (True, False):
        for proj in (True, False):
            attention = MultiHeadAttention(24, 3, qkv, proj_bias=proj)
            assert (attention.qkv.bias is not None, attention.proj.bias is not None) == (qkv, proj)
    torch.manual_seed(0)
    x = torch.randn(1, 5, 24, dtype=F64)
    outs = [
        make(rotary=True, **options)(x)
        for options in ({}, {"rotary_dim": 8}, {"rotary_dim": 2}, {"rotary_base": 3.0}, {"rotary_dim": 2})
    ]
    assert torch.equal(outs[0], outs[1])
    assert torch.equal(outs[2], outs[4])
    assert not torch.allclose(outs[0], outs[2], rtol=1e-3)
    assert not torch.allclose(outs[0], outs[3], rtol=1e-3)
    assert not torch.allclose(outs[0], make()(x), rtol=1e-3)


@pytest.mark.parametrize(
    ("make", "error", "sentence"),
    [
        (lambda: Context(mask=torch.ones(2, 5)), TypeError, "dtype torch.float32, expected torch.bool"),
        (lambda: Context(mask=torch.ones(5, dtype=torch.bool)), ValueError, r"shape \(5,\), expected \(batch"),
        (lambda: Context(memory_mask=torch.ones(2, 5)), TypeError, "the memory_mask is of dtype torch.float32"),
        (
            lambda: MultiHeadAttention(8, 2).bind(Context(torch.ones(2, 4, dtype=torch.bool)))(torch.ones(2, 5, 8)),
            ValueError,
            r"shape \(2, 4\) where \(2, 5\) was expected",
        ),
        (lambda: MultiHeadAttention(6, 2, rotary=True), ValueError, "a head is 3 wide"),
        *(
            (
                lambda width=width: MultiHeadAttention(16, 2, rotary=True, rotary_dim=width),
                ValueError,
                f"rotary_dim is {width} where a head is 8 wide: choose an even number from 2",
            )
            for width in (-2, 0, 3, 10)
        ),
        (lambda: KeyValueCache(0), ValueError, "capacity is 0"),
    ],
)
def test_bad_input_is_refused(make, error, sentence):
    with pytest.raises(error, match=sentence):
        make()


class Adapted(nn.Linear):
    """A linear map with a correction of rank 2 beside it."""

    def __init__(self, linear):
        super().__init__(linear.in_features, linear.out_features, dtype=linear.weight.dtype)
        self.load_state_dict(linear.state_dict())
        self.down = nn.Parameter(torch.randn(2, linear.in_features, dtype=F64))
        self.up = nn.Parameter(torch.randn(linear.out_features, 2, dtype=F64))

    def forward(self, x):
        return super().forward(x) + x @ self.down.T @ self.up.T


@pytest.mark.parametrize("cross", [False, True])
def test_the_projections_are_called_as_the_modules_that_they_are(cross):
    attention = make(cross=cross)
    x, memory = torch.randn(2, 5, 24, dtype=F64), torch.randn(2, 4, 24, dtype=F64)
    bound = attention.bind(Context(memory=memory) if cross else Context())
    before, called = bound(x), []
    attention.qkv = Adapted(attention.qkv)
    attention.qkv.register_forward_hook(lambda *call: called.append(1))
    adapted = bound(x)
    assert len(called) == 1 + cross
    assert not torch.allclose(adapted, before)
    adapted.sum().backward()
    assert attention.qkv.down.grad.abs().max() > 0
    plain = make(cross=cross)  # the same weights, with the correction added to them
    with torch.no_grad():
        plain.qkv.weight.add_(attention.qkv.up @ attention.qkv.down)
    torch.testing.assert_close(plain.bind(Context(memory=memory) if cross else Context())(x), adapted)


class Opaque(nn.Module):
    """A linear map whose weight is no tensor, as those of quantised maps are none."""

    def __init__(self, linear):
        super().__init__()
        self.inside = [linear]

    def weight(self):
        raise NotImplementedError

    def forward(self, x):
        return self.inside[0](x)


def test_cross_attention_needs_no_weight_of_its_projections():
    attention = make(cross=True)
    bound, x = attention.bind(Context(memory=torch.randn(2, 4, 24, dtype=F64))), torch.randn(2, 5, 24, dtype=F64)
    before = bound(x)
    attention.qkv = Opaque(attention.qkv)
    assert torch.equal(bound(x), before)


def test_cross_attention_without_a_memory_says_so():
    with pytest.raises(ValueError, match="no memory came for a field that reads one"):
        make(cross=True)(torch.randn(2, 5, 24, dtype=F64))
