"""Multi-head self-attention."""

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn


class MultiHeadAttention(nn.Module):
    """Multi-head self-attention over all tokens (Vaswani et al. 2017, arXiv 1706.03762, section 3.2).

    Input and output: (batch, tokens, dim). The projections to queries, keys and values are one matrix product.

    Args:
        dim: Width of the state; a multiple of ``num_heads``.
        num_heads: Number of heads.
        qkv_bias: Whether the projections to queries, keys and values have a bias.

    Raises:
        ValueError: ``dim`` is not a multiple of ``num_heads``.
    """

    def __init__(self, dim: int, num_heads: int, qkv_bias: bool = True) -> None:
        super().__init__()
        if num_heads < 1 or dim % num_heads:
            raise ValueError(
                f"dim {dim} is not divisible by num_heads {num_heads}: choose num_heads among the divisors of dim"
            )
        self.num_heads = num_heads
        self.qkv = nn.Linear(dim, 3 * dim, bias=qkv_bias)
        self.proj = nn.Linear(dim, dim)

    def forward(self, x: Float[Tensor, "batch tokens dim"]) -> Float[Tensor, "batch tokens dim"]:
        """Return the attention output, before any residual sum."""
        batch, tokens, dim = x.shape
        qkv = self.qkv(x).view(batch, tokens, 3, self.num_heads, dim // self.num_heads)
        q, k, v = qkv.permute(2, 0, 3, 1, 4).unbind(0)  # each (batch, heads, tokens, dim / heads)
        heads = F.scaled_dot_product_attention(q, k, v)
        return self.proj(heads.transpose(1, 2).reshape(batch, tokens, dim))  # type: ignore[no-any-return]
