"""What a field is, and what a field that can be split offers."""

from collections.abc import Callable, Sequence
from typing import Any

from torch import Tensor

Field = Callable[[float, Tensor], Tensor]
"""A vector field ``field(t, y) -> dy/dt``: ``t`` a Python float, ``y`` and the result of one shape and dtype."""


class Sum:
    """A field given as a sum of terms, f = f_1 + ... + f_n, so that a splitting can integrate each alone.

    Args:
        *terms: The fields to be added, in the order in which a Lie-Trotter step applies them.
    """

    def __init__(self, *terms: Field) -> None:
        if not terms:
            raise ValueError("a sum of fields needs at least one term, but none came: pass the terms as arguments")
        self.terms = terms

    def __call__(self, t: float, y: Tensor) -> Tensor:
        """Return the sum of all terms at (t, y); same shape as ``y``."""
        first, *rest = self.terms
        total = first(t, y)
        for term in rest:
            total = total + term(t, y)
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
