"""How far the usual layer is from the parallel one."""

from typing import Any

from jaxtyping import Float
from torch import Tensor

from odelib.solvers import step_rule, terms_of


def splitting_defect(field: Any, x: Float[Tensor, "*shape"], h: float = 1.0, t: float = 0.0) -> Float[Tensor, "*shape"]:
    """Return one Lie-Trotter step minus one Euler step on the sum, both from ``x`` with step size ``h``.

    For two terms A, M this is h (M(x + h A(x)) - M(x)) = h^2 M'(x) A(x) + O(h^3): the usual layer and the
    parallel layer with the same weights differ by a term of second order in h.

    Args:
        field: A field with ``terms``.
        x: The state, any shape.
        h: Step size.
        t: Time.

    Raises:
        TypeError: The field has no ``terms``.
    """
    terms_of(field)
    sequential, _, _ = step_rule("lie-trotter").step(field, t, h, x, None)
    parallel, _, _ = step_rule("euler").step(field, t, h, x, None)
    difference: Tensor = sequential - parallel
    return difference
