"""One step of an explicit Runge-Kutta method, driven by its tableau."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from odelib.solvers.field import Field, Time
from odelib.solvers.state import State, combine, leaves_of, minus, plus, weighted, widest
from odelib.solvers.step_rule import Carry, Step, StepRule
from odelib.solvers.tableau import Tableau


@dataclass(frozen=True)
class ExplicitRungeKutta(StepRule):
    """An explicit Runge-Kutta step, driven by its tableau.

    The carry is a list: empty, or with the field at the beginning of the step once that is known. It is known from the
    step before where the last stage of that step is the field at its end and was evaluated for an error estimate.
    """

    tableau: Tableau

    def __post_init__(self) -> None:
        if not isinstance(self.tableau, Tableau):
            raise TypeError(
                f"the tableau is {self.tableau!r}: give a Tableau, such as TABLEAUS['rk4'], or call step_rule('rk4')"
            )
        tableau = self.tableau
        # The local error of the lower of the two orders is what the embedded method estimates.
        estimated = min(tableau.order, tableau.embedded_order) + 1 if tableau.b_error else None
        # What follows from the fields, which are frozen: it is part of no comparison.
        vars(self).update(name=tableau.name, order=tableau.order, error_order=estimated, weights=tableau.b)

    @property
    def real_stability(self) -> float:  # type: ignore[override]
        """That of the tableau."""
        return self.tableau.real_stability

    def evaluations(self, terms: int = 1) -> float:
        """One evaluation of the whole field per stage that the result needs."""
        return float(self.tableau.evaluations)

    def init(self, field: Field, t: Time, y: State, carry: Carry = None) -> list[State]:
        """Return the field at (t, y), in a list."""
        return [field(t, y)]

    def stages(self, field: Field, t: Time, h: Time, y: State, carry: list[State]) -> list[State]:
        """Return the values of the field at the stages that the result needs; the first goes into ``carry`` too."""
        if not carry:
            # A rejected step is tried again with the same carry, and its first stage is then known.
            carry.append(field(t, y))
        values = [carry[0]]
        for node, weights in self.tableau.inner_pairs:
            values.append(field(t + node * h, combine(y, h, weights, values)))
        return values

    def step(self, field: Field, t: Time, h: Time, y: State, carry: list[State] | None = None) -> Step:
        """Take one step."""
        tableau = self.tableau
        stages = self.stages(field, t, h, y, [] if carry is None else carry)
        taken = _Stages(
            tableau, field, t, h, y, combine(y, h, tableau.result_pairs, stages), stages, torch.is_grad_enabled(), []
        )
        return Step(
            taken.y1,
            taken.error if tableau.error_pairs else None,
            taken.following,
            taken.dense if tableau.b_dense else None,
            taken.spread if tableau.c[-2:] == (1.0, 1.0) else None,
        )

    def increment(
        self, field: Field, t: Time, h: Time, y: State, carry: list[State] | None = None
    ) -> tuple[State, Callable[[], State] | None]:
        """Return y(t + h) - y(t) as the method has it, in float32 at least, and its error estimate."""
        tableau = self.tableau
        stages = self.stages(field, t, h, y, [] if carry is None else carry)
        change = weighted(h, tableau.result_pairs, stages)

        # A method, not a function in here: those are made, and in the tests wrapped by the type checker, at each step.
        error = partial(self._increment_error, field, t, h, y, change, stages)
        return change, error if tableau.error_pairs else None

    def _increment_error(self, field: Field, t: Time, h: Time, y: State, change: State, stages: list[State]) -> State:
        if len(stages) < self.tableau.stages:
            stages.append(field(t + h, plus(y, change)))
        return weighted(h, self.tableau.error_pairs, stages)  # type: ignore[no-any-return]


@dataclass(eq=False)
class _Stages:
    """The stages of a step, and what they give when asked: its error, the states inside it, how stiff it was."""

    tableau: Tableau
    field: Field
    t: Time
    h: Time
    y: State
    y1: State
    stages: list[State]
    grad: bool
    following: list[State]

    def at_end(self) -> State:
        """Evaluate the field at the end of the step, where the next one begins."""
        self.following.append(self.field(self.t + self.h, self.y1))
        return self.following[0]

    def complete(self, further: bool = False) -> list[State]:
        """Return all stages: those of the error estimate and, with ``further``, those of the state inside the step."""
        tableau, stages = self.tableau, self.stages
        # Who asks may want no graph, as a search for events does: outputs and the next step may want these stages
        # with theirs. On a fixed grid nobody needs the one that is the first of the next step.
        with torch.set_grad_enabled(self.grad):
            if len(stages) < tableau.stages:
                stages.append(self.at_end())
            if further and len(stages) == tableau.stages:
                for i, (node, weights) in enumerate(tableau.dense_pairs):
                    if i == 0 and tableau.dense_fsal:
                        stages.append(self.at_end())
                    else:
                        inside = combine(self.y, self.h, weights, stages)
                        stages.append(self.field(self.t + node * self.h, inside))
        return stages

    def error(self) -> State:
        """Return the error estimate of the embedded method."""
        values = self.complete()
        with torch.no_grad():
            return weighted(self.h, self.tableau.error_pairs, values)  # type: ignore[no-any-return]

    def dense(self, theta: float) -> State:
        """Return the state at the fraction ``theta`` of the step."""
        return combine(self.y, self.h, self.tableau.dense_weights(theta), self.complete(True))  # type: ignore[no-any-return]

    def spread(self) -> tuple[Tensor, Tensor]:
        """Return how far the last two stages are apart, and how far the states at which they were evaluated."""
        stages = self.complete()
        other, last = (combine(self.y, self.h, weights, stages) for _, weights in self.tableau.stage_pairs[-2:])
        return _size(minus(stages[-1], stages[-2])), _size(minus(last, other))


def _size(y: State) -> Tensor:
    sizes = [torch.linalg.vector_norm(leaf) for leaf in leaves_of(y) if leaf.numel()]
    size: Tensor = torch.linalg.vector_norm(torch.stack(widest(sizes))) if sizes else torch.zeros(())
    return size
