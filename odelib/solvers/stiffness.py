"""A hint that a problem is stiff: stability, not accuracy, decides the step."""

from typing import Any

import torch
from torch import Tensor

from odelib.solvers.arithmetic import combine, leaves_of, minus
from odelib.solvers.runge_kutta import Step

_EVERY = 5
_ENOUGH = 6


class StiffnessWatch:
    """Counts the signs of stiffness over a solve.

    Where a method has two stages at the end of the step, as dopri5 and tsit5 have, their quotient
    rho = abs(f(Y) - f(Z)) / abs(Y - Z) estimates the largest eigenvalue of the field's Jacobian, and h rho beyond the
    method's stability interval says that the step is held small by stability (Hairer and Wanner, Solving Ordinary
    Differential Equations II, IV.2). It is looked at in every fifth step.

    Attributes:
        looks: Steps looked at.
        beyond: Steps of these in which h rho was at the stability limit.
    """

    def __init__(self) -> None:
        self.looks = self.beyond = 0
        self._limit: float | None = None

    def probe(self, step: Step, number: int) -> list[Tensor]:
        """Return abs(f(Y) - f(Z)) and abs(Y - Z) as 0-dimensional tensors, or nothing if this step is not looked at."""
        tableau = getattr(step.rule, "tableau", None)
        if number % _EVERY or tableau is None or len(step.stages) < 2 or tableau.c[-2:] != (1.0, 1.0):
            return []
        if not leaves_of(step.y1):
            return []
        if self._limit is None:
            self._limit = tableau.real_stability
        other, last = (combine(step.y0, step.h, weights, step.stages) for _, weights in tableau.stage_pairs[-2:])
        return [_size(minus(step.stages[-1], step.stages[-2])), _size(minus(last, other))]

    def note(self, h: float, difference: list[float]) -> None:
        """Note what `probe` measured."""
        if difference and difference[1] > 0.0 and self._limit is not None:
            self.looks += 1
            self.beyond += abs(h) * difference[0] / difference[1] > 0.9 * self._limit

    def hint(self, rule: Any, steps: int, accepted: int) -> str | None:
        """Return a sentence if the problem looks stiff for this rule."""
        remedy = "try an implicit method, as in odeint(..., method='scipy_solver', options={'solver': 'Radau'})"
        if self.looks >= _ENOUGH and 2 * self.beyond > self.looks:
            return (
                f"the problem looks stiff: in {self.beyond} of {self.looks} steps looked at, the step was at the "
                f"stability limit of {rule.name}, so tolerance did not decide it: {remedy}"
            )
        rejected = steps - accepted
        if steps >= 20 and 3 * rejected > steps:
            return (
                f"{rejected} of {steps} steps were rejected: the field may be stiff, or jump (name the times in "
                f"jump_t), or be random between stages (see `draw`): {remedy}"
            )
        return None


def _size(y: Any) -> Tensor:
    sizes = [torch.linalg.vector_norm(leaf).double() for leaf in leaves_of(y)]
    size: Tensor = torch.linalg.vector_norm(torch.stack(sizes))
    return size
