"""The sum of attention and MLP by two matrix products instead of four: a field of its own.

Both terms normalise the same state. A norm is a map without parameters, followed by a gain and a shift, and these two
pass into the weights: W (g * z + b) + c = (W diag g) z + (W b + c). So one product gives queries, keys, values and the
hidden layer, also where each term has a norm of its own; and one product on the concatenation of the heads and the
activated hidden layer gives the sum of both outputs.
"""

from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from odelib.layers.context import Context, variant
from odelib.layers.field import TransformerField
from odelib.solvers.field import Time


class Folded(NamedTuple):
    """The weights of a field as two matrix products take them.

    Attributes:
        way_in: Weight, (3 dim + hidden, dim), and bias of the product that gives queries, keys, values and hidden.
        way_out: Weight, (dim, dim + hidden / gates), and bias of the product on heads and activated hidden.
    """

    way_in: tuple[Tensor, Tensor]
    way_out: tuple[Tensor, Tensor]


class FusedTransformerField(TransformerField):
    """A `TransformerField` of two terms, pre-norm, by one matrix product in and one out.

    Parameters, their names and the numbers are those of the plain field, to rounding. No device measured so far gains
    by it (``benchmarks/blocks.py``): on CPUs the two are equal within 7 percent, since their products run at full rate
    already. The weights are folded at each evaluation, and once for all evaluations over an interval when a context is
    bound, also an empty one, as `DepthBlock` does. Its ``terms`` are those of the plain field.

    Raises:
        ValueError: The field has a third term or post-norm.
    """

    folded: Folded | None = None  # of a bound one

    @classmethod
    def of(cls, field: TransformerField) -> "FusedTransformerField":
        """Return the fused form of a plain field, on the same parameters.

        Raises:
            ValueError: The field has a third term or post-norm.
        """
        fused: FusedTransformerField = object.__new__(cls)
        fused.__dict__.update(field.__dict__)
        fused._check()
        return fused

    def _check(self) -> None:
        if self.cross is not None or self.attention.post:
            raise ValueError(
                "only a sum of attention and MLP, normalised before, can be computed by two matrix products, and this "
                "field has a third term or post-norm: take the field 'transformer'"
            )

    def forward(self, t: Time, x: Float[Tensor, "batch tokens dim"]) -> Float[Tensor, "batch tokens dim"]:
        """Return dx/dt at (t, x); where dropout was drawn, which acts on each term alone, the way out is two products.

        Raises:
            TypeError: Adapters or hooks would have no effect.
        """
        attention: Any = self.attention.sublayer
        mlp: Any = self.mlp.sublayer
        folded = self.folded or fold(self)
        widths = [attention.qkv.out_features, mlp.fc1.out_features]
        qkv, hidden = torch.split(F.linear(_normalise(self.attention.norm, x), *folded.way_in), widths, dim=2)
        heads, hidden = attention.mix(qkv), mlp.activation(hidden)
        keeps = self.attention.keep, self.mlp.keep
        if keeps[0] is None and keeps[1] is None:
            return F.linear(torch.cat([heads, hidden], dim=2), *folded.way_out)
        outs = attention.proj(heads), mlp.fc2(hidden)
        first, second = (out if keep is None else keep * out for keep, out in zip(keeps, outs, strict=True))
        return first + second  # type: ignore[no-any-return]

    def bind(self, context: Context) -> TransformerField:
        """Return the field in a context, its weights folded; good as long as the weights are."""
        return variant(super().bind(context), folded=fold(self))


def fold(field: TransformerField) -> Folded:
    """Return the weights of a pre-norm field of two terms for two matrix products; differentiable.

    Raises:
        TypeError: A linear map is more than its weight and bias, and what it adds would have no effect.
    """
    attention: Any = field.attention.sublayer
    mlp: Any = field.mlp.sublayer
    for linear in (attention.qkv, attention.proj, mlp.fc1, mlp.fc2):
        if type(linear) is not nn.Linear or linear._forward_hooks or linear._forward_pre_hooks:
            raise TypeError(
                "the fused form takes the weights of its linear maps without calling them, but one is a "
                f"{type(linear).__name__} or has hooks, which would have no effect: choose the field 'transformer'"
            )
    weights, biases = zip(_fold(field.attention.norm, attention.qkv), _fold(field.mlp.norm, mlp.fc1), strict=True)
    return Folded(
        (torch.cat(weights), torch.cat(biases)),
        (
            torch.cat([attention.proj.weight, mlp.fc2.weight], dim=1),
            mlp.fc2.bias if attention.proj.bias is None else attention.proj.bias + mlp.fc2.bias,
        ),
    )


def _normalise(norm: Any, x: Tensor) -> Tensor:
    """The norm without gain and shift."""
    if isinstance(norm, nn.LayerNorm):
        return F.layer_norm(x, norm.normalized_shape, eps=norm.eps)
    return F.rms_norm(x, tuple(norm.normalized_shape), eps=norm.eps)


def _fold(norm: Any, linear: Any) -> tuple[Tensor, Tensor]:
    """Weight and bias of ``linear`` behind the gain and shift of ``norm``."""
    bias = linear.weight.new_zeros(len(linear.weight)) if linear.bias is None else linear.bias
    shift = getattr(norm, "bias", None)  # an RMSNorm has none
    return linear.weight * norm.weight, bias if shift is None else F.linear(shift, linear.weight, bias)
