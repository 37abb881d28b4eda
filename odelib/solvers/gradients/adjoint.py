"""The adjoint equation, solved backwards in time."""

from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from odelib.names import expect
from odelib.solvers.adaptive import Adaptive
from odelib.solvers.callbacks import NO_CALLBACKS, Callbacks, check_callbacks
from odelib.solvers.checks import check_rule, check_steps
from odelib.solvers.field import Field, Time
from odelib.solvers.gradients.node import Recorded, Sums, vjp, zeros_if_none
from odelib.solvers.grid import Grid
from odelib.solvers.loop import Problem, Taken, steps_of
from odelib.solvers.randomness import Draws
from odelib.solvers.rules import step_rule
from odelib.solvers.state import State, leaves_of, rms
from odelib.solvers.step_rule import RuleAround, Step, StepRule
from odelib.solvers.tableau import Tableau
from odelib.solvers.watched import Counts


@dataclass(frozen=True)
class Adjoint:
    """Solve the adjoint equation backwards in time: memory does not grow with the steps, the gradient is approximate.

    da/dt = -(df/dy)^T a, dL/dtheta = int (df/dtheta)^T a dt (Chen et al. 2018, Neural ordinary differential equations,
    arXiv 1806.07366). With a rule that has ``weights``, as Runge-Kutta rules do, the integral over the parameters is a
    quadrature over the stages, no part of the state.

    Attributes:
        rule: A rule for the way back that needs no terms; None for that of the way there.
        steps: Its steps; None for those of the way there.
        seminorm: Leave the integral over the parameters out of the error control (Kidger, Chen, Lyons 2021, "Hey,
            that's not an ODE", arXiv 2009.09457). If False, it is integrated as part of the state.
        callbacks: Callbacks of the way back; their state is the tuple of state and adjoint.

    Raises:
        ValueError: There is no such rule, or no step.
        TypeError: The rule or the steps are something else.
    """

    rule: str | StepRule | Tableau | None = None
    steps: int | Grid | Adaptive | None = None
    seminorm: bool = True
    callbacks: Callbacks | None = None

    def __post_init__(self) -> None:
        if self.rule is not None:
            step_rule(self.rule)
        if self.steps is not None:
            check_steps(self.steps)
        expect(self, "True or False", "seminorm")
        if self.callbacks is not None:
            check_callbacks(self.callbacks)


class AdjointField:
    """The field of state and adjoint together, (y, a) -> (f, -(df/dy)^T a), which sums up the parameters' integral.

    Args:
        field: The field, on leaves.
        form: A state, for its form.
        parameters: The tensors that the field depends on.
        in_state: Whether the parameters' integral is part of the state: (y, a, q), dq/dt = -(df/dtheta)^T a.
        sums: Where the integral of all steps is summed up; None where steps can be rejected: then each has its own.
        counts: What is known of the field's graph.
    """

    def __init__(
        self,
        field: Field,
        form: State,
        parameters: tuple[Tensor, ...],
        in_state: bool,
        sums: Sums | None,
        counts: Counts,
    ) -> None:
        self.field, self.parameters, self.in_state, self.counts = field, parameters, in_state, counts
        self.single, self.count = isinstance(form, Tensor), len(leaves_of(form))
        self.own = sums is None
        self.sums = Sums(parameters) if sums is None else sums
        self._weights: tuple[float, ...] = ()
        self._h, self._stage = 0.0, 0

    def begin(self, h: float, weights: tuple[float, ...], first: "Slopes | None") -> None:
        """Begin the quadrature of one step; ``first`` is the value at its first stage, if that is known."""
        if self.own:
            self.sums = Sums(self.parameters)
        self._h, self._weights, self._stage = h, weights, 0
        if first is not None:
            self._add(first.integrand)

    def _add(self, integrand: tuple[Tensor | None, ...]) -> None:
        if self._stage < len(self._weights) and self._weights[self._stage] != 0.0:
            self.sums.add(integrand, -self._h * self._weights[self._stage])
        self._stage += 1

    def __call__(self, t: Time, state: tuple[Tensor, ...]) -> "Slopes":
        """Return the derivative of (y, a)."""
        count, adjoint = self.count, state[self.count : 2 * self.count]
        y = [leaf.detach().requires_grad_() for leaf in state[:count]]
        with torch.enable_grad():
            slope: Any = leaves_of(self.field(t, y[0] if self.single else tuple(y)))
        found = vjp(slope, [*y, *self.parameters], adjoint, self.counts)
        back = [torch.zeros_like(leaf) if g is None else -g for g, leaf in zip(found[:count], y, strict=True)]
        out = [leaf.detach() for leaf in slope] + back
        if self.in_state:
            return Slopes([*out, *(-g for g in zeros_if_none(found[count:], self.parameters))])
        value = Slopes(out)
        if not 0 < self._stage < len(self._weights) - 1:
            # It may be the first stage of a step: of another attempt, or of the next one.
            value.integrand = found[count:]
        self._add(found[count:])
        return value


class Slopes(tuple[Tensor, ...]):
    """The derivative of state and adjoint, with the integrand of the parameters' gradient where that may be needed."""

    integrand: tuple[Tensor | None, ...] = ()


class WithQuadrature(RuleAround):
    """A rule with weights on an `AdjointField`, whose weights also sum up the parameters' integral.

    Args:
        base: The rule.
        quadrature: The field that sums up.
    """

    def __init__(self, base: StepRule, quadrature: AdjointField) -> None:
        super().__init__(base)
        self.quadrature = quadrature

    def init(self, field: Field, t: Time, y: State, carry: Any = None) -> Any:
        """Return what the rule begins with."""
        self.quadrature.begin(0.0, (), None)  # this is no stage of a step yet
        return self.base.init(field, t, y)

    def step(self, field: Field, t: Time, h: Any, y: State, carry: Any) -> Step:
        """Take a step; the error is the rule's, in which the integral has no part."""
        self.quadrature.begin(h, self.base.weights or (), carry[0] if carry else None)
        return self.base.step(field, t, h, y, carry)


class SolveAdjoint(Recorded):
    """Solves there, and the adjoint equation back.

    Args:
        mode: How the way back is solved.
        back: The problem of the way back, with the field as it is; from its first time to its last, if the way there
            goes in the time of one interval.
        *recorded: See `Recorded`.

    Raises:
        TypeError: The rule of the way back needs terms, which the adjoint equation has not, or is made to be inverted.
        ValueError: With seminorm=False, tolerances came leaf by leaf; or the rule of the way back has no estimate for
            adaptive steps.
    """

    def __init__(self, mode: Adjoint, back: Problem, *recorded: Any) -> None:
        super().__init__(*recorded)
        rule = step_rule(self.problem.rule if mode.rule is None else mode.rule)
        lacks = {
            "needs terms": rule.needs_terms,
            "goes on from more than one state": not rule.one_step,
            "takes derivatives of its field": rule.differentiates,
        }
        for what, there in lacks.items():
            if there:
                raise TypeError(
                    f"the adjoint equation can't be solved with {rule.name!r}, which {what}: name another rule for the "
                    "way back, as in gradient=Adjoint(rule='rk4')"
                )
        self.draws = Draws(self.problem.field, fixed=True)
        self.mode, self.rule, self.in_state = mode, rule, not mode.seminorm or rule.weights is None
        self.back = replace(back, steps=self._steps())

    def keep(self, number: int, taken: Taken) -> None:
        """Keep nothing: no step is taken again."""

    def _steps(self) -> int | Grid | Adaptive:
        """Return the steps of the way back."""
        steps = self.problem.steps if self.mode.steps is None else self.mode.steps
        check_rule(self.rule, steps, self.problem.field)
        if not isinstance(steps, Adaptive):
            return steps
        count = len(leaves_of(self.form))
        if steps.norm is not None and self.mode.steps is None:
            # The norm is of the state; what it would be of state and adjoint together it can't know.
            steps = replace(steps, norm=None)
        if self.in_state and (isinstance(steps.rtol, tuple) or isinstance(steps.atol, tuple)):
            raise ValueError(
                "with seminorm=False, or a rule without weights, the parameters are leaves too, and rtol or atol came "
                "as a tuple: give numbers for the way back, as in Adjoint(steps=Adaptive(rtol=1e-5))"
            )
        steps = steps.repeated(leaves_of(self.form), 2)
        if self.in_state and self.mode.seminorm:
            norm = steps.norm or rms
            steps = replace(steps, norm=lambda leaves: norm(leaves[: 2 * count]))
        return steps

    def forward(self, y0: State) -> list[State]:
        """Solve there."""
        field = self.problem.field
        if Draws(field).next(y0) is not field:
            raise TypeError(
                "gradient='adjoint' needs a field without randomness, and this one draws (dropout, drop path): "
                "choose 'checkpoint' or 'reversible', or set the field to eval()"
            )
        return super().forward(y0)

    def backward(self, outputs: list[State], grads: list[list[Tensor | None]]) -> tuple[list[Tensor], Sums]:
        """Solve from the last output to the first time; at each output, restart from its state and add its gradient."""
        sums, count = Sums(self.parameters), len(leaves_of(self.form))
        there = [self.problem.times[0], *(mark.time for mark in self.outputs.marks)]
        times = there if self.back.times == self.problem.times else self.back.times
        adjoint: list[Tensor] | None = None
        for i in reversed(range(len(outputs))):
            found = zeros_if_none(grads[i], leaves_of(outputs[i]))
            adjoint = found if adjoint is None else [a + g for a, g in zip(adjoint, found, strict=True)]
            if times[i + 1] != times[i]:
                adjoint = self._interval(times[i + 1], times[i], outputs[i], adjoint, sums)
        # The integral over nothing is 0, also of a parameter that the field made no use of.
        sums.totals = [*zeros_if_none(sums.totals, self.parameters)]
        return adjoint or zeros_if_none([None] * count, leaves_of(self.form)), sums

    def _interval(self, start: float, stop: float, y: State, adjoint: list[Tensor], sums: Sums) -> list[Tensor]:
        """Return the adjoint at ``stop``; add the parameters' integral over the interval to ``sums``."""
        count = len(adjoint)
        into = None if isinstance(self.back.steps, Adaptive) else sums
        field = AdjointField(self.back.field, self.form, self.parameters, self.in_state, into, self.counts)
        state = (*(leaf.detach() for leaf in leaves_of(y)), *adjoint)
        if self.in_state:
            state = (*state, *(torch.zeros_like(p) for p in self.parameters))
        rule = self.rule if self.in_state else WithQuadrature(self.rule, field)
        problem = replace(
            self.back.between(start, stop), field=field, rule=rule, callbacks=self.mode.callbacks or NO_CALLBACKS
        )
        result: tuple[Tensor, ...] = state
        for taken, _ in steps_of(problem, state, Draws(field), Counts()):
            result = taken.y1
            if not self.in_state and field.own:
                sums.add(field.sums.totals)
        if self.in_state:
            sums.add(result[2 * count :])
        return list(result[count : 2 * count])
