"""Multi-head attention: of a sequence to itself, to its past, or to another sequence."""

from functools import partial

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from odelib.layers.context import Context, variant


class MultiHeadAttention(nn.Module):
    """Multi-head attention (Vaswani et al. 2017, arXiv 1706.03762, section 3.2).

    Input and output: (batch, tokens, dim). The projections to queries, keys and values are one matrix product.

    Args:
        dim: Width of the state; a multiple of ``num_heads``.
        num_heads: Number of heads.
        qkv_bias: Whether the projections to queries, keys and values have a bias.
        proj_bias: Whether the projection of the heads has a bias.
        causal: Whether a token reads only itself and those before it.
        rotary: Whether queries and keys are turned by angles in proportion to their positions (see `rotate`).
        rotary_dim: How many entries of each head are turned, from the first on. None: all.
        rotary_base: Sets the slowest angle.
        qk_norm: Whether each head's queries and keys are normalised (Dehghani et al. 2023, arXiv 2302.05442).
        norm_eps: Added to the variance in these two norms.
        cross: Whether keys and values are those of the context's memory (cross-attention).

    Raises:
        ValueError: ``dim`` is not a multiple of ``num_heads``, or the turned part of a head is odd or exceeds it.
    """

    context: Context | None = None  # a bound one has one

    def __init__(
        self,
        dim: int,
        num_heads: int,
        qkv_bias: bool = True,
        *,
        proj_bias: bool = True,
        causal: bool = False,
        rotary: bool = False,
        rotary_dim: int | None = None,
        rotary_base: float = 10_000.0,
        qk_norm: bool = False,
        norm_eps: float = 1e-6,
        cross: bool = False,
    ) -> None:
        super().__init__()
        width = width_of_head(dim, num_heads)
        if rotary:
            check_rotary(width, rotary_dim)
        self.num_heads = num_heads
        self.causal = causal
        self.rotary = rotary
        self.rotary_dim = rotary_dim
        self.rotary_base = rotary_base
        self.cross = cross
        self.qkv = nn.Linear(dim, 3 * dim, bias=qkv_bias)
        self.proj = nn.Linear(dim, dim, bias=proj_bias)
        self.q_norm = nn.LayerNorm(width, eps=norm_eps) if qk_norm else None
        self.k_norm = nn.LayerNorm(width, eps=norm_eps) if qk_norm else None

    def bind(self, context: Context) -> "MultiHeadAttention":
        """Return this attention, with the same parameters, in a context: mask and cache; with ``cross``, the memory."""
        return variant(self, context=context)

    def forward(self, x: Float[Tensor, "batch tokens dim"]) -> Float[Tensor, "batch tokens dim"]:
        """Return the attention output, before any residual sum.

        Raises:
            ValueError: The context's mask is not as long as the keys, or cross-attention has no memory.
        """
        return self.proj(self._read(x) if self.cross else self.mix(self.qkv(x)))  # type: ignore[no-any-return]

    def mix(self, qkv: Float[Tensor, "batch tokens three_dim"]) -> Float[Tensor, "batch tokens dim"]:
        """Return the heads side by side, from queries, keys and values side by side: all but the projections."""
        context = self.context
        read: Tensor | bool = self.causal
        parted = qkv.view(*qkv.shape[:2], 3, self.num_heads, -1)
        q, k, v = parted.permute(2, 0, 3, 1, 4).unbind(0)  # each (batch, heads, tokens, dim / heads)
        if self.q_norm is not None and self.k_norm is not None:
            q, k = self.q_norm(q), self.k_norm(k)
        if self.rotary:
            start = 0 if context is None or context.cache is None else context.cache.length
            q = rotate(q, start, self.rotary_base, self.rotary_dim)
            k = rotate(k, start, self.rotary_base, self.rotary_dim)
        if context is not None:
            if context.cache is not None:
                k, v = context.cache.extend(k, v)
            read = keys_to_read(q, k, context.mask, self.causal)
        return attend(q, k, v, read).transpose(1, 2).flatten(2)

    def _read(self, x: Tensor) -> Tensor:
        """Return the heads side by side, for queries from ``x`` and keys and values from the memory.

        The projections are called as the module that they are, so that hooks, adapters and quantised weights act; what
        is not needed of their output, two thirds and one third, is the price.
        """
        if self.context is None or self.context.memory is None:
            raise ValueError(
                "no memory came for a field that reads one: pass the encoder's output, or make it with cross=False"
            )
        cache, memory = self.context.cache, self.context.memory
        q, _, _ = self._project(x)
        q = q if self.q_norm is None else self.q_norm(q)
        k, v = self._keys_and_values(memory) if cache is None else cache.once(partial(self._keys_and_values, memory))
        return attend(q, k, v, keys_to_read(q, k, self.context.memory_mask, causal=False)).transpose(1, 2).flatten(2)

    def _project(self, tokens: Tensor) -> tuple[Tensor, ...]:
        parted = self.qkv(tokens).view(*tokens.shape[:2], 3, self.num_heads, -1)
        return parted.permute(2, 0, 3, 1, 4).unbind(0)  # type: ignore[no-any-return]

    def _keys_and_values(self, memory: Tensor) -> tuple[Tensor, Tensor]:
        _, k, v = self._project(memory)
        return (k if self.k_norm is None else self.k_norm(k)), v


def width_of_head(dim: int, num_heads: int) -> int:
    """Return dim / num_heads.

    Raises:
        ValueError: There is no such integer.
    """
    if num_heads < 1 or dim % num_heads:
        raise ValueError(
            f"dim {dim} is not divisible by num_heads {num_heads}: choose num_heads among the divisors of dim"
        )
    return dim // num_heads


def keys_to_read(q: Tensor, k: Tensor, mask: Tensor | None, causal: bool) -> Tensor | bool:
    """Return which of the keys k each query in q reads: all (False), the causal triangle (True), or by a mask.

    The last query belongs to the last key, so that earlier tokens may come from a cache.

    Raises:
        ValueError: The mask is not of the shape (batch, keys).
    """
    queries, keys = q.shape[2], k.shape[2]
    wanted = (k.shape[0], keys)  # not len(k), which is a plain number and would fix the batch of an exported model
    if mask is not None and mask.shape != wanted:
        raise ValueError(
            f"the mask has shape {tuple(mask.shape)} where {wanted} was expected: "
            "give it a row per sequence and a column per token"
        )
    if mask is None and (not causal or queries == keys):
        return causal
    if mask is None and queries == 1:
        return False
    allowed = torch.ones((), dtype=torch.bool, device=k.device) if mask is None else mask[:, None, None]
    if causal and queries > 1:
        allowed = allowed & torch.ones(queries, keys, dtype=torch.bool, device=k.device).tril(keys - queries)
    return allowed


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


def check_rotary(width: int, rotary_dim: int | None) -> None:
    """Refuse heads of which that many entries cannot be turned in pairs.

    Args:
        width: Width of a head.
        rotary_dim: How many of its entries are turned. None: all.

    Raises:
        ValueError: It is so.
    """
    if rotary_dim is None and width % 2:
        raise ValueError(f"rotary positions turn pairs, but a head is {width} wide: choose dim / num_heads even")
    if rotary_dim is not None and (rotary_dim % 2 or not 2 <= rotary_dim <= width):
        raise ValueError(
            f"rotary_dim is {rotary_dim} where a head is {width} wide: choose an even number from 2 to that width"
        )


def rotate(
    x: Float[Tensor, "batch heads tokens width"],
    start: int = 0,
    base: float = 10_000.0,
    rotary_dim: int | None = None,
) -> Float[Tensor, "batch heads tokens width"]:
    """Turn the pair (2i, 2i + 1) of token m by the angle m base^(-2i / width) (Su et al. 2021, arXiv 2104.09864).

    The product of a turned query and a turned key depends on their positions by the difference alone. GPT-J turns
    these pairs. GPT-NeoX and Llama turn entry i with entry i + width / 2, which is the same after a permutation of the
    rows of the two projections, so that there is one form here and the permutation is made where weights are read.

    Args:
        x: Queries or keys; ``width`` even.
        start: Position of the first token.
        base: Sets the slowest angle.
        rotary_dim: Turn so many of the entries, from the first on, as if they were the width (Black et al. 2022,
            GPT-NeoX-20B, arXiv 2204.06745, section 2.1). None: all.
    """
    if rotary_dim is not None and rotary_dim < x.shape[3]:
        turned = rotate(x[..., :rotary_dim], start, base)
        return torch.cat([turned, x[..., rotary_dim:]], dim=3)
    tokens, width = x.shape[2:]
    # Written as the pretrained models' own code has it: a last digit of a speed is turned into the fourth digit of an
    # angle by 2,000 positions.
    speeds = 1.0 / base ** (torch.arange(0, width, 2, device=x.device, dtype=torch.float32) / width)
    angles = torch.outer(torch.arange(start, start + tokens, device=x.device, dtype=torch.float32), speeds)
    cos, sin = angles.cos().to(x.dtype), angles.sin().to(x.dtype)  # (tokens, width / 2)
    even, odd = x[..., 0::2], x[..., 1::2]
    return torch.stack((even * cos - odd * sin, even * sin + odd * cos), dim=-1).flatten(3)
