"""What a solve refuses at its door, and what it looks at when it is done."""

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensor

from odelib.solvers.arithmetic import Leaves, Tree, leaves_of, like
from odelib.solvers.control import Adaptive
from odelib.solvers.draws import Draws
from odelib.solvers.errors import SolverError
from odelib.solvers.fields import terms_of
from odelib.solvers.grid import Grid
from odelib.solvers.reversible import Reversible
from odelib.solvers.rules import StepRule, step_rule
from odelib.solvers.runge_kutta import ExplicitRungeKutta
from odelib.solvers.splitting import Splitting
from odelib.solvers.tableaus import TABLEAUS
from odelib.solvers.trajectory import Problem
from odelib.solvers.walk import Counts


def check_times(times: Sequence[float] | Tensor) -> tuple[float, ...]:
    """Return the times as floats.

    Raises:
        ValueError: There is none, one is not finite, they are not strictly monotone, or a tensor of them is not
            one-dimensional.
    """
    if isinstance(times, Tensor):
        if times.dim() != 1:
            raise ValueError(f"times is a tensor of shape {tuple(times.shape)}: give a one-dimensional one")
        grid = tuple(float(time) for time in times.detach().tolist())
    else:
        grid = tuple(float(time) for time in times)
    if not grid:
        raise ValueError("times is empty: give the initial time, and the times at which the state is wanted")
    if not all(map(math.isfinite, grid)):
        raise ValueError(f"times must be finite, but {list(grid)} are not: replace NaN and infinity")
    gaps = [end - start for start, end in pairwise(grid)]
    if gaps and not (all(gap > 0 for gap in gaps) or all(gap < 0 for gap in gaps)):
        raise ValueError(
            f"times must be strictly increasing or strictly decreasing, but {list(grid)} is neither: "
            "sort them and drop repeated ones"
        )
    return grid


def check_rule(rule: str | StepRule | None, steps: int | Grid | Adaptive, field: Any) -> StepRule:
    """Return the rule for these steps and this field.

    Raises:
        TypeError: ``steps`` is none of the three kinds, or a splitting came with a field without terms.
        ValueError: There is no such rule, no step, or the rule has no error estimate to choose its steps by.
    """
    if isinstance(steps, bool) or not isinstance(steps, (int, Grid, Adaptive)):
        raise TypeError(f"steps is {steps!r}: give the number of steps between two times, a Grid(...) or Adaptive(...)")
    if isinstance(steps, int) and steps < 1:
        raise ValueError(f"steps is {steps}: take at least 1 step between two times")
    adaptive, two_sided = isinstance(steps, Adaptive), isinstance(steps, Grid) and steps.two_sided
    method = step_rule(("tsit5" if adaptive else "rk4") if rule is None else rule)
    inner = method.base if isinstance(method, Reversible) else method
    if isinstance(inner, Splitting):
        terms_of(field)
    if adaptive and not (isinstance(inner, ExplicitRungeKutta) and inner.tableau.b_error):
        with_estimate = ", ".join(name for name, tableau in TABLEAUS.items() if tableau.b_error)
        raise ValueError(
            f"{method.name!r} has no error estimate by which steps could be chosen: "
            f"take one of {with_estimate}, or a number of steps"
        )
    if two_sided and not isinstance(method, ExplicitRungeKutta):
        raise ValueError(
            f"{method.name!r} does not know the two sides of a jump: take a Runge-Kutta rule such as 'rk4' without "
            "gradient='reversible', or a grid without two_sided (perturb)"
        )
    return method


def readable(y: Leaves) -> bool:
    """Return whether values can be looked at without cost: on the CPU, outside of compilation, fakes and transforms."""
    if torch.compiler.is_compiling() or torch._C._functorch.peek_interpreter_stack() is not None:
        return False
    return all(leaf.device.type == "cpu" and not isinstance(leaf, FakeTensor) for leaf in leaves_of(y))


def check_finite(problem: Problem, tree: Tree, solution: Any) -> None:
    """Refuse a fixed-grid solution that became NaN or infinite, and say where.

    Raises:
        SolverError: It did; time and step are found by walking again from the last good state.
    """
    states = leaves_of(tree.leaves(solution.ys))
    if all(torch.isfinite(leaf[-1]).all() for leaf in states):
        return
    start = next(n for n in range(len(solution.ts)) if not all(torch.isfinite(leaf[n]).all() for leaf in states))
    if start == 0:
        raise SolverError(f"the initial state at t={solution.ts[0]:.6g} holds NaN or infinity: look at y0", solution)
    raise SolverError(
        f"the solution became NaN or infinite {_where(problem, states, tree.y0, start)}: "
        "take smaller steps, or look at the field there",
        solution,
    )


def _where(problem: Problem, states: tuple[Tensor, ...], form: Leaves, start: int) -> str:
    """Return where between the last good state and the first bad one it happened."""
    before, after = problem.times[start - 1], problem.times[start]
    y = like(form, [leaf[start - 1].detach() for leaf in states])
    part = problem.between(before, after)
    with torch.no_grad():
        for number, (step, _) in enumerate(part.walk(y, Draws(part.field), Counts(), part.watchers)):
            if not all(torch.isfinite(leaf).all() for leaf in leaves_of(step.y1)):
                return f"in the step from t={step.t:.6g} to t={step.end:.6g} (step {number + 1} after t={before:.6g})"
    return f"between t={before:.6g} and t={after:.6g}"
