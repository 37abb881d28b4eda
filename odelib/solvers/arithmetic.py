"""The few operations that a solver makes on a state, for one tensor or for a tree of tensors.

Inside the solvers a state is one tensor, or the tuple of the leaves of a tree. Each leaf keeps its dtype; leaves of
half precision are summed in float32 and rounded once per result.
"""

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils import _pytree as pytree

from odelib.solvers.fields import Wrapped
from odelib.solvers.tableau import Pairs

Leaves = Tensor | tuple[Tensor, ...]
"""A state as the solvers see it."""

HALF = (torch.bfloat16, torch.float16)


def leaves_of(y: Leaves) -> tuple[Tensor, ...]:
    """Return the tensors of a state."""
    return (y,) if isinstance(y, Tensor) else y


def like(y: Leaves, tensors: Sequence[Tensor]) -> Leaves:
    """Return ``tensors`` in the form of ``y``: one tensor, or a tuple."""
    return tensors[0] if isinstance(y, Tensor) else tuple(tensors)


def combine(y: Leaves, h: float, weights: Pairs, stages: Sequence[Any]) -> Any:
    """Return y + h sum_i weight_i stage_i over the (i, weight_i) pairs; dtype and shape of ``y``."""
    if isinstance(y, Tensor):
        if y.dtype not in HALF or _rounded_once(y, h, weights, stages):
            return _sum(y, h, weights, stages)
        return _sum(y.float(), h, weights, stages).to(y.dtype)
    return tuple(combine(leaf, h, weights, [k[n] for k in stages]) for n, leaf in enumerate(y))


def _rounded_once(y: Tensor, h: float, weights: Pairs, stages: Sequence[Tensor]) -> bool:
    """Whether torch itself computes y + h weight stage in float32: converting before would cost two passes more.

    It does so for one term of the same dtype, but it rounds the factor to that dtype: so only where that changes
    nothing, for powers of two such as the factors 1 and 1/2 of a layer.
    """
    if len(weights) != 1 or stages[weights[0][0]].dtype != y.dtype:
        return False
    mantissa, exponent = math.frexp(h * weights[0][1])
    return abs(mantissa) == 0.5 and -8 < exponent < 8


def _sum(total: Tensor, h: float, weights: Pairs, stages: Sequence[Tensor]) -> Tensor:
    if not weights:
        return total
    i, weight = weights[0]
    total = total.add(stages[i], alpha=h * weight)
    if total.requires_grad:
        for i, weight in weights[1:]:
            total = total.add(stages[i], alpha=h * weight)
    else:
        # The sum is no one else's and may grow in place; on a graph that would be slower.
        for i, weight in weights[1:]:
            total.add_(stages[i], alpha=h * weight)
    return total


def weighted(h: float, weights: Pairs, stages: Sequence[Any]) -> Any:
    """Return h sum_i weight_i stage_i; half precision gives float32."""
    (first, weight), rest = weights[0], weights[1:]
    if isinstance(stages[first], Tensor):
        start = stages[first]
        return _sum((start.float() if start.dtype in HALF else start) * (h * weight), h, rest, stages)
    return tuple(weighted(h, weights, [k[n] for k in stages]) for n in range(len(stages[first])))


def minus(y: Any, other: Any) -> Any:
    """Return y - other, leaf by leaf."""
    if isinstance(y, Tensor):
        return y - other
    return tuple(a - b for a, b in zip(y, other, strict=True))


def plus(y: Any, other: Any) -> Any:
    """Return y + other, leaf by leaf."""
    if isinstance(y, Tensor):
        return y + other
    return tuple(a + b for a, b in zip(y, other, strict=True))


def rms(scaled: Leaves) -> Tensor:
    """Return the root of the mean square of a state, the largest over its leaves; a real 0-dimensional tensor.

    An empty leaf counts as 0.
    """
    parts = [torch.linalg.vector_norm(leaf) * leaf.numel() ** -0.5 for leaf in leaves_of(scaled) if leaf.numel()]
    if not parts:
        return torch.zeros((), device=leaves_of(scaled)[0].device) if leaves_of(scaled) else torch.zeros(())
    return parts[0] if len(parts) == 1 else torch.stack([part.double() for part in parts]).amax()


def read(scalars: Sequence[Tensor]) -> list[float]:
    """Bring some 0-dimensional tensors to the host in one read."""
    if len(scalars) == 1:
        return [float(scalars[0].item())]
    return torch.stack([scalar.double() for scalar in scalars]).tolist()


def stacked(form: Leaves, states: Sequence[Leaves]) -> Leaves:
    """Return states of the form of ``form`` with a new first dimension, leaf by leaf."""
    if isinstance(form, Tensor):
        return torch.stack(states)  # type: ignore[arg-type]
    return tuple(torch.stack([state[n] for state in states]) for n in range(len(form)))


class Tree:
    """How a state given as a tree (tuple, list, dict, nested) becomes the leaves that the solvers see, and back.

    Args:
        y0: The initial state: a tensor, or a tree of tensors.

    Raises:
        TypeError: A leaf is not a tensor, or is not of a floating or complex dtype.
    """

    def __init__(self, y0: Any) -> None:
        self.is_tensor = isinstance(y0, Tensor)
        self.spec: Any = None
        found = [y0]
        if not self.is_tensor:
            found, self.spec = pytree.tree_flatten(y0)
        for leaf in found:
            if not isinstance(leaf, Tensor):
                raise TypeError(
                    f"the initial state holds a {type(leaf).__name__}, {leaf!r}: "
                    "give a tensor, or a tuple, list or dict of tensors"
                )
            if not (leaf.is_floating_point() or leaf.is_complex()):
                raise TypeError(
                    f"the initial state has dtype {leaf.dtype}, which cannot hold a continuous motion: "
                    "convert it to a floating or complex dtype, as in y0.float()"
                )
        self.y0: Leaves = found[0] if self.is_tensor else tuple(found)

    def leaves(self, y: Any) -> Leaves:
        """Return the leaves of a tree of the same structure.

        Raises:
            TypeError: The structure is another one.
        """
        if self.is_tensor:
            if not isinstance(y, Tensor):
                raise TypeError(f"the field returned a {type(y).__name__} for a tensor state: return one tensor")
            return y
        found, spec = pytree.tree_flatten(y)
        if spec != self.spec:
            raise TypeError(f"the field returned {spec} for a state {self.spec}: return the same structure")
        return tuple(found)

    def tree(self, leaves: Leaves) -> Any:
        """Return leaves as the tree they came from."""
        return leaves if self.spec is None else pytree.tree_unflatten(list(leaves), self.spec)

    def field(self, field: Any) -> Any:
        """Return the field as the solvers call it, on leaves; a field on tensors is returned as it is."""
        return field if self.is_tensor else _OnLeaves(field, self)


class _OnLeaves(Wrapped):
    """A field on trees, called on leaves."""

    def __init__(self, field: Any, tree: Tree) -> None:
        self.tree = tree
        super().__init__(field)

    def _draw(self, y: Leaves) -> Any:
        return self._drawn(self.field.draw(self.tree.tree(y)))

    def around(self, field: Any) -> Wrapped:
        return _OnLeaves(field, self.tree)

    def __call__(self, t: Any, y: Leaves) -> Leaves:
        return self.tree.leaves(self.field(t, self.tree.tree(y)))
