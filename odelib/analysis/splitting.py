"""How far the usual layer is from the parallel one, and how much the order of the two terms matters."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

from odelib.analysis._products import push
from odelib.analysis.depth import steps_of
from odelib.layers import DepthBlock
from odelib.solvers import integrate, step_rule, terms_of


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
    sequential, parallel = (
        integrate(field, step_rule(rule), x, t=t, h=h, steps=1) for rule in ("lie-trotter", "euler")
    )
    difference: Tensor = sequential - parallel
    return difference


def splitting_gaps(
    field: Any, x: Float[Tensor, "batch *shape"], step_sizes: Sequence[float], t: float = 0.0
) -> Float[Tensor, "sizes batch"]:
    """Return the norm of the `splitting_defect` of each sample for each step size; its slope in h is 2.

    Args:
        field: A field with ``terms``.
        x: Samples; use float64 where slopes are measured.
        step_sizes: The step sizes.
        t: Time.

    Raises:
        TypeError: The field has no ``terms``.
        ValueError: There is no step size.
    """
    if not step_sizes:
        raise ValueError("step_sizes is empty: give the step sizes at which the two layers are compared")
    with torch.no_grad():
        return torch.stack([_norms(splitting_defect(field, x, h, t)) for h in step_sizes])


def commutator(field: Any, x: Float[Tensor, "*shape"], t: float = 0.0) -> Float[Tensor, "*shape"]:
    """Return [A, M](x) = A'(x) M(x) - M'(x) A(x), which is zero where the order of the two terms does not matter.

    Following A exactly for a time h and then M misses the flow of A + M by -h^2/2 [A, M] + O(h^3): the
    Baker-Campbell-Hausdorff formula to second order, derived in the book's chapter on splitting. (Others give the
    bracket of two fields the opposite sign.) Of more than two terms, the commutators of all pairs (earlier, later) are
    added, which keeps that sentence true. Directional derivatives only; no Jacobian is formed.

    Args:
        field: A field with ``terms``, smooth in x.
        x: The state, any shape.
        t: Time.

    Raises:
        TypeError: The field has no ``terms``.
    """
    first, *rest = terms_of(field)
    with torch.no_grad():
        total, before, moved = torch.zeros_like(x), [first], first(t, x)  # moved: the sum of the terms before
        for term in rest:
            value = term(t, x)
            for earlier in before:
                total = total + push(lambda y, f=earlier: f(t, y), x, value)[1]  # type: ignore[misc]
            total = total - push(lambda y, f=term: f(t, y), x, moved)[1]  # type: ignore[misc]
            before, moved = [*before, term], moved + value
    return total


class SplittingProfile(NamedTuple):
    """How much splitting matters at each step of a network; norms over each sample's whole state.

    Attributes:
        times: Time at the beginning of each step, (steps,).
        update: Norm of h (A + M), what an Euler step adds, (steps, batch).
        defect: Norm of the `splitting_defect`, (steps, batch).
        commutator: Norm of h^2/2 [A, M], (steps, batch).
    """

    times: Float[Tensor, " steps"]
    update: Float[Tensor, "steps batch"]
    defect: Float[Tensor, "steps batch"]
    commutator: Float[Tensor, "steps batch"]


@torch.no_grad()
def splitting_profile(model: nn.Module, *inputs: Any, depth: DepthBlock | None = None) -> SplittingProfile:
    """Measure update, splitting defect and commutator at each step of a network, along its own states.

    Args:
        model: A model, or the depth of one, as in `steps_of`; its fields have ``terms``.
        *inputs: What the model is called with.
        depth: As in `steps_of`.

    Raises:
        TypeError: A field has no ``terms``.
        ValueError: The model has no depth, or several and none is named.
    """
    steps, rows = steps_of(model, *inputs, depth=depth), []
    for field, _, t, h, x, _ in steps:
        measured = (h * field(t, x), splitting_defect(field, x, h, t), 0.5 * h**2 * commutator(field, x, t))
        rows.append(torch.stack([_norms(part) for part in measured]))
    update, defect, bracket = torch.stack(rows, dim=1)  # each (steps, batch)
    times = torch.tensor([step.t for step in steps], dtype=update.dtype, device=update.device)
    return SplittingProfile(times, update, defect, bracket)


def _norms(x: Float[Tensor, "batch *shape"]) -> Float[Tensor, " batch"]:
    """Return the Euclidean norm of each sample."""
    return x.flatten(1).norm(dim=1)  # type: ignore[no-any-return]
