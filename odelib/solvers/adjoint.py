"""The strategy that solves the adjoint equation backwards in time."""

from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from odelib.solvers.arithmetic import Leaves, leaves_of, like
from odelib.solvers.control import Adaptive
from odelib.solvers.draws import Draws
from odelib.solvers.gradients import Adjoint, Sums, vjp, zeros_if_none
from odelib.solvers.rules import step_rule
from odelib.solvers.runge_kutta import ExplicitRungeKutta, Step
from odelib.solvers.trajectory import Problem, Trajectory, follow
from odelib.solvers.walk import Counts, Watchers


class AdjointField:
    """The field of state and adjoint together, (y, a) -> (f, -(df/dy)^T a), which sums up the parameters' integral.

    Args:
        field: The field, on leaves.
        form: A state, for its form.
        parameters: The tensors that the field depends on.
        in_state: Whether the parameters' integral is part of the state: (y, a, q), dq/dt = -(df/dtheta)^T a.
        sums: Where the integral of all steps is summed up; None where steps can be rejected: then each has its own.
    """

    def __init__(
        self, field: Any, form: Leaves, parameters: tuple[Tensor, ...], in_state: bool, sums: Sums | None
    ) -> None:
        self.field, self.form, self.parameters, self.in_state = field, form, parameters, in_state
        self.newest: tuple[Tensor | None, ...] = ()
        self.own = sums is None
        self.sums = Sums(parameters) if sums is None else sums
        self._weights: tuple[float, ...] = ()
        self._h, self._stage = 0.0, 0

    def begin(self, h: float, weights: tuple[float, ...], first: tuple[Tensor | None, ...] | None) -> None:
        """Begin the quadrature of one step; ``first`` is the integrand at its first stage, if that is known."""
        if self.own:
            self.sums = Sums(self.parameters)
        self._h, self._weights, self._stage = h, weights, 0
        if first is not None:
            self._add(first)

    def end(self) -> None:
        """End the quadrature: what is evaluated after this is no stage of a step."""
        self._weights = ()

    def _add(self, integrand: tuple[Tensor | None, ...]) -> None:
        if self._stage < len(self._weights) and self._weights[self._stage] != 0.0:
            self.sums.add(integrand, -self._h * self._weights[self._stage])
        self._stage += 1

    def __call__(self, t: float, state: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """Return the derivative of (y, a)."""
        count = len(leaves_of(self.form))
        y = [leaf.detach().requires_grad_() for leaf in state[:count]]
        adjoint = state[count : 2 * count]
        with torch.enable_grad():
            slope = leaves_of(self.field(t, like(self.form, y)))
        found = vjp(slope, [*y, *self.parameters], adjoint)
        back = [-g for g in zeros_if_none(found[:count], y)]
        out = (*(leaf.detach() for leaf in slope), *back)
        if self.in_state:
            return *out, *(-g for g in zeros_if_none(found[count:], self.parameters))
        self.newest = found[count:]
        self._add(self.newest)
        return out


@dataclass(frozen=True)
class WithQuadrature:
    """An explicit Runge-Kutta rule on an `AdjointField`, whose weights also sum up the parameters' integral.

    Attributes:
        base: The rule.
        quadrature: The field that sums up.
    """

    base: ExplicitRungeKutta
    quadrature: AdjointField

    @property
    def name(self) -> str:
        """Name of the rule."""
        return self.base.name

    @property
    def error_order(self) -> int:
        """That of the rule."""
        return self.base.error_order

    @property
    def tableau(self) -> Any:
        """That of the rule."""
        return self.base.tableau

    def evaluations(self, terms: int = 1) -> float:
        """Those of the rule."""
        return self.base.evaluations(terms)

    def step(self, field: Any, t: float, h: float, y: Any, carry: Any = None) -> tuple[Any, Any, Any]:
        """Take a step on a fixed grid."""
        self.quadrature.begin(h, self.base.tableau.b, None)
        return self.base.step(field, t, h, y)

    def step_between(self, field: Any, t: float, h: float, y: Any, after: float, before: float) -> Any:
        """Take a step on a two-sided grid."""
        self.quadrature.begin(h, self.base.tableau.b, None)
        return self.base.step_between(field, t, h, y, after, before)

    def ready(self, field: Any, t: float, y: Any, carry: Any, fresh: bool = False) -> Any:
        """Return the field at (t, y) and the integrand there."""
        if carry is not None and not fresh:
            return carry
        self.quadrature.end()
        return field(t, y), self.quadrature.newest

    def slope(self, carry: Any) -> Any:
        """Return the field at (t, y)."""
        return carry[0]

    def attempt(self, field: Any, t: float, h: float, y: Any, carry: Any, end: float, side: float) -> Step:
        """Take a step with what the error estimate needs."""
        self.quadrature.begin(h, self.base.tableau.b, carry[1])
        step = self.base.attempt(field, t, h, y, carry[0], end, side)
        if step.carry is not None:
            step.carry = (step.carry, self.quadrature.newest)
        return step

    def error(self, step: Step) -> Any:
        """Return the estimate for (y, a); the integral has no part in it."""
        return self.base.error(step)


class SolveAdjoint:
    """Walks there without a graph, and solves the adjoint equation from output to output on the way back.

    Args:
        mode: Rule, steps and norm of the way back.
        problem: The problem.
        y0: Initial state, for its form.
        parameters: The tensors that the field depends on.
        counts: Where the cost of the way there is noted.
        trajectory: Where the outputs go.

    Raises:
        TypeError: The rule of the way back is no explicit Runge-Kutta rule.
    """

    def __init__(
        self,
        mode: Adjoint,
        problem: Problem,
        y0: Leaves,
        parameters: tuple[Tensor, ...],
        counts: Counts,
        trajectory: Trajectory,
    ) -> None:
        rule = step_rule(problem.rule if mode.rule is None else mode.rule)
        if not isinstance(rule, ExplicitRungeKutta):
            raise TypeError(
                f"the adjoint equation can't be solved with {rule.name!r}: "
                "name an explicit Runge-Kutta rule for the way back, as in gradient=Adjoint(rule='rk4')"
            )
        self.mode, self.problem, self.form, self.parameters = mode, problem, y0, parameters
        self.counts, self.trajectory = counts, trajectory
        steps = problem.steps if mode.steps is None else mode.steps
        if isinstance(steps, Adaptive) and steps.norm is not None and mode.steps is None:
            # The norm is of the state; what it would be of state and adjoint together it can't know.
            steps = replace(steps, norm=None)
        if isinstance(steps, Adaptive):
            steps = steps.repeated(len(leaves_of(y0)), 2)
            if not mode.seminorm and isinstance(steps.rtol, tuple) | isinstance(steps.atol, tuple):
                raise ValueError(
                    "with seminorm=False the parameters are leaves too, and rtol or atol came as a tuple: give numbers "
                    "for the way back, as in Adjoint(steps=Adaptive(rtol=1e-5), seminorm=False)"
                )
        self.rule, self.back = rule, replace(problem, steps=steps)

    def forward(self, y0: Leaves) -> list[Leaves]:
        """Walk there."""
        draws = Draws(self.problem.field)
        if draws.random and draws.field.draw(y0) is not draws.field:
            raise TypeError(
                "gradient='adjoint' needs a field without randomness, and this one draws (dropout, drop path): "
                "choose 'checkpoint' or 'reversible', or set the field to eval()"
            )
        follow(self.problem, y0, Draws(_Fixed(self.problem.field)), self.counts, self.trajectory)
        # The outputs will hold this object by the graph: it must not hold them.
        states, self.trajectory.states = self.trajectory.states, []
        return states

    def backward(self, outputs: list[Leaves], grads: list[list[Tensor | None]]) -> tuple[list[Tensor], Sums]:
        """Solve from the last output to the first time; at each output, restart from its state and add its gradient."""
        sums, count = Sums(self.parameters), len(leaves_of(self.form))
        times = [self.problem.times[0], *(mark.time for mark in self.trajectory.marks)]
        adjoint: list[Tensor] | None = None
        for i in reversed(range(len(outputs))):
            found = zeros_if_none(grads[i], leaves_of(outputs[i]))
            adjoint = found if adjoint is None else [a + g for a, g in zip(adjoint, found, strict=True)]
            if times[i + 1] != times[i]:
                adjoint = self._interval(times[i + 1], times[i], outputs[i], adjoint, sums, count)
        return adjoint or zeros_if_none([None] * count, leaves_of(self.form)), sums

    def _interval(
        self, start: float, stop: float, y: Leaves, adjoint: list[Tensor], sums: Sums, count: int
    ) -> list[Tensor]:
        """Return the adjoint at ``stop``; add the parameters' integral over the interval to ``sums``."""
        into = None if isinstance(self.back.steps, Adaptive) else sums
        field = AdjointField(self.problem.field, self.form, self.parameters, not self.mode.seminorm, into)
        state = (*(leaf.detach() for leaf in leaves_of(y)), *adjoint)
        if not self.mode.seminorm:
            state = (*state, *(torch.zeros_like(p) for p in self.parameters))
        rule = WithQuadrature(self.rule, field) if self.mode.seminorm else self.rule
        watchers = self.mode.watchers or Watchers()
        problem = replace(self.back.between(start, stop), field=field, rule=rule, watchers=watchers)
        result: tuple[Tensor, ...] = state
        for step, _ in problem.walk(state, Draws(field), Counts(), problem.watchers):
            result = step.y1
            if self.mode.seminorm and field.own:
                sums.add(field.sums.totals)
        if not self.mode.seminorm:
            sums.add(result[2 * count :])
        return list(result[count : 2 * count])


class _Fixed:
    """A field whose draws are known to be itself."""

    def __init__(self, field: Any) -> None:
        self.field = field
        if hasattr(field, "terms"):
            self.terms = field.terms

    def __call__(self, t: Any, y: Any) -> Any:
        return self.field(t, y)
