"""One step of an explicit Runge-Kutta method, driven by its tableau."""

from dataclasses import dataclass
from typing import Any

from odelib.solvers.arithmetic import combine, weighted
from odelib.solvers.fields import Field
from odelib.solvers.tableau import Tableau


@dataclass(slots=True)
class Step:
    """A step that was taken: from (t, y0) to (t + h, y1), with all that dense output needs.

    Attributes:
        field: The field, as drawn for this step.
        stages: Values of the field at the stages.
        carry: What the next step may begin with.
        end: The time at the end, t + h without its rounding where the step lands on a given time.
        start: The second state that the step began with, where the rule has one.
    """

    rule: Any
    field: Field
    t: float
    h: float
    y0: Any
    y1: Any
    stages: list[Any]
    carry: Any
    end: float
    start: Any = None

    def at(self, time: float) -> Any:
        """Return the state at a time within the step: y1 itself at its end, else the rule's dense output."""
        return self.y1 if time == self.end else self.rule.dense(self, time)


@dataclass(frozen=True)
class ExplicitRungeKutta:
    """An explicit Runge-Kutta step, driven by its tableau."""

    tableau: Tableau

    @property
    def name(self) -> str:
        """Name of the tableau."""
        return self.tableau.name

    @property
    def order(self) -> int:
        """Order of the tableau."""
        return self.tableau.order

    @property
    def error_order(self) -> int:
        """Order k of the local error that the embedded method estimates, err = O(h^k)."""
        return min(self.tableau.order, self.tableau.embedded_order) + 1

    def evaluations(self, terms: int = 1) -> float:
        """One evaluation of the whole field per stage that the result needs."""
        return float(self.tableau.evaluations)

    def stages(
        self, field: Field, t: float, h: float, y: Any, first: Any = None, end: float | None = None
    ) -> list[Any]:
        """Return the values of the field at the stages that the result needs.

        Args:
            field: The field.
            t: Time.
            h: Step size.
            y: State at ``t``.
            first: field(t, y), if it is known.
            end: The time that stages at the end of the step see; t + h by default.
        """
        values = [field(t, y) if first is None else first]
        for node, weights in self.tableau.inner_pairs:
            time = end if end is not None and node == 1.0 else t + node * h
            values.append(field(time, combine(y, h, weights, values)))
        return values

    def step(self, field: Field, t: float, h: float, y: Any, carry: Any = None) -> tuple[Any, Any, Any]:
        """Take one step; the error is None, since a fixed grid asks for none."""
        stages = self.stages(field, t, h, y, carry)
        return combine(y, h, self.tableau.result_pairs, stages), None, None

    def step_between(self, field: Field, t: float, h: float, y: Any, after: float, before: float) -> Any:
        """Return the state after one step, whose stages at its two ends see a time just after and just before them."""
        return combine(y, h, self.tableau.result_pairs, self.stages(field, t, h, y, field(after, y), before))

    def increment(self, field: Field, t: float, h: float, y: Any, first: Any = None) -> tuple[Any, list[Any]]:
        """Return y(t + h) - y(t) as the method has it, and the stages."""
        stages = self.stages(field, t, h, y, first)
        return weighted(h, self.tableau.result_pairs, stages), stages

    def ready(self, field: Field, t: float, y: Any, carry: Any, fresh: bool = False) -> Any:
        """Return what `attempt` begins with and what stays valid when the attempt is rejected: field(t, y).

        ``fresh`` says that the field is another one than before, so that the carry is of no use.
        """
        return field(t, y) if carry is None or fresh else carry

    def slope(self, carry: Any) -> Any:
        """Return field(t, y) from what `ready` returned."""
        return carry

    def attempt(self, field: Field, t: float, h: float, y: Any, carry: Any, end: float, side: float) -> Step:
        """Take a step with what error estimate and dense output need.

        Args:
            field: The field.
            t: Time.
            h: Step size.
            y: State at ``t``.
            carry: What `ready` returned.
            end: Time at the end of the step.
            side: The same, or a time just before it where the field jumps there.
        """
        stages = self.stages(field, t, h, y, carry, side)
        y1 = combine(y, h, self.tableau.result_pairs, stages)
        last = None
        if self.tableau.fsal:
            last = field(side, y1)
            stages.append(last)
        return Step(self, field, t, h, y, y1, stages, last, end)

    def error(self, step: Step) -> Any:
        """Return the embedded estimate of the local error of a step."""
        return weighted(step.h, self.tableau.error_pairs, step.stages)

    def dense(self, step: Step, time: float) -> Any:
        """Return the state within a step, from the tableau's dense output, or else by a smaller step of the method."""
        if self.tableau.b_dense is None:
            return self.partial(step, time)
        return combine(step.y0, step.h, self.tableau.dense_weights((time - step.t) / step.h), step.stages)

    def partial(self, step: Step, time: float) -> Any:
        """Return the state within a step by a smaller step of the method: of its own order."""
        return self.step(step.field, step.t, time - step.t, step.y0, step.stages[0])[0]
