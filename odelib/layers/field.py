"""The vector field of a transformer layer, dx/dt = A(t, x) + M(t, x), and its terms."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from jaxtyping import Float
from torch import Tensor, nn

from odelib.layers.attention import MultiHeadAttention
from odelib.layers.context import Context
from odelib.layers.drops import draw_keep
from odelib.layers.fused import Folded, fused
from odelib.layers.integrand import Integrand
from odelib.layers.mlp import MLP
from odelib.names import choose
from odelib.solvers import Field

NORMS: dict[str, type[nn.LayerNorm] | type[nn.RMSNorm]] = {"layer": nn.LayerNorm, "rms": nn.RMSNorm}
PLACES = ("pre", "shared", "post")


class Term(nn.Module):
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

    def __init__(
        self, norm: nn.Module, sublayer: nn.Module, dropout: float = 0.0, drop_path: float = 0.0, *, post: bool = False
    ) -> None:
        super().__init__()
        for name, rate in (("dropout", dropout), ("drop_path", drop_path)):
            if not 0.0 <= rate < 1.0:
                raise ValueError(f"{name} is {rate}: it is a probability, choose it in [0, 1)")
        self.norm = norm
        self.sublayer = sublayer
        self.dropout = dropout
        self.drop_path = drop_path
        self.post = post

    def forward(
        self,
        t: float,
        x: Float[Tensor, "batch tokens dim"],
        context: Context | None = None,
        keep: Tensor | None = None,
    ) -> Float[Tensor, "batch tokens dim"]:
        """Return the term at (t, x).

        Args:
            t: Time; the weights of one term do not depend on it.
            x: The state.
            context: What attention reads besides the state; a term without attention takes none.
            keep: What `noise` drew. None: nothing is dropped.
        """
        z = x if self.post else self.norm(x)
        out = self.sublayer(z) if context is None else self.sublayer(z, context)
        if keep is not None:
            out = keep * out
        return self.norm(x + out) - x if self.post else out  # type: ignore[no-any-return]

    @property
    def random(self) -> bool:
        """Whether the term has anything to draw: it drops something, and is in training."""
        return self.training and (self.dropout > 0.0 or self.drop_path > 0.0)

    def noise(self, x: Tensor) -> Tensor | None:
        """Return the factors that drop entries of the sublayer's output, broadcasting to ``x``; None for no drop."""
        if not self.random:
            return None
        return draw_keep(x[:, :1, :1], self.drop_path) * draw_keep(x, self.dropout)

    def draw(self, x: Tensor) -> Field:
        """Return the term with its dropout drawn, to be held while one step of a method is taken."""
        keep = self.noise(x)
        return self if keep is None else lambda t, y: self(t, y, keep=keep)


@dataclass(frozen=True)
class Given:
    """What is fixed while a field is evaluated at many (t, x): per term, its context and what its dropout drew.

    Attributes:
        contexts: One per term; None for a term that reads nothing but the state.
        keeps: One per term, as `Term.noise` returns them.
        folded: The field's weights for two matrix products, if it is computed so and they do not change meanwhile.
    """

    contexts: Sequence[Context | None]
    keeps: Sequence[Tensor | None]
    folded: Folded | None = None


class TransformerField(nn.Module):
    """The field f(t, x) = A(t, x) + M(t, x) with A = MHA(LN x) and M = MLP(LN x), each with its own LayerNorm.

    Zhong et al. 2022 (arXiv 2212.06011). An Euler step on the sum is the parallel layer, a Lie-Trotter step over
    ``terms`` the usual pre-norm layer: the parameters are the same. A decoder's field has a third term between the
    two, C(t, x) = MHA(LN x, memory), which reads the encoder's output.

    Input and output: (batch, tokens, dim).

    Args:
        dim: Width of the state.
        num_heads: Number of attention heads; divides ``dim``.
        mlp_ratio: Hidden width of the MLP in units of ``dim``.
        qkv_bias: Whether queries, keys and values have a bias.
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
        dropout: float = 0.0,
        drop_path: float = 0.0,
        norm_eps: float = 1e-6,
        norm: str = "layer",
        norm_place: str = "pre",
        activation: str = "gelu",
        qk_norm: bool = False,
        causal: bool = False,
        rotary: bool = False,
        cross: bool = False,
    ) -> None:
        super().__init__()
        make_norm = NORMS[choose(norm, NORMS, "norm")]
        shared = make_norm(dim, eps=norm_eps) if choose(norm_place, PLACES, "norm_place") == "shared" else None

        def term(sublayer: nn.Module) -> Term:
            own = make_norm(dim, eps=norm_eps) if shared is None else shared
            return Term(own, sublayer, dropout, drop_path, post=norm_place == "post")

        def attention(**options: Any) -> MultiHeadAttention:
            return MultiHeadAttention(dim, num_heads, qkv_bias, qk_norm=qk_norm, norm_eps=norm_eps, **options)

        self.attention = term(attention(causal=causal, rotary=rotary))
        self.cross = term(attention()) if cross else None
        self.mlp = term(MLP(dim, int(dim * mlp_ratio), activation))
        # Whether the sum is computed by two matrix products (`odelib.layers.fused`); the numbers are the same to
        # rounding. Off until `fuse_if_faster` has seen that it pays on the device at hand: on CPUs it does not.
        self.fuse = False

    @property
    def terms(self) -> tuple[Term, ...]:
        """The fields whose sum this is, (A, M) or (A, C, M), in the order of the usual layer."""
        return (self.attention, self.mlp) if self.cross is None else (self.attention, self.cross, self.mlp)

    @property
    def can_fuse(self) -> bool:
        """Whether the sum can be computed by two matrix products."""
        return self.cross is None and not self.attention.post

    def forward(
        self, t: float, x: Float[Tensor, "batch tokens dim"], given: Given | None = None
    ) -> Float[Tensor, "batch tokens dim"]:
        """Return dx/dt at (t, x). The weights of one field do not depend on t."""
        given = given or self.given()
        if self.fuse:
            return fused(self, x, given.contexts[0], given.keeps, given.folded)
        if self.attention.norm is self.mlp.norm:
            return self._normalised_once(x, given)
        first, *rest = (
            term(t, x, context, keep)
            for term, context, keep in zip(self.terms, given.contexts, given.keeps, strict=True)
        )
        for term in rest:
            first = first + term
        return first  # type: ignore[no-any-return]

    def _normalised_once(self, x: Tensor, given: Given) -> Tensor:
        z, total = self.attention.norm(x), None
        for term, context, keep in zip(self.terms, given.contexts, given.keeps, strict=True):
            out = term.sublayer(z) if context is None else term.sublayer(z, context)
            out = out if keep is None else keep * out
            total = out if total is None else total + out
        return total  # type: ignore[return-value]

    def given(self, context: Context | None = None, memory: Context | None = None) -> Given:
        """Return what is fixed over depth: the context of self-attention and that of the term that reads a memory.

        Raises:
            ValueError: A memory came for a field without that term, or none for one that has it.
        """
        if (self.cross is None) != (memory is None or memory.memory is None):
            raise ValueError(
                "a memory came for a field that reads none: make it with cross=True, or pass no memory"
                if self.cross is None
                else "no memory came for a field that reads one: pass the encoder's output, or make it with cross=False"
            )
        contexts = (context, None) if self.cross is None else (context, memory, None)
        return Given(contexts, (None,) * len(contexts))

    @property
    def random(self) -> bool:
        """Whether the field has anything to draw."""
        return any(term.random for term in self.terms)

    def noise(self, x: Tensor) -> tuple[Tensor | None, ...]:
        """Return what the dropout of each term draws for one step."""
        return tuple(term.noise(x) for term in self.terms)

    def draw(self, x: Tensor) -> Field:
        """Return the field with its dropout drawn, to be held while one step of a method is taken."""
        return Integrand([self], self.given()).draw(x) if self.random else self
