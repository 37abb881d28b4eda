"""The vector field of a transformer layer, dx/dt = A(t, x) + M(t, x), and its terms."""

from collections.abc import Callable
from functools import partial

from jaxtyping import Float
from torch import Tensor, nn

from odelib.layers.attention import MultiHeadAttention
from odelib.layers.context import EMPTY, Context, ContextField, check_reads, variant, with_parts
from odelib.layers.drops import draw_keep
from odelib.layers.mlp import MLP
from odelib.names import choose
from odelib.solvers import RandomField, SplitField
from odelib.solvers.field import Time

NORMS: dict[str, type[nn.LayerNorm] | type[nn.RMSNorm]] = {"layer": nn.LayerNorm, "rms": nn.RMSNorm}
PLACES = ("pre", "shared", "post")


def check_rates(**rates: float) -> None:
    """Refuse numbers that are no probabilities less than 1.

    Raises:
        ValueError: One is; the sentence names it.
    """
    for name, rate in rates.items():
        if not 0.0 <= rate < 1.0:
            raise ValueError(f"{name} is {rate}: it is a probability, choose it in [0, 1)")


class Term(nn.Module, RandomField):
    """One term of the field: a sublayer on the normalised state, x -> sublayer(norm(x)).

    Input and output: (batch, tokens, dim).

    With ``post=True`` it is x -> norm(x + sublayer(x)) - x, so that an Euler step of size 1 is the post-norm layer
    norm(x + sublayer(x)) of Vaswani et al. 2017. That step size is part of the architecture: with smaller steps the
    same field relaxes towards the image of the norm and is no refinement of the post-norm network.

    Args:
        norm: The normalisation of the state.
        sublayer: Attention or MLP.
        dropout: Probability with which an entry of the sublayer's output is dropped in training.
        drop_path: Probability with which the whole output is dropped for a sample in training
            (stochastic depth, Huang et al. 2016, arXiv 1603.09382).
        post: Whether the norm comes after the residual sum.
    """

    keep: Tensor | None = None  # by which a drawn one multiplies the sublayer's output

    def __init__(
        self, norm: nn.Module, sublayer: nn.Module, dropout: float = 0.0, drop_path: float = 0.0, *, post: bool = False
    ) -> None:
        super().__init__()
        check_rates(dropout=dropout, drop_path=drop_path)
        self.norm = norm
        self.sublayer = sublayer
        self.dropout = dropout
        self.drop_path = drop_path
        self.post = post

    def forward(self, t: Time, x: Float[Tensor, "batch tokens dim"]) -> Float[Tensor, "batch tokens dim"]:
        """Return the term at (t, x); its weights do not depend on t."""
        out = self.sublayer(x if self.post else self.norm(x))
        out = out if self.keep is None else self.keep * out
        return self.norm(x + out) - x if self.post else out  # type: ignore[no-any-return]

    def bind(self, context: Context) -> "Term":
        """Return the term of attention, with the same parameters, in a context."""
        return with_parts(self, sublayer=self.sublayer.bind(context))  # type: ignore[operator]

    def draw(self, y: Tensor) -> "Term":
        """Return the term, with the same parameters, with the entries drawn that it drops: itself, if it drops none."""
        if not self.training or self.dropout == self.drop_path == 0.0:
            return self
        return variant(self, keep=draw_keep(y[:, :1, :1], self.drop_path) * draw_keep(y, self.dropout))


class TransformerField(nn.Module, SplitField, RandomField, ContextField):
    """The field f(t, x) = A(t, x) + M(t, x) with A = MHA(LN x) and M = MLP(LN x), each with its own LayerNorm.

    Zhong et al. 2022 (arXiv 2212.06011). An Euler step on the sum is the parallel layer, a Lie-Trotter step over
    ``terms`` the usual pre-norm layer: the parameters are the same. A decoder's field has a third term between the
    two, C(t, x) = MHA(LN x, memory), which reads the encoder's output: what it reads is bound before (see `Context`).

    Input and output: (batch, tokens, dim).

    Args:
        dim: Width of the state.
        num_heads: Number of attention heads; divides ``dim``.
        mlp_ratio: Hidden width of the MLP in units of ``dim``.
        qkv_bias: Whether queries, keys and values have a bias.
        proj_bias: Whether the projection of the heads has a bias.
        dropout: Dropout on the output of each term.
        drop_path: Stochastic depth of each term.
        norm_eps: Added to the variance in the norms.
        norm: "layer" for LayerNorm, "rms" for RMSNorm.
        norm_place: "pre": each term normalises the state by its own norm. "shared": all terms by one norm, as GPT-J
            and ViT-22B do. "post": after the residual sum, for a step size of 1 only (see `Term`).
        activation: The MLP's: "gelu", "gelu-tanh" or "swiglu".
        qk_norm: Whether each head's queries and keys are normalised.
        causal: Whether a token reads only itself and those before it.
        rotary: Whether positions enter by turning queries and keys.
        rotary_dim: How many entries of each head are turned. None: all.
        rotary_base: Sets the slowest angle.
        cross: Whether there is the third term, which reads a memory.

    Raises:
        ValueError: A name is unknown, or a size does not fit.
    """

    def __init__(
        self,
        dim: int,
        num_heads: int,
        mlp_ratio: float = 4.0,
        *,
        qkv_bias: bool = True,
        proj_bias: bool = True,
        dropout: float = 0.0,
        drop_path: float = 0.0,
        norm_eps: float = 1e-6,
        norm: str = "layer",
        norm_place: str = "pre",
        activation: str = "gelu",
        qk_norm: bool = False,
        causal: bool = False,
        rotary: bool = False,
        rotary_dim: int | None = None,
        rotary_base: float = 10_000.0,
        cross: bool = False,
    ) -> None:
        super().__init__()
        make_norm = NORMS[choose(norm, NORMS, "norm")]
        shared = make_norm(dim, eps=norm_eps) if choose(norm_place, PLACES, "norm_place") == "shared" else None
        own: Callable[[], nn.Module] = partial(make_norm, dim, eps=norm_eps) if shared is None else lambda: shared
        term = partial(Term, dropout=dropout, drop_path=drop_path, post=norm_place == "post")
        attention = partial(
            MultiHeadAttention, dim, num_heads, qkv_bias, proj_bias=proj_bias, qk_norm=qk_norm, norm_eps=norm_eps
        )
        reads = attention(causal=causal, rotary=rotary, rotary_dim=rotary_dim, rotary_base=rotary_base)
        self.attention = term(own(), reads)
        self.cross = term(own(), attention(cross=True)) if cross else None
        self.mlp = term(own(), MLP(dim, int(dim * mlp_ratio), activation))
        self.reads = ("mask", "cache") + (("memory", "memory_mask") if cross else ())
        self._check()

    def _check(self) -> None:
        """Refuse what another form of the field cannot compute; this one computes all."""

    @property
    def terms(self) -> tuple[Term, ...]:
        """The fields whose sum this is, (A, M) or (A, C, M), in the order of the usual layer."""
        return (self.attention, self.mlp) if self.cross is None else (self.attention, self.cross, self.mlp)

    def forward(self, t: Time, x: Float[Tensor, "batch tokens dim"]) -> Float[Tensor, "batch tokens dim"]:
        """Return dx/dt at (t, x); the weights of one field do not depend on t."""
        if self.attention.norm is self.mlp.norm:
            return self._normalised_once(x)
        if self.cross is None:
            return self.attention(t, x) + self.mlp(t, x)  # type: ignore[no-any-return]
        return self.attention(t, x) + self.cross(t, x) + self.mlp(t, x)  # type: ignore[no-any-return]

    def _normalised_once(self, x: Tensor) -> Tensor:
        z, total = self.attention.norm(x), None
        for term in self.terms:
            out = term.sublayer(z)
            out = out if term.keep is None else term.keep * out
            total = out if total is None else total + out
        return total  # type: ignore[return-value]

    def bind(self, context: Context) -> "TransformerField":
        """Return the field, with the same parameters, in a context.

        Raises:
            ValueError: The context has a memory, and the field has no term that reads one.
        """
        if context is EMPTY:
            return self
        check_reads(self, context)
        bound = with_parts(self, attention=self.attention.bind(context))
        return bound if self.cross is None else with_parts(bound, cross=self.cross.bind(context))

    def draw(self, y: Tensor) -> "TransformerField":
        """Return the field, with the same parameters, its dropout drawn for one step: itself, if it drops nothing."""
        drawn = {}
        for name, term in (("attention", self.attention), ("cross", self.cross), ("mlp", self.mlp)):
            if term is not None and (held := term.draw(y)) is not term:
                drawn[name] = held
        return with_parts(self, **drawn) if drawn else self
