"""What a solve refuses at its door, and what it looks at when it is done."""

import math
from collections.abc import Sequence
from dataclasses import replace
from operator import attrgetter, sub
from typing import Any

import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensor

from odelib.names import takes
from odelib.solvers.adaptive import Adaptive, as_floats
from odelib.solvers.errors import SolverError
from odelib.solvers.events import Event
from odelib.solvers.field import Field, Sum, Tree, flow_of, inmost, is_split, terms_of
from odelib.solvers.grid import Grid
from odelib.solvers.loop import Problem, steps_of
from odelib.solvers.randomness import Draws
from odelib.solvers.rules import step_rule
from odelib.solvers.state import State, Structure, is_transformed, leaves_of, like
from odelib.solvers.step_rule import StepRule
from odelib.solvers.tableau import Tableau
from odelib.solvers.tableaus import TABLEAUS
from odelib.solvers.watched import Counts

_KIND = attrgetter("device.type")


def check_times(times: Sequence[float] | Tensor) -> tuple[float, ...]:
    """Return the times as floats.

    Raises:
        ValueError: There is none, one is not finite, they are not strictly monotone, or a tensor of them is not
            one-dimensional.
        TypeError: They are no numbers.
    """
    if isinstance(times, Tensor) and times.dim() != 1:
        raise ValueError(f"times is a tensor of shape {tuple(times.shape)}: give a one-dimensional one")
    grid = as_floats(times, "times")
    if not grid:
        raise ValueError("times is empty: give the initial time, and the times at which the state is wanted")
    if not all(map(math.isfinite, grid)):
        raise ValueError(f"times must be finite, but {list(grid)} are not: replace NaN and infinity")
    gaps = list(map(sub, grid[1:], grid))
    if gaps and not (min(gaps) > 0 or max(gaps) < 0):
        raise ValueError(
            f"times must be strictly increasing or strictly decreasing, but {list(grid)} is neither: "
            "sort them and drop repeated ones"
        )
    return grid


def check_steps(steps: object) -> None:
    """Refuse what is no number of steps, no grid, and no adaptive steps.

    Raises:
        TypeError: It is something else.
        ValueError: It is a number less than 1.
    """
    if isinstance(steps, bool) or not isinstance(steps, (int, Grid, Adaptive)):
        raise TypeError(f"steps is {steps!r}: give the number of steps between two times, a Grid(...) or Adaptive(...)")
    if isinstance(steps, int) and steps < 1:
        raise ValueError(f"steps is {steps}: take at least 1 step between two times")


def check_rule(rule: str | StepRule | Tableau | None, steps: int | Grid | Adaptive, field: Any) -> StepRule:
    """Return the rule for these steps and this field.

    Raises:
        TypeError: ``steps`` is none of the three kinds, or a rule that needs terms came with a field without.
        ValueError: There is no such rule, no step, or the rule has no error estimate to choose its steps by.
    """
    check_steps(steps)
    adaptive = isinstance(steps, Adaptive)
    method = step_rule(("tsit5" if adaptive else "rk4") if rule is None else rule)
    if method.needs_terms:
        terms_of(field)
    if adaptive and method.error_order is None:
        with_estimate = ", ".join(name for name, tableau in TABLEAUS.items() if tableau.b_error)
        raise ValueError(
            f"{method.name!r} has no error estimate by which steps could be chosen: "
            f"take one of {with_estimate}, or a number of steps; for the way back of the adjoint equation, as in "
            "Adjoint(rule='dopri5') or Adjoint(steps=20)"
        )
    return method


def adaptive_on_leaves(steps: Adaptive, structure: Structure) -> Adaptive:
    """Return adaptive steps as they are on the leaves of a state.

    Raises:
        ValueError: Its tolerances do not go with the state.
    """
    if steps.norm is not None and not structure.is_tensor:
        norm = steps.norm
        steps = replace(steps, norm=lambda leaves: norm(structure.tree(leaves)))
    plain = isinstance(steps.rtol, float | int) and isinstance(steps.atol, float | int)
    return steps if plain else steps.repeated(leaves_of(structure.y0), 1)


def events_on_leaves(events: Any, structure: Structure) -> tuple[Event, ...]:
    """Return one event, or some, as they are on the leaves of a state.

    Raises:
        TypeError: They are something else.
    """
    some = (events,) if isinstance(events, Event) else events
    if not isinstance(some, list | tuple) or not set(map(type, some)) <= {Event}:
        raise TypeError(f"events is {events!r}: give an Event(function), or some in a list")
    if structure.is_tensor:
        return tuple(some)

    def on_leaves(event: Event) -> Event:
        return replace(event, function=lambda t, y: event.function(t, structure.tree(y)))

    return tuple(map(on_leaves, some))


def check_takes_two(field: Field, error: TypeError) -> None:
    """Refuse a field, or a term of it, that cannot be called with time and state, where a solve ended in an error.

    Raises:
        TypeError: It cannot.
    """
    for part in (inmost(field), *(map(inmost, terms_of(field)) if is_split(field) else ())):
        if not takes(part, 2):
            raise TypeError(f"a field is {part!r}, which does not take (t, y): let it take these two") from error


def readable(y: State) -> bool:
    """Return whether values can be looked at without cost: on the CPU, outside of compilation, fakes and transforms."""
    if is_transformed():
        return False
    leaves = (y,) if isinstance(y, Tensor) else y
    return set(map(_KIND, leaves)) <= {"cpu"} and FakeTensor not in set(map(type, leaves))


def check_finite(problem: Problem, structure: Structure, solution: Any) -> None:
    """Refuse a fixed-grid solution that became NaN or infinite, and say where.

    Raises:
        SolverError: It did; time and step are found by walking again from the last good state.
    """
    states = (solution.ys,) if structure.is_tensor else leaves_of(structure.leaves(solution.ys))
    for leaf in states:
        if not torch.isfinite(leaf[-1]).all():
            break
    else:
        return
    start = next(n for n in range(len(solution.ts)) if not all(torch.isfinite(leaf[n]).all() for leaf in states))
    if start == 0:
        raise SolverError(f"the initial state at t={solution.ts[0]:.6g} holds NaN or infinity: look at y0", solution)
    raise SolverError(
        f"the solution became NaN or infinite {_where(problem, states, structure.y0, start)}: "
        "take smaller steps, or look at the field there",
        solution,
    )


def _where(problem: Problem, states: tuple[Tensor, ...], form: State, start: int) -> str:
    """Return where between the last good state and the first bad one it happened."""
    before, after = problem.times[start - 1], problem.times[start]
    y = like(form, [leaf[start - 1].detach() for leaf in states])
    part = problem.between(before, after)
    with torch.no_grad():
        for number, (taken, _) in enumerate(steps_of(part, y, Draws(part.field), Counts())):
            if not all(torch.isfinite(leaf).all() for leaf in leaves_of(taken.y1)):
                where = f"from t={taken.t:.6g} to t={taken.end:.6g} (step {number + 1} after t={before:.6g})"
                return f"in the step {where}"
    return f"between t={before:.6g} and t={after:.6g}"


def _check_flow(term: Field, number: int, t: float, y: State) -> None:
    """Refuse a term whose flow does not begin along its field."""
    flow = flow_of(term)
    if flow is None:
        return
    slopes: Any = leaves_of(term(t, y))
    for n, (leaf, slope) in enumerate(zip(leaves_of(y), slopes, strict=True)):
        if not leaf.numel():
            continue
        size, speed = float(leaf.abs().max()), float(slope.abs().max())
        rounding = torch.finfo(leaf.dtype).eps ** (1 / 3)
        h = rounding / max(1.0, speed / size)  # small for a stiff term too
        ahead, behind = (leaves_of(flow(t, sign * h, y))[n] for sign in (1.0, -1.0))
        worst = float(((ahead - behind) / (2 * h) - slope).abs().max())
        if not worst <= 0.02 * max(speed, rounding * size):
            raise ValueError(
                f"the flow of term {number} begins along another field than the term's: they differ by {worst:.3g} at "
                f"a random state, where the field is {speed:.3g}: let flow(t, h, y) solve dy/dt = field(t, y) from t "
                "to t + h"
            )


def check_terms(field: Field, y: Tree, t: float = 0.0, seed: int = 0) -> None:
    """Refuse a split field whose terms do not sum to it, at a random state of the form of ``y``.

    Where a term is `Exact`, its flow over a small step either way is compared with the term, to two hundredths.

    A splitting and a Runge-Kutta rule would then solve two different equations.

    Args:
        field: The field, a `SplitField`; in evaluation mode, since a random one differs from itself.
        y: A state of the structure, shapes and dtypes that the field takes.
        t: The time at which it is looked at.
        seed: Seed of the random state.

    Raises:
        ValueError: The terms do not sum to the field, or a flow begins along another one; the sentence gives the
            largest difference.
        TypeError: The field has no terms.
    """
    structure = Structure(y)
    generator = torch.Generator().manual_seed(seed)
    leaves = leaves_of(structure.y0)
    drawn = [torch.randn(leaf.shape, dtype=leaf.dtype, generator=generator).to(leaf.device) for leaf in leaves]
    state, on_leaves = like(structure.y0, drawn), structure.field(field)
    terms = terms_of(on_leaves)
    with torch.no_grad():
        whole: Any = on_leaves(t, state)
        total: Any = Sum(*terms)(t, state)
        for number, term in enumerate(terms):
            _check_flow(term, number, t, state)
    for one, other in zip(leaves_of(whole), leaves_of(total), strict=True):
        worst = float((one - other).abs().max()) if one.numel() else 0.0
        allowed = 100 * torch.finfo(one.dtype).eps * max(1.0, float(one.abs().max())) if one.numel() else 0.0
        if not worst <= allowed:
            raise ValueError(
                f"the terms of {type(field).__name__} differ from it by {worst:.3g} at a random state, so a splitting "
                "would solve another equation than other rules: let the value be the sum of the terms"
            )
