"""A state as the solvers see it, one tensor or the tuple of the leaves of a tree, and the few operations made on it.

Each leaf keeps its dtype; leaves of half precision are summed in float32 and rounded once per result.
"""

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch._C._functorch import peek_interpreter_stack
from torch.compiler import is_compiling
from torch.utils import _pytree as pytree

from odelib.solvers.field import Field, Time, Tree, Wrapped, draw
from odelib.solvers.tableau import Pairs

State = Tensor | tuple[Tensor, ...]
"""A state as the solvers see it: one tensor, or the leaves of a tree."""

HALF = (torch.bfloat16, torch.float16)


def leaves_of(y: State) -> tuple[Tensor, ...]:
    """Return the tensors of a state."""
    return (y,) if isinstance(y, Tensor) else y


def like(y: State, tensors: Sequence[Tensor]) -> State:
    """Return ``tensors`` in the form of ``y``: one tensor, or a tuple."""
    return tensors[0] if isinstance(y, Tensor) else tuple(tensors)


def is_transformed() -> bool:
    """Return whether this runs inside of a transform of ``torch.func`` or a compilation."""
    return is_compiling() or peek_interpreter_stack() is not None


def time_dtype(device: torch.device) -> torch.dtype:
    """Return the precision of times on a device: float64, unless it has none, as Apple's have not."""
    return torch.float32 if device.type == "mps" else torch.float64


def combine(y: State, h: Time, weights: Pairs, stages: Sequence[Any]) -> Any:
    """Return y + h sum_i weight_i stage_i over the (i, weight_i) pairs; dtype and shape of ``y``.

    Args:
        y: The state.
        h: Step size: a float, or a tensor with one size for each row of the state.
        weights: The pairs.
        stages: States, or slopes, of the form of ``y``.
    """
    if not isinstance(y, Tensor):
        return tuple(combine(leaf, h, weights, [k[n] for k in stages]) for n, leaf in enumerate(y))
    if len(weights) == 1 and not isinstance(h, Tensor):
        i, weight = weights[0]
        if y.dtype not in HALF or _rounded_once(y, h * weight, stages[i]):
            return y.add(stages[i], alpha=h * weight)
        return y.float().add(stages[i], alpha=h * weight).to(y.dtype)
    if not weights:
        return y
    if isinstance(h, Tensor):
        change = weighted(1.0, weights, stages)
        return (y + per_row(h, change) * change).to(y.dtype)
    # The increments are summed first and added to the state once: each sum with the state would round it, and over
    # thousands of steps that is what float32 loses its digits by.
    total = _relative_sum(weights, stages)
    result = y.add(total, alpha=h * weights[0][1])
    return result if result.dtype == y.dtype else result.to(y.dtype)


def _rounded_once(y: Tensor, factor: float, stage: Tensor) -> bool:
    """Whether torch itself computes y + factor stage in float32: converting before would cost two passes more.

    It does so for one term of the same dtype, but it rounds the factor to that dtype: so only where that changes
    nothing, for powers of two such as the factors 1 and 1/2 of a layer.
    """
    if stage.dtype != y.dtype:
        return False
    mantissa, exponent = math.frexp(factor)
    return abs(mantissa) == 0.5 and -8 < exponent < 8


def _relative_sum(weights: Pairs, stages: Sequence[Tensor]) -> Tensor:
    """Return sum_i weight_i / weight_0 stage_i over at least two pairs, so that the first needs no multiplication."""
    (first, unit), (second, weight), *rest = weights
    start = stages[first]
    total = (start.float() if start.dtype in HALF else start).add(stages[second], alpha=weight / unit)
    # The sum is no one else's and may grow in place; on a graph that would be slower, and vmap refuses it.
    in_place = bool(rest) and not (total.requires_grad or is_compiling() or peek_interpreter_stack() is not None)
    for i, weight in rest:
        total = total.add_(stages[i], alpha=weight / unit) if in_place else total.add(stages[i], alpha=weight / unit)
    return total


def weighted(h: Time, weights: Pairs, stages: Sequence[Any]) -> Any:
    """Return h sum_i weight_i stage_i; half precision gives float32."""
    first, weight = weights[0]
    start = stages[first]
    if not isinstance(start, Tensor):
        return tuple(weighted(h, weights, [k[n] for k in stages]) for n in range(len(start)))
    total = _relative_sum(weights, stages) if len(weights) > 1 else start.float() if start.dtype in HALF else start
    return total * (per_row(h, total) * weight if isinstance(h, Tensor) else h * weight)


def minus(y: Any, other: Any) -> Any:
    """Return y - other, leaf by leaf."""
    return y - other if isinstance(y, Tensor) else tuple(a - b for a, b in zip(y, other, strict=True))


def plus(y: State, change: State) -> State:
    """Return y + change, leaf by leaf, in the dtypes of ``y``."""
    parts = zip(leaves_of(y), leaves_of(change), strict=True)
    return like(y, [(a + b).to(a.dtype) for a, b in parts])


def per_row(numbers: Tensor, leaf: Tensor) -> Tensor:
    """Return a tensor of shape (batch,) so that it broadcasts over a leaf; floats in the leaf's real dtype."""
    shaped = numbers.reshape(-1, *([1] * (leaf.dim() - 1)))
    if not numbers.is_floating_point():
        return shaped
    dtype = leaf.real.dtype
    return shaped.to(torch.float32 if dtype in HALF else dtype)


def rms(scaled: State) -> Tensor:
    """Return the root of the mean square of a state, the largest over its leaves; a real 0-dimensional tensor.

    An empty leaf counts as 0.
    """
    parts = [torch.linalg.vector_norm(leaf) * leaf.numel() ** -0.5 for leaf in leaves_of(scaled) if leaf.numel()]
    if not parts:
        return torch.zeros((), device=leaves_of(scaled)[0].device) if leaves_of(scaled) else torch.zeros(())
    return parts[0] if len(parts) == 1 else torch.stack(widest(parts)).amax()


def widest(scalars: Sequence[Tensor]) -> list[Tensor]:
    """Return tensors in the widest of their dtypes: no wider one, which a device may not have."""
    dtype = scalars[0].dtype
    for scalar in scalars[1:]:
        dtype = torch.promote_types(dtype, scalar.dtype)
    return [scalar.to(dtype) for scalar in scalars]


def read(scalars: Sequence[Tensor]) -> list[float]:
    """Bring some 0-dimensional tensors to the host in one read.

    Raises:
        RuntimeError: They have no values to be read, inside of ``torch.vmap`` or on the device meta.
    """
    try:
        if len(scalars) > 1 and peek_interpreter_stack() is None:
            return torch.stack(widest(scalars)).tolist()
        return [float(scalar.item()) for scalar in scalars]  # torch 2.6 makes no list inside of torch.func
    except RuntimeError as error:
        if peek_interpreter_stack() is None:
            raise
        raise RuntimeError(
            "adaptive steps and events read numbers, and inside of torch.vmap there are none yet: take a fixed grid "
            "without events, or give the batch to solve as it is, as with Adaptive(per_sample=True)"
        ) from error


def check_results(y: Any, dy: Any, whose: str = "the field", what: str = "dy/dt", any_dtype: bool = False) -> None:
    """Refuse what is no state like ``y``, a tensor or a tuple of leaves.

    Args:
        y: The state.
        dy: What came.
        whose: Whose value it is, for the sentence.
        what: What it should be, for the sentence.
        any_dtype: Whether its dtype may differ, as of an error estimate of a state in half precision.

    Raises:
        TypeError: It is no tensor, or of another dtype or device.
        ValueError: It has another shape.
    """
    if not isinstance(y, Tensor | tuple):
        raise TypeError(f"{whose} was called with a {type(y).__name__} as the state: call it as field(t, y)")
    leaves, values = ((y,), (dy,)) if isinstance(y, Tensor) else (y, dy)
    if not isinstance(values, tuple) or len(values) != len(leaves):
        raise TypeError(
            f"{whose} returned a {type(dy).__name__} for a tuple of {len(leaves)} tensors: return one like it"
        )
    for state, slope in zip(leaves, values, strict=True):
        if not isinstance(slope, Tensor):
            raise TypeError(f"{whose} returned a {type(slope).__name__} for a tensor state: return {what} as a tensor")
        if slope.shape != state.shape:
            raise ValueError(
                f"{whose} returned shape {tuple(slope.shape)} for a state of shape {tuple(state.shape)}: "
                f"return {what} in the shape of y"
            )
        if slope.device != state.device:
            raise TypeError(
                f"{whose} returned a tensor on {slope.device} for a state on {state.device}: keep both on one device"
            )
        # Autocast makes a field compute in a lower precision than its state, and that is meant.
        if slope.dtype != state.dtype and not any_dtype and not autocasts(state.device.type):
            raise TypeError(
                f"{whose} returned {slope.dtype} for a state of {state.dtype}: return {what} in the dtype of y"
            )


def autocasts(device: str) -> bool:
    """Return whether ``torch.autocast`` is on for a kind of device."""
    return torch.amp.is_autocast_available(device) and torch.is_autocast_enabled(device)


def stacked(form: State, states: Sequence[State]) -> State:
    """Return states of the form of ``form`` with a new first dimension, leaf by leaf."""
    if isinstance(form, Tensor):
        return torch.stack(states)  # type: ignore[arg-type]
    return tuple(torch.stack([state[n] for state in states]) for n in range(len(form)))


class Structure:
    """How a state given as a tree (tuple, list, dict, nested) becomes the leaves that the solvers see, and back.

    Args:
        y0: The initial state: a tensor, or a tree of tensors.

    Raises:
        TypeError: A leaf is not a tensor, or is not of a floating or complex dtype.
    """

    def __init__(self, y0: object) -> None:
        self.is_tensor = isinstance(y0, Tensor)
        flat: tuple[list[Any], Any] = ([y0], None) if self.is_tensor else pytree.tree_flatten(y0)
        found, self.spec = flat
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
        self.y0: State = found[0] if self.is_tensor else tuple(found)

    def leaves(self, y: Any, whose: str = "the field") -> State:
        """Return the leaves of a tree of the same structure; ``whose`` value it is, for the sentence.

        Raises:
            TypeError: The structure is another one.
        """
        if self.is_tensor:
            if not isinstance(y, Tensor):
                raise TypeError(f"{whose} returned a {type(y).__name__} for a tensor state: return one tensor")
            return y
        found, spec = pytree.tree_flatten(y)
        if spec != self.spec:
            raise TypeError(f"{whose} returned {spec} for a state {self.spec}: return the same structure")
        return tuple(found)

    def tree(self, leaves: State) -> Any:
        """Return leaves as the tree they came from."""
        return leaves if self.spec is None else pytree.tree_unflatten(list(leaves), self.spec)

    def field(self, field: Field) -> Field:
        """Return the field as the solvers call it, on leaves; a field on tensors is returned as it is."""
        return field if self.is_tensor else OnLeaves(field, self)


class OnLeaves(Wrapped):
    """A field on trees, called on leaves."""

    def __init__(self, field: Field, structure: Structure) -> None:
        super().__init__(field)
        self.structure = structure

    def draw(self, y: Tree) -> Field:
        """Return what the field draws for the tree of these leaves."""
        drawn = draw(self.field, self.structure.tree(y))  # type: ignore[arg-type]
        return self if drawn is self.field else self.around(drawn)

    def flow(self, t: Time, h: Time, y: Tree) -> Any:
        """Return the inner term's flow, on leaves."""
        return self.structure.leaves(super().flow(t, h, self.structure.tree(y)), "the flow of a term")  # type: ignore[arg-type]

    def __call__(self, t: Time, y: Tree) -> Any:
        """Return the field at (t, y), on leaves."""
        return self.structure.leaves(self.field(t, self.structure.tree(y)))  # type: ignore[arg-type]
