"""A hint that a problem is stiff: stability, not accuracy, decides the step."""

from collections.abc import Sequence

from torch import Tensor

from odelib.solvers.step_rule import Step, StepRule

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

    def probe(self, step: Step, number: int) -> Sequence[Tensor]:
        """Return abs(f(Y) - f(Z)) and abs(Y - Z) as 0-dimensional tensors, or nothing if this step is not looked at."""
        return () if number % _EVERY or step.stiffness is None else step.stiffness()

    def note(self, rule: StepRule, h: float, spread: Sequence[float]) -> None:
        """Note what `probe` measured."""
        if spread and spread[1] > 0.0:
            self.looks += 1
            self.beyond += abs(h) * spread[0] / spread[1] > 0.9 * rule.real_stability

    def hint(self, rule: StepRule, steps: int, accepted: int) -> str | None:
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
                f"jump_t), or be random between stages (see `RandomField`): {remedy}"
            )
        return None
