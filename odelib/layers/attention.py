"""Multi-head attention: of a sequence to itself, to its past, or to another sequence."""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from odelib.layers.context import Context

_EVERYTHING = Context()


class MultiHeadAttention(nn.Module):
    """Multi-head attention (Vaswani et al. 2017, arXiv 1706.03762, section 3.2).

    Input and output: (batch, tokens, dim). The projections to queries, keys and values are one matrix product.
    With ``context.memory`` the keys and values are those of the memory (cross-attention).

    Args:
        dim: Width of the state; a multiple of ``num_heads``.
        num_heads: Number of heads.
        qkv_bias: Whether the projections to queries, keys and values have a bias.
        causal: Whether a token reads only itself and those before it.
        rotary: Whether queries and keys are turned by angles in proportion to their positions (see `rotate`).
        qk_norm: Whether each head's queries and keys are normalised (Dehghani et al. 2023, arXiv 2302.05442).
        norm_eps: Added to the variance in these two norms.

    Raises:
        ValueError: ``dim`` is not a multiple of ``num_heads``, or rotary heads have an odd width.
    """

    def __init__(
        self,
        dim: int,
        num_heads: int,
        qkv_bias: bool = True,
        *,
        causal: bool = False,
        rotary: bool = False,
        qk_norm: bool = False,
        norm_eps: float = 1e-6,
    ) -> None:
        super().__init__()
        if num_heads < 1 or dim % num_heads:
            raise ValueError(
                f"dim {dim} is not divisible by num_heads {num_heads}: choose num_heads among the divisors of dim"
            )
        width = dim // num_heads
        if rotary and width % 2:
            raise ValueError(f"rotary positions turn pairs, but a head is {width} wide: choose dim / num_heads even")
        self.num_heads = num_heads
        self.causal = causal
        self.rotary = rotary
        self.qkv = nn.Linear(dim, 3 * dim, bias=qkv_bias)
        self.proj = nn.Linear(dim, dim)
        self.q_norm = nn.LayerNorm(width, eps=norm_eps) if qk_norm else None
        self.k_norm = nn.LayerNorm(width, eps=norm_eps) if qk_norm else None

    def forward(
        self, x: Float[Tensor, "batch tokens dim"], context: Context | None = None
    ) -> Float[Tensor, "batch tokens dim"]:
        """Return the attention output, before any residual sum.

        Raises:
            ValueError: The context's mask is not as long as the keys.
        """
        context = context or _EVERYTHING
        if context.memory is None:
            return self.proj(self.mix(self.qkv(x), context))  # type: ignore[no-any-return]
        return self.proj(self._read(x, context.memory, context))  # type: ignore[no-any-return]

    def mix(
        self, qkv: Float[Tensor, "batch tokens three_dim"], context: Context | None = None
    ) -> Float[Tensor, "batch tokens dim"]:
        """Return the heads side by side, from queries, keys and values side by side: all but the projections."""
        context = context or _EVERYTHING
        q, k, v = self._split(qkv, 3)
        if self.q_norm is not None and self.k_norm is not None:
            q, k = self.q_norm(q), self.k_norm(k)
        if self.rotary:
            start = 0 if context.cache is None else context.cache.length
            q, k = rotate(q, start), rotate(k, start)
        if context.cache is not None:
            k, v = context.cache.extend(k, v)
        return _join(attend(q, k, v, context.keys_to_read(q, k, self.causal)))

    def _read(self, x: Tensor, memory: Tensor, context: Context) -> Tensor:
        """Return the heads side by side, for queries from ``x`` and keys and values from ``memory``."""
        dim = x.shape[2]
        weights = torch.split(self.qkv.weight, [dim, 2 * dim])
        biases = (None, None) if self.qkv.bias is None else torch.split(self.qkv.bias, [dim, 2 * dim])

        def keys_and_values() -> tuple[Tensor, Tensor]:
            k, v = self._split(F.linear(memory, weights[1], biases[1]), 2)
            return (k if self.k_norm is None else self.k_norm(k)), v

        (q,) = self._split(F.linear(x, weights[0], biases[0]), 1)
        q = q if self.q_norm is None else self.q_norm(q)
        k, v = keys_and_values() if context.cache is None else context.cache.once(keys_and_values)
        return _join(attend(q, k, v, context.keys_to_read(q, k, causal=False)))

    def _split(self, projected: Tensor, parts: int) -> tuple[Tensor, ...]:
        batch, tokens, width = projected.shape
        parted = projected.view(batch, tokens, parts, self.num_heads, width // (parts * self.num_heads))
        return parted.permute(2, 0, 3, 1, 4).unbind(0)  # each (batch, heads, tokens, dim / heads)


def _join(heads: Tensor) -> Tensor:
    return heads.transpose(1, 2).flatten(2)  # (batch, tokens, dim)


def attend(
    q: Float[Tensor, "batch heads queries width"],
    k: Float[Tensor, "batch heads keys width"],
    v: Float[Tensor, "batch heads keys width"],
    read: Tensor | bool,
) -> Float[Tensor, "batch heads queries width"]:
    """Return softmax(q k^T / sqrt(width)) v: the one place that chooses the kernel.

    PyTorch's fused kernel, except for short sequences in bfloat16 on a CPU, where it is slow: with the two products and
    the softmax written out, attention (3 heads of width 64, forward and backward) took 0.12 times as long at 65 tokens,
    0.29 at 197, 0.6 at 256 and 512, 0.75 at 2048 (``benchmarks/blocks.py`` measures it on the machine at hand). What
    limits its use is memory: it keeps queries x keys numbers per head.

    Args:
        q: Queries.
        k: Keys.
        v: Values.
        read: True: key j is read by the queries i >= j. False: all are. Or a mask that broadcasts to
            (batch, heads, queries, keys), True where a key is read.
    """
    if q.device.type == "cpu" and q.dtype == torch.bfloat16 and k.shape[2] <= _SHORT:
        return explicit_attention(q, k, v, read)
    if isinstance(read, bool):
        return F.scaled_dot_product_attention(q, k, v, is_causal=read)
    return F.scaled_dot_product_attention(q, k, v, attn_mask=read)


_SHORT = 256


def explicit_attention(q: Tensor, k: Tensor, v: Tensor, read: Tensor | bool) -> Tensor:
    """Return what `attend` returns, by two matrix products and a softmax."""
    scores = (q * q.shape[3] ** -0.5) @ k.transpose(2, 3)
    if isinstance(read, Tensor) or read:
        if isinstance(read, bool):
            read = torch.ones(scores.shape[2:], dtype=torch.bool, device=q.device).tril()
        # Not -inf: a query that may read nothing would give NaN, also in the gradient.
        scores = scores.masked_fill(~read, torch.finfo(scores.dtype).min)
    return torch.matmul(scores.softmax(dim=3), v)


def rotate(
    x: Float[Tensor, "batch heads tokens width"], start: int = 0, base: float = 10_000.0
) -> Float[Tensor, "batch heads tokens width"]:
    """Turn the pair (2i, 2i + 1) of token m by the angle m base^(-2i / width) (Su et al. 2021, arXiv 2104.09864).

    The product of a turned query and a turned key depends on their positions by the difference alone.

    Args:
        x: Queries or keys; ``width`` even.
        start: Position of the first token.
        base: Sets the slowest angle.
    """
    tokens, width = x.shape[2:]
    speeds = base ** (-torch.arange(0, width, 2, device=x.device, dtype=torch.float32) / width)
    angles = torch.outer(torch.arange(start, start + tokens, device=x.device, dtype=torch.float32), speeds)
    cos, sin = angles.cos().to(x.dtype), angles.sin().to(x.dtype)  # (tokens, width / 2)
    even, odd = x[..., 0::2], x[..., 1::2]
    return torch.stack((even * cos - odd * sin, even * sin + odd * cos), dim=-1).flatten(3)
