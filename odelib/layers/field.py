"""The vector field of a transformer layer, dx/dt = A(t, x) + M(t, x), and its two terms."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from odelib.layers.attention import MultiHeadAttention
from odelib.layers.mlp import MLP
from odelib.solvers import Field, Sum


class Term(nn.Module):
    """One term of the field: a sublayer on the normalised state, x -> sublayer(norm(x)).

    Input and output: (batch, tokens, dim).

    Args:
        norm: The normalisation of the state.
        sublayer: Attention or MLP.
        dropout: Probability with which an entry of the term's output is dropped in training.
        drop_path: Probability with which the whole term is dropped for a sample in training
            (stochastic depth, Huang et al. 2016, arXiv 1603.09382).
    """

    def __init__(self, norm: nn.Module, sublayer: nn.Module, dropout: float = 0.0, drop_path: float = 0.0) -> None:
        super().__init__()
        for name, rate in (("dropout", dropout), ("drop_path", drop_path)):
            if not 0.0 <= rate < 1.0:
                raise ValueError(f"{name} is {rate}: it is a probability, choose it in [0, 1)")
        self.norm = norm
        self.sublayer = sublayer
        self.dropout = dropout
        self.drop_path = drop_path

    def forward(self, t: float, x: Float[Tensor, "batch tokens dim"]) -> Float[Tensor, "batch tokens dim"]:
        """Return the term at (t, x), without its randomness: see `draw`."""
        return self.sublayer(self.norm(x))  # type: ignore[no-any-return]

    def draw(self, x: Tensor) -> Field:
        """Return the term with its dropout drawn, to be held while one step of a method is taken."""
        if not self.training or (self.dropout == 0.0 and self.drop_path == 0.0):
            return self
        keep = _keep(x[:, :1, :1], self.drop_path) * _keep(x, self.dropout)
        return lambda t, y: keep * self(t, y)


def _keep(like: Tensor, rate: float) -> Tensor:
    """Return a mask of the shape of ``like``: 0 with probability ``rate``, else 1 / (1 - rate)."""
    return torch.empty_like(like).bernoulli_(1.0 - rate).div_(1.0 - rate)


class TransformerField(nn.Module):
    """The field f(t, x) = A(t, x) + M(t, x) with A = MHA(LN x) and M = MLP(LN x), each with its own LayerNorm.

    Zhong et al. 2022 (arXiv 2212.06011). An Euler step on the sum is the parallel layer, a Lie-Trotter step over
    ``terms`` the usual pre-norm layer: the parameters are the same.

    Input and output: (batch, tokens, dim).

    Args:
        dim: Width of the state.
        num_heads: Number of attention heads; divides ``dim``.
        mlp_ratio: Hidden width of the MLP in units of ``dim``.
        qkv_bias: Whether queries, keys and values have a bias.
        dropout: Dropout on the output of each term.
        drop_path: Stochastic depth of each term.
        norm_eps: Added to the variance in both LayerNorms.
    """

    def __init__(
        self,
        dim: int,
        num_heads: int,
        mlp_ratio: float = 4.0,
        *,
        qkv_bias: bool = True,
        dropout: float = 0.0,
        drop_path: float = 0.0,
        norm_eps: float = 1e-6,
    ) -> None:
        super().__init__()
        attention = MultiHeadAttention(dim, num_heads, qkv_bias)
        mlp = MLP(dim, int(dim * mlp_ratio))
        self.attention = Term(nn.LayerNorm(dim, eps=norm_eps), attention, dropout, drop_path)
        self.mlp = Term(nn.LayerNorm(dim, eps=norm_eps), mlp, dropout, drop_path)

    @property
    def terms(self) -> tuple[Term, Term]:
        """The two fields whose sum this is, (A, M), in the order of the usual layer."""
        return self.attention, self.mlp

    def forward(self, t: float, x: Float[Tensor, "batch tokens dim"]) -> Float[Tensor, "batch tokens dim"]:
        """Return dx/dt at (t, x). The weights of one field do not depend on t."""
        return self.attention(t, x) + self.mlp(t, x)  # type: ignore[no-any-return]

    def draw(self, x: Tensor) -> Field:
        """Return the field with its dropout drawn, to be held while one step of a method is taken."""
        if not self.training:
            return self
        return Sum(*(term.draw(x) for term in self.terms))
