"""The sum of attention and MLP by two matrix products instead of four.

Both terms normalise the same state. A norm is a map without parameters, followed by a gain and a shift, and these two
pass into the weights: W (g * z + b) + c = (W diag g) z + (W b + c). So one product gives queries, keys, values and the
hidden layer, also where each term has a norm of its own; and one product on the concatenation of the heads and the
activated hidden layer gives the sum of both outputs. Parameters and numbers are those of the field, to rounding.

The weights are folded once for all evaluations over an interval: they do not change while it is integrated.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from odelib.layers.context import Context

if TYPE_CHECKING:
    from odelib.layers.field import TransformerField


@dataclass(frozen=True)
class Folded:
    """The weights of a field as two matrix products take them.

    Attributes:
        way_in: Weight, (3 dim + hidden, dim), and bias of the product that gives queries, keys, values and hidden.
        way_out: Weight, (dim, dim + hidden / gates), and bias of the product on heads and activated hidden.
    """

    way_in: tuple[Tensor, Tensor]
    way_out: tuple[Tensor, Tensor]


def fold(field: "TransformerField") -> Folded:
    """Return the weights of a field for two matrix products; differentiable, and good as long as the weights are.

    Raises:
        ValueError: The field has a third term or post-norm.
    """
    if not field.can_fuse:
        raise ValueError(
            "only a sum of attention and MLP, normalised before, can be computed by two matrix products, and this "
            "field has a third term or post-norm: leave its fuse off"
        )
    attention: Any = field.attention.sublayer
    mlp: Any = field.mlp.sublayer
    return Folded(
        _stack([_fold(field.attention.norm, attention.qkv), _fold(field.mlp.norm, mlp.fc1)]),
        (torch.cat([attention.proj.weight, mlp.fc2.weight], dim=1), attention.proj.bias + mlp.fc2.bias),
    )


def fused(
    field: "TransformerField",
    x: Tensor,
    context: Context | None = None,
    keeps: Sequence[Tensor | None] = (None, None),
    folded: Folded | None = None,
) -> Tensor:
    """Return A(x) + M(x) for a field of these two terms, pre-norm, by one matrix product in and one out.

    Where dropout was drawn, which acts on each term's output alone, the way out is two products.

    Args:
        field: The field.
        x: The state, (batch, tokens, dim).
        context: What attention reads besides the state.
        keeps: What the terms' dropout drew, as `TransformerField.noise` returns it.
        folded: What `fold` returned for the field as it is now; None to fold here.

    Raises:
        ValueError: The field has a third term or post-norm.
    """
    attention: Any = field.attention.sublayer
    mlp: Any = field.mlp.sublayer
    folded = folded or fold(field)
    widths = [attention.qkv.out_features, mlp.fc1.out_features]
    qkv, hidden = torch.split(F.linear(_normalise(field.attention.norm, x), *folded.way_in), widths, dim=2)
    heads, hidden = attention.mix(qkv, context), mlp.activation(hidden)
    if any(keep is not None for keep in keeps):
        outs = (attention.proj(heads), mlp.fc2(hidden))
        first, second = (out if keep is None else keep * out for keep, out in zip(keeps, outs, strict=True))
        return first + second  # type: ignore[no-any-return]
    return F.linear(torch.cat([heads, hidden], dim=2), *folded.way_out)


def _normalise(norm: Any, x: Tensor) -> Tensor:
    """The norm without gain and shift."""
    if isinstance(norm, nn.LayerNorm):
        return F.layer_norm(x, norm.normalized_shape, eps=norm.eps)
    return F.rms_norm(x, tuple(norm.normalized_shape), eps=norm.eps)


def _fold(norm: Any, linear: Any) -> tuple[Tensor, Tensor | None]:
    """Weight and bias of ``linear`` behind the gain and shift of ``norm``."""
    shift = norm.bias if isinstance(norm, nn.LayerNorm) else None
    bias = linear.bias if shift is None else F.linear(shift, linear.weight, linear.bias)
    return linear.weight * norm.weight, bias


def _stack(parts: Sequence[tuple[Tensor, Tensor | None]]) -> tuple[Tensor, Tensor]:
    weights = [weight for weight, _ in parts]
    biases = [weight.new_zeros(len(weight)) if bias is None else bias for weight, bias in parts]
    return torch.cat(weights), torch.cat(biases)


def fuse_if_faster(model: nn.Module, call: Callable[[], Any], *, repeats: int = 10) -> tuple[float, float]:
    """Compute the fields of ``model`` by two matrix products if that is faster on this device, else by four.

    Both forms are timed in turns, so that whatever else the machine does falls on both alike. Of measured devices none
    has gained by it so far: on CPUs the two are equal within 7 percent, since their products run at full rate already.

    Args:
        model: A model, or a field; its parts are switched in place.
        call: What is to be fast, such as ``lambda: model(images)``, with the backward pass if the model is trained.
        repeats: Timed calls of each form, at least 1.

    Returns:
        Seconds of the fastest call with four products, and with two.

    Raises:
        ValueError: No field of the model can be computed by two products, or ``repeats`` is less than 1.
    """
    fields: list[Any] = [part for part in model.modules() if getattr(part, "can_fuse", False)]
    if not fields or repeats < 1:
        raise ValueError(
            f"{len(fields)} fields of the model can be fused and {repeats} repeats were asked for: "
            "give a model with pre-norm fields of two terms, and at least 1 repeat"
        )
    times: dict[bool, list[float]] = {False: [], True: []}
    for i in range(-1, repeats):  # the first call of each form is for warming up
        for form in (False, True):
            for field in fields:
                field.fuse = form
            seconds = _seconds(call)
            times[form] += [seconds] if i >= 0 else []
    separate, together = min(times[False]), min(times[True])
    for field in fields:
        field.fuse = together < separate
    return separate, together


def _seconds(call: Callable[[], Any]) -> float:
    begin = time.perf_counter()
    call()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter() - begin
