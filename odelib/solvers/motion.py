"""What changes with a time: the state moves along the field, and that is its derivative by the time."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from odelib.solvers.arithmetic import Leaves, leaves_of, like


class _FirstOrder(torch.autograd.Function):
    """The identity, through which no second derivative goes."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return x.view_as(x)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        # With create_graph=True, this runs with gradients enabled.
        if torch.is_grad_enabled():
            raise RuntimeError(
                "the second derivative with respect to the time of an adaptive step, of a Grid or of an event is not "
                "known: differentiate once, or take a number of steps between the times"
            )
        return grad


def first_order(shift: Tensor) -> Tensor:
    """Return a shift of the time that can be differentiated once; a second time is refused."""
    result: Tensor = _FirstOrder.apply(shift)
    return result


def slopes_at(field: Any, t: float, y: Leaves) -> Sequence[Tensor]:
    """Return field(t, y) without a graph, leaf by leaf."""
    with torch.no_grad():
        return leaves_of(field(t, y))


def moved(y: Leaves, slopes: Sequence[Tensor], shift: Tensor) -> Leaves:
    """Return y + slope shift, dtypes kept; with a ``shift`` that is zero, y with the derivative of the motion."""
    parts = zip(leaves_of(y), slopes, strict=True)
    return like(y, [leaf + (slope * shift).to(leaf.dtype) for leaf, slope in parts])
