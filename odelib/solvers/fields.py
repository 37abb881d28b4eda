"""What a field is, what a field that can be split offers, and the wrappers that the solvers put around one."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils import _pytree as pytree

Field = Callable[[Any, Any], Any]
"""A vector field ``field(t, y) -> dy/dt``: ``t`` a Python float, ``y`` and the result of one structure and dtype.

Where gradients with respect to the times are asked for, and under step control per sample, ``t`` is a tensor.
"""


class Sum:
    """A field given as a sum of terms, f = sum_i f_i, so that a splitting can integrate each alone.

    Args:
        *terms: The fields to be added, in the order in which a Lie-Trotter step applies them.
    """

    def __init__(self, *terms: Field) -> None:
        if not terms:
            raise ValueError("a sum of fields needs at least one term, but none came: pass the terms as arguments")
        self.terms = terms

    def __call__(self, t: Any, y: Any) -> Any:
        """Return the sum of all terms at (t, y); same shape as ``y``."""
        first, *rest = self.terms
        total = first(t, y)
        for term in rest:
            value = term(t, y)
            total = total + value if isinstance(value, Tensor) else pytree.tree_map(torch.add, total, value)
        return total


def terms_of(field: Any) -> Sequence[Field]:
    """Return the terms whose sum is ``field``.

    Raises:
        TypeError: The field has no ``terms``; the sentence says what to do.
    """
    terms: Sequence[Field] | None = getattr(field, "terms", None)
    if terms is None:
        raise TypeError(
            f"a splitting needs a field with `terms`, but {type(field).__name__} has none: "
            "wrap its parts in odelib.solvers.Sum, or choose a Runge-Kutta rule such as 'rk4'"
        )
    return terms


class Wrapped:
    """A field behind another; it offers ``terms`` and ``draw`` where the field does, each wrapped in the same way."""

    def __init__(self, field: Any) -> None:
        self.field = field
        if hasattr(field, "terms"):
            self.terms: tuple[Any, ...] = tuple(self.around(term) for term in field.terms)

    def __getattr__(self, name: str) -> Any:
        # Made when asked for: kept, it would hold this object that holds it.
        if name == "draw" and hasattr(self.field, "draw"):
            return self._draw
        raise AttributeError(f"{type(self).__name__!r} has no attribute {name!r}")

    def _draw(self, y: Any) -> Any:
        return self._drawn(self.field.draw(y))

    def _drawn(self, field: Any) -> Any:
        """Return this wrapper around what was drawn: itself, where the field drew itself."""
        return self if field is self.field else self.around(field)

    def around(self, field: Any) -> Any:
        """Return this wrapper around another field."""
        raise NotImplementedError


class Counted(Wrapped):
    """A field whose evaluations are counted; one of a term counts as its share.

    Args:
        field: The field.
        count: Called with the share of each evaluation.
        share: What an evaluation counts.
    """

    def __init__(self, field: Any, count: Callable[[float], None], share: float = 1.0) -> None:
        self.count, self.share = count, share
        super().__init__(field)

    def around(self, field: Any) -> "Wrapped":
        """Return the count of a term."""
        return Counted(field, self.count, self.share / len(self.field.terms))

    def __call__(self, t: Any, y: Any) -> Any:
        """Return field(t, y)."""
        self.count(self.share)
        return self.field(t, y)


class Checked(Wrapped):
    """A field whose results are compared with the state.

    A solve calls its field through this in the first step.
    """

    def around(self, field: Any) -> "Wrapped":
        """Return the check of another field."""
        return Checked(field)

    def __call__(self, t: Any, y: Any) -> Any:
        """Return field(t, y).

        Raises:
            TypeError: The result is no tensor, or of another dtype or device than the state.
            ValueError: The result has another shape.
        """
        dy = self.field(t, y)
        single = isinstance(y, Tensor)
        for state, result in zip((y,) if single else y, (dy,) if single else dy, strict=True):
            check_result(state, result)
        return dy


class CheckedOnce(Wrapped):
    """A field whose first value is compared with the state; what it draws, and its terms, are not."""

    def __init__(self, field: Any) -> None:
        super().__init__(field)
        self.first = True

    def around(self, field: Any) -> Any:
        """Return another field as it is."""
        return field

    def __call__(self, t: Any, y: Any) -> Any:
        """Return field(t, y)."""
        if self.first:
            self.first = False
            return Checked(self.field)(t, y)
        return self.field(t, y)


def check_result(y: Tensor, dy: Any) -> None:
    """Refuse a value of a field that cannot be the derivative of the state ``y``.

    Raises:
        TypeError: It is no tensor, or of another dtype or device.
        ValueError: It has another shape.
    """
    if not isinstance(dy, Tensor):
        raise TypeError(f"the field returned a {type(dy).__name__} for a tensor state: return dy/dt as a tensor")
    if dy.shape != y.shape:
        raise ValueError(
            f"the field returned shape {tuple(dy.shape)} for a state of shape {tuple(y.shape)}: "
            "return dy/dt in the shape of y"
        )
    if dy.device != y.device:
        raise TypeError(
            f"the field returned a tensor on {dy.device} for a state on {y.device}: keep both on one device"
        )
    # Autocast makes a field compute in a lower precision than its state, and that is meant.
    if dy.dtype != y.dtype and not _autocasts(y.device.type):
        raise TypeError(f"the field returned {dy.dtype} for a state of {y.dtype}: return dy/dt in the dtype of y")


def _autocasts(device: str) -> bool:
    return torch.amp.is_autocast_available(device) and torch.is_autocast_enabled(device)


class InUnitTime(Wrapped):
    """The same motion in the time s in [0, 1] of one interval: dy/ds = span f(start + s span, y).

    A Runge-Kutta step in s is the same as one in t, so gradients with respect to ``start`` and ``span`` are those of
    the computed solution with respect to its times.

    Args:
        field: The field in t.
        start: Beginning of the interval, a 0-dimensional tensor.
        span: Its length, a 0-dimensional tensor; negative to go back in time.
    """

    def __init__(self, field: Any, start: Tensor, span: Tensor) -> None:
        self.start, self.span = start, span
        super().__init__(field)

    def around(self, field: Any) -> "Wrapped":
        """Return another field in unit time."""
        return InUnitTime(field, self.start, self.span)

    def __call__(self, s: float, y: Any) -> Any:
        """Return span f(start + s span, y)."""
        dy = self.field(self.start + s * self.span, y)
        if isinstance(y, Tensor):
            return (self.span * dy).to(y.dtype)
        return tuple((self.span * leaf).to(leaf.dtype) for leaf in dy)


class WithTensorTime(Wrapped):
    """A field that wants its time as a 0-dimensional tensor of a given dtype and device, as torchdiffeq gives it.

    The tensor is filled on its device, so nothing is copied there.
    """

    def __init__(self, field: Any, dtype: torch.dtype, device: torch.device) -> None:
        self.dtype, self.device = dtype, device
        super().__init__(field)

    def around(self, field: Any) -> "Wrapped":
        """Return another field with tensor time."""
        return WithTensorTime(field, self.dtype, self.device)

    def __call__(self, t: Any, y: Any) -> Any:
        """Return field(tensor of t, y)."""
        if not isinstance(t, Tensor):
            t = torch.full((), t, dtype=self.dtype, device=self.device)
        dy = self.field(t, y)
        # torchdiffeq takes a list for a state that is a tuple.
        return tuple(dy) if isinstance(y, tuple) and isinstance(dy, list) else dy
